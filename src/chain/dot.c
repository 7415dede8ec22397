/* SPDX-License-Identifier: MIT */
/* A chain as a picture. */
#include "chain/program.h"
#include "chain/run.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Text inside a quoted string of DOT. */
static void quoted(FILE *file, const char *text)
{
	while (*text) {
		unsigned length = harmless_length(text);

		if (*text == '"' || *text == '\\')
			fputc('\\', file);
		if (length)
			fwrite(text, 1, length, file);
		else
			fputc(*text == '\n' ? ' ' : '?', file);
		text += length ? length : 1;
	}
}

static void print_time(FILE *file, uint64_t ns)
{
	if (ns < 10000)
		fprintf(file, "%llu ns", (unsigned long long)ns);
	else if (ns < 10000000)
		fprintf(file, "%.1f us", (double)ns / 1e3);
	else
		fprintf(file, "%.1f ms", (double)ns / 1e6);
}

static void print_result(FILE *file, int64_t result)
{
	if (is_error(result))
		quoted(file, strerror((int)-result));
	else
		fprintf(file, "= %lld", (long long)result);
}

static const char *color(const struct step_record *record)
{
	if (record->skipped)
		return "gray80";
	return is_error(record->result) ? "lightpink" : "palegreen";
}

static void print_record(FILE *file, const struct step_record *record)
{
	fputs("\\n", file);
	if (record->skipped) {
		fputs("skipped", file);
		if (record->times)
			fprintf(file, " at last, %u times not", record->times);
		return;
	}
	print_result(file, record->result);
	fputs("\\nat ", file);
	print_time(file, record->begin_ns);
	fputs(", took ", file);
	print_time(file, record->end_ns - record->begin_ns);
	if (record->times > 1)
		fprintf(file, "\\n%u times", record->times);
}

static const char *shape(const struct step *step)
{
	switch ((enum step_kind)step->kind) {
	case STEP_CALL:
		return "box";
	case STEP_COMPUTE:
		return "ellipse";
	case STEP_TIMER:
		return "octagon";
	case STEP_BEGIN:
		return "house";
	case STEP_END:
		return "invhouse";
	}
	return "box";
}

static void print_step(FILE *file, const struct asys_chain *c, uint32_t k,
		       const struct step_record *record)
{
	const struct step *step = &c->steps.at[k];
	char name[160];

	step_name(c, k, name, sizeof(name));
	fprintf(file, "\tn%u [shape=%s, label=\"", k, shape(step));
	quoted(file, name);
	if (step->kind == STEP_END && step->block_kind == BLOCK_LOOP)
		fprintf(file, "\\nat most %u times", step->bound);
	if (record)
		print_record(file, &record[k]);
	fputc('"', file);
	if (record)
		fprintf(file, ", style=filled, fillcolor=%s", color(&record[k]));
	fputs("];\n", file);
}

static void print_edge(FILE *file, const struct asys_chain *c, uint32_t k, const struct when *when)
{
	static const char *const names[] = { "",	"ok",	    "error",   "zero",
					     "nonzero", "positive", "negative" };
	const char *name = names[when->condition & ~CONDITION_NOT];

	fprintf(file, "\tn%u -> n%u", when->step, k);
	if (*name && c->steps.at[when->step].kind != STEP_BEGIN)
		fprintf(file, " [label=\"%s%s\"]", when->condition & CONDITION_NOT ? "not " : "",
			name);
	else if (!*name)
		fputs(" [style=dashed]", file);
	fputs(";\n", file);
}

static void print_chain(FILE *file, const struct asys_chain *c, const struct step_record *record,
			int64_t result)
{
	fputs("digraph chain {\n\tnode [fontname=\"Helvetica\", fontsize=10];\n"
	      "\tedge [fontname=\"Helvetica\", fontsize=9];\n",
	      file);
	if (record) {
		fputs("\tlabel=\"result ", file);
		print_result(file, result);
		fputs("\";\n", file);
	}
	for (uint32_t k = 0; k < c->steps.count; k++)
		print_step(file, c, k, record);
	for (uint32_t k = 0; k < c->steps.count; k++) {
		const struct step *step = &c->steps.at[k];

		for (uint32_t w = 0; w < step->nwhen; w++)
			print_edge(file, c, k, &c->whens.at[step->first_when + w]);
		if (step->kind == STEP_END && step->block_kind == BLOCK_LOOP)
			fprintf(file,
				"\tn%u -> n%u [style=dotted, label=\"again\", constraint=false];\n",
				k, step->other);
	}
	fputs("}\n", file);
}

/* What is still in the buffer may not fit either. */
static int end_of_file(FILE *file)
{
	int err = fflush(file) ? -errno : ferror(file) ? -EIO : 0;

	if (!err)
		return 0;
	return fail(err, "asys_chain_dot: cannot write the picture: %s", strerror(-err));
}

/* Writes a copy of the record: a slow file must not stop those who end sendings, and a thread that is
 * cancelled in it must not leave a lock behind. */
ASYS_API int asys_chain_dot(struct asys_chain *c, FILE *file)
{
	size_t bytes = ((size_t)c->steps.count + 1) * sizeof(*c->record);
	struct step_record *record = malloc(bytes);
	int64_t result;
	bool recorded;
	int err, program_errno = errno;

	if (!record)
		return fail(-ENOMEM, "asys_chain_dot: no memory for the record of %u steps",
			    c->steps.count);
	pthread_mutex_lock(&c->lock);
	recorded = c->record;
	if (recorded)
		memcpy(record, c->record, bytes);
	result = c->record_result;
	pthread_mutex_unlock(&c->lock);
	pthread_cleanup_push(free, record);
	print_chain(file, c, recorded ? record : NULL, result);
	err = end_of_file(file);
	pthread_cleanup_pop(1);
	errno = program_errno;
	return err;
}
