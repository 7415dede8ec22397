/* SPDX-License-Identifier: MIT */
/* Random iocbs for every kind of file, under the system's libaio and under the shim. */
#include "libaio_random.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* libaio's, on the kernel's words, which name every field: libaio.h has its own. */
typedef void *io_context_t;
int io_setup(int events, io_context_t *ctx);
int io_destroy(io_context_t ctx);
int io_submit(io_context_t ctx, long nr, struct iocb **iocbs);
int io_cancel(io_context_t ctx, struct iocb *iocb, struct io_event *event);
int io_getevents(io_context_t ctx, long least, long most, struct io_event *events,
		 struct timespec *timeout);
int io_pgetevents(io_context_t ctx, long least, long most, struct io_event *events,
		  struct timespec *timeout, sigset_t *mask);

#define BATCHES 8

static io_context_t ctx;
static struct op ops[OPS_MOST];
static unsigned count;
static unsigned char *arena;

static void submit_batch(void)
{
	struct iocb *list[OPS_MOST];
	unsigned done = 0;
	int n;

	for (unsigned k = 0; k < count; k++)
		list[k] = &ops[k].cb;
	while (done < count) {
		n = io_submit(ctx, (long)(count - done), list + done);
		stop_if(n == 0 || n == -EAGAIN, "io_submit accepts nothing");
		for (int k = 0; k < n; k++)
			ops[done + (unsigned)k].refused = 0;
		done += n > 0 ? (unsigned)n : 0;
		if (n < 0)
			ops[done++].refused = n;
	}
}

/* It is the program's again. */
static void spoil_iocbs(void)
{
	for (unsigned k = 0; k < count; k++) {
		ops[k].cb.aio_buf = 0;
		ops[k].cb.aio_fildes = 902;
		if (ops[k].iov)
			memset(ops[k].iov, 0xff, VECTORS_MOST * sizeof(*ops[k].iov));
	}
}

static void got(const struct io_event *event)
{
	struct op *op = (struct op *)((char *)(uintptr_t)event->obj - offsetof(struct op, cb));

	stop_if(op < ops || op >= ops + count, "an event of no operation");
	stop_if(op->came, "a second event");
	op->came = true;
	op->event = *event;
}

static void get_events(unsigned expected)
{
	struct timespec limit = { 20, 0 };
	struct io_event events[OPS_MOST];
	sigset_t none;
	int n;

	sigemptyset(&none);
	while (expected) {
		unsigned least = once_in(2) ? 1 : 1 + (unsigned)pick(expected);

		if (once_in(4))
			n = io_pgetevents(ctx, least, expected, events, &limit, &none);
		else
			n = io_getevents(ctx, least, expected, events, &limit);
		stop_if(n <= 0, "an event is lost");
		for (int k = 0; k < n; k++)
			got(&events[k]);
		expected -= (unsigned)n;
	}
}

static unsigned pending(bool ready)
{
	unsigned n = 0;

	for (unsigned k = 0; k < count; k++)
		n += !ops[k].refused && !ops[k].came && ops[k].ready == ready;
	return n;
}

/* The kernel reports what woke the poll, so more than was asked for. */
static int64_t result_of(const struct op *op, uint64_t mask)
{
	int64_t result = (int64_t)op->event.res;

	if (op->cb.aio_lio_opcode != IOCB_CMD_POLL || result < 0)
		return result;
	return result & (int64_t)(mask | POLLERR | POLLHUP);
}

static void note_batch(const uint64_t *masks, const uint64_t *data)
{
	for (unsigned k = 0; k < count; k++) {
		struct op *op = &ops[k];

		note("%u %s = ", k, op->what);
		if (op->refused)
			note("refused %d", op->refused);
		else if (!op->came)
			note("pending");
		else
			note("event %lld %llu%s", (long long)result_of(op, masks[k]),
			     (unsigned long long)op->event.res2,
			     op->event.data == data[k] ? "" : " wrong data");
		note(" key %u%s", op->refused ? 0 : op->cb.aio_key,
		     hash_of(op->slot, SLOT) == op->before ? "" : " filled");
		note(" %016llx\n", (unsigned long long)hash_of(op->slot, SLOT));
		free(op->iov);
	}
}

