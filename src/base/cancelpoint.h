/* SPDX-License-Identifier: MIT */
/*
 * A system call that can be cancelled in the instants before and after its trap.
 *
 * The flags word is tested, then the call is made. A canceller sets the bit, then sends this thread
 * a signal. If the signal lands between the test and the trap, its handler finds the program counter
 * between cancelpoint_begin and cancelpoint_end and moves it to cancelpoint_cancel: the call is not
 * made. If it lands inside the call, the kernel ends that with -EINTR, or restarts it by moving the
 * program counter back onto the trap, which is inside the window again. If it lands after the trap,
 * the result stands. The technique is musl's (pthread cancellation points).
 */
#ifndef BASE_CANCELPOINT_H
#define BASE_CANCELPOINT_H

#include <stdint.h>

/* The result, or -ECANCELED without having made the call. Bit SLOT_CANCEL_BIT of *flags counts. */
int64_t cancelpoint_syscall(const uint32_t *flags, uint64_t nr, uint64_t a0, uint64_t a1,
			    uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5);

/* For the signal handler: the context of the interrupted code. If that is inside the window, makes
 * it go on at cancelpoint_cancel. */
void cancelpoint_redirect(void *ucontext);

#endif
