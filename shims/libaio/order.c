/* SPDX-License-Identifier: MIT */
/*
 * What must not overtake what (A5). The kernel runs operations on the page cache, pipes and sockets in
 * io_submit, so programs see them in the order of submission; O_DIRECT has no order there either. Where
 * an append goes, and what a read at the end of the file finds, depends on all writes before.
 *
 * An operation that has to wait for others is held here, with the number of those, and is sent when the
 * last one has been settled. Nothing is said to the queue (asys_after): whoever gets events may have
 * taken one out of the queue that is not settled yet, and an id is over from that moment on.
 */
#include "order.h"

#include "settle.h"
#include "submit.h"

static bool is_sync(const struct request *r)
{
	return r->opcode == IOCB_CMD_FSYNC || r->opcode == IOCB_CMD_FDSYNC;
}

/* Without a sign: one of them may be wrong in ways that are looked at later. */
static uint64_t end_of(const struct request *r)
{
	return (uint64_t)r->offset + r->bytes;
}

static bool overlap(const struct request *a, const struct request *b)
{
	return (uint64_t)a->offset < end_of(b) && (uint64_t)b->offset < end_of(a);
}

/* The write may move the end of the file that the read meets. */
static bool moves_end(const struct request *write, const struct request *read)
{
	return read->end && (write->append || end_of(write) > (uint64_t)read->offset);
}

static bool comes_after(const struct request *r, const struct request *before)
{
	if (before->fd != r->fd || is_sync(before) || before->opcode == IOCB_CMD_POLL)
		return false;
	if (is_sync(r))
		return before->write;
	if (r->sort == FILE_STREAM || before->sort == FILE_STREAM)
		return r->write == before->write;
	if (before->sort == FILE_DIRECT || !(r->write || before->write))
		return false;
	if (overlap(r, before))
		return true;
	if (r->write && before->write)
		return r->append || before->append;
	return r->write ? moves_end(r, before) : moves_end(before, r);
}

uint32_t order_count(const struct context *ctx, const struct operation *older,
		     const struct request *request)
{
	bool reads = !request->write && request->kind != FILE_STREAM;
	uint32_t count = 0;

	/* Without writes in flight, reads of files and fsync come after nothing. */
	if (request->opcode == IOCB_CMD_POLL || request->kind == FILE_DIRECT ||
	    (reads && !atomic_load_explicit(&ctx->writes, memory_order_relaxed)))
		return 0;
	for (const struct operation *op = older; op; op = op->next)
		count += comes_after(request, &op->request);
	return count;
}

/* Newer ones that waited for this one. */
void order_release(struct context *ctx, const struct operation *ended)
{
	struct operation *op = ended->previous, *newer;

	for (; ctx->held && op; op = newer) {
		newer = op->previous;
		if (!op->blockers || !comes_after(&op->request, &ended->request) || --op->blockers)
			continue;
		ctx->held--;
		submit_released(ctx, op);
	}
}
