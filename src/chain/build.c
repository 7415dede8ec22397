/* SPDX-License-Identifier: MIT */
/* Building a chain: steps, values, modifiers. program.h says what they become. */
#include "chain/program.h"

#include <asys/table.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/*
 * Ids of a chain: tag 0, which no queue has, 20 bits that tell one chain from another, two bits for
 * what is named, 30 for which one.
 */
#define OPTIONS_LEAST 12u /* bytes that the first version of asys_chain_options had */
#define ID_NONCE_SHIFT 32
#define ID_NONCE_MASK 0xfffffu
#define ID_KIND_SHIFT 30
#define ID_INDEX_MASK 0x3fffffffu
enum { ID_STEP, ID_NAMED };

#define STEPS_DEFAULT 4096u

struct array {
	void *at;
	uint32_t count, room;
};

void *array_add(void *array, size_t size)
{
	struct array *a = array;

	if (a->count == a->room) {
		uint32_t room = a->room ? 2 * a->room : 8;
		void *at = realloc(a->at, room * size);

		if (!at)
			return NULL;
		a->at = at;
		a->room = room;
	}
	return memset((char *)a->at + a->count++ * size, 0, size);
}

ASYS_API void asys_chain_options_init(struct asys_chain_options *options)
{
	memset(options, 0, sizeof(*options));
	options->size = sizeof(*options);
	options->steps = STEPS_DEFAULT;
}

static int check_options(const struct asys_chain_options *o)
{
	if (!o->steps || o->steps > ASYS_CHAIN_STEPS_MAX)
		return fail(-EINVAL, "option steps: %u is not in 1..%u", o->steps,
			    ASYS_CHAIN_STEPS_MAX);
	if (o->flags & ~ASYS_CHAIN_RECORD)
		return fail(-EINVAL,
			    "option flags: 0x%x has bits that mean nothing: known are 0x%x",
			    o->flags, ASYS_CHAIN_RECORD);
	return 0;
}

ASYS_API int asys_chain_open(struct asys_chain **ret_chain,
			     const struct asys_chain_options *options)
{
	static _Atomic uint32_t nonce;
	struct asys_chain_options o;
	struct asys_chain *c;
	int err;

	asys_chain_options_init(&o);
	err = options ? options_take(&o, sizeof(o), OPTIONS_LEAST, options,
				     "asys_chain_options_init") :
			0;
	if (!err)
		err = check_options(&o);
	if (err)
		return err;
	c = calloc(1, sizeof(*c));
	if (!c)
		return fail(-ENOMEM, "no memory for a chain (%zu bytes)", sizeof(*c));
	atomic_init(&c->references, 1);
	c->flags = o.flags;
	c->most = o.steps;
	c->nonce = (atomic_fetch_add_explicit(&nonce, 1, memory_order_relaxed) + 1) & ID_NONCE_MASK;
	c->open = c->closing = c->result = NIL;
	pthread_mutex_init(&c->lock, NULL);
	*ret_chain = c;
	return 0;
}

static void forget_next(struct asys_chain *c)
{
	free(c->next.label);
	c->next.whens.count = 0;
	c->next.flags = 0;
	c->next.label = NULL;
}

void chain_hold(struct asys_chain *c)
{
	atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
}

