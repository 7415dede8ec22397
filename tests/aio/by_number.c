/* SPDX-License-Identifier: MIT */
/*
 * Calls made by number, with syscall(3): on a context of libaio's, on one of the kernel's, and those that
 * have nothing to do with either. Runs without the shims too, where the kernel says what is right.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/aio_abi.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE 4096
#define SKIPPED 77
#define NO_CALL 60000

static int (*setup)(int events, void **ret_context);
static int file = -1;
static char buffer[SIZE];

static struct iocb request(uint16_t opcode, uint64_t data)
{
	struct iocb iocb;

	memset(&iocb, 0, sizeof iocb);
	iocb.aio_data = data;
	iocb.aio_lio_opcode = opcode;
	iocb.aio_fildes = (uint32_t)file;
	iocb.aio_buf = (uint64_t)(uintptr_t)buffer;
	iocb.aio_nbytes = SIZE;
	return iocb;
}

static void transfer(void *context, uint16_t opcode)
{
	struct iocb iocb = request(opcode, 4711), *list[] = { &iocb };
	struct timespec limit = { 10, 0 };
	struct io_event event;

	assert_int_equal(syscall(SYS_io_submit, context, 1L, list), 1);
	assert_int_equal(syscall(SYS_io_getevents, context, 1L, 1L, &event, &limit), 1);
	assert_int_equal(event.data, 4711);
	assert_int_equal(event.res, SIZE);
	assert_ptr_equal((void *)(uintptr_t)event.obj, &iocb);
}

static void round_trip(void *context)
{
	struct io_event event;
	struct timespec none = { 0, 0 }, some = { 1, 0 };
	struct {
		const void *mask;
		size_t size;
	} mask = { NULL, 8 };

	memset(buffer, 'n', SIZE);
	transfer(context, IOCB_CMD_PWRITE);
	memset(buffer, 0, SIZE);
	transfer(context, IOCB_CMD_PREAD);
	assert_int_equal(buffer[0] + buffer[SIZE - 1], 'n' + 'n');
	assert_int_equal(syscall(SYS_io_getevents, context, 0L, 1L, &event, &none), 0);
	assert_int_equal(syscall(SYS_io_pgetevents, context, 0L, 1L, &event, &none, &mask), 0);
	assert_int_equal(syscall(SYS_io_getevents, context, 2L, 1L, &event, &some), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(syscall(SYS_io_destroy, context), 0);
	assert_int_equal(syscall(SYS_io_destroy, context), -1);
	assert_int_equal(errno, EINVAL);
}

static void libaios_context(void **state)
{
	void *context = NULL;

	(void)state;
	assert_int_equal(setup(8, &context), 0);
	round_trip(context);
}

static void kernels_context(void **state)
{
	void *context = NULL;

	(void)state;
	if (syscall(SYS_io_setup, 8L, &context) < 0) {
		print_message("no io_setup here: %s\n", strerror(errno));
		skip();
	}
	round_trip(context);
}

static void no_context(void **state)
{
	struct io_event event;
	struct timespec none = { 0, 0 };

	(void)state;
	assert_int_equal(syscall(SYS_io_submit, buffer, 0L, NULL), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(syscall(SYS_io_getevents, NULL, 0L, 1L, &event, &none), -1);
	assert_int_equal(errno, EINVAL);
}

static void other_calls(void **state)
{
	char *at;

	(void)state;
	errno = 0;
	assert_int_equal(syscall(SYS_getpid), getpid());
	assert_int_equal(errno, 0);
	assert_int_equal(syscall(SYS_close, -1), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(syscall(NO_CALL), -1);
	assert_int_equal(errno, ENOSYS);
	/* All six arguments: the second page of the file. */
	assert_int_equal(pwrite(file, "second", 7, SIZE), 7);
	at = (char *)syscall(SYS_mmap, NULL, (long)SIZE, (long)PROT_READ, (long)MAP_SHARED,
			     (long)file, (long)SIZE);
	assert_true(at != MAP_FAILED);
	assert_string_equal(at, "second");
	munmap(at, SIZE);
}

/* Returns twice. */
static void clone_by_number(void **state)
{
	int status;
	long child = syscall(SYS_clone, (long)SIGCHLD, NULL, NULL, NULL, NULL);

	(void)state;
	if (child == 0)
		_exit(17);
	assert_true(child > 0);
	assert_int_equal(waitpid((pid_t)child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), 17);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(libaios_context), cmocka_unit_test(kernels_context),
		cmocka_unit_test(no_context),	   cmocka_unit_test(other_calls),
		cmocka_unit_test(clone_by_number),
	};
	void *libaio = dlopen("libaio.so.1", RTLD_NOW);

	if (libaio)
		setup = (int (*)(int, void **))(intptr_t)dlsym(libaio, "io_setup");
	if (!setup) {
		fprintf(stderr, "no libaio.so.1 here\n");
		return SKIPPED;
	}
	file = memfd_create("by_number", MFD_CLOEXEC);
	return file < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
