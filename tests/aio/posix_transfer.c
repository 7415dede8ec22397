/* SPDX-License-Identifier: MIT */
/* POSIX AIO: what is transferred, and what is refused, when and with which error. */
#include "posix.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define SIZE 40000

static void check_bytes(const unsigned char *bytes, size_t n, size_t offset)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != file_byte(offset + i))
			support_fail(__FILE__, __LINE__, "byte %zu is wrong", offset + i);
}

static void reads_at_its_offset(void **state)
{
	unsigned char bytes[1000];
	int fd = file_make(SIZE);
	struct aiocb cb = block(fd, bytes, sizeof(bytes), 12345);

	(void)state;
	for (unsigned n = 0; n < 50; n++) {
		memset(bytes, 0xee, sizeof(bytes));
		cb.aio_offset = (off_t)n * 700;
		check_eq(aio_read(&cb), 0);
		check_ended(&cb, sizeof(bytes));
		check_bytes(bytes, sizeof(bytes), n * 700);
	}
	check_eq(lseek(fd, 0, SEEK_CUR), SIZE);
	close(fd);
}

static void reads_at_the_end(void **state)
{
	unsigned char bytes[100];
	int fd = file_make(SIZE);
	struct aiocb cb = block(fd, bytes, sizeof(bytes), SIZE - 30);

	(void)state;
	check_eq(aio_read(&cb), 0);
	check_ended(&cb, 30);
	check_bytes(bytes, 30, SIZE - 30);
	cb.aio_offset = SIZE;
	check_eq(aio_read(&cb), 0);
	check_ended(&cb, 0);
	cb.aio_nbytes = 0;
	check_eq(aio_read(&cb), 0);
	check_ended(&cb, 0);
	close(fd);
}

static void writes(void **state)
{
	unsigned char bytes[3000], back[3000];
	int fd = file_make(0);
	struct aiocb cb = block(fd, bytes, sizeof(bytes), 5000);

	(void)state;
	for (unsigned n = 0; n < 20; n++) {
		memset(bytes, (int)n + 1, sizeof(bytes));
		check_eq(aio_write(&cb), 0);
		check_ended(&cb, sizeof(bytes));
		check_eq(pread(fd, back, sizeof(back), 5000), sizeof(back));
		check_eq(memcmp(bytes, back, sizeof(back)), 0);
	}
	check_eq(lseek(fd, 0, SEEK_END), 8000);
	close(fd);
}

static void says_what_it_does(void **state)
{
	char bytes[10];
	int fd = file_make(SIZE);
	struct aiocb cb = block(fd, bytes, sizeof(bytes), 0);

	(void)state;
	cb.aio_lio_opcode = LIO_NOP;
	check_eq(aio_read(&cb), 0);
	check_eq(suspend_end(&cb), 0);
	check_eq(cb.aio_lio_opcode, LIO_READ);
	check_eq(aio_write(&cb), 0);
	check_eq(suspend_end(&cb), 0);
	check_eq(cb.aio_lio_opcode, LIO_WRITE);
	close(fd);
}

/* Both say it late, in the control block. */
static void wrong_descriptors(void **state)
{
	char bytes[10];
	struct aiocb cb = block(-1, bytes, sizeof(bytes), 0);
	int fd = open("/dev/null", O_WRONLY);

	(void)state;
	check_eq(aio_read(&cb), 0);
	check_eq(suspend_end(&cb), EBADF);
	check_eq(aio_return(&cb), -1);
	cb.aio_fildes = 1000000;
	check_eq(aio_write(&cb), 0);
	check_eq(suspend_end(&cb), EBADF);
	cb.aio_fildes = fd;
	check_eq(aio_read(&cb), 0);
	check_eq(suspend_end(&cb), EBADF);
	close(fd);
}

