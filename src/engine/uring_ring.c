/* SPDX-License-Identifier: MIT */
/*
 * The ring: making it, entering it, sleeping for its news, and handing it from thread to thread.
 *
 * Threads. The ring of a private queue is SINGLE_ISSUER | DEFER_TASKRUN where the kernel has that (a
 * quarter faster for batches that wait): only the thread that made it can submit, and completions are
 * made when it asks. When the queue moves to another thread, that thread makes a ring of its own as
 * soon as the old one is empty; until then other engines take its calls, and
 *
 *   the owner lives    it is summoned by the queue's signal, and its handler enters the ring
 *   it has exited      on its way out it cancelled what was in the ring; that is started again
 *
 * The ring of a shared queue has none of these flags: any thread submits, and the kernel interrupts
 * the submitter for a moment to complete. If that thread has exited, its calls end with -ECANCELED,
 * and are started again.
 */
#include "engine/engine.h"
#include "engine/sleep_left.h"
#include "engine/threads.h"
#include "engine/uring.h"

#if ASYS_HAVE_URING

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define SETUP_SUBMIT_ALL (1u << 7)
#define SETUP_TASKRUN_FLAG (1u << 9)
#define SETUP_SINGLE_ISSUER (1u << 12)
#define SETUP_DEFER_TASKRUN (1u << 13)
#define REGISTER_MAX_WORKERS 19
#define FEAT_NO_IOWAIT (1u << 17) /* Linux 6.15 */
#define ENTER_NO_IOWAIT (1u << 7)

#define CQ_MOST 65536u
#define SQPOLL_IDLE_MS 50
#define SUBMIT_TRIES 16
#define FOREIGN_PAUSE_NS 200000
/* Calls between two tries to make a ring. A try in vain costs what some tens of calls do. */
#define REST_LEAST 256u
#define REST_MOST 8192u

static uint32_t setup_flags(const struct host *host, bool own)
{
	uint32_t works = asys_probe()->uring_setup, flags = IORING_SETUP_CQSIZE;

	flags |= works & (IORING_SETUP_CLAMP | SETUP_SUBMIT_ALL);
	if (host->flags & ASYS_QUEUE_SQPOLL)
		return flags | IORING_SETUP_SQPOLL;
	if (own)
		flags |= works & (SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN | SETUP_TASKRUN_FLAG);
	return flags;
}

/*
 * A filter may let the ring be made and forbid its use. The kernel's own threads count as the queue's;
 * kernels that cannot be told (before 5.15) have other limits.
 */
static int try_ring(struct host *host, const struct io_uring *ring)
{
	uint32_t workers[2] = { host->max_threads, host->max_threads };
	uint64_t fd = (uint64_t)ring->ring_fd;
	int64_t err = raw_call(SYS_io_uring_enter, fd, 0, 0, IORING_ENTER_GETEVENTS);

	if (!err)
		err = raw_call(SYS_io_uring_register, fd, REGISTER_MAX_WORKERS, ptr_word(workers),
			       2);
	host->stats.traps += 2;
	return err == -EINVAL ? 0 : (int)err;
}

static bool may_own(const struct host *host)
{
	return !host_shared(host) && !(host->flags & ASYS_QUEUE_SQPOLL) &&
	       (asys_probe()->uring_setup & SETUP_SINGLE_ISSUER);
}

/* At the limit of descriptors the kernel makes the ring before it says so, and then takes it apart, which
 * disturbs this thread later (uring_aside.c). */
