/* SPDX-License-Identifier: MIT */
#ifndef LIBAIO_SIZE_H
#define LIBAIO_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/* A transfer up to there, in bytes, may meet the end of the file: false for what has none, true if it
 * cannot be told. By the size that is known without asking a server. */
bool size_may_be_less(int fd, uint64_t end);

#endif
