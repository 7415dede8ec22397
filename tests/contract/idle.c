/* SPDX-License-Identifier: MIT */
/*
 * Contract: who waits for a descriptor, or has waited, uses no processor meanwhile, whatever the
 * descriptor says of itself: no timing, what is counted is how often a loop or a wait is woken.
 */
#include "support.h"

#include <arpa/inet.h>
#include <asys/chain.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define IDLE_MS 200u
#define TURNS_MOST 20u

static const uint32_t kinds[] = { 0, ASYS_QUEUE_SHARED, ASYS_QUEUE_DRIVER };

static uint64_t cpu_ns(void)
{
	struct rusage usage;

	check_eq(getrusage(RUSAGE_SELF, &usage), 0);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000u +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000u;
}

static unsigned get_all(struct asys_queue *q)
{
	struct asys_event event;
	unsigned count = 0;

	while (asys_queue_get(q, &event) == 1)
		count++;
	return count;
}

/* How often a loop on the queue's descriptor turns in a while, more than TURNS_MOST being too many, and what it gets. */
static unsigned loop_turns(struct asys_queue *q, unsigned *ret_got)
{
	struct pollfd set = { .fd = asys_queue_fd(q), .events = POLLIN };
	uint64_t until = asys_now() + IDLE_MS * 1000000ull;
	unsigned turns = 0;

	*ret_got = get_all(q);
	while (asys_now() < until && turns <= TURNS_MOST) {
		if (poll(&set, 1, 20) > 0) {
			*ret_got += get_all(q);
			turns++;
		}
	}
	return turns;
}

/* It turns seldom, and gets `events` events. */
static void loop_is_idle(struct asys_queue *q, unsigned events)
{
	unsigned got, turns = loop_turns(q, &got);

	if (turns > TURNS_MOST)
		support_fail(__FILE__, __LINE__, "the loop spins: %u turns", turns);
	check_eq(got, events);
}

/* A wait, with a limit, for what does not come. */
static void wait_is_idle(struct asys_queue *q)
{
	struct asys_event event;
	uint64_t before = cpu_ns();

	check_eq(asys_queue_get_many(q, &event, 1, 1, IDLE_MS * 1000000ull), 0);
	check(cpu_ns() - before < IDLE_MS * 1000000ull / 2);
}

/* Where the queue may choose, epoll waits here. */
static struct asys_queue *open_kind(uint32_t flags)
{
	struct asys_queue_options options;

	if (engine_forced("uring"))
		skip_because("the ring does the waiting, not epoll");
	asys_queue_options_init(&options);
	options.engine = ASYS_ENGINE_READY;
	options.depth = 64;
	options.flags = flags;
	return open_with(&options);
}

/* What was waited for comes when nobody waits any more: nothing at all, if `alone`. */
static void cancelled(uint32_t flags, bool by_deadline, bool closed, bool alone)
{
	struct asys_queue *q = open_kind(flags);
	int fd[2], copy, pipe[2];
	char bytes[8], byte;
	unsigned early;
	asys_id id;

	check(asys_queue_fd(q) >= 0);
	make_pair(SOCK_STREAM, fd);
	make_pipe(pipe);
	copy = dup(fd[0]);
	check(copy >= 0);
	/* a second one that stays in flight, also when nothing waits for a descriptor any more */
	if (!alone)
		submit(q, SYS_read, pipe[0], &byte, 1);
	id = submit(by_deadline ? asys_deadline(q, asys_now() + 5000000) : q, SYS_recvfrom, fd[0],
		    bytes, sizeof(bytes), 0, NULL, NULL);
	check_eq(asys_queue_flush(q), 0);
	early = get_all(q); /* on a busy machine the deadline may be over by now */
	if (closed)
		close(fd[0]);
	if (!by_deadline) {
		int err = asys_queue_cancel(q, id);

		/* Where a thread had not begun it, it has ended by now: there was no such descriptor. */
		check(!err || (closed && err == -EALREADY));
	}
	loop_is_idle(q, 1 - early);
	check_eq(write(fd[1], "late", 4), 4);
	loop_is_idle(q, 0);
	check_eq(write(pipe[1], "x", 1), 1);
	loop_is_idle(q, alone ? 0 : 1);
	check_eq(write(fd[1], "late", 4), 4);
	loop_is_idle(q, 0);
	asys_queue_close(q);
	if (!closed)
		close(fd[0]);
	close(fd[1]);
	close(copy);
	close(pipe[0]);
	close(pipe[1]);
	progress();
}

