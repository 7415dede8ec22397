/* SPDX-License-Identifier: MIT */
/* Contract: quick calls that run in a row mean what one by one means, and no more of them run than asked for. */
#include "support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define CALLS 40u
#define ROUNDS 20u /* past the calls of which each is timed */

static uint64_t helped(struct asys_queue *q)
{
	struct asys_stats stats;

	check_eq(asys_queue_stats(q, &stats), 0);
	return stats.helped;
}

/* Who waits runs all of it. */
static struct asys_queue *open_inline(void)
{
	struct asys_queue_options options;

	private_or_skip("others drive the queue, and begin with the first call");
	uncollected_or_skip("a loop takes what there is");
	if (getenv("ASYS_ENGINE") && !engine_forced("inline"))
		skip_because("the environment chose another engine");
	asys_queue_options_init(&options);
	options.engine = ASYS_ENGINE_INLINE;
	return open_with(&options);
}

static void drain_measured(struct asys_queue *q)
{
	struct asys_event events[CALLS];

	for (unsigned r = 0; r < ROUNDS; r++) {
		for (unsigned i = 0; i < CALLS; i++)
			submit(q, SYS_getppid, 0);
		check_eq(asys_queue_get_many(q, events, CALLS, CALLS, ASYS_FOREVER), CALLS);
	}
}

/* Who waits for so many gets so many run: the rest would make it late. */
static void test_no_more_than_asked(void **state)
{
	struct asys_event events[CALLS];
	struct asys_queue *q = open_inline();
	uint64_t before;

	(void)state;
	drain_measured(q);
	for (unsigned want = 1; want <= CALLS; want += 3) {
		for (unsigned i = 0; i < CALLS; i++)
			submit(q, SYS_getppid, 0);
		before = helped(q);
		check_eq(asys_queue_get_many(q, events, want, want, ASYS_FOREVER), want);
		check_eq(helped(q) - before, want);
		check_eq(asys_queue_barrier(q), 0);
		check_eq(drain(q), CALLS - want);
	}
	asys_queue_close(q);
}

/* Who waits for one and has room for more gets some more at once, as long as they cost next to nothing. */
static void test_room_for_more(void **state)
{
	struct asys_event events[CALLS];
	struct asys_queue *q = open_inline();
	unsigned visits = 0, got;

	(void)state;
	drain_measured(q);
	for (unsigned i = 0; i < CALLS; i++)
		submit(q, SYS_getppid, 0);
	for (got = 0; got < CALLS; visits++) {
		int n = asys_queue_get_many(q, events, CALLS, 1, ASYS_FOREVER);

		check(n > 0);
		got += (unsigned)n;
	}
	check_eq(got, CALLS);
	check(visits < CALLS);
	asys_queue_close(q);
}

/* ... no more than there is room for, none that may take long, and none that may hang. */
static void test_no_more_than_room(void **state)
{
	static char big[1 << 20];
	struct asys_event events[CALLS];
	struct asys_queue *q = open_inline();
	int fd = memory_file(), end;
	char *folder = temp_make(), path[4096];
	uint64_t before;

	(void)state;
	drain_measured(q);
	check_eq(ftruncate(fd, sizeof(big)), 0);
	snprintf(path, sizeof(path), "%s/fifo", folder);
	check_eq(mkfifo(path, 0600), 0);
	for (unsigned r = 0; r < 100; r++) {
		for (unsigned i = 0; i < CALLS; i++)
			submit(q, SYS_getppid, 0);
		for (unsigned left = CALLS, n; left; left -= n) {
			before = helped(q);
			n = (unsigned)asys_queue_get_many(q, events, 3, 1, ASYS_FOREVER);
			check(n && n <= 3 && helped(q) - before <= 3);
		}
	}
	/* Such reads were quick as long as they were short. */
	for (unsigned i = 0; i < 10 * CALLS; i++)
		check_eq(result_of(q, submit(q, SYS_pread64, fd, big, 1, 0)), 1);
	for (unsigned i = 0; i < CALLS; i++)
		submit(q, SYS_pread64, fd, big, sizeof(big), 0);
	before = helped(q);
	check_eq(asys_queue_get_many(q, events, CALLS, 1, ASYS_FOREVER), 1);
	check_eq(helped(q) - before, 1);
	check_eq(asys_queue_barrier(q), 0);
	check_eq(drain(q), CALLS - 1);
	/* A FIFO whose other end nobody opens is not begun while there is an event to go with. */
	submit(q, SYS_getppid, 0);
	submit(q, SYS_openat, AT_FDCWD, path, O_RDONLY);
	before = helped(q);
	check_eq(asys_queue_get_many(q, events, CALLS, 1, ASYS_FOREVER), 1);
	check_eq(events[0].result, getppid());
	check_eq(helped(q) - before, 1);
	end = open(path, O_RDWR | O_CLOEXEC);
	check_eq(asys_queue_get_many(q, events, 1, 1, ASYS_FOREVER), 1);
	check(events[0].result >= 0);
	close((int)events[0].result);
	close(end);
	close(fd);
	asys_queue_close(q);
	temp_remove(folder);
}

