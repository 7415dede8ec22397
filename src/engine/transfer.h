/* SPDX-License-Identifier: MIT */
/*
 * What the two engines that transfer piecewise share: what kind of file a descriptor names, how much
 * of a transfer is left, and whether the blocking call would have gone on.
 */
#ifndef ENGINE_TRANSFER_H
#define ENGINE_TRANSFER_H

#include "call/slot.h"
#include "engine/host.h"

/* The kernel cuts every transfer to this many bytes. */
#define TRANSFER_MAX UINT64_C(0x7ffff000)
#define TRANSFER_IOV_MAX 1024
#define TRANSFER_NOWAIT 0x8 /* RWF_NOWAIT */

/* How a call transfers, and so how its words are to be read. */
enum transfer_way {
	WAY_NONE = 0,
	WAY_READ, /* fd, buffer, count */
	WAY_WRITE,
	WAY_READV, /* fd, iovecs, count; flags in word 5 */
	WAY_WRITEV,
	WAY_RECV, /* fd, buffer, count, flags */
	WAY_SEND,
	WAY_RECVMSG, /* fd, message, flags */
	WAY_SENDMSG,
	WAY_ACCEPT,
};

enum transfer_way transfer_way(uint32_t nr);
bool transfer_is_out(enum transfer_way way);

enum file_kind {
	FILE_BAD,   /* no descriptor, or not to be looked at (O_PATH) */
	FILE_DISK,  /* regular file or block device: has offsets, never waits for somebody else */
	FILE_EMPTY, /* regular file of size 0: new, or made up by the kernel (/proc) */
	FILE_PIPE,  /* pipe or FIFO */
	FILE_SOCKET,
	FILE_STREAM, /* character device without offsets: a terminal */
	FILE_ANON,   /* eventfd, timerfd, signalfd, epoll ... */
	FILE_OTHER,  /* directories, devices with offsets */
};

enum file_kind file_kind(int fd); /* 1 or 2 system calls */

bool fd_is_nonblocking(int fd);
/* SO_RCVTIMEO (input) or SO_SNDTIMEO is set. */
bool socket_has_timeout(int fd, bool input);
bool socket_is_stream(int fd);
/* ... whose bytes have no ends in between at which a MSG_WAITALL would come short. */
bool socket_is_seamless(int fd);
bool socket_is_local(int fd);  /* AF_UNIX */
bool socket_is_seamed(int fd); /* the other streams */
/* Of SOL_SOCKET; false: not a socket, or no such option. */
bool socket_option(int fd, int option, void *value, uint32_t size);

/*
 * The piece of memory that comes after the first `done` bytes of a read or write, send or receive
 * with one buffer or several; false if that was all. Call it only after the kernel has read the
 * call's arguments without complaint: it follows the same pointers.
 */
bool transfer_rest(const struct asys_call *call, uint64_t done, uint64_t *ret_addr,
		   uint64_t *ret_size);

struct iovec;

/* All pieces of that rest, at most `room`; returns how many. */
unsigned transfer_pieces(const struct asys_call *call, uint64_t done, struct iovec *ret_iov,
			 unsigned room);

/* After `done` > 0 bytes were moved: is that less than the call moves before it returns, if it may
 * block? transfer_goes_on also asks whether it may. */
bool transfer_is_partial(const struct asys_call *call, uint64_t done);
bool transfer_goes_on(const struct asys_call *call, uint64_t done);

struct asys_queue;

/*
 * The engine that has slot `i` gives it up: only a thread gives the call its exact meaning. If bytes
 * were moved already (slot->result), the thread does what the blocking call would have done after
 * them, and the result is the sum.
 */
void transfer_to_thread(struct host *host, uint32_t i);
/* end.c: a slot that is `given` ends with `result` in a thread. Returns the result of the whole. */
int64_t transfer_came_back(struct slot *slot, int64_t result);

/* MSG_ flags of the call; those of a plain write or read are 0. */
uint32_t transfer_flags(const struct asys_call *call);

#endif
