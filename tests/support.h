/* SPDX-License-Identifier: MIT */
/*
 * What every contract test needs. Threads: `check` and its kin may be used anywhere; a failure
 * outside the thread and process that runs the cmocka group ends the whole process with 1, because
 * cmocka can only leave a test from the thread that runs it.
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <asys/queue.h>
#include <asys/table.h>

#include <asys/call.h>

#include "driver.h"

#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SKIPPED 77

/* Checks that print what they saw. */
#define check(cond) ((cond) ? (void)0 : support_fail(__FILE__, __LINE__, "%s is false", #cond))
#define check_eq(a, b) support_eq(__FILE__, __LINE__, #a, (long long)(a), #b, (long long)(b))
#define check_one_of(a, b, c) \
	support_one_of(__FILE__, __LINE__, #a, (long long)(a), (long long)(b), (long long)(c))
#define check_says(text, word) support_says(__FILE__, __LINE__, text, word)

void support_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void support_eq(const char *file, int line, const char *a_text, long long a, const char *b_text,
		long long b);
void support_one_of(const char *file, int line, const char *text, long long a, long long b,
		    long long c);
void support_says(const char *file, int line, const char *text, const char *word);

/* Leaves the test as skipped; a program whose every test was skipped exits with 77. */
void skip_because(const char *why);

/* The program's main: runs the group (argv[1], if given, selects tests by pattern). */
#define group(tests, argc, argv) run_group(tests, sizeof(tests) / sizeof((tests)[0]), argc, argv)
int run_group(const struct CMUnitTest *tests, size_t count, int argc, char **argv);

/* A test with the two things that all have: an end if nothing moves, and a check for leaks. */
#define contract(fn) cmocka_unit_test_setup_teardown(fn, contract_begin, contract_end)
int contract_begin(void **state);
int contract_end(void **state);

/* Tells the watchdog that something moved: it ends the program 20 s after the last call. */
void progress(void);

/* How often a stress loop runs: `usual`, or ASYS_STRESS from the environment. */
unsigned iterations(unsigned usual);

/* Descriptors and threads of this process now. */
struct census {
	unsigned fds;
	unsigned threads;
};
struct census census_take(void);
/* Fails if there are more of either than in `before`; ended threads get time to leave /proc. */
void census_check(struct census before);

/* Queues. Opening or closing must succeed. */
struct asys_queue *open_queue(void);
struct asys_queue *open_depth(uint32_t depth, uint32_t flags);
struct asys_queue *open_with(const struct asys_queue_options *options);
/* Starts threads and rings: a queue that has done work of every kind. */
void warm_up(struct asys_queue *queue);
/* The engine that the environment forces, or "". */
bool engine_forced(const char *name);
/* Skips the test where every queue is shared (drivers thread and shared), and says why. */
void private_or_skip(const char *why);
/* ... where every event is taken as soon as it is there (driver fd). */
void uncollected_or_skip(const char *why);

/* submit(q, SYS_read, fd, buf, n): up to six words of any type. */
#define WORD(x) ((uint64_t)(uintptr_t)(x))
#define submit_6(q, nr, f, a, b, c, d, e, g) \
	submit_words(q, (uint32_t)(nr), f, WORD(a), WORD(b), WORD(c), WORD(d), WORD(e), WORD(g))
#define submit_pick(q, nr, f, a, b, c, d, e, g, ...) submit_6(q, nr, f, a, b, c, d, e, g)
#define submit(q, nr, ...) submit_pick(q, nr, 0, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define submit_refs(q, nr, flags, ...) \
	submit_pick(q, nr, (uint32_t)(flags), __VA_ARGS__, 0, 0, 0, 0, 0, 0)
asys_id submit_words(struct asys_queue *queue, uint32_t nr, uint32_t flags, uint64_t a, uint64_t b,
		     uint64_t c, uint64_t d, uint64_t e, uint64_t f);

/* Waits for the call and returns its result. */
int64_t result_of(struct asys_queue *queue, asys_id id);
/* Takes events until none is pending; returns how many. */
unsigned drain(struct asys_queue *queue);

/* Runs fn in a child of this process, at most `seconds`; returns its exit code, 128 + signal. */
int run_in_child(int (*fn)(void *arg), void *arg, unsigned seconds);
/* The same, and skips or fails the test by what the child says. */
void check_child(int (*fn)(void *arg), void *arg);

/* For children only, it cannot be undone: the number ends with -error from now on. */
void deny_call(long nr, int error);
void deny_uring(int error);
/* The filter itself, for tests that send seccomp through a queue. Valid until the next call. */
struct sock_fprog;
struct sock_fprog *deny_program(const long *nr, unsigned count, int error);

/* Rights, and what the program was built with. */
bool is_root(void);
void root_or_skip(void);
bool is_sanitized(void);

/* A new empty directory; temp_remove deletes it with its files (one level of folders). */
char *temp_make(void);
void temp_remove(char *path);
/* A file in memory. */
int memory_file(void);
/* The same file once more, as another open file: locks are between these. */
int reopen(int fd);
/* An array of pipe ends: fd[0] reads, fd[1] writes. */
void make_pipe(int fd[2]);
/* support_sockets.c: a pair of AF_UNIX of that type, and both ends of a TCP connection. */
void make_pair(int type, int fd[2]);
void make_connection(int fd[2]);
void close_both(const int fd[2]);
void sleep_ms(unsigned ms);
/* Cheap pseudo-random numbers for stress loops. */
uint32_t next_random(uint32_t *state);

#endif
