/* SPDX-License-Identifier: MIT */
/*
 * The io_uring engine: the kernel waits.
 *
 *   start()  entry in the submission ring  (uring_prep.c)
 *   flush()  one io_uring_enter for all of them; what could be done at once has ended then. What
 *            waits is looked at once (uring_look.c): would the system call have waited so? If not, it
 *            is taken back and made synchronously, or given to a thread. Those that end at once, most
 *            of them, pay nothing.
 *   reap()   completions: match, repair, host->ended()
 *
 * An entry's user_data is the call's id, which no two calls share. A completion whose id is not that
 * of a call that this engine has is ignored, as are those of cancellations (user_data 0).
 *
 * Repairs: a send or write of bytes that came short goes on where a blocking one would have; -EINTR
 * that nobody asked for is started again; so is -ECANCELED, which is what the kernel ends calls with
 * when the thread that started them exits; and an error that the system call would not have named gives
 * way to the one that it names (uring_errors.c).
 *
 * uring_ring.c has the ring itself and which thread may use it.
 */
#include "engine/uring.h"
#include "engine/engine.h"
#include "engine/sleep_left.h"
#include "engine/threads.h"

#if ASYS_HAVE_URING

#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define OP_CANCEL 14

/* Completions. */

static void to_thread(struct host *host, uint32_t i)
{
	host->outstanding[ASYS_ENGINE_URING]--;
	transfer_to_thread(host, i);
}

/* The ring cannot serve this call, however often it is asked: the other engines. */
void ring_without(struct host *host, uint32_t i)
{
	struct slot *slot = host_slot(host, i);

	if (slot->result) {
		to_thread(host, i);
		return;
	}
	if (slot->aux & PREP_TIMER)
		sleep_leaves(slot);
	host->outstanding[ASYS_ENGINE_URING]--;
	slot->aux = 0;
	slot->engine = ASYS_ENGINE_AUTO;
	slot->no_ring = 1;
	host->again(host, i);
}

/*
 * The same call, or what is left of it, once more: a thread's if the ring cannot take it. A piece begins
 * with nothing asked of it. Cancel entries that were put before it are looked at by the kernel before,
 * so they cannot hit it though they carry the same id.
 */
void ring_start_again(struct host *host, uint32_t i)
{
	struct slot *slot = host_slot(host, i);
	uint64_t done = (uint64_t)slot->result, addr, size;
	struct uring *u = host->uring;
	struct io_uring_sqe entry;
	bool fits;

	if (slot->aux & PREP_TIMER)
		sleep_leaves(slot);
	slot->aux &= ~(uint32_t)(URING_CANCEL_SENT | URING_FRESH | URING_NONBLOCK | URING_RECALLED);
	if (ring_is_foreign(u)) {
		slot->aux &= ~(uint32_t)URING_IN_RING;
		slot->aux |= URING_PARKED;
		list_push(&u->parked, host->pool.slots, i);
		u->parked_count++;
		return;
	}
	if (unlikely(host->uring_off || u->dead)) {
		ring_without(host, i);
		return;
	}
	memset(&entry, 0, sizeof(entry));
	if (slot->given == GIVEN_SLEEP)
		sleep_goes_on(slot);
	if (!done) {
		fits = uring_prep(&entry, &slot->call, &u->kinds) >= 0;
		/* It may never have been looked at; and it is rare. */
		if (slot->aux & PREP_WAITS)
			fits = fits && uring_look(host, &slot->call, slot->aux) == LOOK_WAITS;
	} else {
		fits = transfer_rest(&slot->call, done, &addr, &size);
		if (fits)
			uring_prep_rest(&entry, &slot->call, addr, size);
	}
	if (fits && ring_put(host, i, &entry))
		return;
	to_thread(host, i);
}

/*
 * Once more, but not for ever: the kernel also ends with -ECANCELED what would need a worker thread
 * that it cannot start (the limit of processes), and says so each time.
 */
static void try_again(struct host *host, uint32_t i)
{
	struct slot *slot = host_slot(host, i);

	if (ring_is_foreign(host->uring)) {
		ring_start_again(host, i);
	} else if (slot->aux >= URING_TRY * TRIES_MOST) {
		ring_without(host, i);
	} else {
		slot->aux += URING_TRY;
		ring_start_again(host, i);
	}
}

