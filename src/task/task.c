/* SPDX-License-Identifier: MIT */
/*
 * Tasks, on the public functions of a queue only.
 *
 *   asys_task_start -> ready -> running -> parked -> ready ... -> ending -> ended
 *                                  |        event                   ^
 *                                  +---- its function returned -----+
 *
 * A task's operations (calls and sub-tasks alike) hang in a list of the task while they are in
 * flight; those that the program started itself hang in asys_tasks.roots_. The user word of a call
 * is the address of its operation behind ASYS_TASK_WORD. The event's id must be the operation's too:
 * then a word that was made up or came twice does no harm.
 *
 * Nothing here recurses: a task that can go on is put into the list of ready ones, and trees of
 * sub-tasks are walked along their links, however deep they are.
 */
#include <asys/task.h>

#include "base/base.h"

#include <string.h>

enum { TASK_READY, TASK_RUNNING, TASK_PARKED, TASK_ENDING, TASK_ENDED };

#define WORD_SHIFT 48

static bool fits_word(const void *address)
{
	return ptr_word(address) >> WORD_SHIFT == 0;
}

static void op_begin(struct asys_op **list, struct asys_op *op)
{
	op->next_ = *list;
	op->link_ = list;
	if (op->next_ != NULL)
		op->next_->link_ = &op->next_;
	*list = op;
}

static void op_end(struct asys_op *op, int64_t result)
{
	op->result = result;
	*op->link_ = op->next_;
	if (op->next_ != NULL)
		op->next_->link_ = op->link_;
	op->next_ = NULL;
	op->link_ = NULL;
}

/* Its operation ended without having been in flight. */
static void op_refuse(struct asys_op *op, int64_t result)
{
	op->result = result;
	op->next_ = NULL;
	op->link_ = NULL;
}

static struct asys_task *sub_of(struct asys_op *op)
{
	return ASYS_TASK_OF(op, struct asys_task, end_);
}

static void make_ready(struct asys_task *task)
{
	struct asys_tasks *tasks = task->tasks_;

	task->ready_ = NULL;
	if (tasks->first_ == NULL)
		tasks->first_ = task;
	else
		tasks->last_->ready_ = task;
	tasks->last_ = task;
}

/* `op` of `task` has ended: that may be what the task waits for. */
static void tell(struct asys_task *task, const struct asys_op *op)
{
	const struct asys_op *wait = task->state_ == TASK_ENDING ? ASYS_PARK_ALL_ : task->wait_;

	if (task->state_ != TASK_PARKED && task->state_ != TASK_ENDING)
		return;
	if (wait == ASYS_PARK_ALL_ ? task->ops_ != NULL : wait != ASYS_PARK_ANY_ && wait != op)
		return;
	if (task->state_ == TASK_PARKED)
		task->state_ = TASK_READY;
	make_ready(task);
}

/* The last that is done with a task: `done` may free it. */
static void task_end(struct asys_task *task)
{
	struct asys_task *parent = task->end_.task_;
	asys_task_fn *done = task->done;

	task->state_ = TASK_ENDED;
	task->tasks_->alive--;
	op_end(&task->end_, task->outcome);
	if (parent != NULL)
		tell(parent, &task->end_);
	if (done != NULL)
		done(task);
}

static void task_run(struct asys_task *task)
{
	if (task->state_ != TASK_ENDING) {
		task->state_ = TASK_RUNNING;
		task->wait_ = NULL;
		task->run_(task);
		task->state_ = task->wait_ != NULL ? TASK_PARKED : TASK_ENDING;
	}
	if (task->state_ == TASK_ENDING && task->ops_ == NULL)
		task_end(task);
}

static void run_ready(struct asys_tasks *tasks)
{
	tasks->inside_ = true;
	while (tasks->first_ != NULL) {
		struct asys_task *task = tasks->first_;

		tasks->first_ = task->ready_;
		task_run(task);
	}
	tasks->inside_ = false;
}

/* False if the event is no operation's. */
static bool take_event(const struct asys_event *event)
{
	struct asys_op *op;

	if (event->user >> WORD_SHIFT != ASYS_TASK_WORD)
		return false;
	op = (struct asys_op *)(uintptr_t)(event->user & (((uint64_t)1 << WORD_SHIFT) - 1));
	if (op->link_ == NULL || op->id.value != event->id.value)
		return false;
	op_end(op, event->result);
	tell(op->task_, op);
	return true;
}

/* Into `list`, whose end is told to `parent` if there is one. */
static void begin(struct asys_tasks *tasks, struct asys_task *task, asys_task_fn *run,
		  struct asys_task *parent)
{
	memset(task, 0, sizeof(*task));
	task->queue = tasks->queue;
	task->run_ = run;
	task->tasks_ = tasks;
	task->end_.task_ = parent;
	op_begin(parent != NULL ? &parent->ops_ : &tasks->roots_, &task->end_);
	tasks->alive++;
	make_ready(task);
}

