/* SPDX-License-Identifier: MIT */
#include "base/base.h"

#include <asys/call.h>
#include <asys/queue.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *pages_alloc(size_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

void pages_free(void *mem, size_t bytes)
{
	if (mem)
		munmap(mem, bytes);
}

/* Some characters turn the text around them, or end a line where it looks as if none ended. */
static bool turns_text(uint32_t c)
{
	return c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

unsigned harmless_length(const char *text)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *byte = (const unsigned char *)text;
	unsigned length = *byte < 0xc0 ? 0 :
			  *byte < 0xe0 ? 2 :
			  *byte < 0xf0 ? 3 :
			  *byte < 0xf8 ? 4 :
					 0;
	uint32_t c = *byte & (0x7fu >> length);

	if (*byte < 0x80)
		return *byte >= ' ' && *byte != 0x7f;
	for (unsigned i = 1; i < length; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (byte[i] & 0x3f);
	}
	if (length == 0 || c < least[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	return c < 0xa0 || turns_text(c) ? 0 : length;
}

static _Thread_local char message[320] = "nothing failed";
static _Thread_local int message_err;	  /* that it is about */
static _Thread_local int message_sending; /* the same, where its id is that */
_Thread_local unsigned fail_unheard;

__attribute__((format(printf, 2, 0))) static int fail_list(int err, const char *format,
							   va_list args)
{
	if (fail_unheard)
		return err;
	message_err = err;
	message_sending = 0;
	vsnprintf(message, sizeof(message), format, args);
	/* Values that it quotes must not change the terminal that shows it. */
	for (char *c = message; *c;) {
		unsigned length = harmless_length(c);

		if (!length)
			*c = '?';
		c += length ? length : 1;
	}
	return err;
}

int fail(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fail_list(err, format, args);
	va_end(args);
	return err;
}

int fail_again(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (err != message_sending)
		fail_list(err, format, args);
	va_end(args);
	return err;
}

int fail_sending(int err)
{
	if (err == message_err)
		message_sending = err;
	return err;
}

int fail_naming(int err, const char *variable, const char *value, const char *hint)
{
	char why[sizeof(message)];

	snprintf(why, sizeof(why), "%s", message);
	return fail(err, "%s=%.40s: %s; %s", variable, value, why, hint);
}

int fd_above_standard(int fd)
{
	int copy, err;

	if (likely(fd < 0 || fd > STDERR_FILENO))
		return fd;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	err = errno;
	close(fd);
	errno = err;
	return copy;
}

const char *descriptor_advice(int err)
{
	switch (err) {
	case -EMFILE:
		return "raise the limit of open files (ulimit -n)";
	case -ENFILE:
		return "raise the machine's limit of open files (fs.file-max)";
	case -ENOSPC:
		return "raise the user's limit of watches (fs.epoll.max_user_watches)";
	default:
		return "free memory, or raise the control group's limit (memory.max)";
	}
}

int fail_interrupted(const char *function)
{
	return fail(-EINTR,
		    "%s: a signal handler ran, or the process was stopped and continued; no call "
		    "has ended by it: call the function again",
		    function);
}

ASYS_API const char *asys_message(void)
{
	return message;
}

_Thread_local uint64_t thread_number_;
_Atomic uint32_t rights_epoch;

#define LOOKS_MOST 10000u

void thread_is_gone(int32_t tid)
{
	uint64_t process = (uint64_t)raw_call(SYS_getpid, 0, 0, 0, 0);

	for (unsigned n = 0; n < LOOKS_MOST; n++) {
		if (raw_call(SYS_tgkill, process, (uint64_t)tid, 0, 0))
			return;
		sched_yield();
	}
}

uint64_t thread_number_new(void)
{
	static _Atomic uint64_t last;

	thread_number_ = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
	return thread_number_;
}

ASYS_API uint64_t asys_now(void)
{
	return clock_now();
}

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

static pthread_mutex_t process_locks[PROCESS_LOCKS] = {
	PTHREAD_MUTEX_INITIALIZER,
	PTHREAD_MUTEX_INITIALIZER,
	PTHREAD_MUTEX_INITIALIZER,
};

void process_lock(enum process_lock which)
{
	pthread_mutex_lock(&process_locks[which]);
}

void process_unlock(enum process_lock which)
{
	pthread_mutex_unlock(&process_locks[which]);
}

static void lock_all(void)
{
	for (unsigned k = 0; k < PROCESS_LOCKS; k++)
		process_lock((enum process_lock)k);
}

static void unlock_all(void)
{
	for (unsigned k = PROCESS_LOCKS; k--;)
		process_unlock((enum process_lock)k);
}

/* When the library is loaded: at the first use it might be too late, another thread may be forking then. */
__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(lock_all, unlock_all, unlock_all);
}

int cancel_point_off(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	return state;
}

void cancel_point_back(int state)
{
	pthread_setcancelstate(state, NULL);
}

static volatile uint32_t *mark; /* of this process, or of the parent and then 0 */

/*
 * Where MADV_WIPEONFORK is missing (user-mode emulation), an atfork handler wipes the mark by hand:
 * that covers fork(), though not a raw clone.
 */
static void wipe_mark(void)
{
	if (mark)
		*mark = 0;
}

/* The page is never freed: queues of this process may be looked at for its whole life. */
static volatile uint32_t *new_mark(void)
{
	static bool by_hand;
	volatile uint32_t *page =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED) {
		fail(-ENOMEM, "no memory for the page that tells a fork: raise the address space "
			      "limit (ulimit -v)");
		return NULL;
	}
	if (madvise((void *)(uintptr_t)page, 4096, MADV_WIPEONFORK) && !by_hand)
		by_hand = pthread_atfork(NULL, NULL, wipe_mark) == 0;
	*page = 1;
	return page;
}

const volatile uint32_t *process_watch(void)
{
	volatile uint32_t *got;

	process_lock(LOCK_MARK);
	got = mark && *mark ? mark : new_mark();
	if (got)
		mark = got;
	process_unlock(LOCK_MARK);
	return got;
}

int options_take(void *ret, uint32_t size, uint32_t least, const void *given, const char *init)
{
	uint32_t known;

	memcpy(&known, given, sizeof(known));
	if (known < least)
		return fail(
			-EINVAL,
			"option size: %u is less than the %u of the first version: start from %s",
			known, least, init);
	for (uint32_t k = size; k < known; k++)
		if (((const char *)given)[k])
			return fail(-E2BIG,
				    "option size: %u of which this library knows %u, and byte %u "
				    "is not 0: the program was built for a newer library and asks "
				    "for what this one cannot do: install that, or start from %s",
				    known, size, k, init);
	memcpy(ret, given, known < size ? known : size);
	memcpy(ret, &size, sizeof(size));
	return 0;
}
