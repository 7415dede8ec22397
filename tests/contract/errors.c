/* SPDX-License-Identifier: MIT */
/*
 * Contract: where a call is wrong in several ways, every engine names the error that the system call
 * names, though others are as true.
 */
#include "script.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define BAD ((void *)8)
#define HIGH ((void *)(UINTPTR_MAX - 4095)) /* not even an address of the program's */
#define count_of(a) (sizeof(a) / sizeof((a)[0]))

#ifndef SYS_openat2
#define SYS_openat2 437
#endif

static char too_long[5000];

/* Names of which none can be made or opened. */
static const char *const names[] = { BAD, "", too_long, "/nonexistent/x", HIGH };

static void fill_names(void)
{
	memset(too_long, 'x', sizeof(too_long) - 1);
}

static void two_names(struct script *s)
{
	static const unsigned flags[] = { 0, 1u << 20 };

	fill_names();
	for (unsigned k = 0; k < count_of(names) * count_of(names); k++) {
		const char *old = names[k / count_of(names)], *new = names[k % count_of(names)];

		for (unsigned n = 0; n < count_of(flags); n++) {
			CALL(BY_ANY, SYS_linkat, AT_FDCWD, old, AT_FDCWD, new, flags[n]);
			CALL(BY_ANY, SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, flags[n]);
		}
		CALL(BY_ANY, SYS_symlinkat, old, AT_FDCWD, new);
		CALL(BY_ANY, SYS_linkat, -1, old, -1, new, AT_EMPTY_PATH);
		CALL(BY_ANY, SYS_renameat2, -1, old, AT_FDCWD, new, 7);
#ifdef SYS_rename
		CALL(BY_ANY, SYS_rename, old, new);
		CALL(BY_ANY, SYS_link, old, new);
		CALL(BY_ANY, SYS_symlink, old, new);
#endif
	}
}

static void opens(struct script *s)
{
	static const uint32_t flags[] = {
		O_RDONLY,    O_CREAT | O_DIRECTORY,	O_TMPFILE | O_RDONLY, O_PATH | O_CREAT,
		O_DIRECTORY, O_CREAT | O_EXCL | O_RDWR, O_NONBLOCK,
	};
	struct open_how how = { .flags = O_RDONLY };

	fill_names();
	for (unsigned k = 0; k < count_of(names); k++) {
		for (unsigned n = 0; n < count_of(flags); n++) {
			CALL(BY_ANY, SYS_openat, AT_FDCWD, names[k], flags[n], 0600);
			CALL(BY_ANY, SYS_openat, -1, names[k], flags[n], 0600);
			how = (struct open_how){ .flags = flags[n] };
			CALL(BY_ANY, SYS_openat2, AT_FDCWD, names[k], &how, sizeof(how));
		}
		how = (struct open_how){ .mode = 0600 };
		CALL(BY_ANY, SYS_openat2, AT_FDCWD, names[k], &how, sizeof(how));
		how = (struct open_how){ .resolve = 1u << 30 };
		CALL(BY_ANY, SYS_openat2, AT_FDCWD, names[k], &how, sizeof(how));
		CALL(BY_ANY, SYS_openat2, AT_FDCWD, names[k], &how, 3);
		CALL(BY_ANY, SYS_openat2, AT_FDCWD, names[k], &how, 5000);
		CALL(BY_ANY, SYS_openat2, AT_FDCWD, names[k], BAD, sizeof(how));
	}
}

static void one_name(struct script *s)
{
	static const struct {
		unsigned flags, mask;
	} wrong[] = { { 0, STATX_MODE },
		      { 1u << 20, STATX_MODE },
		      { AT_STATX_SYNC_TYPE, STATX_MODE },
		      { 0, 1u << 31 } };
	char value[8] = { 0 };
	struct statx x;

	fill_names();
	for (unsigned k = 0; k < count_of(names); k++) {
		for (unsigned n = 0; n < count_of(wrong); n++)
			CALL(BY_ANY, SYS_statx, AT_FDCWD, names[k], wrong[n].flags, wrong[n].mask,
			     &x);
		CALL(BY_ANY, SYS_mkdirat, AT_FDCWD, names[k], 0700);
		CALL(BY_ANY, SYS_unlinkat, AT_FDCWD, names[k], 1u << 20);
		for (unsigned n = 0; n < count_of(names); n++) {
			CALL(BY_ANY, SYS_getxattr, names[k], names[n], value, sizeof(value));
			CALL(BY_ANY, SYS_setxattr, names[k], names[n], value, sizeof(value), 0);
			CALL(BY_ANY, SYS_setxattr, names[k], names[n], BAD, 1u << 20, 7);
		}
	}
}

