/* SPDX-License-Identifier: MIT */
/* The reference interpreter against expectations made by hand: nothing of the library is called. */
#include "../support.h"
#include "model.h"

#include <string.h>

static struct program program, sub;
static struct world world;

static void begin(void)
{
	memset(&program, 0, sizeof(program));
	memset(&sub, 0, sizeof(sub));
	memset(&world, 0, sizeof(world));
	program.result = -1;
	sub.result = -1;
	sub.number = 1;
}

static struct node *put(struct program *to, enum kind kind, int parent, int64_t value)
{
	struct node *node = &to->node[to->count];

	node->kind = (uint8_t)kind;
	node->parent = (int16_t)parent;
	node->value = value;
	node->last = (uint8_t)to->count++;
	node->store = true;
	node->report = true;
	for (int up = parent; up >= 0; up = to->node[up].parent)
		to->node[up].last = node->last;
	return node;
}

static struct node *step(enum kind kind, int parent, int64_t value)
{
	return put(&program, kind, parent, value);
}

static struct node *when(struct node *node, unsigned of, enum asys_condition condition)
{
	node->name[node->names++] = (struct name){ (uint8_t)of, (uint8_t)condition };
	return node;
}

static struct node *takes(struct node *node, unsigned of, int64_t plus)
{
	node->arg[node->args++] =
		(struct argument){ .source = S_STEP, .index = (uint8_t)of, .plus = plus };
	return node;
}

static void go(void)
{
	sub.flat = sub.count;
	program.flat = program.count;
	for (unsigned n = 0; n < program.count; n++)
		if (program.node[n].kind == K_SUB) {
			program.node[n].sub_base = program.flat;
			program.flat += sub.flat;
		}
	model_run(&world, &program);
	check(!world.unfit);
}

static void check_firsts(unsigned count, int64_t a, int64_t b)
{
	check_eq(world.firsts, count);
	if (count)
		check_one_of(world.first[0], a, b);
	if (count > 1)
		check_one_of(world.first[1], a, b);
}

static void test_conditions(void **state)
{
	static const int64_t values[] = { -4096, -4095, -1, 0, 1 };
	/* rows: conditions, a bit for each value, the lowest is -4096; ALWAYS first */
	static const unsigned expected[] = { 0x1f, 0x19, 0x06, 0x08, 0x17, 0x10, 0x07 };

	(void)state;
	for (unsigned c = ASYS_ALWAYS; c <= ASYS_NEGATIVE; c++)
		for (unsigned v = 0; v < 5; v++) {
			begin();
			step(K_WORK, -1, values[v]);
			when(step(K_WORK, -1, 7), 0, c);
			go();
			check_eq(world.runs[1], expected[c] >> v & 1);
			check_eq(world.stored[1], world.runs[1] ? 7 : 0);
		}
	for (unsigned c = ASYS_ALWAYS; c <= ASYS_NEGATIVE; c++) {
		begin();
		step(K_WORK, -1, 1);
		when(step(K_WORK, -1, 2), 0, ASYS_ZERO);
		when(step(K_WORK, -1, 3), 1, c);
		go();
		check_eq(world.runs[2], c == ASYS_ALWAYS);
		check_firsts(0, 0, 0);
	}
}

static void test_arguments(void **state)
{
	(void)state;
	begin();
	step(K_WORK, -1, 40);
	takes(step(K_GIVE, -1, 0), 0, 2);
	step(K_BAD, -1, 0)->may_fail = true;
	takes(step(K_GIVE, -1, 0), 2, 0);
	when(takes(step(K_GIVE, -1, 0), 2, 10), 2, ASYS_ERROR);
	program.result = 4;
	go();
	check_eq(world.stored[1], 42);
	check_eq(world.runs[3], 0);
	check_eq(world.stored[4], 10 - EBADF);
	check_firsts(0, 0, 0);
	check_eq(world.result, 10 - EBADF);
}

static void test_branches(void **state)
{
	(void)state;
	for (unsigned value = 0; value < 2; value++) {
		begin();
		step(K_WORK, -1, value);
		step(K_IF, -1, 0)->test = (struct name){ 0, ASYS_POSITIVE };
		step(K_WORK, 1, 10);
		step(K_ELSE, -1, 0)->test = (struct name){ 0, ASYS_POSITIVE };
		step(K_WORK, 3, 20);
		when(step(K_WORK, -1, 30), 2, ASYS_OK);
		when(step(K_WORK, -1, 40), 2, ASYS_ALWAYS);
		go();
		check_eq(world.runs[2], value);
		check_eq(world.runs[4], !value);
		check_eq(world.runs[5], value);
		check_eq(world.runs[6], 1);
		/* five ended or skipped, and two blocks */
		check_eq(world.tolds, 7);
	}
	/* if and else of a skipped step: neither */
	begin();
	step(K_WORK, -1, 1);
	when(step(K_WORK, -1, 1), 0, ASYS_ZERO);
	step(K_IF, -1, 0)->test = (struct name){ 1, ASYS_POSITIVE };
	step(K_WORK, 2, 10);
	step(K_ELSE, -1, 0)->test = (struct name){ 1, ASYS_POSITIVE };
	step(K_WORK, 4, 20);
	go();
	check_eq(world.runs[3] + world.runs[5], 0);
}

