/* SPDX-License-Identifier: MIT */
/*
 * Contract: calls end when they are cancelled or their deadline comes, and those in the ring of another
 * thread when they can, though the signal that this takes cannot be sent now: the user has as many pending
 * as it may (RLIMIT_SIGPENDING), the program handles the queue's signal itself for a while, or a filter lets
 * through no way of sending one but the C library's.
 */
#include "blocked.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>

#define MS 1000000ull

enum { OURS_MOST = 64, KINDS_MOST = 64 };

/* What keeps the signal from being sent. */
enum way { WAY_SOFT, WAY_HARD, WAY_HANDLED, WAY_REFUSED, WAYS };

static int ours; /* a signal that the program blocks and lets pile up */
static sigset_t ours_set;
static volatile sig_atomic_t taken;

static void take(int signal)
{
	(void)signal;
	taken++;
}

/* The signal that queues use by default. */
static void handle_queues(bool begin)
{
	static struct sigaction before;
	struct sigaction own;

	memset(&own, 0, sizeof(own));
	own.sa_handler = take;
	check_eq(sigaction(SIGRTMAX - 3, begin ? &own : &before, begin ? &before : NULL), 0);
}

static void pile_up(void)
{
	const struct rlimit most = { OURS_MOST, OURS_MOST };
	const union sigval none = { 0 };
	unsigned n = 0;

	check_eq(setrlimit(RLIMIT_SIGPENDING, &most), 0);
	while (sigqueue(getpid(), ours, none) == 0)
		n++;
	check_eq(errno, EAGAIN);
	check(n <= OURS_MOST);
}

static void take_all(void)
{
	const struct timespec none = { 0, 0 };

	while (sigtimedwait(&ours_set, NULL, &none) == ours)
		;
	check_eq(errno, EAGAIN);
}

static void begin(enum way way)
{
	struct rlimit none;

	if (way == WAY_HARD) {
		pile_up();
	} else if (way == WAY_HANDLED) {
		handle_queues(true);
	} else if (way == WAY_REFUSED) {
		deny_call(SYS_rt_tgsigqueueinfo, EPERM);
	} else {
		check_eq(getrlimit(RLIMIT_SIGPENDING, &none), 0);
		none.rlim_cur = 0;
		check_eq(setrlimit(RLIMIT_SIGPENDING, &none), 0);
	}
}

static void end(enum way way)
{
	struct rlimit now;

	if (way == WAY_HARD) {
		take_all();
	} else if (way == WAY_HANDLED) {
		handle_queues(false);
	} else if (way == WAY_SOFT) {
		/* as the program has set it */
		check_eq(getrlimit(RLIMIT_SIGPENDING, &now), 0);
		check_eq(now.rlim_cur, 0);
	}
}

static void *end_late(void *arg)
{
	sleep_ms(30);
	end(*(const enum way *)arg);
	return NULL;
}

struct setting {
	enum way way;
	bool deadline, close;
};

static int calls_end(void *arg)
{
	const struct setting *s = arg;
	struct asys_queue *q = open_queue();
	asys_id id[KINDS_MOST];
	struct stage stage;
	pthread_t thread;

	stage_open(&stage);
	check(blocked_count <= KINDS_MOST);
	for (unsigned k = 0; k < blocked_count; k++)
		id[k] = blocked_kinds[k].send(
			s->deadline ? asys_deadline(q, asys_now() + 10 * MS) : q, &stage);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(5); /* by then they wait in threads */
	begin(s->way);
	check_eq(pthread_create(&thread, NULL, end_late, arg), 0);
	for (unsigned k = 0; k < blocked_count && !s->deadline && !s->close; k++)
		check_eq(asys_queue_cancel(q, id[k]), 0);
	for (unsigned k = 0; k < blocked_count && !s->close; k++) {
		check_eq(result_of(q, id[k]), s->deadline ? -ETIME : -ECANCELED);
		progress();
	}
	asys_queue_close(q);
	pthread_join(thread, NULL);
	stage_close(&stage);
	return 0;
}

static void in_every_way(bool deadline, bool close)
{
	for (enum way way = 0; way < WAYS; way++) {
		struct setting setting = { way, deadline, close };

		check_child(calls_end, &setting);
		progress();
	}
}

