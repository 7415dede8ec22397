/* SPDX-License-Identifier: MIT */
/*
 * Any sequence of building calls, wrong ones among them: nothing crashes, what was refused keeps the
 * chain from being ready, and what asys_chain_ready accepts runs to its end, with one event for each
 * sending. The steps are harmless whatever their arguments are: they read clocks, an input that has
 * ended and an own file, and store only where the fuzzer has memory.
 *
 * Without libFuzzer (RANDOM_INPUTS) the inputs come from a seed: fuzz_chain [SEED [INPUTS]].
 */
#include <asys/asys.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	IDS_MAX = 256,
	RUNS_MAX = 64, /* of one step, by the loops around it */
	WORDS = 64,
	SENDINGS = 3,
	DEPTH = ASYS_CHAIN_NEST_MAX / 2 - 2, /* of what is right: a sub and a cleanup fit in */
};

/* Unlike assert, also there with NDEBUG. */
#define must(cond) ((cond) ? (void)0 : fail(__LINE__, #cond))

struct input {
	const uint8_t *at, *end;
};

/* A chain while it is built. */
struct work {
	struct asys_chain *chain;
	const struct asys_chain *sub; /* ready, or NULL */
	asys_id id[IDS_MAX];
	unsigned ids;
	unsigned bounds[64]; /* of blocks that are open, as far as is known: 0 for an if */
	unsigned open;
	unsigned runs;
	bool refused;
	bool wrong; /* things are tried too; else most that is built is right */
};

static int64_t memory[WORDS];
static unsigned accepted;
static int input_end = -1, file = -1, null = -1;

static void fail(int line, const char *what)
{
	fprintf(stderr, "line %d: %s is false: %s\n", line, what, asys_message());
	abort();
}

