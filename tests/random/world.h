/* SPDX-License-Identifier: MIT */
/* What the parts of the world have with each other. */
#ifndef TESTS_RANDOM_WORLD_H
#define TESTS_RANDOM_WORLD_H

#include "program.h"

void world_place(int fd, int number);
void world_lock(int fd, bool lock);
/* As hash, but the sum of bytes in several pieces is the one of all at once; `place` is that of the first. */
uint64_t sum_on(uint64_t before, uint64_t place, const void *bytes, size_t size);

/* streams.c: everything that has two ends or that one waits for. */
void world_sockets_begin(void);
const char *world_address(unsigned object);
void world_watch(const struct object *object, unsigned i, const char *name, const char *folder);
void world_stream_make(const struct object *object, unsigned i);
void world_stream_look(const struct object *object, unsigned i, struct run *run);
/* Reads what is there at this end, at most `most` bytes; adds it to what went through. */
int64_t world_drain(const struct object *object, unsigned i, unsigned end, uint64_t most,
		    struct run *run);

#endif
