/* SPDX-License-Identifier: MIT */
/*
 * Contract: a relative sleep ends when it would have ended, whatever becomes of the thread or the ring that began it
 * (src/engine/sleep_left.h). Beside each an absolute one is sent that ends later, but before a sleep that began anew
 * when it was disturbed.
 */
#include "support.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <time.h>

#define RELATIVE_NS UINT64_C(1500000000)
#define DISTURBED_MS 1200
#define ABSOLUTE_NS UINT64_C(2300000000)

struct sleeps {
	struct asys_queue *q;
	struct timespec relative, absolute;
	asys_id id[2], last;
};

static void send_sleeps(struct sleeps *s)
{
	uint64_t then = asys_now() + ABSOLUTE_NS;

	s->relative = (struct timespec){ RELATIVE_NS / 1000000000, RELATIVE_NS % 1000000000 };
	s->absolute = (struct timespec){ (time_t)(then / 1000000000), (long)(then % 1000000000) };
	s->last =
		submit(s->q, SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &s->absolute, 0);
	s->id[0] = submit(s->q, SYS_nanosleep, &s->relative, 0);
	s->id[1] = submit(s->q, SYS_clock_nanosleep, CLOCK_REALTIME, 0, &s->relative, 0);
	check_eq(asys_queue_flush(s->q), 0);
}

static void check_order(struct sleeps *s)
{
	struct asys_event event;

	for (unsigned k = 0; k < 3; k++) {
		check_eq(asys_queue_get_many(s->q, &event, 1, 1, ASYS_FOREVER), 1);
		check_eq(event.result, 0);
		check((event.id.value == s->last.value) == (k == 2));
	}
	check_eq(asys_queue_pending(s->q), 0);
	asys_queue_close(s->q);
}

/* The driver is replaced, twice; one that never started them, too. */
static void test_driver(void **state)
{
	struct sleeps s = { .q = open_depth(64, ASYS_QUEUE_DRIVER) };

	(void)state;
	send_sleeps(&s);
	sleep_ms(DISTURBED_MS / 2);
	check_eq(asys_queue_renew(s.q), 0);
	sleep_ms(DISTURBED_MS / 2);
	check_eq(asys_queue_renew(s.q), 0);
	check_order(&s);
}

static void *send_and_exit(void *arg)
{
	send_sleeps(arg);
	sleep_ms(DISTURBED_MS);
	return NULL;
}

static void test_thread_exits(void **state)
{
	struct sleeps s;
	pthread_t first;

	(void)state;
	if (!driver_is("wait"))
		skip_because("the queue changes its thread");
	s.q = open_depth(64, 0);
	check_eq(pthread_create(&first, NULL, send_and_exit, &s), 0);
	pthread_join(first, NULL);
	check_order(&s);
}

/* Cancelled after it went on elsewhere: what it was given is freed, as memory checkers see. */
static void test_cancelled(void **state)
{
	struct sleeps s = { .q = open_depth(64, ASYS_QUEUE_DRIVER) };

	(void)state;
	send_sleeps(&s);
	check_eq(asys_queue_renew(s.q), 0);
	for (unsigned k = 0; k < 2; k++)
		check_eq(asys_queue_cancel(s.q, s.id[k]), 0);
	for (unsigned k = 0; k < 2; k++)
		check_eq(result_of(s.q, s.id[k]), -ECANCELED);
	check_eq(asys_queue_cancel(s.q, s.last), 0);
	check_eq(result_of(s.q, s.last), -ECANCELED);
	asys_queue_close(s.q);
}

/* A filter of system calls comes, which calls it back: it goes on as the call that it is, not as another. */
static int filter_case(void *arg)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_nanosleep, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };
	const struct timespec time = { 0, 50000000 };
	struct asys_queue *q = open_queue();
	asys_id id = submit(q, SYS_nanosleep, &time, 0);

	(void)arg;
	check_eq(asys_queue_flush(q), 0);
	check_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	check_eq(result_of(q, submit(q, SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)), 0);
	check_eq(result_of(q, id), 0);
	asys_queue_close(q);
	return 0;
}

static void test_filter(void **state)
{
	(void)state;
	if (is_sanitized())
		skip_because("the filter would be the sanitizer's, too");
	check_child(filter_case, NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_driver),
		contract(test_thread_exits),
		contract(test_cancelled),
		contract(test_filter),
	};

	return group(tests, argc, argv);
}
