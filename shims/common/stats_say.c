/* SPDX-License-Identifier: MIT */
#include "stats_say.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is said at once, so that the lines of several programs do not mix. */
struct text {
	char at[4096];
	size_t len;
};

/* The figures of one report, no longer shared with anybody. */
struct report {
	const char *shim;
	uint64_t calls[SHIM_OPS], all;
	uint64_t native, made;
	uint64_t engines[ASYS_ENGINE_COUNT];
	uint64_t p50, p99, max, count; /* submissions; times in ns */
};

static const char *const op_names[SHIM_OPS] = {
	[SHIM_READ] = "read", [SHIM_WRITE] = "write", [SHIM_FSYNC] = "fsync",
	[SHIM_POLL] = "poll", [SHIM_NOOP] = "noop",
};

/* ASYS_ENGINE_AUTO, never started, is none. */
static const char *const engine_names[ASYS_ENGINE_COUNT] = {
	[ASYS_ENGINE_INLINE] = "inline",
	[ASYS_ENGINE_THREADS] = "threads",
	[ASYS_ENGINE_READY] = "ready",
	[ASYS_ENGINE_URING] = "uring",
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...)
{
	size_t room = sizeof text->at - text->len;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text->at + text->len, room, format, args);
	va_end(args);
	if (n > 0)
		text->len += (size_t)n < room ? (size_t)n : room - 1;
}

