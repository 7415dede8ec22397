/* SPDX-License-Identifier: MIT */
#include "random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUND_SECONDS 60
#define LINE_MOST 1024
#define SHOWN_MOST 40u

#define SKIPPED 77

static uint64_t state;

/* Splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t mix(uint64_t *s)
{
	uint64_t z = *s += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

void pick_anew(uint64_t seed)
{
	state = seed;
}

uint64_t pick(uint64_t n)
{
	return mix(&state) % n;
}

bool once_in(unsigned n)
{
	return !pick(n);
}

void note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
}

/* FNV-1a. */
uint64_t hash_of(const void *bytes, size_t size)
{
	const unsigned char *p = bytes;
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t k = 0; k < size; k++)
		hash = (hash ^ p[k]) * 0x100000001b3;
	return hash;
}

void fill_bytes(void *bytes, size_t size, uint64_t seed)
{
	unsigned char *p = bytes;
	uint64_t word = 0;

	for (size_t k = 0; k < size; k++) {
		if (k % sizeof(word) == 0)
			word = mix(&seed);
		p[k] = (unsigned char)(word >> k % sizeof(word) * 8);
	}
}

void stop_if(bool wrong, const char *what)
{
	if (!wrong)
		return;
	printf("stopped: %s\n", what);
	fflush(stdout);
	_exit(1);
}

void skip_run(void)
{
	_exit(SKIPPED);
}

int random_file(bool in_memory, size_t size, int flags)
{
	const char *folder = getenv("TMPDIR");
	unsigned char bytes[4096];
	char path[256];
	int fd, again;

	if (!folder)
		folder = "/var/tmp";
	snprintf(path, sizeof(path), "%s/asys-random-XXXXXX", in_memory ? "/dev/shm" : folder);
	fd = mkstemp(path);
	stop_if(fd < 0, "no temporary file");
	for (size_t done = 0; done < size; done += sizeof(bytes)) {
		size_t n = size - done < sizeof(bytes) ? size - done : sizeof(bytes);

		fill_bytes(bytes, n, (uint64_t)done);
		stop_if(pwrite(fd, bytes, n, (off_t)done) != (ssize_t)n, "pwrite");
	}
	again = open(path, flags | O_CLOEXEC);
	if (again < 0 && (flags & O_DIRECT)) /* not on this file system: then without */
		again = open(path, (flags & ~O_DIRECT) | O_CLOEXEC);
	unlink(path);
	close(fd);
	stop_if(again < 0, "open");
	return again;
}

/* At the beginning of so much room that where it lies does not decide whether a long buffer passes the
 * end of what addresses a program has: sizes are below this room, or above all of a program's. */
#define ROOM (1ull << 33)

unsigned char *random_arena(unsigned slots, size_t bytes)
{
	unsigned char *arena =
		mmap(NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	stop_if(arena == MAP_FAILED, "mmap");
	for (unsigned k = 0; k < slots; k++)
		stop_if(mprotect(arena + (size_t)k * (bytes + GUARD), bytes,
				 PROT_READ | PROT_WRITE),
			"mprotect");
	return arena;
}

struct run {
	const char *shim;
	uint64_t seed;
	unsigned rounds;
	bool log;
};

static int run_rounds(const struct random_test *test, const struct run *run)
{
	for (unsigned k = 0; k < run->rounds; k++) {
		uint64_t seed = run->seed + k;

		pick_anew(seed);
		alarm(ROUND_SECONDS);
		note("round --seed %llu = begins\n", (unsigned long long)seed);
		test->round();
		fflush(stdout);
	}
	return 0;
}

/* The log of a run of this program in a process of its own. */
static FILE *log_of(const struct run *run, bool under_shim, int *ret_status)
{
	FILE *log = tmpfile();
	char self[4096], seed[32], rounds[32];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	pid_t pid;

	if (!log || n < 0)
		return NULL;
	self[n] = '\0';
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)run->seed);
	snprintf(rounds, sizeof(rounds), "%u", run->rounds);
	pid = fork();
	if (!pid) {
		/* What the test's runner put there leads to the shim, too. */
		unsetenv("LD_LIBRARY_PATH");
		if (under_shim)
			setenv("LD_PRELOAD", run->shim, 1);
		if (under_shim)
			setenv("ASYS_TEST_SHIM", "1", 1);
		dup2(fileno(log), STDOUT_FILENO);
		execl(self, self, "--log", "--seed", seed, "--rounds", rounds, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, ret_status, 0) != pid)
		return NULL;
	rewind(log);
	return log;
}

