/* SPDX-License-Identifier: MIT */
/* Contract: a wrong step is refused when it is added, with a message that names it. */
#include "common.h"

#include <fcntl.h>
#include <string.h>

static struct asys_queue *queue;
static struct asys_chain *other, *other_ready;
static asys_id of_queue, of_other;

static struct asys_chain *named(struct asys_chain *c)
{
	return asys_label(c, "culprit");
}

static asys_id made_up(struct asys_chain *c, int64_t value)
{
	(void)c;
	return (asys_id){ value };
}

static asys_id later_step(struct asys_chain *c)
{
	asys_id first = asys_getppid(c);

	return asys_close(named(c), made_up(c, first.value + 5));
}

static asys_id itself(struct asys_chain *c)
{
	asys_id first = asys_getppid(c), second = asys_getppid(c);

	return asys_getppid(
		asys_after(named(c), made_up(c, second.value + (second.value - first.value))));
}

static asys_id no_id(struct asys_chain *c)
{
	return asys_close(named(c), made_up(c, 0));
}

static asys_id failed_id(struct asys_chain *c)
{
	return asys_close(named(c), made_up(c, -EINVAL));
}

static asys_id id_of_queue(struct asys_chain *c)
{
	return asys_close(named(c), of_queue);
}

static asys_id after_id_of_queue(struct asys_chain *c)
{
	return asys_getppid(asys_after(named(c), of_queue));
}

static asys_id id_of_other_chain(struct asys_chain *c)
{
	asys_getppid(c);
	return asys_close(named(c), of_other);
}

static asys_id when_id_of_other_chain(struct asys_chain *c)
{
	asys_getppid(c);
	return asys_getppid(asys_when(named(c), of_other, ASYS_OK));
}

static asys_id param_of_other_chain(struct asys_chain *c)
{
	return asys_close(named(c), asys_param(other, 0));
}

static asys_id open_block(struct asys_chain *c)
{
	asys_id block = asys_chain_loop(c, 2);

	return asys_close(named(c), block);
}

static asys_id outer_open_block(struct asys_chain *c)
{
	asys_id block = asys_chain_if(c, asys_getppid(c), ASYS_OK);

	asys_chain_loop(c, 3);
	return asys_getppid(asys_after(named(c), block));
}

static asys_id unknown_condition(struct asys_chain *c)
{
	asys_id step = asys_getppid(c);

	return asys_getppid(asys_when(named(c), step, (enum asys_condition)(ASYS_NEGATIVE + 1)));
}

static asys_id if_unknown_condition(struct asys_chain *c)
{
	asys_id step = asys_getppid(c);

	return asys_chain_if(named(c), step, (enum asys_condition) - 1);
}

static asys_id if_of_nothing(struct asys_chain *c)
{
	return asys_chain_if(named(c), made_up(c, 0), ASYS_OK);
}

static asys_id loop_while_of_other(struct asys_chain *c)
{
	asys_chain_loop(named(c), 3);
	asys_getppid(c);
	return asys_chain_while(c, of_other, ASYS_OK);
}

static asys_id step_after_failure(struct asys_chain *c)
{
	asys_chain_on_failure(c);
	asys_getppid(c);
	asys_chain_end(c);
	return asys_getppid(named(c));
}

static asys_id step_after_finally(struct asys_chain *c)
{
	asys_chain_finally(c);
	asys_getppid(c);
	asys_chain_end(c);
	return asys_getppid(named(c));
}

static asys_id block_after_finally(struct asys_chain *c)
{
	asys_id first = asys_getppid(c);

	asys_chain_finally(c);
	asys_chain_end(c);
	return asys_chain_if(named(c), first, ASYS_OK);
}

static asys_id step_after_inner_finally(struct asys_chain *c)
{
	asys_chain_loop(c, 2);
	asys_chain_finally(c);
	asys_chain_end(c);
	return asys_getppid(named(c));
}

static asys_id too_deep(struct asys_chain *c)
{
	for (unsigned i = 0; i < ASYS_CHAIN_NEST_MAX; i++)
		check(asys_chain_loop(c, 1).value > 0);
	return asys_chain_loop(named(c), 1);
}

static asys_id unknown_flags(struct asys_chain *c)
{
	return asys_chain_add_(named(c), ASYS_NR_getppid | UINT64_C(1) << (32 + 12), 0, 0, 0, 0, 0,
			       0);
}

static asys_id never_call(struct asys_chain *c)
{
	return asys_call(named(c), SYS_exit_group, 1, 0, 0, 0, 0, 0);
}

static asys_id impossible_number(struct asys_chain *c)
{
	return asys_call(named(c), 65536, 0, 0, 0, 0, 0, 0);
}

