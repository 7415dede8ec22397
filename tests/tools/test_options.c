/* SPDX-License-Identifier: MIT */
/* The command line of `asys`: what is understood, and what is refused with a reason. */
#include "options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ARGS_MAX 16

/* getopt reorders argv, so each line is cut anew. */
static char line_copy[256];
static char *args[ARGS_MAX + 1];

static int parse(struct options *options, const char *line)
{
	int argc = 0;

	snprintf(line_copy, sizeof line_copy, "%s", line);
	for (char *word = strtok(line_copy, " "); word != NULL; word = strtok(NULL, " "))
		args[argc++] = word;
	args[argc] = NULL;
	return options_parse(options, argc, args);
}

static void good_lines(void **state)
{
	static const struct {
		const char *line;
		enum command command, topic;
		int names;
	} lines[] = {
		{ "asys", COMMAND_HELP, COMMAND_NONE, 0 },
		{ "asys --help", COMMAND_HELP, COMMAND_NONE, 0 },
		{ "asys -h", COMMAND_HELP, COMMAND_NONE, 0 },
		{ "asys help", COMMAND_HELP, COMMAND_NONE, 0 },
		{ "asys help demo", COMMAND_HELP, COMMAND_DEMO, 0 },
		{ "asys demo --help", COMMAND_HELP, COMMAND_DEMO, 0 },
		{ "asys info -h", COMMAND_HELP, COMMAND_INFO, 0 },
		{ "asys -V", COMMAND_VERSION, COMMAND_NONE, 0 },
		{ "asys --version", COMMAND_VERSION, COMMAND_NONE, 0 },
		{ "asys version", COMMAND_VERSION, COMMAND_NONE, 0 },
		{ "asys info", COMMAND_INFO, COMMAND_NONE, 0 },
		{ "asys info read write 17", COMMAND_INFO, COMMAND_NONE, 3 },
		{ "asys info read --json write", COMMAND_INFO, COMMAND_NONE, 2 },
		{ "asys info -- --json", COMMAND_INFO, COMMAND_NONE, 1 },
		{ "asys demo", COMMAND_DEMO, COMMAND_NONE, 0 },
		{ "asys chain file", COMMAND_CHAIN, COMMAND_NONE, 1 },
		{ "asys chain -", COMMAND_CHAIN, COMMAND_NONE, 1 },
		{ "asys chain --dot -o out file", COMMAND_CHAIN, COMMAND_NONE, 1 },
		{ "asys chain --run file a b c", COMMAND_CHAIN, COMMAND_NONE, 4 },
		{ "asys chain file a --run -- -b --dot", COMMAND_CHAIN, COMMAND_NONE, 4 },
		{ "asys chain -h", COMMAND_HELP, COMMAND_CHAIN, 0 },
		{ "asys help chain", COMMAND_HELP, COMMAND_CHAIN, 0 },
		{ "asys run ls", COMMAND_RUN, COMMAND_NONE, 1 },
		{ "asys run -- ls", COMMAND_RUN, COMMAND_NONE, 1 },
		{ "asys run --aio ls -l --stats -- x", COMMAND_RUN, COMMAND_NONE, 5 },
		{ "asys run -- --odd -h", COMMAND_RUN, COMMAND_NONE, 2 },
		{ "asys run -h", COMMAND_HELP, COMMAND_RUN, 0 },
		{ "asys help run", COMMAND_HELP, COMMAND_RUN, 0 },
	};
	struct options options;

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		if (parse(&options, lines[i].line) != 0)
			fail_msg("%s: refused: %s", lines[i].line, options.error);
		if (options.command != lines[i].command || options.topic != lines[i].topic ||
		    options.name_count != lines[i].names)
			fail_msg("%s: command %d, topic %d, %d names", lines[i].line,
				 (int)options.command, (int)options.topic, options.name_count);
		assert_string_equal(options.error, "");
	}
}

