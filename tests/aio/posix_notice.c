/* SPDX-License-Identifier: MIT */
/* POSIX AIO: how the end of an operation is said, by signals and threads. */
#include "posix.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>

#define STACK (300u << 10)

static volatile sig_atomic_t signals;
static siginfo_t seen;
static volatile int error_seen, return_seen;

static void on_signal(int signal, siginfo_t *info, void *context)
{
	const struct aiocb *cb = info->si_value.sival_ptr;

	(void)signal;
	(void)context;
	seen = *info;
	error_seen = aio_error(cb);
	return_seen = (int)aio_return((struct aiocb *)(uintptr_t)cb);
	signals++;
}

static void handle(int signal)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	signals = 0;
	check_eq(sigaction(signal, &action, NULL), 0);
}

static void signal_when_ended(struct aiocb *cb, int signal)
{
	cb->aio_sigevent.sigev_notify = SIGEV_SIGNAL;
	cb->aio_sigevent.sigev_signo = signal;
	cb->aio_sigevent.sigev_value.sival_ptr = cb;
}

static void await_signals(int n)
{
	for (int tries = 0; signals < n && tries < 5000; tries++)
		sleep_ms(1);
	check_eq(signals, n);
}

static void check_signal(int signal)
{
	check_eq(seen.si_signo, signal);
	check_eq(seen.si_code, SI_ASYNCIO);
	check_eq(seen.si_pid, getpid());
	check_eq(seen.si_uid, getuid());
}

/* The handler sees the end: aio_error is not EINPROGRESS any more. */
static void signals_with_its_value(void **state)
{
	char bytes[64];
	int fd = file_make(1000);
	struct aiocb cb = block(fd, bytes, sizeof(bytes), 0);

	(void)state;
	for (int signal = SIGUSR1; signal; signal = signal == SIGUSR1 ? SIGRTMIN + 1 : 0) {
		handle(signal);
		signal_when_ended(&cb, signal);
		check_eq(aio_read(&cb), 0);
		await_signals(1);
		check_signal(signal);
		check_eq(error_seen, 0);
		check_eq(return_seen, 64);
		check_eq(aio_write(&cb), 0);
		await_signals(2);
		check_eq(aio_fsync(O_SYNC, &cb), 0);
		await_signals(3);
	}
	close(fd);
}

static void signals_failure_too(void **state)
{
	char bytes[8];
	struct aiocb cb = block(-1, bytes, sizeof(bytes), 0);

	(void)state;
	handle(SIGUSR2);
	signal_when_ended(&cb, SIGUSR2);
	check_eq(aio_read(&cb), 0);
	await_signals(1);
	check_eq(error_seen, EBADF);
	check_eq(return_seen, -1);
}

/* Queued, not merged: as many as operations. */
static void signals_are_queued(void **state)
{
	static struct aiocb cbs[100];
	static char bytes[100][16];
	int fd = file_make(10000);
	sigset_t set, old;

	(void)state;
	handle(SIGRTMIN + 2);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	for (int i = 0; i < 100; i++) {
		cbs[i] = block(fd, bytes[i], 16, 16 * i);
		signal_when_ended(&cbs[i], SIGRTMIN + 2);
		check_eq(aio_read(&cbs[i]), 0);
	}
	for (int i = 0; i < 100; i++)
		check_ended(&cbs[i], 16);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	await_signals(100);
	close(fd);
}

/* The handler may interrupt anything: also a thread that submits. */
static void handlers_may_interrupt_submission(void **state)
{
	static struct aiocb cbs[32];
	static char bytes[32][16];
	int fd = file_make(10000), n = 0;

	(void)state;
	handle(SIGUSR1);
	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < 32; i++) {
			cbs[i] = block(fd, bytes[i], 16, 16 * i);
			if (i % 4 == 0)
				signal_when_ended(&cbs[i], SIGUSR1);
			check_eq(aio_read(&cbs[i]), 0);
		}
		for (int i = 0; i < 32; i++)
			check_ended(&cbs[i], 16);
		n++;
		progress();
	}
	check_eq(n, 200);
	check(signals > 0);
	sleep_ms(20);
	close(fd);
}

static sem_t called;
static pthread_t caller;
static int value_seen, error_in_thread;
static size_t stack_seen;
static bool signals_blocked;
static struct aiocb *its_block;

