/* SPDX-License-Identifier: MIT */
/* Contract: what a sending brings, what it takes, and what modifies it. */
#include "common.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static void test_one_event(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();
	struct asys_event event;
	asys_id id;

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		asys_getppid(c);
	make_ready(c);
	id = asys_chain_send(asys_user(q, 4711), c);
	check(id.value > 0);
	check_eq(asys_queue_pending(q), 1);
	event = take_event(q);
	check_eq(event.id.value, id.value);
	check_eq(event.user, 4711);
	check_eq(event.result, 0);
	check_quiet(q);
	check_eq(asys_queue_wait(q, id, NULL), -ESTALE);
	/* the user word is the next call's only */
	id = asys_chain_send(q, c);
	event = take_event(q);
	check_eq(event.user, 0);
	asys_chain_close(c);
	asys_queue_close(q);
}

/* Reports: the sending's id, the step's word; before the end; a skipped one says so. */
static void test_reports(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();
	asys_id id, one;
	struct asys_event event;
	unsigned seen[8] = { 0 };

	(void)state;
	one = value_step(asys_report(c, 1), 11);
	asys_chain_compute(asys_report(asys_when(c, one, ASYS_ZERO), 2), give, 22);
	asys_close(asys_may_fail(asys_report(c, 3)), -1);
	asys_chain_timer(asys_report(c, 4), 100000);
	asys_chain_if(asys_report(c, 5), one, ASYS_OK);
	value_step(c, 55);
	asys_chain_end(c);
	asys_chain_if(asys_report(c, 6), one, ASYS_ZERO);
	value_step(asys_report(c, 7), 77);
	asys_chain_end(c);
	make_ready(c);
	id = asys_chain_send(asys_user(q, 9), c);
	for (unsigned i = 0; i < 7; i++) {
		static const int64_t results[] = { 0, 11, -ECANCELED, -EBADF,
						   0, 0,  -ECANCELED, -ECANCELED };

		event = take_event(q);
		check_eq(event.id.value, id.value);
		check(event.user >= 1 && event.user <= 7);
		check_eq(event.result, results[event.user]);
		check_eq(seen[event.user]++, 0);
	}
	event = take_event(q);
	check_eq(event.id.value, id.value);
	check_eq(event.user, 9);
	check_eq(event.result, 0);
	check_quiet(q);
	asys_chain_close(c);
	asys_queue_close(q);
}

/* A report comes when its step has ended, not with the chain's end. */
static void test_report_at_once(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();
	struct asys_event event;
	char byte;
	int fd[2];

	(void)state;
	make_pipe(fd);
	asys_getppid(asys_report(c, 1));
	asys_read(c, fd[0], &byte, 1);
	make_ready(c);
	asys_chain_send(asys_user(q, 2), c);
	event = take_event(q);
	check_eq(event.user, 1);
	check_eq(event.result, getppid());
	check_eq(asys_queue_get(q, &event), 0);
	check_eq(asys_queue_pending(q), 1);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(take_event(q).user, 2);
	check_quiet(q);
	close_all(q, c, fd);
}

static void test_reports_in_a_loop(void **state)
{
	static uint32_t count;
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();
	asys_id n;

	(void)state;
	count = 0;
	asys_chain_loop(asys_report(c, 2), 50);
	n = asys_chain_compute(asys_report(c, 1), next_of, &count);
	asys_chain_compute(asys_report(asys_when(c, n, ASYS_ZERO), 3), give, 1);
	asys_chain_end(c);
	make_ready(c);
	asys_chain_send(q, c);
	unsigned ones = 0, threes = 0, loops = 0, ran = 0;
	struct asys_event event;

	while ((event = take_event(q)).user) {
		if (event.user == 1)
			check_eq(event.result, ones++);
		if (event.user == 2) {
			check_eq(event.result, 50);
			loops++;
		}
		if (event.user == 3) {
			threes++;
			ran += event.result == 1;
		}
	}
	check_eq(ones, 50);
	check_eq(threes, 50);
	check_eq(ran, 1);
	check_eq(loops, 1);
	check_quiet(q);
	asys_chain_close(c);
	asys_queue_close(q);
}

