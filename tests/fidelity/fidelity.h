/* SPDX-License-Identifier: MIT */
/*
 * The differential test: one case, run with plain system calls and again through asys, must leave
 * the same transcript. A case is written once, against an executor; it does not know which.
 *
 *   main.c     options, and what was reached: calls exercised, calls left out and why
 *   runner.c   a process and an empty folder for every run of a case; the comparison
 *   exec.c     the two executors
 *   fid.c      what cases are written with: calls, the transcript, files, peers
 *   others     the cases, by subject
 *
 * A transcript holds for every call its result (64 bits), then what the case adds: the contents of
 * out-buffers, files, attributes. What cannot be equal between two runs (addresses, process ids,
 * times, numbers of descriptors) the case reduces to what must be equal.
 */
#ifndef ASYS_TESTS_FIDELITY_H
#define ASYS_TESTS_FIDELITY_H

#include <asys/table.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FID_NUMBERS 1024    /* no architecture has a call number above */
#define FID_TEXT (1u << 18) /* bytes of one transcript */
#define FID_DESCRIPTORS 64  /* that one case may keep */
#define FID_LIMIT_MS 10000  /* a run of a case that takes longer has failed */

/* How often a call was run, and with what end. */
enum fid_seen {
	FID_SEEN_RAN = 1,     /* it was run and gave something other than -ENOSYS */
	FID_SEEN_SUCCESS = 2, /* ... with success */
	FID_SEEN_ENOSYS = 4,  /* it was run and this kernel has no such call */
};

/* Shared with the runner, so that a transcript survives whatever the case does to its process. */
struct fid_shared {
	uint32_t length; /* of text; what does not fit is counted, and fails the case */
	uint32_t lost;
	uint64_t served[ASYS_ENGINE_COUNT];
	uint8_t seen[FID_NUMBERS]; /* enum fid_seen */
	char text[FID_TEXT];
};

struct fid_executor {
	const char *name;
	int engine; /* enum asys_engine; -1: plain system calls */
	/* Returns what the call returned, or -errno. */
	int64_t (*run)(void *context, uint32_t nr, const uint64_t args[6]);
	int (*open)(void **ret_context, int engine);
	void (*close)(void *context, uint64_t served[ASYS_ENGINE_COUNT]);
};

extern const struct fid_executor fid_executors[];
extern const size_t fid_executor_count; /* the first one is the synchronous one */

struct fid {
	const struct fid_executor *executor;
	void *context;
	struct fid_shared *shared;
	pid_t peer;
	int keep[FID_DESCRIPTORS]; /* closed at the end of the case */
	unsigned kept;
};

/* struct fid_case.flags */
#define FID_SAME_GROUP (1u << 0) /* stays in the runner's process group, so that it may leave it */
#define FID_SPACES_IF_ALLOWED (1u << 1) /* runs also where the namespaces are refused */

struct fid_case {
	const char *name;
	void (*body)(struct fid *f);
	int spaces;	/* CLONE_NEW...: namespaces of its own, taken before the queue is opened */
	unsigned flags; /* FID_... */
};

/* All cases, subject by subject; every array ends with a case without name. */
extern const struct fid_case *const fid_subjects[];

extern const struct fid_case fid_dirs[], fid_epolls[], fid_events[], fid_files[], fid_futexes[],
	fid_handles[], fid_identity[], fid_ipc[], fid_limits[], fid_machine[], fid_memory[],
	fid_misc[], fid_mounts[], fid_paths[], fid_pipes[], fid_processes[], fid_sandboxes[],
	fid_sched[], fid_signals[], fid_sockets[], fid_times[], fid_transfers[], fid_watches[],
	fid_xattrs[];

/* fid.c: calls. */
enum fid_log {
	FID_LOG_EXACT, /* the number itself */
	FID_LOG_SIGN,  /* that it succeeded, or the error */
	FID_LOG_FD,    /* that it is a descriptor, or the error; closed at the end of the case */
};

/* Runs a call of the table without noting its result: how often depends on the other side. */
int64_t fid_run(struct fid *f, const struct asys_syscall_info *info, const uint64_t args[6]);
int64_t fid_call(struct fid *f, enum fid_log how, const char *name, const uint64_t args[6]);
int fid_call_fd(struct fid *f, const char *name, const uint64_t args[6]);

/* One to six arguments of any scalar type; a call without arguments is given a 0. */
#define FID_WORD(x) (uint64_t)(uintptr_t)(x)
#define FID_W1(a) FID_WORD(a)
#define FID_W2(a, ...) FID_WORD(a), FID_W1(__VA_ARGS__)
#define FID_W3(a, ...) FID_WORD(a), FID_W2(__VA_ARGS__)
#define FID_W4(a, ...) FID_WORD(a), FID_W3(__VA_ARGS__)
#define FID_W5(a, ...) FID_WORD(a), FID_W4(__VA_ARGS__)
#define FID_W6(a, ...) FID_WORD(a), FID_W5(__VA_ARGS__)
#define FID_PICK(a, b, c, d, e, f, which, ...) which
#define FID_WORDS(...)                                                                      \
	((const uint64_t[6]){ FID_PICK(__VA_ARGS__, FID_W6, FID_W5, FID_W4, FID_W3, FID_W2, \
				       FID_W1, )(__VA_ARGS__) })

#define CALL(name, ...) fid_call(f, FID_LOG_EXACT, name, FID_WORDS(__VA_ARGS__))
#define CALL_OK(name, ...) fid_call(f, FID_LOG_SIGN, name, FID_WORDS(__VA_ARGS__))
#define CALL_FD(name, ...) fid_call_fd(f, name, FID_WORDS(__VA_ARGS__))

/* No program has memory there. */
#define FID_BAD ((void *)8)
#define FID_BAD_FD 9999

/* fid.c: the transcript. */
__attribute__((format(printf, 2, 3))) void fid_note(struct fid *f, const char *format, ...);
void fid_bytes(struct fid *f, const char *what, const void *data, size_t size);
void fid_file(struct fid *f, const char *path);		   /* size and contents */
void fid_stat(struct fid *f, int dirfd, const char *path); /* attributes that must be equal */
void fid_place(struct fid *f, int fd);			   /* offset of a descriptor */

/* fid.c: what cases need around their calls. Direct system calls; a failure ends the run. */
int fid_keep(struct fid *f, int fd); /* returns fd */
void fid_close(struct fid *f, int fd);
int fid_make(struct fid *f, const char *path, const char *text); /* open for reading, writing */
void fid_pipe(struct fid *f, int ret_ends[2]);
void fid_pair(struct fid *f, int type, int ret_ends[2]);
void fid_fail(struct fid *f, const char *what);
void fid_patience(void);	       /* long enough for the other side to block */
void fid_ready(struct fid *f, int fd); /* waits until it can be read */
bool fid_emulated(void);	       /* QEMU's user mode stands for the kernel */

/* Splits: true in a new process, a moment later; it must end with _exit. One at a time. */
bool fid_peer(struct fid *f);
void fid_join(struct fid *f);

/* runner.c */
struct fid_result {
	bool same;
	bool skipped;		  /* the namespaces are not to be had */
	struct fid_shared *right; /* as run by the executor under test */
};

struct fid_runner;
struct fid_runner *fid_runner_open(bool verbose);
void fid_runner_close(struct fid_runner *r);

/* Runs `c` with plain system calls; its transcript is what the next comparisons expect. False if
 * the case cannot be run here. */
bool fid_expect(struct fid_runner *r, const struct fid_case *c);
struct fid_result fid_compare(struct fid_runner *r, const struct fid_case *c,
			      const struct fid_executor *executor);

#endif
