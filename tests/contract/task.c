/* SPDX-License-Identifier: MIT */
/* Contract: a task goes on exactly when what it awaits has ended, with its result. */
#include "support.h"

#include <asys/syscalls.h>
#include <asys/task.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Runs what was started; nothing but tasks is in the queue. */
static void run_all(struct asys_tasks *tasks)
{
	struct asys_event other;
	int err;

	do {
		err = asys_tasks_run(tasks, &other);
	} while (err == -EINTR);
	if (err)
		support_fail(__FILE__, __LINE__, "asys_tasks_run: %d: %s", err, asys_message());
	check_eq(tasks->alive, 0);
	check_eq(asys_queue_pending(tasks->queue), 0);
}

static void start(struct asys_tasks *tasks, struct asys_task *task, asys_task_fn *run)
{
	memset(task, 0xa5, sizeof(*task)); /* it need not be initialised */
	check_eq(asys_task_start(tasks, task, run), 0);
	check(!asys_task_ended(task));
}

/* ---- one call after the other ---------------------------------------------------------------- */

struct size {
	struct asys_task task;
	const char *path;
	int fd;
	unsigned closed;
	struct statx info;
};

static void size_run(struct asys_task *t)
{
	struct size *s = ASYS_TASK_OF(t, struct size, task);

	ASYS_BEGIN(t);
	ASYS_TRY(t, out, asys_openat(t->queue, AT_FDCWD, s->path, O_RDONLY | O_CLOEXEC, 0));
	s->fd = (int)t->result;
	ASYS_TRY(t, close, asys_statx(t->queue, s->fd, "", AT_EMPTY_PATH, STATX_SIZE, &s->info));
close:
	ASYS_FINALLY(t);
	ASYS_AWAIT(t, asys_close(t->queue, s->fd));
	s->closed++;
	check_eq(t->result, 0);
out:
	ASYS_END(t);
}

static void test_straight(void **state)
{
	struct asys_queue *q = open_queue();
	struct size s = { .path = "/proc/self/exe" }, none = { .path = "/nonexistent/file" };
	struct asys_tasks tasks;
	struct stat info;

	(void)state;
	check_eq(stat(s.path, &info), 0);
	asys_tasks_init(&tasks, q);
	check_eq(asys_tasks_run(&tasks, NULL), 0);
	start(&tasks, &s.task, size_run);
	start(&tasks, &none.task, size_run);
	check_eq(tasks.alive, 2);
	run_all(&tasks);
	check_eq(s.task.outcome, 0);
	check_eq(s.info.stx_size, info.st_size);
	check_eq(s.closed, 1);
	check(asys_task_ended(&s.task));
	check_eq(none.task.outcome, -ENOENT);
	check_eq(none.closed, 0);
	check_eq(asys_task_cancel(&s.task), -EALREADY);
	asys_queue_close(q);
}

/* ---- loops, switches, calls that cannot be sent ------------------------------------------------ */

struct walk {
	struct asys_task task;
	unsigned i, seen[4];
	int64_t refused;
};

static void walk_run(struct asys_task *t)
{
	struct walk *w = ASYS_TASK_OF(t, struct walk, task);

	ASYS_BEGIN(t);
	for (w->i = 0; w->i < 40; w->i++) {
		switch (w->i % 4) {
		case 0:
			ASYS_AWAIT(t, asys_getppid(t->queue));
			break;
		case 1:
			ASYS_AWAIT(t, asys_getppid(t->queue));
			/* fallthrough */
		case 2:
			ASYS_AWAIT(t, asys_getppid(t->queue));
			break;
		default:
			/* no kernel knows it: it is not sent, and the task goes on at once */
			ASYS_AWAIT(t, asys_call(t->queue, 1u << 20, 0, 0, 0, 0, 0, 0));
			w->refused = t->result;
			continue;
		}
		check_eq(t->result, getppid());
		w->seen[w->i % 4]++;
	}
	ASYS_RETURN(t, 7);
	ASYS_END(t);
}

static void plain_return(struct asys_task *t)
{
	ASYS_BEGIN(t);
	ASYS_AWAIT(t, asys_getppid(t->queue));
	if (t->result > 0)
		return;
	t->outcome = -1;
	ASYS_END(t);
}

static void nothing(struct asys_task *t)
{
	ASYS_BEGIN(t);
	ASYS_END(t);
}

