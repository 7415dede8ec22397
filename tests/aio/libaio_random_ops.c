/* SPDX-License-Identifier: MIT */
/*
 * Random iocbs for every kind of file.
 *
 * What a batch may hold is limited to what has one answer under the kernel: of a pipe or socket only one
 * direction, of O_DIRECT no overlaps, of files no second descriptor, and no read that would wait in
 * io_submit for ever.
 */
#include "libaio_random.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SIZE 100000u
#define HASHED (1u << 20)
#define STREAM_MOST 4096u

struct world world;

static const char *const kind_names[KINDS] = {
	"buffered", "append",	"direct",  "read-only", "write-only", "memory",	  "pipe-out",
	"pipe-in",  "socket",	"eventfd", "quiet",	"folder",     "null",	  "zero",
	"proc-seq", "proc-old", "epoll",   "path-only", "closed",     "negative",
};

static void two(enum kind a, enum kind b, int fd[2])
{
	world.fds[a] = fd[0];
	world.fds[b] = fd[1];
}

static void open_files(void)
{
	static const int flags[] = { O_RDWR, O_RDWR | O_APPEND, O_RDWR | O_DIRECT, O_RDONLY,
				     O_WRONLY };

	for (unsigned k = BUFFERED; k < MEMORY; k++) {
		bool direct = k == DIRECT;

		world.files[k] = random_file(world.in_memory && !direct,
					     direct ? 131072 : FILE_SIZE, O_RDWR);
		world.fds[k] = -1;
		if (direct) {
			char path[64];

			snprintf(path, sizeof(path), "/proc/self/fd/%d", world.files[k]);
			world.fds[k] = open(path, flags[k] | O_CLOEXEC);
		}
		if (world.fds[k] < 0)
			world.fds[k] = random_reopen(world.files[k], flags[k] & ~O_DIRECT);
	}
	world.files[MEMORY] = memfd_create("random", MFD_CLOEXEC);
	world.fds[MEMORY] = random_reopen(world.files[MEMORY], O_RDWR);
}

void world_open(void)
{
	int pair[2];

	world.nonblocking = once_in(2);
	open_files();
	stop_if(pipe2(pair, O_CLOEXEC | (world.nonblocking ? O_NONBLOCK : 0)), "pipe");
	two(PIPE_OUT, PIPE_IN, pair);
	stop_if(socketpair(AF_UNIX,
			   SOCK_STREAM | SOCK_CLOEXEC | (world.nonblocking ? SOCK_NONBLOCK : 0), 0,
			   pair),
		"socketpair");
	world.fds[SOCKET] = pair[0];
	world.others[SOCKET] = pair[1];
	stop_if(pipe2(pair, O_CLOEXEC | O_NONBLOCK), "pipe");
	world.fds[QUIET] = pair[0];
	world.others[QUIET] = pair[1];
	world.fds[EVENTFD] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	world.tells = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	world.fds[FOLDER] = random_open("/usr", O_RDONLY | O_DIRECTORY);
	world.fds[DEV_NULL] = random_open("/dev/null", O_RDWR);
	world.fds[DEV_ZERO] = random_open("/dev/zero", O_RDWR);
	world.fds[PROC_SEQ] = random_open("/proc/version", O_RDONLY);
	world.fds[PROC_OLD] = random_open("/proc/self/cmdline", O_RDONLY);
	world.fds[EPOLL] = epoll_create1(EPOLL_CLOEXEC);
	world.fds[PATH_ONLY] = random_open("/dev/null", O_PATH);
	world.fds[CLOSED] = 900;
	world.fds[NEGATIVE] = -1;
}

void world_close(void)
{
	for (unsigned k = 0; k < KINDS; k++) {
		if (k < CLOSED)
			close(world.fds[k]);
		if (k <= MEMORY)
			close(world.files[k]);
	}
	close(world.others[SOCKET]);
	close(world.others[QUIET]);
	close(world.tells);
}

