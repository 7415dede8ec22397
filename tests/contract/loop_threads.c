/* SPDX-License-Identifier: MIT */
/* Contract: several threads watch the descriptor of one queue, or one watches it while another waits. */
#include "support.h"

#include <poll.h>
#include <pthread.h>

#define TURNS_MOST \
	5000u /* of a loop in which nothing is to be done: it would turn so often only if it spun */

struct sender {
	struct asys_queue *queue;
	pthread_t thread;
	int gate, looked_pipe[2], go_pipe[2];
};

static unsigned get_all(struct asys_queue *q, int64_t *ret_home)
{
	struct asys_event event;
	unsigned count = 0;

	while (asys_queue_get(q, &event) == 1) {
		count++;
		if (event.user == 2)
			*ret_home = event.result;
	}
	return count;
}

static void await_byte(int fd)
{
	char byte;

	check_eq(read(fd, &byte, 1), 1);
}

/* Sends a home call that waits for another, looks, and then is busy with something else until it is told to go on:
 * the call becomes ready meanwhile, and another thread hears of it first. */
static void *send_and_come_late(void *arg)
{
	static char byte;
	struct sender *s = arg;
	struct pollfd set = { .fd = asys_queue_fd(s->queue), .events = POLLIN };
	int64_t result = 0;
	asys_id gate;

	gate = submit(s->queue, SYS_read, s->gate, &byte, 1);
	submit(asys_user(asys_after(s->queue, gate), 2), SYS_gettid, 0);
	check_eq(get_all(s->queue, &result), 0);
	check_eq(write(s->looked_pipe[1], "l", 1), 1);
	await_byte(s->go_pipe[0]);
	while (!result) {
		if (poll(&set, 1, 15000) <= 0)
			support_fail(__FILE__, __LINE__, "the sender of a home call is not told");
		get_all(s->queue, &result);
	}
	check_eq(result, gettid());
	return NULL;
}

static void turn_for_a_while(struct asys_queue *q, unsigned ms, int64_t *ret_home)
{
	struct pollfd set = { .fd = asys_queue_fd(q), .events = POLLIN };
	uint64_t until = asys_now() + ms * 1000000ull;
	unsigned turns = 0;

	do {
		if (poll(&set, 1, 5) > 0)
			turns++;
		get_all(q, ret_home);
		if (turns > TURNS_MOST)
			support_fail(__FILE__, __LINE__, "the loop spins: %u turns", turns);
	} while (asys_now() < until);
}

static void check_told_late(uint32_t flags, unsigned ms)
{
	struct sender s = { .queue = open_depth(16, flags) };
	int64_t result = 0;
	int pipe[2];

	make_pipe(pipe);
	make_pipe(s.looked_pipe);
	make_pipe(s.go_pipe);
	s.gate = pipe[0];
	check(asys_queue_fd(s.queue) >= 0);
	check_eq(pthread_create(&s.thread, NULL, send_and_come_late, &s), 0);
	await_byte(s.looked_pipe[0]);
	check_eq(write(pipe[1], "g", 1), 1);
	turn_for_a_while(s.queue, ms, &result);
	check_eq(result, 0);
	check_eq(write(s.go_pipe[1], "g", 1), 1);
	pthread_join(s.thread, NULL);
	asys_queue_close(s.queue);
	close_both(pipe);
	close_both(s.looked_pipe);
	close_both(s.go_pipe);
}

static void test_home_call_of_another(void **state)
{
	(void)state;
	uncollected_or_skip("it is the loop that collects");
	for (unsigned k = 0; k < 4; k++) {
		check_told_late(ASYS_QUEUE_SHARED, 20 * k);
		check_told_late(ASYS_QUEUE_DRIVER, 20 * k);
		progress();
	}
}

struct waiter {
	struct asys_queue *queue;
	asys_id id;
};

static void *wait_for(void *arg)
{
	const struct waiter *w = arg;

	check_eq(asys_queue_wait(w->queue, w->id, NULL), 0);
	return NULL;
}

/* What the descriptor would have rung for happens while another thread waits, and is over. */
static void check_while_another_waits(void)
{
	struct waiter waiter = { .queue = open_depth(16, ASYS_QUEUE_SHARED) };
	struct pollfd set = { .fd = asys_queue_fd(waiter.queue), .events = POLLIN };
	struct asys_event event;
	pthread_t thread;
	uint64_t until;
	char bytes[2];
	int fd[2], silent[2];

	make_pipe(fd);
	make_pipe(silent);
	submit(asys_deadline(waiter.queue, asys_now() + 30000000), SYS_read, silent[0], bytes, 1);
	waiter.id = submit(waiter.queue, SYS_read, fd[0], bytes + 1, 1);
	check_eq(asys_queue_get(waiter.queue, &event), 0);
	check_eq(pthread_create(&thread, NULL, wait_for, &waiter), 0);
	while (asys_queue_get(waiter.queue, &event) != 1)
		poll(&set, 1, 1000);
	check_eq(event.result, -ETIME);
	/* The other thread may have to be woken first, and it may take a while until it runs. */
	until = asys_now() + 5000000000;
	while (poll(&set, 1, 5) > 0 && asys_queue_get(waiter.queue, &event) == 0)
		if (asys_now() > until)
			support_fail(__FILE__, __LINE__, "the descriptor reads for nothing");
	check_eq(write(fd[1], "x", 1), 1);
	pthread_join(thread, NULL);
	asys_queue_close(waiter.queue);
	close_both(fd);
	close_both(silent);
}

static void test_while_another_waits(void **state)
{
	(void)state;
	uncollected_or_skip("it is the loop that collects");
	check_while_another_waits();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_home_call_of_another),
		contract(test_while_another_waits),
	};

	return group(tests, argc, argv);
}
