/* SPDX-License-Identifier: MIT */
#include "constants.h"
#include "near.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define C(name)                        \
	{                              \
#name, (int64_t)(name) \
	}

/* Sorted by name when one is looked for first. */
static struct constant {
	const char *name;
	int64_t value;
} constants[] = {
	{ "NULL", 0 },
	/* fcntl.h, sys/stat.h, unistd.h */
	C(O_RDONLY),
	C(O_WRONLY),
	C(O_RDWR),
	C(O_CREAT),
	C(O_EXCL),
	C(O_NOCTTY),
	C(O_TRUNC),
	C(O_APPEND),
	C(O_NONBLOCK),
	C(O_DSYNC),
	C(O_ASYNC),
	C(O_DIRECT),
	C(O_DIRECTORY),
	C(O_NOFOLLOW),
	C(O_NOATIME),
	C(O_CLOEXEC),
	C(O_SYNC),
	C(O_PATH),
	C(O_TMPFILE),
	C(AT_FDCWD),
	C(AT_SYMLINK_NOFOLLOW),
	C(AT_REMOVEDIR),
	C(AT_EACCESS),
	C(AT_SYMLINK_FOLLOW),
	C(AT_NO_AUTOMOUNT),
	C(AT_EMPTY_PATH),
	C(AT_STATX_SYNC_AS_STAT),
	C(AT_STATX_FORCE_SYNC),
	C(AT_STATX_DONT_SYNC),
	C(AT_RECURSIVE),
	C(S_IFMT),
	C(S_IFSOCK),
	C(S_IFLNK),
	C(S_IFREG),
	C(S_IFBLK),
	C(S_IFDIR),
	C(S_IFCHR),
	C(S_IFIFO),
	C(S_ISUID),
	C(S_ISGID),
	C(S_ISVTX),
	C(S_IRWXU),
	C(S_IRUSR),
	C(S_IWUSR),
	C(S_IXUSR),
	C(S_IRWXG),
	C(S_IRGRP),
	C(S_IWGRP),
	C(S_IXGRP),
	C(S_IRWXO),
	C(S_IROTH),
	C(S_IWOTH),
	C(S_IXOTH),
	C(STATX_TYPE),
	C(STATX_MODE),
	C(STATX_NLINK),
	C(STATX_UID),
	C(STATX_GID),
	C(STATX_ATIME),
	C(STATX_MTIME),
	C(STATX_CTIME),
	C(STATX_INO),
	C(STATX_SIZE),
	C(STATX_BLOCKS),
	C(STATX_BASIC_STATS),
	C(STATX_BTIME),
	C(STDIN_FILENO),
	C(STDOUT_FILENO),
	C(STDERR_FILENO),
	C(SEEK_SET),
	C(SEEK_CUR),
	C(SEEK_END),
	C(SEEK_DATA),
	C(SEEK_HOLE),
	C(F_OK),
	C(R_OK),
	C(W_OK),
	C(X_OK),
	C(F_DUPFD),
	C(F_DUPFD_CLOEXEC),
	C(F_GETFD),
	C(F_SETFD),
	C(F_GETFL),
	C(F_SETFL),
	C(F_GETLK),
	C(F_SETLK),
	C(F_SETLKW),
	C(F_OFD_GETLK),
	C(F_OFD_SETLK),
	C(F_OFD_SETLKW),
	C(F_GETPIPE_SZ),
	C(F_SETPIPE_SZ),
	C(F_ADD_SEALS),
	C(F_GET_SEALS),
	C(F_SEAL_SEAL),
	C(F_SEAL_SHRINK),
	C(F_SEAL_GROW),
	C(F_SEAL_WRITE),
	C(F_RDLCK),
	C(F_WRLCK),
	C(F_UNLCK),
	C(FD_CLOEXEC),
	C(UTIME_NOW),
	C(UTIME_OMIT),
	C(POSIX_FADV_NORMAL),
	C(POSIX_FADV_RANDOM),
	C(POSIX_FADV_SEQUENTIAL),
	C(POSIX_FADV_WILLNEED),
	C(POSIX_FADV_DONTNEED),
	C(POSIX_FADV_NOREUSE),
	C(FALLOC_FL_KEEP_SIZE),
	C(FALLOC_FL_PUNCH_HOLE),
	C(FALLOC_FL_COLLAPSE_RANGE),
	C(FALLOC_FL_ZERO_RANGE),
	C(FALLOC_FL_INSERT_RANGE),
	C(SYNC_FILE_RANGE_WAIT_BEFORE),
	C(SYNC_FILE_RANGE_WRITE),
	C(SYNC_FILE_RANGE_WAIT_AFTER),
	C(SPLICE_F_MOVE),
	C(SPLICE_F_NONBLOCK),
	C(SPLICE_F_MORE),
	C(RENAME_NOREPLACE),
	C(RENAME_EXCHANGE),
	C(RENAME_WHITEOUT),
	C(LOCK_SH),
	C(LOCK_EX),
	C(LOCK_UN),
	C(LOCK_NB),
	C(XATTR_CREATE),
	C(XATTR_REPLACE),
	C(RWF_HIPRI),
	C(RWF_DSYNC),
	C(RWF_SYNC),
	C(RWF_NOWAIT),
	C(RWF_APPEND),
	/* sys/mman.h */
	C(PROT_NONE),
	C(PROT_READ),
	C(PROT_WRITE),
	C(PROT_EXEC),
	C(MAP_SHARED),
	C(MAP_PRIVATE),
	C(MAP_FIXED),
	C(MAP_ANONYMOUS),
	C(MAP_NORESERVE),
	C(MAP_POPULATE),
	C(MAP_LOCKED),
	C(MAP_HUGETLB),
	C(MAP_STACK),
	C(MAP_FIXED_NOREPLACE),
	C(MS_ASYNC),
	C(MS_SYNC),
	C(MS_INVALIDATE),
	C(MADV_NORMAL),
	C(MADV_RANDOM),
	C(MADV_SEQUENTIAL),
	C(MADV_WILLNEED),
	C(MADV_DONTNEED),
	C(MADV_FREE),
	C(MADV_HUGEPAGE),
	C(MADV_NOHUGEPAGE),
	C(MREMAP_MAYMOVE),
	C(MREMAP_FIXED),
	C(MFD_CLOEXEC),
	C(MFD_ALLOW_SEALING),
	C(MFD_HUGETLB),
	C(MCL_CURRENT),
	C(MCL_FUTURE),
	/* sys/socket.h, netinet */
	C(AF_UNSPEC),
	C(AF_UNIX),
	C(AF_INET),
	C(AF_INET6),
	C(AF_NETLINK),
	C(AF_PACKET),
	C(SOCK_STREAM),
	C(SOCK_DGRAM),
	C(SOCK_RAW),
	C(SOCK_SEQPACKET),
	C(SOCK_CLOEXEC),
	C(SOCK_NONBLOCK),
	C(SOL_SOCKET),
	C(SO_REUSEADDR),
	C(SO_REUSEPORT),
	C(SO_TYPE),
	C(SO_ERROR),
	C(SO_BROADCAST),
	C(SO_SNDBUF),
	C(SO_RCVBUF),
	C(SO_KEEPALIVE),
	C(SO_LINGER),
	C(SO_RCVLOWAT),
	C(SO_RCVTIMEO),
	C(SO_SNDTIMEO),
	C(SO_PASSCRED),
	C(SO_PEERCRED),
	C(SO_ACCEPTCONN),
	C(SO_DOMAIN),
	C(SO_PROTOCOL),
	C(SO_BUSY_POLL),
	C(SHUT_RD),
	C(SHUT_WR),
	C(SHUT_RDWR),
	C(SOMAXCONN),
	C(MSG_OOB),
	C(MSG_PEEK),
	C(MSG_TRUNC),
	C(MSG_DONTWAIT),
	C(MSG_EOR),
	C(MSG_WAITALL),
	C(MSG_NOSIGNAL),
	C(MSG_MORE),
	C(MSG_CMSG_CLOEXEC),
	C(MSG_ZEROCOPY),
	C(SCM_RIGHTS),
	C(IPPROTO_IP),
	C(IPPROTO_TCP),
	C(IPPROTO_UDP),
	C(IPPROTO_IPV6),
	C(TCP_NODELAY),
	C(TCP_CORK),
	C(TCP_DEFER_ACCEPT),
	C(TCP_FASTOPEN),
	/* poll.h, sys/epoll.h, sys/eventfd.h, sys/timerfd.h, sys/inotify.h */
	C(POLLIN),
	C(POLLOUT),
	C(POLLPRI),
	C(POLLERR),
	C(POLLHUP),
	C(POLLRDHUP),
	C(EPOLLIN),
	C(EPOLLOUT),
	C(EPOLLPRI),
	C(EPOLLERR),
	C(EPOLLHUP),
	C(EPOLLRDHUP),
	C(EPOLLET),
	C(EPOLLONESHOT),
	C(EPOLLEXCLUSIVE),
	C(EPOLL_CLOEXEC),
	C(EPOLL_CTL_ADD),
	C(EPOLL_CTL_MOD),
	C(EPOLL_CTL_DEL),
	C(EFD_CLOEXEC),
	C(EFD_NONBLOCK),
	C(EFD_SEMAPHORE),
	C(TFD_CLOEXEC),
	C(TFD_NONBLOCK),
	C(TFD_TIMER_ABSTIME),
	C(IN_CLOEXEC),
	C(IN_NONBLOCK),
	C(IN_ACCESS),
	C(IN_MODIFY),
	C(IN_ATTRIB),
	C(IN_CLOSE_WRITE),
	C(IN_CLOSE_NOWRITE),
	C(IN_OPEN),
	C(IN_MOVED_FROM),
	C(IN_MOVED_TO),
	C(IN_CREATE),
	C(IN_DELETE),
	C(IN_ONESHOT),
	/* time.h, signal.h, sys/wait.h, sys/random.h */
	C(CLOCK_REALTIME),
	C(CLOCK_MONOTONIC),
	C(CLOCK_BOOTTIME),
	C(CLOCK_PROCESS_CPUTIME_ID),
	C(CLOCK_THREAD_CPUTIME_ID),
	C(TIMER_ABSTIME),
	C(WNOHANG),
	C(WUNTRACED),
	C(WCONTINUED),
	C(WEXITED),
	C(WSTOPPED),
	C(WNOWAIT),
	C(P_ALL),
	C(P_PID),
	C(P_PGID),
	C(SIGHUP),
	C(SIGINT),
	C(SIGQUIT),
	C(SIGABRT),
	C(SIGKILL),
	C(SIGUSR1),
	C(SIGUSR2),
	C(SIGPIPE),
	C(SIGALRM),
	C(SIGTERM),
	C(SIGCHLD),
	C(SIGCONT),
	C(SIGSTOP),
	C(GRND_NONBLOCK),
	C(GRND_RANDOM),
};

#define CONSTANTS (sizeof constants / sizeof *constants)

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct constant *)a)->name, ((const struct constant *)b)->name);
}

bool constant_find(const char *name, int64_t *ret_value)
{
	const struct constant wanted = { .name = name }, *found;
	static bool sorted;

	if (!sorted)
		qsort(constants, CONSTANTS, sizeof *constants, compare);
	sorted = true;
	found = bsearch(&wanted, constants, CONSTANTS, sizeof *constants, compare);
	if (found != NULL)
		*ret_value = found->value;
	return found != NULL;
}

const char *constant_near(const char *name)
{
	const char *best = NULL;
	unsigned least = strlen(name) < 4 ? 1 : 2;

	for (size_t i = 0; i < CONSTANTS; i++) {
		unsigned edits = near_edits(name, constants[i].name);

		if (edits <= least && (best == NULL || edits < least)) {
			best = constants[i].name;
			least = edits;
		}
	}
	return best;
}
