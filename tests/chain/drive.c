/* SPDX-License-Identifier: MIT */
#include "drive.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t ticks;

static uint64_t tick(void)
{
	return __atomic_fetch_add(&ticks, 1, __ATOMIC_SEQ_CST);
}

static int64_t work(const uint64_t arg[6])
{
	struct sending *sending = (struct sending *)(uintptr_t)arg[0];
	const unsigned flat = (unsigned)arg[1];
	const unsigned n = __atomic_fetch_add(&sending->entries, 1, __ATOMIC_RELAXED);
	struct entry *entry = &sending->entry[n < EXECS_MAX ? n : EXECS_MAX - 1];

	entry->start = tick();
	entry->flat = flat;
	entry->occurrence = __atomic_fetch_add(&sending->runs[flat], 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < ARGS_MAX; i++)
		entry->arg[i] = (int64_t)arg[2 + i];
	entry->result = work_result(sending->node[flat], entry->arg, entry->occurrence);
	entry->end = tick();
	return entry->result;
}

/* ---- building ------------------------------------------------------------------------------- */

struct builder {
	struct asys_chain *chain;
	const struct program *program;
	const struct rig *rig;
	struct asys_chain **subs; /* by program */
	asys_id stored;		  /* a step: the address that parameter 2 is */
	asys_id id[NODES_MAX];
};

static int64_t same(const uint64_t arg[6])
{
	return (int64_t)arg[0];
}

static struct asys_arg_ ref(asys_id id)
{
	return asys_arg_ref_(id);
}

static struct asys_arg_ word(uint64_t value)
{
	return (struct asys_arg_){ value, 0 };
}

static struct asys_arg_ plus(struct builder *b, asys_id value, int64_t constant)
{
	return ref(constant ? asys_plus(b->chain, value, constant) : value);
}

static struct asys_arg_ build_argument(struct builder *b, const struct argument *arg)
{
	const int64_t input = (int64_t)(offsetof(struct sending, input) + 8u * arg->index);

	switch (arg->source) {
	case S_STEP:
		return plus(b, b->id[arg->index], arg->plus);
	case S_PARAM:
		return plus(b, asys_param(b->chain, arg->index), arg->plus);
	case S_INPUT:
		return ref(
			asys_load(b->chain, asys_plus(b->chain, asys_param(b->chain, 0), input)));
	case S_INPUT_INT:
		return ref(asys_load_int(b->chain,
					 asys_plus(b->chain, asys_param(b->chain, 0), input)));
	case S_STORED:
		return ref(asys_load_(b->chain, plus(b, asys_param(b->chain, 2), 8 * arg->index),
				      false));
	default:
		return word((uint64_t)arg->plus);
	}
}

static void build_name(struct builder *b, struct name name, bool plain)
{
	const asys_id id = b->id[name.step];

	if (plain && name.condition == ASYS_ALWAYS)
		asys_after(b->chain, id);
	else if (plain && name.condition == ASYS_OK)
		asys_after_ok(b->chain, id);
	else if (plain && name.condition == ASYS_ERROR)
		asys_after_error(b->chain, id);
	else
		asys_when(b->chain, id, name.condition);
}

/* An address that a step gives is one more thing that the step with the store waits for. That step may be
 * cancelled, and then nothing is stored; what cleans up must not depend on it. */
static asys_id where_stored(const struct builder *b, unsigned n)
{
	return n % 2 && !in_cleanup(b->program, &b->program->node[n]) ? b->stored :
									asys_param(b->chain, 2);
}

static void build_modifiers(struct builder *b, unsigned n)
{
	const struct node *node = &b->program->node[n];

	for (unsigned i = 0; i < node->names; i++)
		build_name(b, node->name[i], (n + i) % 2);
	if (node->may_fail)
		asys_may_fail(b->chain);
	if (node->store)
		asys_store_(b->chain, plus(b, where_stored(b, n), 8 * (int64_t)n));
	if (node->report)
		asys_report(b->chain, b->program->number * NODES_MAX + n);
}