/* Descriptors that are none, not of the kind, or not open for it. */
static void descriptor_or_words(struct script *s, int fd)
{
	static char bytes[8];
	struct iovec iov = { HIGH, 8 };
	struct sockaddr_in addr = { .sin_family = AF_INET };

	CALL(BY_ANY, SYS_pread64, fd, HIGH, 4, 0);
	CALL(BY_ANY, SYS_pwrite64, fd, HIGH, 4, 0);
	CALL(BY_ANY, SYS_pwrite64, fd, BAD, 4, 0);
	CALL(BY_ANY, SYS_pwritev, fd, &iov, 1, 0, 0);
	CALL(BY_ANY, SYS_pwritev, fd, BAD, 1, 0, 0);
	CALL(BY_ANY, SYS_write, fd, HIGH, 4);
	CALL(BY_ANY, SYS_writev, fd, &iov, 1);
	CALL(BY_ANY, SYS_sendmsg, fd, BAD, MSG_NOSIGNAL);
	CALL(BY_ANY, SYS_recvmsg, fd, BAD, MSG_DONTWAIT);
	CALL(BY_ANY, SYS_sendto, fd, HIGH, 4, MSG_NOSIGNAL, NULL, 0);
	CALL(BY_ANY, SYS_sendto, fd, bytes, 4, MSG_NOSIGNAL, BAD, sizeof(addr));
	CALL(BY_ANY, SYS_recvfrom, fd, HIGH, 4, MSG_DONTWAIT, NULL, NULL);
	CALL(BY_ANY, SYS_bind, fd, BAD, sizeof(addr));
	CALL(BY_ANY, SYS_bind, fd, &addr, 4096);
	CALL(BY_ANY, SYS_connect, fd, BAD, sizeof(addr));
	CALL(BY_ANY, SYS_connect, fd, &addr, 4096);
	CALL(BY_ANY, SYS_accept4, fd, BAD, BAD, 1u << 30);
	CALL(BY_ANY, SYS_shutdown, fd, 9);
	CALL(BY_ANY, SYS_fallocate, fd, 1 << 20, -1, 0);
	CALL(BY_ANY, SYS_fgetxattr, fd, BAD, bytes, sizeof(bytes));
	CALL(BY_ANY, SYS_fgetxattr, fd, "", bytes, sizeof(bytes));
	CALL(BY_ANY, SYS_fsetxattr, fd, BAD, bytes, sizeof(bytes), 0);
	CALL(BY_ANY, SYS_fsetxattr, fd, "user.a", BAD, 1u << 20, 9);
	CALL(BY_ANY, SYS_sync_file_range, fd, -1, -1, 1u << 20);
}

static void descriptors(struct script *s)
{
	int file = memory_file(), pipe[2], path = open("/", O_PATH | O_CLOEXEC), reads;
	char name[32];

	check_eq(write(file, "0123456789", 10), 10);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
	reads = open(name, O_RDONLY | O_CLOEXEC);
	check(reads >= 0 && path >= 0);
	make_pipe(pipe);
	descriptor_or_words(s, -1);
	descriptor_or_words(s, 999);
	descriptor_or_words(s, path);
	descriptor_or_words(s, reads);
	descriptor_or_words(s, pipe[0]);
	close(file);
	close(reads);
	close(path);
	close(pipe[0]);
	close(pipe[1]);
}

