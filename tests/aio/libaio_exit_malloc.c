/* SPDX-License-Identifier: MIT */
/*
 * A handler that interrupted malloc ends the program while another thread is in the library and wants memory: that
 * thread never gets it, and what was written before is there all the same.
 *
 * The moment is made, not waited for. This program has a malloc of its own, which asks for one lock. One thread
 * takes that lock, as if a signal had found it inside, and ends the program. The queue's own threads have other
 * memory (docs/AIO.md says what if not).
 */
#include "libaio_support.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define APPENDS 48
#define SIZE (256 * 1024)
#define WAITS_FOR_ITSELF 40
#define HELPER_FAILED 41

static atomic_bool locked, wanted, done;
static _Thread_local bool has_lock, wants_lock;

static void lock_and_unlock(void)
{
	if (!atomic_load(&locked))
		return;
	if (has_lock)
		syscall(SYS_exit_group, WAITS_FOR_ITSELF);
	if (!wants_lock)
		return;
	atomic_store(&wanted, true);
	for (;;)
		pause();
}

/* The C library's own, under the names that such programs use. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *mem, size_t size);
void __libc_free(void *mem);

void *malloc(size_t size)
{
	lock_and_unlock();
	return __libc_malloc(size);
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): theirs are reserved */
void *calloc(size_t n, size_t size)
{
	lock_and_unlock();
	return __libc_calloc(n, size);
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): theirs are reserved */
void *realloc(void *mem, size_t size)
{
	lock_and_unlock();
	return __libc_realloc(mem, size);
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): theirs are reserved */
void free(void *mem)
{
	if (mem)
		lock_and_unlock();
	__libc_free(mem);
}

struct helper {
	io_context_t ctx;
	int file;
	struct iocb cb;
	struct iovec iov[20];
};

static void prepare_vector(struct helper *h)
{
	static char bytes[20];

	for (int k = 0; k < 20; k++)
		h->iov[k] = (struct iovec){ &bytes[k], 1 };
	io_prep_pwritev(&h->cb, h->file, h->iov, 20, 0);
}

static void *submits(void *arg)
{
	struct helper *h = arg;

	while (!atomic_load(&locked))
		sched_yield();
	wants_lock = true;
	if (submit_iocb(h->ctx, &h->cb) != 1)
		syscall(SYS_exit_group, HELPER_FAILED);
	atomic_store(&done, true);
	return NULL;
}

static void append_all(io_context_t ctx, int file)
{
	static unsigned char mem[SIZE];
	static struct iocb cb[APPENDS];

	for (int k = 0; k < APPENDS; k++) {
		io_prep_pwrite(&cb[k], file, mem, SIZE, 0);
		check_eq(submit_iocb(ctx, &cb[k]), 1);
	}
}

/* What the queue makes once, threads and a ring for what waits, is there afterwards. */
static void warm(io_context_t ctx, int file, int pipes[2])
{
	struct io_event events[APPENDS];
	struct iocb poll;
	char byte;

	append_all(ctx, file);
	check_eq(io_getevents(ctx, APPENDS, APPENDS, events, NULL), APPENDS);
	io_prep_poll(&poll, pipes[0], POLLIN);
	check_eq(submit_iocb(ctx, &poll), 1);
	sleep_ms(20);
	check_eq(write(pipes[1], "x", 1), 1);
	check_eq(io_getevents(ctx, 1, 1, events, NULL), 1);
	check_eq(read(pipes[0], &byte, 1), 1);
	check_eq(ftruncate(file, 0), 0);
	sleep_ms(20);
}

static void leave(void (*end)(int status), int file)
{
	static struct helper helper;
	pthread_t thread;
	int pipes[2];

	make_pipe(pipes);
	helper = (struct helper){ .ctx = setup(64), .file = numbered_file(1, 0) };
	prepare_vector(&helper);
	warm(helper.ctx, file, pipes);
	check_eq(pthread_create(&thread, NULL, submits, &helper), 0);
	append_all(helper.ctx, file);
	has_lock = true;
	atomic_store(&locked, true);
	while (!atomic_load(&wanted) && !atomic_load(&done))
		sched_yield();
	end(0);
}

static void by_exit(int status)
{
	_exit(status);
}

static void check_left(void (*end)(int status))
{
	int file = numbered_file(0, O_APPEND), status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		leave(end, file);
		_exit(1);
	}
	check_eq(waitpid(pid, &status, 0), pid);
	check_eq(status, 0);
	check_eq(lseek(file, 0, SEEK_END), (off_t)APPENDS * SIZE);
	close(file);
	progress();
}

/* The copy of a vector. */
static void test_vector(void **state)
{
	(void)state;
	check_left(quick_exit);
	/* Seen by libasys-syscall.so only. */
	if (!under_shim() || getenv("ASYS_TEST_EXIT"))
		check_left(by_exit);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { contract(test_vector) };

	return group(tests, argc, argv);
}
