/* SPDX-License-Identifier: MIT */
/* Contract: if, else and loops. */
#include "common.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* ---- if and else ---------------------------------------------------------------------------- */

static void test_if_else(void **state)
{
	static uint32_t yes, no, after;
	static int64_t if_result, else_result, inside;
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();
	asys_id step = asys_chain_compute(asys_may_fail(c), give, asys_param(c, 0)), in, block;

	(void)state;
	asys_chain_if(asys_store(c, &if_result), step, ASYS_POSITIVE);
	count_step(c, yes);
	in = value_step(c, 5);
	block = asys_chain_else(asys_store(c, &else_result));
	count_step(c, no);
	asys_chain_end(c);
	asys_chain_compute(asys_store(c, &inside), give, in);
	count_step(asys_after_ok(c, block), after);
	make_ready(c);
	for (unsigned i = 0; i < 3; i++) {
		const bool positive = i == 2;

		yes = no = after = 0;
		if_result = else_result = inside = UNTOUCHED;
		check_eq(run_on(q, c, (int64_t)i - 1), 0);
		check_eq(yes, positive);
		check_eq(no, !positive);
		check_eq(after, !positive);
		check_eq(if_result, positive ? 0 : UNTOUCHED);
		check_eq(else_result, positive ? UNTOUCHED : 0);
		check_eq(inside, positive ? 5 : UNTOUCHED);
	}
	asys_chain_close(c);
	asys_queue_close(q);
}

enum {
	SAID_STORE = 1,
	SAID_AFTER = 2,
	SAID_REPORT = 4,
	SAID_MAY_FAIL = 8,
	SAID_LABEL = 16,
	SAID_ALL = 31
};

/* What may be said about a block's begin; the address and the step before are steps of their own. */
static void say(struct asys_chain *c, unsigned what, asys_id address, asys_id before)
{
	if (what & SAID_STORE)
		asys_store(c, address);
	if (what & SAID_AFTER)
		asys_after(c, before);
	if (what & SAID_REPORT)
		asys_report(c, 7);
	if (what & SAID_MAY_FAIL)
		asys_may_fail(c);
	if (what & SAID_LABEL)
		asys_label(c, "said");
}

struct said {
	uint32_t yes, no;
	int64_t stored;
};

/* An if and its else in a block of that kind, or none (0); `said` about the if, or about both. */
static struct asys_chain *if_with(unsigned what, bool both, unsigned around, struct said *said)
{
	struct asys_chain *c = open_chain();
	asys_id address = asys_chain_compute(c, give, &said->stored);
	asys_id before = value_step(c, 1);
	asys_id step = asys_chain_compute(asys_may_fail(c), give, asys_param(c, 0));

	if (around == 1)
		asys_chain_if(c, before, ASYS_OK);
	else if (around == 2)
		asys_chain_loop(c, 1);
	else if (around == 3)
		asys_chain_finally(c);
	say(c, what, address, before);
	asys_chain_if(c, step, ASYS_POSITIVE);
	count_step(c, said->yes);
	if (both)
		say(c, what, address, before);
	asys_chain_else(c);
	count_step(c, said->no);
	asys_chain_end(c);
	if (around)
		asys_chain_end(c);
	make_ready(c);
	return c;
}

/* An else is about the step that its if named, whatever else the if waits for. */
static void test_else_of_an_if_with_modifiers(void **state)
{
	static struct said said;
	struct asys_event event;

	(void)state;
	for (unsigned n = 0; n < 2 * 4 * (SAID_ALL + 1); n++) {
		const unsigned what = n / 8;
		struct asys_queue *q = open_queue();
		struct asys_chain *c = if_with(what, n % 2, n / 2 % 4, &said);

		for (int64_t param = -1; param < 2; param++) {
			said = (struct said){ .stored = UNTOUCHED };
			check_eq(run_on(q, c, param), 0);
			check_eq(said.yes, param > 0);
			check_eq(said.no, param <= 0);
			if (what & SAID_STORE && (param > 0 || n % 2))
				check_eq(said.stored, 0);
			else
				check_eq(said.stored, UNTOUCHED);
			while (asys_queue_get(q, &event) == 1)
				check_eq(event.user, 7);
		}
		asys_chain_close(c);
		asys_queue_close(q);
	}
}

