/* SPDX-License-Identifier: MIT */
/*
 * Chains: small programs of calls, built once and sent many times.
 *
 *   struct asys_chain *c;
 *   asys_chain_open(&c, NULL);
 *   asys_id in  = asys_openat(c, AT_FDCWD, asys_param(c, 0), O_RDONLY, 0);
 *   asys_id out = asys_openat(c, AT_FDCWD, asys_param(c, 1), O_WRONLY | O_CREAT, 0666);
 *   asys_chain_loop(c, UINT32_MAX);
 *     asys_id n = asys_read(c, in, buf, sizeof buf);
 *     asys_write(asys_full(asys_when(c, n, ASYS_POSITIVE)), out, buf, n);
 *   asys_chain_while(c, n, ASYS_POSITIVE);
 *   asys_chain_finally(c);
 *     asys_close(c, in);
 *     asys_close(c, out);
 *   asys_chain_end(c);
 *   err = asys_chain_ready(c);
 *   id = asys_chain_send(q, c, "from", "to");
 *
 * Every wrapper and asys_call take a chain in the place of a queue: then the call is not sent but
 * becomes a step. A step's id stands, as everywhere, where its result is expected.
 *
 * When a step runs. It waits until every step that it names, as an argument or with asys_after and
 * its kind, has ended; steps that do not name each other run in any order, also at once. Then its
 * conditions are looked at: one for each step that it names, which is ASYS_OK for an argument unless
 * asys_when or asys_after said otherwise about the same step. If one does not hold, the step is
 * skipped. Nothing but ASYS_ALWAYS holds for a skipped step.
 *
 * What a sending brings. One event, when all steps have ended or were skipped: its result is that of
 * the step named with asys_chain_result (-ECANCELED if that was skipped), else 0, or in both cases, if a
 * step failed that was not allowed to (asys_may_fail), the -errno of the first such. Where a step was marked with asys_report
 * it brings an event too, with the sending's id and the step's own user word.
 *
 * Who runs it. Whoever drives the queue, and system call threads; a chain of calls that cannot block
 * for ever runs on one of them from its first step to its last without waking anybody.
 *
 * Cancel and deadline (asys_deadline before asys_chain_send) are the sending's: calls in flight are
 * cancelled, steps not yet started end with -ECANCELED, and the event says -ECANCELED or -ETIME if that
 * hit any. Those of asys_chain_on_failure and asys_chain_finally still run and are never cancelled, so
 * they must not wait for ever: asys_queue_close would. Priority likewise. A sending
 * that is cancelled while it waits for what it depends on, or whose parameter or condition failed, ends
 * without any step; then marked steps report -ECANCELED.
 *
 * Modifiers are about the next step that is added. C does not say in which order arguments are evaluated, so
 * make the steps that a step names before it, not inside its arguments.
 *
 * Errors. What is wrong with a step is found when it is added: its id's value is then negative, and
 * asys_chain_ready returns the first such error; asys_message() names the step.
 * Threads: one thread at a time builds; a chain that is ready may be sent by any thread to any
 * queue, also several times at once. Memory that constant arguments point to, functions and labels
 * must last as long as the chain and its sendings.
 */
#ifndef ASYS_CHAIN_H
#define ASYS_CHAIN_H

#include <asys/call.h>
#include <asys/syscalls.h>
#include <stdbool.h>
#include <stdio.h> /* FILE, for asys_chain_dot: C has no way to declare it alone */

