/* SPDX-License-Identifier: MIT */
/*
 * cat as a chain of events, after "The power of event chaining". The program says what is to be done,
 * sends it, and is not woken before all of it is over.
 *
 * Sequential: FILE_READOUT_1 reads the first file into the buffer, FILE_READOUT_2 the second behind it,
 * where BYTES_READ says, and so on; FILE_OUTPUT writes the whole buffer out.
 * Parallel: a buffer for each file, all read at once; OUTPUT_2 waits for READOUT_2 and OUTPUT_1. What
 * does not fit into a file's buffer is read when the buffer has been written.
 *
 * A chain opens all its files at once. More than may be open, or than is sensible, are a chain after the
 * other.
 */
#include "shown.h"

#include <asys/asys.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CAT_BUFFER_SIZE ((int64_t)16 << 20)
#define PIECE_SIZE ((size_t)64 << 10)
#define STEPS_OF_FILE 9u
#define FILES_MAX 256u	      /* of one chain */
#define DESCRIPTORS_OTHERS 8u /* that the queue may need, and some to spare */

/* One byte more tells whether something was left. Untouched pages cost nothing. */
static char cat_buffer[CAT_BUFFER_SIZE + 1];
static int64_t bytes_read;

/* Of each file of a chain: what opening and reading it brought. */
struct input {
	const char *name;
	int64_t opened, read;
	char *piece;
};

static struct input inputs[FILES_MAX];
static bool write_failed;

struct wish {
	bool parallel, dot;
};

static struct asys_chain *label(struct asys_chain *c, const char *what, unsigned number)
{
	char text[32];

	snprintf(text, sizeof(text), "%s_%u", what, number);
	return asys_label(c, text);
}

/* (bytes until now, bytes of one more file, or why there are none) */
static int64_t add(const uint64_t arg[6])
{
	int64_t more = (int64_t)arg[1], sum = (int64_t)arg[0] + (more > 0 ? more : 0);

	return sum > CAT_BUFFER_SIZE ? -EFBIG : sum;
}

/* (bytes until now): room for more */
static int64_t room(const uint64_t arg[6])
{
	return CAT_BUFFER_SIZE + 1 - (int64_t)arg[0];
}

static asys_id open_input(struct asys_chain *c, struct input *file)
{
	return asys_openat(asys_store(asys_may_fail(c), &file->opened), AT_FDCWD, file->name,
			   O_RDONLY | O_CLOEXEC, 0);
}

static void build_sequential(struct asys_chain *c, struct input *files, unsigned count)
{
	asys_id sum = asys_chain_compute(asys_store(c, &bytes_read), add, 0, 0);

	for (unsigned k = 0; k < count; k++) {
		asys_id in = open_input(c, &files[k]);
		asys_id size = asys_chain_compute(c, room, sum);

		label(asys_store(asys_may_fail(asys_full(c)), &files[k].read), "FILE_READOUT",
		      k + 1);
		asys_id n = asys_read(c, in, asys_plus(c, sum, (intptr_t)cat_buffer), size);
		sum = asys_chain_compute(asys_store(asys_after(c, n), &bytes_read), add, sum, n);
		asys_close(asys_after(c, n), in);
	}
	asys_label(asys_when(asys_full(c), sum, ASYS_POSITIVE), "FILE_OUTPUT");
	asys_write(c, STDOUT_FILENO, cat_buffer, sum);
}

static void build_parallel(struct asys_chain *c, struct input *files, unsigned count)
{
	asys_id output_before = { 0 };

	for (unsigned k = 0; k < count; k++) {
		struct input *file = &files[k];
		asys_id in = open_input(c, file);

		label(asys_store(asys_may_fail(c), &file->read), "FILE_READOUT", k + 1);
		asys_id n = asys_read(c, in, file->piece, PIECE_SIZE);
		if (k > 0)
			asys_after(c, output_before);
		label(asys_when(c, n, ASYS_POSITIVE), "OUTPUT", k + 1);
		asys_id output = asys_chain_loop(c, UINT32_MAX);
		asys_id w = asys_write(asys_full(c), STDOUT_FILENO, file->piece,
				       asys_load(c, &file->read));
		asys_store(asys_may_fail(asys_after_ok(c, w)), &file->read);
		asys_id next = asys_read(c, in, file->piece, PIECE_SIZE);
		asys_chain_while(c, next, ASYS_POSITIVE);
		asys_close(asys_after(asys_after(c, n), output), in);
		output_before = output;
	}
}

