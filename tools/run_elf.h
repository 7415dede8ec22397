/* SPDX-License-Identifier: MIT */
/* What kind of program a file is, from its first bytes. */
#ifndef ASYS_TOOLS_RUN_ELF_H
#define ASYS_TOOLS_RUN_ELF_H

#include <limits.h>
#include <stdbool.h>

enum kind {
	KIND_EMPTY,
	KIND_OTHER,  /* neither of these */
	KIND_SCRIPT, /* begins with #! */
	KIND_ELF,    /* for this architecture: what this command itself is */
	KIND_FOREIGN /* ELF for another one */
};

struct image {
	enum kind kind;
	bool broken;		  /* ELF or script, but cut off or without sense */
	bool has_loader;	  /* KIND_ELF: it is dynamically linked and names its loader */
	char loader[PATH_MAX];	  /* ... which is this one; KIND_SCRIPT: its interpreter */
	const char *architecture; /* KIND_FOREIGN: a name for people */
};

/* Reads the file. 0, or -errno; ret_image is set on success only. */
int image_read(const char *path, struct image *ret_image);

#endif