static bool may_retry(uint32_t nr)
{
	const struct asys_syscall_info *info = asys_syscall_info(nr);

	return info && (info->traits & ASYS_TRAIT_RETRY);
}

/* The engine itself called it back, since the system call would not have waited as the ring does. */
static bool called_back(struct host *host, uint32_t i, int64_t *result)
{
	struct slot *slot = host_slot(host, i);

	if (slot->aux & URING_NONBLOCK) {
		/* With its own signal. */
		slot->aux &= ~(uint32_t)PREP_SIGPIPE;
		if (!slot->result)
			*result = raw_syscall(slot->call.nr, slot->call.arg);
		return false;
	}
	if (host->uring_off)
		ring_without(host, i);
	else
		to_thread(host, i);
	return true;
}

/* The ring is short of something that the system call does not need, or refuses to wait. */
static bool is_rings_own(const struct slot *slot, int64_t result)
{
	if (!(slot->aux & PREP_WAITS) || (slot->aux & (URING_CANCEL | URING_NONBLOCK)))
		return false;
	return result == -ENOMEM ||
	       (result == -EAGAIN && !fd_is_nonblocking((int)slot->call.arg[0]));
}

/* An error at once, before anything could be waited for. True: another engine makes the call again. */
static bool made_again(struct host *host, uint32_t i, int64_t *result)
{
	struct slot *slot = host_slot(host, i);
	bool waited =
		(slot->aux & PREP_WAITS) && !(slot->aux & URING_FRESH) && !host->uring->sqpoll;

	if (waited || slot->result || (slot->aux & (URING_NONBLOCK | URING_RECALLED)))
		return false;
	switch (uring_again(&slot->call, *result)) {
	case AGAIN_ELSEWHERE:
		if (slot->aux & URING_CANCEL) {
			*result = -ECANCELED;
			return false;
		}
		ring_without(host, i);
		return true;
	case AGAIN_HERE:
		slot->aux &= ~(uint32_t)PREP_SIGPIPE;
		*result = raw_syscall(slot->call.nr, slot->call.arg);
		return false;
	default:
		return false;
	}
}

/* An error that is not the call's result. True: it was dealt with. */
static bool repair(struct host *host, uint32_t i, int64_t *result)
{
	struct slot *slot = host_slot(host, i);
	uint32_t flags = slot->aux;
	/* The kernel restarts a system call that ends so: nothing has happened, or it goes on where it was. */
	bool restarted = (*result <= -512 && *result >= -516) ||
			 (*result == -EINTR && slot->call.nr == SYS_connect);
	bool again = restarted || may_retry(slot->call.nr);

	if (*result == -ETIME && (flags & PREP_TIMER)) {
		*result = 0;
		return false;
	}
	if (unlikely(is_rings_own(slot, *result))) {
		ring_without(host, i);
		return true;
	}
	if (made_again(host, i, result))
		return true;
	/* The kernel's own codes for "interrupted, to be restarted" (512..516) escape here: on its
	 * worker threads there is no return to user space that would translate them. */
	if (*result <= -512 && *result >= -516)
		*result = flags & URING_CANCEL ? -ECANCELED : -EINTR;
	if (*result != -ECANCELED && *result != -EINTR)
		return false;
	if (flags & URING_CANCEL) {
		*result = -ECANCELED;
		return false;
	}
	/* What may have had an effect before it was interrupted says so. */
	if (*result == -EINTR && !again)
		return false;
	if (flags & (URING_NONBLOCK | URING_RECALLED))
		return called_back(host, i, result);
	if (*result == -ECANCELED && (flags & PREP_ECANCELED) && !host->uring->dead &&
	    !ring_is_foreign(host->uring))
		return false;
	try_again(host, i);
	return true;
}

/* A short transfer that the blocking call would have gone on with. */
static void go_on(struct host *host, uint32_t i)
{
	struct slot *slot = host_slot(host, i);

	if ((slot->aux & PREP_OWN_WAY) ||
	    ((slot->aux & PREP_OUT) && socket_has_timeout((int)slot->call.arg[0], false)))
		to_thread(host, i);
	else
		ring_start_again(host, i);
}

