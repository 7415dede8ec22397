/* SPDX-License-Identifier: MIT */
/*
 * Contract: cancel is honest. A cancelled call ends with its real result or -ECANCELED, with
 * exactly one event; after it nothing touches its buffers. (The races have a program of their own,
 * cancel_race.c.)
 */
#include "blocked.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static void test_not_started(void **state)
{
	struct asys_queue *q = open_queue();
	asys_id id;
	char byte = 'n';
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < 100; i++) {
		id = submit(asys_user(q, i), SYS_read, fd[0], &byte, 1);
		check_eq(asys_queue_cancel(q, id), 0);
		check_eq(result_of(q, id), -ECANCELED);
	}
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(byte, 'n');
	/* a quiet call that is cancelled has failed, and so has an event */
	check_eq(read(fd[0], &byte, 1), 1);
	id = submit(asys_quiet(q), SYS_read, fd[0], &byte, 1);
	check_eq(asys_queue_cancel(q, id), 0);
	check_eq(result_of(q, id), -ECANCELED);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void test_waiting_for_another(void **state)
{
	struct asys_queue *q = open_queue();
	asys_id gate, one, two, last;
	char byte;
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned flush = 0; flush < 2; flush++) {
		gate = submit(q, SYS_read, fd[0], &byte, 1);
		one = submit(asys_after(q, gate), SYS_getppid, 0);
		two = submit(asys_after(q, gate), SYS_getppid, 0);
		last = submit(asys_after_ok(q, one), SYS_getppid, 0);
		if (flush)
			check_eq(asys_queue_flush(q), 0);
		check_eq(asys_queue_cancel(q, one), 0);
		/* it ends now, not when the gate opens, and its dependents with it */
		check_eq(result_of(q, one), -ECANCELED);
		check_eq(result_of(q, last), -ECANCELED);
		check_eq(write(fd[1], "g", 1), 1);
		check_eq(result_of(q, gate), 1);
		check_eq(result_of(q, two), getppid());
	}
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void test_waited_for(void **state)
{
	struct asys_queue *q = open_queue();
	asys_id gate, uses, after, after_ok, after_error;
	char bytes[8];
	int fd[2], file = memory_file();

	(void)state;
	make_pipe(fd);
	gate = submit(q, SYS_read, fd[0], bytes, sizeof(bytes));
	uses = submit_refs(q, SYS_lseek, ASYS_CALL_REF(1), file, gate.value, SEEK_SET);
	after = submit(asys_after(q, gate), SYS_getppid, 0);
	after_ok = submit(asys_after_ok(q, gate), SYS_getppid, 0);
	after_error = submit(asys_after_error(q, gate), SYS_getppid, 0);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(1);
	check_eq(asys_queue_cancel(q, gate), 0);
	check_eq(result_of(q, uses), -ECANCELED);
	check_eq(result_of(q, after), getppid());
	check_eq(result_of(q, after_ok), -ECANCELED);
	check_eq(result_of(q, after_error), getppid());
	check_eq(result_of(q, gate), -ECANCELED);
	asys_queue_close(q);
	close(file);
	close(fd[0]);
	close(fd[1]);
}

/* Every kind of call, at several moments of its life. */
static void cancel_blocked(uint32_t flags)
{
	struct asys_queue *q = open_depth(64, flags);
	struct stage stage;

	stage_open(&stage);
	for (unsigned i = 0; i < blocked_count; i++) {
		for (unsigned moment = 0; moment < 5; moment++) {
			asys_id id = blocked_kinds[i].send(q, &stage);
			int64_t result;

			check(id.value > 0);
			if (moment)
				check_eq(asys_queue_flush(q), 0);
			if (moment > 1)
				sleep_ms(moment - 1);
			check_eq(asys_queue_cancel(q, id), 0);
			check_eq(asys_queue_cancel(q, id), -EALREADY);
			result = result_of(q, id);
			if (result != -ECANCELED)
				fprintf(stderr, "%s, moment %u\n", blocked_kinds[i].name, moment);
			check_eq(result, -ECANCELED);
			check_eq(asys_queue_cancel(q, id), -ESTALE);
			progress();
		}
	}
	check_eq(asys_queue_pending(q), 0);
	stage_check_untouched(&stage);
	stage_close(&stage);
	warm_up(q);
	asys_queue_close(q);
}

