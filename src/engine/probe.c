/* SPDX-License-Identifier: MIT */
/*
 * The only file that asks the kernel what it can do. It asks by doing: versions lie where features
 * were backported, filtered or switched off.
 */
#include "base/base.h"
#include <asys/table.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#if ASYS_HAVE_URING
#include <liburing.h>
#endif

#define CMD_PRIVATE_EXPEDITED (1 << 3)
#define RWF_NOWAIT_BIT 0x8

static struct asys_probe probe;
static pthread_once_t probe_once = PTHREAD_ONCE_INIT;

#if ASYS_HAVE_URING
/* Newer than the oldest liburing that builds. The value is the kernel's ABI. */
#define SETUP_SUBMIT_ALL (1u << 7)
#define SETUP_TASKRUN_FLAG (1u << 9)
#define SETUP_SINGLE_ISSUER (1u << 12)
#define SETUP_DEFER_TASKRUN (1u << 13)

#define NEEDED_FEATURES (IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_SUBMIT_STABLE)

static int setup(struct io_uring_params *p, uint32_t flags)
{
	memset(p, 0, sizeof(*p));
	p->flags = flags;
	return (int)raw_call(SYS_io_uring_setup, 2, ptr_word(p), 0, 0);
}

/* 0, 1, 2 of /proc/sys/kernel/io_uring_disabled; -1 if this kernel has no such switch. */
static int disabled_switch(void)
{
	char digit = 0;
	int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (read(fd, &digit, 1) != 1)
		digit = 0;
	close(fd);
	return digit >= '0' && digit <= '2' ? digit - '0' : -1;
}

static const char *why_refused(int err)
{
	switch (err) {
	case -EPERM:
	case -EACCES:
		switch (disabled_switch()) {
		case 2:
			return "refused by the sysctl kernel.io_uring_disabled=2: set it to 0 to "
			       "allow "
			       "io_uring";
		case 1:
			return "refused by the sysctl kernel.io_uring_disabled=1: set it to 0, or "
			       "give "
			       "this user CAP_SYS_ADMIN or the group kernel.io_uring_group";
		default:
			return "refused by a seccomp profile or a security module (containers do "
			       "this "
			       "by default): allow io_uring_setup, io_uring_enter and "
			       "io_uring_register in the profile";
		}
	case -ENOSYS:
		return "this kernel has no io_uring (older than 5.1, built without it, emulated, "
		       "or "
		       "hidden by a seccomp profile)";
	case -ENOMEM:
		return "no memory for a ring: raise the limit of locked memory (ulimit -l) or of "
		       "the "
		       "control group";
	case -EMFILE:
		return "no descriptor left for a ring: raise the limit of open files (ulimit -n)";
	case -ENFILE:
		return "no descriptor left for a ring: raise the machine's limit of open files "
		       "(fs.file-max)";
	default:
		return "io_uring_setup failed in an unexpected way: strace shows the call";
	}
}

static void probe_opcodes(int fd)
{
	enum { count = 256 };
	struct io_uring_probe *list;

	list = calloc(1, sizeof(*list) + count * sizeof(struct io_uring_probe_op));
	if (!list)
		return;
	if (raw_call(SYS_io_uring_register, (uint64_t)fd, IORING_REGISTER_PROBE, ptr_word(list),
		     count) >= 0) {
		for (unsigned k = 0; k < list->ops_len; k++) {
			if (!(list->ops[k].flags & IO_URING_OP_SUPPORTED))
				continue;
			probe.uring_op[list->ops[k].op / 8] |=
				(uint8_t)(1u << (list->ops[k].op % 8));
			probe.uring_ops++;
		}
	}
	free(list);
}