/* Messages that are wrong in themselves, and vectors that are too many. */
static void message_or_vector(struct script *s, int fd)
{
	static struct iovec many[1100];
	static char bytes[8];
	struct iovec high = { HIGH, 8 }, negative = { bytes, SIZE_MAX }, good = { bytes, 8 };
	const struct msghdr wrong[] = {
		{ .msg_iov = many, .msg_iovlen = 1025 },
		{ .msg_iov = many, .msg_iovlen = 1100, .msg_control = BAD, .msg_controllen = 64 },
		{ .msg_iov = many, .msg_iovlen = 1100, .msg_name = BAD, .msg_namelen = 16 },
		{ .msg_iov = HIGH, .msg_iovlen = 1 },
		{ .msg_iov = &high, .msg_iovlen = 1 },
		{ .msg_iov = &negative, .msg_iovlen = 1 },
		{ .msg_iov = &good, .msg_iovlen = 1, .msg_name = bytes, .msg_namelen = UINT32_MAX },
		{ .msg_iov = HIGH, .msg_iovlen = 1, .msg_name = HIGH, .msg_namelen = 16 },
		{ .msg_iov = HIGH, .msg_iovlen = 1, .msg_name = bytes, .msg_namelen = 4096 },
		{ .msg_iov = HIGH, .msg_iovlen = 1, .msg_control = HIGH, .msg_controllen = 64 },
		{ .msg_iov = HIGH,
		  .msg_iovlen = 1,
		  .msg_control = HIGH,
		  .msg_controllen = SIZE_MAX },
	};
	static const int counts[] = { 1025, -1, 1 << 30 };

	for (unsigned k = 0; k < count_of(wrong); k++) {
		CALL(BY_ANY, SYS_sendmsg, fd, &wrong[k], MSG_NOSIGNAL);
		CALL(BY_ANY, SYS_sendmsg, fd, &wrong[k], MSG_NOSIGNAL | MSG_DONTWAIT | MSG_OOB);
		CALL(BY_ANY, SYS_recvmsg, fd, &wrong[k], MSG_DONTWAIT);
	}
	for (unsigned k = 0; k < count_of(counts); k++) {
		CALL(BY_ANY, SYS_readv, fd, many, counts[k]);
		CALL(BY_ANY, SYS_writev, fd, many, counts[k]);
		CALL(BY_ANY, SYS_preadv, fd, many, counts[k], -1, 0);
		CALL(BY_ANY, SYS_pwritev, fd, many, counts[k], 0, 0);
		CALL(BY_ANY, SYS_preadv2, fd, many, counts[k], -1, 0, 0);
		CALL(BY_ANY, SYS_pwritev2, fd, many, counts[k], -1, -1, 1 << 20);
		CALL(BY_ANY, SYS_preadv2, fd, HIGH, counts[k], 0, 0, 0);
	}
	CALL(BY_ANY, SYS_writev, fd, &negative, 1);
	CALL(BY_ANY, SYS_readv, fd, &negative, 1);
	CALL(BY_ANY, SYS_recvfrom, fd, HIGH, SIZE_MAX, MSG_DONTWAIT, NULL, NULL);
	CALL(BY_ANY, SYS_sendto, fd, HIGH, SIZE_MAX, MSG_NOSIGNAL, bytes, 4096);
	CALL(BY_ANY, SYS_read, fd, HIGH, SIZE_MAX);
	CALL(BY_ANY, SYS_write, fd, HIGH, SIZE_MAX);
	CALL(BY_ANY, SYS_pread64, fd, HIGH, 4, -1);
	CALL(BY_ANY, SYS_pwrite64, fd, HIGH, SIZE_MAX, INT64_MAX);
}

static void messages_to_none(struct script *s)
{
	int file = memory_file(), path = open("/", O_PATH | O_CLOEXEC), pipe[2];

	make_pipe(pipe);
	message_or_vector(s, -1);
	message_or_vector(s, 999);
	message_or_vector(s, path);
	message_or_vector(s, file);
	message_or_vector(s, pipe[0]);
	message_or_vector(s, pipe[1]);
	close(file);
	close(path);
	close(pipe[0]);
	close(pipe[1]);
}

static void messages_to_sockets(struct script *s)
{
	int pair[2], messages[2], lone = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	make_pair(SOCK_STREAM, pair);
	make_pair(SOCK_SEQPACKET, messages);
	message_or_vector(s, pair[0]);
	message_or_vector(s, messages[0]);
	message_or_vector(s, lone);
	message_or_vector(s, datagrams);
	close_both(pair);
	close_both(messages);
	close(lone);
	close(datagrams);
}