/* How many bytes the character at `s` has in UTF-8, 0 if it is none. JSON allows nothing else. */
static unsigned utf8_length(const unsigned char *s)
{
	unsigned length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (s[0] > 0xf4)
		return 0;
	for (unsigned i = 1; i < length; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Longer than needed, halves of pairs, beyond the last character. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return length;
}

/* A string in quotes, as JSON wants it. */
static void put_string(struct text *text, const char *string)
{
	const unsigned char *s = (const unsigned char *)string;

	put(text, "\"");
	while (*s) {
		unsigned length = utf8_length(s);

		if (length == 0)
			put(text, "\\ufffd");
		else if (*s < 0x20 || *s == 0x7f)
			put(text, "\\u%04x", *s);
		else if (*s == '"' || *s == '\\')
			put(text, "\\%c", *s);
		else
			put(text, "%.*s", (int)length, (const char *)s);
		s += length ? length : 1;
	}
	put(text, "\"");
}

static uint64_t take(_Atomic uint64_t *counter)
{
	return atomic_exchange_explicit(counter, 0, memory_order_relaxed);
}

/* The time that `part` of `whole` submissions did not exceed, as near as buckets know. */
static uint64_t quantile(const uint64_t *buckets, uint64_t count, uint64_t part, uint64_t whole)
{
	uint64_t need = (count * part + whole - 1) / whole, seen = 0;

	for (unsigned i = 0; i < SHIM_BUCKETS; i++) {
		seen += buckets[i];
		if (seen >= need)
			return shim_bucket_end(i);
	}
	return UINT64_MAX;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void take_submissions(struct shim_figures *figures, struct report *report)
{
	uint64_t buckets[SHIM_BUCKETS];

	for (unsigned i = 0; i < SHIM_BUCKETS; i++) {
		buckets[i] = take(&figures->submit[i]);
		report->count += buckets[i];
	}
	report->max = take(&figures->submit_max);
	if (report->count == 0)
		return;
	report->p50 = smaller(quantile(buckets, report->count, 50, 100), report->max);
	report->p99 = smaller(quantile(buckets, report->count, 99, 100), report->max);
}

static void take_report(struct shim_figures *figures, struct report *report)
{
	for (unsigned i = 0; i < SHIM_OPS; i++) {
		report->calls[i] = take(&figures->calls[i]);
		report->all += report->calls[i];
	}
	for (unsigned i = 0; i < ASYS_ENGINE_COUNT; i++)
		report->engines[i] = take(&figures->engines[i]);
	report->native = take(&figures->native);
	report->made = take(&figures->made);
	take_submissions(figures, report);
}

static void put_json(struct text *text, const struct report *report)
{
	put(text, "{\"program\":");
	put_string(text, program_invocation_short_name);
	put(text, ",\"pid\":%d,\"shim\":", (int)getpid());
	put_string(text, report->shim);
	put(text, ",\"calls\":{");
	for (unsigned i = 0; i < SHIM_OPS; i++)
		put(text, "%s\"%s\":%" PRIu64, i ? "," : "", op_names[i], report->calls[i]);
	put(text, "},\"engines\":{");
	for (unsigned i = ASYS_ENGINE_INLINE; i < ASYS_ENGINE_COUNT; i++)
		put(text, "%s\"%s\":%" PRIu64, i > ASYS_ENGINE_INLINE ? "," : "", engine_names[i],
		    report->engines[i]);
	put(text, "},\"traps\":{\"native\":%" PRIu64 ",\"made\":%" PRIu64 ",\"saved\":%" PRId64 "}",
	    report->native, report->made, (int64_t)(report->native - report->made));
	put(text,
	    ",\"submit_ns\":{\"p50\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"max\":%" PRIu64
	    ",\"count\":%" PRIu64 "}}\n",
	    report->p50, report->p99, report->max, report->count);
}

/* ", N THING" of everything that was there; without the comma at first. */
static void put_counts(struct text *text, const uint64_t *counts, const char *const *names,
		       unsigned len)
{
	const char *between = " ";

	for (unsigned i = 0; i < len; i++) {
		if (counts[i] == 0 || !names[i])
			continue;
		put(text, "%s%" PRIu64 " %s", between, counts[i], names[i]);
		between = ", ";
	}
	put(text, "\n");
}

static void put_lines(struct text *text, const struct report *report)
{
	const char *program = program_invocation_short_name;

	if (report->all == 0) {
		put(text, "asys: %s (%d): %s: nothing went through\n", program, (int)getpid(),
		    report->shim);
		return;
	}
	put(text, "asys: %s (%d): %s: %" PRIu64 " calls:", program, (int)getpid(), report->shim,
	    report->all);
	put_counts(text, report->calls, op_names, SHIM_OPS);
	put(text, "asys:   engines:");
	put_counts(text, report->engines, engine_names, ASYS_ENGINE_COUNT);
	put(text,
	    "asys:   traps: %" PRIu64 " without asys, %" PRIu64 " with it, %" PRId64 " saved\n",
	    report->native, report->made, (int64_t)(report->native - report->made));
	put(text, "asys:   submit: %" PRIu64 " times, p50 %.2f us, p99 %.2f us, longest %.2f us\n",
	    report->count, (double)report->p50 / 1e3, (double)report->p99 / 1e3,
	    (double)report->max / 1e3);
}

/*
 * Many programs close their standard error as the last thing they do, before this library's turn. So a
 * second descriptor of it is kept, out of the way of the program's own. Either is used only if it still is
 * what it was at the start: a program that closes everything may have opened a file of its own there.
 */
#define SPARE_FROM 200

static int spare = -1;
static struct stat error_output;

/* What keeps it keeps also who reads it: a daemon's starter would wait for its end. */
void shim_say_begin(const char *target)
{
	if (fstat(STDERR_FILENO, &error_output) == 0 && !strcmp(target, "-"))
		spare = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, SPARE_FROM);
}

static bool is_error_output(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == error_output.st_dev &&
	       st.st_ino == error_output.st_ino;
}

static int error_fd(void)
{
	if (is_error_output(STDERR_FILENO))
		return STDERR_FILENO;
	return is_error_output(spare) ? spare : -1;
}

static ssize_t write_once(int fd, const struct text *text)
{
	ssize_t n;

	do
		n = write(fd, text->at, text->len);
	while (n < 0 && errno == EINTR);
	return n;
}

void shim_say_failure(const char *what, const char *why)
{
	struct text text = { .len = 0 };

	put(&text, "asys: statistics of %s: %s: %s\n", program_invocation_short_name, what, why);
	write_once(error_fd(), &text);
}

static void write_text(const struct text *text, const char *target)
{
	bool file = strcmp(target, "-") != 0;
	int fd = file ? open(target, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : error_fd();

	if (fd < 0 || write_once(fd, text) < 0)
		shim_say_failure(target, strerror(errno));
	if (file && fd >= 0)
		close(fd);
}

/* The file that this code is in: libaio.so.1 or libasys-posix-aio.so. */
static const char *shim_name(void)
{
	Dl_info info;
	const char *slash;

	if (!dladdr((const void *)op_names, &info) || !info.dli_fname)
		return "shim";
	slash = strrchr(info.dli_fname, '/');
	return slash ? slash + 1 : info.dli_fname;
}

void shim_say(struct shim_figures *figures, const char *target, bool always)
{
	struct report report = { .shim = shim_name() };
	struct text text = { .len = 0 };

	take_report(figures, &report);
	if (report.all == 0 && report.count == 0 && !always)
		return;
	if (strcmp(target, "-") == 0)
		put_lines(&text, &report);
	else
		put_json(&text, &report);
	write_text(&text, target);
}

bool shim_started_by_run(pid_t pid)
{
	const char *given = secure_getenv("ASYS_RUN_PID");

	return given && strtol(given, NULL, 10) == pid;
}
