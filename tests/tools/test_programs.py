#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What documents show can be copied out of them: whole programs are compiled as a reader would do it,
without a flag of the project's, linked and run; fragments compile inside a function that has what they
name; structures have the size of those in the headers.
Usage: test_programs.py SOURCE_FOLDER BUILD_FOLDER COMPILER..."""
import glob
import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT, BUILD, COMPILER = sys.argv[1], sys.argv[2], sys.argv[3:]
INCLUDES = [os.path.join(ROOT, "include"), os.path.join(BUILD, "spec", "include")]
LIBRARY = os.path.join(BUILD, "src")

# What the text around a fragment says is there.
AROUND = """#define _GNU_SOURCE
#include <asys/asys.h>
#include <asys/task.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct asys_queue *q;
struct asys_chain *c;
struct asys_event event;
asys_id id, in, out, n, w;
const char *path;
char buf[65536];
size_t size = sizeof buf;
uint64_t range[2];
int fd, log_fd, err;

%s
void fragment(void);
void fragment(void)
{
%s
}
"""
ESCAPES = {r"\-": "-", r"\e": "\\", r"\&": "", r"\(aq": "'", r"\(dq": '"'}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def in_page(path):
    """The literal blocks of a manual page, as they are read on the terminal; not those of the synopsis."""
    text = re.sub(r"^\.SH SYNOPSIS.*?(?=^\.SH)", "", read(path), flags=re.S | re.M)
    for block in re.findall(r"^\.EX\n(.*?)^\.EE$", text, flags=re.S | re.M):
        yield re.sub(r"\\(?:\(..|.)", lambda found: ESCAPES[found.group(0)], block)


def in_comments(path):
    """What is set off in the comments of a header, by more than a space."""
    for comment in re.findall(r"^/\*\n(.*?)^ \*/", read(path), flags=re.S | re.M):
        text = re.sub(r"^ \*$", "", comment, flags=re.M)
        for block in re.findall(r"(?:^ \*   +.*\n|^\n(?= \*   ))+", text, flags=re.M):
            yield re.sub(r"^ \*   ", "", block, flags=re.M)


def blocks():
    """(where, text) of all that documents set in C."""
    for path in sorted(glob.glob(os.path.join(ROOT, "man", "*.[137]"))):
        for block in in_page(path):
            if re.search(r"\basys_\w+", block) and not re.match(r"[$#] [a-z]|ASYS_\w+=", block):
                yield os.path.basename(path), block
    for name in ("README.md", "CONTRIBUTING.md", "NEWS.md", "docs/*.md"):
        for path in glob.glob(os.path.join(ROOT, name)):
            for block in re.findall(r"^```c\n(.*?)^```$", read(path), flags=re.S | re.M):
                yield os.path.basename(path), block
    for path in sorted(glob.glob(os.path.join(ROOT, "include", "asys", "*.h"))):
        for block in in_comments(path):
            if re.search(r"\basys_\w+\(", block):
                yield os.path.basename(path), block


def is_program(block):
    return re.search(r"^int main\(", block, flags=re.M) is not None


class Shown(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="asys-programs.")
        self.addCleanup(self.folder.cleanup)

    def compile(self, where, text, *arguments):
        path = os.path.join(self.folder.name, "shown.c")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self.compile_file(where, path, *arguments)

    def compile_file(self, where, path, *arguments):
        done = subprocess.run([*COMPILER, "-Wall", "-Werror", *(f"-I{folder}" for folder in INCLUDES), path,
                               *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              universal_newlines=True, timeout=60)
        self.assertEqual(done.returncode, 0, f"{where}: {done.stdout}")

    def test_programs(self):
        program = os.path.join(self.folder.name, "shown")
        environment = dict(os.environ, LD_LIBRARY_PATH=LIBRARY)
        found = set()
        for where, block in blocks():
            if not is_program(block):
                continue
            found.add(where)
            self.compile(where, block, "-o", program, f"-L{LIBRARY}", "-lasys")
            for argument, status in ((os.path.join(ROOT, "LICENSE"), 0), ("/nowhere", 1)):
                done = subprocess.run([program, argument], env=environment, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, timeout=60)
                self.assertEqual(done.returncode, status, f"{where}: {done.stderr}")
                self.assertEqual(not done.stdout, status != 0, where)
        self.assertEqual(found, {"README.md", "asys.7", "asys-chains.7", "asys_task.3"})

    def test_fragments(self):
        count = 0
        for where, block in blocks():
            if is_program(block) or re.match(r"struct asys_\w+ \{", block):
                continue
            text = re.sub(r"^(\s*)\.\.\.$", r"\1;", block, flags=re.M)
            # What ends with a brace in the first column is a function, and what is before it no statement.
            outside, inside = re.fullmatch(r"((?:.*^\}\n)?)(.*)", text, flags=re.S | re.M).groups()
            self.compile(where, AROUND % (outside, inside), "-fsyntax-only", "-Wno-unused-variable",
                         "-Wno-unused-but-set-variable")
            count += 1
        self.assertGreater(count, 7)

    def test_structures(self):
        count = 0
        for where, block in blocks():
            for name in re.findall(r"^struct (asys_\w+) \{", block, flags=re.M):
                text = block.replace(f"struct {name} {{", "struct shown {")
                self.compile(where, f"#include <asys/asys.h>\n{text}\n_Static_assert(sizeof(struct shown)"
                                    f" == sizeof(struct {name}), \"{name}\");\n", "-fsyntax-only")
                count += 1
        self.assertGreater(count, 3)

    def test_examples(self):
        for path in sorted(glob.glob(os.path.join(ROOT, "examples", "*.c"))):
            if "<openssl/" in read(path) and subprocess.run(
                    [*COMPILER, "-E", "-include", "openssl/evp.h", "-xc", "/dev/null"],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60).returncode:
                continue
            self.compile_file(path, path, "-fsyntax-only")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
