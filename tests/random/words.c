/* SPDX-License-Identifier: MIT */
/* From the plain data of a call to the words that the kernel takes, and back to what can be compared. */
#include "program.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define WORD(x) ((uint64_t)(uintptr_t)(x))
#define UNTOUCHED 0x5a

static uint32_t segments_size(const struct arg *arg)
{
	uint64_t size = 0;

	for (unsigned k = 0; k < arg->count; k++)
		size += arg->word[k];
	return (uint32_t)size;
}

static bool is_message(const struct arg *arg)
{
	return arg->kind == A_MESSAGE_OUT || arg->kind == A_MESSAGE_DATA;
}

static bool is_out_vector(const struct arg *arg)
{
	return arg->kind == A_VECTOR_OUT || arg->kind == A_MESSAGE_OUT;
}

/* What lies before a vector's memory. */
static uint32_t head_size(const struct arg *arg)
{
	return (uint32_t)(arg->count * sizeof(struct iovec)) +
	       (is_message(arg) ? (uint32_t)sizeof(struct msghdr) : 0);
}

uint32_t arg_memory(const struct arg *arg)
{
	switch (arg->kind) {
	case A_OUT:
		return arg->size;
	case A_WORDS:
		return (uint32_t)(arg->count * sizeof(uint64_t));
	case A_VECTOR_OUT:
	case A_MESSAGE_OUT:
		return head_size(arg) + segments_size(arg);
	case A_VECTOR_DATA:
	case A_MESSAGE_DATA:
		return head_size(arg);
	default:
		return 0;
	}
}

void program_layout(struct program *program)
{
	uint32_t at = 0;

	for (unsigned i = 0; i < program->ops; i++)
		for (unsigned k = 0; k < program->op[i].args; k++) {
			struct arg *arg = &program->op[i].arg[k];

			arg->at = at;
			if (!program->op[i].dropped)
				at += (arg_memory(arg) + 15) & ~15u;
		}
	program->arena = at;
}

/* Iovecs and message headers; of the whole transfer, `left` bytes at most. */
static void put_vector(const struct arg *arg, const struct run *run, uint64_t left)
{
	unsigned char *at = run->arena + arg->at;
	struct iovec *vector = (void *)(at + (is_message(arg) ? sizeof(struct msghdr) : 0));
	unsigned char *out = at + head_size(arg);
	const unsigned char *data = pattern() + arg->value;

	for (unsigned k = 0; k < arg->count; k++) {
		const uint64_t size = arg->word[k] < left ? arg->word[k] : left;

		vector[k].iov_len = size;
		vector[k].iov_base = is_out_vector(arg) ? (void *)out : (void *)WORD(data);
		out += arg->word[k];
		data += arg->word[k];
		left -= size;
	}
	if (is_message(arg)) {
		struct msghdr *message = (void *)at;

		memset(message, 0, sizeof(*message));
		message->msg_iov = vector;
		message->msg_iovlen = arg->count;
	}
}

void arena_prepare(const struct program *program, struct run *run)
{
	memset(run->arena, UNTOUCHED, program->arena);
	for (unsigned i = 0; i < program->ops; i++)
		for (unsigned k = 0; k < program->op[i].args && !program->op[i].dropped; k++) {
			const struct arg *arg = &program->op[i].arg[k];

			if (arg->kind == A_WORDS)
				memcpy(run->arena + arg->at, arg->word, arg_memory(arg));
			else if (arg->kind >= A_VECTOR_OUT && arg->kind <= A_MESSAGE_DATA)
				put_vector(arg, run, UINT64_MAX);
		}
}

static uint64_t arg_word(const struct arg *arg, const struct run *run)
{
	switch (arg->kind) {
	case A_DATA:
		return WORD(pattern() + arg->value);
	case A_TEXT:
		return WORD(text_of(arg->value));
	case A_BAD:
		return bad_address(arg->value);
	case A_EDGE:
		return edge_address(arg->value) - arg->size;
	case A_FUTEX:
		return WORD(world_futex((unsigned)arg->value));
	case A_NUMBER:
		return arg->value;
	case A_RESULT:
		return (uint64_t)run->result[arg->value];
	default:
		return WORD(run->arena + arg->at);
	}
}

