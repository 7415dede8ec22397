/* SPDX-License-Identifier: MIT */
/*
 * Contract: what is crowded out has its turn all the same: slow calls and sendings beside quick calls of which there
 * are always some that no thread has taken yet; a step that found no slot, once somebody takes an event.
 */
#include "endless.h"

#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#define QUICK 1500u
#define QUICK_BYTES 131072u /* long enough that the client sends faster than threads read */
#define OTHERS 4u
#define QUICK_USER UINT64_C(7)
/* So many quick calls end at most before the others have: 3,500 as a rule, more where a thread that has one of the others is
 * kept from its core. Without turns it is up to 660,000. */
#define QUICK_MOST 60000u

static char area[QUICK_BYTES];

struct crowd {
	struct asys_queue *q;
	struct asys_chain *chain;
	int file, pipe[2];
	char in;
};

static void send_quick(const struct crowd *c)
{
	submit(asys_high(asys_user(c->q, QUICK_USER)), SYS_pread64, c->file, area, QUICK_BYTES, 0);
}

static void send_read(struct crowd *c)
{
	check_eq(write(c->pipe[1], "x", 1), 1);
	submit(c->q, SYS_read, c->pipe[0], &c->in, 1);
}

static void send_sleep(struct crowd *c)
{
	static const struct timespec nap = { 0, 1000 };

	submit(c->q, SYS_nanosleep, &nap, NULL);
}

static void send_low(struct crowd *c)
{
	submit(asys_low(c->q), SYS_pread64, c->file, &c->in, 1, 0);
}

static void send_sending(struct crowd *c)
{
	check_eq(write(c->pipe[1], "x", 1), 1);
	check(asys_chain_send(asys_low(c->q), c->chain).value > 0);
}

static void (*const kinds[])(struct crowd *c) = { send_read, send_sleep, send_low, send_sending };

static void crowd(uint32_t flags, unsigned threads, void (*send)(struct crowd *c))
{
	const uint64_t late = asys_now() + UINT64_C(20000000000);
	struct asys_queue_options options;
	struct asys_event events[64];
	struct crowd c;
	unsigned got = 0, quick = 0;

	asys_queue_options_init(&options);
	options.flags = flags;
	options.threads = threads;
	options.depth = 2 * QUICK;
	c.q = open_with(&options);
	c.file = memory_file();
	check_eq(ftruncate(c.file, QUICK_BYTES), 0);
	make_pipe(c.pipe);
	check_eq(asys_chain_open(&c.chain, NULL), 0);
	asys_getppid(c.chain);
	asys_read(c.chain, c.pipe[0], &c.in, 1);
	check_eq(asys_chain_ready(c.chain), 0);
	for (unsigned k = 0; k < QUICK; k++)
		send_quick(&c);
	check_eq(asys_queue_flush(c.q), 0);
	for (unsigned k = 0; k < OTHERS; k++)
		send(&c);
	check_eq(asys_queue_flush(c.q), 0);
	while (got < OTHERS && quick < QUICK_MOST && asys_now() < late) {
		int n = asys_queue_get_many(c.q, events, 64, 1, ASYS_FOREVER);

		check(n > 0);
		for (int k = 0; k < n; k++) {
			if (events[k].user == QUICK_USER) {
				send_quick(&c);
				quick++;
			} else {
				got++;
			}
		}
	}
	check_eq(got, OTHERS);
	asys_queue_close(c.q);
	asys_chain_close(c.chain);
	close(c.file);
	close(c.pipe[0]);
	close(c.pipe[1]);
	progress();
}

static void crowds(uint32_t flags)
{
	for (unsigned threads = 1; threads <= 3; threads++)
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
			crowd(flags, threads, kinds[k]);
}

static void test_quick_calls(void **state)
{
	(void)state;
	crowds(0);
	crowds(ASYS_QUEUE_SHARED);
	crowds(ASYS_QUEUE_DRIVER);
}

static void test_quick_calls_no_help(void **state)
{
	(void)state;
	if (engine_forced("inline"))
		skip_because("engine inline and NO_HELP exclude each other");
	crowds(ASYS_QUEUE_NO_HELP);
}

/* A sending behind many slow calls, where threads alone run all: it has its turn between them. */
#define NAPS 600u

