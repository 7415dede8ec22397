/* SPDX-License-Identifier: MIT */
/*
 * asys in the benchmark files: one chain, built once, sent for every file with its name and its
 * buffers. How many of them are in flight is chosen by trying.
 *
 *   openat ──┬──▶ fstat ──┐
 *            └──▶ read  ──┴──▶ close, in any case
 */
#include "files.h"

#include <asys/asys.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define WINDOW_MAX 1024u
#define EVENTS 256u
#define WINDOWS 5u

struct request {
	struct stat st;
	unsigned index;
	char buf[FILES_BUFFER];
};

struct ours {
	struct files files;
	struct asys_queue *queue;
	struct asys_chain *chain;
	struct request *requests; /* one for each in flight */
	unsigned window;
};

static int build(struct ours *o)
{
	struct asys_chain *c;
	asys_id fd, n;
	int err = asys_chain_open(&o->chain, NULL);

	if (err)
		return err;
	c = o->chain;
	fd = asys_openat(c, o->files.set->root, asys_param(c, 0), O_RDONLY | O_NONBLOCK | O_CLOEXEC,
			 0);
	asys_fstat(c, fd, asys_param(c, 1));
	n = asys_read(c, fd, asys_param(c, 2), FILES_BUFFER);
	asys_chain_finally(c);
	asys_close(c, fd);
	asys_chain_end(c);
	err = asys_chain_result(c, n);
	return err ? err : asys_chain_ready(c);
}

static int start(struct ours *o, unsigned slot)
{
	struct request *r = &o->requests[slot];

	r->index = files_next(&o->files);
	return asys_error(asys_chain_send(asys_user(o->queue, slot), o->chain,
					  o->files.set->names[r->index], &r->st, r->buf));
}

/* Every event frees its request for the next file. */
static int run(struct ours *o, uint64_t ops)
{
	struct asys_event events[EVENTS];
	uint64_t sent = 0, ended = 0;
	int err = 0;

	for (; sent < o->window && sent < ops && !err; sent++)
		err = start(o, (unsigned)sent);
	while (ended < sent && !err) {
		uint64_t flying = sent - ended;
		unsigned min = o->window / 4 < flying ? o->window / 4 : (unsigned)flying;
		int n = asys_queue_get_many(o->queue, events, EVENTS, min, ASYS_FOREVER);

		if (n < 0)
			return n;
		for (int i = 0; i < n && !err; i++) {
			const struct request *r = &o->requests[events[i].user];

			err = files_check(&o->files, r->index, r->st.st_size, events[i].result,
					  r->buf);
			if (!err && sent < ops) {
				err = start(o, (unsigned)events[i].user);
				sent++;
			}
		}
		ended += (unsigned)n;
	}
	return err;
}

static int ours_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	uint64_t start_ns = bench_now();
	int err;

	ops = files_ops(ops);
	err = run(child->state, ops);

	ret_cost->ns = bench_now() - start_ns;
	ret_cost->ops = ops;
	return err;
}

static int ours_use(struct bench_child *child, unsigned variant)
{
	static const unsigned windows[WINDOWS] = { 16, 32, 64, 256, WINDOW_MAX };
	struct ours *o = child->state;

	o->window = windows[variant];
	snprintf(child->note, sizeof child->note, "%u in flight", o->window);
	return 0;
}

static void ours_close(struct bench_child *child)
{
	struct ours *o = child->state;

	asys_queue_close(o->queue);
	asys_chain_close(o->chain);
	free(o->requests);
	free(o);
}

static int ours_open(struct bench_child *child)
{
	struct asys_queue_options options;
	struct ours *o;
	int err = files_open(child, sizeof(struct ours));

	if (err)
		return err;
	o = child->state;
	o->requests = calloc(WINDOW_MAX, sizeof *o->requests);
	if (!o->requests)
		return -ENOMEM;
	asys_queue_options_init(&options);
	options.depth = WINDOW_MAX;
	err = asys_queue_open(&o->queue, &options);
	if (!err)
		err = build(o);
	if (!err)
		err = bench_fastest(child, WINDOWS, o->files.set->trial, ours_use, ours_round);
	if (err < 0)
		snprintf(child->note, sizeof child->note, "%s", asys_message());
	return err < 0 ? err : 0;
}

const struct bench_side files_side_asys = { "asys", ours_open, ours_round, ours_close };
