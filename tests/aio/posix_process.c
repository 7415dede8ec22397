/* SPDX-License-Identifier: MIT */
/* POSIX AIO under the shim: processes, threads, bounds, and neighbours in the same program. */
#include "posix.h"

#include <asys/syscalls.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

static struct aiocb parents;
static char byte;

static int child_begins_anew(void *arg)
{
	char bytes[16];
	int fd = file_make(100), ends[2];
	struct aiocb cb = block(fd, bytes, 16, 0), slow;
	const struct aiocb *list[] = { &parents };

	(void)arg;
	/* The parent's operation is none here: nothing to wait for, nothing to cancel. */
	check_eq(aio_suspend(list, 1, NULL), 0);
	check_eq(aio_cancel(parents.aio_fildes, NULL), AIO_ALLDONE);
	for (int i = 0; i < 50; i++) {
		check_eq(aio_read(&cb), 0);
		check_ended(&cb, 16);
	}
	make_pipe(ends);
	slow = block(ends[0], &byte, 1, 0);
	check_eq(aio_read(&slow), 0);
	check_eq(write(ends[1], "x", 1), 1);
	check_ended(&slow, 1);
	close(fd);
	return 0;
}

static pid_t raw_fork(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void forks(void **state)
{
	int ends[2], status = -1;
	pid_t child;

	(void)state;
	make_pipe(ends);
	parents = block(ends[0], &byte, 1, 0);
	check_eq(aio_read(&parents), 0);
	check_child(child_begins_anew, NULL);
	child = raw_fork();
	if (!child) {
		alarm(20);
		_exit(child_begins_anew(NULL));
	}
	check_eq(waitpid(child, &status, 0), child);
	check_eq(status, 0);
	check_eq(write(ends[1], "x", 1), 1);
	check_ended(&parents, 1);
	close(ends[0]);
	close(ends[1]);
}

static int grandchildren(void *arg)
{
	check_eq(child_begins_anew(arg), 0);
	check_child(child_begins_anew, NULL);
	return 0;
}

static void forks_again(void **state)
{
	(void)state;
	parents = block(0, &byte, 1, 0);
	check_child(grandchildren, NULL);
}

/* More than threads can serve: none of them blocks the caller, all end. */
static void many_that_block(void **state)
{
	enum { PIPES = 200, EACH = 10 };
	static struct aiocb cbs[PIPES][EACH];
	static char bytes[PIPES][EACH];
	static int ends[PIPES][2];

	(void)state;
	for (int i = 0; i < PIPES; i++) {
		make_pipe(ends[i]);
		for (int k = 0; k < EACH; k++) {
			cbs[i][k] = block(ends[i][0], &bytes[i][k], 1, 0);
			check_eq(aio_read(&cbs[i][k]), 0);
		}
	}
	sleep_ms(20);
	check(census_take().threads < 40);
	for (int i = PIPES; i--;)
		check_eq(write(ends[i][1], "0123456789", EACH), EACH);
	for (int i = 0; i < PIPES; i++) {
		for (int k = 0; k < EACH; k++) {
			check_ended(&cbs[i][k], 1);
			check_eq(bytes[i][k], '0' + k);
		}
		close(ends[i][0]);
		close(ends[i][1]);
	}
}

/* 65,536 may be in flight; the next is refused with EAGAIN, and taken when others have ended. */
static void bounded(void **state)
{
	enum { MOST = 65536 };
	struct aiocb *cbs = calloc(MOST + 1, sizeof(*cbs));
	int ends[2], accepted = 0;

	(void)state;
	check(cbs != NULL);
	make_pipe(ends);
	for (int i = 0; i <= MOST; i++) {
		cbs[i] = block(ends[0], &byte, 1, 0);
		if (aio_read(&cbs[i])) {
			check_eq(errno, EAGAIN);
			break;
		}
		accepted++;
	}
	check_eq(accepted, MOST);
	progress();
	check_eq(aio_cancel(ends[0], NULL), AIO_CANCELED);
	for (int i = 0; i < MOST; i++)
		check_eq(aio_error(&cbs[i]), ECANCELED);
	check_eq(aio_read(&cbs[0]), 0);
	check_eq(write(ends[1], "x", 1), 1);
	check_ended(&cbs[0], 1);
	free(cbs);
	close(ends[0]);
	close(ends[1]);
}

/* Nobody waits: it goes on nevertheless, also right after somebody did. */
static void goes_on_by_itself(void **state)
{
	static struct aiocb cbs[64];
	static char bytes[64][16];
	int fd = file_make(4096);

	(void)state;
	for (int round = 0; round < 30; round++) {
		for (int i = 0; i < 64; i++) {
			cbs[i] = block(fd, bytes[i], 16, 16 * i);
			check_eq(aio_read(&cbs[i]), 0);
		}
		for (int i = 0; i < 64; i++) {
			if (round & 1)
				check_eq(poll_end(&cbs[i]), 0);
			else
				check_ended(&cbs[i], 16);
		}
	}
	close(fd);
}

struct worker {
	pthread_t thread;
	int fd;
	unsigned seed;
};

static void check_block(const unsigned char *bytes, off_t offset)
{
	for (size_t i = 0; i < 64; i++)
		check_eq(bytes[i], file_byte((size_t)offset + i));
}

/* Reads, some with an fsync, some cancelled, some waited for by polling. */
static void *work(void *arg)
{
	struct worker *worker = arg;
	struct aiocb cbs[16], sync = block(worker->fd, NULL, 0, 0);
	unsigned char bytes[16][64];
	unsigned rounds = iterations(300);

	for (unsigned round = 0; round < rounds; round++) {
		for (int i = 0; i < 16; i++) {
			off_t offset = rand_r(&worker->seed) % 900 * 64;

			cbs[i] = block(worker->fd, bytes[i], 64, offset);
			check_eq(aio_read(&cbs[i]), 0);
		}
		if (round % 8 == 3) {
			check_eq(aio_fsync(O_DSYNC, &sync), 0);
			check_ended(&sync, 0);
		}
		if (round % 8 == 5)
			check(aio_cancel(worker->fd, &cbs[15]) >= 0);
		for (int i = 0; i < 16; i++) {
			int err = round % 8 == 1 ? poll_end(&cbs[i]) : suspend_end(&cbs[i]);

			check(err == 0 || (err == ECANCELED && i == 15));
			check_eq(aio_return(&cbs[i]), err ? -1 : 64);
			if (!err)
				check_block(bytes[i], cbs[i].aio_offset);
		}
		progress();
	}
	return NULL;
}

static void threads_at_once(void **state)
{
	struct worker workers[12];
	int fd = file_make(64000);

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		workers[i].fd = fd;
		workers[i].seed = i;
		check_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < 12; i++)
		check_eq(pthread_join(workers[i].thread, NULL), 0);
	close(fd);
}

