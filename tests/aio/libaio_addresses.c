/* SPDX-License-Identifier: MIT */
/* Wrong addresses: the kernel's answer wherever the kernel reads or writes the program's memory. */
#include "libaio_support.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define PAGE 4096

/* Not in libaio.h, which has it only for those who were built before. */
int io_queue_wait(io_context_t context, struct timespec *timeout);

static io_context_t ctx;
static int file, pipes[2];
static char buf[PAGE];
/* The last page that can be touched before one that cannot, and one that can only be read. */
static char *edge, *fixed;

static char *pages(unsigned n, int rights)
{
	char *mem = mmap(NULL, n * PAGE, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(mem != MAP_FAILED);
	return mem;
}

static int begin(void **state)
{
	(void)state;
	ctx = setup(64);
	file = numbered_file(4, 0);
	make_pipe(pipes);
	edge = pages(2, PROT_READ | PROT_WRITE);
	check_eq(mprotect(edge + PAGE, PAGE, PROT_NONE), 0);
	fixed = pages(1, PROT_READ | PROT_WRITE);
	return 0;
}

static int end(void **state)
{
	(void)state;
	check_eq(munmap(edge, 2 * PAGE), 0);
	munmap(fixed, PAGE);
	close(file);
	close(pipes[0]);
	close(pipes[1]);
	return io_destroy(ctx);
}

/* Addresses that nothing can be read at, one after the other; NULL is one, so the end is told by the count. */
static void *bad(unsigned k)
{
	static const uintptr_t wild[] = { 0,
					  8,
					  0xfff,
					  0xffffffff81000000,
					  0xffff888000000000,
					  UINTPTR_MAX,
					  UINTPTR_MAX - 7,
					  UINTPTR_MAX - 63,
					  1ull << 63 };

	if (k < sizeof(wild) / sizeof(wild[0]))
		return (void *)wild[k];
	return edge + PAGE + (k - sizeof(wild) / sizeof(wild[0])) * 40;
}

#define BAD 14u

static void test_setup(void **state)
{
	io_context_t *place = (io_context_t *)(void *)fixed;

	(void)state;
	for (unsigned k = 0; k < BAD; k++) {
		check_eq(io_setup(1, bad(k)), -EFAULT);
		check_eq(io_setup(-1000, bad(k)), -EFAULT);
		check_eq(io_setup(0, bad(k)), -EFAULT);
	}
	check_eq(io_setup(1, (io_context_t *)(void *)(edge + PAGE - 4)), -EFAULT);
	check_eq(mprotect(fixed, PAGE, PROT_READ), 0);
	check_eq(io_setup(0, place), -EINVAL);
	for (unsigned k = iterations(20); k; k--)
		check_eq(io_setup(1, place), -EFAULT);
	check_eq(mprotect(fixed, PAGE, PROT_READ | PROT_WRITE), 0);
	check_eq(io_setup(1, place), 0);
	check_eq(io_destroy(*place), 0);
}

static void test_vector(void **state)
{
	struct iocb cb, **last = (struct iocb **)(void *)(edge + PAGE - 16);

	(void)state;
	io_prep_pread(&cb, file, buf, 10, 0);
	for (unsigned k = 0; k < BAD; k++) {
		check_eq(io_submit(ctx, 1, bad(k)), -EFAULT);
		check_eq(io_submit(ctx, 0, bad(k)), 0);
		check_eq(io_submit(ctx, -1, bad(k)), -EINVAL);
	}
	/* What is behind the edge is looked at only when its turn comes. */
	last[0] = last[1] = &cb;
	check_eq(io_submit(ctx, 1000, last), 2);
	check_eq(get_event(ctx).res, 10);
	check_eq(get_event(ctx).res, 10);
	check_eq(io_submit(ctx, 3, (struct iocb **)(void *)(edge + PAGE - 4)), -EFAULT);
	check_nothing(ctx);
}

static void test_iocb(void **state)
{
	struct iocb cb, *list[3] = { &cb, NULL, &cb };
	struct iocb *cut = (struct iocb *)(void *)(edge + PAGE - 32);

	(void)state;
	io_prep_pread(&cb, file, buf, 10, 0);
	for (unsigned k = 0; k <= BAD; k++) {
		list[1] = k < BAD ? bad(k) : cut;
		check_eq(io_submit(ctx, 1, list + 1), -EFAULT);
		check_eq(io_submit(ctx, 2, list + 1), -EFAULT);
		check_eq(io_submit(ctx, 3, list), 1);
		check_eq(get_event(ctx).res, 10);
	}
	check_nothing(ctx);
}

/* An iocb gets its key from the kernel, so one that cannot be written is refused where that is done. */
static void test_read_only(void **state)
{
	struct iocb *cb = (struct iocb *)(void *)fixed;

	(void)state;
	io_prep_pread(cb, file, buf, 10, 0);
	check_eq(result_now(ctx, cb), 10);
	for (unsigned k = iterations(3); k; k--) {
		check_eq(mprotect(fixed, PAGE, PROT_READ), 0);
		check_eq(submit_iocb(ctx, cb), -EFAULT);
		check_eq(mprotect(fixed, PAGE, PROT_READ | PROT_WRITE), 0);
		check_eq(result_now(ctx, cb), 10);
	}
	cb->aio_lio_opcode = 99;
	check_eq(mprotect(fixed, PAGE, PROT_READ), 0);
	check_eq(submit_iocb(ctx, cb), -EFAULT);
	check_eq(mprotect(fixed, PAGE, PROT_READ | PROT_WRITE), 0);
	cb->aio_fildes = 12345;
	check_eq(mprotect(fixed, PAGE, PROT_READ), 0);
	check_eq(submit_iocb(ctx, cb), -EBADF);
	check_eq(mprotect(fixed, PAGE, PROT_READ | PROT_WRITE), 0);
	cb->u.c.__pad3 = 1;
	check_eq(mprotect(fixed, PAGE, PROT_READ), 0);
	check_eq(submit_iocb(ctx, cb), -EINVAL);
	check_nothing(ctx);
}

/* Memory that was good a moment before, in each way that a program has to take it away. */
static void take_away(char *mem, unsigned how)
{
	switch (how) {
	case 0:
		check_eq(munmap(mem, PAGE), 0);
		return;
	case 1:
		check_eq(mprotect(mem, PAGE, PROT_NONE), 0);
		return;
	case 2:
		check(mmap(mem, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		      mem);
		return;
	case 3:
		check_eq(syscall(SYS_munmap, mem, PAGE), 0);
		return;
	case 4:
		check_eq(syscall(SYS_mprotect, mem, PAGE, PROT_NONE), 0);
		return;
	default:
		check(mremap(mem, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, fixed) == fixed);
		return;
	}
}

#define WAYS 6u

static void test_gone(void **state)
{
	(void)state;
	for (unsigned how = 0; how < WAYS * iterations(10); how++) {
		char *mem = pages(1, PROT_READ | PROT_WRITE);
		struct iocb *cb = (struct iocb *)(void *)mem, other;
		struct io_event *event = (struct io_event *)(void *)(mem + 1024);
		struct iocb **list = (struct iocb **)(void *)(mem + 2048);
		struct timespec limit = { 10, 0 };

		io_prep_pread(cb, file, buf, 10, 0);
		io_prep_pread(&other, file, buf, 10, 0);
		*list = cb;
		check_eq(io_submit(ctx, 1, list), 1);
		check_eq(io_getevents(ctx, 1, 1, event, &limit), 1);
		take_away(mem, how % WAYS);
		check_eq(submit_iocb(ctx, cb), -EFAULT);
		check_eq(io_submit(ctx, 1, list), -EFAULT);
		check_eq(io_cancel(ctx, cb, event), -EFAULT);
		check_eq(submit_iocb(ctx, &other), 1);
		check_eq(io_getevents(ctx, 1, 1, event, &limit), -EFAULT);
		check(get_event(ctx).obj == &other);
		munmap(mem, PAGE);
		progress();
	}
}

/* A thread that found memory good hears that another one took it away. */
static pthread_barrier_t turn;

static void *submits(void *arg)
{
	check_eq(result_now(ctx, arg), 10);
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
	check_eq(submit_iocb(ctx, arg), -EFAULT);
	return NULL;
}

static void test_gone_elsewhere(void **state)
{
	char *mem = pages(1, PROT_READ | PROT_WRITE);
	pthread_t thread;

	(void)state;
	io_prep_pread((struct iocb *)(void *)mem, file, buf, 10, 0);
	pthread_barrier_init(&turn, NULL, 2);
	check_eq(pthread_create(&thread, NULL, submits, mem), 0);
	pthread_barrier_wait(&turn);
	check_eq(munmap(mem, PAGE), 0);
	pthread_barrier_wait(&turn);
	check_eq(pthread_join(thread, NULL), 0);
	pthread_barrier_destroy(&turn);
}

static void test_cancel(void **state)
{
	struct iocb waits, *cb = (struct iocb *)(void *)fixed;
	struct io_event event;

	(void)state;
	for (unsigned k = 0; k < BAD; k++)
		check_eq(io_cancel(ctx, bad(k), &event), -EFAULT);
	io_prep_poll(&waits, pipes[0], POLLIN);
	check_eq(submit_iocb(ctx, &waits), 1);
	/* The event comes as any other, so where it should go is not looked at. */
	check_eq(io_cancel(ctx, &waits, bad(3)), -EINPROGRESS);
	check(get_event(ctx).obj == &waits);
	io_prep_pread(cb, file, buf, 10, 0);
	check_eq(mprotect(fixed, PAGE, PROT_READ), 0);
	check_eq(io_cancel(ctx, cb, &event), -EINVAL);
}

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
		struct iocb cb, after, *list = (struct iocb *)(void *)place;
		struct io_event got;

		memset(mem, 0x5a, 3 * PAGE);
		io_prep_pread(&cb, file, buf, 10, 0);
		memcpy(place, &cb, sizeof(cb));
		check_eq(io_submit(ctx, 1, &list), 1);
		memcpy(&after, place, sizeof(after));
		check_eq(memcmp(&after, &cb, sizeof(cb)), 0);
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

/* Many iocbs on many pages, some of which cannot be touched: it gets as far as the first of those. */
static void test_pages(void **state)
{
	enum { MANY = 40, IOCBS = 60 };
	char *mem = pages(MANY, PROT_READ | PROT_WRITE);
	struct timespec limit = { 10, 0 };
	struct iocb *list[IOCBS];
	struct io_event got[IOCBS];

	(void)state;
	for (unsigned k = iterations(40); k; k--) {
		int wrong = (int)(k * 7 % IOCBS);

		for (unsigned i = 0; i < IOCBS; i++) {
			list[i] = (struct iocb *)(void *)(mem + (i * k + i) % MANY * PAGE + i * 64);
			io_prep_pread(list[i], file, buf, 10, 0);
		}
		list[wrong] = (struct iocb *)(void *)(edge + PAGE + 64 * (k % 8));
		check_eq(io_submit(ctx, IOCBS, list), wrong ? wrong : -EFAULT);
		check_eq(io_getevents(ctx, wrong, IOCBS, got, &limit), wrong);
		progress();
	}
	check_eq(munmap(mem, MANY * PAGE), 0);
}

int main(int argc, char **argv)
{
#define addresses(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
	const struct CMUnitTest tests[] = {
		addresses(test_setup),	   addresses(test_vector), addresses(test_iocb),
		addresses(test_read_only), addresses(test_gone),   addresses(test_gone_elsewhere),
		addresses(test_cancel),	   addresses(test_events), addresses(test_room),
		addresses(test_iovec),	   addresses(test_limit),  addresses(test_old),
		addresses(test_unaligned), addresses(test_around), addresses(test_pages),
	};

	return group(tests, argc, argv);
}
