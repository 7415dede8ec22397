/* SPDX-License-Identifier: MIT */
/* Contract: everything that is wrong with a chain is found while it is built, and named. */
#include "common.h"

#include <string.h>

static void test_options(void **state)
{
	static const uint32_t bad_steps[] = { 0, ASYS_CHAIN_STEPS_MAX + 1, UINT32_MAX };
	struct asys_chain_options options;
	struct asys_chain *chain = NULL;

	(void)state;
	memset(&options, 0xff, sizeof(options));
	asys_chain_options_init(&options);
	check_eq(options.size, sizeof(options));
	check_eq(options.steps, 4096);
	check_eq(options.flags, 0);
	for (unsigned i = 0; i < 3; i++) {
		asys_chain_options_init(&options);
		options.steps = bad_steps[i];
		check_eq(asys_chain_open(&chain, &options), -EINVAL);
		check_says(asys_message(), "steps");
		check(chain == NULL);
	}
	asys_chain_options_init(&options);
	options.flags = 1u << 31;
	check_eq(asys_chain_open(&chain, &options), -EINVAL);
	check_says(asys_message(), "flag");
	asys_chain_options_init(&options);
	options.size = 3;
	check_eq(asys_chain_open(&chain, &options), -EINVAL);
	check_says(asys_message(), "size");
	check(chain == NULL);
	asys_chain_options_init(&options);
	options.steps = ASYS_CHAIN_STEPS_MAX;
	options.flags = ASYS_CHAIN_RECORD;
	check_eq(asys_chain_open(&chain, &options), 0);
	asys_chain_close(chain);
	asys_chain_close(NULL);
}

/* ---- closing -------------------------------------------------------------------------------- */

/* The ids of begin, then of what closes it. */
static void check_close(struct asys_chain *c, asys_id close, bool good)
{
	const int err = asys_chain_ready(c);

	check_eq(close.value > 0, good);
	check_eq(err, good ? 0 : close.value);
	if (!good)
		check_eq(err, -EINVAL);
	asys_chain_close(c);
}

static void test_wrong_closes(void **state)
{
	struct asys_chain *c;
	asys_id step;

	(void)state;
	c = open_chain();
	check_close(c, asys_chain_end(c), false);
	c = open_chain();
	check_close(c, asys_chain_else(c), false);
	c = open_chain();
	step = asys_getppid(c);
	check_close(c, asys_chain_while(c, step, ASYS_OK), false);
	/* while closes a loop only, else an if only and that once */
	c = open_chain();
	step = asys_getppid(c);
	asys_chain_if(c, step, ASYS_OK);
	check_close(c, asys_chain_while(c, step, ASYS_OK), false);
	c = open_chain();
	asys_chain_loop(c, 1);
	check_close(c, asys_chain_else(c), false);
	c = open_chain();
	asys_chain_if(c, asys_getppid(c), ASYS_OK);
	check(asys_chain_else(c).value > 0);
	check_close(c, asys_chain_else(c), false);
	c = open_chain();
	asys_chain_finally(c);
	check_close(c, asys_chain_else(c), false);
	c = open_chain();
	step = asys_getppid(c);
	asys_chain_finally(c);
	check_close(c, asys_chain_while(c, step, ASYS_OK), false);
	/* all well */
	c = open_chain();
	asys_chain_if(c, asys_getppid(c), ASYS_OK);
	asys_chain_else(c);
	check_close(c, asys_chain_end(c), true);
}

static void test_missing_close(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 5; kind++) {
		struct asys_chain *c = open_chain();
		asys_id step = asys_getppid(c);

		asys_label(c, "gaping");
		if (kind == 0)
			asys_chain_if(c, step, ASYS_OK);
		else if (kind == 1)
			asys_chain_loop(c, 1);
		else if (kind == 2)
			asys_chain_on_failure(c);
		else if (kind == 3)
			asys_chain_finally(c);
		else
			asys_chain_loop(c, 2);
		/* an inner one that is closed does not help */
		asys_chain_loop(c, 1);
		check(asys_chain_end(c).value > 0);
		check_eq(asys_chain_ready(c), -EINVAL);
		check_says(asys_message(), "gaping");
		asys_chain_close(c);
	}
}

/* ---- counting ------------------------------------------------------------------------------- */

