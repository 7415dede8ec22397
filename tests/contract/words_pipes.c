/* SPDX-License-Identifier: MIT */
/*
 * Contract: a call's words mean the same to every engine. Pipes, terminals and what is like them:
 * what waits, what comes in pieces, and what O_NONBLOCK or a flag keeps from waiting.
 */
#include "script.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <pty.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

#define ROOM 65536 /* that a pipe is given, where it matters */
#define BIG 300000 /* several times as much */

static char big[BIG];

static void makes(struct script *s)
{
	int fd[2] = { -1, -1 };

	CALL(BY_RING, SYS_pipe2, fd, O_CLOEXEC | O_NONBLOCK);
	note(s, "cloexec", fcntl(fd[0], F_GETFD));
	note(s, "flags", fcntl(fd[1], F_GETFL));
	close_both(fd);
	CALL(BY_RING, SYS_pipe2, fd, 1 << 30);
#ifdef SYS_pipe
	CALL(BY_RING, SYS_pipe, fd);
	note(s, "flags", fcntl(fd[1], F_GETFL));
	close_both(fd);
#endif
}

static void short_ones(struct script *s)
{
	char a[8] = "", b[8] = "";
	struct iovec out[2] = { { (char[]){ "abc" }, 3 }, { (char[]){ "DEFG" }, 4 } };
	struct iovec in[2] = { { a, 4 }, { b, 8 } };
	int fd[2];

	make_pipe(fd);
	CALL(BY_RING | BY_ATTEMPT, SYS_write, fd[1], "0123456789", 10);
	CALL(BY_RING | BY_ATTEMPT, SYS_read, fd[0], a, 4);
	note_bytes(s, "a", a, sizeof(a));
	CALL(BY_RING | BY_ATTEMPT, SYS_writev, fd[1], out, 2);
	CALL(BY_RING | BY_ATTEMPT, SYS_readv, fd[0], in, 2);
	note_bytes(s, "a", a, sizeof(a));
	note_bytes(s, "b", b, sizeof(b));
	CALL(BY_RING | BY_ATTEMPT, SYS_pwritev2, fd[1], out, 2, -1, -1, 0);
	CALL(BY_RING | BY_ATTEMPT, SYS_preadv2, fd[0], in, 2, -1, -1, 0);
	note_bytes(s, "b", b, sizeof(b));
	CALL(BY_OTHER | BY_ATTEMPT, SYS_preadv2, fd[0], in, 2, -1, -1, RWF_NOWAIT);
	/* refused: counts that are too large or 0, offsets where there are none */
	CALL(BY_OTHER | BY_NO_ATTEMPT, SYS_read, fd[0], a, 0);
	CALL(BY_OTHER | BY_NO_ATTEMPT, SYS_readv, fd[0], in, 0);
	CALL(BY_OTHER | BY_NO_ATTEMPT, SYS_readv, fd[0], in, 1025);
	CALL(BY_OTHER | BY_NO_ATTEMPT, SYS_pread64, fd[0], a, 4, 0);
	CALL(BY_OTHER | BY_NO_ATTEMPT, SYS_preadv2, fd[0], in, 2, 0, 0, 0);
	CALL(BY_OTHER, SYS_read, fd[0], a, 1ull << 63);
	CALL(BY_ANY, SYS_write, fd[0], a, 4);
	CALL(BY_ANY, SYS_write, fd[1], (void *)8, 4);
	close(fd[1]);
	CALL(BY_RING | BY_ATTEMPT, SYS_read, fd[0], a, 4);
	close(fd[0]);
}

static void input_waits(struct script *s)
{
	char a[8] = "", b[8] = "";
	struct iovec in[2] = { { a, 4 }, { b, 2 } };
	struct later later;
	int fd[2];

	make_pipe(fd);
	write_later(&later, fd[1], 6, 3);
	CALL(BY_RING | BY_ATTEMPT, SYS_read, fd[0], a, 6);
	CALL(BY_RING | BY_ATTEMPT, SYS_readv, fd[0], in, 2);
	CALL(BY_RING | BY_ATTEMPT, SYS_preadv2, fd[0], in, 2, -1, -1, 0);
	end_later(&later);
	close_both(fd);
}

/* A writer is not done before all is written, however little the pipe takes at once. */
static void output_goes_on(struct script *s)
{
	struct iovec out[3] = { { big, 1000 }, { big + 1000, 0 }, { big + 1000, BIG - 1000 } };
	struct later later;
	int fd[2];

	make_pipe(fd);
	read_later(&later, fd[0], 3 * BIG);
	CALL(BY_RING | BY_ATTEMPT, SYS_write, fd[1], big, BIG);
	CALL(BY_RING | BY_ATTEMPT, SYS_writev, fd[1], out, 3);
	CALL(BY_RING | BY_ATTEMPT, SYS_pwritev2, fd[1], out, 3, -1, -1, 0);
	end_later(&later);
	close_both(fd);
}

/* The reader goes away in between, when the pipe is full: what was written counts. */
static void *close_late(void *arg)
{
	const int *fd = arg;
	int there = 0;

	for (int k = 0; k < 10000 && there < ROOM; k++) {
		sleep_ms(1);
		check_eq(ioctl(*fd, FIONREAD, &there), 0);
	}
	sleep_ms(5);
	close(*fd);
	return NULL;
}

static void output_is_cut(struct script *s)
{
	pthread_t thread;
	int fd[2];

	make_pipe(fd);
	note(s, "room", fcntl(fd[1], F_SETPIPE_SZ, ROOM));
	check_eq(pthread_create(&thread, NULL, close_late, &fd[0]), 0);
	CALL(BY_RING | BY_ATTEMPT, SYS_write, fd[1], big, BIG);
	pthread_join(thread, NULL);
	CALL(BY_RING | BY_ATTEMPT, SYS_write, fd[1], big, BIG);
	close(fd[1]);
}

