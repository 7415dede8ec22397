/* SPDX-License-Identifier: MIT */
/* The command line. */
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options options = { .seed = 1,
			   .count = 3000,
			   .bound_ms = 10000,
			   .most = 20,
			   .driver = -1,
			   .jobs = 1,
			   .rounds = 1 };

static const char *const modes[] = { "busy", "limit", "cancel" };

static uint64_t kind_bit(const char *name)
{
	const char *scene;

	for (unsigned k = 0; (scene = scene_name(k)); k++)
		if (!strcmp(scene, name))
			return UINT64_C(1) << k;
	for (unsigned k = 0; k < 3; k++)
		if (!strcmp(modes[k], name))
			return UINT64_C(1) << (SCENE_BUSY + k);
	fprintf(stderr, "no kind %s\n", name);
	exit(2);
}

static int list(void)
{
	const char *name;

	printf("Kinds:\n");
	for (unsigned k = 0; (name = scene_name(k)); k++)
		printf("  %s%s\n", name,
		       scene_unusual(k) ? " (only with --with: docs/LIMITS.md)" : "");
	for (unsigned k = 0; k < 3; k++)
		printf("  %s\n", modes[k]);
	printf("Drivers:\n");
	for (unsigned k = 0; k < D_DRIVERS; k++)
		printf("  %s\n", driver_name(k));
	return 0;
}

static int driver_by_name(const char *name)
{
	for (unsigned k = 0; k < D_DRIVERS; k++)
		if (!strcmp(driver_name(k), name))
			return (int)k;
	fprintf(stderr, "no driver %s\n", name);
	exit(2);
}

static unsigned jobs_of(const char *value)
{
	const unsigned long jobs = strtoul(value, NULL, 0);

	return jobs < 1 ? 1 : jobs > JOBS_MOST ? JOBS_MOST : (unsigned)jobs;
}

/* A list: a seed on each line, and after it what one likes. */
static void read_seeds(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[256];

	while (file && options.seeds < SEEDS_MOST && fgets(line, sizeof(line), file))
		if (*line >= '0' && *line <= '9')
			options.listed[options.seeds++] = strtoull(line, NULL, 10);
	if (!options.seeds) {
		fprintf(stderr, "no seeds in %s\n", path);
		exit(2);
	}
	fclose(file);
	options.count = 0;
	for (unsigned k = 0; k < options.seeds; k++)
		options.count += options.listed[k] % PROGRAMS_PER_QUEUE + 1;
}

static bool take_loop_option(const char *name, const char *value)
{
	if (!strcmp(name, "--seed"))
		options.seed = strtoull(value, NULL, 0);
	else if (!strcmp(name, "--count"))
		options.count = strtoull(value, NULL, 0);
	else if (!strcmp(name, "--bound"))
		options.bound_ms = strtoull(value, NULL, 0);
	else if (!strcmp(name, "--seconds"))
		options.seconds = strtoull(value, NULL, 0);
	else if (!strcmp(name, "--most"))
		options.most = strtoull(value, NULL, 0);
	else if (!strcmp(name, "--seeds"))
		read_seeds(value);
	else if (!strcmp(name, "--rounds"))
		options.rounds = (unsigned)strtoul(value, NULL, 0);
	else if (!strcmp(name, "--jobs"))
		options.jobs = jobs_of(value);
	else
		return false;
	return true;
}

/* Those that another run of the same program needs, too. */
static bool take_kind_option(const char *name, const char *value)
{
	const size_t used = strlen(options.kinds);

	if (!strcmp(name, "--driver"))
		options.driver = driver_by_name(value);
	else if (!strcmp(name, "--without"))
		options.without |= kind_bit(value);
	else if (!strcmp(name, "--with"))
		options.without &= ~kind_bit(value);
	else if (!strcmp(name, "--only"))
		options.without |= ~kind_bit(value) & ((UINT64_C(1) << SCENE_BUSY) - 1);
	else
		return false;
	snprintf(options.kinds + used, sizeof(options.kinds) - used, " %s %s", name, value);
	return true;
}

static bool take_flag(const char *name)
{
	if (!strcmp(name, "--print"))
		options.print = true;
	else if (!strcmp(name, "--go-on"))
		options.go_on = true;
	else if (!strcmp(name, "--progress"))
		options.progress = true;
	else
		return false;
	return true;
}

void options_take(int argc, char **argv)
{
	for (unsigned k = 0; scene_name(k); k++)
		if (scene_unusual(k))
			options.without |= UINT64_C(1) << k;
	for (int k = 1; k < argc; k++) {
		if (!strcmp(argv[k], "--list"))
			exit(list());
		if (take_flag(argv[k]))
			continue;
		if (k + 1 < argc && (take_loop_option(argv[k], argv[k + 1]) ||
				     take_kind_option(argv[k], argv[k + 1]))) {
			k++;
			continue;
		}
		fprintf(stderr,
			"usage: %s [--seed N] [--count N] | [--seeds FILE] [--rounds N] [--jobs N] "
			"[--driver NAME] "
			"[--without KIND] [--with KIND] [--only KIND] [--bound MS] [--seconds N] "
			"[--print] "
			"[--progress] [--go-on [--most N]] | --list\n",
			argv[0]);
		exit(2);
	}
}
