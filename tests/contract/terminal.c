/* SPDX-License-Identifier: MIT */
/*
 * Contract: a program in the background that reads its terminal, or writes there under TOSTOP, is stopped as by
 * the calls themselves, and goes on in the foreground. It is played in a session of its own, whose terminal
 * is a new pair.
 */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

struct part {
	int terminal;
	bool writes;
};

/* In the background. A limit of time: nothing of the wait itself may be the call. */
static void play(const struct part *part)
{
	struct asys_queue *q = open_queue();
	struct asys_event event;
	char line[8] = "";

	if (part->writes)
		submit(q, SYS_write, part->terminal, "line\n", 5);
	else
		submit(q, SYS_read, part->terminal, line, sizeof(line));
	check_eq(asys_queue_get_many(q, &event, 1, 1, 10000000000), 1);
	check_eq(event.result, 5);
	check(part->writes || line[0] == 'l');
	asys_queue_close(q);
	_exit(0);
}

static void wait_for(pid_t child, int *ret_status)
{
	int tries = 500;

	while (!waitpid(child, ret_status, WUNTRACED | WNOHANG) && tries--)
		sleep_ms(10);
	if (tries < 0)
		kill(child, SIGKILL);
	check(tries >= 0);
}

static int session(void *arg)
{
	struct part part = { .writes = *(bool *)arg };
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), status = 0;
	struct termios modes;
	pid_t child;

	if (setsid() < 0 || master < 0 || grantpt(master) || unlockpt(master))
		return SKIPPED;
	part.terminal = open(ptsname(master), O_RDWR | O_CLOEXEC);
	if (part.terminal < 0 || ioctl(part.terminal, TIOCSCTTY, 0))
		return SKIPPED;
	check_eq(tcgetattr(part.terminal, &modes), 0);
	modes.c_lflag |= TOSTOP;
	check_eq(tcsetattr(part.terminal, TCSANOW, &modes), 0);
	child = fork();
	check(child >= 0);
	if (!child) {
		setpgid(0, 0);
		play(&part);
	}
	setpgid(child, child);
	wait_for(child, &status);
	check(WIFSTOPPED(status));
	check_eq(WSTOPSIG(status), part.writes ? SIGTTOU : SIGTTIN);
	signal(SIGTTOU, SIG_IGN);
	check_eq(tcsetpgrp(part.terminal, child), 0);
	check_eq(write(master, "line\n", 5), 5);
	check_eq(kill(child, SIGCONT), 0);
	wait_for(child, &status);
	check(WIFEXITED(status));
	check_eq(WEXITSTATUS(status), 0);
	return 0;
}

static void test_read(void **state)
{
	bool writes = false;

	(void)state;
	check_child(session, &writes);
}

static void test_write(void **state)
{
	bool writes = true;

	(void)state;
	check_child(session, &writes);
}

static void *slow_reader(void *arg)
{
	char bytes[256];

	sleep_ms(100);
	while (read(*(int *)arg, bytes, sizeof(bytes)) > 0)
		;
	return NULL;
}

/* Nobody reads what is written, in one piece or line by line: who sends, flushes and waits for something else is
 * not kept by it. Cancelled, it ends with what the terminal took; or when somebody reads, with all. */
static void test_nobody_reads(void **state)
{
	static char bytes[65536];
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	struct asys_queue *q = open_depth(512, 0); /* or who sends the last ones waits for room */
	asys_id whole, lines[256];
	struct termios modes;
	pthread_t reader;
	int64_t result;

	(void)state;
	if (master < 0 || grantpt(master) || unlockpt(master))
		skip_because("no terminals are to be had");
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	check(slave >= 0);
	check_eq(tcgetattr(slave, &modes), 0);
	cfmakeraw(&modes);
	check_eq(tcsetattr(slave, TCSANOW, &modes), 0);
	whole = submit(q, SYS_write, slave, bytes, sizeof(bytes));
	check_eq(asys_queue_flush(q), 0);
	check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
	asys_queue_cancel(q, whole);
	result = result_of(q, whole);
	check(result == -ECANCELED || (result > 0 && (size_t)result < sizeof(bytes)));
	for (unsigned k = 0; k < 256; k++) /* more than there is room for */
		lines[k] = submit(q, SYS_write, slave, bytes, 71);
	check_eq(asys_queue_flush(q), 0);
	check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
	check_eq(pthread_create(&reader, NULL, slow_reader, &master), 0);
	for (unsigned k = 0; k < 256; k++)
		check_eq(result_of(q, lines[k]), 71);
	asys_queue_close(q);
	close(slave); /* the reader's end */
	pthread_join(reader, NULL);
	close(master);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_read),
		contract(test_write),
		contract(test_nobody_reads),
	};

	return group(tests, argc, argv);
}
