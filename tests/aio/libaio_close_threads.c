/* SPDX-License-Identifier: MIT */
/* Descriptors are closed under operations in flight by several threads at once, while others wait for
 * events, in signal handlers, and in children. */
#include "libaio_support.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <sys/wait.h>

#define PAGE 4096
#define THREADS 4
#define WRITES 8

/* Rounds: a context has room for the events of all of them, as many as the system allows. */
static unsigned rounds_of_writers(void)
{
	unsigned n = iterations(60);

	return n < 500 ? n : 500;
}

/* Every thread writes to its own file through a descriptor that it closes at once, while all get new
 * numbers all the time: so what goes to a wrong number goes to a wrong file. */
struct writer {
	pthread_t thread;
	io_context_t ctx;
	int keep, bell;
	unsigned number, rounds;
	bool gets; /* its own events; else somebody else does */
	atomic_uint *submitted;
};

static void write_and_close(struct writer *w, unsigned round, unsigned char (*mem)[PAGE],
			    struct iocb *cb)
{
	struct iocb *list[WRITES];
	int fd = reopen(w->keep);

	for (unsigned k = 0; k < WRITES; k++) {
		memset(mem[k], (int)(w->number * 60 + (round + k) % 50), PAGE);
		/* Every second is over the one before. */
		io_prep_pwrite(&cb[k], fd, mem[k], PAGE, k / 2 * PAGE);
		if (w->bell >= 0)
			io_set_eventfd(&cb[k], w->bell);
		list[k] = &cb[k];
	}
	check_eq(io_submit(w->ctx, WRITES, list), WRITES);
	check_eq(close(fd), 0);
	atomic_fetch_add(w->submitted, WRITES);
}

static void check_written(const struct writer *w, unsigned round)
{
	unsigned char mem[PAGE];

	for (unsigned k = 1; k < WRITES; k += 2) {
		unsigned char value = (unsigned char)(w->number * 60 + (round + k) % 50);

		check_eq(pread(w->keep, mem, PAGE, k / 2 * PAGE), PAGE);
		check_eq(mem[0], value);
		check_eq(memcmp(mem, mem + 1, PAGE - 1), 0);
	}
}

static void *run_writer(void *arg)
{
	struct writer *w = arg;
	unsigned char(*mem)[PAGE] = malloc(WRITES * PAGE);
	struct iocb cb[WRITES];

	check(mem);
	/* iocbs and buffers are used again though their events may not be got: the writes are over. */
	for (unsigned round = 0; round < w->rounds; round++) {
		write_and_close(w, round, mem, cb);
		check_written(w, round);
		for (int k = 0; w->gets && k < WRITES; k++)
			check_eq(get_event(w->ctx).res, PAGE);
	}
	free(mem);
	return NULL;
}

static void run_writers(io_context_t shared, int bell, bool gets)
{
	static atomic_uint submitted;
	struct writer writers[THREADS];
	struct timespec limit = { 10, 0 };
	struct io_event events[3];
	unsigned rounds = rounds_of_writers(), got = 0;

	atomic_store(&submitted, 0);
	for (unsigned k = 0; k < THREADS; k++) {
		writers[k] = (struct writer){ .ctx = shared ? shared : setup(WRITES),
					      .keep = numbered_file(WRITES / 2, 0),
					      .bell = bell,
					      .number = k,
					      .rounds = rounds,
					      .gets = gets,
					      .submitted = &submitted };
	}
	/* No file is made beside them: ThreadSanitizer does not know mkstemp, and would take a number that one of
	 * them has closed for the descriptor that it was. */
	for (unsigned k = 0; k < THREADS; k++)
		check_eq(pthread_create(&writers[k].thread, NULL, run_writer, &writers[k]), 0);
	/* The last ones come one at a time. */
	while (!gets && got < THREADS * rounds * WRITES) {
		int most = got + 3 <= THREADS * rounds * WRITES ? 3 : 1;
		int n = io_getevents(shared, most, most, events, &limit);

		check_eq(n, most);
		for (int k = 0; k < n; k++)
			check_eq(events[k].res, PAGE);
		got += (unsigned)n;
		progress();
	}
	for (unsigned k = 0; k < THREADS; k++) {
		pthread_join(writers[k].thread, NULL);
		close(writers[k].keep);
		if (!shared)
			check_eq(io_destroy(writers[k].ctx), 0);
	}
}

