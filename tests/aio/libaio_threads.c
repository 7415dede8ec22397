/* SPDX-License-Identifier: MIT */
/* A context that many threads use at once: every operation brings one event, nobody sleeps for ever. */
#include "libaio_support.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define SENDERS 3
#define TAKERS 3
#define PAGES 16

struct job {
	io_context_t ctx;
	int file, direct, pipe[2], event;
	unsigned each;
	atomic_uint sent, got;
	unsigned least;
	bool with_eventfd;
};

/* What an operation is, and what its result must be. */
struct piece {
	struct iocb cb;
	long want;
	atomic_uint ended;
	unsigned char *mem;
};

static void prepare(struct job *job, struct piece *p, uint32_t what)
{
	unsigned page = what / 8 % PAGES;
	int fd = job->direct >= 0 && (what & 1) ? job->direct : job->file;

	p->want = 4096;
	switch (what % 8) {
	case 0:
	case 1:
		io_prep_pwrite(&p->cb, fd, p->mem, 4096, (PAGES + page) * 4096);
		break;
	case 2:
		io_prep_fdsync(&p->cb, job->file);
		p->want = 0;
		break;
	case 3:
		io_prep_poll(&p->cb, job->pipe[1], POLLOUT);
		p->want = POLLOUT;
		break;
	default:
		io_prep_pread(&p->cb, fd, p->mem, 4096, page * 4096);
	}
	if (job->with_eventfd)
		io_set_eventfd(&p->cb, job->event);
	p->cb.data = p;
}

static void *sends(void *arg)
{
	struct job *job = arg;
	struct piece *pieces = calloc(job->each, sizeof(*pieces));
	unsigned char *mem = aligned_alloc(4096, 4096 * 64);
	uint32_t random = (uint32_t)(uintptr_t)pieces | 1;

	memset(mem, 1, 4096 * 64);
	for (unsigned k = 0; k < job->each; k++) {
		struct iocb *p = &pieces[k].cb;
		int n;

		pieces[k].mem = mem + k % 64 * 4096;
		prepare(job, &pieces[k], next_random(&random));
		while ((n = io_submit(job->ctx, 1, &p)) == -EAGAIN)
			sched_yield();
		check_eq(n, 1);
		atomic_fetch_add(&job->sent, 1);
	}
	for (unsigned k = 0; k < job->each; k++) {
		while (!atomic_load(&pieces[k].ended))
			sleep_ms(1);
	}
	sleep_ms(20);
	for (unsigned k = 0; k < job->each; k++)
		check_eq(atomic_load(&pieces[k].ended), 1);
	free(pieces);
	free(mem);
	return NULL;
}

static void *takes(void *arg)
{
	struct job *job = arg;
	struct timespec limit = { 0, 200000000 };
	struct io_event events[16];
	unsigned all = SENDERS * job->each;

	while (atomic_load(&job->got) < all) {
		int n = io_getevents(job->ctx, job->least, 16, events, &limit);

		check(n >= 0);
		for (int k = 0; k < n; k++) {
			struct piece *p = events[k].data;

			check(events[k].obj == &p->cb);
			check_eq((long)events[k].res, p->want);
			atomic_fetch_add(&p->ended, 1);
		}
		if (n && atomic_fetch_add(&job->got, (unsigned)n) % 64 < (unsigned)n)
			progress();
	}
	return NULL;
}

static void run(unsigned least, bool direct, bool with_eventfd)
{
	struct job job = { .least = least, .each = iterations(1000), .with_eventfd = with_eventfd };
	pthread_t threads[SENDERS + TAKERS];

	job.ctx = setup(64);
	job.file = numbered_file(2 * PAGES, 0);
	job.direct = direct ? numbered_file(2 * PAGES, O_DIRECT) : -1;
	job.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	make_pipe(job.pipe);
	for (int k = 0; k < SENDERS + TAKERS; k++)
		pthread_create(&threads[k], NULL, k < SENDERS ? sends : takes, &job);
	for (int k = 0; k < SENDERS + TAKERS; k++)
		pthread_join(threads[k], NULL);
	check_eq(job.got, SENDERS * job.each);
	check_nothing(job.ctx);
	check_eq(io_destroy(job.ctx), 0);
	close(job.file);
	if (direct)
		close(job.direct);
	close(job.event);
	close(job.pipe[0]);
	close(job.pipe[1]);
}

static void test_one(void **state)
{
	(void)state;
	run(1, false, false);
}

static void test_several(void **state)
{
	(void)state;
	run(5, false, false);
}

static void test_direct(void **state)
{
	(void)state;
	run(2, true, false);
}

static void test_eventfd(void **state)
{
	(void)state;
	run(1, false, true);
}

/* Without a time limit: if a wake-up were lost, this would stand still. */
static void *submits_one(void *arg)
{
	struct job *job = arg;
	unsigned char mem[4096] = { 0 };
	struct iocb cb;

	for (unsigned k = 0; k < job->each; k++) {
		unsigned before = atomic_load(&job->got);

		if (k % 3)
			io_prep_pread(&cb, job->file, mem, 4096, 0);
		else
			io_prep_pwrite(&cb, job->file, mem, 4096, 4096);
		check_eq(submit_iocb(job->ctx, &cb), 1);
		while (atomic_load(&job->got) == before)
			sched_yield();
		if (k % 64 == 0)
			progress();
	}
	return NULL;
}

static void test_no_lost_wakeup(void **state)
{
	struct job job = { .each = iterations(2000), .file = numbered_file(2, 0) };
	struct io_event event;
	struct iocb waits;
	pthread_t thread;

	(void)state;
	make_pipe(job.pipe);
	for (int busy = 0; busy < 2; busy++) {
		job.ctx = setup(8);
		job.got = 0;
		if (busy) {
			io_prep_poll(&waits, job.pipe[0], POLLIN);
			check_eq(submit_iocb(job.ctx, &waits), 1);
		}
		pthread_create(&thread, NULL, submits_one, &job);
		for (unsigned k = 0; k < job.each; k++) {
			check_eq(io_getevents(job.ctx, 1, 1, &event, NULL), 1);
			check_eq(event.res, 4096);
			atomic_fetch_add(&job.got, 1);
		}
		pthread_join(thread, NULL);
		check_eq(io_destroy(job.ctx), 0);
	}
	close(job.file);
	close(job.pipe[0]);
	close(job.pipe[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_one),	contract(test_several),	       contract(test_direct),
		contract(test_eventfd), contract(test_no_lost_wakeup),
	};

	return group(tests, argc, argv);
}