void note_files(void)
{
	static unsigned char bytes[HASHED];
	struct stat st;

	for (unsigned k = BUFFERED; k <= MEMORY; k++) {
		ssize_t n = pread(world.files[k], bytes, sizeof(bytes), 0);

		stop_if(fstat(world.files[k], &st) || n < 0, "looking at a file");
		note("file %s = %lld bytes, %016llx\n", kind_names[k], (long long)st.st_size,
		     (unsigned long long)hash_of(bytes, (size_t)n));
		/* Not too long to look at. */
		if (st.st_size > (off_t)HASHED && ftruncate(world.files[k], FILE_SIZE))
			stop_if(true, "ftruncate");
	}
}

int waiting_in(enum kind kind)
{
	int n = 0;

	ioctl(kind == PIPE_IN ? world.fds[PIPE_OUT] : world.fds[kind], FIONREAD, &n);
	return n;
}

static bool is_stream(enum kind kind)
{
	return kind >= PIPE_OUT && kind <= EVENTFD;
}

static bool is_write(const struct iocb *cb)
{
	return cb->aio_lio_opcode == IOCB_CMD_PWRITE || cb->aio_lio_opcode == IOCB_CMD_PWRITEV;
}

static bool is_transfer(const struct iocb *cb)
{
	switch (cb->aio_lio_opcode) {
	case IOCB_CMD_PREAD:
	case IOCB_CMD_PWRITE:
	case IOCB_CMD_PREADV:
	case IOCB_CMD_PWRITEV:
		return true;
	default:
		return false;
	}
}

static uint64_t pick_size(const struct op *op)
{
	static const uint64_t sizes[] = { 0, 1, 8, 100, 511, 512, 4096, 4097, 5000, 8192, 12288 };
	static const uint64_t huge[] = { 1ull << 31, 1ull << 32,       0x7ffff000, 1ull << 47,
					 INT64_MAX,  INT64_MAX - 4096, 1ull << 63, UINT64_MAX };

	if (is_stream(op->kind))
		return op->kind == EVENTFD ? pick(12) : pick(600);
	if (op->kind == DIRECT)
		return once_in(4) ? pick_of(sizes) : 4096 * pick(3);
	if (once_in(12))
		return pick_of(huge);
	return pick_of(sizes);
}

static int64_t pick_offset(const struct op *op, unsigned place)
{
	static const int64_t odd[] = {
		-1,    INT64_MIN, INT64_MAX, INT64_MAX - 1, INT64_MAX - 100, INT64_MAX - 8192,
		-4096, 1ll << 45
	};

	if (is_stream(op->kind))
		return once_in(3) ? (int64_t)pick(10) - 1 : 0;
	if (op->kind == DIRECT && (world.writes_direct || !once_in(4)))
		return (int64_t)place * 8192 + (once_in(8) ? 100 : 0);
	if (once_in(12))
		return pick_of(odd);
	if (once_in(3))
		return (int64_t)pick(8) * 4096;
	return (int64_t)pick(FILE_SIZE + 20000);
}

/* An address for `size` bytes, with a word for the log. */
static unsigned char *pick_address(const struct op *op, uint64_t size, const char **ret_name)
{
	*ret_name = "good";
	if (op->kind == DIRECT && size <= SLOT)
		return once_in(10) ? op->slot + 7 : op->slot;
	switch (pick(24)) {
	case 0:
		*ret_name = "null";
		return NULL;
	case 1:
		*ret_name = "kernel";
		return (unsigned char *)0xffff888000000000;
	case 2:
		*ret_name =
			"high"; /* of no program, unless it has more than four levels of pages */
		return (unsigned char *)(1ull << 50);
	case 3:
		*ret_name = "behind";
		return op->slot + SLOT;
	case 4:
		*ret_name = "half";
		return op->slot + SLOT - 50;
	default:
		return size <= SLOT - 256 ? op->slot + pick(256) : op->slot;
	}
}

static uint32_t pick_flags(const struct op *op)
{
	static const uint32_t flags[] = { 0x1,	0x2,  0x4,  0x8,  0x10,	 0x20,
					  0x40, 0x80, 0x30, 0x12, 0x200, 0x80000000 };
	uint32_t value = pick_of(flags);

	/* Whether a page can be had or a block is there is chance. */
	if ((value & 0x8) && op->kind <= WRITE_ONLY && !world.in_memory)
		return 0;
	if ((value & 0x8) && op->kind == DIRECT)
		return 0;
	return once_in(6) ? value : 0;
}

