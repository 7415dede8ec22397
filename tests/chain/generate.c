/* SPDX-License-Identifier: MIT */
/* Random programs: valid, ending, and with results that do not depend on who is faster. */
#include "model.h"

#include <errno.h>
#include <string.h>

struct maker {
	struct random *random;
	struct pool *pool;
	struct program *program;
	unsigned room; /* nodes at most */
};

/* splitmix64 (Steele, Lea and Flood 2014) */
uint32_t random_below(struct random *random, uint32_t n)
{
	uint64_t x = random->state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((x ^ (x >> 31)) >> 32) % n;
}

static bool chance(struct maker *maker, uint32_t percent)
{
	return random_below(maker->random, 100) < percent;
}

static int64_t small_value(struct maker *maker)
{
	static const int64_t values[] = { 0,	   1,	  2,	 -EIO,	-ENOENT, -1,
					  -ENOSPC, -4095, -4096, -5000, 70000,	 INT64_C(1) << 40 };

	if (chance(maker, 50))
		return random_below(maker->random, 8);
	return values[random_below(maker->random, sizeof(values) / sizeof(values[0]))];
}

static struct node *add(struct maker *maker, enum kind kind, int parent)
{
	struct program *program = maker->program;
	struct node *node = &program->node[program->count];

	*node = (struct node){ .kind = (uint8_t)kind, .parent = (int16_t)parent };
	node->last = (uint8_t)program->count++;
	node->may_fail = chance(maker, 15);
	node->store = chance(maker, 50);
	node->report = chance(maker, 25);
	return node;
}

/* Not open: a block that encloses `parent`'s body cannot be named from inside. */
static bool encloses(const struct program *program, unsigned n, int parent)
{
	for (; parent >= 0; parent = program->node[parent].parent)
		if ((unsigned)parent == n)
			return true;
	return false;
}

/* A step that may be named by the next one in the body of `parent`, or -1. Near ones more often. */
static int pick_step(struct maker *maker, int parent)
{
	const uint32_t count = maker->program->count;

	for (unsigned tries = 0; count && tries < 4; tries++) {
		const uint32_t reach = chance(maker, 50) && count > 4 ? 4 : count;
		const uint32_t n = count - 1 - random_below(maker->random, reach);

		if (!encloses(maker->program, n, parent))
			return (int)n;
	}
	return -1;
}

/* May call add no more before it is used: `node` is the last one, and not to be named. */
static void name_some(struct maker *maker, struct node *node, uint32_t percent)
{
	maker->program->count--;
	while (node->names < NAMES_MAX && chance(maker, percent)) {
		const int step = pick_step(maker, node->parent);

		if (step < 0)
			break;
		node->name[node->names++] = (struct name){
			(uint8_t)step,
			(uint8_t)random_below(maker->random, chance(maker, 50) ? 2 : 7),
		};
	}
	maker->program->count++;
}

static void argue(struct maker *maker, struct node *node, struct argument *arg)
{
	const uint32_t how = random_below(maker->random, 10);

	*arg = (struct argument){ .source = S_CONST, .plus = small_value(maker) };
	if (how < 4) {
		maker->program->count--;
		const int step = pick_step(maker, node->parent);

		maker->program->count++;
		if (step < 0)
			return;
		arg->source = S_STEP;
		arg->index = (uint8_t)step;
		arg->plus = chance(maker, 50) ? 0 : small_value(maker);
	} else if (how < 6) {
		arg->source = S_PARAM;
		arg->index = (uint8_t)(PARAM_FIRST + random_below(maker->random, 3));
		arg->plus = chance(maker, 50) ? 0 : small_value(maker);
	} else if (how < 8) {
		arg->source = how == 6 ? S_INPUT : S_INPUT_INT;
		arg->index = (uint8_t)random_below(maker->random, INPUTS);
	} else if (node->names) {
		/* What is loaded must have been stored: the step is named, in some way. */
		arg->source = S_STORED;
		arg->index = node->name[0].step;
		maker->program->node[arg->index].store = true;
	}
}

