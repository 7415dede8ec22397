/* SPDX-License-Identifier: MIT */
/* Where the shims are: where they were installed with this command, or beside it in the build. */
#include "run.h"
#include "run_elf.h"
#include "say.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Folders that were looked into, for the error. */
struct looked {
	char text[3 * PATH_MAX + 16];
	size_t len;
};

static bool look(char ret_path[PATH_MAX], const char *folder, const char *name,
		 struct looked *looked)
{
	int n = snprintf(ret_path, PATH_MAX, "%s/%s", folder, name);
	size_t room = sizeof looked->text - looked->len;

	if (n < PATH_MAX && access(ret_path, R_OK) == 0)
		return true;
	n = snprintf(looked->text + looked->len, room, "%s%s", looked->len > 0 ? ", " : "", folder);
	looked->len += n > 0 && (size_t)n < room ? (size_t)n : 0;
	return false;
}

/* The folder of this command; false where /proc does not say. */
static bool own_folder(char ret_folder[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", ret_folder, PATH_MAX - 1);
	char *slash;

	if (n <= 0)
		return false;
	ret_folder[n] = '\0';
	slash = strrchr(ret_folder, '/');
	if (slash == NULL)
		return false;
	*slash = '\0';
	return true;
}

static bool search(char ret_path[PATH_MAX], const char *folder, const char *name,
		   struct looked *looked)
{
	const char *told = getenv("ASYS_LIBDIR");
	char own[PATH_MAX], beside[2 * PATH_MAX];

	if (told != NULL && *told != '\0')
		return look(ret_path, told, name, looked);
	if (own_folder(own)) {
		/* A prefix may have been moved as a whole since it was built for. */
		snprintf(beside, sizeof beside, "%s/%s", own, ASYS_LIBDIR_FROM_BIN);
		if (look(ret_path, beside, name, looked))
			return true;
		snprintf(beside, sizeof beside, "%s/../shims/%s", own, folder);
		if (look(ret_path, beside, name, looked))
			return true;
	}
	return look(ret_path, ASYS_LIBDIR, name, looked);
}

int run_find_library(char ret_path[PATH_MAX], const char *folder, const char *name)
{
	struct looked looked = { .len = 0 };
	char found[PATH_MAX];
	struct image image;
	int err;

	if (!search(found, folder, name, &looked)) {
		const char *told = getenv("ASYS_LIBDIR");

		if (told != NULL && *told != '\0')
			say_error(0,
				  "ASYS_LIBDIR=%.200s: the library %s is not there; set it to the "
				  "folder that has it, or unset it",
				  told, name);
		else
			say_error(0,
				  "cannot find the library %s: not in %s; install asys with its "
				  "shims, or set ASYS_LIBDIR to the folder that has it",
				  name, looked.text);
		return STATUS_RUN;
	}
	if (realpath(found, ret_path) == NULL) {
		say_error(-errno, "cannot use the library '%s'", found);
		return STATUS_RUN;
	}
	err = image_read(ret_path, &image);
	if (err < 0 || image.kind != KIND_ELF || image.broken) {
		say_error(err, "cannot use the library '%s': it is %s; install asys anew", ret_path,
			  err < 0		     ? "not readable" :
			  image.kind == KIND_FOREIGN ? "made for another architecture" :
						       "no library");
		return STATUS_RUN;
	}
	/* The loader splits its list at these. */
	if (strpbrk(ret_path, ": ") != NULL) {
		say_error(0,
			  "cannot use the library '%s': LD_PRELOAD takes no path with a blank or a "
			  "colon; move it, or set ASYS_LIBDIR to a link without them",
			  ret_path);
		return STATUS_RUN;
	}
	return 0;
}
