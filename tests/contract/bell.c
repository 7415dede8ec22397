/* SPDX-License-Identifier: MIT */
/*
 * Contract of ring/bell.h: a sleeper hears of every ring, and a ring that comes late leaves nothing behind
 * that would end later sleeps over and over. The ringer's two steps (count down, then wake) are made here
 * by hand, so that the sleeper can pass between them.
 */
#include "ring/bell.h"
#include "support.h"

#include <poll.h>
#include <sys/eventfd.h>

static bool is_readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1;
}

static void drain_fd(struct bell *bell, int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		count = 0;
	bell_drained(bell, count);
}

/* Step c of a ringer that then loses its core. */
static bool count_down(struct bell *bell, enum bell_way way)
{
	return atomic_fetch_sub(&bell->need[way], 1) == 1;
}

static void test_late_ring(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct bell bell;

	(void)state;
	bell_init(&bell);
	bell_arm(&bell, 1, fd);
	check(count_down(&bell, BELL_EVENT_FD));
	check(bell_disarm(&bell)); /* owed, but not there */
	drain_fd(&bell, fd);
	bell_arm(&bell, 1, fd);
	bell_wake(&bell, BELL_EVENT_FD);
	check(is_readable(fd));
	check(bell_disarm(&bell));
	drain_fd(&bell, fd);
	check(!is_readable(fd));
	bell_arm(&bell, 1, fd);
	check(!bell_disarm(&bell));
	close(fd);
}

/* The late ringer of an eventfd wakes that, and not the futex that the sleeper has gone on to. */
static void test_late_ring_of_the_other_way(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct bell bell;

	(void)state;
	bell_init(&bell);
	bell_arm(&bell, 1, fd);
	check(count_down(&bell, BELL_EVENT_FD));
	bell_disarm(&bell);
	bell_arm(&bell, 2, -1);
	bell_wake(&bell, BELL_EVENT_FD);
	check(!bell_ring(&bell, 1));
	check(bell_ring(&bell, 1));
	check_eq(atomic_load(&bell.rung), 1);
	check(bell_disarm(&bell));
	drain_fd(&bell, fd);
	check(!is_readable(fd));
	bell_arm(&bell, 1, -1);
	check(!bell_disarm(&bell));
	close(fd);
}

static void test_rings_once(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct bell bell;

	(void)state;
	bell_init(&bell);
	check(!bell_ring(&bell, 1));
	check(!bell_ring_now(&bell));
	bell_arm(&bell, 3, fd);
	check(!bell_ring(&bell, 2));
	check(bell_ring(&bell, 1));
	check(!bell_ring(&bell, 1));
	check(!bell_ring_now(&bell));
	check(bell_disarm(&bell));
	check(is_readable(fd));
	drain_fd(&bell, fd);
	bell_arm(&bell, 3, fd);
	check(bell_ring_now(&bell));
	check(!bell_ring(&bell, 3));
	check(bell_disarm(&bell));
	drain_fd(&bell, fd);
	check(!is_readable(fd));
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		contract(test_late_ring),
		contract(test_late_ring_of_the_other_way),
		contract(test_rings_once),
	};

	return group(tests, argc, argv);
}
