/* SPDX-License-Identifier: MIT */
/*
 * What programs compiled against one version hand to the library of another: the structures that
 * travel and the numbers of the constants. A line here changes only together with the soname.
 * The compiler checks the layout; running compares the version of the header with the library's.
 */
#include <asys/call.h>
#include <asys/queue.h>
#include <asys/table.h>
#include <asys/types.h>
#include <asys/version.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define AT(type, field, offset) \
	_Static_assert(offsetof(type, field) == (offset), #type "." #field " has moved")
#define SIZE(type, size) _Static_assert(sizeof(type) == (size), #type " has another size")
#define VALUE(constant, value) \
	_Static_assert((unsigned)(constant) == (value), #constant " has another value")

SIZE(struct asys_id, 8);

SIZE(struct asys_call, 64);
AT(struct asys_call, nr, 0);
AT(struct asys_call, flags, 4);
AT(struct asys_call, user, 8);
AT(struct asys_call, arg, 16);

SIZE(struct asys_event, 24);
AT(struct asys_event, id, 0);
AT(struct asys_event, result, 8);
AT(struct asys_event, user, 16);

/* Its own size field tells the library how much of it a program knows: it may grow, not move. */
AT(struct asys_queue_options, size, 0);
AT(struct asys_queue_options, depth, 4);
AT(struct asys_queue_options, engine, 8);
AT(struct asys_queue_options, flags, 12);
AT(struct asys_queue_options, threads, 16);
AT(struct asys_queue_options, cores, 20);
AT(struct asys_queue_options, spin_ns, 24);
AT(struct asys_queue_options, signal, 28);
AT(struct asys_queue_options, fault, 32);

_Static_assert(sizeof(struct asys_queue_options) >= 40, "the first version had that many");

/* As far as a program knows it, by the size that it gives: it may grow, too. */
AT(struct asys_stats, sent, 0);
AT(struct asys_stats, ended, 8);
AT(struct asys_stats, helped, 16);
AT(struct asys_stats, faults, 72);
AT(struct asys_stats, threads, 80);
AT(struct asys_stats, by_engine, 88);

VALUE(ASYS_CALL_REF(0), 0x01u);
VALUE(ASYS_CALL_REF(5), 0x20u);
VALUE(ASYS_CALL_QUIET, 0x40u);
VALUE(ASYS_CALL_HIGH, 0x80u);
VALUE(ASYS_CALL_LOW, 0x100u);
VALUE(ASYS_CALL_TARGET_SHIFT, 16u);

VALUE(ASYS_QUEUE_SHARED, 1u);
VALUE(ASYS_QUEUE_DRIVER, 2u);
VALUE(ASYS_QUEUE_NO_HELP, 4u);
VALUE(ASYS_QUEUE_NONBLOCK, 8u);
VALUE(ASYS_QUEUE_SQPOLL, 16u);

VALUE(ASYS_ENGINE_AUTO, 0u);
VALUE(ASYS_ENGINE_INLINE, 1u);
VALUE(ASYS_ENGINE_THREADS, 2u);
VALUE(ASYS_ENGINE_READY, 3u);
VALUE(ASYS_ENGINE_URING, 4u);

VALUE(ASYS_CLASS_ANY, 0u);
VALUE(ASYS_CLASS_HOME, 1u);
VALUE(ASYS_CLASS_NEVER, 2u);

int main(void)
{
	if (strcmp(asys_version(), ASYS_VERSION) != 0) {
		fprintf(stderr, "header %s, library %s\n", ASYS_VERSION, asys_version());
		return 1;
	}
	return 0;
}
