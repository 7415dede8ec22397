/* SPDX-License-Identifier: MIT */
/*
 * Copies a tree as `cp -a` does: files with their holes, folders, symbolic and hard links, FIFOs,
 * devices; modes, owners, times, extended attributes and so access control lists.
 *
 * Each thing to copy is one sending of a chain (copytree_chains.c); many are in flight, run by the
 * thread that waits and by system call threads. This file only walks: it takes the entries of
 * folders that were listed, sends them, and notices when a folder is complete.
 *
 * With few descriptors it goes slower: one folder at a time, and nothing is started before there is room
 * for it. Where the system has none left, what failed is tried again while others end.
 *
 * Bounds: at most ITEMS_MAX things are in flight, each with a buffer that is touched as far as it is used,
 * and so many descriptors are open as they, and copytree_folders.c, need. What grows is a record for
 * each folder that was found but not finished (those found last are copied first, so these are the
 * folders on the way down, with their neighbours), and one for each file with several links.
 */
#include "copytree.h"
#include "shown.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LISTED_MAX 24u /* folders being listed, or whose entries are being sent */
#define EVENTS 64u
#define RETRIES 1000u /* without descriptors, one after the other and none with success */

enum kind { FILE_ITEM, SPECIAL_ITEM, LINK_ITEM, FOLDER_ITEM, LIST_ITEM, FINISH_ITEM };

static struct {
	struct asys_queue *q;
	struct copy_chains chains;
	const char *from, *to; /* as the user gave them */
	unsigned listed;
	unsigned sent; /* sendings and calls that have not ended */
	unsigned retries;
	struct item *lists;  /* of entries to be sent */
	struct item *linked; /* that turned out to have several links */
	struct item *again;  /* for which there was no descriptor */
	struct folder *work, *list_first;
	uint64_t copied;
	uint64_t progress_ns; /* when it was shown last; 0: nobody looks */
	bool progress_shown;
} w;

/* Messages */

/* What failed, as far as the descriptors tell. */
static void report_item(const struct item *i, int64_t err)
{
	static const char *const whats[] = {
		[FILE_ITEM] = "cannot copy", [SPECIAL_ITEM] = "cannot copy",
		[LINK_ITEM] = "cannot link", [FOLDER_ITEM] = "cannot copy",
		[LIST_ITEM] = "cannot list", [FINISH_ITEM] = "cannot set rights or times of",
	};
	const char *what = whats[i->kind];

	if (i->kind == FILE_ITEM || i->kind == FOLDER_ITEM)
		what = i->in < 0 ? "cannot open" : i->out < 0 ? "cannot create the copy of" : what;
	if (i->kind == FOLDER_ITEM && err == -ELOOP)
		what = "cannot copy into itself";
	folder_report(i->folder, i->kind < FOLDER_ITEM ? i->name : NULL, what, err);
}

_Noreturn static void give_up(const char *why)
{
	fprintf(stderr, "copytree: %s\n", why);
	exit(1);
}

/* A line that is written over; at the end, if there is one, it stays. */
static void progress(bool end)
{
	const uint64_t every = 500000000;
	uint64_t now = asys_now();

	if (!w.progress_ns || (end ? !w.progress_shown : now < w.progress_ns + every))
		return;
	w.progress_ns = now;
	w.progress_shown = true;
	fprintf(stderr, "\r%llu entries, %llu MB%s", (unsigned long long)w.copied,
		(unsigned long long)(copy_facts.bytes >> 20), end ? "\n" : "");
}

/* Items and work */

static asys_id send_item(struct item *i, struct asys_chain *chain)
{
	asys_id id = asys_chain_send(asys_user(w.q, (uintptr_t)i), chain, i);

	if (asys_error(id))
		give_up(asys_message());
	w.sent++;
	return id;
}

/* A folder that is not listed to its end stays open: with few descriptors that comes first. */
static void push_work(struct folder *f, enum work work)
{
	struct folder **stack = work == LIST_IT && descriptors_are_few() ? &w.list_first : &w.work;

	f->work = work;
	f->next = *stack;
	*stack = f;
}

/* It failed for want of a descriptor, and there is hope. */
static bool worth_a_retry(int64_t result)
{
	if (result >= 0)
		w.retries = RETRIES;
	if ((result != -EMFILE && result != -ENFILE) || !w.sent || !w.retries)
		return false;
	w.retries--;
	return true;
}

/* One of its entries, or a piece of its list, has ended. */
static void one_less(struct folder *f)
{
	if (--f->left == 0)
		push_work(f, FINISH_IT);
}

static void end_entry(struct item *i)
{
	folder_let_go(i->folder);
	one_less(i->folder);
	item_free(i);
}

/* It was copied, or not. */
static void done(struct item *i, int64_t result)
{
	if (result < 0)
		report_item(i, result);
	else
		w.copied++;
	end_entry(i);
}

/* A folder is complete (or was not even begun): its parent has one entry less. */
static void end_folder(struct folder *f)
{
	if (f->parent)
		one_less(f->parent);
	folder_forget(f);
}

/* Several links to one file */

