/* SPDX-License-Identifier: MIT */
/* The real-time signal that ends blocked calls, in system call threads and in waiters. */
#ifndef ENGINE_CANCEL_SIGNAL_H
#define ENGINE_CANCEL_SIGNAL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* Its handler is the process's while somebody has taken it. 0, or -EBUSY with message. */
int cancel_signal_check(int signal);
int cancel_signal_pick(void); /* one that the program does not handle, if there is any */
int cancel_signal_take(int signal);
void cancel_signal_give(int signal);
/* To a thread of this process; its handler hands `summons` to uring_serve (0: it is for no ring). False: not sent, for
 * the program handles the signal itself now, or the user has as many pending as it may: to be tried again. */
bool cancel_signal_send(int signal, int32_t tid, uint64_t summons);
/* The flags word of the call that this thread runs, or ran last. */
extern _Thread_local uint32_t *cancel_running;
extern _Thread_local volatile uint32_t
	rescue_ticks; /* the timer of sched/rescue.c went off so often */
/* What a thread that makes calls for this one blocks: `signal` not, if it is not 0. */
void cancel_signal_mask(int signal, sigset_t *ret_mask);

#endif
