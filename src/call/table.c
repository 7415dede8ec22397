/* SPDX-License-Identifier: MIT */
/* Look-ups in the generated table. */
#include "base/base.h"

#include "syscall_table.h"
#include <asys/table.h>
#include <string.h>

ASYS_API const struct asys_syscall_info *asys_syscall_info(uint32_t nr)
{
	if (nr >= asys_syscall_table_count || !asys_syscall_table[nr].name)
		return NULL;
	return &asys_syscall_table[nr];
}

ASYS_API const struct asys_syscall_info *asys_syscall_by_name(const char *name)
{
	uint32_t low = 0, high = asys_syscall_by_name_count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct asys_syscall_info *info =
			&asys_syscall_table[asys_syscall_by_name_index[mid]];
		int order = strcmp(name, info->name);

		if (!order)
			return info;
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

ASYS_API uint32_t asys_syscall_count(void)
{
	return asys_syscall_table_count;
}
