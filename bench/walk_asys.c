/* SPDX-License-Identifier: MIT */
/*
 * The walker on asys: the same calls, many in flight.
 *
 *   openat ──id──▶ getdents64 ──▶ statx of every entry ──▶ (is a folder) ──▶ openat ...
 *                      ▲   │
 *                      └───┘ until it returns 0; then, once nothing refers to the folder: close
 *
 * openat and the first getdents64 are sent together, the second uses the first one's id. A folder
 * lives as long as something refers to it: its reading, a statx of one of its names, a subfolder
 * that waits to be opened or is being opened. Folders that wait are kept on a stack, so that the
 * walk goes down before it goes wide and the number of open folders stays near ACTIVE times the
 * depth of the tree.
 */
#include "walkers.h"

#include <asys/asys.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH 1024u
#define ACTIVE 4u   /* folders that are being opened and read */
#define STATS 256u  /* statx in flight beyond which no folder is started: they stay in the cache */
#define EVENTS 128u /* taken at once, at most */
#define ENTRY_MAX 4096u /* room for any directory entry */
#define REQUESTS 512u	/* allocated at once */

struct folder {
	struct folder *next;   /* of the free ones */
	struct folder *parent; /* referred to until this one is open */
	const char *name;      /* in the parent's buffer */
	int fd;
	unsigned refs;
	size_t used; /* of buf: names in use */
	bool ended;  /* read to its end */
	char buf[WALK_BUFFER] __attribute__((aligned(16)));
};

struct request {
	struct request *next; /* of the free ones */
	struct folder *folder;
	const char *name;
	struct statx stx;
};

struct chunk {
	struct chunk *next;
	struct request requests[REQUESTS];
};

/* The low bits of an event's user word: whose it is. */
enum tag { TAG_STAT, TAG_OPEN, TAG_READ, TAG_CLOSE, TAG_MASK = 3 };

struct pending {
	struct folder *parent;
	const char *name;
};

struct walk {
	struct asys_queue *queue;
	struct walk_total total;
	struct folder *free_folders;
	struct request *free_requests;
	struct chunk *chunks;
	struct pending *stack;
	size_t stack_len, stack_room;
	unsigned reading; /* folders from openat to their last getdents64 */
	unsigned stats;	  /* statx in flight */
	int err;	  /* memory ran out: nothing new is started */
};

static struct asys_queue *tagged(struct walk *w, void *object, enum tag tag)
{
	return asys_user(w->queue, (uint64_t)(uintptr_t)object | tag);
}

static struct folder *new_folder(struct walk *w)
{
	struct folder *f = w->free_folders;

	if (f)
		w->free_folders = f->next;
	else if (!(f = malloc(sizeof *f)))
		return NULL;
	f->fd = -1;
	f->refs = 1;
	f->used = 0;
	f->ended = false;
	return f;
}

static struct request *new_request(struct walk *w)
{
	struct request *r = w->free_requests;

	if (!r) {
		struct chunk *chunk = malloc(sizeof *chunk);

		if (!chunk)
			return NULL;
		chunk->next = w->chunks;
		w->chunks = chunk;
		for (unsigned i = 0; i < REQUESTS; i++) {
			chunk->requests[i].next = r;
			r = &chunk->requests[i];
		}
	}
	w->free_requests = r->next;
	return r;
}

static void start_folder(struct walk *w, struct folder *parent, const char *name)
{
	int dir = parent ? parent->fd : AT_FDCWD;
	struct folder *f = new_folder(w);
	asys_id id;

	if (!f) {
		w->err = -ENOMEM;
		return;
	}
	f->parent = parent;
	f->name = name;
	w->reading++;
	id = asys_openat(tagged(w, f, TAG_OPEN), dir, name,
			 O_RDONLY | O_DIRECTORY | O_CLOEXEC | (parent ? O_NOFOLLOW : 0), 0);
	asys_getdents64(tagged(w, f, TAG_READ), id, (void *)f->buf, WALK_BUFFER);
}

static void read_on(struct walk *w, struct folder *f)
{
	asys_getdents64(tagged(w, f, TAG_READ), f->fd, (void *)(f->buf + f->used),
			WALK_BUFFER - f->used);
}

/* One reference less. The last one closes the folder, or reads on if that waited for room. */
static void drop(struct walk *w, struct folder *f)
{
	if (--f->refs)
		return;
	if (!f->ended && !w->err) {
		f->refs = 1;
		f->used = 0;
		read_on(w, f);
		return;
	}
	if (f->fd >= 0)
		asys_close(asys_quiet(tagged(w, f, TAG_CLOSE)), f->fd);
	f->next = w->free_folders;
	w->free_folders = f;
}

