/* SPDX-License-Identifier: MIT */
/*
 * The command `asys`. In the order of a run:
 *   options.c   what the command line asks for
 *   help.c      help
 *   info.c      info: the table, and what this kernel gives; opcodes.c, near.c: names for people
 *   chain.c     chain: a chain as text, run and drawn
 *   chain_parse.c   ... its lines; chain_words.c: their words; chain_value.c, constants.c: arguments
 *   chain_build.c   ... becomes a chain
 *   run.c       run: a program with the shims under it; run_libs.c finds them
 *   run_check.c     ... whether it will work, said beforehand; run_elf.c: what a file is
 *   demo.c      demo: rounds, medians; demo_print.c: the tables and the JSON
 *   hash.c      ... the digest of a large file; bigfile.c finds that file
 *   walk.c      ... a tree, synchronously; walk_async.c: the same through a queue
 *   cost.c      time, CPU, traps, context switches; say.c: errors and progress
 */
#include "commands.h"
#include "say.h"

#include <asys/asys.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* What the environment says, and cannot be done, is told before any work; and no work is done but to help,
 * or to say the version: all others serve calls, have them served by a program they start, or show who would. */
static int check_environment(const struct options *options)
{
	int err;

	/* It is replaced for the program. */
	if (options->engine != NULL)
		unsetenv("ASYS_ENGINE");
	err = asys_engine_for(NULL, 0, NULL);
	if (err < 0)
		say_error(0, "%s", asys_message());
	if (options->command == COMMAND_HELP || options->command == COMMAND_VERSION)
		return 0;
	return err < 0 ? err : 0;
}

static int run(const struct options *options)
{
	switch (options->command) {
	case COMMAND_INFO:
		return command_info(options);
	case COMMAND_CHAIN:
		return command_chain(options);
	case COMMAND_RUN:
		return command_run(options);
	case COMMAND_DEMO:
		return command_demo(options);
	case COMMAND_VERSION:
		printf("asys %s\n", asys_version());
		return STATUS_OK;
	default:
		return command_help(options);
	}
}

int main(int argc, char **argv)
{
	struct options options;
	int status;

	if (options_parse(&options, argc, argv) < 0) {
		say_error(0, "%s", options.error);
		return STATUS_USAGE;
	}
	if (check_environment(&options) < 0)
		return STATUS_USAGE;
	status = run(&options);
	/* A full disk or a closed pipe shows here at the latest: half an answer is no success. */
	errno = 0;
	if (fflush(stdout) != 0 || ferror(stdout)) {
		say_error(-errno, "cannot write the output%s",
			  errno ? "" : ": is the disk full, or the reader gone?");
		return STATUS_FAILED;
	}
	return status;
}