/* Neither runs if the step was skipped, whatever is nested, and ASYS_ALWAYS does not help inside. */
static void test_skipped_if(void **state)
{
	static uint32_t in_if, in_else, after_all;
	struct asys_chain *c = open_chain();
	asys_id one = value_step(c, 1);
	asys_id skipped = asys_chain_compute(asys_when(c, one, ASYS_ZERO), give, 1);

	(void)state;
	in_if = in_else = after_all = 0;
	asys_chain_if(c, skipped, ASYS_NONZERO);
	count_step(asys_after(c, one), in_if);
	asys_chain_if(asys_after(c, one), one, ASYS_ALWAYS);
	count_step(asys_after(c, skipped), in_if);
	asys_chain_end(c);
	asys_chain_loop(c, 3);
	count_step(c, in_if);
	asys_chain_finally(c);
	count_step(c, in_if);
	asys_chain_end(c);
	asys_chain_end(c);
	asys_chain_else(c);
	count_step(asys_after(c, one), in_else);
	count_step(asys_after(c, asys_chain_end(c)), after_all);
	check_eq(run_and_close(c), 0);
	check_eq(in_if, 0);
	check_eq(in_else, 0);
	check_eq(after_all, 1);
}

static void test_nested_ifs(void **state)
{
	static uint32_t ran[4];
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();
	asys_id a = asys_chain_compute(c, give, asys_param(c, 0));
	asys_id b = asys_chain_compute(c, give, asys_param(c, 1));

	(void)state;
	asys_chain_if(c, a, ASYS_NONZERO);
	asys_chain_if(c, b, ASYS_NONZERO);
	count_step(c, ran[3]);
	asys_chain_else(c);
	count_step(c, ran[2]);
	asys_chain_end(c);
	asys_chain_else(c);
	asys_chain_if(c, b, ASYS_NONZERO);
	count_step(c, ran[1]);
	asys_chain_else(c);
	count_step(c, ran[0]);
	asys_chain_end(c);
	asys_chain_end(c);
	make_ready(c);
	for (unsigned i = 0; i < 4; i++) {
		memset(ran, 0, sizeof(ran));
		check_eq(result_of(q, asys_chain_send(q, c, i >> 1, i & 1)), 0);
		for (unsigned k = 0; k < 4; k++)
			check_eq(ran[k], k == i);
	}
	asys_chain_close(c);
	asys_queue_close(q);
}

/* What modifiers say about the begin holds for the block: nothing inside starts before. */
static void test_modifiers_of_a_block(void **state)
{
	static int64_t order, seen, result;
	static uint32_t ran;
	struct asys_chain *c = open_chain();
	asys_id late, one = value_step(c, 1);

	(void)state;
	order = 0;
	seen = result = UNTOUCHED;
	ran = 0;
	late = asys_chain_timer(c, 200000);
	late = value_step(asys_after(asys_store(c, &order), late), 9);
	asys_chain_if(asys_after(asys_store(c, &result), late), one, ASYS_OK);
	asys_chain_compute(asys_store(c, &seen), give, asys_load(c, &order));
	asys_chain_end(c);
	asys_chain_loop(asys_when(c, late, ASYS_ZERO), 2);
	count_step(c, ran);
	asys_chain_end(c);
	check_eq(run_and_close(c), 0);
	check_eq(seen, 9);
	check_eq(result, 0);
	check_eq(ran, 0);
}

static void test_result_of_a_block(void **state)
{
	static int64_t failed, fine, allowed;
	static uint32_t on_error;
	struct asys_chain *c = open_chain();
	asys_id one = value_step(c, 1), block;

	(void)state;
	failed = fine = allowed = UNTOUCHED;
	on_error = 0;
	asys_chain_if(asys_store(asys_may_fail(c), &failed), one, ASYS_OK);
	asys_close(c, -1);
	block = asys_chain_end(c);
	count_step(asys_after_error(c, block), on_error);
	asys_chain_if(asys_store(c, &fine), one, ASYS_OK);
	value_step(c, 33);
	asys_chain_end(c);
	asys_chain_if(asys_store(c, &allowed), one, ASYS_OK);
	asys_close(asys_may_fail(c), -1);
	asys_chain_end(c);
	check_eq(run_and_close(c), 0);
	check_eq(failed, -EBADF);
	check_eq(on_error, 1);
	check_eq(fine, 0);
	check_eq(allowed, 0);
}

/* ---- loops ---------------------------------------------------------------------------------- */

static void test_exactly(void **state)
{
	static const uint32_t bounds[] = { 0, 1, 2, 1000 };
	static uint32_t ran, after;
	static int64_t result;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct asys_chain *c = open_chain();
		asys_id block;

		ran = after = 0;
		asys_chain_loop(asys_store(c, &result), bounds[i]);
		count_step(c, ran);
		block = asys_chain_end(c);
		count_step(asys_after_ok(c, block), after);
		asys_chain_result(c, block);
		check_eq(run_and_close(c), bounds[i]);
		check_eq(ran, bounds[i]);
		check_eq(result, bounds[i]);
		check_eq(after, 1);
	}
}

