/* SPDX-License-Identifier: MIT */
/* Threads that sleep for events hear of what others submit, however it comes to its end. */
#include "libaio_support.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define SOON_MS 40

struct sleeper {
	io_context_t ctx;
	int want, got;
	bool masked;
};

static void *sleeps(void *arg)
{
	struct sleeper *s = arg;
	struct io_event events[4];
	sigset_t none;

	sigemptyset(&none);
	s->got = s->masked ? io_pgetevents(s->ctx, s->want, s->want, events, NULL, &none) :
			     io_getevents(s->ctx, s->want, s->want, events, NULL);
	return NULL;
}

/* Somebody sleeps in a context that has done nothing yet. */
static void fresh(bool masked)
{
	struct sleeper s = { .ctx = setup(8), .want = 1, .masked = masked };
	int file = numbered_file(1, 0);
	pthread_t thread;
	struct iocb cb;

	check_eq(pthread_create(&thread, NULL, sleeps, &s), 0);
	sleep_ms(SOON_MS);
	io_prep_pwrite(&cb, file, "abc", 3, 0);
	check_eq(submit_iocb(s.ctx, &cb), 1);
	check_eq(pthread_join(thread, NULL), 0);
	check_eq(s.got, 1);
	check_eq(io_destroy(s.ctx), 0);
	close(file);
}

static void test_fresh(void **state)
{
	(void)state;
	fresh(false);
	fresh(true);
}

/* Two writes to the same bytes, one after the other, are both that somebody waits for; something else
 * does not end meanwhile. */
static void test_held(void **state)
{
	struct sleeper s = { .want = 2 };
	int file = numbered_file(1, 0), pipes[2];
	struct iocb poll_cb, cb[2];
	pthread_t thread;

	(void)state;
	s.ctx = setup(8);
	make_pipe(pipes);
	io_prep_poll(&poll_cb, pipes[0], POLLIN);
	check_eq(submit_iocb(s.ctx, &poll_cb), 1);
	check_eq(pthread_create(&thread, NULL, sleeps, &s), 0);
	for (int k = 0; k < 2; k++) {
		sleep_ms(SOON_MS);
		io_prep_pwrite(&cb[k], file, "abc", 3, 0);
		check_eq(submit_iocb(s.ctx, &cb[k]), 1);
	}
	check_eq(pthread_join(thread, NULL), 0);
	check_eq(s.got, 2);
	check_eq(io_destroy(s.ctx), 0);
	close(file);
	close(pipes[0]);
	close(pipes[1]);
}

/* What was a file is a socket by now: both of its directions go on. */
static void test_replaced(void **state)
{
	io_context_t ctx = setup(8);
	int file = numbered_file(1, 0), pair[2];
	struct iocb cb[2], *list[] = { &cb[0], &cb[1] };
	char buf[8];

	(void)state;
	io_prep_pread(&cb[0], file, buf, 8, 0);
	check_eq(result_now(ctx, &cb[0]), 8);
	check_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	check_eq(dup2(pair[0], file), file);
	check_eq(write(pair[1], "there", 5), 5);
	io_prep_pwrite(&cb[0], file, "back", 4, 0);
	io_prep_pread(&cb[1], file, buf, 8, 0);
	check_eq(io_submit(ctx, 2, list), 2);
	for (int k = 0; k < 2; k++) {
		struct io_event event = get_event(ctx);

		check_eq(event.res, event.obj == &cb[0] ? 4 : 5);
	}
	check_eq(io_destroy(ctx), 0);
	close(file);
	close(pair[0]);
	close(pair[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_fresh),
		contract(test_held),
		contract(test_replaced),
	};

	return group(tests, argc, argv);
}
