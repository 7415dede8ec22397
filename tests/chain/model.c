/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <errno.h>
#include <string.h>

enum state { NOT_YET, ENDED, SKIPPED };

struct outcome {
	enum state state;
	int64_t result;
	bool vague; /* one of several -errno */
	struct bits done;
};

/* One run of one program: the chain's, or a sub's. */
struct frame {
	struct world *world;
	const struct program *program;
	unsigned base;
	int64_t param[6];
	struct outcome outcome[NODES_MAX];
};

/* Failures inside a block that were not allowed. */
struct fails {
	unsigned count;
	unsigned exec[FAILS_MAX];
};

bool is_error(int64_t result)
{
	return result >= -4095 && result < 0;
}

bool is_block(const struct node *node)
{
	return node->kind >= K_IF;
}

bool condition_holds(unsigned condition, int64_t result)
{
	switch (condition) {
	case ASYS_OK:
		return !is_error(result);
	case ASYS_ERROR:
		return is_error(result);
	case ASYS_ZERO:
		return result == 0;
	case ASYS_NONZERO:
		return result != 0;
	case ASYS_POSITIVE:
		return result > 0;
	case ASYS_NEGATIVE:
		return result < 0;
	default:
		return true;
	}
}

static bool holds(const struct frame *frame, struct name name)
{
	const struct outcome *of = &frame->outcome[name.step];

	if (of->state != ENDED)
		return name.condition == ASYS_ALWAYS;
	return condition_holds(name.condition, of->result);
}

bool bits_has(const struct bits *bits, unsigned n)
{
	return bits->word[n / 64] >> n % 64 & 1;
}

static void bits_add(struct bits *bits, unsigned n)
{
	bits->word[n / 64] |= UINT64_C(1) << n % 64;
}

static void bits_join(struct bits *bits, const struct bits *other)
{
	for (unsigned i = 0; i < BITS_WORDS; i++)
		bits->word[i] |= other->word[i];
}

int64_t work_result(const struct node *node, const int64_t *arg, unsigned occurrence)
{
	const int64_t k = occurrence;

	switch (node->mode) {
	case M_SUM:
		return (arg[0] % 1000 * 3 + arg[1] % 1000 + arg[2] % 1000 + node->value) % 1000;
	case M_DOWN:
		return node->value - k % (node->value + 1);
	case M_ODD_FAILS:
		return k % 2 ? -node->value : k;
	case M_LATE_FAILS:
		return k >= node->value % 3 ? -EIO : k;
	default:
		return node->value;
	}
}

/* ---- runs ----------------------------------------------------------------------------------- */

static struct exec *exec_new(struct frame *frame, unsigned n, const struct bits *before)
{
	struct world *world = frame->world;
	struct exec *exec;

	/* The last one is overwritten again and again: the run is not used. */
	if (world->execs == EXECS_MAX) {
		world->unfit = true;
		world->execs--;
	}
	exec = &world->exec[world->execs++];
	exec->flat = frame->base + n;
	exec->occurrence = world->runs[exec->flat]++;
	exec->node = &frame->program->node[n];
	exec->before = *before;
	return exec;
}

static void tell(struct frame *frame, unsigned n, int64_t result)
{
	struct world *world = frame->world;

	if (!frame->program->node[n].report)
		return;
	if (world->tolds == EXECS_MAX) {
		world->unfit = true;
		return;
	}
	world->told[world->tolds++] =
		(struct told){ frame->program->number * NODES_MAX + n, result };
}

static void tell_skipped_sub(struct frame *frame, const struct program *sub)
{
	struct frame inside = { .world = frame->world, .program = sub };

	for (unsigned n = 0; n < sub->count; n++) {
		if (sub->node[n].dropped)
			continue;
		tell(&inside, n, -ECANCELED);
		if (sub->node[n].kind == K_SUB)
			tell_skipped_sub(&inside, sub->node[n].sub);
	}
}

static void skip_node(struct frame *frame, unsigned n, const struct bits *before)
{
	const struct node *node = &frame->program->node[n];

	frame->outcome[n].state = SKIPPED;
	frame->outcome[n].result = -ECANCELED;
	frame->outcome[n].vague = false;
	frame->outcome[n].done = *before;
	tell(frame, n, -ECANCELED);
	if (node->kind == K_SUB)
		tell_skipped_sub(frame, node->sub);
}

/* A block takes all that is in it along. */
static void skip(struct frame *frame, unsigned n, const struct bits *before)
{
	for (unsigned i = n; i <= frame->program->node[n].last; i++)
		if (!frame->program->node[i].dropped)
			skip_node(frame, i, before);
}

static void fail_with(struct frame *frame, struct fails *fails, unsigned exec)
{
	if (fails->count == FAILS_MAX)
		frame->world->unfit = true;
	else
		fails->exec[fails->count++] = exec;
}

