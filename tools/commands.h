/* SPDX-License-Identifier: MIT */
/* The subcommands: each has a file of its own and returns the exit status of the program. */
#ifndef ASYS_TOOLS_COMMANDS_H
#define ASYS_TOOLS_COMMANDS_H

#include "options.h"

enum { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

int command_chain(const struct options *options);
int command_help(const struct options *options);
int command_info(const struct options *options);
int command_run(const struct options *options);
int command_demo(const struct options *options);

#endif
