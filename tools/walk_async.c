/* SPDX-License-Identifier: MIT */
/*
 * The walk of walk.c through a queue: the same calls, many of them in flight.
 *
 *   folder: openat ─id→ getdents64 → its entries → getdents64 … → close
 *   entry:  statx → (a regular file, and a buffer is free) openat ─id→ pread64 … → close
 *
 * "─id→" is data flow: the second call is sent together with the first and takes its result as
 * its descriptor. A small file costs three turns of the loop: statx; then open, read and close at once.
 */
#include "demo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDERS 16u
#define FILES 128u
#define BUFFERS 64u /* most files fill a part of one, so what is read stays in the cache */
#define EVENTS 64u

/* In the low bits of an event's user word, beside the folder or file: which of its calls ended. */
enum step { STEP_NONE = 0, STEP_FOLDER_OPEN, STEP_FOLDER_LIST, STEP_STAT, STEP_OPEN, STEP_READ };
#define STEP_BITS 7u

struct folder {
	struct folder *next; /* in `free_folders` or `listed` */
	struct walk_path *path;
	int fd;
	unsigned awaited; /* events until its list can be used */
	unsigned users;	  /* files that use fd and names */
	int64_t size;	  /* of the list, or -errno */
	int64_t at;	  /* the next entry */
	char names[WALK_CHUNK] __attribute__((aligned(8)));
};

struct file {
	struct file *next; /* in `free_files` or `ready` */
	struct folder *folder;
	const char *name; /* in folder->names */
	char *data;	  /* a buffer while it is read */
	uint64_t offset;
	int fd; /* of a file that needs more than one read */
	struct statx info;
};

struct buffer {
	struct buffer *next;
};

struct crawler {
	struct asys_queue *queue;
	struct walk *walk;
	struct cost *cost;
	struct progress *progress;
	struct walk_path *stack; /* folders found and not begun */
	struct folder *free_folders;
	struct folder *listed; /* folders with entries to visit */
	struct file *free_files;
	struct file *ready; /* files that wait for a buffer */
	struct buffer *free_buffers;
	unsigned busy;	  /* folders in work */
	unsigned awaited; /* events */
	uint64_t device;
	int err; /* the first call that could not be sent */
	struct folder folders[FOLDERS];
	struct file files[FILES];
	char buffers[BUFFERS][WALK_CHUNK] __attribute__((aligned(64)));
};

/* The queue, with the next call's user word set. */
static struct asys_queue *tagged(struct crawler *crawler, void *what, enum step step)
{
	return asys_user(crawler->queue, (uintptr_t)what | step);
}

static asys_id sent_quietly(struct crawler *crawler, asys_id id)
{
	crawler->cost->calls++;
	if (asys_error(id) < 0 && crawler->err == 0)
		crawler->err = asys_error(id);
	return id;
}

static asys_id sent(struct crawler *crawler, asys_id id)
{
	crawler->awaited += asys_error(id) == 0;
	return sent_quietly(crawler, id);
}

static void list_folder(struct crawler *crawler, struct folder *folder)
{
	folder->awaited = 1;
	sent(crawler, asys_getdents64(tagged(crawler, folder, STEP_FOLDER_LIST), folder->fd,
				      (void *)folder->names, WALK_CHUNK));
}

static void begin_folder(struct crawler *crawler)
{
	struct folder *folder = crawler->free_folders;
	asys_id in;

	crawler->free_folders = folder->next;
	crawler->busy++;
	folder->path = crawler->stack;
	crawler->stack = folder->path->next;
	folder->users = 0;
	folder->awaited = 2;
	in = sent(crawler, asys_openat(tagged(crawler, folder, STEP_FOLDER_OPEN), AT_FDCWD,
				       folder->path->text, WALK_OPEN_FLAGS | O_DIRECTORY, 0));
	sent(crawler, asys_getdents64(tagged(crawler, folder, STEP_FOLDER_LIST), in,
				      (void *)folder->names, WALK_CHUNK));
}

static void end_folder(struct crawler *crawler, struct folder *folder)
{
	if (folder->fd >= 0)
		sent_quietly(crawler, asys_close(asys_quiet(crawler->queue), folder->fd));
	free(folder->path);
	folder->path = NULL;
	folder->next = crawler->free_folders;
	crawler->free_folders = folder;
	crawler->busy--;
}

static void folder_listed(struct crawler *crawler, struct folder *folder)
{
	if (--folder->awaited > 0)
		return;
	if (folder->size <= 0) {
		crawler->walk->errors += folder->size < 0;
		end_folder(crawler, folder);
		return;
	}
	folder->at = 0;
	folder->next = crawler->listed;
	crawler->listed = folder;
}

