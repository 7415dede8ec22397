/* SPDX-License-Identifier: MIT */
/*
 * asys run: a program, unchanged, with the shims under it. Everything is in the environment that the
 * program and what it starts inherit; this process becomes the program.
 */
#include "run.h"

#include "commands.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int set(const char *name, const char *value)
{
	if (setenv(name, value, 1) == 0)
		return 0;
	say_error(-errno, "cannot set %s", name);
	return STATUS_RUN;
}

static bool is_listed(const char *list, const char *path)
{
	size_t len = strlen(path);

	while (*list != '\0') {
		size_t word = strcspn(list, ": ");

		if (word == len && memcmp(list, path, len) == 0)
			return true;
		list += word + (list[word] != '\0');
	}
	return false;
}

/* What is listed already stays in front: a sanitizer's runtime has to be first. */
static int preload(const char *path)
{
	const char *before = getenv("LD_PRELOAD");
	char *list;
	int status;

	if (before == NULL || *before == '\0')
		return set("LD_PRELOAD", path);
	if (is_listed(before, path))
		return 0;
	if (asprintf(&list, "%s:%s", before, path) < 0) {
		say_error(-ENOMEM, "cannot set LD_PRELOAD");
		return STATUS_RUN;
	}
	status = set("LD_PRELOAD", list);
	free(list);
	return status;
}

static int put_under(const char *folder, const char *name)
{
	char path[PATH_MAX];
	int status = run_find_library(path, folder, name);

	return status != 0 ? status : preload(path);
}

/* The file must be there before the program changes its folder or its rights. */
static int set_stats_file(const char *file)
{
	int fd =
		open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
	char *path = NULL;
	int status;

	if (fd >= 0) {
		close(fd);
		path = realpath(file, NULL);
	}
	if (path == NULL) {
		say_error(-errno, "cannot write statistics to '%s'", file);
		return STATUS_RUN;
	}
	status = set("ASYS_RUN_STATS", path);
	free(path);
	return status;
}

static int set_stats(const char *target)
{
	char pid[24];
	int status;

	if (target == NULL)
		return 0;
	/* Which of the programs that inherit it is the one that was asked for. */
	snprintf(pid, sizeof pid, "%ld", (long)getpid());
	status = strcmp(target, "-") == 0 ? set("ASYS_RUN_STATS", target) : set_stats_file(target);
	return status != 0 ? status : set("ASYS_RUN_PID", pid);
}

static int set_engine(const char *engine)
{
	if (engine == NULL)
		return 0;
	if (strcmp(engine, "auto") != 0)
		return set("ASYS_ENGINE", engine);
	unsetenv("ASYS_ENGINE");
	return 0;
}

static int prepare(const struct options *options, char program[PATH_MAX])
{
	int status = run_find_program(program, options->names[0]);

	if (status == 0 && options->aio)
		status = put_under("libaio", "libaio.so.1");
	/* Some programs make some of the calls by number. */
	if (status == 0 && options->aio)
		status = put_under("syscall", "libasys-syscall.so");
	if (status == 0 && options->posix_aio)
		status = put_under("posix-aio", "libasys-posix-aio.so");
	if (status == 0)
		status = set_stats(options->stats);
	if (status == 0)
		status = set_engine(options->engine);
	return status;
}

int command_run(const struct options *options)
{
	char program[PATH_MAX];
	int status = prepare(options, program);

	if (status != 0)
		return status;
	execv(program, options->names);
	return say_error(-errno, "cannot run '%s'", program) == -ENOENT ? STATUS_ABSENT :
									  STATUS_CANNOT;
}
