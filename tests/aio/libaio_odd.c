/* SPDX-License-Identifier: MIT */
/*
 * Odd arguments, and signals that are pending: every function is called with the same on a context of the kernel's, by
 * number, and on one of the library's, and must answer the same.
 */
#include "libaio_support.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define ANSWERS 16384u
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Nothing is there. */
static void *volatile bad = (void *)8;

struct side {
	bool kernel;
	io_context_t ctx;
	struct iocb cb;
	unsigned count;
	long answers[ANSWERS];
	char asked[ANSWERS][64];
};

static struct side sides[2] = { { .kernel = true } };
static int pipes[2];
static bool shim;
static volatile sig_atomic_t handled;

static void handler(int sig)
{
	(void)sig;
	handled++;
}

static long by_number(long result)
{
	return result < 0 ? -errno : result;
}

static long setup_one(struct side *s, unsigned n, io_context_t *ctx)
{
	return s->kernel ? by_number(syscall(SYS_io_setup, n, ctx)) : io_setup((int)n, ctx);
}

static long destroy_one(struct side *s, void *ctx)
{
	return s->kernel ? by_number(syscall(SYS_io_destroy, ctx)) : io_destroy(ctx);
}

static long submit_all(struct side *s, void *ctx, long n, void *list)
{
	return s->kernel ? by_number(syscall(SYS_io_submit, ctx, n, list)) :
			   io_submit(ctx, n, list);
}

static long submit_own(struct side *s)
{
	struct iocb *list = &s->cb;

	return submit_all(s, s->ctx, 1, &list);
}

static long cancel_one(struct side *s, void *ctx, void *iocb, void *event)
{
	return s->kernel ? by_number(syscall(SYS_io_cancel, ctx, iocb, event)) :
			   io_cancel(ctx, iocb, event);
}

struct asking {
	void *ctx;
	long least, most;
	void *events, *limit, *mask;
	bool masked; /* io_pgetevents */
};

static long get(struct side *s, const struct asking *a)
{
	const struct {
		const void *mask;
		size_t bytes;
	} set = { a->mask, 8 };

	if (!a->masked)
		return s->kernel ? by_number(syscall(SYS_io_getevents, a->ctx, a->least, a->most,
						     a->events, a->limit)) :
				   io_getevents(a->ctx, a->least, a->most, a->events, a->limit);
	if (!s->kernel)
		return io_pgetevents(a->ctx, a->least, a->most, a->events, a->limit, a->mask);
	return by_number(
		syscall(SYS_io_pgetevents, a->ctx, a->least, a->most, a->events, a->limit, &set));
}

static void note(struct side *s, long answer, const char *asked)
{
	check(s->count < ANSWERS);
	snprintf(s->asked[s->count], sizeof(s->asked[0]), "%s", asked);
	s->answers[s->count++] = answer;
}

/* What is asked and what is answered. */
#define ask(s, call) note(s, (long)(call), #call)

static void compare(void (*asks)(struct side *s))
{
	for (unsigned k = 0; k < 2; k++) {
		sides[k].count = 0;
		asks(&sides[k]);
	}
	check_eq(sides[0].count, sides[1].count);
	for (unsigned k = 0; k < sides[0].count; k++)
		if (sides[0].answers[k] != sides[1].answers[k])
			support_fail(__FILE__, __LINE__, "%s: kernel %ld, library %ld",
				     sides[0].asked[k], sides[0].answers[k], sides[1].answers[k]);
	progress();
}

static void take_all(struct side *s, struct io_event *events)
{
	struct timespec none = { 0, 0 };
	const struct asking a = { s->ctx, 0, 4, events, &none, NULL, false };

	while (get(s, &a) > 0)
		;
}

/* What is in the context. */
enum content { NOTHING, WAITS, EVENT, CONTENTS };

static void put(struct side *s, enum content content)
{
	io_prep_poll(&s->cb, pipes[content == EVENT], content == EVENT ? POLLOUT : POLLIN);
	if (content != NOTHING)
		check_eq(submit_own(s), 1);
}

static void take(struct side *s, enum content content, struct io_event *events)
{
	const struct asking until = { s->ctx, 1, 4, events, NULL, NULL, false };

	/* The kernel brings the event a while later, the library returns it. */
	if (content == WAITS && cancel_one(s, s->ctx, &s->cb, events) == -EINPROGRESS)
		check(get(s, &until) > 0);
	take_all(s, events);
}

