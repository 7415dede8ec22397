/* SPDX-License-Identifier: MIT */
/* Contract: a step runs when all that it names has ended, if the conditions hold; and its arguments. */
#include "common.h"

#include <fcntl.h>
#include <string.h>

static const int64_t values[] = { INT64_MIN, -4096, -4095, -1, 0, 1, 4096, INT64_MAX };
enum { VALUES = sizeof(values) / sizeof(values[0]) };

static bool expected(enum asys_condition condition, int64_t v)
{
	const bool error = v == -1 || v == -4095;

	switch (condition) {
	case ASYS_OK:
		return !error;
	case ASYS_ERROR:
		return error;
	case ASYS_ZERO:
		return v == 0;
	case ASYS_NONZERO:
		return v != 0;
	case ASYS_POSITIVE:
		return v > 0;
	case ASYS_NEGATIVE:
		return v < 0;
	default:
		return true;
	}
}

static void test_every_condition(void **state)
{
	static uint32_t ran;
	struct asys_queue *q = open_queue();

	(void)state;
	for (unsigned condition = ASYS_ALWAYS; condition <= ASYS_NEGATIVE; condition++) {
		struct asys_chain *c = open_chain();
		asys_id step = asys_chain_compute(asys_may_fail(c), give, asys_param(c, 0));

		count_step(asys_when(c, step, condition), ran);
		make_ready(c);
		for (unsigned i = 0; i < VALUES; i++) {
			ran = 0;
			check_eq(run_on(q, c, values[i]), 0);
			check_eq(ran, expected(condition, values[i]));
		}
		asys_chain_close(c);
	}
	asys_queue_close(q);
}

/* Only ASYS_ALWAYS holds for a skipped step; and the skipping goes on from step to step. */
static void test_skipped(void **state)
{
	static uint32_t ran[ASYS_NEGATIVE + 1], after[ASYS_NEGATIVE + 1];
	static int64_t stored = UNTOUCHED;
	struct asys_chain *c = open_chain();
	asys_id one = value_step(c, 1);
	asys_id skipped =
		asys_chain_compute(asys_store(asys_when(c, one, ASYS_ZERO), &stored), give, 5);

	(void)state;
	memset(ran, 0, sizeof(ran));
	memset(after, 0, sizeof(after));
	for (unsigned condition = ASYS_ALWAYS; condition <= ASYS_NEGATIVE; condition++) {
		asys_id step = count_step(asys_when(c, skipped, condition), ran[condition]);

		count_step(asys_after_ok(c, step), after[condition]);
	}
	check_eq(run_and_close(c), 0);
	for (unsigned condition = ASYS_ALWAYS; condition <= ASYS_NEGATIVE; condition++) {
		check_eq(ran[condition], condition == ASYS_ALWAYS);
		check_eq(after[condition], condition == ASYS_ALWAYS);
	}
	check_eq(stored, UNTOUCHED);
}

/* All must hold, those about one step too. */
static void test_several(void **state)
{
	static uint32_t both, one_not, same, late;
	struct asys_chain *c = open_chain();
	asys_id a = value_step(c, 3), b = value_step(c, 0);

	(void)state;
	both = one_not = same = late = 0;
	count_step(asys_when(asys_when(c, a, ASYS_POSITIVE), b, ASYS_ZERO), both);
	count_step(asys_when(asys_when(c, a, ASYS_POSITIVE), b, ASYS_POSITIVE), one_not);
	count_step(asys_when(asys_when(c, a, ASYS_NONZERO), a, ASYS_NEGATIVE), same);
	count_step(asys_when(asys_when(c, a, ASYS_NEGATIVE), a, ASYS_NONZERO), late);
	check_eq(run_and_close(c), 0);
	check_eq(both, 1);
	check_eq(one_not, 0);
	check_eq(same, 0);
	check_eq(late, 0);
}

static void test_after_and_its_kind(void **state)
{
	static uint32_t ran[6];
	struct asys_chain *c = open_chain();
	asys_id good = value_step(c, 0);
	asys_id bad = asys_close(asys_may_fail(c), -1);

	(void)state;
	memset(ran, 0, sizeof(ran));
	count_step(asys_after(c, good), ran[0]);
	count_step(asys_after(c, bad), ran[1]);
	count_step(asys_after_ok(c, good), ran[2]);
	count_step(asys_after_ok(c, bad), ran[3]);
	count_step(asys_after_error(c, good), ran[4]);
	count_step(asys_after_error(c, bad), ran[5]);
	check_eq(run_and_close(c), 0);
	check(ran[0] && ran[1] && ran[2] && !ran[3] && !ran[4] && ran[5]);
}

