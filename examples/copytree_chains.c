/* SPDX-License-Identifier: MIT */
/*
 * What copying one thing is. Each chain reads like the synchronous function that it replaces. A small
 * file costs ten system calls: open, fstat, flistxattr, open, read, write, read, utimensat, close, close,
 * and another only where owner, mode or attributes are not right from the beginning.
 *
 * What a file says of its size is not believed, but for holes: files of /proc say 0, those of /sys a page,
 * network file systems what they knew a while ago, and any file may grow or shrink meanwhile. It ends
 * where a read says so.
 *
 * Between the calls stand compute steps, short functions of this file that decide what comes next.
 */
#include "copytree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

struct copy_facts copy_facts;

/* The address of a field of the sending's item, and what it holds when the step starts. */
#define AT(field) asys_plus(c, item, offsetof(struct item, field))
#define GET(field) asys_load(c, AT(field))
/* A step whose result is that word, to be looked at by conditions. */
/* A step: made before what names it, since a modifier is about the step that is added next. */
#define WORD(c, field) asys_chain_compute(c, word, GET(field))

#define OPEN_IN (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
#define OPEN_OUT (O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC)
#define OPEN_FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static struct item *item_of(const uint64_t arg[6])
{
	return (struct item *)(uintptr_t)arg[0];
}

static int64_t word(const uint64_t arg[6])
{
	return (int64_t)arg[0];
}

/* Plans */

/* Extended attributes go by path: symbolic links have them too, but no descriptor. */
static int make_path(char *path, int64_t dir, const char *name)
{
	int n = dir == AT_FDCWD ? snprintf(path, PATH_SIZE, "%s", name) :
				  snprintf(path, PATH_SIZE, "/proc/self/fd/%d/%s", (int)dir, name);

	return n < (int)PATH_SIZE ? 0 : -ENAMETOOLONG;
}

static int make_paths(struct item *i)
{
	int err = make_path(i->from_path, i->from_dir, i->from_name);

	return err ? err : make_path(i->to_path, i->to_dir, i->to_name);
}

static void plan_owner(struct item *i)
{
	const struct stat *st = &i->st;

	i->mode = st->st_mode & 07777;
	i->uid = st->st_uid;
	i->gid = st->st_gid;
	if (!copy_facts.root && st->st_uid != copy_facts.uid) {
		/* As cp does: only root gives files away, and what is set-uid stays with its owner. */
		i->uid = -1;
		i->mode &= ~(int64_t)06000;
	}
	i->other_owner = (i->uid >= 0 && i->uid != copy_facts.uid) || i->gid != copy_facts.gid;
}

/* Created with `create` if nothing about it is to be changed later, else for its owner only. */
static void plan_rights(struct item *i, int64_t create, int64_t closed, int64_t names)
{
	plan_owner(i);
	i->attributes = names > 0;
	i->other_mode = i->other_owner || i->attributes || i->mode != create;
	i->create_mode = i->other_mode ? closed : create;
	i->other_mode = i->other_mode && i->mode != i->create_mode;
	i->more = i->other_owner || i->attributes || i->other_mode;
}

void plan_folder_end(struct item *i, bool attributes)
{
	plan_rights(i, 0700, 0700, attributes);
	make_paths(i);
}

/* Can this be a list of attributes? 0, or why not. */
static int64_t check_names(int64_t names)
{
	return names < 0 && names != -EOPNOTSUPP ? names : 0;
}

/* (item, length of the attributes' names): 1 copy it, 0 it has several links, or -errno. */
static int64_t plan_file(const uint64_t arg[6])
{
	struct item *i = item_of(arg);
	const struct stat *st = &i->st;
	int64_t err = check_names((int64_t)arg[1]);

	if (!S_ISREG(st->st_mode))
		return -ESTALE; /* it was a file when its folder was listed */
	if (st->st_nlink > 1 && !i->first)
		return 0;
	plan_rights(i, st->st_mode & 0777, 0600, (int64_t)arg[1]);
	if (!err && i->attributes)
		err = make_paths(i);
	i->large = st->st_size > DATA_SIZE || st->st_blocks * 512 < st->st_size;
	i->clone = i->large && !copy_facts.no_clone;
	i->offset = 0;
	return err ? err : 1;
}

