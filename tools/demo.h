/* SPDX-License-Identifier: MIT */
/* What the two jobs of `asys demo` share. Functions return 0, or -errno after saying why. */
#ifndef ASYS_TOOLS_DEMO_H
#define ASYS_TOOLS_DEMO_H

#include "cost.h"
#include "say.h"

#include <asys/asys.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROUNDS_MAX 5u

enum side { SIDE_SYNC = 0, SIDE_ASYNC, SIDES };

/* hash.c: a file's SHA-256. */

#define DIGEST_TEXT 65 /* 64 hexadecimal digits and a zero */

struct digest {
	char text[DIGEST_TEXT];
	uint64_t bytes;
};

int hash_sync(int fd, struct digest *ret_digest, struct cost *ret_cost, struct progress *progress);
int hash_async(int fd, struct digest *ret_digest, struct cost *ret_cost, struct progress *progress);

/* Runs sha256sum on the file. -ENOENT (said nothing): there is no such command here. */
int hash_command(int fd, char ret_text[DIGEST_TEXT]);

/* bigfile.c: the file to hash. */

struct big_file {
	int fd;
	uint64_t size;
	char path[4096]; /* to show */
};

/* Opens `path`, or if it is NULL a file that is long enough to measure and short enough to be hashed
 * many times in a few seconds (`quick`: once). */
int big_file_open(struct big_file *ret_file, const char *path, bool quick);

/* walk.c, walk_async.c: a tree of files. */

#define WALK_CHUNK 65536u /* bytes of a directory, or of a file, asked for at once */
/* A FIFO that takes a file's place meanwhile must not stop the walk. */
#define WALK_OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
#define WALK_STATX_MASK (STATX_TYPE | STATX_SIZE)

struct walk {
	uint64_t folders;
	uint64_t files;	     /* regular ones */
	uint64_t others;     /* links, sockets, devices ... */
	uint64_t size_bytes; /* of regular files, as statx says */
	uint64_t read_bytes; /* ... as read */
	uint64_t errors;     /* calls that failed */
};

/* What getdents64 writes. */
struct walk_entry {
	uint64_t inode;
	int64_t next;
	uint16_t length;
	uint8_t type;
	char name[];
};

/* Not "." and not "..". */
static inline bool walk_wanted(const struct walk_entry *entry)
{
	const char *name = entry->name;

	return name[0] != '.' || (name[1] != '\0' && (name[1] != '.' || name[2] != '\0'));
}

/* A folder to be walked; a stack of them makes the walk go into the depth first. */
struct walk_path {
	struct walk_path *next;
	char text[];
};

struct statx;

int walk_push(struct walk_path **stack, const char *folder, const char *name);
uint64_t walk_device(const struct statx *info);

/* Never leaves the file system of `root`, and does not follow symbolic links below it. */
int walk_sync(const char *root, struct walk *ret_walk, struct cost *ret_cost,
	      struct progress *progress);
int walk_async(const char *root, struct walk *ret_walk, struct cost *ret_cost,
	       struct progress *progress);

/* demo_print.c: what came out. */

struct hash_report {
	const struct big_file *file;
	unsigned rounds, cold_rounds;
	struct cost warm[SIDES], cold[SIDES]; /* medians */
	char digest[SIDES][DIGEST_TEXT];
	char command[DIGEST_TEXT]; /* sha256sum's; empty: there is no such command */
	bool equal;
};

struct walk_report {
	const char *dir;
	unsigned rounds;
	struct cost cost[SIDES];
	struct walk walk[SIDES];
	bool equal;
};

void demo_print_hash(const struct hash_report *report);
void demo_print_walk(const struct walk_report *report);
int demo_print_json(const struct hash_report *hash, const struct walk_report *walk);

#endif
