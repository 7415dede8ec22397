/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include <stdio.h>

static const char all[] =
	"asys: asynchronous system calls for Linux\n"
	"\n"
	"  asys info [CALL...] [--json]   which engine serves each call here, and why;\n"
	"                                 what this kernel gives and lacks\n"
	"  asys chain [--dot] [--run] [--json] [-o OUT] FILE [PARAM...]\n"
	"                                 a chain of calls as text: checked, drawn, run\n"
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

static const char chain[] =
	"asys chain [--dot] [--run] [--json] [-o OUT] FILE [PARAM...]\n"
	"\n"
	"Reads a chain of system calls, one step a line, from FILE (-: standard input), and "
	"checks\n"
	"it. asys(1) describes the notation; this copies a file:\n"
	"\n"
	"  &buf[65536]\n"
	"  in = openat AT_FDCWD $1 O_RDONLY|O_CLOEXEC 0\n"
	"  out = openat AT_FDCWD $2 O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC 0666\n"
	"  loop\n"
	"    n = read in &buf sizeof(buf)\n"
	"    when n positive full write out &buf n\n"
	"  while n positive\n"
	"  finally\n"
	"    close in\n"
	"    close out\n"
	"  end\n"
	"\n"
	"  --run    run it, with the parameters $1 to $6, and print its result\n"
	"  --dot    print it as a graph for Graphviz; with --run after it ran, with times and\n"
	"           results: asys chain --dot FILE | dot -Tsvg\n"
	"  --json   one JSON object instead\n"
	"  -o OUT   write the answer to OUT, away from what the chain itself writes\n";

int command_help(const struct options *options)
{
	switch (options->topic) {
	case COMMAND_INFO:
		fputs(info, stdout);
		break;
	case COMMAND_CHAIN:
		fputs(chain, stdout);
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
