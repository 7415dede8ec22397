/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the command line of `asys`: the input is cut at its zero bytes into arguments. Whatever
 * they are, parsing must end, keep within argv, and say why when it refuses.
 */
#include "options.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARGS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A string that options hold must be one of the arguments, or the end of one. */
static void check_string(const char *string, const char *text, size_t size)
{
	assert(string == NULL || (string >= text && string <= text + size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *argv[ARGS_MAX + 1] = { NULL };
	char *text = malloc(size + 1);
	struct options options;
	int argc = 0, err;

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	for (size_t at = 0; at <= size && argc < ARGS_MAX; at += strlen(text + at) + 1)
		argv[argc++] = text + at;
	err = options_parse(&options, argc, argv);
	assert(err == 0 || err == -EINVAL);
	assert((err == 0) == (options.error[0] == '\0'));
	assert(memchr(options.error, '\0', sizeof options.error) != NULL);
	check_string(options.dir, text, size);
	check_string(options.file, text, size);
	check_string(options.output, text, size);
	for (int i = 0; i < options.name_count; i++)
		check_string(options.names[i], text, size);
	free(text);
	return 0;
}
