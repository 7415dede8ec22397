/* SPDX-License-Identifier: MIT */
/* A program in words. */
#include "program.h"

#include <stdio.h>
#include <string.h>

static const char *const object_names[O_KINDS] = {
	"pipe",	    "stream pair", "datagram pair", "seqpacket pair", "TCP pair",
	"UDP pair", "listener",	   "eventfd",	    "timerfd",	      "signalfd",
	"inotify",  "epoll",	   "pidfd",	    "terminal",	      "file",
	"folder",   "FIFO",	   "device",	    "locked file",    "futex"
};

static const char *const flag_names[] = { "nonblock 0", "nonblock 1", "closed 0", "closed 1",
					  "small",	"semaphore",  "peer",	  "armed",
					  "shut down",	"on disk",    "low mark" };

static const char *const step_names[] = { "feeds",   "drains", "closes",  "shuts down",	    "wakes",
					  "unlocks", "counts", "signals", "makes a name at" };

const char *driver_name(unsigned driver)
{
	static const char *const name[D_DRIVERS] = { "one",	  "many",   "barrier",
						     "poll",	  "fd",	    "thread",
						     "thread-fd", "shared", "shared-one" };

	return driver < D_DRIVERS ? name[driver] : NULL;
}

static void print_number(uint64_t value)
{
	const uint64_t k = value - FD_FIRST;

	if (k < FDS_MAX)
		printf("%llu.%llu", (unsigned long long)k / 4, (unsigned long long)k % 4);
	else if (value == FD_FOLDER)
		printf("folder");
	else if (value == FD_CLOSED)
		printf("closed");
	else if (value < 100000 || -value < 100000)
		printf("%lld", (long long)value);
	else
		printf("0x%llx", (unsigned long long)value);
}

static void print_words(const char *before, const struct arg *arg)
{
	printf("%s{", before);
	for (unsigned k = 0; k < arg->count; k++)
		printf("%s0x%llx", k ? ", " : "", (unsigned long long)arg->word[k]);
	printf("}");
}

static void print_arg(const struct arg *arg)
{
	switch (arg->kind) {
	case A_NUMBER:
		print_number(arg->value);
		break;
	case A_RESULT:
		printf("result %llu", (unsigned long long)arg->value);
		break;
	case A_OUT:
		printf("room %u", arg->size);
		break;
	case A_DATA:
		printf("data %u", arg->size);
		break;
	case A_WORDS:
		print_words("", arg);
		break;
	case A_TEXT:
		if (arg->value < 16 + 3 * OBJECTS_MAX)
			printf("\"%.20s\"", text_of(arg->value));
		else
			printf("address");
		break;
	case A_BAD:
		printf("bad %d", (int)arg->value);
		break;
	case A_EDGE:
		printf("edge %u", arg->size);
		break;
	case A_FUTEX:
		printf("word of %llu", (unsigned long long)arg->value);
		break;
	default:
		print_words(arg->kind == A_VECTOR_OUT || arg->kind == A_MESSAGE_OUT ? "room " :
										      "data ",
			    arg);
	}
}

static void print_object(const struct program *program, unsigned i)
{
	const struct object *object = &program->object[i];

	printf("  object %u: %s", i, object_names[object->kind]);
	for (unsigned k = 0; k < sizeof(flag_names) / sizeof(flag_names[0]); k++)
		if (object->flags >> k & 1)
			printf(", %s", flag_names[k]);
	if (object->fill)
		printf(", filled with %u", object->fill);
	if (object->open_flags)
		printf(", opened with 0%o", object->open_flags);
	if (object->receive_us)
		printf(", SO_RCVTIMEO %u us", object->receive_us);
	if (object->send_us)
		printf(", SO_SNDTIMEO %u us", object->send_us);
	printf("\n");
}

static void print_modifiers(const struct program *program, const struct op *op)
{
	static const char *const link_names[] = { "after", "after_ok", "after_error" };

	for (unsigned k = 0; k < op->links; k++)
		if (!program->op[op->link[k].op].dropped)
			printf(" %s %u", link_names[op->link[k].kind], op->link[k].op);
	if (op->quiet)
		printf(" quiet");
	if (op->priority)
		printf(op->priority > 0 ? " high" : " low");
	if (op->cancel)
		printf(" cancelled");
	if (op->deadline_us)
		printf(" deadline %u us", op->deadline_us);
	if (op->endless)
		printf(" endless");
}

static void print_op(const struct program *program, unsigned i)
{
	const struct op *op = &program->op[i];
	const struct asys_syscall_info *info = asys_syscall_info(op->nr);

	printf("  %2u %s(", i, info ? info->name : "?");
	for (unsigned k = 0; k < op->args; k++) {
		printf("%s", k ? ", " : "");
		print_arg(&op->arg[k]);
	}
	printf(")");
	print_modifiers(program, op);
	printf("\n");
}

void program_print(const struct program *program)
{
	bool cancels = false;

	for (unsigned i = 0; i < program->objects; i++)
		print_object(program, i);
	for (unsigned i = 0; i < program->steps; i++)
		printf("  the peer %s %u.%u, %u us after the beginning: %u bytes\n",
		       step_names[program->step[i].kind], program->step[i].object,
		       program->step[i].end, program->step[i].at_us, program->step[i].size);
	for (unsigned k = 0; k < program->ops; k++) {
		const unsigned i = program->order[k];

		if (!program->op[i].dropped)
			print_op(program, i);
		cancels = cancels || (program->op[i].cancel && !program->op[i].dropped);
	}
	if (cancels)
		printf("  cancelled %u us after sending\n", program->cancel_us);
	if (program->stepped)
		printf("  each call is sent when what it depends on has ended\n");
	if (program->busy)
		printf("  beside it, a descriptor that always has data is %s all the time\n",
		       program->busy_kind == 1 ? "polled" :
		       program->busy_kind == 2 ? "received from" :
						 "read");
	if (program->limit)
		printf("  %s is %u\n",
		       program->limit == LIMIT_FSIZE ? "RLIMIT_FSIZE" : "RLIMIT_NOFILE",
		       program->limit_to);
}
