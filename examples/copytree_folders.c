/* SPDX-License-Identifier: MIT */
/*
 * Folders on the way. Their entries are named relative to their descriptors, but a deep tree has
 * more of them than a process may have descriptors: those that nothing in flight uses are closed, the
 * oldest first, and opened again when needed, from the nearest one that is open down. The topmost
 * folder stays open, so that there always is one.
 */
#include "copytree.h"
#include "shown.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

#define OPEN_MAX_UNUSED 128u
#define DESCRIPTORS_OTHERS 5u /* that the queue may need, and some to spare */
#define DESCRIPTORS_ENOUGH (2 * ITEMS_MAX + 4 * OPEN_MAX_UNUSED)
/* A folder and one on the way to it are opened again, and then something is opened in it. */
#define DESCRIPTORS_OF_ONE 6u

/* The ring of open folders that nothing uses; `newer` of the head is the oldest. */
static struct folder ring = { .older = &ring, .newer = &ring };
static unsigned open_folders;
static unsigned descriptors = DESCRIPTORS_ENOUGH;

static void ring_remove(struct folder *f)
{
	if (!f->newer)
		return;
	f->newer->older = f->older;
	f->older->newer = f->newer;
	f->newer = f->older = NULL;
}

static void ring_add(struct folder *f)
{
	f->older = ring.older;
	f->newer = &ring;
	f->older->newer = f->newer->older = f;
}

static void close_folder(struct folder *f)
{
	ring_remove(f);
	close(f->from);
	close(f->to);
	f->from = f->to = -1;
	open_folders--;
}

static void print_path(const struct folder *f)
{
	if (f->parent)
		print_path(f->parent);
	fprintf(stderr, "%s%s", f->parent ? "/" : "", shown(f->name));
}

void folder_report(const struct folder *f, const char *name, const char *what, int64_t err)
{
	copy_facts.errors++;
	fprintf(stderr, "copytree: %s '", what);
	print_path(f);
	fprintf(stderr, "%s%s': %s\n", name ? "/" : "", name ? shown(name) : "",
		strerror((int)-err));
}

struct folder *folder_new(struct folder *parent, const char *name)
{
	struct folder *f = calloc(1, sizeof(*f));

	if (f)
		f->name = strdup(name);
	if (!f || !f->name) {
		fputs("copytree: no memory\n", stderr);
		exit(1);
	}
	f->parent = parent;
	f->from = f->to = -1;
	f->references = 1;
	if (parent)
		parent->references++;
	return f;
}

void folder_forget(struct folder *f)
{
	while (f && --f->references == 0) {
		struct folder *parent = f->parent;

		if (f->from >= 0)
			close_folder(f);
		free(f->name);
		free(f);
		f = parent;
	}
}

void folder_opened(struct folder *f, int from, int to)
{
	f->from = from;
	f->to = to;
	f->users++;
	open_folders++;
}

static int open_again(struct folder *f)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int from = openat(f->parent->from, f->name, flags), to, err;

	if (from < 0)
		return -errno;
	to = openat(f->parent->to, f->name, flags);
	if (to < 0) {
		err = -errno;
		close(from);
		return err;
	}
	folder_opened(f, from, to);
	return 0;
}

int folder_hold(struct folder *f)
{
	while (f->from < 0) {
		struct folder *closed = f;
		int err;

		while (closed->parent->from < 0)
			closed = closed->parent;
		err = open_again(closed);
		if (err)
			return err;
		if (closed == f)
			return 0;
		/* One on the way: of use for the next turn, in which it is the newest. */
		folder_let_go(closed);
	}
	ring_remove(f);
	f->users++;
	return 0;
}

void folder_let_go(struct folder *f)
{
	if (--f->users || !f->parent)
		return;
	ring_add(f);
	while (open_folders > (descriptors_are_few() ? 1 : OPEN_MAX_UNUSED) &&
	       ring.newer != ring.older)
		close_folder(ring.newer);
}

int folder_settle_top(const struct folder *top)
{
	struct stat st;

	if (fstat(top->to, &st) < 0)
		return -errno;
	/*
	 * It may have got its group, its set-gid bit and access control lists from where it stands:
	 * put right now, nothing inside inherits them.
	 */
	if (st.st_gid != getegid() && fchown(top->to, (uid_t)-1, getegid()) < 0)
		return -errno;
	fremovexattr(top->to, "system.posix_acl_default");
	fremovexattr(top->to, "system.posix_acl_access");
	if (fchmod(top->to, 0700) < 0)
		return -errno;
	copy_facts.root = geteuid() == 0;
	copy_facts.uid = st.st_uid;
	copy_facts.gid = getegid();
	copy_facts.top_dev = st.st_dev;
	copy_facts.top_ino = st.st_ino;
	return 0;
}

/* Several links to one file */

static void *links; /* tree of tsearch */

static int compare_links(const void *a, const void *b)
{
	const struct link *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

struct link *link_find(const struct item *i, bool *ret_new)
{
	struct link *link = calloc(1, sizeof(*link)), **found;

	if (!link)
		return NULL;
	link->dev = i->st.st_dev;
	link->ino = i->st.st_ino;
	found = tsearch(link, &links, compare_links);
	*ret_new = found && *found == link;
	if (!*ret_new)
		free(link);
	return found ? *found : NULL;
}

void link_forget(struct link *link)
{
	tdelete(link, &links, compare_links);
	free(link);
}

/* Items */

static struct item *unused;
static unsigned in_flight;

int items_make(void)
{
	const size_t room = DATA_SIZE + NAMES_SIZE;
	struct item *items = calloc(ITEMS_MAX, sizeof(*items));
	char *memory = mmap(NULL, ITEMS_MAX * room, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!items || memory == MAP_FAILED) {
		free(items);
		return -ENOMEM;
	}
	for (unsigned k = 0; k < ITEMS_MAX; k++) {
		items[k].data = memory + k * room;
		items[k].names = items[k].data + DATA_SIZE;
		items[k].next = unused;
		unused = &items[k];
	}
	return 0;
}

bool item_is_free(void)
{
	return unused != NULL;
}

/* The one that was in use last: its memory is still near. */
struct item *item_new(unsigned kind, struct folder *f)
{
	struct item *i = unused;

	unused = i->next;
	i->kind = kind;
	i->folder = f;
	i->first = false;
	i->in = i->out = -1;
	in_flight++;
	return i;
}

void item_free(struct item *i)
{
	i->next = unused;
	unused = i;
	in_flight--;
}

unsigned items_in_flight(void)
{
	return in_flight;
}

/* Descriptors */

void descriptors_count(void)
{
	long most = sysconf(_SC_OPEN_MAX);
	unsigned unused_ones = 0;

	for (int fd = 0; fd < most && unused_ones < DESCRIPTORS_ENOUGH + DESCRIPTORS_OTHERS; fd++)
		unused_ones += fcntl(fd, F_GETFD) < 0;
	descriptors = unused_ones > DESCRIPTORS_OTHERS ? unused_ones - DESCRIPTORS_OTHERS : 0;
}

bool descriptors_are_few(void)
{
	return descriptors < DESCRIPTORS_ENOUGH;
}

/* As if each item had two files open. */
static bool has_room(void)
{
	return 2 * (open_folders + in_flight) + DESCRIPTORS_OF_ONE <= descriptors;
}

bool descriptors_for_one(void)
{
	while (!has_room() && ring.newer != &ring)
		close_folder(ring.newer);
	return has_room();
}
