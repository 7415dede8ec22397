/* SPDX-License-Identifier: MIT */
/* Opening, reading and writing one file; descriptors. */
#include "fidelity.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static void open_modes(struct fid *f)
{
	int fd = CALL_FD("openat", AT_FDCWD, "new", O_RDWR | O_CREAT | O_EXCL, 0666);

	fid_stat(f, AT_FDCWD, "new");
	CALL_FD("openat", AT_FDCWD, "new", O_RDWR | O_CREAT | O_EXCL, 0666);
	CALL_FD("openat", AT_FDCWD, "absent", O_RDONLY);
	CALL_FD("openat", AT_FDCWD, "new/below", O_RDONLY);
	CALL_FD("openat", AT_FDCWD, "new", O_RDONLY | O_DIRECTORY);
	CALL_FD("openat", AT_FDCWD, ".", O_WRONLY);
	CALL_FD("openat", AT_FDCWD, FID_BAD, O_RDONLY);
	CALL_FD("openat", AT_FDCWD, "", O_RDONLY);
	CALL_FD("openat", FID_BAD_FD, "new", O_RDONLY);
	CALL_FD("openat", fd, "below", O_RDONLY);
	CALL_FD("openat", AT_FDCWD, ".", O_TMPFILE | O_RDWR, 0600);
	CALL_FD("openat", AT_FDCWD, "new", O_RDONLY | O_CLOEXEC);
	CALL_FD("openat", AT_FDCWD, "new", O_PATH);
	CALL_FD("open", "old", O_WRONLY | O_CREAT, 0640);
	CALL_FD("open", "absent", O_RDONLY);
	CALL_FD("creat", "made", 0604);
	CALL_FD("creat", "absent/made", 0604);
	fid_stat(f, AT_FDCWD, "old");
	fid_stat(f, AT_FDCWD, "made");
}

static void open_mask(struct fid *f)
{
	CALL("umask", 077);
	CALL_FD("openat", AT_FDCWD, "closed", O_RDWR | O_CREAT, 0666);
	CALL("mkdirat", AT_FDCWD, "folder", 0777);
	CALL("umask", 0);
	CALL_FD("openat", AT_FDCWD, "wide", O_RDWR | O_CREAT, 0666);
	CALL("mknodat", AT_FDCWD, "fifo", 0010666, 0);
	CALL("umask", 022);
	fid_stat(f, AT_FDCWD, "closed");
	fid_stat(f, AT_FDCWD, "folder");
	fid_stat(f, AT_FDCWD, "wide");
	fid_stat(f, AT_FDCWD, "fifo");
}

static void open_how(struct fid *f)
{
	struct open_how how = { .flags = O_RDWR | O_CREAT, .mode = 0600 };

	CALL_FD("openat2", AT_FDCWD, "new", &how, sizeof(how));
	fid_stat(f, AT_FDCWD, "new");
	CALL_FD("openat2", AT_FDCWD, "new", &how, 3);
	CALL_FD("openat2", AT_FDCWD, "new", FID_BAD, sizeof(how));
	how.flags = O_RDONLY;
	CALL_FD("openat2", AT_FDCWD, "new", &how, sizeof(how));
	how.mode = 0;
	how.resolve = RESOLVE_BENEATH;
	CALL_FD("openat2", AT_FDCWD, "new", &how, sizeof(how));
	CALL_FD("openat2", AT_FDCWD, "/", &how, sizeof(how));
	how.resolve = 1 << 30;
	CALL_FD("openat2", AT_FDCWD, "new", &how, sizeof(how));
}