static void sending_behind_naps(unsigned threads)
{
	static const struct timespec nap = { 0, 2000000 };
	struct asys_queue_options options;
	struct asys_stats stats;
	struct asys_event event;
	struct asys_chain *c;
	struct asys_queue *q;

	asys_queue_options_init(&options);
	options.engine = ASYS_ENGINE_THREADS;
	options.threads = threads;
	options.depth = 2 * NAPS;
	q = open_with(&options);
	check_eq(asys_chain_open(&c, NULL), 0);
	asys_getppid(c);
	check_eq(asys_chain_ready(c), 0);
	for (unsigned n = 0; n < NAPS; n++)
		submit(asys_quiet(q), SYS_nanosleep, &nap, NULL);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(20);
	check_eq(asys_queue_wait(q, asys_chain_send(q, c), &event), 0);
	check_eq(asys_queue_stats(q, &stats), 0);
	check(stats.ended < NAPS * 3 / 4);
	asys_queue_close(q);
	asys_chain_close(c);
	progress();
}

static void test_sending_behind_naps(void **state)
{
	(void)state;
	if (engine_forced("inline"))
		skip_because("who waits has nothing else to do");
	sending_behind_naps(2);
	sending_behind_naps(4);
}

/* Slots */

#define CALLS 2u	    /* the depth */
#define SLOTS (64u * CALLS) /* sched/queue.c: slots for steps included */

/* As many steps at once as there are slots but for that of a call that has ended, and one more, which can end. */
static struct asys_chain *one_too_many(const int silent[2], const int ready[2], int64_t *ret_result)
{
	static char in[2];
	struct asys_chain *c;

	*ret_result = -1;
	check_eq(write(ready[1], "x", 1), 1);
	check_eq(asys_chain_open(&c, NULL), 0);
	for (unsigned k = 0; k < SLOTS - 1; k++)
		asys_recvfrom(c, silent[0], &in[0], 1, 0, NULL, NULL);
	asys_recvfrom(asys_store(c, ret_result), ready[0], &in[1], 1, 0, NULL, NULL);
	check_eq(asys_chain_ready(c), 0);
	return c;
}

/* Who takes the event frees a slot: the sleeper is woken, and the descriptor reads. */
static void slot_of_an_event(uint32_t flags, bool loop)
{
	static int64_t result;
	struct asys_queue *q = open_depth(CALLS, flags);
	struct pollfd pfd = { .fd = loop ? asys_queue_fd(q) : -1, .events = POLLIN };
	uint64_t late = asys_now() + UINT64_C(10000000000);
	struct waiter w = { .q = q };
	struct asys_event event;
	int silent[2], ready[2], unread = 1;
	struct asys_chain *c;
	pthread_t thread;

	check_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, silent), 0);
	check_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ready), 0);
	c = one_too_many(silent, ready, &result);
	submit(q, SYS_getppid, 0);
	w.id = asys_chain_send(q, c);
	check(w.id.value > 0);
	if (!loop)
		check_eq(pthread_create(&thread, NULL, wait_for, &w), 0);
	sleep_ms(10);
	if (!loop)
		check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
	while (ioctl(ready[0], FIONREAD, &unread) == 0 && unread && asys_now() < late) {
		if (loop && poll(&pfd, 1, 100) == 1)
			asys_queue_get(q, &event);
		else if (!loop)
			sleep_ms(1);
	}
	check_eq(unread, 0);
	check_eq(asys_queue_cancel(q, w.id), 0);
	if (!loop)
		pthread_join(thread, NULL);
	asys_queue_close(q);
	asys_chain_close(c);
	check_eq(result, 1);
	for (unsigned k = 0; k < 2; k++) {
		close(silent[k]);
		close(ready[k]);
	}
	progress();
}

static void test_slot_of_an_event(void **state)
{
	(void)state;
	if (engine_forced("threads"))
		skip_because("each step would need a thread");
	slot_of_an_event(0, true);
	slot_of_an_event(ASYS_QUEUE_SHARED, true);
	slot_of_an_event(ASYS_QUEUE_SHARED, false);
	slot_of_an_event(ASYS_QUEUE_DRIVER, true);
	slot_of_an_event(ASYS_QUEUE_DRIVER, false);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		contract(test_quick_calls),
		contract(test_quick_calls_no_help),
		contract(test_sending_behind_naps),
		contract(test_slot_of_an_event),
	};

	return group(tests, argc, argv);
}
