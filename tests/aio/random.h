/* SPDX-License-Identifier: MIT */
/*
 * Random operations, the same ones twice: with the system's library, which says what is right, and with
 * the shim preloaded. Each run writes what it sees as lines "what was done = what came of it"; the two
 * logs must be the same but for differences that docs/AIO.md names.
 *
 *   PROGRAM --shim LIBRARY [--seed N] [--rounds N]     both, and the comparison
 *   PROGRAM --log [--seed N] [--rounds N]              one run, to standard output
 *
 * A run under the shim has ASYS_TEST_SHIM in its environment, by which it can see whether it is.
 * A round has a seed of its own, so `--seed N --rounds 1` does again the one that was reported.
 */
#ifndef TESTS_AIO_RANDOM_H
#define TESTS_AIO_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUARD 4096u

struct random_test {
	void (*round)(void);
	/* The reason why two lines that speak of the same deed may differ, or NULL. */
	const char *(*documented)(const char *native, const char *shim);
	unsigned rounds; /* without --rounds */
};

int random_main(int argc, char **argv, const struct random_test *test);

/* 0..n-1; what it gives depends on the seed alone, and on how often it was asked. */
uint64_t pick(uint64_t n);
/* From here on as this seed says: what came of earlier operations must not decide on later ones. */
void pick_anew(uint64_t seed);
/* True once in n times. */
bool once_in(unsigned n);
#define pick_of(array) ((array)[pick(sizeof(array) / sizeof((array)[0]))])

/* A line, or a piece of one. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

uint64_t hash_of(const void *bytes, size_t size);
/* What bytes are written and buffers hold before: depends on `seed` only. */
void fill_bytes(void *bytes, size_t size, uint64_t seed);
/* Something that must not happen, whichever library it is: ends the run. */
void stop_if(bool wrong, const char *what);

/* There is nothing to compare with. */
void skip_run(void);

/* `slots` of so many bytes, and behind each a page that cannot be touched. */
unsigned char *random_arena(unsigned slots, size_t bytes);
/* Open, close-on-exec, or the run ends; and the file of a descriptor once more. */
int random_open(const char *path, int flags);
int random_reopen(int fd, int flags);
/* An unlinked file of `size` bytes on a disk, or in memory. */
int random_file(bool in_memory, size_t size, int flags);

#endif
