/* SPDX-License-Identifier: MIT */
#include "say.h"
#include "visible.h"

#include <asys/asys.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int say_error(int err, const char *format, ...)
{
	char what[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	fprintf(stderr, "asys: %s", visible_only(what, ""));
	if (err < 0)
		fprintf(stderr, ": %s", strerror(-err));
	fputc('\n', stderr);
	return err;
}

void progress_begin(struct progress *progress, const char *what, uint64_t total)
{
	progress->what = what;
	progress->total = total;
	progress->terminal = isatty(STDERR_FILENO) == 1;
	progress->every_ns = progress->terminal ? 100000000u : 5000000000u;
	progress->next_ns = asys_now() + progress->every_ns;
	progress->shown = false;
}

void progress_step(struct progress *progress, uint64_t done)
{
	uint64_t now = asys_now();

	if (now < progress->next_ns)
		return;
	progress->next_ns = now + progress->every_ns;
	progress->shown = true;
	fprintf(stderr, "%s%s: %" PRIu64, progress->terminal ? "\r\033[K" : "", progress->what,
		done);
	if (progress->total > 0)
		fprintf(stderr, " of %" PRIu64 " (%" PRIu64 " %%)", progress->total,
			done * 100 / progress->total);
	fputs(progress->terminal ? "" : "\n", stderr);
}

void progress_end(struct progress *progress)
{
	if (progress->terminal && progress->shown)
		fputs("\r\033[K", stderr);
}
