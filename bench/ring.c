/* SPDX-License-Identifier: MIT */
/*
 * What liburing's own documentation advises for one thread: a single issuer that runs its task work
 * itself, a registered ring descriptor, one trap to submit a batch and wait for it, results reaped
 * straight from the ring and released at once. Registered files and buffers are left out: they name
 * in advance what is read, which a plain pread does not. The plain flags are tried too, and a
 * benchmark uses whichever is fastest on the machine.
 */
#include "ring.h"

#include <errno.h>
#include <string.h>

const struct ring_variant ring_variants[RING_VARIANTS] = {
	{ "SINGLE_ISSUER|DEFER_TASKRUN", IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	  0 },
	{ "SINGLE_ISSUER|COOP_TASKRUN", IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN, 0 },
	{ "plain flags", 0, 0 },
};

void ring_close(struct ring *ring)
{
	if (ring->open)
		io_uring_queue_exit(&ring->uring);
	ring->open = false;
}

int ring_use(struct ring *ring, const struct ring_variant *variant, unsigned entries)
{
	unsigned workers[2] = { variant->workers, variant->workers };
	int err;

	ring_close(ring);
	err = io_uring_queue_init(entries, &ring->uring, variant->setup);
	if (err)
		return err;
	ring->open = true;
	err = io_uring_register_ring_fd(&ring->uring);
	/* Kernels before 5.18 cannot, and are no worse off than their users were then. */
	if (err < 0 && err != -EINVAL)
		return err;
	return variant->workers ? io_uring_register_iowq_max_workers(&ring->uring, workers) : 0;
}

int ring_run(struct ring *ring, unsigned len, int least, int *ret_results)
{
	int err = 0;

	for (unsigned done = 0; done < len;) {
		struct io_uring_cqe *cqe;
		unsigned head, got = 0;
		int n = io_uring_submit_and_wait(&ring->uring, len - done);

		if (n < 0 && n != -EINTR)
			return n;
		io_uring_for_each_cqe(&ring->uring, head, cqe)
		{
			if (cqe->res < least && !err)
				err = cqe->res < 0 ? cqe->res : -EIO;
			if (ret_results)
				ret_results[cqe->user_data] = cqe->res;
			got++;
		}
		io_uring_cq_advance(&ring->uring, got);
		done += got;
	}
	return err;
}
