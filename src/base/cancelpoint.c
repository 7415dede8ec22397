/* SPDX-License-Identifier: MIT */
#include "base/cancelpoint.h"

#include <ucontext.h>

/*
 * The library's only assembly besides raw_syscall: the window must have known ends, so the compiler
 * may not move anything in or out of it. Bit 15 is SLOT_CANCEL_BIT (call/slot.h checks it); the
 * result of a cancelled call is -ECANCELED (-125).
 */
#if defined(__x86_64__)
__asm__(".text\n"
	".p2align 4\n"
	".hidden cancelpoint_syscall\n"
	".hidden cancelpoint_begin\n"
	".hidden cancelpoint_end\n"
	".hidden cancelpoint_cancel\n"
	".globl cancelpoint_syscall, cancelpoint_begin, cancelpoint_end, cancelpoint_cancel\n"
	".type cancelpoint_syscall, @function\n"
	"cancelpoint_syscall:\n"
	".cfi_startproc\n"
	"	endbr64\n"
	"cancelpoint_begin:\n"
	"	testl	$0x8000, (%rdi)\n"
	"	jnz	cancelpoint_cancel\n"
	"	movq	%rsi, %rax\n"
	"	movq	%rdx, %rdi\n"
	"	movq	%rcx, %rsi\n"
	"	movq	%r8, %rdx\n"
	"	movq	%r9, %r10\n"
	"	movq	8(%rsp), %r8\n"
	"	movq	16(%rsp), %r9\n"
	"	syscall\n"
	"cancelpoint_end:\n"
	"	ret\n"
	"cancelpoint_cancel:\n"
	"	movq	$-125, %rax\n"
	"	ret\n"
	".cfi_endproc\n"
	".size cancelpoint_syscall, . - cancelpoint_syscall\n");
#elif defined(__aarch64__)
__asm__(".text\n"
	".p2align 4\n"
	".hidden cancelpoint_syscall\n"
	".hidden cancelpoint_begin\n"
	".hidden cancelpoint_end\n"
	".hidden cancelpoint_cancel\n"
	".globl cancelpoint_syscall, cancelpoint_begin, cancelpoint_end, cancelpoint_cancel\n"
	".type cancelpoint_syscall, %function\n"
	"cancelpoint_syscall:\n"
	".cfi_startproc\n"
	"	hint	#34\n"
	"cancelpoint_begin:\n"
	"	ldr	w9, [x0]\n"
	"	tbnz	w9, #15, cancelpoint_cancel\n"
	"	mov	x8, x1\n"
	"	mov	x0, x2\n"
	"	mov	x1, x3\n"
	"	mov	x2, x4\n"
	"	mov	x3, x5\n"
	"	mov	x4, x6\n"
	"	mov	x5, x7\n"
	"	svc	0\n"
	"cancelpoint_end:\n"
	"	ret\n"
	"cancelpoint_cancel:\n"
	"	mov	x0, #-125\n"
	"	ret\n"
	".cfi_endproc\n"
	".size cancelpoint_syscall, . - cancelpoint_syscall\n");
#endif

extern const char cancelpoint_begin[] __attribute__((visibility("hidden")));
extern const char cancelpoint_end[] __attribute__((visibility("hidden")));
extern const char cancelpoint_cancel[] __attribute__((visibility("hidden")));

void cancelpoint_redirect(void *ucontext)
{
	ucontext_t *context = ucontext;
	uintptr_t begin = (uintptr_t)cancelpoint_begin, end = (uintptr_t)cancelpoint_end;
	uintptr_t cancel = (uintptr_t)cancelpoint_cancel;
#if defined(__x86_64__)
	greg_t *pc = &context->uc_mcontext.gregs[REG_RIP];

	if ((uintptr_t)*pc >= begin && (uintptr_t)*pc < end)
		*pc = (greg_t)cancel;
#elif defined(__aarch64__)
	if (context->uc_mcontext.pc >= begin && context->uc_mcontext.pc < end)
		context->uc_mcontext.pc = cancel;
#endif
}
