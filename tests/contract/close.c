/* SPDX-License-Identifier: MIT */
/* Contract: closing cancels and waits; afterwards nothing of the queue is left, anywhere. */
#include "blocked.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

static void send_all_kinds(struct asys_queue *q, struct stage *stage)
{
	for (unsigned i = 0; i < blocked_count; i++) {
		asys_id id = blocked_kinds[i].send(q, stage);

		check(id.value > 0);
		submit(asys_after(q, id), SYS_getppid, 0);
		submit(asys_after_ok(asys_quiet(q), id), SYS_getuid, 0);
		submit_refs(asys_deadline(q, asys_now() + 3600000000000ull), SYS_fcntl,
			    ASYS_CALL_REF(0), id.value, F_GETFD);
	}
}

/* How far the calls have come when the queue is closed. */
enum moment { AT_ONCE, FLUSHED, BLOCKED, AFTER_GETS, MOMENTS };

static void close_in_flight(uint32_t flags, enum moment moment)
{
	struct asys_queue *q = open_depth(256, flags);
	const struct census before = census_take();
	struct stage stage;

	stage_open(&stage);
	send_all_kinds(q, &stage);
	for (unsigned i = 0; i < 50; i++)
		submit(q, SYS_getppid, 0);
	if (moment >= FLUSHED)
		check_eq(asys_queue_flush(q), 0);
	if (moment >= BLOCKED)
		sleep_ms(3);
	if (moment >= AFTER_GETS)
		for (unsigned i = 0; i < 25; i++)
			check_eq(asys_queue_get_many(q, &(struct asys_event){ .result = 0 }, 1, 1,
						     ASYS_FOREVER),
				 1);
	asys_queue_close(q);
	stage_check_untouched(&stage);
	stage_close(&stage);
	census_check(before);
	progress();
}

static void test_every_kind(void **state)
{
	(void)state;
	for (unsigned moment = 0; moment < MOMENTS; moment++)
		close_in_flight(0, (enum moment)moment);
}

static void test_every_kind_shared(void **state)
{
	(void)state;
	for (unsigned moment = 0; moment < MOMENTS; moment++)
		close_in_flight(ASYS_QUEUE_SHARED, (enum moment)moment);
}

static void test_every_kind_with_driver(void **state)
{
	(void)state;
	for (unsigned moment = 0; moment < MOMENTS; moment++)
		close_in_flight(ASYS_QUEUE_DRIVER, (enum moment)moment);
}

static void test_every_kind_no_help(void **state)
{
	(void)state;
	if (engine_forced("inline"))
		skip_because("the inline engine is the helping itself");
	for (unsigned moment = 0; moment < MOMENTS; moment++)
		close_in_flight(ASYS_QUEUE_NO_HELP, (enum moment)moment);
}

/* The memory is gone right after close: what would still be written would be a fault or a loss. */
static void test_unmapped_buffers(void **state)
{
	const unsigned rounds = iterations(100);

	(void)state;
	for (unsigned i = 0; i < rounds; i++) {
		struct asys_queue *q = open_queue();
		char *memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char rest[64];
		int fd[2];

		check(memory != MAP_FAILED);
		make_pipe(fd);
		for (unsigned n = 0; n < 8; n++)
			submit(q, SYS_read, fd[0], memory + 4096 * n, 4);
		if (i % 3)
			check_eq(asys_queue_flush(q), 0);
		if (i % 3 == 2)
			sleep_ms(1);
		asys_queue_close(q);
		check_eq(munmap(memory, 65536), 0);
		check_eq(write(fd[1], "all of it", 9), 9);
		check_eq(read(fd[0], rest, sizeof(rest)), 9);
		check(!memcmp(rest, "all of it", 9));
		close(fd[0]);
		close(fd[1]);
		progress();
	}
}

struct writer {
	int fd;
	bool stop;
	uint64_t written;
};

static void *write_always(void *arg)
{
	struct writer *writer = arg;

	while (!__atomic_load_n(&writer->stop, __ATOMIC_ACQUIRE))
		if (write(writer->fd, "w", 1) == 1)
			writer->written++;
	return NULL;
}

