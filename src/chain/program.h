/* SPDX-License-Identifier: MIT */
/*
 * Chains as built: the steps, and what asys_chain_ready makes of them.
 *
 *   build.c    steps, values, modifiers        block.c    blocks, sub-chains
 *   compile.c  what waits for what             dot.c      the picture
 *   run.c      sendings: run.h has the states  full.c     transfers that go on until they are whole
 *
 * A block is two steps, BEGIN and END. Steps inside name BEGIN, END names all steps directly inside, so
 * that nothing else needs to know of blocks: a block that is skipped is a BEGIN that is skipped.
 *
 * Counting and looking are two things. A step has `pending`, the number of ends it still waits for;
 * when that is 0, it looks at its conditions. Both come from what it names, but counted are ends as
 * seen from where the step stands: of a step inside a loop that does not contain the one that
 * names it, the end of the loop; and for a step inside a loop that does not contain what it names, the
 * loop's BEGIN waits. So inside a loop all that is counted is inside, and an iteration starts over
 * with the numbers that the chain began with.
 *
 * Invariants
 *  C1  Edges lead from lower to higher indices, so there is no cycle; a loop goes back by its END only.
 *  C2  A step is counted down exactly `pending` times in each iteration of its innermost loop.
 *  C3  A program does not change once it is ready; sendings hold a reference.
 */
#ifndef CHAIN_PROGRAM_H
#define CHAIN_PROGRAM_H

#include "base/base.h"
#include <assert.h>
#include <asys/chain.h>
#include <pthread.h>

#ifndef NIL
#define NIL UINT32_MAX
#endif

enum step_kind { STEP_CALL, STEP_COMPUTE, STEP_TIMER, STEP_BEGIN, STEP_END };

enum block_kind { BLOCK_IF, BLOCK_LOOP, BLOCK_FAILURE, BLOCK_FINALLY, BLOCK_SUB };

/* base + add, then perhaps the memory there, + after. */
enum value_base { BASE_NONE, BASE_STEP, BASE_PARAM };
enum value_memory { MEMORY_NONE, MEMORY_INT64, MEMORY_INT };

struct value {
	uint64_t add;
	int64_t after;
	uint32_t index; /* of the step or parameter */
	uint8_t base;	/* enum value_base */
	uint8_t memory; /* enum value_memory */
};

#define STEP_FULL (1u << 0)
#define STEP_MAY_FAIL (1u << 1)
#define STEP_REPORT (1u << 2)
#define STEP_STORE (1u << 3)
#define STEP_CLEANUP (1u << 4) /* inside on_failure or finally: runs after a cancel too */
#define STEP_ELSE (1u << 6)    /* BEGIN */
/* A read or write of a file that the chain itself opened: hardly ever anything but a file on disk, so it is
 * run like one, by whoever can be got out of it if it hangs after all. */
#define STEP_FILE (1u << 7)
/* STEP_FILE, or an open, that cannot hang: opened without waiting, and nothing in the chain changes that. */
#define STEP_AT_ONCE (1u << 8)

/* What a step looks at before it runs. */
struct when {
	uint32_t step;
	uint8_t condition; /* enum asys_condition, or with CONDITION_NOT its contrary */
};

#define CONDITION_NOT 0x80u

struct step {
	uint8_t kind;	    /* enum step_kind */
	uint8_t block_kind; /* BEGIN and END */
	uint8_t nargs;
	uint8_t test; /* enum asys_condition of test_step */
	uint16_t flags;
	uint32_t nr;	    /* CALL */
	uint32_t block;	    /* BEGIN of the innermost block that it is directly inside, NIL */
	uint32_t other;	    /* BEGIN: its END; END: its BEGIN */
	uint32_t bound;	    /* END of a loop */
	uint32_t test_step; /* BEGIN of an if, END of a loop: the step that decides, NIL: none */
	uint32_t closing; /* BEGIN: that of the last cleanup block directly inside, NIL: none yet */
	uint32_t result;  /* END of a sub-chain: the step that gives its result, NIL */
	uint32_t first_arg; /* in values; the address to store at comes after the arguments */
	uint32_t first_when, nwhen; /* in whens */
	uint32_t first_next, nnext; /* in nexts, when ready */
	asys_compute_fn *function;
	uint64_t user;
	char *label;
};

/* Growing arrays of a chain that is being built. */
#define ARRAY(type)                   \
	struct {                      \
		type *at;             \
		uint32_t count, room; \
	}

