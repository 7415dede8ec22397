/* SPDX-License-Identifier: MIT */
/*
 * What went through a shim, for `asys run --stats`.
 *
 * Nothing is counted unless the environment's ASYS_RUN_STATS says where to: a file's name, which gets
 * one JSON object when the program ends, or "-", which prints lines for people to the standard error.
 * Off, each of these costs a load and a branch. All of them may be called from any thread; none touches
 * errno.
 *
 * A child that only forked counts into its parent's figures, and the process that was started with the
 * environment reports them all.
 */
#ifndef SHIM_STATS_H
#define SHIM_STATS_H

#include <asys/queue.h>
#include <stdint.h>

enum shim_op { SHIM_READ, SHIM_WRITE, SHIM_FSYNC, SHIM_POLL, SHIM_NOOP, SHIM_OPS };

/* `n` operations were accepted. */
void shim_count(enum shim_op op, unsigned n);
/* A call of the program's that would have been `n` system calls without the shim. */
void shim_count_native(unsigned n);
/* The shim made `n` system calls itself, besides what it sent to a queue. */
void shim_count_made(unsigned n);
/* `n` operations were done at once, by a system call each, without a queue. Counts these calls as made. */
void shim_count_done(unsigned n);
/* Around one submission of one or more operations. Begin returns 0 when nobody asked for statistics. */
uint64_t shim_submit_begin(void);
void shim_submit_end(uint64_t begin);
/* An open queue counts until it is forgotten: its figures are added up then, or when the program ends. */
void shim_queue_opened(struct asys_queue *queue);
void shim_queue_closing(struct asys_queue *queue);

#endif