#ifdef __cplusplus
extern "C" {
#endif

#define ASYS_CHAIN_STEPS_MAX 65536u
#define ASYS_CHAIN_NEST_MAX 32u

/* asys_chain_options.flags */

/* Remember when each step of the last sending that ended began and ended, and with what result, for
 * asys_chain_dot. Costs two looks at the clock for each step. */
#define ASYS_CHAIN_RECORD (1u << 0)

struct asys_chain_options {
	/* sizeof(struct asys_chain_options), set by _init; as that of asys_queue_options, it may grow. */
	uint32_t size;
	uint32_t steps; /* at most, blocks counted twice: 1..ASYS_CHAIN_STEPS_MAX; 4096 */
	uint32_t flags; /* ASYS_CHAIN_... */
};

ASYS_API void asys_chain_options_init(struct asys_chain_options *options);

/* A chain without steps; NULL options are the defaults. -EINVAL, -ENOMEM, with message. */
ASYS_API int asys_chain_open(struct asys_chain **ret_chain,
			     const struct asys_chain_options *options);

/*
 * Building is over: checks what only the whole can tell (a block that was not closed) and makes the
 * chain fit to be sent. 0, or the first error of building: -EINVAL, -E2BIG (more steps than
 * declared), -ENOSYS and -EOPNOTSUPP (a call that cannot be queued, as asys_send), -ENOMEM, or that of
 * an id that was given and named no call; with message.
 */
ASYS_API int asys_chain_ready(struct asys_chain *chain);

/* Frees the chain, or as soon as its last sending has ended. NULL is allowed. */
ASYS_API void asys_chain_close(struct asys_chain *chain);

/*
 * Sends a chain that is ready: asys_chain_send(queue, chain, parameter ...), up to six parameters, and
 * at least as many as the chain names with asys_param.
 * Each is any integer, any pointer, or the id of a call or sending of the same queue: then the chain
 * starts when that has ended and gets its result, or, if it failed, ends at once with its error.
 * Modifiers (asys_after, asys_deadline, asys_high, asys_quiet, asys_user ...) of the queue apply.
 * The id's value is negative if it could not be sent: as asys_send, or -EINVAL for a chain that is
 * not ready or whose parameters are not all given.
 */
#define asys_chain_send(...) asys_chain_send_(ASYS_ARGS_(__VA_ARGS__))
ASYS_API asys_id asys_chain_send_(struct asys_queue *queue, struct asys_chain *chain,
				  const struct asys_arg_ params[6]);

/* Steps that are no system calls */

/* A function of the program. It runs on whichever thread runs the chain, may not block, may not use the
 * queue, and returns what a call would: a value, or -errno. */
typedef int64_t asys_compute_fn(const uint64_t arg[6]);

/* asys_chain_compute(chain, function, argument ...): up to six, integers, pointers or ids. */
#define asys_chain_compute(...) asys_chain_compute_(ASYS_ARGS_(__VA_ARGS__))
ASYS_API asys_id asys_chain_compute_(struct asys_chain *chain, asys_compute_fn *function,
				     const struct asys_arg_ args[6]);

/* Ends with 0 after `ns` nanoseconds (an integer or an id). */
#define asys_chain_timer(chain, ns) asys_chain_timer_((chain), ASYS_WORD_(ns))
ASYS_API asys_id asys_chain_timer_(struct asys_chain *chain, struct asys_arg_ ns);

/*
 * asys_chain_sub(chain, sub, argument ...): all steps of `sub`, which is ready and may be closed
 * afterwards, as a block, with up to six arguments, one for each of its parameters. Its result is the
 * sub-chain's. What it reports and records is reported and recorded here.
 */
#define asys_chain_sub(...) asys_chain_sub_(ASYS_ARGS_(__VA_ARGS__))
ASYS_API asys_id asys_chain_sub_(struct asys_chain *chain, const struct asys_chain *sub,
				 const struct asys_arg_ args[6]);

/* Values: ids that stand where a step's argument is expected */

/* Parameter 0..5 of the sending. */
ASYS_API asys_id asys_param(struct asys_chain *chain, unsigned index);
/* A step's result, or a parameter, plus a constant. */
ASYS_API asys_id asys_plus(struct asys_chain *chain, asys_id value, int64_t constant);
/* What is in memory when the step starts: an int64_t, or an int. `address`: pointer, step or parameter,
 * these plus a constant; what is loaded is no address to load from or store at: a compute step can. */
#define asys_load(chain, address) asys_load_((chain), ASYS_WORD_(address), false)
#define asys_load_int(chain, address) asys_load_((chain), ASYS_WORD_(address), true)
ASYS_API asys_id asys_load_(struct asys_chain *chain, struct asys_arg_ address, bool is_int);

/* Modifiers of the next step; they return the chain, so that they nest */

enum asys_condition {
	ASYS_ALWAYS,   /* ended in any way, or skipped */
	ASYS_OK,       /* not an error */
	ASYS_ERROR,    /* -4095..-1 */
	ASYS_ZERO,     /* 0 */
	ASYS_NONZERO,  /* anything else, errors included */
	ASYS_POSITIVE, /* > 0 */
	ASYS_NEGATIVE, /* < 0 */
};

/* Not before `step` has ended, and only if its result is so. Any number of them: all must hold. */
ASYS_API struct asys_chain *asys_when(struct asys_chain *chain, asys_id step,
				      enum asys_condition condition);
/* asys_after: ASYS_ALWAYS; asys_after_ok, asys_after_error: as their names say. */
ASYS_API struct asys_chain *asys_chain_after(struct asys_chain *chain, asys_id step);
ASYS_API struct asys_chain *asys_chain_after_ok(struct asys_chain *chain, asys_id step);
ASYS_API struct asys_chain *asys_chain_after_error(struct asys_chain *chain, asys_id step);

/* A read, write, send or receive (plain, at an offset, or of several buffers), sendfile,
 * copy_file_range or splice is repeated until all of it was transferred or the input has ended: its
 * result is the sum. If it fails after a part, its result is that error. */
ASYS_API struct asys_chain *asys_full(struct asys_chain *chain);
/* The result is stored as an int64_t (in a loop: each time) before what depends on it starts. */
#define asys_store(chain, address) asys_store_((chain), ASYS_WORD_(address))
ASYS_API struct asys_chain *asys_store_(struct asys_chain *chain, struct asys_arg_ address);
/* Its failure is not the chain's. */
ASYS_API struct asys_chain *asys_may_fail(struct asys_chain *chain);
/* It brings an event of its own, with this user word; skipped: with -ECANCELED. */
ASYS_API struct asys_chain *asys_report(struct asys_chain *chain, uint64_t user);
/* A name for pictures and messages. Copied. */
ASYS_API struct asys_chain *asys_label(struct asys_chain *chain, const char *label);

/* Blocks: each is closed by asys_chain_end, a loop also by asys_chain_while. They nest. What modifiers
 * say about a block's begin holds for the whole block. The id of a closed block is that of a step:
 * its result is 0, or the first failure inside (see each), skipped if the block was. A step after
 * the block that names one inside sees its last result. */

/* Runs if `step` ended so. */
ASYS_API asys_id asys_chain_if(struct asys_chain *chain, asys_id step,
			       enum asys_condition condition);
/* Closes an if; runs if `step` ended, was not skipped, and the condition did not hold. */
ASYS_API asys_id asys_chain_else(struct asys_chain *chain);
/*
 * Runs the block again and again, at most `bound` times: until asys_chain_while's condition does not
 * hold, or a step inside failed that was not allowed to. An iteration starts when all steps of the
 * last one have ended. The result is the number of iterations, or that failure, or -ELOOP if the
 * condition still held at the bound. Closed by asys_chain_end it runs exactly `bound` times.
 * With a bound of 0 all inside is skipped, and the result is 0.
 */
ASYS_API asys_id asys_chain_loop(struct asys_chain *chain, uint32_t bound);
ASYS_API asys_id asys_chain_while(struct asys_chain *chain, asys_id step,
				  enum asys_condition condition);
/* After all ordinary steps of the enclosing block (or chain), blocks inside and their cleanup among them,
 * and after each on_failure and finally that is written before it there, if a step of these failed that was
 * not allowed to. So they run one after the other, in the order in which they are written, whichever of the
 * two they are; steps inside one follow each other only as data and modifiers say. No ordinary step may
 * follow in that block. Failures inside are the chain's if none was before. */
ASYS_API asys_id asys_chain_on_failure(struct asys_chain *chain);
/* The same, in any case. A step inside that takes the result of a skipped or failed one is skipped. */
ASYS_API asys_id asys_chain_finally(struct asys_chain *chain);
ASYS_API asys_id asys_chain_end(struct asys_chain *chain);

/* The sending's result is this step's. 0, or an error of building, as asys_chain_ready. */
ASYS_API int asys_chain_result(struct asys_chain *chain, asys_id step);

/* Looking at a chain */

/*
 * Prints it as a directed graph in Graphviz's DOT. With ASYS_CHAIN_RECORD, after a sending has ended,
 * each step shows when it began, how long it took and its result. The file is flushed. 0, or the -errno
 * of writing, -ENOMEM, with message.
 */
ASYS_API int asys_chain_dot(struct asys_chain *chain, FILE *file);
/* Steps so far, begin and end of blocks included. */
ASYS_API uint32_t asys_chain_steps(const struct asys_chain *chain);

/* What follows serves the above and nobody else. */

#define ASYS_ARG_MISSING_ 2 /* asys_arg_.ref: not given, 0 where it does not matter */

#ifdef __cplusplus
}