/* A call like any other, which waits for the sending that makes what it links to. */
static void send_link(struct item *i)
{
	const struct link *link = i->link;
	asys_id id;

	i->kind = LINK_ITEM;
	asys_user(w.q, (uintptr_t)i);
	if (link->copy.value)
		asys_after_ok(w.q, link->copy);
	w.sent++;
	id = asys_linkat(w.q, link->folder->to, link->name, (int)i->to_dir, i->to_name, 0);
	if (asys_error(id))
		give_up(asys_message());
}

/* The file has several links: copy it if this is the first of them, else make a link to the first. */
static void link_or_copy(struct item *i)
{
	bool file = S_ISREG(i->st.st_mode), new = false;
	int err = -ENOMEM;

	i->kind = file ? FILE_ITEM : SPECIAL_ITEM;
	i->link = link_find(i, &new);
	if (i->link && new) {
		i->first = true;
		i->link->folder = i->folder;
		i->link->folder->references++;
		memcpy(i->link->name, i->name, sizeof(i->name));
		i->link->copy = send_item(i, file ? w.chains.file : w.chains.special);
		return;
	}
	if (i->link) {
		i->link_folder = i->link->folder;
		err = folder_hold(i->link_folder);
	}
	if (err) {
		done(i, err);
		return;
	}
	i->link_folder->references++;
	send_link(i);
}

/*
 * Not while events that were got still wait to be looked at: one may be that of the first copy, and
 * an id is good for waiting only until its event was got.
 */
static void link_later(struct item *i)
{
	i->next = w.linked;
	w.linked = i;
}

/* Ends */

static void ended_entry(struct item *i, int64_t result)
{
	if (result == 0) {
		link_later(i);
		return;
	}
	if (worth_a_retry(result)) {
		i->next = w.again;
		w.again = i;
		return;
	}
	if (i->first)
		i->link->copy.value = 0;
	if (i->first && result < 0) {
		folder_forget(i->link->folder);
		link_forget(i->link);
	}
	done(i, result);
}

static void ended_link(struct item *i, int64_t result)
{
	folder_let_go(i->link_folder);
	folder_forget(i->link_folder);
	if (result == -ECANCELED) {
		/* The copy that it waited for failed; perhaps this one does not. */
		link_later(i);
		return;
	}
	done(i, result);
}

/* There is a list of entries to be sent; the next piece of it comes after the folders in this one. */
static void add_list(struct item *i)
{
	struct folder *f = i->folder;

	i->kind = LIST_ITEM;
	i->list_at = i->data;
	i->next = w.lists;
	w.lists = i;
	if (!i->list_last) {
		f->left++;
		f->users++;
		push_work(f, LIST_IT);
	}
}

static void ended_list(struct item *i, int64_t result)
{
	if (result < 0) {
		report_item(i, result);
		i->list_last = true;
		i->list_end = i->data;
	}
	add_list(i);
}

static void ended_folder(struct item *i, int64_t result)
{
	struct folder *f = i->folder;

	if (f->parent)
		folder_let_go(f->parent);
	if (result >= 0) {
		folder_opened(f, (int)i->in, (int)i->out);
		f->st = i->st;
		f->attributes = i->attributes > 0;
		f->left = 1;
		if (!f->parent)
			result = folder_settle_top(f);
	}
	if (result >= 0) {
		add_list(i);
		return;
	}
	w.listed--;
	if (worth_a_retry(result)) {
		item_free(i);
		push_work(f, OPEN_IT);
		return;
	}
	report_item(i, result);
	item_free(i);
	end_folder(f);
}

static void ended_finish(struct item *i, int64_t result)
{
	struct folder *f = i->folder;

	if (f->parent)
		folder_let_go(f->parent);
	if (result < 0)
		report_item(i, result);
	else
		w.copied++;
	item_free(i);
	end_folder(f);
}

static void ended(const struct asys_event *event)
{
	static void (*const functions[])(struct item *, int64_t) = {
		[FILE_ITEM] = ended_entry, [SPECIAL_ITEM] = ended_entry,
		[LINK_ITEM] = ended_link,  [FOLDER_ITEM] = ended_folder,
		[LIST_ITEM] = ended_list,  [FINISH_ITEM] = ended_finish,
	};
	struct item *i = (struct item *)(uintptr_t)event->user;

	w.sent--;
	functions[i->kind](i, event->result);
}

/* Begins */

static void send_entry(struct folder *f, const char *name, bool file)
{
	struct item *i = item_new(file ? FILE_ITEM : SPECIAL_ITEM, f);

	f->left++;
	f->users++; /* it is being listed, so it is open */
	memcpy(i->name, name, strlen(name) + 1);
	i->from_dir = f->from;
	i->to_dir = f->to;
	i->from_name = i->to_name = i->name;
	send_item(i, file ? w.chains.file : w.chains.special);
}