static bool is_raised(sigset_t *usr)
{
	const struct timespec none = { 0, 0 };

	return sigtimedwait(usr, NULL, &none) == SIGUSR1;
}

/* One question, with a signal that is pending or without. */
static void ask_get(struct side *s, struct asking *a, bool raises, sigset_t *usr, const char *asked)
{
	handled = 0;
	if (raises)
		raise(SIGUSR1);
	note(s, get(s, a), asked);
	note(s, handled, asked);
	note(s, is_raised(usr), asked);
}

static bool is_zero(const struct timespec *limit)
{
	return limit && limit != bad && !limit->tv_sec && !limit->tv_nsec;
}

/* libaio has its own opinion, as docs/AIO.md says: if there is no time to wait and nothing in the ring, it answers
 * without the kernel, and to find out it reads the time limit. The shim does the same for io_getevents only. */
static bool is_left_out(const struct asking *a, enum content content)
{
	if (!shim)
		return a->limit == bad || (is_zero(a->limit) && content != EVENT);
	return !a->masked && is_zero(a->limit) && (a->least < 0 || a->least > a->most);
}

static void ask_gets_with(struct side *s, enum content content, struct asking *a, bool raises,
			  sigset_t *usr)
{
	static const long leasts[] = { LONG_MIN, -1, 0, 1, 2, 5 }, mosts[] = { -1, 0, 1, 4 };
	struct io_event events[4];
	void *const places[] = { events, bad };
	char asked[64];

	for (unsigned k = 0; k < LENGTH(leasts) * LENGTH(mosts) * LENGTH(places); k++) {
		a->least = leasts[k % LENGTH(leasts)];
		a->most = mosts[k / LENGTH(leasts) % LENGTH(mosts)];
		a->events = places[k / LENGTH(leasts) / LENGTH(mosts)];
		if (is_left_out(a, content))
			continue;
		snprintf(asked, sizeof(asked), "content %d, %ld to %ld, limit %d%d, mask %d%d%d",
			 content, a->least, a->most, is_zero(a->limit), a->limit == bad, a->masked,
			 !a->mask, raises);
		put(s, content);
		ask_get(s, a, raises, usr, asked);
		take(s, content, events);
	}
}

static void ask_gets(struct side *s)
{
	struct timespec zero = { 0, 0 }, moment = { 0, 100000 }, copy;
	sigset_t none, usr;
	void *const limits[] = { &zero, &moment, bad }, *const masks[] = { NULL, &none, &usr, bad };
	struct asking a;

	sigemptyset(&none);
	sigemptyset(&usr);
	sigaddset(&usr, SIGUSR1);
	for (unsigned k = 0; k < CONTENTS * LENGTH(limits) * (LENGTH(masks) + 1) * 2; k++) {
		unsigned mask = k / CONTENTS / LENGTH(limits) % (LENGTH(masks) + 1);
		void *limit = limits[k / CONTENTS % LENGTH(limits)];
		bool raises = k / CONTENTS / LENGTH(limits) / (LENGTH(masks) + 1);

		copy = limit == bad ? zero : *(struct timespec *)limit;
		a = (struct asking){ .ctx = s->ctx, .limit = limit == bad ? bad : &copy };
		a.masked = mask < LENGTH(masks);
		a.mask = a.masked ? masks[mask] : NULL;
		ask_gets_with(s, (enum content)(k % CONTENTS), &a, raises, &usr);
		a.ctx = NULL;
		if (shim || limit != bad)
			ask_get(s, &a, raises, &usr, "no context");
	}
}

static void begin(void)
{
	struct sigaction action = { .sa_handler = handler };
	sigset_t usr;

	sigemptyset(&usr);
	sigaddset(&usr, SIGUSR1);
	check_eq(sigaction(SIGUSR1, &action, NULL), 0);
	check_eq(pthread_sigmask(SIG_BLOCK, &usr, NULL), 0);
	make_pipe(pipes);
	shim = under_shim();
	for (unsigned k = 0; k < 2; k++) {
		sides[k].ctx = NULL;
		if (setup_one(&sides[k], 8, &sides[k].ctx) == -ENOSYS)
			skip_because("the kernel has no io_setup");
	}
}

static void end(void)
{
	for (unsigned k = 0; k < 2; k++)
		check_eq(destroy_one(&sides[k], sides[k].ctx), 0);
	close_both(pipes);
}

static void test_get(void **state)
{
	(void)state;
	begin();
	compare(ask_gets);
	end();
}

