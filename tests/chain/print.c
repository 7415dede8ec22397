/* SPDX-License-Identifier: MIT */
/* A program as text, in the form of the calls that would build it. */
#include "model.h"

#include <errno.h>
#include <stdio.h>

static const char *const condition_names[] = { "ALWAYS",  "OK",	      "ERROR",	 "ZERO",
					       "NONZERO", "POSITIVE", "NEGATIVE" };
static const char *const kind_names[] = { "work", "give",	"bad",	  "ppid", "timer",
					  "read", "write",	"sub",	  "if",	  "else",
					  "loop", "on_failure", "finally" };
static const char *const mode_names[] = { "value", "sum", "down", "odd_fails", "late_fails" };

static void print_argument(const struct argument *arg)
{
	switch (arg->source) {
	case S_STEP:
		printf(", s%u%+lld", arg->index, (long long)arg->plus);
		break;
	case S_PARAM:
		printf(", p%u%+lld", arg->index, (long long)arg->plus);
		break;
	case S_INPUT:
		printf(", load(input %u)", arg->index);
		break;
	case S_INPUT_INT:
		printf(", load_int(input %u)", arg->index);
		break;
	case S_STORED:
		printf(", load(stored s%u)", arg->index);
		break;
	default:
		printf(", %lld", (long long)arg->plus);
		break;
	}
}

static void print_node(const struct pool *pool, const struct program *program, unsigned n)
{
	const struct node *node = &program->node[n];

	printf("s%-2u %*s%s(", n, 0, "", kind_names[node->kind]);
	if (node->kind == K_WORK)
		printf("%s %lld", mode_names[node->mode], (long long)node->value);
	if (node->kind == K_TIMER)
		printf("%lld ns", (long long)node->value);
	if (node->kind == K_SUB)
		printf("chain %u", (unsigned)(node->sub - pool->program));
	if (node->kind == K_IF || node->kind == K_ELSE)
		printf("s%u %s", node->test.step, condition_names[node->test.condition]);
	if (node->kind == K_LOOP)
		printf("%u", node->bound);
	for (unsigned i = 0; i < node->args; i++)
		print_argument(&node->arg[i]);
	printf(")");
	for (unsigned i = 0; i < node->names; i++)
		printf(" when(s%u %s)", node->name[i].step,
		       condition_names[node->name[i].condition]);
	printf("%s%s%s", node->may_fail ? " may_fail" : "", node->store ? " store" : "",
	       node->report ? " report" : "");
	if (program->result == (int)n)
		printf(" RESULT");
	printf("\n");
}

static void print_body(const struct pool *pool, const struct program *program, int block,
		       int indent)
{
	const unsigned end = block < 0 ? program->count : program->node[block].last + 1u;

	for (unsigned n = (unsigned)(block + 1); n < end; n = program->node[n].last + 1u) {
		const struct node *node = &program->node[n];

		if (node->dropped)
			continue;
		printf("%*s", indent, "");
		print_node(pool, program, n);
		if (!is_block(node))
			continue;
		print_body(pool, program, (int)n, indent + 4);
		if (node->kind == K_LOOP && node->tested)
			printf("%*swhile(s%u %s)\n", indent, "", node->test.step,
			       condition_names[node->test.condition]);
		else
			printf("%*send\n", indent, "");
	}
}

void pool_print(const struct pool *pool)
{
	bool used[1 + SUBS_MAX] = { true };

	for (unsigned i = 0; i < pool->count; i++) {
		const struct program *program = &pool->program[i];

		if (!used[i])
			continue;
		printf("chain %u:\n", i);
		print_body(pool, program, -1, 4);
		for (unsigned n = 0; n < program->count; n++)
			if (program->node[n].kind == K_SUB && !program->node[n].dropped)
				used[program->node[n].sub - pool->program] = true;
	}
}
