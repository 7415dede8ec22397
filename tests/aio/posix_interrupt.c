/* SPDX-License-Identifier: MIT */
/* POSIX AIO: threads that are cancelled, or end, and processes that fork, in the middle of its functions. */
#include "posix.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>

#define BLOCKS 64

static struct aiocb blocks[BLOCKS];
static char bytes[BLOCKS][16];

/* --- cancelled --- */

static struct sigevent no_signal(void)
{
	const struct sigevent event = { .sigev_notify = SIGEV_SIGNAL };

	return event;
}

/* All but aio_suspend, by a thread that is to end at its next cancellation point. */
static void *no_cancellation_points(void *arg)
{
	struct sigevent event = no_signal();
	struct aiocb *list[2] = { &blocks[1], &blocks[2] };
	int *fd = arg;

	for (int i = 0; i < 4; i++)
		blocks[i] = block(*fd, bytes[i], 16, 16 * i);
	blocks[1].aio_lio_opcode = blocks[2].aio_lio_opcode = LIO_READ;
	pthread_cancel(pthread_self());
	check_eq(aio_read(&blocks[0]), 0);
	check_eq(lio_listio(LIO_WAIT, list, 2, NULL), 0);
	check_eq(lio_listio(LIO_NOWAIT, list, 2, &event), 0);
	check_eq(aio_write(&blocks[3]), 0);
	while (aio_error(&blocks[3]) == EINPROGRESS)
		sched_yield();
	check_eq(aio_return(&blocks[3]), 16);
	check_eq(aio_fsync(O_DSYNC, &blocks[3]), 0);
	check(aio_cancel(*fd, &blocks[0]) >= 0);
	check(aio_cancel(*fd, NULL) >= 0);
	*fd = -1;
	pthread_testcancel();
	return NULL;
}

/* In a process that has not used it so far, so that everything is made on the way. */
static int cancelled_at_first_use(void *arg)
{
	int fd = file_make(1000), passed = fd;
	struct aiocb cb = block(fd, bytes[8], 16, 0);
	pthread_t thread;
	void *result;

	(void)arg;
	check_eq(pthread_create(&thread, NULL, no_cancellation_points, &passed), 0);
	check_eq(pthread_join(thread, &result), 0);
	check_eq(passed, -1);
	check(result == PTHREAD_CANCELED);
	for (int i = 0; i < 4; i++)
		suspend_end(&blocks[i]);
	check_eq(aio_read(&cb), 0);
	check_ended(&cb, 16);
	return 0;
}

static void are_no_cancellation_points(void **state)
{
	(void)state;
	check_child(cancelled_at_first_use, NULL);
}

static void *read_for_ever(void *arg)
{
	struct aiocb *cb = arg;

	for (;;) {
		check_eq(aio_read(cb), 0);
		suspend_end(cb);
	}
	return NULL;
}

/* Also while what it waits for always ends before anybody would sleep. */
static void suspend_is_one(void **state)
{
	int fd = memory_file();
	pthread_t thread;
	void *result;

	(void)state;
	check_eq(write(fd, bytes[0], 16), 16);
	for (unsigned n = 0; n < 20; n++) {
		blocks[0] = block(fd, bytes[0], 16, 0);
		check_eq(pthread_create(&thread, NULL, read_for_ever, &blocks[0]), 0);
		sleep_ms(n % 5);
		check_eq(pthread_cancel(thread), 0);
		check_eq(pthread_join(thread, &result), 0);
		check(result == PTHREAD_CANCELED);
		/* It may have been before its first call. */
		if (blocks[0].aio_fildes == fd)
			check_eq(suspend_end(&blocks[0]), 0);
	}
	close(fd);
}

struct worker {
	pthread_t thread;
	int fd, pipe;
	int first;
};

