#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks spec/syscalls.tbl and makes from it what is asked for: the public wrappers (--header), the
library's table (--c, --h), asys_calls(3) (--man), the list of calls that the fidelity test leaves
out (--untested). Nothing is written unless the whole table is right."""

import argparse
import os
import sys

sys.dont_write_bytecode = True  # the source tree may be read-only, and should stay clean
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from asysgen import ctable, header, manual, parse, untested  # noqa: E402

OUTPUTS = (
    ("header", header.header, "asys/syscalls.h: numbers and wrappers"),
    ("c", ctable.source, "syscall_table.c: the table"),
    ("h", ctable.header, "syscall_table.h: its declarations"),
    ("man", manual.page, "asys_calls.3: the manual page"),
    ("untested", untested.listing, "untested.tbl: calls with the key untested, and why"),
)


def options(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, metavar="FILE", help="the table to read")
    parser.add_argument("--check", action="store_true", help="only check the table, write nothing")
    for name, _, what in OUTPUTS:
        parser.add_argument("--" + name, metavar="OUT", help="write " + what)
    return parser.parse_args(argv)


def main(argv):
    chosen = options(argv)
    try:
        with open(chosen.table, "rb") as table:
            data = table.read()
    except OSError as error:
        print("%s: %s" % (chosen.table, error.strerror), file=sys.stderr)
        return 1
    sections, errors = parse.parse(data, chosen.table)
    if errors:
        print("\n".join(errors), file=sys.stderr)
        return 1
    for name, make, _ in OUTPUTS:
        path = getattr(chosen, name)
        if not path or chosen.check:
            continue
        try:
            with open(path, "w", encoding="ascii", newline="\n") as out:
                out.write(make(sections))
        except OSError as error:
            print("%s: %s" % (path, error.strerror), file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