static void test_too_many(void **state)
{
	struct asys_chain *c = open_chain_with(3, 0);
	asys_id step = asys_getppid(c);

	(void)state;
	check_eq(asys_chain_steps(c), 1);
	check(asys_chain_if(c, step, ASYS_OK).value > 0);
	check(asys_chain_end(c).value > 0);
	check_eq(asys_chain_steps(c), 3);
	check_eq(asys_getppid(asys_label(c, "fourth")).value, -E2BIG);
	check_says(asys_message(), "fourth");
	check_eq(asys_chain_ready(c), -E2BIG);
	check_says(asys_message(), "fourth");
	asys_chain_close(c);
	/* exactly as many */
	c = open_chain_with(3, 0);
	for (unsigned i = 0; i < 3; i++)
		check(asys_getppid(c).value > 0);
	check_eq(run_and_close(c), 0);
}

static void test_most(void **state)
{
	struct asys_chain *c = open_chain_with(ASYS_CHAIN_STEPS_MAX, 0);
	static int64_t result = UNTOUCHED;
	asys_id last = value_step(c, 1);

	(void)state;
	for (unsigned i = 1; i < ASYS_CHAIN_STEPS_MAX - 1; i++)
		last = asys_chain_compute(c, sum, last, 1);
	asys_chain_compute(asys_store(c, &result), give, last);
	check_eq(asys_chain_steps(c), ASYS_CHAIN_STEPS_MAX);
	check(asys_getppid(c).value == -E2BIG);
	check_eq(asys_chain_ready(c), -E2BIG);
	asys_chain_close(c);
	c = open_chain_with(ASYS_CHAIN_STEPS_MAX, 0);
	last = value_step(c, 1);
	for (unsigned i = 1; i < ASYS_CHAIN_STEPS_MAX - 1; i++)
		last = asys_chain_compute(c, sum, last, 1);
	asys_chain_compute(asys_store(c, &result), give, last);
	check_eq(run_and_close(c), 0);
	check_eq(result, ASYS_CHAIN_STEPS_MAX - 1);
}

static void test_deepest(void **state)
{
	static uint32_t ran;
	struct asys_chain *c = open_chain();

	(void)state;
	ran = 0;
	for (unsigned i = 0; i < ASYS_CHAIN_NEST_MAX; i++)
		check(asys_chain_loop(c, i % 8 == 0 ? 2 : 1).value > 0);
	count_step(c, ran);
	for (unsigned i = 0; i < ASYS_CHAIN_NEST_MAX; i++)
		check(asys_chain_end(c).value > 0);
	check_eq(run_and_close(c), 0);
	check_eq(ran, 16);
}

/* ---- ready ---------------------------------------------------------------------------------- */

static void test_before_and_after_ready(void **state)
{
	static int64_t result = UNTOUCHED;
	struct asys_chain *c = open_chain();
	struct asys_queue *q = open_queue();
	asys_id step = asys_getppid(asys_store(c, &result));

	(void)state;
	check_eq(asys_chain_send(q, c).value, -EINVAL);
	check_says(asys_message(), "ready");
	check_eq(asys_chain_send(q, NULL).value, -EINVAL);
	check_quiet(q);
	make_ready(c);
	check(asys_getppid(c).value < 0);
	check_says(asys_message(), "ready");
	check(asys_chain_loop(c, 1).value < 0);
	check(asys_chain_end(c).value < 0);
	check(asys_chain_compute(c, give, 1).value < 0);
	check(asys_chain_timer(c, 1).value < 0);
	check(asys_chain_result(c, step) < 0);
	check_eq(asys_chain_steps(c), 1);
	check_eq(run_on(q, c, 0), 0);
	check_eq(result, getppid());
	asys_chain_close(c);
	asys_queue_close(q);
}

static void test_first_error_counts(void **state)
{
	struct asys_chain *c = open_chain_with(2, 0);

	(void)state;
	check(asys_getppid(asys_full(asys_label(c, "first"))).value == -EINVAL);
	for (unsigned i = 0; i < 5; i++)
		asys_getppid(asys_label(c, "second"));
	check_eq(asys_chain_ready(c), -EINVAL);
	check_says(asys_message(), "first");
	asys_chain_close(c);
}

/* A label that lasts no longer than the call. */
static void test_label_is_copied(void **state)
{
	struct asys_chain *c = open_chain();
	char label[32] = "ephemeral";

	(void)state;
	asys_label(c, label);
	memset(label, 'x', sizeof(label) - 1);
	check(asys_getppid(asys_full(c)).value == -EINVAL);
	check_says(asys_message(), "ephemeral");
	asys_chain_close(c);
}

/* An empty chain ends. */
static void test_empty(void **state)
{
	(void)state;
	check_eq(run_and_close(open_chain()), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_options),
		contract(test_wrong_closes),
		contract(test_missing_close),
		contract(test_too_many),
		contract(test_most),
		contract(test_deepest),
		contract(test_before_and_after_ready),
		contract(test_first_error_counts),
		contract(test_label_is_copied),
		contract(test_empty),
	};

	return group(tests, argc, argv);
}