/* Counts down from 4: five iterations, or -ELOOP when the bound is lower. */
static void test_while(void **state)
{
	static uint32_t ran;
	static int64_t last;

	(void)state;
	for (uint32_t bound = 1; bound < 8; bound++) {
		struct asys_chain *c = open_chain();
		asys_id n, block = asys_chain_loop(c, bound);

		ran = 0;
		last = UNTOUCHED;
		n = asys_chain_compute(asys_store(c, &last), down_from, &ran, 5);
		check(asys_chain_while(c, n, ASYS_POSITIVE).value > 0);
		check_eq(asys_chain_result(c, block), 0);
		check_eq(run_and_close(c), bound < 5 ? -ELOOP : 5);
		check_eq(ran, bound < 5 ? bound : 5);
		check_eq(last, 5 - (int64_t)ran);
	}
}

/* -ELOOP may be allowed; and the endless one ends by its condition. */
static void test_allowed_bound(void **state)
{
	static uint32_t ran;
	static int64_t result;
	struct asys_chain *c = open_chain();
	asys_id n;

	(void)state;
	ran = 0;
	asys_chain_loop(asys_may_fail(asys_store(c, &result)), 3);
	n = asys_chain_compute(c, next_of, &ran);
	asys_chain_while(c, n, ASYS_ALWAYS);
	check_eq(run_and_close(c), 0);
	check_eq(result, -ELOOP);
	check_eq(ran, 3);
	ran = 0;
	c = open_chain();
	asys_chain_loop(asys_store(c, &result), UINT32_MAX);
	n = asys_chain_compute(c, down_from, &ran, 100000);
	asys_chain_while(c, n, ASYS_NONZERO);
	check_eq(run_and_close(c), 0);
	check_eq(result, 100000);
}

static int64_t fail_third(const uint64_t arg[6])
{
	return next_of(arg) == 2 ? -ENOSPC : 1;
}

static void test_failure_inside(void **state)
{
	static uint32_t count, behind;
	static int64_t result;

	(void)state;
	for (unsigned allowed = 0; allowed < 2; allowed++) {
		struct asys_chain *c = open_chain();

		count = behind = 0;
		asys_chain_loop(asys_store(c, &result), 6);
		if (allowed)
			asys_may_fail(c);
		asys_chain_compute(c, fail_third, &count);
		/* the iteration is finished */
		count_step(c, behind);
		asys_chain_end(c);
		check_eq(run_and_close(c), allowed ? 0 : -ENOSPC);
		check_eq(result, allowed ? 6 : -ENOSPC);
		check_eq(count, allowed ? 6 : 3);
		check_eq(behind, allowed ? 6 : 3);
	}
}

/* An iteration starts when all steps of the last one have ended, slow ones too. */
static int64_t in_turn(const uint64_t arg[6])
{
	return *(int64_t *)(uintptr_t)arg[0] == (int64_t)arg[1] ? 0 : -EPROTO;
}

static void test_iterations_do_not_overlap(void **state)
{
	static uint32_t quick;
	static int64_t slow;
	struct asys_chain *c = open_chain();
	asys_id n, wait, next;

	(void)state;
	quick = 0;
	slow = 0;
	asys_chain_loop(c, 10);
	n = asys_chain_compute(c, next_of, &quick);
	next = asys_chain_compute(c, in_turn, &slow, n);
	wait = asys_chain_timer(asys_after(c, next), 30000);
	next = asys_chain_compute(asys_after(c, wait), sum, n, 1);
	asys_chain_compute(asys_store(c, &slow), give, next);
	asys_chain_end(c);
	check_eq(run_and_close(c), 0);
	check_eq(quick, 10);
	check_eq(slow, 10);
}

static void test_nested_loops(void **state)
{
	static uint32_t inner, outer, down;
	static int64_t result;
	struct asys_chain *c = open_chain();
	asys_id n, block;

	(void)state;
	inner = outer = down = 0;
	asys_chain_loop(c, 7);
	asys_chain_loop(asys_store(c, &result), 5);
	count_step(c, inner);
	block = asys_chain_end(c);
	asys_chain_compute(asys_after_ok(c, block), count_up, &outer);
	n = asys_chain_compute(c, down_from, &down, 4);
	asys_chain_result(c, asys_chain_while(c, n, ASYS_NONZERO));
	check_eq(run_and_close(c), 4);
	check_eq(outer, 4);
	check_eq(inner, 20);
	check_eq(result, 5);
}

