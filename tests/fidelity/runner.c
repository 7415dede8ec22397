/* SPDX-License-Identifier: MIT */
/*
 * One run of a case: a process of its own in an empty folder, ended after a time limit. Every run
 * of every executor uses the same path, so that even getcwd must agree.
 */
#include "fidelity.h"

#include <asys/queue.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_NO_SPACES 78 /* the namespaces were refused */
#define EXIT_NO_QUEUE 79

struct fid_runner {
	char top[64];
	char box[80];
	struct fid_shared *left;  /* as run with plain calls */
	struct fid_shared *right; /* as run by the executor under test */
	bool verbose;
};

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *place)
{
	(void)st;
	(void)type;
	(void)place;
	return remove(path);
}

static int open_up(const char *path, const struct stat *st, int type, struct FTW *place)
{
	(void)place;
	if ((type == FTW_D || type == FTW_DNR) && (st->st_mode & 0700) != 0700)
		return chmod(path, 0700);
	return 0;
}

static void remove_tree(const char *path)
{
	nftw(path, open_up, 16, FTW_PHYS);
	nftw(path, remove_entry, 16, FTW_PHYS | FTW_DEPTH);
}

struct fid_runner *fid_runner_open(bool verbose)
{
	const size_t size = sizeof(struct fid_shared);
	struct fid_runner *r = calloc(1, sizeof(*r));
	const char *tmp = getenv("TMPDIR");
	sigset_t child;
	void *area;

	if (!r)
		return NULL;
	if (!tmp || strlen(tmp) > 30)
		tmp = "/tmp";
	snprintf(r->top, sizeof(r->top), "%s/asys-fidelity.XXXXXX", tmp);
	area = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	/* 0755: cases that drop their rights must still reach their folder. */
	if (area == MAP_FAILED || !mkdtemp(r->top) || chmod(r->top, 0755) < 0) {
		free(r);
		return NULL;
	}
	snprintf(r->box, sizeof(r->box), "%s/box", r->top);
	r->left = area;
	r->right = r->left + 1;
	r->verbose = verbose;
	/* run_limited waits for it with a time limit. */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	return r;
}

void fid_runner_close(struct fid_runner *r)
{
	remove_tree(r->top);
	munmap(r->left, 2 * sizeof(*r->left));
	free(r);
}

static void take_spaces(int spaces, bool optional)
{
	if (!spaces)
		return;
	if (unshare(spaces) < 0) {
		if (optional)
			return;
		_exit(EXIT_NO_SPACES);
	}
	/* Nothing that is mounted here may reach the machine. */
	if ((spaces & CLONE_NEWNS) && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		_exit(EXIT_NO_SPACES);
}

static _Noreturn void child(struct fid_runner *r, const struct fid_case *c,
			    const struct fid_executor *executor, struct fid_shared *shared)
{
	struct fid f = { .executor = executor, .shared = shared };
	sigset_t none;

	if (!(c->flags & FID_SAME_GROUP))
		setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	if (chdir(r->box) < 0)
		_exit(EXIT_NO_QUEUE);
	take_spaces(c->spaces, c->flags & FID_SPACES_IF_ALLOWED);
	if (executor->open(&f.context, executor->engine) < 0) {
		fid_note(&f, "no queue: %s\n", asys_message());
		_exit(EXIT_NO_QUEUE);
	}
	c->body(&f);
	while (f.kept)
		close(f.keep[--f.kept]);
	executor->close(f.context, shared->served);
	_exit(0);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Status of `pid` as waitpid gives it, or -1 after the time limit. */
static int wait_limited(pid_t pid)
{
	int64_t end = now_ms() + FID_LIMIT_MS;
	sigset_t set;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		int64_t left = end - now_ms();
		struct timespec limit = { left / 1000, left % 1000 * 1000000 };

		if (left <= 0) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -1;
		}
		sigtimedwait(&set, NULL, &limit);
	}
	return status;
}

/* A case whose program was replaced leaves a file of this name. */
static void append_output(struct fid *f, const char *box)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/output", box);
	if (access(path, R_OK) == 0)
		fid_file(f, path);
}

/* Returns the status of the process; the transcript ends with it. */
static int run(struct fid_runner *r, const struct fid_case *c, const struct fid_executor *executor,
	       struct fid_shared *shared)
{
	struct fid f = { .executor = executor, .shared = shared };
	int status;
	pid_t pid;

	memset(shared, 0, offsetof(struct fid_shared, text));
	remove_tree(r->box);
	if (mkdir(r->box, 0755) < 0 || chmod(r->box, 0755) < 0) {
		fid_note(&f, "%s: %s\n", r->box, strerror(errno));
		shared->lost++;
		return -1;
	}
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		child(r, c, executor, shared);
	status = pid < 0 ? -1 : wait_limited(pid);
	if (pid > 0 && !(c->flags & FID_SAME_GROUP))
		kill(-pid, SIGKILL);
	append_output(&f, r->box);
	remove_tree(r->box);
	if (status == -1) {
		fid_note(&f, "did not end within %d ms\n", FID_LIMIT_MS);
		shared->lost++;
	} else if (WIFSIGNALED(status)) {
		fid_note(&f, "ended by signal %d\n", WTERMSIG(status));
	} else {
		fid_note(&f, "ended with status %d\n", WEXITSTATUS(status));
	}
	return status;
}

/* Length of the line at `text`, without its end. */
static int line(const char *text)
{
	return (int)strcspn(text, "\n");
}

static void explain(const struct fid_case *c, const struct fid_executor *executor, const char *left,
		    const char *right)
{
	size_t at = 0, start = 0;
	unsigned number = 1;

	while (left[at] && left[at] == right[at]) {
		if (left[at++] == '\n') {
			start = at;
			number++;
		}
	}
	printf("DIFFERENT: case %s, engine %s, line %u\n", c->name, executor->name, number);
	if (start) {
		size_t before = start - 1;

		while (before && left[before - 1] != '\n')
			before--;
		printf("  before: %.*s\n", line(left + before), left + before);
	}
	printf("  sync:   %.*s\n", line(left + start), left + start);
	printf("  asys:   %.*s\n", line(right + start), right + start);
}

bool fid_expect(struct fid_runner *r, const struct fid_case *c)
{
	int status = run(r, c, &fid_executors[0], r->left);

	if (r->verbose)
		printf("-- %s\n%.*s", c->name, (int)r->left->length, r->left->text);
	return !(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_SPACES);
}

struct fid_result fid_compare(struct fid_runner *r, const struct fid_case *c,
			      const struct fid_executor *executor)
{
	struct fid_result result = { .right = r->right };

	run(r, c, executor, r->right);
	result.same = r->left->length == r->right->length &&
		      memcmp(r->left->text, r->right->text, r->left->length) == 0;
	r->left->text[r->left->length] = 0;
	r->right->text[r->right->length] = 0;
	if (!result.same)
		explain(c, executor, r->left->text, r->right->text);
	if (r->left->lost || r->right->lost) {
		result.same = false;
		printf("INCOMPLETE: case %s, engine %s: %.*s", c->name, executor->name,
		       (int)r->right->length, r->right->text);
	}
	return result;
}