/* The same things were done up to here, whatever came of them. */
static bool same_deed(const char *a, const char *b)
{
	const char *end = strstr(a, " = ");
	size_t n = end ? (size_t)(end - a) + 3 : strlen(a) + 1;

	return !strncmp(a, b, n);
}

static bool next_line(FILE *log, char *line)
{
	return fgets(line, LINE_MOST, log);
}

static bool is_round(const char *line)
{
	return !strncmp(line, "round ", 6);
}

static bool next_round(FILE *log, char *line)
{
	do
		if (!next_line(log, line))
			return false;
	while (!is_round(line));
	return true;
}

/* How many differences there are. */
static unsigned compare(const struct random_test *test, FILE *native, FILE *shim)
{
	char a[LINE_MOST], b[LINE_MOST], seed[LINE_MOST] = "";
	unsigned different = 0, lines = 0, excused = 0;
	bool more_a = next_line(native, a), more_b = next_line(shim, b);

	while (more_a && more_b) {
		bool same = same_deed(a, b);

		lines++;
		if (is_round(a))
			snprintf(seed, sizeof(seed), "%s", a);
		if (strcmp(a, b) && same && test->documented(a, b))
			excused++;
		else if (strcmp(a, b) && different++ < SHOWN_MOST)
			printf("%s  native: %s  shim:   %s", seed, a, b);
		more_a = same ? next_line(native, a) : next_round(native, a);
		more_b = same ? next_line(shim, b) : next_round(shim, b);
	}
	printf("%u lines, %u differ as documented, %u otherwise\n", lines, excused, different);
	return lines && more_a == more_b ? different : 1;
}

static bool ended(FILE *log)
{
	char line[LINE_MOST], last[LINE_MOST] = "nothing\n";

	while (fgets(line, sizeof(line), log))
		snprintf(last, sizeof(last), "%s", line);
	rewind(log);
	if (strcmp(last, "all rounds = done\n"))
		printf("a run ended early, after: %s", last);
	return !strcmp(last, "all rounds = done\n");
}

static int run_both(const struct random_test *test, const struct run *run)
{
	int first = 0, second = 0, status;
	FILE *native = log_of(run, false, &first), *shim;

	if (WIFEXITED(first) && WEXITSTATUS(first) == SKIPPED)
		return SKIPPED;
	shim = log_of(run, true, &second);
	if (!native || !shim) {
		printf("no runs\n");
		return 1;
	}
	status = ended(native) ? 0 : 1;
	if (!ended(shim) || compare(test, native, shim))
		status = 1;
	fclose(native);
	fclose(shim);
	return status;
}

int random_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	stop_if(fd < 0, path);
	return fd;
}

int random_reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return random_open(path, flags);
}

int random_main(int argc, char **argv, const struct random_test *test)
{
	struct run run = { .seed = 1, .rounds = test->rounds };

	for (int k = 1; k < argc; k++) {
		if (!strcmp(argv[k], "--log"))
			run.log = true;
		else if (!strcmp(argv[k], "--shim") && k + 1 < argc)
			run.shim = argv[++k];
		else if (!strcmp(argv[k], "--seed") && k + 1 < argc)
			run.seed = strtoull(argv[++k], NULL, 0);
		else if (!strcmp(argv[k], "--rounds") && k + 1 < argc)
			run.rounds = (unsigned)strtoul(argv[++k], NULL, 0);
		else
			run.rounds = 0;
	}
	if (!run.rounds || run.log == !!run.shim) {
		fprintf(stderr, "usage: %s --shim LIBRARY | --log  [--seed N] [--rounds N]\n",
			argv[0]);
		return 2;
	}
	if (run.shim)
		return run_both(test, &run);
	if (run_rounds(test, &run))
		return 1;
	note("all rounds = done\n");
	return 0;
}
