/* SPDX-License-Identifier: MIT */
/* POSIX AIO: lio_listio. */
#include "posix.h"

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

#define N 24

static struct aiocb cbs[N];
static struct aiocb *list[N];
static unsigned char bytes[N][100];

static int fill_list(void)
{
	int fd = file_make(100 * N);

	memset(bytes, 0, sizeof(bytes));
	for (int i = 0; i < N; i++) {
		cbs[i] = block(fd, bytes[i], 100, 100 * i);
		cbs[i].aio_lio_opcode = LIO_READ;
		list[i] = &cbs[i];
	}
	return fd;
}

static void check_list(void)
{
	for (int i = 0; i < N; i++) {
		check_ended(&cbs[i], 100);
		check_eq(bytes[i][99], file_byte(100 * (size_t)i + 99));
	}
}

static void waits_for_all(void **state)
{
	int fd = fill_list();

	(void)state;
	for (int round = 0; round < 20; round++) {
		check_eq(lio_listio(LIO_WAIT, list, N, NULL), 0);
		for (int i = 0; i < N; i++)
			check_eq(aio_error(&cbs[i]), 0);
		check_list();
	}
	close(fd);
}

static void starts_all(void **state)
{
	int fd = fill_list();

	(void)state;
	check_eq(lio_listio(LIO_NOWAIT, list, N, NULL), 0);
	check_list();
	close(fd);
}

static void passes_over(void **state)
{
	int fd = fill_list();

	(void)state;
	list[3] = NULL;
	cbs[5].aio_lio_opcode = LIO_NOP;
	check_eq(lio_listio(LIO_WAIT, list, N, NULL), 0);
	check_eq(bytes[3][0] | bytes[3][50], 0);
	check_eq(bytes[5][0] | bytes[5][50], 0);
	check_eq(bytes[4][99], file_byte(499));
	check_eq(lio_listio(LIO_WAIT, list, 0, NULL), 0);
	check_eq(lio_listio(LIO_NOWAIT, &list[5], 1, NULL), 0);
	close(fd);
}

static void says_that_some_failed(void **state)
{
	int fd = fill_list();

	(void)state;
	cbs[7].aio_fildes = -1;
	cbs[8].aio_lio_opcode = 77;
	errno = 0;
	check_eq(lio_listio(LIO_WAIT, list, N, NULL), -1);
	check_eq(errno, EIO);
	check_eq(aio_error(&cbs[7]), EBADF);
	check_eq(aio_error(&cbs[8]), EINVAL);
	check_eq(aio_return(&cbs[8]), -1);
	check_eq(aio_error(&cbs[9]), 0);
	check_eq(aio_return(&cbs[9]), 100);
	close(fd);
}

static void refuses(void **state)
{
	int fd = fill_list();

	(void)state;
	errno = 0;
	check_eq(lio_listio(2, list, N, NULL), -1);
	check_eq(errno, EINVAL);
	errno = 0;
	cbs[0].aio_reqprio = -1;
	check_eq(lio_listio(LIO_WAIT, list, 1, NULL), -1);
	check_eq(errno, EINVAL);
	check_eq(aio_error(&cbs[0]), EINVAL);
	check_eq(lio_listio(LIO_WAIT, list, 2, NULL), -1);
	check_eq(errno, EIO);
	check_eq(aio_error(&cbs[1]), 0);
	close(fd);
}

static volatile sig_atomic_t ends, lists_ended;
static volatile int ended_before_list;
static siginfo_t list_info;

static void on_end(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	(void)context;
	ends++;
}

static void on_list_end(int signal, siginfo_t *info, void *context)
{
	int n = 0;

	(void)signal;
	(void)context;
	list_info = *info;
	for (int i = 0; i < N; i++)
		n += aio_error(&cbs[i]) != EINPROGRESS;
	ended_before_list = n;
	lists_ended++;
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

	check_eq(sigaction(signal, &action, NULL), 0);
}

static void await(volatile sig_atomic_t *count, int n)
{
	for (int tries = 0; *count < n && tries < 5000; tries++)
		sleep_ms(1);
	check_eq(*count, n);
}