inline struct asys_chain *asys_after(struct asys_chain *chain, asys_id step)
{
	return asys_chain_after(chain, step);
}

inline struct asys_chain *asys_after_ok(struct asys_chain *chain, asys_id step)
{
	return asys_chain_after_ok(chain, step);
}

inline struct asys_chain *asys_after_error(struct asys_chain *chain, asys_id step)
{
	return asys_chain_after_error(chain, step);
}

inline asys_id asys_call(struct asys_chain *chain, uint32_t nr, uint64_t a0, uint64_t a1,
			 uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
	return asys_chain_add_(chain, nr, a0, a1, a2, a3, a4, a5);
}

inline asys_word_ asys_arg_missing_()
{
	asys_word_ word(0);

	word.ref = ASYS_ARG_MISSING_;
	return word;
}

/* Up to six words; those that are not given are missing. */
struct asys_args_ {
	struct asys_arg_ args[6];
	asys_args_(asys_word_ a0 = asys_arg_missing_(), asys_word_ a1 = asys_arg_missing_(),
		   asys_word_ a2 = asys_arg_missing_(), asys_word_ a3 = asys_arg_missing_(),
		   asys_word_ a4 = asys_arg_missing_(), asys_word_ a5 = asys_arg_missing_())
	    : args{ a0, a1, a2, a3, a4, a5 }
	{
	}
};