/* One call in 32 of a lower priority has its turn before: it alone. */
static void test_turns(void **state)
{
	enum { MANY = 200 };
	struct asys_queue *q = open_inline();
	char letters[2 * MANY] = "";
	unsigned low = 0, high = 0;
	int fd = memory_file();

	(void)state;
	drain_measured(q);
	check_eq(fcntl(fd, F_SETFL, O_APPEND), 0);
	for (unsigned i = 0; i < 2 * MANY; i++)
		check(submit(i < MANY ? asys_low(q) : asys_high(q), SYS_pwrite64, fd,
			     i < MANY ? "l" : "h", 1, 0)
			      .value > 0);
	check_eq(asys_queue_barrier(q), 0);
	check_eq(pread(fd, letters, sizeof(letters), 0), 2 * MANY);
	for (unsigned i = 0; high < MANY; i++) {
		high += letters[i] == 'h';
		low += letters[i] == 'l';
	}
	check(low > 0 && low <= MANY / 31 + 1);
	check_eq(drain(q), 2 * MANY);
	close(fd);
	asys_queue_close(q);
}

/* The timer that watches an open for hanging does not make the calls after it come short. */
static void test_whole(void **state)
{
	const uint64_t many = 16 << 20;
	struct asys_queue *q = open_inline();
	char *bytes = malloc(many), *folder = temp_make(), path[4096];
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC), fd;
	asys_id in, random, zeroes;

	(void)state;
	drain_measured(q);
	snprintf(path, sizeof(path), "%s/file", folder);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	for (unsigned i = 0; i < 4; i++) {
		in = submit(q, SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
		random = submit(q, SYS_getrandom, bytes, many, 0);
		zeroes = submit(q, SYS_pread64, zero, bytes, many, 0);
		submit_refs(asys_quiet(q), SYS_close, ASYS_CALL_REF(0), in.value);
		check_eq(asys_queue_barrier(q), 0);
		check_eq(result_of(q, random), many);
		check_eq(result_of(q, zeroes), many);
		check(result_of(q, in) >= 0);
		progress();
	}
	close(fd);
	close(zero);
	free(bytes);
	asys_queue_close(q);
	temp_remove(folder);
}

/* One file that is written at its end: it shows the order. */
static void test_order(void **state)
{
	struct asys_queue *q = open_inline();
	char letters[CALLS + 1] = "", want[CALLS + 1];
	int fd = memory_file();

	(void)state;
	drain_measured(q);
	check_eq(fcntl(fd, F_SETFL, O_APPEND), 0);
	memset(want, 'n', sizeof(want));
	memset(want, 'h', 10);
	memset(want + 20, 'l', 10);
	for (unsigned i = 0; i < 10; i++) {
		submit(asys_low(q), SYS_pwrite64, fd, "l", 1, 0);
		submit(q, SYS_pwrite64, fd, "n", 1, 0);
		submit(asys_high(q), SYS_pwrite64, fd, "h", 1, 0);
	}
	check_eq(asys_queue_barrier(q), 0);
	check_eq(pread(fd, letters, CALLS, 0), 30);
	/* Now and then a lower one has its turn before: each third of them is there all the same. */
	for (const char *c = "hnl"; *c; c++) {
		unsigned found = 0, early = 0;

		for (unsigned i = 0; i < 30; i++) {
			found += letters[i] == *c;
			early += letters[i] == 'l' && want[i] != 'l';
		}
		check_eq(found, 10);
		check(early <= 1);
	}
	check_eq(drain(q), 30);
	close(fd);
	asys_queue_close(q);
}

/* Each result is that of its own call: errors, quiet ones and dependents among them. */
static void test_results(void **state)
{
	struct asys_event events[2 * CALLS];
	struct asys_queue *q = open_queue();
	int fd = memory_file(), n = 0;
	asys_id id;

	(void)state;
	for (unsigned r = 0; r < ROUNDS; r++) {
		for (unsigned i = 0; i < CALLS; i++) {
			id = submit(asys_user(q, i), SYS_pwrite64, i % 5 ? fd : -1, "0123456789",
				    i % 10, 100 * i);
			if (i % 4 == 0)
				submit_refs(asys_user(q, CALLS + i), SYS_fcntl, ASYS_CALL_REF(2),
					    fd, F_GETFD, id.value);
			if (i % 7 == 0)
				submit(asys_quiet(q), SYS_pwrite64, fd, "0123456789", 10, 0);
		}
		for (unsigned left = CALLS + CALLS / 4; left; left -= (unsigned)n) {
			n = asys_queue_get_many(q, events, 2 * CALLS, left, ASYS_FOREVER);
			check(n > 0 && (unsigned)n <= left);
			for (int k = 0; k < n; k++) {
				uint64_t i = events[k].user % CALLS;
				int64_t wrote = i % 5 ? (int64_t)(i % 10) : -EBADF;

				if (events[k].user < CALLS)
					check_eq(events[k].result, wrote);
				else
					check_eq(events[k].result, i % 5 ? FD_CLOEXEC : -EBADF);
			}
		}
		progress();
	}
	check_eq(asys_queue_barrier(q), -EBADF); /* the quiet ones have ended too */
	check_eq(asys_queue_pending(q), 0);
	close(fd);
	asys_queue_close(q);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_no_more_than_asked),
		contract(test_room_for_more),
		contract(test_no_more_than_room),
		contract(test_turns),
		contract(test_whole),
		contract(test_order),
		contract(test_results),
	};

	return group(tests, argc, argv);
}
