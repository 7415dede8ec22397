/* SPDX-License-Identifier: MIT */
/*
 * IOCB_CMD_POLL. The operations of a context that are not ready at once wait in one epoll set, and one
 * call in the queue waits for that set (the watch): so thousands of them need one call and no thread of
 * their own. What the set reports is asked once more, by operation, since several may be for one
 * descriptor. All with the lock.
 */
#ifndef LIBAIO_POLL_H
#define LIBAIO_POLL_H

#include "context.h"

/* The operation waits. 0 or -errno. */
int poll_start(struct context *ctx, struct operation *op);
/* It does no longer. */
void poll_leave(struct context *ctx, const struct operation *op);
/* The set knows this descriptor no longer. */
void poll_forget(struct context *ctx, int fd);
/* The operations on this descriptor wait, whatever they did before. 0 or -errno. */
int poll_again(struct context *ctx, int fd);
/* The watch came back: events of what is ready go to the ring. */
void poll_settle(struct context *ctx, int64_t result);
/* The same, without the watch and at once. True if there may be any. */
bool poll_look(struct context *ctx);
/* No watch from now on; none of the operations will end. */
void poll_stop(struct context *ctx);
void poll_close(struct context *ctx);

#endif
