/* SPDX-License-Identifier: MIT */
/*
 * POSIX AIO on top of asys: what the files of this folder share.
 *
 *   aio_read, aio_write, aio_fsync, lio_listio          aio_suspend, lio_listio(LIO_WAIT)
 *          | submit.c: an operation of the pool                | wait.c
 *          v                                                   v
 *     inbox of a lane ----> lane.c: its queue, run by the thread that waits ----+
 *     inbox of the back --> back.c: its queue, driven by a thread of its own ---+--> finish.c
 *                           order.c: what starts when                                notice.c
 *
 *   exit, _exit, exec: exit.c waits for writes
 *
 * Lanes. A program that comes back to wait needs no other thread: what it waits for lies in a lane, a
 * private queue of engine inline, and whoever waits runs it there, several operations at a time.
 * Threads that submit have different lanes as far as there are enough. Only reads and writes of files
 * and block devices go there, without O_APPEND and without a notice, and only while they turn out to
 * be quick.
 *
 * The back. Everything else: a queue on io_uring that belongs to one thread, the reaper, which
 * also delivers signals and starts notice threads. It looks every millisecond, as long as threads use
 * their lanes, whether somebody still comes to wait; if not it runs what it finds, and this lane rests.
 *
 * Who may interrupt whom. A signal handler may call aio_error, aio_return and aio_suspend, whatever the
 * thread was doing. So nothing is locked while signals can be delivered: submitting pushes onto an inbox,
 * which is a stack of indices changed by compare and swap, and locks are taken only with all signals
 * blocked. And what runs inside aio_suspend allocates nothing: an inline queue has no threads, no ring
 * and no edges.
 *
 * An operation ends in this order: result into the control block, its error code (release; pairs with the
 * acquire in aio_error), then the operation is free, then the notice. After the error code the
 * control block belongs to the program again.
 *
 * No thread is cancelled inside, except where aio_suspend sleeps: WITHOUT_CANCELLATION.
 *
 * Forked children have none of this: `mark` reads 0 there, and the child begins anew.
 */
#ifndef POSIX_AIO_INSIDE_H
#define POSIX_AIO_INSIDE_H

#include <aio.h>
#include <asys/asys.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define OPS_MAX 65536u /* in flight in a process; more: EAGAIN */
#define NONE UINT32_MAX
#define LANES 8u
#define AT_BACK LANES /* op.at, beyond the lanes */

enum op_kind { OP_READ, OP_WRITE, OP_FSYNC, OP_FDATASYNC, OP_WRONG };

enum op_state {
	OP_PUSHED, /* in an inbox */
	OP_HELD,   /* in the back: others of its descriptor come before */
	OP_SENT,   /* a call of its queue */
};

/* What sort of descriptor it was when it was submitted. */
enum op_file {
	FILE_DISK,   /* has offsets */
	FILE_STREAM, /* pipe or socket: read and write, in order */
	FILE_OTHER,  /* pread and pwrite, or read and write if it has no offsets; in order */
};

/* struct sigevent, as far as it matters. */
struct notice {
	int how; /* SIGEV_... */
	int signal;
	union sigval value;
	void (*function)(union sigval);
	pthread_attr_t *attributes;
};

/* lio_listio(LIO_NOWAIT) with a notice of its own. */
struct group {
	_Atomic uint32_t left;
	struct notice notice;
};

/*
 * A canceller's account, see cancel.c. It lies on the canceller's stack and, until nothing is left or the
 * canceller withdraws it, in the back's list. Under back.lock.
 */
struct ticket {
	struct ticket *next;
	int fd;
	const struct aiocb *cb; /* NULL: all of the descriptor */
	bool seen;		/* by the reaper, who then empties its inbox */
	bool asked;		/* and looked for what it means */
	uint32_t left, cancelled, done;
	uint32_t
		soon; /* of those left, the ones that wait for somebody, so that they end when asked */
	uint32_t going_on; /* not asked to end */
};

