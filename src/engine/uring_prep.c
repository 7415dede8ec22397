/* SPDX-License-Identifier: MIT */
/*
 * From the six words of a system call to an io_uring entry with exactly the same meaning.
 *
 * Opcodes are named by number here, since liburing's header may be older than the kernel; whether the
 * kernel has one is asked at run time (probe.c). A call is refused (-EOPNOTSUPP) when the ring would
 * not do what the system call does; -ENOTBLK refuses one that cannot block for ever anyway. What
 * differs, from the kernel's own source:
 *
 *   read, write      with the file's own offset do not take its lock: two at once would use the same
 *                    offset. So only files without offsets are taken. pread of those would read
 *                    instead of failing with -ESPIPE, so only disks are taken there. Files of
 *                    length 0 may be the kernel's own (/proc): it would go on reading until EOF,
 *                    where read returns what one look gives.
 *   vectors          are read before the file is asked whether it reads at all, and their flags are
 *                    not refused where it has no vectors of its own: none for files that may be so.
 *                    And those that sum up to nothing reach the socket they are written to, which sends
 *                    an empty message or finds that nobody receives: none for sockets.
 *   counts           are 32 bits wide here, and the kernel checks the range of the whole count but
 *                    transfers 0x7ffff000 bytes: larger ones are refused.
 *   open             is first tried with O_NONBLOCK added, which on a FIFO or a device means
 *                    something: the kernel's worker opens it, unless only what has no such
 *                    meaning can be opened.
 *   close            of an io_uring instance fails, and a file with a flush method is released by a
 *                    kernel thread after the call has ended (1 in 20,000 was seen late, on
 *                    overlayfs): refused always.
 *   connect          would go on where O_NONBLOCK or SO_SNDTIMEO would not: asked before.
 *   send             suppresses SIGPIPE: uring.c raises it.
 *   splice, tee      with offsets in memory do not write them back. SIGPIPE goes to the kernel's worker
 *                    that runs them: uring.c raises it.
 *   growing          beyond RLIMIT_FSIZE sends SIGXFSZ to that worker: refused where there is a limit.
 *   MSG_OOB, MSG_ERRQUEUE  never wait, but would here.
 *   MSG_WAITALL      is tried again after what is short, also where messages or descriptors end what
 *                    one call returns: only for TCP, and there only receives; not of bytes that are
 *                    thrown away (MSG_TRUNC), of which it goes on, nor with control data, which it ends.
 *   recvmsg          writes who has sent before it knows: on a local stream an attempt in vain leaves
 *                    process 0 and user 0, and what the next one finds comes behind, out of the room
 *                    that is told: not there.
 *   waitid           knows no rusage, and no O_NONBLOCK of a pidfd.
 *   futexes, epoll_wait  know no time-out. epoll_ctl is deprecated in the ring.
 *   statx            knows no NULL path, and reads the name before it judges mask and flags.
 *   flags of preadv2 and pwritev2  are judged before the size, and 0 bytes need none of them: those that
 *                    every file knows are taken.
 *   sleeping         accepts more than 999,999,999 ns: the kernel is asked before.
 */
#include "engine/uring.h"

#include <asys/table.h>

#if ASYS_HAVE_URING

#include <fcntl.h>
#include <liburing.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

