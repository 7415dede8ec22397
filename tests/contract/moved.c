/* SPDX-License-Identifier: MIT */
/*
 * Contract: a private queue may be handed from thread to thread, also with calls in flight, and
 * nothing is lost: whether its first thread lives, sleeps, blocks or has exited. It matters most to
 * the ring, which only the thread that made it may enter (src/engine/uring_ring.c).
 */
#include "support.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>

enum { CALLS_MOST = 48 }; /* more than the kernel completes at a time */
static unsigned calls = CALLS_MOST;
static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV";

/* What the first thread does: opens, sends, and then stays or exits. */
struct first {
	struct asys_queue *queue;
	uint32_t flags;
	int fd[2];
	char bytes[CALLS_MOST];
	asys_id id[CALLS_MOST];
	pthread_t thread;
	uint32_t sent; /* 1: handed over */
	uint32_t quit;
	bool stays, flushes;
	bool no_reads;			  /* nothing but `also` is sent */
	int (*also)(struct first *first); /* sends more, from the first thread */
	asys_id more;
};

static void *open_and_send(void *arg)
{
	struct first *first = arg;

	first->queue = open_depth(64, first->flags);
	for (unsigned k = 0; k < calls && !first->no_reads; k++)
		first->id[k] = submit(first->queue, SYS_read, first->fd[0], &first->bytes[k], 1);
	if (first->also)
		first->also(first);
	if (first->flushes)
		check_eq(asys_queue_flush(first->queue), 0);
	__atomic_store_n(&first->sent, 1, __ATOMIC_RELEASE);
	/* asleep or working, whoever waits for it makes it enter its ring */
	while (first->stays && !__atomic_load_n(&first->quit, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	return NULL;
}

static void hand_over(struct first *first)
{
	make_pipe(first->fd);
	check_eq(pthread_create(&first->thread, NULL, open_and_send, first), 0);
	while (!__atomic_load_n(&first->sent, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	if (!first->stays)
		pthread_join(first->thread, NULL);
}

static void hand_over_end(struct first *first)
{
	__atomic_store_n(&first->quit, 1, __ATOMIC_RELEASE);
	if (first->stays)
		pthread_join(first->thread, NULL);
	close(first->fd[0]);
	close(first->fd[1]);
}

static void data_comes(struct first *first)
{
	for (unsigned k = 0; k < calls; k++)
		check_eq(write(first->fd[1], &letters[k], 1), 1);
}

static void check_data(const struct first *first)
{
	unsigned sum = 0, expected = 0;

	for (unsigned k = 0; k < calls; k++) {
		sum += (unsigned char)first->bytes[k];
		expected += (unsigned char)letters[k];
	}
	check_eq(sum, expected);
}

/* Every way in which the first thread may be when the second waits. */
static void in_every_way(void (*fn)(struct first *first), int (*also)(struct first *first))
{
	for (unsigned way = 0; way < 8; way++) {
		struct first first = { .stays = way & 1,
				       .flushes = way & 2,
				       .flags = way & 4 ? ASYS_QUEUE_SHARED : 0,
				       .also = also };

		hand_over(&first);
		fn(&first);
		asys_queue_close(first.queue);
		hand_over_end(&first);
		progress();
	}
}

static void *write_late(void *arg)
{
	sleep_ms(3);
	data_comes(arg);
	return NULL;
}

static void data_before(struct first *first)
{
	data_comes(first);
	for (unsigned k = 0; k < calls; k++)
		check_eq(result_of(first->queue, first->id[k]), 1);
	check_data(first);
}

static void data_while_waiting(struct first *first)
{
	pthread_t thread;

	check_eq(pthread_create(&thread, NULL, write_late, first), 0);
	check_eq(asys_queue_barrier(first->queue), 0);
	check_eq(drain(first->queue), calls);
	check_data(first);
	pthread_join(thread, NULL);
}

/* It serves on, with new calls of the second thread, before and after the old ones end. */
static void new_calls(struct first *first)
{
	struct asys_queue *q = first->queue;
	char bytes[4];
	int fd[2];
	asys_id id;

	make_pipe(fd);
	for (unsigned k = 0; k < 2; k++) {
		id = submit(q, SYS_read, fd[0], bytes, sizeof(bytes));
		check_eq(asys_queue_flush(q), 0);
		check_eq(write(fd[1], "new", 3), 3);
		check_eq(result_of(q, id), 3);
		check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
		if (!k)
			data_before(first);
	}
	warm_up(q);
	close(fd[0]);
	close(fd[1]);
}

static void cancelled(struct first *first)
{
	struct asys_queue *q = first->queue;

	for (unsigned k = 0; k < calls; k++)
		check_one_of(asys_queue_cancel(q, first->id[k]), 0, -EALREADY);
	for (unsigned k = 0; k < calls; k++)
		check_eq(result_of(q, first->id[k]), -ECANCELED);
	check_eq(asys_queue_pending(q), 0);
}

/* Looked at before, so that what the first thread's exit cancelled is already set aside. */
static void cancelled_later(struct first *first)
{
	struct asys_event event;

	check_eq(asys_queue_get_many(first->queue, &event, 1, 1, 3000000), 0);
	check_eq(result_of(first->queue, submit(first->queue, SYS_getppid, 0)), getppid());
	cancelled(first);
}

static void closed(struct first *first)
{
	check_eq(asys_queue_pending(first->queue), calls);
}

static void closed_later(struct first *first)
{
	struct asys_event event;

	check_eq(asys_queue_get_many(first->queue, &event, 1, 1, 1000000), 0);
}

/* In a loop of its own: the descriptor tells of calls that the first thread sent. */
static void polled(struct first *first)
{
	struct asys_event event;
	unsigned got = 0;
	int fd = asys_queue_fd(first->queue);

	check(fd >= 0);
	data_comes(first);
	while (got < calls) {
		got += asys_queue_get(first->queue, &event) == 1;
		progress();
	}
	check_eq(asys_queue_get(first->queue, &event), 0);
}

#define MOVED(fn)                           \
	static void test_##fn(void **state) \
	{                                   \
		(void)state;                \
		in_every_way(fn, NULL);     \
	}

MOVED(data_before)
MOVED(data_while_waiting)
MOVED(new_calls)
MOVED(cancelled)
MOVED(cancelled_later)
MOVED(closed)
MOVED(closed_later)
MOVED(polled)

/* A timerfd's read may itself end with -ECANCELED, and must not be taken for the exit's. */
static int timer_fd;

static int send_timer(struct first *first)
{
	static uint64_t count;

	first->more = submit(first->queue, SYS_read, timer_fd, &count, sizeof(count));
	return 0;
}

static void timer_ends(struct first *first)
{
	const struct itimerspec soon = { .it_value = { 0, 2000000 } };

	check_eq(timerfd_settime(timer_fd, 0, &soon, NULL), 0);
	check_eq(result_of(first->queue, first->more), 8);
}

static void test_timer(void **state)
{
	(void)state;
	timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	check(timer_fd >= 0);
	in_every_way(timer_ends, send_timer);
	close(timer_fd);
}

/* A send that had sent a part when its thread went. */
static int sockets[2];
static char big[2000000];

static int send_big(struct first *first)
{
	first->more = submit(first->queue, SYS_sendto, sockets[0], big, sizeof(big), 0, NULL, 0);
	return 0;
}

static void part_was_sent(struct first *first)
{
	size_t got = 0;
	static char buf[65536];
	int64_t result = 0;

	/* what an exit leaves of it may be a short count, as after a signal */
	while (got < sizeof(big)) {
		struct asys_event event;
		ssize_t n = recv(sockets[1], buf, sizeof(buf), MSG_DONTWAIT);

		if (n > 0) {
			got += (size_t)n;
			continue;
		}
		check_eq(errno, EAGAIN);
		if (!result && asys_queue_get_many(first->queue, &event, 1, 1, 1000000) == 1) {
			check_eq(event.id.value, first->more.value);
			result = event.result;
			check(result > 0);
		}
		if (result && got == (size_t)result)
			break;
	}
	if (!result)
		result = result_of(first->queue, first->more);
	check_eq(result, got);
}

static void test_part_was_sent(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 8; way++) {
		struct first first = { .stays = way & 1,
				       .flushes = way & 2,
				       .flags = way & 4 ? ASYS_QUEUE_SHARED : 0,
				       .no_reads = true,
				       .also = send_big };

		check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
		hand_over(&first);
		part_was_sent(&first);
		asys_queue_close(first.queue);
		hand_over_end(&first);
		close(sockets[0]);
		close(sockets[1]);
		progress();
	}
}

/* The same, cancelled by the second thread: it reports what it moved, and reads beside it go on. */
static void part_is_cancelled(struct first *first)
{
	static char buf[65536];
	struct asys_event event;
	size_t got = 0;
	int64_t result;
	ssize_t n;

	while (got < sizeof(buf))
		if ((n = recv(sockets[1], buf, sizeof(buf), MSG_DONTWAIT)) > 0)
			got += (size_t)n;
		else
			check_eq(asys_queue_get_many(first->queue, &event, 1, 1, 1000000), 0);
	check_one_of(asys_queue_cancel(first->queue, first->more), 0, -EALREADY);
	result = result_of(first->queue, first->more);
	while ((n = recv(sockets[1], buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		got += (size_t)n;
	check_eq(result, got);
	data_before(first);
}

static void test_part_is_cancelled(void **state)
{
	struct first first = { .stays = true, .flushes = true, .also = send_big };

	(void)state;
	check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	hand_over(&first);
	part_is_cancelled(&first);
	asys_queue_close(first.queue);
	hand_over_end(&first);
	close(sockets[0]);
	close(sockets[1]);
}

/* From thread to thread to thread, with a call in flight from the first on. */
struct relay {
	struct asys_queue *queue;
	int fd[2];
	char bytes[64];
	unsigned turn;
};

static void *take_turn(void *arg)
{
	struct relay *relay = arg;
	struct asys_queue *q = relay->queue;
	unsigned t = relay->turn;

	check(submit(asys_user(q, t), SYS_read, relay->fd[0], &relay->bytes[t], 1).value > 0);
	check_eq(asys_queue_flush(q), 0);
	if (t % 3 == 2) {
		struct asys_event event;

		check_eq(write(relay->fd[1], "r", 1), 1);
		check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
		check_eq(event.result, 1);
	}
	return NULL;
}

static void test_relay(void **state)
{
	struct relay relay = { .queue = open_queue() };
	pthread_t thread;

	(void)state;
	make_pipe(relay.fd);
	for (relay.turn = 0; relay.turn < 48; relay.turn++) {
		check_eq(pthread_create(&thread, NULL, take_turn, &relay), 0);
		pthread_join(thread, NULL);
		progress();
	}
	check_eq(asys_queue_pending(relay.queue), 32);
	for (unsigned k = 0; k < 32; k++)
		check_eq(write(relay.fd[1], "r", 1), 1);
	check_eq(asys_queue_barrier(relay.queue), 0);
	check_eq(drain(relay.queue), 32);
	asys_queue_close(relay.queue);
	close(relay.fd[0]);
	close(relay.fd[1]);
}

/*
 * The first thread blocks the signal for a while, so that it is summoned many times before it looks.
 * The queue is gone before it has taken all of these: none may reach it as a signal that nobody
 * handles, which would end the program.
 */
static void *open_send_and_block(void *arg)
{
	struct first *first = arg;
	sigset_t all, old;

	first->queue = open_depth(64, 0);
	for (unsigned k = 0; k < calls; k++)
		first->id[k] = submit(first->queue, SYS_read, first->fd[0], &first->bytes[k], 1);
	check_eq(asys_queue_flush(first->queue), 0);
	sigfillset(&all);
	check_eq(pthread_sigmask(SIG_SETMASK, &all, &old), 0);
	__atomic_store_n(&first->sent, 1, __ATOMIC_RELEASE);
	sleep_ms(60);
	check_eq(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
	return NULL;
}

static int summoned_often(void *arg)
{
	struct first first = { .stays = true };

	(void)arg;
	make_pipe(first.fd);
	check_eq(pthread_create(&first.thread, NULL, open_send_and_block, &first), 0);
	while (!__atomic_load_n(&first.sent, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	data_before(&first);
	asys_queue_close(first.queue);
	hand_over_end(&first);
	return 0;
}

static void test_summoned_often(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 5; k++) {
		check_child(summoned_often, NULL);
		progress();
	}
}

/* More rings than one thread, or the process, keeps account of as their owner. */
static void test_many_rings(void **state)
{
	enum { QUEUES = 80 };
	struct asys_queue *q[QUEUES];
	asys_id id[QUEUES];
	char bytes[QUEUES];
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned k = 0; k < QUEUES; k++) {
		q[k] = open_depth(4, 0);
		id[k] = submit(q[k], SYS_read, fd[0], &bytes[k], 1);
		check_eq(asys_queue_flush(q[k]), 0);
	}
	for (unsigned k = 0; k < QUEUES; k++)
		check_eq(write(fd[1], "x", 1), 1);
	for (unsigned k = 0; k < QUEUES; k++) {
		check_eq(result_of(q[k], id[k]), 1);
		asys_queue_close(q[k]);
		progress();
	}
	close(fd[0]);
	close(fd[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_data_before),
		contract(test_data_while_waiting),
		contract(test_new_calls),
		contract(test_cancelled),
		contract(test_cancelled_later),
		contract(test_closed),
		contract(test_closed_later),
		contract(test_polled),
		contract(test_timer),
		contract(test_part_was_sent),
		contract(test_relay),
		contract(test_many_rings),
		contract(test_part_is_cancelled),
		contract(test_summoned_often),
	};

	if (engine_forced("threads"))
		calls = 8; /* each has a thread, and there are twelve */
	return group(tests, argc, argv);
}
