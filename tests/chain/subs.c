/* SPDX-License-Identifier: MIT */
/* Contract: sub-chains, compute steps, timers, and looking at chains. */
#include "common.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* give(param 0 + param 1), which is also its result. */
static struct asys_chain *adder(void)
{
	struct asys_chain *c = open_chain();

	asys_chain_result(c, asys_chain_compute(c, sum, asys_param(c, 0), asys_param(c, 1)));
	make_ready(c);
	return c;
}

static void test_parameters_and_result(void **state)
{
	struct asys_chain *sub = adder(), *c = open_chain();
	asys_id a, b;

	(void)state;
	a = asys_chain_sub(c, sub, 3, 4);
	b = asys_chain_sub(c, sub, asys_plus(c, a, 10), a);
	asys_chain_result(c, asys_chain_sub(c, sub, asys_chain_sub(c, sub, b, 0), -1));
	/* closed before the chain is ready: its steps are here now */
	asys_chain_close(sub);
	check_eq(run_and_close(c), 23);
	/* and of this one's parameters */
	sub = adder();
	c = open_chain();
	asys_chain_result(c, asys_chain_sub(c, sub, asys_param(c, 0), 1));
	asys_chain_close(sub);
	make_ready(c);
	struct asys_queue *q = open_queue();

	check_eq(run_on(q, c, 41), 42);
	asys_queue_close(q);
	asys_chain_close(c);
}

static void test_nested(void **state)
{
	struct asys_chain *inner = adder();

	(void)state;
	/* 2^12 additions of 1 */
	for (unsigned depth = 0; depth < 11; depth++) {
		struct asys_chain *outer = open_chain_with(ASYS_CHAIN_STEPS_MAX, 0);
		asys_id half = asys_chain_sub(outer, inner, asys_param(outer, 0), 1);

		asys_chain_result(outer, asys_chain_sub(outer, inner, half, 1));
		make_ready(outer);
		asys_chain_close(inner);
		inner = outer;
	}
	struct asys_queue *q = open_queue();

	check_eq(run_on(q, inner, 1000), 1000 + 2048);
	asys_queue_close(q);
	asys_chain_close(inner);
}

/* A sub-chain brings its own blocks: together they may be as deep as those of a chain. */
static void test_deep_blocks(void **state)
{
	static uint32_t ran;

	(void)state;
	for (unsigned inside = 0; inside < ASYS_CHAIN_NEST_MAX + 1; inside++) {
		struct asys_chain *sub = open_chain(), *c = open_chain();
		const unsigned around = ASYS_CHAIN_NEST_MAX - inside; /* and the sub-chain's own */

		ran = 0;
		for (unsigned i = 0; i < inside; i++)
			asys_chain_loop(sub, 1);
		count_step(sub, ran);
		for (unsigned i = 0; i < inside; i++)
			asys_chain_end(sub);
		make_ready(sub);
		for (unsigned i = 0; i + 1 < around; i++)
			asys_chain_loop(c, 1);
		if (around) {
			check(asys_chain_sub(c, sub).value > 0);
			for (unsigned i = 0; i + 1 < around; i++)
				asys_chain_end(c);
			check_eq(run_and_close(c), 0);
			check_eq(ran, 1);
			c = open_chain();
			for (unsigned i = 0; i < around; i++)
				asys_chain_loop(c, 1);
		}
		check_eq(asys_chain_sub(c, sub).value, -EINVAL);
		check_says(asys_message(), "nested more than 32 deep");
		asys_chain_close(c);
		asys_chain_close(sub);
	}
}

/* One sub-chain in the other, without end. */
static void test_deep_subs(void **state)
{
	struct asys_chain *inner = adder();
	unsigned depth = 0;

	(void)state;
	for (;; depth++) {
		struct asys_chain *outer = open_chain();
		asys_id id = asys_chain_sub(outer, inner, asys_param(outer, 0), 1);

		if (id.value < 0) {
			check_eq(id.value, -EINVAL);
			asys_chain_close(outer);
			break;
		}
		asys_chain_result(outer, id);
		make_ready(outer);
		asys_chain_close(inner);
		inner = outer;
	}
	check_eq(depth, ASYS_CHAIN_NEST_MAX);
	struct asys_queue *q = open_queue();

	check_eq(run_on(q, inner, 41), 42);
	asys_queue_close(q);
	asys_chain_close(inner);
}

