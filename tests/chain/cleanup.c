/* SPDX-License-Identifier: MIT */
/* Contract: the failure path, what a failure means, and what the sending's result is. */
#include "common.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static int64_t run_with(struct asys_chain *chain, int64_t param)
{
	struct asys_queue *q = open_queue();
	int64_t result = run_on(q, chain, param);

	asys_queue_close(q);
	return result;
}

/* ---- the result ----------------------------------------------------------------------------- */

static void test_result_step(void **state)
{
	static const int64_t values[] = { 0, 5, -1, -4095, -4096, INT64_MIN, INT64_MAX };
	struct asys_chain *c = open_chain(), *allowed = open_chain();
	asys_id step = asys_chain_compute(c, give, asys_param(c, 0));

	(void)state;
	value_step(c, 3);
	check_eq(asys_chain_result(c, step), 0);
	make_ready(c);
	step = asys_chain_compute(asys_may_fail(allowed), give, asys_param(allowed, 0));
	check_eq(asys_chain_result(allowed, step), 0);
	make_ready(allowed);
	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		check_eq(run_with(c, values[i]), values[i]);
		check_eq(run_with(allowed, values[i]), values[i]);
	}
	asys_chain_close(c);
	asys_chain_close(allowed);
}

/* A failure is the result, whatever step was named. */
static void test_failure_is_the_result(void **state)
{
	struct asys_chain *c = open_chain();

	(void)state;
	asys_chain_result(c, value_step(c, 3));
	asys_close(c, -1);
	check_eq(run_and_close(c), -EBADF);
	/* the first of two that follow each other */
	c = open_chain();
	asys_id first = asys_close(c, -1);

	value_step(asys_after_error(c, first), -EIO);
	check_eq(run_and_close(c), -EBADF);
	/* one allowed, then one not */
	c = open_chain();
	first = asys_close(asys_may_fail(c), -1);
	value_step(asys_after_error(c, first), -EIO);
	check_eq(run_and_close(c), -EIO);
	/* -4096 and less is no failure */
	c = open_chain();
	value_step(c, -4096);
	check_eq(run_and_close(c), 0);
}

static void test_result_of_skipped(void **state)
{
	struct asys_chain *c = open_chain();
	asys_id one = value_step(c, 1);

	(void)state;
	asys_chain_result(c, asys_chain_compute(asys_when(c, one, ASYS_ZERO), give, 3));
	check_eq(run_and_close(c), -ECANCELED);
}

/* Others run on: a failure stops only what asks for success. */
static void test_failure_stops_nothing_else(void **state)
{
	static uint32_t ran;
	struct asys_chain *c = open_chain();
	asys_id bad = asys_close(c, -1);

	(void)state;
	ran = 0;
	count_step(c, ran);
	count_step(asys_after(c, bad), ran);
	count_step(asys_after_ok(c, bad), ran);
	check_eq(run_and_close(c), -EBADF);
	check_eq(ran, 2);
}

/* ---- on_failure and finally ----------------------------------------------------------------- */

static void test_on_failure(void **state)
{
	static uint32_t ordinary, failure, always;
	struct asys_chain *c = open_chain();

	(void)state;
	asys_chain_compute(c, give, asys_param(c, 0));
	asys_chain_timer(c, 50000);
	count_step(c, ordinary);
	asys_chain_on_failure(c);
	count_step(c, failure);
	asys_chain_end(c);
	asys_chain_finally(c);
	count_step(c, always);
	asys_chain_end(c);
	make_ready(c);
	for (unsigned i = 0; i < 2; i++) {
		ordinary = failure = always = 0;
		check_eq(run_with(c, i ? -EIO : 4), i ? -EIO : 0);
		check_eq(ordinary, 1);
		check_eq(failure, i);
		check_eq(always, 1);
	}
	asys_chain_close(c);
}

static void test_allowed_failure_is_none(void **state)
{
	static uint32_t failure;
	struct asys_chain *c = open_chain();

	(void)state;
	failure = 0;
	asys_close(asys_may_fail(c), -1);
	asys_chain_on_failure(c);
	count_step(c, failure);
	asys_chain_end(c);
	check_eq(run_and_close(c), 0);
	check_eq(failure, 0);
}