static void on_end(union sigval value)
{
	pthread_attr_t attributes;
	sigset_t set;

	caller = pthread_self();
	value_seen = value.sival_int;
	error_in_thread = its_block ? aio_error(its_block) : 0;
	pthread_getattr_np(pthread_self(), &attributes);
	pthread_attr_getstacksize(&attributes, &stack_seen);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	signals_blocked = sigismember(&set, SIGUSR1) || sigismember(&set, SIGTERM);
	sem_post(&called);
}

static void call_when_ended(struct sigevent *event, int value, pthread_attr_t *attributes)
{
	memset(event, 0, sizeof(*event));
	event->sigev_notify = SIGEV_THREAD;
	event->sigev_notify_function = on_end;
	event->sigev_notify_attributes = attributes;
	event->sigev_value.sival_int = value;
}

static void await_call(void)
{
	while (sem_wait(&called))
		check_eq(errno, EINTR);
}

static void calls_in_a_thread(void **state)
{
	char bytes[64];
	int fd = file_make(1000);
	struct aiocb cb = block(fd, bytes, sizeof(bytes), 0);

	(void)state;
	sem_init(&called, 0, 0);
	its_block = &cb;
	call_when_ended(&cb.aio_sigevent, 4711, NULL);
	check_eq(aio_read(&cb), 0);
	await_call();
	check_eq(value_seen, 4711);
	check_eq(error_in_thread, 0);
	check(!pthread_equal(caller, pthread_self()));
	check(!signals_blocked);
	close(fd);
}

static void calls_with_attributes(void **state)
{
	char bytes[64];
	int fd = file_make(1000);
	struct aiocb cb = block(fd, bytes, sizeof(bytes), 0);
	pthread_attr_t attributes;

	(void)state;
	sem_init(&called, 0, 0);
	its_block = &cb;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	call_when_ended(&cb.aio_sigevent, 1, &attributes);
	check_eq(aio_write(&cb), 0);
	await_call();
	check_eq(stack_seen / 4096, STACK / 4096);
	check_ended(&cb, 64);
	pthread_attr_destroy(&attributes);
	close(fd);
}

static _Atomic unsigned calls, at_once, at_once_most;

static void on_end_slowly(union sigval value)
{
	unsigned now = ++at_once;

	(void)value;
	if (now > at_once_most)
		at_once_most = now;
	sleep_ms(5);
	at_once--;
	calls++;
}

/* All of them, and not a thread for each at once. */
static void calls_are_bounded(void **state)
{
	static struct aiocb cbs[300];
	static char bytes[300][16];
	int fd = file_make(10000);

	(void)state;
	shim_or_skip();
	for (int i = 0; i < 300; i++) {
		cbs[i] = block(fd, bytes[i], 16, 16 * i);
		call_when_ended(&cbs[i].aio_sigevent, i, NULL);
		cbs[i].aio_sigevent.sigev_notify_function = on_end_slowly;
		check_eq(aio_read(&cbs[i]), 0);
	}
	for (int tries = 0; calls < 300 && tries < 10000; tries++)
		sleep_ms(1);
	check_eq(calls, 300);
	check(at_once_most <= 64);
	close(fd);
}

/* A number that is no signal's: the transfer takes place, but the operation has failed. */
static void no_such_signal(void **state)
{
	static const int numbers[] = { -1, 65, 1000 };
	char bytes[10];
	int fd = file_make(100);
	struct aiocb cb = block(fd, bytes, 10, 0), *list[] = { &cb };
	struct sigevent event;

	(void)state;
	for (unsigned k = 0; k < 3; k++) {
		cb = block(fd, bytes, 10, 0);
		cb.aio_lio_opcode = LIO_READ;
		cb.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
		cb.aio_sigevent.sigev_signo = numbers[k];
		event = cb.aio_sigevent;
		errno = 0;
		check_eq(lio_listio(LIO_WAIT, list, 1, NULL), -1);
		check_eq(errno, EIO);
		check_eq(aio_error(&cb), EINVAL);
		check_eq(aio_return(&cb), -1);
		/* The list's own is nobody's error. */
		cb.aio_sigevent.sigev_notify = SIGEV_NONE;
		check_eq(lio_listio(LIO_NOWAIT, list, 1, &event), 0);
		check_ended(&cb, 10);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		aio_test(signals_with_its_value), aio_test(signals_failure_too),
		aio_test(signals_are_queued),	  aio_test(handlers_may_interrupt_submission),
		aio_test(calls_in_a_thread),	  aio_test(calls_with_attributes),
		aio_test(calls_are_bounded),	  aio_test(no_such_signal),
	};

	return group(tests, argc, argv);
}
