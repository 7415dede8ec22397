/* SPDX-License-Identifier: MIT */
/* What scenes are made with. A scene adds objects, the peer's steps and a lane of calls. */
#ifndef TESTS_RANDOM_GENERATE_H
#define TESTS_RANDOM_GENERATE_H

#include "program.h"

#include <sys/syscall.h>

struct gen {
	struct program *program;
	struct random random;
	int last;    /* the lane's last call, or -1 */
	bool strict; /* every call of the lane must run: others rely on it */
	bool small;  /* any_size gives a page at most */
	bool calm;   /* nothing that waits for a call sent later */
};

static inline uint32_t pick(struct gen *g, uint32_t n)
{
	return below(&g->random, n);
}
static inline bool chance(struct gen *g, uint32_t n)
{
	return once_in(&g->random, n);
}
#define pick_of(g, array) ((array)[pick(g, sizeof(array) / sizeof((array)[0]))])

unsigned add_object(struct gen *g, unsigned kind, unsigned flags);
void add_step(struct gen *g, unsigned kind, unsigned object, unsigned end, uint32_t at_us,
	      uint32_t size);
/* The next lane; false if the program has no room for so many calls more. */
bool begin_lane(struct gen *g, unsigned calls);

/* A call after the lane's last one. */
#define ADD(g, nr, ...)                                                                       \
	add_op(g, nr, (unsigned)(sizeof((struct arg[]){ __VA_ARGS__ }) / sizeof(struct arg)), \
	       (struct arg[]){ __VA_ARGS__ })
struct op *add_op(struct gen *g, long nr, unsigned args, const struct arg *arg);
static inline unsigned op_index(struct gen *g, const struct op *op)
{
	return (unsigned)(op - g->program->op);
}
/* A transfer along a stream, whose size is that word, or a vector (0). */
struct op *as_stream(struct op *op, unsigned size_arg);
struct op *makes_fd(struct op *op);

/* Arguments. */
struct arg num(int64_t value);
struct arg end_of(unsigned object, unsigned end);
struct arg result_of(struct gen *g, const struct op *op);
struct arg text(unsigned number);
struct arg text_of_object(unsigned which,
			  unsigned object); /* 0 FIFO, 1 file, 2 folder, 3 address */
struct arg out(uint32_t size);
struct arg out_ignored(uint32_t size);
struct arg data(struct gen *g, uint32_t size);
struct arg words(unsigned count, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
struct arg time_of(uint64_t us);
struct arg vector(struct gen *g, unsigned kind, uint32_t size);
/* Now and then a wrong address instead. */
struct arg any_out(struct gen *g, uint32_t size);
struct arg any_data(struct gen *g, uint32_t size);
uint32_t any_size(struct gen *g);

/* A transfer by one of the calls that can do it. `flags` of send and recv; `exact`: no wrong address
 * and no call that might give less. */
struct op *add_read(struct gen *g, struct arg fd, bool socket, uint32_t size, int flags,
		    bool exact);
struct op *add_write(struct gen *g, struct arg fd, bool socket, uint32_t size, int flags,
		     bool exact);

struct scene {
	const char *name;
	void (*make)(struct gen *g);
	uint8_t weight;
	uint8_t calls; /* at most */
	bool waits;    /* for calls that are sent later */
	bool unusual;  /* only on demand */
};
extern const struct scene scenes_still[], scenes_flow[], scenes_wait[];

#endif
