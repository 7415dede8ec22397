/* SPDX-License-Identifier: MIT */
/* Contract: many opens at once, which may go through the ring together, mean what one by one means. */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define BATCH 64u
#define ROUNDS 12u /* a ring is made when some hundred calls could have used it */

struct place {
	char *path;
	int dir;
};

static void place_open(struct place *p)
{
	int fd;

	p->path = temp_make();
	p->dir = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	check(p->dir >= 0);
	fd = openat(p->dir, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	check_eq(write(fd, "some bytes", 10), 10);
	close(fd);
	check_eq(mkdirat(p->dir, "folder", 0700), 0);
	check_eq(mkfifoat(p->dir, "fifo", 0600), 0);
	check_eq(mkfifoat(p->dir, "unread", 0600), 0);
	check_eq(symlinkat("loop", p->dir, "loop"), 0);
	check_eq(symlinkat("file", p->dir, "link"), 0);
}

static void place_close(struct place *p)
{
	close(p->dir);
	temp_remove(p->path);
}

static asys_id send_open(struct asys_queue *q, int dir, const char *name, int flags)
{
	return submit(q, SYS_openat, dir, name, flags, 0600);
}

/* Waits for all of a batch, in a way that lets the queue run it together. */
static void all_results(struct asys_queue *q, int64_t *ret_results, unsigned n)
{
	struct asys_event events[2 * BATCH];
	int got = asys_queue_get_many(q, events, n, n, ASYS_FOREVER);

	check_eq(got, n);
	for (unsigned i = 0; i < n; i++)
		ret_results[events[i].user] = events[i].result;
	progress();
}

static uint64_t by_ring(struct asys_queue *q)
{
	struct asys_stats stats;

	check_eq(asys_queue_stats(q, &stats), 0);
	return stats.by_engine[ASYS_ENGINE_URING];
}

static void open_many(struct asys_queue *q, const struct place *p)
{
	int64_t fds[BATCH];

	for (unsigned i = 0; i < BATCH; i++)
		send_open(asys_user(q, i), p->dir, "file", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	all_results(q, fds, BATCH);
	for (unsigned i = 0; i < BATCH; i++) {
		check(fds[i] >= 0);
		check_eq(close((int)fds[i]), 0);
	}
}

/* The ring serves them unless an engine is forced, or there is none; only that is not taken on trust.
 * Only a waiter of a private queue makes batches. */
static void check_ring(struct asys_queue *q, const struct place *p)
{
	if ((getenv("ASYS_ENGINE") && !engine_forced("auto")) || getenv("ASYS_FAULT") ||
	    asys_probe()->uring || is_sanitized() || !driver_is("wait"))
		return;
	for (unsigned round = 0; round < 500 && !by_ring(q); round++)
		open_many(q, p);
	check(by_ring(q) > 0);
}

static struct asys_queue *begin(struct place *ret_place)
{
	struct asys_queue *q = open_queue();

	place_open(ret_place);
	check_ring(q, ret_place);
	return q;
}

static void end(struct asys_queue *q, struct place *p)
{
	asys_queue_close(q);
	place_close(p);
}

static const struct {
	const char *name;
	int flags;
	bool from_nowhere;
} cases[] = {
	{ "file", O_RDONLY | O_NONBLOCK | O_CLOEXEC, false },
	{ "file", O_RDWR | O_NONBLOCK | O_APPEND, false },
	{ "file", O_PATH | O_CLOEXEC, false },
	{ "file", O_DIRECTORY, false },
	{ "file", O_RDONLY | O_CLOEXEC, false },
	{ "file", O_WRONLY | O_CREAT | O_NONBLOCK, false },
	{ "file", O_WRONLY | O_CREAT | O_EXCL | O_NONBLOCK, false },
	{ "folder", O_RDONLY | O_DIRECTORY | O_CLOEXEC, false },
	{ "folder", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, false },
	{ "folder", O_PATH | O_DIRECTORY, false },
	{ "folder", O_WRONLY | O_DIRECTORY, false },
	{ "folder", O_WRONLY | O_NONBLOCK, false },
	{ "folder", O_TMPFILE | O_RDWR, false },
	{ "fifo", O_RDONLY | O_NONBLOCK, false },
	{ "unread", O_WRONLY | O_NONBLOCK, false },
	{ "fifo", O_PATH, false },
	{ "fifo", O_RDONLY | O_DIRECTORY, false },
	{ "loop", O_RDONLY | O_NONBLOCK, false },
	{ "link", O_RDONLY | O_NONBLOCK | O_NOFOLLOW, false },
	{ "link", O_RDONLY | O_NONBLOCK, false },
	{ "link", O_PATH | O_NOFOLLOW, false },
	{ "none", O_RDONLY | O_NONBLOCK, false },
	{ "none/file", O_RDONLY | O_NONBLOCK, false },
	{ "file/file", O_RDONLY | O_NONBLOCK, false },
	{ "", O_RDONLY | O_NONBLOCK, false },
	{ NULL, O_RDONLY | O_NONBLOCK, false },
	{ "file", O_RDONLY | O_NONBLOCK, true },
	{ "folder", O_RDONLY | O_DIRECTORY, true },
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

/* The same file, opened the same way. */
static void check_same(int a, int b)
{
	struct stat one, other;

	check_eq(fstat(a, &one), 0);
	check_eq(fstat(b, &other), 0);
	/* a nameless file is another one each time */
	check(one.st_ino == other.st_ino || !one.st_nlink);
	check_eq(one.st_mode, other.st_mode);
	check_eq(fcntl(a, F_GETFL), fcntl(b, F_GETFL));
	check_eq(fcntl(a, F_GETFD), fcntl(b, F_GETFD));
}

static void check_case(const struct place *p, unsigned k, int64_t result)
{
	int dir = cases[k].from_nowhere ? -1 : p->dir;
	int64_t fd = syscall(SYS_openat, dir, cases[k].name, cases[k].flags, 0600);

	if (fd < 0) {
		check_eq(result, -errno);
		return;
	}
	check(result >= 0);
	check_same((int)result, (int)fd);
	close((int)fd);
	close((int)result);
}

/* Of every sort the batch holds several, in a row and mixed. */
static void test_results(void **state)
{
	int64_t results[BATCH];
	struct place p;
	struct asys_queue *q = begin(&p);

	(void)state;
	for (unsigned round = 0; round < ROUNDS * CASES / 4; round++) {
		unsigned stride = round % 8 ? 1 : 7;

		for (unsigned i = 0; i < BATCH; i++) {
			unsigned k = (round + i / 8 * stride) % CASES;

			send_open(asys_user(q, i), cases[k].from_nowhere ? -1 : p.dir,
				  cases[k].name, cases[k].flags);
		}
		all_results(q, results, BATCH);
		for (unsigned i = 0; i < BATCH; i++)
			check_case(&p, (round + i / 8 * stride) % CASES, results[i]);
	}
	end(q, &p);
}

/* Names that the kernel has not in its cache: not served at once. */
static void test_unknown_names(void **state)
{
	static char names[BATCH][32];
	int64_t results[BATCH];
	struct place p;
	struct asys_queue *q = begin(&p);

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < BATCH; i++) {
			snprintf(names[i], sizeof(names[i]), "new-%u-%u", round, i);
			send_open(asys_user(q, i), p.dir, i % 2 ? names[i] : "file", O_NONBLOCK);
		}
		all_results(q, results, BATCH);
		for (unsigned i = 0; i < BATCH; i++) {
			if (i % 2)
				check_eq(results[i], -ENOENT);
			else
				check_eq(close((int)results[i]), 0);
		}
	}
	end(q, &p);
}

/* open, read what it opened, then close it; and calls that depend on an open that fails. */
static void test_dependents(void **state)
{
	char bytes[BATCH / 4][16];
	int64_t results[BATCH];
	struct place p;
	struct asys_queue *q = begin(&p);

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		memset(bytes, 0, sizeof(bytes));
		for (unsigned i = 0; i < BATCH; i += 4) {
			asys_id id, bad, use;

			id = send_open(asys_user(q, i), p.dir, "file", O_NONBLOCK | O_CLOEXEC);
			use = submit_refs(asys_user(q, i + 1), SYS_pread64, ASYS_CALL_REF(0),
					  id.value, bytes[i / 4], 16, 0);
			submit_refs(asys_after(asys_user(q, i + 2), use), SYS_close,
				    ASYS_CALL_REF(0), id.value);
			bad = send_open(asys_user(q, i + 3), p.dir, "none", O_DIRECTORY);
			submit_refs(asys_quiet(asys_user(q, i + 3)), SYS_close, ASYS_CALL_REF(0),
				    bad.value);
		}
		/* a failed call has an event even if it is quiet: 5 of each 4 sent */
		struct asys_event events[BATCH / 4 * 5];

		check_eq(asys_queue_get_many(q, events, BATCH / 4 * 5, BATCH / 4 * 5, ASYS_FOREVER),
			 BATCH / 4 * 5);
		for (unsigned i = 0; i < BATCH / 4 * 5; i++)
			results[events[i].user] = events[i].result;
		for (unsigned i = 0; i < BATCH; i += 4) {
			check(results[i] >= 0);
			check_eq(results[i + 1], 10);
			check(!strcmp(bytes[i / 4], "some bytes"));
			check_eq(results[i + 2], 0);
			check_eq(results[i + 3], -ENOENT);
		}
		progress();
	}
	end(q, &p);
}