static void test_flow(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_task plain, empty;
	struct asys_tasks tasks;
	struct walk w;

	(void)state;
	memset(&w, 0, sizeof(w));
	asys_tasks_init(&tasks, q);
	start(&tasks, &w.task, walk_run);
	start(&tasks, &plain, plain_return);
	start(&tasks, &empty, nothing);
	run_all(&tasks);
	check_eq(w.seen[0], 10);
	check_eq(w.seen[1], 10);
	check_eq(w.seen[2], 10);
	check_eq(w.seen[3], 0);
	check_eq(w.refused, -ENOSYS);
	check_eq(w.task.outcome, 7);
	check_eq(plain.outcome, 0);
	check_eq(empty.outcome, 0);
	asys_queue_close(q);
}

/* ---- several calls at once ---------------------------------------------------------------------- */

struct both {
	struct asys_task task;
	int in[2], out[2];
	char byte[2];
	struct asys_op read[2], write, fine;
	unsigned woken;
};

/* The second pipe is written to first, so its read ends before the one that is awaited first. */
static void both_run(struct asys_task *t)
{
	struct both *b = ASYS_TASK_OF(t, struct both, task);

	ASYS_BEGIN(t);
	ASYS_SEND(t, &b->read[0], asys_read(t->queue, b->in[0], &b->byte[0], 1));
	ASYS_SEND(t, &b->read[1], asys_read(t->queue, b->in[1], &b->byte[1], 1));
	check(!asys_op_ended(&b->read[0]) && !asys_op_ended(&b->read[1]));
	ASYS_AWAIT(t, asys_write(t->queue, b->out[1], "1", 1));
	check_eq(t->result, 1);
	ASYS_AWAIT_OP(t, &b->read[1]);
	check_eq(t->result, 1);
	check_eq(b->byte[1], '1');
	check(!asys_op_ended(&b->read[0]));
	ASYS_SEND(t, &b->write, asys_write(t->queue, b->out[0], "0", 1));
	ASYS_AWAIT_ALL(t);
	check(asys_op_ended(&b->read[0]) && asys_op_ended(&b->write));
	/* ended before it is awaited: no parking */
	ASYS_AWAIT_OP(t, &b->read[0]);
	check_eq(t->result, 1);
	check_eq(b->byte[0], '0');
	ASYS_AWAIT_ALL(t);
	ASYS_AWAIT_ANY(t);

	/* One of several, and a result that is an argument. */
	ASYS_SEND(t, &b->read[0], asys_read(t->queue, b->in[0], &b->byte[0], 1));
	ASYS_SEND(t, &b->fine, asys_getppid(t->queue));
	while (!asys_op_ended(&b->fine)) {
		ASYS_AWAIT_ANY(t);
		b->woken++;
	}
	check_eq(b->fine.result, getppid());
	ASYS_SEND(t, &b->fine, asys_write(t->queue, b->out[1], "two", 3));
	ASYS_SEND(t, &b->write, asys_write(t->queue, b->out[0], "three", b->fine.id));
	ASYS_AWAIT_OP(t, &b->write);
	check_eq(t->result, 3);
	ASYS_AWAIT_OP(t, &b->read[0]);
	check_eq(t->result, 1);
	check_eq(b->byte[0], 't');
	ASYS_END(t);
}

static void test_several(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_tasks tasks;
	struct both b;

	(void)state;
	memset(&b, 0, sizeof(b));
	for (unsigned i = 0; i < 2; i++) {
		int fd[2];

		make_pipe(fd);
		b.in[i] = fd[0];
		b.out[i] = fd[1];
	}
	asys_tasks_init(&tasks, q);
	start(&tasks, &b.task, both_run);
	run_all(&tasks);
	check_eq(b.woken, 1);
	asys_queue_close(q);
	for (unsigned i = 0; i < 2; i++) {
		close(b.in[i]);
		close(b.out[i]);
	}
}

/* A task whose function is over while a call is in flight ends after it. */
struct early {
	struct asys_task task;
	struct asys_op op;
	int in;
	char byte;
};

static void early_run(struct asys_task *t)
{
	struct early *e = ASYS_TASK_OF(t, struct early, task);

	ASYS_BEGIN(t);
	ASYS_SEND(t, &e->op, asys_read(t->queue, e->in, &e->byte, 1));
	ASYS_END(t);
}

static void early_write(struct asys_task *t)
{
	struct early *e = ASYS_TASK_OF(t, struct early, task);

	ASYS_BEGIN(t);
	ASYS_AWAIT(t, asys_write(t->queue, e->in, "e", 1));
	ASYS_END(t);
}