/* Numbers that are the kernel's ABI, newer than some headers that this builds with. */
enum {
	OP_READV = 1,
	OP_WRITEV = 2,
	OP_FSYNC = 3,
	OP_SYNC_FILE_RANGE = 8,
	OP_SENDMSG = 9,
	OP_RECVMSG = 10,
	OP_TIMEOUT = 11,
	OP_ACCEPT = 13,
	OP_CONNECT = 16,
	OP_FALLOCATE = 17,
	OP_OPENAT = 18,
	OP_STATX = 21,
	OP_READ = 22,
	OP_WRITE = 23,
	OP_FADVISE = 24,
	OP_MADVISE = 25,
	OP_SEND = 26,
	OP_RECV = 27,
	OP_OPENAT2 = 28,
	OP_SPLICE = 30,
	OP_TEE = 33,
	OP_SHUTDOWN = 34,
	OP_RENAMEAT = 35,
	OP_UNLINKAT = 36,
	OP_MKDIRAT = 37,
	OP_SYMLINKAT = 38,
	OP_LINKAT = 39,
	OP_FSETXATTR = 41,
	OP_SETXATTR = 42,
	OP_FGETXATTR = 43,
	OP_GETXATTR = 44,
	OP_SOCKET = 45,
	OP_SENDMSG_ZC = 48,
	OP_WAITID = 50,
	OP_FUTEX_WAIT = 51,
	OP_FUTEX_WAKE = 52,
	OP_FUTEX_WAITV = 53,
	OP_FTRUNCATE = 55,
	OP_BIND = 56,
	OP_LISTEN = 57,
	OP_EPOLL_WAIT = 59,
	OP_PIPE = 62,
};

#define NR_FUTEX_WAITV 449
#define NR_FUTEX_WAKE 454
#define NR_FUTEX_WAIT 455

#define FUTEX2_U32 0x02
#define FUTEX2_PRIVATE_BIT 0x80
#define TIMEOUT_ABS (1u << 0)
#define TIMEOUT_BOOTTIME (1u << 2)
#define TIMEOUT_REALTIME (1u << 3)
#define RWF_SAME (0x2u | 0x4u | 0x10u) /* RWF_DSYNC, RWF_SYNC, RWF_APPEND */
#define STATX_RESERVED_BIT 0x80000000u
#define STATX_FLAGS (AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)
#define SPLICE_FD_IN_FIXED (1u << 31)
#define OPEN_HOW_MOST 4096u /* a page: more is too big for openat2 */

#define REFUSE (-EOPNOTSUPP)
#define QUICK (-ENOTBLK)

static bool kernel_has(unsigned op)
{
	return asys_probe()->uring_op[op / 8] & (1u << (op % 8));
}

/* Transfers. */

static enum file_kind kind_of(struct kind_cache *kinds, int fd)
{
	unsigned k = (unsigned)fd % KIND_CACHE;

	if (kinds->entry[k].fd != fd || kinds->entry[k].stamp != kinds->stamp) {
		kinds->entry[k].fd = fd;
		kinds->entry[k].stamp = kinds->stamp;
		kinds->entry[k].kind = file_kind(fd);
	}
	return (enum file_kind)kinds->entry[k].kind;
}

static bool is_output(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == OP_WRITE || sqe->opcode == OP_WRITEV;
}

/* What grows beyond RLIMIT_FSIZE has SIGXFSZ sent, but to the kernel's worker that does it. */
static bool size_is_limited(struct kind_cache *kinds)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	if (kinds->limit_stamp != kinds->stamp) {
		getrlimit(RLIMIT_FSIZE, &limit);
		kinds->limited = limit.rlim_cur != RLIM_INFINITY;
		kinds->limit_stamp = kinds->stamp;
	}
	return kinds->limited;
}

static bool is_vector(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == OP_READV || sqe->opcode == OP_WRITEV;
}

static bool size_fits(const struct io_uring_sqe *sqe, uint64_t count)
{
	return count && count <= (is_vector(sqe) ? TRANSFER_IOV_MAX : TRANSFER_MAX);
}

/* With the file's own offset. */
static int check_own(struct io_uring_sqe *sqe, const struct asys_call *call,
		     struct kind_cache *kinds)
{
	bool out = is_output(sqe);