#undef asys_chain_send
#undef asys_chain_compute
#undef asys_chain_sub
#undef asys_chain_timer
#undef asys_load
#undef asys_load_int
#undef asys_store

template <typename... Words>
inline asys_id asys_chain_send(struct asys_queue *queue, struct asys_chain *chain, Words... words)
{
	return asys_chain_send_(queue, chain, asys_args_(words...).args);
}

template <typename... Words>
inline asys_id asys_chain_compute(struct asys_chain *chain, asys_compute_fn *function,
				  Words... words)
{
	return asys_chain_compute_(chain, function, asys_args_(words...).args);
}

template <typename... Words>
inline asys_id asys_chain_sub(struct asys_chain *chain, const struct asys_chain *sub,
			      Words... words)
{
	return asys_chain_sub_(chain, sub, asys_args_(words...).args);
}

inline asys_id asys_chain_timer(struct asys_chain *chain, asys_word_ ns)
{
	return asys_chain_timer_(chain, ns);
}

inline asys_id asys_load(struct asys_chain *chain, asys_word_ address)
{
	return asys_load_(chain, address, false);
}

inline asys_id asys_load_int(struct asys_chain *chain, asys_word_ address)
{
	return asys_load_(chain, address, true);
}

inline struct asys_chain *asys_store(struct asys_chain *chain, asys_word_ address)
{
	return asys_store_(chain, address);
}

