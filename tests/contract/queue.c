/* SPDX-License-Identifier: MIT */
/* Contract: what goes in comes out once, and who waits gets what the header promises. */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

static void test_open_close(void **state)
{
	struct asys_stats stats;

	(void)state;
	asys_queue_close(NULL);
	for (unsigned i = 0; i < 50; i++) {
		struct asys_queue *q = open_queue();

		check_eq(asys_queue_stats(q, &stats), 0);
		check_eq(stats.sent, 0);
		check_eq(stats.threads, 0);
		if (i % 2)
			warm_up(q);
		asys_queue_close(q);
	}
}

static void test_one_call(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event event = { .result = -1 };
	asys_id id;

	(void)state;
	check_eq(asys_queue_get(q, &event), 0);
	check_eq(event.result, -1);
	id = asys_call(asys_user(q, 77), SYS_getppid, 0, 0, 0, 0, 0, 0);
	check(id.value > 0);
	check_eq(asys_error(id), 0);
	check_eq(asys_queue_wait(q, id, &event), 0);
	check_eq(event.id.value, id.value);
	check_eq(event.result, getppid());
	check_eq(event.user, 77);
	check_eq(asys_queue_get(q, &event), 0);
	asys_queue_close(q);
}

static void test_get_after_flush(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event event;
	int got = 0;

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		submit(q, SYS_getppid, 0);
	check_eq(asys_queue_flush(q), 0);
	/* Only get, never a wait: calls must end by themselves once they are flushed. */
	while (got < 10) {
		int n = asys_queue_get(q, &event);

		check_one_of(n, 0, 1);
		if (n)
			check_eq(event.result, getppid());
		got += n;
	}
	check_eq(asys_queue_pending(q), 0);
	asys_queue_close(q);
}

static void test_get_many(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event events[16];
	int n;

	(void)state;
	check_eq(asys_queue_get_many(q, events, 16, 1, ASYS_FOREVER), 0);
	for (unsigned i = 0; i < 8; i++)
		submit(q, SYS_getppid, 0);
	n = asys_queue_get_many(q, events, 3, 3, ASYS_FOREVER);
	check_eq(n, 3);
	/* min is clipped to max */
	n = asys_queue_get_many(q, events, 2, 9, ASYS_FOREVER);
	check_eq(n, 2);
	/* more asked for than can ever come: what is there, without waiting for ever */
	n = asys_queue_get_many(q, events, 16, 16, ASYS_FOREVER);
	check_eq(n, 3);
	check_eq(asys_queue_get_many(q, events, 16, 16, ASYS_FOREVER), 0);
	asys_queue_close(q);
}