static int refuse_address(const void *task_or_op)
{
	return fail(-EINVAL,
		    "cannot start the task or operation at %p: its address has more than %d bits; "
		    "take memory that mmap gave without a hint",
		    task_or_op, WORD_SHIFT);
}

ASYS_API void asys_tasks_init(struct asys_tasks *tasks, struct asys_queue *queue)
{
	memset(tasks, 0, sizeof(*tasks));
	tasks->queue = queue;
}

ASYS_API int asys_task_start(struct asys_tasks *tasks, struct asys_task *task, asys_task_fn *run)
{
	if (!fits_word(task))
		return refuse_address(task);
	begin(tasks, task, run, NULL);
	return 0;
}

ASYS_API int asys_task_fork(struct asys_task *task, struct asys_task *sub, asys_task_fn *run)
{
	int err = 0;

	if (!fits_word(sub))
		err = refuse_address(sub);
	else if (task->cancelled && !task->finally_)
		err = fail(-ECANCELED,
			   "asys_task_fork: the task was cancelled, no sub-task starts: clean up "
			   "and end it");
	if (err == 0) {
		begin(task->tasks_, sub, run, task);
		return 0;
	}
	memset(sub, 0, sizeof(*sub));
	sub->state_ = TASK_ENDED;
	sub->outcome = err;
	op_refuse(&sub->end_, err);
	return err;
}

ASYS_API bool asys_task_sends_(struct asys_task *task, struct asys_op *op)
{
	op->task_ = task;
	op->id.value = -ECANCELED;
	if (task->cancelled && !task->finally_) {
		op_refuse(op, -ECANCELED);
		return false;
	}
	if (!fits_word(op)) {
		op->id.value = refuse_address(op);
		op_refuse(op, -EINVAL);
		return false;
	}
	asys_user(task->queue, (uint64_t)ASYS_TASK_WORD << WORD_SHIFT | ptr_word(op));
	return true;
}

ASYS_API void asys_task_sent_(struct asys_task *task, struct asys_op *op, asys_id id)
{
	op->id = id;
	if (id.value > 0)
		op_begin(&task->ops_, op);
	else
		op_refuse(op, id.value < 0 ? id.value : -EINVAL);
}

ASYS_API bool asys_tasks_event(struct asys_tasks *tasks, const struct asys_event *event)
{
	const bool taken = event != NULL && take_event(event);

	if (!tasks->inside_)
		run_ready(tasks);
	return taken;
}

ASYS_API int asys_tasks_run(struct asys_tasks *tasks, struct asys_event *ret_other)
{
	const unsigned room = sizeof(tasks->events_) / sizeof(*tasks->events_);
	int n;

	if (tasks->inside_)
		return fail(-EBUSY, "a task cannot run the tasks that it is one of: await instead");
	for (;;) {
		while (tasks->next_ < tasks->count_) {
			const struct asys_event *event = &tasks->events_[tasks->next_++];

			if (!take_event(event) && ret_other != NULL) {
				*ret_other = *event;
				return 1;
			}
		}
		run_ready(tasks);
		if (tasks->alive == 0)
			return 0;
		n = asys_queue_get_many(tasks->queue, tasks->events_, room, 1, ASYS_FOREVER);
		if (n < 0)
			return n;
		if (n == 0)
			return fail(-EDEADLK,
				    "%llu tasks are left, but nothing that would bring an "
				    "event is in flight: was a quiet call awaited?",
				    (unsigned long long)tasks->alive);
		tasks->next_ = 0;
		tasks->count_ = (uint32_t)n;
	}
}

/* Cancels everything in the list `op` begins, and below; `top` is whose list it is, or NULL. */
static void cancel_all(struct asys_queue *queue, struct asys_op *op, const struct asys_task *top)
{
	struct asys_task *at = NULL;

	for (;;) {
		while (op == NULL && at != NULL) {
			op = at->end_.next_;
			at = at->end_.task_ == top ? NULL : at->end_.task_;
		}
		if (op == NULL)
			return;
		if (op->id.value == 0) {
			struct asys_task *sub = sub_of(op);

			if (!sub->cancelled && !sub->finally_) {
				sub->cancelled = true;
				at = sub;
				op = sub->ops_;
				continue;
			}
		} else {
			UNHEARD(asys_queue_cancel(queue, op->id));
		}
		op = op->next_;
	}
}

ASYS_API int asys_task_cancel(struct asys_task *task)
{
	if (asys_task_ended(task))
		return fail(-EALREADY, "asys_task_cancel: the task has ended");
	if (task->finally_)
		return fail(-EALREADY,
			    "asys_task_cancel: the task is in its ASYS_FINALLY: let it end");
	if (task->cancelled)
		return fail(-EALREADY,
			    "asys_task_cancel: the task was cancelled before: let it end");
	task->cancelled = true;
	cancel_all(task->queue, task->ops_, task);
	return 0;
}

ASYS_API void asys_tasks_cancel(struct asys_tasks *tasks)
{
	cancel_all(tasks->queue, tasks->roots_, NULL);
}
