/* SPDX-License-Identifier: MIT */
/* What the random test of libaio works on: libaio_random_ops.c makes it, libaio_random.c submits it. */
#ifndef TESTS_AIO_LIBAIO_RANDOM_H
#define TESTS_AIO_LIBAIO_RANDOM_H

#include "random.h"

#include <limits.h>
#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define OPS_MOST 12
#define SLOT 16384u /* memory of one operation */
#define VECTORS_MOST (IOV_MAX + 1)

enum kind {
	BUFFERED,
	APPEND,
	DIRECT,
	READ_ONLY,
	WRITE_ONLY,
	MEMORY,
	PIPE_OUT,
	PIPE_IN,
	SOCKET,
	EVENTFD, /* streams */
	QUIET,	 /* a pipe that is only polled */
	FOLDER,
	DEV_NULL,
	DEV_ZERO,
	PROC_SEQ,
	PROC_OLD,
	EPOLL,
	PATH_ONLY,
	CLOSED,
	NEGATIVE,
	KINDS
};

/* One operation and what came of it. */
struct op {
	struct iocb cb;
	enum kind kind;
	char what[160];
	unsigned char *slot;
	uint64_t before; /* hash of the slot */
	int refused;
	bool ready; /* an event is to come without help */
	bool came;
	bool cancel; /* when it waits, or when it is over */
	struct io_event event;
	struct iovec *iov;
};

struct world {
	int fds[KINDS];
	int others[KINDS];     /* of pairs, the end that is not in `fds` */
	int files[MEMORY + 1]; /* to look at what is in them */
	int tells;	       /* eventfd of IOCB_FLAG_RESFD */
	bool in_memory, nonblocking;
	bool with_resfd;
	/* Of a batch: what direction streams and O_DIRECT have. */
	bool writes_streams, writes_direct;
};

extern struct world world;

void world_open(void);
void world_close(void);
void note_files(void);
int waiting_in(enum kind kind);
/* A new one, in its place of a batch. */
void prepare(struct op *op, unsigned char *slot, unsigned place);

#endif