static void values(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(&options, "asys demo --quick --dir /a --file=/b --json"), 0);
	assert_true(options.quick);
	assert_true(options.json);
	assert_string_equal(options.dir, "/a");
	assert_string_equal(options.file, "/b");
	assert_int_equal(parse(&options, "asys info --json read"), 0);
	assert_true(options.json);
	assert_false(options.quick);
	assert_null(options.dir);
	assert_string_equal(options.names[0], "read");
	assert_int_equal(parse(&options, "asys chain --run file -oout a --dot"), 0);
	assert_true(options.run);
	assert_true(options.dot);
	assert_string_equal(options.output, "out");
	assert_string_equal(options.names[0], "file");
	assert_string_equal(options.names[1], "a");
	assert_int_equal(parse(&options, "asys run ls"), 0);
	assert_true(options.aio);
	assert_true(options.posix_aio);
	assert_null(options.stats);
	assert_null(options.engine);
	assert_int_equal(parse(&options, "asys run --posix-aio --stats --engine uring ls -l"), 0);
	assert_false(options.aio);
	assert_true(options.posix_aio);
	assert_string_equal(options.stats, "-");
	assert_string_equal(options.engine, "uring");
	assert_string_equal(options.names[1], "-l");
	assert_null(options.names[2]);
	assert_int_equal(parse(&options, "asys run --aio --stats=out ls"), 0);
	assert_true(options.aio);
	assert_false(options.posix_aio);
	assert_string_equal(options.stats, "out");
}

static void bad_lines(void **state)
{
	static const struct {
		const char *line, *reason; /* a part of it */
	} lines[] = {
		{ "asys frobnicate", "unknown command 'frobnicate'" },
		{ "asys --frobnicate", "unknown option '--frobnicate'" },
		{ "asys info --quick", "unknown option '--quick'" },
		{ "asys info -x", "unknown option '-x': write asys info [CALL...]" },
		{ "asys demo --dir", "no value after '--dir': write asys demo [--quick]" },
		{ "asys demo --file=", "empty path for '--file'" },
		{ "asys demo /usr", "unexpected argument '/usr': write asys demo [--quick]" },
		{ "asys demo --quick=1", "unknown option" },
		{ "asys version 1", "unexpected argument '1': write asys version" },
		{ "asys help frobnicate", "no help on 'frobnicate': the commands are info" },
		{ "asys help demo info", "unexpected argument 'info': ask for help on one" },
		{ "asys chain",
		  "no FILE with a chain is named (- is standard input): write asys chain [--dot]" },
		{ "asys chain --dot file a", "unexpected argument 'a'" },
		{ "asys chain --dot --json file", "choose one" },
		{ "asys chain file -o", "no value after '-o'" },
		{ "asys chain file --output=", "empty path for '--output'" },
		{ "asys run", "no PROGRAM to run is named: write asys run [--aio]" },
		{ "asys run --aio --", "no PROGRAM to run is named: write asys run [--aio]" },
		{ "asys run --engine fast ls", "unknown engine 'fast'" },
		{ "asys run --engine", "no value after '--engine'" },
		{ "asys run --stats= ls", "no file is named by '--stats='" },
		{ "asys run --stats= ls", "--stats alone" },
		{ "asys run --json ls", "unknown option '--json'" },
		{ "asys run --aio=1 ls", "unknown option" },
		{ "asys chain --run file -5", "unknown option '-5'" },
	};
	struct options options;

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		int err = parse(&options, lines[i].line);

		if (err != -EINVAL || strstr(options.error, lines[i].reason) == NULL)
			fail_msg("%s: %d, '%s'", lines[i].line, err, options.error);
	}
}

/* A refused line leaves nothing behind that the next one meets. */
static void no_memory(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(&options, "asys demo --quick -x --json"), -EINVAL);
	assert_int_equal(parse(&options, "asys info a b c"), 0);
	assert_int_equal(options.name_count, 3);
	assert_string_equal(options.names[0], "a");
	assert_false(options.json);
	assert_int_equal(options_parse(&options, 0, NULL), 0);
	assert_int_equal(options.command, COMMAND_HELP);
}

static void long_words(void **state)
{
	char word[5000];
	char name[] = "asys";
	char *argv[] = { name, word, NULL };
	struct options options;

	(void)state;
	memset(word, 'x', sizeof word - 1);
	word[sizeof word - 1] = '\0';
	assert_int_equal(options_parse(&options, 2, argv), -EINVAL);
	assert_true(strlen(options.error) < sizeof options.error);
	word[0] = '-';
	assert_int_equal(options_parse(&options, 2, argv), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_lines), cmocka_unit_test(values),
		cmocka_unit_test(bad_lines),  cmocka_unit_test(no_memory),
		cmocka_unit_test(long_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
