/* SPDX-License-Identifier: MIT */
/*
 * Random control blocks for every kind of file, with glibc's POSIX AIO and under the shim.
 *
 * What a batch may hold is limited to what has one answer: POSIX promises no order but that of O_APPEND,
 * so files are only read or only written to, at different places, and of streams only one direction is
 * used.
 */
#include "random.h"

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BATCHES 8
#define OPS_MOST 10
#define SLOT 16384u /* memory of one operation; the page behind it cannot be touched */
#define FILE_SIZE 100000u
#define HASHED (1u << 20)
#define STREAM_MOST 4096u
#define SIGNAL (SIGRTMIN + 2)
#define LIST_SIGNAL (SIGRTMIN + 3)

enum kind {
	BUFFERED,
	APPEND,
	READ_ONLY,
	WRITE_ONLY,
	MEMORY,
	PIPE_OUT, /* streams */
	PIPE_IN,
	SOCKET,
	EVENTFD,
	FOLDER,
	DEV_NULL,
	DEV_ZERO,
	PROC,
	PATH_ONLY,
	CLOSED,
	NEGATIVE,
	KINDS
};

static const char *const kind_names[KINDS] = {
	"buffered", "append",	 "read-only", "write-only", "memory", "pipe-out",
	"pipe-in",  "socket",	 "eventfd",   "folder",	    "null",   "zero",
	"proc",	    "path-only", "closed",    "negative",
};

enum deed { READ, WRITE, SYNC, NOTHING, WRONG };

struct op {
	struct aiocb cb;
	enum kind kind;
	enum deed deed;
	int sync_mode;
	bool in_list;
	char what[200];
	unsigned char *slot;
	int result, error; /* of the call */
	bool begun;
	atomic_uint noticed; /* by threads */
	atomic_uint signalled;
};

static int fds[KINDS], other_end, files[MEMORY + 1]; /* `files`: to look at what is in them */
static struct op ops[OPS_MOST];
static unsigned count;
static bool writes, nonblocking;
static unsigned char *arena;
static atomic_uint list_noticed, list_signalled, wrong_signals;

/* --- the world of a round --- */

static void open_world(void)
{
	static const int flags[] = { O_RDWR, O_RDWR | O_APPEND, O_RDONLY, O_WRONLY };
	bool in_memory = once_in(2);
	int pair[2];

	nonblocking = once_in(2);
	for (unsigned k = BUFFERED; k < MEMORY; k++) {
		files[k] = random_file(in_memory, FILE_SIZE, O_RDWR);
		fds[k] = random_reopen(files[k], flags[k]);
	}
	files[MEMORY] = memfd_create("random", MFD_CLOEXEC);
	fds[MEMORY] = random_reopen(files[MEMORY], O_RDWR);
	stop_if(pipe2(pair, O_CLOEXEC | (nonblocking ? O_NONBLOCK : 0)), "pipe");
	fds[PIPE_OUT] = pair[0];
	fds[PIPE_IN] = pair[1];
	stop_if(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0),
			   0, pair),
		"socketpair");
	fds[SOCKET] = pair[0];
	other_end = pair[1];
	fds[EVENTFD] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fds[FOLDER] = random_open("/usr", O_RDONLY | O_DIRECTORY);
	fds[DEV_NULL] = random_open("/dev/null", O_RDWR);
	fds[DEV_ZERO] = random_open("/dev/zero", O_RDWR);
	fds[PROC] = random_open("/proc/version", O_RDONLY);
	fds[PATH_ONLY] = random_open("/dev/null", O_PATH);
	fds[CLOSED] = 900;
	fds[NEGATIVE] = -1;
}

static void close_world(void)
{
	for (unsigned k = 0; k < CLOSED; k++) {
		close(fds[k]);
		if (k <= MEMORY)
			close(files[k]);
	}
	close(other_end);
}

