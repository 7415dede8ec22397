/* SPDX-License-Identifier: MIT */
/* Chains through the functions that C++ has in the place of C's macros. */
#include <asys/asys.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>

#define must(cond) ((cond) ? (void)0 : fail(__LINE__, #cond))

static void fail(int line, const char *what)
{
	fprintf(stderr, "line %d: %s is false: %s\n", line, what, asys_message());
	exit(1);
}

static int64_t sum(const uint64_t arg[6])
{
	return int64_t(arg[0] + arg[1] + arg[2] + arg[3] + arg[4] + arg[5]);
}

static struct asys_chain *adder()
{
	struct asys_chain *c = nullptr;

	must(asys_chain_open(&c, nullptr) == 0);
	must(asys_chain_result(c, asys_chain_compute(c, sum, asys_param(c, 0), 1)) == 0);
	must(asys_chain_ready(c) == 0);
	return c;
}

/* One of everything: 5 + 1, then what the steps below add. */
static struct asys_chain *build(int64_t *memory, int *number)
{
	struct asys_chain *c = nullptr, *sub = adder();

	must(asys_chain_open(&c, nullptr) == 0);
	const asys_id in = asys_openat(c, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC, 0);
	const asys_id n = asys_chain_sub(c, sub, asys_param(c, 0));
	const asys_id stored = asys_chain_compute(asys_store(c, &memory[0]), sum, n, 10);
	const asys_id timer = asys_chain_timer(asys_after_ok(c, stored), 1000);
	const asys_id bad = asys_close(asys_may_fail(asys_after(c, timer)), -1);
	const asys_id by_number =
		asys_call(asys_after_error(c, bad), ASYS_NR_getppid, 0, 0, 0, 0, 0, 0);

	asys_chain_if(asys_when(c, by_number, ASYS_POSITIVE), in, ASYS_OK);
	const asys_id last =
		asys_chain_compute(asys_after(c, stored), sum, asys_load(c, memory),
				   asys_load_int(c, number), asys_plus(c, stored, 100));
	asys_chain_end(c);
	must(asys_chain_result(c, last) == 0);
	asys_chain_finally(c);
	asys_close(c, in);
	asys_chain_end(c);
	must(asys_chain_ready(c) == 0);
	asys_chain_close(sub);
	return c;
}

int main()
{
	int64_t memory[1] = { 0 };
	int number = -1000;
	struct asys_queue *q = nullptr;
	struct asys_chain *c = build(memory, &number);
	struct asys_event event;

	alarm(20);
	must(asys_queue_open(&q, nullptr) == 0);
	must(asys_chain_send(q, c).value == -EINVAL);
	const asys_id id = asys_chain_send(asys_user(q, 7), c, 5);
	must(asys_queue_wait(q, id, &event) == 0);
	must(event.user == 7);
	must(event.result == 16 - 1000 + 116);
	must(asys_queue_wait(q, asys_chain_send(q, c, id), &event) == 0);
	must(event.result == -ESTALE);
	must(asys_queue_pending(q) == 0);
	asys_chain_close(c);
	asys_queue_close(q);
	return 0;
}
