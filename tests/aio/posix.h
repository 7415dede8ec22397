/* SPDX-License-Identifier: MIT */
/*
 * What the tests of POSIX AIO share. Each program runs twice: with glibc's own functions, as the
 * reference, and with the shim put under it by LD_PRELOAD. What only the shim promises is asked only
 * there: under_shim().
 */
#ifndef TESTS_AIO_POSIX_H
#define TESTS_AIO_POSIX_H

#include "support.h"
#include <aio.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#define aio_test(fn) cmocka_unit_test_setup_teardown(fn, posix_begin, posix_end)

int posix_begin(void **state);
int posix_end(void **state);

/* The functions that this program calls are the shim's. Fails if the environment's ASYS_TEST_SHIM says
 * something else. */
bool under_shim(void);
void shim_or_skip(void);

/* A file without a name, `size` bytes long: byte i is file_byte(i). */
int file_make(size_t size);
unsigned char file_byte(size_t i);

/* A control block without a notice. */
struct aiocb block(int fd, void *buffer, size_t count, off_t offset);

/* Polls aio_error until it is not EINPROGRESS, and returns it. */
int poll_end(const struct aiocb *cb);
/* Waits by aio_suspend, without a limit; returns aio_error. */
int suspend_end(const struct aiocb *cb);
/* Ended without error, with this aio_return. */
void check_ended(struct aiocb *cb, ssize_t result);

#endif