static void note_files(void)
{
	static unsigned char bytes[HASHED];
	struct stat st;

	for (unsigned k = BUFFERED; k <= MEMORY; k++) {
		ssize_t n = pread(files[k], bytes, sizeof(bytes), 0);

		stop_if(fstat(files[k], &st) || n < 0, "looking at a file");
		note("file %s = %lld bytes, %016llx\n", kind_names[k], (long long)st.st_size,
		     (unsigned long long)hash_of(bytes, (size_t)n));
		/* Not too long to look at. */
		if (st.st_size > (off_t)HASHED && ftruncate(files[k], FILE_SIZE))
			stop_if(true, "ftruncate");
	}
}

static int waiting_in(enum kind kind)
{
	int n = 0;

	ioctl(kind == PIPE_IN ? fds[PIPE_OUT] : fds[kind], FIONREAD, &n);
	return n;
}

/* --- one operation --- */

static bool is_stream(enum kind kind)
{
	return kind >= PIPE_OUT && kind <= EVENTFD;
}

static void pick_area(struct op *op, unsigned place)
{
	static const uint64_t sizes[] = { 0, 1, 8, 100, 511, 512, 4096, 4097, 5000, 8192, 12288 };
	static const uint64_t huge[] = { 1ull << 31, 0x7ffff000, 1ull << 47,
					 INT64_MAX,  1ull << 63, UINT64_MAX };
	static const int64_t odd[] = {
		-1, INT64_MIN, INT64_MAX, INT64_MAX - 100, -4096, 1ll << 45
	};
	struct aiocb *cb = &op->cb;

	if (is_stream(op->kind)) {
		cb->aio_nbytes = op->kind == EVENTFD ? pick(12) : pick(600);
		cb->aio_offset = once_in(3) ? (off_t)pick(10) - 1 : 0;
		return;
	}
	cb->aio_nbytes = once_in(12) ? pick_of(huge) : pick_of(sizes);
	cb->aio_offset = (off_t)place * SLOT + (off_t)pick(100);
	if (cb->aio_nbytes > SLOT - 100)
		cb->aio_offset = (off_t)place * SLOT;
	if (op->deed == READ && once_in(2))
		cb->aio_offset = (off_t)pick(FILE_SIZE + 20000);
	if (op->deed == READ && once_in(8))
		cb->aio_offset = pick_of(odd);
}

static void pick_buffer(struct op *op)
{
	const char *name = "good";
	unsigned char *p = op->slot;

	if (op->cb.aio_nbytes <= SLOT - 256)
		p += pick(256);
	switch (pick(24)) {
	case 0:
		name = "null";
		p = NULL;
		break;
	case 1:
		name = "kernel";
		p = (unsigned char *)0xffff888000000000;
		break;
	case 2:
		name = "behind";
		p = op->slot + SLOT;
		break;
	case 3:
		name = "half";
		p = op->slot + SLOT - 50;
		break;
	default:
		break;
	}
	op->cb.aio_buf = p;
	snprintf(op->what + strlen(op->what), sizeof(op->what) - strlen(op->what),
		 " size=%llx at=%llx addr=%s", (unsigned long long)op->cb.aio_nbytes,
		 (unsigned long long)op->cb.aio_offset, name);
}

static void noticed(union sigval value)
{
	struct op *op = value.sival_ptr;

	atomic_fetch_add(op ? &op->noticed : &list_noticed, 1);
}

/* NULL: the list's. */
static const char *pick_notice(struct sigevent *event, struct op *op)
{
	static const char *const names[] = { "none", "signal", "thread", "no-signal", "unknown" };
	unsigned which = once_in(2) ? 0 : (unsigned)pick(5);

	event->sigev_value.sival_ptr = op;
	event->sigev_signo = op ? SIGNAL : LIST_SIGNAL;
	event->sigev_notify = SIGEV_NONE;
	if (which == 1 || which == 3)
		event->sigev_notify = SIGEV_SIGNAL;
	if (which == 3)
		event->sigev_signo = 0;
	if (which == 4)
		event->sigev_notify = 77;
	if (which == 2) {
		event->sigev_notify = SIGEV_THREAD;
		event->sigev_notify_function = noticed;
		event->sigev_notify_attributes = NULL;
	}
	return names[which];
}

