/* SPDX-License-Identifier: MIT */
/* The peer liburing, used as well as it can be: see ring.c. Only where liburing was found. */
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include <liburing.h>
#include <stdbool.h>

struct ring {
	struct io_uring uring;
	bool open;
};

/* One way to set it up. */
struct ring_variant {
	const char *name;
	unsigned setup;	  /* IORING_SETUP_... */
	unsigned workers; /* limit of io-wq's threads; 0: the kernel's default */
};

/* The ways to set up a ring that one thread uses. */
#define RING_VARIANTS 3u
extern const struct ring_variant ring_variants[RING_VARIANTS];

/* Sets the ring up anew, for `entries` calls in flight, its descriptor registered. 0 or -errno. */
int ring_use(struct ring *ring, const struct ring_variant *variant, unsigned entries);
void ring_close(struct ring *ring);

/*
 * Submits what was prepared and waits for all `len` results, in as few traps as possible. Each
 * result must be at least `least`. 0, or -errno: the first result that is an error, -EIO for one
 * that is too small. `ret_results`, if not NULL, gets the result of each call at the index that its
 * user data gives.
 */
int ring_run(struct ring *ring, unsigned len, int least, int *ret_results);

#endif
