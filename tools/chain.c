/* SPDX-License-Identifier: MIT */
/* asys chain: a chain as text is checked, drawn, run. */
#include "chain_text.h"
#include "commands.h"
#include "say.h"
#include "visible.h"

#include <asys/asys.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define TEXT_MAX ((size_t)16 << 20)
#define THE_CHAIN UINT64_MAX /* user word of the sending; those of steps are their indexes */

struct ended {
	int64_t result;
	int64_t failure; /* the first, and when: counted in events; 0: none */
	uint64_t failed;
	uint64_t runs; /* in a loop more than one; skipped ones count */
};

struct run {
	struct chain_text text;
	struct asys_chain *chain;
	char *memory;
	struct ended *ended; /* of each step, if the chain was run */
	int64_t result;
	uint64_t events;
	uint64_t params[CHAIN_PARAMS];
};

/* The whole of a file, or of standard input. The caller frees it; NULL after an error was said. */
static char *read_all(const char *file, size_t *ret_size)
{
	FILE *from = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	char *text = from == NULL ? NULL : malloc(TEXT_MAX + 1);
	bool bad;

	if (text == NULL) {
		say_error(-errno, "cannot read the chain '%s'", file);
		if (from != NULL && from != stdin)
			fclose(from);
		return NULL;
	}
	*ret_size = fread(text, 1, TEXT_MAX + 1, from);
	bad = ferror(from) != 0;
	if (bad)
		say_error(-errno, "cannot read the chain '%s'", file);
	else if (*ret_size > TEXT_MAX)
		say_error(0, "the chain '%s' is longer than %zu bytes: write it smaller", file,
			  TEXT_MAX);
	if (from != stdin)
		fclose(from);
	if (bad || *ret_size > TEXT_MAX) {
		free(text);
		return NULL;
	}
	return text;
}

static int load(struct run *run, const struct options *options)
{
	const char *file = options->names[0];
	size_t size;
	char *source = read_all(file, &size);
	int err;

	if (source == NULL)
		return -EIO;
	err = chain_parse(&run->text, strcmp(file, "-") == 0 ? "standard input" : file, source,
			  size);
	free(source);
	if (err == 0 && run->text.bytes > 0) {
		void *memory = mmap(NULL, run->text.bytes, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (memory == MAP_FAILED)
			return say_error(-errno,
					 "no memory for the %" PRIu64 " bytes that '%s' "
					 "declares",
					 run->text.bytes, file);
		run->memory = memory;
	}
	if (err == 0)
		err = chain_build(&run->chain, &run->text, run->memory,
				  options->dot && options->run ? ASYS_CHAIN_RECORD : 0,
				  options->run);
	if (err < 0)
		say_error(0, "%s", run->text.error);
	return err;
}

/* Their words, from the command line. */
static int take_params(struct run *run, const struct options *options)
{
	const int given = options->name_count - 1;
	struct chain_text numbers = { .file = run->text.file };

	if (given != (int)run->text.params) {
		say_error(0, "'%s' takes %u parameters, here are %d: give them behind the file",
			  run->text.file, run->text.params, given);
		return -EINVAL;
	}
	for (int i = 0; i < given; i++) {
		char *word = options->names[1 + i];
		int64_t number;

		run->params[i] = (uint64_t)(uintptr_t)word;
		if (run->text.param_use[i] != PARAM_NUMBER)
			continue;
		if (chain_number(&numbers, word, &number) < 0) {
			say_error(0,
				  "parameter %d is to be a number: write it as C does, or as names "
				  "of constants with | between",
				  i + 1);
			return -EINVAL;
		}
		run->params[i] = (uint64_t)number;
	}
	return 0;
}

static void note(struct run *run, const struct asys_event *event)
{
	struct ended *ended;

	if (event->user == THE_CHAIN) {
		run->result = event->result;
		return;
	}
	ended = &run->ended[event->user];
	run->events++;
	ended->runs++;
	ended->result = event->result;
	if (event->result < 0 && ended->failed == 0) {
		ended->failed = run->events;
		ended->failure = event->result;
	}
}

static int send_chain(struct run *run, struct asys_queue *q)
{
	struct asys_event event = { .user = 0 };
	const uint64_t *p = run->params;
	asys_id id = asys_chain_send(asys_user(q, THE_CHAIN), run->chain, p[0], p[1], p[2], p[3],
				     p[4], p[5]);

	if (id.value < 0)
		return (int)id.value;
	while (event.user != THE_CHAIN) {
		int n = asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER);

		if (n == 1)
			note(run, &event);
		else if (n != -EINTR)
			return n < 0 ? n : -EIO;
	}
	/* Reports that come behind the chain's own event. */
	while (asys_queue_get(q, &event) == 1)
		note(run, &event);
	return 0;
}

static int run_chain(struct run *run)
{
	struct asys_queue *q;
	int err;

	run->ended = calloc(run->text.step_count, sizeof *run->ended);
	if (run->ended == NULL)
		return say_error(-ENOMEM, "cannot run '%s'", run->text.file);
	err = asys_queue_open(&q, NULL);
	if (err == 0) {
		err = send_chain(run, q);
		if (err < 0)
			say_error(err, "cannot run '%s': %s", run->text.file, asys_message());
		asys_queue_close(q);
	} else {
		say_error(0, "%s", asys_message());
	}
	return err;
}

