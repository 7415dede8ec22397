/* SPDX-License-Identifier: MIT */
/* Scenes in which calls wait for somebody else, a peer or the calls of a second lane, and go on. */
#include "generate.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Far away: a limit of time that is never reached. */
#define LONG_US 60000000u

static const uint8_t stream_kinds[] = {
	O_PIPE, O_PIPE, O_STREAM, O_STREAM, O_STREAM, O_PTY, O_TCP
};

static bool is_socket(unsigned kind)
{
	return kind != O_PIPE && kind != O_PTY;
}

static uint32_t soon(struct gen *g)
{
	return pick(g, 3) ? pick(g, 150) : pick(g, 1500);
}

/* Every byte that comes is asked for, so it does not matter when it comes. */
static void fed(struct gen *g)
{
	const unsigned kind = chance(g, 16) ? pick_of(g, stream_kinds) : stream_kinds[pick(g, 5)];
	const unsigned o = add_object(g, kind, F_PEER);
	const unsigned calls = 1 + pick(g, 3);
	uint32_t at = 0;

	g->strict = true;
	if (is_socket(kind) && chance(g, 3))
		g->program->object[o].receive_us = LONG_US;
	for (unsigned k = 0; k < calls; k++) {
		const uint32_t size = 1 + pick(g, 1000);
		const bool pieces = is_socket(kind) && chance(g, 2);
		struct op *op;

		at += soon(g);
		if (pieces) {
			const uint32_t first = pick(g, size);

			if (first)
				add_step(g, P_FEED, o, 1, chance(g, 2) ? 0 : at, first);
			at += soon(g);
			add_step(g, P_FEED, o, 1, at, size - first);
			op = add_read(g, end_of(o, 0), true, size, MSG_WAITALL, true);
		} else {
			add_step(g, P_FEED, o, 1, at, size);
			if (chance(g, 3))
				ADD(g, SYS_poll,
				    words(1, (uint64_t)world_fd(o, 0) | (uint64_t)POLLIN << 32, 0,
					  0, 0),
				    num(1), num(chance(g, 2) ? -1 : 60000));
			op = add_read(g, end_of(o, 0), is_socket(kind), size,
				      is_socket(kind) && chance(g, 4) ? MSG_WAITALL : 0, true);
		}
		op->last = true;
	}
	for (unsigned i = g->program->ops; i-- && g->program->op[i].lane == g->program->lanes;)
		g->program->op[i].last = true;
	/* The last one may be cut short: nobody comes after it. */
	g->program->op[g->program->ops - 1].last = false;
}

/* Messages keep their borders. */
static void fed_messages(struct gen *g)
{
	static const uint8_t kinds[] = { O_DGRAM, O_SEQPACKET, O_UDP };
	static const int flags[] = { 0, 0, MSG_WAITALL, MSG_TRUNC };
	const unsigned o = add_object(g, pick_of(g, kinds), F_PEER);
	const unsigned calls = 1 + pick(g, 3);
	uint32_t at = 0;

	g->strict = true;
	if (chance(g, 3))
		g->program->object[o].receive_us = LONG_US;
	for (unsigned k = 0; k < calls; k++) {
		struct op *op;

		at += soon(g);
		add_step(g, P_FEED, o, 1, at, 1 + pick(g, 1000));
		op = add_read(g, end_of(o, 0), true, 1 + pick(g, 1500), pick_of(g, flags), true);
		op->stream = false;
		op->last = k + 1 < calls;
	}
}

/* An end that closes while somebody waits. */
static void fed_end(struct gen *g)
{
	const unsigned kind = pick(g, 2) ? O_PIPE : O_STREAM;
	const unsigned o = add_object(g, kind, F_PEER);
	const uint32_t size = pick(g, 500);

	g->strict = true;
	if (size)
		add_step(g, P_FEED, o, 1, soon(g), size);
	add_step(g, kind == O_STREAM && chance(g, 2) ? P_SHUTDOWN : P_CLOSE, o, 1, 50 + soon(g), 0);
	if (size)
		add_read(g, end_of(o, 0), kind == O_STREAM, size, 0, true)->last = true;
	add_read(g, end_of(o, 0), kind == O_STREAM, 1 + pick(g, 500),
		 kind == O_STREAM && chance(g, 2) ? MSG_WAITALL : 0, true);
	if (chance(g, 3))
		add_read(g, end_of(o, 0), kind == O_STREAM, 10, 0, true);
}

