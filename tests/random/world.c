/* SPDX-License-Identifier: MIT */
/* The descriptors of a program: made anew for each run, and looked at when it is over. */
#include "world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	NAME_MOST = 32,
	NAMES_OF_OBJECTS = 16, /* numbers of texts from here on belong to objects */
};

static const int counted[SIGNALS] = { SIGPIPE, SIGXFSZ, SIGUSR1 };
static volatile unsigned signal_counts[SIGNALS];
static unsigned char *pattern_bytes;
static uint64_t edge[2]; /* where memory ends that may be touched */
static char worlds_path[PATH_MAX - 16], folder_path[PATH_MAX];
static char object_name[3][OBJECTS_MAX][NAME_MOST];
static char long_name[400];
static uint32_t futexes[OBJECTS_MAX];
static struct rlimit limit_before;

/* ---- once ----------------------------------------------------------------------------------- */

void world_stop(const char *what)
{
	fprintf(stderr, "The world cannot be made: %s: %s\n", what, strerror(errno));
	_exit(WORLD_EXIT);
}

uint64_t hash(uint64_t before, const void *bytes, size_t size)
{
	const unsigned char *p = bytes;
	uint64_t sum = before + 0x9e3779b97f4a7c15;

	/* Eight at a time, but the same however the bytes are cut into pieces is not asked of it. */
	for (size_t k = 0; k < size; k++)
		sum = (sum ^ p[k]) * 0x100000001b3;
	return sum;
}

/* Each byte counts by its place, so that the sum can be made in any pieces, and many bytes at a time. */
uint64_t sum_on(uint64_t before, uint64_t place, const void *bytes, size_t size)
{
	const unsigned char *p = bytes;
	uint64_t weight = (2 * place + 1) * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t k = 0; k < size; k++) {
		before += (p[k] + 1) * (weight ^ weight >> 32);
		weight += 2 * UINT64_C(0x9e3779b97f4a7c15);
	}
	return before;
}

static void on_signal(int signal)
{
	for (unsigned k = 0; k < SIGNALS; k++)
		if (counted[k] == signal)
			__atomic_fetch_add(&signal_counts[k], 1, __ATOMIC_RELAXED);
}

void signals_take(unsigned counts[SIGNALS])
{
	for (unsigned k = 0; k < SIGNALS; k++)
		counts[k] = __atomic_exchange_n(&signal_counts[k], 0, __ATOMIC_RELAXED);
}

void signals_await(const struct program *program, const struct run *run)
{
	const uint64_t until = asys_now() + UINT64_C(1000000000);

	for (unsigned i = 0; i < program->ops; i++)
		if (program->op[i].nr == SYS_kill && !program->op[i].dropped && !run->result[i])
			while (!__atomic_load_n(&signal_counts[2], __ATOMIC_RELAXED) &&
			       asys_now() < until)
				sched_yield();
}

static void signals_begin(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	for (unsigned k = 0; k < SIGNALS; k++)
		sigaction(counted[k], &action, NULL);
}

void world_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2); /* for signalfd; threads inherit it */
	pthread_sigmask(SIG_SETMASK, &set, NULL);
}

static void world_path(unsigned number)
{
	snprintf(folder_path, sizeof(folder_path), "%s/%u", worlds_path, number);
}

/* Memory, and after it as much that cannot be touched. */
static uint64_t edge_begin(void)
{
	const size_t size = 16 * 4096;
	unsigned char *pages =
		mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED || mprotect(pages + size, size, PROT_NONE))
		world_stop("pages");
	return (uint64_t)(uintptr_t)(pages + size);
}

static void memory_begin(void)
{
	struct random random = { .state = 7 };

	edge[0] = edge_begin();
	edge[1] = edge_begin();
	pattern_bytes = malloc(PATTERN_SIZE);
	if (!pattern_bytes)
		world_stop("memory");
	for (size_t k = 0; k < PATTERN_SIZE; k += sizeof(uint64_t)) {
		const uint64_t word = random_next(&random);

		memcpy(pattern_bytes + k, &word, sizeof(word));
	}
}

