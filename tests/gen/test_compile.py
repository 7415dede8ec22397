#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the compiler says of uses of the wrappers, right and wrong, and what it makes of them.
Usage: test_compile.py INCLUDE,INCLUDE COMPILER... (the compiler's words, as Meson has them)."""

import re
import subprocess
import sys

STRICT = ["-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-o", "/dev/null"]

PROGRAM = """\
#include <asys/queue.h>
#include <asys/syscalls.h>
#include <stddef.h>
#include <sys/stat.h>
asys_id use(struct asys_queue *q, int fd, void *buf, const void *kept, size_t count, asys_id id);
asys_id use(struct asys_queue *q, int fd, void *buf, const void *kept, size_t count, asys_id id)
{
	(void)fd, (void)buf, (void)kept, (void)count, (void)id;
	return %s;
}
"""

RIGHT = [
    "asys_read(q, fd, buf, count)",
    "asys_read(q, id, id, id)",
    "asys_write(q, fd, kept, count)",
    "asys_write(q, fd, buf, id)",
    "asys_fstat(q, fd, (struct stat *)buf)",
    "asys_ioctl(q, fd, count, fd)",
    "asys_ioctl(q, fd, count, kept)",
    "asys_getpid(q)",
]

WRONG = [
    "asys_read(q, fd, kept, count)",          # would write to what is const
    "asys_read(q, buf, buf, count)",          # a pointer is no descriptor
    "asys_read(q, fd, count, count)",         # a number is no pointer
    "asys_read(q, fd, buf)",                  # an argument is missing
    "asys_read(q, fd, buf, count, 0)",        # one too many
    "asys_read(id, fd, buf, count)",          # an id is no queue
    "asys_read(q, *q, buf, count)",           # nor is a queue anything else
    "asys_write(q, fd, 1.5, count)",
    "asys_ioctl(q, fd, count, 1.5)",          # a word is an integer or a pointer
    "asys_fstat(q, fd, (struct timespec *)buf)",
    "asys_close(q, (struct { long value; }){ 1 })",  # looks like an id
    "asys_exit_group(q, 0)",                  # class never has no wrapper
    "asys_tuxcall(q)",                        # nor has a number without a call
]


def compile_text(command, text, *options):
    return subprocess.run(command + list(options) + ["-x", "c", "-"], input=text, text=True,
                          capture_output=True, timeout=60, check=False)


def check_verdicts(command, failures):
    for use in RIGHT + WRONG:
        done = compile_text(command, PROGRAM % use, "-c", *STRICT)
        if (done.returncode == 0) != (use in RIGHT):
            failures.append("%s: %s\n%s" % (use, "refused" if use in RIGHT else "accepted",
                                            done.stderr))


def instructions(command, use, failures):
    """The instructions of use(), optimized."""
    done = compile_text(command, PROGRAM % use, "-O2", "-S", "-fno-stack-protector", "-o", "-")
    if done.returncode:
        failures.append("%s: no assembly\n%s" % (use, done.stderr))
        return []
    body = re.search(r"^use:[^\n]*\n(.*?)^\s*\.size\s+use,", done.stdout, re.S | re.M)
    return re.findall(r"^\t([a-z][a-z0-9.]*)\s*(.*)$", body.group(1), re.M)


def check_assembly(command, failures):
    """A wrapper moves words and makes one call; flags are computed by the compiler."""
    for use, limit in (("asys_read(q, fd, buf, count)", 20), ("asys_read(q, id, buf, 4096)", 20)):
        code = instructions(command, use, failures)
        called = [what for name, what in code if name in ("call", "callq", "jmp", "bl", "b")]
        other = [name for name, _ in code
                 if re.match(r"(or|orr|shl|sal|lsl|cmp|test|j[^m][a-z]*|b\..*|cbn?z)$", name)]
        if len(called) != 1 or not called[0].startswith("asys_send_") or other:
            failures.append("%s: calls %s, needless %s" % (use, called, other))
        if not 5 <= len(code) <= limit:
            failures.append("%s: %d instructions, expected at most %d" % (use, len(code), limit))


def main(includes, command):
    command = command + ["-I" + folder for folder in includes.split(",")] + ["-std=gnu17"]
    failures = []
    check_verdicts(command, failures)
    check_assembly(command, failures)
    for text in failures:
        print("FAILED: " + text)
    print("%d uses, %d failures" % (len(RIGHT) + len(WRONG) + 2, len(failures)))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
