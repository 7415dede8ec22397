/* SPDX-License-Identifier: MIT */
/*
 * A script is a function that makes calls and notes what they gave. It is run twice, with plain
 * system calls and through a queue, and must leave the same notes. Each call also says who must, or
 * must not, have served it, so that a preparation that is wrong or never used is found.
 */
#ifndef TESTS_SCRIPT_H
#define TESTS_SCRIPT_H

#include "support.h"

#include <pthread.h>
#include <stdlib.h>

/* Who serves a call, where the queue prefers an engine. */
enum by {
	BY_ANY = 0,
	BY_RING = 1 << 0,    /* io_uring, where it is preferred and the kernel has the opcode */
	BY_OTHER = 1 << 1,   /* not io_uring, even where it is preferred: other words are refused */
	BY_ATTEMPT = 1 << 2, /* the ready engine, where it is preferred */
	BY_NO_ATTEMPT = 1 << 3, /* not the ready engine, even where it is preferred */
};

#define NOTES_MOST 512

struct script {
	struct asys_queue *queue; /* NULL: plain system calls */
	uint32_t engine;	  /* that the queue prefers */
	unsigned count;
	struct {
		const char *what;
		int64_t value;
	} notes[NOTES_MOST];
};

/* Notes a value of any kind. */
void note(struct script *s, const char *what, int64_t value);
/* Notes memory, as a sum. */
void note_bytes(struct script *s, const char *what, const void *data, size_t size);

/* Makes a call, notes its result and returns it. FD: notes only that it succeeded, since numbers of
 * descriptors differ. */
#define CALL(by, nr, ...) script_call(s, by, #nr, nr, script_words(__VA_ARGS__, 0, 0, 0, 0, 0, 0))
#define CALL_FD(by, nr, ...) \
	script_call_fd(s, by, #nr, nr, script_words(__VA_ARGS__, 0, 0, 0, 0, 0, 0))
#define script_words(a, b, c, d, e, f, ...) \
	((const uint64_t[6]){ WORD(a), WORD(b), WORD(c), WORD(d), WORD(e), WORD(f) })
int64_t script_call(struct script *s, unsigned by, const char *name, uint32_t nr,
		    const uint64_t arg[6]);
int script_call_fd(struct script *s, unsigned by, const char *name, uint32_t nr,
		   const uint64_t arg[6]);

/* Runs it plainly once, then with a queue of each engine and kind, and compares. */
void script_compare(void (*fn)(struct script *s));

/* Someone else, who does something a moment later; end_later waits for him. */
struct later {
	pthread_t thread;
	int fd;
	size_t size;
	unsigned pieces;
};
void write_later(struct later *l, int fd, size_t size, unsigned pieces);
void read_later(struct later *l, int fd, size_t size);
void end_later(struct later *l);

#endif
