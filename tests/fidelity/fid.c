/* SPDX-License-Identifier: MIT */
/* What cases are written with. */
#include "fidelity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void fid_note(struct fid *f, const char *format, ...)
{
	struct fid_shared *s = f->shared;
	size_t room = FID_TEXT - s->length;
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(s->text + s->length, room, format, list);
	va_end(list);
	if (n < 0 || (size_t)n >= room) {
		s->lost++;
		return;
	}
	s->length += (uint32_t)n;
}

static void note_result(struct fid *f, enum fid_log how, const char *name, int64_t result)
{
	if (result < 0 && result >= -4095)
		fid_note(f, "%s = %lld (%s)\n", name, (long long)result, strerror((int)-result));
	else if (how == FID_LOG_EXACT)
		fid_note(f, "%s = %lld\n", name, (long long)result);
	else if (how == FID_LOG_FD)
		fid_note(f, "%s = descriptor, flags %d\n", name, fcntl((int)result, F_GETFD));
	else
		fid_note(f, "%s = success\n", name);
}

static void forget(struct fid *f, int fd)
{
	for (unsigned i = 0; i < f->kept; i++)
		if (f->keep[i] == fd)
			f->keep[i--] = f->keep[--f->kept];
}

int64_t fid_run(struct fid *f, const struct asys_syscall_info *info, const uint64_t args[6])
{
	uint8_t *seen = &f->shared->seen[info->nr];
	int64_t result;

	/* Noted before as well: the call may end this process or replace its program. */
	*seen |= FID_SEEN_RAN;
	result = f->executor->run(f->context, info->nr, args);
	if (result == -ENOSYS)
		*seen |= FID_SEEN_ENOSYS;
	else if (result >= 0 || result < -4095)
		*seen |= FID_SEEN_SUCCESS;
	return result;
}

int64_t fid_call(struct fid *f, enum fid_log how, const char *name, const uint64_t args[6])
{
	const struct asys_syscall_info *info = asys_syscall_by_name(name);
	int64_t result;

	if (!info || info->nr >= FID_NUMBERS) {
		fid_note(f, "%s: not on this architecture\n", name);
		return -ENOSYS;
	}
	if (info->class_ == ASYS_CLASS_NEVER) {
		fid_note(f, "%s: never queued\n", name);
		return -EOPNOTSUPP;
	}
	result = fid_run(f, info, args);
	note_result(f, how, name, result);
	/* Its number may be in use again before the case ends. */
	if (result == 0 && strcmp(name, "close") == 0)
		forget(f, (int)args[0]);
	return result;
}

int fid_call_fd(struct fid *f, const char *name, const uint64_t args[6])
{
	int64_t fd = fid_call(f, FID_LOG_FD, name, args);

	return fd < 0 ? -1 : fid_keep(f, (int)fd);
}

void fid_bytes(struct fid *f, const char *what, const void *data, size_t size)
{
	const unsigned char *p = data;
	uint32_t sum = 0;

	fid_note(f, "%s[%zu] =", what, size);
	for (size_t i = 0; i < size; i++) {
		sum = sum * 31 + p[i];
		if (i >= 96)
			continue;
		if (p[i] > ' ' && p[i] < 127 && p[i] != '\\')
			fid_note(f, "%c", p[i]);
		else
			fid_note(f, "\\%02x", p[i]);
	}
	fid_note(f, " sum %08x\n", sum);
}

void fid_file(struct fid *f, const char *path)
{
	char *text = malloc(FID_TEXT);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0 || !text) {
		fid_note(f, "%s: %s\n", path, strerror(errno));
	} else {
		n = read(fd, text, FID_TEXT);
		fid_bytes(f, path, text, n < 0 ? 0 : (size_t)n);
	}
	if (fd >= 0)
		close(fd);
	free(text);
}

void fid_stat(struct fid *f, int dirfd, const char *path)
{
	int flags = AT_SYMLINK_NOFOLLOW | (*path ? 0 : AT_EMPTY_PATH);
	struct stat st;

	if (fstatat(dirfd, path, &st, flags) < 0) {
		fid_note(f, "%s: %s\n", path, strerror(errno));
		return;
	}
	fid_note(f, "%s: mode %o links %u owner %u:%u size %lld\n", path, st.st_mode,
		 (unsigned)st.st_nlink, st.st_uid, st.st_gid,
		 S_ISDIR(st.st_mode) ? -1LL : (long long)st.st_size);
}

void fid_place(struct fid *f, int fd)
{
	fid_note(f, "offset %lld\n", (long long)lseek(fd, 0, SEEK_CUR));
}

int fid_keep(struct fid *f, int fd)
{
	if (fd >= 0 && f->kept < FID_DESCRIPTORS)
		f->keep[f->kept++] = fd;
	return fd;
}

void fid_close(struct fid *f, int fd)
{
	forget(f, fd);
	close(fd);
}

void fid_fail(struct fid *f, const char *what)
{
	fid_note(f, "cannot prepare the case: %s: %s\n", what, strerror(errno));
	f->shared->lost++;
	_exit(1);
}

int fid_make(struct fid *f, const char *path, const char *text)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t size = strlen(text);

	if (fd < 0 || write(fd, text, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0)
		fid_fail(f, path);
	return fid_keep(f, fd);
}

void fid_pipe(struct fid *f, int ret_ends[2])
{
	if (pipe2(ret_ends, O_CLOEXEC) < 0)
		fid_fail(f, "pipe");
	fid_keep(f, ret_ends[0]);
	fid_keep(f, ret_ends[1]);
}

void fid_pair(struct fid *f, int type, int ret_ends[2])
{
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret_ends) < 0)
		fid_fail(f, "socketpair");
	fid_keep(f, ret_ends[0]);
	fid_keep(f, ret_ends[1]);
}

void fid_patience(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 15000000 }, NULL);
}

void fid_ready(struct fid *f, int fd)
{
	if (poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, FID_LIMIT_MS / 2) != 1)
		fid_fail(f, "poll");
}

/* The emulator runs in the process, which has its name. */
bool fid_emulated(void)
{
	char name[16] = "";

	prctl(PR_GET_NAME, name);
	return strncmp(name, "qemu-", 5) == 0;
}

bool fid_peer(struct fid *f)
{
	pid_t pid = fork();

	if (pid < 0)
		fid_fail(f, "fork");
	if (pid > 0) {
		f->peer = pid;
		return false;
	}
	/* Nobody waits for a peer whose case was killed. */
	alarm(FID_LIMIT_MS / 1000);
	fid_patience();
	return true;
}

void fid_join(struct fid *f)
{
	int status = -1;

	if (f->peer > 0 && waitpid(f->peer, &status, 0) == f->peer && status)
		fid_note(f, "peer ended with status %d\n", status);
	f->peer = 0;
}
