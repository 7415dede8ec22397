/* SPDX-License-Identifier: MIT */
/* Wrong addresses of iocbs and what leads to them: the kernel's answer wherever the kernel reads or writes the
 * program's memory. libaio_places.c has the rest. */
#include "libaio_wrong.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

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

#define GUARD_INSTALL 102 /* Linux 6.13 */

static void guard(char *mem, bool by_number)
{
	long err = by_number ? syscall(SYS_madvise, mem, PAGE, GUARD_INSTALL) :
			       madvise(mem, PAGE, GUARD_INSTALL);

	if (err)
		check_eq(mprotect(mem, PAGE, PROT_NONE), 0);
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
	case 5:
		check_eq(syscall(SYS_mmap, mem, PAGE, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 (intptr_t)mem);
		return;
	case 6:
		check_eq(syscall(SYS_mremap, mem, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, fixed),
			 (intptr_t)fixed);
		return;
	case 7:
		check_eq(pkey_mprotect(mem, PAGE, PROT_NONE, -1), 0);
		return;
	case 8:
		check_eq(syscall(SYS_pkey_mprotect, mem, PAGE, PROT_NONE, -1), 0);
		return;
	case 9:
		guard(mem, false);
		return;
	case 10:
		guard(mem, true);
		return;
	default:
		check(mremap(mem, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, fixed) == fixed);
		return;
	}
}

#define WAYS 12u

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

static void test_gone_segment(void **state)
{
	struct iocb *cb;
	int id = shmget(IPC_PRIVATE, PAGE, 0600);

	(void)state;
	check(id >= 0);
	for (unsigned by_number = 0; by_number < 2; by_number++) {
		cb = shmat(id, NULL, 0);
		check((intptr_t)cb != -1);
		io_prep_pread(cb, file, buf, 10, 0);
		check_eq(result_now(ctx, cb), 10);
		check_eq(by_number ? syscall(SYS_shmdt, cb) : shmdt(cb), 0);
		check_eq(submit_iocb(ctx, cb), -EFAULT);
	}
	check_eq(shmctl(id, IPC_RMID, NULL), 0);
}

/* The end of the heap moves back. */
static void test_gone_heap(void **state)
{
	char *mem = sbrk(0), *end;
	struct iocb *cb;

	(void)state;
	/* whole pages, and nothing after them */
	if (sbrk((intptr_t)(-(uintptr_t)mem % PAGE)) != mem)
		skip_because("there is no such heap");
	end = sbrk(PAGE);
	cb = (struct iocb *)(void *)end;
	check((intptr_t)end != -1);
	io_prep_pread(cb, file, buf, 10, 0);
	check_eq(result_now(ctx, cb), 10);
	if (sbrk(-(intptr_t)PAGE) != end + PAGE)
		skip_because("something else uses the heap");
	check_eq(submit_iocb(ctx, cb), -EFAULT);
}

/* A child that lacks what its parent had. */
static int child_without(void *arg)
{
	io_context_t own = NULL;

	check_eq(io_setup(1000, &own), 0); /* its ring does not fit there */
	check_eq(submit_iocb(own, arg), -EFAULT);
	check_eq(io_destroy(own), 0);
	return 0;
}

static void test_gone_in_child(void **state)
{
	char *mem = pages(3, PROT_READ | PROT_WRITE);
	struct iocb *cb = (struct iocb *)(void *)(mem + PAGE);

	(void)state;
	check_eq(madvise(cb, PAGE, MADV_DONTFORK), 0);
	io_prep_pread(cb, file, buf, 10, 0);
	check_eq(result_now(ctx, cb), 10);
	check_child(child_without, cb);
	check_eq(result_now(ctx, cb), 10);
	munmap(mem, 3 * PAGE);
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
	const struct CMUnitTest tests[] = {
		addresses(test_setup),		addresses(test_vector),
		addresses(test_iocb),		addresses(test_read_only),
		addresses(test_gone),		addresses(test_gone_segment),
		addresses(test_gone_heap),	addresses(test_gone_in_child),
		addresses(test_gone_elsewhere), addresses(test_cancel),
		addresses(test_pages),
	};

	return group(tests, argc, argv);
}
