/* SPDX-License-Identifier: MIT */
/* asys info: which engine serves each call here, and why. */
#include "commands.h"
#include "near.h"
#include "opcodes.h"
#include "say.h"
#include "visible.h"

#include <asys/asys.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

static const char *const class_names[] = { "any", "home", "never" };
static const char *const block_names[] = { "never", "brief", "disk", "forever" };

#define CLASSES (sizeof class_names / sizeof *class_names)

static const char *name_in(const char *const *names, size_t count, unsigned index)
{
	return index < count ? names[index] : "?";
}

#define NAME_IN(names, index) name_in(names, sizeof(names) / sizeof *(names), index)

/* Who serves a call here. */
struct served {
	const struct asys_syscall_info *info;
	const char *engine; /* or "refused" */
	const char *why;
};

static struct served serve(const struct asys_syscall_info *info)
{
	const char *why = NULL;
	int engine = asys_engine_for(NULL, info->nr, &why);

	if (engine < 0)
		return (struct served){ info, "refused", info->reason != NULL ? info->reason : "" };
	return (struct served){ info, asys_engine_name(engine), why != NULL ? why : "" };
}

static bool opcode_supported(const struct asys_probe *probe, int opcode)
{
	return probe->uring == 0 && opcode >= 0 && opcode < 256 &&
	       (probe->uring_op[opcode / 8] >> (opcode % 8) & 1) != 0;
}

/* "statx", or "statx, not here"; "-" if no opcode means the same. */
static const char *opcode_text(const struct asys_syscall_info *info, char *buffer, size_t size)
{
	const char *name = opcode_name(info->uring);

	if (info->uring < 0)
		return "-";
	if (name == NULL)
		snprintf(buffer, size, "%d", info->uring);
	else
		snprintf(buffer, size, "%s", name);
	if (!opcode_supported(asys_probe(), info->uring))
		strncat(buffer, " (not here)", size - strlen(buffer) - 1);
	return buffer;
}

static const struct asys_syscall_info *look_up(const char *name)
{
	char *end;
	unsigned long nr;

	if (name[0] < '0' || name[0] > '9')
		return asys_syscall_by_name(name);
	nr = strtoul(name, &end, 10);
	return *end == '\0' && nr <= UINT32_MAX ? asys_syscall_info((uint32_t)nr) : NULL;
}

static void say_unknown(const char *name)
{
	const char *near[NEAR_MAX];
	unsigned count = near_names(name, near);
	char shown[VISIBLE_MAX];

	fprintf(stderr, "asys: no system call '%.80s' in the table of this architecture",
		visible_copy(shown, name));
	for (unsigned i = 0; i < count; i++)
		fprintf(stderr, "%s%s",
			i == 0	      ? ": did you mean " :
			i + 1 < count ? ", " :
					" or ",
			near[i]);
	fputs(count > 0 ? "?\n" : "; 'asys info' lists them all\n", stderr);
}

/* What to show: the calls named, or all. The array is the caller's to free; NULL on failure. */
static struct served *collect(const struct options *options, size_t *ret_count)
{
	size_t room = options->name_count > 0 ? (size_t)options->name_count : asys_syscall_count();
	struct served *calls = calloc(room > 0 ? room : 1, sizeof *calls);
	size_t count = 0;

	if (calls == NULL) {
		say_error(-ENOMEM, "cannot list %zu calls", room);
		return NULL;
	}
	for (size_t i = 0; i < room; i++) {
		const struct asys_syscall_info *info = options->name_count > 0 ?
							       look_up(options->names[i]) :
							       asys_syscall_info((uint32_t)i);

		if (info != NULL) {
			calls[count++] = serve(info);
		} else if (options->name_count > 0) {
			say_unknown(options->names[i]);
			free(calls);
			return NULL;
		}
	}
	*ret_count = count;
	return calls;
}

static void print_setup_flags(uint32_t flags)
{
	for (unsigned bit = 0; bit < 32; bit++) {
		if ((flags >> bit & 1) == 0)
			continue;
		if (setup_flag_name(bit) != NULL)
			printf(" %s", setup_flag_name(bit));
		else
			printf(" bit%u", bit);
	}
}

static void print_kernel(const struct asys_probe *probe)
{
	struct utsname host;

	if (uname(&host) != 0)
		memset(&host, 0, sizeof host);
	printf("asys %s on %s %s, %s, %" PRIu32 " core%s for this thread\n", asys_version(),
	       host.sysname, host.release, host.machine, probe->cores,
	       probe->cores == 1 ? "" : "s");
	if (probe->uring == 0) {
		printf("io_uring    usable, %" PRIu32 " opcodes; set-up flags that work:",
		       probe->uring_ops);
		print_setup_flags(probe->uring_setup);
		putchar('\n');
	} else {
		printf("io_uring    not usable (%s): %s\n", strerror(-probe->uring),
		       probe->uring_why);
	}
	printf("RWF_NOWAIT  %s\n", probe->nowait ? "yes: reads that would wait are recognised" :
						   "no: no read is tried before it may block");
	printf("membarrier  %s\n",
	       probe->membarrier ? "yes" : "no: threads are woken with a fence");
}

