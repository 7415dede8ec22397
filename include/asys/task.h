/* SPDX-License-Identifier: MIT */
/*
 * Tasks: straight-line code that waits without a thread or a stack of its own.
 *
 *   struct size {
 *           struct asys_task task;
 *           const char *path;
 *           int fd;
 *           struct statx info;
 *   };
 *
 *   static void size_run(struct asys_task *t)
 *   {
 *           struct size *s = ASYS_TASK_OF(t, struct size, task);
 *
 *           ASYS_BEGIN(t);
 *           ASYS_TRY(t, out, asys_openat(t->queue, AT_FDCWD, s->path, O_RDONLY, 0));
 *           s->fd = (int)t->result;
 *           ASYS_TRY(t, close, asys_statx(t->queue, s->fd, "", AT_EMPTY_PATH, STATX_SIZE, &s->info));
 *   close:
 *           ASYS_FINALLY(t);
 *           ASYS_AWAIT(t, asys_close(t->queue, s->fd));
 *   out:
 *           ASYS_END(t);
 *   }
 *
 *   struct size s = { .path = "/etc/passwd" };
 *   struct asys_tasks tasks;
 *
 *   asys_tasks_init(&tasks, q);
 *   asys_task_start(&tasks, &s.task, size_run);
 *   err = asys_tasks_run(&tasks, NULL);
 *
 * How it works. An await remembers its place in the task and returns from the function; when the
 * event has come, the function is called again and goes on from there. So a task costs
 * sizeof(struct asys_task) and no more, nothing is allocated, and nothing is asked twice: a task that
 * waits is not called before what it waits for has ended.
 *
 * What a task function must keep to. It returns void. Its local variables do not live across an
 * await: what must last is in the structure around the task. What stands before ASYS_BEGIN runs again
 * after each await. Awaits stand in the function itself, not in one that it calls: that one is a
 * sub-task (ASYS_CALL_TASK). Any loop, branch, switch or goto may be around them; in C++ no local
 * variable may begin between ASYS_BEGIN and ASYS_END except in a block without await.
 *
 * The expression inside an await sends exactly one call (or one chain) to t->queue; modifiers are
 * allowed but for asys_user and asys_quiet, which would take away the event that is awaited. If it
 * cannot be sent, the error is its result, and the task goes on at once.
 *
 * Ownership: a task, and the memory that its calls use, belongs to the tasks from asys_task_start
 * until it has ended. It ends when its function is over and all that it began has ended.
 * Threads: all of this belongs to the thread that runs the tasks. No other thread takes events of
 * their queue.
 */
#ifndef ASYS_TASK_H
#define ASYS_TASK_H

#include <asys/call.h>
#include <asys/queue.h>
#include <asys/types.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The upper 16 bits of the user word of every call that a task awaits. Other calls of the same queue
 * may have any user word that does not begin so: numbers and pointers do not. */
#define ASYS_TASK_WORD 0xa57du

struct asys_task;

typedef void asys_task_fn(struct asys_task *task);

/* Something that a task has begun: a call, a sending of a chain, a sub-task. */
struct asys_op {
	int64_t result; /* when it has ended */
	asys_id id;	/* of the call; value 0: a sub-task, negative: could not be sent */
	struct asys_task *task_;
	struct asys_op *next_;
	struct asys_op **link_; /* what points to it while it is in flight, else NULL */
};

/* Tasks of one queue. The memory is the program's and outlives them. */
struct asys_tasks {
	struct asys_queue *queue; /* to read */
	uint64_t alive;		  /* to read: started and not ended, sub-tasks too */
	struct asys_op *roots_;
	struct asys_task *first_, *last_; /* ready to go on */
	uint32_t next_, count_;
	bool inside_;
	struct asys_event events_[32];
};

struct asys_task {
	struct asys_queue *queue; /* to read */
	int64_t result;		  /* to read: of what was awaited last */
	int64_t outcome; /* what it ends with: 0, the first failure of an ASYS_TRY, or what you set */
	asys_task_fn *done; /* NULL, or called last when the task has ended: may free it or
				   * start it again. Set it after asys_task_start, or in the task */
	bool cancelled;	    /* to read: asys_task_cancel was called */
	bool finally_;
	uint8_t state_;
	intptr_t resume_; /* where it goes on: an address, counted from ASYS_BEGIN's */
	asys_task_fn *run_;
	struct asys_tasks *tasks_;
	struct asys_op *ops_;	     /* in flight */
	const struct asys_op *wait_; /* what it is parked for */
	struct asys_task *ready_;
	struct asys_op call_; /* of ASYS_AWAIT */
	struct asys_op end_;  /* its own, for who started it */
};

/* The structure of type `type` whose member `member` is the task `t`. */
#define ASYS_TASK_OF(t, type, member) ((type *)(void *)((char *)(t)-offsetof(type, member)))

/* Before anything else: there are no tasks yet. */
ASYS_API void asys_tasks_init(struct asys_tasks *tasks, struct asys_queue *queue);

/*
 * Starts a task. It need not be initialised, but must not run already. Its function is called first
 * by asys_tasks_run or asys_tasks_event, not here. 0; -EINVAL for an address beyond 48 bits.
 */
ASYS_API int asys_task_start(struct asys_tasks *tasks, struct asys_task *task, asys_task_fn *run);

/*
 * Gets events and runs tasks until none is left: 0. Events that are no task's are handed over one
 * by one: 1, with the event in *ret_other; call again. With a NULL ret_other they are dropped.
 * -EINTR after a signal handler ran: call again. -EDEADLK: tasks are left, but nothing that they
 * wait for is in flight (a quiet call was awaited). -EBUSY: called by a task. Or as
 * asys_queue_get_many.
 */