/* One signal for the list, after all; and each operation's own besides. */
static void signals_the_end_of_the_list(void **state)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
				  .sigev_signo = SIGRTMIN + 3,
				  .sigev_value.sival_int = 99 };
	int fd = fill_list();

	(void)state;
	handle(SIGRTMIN + 3, on_list_end);
	handle(SIGRTMIN + 4, on_end);
	cbs[2].aio_sigevent.sigev_notify = SIGEV_SIGNAL;
	cbs[2].aio_sigevent.sigev_signo = SIGRTMIN + 4;
	cbs[4].aio_sigevent = cbs[2].aio_sigevent;
	cbs[6].aio_fildes = -1;
	check_eq(lio_listio(LIO_NOWAIT, list, N, &event), 0);
	await(&lists_ended, 1);
	check_eq(ended_before_list, N);
	check_eq(list_info.si_code, SI_ASYNCIO);
	check_eq(list_info.si_value.sival_int, 99);
	check_eq(list_info.si_pid, getpid());
	await(&ends, 2);
	check_eq(aio_error(&cbs[6]), EBADF);
	/* Nothing to do: the end is said nevertheless. */
	for (int i = 0; i < N; i++)
		cbs[i].aio_lio_opcode = LIO_NOP;
	check_eq(lio_listio(LIO_NOWAIT, list, N, &event), 0);
	await(&lists_ended, 2);
	close(fd);
}

static sem_t called;
static int value_seen;

static void on_list_call(union sigval value)
{
	value_seen = value.sival_int;
	sem_post(&called);
}

static void calls_at_the_end_of_the_list(void **state)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD, .sigev_value.sival_int = 5 };
	int fd = fill_list();

	(void)state;
	sem_init(&called, 0, 0);
	event.sigev_notify_function = on_list_call;
	check_eq(lio_listio(LIO_NOWAIT, list, N, &event), 0);
	while (sem_wait(&called))
		check_eq(errno, EINTR);
	check_eq(value_seen, 5);
	check_list();
	close(fd);
}

static void writes_and_reads(void **state)
{
	unsigned char back[100];
	int fd = fill_list();

	(void)state;
	for (int i = 0; i < N; i += 2) {
		cbs[i].aio_lio_opcode = LIO_WRITE;
		memset(bytes[i], 200 + i, 100);
	}
	check_eq(lio_listio(LIO_WAIT, list, N, NULL), 0);
	for (int i = 0; i < N; i++) {
		check_eq(pread(fd, back, 100, 100 * i), 100);
		check_eq(memcmp(back, bytes[i], 100), 0);
	}
	close(fd);
}

#ifdef __x86_64__
/* What programs older than glibc 2.4 get: a list that gives no notices but its own. glibc itself has lost
 * that since 2.34. */
static void old_programs(void **state)
{
	int (*old)(int, struct aiocb *const *, int, struct sigevent *);
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3 };
	int fd = fill_list();

	(void)state;
	shim_or_skip();
	ends = lists_ended = 0;
	handle(SIGRTMIN + 3, on_list_end);
	handle(SIGRTMIN + 4, on_end);
	*(void **)&old = dlvsym(RTLD_DEFAULT, "lio_listio", "GLIBC_2.2.5");
	check(old != NULL);
	cbs[2].aio_sigevent.sigev_notify = SIGEV_SIGNAL;
	cbs[2].aio_sigevent.sigev_signo = SIGRTMIN + 4;
	check_eq(old(LIO_NOWAIT, list, N, &event), 0);
	await(&lists_ended, 1);
	sleep_ms(20);
	check_eq(ends, 0);
	check_list();
	close(fd);
}
#endif

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		aio_test(waits_for_all),
		aio_test(starts_all),
		aio_test(passes_over),
		aio_test(says_that_some_failed),
		aio_test(refuses),
		aio_test(signals_the_end_of_the_list),
		aio_test(calls_at_the_end_of_the_list),
		aio_test(writes_and_reads),
#ifdef __x86_64__
		aio_test(old_programs),
#endif
	};

	return group(tests, argc, argv);
}
