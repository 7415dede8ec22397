/* SPDX-License-Identifier: MIT */
/* Contract: asys_full transfers all, over what gives and takes little at a time. */
#include "common.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { SIZE = 200000 };

static char *pattern(void)
{
	char *data = malloc(SIZE);

	check(data);
	for (unsigned i = 0; i < SIZE; i++)
		data[i] = (char)(i * 31 + i / 1000);
	return data;
}

/* The other end: so much, in pieces of odd sizes. */
struct peer {
	int fd;
	char *data;
	size_t size;
	bool writes, shuts;
	pthread_t thread;
};

static void *be_peer(void *arg)
{
	struct peer *peer = arg;
	size_t done = 0;

	for (unsigned i = 0; done < peer->size; i++) {
		size_t piece = 1 + (i * 7919) % 9000;
		ssize_t n;

		if (piece > peer->size - done)
			piece = peer->size - done;
		n = peer->writes ? write(peer->fd, peer->data + done, piece) :
				   read(peer->fd, peer->data + done, piece);
		check(n > 0);
		done += (size_t)n;
		if (i % 8 == 0)
			sched_yield();
	}
	if (peer->shuts)
		check_eq(close(peer->fd), 0);
	return NULL;
}

static void start_peer(struct peer *peer)
{
	check_eq(pthread_create(&peer->thread, NULL, be_peer, peer), 0);
}

static int64_t send_and_wait(struct asys_chain *c)
{
	struct asys_queue *q = open_queue();
	int64_t result = run_on(q, c, 0);

	asys_queue_close(q);
	asys_chain_close(c);
	return result;
}

enum { ENDS_PIPE, ENDS_STREAM, ENDS };

static void make_ends(unsigned kind, int fd[2])
{
	if (kind == ENDS_PIPE)
		make_pipe(fd);
	else
		check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
}

static void test_reads(void **state)
{
	char *data = pattern(), *got = calloc(1, SIZE);

	(void)state;
	check(got);
	for (unsigned kind = 0; kind < ENDS; kind++)
		for (unsigned how = 0; how < 3; how++) {
			struct asys_chain *c = open_chain();
			struct iovec vec[3] = { { got, 1 },
						{ got + 1, 99999 },
						{ got + 100000, 100000 } };
			struct peer peer = { .data = data, .size = SIZE, .writes = true };
			asys_id n, zero = value_step(c, 0);
			int fd[2];

			make_ends(kind, fd);
			peer.fd = fd[1];
			memset(got, 0, SIZE);
			if (how == 0)
				n = asys_read(asys_full(c), fd[0], got, SIZE);
			else if (how == 1)
				n = asys_readv(asys_full(c), fd[0], vec, 3);
			else if (kind == ENDS_STREAM)
				n = asys_recvfrom(asys_full(c), fd[0], got, SIZE, 0, NULL, NULL);
			else
				n = asys_read(asys_full(c), asys_load_int(c, &fd[0]),
					      asys_plus(c, zero, (int64_t)(intptr_t)got), SIZE);
			check_eq(asys_chain_result(c, n), 0);
			make_ready(c);
			start_peer(&peer);
			check_eq(send_and_wait(c), SIZE);
			pthread_join(peer.thread, NULL);
			check(!memcmp(data, got, SIZE));
			/* the vector is the caller's and is left as it was */
			check(vec[1].iov_base == got + 1 && vec[1].iov_len == 99999);
			close(fd[0]);
			close(fd[1]);
			progress();
		}
	free(data);
	free(got);
}

static void test_writes(void **state)
{
	char *data = pattern(), *got = calloc(1, SIZE);

	(void)state;
	check(got);
	for (unsigned kind = 0; kind < ENDS; kind++)
		for (unsigned how = 0; how < 3; how++) {
			struct asys_chain *c = open_chain();
			struct iovec vec[3] = { { data, 100000 },
						{ data, 0 },
						{ data + 100000, 100000 } };
			struct peer peer = { .data = got, .size = SIZE };
			asys_id n;
			int fd[2];

			make_ends(kind, fd);
			peer.fd = fd[0];
			memset(got, 0, SIZE);
			if (how == 0 || kind == ENDS_PIPE)
				n = asys_write(asys_full(c), fd[1], data, SIZE);
			else if (how == 1)
				n = asys_writev(asys_full(c), fd[1], vec, 3);
			else
				n = asys_sendto(asys_full(c), fd[1], data, SIZE, 0, NULL, 0);
			check_eq(asys_chain_result(c, n), 0);
			make_ready(c);
			start_peer(&peer);
			check_eq(send_and_wait(c), SIZE);
			pthread_join(peer.thread, NULL);
			check(!memcmp(data, got, SIZE));
			close(fd[0]);
			close(fd[1]);
			progress();
		}
	free(data);
	free(got);
}