static bool has_descriptor(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* Its number, if that is one of the three that stand for input, output and errors. */
static int lift(struct io_uring *ring)
{
	int fd = fd_above_standard(ring->ring_fd);

	if (unlikely(fd < 0)) {
		fd = -errno;
		ring->ring_fd = ring->enter_ring_fd = -1;
		io_uring_queue_exit(ring);
		return fd;
	}
	ring->ring_fd = ring->enter_ring_fd = fd;
	return 0;
}

static int make_ring(struct host *host, struct uring *u)
{
	uint32_t entries = host->limit < SQ_MOST ? host->limit : SQ_MOST;
	struct io_uring_params p;
	int err;

	u->owned = may_own(host) ? owned_take() : NULL;
	memset(&p, 0, sizeof(p));
	p.flags = setup_flags(host, u->owned != NULL);
	p.cq_entries = host->limit < CQ_MOST / 2 ? 2 * host->limit : CQ_MOST;
	p.sq_thread_idle = SQPOLL_IDLE_MS;
	err = has_descriptor() ? io_uring_queue_init_params(entries, &u->ring, &p) : -EMFILE;
	u->sqpoll = p.flags & IORING_SETUP_SQPOLL;
	host->stats.traps += 3;
	if (!err)
		err = lift(&u->ring);
	if (!err) {
		err = try_ring(host, &u->ring);
		if (err)
			ring_lay_aside(u);
	}
	if (err) {
		owned_free(u->owned);
		u->owned = NULL;
		return err;
	}
	owned_set(u->owned, u->ring.ring_fd, u->ring.sq.kflags);
	host->ring_watched = false;
	/* A loop that polls would never hear of this ring without a descriptor for its news. */
	if (host->epoll_fd >= 0 && UNHEARD(ring_watch(host)) < 0 && host->fd_wanted) {
		owned_free(u->owned);
		u->owned = NULL;
		ring_lay_aside(u);
		if (u->news_fd >= 0)
			close(u->news_fd);
		u->news_fd = -1;
		return -EMFILE;
	}
	return 0;
}

/* Something that a ring needs is scarce now: it is tried again, after more and more calls that go by. */
static bool is_scarce(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -EAGAIN;
}

static void try_later(struct host *host)
{
	host->ring_pause = host->ring_pause ? 2 * host->ring_pause : REST_LEAST;
	if (host->ring_pause > REST_MOST)
		host->ring_pause = REST_MOST;
	host->ring_rest = host->ring_pause;
}

static int open_ring(struct host *host)
{
	struct uring *u;
	int err;

	if (host->ring_rest) {
		host->ring_rest--;
		return -EOPNOTSUPP;
	}
	u = calloc(1, sizeof(*u));
	err = u ? 0 : -ENOMEM;
	if (u) {
		u->kinds.stamp = 1;
		list_init(&u->parked);
		u->news_fd = -1;
		u->fresh_room = host->limit < SQ_MOST ? host->limit : SQ_MOST;
		u->fresh = malloc(u->fresh_room * sizeof(*u->fresh));
		host->uring = u;
		err = u->fresh ? make_ring(host, u) : -ENOMEM;
	}
	if (err) {
		host->uring = NULL;
		if (u)
			free(u->fresh);
		free(u);
		if (is_scarce(err))
			try_later(host);
		else
			host->uring_off = true;
		return -EOPNOTSUPP;
	}
	host->ring_pause = 0;
	return 0;
}

/* Not what a kernel that works says when the ring is entered. */
bool uring_is_final(int64_t err)
{
	return err < 0 && err != -EINTR && err != -EBUSY && err != -EAGAIN && err != -EEXIST &&
	       err != -ENOMEM && err != -EBADR && err != -ETIME;
}

bool ring_owns(struct host *host, uint64_t user_data, uint32_t *ret_slot)
{
	uint32_t i = (uint32_t)user_data & (host->pool.depth - 1);
	const struct slot *slot = host_slot(host, i);

	*ret_slot = i;
	return user_data != CANCEL_DATA && (uint64_t)slot->id == user_data && slot_is_rings(slot) &&
	       (slot->aux & URING_IN_RING);
}

/* The kernel stopped taking entries for good (a filter came over the process): others take them. */
static void give_back(struct host *host)
{
	struct uring *u = host->uring;
	struct io_uring_sq *sq = &u->ring.sq;
	uint32_t head = __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE), i;

	for (uint32_t k = head; k != sq->sqe_tail; k++) {
		if (ring_owns(host, sq->sqes[k & sq->ring_mask].user_data, &i))
			ring_without(host, i);
	}
	sq->sqe_head = sq->sqe_tail = head;
	__atomic_store_n(sq->ktail, head, __ATOMIC_RELEASE);
}

