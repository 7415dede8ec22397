#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""asys run, as people use it.  Usage: run.py ASYS PROGRAM   (PROGRAM: run_program.c)"""
import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

ASYS, PROGRAM = map(os.path.abspath, sys.argv[1:3])
ENGINES = ("auto", "inline", "threads", "ready", "uring")
MACHINES = {"x86_64": 62, "aarch64": 183}
SHIMS = ("libaio.so.1", "libasys-posix-aio.so")
BY_NUMBER = "libasys-syscall.so"  # comes with the first


def run(*args, env=None, **more):
    environment = dict(os.environ, **(env or {}))
    return subprocess.run([ASYS, "run", *args], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, timeout=60, **more)


def elf(machine, width=64, loader=None, cut=None):
    """The head of a program, as far as anybody looks at it before it runs."""
    if width == 32:
        return b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HHI", 2, machine, 1) + bytes(28)
    segments = []
    if loader is not None:
        segments.append(struct.pack("<IIQQQQQQ", 3, 4, 64 + 56, 0, 0, len(loader) + 1,
                                    len(loader) + 1, 1))
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, len(segments), 64, 0, 0)
    data = head + b"".join(segments) + (loader.encode() + b"\0" if loader else b"")
    return data[:cut]


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def make(self, name, data, mode=0o755):
        with open(self.path(name), "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        os.chmod(self.path(name), mode)
        return self.path(name)


class Refused(Folder):
    def refused(self, path, status, *words, args=(), **more):
        done = run(*args, "--", path, **more)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in (path, *words):
            self.assertIn(word, done.stderr)

    def test_absent(self):
        self.refused("no-such-program-anywhere", 127, "$PATH")
        self.refused(self.path("none"), 127, "No such file")
        self.refused(self.make("file", "") + "/x", 127, "Not a directory")
        self.refused("", 127)
        self.refused("true", 127, "$PATH", env={"PATH": self.folder.name})

    def test_not_executable(self):
        self.refused(self.make("file", "x", 0o644), 126, "mode")
        self.refused(self.folder.name, 126, "folder")
        self.make("hidden", "x", 0o644)
        self.refused("hidden", 126, env={"PATH": self.folder.name})

    def test_nothing_the_kernel_runs(self):
        self.refused(self.make("empty", ""), 126, "empty")
        self.refused(self.make("text", "exit 3\n"), 126, "#!", "sh ")
        self.refused(self.make("cut", elf(MACHINES[platform.machine()], cut=40)), 126, "broken")
        self.refused(self.make("bare", "#!\n"), 126, "broken")

    def test_scripts(self):
        none = self.path("none")
        self.refused(self.make("script", f"#! {none} -x\n"), 126, none, "interpreter")
        static = self.make("static", elf(MACHINES[platform.machine()]))
        script = self.make("other", f"#!{static}\n")
        done = run("--", script)
        self.assertEqual(done.returncode, 126)
        self.assertIn(static, done.stderr)
        deep = "/bin/sh"
        for i in range(6):
            deep = self.make(f"deep{i}", f"#!{deep}\n")
        done = run("--", deep)
        self.assertEqual(done.returncode, 126)
        self.assertIn("script of a script", done.stderr)

    def test_static(self):
        self.refused(self.make("static", elf(MACHINES[platform.machine()])), 126, "statically")

    def test_other_machine(self):
        other = {"x86_64": "aarch64", "aarch64": "x86_64"}[platform.machine()]
        name = {"aarch64": "aarch64", "x86_64": "x86-64"}[other]
        self.refused(self.make("other", elf(MACHINES[other], loader="/lib/ld.so")), 126, name)
        self.refused(self.make("half", elf(3, width=32)), 126, "32-bit x86")

    def test_other_c_library(self):
        machine = MACHINES[platform.machine()]
        gone = self.path("ld-gone.so.1")
        self.refused(self.make("gone", elf(machine, loader=gone)), 126, "loader is not here")
        there = self.make("ld-other.so.1", "")
        self.refused(self.make("other", elf(machine, loader=there)), 126, "ld-other.so.1")

    @unittest.skipUnless(os.geteuid() == 0, "only root can give files away")
    def test_set_user(self):
        if os.statvfs(self.folder.name).f_flag & os.ST_NOSUID:
            self.skipTest("mounted nosuid")
        copy = self.path("copy")
        shutil.copy(PROGRAM, copy)
        os.chown(copy, 65534, -1)
        os.chmod(copy, 0o4755)
        self.refused(copy, 126, "set-user-ID", "LD_PRELOAD")
        # One's own is no gain of rights, and the loader obeys.
        os.chown(copy, 0, 65534)
        os.chmod(copy, 0o2755)
        self.refused(copy, 126, "set-group-ID")
        os.chown(copy, 0, 0)
        os.chmod(copy, 0o6755)
        self.assertEqual(run("--", copy, self.path("file"), "4").returncode, 4)

    def test_libraries(self):
        empty = {"ASYS_LIBDIR": self.folder.name}
        done = run("--", PROGRAM, env=empty)
        self.assertEqual(done.returncode, 125)
        for word in (SHIMS[0], self.folder.name, "ASYS_LIBDIR"):
            self.assertIn(word, done.stderr)
        self.assertIn(SHIMS[1], run("--posix-aio", "--", PROGRAM, env=empty).stderr)
        self.make(SHIMS[0], "no library")
        done = run("--", PROGRAM, env=empty)
        self.assertEqual(done.returncode, 125)
        self.assertIn("no library", done.stderr)
        os.mkdir(self.path("a b"))
        self.make("a b/" + SHIMS[0], elf(MACHINES[platform.machine()]))
        done = run("--", PROGRAM, env={"ASYS_LIBDIR": self.path("a b")})
        self.assertEqual(done.returncode, 125)
        self.assertIn("blank", done.stderr)

    def test_usage(self):
        for args, word in (((), "run"), (("--frob", "true"), "--frob"),
                           (("--engine", "fast", "true"), "fast"), (("--stats=", "true"), "--stats")):
            done = run(*args)
            self.assertEqual(done.returncode, 2, args)
            self.assertIn(word, done.stderr)
        done = run("--stats=" + self.path("none/file"), "--", PROGRAM)
        self.assertEqual(done.returncode, 125)
        self.assertIn("none/file", done.stderr)


class Environment(unittest.TestCase):
    def environment(self, *args, env=None):
        done = run(*args, "--", "env", env=env)
        self.assertEqual(done.returncode, 0, done.stderr)
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

    def test_both_or_chosen(self):
        both = (SHIMS[0], BY_NUMBER, SHIMS[1])
        for args, wanted in (((), both), (("--aio",), both[:2]), (("--posix-aio",), both[2:]),
                             (("--aio", "--posix-aio"), both)):
            paths = self.environment(*args)["LD_PRELOAD"].split(":")
            self.assertEqual([os.path.basename(path) for path in paths], list(wanted))
            for path in paths:
                self.assertTrue(os.path.isabs(path))

    def test_preload_is_kept(self):
        first = self.environment("--aio")["LD_PRELOAD"]
        kept = self.environment("--posix-aio", env={"LD_PRELOAD": first})["LD_PRELOAD"]
        self.assertTrue(kept.startswith(first + ":"))
        self.assertEqual(len(kept.split(":")), 3)
        again = self.environment("--aio", env={"LD_PRELOAD": kept})["LD_PRELOAD"]
        self.assertEqual(again, kept)

    def test_engine(self):
        self.assertEqual(self.environment("--engine", "ready")["ASYS_ENGINE"], "ready")
        self.assertEqual(self.environment(env={"ASYS_ENGINE": "threads"})["ASYS_ENGINE"], "threads")
        self.assertNotIn("ASYS_ENGINE", self.environment("--engine=auto",
                                                         env={"ASYS_ENGINE": "threads"}))

    def test_arguments_are_the_programs(self):
        done = run("echo", "--stats", "-h", "--", "x")
        self.assertEqual(done.stdout, "--stats -h -- x\n")
        self.assertEqual(done.stderr, "")

    def test_is_the_program(self):
        """exec, not a child: the same process, and a signal's end is the program's."""
        done = run("--", "sh", "-c", "kill -TERM $$")
        self.assertEqual(done.returncode, -15)
        self.assertEqual(run("sh", "-c", "exit 41").returncode, 41)


class Programs(Folder):
    def report(self, *args):
        """What --stats=FILE says of the program, by library."""
        file = self.path("stats")
        done = run(f"--stats={file}", *args)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertEqual(done.stderr, "")
        with open(file, encoding="utf-8") as lines:
            reports = [json.loads(line) for line in lines]
        os.unlink(file)
        return {report["shim"]: report for report in reports}

    def check(self, report, forked=False, **calls):
        self.assertEqual(report["program"], os.path.basename(PROGRAM))
        self.assertEqual(report["calls"],
                         dict({"read": 8, "write": 8, "fsync": 0, "poll": 0, "noop": 0}, **calls))
        # A call may need several; a forked child that ends by _exit takes the last ones with it.
        served = sum(report["engines"].values())
        self.assertGreaterEqual(served, 0 if forked else sum(report["calls"].values()))
        self.assertGreater(report["traps"]["native"], 0)
        self.assertEqual(report["traps"]["saved"],
                         report["traps"]["native"] - report["traps"]["made"])
        submit = report["submit_ns"]
        self.assertGreater(submit["count"], 0)
        self.assertLessEqual(submit["p50"], submit["p99"])
        self.assertLessEqual(submit["p99"], submit["max"])
        self.assertGreater(submit["p50"], 0)

    def test_each_engine(self):
        for engine in ENGINES:
            with self.subTest(engine=engine):
                reports = self.report("--engine", engine, PROGRAM, self.path("file"), "5")
                self.assertEqual(set(reports), set(SHIMS))
                self.check(reports[SHIMS[0]])
                self.check(reports[SHIMS[1]], fsync=1)

    def test_forked(self):
        """What a child does that ends by _exit is in its parent's figures."""
        reports = self.report(PROGRAM, self.path("file"), "5", "fork")
        self.check(reports[SHIMS[0]], forked=True)
        self.check(reports[SHIMS[1]], forked=True, fsync=1)

    def test_one(self):
        self.assertEqual(set(self.report("--posix-aio", PROGRAM, self.path("file"), "5")),
                         set(SHIMS[1:]))

    def test_file_is_appended_to(self):
        """Through a script, from another folder; programs without such I/O say nothing."""
        script = self.make("script", f"#!/bin/sh\ncd /\ntrue\n{PROGRAM} {self.path('a')} 0\n"
                                     f"exec {PROGRAM} {self.path('b')} 5\n")
        with open(self.path("out"), "w", encoding="utf-8") as out:
            out.write('{"before": true}\n')
        done = run("--stats=out", script, cwd=self.folder.name)
        self.assertEqual(done.returncode, 5, done.stderr)
        with open(self.path("out"), encoding="utf-8") as lines:
            reports = [json.loads(line) for line in lines]
        self.assertEqual(len(reports), 5)
        self.assertEqual(len({report["pid"] for report in reports[1:]}), 2)

    def test_nothing_is_held_open(self):
        """With FILE: who reads the standard error of a daemon's starter reads to its end."""
        before = run("sh", "-c", "ls /proc/self/fd").stdout
        done = run("--stats=" + self.path("stats"), "sh", "-c", "ls /proc/self/fd")
        self.assertEqual(done.stdout, before)

    def test_lines_for_people(self):
        done = run("--stats", PROGRAM, self.path("file"), "5")
        self.assertEqual(done.returncode, 5)
        for word in (*SHIMS, "8 read, 8 write", "1 fsync", "traps:", "p99"):
            self.assertIn(word, done.stderr)
        for line in done.stderr.splitlines():
            self.assertTrue(line.startswith("asys:"), line)
        # ls closes its standard error before it ends.
        done = run("--stats", "ls", os.path.dirname(os.path.abspath(__file__)))
        self.assertEqual(done.stderr.count("nothing went through"), 2, done.stderr)

    def test_libdir(self):
        """ASYS_LIBDIR says where; links are followed."""
        def preloaded(**more):
            done = run("--", "env", **more)
            return [line for line in done.stdout.splitlines() if line.startswith("LD_PRELOAD=")]
        found = preloaded()
        for path in found[0].split("=", 1)[1].split(":"):
            os.symlink(path, self.path(os.path.basename(path)))
        self.assertEqual(preloaded(env={"ASYS_LIBDIR": self.folder.name}), found)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
