/* SPDX-License-Identifier: MIT */
/*
 * Contract: what is ready is served within a stated bound, whatever else keeps ending (docs/DESIGN.md,
 * "Served in turn"). Beside a descriptor that always has data, and is read again after each event, or a flood
 * of calls of high priority, each sent again after its event, or a sending that loops for ever, calls and
 * chains of every kind are sent once; all must have ended before VISITS_MOST visits were made, in each way of visiting a queue.
 */
#include "endless.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define OTHERS 10u
#define FLOOD 40u /* more than one visit runs */
#define ENDLESS 100u
#define VISITS_MOST 20000u
#define BUSY UINT64_C(77)
#define ACCEPTED UINT64_C(79)
#define FIRST     \
	UINT64_C( \
		78) /* what another call refers to: it must not be quiet, or its id may be stale by then */

struct stage {
	struct asys_queue *q;
	struct asys_chain *chain;
	int busy[2], file;
	int pipes[OTHERS][2];
	char bytes[OTHERS][64], byte;
	struct stat stat[OTHERS];
	struct timespec sleep;
	asys_id newest; /* read of the busy pipe */
	unsigned got, visits;
	enum busy {
		A_PIPE,
		QUICK_CALLS,
		HOME_CALLS,
		CHAINS,
		FILE_READS, /* at the file's own offset: who runs them is found out by trying */
		TOO_LATE,
		CANCELLED_AT_ONCE,
		BESIDE_TIMERS, /* and in the order of enum loop, to the last */
		BUSY_KINDS = BESIDE_TIMERS + LOOPS
	} kind;
	struct asys_chain
		*endless; /* of the last ones: a sending that never lets its driver sleep */
};

static void read_busy(struct stage *s)
{
	asys_user(s->q, BUSY);
	switch (s->kind) {
	case QUICK_CALLS:
		s->newest = submit(asys_high(s->q), SYS_pread64, s->file, &s->byte, 1, 0);
		break;
	case HOME_CALLS:
		s->newest = submit(asys_high(s->q), SYS_gettid, 0);
		break;
	case CHAINS:
		s->newest = asys_chain_send(asys_high(s->q), s->chain);
		break;
	case FILE_READS:
		s->newest = submit(s->q, SYS_read, s->file, &s->byte, 1);
		break;
	case TOO_LATE:
		s->newest = submit(asys_deadline(s->q, 1), SYS_read, s->busy[0], &s->byte, 1);
		break;
	case CANCELLED_AT_ONCE:
		s->newest = submit(s->q, SYS_read, s->busy[0], &s->byte, 1);
		check_eq(asys_queue_cancel(s->q, s->newest), 0);
		break;
	case A_PIPE:
		check_eq(write(s->busy[1], "x", 1), 1);
		s->newest = submit(s->q, SYS_read, s->busy[0], &s->byte, 1);
		break;
	default:
		s->newest = submit(s->q, SYS_getppid, 0);
	}
	check(s->newest.value > 0);
}

/* What is to end beside it. */
static void send_pread(struct stage *s, unsigned k)
{
	submit(s->q, SYS_pread64, s->file, s->bytes[k], 64, 0);
}

static void send_stat(struct stage *s, unsigned k)
{
	submit(s->q, SYS_newfstatat, AT_FDCWD, "/", &s->stat[k], 0);
}

static void send_low(struct stage *s, unsigned k)
{
	send_pread((asys_low(s->q), s), k);
}

static void send_open(struct stage *s, unsigned k)
{
	asys_id in = submit(asys_user(s->q, FIRST), SYS_openat, AT_FDCWD, "/", O_RDONLY);

	(void)k;
	submit_refs(s->q, SYS_close, ASYS_CALL_REF(0), in.value);
}

static void send_dependent(struct stage *s, unsigned k)
{
	asys_id n = submit(asys_user(s->q, FIRST), SYS_read, s->pipes[k][0], s->bytes[k], 5);

	check_eq(write(s->pipes[k][1], "hello", 5), 5);
	submit_refs(s->q, SYS_pread64, ASYS_CALL_REF(2), s->file, s->bytes[k], n.value, 0);
}