/* Closing what is not open, among opens. */
static void test_bad_descriptors(void **state)
{
	int64_t results[BATCH];
	struct place p;
	struct asys_queue *q = begin(&p);

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < BATCH; i++) {
			if (i % 8 == 7)
				submit(asys_user(q, i), SYS_close, i % 16 == 7 ? -1 : 1000000);
			else
				send_open(asys_user(q, i), i % 8 == 3 ? 1000000 : p.dir, "folder",
					  O_DIRECTORY);
		}
		all_results(q, results, BATCH);
		for (unsigned i = 0; i < BATCH; i++) {
			if (i % 4 == 3)
				check_eq(results[i], -EBADF);
			else
				check_eq(close((int)results[i]), 0);
		}
	}
	end(q, &p);
}

static int few_descriptors(void *arg)
{
	struct rlimit limit = { 48, 48 };
	int64_t results[BATCH];
	unsigned opened = 0;
	struct place p;
	struct asys_queue *q = begin(&p);
	int fd;

	(void)arg;
	warm_up(q);
	check_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < BATCH; i++)
			send_open(asys_user(q, i), p.dir, "file", O_NONBLOCK | O_CLOEXEC);
		all_results(q, results, BATCH);
		/* all numbers are in use, none twice */
		fd = open(".", O_PATH);
		check(fd < 0 && errno == EMFILE);
		opened = 0;
		for (unsigned i = 0; i < BATCH; i++) {
			opened += results[i] >= 0;
			if (results[i] < 0)
				check_eq(results[i], -EMFILE);
			else
				check_eq(close((int)results[i]), 0);
		}
		check(opened && opened < 48);
	}
	end(q, &p);
	return 0;
}