static void prepare_priority(struct op *op)
{
	static const int16_t priorities[] = { 0,      5,      0x2000, 0x2004,	      0x4000,
					      0x4007, 0x6000, -1,     (int16_t)0x8000 };

	if (!once_in(10))
		return;
	op->cb.aio_flags |= IOCB_FLAG_IOPRIO;
	op->cb.aio_reqprio = pick_of(priorities);
}

static void prepare_vector(struct op *op)
{
	static const unsigned counts[] = { 0, 1, 1, 2, 3, 8 };
	static const unsigned many[] = { IOV_MAX, IOV_MAX + 1 };
	uint64_t n = once_in(20) ? pick_of(many) : pick_of(counts);
	const char *name = "good", *one;
	uint64_t total = 0;

	op->iov = malloc(VECTORS_MOST * sizeof(*op->iov));
	stop_if(!op->iov, "malloc");
	for (uint64_t k = 0; k < n; k++) {
		uint64_t size = n > 8 ? pick(4) : pick_size(op) / (n > 2 && !once_in(20) ? n : 1);

		if (is_stream(op->kind))
			size %= 64;
		if (size > 1ull << 32 && size < INT64_MAX / 2)
			size = 1ull << 32; /* see random_arena */
		op->iov[k].iov_len = size;
		op->iov[k].iov_base = pick_address(op, size, &one);
		/* They do not overlap, so that it does not matter which is filled first. */
		if (!strcmp(one, "good") && total + size <= SLOT) {
			op->iov[k].iov_base = op->slot + total;
			total += size;
		} else if (!strcmp(one, "good")) {
			op->iov[k].iov_base = op->slot;
			op->iov[k].iov_len = 0;
		} else if (strcmp(name, "high")) {
			name = one;
		}
	}
	op->cb.aio_buf = (uintptr_t)op->iov;
	op->cb.aio_nbytes = once_in(60) ? n | 1ull << 32 : n;
	if (once_in(40)) {
		op->cb.aio_buf = once_in(2) ? 0 : 0xffff888000000000;
		name = "no-vector";
	}
	snprintf(op->what + strlen(op->what), sizeof(op->what) - strlen(op->what),
		 " vector=%llx addr=%s", (unsigned long long)op->cb.aio_nbytes, name);
}

static void prepare_transfer(struct op *op, unsigned place)
{
	struct iocb *cb = &op->cb;
	const char *name;

	cb->aio_offset = pick_offset(op, place);
	cb->aio_rw_flags = (int)pick_flags(op);
	prepare_priority(op);
	if (cb->aio_lio_opcode == IOCB_CMD_PREADV || cb->aio_lio_opcode == IOCB_CMD_PWRITEV) {
		prepare_vector(op);
	} else {
		cb->aio_nbytes = pick_size(op);
		cb->aio_buf = (uintptr_t)pick_address(op, cb->aio_nbytes, &name);
		snprintf(op->what + strlen(op->what), sizeof(op->what) - strlen(op->what),
			 " size=%llx addr=%s", (unsigned long long)cb->aio_nbytes, name);
	}
	snprintf(op->what + strlen(op->what), sizeof(op->what) - strlen(op->what),
		 " at=%llx flags=%x prio=%x", (unsigned long long)cb->aio_offset,
		 (unsigned)cb->aio_rw_flags, (unsigned)(uint16_t)cb->aio_reqprio);
}

static void prepare_poll(struct op *op)
{
	static const uint64_t masks[] = { POLLIN, POLLOUT, POLLIN | POLLOUT,	POLLPRI,
					  0,	  POLLHUP, POLLIN | POLLRDNORM, 0x10001 };
	struct pollfd p = { .fd = world.fds[op->kind] };

	op->cb.aio_buf = pick_of(masks);
	p.events = (short)op->cb.aio_buf;
	op->ready = poll(&p, 1, 0) > 0;
	snprintf(op->what + strlen(op->what), sizeof(op->what) - strlen(op->what), " mask=%llx",
		 (unsigned long long)op->cb.aio_buf);
}

