/* SPDX-License-Identifier: MIT */
/* Scenes in which nobody else has a part: no call waits, or only for a limit of its own. */
#include "generate.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- files ---------------------------------------------------------------------------------- */

static struct arg any_offset(struct gen *g)
{
	static const int64_t offsets[] = { 0,	  1,  100, 4095,      5000,
					   20000, -1, -2,  INT64_MAX, INT64_MAX - 100 };

	return num(pick(g, 3) ? offsets[pick(g, 5)] : pick_of(g, offsets));
}

static void file_read(struct gen *g, struct arg fd)
{
	static const int flags[] = { 0, 0, RWF_NOWAIT, RWF_HIPRI, RWF_DSYNC, 0x40000000 };
	const uint32_t size = any_size(g);
	struct arg many = vector(g, A_VECTOR_OUT, size);

	switch (pick(g, 5)) {
	case 0:
		as_stream(ADD(g, SYS_read, fd, any_out(g, size), num(size)), 2);
		break;
	case 1:
		as_stream(ADD(g, SYS_pread64, fd, any_out(g, size), num(size), any_offset(g)), 2);
		break;
	case 2:
		as_stream(ADD(g, SYS_readv, fd, many, num(chance(g, 12) ? -1 : many.count)), 0);
		break;
	case 3:
		as_stream(ADD(g, SYS_preadv, fd, many, num(many.count), any_offset(g)), 0);
		break;
	default:
		as_stream(ADD(g, SYS_preadv2, fd, many, num(many.count), any_offset(g), num(0),
			      num(pick_of(g, flags))),
			  0);
	}
}

static void file_write(struct gen *g, struct arg fd)
{
	static const int flags[] = { 0, 0, RWF_APPEND, RWF_SYNC, RWF_NOWAIT, 0x40000000 };
	const uint32_t size = any_size(g);
	struct arg many = vector(g, A_VECTOR_DATA, size);

	switch (pick(g, 5)) {
	case 0:
		as_stream(ADD(g, SYS_write, fd, any_data(g, size), num(size)), 2);
		break;
	case 1:
		as_stream(ADD(g, SYS_pwrite64, fd, any_data(g, size), num(size),
			      num(pick(g, 9000))),
			  2);
		break;
	case 2:
		as_stream(ADD(g, SYS_writev, fd, many, num(many.count)), 0);
		break;
	case 3:
		as_stream(ADD(g, SYS_pwritev, fd, many, num(many.count), num(pick(g, 9000))), 0);
		break;
	default:
		as_stream(ADD(g, SYS_pwritev2, fd, many, num(many.count),
			      num((int)pick(g, 9000) - 1), num(0), num(pick_of(g, flags))),
			  0);
	}
}

static void file_other(struct gen *g, struct arg fd)
{
	static const int whence[] = { SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE, 17 };
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0x1000 };
	struct op *op;

	switch (pick(g, 10)) {
	case 0:
		ADD(g, SYS_lseek, fd, num((int)pick(g, 9000) - 100), num(pick_of(g, whence)));
		break;
	case 1:
		ADD(g, SYS_ftruncate, fd, num((int)pick(g, 12000) - 100));
		break;
	case 2:
		ADD(g, SYS_fallocate, fd, num(pick_of(g, modes)), num((int)pick(g, 9000) - 100),
		    num(pick(g, 9000)));
		break;
	case 3:
		ADD(g, pick(g, 2) ? SYS_fsync : SYS_fdatasync, fd);
		break;
	case 4:
		op = ADD(g, SYS_fstat, fd, any_out(g, sizeof(struct stat)));
		op->settle = S_STAT;
		break;
	case 5:
		op = ADD(g, SYS_statx, fd, text(0), num(AT_EMPTY_PATH), num(STATX_BASIC_STATS),
			 any_out(g, sizeof(struct statx)));
		op->settle = S_STATX;
		break;
	case 6:
		ADD(g, SYS_fcntl, fd, num(pick(g, 2) ? F_GETFL : F_GETFD));
		break;
	case 7:
		ADD(g, SYS_fadvise64, fd, num(0), num(100), num(pick(g, 8)));
		break;
	case 8:
		makes_fd(ADD(g, SYS_dup, fd));
		break;
	default:
		ADD(g, SYS_sync_file_range, fd, num(0), num(100), num(pick(g, 9)));
	}
}