static void test_few_descriptors(void **state)
{
	(void)state;
	check_child(few_descriptors, NULL);
}

/* Every call brings its event, also those that were cancelled. */
static void test_cancel(void **state)
{
	struct asys_event event;
	struct place p;
	struct asys_queue *q = begin(&p);

	(void)state;
	for (unsigned round = 0; round < 4 * ROUNDS; round++) {
		unsigned seen = 0;

		for (unsigned i = 0; i < BATCH; i++)
			send_open(q, p.dir, round % 2 ? "file" : "folder", O_NONBLOCK | O_CLOEXEC);
		while (seen < BATCH) {
			check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
			if (event.result >= 0)
				check_eq(close((int)event.result), 0);
			else
				check_eq(event.result, -ECANCELED);
			if (++seen == round)
				check(asys_queue_cancel_all(q) >= 0);
		}
		check_eq(asys_queue_get(q, &event), 0);
		progress();
	}
	/* closing a queue cancels what is left; what was opened by then stays open */
	open_many(q, &p);
	end(q, &p);
}

/* A call past its deadline ends with -ETIME, unless it was faster; the others are not touched. */
static void test_deadline(void **state)
{
	int64_t results[BATCH];
	struct place p;
	struct asys_queue *q = begin(&p);

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < BATCH; i++) {
			if (i % 8 == 0)
				asys_deadline(q, asys_now() + 1000 * round);
			send_open(asys_user(q, i), p.dir, "file", O_NONBLOCK | O_CLOEXEC);
		}
		all_results(q, results, BATCH);
		for (unsigned i = 0; i < BATCH; i++) {
			if (results[i] >= 0)
				check_eq(close((int)results[i]), 0);
			else
				check_eq(i % 8 ? 0 : results[i], -ETIME);
		}
	}
	end(q, &p);
}

