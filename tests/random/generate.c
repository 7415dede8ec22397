/* SPDX-License-Identifier: MIT */
/* Makes a program from a seed. */
#include "generate.h"

#include <string.h>
#include <sys/socket.h>

enum { SCENES_MOST = 64 };

/* Splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
uint64_t random_next(struct random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* ---- parts ---------------------------------------------------------------------------------- */

unsigned add_object(struct gen *g, unsigned kind, unsigned flags)
{
	struct object *object = &g->program->object[g->program->objects];

	*object = (struct object){ .kind = (uint8_t)kind, .flags = (uint16_t)flags };
	return g->program->objects++;
}

void add_step(struct gen *g, unsigned kind, unsigned object, unsigned end, uint32_t at_us,
	      uint32_t size)
{
	g->program->step[g->program->steps++] = (struct step){
		.kind = (uint8_t)kind,
		.object = (uint8_t)object,
		.end = (uint8_t)end,
		.at_us = at_us,
		.size = size,
	};
}

bool begin_lane(struct gen *g, unsigned calls)
{
	if (g->program->ops + calls > OPS_MAX - 4 || g->program->objects + 3 > OBJECTS_MAX ||
	    g->program->steps + 8 > STEPS_MAX)
		return false;
	g->program->lanes++;
	g->last = -1;
	g->strict = false;
	return true;
}

static void add_link(struct op *op, unsigned kind, unsigned to)
{
	op->link[op->links].kind = (uint8_t)kind;
	op->link[op->links++].op = (uint8_t)to;
}

struct op *add_op(struct gen *g, long nr, unsigned args, const struct arg *arg)
{
	struct op *op = &g->program->op[g->program->ops];
	static const uint8_t kinds[] = { L_AFTER, L_AFTER, L_AFTER,    L_AFTER,	     L_AFTER,
					 L_AFTER, L_AFTER, L_AFTER_OK, L_AFTER_ERROR };

	memset(op, 0, sizeof(*op));
	op->nr = (uint16_t)nr;
	op->lane = g->program->lanes;
	op->args = (uint8_t)args;
	memcpy(op->arg, arg, args * sizeof(*arg));
	if (g->last >= 0)
		add_link(op, g->strict ? L_AFTER : pick_of(g, kinds), (unsigned)g->last);
	g->last = g->program->ops++;
	return op;
}

struct op *as_stream(struct op *op, unsigned size_arg)
{
	op->stream = true;
	op->size_arg = (uint8_t)size_arg;
	return op;
}

struct op *makes_fd(struct op *op)
{
	op->makes_fd = true;
	return op;
}

struct arg num(int64_t value)
{
	return (struct arg){ .kind = A_NUMBER, .value = (uint64_t)value };
}

struct arg end_of(unsigned object, unsigned end)
{
	return num(world_fd(object, end));
}

struct arg result_of(struct gen *g, const struct op *op)
{
	return (struct arg){ .kind = A_RESULT, .value = op_index(g, op) };
}

struct arg text(unsigned number)
{
	return (struct arg){ .kind = A_TEXT, .value = number };
}

struct arg text_of_object(unsigned which, unsigned object)
{
	return text(16 + which * OBJECTS_MAX + object);
}

struct arg out(uint32_t size)
{
	return (struct arg){ .kind = A_OUT, .size = size };
}

struct arg out_ignored(uint32_t size)
{
	return (struct arg){ .kind = A_OUT, .size = size, .ignored = true };
}

struct arg data(struct gen *g, uint32_t size)
{
	return (struct arg){ .kind = A_DATA, .size = size, .value = pick(g, PATTERN_SIZE / 4) };
}

struct arg words(unsigned count, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return (struct arg){ .kind = A_WORDS, .count = (uint8_t)count, .word = { a, b, c, d } };
}

struct arg time_of(uint64_t us)
{
	return words(2, us / 1000000, us % 1000000 * 1000, 0, 0);
}

struct arg vector(struct gen *g, unsigned kind, uint32_t size)
{
	struct arg arg = { .kind = (uint8_t)kind, .count = (uint8_t)(1 + pick(g, SEGMENTS_MAX)) };

	arg.value = pick(g, PATTERN_SIZE / 4);
	for (unsigned k = 0; k + 1 < arg.count; k++) {
		arg.word[k] = pick(g, size + 1);
		size -= (uint32_t)arg.word[k];
	}
	arg.word[arg.count - 1] = size;
	return arg;
}

