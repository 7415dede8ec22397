/* SPDX-License-Identifier: MIT */
/*
 * Contract: a filter that refuses io_uring may come at any time, also over a queue with calls in its ring
 * (src/engine/uring_apart.c), and a program may close the ring's descriptor: each of the calls ends as it
 * would have, with all that it moved before; they can be cancelled, and the queue can be closed. In
 * children: a filter cannot be taken off.
 */
#include "support.h"

#include <asys/chain.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

enum { READS = 24, MUCH = 1 << 20 };

enum way {
	WAY_DIRECT,
	WAY_RENEWED,
	WAY_THROUGH,
	WAY_PRCTL,
	WAY_OTHER_THREAD,
	WAYS,
	/* No filter, but a program that closes what it did not open. */
	WAY_CLOSED = WAYS,
	WAY_REPLACED,
};

static const long numbers[] = { SYS_io_uring_enter, SYS_io_uring_register, SYS_io_uring_setup,
				SYS_vmsplice };

struct setting {
	enum way way;
	int error;
	unsigned first, count; /* of `numbers`: what is refused */
	uint32_t flags;
	bool moved;	 /* the queue's first thread is another one, which sleeps */
	bool owner_only; /* it alone may not enter the ring */
	bool owner_left; /* it has ended when the queue is used again */
};

/* With vmsplice: what the kernel did in the ring cannot be looked at either. */
#define ALL .count = 3
#define ALL_BLINDLY .count = 4

static struct sock_fprog *program_of(const struct setting *s)
{
	return deny_program(numbers + s->first, s->count, s->error);
}

static void *filter_all(void *arg)
{
	check_eq(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
			 program_of(arg)),
		 0);
	return NULL;
}

/* All descriptors of rings; or they become another file's. */
static void lose_rings(bool replaced)
{
	int other = open("/dev/null", O_RDWR | O_CLOEXEC);
	char path[32], name[64];

	for (int fd = 3; fd < 256; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, name, sizeof(name) - 1);
		if (n < 0)
			continue;
		name[n] = '\0';
		if (strstr(name, "io_uring"))
			check(replaced ? dup2(other, fd) == fd : close(fd) == 0);
	}
	close(other);
}

static void filter(struct asys_queue *q, struct setting *s)
{
	pthread_t thread;

	switch (s->way) {
	case WAY_THROUGH:
		check_eq(result_of(q, submit(q, SYS_seccomp, SECCOMP_SET_MODE_FILTER,
					     SECCOMP_FILTER_FLAG_TSYNC, program_of(s))),
			 0);
		break;
	case WAY_PRCTL:
		check_eq(result_of(q, submit(q, SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER,
					     program_of(s), 0, 0)),
			 0);
		break;
	case WAY_OTHER_THREAD:
		check_eq(pthread_create(&thread, NULL, filter_all, s), 0);
		pthread_join(thread, NULL);
		break;
	case WAY_CLOSED:
	case WAY_REPLACED:
		lose_rings(s->way == WAY_REPLACED);
		break;
	default:
		filter_all(s);
		if (s->way == WAY_RENEWED)
			check_eq(asys_queue_renew(q), 0);
	}
}

struct sent {
	struct setting *setting;
	struct asys_queue *q;
	int pipe[2], idle[2], pair[2], much[2], steps[2];
	struct asys_chain *chain;
	char bytes[READS], more[8], step;
	struct timespec nap;
	unsigned char *data;
	asys_id read[READS], receive, sleeps, sends, sending, idles[2];
	uint32_t sent, done;
};

