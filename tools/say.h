/* SPDX-License-Identifier: MIT */
/* Words for people: errors, and a line that shows how far long work is. Both go to stderr. */
#ifndef ASYS_TOOLS_SAY_H
#define ASYS_TOOLS_SAY_H

#include <stdbool.h>
#include <stdint.h>

/* "asys: WHAT: reason of err" (err < 0: -errno; 0: no reason follows). Returns err. */
__attribute__((format(printf, 2, 3))) int say_error(int err, const char *format, ...);

/* On a terminal one line that changes ten times a second, else a line every few seconds. */
struct progress {
	const char *what; /* belongs to the caller until progress_end */
	uint64_t total;	  /* 0: unknown */
	uint64_t next_ns; /* when to show it again */
	uint64_t every_ns;
	bool terminal;
	bool shown;
};

void progress_begin(struct progress *progress, const char *what, uint64_t total);
void progress_step(struct progress *progress, uint64_t done);
void progress_end(struct progress *progress);

#endif