	if (!size_fits(sqe, call->arg[2]))
		return REFUSE;
	switch (kind_of(kinds, sqe->fd)) {
	case FILE_PIPE:
		return PREP_WAITS | (out ? PREP_GOES_ON : 0);
	case FILE_STREAM:
		/* A terminal looks at O_NONBLOCK alone, not at what the ring asks for: a write to one that is stopped,
		 * or that nobody reads, would keep whoever submits in the kernel. */
		return out || is_vector(sqe) ? REFUSE : PREP_WAITS | PREP_OWN_WAY;
	case FILE_SOCKET:
		if (out && is_vector(sqe))
			return REFUSE;
		return PREP_WAITS | (out ? PREP_OUT | PREP_GOES_ON : PREP_IN);
	case FILE_ANON:
		return is_vector(sqe) ? REFUSE :
					PREP_WAITS | PREP_OWN_WAY | PREP_ECANCELED | PREP_NESTED;
	case FILE_OTHER:
		return REFUSE;
	default:
		return QUICK;
	}
}

static int check_at(struct io_uring_sqe *sqe, const struct asys_call *call,
		    struct kind_cache *kinds)
{
	enum file_kind kind;

	if (!size_fits(sqe, call->arg[2]) || sqe->off > INT64_MAX ||
	    (is_output(sqe) && size_is_limited(kinds)))
		return REFUSE;
	kind = kind_of(kinds, sqe->fd);
	return kind == FILE_DISK || (kind == FILE_EMPTY && is_output(sqe)) ? 0 : REFUSE;
}

/* preadv2 and pwritev2: offset -1 is the file's own. */
static int check_either(struct io_uring_sqe *sqe, const struct asys_call *call,
			struct kind_cache *kinds)
{
	if ((uint32_t)call->arg[5] & ~RWF_SAME)
		return REFUSE;
	return sqe->off == UINT64_MAX ? check_own(sqe, call, kinds) : check_at(sqe, call, kinds);
}

/* Sockets. */

static int check_in(struct io_uring_sqe *sqe, const struct asys_call *call,
		    struct kind_cache *kinds)
{
	uint32_t flags = sqe->msg_flags;

	(void)kinds;
	if (sqe->opcode == OP_RECVMSG) {
		if ((flags & MSG_WAITALL) || socket_is_local(sqe->fd))
			return REFUSE;
		sqe->len = 1;
	} else if (call->arg[4] || call->arg[2] > TRANSFER_MAX) {
		return REFUSE;
	}
	if (flags & (MSG_OOB | MSG_ERRQUEUE))
		return REFUSE;
	/* Older kernels end a short MSG_WAITALL as it is; the others go on also where it is all (after a
	 * message, or descriptors), and none looks at the time-out in between. What is looked at only would
	 * be looked at again instead of what comes after it. */
	if ((flags & MSG_WAITALL) &&
	    ((flags & (MSG_PEEK | MSG_TRUNC)) || !kernel_has(OP_SOCKET) ||
	     !socket_is_seamless(sqe->fd) || socket_has_timeout(sqe->fd, true)))
		return REFUSE;
	return flags & MSG_DONTWAIT ? 0 : PREP_WAITS | PREP_IN;
}

static int check_out(struct io_uring_sqe *sqe, const struct asys_call *call,
		     struct kind_cache *kinds)
{
	uint32_t flags = sqe->msg_flags;

	(void)kinds;
	/* MSG_WAITALL says nothing to a system call that sends; the ring would send a message in parts. */
	if (flags & (MSG_OOB | MSG_ZEROCOPY | MSG_FASTOPEN | MSG_WAITALL))
		return REFUSE;
	if (sqe->opcode == OP_SENDMSG) {
		sqe->len = 1;
	} else if (call->arg[2] > TRANSFER_MAX) {
		return REFUSE;
	} else if (call->arg[4]) {
		/* The kernel that brought SENDMSG_ZC lets SEND have an address. */
		if (!kernel_has(OP_SENDMSG_ZC) ||
		    (uint32_t)call->arg[5] > sizeof(struct sockaddr_storage))
			return REFUSE;
		sqe->addr2 = call->arg[4];
		sqe->addr_len = (uint16_t)call->arg[5];
	}
	return (flags & MSG_DONTWAIT ? 0 : PREP_WAITS | PREP_OUT | PREP_GOES_ON) |
	       (flags & MSG_NOSIGNAL ? 0 : PREP_SIGPIPE);
}

