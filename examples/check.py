#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs an example and compares what it prints with what Python finds out itself."""
import hashlib
import os
import subprocess
import sys
import tempfile


def run(program, *args):
    return subprocess.run([program, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60)


def expect(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: got {got!r}, wanted {wanted!r}")


def check_cat(program, folder):
    for size in (0, 1, 5000, 65536):
        path = os.path.join(folder, "file")
        data = os.urandom(size)
        with open(path, "wb") as file:
            file.write(data)
        done = run(program, path)
        expect(f"status for {size} bytes", done.returncode, 0)
        if done.stdout != data:
            sys.exit(f"{size} bytes: the output differs from the file")
    expect("status for a missing file", run(program, os.path.join(folder, "none")).returncode, 1)
    expect("status without arguments", run(program).returncode, 2)


def check_largehash(program, folder):
    for size in (0, 1, (1 << 20) - 1, 1 << 20, (3 << 20) + 17):
        path = os.path.join(folder, "file")
        data = os.urandom(size)
        with open(path, "wb") as file:
            file.write(data)
        done = run(program, path)
        expect(f"status for {size} bytes", done.returncode, 0)
        expect(f"digest of {size} bytes", done.stdout.split()[0].decode(),
               hashlib.sha256(data).hexdigest())
    done = run(program, os.path.join(folder, "none"))
    expect("status for a missing file", done.returncode, 1)
    expect("a reason for it", b"No such file" in done.stderr, True)


def check_epoll_loop(program, folder):
    wanted = set()
    paths = []
    for size in range(40):
        path = os.path.join(folder, f"file{size}")
        with open(path, "wb") as file:
            file.write(bytes(size * 100))
        paths.append(path)
        wanted.add(f"{path}: {size * 100} bytes")
    done = run(program, *paths)
    expect("status", done.returncode, 0)
    lines = done.stdout.decode().splitlines()
    expect("number of lines", len(lines), len(paths))
    expect("lines", set(lines), wanted)
    done = run(program, paths[1], os.path.join(folder, "none"))
    expect("status with a missing file", done.returncode, 1)
    expect("its other file", done.stdout.decode().splitlines(), [f"{paths[1]}: 100 bytes"])


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        {"cat": check_cat, "largehash": check_largehash,
         "epoll_loop": check_epoll_loop}[os.path.basename(program)](program, folder)


main()