/* Of a sending: see run.h. */
struct step_state;
struct step_record {
	uint64_t begin_ns, end_ns; /* since the sending started */
	int64_t result;
	uint32_t times; /* it ran so often */
	bool skipped;
};

/* What was said about the next step. */
struct next_step {
	ARRAY(struct when) whens;
	struct value store;
	uint64_t user;
	char *label;
	uint16_t flags;
};

struct asys_chain {
	_Atomic uint32_t references; /* the user's, and one for each sending */
	uint32_t flags;		     /* ASYS_CHAIN_... */
	uint32_t most;		     /* steps */
	uint32_t nonce;		     /* in its ids */
	bool ready;
	int error; /* the first of building */
	char message[512];
	uint32_t open;		 /* BEGIN of the innermost block that is open, NIL */
	uint32_t depth, deepest; /* blocks in each other: open ones, and ever */
	uint32_t result;	 /* step, NIL */
	uint32_t params;	 /* one more than the last one that is named */
	uint32_t closing;	 /* as a step's, of the outermost level */
	struct next_step next;
	ARRAY(struct step) steps;
	ARRAY(struct value) values; /* arguments of all steps */
	ARRAY(struct value) named;  /* values that asys_param and its kind made */
	ARRAY(struct when) whens;
	ARRAY(uint32_t) nexts;
	uint32_t calls;		    /* steps that are calls */
	bool may_block;		    /* one of them may wait for ever, or hang */
	uint32_t reports;	    /* how many of them report */
	bool may_hang;		    /* one of them is an open, or STEP_FILE, not AT_ONCE */
	struct step_state *initial; /* of every sending; those ready at once are linked, from ... */
	uint32_t first_ready, last_ready;
	/* ASYS_CHAIN_RECORD */
	pthread_mutex_t lock;
	struct step_record *record; /* of the last sending that ended; NULL: none has */
	int64_t record_result;
};

/* Room for one more element at the end, zeroed; NULL: no memory. */
void *array_add(void *array, size_t size);
#define ARRAY_ADD(array) array_add(&(array), sizeof(*(array).at))

/* build.c: what block.c and compile.c need */

/* Notes the first error of building; returns `err`. The message names `step` (its index). */
int chain_fail(struct asys_chain *c, int err, uint32_t step, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The id of a step that could not be added. */
static inline asys_id failed_id(int err)
{
	return (asys_id){ fail_sending(err) };
}

/* "step 7 (write, "copy")" into `text`. */
void step_name(const struct asys_chain *c, uint32_t k, char *text, size_t size);
asys_id step_id(const struct asys_chain *c, uint32_t step);
/* The step that an id names; NIL after chain_fail. */
uint32_t step_of_id(struct asys_chain *c, asys_id id);
static inline bool arg_is_id(struct asys_arg_ arg)
{
	return arg.ref == 1;
}

/* Of those that a sending or a sub-chain was given: the last one, counted from 1. */
static inline unsigned args_given(const struct asys_arg_ args[6])
{
	unsigned n = 6;

	while (n && args[n - 1].ref == ASYS_ARG_MISSING_)
		n--;
	return n;
}

/* The value that a word or an id stands for. 0 or an error of building. */
int value_of(struct asys_chain *c, struct asys_arg_ arg, struct value *ret_value);
/*
 * A new step with what was said about it, directly inside the open block, and `nargs` arguments; NIL
 * after chain_fail.
 */
uint32_t step_add(struct asys_chain *c, enum step_kind kind, const struct value *args,
		  unsigned nargs);
/* One more thing that the newest step waits for and looks at. */
int step_when(struct asys_chain *c, uint32_t k, uint32_t on, unsigned condition);
/* May a step be added now? 0 or an error. */
int chain_building(struct asys_chain *c);

/* An ordinary step may be added: no cleanup block stands before it in its block. */
int may_add(struct asys_chain *c);
/* asys_full was not said about the next step, which is `what`. */
int not_full(struct asys_chain *c, const char *what);

/* compile.c: 0 or an error of building. */
int chain_compile(struct asys_chain *c);

/* full.c: can the call be completed piecewise? */
bool full_knows(uint32_t nr);
/* The call that transfers what comes after the first `done` bytes; false: that was all. */
bool full_rest(const struct asys_call *call, uint64_t done, struct asys_call *ret_rest);

void chain_hold(struct asys_chain *c);
void chain_drop(struct asys_chain *c);

#endif