/* After all other steps: also after one that takes long and that nobody names. */
static void test_after_all_others(void **state)
{
	static int64_t late, seen[2];
	struct asys_chain *c = open_chain();

	(void)state;
	late = 0;
	fill(seen, 2, UNTOUCHED);
	asys_close(c, -1);
	value_step(asys_store(asys_after(c, asys_chain_timer(c, 2000000)), &late), 8);
	asys_chain_on_failure(c);
	asys_chain_compute(asys_store(c, &seen[0]), give, asys_load(c, &late));
	asys_chain_end(c);
	asys_chain_finally(c);
	asys_chain_compute(asys_store(c, &seen[1]), give, asys_load(c, &late));
	asys_chain_end(c);
	check_eq(run_and_close(c), -EBADF);
	check_eq(seen[0], 8);
	check_eq(seen[1], 8);
}

/* In cleanups: what takes the result of one that failed or was skipped is skipped. */
static void test_closes_what_was_opened(void **state)
{
	static int64_t closed[3];
	struct asys_chain *c = open_chain();
	asys_id good, bad, skipped;

	(void)state;
	fill(closed, 3, UNTOUCHED);
	good = asys_openat(c, AT_FDCWD, "/dev/null", O_RDONLY, 0);
	bad = asys_openat(c, AT_FDCWD, "/does/not/exist", O_RDONLY, 0);
	skipped = asys_openat(asys_after_ok(c, bad), AT_FDCWD, "/dev/null", O_RDONLY, 0);
	asys_chain_finally(c);
	asys_close(asys_store(c, &closed[0]), good);
	asys_close(asys_store(c, &closed[1]), bad);
	asys_close(asys_store(c, &closed[2]), skipped);
	asys_chain_end(c);
	check_eq(run_and_close(c), -ENOENT);
	check_eq(closed[0], 0);
	check_eq(closed[1], UNTOUCHED);
	check_eq(closed[2], UNTOUCHED);
}

static void test_failure_in_cleanup(void **state)
{
	static uint32_t behind, failure;
	struct asys_chain *c = open_chain();

	(void)state;
	behind = failure = 0;
	/* the chain's, if none was before */
	value_step(c, 1);
	asys_chain_finally(c);
	asys_close(c, -1);
	count_step(c, behind);
	asys_chain_end(c);
	check_eq(run_and_close(c), -EBADF);
	check_eq(behind, 1);
	/* else not */
	c = open_chain();
	value_step(c, -EIO);
	asys_chain_on_failure(c);
	asys_close(c, -1);
	asys_chain_end(c);
	asys_chain_finally(c);
	value_step(c, -ENOSPC);
	asys_chain_end(c);
	check_eq(run_and_close(c), -EIO);
	/* allowed ones never */
	c = open_chain();
	asys_chain_finally(c);
	asys_close(asys_may_fail(c), -1);
	asys_chain_end(c);
	check_eq(run_and_close(c), 0);
	/* one by one, as written: what fails in finally is a failure for what comes after it */
	c = open_chain();
	asys_chain_finally(c);
	asys_close(c, -1);
	asys_chain_end(c);
	asys_chain_on_failure(c);
	count_step(c, failure);
	asys_chain_end(c);
	check_eq(run_and_close(c), -EBADF);
	check_eq(failure, 1);
}