/* Would the system call have had SIGPIPE sent to its caller? */
static bool breaks_loudly(const struct asys_call *call, bool moved)
{
	unsigned word = call->nr == SYS_splice ? 2 : call->nr == SYS_tee ? 1 : 0;
	int type = 0;

	if (!socket_option((int)call->arg[word], SO_TYPE, &type, sizeof(type)))
		return true;
	return type == SOCK_STREAM && !moved;
}

/* True: the call has ended. */
bool ring_ends(struct host *host, uint32_t i, int64_t result)
{
	struct slot *slot = host_slot(host, i);

	if (unlikely(result < 0)) {
		if (repair(host, i, &result))
			return false;
		if (result == -EPIPE && (slot->aux & PREP_SIGPIPE) &&
		    breaks_loudly(&slot->call, slot->result != 0))
			raise(SIGPIPE);
		if (slot->result)
			result = slot->result;
	} else if (slot->aux & PREP_GOES_ON) {
		slot->result += result;
		result = slot->result;
		if (unlikely(result && !(slot->aux & (URING_CANCEL | URING_NONBLOCK)) &&
			     transfer_goes_on(&slot->call, (uint64_t)result))) {
			go_on(host, i);
			return false;
		}
	}
	slot->aux = 0;
	host->outstanding[ASYS_ENGINE_URING]--;
	host->ended(host, i, result);
	return true;
}

/* *ret_ended counts calls that ended; the others were started again. Returns both together. */
unsigned ring_take(struct host *host, const struct io_uring_cq *cq, unsigned *ret_ended)
{
	uint32_t head = *cq->khead, i;
	unsigned n = 0;

	*ret_ended = 0;

	/* Pairs with the kernel's release of the tail. */
	while (head != __atomic_load_n(cq->ktail, __ATOMIC_ACQUIRE)) {
		const struct io_uring_cqe *cqe = &cq->cqes[head & cq->ring_mask];
		uint64_t user_data = cqe->user_data;
		int64_t result = cqe->res;

		__atomic_store_n(cq->khead, ++head, __ATOMIC_RELEASE);
		/* The call is neither waiting nor with a worker just then, but about to be tried again. */
		if (unlikely(user_data == CANCEL_DATA && result == -ENOENT))
			host->uring->missed = true;
		if (ring_owns(host, user_data, &i)) {
			n++;
			*ret_ended += ring_ends(host, i, result);
		}
	}
	return n;
}

unsigned ring_completions(struct host *host)
{
	unsigned ended;

	ring_take(host, &host->uring->ring.cq, &ended);
	return ended;
}

/* Cancellation. */

static bool put_cancel(struct host *host, uint32_t i)
{
	struct slot *slot = host_slot(host, i);
	struct io_uring_sqe *sqe = ring_entry(host);

	if (!sqe)
		return false;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = OP_CANCEL;
	sqe->fd = -1;
	sqe->addr = (uint64_t)slot->id;
	sqe->user_data = CANCEL_DATA;
	if (host->uring->ring.features & IORING_FEAT_CQE_SKIP)
		sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	slot->aux |= URING_CANCEL_SENT;
	return true;
}

static void ask_cancel(struct host *host, uint32_t i, uint32_t why)
{
	struct slot *slot = host_slot(host, i);

	slot->aux |= why;
	if (!(slot->aux & URING_CANCEL_SENT) && !put_cancel(host, i))
		host->uring->owed++;
}

static void cancel(struct host *host, uint32_t i)
{
	struct slot *slot = host_slot(host, i);

	if (slot->aux & URING_PARKED) {
		list_remove(&host->uring->parked, host->pool.slots, i);
		host->uring->parked_count--;
		host->outstanding[ASYS_ENGINE_URING]--;
		host->ended(host, i, slot->result ? slot->result : -ECANCELED);
		return;
	}
	ask_cancel(host, i, URING_CANCEL);
	/* Another thread, or the program's own loop, may sleep until something ends. */
	if (host_shared(host) || host->fd_wanted)
		ring_submit(host);
}

