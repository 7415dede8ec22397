/* SPDX-License-Identifier: MIT */
/*
 * Contract: what the library does behind the scenes interrupts nobody: neither the timer that gets a
 * waiter out of an open that hangs (src/sched/rescue.c), nor, but for what docs/LIMITS.md says, a
 * ring that the kernel takes apart.
 */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define LATE_MS 12     /* several ticks of the timer */
#define SETTLED_MS 200 /* rings that other threads took over from this one are gone */

static bool under_tsan(void)
{
#if defined(__SANITIZE_THREAD__)
	return true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
	return true;
#endif
#endif
	return false;
}

static struct asys_queue *open_engine(uint32_t engine)
{
	struct asys_queue_options options;

	asys_queue_options_init(&options);
	options.engine = engine;
	return open_with(&options);
}

/* Open, read, write, close in one flow, and the only wait is the barrier. */
static void cat(struct asys_queue *q, const char *path, int out, int64_t size)
{
	static char buf[65536];
	asys_id in = submit(q, SYS_openat, AT_FDCWD, path, O_RDONLY, 0);
	asys_id n = submit_refs(q, SYS_read, ASYS_CALL_REF(0), in.value, buf, sizeof(buf));
	asys_id w = submit_refs(q, SYS_write, ASYS_CALL_REF(2), out, buf, n.value);

	submit_refs(asys_after(q, w), SYS_close, ASYS_CALL_REF(0), in.value);
	check_eq(asys_queue_barrier(q), 0);
	check_eq(result_of(q, n), size);
	check_eq(result_of(q, w), size);
	check_eq(drain(q), 2);
}