static bool may_fail(const struct chain_text *text, const struct step *step)
{
	for (size_t i = 0; i < step->modifiers; i++)
		if (text->modifiers[step->modifier + i].kind == MODIFIER_MAY_FAIL)
			return true;
	return false;
}

/* The step whose failure became the chain's, or NULL. */
static const struct step *guilty(const struct run *run)
{
	const struct step *found = NULL;
	uint64_t when = UINT64_MAX;

	for (size_t i = 0; i < run->text.step_count; i++) {
		const struct ended *ended = &run->ended[i];

		if (ended->failed == 0 || ended->failed >= when || ended->failure != run->result ||
		    may_fail(&run->text, &run->text.steps[i]))
			continue;
		when = ended->failed;
		found = &run->text.steps[i];
	}
	return found;
}

static void say_failure(const struct run *run)
{
	const struct step *step = guilty(run);

	if (step != NULL)
		say_error((int)run->result, "%s:%u: %s failed", run->text.file, step->line,
			  step->verb == VERB_TIMER ? "timer" : step->call->name);
	else
		say_error((int)run->result, "%s: the chain failed", run->text.file);
}

static void add_steps(cJSON *root, const struct run *run)
{
	cJSON *array = cJSON_AddArrayToObject(root, "steps");

	for (size_t i = 0; i < run->text.step_count; i++) {
		const struct step *step = &run->text.steps[i];
		cJSON *object;

		if (step->verb != VERB_CALL && step->verb != VERB_TIMER)
			continue;
		object = cJSON_CreateObject();
		cJSON_AddNumberToObject(object, "line", step->line);
		if (step->name != NULL)
			cJSON_AddStringToObject(object, "name", step->name);
		cJSON_AddStringToObject(object, "call",
					step->call != NULL ? step->call->name : "timer");
		if (run->ended != NULL) {
			cJSON_AddNumberToObject(object, "runs", (double)run->ended[i].runs);
			cJSON_AddNumberToObject(object, "result", (double)run->ended[i].result);
		}
		cJSON_AddItemToArray(array, object);
	}
}

static int print_json(const struct run *run, FILE *out)
{
	cJSON *root = cJSON_CreateObject();
	char *text;

	cJSON_AddStringToObject(root, "file", run->text.file);
	cJSON_AddNumberToObject(root, "parameters", run->text.params);
	if (run->ended != NULL) {
		cJSON_AddNumberToObject(root, "result", (double)run->result);
		if (run->result < 0 && run->result >= -4095)
			cJSON_AddStringToObject(root, "error", strerror((int)-run->result));
	}
	add_steps(root, run);
	text = cJSON_Print(root);
	cJSON_Delete(root);
	if (text == NULL)
		return say_error(-ENOMEM, "cannot build the JSON text");
	fprintf(out, "%s\n", visible_only(text, "\n\t"));
	cJSON_free(text);
	return 0;
}

static int print_to(const struct run *run, const struct options *options, FILE *out)
{
	char shown[VISIBLE_MAX];

	if (options->dot)
		return asys_chain_dot(run->chain, out);
	if (options->json)
		return print_json(run, out);
	if (options->run)
		fprintf(out, "result %" PRId64 "\n", run->result);
	else
		fprintf(out, "%s: %" PRIu32 " steps, %u parameters\n",
			visible_copy(shown, run->text.file), asys_chain_steps(run->chain),
			run->text.params);
	return 0;
}

/* Before the chain runs: what it did would not be told. */
static int open_output(FILE **ret_out, const struct options *options)
{
	FILE *out = options->output == NULL ? stdout : fopen(options->output, "we");

	if (out == NULL)
		return say_error(-errno, "cannot open '%s' for the output", options->output);
	*ret_out = out;
	return 0;
}

static int print(const struct run *run, const struct options *options, FILE *out)
{
	int err = print_to(run, options, out);

	if (out != stdout && fclose(out) && !err)
		err = -errno;
	if (err == -EIO || err == -ENOSPC)
		say_error(err, "cannot write '%s'", out == stdout ? "the output" : options->output);
	return err;
}

int command_chain(const struct options *options)
{
	struct run run = { .result = 0 };
	int err = load(&run, options);
	FILE *out = NULL;

	if (err == 0 && options->run)
		err = take_params(&run, options);
	if (err == 0)
		err = open_output(&out, options);
	if (err == 0 && options->run)
		err = run_chain(&run);
	if (err < 0 && out != NULL && out != stdout)
		fclose(out);
	if (err == 0) {
		err = print(&run, options, out);
		if (run.result < 0)
			say_failure(&run);
	}
	asys_chain_close(run.chain);
	if (run.memory != NULL)
		munmap(run.memory, run.text.bytes);
	chain_text_free(&run.text);
	free(run.ended);
	return err < 0 || run.result < 0 ? STATUS_FAILED : STATUS_OK;
}