static void test_nested(void **state)
{
	static uint32_t inner, inner_always, outer, deep;
	struct asys_chain *c = open_chain();
	asys_id step = asys_chain_compute(c, give, asys_param(c, 0));

	(void)state;
	/* the outer block's failure is not the inner one's */
	asys_chain_if(asys_after(c, step), value_step(c, 1), ASYS_OK);
	asys_chain_compute(c, give, asys_param(c, 1));
	asys_chain_on_failure(c);
	count_step(c, inner);
	asys_chain_end(c);
	asys_chain_finally(c);
	count_step(c, inner_always);
	asys_chain_end(c);
	asys_chain_end(c);
	asys_chain_on_failure(c);
	count_step(c, outer);
	asys_chain_loop(c, 2);
	asys_chain_finally(c);
	count_step(c, deep);
	asys_chain_end(c);
	asys_chain_end(c);
	asys_chain_end(c);
	make_ready(c);
	for (unsigned i = 0; i < 4; i++) {
		const int64_t a = i & 1 ? -EIO : 0, b = i & 2 ? -EPERM : 0;
		struct asys_queue *q = open_queue();

		inner = inner_always = outer = deep = 0;
		check_eq(result_of(q, asys_chain_send(q, c, a, b)), a ? a : b);
		check_eq(inner, b != 0);
		check_eq(inner_always, 1);
		check_eq(outer, a || b);
		check_eq(deep, outer * 2);
		asys_queue_close(q);
	}
	asys_chain_close(c);
}

/* Each iteration cleans up; a block that may fail is no failure outside, but one inside. */
static void test_in_a_loop(void **state)
{
	static uint32_t count, inside, always, outside;
	static int64_t result;
	struct asys_chain *c = open_chain();

	(void)state;
	count = inside = always = outside = 0;
	asys_chain_loop(asys_store(asys_may_fail(c), &result), 10);
	/* 2, 1, 0, -1: fails in the fourth */
	asys_chain_compute(c, down_from, &count, 3);
	asys_chain_on_failure(c);
	count_step(c, inside);
	asys_chain_end(c);
	asys_chain_finally(c);
	count_step(c, always);
	asys_chain_end(c);
	asys_chain_end(c);
	asys_chain_on_failure(c);
	count_step(c, outside);
	asys_chain_end(c);
	check_eq(run_and_close(c), 0);
	check_eq(result, -1);
	check_eq(count, 4);
	check_eq(inside, 1);
	check_eq(always, 4);
	check_eq(outside, 0);
}

/* Steps after a cleanup block in an outer block are ordinary; more cleanup blocks may follow. */
static void test_several_cleanups(void **state)
{
	static int64_t order[3];
	static uint32_t at;
	struct asys_chain *c = open_chain();

	(void)state;
	at = 0;
	fill(order, 3, UNTOUCHED);
	for (unsigned i = 0; i < 3; i++) {
		asys_chain_finally(c);
		asys_chain_compute(asys_store(c, &order[i]), next_of, &at);
		asys_chain_end(c);
	}
	check_eq(run_and_close(c), 0);
	for (unsigned i = 0; i < 3; i++)
		check_eq(order[i], i);
}

/* Appends its number to the list at arg[0]; arg[1]: the number; returns arg[2]. */
static int64_t list_number(const uint64_t arg[6])
{
	char *list = (char *)(uintptr_t)arg[0];

	list[strlen(list)] = (char)('0' + arg[1]);
	return (int64_t)arg[2];
}

/* A cleanup block whose last step comes after others that take their time, and ends with `result`. */
static void slow_cleanup(struct asys_chain *c, bool finally, char *list, int number, int64_t result)
{
	asys_id before;

	if (finally)
		asys_chain_finally(c);
	else
		asys_chain_on_failure(c);
	before = asys_chain_timer(c, 2000000 / number);
	before = asys_getppid(asys_after(c, before));
	asys_chain_compute(asys_after(c, before), list_number, list, number, result);
	asys_chain_end(c);
}

/*
 * All other steps, those of blocks inside and their cleanup among them; then the cleanup blocks, each when
 * the one before has ended, as they are written. A failure counts for those on_failure that come after it.
 */