/* Flags are tried on top of those that worked: an old kernel refuses the ones it does not know. */
static void probe_flags(void)
{
	static const uint32_t steps[] = {
		IORING_SETUP_CLAMP,
		SETUP_SUBMIT_ALL,
		SETUP_SINGLE_ISSUER,
		SETUP_DEFER_TASKRUN | SETUP_TASKRUN_FLAG,
	};
	struct io_uring_params p;

	for (size_t k = 0; k < sizeof(steps) / sizeof(*steps); k++) {
		int fd = setup(&p, probe.uring_setup | steps[k]);

		if (fd < 0)
			continue;
		probe.uring_setup |= steps[k];
		close(fd);
	}
}

static void probe_uring(void)
{
	struct io_uring_params p;
	int fd = setup(&p, 0), err;

	if (fd < 0) {
		probe.uring = fd;
		probe.uring_why = why_refused(fd);
		return;
	}
	if ((p.features & NEEDED_FEATURES) != NEEDED_FEATURES) {
		probe.uring = -ENOSYS;
		probe.uring_why =
			"this kernel's io_uring is too old: 5.11 is the first that can wait "
			"with a time limit and loses no event";
		close(fd);
		return;
	}
	probe_opcodes(fd);
	err = (int)raw_call(SYS_io_uring_enter, (uint64_t)fd, 0, 0, IORING_ENTER_GETEVENTS);
	close(fd);
	if (err) {
		probe.uring = err;
		probe.uring_why =
			"io_uring_enter is refused though io_uring_setup is not: allow it in "
			"the seccomp profile";
		return;
	}
	if (!probe.uring_ops) {
		probe.uring = -ENOSYS;
		probe.uring_why =
			"io_uring_register is refused, so its opcodes cannot be asked for: "
			"allow it in the seccomp profile";
		return;
	}
	probe_flags();
	probe.uring_why = "usable";
}
#else
static void probe_uring(void)
{
	probe.uring = -EOPNOTSUPP;
	probe.uring_why =
		"this library was built without liburing: install its development files and "
		"build again";
}
#endif

/* An empty pipe must answer -EAGAIN: kernels that know the flag but not for pipes are of no use. */
static void probe_nowait(void)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	int fds[2];

	/* O_NONBLOCK so that this cannot wait; the flag is looked at before. */
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return;
	/* Words 3 and 4 are the offset: -1, the file's own. */
	const uint64_t arg[6] = { (uint64_t)fds[0], ptr_word(&iov), 1,
				  UINT64_MAX,	    UINT64_MAX,	    RWF_NOWAIT_BIT };

	probe.nowait = raw_syscall(SYS_preadv2, arg) == -EAGAIN;
	close(fds[0]);
	close(fds[1]);
}

static void probe_cores(void)
{
	unsigned long mask[1024 / sizeof(unsigned long)];
	int64_t bytes = raw_call(SYS_sched_getaffinity, 0, sizeof(mask), ptr_word(mask), 0);

	probe.cores = 0;
	for (int64_t k = 0; k < bytes / (int64_t)sizeof(*mask); k++)
		probe.cores += (uint32_t)__builtin_popcountl(mask[k]);
	if (!probe.cores)
		probe.cores = 1;
}

/* Negative where the call is missing or filtered. */
static bool membarrier_works(void)
{
	int64_t commands = raw_call(SYS_membarrier, 0, 0, 0, 0);

	return commands > 0 && (commands & CMD_PRIVATE_EXPEDITED);
}

static void *probe_thread(void *unused)
{
	probe_uring();
	return unused;
}

/*
 * In a thread that ends at once: the kernel takes a closed ring apart later and interrupts the thread
 * that made it, so a caller would see -EINTR from a call of its own that has nothing to do with asys.
 */
static void probe_apart(void)
{
	sigset_t all, old;
	pthread_t thread;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, NULL, probe_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		probe_uring();
	else
		pthread_join(thread, NULL);
}

static void probe_all(void)
{
	int old = errno, state = cancel_point_off();

	probe_apart();
	probe_nowait();
	probe_cores();
	probe.membarrier = membarrier_works();
	cancel_point_back(state);
	errno = old;
}

ASYS_API const struct asys_probe *asys_probe(void)
{
	pthread_once(&probe_once, probe_all);
	return &probe;
}
