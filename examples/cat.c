/* SPDX-License-Identifier: MIT */
#include <asys/asys.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char buf[65536];
static int64_t written;

int main(int argc, char **argv)
{
	struct asys_event end = { .result = -ENOMEM };
	struct asys_queue *q;
	struct asys_chain *c;

	if (argc != 2 || asys_queue_open(&q, NULL) < 0 || asys_chain_open(&c, NULL) < 0) {
		fprintf(stderr, "cat: %s\n", argc == 2 ? asys_message() : "name one file");
		return 2;
	}
	asys_id in = asys_openat(c, AT_FDCWD, argv[1], O_RDONLY, 0);
	asys_chain_loop(asys_after_ok(c, in), UINT32_MAX);
	asys_id n = asys_read(c, in, buf, sizeof buf); /* in: an argument that is a result */
	asys_store(asys_full(asys_when(c, n, ASYS_POSITIVE)), &written);
	asys_write(c, STDOUT_FILENO, buf, n);
	asys_id copied = asys_chain_while(c, n, ASYS_POSITIVE);
	asys_close(asys_after(c, copied), in); /* order without data */
	asys_chain_ready(c);
	asys_id all = asys_chain_send(q, c);
	while (asys_queue_wait(q, all, &end) == -EINTR) /* the only wait */
		;
	asys_chain_close(c);
	asys_queue_close(q);
	if (end.result < 0)
		fprintf(stderr, "cat: %s: %s\n", written < 0 ? "standard output" : argv[1],
			strerror((int)-end.result));
	return end.result < 0;
}
