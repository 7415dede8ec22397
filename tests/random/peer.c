/* SPDX-License-Identifier: MIT */
/*
 * Somebody else: a thread that feeds, drains and wakes as the program's steps say, each object's steps
 * in their order. It never blocks: its ends are non-blocking, and what cannot go on is tried again.
 */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TRY_AGAIN_NS = 20000, PAUSE_MOST_NS = 200000 };

struct thread {
	sem_t go, over;
	pthread_t id;
	void (*fn)(void *arg);
	void *arg;
	bool exists;
};

static struct thread peer, helper, plain, beside;

static struct {
	const struct program *program;
	struct run *run;
	uint64_t began;
	bool running, stop;
	bool done[STEPS_MAX];
	uint64_t fed[OBJECTS_MAX][2];
	uint64_t drained[STEPS_MAX];
	uint64_t written[STEPS_MAX];
} now;

/* ---- threads -------------------------------------------------------------------------------- */

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	for (;;) {
		while (sem_wait(&t->go))
			;
		if (!t->fn)
			return NULL;
		t->fn(t->arg);
		sem_post(&t->over);
	}
}

/* They take no signal of the process: those are for the thread that waits. */
static void thread_start(struct thread *t, void (*fn)(void *arg), void *arg)
{
	sigset_t all, before;

	if (!t->exists) {
		sem_init(&t->go, 0, 0);
		sem_init(&t->over, 0, 0);
		sigfillset(&all);
		sigdelset(&all, SIGPIPE);
		sigdelset(&all, SIGXFSZ);
		sigdelset(&all, SIGALRM);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		if (pthread_create(&t->id, NULL, thread_main, t))
			world_stop("a thread");
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		t->exists = true;
	}
	t->fn = fn;
	t->arg = arg;
	sem_post(&t->go);
}

static void thread_join(struct thread *t)
{
	while (sem_wait(&t->over))
		;
}

static void thread_end(struct thread *t)
{
	if (!t->exists)
		return;
	t->fn = NULL;
	sem_post(&t->go);
	pthread_join(t->id, NULL);
	t->exists = false;
}

void helper_start(void (*fn)(void *arg), void *arg)
{
	thread_start(&helper, fn, arg);
}

void helper_join(void)
{
	thread_join(&helper);
}

void helper_end(void)
{
	thread_end(&helper);
}

void beside_start(void (*fn)(void *arg), void *arg)
{
	thread_start(&beside, fn, arg);
}

void beside_join(void)
{
	thread_join(&beside);
}

void plain_start(void (*fn)(void *arg), void *arg)
{
	thread_start(&plain, fn, arg);
}

void plain_join(void)
{
	thread_join(&plain);
}

void peer_forget(void)
{
	peer.exists = false;
	helper.exists = false;
	plain.exists = false;
	beside.exists = false;
	now.running = false;
}

/* ---- steps ---------------------------------------------------------------------------------- */

/* A message at once, or a part of a stream; true when all of it is out. */
static bool feed(unsigned k, const struct step *step)
{
	const struct object *object = &now.program->object[step->object];
	const uint64_t at = object->fill + now.fed[step->object][step->end];
	const uint64_t left = step->size - now.written[k];
	ssize_t n;

	if (object->kind == O_PIPE || object->kind == O_PTY)
		n = write(world_fd(step->object, step->end), pattern() + at, left);
	else
		n = send(world_fd(step->object, step->end), pattern() + at, left, MSG_NOSIGNAL);
	if (n < 0)
		return errno != EAGAIN;
	now.fed[step->object][step->end] += (uint64_t)n;
	now.written[k] += (uint64_t)n;
	return now.written[k] == step->size;
}

static bool drain(unsigned k, const struct step *step)
{
	now.drained[k] += (uint64_t)world_drain(&now.program->object[step->object], step->object,
						step->end, step->size - now.drained[k], now.run);
	return now.drained[k] >= step->size;
}

static void count(const struct step *step)
{
	const uint64_t value = step->size;
	uint64_t got;

	/* A size of 0 reads, any other adds. */
	if (!step->size)
		(void)!read(world_fd(step->object, step->end), &got, sizeof(got));
	else
		(void)!write(world_fd(step->object, step->end), &value, sizeof(value));
}

static bool perform(unsigned k, const struct step *step)
{
	const int fd = world_fd(step->object, step->end);

	switch (step->kind) {
	case P_FEED:
		return feed(k, step);
	case P_DRAIN:
		return drain(k, step);
	case P_CLOSE:
		close(fd);
		break;
	case P_SHUTDOWN:
		shutdown(fd, SHUT_WR);
		break;
	case P_WAKE:
		__atomic_store_n(world_futex(step->object), 1, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, world_futex(step->object), FUTEX_WAKE, 1, NULL, NULL, 0);
		break;
	case P_UNLOCK:
		world_lock(fd, false);
		break;
	case P_COUNT:
		count(step);
		break;
	case P_SIGNAL:
		kill(getpid(), SIGUSR2);
		break;
	default:
		mkdirat(fd, "b", 0700);
	}
	return true;
}

/* Everything that can be done now. Returns for how long nothing more can be, in nanoseconds; UINT64_MAX
 * when all is done. */
static uint64_t go_on(bool at_once)
{
	bool held[OBJECTS_MAX] = { false };
	const uint64_t time = asys_now() - now.began;
	uint64_t next = UINT64_MAX;

	for (unsigned k = 0; k < now.program->steps; k++) {
		const struct step *step = &now.program->step[k];
		const uint64_t at = step->at_us * UINT64_C(1000);

		if (now.done[k] || held[step->object])
			continue;
		if (at_once || time >= at)
			now.done[k] = perform(k, step);
		if (now.done[k])
			continue;
		/* When all is over, nobody makes room or brings anything any more. */
		held[step->object] = !(at_once && step->kind == P_DRAIN);
		if (time < at)
			next = at - time < next ? at - time : next;
		else
			next = TRY_AGAIN_NS < next ? TRY_AGAIN_NS : next;
	}
	return next;
}

/* Whoever ends the program does not wait longer than a step would have. */
static void be_peer(void *arg)
{
	struct timespec pause = { 0, 0 };
	uint64_t next;

	(void)arg;
	while (!__atomic_load_n(&now.stop, __ATOMIC_ACQUIRE) &&
	       (next = go_on(false)) != UINT64_MAX) {
		pause.tv_nsec = next < PAUSE_MOST_NS ? (long)next : PAUSE_MOST_NS;
		nanosleep(&pause, NULL);
	}
	go_on(true);
}

void peer_start(const struct program *program, struct run *run)
{
	now.running = program->steps > 0;
	if (!now.running)
		return;
	memset(&now, 0, sizeof(now));
	now.running = true;
	now.program = program;
	now.run = run;
	now.began = asys_now();
	thread_start(&peer, be_peer, NULL);
}

void peer_stop(void)
{
	if (!now.running)
		return;
	__atomic_store_n(&now.stop, true, __ATOMIC_RELEASE);
	thread_join(&peer);
	now.running = false;
}
