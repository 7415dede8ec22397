/* SPDX-License-Identifier: MIT */
/* Contract: cancel, deadline and close of a sending, at every point of its life. */
#include "common.h"

#include <stdlib.h>
#include <string.h>

/* What a chain with a blocking read in the middle did. */
struct traces {
	uint32_t before, after, on_error, failure, always;
	int64_t read, waiting;
	char byte;
};

/* { before; read; after(read); on_error(read) } on_failure { } finally { }. Parameters: fd, traces. */
static struct asys_chain *build_blocking(void)
{
	struct asys_chain *c = open_chain();
	asys_id t = asys_param(c, 1), n, before;

#define AT(field) asys_plus(c, t, offsetof(struct traces, field))
	before = asys_chain_compute(c, count_up, AT(before), 0);
	n = asys_read(asys_store(asys_report(asys_after(c, before), 1), AT(read)), asys_param(c, 0),
		      AT(byte), 1);
	asys_chain_compute(asys_after_ok(c, n), count_up, AT(after), 0);
	asys_chain_compute(asys_after_error(asys_report(c, 2), n), count_up, AT(on_error), 0);
	asys_chain_on_failure(c);
	asys_chain_compute(c, count_up, AT(failure), 0);
	asys_chain_end(c);
	asys_chain_finally(c);
	asys_chain_compute(c, count_up, AT(always), 0);
	asys_chain_end(c);
#undef AT
	make_ready(c);
	return c;
}

static struct traces traces;

static asys_id send_blocking(struct asys_queue *q, struct asys_chain *c, int fd)
{
	memset(&traces, 0, sizeof(traces));
	traces.read = UNTOUCHED;
	return asys_chain_send(asys_user(q, 9), c, fd, &traces);
}

/* All of its events: two reports, then the end; returns the end's result. */
static int64_t take_all(struct asys_queue *q, asys_id id, int64_t *ret_reports)
{
	for (unsigned i = 0; i < 2; i++) {
		struct asys_event event = take_event(q);

		check_eq(event.id.value, id.value);
		check(event.user == 1 || event.user == 2);
		ret_reports[event.user - 1] = event.result;
	}
	struct asys_event event = take_event(q);

	check_eq(event.id.value, id.value);
	check_eq(event.user, 9);
	check_quiet(q);
	return event.result;
}

static void test_in_a_blocking_read(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_chain *c = build_blocking();
	int64_t reports[2];
	asys_id id;
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < 20; i++) {
		id = send_blocking(q, c, fd[0]);
		check_eq(asys_queue_flush(q), 0);
		if (i % 2)
			sleep_ms(1);
		check_eq(asys_queue_cancel(q, id), 0);
		check_eq(asys_queue_cancel(q, id), -EALREADY);
		check_eq(take_all(q, id, reports), -ECANCELED);
		check_eq(reports[0], -ECANCELED);
		check_eq(reports[1], -ECANCELED);
		check_eq(traces.after + traces.on_error, 0);
		check_eq(traces.failure, 1);
		check_eq(traces.always, 1);
		check_eq(asys_queue_cancel(q, id), -ESTALE);
	}
	/* nobody is left who would take the byte */
	check_eq(write(fd[1], "x", 1), 1);
	id = send_blocking(q, c, fd[0]);
	check_eq(take_all(q, id, reports), 0);
	check_eq(reports[0], 1);
	check_eq(reports[1], -ECANCELED);
	check_eq(traces.after, 1);
	check_eq(traces.failure, 0);
	check_eq(traces.always, 1);
	close_all(q, c, fd);
}

/* Before it started, because it was not flushed, or waits for something else. */
static void test_before_it_started(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_chain *c = build_blocking();
	int64_t reports[2];
	asys_id id, gate;
	int fd[2];
	char byte;

	(void)state;
	make_pipe(fd);
	gate = submit(q, SYS_read, fd[0], &byte, 1);
	asys_after(q, gate);
	id = send_blocking(q, c, fd[0]);
	asys_queue_flush(q);
	check_eq(asys_queue_cancel(q, id), 0);
	for (unsigned i = 0; i < 3; i++) {
		struct asys_event event = take_event(q);

		check_eq(event.id.value, id.value);
		check_eq(event.result, -ECANCELED);
	}
	check_eq(traces.before + traces.after + traces.on_error, 0);
	check_eq(traces.read, UNTOUCHED);
	check_eq(asys_queue_cancel(q, gate), 0);
	check_eq(result_of(q, gate), -ECANCELED);
	id = send_blocking(q, c, fd[0]);
	check_eq(asys_queue_cancel(q, id), 0);
	check_eq(take_all(q, id, reports), -ECANCELED);
	check_eq(traces.after, 0);
	close_all(q, c, fd);
}

