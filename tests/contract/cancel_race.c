/* SPDX-License-Identifier: MIT */
/*
 * Contract: no cancel is lost and no data is lost in the instants before and after the trap.
 * Every round lets a cancel and what the call waits for happen at about the same time, each with a
 * delay that varies, and then accounts for everything. ASYS_STRESS sets the number of rounds.
 */
#include "support.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

struct racer {
	int fd;		/* gets one byte a round */
	uint32_t round; /* set by the main thread: go */
	uint32_t done;	/* set by the racer: written */
	uint32_t delay; /* how long to spin first */
	uint32_t stop;
};

static void spin(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		__asm__ volatile("" ::: "memory");
}

static void await(const uint32_t *word, uint32_t value)
{
	/* Both may be on one core: give way from time to time. */
	for (uint32_t i = 0; __atomic_load_n(word, __ATOMIC_ACQUIRE) != value; i++)
		if (i % 1024 == 1023)
			sched_yield();
}

static void *write_on_command(void *arg)
{
	struct racer *racer = arg;

	for (uint32_t round = 1;; round++) {
		await(&racer->round, round);
		if (__atomic_load_n(&racer->stop, __ATOMIC_ACQUIRE))
			return NULL;
		spin(__atomic_load_n(&racer->delay, __ATOMIC_RELAXED));
		check_eq(write(racer->fd, (const char[1]){ (char)round }, 1), 1);
		__atomic_store_n(&racer->done, round, __ATOMIC_RELEASE);
	}
}

