/* SPDX-License-Identifier: MIT */
/* Other programs, as sides and as tools, and the cores that they and we run on. */
#ifndef BENCH_PROGRAM_H
#define BENCH_PROGRAM_H

#include <stddef.h>

#define BENCH_PROGRAM_PATH 4096u
#define BENCH_SKIPPED 77 /* exit code of a benchmark: what it needs is not here */

/*
 * The first of `names` (NULL at the end) that is in a folder of PATH, or where a system keeps its
 * servers, which is often not in PATH. A name with a slash is relative to the folder of this very
 * program. 0, or -ENOENT.
 */
int bench_program_find(const char *const *names, char ret_path[BENCH_PROGRAM_PATH]);

/*
 * Starts argv[0], which is a path, with its standard output going to `out` (-1: nowhere), on core
 * number `core` of those that we may use (-1: all of them). It is asked to end (SIGTERM) if the
 * thread that started it ends first. Returns its pid, or -errno.
 */
int bench_program_start(char *const argv[], int out, int core);

/* Waits for its end. 0, -EIO if its exit code was not 0, or -errno. */
int bench_program_wait(int pid);

/* Starts it, on all cores, and waits. */
int bench_program_run(char *const argv[]);

/* Ends a program that runs until it is told to: SIGTERM, and SIGKILL if that does not help. */
void bench_program_stop(int pid);

/*
 * Keeps this thread, and what it starts from now on, on `len` of the cores that it may use, without
 * the `skip` first ones. Returns how many that are (fewer if there are fewer), or -errno.
 */
int bench_cores(unsigned skip, unsigned len);

#endif