static asys_id build_work(struct builder *b, unsigned n, const struct asys_arg_ arg[ARGS_MAX])
{
	const struct asys_arg_ all[6] = {
		ref(asys_param(b->chain, 0)),
		plus(b, asys_param(b->chain, 1), (int64_t)n),
		arg[0],
		arg[1],
		arg[2],
	};

	return asys_chain_compute_(b->chain, work, all);
}

static asys_id build_sub(struct builder *b, const struct node *node,
			 const struct asys_arg_ arg[ARGS_MAX], const struct asys_chain *sub)
{
	const struct asys_arg_ all[6] = {
		ref(asys_param(b->chain, 0)),
		plus(b, asys_param(b->chain, 1), (int64_t)node->sub_base),
		plus(b, asys_param(b->chain, 2), 8 * (int64_t)node->sub_base),
		arg[0],
		arg[1],
		arg[2],
	};

	return asys_chain_sub_(b->chain, sub, all);
}

/* In the sending: the address, or the int there. */
static asys_id at_offset(struct asys_chain *chain, size_t offset, bool load)
{
	asys_id address = asys_plus(chain, asys_param(chain, 0), (int64_t)offset);

	return load ? asys_load_int(chain, address) : address;
}

/* Where its number is in the sending. */
static size_t pipe_end(const struct builder *b, const struct node *node, unsigned end)
{
	return offsetof(struct sending, pipe) +
	       sizeof(int) * (2 * in_cleanup(b->program, node) + end);
}

static asys_id build_node(struct builder *b, const struct pool *pool, unsigned n)
{
	const struct node *node = &b->program->node[n];
	struct asys_chain *c = b->chain;
	struct asys_arg_ arg[ARGS_MAX] = { { 0, 0 } };

	for (unsigned i = 0; i < node->args; i++)
		arg[i] = build_argument(b, &node->arg[i]);
	build_modifiers(b, n);
	switch (node->kind) {
	case K_WORK:
		return build_work(b, n, arg);
	case K_GIVE:
		return asys_chain_add_(c, ASYS_NR_lseek | (uint64_t)(arg[0].ref << 1) << 32,
				       (uint64_t)b->rig->file, arg[0].word, SEEK_SET, 0, 0, 0);
	case K_BAD:
		return asys_close(c, -1);
	case K_PPID:
		return asys_getppid(c);
	case K_TIMER:
		return asys_chain_timer(c, (uint64_t)node->value);
	case K_READ:
		return asys_read(c, at_offset(c, pipe_end(b, node, 0), true),
				 at_offset(c, offsetof(struct sending, byte), false), 1);
	case K_WRITE:
		return asys_write(c, at_offset(c, pipe_end(b, node, 1), true), "b", 1);
	case K_SUB:
		return build_sub(b, node, arg, b->subs[node->sub - pool->program]);
	case K_IF:
		return asys_chain_if(c, b->id[node->test.step], node->test.condition);
	case K_ELSE:
		return asys_chain_else(c);
	case K_LOOP:
		return asys_chain_loop(c, node->bound);
	case K_ON_FAILURE:
		return asys_chain_on_failure(c);
	default:
		return asys_chain_finally(c);
	}
}

static bool closed_by_else(const struct program *program, unsigned n)
{
	const unsigned next = program->node[n].last + 1u;

	return program->node[n].kind == K_IF && next < program->count &&
	       program->node[next].kind == K_ELSE && !program->node[next].dropped &&
	       program->node[next].parent == program->node[n].parent;
}