static void argue_all(struct maker *maker, struct node *node, unsigned count)
{
	node->args = (uint8_t)count;
	for (unsigned i = 0; i < count; i++)
		argue(maker, node, &node->arg[i]);
}

static void make_work(struct maker *maker, int parent)
{
	struct node *node = add(maker, K_WORK, parent);

	node->mode = (uint8_t)random_below(maker->random, M_MODES);
	node->value = small_value(maker);
	if (node->mode != M_VALUE && node->mode != M_SUM)
		node->value = 1 + random_below(maker->random, 4);
	name_some(maker, node, 35);
	argue_all(maker, node, 3);
}

bool in_cleanup(const struct program *program, const struct node *node)
{
	for (const struct node *up = node; up;
	     up = up->parent < 0 ? NULL : program->node + up->parent)
		if (up->kind == K_ON_FAILURE || up->kind == K_FINALLY)
			return true;
	return false;
}

/* A read that blocks until the write beside it, which waits for nothing or for a timer, has run. */
static void make_pipe_pair(struct maker *maker, int parent)
{
	struct node *node = NULL;
	int timer = -1;

	if (chance(maker, 50)) {
		timer = (int)maker->program->count;
		add(maker, K_TIMER, parent)->value = random_below(maker->random, 20000);
	}
	node = add(maker, K_READ, parent);
	if (timer < 0)
		name_some(maker, node, 25);
	node = add(maker, K_WRITE, parent);
	if (timer >= 0)
		node->name[node->names++] = (struct name){ (uint8_t)timer, ASYS_ALWAYS };
}

static void make_simple(struct maker *maker, int parent)
{
	const uint32_t how = random_below(maker->random, 20);
	struct node *node;

	if (how < 11) {
		make_work(maker, parent);
	} else if (how < 14) {
		node = add(maker, K_GIVE, parent);
		name_some(maker, node, 30);
		argue_all(maker, node, 1);
	} else if (how < 17) {
		node = add(maker, how == 14 ? K_BAD : K_PPID, parent);
		name_some(maker, node, 50);
	} else if (how < 18) {
		node = add(maker, K_TIMER, parent);
		node->value = random_below(maker->random, 20000);
		name_some(maker, node, 50);
	} else if (maker->program->count + 3 <= maker->room) {
		make_pipe_pair(maker, parent);
	}
}

static void make_body(struct maker *maker, int parent, unsigned length, unsigned depth);

static void close_block(struct maker *maker, unsigned n)
{
	maker->program->node[n].last = (uint8_t)(maker->program->count - 1);
}

static void make_if(struct maker *maker, int parent, unsigned depth)
{
	const int step = pick_step(maker, parent);
	struct program *program = maker->program;
	struct node *node;
	struct name test;
	unsigned n;

	if (step < 0)
		return;
	n = program->count;
	test = (struct name){ (uint8_t)step, (uint8_t)random_below(maker->random, 7) };
	node = add(maker, K_IF, parent);
	node->test = test;
	if (chance(maker, 50)) {
		name_some(maker, node, 20);
		make_body(maker, (int)n, 4, depth + 1);
		close_block(maker, n);
		return;
	}
	make_body(maker, (int)n, 3, depth + 1);
	close_block(maker, n);
	if (program->count >= maker->room)
		return;
	n = program->count;
	add(maker, K_ELSE, parent)->test = test;
	make_body(maker, (int)n, 3, depth + 1);
	close_block(maker, n);
}

