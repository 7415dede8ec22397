/* SPDX-License-Identifier: MIT */
/*
 * Any sequence of sends, modifiers, cancels, gets and waits, with any ids: every accepted call
 * brings exactly one event (quiet ones: at most one), and closing ends. The calls themselves are
 * harmless: they read clocks and pipes, with good and bad pointers.
 */
#include <asys/queue.h>

#include <asys/call.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CALLS_MAX 512

/* Unlike assert, also there with NDEBUG. */
#define must(cond) ((cond) ? (void)0 : fail(__LINE__, #cond))

struct input {
	const uint8_t *at, *end;
};

struct run {
	struct asys_queue *queue;
	asys_id id[CALLS_MAX];
	uint8_t events[CALLS_MAX];
	bool quiet[CALLS_MAX];
	bool said; /* something about the next call */
	unsigned sent, accepted, got;
	int pipe[2];
	char bytes[64];
};

static void fail(int line, const char *what)
{
	fprintf(stderr, "line %d: %s is false\n", line, what);
	abort();
}

static uint8_t byte(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static uint64_t word(struct input *in)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < 8; i++)
		value = value << 8 | byte(in);
	return value;
}

/* An id of a call in this run, or one made up. */
static asys_id any_id(struct run *run, struct input *in)
{
	const uint8_t how = byte(in);
	asys_id id = { 0 };

	if (run->sent && how < 200)
		id = run->id[how % run->sent];
	else if (run->sent && how < 230)
		id.value = run->id[run->sent - 1].value + (int8_t)byte(in);
	else
		id.value = (int64_t)word(in);
	return id;
}

/* A word that is a number, a descriptor, an address, good or bad. */
static uint64_t any_word(struct run *run, struct input *in)
{
	switch (byte(in) % 8) {
	case 0:
		return (uint64_t)run->pipe[0];
	case 1:
		return (uint64_t)(uintptr_t)run->bytes;
	case 2:
		return 8;
	case 3:
		return UINT64_MAX;
	case 4:
		return 1;
	default:
		return byte(in);
	}
}

static void send_any(struct run *run, struct input *in)
{
	/* None of them changes the process, and none can be given a pointer to something it would
	 * spoil: where memory is written, it is `bytes` or not there at all. */
	static const uint32_t numbers[] = {
		SYS_getppid, SYS_getppid, SYS_gettid, SYS_sched_yield, SYS_getuid, 60000,
		70000,	     SYS_exit,	  SYS_read,   SYS_read,	       SYS_fcntl,
	};
	struct asys_call call = {
		.nr = numbers[byte(in) % (sizeof(numbers) / sizeof(numbers[0]))]
	};
	const uint8_t refs = byte(in), rest = byte(in);
	asys_id id;

	if (run->sent == CALLS_MAX)
		return;
	call.user = run->sent;
	call.flags = rest & 3 ? 0u : (uint32_t)byte(in) << 6;
	if (call.nr == SYS_read) {
		call.arg[0] = (uint64_t)run->pipe[0];
		call.arg[1] = rest & 4 ? 8 : (uint64_t)(uintptr_t)run->bytes;
		call.arg[2] = 1 + rest % sizeof(run->bytes);
	} else if (call.nr == SYS_fcntl) {
		call.arg[0] = any_word(run, in);
		call.arg[1] = F_GETFL;
	} else {
		for (unsigned i = 0; i < 6; i++)
			call.arg[i] = any_word(run, in);
		for (unsigned i = 0; i < 6; i++)
			if (refs >> i & 1) {
				call.flags |= ASYS_CALL_REF(i);
				call.arg[i] = (uint64_t)any_id(run, in).value;
			}
	}
	run->quiet[run->sent] = run->quiet[run->sent] || call.flags & ASYS_CALL_QUIET;
	id = asys_send(run->queue, &call);
	run->said = false;
	must(id.value != 0);
	run->id[run->sent++] = id;
	if (id.value > 0)
		run->accepted++;
	if (run->sent < CALLS_MAX)
		run->quiet[run->sent] = false;
}

static void modify(struct run *run, struct input *in)
{
	struct asys_queue *q = run->queue;

	if (run->sent == CALLS_MAX)
		return;
	switch (byte(in) % 7) {
	case 0:
		q = asys_after(q, any_id(run, in));
		break;
	case 1:
		q = asys_after_ok(q, any_id(run, in));
		break;
	case 2:
		q = asys_after_error(q, any_id(run, in));
		break;
	case 3:
		q = asys_deadline(q, byte(in) & 1 ? word(in) : asys_now() + byte(in) * 10000u);
		break;
	case 4:
		q = asys_high(q);
		break;
	case 5:
		q = asys_low(q);
		break;
	default:
		q = asys_quiet(q);
		run->quiet[run->sent] = true;
		break;
	}
	must(q == run->queue);
	run->said = true;
}

