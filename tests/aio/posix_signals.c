/* SPDX-License-Identifier: MIT */
/* POSIX AIO in a program that ignores or handles all real-time signals but one, as it may have inherited. */
#include "posix.h"

#include <signal.h>

static int handled;

static void on_signal(int signal)
{
	(void)signal;
	handled++;
}

static void works(void **state)
{
	char bytes[100], byte;
	int file = file_make(100), ends[2];
	struct aiocb cb = block(file, bytes, 100, 0), slow;

	(void)state;
	make_pipe(ends);
	check_eq(aio_read(&cb), 0);
	check_ended(&cb, 100);
	for (size_t i = 0; i < 100; i++)
		check_eq((unsigned char)bytes[i], file_byte(i));
	check_eq(aio_write(&cb), 0);
	check_ended(&cb, 100);
	check_eq(aio_fsync(O_SYNC, &cb), 0);
	check_ended(&cb, 0);
	slow = block(ends[0], &byte, 1, 0);
	check_eq(aio_read(&slow), 0);
	check_eq(write(ends[1], "x", 1), 1);
	check_ended(&slow, 1);
	check_eq(handled, 0);
	close(file);
	close(ends[0]);
	close(ends[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { aio_test(works) };
	struct sigaction action = { .sa_handler = on_signal };

	/* Before the first operation. */
	for (int k = SIGRTMIN + 1; k <= SIGRTMAX; k++) {
		action.sa_handler = k % 2 ? SIG_IGN : on_signal;
		sigaction(k, &action, NULL);
	}
	return group(tests, argc, argv);
}