struct op {
	_Atomic(struct aiocb *) cb; /* NULL: free, or ended */
	_Atomic uint32_t next;	    /* in an inbox, on the free list, or in a lane's list */
	uint32_t before,
		after; /* in the back: others of its descriptor, in the order of submission */
	int fd;
	_Atomic uint8_t at; /* number of a lane, or AT_BACK */
	uint8_t kind;	    /* enum op_kind */
	uint8_t state;	    /* enum op_state */
	uint8_t from;	    /* lane of the thread that submitted it */
	uint8_t file;	    /* enum op_file */
	bool ordered;	    /* in the back: one after another, by direction */
	bool low;	    /* priority */
	bool cancelled;
	bool as_stream; /* FILE_OTHER: it has no offsets */
	void *buffer;
	size_t count;
	off_t offset;
	asys_id id;
	struct group *group;
	_Atomic(struct ticket *) ticket;
	struct notice notice;
};

/* One descriptor's. Those that are not atomic are the reaper's. */
struct file {
	_Atomic uint32_t in_lanes; /* operations */
	_Atomic uint32_t in_back;
	_Atomic uint32_t syncs; /* aio_fsync not ended: nothing goes into lanes meanwhile */
	_Atomic uint32_t rest;	/* so many more go to the back, since it was slow in a lane */
	_Atomic uint32_t pause; /* what rest was last */
	_Atomic bool is_disk;	/* when it was looked at */
	uint32_t first, last;	/* operations in the back */
	uint32_t held[3];	/* of these: ordered reads, ordered writes, fsyncs */
	bool used;		/* first and last mean something */
	bool busy[2];		/* an ordered read, or write, is SENT */
};

struct lane {
	_Alignas(128) _Atomic uint32_t inbox;
	_Atomic uint32_t pending; /* pushed and not ended */
	_Atomic bool direct;	  /* operations go here */
	_Atomic uint32_t waits;	  /* calls of aio_suspend since the lane rested */
	_Atomic uint32_t wanted;  /* so many make it direct again */
	_Alignas(128) _Atomic bool locked;
	_Atomic bool ready;	 /* queue is open */
	_Atomic uint32_t visits; /* times it was run */
	uint32_t seen;		 /* the reaper's: visits at its last look */
	uint32_t todo, todo_end; /* taken from the inbox, no room in the queue yet */
	uint32_t sent;
	uint32_t cost_ns; /* of an operation, smoothed */
	struct asys_queue *queue;
};

struct back {
	_Alignas(128) _Atomic uint32_t inbox;
	_Atomic bool asleep; /* the reaper needs the bell */
	_Atomic bool ticking;
	_Atomic uint32_t requests; /* tickets not asked yet */
	_Atomic uint32_t late;	   /* pushed, to be started when their thread waits */
	_Atomic uint32_t busy;	   /* transfers of disks under way */
	int bell;
	_Alignas(128) pthread_mutex_t lock; /* of tickets */
	struct ticket *tickets;
	/* The reaper's own. */
	_Alignas(128) struct asys_queue *queue;
	uint32_t syncs; /* held fsyncs, linked by op.next */
	bool news;	/* something ended */
	uint64_t bell_count;
	uint64_t tick_ns;
	uint32_t idle_ticks;
};

#define FILE_CHUNKS 1024u
#define FILE_CHUNK 1024u

struct state {
	struct lane lanes[LANES];
	struct back back;
	_Alignas(128) _Atomic uint32_t
		ended; /* futex: raised when something ended and somebody sleeps */
	_Atomic uint32_t sleepers;
	_Alignas(128) _Atomic uint64_t free; /* index, and a count against ABA above it */
	_Atomic uint32_t fresh;		     /* operations from here on were never used */
	struct op *ops;
	_Atomic(struct file *) files[FILE_CHUNKS];
	const volatile uint32_t *mark;
	pid_t pid;
};