static void test_failure(void **state)
{
	static uint32_t inner, outer, ok, error;
	static int64_t result;
	struct asys_chain *sub = open_chain(), *c;
	asys_id step;

	(void)state;
	asys_chain_result(sub, value_step(sub, 5));
	asys_close(sub, -1);
	asys_chain_on_failure(sub);
	count_step(sub, inner);
	asys_chain_end(sub);
	make_ready(sub);
	for (unsigned allowed = 0; allowed < 2; allowed++) {
		inner = outer = ok = error = 0;
		c = open_chain();
		if (allowed)
			asys_may_fail(c);
		step = asys_chain_sub(asys_store(c, &result), sub);
		count_step(asys_after_ok(c, step), ok);
		count_step(asys_after_error(c, step), error);
		asys_chain_on_failure(c);
		count_step(c, outer);
		asys_chain_end(c);
		check_eq(run_and_close(c), allowed ? 0 : -EBADF);
		check_eq(result, -EBADF);
		check_eq(inner, 1);
		check_eq(outer, !allowed);
		check_eq(ok, 0);
		check_eq(error, 1);
	}
	asys_chain_close(sub);
	/* a result that is an error, though the step was allowed to fail: the sub failed */
	sub = open_chain();
	asys_chain_result(sub, asys_close(asys_may_fail(sub), -1));
	make_ready(sub);
	c = open_chain();
	asys_chain_sub(c, sub);
	asys_chain_close(sub);
	check_eq(run_and_close(c), -EBADF);
}

static void test_loops_inside_and_around(void **state)
{
	static uint32_t ran, down;
	struct asys_chain *sub = open_chain(), *c = open_chain();
	asys_id n, loops;

	(void)state;
	ran = down = 0;
	asys_chain_loop(sub, 3);
	asys_chain_compute(sub, count_up, asys_param(sub, 0), 0);
	loops = asys_chain_end(sub);
	asys_chain_result(sub, loops);
	make_ready(sub);
	asys_chain_loop(c, 10);
	n = asys_chain_sub(c, sub, &ran);
	asys_chain_result(c, n);
	asys_chain_sub(asys_after_ok(c, n), sub, &ran);
	asys_chain_while(c, asys_chain_compute(c, down_from, &down, 5), ASYS_POSITIVE);
	asys_chain_close(sub);
	check_eq(run_and_close(c), 3);
	check_eq(ran, 30);
}

static void test_skipped_and_reports(void **state)
{
	static uint32_t ran;
	struct asys_queue *q = open_queue();
	struct asys_chain *sub = open_chain(), *c = open_chain();
	asys_id step, one;
	unsigned ended = 0, skipped = 0, subs = 0;
	struct asys_event event;

	(void)state;
	ran = 0;
	asys_chain_compute(asys_report(sub, 1), count_up, &ran, 7);
	make_ready(sub);
	one = value_step(c, 1);
	step = asys_chain_sub(asys_report(c, 2), sub);
	asys_chain_sub(asys_report(asys_when(c, step, ASYS_NONZERO), 2), sub);
	asys_chain_sub(asys_after(c, one), sub);
	make_ready(c);
	asys_chain_close(sub);
	asys_chain_send(asys_user(q, 3), c);
	while ((event = take_event(q)).user != 3) {
		ended += event.user == 1 && event.result == 7;
		skipped += event.user == 1 && event.result == -ECANCELED;
		subs += event.user == 2;
	}
	check_eq(ran, 2);
	check_eq(ended, 2);
	check_eq(skipped, 1);
	check_eq(subs, 2);
	check_quiet(q);
	asys_chain_close(c);
	asys_queue_close(q);
}

/* ---- compute and timers --------------------------------------------------------------------- */

static void test_timers(void **state)
{
	static int64_t began, ended, late;
	struct asys_chain *c = open_chain();
	asys_id ns = value_step(c, 3000000), timer;

	(void)state;
	late = UNTOUCHED;
	began = (int64_t)asys_now();
	timer = asys_chain_timer(asys_store(c, &ended), ns);
	asys_chain_timer(asys_after(asys_store(c, &late), timer), 0);
	check_eq(run_and_close(c), 0);
	check_eq(ended, 0);
	check_eq(late, 0);
	/* never earlier; how much later is the machine's affair */
	check((int64_t)asys_now() - began >= 3000000);
}

