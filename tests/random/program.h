/* SPDX-License-Identifier: MIT */
/*
 * Random programs: a small world of descriptors and up to twelve calls on them, as plain data.
 *
 * generate.c makes one from a seed, with the scenes in scene_*.c. It is run twice, each time in a world
 * that world.c makes anew: queued.c sends it through a queue, plain.c makes the same calls one after
 * the other. compare.c says whether both did the same, shrink.c takes out what is not needed for a
 * difference, print.c shows it, main.c is the loop around all this.
 *
 * How two runs can be compared, although calls of a queue have no order: the calls of a scene form a
 * lane, where each waits for the one before; no lane touches an object of another one. Where a lane
 * needs somebody else (a peer that writes or reads after some microseconds, or the calls of a second
 * lane), the scene is made such that it does not matter how fast the other one is: a plain read asks
 * for as much as one write brings, a transfer of more pieces is one that waits for all of them, and at
 * the end it is compared what went through an object, whoever took it.
 *
 * Calls that are cancelled or have a deadline may or may not have run. So the queue goes first, and in
 * the plain run a call that ended with -ECANCELED or -ETIME is left out, one that ended with a part of
 * its transfer is made with that size: what it reports must be all that it did.
 */
#ifndef TESTS_RANDOM_PROGRAM_H
#define TESTS_RANDOM_PROGRAM_H

#include <asys/asys.h>

#include <stdbool.h>
#include <stdint.h>

enum {
	OPS_MAX = 16,
	OBJECTS_MAX = 12,
	STEPS_MAX = 24,
	SEGMENTS_MAX = 4,
	/* Descriptors of the world have these numbers, so that words and structures can name them. */
	FD_FIRST = 200,
	FDS_MAX = OBJECTS_MAX * 4,
	FD_FOLDER = FD_FIRST + FDS_MAX,
	FD_CLOSED, /* never open */
	ARENA_SIZE = 1 << 20,
	PATTERN_SIZE = 4 << 20,
};

static inline int world_fd(unsigned object, unsigned end)
{
	return FD_FIRST + (int)(4 * object + end);
}

/* ---- the world ------------------------------------------------------------------------------ */

enum object_kind {
	O_PIPE,
	O_STREAM, /* a pair of UNIX sockets */
	O_DGRAM,
	O_SEQPACKET,
	O_TCP,
	O_UDP,
	O_LISTEN, /* end 0 listens, end 1 is a socket that is not yet connected */
	O_EVENTFD,
	O_TIMERFD,
	O_SIGNALFD,
	O_INOTIFY,
	O_EPOLL, /* end 1: an eventfd in it */
	O_PIDFD,
	O_PTY, /* end 0: the terminal, raw; end 1: its master */
	O_FILE,
	O_FOLDER,
	O_FIFO, /* a name only: "fifo" and the number of the object */
	O_DEVICE,
	O_LOCKED, /* a file opened twice, end 1 holds a lock */
	O_FUTEX,
	O_KINDS
};

/* object.flags */
enum {
	F_NONBLOCK_0 = 1 << 0,
	F_NONBLOCK_1 = 1 << 1,
	F_CLOSED_0 = 1 << 2, /* this end is closed before the program begins */
	F_CLOSED_1 = 1 << 3,
	F_SMALL = 1 << 4, /* a pipe of a page, small buffers of a socket */
	F_SEMAPHORE = 1 << 5,
	F_PEER = 1 << 6,      /* end 1 belongs to the peer, which never blocks */
	F_ARMED = 1 << 7,     /* a timer that will fire, an eventfd that is not 0 */
	F_SHUTDOWN = 1 << 8,  /* end 1 has said that it writes no more */
	F_ON_DISK = 1 << 9,   /* a file with a name, not one in memory */
	F_LOW_MARK = 1 << 10, /* SO_RCVLOWAT 50 */
};

struct object {
	uint8_t kind;
	uint16_t flags;
	uint32_t fill;	     /* bytes that are there before the program begins */
	uint32_t open_flags; /* files, and which device */
	uint32_t receive_us; /* SO_RCVTIMEO, SO_SNDTIMEO; 0: none */
	uint32_t send_us;
};

/* What the peer does, in this order for each object. */
enum step_kind {
	P_FEED,
	P_DRAIN,
	P_CLOSE,
	P_SHUTDOWN,
	P_WAKE,
	P_UNLOCK,
	P_COUNT,
	P_SIGNAL,
	P_NAME
};

struct step {
	uint8_t kind;
	uint8_t object;
	uint8_t end;
	uint32_t at_us; /* after the program began */
	uint32_t size;	/* to feed; to have drained in all */
};

/* ---- the calls ------------------------------------------------------------------------------ */