/* The same for what is neither file nor folder. */
static int64_t plan_special(const uint64_t arg[6])
{
	struct item *i = item_of(arg);
	const struct stat *st = &i->st;
	int64_t err = check_names((int64_t)arg[1]);

	if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
		return -ESTALE;
	if (st->st_nlink > 1 && !i->first)
		return 0;
	plan_rights(i, st->st_mode & 0777, 0600, (int64_t)arg[1]);
	i->symlink = S_ISLNK(st->st_mode);
	i->other_mode = i->other_mode && !i->symlink;
	i->create_mode |= st->st_mode & S_IFMT;
	i->device = (int64_t)st->st_rdev;
	return err ? err : 1;
}

/* (item): is it the destination itself? */
static int64_t plan_folder(const uint64_t arg[6])
{
	const struct stat *st = &item_of(arg)->st;

	return st->st_dev == copy_facts.top_dev && st->st_ino == copy_facts.top_ino ? -ELOOP : 0;
}

static int64_t plan_paths(const uint64_t arg[6])
{
	return make_paths(item_of(arg));
}

/* Owner, attributes, mode */

/* (item, fchownat's result): only root may insist. */
static int64_t owner_ended(const uint64_t arg[6])
{
	struct item *i = item_of(arg);
	int64_t result = (int64_t)arg[1];

	if (result != -EPERM || copy_facts.root)
		return result;
	i->mode &= ~(int64_t)06000;
	return 0;
}

/* (item, bytes of names): are there any? */
static int64_t first_attribute(const uint64_t arg[6])
{
	struct item *i = item_of(arg);

	i->attribute = i->names;
	i->attributes_end = i->names + arg[1];
	return arg[1] > 0;
}

/* (item, size of its value, result of setting it): is there another? */
static int64_t next_attribute(const uint64_t arg[6])
{
	struct item *i = item_of(arg);
	int64_t got = (int64_t)arg[1], set = (int64_t)arg[2];

	if (got < 0 && got != -ENODATA)
		return got;
	if (got >= 0 && (set == -EOPNOTSUPP || set == -EPERM))
		copy_facts.lost_attributes++;
	else if (got >= 0 && set < 0)
		return set;
	i->attribute += strlen(i->attribute) + 1;
	return i->attribute < i->attributes_end;
}

/*
 * In this order: a new owner takes away set-uid bits and capabilities, and attributes can only be set
 * while the mode still lets the owner write.
 */
static void build_rights(struct asys_chain *c)
{
	asys_id item = asys_param(c, 0);

	asys_id owner = asys_chain_if(c, WORD(c, other_owner), ASYS_NONZERO);
	asys_id chown = asys_fchownat(asys_may_fail(c), GET(to_dir), GET(to_name), GET(uid),
				      GET(gid), AT_SYMLINK_NOFOLLOW);
	asys_chain_compute(asys_after(c, chown), owner_ended, item, chown);
	asys_chain_end(c);

	asys_id some = WORD(c, attributes);
	asys_id attributes = asys_chain_if(asys_after(c, owner), some, ASYS_NONZERO);
	asys_id size = asys_llistxattr(c, AT(from_path), GET(names), NAMES_SIZE);
	asys_id any = asys_chain_compute(c, first_attribute, item, size);
	asys_chain_loop(asys_when(c, any, ASYS_POSITIVE), UINT32_MAX);
	asys_id got = asys_lgetxattr(asys_may_fail(c), AT(from_path), GET(attribute), GET(data),
				     VALUE_SIZE);
	asys_id set =
		asys_lsetxattr(asys_may_fail(c), AT(to_path), GET(attribute), GET(data), got, 0);
	asys_id another = asys_chain_compute(asys_after(asys_after(c, got), set), next_attribute,
					     item, got, set);
	asys_chain_while(c, another, ASYS_POSITIVE);
	asys_chain_end(c);

	asys_id mode = WORD(asys_after(asys_after(c, owner), attributes), other_mode);
	asys_fchmodat(asys_when(c, mode, ASYS_NONZERO), GET(to_dir), GET(to_name), GET(mode));
}

/* Files */

/* (item, bytes written) */
static int64_t count_bytes(const uint64_t arg[6])
{
	copy_facts.bytes += arg[1];
	return 0;
}

static int64_t plan_piece(struct item *i, int64_t offset)
{
	int64_t left = i->data_end - offset;

	i->offset = offset;
	i->piece = left < DATA_SIZE ? left : DATA_SIZE;
	return left;
}