static void push(struct walk *w, struct folder *parent, const char *name)
{
	if (w->stack_len == w->stack_room) {
		size_t room = w->stack_room ? w->stack_room * 2 : 256;
		struct pending *stack = realloc(w->stack, room * sizeof *stack);

		if (!stack) {
			w->err = -ENOMEM;
			drop(w, parent);
			return;
		}
		w->stack = stack;
		w->stack_room = room;
	}
	w->stack[w->stack_len++] = (struct pending){ parent, name };
}

static void send_stat(struct walk *w, struct folder *f, const char *name)
{
	struct request *r = new_request(w);

	if (!r) {
		w->err = -ENOMEM;
		return;
	}
	r->folder = f;
	r->name = name;
	f->refs++;
	w->stats++;
	asys_statx(tagged(w, r, TAG_STAT), f->fd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS,
		   &r->stx);
}

static bool is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static void on_open(struct walk *w, struct folder *f, int64_t result)
{
	f->fd = result < 0 ? -1 : (int)result;
	if (f->parent)
		drop(w, f->parent);
	else if (result < 0)
		w->err = (int)result;
}

static void on_read(struct walk *w, struct folder *f, int64_t result)
{
	char *at = f->buf + f->used, *end = at + (result > 0 ? result : 0);

	while (at < end) {
		struct dirent64 *entry = (struct dirent64 *)(void *)at;

		at += entry->d_reclen;
		if (!is_dot(entry->d_name))
			send_stat(w, f, entry->d_name);
	}
	if (result <= 0) {
		w->total.errors += result < 0;
		w->reading--;
		f->ended = true;
		drop(w, f);
		return;
	}
	f->used += (size_t)result;
	if (WALK_BUFFER - f->used >= ENTRY_MAX)
		read_on(w, f);
	else
		drop(w, f);
}

static void on_stat(struct walk *w, struct request *r, int64_t result)
{
	struct folder *f = r->folder;

	w->stats--;
	if (result < 0) {
		w->total.errors++;
		drop(w, f);
	} else if (S_ISDIR(r->stx.stx_mode)) {
		w->total.folders++;
		push(w, f, r->name);
	} else {
		w->total.files++;
		w->total.bytes += r->stx.stx_size;
		drop(w, f);
	}
	r->next = w->free_requests;
	w->free_requests = r;
}

static void on_event(struct walk *w, const struct asys_event *event)
{
	void *object = (void *)(uintptr_t)(event->user & ~(uint64_t)TAG_MASK);

	switch ((enum tag)(event->user & TAG_MASK)) {
	case TAG_STAT:
		on_stat(w, object, event->result);
		break;
	case TAG_OPEN:
		on_open(w, object, event->result);
		break;
	case TAG_READ:
		on_read(w, object, event->result);
		break;
	default: /* a close that failed */
		w->total.errors++;
	}
}

/* As many folders as may be read at once. */
static void fill(struct walk *w)
{
	while (w->stack_len && w->reading < ACTIVE && w->stats < STATS && !w->err) {
		struct pending *top = &w->stack[--w->stack_len];

		start_folder(w, top->parent, top->name);
	}
}

static int run(struct walk *w, const char *path)
{
	struct asys_event events[EVENTS];

	start_folder(w, NULL, path);
	while (w->reading || w->stats) {
		unsigned min = w->stats / 4 + 1;
		int n = asys_queue_get_many(w->queue, events, EVENTS, min, ASYS_FOREVER);

		if (n < 0 && n != -EINTR)
			return n;
		for (int i = 0; i < n; i++)
			on_event(w, &events[i]);
		fill(w);
	}
	return w->err;
}

static void free_all(struct walk *w)
{
	while (w->free_folders) {
		struct folder *f = w->free_folders;

		w->free_folders = f->next;
		free(f);
	}
	while (w->chunks) {
		struct chunk *chunk = w->chunks;

		w->chunks = chunk->next;
		free(chunk);
	}
	free(w->stack);
}

int walk_asys(const char *path, struct walk_total *ret_total)
{
	struct walk w = { .queue = NULL };
	struct asys_queue_options options;
	int err;

	asys_queue_options_init(&options);
	options.depth = DEPTH;
	err = asys_queue_open(&w.queue, &options);
	if (err)
		return err;
	err = run(&w, path);
	if (!err)
		err = asys_queue_barrier(w.queue);
	asys_queue_close(w.queue);
	free_all(&w);
	if (!err)
		*ret_total = w.total;
	return err;
}
