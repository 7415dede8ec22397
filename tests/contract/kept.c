/* SPDX-License-Identifier: MIT */
/*
 * The backlog of events (src/call/backlog.h) against a plain list: random adding, taking the oldest, and taking by id,
 * in crowds of every size; and through the public functions, waits for many kept events.
 */
#include "call/backlog.h"

#include "support.h"

#include <stdlib.h>
#include <string.h>

#define MOST 3000u

struct model {
	struct asys_event events[MOST];
	size_t count;
};

static void model_take(struct model *m, size_t k)
{
	m->count--;
	memmove(&m->events[k], &m->events[k + 1], (m->count - k) * sizeof(m->events[0]));
}

static void check_same(const struct asys_event *one, const struct asys_event *other)
{
	check_eq(one->id.value, other->id.value);
	check_eq(one->result, other->result);
	check_eq(one->user, other->user);
}

static void add(struct backlog *b, struct model *m, uint64_t n, bool report)
{
	/* As ids are: a slot in the low bits, a generation above. */
	struct asys_event event = { { (int64_t)(n << 20 | n % 64) + 1 }, (int64_t)n, ~n };

	m->events[m->count++] = event;
	check(report ? backlog_add_report(b, &event) : backlog_add(b, &event));
	if (report)
		m->events[m->count - 1].id.value = ~event.id.value;
}

static void take_oldest(struct backlog *b, struct model *m)
{
	struct asys_event event;

	backlog_take_first(b, &event);
	if (m->events[0].id.value < 0)
		m->events[0].id.value = ~m->events[0].id.value;
	check_same(&event, &m->events[0]);
	model_take(m, 0);
}

static void take_some(struct backlog *b, struct model *m, size_t k)
{
	struct asys_event event;
	int64_t id = m->events[k].id.value;

	if (id < 0) { /* reports are not found */
		check(!backlog_take(b, id, &event) && !backlog_take(b, ~id, &event));
		return;
	}
	check_same(backlog_find(b, id), &m->events[k]);
	check(backlog_take(b, id, &event));
	check_same(&event, &m->events[k]);
	check(!backlog_find(b, id));
	model_take(m, k);
}

/* `ids` of 8 looks are by id; `crowd`: about so many are kept. */
static void against_model(unsigned seed, size_t crowd, unsigned ids)
{
	static struct model m;
	struct backlog b = { 0 };
	uint64_t n = 1;

	srand(seed);
	m.count = 0;
	for (unsigned step = 0; step < 20000; step++) {
		unsigned dice = (unsigned)rand();

		if (!m.count || (m.count < MOST && dice % (2 * crowd) >= m.count))
			add(&b, &m, n++, dice % 16 == 0);
		else if (dice / 64 % 8 < ids)
			take_some(&b, &m, (unsigned)rand() % m.count);
		else
			take_oldest(&b, &m);
		check_eq(b.count, m.count);
		check(!backlog_find(&b, (int64_t)(n << 20)));
	}
	while (m.count)
		take_oldest(&b, &m);
	check_eq(b.count, 0);
	backlog_free(&b);
	progress();
}

static void test_against_model(void **state)
{
	static const size_t crowds[] = { 1, 20, 40, 200, 1400 };

	(void)state;
	for (unsigned k = 0; k < 5; k++)
		for (unsigned ids = 0; ids <= 8; ids += 2)
			against_model(k + 10 * ids, crowds[k], ids);
}

/* What was reserved is there without memory: nothing moves. */
static void test_reserved(void **state)
{
	static struct model m;
	struct backlog b = { 0 };
	const struct asys_event *events;

	(void)state;
	m.count = 0;
	check(backlog_reserve(&b, 700));
	for (uint64_t n = 1; n <= 1500; n++)
		add(&b, &m, n, false);
	events = b.events;
	for (uint64_t n = 1501; n <= 2200; n++) {
		backlog_release(&b, 1);
		add(&b, &m, n, true);
	}
	check(b.events == events);
	check_eq(b.reserved, 0);
	while (m.count)
		take_oldest(&b, &m);
	backlog_free(&b);
}

/* One that nobody takes stays the oldest, and all others are taken by id: room is used again. */
static void test_oldest_stays(void **state)
{
	static struct model m;
	struct backlog b = { 0 };

	(void)state;
	m.count = 0;
	add(&b, &m, 1, false);
	for (uint64_t n = 2; n < 100000; n++) {
		add(&b, &m, n, false);
		take_some(&b, &m, 1);
	}
	check(b.room <= 1024);
	take_oldest(&b, &m);
	backlog_free(&b);
}

/* In no order, while others are got. */
static void test_waits(void **state)
{
	enum { CALLS = 20000 };
	static asys_id id[CALLS];
	struct asys_queue *q = open_depth(16, 0);
	uint32_t k = 0;

	(void)state;
	for (unsigned n = 0; n < CALLS; n++)
		id[n] = submit(asys_user(q, n), SYS_getppid, 0);
	for (unsigned n = 0; n < CALLS; n++) {
		k = (k + 7919) % CALLS; /* a prime: each once */
		check_eq(result_of(q, id[k]), getppid());
	}
	check_eq(asys_queue_pending(q), 0);
	asys_queue_close(q);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_against_model),
		contract(test_reserved),
		contract(test_oldest_stays),
		contract(test_waits),
	};

	return group(tests, argc, argv);
}
