/* SPDX-License-Identifier: MIT */
/*
 * Inside the io_uring engine: uring.c runs calls, uring_prep.c knows what each opcode means,
 * uring_look.c when a system call waits as the ring does, uring_errors.c which errors may not be the
 * system call's, uring_ring.c has the ring, uring_owner.c which thread may enter it, uring_aside.c what
 * becomes of it, uring_apart.c what does of its calls once nobody may enter it; uring_none.c is the engine
 * where there is no liburing.
 */
#ifndef ENGINE_URING_H
#define ENGINE_URING_H

#include "call/slot.h"
#include "engine/transfer.h"
#include <asys/queue.h>

#define NR_OPENAT2 437 /* the kernel's ABI, newer than some headers */

/* What uring_prep says about the entry that it made; kept in slot->aux. */
#define PREP_WAITS (1 << 0)   /* may wait for readiness, which O_NONBLOCK would forbid */
#define PREP_IN (1 << 1)      /* input from a socket: SO_RCVTIMEO counts */
#define PREP_OUT (1 << 2)     /* output to a socket: SO_SNDTIMEO counts */
#define PREP_GOES_ON (1 << 3) /* a short transfer may have to be continued */
#define PREP_TIMER (1 << 4)   /* -ETIME is how it succeeds */
#define PREP_SIGPIPE (1 << 5) /* the signal that goes with -EPIPE does not reach a thread of ours */
#define PREP_ECANCELED (1 << 6) /* the call itself may return -ECANCELED (timerfd) */
#define PREP_OWN_WAY (1 << 7)	/* a file that may have ways of its own: uring_look.c */
#define PREP_NESTED (1 << 8)	/* an eventfd may wake it: ring_listen */
/* uring.c's own */
#define URING_IN_RING (1u << 16)
#define URING_FRESH (1u << 17)	/* not yet checked for O_NONBLOCK and time-outs */
#define URING_CANCEL (1u << 18) /* the user asked */
#define URING_CANCEL_SENT (1u << 19)
#define URING_NONBLOCK (1u << 20) /* called back: the descriptor is O_NONBLOCK */
#define URING_RECALLED (1u << 21) /* called back: a thread does it, with a time-out for instance */
#define URING_PARKED (1u << 22)	  /* out of the old owner's ring, to be started again */
#define URING_TRY (1u << 28)	  /* counts, in the highest bits, starts in vain */
#define TRIES_MOST 3u

/* Kinds of files seen since the last submit: many calls of a batch go to one descriptor. */
#define KIND_CACHE 64
struct kind_cache {
	uint32_t stamp;
	uint32_t limit_stamp; /* `limited` is as of then */
	bool limited;	      /* RLIMIT_FSIZE */
	struct {
		int fd;
		uint32_t stamp;
		uint32_t kind;
	} entry[KIND_CACHE];
};

/* Kinds are forgotten: the program has had the chance to reuse descriptors. */
static inline void kinds_forget(struct kind_cache *kinds)
{
	kinds->stamp++;
}

/* For the handler of the queues' signal: see "Threads" in uring.c. Async-signal-safe. */
#define SUMMONS_ALL UINT64_MAX
void uring_serve(
	uint64_t summons); /* what cancel_signal_send was told, as far as it was passed on */

/* The io_uring opcode that serves call `nr`, known to this library; -1 if none. */
int uring_opcode(uint32_t nr);

struct io_uring_sqe;

/*
 * Fills `sqe` (zeroed; user_data stays 0) for `call`. PREP_ flags, or -EOPNOTSUPP if the ring could
 * not give these words exactly the meaning of the system call.
 */
int uring_prep(struct io_uring_sqe *sqe, const struct asys_call *call, struct kind_cache *kinds);

/* The same for what is left after `done` bytes of a transfer that goes on. */
void uring_prep_rest(struct io_uring_sqe *sqe, const struct asys_call *call, uint64_t addr,
		     uint64_t size);

#if ASYS_HAVE_URING
#include <liburing.h>

#define SQ_MOST 1024u
#define SQ_TASKRUN (1u << 2) /* completions wait for their owner to ask */
#define CANCEL_DATA 0	     /* user_data of cancellations; a call's is its id */

struct owned;

