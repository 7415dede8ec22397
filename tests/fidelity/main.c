/* SPDX-License-Identifier: MIT */
/*
 * Runs every case with plain calls and on every engine, and counts which calls of the table were
 * compared. A call that no case reaches must have its reason in the table (spec/syscalls.tbl).
 */
#include "fidelity.h"

#include <asys/queue.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __x86_64__
#define MINIMUM 280 /* calls of the table, without those that are only refused */
#else
#define MINIMUM 200
#endif

static const struct {
	const char *subject;
	const struct fid_case *cases;
} subjects[] = {
	{ "dirs", fid_dirs },		{ "epolls", fid_epolls },
	{ "events", fid_events },	{ "files", fid_files },
	{ "futexes", fid_futexes },	{ "handles", fid_handles },
	{ "identity", fid_identity },	{ "ipc", fid_ipc },
	{ "limits", fid_limits },	{ "machine", fid_machine },
	{ "memory", fid_memory },	{ "misc", fid_misc },
	{ "mounts", fid_mounts },	{ "paths", fid_paths },
	{ "pipes", fid_pipes },		{ "processes", fid_processes },
	{ "sandboxes", fid_sandboxes }, { "sched", fid_sched },
	{ "signals", fid_signals },	{ "sockets", fid_sockets },
	{ "times", fid_times },		{ "transfers", fid_transfers },
	{ "watches", fid_watches },	{ "xattrs", fid_xattrs },
};

/* Indexed like fid_executors; [0] is what a case did with plain calls. */
struct tally {
	unsigned cases, same, different;
	unsigned calls[2]; /* compared equal; of these with success at least once */
	uint64_t served[ASYS_ENGINE_COUNT];
	uint8_t seen[FID_NUMBERS];
};

static struct {
	const char *engine, *name, *table;
	bool list, verbose;
	unsigned skipped, failures;
	struct tally tally[16];
	uint8_t refused[FID_NUMBERS];
} test = { .table = FID_TABLE };

static bool wanted(const char *engine)
{
	return !test.engine || strcmp(test.engine, engine) == 0;
}

static void add(struct tally *t, const struct fid_result *result)
{
	t->cases++;
	if (!result->same) {
		t->different++;
		test.failures++;
		return;
	}
	t->same++;
	for (unsigned i = 0; i < FID_NUMBERS; i++)
		t->seen[i] |= result->right->seen[i];
	for (unsigned i = 0; i < ASYS_ENGINE_COUNT; i++)
		t->served[i] += result->right->served[i];
}

static void run_case(struct fid_runner *r, const struct fid_case *c)
{
	if (!fid_expect(r, c)) {
		printf("skipped: case %s needs namespaces of its own (root)\n", c->name);
		test.skipped++;
		return;
	}
	for (size_t i = 1; i < fid_executor_count; i++) {
		if (wanted(fid_executors[i].name)) {
			struct fid_result result = fid_compare(r, c, &fid_executors[i]);

			add(&test.tally[i], &result);
		}
	}
}

static void run_cases(struct fid_runner *r)
{
	for (size_t s = 0; s < sizeof(subjects) / sizeof(subjects[0]); s++) {
		for (const struct fid_case *c = subjects[s].cases; c->name; c++) {
			if (test.name && strcmp(test.name, c->name) != 0)
				continue;
			if (test.list)
				printf("%s: %s\n", subjects[s].subject, c->name);
			else
				run_case(r, c);
		}
	}
}

/* Calls of class never: sending them is refused, and nothing is queued. */
static void check_refusals(void)
{
	struct asys_queue *queue;

	if (asys_queue_open(&queue, NULL) < 0) {
		printf("FAILED: no queue: %s\n", asys_message());
		test.failures++;
		return;
	}
	for (uint32_t nr = 0; nr < asys_syscall_count() && nr < FID_NUMBERS; nr++) {
		const struct asys_syscall_info *info = asys_syscall_info(nr);
		struct asys_call call = { .nr = nr };
		asys_id id;

		if (!info || info->class_ != ASYS_CLASS_NEVER)
			continue;
		id = asys_send(queue, &call);
		test.refused[nr] = 1;
		if (id.value != -EOPNOTSUPP || asys_queue_pending(queue) != 0) {
			printf("FAILED: %s is never queued, but sending it gave %lld\n", info->name,
			       (long long)id.value);
			test.failures++;
		}
	}
	asys_queue_close(queue);
}

/* The reason that the table's source gives for `name`, or NULL; valid until the next call. */
static const char *reason(const char *name)
{
	static const char key[] = "| untested: ";
	static char text[512];
	FILE *file = fopen(test.table, "r");
	char *at = NULL;

	while (file && !at && fgets(text, sizeof(text), file)) {
		size_t length = strcspn(text, " \t\n");

		if (length && length == strlen(name) && strncmp(text, name, length) == 0)
			at = strstr(text, key);
	}
	if (file)
		fclose(file);
	if (!at)
		return NULL;
	at += strlen(key);
	at[strcspn(at, "|\n")] = 0;
	return at;
}