ASYS_API int asys_tasks_run(struct asys_tasks *tasks, struct asys_event *ret_other);

/*
 * For programs with a loop of their own, instead of asys_tasks_run: an event that was got from the
 * queue. True if it was a task's; the tasks that can go on have run then. With a NULL event only
 * that: after asys_task_start. Flush or get afterwards, so that what they sent begins.
 */
ASYS_API bool asys_tasks_event(struct asys_tasks *tasks, const struct asys_event *event);

/*
 * Asks for the end of a task and its sub-tasks. What they have in flight is cancelled (and ends with
 * -ECANCELED, or its real result if it was faster), and until ASYS_FINALLY every further await ends
 * with -ECANCELED without sending anything. It is for the task to notice, clean up and end. 0;
 * -EALREADY if it has ended, is in its ASYS_FINALLY, or was cancelled before.
 */
ASYS_API int asys_task_cancel(struct asys_task *task);

/* asys_task_cancel of all. Needed, and asys_tasks_run after it, before a queue with tasks is closed. */
ASYS_API void asys_tasks_cancel(struct asys_tasks *tasks);

/* True once a task, or something that it began, has ended. */
static inline bool asys_task_ended(const struct asys_task *task)
{
	return task->end_.link_ == NULL;
}

static inline bool asys_op_ended(const struct asys_op *op)
{
	return op->link_ == NULL;
}

/* How a task function begins and ends. Its result is t->outcome; a plain return is
 * as good as ASYS_END, ASYS_RETURN sets the outcome. */
#define ASYS_BEGIN(t)                                         \
	do {                                                  \
		goto *((char *)&&asys_begin_ + (t)->resume_); \
	asys_begin_:;                                         \
	} while (0)

#define ASYS_END(t) return

#define ASYS_RETURN(t, value)           \
	do {                            \
		(t)->outcome = (value); \
		return;                 \
	} while (0)

/* Sends one call and parks until it has ended: t->result is its result. */
#define ASYS_AWAIT(t, ...)                                \
	do {                                              \
		ASYS_SEND((t), &(t)->call_, __VA_ARGS__); \
		ASYS_AWAIT_OP((t), &(t)->call_);          \
	} while (0)

/* The same, and where it failed the task goes on at `label`, with t->outcome set to the first failure. */
#define ASYS_TRY(t, label, ...)                             \
	do {                                                \
		ASYS_AWAIT((t), __VA_ARGS__);               \
		if ((t)->result < 0) {                      \
			if ((t)->outcome >= 0)              \
				(t)->outcome = (t)->result; \
			goto label;                         \
		}                                           \
	} while (0)

/* Sends one call and goes on. `op`, in the structure around the task, is its name until it has ended. */
#define ASYS_SEND(t, op, ...) \
	((void)(asys_task_sends_((t), (op)) && (asys_task_sent_((t), (op), (__VA_ARGS__)), true)))

/* Parks until `op` has ended, not at all if it has: t->result is its result. */
#define ASYS_AWAIT_OP(t, op)                               \
	do {                                               \
		ASYS_PARK_((t), !asys_op_ended(op), (op)); \
		(t)->result = (op)->result;                \
	} while (0)

/* Parks until all that the task began has ended; until one more of it has. */
#define ASYS_AWAIT_ALL(t) ASYS_PARK_((t), (t)->ops_ != NULL, ASYS_PARK_ALL_)
#define ASYS_AWAIT_ANY(t) ASYS_PARK_((t), (t)->ops_ != NULL, ASYS_PARK_ANY_)

/*
 * Sub-tasks: ASYS_FORK starts one and goes on, ASYS_JOIN parks until it has ended (t->result is its
 * result), ASYS_CALL_TASK does both. A sub-task that is joined must last until then.
 */
#define ASYS_FORK(t, sub, run) asys_task_fork((t), (sub), (run))
#define ASYS_JOIN(t, sub) ASYS_AWAIT_OP((t), &(sub)->end_)
#define ASYS_CALL_TASK(t, sub, run)           \
	do {                                  \
		ASYS_FORK((t), (sub), (run)); \
		ASYS_JOIN((t), (sub));        \
	} while (0)

/* From here on calls are sent also if the task was cancelled: the part that cleans up. */
#define ASYS_FINALLY(t) ((void)((t)->finally_ = true))

/* As asys_task_start, by another task, which is told of its end. If that one was cancelled it ends
 * at once, with -ECANCELED; with -EINVAL for an address beyond 48 bits. 0, or that error. */
ASYS_API int asys_task_fork(struct asys_task *task, struct asys_task *sub, asys_task_fn *run);

/* What follows serves the above and nobody else. */

ASYS_API bool asys_task_sends_(struct asys_task *task, struct asys_op *op);
ASYS_API void asys_task_sent_(struct asys_task *task, struct asys_op *op, asys_id id);

#define ASYS_PARK_ALL_ ((const struct asys_op *)1)
#define ASYS_PARK_ANY_ ((const struct asys_op *)2)

/* Three steps, so that the counter is a number before it becomes a part of a label. */
#define ASYS_PARK_(t, condition, what) ASYS_PARK_AT_(t, condition, what, __COUNTER__)
#define ASYS_PARK_AT_(t, condition, what, n) ASYS_PARK_LABEL_(t, condition, what, n)
#define ASYS_PARK_LABEL_(t, condition, what, n)                                            \
	do {                                                                               \
		if (condition) {                                                           \
			(t)->wait_ = (what);                                               \
			(t)->resume_ = (char *)&&asys_here_##n##_ - (char *)&&asys_begin_; \
			return;                                                            \
		}                                                                          \
		asys_here_##n##_:;                                                         \
	} while (0)

#ifdef __cplusplus
}
#endif
#endif