void world_prepare(void)
{
	static const char *const prefix[3] = { "fifo", "file", "dir" };
	const char *place = access("/dev/shm", W_OK) ? getenv("TMPDIR") : "/dev/shm";

	snprintf(worlds_path, sizeof(worlds_path), "%s/asys-random-XXXXXX", place ? place : "/tmp");
	if (!mkdtemp(worlds_path))
		world_stop(worlds_path);
	for (unsigned k = 0; k < 3; k++)
		for (unsigned i = 0; i < OBJECTS_MAX; i++)
			snprintf(object_name[k][i], NAME_MOST, "%s%u", prefix[k], i);
	memset(long_name, 'n', sizeof(long_name) - 1);
	memory_begin();
}

/* The working folder is the world's too: a name that a wrong descriptor makes relative to it stays
 * there and is found, wherever this was started. */
void world_begin(unsigned number)
{
	world_path(number);
	if (mkdir(folder_path, 0700) && errno != EEXIST)
		world_stop(folder_path);
	/* What whoever started this left open there belongs to nobody here. */
	for (int fd = FD_FIRST; fd < FD_FOLDER + 8; fd++)
		close(fd);
	world_place(open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), FD_FOLDER);
	if (chdir(folder_path))
		world_stop(folder_path);
	signals_begin();
	world_sockets_begin();
}

void world_end(unsigned worlds)
{
	for (unsigned k = 0; k < worlds; k++) {
		world_clean(k);
		rmdir(folder_path);
	}
	rmdir(worlds_path);
}

const unsigned char *pattern(void)
{
	return pattern_bytes;
}

uint64_t bad_address(uint64_t number)
{
	const uint64_t bad[] = { edge[0],    0,		 1, UINT64_C(0xffff800000000000),
				 UINT64_MAX, edge[0] + 1 };

	return bad[number % (sizeof(bad) / sizeof(bad[0]))];
}

uint64_t edge_address(uint64_t number)
{
	return edge[number];
}

/* Texts 0..15 are the same for all; then three names for every object, and its address. */
const char *text_of(uint64_t number)
{
	static const char *const common[NAMES_OF_OBJECTS] = { "",	   ".",	       "a",
							      "b",	   "c",	       "a/b",
							      "none/a",	   long_name,  "/dev/null",
							      "/dev/zero", "/dev/full" };
	const uint64_t i = number - NAMES_OF_OBJECTS;

	if (number < NAMES_OF_OBJECTS)
		return common[number] ? common[number] : "";
	if (i / OBJECTS_MAX < 3)
		return object_name[i / OBJECTS_MAX][i % OBJECTS_MAX];
	return world_address((unsigned)(i % OBJECTS_MAX));
}

uint32_t *world_futex(unsigned object)
{
	return &futexes[object];
}

/* ---- making --------------------------------------------------------------------------------- */

/* Gives the descriptor the number that the program knows. */
void world_place(int fd, int number)
{
	if (fd < 0)
		world_stop("a descriptor");
	if (dup3(fd, number, O_CLOEXEC) != number)
		world_stop("a number");
	close(fd);
}

