/* SPDX-License-Identifier: MIT */
/* Contract: home calls run on the thread that sent them, at flush; never calls are refused. */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#if defined(__x86_64__)
#include <asm/prctl.h>
#endif

static void test_gettid(void **state)
{
	struct asys_queue *q = open_queue();

	(void)state;
	warm_up(q);
	for (unsigned i = 0; i < 100; i++)
		check_eq(result_of(q, submit(q, SYS_gettid, 0)), gettid());
	asys_queue_close(q);
}

static void test_at_flush(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event event;

	(void)state;
	submit(asys_user(q, 3), SYS_gettid, 0);
	check_eq(asys_queue_flush(q), 0);
	/* it has run: its event is there, nothing has to be waited for */
	check_eq(asys_queue_get(q, &event), 1);
	check_eq(event.result, gettid());
	check_eq(event.user, 3);
	asys_queue_close(q);
}

static void test_name(void **state)
{
	struct asys_queue *q = open_queue();
	char name[16], before[16];

	(void)state;
	check_eq(prctl(PR_GET_NAME, before), 0);
	check_eq(result_of(q, submit(q, SYS_prctl, PR_SET_NAME, "asys-home")), 0);
	check_eq(prctl(PR_GET_NAME, name), 0);
	check(!strcmp(name, "asys-home"));
	memset(name, 0, sizeof(name));
	check_eq(result_of(q, submit(q, SYS_prctl, PR_GET_NAME, name)), 0);
	check(!strcmp(name, "asys-home"));
	prctl(PR_SET_NAME, before);
	asys_queue_close(q);
}

static void test_sigaltstack(void **state)
{
	static char memory[65536];
	const stack_t mine = { .ss_sp = memory, .ss_size = sizeof(memory) };
	struct asys_queue *q = open_queue();
	stack_t before, now;

	(void)state;
	check_eq(sigaltstack(NULL, &before), 0);
	check_eq(result_of(q, submit(q, SYS_sigaltstack, &mine, NULL)), 0);
	check_eq(sigaltstack(&before, &now), 0);
	check(now.ss_sp == memory);
	asys_queue_close(q);
}

static void test_sigmask(void **state)
{
	struct asys_queue *q = open_queue();
	sigset_t set, now;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	check_eq(result_of(q, submit(q, SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 8)), 0);
	check_eq(pthread_sigmask(SIG_UNBLOCK, &set, &now), 0);
	check(sigismember(&now, SIGUSR2));
	asys_queue_close(q);
}

static void test_affinity(void **state)
{
	struct asys_queue *q = open_queue();
	cpu_set_t all, one, now;
	unsigned cpu = 0;

	(void)state;
	check_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	check_eq(result_of(q, submit(q, SYS_sched_setaffinity, 0, sizeof(one), &one)), 0);
	check_eq(sched_getaffinity(0, sizeof(now), &now), 0);
	check(CPU_EQUAL(&now, &one));
	check_eq(sched_setaffinity(0, sizeof(all), &all), 0);
	asys_queue_close(q);
}

static void test_thread_pointer(void **state)
{
	(void)state;
#if defined(__x86_64__)
	struct asys_queue *q = open_queue();
	unsigned long mine = 0, seen = 1;

	check_eq(syscall(SYS_arch_prctl, ARCH_GET_FS, &mine), 0);
	check_eq(result_of(q, submit(q, SYS_arch_prctl, ARCH_GET_FS, &seen)), 0);
	check_eq(seen, mine);
	asys_queue_close(q);
#else
	skip_because("arch_prctl is x86's");
#endif
}

/* Its turn comes when another thread completes what it waits for: it still runs at home. */
static void test_after_blocked(void **state)
{
	struct asys_queue *q = open_queue();
	asys_id gate, tid;
	char byte;
	int fd[2];

	(void)state;
	make_pipe(fd);
	gate = submit(q, SYS_read, fd[0], &byte, 1);
	tid = submit(asys_after(q, gate), SYS_gettid, 0);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(2);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(result_of(q, tid), gettid());
	check_eq(result_of(q, gate), 1);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

/* A chain that visits home twice, and elsewhere between. */
static void test_chain_through_home(void **state)
{
	struct asys_queue *q = open_queue();
	int fd = memory_file();
	asys_id tid, end, again;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		tid = submit(q, SYS_gettid, 0);
		end = submit_refs(q, SYS_lseek, ASYS_CALL_REF(1), fd, tid.value, SEEK_SET);
		again = submit(asys_after_ok(q, end), SYS_gettid, 0);
		check_eq(asys_queue_barrier(q), 0);
		check_eq(result_of(q, again), gettid());
		check_eq(result_of(q, end), gettid());
		check_eq(result_of(q, tid), gettid());
	}
	asys_queue_close(q);
	close(fd);
}