/* Descriptors and threads stay as many as they were after the first operations. */
static void leaks_nothing(void **state)
{
	char bytes[16];
	int fd = file_make(100), ends[2];
	struct aiocb cb = block(fd, bytes, 16, 0);
	struct census before = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++) {
		if (i == 20)
			before = census_take();
		make_pipe(ends);
		cb = block(i & 1 ? ends[0] : fd, bytes, 1, 0);
		check_eq(write(ends[1], "x", 1), 1);
		check_eq(aio_read(&cb), 0);
		check_ended(&cb, 1);
		close(ends[0]);
		close(ends[1]);
	}
	census_check(before);
	close(fd);
}

/* The program has queues of its own. */
static void beside_asys(void **state)
{
	char bytes[16], own[16];
	int fd = file_make(100);
	struct aiocb cb = block(fd, bytes, 16, 0);
	struct asys_queue *queue = open_queue();

	(void)state;
	for (int i = 0; i < 100; i++) {
		asys_id id = asys_pread64(queue, fd, own, 16, 16);

		check_eq(aio_read(&cb), 0);
		check_eq(result_of(queue, id), 16);
		check_ended(&cb, 16);
	}
	asys_queue_close(queue);
	check_eq(aio_read(&cb), 0);
	check_ended(&cb, 16);
	close(fd);
}