static int folder_open(unsigned i, bool make)
{
	const char *name = object_name[2][i];

	if (make && mkdirat(FD_FOLDER, name, 0700))
		world_stop(name);
	return openat(FD_FOLDER, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void file_make(const struct object *object, unsigned i)
{
	char path[64];
	int fd, again;

	if (object->flags & F_ON_DISK)
		fd = openat(FD_FOLDER, object_name[1][i], O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
			    0600);
	else
		fd = memfd_create("random", MFD_CLOEXEC);
	if (fd < 0)
		world_stop("a file");
	if (object->fill && write(fd, pattern_bytes, object->fill) != (ssize_t)object->fill)
		world_stop("write");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, (int)object->open_flags | O_CLOEXEC);
	world_place(fd, world_fd(i, 1));
	world_place(again, world_fd(i, 0));
}

static void locked_make(unsigned i)
{
	for (unsigned end = 0; end < 2; end++)
		world_place(openat(FD_FOLDER, object_name[1][i], O_RDWR | O_CREAT | O_CLOEXEC,
				   0600),
			    world_fd(i, end));
	world_lock(world_fd(i, 1), true);
}

static void device_make(const struct object *object, unsigned i)
{
	static const char *const name[] = { "/dev/zero", "/dev/null", "/dev/full" };

	world_place(open(name[object->fill % 3], (int)object->open_flags | O_CLOEXEC),
		    world_fd(i, 0));
}

static void object_make(const struct program *program, unsigned i)
{
	const struct object *object = &program->object[i];

	switch (object->kind) {
	case O_FILE:
		file_make(object, i);
		break;
	case O_FOLDER:
		world_place(folder_open(i, true), world_fd(i, 0));
		break;
	case O_FIFO:
		if (mkfifoat(FD_FOLDER, object_name[0][i], 0600))
			world_stop("mkfifo");
		break;
	case O_DEVICE:
		device_make(object, i);
		break;
	case O_LOCKED:
		locked_make(i);
		break;
	case O_FUTEX:
		futexes[i] = 0;
		break;
	case O_INOTIFY:
		world_place(folder_open(i, true), world_fd(i, 1));
		world_watch(object, i, object_name[2][i], folder_path);
		break;
	default:
		world_stream_make(object, i);
	}
}

void world_make(const struct program *program, struct run *run)
{
	memset(run->through, 0, sizeof(run->through));
	memset(run->bytes, 0, sizeof(run->bytes));
	memset(run->state, 0, sizeof(run->state));
	run->names = 0;
	for (unsigned i = 0; i < program->objects; i++)
		object_make(program, i);
}

/* ---- looking -------------------------------------------------------------------------------- */

static uint64_t file_look(unsigned i)
{
	char bytes[4096];
	const int64_t at = lseek(world_fd(i, 0), 0, SEEK_CUR);
	uint64_t sum = hash(0, &at, sizeof(at));
	struct stat stat;
	ssize_t n;

	fstat(world_fd(i, 1), &stat);
	sum = hash(sum, &stat.st_size, sizeof(stat.st_size));
	for (off_t k = 0; k < (1 << 17) && (n = pread(world_fd(i, 1), bytes, sizeof(bytes), k)) > 0;
	     k += n)
		sum = hash(sum, bytes, (size_t)n);
	return sum;
}

/* Removes what is in a folder; returns the sum of it. */
static uint64_t folder_empty(int folder, unsigned depth)
{
	DIR *dir = fdopendir(folder);
	struct dirent *entry;
	uint64_t sum = 0;
	struct stat stat;

	while (dir && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		memset(&stat, 0, sizeof(stat));
		fstatat(folder, entry->d_name, &stat, AT_SYMLINK_NOFOLLOW);
		sum += hash(stat.st_mode, entry->d_name, strlen(entry->d_name));
		if (S_ISDIR(stat.st_mode)) {
			if (depth)
				sum = hash(sum, "", 0) +
				      folder_empty(openat(folder, entry->d_name,
							  O_RDONLY | O_DIRECTORY | O_CLOEXEC),
						   depth - 1);
			unlinkat(folder, entry->d_name, AT_REMOVEDIR);
		} else {
			sum += (uint64_t)stat.st_size;
			unlinkat(folder, entry->d_name, 0);
		}
	}
	if (dir)
		closedir(dir);
	return sum;
}

void world_clean_own(void)
{
	const int folder = open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (folder >= 0)
		folder_empty(folder, 2);
}

void world_clean(unsigned number)
{
	world_path(number);
	world_clean_own();
}

static bool has_names(const struct program *program)
{
	for (unsigned i = 0; i < program->objects; i++) {
		const struct object *object = &program->object[i];

		if (object->kind == O_FOLDER || object->kind == O_FIFO ||
		    object->kind == O_LOCKED || object->kind == O_INOTIFY ||
		    (object->flags & F_ON_DISK))
			return true;
	}
	return false;
}

void world_look(const struct program *program, struct run *run)
{
	for (unsigned i = 0; i < program->objects; i++) {
		if (program->object[i].kind == O_FILE)
			run->state[i] = file_look(i);
		else
			world_stream_look(&program->object[i], i, run);
		for (unsigned end = 0; end < 4; end++)
			close(world_fd(i, end));
	}
	if (has_names(program))
		run->names = folder_empty(open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), 2);
}

void world_limit(const struct program *program, bool set)
{
	const unsigned which = program->limit == LIMIT_FSIZE ? RLIMIT_FSIZE : RLIMIT_NOFILE;
	struct rlimit limit;

	if (program->limit == LIMIT_NONE)
		return;
	if (set) {
		getrlimit(which, &limit_before);
		limit = limit_before;
		limit.rlim_cur = program->limit_to;
		setrlimit(which, &limit);
	} else {
		setrlimit(which, &limit_before);
	}
}