static void test_fork(void **state)
{
	int64_t fds[BATCH];
	struct place p;
	struct asys_queue *q = begin(&p);

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		int status = -1;
		pid_t pid;

		for (unsigned i = 0; i < BATCH; i++)
			send_open(asys_user(q, i), p.dir, "file", O_NONBLOCK | O_CLOEXEC);
		fflush(NULL);
		pid = fork();
		check(pid >= 0);
		if (!pid) {
			struct asys_queue *own;

			check_eq(submit(q, SYS_getppid, 0).value, -ECHILD);
			own = open_queue();
			open_many(own, &p);
			asys_queue_close(own);
			if (round % 2)
				asys_queue_close(q);
			_exit(0);
		}
		if (round % 3)
			check_eq(waitpid(pid, &status, 0), pid);
		all_results(q, fds, BATCH);
		for (unsigned i = 0; i < BATCH; i++)
			check_eq(close((int)fds[i]), 0);
		if (round % 3 == 0)
			check_eq(waitpid(pid, &status, 0), pid);
		check_eq(status, 0);
	}
	end(q, &p);
}

/* After a change of rights the ring is not used any more. */
static void test_context(void **state)
{
	struct place p;
	struct asys_queue *q = begin(&p);
	uint64_t before;

	(void)state;
	check_eq(asys_queue_renew(q), 0);
	before = by_ring(q);
	for (unsigned round = 0; round < ROUNDS; round++)
		open_many(q, &p);
	check_eq(by_ring(q), before);
	end(q, &p);
}

struct move {
	struct asys_queue *q;
	const struct place *p;
};

static void *moved(void *arg)
{
	const struct move *move = arg;

	for (unsigned round = 0; round < ROUNDS; round++)
		open_many(move->q, move->p);
	return NULL;
}

/* A ring belongs to the thread that made it; the queue may move. */
static void test_moved(void **state)
{
	struct place p;
	struct asys_queue *q = begin(&p);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct move move = { q, &p };
		pthread_t thread;

		check_eq(pthread_create(&thread, NULL, moved, &move), 0);
		check_eq(pthread_join(thread, NULL), 0);
		moved(&move);
	}
	end(q, &p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_results),		contract(test_unknown_names),
		contract(test_dependents),	contract(test_bad_descriptors),
		contract(test_few_descriptors), contract(test_cancel),
		contract(test_deadline),	contract(test_fork),
		contract(test_context),		contract(test_moved),
	};

	return group(tests, argc, argv);
}
