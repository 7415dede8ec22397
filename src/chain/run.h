/* SPDX-License-Identifier: MIT */
/*
 * Sendings of a chain: instances, and the interpreter that takes them from step to step.
 *
 * It makes no system call and knows no queue. Whoever owns an instance asks chain_next what is wanted,
 * does that, in whatever way and order, and says so with chain_done:
 *
 *            chain_next                            a step's state
 *   owner <------------- CALL, TIMER, REPORT ...     pending > 0    waits
 *   owner -------------> chain_done                  pending == 0   on the ready list, or with the owner
 *                                                    ENDED          has a result
 *                                                    ENDED|SKIPPED  its conditions did not hold
 *
 * An instance has one owner at a time: the holder of its queue, or the system call thread that took
 * its slot. `cancelled` may be set by anybody.
 */
#ifndef CHAIN_RUN_H
#define CHAIN_RUN_H

#include "call/slot.h"
#include "chain/program.h"

#define STATE_ENDED (UINT32_C(1) << 31)
#define STATE_SKIPPED (UINT32_C(1) << 30)
#define STATE_FULL (UINT32_C(1) << 29) /* it transfers; its result is a struct full */

struct step_state {
	int64_t result;	  /* of an END that has not ended: the first failure inside */
	uint32_t pending; /* ends that it waits for, or STATE_... */
	uint32_t next;	  /* on the ready or the report list */
};

static_assert(sizeof(struct step_state) == 16, "memory of a step in flight");

/* Steps linked by `next`. */
struct step_list {
	uint32_t head, tail;
};

/* A transfer that is to be completed. */
struct full {
	struct full *link, **back; /* on the sending's list, and what points here */
	int64_t done;		   /* bytes */
	struct asys_call call;	   /* its words as it was started */
};

struct instance {
	struct asys_chain *chain;
	struct instance *link; /* on a list of its queue */
	uint32_t slot;	       /* of its queue */
	uint32_t own_step;     /* step that the slot itself runs; NIL: none */
	uint32_t out;	       /* steps handed to engines and not ended */
	uint32_t left;	       /* steps not ended */
	struct step_list ready, reports;
	int error; /* the first failure of the outermost level */
	_Atomic uint32_t cancelled;
	bool started, ended, listed;
	bool cut;      /* a step ended because of the cancel */
	bool reserved; /* its queue keeps room for its reports: it may have to end without a step */
	uint32_t hung; /* step whose call did not end on a shared thread: it gets its own; NIL */
	_Atomic bool timed_out; /* cancelled by its deadline: by its owner, or the queue's timer */
	uint32_t flags;		/* of the sending: priority, quiet */
	uint32_t calls;		/* that a system call thread has made, not yet counted; ... */
	uint64_t calls_ns;	/* ... by what they cost alone */
	uint64_t user;
	uint64_t deadline; /* of the sending; 0: none */
	uint64_t params[6];
	struct full *full;
	struct timespec sleep; /* of a timer that is a call */
	struct step_record *record;
	uint64_t begin_ns;
	struct step_state step[];
};

/* That of a slot which is not SLOT_NO_CHAIN. */
static inline struct instance *instance_of(const struct slot *slot)
{
	return (struct instance *)(uintptr_t)slot->call.user;
}

/* The slot stands for a sending, of whose calls one may hang. */
static inline bool chain_is_risky(const struct slot *slot)
{
	return slot->call.nr == CALL_CHAIN && instance_of(slot)->chain->may_hang;
}

static inline size_t instance_size(const struct asys_chain *c)
{
	return sizeof(struct instance) + c->steps.count * sizeof(struct step_state);
}

/* Fills fresh memory of instance_size; 0 or -ENOMEM. Holds the chain. Parameters are set later. */
int instance_init(struct instance *inst, struct asys_chain *c);
/* It begins: `call` is the sending's slot, whose words are the parameters. */
void instance_start(struct instance *inst, const struct asys_call *call, uint64_t deadline);
/* Gives the chain back, and the record to it. The memory is the caller's. */
void instance_done(struct instance *inst);

enum chain_want {
	CHAIN_CALL,   /* make *ret_call for *ret_step */
	CHAIN_TIMER,  /* after ret_call->arg[0] ns, 0 is the result of *ret_step */
	CHAIN_REPORT, /* bring the event of *ret_step, which has ended; nothing is to be said back */
	CHAIN_WAITS,  /* nothing until a step that is out has ended */
	CHAIN_YIELD,  /* it goes on, but has run for a while */
	CHAIN_ENDED,  /* with chain_result */
	CHAIN_GOES_ON, /* never told the owner */
};

enum chain_want chain_next(struct instance *inst, uint32_t *ret_step, struct asys_call *ret_call);

/* The step has ended; `call` are its words if they are still those of chain_next, NULL if
 * chain_keep_call kept them. */
void chain_done(struct instance *inst, uint32_t k, const struct asys_call *call, int64_t result);
/* Somebody who may change the words gets the call. 0 or -ENOMEM. */
int chain_keep_call(struct instance *inst, uint32_t k, const struct asys_call *call);
/* A write was interrupted by us after a part: the rest is to follow. */
void chain_interrupted(struct instance *inst, uint32_t k, const struct asys_call *call,
		       int64_t result);
/* This owner cannot do what was wanted: the next one will be asked first. */
void chain_unget(struct instance *inst, uint32_t k);
void chain_unget_report(struct instance *inst, uint32_t k);

int64_t chain_result(const struct instance *inst);
void chain_cancel(struct instance *inst);

static inline bool chain_cancelled(const struct instance *inst)
{
	return atomic_load_explicit(&inst->cancelled, memory_order_relaxed);
}

static inline bool step_is_cleanup(const struct instance *inst, uint32_t step)
{
	return inst->chain->steps.at[step].flags & STEP_CLEANUP;
}

#endif
