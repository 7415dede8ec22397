/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static pid_t group_pid;
static pid_t group_tid;
static unsigned skipped;
static struct census before_test;

/* ---- checks -------------------------------------------------------------------------------- */

static void leave(void)
{
	fflush(stdout);
	if (getpid() == group_pid && gettid() == group_tid)
		_fail("contract", 0);
	_exit(1);
}

void support_fail(const char *file, int line, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	leave();
}

void support_eq(const char *file, int line, const char *a_text, long long a, const char *b_text,
		long long b)
{
	if (a != b)
		support_fail(file, line, "%s is %lld, not %s = %lld", a_text, a, b_text, b);
}

void support_one_of(const char *file, int line, const char *text, long long a, long long b,
		    long long c)
{
	if (a != b && a != c)
		support_fail(file, line, "%s is %lld, neither %lld nor %lld", text, a, b, c);
}

void support_says(const char *file, int line, const char *text, const char *word)
{
	if (!text || !strcasestr(text, word))
		support_fail(file, line, "\"%s\" does not mention \"%s\"", text ? text : "(null)",
			     word);
}

void skip_because(const char *why)
{
	printf("[  REASON  ] %s\n", why);
	skipped++;
	skip();
}

/* ---- the group ------------------------------------------------------------------------------ */

static unsigned time_scale(void)
{
	const char *text = getenv("ASYS_TIME");
	int scale = text ? atoi(text) : 1;

	return scale > 0 ? (unsigned)scale : 1;
}

static void on_alarm(int signal)
{
	static const char text[] = "watchdog: nothing moved for 20 s\n";

	(void)signal;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	if (getenv("ASYS_TEST_ABORT"))
		abort();
	_exit(1);
}

void progress(void)
{
	alarm(20 * time_scale());
}

unsigned iterations(unsigned usual)
{
	const char *text = getenv("ASYS_STRESS");
	long n = text ? atol(text) : 0;

	return n > 0 && n <= 1000000000 ? (unsigned)n : usual;
}

int contract_begin(void **state)
{
	(void)state;
	progress();
	before_test = census_take();
	return 0;
}

int contract_end(void **state)
{
	(void)state;
	progress();
	census_check(before_test);
	alarm(0);
	return 0;
}

static void *do_nothing(void *arg)
{
	return arg;
}

/* ThreadSanitizer starts a thread of its own with the first one; it is not to be taken for ours. */
static void start_threads_of_tools(void)
{
	pthread_t thread;

	if (!pthread_create(&thread, NULL, do_nothing, NULL))
		pthread_join(thread, NULL);
}

int run_group(const struct CMUnitTest *tests, size_t count, int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_alarm };
	int failed;

	group_pid = getpid();
	group_tid = gettid();
	driver_moved = progress;
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGALRM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	start_threads_of_tools();
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	failed = _cmocka_run_group_tests(program_invocation_short_name, tests, count, NULL, NULL);
	if (failed)
		return 1;
	return skipped == count ? SKIPPED : 0;
}

/* ---- leaks ---------------------------------------------------------------------------------- */

static unsigned count_descriptors(void)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

/* A worker of the kernel's, which stays with the thread whose ring needed it. */
static bool is_of_kernel(const char *tid)
{
	char path[64], comm[16] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", tid);
	file = fopen(path, "re");
	if (!file)
		return false;
	(void)!fgets(comm, sizeof(comm), file);
	fclose(file);
	return !strncmp(comm, "iou-wrk-", 8);
}

static unsigned count_threads(void)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/task");
	unsigned count = 0;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.' && !is_of_kernel(entry->d_name);
	closedir(dir);
	return count;
}

struct census census_take(void)
{
	struct census now = {
		.fds = count_descriptors(),
		.threads = count_threads(),
	};

	return now;
}

void census_check(struct census before)
{
	struct census now = census_take();

	for (unsigned tries = 0; now.threads > before.threads && tries < 1000; tries++) {
		sleep_ms(2);
		now = census_take();
	}
	if (now.threads > before.threads)
		support_fail(__FILE__, __LINE__, "leaked threads: %u before, %u now",
			     before.threads, now.threads);
	if (now.fds > before.fds)
		support_fail(__FILE__, __LINE__, "leaked descriptors: %u before, %u now",
			     before.fds, now.fds);
}

/* ---- queues --------------------------------------------------------------------------------- */

struct asys_queue *open_with(const struct asys_queue_options *options)
{
	struct asys_queue *queue = NULL;
	int err = asys_queue_open(&queue, options);

