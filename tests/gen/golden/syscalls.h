/* SPDX-License-Identifier: MIT */
/*
 * One wrapper for every system call of Linux 6.18, made from spec/syscalls.tbl; do not edit.
 *
 * asys_read(q, fd, buf, count) queues read(fd, buf, count) on q and returns its id; asys_error()
 * of that id tells if it could not be queued. If q is a chain, it adds a step to it. Each argument is a value of the C type of the
 * manual page, or the id of an earlier call of q: then it is that call's result. Arguments of type
 * "word" take any integer or pointer. Every argument is evaluated once. The calls are the kernel's
 * own, which now and then differ from those of the C library: see asys_calls(3).
 *
 * In C the wrappers are macros, so a compound literal with a comma needs parentheses around it.
 * In C++ they are functions, and a null pointer for a "word" is nullptr.
 */
#ifndef ASYS_SYSCALLS_H
#define ASYS_SYSCALLS_H

#include <asys/call.h>
#include <asys/types.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>

#if defined(__x86_64__) && defined(__LP64__)
#define ASYS_NR_read 0
#define ASYS_NR_open 1
#define ASYS_NR_tuxcall 2
#define ASYS_NR_getpid 3
#define ASYS_NR_prctl 4
#define ASYS_NR_execve 5
#define ASYS_NR_bpf 6
#define ASYS_NR_exit 7
#define ASYS_NR_preadv2 12
#elif defined(__aarch64__) && defined(__LP64__)
#define ASYS_NR_read 5
#define ASYS_NR_preadv2 6
#define ASYS_NR_ioctl 7
#define ASYS_NR_prctl 8
#define ASYS_NR_execve 9
#define ASYS_NR_bpf 10
#define ASYS_NR_exit 11
#define ASYS_NR_getpid 17
#else
#error "asys knows the system calls of x86-64 and aarch64 only"
#endif

struct iovec;
union bpf_attr;

/* What follows, up to the wrappers, serves them and nobody else. */
#define ASYS_INLINE_ static inline __attribute__((always_inline, unused))

struct asys_arg_ {
	uint64_t word;
	uint32_t ref;
};

ASYS_INLINE_ struct asys_arg_ asys_arg_ref_(asys_id id)
{
	struct asys_arg_ arg = { (uint64_t)id.value, 1 };

	return arg;
}

#ifdef __cplusplus

ASYS_INLINE_ asys_id asys_wrap0_(struct asys_queue *q, uint32_t nr)
{
	return asys_send_(q, nr, 0, 0, 0, 0, 0, 0);
}

ASYS_INLINE_ asys_id asys_wrap0_(struct asys_chain *q, uint32_t nr)
{
	return asys_chain_add_(q, nr, 0, 0, 0, 0, 0, 0);
}

ASYS_INLINE_ asys_id asys_wrap1_(struct asys_queue *q, uint32_t nr, struct asys_arg_ a0)
{
	return asys_send_(q, nr | (uint64_t)(a0.ref << 0) << 32, a0.word, 0, 0, 0, 0, 0);
}

ASYS_INLINE_ asys_id asys_wrap1_(struct asys_chain *q, uint32_t nr, struct asys_arg_ a0)
{
	return asys_chain_add_(q, nr | (uint64_t)(a0.ref << 0) << 32, a0.word, 0, 0, 0, 0, 0);
}

ASYS_INLINE_ asys_id asys_wrap2_(struct asys_queue *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1)
{
	return asys_send_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32, a0.word, a1.word, 0, 0, 0, 0);
}

ASYS_INLINE_ asys_id asys_wrap2_(struct asys_chain *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1)
{
	return asys_chain_add_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32, a0.word, a1.word, 0, 0, 0, 0);
}

ASYS_INLINE_ asys_id asys_wrap3_(struct asys_queue *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1, struct asys_arg_ a2)
{
	return asys_send_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32 | (uint64_t)(a2.ref << 2) << 32, a0.word, a1.word, a2.word, 0, 0, 0);
}

