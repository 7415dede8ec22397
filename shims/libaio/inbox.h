/* SPDX-License-Identifier: MIT */
/*
 * What is submitted while the context's own thread has the queue (reaper.h). The program's threads only put
 * operations here, and ring; the reaper sends and starts them. So a submission waits for no system call
 * that the reaper makes with the queue, and io_uring, which ends calls in the thread that started them,
 * interrupts no wait of the program's (epoll_wait and some others would end with EINTR).
 *
 * The bell is an eventfd. A read of it is always among the reaper's calls. `asleep` says that somebody has
 * to ring, once:
 *
 *   reaper, with the lock              submitter
 *   inbox sent                         operation put in, with the lock
 *   asleep = true                      asleep exchanged with false: was it true? rings
 *   lock let go, sleeps in the queue
 */
#ifndef LIBAIO_INBOX_H
#define LIBAIO_INBOX_H

#include "context.h"

/* All with the lock, but for ringing. */

/* 0 or -EAGAIN: no descriptor. */
int inbox_open(struct context *ctx);
void inbox_close(struct context *ctx);
void inbox_put(struct context *ctx, struct operation *op);
/* It is not to be sent. */
void inbox_remove(struct context *ctx, struct operation *op);
/* All of it goes to the queue, not started yet; what the queue refuses has ended. */
void inbox_send(struct context *ctx);
/* The reaper is about to sleep. */
void inbox_listen(struct context *ctx);
/* The bell's read came back. */
void inbox_heard(struct context *ctx);
void inbox_ring(struct context *ctx);

#endif