/* Sends the statx of the next entry of the folder on top. */
static void visit_next(struct crawler *crawler)
{
	struct folder *folder = crawler->listed;
	const void *place = folder->names + folder->at;
	const struct walk_entry *entry = place;
	struct file *file = crawler->free_files;

	folder->at += entry->length;
	if (walk_wanted(entry)) {
		crawler->free_files = file->next;
		folder->users++;
		file->folder = folder;
		file->name = entry->name;
		sent(crawler, asys_statx(tagged(crawler, file, STEP_STAT), folder->fd, file->name,
					 AT_SYMLINK_NOFOLLOW, WALK_STATX_MASK, &file->info));
	}
	if (folder->at < folder->size)
		return;
	crawler->listed = folder->next;
	if (folder->users == 0)
		list_folder(crawler, folder);
}

static void end_file(struct crawler *crawler, struct file *file)
{
	struct folder *folder = file->folder;

	file->next = crawler->free_files;
	crawler->free_files = file;
	/* The names are in use no more: the same room takes the next ones. */
	if (--folder->users == 0 && folder->at >= folder->size)
		list_folder(crawler, folder);
}

/* Opens a file that needs more than one read; file_opened goes on. */
static void open_long(struct crawler *crawler, struct file *file)
{
	sent(crawler, asys_openat(tagged(crawler, file, STEP_OPEN), file->folder->fd, file->name,
				  WALK_OPEN_FLAGS, 0));
}

static void open_file(struct crawler *crawler, struct file *file)
{
	asys_id in, got;

	file->offset = 0;
	file->fd = -1;
	if (file->info.stx_size > WALK_CHUNK) {
		open_long(crawler, file);
		return;
	}
	in = sent_quietly(crawler, asys_openat(asys_quiet(crawler->queue), file->folder->fd,
					       file->name, WALK_OPEN_FLAGS, 0));
	got = sent(crawler,
		   asys_pread64(tagged(crawler, file, STEP_READ), in, file->data, WALK_CHUNK, 0));
	sent_quietly(crawler, asys_close(asys_quiet(asys_after(crawler->queue, got)), in));
}

static void end_reading(struct crawler *crawler, struct file *file)
{
	struct buffer *buffer = (void *)file->data;

	crawler->walk->read_bytes += file->offset;
	if (file->fd >= 0)
		sent_quietly(crawler, asys_close(asys_quiet(crawler->queue), file->fd));
	buffer->next = crawler->free_buffers;
	crawler->free_buffers = buffer;
	end_file(crawler, file);
	progress_step(crawler->progress, crawler->walk->files);
}

static void read_more(struct crawler *crawler, struct file *file)
{
	sent(crawler, asys_pread64(tagged(crawler, file, STEP_READ), file->fd, file->data,
				   WALK_CHUNK, (off_t)file->offset));
}

static void file_stated(struct crawler *crawler, struct file *file, int64_t result)
{
	struct walk *walk = crawler->walk;

	if (result == 0 && S_ISREG(file->info.stx_mode)) {
		walk->files++;
		walk->size_bytes += file->info.stx_size;
		file->next = crawler->ready;
		crawler->ready = file;
		return;
	}
	if (result < 0)
		walk->errors++;
	else if (!S_ISDIR(file->info.stx_mode))
		walk->others++;
	else if (walk_device(&file->info) == crawler->device &&
		 walk_push(&crawler->stack, file->folder->path->text, file->name) < 0)
		crawler->err = -ENOMEM;
	end_file(crawler, file);
}

static void file_opened(struct crawler *crawler, struct file *file, int64_t result)
{
	if (result < 0) {
		crawler->walk->errors++;
		end_reading(crawler, file);
		return;
	}
	file->fd = (int)result;
	read_more(crawler, file);
}

static void file_read(struct crawler *crawler, struct file *file, int64_t result)
{
	if (result < 0)
		crawler->walk->errors++;
	else
		file->offset += (uint64_t)result;
	if (result <= 0 || file->offset >= file->info.stx_size)
		end_reading(crawler, file);
	else if (file->fd >= 0)
		read_more(crawler, file);
	else /* one read did not bring all, as some file systems do */
		open_long(crawler, file);
}

static void take_event(struct crawler *crawler, const struct asys_event *event)
{
	void *what = (void *)(uintptr_t)(event->user & ~(uint64_t)STEP_BITS);
	struct folder *folder = what;

	crawler->awaited -= (event->user & STEP_BITS) != STEP_NONE;
	switch ((enum step)(event->user & STEP_BITS)) {
	case STEP_FOLDER_OPEN:
		folder->fd = event->result < 0 ? -1 : (int)event->result;
		crawler->walk->folders += event->result >= 0;
		folder_listed(crawler, folder);
		break;
	case STEP_FOLDER_LIST:
		folder->size = event->result;
		folder_listed(crawler, folder);
		break;
	case STEP_STAT:
		file_stated(crawler, what, event->result);
		break;
	case STEP_OPEN:
		file_opened(crawler, what, event->result);
		break;
	case STEP_READ:
		file_read(crawler, what, event->result);
		break;
	default: /* an open that failed, as its read has told, or a close */
		break;
	}
}