static void read_write(struct fid *f)
{
	int fd = fid_make(f, "file", "The quick brown fox");
	char buf[64] = "................................";
	int only = fid_keep(f, open("file", O_RDONLY));

	CALL("read", fd, buf, 9);
	fid_bytes(f, "read", buf, 32);
	CALL("read", fd, buf, sizeof(buf));
	CALL("read", fd, buf, sizeof(buf));
	fid_bytes(f, "read", buf, 32);
	CALL("write", fd, " jumps", 6);
	fid_place(f, fd);
	CALL("pread64", fd, buf, 5, 4);
	CALL("pread64", fd, buf, 5, -1);
	CALL("pread64", fd, buf, 5, 1000);
	CALL("pwrite64", fd, "slow.", 5, 4);
	CALL("pwrite64", fd, "end", 3, (int64_t)5 << 30);
	fid_bytes(f, "pread64", buf, 32);
	fid_place(f, fd);
	fid_stat(f, AT_FDCWD, "file");
	CALL("write", only, "x", 1);
	CALL("read", FID_BAD_FD, buf, 1);
	CALL("write", -1, buf, 1);
	CALL("pread64", only, FID_BAD, 4, 0);
	CALL("read", only, FID_BAD, 4);
	CALL("write", fd, FID_BAD, 4);
	CALL("read", only, buf, 0);
	CALL("read", fid_keep(f, open(".", O_RDONLY)), buf, 1);
}

static void append(struct fid *f)
{
	int fd = fid_make(f, "file", "start.");
	int end = fid_keep(f, open("file", O_WRONLY | O_APPEND));

	CALL("write", end, "one.", 4);
	CALL("pwrite64", end, "two.", 4, 0);
	CALL("write", fd, "S", 1);
	CALL("lseek", end, 0, SEEK_SET);
	CALL("write", end, "three.", 6);
	fid_place(f, end);
	fid_file(f, "file");
}

static void seek(struct fid *f)
{
	int fd = fid_make(f, "file", "abc");
	int ends[2];

	fid_pipe(f, ends);
	CALL("lseek", fd, (int64_t)6 << 30, SEEK_SET);
	CALL("write", fd, "z", 1);
	CALL("lseek", fd, (int64_t)1 << 40, SEEK_CUR);
	CALL("lseek", fd, -1, SEEK_END);
	CALL("lseek", fd, 0, SEEK_DATA);
	CALL("lseek", fd, (int64_t)7 << 30, SEEK_HOLE);
	CALL("lseek", fd, -9, SEEK_SET);
	CALL("lseek", fd, 0, 77);
	CALL("lseek", ends[0], 0, SEEK_SET);
	CALL("lseek", FID_BAD_FD, 0, SEEK_SET);
	fid_stat(f, AT_FDCWD, "file");
}

static void sizes(struct fid *f)
{
	int fd = fid_make(f, "file", "0123456789");
	int only = fid_keep(f, open("file", O_RDONLY));

	CALL("ftruncate", fd, 4);
	fid_file(f, "file");
	CALL("ftruncate", fd, 6);
	fid_file(f, "file");
	CALL("truncate", "file", (int64_t)5 << 32);
	fid_stat(f, AT_FDCWD, "file");
	CALL("truncate", "file", 2);
	fid_file(f, "file");
	CALL("ftruncate", only, 1);
	CALL("ftruncate", fd, -1);
	CALL("truncate", "absent", 1);
	CALL("truncate", ".", 1);
	CALL("fallocate", fd, 0, 0, 4096);
	fid_stat(f, AT_FDCWD, "file");
	CALL("fallocate", fd, FALLOC_FL_KEEP_SIZE, 4096, 65536);
	fid_stat(f, AT_FDCWD, "file");
	CALL("fallocate", fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1);
	fid_file(f, "file");
	CALL("fallocate", fd, 0, 0, 0);
	CALL("fallocate", only, 0, 0, 1);
	CALL("fallocate", FID_BAD_FD, 0, 0, 1);
}

