/* SPDX-License-Identifier: MIT */
/* One operation in flight: everything of the iocb that is needed after io_submit, which may not look
 * at the iocb again. */
#ifndef LIBAIO_OPERATION_H
#define LIBAIO_OPERATION_H

#include <asys/types.h>
#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum file_kind {
	FILE_UNKNOWN,
	FILE_CACHED, /* goes through the page cache, and an attempt without waiting is possible */
	FILE_PLAIN,  /* has offsets, no such attempt; O_DIRECT or not */
	FILE_DIRECT, /* O_DIRECT, and it can wait for the disk without a thread */
	FILE_STREAM, /* has no offsets: pipe, socket, terminal */
	FILE_EVENTFD,
};

/* What io_submit was given, checked. */
struct request {
	uint64_t obj; /* address of the iocb */
	uint64_t data;
	uint16_t opcode; /* IOCB_CMD_... */
	bool write, vector, append;
	bool high, low; /* asys's priority */
	bool cold;	/* a read of what is not in memory, as far as is known */
	bool prompt;	/* of a stream, and ends soon whatever others do */
	bool end;	/* a read that may meet the end of the file */
	uint8_t kind;	/* enum file_kind */
	uint8_t sort;	/* what kind was when it was accepted: the order goes by that */
	int fd;
	int eventfd; /* or -1 */
	uint32_t rw_flags;
	uint64_t buffer; /* or iovecs */
	uint64_t size;	 /* bytes, or number of iovecs */
	int64_t offset;
	uint64_t bytes; /* in all */
};

struct operation {
	struct operation *next, *previous; /* in flight, newest first; or unused */
	struct request request;
	asys_id id;
	struct iovec one;
	struct iovec *copied;	    /* of more iovecs, or NULL; stays until the next use */
	uint32_t blockers;	    /* not 0: held until so many others are over (order.c) */
	struct operation *next_put; /* in the inbox */
	bool put;		    /* there */
	uint64_t born;		    /* counts up in its context */
	bool cancelled;
	bool prompt;  /* it does not wait for anybody (prompt.c) */
	bool overdue; /* and has taken too long */
	/* numbers.c */
	bool awaited; /* somebody closes the file, and waits for this */
	bool moving; /* its call still has a number that is about to be closed, and was told to end */
	bool borrowed; /* request.fd is a descriptor of the shim's own */
};

#endif