static void send_receive(struct stage *s, unsigned k)
{
	check_eq(write(s->pipes[k][1], "hello", 5), 5);
	submit(s->q, SYS_read, s->pipes[k][0], s->bytes[k], 5);
}

static void send_timer(struct stage *s, unsigned k)
{
	(void)k;
	submit(s->q, SYS_nanosleep, &s->sleep, 0);
}

static void send_poll(struct stage *s, unsigned k)
{
	(void)k;
	submit(s->q, SYS_ppoll, 0, 0, &s->sleep, 0, 0);
}

static void send_deadline(struct stage *s, unsigned k)
{
	submit(asys_deadline(s->q, asys_now() + 1000000), SYS_read, s->pipes[k][0], s->bytes[k], 5);
}

static void send_cancelled(struct stage *s, unsigned k)
{
	asys_id id = submit(s->q, SYS_read, s->pipes[k][0], s->bytes[k], 5);

	check_eq(asys_queue_flush(s->q), 0);
	check_eq(asys_queue_cancel(s->q, id), 0);
}

static void send_accept(struct stage *s, unsigned k)
{
	struct sockaddr_un any = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(any);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int to = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* Both descriptors end as the pipe's of this place, for clear_stage. */
	check_eq(bind(fd, (const struct sockaddr *)&any, sizeof(any.sun_family)), 0);
	check_eq(listen(fd, 1), 0);
	check_eq(getsockname(fd, (struct sockaddr *)&any, &size), 0);
	check_eq(dup2(fd, s->pipes[k][0]), s->pipes[k][0]);
	check_eq(dup2(to, s->pipes[k][1]), s->pipes[k][1]);
	close(fd);
	close(to);
	submit(asys_user(s->q, ACCEPTED), SYS_accept4, s->pipes[k][0], NULL, NULL, SOCK_CLOEXEC);
	check_eq(connect(s->pipes[k][1], (const struct sockaddr *)&any, size), 0);
}

static void send_chain(struct stage *s, unsigned k)
{
	(void)k;
	asys_chain_send(s->q, s->chain);
}

static const struct {
	const char *name;
	void (*send)(struct stage *s, unsigned k);
} kinds[] = {
	{ "pread", send_pread },	 { "stat", send_stat },
	{ "low priority", send_low },	 { "open, close", send_open },
	{ "dependent", send_dependent }, { "receive", send_receive },
	{ "timer", send_timer },	 { "poll", send_poll },
	{ "deadline", send_deadline },	 { "cancelled", send_cancelled },
	{ "accept", send_accept },	 { "chain", send_chain },
};

/* Ways to visit: each takes what has ended. */
static void took(struct stage *s, const struct asys_event *event)
{
	if (event->user == BUSY) {
		read_busy(s);
		return;
	}
	s->got += event->user != FIRST;
	if (event->user == ACCEPTED)
		close((int)event->result);
}

static void visit_one(struct stage *s)
{
	struct asys_event event;

	check_eq(asys_queue_get_many(s->q, &event, 1, 1, ASYS_FOREVER), 1);
	took(s, &event);
}

static void visit_many(struct stage *s)
{
	struct asys_event events[64];
	int n = asys_queue_get_many(s->q, events, 64, 1, ASYS_FOREVER);

	check(n > 0);
	for (int k = 0; k < n; k++)
		took(s, &events[k]);
}

static void visit_by_get(struct stage *s)
{
	struct asys_event event;

	if (asys_queue_get(s->q, &event) == 1)
		took(s, &event);
}

/* Waits for the newest call alone; the others' events are taken without a visit that serves. */
static void visit_by_wait(struct stage *s)
{
	struct asys_event event;

	check_eq(asys_queue_wait(s->q, s->newest, &event), 0);
	took(s, &event);
	for (unsigned n = 0; s->visits % 64 == 0 && n < 2 * FLOOD; n++)
		if (asys_queue_pending(s->q) > 1 && asys_queue_get_many(s->q, &event, 1, 1, 0) == 1)
			took(s, &event);
}