static void race_reads(uint32_t flags)
{
	const uint32_t rounds = iterations(5000);
	struct asys_queue *q = open_depth(16, flags);
	struct racer racer = { .round = 0 };
	struct asys_event event;
	uint32_t random = 12345, bias = 1024;
	unsigned won = 0, lost = 0;
	pthread_t thread;
	char byte, rest;
	asys_id id;
	int fd[2], err;

	make_pipe(fd);
	racer.fd = fd[1];
	check_eq(pthread_create(&thread, NULL, write_on_command, &racer), 0);
	for (uint32_t round = 1; round <= rounds; round++) {
		const uint32_t range = 1u << next_random(&random) % 14;

		byte = 0;
		id = submit(asys_user(q, round), SYS_read, fd[0], &byte, 1);
		if (next_random(&random) % 4)
			check_eq(asys_queue_flush(q), 0);
		__atomic_store_n(&racer.delay, next_random(&random) % range, __ATOMIC_RELAXED);
		__atomic_store_n(&racer.round, round, __ATOMIC_RELEASE);
		/* later after each round that the cancel won, earlier after one it lost: so that both
		 * come about equally often, whatever a wake-up costs here */
		spin(bias + next_random(&random) % range);
		err = -ESTALE;
		/* a look before lets engines that need the caller come as far as the data */
		if (next_random(&random) % 2 || !asys_queue_get(q, &event)) {
			err = asys_queue_cancel(q, id);
			check_one_of(err, 0, -EALREADY);
			check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
		}
		check_eq(event.id.value, id.value);
		check_eq(event.user, round);
		check_eq(asys_queue_pending(q), 0);
		if (event.result == 1) {
			check_eq(byte, (char)round);
			bias -= bias / 8;
			lost++;
		} else {
			/* cancelled: the byte is, or will be, in the pipe and not in the buffer */
			check_eq(event.result, -ECANCELED);
			check_eq(err, 0);
			await(&racer.done, round);
			check_eq(byte, 0);
			check_eq(read(fd[0], &rest, 1), 1);
			check_eq(rest, (char)round);
			bias += bias < 1u << 17 ? bias / 8 + 16 : 0;
			won++;
		}
		progress();
	}
	check_eq(asys_queue_get(q, &event), 0);
	__atomic_store_n(&racer.stop, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&racer.round, rounds + 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	printf("%u cancelled, %u were faster\n", won, lost);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void test_reads(void **state)
{
	(void)state;
	race_reads(0);
}

static void test_reads_no_help(void **state)
{
	(void)state;
	if (engine_forced("inline"))
		skip_because("the inline engine is the helping itself");
	race_reads(ASYS_QUEUE_NO_HELP);
}

static void test_reads_with_driver(void **state)
{
	(void)state;
	race_reads(ASYS_QUEUE_DRIVER);
}

/* Nothing but the cancel can end these: a lost one hangs and the watchdog ends the program. */
static void test_lost_cancel(void **state)
{
	const unsigned rounds = iterations(6000);
	struct asys_queue *q = open_queue();
	uint32_t random = 99, word = 0;
	struct asys_event event;
	asys_id id;

	(void)state;
	for (unsigned i = 0; i < rounds; i++) {
		const uint32_t range = 1u << next_random(&random) % 16;

		id = submit(q, SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
		check_eq(asys_queue_flush(q), 0);
		spin(next_random(&random) % range);
		check_eq(asys_queue_cancel(q, id), 0);
		check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
		check_eq(event.id.value, id.value);
		check_eq(event.result, -ECANCELED);
		progress();
	}
	asys_queue_close(q);
}

/* The same with many at once, so that threads go from one call to the next while signals fly. */
static void test_lost_cancel_of_many(void **state)
{
	enum { MANY = 16 };
	const unsigned rounds = iterations(6000) / MANY + 1;
	struct asys_queue *q = open_queue();
	uint32_t random = 7, word = 0;
	struct asys_event event;
	asys_id id[MANY];

	(void)state;
	for (unsigned i = 0; i < rounds; i++) {
		for (unsigned n = 0; n < MANY; n++)
			id[n] = submit(q, SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
		check_eq(asys_queue_flush(q), 0);
		spin(next_random(&random) % (1u << next_random(&random) % 16));
		for (unsigned n = 0; n < MANY; n++)
			check_eq(asys_queue_cancel(q, id[n]), 0);
		for (unsigned n = 0; n < MANY; n++) {
			check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
			check_eq(event.result, -ECANCELED);
		}
		progress();
	}
	asys_queue_close(q);
}

/*
 * A signal that comes too late must not hit the thread's next call. The victims are calls that a
 * signal interrupts (-EINTR) or shortens, and that nobody cancels.
 */
static void test_no_stray_signal(void **state)
{
	const unsigned rounds = iterations(3000);
	static const struct timespec moment = { 0, 100000 };
	struct asys_queue *q = open_queue();
	uint32_t random = 4711, word = 0;
	asys_id victim[4], target[4];
	struct timespec rest = { 0, 0 };

	(void)state;
	for (unsigned i = 0; i < rounds; i++) {
		for (unsigned n = 0; n < 4; n++) {
			target[n] =
				submit(q, SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
			victim[n] = submit(q, n % 2 ? SYS_nanosleep : SYS_clock_nanosleep,
					   n % 2 ? WORD(&moment) : CLOCK_MONOTONIC,
					   n % 2 ? WORD(&rest) : 0, n % 2 ? 0 : WORD(&moment),
					   n % 2 ? 0 : WORD(&rest));
		}
		check_eq(asys_queue_flush(q), 0);
		spin(next_random(&random) % 20000);
		for (unsigned n = 0; n < 4; n++)
			check_eq(asys_queue_cancel(q, target[n]), 0);
		for (unsigned n = 0; n < 4; n++)
			check_eq(result_of(q, target[n]), -ECANCELED);
		for (unsigned n = 0; n < 4; n++)
			check_eq(result_of(q, victim[n]), 0);
		progress();
	}
	asys_queue_close(q);
}

/* Nor any thread of the program itself: its own sleeps are never interrupted. */
static void test_no_signal_to_the_caller(void **state)
{
	const unsigned rounds = iterations(300);
	struct asys_queue *q = open_queue();
	const struct timespec moment = { 0, 200000 };
	uint32_t word = 0;
	asys_id id[4];

	(void)state;
	for (unsigned i = 0; i < rounds; i++) {
		for (unsigned n = 0; n < 4; n++)
			id[n] = submit(q, SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
		check_eq(asys_queue_flush(q), 0);
		for (unsigned n = 0; n < 4; n++)
			check_eq(asys_queue_cancel(q, id[n]), 0);
		check_eq(nanosleep(&moment, NULL), 0);
		check_eq(asys_queue_barrier(q), -ECANCELED);
		check_eq(drain(q), 4);
		progress();
	}
	asys_queue_close(q);
}

/* A chain whose step is cancelled as it is released by the one before. */
static void test_dependent_race(void **state)
{
	const unsigned rounds = iterations(6000);
	struct asys_queue *q = open_queue();
	uint32_t random = 321;
	asys_id gate, next, last;
	char bytes[2];
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < rounds; i++) {
		int64_t result;

		gate = submit(q, SYS_read, fd[0], &bytes[0], 1);
		next = submit(asys_after_ok(q, gate), SYS_getppid, 0);
		last = submit(asys_after(q, next), SYS_getppid, 0);
		check_eq(asys_queue_flush(q), 0);
		check_eq(write(fd[1], "g", 1), 1);
		spin(next_random(&random) % 8192);
		check_one_of(asys_queue_cancel(q, next), 0, -EALREADY);
		check_eq(result_of(q, gate), 1);
		result = result_of(q, next);
		check_one_of(result, getppid(), -ECANCELED);
		check_eq(result_of(q, last), getppid());
		progress();
	}
	check_eq(asys_queue_pending(q), 0);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_reads),
		contract(test_reads_no_help),
		contract(test_reads_with_driver),
		contract(test_lost_cancel),
		contract(test_lost_cancel_of_many),
		contract(test_no_stray_signal),
		contract(test_no_signal_to_the_caller),
		contract(test_dependent_race),
	};

	return group(tests, argc, argv);
}
