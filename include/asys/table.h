/* SPDX-License-Identifier: MIT */
/*
 * What is known of every system call, and who serves it here. Generated from spec/syscalls.tbl.
 */
#ifndef ASYS_TABLE_H
#define ASYS_TABLE_H

#include <asys/queue.h>
#include <asys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum asys_class {
	ASYS_CLASS_ANY = 0, /* any thread may run it */
	ASYS_CLASS_HOME,    /* concerns the calling thread: runs on it, at flush */
	ASYS_CLASS_NEVER,   /* cannot be queued */
};

enum asys_block {
	ASYS_BLOCK_NEVER = 0, /* computes and returns */
	ASYS_BLOCK_BRIEF,     /* takes locks or memory */
	ASYS_BLOCK_DISK,      /* may wait for a device */
	ASYS_BLOCK_FOREVER,   /* may wait for somebody else */
};

enum asys_kind { /* of an argument */
		 ASYS_KIND_NONE = 0,
		 ASYS_KIND_INT,	  /* number, flags, mode, command, id of something */
		 ASYS_KIND_FD,	  /* descriptor */
		 ASYS_KIND_DIRFD, /* descriptor of a directory, or AT_FDCWD */
		 ASYS_KIND_SIZE,  /* bytes or elements of the buffer before it */
		 ASYS_KIND_OFF,	  /* offset in a file */
		 ASYS_KIND_PATH,  /* string that is a path */
		 ASYS_KIND_STR,	  /* other string */
		 ASYS_KIND_IN,	  /* memory that is read */
		 ASYS_KIND_OUT,	  /* memory that is written */
		 ASYS_KIND_INOUT, /* memory that is read and written */
		 ASYS_KIND_ADDR,  /* address that is not dereferenced by the call itself */
		 ASYS_KIND_WORD,  /* depends on another argument (ioctl, fcntl, prctl) */
};

/* asys_syscall_info.traits */
#define ASYS_TRAIT_RETRY (1u << 0)   /* after -EINTR it may be started again with the same words */
#define ASYS_TRAIT_CONTEXT (1u << 1) /* changes the caller's rights or namespaces */

struct asys_syscall_info {
	const char *name;
	const char *reason; /* why it is home or never; NULL for any */
	uint16_t nr;
	uint8_t class_; /* enum asys_class */
	uint8_t block;	/* enum asys_block, the longest */
	uint8_t traits; /* ASYS_TRAIT_... */
	uint8_t nargs;	/* 0..6 */
	int16_t uring; /* io_uring opcode that means the same (perhaps for some arguments), or -1 */
	uint8_t kind[6]; /* enum asys_kind */
};

ASYS_SAME_NAME_BEGIN_
/* The entry of call `nr` on this architecture, static; NULL if the table has none. */
ASYS_API const struct asys_syscall_info *asys_syscall_info(uint32_t nr);
ASYS_SAME_NAME_END_

/* By name, without prefix; NULL if this architecture has none. */
ASYS_API const struct asys_syscall_info *asys_syscall_by_name(const char *name);

/* One more than the largest number in the table. */
ASYS_API uint32_t asys_syscall_count(void);

/* Which engine serves call `nr` on a queue opened with `options` (NULL: defaults), and, if
 * `ret_why` is not NULL, a static sentence why. The environment counts as it does for asys_queue_open.
 * Negative: -EOPNOTSUPP (class never), -ENOSYS; for options or an environment with which no queue would
 * open, as asys_queue_open, with message. */
ASYS_API int asys_engine_for(const struct asys_queue_options *options, uint32_t nr,
			     const char **ret_why);

ASYS_API const char *asys_engine_name(int engine);

/* What this kernel gives. Asked once per process; never fails. */
struct asys_probe {
	int uring;	       /* 0: usable, else the -errno with which io_uring was refused */
	const char *uring_why; /* a static sentence: refused by what, what to change; or "usable" */
	uint32_t uring_setup;  /* IORING_SETUP_ flags that work, of those that asys uses */
	uint32_t uring_ops;    /* opcodes supported */
	uint8_t uring_op[32];  /* bit n % 8 of byte n / 8: opcode n is supported */
	uint8_t nowait;	       /* preadv2 knows RWF_NOWAIT */
	uint8_t membarrier;    /* private expedited membarrier works */
	uint32_t cores;	       /* this thread may run on */
};

ASYS_SAME_NAME_BEGIN_
ASYS_API const struct asys_probe *asys_probe(void);
ASYS_SAME_NAME_END_

#ifdef __cplusplus
}
#endif
#endif
