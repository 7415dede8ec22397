/* SPDX-License-Identifier: MIT */
/* Descriptors for processes, files by handle, rings, counters and programs of the kernel. */
#include "fidelity.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t sleeper(struct fid *f)
{
	pid_t pid = fork();

	if (pid < 0)
		fid_fail(f, "fork");
	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

static void process_handles(struct fid *f)
{
	int file = fid_make(f, "file", "0123456789");
	siginfo_t info = { 0 };
	struct pollfd wait;
	pid_t pid = sleeper(f);
	int fd = CALL_FD("pidfd_open", pid, 0), theirs;

	CALL_FD("pidfd_open", 0x7ffffff0, 0);
	CALL_FD("pidfd_open", -1, 0);
	CALL_FD("pidfd_open", pid, 1);
	theirs = CALL_FD("pidfd_getfd", fd, file, 0);
	CALL("lseek", file, 6, SEEK_SET);
	fid_place(f, theirs);
	CALL_FD("pidfd_getfd", fd, FID_BAD_FD, 0);
	CALL_FD("pidfd_getfd", fd, file, 1);
	CALL_FD("pidfd_getfd", file, file, 0);
	CALL("pidfd_send_signal", fd, 0, NULL, 0);
	CALL("pidfd_send_signal", fd, 99, NULL, 0);
	CALL("pidfd_send_signal", fd, 0, NULL, 1 << 30);
	CALL("pidfd_send_signal", FID_BAD_FD, 0, NULL, 0);
	CALL("pidfd_send_signal", fd, SIGKILL, NULL, 0);
	wait = (struct pollfd){ fd, POLLIN, 0 };
	CALL("poll", &wait, 1, -1);
	CALL("process_mrelease", fd, 1);
	CALL("process_mrelease", FID_BAD_FD, 0);
	CALL("waitid", 3, fd, &info, WEXITED, NULL);
	fid_note(f, "code %d status %d\n", info.si_code, info.si_status);
	CALL("pidfd_send_signal", fd, 0, NULL, 0);
	CALL("process_mrelease", fd, 0);
}

static void process_advice(struct fid *f)
{
	pid_t pid = sleeper(f);
	int fd = CALL_FD("pidfd_open", pid, 0);
	char *area = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec vec = { area, 4096 };

	CALL("process_madvise", fd, &vec, 1, 999, 0);
	CALL("process_madvise", fd, &vec, 1, MADV_COLD, 1);
	CALL("process_madvise", fd, FID_BAD, 1, MADV_COLD, 0);
	CALL("process_madvise", CALL_FD("pidfd_open", getpid(), 0), &vec, 1, MADV_COLD, 0);
	CALL("process_madvise", FID_BAD_FD, &vec, 1, MADV_COLD, 0);
	CALL("kcmp", getpid(), pid, 99, 0, 0);
	CALL("kcmp", getpid(), getpid(), 1, 0, 0);
	CALL("kcmp", getpid(), 0x7ffffff0, 1, 0, 0);
	CALL("kcmp", getpid(), getpid(), 0, FID_BAD_FD, 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void file_handles(struct fid *f)
{
	_Alignas(8) char room[256] = "";
	struct file_handle *handle = (struct file_handle *)room;
	int mount = -1, fd = fid_keep(f, open(".", O_RDONLY | O_DIRECTORY)), got;
	char buf[8] = "";

	fid_make(f, "file", "contents");
	CALL("name_to_handle_at", AT_FDCWD, "file", handle, &mount, 0);
	fid_note(f, "needs %u\n", handle->handle_bytes);
	handle->handle_bytes = 128;
	CALL("name_to_handle_at", AT_FDCWD, "file", handle, &mount, 0);
	got = CALL_FD("open_by_handle_at", fd, handle, O_RDONLY);
	CALL("read", got, buf, sizeof(buf));
	fid_bytes(f, "read", buf, sizeof(buf));
	CALL("name_to_handle_at", AT_FDCWD, "absent", handle, &mount, 0);
	CALL("name_to_handle_at", AT_FDCWD, "file", FID_BAD, &mount, 0);
	CALL("name_to_handle_at", AT_FDCWD, "file", handle, &mount, 1 << 30);
	handle->handle_bytes = 9999;
	CALL_FD("open_by_handle_at", fd, handle, O_RDONLY);
	CALL_FD("open_by_handle_at", fd, FID_BAD, O_RDONLY);
	CALL_FD("open_by_handle_at", FID_BAD_FD, handle, O_RDONLY);
}

static void rings(struct fid *f)
{
	struct io_uring_params p = { 0 };
	int file = fid_make(f, "file", "x");
	int fd = CALL_FD("io_uring_setup", 4, &p);

	fid_note(f, "entries %u %u\n", p.sq_entries, p.cq_entries);
	CALL("io_uring_enter", fd, 0, 0, 0, NULL, 0);
	CALL("io_uring_enter", fd, 0, 0, 1 << 30, NULL, 0);
	CALL("io_uring_enter", file, 0, 0, 0, NULL, 0);
	CALL("io_uring_enter", FID_BAD_FD, 0, 0, 0, NULL, 0);
	CALL("io_uring_register", fd, 999, NULL, 0);
	CALL("io_uring_register", fd, IORING_REGISTER_FILES, &file, 1);
	CALL("io_uring_register", fd, IORING_UNREGISTER_FILES, NULL, 0);
	CALL("io_uring_register", FID_BAD_FD, IORING_REGISTER_FILES, &file, 1);
	CALL_FD("io_uring_setup", 4, FID_BAD);
	p = (struct io_uring_params){ .flags = 1u << 31 };
	CALL_FD("io_uring_setup", 4, &p);
	p = (struct io_uring_params){ 0 };
	CALL_FD("io_uring_setup", 0, &p);
}

static void programs(struct fid *f)
{
	struct perf_event_attr perf = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(perf),
					.config = PERF_COUNT_SW_DUMMY };
	union bpf_attr bpf = { 0 };
	int fd = CALL_FD("perf_event_open", &perf, 0, -1, -1, 0);
	uint64_t count = 99, key = 1;

	CALL("read", fd, &count, 8);
	fid_note(f, "count %llu\n", (unsigned long long)count);
	perf.type = 9999;
	CALL_FD("perf_event_open", &perf, 0, -1, -1, 0);
	CALL_FD("perf_event_open", FID_BAD, 0, -1, -1, 0);
	CALL_FD("perf_event_open", &perf, 0, -1, -1, 1 << 30);
	bpf.map_type = BPF_MAP_TYPE_ARRAY;
	bpf.key_size = 4;
	bpf.value_size = 8;
	bpf.max_entries = 2;
	fd = CALL_FD("bpf", BPF_MAP_CREATE, &bpf, sizeof(bpf));
	memset(&bpf, 0, sizeof(bpf));
	bpf.map_fd = (uint32_t)fd;
	bpf.key = FID_WORD(&key);
	bpf.value = FID_WORD(&count);
	CALL("bpf", BPF_MAP_UPDATE_ELEM, &bpf, sizeof(bpf));
	CALL("bpf", BPF_MAP_LOOKUP_ELEM, &bpf, sizeof(bpf));
	CALL("bpf", 9999, &bpf, sizeof(bpf));
	CALL("bpf", BPF_MAP_CREATE, FID_BAD, sizeof(bpf));
}

static void random_bytes(struct fid *f)
{
	char buf[300] = { 0 };

	CALL("getrandom", buf, sizeof(buf), 0);
	CALL("getrandom", buf, 16, 1);
	CALL("getrandom", buf, 16, 99);
	CALL("getrandom", FID_BAD, 16, 0);
	CALL("getrandom", buf, 0, 0);
}

const struct fid_case fid_handles[] = {
	{ "pidfd", process_handles, 0, 0 },
	{ "process_madvise and kcmp", process_advice, 0, 0 },
	{ "file handles", file_handles, 0, 0 },
	{ "io_uring", rings, 0, 0 },
	{ "perf and bpf", programs, 0, 0 },
	{ "getrandom", random_bytes, 0, 0 },
	{ 0 },
};
