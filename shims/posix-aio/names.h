/* SPDX-License-Identifier: MIT */
/*
 * The names that glibc has, with its versions: a program finds these functions whatever glibc it was
 * linked with. The functions themselves have other names, since the header's 64 forms take another type;
 * on machines where off_t has 64 bits both are the same.
 */
#ifndef POSIX_AIO_NAMES_H
#define POSIX_AIO_NAMES_H

#include <aio.h>

#define EXPORTED __attribute__((visibility("default"), used))

#define SYMVER(function, name) __asm__(".symver " #function ", " name)

#if defined(__x86_64__)
#define OLD_VERSION "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define OLD_VERSION "GLIBC_2.17"
#endif

#ifdef OLD_VERSION
#define EXPORT_ONE(function, name)              \
	SYMVER(function, #name "@@GLIBC_2.34"); \
	SYMVER(function, #name "@" OLD_VERSION)
#else
#define EXPORT_ONE(function, name) \
	__asm__(".globl " #name "\n\t.set " #name ", " #function "\n\t.type " #name ", %function")
#endif

#define EXPORT(function, name)      \
	EXPORT_ONE(function, name); \
	EXPORT_ONE(function, name##64)

EXPORTED int posix_aio_read(struct aiocb *cb);
EXPORTED int posix_aio_write(struct aiocb *cb);
EXPORTED int posix_aio_fsync(int how, struct aiocb *cb);
EXPORTED int posix_aio_error(const struct aiocb *cb);
EXPORTED ssize_t posix_aio_return(struct aiocb *cb);
EXPORTED int posix_aio_suspend(const struct aiocb *const list[], int n,
			       const struct timespec *timeout);
EXPORTED int posix_aio_cancel(int fd, struct aiocb *cb);
EXPORTED int posix_lio_listio(int mode, struct aiocb *const cbs[], int n, struct sigevent *event);
EXPORTED int posix_lio_listio_silent(int mode, struct aiocb *const cbs[], int n,
				     struct sigevent *event);
EXPORTED void posix_aio_init(const struct aioinit *init);

#endif
