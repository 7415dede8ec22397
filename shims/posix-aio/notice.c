/* SPDX-License-Identifier: MIT */
/*
 * Signals and threads that say that something has ended.
 *
 * A signal that does not fit into the process's queue of signals, and a thread that cannot be started or
 * is one too many, are kept and tried again: by the reaper every millisecond.
 */
#include "inside.h"

#include "../common/stats.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS_MOST 64u /* notice threads at once */

struct late {
	struct late *next;
	struct notice notice;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Held while a thread is started: pthread_create reads attributes after the thread runs, and the function
 * that is called may be what tells the program that they may go. */
static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
static struct late *late_first, **late_end = &late_first;
static _Atomic uint32_t late_count;
static _Atomic uint32_t threads;

void notice_from(struct notice *ret, const struct sigevent *event)
{
	*ret = (struct notice){ .how = SIGEV_NONE };
	if (!event || (event->sigev_notify != SIGEV_SIGNAL && event->sigev_notify != SIGEV_THREAD))
		return;
	ret->how = event->sigev_notify;
	ret->value = event->sigev_value;
	if (ret->how == SIGEV_SIGNAL) {
		ret->signal = event->sigev_signo;
	} else {
		ret->function = event->sigev_notify_function;
		ret->attributes = event->sigev_notify_attributes;
	}
}

/* The kernel takes 0 for none, which is no error. */
bool notice_is_wrong(const struct notice *notice)
{
	return notice->how == SIGEV_SIGNAL && (notice->signal < 0 || notice->signal >= _NSIG);
}

/* As what the program sends itself by sigqueue, but for the code. */
static int give_signal(const struct notice *notice)
{
	siginfo_t info;
	pid_t pid = getpid();

	memset(&info, 0, sizeof(info));
	shim_count_made(1);
	info.si_signo = notice->signal;
	info.si_code = SI_ASYNCIO;
	info.si_pid = pid;
	info.si_uid = getuid();
	info.si_value = notice->value;
	return syscall(SYS_rt_sigqueueinfo, pid, notice->signal, &info) ? errno : 0;
}

static void thread_ends(void *arg)
{
	(void)arg;
	atomic_fetch_sub(&threads, 1);
}

static void *thread_main(void *arg)
{
	struct notice notice = *(struct notice *)arg;
	sigset_t none;

	free(arg);
	pthread_mutex_lock(&starting);
	pthread_mutex_unlock(&starting);
	sigemptyset(&none);
	pthread_cleanup_push(thread_ends, NULL);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	notice.function(notice.value);
	pthread_cleanup_pop(1);
	return NULL;
}

static int start_thread(const struct notice *notice, struct notice *copy)
{
	pthread_attr_t own, *attributes = notice->attributes;
	pthread_t thread;
	int err;

	if (!attributes) {
		pthread_attr_init(&own);
		pthread_attr_setdetachstate(&own, PTHREAD_CREATE_DETACHED);
	}
	pthread_mutex_lock(&starting);
	err = pthread_create(&thread, attributes ? attributes : &own, thread_main, copy);
	pthread_mutex_unlock(&starting);
	if (!attributes)
		pthread_attr_destroy(&own);
	return err;
}

static int give_thread(const struct notice *notice)
{
	struct notice *copy;
	int err = EAGAIN;

	if (atomic_fetch_add(&threads, 1) < THREADS_MOST) {
		copy = malloc(sizeof(*copy));
		if (copy) {
			*copy = *notice;
			err = start_thread(notice, copy);
			if (err)
				free(copy);
		}
	}
	if (err)
		atomic_fetch_sub(&threads, 1);
	return err;
}

static int give(const struct notice *notice)
{
	return notice->how == SIGEV_SIGNAL ? give_signal(notice) : give_thread(notice);
}

/* What can never work (a wrong signal number, wrong attributes) is dropped. */
static bool may_work_later(int err)
{
	return err == EAGAIN || err == ENOMEM;
}

void notice_give(const struct notice *notice)
{
	struct late *late;

	if (notice->how == SIGEV_NONE)
		return;
	if (!notices_late() && !may_work_later(give(notice)))
		return;
	late = malloc(sizeof(*late));
	if (!late)
		return;
	late->next = NULL;
	late->notice = *notice;
	pthread_mutex_lock(&lock);
	*late_end = late;
	late_end = &late->next;
	atomic_fetch_add(&late_count, 1);
	pthread_mutex_unlock(&lock);
}

bool notices_late(void)
{
	return atomic_load_explicit(&late_count, memory_order_relaxed) != 0;
}

void notices_again(void)
{
	struct late *late;

	pthread_mutex_lock(&lock);
	while ((late = late_first) && !may_work_later(give(&late->notice))) {
		late_first = late->next;
		if (!late_first)
			late_end = &late_first;
		atomic_fetch_sub(&late_count, 1);
		free(late);
	}
	pthread_mutex_unlock(&lock);
}

/* The parent's notices are not the child's; its locks may have been held by another thread. */
void notices_forget(void)
{
	pthread_mutex_init(&lock, NULL);
	pthread_mutex_init(&starting, NULL);
	late_first = NULL;
	late_end = &late_first;
	atomic_store(&late_count, 0);
	atomic_store(&threads, 0);
}