static bool is_allowed(const struct op *op)
{
	if (op->deed == SYNC)
		return !op->in_list;
	if (op->deed == NOTHING || op->deed == WRONG)
		return op->in_list;
	if (op->kind == PIPE_OUT || op->kind == PIPE_IN || op->kind == SOCKET) {
		if ((op->deed == WRITE) != writes)
			return op->kind ==
			       (op->deed == WRITE ? PIPE_OUT : PIPE_IN); /* the wrong mode */
		if (op->deed == WRITE)
			return waiting_in(op->kind) < (int)STREAM_MOST;
		return nonblocking || op->kind == PIPE_IN;
	}
	return (op->deed == WRITE) == writes;
}

static void prepare(struct op *op, unsigned place, bool in_list)
{
	static const int modes[] = { O_SYNC, O_DSYNC, O_SYNC, 0, 77 };
	static const int wrong[] = { 5, 77 };
	const char *notice;

	memset(op, 0, sizeof(*op));
	op->slot = arena + place * (SLOT + GUARD);
	op->in_list = in_list;
	fill_bytes(op->slot, SLOT, pick(1u << 30));
	do {
		op->kind = (enum kind)pick(once_in(3) ? KINDS : PIPE_OUT);
		op->deed = once_in(8) ? (enum deed)pick(5) : (enum deed)pick(2);
	} while (!is_allowed(op));
	op->cb.aio_fildes = fds[op->kind];
	op->cb.aio_lio_opcode = op->deed == READ    ? LIO_READ :
				op->deed == WRITE   ? LIO_WRITE :
				op->deed == NOTHING ? LIO_NOP :
						      pick_of(wrong);
	op->sync_mode = pick_of(modes);
	if (op->kind != APPEND && !is_stream(op->kind) && once_in(4))
		op->cb.aio_reqprio = (int)pick(23) - 1;
	notice = pick_notice(&op->cb.aio_sigevent, op);
	snprintf(op->what, sizeof(op->what), "%s deed=%d mode=%d prio=%d notice=%s",
		 kind_names[op->kind], op->deed, op->deed == SYNC ? op->sync_mode : 0,
		 op->cb.aio_reqprio, notice);
	pick_area(op, place);
	pick_buffer(op);
}

/* --- a batch --- */

static void begin_one(struct op *op)
{
	errno = 0;
	if (op->deed == READ)
		op->result = aio_read(&op->cb);
	else if (op->deed == WRITE)
		op->result = aio_write(&op->cb);
	else
		op->result = aio_fsync(op->sync_mode, &op->cb);
	op->error = errno;
	op->begun = !op->result;
}

static void wait_for_all(void)
{
	const struct aiocb *list[OPS_MOST + 1];
	struct timespec moment = { 1, 0 };
	bool goes_on;
	int n;

	for (;;) {
		goes_on = false;
		n = 0;
		for (unsigned k = 0; k < count; k++) {
			bool this_one = ops[k].begun && aio_error(&ops[k].cb) == EINPROGRESS;

			goes_on |= this_one;
			list[n++] = this_one ? &ops[k].cb : NULL;
		}
		if (!goes_on)
			return;
		n = aio_suspend(list, n, once_in(2) ? NULL : &moment);
		stop_if(n && errno != EAGAIN && errno != EINTR, "aio_suspend");
	}
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	struct op *op = info->si_value.sival_ptr;

	(void)context;
	if (info->si_code != SI_ASYNCIO || info->si_pid != getpid() || (number == SIGNAL) != !!op)
		atomic_fetch_add(&wrong_signals, 1);
	atomic_fetch_add(op ? &op->signalled : &list_signalled, 1);
}

