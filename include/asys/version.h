/* SPDX-License-Identifier: MIT */
#ifndef ASYS_VERSION_H
#define ASYS_VERSION_H

#include <asys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version in one place: meson.build reads it from here. */
#define ASYS_VERSION "0.1.0"

/* Version of the library that is loaded, which may be newer than the header. */
ASYS_API const char *asys_version(void);

#ifdef __cplusplus
}
#endif
#endif