static void visit_by_loop(struct stage *s)
{
	struct pollfd pfd = { .fd = asys_queue_fd(s->q), .events = POLLIN };
	struct asys_event event;

	check_eq(poll(&pfd, 1, 10000), 1);
	if (asys_queue_get(s->q, &event) == 1)
		took(s, &event);
}

/* The same, and says before it sleeps what it has sent: then there may always be an event. */
static void visit_by_flush(struct stage *s)
{
	check_eq(asys_queue_flush(s->q), 0);
	visit_by_loop(s);
}

static const struct {
	const char *name;
	void (*visit)(struct stage *s);
} visits[] = {
	{ "get_many 1", visit_one }, { "get_many 64", visit_many }, { "get", visit_by_get },
	{ "wait", visit_by_wait },   { "loop", visit_by_loop },	    { "flush", visit_by_flush },
};

static void set_stage(struct stage *s, uint32_t flags)
{
	s->q = open_depth(256, flags);
	s->sleep = (struct timespec){ 0, 1000000 };
	s->file = memory_file();
	check_eq(write(s->file, "some bytes of a file", 20), 20);
	make_pipe(s->busy);
	for (unsigned k = 0; k < OTHERS; k++)
		make_pipe(s->pipes[k]);
	check_eq(asys_chain_open(&s->chain, NULL), 0);
	asys_pread64(s->chain, s->file, s->bytes[0], 64, 0);
	asys_getppid(s->chain);
	check_eq(asys_chain_ready(s->chain), 0);
	if (s->kind >= BESIDE_TIMERS) {
		s->endless = endless_chain((enum loop)(s->kind - BESIDE_TIMERS), ENDLESS);
		check(asys_chain_send(s->q, s->endless).value > 0);
	}
}

static void clear_stage(struct stage *s)
{
	asys_queue_close(s->q);
	asys_chain_close(s->chain);
	asys_chain_close(s->endless);
	close(s->file);
	close(s->busy[0]);
	close(s->busy[1]);
	for (unsigned k = 0; k < OTHERS; k++) {
		close(s->pipes[k][0]);
		close(s->pipes[k][1]);
	}
}

static void all_kinds_beside(uint32_t flags, enum busy busy)
{
	for (size_t v = 0; v < sizeof(visits) / sizeof(visits[0]); v++) {
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
			struct stage s = { .kind = busy };
			uint64_t late = asys_now() + UINT64_C(5000000000);

			progress();
			set_stage(&s, flags);
			for (unsigned n = 0; n < (busy == A_PIPE || s.endless ? 1 : FLOOD); n++)
				read_busy(&s);
			for (unsigned n = 0; n < OTHERS; n++)
				kinds[k].send(&s, n);
			/* Visits that find nothing new, while a thread has the calls, do not count. */
			for (s.visits = 0;
			     s.got < OTHERS && (s.visits < VISITS_MOST || asys_now() < late);
			     s.visits++)
				visits[v].visit(&s);
			if (s.got < OTHERS)
				support_fail(__FILE__, __LINE__,
					     "%s, flags %u, busy %d: %u of %u calls (%s) ended in "
					     "%u visits",
					     visits[v].name, flags, busy, s.got, OTHERS,
					     kinds[k].name, s.visits);
			clear_stage(&s);
		}
	}
}

static void all_kinds(uint32_t flags)
{
	for (enum busy busy = A_PIPE; busy < BUSY_KINDS; busy++)
		all_kinds_beside(flags, busy);
}

/* Nothing but waits for one call each, which may overtake: the others run all the same. */
static void waits_alone(uint32_t flags)
{
	const uint64_t late = asys_now() + UINT64_C(5000000000);
	struct stage s = { .kind = QUICK_CALLS };
	unsigned waits = 0, others = 0;
	struct asys_event event;

	set_stage(&s, flags);
	for (unsigned n = 0; n < OTHERS; n++)
		send_low(&s, n);
	while (others < OTHERS && (waits++ < VISITS_MOST || asys_now() < late)) {
		read_busy(&s);
		check_eq(asys_queue_wait(s.q, s.newest, &event), 0);
		others = 0;
		for (unsigned n = 0; n < OTHERS; n++)
			others += s.bytes[n][0] != 0;
	}
	check_eq(others, OTHERS);
	clear_stage(&s);
}

