/* SPDX-License-Identifier: MIT */
/* pthread_cancel does not end a thread inside these functions: they are no cancellation points. */
#include "libaio_support.h"

#include <poll.h>
#include <pthread.h>

static io_context_t ctx;
static int file, pipes[2], returned;

/* The request is there before each of the calls, and acts at the first cancellation point after them. */
static void *calls(void *arg)
{
	static char buf[4096];
	struct timespec limit = { 10, 0 };
	struct io_event event;
	io_context_t own = NULL;
	struct iocb cb[4];

	(void)arg;
	pthread_cancel(pthread_self());
	io_prep_poll(&cb[0], pipes[0], POLLIN);
	io_prep_pread(&cb[1], file, buf, 10, 0);
	io_prep_pwrite(&cb[2], file, buf, 4096, 0);
	io_prep_fsync(&cb[3], file);
	returned += io_setup(8, &own) == 0;
	for (int k = 0; k < 4; k++)
		returned += submit_iocb(ctx, &cb[k]) == 1;
	for (int k = 0; k < 3; k++)
		returned += io_getevents(ctx, 1, 1, &event, &limit) == 1;
	returned += io_cancel(ctx, &cb[0], &event) == -EINPROGRESS;
	returned += io_pgetevents(ctx, 1, 1, &event, &limit, &(sigset_t){ 0 }) == 1;
	returned += io_destroy(own) == 0;
	pthread_testcancel();
	returned = -1;
	return NULL;
}

static void test_cancelled(void **state)
{
	pthread_t thread;
	void *how;

	(void)state;
	ctx = setup(8);
	file = numbered_file(1, 0);
	make_pipe(pipes);
	check_eq(pthread_create(&thread, NULL, calls, NULL), 0);
	check_eq(pthread_join(thread, &how), 0);
	check(how == PTHREAD_CANCELED);
	check_eq(returned, 11);
	check_eq(io_destroy(ctx), 0);
	close(file);
	close(pipes[0]);
	close(pipes[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { contract(test_cancelled) };

	return group(tests, argc, argv);
}