static void handle(int number)
{
	struct sigaction action = { .sa_sigaction = on_signal,
				    .sa_flags = SA_SIGINFO | SA_RESTART };

	stop_if(sigaction(number, &action, NULL), "sigaction");
}

/* At most 10 s. */
static void wait_for_one(atomic_uint *counter)
{
	struct timespec pause = { 0, 1000000 };

	for (unsigned ms = 0; !atomic_load(counter) && ms < 10000; ms++)
		nanosleep(&pause, NULL);
}

static void wait_for_notices(const struct sigevent *of_list)
{
	for (unsigned k = 0; k < count; k++) {
		const struct sigevent *event = &ops[k].cb.aio_sigevent;

		if (ops[k].begun && event->sigev_notify == SIGEV_SIGNAL && event->sigev_signo)
			wait_for_one(&ops[k].signalled);
		if (ops[k].begun && event->sigev_notify == SIGEV_THREAD)
			wait_for_one(&ops[k].noticed);
	}
	if (of_list && of_list->sigev_notify == SIGEV_SIGNAL && of_list->sigev_signo)
		wait_for_one(&list_signalled);
	if (of_list && of_list->sigev_notify == SIGEV_THREAD)
		wait_for_one(&list_noticed);
	note("of the list = signals %u, threads %u\n", atomic_exchange(&list_signalled, 0),
	     atomic_exchange(&list_noticed, 0));
	note("wrong signals = %u\n", atomic_load(&wrong_signals));
}

static void note_batch(void)
{
	for (unsigned k = 0; k < count; k++) {
		struct op *op = &ops[k];

		note("%u %s = ", k, op->what);
		if (!op->in_list)
			note("call %d %d ", op->result, op->error);
		if (op->begun)
			note("ended %d %lld, signals %u, threads %u ", aio_error(&op->cb),
			     (long long)aio_return(&op->cb), atomic_load(&op->signalled),
			     atomic_load(&op->noticed));
		note("%016llx\n", (unsigned long long)hash_of(op->slot, SLOT));
	}
}

/* What is over cannot be cancelled. */
static void note_cancel(void)
{
	for (unsigned k = 0; k < count; k++) {
		struct op *op = &ops[k];

		if (op->cb.aio_reqprio % 4 || !op->begun)
			continue;
		errno = 0;
		note("aio_cancel of %s = %d %d\n", op->what, aio_cancel(op->cb.aio_fildes, &op->cb),
		     errno);
		errno = 0;
		note("aio_cancel of all of %s = %d %d\n", op->what,
		     aio_cancel(op->cb.aio_fildes, NULL), errno);
		errno = 0;
		note("aio_cancel elsewhere, %s = %d %d\n", op->what,
		     aio_cancel(fds[FOLDER], &op->cb), op->kind == FOLDER ? 0 : errno);
	}
}

static void single_batch(void)
{
	for (unsigned k = 0; k < count; k++)
		prepare(&ops[k], k, false);
	for (unsigned k = 0; k < count; k++)
		begin_one(&ops[k]);
	wait_for_all();
	wait_for_notices(NULL);
}

/* Something of it went into the queue. */
static bool is_good(const struct op *op)
{
	return op->deed != NOTHING && op->cb.aio_reqprio >= 0 && op->cb.aio_reqprio <= 20;
}

static void list_batch(void)
{
	struct aiocb *list[OPS_MOST * 2];
	struct sigevent event = { 0 };
	const char *notice;
	bool waits = once_in(2), gives;
	int n = 0, result;

	for (unsigned k = 0; k < count; k++) {
		prepare(&ops[k], k, true);
		list[n++] = &ops[k].cb;
		if (once_in(8))
			list[n++] = NULL;
	}
	notice = pick_notice(&event, NULL);
	gives = !waits && strcmp(notice, "none");
	errno = 0;
	result = lio_listio(waits ? LIO_WAIT : LIO_NOWAIT, list, n,
			    gives || once_in(2) ? &event : NULL);
	note("lio_listio of %d, waits %d, notice %s = %d %d\n", n, waits, notice, result, errno);
	for (unsigned k = 0; k < count; k++) {
		ops[k].begun = is_good(&ops[k]);
		if (waits && ops[k].begun && aio_error(&ops[k].cb) == EINPROGRESS)
			note("%u goes on\n", k);
	}
	wait_for_all();
	wait_for_notices(gives ? &event : NULL);
}

