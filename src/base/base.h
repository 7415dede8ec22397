/* SPDX-License-Identifier: MIT */
/*
 * What everything stands on: compiler words, clock, futex, raw system calls. Depends on nothing.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* ThreadSanitizer delivers signals late and outside of the interrupted code. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#define UNDER_TSAN __has_feature(thread_sanitizer)
#else
#define UNDER_TSAN 0
#endif

/* Two lines: the adjacent-line prefetcher pairs them, so false sharing reaches that far. */
#define CACHE_PAIR 128

/* A system call as the kernel defines it: result or -errno, errno untouched. */
#if defined(__x86_64__)
static inline int64_t raw_syscall(uint64_t nr, const uint64_t arg[6])
{
	/* Loaded before any register is bound: a sanitizer calls functions at each load. */
	uint64_t a0 = arg[0], a1 = arg[1], a2 = arg[2], a3 = arg[3], a4 = arg[4], a5 = arg[5];
	register uint64_t r10 __asm__("r10") = a3;
	register uint64_t r8 __asm__("r8") = a4;
	register uint64_t r9 __asm__("r9") = a5;
	int64_t ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a0), "S"(a1), "d"(a2), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause");
}
#elif defined(__aarch64__)
static inline int64_t raw_syscall(uint64_t nr, const uint64_t arg[6])
{
	uint64_t a0 = arg[0], a1 = arg[1], a2 = arg[2], a3 = arg[3], a4 = arg[4], a5 = arg[5];
	register uint64_t x8 __asm__("x8") = nr;
	register uint64_t x0 __asm__("x0") = a0;
	register uint64_t x1 __asm__("x1") = a1;
	register uint64_t x2 __asm__("x2") = a2;
	register uint64_t x3 __asm__("x3") = a3;
	register uint64_t x4 __asm__("x4") = a4;
	register uint64_t x5 __asm__("x5") = a5;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory", "cc");
	return (int64_t)x0;
}

static inline void cpu_relax(void)
{
	__asm__ volatile("yield");
}
#else
#error "asys runs on x86-64 and aarch64"
#endif

static inline int64_t raw_call(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	const uint64_t arg[6] = { a0, a1, a2, a3, 0, 0 };

	return raw_syscall(nr, arg);
}

/* The kernel's results: -4095..-1 are errors. */
static inline bool is_error(int64_t result)
{
	return (uint64_t)result >= (uint64_t)-4095;
}

static inline uint64_t ptr_word(const volatile void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static inline uint64_t clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline struct timespec clock_timespec(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000u),
				  .tv_nsec = (long)(ns % 1000000000u) };
}

/*
 * Sleeps while *word == expected, until woken or `when_ns` (CLOCK_MONOTONIC; UINT64_MAX: no limit, in
 * 584 years). 0, -EAGAIN (the word differed), -EINTR or -ETIMEDOUT. Private to the process.
 *
 * There is always a limit: without one the kernel would go on with the sleep after a handler that was
 * installed with SA_RESTART.
 */
static inline int futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t when_ns)
{
	struct timespec ts = clock_timespec(when_ns);
	const uint64_t arg[6] = { ptr_word(word),
				  FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG,
				  expected,
				  ptr_word(&ts),
				  0,
				  FUTEX_BITSET_MATCH_ANY };

	return (int)raw_syscall(SYS_futex, arg);
}

static inline int futex_wake(_Atomic uint32_t *word, int count)
{
	return (int)raw_call(SYS_futex, ptr_word(word), FUTEX_WAKE | FUTEX_PRIVATE_FLAG,
			     (uint64_t)(int64_t)count, 0);
}

/*
 * The full fence of a sleep or cancel handshake. ThreadSanitizer does not model fences; there the
 * words on both sides are themselves sequentially consistent, and this adds only the order.
 */
static inline void full_fence(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

static inline uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Zeroed memory that costs nothing until it is touched; NULL if there is none. */
void *pages_alloc(size_t bytes);
void pages_free(void *mem, size_t bytes);

/* A number of the calling thread that no other thread of this process ever has: unlike a thread id or an
 * address, which are given to a new thread when an old one has ended. Never 0. */
extern _Thread_local uint64_t thread_number_;
uint64_t thread_number_new(void);

/* A thread that was joined may still be one of the process's for a moment, and that counts in some system calls:
 * until it is not. */
void thread_is_gone(int32_t tid);
/*
 * Options that a program gives, whose first word is the size that it knows of them. `ret` is `size` bytes of defaults, of
 * which as many are replaced as are given. 0; -EINVAL: fewer than the first version had (`least`); -E2BIG: more
 * than this library knows, and not 0. With message, which names `init`.
 */
int options_take(void *ret, uint32_t size, uint32_t least, const void *given, const char *init);

static inline uint64_t thread_number(void)
{
	return likely(thread_number_) ? thread_number_ : thread_number_new();
}

/*
 * Raised whenever a thread of this process changes its rights or namespaces, before it does so and again
 * after: what was started with the rights of an earlier epoch takes no call any more (sched/context.c).
 */
extern _Atomic uint32_t rights_epoch;

/*
 * Locks of the process as a whole. A fork takes all of them first, so that the child finds none held by a
 * thread that it does not have. To be held shortly, and never two at once.
 */
enum process_lock { LOCK_MARK, LOCK_TAGS, LOCK_SIGNALS, PROCESS_LOCKS };
void process_lock(enum process_lock which);
void process_unlock(enum process_lock which);

/* Around functions of the C library that are cancellation points: no function of this library is one, since a
 * thread that ended inside would leave its queue half changed. Returns what cancel_point_back is given. */
int cancel_point_off(void);
void cancel_point_back(int state);

/* Bytes of the character (UTF-8) that `text` begins with; 0: its first byte belongs to none, or it
 * controls a terminal or the direction of text. */
unsigned harmless_length(const char *text);

/* Sets this thread's asys_message and returns `err`, so that a failure is one statement. */
int fail(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What could not be sent: its id is `err`. Returns that. */
int fail_sending(int err);

/* The same error comes back once more, by the id of what could not be sent: if that was this thread's last failure,
 * the message stays, since it says why; else this one is set. */
int fail_again(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The last failure came from a variable of the environment: the message says its name and value too. */
int fail_naming(int err, const char *variable, const char *value, const char *hint);

/* `fd`, just made, or a copy of it above the numbers of standard input, output and error: a program that was started
 * without these gives them their meaning later, by dup2 over whatever is there. -1 with errno, also if it was. */
int fd_above_standard(int fd);

/* For people: what to do where a descriptor cannot be made or watched, by the reason. */
const char *descriptor_advice(int err);

/* A wait that a signal handler, or a stop and continue, has ended. */
int fail_interrupted(const char *function);

/* `expression`, after whose failure the library goes another way: nobody who called it has failed, so
 * asys_message stays as it is. */
extern _Thread_local unsigned fail_unheard;
#define UNHEARD(expression)                     \
	({                                      \
		__typeof__(expression) result_; \
		fail_unheard++;                 \
		result_ = (expression);         \
		fail_unheard--;                 \
		result_;                        \
	})

/*
 * Tells a forked child, even one made by a raw clone: the page that a mark lies on is wiped there.
 * The mark is not 0 in the process that called process_watch, 0 in its children for ever; a child
 * that calls it gets a mark of its own. NULL: no memory (and asys_message says so). Any thread.
 */
const volatile uint32_t *process_watch(void);

#endif