/* After the loop: what was in the last iteration, ended or skipped. */
static void test_seen_from_after(void **state)
{
	static uint32_t count;
	static int64_t last, odd, even;
	struct asys_chain *c = open_chain();
	asys_id n, half, on_odd, on_even;

	(void)state;
	count = 0;
	last = odd = even = UNTOUCHED;
	asys_chain_loop(c, 4);
	n = asys_chain_compute(c, next_of, &count);
	half = asys_chain_compute(asys_may_fail(c), sum, asys_plus(c, n, -3));
	on_odd = asys_chain_compute(asys_when(c, half, ASYS_ZERO), give, 100);
	on_even = asys_chain_compute(asys_when(c, half, ASYS_NONZERO), give, 200);
	asys_chain_end(c);
	asys_chain_compute(asys_store(c, &last), give, n);
	asys_chain_compute(asys_store(c, &odd), give, on_odd);
	asys_chain_compute(asys_store(c, &even), give, on_even);
	check_eq(run_and_close(c), 0);
	check_eq(last, 3);
	check_eq(odd, 100);
	check_eq(even, UNTOUCHED);
}

/* Steps outside keep their results for all iterations; the while may ask one of those too. */
static void test_refers_outside(void **state)
{
	static uint32_t count;
	static int64_t total;
	struct asys_chain *c = open_chain();
	asys_id ten = value_step(c, 10), zero = value_step(c, 0);

	(void)state;
	total = 0;
	count = 0;
	asys_chain_loop(c, 5);
	asys_chain_compute(asys_store(c, &total), sum, ten, asys_load(c, &total));
	count_step(c, count);
	asys_chain_end(c);
	asys_chain_loop(c, 5);
	count_step(c, count);
	asys_chain_while(c, zero, ASYS_NONZERO);
	check_eq(run_and_close(c), 0);
	check_eq(total, 50);
	check_eq(count, 6);
}

/* The header's example: a copy. */
static void test_copy(void **state)
{
	static char buf[4096];
	struct asys_chain *c = open_chain();
	struct asys_queue *q = open_queue();
	char *dir = temp_make(), *from = NULL, *to = NULL, *big = malloc(100000);
	asys_id in, out, n;
	int fd;

	(void)state;
	check(big && asprintf(&from, "%s/from", dir) > 0 && asprintf(&to, "%s/to", dir) > 0);
	for (unsigned i = 0; i < 100000; i++)
		big[i] = (char)(i * 7 + i / 256);
	fd = open(from, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	check_eq(write(fd, big, 100000), 100000);
	close(fd);
	in = asys_openat(c, AT_FDCWD, asys_param(c, 0), O_RDONLY, 0);
	out = asys_openat(c, AT_FDCWD, asys_param(c, 1), O_WRONLY | O_CREAT, 0666);
	asys_chain_loop(c, UINT32_MAX);
	n = asys_read(c, in, buf, sizeof buf);
	asys_write(asys_full(asys_when(c, n, ASYS_POSITIVE)), out, buf, n);
	asys_chain_while(c, n, ASYS_POSITIVE);
	asys_chain_finally(c);
	asys_close(c, in);
	asys_close(c, out);
	asys_chain_end(c);
	make_ready(c);
	check_eq(result_of(q, asys_chain_send(q, c, from, to)), 0);
	check_eq(result_of(q, asys_chain_send(q, c, "/does/not/exist", to)), -ENOENT);
	fd = open(to, O_RDONLY | O_CLOEXEC);
	char *copy = calloc(1, 100001);

	check_eq(read(fd, copy, 100001), 100000);
	check(!memcmp(copy, big, 100000));
	close(fd);
	free(copy);
	free(big);
	asys_chain_close(c);
	asys_queue_close(q);
	free(from);
	free(to);
	temp_remove(dir);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_if_else),
		contract(test_else_of_an_if_with_modifiers),
		contract(test_skipped_if),
		contract(test_nested_ifs),
		contract(test_modifiers_of_a_block),
		contract(test_result_of_a_block),
		contract(test_exactly),
		contract(test_while),
		contract(test_allowed_bound),
		contract(test_failure_inside),
		contract(test_iterations_do_not_overlap),
		contract(test_nested_loops),
		contract(test_seen_from_after),
		contract(test_refers_outside),
		contract(test_copy),
	};

	return group(tests, argc, argv);
}