/* A call that blocks the signal, which no signal can end, takes none that others need. */
static int leaves_room(void *arg)
{
	struct asys_queue *q = open_queue();
	struct timespec limit = { 1, 0 };
	uint64_t all = UINT64_MAX;
	struct pollfd set = { .events = POLLIN };
	asys_id deaf, id;
	int fd[2], lock[2];

	(void)arg;
	make_pipe(fd);
	lock[0] = memory_file();
	lock[1] = reopen(lock[0]);
	check_eq(flock(lock[0], LOCK_EX), 0);
	set.fd = fd[0];
	deaf = submit(q, SYS_ppoll, &set, 1, &limit, &all, sizeof(all));
	id = submit(q, SYS_flock, lock[1], LOCK_EX);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(5);
	pile_up();
	check_eq(asys_queue_cancel(q, deaf), 0);
	check_eq(asys_queue_cancel(q, id), 0);
	take_all();
	check_eq(result_of(q, id), -ECANCELED);
	check_one_of(result_of(q, deaf), 0, -ECANCELED);
	asys_queue_close(q);
	return 0;
}

static void test_leaves_room(void **state)
{
	(void)state;
	check_child(leaves_room, NULL);
}

static void test_cancel(void **state)
{
	(void)state;
	in_every_way(false, false);
}

static void test_deadline(void **state)
{
	(void)state;
	in_every_way(true, false);
}

static void test_close(void **state)
{
	(void)state;
	in_every_way(false, true);
}

/* A queue whose ring another thread has made, which sleeps. */
struct moved {
	struct asys_queue *queue;
	int fd[2];
	char byte;
	asys_id id;
	uint32_t sent, quit;
};

static void *open_and_sleep(void *arg)
{
	struct moved *moved = arg;

	moved->queue = open_depth(64, 0);
	moved->id = submit(moved->queue, SYS_read, moved->fd[0], &moved->byte, 1);
	check_eq(asys_queue_flush(moved->queue), 0);
	__atomic_store_n(&moved->sent, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&moved->quit, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	return NULL;
}

static int owner_serves(void *arg)
{
	struct moved moved = { .queue = NULL };
	pthread_t first, late;

	make_pipe(moved.fd);
	check_eq(pthread_create(&first, NULL, open_and_sleep, &moved), 0);
	while (!__atomic_load_n(&moved.sent, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	begin(*(const enum way *)arg);
	check_eq(pthread_create(&late, NULL, end_late, arg), 0);
	check_eq(write(moved.fd[1], "m", 1), 1);
	check_eq(result_of(moved.queue, moved.id), 1);
	pthread_join(late, NULL);
	asys_queue_close(moved.queue);
	__atomic_store_n(&moved.quit, 1, __ATOMIC_RELEASE);
	pthread_join(first, NULL);
	return 0;
}

static void test_moved(void **state)
{
	(void)state;
	for (enum way way = 0; way < WAYS; way++)
		check_child(owner_serves, &way);
}

/* The program's handler takes the summons itself, if it put that there after it was sent: another one follows. */
static void *block_for_a_while(void *arg)
{
	struct moved *moved = arg;
	sigset_t all, old;

	moved->queue = open_depth(64, 0);
	moved->id = submit(moved->queue, SYS_read, moved->fd[0], &moved->byte, 1);
	check_eq(asys_queue_flush(moved->queue), 0);
	sigfillset(&all);
	check_eq(pthread_sigmask(SIG_SETMASK, &all, &old), 0);
	__atomic_store_n(&moved->sent, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&moved->quit, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	handle_queues(true);
	check_eq(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
	handle_queues(false);
	sleep_ms(500);
	return NULL;
}

static int summons_is_taken(void *arg)
{
	struct moved moved = { .queue = NULL };
	struct asys_event event;
	pthread_t first;

	(void)arg;
	make_pipe(moved.fd);
	check_eq(pthread_create(&first, NULL, block_for_a_while, &moved), 0);
	while (!__atomic_load_n(&moved.sent, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	check_eq(write(moved.fd[1], "m", 1), 1);
	check_eq(asys_queue_get_many(moved.queue, &event, 1, 1, 5 * MS), 0);
	__atomic_store_n(&moved.quit, 1, __ATOMIC_RELEASE);
	check_eq(result_of(moved.queue, moved.id), 1);
	check_eq(taken, 1);
	asys_queue_close(moved.queue);
	pthread_join(first, NULL);
	return 0;
}

static void test_summons_is_taken(void **state)
{
	(void)state;
	if (asys_probe()->uring || !engine_forced("uring"))
		skip_because("no ring is sure to be used");
	private_or_skip("the ring of a shared queue belongs to nobody");
	check_child(summons_is_taken, NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_cancel), contract(test_leaves_room), contract(test_deadline),
		contract(test_close),  contract(test_moved),	   contract(test_summons_is_taken),
	};

	ours = SIGRTMIN + 5;
	sigemptyset(&ours_set);
	sigaddset(&ours_set, ours);
	check_eq(pthread_sigmask(SIG_BLOCK, &ours_set, NULL), 0);
	return group(tests, argc, argv);
}
