/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum {
	OPTION_HELP = 'h',
	OPTION_VERSION = 'V',
	OPTION_JSON = 256,
	OPTION_QUICK,
	OPTION_DIR,
	OPTION_FILE
};

/* Which options a command takes is in its own table, so that getopt refuses the others. */
static const struct option info_options[] = {
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ NULL, 0, NULL, 0 },
};

static const struct option demo_options[] = {
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "quick", no_argument, NULL, OPTION_QUICK },
	{ "dir", required_argument, NULL, OPTION_DIR },
	{ "file", required_argument, NULL, OPTION_FILE },
	{ NULL, 0, NULL, 0 },
};

static const struct option plain_options[] = {
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static const struct {
	const char *name;
	enum command command;
	const struct option *options;
} commands[] = {
	{ "help", COMMAND_HELP, plain_options },
	{ "version", COMMAND_VERSION, plain_options },
	{ "info", COMMAND_INFO, info_options },
	{ "demo", COMMAND_DEMO, demo_options },
};

#define COMMANDS (sizeof commands / sizeof *commands)

static int refuse(struct options *options, const char *what, const char *on, const char *hint)
{
	snprintf(options->error, sizeof options->error, "%s '%.80s': %s", what, on, hint);
	return -EINVAL;
}

static size_t find_command(const char *name)
{
	size_t i = 0;

	while (i < COMMANDS && strcmp(commands[i].name, name) != 0)
		i++;
	return i;
}

/* One option that getopt_long has recognised. */
static int apply(struct options *options, int option)
{
	switch (option) {
	case OPTION_HELP:
		options->topic = options->command == COMMAND_HELP ? COMMAND_NONE : options->command;
		options->command = COMMAND_HELP;
		return 0;
	case OPTION_VERSION:
		options->command = COMMAND_VERSION;
		return 0;
	case OPTION_JSON:
		options->json = true;
		return 0;
	case OPTION_QUICK:
		options->quick = true;
		return 0;
	case OPTION_DIR:
	case OPTION_FILE:
		if (optarg[0] == '\0')
			return refuse(options, "empty path for",
				      option == OPTION_DIR ? "--dir" : "--file",
				      "give a path that exists");
		*(option == OPTION_DIR ? &options->dir : &options->file) = optarg;
		return 0;
	default:
		return -EINVAL;
	}
}

/* What is left after the options. */
static int take_operands(struct options *options, int count, char **operand)
{
	switch (options->command) {
	case COMMAND_INFO:
		options->names = operand;
		options->name_count = count;
		return 0;
	case COMMAND_HELP:
		if (count == 0)
			return 0;
		if (count == 1 && options->topic == COMMAND_NONE &&
		    find_command(operand[0]) < COMMANDS) {
			options->topic = commands[find_command(operand[0])].command;
			return 0;
		}
		return refuse(options, "no help on", operand[count > 1],
			      "run 'asys help' for the list of commands");
	default:
		if (count == 0)
			return 0;
		return refuse(options, "unexpected argument", operand[0],
			      "this command takes options only; see 'asys help'");
	}
}

static int parse_command(struct options *options, const struct option *known, int argc, char **argv)
{
	int option;

	/* Zero makes both glibc and musl forget what an earlier command line left behind. */
	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, known == plain_options ? ":hV" : ":h", known,
				     NULL)) != -1) {
		/* After a failure getopt has moved past the word at fault. */
		const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "";
		int err;

		if (option == ':')
			return refuse(options, "no value after", word, "see 'asys help'");
		if (option == '?')
			return refuse(options, "unknown option", word,
				      "see 'asys help' for the options of each command");
		err = apply(options, option);
		if (err < 0)
			return err;
	}
	return take_operands(options, argc - optind, argv + optind);
}

int options_parse(struct options *ret_options, int argc, char **argv)
{
	struct options *options = ret_options;
	size_t i;

	memset(options, 0, sizeof *options);
	options->command = COMMAND_HELP;
	if (argc < 1)
		return 0;
	if (argc < 2 || argv[1][0] == '-')
		return parse_command(options, plain_options, argc, argv);
	i = find_command(argv[1]);
	if (i == COMMANDS)
		return refuse(options, "unknown command", argv[1],
			      "the commands are info, demo, version and help");
	options->command = commands[i].command;
	return parse_command(options, commands[i].options, argc - 1, argv + 1);
}
