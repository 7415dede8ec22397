/* SPDX-License-Identifier: MIT */
/* For programs that test the wrappers, in C and in C++: a library that only keeps the call. */
#ifndef ASYS_TESTS_GEN_SUPPORT_H
#define ASYS_TESTS_GEN_SUPPORT_H

#include <asys/call.h>
#include <asys/syscalls.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Never touched, only compared. */
#define THE_QUEUE ((struct asys_queue *)(uintptr_t)64)

static struct asys_call sent_call;
static int sent_count, checks, failures;

#ifdef __cplusplus
extern "C"
#endif
	asys_id
	asys_send_(struct asys_queue *queue, uint64_t head, uint64_t a0, uint64_t a1, uint64_t a2,
		   uint64_t a3, uint64_t a4, uint64_t a5)
{
	const struct asys_call call = {
		(uint32_t)head, (uint32_t)(head >> 32), 0, { a0, a1, a2, a3, a4, a5 }
	};
	asys_id made = { 1000 + sent_count };

	if (queue != THE_QUEUE) {
		printf("FAILED: call %u went to another queue\n", call.nr);
		failures++;
	}
	sent_call = call;
	sent_count++;
	return made;
}

static inline asys_id id(int64_t value)
{
	asys_id made = { value };

	return made;
}

/* Exactly one call was sent since the last check, and it was this one. */
static inline void check(const char *what, uint32_t nr, uint32_t flags, uint64_t a0, uint64_t a1,
			 uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
	const uint64_t words[6] = { a0, a1, a2, a3, a4, a5 };

	checks++;
	if (sent_count != 1 || sent_call.nr != nr || sent_call.flags != flags) {
		printf("FAILED: %s: %d calls, number %u (expected %u), flags %#x (expected %#x)\n",
		       what, sent_count, sent_call.nr, nr, sent_call.flags, flags);
		failures++;
	}
	for (int i = 0; i < 6; i++) {
		if (sent_call.arg[i] == words[i])
			continue;
		printf("FAILED: %s: argument %d is %#" PRIx64 ", expected %#" PRIx64 "\n", what, i,
		       sent_call.arg[i], words[i]);
		failures++;
	}
	memset(&sent_call, 0xff, sizeof(sent_call));
	sent_count = 0;
}

/* What main returns. */
static inline int result(void)
{
	printf("%d checks, %d failures\n", checks, failures);
	return failures || !checks;
}

#endif
