/* SPDX-License-Identifier: MIT */
/* An epoll set with an eventfd in it: who waits for the set's descriptors is woken by a write to the eventfd. */
#ifndef RING_POLLABLE_H
#define RING_POLLABLE_H

/* 0 or -errno with message. In the set the eventfd has the epoll data UINT64_MAX. */
int pollable_open(int *ret_epoll, int *ret_event);
/* -1: none. No cancellation point. */
void pollable_close(int epoll_fd, int event_fd);

#endif