static void test_cancelled_wait(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 6; k++) {
		cancelled(kinds[k % 3], false, false, k < 3);
		cancelled(kinds[k % 3], true, false, k < 3);
	}
}

/* The number is gone before the wait is over, the file is not. */
static void test_closed_before_cancel(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 6; k++)
		cancelled(kinds[k % 3], false, true, k < 3);
}

/* A datagram socket whose queue of errors has one that nobody takes. */
static int socket_with_errors(uint16_t *ret_port)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
	struct sockaddr_in any = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in nobody = any;
	struct pollfd set = { .fd = fd };
	socklen_t size = sizeof(any);
	char byte;
	int other;

	check_eq(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
	check_eq(bind(fd, (const struct sockaddr *)&any, size), 0);
	check_eq(getsockname(fd, (struct sockaddr *)&any, &size), 0);
	*ret_port = any.sin_port;
	/* A port that was free a moment ago. */
	other = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	check_eq(bind(other, (const struct sockaddr *)&nobody, size), 0);
	check_eq(getsockname(other, (struct sockaddr *)&nobody, &size), 0);
	close(other);
	check_eq(sendto(fd, "x", 1, 0, (const struct sockaddr *)&nobody, size), 1);
	check_eq(poll(&set, 1, 15000), 1);
	check(set.revents & POLLERR);
	check_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1); /* takes the error, not the queue's */
	check_eq(poll(&set, 1, 0), 1);
	return fd;
}

static void send_to(uint16_t port, const char *text)
{
	const struct sockaddr_in addr = { .sin_family = AF_INET,
					  .sin_port = port,
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	check_eq(sendto(fd, text, strlen(text), 0, (const struct sockaddr *)&addr, sizeof(addr)),
		 (ssize_t)strlen(text));
	close(fd);
}

static void test_errors_not_taken(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 3; k++) {
		struct asys_queue *q = open_kind(kinds[k]);
		struct asys_event event;
		char first[8] = "", second[8] = "";
		uint16_t port;
		int fd = socket_with_errors(&port);

		submit(q, SYS_recvfrom, fd, first, sizeof(first), 0, NULL, NULL);
		submit(q, SYS_recvfrom, fd, second, sizeof(second), 0, NULL, NULL);
		wait_is_idle(q);
		/* It is still heard what comes. */
		send_to(port, "one");
		check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
		check_eq(event.result, 3);
		wait_is_idle(q);
		loop_is_idle(q, 0);
		send_to(port, "two");
		loop_is_idle(q, 1);
		check(!memcmp(first, "one", 3) || !memcmp(first, "two", 3));
		submit(q, SYS_recvfrom, fd, first, sizeof(first), 0, NULL, NULL);
		check_eq(asys_queue_flush(q), 0);
		loop_is_idle(q, 0);
		asys_queue_cancel_all(q);
		loop_is_idle(q, 1);
		send_to(port, "three");
		loop_is_idle(q, 0);
		asys_queue_close(q);
		close(fd);
		progress();
	}
}

/* Only a receive that may block finds out that nothing can come: an attempt says "not now". */
static void test_datagrams_shut_down(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 3; k++) {
		struct asys_queue *q = open_kind(kinds[k]);
		int fd[2], pipe[2];
		char byte, other;
		asys_id id;

		make_pair(SOCK_DGRAM, fd);
		make_pipe(pipe);
		submit(q, SYS_read, pipe[0], &other, 1);
		id = submit(q, SYS_recvfrom, fd[0], &byte, 1, 0, NULL, NULL);
		check_eq(asys_queue_flush(q), 0);
		check_eq(shutdown(fd[0], SHUT_RD), 0);
		check_eq(result_of(q, id), 0);
		check_eq(result_of(q, submit(q, SYS_recvfrom, fd[0], &byte, 1, 0, NULL, NULL)), 0);
		asys_queue_close(q);
		close(fd[0]);
		close(fd[1]);
		close(pipe[0]);
		close(pipe[1]);
	}
}

