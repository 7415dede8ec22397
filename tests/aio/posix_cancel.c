/* SPDX-License-Identifier: MIT */
/* POSIX AIO: aio_cancel. */
#include "posix.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

static char bytes[20][8];

static void refuses(void **state)
{
	int fd = file_make(100);
	struct aiocb cb = block(fd, bytes[0], 8, 0);

	(void)state;
	errno = 0;
	check_eq(aio_cancel(-1, NULL), -1);
	check_eq(errno, EBADF);
	errno = 0;
	check_eq(aio_cancel(0, &cb), -1);
	check_eq(errno, EINVAL);
	close(fd);
}

static void nothing_there(void **state)
{
	int fd = file_make(100);
	struct aiocb cb = block(fd, bytes[0], 8, 0);

	(void)state;
	check_eq(aio_cancel(fd, NULL), AIO_ALLDONE);
	check_eq(aio_read(&cb), 0);
	check_ended(&cb, 8);
	check_eq(aio_cancel(fd, &cb), AIO_ALLDONE);
	check_eq(aio_cancel(fd, NULL), AIO_ALLDONE);
	check_eq(aio_error(&cb), 0);
	close(fd);
}

/* Behind one that waits for the pipe: these have not begun. */
static void what_has_not_begun(void **state)
{
	struct aiocb cbs[4];
	int ends[2];

	(void)state;
	make_pipe(ends);
	for (int i = 0; i < 4; i++) {
		cbs[i] = block(ends[0], bytes[i], 1, 0);
		check_eq(aio_read(&cbs[i]), 0);
	}
	sleep_ms(20);
	check_eq(aio_cancel(ends[0], &cbs[2]), AIO_CANCELED);
	check_eq(aio_error(&cbs[2]), ECANCELED);
	check_eq(aio_return(&cbs[2]), -1);
	check_eq(aio_cancel(ends[0], &cbs[2]), AIO_ALLDONE);
	check_eq(write(ends[1], "abc", 3), 3);
	check_ended(&cbs[0], 1);
	check_ended(&cbs[1], 1);
	check_ended(&cbs[3], 1);
	check_eq(bytes[0][0] == 'a' && bytes[1][0] == 'b' && bytes[3][0] == 'c', 1);
	close(ends[0]);
	close(ends[1]);
}

/* Only here: glibc's thread is in read() and stays there. */
static void what_waits_for_others(void **state)
{
	struct aiocb cb;
	int ends[2];

	(void)state;
	shim_or_skip();
	make_pipe(ends);
	cb = block(ends[0], bytes[0], 1, 0);
	for (unsigned n = 0; n < 20; n++) {
		check_eq(aio_read(&cb), 0);
		sleep_ms(n % 3);
		check_eq(aio_cancel(ends[0], &cb), AIO_CANCELED);
		check_eq(aio_error(&cb), ECANCELED);
	}
	check_eq(write(ends[1], "z", 1), 1);
	check_eq(read(ends[0], bytes[0], 1), 1);
	close(ends[0]);
	close(ends[1]);
}

/* One has ended, the second waits for room, the others have not begun. */
static void writes_that_have_begun(void **state)
{
	enum { MOST = 8, SIZE = 65536 };
	static char data[SIZE], room[MOST * SIZE];
	struct aiocb cbs[MOST];
	ssize_t n, got = 0;
	int ends[2];

	(void)state;
	make_pipe(ends);
	for (int i = 0; i < MOST; i++) {
		cbs[i] = block(ends[1], data, SIZE, 0);
		check_eq(aio_write(&cbs[i]), 0);
	}
	check_eq(suspend_end(&cbs[0]), 0);
	sleep_ms(20);
	check_eq(aio_cancel(ends[1], &cbs[1]), AIO_NOTCANCELED);
	check_eq(aio_error(&cbs[1]), EINPROGRESS);
	check_eq(aio_cancel(ends[1], NULL), AIO_NOTCANCELED);
	check_eq(aio_error(&cbs[1]), EINPROGRESS);
	for (int i = 2; i < MOST; i++)
		check_eq(aio_error(&cbs[i]), ECANCELED);
	for (; got < 2 * SIZE; got += n) {
		n = read(ends[0], room, sizeof(room));
		check(n > 0);
	}
	check_eq(got, 2 * SIZE);
	check_ended(&cbs[1], SIZE);
	close(ends[0]);
	close(ends[1]);
}

static void all_of_a_descriptor(void **state)
{
	struct aiocb cbs[20], other;
	int ends[2], elsewhere[2];
	int result, cancelled = 0;

	(void)state;
	make_pipe(ends);
	make_pipe(elsewhere);
	other = block(elsewhere[0], bytes[19], 1, 0);
	check_eq(aio_read(&other), 0);
	for (int i = 0; i < 19; i++) {
		cbs[i] = block(ends[0], bytes[i], 1, 0);
		check_eq(aio_read(&cbs[i]), 0);
	}
	sleep_ms(20);
	result = aio_cancel(ends[0], NULL);
	check_eq(result, under_shim() ? AIO_CANCELED : AIO_NOTCANCELED);
	check_eq(aio_error(&other), EINPROGRESS);
	check_eq(write(ends[1], "y", 1), 1);
	for (int i = 0; i < 19; i++)
		cancelled += suspend_end(&cbs[i]) == ECANCELED;
	check_eq(cancelled, under_shim() ? 19 : 18);
	check_eq(write(elsewhere[1], "x", 1), 1);
	check_ended(&other, 1);
	close(ends[0]);
	close(ends[1]);
	close(elsewhere[0]);
	close(elsewhere[1]);
}

static volatile sig_atomic_t signals, code;