static void test_waits_alone(void **state)
{
	(void)state;
	waits_alone(0);
	waits_alone(ASYS_QUEUE_SHARED);
	waits_alone(ASYS_QUEUE_DRIVER);
}

static void test_private(void **state)
{
	(void)state;
	all_kinds(0);
}

static void test_shared(void **state)
{
	(void)state;
	all_kinds(ASYS_QUEUE_SHARED);
}

static void test_driver(void **state)
{
	(void)state;
	all_kinds(ASYS_QUEUE_DRIVER);
}

static void test_no_help(void **state)
{
	(void)state;
	if (engine_forced("inline"))
		skip_because("engine inline and NO_HELP exclude each other");
	all_kinds(ASYS_QUEUE_NO_HELP);
}

/* An open that waits for ever takes a thread, not the turn of others. */
static void test_beside_a_fifo(void **state)
{
	struct asys_queue *q = open_queue();
	char *folder = temp_make(), path[128];
	struct asys_event event;
	unsigned got = 0;

	(void)state;
	snprintf(path, sizeof(path), "%s/fifo", folder);
	check_eq(mkfifo(path, 0600), 0);
	submit(q, SYS_openat, AT_FDCWD, path, O_RDONLY);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(10);
	for (unsigned k = 0; k < 5; k++)
		submit(q, SYS_getppid, 0);
	while (got < 5)
		got += asys_queue_get(q, &event) == 1;
	asys_queue_close(q);
	temp_remove(folder);
}

/* Nor do the two ends of a FIFO miss each other when the thread that was to open one has just left another
 * open, which was cancelled: each round has a queue of its own, since its threads must be few. */
static void test_both_ends_after_a_cancelled_open(void **state)
{
	char *folder = temp_make(), alone[128], both[128];
	int64_t in, out;

	(void)state;
	snprintf(alone, sizeof(alone), "%s/alone", folder);
	snprintf(both, sizeof(both), "%s/both", folder);
	check_eq(mkfifo(alone, 0600), 0);
	check_eq(mkfifo(both, 0600), 0);
	for (unsigned round = 0; round < 100; round++) {
		struct asys_queue *q = open_queue();

		for (unsigned k = 0; k < 3; k++) {
			asys_id first = submit(q, SYS_openat, AT_FDCWD, alone, O_RDONLY);
			asys_id second = submit(q, SYS_openat, AT_FDCWD, both, O_WRONLY);
			asys_id third = submit(q, SYS_openat, AT_FDCWD, both, O_RDONLY);

			asys_queue_flush(q);
			asys_queue_cancel(q, first);
			check_eq(result_of(q, first), -ECANCELED);
			out = result_of(q, second);
			in = result_of(q, third);
			check(in >= 0 && out >= 0);
			close((int)in);
			close((int)out);
		}
		asys_queue_close(q);
		progress();
	}
	temp_remove(folder);
}

/* A sending that ends in the second round of a wait for it lets a call begin that waits for what comes later: the
 * wait is over, and does not run that call. */
static void test_what_a_sending_let_begin(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_chain *c;
	struct asys_event event;
	asys_id sending, after;
	int fd[2];
	char in;

	(void)state;
	make_pipe(fd);
	check_eq(asys_chain_open(&c, NULL), 0);
	for (unsigned n = 0; n < 40; n++) /* more than one round makes */
		asys_getppid(c);
	check_eq(asys_chain_ready(c), 0);
	sending = asys_chain_send(q, c);
	after = submit(asys_after(q, sending), SYS_read, fd[0], &in, 1);
	check_eq(asys_queue_wait(q, sending, &event), 0);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(result_of(q, after), 1);
	asys_queue_close(q);
	asys_chain_close(c);
	close(fd[0]);
	close(fd[1]);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		contract(test_private),
		contract(test_shared),
		contract(test_driver),
		contract(test_no_help),
		contract(test_waits_alone),
		contract(test_beside_a_fifo),
		contract(test_both_ends_after_a_cancelled_open),
		contract(test_what_a_sending_let_begin),
	};

	return group(tests, argc, argv);
}