static asys_id bad_param(struct asys_chain *c)
{
	return asys_close(named(c), asys_param(c, 6));
}

static asys_id bad_plus(struct asys_chain *c)
{
	return asys_close(named(c), asys_plus(c, of_queue, 1));
}

static asys_id bad_load(struct asys_chain *c)
{
	return asys_close(named(c), asys_load(c, of_other));
}

static asys_id full_getppid(struct asys_chain *c)
{
	return asys_getppid(asys_full(named(c)));
}

static asys_id full_openat(struct asys_chain *c)
{
	return asys_openat(asys_full(named(c)), AT_FDCWD, "/", O_RDONLY, 0);
}

static asys_id full_timer(struct asys_chain *c)
{
	return asys_chain_timer(asys_full(named(c)), 1);
}

static asys_id full_compute(struct asys_chain *c)
{
	return asys_chain_compute(asys_full(named(c)), give, 1);
}

static asys_id full_block(struct asys_chain *c)
{
	return asys_chain_loop(asys_full(named(c)), 1);
}

static asys_id no_function(struct asys_chain *c)
{
	return asys_chain_compute(named(c), NULL, 1);
}

static asys_id no_sub(struct asys_chain *c)
{
	return asys_chain_sub(named(c), NULL, 1);
}

static asys_id sub_not_ready(struct asys_chain *c)
{
	return asys_chain_sub(named(c), other, 1);
}

static asys_id sub_of_itself(struct asys_chain *c)
{
	return asys_chain_sub(named(c), c, 1);
}

static asys_id sub_with_too_few(struct asys_chain *c)
{
	return asys_chain_sub(named(c), other_ready, 5);
}

static asys_id sub_with_bad_argument(struct asys_chain *c)
{
	return asys_chain_sub(named(c), other_ready, of_other, 0);
}

static asys_id timer_of_other(struct asys_chain *c)
{
	return asys_chain_timer(named(c), of_other);
}

static asys_id store_to_other(struct asys_chain *c)
{
	return asys_getppid(asys_store(named(c), of_other));
}

static const struct wrong_step {
	const char *name;
	asys_id (*add)(struct asys_chain *chain);
	/* None: the label. Else what is wrong is a value, found before there is a step to take it. */
	const char *says;
} wrong_steps[] = {
	{ "later_step", later_step, NULL },
	{ "itself", itself, NULL },
	{ "no_id", no_id, NULL },
	{ "failed_id", failed_id, NULL },
	{ "id_of_queue", id_of_queue, NULL },
	{ "after_id_of_queue", after_id_of_queue, NULL },
	{ "id_of_other_chain", id_of_other_chain, NULL },
	{ "when_id_of_other_chain", when_id_of_other_chain, NULL },
	{ "param_of_other_chain", param_of_other_chain, NULL },
	{ "open_block", open_block, NULL },
	{ "outer_open_block", outer_open_block, NULL },
	{ "unknown_condition", unknown_condition, NULL },
	{ "if_unknown_condition", if_unknown_condition, NULL },
	{ "if_of_nothing", if_of_nothing, NULL },
	{ "loop_while_of_other", loop_while_of_other, "step 4" },
	{ "step_after_failure", step_after_failure, NULL },
	{ "step_after_finally", step_after_finally, NULL },
	{ "block_after_finally", block_after_finally, NULL },
	{ "step_after_inner_finally", step_after_inner_finally, NULL },
	{ "too_deep", too_deep, NULL },
	{ "unknown_flags", unknown_flags, NULL },
	{ "never_call", never_call, NULL },
	{ "impossible_number", impossible_number, NULL },
	{ "bad_param", bad_param, "step 2" },
	{ "bad_plus", bad_plus, "step 2" },
	{ "bad_load", bad_load, "step 2" },
	{ "full_getppid", full_getppid, NULL },
	{ "full_openat", full_openat, NULL },
	{ "full_timer", full_timer, NULL },
	{ "full_compute", full_compute, NULL },
	{ "full_block", full_block, NULL },
	{ "no_function", no_function, NULL },
	{ "no_sub", no_sub, NULL },
	{ "sub_not_ready", sub_not_ready, NULL },
	{ "sub_of_itself", sub_of_itself, NULL },
	{ "sub_with_too_few", sub_with_too_few, NULL },
	{ "sub_with_bad_argument", sub_with_bad_argument, NULL },
	{ "timer_of_other", timer_of_other, NULL },
	{ "store_to_other", store_to_other, NULL },
};

static void open_others(void)
{
	queue = open_queue();
	of_queue = submit(queue, SYS_getppid, 0);
	other = open_chain();
	for (unsigned i = 0; i < 8; i++)
		of_other = asys_getppid(other);
	other_ready = open_chain();
	asys_chain_compute(other_ready, give, asys_param(other_ready, 1));
	make_ready(other_ready);
}