/* What was submitted stays in it until reap takes it apart: callers may be in the midst of its completions. */
void ring_refuse(struct host *host, int err)
{
	struct uring *u = host->uring;

	if (likely(!uring_is_final(err)) || u->dead)
		return;
	u->refused = host->uring_off = true;
	give_back(host);
}

/*
 * -EBUSY and -EAGAIN mean that completions must be taken first, or that the kernel is short of
 * memory: what was not submitted stays, and the next turn of the driver's loop submits it.
 */
void ring_submit(struct host *host)
{
	struct uring *u = host->uring;

	for (int k = 0; k < SUBMIT_TRIES && io_uring_sq_ready(&u->ring); k++) {
		bool enters = !u->sqpoll || (*u->ring.sq.kflags & IORING_SQ_NEED_WAKEUP);
		int n = io_uring_submit(&u->ring);

		host->stats.traps += enters;
		if (unlikely(n < 0))
			ring_refuse(host, n);
		if (u->sqpoll || (n < 0 && n != -EINTR))
			break;
	}
	kinds_forget(&u->kinds);
}

struct io_uring_sqe *ring_entry(struct host *host)
{
	struct uring *u = host->uring;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (unlikely(!sqe)) {
		ring_submit(host);
		if (u->sqpoll)
			io_uring_sqring_wait(&u->ring);
		sqe = io_uring_get_sqe(&u->ring);
	}
	return sqe;
}

/* Puts the entry of slot `i` into the ring. False: no room. */
bool ring_put(struct host *host, uint32_t i, struct io_uring_sqe *entry)
{
	struct io_uring_sqe *sqe = ring_entry(host);

	if (!sqe)
		return false;
	entry->user_data = (uint64_t)host_slot(host, i)->id;
	memcpy(sqe, entry, sizeof(*sqe));
	return true;
}

/* Moving to another thread. */

/* The old owner's signal: it submits what is in the ring and completes what it can. */
static void summon(struct host *host)
{
	struct uring *u = host->uring;
	uint32_t flags = __atomic_load_n(u->ring.sq.kflags, __ATOMIC_RELAXED);

	if (!io_uring_sq_ready(&u->ring) && !(flags & (SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)))
		return;
	if (!u->signal_taken && cancel_signal_take(host->signal))
		return;
	u->signal_taken = true;
	ring_refuse(host, io_uring_submit(&u->ring)); /* publishes; the kernel refuses the rest */
	owned_summon(u->owned, host->signal);
	host->stats.traps += 2;
}

/* A signal that is still on its way needs its handler, which then stays. */
static void give_signal(struct host *host)
{
	if (host->uring->signal_taken && !owned_is_summoned(host->uring->owned))
		cancel_signal_give(host->signal);
	host->uring->signal_taken = false;
}

void ring_unpark(struct host *host)
{
	struct uring *u = host->uring;
	uint32_t i;

	u->parked_count = 0;
	while ((i = list_pop(&u->parked, host->pool.slots)) != NIL) {
		struct slot *slot = host_slot(host, i);

		slot->aux ^= URING_PARKED | URING_IN_RING;
		/* There was no memory for its end, and the list has taken its place. */
		if ((slot->aux & PREP_TIMER) && slot->given == GIVEN_NOTHING)
			sleep_begins(slot);
		ring_start_again(host, i);
	}
}

/* The old ring is empty but for what was parked: this thread's own takes it over. */
static void adopt(struct host *host)
{
	struct uring *u = host->uring;

	give_signal(host);
	owned_free(u->owned);
	u->owned = NULL;
	io_uring_queue_exit(&u->ring);
	memset(&u->ring, 0,
	       sizeof(u->ring)); /* nothing may look at what was unmapped, also if there is no other */
	u->fresh_count = u->owed = 0;
	u->dead = make_ring(host, u) != 0;
	if (u->dead)
		host->uring_off = host->ring_watched = true;
	ring_unpark(host);
}