static void test_own_contexts(void **state)
{
	(void)state;
	run_writers(NULL, -1, true);
}

/* Another thread waits for the events of all, three at a time. */
static void test_waiter(void **state)
{
	io_context_t ctx = setup((int)(THREADS * WRITES * rounds_of_writers()));

	(void)state;
	run_writers(ctx, -1, false);
	check_eq(io_destroy(ctx), 0);
}

static void test_waiter_with_eventfd(void **state)
{
	io_context_t ctx = setup((int)(THREADS * WRITES * rounds_of_writers()));
	int bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	uint64_t count, all = (uint64_t)THREADS * WRITES * rounds_of_writers();

	(void)state;
	run_writers(ctx, bell, false);
	sleep_ms(20);
	check_eq(read(bell, &count, sizeof(count)), sizeof(count));
	check_eq(count, all);
	check_eq(io_destroy(ctx), 0);
	close(bell);
}

/* A handler closes descriptors with operations in flight, wherever it interrupts the thread. */
#define DOOMED 64
static int doomed[DOOMED];
static volatile sig_atomic_t next_doomed;

static void on_alarm(int sig)
{
	(void)sig;
	if (next_doomed < DOOMED)
		close(doomed[next_doomed++]);
}

static void set_timer(unsigned us)
{
	struct itimerval when = { { 0, (suseconds_t)us }, { 0, (suseconds_t)us } };

	check_eq(setitimer(ITIMER_REAL, &when, NULL), 0);
}

static int get_one(io_context_t ctx)
{
	struct timespec limit = { 10, 0 };
	struct io_event event;
	int n;

	while ((n = io_getevents(ctx, 1, 1, &event, &limit)) == -EINTR)
		;
	check_eq(n, 1);
	return (int)event.res;
}

static void test_handler(void **state)
{
	static unsigned char mem[DOOMED][PAGE];
	struct sigaction action = { .sa_handler = on_alarm };
	io_context_t ctx = setup(2 * DOOMED);
	struct iocb cb[DOOMED], more;
	int keep = numbered_file(DOOMED, 0);

	(void)state;
	check_eq(sigaction(SIGALRM, &action, NULL), 0);
	for (unsigned rounds = iterations(4); rounds--;) {
		next_doomed = 0;
		for (int k = 0; k < DOOMED; k++) {
			doomed[k] = reopen(keep);
			io_prep_pwrite(&cb[k], doomed[k], mem[k], PAGE, k * (long long)PAGE);
			check_eq(submit_iocb(ctx, &cb[k]), 1);
		}
		set_timer(500);
		for (int k = 0; k < DOOMED; k++) {
			io_prep_pread(&more, keep, mem[k], PAGE, k * (long long)PAGE);
			check_eq(submit_iocb(ctx, &more), 1);
			get_one(ctx);
			/* Not the handler's: what it closes while this thread is in the shim is lost. */
			while (next_doomed < k)
				pause();
		}
		for (int k = 0; k < DOOMED; k++)
			get_one(ctx);
		while (next_doomed < DOOMED)
			pause();
		set_timer(0);
		progress();
	}
	check_eq(io_destroy(ctx), 0);
	close(keep);
}

