/* SPDX-License-Identifier: MIT */
/* asys run: what its files say to each other. */
#ifndef ASYS_TOOLS_RUN_H
#define ASYS_TOOLS_RUN_H

#include <limits.h>

/* As of env(1) and nohup(1): the command itself failed, the program cannot be run, it was not found. */
enum { STATUS_RUN = 125, STATUS_CANNOT = 126, STATUS_ABSENT = 127 };

/* Both say what is wrong themselves and return 0 or the exit status. */

/* Finds a shim's library and looks at it. */
int run_find_library(char ret_path[PATH_MAX], const char *folder, const char *name);
/* Finds the program as execvp would, and looks whether the loader will let a library under it. */
int run_find_program(char ret_path[PATH_MAX], const char *name);

#endif