static void ask_setup(struct side *s)
{
	io_context_t fresh = NULL, taken = bad;

	ask(s, setup_one(s, 0, &fresh));
	ask(s, setup_one(s, UINT_MAX, &fresh));
	ask(s, setup_one(s, INT_MAX, &fresh));
	ask(s, setup_one(s, 0x80000000u, &fresh));
	ask(s, setup_one(s, 0x80000000u + 100000, &fresh));
	ask(s, setup_one(s, 0x90000000u, &fresh));
	ask(s, setup_one(s, 0x10000000u, &fresh));
	ask(s, setup_one(s, 1, bad));
	ask(s, setup_one(s, 0, bad));
	ask(s, setup_one(s, UINT_MAX, NULL));
	ask(s, setup_one(s, 1, &taken));
	ask(s, setup_one(s, 0, &taken));
	ask(s, fresh == NULL && taken == bad);
}

static void ask_submit(struct side *s)
{
	struct iocb *list[4] = { &s->cb, NULL, &s->cb, bad };
	struct io_event events[4];

	io_prep_poll(&s->cb, pipes[1], POLLOUT);
	ask(s, submit_all(s, s->ctx, 0, NULL));
	ask(s, submit_all(s, s->ctx, 0, bad));
	ask(s, submit_all(s, s->ctx, -1, list));
	ask(s, submit_all(s, s->ctx, LONG_MIN, list));
	ask(s, submit_all(s, s->ctx, LONG_MAX, bad));
	ask(s, submit_all(s, NULL, 0, list));
	ask(s, submit_all(s, NULL, -1, NULL));
	ask(s, submit_all(s, (char *)s->ctx + 8, 1, list));
	ask(s, submit_all(s, (void *)-1, 1, list));
	ask(s, submit_all(s, s->ctx, 4, list));
	ask(s, submit_all(s, s->ctx, 1, &list[1]));
	ask(s, submit_all(s, s->ctx, 2, &list[2]));
	s->cb.key = 77;
	ask(s, submit_own(s));
	ask(s, s->cb.key);
	take_all(s, events);
	/* Flags that mean nothing, and a priority where there is none. */
	s->cb.u.c.flags = 1u << 5;
	s->cb.aio_reqprio = 5;
	ask(s, submit_own(s));
	take_all(s, events);
}

static void ask_cancel(struct side *s)
{
	struct io_event events[4];
	struct iocb other;

	io_prep_poll(&s->cb, pipes[0], POLLIN);
	ask(s, submit_own(s));
	other = s->cb;
	ask(s, cancel_one(s, s->ctx, NULL, events));
	ask(s, cancel_one(s, s->ctx, bad, events));
	ask(s, cancel_one(s, NULL, NULL, events));
	ask(s, cancel_one(s, NULL, &s->cb, events));
	ask(s, cancel_one(s, bad, &s->cb, events));
	ask(s, cancel_one(s, s->ctx, &other, events));
	s->cb.key = 1;
	ask(s, cancel_one(s, s->ctx, &s->cb, events));
	s->cb.key = 0;
	ask(s, cancel_one(s, s->ctx, &s->cb, bad));
	ask(s, cancel_one(s, s->ctx, &s->cb, NULL));
	sleep_ms(s->kernel);
	take_all(s, events);
}

static void ask_destroy(struct side *s)
{
	struct asking a = { .least = 0, .most = 1 };
	io_context_t ctx = NULL;
	struct iocb *list = &s->cb;

	ask(s, destroy_one(s, NULL));
	ask(s, destroy_one(s, bad));
	ask(s, destroy_one(s, (void *)-1));
	ask(s, destroy_one(s, (char *)s->ctx + 8));
	ask(s, setup_one(s, 4, &ctx));
	io_prep_poll(&s->cb, pipes[0], POLLIN);
	ask(s, submit_all(s, ctx, 1, &list));
	ask(s, destroy_one(s, ctx));
	ask(s, destroy_one(s, ctx));
	ask(s, submit_all(s, ctx, 0, NULL));
	ask(s, cancel_one(s, ctx, &s->cb, NULL));
	a.ctx = ctx;
	a.masked = true;
	if (shim) /* libaio reads the ring that is gone */
		ask(s, get(s, &a));
}

static void test_others(void **state)
{
	(void)state;
	begin();
	compare(ask_setup);
	compare(ask_submit);
	compare(ask_cancel);
	compare(ask_destroy);
	end();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { contract(test_get), contract(test_others) };

	return group(tests, argc, argv);
}