/* Those that no other failure must come before. Returns how many different. */
static unsigned first_fails(const struct world *world, const struct fails *fails,
			    int64_t *ret_first)
{
	unsigned count = 0;

	for (unsigned i = 0; i < fails->count; i++) {
		const struct exec *exec = &world->exec[fails->exec[i]];
		bool first = true;

		for (unsigned k = 0; k < fails->count; k++)
			first = first && !bits_has(&exec->before, fails->exec[k]);
		for (unsigned k = 0; k < count; k++)
			first = first && ret_first[k] != exec->result;
		if (first)
			ret_first[count++] = exec->result;
	}
	return count;
}

/* The end of a run: its result is seen, stored, told, and perhaps the enclosing block's failure. */
static void end(struct frame *frame, unsigned n, struct exec *exec, int64_t result, bool vague)
{
	const struct node *node = &frame->program->node[n];
	struct outcome *outcome = &frame->outcome[n];

	exec->result = result;
	outcome->state = ENDED;
	outcome->result = result;
	outcome->vague = vague;
	outcome->done = exec->before;
	bits_add(&outcome->done, (unsigned)(exec - frame->world->exec));
	if (vague && (node->store || node->report))
		frame->world->unfit = true;
	if (node->store)
		frame->world->stored[frame->base + n] = result;
	tell(frame, n, result);
}

static int64_t argument(struct frame *frame, const struct argument *arg)
{
	switch (arg->source) {
	case S_STEP:
		if (frame->outcome[arg->index].vague)
			frame->world->unfit = true;
		return frame->outcome[arg->index].result + arg->plus;
	case S_PARAM:
		return frame->param[arg->index] + arg->plus;
	case S_INPUT:
		return frame->world->input[arg->index];
	case S_INPUT_INT:
		return (int32_t)frame->world->input[arg->index];
	case S_STORED:
		return frame->world->stored[frame->base + arg->index];
	default:
		return arg->plus;
	}
}

/* ---- when ----------------------------------------------------------------------------------- */

static bool named_otherwise(const struct node *node, unsigned step)
{
	for (unsigned i = 0; i < node->names; i++)
		if (node->name[i].step == step)
			return true;
	return false;
}

/* All that the node names has ended: adds that to `before`, and says if the conditions hold. */
static bool may_run(struct frame *frame, unsigned n, struct bits *before)
{
	const struct node *node = &frame->program->node[n];
	bool yes = true;

	for (unsigned i = 0; i < node->names; i++) {
		bits_join(before, &frame->outcome[node->name[i].step].done);
		yes = holds(frame, node->name[i]) && yes;
	}
	for (unsigned i = 0; i < node->args; i++) {
		const struct name name = { node->arg[i].index, ASYS_OK };

		if (node->arg[i].source != S_STEP)
			continue;
		bits_join(before, &frame->outcome[name.step].done);
		if (!named_otherwise(node, name.step))
			yes = holds(frame, name) && yes;
	}
	if (node->kind == K_IF || node->kind == K_ELSE)
		bits_join(before, &frame->outcome[node->test.step].done);
	if (node->kind == K_IF)
		yes = holds(frame, node->test) && yes;
	if (node->kind == K_ELSE)
		yes = frame->outcome[node->test.step].state == ENDED && !holds(frame, node->test) &&
		      yes;
	return yes;
}

/* ---- kinds ---------------------------------------------------------------------------------- */

static void run_body(struct frame *frame, int block, const struct bits *before, struct fails *fails,
		     struct bits *done);

static void run_simple(struct frame *frame, unsigned n, const struct bits *before)
{
	const struct node *node = &frame->program->node[n];
	struct exec *exec = exec_new(frame, n, before);
	int64_t result = 0;

	for (unsigned i = 0; i < ARGS_MAX; i++)
		exec->arg[i] = i < node->args ? argument(frame, &node->arg[i]) : 0;
	switch (node->kind) {
	case K_WORK:
		result = work_result(node, exec->arg, exec->occurrence);
		break;
	case K_GIVE:
		result = exec->arg[0] >= 0 ? exec->arg[0] : -EINVAL;
		break;
	case K_BAD:
		result = -EBADF;
		break;
	case K_PPID:
		result = frame->world->ppid;
		break;
	case K_READ:
	case K_WRITE:
		result = 1;
		break;
	default:
		break;
	}
	end(frame, n, exec, result, false);
}

/* Ends a block with 0 (or `usual`), or with the first failure. */
static void end_block(struct frame *frame, unsigned n, const struct bits *done,
		      const struct fails *fails, int64_t usual)
{
	int64_t first[FAILS_MAX];
	const unsigned count = first_fails(frame->world, fails, first);

	end(frame, n, exec_new(frame, n, done), count ? first[0] : usual, count > 1);
}

