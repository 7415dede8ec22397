/* SPDX-License-Identifier: MIT */
/*
 * copytree in three parts: copytree_chains.c says what copying one thing is, as chains that are built
 * once; copytree.c walks the tree and sends them, many at once; copytree_folders.c has the items, and the
 * folders on the way, of which it keeps not too many open.
 */
#ifndef COPYTREE_H
#define COPYTREE_H

#include <asys/asys.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#define ITEMS_MAX 96u
#define DATA_SIZE (256u << 10) /* of one piece of a file */
#define LIST_SIZE (64u << 10)  /* of a folder's entries in one piece */
#define NAMES_SIZE (64u << 10) /* the kernel's limit for the names of attributes */
#define VALUE_SIZE (64u << 10) /* ... and for the value of one */
#define PATH_SIZE (PATH_MAX + 64u)

/*
 * One thing on its way from here to there, and the parameter of every sending: what its chain needs
 * to know (and what it finds out) is in words that its steps load and store.
 */
struct item {
	/* Where from and where to: folders' descriptors, and a name in each */
	int64_t from_dir, to_dir;
	const char *from_name, *to_name;
	int64_t in, out; /* descriptors, or why there is none */
	struct stat st;	 /* of the source */
	/* What is to be done, found by the plan_... functions */
	int64_t create_mode, mode, uid, gid, device;
	int64_t symlink;     /* it is one */
	int64_t large;	     /* more than one piece, or with holes */
	int64_t piece;	     /* bytes of the next one, ... */
	int64_t offset;	     /* ... which begins here */
	int64_t data_end;    /* of the data that it is in: there is a hole */
	bool cut;	     /* the file ended within data that it was said to have */
	int64_t clone;	     /* large: perhaps the file system can share the blocks */
	int64_t more;	     /* any of the following */
	int64_t other_owner; /* than new files have */
	int64_t attributes;  /* it has extended ones: then the paths below are set */
	int64_t other_mode;  /* than it was created with */
	const char *attribute, *attributes_end;
	char *list_end; /* a folder: a piece of its entries is in data .. list_end */
	int64_t list_room;
	int64_t list_last; /* there are no more */
	bool first;	   /* of several links to the same file: this one is copied, not linked */
	char *data, *names;
	char from_path[PATH_SIZE], to_path[PATH_SIZE];
	/* The walker's own */
	unsigned kind;
	struct item *next;
	struct folder *folder;
	struct link *link;
	struct folder *link_folder; /* in use */
	const char *list_at;
	char name[NAME_MAX + 1];
};

/* copytree_chains.c */

struct copy_chains {
	struct asys_chain *file; /* result 1: copied; 0: has several links and is not the first */
	struct asys_chain *special; /* links, FIFOs, devices; the same */
	struct asys_chain *folder;  /* makes it, opens both, lists it */
	struct asys_chain *list;    /* goes on listing */
	struct asys_chain *finish;  /* when all is in the folder: rights and times */
};

/* 0 or -errno, with asys_message. */
int copy_chains_build(struct copy_chains *ret_chains);
void copy_chains_close(struct copy_chains *chains);

/* What is to be done about a folder's owner, mode and attributes; `attributes`: it has some. */
void plan_folder_end(struct item *item, bool attributes);

/* What holds for the whole copy; set before anything is in the destination. */
struct copy_facts {
	bool root;
	uid_t uid; /* of everything that is made there */
	gid_t gid;
	dev_t top_dev; /* the destination, which must not be copied into itself */
	ino_t top_ino;
	_Atomic int64_t no_clone;	  /* the file systems cannot */
	_Atomic uint64_t bytes;		  /* copied */
	_Atomic uint64_t lost_attributes; /* that the destination would not take */
	uint64_t errors;		  /* reported */
};
extern struct copy_facts copy_facts;

/* copytree_folders.c */

/* 0 or -ENOMEM. */
int items_make(void);
bool item_is_free(void);
/* Only if one is free. */
struct item *item_new(unsigned kind, struct folder *f);
void item_free(struct item *i);
unsigned items_in_flight(void);

/* How many there are for the copy; before anything is opened. */
void descriptors_count(void);
/* Not enough for all that could be in flight. */
bool descriptors_are_few(void);
/* There are enough to start something; if need be, folders that nothing uses are closed for it. */
bool descriptors_for_one(void);

enum work { OPEN_IT, LIST_IT, FINISH_IT };

/* A folder that was found and is not finished, or holds the first copy of a file with several links. */
struct folder {
	struct folder *parent;	      /* NULL: the topmost */
	struct folder *next;	      /* in the stack of work */
	struct folder *older, *newer; /* in the ring of those that are open but not used */
	int from, to;		      /* descriptors; -1: not open */
	unsigned users;		      /* of the descriptors */
	unsigned left;		      /* entries, and pieces of its list, that have not ended */
	unsigned references; /* folders inside, links that name it, itself until finished */
	enum work work;
	bool attributes;
	struct stat st;
	char *name; /* in its parent; of the topmost: its path */
};

/* The first copy of a file with several links. */
struct link {
	dev_t dev;
	ino_t ino;
	struct folder *folder;
	asys_id copy; /* in flight; value 0: it has ended */
	char name[NAME_MAX + 1];
};

/* Says what could not be done with a folder, or with `name` in it, and counts it. */
void folder_report(const struct folder *f, const char *name, const char *what, int64_t err);
struct folder *folder_new(struct folder *parent, const char *name);
/* One reference less; the last one closes it. */
void folder_forget(struct folder *f);
/* It was opened: these are its descriptors, used by the caller. */
void folder_opened(struct folder *f, int from, int to);
/* Its descriptors are open until folder_let_go. 0 or -errno. */
int folder_hold(struct folder *f);
void folder_let_go(struct folder *f);
/*
 * The topmost folder of the destination tells whose all that is made in it will be: fills in
 * copy_facts. 0 or -errno.
 */
int folder_settle_top(const struct folder *top);

/* The record of the item's file, and whether it is new. NULL: no memory. */
struct link *link_find(const struct item *item, bool *ret_new);
void link_forget(struct link *link);

#endif