/*
 * (item, the file's end, where data begins, where it ends): bytes of it. 0: there is none, or nobody can
 * tell; from `offset` on the rest is read as it comes. The end was looked at first, so what is behind it is
 * no hole but has been appended.
 */
static int64_t begin_data(const uint64_t arg[6])
{
	struct item *i = item_of(arg);
	int64_t end = (int64_t)arg[1], data = (int64_t)arg[2], hole = (int64_t)arg[3];

	i->cut = false;
	if (data == -ENXIO && end > i->offset)
		i->offset = end;
	if (data < 0 || hole <= data)
		return 0;
	i->data_end = hole;
	return plan_piece(i, data);
}

/* (item, bytes written): bytes left of this data; 0 too if the file ended before it did */
static int64_t piece_written(const uint64_t arg[6])
{
	struct item *i = item_of(arg);

	copy_facts.bytes += arg[1];
	i->cut = !arg[1];
	return i->cut ? 0 : plan_piece(i, i->offset + (int64_t)arg[1]);
}

/* (item, bytes of this data): may there be other data? */
static int64_t data_ended(const uint64_t arg[6])
{
	return (int64_t)arg[1] > 0 && !item_of(arg)->cut;
}

/* (item, the file's end): where the rest begins */
static int64_t begin_rest(const uint64_t arg[6])
{
	struct item *i = item_of(arg);
	int64_t end = (int64_t)arg[1];

	/* Behind the end that it has now not even a hole is to be left. */
	if (i->cut && end >= 0 && end < i->offset)
		i->offset = end;
	return i->offset;
}

/* A result, which is one too if the step was skipped. */
static int64_t is_error(const uint64_t arg[6])
{
	return (int64_t)arg[0] < 0;
}

/* (a step's result): 1 if it failed, 0 if it did not or was skipped */
static int64_t has_failed(const uint64_t arg[6])
{
	int64_t result = (int64_t)arg[0];

	return result < 0 && result != -ECANCELED;
}

static int64_t no_clone(const uint64_t arg[6])
{
	(void)arg;
	copy_facts.no_clone = 1;
	return 0;
}

/* Where the source has data, and piece by piece: what is not written is a hole. */
static void build_data(struct asys_chain *c, asys_id item, asys_id in, asys_id out)
{
	asys_chain_loop(c, UINT32_MAX);
	asys_id end = asys_lseek(asys_may_fail(c), in, 0, SEEK_END);
	asys_id data = asys_lseek(asys_after(asys_may_fail(c), end), in, GET(offset), SEEK_DATA);
	asys_id hole = asys_lseek(asys_may_fail(c), in, data, SEEK_HOLE);
	asys_after(asys_after(asys_after(c, end), data), hole);
	asys_id size = asys_chain_compute(c, begin_data, item, end, data, hole);

	asys_chain_loop(asys_when(c, size, ASYS_POSITIVE), UINT32_MAX);
	asys_id n = asys_pread64(c, in, GET(data), GET(piece), GET(offset));
	asys_id written = asys_pwrite64(asys_full(c), out, GET(data), n, GET(offset));
	asys_id left = asys_chain_compute(c, piece_written, item, written);
	asys_id ended = asys_chain_while(c, left, ASYS_POSITIVE);

	asys_id more = asys_chain_compute(asys_after(c, ended), data_ended, item, size);
	asys_id all = asys_chain_while(c, more, ASYS_POSITIVE);

	asys_id now = asys_lseek(asys_may_fail(asys_after_ok(c, all)), in, 0, SEEK_END);
	asys_id rest =
		asys_chain_compute(asys_after(asys_after_ok(c, all), now), begin_rest, item, now);
	asys_lseek(asys_may_fail(c), in, rest, SEEK_SET);
	asys_lseek(c, out, rest, SEEK_SET);
}

/* All of it, but perhaps for what is appended at this very moment: both descriptors are there then. */
static void build_large(struct asys_chain *c, asys_id item, asys_id in, asys_id out)
{
	asys_id wanted = WORD(c, clone);
	asys_id clone =
		asys_ioctl(asys_when(asys_may_fail(c), wanted, ASYS_NONZERO), out, FICLONE, in);
	asys_chain_compute(asys_after_error(c, clone), no_clone);
	asys_id by_hand = asys_chain_compute(asys_after(c, clone), is_error, clone);

	asys_chain_if(c, by_hand, ASYS_NONZERO);
	build_data(c, item, in, out);
	asys_chain_else(c);
	asys_id end = asys_lseek(c, out, 0, SEEK_END);
	asys_lseek(c, in, end, SEEK_SET);
	asys_chain_end(c);
}