static void test_deadline(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_chain *c = build_blocking();
	int64_t reports[2];
	asys_id id;
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < 4; i++) {
		asys_deadline(q, asys_now() + i * 1000000);
		id = send_blocking(q, c, fd[0]);
		check_eq(take_all(q, id, reports), -ETIME);
		check(reports[0] < 0);
		check_eq(reports[1], -ECANCELED);
		check_eq(traces.after + traces.on_error, 0);
	}
	/* one that is met */
	check_eq(write(fd[1], "x", 1), 1);
	asys_deadline(q, asys_now() + UINT64_C(60000000000));
	id = send_blocking(q, c, fd[0]);
	check_eq(take_all(q, id, reports), 0);
	check_eq(traces.after, 1);
	close_all(q, c, fd);
}

/* A timer is no call, and ends with the sending too; a loop between its steps. */
static void test_timer_and_endless_loop(void **state)
{
	static uint32_t count, always;
	struct asys_queue *q = open_queue();
	struct asys_chain *timer = open_chain(), *loop = open_chain();
	asys_id n, id;

	(void)state;
	count = always = 0;
	asys_chain_timer(timer, UINT64_C(3600000000000));
	asys_chain_finally(timer);
	count_step(timer, always);
	asys_chain_end(timer);
	make_ready(timer);
	id = asys_chain_send(q, timer);
	asys_queue_flush(q);
	check_eq(asys_queue_cancel(q, id), 0);
	check_eq(result_of(q, id), -ECANCELED);
	check_eq(always, 1);
	id = asys_chain_send(asys_deadline(q, asys_now() + 2000000), timer);
	check_eq(result_of(q, id), -ETIME);
	check_eq(always, 2);
	asys_chain_loop(loop, UINT32_MAX);
	n = asys_chain_compute(loop, next_of, &count);
	asys_chain_timer(asys_after(loop, n), 100000);
	asys_chain_while(loop, n, ASYS_ALWAYS);
	make_ready(loop);
	id = asys_chain_send(asys_deadline(q, asys_now() + 5000000), loop);
	check_eq(result_of(q, id), -ETIME);
	const uint32_t then = count;

	check(then > 0);
	sleep_ms(2);
	check_eq(count, then);
	id = asys_chain_send(q, loop);
	asys_queue_flush(q);
	sleep_ms(1);
	check_eq(asys_queue_cancel_all(q), 1);
	check_eq(result_of(q, id), -ECANCELED);
	asys_chain_close(timer);
	asys_chain_close(loop);
	asys_queue_close(q);
}

/* A deadline passes while only quick steps run. */
static int64_t spend(const uint64_t arg[6])
{
	const uint64_t until = asys_now() + arg[0];

	while (asys_now() < until)
		;
	return 0;
}

static void test_deadline_between_quick_steps(void **state)
{
	static uint32_t ran;
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();
	asys_id slow, id;

	(void)state;
	ran = 0;
	slow = asys_chain_compute(c, spend, 3000000);
	count_step(asys_after(c, slow), ran);
	make_ready(c);
	id = asys_chain_send(asys_deadline(q, asys_now() + 1000000), c);
	check_eq(result_of(q, id), -ETIME);
	check_eq(ran, 0);
	asys_chain_close(c);
	asys_queue_close(q);
}

/* Cancelled at any moment: one end, cleanup once, and no step after it. */
static void test_at_any_moment(void **state)
{
	static uint32_t opened, always;
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();
	uint32_t random = 12345, wholes = 0;
	const unsigned rounds = iterations(2000);
	asys_id last;

	(void)state;
	last = count_step(c, opened);
	for (unsigned i = 0; i < 6; i++)
		last = asys_chain_timer(asys_after_ok(c, last), i % 2 ? 3000 : 0);
	asys_getppid(asys_after_ok(c, last));
	asys_chain_finally(c);
	count_step(c, always);
	asys_chain_end(c);
	make_ready(c);
	for (unsigned i = 0; i < rounds; i++) {
		struct asys_event event = { .result = 0 };
		asys_id id;
		int err;

		opened = always = 0;
		id = asys_chain_send(q, c);
		if (asys_queue_get_many(q, &event, 1, 1, next_random(&random) % 600000) == 1) {
			err = 0;
			wholes++;
		} else {
			err = asys_queue_cancel(q, id);
			check_one_of(err, 0, -EALREADY);
			event.result = result_of(q, id);
		}
		check_one_of(event.result, 0, -ECANCELED);
		check(event.result == 0 || err == 0);
		check(opened <= 1);
		check_eq(always, 1);
		check_quiet(q);
		if (i % 256 == 0)
			progress();
	}
	printf("%u of %u ended before\n", wholes, rounds);
	asys_chain_close(c);
	asys_queue_close(q);
}

