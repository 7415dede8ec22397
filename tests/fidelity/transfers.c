/* SPDX-License-Identifier: MIT */
/* Vectors, transfers between descriptors and between processes, the kernel's own AIO. */
#include "fidelity.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void vectors(struct fid *f)
{
	int fd = fid_make(f, "file", "The quick brown fox");
	char a[8] = ".......", b[8] = ".......";
	struct iovec in[2] = { { a, 4 }, { b, 6 } };
	struct iovec out[2] = { { (char[]){ "jumps" }, 5 }, { (char[]){ "over" }, 4 } };
	struct iovec bad[2] = { { a, 4 }, { FID_BAD, 4 } };

	CALL("readv", fd, in, 2);
	fid_bytes(f, "a", a, sizeof(a));
	fid_bytes(f, "b", b, sizeof(b));
	CALL("writev", fd, out, 2);
	fid_place(f, fd);
	CALL("preadv", fd, in, 2, 2, 0);
	fid_bytes(f, "b", b, sizeof(b));
	CALL("pwritev", fd, out, 2, 30, 0);
	CALL("preadv2", fd, in, 2, -1, -1, 0);
	CALL("preadv2", fd, in, 2, 4, 0, 0);
	fid_bytes(f, "a", a, sizeof(a));
	CALL("pwritev2", fd, out, 2, 1, 0, 0x10);
	CALL("pwritev2", fd, out, 1, 0, 0, 0);
	CALL("preadv2", fd, in, 2, 0, 0, 1 << 30);
	CALL("pwritev2", fd, out, 2, 0, 0, 1 << 30);
	fid_file(f, "file");
	CALL("lseek", fd, 0, SEEK_SET);
	CALL("readv", fd, bad, 2);
	CALL("writev", fd, bad + 1, 1);
	CALL("readv", fd, in, -1);
	CALL("readv", fd, in, 0);
	CALL("writev", fd, FID_BAD, 2);
	CALL("readv", FID_BAD_FD, in, 2);
	CALL("preadv", FID_BAD_FD, in, 2, 0, 0);
	CALL("pwritev", fd, in, 2, -1, -1);
	CALL("preadv", fd, in, 2000, 0, 0);
}

static void send_file(struct fid *f)
{
	int from = fid_make(f, "from", "0123456789"), to = fid_make(f, "to", "");
	int64_t offset = 3;
	int ends[2];

	fid_pipe(f, ends);
	CALL("sendfile", to, from, &offset, 4);
	fid_note(f, "offset %lld\n", (long long)offset);
	CALL("sendfile", to, from, NULL, 100);
	CALL("sendfile", to, from, NULL, 100);
	fid_file(f, "to");
	CALL("sendfile", ends[1], from, &offset, 2);
	CALL("sendfile", to, from, FID_BAD, 2);
	CALL("sendfile", to, FID_BAD_FD, NULL, 2);
	CALL("sendfile", to, ends[0], NULL, 2);
	offset = -1;
	CALL("sendfile", to, from, &offset, 2);
}

static void copy_range(struct fid *f)
{
	int from = fid_make(f, "from", "0123456789"), to = fid_make(f, "to", "abcdefgh");
	int64_t in = 2, out = 4;
	int ends[2];

	fid_pipe(f, ends);
	CALL("copy_file_range", from, &in, to, &out, 5, 0);
	fid_note(f, "in %lld out %lld\n", (long long)in, (long long)out);
	fid_file(f, "to");
	CALL("copy_file_range", from, NULL, to, NULL, 100, 0);
	CALL("copy_file_range", from, NULL, to, NULL, 100, 0);
	fid_file(f, "to");
	CALL("copy_file_range", from, &in, to, &out, 5, 1);
	CALL("copy_file_range", ends[0], NULL, to, NULL, 5, 0);
	CALL("copy_file_range", FID_BAD_FD, NULL, to, NULL, 5, 0);
	CALL("copy_file_range", from, FID_BAD, to, NULL, 5, 0);
	in = 0;
	out = 1;
	CALL("copy_file_range", from, &in, from, &out, 5, 0);
}

static void splices(struct fid *f)
{
	int from = fid_make(f, "from", "0123456789"), to = fid_make(f, "to", "");
	struct iovec vec = { (char[]){ "vector" }, 6 };
	int a[2], b[2];
	int64_t offset = 1;
	char buf[16] = "";

	fid_pipe(f, a);
	fid_pipe(f, b);
	CALL("splice", from, &offset, a[1], NULL, 5, 0);
	fid_note(f, "offset %lld\n", (long long)offset);
	CALL("tee", a[0], b[1], 3, 0);
	CALL("read", b[0], buf, sizeof(buf));
	fid_bytes(f, "tee", buf, 8);
	CALL("splice", a[0], NULL, to, NULL, 100, 0);
	fid_file(f, "to");
	CALL("splice", a[0], NULL, to, NULL, 100, 2);
	CALL("tee", a[0], b[1], 3, 2);
	CALL("vmsplice", a[1], &vec, 1, 0);
	CALL("read", a[0], buf, sizeof(buf));
	fid_bytes(f, "vmsplice", buf, 8);
	CALL("splice", from, NULL, to, NULL, 5, 0);
	CALL("splice", a[0], &offset, to, NULL, 5, 0);
	CALL("splice", FID_BAD_FD, NULL, to, NULL, 5, 0);
	CALL("splice", a[0], NULL, to, NULL, 5, 1 << 20);
	CALL("tee", from, b[1], 3, 0);
	CALL("tee", a[0], a[1], 3, 0);
	CALL("vmsplice", from, &vec, 1, 0);
	CALL("vmsplice", a[1], FID_BAD, 1, 0);
	CALL("vmsplice", FID_BAD_FD, &vec, 1, 0);
}