ASYS_INLINE_ asys_id asys_wrap3_(struct asys_chain *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1, struct asys_arg_ a2)
{
	return asys_chain_add_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32 | (uint64_t)(a2.ref << 2) << 32, a0.word, a1.word, a2.word, 0, 0, 0);
}

ASYS_INLINE_ asys_id asys_wrap4_(struct asys_queue *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1, struct asys_arg_ a2, struct asys_arg_ a3)
{
	return asys_send_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32 | (uint64_t)(a2.ref << 2) << 32 | (uint64_t)(a3.ref << 3) << 32, a0.word, a1.word, a2.word, a3.word, 0, 0);
}

ASYS_INLINE_ asys_id asys_wrap4_(struct asys_chain *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1, struct asys_arg_ a2, struct asys_arg_ a3)
{
	return asys_chain_add_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32 | (uint64_t)(a2.ref << 2) << 32 | (uint64_t)(a3.ref << 3) << 32, a0.word, a1.word, a2.word, a3.word, 0, 0);
}

ASYS_INLINE_ asys_id asys_wrap5_(struct asys_queue *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1, struct asys_arg_ a2, struct asys_arg_ a3, struct asys_arg_ a4)
{
	return asys_send_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32 | (uint64_t)(a2.ref << 2) << 32 | (uint64_t)(a3.ref << 3) << 32 | (uint64_t)(a4.ref << 4) << 32, a0.word, a1.word, a2.word, a3.word, a4.word, 0);
}

ASYS_INLINE_ asys_id asys_wrap5_(struct asys_chain *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1, struct asys_arg_ a2, struct asys_arg_ a3, struct asys_arg_ a4)
{
	return asys_chain_add_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32 | (uint64_t)(a2.ref << 2) << 32 | (uint64_t)(a3.ref << 3) << 32 | (uint64_t)(a4.ref << 4) << 32, a0.word, a1.word, a2.word, a3.word, a4.word, 0);
}

ASYS_INLINE_ asys_id asys_wrap6_(struct asys_queue *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1, struct asys_arg_ a2, struct asys_arg_ a3, struct asys_arg_ a4, struct asys_arg_ a5)
{
	return asys_send_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32 | (uint64_t)(a2.ref << 2) << 32 | (uint64_t)(a3.ref << 3) << 32 | (uint64_t)(a4.ref << 4) << 32 | (uint64_t)(a5.ref << 5) << 32, a0.word, a1.word, a2.word, a3.word, a4.word, a5.word);
}

ASYS_INLINE_ asys_id asys_wrap6_(struct asys_chain *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1, struct asys_arg_ a2, struct asys_arg_ a3, struct asys_arg_ a4, struct asys_arg_ a5)
{
	return asys_chain_add_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32 | (uint64_t)(a2.ref << 2) << 32 | (uint64_t)(a3.ref << 3) << 32 | (uint64_t)(a4.ref << 4) << 32 | (uint64_t)(a5.ref << 5) << 32, a0.word, a1.word, a2.word, a3.word, a4.word, a5.word);
}

template <typename T> struct asys_value_ : asys_arg_ {
	asys_value_(T value) : asys_arg_() { word = static_cast<uint64_t>(value); }
	asys_value_(asys_id id) : asys_arg_(asys_arg_ref_(id)) {}
};

template <typename T> struct asys_value_<T *> : asys_arg_ {
	asys_value_(T *value) : asys_arg_() { word = reinterpret_cast<uintptr_t>(value); }
	asys_value_(asys_id id) : asys_arg_(asys_arg_ref_(id)) {}
};

