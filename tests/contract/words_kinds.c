/* SPDX-License-Identifier: MIT */
/*
 * Contract: a call's words mean the same to every engine. Descriptors of every kind that the kernel
 * makes up, read and written in every way with right and wrong sizes and addresses: what the plain call
 * says at once, the queue says, whatever poll thinks of the descriptor.
 */
#include "script.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <termios.h>

#define SOME 8 /* what counters and timers take; a record of signalfd is larger */
#define MANY 256
#define DSYNC 2 /* RWF_DSYNC */
#define NOWAIT 8

static uint64_t memory[MANY / sizeof(uint64_t)];

/* Ends at once, whatever the descriptor has to say. */
static void reads_at_once(struct script *s, int fd, size_t size)
{
	struct iovec iov[2] = { { memory, size / 2 }, { memory + 1, size - size / 2 } };

	CALL(BY_ANY, SYS_read, fd, memory, size);
	CALL(BY_ANY, SYS_readv, fd, iov, 2);
	CALL(BY_ANY, SYS_preadv2, fd, iov, 2, -1, -1, 0);
}

static void writes_at_once(struct script *s, int fd, size_t size, uint64_t value)
{
	struct iovec iov = { memory, size };

	memory[0] = value;
	CALL(BY_ANY, SYS_write, fd, memory, size);
	CALL(BY_ANY, SYS_writev, fd, &iov, 1);
	CALL(BY_ANY, SYS_pwritev2, fd, &iov, 1, -1, -1, 0);
}

/* Of a descriptor for which no call waits, or none with these words. */
static void flags_at_once(struct script *s, int fd, size_t size)
{
	struct iovec iov = { memory, size };

	memory[0] = 1;
	CALL(BY_ANY, SYS_preadv2, fd, &iov, 1, -1, -1, NOWAIT);
	CALL(BY_ANY, SYS_pwritev2, fd, &iov, 1, -1, -1, NOWAIT);
	CALL(BY_ANY, SYS_preadv2, fd, &iov, 1, -1, -1, 1 << 20);
	CALL(BY_ANY, SYS_pwritev2, fd, &iov, 1, -1, -1, 1 << 20);
	CALL(BY_ANY, SYS_pread64, fd, memory, size, 0);
	CALL(BY_ANY, SYS_pwrite64, fd, memory, size, 0);
}

static void never_waits(struct script *s, int fd)
{
	note(s, "there is one", fd >= 0);
	if (fd < 0)
		return;
	reads_at_once(s, fd, SOME);
	reads_at_once(s, fd, 1);
	reads_at_once(s, fd, MANY);
	CALL(BY_ANY, SYS_read, fd, (void *)8, SOME);
	CALL(BY_ANY, SYS_readv, fd, (void *)8, 1);
	writes_at_once(s, fd, SOME, 1);
	writes_at_once(s, fd, 1, 1);
	CALL(BY_ANY, SYS_write, fd, (void *)8, SOME);
	CALL(BY_ANY, SYS_writev, fd, (void *)8, 1);
	flags_at_once(s, fd, SOME);
	close(fd);
}

static int pidfd(void)
{
	return (int)syscall(SYS_pidfd_open, getpid(), 0);
}

static int fault_watch(void)
{
	return (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);
}

static void not_read(struct script *s)
{
	never_waits(s, epoll_create1(EPOLL_CLOEXEC));
	never_waits(s, pidfd());
	never_waits(s, fault_watch());
}

static void counters(struct script *s)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct iovec wrong = { memory, 4 };

	check(fd >= 0);
	/* empty: what is too small does not wait */
	reads_at_once(s, fd, 1);
	CALL(BY_ANY, SYS_read, fd, memory, 7);
	flags_at_once(s, fd, 4);
	/* full: neither does a wrong value or address */
	memory[0] = UINT64_MAX - 1;
	check_eq(write(fd, memory, SOME), SOME);
	writes_at_once(s, fd, SOME, UINT64_MAX);
	writes_at_once(s, fd, 4, 1);
	CALL(BY_ANY, SYS_write, fd, (void *)8, SOME);
	CALL(BY_ANY, SYS_writev, fd, &wrong, 1);
	wrong = (struct iovec){ (void *)8, SOME };
	CALL(BY_ANY, SYS_writev, fd, &wrong, 1);
	CALL(BY_ANY, SYS_pwritev2, fd, &wrong, 1, -1, -1, DSYNC);
	CALL(BY_ANY, SYS_read, fd, memory, SOME);
	note(s, "value", (int64_t)memory[0]);
	memory[0] = 1;
	wrong = (struct iovec){ memory, SOME };
	CALL(BY_OTHER, SYS_pwritev2, fd, &wrong, 1, -1, -1, DSYNC);
	close(fd);
}