#else /* C */

static inline asys_id asys_chain_call_(struct asys_chain *chain, uint32_t nr, uint64_t a0,
				       uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
				       uint64_t a5)
{
	return asys_chain_add_(chain, nr, a0, a1, a2, a3, a4, a5);
}

#define asys_call(q, ...) \
	_Generic((q), struct asys_chain * : asys_chain_call_, default : asys_call)((q), __VA_ARGS__)
#define asys_after(q, id) \
	_Generic((q), struct asys_chain * : asys_chain_after, default : asys_after)((q), (id))
#define asys_after_ok(q, id) \
	_Generic((q), struct asys_chain * : asys_chain_after_ok, default : asys_after_ok)((q), (id))
#define asys_after_error(q, id)                    \
	_Generic((q), struct asys_chain *          \
		 : asys_chain_after_error, default \
		 : asys_after_error)((q), (id))

/* Two arguments, and an array of the up to six words after them. */
#define ASYS_ARGS_(...)                                                                  \
	ASYS_ARGS_NAME_(__VA_ARGS__, ASYS_ARGS6_, ASYS_ARGS5_, ASYS_ARGS4_, ASYS_ARGS3_, \
			ASYS_ARGS2_, ASYS_ARGS1_, ASYS_ARGS0_, 0)                        \
	(__VA_ARGS__)
#define ASYS_ARGS_NAME_(x, y, a, b, c, d, e, f, name, ...) name
#define ASYS_ARGS_OF_(x, y, ...)              \
	(x), (y), (const struct asys_arg_[6]) \
	{                                     \
		__VA_ARGS__                   \
	}
#define ASYS_NO_ARG_                 \
	{                            \
		0, ASYS_ARG_MISSING_ \
	}
#define ASYS_NO_ARGS2_ ASYS_NO_ARG_, ASYS_NO_ARG_
#define ASYS_NO_ARGS4_ ASYS_NO_ARGS2_, ASYS_NO_ARGS2_
#define ASYS_ARGS0_(x, y) ASYS_ARGS_OF_(x, y, ASYS_NO_ARGS4_, ASYS_NO_ARGS2_)
#define ASYS_ARGS1_(x, y, a) ASYS_ARGS_OF_(x, y, ASYS_WORD_(a), ASYS_NO_ARGS4_, ASYS_NO_ARG_)
#define ASYS_ARGS2_(x, y, a, b) ASYS_ARGS_OF_(x, y, ASYS_WORD_(a), ASYS_WORD_(b), ASYS_NO_ARGS4_)
#define ASYS_ARGS3_(x, y, a, b, c)                                                       \
	ASYS_ARGS_OF_(x, y, ASYS_WORD_(a), ASYS_WORD_(b), ASYS_WORD_(c), ASYS_NO_ARGS2_, \
		      ASYS_NO_ARG_)
#define ASYS_ARGS4_(x, y, a, b, c, d)                                                   \
	ASYS_ARGS_OF_(x, y, ASYS_WORD_(a), ASYS_WORD_(b), ASYS_WORD_(c), ASYS_WORD_(d), \
		      ASYS_NO_ARGS2_)
#define ASYS_ARGS5_(x, y, a, b, c, d, e)                                                \
	ASYS_ARGS_OF_(x, y, ASYS_WORD_(a), ASYS_WORD_(b), ASYS_WORD_(c), ASYS_WORD_(d), \
		      ASYS_WORD_(e), ASYS_NO_ARG_)
#define ASYS_ARGS6_(x, y, a, b, c, d, e, f)                                             \
	ASYS_ARGS_OF_(x, y, ASYS_WORD_(a), ASYS_WORD_(b), ASYS_WORD_(c), ASYS_WORD_(d), \
		      ASYS_WORD_(e), ASYS_WORD_(f))

#endif
#endif
