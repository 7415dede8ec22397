/* SPDX-License-Identifier: MIT */
/*
 * Contract: spin, then sleep, and no wake-up is lost in between. Nothing here sets a timer or takes
 * a signal, either of which would hide a lost wake-up: a round that hangs hangs, and the watchdog
 * ends the program. The model of the same is tests/model/sleep.pml.
 */
#include "support.h"

#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

static struct asys_queue *open_spinning(uint32_t spin_ns, uint32_t flags)
{
	struct asys_queue_options options;

	asys_queue_options_init(&options);
	options.spin_ns = spin_ns;
	options.flags = flags;
	options.depth = 64;
	return open_with(&options);
}

struct player {
	int in, out;
	uint32_t spin_ns;
	uint32_t flags;
	unsigned rounds;
};

/* Reads a byte and sends it back, both through a queue of its own. */
static void *play(void *arg)
{
	const struct player *player = arg;
	struct asys_queue *q = open_spinning(player->spin_ns, player->flags);
	char byte;

	for (unsigned i = 0; i < player->rounds; i++) {
		check_eq(result_of(q, submit(q, SYS_read, player->in, &byte, 1)), 1);
		check_eq(result_of(q, submit(q, SYS_write, player->out, &byte, 1)), 1);
	}
	asys_queue_close(q);
	return NULL;
}

static void ping_pong(uint32_t spin_ns, uint32_t flags, unsigned rounds)
{
	struct asys_queue *q = open_spinning(spin_ns, flags);
	int there[2], back[2];
	struct player player;
	pthread_t thread;
	char byte;

	make_pipe(there);
	make_pipe(back);
	player = (struct player){ there[0], back[1], spin_ns, flags, rounds };
	check_eq(pthread_create(&thread, NULL, play, &player), 0);
	for (unsigned i = 0; i < rounds; i++) {
		const char sent = (char)i;

		check_eq(result_of(q, submit(q, SYS_write, there[1], &sent, 1)), 1);
		check_eq(result_of(q, submit(q, SYS_read, back[0], &byte, 1)), 1);
		check_eq(byte, sent);
		progress();
	}
	pthread_join(thread, NULL);
	asys_queue_close(q);
	close(there[0]);
	close(there[1]);
	close(back[0]);
	close(back[1]);
}

static void test_ping_pong(void **state)
{
	const unsigned rounds = iterations(1500);

	(void)state;
	ping_pong(0, 0, rounds);
	ping_pong(2000, 0, rounds);
	ping_pong(50000, 0, rounds);
	ping_pong(ASYS_SPIN_MAX_NS, 0, rounds);
}

static void test_ping_pong_with_driver(void **state)
{
	const unsigned rounds = iterations(1000);

	(void)state;
	ping_pong(0, ASYS_QUEUE_DRIVER, rounds);
	ping_pong(20000, ASYS_QUEUE_DRIVER, rounds);
}

static void wander(uint32_t *random, uint32_t most)
{
	for (uint32_t n = next_random(random) % most; n; n--)
		__asm__ volatile("" ::: "memory");
}

/* The thread that serves is about to sleep, or has just slept, when the next call comes. */
static void at_the_edge(uint32_t spin_ns)
{
	const unsigned rounds = iterations(4000);
	struct asys_queue *q = open_spinning(spin_ns, ASYS_QUEUE_NO_HELP);
	uint32_t random = spin_ns + 1;

	for (unsigned i = 0; i < rounds; i++) {
		check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
		wander(&random, 1u << next_random(&random) % 17);
		progress();
	}
	asys_queue_close(q);
}

static void test_worker_at_the_edge(void **state)
{
	(void)state;
	if (engine_forced("inline"))
		skip_because("the inline engine is the helping itself");
	at_the_edge(0);
	at_the_edge(1000);
	at_the_edge(20000);
}

struct shared {
	struct asys_queue *queue;
	int fd;
	unsigned rounds;
	uint32_t sent;
};

static void *feed_at_random(void *arg)
{
	struct shared *shared = arg;
	uint32_t random = 31;

	for (unsigned i = 0; i < shared->rounds; i++) {
		while (__atomic_load_n(&shared->sent, __ATOMIC_ACQUIRE) == i)
			sched_yield();
		wander(&random, 1u << next_random(&random) % 17);
		check_eq(write(shared->fd, "f", 1), 1);
	}
	return NULL;
}