static void build_body(struct builder *b, const struct pool *pool, int block)
{
	const struct program *program = b->program;
	const unsigned end = block < 0 ? program->count : program->node[block].last + 1u;

	for (unsigned n = (unsigned)(block + 1); n < end; n = program->node[n].last + 1u) {
		const struct node *node = &program->node[n];

		if (node->dropped)
			continue;
		b->id[n] = build_node(b, pool, n);
		if (!is_block(node))
			continue;
		build_body(b, pool, (int)n);
		if (node->kind == K_LOOP && node->tested)
			asys_chain_while(b->chain, b->id[node->test.step], node->test.condition);
		else if (!closed_by_else(program, n))
			asys_chain_end(b->chain);
	}
}

struct asys_chain *drive_build(const struct pool *pool, const struct rig *rig)
{
	struct asys_chain *chains[1 + SUBS_MAX] = { NULL };
	int err = 0;

	for (unsigned i = pool->count; i-- > 0 && !err;) {
		const struct program *program = &pool->program[i];
		struct builder b = { .program = program, .rig = rig, .subs = chains };

		err = asys_chain_open(&chains[i], NULL);
		if (err)
			break;
		b.chain = chains[i];
		b.stored = asys_chain_compute(b.chain, same, asys_param(b.chain, 2));
		build_body(&b, pool, -1);
		if (program->result >= 0 && !program->node[program->result].dropped)
			asys_chain_result(b.chain, b.id[program->result]);
		err = asys_chain_ready(b.chain);
	}
	if (err)
		fprintf(stderr, "building: %d: %s\n", err, asys_message());
	for (unsigned i = err ? 0 : 1; i < pool->count; i++)
		asys_chain_close(chains[i]);
	return err ? NULL : chains[0];
}

/* ---- sending -------------------------------------------------------------------------------- */

static void flatten(struct sending *sending, const struct program *program, unsigned base)
{
	for (unsigned n = 0; n < program->count; n++) {
		const struct node *node = &program->node[n];

		sending->node[base + n] = node;
		if (node->kind == K_SUB && !node->dropped)
			flatten(sending, node->sub, base + node->sub_base);
	}
}

void drive_prepare(struct sending *sending, const struct program *program)
{
	flatten(sending, program, 0);
	if (pipe2(sending->pipe[0], O_CLOEXEC) || pipe2(sending->pipe[1], O_CLOEXEC))
		abort();
	memset(sending->runs, 0, sizeof(sending->runs));
	memset(sending->stored, 0, sizeof(sending->stored));
	sending->entries = 0;
	sending->tolds = 0;
	sending->ends = 0;
	sending->late = 0;
}

void drive_release(struct sending *sending)
{
	for (unsigned i = 0; i < 4; i++)
		close(sending->pipe[i / 2][i % 2]);
}

void drive_send(struct asys_queue *queue, struct asys_chain *chain, const struct rig *rig,
		struct sending *sending)
{
	struct asys_arg_ params[6] = {
		word((uint64_t)(uintptr_t)sending),
		word(0),
		word((uint64_t)(uintptr_t)sending->stored),
	};

	for (unsigned i = PARAM_FIRST; i < 6; i++)
		params[i] = word((uint64_t)sending->param[i]);
	if (sending->param_id.value) {
		sending->param_id =
			asys_lseek(queue, rig->file, (off_t)sending->param[PARAM_FIRST], SEEK_SET);
		params[PARAM_FIRST] = ref(sending->param_id);
	}
	asys_user(queue, (uint64_t)(uintptr_t)sending);
	sending->id = asys_chain_send_(queue, chain, params);
}

bool drive_take(struct sending *sendings, unsigned count, const struct asys_event *event)
{
	for (unsigned i = 0; i < count; i++) {
		struct sending *sending = &sendings[i];

		if (sending->param_id.value && event->id.value == sending->param_id.value)
			return true;
		if (event->id.value != sending->id.value)
			continue;
		if (event->user == (uint64_t)(uintptr_t)sending) {
			sending->ends++;
			sending->result = event->result;
		} else if (sending->tolds < EXECS_MAX) {
			sending->late += sending->ends;
			sending->told[sending->tolds++] =
				(struct told){ event->user, event->result };
		}
		return true;
	}
	return false;
}