/* The input ends, or there was none: what there was. A plain read is satisfied with little. */
static void test_input_ends(void **state)
{
	static char buf[64];
	int fd[2];

	(void)state;
	for (unsigned size = 0; size < 20; size += 5) {
		struct asys_chain *c = open_chain();

		make_pipe(fd);
		check_eq(write(fd[1], "0123456789abcdefghij", size), size);
		close(fd[1]);
		asys_chain_result(c, asys_read(asys_full(c), fd[0], buf, 64));
		make_ready(c);
		check_eq(send_and_wait(c), size);
		close(fd[0]);
	}
	struct asys_chain *c = open_chain();

	make_pipe(fd);
	check_eq(write(fd[1], "01234", 5), 5);
	asys_chain_result(c, asys_read(c, fd[0], buf, 64));
	make_ready(c);
	check_eq(send_and_wait(c), 5);
	close(fd[0]);
	close(fd[1]);
}

/* At an offset: the offset moves along, and the file's own does not. */
static void test_at_an_offset(void **state)
{
	static char got[SIZE];
	char *data = pattern();
	int fd = memory_file();
	struct asys_chain *c = open_chain();
	struct iovec vec = { got, SIZE };
	asys_id w, r;

	(void)state;
	w = asys_pwrite64(asys_full(c), fd, data, SIZE, 1000);
	r = asys_pread64(asys_full(asys_after_ok(c, w)), fd, got, SIZE, 1000);
	asys_chain_result(c, asys_preadv(asys_full(asys_after_ok(c, r)), fd, &vec, 1, 2000));
	make_ready(c);
	/* 1,000 bytes of the last are missing */
	check_eq(send_and_wait(c), SIZE - 1000);
	check(!memcmp(got, data + 1000, SIZE - 1000));
	check_eq(lseek(fd, 0, SEEK_CUR), 0);
	free(data);
	close(fd);
}

/* It fails in the middle: with the error, not with what was done before. */
static void test_fails(void **state)
{
	char *data = pattern();
	struct asys_chain *c = open_chain();
	int fd[2];

	(void)state;
	check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	close(fd[0]);
	asys_chain_result(c, asys_sendto(asys_full(c), fd[1], data, SIZE, MSG_NOSIGNAL, NULL, 0));
	make_ready(c);
	check_eq(send_and_wait(c), -EPIPE);
	close(fd[1]);
	c = open_chain();
	asys_read(asys_full(c), -1, data, 5);
	make_ready(c);
	check_eq(send_and_wait(c), -EBADF);
	free(data);
}

/* Two full transfers that feed each other through a small pipe, in one chain. */
static void test_both_ends_in_one_chain(void **state)
{
	char *data = pattern(), *got = calloc(1, SIZE);
	struct asys_chain *c = open_chain();
	static int64_t written;
	int fd[2];

	(void)state;
	check(got);
	make_pipe(fd);
	asys_chain_result(c, asys_read(asys_full(c), fd[0], got, SIZE));
	asys_write(asys_full(asys_store(c, &written)), fd[1], data, SIZE);
	make_ready(c);
	check_eq(send_and_wait(c), SIZE);
	check_eq(written, SIZE);
	check(!memcmp(data, got, SIZE));
	close(fd[0]);
	close(fd[1]);
	free(data);
	free(got);
}

/* Injected short transfers are transfers as well. */
static void test_short_by_injection(void **state)
{
	static char got[SIZE];
	char *data = pattern();
	struct asys_queue_options options;
	struct asys_queue *q;
	struct asys_chain *c;
	struct asys_stats stats;
	asys_id w;
	int fd = memory_file();

	(void)state;
	if (getenv("ASYS_FAULT"))
		skip_because("the environment's faults override the test's");
	asys_queue_options_init(&options);
	options.fault = "seed=3,rate=700,kinds=short";
	q = open_with(&options);
	c = open_chain();
	w = asys_pwrite64(asys_full(c), fd, data, SIZE, 0);
	asys_chain_result(c, asys_pread64(asys_full(asys_after_ok(c, w)), fd, got, SIZE, 0));
	make_ready(c);
	for (unsigned i = 0; i < 20; i++)
		check_eq(run_on(q, c, 0), SIZE);
	check(!memcmp(got, data, SIZE));
	check_eq(asys_queue_stats(q, &stats), 0);
	printf("%llu faults\n", (unsigned long long)stats.faults);
	asys_chain_close(c);
	asys_queue_close(q);
	free(data);
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_reads),
		contract(test_writes),
		contract(test_input_ends),
		contract(test_at_an_offset),
		contract(test_fails),
		contract(test_both_ends_in_one_chain),
		contract(test_short_by_injection),
	};

	return group(tests, argc, argv);
}