static void test_end_waits(void **state)
{
	struct asys_queue *q = open_queue();
	struct early reader = { .byte = 0 }, writer = { .byte = 0 };
	struct asys_tasks tasks;
	int fd[2];

	(void)state;
	make_pipe(fd);
	reader.in = fd[0];
	writer.in = fd[1];
	asys_tasks_init(&tasks, q);
	start(&tasks, &reader.task, early_run);
	check(!asys_tasks_event(&tasks, NULL));
	check_eq(tasks.alive, 1);
	check(!asys_task_ended(&reader.task));
	start(&tasks, &writer.task, early_write);
	run_all(&tasks);
	check_eq(reader.byte, 'e');
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

/* ---- sub-tasks ---------------------------------------------------------------------------------- */

struct nested {
	struct asys_task task;
	struct nested *below;
	int64_t depth;
};

static void nested_run(struct asys_task *t)
{
	struct nested *n = ASYS_TASK_OF(t, struct nested, task);

	ASYS_BEGIN(t);
	if (n->below != NULL) {
		ASYS_CALL_TASK(t, &n->below->task, nested_run);
		n->depth = t->result;
	} else {
		ASYS_AWAIT(t, asys_getppid(t->queue));
	}
	ASYS_RETURN(t, n->depth + 1);
	ASYS_END(t);
}

static void test_nesting(void **state)
{
	const unsigned depth = iterations(100000);
	struct nested *n = calloc(depth, sizeof(*n));
	struct asys_queue *q = open_queue();
	struct asys_tasks tasks;

	(void)state;
	check(n);
	for (unsigned i = 0; i + 1 < depth; i++)
		n[i].below = &n[i + 1];
	asys_tasks_init(&tasks, q);
	start(&tasks, &n[0].task, nested_run);
	run_all(&tasks);
	check_eq(n[0].task.outcome, depth);
	asys_queue_close(q);
	free(n);
}

#define FORKS 50

struct family {
	struct asys_task task;
	struct size child[FORKS];
	unsigned i, joined;
};

static void family_run(struct asys_task *t)
{
	struct family *f = ASYS_TASK_OF(t, struct family, task);

	ASYS_BEGIN(t);
	for (f->i = 0; f->i < FORKS; f->i++) {
		f->child[f->i].path = f->i % 2 ? "/" : "/nonexistent/file";
		ASYS_FORK(t, &f->child[f->i].task, size_run);
	}
	for (f->i = 0; f->i < FORKS / 2; f->i++) {
		ASYS_JOIN(t, &f->child[f->i].task);
		check_eq(t->result, f->i % 2 ? 0 : -ENOENT);
		f->joined++;
	}
	ASYS_AWAIT_ALL(t);
	for (unsigned i = 0; i < FORKS; i++)
		check(asys_task_ended(&f->child[i].task));
	ASYS_END(t);
}

static void test_fork_join(void **state)
{
	struct asys_queue *q = open_queue();
	struct family *f = calloc(1, sizeof(*f));
	struct asys_tasks tasks;

	(void)state;
	check(f);
	asys_tasks_init(&tasks, q);
	start(&tasks, &f->task, family_run);
	run_all(&tasks);
	check_eq(f->joined, FORKS / 2);
	for (unsigned i = 0; i < FORKS; i++)
		check_eq(f->child[i].closed, i % 2);
	asys_queue_close(q);
	free(f);
}

/* ---- events of others ---------------------------------------------------------------------------- */

static void test_other_events(void **state)
{
	struct asys_queue *q = open_queue();
	struct size s = { .path = "/" };
	struct asys_tasks tasks;
	struct asys_event event;
	bool seen[100] = { false };
	unsigned count = 0;
	int got;

	(void)state;
	asys_tasks_init(&tasks, q);
	start(&tasks, &s.task, size_run);
	for (uint64_t i = 0; i < 99; i++)
		asys_getppid(asys_user(q, i));
	/* What looks like a task's word but is not its call's is not taken for one. */
	asys_getppid(asys_user(q, (uint64_t)ASYS_TASK_WORD << 48 | WORD(&s.task.end_)));
	while ((got = asys_tasks_run(&tasks, &event)) == 1) {
		check_eq(event.result, getppid());
		event.user = event.user < 99 ? event.user : 99;
		check(!seen[event.user]);
		seen[event.user] = true;
		count++;
	}
	check_eq(got, 0);
	check_eq(s.task.outcome, 0);
	check_eq(s.closed, 1);
	/* no task waits for the rest, which stays in the queue */
	while (asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER) == 1)
		count++;
	check_eq(count, 100);

	start(&tasks, &s.task, size_run);
	asys_getppid(q);
	check_eq(asys_tasks_run(&tasks, NULL), 0);
	check_eq(s.closed, 2);
	drain(q);
	asys_queue_close(q);
}