/* Any integer or pointer. */
struct asys_word_ : asys_arg_ {
	asys_word_(bool value) : asys_arg_() { word = value; }
	asys_word_(int value) : asys_arg_() { word = static_cast<uint64_t>(value); }
	asys_word_(unsigned int value) : asys_arg_() { word = value; }
	asys_word_(long value) : asys_arg_() { word = static_cast<uint64_t>(value); }
	asys_word_(unsigned long value) : asys_arg_() { word = value; }
	asys_word_(long long value) : asys_arg_() { word = static_cast<uint64_t>(value); }
	asys_word_(unsigned long long value) : asys_arg_() { word = value; }
	asys_word_(const volatile void *value) : asys_arg_()
	{
		word = reinterpret_cast<uintptr_t>(value);
	}
	asys_word_(asys_id id) : asys_arg_(asys_arg_ref_(id)) {}
};

/* getpid(void): any thread, does not wait */
template <typename To> ASYS_INLINE_ asys_id asys_getpid(To *q)
{
	return asys_wrap0_(q, ASYS_NR_getpid);
}

/* read(int fd, void *buf, size_t count): any thread, may wait for ever, io_uring READ */
template <typename To> ASYS_INLINE_ asys_id asys_read(To *q, asys_value_<int> fd, asys_value_<void *> buf, asys_value_<size_t> count)
{
	return asys_wrap3_(q, ASYS_NR_read, fd, buf, count);
}

/* preadv2(int fd, const struct iovec *iov, int iovcnt, off_t offset, int flags): any thread, may
 * wait for a device, io_uring 2 */
template <typename To> ASYS_INLINE_ asys_id asys_preadv2(To *q, asys_value_<int> fd, asys_value_<const struct iovec *> iov, asys_value_<int> iovcnt, asys_value_<off_t> offset, asys_value_<int> flags)
{
	return asys_wrap6_(q, ASYS_NR_preadv2, fd, iov, iovcnt, offset, asys_value_<int>(0), flags);
}

/* prctl(int op, word arg2): the calling thread, at flush, does not wait long */
template <typename To> ASYS_INLINE_ asys_id asys_prctl(To *q, asys_value_<int> op, asys_word_ arg2)
{
	return asys_wrap2_(q, ASYS_NR_prctl, op, arg2);
}

/* execve(const char *path, char *const *argv): the calling thread, at flush, may wait for a device
 * */
template <typename To> ASYS_INLINE_ asys_id asys_execve(To *q, asys_value_<const char *> path, asys_value_<char *const *> argv)
{
	return asys_wrap2_(q, ASYS_NR_execve, path, argv);
}

/* bpf(int cmd, union bpf_attr *attr, unsigned int size): any thread, may wait for a device */
template <typename To> ASYS_INLINE_ asys_id asys_bpf(To *q, asys_value_<int> cmd, asys_value_<union bpf_attr *> attr, asys_value_<unsigned int> size)
{
	return asys_wrap3_(q, ASYS_NR_bpf, cmd, attr, size);
}

#if defined(__x86_64__) && defined(__LP64__)

/* open(const char *path, int flags, mode_t mode): any thread, may wait for a device, io_uring
 * OPENAT */
template <typename To> ASYS_INLINE_ asys_id asys_open(To *q, asys_value_<const char *> path, asys_value_<int> flags, asys_value_<mode_t> mode)
{
	return asys_wrap3_(q, ASYS_NR_open, path, flags, mode);
}

#endif

#if defined(__aarch64__) && defined(__LP64__)

/* ioctl(int fd, unsigned long op, word arg): any thread, may wait for ever */
template <typename To> ASYS_INLINE_ asys_id asys_ioctl(To *q, asys_value_<int> fd, asys_value_<unsigned long> op, asys_word_ arg)
{
	return asys_wrap3_(q, ASYS_NR_ioctl, fd, op, arg);
}

#endif

#else /* C */

ASYS_INLINE_ asys_id asys_wrap0_(struct asys_queue *q, uint32_t nr)
{
	return asys_send_(q, nr, 0, 0, 0, 0, 0, 0);
}

