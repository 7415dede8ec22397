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
	"  asys run [--aio] [--posix-aio] [--stats[=FILE]] [--engine NAME] [--] PROGRAM [ARG...]\n"
	"                                 a program's libaio and POSIX AIO calls go through asys\n"
	"  asys demo [--quick] [--json] [--dir DIR] [--file FILE]\n"
	"                                 the same work synchronously and asynchronously, side by "
	"side\n"
	"  asys version                   the library's version\n"
	"  asys help [COMMAND]            this text, or more on one command\n"
	"\n"
	"The environment's ASYS_ENGINE=inline|threads|ready|uring forces an engine.\n"
	"Exit status: 0 success, 1 failure or results that differ, 2 wrong usage.\n";

static const char info[] = USAGE_INFO
	"\n"
	"\n"
	"One line for every call of the table, or for those named: its number, class, how long it\n"
	"can block, io_uring opcode, the engine that serves it here, and why. In front of it, "
	"what\n"
	"this kernel gives and what it lacks.\n"
	"\n"
	"  CALL     a name as in 'openat', or a number\n"
	"  --json   one JSON object instead\n";

static const char demo[] = USAGE_DEMO
	"\n"
	"\n"
	"Two jobs on this machine's own files, each done synchronously and asynchronously in "
	"turn:\n"
	"the SHA-256 of a large file, the next piece being read while this one is hashed; "
	"and\n"
	"every file below a directory walked, stat'ed and read. Shows medians of time, CPU time,\n"
	"traps per call and context switches. Fails if digests or totals differ. Takes some "
	"seconds.\n"
	"\n"
	"  --quick      one round, and a file of 32 MiB at most\n"
	"  --dir DIR    walk DIR instead of /usr/share\n"
	"  --file FILE  hash FILE, of any size, instead of one of at most 64 MiB below /usr\n"
	"  --json       one JSON object instead of the tables\n";

static const char chain[] = USAGE_CHAIN
	"\n"
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

static const char run[] = USAGE_RUN
	"\n"
	"\n"
	"Runs PROGRAM, unchanged, with its asynchronous I/O going through asys: what it calls in\n"
	"libaio.so.1 (io_submit and the others) and in the C library (aio_read and the others).\n"
	"Says beforehand if that cannot work, and why. The exit status is the program's.\n"
	"\n"
	"  --aio           libaio only\n"
	"  --posix-aio     POSIX AIO only\n"
	"  --stats         print on exit what went through\n"
	"  --stats=FILE    append it to FILE, a JSON object a line for every program and library\n"
	"  --engine NAME   inline, threads, ready or uring serves every call; auto: as it fits\n"
	"\n"
	"The libraries are looked for in $ASYS_LIBDIR if that is set, else beside the command.\n"
	"Exit status: the program's; 2 wrong usage, 125 a library or the file for statistics "
	"cannot\n"
	"be used, 126 the program cannot, 127 it was not found.\n";

int command_help(const struct options *options)
{
	switch (options->topic) {
	case COMMAND_INFO:
		fputs(info, stdout);
		break;
	case COMMAND_CHAIN:
		fputs(chain, stdout);
		break;
	case COMMAND_RUN:
		fputs(run, stdout);
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