static void test_own_loop(void **state)
{
	struct asys_queue *q = open_queue();
	struct size s[3] = { { .path = "/" }, { .path = "/proc" }, { .path = "/nonexistent/x" } };
	struct asys_tasks tasks;
	unsigned others = 0;

	(void)state;
	asys_tasks_init(&tasks, q);
	for (unsigned i = 0; i < 3; i++)
		start(&tasks, &s[i].task, size_run);
	check(!asys_tasks_event(&tasks, NULL));
	asys_getppid(asys_user(q, 5));
	while (tasks.alive > 0 || others == 0) {
		struct asys_event event;

		check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
		if (!asys_tasks_event(&tasks, &event)) {
			check_eq(event.user, 5);
			others++;
		}
	}
	check_eq(others, 1);
	check_eq(s[0].closed + s[1].closed, 2);
	check_eq(s[2].task.outcome, -ENOENT);
	check_eq(asys_queue_pending(q), 0);
	asys_queue_close(q);
}

/* ---- cancel -------------------------------------------------------------------------------------- */

struct patient {
	struct asys_task task;
	struct patient *below;
	int in;
	char byte;
	unsigned after, cleaned;
	int64_t first, second;
};

static void patient_run(struct asys_task *t)
{
	struct patient *p = ASYS_TASK_OF(t, struct patient, task);

	ASYS_BEGIN(t);
	if (p->below != NULL)
		ASYS_FORK(t, &p->below->task, patient_run);
	ASYS_AWAIT(t, asys_read(t->queue, p->in, &p->byte, 1));
	p->first = t->result;
	ASYS_AWAIT(t, asys_getppid(t->queue));
	p->second = t->result;
	p->after++;
	if (p->below != NULL)
		ASYS_JOIN(t, &p->below->task);
	ASYS_FINALLY(t);
	ASYS_AWAIT(t, asys_getppid(t->queue));
	check_eq(t->result, getppid());
	check_eq(asys_task_cancel(t), -EALREADY);
	p->cleaned++;
	ASYS_RETURN(t, p->first);
	ASYS_END(t);
}

static void test_cancel(void **state)
{
	struct asys_queue *q = open_queue();
	struct patient p[4];
	struct asys_tasks tasks;
	struct patient other;
	int fd[2], second[2];

	(void)state;
	memset(p, 0, sizeof(p));
	memset(&other, 0, sizeof(other));
	make_pipe(fd);
	make_pipe(second);
	for (unsigned i = 0; i < 4; i++) {
		p[i].in = fd[0];
		p[i].below = i < 3 ? &p[i + 1] : NULL;
	}
	other.in = second[0];
	asys_tasks_init(&tasks, q);
	start(&tasks, &p[0].task, patient_run);
	start(&tasks, &other.task, patient_run);
	check(!asys_tasks_event(&tasks, NULL));
	check_eq(asys_queue_flush(q), 0);
	check_eq(tasks.alive, 5);
	check_eq(asys_task_cancel(&p[0].task), 0);
	check_eq(asys_task_cancel(&p[0].task), -EALREADY);
	check_eq(write(second[1], "o", 1), 1);
	run_all(&tasks);
	for (unsigned i = 0; i < 4; i++) {
		check(p[i].task.cancelled);
		check_eq(p[i].first, -ECANCELED);
		check_eq(p[i].second, -ECANCELED); /* not sent any more */
		check_eq(p[i].cleaned, 1);
		check_eq(p[i].task.outcome, -ECANCELED);
	}
	check(!other.task.cancelled);
	check_eq(other.first, 1);
	check_eq(other.second, getppid());

	/* Before its first line: it runs, and finds out at its first await. */
	start(&tasks, &p[3].task, patient_run);
	check_eq(asys_task_cancel(&p[3].task), 0);
	run_all(&tasks);
	check_eq(p[3].first, -ECANCELED);
	check_eq(p[3].cleaned, 2);

	/* All of them. */
	start(&tasks, &p[0].task, patient_run);
	start(&tasks, &other.task, patient_run);
	check(!asys_tasks_event(&tasks, NULL));
	asys_tasks_cancel(&tasks);
	run_all(&tasks);
	check_eq(p[2].cleaned, 2);
	check_eq(other.first, -ECANCELED);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
	close(second[0]);
	close(second[1]);
}

