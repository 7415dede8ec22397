/* SPDX-License-Identifier: MIT */
/*
 * The SHA-256 of a large file. Asynchronously, the next pieces are read while this one is hashed: the
 * example of "Asynchronous System Calls" (Zach Brown, Linux Symposium 2007), section 1.1.
 */
#include "demo.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE (256u * 1024)
#define PIECES \
	8u /* in memory; half of them are asked for at once, so that one wake-up does for many */

/* One hash in the making. */
struct hashing {
	EVP_MD_CTX *context;
	unsigned char *pieces; /* PIECES of them */
	uint64_t bytes;
};

static void hashing_free(struct hashing *hashing)
{
	EVP_MD_CTX_free(hashing->context);
	free(hashing->pieces);
}

static int hashing_start(struct hashing *hashing)
{
	hashing->bytes = 0;
	hashing->context = EVP_MD_CTX_new();
	hashing->pieces = malloc((size_t)PIECES * PIECE);
	if (hashing->context != NULL && hashing->pieces != NULL &&
	    EVP_DigestInit_ex(hashing->context, EVP_sha256(), NULL) == 1)
		return 0;
	hashing_free(hashing);
	say_error(-ENOMEM, "cannot start a SHA-256");
	return -ENOMEM;
}

static void hashing_add(struct hashing *hashing, const unsigned char *piece, size_t size,
			struct progress *progress)
{
	EVP_DigestUpdate(hashing->context, piece, size);
	hashing->bytes += size;
	progress_step(progress, hashing->bytes);
}

static void hashing_finish(struct hashing *hashing, struct digest *ret_digest)
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned size = 0;

	EVP_DigestFinal_ex(hashing->context, raw, &size);
	for (unsigned i = 0; i < size && i * 2 + 2 < DIGEST_TEXT; i++)
		snprintf(ret_digest->text + (size_t)i * 2, 3, "%02x", raw[i]);
	ret_digest->bytes = hashing->bytes;
}

int hash_sync(int fd, struct digest *ret_digest, struct cost *ret_cost, struct progress *progress)
{
	struct hashing hashing;
	ssize_t got;
	int err = hashing_start(&hashing);

	if (err < 0)
		return err;
	cost_start(ret_cost);
	do {
		got = pread(fd, hashing.pieces, PIECE, (off_t)hashing.bytes);
		ret_cost->calls++;
		if (got > 0)
			hashing_add(&hashing, hashing.pieces, (size_t)got, progress);
	} while (got > 0);
	err = got < 0 ? -errno : 0;
	hashing_finish(&hashing, ret_digest);
	cost_stop(ret_cost);
	ret_cost->traps = ret_cost->calls;
	hashing_free(&hashing);
	return err < 0 ? say_error(err, "cannot read the file to hash") : 0;
}

/* The pieces of a file on their way: those from `turn` to before `next` are asked for. */
struct reader {
	struct asys_queue *queue;
	struct hashing *hashing;
	struct cost *cost;
	int fd;
	uint64_t size; /* as far as reading ahead makes sense */
	uint64_t turn, next;
	asys_id id[PIECES];
};

static unsigned char *piece_of(const struct reader *reader, uint64_t index)
{
	return reader->hashing->pieces + index % PIECES * PIECE;
}

static asys_id ask(struct reader *reader, uint64_t index, size_t from)
{
	reader->cost->calls++;
	return asys_pread64(reader->queue, reader->fd, piece_of(reader, index) + from, PIECE - from,
			    (off_t)(index * PIECE + from));
}

/* Asks for as many pieces as there is room for; past the end only for the one that tells so. */
static void read_ahead(struct reader *reader)
{
	while (reader->next < reader->turn + PIECES &&
	       (reader->next == reader->turn || reader->next * PIECE < reader->size)) {
		reader->id[reader->next % PIECES] = ask(reader, reader->next, 0);
		reader->next++;
	}
	asys_queue_flush(reader->queue); /* they are read while the caller computes */
}

static int64_t wait_for(struct asys_queue *queue, asys_id id)
{
	struct asys_event event;
	int err;

	do {
		err = asys_queue_wait(queue, id, &event);
	} while (err == -EINTR);
	return err < 0 ? err : event.result;
}

/* The piece whose turn it is; less than PIECE bytes only at the end of the file. */
static int64_t take_piece(struct reader *reader)
{
	int64_t got = wait_for(reader->queue, reader->id[reader->turn % PIECES]);
	size_t have = got > 0 ? (size_t)got : 0;

	while (got > 0 && have < PIECE) {
		got = wait_for(reader->queue, ask(reader, reader->turn, have));
		if (got > 0)
			have += (size_t)got;
	}
	return got < 0 ? got : (int64_t)have;
}

static int hash_pieces(struct reader *reader, struct progress *progress)
{
	int64_t got;

	do {
		if (reader->next - reader->turn <= PIECES / 2)
			read_ahead(reader);
		got = take_piece(reader);
		if (got < 0)
			return (int)got;
		hashing_add(reader->hashing, piece_of(reader, reader->turn++), (size_t)got,
			    progress);
	} while (got == PIECE);
	return 0;
}

int hash_async(int fd, struct digest *ret_digest, struct cost *ret_cost, struct progress *progress)
{
	struct hashing hashing;
	struct reader reader = {
		.hashing = &hashing, .cost = ret_cost, .fd = fd, .size = progress->total
	};
	int err = hashing_start(&hashing);

	if (err < 0)
		return err;
	cost_start(ret_cost);
	err = asys_queue_open(&reader.queue, NULL);
	if (err < 0) {
		hashing_free(&hashing);
		return say_error(err, "cannot open a queue: %s", asys_message());
	}
	err = hash_pieces(&reader, progress);
	hashing_finish(&hashing, ret_digest);
	ret_cost->traps = cost_traps(reader.queue);
	asys_queue_close(reader.queue);
	cost_stop(ret_cost);
	hashing_free(&hashing);
	return err < 0 ? say_error(err, "cannot read the file to hash") : 0;
}

/* Starts sha256sum with `fd` as its input; its output comes from *ret_output. */
static int spawn_command(int fd, pid_t *ret_pid, int *ret_output)
{
	static char name[] = "sha256sum";
	char *const argv[] = { name, NULL };
	posix_spawn_file_actions_t actions;
	int pipes[2], err;

	if (pipe2(pipes, O_CLOEXEC) != 0)
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
	err = -posix_spawnp(ret_pid, name, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(pipes[1]);
	if (err < 0)
		close(pipes[0]);
	else
		*ret_output = pipes[0];
	return err;
}

int hash_command(int fd, char ret_text[DIGEST_TEXT])
{
	char text[DIGEST_TEXT] = "";
	size_t have = 0;
	int status = 0, output = -1, err;
	ssize_t got;
	pid_t pid = -1;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return say_error(-errno, "cannot rewind the file for sha256sum");
	err = spawn_command(fd, &pid, &output);
	if (err == -ENOENT)
		return err;
	if (err < 0)
		return say_error(err, "cannot run sha256sum");
	while (have < DIGEST_TEXT - 1 &&
	       (got = read(output, text + have, DIGEST_TEXT - 1 - have)) > 0)
		have += (size_t)got;
	close(output);
	/* Its last bytes may meet the closed pipe: what counts is that 64 digits came. */
	waitpid(pid, &status, 0);
	if (have != DIGEST_TEXT - 1)
		return say_error(-EIO, "sha256sum ended with status %d and no digest", status);
	memcpy(ret_text, text, sizeof text);
	return 0;
}