/* A bit of everything that waits. */
static void *send_all(void *arg)
{
	struct sent *c = arg;

	c->q = open_depth(64, c->setting->flags);
	for (unsigned k = 0; k < READS; k++)
		c->read[k] = submit(c->q, SYS_read, c->pipe[0], &c->bytes[k], 1);
	c->receive = submit(c->q, SYS_recvfrom, c->pair[0], c->more, sizeof(c->more), 0, 0, 0);
	c->sleeps = submit(c->q, SYS_nanosleep, &c->nap, NULL);
	c->sends = submit(c->q, SYS_sendto, c->much[0], c->data, MUCH, 0, 0, 0);
	for (unsigned k = 0; k < 2; k++)
		c->idles[k] = submit(c->q, SYS_read, c->idle[0], &c->bytes[0], 1);
	c->sending = asys_chain_send(c->q, c->chain);
	check_eq(asys_queue_flush(c->q), 0);
	if (c->setting->owner_only)
		check_eq(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program_of(c->setting)),
			 0);
	__atomic_store_n(&c->sent, 1, __ATOMIC_RELEASE);
	while (c->setting->moved && !c->setting->owner_left &&
	       !__atomic_load_n(&c->done, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	return NULL;
}

static void *take_much(void *arg)
{
	struct sent *c = arg;
	unsigned char *got = malloc(MUCH);
	size_t done = 0;

	while (done < MUCH) {
		ssize_t n = read(c->much[1], got + done, MUCH - done);

		check(n > 0);
		done += (size_t)n;
	}
	check(!memcmp(got, c->data, MUCH));
	free(got);
	return NULL;
}

static void check_sent(struct sent *c)
{
	unsigned sum = 0, wanted = 0;
	pthread_t taker;

	check_eq(asys_queue_cancel(c->q, c->idles[0]), 0);
	check_eq(result_of(c->q, c->idles[0]), -ECANCELED);
	for (unsigned k = 0; k < READS; k++) {
		check_eq(write(c->pipe[1], &(char){ (char)('a' + k) }, 1), 1);
		wanted += 'a' + k;
	}
	check_eq(write(c->pair[1], "12345678", 8), 8);
	check_eq(write(c->steps[1], "s", 1), 1);
	check_eq(result_of(c->q, c->sending), 0);
	check_eq(read(c->steps[0], c->more, 8), 5);
	check(c->step == 's');
	for (unsigned k = 0; k < READS; k++) {
		check_eq(result_of(c->q, c->read[k]), 1);
		sum += (unsigned char)c->bytes[k];
	}
	check_eq(sum, wanted);
	check_eq(result_of(c->q, c->receive), 8);
	check_eq(result_of(c->q, c->sleeps), 0);
	check_eq(pthread_create(&taker, NULL, take_much, c), 0);
	check_eq(result_of(c->q, c->sends), MUCH);
	pthread_join(taker, NULL);
	/* and what is sent from then on */
	c->idles[0] = submit(c->q, SYS_read, c->idle[0], &c->bytes[0], 1);
	check_eq(asys_queue_flush(c->q), 0);
	check_eq(result_of(c->q, submit(c->q, SYS_getpid, 0)), getpid());
}

static int refuse(void *arg)
{
	struct sent c = { .setting = arg, .nap = { 0, 20000000 }, .data = malloc(MUCH) };
	pthread_t first;

	for (unsigned k = 0; k < MUCH; k++)
		c.data[k] = (unsigned char)(k * 7 + k / 251);
	make_pipe(c.pipe);
	make_pipe(c.idle);
	make_pair(SOCK_STREAM, c.pair);
	make_pair(SOCK_STREAM, c.much);
	make_pipe(c.steps);
	check_eq(asys_chain_open(&c.chain, NULL), 0);
	asys_write(asys_after(c.chain, asys_read(c.chain, c.steps[0], &c.step, 1)), c.steps[1],
		   "after", 5);
	check_eq(asys_chain_ready(c.chain), 0);
	check_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	if (c.setting->moved) {
		check_eq(pthread_create(&first, NULL, send_all, &c), 0);
		if (c.setting->owner_left)
			pthread_join(first, NULL);
		while (!__atomic_load_n(&c.sent, __ATOMIC_ACQUIRE))
			sleep_ms(1);
	} else {
		send_all(&c);
		sleep_ms(10);
	}
	if (!c.setting->owner_only)
		filter(c.q, c.setting);
	check_sent(&c);
	asys_queue_close(c.q); /* two calls still wait */
	__atomic_store_n(&c.done, 1, __ATOMIC_RELEASE);
	if (c.setting->moved && !c.setting->owner_left)
		pthread_join(first, NULL);
	asys_chain_close(c.chain);
	close_both(c.steps);
	close_both(c.pipe);
	close_both(c.idle);
	close_both(c.pair);
	close_both(c.much);
	free(c.data);
	return 0;
}

static void refuse_each_way(struct setting setting)
{
	for (unsigned way = 0; way < WAYS; way++) {
		setting.way = (enum way)way;
		setting.error = setting.error ? setting.error : EPERM;
		check_child(refuse, &setting);
	}
}

static void test_refused(void **state)
{
	static const int errors[] = { EPERM, EACCES, ENOSYS };

	(void)state;
	for (unsigned k = 0; k < 3; k++)
		refuse_each_way((struct setting){ ALL, .error = errors[k] });
}

static void test_blindly(void **state)
{
	(void)state;
	refuse_each_way((struct setting){ ALL_BLINDLY });
}

static void test_one_of_them(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 3; k++)
		refuse_each_way((struct setting){ .first = k, .count = 1 });
}

static void test_sqpoll(void **state)
{
	const char *engine = getenv("ASYS_ENGINE");

	(void)state;
	if (asys_probe()->uring || (engine && engine[0] && strcmp(engine, "uring") != 0))
		skip_because("no ring is wanted, or none to be had");
	refuse_each_way((struct setting){ ALL, .flags = ASYS_QUEUE_SQPOLL });
}

static void test_lost(void **state)
{
	(void)state;
	for (unsigned way = WAY_CLOSED; way <= WAY_REPLACED; way++)
		check_child(refuse, &(struct setting){ .way = (enum way)way });
}

static void test_moved(void **state)
{
	struct setting owner = { ALL, .moved = true, .owner_only = true, .error = EPERM };

	(void)state;
	private_or_skip("a shared queue is every thread's");
	refuse_each_way((struct setting){ ALL, .moved = true });
	check_child(refuse, &owner);
}

/* What it could not call back when it ended is ended by who comes next, with a filter of its own or without. */
static void test_owner_left(void **state)
{
	struct setting owner = { .moved = true, .owner_left = true, .error = EPERM };

	(void)state;
	private_or_skip("a shared queue is every thread's");
	for (unsigned k = 0; k < 4; k++) {
		owner.owner_only = k < 3;
		owner.first = k < 2 ? k : 0;
		owner.count = k < 2 ? 1 : 3;
		check_child(refuse, &owner);
	}
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		contract(test_refused),	   contract(test_blindly), contract(test_one_of_them),
		contract(test_sqpoll),	   contract(test_lost),	   contract(test_moved),
		contract(test_owner_left),
	};

	if (is_sanitized()) {
		puts("a sanitizer meets the filters too");
		return SKIPPED;
	}
	return group(tests, argc, argv);
}
