/* SPDX-License-Identifier: MIT */
#include "opcodes.h"

#include <stddef.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Their places are kernel ABI: include/uapi/linux/io_uring.h. */
static const char *const opcodes[] = {
	"nop",
	"readv",
	"writev",
	"fsync",
	"read_fixed",
	"write_fixed",
	"poll_add",
	"poll_remove",
	"sync_file_range",
	"sendmsg",
	"recvmsg",
	"timeout",
	"timeout_remove",
	"accept",
	"async_cancel",
	"link_timeout",
	"connect",
	"fallocate",
	"openat",
	"close",
	"files_update",
	"statx",
	"read",
	"write",
	"fadvise",
	"madvise",
	"send",
	"recv",
	"openat2",
	"epoll_ctl",
	"splice",
	"provide_buffers",
	"remove_buffers",
	"tee",
	"shutdown",
	"renameat",
	"unlinkat",
	"mkdirat",
	"symlinkat",
	"linkat",
	"msg_ring",
	"fsetxattr",
	"setxattr",
	"fgetxattr",
	"getxattr",
	"socket",
	"uring_cmd",
	"send_zc",
	"sendmsg_zc",
	"read_multishot",
	"waitid",
	"futex_wait",
	"futex_wake",
	"futex_waitv",
	"fixed_fd_install",
	"ftruncate",
	"bind",
	"listen",
	"recv_zc",
	"epoll_wait",
	"readv_fixed",
	"writev_fixed",
	"pipe",
	"nop128",
	"uring_cmd128",
};

static const char *const setup_flags[] = {
	"IOPOLL",	 "SQPOLL",	  "SQ_AFF",	"CQSIZE",
	"CLAMP",	 "ATTACH_WQ",	  "R_DISABLED", "SUBMIT_ALL",
	"COOP_TASKRUN",	 "TASKRUN_FLAG",  "SQE128",	"CQE32",
	"SINGLE_ISSUER", "DEFER_TASKRUN", "NO_MMAP",	"REGISTERED_FD_ONLY",
	"NO_SQARRAY",
};

const char *opcode_name(int opcode)
{
	return opcode >= 0 && (size_t)opcode < COUNT(opcodes) ? opcodes[opcode] : NULL;
}

const char *setup_flag_name(unsigned bit)
{
	return bit < COUNT(setup_flags) ? setup_flags[bit] : NULL;
}