/* There was no room for some before, or one did not find its call: those that were sent have ended, or are asked
 * once more. */
static void pay_owed(struct host *host)
{
	uint32_t sent = host->uring->missed ? URING_CANCEL_SENT : 0;

	host->uring->owed = 0;
	host->uring->missed = false;
	for (uint32_t i = 0; i < host->pool.fresh; i++) {
		struct slot *slot = host_slot(host, i);

		if (slot_is_rings(slot) &&
		    (slot->aux & (URING_CANCEL | URING_NONBLOCK | URING_RECALLED))) {
			slot->aux &= ~sent;
			ask_cancel(host, i, 0);
		}
	}
}

static void look_at(struct host *host, uint32_t i)
{
	const struct slot *slot = host_slot(host, i);
	enum look found = uring_look(host, &slot->call, slot->aux);

	if (found != LOOK_WAITS)
		ask_cancel(host, i, found == LOOK_FAILS ? URING_NONBLOCK : URING_RECALLED);
}

static void look_at_fresh(struct host *host)
{
	struct uring *u = host->uring;

	for (uint32_t k = 0; k < u->fresh_count; k++) {
		struct slot *slot = host_slot(host, u->fresh[k]);

		if (!slot_is_rings(slot) || !(slot->aux & URING_FRESH))
			continue;
		slot->aux &= ~URING_FRESH;
		look_at(host, u->fresh[k]);
	}
	u->fresh_count = 0;
}

/* The engine. */

static bool is_message(uint32_t nr)
{
	return nr == SYS_sendto || nr == SYS_sendmsg;
}

/* This kernel has an opcode for the call. */
static bool has_opcode(uint32_t nr)
{
	const struct asys_probe *probe = asys_probe();
	int op = uring_opcode(nr);

	return op >= 0 && !probe->uring && (probe->uring_op[op / 8] & (1u << (op % 8)));
}

static bool takes(const struct asys_call *call)
{
	return has_opcode(call->nr);
}

static int start(struct host *host, uint32_t i)
{
	struct slot *slot = host_slot(host, i);
	struct io_uring_sqe entry;
	struct uring *u;
	int prep;

	if (host->uring_off || !takes(&slot->call) || ring_ready(host))
		return -EOPNOTSUPP;
	u = host->uring;
	if (!host->outstanding[ASYS_ENGINE_URING])
		kinds_forget(&u->kinds); /* as flush does, which is not called then */
	memset(&entry, 0, sizeof(entry));
	prep = uring_prep(&entry, &slot->call, &u->kinds);
	if (prep < 0)
		return prep;
	/* The kernel's polling thread tries on its own time, so nothing can be looked at after. */
	if (u->sqpoll && (prep & PREP_WAITS) &&
	    uring_look(host, &slot->call, (uint32_t)prep) != LOOK_WAITS)
		return -EOPNOTSUPP;
	/* For the same reason what breaks there has the signal sent to that thread. */
	if (u->sqpoll && (prep & PREP_GOES_ON) && !is_message(slot->call.nr))
		prep |= PREP_SIGPIPE;
	/* The thread that waits for a timerfd may exit, and then -ECANCELED has two meanings. */
	if ((prep & PREP_ECANCELED) && !u->owned)
		return -EOPNOTSUPP;
	if ((prep & PREP_WAITS) && !u->sqpoll && u->fresh_count == u->fresh_room)
		engine_uring.flush(host);
	if (!ring_put(host, i, &entry))
		return -EAGAIN;
	slot->result = 0;
	if (prep & PREP_TIMER)
		sleep_begins(slot);
	slot->aux = (uint32_t)prep | URING_IN_RING;
	u->nested |= (prep & PREP_NESTED) != 0;
	if ((prep & PREP_WAITS) && !u->sqpoll && u->fresh_count < u->fresh_room) {
		slot->aux |= URING_FRESH;
		u->fresh[u->fresh_count++] = i;
	}
	host->outstanding[ASYS_ENGINE_URING]++;
	return 0;
}

