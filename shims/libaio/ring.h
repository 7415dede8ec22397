/* SPDX-License-Identifier: MIT */
/*
 * The ring of completed events that an io_context_t points to: the kernel's layout, because programs
 * read it themselves (QEMU always, fio with userspace_reap).
 *
 *   byte  0  id         12  tail          24  incompat
 *         4  nr         16  magic         28  header_length, 32
 *         8  head       20  compat        32  nr events of 32 bytes
 *
 * Empty when head == tail; so it holds nr - 1 events at most. Events are put in under the context's
 * lock. They are taken out under it too, or by the program, which is then the only one that takes.
 *
 *   puts                               takes
 *   event written                      tail read, acquire      (1)
 *   tail written, release   -- (1) --> event read
 *   head read, acquire     <-- (2) --  head written, release   (2)
 *   event overwritten
 *
 * (2) is read when a submission is accepted (context_used): what is in flight and what lies in the
 * ring are never more than nr - 1 together, so putting needs no check.
 *
 * The magic number, which tells programs that they may read the ring without asking, is there only
 * while a thread of the shim's own fills it (reaper.h).
 */
#ifndef LIBAIO_RING_H
#define LIBAIO_RING_H

#include <linux/aio_abi.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AIO_RING_MAGIC 0xa10a10a1u
#define AIO_RING_COMPAT 1u

struct aio_ring {
	_Atomic uint32_t id; /* the context's place */
	uint32_t nr;
	_Atomic uint32_t head;
	_Atomic uint32_t tail;
	_Atomic uint32_t magic;
	uint32_t compat;
	uint32_t incompat;
	uint32_t header_length;
	struct io_event events[];
};

_Static_assert(sizeof(struct aio_ring) == 32, "header");
_Static_assert(offsetof(struct aio_ring, nr) == 4, "nr");
_Static_assert(offsetof(struct aio_ring, head) == 8, "head");
_Static_assert(offsetof(struct aio_ring, tail) == 12, "tail");
_Static_assert(offsetof(struct aio_ring, magic) == 16, "magic");
_Static_assert(offsetof(struct aio_ring, compat) == 20, "compat");
_Static_assert(offsetof(struct aio_ring, header_length) == 28, "header_length");
_Static_assert(sizeof(struct io_event) == 32, "event");
_Static_assert(sizeof(struct iocb) == 64, "iocb");

/*
 * As many events as the kernel makes room for when io_setup asks for `wanted`. NULL: no memory. The program may
 * move what it sees of the ring (mremap), and a child that it forks sees it too, so *ret_own is the same memory
 * at an address of the shim's own; or the same address, where there is no such thing.
 */
struct aio_ring *ring_map(unsigned wanted, struct aio_ring **ret_own);
void ring_unmap(struct aio_ring *ring, struct aio_ring *own);
/* Both are the same memory. What is at `ring` is looked at, which may be nothing. One caller at a time. */
bool ring_is_same(const struct aio_ring *ring, struct aio_ring *own);

uint32_t ring_count(const struct aio_ring *ring);
void ring_put(struct aio_ring *ring, const struct io_event *event);
/* Up to `most`, to where they need not be aligned; returns how many. */
unsigned ring_take(struct aio_ring *ring, void *ret_events, unsigned most);

#endif
