#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The generator of the system call table: what it makes of a good table, and what it says of a bad
one. `--update` writes the golden files anew; read the difference before you commit it."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
GENERATE = ROOT / "spec" / "generate.py"
GOLDEN = HERE / "golden"
OUTPUTS = {
    "--header": "syscalls.h",
    "--c": "syscall_table.c",
    "--h": "syscall_table.h",
    "--man": "asys_calls.3",
    "--untested": "untested.tbl",
}

# A line of the table, then what must be said of it after `bad.tbl:LINE: `.
FORM = "NAME X86-64 AARCH64 CLASS BLOCK URING TRAITS (ARGUMENTS) | KEY: TEXT"
TYPES = ("word, int, long, pid_t, off_t, ssize_t, clockid_t, time_t, int32_t, int64_t, "
         "unsigned int, unsigned long, size_t, mode_t, uid_t, gid_t, dev_t, socklen_t, uint32_t, "
         "uint64_t, or a pointer to one of them, to char, fd_set, sigset_t, unsigned char, void, "
         "a struct or a union")
KINDS = "int, fd, dirfd, size, off, path, str, in, out, inout, addr, word"
BAD = [
    ("read 0 63 any forever READ retry",
     "no argument list in parentheses, or something but | after it; expected: " + FORM),
    ("read 0 63 any forever READ retry (int fd:fd",
     "no argument list in parentheses, or something but | after it; expected: " + FORM),
    ("read 0 63 any forever READ retry () reason: x",
     "no argument list in parentheses, or something but | after it; expected: " + FORM),
    ("read 0 63 any forever READ ()",
     "6 words before the argument list; expected 7: " + FORM),
    ("()", "0 words before the argument list; expected 7: " + FORM),
    ("Read 0 63 any forever READ retry ()",
     "name 'Read'; allowed: small letters, digits and _, no digit first"),
    ("9p 0 63 any forever READ retry ()",
     "name '9p'; allowed: small letters, digits and _, no digit first"),
    ("after_ok 0 63 any never - - ()",
     "name 'after_ok': the library has asys_after_ok for itself; allowed: other names"),
    ("queue_open 0 63 any never - - ()",
     "name 'queue_open': the library has asys_queue_open for itself; allowed: other names"),
    ("read -1 63 any never - - ()", "x86-64 number '-1'; allowed: 0 to 1023, or -"),
    ("read 0 1024 any never - - ()", "aarch64 number '1024'; allowed: 0 to 1023, or -"),
    ("read 007 63 any never - - ()", "x86-64 number '007'; allowed: 0 to 1023, or -"),
    ("read 0x1 63 any never - - ()", "x86-64 number '0x1'; allowed: 0 to 1023, or -"),
    ("read - - any never - - ()", "no architecture has a number; required: one at least"),
    ("read 0 63 some never - - ()", "class 'some'; allowed: any, home, never"),
    ("read 0 63 any long - - ()", "block 'long'; allowed: never, brief, disk, forever"),
    ("read 0 63 any never - again ()",
     "trait 'again'; allowed: -, or of retry, context, gone"),
    ("read 0 63 any never - retry, ()", "trait ''; allowed: -, or of retry, context, gone"),
    ("read 0 63 any never - retry,retry ()",
     "a trait stands twice in 'retry,retry'; allowed: each once"),
    ("read 0 63 any never - - (int)", "argument 1 is 'int'; allowed: TYPE NAME:KIND, or 0"),
    ("read 0 63 any never - - (int fd:fd,)", "argument 2 is ''; allowed: TYPE NAME:KIND, or 0"),
    ("read 0 63 any never - - (fd:fd)", "argument 1 is 'fd:fd'; allowed: TYPE NAME:KIND, or 0"),
    ("read 0 63 any never - - (short fd:fd)", "argument 1 has type 'short'; allowed: " + TYPES),
    ("read 0 63 any never - - (struct stat s:int)",
     "argument 1 has type 'struct stat'; allowed: " + TYPES),
    ("read 0 63 any never - - (char ***p:in)", "argument 1 has type 'char ***'; allowed: " + TYPES),
    ("read 0 63 any never - - (int Fd:fd)",
     "argument 1 is called 'Fd'; allowed: small letters, digits, _, no word or type of C or C++, "
     "not q"),
    ("read 0 63 any never - - (int new:fd)",
     "argument 1 is called 'new'; allowed: small letters, digits, _, no word or type of C or C++, "
     "not q"),
    ("read 0 63 any never - - (int q:fd)",
     "argument 1 is called 'q'; allowed: small letters, digits, _, no word or type of C or C++, "
     "not q"),
    ("read 0 63 any never - - (int fd:file)", "argument 1 has kind 'file'; allowed: " + KINDS),
    ("read 0 63 any never - - (int a:int, int b:int, int a:int)",
     "two arguments are called 'a'; allowed: each name once"),
    ("read 0 63 any never - - (int a:int, 0, 0, 0, 0, 0, int b:int)",
     "7 arguments; allowed: 0 to 6"),
    ("read 0 63 any never - - (size_t buf:out)",
     "argument 1: kind out with type 'size_t'; allowed: a pointer"),
    ("read 0 63 any never - - (const void *path:path)",
     "argument 1: kind path with type 'const void *'; allowed: 'const char *'"),
    ("read 0 63 any never - - (char *name:str)",
     "argument 1: kind str with type 'char *'; allowed: 'const char *'"),
    ("read 0 63 any never - - (const void *buf:out)",
     "argument 1: kind out with type 'const void *'; allowed: a pointer to what is not const"),
    ("read 0 63 any never - - (void *fd:fd)",
     "argument 1: kind fd with type 'void *'; allowed: a number"),
    ("read 0 63 any never - - () | why: x",
     "'why: x' after |; allowed: KEY: TEXT, with KEY of reason, note, untested"),
    ("read 0 63 any never - - () | note",
     "'note' after |; allowed: KEY: TEXT, with KEY of reason, note, untested"),
    ("read 0 63 any never - - () | note:", "note is empty; allowed: a sentence, or leave it out"),
    ("read 0 63 any never - - () | note: x | note: y", "note stands twice; allowed: once"),
    ("read 0 63 any never - - () | note: a */ b",
     "note holds a mark of C comments; allowed: any other text"),
    ("read 0 63 any never - - () | reason: x",
     "a reason for class any; allowed: only with home and never"),
    ("read 0 63 home never - - ()", "no reason for class home; required: | reason: TEXT"),
    ("read 0 63 never never - - () | note: x",
     "no reason for class never; required: | reason: TEXT"),
    ("read 0 63 home never READ - () | reason: x",
     "io_uring opcode for class home; allowed: only with any"),
    ("read 0 63 any brief - gone ()",
     "trait gone with more; required: class any, block never, no opcode, no other trait, "
     "no arguments"),
    ("read 0 63 any never - - () | note: caf\u00e9",
     "a character that is not printable ASCII; allowed: printable ASCII and tabs"),
    ("read 0 63 any never - - () | note: bell \x07",
     "a character that is not printable ASCII; allowed: printable ASCII and tabs"),
]