static int check_accept(struct io_uring_sqe *sqe, const struct asys_call *call,
			struct kind_cache *kinds)
{
	(void)sqe;
	(void)call;
	(void)kinds;
	return PREP_WAITS | PREP_IN;
}

static int check_connect(struct io_uring_sqe *sqe, const struct asys_call *call,
			 struct kind_cache *kinds)
{
	(void)call;
	(void)kinds;
	return fd_is_nonblocking(sqe->fd) || socket_has_timeout(sqe->fd, false) ? REFUSE : 0;
}

/* Files and names. */

static int check_open(struct io_uring_sqe *sqe, const struct asys_call *call,
		      struct kind_cache *kinds)
{
	(void)call;
	(void)kinds;
	if (!(sqe->open_flags & (O_PATH | O_DIRECTORY | O_NONBLOCK)))
		sqe->flags = IOSQE_ASYNC;
	return 0;
}

static int check_openat2(struct io_uring_sqe *sqe, const struct asys_call *call,
			 struct kind_cache *kinds)
{
	(void)kinds;
	sqe->flags = IOSQE_ASYNC;
	return call->arg[3] > OPEN_HOW_MOST ? REFUSE : 0;
}

static int check_statx(struct io_uring_sqe *sqe, const struct asys_call *call,
		       struct kind_cache *kinds)
{
	uint32_t flags = sqe->statx_flags;

	(void)call;
	(void)kinds;
	return !sqe->addr || (sqe->len & STATX_RESERVED_BIT) || (flags & ~(uint32_t)STATX_FLAGS) ||
			       (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE ?
		       REFUSE :
		       0;
}

static int check_xattr(struct io_uring_sqe *sqe, const struct asys_call *call,
		       struct kind_cache *kinds)
{
	(void)kinds;
	if (call->arg[3] > UINT32_MAX)
		return REFUSE;
	if (sqe->opcode == OP_SETXATTR || sqe->opcode == OP_GETXATTR)
		sqe->addr3 = call->arg[0];
	return 0;
}

static int check_size2(struct io_uring_sqe *sqe, const struct asys_call *call,
		       struct kind_cache *kinds)
{
	(void)sqe;
	(void)kinds;
	return call->arg[2] > UINT32_MAX ? REFUSE : 0;
}

static int check_madvise(struct io_uring_sqe *sqe, const struct asys_call *call,
			 struct kind_cache *kinds)
{
	(void)kinds;
	sqe->fd = -1;
	return call->arg[1] > UINT32_MAX ? REFUSE : 0;
}

static int check_ftruncate(struct io_uring_sqe *sqe, const struct asys_call *call,
			   struct kind_cache *kinds)
{
	(void)call;
	return sqe->off > INT64_MAX || size_is_limited(kinds) ? REFUSE : 0;
}

static int check_fallocate(struct io_uring_sqe *sqe, const struct asys_call *call,
			   struct kind_cache *kinds)
{
	(void)sqe;
	(void)call;
	return size_is_limited(kinds) ? REFUSE : 0;
}

static int check_splice(struct io_uring_sqe *sqe, const struct asys_call *call,
			struct kind_cache *kinds)
{
	const uint64_t *a = call->arg;