static void durability(struct fid *f)
{
	int fd = fid_make(f, "file", "0123456789");
	int ends[2];
	struct {
		uint64_t offset, length;
	} range = { 0, 4096 };
	uint64_t cache[5];

	fid_pipe(f, ends);
	CALL("fsync", fd);
	CALL("fsync", ends[0]);
	CALL("fsync", FID_BAD_FD);
	CALL("fdatasync", fd);
	CALL("fdatasync", ends[1]);
	CALL("syncfs", FID_BAD_FD);
	CALL("sync_file_range", fd, 0, 10, 7);
	CALL("sync_file_range", fd, 0, 10, 64);
	CALL("sync_file_range", FID_BAD_FD, 0, 10, 7);
	CALL("fadvise64", fd, 0, 10, POSIX_FADV_WILLNEED);
	CALL("fadvise64", fd, 0, 10, 99);
	CALL("fadvise64", ends[0], 0, 10, POSIX_FADV_NORMAL);
	CALL("readahead", fd, 0, 10);
	CALL("readahead", ends[0], 0, 10);
	CALL("readahead", FID_BAD_FD, 0, 10);
	CALL("cachestat", fd, &range, cache, 0);
	CALL("cachestat", fd, &range, cache, 1);
	CALL("cachestat", fd, &range, FID_BAD, 0);
	CALL("cachestat", FID_BAD_FD, &range, cache, 0);
}

/* The file system of memfds for syncfs; sync itself has no smaller form. */
static void sync_all(struct fid *f)
{
	int fd = fid_keep(f, (int)memfd_create("sync", 0));

	CALL("syncfs", fd);
	CALL("sync", 0);
}

static void duplicates(struct fid *f)
{
	int fd = fid_make(f, "file", "0123456789");
	int ends[2], copy;

	fid_pipe(f, ends);
	copy = CALL_FD("dup", fd);
	CALL("lseek", fd, 7, SEEK_SET);
	fid_place(f, copy);
	CALL("dup", FID_BAD_FD);
	CALL("dup2", fd, 200);
	fid_place(f, 200);
	CALL("dup2", FID_BAD_FD, 200);
	CALL("dup2", 200, 200);
	CALL("dup3", fd, 201, O_CLOEXEC);
	fid_note(f, "flags %d %d\n", fcntl(200, F_GETFD), fcntl(201, F_GETFD));
	CALL("dup3", fd, 202, 1);
	CALL("dup3", 201, 201, 0);
	CALL("dup3", fd, -1, 0);
	CALL("close", 200);
	CALL("close", 200);
	CALL("close", 201);
	CALL("close", FID_BAD_FD);
}

static void close_ranges(struct fid *f)
{
	int fd = fid_make(f, "file", "0123456789");

	for (int i = 300; i < 310; i++)
		if (dup2(fd, i) < 0)
			fid_fail(f, "dup2");
	CALL("close_range", 301, 303, 0);
	CALL("close_range", 305, 306, 1 << 2);
	CALL("close_range", 9, 8, 0);
	CALL("close_range", 305, 306, 1 << 9);
	for (int i = 300; i < 310; i++)
		fid_note(f, "%d: flags %d\n", i, fcntl(i, F_GETFD));
	CALL("close_range", 300, 310, 0);
}

static void control(struct fid *f)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 3 };
	int fd = fid_make(f, "file", "0123456789");
	int ends[2];

	fid_pipe(f, ends);
	CALL("fcntl", fd, F_GETFL);
	CALL("fcntl", fd, F_SETFL, O_APPEND | O_NONBLOCK);
	CALL("fcntl", fd, F_GETFL);
	CALL("fcntl", fd, F_SETFD, 0);
	CALL("fcntl", fd, F_GETFD);
	CALL("fcntl", fd, F_DUPFD, 400);
	CALL("fcntl", fd, F_DUPFD_CLOEXEC, 401);
	CALL("fcntl", fd, F_DUPFD, -1);
	CALL("fcntl", fd, F_SETLK, &lock);
	lock.l_type = F_UNLCK;
	CALL("fcntl", fd, F_GETLK, &lock);
	fid_note(f, "lock type %d\n", lock.l_type);
	CALL("fcntl", fd, F_SETLK, FID_BAD);
	lock.l_type = 99;
	CALL("fcntl", fd, F_SETLK, &lock);
	CALL("fcntl", ends[0], F_SETPIPE_SZ, 16384);
	CALL("fcntl", ends[0], F_GETPIPE_SZ);
	CALL("fcntl", fd, F_GETPIPE_SZ);
	CALL("fcntl", fd, 9999);
	CALL("fcntl", FID_BAD_FD, F_GETFL);
	CALL("close", 400);
	CALL("close", 401);
}