static void wrong_words(void **state)
{
	char bytes[10];
	int fd = file_make(SIZE);
	struct aiocb cb = block(fd, bytes, sizeof(bytes), -5);

	(void)state;
	check_eq(aio_read(&cb), 0);
	check_eq(suspend_end(&cb), EINVAL);
	cb.aio_offset = 0;
	cb.aio_buf = (void *)8;
	check_eq(aio_read(&cb), 0);
	check_eq(suspend_end(&cb), EFAULT);
	check_eq(aio_return(&cb), -1);
	close(fd);
}

static void priorities(void **state)
{
	char bytes[10];
	int fd = file_make(SIZE);
	struct aiocb cb = block(fd, bytes, sizeof(bytes), 0);

	(void)state;
	for (int prio = 0; prio <= AIO_PRIO_DELTA_MAX; prio += AIO_PRIO_DELTA_MAX) {
		cb.aio_reqprio = prio;
		check_eq(aio_read(&cb), 0);
		check_ended(&cb, sizeof(bytes));
	}
	for (int prio = -1; prio <= AIO_PRIO_DELTA_MAX + 1; prio += AIO_PRIO_DELTA_MAX + 2) {
		cb.aio_reqprio = prio;
		errno = 0;
		check_eq(aio_write(&cb), -1);
		check_eq(errno, EINVAL);
		check_eq(aio_error(&cb), EINVAL);
		check_eq(aio_return(&cb), -1);
	}
	close(fd);
}

static void syncs(void **state)
{
	char bytes[10] = { 0 };
	int fd = file_make(10), ends[2];
	struct aiocb cb = block(fd, bytes, sizeof(bytes), 0), sync = block(fd, NULL, 0, 0);

	(void)state;
	for (unsigned n = 0; n < 4; n++) {
		check_eq(aio_write(&cb), 0);
		check_eq(aio_fsync(n & 1 ? O_SYNC : O_DSYNC, &sync), 0);
		check_ended(&sync, 0);
		check_eq(aio_error(&cb), 0);
	}
	errno = 0;
	check_eq(aio_fsync(O_RDWR, &sync), -1);
	check_eq(errno, EINVAL);
	sync.aio_fildes = -1;
	check_eq(aio_fsync(O_SYNC, &sync), -1);
	check_eq(errno, EBADF);
	make_pipe(ends);
	sync.aio_fildes = ends[0];
	sync.aio_reqprio = 99; /* means nothing here */
	check_eq(aio_fsync(O_SYNC, &sync), 0);
	check_eq(suspend_end(&sync), EINVAL);
	close(ends[0]);
	close(ends[1]);
	close(fd);
}

/* Without offsets they read and write as read() and write() do, in order. */
static void pipes(void **state)
{
	char in[3][4] = { "", "", "" };
	int ends[2];
	struct aiocb reads[3], write = block(-1, "abcdefghi", 9, 77);

	(void)state;
	make_pipe(ends);
	write.aio_fildes = ends[1];
	for (int i = 0; i < 3; i++) {
		reads[i] = block(ends[0], in[i], 3, 1000 * i);
		check_eq(aio_read(&reads[i]), 0);
	}
	sleep_ms(20);
	for (int i = 0; i < 3; i++)
		check_eq(aio_error(&reads[i]), EINPROGRESS);
	check_eq(aio_write(&write), 0);
	check_ended(&write, 9);
	for (int i = 0; i < 3; i++)
		check_ended(&reads[i], 3);
	check_eq(strcmp(in[0], "abc"), 0);
	check_eq(strcmp(in[1], "def"), 0);
	check_eq(strcmp(in[2], "ghi"), 0);
	check_eq(aio_read(&reads[0]), 0);
	close(ends[1]);
	check_ended(&reads[0], 0);
	close(ends[0]);
}

static void sockets(void **state)
{
	char in[16] = "";
	int ends[2];
	struct aiocb read, write;

	(void)state;
	check_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	read = block(ends[0], in, sizeof(in), 0);
	write = block(ends[1], "hello", 5, 0);
	check_eq(aio_read(&read), 0);
	check_eq(aio_write(&write), 0);
	check_ended(&write, 5);
	check_ended(&read, 5);
	check_eq(strcmp(in, "hello"), 0);
	close(ends[0]);
	close(ends[1]);
}