/* Polls that wait: some are cancelled, the world.others get what they wait for. */
static void end_polls(void)
{
	unsigned left, cancelled = 0;
	char c = 0;

	for (unsigned k = 0; k < count; k++) {
		struct io_event event;
		bool waits = !ops[k].refused && !ops[k].came && !ops[k].ready;

		if (waits && (ops[k].kind != QUIET || ops[k].cancel)) {
			note("cancel %s = %d\n", ops[k].what, io_cancel(ctx, &ops[k].cb, &event));
			cancelled++;
		} else if (!waits && ops[k].cancel) {
			note("cancel what is over: %s = %d\n", ops[k].what,
			     io_cancel(ctx, &ops[k].cb, &event));
		}
	}
	get_events(cancelled);
	left = pending(false);
	if (left && write(world.others[QUIET], &c, 1) == 1) {
		struct io_event events[OPS_MOST];
		struct timespec moment = { 0, 20000000 };
		int n = io_getevents(ctx, 1, left, events, &moment);

		for (int k = 0; k < n; k++)
			got(&events[k]);
		stop_if(read(world.fds[QUIET], &c, 1) != 1, "read");
	}
	/* Those that wait for something else than data. */
	left = pending(false);
	for (unsigned k = 0; left && k < count; k++) {
		struct io_event event;

		if (!ops[k].refused && !ops[k].came)
			note("cancel the rest: %s = %d\n", ops[k].what,
			     io_cancel(ctx, &ops[k].cb, &event));
	}
	get_events(left);
}

static void note_signals(void)
{
	uint64_t expected = 0, seen = 0, n;
	struct pollfd p = { .fd = world.tells, .events = POLLIN };

	for (unsigned k = 0; k < count; k++)
		expected += !ops[k].refused && (ops[k].cb.aio_flags & IOCB_FLAG_RESFD);
	while (seen < expected && poll(&p, 1, 10000) == 1 &&
	       read(world.tells, &n, sizeof(n)) == sizeof(n))
		seen += n;
	if (seen == expected)
		note("eventfd = as often as events with it\n");
	else
		note("eventfd = %llu of %llu\n", (unsigned long long)seen,
		     (unsigned long long)expected);
}

static void batch(void)
{
	uint64_t masks[OPS_MOST], data[OPS_MOST], value = 3;

	world.writes_streams = once_in(2);
	world.writes_direct = once_in(2);
	count = 1 + (unsigned)pick(OPS_MOST);
	if (read(world.fds[EVENTFD], &value, sizeof(value)) > 0 || !world.writes_streams)
		value = 3;
	if (!world.writes_streams && once_in(2))
		stop_if(write(world.fds[EVENTFD], &value, sizeof(value)) != sizeof(value), "write");
	if (!world.writes_streams && once_in(2))
		stop_if(write(world.others[SOCKET], "twenty-four bytes of it", 24) != 24, "write");
	for (unsigned k = 0; k < count; k++) {
		prepare(&ops[k], arena + k * (SLOT + GUARD), k);
		masks[k] = ops[k].cb.aio_buf;
		data[k] = ops[k].cb.aio_data;
	}
	submit_batch();
	if (once_in(2))
		spoil_iocbs();
	get_events(pending(true));
	end_polls();
	note_signals();
	note_batch(masks, data);
	note("pipe, socket = %d %d\n", waiting_in(PIPE_OUT), waiting_in(SOCKET));
	note_files();
}

/* The shim's ring has no magic number as long as the program has to ask for events. */
static void check_library(void)
{
	const uint32_t *ring = ctx;

	stop_if(!ring, "no io_setup");
	stop_if((ring[4] == 0xa10a10a1u) != !getenv("ASYS_TEST_SHIM"), "this is the other library");
}

