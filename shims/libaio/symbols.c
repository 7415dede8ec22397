/* SPDX-License-Identifier: MIT */
/* The exported names of libaio 0.3.113, in all their versions; libaio.map has the list. */
#include "symbols.h"

#include "../common/cancel.h"
#include "../common/errno.h"
#include "../common/stats.h"
#include "context.h"

#include <stdint.h>

/* `function` is what programs find as `version`. */
#define EXPORT(function, version)                        \
	__asm__(".symver " #function ", " version "\n"); \
	__attribute__((visibility("default"), used)) __typeof__(function) function

typedef void (*callback)(void *ring, struct iocb *iocb, long result, long result2);

int setup_0_4(int events, void **ret_ring);
int destroy_0_4(void *ring);
int submit_0_1(void *ring, long nr, struct iocb **iocbs);
int cancel_0_1(void *ring, struct iocb *iocb);
int cancel_0_4(void *ring, struct iocb *iocb, struct io_event *event);
int getevents_0_1(void *ring, long nr, struct io_event *events, const struct timespec *timeout);
int getevents_0_4(void *ring, long least, long most, struct io_event *events,
		  struct timespec *timeout);
int pgetevents_0_5(void *ring, long least, long most, struct io_event *events,
		   struct timespec *timeout, sigset_t *mask);
int queue_init_0_1(int events, void **ret_ring);
int queue_run_0_1(void *ring);
int queue_wait_0_1(void *ring, const struct timespec *timeout);
int queue_wait_0_4(void *ring, struct timespec *timeout);
int queue_release_0_1(void *ring);

EXPORT(setup_0_4, "io_setup@@LIBAIO_0.4");
int setup_0_4(int events, void **ret_ring)
{
	SHIM_NO_CANCEL;
	SHIM_KEEP_ERRNO;

	shim_count_native(1);
	return (int)shim_error(context_setup((unsigned)events, ret_ring));
}

EXPORT(destroy_0_4, "io_destroy@@LIBAIO_0.4");
int destroy_0_4(void *ring)
{
	SHIM_NO_CANCEL;
	SHIM_KEEP_ERRNO;

	shim_count_native(1);
	return context_destroy(ring);
}

EXPORT(submit_0_1, "io_submit@@LIBAIO_0.1");
int submit_0_1(void *ring, long nr, struct iocb **iocbs)
{
	return shim_io_submit(ring, nr, iocbs);
}

/* The old form has no place for an event; the event comes as any other. */
EXPORT(cancel_0_1, "io_cancel@LIBAIO_0.1");
int cancel_0_1(void *ring, struct iocb *iocb)
{
	return shim_io_cancel(ring, iocb, NULL);
}

EXPORT(cancel_0_4, "io_cancel@@LIBAIO_0.4");
int cancel_0_4(void *ring, struct iocb *iocb, struct io_event *event)
{
	return shim_io_cancel(ring, iocb, event);
}

/* The old form waits for one event at least. */
EXPORT(getevents_0_1, "io_getevents@LIBAIO_0.1");
int getevents_0_1(void *ring, long nr, struct io_event *events, const struct timespec *timeout)
{
	return shim_io_getevents(ring, 1, nr, events, timeout);
}

EXPORT(getevents_0_4, "io_getevents@@LIBAIO_0.4");
int getevents_0_4(void *ring, long least, long most, struct io_event *events,
		  struct timespec *timeout)
{
	return shim_io_getevents(ring, least, most, events, timeout);
}

EXPORT(pgetevents_0_5, "io_pgetevents@@LIBAIO_0.5");
int pgetevents_0_5(void *ring, long least, long most, struct io_event *events,
		   struct timespec *timeout, sigset_t *mask)
{
	return shim_io_pgetevents(ring, least, most, events, timeout, mask);
}

EXPORT(queue_init_0_1, "io_queue_init@@LIBAIO_0.1");
int queue_init_0_1(int events, void **ret_ring)
{
	SHIM_NO_CANCEL;
	SHIM_KEEP_ERRNO;

	if (events <= 0)
		return -EINVAL;
	shim_count_native(1);
	return (int)shim_error(context_setup_anew((unsigned)events, ret_ring));
}

/* Calls what io_set_callback put into each iocb whose event is there. */
EXPORT(queue_run_0_1, "io_queue_run@@LIBAIO_0.1");
int queue_run_0_1(void *ring)
{
	struct timespec none = { 0, 0 };
	struct io_event event;
	int n;

	while ((n = shim_io_getevents(ring, 0, 1, &event, &none)) == 1) {
		callback call = (callback)(uintptr_t)event.data;

		call(ring, (struct iocb *)(uintptr_t)event.obj, (long)event.res, (long)event.res2);
	}
	return n;
}

/* Waits for nothing, as libaio's: it asks for no event at all. */
EXPORT(queue_wait_0_1, "io_queue_wait@LIBAIO_0.1");
int queue_wait_0_1(void *ring, const struct timespec *timeout)
{
	return shim_io_getevents(ring, 0, 0, NULL, timeout);
}

EXPORT(queue_wait_0_4, "io_queue_wait@@LIBAIO_0.4");
int queue_wait_0_4(void *ring, struct timespec *timeout)
{
	return shim_io_getevents(ring, 0, 0, NULL, timeout);
}

EXPORT(queue_release_0_1, "io_queue_release@@LIBAIO_0.1");
int queue_release_0_1(void *ring)
{
	return destroy_0_4(ring);
}
