/* SPDX-License-Identifier: MIT */
/* Contract: without io_uring everything works the same, and the reason can be asked for. */
#include "blocked.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* One of everything that the other programs test at length. */
static void works(void)
{
	struct asys_queue *q = open_queue();
	struct stage stage;
	char buf[16] = "";
	asys_id id, use;
	int file = memory_file();

	warm_up(q);
	stage_open(&stage);
	check_eq(result_of(q, submit(q, SYS_pwrite64, file, "fallback", 8, 0)), 8);
	id = submit(q, SYS_pread64, file, buf, sizeof(buf), 0);
	use = submit_refs(q, SYS_lseek, ASYS_CALL_REF(1), file, id.value, SEEK_SET);
	check_eq(result_of(q, use), 8);
	check_eq(result_of(q, id), 8);
	check(!strcmp(buf, "fallback"));
	for (unsigned i = 0; i < blocked_count; i++) {
		id = blocked_kinds[i].send(q, &stage);
		check_eq(asys_queue_flush(q), 0);
		sleep_ms(1);
		check_eq(asys_queue_cancel(q, id), 0);
		check_eq(result_of(q, id), -ECANCELED);
		id = blocked_kinds[i].send(asys_deadline(q, asys_now() + 1000000), &stage);
		check_eq(result_of(q, id), -ETIME);
	}
	stage_check_untouched(&stage);
	stage_close(&stage);
	asys_queue_close(q);
	close(file);
}

static int refused(void *arg)
{
	const int error = *(const int *)arg;
	const struct asys_probe *probe;
	struct asys_queue_options options;
	struct asys_queue *q = NULL;
	struct asys_stats stats;

	deny_uring(error);
	probe = asys_probe();
	check(probe->uring_why && probe->uring_why[0]);
	check(probe->uring < 0);
	/* built without io_uring: never asked */
	if (probe->uring != -EOPNOTSUPP)
		check_eq(probe->uring, -error);
	check(strcmp(probe->uring_why, "usable") != 0);
	check(probe == asys_probe());
	works();

	/* asking for it is a preference ... */
	asys_queue_options_init(&options);
	options.engine = ASYS_ENGINE_URING;
	q = open_with(&options);
	warm_up(q);
	check_eq(asys_queue_stats(q, &stats), 0);
	check_eq(stats.by_engine[ASYS_ENGINE_URING], 0);
	asys_queue_close(q);
	/* ... except for its own thread */
	if (!getenv("ASYS_ENGINE") || engine_forced("uring")) {
		int err;

		options.flags = ASYS_QUEUE_SQPOLL;
		err = asys_queue_open(&q, &options);
		check(err == -error || err == -EOPNOTSUPP || err == -ENOSYS);
		check_says(asys_message(), "io_uring");
	}
	/* what would serve a call is said without it */
	for (uint32_t nr = 0; nr < asys_syscall_count(); nr++)
		check(asys_engine_for(NULL, nr, NULL) != ASYS_ENGINE_URING);
	return 0;
}

static void test_refused_eperm(void **state)
{
	int error = EPERM;

	(void)state;
	check_child(refused, &error);
}

static void test_refused_enosys(void **state)
{
	int error = ENOSYS;

	(void)state;
	check_child(refused, &error);
}

/* The kernel has a ring, but refuses to enter or to register: found out late. */
static int refused_late(void *arg)
{
	deny_call(*(const long *)arg, EPERM);
	works();
	return 0;
}

static void test_refused_enter(void **state)
{
	long nr = SYS_io_uring_enter;

	(void)state;
	check_child(refused_late, &nr);
}

static void test_refused_register(void **state)
{
	long nr = SYS_io_uring_register;

	(void)state;
	check_child(refused_late, &nr);
}

/* Old kernels, or filters, that lack what the engines like to use. */
static int without(void *arg)
{
	deny_uring(ENOSYS);
	deny_call(*(const long *)arg, ENOSYS);
	works();
	return 0;
}

static void test_without_helpers(void **state)
{
	static long numbers[] = { SYS_membarrier, SYS_preadv2, SYS_epoll_pwait2, SYS_pidfd_open };

	(void)state;
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		int code = run_in_child(without, &numbers[i], 60);

		if (code)
			fprintf(stderr, "without system call %ld\n", numbers[i]);
		check_eq(code, 0);
	}
}

static void test_probe(void **state)
{
	const struct asys_probe *probe = asys_probe();
	const char *why;

	(void)state;
	check(probe && probe == asys_probe());
	check(probe->uring <= 0);
	check(probe->uring_why && probe->uring_why[0]);
	check(probe->cores >= 1);
	for (uint32_t nr = 0; nr < asys_syscall_count(); nr++) {
		const struct asys_syscall_info *info = asys_syscall_info(nr);
		int engine;

		why = NULL;
		engine = asys_engine_for(NULL, nr, &why);
		if (!info)
			continue;
		if (info->class_ == ASYS_CLASS_NEVER) {
			check_eq(engine, -EOPNOTSUPP);
			continue;
		}
		check(engine > ASYS_ENGINE_AUTO && engine < ASYS_ENGINE_COUNT);
		check(why && why[0]);
		check(asys_engine_name(engine) && asys_engine_name(engine)[0]);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_refused_eperm),	contract(test_refused_enosys),
		contract(test_refused_enter),	contract(test_refused_register),
		contract(test_without_helpers), contract(test_probe),
	};

	return group(tests, argc, argv);
}