static void file(struct gen *g)
{
	static const uint32_t modes[] = { O_RDWR,   O_RDWR,
					  O_RDWR,   O_RDONLY,
					  O_WRONLY, O_RDWR | O_APPEND,
					  O_PATH,   O_RDWR | O_NONBLOCK };
	const unsigned o = add_object(g, O_FILE, chance(g, 3) ? F_ON_DISK : 0);
	const unsigned calls = 1 + pick(g, 5);

	g->program->object[o].open_flags = pick_of(g, modes);
	g->program->object[o].fill = any_size(g);
	for (unsigned k = 0; k < calls; k++)
		switch (pick(g, 3)) {
		case 0:
			file_read(g, end_of(o, 0));
			break;
		case 1:
			file_write(g, end_of(o, 0));
			break;
		default:
			file_other(g, end_of(o, 0));
		}
}

/* From one file into another, or into a pipe and out of it. */
static void file_copy(struct gen *g)
{
	const unsigned from = add_object(g, O_FILE, 0), to = add_object(g, O_FILE, 0),
		       pipe = add_object(g, O_PIPE, F_NONBLOCK_0 | F_NONBLOCK_1);
	const uint32_t size = any_size(g);

	g->program->object[from].open_flags = O_RDWR;
	g->program->object[from].fill = 1 + any_size(g);
	g->program->object[to].open_flags = chance(g, 8) ? O_RDONLY : O_RDWR;
	switch (pick(g, 3)) {
	case 0:
		as_stream(ADD(g, SYS_copy_file_range, end_of(from, 0),
			      pick(g, 2) ? words(1, 10, 0, 0, 0) : num(0), end_of(to, 0), num(0),
			      num(size), num(0)),
			  4);
		break;
	case 1:
		as_stream(ADD(g, SYS_sendfile, end_of(to, 0), end_of(from, 0),
			      pick(g, 2) ? words(1, 10, 0, 0, 0) : num(0), num(size)),
			  3);
		break;
	default:
		break;
	}
	as_stream(ADD(g, SYS_splice, end_of(from, 0), num(0), end_of(pipe, 1), num(0), num(size),
		      num(0)),
		  4);
	as_stream(ADD(g, SYS_splice, end_of(pipe, 0), num(0), end_of(to, 0),
		      pick(g, 2) ? words(1, 7, 0, 0, 0) : num(0), num(size),
		      num(pick(g, 2) ? 0 : SPLICE_F_NONBLOCK)),
		  4);
}

/* ---- names ---------------------------------------------------------------------------------- */

static struct arg any_name(struct gen *g)
{
	static const uint8_t names[] = { 2, 2, 3, 3, 4, 5, 6, 7, 0, 1 };

	if (chance(g, 30))
		return (struct arg){ .kind = A_BAD, .value = pick(g, 6) };
	return text(pick_of(g, names));
}

static void name_change(struct gen *g, struct arg folder)
{
	struct op *op;

	switch (pick(g, 8)) {
	case 0:
		ADD(g, SYS_mkdirat, folder, any_name(g), num(0700));
		break;
	case 1:
		ADD(g, SYS_unlinkat, folder, any_name(g), num(pick(g, 2) ? 0 : AT_REMOVEDIR));
		break;
	case 2:
		ADD(g, SYS_renameat2, folder, any_name(g), folder, any_name(g),
		    num(pick(g, 2) ? 0 : RENAME_NOREPLACE));
		break;
	case 3:
		ADD(g, SYS_linkat, folder, any_name(g), folder, any_name(g), num(0));
		break;
	case 4:
		ADD(g, SYS_symlinkat, any_name(g), folder, any_name(g));
		break;
	case 5:
		op = ADD(g, SYS_statx, folder, any_name(g), num(AT_SYMLINK_NOFOLLOW),
			 num(STATX_BASIC_STATS), any_out(g, sizeof(struct statx)));
		op->settle = S_STATX;
		break;
	case 6:
		ADD(g, SYS_faccessat, folder, any_name(g), num(pick(g, 8)));
		break;
	default:
		ADD(g, SYS_readlinkat, folder, any_name(g), out(64), num(64));
	}
}