/* The peer holds the lock for a moment; the call under test waits for it. */
static void record_lock_waits(struct fid *f)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = fid_make(f, "file", "0123456789");
	int ends[2];
	char ready;

	fid_pipe(f, ends);
	if (fid_peer(f)) {
		if (fcntl(fd, F_SETLK, &lock) < 0 || write(ends[1], "r", 1) != 1)
			_exit(1);
		fid_patience();
		_exit(0);
	}
	if (read(ends[0], &ready, 1) != 1)
		fid_fail(f, "the peer's lock");
	CALL("fcntl", fd, F_SETLKW, &lock);
	fid_join(f);
}

static void whole_locks(struct fid *f)
{
	int fd = fid_make(f, "file", "0123456789");
	int other = fid_keep(f, open("file", O_RDWR | O_CLOEXEC));

	CALL("flock", fd, LOCK_EX | LOCK_NB);
	CALL("flock", other, LOCK_SH | LOCK_NB);
	CALL("flock", fd, LOCK_SH);
	CALL("flock", other, LOCK_SH | LOCK_NB);
	CALL("flock", other, LOCK_UN);
	CALL("flock", fd, 77);
	CALL("flock", FID_BAD_FD, LOCK_SH);
	if (fid_peer(f))
		_exit(flock(fd, LOCK_UN) < 0);
	CALL("flock", other, LOCK_EX);
	fid_join(f);
}

static void controls(struct fid *f)
{
	int fd = fid_make(f, "file", "0123456789");
	int on = 1, count = -1, ends[2];
	struct winsize size;

	fid_pipe(f, ends);
	CALL("ioctl", fd, FIONREAD, &count);
	fid_note(f, "count %d\n", count);
	if (write(ends[1], "xyz", 3) != 3)
		fid_fail(f, "pipe");
	CALL("ioctl", ends[0], FIONREAD, &count);
	fid_note(f, "count %d\n", count);
	CALL("ioctl", ends[0], FIONBIO, &on);
	CALL("ioctl", ends[0], FIOCLEX);
	CALL("ioctl", fd, TIOCGWINSZ, &size);
	CALL("ioctl", ends[0], FIONREAD, FID_BAD);
	CALL("ioctl", fd, 0x7fffffff, 0);
	CALL("ioctl", FID_BAD_FD, FIONREAD, &count);
}

static void anonymous(struct fid *f)
{
	int fd = CALL_FD("memfd_create", "name", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char buf[16] = "";

	CALL_FD("memfd_create", "name", 0x8000);
	CALL_FD("memfd_create", FID_BAD, 0);
	CALL("write", fd, "contents", 8);
	CALL("fcntl", fd, F_ADD_SEALS, F_SEAL_SHRINK);
	CALL("fcntl", fd, F_GET_SEALS);
	CALL("ftruncate", fd, 0);
	CALL("ftruncate", fd, 20);
	CALL("pread64", fd, buf, 8, 0);
	fid_bytes(f, "memfd", buf, 8);
	CALL_FD("memfd_secret", 0x70000000);
}

const struct fid_case fid_files[] = {
	{ "open", open_modes, 0, 0 },
	{ "umask", open_mask, 0, 0 },
	{ "openat2", open_how, 0, 0 },
	{ "read and write", read_write, 0, 0 },
	{ "append", append, 0, 0 },
	{ "seek", seek, 0, 0 },
	{ "file sizes", sizes, 0, 0 },
	{ "durability", durability, 0, 0 },
	{ "sync", sync_all, 0, 0 },
	{ "duplicates", duplicates, 0, 0 },
	{ "close_range", close_ranges, 0, 0 },
	{ "fcntl", control, 0, 0 },
	{ "record lock waits", record_lock_waits, 0, 0 },
	{ "flock", whole_locks, 0, 0 },
	{ "ioctl", controls, 0, 0 },
	{ "memfd", anonymous, 0, 0 },
	{ 0 },
};