/* A cancelled task starts no sub-task; one that cancels itself goes on to its end. */
static void suicide_run(struct asys_task *t)
{
	struct nested *n = ASYS_TASK_OF(t, struct nested, task);

	ASYS_BEGIN(t);
	check_eq(asys_task_cancel(t), 0);
	ASYS_CALL_TASK(t, &n->below->task, nested_run);
	n->depth = t->result;
	ASYS_FINALLY(t);
	ASYS_CALL_TASK(t, &n->below->task, nested_run);
	t->outcome = t->result;
	ASYS_END(t);
}

static void test_cancel_self(void **state)
{
	struct asys_queue *q = open_queue();
	struct nested inner = { .depth = 0 }, outer = { .below = &inner };
	struct asys_tasks tasks;

	(void)state;
	asys_tasks_init(&tasks, q);
	start(&tasks, &outer.task, suicide_run);
	run_all(&tasks);
	check_eq(outer.depth, -ECANCELED);
	check_eq(outer.task.outcome, 1);
	asys_queue_close(q);
}

/* ---- many ---------------------------------------------------------------------------------------- */

struct one {
	struct asys_task task;
	unsigned step;
};

static unsigned ended;

static void one_done(struct asys_task *t)
{
	struct one *o = ASYS_TASK_OF(t, struct one, task);

	check_eq(o->step, 3);
	ended++;
	free(o);
}

static void one_run(struct asys_task *t)
{
	struct one *o = ASYS_TASK_OF(t, struct one, task);

	ASYS_BEGIN(t);
	t->done = one_done;
	while (o->step < 3) {
		ASYS_AWAIT(t, asys_getppid(t->queue));
		check_eq(t->result, getppid());
		o->step++;
	}
	ASYS_END(t);
}

static void test_many(void **state)
{
	const unsigned total = iterations(100000);
	struct asys_queue *q = open_queue();
	struct asys_tasks tasks;

	(void)state;
	ended = 0;
	asys_tasks_init(&tasks, q);
	for (unsigned i = 0; i < total; i++) {
		struct one *o = calloc(1, sizeof(*o));

		check(o);
		check_eq(asys_task_start(&tasks, &o->task, one_run), 0);
	}
	check_eq(tasks.alive, total);
	run_all(&tasks);
	check_eq(ended, total);
	asys_queue_close(q);
}

/* Ended, and started again by its own `done`. */
static unsigned rounds;

static void again(struct asys_task *t)
{
	if (++rounds < 1000) {
		check_eq(asys_task_start(t->tasks_, t, plain_return), 0);
		t->done = again;
	}
}

static void test_restart(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_tasks tasks;
	struct asys_task task;

	(void)state;
	rounds = 0;
	asys_tasks_init(&tasks, q);
	start(&tasks, &task, plain_return);
	task.done = again;
	run_all(&tasks);
	check_eq(rounds, 1000);
	asys_queue_close(q);
}

/* ---- mistakes ------------------------------------------------------------------------------------ */

static void quiet_run(struct asys_task *t)
{
	ASYS_BEGIN(t);
	ASYS_AWAIT(t, asys_getppid(asys_quiet(t->queue)));
	ASYS_END(t);
}

static int64_t inside;

static void inside_run(struct asys_task *t)
{
	ASYS_BEGIN(t);
	inside = asys_tasks_run(t->tasks_, NULL);
	ASYS_END(t);
}

static void test_mistakes(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_tasks tasks;
	struct asys_task task;

	(void)state;
	asys_tasks_init(&tasks, q);
	start(&tasks, &task, inside_run);
	run_all(&tasks);
	check_eq(inside, -EBUSY);
	check_eq(asys_task_start(&tasks, (struct asys_task *)((uintptr_t)1 << 52), nothing),
		 -EINVAL);
	check_says(asys_message(), "address");
	start(&tasks, &task, quiet_run);
	check_eq(asys_tasks_run(&tasks, NULL), -EDEADLK);
	check_says(asys_message(), "quiet");
	check_eq(tasks.alive, 1);
	asys_queue_close(q);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_straight),     contract(test_flow),     contract(test_several),
		contract(test_end_waits),    contract(test_nesting),  contract(test_fork_join),
		contract(test_other_events), contract(test_own_loop), contract(test_cancel),
		contract(test_cancel_self),  contract(test_many),     contract(test_restart),
		contract(test_mistakes),
	};

	return group(tests, argc, argv);
}
