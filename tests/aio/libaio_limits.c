/* SPDX-License-Identifier: MIT */
/* How much fits: rings as large as the kernel's, -EAGAIN when full, room again after getting. */
#include "libaio_support.h"

#include <poll.h>
#include <stdlib.h>

static void test_ring(void **state)
{
	static const int asked[] = { 1, 13, 121, 364, 1093 };

	(void)state;
	for (unsigned k = 0; k < sizeof(asked) / sizeof(asked[0]); k++) {
		io_context_t ctx = setup(asked[k]);
		const struct ring *ring = (const struct ring *)ctx;

		check(ring->nr > (unsigned)asked[k]);
		check_eq(ring->nr % 128, 127); /* whole pages */
		check_eq(ring->compat, 1);
		check_eq(ring->incompat, 0);
		check_eq(ring->header_length, sizeof(struct ring));
		check_eq(ring->head, ring->tail);
		check_eq(io_destroy(ctx), 0);
	}
}

/* Polls that do not end fill the context. */
static void test_full(void **state)
{
	static struct iocb cb[4096];
	io_context_t ctx = setup(100);
	unsigned nr = ((struct ring *)ctx)->nr, n = 0;
	struct io_event event;
	int fd[2], err;

	(void)state;
	make_pipe(fd);
	do {
		io_prep_poll(&cb[n], fd[0], POLLIN);
		err = submit_iocb(ctx, &cb[n]);
	} while (err == 1 && ++n < nr + 10);
	check_eq(err, -EAGAIN);
	check(n >= 100 && n < nr);
	check_eq(submit_iocb(ctx, &cb[n]), -EAGAIN);
	check_eq(write(fd[1], "x", 1), 1);
	for (unsigned k = 0; k < n; k++)
		check(get_event(ctx).res & POLLIN);
	check_eq(submit_iocb(ctx, &cb[0]), 1);
	event = get_event(ctx);
	check(event.obj == &cb[0]);
	check_eq(io_destroy(ctx), 0);
	close(fd[0]);
	close(fd[1]);
}

/* Events that lie in the ring count too, and what does not fit is not lost: the list ends early. */
static void test_events_count(void **state)
{
	static struct iocb cb[600], *list[600];
	static struct io_event events[600];
	io_context_t ctx = setup(100);
	unsigned nr = ((struct ring *)ctx)->nr;
	int fd = numbered_file(1, 0), n, more, got = 0;
	char byte;

	(void)state;
	for (unsigned k = 0; k < 600; k++) {
		io_prep_pread(&cb[k], fd, &byte, 1, 0);
		list[k] = &cb[k];
	}
	n = io_submit(ctx, 600, list);
	check(n >= 100 && (unsigned)n < nr);
	more = io_submit(ctx, 600 - n, list + n);
	check(more == -EAGAIN || (unsigned)(n + more) < nr);
	n += more > 0 ? more : 0;
	while (got < n) {
		int now = io_getevents(ctx, 1, 600, events, NULL);

		check(now > 0);
		got += now;
	}
	check_eq(got, n);
	check_nothing(ctx);
	check_eq(io_submit(ctx, 100, list), 100);
	check_eq(io_destroy(ctx), 0);
	close(fd);
}

static void test_aio_max(void **state)
{
	FILE *file = fopen("/proc/sys/fs/aio-max-nr", "re");
	io_context_t ctx[8] = { NULL }, over = NULL;
	int most = 0, n = 0;

	(void)state;
	if (!file || fscanf(file, "%d", &most) != 1 || most < 1000 || most > 1 << 20)
		skip_because("no useful aio-max-nr");
	fclose(file);
	check_eq(io_setup(most + 1, &over), -EAGAIN);
	check(!over);
	while (n < 8 && !io_setup(most / 4, &ctx[n]))
		n++;
	check(n <= 4);
	while (n)
		check_eq(io_destroy(ctx[--n]), 0);
}

static void test_many_contexts(void **state)
{
	io_context_t ctx[100];
	int fd = numbered_file(1, 0);
	unsigned char mem[4096];
	struct iocb cb;

	(void)state;
	for (unsigned k = 0; k < 100; k++)
		ctx[k] = setup(4);
	for (unsigned k = 0; k < 100; k++) {
		io_prep_pread(&cb, fd, mem, 4096, 0);
		check_eq(submit_iocb(ctx[k], &cb), 1);
	}
	for (unsigned k = 0; k < 100; k++)
		check_eq(get_event(ctx[99 - k]).res, 4096);
	for (unsigned k = 0; k < 100; k++)
		check_eq(io_destroy(ctx[k]), 0);
	close(fd);
}

/* Thousands of operations that wait need no thread each. */
static void test_bounded(void **state)
{
	static struct iocb reads[200], polls[2000];
	io_context_t ctx = setup(4000);
	struct census census;
	char byte;
	int fd[2];

	(void)state;
	shim_or_skip();
	make_pipe(fd);
	for (unsigned k = 0; k < 2000; k++) {
		io_prep_poll(&polls[k], fd[0], POLLIN);
		check_eq(submit_iocb(ctx, &polls[k]), 1);
	}
	for (unsigned k = 0; k < 200; k++) {
		io_prep_pread(&reads[k], fd[0], &byte, 1, 0);
		check_eq(submit_iocb(ctx, &reads[k]), 1);
	}
	check_nothing(ctx);
	census = census_take();
	check(census.threads < 20);
	check_eq(io_destroy(ctx), 0);
	close(fd[0]);
	close(fd[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_ring),	contract(test_full),	      contract(test_events_count),
		contract(test_aio_max), contract(test_many_contexts), contract(test_bounded),
	};

	return group(tests, argc, argv);
}