static void nonblocking(struct script *s)
{
	struct iovec out = { big, BIG };
	char byte;
	int fd[2];

	check_eq(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
	note(s, "room", fcntl(fd[1], F_SETPIPE_SZ, ROOM));
	CALL(BY_ANY, SYS_read, fd[0], &byte, 1);
	CALL(BY_ANY, SYS_write, fd[1], big, BIG);
	CALL(BY_ANY, SYS_write, fd[1], big, BIG);
	CALL(BY_ANY, SYS_writev, fd[1], &out, 1);
	CALL(BY_ANY, SYS_read, fd[0], &byte, 1);
	close_both(fd);
	/* not the descriptor, but the call itself does not wait */
	make_pipe(fd);
	note(s, "room", fcntl(fd[1], F_SETPIPE_SZ, ROOM));
	CALL(BY_ANY, SYS_pwritev2, fd[1], &out, 1, -1, -1, RWF_NOWAIT);
	CALL(BY_ANY, SYS_pwritev2, fd[1], &out, 1, -1, -1, RWF_NOWAIT);
	close_both(fd);
}

static void terminals(struct script *s)
{
	char bytes[16] = "";
	struct later later;
	int master, slave;

	check_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	check_eq(write(master, "line\n", 5), 5);
	CALL(BY_ANY, SYS_read, slave, bytes, sizeof(bytes));
	note_bytes(s, "line", bytes, sizeof(bytes));
	write_later(&later, slave, 5, 1);
	CALL(BY_ANY, SYS_read, master, bytes, 5);
	end_later(&later);
	CALL(BY_ANY, SYS_write, slave, "out", 3);
	close(master);
	CALL(BY_ANY, SYS_read, slave, bytes, sizeof(bytes));
	close(slave);
}

static void counters(struct script *s)
{
	const struct itimerspec soon = { .it_value = { 0, 3000000 } };
	int event = eventfd(2, EFD_CLOEXEC | EFD_SEMAPHORE);
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	uint64_t value = 0;

	check(event >= 0 && timer >= 0);
	CALL(BY_ANY, SYS_read, event, &value, sizeof(value));
	note(s, "value", (int64_t)value);
	value = 7;
	CALL(BY_ANY, SYS_write, event, &value, sizeof(value));
	CALL(BY_ANY, SYS_read, event, &value, 4);
	check_eq(timerfd_settime(timer, 0, &soon, NULL), 0);
	CALL(BY_ANY, SYS_read, timer, &value, sizeof(value));
	note(s, "value", (int64_t)value);
	close(event);
	close(timer);
}

static void splices(struct script *s)
{
	int from[2], to[2], file = memory_file();
	struct later later;
	int64_t offset = 2;
	char bytes[16] = "";

	make_pipe(from);
	make_pipe(to);
	check_eq(write(from[1], "0123456789", 10), 10);
	CALL(BY_RING, SYS_tee, from[0], to[1], 4, 0);
	note(s, "read", read(to[0], bytes, sizeof(bytes)));
	note_bytes(s, "tee", bytes, sizeof(bytes));
	CALL(BY_RING, SYS_splice, from[0], NULL, file, NULL, 5, 0);
	note(s, "read", pread(file, bytes, sizeof(bytes), 0));
	note_bytes(s, "splice", bytes, sizeof(bytes));
	CALL(BY_RING, SYS_splice, from[0], NULL, to[1], NULL, 2, SPLICE_F_MOVE);
	/* an offset in memory would not be written back */
	CALL(BY_OTHER, SYS_splice, from[0], NULL, file, &offset, 2, 0);
	note(s, "offset", offset);
	CALL(BY_OTHER, SYS_splice, file, &offset, to[1], NULL, 1, 0);
	note(s, "offset", offset);
	CALL(BY_OTHER, SYS_splice, from[0], NULL, file, NULL, 0, 0);
	CALL(BY_OTHER, SYS_splice, from[0], NULL, file, NULL, 1, 1u << 31);
	CALL(BY_OTHER, SYS_tee, from[0], to[1], 0, 0);
	CALL(BY_OTHER, SYS_tee, from[0], to[1], 1, 1u << 31);
	CALL(BY_RING, SYS_tee, file, to[1], 1, 0);
	CALL(BY_RING, SYS_splice, -1, NULL, file, NULL, 1, 0);
	note(s, "read", read(from[0], bytes, sizeof(bytes)));
	write_later(&later, from[1], 4, 1);
	CALL(BY_RING, SYS_splice, from[0], NULL, to[1], NULL, 4, 0);
	end_later(&later);
	close_both(from);
	close_both(to);
	close(file);
}

#define SCRIPT(fn)                          \
	static void test_##fn(void **state) \
	{                                   \
		(void)state;                \
		script_compare(fn);         \
	}

SCRIPT(makes)
SCRIPT(short_ones)
SCRIPT(input_waits)
SCRIPT(output_goes_on)
SCRIPT(output_is_cut)
SCRIPT(nonblocking)
SCRIPT(terminals)
SCRIPT(counters)
SCRIPT(splices)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_makes),	      contract(test_short_ones),
		contract(test_input_waits),   contract(test_output_goes_on),
		contract(test_output_is_cut), contract(test_nonblocking),
		contract(test_terminals),     contract(test_counters),
		contract(test_splices),
	};

	return group(tests, argc, argv);
}
