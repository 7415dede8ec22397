/* SPDX-License-Identifier: MIT */
/* The kernel's calls for AIO are no cancellation points, but what stands for them makes calls that are, and
 * holds locks then. SHIM_NO_CANCEL; at the top of a function keeps a request of pthread_cancel for later. */
#ifndef SHIM_CANCEL_H
#define SHIM_CANCEL_H

#include <pthread.h>

static inline int shim_cancel_off(void)
{
	int before = PTHREAD_CANCEL_ENABLE;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	return before;
}

static inline void shim_cancel_back(const int *before)
{
	int unused;

	pthread_setcancelstate(*before, &unused);
}

#define SHIM_NO_CANCEL \
	__attribute__((cleanup(shim_cancel_back), unused)) const int shim_cancel = shim_cancel_off()

#endif
