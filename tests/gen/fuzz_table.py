#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random tables for the generator: it must accept a table, and then everything it makes of it must
be made, or name the file and the line; it must never fail in another way. Tables that were accepted
also have to compile. The same seed makes the same tables.
Usage: fuzz_table.py [--runs N] [--seed N] [--compiles N] TABLE INCLUDE,INCLUDE [COMPILER...]"""

import argparse
import pathlib
import random
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "spec"))

# pylint: disable=wrong-import-position
from asysgen import ctable, header, manual, model, parse, untested  # noqa: E402

WORDS = (list(model.CLASSES) + list(model.BLOCKS) + list(model.TRAITS) + list(model.KINDS) +
         list(model.KEYS) + sorted(model.TYPE_NAMES) + sorted(model.RESERVED) +
         sorted(model.URING) + sorted(model.KEYWORDS) +
         ["-", "0", "1023", "1024", "-1", "(", ")", "|", ":", ",", "*", "const", "struct x *", "##",
          "# ", "\\", '"', "'", "/*", "*/", "%", "%s", "{", "}", "\t", ".", ".\\\"", "\x00", "\xff",
          "\u20ac", "9" * 30, "a" * 300])


def mutate_text(rng, line):
    """One small change somewhere in a line."""
    at = rng.randrange(len(line) + 1)
    end = min(len(line), at + rng.choice((0, 1, 1, 2, 8)))
    kind = rng.randrange(4)
    if kind == 0:
        return line[:at] + line[end:]
    if kind == 1:
        return line[:at] + rng.choice(WORDS) + line[end:]
    if kind == 2:
        return line[:at] + chr(rng.randrange(256)) + line[end:]
    return line[:at] + line[at:end] * rng.randrange(2, 4) + line[end:]


def mutate_words(rng, line):
    """Exchange a word for another of the table's vocabulary."""
    parts = re.split(r"(\w+)", line)
    parts[rng.randrange(len(parts))] = rng.choice(WORDS)
    return "".join(parts)


def make_table(rng, lines):
    chosen = rng.sample(lines, rng.randrange(1, 12))
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        i = rng.randrange(len(chosen))
        chosen[i] = rng.choice((mutate_text, mutate_words))(rng, chosen[i])
    data = "\n".join(chosen).encode("utf-8", "surrogatepass")
    if not rng.randrange(50):
        data = bytes(rng.randrange(256) for _ in range(rng.randrange(200)))
    return data


def outputs(sections):
    return {"syscalls.h": header.header(sections), "syscall_table.c": ctable.source(sections),
            "syscall_table.h": ctable.header(sections), "asys_calls.3": manual.page(sections),
            "untested.tbl": untested.listing(sections)}


def compile_outputs(texts, includes, command):
    """None, or what the compiler said."""
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "asys").mkdir()
        for name, text in texts.items():
            pathlib.Path(folder, "asys" if name == "syscalls.h" else "", name).write_text(
                text, encoding="ascii")
        # The wrappers of this table come before those of the build.
        done = subprocess.run(
            command + ["-I" + folder] + ["-I" + path for path in includes.split(",")] +
            ["-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-include",
             "asys/syscalls.h", str(pathlib.Path(folder, "syscall_table.c"))],
            capture_output=True, text=True, timeout=60, check=False)
        return done.stderr if done.returncode else None


def one(rng, lines):
    """A table, and what was made of it; raises if the generator broke its promise."""
    data = make_table(rng, lines)
    sections, errors = parse.parse(data, "fuzz.tbl")
    count = data.count(b"\n") + 1
    for error in errors:
        match = re.match(r"fuzz\.tbl:(\d+): .+", error)
        if not match or not 1 <= int(match.group(1)) <= count or "\n" in error:
            raise AssertionError("not FILE:LINE: WHAT: %r" % error)
        error.encode("ascii")
    return data, errors, None if errors else outputs(sections)


def main(argv):
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compiles", type=int, default=15)
    parser.add_argument("table")
    parser.add_argument("includes")
    parser.add_argument("compiler", nargs=argparse.REMAINDER)
    args = parser.parse_args(argv)
    rng = random.Random(args.seed)
    lines = pathlib.Path(args.table).read_text(encoding="ascii").splitlines()
    accepted = refused = compiled = 0
    for run in range(args.runs):
        data = b""
        try:
            data, errors, texts = one(rng, lines)
            for text in (texts or {}).values():
                text.encode("ascii")
        except Exception:
            print("FAILED: seed %d, run %d: %r" % (args.seed, run, data))
            raise
        accepted, refused = accepted + (not errors), refused + bool(errors)
        if texts and args.compiler and compiled < args.compiles:
            compiled += 1
            said = compile_outputs(texts, args.includes, args.compiler)
            if said:
                print("FAILED: seed %d, run %d: accepted, but:\n%s\n%r" %
                      (args.seed, run, said, data))
                return 1
    print("%d tables: %d accepted, %d refused, %d compiled" %
          (args.runs, accepted, refused, compiled))
    return 0 if accepted and refused else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