static void take_entry(struct folder *f, const struct dirent *e)
{
	const char *name = e->d_name;
	uint8_t type = e->d_type;
	struct stat st;

	if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
		return;
	if (type == DT_UNKNOWN) {
		if (fstatat(f->from, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			folder_report(f, name, "cannot look at", -errno);
			return;
		}
		type = IFTODT(st.st_mode);
	}
	if (type == DT_DIR) {
		f->left++;
		push_work(folder_new(f, name), OPEN_IT);
	} else {
		send_entry(f, name, type == DT_REG);
	}
}

/* Sends one entry of a list, or ends the list. */
static void take_from_list(struct item *i)
{
	const struct dirent *e = (const struct dirent *)i->list_at;

	if (i->list_at < i->list_end) {
		i->list_at += e->d_reclen;
		take_entry(i->folder, e);
		return;
	}
	w.lists = i->next;
	w.listed--;
	end_entry(i);
}

/* A folder is opened and finished by its name in its parent. */
static void start_in_parent(struct item *i)
{
	struct folder *f = i->folder, *parent = f->parent;

	i->from_dir = parent ? parent->from : AT_FDCWD;
	i->to_dir = parent ? parent->to : AT_FDCWD;
	i->from_name = f->name;
	i->to_name = parent ? f->name : w.to;
	if (i->kind == FOLDER_ITEM) {
		send_item(i, w.chains.folder);
		return;
	}
	i->st = f->st;
	plan_folder_end(i, f->attributes);
	send_item(i, w.chains.finish);
}

static void send_again(void)
{
	struct item *i = w.again;
	asys_id id;

	w.again = i->next;
	i->in = i->out = -1;
	id = send_item(i, i->kind == FILE_ITEM ? w.chains.file : w.chains.special);
	if (i->first)
		i->link->copy = id;
}

static void start_work(struct folder **stack)
{
	static const enum kind kinds[] = {
		[OPEN_IT] = FOLDER_ITEM, [LIST_IT] = LIST_ITEM, [FINISH_IT] = FINISH_ITEM
	};
	struct folder *f = *stack;
	struct item *i = item_new(kinds[f->work], f);
	int err = 0;

	*stack = f->next;
	w.listed += i->kind != FINISH_ITEM;
	if (i->kind == LIST_ITEM) {
		i->in = f->from;
		send_item(i, w.chains.list);
		return;
	}
	if (f->parent)
		err = folder_hold(f->parent);
	if (!err) {
		start_in_parent(i);
		return;
	}
	report_item(i, err);
	w.listed -= i->kind != FINISH_ITEM;
	item_free(i);
	end_folder(f);
}

/* With nothing in flight there is no point in waiting for descriptors. */
static bool may_start(void)
{
	return descriptors_for_one() || !w.sent;
}

/* Starts all that there is room for. */
static void start(void)
{
	const unsigned listed_max = descriptors_are_few() ? 1 : LISTED_MAX;

	if (w.again && may_start())
		send_again();
	while (w.linked && may_start()) {
		struct item *i = w.linked;

		w.linked = i->next;
		link_or_copy(i);
	}
	while (item_is_free() && may_start()) {
		if (w.list_first && w.listed < listed_max)
			start_work(&w.list_first);
		else if (w.work && (w.listed < listed_max || w.work->work == FINISH_IT))
			start_work(&w.work);
		else if (w.lists)
			take_from_list(w.lists);
		else
			break;
	}
}

static int copy_all(void)
{
	struct asys_event events[EVENTS];
	int n;

	push_work(folder_new(NULL, w.from), OPEN_IT);
	for (start(); items_in_flight(); start()) {
		n = asys_queue_get_many(w.q, events, EVENTS, 1, ASYS_FOREVER);
		if (n < 0 && n != -EINTR)
			give_up(asys_message());
		for (int k = 0; k < n; k++)
			ended(&events[k]);
		progress(false);
	}
	progress(true);
	if (copy_facts.lost_attributes)
		fprintf(stderr, "copytree: '%s' did not take %llu extended attributes\n",
			shown(w.to), (unsigned long long)copy_facts.lost_attributes);
	return copy_facts.errors > 0;
}

static int usage(FILE *file)
{
	fputs("usage: copytree FROM TO\n\n"
	      "Copies the folder FROM, with all that is in it, to TO, which must not exist.\n"
	      "Kept are holes, links, modes, owners (as root), times and extended attributes.\n"
	      "Ends with 0 if everything was copied, 1 if something was not, 2 if asked wrongly.\n",
	      file);
	return file == stderr ? 2 : 0;
}

int main(int argc, char **argv)
{
	int status;

	if (argc == 2 && !strcmp(argv[1], "--help"))
		return usage(stdout);
	if (argc != 3)
		return usage(stderr);
	w.from = argv[1];
	w.to = argv[2];
	if (isatty(STDERR_FILENO))
		w.progress_ns = asys_now();
	umask(0); /* modes are those of the source */
	if (access("/proc/self/fd", X_OK) < 0 || items_make() < 0)
		give_up("needs /proc, and 30 MB of address space");
	descriptors_count();
	w.retries = RETRIES;
	if (asys_queue_open(&w.q, NULL) < 0 || copy_chains_build(&w.chains) < 0)
		give_up(asys_message());
	status = copy_all();
	copy_chains_close(&w.chains);
	asys_queue_close(w.q);
	return status;
}
