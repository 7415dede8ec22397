/* SPDX-License-Identifier: MIT */
/* The functions in all their versions, and the callbacks of io_queue_run. */
#include "libaio_support.h"

#include <dlfcn.h>
#include <poll.h>
#include <stdlib.h>

static void *find(const char *name, const char *version)
{
	void *function = dlvsym(RTLD_DEFAULT, name, version);

	if (!function)
		support_fail(__FILE__, __LINE__, "no %s of %s", name, version);
	return function;
}

static void test_names(void **state)
{
	static const char *const names[][2] = {
		{ "io_queue_init", "LIBAIO_0.1" },    { "io_queue_run", "LIBAIO_0.1" },
		{ "io_queue_wait", "LIBAIO_0.1" },    { "io_queue_wait", "LIBAIO_0.4" },
		{ "io_queue_release", "LIBAIO_0.1" }, { "io_setup", "LIBAIO_0.4" },
		{ "io_destroy", "LIBAIO_0.4" },	      { "io_submit", "LIBAIO_0.1" },
		{ "io_cancel", "LIBAIO_0.1" },	      { "io_cancel", "LIBAIO_0.4" },
		{ "io_getevents", "LIBAIO_0.1" },     { "io_getevents", "LIBAIO_0.4" },
		{ "io_pgetevents", "LIBAIO_0.5" },
	};

	(void)state;
	for (unsigned k = 0; k < sizeof(names) / sizeof(names[0]); k++)
		check(find(names[k][0], names[k][1]));
}

/* The old forms: no least number, no place for the cancelled event. */
static void test_old(void **state)
{
	int (*getevents)(io_context_t, long, struct io_event *, const struct timespec *) =
		(int (*)(io_context_t, long, struct io_event *,
			 const struct timespec *))find("io_getevents", "LIBAIO_0.1");
	int (*cancel)(io_context_t, struct iocb *) =
		(int (*)(io_context_t, struct iocb *))find("io_cancel", "LIBAIO_0.1");
	int (*wait_1)(io_context_t, const struct timespec *) =
		(int (*)(io_context_t, const struct timespec *))find("io_queue_wait", "LIBAIO_0.1");
	int (*wait_4)(io_context_t, struct timespec *) =
		(int (*)(io_context_t, struct timespec *))find("io_queue_wait", "LIBAIO_0.4");
	struct timespec ms = { 0, 5000000 };
	io_context_t ctx = setup(4);
	struct io_event events[2];
	int file = numbered_file(1, 0), fd[2];
	struct iocb cb;
	char byte;

	(void)state;
	make_pipe(fd);
	io_prep_pread(&cb, file, &byte, 1, 0);
	check_eq(submit_iocb(ctx, &cb), 1);
	check_eq(getevents(ctx, 2, events, NULL), 1);
	check_eq(getevents(ctx, 2, events, &ms), 0);
	check_eq(ms.tv_nsec, 5000000);
	io_prep_poll(&cb, fd[0], POLLIN);
	check_eq(submit_iocb(ctx, &cb), 1);
	check_eq(cancel(ctx, &cb), -EINPROGRESS);
	check(get_event(ctx).obj == &cb);
	check_eq(wait_1(ctx, &ms), 0);
	check_eq(wait_1(ctx, NULL), 0);
	check_eq(wait_4(ctx, &ms), 0);
	check_eq(io_destroy(ctx), 0);
	close(file);
	close(fd[0]);
	close(fd[1]);
}

static struct iocb *called;
static long called_with;
static unsigned calls;

static void callback(io_context_t ctx, struct iocb *iocb, long res, long res2)
{
	(void)ctx;
	check_eq(res2, 0);
	called = iocb;
	called_with = res;
	calls++;
}

static void test_callbacks(void **state)
{
	io_context_t ctx = (io_context_t)state;
	int file = numbered_file(1, 0);
	struct iocb cb[5];
	char byte;

	check_eq(io_queue_init(8, &ctx), 0);
	for (int k = 0; k < 5; k++) {
		io_prep_pread(&cb[k], file, &byte, 1, 0);
		io_set_callback(&cb[k], callback);
		check_eq(submit_iocb(ctx, &cb[k]), 1);
	}
	for (unsigned n = 0; n < 2000 && calls < 5; n++) {
		check_eq(io_queue_run(ctx), 0);
		sleep_ms(1);
	}
	check_eq(calls, 5);
	check(called >= cb && called < cb + 5);
	check_eq(called_with, 1);
	check_eq(io_queue_release(ctx), 0);
	check_eq(io_queue_run(NULL), -EINVAL);
	close(file);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_names),
		contract(test_old),
		contract(test_callbacks),
	};

	return group(tests, argc, argv);
}