static void close_others(void)
{
	asys_chain_close(other);
	asys_chain_close(other_ready);
	check_eq(drain(queue), 1);
	asys_queue_close(queue);
}

/* Each is refused at once, by name; the error stays the chain's whatever follows. */
static void test_wrong_steps(void **state)
{
	unsigned bad = 0;

	(void)state;
	open_others();
	for (unsigned i = 0; i < sizeof(wrong_steps) / sizeof(wrong_steps[0]); i++) {
		struct asys_chain *c = open_chain();
		asys_id good = asys_getppid(asys_label(c, "innocent"));
		asys_id id = wrong_steps[i].add(c);
		const char *word = wrong_steps[i].says ? wrong_steps[i].says : "culprit";
		const bool says = strstr(asys_message(), word);
		int err;

		if (id.value >= 0 || !says)
			fprintf(stderr, "%s: id %lld, message: %s\n", wrong_steps[i].name,
				(long long)id.value, asys_message());
		bad += id.value >= 0 || !says;
		check(good.value > 0);
		asys_getppid(asys_after(c, good));
		asys_chain_end(c);
		err = asys_chain_ready(c);
		if (err != id.value || !strstr(asys_message(), word))
			fprintf(stderr, "%s: ready: %d, id %lld, message: %s\n",
				wrong_steps[i].name, err, (long long)id.value, asys_message());
		bad += err != id.value || !strstr(asys_message(), word);
		bad += asys_chain_send(queue, c).value != -EINVAL;
		asys_chain_close(c);
	}
	close_others();
	check_eq(bad, 0);
}

static void test_result_of_stranger(void **state)
{
	struct asys_chain *c = open_chain();

	(void)state;
	open_others();
	asys_getppid(c);
	check(asys_chain_result(c, of_other) < 0);
	check(asys_chain_result(c, of_queue) < 0);
	check(asys_chain_result(c, (asys_id){ 0 }) < 0);
	check(asys_chain_ready(c) < 0);
	asys_chain_close(c);
	close_others();
}

/* A parameter that is not given is no 0: a chain that closes it would close descriptor 0. Nothing of what was
 * refused is sent, and none of what was said about it is about the next. */
static void test_too_few_parameters(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event event;
	int64_t array[6] = { 0, 1, 2, 3, 4, 5 };

	(void)state;
	for (unsigned last = 0; last < 6; last++) {
		struct asys_chain *c = open_chain();
		asys_id id[7];

		asys_chain_result(c, asys_chain_compute(c, give, asys_param(c, last)));
		asys_close(asys_may_fail(c), asys_plus(c, asys_param(c, last), 1000000));
		make_ready(c);
		asys_user(q, 5);
		id[0] = asys_chain_send(q, c);
		id[1] = asys_chain_send(q, c, array[0]);
		id[2] = asys_chain_send(q, c, array[0], array[1]);
		id[3] = asys_chain_send(q, c, array[0], array[1], array[2]);
		id[4] = asys_chain_send(q, c, array[0], array[1], array[2], array[3]);
		id[5] = asys_chain_send(q, c, array[0], array[1], array[2], array[3], array[4]);
		id[6] = asys_chain_send(q, c, array[0], array[1], array[2], array[3], array[4],
					array[5]);
		for (unsigned given = 0; given < 7; given++) {
			if (given <= last) {
				check_eq(id[given].value, -EINVAL);
				continue;
			}
			check_eq(asys_queue_wait(q, id[given], &event), 0);
			check_eq(event.result, last);
			check_eq(event.user, 0);
		}
		check_eq(asys_chain_send(q, c).value, -EINVAL);
		check_says(asys_message(), "parameters");
		asys_chain_close(c);
	}
	check_eq(asys_queue_pending(q), 0);
	asys_queue_close(q);
}

/* Zeros that are given are parameters as others. */
static void test_zeros_are_given(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();
	struct asys_event event;

	(void)state;
	asys_chain_result(c, asys_chain_compute(c, sum, asys_param(c, 0), asys_param(c, 1),
						asys_param(c, 2)));
	make_ready(c);
	check_eq(asys_queue_wait(q, asys_chain_send(q, c, 0, NULL, 0), &event), 0);
	check_eq(event.result, 0);
	check_eq(asys_queue_wait(q, asys_chain_send(q, c, 1, 2, 0, 7, 7, 7), &event), 0);
	check_eq(event.result, 3);
	asys_chain_close(c);
	asys_queue_close(q);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_wrong_steps),
		contract(test_result_of_stranger),
		contract(test_too_few_parameters),
		contract(test_zeros_are_given),
	};

	return group(tests, argc, argv);
}
