/* SPDX-License-Identifier: MIT */
/* POSIX AIO: aio_suspend, and what a signal handler may call. */
#include "posix.h"

#include <pthread.h>
#include <signal.h>

static char byte[8];

/* A read that does not end before something is written into the pipe. */
static struct aiocb long_read(int ends[2])
{
	struct aiocb cb;

	make_pipe(ends);
	cb = block(ends[0], byte, 1, 0);
	return cb;
}

static void end_long_read(struct aiocb *cb, int ends[2])
{
	check_eq(write(ends[1], "x", 1), 1);
	check_ended(cb, 1);
	close(ends[0]);
	close(ends[1]);
}

static void returns_at_once_if_one_has_ended(void **state)
{
	char bytes[10];
	int ends[2], fd = file_make(100);
	struct aiocb slow = long_read(ends), quick = block(fd, bytes, 10, 0);
	const struct aiocb *list[] = { &slow, NULL, &quick };

	(void)state;
	check_eq(aio_read(&slow), 0);
	check_eq(aio_read(&quick), 0);
	check_eq(aio_suspend(list, 3, NULL), 0);
	check_eq(aio_error(&slow), EINPROGRESS);
	check_eq(aio_error(&quick), 0);
	check_eq(aio_suspend(list, 3, NULL), 0);
	end_long_read(&slow, ends);
	close(fd);
}

static void nothing_to_wait_for(void **state)
{
	const struct aiocb *list[] = { NULL, NULL };

	(void)state;
	check_eq(aio_suspend(list, 2, NULL), 0);
	check_eq(aio_suspend(list, 0, NULL), 0);
	errno = 0;
	check_eq(aio_suspend(list, -1, NULL), -1);
	check_eq(errno, EINVAL);
}

static void gives_up(void **state)
{
	const struct timespec none = { 0, 0 }, little = { .tv_nsec = 30000000 };
	struct timespec begin, end;
	int ends[2];
	struct aiocb cb = long_read(ends);
	const struct aiocb *list[] = { NULL, &cb };

	(void)state;
	check_eq(aio_read(&cb), 0);
	errno = 0;
	check_eq(aio_suspend(list, 2, &none), -1);
	check_eq(errno, EAGAIN);
	errno = 0;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	check_eq(aio_suspend(list, 2, &little), -1);
	clock_gettime(CLOCK_MONOTONIC, &end);
	check_eq(errno, EAGAIN);
	check((end.tv_sec - begin.tv_sec) * 1000000000L + end.tv_nsec - begin.tv_nsec >= 30000000);
	end_long_read(&cb, ends);
}