/* Files of length 0 and not, in new queues and in old ones, so that ticks fall everywhere. */
static void test_cat(void **state)
{
	static const uint32_t engines[] = { ASYS_ENGINE_INLINE, ASYS_ENGINE_AUTO,
					    ASYS_ENGINE_READY };
	char *dir = temp_make(), *empty = NULL, *full = NULL;
	int out = memory_file(), fd;

	(void)state;
	check(asprintf(&empty, "%s/empty", dir) > 0 && asprintf(&full, "%s/full", dir) > 0);
	check_eq(mknod(empty, S_IFREG | 0600, 0), 0);
	fd = open(full, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	check_eq(write(fd, "0123456789", 10), 10);
	close(fd);
	for (unsigned e = 0; e < 3; e++) {
		struct asys_queue *old = open_engine(engines[e]);

		for (unsigned k = 0; k < iterations(200); k++) {
			struct asys_queue *q = open_engine(engines[e]);

			cat(q, empty, out, 0);
			cat(old, k % 2 ? empty : full, out, k % 2 ? 0 : 10);
			asys_queue_close(q);
			progress();
		}
		asys_queue_close(old);
	}
	close(out);
	free(empty);
	free(full);
	temp_remove(dir);
}

static void *write_late(void *arg)
{
	sleep_ms(LATE_MS);
	check_eq(write(*(const int *)arg, "x", 1), 1);
	return NULL;
}

/*
 * The timer runs on while a call that came with the open blocks in the same wait: alone, so that it
 * runs in the waiter itself, or with others, so that the waiter sleeps.
 */
static void blocked_after_open(uint32_t engine, unsigned others)
{
	struct asys_queue *q = open_engine(engine);
	char byte, bytes[4];
	asys_id opened, id, other[4];
	int fd[2], idle[2];
	pthread_t thread;

	make_pipe(fd);
	make_pipe(idle);
	for (unsigned k = 0; k < 4; k++) {
		for (unsigned n = 0; n < others; n++)
			other[n] = submit(q, SYS_read, idle[0], &bytes[n], 1);
		opened = submit(q, SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC, 0);
		id = submit(asys_after_ok(q, opened), SYS_read, fd[0], &byte, 1);
		check_eq(pthread_create(&thread, NULL, write_late, &fd[1]), 0);
		check_eq(result_of(q, id), 1);
		check_eq(close((int)result_of(q, opened)), 0);
		pthread_join(thread, NULL);
		for (unsigned n = 0; n < others; n++)
			check_eq(asys_queue_cancel(q, other[n]), 0);
		check_eq(drain(q), others);
	}
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
	close(idle[0]);
	close(idle[1]);
}

/* The same where the wait is for all: then the call is alone and runs in the waiter. */
static void alone_after_open(void)
{
	struct asys_queue *q = open_queue();
	pthread_t thread;
	asys_id opened;
	char byte;
	int fd[2];

	make_pipe(fd);
	for (unsigned k = 0; k < 4; k++) {
		opened = submit(asys_quiet(q), SYS_mkdirat, -1, "none", 0);
		opened = submit(q, SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC, 0);
		submit(asys_after_ok(q, opened), SYS_read, fd[0], &byte, 1);
		check_eq(pthread_create(&thread, NULL, write_late, &fd[1]), 0);
		check_eq(asys_queue_barrier(q), -EBADF);
		check_eq(close((int)result_of(q, opened)), 0);
		pthread_join(thread, NULL);
		check_eq(drain(q), 2);
	}
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void test_blocked_after_open(void **state)
{
	(void)state;
	/* the handler runs late there, so the library cannot tell whose signal it was */
	if (under_tsan())
		skip_because("ThreadSanitizer holds signals back");
	blocked_after_open(ASYS_ENGINE_AUTO, 0);
	blocked_after_open(ASYS_ENGINE_AUTO, 3);
	blocked_after_open(ASYS_ENGINE_INLINE, 0);
	blocked_after_open(ASYS_ENGINE_READY, 2);
	alone_after_open();
}

/* A FIFO's open leaves the waiter by the timer; whose timer that is changes with the thread. */
struct fifo {
	struct asys_queue *queue;
	const char *path;
};

static void *open_fifo(void *arg)
{
	const struct fifo *fifo = arg;
	struct asys_queue *q = fifo->queue;
	asys_id in, out;

	for (unsigned k = 0; k < 3; k++) {
		in = submit(q, SYS_openat, AT_FDCWD, fifo->path, O_RDONLY | O_CLOEXEC, 0);
		out = submit(q, SYS_openat, AT_FDCWD, fifo->path, O_WRONLY | O_CLOEXEC, 0);
		int a = (int)result_of(q, in), b = (int)result_of(q, out);

		check(a >= 0 && b >= 0);
		close(a);
		close(b);
		progress();
	}
	return NULL;
}

static void test_fifo_in_each_thread(void **state)
{
	char *dir = temp_make(), *path = NULL;
	struct fifo fifo = { .queue = open_queue() };
	pthread_t thread;

	(void)state;
	check(asprintf(&path, "%s/fifo", dir) > 0);
	check_eq(mkfifo(path, 0600), 0);
	fifo.path = path;
	for (unsigned k = 0; k < 4; k++) {
		open_fifo(&fifo);
		check_eq(pthread_create(&thread, NULL, open_fifo, &fifo), 0);
		pthread_join(thread, NULL);
	}
	asys_queue_close(fifo.queue);
	free(path);
	temp_remove(dir);
}

/* A ring is used, and closed. */
static void use_ring(void)
{
	struct asys_queue *q = open_queue();
	char byte;
	asys_id id;
	int fd[2];

	make_pipe(fd);
	id = submit(q, SYS_read, fd[0], &byte, 1);
	check_eq(asys_queue_flush(q), 0);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(result_of(q, id), 1);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

/* What else the thread waits in: undisturbed.c looks at this for every kind of queue. */
static void test_after_ring(void **state)
{
	const struct timespec moment = { 0, LATE_MS * 1000000 };
	int set, fd[2];
	struct epoll_event event;
	pthread_t thread;
	char byte;

	(void)state;
	set = epoll_create1(EPOLL_CLOEXEC);
	check(set >= 0);
	make_pipe(fd);
	sleep_ms(SETTLED_MS);
	for (unsigned k = 0; k < 10; k++) {
		use_ring();
		for (unsigned n = 0; n < 3; n++)
			check_eq(epoll_wait(set, &event, 1, LATE_MS), 0);
		use_ring();
		check_eq(nanosleep(&moment, NULL), 0);
		use_ring();
		check_eq(pthread_create(&thread, NULL, write_late, &fd[1]), 0);
		check_eq(read(fd[0], &byte, 1), 1);
		pthread_join(thread, NULL);
		progress();
	}
	close(fd[0]);
	close(fd[1]);
	close(set);
}

/* Another queue of the same thread takes no harm, and says nothing of it to its user. */
static void test_other_queue_after_ring(void **state)
{
	struct asys_queue *q = open_queue();
	pthread_t thread;
	char bytes[2];
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned k = 0; k < 20; k++) {
		asys_id id;

		/* alone: it runs in this thread; then two: it sleeps */
		use_ring();
		check_eq(pthread_create(&thread, NULL, write_late, &fd[1]), 0);
		id = submit(q, SYS_read, fd[0], &bytes[0], 1);
		check_eq(result_of(q, id), 1);
		pthread_join(thread, NULL);
		use_ring();
		check_eq(pthread_create(&thread, NULL, write_late, &fd[1]), 0);
		id = submit(q, SYS_read, fd[0], &bytes[0], 1);
		submit(asys_after(q, id), SYS_getppid, 0);
		check_eq(asys_queue_barrier(q), 0);
		check_eq(drain(q), 2);
		pthread_join(thread, NULL);
		progress();
	}
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_cat),
		contract(test_blocked_after_open),
		contract(test_fifo_in_each_thread),
		contract(test_after_ring),
		contract(test_other_queue_after_ring),
	};

	return group(tests, argc, argv);
}
