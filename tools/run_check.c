/* SPDX-License-Identifier: MIT */
/*
 * Will the program run with a library under it? What the loader would ignore without a word, or answer
 * with one that helps nobody, is said here: what failed, on what, why, and what to do.
 */
#include "run.h"
#include "run_elf.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Scripts whose interpreter is a script; the kernel goes no deeper. */
#define SCRIPTS_MAX 4

/* 0, or why execve would refuse this file: -EACCES, -ENOENT ... */
static int may_run(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* Looks into the folders of PATH. 0, or why there is none: what stood in the way, or -ENOENT. */
static int search(char ret_path[PATH_MAX], const char *name)
{
	char standard[256];
	const char *folders = getenv("PATH");
	int err = -ENOENT;

	if (folders == NULL)
		folders = confstr(_CS_PATH, standard, sizeof standard) > 0 ? standard :
									     "/bin:/usr/bin";
	for (;;) {
		size_t len = strcspn(folders, ":");
		/* An empty one is this folder. */
		int n = snprintf(ret_path, PATH_MAX, "%.*s%s%s", (int)len, folders,
				 len ? "/" : "./", name);
		int one = n < PATH_MAX ? may_run(ret_path) : -ENAMETOOLONG;

		if (one == 0)
			return 0;
		if (one == -EACCES)
			err = one;
		if (folders[len] == '\0')
			return err;
		folders += len + 1;
	}
}

static int say_not_runnable(int err, const char *path)
{
	switch (err) {
	case -ENOENT:
	case -ENOTDIR:
		say_error(err, "cannot run '%s'", path);
		return STATUS_ABSENT;
	case -EISDIR:
		say_error(0, "cannot run '%s': it is a folder; give the program in it", path);
		return STATUS_CANNOT;
	case -EACCES:
		say_error(0,
			  "cannot run '%s': it is no file that you may execute; look at its mode, "
			  "and "
			  "at the folders above it",
			  path);
		return STATUS_CANNOT;
	default:
		say_error(err, "cannot run '%s'", path);
		return STATUS_CANNOT;
	}
}

static int locate(char ret_path[PATH_MAX], const char *name)
{
	int err;

	if (strchr(name, '/') != NULL) {
		int n = snprintf(ret_path, PATH_MAX, "%s", name);

		err = n < PATH_MAX ? may_run(ret_path) : -ENAMETOOLONG;
		return err == 0 ? 0 : say_not_runnable(err, name);
	}
	err = *name == '\0' ? -ENOENT : search(ret_path, name);
	if (err == 0)
		return 0;
	if (err == -EACCES)
		say_error(0, "cannot run '%s': the only one in $PATH may not be executed by you",
			  name);
	else
		say_error(0, "cannot run '%s': it is in no folder of $PATH; give its path", name);
	return err == -EACCES ? STATUS_CANNOT : STATUS_ABSENT;
}

/* Does the file have capabilities that it would give to who runs it? */
static bool has_capabilities(const char *path)
{
	struct vfs_ns_cap_data data;
	ssize_t n;

	memset(&data, 0, sizeof data);
	n = getxattr(path, "security.capability", &data, sizeof data);
	if (n < (ssize_t)sizeof data.magic_etc)
		return false;
	for (unsigned i = 0; i < VFS_CAP_U32; i++)
		if (data.data[i].permitted | data.data[i].inheritable)
			return true;
	return false;
}

/* Why the loader takes the program for one with other rights than its caller; NULL: it does not. */
static const char *gains_rights(const char *path)
{
	struct statvfs fs;
	struct stat st;

	if (stat(path, &st) < 0)
		return NULL;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return NULL;
	if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOSUID))
		return NULL;
	if ((st.st_mode & S_ISUID) && (st.st_uid != getuid() || st.st_uid != geteuid()))
		return "it is set-user-ID";
	if ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) &&
	    (st.st_gid != getgid() || st.st_gid != getegid()))
		return "it is set-group-ID";
	if (getuid() != 0 && has_capabilities(path))
		return "its file has capabilities";
	return NULL;
}

static int refuse(const char *path, const char *why, const char *hint)
{
	say_error(0, "cannot put a library under '%s': %s; %s", path, why, hint);
	return STATUS_CANNOT;
}

/* The loader given by name, as in `ld.so PROGRAM`, names none itself but loads libraries all the same. */
static bool is_loader(const char *path, const char *loader)
{
	struct stat one, other;

	return stat(path, &one) == 0 && stat(loader, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static int check_elf(const char *path, const struct image *image)
{
	struct image ours;
	const char *rights = gains_rights(path);
	char why[512];
	bool known = image_read("/proc/self/exe", &ours) == 0 && ours.has_loader;

	if (rights != NULL)
		return refuse(
			path, rights,
			"the loader ignores LD_PRELOAD in such programs: run a copy of the file, "
			"with the rights of your own");
	if (!image->has_loader) {
		if (known && is_loader(path, ours.loader))
			return 0;
		return refuse(path, "it is statically linked",
			      "only what is dynamically linked loads libraries: link it with the "
			      "shared C library");
	}
	if (may_run(image->loader) < 0)
		return refuse(path, "its loader is not here",
			      "install the C library that it was built for (see: file PROGRAM)");
	/* Both C libraries have a loader name of their own, ld-linux-... and ld-musl-... */
	if (known && strcmp(last_part(image->loader), last_part(ours.loader)) != 0) {
		snprintf(why, sizeof why, "it uses another C library (%.200s) than asys (%.200s)",
			 last_part(image->loader), last_part(ours.loader));
		return refuse(path, why, "build asys with that one");
	}
	return 0;
}

static int check(const char *path, unsigned depth);

static int check_script(const char *path, const struct image *image, unsigned depth)
{
	int err;

	if (depth == SCRIPTS_MAX)
		return refuse(path, "it is a script of a script of a script",
			      "give the last interpreter as the program");
	err = may_run(image->loader);
	if (err < 0) {
		say_error(err, "cannot run '%s': its interpreter '%s'", path, image->loader);
		return STATUS_CANNOT;
	}
	return check(image->loader, depth + 1);
}

static int check(const char *path, unsigned depth)
{
	struct image image;
	int err = image_read(path, &image);

	/* A program may be executable without being readable. The loader is able to; we only cannot look. */
	if (err == -EACCES)
		return 0;
	if (err < 0) {
		say_error(err, "cannot look at '%s'", path);
		return STATUS_CANNOT;
	}
	if (image.broken) {
		say_error(0, "cannot run '%s': its header is broken or cut off; get the file anew",
			  path);
		return STATUS_CANNOT;
	}
	switch (image.kind) {
	case KIND_SCRIPT:
		return check_script(path, &image, depth);
	case KIND_ELF:
		return check_elf(path, &image);
	case KIND_FOREIGN:
		say_error(0,
			  "cannot put a library under '%s': it is made for %s; use an asys that is "
			  "built for that",
			  path, image.architecture);
		return STATUS_CANNOT;
	case KIND_EMPTY:
		say_error(0, "cannot run '%s': it is empty; get the file anew", path);
		return STATUS_CANNOT;
	default:
		say_error(0,
			  "cannot run '%s': it is neither a program nor a script that begins with "
			  "#!; "
			  "if it is a shell's script, run: sh %s",
			  path, path);
		return STATUS_CANNOT;
	}
}

int run_find_program(char ret_path[PATH_MAX], const char *name)
{
	int status = locate(ret_path, name);

	return status != 0 ? status : check(ret_path, 0);
}
