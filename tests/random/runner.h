/* SPDX-License-Identifier: MIT */
/* What the parts of the loop around the programs share: main.c starts processes, each runs child.c. */
#ifndef TESTS_RANDOM_RUNNER_H
#define TESTS_RANDOM_RUNNER_H

#include "program.h"

#include <sys/types.h>

enum { PROGRAMS_PER_QUEUE = 8, JOBS_MOST = 64, SEEDS_MOST = 256, SKIPPED = 77 };

struct options {
	uint64_t seed, count, without, bound_ms;
	uint64_t seconds; /* after which no more begin; 0: no limit */
	uint64_t most;	  /* differences after which it ends */
	int driver;	  /* -1: any */
	unsigned jobs;	  /* processes side by side */
	bool print;	  /* every program, before it is run */
	bool go_on;	  /* after a difference */
	bool progress;	  /* a line every ten seconds */
	unsigned
		seeds; /* of a list: each is run, with those before it in its queue, `rounds` times */
	unsigned rounds;
	uint64_t listed[SEEDS_MOST];
	char kinds[512]; /* those of the command line that say which programs there are */
};

extern struct options options;

void options_take(int argc, char **argv);

/* Shared by all processes, so that another one can go on where one ended. */
struct slot {
	pid_t pid;
	uint64_t next, end; /* seeds; the one being run is the one before `next` */
};

struct shared {
	uint64_t
		next; /* the first seed that nobody has taken yet; of a list, how many were taken */
	uint64_t programs, failed;
	uint64_t until; /* when `seconds` are over */
	bool stop;
	struct slot slot[JOBS_MOST];
};

/* child.c: runs what there is to run; the exit status. */
int child_run(struct shared *all, unsigned number);
/* How this program is run again. */
void print_again(uint64_t seed);

#endif