/* Its thread has exited with entries that it never submitted: nobody else may. */
static unsigned take_unsubmitted(struct host *host)
{
	struct uring *u = host->uring;
	struct io_uring_sq *sq = &u->ring.sq;
	uint32_t head = __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE), i;
	unsigned n = 0;

	for (uint32_t k = head; k != sq->sqe_tail; k++) {
		struct slot *slot;

		if (!ring_owns(host, sq->sqes[k & sq->ring_mask].user_data, &i))
			continue;
		slot = host_slot(host, i);
		if (slot->aux & URING_CANCEL) {
			host->outstanding[ASYS_ENGINE_URING]--;
			host->ended(host, i, slot->result ? slot->result : -ECANCELED);
			n++;
		} else {
			ring_start_again(host, i); /* parks it */
		}
	}
	sq->sqe_head = sq->sqe_tail = head;
	__atomic_store_n(sq->ktail, head, __ATOMIC_RELEASE);
	return n;
}

static bool completions_wait(const struct uring *u)
{
	return __atomic_load_n(u->ring.sq.kflags, __ATOMIC_ACQUIRE) & SQ_TASKRUN;
}

/* Another thread made the ring: brings on the ends of what is in it. Returns how many ended. */
unsigned ring_take_over(struct host *host)
{
	const struct timespec pause = { 0, FOREIGN_PAUSE_NS };
	struct uring *u = host->uring;
	unsigned n = ring_completions(host);

	if (owned_is_gone(u->owned) && io_uring_sq_ready(&u->ring))
		n += take_unsubmitted(host);
	if (!ring_holds(host)) {
		adopt(host);
		if (!u->dead)
			ring_submit(host);
	} else if (owned_is_refused(u->owned)) {
		u->refused = host->uring_off = true;
	} else if (owned_is_gone(u->owned) && completions_wait(u)) {
		u->refused = true; /* nobody is left who might make the kernel write them */
	} else if (!n) {
		summon(host);
		raw_call(SYS_nanosleep, ptr_word(&pause), 0, 0, 0);
		n = ring_completions(host);
	}
	return n;
}

/* A ring that this thread can use, now. */
int ring_ready(struct host *host)
{
	struct uring *u = host->uring;

	if (!u)
		return open_ring(host);
	if (likely(!ring_is_foreign(u)))
		return u->dead ? -EOPNOTSUPP : 0;
	if (ring_holds(host))
		return -EOPNOTSUPP;
	adopt(host);
	return u->dead ? -EOPNOTSUPP : 0;
}

/*
 * News of the ring for who sleeps in epoll. Not the ring's own descriptor: with DEFER_TASKRUN a set
 * that holds it can stay silent though work waits. The eventfd is written only while somebody listens.
 */
int ring_watch(struct host *host)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = UINT64_MAX - 1 };
	struct uring *u = host->uring;
	int err;

	/* ring_has_news keeps who comes after its owner from sleeping. */
	if (!u || host->ring_watched || ring_is_foreign(u) || u->dead || u->refused)
		return 0;
	if (u->news_fd < 0)
		u->news_fd = fd_above_standard(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (u->news_fd < 0)
		return fail(-errno, "no descriptor to wait for the ring with (%s): %s",
			    strerror(errno), descriptor_advice(-errno));
	err = io_uring_register_eventfd(&u->ring, u->news_fd);
	if (!err)
		err = io_uring_cq_eventfd_toggle(&u->ring, false);
	if (uring_is_final(err)) {
		/* ring_has_news keeps everybody from sleeping until it was taken apart. */
		ring_refuse(host, err);
		host->ring_watched = true;
		return 0;
	}
	if (!err && epoll_ctl(host->epoll_fd, EPOLL_CTL_ADD, u->news_fd, &event) && errno != EEXIST)
		err = -errno;
	host->stats.traps += 3;
	if (err)
		return fail(err, "the ring cannot be waited for (%s)", strerror(-err));
	host->ring_watched = true;
	return 0;
}