/* More than there is room for, and a slow reader: a blocking transfer is whole nevertheless. */
static void drained(struct gen *g)
{
	static const uint32_t sizes[] = { 100, 5000, 70000, 150000, 300000, 400000 };
	const unsigned kind = chance(g, 16) ? O_TCP : stream_kinds[pick(g, 5)];
	const unsigned o = add_object(g, kind, F_PEER | (chance(g, 2) ? F_SMALL : 0));
	const unsigned calls = 1 + pick(g, 2);
	uint32_t total = 0;

	/* Small windows of TCP cost timers of some 200 ms. */
	if (kind == O_TCP)
		g->program->object[o].flags &= (uint16_t)~F_SMALL;
	g->strict = true;
	if (is_socket(kind) && chance(g, 2))
		g->program->object[o].send_us = LONG_US;
	for (unsigned k = 0; k < calls; k++) {
		const uint32_t size = g->program->object[o].flags & F_SMALL ?
					      sizes[pick(g, 2)] + pick(g, 20000) :
					      pick_of(g, sizes);
		struct op *op = add_write(g, end_of(o, 0 + (kind == O_PIPE)), is_socket(kind), size,
					  is_socket(kind) && chance(g, 3) ? MSG_NOSIGNAL : 0, true);

		op->last = k + 1 < calls;
		total += size;
	}
	for (uint32_t k = 1 + pick(g, 3), at = soon(g); k; k--, at += soon(g))
		add_step(g, P_DRAIN, o, kind != O_PIPE, at, total / k);
	if (kind == O_PIPE) {
		/* The peer is at the end that reads here. */
		g->program->object[o].flags &= (uint16_t)~F_PEER;
		g->program->object[o].flags |= F_NONBLOCK_0;
	}
}

/* A file into a socket or pipe that has no room. */
static void drained_copy(struct gen *g)
{
	const unsigned file = add_object(g, O_FILE, 0);
	const unsigned o = add_object(g, O_STREAM, F_PEER | (chance(g, 2) ? F_SMALL : 0));
	const uint32_t size = 20000;

	g->strict = true;
	g->program->object[file].open_flags = O_RDONLY;
	g->program->object[file].fill = size;
	as_stream(ADD(g, SYS_sendfile, end_of(o, 0), end_of(file, 0), num(0), num(size)), 3);
	add_step(g, P_DRAIN, o, 1, soon(g), size);
}

/* ---- two lanes ------------------------------------------------------------------------------ */

/* From the call `first` on: they are made beside the others in the plain run, and none is cut short. */
static void apart(struct gen *g, unsigned first, bool beside)
{
	for (unsigned i = first; i < g->program->ops; i++) {
		g->program->op[i].apart = beside;
		g->program->op[i].last = true;
	}
}

static void second_lane(struct gen *g)
{
	g->program->lanes++;
	g->last = -1;
}

/* Writes and reads of the same sizes, each at once. */
static void pair(struct gen *g)
{
	static const uint8_t kinds[] = { O_PIPE, O_PIPE, O_STREAM, O_DGRAM, O_SEQPACKET };
	const unsigned kind = pick_of(g, kinds);
	const unsigned o = add_object(g, kind, 0);
	const unsigned calls = 1 + pick(g, 2), first = g->program->ops;
	const uint32_t size = 1 + pick(g, 2000);
	const bool socket = is_socket(kind);

	g->strict = true;
	for (unsigned k = 0; k < calls; k++)
		add_read(g, end_of(o, 0), socket, size, kind == O_STREAM ? MSG_WAITALL : 0, true);
	apart(g, first, false);
	second_lane(g);
	for (unsigned k = 0; k < calls; k++)
		add_write(g, end_of(o, 1), socket, size, 0, true);
	apart(g, first + calls, true);
}