/* What children do to their numbers is no business of the parent's operations. */
static void in_child(bool share_memory)
{
	static unsigned char mem[PAGE], back[PAGE];
	io_context_t ctx = setup(4);
	int keep = numbered_file(2, 0), fd = reopen(keep), other = numbered_file(2, 0), pipes[2];
	int status;
	struct iocb cb[2];
	pid_t pid;

	make_pipe(pipes);
	memset(mem, 99, PAGE);
	io_prep_poll(&cb[0], pipes[0], POLLIN);
	check_eq(submit_iocb(ctx, &cb[0]), 1);
	io_prep_pwrite(&cb[1], fd, mem, PAGE, 0);
	check_eq(submit_iocb(ctx, &cb[1]), 1);
	pid = share_memory ? vfork() : fork(); /* NOLINT: this is about vfork */
	check(pid >= 0);
	if (!pid) {
		dup2(other, fd);
		close(pipes[0]);
		close(pipes[1]);
		_exit(0);
	}
	check_eq(waitpid(pid, &status, 0), pid);
	check_eq(status, 0);
	check_eq(get_one(ctx), PAGE);
	check_eq(pread(keep, back, PAGE, 0), PAGE);
	check_eq(memcmp(mem, back, PAGE), 0);
	check_eq(pread(other, back, PAGE, 0), PAGE);
	check_page(back, 0);
	check_eq(write(pipes[1], "x", 1), 1);
	check(get_one(ctx) & POLLIN);
	check_eq(io_destroy(ctx), 0);
	close(keep);
	close(fd);
	close(other);
	close(pipes[0]);
	close(pipes[1]);
}

/* Another thread destroys the context in which this one's close waits for writes, and the other way round; or the
 * process ends meanwhile. */
#define LARGE (1 << 20)

struct doom {
	io_context_t ctx;
	atomic_bool begun;
	unsigned ms;
};

static void *run_doom(void *arg)
{
	struct doom *doom = arg;

	atomic_store(&doom->begun, true);
	sleep_ms(doom->ms);
	check_eq(io_destroy(doom->ctx), 0);
	return NULL;
}

/* Every second write is over the one before. */
static void write_doomed(io_context_t ctx, int fd, int bell)
{
	static unsigned char mem[LARGE];
	static struct iocb cb[WRITES];

	for (int k = 0; k < WRITES; k++) {
		io_prep_pwrite(&cb[k], fd, mem, LARGE, k / 2 * (long long)LARGE);
		if (bell >= 0)
			io_set_eventfd(&cb[k], bell);
		check_eq(submit_iocb(ctx, &cb[k]), 1);
	}
}

static void close_doomed(int keep, int bell, unsigned ms, bool leave)
{
	struct doom doom = { .ctx = setup(WRITES), .ms = ms };
	int fd = reopen(keep);
	pthread_t thread;

	check_eq(ftruncate(keep, 0), 0);
	write_doomed(doom.ctx, fd, bell);
	check_eq(pthread_create(&thread, NULL, run_doom, &doom), 0);
	while (!atomic_load(&doom.begun))
		sched_yield();
	if (leave)
		_exit(0);
	check_eq(close(fd), 0);
	check_eq(lseek(keep, 0, SEEK_END), WRITES / 2 * (long)LARGE);
	check_eq(pthread_join(thread, NULL), 0);
}

static void test_doomed(void **state)
{
	int keep = numbered_file(0, 0), bell = eventfd(0, EFD_CLOEXEC), status;
	pid_t pid;

	(void)state;
	for (unsigned round = 0; round < 12; round++) {
		close_doomed(keep, round % 4 ? bell : -1, round % 4, false);
		progress();
		pid = fork();
		check(pid >= 0);
		if (!pid)
			close_doomed(keep, round % 4 ? bell : -1, round % 4, true);
		check_eq(waitpid(pid, &status, 0), pid);
		check_eq(status, 0);
		progress();
	}
	close(keep);
	close(bell);
}

static void test_fork(void **state)
{
	(void)state;
	in_child(false);
}

static void test_vfork(void **state)
{
	(void)state;
	in_child(true);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_own_contexts),
		contract(test_waiter),
		contract(test_waiter_with_eventfd),
		contract(test_handler),
		contract(test_doomed),
		contract(test_fork),
		contract(test_vfork),
	};

	if (under_shim() && !getenv("ASYS_TEST_CLOSE"))
		return SKIPPED;
	return group(tests, argc, argv);
}
