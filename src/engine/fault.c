/* SPDX-License-Identifier: MIT */
/*
 * Failure injection: what can go wrong goes wrong, on purpose and reproducibly.
 *
 *   seed=N,rate=PERMILLE,kinds=eintr+eagain+enospc+eio+short+delay+reorder
 *
 * Each part is optional: seed 1, rate 10, kinds all. `benign` is delay+reorder, which no correct
 * program can notice in its results.
 *
 * The n-th call that becomes ready, and the n-th that ends, have their fates from the seed and n
 * alone (splitmix64, Steele, Lea and Flood 2014). So a run repeats exactly as far as the program
 * sends the same calls in the same order and they end in the same order.
 *
 * Only what the call may really return is injected, as far as its number and flags tell.
 */
#include "engine/engine.h"
#include "engine/transfer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	KIND_EINTR = 1u << 0,
	KIND_EAGAIN = 1u << 1,
	KIND_ENOSPC = 1u << 2,
	KIND_EIO = 1u << 3,
	KIND_SHORT = 1u << 4,
	KIND_DELAY = 1u << 5,
	KIND_REORDER = 1u << 6,
	KIND_BENIGN = KIND_DELAY | KIND_REORDER,
	KIND_ALL = (1u << 7) - 1,
};

#define DELAY_MOST_NS 5000000u
#define REORDER_MOST_NS 200000u

/* Below this a shorter count means something else to eventfd, timerfd, signalfd and inotify. */
#define SHORT_LEAST 512u

struct fault {
	uint64_t seed;
	uint64_t starts, ends;
	uint32_t rate; /* of 1000 */
	uint32_t kinds;
};

static const struct {
	const char *name;
	uint32_t kinds;
} kind_names[] = {
	{ "eintr", KIND_EINTR },     { "eagain", KIND_EAGAIN }, { "enospc", KIND_ENOSPC },
	{ "eio", KIND_EIO },	     { "short", KIND_SHORT },	{ "delay", KIND_DELAY },
	{ "reorder", KIND_REORDER }, { "benign", KIND_BENIGN }, { "all", KIND_ALL },
};

