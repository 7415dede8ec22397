/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum {
	OPTION_HELP = 'h',
	OPTION_VERSION = 'V',
	OPTION_OUTPUT = 'o',
	OPTION_JSON = 256,
	OPTION_QUICK,
	OPTION_DIR,
	OPTION_FILE,
	OPTION_DOT,
	OPTION_RUN,
	OPTION_AIO,
	OPTION_POSIX_AIO,
	OPTION_STATS,
	OPTION_ENGINE
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

static const struct option chain_options[] = {
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "dot", no_argument, NULL, OPTION_DOT },
	{ "run", no_argument, NULL, OPTION_RUN },
	{ "output", required_argument, NULL, OPTION_OUTPUT },
	{ NULL, 0, NULL, 0 },
};

static const struct option run_options[] = {
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "aio", no_argument, NULL, OPTION_AIO },
	{ "posix-aio", no_argument, NULL, OPTION_POSIX_AIO },
	{ "stats", optional_argument, NULL, OPTION_STATS },
	{ "engine", required_argument, NULL, OPTION_ENGINE },
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
	const char *letters;
	const struct option *options;
	const char *usage;
} commands[] = {
	{ "help", COMMAND_HELP, ":hV", plain_options, USAGE_HELP },
	{ "version", COMMAND_VERSION, ":hV", plain_options, USAGE_VERSION },
	{ "info", COMMAND_INFO, ":h", info_options, USAGE_INFO },
	{ "demo", COMMAND_DEMO, ":h", demo_options, USAGE_DEMO },
	{ "chain", COMMAND_CHAIN, ":ho:", chain_options, USAGE_CHAIN },
	/* + ends the options at the program's name: what follows is the program's. */
	{ "run", COMMAND_RUN, "+:h", run_options, USAGE_RUN },
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

/* A word too many, or one that is no word of the command, which is one of the table. */
static int refuse_word(struct options *options, const char *what, const char *word)
{
	size_t i = 0;

	while (i + 1 < COMMANDS && commands[i].command != options->command)
		i++;
	snprintf(options->error, sizeof options->error, "%s '%.80s': write %s", what, word,
		 commands[i].usage);
	return -EINVAL;
}

/* Nothing where something has to be. */
static int refuse_lack(struct options *options, const char *what, const char *usage)
{
	snprintf(options->error, sizeof options->error, "%s: write %s", what, usage);
	return -EINVAL;
}

static int take_path(struct options *options, const char **ret_path, const char *option)
{
	if (optarg[0] == '\0')
		return refuse(options, "empty path for", option, "name a file or a folder");
	*ret_path = optarg;
	return 0;
}

/* Where statistics go: to a file, or, without one, to the standard error. */
static int take_stats(struct options *options)
{
	if (optarg != NULL && optarg[0] == '\0')
		return refuse(options, "no file is named by", "--stats=",
			      "name one, or write --stats alone for the standard error");
	options->stats = optarg != NULL ? optarg : "-";
	return 0;
}

static int take_engine(struct options *options)
{
	static const char *const names[] = { "auto", "inline", "threads", "ready", "uring" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcmp(optarg, names[i]) == 0) {
			options->engine = optarg;
			return 0;
		}
	}
	return refuse(options, "unknown engine", optarg,
		      "the engines are auto, inline, threads, ready and uring");
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
	case OPTION_DOT:
		options->dot = true;
		return 0;
	case OPTION_RUN:
		options->run = true;
		return 0;
	case OPTION_AIO:
		options->aio = true;
		return 0;
	case OPTION_POSIX_AIO:
		options->posix_aio = true;
		return 0;
	case OPTION_STATS:
		return take_stats(options);
	case OPTION_ENGINE:
		return take_engine(options);
	case OPTION_DIR:
		return take_path(options, &options->dir, "--dir");
	case OPTION_FILE:
		return take_path(options, &options->file, "--file");
	case OPTION_OUTPUT:
		return take_path(options, &options->output, "--output");
	default:
		return -EINVAL;
	}
}

/* The file of a chain, and its parameters. */
static int take_chain(struct options *options, int count, char **operand)
{
	if (count == 0)
		return refuse_lack(options, "no FILE with a chain is named (- is standard input)",
				   USAGE_CHAIN);
	if (count > 1 && !options->run)
		return refuse(options, "unexpected argument", operand[1],
			      "parameters are for a chain that is run, with --run");
	if (options->dot && options->json)
		return refuse(options, "two answers asked for by", "--dot --json", "choose one");
	options->names = operand;
	options->name_count = count;
	return 0;
}

/* The program and its arguments. Without a choice of interfaces, all of them. */
static int take_program(struct options *options, int count, char **operand)
{
	if (count == 0)
		return refuse_lack(options, "no PROGRAM to run is named", USAGE_RUN);
	if (!options->aio && !options->posix_aio)
		options->aio = options->posix_aio = true;
	options->names = operand;
	options->name_count = count;
	return 0;
}

/* What is left after the options. */
static int take_operands(struct options *options, int count, char **operand)
{
	switch (options->command) {
	case COMMAND_CHAIN:
		return take_chain(options, count, operand);
	case COMMAND_RUN:
		return take_program(options, count, operand);
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
		if (count > 1)
			return refuse(options, "unexpected argument", operand[1],
				      "ask for help on one command at a time");
		if (options->topic != COMMAND_NONE)
			return refuse(options, "unexpected argument", operand[0],
				      "--help stands alone");
		return refuse(options, "no help on", operand[0],
			      "the commands are info, chain, run, demo, version and help");
	default:
		if (count == 0)
			return 0;
		return refuse_word(options, "unexpected argument", operand[0]);
	}
}

static int parse_command(struct options *options, size_t command, int argc, char **argv)
{
	const char *letters = commands[command].letters;
	int option;

	/* Zero makes both glibc and musl forget what an earlier command line left behind. */
	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, letters, commands[command].options, NULL)) != -1) {
		/* After a failure getopt has moved past the word at fault. */
		const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "";
		int err;

		if (option == ':')
			return refuse_word(options, "no value after", word);
		if (option == '?')
			return refuse_word(options, "unknown option", word);
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
		return parse_command(options, find_command("help"), argc, argv);
	i = find_command(argv[1]);
	if (i == COMMANDS)
		return refuse(options, "unknown command", argv[1],
			      "the commands are info, chain, run, demo, version and help");
	options->command = commands[i].command;
	return parse_command(options, i, argc - 1, argv + 1);
}
