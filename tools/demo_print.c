/* SPDX-License-Identifier: MIT */
#include "demo.h"
#include "visible.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static double per_call(const struct cost *cost)
{
	return cost->calls > 0 ? (double)cost->traps / (double)cost->calls : 0;
}

/* One line; the ratio is above 1 where asynchronous is better. */
static void print_line(const char *what, const char *unit, int digits, double sync, double async)
{
	printf("  %-26s %12.*f %14.*f  %-4s", what, digits, sync, digits, async, unit);
	if (async > 0)
		printf(" %7.2fx\n", sync / async);
	else
		printf(" %8s\n", sync > 0 ? "-" : "1.00x");
}

static void print_head(void)
{
	printf("  %-26s %12s %14s  %-4s %8s\n", "", "synchronous", "asynchronous", "", "better");
}

static void print_cost(const struct cost cost[SIDES])
{
	const struct cost *sync = &cost[SIDE_SYNC], *async = &cost[SIDE_ASYNC];

	print_line("CPU time, all threads", "ms", 1, ms(sync->cpu_ns), ms(async->cpu_ns));
	print_line("system calls of the work", "", 0, (double)sync->calls, (double)async->calls);
	print_line("traps per call, own thread", "", 3, per_call(sync), per_call(async));
	print_line("context switches", "", 0, (double)sync->switches, (double)async->switches);
}

void demo_print_hash(const struct hash_report *report)
{
	char shown[VISIBLE_MAX];

	printf("SHA-256 of %s (%.1f MiB), the next piece being read while this one is hashed\n",
	       visible_copy(shown, report->file->path),
	       (double)report->file->size / (1024.0 * 1024.0));
	print_head();
	print_line("time, file not in memory", "ms", 1, ms(report->cold[SIDE_SYNC].wall_ns),
		   ms(report->cold[SIDE_ASYNC].wall_ns));
	print_line("time, file in memory", "ms", 1, ms(report->warm[SIDE_SYNC].wall_ns),
		   ms(report->warm[SIDE_ASYNC].wall_ns));
	print_cost(report->warm);
	printf("  digest %s: %s\n", report->digest[SIDE_SYNC],
	       !report->equal		  ? "DIFFERENT" :
	       report->command[0] != '\0' ? "equal, and sha256sum's" :
					    "equal (no sha256sum here to compare with)");
	printf("  medians of %u round%s, file not in memory: %u\n\n", report->rounds,
	       report->rounds == 1 ? "" : "s", report->cold_rounds);
}

void demo_print_walk(const struct walk_report *report)
{
	const struct walk *walk = &report->walk[SIDE_SYNC];
	char shown[VISIBLE_MAX];

	printf("Every file below %s walked, stat'ed and read\n", visible_copy(shown, report->dir));
	print_head();
	print_line("time, files in memory", "ms", 1, ms(report->cost[SIDE_SYNC].wall_ns),
		   ms(report->cost[SIDE_ASYNC].wall_ns));
	print_cost(report->cost);
	printf("  %" PRIu64 " files, %" PRIu64 " folders, %" PRIu64 " others, %" PRIu64
	       " bytes read, %" PRIu64 " errors: %s\n",
	       walk->files, walk->folders, walk->others, walk->read_bytes, walk->errors,
	       report->equal ? "equal" : "DIFFERENT");
	printf("  medians of %u round%s\n", report->rounds, report->rounds == 1 ? "" : "s");
}

static void add_cost(cJSON *parent, const char *name, const struct cost *cost)
{
	cJSON *object = cJSON_AddObjectToObject(parent, name);

	cJSON_AddNumberToObject(object, "wall_ns", (double)cost->wall_ns);
	cJSON_AddNumberToObject(object, "cpu_ns", (double)cost->cpu_ns);
	cJSON_AddNumberToObject(object, "calls", (double)cost->calls);
	cJSON_AddNumberToObject(object, "traps", (double)cost->traps);
	cJSON_AddNumberToObject(object, "traps_per_call", per_call(cost));
	cJSON_AddNumberToObject(object, "context_switches", (double)cost->switches);
}

static void add_costs(cJSON *parent, const char *name, const struct cost cost[SIDES])
{
	cJSON *object = cJSON_AddObjectToObject(parent, name);

	add_cost(object, "sync", &cost[SIDE_SYNC]);
	add_cost(object, "async", &cost[SIDE_ASYNC]);
}

static void add_hash(cJSON *root, const struct hash_report *report)
{
	cJSON *object = cJSON_AddObjectToObject(root, "hash");

	cJSON_AddStringToObject(object, "file", report->file->path);
	cJSON_AddNumberToObject(object, "bytes", (double)report->file->size);
	cJSON_AddNumberToObject(object, "rounds", report->rounds);
	cJSON_AddNumberToObject(object, "cold_rounds", report->cold_rounds);
	add_costs(object, "cold", report->cold);
	add_costs(object, "warm", report->warm);
	cJSON_AddStringToObject(object, "sync_digest", report->digest[SIDE_SYNC]);
	cJSON_AddStringToObject(object, "async_digest", report->digest[SIDE_ASYNC]);
	if (report->command[0] != '\0')
		cJSON_AddStringToObject(object, "sha256sum", report->command);
	else
		cJSON_AddNullToObject(object, "sha256sum");
	cJSON_AddBoolToObject(object, "equal", report->equal);
}

static void add_totals(cJSON *parent, const char *name, const struct walk *walk)
{
	cJSON *object = cJSON_AddObjectToObject(parent, name);

	cJSON_AddNumberToObject(object, "folders", (double)walk->folders);
	cJSON_AddNumberToObject(object, "files", (double)walk->files);
	cJSON_AddNumberToObject(object, "others", (double)walk->others);
	cJSON_AddNumberToObject(object, "size_bytes", (double)walk->size_bytes);
	cJSON_AddNumberToObject(object, "read_bytes", (double)walk->read_bytes);
	cJSON_AddNumberToObject(object, "errors", (double)walk->errors);
}

static void add_walk(cJSON *root, const struct walk_report *report)
{
	cJSON *object = cJSON_AddObjectToObject(root, "walk");

	cJSON_AddStringToObject(object, "dir", report->dir);
	cJSON_AddNumberToObject(object, "rounds", report->rounds);
	add_costs(object, "warm", report->cost);
	add_totals(object, "sync_totals", &report->walk[SIDE_SYNC]);
	add_totals(object, "async_totals", &report->walk[SIDE_ASYNC]);
	cJSON_AddBoolToObject(object, "equal", report->equal);
}

int demo_print_json(const struct hash_report *hash, const struct walk_report *walk)
{
	cJSON *root = cJSON_CreateObject();
	char *text;

	cJSON_AddStringToObject(root, "version", asys_version());
	add_hash(root, hash);
	add_walk(root, walk);
	cJSON_AddBoolToObject(root, "equal", hash->equal && walk->equal);
	text = cJSON_Print(root);
	cJSON_Delete(root);
	if (text == NULL)
		return say_error(-ENOMEM, "cannot build the JSON text");
	puts(visible_only(text, "\n\t"));
	cJSON_free(text);
	return 0;
}
