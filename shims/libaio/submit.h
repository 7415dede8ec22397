/* SPDX-License-Identifier: MIT */
/* The stations of io_submit. */
#ifndef LIBAIO_SUBMIT_H
#define LIBAIO_SUBMIT_H

#include "context.h"

#define FLAG_RESFD 1u /* aio_abi.h: IOCB_FLAG_RESFD */

/* RWF_...: fs.h of the kernel this is built on may be older than the kernel it runs on. */
#define RW_HIPRI 0x1u
#define RW_NOWAIT 0x8u
#define RW_APPEND 0x10u
#define RW_NOAPPEND 0x20u
#define RW_ATOMIC 0x40u
#define RW_KNOWN 0x1ffu

/* check.c: each returns 0 or what the kernel answers. */

/* Before anything else. */
int check_words(const struct iocb *iocb);
/* The descriptor is open, and not by O_PATH. */
int check_descriptor(int fd);
/* It is an eventfd. */
int check_eventfd(int fd);
/* Fills the request, but for its address and what depends on the file. */
int check_request(const struct iocb *iocb, struct request *ret_request);
/* Buffers and vectors; sets bytes. The kernel looks at the file's mode before. */
int check_memory(struct request *request);
/* Of a vector that can be read, wherever it begins. */
struct iovec request_part(const struct request *request, uint64_t k);
/* Offset and length. */
int check_area(const struct request *request);

/* files.c */

/* What is believed of a descriptor, without asking; FILE_UNKNOWN when it is time to ask again. */
enum file_kind file_believed(struct context *ctx, int fd);
void file_learn(struct context *ctx, int fd, enum file_kind kind);
/* This read is not worth an attempt. */
bool file_is_cold(struct context *ctx, int fd);
/* An attempt found its data in memory, or not. */
void file_attempted(struct context *ctx, int fd, bool found);

/* prepare.c */

/* Asks: sets kind and append; -EBADF, also for the wrong mode, or -EINVAL. */
int file_look(struct context *ctx, struct request *request);
/* The system call of an operation; its own copy of the iovecs is in it already. */
void prepare_call(const struct operation *op, struct asys_call *ret_call);
/* A copy of the iovecs, which the program may change after io_submit; NULL if one is enough, or none. -ENOMEM. */
int prepare_vector(const struct request *request, struct iovec **ret_copy);
/* The operation has that copy from now on; *copy is what its place had before, for the caller to free. */
void prepare_memory(struct operation *op, struct iovec **copy);

/* attempt.c */
enum attempt {
	ATTEMPT_DONE,  /* *ret_result is the operation's */
	ATTEMPT_QUEUE, /* it has to wait, or may */
	ATTEMPT_FAIL,  /* *ret_result is what io_submit answers */
};

/* `held`: something before it is in flight, so it may only be looked at. */
enum attempt attempt_transfer(struct context *ctx, struct request *request, bool held,
			      int64_t *ret_result);
/* Of a pipe, a socket or the like, which nothing in flight comes before. Long writes could end halfway, so it is only
 * asked whether there is room. */
enum attempt attempt_stream(struct request *request, int64_t *ret_result);
/* As far as can be told without trying. */
bool stream_has_room(const struct request *request);
enum attempt attempt_poll(const struct request *request, int64_t *ret_result);
enum attempt attempt_sync(const struct request *request, int64_t *ret_result);

/* submit.c, with the lock: the call of an operation whose memory is prepared goes to the queue. */
int submit_now(struct context *ctx, struct operation *op);
/* The same, if this is the program's to do; or it goes to the inbox. */
int submit_send(struct context *ctx, struct operation *op);
/* The same for one that was held (order.c); if it fails, that is its event. */
void submit_released(struct context *ctx, struct operation *op);

#endif
