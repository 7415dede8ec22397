/* SPDX-License-Identifier: MIT */
/* Contract: calls inside that may block for ever, and calls that belong to their sender's thread. */
#include "common.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

/* A step that blocks does not hold back one that does not name it. */
static void test_blocked_beside_others(void **state)
{
	static char bytes[20];
	static int64_t sum_of;
	struct asys_queue_options options;
	struct asys_queue *q;
	struct asys_chain *c = open_chain();
	asys_id read_id[20];
	int fd[20][2];

	(void)state;
	asys_queue_options_init(&options);
	options.threads = 40; /* where only threads serve, each of the reads needs one */
	q = open_with(&options);
	for (unsigned i = 0; i < 20; i++) {
		make_pipe(fd[i]);
		read_id[i] = asys_read(c, fd[i][0], &bytes[i], 1);
	}
	for (unsigned i = 20; i-- > 0;)
		asys_write(c, fd[i][1], "x", 1);
	asys_id total = value_step(c, 0);

	for (unsigned i = 0; i < 20; i++)
		total = asys_chain_compute(c, sum, total, read_id[i]);
	asys_chain_compute(asys_store(c, &sum_of), give, total);
	make_ready(c);
	check_eq(run_on(q, c, 0), 0);
	check_eq(sum_of, 20);
	asys_chain_close(c);
	asys_queue_close(q);
	for (unsigned i = 0; i < 20; i++) {
		check_eq(bytes[i], 'x');
		close(fd[i][0]);
		close(fd[i][1]);
	}
}

/* One after another: the chain goes on each time, whoever brought the byte. */
static void test_ping_pong(void **state)
{
	static char byte;
	static int64_t rounds;
	struct asys_queue *q = open_queue();
	struct asys_chain *ping = open_chain(), *pong = open_chain();
	asys_id n, id;
	int there[2], back[2];

	(void)state;
	make_pipe(there);
	make_pipe(back);
	asys_chain_loop(ping, 500);
	n = asys_write(ping, there[1], "p", 1);
	asys_read(asys_after_ok(ping, n), back[0], &byte, 1);
	asys_chain_result(ping, asys_chain_end(ping));
	asys_chain_loop(asys_store(pong, &rounds), 500);
	n = asys_read(pong, there[0], &byte, 1);
	asys_write(asys_after_ok(pong, n), back[1], "q", 1);
	asys_chain_end(pong);
	make_ready(ping);
	make_ready(pong);
	id = asys_chain_send(q, ping);
	check_eq(result_of(q, asys_chain_send(q, pong)), 0);
	check_eq(result_of(q, id), 500);
	check_eq(rounds, 500);
	asys_queue_close(q);
	asys_chain_close(ping);
	asys_chain_close(pong);
	for (unsigned i = 0; i < 2; i++) {
		close(there[i]);
		close(back[i]);
	}
}

