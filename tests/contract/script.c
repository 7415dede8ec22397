/* SPDX-License-Identifier: MIT */
#include "script.h"

#include <string.h>
#include <sys/socket.h>

void note(struct script *s, const char *what, int64_t value)
{
	check(s->count < NOTES_MOST);
	s->notes[s->count].what = what;
	s->notes[s->count++].value = value;
}

void note_bytes(struct script *s, const char *what, const void *data, size_t size)
{
	const unsigned char *bytes = data;
	uint64_t sum = 14695981039346656037u; /* FNV-1a */

	for (size_t k = 0; k < size; k++)
		sum = (sum ^ bytes[k]) * 1099511628211u;
	note(s, what, (int64_t)sum);
}

static bool has_opcode(uint32_t nr)
{
	const struct asys_syscall_info *info = asys_syscall_info(nr);
	const struct asys_probe *probe = asys_probe();

	return info && info->uring >= 0 && !probe->uring &&
	       (probe->uring_op[info->uring / 8] & (1u << (info->uring % 8)));
}

static void check_server(struct script *s, unsigned by, const char *name, uint32_t nr,
			 const struct asys_stats *before, const struct asys_stats *after)
{
	uint64_t ring = after->by_engine[ASYS_ENGINE_URING] - before->by_engine[ASYS_ENGINE_URING];
	uint64_t ready = after->by_engine[ASYS_ENGINE_READY] - before->by_engine[ASYS_ENGINE_READY];
	const char *wrong = NULL;

	if (s->engine == ASYS_ENGINE_URING && (by & BY_RING) && !ring && has_opcode(nr))
		wrong = "the ring did not serve it";
	if ((by & BY_OTHER) && ring)
		wrong = "the ring must not serve it";
	if (s->engine == ASYS_ENGINE_READY && (by & BY_ATTEMPT) && !ready && asys_probe()->nowait)
		wrong = "it was not attempted";
	if ((by & BY_NO_ATTEMPT) && ready)
		wrong = "an attempt must not serve it";
	if (wrong)
		support_fail(__FILE__, __LINE__, "%s, note %u: %s", name, s->count, wrong);
}

static int64_t call_plain(uint32_t nr, const uint64_t arg[6])
{
	long result = syscall(nr, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);

	return result == -1 ? -errno : result;
}

static int64_t make_call(struct script *s, unsigned by, const char *name, uint32_t nr,
			 const uint64_t arg[6])
{
	struct asys_stats before, after;
	int64_t result;

	progress();
	if (s->queue) {
		check_eq(asys_queue_stats(s->queue, &before), 0);
		result = result_of(s->queue, submit_words(s->queue, nr, 0, arg[0], arg[1], arg[2],
							  arg[3], arg[4], arg[5]));
		check_eq(asys_queue_stats(s->queue, &after), 0);
		check_server(s, by, name, nr, &before, &after);
	} else {
		result = call_plain(nr, arg);
	}
	return result;
}

int64_t script_call(struct script *s, unsigned by, const char *name, uint32_t nr,
		    const uint64_t arg[6])
{
	int64_t result = make_call(s, by, name, nr, arg);

	note(s, name, result);
	return result;
}

int script_call_fd(struct script *s, unsigned by, const char *name, uint32_t nr,
		   const uint64_t arg[6])
{
	int64_t result = make_call(s, by, name, nr, arg);

	note(s, name, result < 0 ? result : 0);
	return (int)result;
}

static void compare(const struct script *plain, const struct script *queued, const char *kind)
{
	const unsigned count = plain->count < queued->count ? plain->count : queued->count;

	for (unsigned k = 0; k < count; k++) {
		if (plain->notes[k].value != queued->notes[k].value)
			support_fail(__FILE__, __LINE__, "%s, note %u: %s is %lld, plainly %lld",
				     kind, k, plain->notes[k].what,
				     (long long)queued->notes[k].value,
				     (long long)plain->notes[k].value);
	}
	check_eq(queued->count, plain->count);
}

struct run {
	void (*fn)(struct script *s);
	struct script *script;
};

static void *run_script(void *arg)
{
	const struct run *run = arg;

	run->script->count = 0;
	run->fn(run->script);
	return NULL;
}

/* In a thread of its own: where a ring was closed, the kernel may interrupt a call that blocks
 * (docs/LIMITS.md), and this is not about that. */
static void run_apart(void (*fn)(struct script *s), struct script *script)
{
	struct run run = { fn, script };
	pthread_t thread;

	check_eq(pthread_create(&thread, NULL, run_script, &run), 0);
	check_eq(pthread_join(thread, NULL), 0);
}

void script_compare(void (*fn)(struct script *s))
{
	static const struct {
		const char *name;
		uint32_t engine, flags;
	} kinds[] = {
		{ "uring", ASYS_ENGINE_URING, 0 },
		{ "uring, shared", ASYS_ENGINE_URING, ASYS_QUEUE_SHARED },
		{ "uring, polling", ASYS_ENGINE_URING, ASYS_QUEUE_SQPOLL },
		{ "ready", ASYS_ENGINE_READY, 0 },
		{ "auto", ASYS_ENGINE_AUTO, 0 },
		{ "driver", ASYS_ENGINE_AUTO, ASYS_QUEUE_DRIVER },
	};
	static struct script plain, queued;
	const char *forced = getenv("ASYS_ENGINE");

	run_apart(fn, &plain);
	check(plain.count > 0);
	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct asys_queue_options options;

		if ((kinds[k].flags & ASYS_QUEUE_SQPOLL) &&
		    (asys_probe()->uring || !(engine_forced("uring") || !forced || !*forced)))
			continue;
		asys_queue_options_init(&options);
		options.engine = kinds[k].engine;
		options.flags = kinds[k].flags;
		queued.engine = forced && *forced ? (uint32_t)ASYS_ENGINE_COUNT : options.engine;
		if (forced && !strcmp(forced, kinds[k].name))
			queued.engine = options.engine;
		queued.queue = open_with(&options);
		run_apart(fn, &queued);
		compare(&plain, &queued, kinds[k].name);
		asys_queue_close(queued.queue);
	}
}

/* Somebody else. */

static void *write_now(void *arg)
{
	static const char data[65536];
	const struct later *l = arg;

	for (unsigned k = 0; k < l->pieces; k++) {
		size_t left = l->size;

		sleep_ms(3);
		while (left) {
			ssize_t n = write(l->fd, data, left < sizeof(data) ? left : sizeof(data));

			check(n > 0);
			left -= (size_t)n;
		}
	}
	return NULL;
}

static void *read_now(void *arg)
{
	const struct later *l = arg;
	size_t left = l->size;
	char data[8192];

	sleep_ms(3);
	while (left) {
		ssize_t n = read(l->fd, data, left < sizeof(data) ? left : sizeof(data));

		check(n > 0);
		left -= (size_t)n;
	}
	return NULL;
}

void write_later(struct later *l, int fd, size_t size, unsigned pieces)
{
	*l = (struct later){ .fd = fd, .size = size, .pieces = pieces };
	check_eq(pthread_create(&l->thread, NULL, write_now, l), 0);
}

void read_later(struct later *l, int fd, size_t size)
{
	*l = (struct later){ .fd = fd, .size = size };
	check_eq(pthread_create(&l->thread, NULL, read_now, l), 0);
}

void end_later(struct later *l)
{
	check_eq(pthread_join(l->thread, NULL), 0);
}