/* What cleans up is not cancelled, wherever it is at that moment. */
static void test_in_cleanup(void **state)
{
	static const struct timespec moment = { 0, 20000000 };
	static int64_t timer, slept, got, wrote;
	static uint32_t begun;
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();
	char byte = 0;
	asys_id id, t;
	int fd[2];

	(void)state;
	make_pipe(fd);
	asys_getppid(c);
	asys_chain_finally(c);
	asys_chain_compute(c, count_up, &begun, 0);
	t = asys_chain_timer(asys_store(c, &timer), 30000000);
	asys_nanosleep(asys_store(c, &slept), &moment, NULL);
	asys_read(asys_store(c, &got), fd[0], &byte, 1);
	asys_write(asys_store(asys_after(c, t), &wrote), fd[1], "c", 1);
	asys_chain_end(c);
	make_ready(c);
	for (unsigned round = 0; round < 8; round++) {
		struct asys_event event;

		timer = slept = got = wrote = UNTOUCHED;
		__atomic_store_n(&begun, 0, __ATOMIC_SEQ_CST);
		id = asys_chain_send(q, c);
		while (!__atomic_load_n(&begun, __ATOMIC_SEQ_CST))
			check_eq(asys_queue_get_many(q, &event, 1, 1, 100000), 0);
		/* in all of what is out, and before any of it has begun */
		if (round % 2)
			check_eq(asys_queue_get_many(q, &event, 1, 1, 1000000 * round), 0);
		check_eq(asys_queue_cancel(q, id), 0);
		check_eq(result_of(q, id), 0);
		check_eq(timer, 0);
		check_eq(slept, 0);
		check_eq(got, 1);
		check_eq(wrote, 1);
		check_eq(byte, 'c');
	}
	close_all(q, c, fd);
}

/* The queue is closed with sendings in flight: cleanups run, nothing touches memory afterwards. */
static void test_close_in_flight(void **state)
{
	struct asys_chain *c = build_blocking();
	struct traces *many = calloc(50, sizeof(*many));
	int fd[2];

	(void)state;
	check(many);
	make_pipe(fd);
	for (unsigned flags = 0; flags < 2; flags++) {
		struct asys_queue *q = open_depth(64, flags ? ASYS_QUEUE_DRIVER : 0);

		memset(many, 0, 50 * sizeof(*many));
		for (unsigned i = 0; i < 50; i++) {
			many[i].read = UNTOUCHED;
			check(asys_chain_send(q, c, fd[0], &many[i]).value > 0);
		}
		if (flags)
			sleep_ms(2);
		asys_queue_flush(q);
		asys_queue_close(q);
		for (unsigned i = 0; i < 50; i++) {
			check_eq(many[i].always, 1);
			check_eq(many[i].after, 0);
		}
	}
	/* the chain is still good */
	struct asys_queue *q = open_queue();
	asys_id id = send_blocking(q, c, fd[0]);

	check_eq(write(fd[1], "x", 1), 1);
	check_eq(result_of(q, id), 0);
	asys_queue_close(q);
	asys_chain_close(c);
	free(many);
	close(fd[0]);
	close(fd[1]);
}

/* A chain is closed while sendings run: they end as if not. */
static void test_chain_closed_in_flight(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_chain *c = build_blocking();
	int64_t reports[2];
	asys_id id;
	int fd[2];

	(void)state;
	make_pipe(fd);
	id = send_blocking(q, c, fd[0]);
	asys_queue_flush(q);
	asys_chain_close(c);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(take_all(q, id, reports), 0);
	check_eq(traces.after, 1);
	check_eq(traces.always, 1);
	/* not started yet */
	c = build_blocking();
	id = send_blocking(q, c, fd[0]);
	asys_chain_close(c);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(take_all(q, id, reports), 0);
	/* nor got any more: with the queue */
	c = build_blocking();
	send_blocking(q, c, fd[0]);
	close_all(q, c, fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_in_a_blocking_read),
		contract(test_before_it_started),
		contract(test_deadline),
		contract(test_timer_and_endless_loop),
		contract(test_deadline_between_quick_steps),
		contract(test_at_any_moment),
		contract(test_in_cleanup),
		contract(test_close_in_flight),
		contract(test_chain_closed_in_flight),
	};

	return group(tests, argc, argv);
}