/* glibc lets the read keep the write from beginning. */
static void a_socket_reads_and_writes_at_once(void **state)
{
	char in[16] = "", other[8] = "";
	int ends[2];
	struct aiocb read, write;

	(void)state;
	shim_or_skip();
	check_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	read = block(ends[0], in, sizeof(in), 0);
	write = block(ends[0], "out", 3, 0);
	check_eq(aio_read(&read), 0);
	check_eq(aio_write(&write), 0);
	check_ended(&write, 3);
	check_eq(recv(ends[1], other, sizeof(other), 0), 3);
	check_eq(send(ends[1], "in", 2, 0), 2);
	check_ended(&read, 2);
	close(ends[0]);
	close(ends[1]);
}

static void devices(void **state)
{
	char bytes[100];
	int zero = open("/dev/zero", O_RDWR);
	struct aiocb cb = block(zero, bytes, sizeof(bytes), 0);

	(void)state;
	memset(bytes, 1, sizeof(bytes));
	check_eq(aio_read(&cb), 0);
	check_ended(&cb, sizeof(bytes));
	check_eq(bytes[99], 0);
	check_eq(aio_write(&cb), 0);
	check_ended(&cb, sizeof(bytes));
	close(zero);
}

static int write_to_nobody(void *arg)
{
	int ends[2];
	struct aiocb cb;

	(void)arg;
	signal(SIGPIPE, SIG_DFL);
	make_pipe(ends);
	close(ends[0]);
	cb = block(ends[1], "x", 1, 0);
	check_eq(aio_write(&cb), 0);
	check_eq(suspend_end(&cb), EPIPE);
	sleep_ms(20);
	return 0;
}

/* The signal is for the thread that writes, which is not one of the program's. */
static void nobody_reads(void **state)
{
	(void)state;
	check_child(write_to_nobody, NULL);
}

/* Beyond the limit of a file's size: an error, and no signal for the program, whoever makes the call. */
static int writes_too_far(void *arg)
{
	int fd = memory_file();
	static char bytes[8192];
	struct aiocb cb = block(fd, bytes, 100, 0);
	struct rlimit old, limit;
	sigset_t pending;

	(void)arg;
	check_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = (struct rlimit){ 4096, old.rlim_max };
	check_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	check_eq(aio_write(&cb), 0);
	check_ended(&cb, 100);
	/* Whoever waits has come often enough by then to run them itself. */
	for (unsigned n = 0; n < 200; n++) {
		check_eq(aio_read(&cb), 0);
		check_ended(&cb, 100);
	}
	for (unsigned n = 0; n < 40; n++) {
		struct aiocb far = block(fd, bytes, 8192, n & 1 ? 4096 : 0);

		check_eq(aio_write(&far), 0);
		check_eq(suspend_end(&far), n & 1 ? EFBIG : 0);
		check_eq(aio_return(&far), n & 1 ? -1 : 4096);
	}
	check_eq(sigpending(&pending), 0);
	check_eq(sigismember(&pending, SIGXFSZ), 0);
	/* What measures the lines that tests reach writes its files when the process ends. */
	check_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	return 0;
}

static void no_signal_for_size(void **state)
{
	(void)state;
	check_child(writes_too_far, NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		/* First: children of a process that used glibc's cannot use it. */
		aio_test(no_signal_for_size),
		/* First: a child of a process that has used glibc's AIO cannot use it. */
		aio_test(nobody_reads),
		aio_test(reads_at_its_offset),
		aio_test(reads_at_the_end),
		aio_test(writes),
		aio_test(says_what_it_does),
		aio_test(wrong_descriptors),
		aio_test(wrong_words),
		aio_test(priorities),
		aio_test(syncs),
		aio_test(pipes),
		aio_test(sockets),
		aio_test(devices),
		aio_test(a_socket_reads_and_writes_at_once),
	};

	return group(tests, argc, argv);
}