void chain_drop(struct asys_chain *c)
{
	if (atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
		return;
	for (uint32_t k = 0; k < c->steps.count; k++)
		free(c->steps.at[k].label);
	forget_next(c);
	free(c->next.whens.at);
	free(c->steps.at);
	free(c->values.at);
	free(c->named.at);
	free(c->whens.at);
	free(c->nexts.at);
	free(c->initial);
	free(c->record);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

ASYS_API void asys_chain_close(struct asys_chain *c)
{
	if (c)
		chain_drop(c);
}

ASYS_API uint32_t asys_chain_steps(const struct asys_chain *c)
{
	return c->steps.count;
}

static const char *kind_name(const struct step *step)
{
	static const char *const begins[] = { "if", "loop", "on_failure", "finally", "sub" };
	static const char *const ends[] = { "end of if", "end of loop", "end of on_failure",
					    "end of finally", "end of sub" };
	const struct asys_syscall_info *info;

	switch ((enum step_kind)step->kind) {
	case STEP_CALL:
		info = asys_syscall_info(step->nr);
		return info ? info->name : "call";
	case STEP_COMPUTE:
		return "compute";
	case STEP_TIMER:
		return "timer";
	case STEP_BEGIN:
		return begins[step->block_kind];
	case STEP_END:
		return ends[step->block_kind];
	}
	return "step";
}

void step_name(const struct asys_chain *c, uint32_t k, char *text, size_t size)
{
	const char *kind = k < c->steps.count ? kind_name(&c->steps.at[k]) : "not added";
	const char *label = k < c->steps.count ? c->steps.at[k].label : c->next.label;

	if (label)
		snprintf(text, size, "step %u (%s, \"%s\")", k + 1, kind, label);
	else if (k < c->steps.count)
		snprintf(text, size, "step %u (%s)", k + 1, kind);
	else
		snprintf(text, size, "step %u", k + 1);
}

int chain_fail(struct asys_chain *c, int err, uint32_t step, const char *format, ...)
{
	char name[160], why[256];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	step_name(c, step, name, sizeof(name));
	fail(err, "%s: %s", name, why);
	if (!c->error) {
		c->error = err;
		snprintf(c->message, sizeof(c->message), "%s: %s", name, why);
	}
	forget_next(c);
	return err;
}

int chain_building(struct asys_chain *c)
{
	if (!c->ready)
		return c->error ? fail(c->error, "%s", c->message) : 0;
	return fail(-EINVAL,
		    "the chain is ready: no step can be added any more: open another chain");
}

asys_id step_id(const struct asys_chain *c, uint32_t step)
{
	return (asys_id){ (int64_t)((uint64_t)c->nonce << ID_NONCE_SHIFT | step) };
}

static asys_id named_id(const struct asys_chain *c, uint32_t index)
{
	return (asys_id){ (int64_t)((uint64_t)c->nonce << ID_NONCE_SHIFT |
				    (uint64_t)ID_NAMED << ID_KIND_SHIFT | index) };
}

/* What an id names; *ret_kind: ID_STEP or ID_NAMED. NIL after chain_fail. */
static uint32_t index_of_id(struct asys_chain *c, asys_id id, unsigned *ret_kind)
{
	uint64_t value = (uint64_t)id.value;
	uint32_t index = value & ID_INDEX_MASK, here = c->steps.count;

	*ret_kind = (value >> ID_KIND_SHIFT) & 3;
	if (id.value < 0) {
		chain_fail(c, (int)(id.value >= -4095 ? id.value : -EINVAL), here,
			   "names something that could not be added");
		return NIL;
	}
	if (value >> ID_NONCE_SHIFT != c->nonce) {
		chain_fail(c, -EINVAL, here, "%s",
			   value >> ID_NONCE_SHIFT > ID_NONCE_MASK ?
				   "names a call of a queue: give it as a parameter when sending" :
				   "names a step of another chain");
		return NIL;
	}
	if (*ret_kind > ID_NAMED || index >= (*ret_kind == ID_STEP ? here : c->named.count)) {
		chain_fail(c, -EINVAL, here, "names a later step");
		return NIL;
	}
	return index;
}

/* The step that `id` names; for a block, its END, which has its result. NIL: none, the chain has failed. */
uint32_t step_of_id(struct asys_chain *c, asys_id id)
{
	unsigned kind;
	uint32_t index = index_of_id(c, id, &kind);

	if (index == NIL)
		return NIL;
	if (kind != ID_STEP) {
		chain_fail(c, -EINVAL, c->steps.count, "names a value where a step is expected");
		return NIL;
	}
	/* A block's id is that of its BEGIN; its result is its END's. */
	if (c->steps.at[index].kind == STEP_BEGIN) {
		if (c->steps.at[index].other == NIL) {
			chain_fail(c, -EINVAL, c->steps.count,
				   "names the block that it is inside (step %u)", index + 1);
			return NIL;
		}
		index = c->steps.at[index].other;
	}
	return index;
}

int value_of(struct asys_chain *c, struct asys_arg_ arg, struct value *ret_value)
{
	asys_id id = { (int64_t)arg.word };
	unsigned kind;
	uint32_t index;

	memset(ret_value, 0, sizeof(*ret_value));
	if (!arg_is_id(arg)) {
		ret_value->add = arg.word;
		return 0;
	}
	index = index_of_id(c, id, &kind);
	if (index == NIL)
		return c->error;
	if (kind == ID_NAMED) {
		*ret_value = c->named.at[index];
		return 0;
	}
	ret_value->base = BASE_STEP;
	ret_value->index = step_of_id(c, id);
	return ret_value->index == NIL ? c->error : 0;
}

static asys_id name_value(struct asys_chain *c, const struct value *value)
{
	struct value *named = ARRAY_ADD(c->named);

	if (!named)
		return failed_id(chain_fail(c, -ENOMEM, c->steps.count, "no memory"));
	*named = *value;
	return named_id(c, c->named.count - 1);
}

ASYS_API asys_id asys_param(struct asys_chain *c, unsigned index)
{
	struct value value = { .base = BASE_PARAM, .index = index };
	int err = chain_building(c);

	if (err)
		return failed_id(err);
	if (index >= 6)
		return failed_id(chain_fail(c, -EINVAL, c->steps.count,
					    "there is no parameter %u: they are 0..5", index));
	if (index >= c->params)
		c->params = index + 1;
	return name_value(c, &value);
}

ASYS_API asys_id asys_plus(struct asys_chain *c, asys_id id, int64_t constant)
{
	struct asys_arg_ arg = { (uint64_t)id.value, 1 };
	struct value value;
	int err = chain_building(c);

	if (!err)
		err = value_of(c, arg, &value);
	if (err)
		return failed_id(err);
	if (value.memory)
		value.after += constant;
	else
		value.add += (uint64_t)constant;
	return name_value(c, &value);
}

ASYS_API asys_id asys_load_(struct asys_chain *c, struct asys_arg_ address, bool is_int)
{
	struct value value;
	int err = chain_building(c);

	if (!err)
		err = value_of(c, address, &value);
	if (!err && value.memory)
		err = chain_fail(
			c, -EINVAL, c->steps.count,
			"loads from an address that is itself loaded: let a compute step do it");
	if (err)
		return failed_id(err);
	value.memory = is_int ? MEMORY_INT : MEMORY_INT64;
	return name_value(c, &value);
}

/* Modifiers */

static struct when *next_when(struct asys_chain *c, uint32_t step)
{
	struct next_step *next = &c->next;
	struct when *when;

	when = ARRAY_ADD(next->whens);
	if (!when)
		chain_fail(c, -ENOMEM, c->steps.count, "no memory");
	else
		when->step = step;
	return when;
}

ASYS_API struct asys_chain *asys_when(struct asys_chain *c, asys_id id,
				      enum asys_condition condition)
{
	struct when *when;
	uint32_t step;

	if (chain_building(c))
		return c;
	if ((unsigned)condition > ASYS_NEGATIVE) {
		chain_fail(c, -EINVAL, c->steps.count, "%d is no condition", (int)condition);
		return c;
	}
	step = step_of_id(c, id);
	when = step == NIL ? NULL : next_when(c, step);
	if (when)
		when->condition = (uint8_t)condition;
	return c;
}

ASYS_API struct asys_chain *asys_chain_after(struct asys_chain *c, asys_id id)
{
	return asys_when(c, id, ASYS_ALWAYS);
}

ASYS_API struct asys_chain *asys_chain_after_ok(struct asys_chain *c, asys_id id)
{
	return asys_when(c, id, ASYS_OK);
}

ASYS_API struct asys_chain *asys_chain_after_error(struct asys_chain *c, asys_id id)
{
	return asys_when(c, id, ASYS_ERROR);
}

static struct asys_chain *say(struct asys_chain *c, uint16_t flag)
{
	if (!chain_building(c))
		c->next.flags |= flag;
	return c;
}

ASYS_API struct asys_chain *asys_full(struct asys_chain *c)
{
	return say(c, STEP_FULL);
}

ASYS_API struct asys_chain *asys_may_fail(struct asys_chain *c)
{
	return say(c, STEP_MAY_FAIL);
}

ASYS_API struct asys_chain *asys_report(struct asys_chain *c, uint64_t user)
{
	c->next.user = user;
	return say(c, STEP_REPORT);
}

ASYS_API struct asys_chain *asys_store_(struct asys_chain *c, struct asys_arg_ address)
{
	struct value value;

	if (chain_building(c) || value_of(c, address, &value))
		return c;
	c->next.store = value;
	return say(c, STEP_STORE);
}

ASYS_API struct asys_chain *asys_label(struct asys_chain *c, const char *label)
{
	if (chain_building(c))
		return c;
	free(c->next.label);
	c->next.label = strdup(label);
	if (!c->next.label)
		chain_fail(c, -ENOMEM, c->steps.count, "no memory");
	return c;
}

/* Steps */

int step_when(struct asys_chain *c, uint32_t k, uint32_t on, unsigned condition)
{
	struct step *step = &c->steps.at[k];
	struct when *when = ARRAY_ADD(c->whens);

	if (!when)
		return chain_fail(c, -ENOMEM, k, "no memory");
	when->step = on;
	when->condition = (uint8_t)condition;
	step->nwhen++;
	return 0;
}

/* Conditions that were said, then ASYS_OK for each step whose result is used without one. */
static int add_whens(struct asys_chain *c, uint32_t k)
{
	struct step *step = &c->steps.at[k];
	unsigned nvalues = step->nargs + (step->flags & STEP_STORE ? 1u : 0u);
	int err = 0;

	step->first_when = c->whens.count;
	for (uint32_t n = 0; n < c->next.whens.count && !err; n++)
		err = step_when(c, k, c->next.whens.at[n].step, c->next.whens.at[n].condition);
	for (unsigned a = 0; a < nvalues && !err; a++) {
		const struct value *value = &c->values.at[step->first_arg + a];
		bool said = value->base != BASE_STEP;

		for (uint32_t n = 0; n < step->nwhen && !said; n++)
			said = c->whens.at[step->first_when + n].step == value->index;
		if (!said)
			err = step_when(c, k, value->index, ASYS_OK);
	}
	if (!err && step->block != NIL)
		err = step_when(c, k, step->block, ASYS_OK);
	return err;
}

static bool in_cleanup(const struct asys_chain *c)
{
	const struct step *begin = c->open == NIL ? NULL : &c->steps.at[c->open];

	return begin && ((begin->flags & STEP_CLEANUP) || begin->block_kind == BLOCK_FAILURE ||
			 begin->block_kind == BLOCK_FINALLY);
}

uint32_t step_add(struct asys_chain *c, enum step_kind kind, const struct value *args,
		  unsigned nargs)
{
	struct next_step *next = &c->next;
	uint32_t k = c->steps.count;
	struct step *step;
	struct value *value = NULL;

	if (k == c->most) {
		chain_fail(c, -E2BIG, k, "more steps than the %u that the chain was opened for",
			   c->most);
		return NIL;
	}
	step = ARRAY_ADD(c->steps);
	if (!step) {
		chain_fail(c, -ENOMEM, k, "no memory");
		return NIL;
	}
	step->kind = (uint8_t)kind;
	step->nargs = (uint8_t)nargs;
	step->flags = (uint16_t)(next->flags | (in_cleanup(c) ? STEP_CLEANUP : 0));
	step->block = c->open;
	step->other = step->test_step = step->closing = step->result = NIL;
	step->first_arg = c->values.count;
	step->user = next->user;
	step->label = next->label;
	next->label = NULL;
	for (unsigned a = 0; a < nargs + ((step->flags & STEP_STORE) != 0); a++) {
		value = ARRAY_ADD(c->values);
		if (!value) {
			chain_fail(c, -ENOMEM, k, "no memory");
			return NIL;
		}
		*value = a < nargs ? args[a] : next->store;
	}
	if (add_whens(c, k))
		return NIL;
	forget_next(c);
	return k;
}

int may_add(struct asys_chain *c)
{
	int err = chain_building(c);
	uint32_t closing = c->open == NIL ? c->closing : c->steps.at[c->open].closing;

	if (!err && closing != NIL)
		err = chain_fail(c, -EINVAL, c->steps.count,
				 "stands after the on_failure or finally of its block, which "
				 "wait for all other steps of it");
	return err;
}

static asys_id add(struct asys_chain *c, enum step_kind kind, const struct asys_arg_ *args,
		   unsigned nargs, uint32_t *ret_step)
{
	struct value values[6];
	int err = may_add(c);

	for (unsigned a = 0; a < nargs && !err; a++)
		err = value_of(c, args[a], &values[a]);
	if (err)
		return failed_id(err);
	*ret_step = step_add(c, kind, values, nargs);
	return *ret_step == NIL ? failed_id(c->error) : step_id(c, *ret_step);
}

/* Trailing constant zeros need not be kept. */
static unsigned words_used(const struct asys_arg_ args[6])
{
	unsigned n = 6;

	while (n && !arg_is_id(args[n - 1]) && !args[n - 1].word)
		n--;
	return n;
}

static int check_call(struct asys_chain *c, uint32_t nr, uint32_t flags)
{
	const struct asys_syscall_info *info = asys_syscall_info(nr);
	uint32_t k = c->steps.count;

	if (flags & ~ASYS_CALL_REFS)
		return chain_fail(c, -EINVAL, k,
				  "call %u has flags 0x%x that mean nothing in a chain", nr,
				  flags & ~ASYS_CALL_REFS);
	if (nr > UINT16_MAX)
		return chain_fail(c, -ENOSYS, k, "%u is no system call number", nr);
	if (info && info->class_ == ASYS_CLASS_NEVER)
		return chain_fail(c, -EOPNOTSUPP, k, "%s cannot be queued: %s", info->name,
				  info->reason);
	if ((c->next.flags & STEP_FULL) && !full_knows(nr))
		return chain_fail(c, -EINVAL, k,
				  "asys_full: %s is no transfer that can be continued",
				  info ? info->name : "that call");
	return 0;
}

ASYS_API asys_id asys_chain_add_(struct asys_chain *c, uint64_t head, uint64_t a0, uint64_t a1,
				 uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
	uint32_t nr = (uint32_t)head, flags = (uint32_t)(head >> 32), k = NIL;
	const struct asys_arg_ args[6] = { { a0, flags >> 0 & 1 }, { a1, flags >> 1 & 1 },
					   { a2, flags >> 2 & 1 }, { a3, flags >> 3 & 1 },
					   { a4, flags >> 4 & 1 }, { a5, flags >> 5 & 1 } };
	int err = chain_building(c);
	asys_id id;

	if (!err)
		err = check_call(c, nr, flags);
	if (err)
		return failed_id(err);
	id = add(c, STEP_CALL, args, words_used(args), &k);
	if (k != NIL) {
		c->steps.at[k].nr = nr;
		c->calls++;
	}
	return id;
}

int not_full(struct asys_chain *c, const char *what)
{
	return c->next.flags & STEP_FULL ? chain_fail(c, -EINVAL, c->steps.count,
						      "asys_full: %s is no transfer", what) :
					   0;
}

ASYS_API asys_id asys_chain_compute_(struct asys_chain *c, asys_compute_fn *function,
				     const struct asys_arg_ args[6])
{
	uint32_t k = NIL;
	int err = chain_building(c);
	asys_id id;

	if (!err)
		err = not_full(c, "a compute step");
	if (!err && !function)
		err = chain_fail(c, -EINVAL, c->steps.count, "a compute step without a function");
	if (err)
		return failed_id(err);
	id = add(c, STEP_COMPUTE, args, words_used(args), &k);
	if (k != NIL)
		c->steps.at[k].function = function;
	return id;
}

ASYS_API asys_id asys_chain_timer_(struct asys_chain *c, struct asys_arg_ ns)
{
	uint32_t k = NIL;
	int err = chain_building(c);

	if (!err)
		err = not_full(c, "a timer");
	return err ? failed_id(err) : add(c, STEP_TIMER, &ns, 1, &k);
}

ASYS_API int asys_chain_result(struct asys_chain *c, asys_id id)
{
	int err = chain_building(c);
	uint32_t step;

	if (err)
		return err;
	step = step_of_id(c, id);
	if (step == NIL)
		return c->error;
	c->result = step;
	return 0;
}

ASYS_API int asys_chain_ready(struct asys_chain *c)
{
	if (c->ready)
		return 0;
	if (!c->error && c->open != NIL)
		chain_fail(c, -EINVAL, c->open, "is not closed");
	if (!c->error && (c->next.whens.count || c->next.flags || c->next.label))
		chain_fail(c, -EINVAL, c->steps.count,
			   "something was said about it, but there is no such step");
	if (!c->error)
		chain_compile(c);
	if (c->error)
		return fail(c->error, "%s", c->message);
	c->ready = true;
	return 0;
}