static void on_signal(int signal, siginfo_t *info, void *context)
{
	const struct aiocb *cb = info->si_value.sival_ptr;

	(void)signal;
	(void)context;
	code = aio_error(cb);
	signals++;
}

/* A cancelled operation says its end like any other. */
static void it_is_said(void **state)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	struct aiocb first, cb;
	int ends[2];

	(void)state;
	sigaction(SIGUSR1, &action, NULL);
	make_pipe(ends);
	first = block(ends[0], bytes[0], 1, 0);
	cb = block(ends[0], bytes[1], 1, 0);
	cb.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
	cb.aio_sigevent.sigev_signo = SIGUSR1;
	cb.aio_sigevent.sigev_value.sival_ptr = &cb;
	check_eq(aio_read(&first), 0);
	check_eq(aio_read(&cb), 0);
	sleep_ms(20);
	check_eq(aio_cancel(ends[0], &cb), AIO_CANCELED);
	for (int tries = 0; !signals && tries < 5000; tries++)
		sleep_ms(1);
	check_eq(signals, 1);
	check_eq(code, ECANCELED);
	check_eq(write(ends[1], "x", 1), 1);
	check_ended(&first, 1);
	close(ends[0]);
	close(ends[1]);
}

/* Files: whatever the answer is, it is true, and nothing is left in flight. With glibc (2.36) one operation in
 * some thousands never ends here. */
static void files(void **state)
{
	struct aiocb cbs[20];
	int fd = file_make(1000), answers[3] = { 0, 0, 0 };

	(void)state;
	shim_or_skip();
	for (int round = 0; round < 300; round++) {
		for (int i = 0; i < 20; i++) {
			cbs[i] = block(fd, bytes[i], 8, 8 * i);
			check_eq(aio_read(&cbs[i]), 0);
		}
		if (round & 1) {
			int answer = aio_cancel(fd, &cbs[round % 20]);

			check(answer >= 0 && answer <= 2);
			answers[answer]++;
			if (answer == AIO_CANCELED)
				check_eq(aio_error(&cbs[round % 20]), ECANCELED);
			if (answer == AIO_ALLDONE)
				check_eq(aio_error(&cbs[round % 20]), 0);
		} else {
			check(aio_cancel(fd, NULL) >= 0);
		}
		for (int i = 0; i < 20; i++) {
			int err = suspend_end(&cbs[i]);

			check(err == 0 || err == ECANCELED);
			check_eq(aio_return(&cbs[i]), err ? -1 : 8);
		}
		progress();
	}
	close(fd);
}

static atomic_bool stop;

/* Keeps the library's own thread busy. */
static void *syncs(void *arg)
{
	int fd = *(int *)arg;
	struct aiocb cb = block(fd, NULL, 0, 0);

	while (!atomic_load(&stop)) {
		check_eq(aio_fsync(O_SYNC, &cb), 0);
		suspend_end(&cb);
	}
	return NULL;
}

/* What was begun before the cancellation is meant by it, whatever else goes on. */
static void just_begun(void **state)
{
	struct aiocb cb;
	pthread_t thread;
	int ends[2], fd = memory_file();

	(void)state;
	shim_or_skip();
	make_pipe(ends);
	atomic_store(&stop, false);
	check_eq(pthread_create(&thread, NULL, syncs, &fd), 0);
	cb = block(ends[0], bytes[0], 1, 0);
	for (unsigned n = iterations(20000); n; n--) {
		check_eq(aio_read(&cb), 0);
		check_eq(aio_cancel(ends[0], NULL), AIO_CANCELED);
		check_eq(aio_error(&cb), ECANCELED);
		if (n % 100 == 0)
			progress();
	}
	atomic_store(&stop, true);
	check_eq(pthread_join(thread, NULL), 0);
	close(ends[0]);
	close(ends[1]);
	close(fd);
}

/* Stops its parent again and again, for longer than a disk's transfer is waited for. */
static void stops_parent(pid_t parent)
{
	for (int k = 0; k < 20 && getppid() == parent; k++) {
		sleep_ms(11 + (unsigned)k % 3);
		kill(parent, SIGSTOP);
		sleep_ms(150);
		kill(parent, SIGCONT);
	}
	_exit(0);
}

/* A machine that has no time for this program makes no read of a pipe one that cannot be cancelled. */
static void while_stopped(void **state)
{
	pid_t parent = getpid(), child;
	struct aiocb cb;
	pthread_t thread;
	int ends[2], status, fd = memory_file();

	(void)state;
	shim_or_skip();
	make_pipe(ends);
	fflush(NULL);
	child = fork();
	if (!child)
		stops_parent(parent);
	atomic_store(&stop, false);
	check_eq(pthread_create(&thread, NULL, syncs, &fd), 0);
	cb = block(ends[0], bytes[0], 1, 0);
	while (!waitpid(child, &status, WNOHANG)) {
		check_eq(aio_read(&cb), 0);
		check_eq(aio_cancel(ends[0], NULL), AIO_CANCELED);
		check_eq(aio_error(&cb), ECANCELED);
	}
	check_eq(status, 0);
	atomic_store(&stop, true);
	check_eq(pthread_join(thread, NULL), 0);
	close(ends[0]);
	close(ends[1]);
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		aio_test(refuses),
		aio_test(nothing_there),
		aio_test(what_has_not_begun),
		aio_test(what_waits_for_others),
		aio_test(writes_that_have_begun),
		aio_test(all_of_a_descriptor),
		aio_test(just_begun),
		aio_test(while_stopped),
		aio_test(it_is_said),
		aio_test(files),
	};

	return group(tests, argc, argv);
}
