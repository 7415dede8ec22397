/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include "memory.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* The kernel keeps a few for every processor, twice, two more for the empty place, and fills pages. */
static size_t bytes_for(unsigned wanted)
{
	size_t least = 4 * (size_t)sysconf(_SC_NPROCESSORS_CONF), events, bytes;

	events = 2 * (wanted > least ? wanted : least) + 2;
	bytes = sizeof(struct aio_ring) + events * sizeof(struct io_event);
	return (bytes + page_size() - 1) & ~(page_size() - 1);
}

static uint32_t events_in(size_t bytes)
{
	return (uint32_t)((bytes - sizeof(struct aio_ring)) / sizeof(struct io_event));
}

struct aio_ring *ring_map(unsigned wanted, struct aio_ring **ret_own)
{
	size_t bytes = bytes_for(wanted);
	struct aio_ring *ring =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	void *own;

	if (ring == MAP_FAILED)
		return NULL;
	own = mremap(ring, 0, bytes, MREMAP_MAYMOVE); /* of shared memory: a second view */
	if (own != MAP_FAILED)
		madvise(own, bytes, MADV_DONTFORK);
	*ret_own = own == MAP_FAILED ? ring : own;
	ring->nr = events_in(bytes);
	ring->compat = AIO_RING_COMPAT;
	ring->header_length = sizeof(*ring);
	return ring;
}

void ring_unmap(struct aio_ring *ring, struct aio_ring *own)
{
	size_t bytes = sizeof(*own) + (size_t)own->nr * sizeof(struct io_event);

	bytes = (bytes + page_size() - 1) & ~(page_size() - 1);
	munmap(ring, bytes);
	if (own != ring)
		munmap(own, bytes);
}

/* A copy does not change with it. */
bool ring_is_same(const struct aio_ring *ring, struct aio_ring *own)
{
	struct memory memory = { 0 };
	uint32_t id = atomic_load(&own->id);
	bool same;

	if (!memory_reads(&memory, (uintptr_t)ring, sizeof(*ring)) || atomic_load(&ring->id) != id)
		return false;
	atomic_store(&own->id, ~id);
	same = atomic_load(&ring->id) == ~id;
	atomic_store(&own->id, id);
	return same;
}

/* The program may have put anything there, so nothing here leaves the ring whatever it is. */
static uint32_t within(const struct aio_ring *ring, uint32_t place)
{
	return place < ring->nr ? place : place % ring->nr;
}

uint32_t ring_count(const struct aio_ring *ring)
{
	uint32_t head = within(ring, atomic_load_explicit(&ring->head, memory_order_acquire));
	uint32_t tail = within(ring, atomic_load_explicit(&ring->tail, memory_order_acquire));

	return tail >= head ? tail - head : ring->nr - head + tail;
}

void ring_put(struct aio_ring *ring, const struct io_event *event)
{
	uint32_t tail = within(ring, atomic_load_explicit(&ring->tail, memory_order_relaxed));

	ring->events[tail] = *event;
	tail = tail + 1 < ring->nr ? tail + 1 : 0;
	atomic_store_explicit(&ring->tail, tail, memory_order_release);
}

unsigned ring_take(struct aio_ring *ring, void *ret_events, unsigned most)
{
	uint32_t head = within(ring, atomic_load_explicit(&ring->head, memory_order_relaxed));
	uint32_t tail = within(ring, atomic_load_explicit(&ring->tail, memory_order_acquire));
	unsigned n = 0;

	while (n < most && head != tail) {
		memcpy((char *)ret_events + n++ * sizeof(struct io_event), &ring->events[head],
		       sizeof(struct io_event));
		head = head + 1 < ring->nr ? head + 1 : 0;
	}
	if (n)
		atomic_store_explicit(&ring->head, head, memory_order_release);
	return n;
}