static void test_get_many_timeout(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event events[4];
	uint64_t start;
	char byte;
	int fd[2];
	int n;

	(void)state;
	make_pipe(fd);
	submit(q, SYS_read, fd[0], &byte, 1);
	check_eq(asys_queue_get_many(q, events, 4, 0, 0), 0);
	check_eq(asys_queue_get_many(q, events, 4, 1, 0), 0);
	start = asys_now();
	check_eq(asys_queue_get_many(q, events, 4, 1, 5000000), 0);
	check(asys_now() - start >= 5000000);
	submit(q, SYS_getppid, 0);
	/* one comes, the second does not: the time ends and gives what there is */
	while ((n = asys_queue_get_many(q, events, 4, 2, 5000000)) == 0)
		; /* a slow machine: the one has not come yet */
	check_eq(n, 1);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(asys_queue_get_many(q, events, 4, 1, ASYS_FOREVER), 1);
	check_eq(events[0].result, 1);
	check_eq(byte, 'x');
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void test_wait_leaves_others(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event event;
	asys_id id[5];
	bool seen[5] = { false };

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		id[i] = asys_call(asys_user(q, i), SYS_getppid, 0, 0, 0, 0, 0, 0);
	check_eq(asys_queue_wait(q, id[3], &event), 0);
	check_eq(event.user, 3);
	check_eq(asys_queue_wait(q, id[3], &event), -ESTALE);
	check_eq(asys_queue_wait(q, id[1], NULL), 0);
	check_eq(asys_queue_pending(q), 3);
	for (unsigned i = 0; i < 3; i++) {
		check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
		check(event.user < 5 && event.user != 3 && event.user != 1);
		check(!seen[event.user]);
		check_eq(event.id.value, id[event.user].value);
		seen[event.user] = true;
	}
	check_eq(asys_queue_get(q, &event), 0);
	asys_queue_close(q);
}

static void test_wait_while_others_block(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event event;
	char byte = 0;
	asys_id blocked;
	int fd[2];

	(void)state;
	make_pipe(fd);
	blocked = submit(q, SYS_read, fd[0], &byte, 1);
	for (unsigned i = 0; i < 100; i++)
		check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
	check_eq(asys_queue_get(q, &event), 0);
	check_eq(write(fd[1], "y", 1), 1);
	check_eq(result_of(q, blocked), 1);
	check_eq(byte, 'y');
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void test_barrier(void **state)
{
	struct asys_queue *q = open_queue();
	asys_id bad;

	(void)state;
	check_eq(asys_queue_barrier(q), 0);
	for (unsigned i = 0; i < 20; i++)
		submit(q, SYS_getppid, 0);
	check_eq(asys_queue_barrier(q), 0);
	check_eq(asys_queue_pending(q), 20);
	check_eq(drain(q), 20);

	/* The first that failed, by the order in which they end. */
	bad = submit(q, SYS_close, -1);
	submit(asys_after(q, bad), SYS_openat, AT_FDCWD, "/nonexistent/file", O_RDONLY, 0);
	check_eq(asys_queue_barrier(q), -EBADF);
	check_eq(asys_queue_barrier(q), 0);
	check_eq(drain(q), 2);

	/* A failure whose event was got before the barrier still counts. */
	check_eq(result_of(q, submit(q, SYS_close, -1)), -EBADF);
	check_eq(asys_queue_barrier(q), -EBADF);
	check_eq(asys_queue_barrier(q), 0);
	asys_queue_close(q);
}

static void test_pending(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event event;

	(void)state;
	check_eq(asys_queue_pending(q), 0);
	for (unsigned i = 0; i < 5; i++)
		submit(q, SYS_getppid, 0);
	check_eq(asys_queue_pending(q), 5);
	check_eq(asys_queue_barrier(q), 0);
	check_eq(asys_queue_pending(q), 5);
	check_eq(asys_queue_get(q, &event), 1);
	check_eq(asys_queue_pending(q), 4);
	check_eq(drain(q), 4);
	submit(asys_quiet(q), SYS_getppid, 0);
	check_eq(asys_queue_barrier(q), 0);
	check_eq(asys_queue_pending(q), 0);
	asys_queue_close(q);
}

static void test_quiet(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event event;
	asys_id good, bad;

	(void)state;
	good = submit(asys_quiet(q), SYS_getppid, 0);
	check_eq(asys_queue_wait(q, good, NULL), -ESTALE);
	good = submit_refs(q, SYS_getppid, ASYS_CALL_QUIET, 0);
	bad = submit(asys_quiet(asys_user(q, 9)), SYS_close, -1);
	check_eq(asys_queue_barrier(q), -EBADF);
	check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
	check_eq(event.id.value, bad.value);
	check_eq(event.result, -EBADF);
	check_eq(event.user, 9);
	check_eq(asys_queue_get(q, &event), 0);
	/* The modifier was for one call only. */
	good = submit(q, SYS_getppid, 0);
	check_eq(result_of(q, good), getppid());
	asys_queue_close(q);
}

static void test_quiet_as_argument(void **state)
{
	struct asys_queue *q = open_queue();
	int fd = memory_file(), pipe[2];
	asys_id end, copy;
	char bytes[8];

	(void)state;
	make_pipe(pipe);
	/* A quiet call may still be named by one that was sent while it was in flight. */
	end = submit(asys_quiet(q), SYS_read, pipe[0], bytes, sizeof(bytes));
	copy = submit_refs(q, SYS_lseek, ASYS_CALL_REF(1), fd, end.value, SEEK_SET);
	check_eq(write(pipe[1], "12345", 5), 5);
	check_eq(result_of(q, copy), 5);
	check_eq(asys_queue_pending(q), 0);
	asys_queue_close(q);
	close(fd);
	close(pipe[0]);
	close(pipe[1]);
}

/* Until the queue is driven, which is nobody's but the client's to do. */
static void test_quiet_until_driven(void **state)
{
	struct asys_queue *q;
	asys_id end, copy, late;
	int fd;

	(void)state;
	private_or_skip("others drive the queue");
	fd = memory_file();
	q = open_queue();
	end = submit(asys_quiet(q), SYS_lseek, fd, 123, SEEK_SET);
	for (unsigned i = 0; i < 100; i++)
		submit(q, SYS_getppid, 0);
	sleep_ms(2);
	copy = submit_refs(q, SYS_lseek, ASYS_CALL_REF(1), fd, end.value, SEEK_SET);
	check_eq(result_of(q, copy), 123);
	check_eq(asys_queue_barrier(q), 0);
	late = submit_refs(q, SYS_lseek, ASYS_CALL_REF(1), fd, end.value, SEEK_SET);
	check_eq(result_of(q, late), -ESTALE);
	asys_queue_close(q);
	close(fd);
}

static void test_flags(void **state)
{
	struct asys_queue *q = open_queue();

	(void)state;
	check_eq(submit_refs(q, SYS_getppid, 1u << 9, 0).value, -EINVAL);
	check(asys_message()[0]);
	check_eq(submit_refs(q, SYS_getppid, 1u << 15, 0).value, -EINVAL);
	check_eq(submit_refs(q, SYS_getppid, 1u << ASYS_CALL_TARGET_SHIFT, 0).value, -EINVAL);
	check_eq(submit_refs(q, SYS_getppid, 1u << 31, 0).value, -EINVAL);
	check_eq(asys_queue_pending(q), 0);
	asys_queue_close(q);
}

/* Modifiers belong to the call that follows them, also when that one could not be sent. */
static void test_modifiers_end(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event event;

	(void)state;
	check_eq(submit_refs(asys_quiet(asys_user(q, 5)), SYS_getppid, 1u << 9, 0).value, -EINVAL);
	check(submit(q, SYS_getppid, 0).value > 0);
	check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
	check_eq(event.user, 0);
	check_eq(submit_refs(asys_user(q, 5), SYS_getppid, 1u << 9, 0).value, -EINVAL);
	check(submit(q, SYS_getppid, 0).value > 0);
	check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
	check_eq(event.user, 0);
	asys_queue_close(q);
}

static void *send_one(void *queue)
{
	check(submit((struct asys_queue *)queue, SYS_getpid, 0).value > 0);
	return NULL;
}

/* A word is for its own thread's call, though another one has the queue meanwhile and sends. */
static void test_user_waits(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event event;
	pthread_t thread;

	(void)state;
	asys_user(q, 7);
	check_eq(pthread_create(&thread, NULL, send_one, q), 0);
	check_eq(pthread_join(thread, NULL), 0);
	check(submit(q, SYS_getppid, 0).value > 0);
	for (int i = 0; i < 2; i++) {
		check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
		check_eq(event.user, event.result == getpid() ? 0 : 7);
	}
	asys_queue_close(q);
}

/* The last word counts, whatever else is said before, after or in between. */
static void test_user_words(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event event;

	(void)state;
	submit(asys_user(asys_user(q, 1), 2), SYS_getppid, 0);
	submit(asys_user(asys_high(asys_user(q, 1)), 2), SYS_getppid, 0);
	submit(asys_low(asys_user(q, 2)), SYS_getppid, 0);
	submit(asys_user(asys_low(q), 2), SYS_getppid, 0);
	for (int i = 0; i < 4; i++) {
		check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
		check_eq(event.user, 2);
	}
	asys_queue_close(q);
}

static void test_two_queues(void **state)
{
	struct asys_queue *a = open_queue(), *b = open_queue();
	struct asys_event event;

	(void)state;
	asys_user(a, 1);
	submit(asys_user(b, 2), SYS_getppid, 0);
	submit(a, SYS_getppid, 0);
	check_eq(asys_queue_get_many(a, &event, 1, 1, ASYS_FOREVER), 1);
	check_eq(event.user, 1);
	check_eq(asys_queue_get_many(b, &event, 1, 1, ASYS_FOREVER), 1);
	check_eq(event.user, 2);
	asys_queue_close(a);
	warm_up(b);
	asys_queue_close(b);
}

static void test_exactly_once(void **state)
{
	const unsigned total = iterations(100000);
	uint8_t *seen = calloc(total, 1);
	struct asys_queue *q = open_queue();
	struct asys_event events[64];
	unsigned got = 0;
	char byte;
	int fd = memory_file();

	(void)state;
	check(seen);
	check_eq(write(fd, "b", 1), 1);
	for (unsigned sent = 0; got < total;) {
		for (unsigned i = 0; i < 64 && sent < total; i++, sent++) {
			struct asys_queue *next = asys_user(q, sent);

			if (sent % 4)
				submit(next, SYS_getppid, 0);
			else
				submit(next, SYS_pread64, fd, &byte, 1, 0);
		}
		int n = asys_queue_get_many(q, events, 64, sent < total ? 0 : 1, ASYS_FOREVER);

		check(n >= 0);
		for (int i = 0; i < n; i++) {
			check(events[i].user < total);
			check_eq(events[i].result, events[i].user % 4 ? getppid() : 1);
			check_eq(seen[events[i].user]++, 0);
		}
		got += (unsigned)n;
		progress();
	}
	check_eq(drain(q), 0);
	asys_queue_close(q);
	close(fd);
	free(seen);
}

static unsigned rang;
static pid_t rang_on;

static void on_signal(int signal)
{
	(void)signal;
	rang++;
	rang_on = gettid();
}

static void check_signal_ends_wait(int flags)
{
	const struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };
	const struct itimerval often = { { 0, 20000 }, { 0, 20000 } },
			       never = { { 0, 0 }, { 0, 0 } };
	struct sigaction before;
	struct asys_queue *q = open_queue();
	struct asys_event event;
	char byte;
	asys_id id, other;
	int fd[2];

	make_pipe(fd);
	warm_up(q);
	check_eq(sigaction(SIGALRM, &action, &before), 0);
	/* Two, because one alone may run in this thread, and is then itself what the signal ends. */
	id = submit(q, SYS_read, fd[0], &byte, 1);
	other = submit(q, SYS_read, fd[0], &byte, 1);
	setitimer(ITIMER_REAL, &often, NULL);
	check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), -EINTR);
	check_eq(asys_queue_wait(q, id, NULL), -EINTR);
	check_eq(asys_queue_barrier(q), -EINTR);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &before, NULL);
	progress();
	check(rang > 0);
	/* The program's signals never run on asys's threads. */
	check_eq(rang_on, gettid());
	check_eq(write(fd[1], "zz", 2), 2);
	check_eq(result_of(q, id), 1);
	check_eq(result_of(q, other), 1);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void test_signal_ends_wait(void **state)
{
	(void)state;
	check_signal_ends_wait(0);
	check_signal_ends_wait(SA_RESTART);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_open_close),
		contract(test_one_call),
		contract(test_get_after_flush),
		contract(test_get_many),
		contract(test_get_many_timeout),
		contract(test_wait_leaves_others),
		contract(test_wait_while_others_block),
		contract(test_barrier),
		contract(test_pending),
		contract(test_quiet),
		contract(test_quiet_as_argument),
		contract(test_quiet_until_driven),
		contract(test_flags),
		contract(test_modifiers_end),
		contract(test_user_words),
		contract(test_user_waits),
		contract(test_two_queues),
		contract(test_exactly_once),
		contract(test_signal_ends_wait),
	};

	return group(tests, argc, argv);
}