enum arg_kind {
	A_NUMBER,
	A_RESULT,      /* of call number `value` */
	A_OUT,	       /* memory that the call writes, `size` bytes */
	A_DATA,	       /* memory that the call reads, from the pattern at `value` */
	A_WORDS,       /* both: a structure, given as words */
	A_TEXT,	       /* a name, text_of(value) */
	A_BAD,	       /* an address, bad_address(value) */
	A_EDGE,	       /* `size` bytes before the end of the memory that may be touched */
	A_VECTOR_OUT,  /* iovecs, sizes in word[] */
	A_VECTOR_DATA, /* the same with the pattern from `value` */
	A_MESSAGE_OUT, /* a msghdr with such a vector */
	A_MESSAGE_DATA,
	A_FUTEX, /* the word of object `value` */
};

struct arg {
	uint8_t kind;
	uint8_t count; /* of words */
	bool ignored;  /* what is written there differs from run to run */
	uint32_t size;
	uint32_t at; /* where it lies in the arena */
	uint64_t value;
	uint64_t word[SEGMENTS_MAX];
};

enum link_kind { L_AFTER, L_AFTER_OK, L_AFTER_ERROR };

struct link {
	uint8_t kind;
	uint8_t op;
};

enum settle { S_NOTHING, S_STAT, S_STATX, S_NAMES, S_MESSAGE, S_ADDRESS };

struct op {
	uint16_t nr;
	uint8_t lane;
	uint8_t args;
	uint8_t links;
	uint8_t settle;	  /* what of its memory can be compared */
	uint8_t size_arg; /* of a transfer along a stream: which word says how much; 0: none does */
	bool dropped;
	bool stream;   /* its result may be a part, and then is all that it did */
	bool apart;    /* in the plain run it needs a thread beside the first */
	bool makes_fd; /* its result is a descriptor, which differs and is closed in the end */
	bool endless;  /* nothing but a cancel or a deadline ends it */
	bool last;     /* no other call may depend on it */
	bool quiet;
	bool cancel;
	int8_t priority;
	bool has_alternative; /* instead of 0 its result may be this */
	int16_t alternative;
	uint32_t least_us;    /* how long it takes at least */
	uint32_t deadline_us; /* after the program began; 0: none */
	struct arg arg[6];
	struct link link[3];
};

enum limit_kind { LIMIT_NONE, LIMIT_FSIZE, LIMIT_NOFILE };

struct program {
	uint64_t seed;
	uint8_t ops, objects, steps, lanes;
	uint8_t limit;	   /* enum limit_kind */
	uint32_t limit_to; /* bytes, descriptors */
	bool busy;	   /* a neighbour that always has data is read all the time */
	uint8_t busy_kind;
	bool stepped;		/* each call is sent when what it depends on has ended */
	uint32_t cancel_us;	/* between sending and cancelling */
	uint32_t arena;		/* bytes used */
	uint8_t order[OPS_MAX]; /* in which the calls are sent */
	struct object object[OBJECTS_MAX];
	struct step step[STEPS_MAX];
	struct op op[OPS_MAX];
};

/* How the queue is driven. */
enum driver {
	D_ONE,	   /* asys_queue_wait for one call after the other */
	D_MANY,	   /* asys_queue_get_many */
	D_BARRIER, /* asys_queue_barrier, then what is there */
	D_POLL,	   /* asys_queue_get again and again */
	D_FD,	   /* asys_queue_fd and asys_queue_get, nothing else */
	D_THREAD,  /* ASYS_QUEUE_DRIVER, and waiting for many */
	D_THREAD_FD,
	D_SHARED, /* two threads wait for many */
	D_SHARED_ONE,
	D_DRIVERS
};

struct way {
	uint8_t driver;
	struct asys_queue_options options;
};

const char *driver_name(unsigned driver);

/* ---- what a run leaves ---------------------------------------------------------------------- */

enum { SIGNALS = 3 }; /* SIGPIPE, SIGXFSZ, SIGUSR1 */

struct run {
	unsigned char *arena;
	int64_t result[OPS_MAX];
	uint8_t events[OPS_MAX];
	bool late[OPS_MAX];  /* no event within the bound */
	bool early[OPS_MAX]; /* ended before its time */
	unsigned signals[SIGNALS];
	uint64_t through[OBJECTS_MAX][2]; /* what went out of each end, whoever took it: a sum */
	uint64_t bytes[OBJECTS_MAX][2];	  /* and how much */
	uint64_t state[OBJECTS_MAX];	  /* contents and positions */
	uint64_t names;			  /* what is in the folder */
	uint64_t busy_events;
	char why[160]; /* what was wrong with the run itself */
};

/* Numbers from a seed. */
struct random {
	uint64_t state;
};
uint64_t random_next(struct random *random);
static inline uint32_t below(struct random *random, uint32_t n)
{
	return (uint32_t)(random_next(random) % n);
}
static inline bool once_in(struct random *random, uint32_t n)
{
	return below(random, n) == 0;
}

/* generate.c. Without kinds whose bit is set in `without`; calm: no call waits for one that is sent
 * later, which a queue of a small depth could not keep. */