/* Data arrives while the queue closes: what was taken from the pipe is in a buffer. */
static void test_data_while_closing(void **state)
{
	const unsigned rounds = iterations(200);
	struct writer writer = { .stop = false };
	static char bytes[64];
	uint64_t taken = 0;
	pthread_t thread;
	int fd[2];

	(void)state;
	make_pipe(fd);
	writer.fd = fd[1];
	check_eq(pthread_create(&thread, NULL, write_always, &writer), 0);
	for (unsigned i = 0; i < rounds; i++) {
		struct asys_queue *q = open_queue();

		memset(bytes, 0, sizeof(bytes));
		for (unsigned n = 0; n < sizeof(bytes); n++)
			submit(q, SYS_read, fd[0], &bytes[n], 1);
		check_eq(asys_queue_flush(q), 0);
		asys_queue_close(q);
		for (unsigned n = 0; n < sizeof(bytes); n++)
			taken += bytes[n] == 'w';
		progress();
	}
	__atomic_store_n(&writer.stop, true, __ATOMIC_RELEASE);
	/* the writer may sleep in a full pipe */
	check_eq(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
	for (ssize_t n; (n = read(fd[0], bytes, sizeof(bytes))) > 0;)
		taken += (uint64_t)n;
	pthread_join(thread, NULL);
	close(fd[1]);
	for (ssize_t n; (n = read(fd[0], bytes, sizeof(bytes))) > 0;)
		taken += (uint64_t)n;
	check_eq(taken, writer.written);
	close(fd[0]);
}

static void test_many_times(void **state)
{
	const unsigned rounds = iterations(300);
	const struct census before = census_take();
	char byte;
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < rounds; i++) {
		struct asys_queue *q = open_queue();

		submit(q, SYS_read, fd[0], &byte, 1);
		submit(q, SYS_getppid, 0);
		if (i % 2)
			check_eq(asys_queue_get_many(q, &(struct asys_event){ .result = 0 }, 1, 1,
						     ASYS_FOREVER),
				 1);
		asys_queue_close(q);
		progress();
	}
	close(fd[0]);
	close(fd[1]);
	census_check(before);
}

/* A long chain whose first step blocks: closing ends all of it, without deep recursion. */
static void test_long_chain(void **state)
{
	struct asys_queue *q = open_depth(65536, 0);
	asys_id last;
	char byte;
	int fd[2];

	(void)state;
	make_pipe(fd);
	last = submit(q, SYS_read, fd[0], &byte, 1);
	for (unsigned i = 0; i < 50000; i++)
		last = submit(asys_after(q, last), SYS_getppid, 0);
	check_eq(asys_queue_flush(q), 0);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void *open_and_send(void *arg)
{
	struct asys_queue *q = open_queue();
	int *fd = arg;
	static char byte;

	warm_up(q);
	submit(q, SYS_read, fd[0], &byte, 1);
	check_eq(asys_queue_flush(q), 0);
	return q;
}

/* A queue belongs to one thread at a time: it may be handed on, and its opener may end. */
static void test_handed_to_another_thread(void **state)
{
	pthread_t thread;
	void *q = NULL;
	int fd[2];

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		make_pipe(fd);
		check_eq(pthread_create(&thread, NULL, open_and_send, fd), 0);
		pthread_join(thread, &q);
		if (i % 2) {
			check_eq(write(fd[1], "x", 1), 1);
			check_eq(drain(q), 1);
			warm_up(q);
		}
		asys_queue_close(q);
		close(fd[0]);
		close(fd[1]);
	}
}

/* Opens of a FIFO that hang, which the kernel's workers have just begun when their driver exits: closing, or replacing
 * the driver after a change of rights, does not wait for them. */
static void driver_exits(bool replaced, unsigned late_us)
{
	char *folder = temp_make(), path[128];
	struct asys_queue *q = open_depth(64, ASYS_QUEUE_DRIVER);
	const struct timespec pause = { 0, 1000L * late_us };

	snprintf(path, sizeof(path), "%s/fifo", folder);
	check_eq(mkfifo(path, 0600), 0);
	for (unsigned n = 0; n < 20; n++)
		submit(q, SYS_openat, AT_FDCWD, path, O_RDONLY, 0);
	check_eq(asys_queue_flush(q), 0);
	nanosleep(&pause, NULL);
	if (replaced)
		check(result_of(q, submit(q, SYS_umask, 022)) >= 0);
	asys_queue_close(q);
	temp_remove(folder);
	progress();
}

static void test_driver_exits(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 400; n++)
		driver_exits(n % 2, n / 2 % 20 * 50);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_every_kind),
		contract(test_every_kind_shared),
		contract(test_every_kind_with_driver),
		contract(test_every_kind_no_help),
		contract(test_unmapped_buffers),
		contract(test_data_while_closing),
		contract(test_many_times),
		contract(test_long_chain),
		contract(test_handed_to_another_thread),
		contract(test_driver_exits),
	};

	return group(tests, argc, argv);
}
