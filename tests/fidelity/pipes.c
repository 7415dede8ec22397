/* SPDX-License-Identifier: MIT */
/* Pipes and FIFOs: short transfers, ends, and calls that wait for the other side. */
#include "fidelity.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void create(struct fid *f)
{
	int ends[2] = { -1, -1 };

	CALL("pipe", ends);
	fid_note(f, "flags %d %d\n", fcntl(ends[0], F_GETFD), fcntl(ends[1], F_GETFL));
	close(ends[0]);
	close(ends[1]);
	CALL("pipe2", ends, O_CLOEXEC | O_NONBLOCK);
	fid_note(f, "flags %d %d\n", fcntl(ends[0], F_GETFD), fcntl(ends[1], F_GETFL));
	close(ends[0]);
	close(ends[1]);
	CALL("pipe", FID_BAD);
	CALL("pipe2", FID_BAD, 0);
	CALL("pipe2", ends, 1);
}

static void transfer(struct fid *f)
{
	char buf[16] = "";
	int ends[2];

	fid_pipe(f, ends);
	CALL("write", ends[1], "abcdef", 6);
	CALL("read", ends[0], buf, 4);
	CALL("read", ends[0], buf + 4, 12);
	fid_bytes(f, "pipe", buf, sizeof(buf));
	CALL("read", ends[1], buf, 1);
	CALL("write", ends[0], buf, 1);
	CALL("pread64", ends[0], buf, 1, 0);
	CALL("pwrite64", ends[1], buf, 1, 0);
	CALL("close", ends[1]);
	CALL("read", ends[0], buf, 1);
}

static void no_wait(struct fid *f)
{
	static char big[1 << 17];
	int ends[2];

	fid_pipe(f, ends);
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 || fcntl(ends[1], F_SETFL, O_NONBLOCK) < 0 ||
	    fcntl(ends[1], F_SETPIPE_SZ, 65536) < 0)
		fid_fail(f, "fcntl");
	memset(big, 'x', sizeof(big));
	CALL("read", ends[0], big, 1);
	CALL("write", ends[1], big, sizeof(big));
	CALL("write", ends[1], big, 1);
	CALL("read", ends[0], big, 5000);
	CALL("write", ends[1], big, 4096);
	CALL("read", ends[0], big, sizeof(big));
}

static void read_waits(struct fid *f)
{
	char buf[16] = "";
	int ends[2];

	fid_pipe(f, ends);
	if (fid_peer(f))
		_exit(write(ends[1], "late", 4) != 4);
	CALL("read", ends[0], buf, sizeof(buf));
	fid_join(f);
	fid_bytes(f, "read", buf, sizeof(buf));
}

/* The writer fills the pipe and waits until the peer has read. */
static void write_waits(struct fid *f)
{
	static char big[200000];
	int ends[2];

	fid_pipe(f, ends);
	memset(big, 'x', sizeof(big));
	if (fid_peer(f)) {
		size_t left = sizeof(big);

		while (left) {
			ssize_t n = read(ends[0], big, left);

			if (n <= 0)
				_exit(1);
			left -= (size_t)n;
		}
		_exit(0);
	}
	CALL("write", ends[1], big, sizeof(big));
	fid_join(f);
}

static void end_waits(struct fid *f)
{
	char buf[4];
	int ends[2];

	fid_pipe(f, ends);
	if (fid_peer(f))
		_exit(0);
	fid_close(f, ends[1]);
	CALL("read", ends[0], buf, sizeof(buf));
	fid_join(f);
}

static void fifo_waits(struct fid *f)
{
	char buf[8] = "";
	int fd;

	if (mkfifo("fifo", 0600) < 0)
		fid_fail(f, "mkfifo");
	CALL_FD("openat", AT_FDCWD, "fifo", O_WRONLY | O_NONBLOCK);
	if (fid_peer(f)) {
		fd = open("fifo", O_WRONLY);
		fid_patience();
		_exit(write(fd, "late", 4) != 4);
	}
	fd = CALL_FD("openat", AT_FDCWD, "fifo", O_RDONLY);
	CALL("read", fd, buf, sizeof(buf));
	fid_bytes(f, "fifo", buf, sizeof(buf));
	fid_join(f);
	CALL("read", fd, buf, sizeof(buf));
}

static void no_reader(struct fid *f)
{
	int ends[2], pair[2];

	fid_pipe(f, ends);
	fid_pair(f, SOCK_STREAM, pair);
	fid_close(f, ends[0]);
	fid_close(f, pair[0]);
	CALL("write", ends[1], "x", 1);
	CALL("write", pair[1], "x", 1);
	CALL("sendto", pair[1], "x", 1, 0, NULL, 0);
	CALL("sendto", pair[1], "x", 1, 0x4000, NULL, 0);
}

static volatile sig_atomic_t broken;

static void on_broken(int signal)
{
	(void)signal;
	broken++;
}

/* What a synchronous write to a pipe without readers does besides failing. */
static void broken_signal(struct fid *f)
{
	int ends[2];

	broken = 0;
	signal(SIGPIPE, on_broken);
	fid_pipe(f, ends);
	fid_close(f, ends[0]);
	CALL("write", ends[1], "x", 1);
	fid_note(f, "SIGPIPE handled %d times\n", (int)broken);
	signal(SIGPIPE, SIG_IGN);
}

const struct fid_case fid_pipes[] = {
	{ "pipe", create, 0, 0 },
	{ "pipe transfer", transfer, 0, 0 },
	{ "pipe without waiting", no_wait, 0, 0 },
	{ "pipe read waits", read_waits, 0, 0 },
	{ "pipe write waits", write_waits, 0, 0 },
	{ "pipe end waits", end_waits, 0, 0 },
	{ "fifo waits", fifo_waits, 0, 0 },
	{ "pipe without reader", no_reader, 0, 0 },
	{ "sigpipe", broken_signal, 0, 0 },
	{ 0 },
};