	if (a[1] || a[3] || !a[4] || a[4] > UINT32_MAX ||
	    (sqe->splice_flags & SPLICE_FD_IN_FIXED) || size_is_limited(kinds))
		return REFUSE;
	sqe->splice_off_in = UINT64_MAX;
	sqe->splice_fd_in = (int)a[0];
	return PREP_SIGPIPE;
}

static int check_tee(struct io_uring_sqe *sqe, const struct asys_call *call,
		     struct kind_cache *kinds)
{
	(void)kinds;
	if (!call->arg[2] || call->arg[2] > UINT32_MAX || (sqe->splice_flags & SPLICE_FD_IN_FIXED))
		return REFUSE;
	sqe->splice_fd_in = (int)call->arg[0];
	return PREP_SIGPIPE;
}

/* Waiting for others. */

static int check_waitid(struct io_uring_sqe *sqe, const struct asys_call *call,
			struct kind_cache *kinds)
{
	const uint32_t known = WNOHANG | WEXITED | WSTOPPED | WCONTINUED | WNOWAIT;
	uint32_t which = sqe->len, options = (uint32_t)call->arg[3];

	(void)kinds;
	if (call->arg[4] || (options & ~known) || !(options & (WEXITED | WSTOPPED | WCONTINUED)))
		return REFUSE;
	if (which != P_ALL && !(which == P_PID && sqe->fd > 0) &&
	    !(which == P_PGID && sqe->fd >= 0))
		return REFUSE;
	sqe->file_index = options;
	return 0;
}

/* The old futex call: FUTEX_WAIT and FUTEX_WAIT_BITSET without a time-out. */
static int check_futex(struct io_uring_sqe *sqe, const struct asys_call *call,
		       struct kind_cache *kinds)
{
	uint32_t op = (uint32_t)call->arg[1];
	uint32_t private = op & FUTEX_PRIVATE_FLAG;

	(void)kinds;
	op &= ~(uint32_t)FUTEX_PRIVATE_FLAG;
	sqe->fd = FUTEX2_U32 | (private ? FUTEX2_PRIVATE_BIT : 0);
	sqe->off = (uint32_t)call->arg[2];
	sqe->addr3 = op == FUTEX_WAIT ? (uint32_t)FUTEX_BITSET_MATCH_ANY : (uint32_t)call->arg[5];
	return (op != FUTEX_WAIT && op != FUTEX_WAIT_BITSET) || call->arg[3] || !sqe->addr3 ?
		       REFUSE :
		       0;
}

static int check_futex_wait(struct io_uring_sqe *sqe, const struct asys_call *call,
			    struct kind_cache *kinds)
{
	(void)kinds;
	sqe->addr3 = call->arg[2];
	return call->arg[4] ? REFUSE : 0;
}

static int check_futex_wake(struct io_uring_sqe *sqe, const struct asys_call *call,
			    struct kind_cache *kinds)
{
	(void)kinds;
	sqe->addr3 = call->arg[1];
	return sqe->off > INT32_MAX ? REFUSE : 0;
}

static int check_futex_waitv(struct io_uring_sqe *sqe, const struct asys_call *call,
			     struct kind_cache *kinds)
{
	(void)sqe;
	(void)kinds;
	return (uint32_t)call->arg[2] || call->arg[3] ? REFUSE : 0;
}

static int check_epoll(struct io_uring_sqe *sqe, const struct asys_call *call,
		       struct kind_cache *kinds)
{
	bool mask = call->nr == SYS_epoll_pwait && call->arg[4];

	(void)kinds;
	return (int)call->arg[3] >= 0 || (int)sqe->len <= 0 || mask ? REFUSE : PREP_NESTED;
}

/* A futex call whose word differs reads its time-out, judges it as sleeping does, and returns. */
static bool timespec_is_valid(uint64_t ts)
{
	const uint32_t word = 0;
	const uint64_t arg[6] = { ptr_word(&word), FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 1, ts, 0, 0 };

	return ts && raw_syscall(SYS_futex, arg) == -EAGAIN;
}

static int check_sleep(struct io_uring_sqe *sqe, const struct asys_call *call,
		       struct kind_cache *kinds)
{
	bool simple = call->nr == SYS_nanosleep;
	int clock = simple ? CLOCK_MONOTONIC : (int)call->arg[0];
	bool absolute = !simple && (call->arg[1] & TIMER_ABSTIME);