static void make_loop(struct maker *maker, int parent, unsigned depth)
{
	struct program *program = maker->program;
	const unsigned n = program->count;
	struct node *node = add(maker, K_LOOP, parent);

	node->bound = chance(maker, 5) ? 0 : 1 + random_below(maker->random, 4);
	name_some(maker, node, 25);
	make_body(maker, (int)n, 4, depth + 1);
	close_block(maker, n);
	if (node->bound && node->last > n && chance(maker, 65)) {
		const int step =
			chance(maker, 80) ?
				(int)(n + 1 + random_below(maker->random, node->last - n)) :
				pick_step(maker, (int)n);

		if (step < 0)
			return;
		node->tested = true;
		node->test.step = (uint8_t)step;
		node->test.condition = (uint8_t)random_below(maker->random, 7);
	}
}

static bool reads(const struct program *program)
{
	for (unsigned n = 0; n < program->count; n++)
		if (program->node[n].kind == K_READ ||
		    (program->node[n].kind == K_SUB && reads(program->node[n].sub)))
			return true;
	return false;
}

static void make_sub(struct maker *maker, int parent)
{
	const unsigned own = (unsigned)(maker->program - maker->pool->program);
	const unsigned after = maker->pool->count - own - 1;
	struct program *sub;
	struct node *node;

	if (!after)
		return;
	sub = &maker->pool->program[own + 1 + random_below(maker->random, after)];
	/* It knows one pipe only. */
	if (parent >= 0 && in_cleanup(maker->program, &maker->program->node[parent]) && reads(sub))
		return;
	node = add(maker, K_SUB, parent);
	node->sub = sub;
	name_some(maker, node, 25);
	argue_all(maker, node, 3);
}

static void make_cleanup(struct maker *maker, int parent, unsigned depth)
{
	const bool other_order = chance(maker, 20);

	for (unsigned i = 0; i < 2; i++) {
		const unsigned n = maker->program->count;

		if (n + 2 > maker->room || !chance(maker, 50))
			continue;
		add(maker, (i == 0) == other_order ? K_FINALLY : K_ON_FAILURE, parent);
		make_body(maker, (int)n, 2, depth + 1);
		close_block(maker, n);
	}
}

static void make_body(struct maker *maker, int parent, unsigned length, unsigned depth)
{
	length = 1 + random_below(maker->random, length);
	for (unsigned i = 0; i < length && maker->program->count < maker->room; i++) {
		const uint32_t how = random_below(maker->random, 100);

		if (how < 70 || depth > 4)
			make_simple(maker, parent);
		else if (how < 80)
			make_if(maker, parent, depth);
		else if (how < 90)
			make_loop(maker, parent, depth);
		else
			make_sub(maker, parent);
	}
	if (chance(maker, parent < 0 ? 50 : 20))
		make_cleanup(maker, parent, depth);
}

void lay_out(struct pool *pool)
{
	for (unsigned i = pool->count; i-- > 0;) {
		struct program *program = &pool->program[i];

		program->number = i;
		program->flat = program->count;
		for (unsigned n = 0; n < program->count; n++) {
			struct node *node = &program->node[n];

			if (node->kind != K_SUB || node->dropped)
				continue;
			node->sub_base = program->flat;
			program->flat += node->sub->flat;
		}
	}
}

static void make_program(struct maker *maker, struct program *program, unsigned room)
{
	maker->program = program;
	maker->room = room;
	memset(program, 0, sizeof(*program));
	make_body(maker, -1, room, 0);
	program->result = -1;
	if (program->count && chance(maker, 60))
		program->result = (int)random_below(maker->random, program->count);
}

void generate(struct random *random, struct pool *pool)
{
	struct maker maker = { .random = random, .pool = pool };

	do {
		pool->count = 1 + (chance(&maker, 40) ? random_below(random, SUBS_MAX + 1) : 0);
		for (unsigned i = pool->count; i-- > 0;)
			make_program(&maker, &pool->program[i],
				     i ? 8 : 4 + random_below(random, NODES_MAX - 8));
		lay_out(pool);
	} while (!pool->program[0].count || pool->program[0].flat > FLAT_MAX);
}