static void names(struct gen *g)
{
	const unsigned o = add_object(g, O_FOLDER, 0);
	const unsigned calls = 1 + pick(g, 5);
	struct op *op;

	for (unsigned k = 0; k < calls; k++)
		name_change(g, end_of(o, 0));
	if (chance(g, 2)) {
		op = ADD(g, SYS_getdents64, end_of(o, 0), out(4096), num(4096));
		op->settle = S_NAMES;
	}
}

/* Opened, used by its result, closed. */
static void open_use(struct gen *g)
{
	static const int modes[] = { O_RDWR | O_CREAT,
				     O_WRONLY | O_CREAT | O_EXCL,
				     O_RDONLY,
				     O_RDWR | O_CREAT | O_TRUNC,
				     O_PATH,
				     O_RDONLY | O_DIRECTORY,
				     O_RDWR | O_TMPFILE };
	const unsigned o = add_object(g, O_FOLDER, 0);
	const int mode = pick_of(g, modes) | O_CLOEXEC;
	const uint32_t size = any_size(g);
	struct arg how = words(3, (uint64_t)mode, mode & (O_CREAT | O_TMPFILE) ? 0600 : 0, 0, 0);
	struct op *fd, *n;

	if ((mode & O_TMPFILE) == O_TMPFILE)
		fd = ADD(g, SYS_openat, end_of(o, 0), text(1), num(mode), num(0600));
	else if (chance(g, 3))
		fd = ADD(g, SYS_openat2, end_of(o, 0), any_name(g), how, num(24));
	else
		fd = ADD(g, SYS_openat, end_of(o, 0), any_name(g), num(mode), num(0600));
	makes_fd(fd);
	n = as_stream(ADD(g, SYS_write, result_of(g, fd), any_data(g, size), num(size)), 2);
	if (chance(g, 2))
		ADD(g, SYS_lseek, result_of(g, fd), num(0), num(SEEK_SET));
	/* As many bytes as were written. */
	if (chance(g, 2))
		ADD(g, SYS_pread64, result_of(g, fd), out(size), result_of(g, n), num(0));
	if (!chance(g, 4))
		ADD(g, SYS_close, result_of(g, fd))->last = true;
}

/* ---- devices, numbers that are closed, calls that only compute ------------------------------ */

static void device(struct gen *g)
{
	static const uint32_t modes[] = { O_RDWR, O_RDWR, O_RDONLY, O_WRONLY, O_RDWR | O_NONBLOCK };
	const unsigned o = add_object(g, O_DEVICE, 0);
	const unsigned calls = 1 + pick(g, 3);

	g->program->object[o].fill = pick(g, 3);
	g->program->object[o].open_flags = pick_of(g, modes);
	/* Above a page, a read of /dev/zero may end where the kernel wants the CPU: docs/LIMITS.md. */
	g->small = true;
	for (unsigned k = 0; k < calls; k++)
		if (chance(g, 2))
			file_read(g, end_of(o, 0));
		else
			file_write(g, end_of(o, 0));
	g->small = false;
}

static void closed(struct gen *g)
{
	static const int64_t numbers[] = { FD_CLOSED, -1,	 -100,
					   INT32_MAX, INT32_MIN, INT64_C(0x100000000) + FD_CLOSED };
	const struct arg fd = num(pick_of(g, numbers));

	switch (pick(g, 8)) {
	case 0:
		file_read(g, fd);
		break;
	case 1:
		file_write(g, fd);
		break;
	case 2:
		file_other(g, fd);
		break;
	case 3:
		add_read(g, fd, true, 10, MSG_WAITALL, false);
		break;
	case 4:
		add_write(g, fd, true, 10, MSG_NOSIGNAL, false);
		break;
	case 5:
		ADD(g, SYS_close, fd);
		break;
	case 6:
		makes_fd(ADD(g, SYS_accept4, fd, num(0), num(0), num(SOCK_CLOEXEC)));
		break;
	default:
		ADD(g, SYS_epoll_wait, fd, out(24), num(2), num(0));
	}
}