	(void)kinds;
	sqe->fd = -1;
	sqe->len = 1;
	sqe->timeout_flags = absolute ? TIMEOUT_ABS : 0;
	/* Setting the wall clock does not move the end of a relative sleep on it. */
	if (clock == CLOCK_REALTIME && absolute)
		sqe->timeout_flags |= TIMEOUT_REALTIME;
	else if (clock == CLOCK_BOOTTIME)
		sqe->timeout_flags |= TIMEOUT_BOOTTIME;
	else if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME)
		return REFUSE;
	/* Clocks came with the same kernel as LINKAT. */
	if ((sqe->timeout_flags & ~TIMEOUT_ABS) && !kernel_has(OP_LINKAT))
		return REFUSE;
	return timespec_is_valid(sqe->addr) ? PREP_TIMER : REFUSE;
}

/*
 * Which argument goes into which field of the entry: A0 to A5, or one of the constants. What is not
 * named is 0. `check` comes after, sets what is special, and may refuse.
 */
enum from { NONE, A0, A1, A2, A3, A4, A5, CWD, ALL_ONES };

struct row {
	uint8_t op, fd, addr, off, len, flags; /* enum from, but for op */
	uint16_t constant;		       /* added to flags */
	int (*check)(struct io_uring_sqe *sqe, const struct asys_call *call,
		     struct kind_cache *kinds);
};

#define NR_MOST 512

