/* SPDX-License-Identifier: MIT */
/*
 * httpd in four parts: httpd.c has the connections and the chain that each one is; httpd_request.c
 * understands requests, httpd_text.c writes the heads of answers; httpd_files.c remembers files.
 */
#ifndef HTTPD_H
#define HTTPD_H

#include <asys/asys.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <time.h>

#define REQUEST_SIZE 8192u
#define HEAD_SIZE 1024u
#define BODY_SIZE (64u << 10)
#define ANSWER_SIZE (HEAD_SIZE + BODY_SIZE)
#define PATH_SIZE (REQUEST_SIZE + 16u)
#define LINES_SIZE 128u
#define FILES_MAX 512u

/* One request and its answer. */
struct exchange {
	size_t size;  /* of the request, which begins at `request` */
	int status;   /* 0: the file decides */
	bool head;    /* only that is asked for */
	bool options; /* what may be asked is asked for */
	bool folder;  /* that, so `path` is the file in it */
	bool keep;    /* the connection */
	const char
		*target; /* as it came, without slashes at its begin: a path and perhaps a query */
	size_t target_size, path_size;
	char path[PATH_SIZE];
	time_t date;
	char date_text[32];
};

/* httpd_request.c */

/* Bytes of empty lines before a request: they mean nothing. */
size_t empty_lines(const char *text, size_t size);
/* Bytes of the first request; 0: it is not whole yet. */
size_t request_size(const char *text, size_t size);
/* The request at text[0 .. x->size), or too much of one, and not its end, at text[0 .. have). */
void exchange_take(struct exchange *x, const char *text, size_t have);

/* httpd_text.c */

/*
 * The head of its answer, and all of it if there is no file; `lines`: the file's. Bytes: HEAD_SIZE at most,
 * without a file ANSWER_SIZE.
 */
size_t exchange_head(struct exchange *x, const char *lines, char *ret_head);
/* The lines of a head that are the file's: type and length. */
void file_lines(char *ret_lines, const char *path, int64_t size);

/* httpd_files.c; from any thread */

struct file {
	uint64_t seen_ns;
	unsigned users;
	int fd;
	int64_t size;
	char *_Atomic content; /* of a small file that was read */
	char lines[LINES_SIZE];
	char path[];
};

/* Remembers `most` at a time, not more than FILES_MAX. */
void files_open(unsigned most);
/* Descriptors are missing elsewhere: forgets all. */
void files_give_back(void);
/* An open file that was looked at not long before `now_ns`, used once more; NULL: none. */
struct file *file_find(const char *path, uint64_t now_ns);
/* Remembers it, used once; `fd` is its own now. NULL: no memory, `fd` is closed. */
struct file *file_add(const char *path, uint64_t now_ns, int fd, const struct stat *st);
void file_put(struct file *file);
/* Its content, if it is small enough to be kept. */
void file_keep(struct file *file, const char *content);
/* Copies its content, if it was kept. */
bool file_copy(const struct file *file, char *ret_content);
/* It is not what it was. */
void file_forget(struct file *file);

#endif
