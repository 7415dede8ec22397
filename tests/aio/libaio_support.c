/* SPDX-License-Identifier: MIT */
#include "libaio_support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

io_context_t setup(int events)
{
	io_context_t ctx = NULL;
	int err = io_setup(events, &ctx);

	if (err == -ENOSYS)
		skip_because("the kernel has no io_setup");
	check_eq(err, 0);
	return ctx;
}

/* The shim's ring has no magic number as long as the program has to ask for events. */
bool under_shim(void)
{
	io_context_t ctx = setup(1);
	bool shim = ((struct ring *)ctx)->magic != RING_MAGIC;

	check_eq(io_destroy(ctx), 0);
	return shim;
}

void shim_or_skip(void)
{
	if (!under_shim())
		skip_because("the kernel waits in io_submit");
}

int submit_iocb(io_context_t ctx, struct iocb *iocb)
{
	return io_submit(ctx, 1, &iocb);
}

struct io_event get_event(io_context_t ctx)
{
	struct timespec limit = { 10, 0 };
	struct io_event event;

	memset(&event, 0x55, sizeof(event));
	check_eq(io_getevents(ctx, 1, 1, &event, &limit), 1);
	progress();
	return event;
}

long result_now(io_context_t ctx, struct iocb *iocb)
{
	struct io_event event;

	check_eq(submit_iocb(ctx, iocb), 1);
	event = get_event(ctx);
	check(event.obj == iocb);
	return (long)event.res;
}

void check_nothing(io_context_t ctx)
{
	struct timespec limit = { 0, 30000000 };
	struct io_event event;

	check_eq(io_getevents(ctx, 1, 1, &event, &limit), 0);
}

int numbered_file(unsigned pages, int flags)
{
	const char *folder = getenv("TMPDIR");
	char path[256];
	unsigned char page[4096];
	int fd, again;

	snprintf(path, sizeof(path), "%s/asys-libaio-XXXXXX", folder ? folder : "/var/tmp");
	fd = mkstemp(path);
	check(fd >= 0);
	for (unsigned k = 0; k < pages; k++) {
		memset(page, (int)(k + 1), sizeof(page));
		check_eq(pwrite(fd, page, sizeof(page), (off_t)k * 4096), sizeof(page));
	}
	check_eq(fsync(fd), 0);
	again = open(path, O_RDWR | O_CLOEXEC | flags);
	unlink(path);
	close(fd);
	if (again < 0 && (flags & O_DIRECT))
		skip_because("no O_DIRECT on this file system");
	check(again >= 0);
	return again;
}

void check_page(const unsigned char *buf, unsigned page)
{
	for (unsigned k = 0; k < 4096; k++) {
		if (buf[k] != (unsigned char)(page + 1))
			support_fail(__FILE__, __LINE__, "page %u, byte %u: %u", page, k, buf[k]);
	}
}
