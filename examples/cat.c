/* SPDX-License-Identifier: MIT */
#include <asys/asys.h>
#include <fcntl.h>
#include <unistd.h>

static char buf[65536];

int main(int argc, char **argv)
{
	struct asys_queue *q;

	if (argc != 2 || asys_queue_open(&q, NULL) < 0)
		return 2;
	asys_id in = asys_openat(q, AT_FDCWD, argv[1], O_RDONLY, 0);
	asys_id n = asys_read(q, in, buf, sizeof buf); /* in: an argument that is a result */
	asys_id w = asys_write(q, STDOUT_FILENO, buf, n);
	asys_close(asys_after(q, w), in); /* order without data */
	int err = asys_queue_barrier(q);  /* the only wait */
	asys_queue_close(q);
	return err < 0;
}