	if (err)
		support_fail(__FILE__, __LINE__, "asys_queue_open: %d: %s", err, asys_message());
	check(queue);
	return queue;
}

struct asys_queue *open_queue(void)
{
	return open_with(NULL);
}

struct asys_queue *open_depth(uint32_t depth, uint32_t flags)
{
	struct asys_queue_options options;

	asys_queue_options_init(&options);
	options.depth = depth;
	options.flags = flags;
	return open_with(&options);
}

bool engine_forced(const char *name)
{
	const char *forced = getenv("ASYS_ENGINE");

	return forced && !strcmp(forced, name);
}

void private_or_skip(const char *why)
{
	if (driver_is("thread") || driver_is("shared"))
		skip_because(why);
}

void uncollected_or_skip(const char *why)
{
	if (driver_is("fd"))
		skip_because(why);
}

asys_id submit_words(struct asys_queue *queue, uint32_t nr, uint32_t flags, uint64_t a, uint64_t b,
		     uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	struct asys_call call = { nr, flags, 0, { a, b, c, d, e, f } };

	return asys_send(queue, &call);
}

int64_t result_of(struct asys_queue *queue, asys_id id)
{
	struct asys_event event = { .result = 0 };
	int err;

	do /* the call itself may raise a signal that is handled */
		err = asys_queue_wait(queue, id, &event);
	while (err == -EINTR);
	if (err)
		support_fail(__FILE__, __LINE__, "asys_queue_wait: %d: %s", err, asys_message());
	check_eq(event.id.value, id.value);
	return event.result;
}

unsigned drain(struct asys_queue *queue)
{
	struct asys_event events[64];
	unsigned count = 0;
	int n;

	while ((n = asys_queue_get_many(queue, events, 64, 1, ASYS_FOREVER)) > 0)
		count += (unsigned)n;
	check_eq(n, 0);
	return count;
}

void warm_up(struct asys_queue *queue)
{
	char bytes[8];
	int fd[2];

	make_pipe(fd);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		submit(queue, SYS_read, fd[0], &bytes[i], 1);
	for (unsigned i = 0; i < 64; i++)
		submit(queue, SYS_fcntl, fd[0], F_GETFL);
	check_eq(asys_queue_flush(queue), 0);
	sleep_ms(2);
	check_eq(write(fd[1], "12345678", 8), 8);
	/* not its result: calls before may have failed */
	check(asys_queue_barrier(queue) != -EINTR);
	check_eq(drain(queue), 72);
	close(fd[0]);
	close(fd[1]);
}

/* ---- small things --------------------------------------------------------------------------- */

bool is_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	return true;
#endif
#endif
	return false;
}

bool is_root(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (geteuid() || syscall(SYS_capget, &header, data))
		return false;
	return data[0].effective & (1u << CAP_SYS_ADMIN);
}

void root_or_skip(void)
{
	if (!is_root())
		skip_because("needs root with CAP_SYS_ADMIN");
}

char *temp_make(void)
{
	const char *base = getenv("TMPDIR");
	char *path = NULL;

	check(asprintf(&path, "%s/asys-test-XXXXXX", base ? base : "/tmp") > 0);
	check(mkdtemp(path));
	check(!chmod(path, 0755));
	return path;
}

static void remove_entries(int dirfd, int depth)
{
	struct dirent *entry;
	DIR *dir = fdopendir(dirfd);

	if (!dir) {
		close(dirfd);
		return;
	}
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (!unlinkat(dirfd, entry->d_name, 0) || depth == 0)
			continue;
		int child = openat(dirfd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);

		if (child >= 0)
			remove_entries(child, depth - 1);
		unlinkat(dirfd, entry->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
}

void temp_remove(char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	if (fd >= 0)
		remove_entries(fd, 1);
	rmdir(path);
	free(path);
}

int memory_file(void)
{
	int fd = memfd_create("asys-test", MFD_CLOEXEC);

	check(fd >= 0);
	return fd;
}

int reopen(int fd)
{
	char path[64];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	check(again >= 0);
	return again;
}

void make_pipe(int fd[2])
{
	check_eq(pipe2(fd, O_CLOEXEC), 0);
}

void sleep_ms(unsigned ms)
{
	struct timespec time = { ms / 1000, (long)(ms % 1000) * 1000000 };

	while (nanosleep(&time, &time) && errno == EINTR)
		;
}

uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}
