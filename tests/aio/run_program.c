/* SPDX-License-Identifier: MIT */
/*
 * A program that knows nothing of asys, for run.py: `run_program FILE STATUS [fork]` writes,
 * syncs and reads FILE through libaio and through POSIX AIO, compares, and ends with STATUS.
 * fork: a child does it and ends by _exit. Other status: 100 and more, by what went wrong.
 */
#include <aio.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIZE 4096
#define WRITES 8

/* libaio's, which the loader brings; the program is not linked with it. */
struct libaio {
	int (*setup)(int, void **);
	int (*submit)(void *, long, struct iocb **);
	int (*getevents)(void *, long, long, struct io_event *, struct timespec *);
	int (*destroy)(void *);
};

static char out[WRITES][SIZE], in[WRITES][SIZE];

static void fill(char seed)
{
	for (int i = 0; i < WRITES; i++) {
		memset(out[i], seed + i, SIZE);
		memset(in[i], 0, SIZE);
	}
}

static int find(struct libaio *ret)
{
	ret->setup = (int (*)(int, void **))(intptr_t)dlsym(RTLD_DEFAULT, "io_setup");
	ret->submit =
		(int (*)(void *, long, struct iocb **))(intptr_t)dlsym(RTLD_DEFAULT, "io_submit");
	ret->getevents = (int (*)(void *, long, long, struct io_event *, struct timespec *))(
		intptr_t)dlsym(RTLD_DEFAULT, "io_getevents");
	ret->destroy = (int (*)(void *))(intptr_t)dlsym(RTLD_DEFAULT, "io_destroy");
	return ret->setup && ret->submit && ret->getevents && ret->destroy ? 0 : -1;
}

static int round_trip(const struct libaio *aio, void *context, int fd, uint16_t opcode,
		      char (*bufs)[SIZE])
{
	struct iocb iocbs[WRITES], *list[WRITES];
	struct io_event events[WRITES];

	memset(iocbs, 0, sizeof iocbs);
	for (int i = 0; i < WRITES; i++) {
		iocbs[i].aio_lio_opcode = opcode;
		iocbs[i].aio_fildes = (uint32_t)fd;
		iocbs[i].aio_buf = (uint64_t)(uintptr_t)bufs[i];
		iocbs[i].aio_nbytes = SIZE;
		iocbs[i].aio_offset = i * SIZE;
		list[i] = &iocbs[i];
	}
	if (aio->submit(context, WRITES, list) != WRITES)
		return -1;
	if (aio->getevents(context, WRITES, WRITES, events, NULL) != WRITES)
		return -1;
	for (int i = 0; i < WRITES; i++)
		if (events[i].res != SIZE)
			return -1;
	return 0;
}

static int use_libaio(int fd)
{
	struct libaio aio;
	void *context = NULL;
	int err;

	if (find(&aio) < 0)
		return 0; /* not asked for */
	fill('a');
	if (aio.setup(32, &context) < 0)
		return 101;
	err = round_trip(&aio, context, fd, IOCB_CMD_PWRITE, out);
	if (err == 0)
		err = round_trip(&aio, context, fd, IOCB_CMD_PREAD, in);
	aio.destroy(context);
	return err < 0 ? 102 : memcmp(in, out, sizeof in) != 0 ? 103 : 0;
}

static int await(struct aiocb *one, ssize_t want)
{
	const struct aiocb *list[] = { one };
	int err;

	while ((err = aio_error(one)) == EINPROGRESS)
		if (aio_suspend(list, 1, NULL) < 0 && errno != EINTR)
			return -1;
	return err == 0 && aio_return(one) == want ? 0 : -1;
}

static int use_posix(int fd)
{
	struct aiocb one[WRITES];
	struct aiocb sync = { .aio_fildes = fd };

	fill('A');
	memset(one, 0, sizeof one);
	for (int i = 0; i < WRITES; i++) {
		one[i] = (struct aiocb){ .aio_fildes = fd,
					 .aio_buf = out[i],
					 .aio_nbytes = SIZE,
					 .aio_offset = i * SIZE };
		if (aio_write(&one[i]) < 0)
			return 111;
	}
	for (int i = 0; i < WRITES; i++)
		if (await(&one[i], SIZE) < 0)
			return 112;
	if (aio_fsync(O_SYNC, &sync) < 0 || await(&sync, 0) < 0)
		return 113;
	for (int i = 0; i < WRITES; i++) {
		one[i].aio_buf = in[i];
		if (aio_read(&one[i]) < 0 || await(&one[i], SIZE) < 0)
			return 114;
	}
	return memcmp(in, out, sizeof in) != 0 ? 115 : 0;
}

static int work(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), status;

	if (fd < 0)
		return 100;
	status = use_libaio(fd);
	if (status == 0)
		status = use_posix(fd);
	close(fd);
	return status;
}

int main(int argc, char **argv)
{
	int status;
	pid_t child;

	if (argc < 3)
		return 99;
	if (argc == 3) {
		status = work(argv[1]);
		return status != 0 ? status : atoi(argv[2]);
	}
	child = fork();
	if (child == 0)
		_exit(work(argv[1]));
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return 98;
	return WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : atoi(argv[2]);
}