static uint8_t byte(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static int64_t compute(const uint64_t arg[6])
{
	switch (arg[0] % 8) {
	case 0:
		return -EIO;
	case 1:
		return 0;
	case 2:
		return -4096;
	default:
		return (int64_t)(arg[0] ^ arg[1] ^ arg[5]);
	}
}

/* One that was given, or one made up. */
static asys_id any_id(struct work *work, struct input *in)
{
	const uint8_t how = byte(in);

	if (work->ids && (how < 240 || !work->wrong))
		return work->id[work->ids - 1 - how % work->ids];
	if (work->ids && how < 250)
		return (asys_id){ work->id[0].value + (int8_t)byte(in) };
	return (asys_id){ how == 255 ? 0 : -(int64_t)byte(in) };
}

static enum asys_condition any_condition(struct work *work, struct input *in)
{
	return (enum asys_condition)(byte(in) % (work->wrong ? 8 : 7));
}

/* Memory of the fuzzer, by its address or through parameter 0. */
static struct asys_arg_ own_address(struct work *work, struct input *in)
{
	const int64_t offset = 8 * (byte(in) % WORDS);

	if (byte(in) & 1)
		return asys_arg_ref_(asys_plus(work->chain, asys_param(work->chain, 0), offset));
	return (struct asys_arg_){ (uint64_t)(uintptr_t)memory + (uint64_t)offset, 0 };
}

static struct asys_arg_ any_value(struct work *work, struct input *in)
{
	const uint8_t how = byte(in) % 8;

	switch (work->ids || work->wrong ? how : how / 4 * 7) {
	case 0:
		return asys_arg_ref_(asys_param(work->chain, byte(in) % (work->wrong ? 8u : 6u)));
	case 1:
		return asys_arg_ref_(asys_plus(work->chain, any_id(work, in), (int8_t)byte(in)));
	case 2:
		return asys_arg_ref_(asys_load_(work->chain, own_address(work, in), byte(in) & 1));
	case 3:
	case 4:
	case 5:
		return asys_arg_ref_(any_id(work, in));
	default:
		return (struct asys_arg_){ byte(in), 0 };
	}
}

static void note(struct work *work, asys_id id)
{
	must(id.value != 0);
	work->refused = work->refused || id.value < 0;
	if (work->ids < IDS_MAX)
		work->id[work->ids++] = id;
}

static void modify(struct work *work, struct input *in)
{
	struct asys_chain *c = work->chain;
	const uint8_t how = byte(in) % 10;

	switch (how < 5 && !work->ids && !work->wrong ? 7 : how) {
	case 0:
		c = asys_after(c, any_id(work, in));
		break;
	case 1:
		c = asys_after_ok(c, any_id(work, in));
		break;
	case 2:
		c = asys_after_error(c, any_id(work, in));
		break;
	case 3:
	case 4:
		c = asys_when(c, any_id(work, in), any_condition(work, in));
		break;
	case 5:
		c = work->wrong ? asys_full(c) : c;
		break;
	case 6:
		c = asys_store_(c, own_address(work, in));
		break;
	case 7:
		c = asys_may_fail(c);
		break;
	case 8:
		c = asys_report(c, 1 + byte(in));
		break;
	default:
		c = asys_label(c, byte(in) & 1 ? "a \"label\"\n" : "");
		break;
	}
	must(c == work->chain);
}

/* Calls that do no harm with any word where `any` is. */
static void add_call(struct work *work, struct input *in)
{
	struct asys_chain *c = work->chain;
	const struct asys_arg_ any = any_value(work, in);
	const uint64_t buffer = (uint64_t)(uintptr_t)memory;
	uint64_t head, fd = (uint64_t)input_end;

	const uint8_t how = byte(in) % 8;

	switch (how == 4 && !work->wrong ? 5 : how) {
	case 0:
		head = ASYS_NR_lseek | (uint64_t)(any.ref << 1) << 32;
		note(work, asys_chain_add_(c, head, (uint64_t)file, any.word, SEEK_SET, 0, 0, 0));
		break;
	case 1:
		if (byte(in) & 1)
			asys_full(c);
		note(work, asys_chain_add_(c, ASYS_NR_read, fd, buffer, 1 + byte(in), 0, 0, 0));
		break;
	case 2:
		fd = (uint64_t)null;
		note(work, asys_chain_add_(c, ASYS_NR_write, fd, buffer, 1 + byte(in), 0, 0, 0));
		break;
	case 3:
		head = ASYS_NR_fcntl | (uint64_t)any.ref << 32;
		note(work, asys_chain_add_(c, head, any.word, F_GETFL, 0, 0, 0, 0));
		break;
	case 4:
		/* unknown flags and numbers, and a call that cannot be queued */
		head = byte(in) & 1 ? ASYS_NR_exit_group : 50000u + byte(in) * 100u;
		head |= (uint64_t)(byte(in) & 0xc0) << 36;
		note(work, asys_chain_add_(c, head, 1, 2, 3, 4, 5, 6));
		break;
	default:
		note(work, asys_chain_add_(c, ASYS_NR_getppid, 0, 0, 0, 0, 0, 0));
		break;
	}
}

static void add_other(struct work *work, struct input *in)
{
	struct asys_arg_ args[6] = { { 0, 0 } };
	const uint8_t how = byte(in) % 8;

	for (unsigned i = 0; i < 3; i++)
		args[2 * i] = any_value(work, in);
	if (how < 5) {
		note(work,
		     asys_chain_compute_(work->chain, how || !work->wrong ? compute : NULL, args));
	} else if (how == 5) {
		note(work, asys_chain_timer_(work->chain, (struct asys_arg_){ byte(in) * 20u, 0 }));
	} else if (how == 6 && work->sub) {
		args[0] = asys_arg_ref_(asys_param(work->chain, 0)); /* see own_address */
		note(work, asys_chain_sub_(work->chain, work->sub, args));
	} else {
		add_call(work, in);
	}
}

static void begin(struct work *work, asys_id id, unsigned bound)
{
	/* named from inside it would be wrong */
	if (work->wrong || id.value < 0)
		note(work, id);
	if (id.value < 0 || work->open == 64)
		return;
	work->bounds[work->open++] = bound;
	work->runs *= bound ? bound : 1;
}

/* `id`: what closed it. */
static void ended(struct work *work, asys_id id)
{
	work->refused = work->refused || id.value < 0;
	if (id.value <= 0 || !work->open)
		return;
	work->open--;
	if (work->bounds[work->open])
		work->runs /= work->bounds[work->open];
}

static void end(struct work *work, asys_id id)
{
	ended(work, id);
	note(work, id);
}

/* A cleanup block with one step, closed at once unless wrong things are tried. */
static void add_cleanup(struct work *work, struct input *in)
{
	if (byte(in) & 1)
		begin(work, asys_chain_on_failure(work->chain), 1);
	else
		begin(work, asys_chain_finally(work->chain), 1);
	add_other(work, in);
	if (!work->wrong)
		end(work, asys_chain_end(work->chain));
}

static void close_block(struct work *work, struct input *in)
{
	struct asys_chain *c = work->chain;
	const unsigned bound = work->open ? work->bounds[work->open - 1] : 1;
	const uint8_t how = byte(in) % 8;
	asys_id id;

	if (!work->open && !work->wrong)
		return;
	if (how < 2 && !work->wrong && work->open < DEPTH)
		add_cleanup(work, in);
	if (how >= 5 && (bound == 0 || work->wrong)) {
		id = asys_chain_else(c);
		ended(work, id);
		begin(work, id, 1);
	} else if (how >= 3 && ((bound > 1 && work->ids) || work->wrong)) {
		end(work, asys_chain_while(c, any_id(work, in), any_condition(work, in)));
	} else {
		end(work, asys_chain_end(c));
	}
}

static void add_block(struct work *work, struct input *in)
{
	struct asys_chain *c = work->chain;
	unsigned bound = 1 + byte(in) % 4;
	const uint8_t how = byte(in) % 10;

	if (how < 6 && !work->wrong && work->open >= DEPTH)
		return;
	if (how < 3 && (work->ids || work->wrong)) {
		asys_id id = any_id(work, in);

		if (byte(in) & 1)
			modify(work, in);
		begin(work, asys_chain_if(c, id, any_condition(work, in)), 0);
	} else if (how < 6) {
		if (work->runs * bound > RUNS_MAX)
			bound = 1;
		if (byte(in) & 1)
			modify(work, in);
		begin(work, asys_chain_loop(c, bound), bound);
	} else if (how == 6 && work->wrong) {
		add_cleanup(work, in);
	} else if (how == 7 && (work->ids || work->wrong)) {
		work->refused = asys_chain_result(c, any_id(work, in)) < 0 || work->refused;
	} else {
		close_block(work, in);
	}
}

static void build(struct work *work, struct input *in, unsigned steps)
{
	work->runs = 1;
	for (unsigned i = 0; i < steps && in->at < in->end; i++) {
		const uint8_t how = byte(in) % 8;

		for (unsigned k = 0; k < how % 3 && (how >= 3 || work->wrong); k++)
			modify(work, in);
		if (how < 3)
			add_block(work, in);
		else
			add_other(work, in);
	}
	for (unsigned i = 0; !work->wrong && work->open && i < 64; i++)
		end(work, asys_chain_end(work->chain));
	for (unsigned i = byte(in) % 3; !work->wrong && i > 0; i--)
		add_cleanup(work, in);
}

static bool make_ready(struct work *work)
{
	const int err = asys_chain_ready(work->chain);

	must(err <= 0);
	must(!work->refused || err < 0);
	must(work->wrong || err == 0 || err == -E2BIG);
	return err == 0;
}

static void open_work(struct work *work, const struct asys_chain *sub, bool wrong, struct input *in)
{
	struct asys_chain_options options;

	memset(work, 0, sizeof(*work));
	asys_chain_options_init(&options);
	if (wrong)
		options.steps = 1 + byte(in);
	options.flags = byte(in) & ASYS_CHAIN_RECORD;
	must(asys_chain_open(&work->chain, &options) == 0);
	work->sub = sub;
	work->wrong = wrong;
}

static void run(struct asys_chain *chain, struct input *in)
{
	struct asys_queue_options options;
	struct asys_queue *queue;
	struct asys_event event;
	asys_id id[SENDINGS];
	unsigned ends = 0;
	int n;

	asys_queue_options_init(&options);
	options.depth = 1u << byte(in) % 6;
	options.flags = byte(in) & 1 ? ASYS_QUEUE_SHARED : 0;
	must(asys_queue_open(&queue, &options) == 0);
	for (unsigned i = 0; i < SENDINGS; i++) {
		id[i] = asys_chain_send(queue, chain, memory, byte(in), -5, 1000, 0, -1);
		must(id[i].value > 0);
		if (byte(in) > 240)
			asys_queue_cancel(queue, id[i]);
	}
	while ((n = asys_queue_get_many(queue, &event, 1, 1, ASYS_FOREVER)) != 0) {
		/* libFuzzer's own timer may end a wait */
		must(n == 1 || n == -EINTR);
		ends += n == 1 && event.user == 0;
	}
	must(ends == SENDINGS);
	must(asys_queue_pending(queue) == 0);
	asys_queue_close(queue);
}

static void open_files(void)
{
	int fd[2];

	if (file >= 0)
		return;
	file = memfd_create("fuzz", MFD_CLOEXEC);
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	must(file >= 0 && null >= 0 && pipe2(fd, O_CLOEXEC) == 0);
	close(fd[1]);
	input_end = fd[0];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct work sub, work;
	struct input in = { data, data + size };
	uint8_t how;
	bool good;
	FILE *out;

	open_files();
	how = byte(&in);
	open_work(&sub, NULL, how & 32, &in);
	build(&sub, &in, how % 16);
	good = make_ready(&sub);
	open_work(&work, good || how & 128 ? sub.chain : NULL, how & 128, &in);
	build(&work, &in, UINT32_MAX);
	in.at = data;
	if (make_ready(&work)) {
		accepted++;
		/* nothing more can be added, and that does no harm */
		must(asys_chain_add_(work.chain, ASYS_NR_getppid, 0, 0, 0, 0, 0, 0).value < 0);
		asys_chain_close(sub.chain);
		sub.chain = NULL;
		run(work.chain, &in);
	}
	out = fopen("/dev/null", "w");
	must(out && asys_chain_dot(work.chain, out) == 0);
	fclose(out);
	asys_chain_close(work.chain);
	asys_chain_close(sub.chain);
	return 0;
}

#ifdef RANDOM_INPUTS
int main(int argc, char **argv)
{
	uint64_t state = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	const unsigned inputs = argc > 2 ? (unsigned)atoi(argv[2]) : 20000;
	static uint8_t bytes[400];

	for (unsigned i = 0; i < inputs; i++) {
		size_t size = 0;

		alarm(20);
		/* xorshift64* (Vigna 2016) */
		do {
			state ^= state >> 12;
			state ^= state << 25;
			state ^= state >> 27;
			bytes[size++] = (uint8_t)(state * UINT64_C(0x2545f4914f6cdd1d) >> 56);
		} while (size < 8 + i % 392);
		LLVMFuzzerTestOneInput(bytes, size);
	}
	printf("%u inputs, %u accepted\n", inputs, accepted);
	return accepted < inputs / 4;
}
#endif
