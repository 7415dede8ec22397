/* SPDX-License-Identifier: MIT */
/* A child has no context of its parent's, and can have its own; the parent notices nothing. */
#include "libaio_support.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

static io_context_t parents;
static int file, pipes[2];

static int child(void)
{
	struct timespec ms = { 0, 1000000 };
	struct io_event event;
	unsigned char mem[4096];
	struct iocb cb, *p = &cb;
	io_context_t own = NULL;

	io_prep_pread(&cb, file, mem, 4096, 0);
	if (io_submit(parents, 1, &p) != -EINVAL)
		return 1;
	if (io_getevents(parents, 1, 1, &event, &ms) != -EINVAL)
		return 2;
	if (io_destroy(parents) != -EINVAL)
		return 3;
	if (io_setup(8, &own) || io_submit(own, 1, &p) != 1 ||
	    io_getevents(own, 1, 1, &event, NULL) != 1 || event.res != 4096)
		return 4;
	io_prep_pwrite(&cb, file, mem, 4096, 0);
	if (io_submit(own, 1, &p) != 1 || io_getevents(own, 1, 1, &event, NULL) != 1)
		return 5;
	return io_destroy(own) ? 6 : 0;
}

static pid_t raw_fork(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void one(bool raw)
{
	struct iocb waits, reads;
	unsigned char mem[4096];
	int status;
	pid_t pid;

	parents = setup(8);
	io_prep_poll(&waits, pipes[0], POLLIN);
	check_eq(submit_iocb(parents, &waits), 1);
	pid = raw ? raw_fork() : fork();
	check(pid >= 0);
	if (!pid)
		_exit(child());
	check_eq(waitpid(pid, &status, 0), pid);
	check_eq(status, 0);
	io_prep_pread(&reads, file, mem, 4096, 0);
	check_eq(result_now(parents, &reads), 4096);
	check_eq(write(pipes[1], "x", 1), 1);
	check(get_event(parents).obj == &waits);
	check_eq(read(pipes[0], mem, 1), 1);
	check_eq(io_destroy(parents), 0);
}

static void test_fork(void **state)
{
	(void)state;
	make_pipe(pipes);
	file = numbered_file(1, 0);
	one(false);
	one(true);
	close(file);
	close(pipes[0]);
	close(pipes[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { contract(test_fork) };

	return group(tests, argc, argv);
}