static void run_loop(struct frame *frame, unsigned n, const struct bits *before,
		     struct fails *fails)
{
	const struct node *node = &frame->program->node[n];
	struct bits done = *before;
	bool again = node->bound > 0;
	int64_t count = 0;

	for (unsigned i = n + 1; i <= node->last && !node->bound; i++)
		if (!frame->program->node[i].dropped)
			skip_node(frame, i, before);
	while (again && !frame->world->unfit) {
		struct bits start = done;

		run_body(frame, (int)n, &start, fails, &done);
		count++;
		again = !fails->count && (!node->tested || holds(frame, node->test));
		if (again && count == node->bound)
			break;
	}
	if (again && node->tested && node->bound) {
		struct exec *exec = exec_new(frame, n, &done);

		fail_with(frame, fails, (unsigned)(exec - frame->world->exec));
		end(frame, n, exec, -ELOOP, false);
		return;
	}
	end_block(frame, n, &done, fails, count);
}

/* What the program's result step says. */
static void outcome_of(struct frame *frame, int64_t *ret_result, bool *ret_skipped)
{
	const int result = frame->program->result;

	*ret_result = 0;
	*ret_skipped = false;
	if (result < 0 || frame->program->node[result].dropped)
		return;
	*ret_result = frame->outcome[result].result;
	*ret_skipped = frame->outcome[result].state != ENDED;
	if (frame->outcome[result].vague)
		frame->world->unfit = true;
}

static void run_sub(struct frame *frame, unsigned n, const struct bits *before, struct fails *fails)
{
	const struct node *node = &frame->program->node[n];
	struct frame inside = {
		.world = frame->world,
		.program = node->sub,
		.base = frame->base + node->sub_base,
	};
	struct bits done = *before;
	int64_t result;
	bool skipped;

	for (unsigned i = 0; i < node->args; i++)
		inside.param[PARAM_FIRST + i] = argument(frame, &node->arg[i]);
	run_body(&inside, -1, before, fails, &done);
	outcome_of(&inside, &result, &skipped);
	if (skipped && !fails->count)
		frame->world->unfit = true;
	if (!fails->count && is_error(result)) {
		struct exec *exec = exec_new(frame, n, &done);

		fail_with(frame, fails, (unsigned)(exec - frame->world->exec));
		end(frame, n, exec, result, false);
		return;
	}
	end_block(frame, n, &done, fails, result);
}

static void run(struct frame *frame, unsigned n, const struct bits *before, struct fails *fails)
{
	const struct node *node = &frame->program->node[n];
	struct fails inside = { .count = 0 };
	struct bits done = *before;

	if (node->kind == K_LOOP) {
		run_loop(frame, n, before, &inside);
	} else if (node->kind == K_SUB) {
		run_sub(frame, n, before, &inside);
	} else if (is_block(node)) {
		run_body(frame, (int)n, before, &inside, &done);
		end_block(frame, n, &done, &inside, 0);
	} else {
		run_simple(frame, n, before);
		if (is_error(frame->outcome[n].result))
			fail_with(frame, &inside, frame->world->execs - 1);
	}
	if (!node->may_fail)
		for (unsigned i = 0; i < inside.count; i++)
			fail_with(frame, fails, inside.exec[i]);
}

/* The steps of a block, or of the whole (-1). */
static void run_body(struct frame *frame, int block, const struct bits *before, struct fails *fails,
		     struct bits *done)
{
	const struct program *program = frame->program;
	const unsigned first = (unsigned)(block + 1);
	const unsigned end_at = block < 0 ? program->count : program->node[block].last + 1u;

	bits_join(done, before);
	for (unsigned n = first; n < end_at; n = program->node[n].last + 1u) {
		const struct node *node = &program->node[n];
		struct bits start = *before;
		bool yes;

		if (node->dropped)
			continue;
		if (node->kind == K_ON_FAILURE || node->kind == K_FINALLY)
			bits_join(&start, done);
		yes = may_run(frame, n, &start);
		if (node->kind == K_ON_FAILURE)
			yes = yes && fails->count;
		if (yes)
			run(frame, n, &start, fails);
		else
			skip(frame, n, &start);
		bits_join(done, &frame->outcome[n].done);
	}
}

void model_run(struct world *world, const struct program *program)
{
	struct frame frame = { .world = world, .program = program };
	struct bits before = { { 0 } }, done = before;
	struct fails fails = { .count = 0 };

	world->execs = 0;
	world->tolds = 0;
	world->unfit = false;
	memset(world->runs, 0, sizeof(world->runs));
	memset(world->stored, 0, sizeof(world->stored));
	memcpy(frame.param, world->param, sizeof(frame.param));
	run_body(&frame, -1, &before, &fails, &done);
	world->firsts = first_fails(world, &fails, world->first);
	outcome_of(&frame, &world->result, &world->result_skipped);
}