/* 0 or -errno, with asys_message. */
static int build(struct asys_chain **ret_chain, struct input *files, unsigned count, bool parallel)
{
	struct asys_chain_options options;
	int err;

	asys_chain_options_init(&options);
	options.steps = count * STEPS_OF_FILE + 2;
	err = asys_chain_open(ret_chain, &options);
	if (err < 0)
		return err;
	if (parallel)
		build_parallel(*ret_chain, files, count);
	else
		build_sequential(*ret_chain, files, count);
	return asys_chain_ready(*ret_chain);
}

/* 0, or 1 if something went wrong, which it says. */
static int report(const struct input *files, unsigned count, int64_t result)
{
	int status = 0;

	for (unsigned k = 0; k < count; k++) {
		int64_t err = files[k].opened < 0 ? files[k].opened : files[k].read;

		if (err < 0) {
			fprintf(stderr, "cat: %s: %s\n", shown(files[k].name), strerror((int)-err));
			status = 1;
		}
	}
	write_failed = result < 0 && result != -EFBIG;
	if (result == -EFBIG)
		fprintf(stderr,
			"cat: the files have more than the %lld bytes of its buffer: use "
			"--parallel\n",
			(long long)CAT_BUFFER_SIZE);
	else if (result < 0)
		fprintf(stderr, "cat: write error: %s\n", strerror((int)-result));
	return status || result < 0;
}

static int run(struct asys_queue *q, struct asys_chain *c, struct input *files, unsigned count)
{
	struct asys_event event;
	asys_id id = asys_chain_send(q, c);
	int err;

	do {
		err = asys_queue_wait(q, id, &event);
	} while (err == -EINTR);
	return report(files, count, err < 0 ? err : event.result);
}

/* A chain of these files: 0, or 1 if something went wrong, which it said. */
static int cat(struct asys_queue *q, char **names, unsigned count, struct wish wish)
{
	struct asys_chain *c = NULL;
	int status;

	for (unsigned k = 0; k < count; k++) {
		inputs[k].name = names[k];
		inputs[k].opened = inputs[k].read = 0;
	}
	if (build(&c, inputs, count, wish.parallel) < 0) {
		fprintf(stderr, "cat: %s\n", asys_message());
		status = 1;
	} else if (wish.dot) {
		status = asys_chain_dot(c, stdout) != 0;
	} else {
		status = run(q, c, inputs, count);
	}
	asys_chain_close(c);
	return status;
}

/* How many may be open: descriptors that are not in use, but for some. */
static unsigned files_at_once(void)
{
	long most = sysconf(_SC_OPEN_MAX);
	unsigned unused = 0;

	for (int fd = 0; fd < most && unused < FILES_MAX + DESCRIPTORS_OTHERS; fd++)
		unused += fcntl(fd, F_GETFD) < 0;
	return unused > DESCRIPTORS_OTHERS ? unused - DESCRIPTORS_OTHERS : 1;
}

static int cat_all(char **names, unsigned count, struct wish wish)
{
	unsigned room = files_at_once(), part;
	struct asys_queue *q;
	int status = 0;

	if (asys_queue_open(&q, NULL) < 0) {
		fprintf(stderr, "cat: %s\n", asys_message());
		return 2;
	}
	for (; count && !write_failed; names += part, count -= part) {
		part = count < room ? count : room;
		status |= cat(q, names, part, wish);
	}
	asys_queue_close(q);
	return status;
}

static int usage(void)
{
	fputs("usage: chain_cat [--parallel] [--dot] FILE...\n\n"
	      "  --parallel  all files are read at once\n"
	      "  --dot       prints the chain for Graphviz and does not run it\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	struct wish wish = { false, false };
	int status;

	for (; argc > 1 && !strncmp(argv[1], "--", 2); argc--, argv++) {
		wish.parallel |= !strcmp(argv[1], "--parallel");
		wish.dot |= !strcmp(argv[1], "--dot");
		if (strcmp(argv[1], "--parallel") && strcmp(argv[1], "--dot"))
			return usage();
	}
	if (argc < 2)
		return usage();
	for (unsigned k = 0; wish.parallel && k < FILES_MAX && k + 1 < (unsigned)argc; k++) {
		inputs[k].piece = malloc(PIECE_SIZE);
		if (!inputs[k].piece) {
			fputs("cat: no memory\n", stderr);
			return 2;
		}
	}
	status = cat_all(argv + 1, (unsigned)argc - 1, wish);
	for (unsigned k = 0; k < FILES_MAX; k++)
		free(inputs[k].piece);
	return status;
}
