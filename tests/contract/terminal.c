/* SPDX-License-Identifier: MIT */
/*
 * Contract: a program in the background that reads its terminal, or writes there under TOSTOP, is stopped as by
 * the calls themselves, and goes on in the foreground. It is played in a session of its own, whose terminal
 * is a new pair.
 */
#include "support.h"

#include <fcntl.h>
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_read),
		contract(test_write),
	};

	return group(tests, argc, argv);
}
