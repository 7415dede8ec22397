/* SPDX-License-Identifier: MIT */
/* The program handles or ignores real-time signals, as it may have inherited: submissions go on. */
#include "libaio_support.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>

static int handled;

static void on_signal(int signal)
{
	(void)signal;
	handled++;
}

/* One of each kind, with something that has to be cancelled. */
static void use(void)
{
	io_context_t ctx = setup(8);
	int file = numbered_file(1, 0), pipes[2];
	unsigned char mem[4096];
	struct io_event event;
	struct iocb cb, read, poll;

	make_pipe(pipes);
	memset(mem, 7, sizeof(mem));
	io_prep_pwrite(&cb, file, mem, 4096, 0);
	check_eq(result_now(ctx, &cb), 4096);
	io_prep_pread(&cb, file, mem, 4096, 0);
	check_eq(result_now(ctx, &cb), 4096);
	check_page(mem, 6);
	io_prep_poll(&poll, pipes[0], POLLIN);
	check_eq(submit_iocb(ctx, &poll), 1);
	if (under_shim()) { /* the kernel waits for it in io_submit */
		io_prep_pread(&read, pipes[0], mem, 1, 0);
		check_eq(submit_iocb(ctx, &read), 1);
		check_eq(io_cancel(ctx, &read, &event), -EINPROGRESS);
		event = get_event(ctx);
		check(event.obj == &read);
		check_eq((long)event.res, -ECANCELED);
	}
	check_eq(io_cancel(ctx, &poll, &event), -EINPROGRESS);
	get_event(ctx);
	check_eq(io_destroy(ctx), 0);
	close(file);
	close(pipes[0]);
	close(pipes[1]);
	progress();
}

/* All from `first` to `last` but `free`. */
static void with(void (*how)(int), int first, int last, int free)
{
	struct sigaction action = { .sa_handler = how }, before[65], now;

	for (int k = first; k <= last; k++)
		if (k != free)
			check_eq(sigaction(k, &action, &before[k]), 0);
	use();
	for (int k = first; k <= last; k++) {
		if (k == free)
			continue;
		check_eq(sigaction(k, &before[k], &now), 0);
		check(now.sa_handler == how);
	}
	check_eq(handled, 0);
}

static void test_one(void **state)
{
	(void)state;
	for (int k = SIGRTMAX - 5; k <= SIGRTMAX; k++) {
		with(SIG_IGN, k, k, 0);
		with(on_signal, k, k, 0);
	}
}

static void test_all_but_one(void **state)
{
	(void)state;
	with(SIG_IGN, SIGRTMIN, SIGRTMAX, SIGRTMAX - 4);
	with(on_signal, SIGRTMIN, SIGRTMAX, SIGRTMIN);
	with(on_signal, SIGRTMIN, SIGRTMAX, SIGRTMIN + 1);
}

/* A handler that interrupts a function of the library uses another context. */
static struct {
	io_context_t ctx;
	struct iocb cb;
	unsigned char mem[4096];
	unsigned events;
} own;

static void use_own(int signal)
{
	struct iocb *list = &own.cb;
	struct io_event event;

	(void)signal;
	if (io_submit(own.ctx, 1, &list) == 1)
		own.events += io_getevents(own.ctx, 1, 1, &event, NULL) == 1 && event.obj == list;
	handled++;
}

static void test_handler_uses_another(void **state)
{
	const struct itimerval often = { { 0, 50 }, { 0, 50 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = use_own, .sa_flags = SA_RESTART };
	io_context_t ctx = setup(8);
	int file = numbered_file(1, 0);
	unsigned char mem[4096];
	struct iocb cb;

	(void)state;
	own.ctx = setup(8);
	handled = 0;
	io_prep_pread(&own.cb, file, own.mem, 4096, 0);
	io_prep_pread(&cb, file, mem, 4096, 0);
	check_eq(result_now(own.ctx, &own.cb), 4096);
	check_eq(sigaction(SIGALRM, &action, NULL), 0);
	check_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	for (unsigned k = iterations(100000); k; k--) {
		check_eq(result_now(ctx, &cb), 4096);
		if (k % 1000 == 0)
			progress();
	}
	check_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	check_eq(own.events, handled);
	check_eq(io_destroy(own.ctx), 0);
	check_eq(io_destroy(ctx), 0);
	close(file);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { contract(test_one), contract(test_all_but_one),
					    contract(test_handler_uses_another) };

	return group(tests, argc, argv);
}