struct counter {
	int fd;
	bool out;
};

static void *move_late(void *arg)
{
	const struct counter *counter = arg;
	uint64_t value = 5;

	sleep_ms(3);
	if (counter->out)
		check_eq(write(counter->fd, &value, sizeof(value)), SOME);
	else
		check_eq(read(counter->fd, &value, sizeof(value)), SOME);
	return NULL;
}

/* And what waits does wait, whoever has it. */
static void counters_wait(struct script *s)
{
	struct counter counter = { eventfd(0, EFD_CLOEXEC), true };
	struct iovec iov = { memory, SOME };
	pthread_t thread;

	check(counter.fd >= 0);
	for (unsigned k = 0; k < 2; k++) {
		check_eq(pthread_create(&thread, NULL, move_late, &counter), 0);
		if (k)
			CALL(BY_ANY, SYS_readv, counter.fd, &iov, 1);
		else
			CALL(BY_ANY, SYS_read, counter.fd, memory, sizeof(memory));
		note(s, "value", (int64_t)memory[0]);
		pthread_join(thread, NULL);
	}
	memory[0] = UINT64_MAX - 1;
	check_eq(write(counter.fd, memory, SOME), SOME);
	counter.out = false;
	memory[0] = 3;
	check_eq(pthread_create(&thread, NULL, move_late, &counter), 0);
	CALL(BY_ANY, SYS_write, counter.fd, memory, SOME);
	pthread_join(thread, NULL);
	CALL(BY_ANY, SYS_read, counter.fd, memory, SOME);
	note(s, "value", (int64_t)memory[0]);
	close(counter.fd);
}

/* These only wait for what is to be read. */
static void sources(struct script *s)
{
	const struct itimerspec soon = { .it_value = { 0, 3000000 } };
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	int names = inotify_init1(IN_CLOEXEC), signals;
	sigset_t mask;

	sigemptyset(&mask);
	signals = signalfd(-1, &mask, SFD_CLOEXEC);
	check(timer >= 0 && names >= 0 && signals >= 0);
	reads_at_once(s, timer, 7);
	writes_at_once(s, timer, SOME, 1);
	check_eq(timerfd_settime(timer, 0, &soon, NULL), 0);
	CALL(BY_ANY, SYS_read, timer, memory, SOME);
	note(s, "ticks", (int64_t)memory[0]);
	reads_at_once(s, signals, 127);
	writes_at_once(s, signals, MANY, 1);
	writes_at_once(s, names, SOME, 1);
	close(timer);
	close(names);
	close(signals);
}

/* What waits, and for how long, is a matter of the terminal's settings. */
static void terminals(struct script *s)
{
	static const struct {
		cc_t least, time;
	} ways[] = { { 0, 0 }, { 0, 1 } };
	struct termios mode;
	int master, slave;

	check_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	for (unsigned k = 0; k < 2; k++) {
		check_eq(tcgetattr(slave, &mode), 0);
		cfmakeraw(&mode);
		mode.c_cc[VMIN] = ways[k].least;
		mode.c_cc[VTIME] = ways[k].time;
		check_eq(tcsetattr(slave, TCSANOW, &mode), 0);
		reads_at_once(s, slave, SOME);
	}
	close(master);
	close(slave);
}

#define SCRIPT(fn)                          \
	static void test_##fn(void **state) \
	{                                   \
		(void)state;                \
		script_compare(fn);         \
	}

SCRIPT(not_read)
SCRIPT(counters)
SCRIPT(counters_wait)
SCRIPT(sources)
SCRIPT(terminals)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_not_read), contract(test_counters),  contract(test_counters_wait),
		contract(test_sources),	 contract(test_terminals),
	};

	return group(tests, argc, argv);
}
