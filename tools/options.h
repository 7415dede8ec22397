/* SPDX-License-Identifier: MIT */
/* What the command line asks for. */
#ifndef ASYS_TOOLS_OPTIONS_H
#define ASYS_TOOLS_OPTIONS_H

#include <stdbool.h>

/* How each command is written: for help, and for who wrote it otherwise. */
#define USAGE_INFO "asys info [CALL...] [--json]"
#define USAGE_CHAIN "asys chain [--dot] [--run] [--json] [-o OUT] FILE [PARAM...]"
#define USAGE_RUN \
	"asys run [--aio] [--posix-aio] [--stats[=FILE]] [--engine NAME] [--] PROGRAM [ARG...]"
#define USAGE_DEMO "asys demo [--quick] [--json] [--dir DIR] [--file FILE]"
#define USAGE_VERSION "asys version"
#define USAGE_HELP "asys help [COMMAND]"

enum command {
	COMMAND_NONE = 0, /* as the topic of help: everything */
	COMMAND_HELP,
	COMMAND_VERSION,
	COMMAND_INFO,
	COMMAND_DEMO,
	COMMAND_CHAIN,
	COMMAND_RUN,
};

struct options {
	enum command command;
	enum command topic; /* of help */
	bool json;
	bool quick;
	bool dot;
	bool run;
	bool aio;
	bool posix_aio;
	const char *dir; /* all strings belong to argv */
	const char *file;
	const char *output;
	const char *stats; /* "-": to the standard error; NULL: none */
	const char *engine;
	char *const *names; /* info: the calls asked for; chain: file, parameters;
			  * run: program, arguments; name_count of them, and a NULL */
	int name_count;
	char error[320]; /* why options_parse failed, in a sentence */
};

/*
 * Reads a command line. Returns 0, or -EINVAL with ret_options->error set. Prints nothing and never
 * exits. getopt_long reorders argv and keeps its state in globals: one thread at a time.
 */
int options_parse(struct options *ret_options, int argc, char **argv);

#endif
