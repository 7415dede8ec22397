#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the table with the kernel headers that are installed: every call they have must be in
the table under its number. Calls that only the table has are newer than the headers.
Usage: check_numbers.py TABLE COMPILER...; exit code 77 where there are no such headers."""

import pathlib
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "spec"))

from asysgen import header, parse  # noqa: E402  pylint: disable=wrong-import-position

ARCH_MACROS = ("__x86_64__", "__aarch64__")  # the order of the table's columns
NO_CALLS = ("syscalls", "arch_specific_syscall")


def macros(command):
    """All macros after <asm/unistd.h>, or None."""
    done = subprocess.run(command + ["-E", "-dM", "-x", "c", "-"], text=True,
                          input="#include <asm/unistd.h>\n", capture_output=True, timeout=60,
                          check=False)
    if done.returncode:
        return None
    return dict(re.findall(r"^#define (\w+) (.*)$", done.stdout, re.M))


def installed(defined):
    """Name and number of each call in the headers."""
    calls = {}
    for name, value in defined.items():
        if name.startswith("__NR_") and name[5:] not in NO_CALLS:
            value = defined.get(value, value)  # aarch64: __NR_fstat is __NR3264_fstat
            calls[name[5:]] = int(value)
    return calls


def main(table, command):
    sections, errors = parse.parse(pathlib.Path(table).read_bytes(), table)
    if errors:
        print("\n".join(errors))
        return 1
    defined = macros(command)
    columns = [i for i, macro in enumerate(ARCH_MACROS) if defined and macro in defined]
    if not columns:
        print("skipped: no <asm/unistd.h> for x86-64 or aarch64")
        return 77
    ours = {call.name: call.numbers[columns[0]] for call in header.all_calls(sections)
            if call.numbers[columns[0]] is not None}
    theirs = installed(defined)
    wrong = ["%s: %s in the table, %d in the headers" % (name, ours.get(name, "nothing"), number)
             for name, number in sorted(theirs.items()) if ours.get(name) != number]
    taken = {number: name for name, number in theirs.items()}
    wrong += ["%s: number %d is %s in the headers" % (name, number, taken[number])
              for name, number in sorted(ours.items()) if taken.get(number, name) != name]
    for text in wrong:
        print("FAILED: " + text)
    print("%d calls in the headers, %d in the table, %d failures" %
          (len(theirs), len(ours), len(wrong)))
    return 1 if wrong or len(theirs) < 100 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