/* Sends what there is room for. Files first: their end makes room. */
static void fill(struct crawler *crawler)
{
	while (crawler->ready != NULL && crawler->free_buffers != NULL) {
		struct file *file = crawler->ready;

		crawler->ready = file->next;
		file->data = (void *)crawler->free_buffers;
		crawler->free_buffers = crawler->free_buffers->next;
		open_file(crawler, file);
	}
	while (crawler->stack != NULL && crawler->free_folders != NULL)
		begin_folder(crawler);
	while (crawler->listed != NULL && crawler->free_files != NULL)
		visit_next(crawler);
}

static int crawl(struct crawler *crawler)
{
	struct asys_event events[EVENTS];
	int got;

	while (crawler->stack != NULL || crawler->busy > 0) {
		fill(crawler);
		/* Several at once cost less each; not all, so that there is always work under way. */
		got = asys_queue_get_many(crawler->queue, events, EVENTS, crawler->awaited / 4 + 1,
					  ASYS_FOREVER);
		if (got < 0 && got != -EINTR)
			return say_error(got, "cannot wait for the walk: %s", asys_message());
		for (int i = 0; i < got; i++)
			take_event(crawler, &events[i]);
		if (crawler->err < 0)
			return say_error(crawler->err, "cannot go on with the walk: %s",
					 asys_message());
	}
	/* The last closes: closing the queue would cancel them. */
	while (asys_queue_barrier(crawler->queue) == -EINTR)
		;
	return 0;
}

static int begin(struct crawler *crawler, const char *root)
{
	struct file *file = &crawler->files[0];
	struct asys_event event;
	asys_id id;
	int err;

	id = sent(crawler,
		  asys_statx(crawler->queue, AT_FDCWD, root, 0, WALK_STATX_MASK, &file->info));
	do {
		err = asys_queue_wait(crawler->queue, id, &event);
	} while (err == -EINTR);
	if (err == 0)
		err = (int)event.result;
	if (err == 0 && !S_ISDIR(file->info.stx_mode))
		err = -ENOTDIR;
	if (err < 0)
		return say_error(err, "cannot walk '%s'", root);
	crawler->device = walk_device(&file->info);
	return walk_push(&crawler->stack, root, ".");
}

static void set_up(struct crawler *crawler)
{
	for (unsigned i = 0; i < FOLDERS; i++) {
		crawler->folders[i].next = crawler->free_folders;
		crawler->free_folders = &crawler->folders[i];
	}
	for (unsigned i = 0; i < FILES; i++) {
		crawler->files[i].next = crawler->free_files;
		crawler->free_files = &crawler->files[i];
	}
	for (unsigned i = 0; i < BUFFERS; i++) {
		struct buffer *buffer = (void *)crawler->buffers[i];

		buffer->next = crawler->free_buffers;
		crawler->free_buffers = buffer;
	}
}

/* After a failure there are folders left. */
static void tear_down(struct crawler *crawler)
{
	for (unsigned i = 0; i < FOLDERS; i++)
		free(crawler->folders[i].path);
	while (crawler->stack != NULL) {
		struct walk_path *next = crawler->stack->next;

		free(crawler->stack);
		crawler->stack = next;
	}
	free(crawler);
}

int walk_async(const char *root, struct walk *ret_walk, struct cost *ret_cost,
	       struct progress *progress)
{
	struct asys_queue_options options;
	struct crawler *crawler = calloc(1, sizeof *crawler);
	int err;

	if (crawler == NULL)
		return say_error(-ENOMEM, "cannot start a walk");
	memset(ret_walk, 0, sizeof *ret_walk);
	crawler->walk = ret_walk;
	crawler->cost = ret_cost;
	crawler->progress = progress;
	cost_start(ret_cost);
	asys_queue_options_init(&options);
	options.depth = 1024;
	err = asys_queue_open(&crawler->queue, &options);
	if (err < 0) {
		free(crawler);
		return say_error(err, "cannot open a queue: %s", asys_message());
	}
	set_up(crawler);
	err = begin(crawler, root);
	if (err == 0)
		err = crawl(crawler);
	ret_cost->traps = cost_traps(crawler->queue);
	asys_queue_close(crawler->queue);
	cost_stop(ret_cost);
	tear_down(crawler);
	return err;
}
