/* SPDX-License-Identifier: MIT */
/* An ext4 of our own, new and with a journal, whatever the machine's disk has. For root. */
#ifndef BENCH_IMAGE_H
#define BENCH_IMAGE_H

#include "harness.h"

/*
 * A new ext4 in a sparse file in `place`, mounted in `place`; it is unmounted at the latest when this
 * process exits. NULL, after a message, if that is impossible here (not root, no mkfs.ext4).
 */
const char *bench_image_mount(const struct bench_options *options, const char *place);
void bench_image_unmount(void);

#endif