/* Waiting for the sending by its id gives its end; the reports stay, to be got. */
static void test_wait_leaves_reports(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();
	asys_id id;

	(void)state;
	asys_chain_result(c, value_step(c, 5));
	value_step(asys_report(c, 1), 6);
	make_ready(c);
	id = asys_chain_send(asys_user(q, 2), c);
	check_eq(result_of(q, id), 5);
	check_eq(take_event(q).result, 6);
	check_quiet(q);
	asys_chain_close(c);
	asys_queue_close(q);
}

/* What a step reports has the sending's id, and never stands for the sending's own event. */
static void check_reports_are_not_its_end(void)
{
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain(), *bad = open_chain();
	asys_id id, one;

	asys_chain_result(c, value_step(asys_report(c, 1), 42));
	make_ready(c);
	id = asys_chain_send(asys_quiet(q), c);
	check_eq(asys_queue_wait(q, id, NULL), -ESTALE);
	check_eq(take_event(q).result, 42);
	id = asys_chain_send(q, c);
	check_eq(result_of(q, id), 42);
	check_eq(asys_queue_wait(q, id, NULL), -ESTALE);
	one = value_step(asys_report(bad, 1), 42);
	asys_close(asys_after(bad, one), -1);
	make_ready(bad);
	id = asys_chain_send(q, bad);
	check_eq(result_of(q, id), -EBADF);
	check_eq(result_of(q, submit(asys_after_ok(q, id), SYS_getppid, 0)), -ESTALE);
	check_eq(drain(q), 2);
	check_quiet(q);
	asys_chain_close(c);
	asys_chain_close(bad);
	asys_queue_close(q);
}

static void test_reports_are_not_its_end(void **state)
{
	(void)state;
	uncollected_or_skip("the reports must not be taken");
	check_reports_are_not_its_end();
}

/* Beside a sending that reports without an end, others' events are got in their turn; who gets as many as he can
 * keeps up. */
static void beside_reports(uint32_t flags, unsigned at_once)
{
	struct asys_queue *q = open_depth(64, flags);
	struct asys_chain *c = open_chain();
	struct asys_event events[64];
	asys_id endless;

	asys_chain_loop(c, UINT32_MAX);
	value_step(asys_report(c, 7), 1);
	asys_chain_end(c);
	make_ready(c);
	endless = asys_chain_send(q, c);
	check(endless.value > 0);
	for (unsigned n = 0; n < 20; n++) {
		const uint64_t late = asys_now() + UINT64_C(5000000000);
		unsigned visits = 0;
		bool got = false;

		submit(asys_user(q, 8), SYS_getppid, 0);
		while (!got && (visits++ < 20000 || asys_now() < late)) {
			int some = asys_queue_get_many(q, events, at_once, 1, ASYS_FOREVER);

			check(some > 0);
			for (int k = 0; k < some; k++)
				got |= events[k].user == 8;
		}
		check(got);
		progress();
	}
	if (at_once == 64)
		check(asys_queue_pending(q) < 4096);
	check_eq(asys_queue_cancel(q, endless), 0);
	asys_queue_close(q);
	asys_chain_close(c);
}

static void test_beside_reports(void **state)
{
	(void)state;
	uncollected_or_skip("who gets one event a turn cannot keep up");
	if (driver_is("thread"))
		skip_because("a driver reports as fast as it can (docs/LIMITS.md)");
	for (unsigned at_once = 1; at_once <= 64; at_once *= 8) {
		beside_reports(0, at_once);
		beside_reports(ASYS_QUEUE_SHARED, at_once);
	}
}