static void test_blocked(void **state)
{
	(void)state;
	cancel_blocked(0);
}

static void test_blocked_shared(void **state)
{
	(void)state;
	cancel_blocked(ASYS_QUEUE_SHARED);
}

static void test_blocked_with_driver(void **state)
{
	(void)state;
	cancel_blocked(ASYS_QUEUE_DRIVER);
}

static void test_ended(void **state)
{
	struct asys_queue *q = open_queue();
	asys_id id = submit(q, SYS_getppid, 0);

	(void)state;
	check_eq(asys_queue_barrier(q), 0);
	check_eq(asys_queue_cancel(q, id), -EALREADY);
	check_eq(result_of(q, id), getppid());
	check_eq(asys_queue_cancel(q, id), -ESTALE);
	asys_queue_close(q);
}

static void test_all(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event event;
	unsigned cancelled = 0, ended = 0;
	char bytes[20];
	asys_id id;
	int fd[2], n;

	(void)state;
	make_pipe(fd);
	check_eq(asys_queue_cancel_all(q), 0);
	for (unsigned i = 0; i < 20; i++) {
		id = submit(q, SYS_read, fd[0], &bytes[i], 1);
		submit(asys_after_ok(q, id), SYS_getppid, 0);
	}
	for (unsigned i = 0; i < 5; i++)
		check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
	id = submit(q, SYS_getppid, 0);
	check_eq(asys_queue_wait(q, id, NULL), 0);
	n = asys_queue_cancel_all(q);
	check_eq(n, 40);
	while (asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER) == 1) {
		cancelled += event.result == -ECANCELED;
		ended++;
	}
	check_eq(ended, 40);
	check_eq(cancelled, 40);
	check_eq(asys_queue_cancel_all(q), 0);
	/* nothing was read */
	check_eq(write(fd[1], "rest", 4), 4);
	check_eq(read(fd[0], bytes, sizeof(bytes)), 4);
	warm_up(q);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

/* Cancel while the limit of threads keeps most of the calls waiting for a thread. */
static void test_more_than_threads(void **state)
{
	struct asys_queue_options options;
	struct asys_queue *q;
	struct stage stage;
	asys_id id[32];

	(void)state;
	asys_queue_options_init(&options);
	options.threads = 2;
	q = open_with(&options);
	stage_open(&stage);
	for (unsigned i = 0; i < 32; i++)
		id[i] = submit(q, SYS_futex, &stage.futex, 0, 0, NULL, NULL, 0);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(2);
	for (unsigned i = 0; i < 32; i++)
		check_eq(asys_queue_cancel(q, id[31 - i]), 0);
	for (unsigned i = 0; i < 32; i++)
		check_eq(result_of(q, id[i]), -ECANCELED);
	stage_close(&stage);
	asys_queue_close(q);
}

/* Cancelling thousands that wait without a thread each. */
static void test_many_at_once(void **state)
{
	enum { MANY = 2000 };
	static char bytes[MANY];
	struct asys_queue *q = open_depth(4096, 0);
	struct asys_event event;
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < MANY; i++)
		submit(q, SYS_read, fd[0], &bytes[i], 1);
	check_eq(asys_queue_flush(q), 0);
	check_eq(asys_queue_cancel_all(q), MANY);
	for (unsigned i = 0; i < MANY; i++) {
		check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
		check_eq(event.result, -ECANCELED);
	}
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

/* More dependencies than a queue of this depth has room for, if those given up were kept. */
#define DEPENDENCIES 40000

