/* SPDX-License-Identifier: MIT */
/*
 * The three things that travel: a call goes in, an id names it, an event comes back.
 */
#ifndef ASYS_TYPES_H
#define ASYS_TYPES_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Functions of the shared library; everything else is hidden. */
#define ASYS_API __attribute__((visibility("default")))

/* Around a function that has the name of a structure, as stat(2) has: g++ would say at -Wshadow that it hides
 * the constructor, which C++ programs reach as they reach that of struct stat. */
#if defined(__cplusplus) && defined(__GNUC__) && !defined(__clang__)
#define ASYS_SAME_NAME_BEGIN_ \
	_Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wshadow\"")
#define ASYS_SAME_NAME_END_ _Pragma("GCC diagnostic pop")
#else
#define ASYS_SAME_NAME_BEGIN_
#define ASYS_SAME_NAME_END_
#endif

struct asys_queue;
struct asys_chain; /* asys/chain.h */

/*
 * Names one call of one queue, from sending until its event has been got.
 *
 * value > 0: a call. value < 0: sending failed with this -errno and nothing was queued.
 * A structure rather than a number, so that the compiler tells an id from a descriptor: every
 * wrapper takes either where it expects a value, and nothing else is ever mistaken for an id.
 *
 * Bits: 62..53 the queue's tag, 52..0 a sequence number that no two calls of a queue share. Ids are
 * made without a system call. An id used after its event was got is stale: the call that uses it
 * ends with -ESTALE; one with an id of another queue, or with 0, which no call has, with -EXDEV.
 */
typedef struct asys_id {
	int64_t value;
} asys_id;

/* 0 if `id` names a call, else the -errno with which sending it failed. */
static inline int asys_error(asys_id id)
{
	return id.value < 0 ? (int)id.value : 0;
}

/* One system call: 64 bytes, the kernel's own convention (a number and six words). */
struct asys_call {
	uint32_t nr;	 /* system call number of this architecture (ASYS_NR_...) */
	uint32_t flags;	 /* ASYS_CALL_... */
	uint64_t user;	 /* handed back in the event, otherwise untouched */
	uint64_t arg[6]; /* words as the kernel takes them; ids where ASYS_CALL_REF says so */
};

/* asys_call.flags */
#define ASYS_CALL_REF(i) (1u << (i)) /* arg[i], 0..5, is an id's value: use that call's result */
#define ASYS_CALL_REFS 0x3fu
#define ASYS_CALL_QUIET (1u << 6) /* no event unless it fails */
#define ASYS_CALL_HIGH (1u << 7)  /* before calls of normal priority */
#define ASYS_CALL_LOW (1u << 8)	  /* after calls of normal priority */
#define ASYS_CALL_TARGET_SHIFT 16 /* bits 16..31: who serves it; 0 is the kernel, others reserved */
#define ASYS_CALL_KNOWN 0x1ffu	  /* every other bit must be 0, or sending fails with -EINVAL */

/* The end of one call. */
struct asys_event {
	asys_id id;
	int64_t result; /* what the system call returned: a value, or -errno (-4095..-1) */
	uint64_t user;	/* asys_call.user */
};

#ifdef __cplusplus
}
#endif
#endif
