/* SPDX-License-Identifier: MIT */
/*
 * Contract: calls run with the identity that their sender has when they start: folder, umask,
 * credentials, capabilities, namespaces, filters. Every case runs in a child, warm: threads and
 * rings exist before the identity changes. The changes are made in each way there is: by libc
 * directly, through the queue, and by a raw system call that the queue is told about.
 */
#include "endless.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define NOBODY 65534
#define REFUSED EBFONT /* no system call returns it by itself */

struct place {
	char *dir;  /* exists, empty */
	bool queue; /* make the change through the queue, else directly */
};

/* Runs one case both ways, in children. */
static void both_ways(int (*fn)(void *arg))
{
	for (unsigned way = 0; way < 2; way++) {
		struct place place = { temp_make(), way };
		int code = run_in_child(fn, &place, 60);

		temp_remove(place.dir);
		if (code == SKIPPED)
			skip_because("the child could not do it here");
		if (code)
			fprintf(stderr, "change made %s\n", way ? "by the queue" : "directly");
		check_eq(code, 0);
	}
}

/* Makes the change `nr`, directly (then the queue is told) or through the queue. */
static void change(struct asys_queue *q, bool queue, long nr, uint64_t a, uint64_t b, uint64_t c)
{
	if (queue) {
		check_eq(result_of(q, submit(q, nr, a, b, c)), 0);
	} else {
		check_eq(syscall(nr, a, b, c), 0);
		check_eq(asys_queue_renew(q), 0);
	}
}

static struct asys_queue *warm_queue(void)
{
	struct asys_queue *q = open_queue();

	warm_up(q);
	return q;
}

/* One call at a time goes to the waiter; many, and one that blocks, go to others too. */
static void everywhere(struct asys_queue *q, int64_t expected, uint32_t nr, uint64_t a, uint64_t b,
		       uint64_t c, uint64_t d)
{
	asys_id id[32];

	check_eq(result_of(q, asys_call(q, nr, a, b, c, d, 0, 0)), expected);
	for (unsigned i = 0; i < 32; i++)
		id[i] = asys_call(q, nr, a, b, c, d, 0, 0);
	check_eq(asys_queue_flush(q), 0);
	for (unsigned i = 0; i < 32; i++)
		check_eq(result_of(q, id[i]), expected);
}

static int chdir_case(void *arg)
{
	const struct place *place = arg;
	struct asys_queue *q = warm_queue();
	struct stat st;
	char *path = NULL;

	check(asprintf(&path, "%s/made", place->dir) > 0);
	if (place->queue)
		check_eq(result_of(q, submit(q, SYS_chdir, place->dir)), 0);
	else
		check_eq(chdir(place->dir), 0);
	check_eq(result_of(q, submit(q, SYS_mkdirat, AT_FDCWD, "made", 0700)), 0);
	check_eq(stat(path, &st), 0);
	everywhere(q, -EEXIST, SYS_mkdirat, (uint64_t)AT_FDCWD, WORD("made"), 0700, 0);
	asys_queue_close(q);
	check_eq(rmdir(path), 0);
	free(path);
	return 0;
}

static int umask_case(void *arg)
{
	const struct place *place = arg;
	struct asys_queue *q = warm_queue();
	char name[32][16];
	struct stat st;
	asys_id id[32];

	check_eq(chdir(place->dir), 0);
	umask(022);
	if (place->queue)
		check_eq(result_of(q, submit(q, SYS_umask, 0057)), 022);
	else
		check_eq(umask(0057), 022);
	for (unsigned i = 0; i < 32; i++) {
		snprintf(name[i], sizeof(name[i]), "dir%u", i);
		id[i] = submit(q, SYS_mkdirat, AT_FDCWD, name[i], 0777);
	}
	for (unsigned i = 0; i < 32; i++)
		check_eq(result_of(q, id[i]), 0);
	for (unsigned i = 0; i < 32; i++) {
		check_eq(stat(name[i], &st), 0);
		check_eq(st.st_mode & 0777, 0720);
	}
	asys_queue_close(q);
	return 0;
}