ASYS_INLINE_ asys_id asys_chain_wrap0_(struct asys_chain *q, uint32_t nr)
{
	return asys_chain_add_(q, nr, 0, 0, 0, 0, 0, 0);
}

ASYS_INLINE_ asys_id asys_wrap1_(struct asys_queue *q, uint32_t nr, struct asys_arg_ a0)
{
	return asys_send_(q, nr | (uint64_t)(a0.ref << 0) << 32, a0.word, 0, 0, 0, 0, 0);
}

ASYS_INLINE_ asys_id asys_chain_wrap1_(struct asys_chain *q, uint32_t nr, struct asys_arg_ a0)
{
	return asys_chain_add_(q, nr | (uint64_t)(a0.ref << 0) << 32, a0.word, 0, 0, 0, 0, 0);
}

ASYS_INLINE_ asys_id asys_wrap2_(struct asys_queue *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1)
{
	return asys_send_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32, a0.word, a1.word, 0, 0, 0, 0);
}

ASYS_INLINE_ asys_id asys_chain_wrap2_(struct asys_chain *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1)
{
	return asys_chain_add_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32, a0.word, a1.word, 0, 0, 0, 0);
}

ASYS_INLINE_ asys_id asys_wrap3_(struct asys_queue *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1, struct asys_arg_ a2)
{
	return asys_send_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32 | (uint64_t)(a2.ref << 2) << 32, a0.word, a1.word, a2.word, 0, 0, 0);
}

ASYS_INLINE_ asys_id asys_chain_wrap3_(struct asys_chain *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1, struct asys_arg_ a2)
{
	return asys_chain_add_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32 | (uint64_t)(a2.ref << 2) << 32, a0.word, a1.word, a2.word, 0, 0, 0);
}

ASYS_INLINE_ asys_id asys_wrap4_(struct asys_queue *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1, struct asys_arg_ a2, struct asys_arg_ a3)
{
	return asys_send_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32 | (uint64_t)(a2.ref << 2) << 32 | (uint64_t)(a3.ref << 3) << 32, a0.word, a1.word, a2.word, a3.word, 0, 0);
}

ASYS_INLINE_ asys_id asys_chain_wrap4_(struct asys_chain *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1, struct asys_arg_ a2, struct asys_arg_ a3)
{
	return asys_chain_add_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32 | (uint64_t)(a2.ref << 2) << 32 | (uint64_t)(a3.ref << 3) << 32, a0.word, a1.word, a2.word, a3.word, 0, 0);
}

ASYS_INLINE_ asys_id asys_wrap5_(struct asys_queue *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1, struct asys_arg_ a2, struct asys_arg_ a3, struct asys_arg_ a4)
{
	return asys_send_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32 | (uint64_t)(a2.ref << 2) << 32 | (uint64_t)(a3.ref << 3) << 32 | (uint64_t)(a4.ref << 4) << 32, a0.word, a1.word, a2.word, a3.word, a4.word, 0);
}

ASYS_INLINE_ asys_id asys_chain_wrap5_(struct asys_chain *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1, struct asys_arg_ a2, struct asys_arg_ a3, struct asys_arg_ a4)
{
	return asys_chain_add_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32 | (uint64_t)(a2.ref << 2) << 32 | (uint64_t)(a3.ref << 3) << 32 | (uint64_t)(a4.ref << 4) << 32, a0.word, a1.word, a2.word, a3.word, a4.word, 0);
}

ASYS_INLINE_ asys_id asys_wrap6_(struct asys_queue *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1, struct asys_arg_ a2, struct asys_arg_ a3, struct asys_arg_ a4, struct asys_arg_ a5)
{
	return asys_send_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32 | (uint64_t)(a2.ref << 2) << 32 | (uint64_t)(a3.ref << 3) << 32 | (uint64_t)(a4.ref << 4) << 32 | (uint64_t)(a5.ref << 5) << 32, a0.word, a1.word, a2.word, a3.word, a4.word, a5.word);
}

