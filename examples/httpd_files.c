/* SPDX-License-Identifier: MIT */
/*
 * Open files, and what is in the small ones, so that those that are asked for again and again are not
 * opened and read each time. After a second they are looked at anew. A place for each hash: what comes
 * later takes it. So as many descriptors as there are places, and CONTENT_MAX bytes for each, are used at
 * most, besides those of files that are being sent.
 */
#include "httpd.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRESH_NS 1000000000u
#define CONTENT_MAX (16 << 10)

static struct file *places[FILES_MAX];
static unsigned places_used = 1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct file **place_of(const char *path)
{
	uint32_t hash = 2166136261u;

	while (*path)
		hash = (hash ^ (unsigned char)*path++) * 16777619u;
	return &places[(hash ^ hash >> 16) % places_used];
}

void files_open(unsigned most)
{
	places_used = most;
}

/* Under the lock. */
static void drop(struct file *file)
{
	if (--file->users)
		return;
	close(file->fd);
	free(file->content);
	free(file);
}

struct file *file_find(const char *path, uint64_t now_ns)
{
	struct file **place = place_of(path), *file;

	pthread_mutex_lock(&lock);
	file = *place;
	if (file && !strcmp(file->path, path) && now_ns < file->seen_ns + FRESH_NS)
		file->users++;
	else
		file = NULL;
	pthread_mutex_unlock(&lock);
	return file;
}

struct file *file_add(const char *path, uint64_t now_ns, int fd, const struct stat *st)
{
	size_t length = strlen(path) + 1;
	struct file **place = place_of(path), *file = malloc(sizeof(*file) + length);

	if (!file) {
		close(fd);
		return NULL;
	}
	file->seen_ns = now_ns;
	file->users = 2; /* the caller and the place */
	file->fd = fd;
	file->size = st->st_size;
	file->content = NULL;
	memcpy(file->path, path, length);
	file_lines(file->lines, path, st->st_size);
	pthread_mutex_lock(&lock);
	if (*place)
		drop(*place);
	*place = file;
	pthread_mutex_unlock(&lock);
	return file;
}

void file_put(struct file *file)
{
	if (!file)
		return;
	pthread_mutex_lock(&lock);
	drop(file);
	pthread_mutex_unlock(&lock);
}

void file_keep(struct file *file, const char *content)
{
	char *copy, *none = NULL;

	if (file->size > CONTENT_MAX || file->content)
		return;
	copy = malloc((size_t)file->size);
	if (!copy)
		return;
	memcpy(copy, content, (size_t)file->size);
	if (!atomic_compare_exchange_strong(&file->content, &none, copy))
		free(copy);
}

bool file_copy(const struct file *file, char *ret_content)
{
	const char *content = file->content;

	if (content)
		memcpy(ret_content, content, (size_t)file->size);
	return content != NULL;
}

void files_give_back(void)
{
	pthread_mutex_lock(&lock);
	for (unsigned n = 0; n < FILES_MAX; n++) {
		if (places[n])
			drop(places[n]);
		places[n] = NULL;
	}
	pthread_mutex_unlock(&lock);
}

void file_forget(struct file *file)
{
	struct file **place = place_of(file->path);

	pthread_mutex_lock(&lock);
	if (*place == file) {
		*place = NULL;
		drop(file);
	}
	pthread_mutex_unlock(&lock);
}