/* Everything, with blocks that outlive the thread. `first`: of eight blocks. */
static void do_everything(const struct worker *worker, unsigned n)
{
	struct aiocb *mine = &blocks[worker->first], *list[2] = { &mine[0], &mine[1] };
	struct sigevent event = no_signal();

	for (int i = 0; i < 8; i++) {
		/* A block in flight is not the program's. */
		if (aio_error(&mine[i]) == EINPROGRESS)
			return;
		mine[i] = block(i == 7 ? worker->pipe : worker->fd, bytes[worker->first + i], 8,
				8 * i);
		mine[i].aio_lio_opcode = LIO_READ;
	}
	if (n % 3 == 0) {
		lio_listio(n & 1 ? LIO_WAIT : LIO_NOWAIT, list, 2, &event);
	} else {
		aio_read(&mine[0]);
		aio_write(&mine[1]);
		suspend_end(&mine[0]);
	}
	aio_fsync(O_SYNC, &mine[2]);
	aio_read(&mine[7]);
	aio_cancel(worker->pipe, n & 1 ? &mine[7] : NULL);
	suspend_end(&mine[0]);
	suspend_end(&mine[2]);
}

static void *until_cancelled(void *arg)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	for (unsigned n = 0;; n++) {
		do_everything(arg, n);
		pthread_testcancel();
	}
	return NULL;
}

/* What was in flight ends, and everything works. */
static void check_sound(int fd, int pipe)
{
	struct aiocb cb = block(fd, bytes[0], 8, 0), sync = block(fd, NULL, 0, 0);

	check(aio_cancel(pipe, NULL) >= 0);
	for (int i = 0; i < BLOCKS; i++)
		if (blocks[i].aio_fildes)
			suspend_end(&blocks[i]);
	check_eq(aio_read(&cb), 0);
	check_ended(&cb, 8);
	check_eq(aio_fsync(O_SYNC, &sync), 0);
	check_ended(&sync, 0);
	progress();
}