/* OP 0 is NOP: an empty row. All opcodes have flags in the same place. */
/* clang-format off */
static const struct row rows[NR_MOST] = {
	/* nr                   op            fd  addr off       len flags constant check */
	[SYS_read] =          { OP_READ,      A0, A1,  ALL_ONES, A2, NONE, 0, check_own },
	[SYS_write] =         { OP_WRITE,     A0, A1,  ALL_ONES, A2, NONE, 0, check_own },
	[SYS_readv] =         { OP_READV,     A0, A1,  ALL_ONES, A2, NONE, 0, check_own },
	[SYS_writev] =        { OP_WRITEV,    A0, A1,  ALL_ONES, A2, NONE, 0, check_own },
	[SYS_pread64] =       { OP_READ,      A0, A1,  A3,       A2, NONE, 0, check_at },
	[SYS_pwrite64] =      { OP_WRITE,     A0, A1,  A3,       A2, NONE, 0, check_at },
	[SYS_preadv] =        { OP_READV,     A0, A1,  A3,       A2, NONE, 0, check_at },
	[SYS_pwritev] =       { OP_WRITEV,    A0, A1,  A3,       A2, NONE, 0, check_at },
	[SYS_preadv2] =       { OP_READV,     A0, A1,  A3,       A2, A5,   0, check_either },
	[SYS_pwritev2] =      { OP_WRITEV,    A0, A1,  A3,       A2, A5,   0, check_either },
	[SYS_recvfrom] =      { OP_RECV,      A0, A1,  NONE,     A2, A3,   0, check_in },
	[SYS_recvmsg] =       { OP_RECVMSG,   A0, A1,  NONE,   NONE, A2,   0, check_in },
	[SYS_sendto] =        { OP_SEND,      A0, A1,  NONE,     A2, A3,   0, check_out },
	[SYS_sendmsg] =       { OP_SENDMSG,   A0, A1,  NONE,   NONE, A2,   0, check_out },
	[SYS_accept] =        { OP_ACCEPT,    A0, A1,  A2,     NONE, NONE, 0, check_accept },
	[SYS_accept4] =       { OP_ACCEPT,    A0, A1,  A2,     NONE, A3,   0, check_accept },
	[SYS_connect] =       { OP_CONNECT,   A0, A1,  A2,     NONE, NONE, 0, check_connect },
	[SYS_bind] =          { OP_BIND,      A0, A1,  A2,     NONE, NONE, 0, NULL },
	[SYS_listen] =        { OP_LISTEN,    A0, NONE, NONE,    A1, NONE, 0, NULL },
	[SYS_shutdown] =      { OP_SHUTDOWN,  A0, NONE, NONE,    A1, NONE, 0, NULL },
	[SYS_socket] =        { OP_SOCKET,    A0, NONE, A1,      A2, NONE, 0, NULL },
	[SYS_openat] =        { OP_OPENAT,    A0, A1,  NONE,     A3, A2,   0, check_open },
	[NR_OPENAT2] =        { OP_OPENAT2,   A0, A1,  A2,       A3, NONE, 0, check_openat2 },
	[SYS_statx] =         { OP_STATX,     A0, A1,  A4,       A3, A2,   0, check_statx },
	[SYS_unlinkat] =      { OP_UNLINKAT,  A0, A1,  NONE,   NONE, A2,   0, NULL },
	[SYS_mkdirat] =       { OP_MKDIRAT,   A0, A1,  NONE,     A2, NONE, 0, NULL },
	[SYS_renameat2] =     { OP_RENAMEAT,  A0, A1,  A3,       A2, A4,   0, NULL },
	[SYS_linkat] =        { OP_LINKAT,    A0, A1,  A3,       A2, A4,   0, NULL },
	[SYS_symlinkat] =     { OP_SYMLINKAT, A1, A0,  A2,     NONE, NONE, 0, NULL },
#ifdef SYS_renameat
	[SYS_renameat] =      { OP_RENAMEAT,  A0, A1,  A3,       A2, NONE, 0, NULL },
#endif
#ifdef SYS_open
	[SYS_open] =          { OP_OPENAT,    CWD, A0, NONE,     A2, A1,   0, check_open },
	[SYS_creat] =         { OP_OPENAT,    CWD, A0, NONE,     A1, NONE,
				O_CREAT | O_WRONLY | O_TRUNC, check_open },
	[SYS_unlink] =        { OP_UNLINKAT,  CWD, A0, NONE,   NONE, NONE, 0, NULL },
	[SYS_rmdir] =         { OP_UNLINKAT,  CWD, A0, NONE,   NONE, NONE, AT_REMOVEDIR, NULL },
	[SYS_mkdir] =         { OP_MKDIRAT,   CWD, A0, NONE,     A1, NONE, 0, NULL },
	[SYS_rename] =        { OP_RENAMEAT,  CWD, A0, A1,      CWD, NONE, 0, NULL },
	[SYS_link] =          { OP_LINKAT,    CWD, A0, A1,      CWD, NONE, 0, NULL },
	[SYS_symlink] =       { OP_SYMLINKAT, CWD, A0, A1,     NONE, NONE, 0, NULL },
	[SYS_pipe] =          { OP_PIPE,     NONE, A0, NONE,   NONE, NONE, 0, NULL },
	[SYS_epoll_wait] =    { OP_EPOLL_WAIT, A0, A1, NONE,     A2, NONE, 0, check_epoll },
#endif
	[SYS_fsync] =         { OP_FSYNC,     A0, NONE, NONE,  NONE, NONE, 0, NULL },
	[SYS_fdatasync] =     { OP_FSYNC,     A0, NONE, NONE,  NONE, NONE, IORING_FSYNC_DATASYNC, NULL },
	[SYS_fallocate] =     { OP_FALLOCATE, A0, A3,  A2,       A1, NONE, 0, check_fallocate },
	[SYS_ftruncate] =     { OP_FTRUNCATE, A0, NONE, A1,    NONE, NONE, 0, check_ftruncate },
	[SYS_sync_file_range] = { OP_SYNC_FILE_RANGE, A0, NONE, A1, A2, A3, 0, check_size2 },
	[SYS_fadvise64] =     { OP_FADVISE,   A0, NONE, A1,      A2, A3,   0, check_size2 },
	[SYS_madvise] =       { OP_MADVISE, NONE, A0,  NONE,     A1, A2,   0, check_madvise },
	[SYS_setxattr] =      { OP_SETXATTR, NONE, A1, A2,       A3, A4,   0, check_xattr },
	[SYS_getxattr] =      { OP_GETXATTR, NONE, A1, A2,       A3, NONE, 0, check_xattr },
	[SYS_fsetxattr] =     { OP_FSETXATTR, A0, A1,  A2,       A3, A4,   0, check_xattr },
	[SYS_fgetxattr] =     { OP_FGETXATTR, A0, A1,  A2,       A3, NONE, 0, check_xattr },
	[SYS_splice] =        { OP_SPLICE,    A2, NONE, ALL_ONES, A4, A5,  0, check_splice },
	[SYS_tee] =           { OP_TEE,       A1, NONE, NONE,    A2, A3,   0, check_tee },
	[SYS_pipe2] =         { OP_PIPE,    NONE, A0,  NONE,   NONE, A1,   0, NULL },
	[SYS_waitid] =        { OP_WAITID,    A1, NONE, A2,      A0, NONE, 0, check_waitid },
	[SYS_futex] =         { OP_FUTEX_WAIT, NONE, A0, NONE, NONE, NONE, 0, check_futex },
	[NR_FUTEX_WAIT] =     { OP_FUTEX_WAIT, A3, A0, A1,     NONE, NONE, 0, check_futex_wait },
	[NR_FUTEX_WAKE] =     { OP_FUTEX_WAKE, A3, A0, A2,     NONE, NONE, 0, check_futex_wake },
	[NR_FUTEX_WAITV] =    { OP_FUTEX_WAITV, NONE, A0, NONE,  A1, NONE, 0, check_futex_waitv },
	[SYS_epoll_pwait] =   { OP_EPOLL_WAIT, A0, A1, NONE,     A2, NONE, 0, check_epoll },
	[SYS_nanosleep] =     { OP_TIMEOUT, NONE, A0,  NONE,   NONE, NONE, 0, check_sleep },
	[SYS_clock_nanosleep] = { OP_TIMEOUT, NONE, A2, NONE,  NONE, NONE, 0, check_sleep },
};
/* clang-format on */