static void build_content(struct asys_chain *c, asys_id item, asys_id in, asys_id out)
{
	asys_id large = WORD(asys_after_ok(c, out), large);

	asys_chain_if(c, large, ASYS_NONZERO);
	build_large(c, item, in, out);
	asys_id begun = asys_chain_end(c);

	asys_id bad =
		asys_chain_compute(asys_after(asys_after_ok(c, large), begun), has_failed, begun);

	/* A file is not over before a read has said so. */
	asys_chain_loop(asys_when(c, bad, ASYS_ZERO), UINT32_MAX);
	asys_id n = asys_read(c, in, GET(data), DATA_SIZE);
	asys_id written = asys_write(asys_full(asys_when(c, n, ASYS_POSITIVE)), out, GET(data), n);
	asys_chain_compute(c, count_bytes, item, written);
	asys_id all = asys_chain_while(c, n, ASYS_POSITIVE);

	asys_id end =
		asys_lseek(asys_when(asys_after_ok(c, all), large, ASYS_NONZERO), out, 0, SEEK_CUR);
	asys_ftruncate(c, out, end);
}

static void build_file(struct asys_chain *c, const struct asys_chain *rights)
{
	asys_id item = asys_param(c, 0);
	asys_id in = asys_openat(asys_store(c, AT(in)), GET(from_dir), GET(from_name), OPEN_IN, 0);
	asys_id st = asys_fstat(c, in, AT(st));
	asys_id names = asys_flistxattr(asys_may_fail(c), in, NULL, 0);
	asys_id plan =
		asys_chain_compute(asys_after_ok(asys_after(c, names), st), plan_file, item, names);

	asys_id content = asys_chain_if(c, plan, ASYS_POSITIVE);
	asys_id out = asys_openat(asys_store(c, AT(out)), GET(to_dir), GET(to_name), OPEN_OUT,
				  GET(create_mode));
	build_content(c, item, in, out);
	asys_chain_end(c);

	asys_id more = WORD(asys_after_ok(c, content), more);
	asys_id right = asys_chain_sub(asys_when(c, more, ASYS_NONZERO), rights, item);
	asys_utimensat(asys_after(asys_after_ok(c, content), right), out, NULL, AT(st.st_atim), 0);
	asys_chain_result(c, plan);

	/* A half file is worse than none. */
	asys_chain_on_failure(c);
	asys_unlinkat(asys_after_ok(asys_after_error(c, content), out), GET(to_dir), GET(to_name),
		      0);
	asys_chain_end(c);
	asys_chain_finally(c);
	asys_close(c, in);
	asys_close(c, out);
	asys_chain_end(c);
}

/* What is neither file nor folder */

static int64_t end_text(const uint64_t arg[6])
{
	item_of(arg)->data[arg[1]] = '\0';
	return 0;
}

static void build_special(struct asys_chain *c, const struct asys_chain *rights)
{
	asys_id item = asys_param(c, 0);
	asys_id st = asys_newfstatat(c, GET(from_dir), GET(from_name), AT(st), AT_SYMLINK_NOFOLLOW);
	asys_id paths = asys_chain_compute(c, plan_paths, item);
	asys_id names =
		asys_llistxattr(asys_may_fail(asys_after_ok(c, paths)), AT(from_path), NULL, 0);
	asys_id plan = asys_chain_compute(asys_after_ok(asys_after(c, names), st), plan_special,
					  item, names);

	asys_id made = asys_chain_if(c, plan, ASYS_POSITIVE);
	asys_chain_if(c, WORD(c, symlink), ASYS_NONZERO);
	asys_id n = asys_readlinkat(c, GET(from_dir), GET(from_name), GET(data), PATH_MAX);
	asys_id text = asys_chain_compute(c, end_text, item, n);
	asys_symlinkat(asys_after_ok(c, text), GET(data), GET(to_dir), GET(to_name));
	asys_chain_else(c);
	asys_mknodat(c, GET(to_dir), GET(to_name), GET(create_mode), GET(device));
	asys_chain_end(c);
	asys_chain_end(c);

	asys_id more = WORD(asys_after_ok(c, made), more);
	asys_id right = asys_chain_sub(asys_when(c, more, ASYS_NONZERO), rights, item);
	asys_utimensat(asys_after(asys_after_ok(c, made), right), GET(to_dir), GET(to_name),
		       AT(st.st_atim), AT_SYMLINK_NOFOLLOW);
	asys_chain_result(c, plan);
}