/* loop { s1 = down 3; s2 = odd } while (s1 positive) */
static void test_loops(void **state)
{
	(void)state;
	for (unsigned bound = 0; bound < 6; bound++) {
		begin();
		step(K_LOOP, -1, 0)->bound = bound;
		step(K_WORK, 0, 3)->mode = M_DOWN;
		program.node[0].tested = true;
		program.node[0].test = (struct name){ 1, ASYS_POSITIVE };
		when(step(K_WORK, -1, 9), 1, ASYS_ZERO);
		go();
		check_eq(world.stored[0], bound == 0 ? 0 : bound < 4 ? -ELOOP : 4);
		check_eq(world.runs[1], bound < 4 ? bound : 4);
		check_eq(world.runs[2], bound >= 4);
		check_eq(world.tolds, bound ? 2 + world.runs[1] : 3);
		check_firsts(bound && bound < 4, -ELOOP, -ELOOP);
	}
	/* it fails in the second iteration; closed by end otherwise */
	begin();
	step(K_LOOP, -1, 0)->bound = 3;
	step(K_WORK, 0, EPERM)->mode = M_ODD_FAILS;
	go();
	check_eq(world.runs[1], 2);
	check_eq(world.stored[0], -EPERM);
	check_firsts(1, -EPERM, -EPERM);
	program.node[1].may_fail = true;
	go();
	check_eq(world.runs[1], 3);
	check_eq(world.stored[0], 3);
	check_firsts(0, 0, 0);
}

static void test_failures(void **state)
{
	(void)state;
	begin();
	step(K_WORK, -1, -EIO);
	step(K_WORK, -1, -EPERM);
	when(step(K_WORK, -1, -ENOENT), 0, ASYS_ERROR);
	step(K_ON_FAILURE, -1, 0);
	takes(step(K_WORK, 3, 1), 0, 0);
	step(K_WORK, 3, -ENOSPC);
	step(K_FINALLY, -1, 0);
	step(K_WORK, 6, 1);
	go();
	/* not the one that waits for the first */
	check_firsts(2, -EIO, -EPERM);
	check_eq(world.runs[4], 0);
	check_eq(world.runs[5], 1);
	check_eq(world.runs[7], 1);
	check(bits_has(&world.exec[2].before, 0) && !bits_has(&world.exec[1].before, 0));
	/* nothing fails */
	program.node[0].value = 0;
	program.node[1].value = 0;
	go();
	check_firsts(0, 0, 0);
	check_eq(world.runs[2] + world.runs[5], 0);
	check_eq(world.runs[7], 1);
}

static void test_block_may_fail(void **state)
{
	(void)state;
	begin();
	step(K_WORK, -1, 0);
	step(K_IF, -1, 0)->test = (struct name){ 0, ASYS_ZERO };
	program.node[1].may_fail = true;
	step(K_BAD, 1, 0);
	step(K_ON_FAILURE, 1, 0);
	step(K_WORK, 3, 5);
	step(K_ON_FAILURE, -1, 0);
	step(K_WORK, 5, 6);
	go();
	check_eq(world.stored[1], -EBADF);
	check_eq(world.runs[4], 1);
	check_eq(world.runs[6], 0);
	check_firsts(0, 0, 0);
}

static void test_subs(void **state)
{
	(void)state;
	begin();
	put(&sub, K_GIVE, -1, 0)->args = 1;
	sub.node[0].arg[0] = (struct argument){ S_PARAM, PARAM_FIRST, 5 };
	sub.result = 0;
	step(K_WORK, -1, 100);
	takes(step(K_SUB, -1, 0), 0, 1)->sub = &sub;
	takes(step(K_SUB, -1, 0), 1, -1000)->sub = &sub;
	takes(step(K_WORK, -1, 1), 2, 0);
	go();
	check_eq(world.stored[1], 106);
	check_eq(world.stored[2], -EINVAL);
	check_eq(world.runs[3], 0);
	check_firsts(1, -EINVAL, -EINVAL);
	check_eq(world.execs, 5);
	/* skipped: what is inside tells that as well */
	check_eq(world.tolds, 6);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_conditions), contract(test_arguments), contract(test_branches),
		contract(test_loops),	   contract(test_failures),  contract(test_block_may_fail),
		contract(test_subs),
	};

	return group(tests, argc, argv);
}
