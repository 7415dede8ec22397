/* SPDX-License-Identifier: MIT */
/* Wrong addresses of events, vectors of buffers, time limits and masks; and good ones that are not aligned. */
#include "libaio_wrong.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/uio.h>

/* Not in libaio.h, which has it only for those who were built before. */
int io_queue_wait(io_context_t context, struct timespec *timeout);

static void give_one(struct iocb *cb, int opcode)
{
	io_prep_pread(cb, file, buf, 10, 0);
	if (opcode == IO_CMD_PWRITE)
		io_prep_pwrite(cb, file, buf, 10, 0);
	if (opcode == IO_CMD_FSYNC)
		io_prep_fsync(cb, file);
	check_eq(submit_iocb(ctx, cb), 1);
}

/* The event stays for one who has room for it. */
static void test_events(void **state)
{
	static const int opcodes[] = { IO_CMD_PREAD, IO_CMD_PWRITE, IO_CMD_FSYNC };
	struct timespec limit = { 10, 0 };
	struct io_event event;
	struct iocb cb;

	(void)state;
	for (unsigned k = 0; k < 3 * BAD; k++) {
		sigset_t none;

		give_one(&cb, opcodes[k % 3]);
		sigemptyset(&none);
		check_eq(io_getevents(ctx, 1, 1, bad(k / 3), &limit), -EFAULT);
		check_eq(io_pgetevents(ctx, 1, 1, bad(k / 3), &limit, &none), -EFAULT);
		check(get_event(ctx).obj == &cb);
		check_eq(io_getevents(ctx, 0, 1, bad(k / 3), NULL), 0);
		if (bad(k / 3)) /* there is no mask otherwise */
			check_eq(io_pgetevents(ctx, 0, 1, &event, &limit, bad(k / 3)), -EFAULT);
		progress();
	}
	check_eq(mprotect(fixed, PAGE, PROT_READ), 0);
	give_one(&cb, IO_CMD_PWRITE);
	check_eq(io_getevents(ctx, 1, 1, (struct io_event *)(void *)fixed, &limit), -EFAULT);
	check(get_event(ctx).obj == &cb);
	check_nothing(ctx);
}

/* Of a raw call, since libaio itself looks at the limit, and faults; the shim's answer is the same in both. */
static long wait_until(const void *limit, const void *mask, bool masked)
{
	const struct {
		const void *mask;
		size_t size;
	} set = { mask, 8 };
	struct io_event event;
	struct timespec *l = (struct timespec *)(uintptr_t)limit;
	long n;

	if (under_shim())
		return masked ? io_pgetevents(ctx, 1, 1, &event, l, (sigset_t *)(uintptr_t)mask) :
				io_getevents(ctx, 1, 1, &event, l);
	n = masked ? syscall(SYS_io_pgetevents, ctx, 1L, 1L, &event, l, &set) :
		     syscall(SYS_io_getevents, ctx, 1L, 1L, &event, l);
	return n < 0 ? -errno : n;
}

/* The limit and the mask are read before it is known whether there is anything to wait for; the mask is there while
 * it sleeps, whatever becomes of the program's. */
static void test_limit(void **state)
{
	char *end = edge + PAGE;
	sigset_t none;
	struct iocb cb;

	(void)state;
	sigemptyset(&none);
	for (unsigned k = 0; k < BAD; k++) {
		give_one(&cb, IO_CMD_PREAD);
		if (bad(k)) { /* else there is no limit, no mask */
			check_eq(wait_until(bad(k), NULL, false), -EFAULT);
			check_eq(wait_until(bad(k), &none, true), -EFAULT);
			check_eq(wait_until(NULL, bad(k), true), -EFAULT);
		}
		check_eq(wait_until(end - 8, &none, false), -EFAULT);
		check_eq(wait_until(end - 12, &none, true), -EFAULT);
		check_eq(wait_until(NULL, end - 4, true), -EFAULT);
		check(get_event(ctx).obj == &cb);
	}
	memset(edge, 0, PAGE);
	for (unsigned shift = 0; shift < 8; shift++) {
		check_eq(wait_until(end - 16 - shift, NULL, false), 0);
		check_eq(wait_until(end - 16 - shift, end - 8 - shift, true), 0);
	}
}

/* What older programs call. */
static void test_old(void **state)
{
	struct io_event event;

	(void)state;
	shim_or_skip(); /* libaio itself faults */
	for (unsigned k = 0; k < BAD; k++) {
		check_eq(io_queue_init(1, bad(k)), -EFAULT);
		check_eq(io_queue_init(0, bad(k)), -EINVAL);
		check_eq(io_getevents(NULL, 0, 1, &event, bad(k)), bad(k) ? -EFAULT : -EINVAL);
		check_eq(io_getevents(ctx, 2, 1, &event, bad(k)), bad(k) ? -EFAULT : -EINVAL);
		if (bad(k))
			check_eq(io_queue_wait(ctx, bad(k)), -EFAULT);
	}
}

