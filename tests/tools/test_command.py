#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command asys, as people and programs use it.  Usage: test_command.py PROGRAM TABLE CHAINS"""
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PROGRAM, TABLE, CHAINS = sys.argv[1:4]
ENGINES = {"inline", "threads", "ready", "uring", "refused"}


def run(*args, timeout=120, **more):
    return subprocess.run([PROGRAM, *args], **more, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, timeout=timeout)


def table():
    """Name and class of every call of this architecture, from the table the library is made of."""
    column = {"x86_64": 1, "aarch64": 2}[platform.machine()]
    calls = {}
    with open(TABLE, encoding="utf-8") as lines:
        for line in lines:
            words = line.split()
            if words and words[0] != "#" and not line.startswith("#") and words[column] != "-":
                calls[int(words[column])] = (words[0], words[3])
    return calls


# A colour, the 8-bit escape raw and in UTF-8, DEL, an overlong escape, text turned round; and a word
# that has to arrive as it is.
HOSTILE = b"\x1b[31m\x9b31m\xc2\x9b31m\x7f\xc0\x9b\xe2\x80\xae\xe2\x81\xa6\xff" + "gr\u00fcn".encode()


class Hostile(unittest.TestCase):
    """Nothing that comes from outside steers the terminal."""
    def harmless(self, *args, said=True, **env):
        done = subprocess.run([PROGRAM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, **env}, timeout=120)
        text = (done.stdout + done.stderr).decode()  # valid UTF-8
        for letter in text:
            self.assertTrue(letter in "\n\t" or letter >= " " and letter != "\x7f" and not
                            "\x80" <= letter < "\xa0" and letter not in "\u202e\u2066", text)
        if said:
            self.assertIn("gr\u00fcn", text)
        return done

    def test_words(self):
        self.harmless("info", HOSTILE)
        self.harmless(HOSTILE)
        self.harmless("chain", b"--" + HOSTILE)
        self.harmless("chain", b"/none/" + HOSTILE)
        self.harmless("run", b"/none/" + HOSTILE)
        self.harmless("demo", b"--dir=/none/" + HOSTILE, said=False)

    def test_environment(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "c")
            with open(path, "wb") as file:
                file.write(b"getppid\n")
            self.harmless("chain", "--run", path, ASYS_ENGINE=HOSTILE, said=False)
            self.harmless("chain", "--run", path, ASYS_FAULT=HOSTILE, said=False)

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder.encode(), HOSTILE)
            with open(path, "wb") as file:
                file.write(b'label "' + HOSTILE + b'" getppid\n')
            for how in ("--dot", "--json", "--run"):
                self.harmless("chain", how, path, said=how != "--run")
            self.harmless("chain", path)
            with open(path, "wb") as file:
                file.write(HOSTILE + b" 1\n")
            self.harmless("chain", path)
            with open(path, "wb") as file:
                file.write(b"#!/none/" + HOSTILE + b"\n")
            os.chmod(path, 0o755)
            self.harmless("run", path)