/* A modifier without a call is the error of what waits next, and nothing is left of it. */
static void hear(struct run *run)
{
	if (!run->said)
		return;
	must(asys_queue_flush(run->queue) == -EINVAL);
	run->said = false;
	run->quiet[run->sent] = false;
}

static void account(struct run *run, const struct asys_event *event)
{
	const uint64_t n = event->user;

	must(n < run->sent);
	must(run->id[n].value == event->id.value);
	must(event->id.value > 0);
	must(run->events[n]++ == 0);
	must(!run->quiet[n] || event->result < 0);
	run->got++;
}

static void wait_any(struct run *run, struct input *in)
{
	asys_id id = any_id(run, in);
	struct asys_event event;
	int err;

	hear(run);
	/* Not for a call that only the pipe could end. */
	asys_queue_cancel_all(run->queue);
	err = asys_queue_wait(run->queue, id, &event);
	if (err == 0)
		account(run, &event);
	else
		must(err < 0);
}

static void step(struct run *run, struct input *in)
{
	struct asys_event events[8];
	int n;

	switch (byte(in) % 12) {
	case 0:
		hear(run);
		n = asys_queue_get(run->queue, &events[0]);
		must(n == 0 || n == 1);
		if (n)
			account(run, &events[0]);
		break;
	case 1:
		hear(run);
		n = asys_queue_get_many(run->queue, events, byte(in) % 9, byte(in),
					byte(in) * 1000u);
		/* libFuzzer's own timer may end a wait */
		must((n >= 0 && n <= 8) || n == -EINTR);
		while (n > 0)
			account(run, &events[--n]);
		break;
	case 2:
		wait_any(run, in);
		break;
	case 3:
		n = asys_queue_cancel(run->queue, any_id(run, in));
		must(n <= 0);
		break;
	case 4:
		hear(run);
		must(asys_queue_flush(run->queue) == 0);
		break;
	case 5:
		must(write(run->pipe[1], "fuzz", 1 + byte(in) % 4) > 0);
		break;
	case 6:
		if (byte(in) < 32)
			must(asys_queue_cancel_all(run->queue) >= 0);
		break;
	case 7:
	case 8:
		modify(run, in);
		break;
	default:
		send_any(run, in);
		break;
	}
}

static void finish(struct run *run)
{
	struct asys_event event;
	struct asys_stats stats;
	unsigned quiet_ended = 0;
	int n;

	hear(run);
	must(asys_queue_cancel_all(run->queue) >= 0);
	while ((n = asys_queue_get_many(run->queue, &event, 1, 1, ASYS_FOREVER)) != 0) {
		must(n == 1 || n == -EINTR);
		if (n == 1)
			account(run, &event);
	}
	must(asys_queue_pending(run->queue) == 0);
	for (unsigned i = 0; i < run->sent; i++) {
		if (run->id[i].value < 0)
			must(run->events[i] == 0);
		else if (!run->quiet[i])
			must(run->events[i] == 1);
		else
			quiet_ended += run->events[i] == 0;
	}
	must(run->got + quiet_ended == run->accepted);
	must(asys_queue_stats(run->queue, &stats) == 0);
	must(stats.sent == run->accepted);
	must(stats.ended == run->accepted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run run;
	struct input in = { data, data + size };
	struct asys_queue_options options;
	uint8_t how;

	memset(&run, 0, sizeof(run));
	how = byte(&in);
	asys_queue_options_init(&options);
	options.engine = how % ASYS_ENGINE_COUNT;
	options.depth = 1u << byte(&in) % 8;
	options.threads = 1 + byte(&in) % 3;
	/* a queue that only waits cannot be helped by this one thread: senders never block here */
	options.flags = ASYS_QUEUE_NONBLOCK | (how & 64 ? ASYS_QUEUE_SHARED : 0) |
			(how & 128 ? ASYS_QUEUE_DRIVER : 0);
	must(pipe2(run.pipe, O_CLOEXEC | O_NONBLOCK) == 0);
	must(fcntl(run.pipe[0], F_SETFL, 0) == 0);
	must(asys_queue_open(&run.queue, &options) == 0);
	while (in.at < in.end)
		step(&run, &in);
	/* half of the inputs end with calls in flight and events not got */
	if (how & 32)
		finish(&run);
	asys_queue_close(run.queue);
	close(run.pipe[0]);
	close(run.pipe[1]);
	return 0;
}