/* There is room for two, whatever the number says: that counts only when there are more. */
static void test_room(void **state)
{
	struct io_event *two = (struct io_event *)(void *)(edge + PAGE) - 2;
	struct timespec limit = { 10, 0 };
	struct iocb cb[3];

	(void)state;
	for (int k = 0; k < 2; k++)
		give_one(&cb[k], IO_CMD_PREAD);
	check_eq(io_getevents(ctx, 2, 1000, two, &limit), 2);
	for (int k = 0; k < 3; k++)
		give_one(&cb[k], IO_CMD_PREAD);
	check_eq(io_getevents(ctx, 1, 1000, two, &limit), -EFAULT);
	check_eq(io_getevents(ctx, 1, 2, two, &limit), 2);
	check(get_event(ctx).obj == &cb[2]);
	check_nothing(ctx);
}

static void test_iovec(void **state)
{
	struct iovec *cut = (struct iovec *)(void *)(edge + PAGE) - 1;
	struct iocb cb;

	(void)state;
	*cut = (struct iovec){ buf, 10 };
	for (unsigned k = 0; k < BAD; k++) {
		for (int n = 1; n < 3; n++) {
			io_prep_preadv(&cb, file, bad(k), n, 0);
			check_eq(submit_iocb(ctx, &cb), -EFAULT);
			io_prep_pwritev(&cb, file, bad(k), n, 0);
			check_eq(submit_iocb(ctx, &cb), -EFAULT);
		}
		io_prep_preadv(&cb, file, bad(k), 0, 0);
		check_eq(result_now(ctx, &cb), 0);
	}
	io_prep_preadv(&cb, file, cut, 1, 0);
	check_eq(result_now(ctx, &cb), 10);
	io_prep_preadv(&cb, file, cut, 2, 0);
	check_eq(submit_iocb(ctx, &cb), -EFAULT);
	check_nothing(ctx);
}

/* Nothing says where an iocb has to begin. */
static void test_unaligned(void **state)
{
	struct timespec limit = { 10, 0 };

	(void)state;
	for (size_t shift = 1; shift < 64; shift += 5) {
		char *place = edge + PAGE - 64 - shift, *events = edge + PAGE - 32 - shift;
		struct iocb cb, *list = (struct iocb *)(void *)place;

		io_prep_pread(&cb, file, buf, 10, 0);
		memcpy(place, &cb, sizeof(cb));
		check_eq(io_submit(ctx, 1, &list), 1);
		check_eq(io_getevents(ctx, 1, 1, (struct io_event *)(void *)events, &limit), 1);
	}
	check_nothing(ctx);
}

/* Asking whether memory can be written leaves what is around it alone, also where it goes over the edge of a page:
 * the events, and the iocb that gets a key. */
static void test_around(void **state)
{
	struct timespec limit = { 10, 0 };
	char *mem = pages(3, PROT_READ | PROT_WRITE), *middle = mem + PAGE;

	(void)state;
	for (int shift = -35; shift < 8; shift++) {
		char *place = middle + shift - (int)offsetof(struct iocb, aio_rw_flags), *events;
		struct iocb cb, *list = (struct iocb *)(void *)place;
		unsigned char before[sizeof(cb)];
		struct io_event got;

		memset(mem, 0x5a, 3 * PAGE);
		io_prep_pread(&cb, file, buf, 10, 0);
		memcpy(place, &cb, sizeof(cb));
		memcpy(before, place, sizeof(before));
		check_eq(io_submit(ctx, 1, &list), 1);
		check_eq(memcmp(place, before, sizeof(before)), 0);
		check_eq(place[-1], 0x5a);
		check_eq(place[sizeof(cb)], 0x5a);
		events = middle + shift;
		memset(mem, 0x5a, 3 * PAGE);
		check_eq(io_getevents(ctx, 1, 1, (struct io_event *)(void *)events, &limit), 1);
		memcpy(&got, events, sizeof(got));
		check(got.obj == list);
		check_eq(got.res, 10);
		for (int k = 1; k < 8; k++) {
			check_eq(events[-k], 0x5a);
			check_eq(events[(int)sizeof(got) - 1 + k], 0x5a);
		}
	}
	check_eq(munmap(mem, 3 * PAGE), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		addresses(test_events), addresses(test_limit), addresses(test_old),
		addresses(test_room),	addresses(test_iovec), addresses(test_unaligned),
		addresses(test_around),
	};

	return group(tests, argc, argv);
}