/* Sending never waits for another call, also where only the sender may run what is sent. */
static void dependent_of_shared(uint32_t flags)
{
	struct asys_queue *q = open_depth(16, flags);
	asys_id gate, tid, last;
	char byte;
	int fd[2];

	make_pipe(fd);
	gate = submit(q, SYS_read, fd[0], &byte, 1);
	tid = submit(asys_after(q, gate), SYS_gettid, 0);
	last = submit(asys_after(q, tid), SYS_getppid, 0);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(result_of(q, last), getppid());
	check_eq(result_of(q, tid), gettid());
	check_eq(result_of(q, gate), 1);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void test_dependent_of_shared(void **state)
{
	(void)state;
	dependent_of_shared(ASYS_QUEUE_SHARED);
	dependent_of_shared(ASYS_QUEUE_DRIVER);
}

struct sender {
	struct asys_queue *queue;
	unsigned rounds;
};

static void *ask_own_tid(void *arg)
{
	const struct sender *sender = arg;

	for (unsigned i = 0; i < sender->rounds; i++)
		check_eq(result_of(sender->queue, submit(sender->queue, SYS_gettid, 0)), gettid());
	return NULL;
}

static void each_sender(uint32_t flags)
{
	struct sender sender = { open_depth(64, flags), 500 };
	pthread_t thread[3];

	for (unsigned i = 0; i < 3; i++)
		check_eq(pthread_create(&thread[i], NULL, ask_own_tid, &sender), 0);
	ask_own_tid(&sender);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	asys_queue_close(sender.queue);
}

static void test_each_sender_of_shared(void **state)
{
	(void)state;
	each_sender(ASYS_QUEUE_SHARED);
}

static void test_each_sender_with_driver(void **state)
{
	(void)state;
	each_sender(ASYS_QUEUE_DRIVER);
}

static void test_never(void **state)
{
	struct asys_queue *q = open_queue();
	unsigned refused = 0;
	asys_id id;

	(void)state;
	for (uint32_t nr = 0; nr < asys_syscall_count(); nr++) {
		const struct asys_syscall_info *info = asys_syscall_info(nr);

		if (!info || info->class_ != ASYS_CLASS_NEVER)
			continue;
		id = submit(q, nr, 0);
		if (id.value != -EOPNOTSUPP)
			fprintf(stderr, "%s\n", info->name);
		check_eq(id.value, -EOPNOTSUPP);
		check_says(asys_message(), info->name);
		check(info->reason && info->reason[0]);
		refused++;
	}
	/* these at least would end the program, or its thread, or run it twice */
	check_eq(submit(q, SYS_exit, 3).value, -EOPNOTSUPP);
	check_eq(submit(q, SYS_exit_group, 3).value, -EOPNOTSUPP);
	check_eq(submit(q, SYS_rt_sigreturn, 0).value, -EOPNOTSUPP);
#ifdef SYS_vfork
	check_eq(submit(q, SYS_vfork, 0).value, -EOPNOTSUPP);
#endif
	check(refused >= 4);
	check_eq(asys_queue_pending(q), 0);
	/* what depends on a refused call fails with its error */
	id = submit(q, SYS_exit, 3);
	check_eq(result_of(q, submit(asys_after(q, id), SYS_getppid, 0)), -EOPNOTSUPP);
	asys_queue_close(q);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_gettid),
		contract(test_at_flush),
		contract(test_name),
		contract(test_sigaltstack),
		contract(test_sigmask),
		contract(test_affinity),
		contract(test_thread_pointer),
		contract(test_after_blocked),
		contract(test_chain_through_home),
		contract(test_each_sender_of_shared),
		contract(test_each_sender_with_driver),
		contract(test_never),
		contract(test_dependent_of_shared),
	};

	return group(tests, argc, argv);
}