struct arg any_out(struct gen *g, uint32_t size)
{
	if (chance(g, 24))
		return (struct arg){ .kind = A_BAD, .value = pick(g, 6) };
	if (chance(g, 30))
		return (struct arg){ .kind = A_EDGE, .size = pick(g, size + 1) };
	return out(size);
}

struct arg any_data(struct gen *g, uint32_t size)
{
	struct arg arg = any_out(g, size);

	/* The memory before another edge, which no call writes. */
	if (arg.kind == A_EDGE)
		arg.value = 1;
	return arg.kind == A_OUT ? data(g, size) : arg;
}

uint32_t any_size(struct gen *g)
{
	static const uint32_t sizes[] = { 0, 1, 7, 8, 100, 511, 512, 4095, 4096, 4097, 10000 };

	const uint32_t size = pick_of(g, sizes);

	return g->small && size > 4096 ? 4096 : size;
}

/* ---- transfers ------------------------------------------------------------------------------ */

struct op *add_read(struct gen *g, struct arg fd, bool socket, uint32_t size, int flags, bool exact)
{
	const struct arg to = exact ? out(size) : any_out(g, size);
	struct arg many;

	switch (socket ? (flags ? 3 + pick(g, 2) : pick(g, 5)) : pick(g, 3)) {
	case 0:
		return as_stream(ADD(g, SYS_read, fd, to, num(size)), 2);
	case 1:
		many = vector(g, A_VECTOR_OUT, size);
		return as_stream(ADD(g, SYS_readv, fd, many, num(many.count)), 0);
	case 2:
		many = vector(g, A_VECTOR_OUT, size);
		return as_stream(
			ADD(g, SYS_preadv2, fd, many, num(many.count), num(-1), num(0), num(0)), 0);
	case 3:
		return as_stream(
			ADD(g, SYS_recvfrom, fd, to, num(size), num(flags), num(0), num(0)), 2);
	default:
		return as_stream(
			ADD(g, SYS_recvmsg, fd, vector(g, A_MESSAGE_OUT, size), num(flags)), 0);
	}
}

struct op *add_write(struct gen *g, struct arg fd, bool socket, uint32_t size, int flags,
		     bool exact)
{
	const struct arg from = exact ? data(g, size) : any_data(g, size);
	struct arg many;

	switch (socket ? (flags ? 3 + pick(g, 2) : pick(g, 5)) : pick(g, 3)) {
	case 0:
		return as_stream(ADD(g, SYS_write, fd, from, num(size)), 2);
	case 1:
		many = vector(g, A_VECTOR_DATA, size);
		return as_stream(ADD(g, SYS_writev, fd, many, num(many.count)), 0);
	case 2:
		many = vector(g, A_VECTOR_DATA, size);
		return as_stream(ADD(g, SYS_pwritev2, fd, many, num(many.count), num(-1), num(0),
				     num(0)),
				 0);
	case 3:
		return as_stream(
			ADD(g, SYS_sendto, fd, from, num(size), num(flags), num(0), num(0)), 2);
	default:
		return as_stream(
			ADD(g, SYS_sendmsg, fd, vector(g, A_MESSAGE_DATA, size), num(flags)), 0);
	}
}

/* ---- the whole ------------------------------------------------------------------------------ */

static const struct scene *const tables[] = { scenes_still, scenes_flow, scenes_wait };

static const struct scene *scene_at(unsigned number)
{
	for (unsigned t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct scene *s = tables[t]; s->name; s++)
			if (!number--)
				return s;
	return NULL;
}

const char *scene_name(unsigned number)
{
	const struct scene *scene = scene_at(number);

	return scene ? scene->name : NULL;
}

bool scene_unusual(unsigned number)
{
	return scene_at(number)->unusual;
}

static const struct scene *choose_scene(struct gen *g, uint64_t without)
{
	const struct scene *scene;
	uint32_t total = 0, at;

	for (unsigned n = 0; (scene = scene_at(n)); n++)
		if (!(without >> n & 1) && !(scene->waits && g->calm))
			total += scene->weight;
	if (!total)
		return NULL;
	at = pick(g, total);
	for (unsigned n = 0; (scene = scene_at(n)); n++) {
		if ((without >> n & 1) || (scene->waits && g->calm))
			continue;
		if (at < scene->weight)
			return scene;
		at -= scene->weight;
	}
	return NULL;
}