struct uring {
	struct io_uring ring;
	struct owned *owned; /* NULL: any thread may submit */
	uint32_t fresh_count, fresh_room;
	uint32_t *fresh; /* slots that may wait, not looked at yet */
	uint32_t owed;	 /* cancellations that found no room */
	bool missed;	 /* one did not find its call */
	uint32_t parked_count;
	struct slot_list parked; /* to be started again when this thread has a ring of its own */
	bool sqpoll;
	bool nested;  /* something with PREP_NESTED may be in it */
	bool refused; /* the kernel lets nobody enter it any more: uring_apart.c */
	bool dead;    /* there was a ring; it was taken apart, or its new owner could have none */
	bool signal_taken; /* to summon the owner with */
	int news_fd; /* eventfd that tells sleepers of completions; -1 until one sleeps in epoll */
	struct kind_cache kinds;
};

/* uring_owner.c */
struct owned *owned_take(void); /* for a ring about to be made; NULL: it must not be owned */
/* This thread has made it; NULL is allowed here and below. kflags: IORING_SQ_... of the ring. */
void owned_set(struct owned *o, int fd, const uint32_t *kflags);
void owned_free(struct owned *o);	      /* before the ring is closed */
void owned_forget(struct owned *o);	      /* the same, in a forked child */
bool owned_is_gone(const struct owned *o);    /* its thread has exited */
bool owned_is_refused(const struct owned *o); /* its thread may not enter it any more */
void owned_summon(struct owned *o, int signal);
bool owned_is_summoned(const struct owned *o); /* signals may still have to be delivered */
bool uring_is_final(int64_t err);	       /* the ring cannot be entered any more */
bool ring_is_foreign(const struct uring *u); /* another thread made it, and nobody else may enter */

/* All of what is in a ring, whoever submitted it: waits until it has ended, so long at most. */
int64_t ring_cancel_all(int fd, uint64_t most_ns);

/* uring_ring.c */
int ring_ready(struct host *host); /* 0: host->uring is one that this thread can use now */
void ring_submit(struct host *host);
struct io_uring_sqe *ring_entry(struct host *host); /* to be filled; NULL: no room */
bool ring_put(struct host *host, uint32_t i, struct io_uring_sqe *entry);
bool ring_owns(struct host *host, uint64_t user_data, uint32_t *ret_slot);
unsigned ring_take_over(struct host *host); /* brings on the ends of a foreign ring */
void ring_unpark(struct host *host);
void ring_refuse(struct host *host, int err); /* what a system call on the ring has said */
void ring_close(struct host *host, bool child);
/* What engine.h says of sleep. */
int ring_watch(struct host *host);
void ring_listen(struct host *host);
bool ring_has_news(const struct host *host);
void ring_listen_no_more(struct host *host);
int ring_wait(struct host *host, uint64_t when_ns);

/* uring_aside.c: closes the ring so that this thread is not disturbed by what the kernel does then. */
void ring_lay_aside(struct uring *u);
void ring_sit_out(void); /* until the kernel has disturbed it */

/* uring_apart.c: ends what is in a ring that nobody may enter; returns how many ended. */
unsigned ring_apart(struct host *host);

/* uring_look.c: what the system call would do where the ring waits. */
enum look { LOOK_WAITS, LOOK_FAILS, LOOK_DIFFERS };
enum look uring_look(struct host *host, const struct asys_call *call, uint32_t prep);

/* uring_errors.c: what is to be done after an error: nothing, the system call here, or elsewhere. */
enum again { AGAIN_NO, AGAIN_HERE, AGAIN_ELSEWHERE };
enum again uring_again(const struct asys_call *call, int64_t error);

/* uring.c */
void ring_start_again(struct host *host, uint32_t i);
unsigned ring_completions(struct host *host); /* how many calls ended */
/* The same from a completion ring that is not the kernel's: how many there were, of which ended. */
unsigned ring_take(struct host *host, const struct io_uring_cq *cq, unsigned *ret_ended);
bool ring_ends(struct host *host, uint32_t i, int64_t result); /* as if the ring said so */
void ring_without(struct host *host, uint32_t i);	       /* other engines take it */

/* This engine has the slot's call. */
static inline bool slot_is_rings(const struct slot *slot)
{
	return slot->state == SLOT_HANDED && slot->engine == ASYS_ENGINE_URING;
}

/* Something is in it, besides what is to be started again. */
static inline bool ring_holds(const struct host *host)
{
	return host->outstanding[ASYS_ENGINE_URING] != host->uring->parked_count;
}
#endif

#endif
