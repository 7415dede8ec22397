/* SPDX-License-Identifier: MIT */
#include "posix.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/mman.h>

int posix_begin(void **state)
{
	(void)state;
	progress();
	return 0;
}

int posix_end(void **state)
{
	(void)state;
	alarm(0);
	return 0;
}

bool under_shim(void)
{
	void *function = dlsym(RTLD_DEFAULT, "aio_suspend");
	Dl_info info;
	bool ours;

	check(function && dladdr(function, &info));
	ours = strstr(info.dli_fname, "asys-posix-aio") != NULL;
	check_eq(ours, getenv("ASYS_TEST_SHIM") != NULL);
	return ours;
}

void shim_or_skip(void)
{
	if (!under_shim())
		skip_because("glibc does not promise this");
}

unsigned char file_byte(size_t i)
{
	return (unsigned char)(i * 7 + i / 251);
}

int file_make(size_t size)
{
	unsigned char *bytes = malloc(size + 1);
	char name[] = "/tmp/asys-posix-XXXXXX";
	int fd = mkstemp(name);

	check(bytes && fd >= 0);
	unlink(name);
	for (size_t i = 0; i < size; i++)
		bytes[i] = file_byte(i);
	check_eq(write(fd, bytes, size), size);
	free(bytes);
	return fd;
}

struct aiocb block(int fd, void *buffer, size_t count, off_t offset)
{
	struct aiocb cb;

	memset(&cb, 0, sizeof(cb));
	cb.aio_fildes = fd;
	cb.aio_buf = buffer;
	cb.aio_nbytes = count;
	cb.aio_offset = offset;
	cb.aio_sigevent.sigev_notify = SIGEV_NONE;
	return cb;
}

int poll_end(const struct aiocb *cb)
{
	int err;

	while ((err = aio_error(cb)) == EINPROGRESS)
		sleep_ms(1);
	return err;
}

int suspend_end(const struct aiocb *cb)
{
	const struct aiocb *const list[] = { cb };

	while (aio_error(cb) == EINPROGRESS)
		check(aio_suspend(list, 1, NULL) == 0 || errno == EINTR);
	return aio_error(cb);
}

void check_ended(struct aiocb *cb, ssize_t result)
{
	check_eq(suspend_end(cb), 0);
	check_eq(aio_return(cb), result);
}
