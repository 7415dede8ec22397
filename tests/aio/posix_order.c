/* SPDX-License-Identifier: MIT */
/* POSIX AIO: what comes after what: writes with O_APPEND, fsync, streams. */
#include "posix.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#define N 200

static struct aiocb cbs[N];
static uint32_t words[N], back[N];

static void end_all(ssize_t result)
{
	for (int i = 0; i < N; i++)
		check_ended(&cbs[i], result);
}

static int append_file(void)
{
	int fd = file_make(0);

	check_eq(fcntl(fd, F_SETFL, O_APPEND), 0);
	return fd;
}

/* They arrive in the order of the calls, whatever offset they name. */
static void appends(void **state)
{
	int fd = append_file();

	(void)state;
	for (int round = 0; round < 10; round++) {
		check_eq(ftruncate(fd, 0), 0);
		for (int i = 0; i < N; i++) {
			words[i] = (uint32_t)i + 1;
			cbs[i] = block(fd, &words[i], 4, 4 * (N - i));
			check_eq(aio_write(&cbs[i]), 0);
		}
		end_all(4);
		check_eq(pread(fd, back, sizeof(back), 0), sizeof(back));
		check_eq(memcmp(words, back, sizeof(back)), 0);
	}
	close(fd);
}

static void appends_of_a_list(void **state)
{
	struct aiocb *list[N];
	int fd = append_file();

	(void)state;
	for (int i = 0; i < N; i++) {
		words[i] = (uint32_t)i * 3;
		cbs[i] = block(fd, &words[i], 4, 0);
		cbs[i].aio_lio_opcode = LIO_WRITE;
		list[i] = &cbs[i];
	}
	check_eq(lio_listio(LIO_WAIT, list, N, NULL), 0);
	check_eq(pread(fd, back, sizeof(back), 0), sizeof(back));
	check_eq(memcmp(words, back, sizeof(back)), 0);
	close(fd);
}

static pthread_barrier_t turn;

/* Two threads append in turn: each call happens after the other thread's. */
static void *append_odd(void *arg)
{
	(void)arg;
	for (int i = 1; i < N; i += 2) {
		pthread_barrier_wait(&turn);
		check_eq(aio_write(&cbs[i]), 0);
		pthread_barrier_wait(&turn);
	}
	return NULL;
}

static void appends_of_two_threads(void **state)
{
	int fd = append_file();
	pthread_t thread;

	(void)state;
	pthread_barrier_init(&turn, NULL, 2);
	for (int i = 0; i < N; i++) {
		words[i] = (uint32_t)i + 7;
		cbs[i] = block(fd, &words[i], 4, 0);
	}
	check_eq(pthread_create(&thread, NULL, append_odd, NULL), 0);
	for (int i = 0; i < N; i += 2) {
		check_eq(aio_write(&cbs[i]), 0);
		pthread_barrier_wait(&turn);
		pthread_barrier_wait(&turn);
	}
	check_eq(pthread_join(thread, NULL), 0);
	end_all(4);
	check_eq(pread(fd, back, sizeof(back), 0), sizeof(back));
	check_eq(memcmp(words, back, sizeof(back)), 0);
	pthread_barrier_destroy(&turn);
	close(fd);
}

/* When it has ended, so have all that were queued before on its descriptor. */
static void fsync_covers(void **state)
{
	int fd = file_make(4 * N);
	struct aiocb sync = block(fd, NULL, 0, 0);

	(void)state;
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < N; i++) {
			words[i] = (uint32_t)(i + round);
			cbs[i] = block(fd, &words[i], 4, 4 * i);
			check_eq(aio_write(&cbs[i]), 0);
		}
		check_eq(aio_fsync(round & 1 ? O_SYNC : O_DSYNC, &sync), 0);
		check_eq(suspend_end(&sync), 0);
		for (int i = 0; i < N; i++)
			check_eq(aio_error(&cbs[i]), 0);
		/* As a program that waits for each before the next would have it. */
		for (int i = 0; i < 8; i++) {
			check_eq(aio_write(&cbs[i]), 0);
			check_ended(&cbs[i], 4);
		}
		progress();
	}
	close(fd);
}

/* An fsync does not wait for what comes after it, nor for other descriptors. */
static void fsync_waits_for_its_own(void **state)
{
	char byte;
	int ends[2], fd = file_make(100);
	struct aiocb slow, sync = block(fd, NULL, 0, 0);

	(void)state;
	make_pipe(ends);
	slow = block(ends[0], &byte, 1, 0);
	check_eq(aio_read(&slow), 0);
	check_eq(aio_fsync(O_SYNC, &sync), 0);
	check_ended(&sync, 0);
	check_eq(aio_error(&slow), EINPROGRESS);
	check_eq(write(ends[1], "x", 1), 1);
	check_ended(&slow, 1);
	close(ends[0]);
	close(ends[1]);
	close(fd);
}

static void streams(void **state)
{
	int ends[2];

	(void)state;
	check_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	for (int i = 0; i < N; i++) {
		words[i] = 0;
		cbs[i] = block(ends[0], &words[i], 4, 0);
		check_eq(aio_read(&cbs[i]), 0);
	}
	for (uint32_t i = 0; i < N; i++)
		check_eq(send(ends[1], &i, 4, 0), 4);
	end_all(4);
	for (uint32_t i = 0; i < N; i++)
		check_eq(words[i], i);
	for (int i = 0; i < N; i++) {
		cbs[i] = block(ends[1], &words[i], 4, 0);
		check_eq(aio_write(&cbs[i]), 0);
	}
	end_all(4);
	check_eq(recv(ends[0], back, sizeof(back), MSG_WAITALL), sizeof(back));
	check_eq(memcmp(words, back, sizeof(back)), 0);
	close(ends[0]);
	close(ends[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		aio_test(appends),
		aio_test(appends_of_a_list),
		aio_test(appends_of_two_threads),
		aio_test(fsync_covers),
		aio_test(fsync_waits_for_its_own),
		aio_test(streams),
	};

	return group(tests, argc, argv);
}