/* What completes the call comes from outside, when the waiter is about to sleep. */
static void waiter_at_the_edge(uint32_t spin_ns, uint32_t flags)
{
	struct shared shared = { open_spinning(spin_ns, flags), -1, iterations(2500), 0 };
	pthread_t thread;
	char byte;
	int fd[2];

	make_pipe(fd);
	shared.fd = fd[1];
	check_eq(pthread_create(&thread, NULL, feed_at_random, &shared), 0);
	for (unsigned i = 0; i < shared.rounds; i++) {
		asys_id id = submit(shared.queue, SYS_read, fd[0], &byte, 1);

		check_eq(asys_queue_flush(shared.queue), 0);
		__atomic_store_n(&shared.sent, i + 1, __ATOMIC_RELEASE);
		check_eq(result_of(shared.queue, id), 1);
		progress();
	}
	pthread_join(thread, NULL);
	asys_queue_close(shared.queue);
	close(fd[0]);
	close(fd[1]);
}

static void test_waiter_at_the_edge(void **state)
{
	(void)state;
	waiter_at_the_edge(0, 0);
	waiter_at_the_edge(5000, 0);
	waiter_at_the_edge(0, ASYS_QUEUE_SHARED);
	waiter_at_the_edge(5000, ASYS_QUEUE_DRIVER);
}

static void *send_for_the_other(void *arg)
{
	struct shared *shared = arg;
	uint32_t random = 9;

	for (unsigned i = 0; i < shared->rounds; i++) {
		while (__atomic_load_n(&shared->sent, __ATOMIC_ACQUIRE) != i)
			sched_yield();
		wander(&random, 1u << next_random(&random) % 15);
		check(submit(shared->queue, SYS_getppid, 0).value > 0);
		check_eq(asys_queue_flush(shared->queue), 0);
		__atomic_store_n(&shared->sent, i + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* One thread sends, the other takes the event: also one that began to wait before it was sent. */
static void test_taker_of_shared(void **state)
{
	struct shared shared = { .rounds = iterations(3000) };
	struct asys_event event;
	pthread_t thread;
	char byte;
	int fd[2];

	(void)state;
	make_pipe(fd);
	shared.queue = open_spinning(0, ASYS_QUEUE_SHARED);
	/* something is always in flight, so that the taker does wait */
	asys_id always = submit(shared.queue, SYS_read, fd[0], &byte, 1);

	check_eq(pthread_create(&thread, NULL, send_for_the_other, &shared), 0);
	for (unsigned i = 0; i < shared.rounds; i++) {
		check_eq(asys_queue_get_many(shared.queue, &event, 1, 1, ASYS_FOREVER), 1);
		check_eq(event.result, getppid());
		progress();
	}
	pthread_join(thread, NULL);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(result_of(shared.queue, always), 1);
	asys_queue_close(shared.queue);
	close(fd[0]);
	close(fd[1]);
}

static uint64_t cpu_ns(void)
{
	struct rusage usage;

	check_eq(getrusage(RUSAGE_SELF, &usage), 0);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000u +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000u;
}

/*
 * An idle queue uses no CPU. Not a timing of work: what is measured is that sleepers sleep, and
 * anything that polls uses 300 ms of the 300 ms, or many wake-ups.
 */
static void test_idle(void **state)
{
	static const uint32_t flags[] = { 0, ASYS_QUEUE_SHARED, ASYS_QUEUE_DRIVER };
	char byte;
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < 3; i++) {
		struct asys_queue *q = open_spinning(50000, flags[i]);
		struct rusage before, after;
		uint64_t start;

		warm_up(q);
		submit(q, SYS_read, fd[0], &byte, 1);
		check_eq(asys_queue_flush(q), 0);
		sleep_ms(100);
		start = cpu_ns();
		getrusage(RUSAGE_SELF, &before);
		sleep_ms(300);
		check(cpu_ns() - start < 100000000u);
		getrusage(RUSAGE_SELF, &after);
		check(after.ru_nvcsw - before.ru_nvcsw < 30);
		asys_queue_close(q);
	}
	close(fd[0]);
	close(fd[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_ping_pong),	   contract(test_ping_pong_with_driver),
		contract(test_worker_at_the_edge), contract(test_waiter_at_the_edge),
		contract(test_taker_of_shared),	   contract(test_idle),
	};

	return group(tests, argc, argv);
}
