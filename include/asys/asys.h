/* SPDX-License-Identifier: MIT */
/* Everything: asynchronous system calls. asys(7) is the introduction. */
#ifndef ASYS_ASYS_H
#define ASYS_ASYS_H

#include <asys/call.h>
#include <asys/chain.h>
#include <asys/queue.h>
#include <asys/syscalls.h>
#include <asys/table.h>
#include <asys/task.h>
#include <asys/types.h>
#include <asys/version.h>

#endif