/* Flags that no file knows, or not this one, beside nothing to move and beside what cannot be moved. */
static void flags_of(struct script *s, int fd)
{
	static const uint32_t flags[] = { 0,	0x2,  0x8,  0xa,      0x10,    0x20,
					  0x30, 0x40, 0x80, 1u << 20, 1u << 31 };
	static const int64_t offsets[] = { 3, -1, -5 };
	static char bytes[16];
	struct iovec empty[2] = { { bytes, 0 }, { BAD, 0 } }, bad = { BAD, 8 };

	for (unsigned k = 0; k < count_of(flags) * count_of(offsets); k++) {
		const uint32_t flag = flags[k / count_of(offsets)];
		const int64_t at = offsets[k % count_of(offsets)];

		CALL(BY_ANY, SYS_preadv2, fd, empty, 2, at, 0, flag);
		CALL(BY_ANY, SYS_pwritev2, fd, empty, 2, at, 0, flag);
		CALL(BY_ANY, SYS_pwritev2, fd, &bad, 1, at, 0, flag);
		CALL(BY_ANY, SYS_preadv2, fd, BAD, 1, at, 0, flag);
		CALL(BY_ANY, SYS_preadv2, fd, &bad, 1, at, 0, flag);
		CALL(BY_ANY, SYS_pwritev2, fd, &bad, -1, at, 0, flag);
	}
}

static void flags_of_files(struct script *s)
{
	int file = memory_file();

	check_eq(write(file, "0123456789", 10), 10);
	flags_of(s, file);
	close(file);
}

static void flags_of_disks(struct script *s)
{
	char *dir = temp_make(), name[64];
	int file;

	snprintf(name, sizeof(name), "%s/file", dir);
	file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	check_eq(write(file, "0123456789", 10), 10);
	flags_of(s, file);
	close(file);
	temp_remove(dir);
}

static void flags_of_readers(struct script *s)
{
	int file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	check(file >= 0);
	flags_of(s, file);
	close(file);
}

/* No descriptor is free: what is wrong besides is named all the same, or is not. */
static int64_t socket_plainly(uint32_t domain, uint32_t type, uint32_t protocol)
{
	int fd = socket((int)domain, (int)type, (int)protocol);

	return fd < 0 ? -errno : fd;
}

static int sockets_without_descriptors(void *arg)
{
	static const uint32_t domains[] = { AF_UNIX, AF_INET, 77, 4000 };
	static const uint32_t types[] = { SOCK_STREAM, SOCK_RDM, 11, SOCK_STREAM | 0x10000000 };
	struct asys_queue *q = open_depth(16, *(const uint32_t *)arg);
	struct rlimit limit, before;
	int lowest;

	warm_up(q);
	check_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	lowest = dup(0);
	limit.rlim_cur = (rlim_t)lowest;
	check_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	close(lowest);
	for (unsigned k = 0; k < count_of(domains) * count_of(types); k++) {
		const uint32_t domain = domains[k / 4], type = types[k % 4];

		for (unsigned protocol = 0; protocol < 300; protocol += 99)
			check_eq(result_of(q, submit(q, SYS_socket, domain, type, protocol)),
				 socket_plainly(domain, type, protocol));
	}
	asys_queue_close(q);
	/* A sanitizer that looks for leaks at the end opens files. */
	check_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	return 0;
}

static void test_no_descriptor(void **state)
{
	static const uint32_t kinds[] = { 0, ASYS_QUEUE_SHARED, ASYS_QUEUE_DRIVER };

	(void)state;
	for (unsigned k = 0; k < count_of(kinds); k++) {
		uint32_t flags = kinds[k];

		check_child(sockets_without_descriptors, &flags);
	}
}

#define SCRIPT(fn)                          \
	static void test_##fn(void **state) \
	{                                   \
		(void)state;                \
		script_compare(fn);         \
	}

SCRIPT(two_names)
SCRIPT(opens)
SCRIPT(one_name)
SCRIPT(descriptors)
SCRIPT(messages_to_none)
SCRIPT(messages_to_sockets)
SCRIPT(flags_of_files)
SCRIPT(flags_of_disks)
SCRIPT(flags_of_readers)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_two_names),	 contract(test_opens),
		contract(test_one_name),	 contract(test_descriptors),
		contract(test_flags_of_files),	 contract(test_flags_of_disks),
		contract(test_flags_of_readers), contract(test_no_descriptor),
		contract(test_messages_to_none), contract(test_messages_to_sockets),
	};

	return group(tests, argc, argv);
}