static void test_quiet(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();
	struct asys_event event;

	(void)state;
	asys_chain_compute(asys_report(c, 1), give, asys_param(c, 0));
	make_ready(c);
	check(asys_chain_send(asys_quiet(asys_user(q, 2)), c, 5).value > 0);
	check(asys_chain_send(asys_quiet(asys_user(q, 2)), c, -EIO).value > 0);
	check_eq(asys_queue_barrier(q), -EIO);
	unsigned ends = 0, reports = 0;

	while (asys_queue_get(q, &event) == 1) {
		ends += event.user == 2;
		reports += event.user == 1;
		check(event.user != 2 || event.result == -EIO);
	}
	check_eq(ends, 1);
	check_eq(reports, 2);
	check_quiet(q);
	asys_chain_close(c);
	asys_queue_close(q);
}

/* ---- parameters ----------------------------------------------------------------------------- */

static int64_t all_six(const uint64_t arg[6])
{
	int64_t value = 0;

	for (unsigned i = 0; i < 6; i++)
		value = value * 10 + (int64_t)arg[i];
	return value;
}

static void check_parameters(void)
{
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();
	asys_id id, of;

	asys_chain_result(c,
			  asys_chain_compute(c, all_six, asys_param(c, 0), asys_param(c, 1),
					     asys_param(c, 2), asys_param(c, 3), asys_param(c, 4),
					     asys_plus(c, asys_param(c, 5), 1)));
	make_ready(c);
	check_eq(result_of(q, asys_chain_send(q, c, 0, 0, 0, 0, 0, 0)), 1);
	check_eq(result_of(q, asys_chain_send(q, c, 1, 2, 3, 4, 5, 6)), 123457);
	check_eq(result_of(q, asys_chain_send(q, c, NULL, 2, 0, 0, 0, NULL)), 20001);
	/* ids of calls and of sendings, mixed with words */
	int fd = memory_file();

	of = submit(q, SYS_lseek, fd, 7, SEEK_SET);
	id = asys_chain_send(q, c, 1, of, 3, 0, 0, 0);
	check_eq(result_of(q, id), 173001);
	id = asys_chain_send(q, c, of, asys_chain_send(q, c, 0, 0, 0, 0, 0, 5), of, 0, 0, 0);
	check_eq(result_of(q, id), 700000 + 60000 + 7000 + 1);
	check_eq(drain(q), 2);
	close(fd);
	asys_chain_close(c);
	asys_queue_close(q);
}

static void test_parameters(void **state)
{
	(void)state;
	uncollected_or_skip("calls that have ended are named: their events must not be taken");
	check_parameters();
}

/* A parameter that failed: the sending ends at once with that; nothing runs, reports say so. */
static void check_failed_parameter(void)
{
	static uint32_t ran;
	struct asys_queue *q = open_queue(), *other = open_queue();
	struct asys_chain *c = open_chain();
	asys_id bad, foreign, id;

	ran = 0;
	count_step(c, ran);
	asys_chain_finally(c);
	count_step(c, ran);
	asys_chain_end(c);
	make_ready(c);
	bad = submit(q, SYS_close, -1);
	check_eq(result_of(q, asys_chain_send(q, c, 1, bad)), -EBADF);
	id = asys_chain_send(q, c, bad);
	check_eq(result_of(q, asys_chain_send(q, c, id)), -EBADF);
	check_eq(result_of(q, id), -EBADF);
	check_eq(result_of(q, bad), -EBADF);
	check_eq(result_of(q, asys_chain_send(q, c, bad)), -ESTALE);
	foreign = submit(other, SYS_getppid, 0);
	check_eq(result_of(q, asys_chain_send(q, c, foreign)), -EXDEV);
	check_eq(ran, 0);
	drain(other);
	check_quiet(q);
	asys_chain_close(c);
	asys_queue_close(q);
	asys_queue_close(other);
}

static void test_failed_parameter(void **state)
{
	(void)state;
	uncollected_or_skip("calls that have ended are named: their events must not be taken");
	check_failed_parameter();
}

/* ---- modifiers ------------------------------------------------------------------------------ */

