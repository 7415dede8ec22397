/* SPDX-License-Identifier: MIT */
/* Being told of changes in the file system. */
#include "fidelity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static void note_events(struct fid *f, const char *buf, int64_t size)
{
	struct inotify_event event;

	for (int64_t at = 0; at < size; at += (int64_t)sizeof(event) + event.len) {
		memcpy(&event, buf + at, sizeof(event));
		fid_note(f, "watch %d mask %x %s\n", event.wd, event.mask,
			 event.len ? buf + at + sizeof(event) : "");
	}
}

static void inotify(struct fid *f)
{
	int fd = CALL_FD("inotify_init1", IN_NONBLOCK);
	_Alignas(8) char buf[1024];
	int64_t watch;

	CALL_FD("inotify_init1", 1);
	CALL_FD("inotify_init", 0);
	watch = CALL("inotify_add_watch", fd, ".", IN_CREATE | IN_DELETE | IN_MOVED_FROM);
	CALL("inotify_add_watch", fd, "absent", IN_CREATE);
	CALL("inotify_add_watch", fd, FID_BAD, IN_CREATE);
	CALL("inotify_add_watch", fd, ".", 0);
	CALL("inotify_add_watch", FID_BAD_FD, ".", IN_CREATE);
	CALL("read", fd, buf, sizeof(buf));
	fid_make(f, "file", "x");
	CALL("mkdirat", AT_FDCWD, "folder", 0700);
	CALL("renameat", AT_FDCWD, "file", AT_FDCWD, "other");
	CALL("unlinkat", AT_FDCWD, "other", 0);
	note_events(f, buf, CALL("read", fd, buf, sizeof(buf)));
	CALL("inotify_rm_watch", fd, watch);
	note_events(f, buf, CALL("read", fd, buf, sizeof(buf)));
	CALL("inotify_rm_watch", fd, watch);
	CALL("inotify_rm_watch", FID_BAD_FD, watch);
	CALL("read", fd, buf, 3);
}

static void inotify_waits(struct fid *f)
{
	int fd = fid_keep(f, inotify_init1(IN_CLOEXEC));
	_Alignas(8) char buf[256];

	if (inotify_add_watch(fd, ".", IN_CREATE) < 0)
		fid_fail(f, "inotify_add_watch");
	if (fid_peer(f))
		_exit(mkdir("later", 0700) < 0);
	note_events(f, buf, CALL("read", fd, buf, sizeof(buf)));
	fid_join(f);
}

/* As root: a mark on one folder. Else the same refusal. */
static void fanotify(struct fid *f)
{
	int fd = CALL_FD("fanotify_init", FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY);
	struct fanotify_event_metadata event = { 0 };
	uint64_t mask = FAN_OPEN | FAN_EVENT_ON_CHILD;

	CALL_FD("fanotify_init", 1 << 30, O_RDONLY);
	fid_make(f, "file", "x");
	CALL("fanotify_mark", fd, FAN_MARK_ADD, mask, AT_FDCWD, ".");
	CALL("fanotify_mark", fd, FAN_MARK_ADD, mask, AT_FDCWD, "absent");
	CALL("fanotify_mark", fd, 0x40000000, mask, AT_FDCWD, ".");
	CALL("fanotify_mark", FID_BAD_FD, FAN_MARK_ADD, mask, AT_FDCWD, ".");
	CALL("read", fd, &event, sizeof(event));
	CALL_FD("openat", AT_FDCWD, "file", O_RDONLY);
	CALL("read", fd, &event, sizeof(event));
	fid_note(f, "mask %llx mine %d\n", (unsigned long long)event.mask, event.pid == getpid());
	if (fd >= 0)
		fid_keep(f, event.fd);
	CALL("fanotify_mark", fd, FAN_MARK_REMOVE, mask, AT_FDCWD, ".");
}

const struct fid_case fid_watches[] = {
	{ "inotify", inotify, 0, 0 },
	{ "inotify waits", inotify_waits, 0, 0 },
	{ "fanotify", fanotify, 0, 0 },
	{ 0 },
};