/* Any order in which what a call depends on is sent before it. */
static void choose_order(struct gen *g)
{
	struct program *p = g->program;
	uint8_t next[OPS_MAX + 1], lanes = 0, first[OPS_MAX + 1];
	unsigned at = 0;

	for (unsigned i = 0; i < p->ops; i++)
		if (!i || p->op[i].lane != p->op[i - 1].lane) {
			first[lanes] = (uint8_t)i;
			next[lanes++] = (uint8_t)i;
		}
	first[lanes] = p->ops;
	while (at < p->ops) {
		const unsigned lane = pick(g, lanes);

		if (next[lane] < first[lane + 1])
			p->order[at++] = next[lane]++;
	}
}

static bool depended_on(const struct program *p, unsigned i)
{
	for (unsigned k = i + 1; k < p->ops; k++) {
		for (unsigned n = 0; n < p->op[k].links; n++)
			if (p->op[k].link[n].op == i)
				return true;
		for (unsigned n = 0; n < p->op[k].args; n++)
			if (p->op[k].arg[n].kind == A_RESULT && p->op[k].arg[n].value == i)
				return true;
	}
	return false;
}

/* What comes after a call that may end before its time comes after that one's predecessors too. */
static bool let_end_early(struct program *p, unsigned i)
{
	const struct op *op = &p->op[i];

	for (unsigned k = 0; k < op->links; k++)
		if (p->op[op->link[k].op].cancel || p->op[op->link[k].op].deadline_us)
			return false;
	for (unsigned k = i + 1; k < p->ops; k++)
		for (unsigned n = p->op[k].links; n--;)
			if (p->op[k].link[n].op == i && op->links)
				add_link(&p->op[k], L_AFTER, op->link[0].op);
	return true;
}

static void choose_modifiers(struct gen *g)
{
	static const uint32_t deadlines[] = { 1, 50, 300, 2000, 60000000 };
	struct program *p = g->program;

	p->cancel_us = chance(g, 2) ? 0 : pick(g, 300);
	for (unsigned i = 0; i < p->ops; i++) {
		struct op *op = &p->op[i];

		op->priority = chance(g, 6) ? (chance(g, 2) ? 1 : -1) : 0;
		if (op->endless || op->last || op->has_alternative)
			continue;
		if (!p->busy && !op->makes_fd && !depended_on(p, i) && chance(g, 12))
			op->quiet = true;
		else if (chance(g, 20))
			op->cancel = let_end_early(p, i);
		else if (chance(g, 25) && let_end_early(p, i))
			op->deadline_us = pick_of(g, deadlines);
	}
}

static void choose_limit(struct gen *g)
{
	static const uint32_t sizes[] = { 0, 100, 4096, 5000 };
	struct program *p = g->program;

	if (!chance(g, 24))
		return;
	/* Without a descriptor to give, what would wait for ever fails at once. */
	for (unsigned i = 0; i < p->ops; i++)
		if (p->op[i].endless && p->op[i].makes_fd)
			return;
	p->limit = chance(g, 2) ? LIMIT_FSIZE : LIMIT_NOFILE;
	p->limit_to = p->limit == LIMIT_FSIZE ? pick_of(g, sizes) : 3;
}

void generate(struct program *program, uint64_t seed, uint64_t without, bool calm)
{
	struct gen g = { .program = program, .calm = calm };
	unsigned wanted;

	memset(program, 0, sizeof(*program));
	g.random.state = seed * UINT64_C(0xd1342543de82ef95);
	program->seed = seed;
	program->busy = chance(&g, 8) && !(without >> SCENE_BUSY & 1);
	program->busy_kind = (uint8_t)pick(&g, 4);
	program->stepped = chance(&g, 5);
	wanted = 1 + pick(&g, 4);
	for (unsigned k = 0; k < wanted; k++) {
		const struct scene *scene = choose_scene(&g, without);

		if (scene && begin_lane(&g, scene->calls))
			scene->make(&g);
	}
	if (!(without >> SCENE_LIMIT & 1))
		choose_limit(&g);
	if (!(without >> SCENE_CANCEL & 1))
		choose_modifiers(&g);
	choose_order(&g);
	program_layout(program);
}
