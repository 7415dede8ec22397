/* SPDX-License-Identifier: MIT */
/*
 * The SHA-256 of a large file, as a chain: the next piece is read while this one is hashed. Nothing in
 * the chain says so: the two steps do not name each other, so they may run at once, and do where
 * reading takes time. A file that is in memory already is read faster than another thread could be told.
 */
#include "shown.h"

#include <asys/asys.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define PIECE (1u << 20)

static unsigned char piece[2][PIECE];
static int64_t size[2]; /* bytes in each; 0: the file has ended */

/* (context, data, bytes) */
static int64_t hash(const uint64_t arg[6])
{
	EVP_MD_CTX *context = (EVP_MD_CTX *)(uintptr_t)arg[0];

	return EVP_DigestUpdate(context, (const void *)(uintptr_t)arg[1], arg[2]) == 1 ? 0 : -EIO;
}

/* Parameters: path, context. */
static void build(struct asys_chain *c)
{
	asys_id context = asys_param(c, 1);
	asys_id in = asys_openat(c, AT_FDCWD, asys_param(c, 0), O_RDONLY | O_CLOEXEC, 0);
	asys_id first = asys_read(asys_store(asys_full(c), &size[0]), in, piece[0], PIECE);

	asys_chain_loop(asys_after_ok(c, first), UINT32_MAX);
	asys_id odd = asys_read(asys_store(asys_full(c), &size[1]), in, piece[1], PIECE);
	asys_id hashed = asys_chain_compute(c, hash, context, piece[0], asys_load(c, &size[0]));
	/* Piece 0 is free, and piece 1 is full. */
	asys_after_ok(asys_after_ok(c, hashed), odd);
	asys_id even = asys_read(asys_store(asys_full(c), &size[0]), in, piece[0], PIECE);
	asys_chain_compute(asys_after_ok(c, hashed), hash, context, piece[1], odd);
	asys_chain_while(c, even, ASYS_POSITIVE);

	asys_chain_finally(c);
	asys_close(c, in);
	asys_chain_end(c);
}

/* 0 or -errno; above 0: asys_message tells why. */
static int64_t hash_path(const char *path, EVP_MD_CTX *context)
{
	struct asys_chain *c = NULL;
	struct asys_queue *q = NULL;
	struct asys_event event;
	int64_t err = asys_queue_open(&q, NULL);

	if (!err)
		err = asys_chain_open(&c, NULL);
	if (!err) {
		build(c);
		err = asys_chain_ready(c);
	}
	if (!err) {
		asys_id id = asys_chain_send(q, c, path, context);

		do {
			err = asys_queue_wait(q, id, &event);
		} while (err == -EINTR);
	}
	asys_chain_close(c);
	asys_queue_close(q);
	return err ? 1 : event.result;
}

int main(int argc, char **argv)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *context;
	unsigned length = 0;
	int64_t err;

	if (argc != 2) {
		fprintf(stderr, "usage: largehash FILE\n");
		return 2;
	}
	context = EVP_MD_CTX_new();
	err = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
	if (!err)
		err = hash_path(argv[1], context);
	if (!err && EVP_DigestFinal_ex(context, digest, &length) != 1)
		err = -EIO;
	EVP_MD_CTX_free(context);
	if (err > 0) {
		fprintf(stderr, "largehash: %s\n", asys_message());
		return 1;
	}
	if (err < 0) {
		fprintf(stderr, "largehash: cannot hash '%s': %s\n", shown(argv[1]),
			strerror((int)-err));
		return 1;
	}
	for (unsigned i = 0; i < length; i++)
		printf("%02x", digest[i]);
	printf("  %s\n", shown(argv[1]));
	if (fflush(stdout) != 0) {
		fprintf(stderr, "largehash: cannot write: %s\n", strerror(errno));
		return 1;
	}
	return 0;
}
