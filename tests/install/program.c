/* SPDX-License-Identifier: MIT */
/* Opens, reads and closes the file it is given, in one batch, and prints the first line. */
#include <asys/asys.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	static char text[4096];
	struct asys_queue *q;
	int err;

	if (argc != 2)
		return 2;
	err = asys_queue_open(&q, NULL);
	if (err) {
		fprintf(stderr, "%s\n", asys_message());
		return 1;
	}
	asys_id file = asys_openat(q, AT_FDCWD, argv[1], O_RDONLY, 0);
	asys_id size = asys_read(q, file, text, sizeof(text) - 1);

	asys_close(asys_after(q, size), file);
	err = asys_queue_barrier(q);
	asys_queue_close(q);
	if (err) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-err));
		return 1;
	}
	printf("%.*s\n", (int)strcspn(text, "\n"), text);
	return 0;
}
