/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include <stdio.h>

static const char all[] =
	"asys: asynchronous system calls for Linux\n"
	"\n"
	"  asys info [CALL...] [--json]   which engine serves each call here, and why;\n"
	"                                 what this kernel gives and lacks\n"
	"  asys demo [--quick] [--json] [--dir DIR] [--file FILE]\n"
	"                                 the same work synchronously and asynchronously, side by "
	"side\n"
	"  asys version                   the library's version\n"
	"  asys help [COMMAND]            this text, or more on one command\n"
	"\n"
	"The environment's ASYS_ENGINE=inline|threads|ready|uring forces an engine.\n"
	"Exit status: 0 success, 1 failure or results that differ, 2 wrong usage.\n";

static const char info[] =
	"asys info [CALL...] [--json]\n"
	"\n"
	"One line for every call of the table, or for those named: its number, class, how long it\n"
	"can block, io_uring opcode, the engine that serves it here, and why. In front of it, "
	"what\n"
	"this kernel gives and what it lacks.\n"
	"\n"
	"  CALL     a name as in 'openat', or a number\n"
	"  --json   one JSON object instead\n";

static const char demo[] =
	"asys demo [--quick] [--json] [--dir DIR] [--file FILE]\n"
	"\n"
	"Two jobs on this machine's own files, each done synchronously and asynchronously in "
	"turn:\n"
	"the SHA-256 of a very large file, the next piece being read while this one is hashed; "
	"and\n"
	"every file below a directory walked, stat'ed and read. Shows medians of time, CPU time,\n"
	"traps per call and context switches. Fails if digests or totals differ.\n"
	"\n"
	"  --quick      one round, and a file of 64 MiB at most\n"
	"  --dir DIR    walk DIR instead of /usr/share\n"
	"  --file FILE  hash FILE instead of the largest file of at most 2 GiB below /usr\n"
	"  --json       one JSON object instead of the tables\n";

int command_help(const struct options *options)
{
	switch (options->topic) {
	case COMMAND_INFO:
		fputs(info, stdout);
		break;
	case COMMAND_DEMO:
		fputs(demo, stdout);
		break;
	default:
		fputs(all, stdout);
		break;
	}
	return STATUS_OK;
}