/* Time-out 0 is a poll: it must not keep the operation from ending. */
static void polls(void **state)
{
	const struct timespec none = { 0, 0 };
	char bytes[10];
	int fd = file_make(100);
	struct aiocb cb = block(fd, bytes, 10, 0);
	const struct aiocb *list[] = { &cb };

	(void)state;
	for (int n = 0; n < 200; n++) {
		check_eq(aio_read(&cb), 0);
		while (aio_suspend(list, 1, &none))
			check_eq(errno, EAGAIN);
		check_eq(aio_error(&cb), 0);
	}
	close(fd);
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* SIGALRM belongs to the watchdog. */
static timer_t signal_often(void (*handler)(int), long ns)
{
	struct sigaction action = { .sa_handler = handler };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF };
	const struct itimerspec when = { .it_value.tv_nsec = ns, .it_interval.tv_nsec = ns };
	timer_t timer;

	sigaction(SIGPROF, &action, NULL);
	check_eq(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	check_eq(timer_settime(timer, 0, &when, NULL), 0);
	return timer;
}

static void is_interrupted(void **state)
{
	int ends[2];
	struct aiocb cb = long_read(ends);
	const struct aiocb *list[] = { &cb };
	timer_t timer;

	(void)state;
	check_eq(aio_read(&cb), 0);
	timer = signal_often(on_alarm, 30000000);
	errno = 0;
	check_eq(aio_suspend(list, 1, NULL), -1);
	check_eq(errno, EINTR);
	errno = 0;
	check_eq(aio_suspend(list, 1, &(struct timespec){ .tv_sec = 10 }), -1);
	check_eq(errno, EINTR);
	timer_delete(timer);
	end_long_read(&cb, ends);
}

static void *suspend_for_ever(void *arg)
{
	const struct aiocb *list[] = { arg };

	aio_suspend(list, 1, NULL);
	return NULL;
}

static void is_a_cancellation_point(void **state)
{
	int ends[2];
	struct aiocb cb = long_read(ends);
	pthread_t thread;
	void *result;

	(void)state;
	check_eq(aio_read(&cb), 0);
	check_eq(pthread_create(&thread, NULL, suspend_for_ever, &cb), 0);
	sleep_ms(30);
	check_eq(pthread_cancel(thread), 0);
	check_eq(pthread_join(thread, &result), 0);
	check(result == PTHREAD_CANCELED);
	end_long_read(&cb, ends);
}

/* Several threads wait for the same operation: all hear of its end. */
static void many_wait(void **state)
{
	int ends[2];
	struct aiocb cb = long_read(ends);
	pthread_t threads[5];

	(void)state;
	check_eq(aio_read(&cb), 0);
	for (int i = 0; i < 5; i++)
		check_eq(pthread_create(&threads[i], NULL, suspend_for_ever, &cb), 0);
	sleep_ms(20);
	check_eq(write(ends[1], "x", 1), 1);
	for (int i = 0; i < 5; i++)
		check_eq(pthread_join(threads[i], NULL), 0);
	check_ended(&cb, 1);
	close(ends[0]);
	close(ends[1]);
}

/* What another thread submitted, while that one does something else. */
static void *submit_and_rest(void *arg)
{
	struct aiocb *cbs = arg;

	for (int i = 0; i < 50; i++)
		check_eq(aio_read(&cbs[i]), 0);
	return NULL;
}

static void waits_for_what_others_submitted(void **state)
{
	static struct aiocb cbs[50];
	static char bytes[50][16];
	int fd = file_make(1000);
	pthread_t thread;

	(void)state;
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 50; i++)
			cbs[i] = block(fd, bytes[i], 16, 16 * i);
		check_eq(pthread_create(&thread, NULL, submit_and_rest, cbs), 0);
		check_eq(pthread_join(thread, NULL), 0);
		for (int i = 0; i < 50; i++)
			check_ended(&cbs[i], 16);
	}
	close(fd);
}

static struct aiocb *handlers_cb;
static volatile sig_atomic_t handled, handler_error;

/* Everything that may be called here: aio_error, aio_return, aio_suspend. */
static void suspend_in_handler(int signal)
{
	const struct aiocb *const list[] = { handlers_cb };
	int saved = errno;

	(void)signal;
	while (aio_error(handlers_cb) == EINPROGRESS)
		if (aio_suspend(list, 1, NULL) && errno != EINTR)
			handler_error = errno;
	if (aio_error(handlers_cb) || aio_return(handlers_cb) != 16)
		handler_error = 1;
	handled++;
	errno = saved;
}

/* The handler interrupts a thread that submits and waits, anywhere, and waits itself. glibc may deadlock
 * here: the handler waits for a thread that wants the lock of the one that it interrupted. */
static void handlers_suspend(void **state)
{
	static struct aiocb cbs[16];
	static char bytes[16][16];
	int fd = file_make(1000);
	timer_t timer;

	(void)state;
	shim_or_skip();
	for (int i = 0; i < 16; i++)
		cbs[i] = block(fd, bytes[i], 16, 16 * i);
	check_eq(aio_read(&cbs[0]), 0);
	handlers_cb = &cbs[0];
	timer = signal_often(suspend_in_handler, 100000);
	for (int round = 0; round < 2000; round++) {
		for (int i = 1; i < 16; i++)
			check_eq(aio_read(&cbs[i]), 0);
		handlers_cb = &cbs[round % 16];
		for (int i = 1; i < 16; i++)
			check_ended(&cbs[i], 16);
		handlers_cb = &cbs[0];
		progress();
	}
	timer_delete(timer);
	check_eq(handler_error, 0);
	check(handled > 0);
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		aio_test(returns_at_once_if_one_has_ended),
		aio_test(nothing_to_wait_for),
		aio_test(gives_up),
		aio_test(polls),
		aio_test(is_interrupted),
		aio_test(is_a_cancellation_point),
		aio_test(many_wait),
		aio_test(waits_for_what_others_submitted),
		aio_test(handlers_suspend),
	};

	return group(tests, argc, argv);
}
