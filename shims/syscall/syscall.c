/* SPDX-License-Identifier: MIT */
/*
 * libasys-syscall.so: the calls that the shim's libaio has to see besides its own. close.c has those that
 * close descriptors, memory.c those that unmap memory; here is syscall(3), for programs that set up a context through libaio and then make some of
 * the kernel's calls on it by number, as MariaDB does with io_getevents. For the kernel such a context is
 * none (-EINVAL), so a call that the kernel refuses as that is made anew through the shim's libaio, which
 * knows its own and refuses all others the same way. A context that was set up by number is the kernel's.
 *
 * Every other call goes to the kernel as the C library would make it, without a frame on the stack: some
 * calls (clone) return on another one.
 */
#include "close.h"
#include "memory.h"

#include <assert.h>
#include <errno.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

/* Of the shim beside this one. */
int io_destroy(void *ring);
int io_submit(void *ring, long nr, struct iocb **iocbs);
int io_cancel(void *ring, struct iocb *iocb, struct io_event *event);
int io_getevents(void *ring, long least, long most, struct io_event *events,
		 struct timespec *timeout);
int io_pgetevents(void *ring, long least, long most, struct io_event *events,
		  struct timespec *timeout, sigset_t *mask);

/* These are called by the assembly below only, with the arguments of syscall. */
__attribute__((used)) long shim_failed(long result);
__attribute__((used)) long shim_aio_by_number(long nr, void *a, long b, long c, void *d, void *e,
					      void *f);
__attribute__((used)) long shim_close_by_number(long nr, void *a, long b, long c, void *d, void *e,
						void *f);
__attribute__((used)) long shim_memory_by_number(long nr, void *a, long b, long c, void *d, void *e,
						 void *f);

/* The kernel's own structure behind the last argument of io_pgetevents. */
struct kernel_mask {
	sigset_t *mask;
	size_t size;
};

#define KERNEL_SIGSET 8

#if defined __x86_64__
static_assert(SYS_io_destroy == 207 && SYS_io_cancel == 210 && SYS_io_pgetevents == 333,
	      "numbers in the assembly");
static_assert(SYS_close == 3 && SYS_dup2 == 33 && SYS_dup3 == 292 && SYS_close_range == 436,
	      "numbers in the assembly");
static_assert(SYS_mmap == 9 && SYS_mprotect == 10 && SYS_munmap == 11 && SYS_brk == 12 &&
		      SYS_mremap == 25 && SYS_madvise == 28 && SYS_shmat == 30 && SYS_shmdt == 67 &&
		      SYS_remap_file_pages == 216 && SYS_pkey_mprotect == 329,
	      "numbers in the assembly");

__asm__(".text\n"
	".globl syscall\n"
	".type syscall, @function\n"
	".p2align 4\n"
	"syscall:\n"
	".cfi_startproc\n"
	"	endbr64\n"
	"	lea -207(%rdi), %rax\n"
	"	cmp $3, %rax\n"
	"	jbe 2f\n"
	"	cmp $333, %rdi\n"
	"	je 2f\n"
	"	cmp $3, %rdi\n"
	"	je 3f\n"
	"	cmp $33, %rdi\n"
	"	je 3f\n"
	"	cmp $292, %rdi\n"
	"	je 3f\n"
	"	cmp $436, %rdi\n"
	"	je 3f\n"
	"	lea -9(%rdi), %rax\n"
	"	cmp $3, %rax\n"
	"	jbe 4f\n"
	"	cmp $25, %rdi\n"
	"	je 4f\n"
	"	cmp $28, %rdi\n"
	"	je 4f\n"
	"	cmp $30, %rdi\n"
	"	je 4f\n"
	"	cmp $67, %rdi\n"
	"	je 4f\n"
	"	cmp $216, %rdi\n"
	"	je 4f\n"
	"	cmp $329, %rdi\n"
	"	je 4f\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n"
	"	mov %r8, %r10\n"
	"	mov %r9, %r8\n"
	"	mov 8(%rsp), %r9\n"
	"	syscall\n"
	"	cmp $-4095, %rax\n"
	"	jae 1f\n"
	"	ret\n"
	"1:	mov %rax, %rdi\n"
	"	jmp shim_failed\n"
	"2:	jmp shim_aio_by_number\n"
	"3:	jmp shim_close_by_number\n"
	"4:	jmp shim_memory_by_number\n"
	".cfi_endproc\n"
	".size syscall, . - syscall\n");