/* glibc may lose its lock here. */
static void cancelled_anywhere(void **state)
{
	struct worker workers[4];
	int fd = file_make(1000), ends[2];

	(void)state;
	shim_or_skip();
	make_pipe(ends);
	memset(blocks, 0, sizeof(blocks));
	for (unsigned round = iterations(200); round; round--) {
		for (int i = 0; i < 4; i++) {
			workers[i] = (struct worker){ .fd = fd, .pipe = ends[0], .first = 8 * i };
			check_eq(pthread_create(&workers[i].thread, NULL, until_cancelled,
						&workers[i]),
				 0);
		}
		usleep(round % 7 * 300);
		for (int i = 0; i < 4; i++)
			check_eq(pthread_cancel(workers[i].thread), 0);
		for (int i = 0; i < 4; i++)
			check_eq(pthread_join(workers[i].thread, NULL), 0);
		check_sound(fd, ends[0]);
	}
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

static void leave(int signal)
{
	(void)signal;
	pthread_exit(NULL);
}

static void *suspend_until_left(void *arg)
{
	const struct aiocb *list[] = { arg };

	aio_suspend(list, 1, NULL);
	return NULL;
}

/* By pthread_exit in a handler. */
static void exits_while_suspended(void **state)
{
	struct sigaction action = { .sa_handler = leave };
	struct aiocb cb;
	pthread_t thread;
	int fd = file_make(1000), ends[2];

	(void)state;
	sigaction(SIGUSR1, &action, NULL);
	make_pipe(ends);
	memset(blocks, 0, sizeof(blocks));
	cb = block(ends[0], bytes[0], 1, 0);
	check_eq(aio_read(&cb), 0);
	for (int i = 0; i < 10; i++) {
		check_eq(pthread_create(&thread, NULL, suspend_until_left, &cb), 0);
		sleep_ms(10);
		check_eq(pthread_kill(thread, SIGUSR1), 0);
		check_eq(pthread_join(thread, NULL), 0);
	}
	check_eq(write(ends[1], "x", 1), 1);
	check_ended(&cb, 1);
	check_sound(fd, ends[0]);
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

/* --- forks --- */

static atomic_bool stop;

static void *until_stopped(void *arg)
{
	for (unsigned n = 0; !atomic_load(&stop); n++)
		do_everything(arg, n);
	return NULL;
}

/* First notices, then the rest: what was the parent's at that moment is not the child's. */
static int uses_everything(void *arg)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	struct aiocb *none[] = { NULL };
	struct worker worker = { .fd = file_make(1000) };
	int ends[2];

	(void)arg;
	make_pipe(ends);
	worker.pipe = ends[0];
	memset(blocks, 0, sizeof(blocks));
	event = no_signal();
	check_eq(lio_listio(LIO_NOWAIT, none, 1, &event), 0);
	for (unsigned n = 0; n < 4; n++)
		do_everything(&worker, n);
	check_sound(worker.fd, ends[0]);
	return 0;
}

static void forks_while_others_are_inside(void **state)
{
	struct worker workers[3];
	int fd = file_make(1000), ends[2];

	(void)state;
	shim_or_skip();
	make_pipe(ends);
	memset(blocks, 0, sizeof(blocks));
	atomic_store(&stop, false);
	for (int i = 0; i < 3; i++) {
		workers[i] = (struct worker){ .fd = fd, .pipe = ends[0], .first = 8 * i };
		check_eq(pthread_create(&workers[i].thread, NULL, until_stopped, &workers[i]), 0);
	}
	for (unsigned n = iterations(200); n; n--) {
		check_child(uses_everything, NULL);
		progress();
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 3; i++)
		check_eq(pthread_join(workers[i].thread, NULL), 0);
	check_sound(fd, ends[0]);
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

enum { FORKS = 5 };
static volatile sig_atomic_t forked, failed;
static timer_t fork_timer;

static void fork_in_handler(int signal)
{
	int status = -1, saved = errno;
	pid_t child = fork();

	(void)signal;
	if (!child)
		_exit(7);
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	failed |= child < 0 || status != 7 << 8;
	// Where a fork takes longer than the timer's period, handlers would follow one another for ever.
	if (++forked == FORKS)
		timer_settime(fork_timer, 0, &(struct itimerspec){ 0 }, NULL);
	errno = saved;
}

/* In the middle of anything, the first use of all included. */
static int handlers_fork(void *arg)
{
	struct sigaction action = { .sa_handler = fork_in_handler };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF };
	const long first = *(long *)arg;
	const struct itimerspec when = { .it_value.tv_nsec = first,
					 .it_interval.tv_nsec = 1000000 };
	int fd = file_make(1000);
	struct aiocb cb = block(fd, bytes[0], 16, 0);

	sigaction(SIGPROF, &action, NULL);
	check_eq(timer_create(CLOCK_MONOTONIC, &event, &fork_timer), 0);
	check_eq(timer_settime(fork_timer, 0, &when, NULL), 0);
	while (forked < FORKS) {
		check_eq(aio_read(&cb), 0);
		check_ended(&cb, 16);
	}
	timer_delete(fork_timer);
	check_eq(failed, 0);
	return 0;
}

static void forks_in_handlers(void **state)
{
	(void)state;
	shim_or_skip(); /* a child of a process that used glibc's */
	for (long n = iterations(100); n; n--) {
		long ns = 5000 * n;

		check_child(handlers_fork, &ns);
		progress();
	}
}

/* --- signals of the program --- */

static void on_signal(int signal)
{
	(void)signal;
}

/* The first use, in a program that ignores, handles or blocks every signal that may be. */
static int with_signals(void *arg)
{
	struct sigaction action = { .sa_handler = arg };
	int fd = file_make(1000), ends[2];
	struct aiocb cb = block(fd, bytes[0], 16, 0), sync = block(fd, NULL, 0, 0), slow;
	sigset_t all;

	for (int i = SIGRTMIN; arg && i <= SIGRTMAX; i++)
		check_eq(sigaction(i, &action, NULL), 0);
	sigfillset(&all);
	if (!arg)
		pthread_sigmask(SIG_SETMASK, &all, NULL);
	make_pipe(ends);
	slow = block(ends[0], bytes[1], 1, 0);
	for (unsigned n = 0; n < 5; n++) {
		check_eq(aio_read(&slow), 0);
		check_eq(aio_read(&cb), 0);
		check_ended(&cb, 16);
		check_eq(aio_fsync(O_SYNC, &sync), 0);
		check_ended(&sync, 0);
		check_eq(write(ends[1], "x", 1), 1);
		check_ended(&slow, 1);
	}
	return 0;
}

static void signals_are_taken(void **state)
{
	(void)state;
	shim_or_skip(); /* a child of a process that used glibc's */
	check_child(with_signals, SIG_IGN);
	check_child(with_signals, on_signal);
	check_child(with_signals, NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		aio_test(are_no_cancellation_points),
		aio_test(suspend_is_one),
		aio_test(cancelled_anywhere),
		aio_test(exits_while_suspended),
		aio_test(forks_while_others_are_inside),
		aio_test(forks_in_handlers),
		aio_test(signals_are_taken),
	};

	return group(tests, argc, argv);
}