static int setuid_case(void *arg)
{
	const struct place *place = arg;
	struct asys_queue *q;
	char *path = NULL;
	int fd;

	if (!is_root())
		return SKIPPED;
	check(asprintf(&path, "%s/secret", place->dir) > 0);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	check(fd >= 0);
	q = warm_queue();
	everywhere(q, 0, SYS_faccessat, (uint64_t)AT_FDCWD, WORD(path), R_OK, 0);
	if (place->queue)
		check_eq(result_of(q, submit(q, SYS_setresuid, NOBODY, NOBODY, NOBODY)), 0);
	else
		check_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
	everywhere(q, -EACCES, SYS_openat, (uint64_t)AT_FDCWD, WORD(path), O_RDONLY, 0);
	everywhere(q, NOBODY, SYS_geteuid, 0, 0, 0, 0);
	asys_queue_close(q);
	free(path);
	return 0;
}

/* The raw call changes this thread only; the queue must not keep root for it. */
static int raw_setuid_case(void *arg)
{
	const struct place *place = arg;
	struct asys_queue *q;
	char *path = NULL;
	int fd;

	if (!is_root())
		return SKIPPED;
	check(asprintf(&path, "%s/secret", place->dir) > 0);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	check(fd >= 0);
	q = warm_queue();
	change(q, place->queue, SYS_setresuid, NOBODY, NOBODY, NOBODY);
	everywhere(q, -EACCES, SYS_openat, (uint64_t)AT_FDCWD, WORD(path), O_RDONLY, 0);
	asys_queue_close(q);
	free(path);
	return 0;
}

static int capset_case(void *arg)
{
	const struct place *place = arg;
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
	struct asys_queue *q;
	char *path = NULL;
	int fd;

	if (!is_root())
		return SKIPPED;
	check(asprintf(&path, "%s/locked", place->dir) > 0);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0000);
	check(fd >= 0);
	check_eq(fchmod(fd, 0), 0);
	q = warm_queue();
	everywhere(q, 0, SYS_faccessat, (uint64_t)AT_FDCWD, WORD(path), F_OK, 0);
	check_eq(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
	change(q, place->queue, SYS_capset, WORD(&header), WORD(none), 0);
	everywhere(q, -EACCES, SYS_openat, (uint64_t)AT_FDCWD, WORD(path), O_RDONLY, 0);
	everywhere(q, -EPERM, SYS_chroot, WORD("/"), 0, 0, 0);
	asys_queue_close(q);
	free(path);
	return 0;
}

/* After it, the caller's folder is its own, and the queue follows the caller's. */
static int unshare_fs_case(void *arg)
{
	const struct place *place = arg;
	struct asys_queue *q = warm_queue();
	struct stat st;
	char *path = NULL;

	check(asprintf(&path, "%s/made", place->dir) > 0);
	change(q, place->queue, SYS_unshare, CLONE_FS, 0, 0);
	check_eq(chdir(place->dir), 0);
	check_eq(result_of(q, submit(q, SYS_mkdirat, AT_FDCWD, "made", 0700)), 0);
	check_eq(stat(path, &st), 0);
	everywhere(q, -EEXIST, SYS_mkdirat, (uint64_t)AT_FDCWD, WORD("made"), 0700, 0);
	asys_queue_close(q);
	check_eq(rmdir(path), 0);
	free(path);
	return 0;
}

/* What the kernel refuses to a process with threads (a new user namespace, joining one of time), or to a thread that
 * shares its working directory (one of mounts): none is left that has nothing to do, nor one that is about to
 * leave. Not with the ring, whose workers nobody can send away. */
struct alone {
	/* Naps have a thread each, and end together; a sending that loops is between two of its calls. */
	enum crowd { QUICK_CALLS, NAPS, SENDING, CROWDS } crowd;
	enum alone_kind { NEW_USER, JOIN_MOUNTS, JOIN_TIME, ALONE_KINDS } kind;
};

#define JOINS_TIME 0x80 /* CLONE_NEWTIME, newer than some C libraries */

