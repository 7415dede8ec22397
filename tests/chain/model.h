/* SPDX-License-Identifier: MIT */
/*
 * Chains as plain data, and what they mean: the reference that the real ones are compared with.
 *
 * The interpreter (model.c) is written from asys/chain.h alone. It is slow and simple: it runs the
 * steps one after another in the order of the text, which is always a right order, because a step
 * names earlier ones only. Beside results it keeps, for every run of every step, the set of runs
 * that must have ended before it; from that follow the order that the real chain must keep, and
 * which failure may have been the first where several steps fail at once.
 */
#ifndef TESTS_CHAIN_MODEL_H
#define TESTS_CHAIN_MODEL_H

#include <asys/chain.h>

#include <stdbool.h>
#include <stdint.h>

enum {
	NODES_MAX = 48,	 /* of one program */
	FLAT_MAX = 256,	 /* with all subs unfolded */
	EXECS_MAX = 768, /* runs of steps in one sending */
	FAILS_MAX = 64,
	SUBS_MAX = 3,
	NAMES_MAX = 3,
	ARGS_MAX = 3,
	PARAM_FIRST = 3, /* 0..2 are the drivers' own */
	INPUTS = 4,
};

enum kind {
	K_WORK,	 /* computes, see work_result */
	K_GIVE,	 /* lseek: its argument, or -EINVAL */
	K_BAD,	 /* close(-1): -EBADF */
	K_PPID,	 /* getppid */
	K_TIMER, /* `value` ns */
	K_READ,	 /* a byte from the pipe; the next node is the K_WRITE that brings it */
	K_WRITE,
	K_SUB,
	K_IF,
	K_ELSE,
	K_LOOP,
	K_ON_FAILURE,
	K_FINALLY,
};

enum mode { M_VALUE, M_SUM, M_DOWN, M_ODD_FAILS, M_LATE_FAILS, M_MODES };

enum source { S_CONST, S_STEP, S_PARAM, S_INPUT, S_INPUT_INT, S_STORED };

struct argument {
	uint8_t source;
	uint8_t index; /* step, parameter, or input */
	int64_t plus;  /* constant; or added to a step's result or a parameter */
};

struct name {
	uint8_t step;
	uint8_t condition;
};

struct program;

struct node {
	uint8_t kind;
	int16_t parent; /* -1: the chain */
	uint8_t last;	/* last node inside, itself if none */
	bool dropped;
	bool may_fail, store, report;
	uint8_t names, args;
	struct name name[NAMES_MAX];
	struct argument arg[ARGS_MAX];
	uint8_t mode;
	int64_t value;
	struct name test; /* of an if, or of the while that closes a loop */
	bool tested;	  /* the loop is closed by a while */
	uint32_t bound;
	struct program *sub;
	unsigned sub_base; /* of the sub's nodes, from this program's own */
};

struct program {
	unsigned number; /* for user words: program * NODES_MAX + node */
	unsigned count, flat;
	struct node node[NODES_MAX];
	int result; /* -1: none */
};

/* ---- what a sending does -------------------------------------------------------------------- */

#define BITS_WORDS (EXECS_MAX / 64)
struct bits {
	uint64_t word[BITS_WORDS];
};

struct exec {
	unsigned flat, occurrence;
	const struct node *node;
	int64_t arg[ARGS_MAX];
	int64_t result;
	struct bits before;
};

struct told {
	uint64_t user;
	int64_t result;
};

struct world {
	/* in */
	int64_t input[INPUTS];
	int64_t param[6];
	int64_t ppid;
	/* out */
	unsigned execs, tolds;
	struct exec exec[EXECS_MAX];
	struct told told[EXECS_MAX];
	unsigned runs[FLAT_MAX];
	int64_t stored[FLAT_MAX];
	int64_t first
		[FAILS_MAX]; /* any of these may be the first failure; the result if `firsts` */
	unsigned firsts;
	int64_t result; /* if nothing failed */
	bool result_skipped;
	/* More than one outcome is right, or the run is too long: not for comparing. */
	bool unfit;
};

/* Fills the outputs; the stored values begin at 0. */
void model_run(struct world *world, const struct program *program);

/* What a K_WORK step returns, the real one too. */
int64_t work_result(const struct node *node, const int64_t *arg, unsigned occurrence);

bool condition_holds(unsigned condition, int64_t result);
bool is_error(int64_t result);
bool bits_has(const struct bits *bits, unsigned n);
bool is_block(const struct node *node);

struct pool;
/* Readable, like the calls that build it. */
void pool_print(const struct pool *pool);

/* ---- random ones ---------------------------------------------------------------------------- */

struct random {
	uint64_t state;
};
uint32_t random_below(struct random *random, uint32_t n);

/* pool[0] is the chain, the others are subs that it or they use. */
struct pool {
	unsigned count;
	struct program program[1 + SUBS_MAX];
};
void generate(struct random *random, struct pool *pool);
/* After nodes were dropped or a pool was copied: where the nodes of subs begin. */
void lay_out(struct pool *pool);
bool in_cleanup(const struct program *program, const struct node *node);

#endif