enum { SCENE_BUSY = 61, SCENE_LIMIT, SCENE_CANCEL };
void generate(struct program *program, uint64_t seed, uint64_t without, bool calm);
/* Names of the kinds; NULL past the last. */
const char *scene_name(unsigned number);
/* Only on demand: docs/LIMITS.md says why it differs. */
bool scene_unusual(unsigned scene);
/* Where everything lies in memory; after something was dropped, too. */
void program_layout(struct program *program);

/* print.c */
void program_print(const struct program *program);

/* world.c */
/* How a process ends that cannot make a world; what it was to run is neither right nor wrong. */
enum { WORLD_EXIT = 4 };
void world_stop(const char *what) __attribute__((noreturn));
/* Once: a folder for all worlds, signals, memory; then in each process a world of its own. */
void world_prepare(void);
void world_begin(unsigned number);
/* Which of them a thread takes that has a queue. */
void world_signals(void);
void world_end(unsigned worlds);
/* Removes what a run that did not end left in a world's folder. */
void world_clean(unsigned number);
void world_clean_own(void);
const char *text_of(uint64_t number);
uint64_t bad_address(uint64_t number);
/* Where memory ends: 0, of what calls write; 1, of what they read. */
uint64_t edge_address(uint64_t number);
const unsigned char *pattern(void);
uint64_t hash(uint64_t before, const void *bytes, size_t size);
void world_make(const struct program *program, struct run *run);
/* Looks at what is left, and takes the world down. */
void world_look(const struct program *program, struct run *run);
void world_limit(const struct program *program, bool set);
uint32_t *world_futex(unsigned object);
/* Of this process, since the last time. */
void signals_take(unsigned counts[SIGNALS]);
/* Waits for those that the process sent to itself, whichever thread gets them. */
void signals_await(const struct program *program, const struct run *run);

/* words.c: the words of a call in this run; `part` >= 0 limits the size of a transfer. */
void op_words(const struct program *program, const struct run *run, unsigned i, int64_t part,
	      uint64_t word[6]);
/* Memory as it is before the run. */
void arena_prepare(const struct program *program, struct run *run);
/* Makes what cannot be compared the same. */
void op_settle(const struct op *op, struct run *run, int64_t result);
/* How much memory an argument has there. */
uint32_t arg_memory(const struct arg *arg);
/* The result that a call has without running, because of others: true, and *ret_result. */
bool op_decided(const struct program *program, const struct run *run, unsigned op,
		int64_t *ret_result);

/* peer.c: somebody else, in a thread of his own. */
void peer_start(const struct program *program, struct run *run);
/* Does at once what is left to feed, and is over. */
void peer_stop(void);
/* Runs fn in a second thread that drives a queue; helper_join waits for its end. */
void helper_start(void (*fn)(void *arg), void *arg);
void helper_join(void);
/* Before its queue is closed: the next one gets another thread. */
void helper_end(void);
/* Two in which the plain run is. No queue is ever used in these: the kernel interrupts what blocks in a
 * thread that has used a ring, also when that ring is long closed (docs/LIMITS.md). */
void plain_start(void (*fn)(void *arg), void *arg);
void plain_join(void);
void beside_start(void (*fn)(void *arg), void *arg);
void beside_join(void);

/* queued.c */
void queued_run(struct asys_queue *queue, const struct way *way, const struct program *program,
		struct run *run);

/* plain.c. `queued` tells which calls were cut short. */
void plain_run(const struct program *program, const struct run *queued, struct run *run);

/* Whether others can be the reason of this result of a call that did not run. */
bool op_decided_by(const struct program *program, const struct run *run, unsigned op,
		   int64_t result);

/* Closes what the calls opened and left open. */
void close_results(const struct program *program, const struct run *run);

/* compare.c: NULL, or what differs. */
const char *compare(const struct program *program, struct run *queued, struct run *plain);

/* guard.c: a thread that interrupts what takes longer than the bound, and ends the process if that
 * does not help. */
enum { GUARD_EXIT = 3 };
void guard_start(uint64_t bound_ns); /* again in a child after fork */
void guard_begin(void);
void guard_second(bool begins); /* a second thread that waits too */
bool guard_late(void);
void guard_end(void);
/* In a child after fork: the threads are gone. */
void peer_forget(void);

/* try.c: a program is run both ways. NULL, or what differs; *queue is opened if it is NULL, and
 * closed where it must not be used again. */
const char *try_program(struct asys_queue **queue, const struct way *way,
			const struct program *program);
void try_close(struct asys_queue **queue);
/* What the calls of the last one gave. */
void try_print(const struct program *program);
/* What try_program says when nothing can be said about the queue. */
#define TOO_LONG "the plain run takes too long"
void way_choose(struct way *way, uint64_t number, int driver);
bool way_calm(const struct way *way);

/* shrink.c: a smaller program that still fails. */
void shrink(struct program *program, const struct way *way);

#endif