/* Folders */

/* (item, bytes): is there room for more entries, of which the longest takes 280 bytes? */
static int64_t listed(const uint64_t arg[6])
{
	struct item *i = item_of(arg);

	i->list_end += arg[1];
	i->list_room -= (int64_t)arg[1];
	i->list_last = arg[1] == 0;
	return !i->list_last && i->list_room >= 512;
}

static int64_t start_list(const uint64_t arg[6])
{
	struct item *i = item_of(arg);

	i->list_end = i->data;
	i->list_room = LIST_SIZE;
	return 0;
}

static void build_list(struct asys_chain *c)
{
	asys_id item = asys_param(c, 0);

	asys_id start = asys_chain_compute(c, start_list, item);
	asys_chain_loop(asys_after_ok(c, start), UINT32_MAX);
	asys_id n = asys_getdents64(c, GET(in), GET(list_end), GET(list_room));
	asys_id more = asys_chain_compute(c, listed, item, n);
	asys_chain_while(c, more, ASYS_POSITIVE);
}

static void build_folder(struct asys_chain *c, const struct asys_chain *list)
{
	asys_id item = asys_param(c, 0);
	asys_id in =
		asys_openat(asys_store(c, AT(in)), GET(from_dir), GET(from_name), OPEN_FOLDER, 0);
	asys_id st = asys_fstat(c, in, AT(st));
	asys_flistxattr(asys_store(asys_may_fail(c), AT(attributes)), in, NULL, 0);
	asys_id plan = asys_chain_compute(asys_after_ok(c, st), plan_folder, item);
	asys_id made = asys_mkdirat(asys_after_ok(c, plan), GET(to_dir), GET(to_name), 0700);
	asys_id out = asys_openat(asys_after_ok(asys_store(c, AT(out)), made), GET(to_dir),
				  GET(to_name), OPEN_FOLDER, 0);
	asys_chain_sub(asys_after_ok(c, out), list, item);

	asys_chain_on_failure(c);
	asys_unlinkat(asys_after_ok(asys_after_error(asys_may_fail(c), out), made), GET(to_dir),
		      GET(to_name), AT_REMOVEDIR);
	asys_close(c, in);
	asys_close(c, out);
	asys_chain_end(c);
}

/* Times come last, and after everything that changes what is in the folder. */
static void build_finish(struct asys_chain *c, const struct asys_chain *rights)
{
	asys_id item = asys_param(c, 0);
	asys_id right = asys_chain_sub(c, rights, item);

	asys_utimensat(asys_after(c, right), GET(to_dir), GET(to_name), AT(st.st_atim),
		       AT_SYMLINK_NOFOLLOW);
}

/* All of them */

static int open_chain(struct asys_chain **ret_chain, struct asys_chain *part,
		      void (*build)(struct asys_chain *, const struct asys_chain *))
{
	int err = asys_chain_open(ret_chain, NULL);

	if (err < 0)
		return err;
	build(*ret_chain, part);
	return asys_chain_ready(*ret_chain);
}

static void build_rights_alone(struct asys_chain *c, const struct asys_chain *part)
{
	(void)part;
	build_rights(c);
}

static void build_list_alone(struct asys_chain *c, const struct asys_chain *part)
{
	(void)part;
	build_list(c);
}

int copy_chains_build(struct copy_chains *chains)
{
	struct asys_chain *rights = NULL;
	int err;

	memset(chains, 0, sizeof(*chains));
	err = open_chain(&rights, NULL, build_rights_alone);
	if (!err)
		err = open_chain(&chains->list, NULL, build_list_alone);
	if (!err)
		err = open_chain(&chains->file, rights, build_file);
	if (!err)
		err = open_chain(&chains->special, rights, build_special);
	if (!err)
		err = open_chain(&chains->folder, chains->list, build_folder);
	if (!err)
		err = open_chain(&chains->finish, rights, build_finish);
	asys_chain_close(rights);
	return err;
}

void copy_chains_close(struct copy_chains *chains)
{
	asys_chain_close(chains->file);
	asys_chain_close(chains->special);
	asys_chain_close(chains->folder);
	asys_chain_close(chains->list);
	asys_chain_close(chains->finish);
}