/* An argument means OK, unless something else was said about the same step. */
static void test_arguments_imply_ok(void **state)
{
	static int64_t plain, always, error, other, skipped;
	struct asys_chain *c = open_chain();
	asys_id good = value_step(c, 1000);
	asys_id bad = asys_close(asys_may_fail(c), -1);
	asys_id not_run = asys_chain_compute(asys_when(c, good, ASYS_ZERO), give, 1);

	(void)state;
	plain = always = error = other = skipped = UNTOUCHED;
	asys_chain_compute(asys_store(c, &plain), sum, bad, good);
	asys_chain_compute(asys_after(asys_store(c, &always), bad), sum, bad, good);
	asys_chain_compute(asys_after_error(asys_store(c, &error), bad), sum, bad, good);
	/* about another step: the argument stays what it is */
	asys_chain_compute(asys_after(asys_store(c, &other), good), sum, bad, good);
	asys_chain_compute(asys_store(c, &skipped), sum, not_run, good);
	check_eq(run_and_close(c), 0);
	check_eq(plain, UNTOUCHED);
	check_eq(always, 1000 - EBADF);
	check_eq(error, 1000 - EBADF);
	check_eq(other, UNTOUCHED);
	check_eq(skipped, UNTOUCHED);
}

static void test_skipped_as_argument(void **state)
{
	static int64_t seen;
	struct asys_chain *c = open_chain();
	asys_id good = value_step(c, 7);
	asys_id not_run = asys_chain_compute(asys_when(c, good, ASYS_ZERO), give, 1);

	(void)state;
	seen = UNTOUCHED;
	asys_chain_compute(asys_may_fail(asys_after(asys_store(c, &seen), not_run)), give, not_run);
	check_eq(run_and_close(c), 0);
	check_eq(seen, -ECANCELED);
}

/* ---- arguments ------------------------------------------------------------------------------ */

static int64_t check_six(const uint64_t arg[6])
{
	return arg[0] == 1 && arg[1] == UINT64_MAX && arg[2] == (uint64_t)INT64_MIN &&
	       arg[3] == 42 && arg[4] == 0 && arg[5] == 9;
}

static void test_kinds_of_arguments(void **state)
{
	static int64_t result, none;
	struct asys_chain *c = open_chain();
	asys_id step = value_step(c, 40);

	(void)state;
	result = none = UNTOUCHED;
	asys_chain_compute(asys_store(c, &result), check_six, 1, -1, INT64_MIN,
			   asys_plus(c, step, 2), NULL, asys_plus(c, asys_plus(c, step, -32), 1));
	asys_chain_compute(asys_store(c, &none), sum);
	check_eq(run_and_close(c), 0);
	check_eq(result, 1);
	check_eq(none, 0);
}

/* Every position of a system call, as the core's test of the same name. */
static void test_pointer_plus_count(void **state)
{
	static char buf[16];
	struct asys_chain *c = open_chain();
	int fd = memory_file();
	asys_id in, first;

	(void)state;
	check_eq(write(fd, "abcdefgh", 8), 8);
	memset(buf, 0, sizeof(buf));
	in = value_step(c, fd);
	first = asys_pread64(c, in, buf, 3, 0);
	/* the address, the count and the offset come from the first */
	asys_pread64(c, in, asys_plus(c, first, (int64_t)(uintptr_t)buf), asys_plus(c, first, 2),
		     first);
	check_eq(run_and_close(c), 0);
	check(!strcmp(buf, "abcdefgh"));
	close(fd);
}

static int64_t write_both(const uint64_t arg[6])
{
	*(int64_t *)(uintptr_t)arg[0] = INT64_C(-5000000000);
	*(int *)(uintptr_t)arg[1] = -7000;
	return (int64_t)arg[1];
}

/* asys_call takes a chain too, with words only. */
static void test_call_by_number(void **state)
{
	static int64_t ppid, offset;
	struct asys_chain *c = open_chain();
	int fd = memory_file();

	(void)state;
	asys_call(asys_store(c, &ppid), SYS_getppid, 0, 0, 0, 0, 0, 0);
	asys_call(asys_store(c, &offset), SYS_lseek, (uint64_t)fd, 4711, SEEK_SET, 0, 0, 0);
	check_eq(run_and_close(c), 0);
	check_eq(ppid, getppid());
	check_eq(offset, 4711);
	check_eq(lseek(fd, 0, SEEK_CUR), 4711);
	close(fd);
}