static void flush(struct host *host)
{
	struct uring *u = host->uring;

	if (!u)
		return;
	if (u->dead || u->refused || !(io_uring_sq_ready(&u->ring) | u->fresh_count) ||
	    ring_is_foreign(u)) {
		kinds_forget(&u->kinds);
		return;
	}
	host->stats.batches++;
	ring_submit(host);
	/* Also if somebody else has submitted them meanwhile. */
	if (u->fresh_count) {
		ring_completions(host);
		look_at_fresh(host);
		ring_submit(host);
	}
}

static unsigned reap_ring(struct host *host)
{
	struct uring *u = host->uring;
	unsigned n;

	if (!u || !host->outstanding[ASYS_ENGINE_URING])
		return 0;
	if (unlikely(u->refused))
		return ring_apart(host);
	if (unlikely(ring_is_foreign(u)))
		return ring_take_over(host);
	if (unlikely(u->owed))
		pay_owed(host);
	flush(host);
	n = ring_completions(host);
	if (!n && (__atomic_load_n(u->ring.sq.kflags, __ATOMIC_RELAXED) &
		   (SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW))) {
		ring_refuse(host, io_uring_get_events(&u->ring));
		host->stats.traps++;
		n = ring_completions(host);
	}
	if (unlikely(u->missed))
		pay_owed(host);
	flush(host);
	return n;
}

/* What was started before the change is submitted now; the kernel runs it as who it now is. Where it lets
 * nobody in any more, nothing else might tell. */
static void retire(struct host *host)
{
	struct uring *u = host->uring;

	host->uring_off = true;
	if (!u)
		return;
	flush(host);
	if (host->outstanding[ASYS_ENGINE_URING] && !u->dead && !u->refused && !ring_is_foreign(u))
		ring_refuse(host, io_uring_get_events(&u->ring));
}

#define RECALL_NS 1000000000u /* for what the kernel cannot interrupt */

static void recall(struct host *host)
{
	uint64_t until = clock_now() + RECALL_NS;
	struct uring *u = host->uring;

	host->uring_off = true;
	if (!u || u->dead || u->refused || ring_is_foreign(u))
		return;
	flush(host);
	for (uint32_t i = 0; i < host->pool.fresh && host->outstanding[ASYS_ENGINE_URING]; i++) {
		struct slot *slot = host_slot(host, i);

		if (slot_is_rings(slot))
			ask_cancel(host, i, slot->aux & URING_CANCEL ? 0 : URING_RECALLED);
	}
	while (host->outstanding[ASYS_ENGINE_URING] && !u->refused && clock_now() < until) {
		ring_submit(host);
		if (!ring_completions(host) && host->outstanding[ASYS_ENGINE_URING])
			ring_wait(host, until);
		if (u->owed || u->missed)
			pay_owed(host);
	}
}

static void thread_leaves(struct host *host)
{
	struct uring *u = host->uring;

	if (!host->outstanding[ASYS_ENGINE_URING] || u->dead || u->refused || u->sqpoll ||
	    ring_is_foreign(u))
		return;
	flush(host);
	ring_cancel_all(u->ring.ring_fd, RECALL_NS);
	host->stats.traps++;
}

/* Nobody may enter the ring any more. */
static bool is_refused(const struct host *host)
{
	return host->uring && host->uring->refused && host->outstanding[ASYS_ENGINE_URING];
}

/* The kernel's buffered writes go to threads of its own, reads do not. */
static bool takes_disk(uint32_t nr)
{
	switch (nr) {
	case SYS_read:
	case SYS_pread64:
	case SYS_readv:
	case SYS_preadv:
	case SYS_preadv2:
		return has_opcode(nr);
	default:
		return false;
	}
}

const struct engine engine_uring = {
	.name = "uring",
	.takes = takes,
	.takes_disk = takes_disk,
	.start = start,
	.flush = flush,
	.reap = reap_ring,
	.cancel = cancel,
	.by_epoll = true,
	.watch = ring_watch,
	.listen = ring_listen,
	.has_news = ring_has_news,
	.broken = is_refused,
	.listen_no_more = ring_listen_no_more,
	.wait = ring_wait,
	.retire = retire,
	.recall = recall,
	.thread_leaves = thread_leaves,
	.close = ring_close,
};
#endif