/* The control block may be gone as soon as its end is known. */
static void block_is_free_at_the_end(void **state)
{
	int fd = file_make(100);

	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct aiocb *cb = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		check(cb != MAP_FAILED);
		*cb = block(fd, cb + 1, 16, 0);
		check_eq(aio_read(cb), 0);
		while (aio_error(cb) == EINPROGRESS)
			sched_yield();
		check_eq(aio_return(cb), 16);
		munmap(cb, 4096);
		if (i % 100 == 0)
			progress();
	}
	close(fd);
}

/* --- the end of a program that did not wait for its writes --- */

enum { WRITES = 8, PIECE = 100 };

static char *no_arguments[] = { (char *)"true", NULL };

static void by_exit(void)
{
	exit(0);
}

static void by_exit_now(void)
{
	_exit(0);
}

static void by_exit_of_c(void)
{
	_Exit(0);
}

static void by_quick_exit(void)
{
	quick_exit(0);
}

static void by_execve(void)
{
	execve("/bin/true", no_arguments, environ);
}

static void by_execv(void)
{
	execv("/bin/true", no_arguments);
}

static void by_execvp(void)
{
	execvp("true", no_arguments);
}

static void by_execl(void)
{
	execl("/bin/true", "true", "ignored", (char *)NULL);
}

static void by_execlp(void)
{
	execlp("true", "true", (char *)NULL);
}

static void by_execle(void)
{
	execle("/bin/true", "true", (char *)NULL, environ);
}

static void by_fexecve(void)
{
	fexecve(open("/bin/true", O_RDONLY | O_CLOEXEC), no_arguments, environ);
}

/* A child of vfork ends first, and has another file under the number. */
static void beside_vfork(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t child = vfork(); /* NOLINT: it is what is tried */

	if (!child) {
		for (int i = 3; i < fd; i++) /* NOLINT */
			dup2(fd, i);
		execv("/bin/true", no_arguments);
		_exit(1);
	}
	waitpid(child, NULL, 0);
	_exit(0);
}

struct end {
	void (*how)(void);
	int fd;
	bool append;
};

static int write_and_end(void *arg)
{
	static struct aiocb cbs[WRITES];
	static char bytes[WRITES][PIECE];
	const struct end *end = arg;
	struct aiocb cb = block(end->fd, bytes[0], 1, 0);

	// What is executed needs no library of the tests, which may be one with a sanitizer.
	unsetenv("LD_PRELOAD");
	check_eq(aio_read(&cb), 0);
	suspend_end(&cb);
	for (int i = 0; i < WRITES; i++) {
		memset(bytes[i], 'a' + i, PIECE);
		cbs[i] = block(end->fd, bytes[i], PIECE, (off_t)PIECE * i);
		check_eq(aio_write(&cbs[i]), 0);
	}
	end->how();
	return 1;
}

static void writes_are_finished(void **state)
{
	static void (*const ways[])(void) = { by_exit,	 by_exit_now, by_exit_of_c, by_quick_exit,
					      by_execve, by_execv,    by_execvp,    by_execl,
					      by_execlp, by_execle,   by_fexecve,   beside_vfork };
	char bytes[WRITES * PIECE];

	(void)state;
	for (unsigned n = 0; n < 4 * sizeof(ways) / sizeof(ways[0]); n++) {
		struct end end = { .how = ways[n / 4], .append = n & 1 };

		end.fd = n & 2 ? memory_file() : file_make(0);
		if (end.append)
			check_eq(fcntl(end.fd, F_SETFL, O_APPEND), 0);
		check_eq(run_in_child(write_and_end, &end, 20), 0);
		check_eq(pread(end.fd, bytes, sizeof(bytes), 0), sizeof(bytes));
		for (size_t i = 0; i < sizeof(bytes); i++)
			check_eq(bytes[i], 'a' + (int)(i / PIECE));
		close(end.fd);
		progress();
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		aio_test(forks),
		aio_test(forks_again),
		aio_test(many_that_block),
		aio_test(bounded),
		aio_test(goes_on_by_itself),
		aio_test(threads_at_once),
		aio_test(leaks_nothing),
		aio_test(beside_asys),
		aio_test(block_is_free_at_the_end),
		aio_test(writes_are_finished),
	};

	return under_shim() ? group(tests, argc, argv) : SKIPPED;
}