/* Union over the engines; a call counts when a case that used it compared equal. */
static uint8_t seen(uint32_t nr)
{
	uint8_t all = 0;

	for (size_t i = 2; i < fid_executor_count; i++)
		all |= test.tally[i].seen[nr];
	return all;
}

static void count_calls(struct tally *t)
{
	for (uint32_t nr = 0; nr < FID_NUMBERS; nr++) {
		if (!asys_syscall_info(nr))
			continue;
		t->calls[0] += (t->seen[nr] & FID_SEEN_RAN) != 0;
		t->calls[1] += (t->seen[nr] & FID_SEEN_SUCCESS) != 0;
	}
}

static void print_engines(void)
{
	printf("\n%-8s %6s %6s %9s %6s %10s   %s\n", "engine", "cases", "same", "different",
	       "calls", "successful", "who ran them");
	for (size_t i = 1; i < fid_executor_count; i++) {
		struct tally *t = &test.tally[i];

		if (!t->cases)
			continue;
		count_calls(t);
		printf("%-8s %6u %6u %9u %6u %10u  ", fid_executors[i].name, t->cases, t->same,
		       t->different, t->calls[0], t->calls[1]);
		for (int e = 1; e < ASYS_ENGINE_COUNT; e++)
			if (t->served[e])
				printf(" %s %llu", asys_engine_name(e),
				       (unsigned long long)t->served[e]);
		printf("\n");
	}
}

static void print_calls(void)
{
	unsigned total = 0, exercised = 0, successful = 0, refused = 0, missing = 0, left_out = 0;

	for (uint32_t nr = 0; nr < FID_NUMBERS; nr++) {
		const struct asys_syscall_info *info = asys_syscall_info(nr);
		const char *why;

		if (!info)
			continue;
		total++;
		if (test.refused[nr]) {
			refused++;
		} else if (seen(nr)) {
			exercised++;
			successful += (seen(nr) & FID_SEEN_SUCCESS) != 0;
			missing += (seen(nr) & FID_SEEN_ENOSYS) != 0;
			if (test.verbose && !(seen(nr) & FID_SEEN_SUCCESS))
				printf("only with errors: %s\n", info->name);
		} else if ((why = reason(info->name))) {
			left_out++;
			printf("left out: %s: %s\n", info->name, why);
		} else if (test.skipped) {
			left_out++;
			printf("left out: %s: no case for it could run here\n", info->name);
		} else {
			test.failures++;
			printf("FAILED: %s was not exercised, and %s has no reason\n", info->name,
			       test.table);
		}
	}
	printf("\n%u calls in the table: %u exercised (%u with success, %u that this kernel lacks),"
	       " %u refused as they should be, %u left out\n",
	       total, exercised, successful, missing, refused, left_out);
	if (exercised < MINIMUM) {
		test.failures++;
		printf("FAILED: fewer than %d calls exercised\n", MINIMUM);
	}
}

static int usage(FILE *to)
{
	fprintf(to, "usage: test_fidelity [--engine NAME] [--case NAME] [--list] [--verbose]\n"
		    "                     [--table FILE]\nengines:");
	for (size_t i = 1; i < fid_executor_count; i++)
		fprintf(to, " %s", fid_executors[i].name);
	fprintf(to, "\n");
	return to == stderr ? 2 : 0;
}

static int options(int argc, char **argv)
{
	const char *engine = getenv("ASYS_ENGINE");

	test.engine = engine && *engine ? engine : NULL;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--list") == 0)
			test.list = true;
		else if (strcmp(argv[i], "--verbose") == 0)
			test.verbose = true;
		else if (strcmp(argv[i], "--engine") == 0 && i + 1 < argc)
			test.engine = argv[++i];
		else if (strcmp(argv[i], "--case") == 0 && i + 1 < argc)
			test.name = argv[++i];
		else if (strcmp(argv[i], "--table") == 0 && i + 1 < argc)
			test.table = argv[++i];
		else
			return usage(strcmp(argv[i], "--help") == 0 ? stdout : stderr) + 1;
	}
	for (size_t i = 1; test.engine && i < fid_executor_count; i++)
		if (wanted(fid_executors[i].name))
			return 0;
	return test.engine ? usage(stderr) + 1 : 0;
}

int main(int argc, char **argv)
{
	int err = options(argc, argv);
	struct fid_runner *r;

	if (err)
		return err - 1;
	/* They would override what the executors ask for. */
	unsetenv("ASYS_ENGINE");
	unsetenv("ASYS_FAULT");
	r = fid_runner_open(test.verbose);
	if (!r) {
		perror("cannot prepare a folder for the cases");
		return 1;
	}
	run_cases(r);
	fid_runner_close(r);
	if (test.list)
		return 0;
	if (asys_probe()->uring)
		printf("io_uring is not usable (%s): the engine uring falls back\n",
		       asys_probe()->uring_why);
	print_engines();
	if (!test.name && !(test.engine && strcmp(test.engine, "again") == 0)) {
		check_refusals();
		print_calls();
	}
	printf("%u cases skipped, %u failures\n", test.skipped, test.failures);
	return test.failures ? 1 : 0;
}
