/* SPDX-License-Identifier: MIT */
/* The list of engines, and what is done with all of them: a new one is a line here. */
#include "engine/engine.h"

const struct engine *const engines[ASYS_ENGINE_COUNT] = {
	[ASYS_ENGINE_THREADS] = &engine_threads,
	[ASYS_ENGINE_READY] = &engine_ready,
	[ASYS_ENGINE_URING] = &engine_uring,
};

/* For each of those named by `kinds` that has `function`. */
#define each_engine(k, kinds, function)                             \
	for (unsigned k = FIRST_ENGINE; k < ASYS_ENGINE_COUNT; k++) \
		if (((kinds) & (1u << k)) && engines[k]->function)

uint32_t engines_busy(const struct host *host)
{
	uint32_t kinds = 0;

	for (unsigned k = FIRST_ENGINE; k < ASYS_ENGINE_COUNT; k++)
		kinds |= host->outstanding[k] ? 1u << k : 0;
	return kinds;
}

void engines_flush(struct host *host)
{
	for (unsigned k = FIRST_ENGINE; k < ASYS_ENGINE_COUNT; k++)
		if (host->outstanding[k])
			engines[k]->flush(host);
}

unsigned engines_reap(struct host *host)
{
	unsigned n = 0;

	for (unsigned k = FIRST_ENGINE; k < ASYS_ENGINE_COUNT; k++)
		if (host->outstanding[k])
			n += engines[k]->reap(host);
	return n;
}

uint32_t engines_by_epoll(uint32_t kinds)
{
	uint32_t found = 0;

	each_engine(k, kinds, by_epoll)
		found |= 1u << k;
	return found;
}

int engines_watch(struct host *host)
{
	int err = 0;

	each_engine(k, ALL_ENGINES, watch)
		err = err ? err : engines[k]->watch(host);
	return err;
}

void engines_listen(struct host *host, uint32_t kinds)
{
	each_engine(k, kinds, listen)
		engines[k]->listen(host);
}

bool engines_have_news(const struct host *host, uint32_t kinds)
{
	each_engine(k, kinds, has_news)
		if (engines[k]->has_news(host))
			return true;
	return false;
}

bool engines_broken(const struct host *host)
{
	each_engine(k, ALL_ENGINES, broken)
		if (engines[k]->broken(host))
			return true;
	return false;
}

bool engines_may_have_news(const struct host *host, uint32_t kinds)
{
	each_engine(k, kinds, may_have_news)
		if (engines[k]->may_have_news(host))
			return true;
	return false;
}

void engines_listen_no_more(struct host *host, uint32_t kinds)
{
	each_engine(k, kinds, listen_no_more)
		engines[k]->listen_no_more(host);
}

const struct engine *engines_wait_alone(uint32_t kinds)
{
	each_engine(k, kinds, wait)
		return kinds == 1u << k ? engines[k] : NULL;
	return NULL;
}

void engines_woken(struct host *host, uint32_t kinds)
{
	each_engine(k, kinds, woken)
		engines[k]->woken(host);
}

void engines_retire(struct host *host)
{
	each_engine(k, ALL_ENGINES, retire)
		engines[k]->retire(host);
}

void engines_renew(struct host *host)
{
	each_engine(k, ALL_ENGINES, renew)
		engines[k]->renew(host);
}

void engines_see_off(struct host *host)
{
	each_engine(k, ALL_ENGINES, see_off)
		engines[k]->see_off(host);
}

void engines_recall(struct host *host)
{
	each_engine(k, ALL_ENGINES, recall)
		engines[k]->recall(host);
}

void engines_thread_leaves(struct host *host)
{
	each_engine(k, ALL_ENGINES, thread_leaves)
		engines[k]->thread_leaves(host);
}

void engines_close(struct host *host, bool child)
{
	for (unsigned k = FIRST_ENGINE; k < ASYS_ENGINE_COUNT; k++)
		engines[k]->close(host, child);
}