static void splice_waits(struct fid *f)
{
	int to = fid_make(f, "to", "");
	int a[2], b[2];

	fid_pipe(f, a);
	fid_pipe(f, b);
	if (fid_peer(f))
		_exit(write(a[1], "late", 4) != 4);
	CALL("tee", a[0], b[1], 4, 0);
	CALL("splice", a[0], NULL, to, NULL, 4, 0);
	fid_join(f);
	fid_file(f, "to");
}

/* A child that stops at once shares nothing but what it inherited: its copy is at equal addresses. */
static void other_memory(struct fid *f)
{
	char theirs[16] = "their memory", mine[16] = "my memory", buf[16] = "";
	struct iovec local = { buf, 12 }, remote = { theirs, 12 };
	int hold[2];
	pid_t pid;

	fid_pipe(f, hold);
	pid = fork();
	if (pid == 0) {
		char end;

		close(hold[1]);
		_exit(read(hold[0], &end, 1) < 0 || theirs[0] != 'm');
	}
	CALL("process_vm_readv", pid, &local, 1, &remote, 1, 0);
	fid_bytes(f, "read", buf, sizeof(buf));
	local.iov_base = mine;
	CALL("process_vm_writev", pid, &local, 1, &remote, 1, 0);
	CALL("process_vm_readv", pid, &local, 1, &remote, 1, 1);
	remote.iov_base = FID_BAD;
	CALL("process_vm_writev", pid, &local, 1, &remote, 1, 0);
	CALL("process_vm_readv", pid, FID_BAD, 1, &remote, 1, 0);
	CALL("process_vm_readv", 0x7ffffff0, &local, 1, &remote, 1, 0);
	fid_close(f, hold[1]);
	f->peer = pid;
	fid_join(f);
}

static void note_event(struct fid *f, const struct io_event *event)
{
	fid_note(f, "data %llu result %lld\n", (unsigned long long)event->data,
		 (long long)event->res);
}

static void kernel_aio(struct fid *f)
{
	int fd = fid_make(f, "file", "0123456789");
	struct timespec limit = { 1, 0 }, none = { 0, 0 };
	struct io_event event = { 0 };
	aio_context_t context = 0;
	char buf[16] = "";
	struct iocb cb = { .aio_data = 7,
			   .aio_lio_opcode = IOCB_CMD_PREAD,
			   .aio_fildes = (uint32_t)fd,
			   .aio_buf = FID_WORD(buf),
			   .aio_nbytes = 4,
			   .aio_offset = 3 };
	struct iocb *list = &cb;

	CALL("io_setup", 8, &context);
	CALL("io_setup", 8, &context);
	CALL("io_setup", 8, FID_BAD);
	CALL("io_submit", context, 1, &list);
	CALL("io_getevents", context, 1, 1, &event, &limit);
	note_event(f, &event);
	fid_bytes(f, "aio", buf, sizeof(buf));
	cb.aio_offset = 0;
	CALL("io_submit", context, 1, &list);
	CALL("io_pgetevents", context, 1, 1, &event, &limit, NULL);
	note_event(f, &event);
	fid_bytes(f, "aio", buf, sizeof(buf));
	CALL("io_getevents", context, 0, 1, &event, &none);
	CALL("io_pgetevents", context, 2, 1, &event, &none, NULL);
	CALL("io_cancel", context, &cb, &event);
	cb.aio_lio_opcode = 99;
	CALL("io_submit", context, 1, &list);
	CALL("io_submit", context, -1, &list);
	CALL("io_submit", context, 1, FID_BAD);
	CALL("io_destroy", context);
	CALL("io_destroy", context);
	CALL("io_submit", context, 1, &list);
}

const struct fid_case fid_transfers[] = {
	{ "vectors", vectors, 0, 0 },
	{ "sendfile", send_file, 0, 0 },
	{ "copy_file_range", copy_range, 0, 0 },
	{ "splice", splices, 0, 0 },
	{ "splice waits", splice_waits, 0, 0 },
	{ "memory of another process", other_memory, 0, 0 },
	{ "kernel aio", kernel_aio, 0, 0 },
	{ 0 },
};