/* A server and its client in one chain: accept and connect wait for each other. */
static void test_accept(void **state)
{
	static char buf[8];
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct asys_chain *c = open_chain();
	asys_id in, out, there, n;

	(void)state;
	check_eq(bind(listening, (struct sockaddr *)&address, size), 0);
	check_eq(listen(listening, 4), 0);
	check_eq(getsockname(listening, (struct sockaddr *)&address, &size), 0);
	in = asys_accept4(c, listening, NULL, NULL, SOCK_CLOEXEC);
	n = asys_recvfrom(c, in, buf, sizeof(buf), 0, NULL, NULL);
	out = asys_socket(c, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	there = asys_connect(asys_after(c, asys_chain_timer(c, 300000)), out,
			     (struct sockaddr *)&address, size);
	asys_sendto(asys_after_ok(c, there), out, "hello", 5, 0, NULL, 0);
	asys_chain_result(c, n);
	asys_chain_finally(c);
	asys_close(c, in);
	asys_close(c, out);
	asys_chain_end(c);
	check_eq(run_and_close(c), 5);
	check(!memcmp(buf, "hello", 5));
	close(listening);
}

/* Opening a FIFO waits for the other end, which is opened by another step. */
static void test_fifo(void **state)
{
	static char byte;
	struct asys_chain *c = open_chain();
	char *dir = temp_make(), *path = NULL;
	asys_id in, out, n;

	(void)state;
	check(asprintf(&path, "%s/fifo", dir) > 0);
	check_eq(mkfifo(path, 0600), 0);
	in = asys_openat(c, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	out = asys_openat(c, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
	n = asys_read(c, in, &byte, 1);
	asys_write(c, out, "f", 1);
	asys_chain_result(c, n);
	asys_chain_finally(c);
	asys_close(c, in);
	asys_close(c, out);
	asys_chain_end(c);
	check_eq(run_and_close(c), 1);
	check_eq(byte, 'f');
	free(path);
	temp_remove(dir);
}

/* Opened without waiting, a file is read without precautions; not where a step may change that. */
static void test_told_to_wait(void **state)
{
	static char byte;
	struct asys_chain *c = open_chain();
	char *dir = temp_make(), *path = NULL;
	asys_id fd, told, n;

	(void)state;
	check(asprintf(&path, "%s/fifo", dir) > 0);
	check_eq(mkfifo(path, 0600), 0);
	fd = asys_openat(c, AT_FDCWD, path, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
	n = asys_read(asys_may_fail(c), fd, &byte, 1);
	told = asys_fcntl(asys_after(c, n), fd, F_SETFL, 0);
	n = asys_read(asys_after_ok(c, told), fd, &byte, 1);
	asys_write(asys_after(c, asys_chain_timer(c, 10000000)), fd, "w", 1);
	asys_chain_result(c, n);
	asys_chain_finally(c);
	asys_close(c, fd);
	asys_chain_end(c);
	check_eq(run_and_close(c), 1);
	check_eq(byte, 'w');
	free(path);
	temp_remove(dir);
}

/* Parameters: a FIFO; where its descriptor is to be; two pipes: one says that it is, the other that it waits
 * now. */
static struct asys_chain *reader_that_is_told(char *byte)
{
	struct asys_chain *c = open_chain();
	asys_id fd, told;

	fd = asys_openat(asys_store(c, asys_param(c, 1)), AT_FDCWD, asys_param(c, 0),
			 O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
	asys_write(asys_after_ok(c, fd), asys_param(c, 2), "o", 1);
	told = asys_read(asys_after_ok(c, fd), asys_param(c, 3), byte, 1);
	asys_chain_result(c, asys_read(asys_after_ok(c, told), fd, byte, 1));
	make_ready(c);
	return c;
}

/* The sub-chain alone has no step that could undo how it opens; the chain around it has. */
static void test_sub_is_told_to_wait(void **state)
{
	static char bytes[2];
	static int64_t opened;
	int open_pipe[2], told_pipe[2];
	char *dir = temp_make(), *path = NULL;
	struct asys_chain *sub = reader_that_is_told(&bytes[0]), *c = open_chain();
	asys_id step;

	(void)state;
	check(asprintf(&path, "%s/fifo", dir) > 0);
	check_eq(mkfifo(path, 0600), 0);
	check_eq(pipe(open_pipe), 0);
	check_eq(pipe(told_pipe), 0);
	step = asys_chain_sub(c, sub, path, &opened, open_pipe[1], told_pipe[0]);
	asys_chain_close(sub);
	asys_chain_result(c, step);
	step = asys_read(c, open_pipe[0], &bytes[1], 1);
	step = asys_fcntl(asys_after_ok(c, step), asys_load(c, &opened), F_SETFL, 0);
	step = asys_write(asys_after_ok(c, step), told_pipe[1], "t", 1);
	step = asys_chain_timer(asys_after_ok(c, step), 10000000);
	asys_write(asys_after(c, step), asys_load(c, &opened), "w", 1);
	check_eq(run_and_close(c), 1);
	check_eq(bytes[0], 'w');
	close((int)opened);
	for (unsigned i = 0; i < 2; i++) {
		close(open_pipe[i]);
		close(told_pipe[i]);
	}
	free(path);
	temp_remove(dir);
}

static void test_not_told_to_wait(void **state)
{
	static char byte;
	struct asys_chain *c = open_chain();
	char *dir = temp_make(), *path = NULL;
	asys_id fd;

	(void)state;
	check(asprintf(&path, "%s/fifo", dir) > 0);
	check_eq(mkfifo(path, 0600), 0);
	fd = asys_openat(c, AT_FDCWD, path, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
	asys_read(c, fd, &byte, 1);
	asys_chain_finally(c);
	asys_close(c, fd);
	asys_chain_end(c);
	check_eq(run_and_close(c), -EAGAIN);
	free(path);
	temp_remove(dir);
}

static void test_eventfd_and_sleep(void **state)
{
	static uint64_t value, one = 1;
	static struct timespec time = { 0, 500000 };
	struct asys_chain *c = open_chain();
	int fd = eventfd(0, EFD_CLOEXEC);
	asys_id slept;

	(void)state;
	value = 0;
	asys_read(c, fd, &value, 8);
	slept = asys_nanosleep(c, &time, NULL);
	asys_write(asys_after_ok(c, slept), fd, &one, 8);
	check_eq(run_and_close(c), 0);
	check_eq(value, 1);
	close(fd);
}

/* ---- home ----------------------------------------------------------------------------------- */

struct names {
	struct asys_queue *queue;
	struct asys_chain *chain;
	unsigned wrong;
};

/* gettid is answered for the thread that sends, also where a step before it ran elsewhere. */
static void *ask_names(void *arg)
{
	struct names *names = arg;

	for (unsigned i = 0; i < 100; i++) {
		asys_id id = asys_chain_send(names->queue, names->chain);
		int64_t result = result_of(names->queue, id);

		names->wrong += result != gettid();
	}
	return NULL;
}

static void test_home_calls(void **state)
{
	static const uint32_t flags[] = { 0, ASYS_QUEUE_SHARED, ASYS_QUEUE_NO_HELP };
	struct asys_chain *c = open_chain();
	asys_id step = asys_chain_timer(c, 20000);

	(void)state;
	step = asys_getppid(asys_after_ok(c, step));
	asys_chain_result(c, asys_gettid(asys_after_ok(c, step)));
	make_ready(c);
	for (unsigned i = 0; i < 3; i++) {
		struct names names = { .chain = c };
		pthread_t thread[3];

		if (engine_forced("inline") && flags[i] == ASYS_QUEUE_NO_HELP)
			continue;
		names.queue = open_depth(16, flags[i]);
		if (flags[i] == ASYS_QUEUE_SHARED) {
			struct names of[3] = { names, names, names };

			for (unsigned k = 0; k < 3; k++)
				check_eq(pthread_create(&thread[k], NULL, ask_names, &of[k]), 0);
			for (unsigned k = 0; k < 3; k++) {
				pthread_join(thread[k], NULL);
				check_eq(of[k].wrong, 0);
			}
		} else {
			ask_names(&names);
			check_eq(names.wrong, 0);
		}
		asys_queue_close(names.queue);
	}
	asys_chain_close(c);
}

/* A home call changes this thread, wherever the chain is. */
static void test_home_call_works_on_the_sender(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();
	char name[16] = "", old[16] = "";
	asys_id step;

	(void)state;
	warm_up(q);
	check_eq(prctl(PR_GET_NAME, old), 0);
	step = asys_chain_timer(c, 20000);
	asys_prctl(asys_after_ok(c, step), PR_SET_NAME, "of-a-chain", 0, 0, 0);
	make_ready(c);
	check_eq(run_on(q, c, 0), 0);
	check_eq(prctl(PR_GET_NAME, name), 0);
	check(!strcmp(name, "of-a-chain"));
	check_eq(prctl(PR_SET_NAME, old), 0);
	asys_chain_close(c);
	asys_queue_close(q);
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* A signal ends the wait for a sending that blocks, not its step; and the sending goes on. */
static void signal_ends_the_wait(bool full)
{
	const struct itimerval often = { { 0, 20000 }, { 0, 20000 } },
			       never = { { 0, 0 }, { 0, 0 } };
	const struct sigaction action = { .sa_handler = on_alarm };
	struct asys_queue *q = open_queue();
	struct asys_event event;
	struct asys_chain *c;
	struct sigaction old;
	char bytes[10];
	asys_id id, in;
	int fd[2];

	make_pipe(fd);
	check_eq(asys_chain_open(&c, NULL), 0);
	in = asys_read(full ? asys_full(c) : c, fd[0], bytes, sizeof(bytes));
	asys_chain_result(c, in);
	check_eq(asys_chain_ready(c), 0);
	if (full)
		check_eq(write(fd[1], "some", 4), 4);
	check_eq(sigaction(SIGALRM, &action, &old), 0);
	check_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	id = asys_chain_send(q, c);
	check_eq(asys_queue_wait(q, id, &event), -EINTR);
	check_eq(asys_queue_barrier(q), -EINTR);
	check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), -EINTR);
	check_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	check_eq(write(fd[1], "and more..", full ? 6 : 10), full ? 6 : 10);
	check_eq(result_of(q, id), 10);
	check_eq(sigaction(SIGALRM, &old, NULL), 0);
	asys_queue_close(q);
	asys_chain_close(c);
	close(fd[0]);
	close(fd[1]);
}

static void test_signal_ends_the_wait(void **state)
{
	(void)state;
	if (!driver_is("wait"))
		skip_because("a loop or another thread waits");
	signal_ends_the_wait(false);
	signal_ends_the_wait(true);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_blocked_beside_others),
		contract(test_ping_pong),
		contract(test_accept),
		contract(test_fifo),
		contract(test_told_to_wait),
		contract(test_signal_ends_the_wait),
		contract(test_sub_is_told_to_wait),
		contract(test_not_told_to_wait),
		contract(test_eventfd_and_sleep),
		contract(test_home_calls),
		contract(test_home_call_works_on_the_sender),
	};

	return group(tests, argc, argv);
}