/* The number comes to mean another file while a call waits on it: that call does not get its bytes. */
static void test_number_used_again(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 6; k++) {
		struct asys_queue *q = open_kind(kinds[k % 3]);
		int old[2], new[2], copy;
		char was[4] = "", is[4] = "";
		asys_id waits, id;

		make_pair(SOCK_STREAM, old);
		make_pair(SOCK_STREAM, new);
		copy = k < 3 ? -1 : dup(old[0]);
		waits = submit(q, SYS_recvfrom, old[0], was, 1, 0, NULL, NULL);
		check_eq(asys_queue_flush(q), 0);
		get_all(q);
		sleep_ms(20); /* a thread or a driver has begun by now */
		check_eq(dup2(new[0], old[0]), old[0]);
		id = submit(q, SYS_recvfrom, old[0], is, 4, 0, NULL, NULL);
		check_eq(asys_queue_flush(q), 0);
		get_all(q);
		check_eq(write(new[1], "new", 3), 3);
		check_eq(result_of(q, id), 3);
		check(!memcmp(is, "new", 3));
		asys_queue_cancel(q, waits);
		check_eq(was[0], 0);
		loop_is_idle(q, asys_queue_pending(q) ? 1 : 0);
		asys_queue_close(q);
		close(old[0]);
		close(old[1]);
		close(new[0]);
		close(new[1]);
		if (copy >= 0)
			close(copy);
		progress();
	}
}

/* Poll takes nothing where no descriptor may be opened, as in a sandbox. */
static int waits_in_sandbox(void *arg)
{
	struct asys_queue *q = open_depth(64, *(const uint32_t *)arg);
	char bytes[2];
	struct rlimit before, limit;
	int fd[2];
	asys_id id;

	make_pipe(fd);
	id = submit(q, SYS_read, fd[0], &bytes[0], 1);
	submit(q, SYS_read, fd[0], &bytes[1], 1);
	check_eq(write(fd[1], "s", 1), 1);
	check_eq(result_of(q, id), 1); /* all that waits is open by now */
	check_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = 0;
	check_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	wait_is_idle(q);
	check_eq(write(fd[1], "s", 1), 1);
	check_eq(asys_queue_barrier(q), 0);
	asys_queue_close(q);
	check_eq(setrlimit(RLIMIT_NOFILE, &before), 0); /* a leak checker opens files at the end */
	return 0;
}

static void test_sandbox(void **state)
{
	uint32_t flags[] = { 0, ASYS_QUEUE_SHARED };

	(void)state;
	uncollected_or_skip("the loop's own poll takes nothing there");
	for (unsigned k = 0; k < 2; k++)
		check_child(waits_in_sandbox, &flags[k]);
}

/* More opens that hang than there may be threads, and as many sendings with one: looks at them become rare. */
static void opens_that_hang(uint32_t flags, bool sendings)
{
	char *folder = temp_make(), path[128];
	struct asys_queue *q = open_depth(64, flags);
	struct asys_chain *c;
	unsigned got, turns = TURNS_MOST + 1;

	snprintf(path, sizeof(path), "%s/fifo", folder);
	check_eq(mkfifo(path, 0600), 0);
	check_eq(asys_chain_open(&c, NULL), 0);
	asys_openat(c, AT_FDCWD, path, O_RDONLY, 0);
	check_eq(asys_chain_ready(c), 0);
	for (unsigned n = 0; n < 20; n++)
		if (sendings)
			check(asys_chain_send(q, c).value > 0);
		else
			submit(q, SYS_openat, AT_FDCWD, path, O_RDONLY, 0);
	check(asys_queue_fd(q) >= 0);
	check_eq(asys_queue_flush(q), 0);
	/* Once every thread is in one, which takes some turns, on a busy machine more. */
	for (unsigned n = 0; n < 100 && turns > TURNS_MOST; n++) {
		turns = loop_turns(q, &got);
		check_eq(got, 0);
		progress();
	}
	check(turns <= TURNS_MOST);
	wait_is_idle(q);
	asys_queue_close(q);
	asys_chain_close(c);
	temp_remove(folder);
	progress();
}

static void test_opens_that_hang(void **state)
{
	(void)state;
	uncollected_or_skip("the loop's own poll takes nothing there");
	if (engine_forced("inline"))
		skip_because("the client itself makes them, and leaves each in turn");
	for (unsigned k = 0; k < 6; k++)
		opens_that_hang(kinds[k % 3], k < 3);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_cancelled_wait),	  contract(test_closed_before_cancel),
		contract(test_errors_not_taken),  contract(test_datagrams_shut_down),
		contract(test_number_used_again), contract(test_sandbox),
		contract(test_opens_that_hang),
	};

	return group(tests, argc, argv);
}