static int64_t be_alone(struct asys_queue *q, enum alone_kind kind)
{
	int fd;

	if (kind == NEW_USER)
		return result_of(q, submit(q, SYS_unshare, CLONE_NEWUSER));
	/* Its own: nothing changes. */
	fd = open(kind == JOIN_MOUNTS ? "/proc/self/ns/mnt" : "/proc/self/ns/time",
		  O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	return result_of(q,
			 submit(q, SYS_setns, fd, kind == JOIN_MOUNTS ? CLONE_NEWNS : JOINS_TIME));
}

static int alone_case(void *arg)
{
	static const struct timespec nap = { 0, 1000000 };
	const struct alone *alone = arg;
	struct asys_queue_options options;
	struct asys_chain *loop = NULL;
	struct asys_queue *q;

	asys_queue_options_init(&options);
	options.engine = ASYS_ENGINE_THREADS;
	options.depth = 64;
	q = open_with(&options);
	for (unsigned n = 0; n < 8 && alone->crowd != SENDING; n++)
		if (alone->crowd == NAPS)
			submit(q, SYS_nanosleep, &nap, NULL);
		else
			submit(q, SYS_getppid, 0);
	drain(q);
	if (alone->crowd == SENDING) {
		loop = endless_chain(LOOP_CALLS, 1);
		check(asys_chain_send(q, loop).value > 0);
		check_eq(asys_queue_flush(q), 0);
		sleep_ms(2);
	}
	check_one_of(be_alone(q, alone->kind), 0, -EPERM);
	asys_queue_close(q);
	asys_chain_close(loop);
	return 0;
}

/* Each in a process of its own: a namespace inside another, and so on, is refused after some. */
static void test_alone(void **state)
{
	(void)state;
	if (engine_forced("uring") || driver_is("fd") || is_sanitized())
		skip_because("another thread of the test or the sanitizer, or the ring, is there");
	for (unsigned n = 0; n < 180; n++) {
		struct alone alone = { .crowd = (enum crowd)(n % CROWDS),
				       .kind = (enum alone_kind)(n / CROWDS % ALONE_KINDS) };

		check_child(alone_case, &alone);
		progress();
	}
}

static int unshare_mount_case(void *arg)
{
	const struct place *place = arg;
	struct asys_queue *q;
	char *path = NULL;
	int outside;

	if (!is_root())
		return SKIPPED;
	q = warm_queue();
	check(asprintf(&path, "%s/inside", place->dir) > 0);
	outside = open(place->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	check(outside >= 0);
	change(q, place->queue, SYS_unshare, CLONE_NEWNS, 0, 0);
	/* Below a changed root, which is no mount: what follows would be seen outside. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return SKIPPED;
	check_eq(result_of(q, submit(q, SYS_mount, "asys-test", place->dir, "tmpfs", 0, NULL)), 0);
	check_eq(result_of(q, submit(q, SYS_mkdirat, AT_FDCWD, path, 0700)), 0);
	everywhere(q, -EEXIST, SYS_mkdirat, (uint64_t)AT_FDCWD, WORD(path), 0700, 0);
	/* not on the file system below, which the others see */
	check_eq(faccessat(outside, "inside", F_OK, 0), -1);
	asys_queue_close(q);
	free(path);
	return 0;
}

/*
 * A filter binds what the caller's threads trap into; io_uring's own operations do not pass it,
 * so that the queue must not use them for what the caller may no longer call.
 */
static int seccomp_case(void *arg)
{
	static const long forbidden[] = { SYS_mkdirat, SYS_recvfrom, SYS_accept4 };
	const struct place *place = arg;
	struct asys_queue *q = warm_queue();
	int sockets[2];
	char byte;

	check_eq(chdir(place->dir), 0);
	check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	if (place->queue)
		check_eq(result_of(q, submit(q, SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)), 0);
	else
		check_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	change(q, place->queue, SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0,
	       WORD(deny_program(forbidden, 3, REFUSED)));
	everywhere(q, -REFUSED, SYS_mkdirat, (uint64_t)AT_FDCWD, WORD("made"), 0700, 0);
	everywhere(q, -REFUSED, SYS_recvfrom, (uint64_t)sockets[0], WORD(&byte), 1, 0);
	everywhere(q, -REFUSED, SYS_accept4, (uint64_t)sockets[0], 0, 0, 0);
	check_eq(faccessat(AT_FDCWD, "made", F_OK, 0), -1);
	/* everything else goes on, also what blocks */
	warm_up(q);
	asys_queue_close(q);
	return 0;
}

/* The older way to the same, which a table might overlook. */
static int seccomp_prctl_case(void *arg)
{
	static const long forbidden[] = { SYS_mkdirat };
	const struct place *place = arg;
	struct asys_queue *q = warm_queue();

	check_eq(chdir(place->dir), 0);
	check_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	change(q, place->queue, SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER,
	       WORD(deny_program(forbidden, 1, REFUSED)));
	everywhere(q, -REFUSED, SYS_mkdirat, (uint64_t)AT_FDCWD, WORD("made"), 0700, 0);
	asys_queue_close(q);
	return 0;
}

/* Changes again and again, with calls in flight that began before: they end as they began. */
static int often_case(void *arg)
{
	struct asys_queue *q = warm_queue();
	struct asys_stats stats;
	char byte[8];
	asys_id id[8];
	int fd[2];

	(void)arg;
	make_pipe(fd);
	for (unsigned i = 0; i < 8; i++) {
		id[i] = submit(q, SYS_read, fd[0], &byte[i], 1);
		check_eq(asys_queue_flush(q), 0);
		check_eq(result_of(q, submit(q, SYS_unshare, CLONE_FS)), 0);
		check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
		check_eq(asys_queue_renew(q), 0);
		progress();
	}
	check_eq(write(fd[1], "12345678", 8), 8);
	for (unsigned i = 0; i < 8; i++)
		check_eq(result_of(q, id[i]), 1);
	check_eq(asys_queue_stats(q, &stats), 0);
	check(stats.threads <= 12);
	asys_queue_close(q);
	return 0;
}

/* A call that may block for ever, and is refused to who may not enter the folder. */
static asys_id send_connect(struct asys_queue *q, int fd, const struct sockaddr_un *address)
{
	return submit(q, SYS_connect, fd, address, sizeof(*address));
}

/* What one queue changes holds for calls that are given, a moment later, to the threads of others. */
static int other_queue_case(void *arg)
{
	const struct place *place = arg;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct asys_queue_options options;
	struct asys_queue *q, *other, *slow;
	char *path = NULL;
	asys_id id[32];
	int fd, unconnected;

	if (!is_root() || engine_forced("inline"))
		return SKIPPED;
	q = open_queue();
	other = open_depth(64, ASYS_QUEUE_NO_HELP);
	asys_queue_options_init(&options);
	options.engine = ASYS_ENGINE_THREADS;
	slow = open_with(&options);
	unconnected = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(unconnected >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/closed/none", place->dir);
	check(asprintf(&path, "%s/closed", place->dir) > 0);
	check_eq(mkdir(path, 0700), 0);
	free(path);
	check_eq(chmod(place->dir, 0755), 0);
	check(asprintf(&path, "%s/secret", place->dir) > 0);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	check(fd >= 0);
	for (unsigned round = 0; round <= 40;
	     round++) { /* root again in the last, for leak checkers */
		const uint64_t user = round % 2 ? NOBODY : 0;

		/* its threads are awake */
		for (unsigned i = 0; i < 32; i++)
			id[i] = submit(other, SYS_getppid, 0);
		for (unsigned i = 0; i < 32; i++)
			check_eq(result_of(other, id[i]), getppid());
		check_eq(result_of(slow, send_connect(slow, unconnected, &address)),
			 user  ? -ENOENT :
			 round ? -EACCES :
				 -ENOENT);
		change(q, place->queue, SYS_setresuid, user, user, (uint64_t)-1);
		for (unsigned i = 0; i < 32; i++)
			id[i] = submit(other, SYS_faccessat, AT_FDCWD, path, R_OK);
		for (unsigned i = 0; i < 32; i++)
			check_eq(result_of(other, id[i]), user ? -EACCES : 0);
		check_eq(result_of(slow, send_connect(slow, unconnected, &address)),
			 user ? -EACCES : -ENOENT);
		progress();
	}
	asys_queue_close(slow);
	asys_queue_close(other);
	asys_queue_close(q);
	close(unconnected);
	close(fd);
	free(path);
	return 0;
}

#define CASE(name)                            \
	static void test_##name(void **state) \
	{                                     \
		(void)state;                  \
		both_ways(name##_case);       \
	}

CASE(chdir)
CASE(umask)
CASE(setuid)
CASE(raw_setuid)
CASE(capset)
CASE(unshare_fs)
CASE(unshare_mount)
CASE(seccomp)
CASE(seccomp_prctl)
CASE(other_queue)

static void test_often(void **state)
{
	(void)state;
	check_child(often_case, NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_chdir),	      contract(test_umask),  contract(test_setuid),
		contract(test_raw_setuid),    contract(test_capset), contract(test_unshare_fs),
		contract(test_unshare_mount), contract(test_alone),  contract(test_seccomp),
		contract(test_seccomp_prctl), contract(test_often),  contract(test_other_queue),
	};

	return group(tests, argc, argv);
}