/* Timers run side by side: a thousand of 5 ms are no 5 s, which the watchdog would not see, but 100
 * of one second would be. */
static void test_timers_at_once(void **state)
{
	struct asys_chain *c = open_chain();
	const uint64_t began = asys_now();

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		asys_chain_timer(c, 1000000000);
	check_eq(run_and_close(c), 0);
	check(asys_now() - began < UINT64_C(19000000000));
}

static int64_t returns(const uint64_t arg[6])
{
	return (int64_t)arg[0];
}

static void test_compute_results(void **state)
{
	static const int64_t values[] = { 0, 1, INT64_MAX, INT64_MIN, -4096, -4097 };
	static int64_t result;
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();

	(void)state;
	asys_chain_compute(asys_store(c, &result), returns, asys_param(c, 0));
	make_ready(c);
	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		check_eq(run_on(q, c, values[i]), 0);
		check_eq(result, values[i]);
	}
	check_eq(run_on(q, c, -EDOM), -EDOM);
	check_eq(result, -EDOM);
	asys_chain_close(c);
	asys_queue_close(q);
}

/* ---- looking -------------------------------------------------------------------------------- */

static void test_dot(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags <= ASYS_CHAIN_RECORD; flags++) {
		struct asys_chain *c = open_chain_with(0, flags);
		char *text = NULL;
		size_t size = 0;
		FILE *file = open_memstream(&text, &size);
		asys_id step = value_step(asys_label(c, "the \"first\""), 4242);

		check(file);
		asys_chain_loop(asys_label(c, "around"), 2);
		asys_chain_compute(asys_label(asys_after(c, step), "inside"), give, 7);
		asys_chain_end(c);
		make_ready(c);
		check_eq(run_once(c), 0);
		check_eq(asys_chain_dot(c, file), 0);
		fclose(file);
		check_says(text, "digraph");
		check_says(text, "around");
		check_says(text, "inside");
		check(!strstr(text, "the \"first\""));
		check_eq(strstr(text, "4242") != NULL, flags != 0);
		free(text);
		file = fopen("/dev/full", "w");
		if (file) {
			setvbuf(file, NULL, _IONBF, 0);
			check_eq(asys_chain_dot(c, file), -EIO);
			fclose(file);
		}
		asys_chain_close(c);
	}
}

struct picture {
	struct asys_chain *c;
	FILE *file;
};

static void *print_picture(void *arg)
{
	struct picture *picture = arg;

	asys_chain_dot(picture->c, picture->file);
	return NULL;
}

/* A picture that goes to a full pipe stops no sending, and its thread may be cancelled in it. */
static void test_dot_to_slow_file(void **state)
{
	struct picture picture = { .c = open_chain_with(0, ASYS_CHAIN_RECORD) };
	char full[4096] = "", *text = NULL;
	size_t size = 0;
	pthread_t thread;
	int fd[2];

	(void)state;
	value_step(picture.c, 4242);
	make_ready(picture.c);
	make_pipe(fd);
	fcntl(fd[1], F_SETFL, O_NONBLOCK);
	while (write(fd[1], full, sizeof(full)) > 0)
		;
	fcntl(fd[1], F_SETFL, 0);
	picture.file = fdopen(fd[1], "w");
	setvbuf(picture.file, NULL, _IONBF, 0);
	check_eq(pthread_create(&thread, NULL, print_picture, &picture), 0);
	sleep_ms(20);
	check_eq(run_once(picture.c), 0);
	check_eq(pthread_cancel(thread), 0);
	check_eq(pthread_join(thread, NULL), 0);
	check_eq(run_once(picture.c), 0);
	picture.file = open_memstream(&text, &size);
	check_eq(asys_chain_dot(picture.c, picture.file), 0);
	fclose(picture.file);
	check_says(text, "4242");
	free(text);
	asys_chain_close(picture.c);
	close(fd[0]);
	close(fd[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_parameters_and_result),
		contract(test_nested),
		contract(test_deep_blocks),
		contract(test_deep_subs),
		contract(test_failure),
		contract(test_loops_inside_and_around),
		contract(test_skipped_and_reports),
		contract(test_timers),
		contract(test_timers_at_once),
		contract(test_compute_results),
		contract(test_dot),
		contract(test_dot_to_slow_file),
	};

	return group(tests, argc, argv);
}