class Words(unittest.TestCase):
    def test_help(self):
        for args in ((), ("help",), ("--help",), ("-h",)):
            done = run(*args)
            self.assertEqual(done.returncode, 0, done.stderr)
            for command in ("asys info", "asys chain", "asys run", "asys demo",
                            "asys version"):
                self.assertIn(command, done.stdout)
            self.assertEqual(done.stderr, "")
        self.assertIn("--quick", run("help", "demo").stdout)
        self.assertEqual(run("help", "demo").stdout, run("demo", "--help").stdout)
        self.assertEqual(run("help", "info").stdout, run("info", "--help").stdout)
        self.assertEqual(run("help", "chain").stdout, run("chain", "-h").stdout)
        self.assertIn("--dot", run("help", "chain").stdout)
        self.assertEqual(run("help", "run").stdout, run("run", "-h").stdout)
        self.assertIn("--posix-aio", run("help", "run").stdout)

    def test_version(self):
        done = run("version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^asys \d+\.\d+\.\d+\n$")
        self.assertEqual(done.stdout, run("--version").stdout)

    def test_wrong_usage(self):
        for args, word in ((("frob",), "frob"), (("demo", "--frob"), "--frob"),
                           (("demo", "--dir"), "--dir"), (("info", "-q"), "-q")):
            done = run(*args)
            self.assertEqual(done.returncode, 2, args)
            self.assertEqual(done.stdout, "")
            self.assertIn(word, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)

    def test_environment(self):
        """An engine or a fault that is unknown is told by whatever would serve calls, before any work."""
        commands = (("info",), ("info", "read", "--json"), ("demo", "--quick"), ("chain", "-"),
                    ("chain", "--run", "-"), ("run", "true"), ("run", "--aio", "--", "true"))
        for name, value, words in (
                ("ASYS_ENGINE", "foo", ("ASYS_ENGINE=foo", "auto", "inline", "threads", "ready", "uring")),
                ("ASYS_FAULT", "foo", ("ASYS_FAULT=foo", "'foo'", "seed=", "rate=", "kinds=")),
                ("ASYS_FAULT", "kinds=" + 200 * "x", ("ASYS_FAULT=kinds=x", "eintr", "eagain", "enospc",
                                                      "eio", "short", "delay", "reorder", "benign",
                                                      "all, joined by", "unset it")),
                ("ASYS_FAULT", "rate=1001", ("ASYS_FAULT=rate=1001", "0..1000")),
                ("ASYS_FAULT", "seed=", ("ASYS_FAULT=seed=", "0..18446744073709551615"))):
            for args in commands:
                done = run(*args, env={**os.environ, name: value}, input="getppid\n")
                self.assertEqual((done.returncode, done.stdout), (2, ""), args)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                for word in words:
                    self.assertIn(word, done.stderr)
            for args in (("version",), ("help",), ("help", "info")):
                done = run(*args, env={**os.environ, name: value})
                self.assertEqual(done.returncode, 0)
                self.assertNotEqual(done.stdout, "")
                for word in words:
                    self.assertIn(word, done.stderr)
        done = run("run", "true", env={**os.environ, "ASYS_LIBDIR": "/nonexistent"})
        self.assertEqual((done.returncode, done.stdout), (125, ""))
        self.assertIn("ASYS_LIBDIR=/nonexistent", done.stderr)
        # What is run has the same sanitizer as the library, if any.
        own = (PROGRAM, "version")
        for args in (("info", "read"), ("run", *own)):
            done = run(*args, env={**os.environ, "ASYS_ENGINE": "", "ASYS_FAULT": ""})
            self.assertEqual((done.returncode, done.stderr), (0, ""))
        for engine in ("auto", "ready"):
            done = run("run", "--engine", engine, *own, env={**os.environ, "ASYS_ENGINE": "foo"})
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_full_disk(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([PROGRAM, "help"], stdout=full, stderr=subprocess.PIPE,
                                  universal_newlines=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write the output", done.stderr)


class Info(unittest.TestCase):
    def test_json_has_every_call(self):
        done = run("info", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = json.loads(done.stdout)
        shown = {call["nr"]: call for call in answer["calls"]}
        self.assertEqual(len(shown), len(answer["calls"]), "a number twice")
        self.assertEqual({nr: (call["name"], call["class"]) for nr, call in shown.items()},
                         table())
        for call in shown.values():
            self.assertIn(call["engine"], ENGINES, call)
            self.assertEqual(call["engine"] == "refused", call["class"] == "never", call)
            self.assertTrue(call["why"], call)
        uring = answer["probe"]["io_uring"]
        self.assertEqual(uring["usable"], uring["error"] == 0)
        self.assertTrue(uring["why"])
        self.assertGreaterEqual(answer["probe"]["cores"], 1)

    def test_table(self):
        done = run("info")
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ("io_uring", "calls", "served by"):
            self.assertIn(word, done.stdout)
        lines = done.stdout.split("\n\n", 1)[1].splitlines()
        self.assertEqual(len(lines) - 1, len(table()))
        start = lines[0].index("engine")
        for line in lines[1:]:
            self.assertIn(line[start:].split()[0], ENGINES, "columns are not aligned: " + line)

    def test_some_calls(self):
        names = {name: nr for nr, (name, _) in table().items()}
        done = run("info", "openat", str(names["read"]), "--json")
        self.assertEqual([call["name"] for call in json.loads(done.stdout)["calls"]],
                         ["openat", "read"])

    def test_unknown_call(self):
        for name, near in (("opemat", "openat"), ("wirte", "write"), ("fsnyc", "fsync")):
            done = run("info", name)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"'{name}'", done.stderr)
            self.assertIn(near, done.stderr)
        for name in ("qqqqqqqqqq", "99999", "18446744073709551616", "1x", ""):
            done = run("info", name)
            self.assertEqual(done.returncode, 1, name)
            self.assertIn(f"'{name}'", done.stderr)


class Demo(unittest.TestCase):
    """On a small tree and file of its own: what is on the machine is not the test's business."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.tree = os.path.join(self.folder.name, "tree")
        self.files = self.bytes = self.folders = 0
        self.make_tree(self.tree, 3)
        for size in (65535, 65536, 65537, 300000):
            self.make_file(self.tree, f"large{size}", size)
        os.symlink("large65537", os.path.join(self.tree, "link"))
        os.mkfifo(os.path.join(self.tree, "fifo"))
        self.data = os.urandom((3 << 20) + 5)
        self.file = os.path.join(self.folder.name, "file")
        with open(self.file, "wb") as file:
            file.write(self.data)

    def tearDown(self):
        self.folder.cleanup()

    def make_file(self, folder, name, size):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(bytes(size))
        self.files += 1
        self.bytes += size

    def make_tree(self, folder, depth):
        os.mkdir(folder)
        self.folders += 1
        for i in range(20):
            self.make_file(folder, f"file{i}", i * 100)
        if depth > 0:
            for i in range(4):
                self.make_tree(os.path.join(folder, f".folder{i}"), depth - 1)

    def demo(self, *args):
        return run("demo", "--quick", "--dir", self.tree, "--file", self.file, *args)

    def test_totals(self):
        # More names than one getdents64 of the walk brings.
        wide = os.path.join(self.tree, "wide")
        os.mkdir(wide)
        self.folders += 1
        for i in range(3000):
            self.make_file(wide, f"a-name-that-is-rather-long-{i}", 1)
        done = self.demo("--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = json.loads(done.stdout)
        self.assertTrue(answer["equal"])
        digest = hashlib.sha256(self.data).hexdigest()
        self.assertEqual(answer["hash"]["sync_digest"], digest)
        self.assertEqual(answer["hash"]["async_digest"], digest)
        self.assertIn(answer["hash"]["sha256sum"], (digest, None))
        self.assertEqual(answer["walk"]["async_totals"],
                         {"folders": self.folders, "files": self.files, "others": 2,
                          "size_bytes": self.bytes, "read_bytes": self.bytes, "errors": 0})
        self.assertEqual(answer["walk"]["sync_totals"], answer["walk"]["async_totals"])
        for cost in (answer["walk"]["warm"]["async"], answer["hash"]["warm"]["async"]):
            self.assertGreater(cost["calls"], 0)
            self.assertGreater(cost["wall_ns"], 0)
        sync = answer["walk"]["warm"]["sync"]
        self.assertEqual(sync["traps"], sync["calls"])
        # getdents64 returns early where the kernel wants the thread for something else, as it does
        # while it takes a closed ring apart: then the same folder needs one call more.
        other = answer["walk"]["warm"]["async"]["calls"]
        self.assertLess(abs(sync["calls"] - other), 4)

    def test_unreadable(self):
        if os.geteuid() == 0:
            self.skipTest("root may read everything")
        os.chmod(os.path.join(self.tree, "file1"), 0)
        os.chmod(os.path.join(self.tree, ".folder1"), 0)
        done = self.demo("--json")
        os.chmod(os.path.join(self.tree, ".folder1"), 0o700)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["walk"]["async_totals"]["errors"], 2)

    def test_text(self):
        done = self.demo()
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ("synchronous", "asynchronous", "traps per call", "context switches",
                     hashlib.sha256(self.data).hexdigest()):
            self.assertIn(word, done.stdout)
        self.assertNotIn("DIFFERENT", done.stdout)

    def test_wrong_digest_is_noticed(self):
        """A sha256sum that says something else makes the demo fail."""
        tools = os.path.join(self.folder.name, "bin")
        os.mkdir(tools)
        with open(os.path.join(tools, "sha256sum"), "w", encoding="utf-8") as script:
            script.write("#!/bin/sh\nprintf '%064d  -\\n' 0\n")
        os.chmod(script.name, 0o755)
        environment = dict(os.environ, PATH=tools + ":" + os.environ["PATH"])
        done = subprocess.run([PROGRAM, "demo", "--quick", "--dir", self.tree, "--file", self.file],
                              env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True, timeout=120)
        self.assertEqual(done.returncode, 1)
        self.assertIn("DIFFERENT", done.stdout)
        self.assertIn("differ", done.stderr)

    def test_missing_paths(self):
        for args in (("--file", "/nonexistent"), ("--file", self.tree),
                     ("--file", self.file, "--dir", "/nonexistent"),
                     ("--file", self.file, "--dir", self.file)):
            done = run("demo", "--quick", *args)
            self.assertEqual((done.returncode, done.stdout), (1, ""), args)
            self.assertIn(args[-1], done.stderr)

    def test_a_wrong_folder_is_told_first(self):
        """Before the file is opened, let alone hashed."""
        done = run("demo", "--dir", "/nonexistent", "--file", "/none/either")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr.count("\n"), 1)
        for word in ("'/nonexistent'", "No such file", "--dir"):
            self.assertIn(word, done.stderr)


def shipped(name):
    return os.path.join(CHAINS, name + ".chain")


class Chain(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.source = self.path("from")
        self.data = os.urandom(200000)
        with open(self.source, "wb") as file:
            file.write(self.data)

    def tearDown(self):
        self.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def chain(self, text, *args):
        return run("chain", "-", *args, input=text)

    def result(self, text, *args):
        done = self.chain(text, "--run", *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        return int(done.stdout.split()[-1])

    def test_shipped_are_understood(self):
        names = [name for name in os.listdir(CHAINS) if name.endswith(".chain")]
        self.assertGreater(len(names), 2)
        for name in names:
            done = run("chain", os.path.join(CHAINS, name))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, r": [1-9]\d* steps, [1-6] parameters\n$")

    def test_help_shows_a_chain(self):
        lines = run("help", "chain").stdout.split("\n\n")
        done = self.chain(lines[2], "--run", self.source, self.path("to"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.read("to"), self.data)

    def test_cat(self):
        with open(self.path("out"), "wb") as out:
            done = subprocess.run([PROGRAM, "chain", "--run", "-o", self.path("answer"),
                                   shipped("cat"), self.source], stdout=out, timeout=60)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.read("out"), self.data)
        self.assertEqual(self.read("answer"), b"result 0\n")

    def test_copy(self):
        os.chmod(self.source, 0o640)
        done = run("chain", "--run", shipped("copy"), self.source, self.path("to"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "result 0\n")
        self.assertEqual(self.read("to"), self.data)
        self.assertEqual(os.stat(self.path("to")).st_mode & 0o777, 0o640)

    def test_copy_fails(self):
        done = run("chain", "--run", shipped("copy"), self.path("none"), self.path("to"))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, "result -2\n")
        self.assertRegex(done.stderr, r"copy\.chain:\d+: openat failed: No such file")
        self.assertFalse(os.path.exists(self.path("to")))
        done = run("chain", "--run", shipped("copy"), self.source, "/dev/full")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"copy\.chain:\d+: write failed: No space left")

    def test_lock(self):
        done = run("chain", "--run", shipped("lock"), self.path("lock"))
        self.assertEqual(done.returncode, 0, done.stderr)
        timer = threading.Timer(0.3, os.unlink, [self.path("lock")])
        timer.start()
        begin = time.monotonic()
        done = run("chain", "--run", shipped("lock"), self.path("lock"))
        timer.join()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(time.monotonic() - begin, 0.25)
        self.assertTrue(os.path.exists(self.path("lock")))

    def test_json(self):
        done = run("chain", "--run", "--json", shipped("copy"), self.source, self.path("to"))
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = json.loads(done.stdout)
        self.assertEqual(answer["result"], 0)
        self.assertEqual(answer["parameters"], 2)
        steps = {step.get("name", step["call"]): step for step in answer["steps"]}
        with open(shipped("copy"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        for step in answer["steps"]:
            self.assertIn(step["call"], lines[step["line"] - 1])
        self.assertEqual(steps["n"]["runs"], 200000 // 65536 + 2)
        self.assertEqual(steps["n"]["result"], 0)
        self.assertGreater(steps["out"]["result"], 2)
        answer = json.loads(run("chain", "--json", shipped("copy")).stdout)
        self.assertNotIn("result", answer)
        answer = json.loads(run("chain", "--run", "--json", shipped("copy"), "/none/x",
                                self.path("to")).stdout)
        self.assertEqual((answer["result"], answer["error"]), (-2, "No such file or directory"))

    def test_dot(self):
        plain = run("chain", "--dot", shipped("copy"))
        ran = run("chain", "--run", "--dot", shipped("copy"), self.source, self.path("to"))
        for done in (plain, ran):
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(done.stdout.startswith("digraph"))
            for word in ("openat", "read a piece", "write", "loop", "finally"):
                self.assertIn(word, done.stdout)
            self.assertEqual(done.stdout.count("{"), done.stdout.count("}"))
        self.assertNotRegex(plain.stdout, r"took")
        self.assertRegex(ran.stdout, r"took \d")
        self.assertEqual(self.read("to"), self.data)
        failed = run("chain", "--run", "--dot", shipped("copy"), "/none/x", self.path("to"))
        self.assertEqual(failed.returncode, 1)
        self.assertIn("No such file", failed.stdout)
        run("chain", "--dot", "-o", self.path("dot"), shipped("copy"))
        self.assertEqual(self.read("dot").decode(), plain.stdout)

    @unittest.skipUnless(shutil.which("dot"), "no graphviz here")
    def test_graphviz(self):
        hard = 'label "a \\"b\\" \\\\ <c> {d|e}\\n\\x1b" getppid\n'
        texts = [self.chain(hard, "--dot").stdout]
        for name in ("cat", "copy", "lock"):
            texts.append(run("chain", "--dot", shipped(name)).stdout)
        texts.append(run("chain", "--run", "--dot", shipped("copy"), self.source,
                         self.path("to")).stdout)
        for text in texts:
            done = subprocess.run(["dot", "-Tsvg"], input=text, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, universal_newlines=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""), text)
            self.assertIn("<svg", done.stdout)

    def test_values(self):
        self.assertEqual(self.result("r = dup 1\ns = fcntl r F_DUPFD r+7\nresult s\n"), 10)
        self.assertEqual(self.result("&m[16] = 5 O_RDWR\nr = store &m+8 lseek $1 load(&m) 0\n"
                                     .replace("$1", "f")
                                     .replace("r =", f'f = openat -100 "{self.source}" 0 0\nr =')
                                     + "s = lseek f load(&m+8) SEEK_CUR\nresult s\n"), 10)
        self.assertEqual(self.result("r = dup3 1 number($1) O_CLOEXEC\nresult r\n", "0x10"), 16)
        self.assertEqual(self.result("p = pipe2 &fd O_CLOEXEC\n".replace("p", "&fd[8]\np", 1) +
                                     'w = after_ok p write load_int(&fd+4) "two\\0" 4\n'
                                     "&b[8]\nn = after_ok w read load_int(&fd) &b 8\n"
                                     "result n\n"), 4)

    def test_blocks(self):
        branch = ("f = may_fail openat AT_FDCWD $1 O_RDONLY 0\nif f ok\na = lseek f 3 0\nelse\n"
                  "b = getppid\nend\n")
        self.assertEqual(self.result(branch + "result a\n", self.source), 3)
        self.assertEqual(self.result(branch + "result b\n", "/none/x"), os.getpid())
        self.assertEqual(self.result("f = loop 7\ngetppid\nend\nresult f\n"), 7)
        self.assertEqual(self.result("timer 1ms\nt = timer 1000\nresult t\n"), 0)
        done = self.chain("f = openat AT_FDCWD $1 O_RDONLY 0\nclose -1\non_failure\n"
                          "unlinkat AT_FDCWD $1 0\nend\n", "--run", self.source)
        self.assertEqual(done.returncode, 1)
        self.assertIn("standard input:2: close failed: Bad file descriptor", done.stderr)
        self.assertFalse(os.path.exists(self.source))

    def test_mistakes(self):
        for text, args, words in (
                ("getppid\nopemat 1\n", (), ("standard input:2:", "openat")),
                ("loop\ngetppid\n", (), ("standard input:1:", "close it")),
                ("close $1\n", ("--run",), ("1 parameters, here are 0",)),
                ("getppid\n", ("--run", "x"), ("0 parameters, here are 1",)),
                ("close number($1)\n", ("--run", "x1"), ("parameter 1", "number")),
                ("finally\nend\ngetppid\n", (), ("standard input:3:", "finally")),
                ("full close 1\n", (), ("standard input:1:",)),
                ("a = getppid\nloop\nb = getppid\nend\nclose b\nwhile a ok\n", (),
                 ("standard input:6:",))):
            done = self.chain(text, *args)
            self.assertEqual(done.returncode, 1, (text, done.stdout))
            self.assertEqual(done.stdout, "")
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            for word in words:
                self.assertIn(word, done.stderr)
        for args in (("/none/x",), (self.folder.name,),
                     ("--dot", "-o", "/none/x", shipped("cat")),
                     ("--run", "-o", "/none/x", shipped("cat"), self.source),
                     ("--dot", "-o", "/dev/full", shipped("cat"))):
            done = run("chain", *args)
            self.assertEqual((done.returncode, done.stdout), (1, ""), args)  # nothing has run
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