/* Memory is read when the step starts: after what it names, before and after the sending. */
static void test_loads(void **state)
{
	static int64_t wide, seen[4], *where;
	static int narrow[2] = { -1, 0x55555555 };
	struct asys_chain *c = open_chain();
	asys_id writer, address;

	(void)state;
	wide = 0;
	narrow[0] = -1;
	where = &wide;
	fill(seen, 4, UNTOUCHED);
	writer = asys_chain_compute(c, write_both, &wide, &narrow[0]);
	asys_chain_compute(asys_after(asys_store(c, &seen[0]), writer), give, asys_load(c, &wide));
	asys_chain_compute(asys_after(asys_store(c, &seen[1]), writer), give,
			   asys_load_int(c, &narrow[0]));
	/* the address is a step's result, or loaded itself, or a parameter */
	asys_chain_compute(asys_store(c, &seen[2]), give, asys_load_int(c, writer));
	address = asys_chain_compute(c, give, asys_load(c, &where));
	asys_chain_compute(asys_after(asys_store(c, &seen[3]), writer), sum, asys_load(c, address),
			   asys_load_int(c, asys_param(c, 0)));
	make_ready(c);
	narrow[1] = 11;
	struct asys_queue *q = open_queue();

	check_eq(run_on(q, c, (int64_t)(uintptr_t)&narrow[1]), 0);
	asys_queue_close(q);
	asys_chain_close(c);
	check_eq(seen[0], INT64_C(-5000000000));
	check_eq(seen[1], -7000);
	check_eq(seen[2], -7000);
	check_eq(seen[3], INT64_C(-5000000000) + 11);
}

/* Stored before what depends on it starts, as 64 bits; failures too; not when skipped. */
static void test_stores(void **state)
{
	static int64_t slot[3], seen;
	static int64_t *where = &slot[2];
	struct asys_chain *c = open_chain();
	asys_id a, b;

	(void)state;
	fill(slot, 3, UNTOUCHED);
	a = value_step(asys_store(c, &slot[0]), INT64_MAX);
	asys_chain_compute(asys_after(asys_store(c, &seen), a), give, asys_load(c, &slot[0]));
	asys_close(asys_may_fail(asys_store(c, &slot[1])), -1);
	/* where to is known when it runs */
	b = asys_chain_compute(c, give, asys_load(c, &where));
	value_step(asys_store(c, b), 77);
	check_eq(run_and_close(c), 0);
	check_eq(slot[0], INT64_MAX);
	check_eq(seen, INT64_MAX);
	check_eq(slot[1], -EBADF);
	check_eq(slot[2], 77);
}

/* ---- order ---------------------------------------------------------------------------------- */

static uint32_t clock_now;

static int64_t tick(const uint64_t arg[6])
{
	(void)arg;
	return __atomic_add_fetch(&clock_now, 1, __ATOMIC_SEQ_CST);
}

/* A fork of 50, some after timers, and a join of all; then the result of that. */
static void test_fork_and_join(void **state)
{
	static int64_t when[50], first, last;
	struct asys_chain *c = open_chain();
	asys_id start, branch[50];

	(void)state;
	clock_now = 0;
	fill(when, 50, UNTOUCHED);
	start = asys_chain_compute(asys_store(c, &first), tick);
	for (unsigned i = 0; i < 50; i++) {
		asys_id wait = start;

		if (i % 3 == 0)
			wait = asys_chain_timer(asys_after(c, start), i * 1000);
		branch[i] = asys_chain_compute(asys_after_ok(asys_store(c, &when[i]), wait), tick);
	}
	for (unsigned i = 0; i < 50; i++)
		asys_after(c, branch[i]);
	asys_chain_result(c, asys_chain_compute(asys_store(c, &last), tick));
	check_eq(run_and_close(c), 52);
	check_eq(first, 1);
	check_eq(last, 52);
	for (unsigned i = 0; i < 50; i++)
		check(when[i] > 1 && when[i] < 52);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_every_condition),
		contract(test_skipped),
		contract(test_several),
		contract(test_after_and_its_kind),
		contract(test_arguments_imply_ok),
		contract(test_skipped_as_argument),
		contract(test_kinds_of_arguments),
		contract(test_pointer_plus_count),
		contract(test_call_by_number),
		contract(test_loads),
		contract(test_stores),
		contract(test_fork_and_join),
	};

	return group(tests, argc, argv);
}