#define KIND_LIST "eintr, eagain, enospc, eio, short, delay, reorder, benign, all"

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static uint64_t draw(const struct fault *fault, uint64_t n)
{
	return mix(fault->seed + (n + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

/* The spec. */

/* So much of a word is quoted that the message has room for what is known instead. */
#define SHOWN(length) ((int)((length) < 30 ? (length) : 30))

static int parse_number(const char *key, const char *text, size_t len, uint64_t most,
			uint64_t *ret_value)
{
	uint64_t value = 0;

	if (!len)
		return fail(-EINVAL, "fault option %s: a number of 0..%llu is missing after '='",
			    key, (unsigned long long)most);
	for (size_t k = 0; k < len; k++) {
		uint64_t digit = (uint64_t)(text[k] - '0');

		if (text[k] < '0' || text[k] > '9')
			return fail(-EINVAL,
				    "fault option %s: '%.*s' is no decimal number of 0..%llu", key,
				    SHOWN(len), text, (unsigned long long)most);
		if (digit > most || value > (most - digit) / 10)
			return fail(-EINVAL, "fault option %s: %.*s is not in 0..%llu", key,
				    SHOWN(len), text, (unsigned long long)most);
		value = value * 10 + digit;
	}
	*ret_value = value;
	return 0;
}

static int parse_kinds(const char *text, size_t len, uint32_t *ret_kinds)
{
	uint32_t kinds = 0;

	for (;;) {
		const char *plus = memchr(text, '+', len);
		size_t n = plus ? (size_t)(plus - text) : len;
		uint32_t found = 0;

		for (size_t k = 0; k < sizeof(kind_names) / sizeof(*kind_names); k++)
			if (strlen(kind_names[k].name) == n && !memcmp(kind_names[k].name, text, n))
				found = kind_names[k].kinds;
		if (!found)
			return fail(-EINVAL,
				    "fault option kinds: '%.*s' is unknown; known are " KIND_LIST
				    ", joined by '+'",
				    SHOWN(n), text);
		kinds |= found;
		if (!plus)
			break;
		text += n + 1;
		len -= n + 1;
	}
	*ret_kinds = kinds;
	return 0;
}

static int parse_part(struct fault *fault, const char *text, size_t len)
{
	const char *equals = memchr(text, '=', len);
	size_t key = equals ? (size_t)(equals - text) : len;
	size_t rest = equals ? len - key - 1 : 0;
	uint64_t rate = 0;
	int err;

	if (equals && key == 4 && !memcmp(text, "seed", 4))
		return parse_number("seed", equals + 1, rest, UINT64_MAX, &fault->seed);
	if (equals && key == 5 && !memcmp(text, "kinds", 5))
		return parse_kinds(equals + 1, rest, &fault->kinds);
	if (equals && key == 4 && !memcmp(text, "rate", 4)) {
		err = parse_number("rate", equals + 1, rest, 1000, &rate);
		if (!err)
			fault->rate = (uint32_t)rate;
		return err;
	}
	return fail(-EINVAL,
		    "fault option '%.*s' is unknown: write seed=N,rate=PERMILLE,kinds=KIND+KIND",
		    SHOWN(len), text);
}

static int parse(struct fault *fault, const char *spec)
{
	for (;;) {
		size_t len = strcspn(spec, ",");
		int err = parse_part(fault, spec, len);

		if (err)
			return err;
		if (!spec[len])
			return 0;
		spec += len + 1;
	}
}

int fault_open(struct fault **ret_fault, const char *spec)
{
	struct fault *fault = calloc(1, sizeof(*fault));
	int err;

	if (!fault)
		return fail(-ENOMEM, "no memory for failure injection");
	fault->seed = 1;
	fault->rate = 10;
	fault->kinds = KIND_ALL;
	err = *spec ? parse(fault, spec) :
		      fail(-EINVAL, "the fault option is empty: write "
				    "seed=N,rate=PERMILLE,kinds=KIND+KIND, or leave it out");
	if (err) {
		free(fault);
		return err;
	}
	*ret_fault = fault;
	return 0;
}

void fault_close(struct fault *fault)
{
	free(fault);
}

/* What may happen to which call. */

static uint32_t kinds_of_open(uint64_t flags)
{
	return KIND_EINTR | KIND_EIO | (flags & O_CREAT ? KIND_ENOSPC : 0u);
}

static uint32_t kinds_of(const struct asys_call *call)
{
	switch (call->nr) {
	case SYS_read:
		return KIND_EINTR | KIND_EAGAIN | KIND_EIO | KIND_SHORT;
	case SYS_readv:
		return KIND_EINTR | KIND_EAGAIN | KIND_EIO;
	case SYS_pread64:
		return KIND_EINTR | KIND_EIO | KIND_SHORT;
	case SYS_preadv:
	case SYS_preadv2:
	case SYS_fsync:
	case SYS_fdatasync:
		return KIND_EINTR | KIND_EIO;
	case SYS_write:
		return KIND_EINTR | KIND_EAGAIN | KIND_EIO | KIND_ENOSPC | KIND_SHORT;
	case SYS_writev:
		return KIND_EINTR | KIND_EAGAIN | KIND_EIO | KIND_ENOSPC;
	case SYS_pwrite64:
		return KIND_EINTR | KIND_EIO | KIND_ENOSPC | KIND_SHORT;
	case SYS_pwritev:
	case SYS_pwritev2:
	case SYS_fallocate:
		return KIND_EINTR | KIND_EIO | KIND_ENOSPC;
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_accept:
	case SYS_accept4:
		return KIND_EINTR | KIND_EAGAIN;
	case SYS_getdents64:
		return KIND_EIO;
	case SYS_openat:
		return kinds_of_open(call->arg[2]);
#ifdef SYS_open
	case SYS_open:
		return kinds_of_open(call->arg[1]);
	case SYS_mkdir:
	case SYS_symlink:
	case SYS_link:
	case SYS_rename:
#endif
	case SYS_mkdirat:
	case SYS_symlinkat:
	case SYS_linkat:
#ifdef SYS_renameat
	case SYS_renameat:
#endif
	case SYS_renameat2:
	case SYS_mknodat:
		return KIND_EIO | KIND_ENOSPC;
	case SYS_setxattr:
	case SYS_lsetxattr:
	case SYS_fsetxattr:
		return KIND_ENOSPC;
	case SYS_connect:
	case SYS_epoll_pwait:
	case SYS_ppoll:
	case SYS_pselect6:
	case SYS_wait4:
	case SYS_waitid:
	case SYS_flock:
#ifdef SYS_poll
	case SYS_poll:
	case SYS_select:
	case SYS_epoll_wait:
#endif
		return KIND_EINTR;
	default:
		return 0;
	}
}

/* What is written there is a message, and read as one: no kernel takes or gives a part of it. Of a pipe of packets only the
 * end for writing knows that. */
static bool keeps_messages(int fd)
{
	int64_t flags;
	int type = 0;

	if (socket_option(fd, SO_TYPE, &type, sizeof(type)))
		return type != SOCK_STREAM;
	flags = raw_call(SYS_fcntl, (uint64_t)(int64_t)fd, F_GETFL, 0, 0);
	return flags >= 0 && (flags & O_DIRECT) && file_kind(fd) == FILE_PIPE;
}

/* As a disk that fills up or a signal would: whole blocks where the count was whole blocks, so that
 * O_DIRECT still takes it. */
static void shorten(struct asys_call *call, uint64_t random)
{
	uint64_t count = call->arg[2], unit, units;

	unit = count % 4096 == 0 ? 4096 : count % SHORT_LEAST == 0 ? SHORT_LEAST : 1;
	if (count <= SHORT_LEAST || count <= unit || count > UINT64_C(0x7ffff000) ||
	    keeps_messages((int)call->arg[0]))
		return;
	if (unit == 1) {
		call->arg[2] = SHORT_LEAST + random % (count - SHORT_LEAST);
	} else {
		units = count / unit;
		call->arg[2] = unit * (1 + random % (units - 1));
	}
}

enum fate fault_before(struct fault *fault, struct slot *slot, int64_t *ret_result)
{
	uint64_t random = draw(fault, 2 * fault->starts++);
	uint32_t kinds = kinds_of(&slot->call) & fault->kinds;
	unsigned pick;

	if (!kinds || random % 1000 >= fault->rate)
		return FATE_RUN;
	random = mix(random);
	pick = (unsigned)(random % (unsigned)__builtin_popcount(kinds));
	while (pick--)
		kinds &= kinds - 1;
	switch (kinds & -kinds) {
	case KIND_EINTR:
		*ret_result = -EINTR;
		return FATE_END;
	case KIND_EAGAIN:
		*ret_result = -EAGAIN;
		return FATE_END;
	case KIND_ENOSPC:
		*ret_result = -ENOSPC;
		return FATE_END;
	case KIND_EIO:
		*ret_result = -EIO;
		return FATE_END;
	default:
		shorten(&slot->call, mix(random));
		return FATE_SHORT;
	}
}

uint64_t fault_delay(struct fault *fault)
{
	uint64_t random = draw(fault, 2 * fault->ends++ + 1), most = 0;

	if (random % 1000 >= fault->rate)
		return 0;
	random = mix(random);
	if ((fault->kinds & KIND_DELAY) && (!(fault->kinds & KIND_REORDER) || (random & 1)))
		most = DELAY_MOST_NS;
	else if (fault->kinds & KIND_REORDER)
		most = REORDER_MOST_NS;
	return most ? 1 + (random >> 1) % most : 0;
}
