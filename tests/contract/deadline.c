/* SPDX-License-Identifier: MIT */
/* Contract: deadlines on any call, on every engine. */
#include "blocked.h"

#include <asys/chain.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define MS 1000000ull
#define HOUR (3600 * 1000 * MS)

static void test_blocked(void **state)
{
	struct asys_queue *q = open_queue();
	struct stage stage;
	asys_id id[64];

	(void)state;
	stage_open(&stage);
	check(blocked_count <= 64);
	for (unsigned i = 0; i < blocked_count; i++)
		id[i] = blocked_kinds[i].send(asys_deadline(q, asys_now() + 5 * MS), &stage);
	for (unsigned i = 0; i < blocked_count; i++) {
		int64_t result = result_of(q, id[i]);

		if (result != -ETIME)
			fprintf(stderr, "%s\n", blocked_kinds[i].name);
		check_eq(result, -ETIME);
	}
	stage_check_untouched(&stage);
	stage_close(&stage);
	warm_up(q);
	asys_queue_close(q);
}

/* Those that wait for another call end in the order of their deadlines, whatever order they were sent
 * in and whichever were cancelled in between. */
static void test_order(void **state)
{
	enum { CALLS = 200 };
	struct asys_queue *q = open_queue();
	asys_id first, id[CALLS];
	unsigned last = 0, ended = 0;
	int fd[2];
	char byte;

	(void)state;
	make_pipe(fd);
	for (unsigned round = 0; round < 3; round++) {
		uint64_t base = asys_now() + 2 * MS;

		first = submit(q, SYS_read, fd[0], &byte, 1);
		for (unsigned i = 0; i < CALLS; i++) {
			unsigned place = i * 73 % CALLS; /* each once */

			id[place] = submit(
				asys_after(asys_user(asys_deadline(q, base + place * 20000), place),
					   first),
				SYS_getppid, 0);
		}
		for (unsigned i = 0; i < CALLS; i += 1 + i % 3)
			check_eq(asys_queue_cancel(q, id[i * 31 % CALLS]), 0);
		last = ended = 0;
		while (ended < CALLS) {
			struct asys_event event;

			check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
			ended++;
			if (event.result == -ECANCELED)
				continue;
			check_eq(event.result, -ETIME);
			check(event.user >= last);
			last = (unsigned)event.user;
		}
		check(last > 0);
		check_eq(asys_queue_cancel(q, first), 0);
		check_eq(result_of(q, first), -ECANCELED);
	}
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

/* A call that hardly ever blocks does so here: the waiter must not be caught in it. */
static void test_open_fifo(void **state)
{
	struct asys_queue *q = open_queue();
	char *dir = temp_make(), *path = NULL;
	asys_id id, other;

	(void)state;
	check(asprintf(&path, "%s/fifo", dir) > 0);
	check_eq(mkfifo(path, 0600), 0);
	id = submit(asys_deadline(q, asys_now() + 3 * MS), SYS_openat, AT_FDCWD, path,
		    O_RDONLY | O_CLOEXEC, 0);
	other = submit(q, SYS_getppid, 0);
	check_eq(result_of(q, other), getppid());
	check_eq(result_of(q, id), -ETIME);
	asys_queue_close(q);
	free(path);
	temp_remove(dir);
}

/* Each way of waiting holds the deadline. */
static void test_each_wait(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event event;
	char byte;
	int fd[2], n;

	(void)state;
	make_pipe(fd);
	submit(asys_deadline(q, asys_now() + 3 * MS), SYS_read, fd[0], &byte, 1);
	check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
	check_eq(event.result, -ETIME);

	submit(asys_deadline(q, asys_now() + 3 * MS), SYS_read, fd[0], &byte, 1);
	check_eq(asys_queue_barrier(q), -ETIME);
	check_eq(drain(q), 1);

	submit(asys_deadline(q, asys_now() + 3 * MS), SYS_read, fd[0], &byte, 1);
	check_eq(asys_queue_flush(q), 0);
	while ((n = asys_queue_get(q, &event)) == 0)
		;
	check_eq(n, 1);
	check_eq(event.result, -ETIME);

	/* a limit of the wait that is shorter than the call's, and one that is longer */
	submit(asys_deadline(q, asys_now() + 300 * MS), SYS_read, fd[0], &byte, 1);
	check_eq(asys_queue_get_many(q, &event, 1, 1, 1 * MS), 0);
	check_eq(asys_queue_get_many(q, &event, 1, 1, 10000 * MS), 1);
	check_eq(event.result, -ETIME);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void test_waiting_for_another(void **state)
{
	struct asys_queue *q = open_queue();
	asys_id gate, late, uses;
	char byte;
	int fd[2];

	(void)state;
	make_pipe(fd);
	gate = submit(q, SYS_read, fd[0], &byte, 1);
	late = submit(asys_deadline(asys_after(q, gate), asys_now() + 3 * MS), SYS_getppid, 0);
	uses = submit_refs(q, SYS_close, ASYS_CALL_REF(0), late.value);
	check_eq(result_of(q, late), -ETIME);
	check_eq(result_of(q, uses), -ETIME);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(result_of(q, gate), 1);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

/* Behind others that block, for want of a thread. */
static void test_queued(void **state)
{
	struct asys_queue_options options;
	struct asys_queue *q;
	uint32_t word = 0;
	asys_id first[4], late;

	(void)state;
	asys_queue_options_init(&options);
	options.threads = 1;
	q = open_with(&options);
	for (unsigned i = 0; i < 4; i++)
		first[i] = submit(q, SYS_futex, &word, 0, 0, NULL, NULL, 0);
	late = submit(asys_deadline(q, asys_now() + 3 * MS), SYS_futex, &word, 0, 0, NULL, NULL, 0);
	check_eq(result_of(q, late), -ETIME);
	check_eq(asys_queue_cancel_all(q), 4);
	for (unsigned i = 0; i < 4; i++)
		check_eq(result_of(q, first[i]), -ECANCELED);
	asys_queue_close(q);
}

static void test_met(void **state)
{
	struct asys_queue *q = open_queue();
	asys_id id;
	char byte;
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < 200; i++) {
		id = submit(asys_deadline(q, asys_now() + HOUR), SYS_getppid, 0);
		check_eq(result_of(q, id), getppid());
	}
	for (unsigned i = 0; i < 50; i++) {
		id = submit(asys_deadline(q, asys_now() + HOUR), SYS_read, fd[0], &byte, 1);
		check_eq(asys_queue_flush(q), 0);
		check_eq(write(fd[1], "x", 1), 1);
		check_eq(result_of(q, id), 1);
	}
	/* It was for one call only. */
	id = submit(asys_deadline(q, asys_now() + 1 * MS), SYS_getppid, 0);
	asys_queue_wait(q, id, NULL);
	id = submit(q, SYS_read, fd[0], &byte, 1);
	check_eq(asys_queue_get_many(q, &(struct asys_event){ .result = 0 }, 1, 1, 5 * MS), 0);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(result_of(q, id), 1);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

/* Passed already: the call ends at once. */
static void test_passed(void **state)
{
	struct asys_queue *q = open_queue();
	asys_id id;
	char byte;
	int fd[2];

	(void)state;
	make_pipe(fd);
	id = submit(asys_deadline(q, 1), SYS_read, fd[0], &byte, 1);
	check_eq(result_of(q, id), -ETIME);
	id = submit(asys_deadline(q, asys_now() - 1), SYS_read, fd[0], &byte, 1);
	check_eq(result_of(q, id), -ETIME);
	id = submit(asys_deadline(q, 1), SYS_getppid, 0);
	check_eq(result_of(q, id), -ETIME);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

enum visit { VISIT_FLUSH, VISIT_GET, VISIT_MANY, VISIT_NO_TIME, VISIT_WAIT, VISIT_BARRIER, VISITS };

static void visit(struct asys_queue *q, enum visit how, asys_id id, struct asys_event *ret_event)
{
	int got = 0;

	ret_event->result = 1;
	if (how == VISIT_FLUSH)
		check_eq(asys_queue_flush(q), 0);
	if (how == VISIT_BARRIER)
		check_eq(asys_queue_barrier(q), -ETIME);
	while (!got) {
		if (how == VISIT_WAIT)
			got = asys_queue_wait(q, id, ret_event) + 1;
		else if (how == VISIT_MANY)
			got = asys_queue_get_many(q, ret_event, 1, 1, ASYS_FOREVER);
		else if (how == VISIT_NO_TIME)
			got = asys_queue_get_many(q, ret_event, 1, 0, 0);
		else
			got = asys_queue_get(q, ret_event);
	}
	check_eq(got, 1);
	if (how != VISIT_BARRIER)
		asys_queue_barrier(q); /* forgets the error */
}

/* Over before it is begun: it has no effect, whatever kind it is of and whoever visits the queue, alone or
 * behind others. */
static void test_not_begun(void **state)
{
	struct asys_queue *q = open_queue();
	int file = memory_file(), fd[2], got;
	struct asys_chain *chain;
	struct asys_event event;

	(void)state;
	make_pipe(fd);
	check_eq(asys_chain_open(&chain, NULL), 0);
	asys_pwrite64(chain, file, "late", 4, 0);
	check_eq(asys_chain_ready(chain), 0);
	for (unsigned kind = 0; kind < 6; kind++) {
		for (unsigned how = 0; how < VISITS; how++) {
			asys_id id = { 0 };

			asys_deadline(q, asys_now() - 1);
			if (kind == 0)
				id = submit(q, SYS_pwrite64, file, "late", 4, 0);
			else if (kind == 1)
				id = submit(q, SYS_write, fd[1], "late", 4);
			else if (kind == 2)
				id = submit(q, SYS_umask, 0123); /* its sender runs it */
			else if (kind == 3)
				id = submit(q, SYS_openat, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY,
					    0);
			else if (kind == 4)
				id = submit(asys_high(q), SYS_ftruncate, file, 4);
			else
				id = asys_chain_send(q, chain);
			visit(q, (enum visit)how, id, &event);
			if (event.result != -ETIME)
				fprintf(stderr, "kind %u, visit %u\n", kind, how);
			check_eq(event.result, -ETIME);
		}
	}
	check_eq(lseek(file, 0, SEEK_END), 0);
	check_eq(ioctl(fd[0], FIONREAD, &got), 0);
	check_eq(got, 0);
	check(umask(022) != 0123);
	asys_chain_close(chain);
	asys_queue_close(q);
	close(file);
	close(fd[0]);
	close(fd[1]);
}

/* Many, in an order that is not the one they were sent in, some far away, some cancelled. */
static void test_many(void **state)
{
	enum { MANY = 300 };
	struct asys_queue *q = open_depth(512, 0);
	uint32_t random = 5, cancelled = 0;
	static char bytes[MANY];
	asys_id id[MANY];
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < MANY; i++) {
		uint64_t when = asys_now() + next_random(&random) % 30 * MS;

		id[i] = submit(asys_deadline(q, i % 5 ? when : when + HOUR), SYS_read, fd[0],
			       &bytes[i], 1);
	}
	check_eq(asys_queue_flush(q), 0);
	for (unsigned i = 0; i < MANY; i += 5)
		cancelled += asys_queue_cancel(q, id[i]) == 0;
	check_eq(cancelled, MANY / 5);
	for (unsigned i = 0; i < MANY; i++)
		check_eq(result_of(q, id[i]), i % 5 ? -ETIME : -ECANCELED);
	check_eq(asys_queue_pending(q), 0);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

/* Deadline and data at about the same time: the byte is in the buffer or in the pipe. */
static void test_race(void **state)
{
	const unsigned rounds = iterations(1000);
	struct asys_queue *q = open_queue();
	uint32_t random = 77;
	int64_t result;
	asys_id id;
	char byte, rest;
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < rounds; i++) {
		byte = 0;
		id = submit(asys_deadline(q, asys_now() + 20000 + next_random(&random) % 60000),
			    SYS_read, fd[0], &byte, 1);
		check_eq(asys_queue_flush(q), 0);
		for (uint32_t n = next_random(&random) % 60000; n; n--)
			__asm__ volatile("" ::: "memory");
		check_eq(write(fd[1], "d", 1), 1);
		result = result_of(q, id);
		check_one_of(result, 1, -ETIME);
		check_eq(byte, result == 1 ? 'd' : 0);
		if (result != 1)
			check_eq(read(fd[0], &rest, 1), 1);
		progress();
	}
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

/* A driver holds deadlines while nobody waits. */
static void test_driver(void **state)
{
	struct asys_queue *q = open_depth(64, ASYS_QUEUE_DRIVER);
	struct asys_stats stats;
	asys_id id;
	char byte;
	int fd[2];

	(void)state;
	make_pipe(fd);
	id = submit(asys_deadline(q, asys_now() + 3 * MS), SYS_read, fd[0], &byte, 1);
	do {
		sleep_ms(1);
		check_eq(asys_queue_stats(q, &stats), 0);
	} while (stats.ended == 0);
	/* It has ended although only counters were asked for; this can no longer change it. */
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(result_of(q, id), -ETIME);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_blocked),
		contract(test_each_wait),
		contract(test_waiting_for_another),
		contract(test_queued),
		contract(test_met),
		contract(test_passed),
		contract(test_not_begun),
		contract(test_many),
		contract(test_order),
		contract(test_race),
		contract(test_driver),
		contract(test_open_fifo),
	};

	return group(tests, argc, argv);
}