static long kernel(long nr, void *a, long b, long c, void *d, void *e, void *f)
{
	register long r10 __asm__("r10") = (long)d;
	register long r8 __asm__("r8") = (long)e;
	register long r9 __asm__("r9") = (long)f;
	long result = nr;

	__asm__ volatile("syscall"
			 : "+a"(result)
			 : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined __aarch64__
static_assert(SYS_io_destroy == 1 && SYS_io_getevents == 4 && SYS_io_pgetevents == 292,
	      "numbers in the assembly");
static_assert(SYS_close == 57 && SYS_dup3 == 24 && SYS_close_range == 436,
	      "numbers in the assembly");
static_assert(SYS_shmat == 196 && SYS_shmdt == 197 && SYS_brk == 214 && SYS_munmap == 215 &&
		      SYS_mremap == 216 && SYS_mmap == 222 && SYS_mprotect == 226 &&
		      SYS_madvise == 233 && SYS_remap_file_pages == 234 && SYS_pkey_mprotect == 288,
	      "numbers in the assembly");

__asm__(".text\n"
	".globl syscall\n"
	".type syscall, %function\n"
	".p2align 4\n"
	"syscall:\n"
	".cfi_startproc\n"
	"	hint #34\n"
	"	sub x9, x0, #1\n"
	"	cmp x9, #3\n"
	"	b.ls 2f\n"
	"	cmp x0, #292\n"
	"	b.eq 2f\n"
	"	cmp x0, #57\n"
	"	b.eq 3f\n"
	"	cmp x0, #24\n"
	"	b.eq 3f\n"
	"	cmp x0, #436\n"
	"	b.eq 3f\n"
	"	sub x9, x0, #214\n"
	"	cmp x9, #2\n"
	"	b.ls 4f\n"
	"	cmp x0, #222\n"
	"	b.eq 4f\n"
	"	cmp x0, #226\n"
	"	b.eq 4f\n"
	"	sub x9, x0, #233\n"
	"	cmp x9, #1\n"
	"	b.ls 4f\n"
	"	sub x9, x0, #196\n"
	"	cmp x9, #1\n"
	"	b.ls 4f\n"
	"	cmp x0, #288\n"
	"	b.eq 4f\n"
	"	mov x8, x0\n"
	"	mov x0, x1\n"
	"	mov x1, x2\n"
	"	mov x2, x3\n"
	"	mov x3, x4\n"
	"	mov x4, x5\n"
	"	mov x5, x6\n"
	"	svc #0\n"
	"	cmn x0, #4095\n"
	"	b.hs 1f\n"
	"	ret\n"
	"1:	b shim_failed\n"
	"2:	b shim_aio_by_number\n"
	"3:	b shim_close_by_number\n"
	"4:	b shim_memory_by_number\n"
	".cfi_endproc\n"
	".size syscall, . - syscall\n");

static long kernel(long nr, void *a, long b, long c, void *d, void *e, void *f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = (long)a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = (long)d;
	register long x4 __asm__("x4") = (long)e;
	register long x5 __asm__("x5") = (long)f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "asys knows x86-64 and aarch64"
#endif

long shim_failed(long result)
{
	errno = (int)-result;
	return -1;
}

static long pgetevents(void *ring, long least, long most, void *events, void *timeout,
		       const struct kernel_mask *mask)
{
	if (mask && mask->mask && mask->size != KERNEL_SIGSET)
		return -EINVAL;
	return io_pgetevents(ring, least, most, events, timeout, mask ? mask->mask : NULL);
}

static long through_libaio(long nr, void *a, long b, long c, void *d, void *e, void *f)
{
	switch (nr) {
	case SYS_io_destroy:
		return io_destroy(a);
	case SYS_io_submit:
		return io_submit(a, b, (struct iocb **)(uintptr_t)c);
	case SYS_io_cancel:
		return io_cancel(a, (struct iocb *)(uintptr_t)b, (struct io_event *)(uintptr_t)c);
	case SYS_io_getevents:
		return io_getevents(a, b, c, d, e);
	default:
		return pgetevents(a, b, c, d, e, f);
	}
}

long shim_aio_by_number(long nr, void *a, long b, long c, void *d, void *e, void *f)
{
	long result = kernel(nr, a, b, c, d, e, f);

	if (result == -EINVAL || result == -ENOSYS)
		result = through_libaio(nr, a, b, c, d, e, f);
	return result < 0 ? shim_failed(result) : result;
}

long shim_close_by_number(long nr, void *a, long b, long c, void *d, void *e, void *f)
{
	unsigned number = (unsigned)(uintptr_t)a;
	long result;

	if (nr == SYS_close)
		shim_let_go(number, number);
	else if (nr == SYS_close_range)
		shim_let_go_range(number, (unsigned)b, (int)c);
	else if (number != (unsigned)b)
		shim_let_go((unsigned)b, (unsigned)b);
	result = kernel(nr, a, b, c, d, e, f);
	return result < 0 ? shim_failed(result) : result;
}

long shim_memory_by_number(long nr, void *a, long b, long c, void *d, void *e, void *f)
{
	long result;

	shim_memory_changes();
	result = kernel(nr, a, b, c, d, e, f);
	shim_memory_changes();
	return result < 0 && result >= -4095 ? shim_failed(result) : result;
}