static uint64_t value(const struct asys_call *call, uint8_t from)
{
	switch ((enum from)from) {
	case NONE:
		return 0;
	case CWD:
		return (uint64_t)(int64_t)AT_FDCWD;
	case ALL_ONES:
		return UINT64_MAX;
	default:
		return call->arg[from - A0];
	}
}

int uring_opcode(uint32_t nr)
{
	return nr < NR_MOST && rows[nr].op ? rows[nr].op : -1;
}

int uring_prep(struct io_uring_sqe *sqe, const struct asys_call *call, struct kind_cache *kinds)
{
	const struct row *row = &rows[call->nr];

	sqe->opcode = row->op;
	sqe->fd = (int)value(call, row->fd);
	sqe->addr = value(call, row->addr);
	sqe->off = value(call, row->off);
	sqe->len = (uint32_t)value(call, row->len);
	sqe->rename_flags = (uint32_t)value(call, row->flags) | row->constant;
	return row->check ? row->check(sqe, call, kinds) : 0;
}

void uring_prep_rest(struct io_uring_sqe *sqe, const struct asys_call *call, uint64_t addr,
		     uint64_t size)
{
	bool message = call->nr == SYS_sendto || call->nr == SYS_sendmsg;

	sqe->opcode = message ? OP_SEND : OP_WRITE;
	sqe->fd = (int)call->arg[0];
	sqe->addr = addr;
	sqe->len = (uint32_t)size;
	if (message)
		sqe->msg_flags = transfer_flags(call);
	else
		sqe->off = UINT64_MAX;
}
#endif