static void quick(struct gen *g)
{
	const unsigned calls = 1 + pick(g, 4);

	for (unsigned k = 0; k < calls; k++)
		switch (pick(g, 7)) {
		case 0:
			ADD(g, SYS_getppid, num(0));
			break;
		case 1:
			ADD(g, SYS_getpid, num(0));
			break;
		case 2:
			ADD(g, SYS_clock_getres, num(pick(g, 20)), any_out(g, 16));
			break;
		case 3:
			ADD(g, SYS_uname, out_ignored(400));
			break;
		case 4:
			makes_fd(ADD(g, SYS_eventfd2, num(1), num(chance(g, 5) ? 7 : 0)));
			break;
		case 5:
			makes_fd(ADD(g, SYS_socket, num(AF_UNIX), num(SOCK_STREAM),
				     num(pick(g, 3))));
			break;
		default:
			makes_fd(ADD(g, SYS_memfd_create, text(2), num(pick(g, 3))));
		}
}

/* ---- pipes and sockets that block nobody ---------------------------------------------------- */

/* Whatever is done with it, it ends: non-blocking, or nobody is on the other side. */
static unsigned calm_pipe(struct gen *g)
{
	static const uint16_t flags[] = { F_NONBLOCK_0 | F_NONBLOCK_1, F_CLOSED_0, F_CLOSED_1,
					  F_NONBLOCK_0 | F_NONBLOCK_1 | F_SMALL };
	const unsigned o = add_object(g, O_PIPE, pick_of(g, flags));

	g->program->object[o].fill = pick(g, 2) ? pick(g, 4096) : 0;
	return o;
}

static void pipe_other(struct gen *g, unsigned o, unsigned end)
{
	const unsigned fd = (unsigned)world_fd(o, end);

	switch (pick(g, 5)) {
	case 0:
		ADD(g, SYS_ioctl, num(fd), num(FIONREAD), words(1, 0, 0, 0, 0));
		break;
	case 1:
		ADD(g, SYS_poll, words(1, fd | (uint64_t)(POLLIN | POLLOUT) << 32, 0, 0, 0), num(1),
		    num(0));
		break;
	case 2:
		ADD(g, SYS_close, num(fd));
		break;
	case 3:
		ADD(g, SYS_lseek, num(fd), num(0), num(0));
		break;
	default:
		ADD(g, SYS_fcntl, num(fd), num(F_GETFL));
	}
}

static void pipe_still(struct gen *g)
{
	const unsigned o = calm_pipe(g);
	const unsigned calls = 1 + pick(g, 4);

	for (unsigned k = 0; k < calls; k++) {
		/* Now and then the wrong end. */
		const unsigned wrong = chance(g, 12);

		switch (pick(g, 5)) {
		case 0:
		case 1:
			add_read(g, end_of(o, wrong), false, any_size(g), 0, false);
			break;
		case 2:
		case 3:
			add_write(g, end_of(o, 1 - wrong), false, any_size(g), 0, false);
			break;
		default:
			pipe_other(g, o, pick(g, 2));
		}
	}
}

static void tee_still(struct gen *g)
{
	const unsigned from = calm_pipe(g), to = calm_pipe(g);

	as_stream(ADD(g, SYS_tee, end_of(from, 0), end_of(to, 1), num(any_size(g)),
		      num(pick(g, 2) ? 0 : SPLICE_F_NONBLOCK)),
		  2);
	as_stream(ADD(g, SYS_splice, end_of(from, 0), num(0), end_of(to, 1), num(0),
		      num(any_size(g)), num(0)),
		  4);
}