ASYS_INLINE_ asys_id asys_chain_wrap6_(struct asys_chain *q, uint32_t nr, struct asys_arg_ a0, struct asys_arg_ a1, struct asys_arg_ a2, struct asys_arg_ a3, struct asys_arg_ a4, struct asys_arg_ a5)
{
	return asys_chain_add_(q, nr | (uint64_t)(a0.ref << 0) << 32 | (uint64_t)(a1.ref << 1) << 32 | (uint64_t)(a2.ref << 2) << 32 | (uint64_t)(a3.ref << 3) << 32 | (uint64_t)(a4.ref << 4) << 32 | (uint64_t)(a5.ref << 5) << 32, a0.word, a1.word, a2.word, a3.word, a4.word, a5.word);
}

/* By what `q` is: a queue or a chain. */
#define ASYS_TO_(q, n) \
	_Generic((q), struct asys_chain *: asys_chain_wrap##n##_, default: asys_wrap##n##_)

ASYS_INLINE_ struct asys_arg_ asys_arg_signed_(long long value)
{
	struct asys_arg_ arg = { (uint64_t)value, 0 };

	return arg;
}

ASYS_INLINE_ struct asys_arg_ asys_arg_unsigned_(unsigned long long value)
{
	struct asys_arg_ arg = { value, 0 };

	return arg;
}

ASYS_INLINE_ struct asys_arg_ asys_arg_pointer_(const volatile void *value)
{
	struct asys_arg_ arg = { (uint64_t)(uintptr_t)value, 0 };

	return arg;
}

/* A value of type `type` (its name as an identifier), or an id. _Generic chooses a function before
 * the argument is converted, so that a wrong type is reported as it is for a plain call. */
#define ASYS_ARG_(type, x) \
	_Generic((x), asys_id: asys_arg_ref_, default: asys_arg_##type##_)(x)

#define ASYS_WORD_(x) \
	_Generic((x), \
		asys_id: asys_arg_ref_, \
		_Bool: asys_arg_unsigned_, \
		char: asys_arg_signed_, \
		signed char: asys_arg_signed_, \
		unsigned char: asys_arg_unsigned_, \
		short: asys_arg_signed_, \
		unsigned short: asys_arg_unsigned_, \
		int: asys_arg_signed_, \
		unsigned int: asys_arg_unsigned_, \
		long: asys_arg_signed_, \
		unsigned long: asys_arg_unsigned_, \
		long long: asys_arg_signed_, \
		unsigned long long: asys_arg_unsigned_, \
		default: asys_arg_pointer_)(x)

ASYS_INLINE_ struct asys_arg_ asys_arg_char_p_const_p_(char *const *value)
{
	struct asys_arg_ arg = { (uint64_t)(uintptr_t)value, 0 };

	return arg;
}

ASYS_INLINE_ struct asys_arg_ asys_arg_const_char_p_(const char *value)
{
	struct asys_arg_ arg = { (uint64_t)(uintptr_t)value, 0 };

	return arg;
}

ASYS_INLINE_ struct asys_arg_ asys_arg_const_struct_iovec_p_(const struct iovec *value)
{
	struct asys_arg_ arg = { (uint64_t)(uintptr_t)value, 0 };

	return arg;
}

ASYS_INLINE_ struct asys_arg_ asys_arg_int_(int value)
{
	struct asys_arg_ arg = { (uint64_t)value, 0 };

	return arg;
}

ASYS_INLINE_ struct asys_arg_ asys_arg_mode_t_(mode_t value)
{
	struct asys_arg_ arg = { (uint64_t)value, 0 };

	return arg;
}

ASYS_INLINE_ struct asys_arg_ asys_arg_off_t_(off_t value)
{
	struct asys_arg_ arg = { (uint64_t)value, 0 };

	return arg;
}

ASYS_INLINE_ struct asys_arg_ asys_arg_size_t_(size_t value)
{
	struct asys_arg_ arg = { (uint64_t)value, 0 };

	return arg;
}

ASYS_INLINE_ struct asys_arg_ asys_arg_union_bpf_attr_p_(union bpf_attr *value)
{
	struct asys_arg_ arg = { (uint64_t)(uintptr_t)value, 0 };

	return arg;
}

ASYS_INLINE_ struct asys_arg_ asys_arg_unsigned_int_(unsigned int value)
{
	struct asys_arg_ arg = { (uint64_t)value, 0 };

	return arg;
}

ASYS_INLINE_ struct asys_arg_ asys_arg_unsigned_long_(unsigned long value)
{
	struct asys_arg_ arg = { (uint64_t)value, 0 };

	return arg;
}

ASYS_INLINE_ struct asys_arg_ asys_arg_void_p_(void *value)
{
	struct asys_arg_ arg = { (uint64_t)(uintptr_t)value, 0 };

	return arg;
}

/* getpid(void): any thread, does not wait */
#define asys_getpid(q) \
	ASYS_TO_(q, 0)((q), ASYS_NR_getpid)

/* read(int fd, void *buf, size_t count): any thread, may wait for ever, io_uring READ */
#define asys_read(q, fd, buf, count) \
	ASYS_TO_(q, 3)((q), ASYS_NR_read, \
		ASYS_ARG_(int, fd), \
		ASYS_ARG_(void_p, buf), \
		ASYS_ARG_(size_t, count))

/* preadv2(int fd, const struct iovec *iov, int iovcnt, off_t offset, int flags): any thread, may
 * wait for a device, io_uring 2 */
#define asys_preadv2(q, fd, iov, iovcnt, offset, flags) \
	ASYS_TO_(q, 6)((q), ASYS_NR_preadv2, \
		ASYS_ARG_(int, fd), \
		ASYS_ARG_(const_struct_iovec_p, iov), \
		ASYS_ARG_(int, iovcnt), \
		ASYS_ARG_(off_t, offset), \
		asys_arg_signed_(0), \
		ASYS_ARG_(int, flags))

/* prctl(int op, word arg2): the calling thread, at flush, does not wait long */
#define asys_prctl(q, op, arg2) \
	ASYS_TO_(q, 2)((q), ASYS_NR_prctl, \
		ASYS_ARG_(int, op), \
		ASYS_WORD_(arg2))

/* execve(const char *path, char *const *argv): the calling thread, at flush, may wait for a device
 * */
#define asys_execve(q, path, argv) \
	ASYS_TO_(q, 2)((q), ASYS_NR_execve, \
		ASYS_ARG_(const_char_p, path), \
		ASYS_ARG_(char_p_const_p, argv))

/* bpf(int cmd, union bpf_attr *attr, unsigned int size): any thread, may wait for a device */
#define asys_bpf(q, cmd, attr, size) \
	ASYS_TO_(q, 3)((q), ASYS_NR_bpf, \
		ASYS_ARG_(int, cmd), \
		ASYS_ARG_(union_bpf_attr_p, attr), \
		ASYS_ARG_(unsigned_int, size))

#if defined(__x86_64__) && defined(__LP64__)

/* open(const char *path, int flags, mode_t mode): any thread, may wait for a device, io_uring
 * OPENAT */
#define asys_open(q, path, flags, mode) \
	ASYS_TO_(q, 3)((q), ASYS_NR_open, \
		ASYS_ARG_(const_char_p, path), \
		ASYS_ARG_(int, flags), \
		ASYS_ARG_(mode_t, mode))

#endif

#if defined(__aarch64__) && defined(__LP64__)

/* ioctl(int fd, unsigned long op, word arg): any thread, may wait for ever */
#define asys_ioctl(q, fd, op, arg) \
	ASYS_TO_(q, 3)((q), ASYS_NR_ioctl, \
		ASYS_ARG_(int, fd), \
		ASYS_ARG_(unsigned_long, op), \
		ASYS_WORD_(arg))

#endif

#endif
#endif