/* How many calls each engine serves, and how many each class has. */
static void print_summary(const struct served *calls, size_t count)
{
	size_t classes[CLASSES] = { 0 };
	size_t refused = 0;

	for (size_t i = 0; i < count; i++) {
		if (calls[i].info->class_ < CLASSES)
			classes[calls[i].info->class_]++;
		refused += strcmp(calls[i].engine, "refused") == 0;
	}
	printf("calls       %zu:", count);
	for (size_t i = 0; i < CLASSES; i++)
		printf(" %zu %s%s", classes[i], class_names[i], i + 1 < CLASSES ? "," : "\n");
	printf("served by  ");
	for (int engine = 0; engine < ASYS_ENGINE_COUNT; engine++) {
		size_t served = 0;

		for (size_t i = 0; i < count; i++)
			served += strcmp(calls[i].engine, asys_engine_name(engine)) == 0;
		if (served > 0)
			printf(" %s %zu,", asys_engine_name(engine), served);
	}
	printf(" refused %zu\n\n", refused);
}

static void print_calls(const struct served *calls, size_t count)
{
	int name_width = 4, opcode_width = 8;
	char buffer[48];

	for (size_t i = 0; i < count; i++) {
		int name = (int)strlen(calls[i].info->name);
		int opcode = (int)strlen(opcode_text(calls[i].info, buffer, sizeof buffer));

		name_width = name > name_width ? name : name_width;
		opcode_width = opcode > opcode_width ? opcode : opcode_width;
	}
	printf("%3s  %-*s  %-5s  %-7s  %-*s  %-7s  %s\n", "nr", name_width, "call", "class",
	       "blocks", opcode_width, "io_uring", "engine", "why");
	for (size_t i = 0; i < count; i++) {
		const struct asys_syscall_info *info = calls[i].info;

		printf("%3u  %-*s  %-5s  %-7s  %-*s  %-7s  %s\n", info->nr, name_width, info->name,
		       NAME_IN(class_names, info->class_), NAME_IN(block_names, info->block),
		       opcode_width, opcode_text(info, buffer, sizeof buffer), calls[i].engine,
		       calls[i].why);
	}
}

static void add_probe(cJSON *root, const struct asys_probe *probe)
{
	cJSON *object = cJSON_AddObjectToObject(root, "probe");
	cJSON *uring = cJSON_AddObjectToObject(object, "io_uring");
	cJSON *flags = cJSON_AddArrayToObject(uring, "setup");

	cJSON_AddBoolToObject(uring, "usable", probe->uring == 0);
	cJSON_AddNumberToObject(uring, "error", probe->uring);
	cJSON_AddStringToObject(uring, "why", probe->uring_why);
	cJSON_AddNumberToObject(uring, "opcodes", probe->uring_ops);
	for (unsigned bit = 0; bit < 32; bit++)
		if ((probe->uring_setup >> bit & 1) != 0 && setup_flag_name(bit) != NULL)
			cJSON_AddItemToArray(flags, cJSON_CreateString(setup_flag_name(bit)));
	cJSON_AddBoolToObject(object, "nowait", probe->nowait);
	cJSON_AddBoolToObject(object, "membarrier", probe->membarrier);
	cJSON_AddNumberToObject(object, "cores", probe->cores);
}

static void add_call(cJSON *array, const struct served *call)
{
	const struct asys_syscall_info *info = call->info;
	cJSON *object = cJSON_CreateObject();

	cJSON_AddNumberToObject(object, "nr", info->nr);
	cJSON_AddStringToObject(object, "name", info->name);
	cJSON_AddStringToObject(object, "class", NAME_IN(class_names, info->class_));
	cJSON_AddStringToObject(object, "blocks", NAME_IN(block_names, info->block));
	cJSON_AddNumberToObject(object, "uring", info->uring);
	if (info->uring >= 0 && opcode_name(info->uring) != NULL)
		cJSON_AddStringToObject(object, "uring_name", opcode_name(info->uring));
	cJSON_AddBoolToObject(object, "uring_here", opcode_supported(asys_probe(), info->uring));
	cJSON_AddBoolToObject(object, "retry", (info->traits & ASYS_TRAIT_RETRY) != 0);
	cJSON_AddBoolToObject(object, "context", (info->traits & ASYS_TRAIT_CONTEXT) != 0);
	cJSON_AddStringToObject(object, "engine", call->engine);
	cJSON_AddStringToObject(object, "why", call->why);
	cJSON_AddItemToArray(array, object);
}

static int print_json(const struct served *calls, size_t count)
{
	cJSON *root = cJSON_CreateObject();
	cJSON *array;
	char *text;

	cJSON_AddStringToObject(root, "version", asys_version());
	add_probe(root, asys_probe());
	array = cJSON_AddArrayToObject(root, "calls");
	for (size_t i = 0; i < count; i++)
		add_call(array, &calls[i]);
	text = cJSON_Print(root);
	cJSON_Delete(root);
	if (text == NULL) {
		say_error(-ENOMEM, "cannot build the JSON text");
		return STATUS_FAILED;
	}
	puts(text);
	cJSON_free(text);
	return STATUS_OK;
}

int command_info(const struct options *options)
{
	size_t count;
	struct served *calls = collect(options, &count);
	int status = STATUS_OK;

	if (calls == NULL)
		return STATUS_FAILED;
	if (options->json) {
		status = print_json(calls, count);
	} else {
		print_kernel(asys_probe());
		if (options->name_count == 0)
			print_summary(calls, count);
		else
			putchar('\n');
		print_calls(calls, count);
	}
	free(calls);
	return status;
}
