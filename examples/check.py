#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs an example and compares what it prints with what Python finds out itself."""
import hashlib
import os
import resource
import subprocess
import sys
import tempfile


def run(program, *args, **more):
    return subprocess.run([program, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60, **more)


def expect(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: got {got!r}, wanted {wanted!r}")


# Commands to a terminal: raw, as a control of UTF-8, in bytes that are no character; and a letter.
HOSTILE = b"a\x1b[31m\n\xc2\x9b31m\xffgr\xc3\xbcn"
HOSTILE_SHOWN = b"a\\033[31m\\012\\302\\23331m\\377gr\xc3\xbcn"


def check_shown(program, *args):
    """A name that the program prints, where it is there and where it is not, does not command the terminal."""
    for locale, wanted in (("C.UTF-8", HOSTILE_SHOWN), ("C", HOSTILE_SHOWN.replace(b"\xc3\xbc", b"\\303\\274"))):
        done = run(program, *args, env={**os.environ, "LC_ALL": locale})
        text = done.stdout + done.stderr
        expect(f"{locale}: {text} has the name", text.count(wanted), 1)
        expect(f"{locale}: lines", text.count(b"\n"), 1)


def check_cat(program, folder):
    path = os.path.join(folder, "file")
    slow = "sleep 0.1; cat"
    for size in (0, 1, 5000, 65535, 65536, 65537, 300_000, 5_000_000):
        data = os.urandom(size)
        with open(path, "wb") as file:
            file.write(data)
        done = run(program, path)
        expect(f"status for {size} bytes", done.returncode, 0)
        expect(f"{size} bytes: the output is the file", done.stdout == data, True)
        done = subprocess.run(["sh", "-c", f'"$0" "$1" | ({slow})', program, path],
                              stdout=subprocess.PIPE, timeout=60)
        expect(f"{size} bytes into a slow pipe", done.stdout == data, True)
    # What a file claims of its size, or that a pipe has none, means nothing.
    done = subprocess.run(["sh", "-c", f'({slow}) <"$1" | "$0" /dev/stdin', program, path],
                          stdout=subprocess.PIPE, timeout=60)
    expect("a pipe", done.stdout == data, True)
    expect("a file of size 0", run(program, "/proc/self/status").stdout[:5], b"Name:")
    done = run(program, path, env={**os.environ, "ASYS_FAULT": "seed=1,rate=400,kinds=short+benign"})
    expect("short writes", (done.returncode, done.stdout == data), (0, True))
    for where, args, reason in ((">/dev/full", path, "standard output: No space left"),
                                (">&-", path, "standard output: "),
                                ("", os.path.join(folder, "none"), "none: No such file"),
                                ("", folder, f"{folder}: Is a directory"),
                                ("", "/proc/self/mem", "mem: Input/output error")):
        done = subprocess.run(["sh", "-c", f'"$0" "$1" {where}', program, args],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        expect(f"{args} {where}: status", done.returncode, 1)
        expect(f"{args} {where}: {reason} in {done.stderr}", reason in done.stderr.decode(), True)
    expect("status without arguments", run(program).returncode, 2)


def check_chain_cat(program, folder):
    paths, data = [], b""
    for size in (5000, 0, 1, 65536, 300_000):
        paths.append(os.path.join(folder, f"file{size}"))
        with open(paths[-1], "wb") as file:
            file.write(os.urandom(size))
        with open(paths[-1], "rb") as file:
            data += file.read()
    missing = os.path.join(folder, "none")
    for option in ([], ["--parallel"]):
        for number in (1, 2, len(paths)):
            done = run(program, *option, *paths[:number])
            size = sum(os.path.getsize(path) for path in paths[:number])
            expect(f"{option} {number} files: status", done.returncode, 0)
            expect(f"{option} {number} files: output", done.stdout == data[:size], True)
        done = run(program, *option, paths[0], missing, *paths[1:], folder)
        expect(f"{option} a missing file: status", done.returncode, 1)
        expect(f"{option} a missing file: the others", done.stdout == data, True)
        expect(f"{option} a missing file: reasons", done.stderr.decode().splitlines(),
               [f"cat: {missing}: No such file or directory", f"cat: {folder}: Is a directory"])
        with open("/dev/full", "wb") as full:
            done = subprocess.run([program, *option, paths[0]], stdout=full,
                                  stderr=subprocess.PIPE, timeout=60)
        expect(f"{option} full: status", done.returncode, 1)
        expect(f"{option} full: reason", b"No space left" in done.stderr, True)
        done = run(program, *option, "--dot", *paths)
        expect(f"{option} --dot: status", done.returncode, 0)
        expect(f"{option} --dot: a graph", done.stdout.startswith(b"digraph"), True)
    check_shown(program, os.path.join(folder.encode(), HOSTILE))
    many = [paths[-1]] * 60
    expect("too much for a buffer: status", run(program, *many).returncode, 1)
    expect("too much for a buffer: reason", b"--parallel" in run(program, *many).stderr, True)
    done = run(program, "--parallel", *many)
    expect("too much for a buffer, in parallel", done.stdout == 60 * data[-300_000:], True)
    for limit in (16, 32, 1024):  # of descriptors: fewer than files
        few = lambda limit=limit: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        for option in ([], ["--parallel"]):
            done = run(program, *option, *paths[:3] * 400, missing, paths[4], preexec_fn=few)
            expect(f"{option} {limit} descriptors: reasons", done.stderr.decode().splitlines(),
                   [f"cat: {missing}: No such file or directory"])
            expect(f"{option} {limit} descriptors: output",
                   done.stdout == data[:5001] * 400 + data[-300_000:], True)
    expect("status without arguments", run(program).returncode, 2)


def check_full(program, *args):
    """What cannot be printed is no success."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([program, *args], stdout=full, stderr=subprocess.PIPE, timeout=60)
    expect("no room for the output: status", done.returncode, 1)
    expect("no room for the output: reason", b"No space left" in done.stderr, True)


def check_largehash(program, folder):
    for size in (0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 2 << 20, (3 << 20) + 17):
        path = os.path.join(folder, "file")
        data = os.urandom(size)
        with open(path, "wb") as file:
            file.write(data)
        done = run(program, path)
        expect(f"status for {size} bytes", done.returncode, 0)
        expect(f"digest of {size} bytes", done.stdout.split()[0].decode(),
               hashlib.sha256(data).hexdigest())
    check_full(program, path)
    hostile = os.path.join(folder.encode(), HOSTILE)
    check_shown(program, hostile)
    os.rename(path, hostile)
    check_shown(program, hostile)
    done = run(program, os.path.join(folder, "none"))
    expect("status for a missing file", done.returncode, 1)
    expect("a reason for it", b"No such file" in done.stderr, True)
    with open("/proc/version", "rb") as file:  # which claims to be empty
        expect("digest of a file of /proc", run(program, "/proc/version").stdout.split()[0].decode(),
               hashlib.sha256(file.read()).hexdigest())


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
    check_full(program, paths[1])
    hostile = os.path.join(folder.encode(), HOSTILE)
    check_shown(program, hostile)
    os.rename(paths[0], hostile)
    check_shown(program, hostile)
    done = run(program, paths[1], os.path.join(folder, "none"))
    expect("status with a missing file", done.returncode, 1)
    expect("its other file", done.stdout.decode().splitlines(), [f"{paths[1]}: 100 bytes"])


def check_no_queue(program):
    """Where no queue can be opened, it says so, and why."""
    done = run(program, "/dev/null", env={**os.environ, "ASYS_ENGINE": "none"})
    expect("no queue: failed", done.returncode in (1, 2), True)
    expect("no queue: output", done.stdout, b"")
    expect(f"no queue: {done.stderr}", b"ASYS_ENGINE=none" in done.stderr, True)
    expect("no queue: lines", done.stderr.count(b"\n"), 1)
    done = run(program)
    expect("no file: status", done.returncode, 2)
    expect("no file: lines", done.stderr.count(b"\n") > 0, True)


def main():
    program = sys.argv[1]
    check_no_queue(program)
    with tempfile.TemporaryDirectory() as folder:
        {"cat": check_cat, "chain_cat": check_chain_cat, "largehash": check_largehash,
         "epoll_loop": check_epoll_loop}[os.path.basename(program)](program, folder)


main()