static void wrong_contexts(void)
{
	struct io_event event;
	struct timespec none = { 0, 0 };
	struct iocb cb = { 0 }, *list[] = { &cb, NULL };
	io_context_t zero = NULL;
	long least = (long)pick(5) - 2, most = (long)pick(4) - 1;

	note("io_setup 0 = %d\n", io_setup(0, &zero));
	note("io_setup again = %d\n", io_setup(10, &ctx));
	note("io_setup %d = %d\n", INT_MAX, io_setup(INT_MAX, &zero));
	note("io_submit of %ld = %d\n", least, least < 1 ? io_submit(ctx, least, list) : 0);
	note("io_submit of NULL = %d\n", io_submit(ctx, 2, list + 1));
	note("io_getevents %ld %ld = %d\n", least, most,
	     least > most || least < 1 ? io_getevents(ctx, least, most, &event, &none) : 0);
	note("io_cancel = %d\n", io_cancel(ctx, &cb, &event));
}

static void gone_contexts(io_context_t gone)
{
	struct io_event event;
	struct iocb cb = { 0 }, *list[] = { &cb };

	note("gone: io_submit = %d\n", io_submit(gone, 1, list));
	note("gone: io_cancel = %d\n", io_cancel(gone, &cb, &event));
	note("gone: io_destroy = %d\n", io_destroy(gone));
}

static void one_round(void)
{
	static const int sizes[] = { OPS_MOST, 13, 64, 128, 1000 };
	int size = pick_of(sizes), err;
	unsigned polls = (unsigned)pick(3);
	uint64_t seed = pick(UINT64_MAX);
	struct iocb cb[2], *p;

	world.in_memory = once_in(2);
	world.with_resfd = once_in(3);
	world_open();
	ctx = NULL;
	err = io_setup(size, &ctx);
	if (err == -ENOSYS)
		skip_run();
	note("io_setup %d = %d\n", size, err);
	check_library();
	wrong_contexts();
	for (unsigned k = 0; k < BATCHES; k++) {
		pick_anew(seed + k);
		batch();
	}
	for (unsigned k = 0; k < polls; k++) {
		cb[k] = (struct iocb){ .aio_lio_opcode = IOCB_CMD_POLL,
				       .aio_fildes = (uint32_t)world.fds[QUIET],
				       .aio_buf = POLLIN };
		p = &cb[k];
		note("a poll that stays = %d\n", io_submit(ctx, 1, &p));
	}
	note("io_destroy = %d\n", io_destroy(ctx));
	gone_contexts(ctx);
	world_close();
}

static bool says(const char *line, const char *word)
{
	return strstr(line, word) != NULL;
}

/* A file that has no way to do this: the kernel says so in the call, the shim in the event or not at
 * all, since it cannot tell from outside. */
static bool has_no_such(const char *line)
{
	bool sync = says(line, "op=2") || says(line, "op=3");

	return (says(line, "proc-old op=") || says(line, "epoll op=") ||
		says(line, "eventfd op=") || (sync && says(line, "proc-seq op="))) &&
	       !says(line, "op=5");
}

static const char *documented(const char *native, const char *shim)
{
	unsigned flags = 0;

	if (says(native, " flags="))
		flags = (unsigned)strtoul(strstr(native, " flags=") + 7, NULL, 16);
	if (says(native, "= refused -22") && has_no_such(native))
		return "a file without read_iter, write_iter or fsync";
	if (says(native, "= refused -95") && (flags & 0xc8))
		return "what the file supports is asked when the call runs, after what else is "
		       "wrong";
	if (says(native, "= refused -14") && says(native, "addr=high"))
		return "how long addresses are is the kernel's";
	if (says(native, "eventfd op=") && says(native, "= event -22") && says(shim, "= event 0"))
		return "an empty read by a call with flags does not reach the driver";
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct random_test test = { one_round, documented, 60 };

	arena = random_arena(OPS_MOST, SLOT);
	return random_main(argc, argv, &test);
}
