#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same copy written twice: both do what cp does.  Usage: check_copy.py PROGRAM PROGRAM"""
import os
import stat
import subprocess
import sys
import tempfile

PROGRAMS = sys.argv[1:]


def run(program, *args, faults=None):
    environment = dict(os.environ)
    if faults is not None:
        environment["ASYS_FAULT"] = faults
    return subprocess.run([program, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, timeout=60, env=environment)


def expect(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: got {got!r}, wanted {wanted!r}")


def content(path):
    with open(path, "rb") as file:
        return file.read()


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def copies(folder):
    source, target, wanted = (os.path.join(folder, name) for name in ("from", "to", "cp"))
    for size in (0, 1, 65535, 65536, 65537, (1 << 20) + 3):
        for bits in (0o644, 0o700, 0o444):
            with open(source, "wb") as file:
                file.write(os.urandom(size))
            os.chmod(source, bits)
            subprocess.run(["cp", source, wanted], check=True, timeout=60)
            for program in PROGRAMS:
                for _ in range(2):  # a new file, and one that is there (and writable) already
                    done = run(program, source, target)
                    expect(f"{program}: what it says", done.stderr, "")
                    expect(f"{program}: status", done.returncode, 0)
                    expect(f"{program}: mode", mode(target), mode(wanted))
                    if subprocess.run(["cmp", source, target], timeout=60).returncode != 0:
                        sys.exit(f"{program}: {size} bytes: the copy differs")
                    os.chmod(target, 0o600)
                    with open(target, "ab") as file:
                        file.write(b"longer than the source")
                    os.chmod(target, mode(wanted) | 0o200)
                    if not mode(wanted) & 0o200:
                        break
                os.remove(target)
            os.remove(wanted)
            os.remove(source)


def claims(folder):
    """Files that claim less than they have, or more: size 0, and a page for some bytes."""
    target = os.path.join(folder, "to")
    for source in ("/proc/version", "/proc/kallsyms", "/sys/kernel/mm/transparent_hugepage/enabled"):
        if not os.path.exists(source):
            continue
        for program in PROGRAMS:
            done = run(program, source, target)
            expect(f"{program} {source}: {done.stderr}", done.returncode, 0)
            expect(f"{program} {source}: the copy", content(target) == content(source), True)
            os.remove(target)


def failures(folder):
    """Both end with the same status, and say the same but for their names."""
    source, other = os.path.join(folder, "from"), os.path.join(folder, "to")
    with open(source, "wb") as file:
        file.write(b"some text")
    cases = (((), 2, "usage"), ((source,), 2, "usage"), ((source, other, other), 2, "usage"),
             ((os.path.join(folder, "none"), other), 1, "cannot open"),
             ((folder, other), 1, "cannot read"),
             ((source, source), 1, "cannot copy to itself"),
             ((source, os.path.join(folder, "none", "to")), 1, "cannot create"),
             ((source, folder), 1, "cannot create"),
             ((source, "/dev/full"), 1, "cannot write"))
    for args, status, word in cases:
        said = set()
        for program in PROGRAMS:
            done = run(program, *args)
            expect(f"{program} {args}: status", done.returncode, status)
            expect(f"{program} {args}: lines", done.stderr.count("\n"), 1)
            expect(f"{program} {args}: '{word}' in '{done.stderr}'", word in done.stderr, True)
            said.add(done.stderr.replace(os.path.basename(program), "copy"))
        expect(f"{args}: different words", len(said), 1)
    expect("the source", content(source), b"some text")
    for program in PROGRAMS:
        done = subprocess.run([program, source, other], env={**os.environ, "ASYS_ENGINE": "none"},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        expect(f"{program}: no queue: {done.stderr}",
               (done.returncode, b"ASYS_ENGINE=none" in done.stderr, done.stderr.count(b"\n")), (1, True, 1))
    # A name does not command the terminal.
    for program in PROGRAMS:
        done = run(program, os.path.join(folder, "a\x1b[31m\nb"), other)
        expect(f"{program}: '{done.stderr}'", (done.stderr.count("a\\033[31m\\012b'"), done.stderr.count("\n")),
               (1, 1))


def bad_days(folder):
    """A copy is whole, or it failed and says so in a line."""
    source, target = os.path.join(folder, "from"), os.path.join(folder, "to")
    with open(source, "wb") as file:
        file.write(os.urandom(700000))
    for program in PROGRAMS:
        failed = 0
        for seed in range(1, 16):
            done = run(program, source, target, faults=f"seed={seed},rate=400,kinds=short+benign")
            expect(f"{program} seed {seed}: what it says", done.stderr, "")
            expect(f"{program} seed {seed}: status", done.returncode, 0)
            expect(f"{program} seed {seed}: the copy is right",
                   content(target) == content(source), True)
            done = run(program, source, target, faults=f"seed={seed},rate=50")
            expect(f"{program} seed {seed}: lines", done.stderr.count("\n"), done.returncode)
            if done.returncode == 0:
                expect(f"{program} seed {seed}: the copy is right",
                       content(target) == content(source), True)
            failed += done.returncode
        expect(f"{program}: some failed, some did not", 0 < failed < 15, True)


def main():
    for work in (copies, claims, failures, bad_days):
        with tempfile.TemporaryDirectory() as folder:
            work(folder)


main()