static void batch(void)
{
	uint64_t value = 3;

	writes = once_in(2);
	count = 1 + (unsigned)pick(OPS_MOST);
	if (read(fds[EVENTFD], &value, sizeof(value)) > 0 || !writes)
		value = 3;
	if (!writes && once_in(2))
		stop_if(write(fds[EVENTFD], &value, sizeof(value)) != sizeof(value), "write");
	if (!writes && once_in(2))
		stop_if(write(other_end, "twenty-four bytes of it", 24) != 24, "write");
	if (once_in(2))
		list_batch();
	else
		single_batch();
	note_batch();
	note_cancel();
	note("pipe, socket = %d %d\n", waiting_in(PIPE_OUT), waiting_in(SOCKET));
	note_files();
}

static void wrong_calls(void)
{
	struct aiocb cb = { .aio_fildes = fds[BUFFERED], .aio_sigevent.sigev_notify = SIGEV_NONE };
	const struct aiocb *list[] = { NULL, &cb, NULL };
	struct aiocb *lio[] = { NULL, &cb };
	struct timespec none = { 0, 0 }, wrong = { 0, 1000000000 }, before = { -1, 0 },
			minus = { 0, -1 };

#define SEE(call)                     \
	do {                          \
		errno = 0;            \
		note("%s = ", #call); \
		note("%d", call);     \
		note(" %d\n", errno); \
	} while (0)
	SEE(aio_suspend(list, -1, NULL));
	SEE(aio_suspend(list, 0, &none));
	SEE(aio_suspend(list, 1, &none));
	SEE(aio_suspend(list, 3, &none));
	SEE(aio_suspend(list, 3, &wrong));
	SEE(aio_suspend(list, 3, &before));
	SEE(aio_suspend(list, 3, &minus));
	SEE(aio_suspend(list, 3, NULL));
	SEE(aio_cancel(900, NULL));
	SEE(aio_cancel(-1, NULL));
	SEE(aio_cancel(fds[BUFFERED], NULL));
	SEE(aio_cancel(fds[BUFFERED], &cb));
	SEE(aio_cancel(fds[APPEND], &cb));
	SEE(aio_error(&cb));
	SEE((int)aio_return(&cb));
	SEE(lio_listio(LIO_WAIT, lio, -1, NULL));
	SEE(lio_listio(LIO_WAIT, lio, 0, NULL));
	SEE(lio_listio(LIO_NOWAIT, lio, 0, NULL));
	SEE(lio_listio(LIO_NOWAIT, lio, 1, NULL));
	SEE(lio_listio(77, lio, 1, NULL));
	SEE(aio_fsync(77, &cb));
	cb.aio_fildes = 900;
	SEE(aio_fsync(O_SYNC, &cb));
#undef SEE
}

static void one_round(void)
{
	uint64_t seed = pick(UINT64_MAX);

	open_world();
	wrong_calls();
	for (unsigned k = 0; k < BATCHES; k++) {
		pick_anew(seed + k);
		batch();
	}
	close_world();
}

static const char *documented(const char *native, const char *shim)
{
	if (strstr(native, "addr=kernel") && strstr(native, "ended 9 -1") &&
	    strstr(shim, "ended 14 -1"))
		return "of two errors io_uring finds another one first";
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct random_test test = { one_round, documented, 150 };

	handle(SIGNAL);
	handle(LIST_SIGNAL);
	arena = random_arena(OPS_MOST, SLOT);
	return random_main(argc, argv, &test);
}