static void test_order_of_cleanups(void **state)
{
	static const struct {
		const char
			*kinds; /* of the blocks: f(inally), o(n_failure); upper case: it fails */
		bool fails;
		const char *order;
	} cases[] = {
		{ "fof", false, "9813" }, { "fof", true, "98123" },  { "off", false, "9823" },
		{ "oof", true, "98123" }, { "Fof", false, "98123" }, { "oFo", false, "9823" },
		{ "foF", false, "9813" }, { "Off", true, "98123" },  { "OoF", false, "983" },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct asys_chain *c = open_chain();
		char list[8] = "";

		/* 9 and 8: a block, and its cleanup */
		asys_chain_loop(asys_may_fail(c), 1);
		asys_chain_compute(asys_after(c, asys_chain_timer(c, 3000000)), list_number, list,
				   9, 0);
		slow_cleanup(c, true, list, 8, 0);
		asys_chain_end(c);
		value_step(c, cases[i].fails ? -EIO : 0);
		for (int k = 0; k < 3; k++) {
			const char kind = cases[i].kinds[k];

			slow_cleanup(c, strchr("fF", kind), list, k + 1,
				     strchr("FO", kind) ? -EPERM : 0);
		}
		run_and_close(c);
		if (strcmp(list, cases[i].order) != 0)
			support_fail(__FILE__, __LINE__, "%s, %sfailed: %s, not %s", cases[i].kinds,
				     cases[i].fails ? "" : "not ", list, cases[i].order);
	}
}

/* A loop of no iteration is none of its steps, and is not skipped itself: its result is 0. */
static void test_loop_of_no_iteration(void **state)
{
	(void)state;
	for (unsigned with_while = 0; with_while < 2; with_while++) {
		struct asys_chain *c = open_chain();
		int64_t after = UNTOUCHED, cleaned = 0, result;
		static uint32_t ran;
		asys_id inside, end;

		ran = 0;
		asys_chain_loop(asys_store(c, &after), 0);
		inside = count_step(c, ran);
		asys_chain_finally(c);
		count_step(c, ran);
		asys_chain_end(c);
		end = asys_chain_end(c);
		if (with_while) {
			asys_chain_loop(c, 0);
			value_step(c, -EIO);
			end = asys_chain_while(c, end, ASYS_ZERO);
		}
		asys_chain_compute(asys_store(asys_after_ok(c, inside), &cleaned), give, 7);
		asys_chain_result(c, end);
		result = run_and_close(c);
		check_eq(result, 0);
		check_eq(after, 0);
		check_eq(ran, 0);
		check_eq(cleaned, 0); /* what waits for a step inside is skipped */
	}
}

/* One behind the other cost what they are, not what all before them are: the picture shows what each waits
 * for. */
static void test_thousands_of_cleanups(void **state)
{
	enum { COUNT = 8000 };
	static uint32_t at;
	struct asys_chain *c = open_chain_with(ASYS_CHAIN_STEPS_MAX, 0);
	size_t size = 0, lines = 0;
	char *text = NULL;
	FILE *file = open_memstream(&text, &size);

	(void)state;
	at = 0;
	check(file);
	for (unsigned i = 0; i < COUNT; i++)
		count_step(c, at);
	for (unsigned i = 0; i < COUNT; i++) {
		if (i % 2)
			asys_chain_finally(c);
		else
			asys_chain_on_failure(c);
		count_step(c, at);
		asys_chain_end(c);
	}
	make_ready(c);
	check_eq(asys_chain_dot(c, file), 0);
	fclose(file);
	for (const char *line = strchr(text, '\n'); line; line = strchr(line + 1, '\n'))
		lines++;
	check(lines < 16 * COUNT);
	free(text);
	check_eq(run_and_close(c), 0);
	check_eq(at, COUNT + COUNT / 2);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_result_step),
		contract(test_failure_is_the_result),
		contract(test_result_of_skipped),
		contract(test_failure_stops_nothing_else),
		contract(test_on_failure),
		contract(test_allowed_failure_is_none),
		contract(test_after_all_others),
		contract(test_closes_what_was_opened),
		contract(test_failure_in_cleanup),
		contract(test_nested),
		contract(test_in_a_loop),
		contract(test_several_cleanups),
		contract(test_order_of_cleanups),
		contract(test_loop_of_no_iteration),
		contract(test_thousands_of_cleanups),
	};

	return group(tests, argc, argv);
}