/* What gives up waiting leaves nothing behind with the call that it waited for. */
static void test_gives_up_waiting(void **state)
{
	struct asys_queue *q = open_depth(64, 0);
	asys_id gate, other, id;
	char bytes[2];
	int fd[2];

	(void)state;
	make_pipe(fd);
	gate = submit(q, SYS_read, fd[0], &bytes[0], 1);
	other = submit(q, SYS_read, fd[0], &bytes[1], 1);
	for (unsigned i = 0; i < DEPENDENCIES / 3; i++) {
		asys_after_ok(asys_after(q, gate), other);
		id = submit_refs(q, SYS_lseek, ASYS_CALL_REF(1), -1, gate.value, SEEK_SET);
		check(id.value > 0);
		check_eq(asys_queue_cancel(q, id), 0);
		check_eq(result_of(q, id), -ECANCELED);
	}
	for (unsigned i = 0; i < DEPENDENCIES; i++) {
		id = submit(asys_deadline(asys_after(q, gate), 1), SYS_getppid, 0);
		check(id.value > 0);
		check_eq(result_of(q, id), -ETIME);
		if (i % 1000 == 0)
			progress();
	}
	/* and a call that is refused half way, because it waits for more than there is room for */
	for (unsigned i = 0; i < DEPENDENCIES; i++)
		asys_after(q, gate);
	check_eq(submit(q, SYS_getppid, 0).value, -ENOMEM);
	id = submit(asys_after(q, gate), SYS_getppid, 0);
	check(id.value > 0);
	check_eq(write(fd[1], "gg", 2), 2);
	check_eq(result_of(q, gate), 1);
	check_eq(result_of(q, other), 1);
	check_eq(result_of(q, id), getppid());
	check_eq(asys_queue_pending(q), 0);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

/* Those that go on waiting start as they were sent, whichever of them gave up. */
static void test_order_of_the_rest(void **state)
{
	enum { WAITING = 64 };
	struct asys_queue_options options;
	struct asys_event event;
	struct asys_queue *q;
	asys_id gate, id[WAITING];
	char byte;
	int fd[2];

	(void)state;
	if (getenv("ASYS_ENGINE") && !engine_forced("inline"))
		skip();
	if (driver_is("thread"))
		skip_because(
			"a driver and who waits run calls at once, and either may be done first");
	asys_queue_options_init(&options);
	options.engine = ASYS_ENGINE_INLINE;
	q = open_with(&options);
	make_pipe(fd);
	for (unsigned mask = 1; mask < 64; mask++) {
		gate = submit(q, SYS_read, fd[0], &byte, 1);
		for (unsigned i = 0; i < WAITING; i++)
			id[i] = submit(asys_user(asys_after(q, gate), i), SYS_getppid, 0);
		for (unsigned i = 0; i < WAITING; i++) {
			if (!(mask >> i % 6 & 1))
				continue;
			check_eq(asys_queue_cancel(q, id[i]), 0);
			check_eq(result_of(q, id[i]), -ECANCELED);
		}
		check_eq(write(fd[1], "g", 1), 1);
		check_eq(result_of(q, gate), 1);
		for (unsigned i = 0; i < WAITING; i++) {
			if (mask >> i % 6 & 1)
				continue;
			check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
			check_eq(event.user, i);
			check_eq(event.result, getppid());
		}
		check_eq(asys_queue_pending(q), 0);
	}
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

/* The memory of a cancelled call may be used for something else at once. */
static void test_buffer_is_free(void **state)
{
	struct asys_queue *q = open_queue();
	const unsigned rounds = iterations(300);
	char buf[16];
	asys_id id;
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < rounds; i++) {
		id = submit(q, SYS_read, fd[0], buf, sizeof(buf));
		check_eq(asys_queue_flush(q), 0);
		if (i % 2)
			sleep_ms(1);
		asys_queue_cancel(q, id);
		check_eq(result_of(q, id), -ECANCELED);
		memset(buf, 'm', sizeof(buf));
		check_eq(write(fd[1], "late data", 9), 9);
		for (unsigned n = 0; n < sizeof(buf); n++)
			check_eq(buf[n], 'm');
		check_eq(read(fd[0], buf, sizeof(buf)), 9);
		progress();
	}
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_not_started),
		contract(test_waiting_for_another),
		contract(test_waited_for),
		contract(test_blocked),
		contract(test_blocked_shared),
		contract(test_blocked_with_driver),
		contract(test_ended),
		contract(test_all),
		contract(test_more_than_threads),
		contract(test_many_at_once),
		contract(test_gives_up_waiting),
		contract(test_order_of_the_rest),
		contract(test_buffer_is_free),
	};

	return group(tests, argc, argv);
}