static void test_after(void **state)
{
	static uint32_t ran;
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();
	asys_id gate, good, bad, id[6];
	char byte;
	int fd[2];

	(void)state;
	ran = 0;
	make_pipe(fd);
	count_step(c, ran);
	make_ready(c);
	gate = submit(q, SYS_read, fd[0], &byte, 1);
	id[0] = asys_chain_send(asys_after(q, gate), c);
	/* a call may wait for a sending */
	id[1] = submit(asys_after_ok(q, id[0]), SYS_getppid, 0);
	check_eq(asys_queue_flush(q), 0);
	check_eq(asys_queue_get(q, &(struct asys_event){ .result = 0 }), 0);
	check_eq(ran, 0);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(result_of(q, id[1]), getppid());
	check_eq(ran, 1);
	good = submit(q, SYS_getppid, 0);
	bad = submit(q, SYS_close, -1);
	id[2] = asys_chain_send(asys_after_ok(q, good), c);
	id[3] = asys_chain_send(asys_after_ok(q, bad), c);
	id[4] = asys_chain_send(asys_after_error(q, good), c);
	id[5] = asys_chain_send(asys_after_error(q, bad), c);
	check_eq(result_of(q, id[2]), 0);
	check_eq(result_of(q, id[3]), -ECANCELED);
	check_eq(result_of(q, id[4]), -ECANCELED);
	check_eq(result_of(q, id[5]), 0);
	check_eq(ran, 3);
	drain(q);
	close_all(q, c, fd);
}

/* Where one thread does everything, the order of priorities can be seen. */
static void test_priority(void **state)
{
	static uint32_t at;
	static int64_t turn[3];
	struct asys_queue_options options;
	struct asys_queue *q;
	struct asys_chain *c = open_chain();

	(void)state;
	at = 0;
	asys_chain_compute(asys_store(c, asys_param(c, 0)), next_of, &at);
	make_ready(c);
	asys_queue_options_init(&options);
	options.engine = ASYS_ENGINE_INLINE;
	options.cores = 1;
	q = open_with(&options);
	asys_chain_send(asys_low(q), c, &turn[2]);
	asys_chain_send(q, c, &turn[1]);
	asys_chain_send(asys_high(q), c, &turn[0]);
	check_eq(drain(q), 3);
	/* A driver may begin with the first before the last is sent. */
	if ((engine_forced("inline") || !getenv("ASYS_ENGINE")) && !driver_is("thread"))
		for (unsigned i = 0; i < 3; i++)
			check_eq(turn[i], i);
	check_eq(at, 3);
	asys_queue_close(q);
	asys_chain_close(c);
}

/* Many at once, each with its own parameters and memory. */
static void test_many_at_once(void **state)
{
	enum { MANY = 2000 };
	static int64_t slot[MANY];
	struct asys_queue *q = open_depth(512, 0);
	struct asys_chain *c = open_chain();
	asys_id a, id[MANY];

	(void)state;
	a = asys_chain_compute(c, sum, asys_param(c, 0), 1);
	a = asys_chain_compute(asys_store(c, asys_param(c, 1)), sum, a, a);
	asys_chain_result(c, asys_chain_compute(asys_after(c, a), give,
						asys_load(c, asys_param(c, 1))));
	make_ready(c);
	for (unsigned i = 0; i < MANY; i++)
		id[i] = asys_chain_send(q, c, i, &slot[i]);
	for (unsigned i = 0; i < MANY; i++)
		check_eq(result_of(q, id[i]), 2 * i + 2);
	check_quiet(q);
	asys_chain_close(c);
	asys_queue_close(q);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_one_event),
		contract(test_reports),
		contract(test_report_at_once),
		contract(test_reports_in_a_loop),
		contract(test_wait_leaves_reports),
		contract(test_reports_are_not_its_end),
		contract(test_beside_reports),
		contract(test_quiet),
		contract(test_parameters),
		contract(test_failed_parameter),
		contract(test_after),
		contract(test_priority),
		contract(test_many_at_once),
	};

	return group(tests, argc, argv);
}
