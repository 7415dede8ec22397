/* SPDX-License-Identifier: MIT */
/* How the wrappers take their arguments, in C and in C++ (wrappers_cxx.cc). */
#include "support.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

static int evaluated;

static int count_evaluation(int value)
{
	evaluated++;
	return value;
}

static struct asys_queue *count_queue(void)
{
	evaluated++;
	return THE_QUEUE;
}

static asys_id count_id(void)
{
	evaluated++;
	return id(7);
}

static void evaluated_times(const char *what, int times)
{
	checks++;
	if (evaluated != times) {
		printf("FAILED: %s: %d evaluations, expected %d\n", what, evaluated, times);
		failures++;
	}
	evaluated = 0;
}

static void test_once(struct asys_queue *q)
{
	char buf[16];
	int fd = 3;

	asys_read(count_queue(), count_evaluation(5), buf, (size_t)count_evaluation(9));
	check("function calls", ASYS_NR_read, 0, 5, (uintptr_t)buf, 9, 0, 0, 0);
	evaluated_times("function calls", 3);
	asys_read(q, count_id(), buf, sizeof(buf));
	check("id from a function", ASYS_NR_read, 1, 7, (uintptr_t)buf, 16, 0, 0, 0);
	evaluated_times("id from a function", 1);
	asys_dup(q, fd++);
	check("increment", ASYS_NR_dup, 0, 3, 0, 0, 0, 0, 0);
	evaluated = fd;
	evaluated_times("increment", 4);
	asys_ioctl(q, 1, FIONREAD, count_evaluation(2));
	check("word", ASYS_NR_ioctl, 0, 1, FIONREAD, 2, 0, 0, 0);
	evaluated_times("word", 1);
}

static void test_mixed(struct asys_queue *q)
{
	const asys_id constant = { 21 };
	const char *path = "/";
	struct stat st;
	char buf[8];

	asys_read(q, 4, buf, constant);
	check("constant id", ASYS_NR_read, ASYS_CALL_REF(2), 4, (uintptr_t)buf, 21, 0, 0, 0);
	asys_newfstatat(q, AT_FDCWD, path, &st, 0);
	check("AT_FDCWD", ASYS_NR_newfstatat, 0, (uint64_t)AT_FDCWD, (uintptr_t)path,
	      (uintptr_t)&st, 0, 0, 0);
	asys_mmap(q, NULL, 4096, 3, 0x22, -1, 0);
	check("six", ASYS_NR_mmap, 0, 0, 4096, 3, 0x22, UINT64_MAX, 0);
	asys_lseek(q, asys_dup(q, asys_openat(q, AT_FDCWD, path, O_RDONLY, 0)), -1, SEEK_END);
	sent_count -= 2; /* the inner calls */
	check("nested", ASYS_NR_lseek, ASYS_CALL_REF(0), 1001, UINT64_MAX, SEEK_END, 0, 0, 0);
}

static void test_word(struct asys_queue *q)
{
	int target = 0;
	const char text[] = "text";

	asys_fcntl(q, 1, F_SETFL, -1);
	check("int", ASYS_NR_fcntl, 0, 1, F_SETFL, UINT64_MAX, 0, 0, 0);
	asys_fcntl(q, 1, F_SETFL, 0xffffffffu);
	check("unsigned", ASYS_NR_fcntl, 0, 1, F_SETFL, 0xffffffffu, 0, 0, 0);
	asys_fcntl(q, 1, F_SETFL, -2L);
	check("long", ASYS_NR_fcntl, 0, 1, F_SETFL, (uint64_t)-2, 0, 0, 0);
	asys_fcntl(q, 1, F_SETFL, UINT64_MAX);
	check("unsigned long", ASYS_NR_fcntl, 0, 1, F_SETFL, UINT64_MAX, 0, 0, 0);
	asys_fcntl(q, 1, F_SETFL, (short)-3);
	check("short", ASYS_NR_fcntl, 0, 1, F_SETFL, (uint64_t)-3, 0, 0, 0);
	asys_fcntl(q, 1, F_SETFL, &target);
	check("pointer", ASYS_NR_fcntl, 0, 1, F_SETFL, (uintptr_t)&target, 0, 0, 0);
	asys_fcntl(q, 1, F_SETFL, text);
	check("array", ASYS_NR_fcntl, 0, 1, F_SETFL, (uintptr_t)text, 0, 0, 0);
#ifdef __cplusplus
	asys_fcntl(q, 1, F_SETFL, nullptr);
#else
	asys_fcntl(q, 1, F_SETFL, NULL);
#endif
	check("NULL", ASYS_NR_fcntl, 0, 1, F_SETFL, 0, 0, 0, 0);
	asys_fcntl(q, 1, F_SETFL, id(9));
	check("id", ASYS_NR_fcntl, ASYS_CALL_REF(2), 1, F_SETFL, 9, 0, 0, 0);
}

static void test_forms(struct asys_queue *q)
{
	struct timespec *none = NULL;
	asys_id failed = { -11 };

	asys_getppid(q);
	check("none", ASYS_NR_getppid, 0, 0, 0, 0, 0, 0, 0);
	asys_nanosleep(q, none, NULL);
	check("null pointers", ASYS_NR_nanosleep, 0, 0, 0, 0, 0, 0, 0);
	asys_close(q, failed);
	check("id of a failure", ASYS_NR_close, 1, (uint64_t)-11, 0, 0, 0, 0, 0);
	asys_preadv2(q, 1, NULL, 2, -1, 5);
	check("a word left out", ASYS_NR_preadv2, 0, 1, 0, 2, UINT64_MAX, 0, 5);
	asys_fchownat(q, 1, NULL, (uid_t)-1, (gid_t)-1, 0);
	check("unsigned stays 32 bits", ASYS_NR_fchownat, 0, 1, 0, 0xffffffffu, 0xffffffffu, 0, 0);
#ifndef __cplusplus
	struct timespec ts = { 1, 2 };
	const struct timespec *literal;

	asys_nanosleep(q, (literal = &(struct timespec){ 1, 2 }), &ts);
	check("compound literal", ASYS_NR_nanosleep, 0, (uintptr_t)literal, (uintptr_t)&ts, 0, 0, 0,
	      0);
#endif
}

int main(void)
{
	test_once(THE_QUEUE);
	test_mixed(THE_QUEUE);
	test_word(THE_QUEUE);
	test_forms(THE_QUEUE);
	return result();
}