/* state.c */
struct state *state_get(void); /* made on first use; NULL: no memory or no threads */
struct state *state_now(void); /* NULL: this process has none yet */
struct op *op_take(struct state *s);
void op_free(struct state *s, struct op *op);
struct file *file_of(struct state *s, int fd); /* NULL: no memory */
/* The operation that the control block says it is, or NULL: the program never submitted it here. */
struct op *op_of(struct state *s, const struct aiocb *cb);
void inbox_push(struct state *s, _Atomic uint32_t *inbox, struct op *op);
uint32_t inbox_take(struct state *s,
		    _Atomic uint32_t *inbox); /* first of a list in order of pushing */
void signals_block(sigset_t *ret_old);
void signals_restore(const sigset_t *old);
/* One came meanwhile that `mask` lets through and that has a handler. */
bool signals_waiting(const sigset_t *mask);

/*
 * Until the end of the block, this thread is not cancelled: of glibc's functions only aio_suspend is a
 * cancellation point, but opening a queue calls some that are. With the asynchronous type a thread could be
 * cancelled anywhere, and what it had taken (an operation, a place in a count) would be lost.
 *
 * The type is changed as well as the state: a thread that was cancelled just before still gets the signal, and
 * glibc's handler of that looks at the type only.
 */
struct cancellation {
	int state, type;
};

static inline struct cancellation cancellation_off(void)
{
	struct cancellation was;

	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &was.type);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &was.state);
	return was;
}

static inline void cancellation_back(const struct cancellation *was)
{
	pthread_setcancelstate(was->state, NULL);
	if (likely(was->type == PTHREAD_CANCEL_DEFERRED))
		return;
	pthread_setcanceltype(was->type, NULL);
	pthread_testcancel(); /* what came meanwhile */
}

#define WITHOUT_CANCELLATION                                \
	__attribute__((cleanup(cancellation_back), unused)) \
	const struct cancellation cancellation_was = cancellation_off()

static inline uint32_t op_index(const struct state *s, const struct op *op)
{
	return (uint32_t)(op - s->ops);
}

/* lane.c. Lanes are run, and their words read, with the lock and with signals blocked. */
struct lane *lane_mine(struct state *s);
uint32_t lane_number(const struct state *s, const struct lane *lane);
bool lane_open(struct lane *lane); /* false: no memory */
void lane_push(struct state *s, struct lane *lane, struct op *op);
bool lane_lock(struct lane *lane);
void lane_unlock(struct state *s, struct lane *lane);
unsigned lane_run(struct state *s, struct lane *lane); /* some of what is there; how many ended */
/* False: it is not there (yet). Else it has ended. */
bool lane_cancel(struct state *s, struct lane *lane, struct op *op, int64_t *ret_result);
void lane_waited(struct state *s, struct lane *lane);
void lane_rests(struct lane *lane); /* nobody came */
/* The reaper's: runs what nobody came for. `all`: whatever is there. */
bool lanes_look(struct state *s, bool all);

/* back.c */
bool back_open(struct state *s);
/* `later`: its thread will come to wait, and say so then. */
void back_push(struct state *s, struct op *op, bool later);
void back_flush(struct state *s); /* starts what was pushed */
void back_ring(struct state *s);
void back_tick(struct state *s); /* threads use their lanes: look after them */

/* order.c, all of it for the reaper */
void order_begin(struct state *s, struct op *op); /* came out of the inbox */
void order_end(struct state *s, const struct asys_event *event);
bool order_see(struct state *s);    /* there are new tickets */
void order_cancel(struct state *s); /* looks for what those mean */
bool order_syncs(struct state *s);  /* starts fsyncs that waited for lanes; true: some still do */

/* finish.c */
void finish_publish(struct op *op, int64_t result); /* the control block is the program's again */
void finish_free(struct state *s, struct op *op);   /* and gives notice */
void wake_sleepers(struct state *s);
void group_release(struct group *group);

/* notice.c */
void notice_from(struct notice *ret, const struct sigevent *event);
bool notice_is_wrong(const struct notice *notice); /* then its operation fails */
void notice_give(const struct notice *notice);
bool notices_late(void);   /* some could not be given yet */
void notices_again(void);  /* tries once more */
void notices_forget(void); /* in a child */

#endif
