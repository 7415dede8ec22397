/* SPDX-License-Identifier: MIT */
/* Futexes: waiting on a word, in every form. */
#include "fidelity.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct waiter { /* the kernel's struct futex_waitv */
	uint64_t value, address;
	uint32_t flags, reserved;
};

#define WORD32 2u /* FUTEX2_SIZE_U32 */

static uint32_t *shared_words(struct fid *f)
{
	uint32_t *words =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (words == MAP_FAILED)
		fid_fail(f, "mmap");
	return words;
}

static void no_wait(struct fid *f)
{
	struct timespec brief = { 0, 1000000 }, wrong = { 0, -1 };
	uint32_t word = 5, other = 6;

	CALL("futex", &word, FUTEX_WAIT, 4, NULL, NULL, 0);
	CALL("futex", &word, FUTEX_WAIT, 5, &brief, NULL, 0);
	CALL("futex", &word, FUTEX_WAIT, 5, &wrong, NULL, 0);
	CALL("futex", &word, FUTEX_WAKE, 1, NULL, NULL, 0);
	CALL("futex", &word, FUTEX_CMP_REQUEUE, 1, 1, &other, 4);
	CALL("futex", &word, FUTEX_CMP_REQUEUE, 1, 1, &other, 5);
	CALL("futex", &word, FUTEX_WAKE_OP, 1, 1, &other, FUTEX_OP(FUTEX_OP_ADD, 3, 0, 0));
	fid_note(f, "other %u\n", other);
	CALL("futex", (char *)&word + 1, FUTEX_WAIT, 5, &brief, NULL, 0);
	CALL("futex", FID_BAD, FUTEX_WAIT, 5, &brief, NULL, 0);
	CALL("futex", &word, 99, 5, NULL, NULL, 0);
}

/* The owner of such a lock is a thread: the one that the call belongs to. */
static void owned(struct fid *f)
{
	uint32_t word = 0;

	CALL("futex", &word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0);
	fid_note(f, "mine %d\n", (word & FUTEX_TID_MASK) == (uint32_t)gettid());
	CALL("futex", &word, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
	CALL("futex", &word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
	fid_note(f, "word %u\n", word);
	CALL("futex", &word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
}

/*
 * The peer changes the word and wakes. A waiter that comes late is told that the word has changed
 * (-EAGAIN), and both end with the word seen: so the result of each attempt is not noted.
 */
static void wait_form(struct fid *f, const char *name, uint32_t *word, const uint64_t args[6])
{
	const struct asys_syscall_info *info = asys_syscall_by_name(name);

	*word = 0;
	if (!info)
		return;
	if (fid_peer(f)) {
		__atomic_store_n(word, 1, __ATOMIC_SEQ_CST);
		_exit(syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0) < 0);
	}
	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == 0) {
		int64_t result = fid_run(f, info, args);

		if (result < 0 && result != -EAGAIN) {
			fid_note(f, "%s = %lld\n", name, (long long)result);
			break;
		}
	}
	fid_join(f);
	fid_note(f, "%s: word %u\n", name, *word);
}

static void wait_shared(struct fid *f)
{
	uint32_t *word = shared_words(f);
	struct waiter list = { 0, FID_WORD(word), WORD32, 0 };

	wait_form(f, "futex", word, (const uint64_t[6]){ FID_WORD(word), FUTEX_WAIT });
	wait_form(f, "futex_wait", word,
		  (const uint64_t[6]){ FID_WORD(word), 0, UINT32_MAX, WORD32, 0, CLOCK_MONOTONIC });
	wait_form(f, "futex_waitv", word,
		  (const uint64_t[6]){ FID_WORD(&list), 1, 0, 0, CLOCK_MONOTONIC });
}

static void vectors(struct fid *f)
{
	uint32_t words[2] = { 5, 6 };
	struct waiter list[2] = { { 5, FID_WORD(&words[0]), WORD32, 0 },
				  { 7, FID_WORD(&words[1]), WORD32, 0 } };
	struct timespec past = { 1, 0 };

	CALL("futex_waitv", list, 2, 0, NULL, CLOCK_MONOTONIC);
	CALL("futex_waitv", list, 1, 0, &past, CLOCK_MONOTONIC);
	CALL("futex_waitv", list, 0, 0, NULL, CLOCK_MONOTONIC);
	CALL("futex_waitv", list, 1, 1, NULL, CLOCK_MONOTONIC);
	CALL("futex_waitv", FID_BAD, 1, 0, NULL, CLOCK_MONOTONIC);
	CALL("futex_wait", &words[0], 4, UINT32_MAX, WORD32, NULL, CLOCK_MONOTONIC);
	CALL("futex_wait", &words[0], 5, UINT32_MAX, WORD32, &past, CLOCK_MONOTONIC);
	CALL("futex_wait", &words[0], 5, 0, WORD32, &past, CLOCK_MONOTONIC);
	CALL("futex_wake", &words[0], UINT32_MAX, 1, WORD32);
	CALL("futex_wake", &words[0], UINT32_MAX, 1, 99);
	CALL("futex_wake", FID_BAD, UINT32_MAX, 1, WORD32);
	list[1].value = 5;
	CALL("futex_requeue", list, 0, 1, 1);
	CALL("futex_requeue", list, 9, 1, 1);
	list[0].value = 9;
	CALL("futex_requeue", list, 0, 1, 1);
}

/* Lists and areas that the C library has set for this very thread; set again to what they are. */
static void thread_areas(struct fid *f)
{
	void *head = NULL;
	size_t size = 0;
	uint32_t ignored = 0;

	CALL("get_robust_list", 0, &head, &size);
	fid_note(f, "size %zu\n", size);
	CALL("get_robust_list", 0, FID_BAD, &size);
	CALL("get_robust_list", 0x7ffffff0, &head, &size);
	CALL("set_robust_list", head, size);
	CALL("set_robust_list", head, 1);
	fid_note(f, "%d\n", CALL_OK("set_tid_address", &ignored) == gettid());
	CALL("rseq", FID_BAD, 32, 0, 0);
	CALL("rseq", 0, 1, 0, 0);
	CALL("membarrier", 0, 0, 0);
	CALL("membarrier", 1 << 4, 0, 0);
	CALL("membarrier", 1 << 3, 0, 0);
	CALL("membarrier", 1 << 30, 0, 0);
	CALL("membarrier", 0, 99, 0);
}

const struct fid_case fid_futexes[] = {
	{ "futex", no_wait, 0, 0 },
	{ "futex with owner", owned, 0, 0 },
	{ "futex waits", wait_shared, 0, 0 },
	{ "futex vectors", vectors, 0, 0 },
	{ "thread areas", thread_areas, 0, 0 },
	{ 0 },
};
