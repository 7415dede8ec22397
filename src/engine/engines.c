/* SPDX-License-Identifier: MIT */
/* The list of engines: a new one is a line here. */
#include "engine/engine.h"

const struct engine *const engines[ASYS_ENGINE_COUNT] = {
	[ASYS_ENGINE_THREADS] = &engine_threads,
	[ASYS_ENGINE_READY] = &engine_ready,
	[ASYS_ENGINE_URING] = &engine_uring,
};