/* A field that this opcode has to leave alone, or nobody knows. */
static void spoil(struct op *op)
{
	const char *what;

	switch (pick(5)) {
	case 0:
		op->cb.aio_reserved2 = 1;
		what = "reserved";
		break;
	case 1:
		op->cb.aio_flags |= 0x8000;
		what = "flag";
		break;
	case 2:
		op->cb.aio_key = 77;
		what = "key";
		break;
	case 3:
		if (is_transfer(&op->cb))
			return;
		op->cb.aio_nbytes = 1;
		what = "size";
		break;
	default:
		if (is_transfer(&op->cb))
			return;
		op->cb.aio_rw_flags = 2;
		what = "rw-flags";
		break;
	}
	snprintf(op->what + strlen(op->what), sizeof(op->what) - strlen(op->what), " odd=%s", what);
}

static void prepare_resfd(struct op *op)
{
	static const char *const names[] = { "good", "file", "closed", "negative" };
	unsigned which = once_in(8) ? (unsigned)pick(4) : 0;
	const int numbers[] = { world.tells, world.fds[BUFFERED], 901, -1 };

	op->cb.aio_flags |= IOCB_FLAG_RESFD;
	op->cb.aio_resfd = (uint32_t)numbers[which];
	snprintf(op->what + strlen(op->what), sizeof(op->what) - strlen(op->what), " resfd=%s",
		 names[which]);
}

static enum kind pick_kind(void)
{
	return once_in(3) ? (enum kind)pick(MEMORY + 1) : (enum kind)pick(KINDS);
}

static uint16_t pick_opcode(enum kind kind)
{
	static const uint16_t transfers[] = { IOCB_CMD_PREAD, IOCB_CMD_PWRITE, IOCB_CMD_PREADV,
					      IOCB_CMD_PWRITEV };
	static const uint16_t others_[] = {
		IOCB_CMD_FSYNC, IOCB_CMD_FDSYNC, IOCB_CMD_POLL, IOCB_CMD_POLL, IOCB_CMD_NOOP, 4, 9,
		65535
	};

	if (kind == QUIET)
		return IOCB_CMD_POLL;
	return once_in(6) ? pick_of(others_) : pick_of(transfers);
}

/* What would wait in io_submit for ever, or have more than one answer, becomes something else. */
static bool is_allowed(const struct op *op)
{
	const struct iocb *cb = &op->cb;

	if (cb->aio_lio_opcode == IOCB_CMD_POLL)
		return !is_stream(op->kind);
	if (!is_transfer(cb))
		return true;
	if (op->kind == DIRECT)
		return is_write(cb) == world.writes_direct;
	if (!is_stream(op->kind))
		return true;
	if (op->kind == PIPE_OUT || op->kind == PIPE_IN || op->kind == SOCKET) {
		if (is_write(cb) != world.writes_streams)
			return op->kind == (is_write(cb) ? PIPE_OUT : PIPE_IN); /* the wrong mode */
		if (is_write(cb))
			return waiting_in(op->kind) < (int)STREAM_MOST;
		return world.nonblocking || op->kind == PIPE_IN;
	}
	return is_write(cb) == world.writes_streams;
}

void prepare(struct op *op, unsigned char *slot, unsigned place)
{
	*op = (struct op){ .slot = slot, .ready = true };
	fill_bytes(op->slot, SLOT, pick(1u << 30));
	do {
		op->kind = pick_kind();
		op->cb.aio_lio_opcode = pick_opcode(op->kind);
	} while (!is_allowed(op));
	op->cb.aio_fildes = (uint32_t)world.fds[op->kind];
	op->cb.aio_data = pick(UINT64_MAX);
	snprintf(op->what, sizeof(op->what), "%s op=%u", kind_names[op->kind],
		 op->cb.aio_lio_opcode);
	if (is_transfer(&op->cb))
		prepare_transfer(op, place);
	else if (op->cb.aio_lio_opcode == IOCB_CMD_POLL)
		prepare_poll(op);
	if (once_in(25))
		spoil(op);
	if (world.with_resfd && once_in(2))
		prepare_resfd(op);
	op->cancel = once_in(3);
	op->before = hash_of(op->slot, SLOT);
}
