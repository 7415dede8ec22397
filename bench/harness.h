/* SPDX-License-Identifier: MIT */
/*
 * What all benchmarks share: options, contestants in processes of their own, rounds, output.
 *
 * A comparison has sides: asys first, its peers after it. Every side lives in a process of its own,
 * forked while this one has no second thread, because the kernel makes each call that names a
 * descriptor slower in a process with threads. The parent lets one side measure at a time, in turns
 * (A B C, C B A, ...), so that whatever else the machine does hits all of them alike, and takes the
 * ratio of each round; the median of these ratios is what is reported.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_SIDES_MAX 8
#define BENCH_ROUNDS_MAX 1001u
#define BENCH_ROUNDS 30u
#define BENCH_NOTE 120

struct bench_options {
	const char *bench; /* name of the benchmark */
	const char *only;  /* --case: this case alone, or NULL */
	unsigned rounds;
	unsigned lives;	   /* each side is forked afresh so many times, to average over the luck of
			    * memory placement; the rounds are divided among them */
	uint64_t round_ns; /* about how long one side measures in one round */
	const char *place; /* --place: folder for files, or NULL */
	bool json;
	bool quick;
};

/* What a side holds while it lives: only in its own process. */
struct bench_child {
	const void *arg;       /* of bench_compare */
	void *state;	       /* the side's own */
	char note[BENCH_NOTE]; /* which variant it chose, or why it cannot take part */
};

struct bench_cost {
	uint64_t
		ns; /* what the operations took: time, or CPU time, or bytes, as the benchmark says */
	uint64_t ops; /* how many there really were */
};

/* Functions return 0 or -errno. A peer whose open fails is skipped, with its note on stderr. */
struct bench_side {
	const char *name;
	int (*open)(struct bench_child *child);
	/* Does at least `ops` operations and fills *ret_cost. */
	int (*round)(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost);
	void (*close)(struct bench_child *child);
};

struct bench_case {
	const char *name;
	const char *unit;
	double per_unit; /* nanoseconds in one unit */
	unsigned sides_len;
	const struct bench_side *const *sides; /* [0] is asys */
	const void *arg;
};

/* Fills the options from the command line. Leaves the process after --help (0) or nonsense (2). */
void bench_options(struct bench_options *ret_options, const char *bench, const char *what, int argc,
		   char **argv);

/* Is this case wanted (--case)? */
bool bench_wants(const struct bench_options *options, const char *name);

/* Measures and prints one case. 0, or -errno after a message on stderr. */
int bench_compare(const struct bench_options *options, const struct bench_case *one);

/* Prints a figure that has no peer: the median of `values`. Sorts them. */
void bench_figure(const struct bench_options *options, const char *name, const char *unit,
		  double *values, unsigned len, const char *note);

/* Ends the benchmark: 0 or 1 as exit code; complains when --case matched nothing. */
int bench_exit(const struct bench_options *options, int err);

/* "BENCH: text" on stderr. */
void bench_say(const struct bench_options *options, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Time on CLOCK_MONOTONIC, and CPU time of this thread, in nanoseconds. */
uint64_t bench_now(void);
uint64_t bench_thread_cpu(void);

/* Processes (child.c) */

/* In a process that was just forked: it takes signals as usual and ends when `parent` does. False: that has
 * happened already. */
bool bench_ends_with(int parent);

struct bench_process {
	int pid;
	int sock;
	char note[BENCH_NOTE];
};

int bench_process_start(const struct bench_side *side, const void *arg,
			struct bench_process *ret_process);
int bench_process_round(struct bench_process *process, uint64_t ops, struct bench_cost *ret_cost);
void bench_process_stop(struct bench_process *process);

/*
 * Tries `len` variants for a moment each and returns the fastest one's index, or -errno (of the last
 * that failed) if none works. `use` switches to a variant; `round` is the side's own.
 */
int bench_fastest(struct bench_child *child, unsigned len, uint64_t ops,
		  int (*use)(struct bench_child *child, unsigned variant),
		  int (*round)(struct bench_child *child, uint64_t ops, struct bench_cost *cost));

/*
 * A place for files (place.c): a fresh folder, removed when this process exits, also after SIGINT,
 * SIGTERM or SIGHUP. It is made in --place, else, if the benchmark asks for one `in_memory` and
 * there is one, in /dev/shm, else in $TMPDIR, else in /tmp. Static; NULL after a message on stderr.
 */
const char *bench_place(const struct bench_options *options, bool in_memory);
/* Name of the file system it is on. */
const char *bench_place_type(void);
/* Were we asked to stop? Long loops ask, and leave. */
bool bench_stopped(void);

#endif