def run(*arguments):
    return subprocess.run([sys.executable, str(GENERATE)] + [str(word) for word in arguments],
                          capture_output=True, text=True, timeout=60, check=False)


def generate(folder, table):
    arguments = []
    for option, name in OUTPUTS.items():
        arguments += [option, os.path.join(folder, name)]
    return run("--table", table, *arguments)


class Golden(unittest.TestCase):
    maxDiff = None

    def test_outputs(self):
        with tempfile.TemporaryDirectory() as folder:
            done = generate(folder, GOLDEN / "small.tbl")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
            for name in OUTPUTS.values():
                with self.subTest(name):
                    made = pathlib.Path(folder, name).read_text(encoding="ascii")
                    self.assertEqual(made, (GOLDEN / name).read_text(encoding="ascii"))

    def test_check_writes_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder, "out")
            done = run("--check", "--table", GOLDEN / "small.tbl", "--header", out)
            self.assertEqual((done.returncode, out.exists()), (0, False))

    def test_the_real_table(self):
        done = run("--check", "--table", ROOT / "spec" / "syscalls.tbl")
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class Bad(unittest.TestCase):
    maxDiff = None

    def complain(self, data):
        """What is said of a table of these bytes, which must be refused."""
        with tempfile.TemporaryDirectory() as folder:
            table, out = pathlib.Path(folder, "bad.tbl"), pathlib.Path(folder, "out")
            table.write_bytes(data)
            done = run("--table", table, "--header", out)
            self.assertEqual((done.returncode, done.stdout, out.exists()), (1, "", False))
            return done.stderr.replace(str(table), "bad.tbl").splitlines()

    def test_each_message(self):
        for line, message in BAD:
            with self.subTest(line):
                said = self.complain(b"# a remark\n\n" + line.encode("utf-8") + b"\n")
                self.assertEqual(said, ["bad.tbl:3: " + message])

    def test_opcode(self):
        for word in ("FOO", "128", "read"):
            said = self.complain(b"read 0 63 any never %s - ()\n" % word.encode())
            self.assertEqual(len(said), 1)
            self.assertTrue(said[0].startswith("bad.tbl:1: io_uring opcode '%s'; allowed: -, a "
                                               "number 0 to 127, READV, WRITEV, FSYNC," % word))

    def test_repeated(self):
        table = (b"read 0 63 any never - - ()\n"
                 b"read 1 64 any never - - ()\n"
                 b"write 0 65 any never - - ()\n"
                 b"close 2 63 any never - - ()\n")
        self.assertEqual(self.complain(table), [
            "bad.tbl:2: name 'read' is that of line 1; allowed: each once",
            "bad.tbl:3: x86-64 number 0 is that of line 1; allowed: each once",
            "bad.tbl:4: aarch64 number 63 is that of line 1; allowed: each once"])

    def test_all_are_reported(self):
        table = b"Read 0 63 some long - - ()\nopen\nwrite 1 64 any never - - (short x:fd)\n"
        lines = [re.match(r"bad\.tbl:(\d+): ", said).group(1) for said in self.complain(table)]
        self.assertEqual(lines, ["1", "1", "1", "2", "3"])

    def test_empty(self):
        for table in (b"", b"# only a remark\n## and a heading\n"):
            self.assertEqual(self.complain(table),
                             ["bad.tbl:1: no system call in this file; expected: " + FORM])

    def test_long_word(self):
        said = self.complain(b"x" * 100 + b"! 0 0 any never - - ()\n")
        self.assertEqual(said, ["bad.tbl:1: name '" + "x" * 57 + "...'; allowed: small letters, "
                                "digits and _, no digit first"])

    def test_files(self):
        done = run("--check", "--table", "/nonexistent/table")
        self.assertEqual((done.returncode, done.stderr),
                         (1, "/nonexistent/table: No such file or directory\n"))
        done = run("--table", GOLDEN / "small.tbl", "--c", "/nonexistent/out")
        self.assertEqual((done.returncode, done.stderr),
                         (1, "/nonexistent/out: No such file or directory\n"))


class Reserved(unittest.TestCase):
    def test_every_function_of_the_library(self):
        """A wrapper must not hide a function, so the generator knows all of them."""
        sys.path.insert(0, str(ROOT / "spec"))
        sys.dont_write_bytecode = True
        from asysgen import model  # pylint: disable=import-outside-toplevel
        found = set()
        for header in sorted((ROOT / "include" / "asys").glob("*.h")):
            text = re.sub(r"/\*.*?\*/", "", header.read_text(encoding="utf-8"), flags=re.S)
            found |= set(re.findall(r"\basys_(\w+)\s*\([^)]*\)\s*[;{]", text))
        self.assertGreater(len(found), 10)
        unknown = {name for name in found - model.RESERVED
                   if not name.startswith(model.RESERVED_PREFIXES)}
        self.assertEqual(unknown, set())


if __name__ == "__main__":
    if "--update" in sys.argv:
        sys.exit(generate(str(GOLDEN), GOLDEN / "small.tbl").returncode)
    unittest.main()