void op_words(const struct program *program, const struct run *run, unsigned i, int64_t part,
	      uint64_t word[6])
{
	const struct op *op = &program->op[i];

	memset(word, 0, 6 * sizeof(*word));
	for (unsigned k = 0; k < op->args; k++) {
		const struct arg *arg = &op->arg[k];

		word[k] = arg_word(arg, run);
		if (part >= 0 && arg->kind >= A_VECTOR_OUT && arg->kind <= A_MESSAGE_DATA)
			put_vector(arg, run, (uint64_t)part);
	}
	if (part >= 0 && op->size_arg)
		word[op->size_arg] = (uint64_t)part;
}

bool op_decided(const struct program *program, const struct run *run, unsigned i,
		int64_t *ret_result)
{
	const struct op *op = &program->op[i];

	for (unsigned k = 0; k < op->args; k++) {
		const struct arg *arg = &op->arg[k];

		if (arg->kind == A_RESULT && run->result[arg->value] < 0) {
			*ret_result = run->result[arg->value];
			return true;
		}
	}
	for (unsigned k = 0; k < op->links; k++) {
		const struct link *link = &op->link[k];
		const bool good = run->result[link->op] >= 0;

		if (program->op[link->op].dropped)
			continue;
		if ((link->kind == L_AFTER_OK && !good) || (link->kind == L_AFTER_ERROR && good)) {
			*ret_result = -ECANCELED;
			return true;
		}
	}
	return false;
}

bool op_decided_by(const struct program *program, const struct run *run, unsigned i, int64_t result)
{
	const struct op *op = &program->op[i];
	int64_t any;

	if (!op_decided(program, run, i, &any))
		return false;
	for (unsigned k = 0; k < op->args; k++)
		if (op->arg[k].kind == A_RESULT && run->result[op->arg[k].value] == result)
			return true;
	for (unsigned k = 0; k < op->links && result == -ECANCELED; k++) {
		const bool good = run->result[op->link[k].op] >= 0;

		if (op->link[k].kind == (good ? L_AFTER_ERROR : L_AFTER_OK))
			return true;
	}
	return false;
}

/* ---- what can be compared ------------------------------------------------------------------- */

static void settle_stat(struct stat *stat)
{
	struct stat kept = { .st_mode = stat->st_mode, .st_size = stat->st_size };

	if (S_ISDIR(stat->st_mode))
		kept.st_size = 0;
	*stat = kept;
}

static void settle_statx(struct statx *statx)
{
	struct statx kept = { .stx_mode = statx->stx_mode, .stx_size = statx->stx_size };

	if (S_ISDIR(statx->stx_mode))
		kept.stx_size = 0;
	*statx = kept;
}

/* The sum of the names, which does not depend on their order. */
static void settle_names(unsigned char *memory, uint32_t size, int64_t used)
{
	uint64_t sum = 0;
	int64_t at = 0;

	while (at < used) {
		const struct dirent64 *entry = (void *)(memory + at);

		sum += hash(0, entry->d_name, strlen(entry->d_name));
		at += entry->d_reclen;
	}
	memset(memory, 0, size);
	if (size >= sizeof(sum))
		memcpy(memory, &sum, sizeof(sum));
}

static void settle_message(const struct arg *arg, unsigned char *memory)
{
	const struct msghdr *message = (void *)memory;
	const int flags = message->msg_flags;

	memset(memory, 0, head_size(arg));
	memcpy(memory, &flags, sizeof(flags));
}

static void settle_arg(const struct op *op, const struct arg *arg, unsigned char *memory,
		       int64_t result)
{
	if (arg->kind == A_MESSAGE_OUT || arg->kind == A_MESSAGE_DATA)
		settle_message(arg, memory);
	else if (arg->kind == A_VECTOR_OUT || arg->kind == A_VECTOR_DATA)
		memset(memory, 0, head_size(arg));
	else if (arg->ignored)
		memset(memory, 0, arg_memory(arg));
	else if (arg->kind == A_OUT && result >= 0 && op->settle == S_STAT)
		settle_stat((void *)memory);
	else if (arg->kind == A_OUT && result >= 0 && op->settle == S_STATX)
		settle_statx((void *)memory);
	else if (arg->kind == A_OUT && result >= 0 && op->settle == S_NAMES)
		settle_names(memory, arg->size, result);
}

void op_settle(const struct op *op, struct run *run, int64_t result)
{
	for (unsigned k = 0; k < op->args; k++)
		settle_arg(op, &op->arg[k], run->arena + op->arg[k].at, result);
}
