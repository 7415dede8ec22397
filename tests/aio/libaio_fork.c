/* SPDX-License-Identifier: MIT */
/* A child has no context of its parent's, and can have its own; the parent notices nothing. */
#include "libaio_support.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

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

static atomic_bool over;

/* In every moment of a context's life, one after the other. */
static void *lives(void *arg)
{
	unsigned char mem[4096];
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	memset(mem, 0, sizeof(mem));
	for (unsigned k = 0; !atomic_load(&over); k++) {
		io_context_t own = setup(8);
		struct iocb cb[2], *list[2] = { &cb[0], &cb[1] };
		struct io_event got[2];

		io_prep_pwrite(&cb[0], file, mem, 4096, 4096 * (long)(uintptr_t)arg);
		io_prep_pread(&cb[1], file, mem, 4096, 0);
		if (k % 2)
			io_set_eventfd(&cb[0], event);
		check_eq(io_submit(own, 2, list), 2);
		check_eq(io_getevents(own, 2, 2, got, NULL), 2);
		check_eq(io_destroy(own), 0);
	}
	close(event);
	return NULL;
}

#define THREADS 3

/* Whatever others were doing, the child finds no lock that is held for ever. */
static void test_busy(void **state)
{
	pthread_t threads[THREADS];
	int status;

	(void)state;
	/* The child of AddressSanitizer may find the lock of its allocator held, that of ThreadSanitizer may
	 * start no thread. */
	if (is_sanitized())
		skip_because("sanitizers do not follow a fork of threads");
	file = numbered_file(8, 0);
	atomic_store(&over, false);
	for (uintptr_t k = 0; k < THREADS; k++)
		check_eq(pthread_create(&threads[k], NULL, lives, (void *)(k + 1)), 0);
	parents = setup(8);
	for (unsigned k = iterations(200); k; k--) {
		pid_t pid = fork();

		check(pid >= 0);
		if (!pid) {
			alarm(20);
			_exit(child());
		}
		check_eq(waitpid(pid, &status, 0), pid);
		check_eq(status, 0);
		progress();
	}
	atomic_store(&over, true);
	for (int k = 0; k < THREADS; k++)
		check_eq(pthread_join(threads[k], NULL), 0);
	check_eq(io_destroy(parents), 0);
	close(file);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { contract(test_fork), contract(test_busy) };

	return group(tests, argc, argv);
}
