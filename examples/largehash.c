/* SPDX-License-Identifier: MIT */
/*
 * The SHA-256 of a large file: the next piece is read while this one is hashed. ASYS_QUEUE_DRIVER
 * gives the queue a thread of its own, so that reading goes on although nobody waits for it.
 */
#include <asys/asys.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIECE (1u << 20)

static unsigned char piece[2][PIECE];

/* Adds the whole file to `context`; 0 or -errno. */
static int64_t hash_file(struct asys_queue *q, int fd, EVP_MD_CTX *context)
{
	asys_id reading = asys_pread64(q, fd, piece[0], PIECE, 0);
	int64_t offset = 0;

	for (unsigned turn = 0;; turn ^= 1) {
		struct asys_event event;
		int err;

		do {
			err = asys_queue_wait(q, reading, &event);
		} while (err == -EINTR);
		if (err < 0 || event.result <= 0)
			return err < 0 ? err : event.result;
		offset += event.result;
		reading = asys_pread64(q, fd, piece[turn ^ 1], PIECE, offset);
		asys_queue_flush(q);
		EVP_DigestUpdate(context, piece[turn], (size_t)event.result);
	}
}

static int64_t hash_path(const char *path, unsigned char *ret_digest, unsigned *ret_size)
{
	struct asys_queue_options options;
	struct asys_queue *q;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int64_t err;

	if (fd < 0)
		return -errno;
	asys_queue_options_init(&options);
	options.flags = ASYS_QUEUE_DRIVER;
	err = asys_queue_open(&q, &options);
	if (err == 0) {
		EVP_MD_CTX *context = EVP_MD_CTX_new();

		EVP_DigestInit_ex(context, EVP_sha256(), NULL);
		err = hash_file(q, fd, context);
		EVP_DigestFinal_ex(context, ret_digest, ret_size);
		EVP_MD_CTX_free(context);
		asys_queue_close(q);
	}
	close(fd);
	return err;
}

int main(int argc, char **argv)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	int64_t err;

	if (argc != 2) {
		fprintf(stderr, "usage: largehash FILE\n");
		return 2;
	}
	err = hash_path(argv[1], digest, &size);
	if (err < 0) {
		fprintf(stderr, "largehash: cannot hash '%s': %s\n", argv[1], strerror((int)-err));
		return 1;
	}
	for (unsigned i = 0; i < size; i++)
		printf("%02x", digest[i]);
	printf("  %s\n", argv[1]);
	return 0;
}