bool ring_has_news(const struct host *host)
{
	const struct uring *u = host->uring;

	if (!u || unlikely(u->dead))
		return false;
	return (u->refused && host->outstanding[ASYS_ENGINE_URING]) || ring_is_foreign(u) ||
	       *u->ring.cq.khead != __atomic_load_n(u->ring.cq.ktail, __ATOMIC_ACQUIRE) ||
	       (__atomic_load_n(u->ring.sq.kflags, __ATOMIC_RELAXED) &
		(SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW));
}

/*
 * What is written to the ring's eventfd because another eventfd was written, which a call in the ring waits
 * for, is written by the kernel some time later, and by some kernels (6.18) only once for each time that the
 * eventfd was registered. So it is registered anew where that may come.
 */
static void renew_news(struct host *host)
{
	struct uring *u = host->uring;

	u->nested = host->outstanding[ASYS_ENGINE_URING] != 0;
	if (!u->owned || !u->nested || u->dead || ring_is_foreign(u))
		return;
	io_uring_unregister_eventfd(&u->ring);
	host->stats.traps += 2;
	if (io_uring_register_eventfd(&u->ring, u->news_fd))
		host->ring_watched = false; /* to be tried again */
}

void ring_listen(struct host *host)
{
	if (host->uring && host->ring_watched) {
		if (unlikely(host->uring->nested))
			renew_news(host);
		io_uring_cq_eventfd_toggle(&host->uring->ring, true);
		full_fence(); /* before the caller's look at ring_has_news */
	}
}

void ring_listen_no_more(struct host *host)
{
	uint64_t count;

	if (!host->uring || !host->ring_watched)
		return;
	io_uring_cq_eventfd_toggle(&host->uring->ring, false);
	raw_call(SYS_read, (uint64_t)(int64_t)host->uring->news_fd, ptr_word(&count), sizeof(count),
		 0);
	host->stats.traps++;
}

/* Without its flag the kernel takes who waits here for one that waits for a disk (/proc/pressure/io). */
static unsigned wait_flags(const struct uring *u)
{
	unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;

	return u->ring.features & FEAT_NO_IOWAIT ? flags | ENTER_NO_IOWAIT : flags;
}

int ring_wait(struct host *host, uint64_t when_ns)
{
	struct uring *u = host->uring;
	struct __kernel_timespec ts;
	struct io_uring_getevents_arg arg;
	uint64_t now;
	int got;

	memset(&arg, 0, sizeof(arg));
	if (when_ns != UINT64_MAX) {
		now = clock_now();
		now = when_ns > now ? when_ns - now : 0;
		ts.tv_sec = (int64_t)(now / 1000000000u);
		ts.tv_nsec = (long long)(now % 1000000000u);
		arg.ts = ptr_word(&ts);
	}
	if (!host_shared(host)) {
		host->stats.traps++;
		host->stats.sleeps++;
	}
	got = io_uring_enter2((unsigned)u->ring.ring_fd, 0, 1, wait_flags(u), (sigset_t *)&arg,
			      sizeof(arg));
	if (unlikely(got < 0))
		ring_refuse(host, got);
	return got >= 0 ? 0 : got;
}

/* A child unmaps its copy of the parent's ring, and closes nothing: free_queue says why. */
void ring_close(struct host *host, bool child)
{
	struct uring *u = host->uring;

	if (!u)
		return;
	if (!child)
		give_signal(host);
	/* A child's table is a copy, in which nobody will ever let go. */
	if (child)
		owned_forget(u->owned);
	else
		owned_free(u->owned);
	if (child)
		u->ring.ring_fd = -1;
	if (u->news_fd >= 0 && !child) {
		if (!u->dead)
			io_uring_unregister_eventfd(&u->ring);
		close(u->news_fd);
	}
	if (!u->dead && child)
		io_uring_queue_exit(&u->ring);
	else if (!u->dead)
		ring_lay_aside(u);
	free(u->fresh);
	free(u);
	host->uring = NULL;
}
#endif