/* One that writes much and one that reads all of it. */
static void pair_large(struct gen *g)
{
	const unsigned o = add_object(g, O_STREAM, chance(g, 2) ? F_SMALL : 0);
	const unsigned first = g->program->ops;
	const uint32_t size = 1 + pick(g, 60000);

	g->strict = true;
	if (chance(g, 2))
		g->program->object[o].receive_us = g->program->object[o].send_us = LONG_US;
	add_read(g, end_of(o, 0), true, size, MSG_WAITALL, true);
	apart(g, first, false);
	second_lane(g);
	add_write(g, end_of(o, 1), true, size, 0, true);
	apart(g, first + 1, true);
}

/* Both ends of a FIFO opened in one queue. */
static void fifo(struct gen *g)
{
	const unsigned o = add_object(g, O_FIFO, 0);
	const unsigned first = g->program->ops;
	const uint32_t size = 1 + pick(g, 2000);
	struct op *fd;

	g->strict = true;
	fd = makes_fd(
		ADD(g, SYS_openat, num(FD_FOLDER), text_of_object(0, o), num(O_RDONLY), num(0)));
	add_read(g, result_of(g, fd), false, size, 0, true);
	if (chance(g, 2))
		ADD(g, SYS_close, result_of(g, fd));
	apart(g, first, false);
	second_lane(g);
	fd = makes_fd(
		ADD(g, SYS_openat, num(FD_FOLDER), text_of_object(0, o), num(O_WRONLY), num(0)));
	add_write(g, result_of(g, fd), false, size, 0, true);
	for (unsigned i = first; i < g->program->ops; i++)
		g->program->op[i].last = true;
	for (unsigned i = op_index(g, fd); i < g->program->ops; i++)
		g->program->op[i].apart = true;
}

/* A connection made and taken in one queue, and something sent over it. */
static void accept_connect(struct gen *g)
{
	const unsigned o = add_object(g, O_LISTEN, 0);
	const unsigned first = g->program->ops;
	const uint32_t size = 1 + pick(g, 2000);
	unsigned second;
	struct op *fd;

	g->strict = true;
	if (chance(g, 3))
		g->program->object[o].receive_us = LONG_US;
	fd = makes_fd(ADD(g, SYS_accept4, end_of(o, 0), num(0), num(0), num(SOCK_CLOEXEC)));
	add_read(g, result_of(g, fd), true, size, MSG_WAITALL, true);
	if (chance(g, 2))
		ADD(g, SYS_close, result_of(g, fd));
	apart(g, first, false);
	second_lane(g);
	second = g->program->ops;
	ADD(g, SYS_connect, end_of(o, 1), text_of_object(3, o), num(24));
	add_write(g, end_of(o, 1), true, size, 0, true);
	apart(g, second, true);
}

/* Not honoured where epoll or the ring waits: docs/LIMITS.md. */
static void low_mark(struct gen *g)
{
	const unsigned o = add_object(g, O_STREAM, F_PEER | F_LOW_MARK);

	g->strict = true;
	add_step(g, P_FEED, o, 1, soon(g), 25);
	add_step(g, P_FEED, o, 1, 100 + soon(g), 25);
	add_read(g, end_of(o, 0), true, 100, 0, true)->last = true;
}

const struct scene scenes_flow[] = {
	{ "fed", fed, 9, 6, false, false },
	{ "fed-messages", fed_messages, 4, 3, false, false },
	{ "fed-end", fed_end, 4, 3, false, false },
	{ "drained", drained, 6, 2, false, false },
	{ "drained-copy", drained_copy, 2, 1, false, false },
	{ "pair", pair, 5, 4, true, false },
	{ "pair-large", pair_large, 3, 2, true, false },
	{ "fifo", fifo, 3, 5, true, false },
	{ "accept", accept_connect, 3, 5, true, false },
	{ "low-mark", low_mark, 3, 1, false, true },
	{ 0 },
};
