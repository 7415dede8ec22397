/* SPDX-License-Identifier: MIT */
/* The kernel's names of io_uring opcodes and set-up flags: newer ones than the system's headers
 * know are listed here too. */
#ifndef ASYS_TOOLS_OPCODES_H
#define ASYS_TOOLS_OPCODES_H

#include <stdint.h>

/* Without the prefix IORING_OP_, small letters; NULL if unknown. */
const char *opcode_name(int opcode);

/* Without the prefix IORING_SETUP_; bit 0..31; NULL if unknown. */
const char *setup_flag_name(unsigned bit);

#endif
