/* SPDX-License-Identifier: MIT */
/*
 * CPU time that an open queue uses while nobody uses it: ten seconds, counted over all threads of
 * the process. The queue has worked before, on every engine that it has, so that its threads and
 * rings exist, and a read that nothing answers is left in flight.
 */
#include "harness.h"

#include <asys/asys.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WORK_CALLS 2048
#define SETTLE_NS 100000000u /* sleepers spin for a moment before they sleep */
#define IDLE_NS 10000000000u
#define IDLE_QUICK_NS 100000000u

static uint64_t process_cpu(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void sleep_ns(uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

	while (nanosleep(&ts, &ts) && !bench_stopped())
		;
}

/* Calls of every kind: short ones, some that go to disk, some that wait for somebody else. */
static int exercise(struct asys_queue *queue, const int pipe_fds[2])
{
	static struct statx stx[WORK_CALLS];
	char byte[2] = { 'x', 0 };
	int err;

	for (unsigned i = 0; i < WORK_CALLS; i++)
		asys_statx(queue, AT_FDCWD, "/", 0, STATX_BASIC_STATS, &stx[i]);
	asys_read(queue, pipe_fds[0], &byte[1], 1);
	err = asys_queue_flush(queue);
	if (!err)
		asys_write(queue, pipe_fds[1], &byte[0], 1);
	if (!err)
		err = asys_queue_barrier(queue);
	if (!err && byte[1] != byte[0])
		err = -EBADMSG;
	for (struct asys_event event; !err && asys_queue_get(queue, &event) > 0;)
		;
	return err;
}

static int measure(const struct bench_options *options, struct asys_queue *queue, double *ret_ms,
		   char *note, size_t note_len)
{
	static char never;
	struct asys_stats stats;
	uint64_t start;
	int pipe_fds[2], err;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return -errno;
	err = exercise(queue, pipe_fds);
	if (!err) {
		asys_read(queue, pipe_fds[0], &never, 1);
		err = asys_queue_flush(queue);
	}
	if (!err) {
		sleep_ns(SETTLE_NS);
		start = process_cpu();
		sleep_ns(options->quick ? IDLE_QUICK_NS : IDLE_NS);
		*ret_ms = (double)(process_cpu() - start) / 1e6;
		err = asys_queue_stats(queue, &stats);
	}
	if (!err)
		snprintf(note, note_len, "%g s, %u system call threads, a read in flight",
			 options->quick ? 0.1 : 10.0, stats.threads);
	asys_queue_close(queue);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return err;
}

static int run(const struct bench_options *options)
{
	struct asys_queue *queue;
	char note[BENCH_NOTE];
	double ms = 0;
	int err;

	if (!bench_wants(options, "cpu_ms"))
		return 0;
	err = asys_queue_open(&queue, NULL);
	if (err) {
		bench_say(options, "cannot open a queue: %s", asys_message());
		return err;
	}
	err = measure(options, queue, &ms, note, sizeof note);
	if (err)
		bench_say(options, "cpu_ms: %s", strerror(-err));
	else
		bench_figure(options, "cpu_ms", "ms", &ms, 1, note);
	return err;
}

int main(int argc, char **argv)
{
	struct bench_options options;

	bench_options(&options, "idle",
		      "CPU time that an open queue which nobody uses takes in ten seconds.", argc,
		      argv);
	return bench_exit(&options, run(&options));
}
