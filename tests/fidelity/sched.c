/* SPDX-License-Identifier: MIT */
/* Scheduling: policy, priority, cores. */
#include "fidelity.h"

#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct attr { /* the kernel's struct sched_attr, first version */
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static void policies(struct fid *f)
{
	struct sched_param p = { 0 };
	struct timespec quantum = { 0 };
	struct attr attr = { 0 };

	CALL("sched_getscheduler", 0);
	CALL("sched_getparam", 0, &p);
	CALL("sched_setscheduler", 0, SCHED_BATCH, &p);
	CALL("sched_getscheduler", 0);
	CALL("sched_setparam", 0, &p);
	CALL("sched_getattr", 0, &attr, sizeof(attr), 0);
	fid_note(f, "policy %u nice %d\n", attr.policy, attr.nice);
	attr.policy = SCHED_IDLE;
	CALL("sched_setattr", 0, &attr, 0);
	CALL("sched_getscheduler", 0);
	CALL("sched_rr_get_interval", 0, &quantum);
	CALL("sched_rr_get_interval", -1, &quantum);
	CALL("sched_get_priority_max", SCHED_FIFO);
	CALL("sched_get_priority_min", SCHED_FIFO);
	CALL("sched_get_priority_max", 99);
	CALL("sched_get_priority_min", -1);
	CALL("sched_setscheduler", 0, 99, &p);
	CALL("sched_setscheduler", 0x7ffffff0, SCHED_OTHER, &p);
	CALL("sched_setscheduler", 0, SCHED_OTHER, FID_BAD);
	CALL("sched_getparam", 0, FID_BAD);
	CALL("sched_getparam", -1, &p);
	p.sched_priority = 50;
	CALL("sched_setparam", 0, &p);
	CALL("sched_getscheduler", 0x7ffffff0);
	CALL("sched_setattr", 0, &attr, 1);
	CALL("sched_setattr", 0, FID_BAD, 0);
	CALL("sched_getattr", 0, &attr, 4, 0);
	CALL("sched_yield", 0);
}

static void cores(struct fid *f)
{
	unsigned long set[16] = { 0 }, one[16] = { 0 }, got[16] = { 0 };
	int64_t size = CALL("sched_getaffinity", 0, sizeof(set), set);
	unsigned core = 99, node = 99;

	if (size > 0)
		fid_bytes(f, "cores", set, (size_t)size);
	for (unsigned i = 0; i < 16 && !one[0]; i++)
		one[i] = set[i] & -set[i];
	CALL("sched_setaffinity", 0, sizeof(one), one);
	CALL("sched_getaffinity", 0, sizeof(got), got);
	fid_bytes(f, "cores", got, 16);
	CALL("getcpu", &core, &node, NULL);
	fid_note(f, "on %u, node %u\n", core, node);
	CALL("getcpu", FID_BAD, NULL, NULL);
	CALL("sched_setaffinity", 0, sizeof(set), set);
	CALL("sched_getaffinity", 0, 1, set);
	CALL("sched_getaffinity", 0, sizeof(set), FID_BAD);
	CALL("sched_getaffinity", 0x7ffffff0, sizeof(set), set);
	memset(set, 0, sizeof(set));
	CALL("sched_setaffinity", 0, sizeof(set), set);
	CALL("sched_setaffinity", 0, sizeof(set), FID_BAD);
}

static void priorities(struct fid *f)
{
	CALL("getpriority", PRIO_PROCESS, 0);
	CALL("setpriority", PRIO_PROCESS, 0, 5);
	CALL("getpriority", PRIO_PROCESS, 0);
	CALL("setpriority", PRIO_PROCESS, getpid(), 7);
	CALL("getpriority", PRIO_PROCESS, getpid());
	CALL("setpriority", PRIO_PGRP, getpgrp(), 8);
	CALL("getpriority", 99, 0);
	CALL("setpriority", 99, 0, 0);
	CALL("getpriority", PRIO_PROCESS, 0x7ffffff0);
	CALL("ioprio_get", 1, 0);
	CALL("ioprio_set", 1, 0, (2 << 13) | 6);
	CALL("ioprio_get", 1, 0);
	CALL("ioprio_set", 99, 0, 0);
	CALL("ioprio_set", 1, 0, 7 << 13);
	CALL("ioprio_get", 99, 0);
	CALL("ioprio_get", 1, 0x7ffffff0);
}

const struct fid_case fid_sched[] = {
	{ "scheduling policy", policies, 0, 0 },
	{ "cores", cores, 0, 0 },
	{ "priorities", priorities, 0, 0 },
	{ 0 },
};