static void socket_other(struct gen *g, unsigned o)
{
	const unsigned fd = (unsigned)world_fd(o, 0);

	switch (pick(g, 6)) {
	case 0:
		ADD(g, SYS_shutdown, num(fd), num(pick(g, 4)));
		break;
	case 1:
		ADD(g, SYS_poll,
		    words(1, fd | (uint64_t)(POLLIN | POLLOUT | POLLRDHUP) << 32, 0, 0, 0), num(1),
		    num(0));
		break;
	case 2:
		ADD(g, SYS_getsockopt, num(fd), num(SOL_SOCKET), num(SO_TYPE), words(1, 0, 0, 0, 0),
		    words(1, 4, 0, 0, 0));
		break;
	case 3:
		makes_fd(ADD(g, SYS_accept4, num(fd), num(0), num(0), num(0)));
		break;
	case 4:
		ADD(g, SYS_close, num(fd));
		break;
	default:
		ADD(g, SYS_ioctl, num(fd), num(FIONREAD), words(1, 0, 0, 0, 0));
	}
}

/* Shut down for reading, a datagram socket with O_NONBLOCK has nothing (-EAGAIN) plainly and is at its end
 * (0) in a ring: docs/LIMITS.md. */
static void shut_down_or_empty(struct gen *g, unsigned first)
{
	bool shut = false;

	for (unsigned i = first; i < g->program->ops; i++) {
		struct op *op = &g->program->op[i];

		shut = shut || op->nr == SYS_shutdown;
		if (!shut || (op->nr != SYS_read && op->nr != SYS_readv && op->nr != SYS_preadv2 &&
			      op->nr != SYS_recvfrom && op->nr != SYS_recvmsg))
			continue;
		op->has_alternative = true;
		op->alternative = -EAGAIN;
	}
}

static void socket_still(struct gen *g)
{
	static const uint8_t kinds[] = {
		O_STREAM, O_STREAM, O_STREAM, O_DGRAM, O_SEQPACKET, O_UDP
	};
	static const uint16_t flags[] = { F_NONBLOCK_0, F_NONBLOCK_0, F_CLOSED_1, 0, F_SHUTDOWN };
	static const int receive[] = {
		0, MSG_WAITALL, MSG_PEEK, MSG_TRUNC, MSG_PEEK | MSG_WAITALL, MSG_OOB, MSG_ERRQUEUE
	};
	const unsigned kind = pick_of(g, kinds);
	const unsigned o =
		add_object(g, kind,
			   chance(g, 12) && kind == O_STREAM ? (unsigned)F_SMALL | F_NONBLOCK_0 :
							       pick_of(g, flags));
	const unsigned calls = 1 + pick(g, 4), first = g->program->ops;
	const bool nonblock = g->program->object[o].flags & F_NONBLOCK_0;

	if (kind == O_UDP || kind == O_DGRAM)
		g->program->object[o].flags &= (uint16_t)~F_SHUTDOWN;
	if (g->program->object[o].flags & F_CLOSED_1 && kind == O_UDP)
		g->program->object[o].flags = F_NONBLOCK_0;
	g->program->object[o].fill = pick(g, 2) ? pick(g, 2000) : 0;
	for (unsigned k = 0; k < calls; k++) {
		const int wait = nonblock && chance(g, 2) ? 0 : MSG_DONTWAIT;
		struct op *op;

		switch (pick(g, 5)) {
		case 0:
		case 1:
			op = add_read(g, end_of(o, 0), true, any_size(g),
				      pick_of(g, receive) | wait, false);
			break;
		case 2:
		case 3:
			op = add_write(g, end_of(o, 0), true, any_size(g),
				       wait | (chance(g, 2) ? MSG_NOSIGNAL : 0), false);
			break;
		default:
			op = NULL;
			socket_other(g, o);
		}
		if (op && kind != O_STREAM)
			op->stream = false;
	}
	if (nonblock && (kind == O_UDP || kind == O_DGRAM))
		shut_down_or_empty(g, first);
}

const struct scene scenes_still[] = {
	{ "file", file, 12, 5, false, false },
	{ "file-copy", file_copy, 4, 3, false, false },
	{ "names", names, 6, 6, false, false },
	{ "open", open_use, 8, 5, false, false },
	{ "device", device, 4, 3, false, false },
	{ "closed", closed, 4, 1, false, false },
	{ "quick", quick, 8, 4, false, false },
	{ "pipe", pipe_still, 10, 4, false, false },
	{ "tee", tee_still, 4, 2, false, false },
	{ "socket", socket_still, 12, 4, false, false },
	{ 0 },
};
