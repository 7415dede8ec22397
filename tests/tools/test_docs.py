#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Documents and code agree.  Usage: test_docs.py SOURCE_FOLDER"""
import glob
import os
import re
import shutil
import subprocess
import sys
import unittest

ROOT = sys.argv[1]


def read(*parts):
    with open(os.path.join(ROOT, *parts), encoding="utf-8") as file:
        return file.read()


def public_functions():
    """What the headers declare or define for users, the generated wrappers left out. What ends in _ serves
    the headers themselves."""
    names = set()
    for path in glob.glob(os.path.join(ROOT, "include", "asys", "*.h")):
        text = re.sub(r"/\*.*?\*/", "", read(path), flags=re.S)
        names |= set(re.findall(r"^(?:ASYS_API|static inline)\b[^;{(]*?\b(asys_\w+)\(", text,
                                flags=re.M))
        names |= set(re.findall(r"^#define (asys_\w+)\(", text, flags=re.M))
        if path.endswith("/task.h"):  # its statements look like statements
            names |= set(re.findall(r"^#define (ASYS_\w+)\(", text, flags=re.M))
    return {name for name in names if not name.endswith("_")}


def documented():
    """Function or program -> page, from the NAME sections."""
    names = {}
    for path in glob.glob(os.path.join(ROOT, "man", "*.[137]")):
        section = re.search(r"^\.SH NAME\n(.*?)^\.SH", read(path), flags=re.S | re.M)
        if section is None:
            raise AssertionError(f"{path}: no NAME section")
        listed = section.group(1).replace("\n", " ").split(r" \- ")[0]
        for name in re.split(r",\s*", listed.strip()):
            names[name.strip()] = path
    return names


class Pages(unittest.TestCase):
    def test_every_function_is_documented(self):
        functions = public_functions()
        self.assertGreater(len(functions), 30, "the headers were not understood")
        self.assertEqual(sorted(functions - set(documented())), [])

    def test_nothing_else_is_documented(self):
        pages = {os.path.basename(path).rsplit(".", 1)[0] for path in documented().values()}
        self.assertEqual(sorted(set(documented()) - public_functions() - pages), [])

    def test_page_of_a_function_shows_its_prototype(self):
        for name, path in documented().items():
            if path.endswith(".3") and name in public_functions():
                synopsis = read(path).split(".SH SYNOPSIS")[1].split(".SH DESCRIPTION")[0]
                self.assertRegex(synopsis, rf"\b{name}\(", path)

    def test_page_of_a_function_names_its_errors(self):
        """What the comment before a declaration says of errors, the function's page lists."""
        pages = documented()
        found = 0
        for path in glob.glob(os.path.join(ROOT, "include", "asys", "*.h")):
            for comment, name in re.findall(r"^/\*((?:(?!\*/).)*)\*/\n(?:#define [^\n]*\n)?(?:static inline|ASYS_API)"
                                            r"[^;{(]*?\b(asys_\w+)\(", read(path), flags=re.S | re.M):
                name = name.rstrip("_")  # a macro has its comment before the function that it calls
                page = read(pages[name]).replace("\\-", "-") if name in pages else ""
                for error in set(re.findall(r"-(E[A-Z0-9]{3,})", comment)):
                    self.assertRegex(page, rf"-{error}\b", f"{name}: {pages.get(name)}")
                    found += 1
        self.assertGreater(found, 30)

    def test_errors_of_the_library_are_documented(self):
        """Every error that the library gives by itself, with a message, is in an ERRORS section."""
        listed = set()
        for path in glob.glob(os.path.join(ROOT, "man", "*.3")):
            errors = read(path).replace("\\-", "-").split(".SH ERRORS")[1:]
            listed |= set(re.findall(r"-(E[A-Z0-9]+)", " ".join(errors)))
        given = set()
        for path in glob.glob(os.path.join(ROOT, "src", "**", "*.c"), recursive=True):
            given |= set(re.findall(r"\bfail\w*\((?:c, )?-(E[A-Z0-9]+),", read(path)))
        self.assertGreater(len(given), 10)
        self.assertEqual(sorted(given - listed), [])

    def test_references_lead_somewhere(self):
        pages = {os.path.basename(path) for path in glob.glob(os.path.join(ROOT, "man", "*.[137]"))}
        pages |= {name + os.path.splitext(path)[1] for name, path in documented().items()}
        pages.add("asys_calls.3")  # generated from spec/syscalls.tbl
        for path in glob.glob(os.path.join(ROOT, "man", "*.[137]")):
            for name, section in re.findall(r"^\.BR (asys[\w-]*) \((\d)\)", read(path), flags=re.M):
                self.assertIn(f"{name}.{section}", pages, path)

    def test_all_are_installed(self):
        listed = read("man", "meson.build")
        for path in set(documented().values()):
            page, section = os.path.basename(path).rsplit(".", 1)
            self.assertIn(f"'{page}'" if section == "3" else f"'{page}.{section}'", listed)
        for name in documented():
            self.assertIn(f"'{name}", listed)

    @unittest.skipUnless(shutil.which("mandoc"), "no mandoc here")
    def test_mandoc_is_content(self):
        pages = sorted(glob.glob(os.path.join(ROOT, "man", "*.[137]")))
        done = subprocess.run(["mandoc", "-Tlint", "-Wstyle", *pages], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True, timeout=60)
        # Pages that are installed elsewhere or generated cannot be found beside these.
        lines = [line for line in done.stdout.splitlines()
                 if "referenced manual not found" not in line]
        self.assertEqual(lines, [])


class Readme(unittest.TestCase):
    def test_program_is_the_example(self):
        blocks = re.findall(r"^```c\n(.*?)^```$", read("README.md"), flags=re.S | re.M)
        example = read("examples", "cat.c").split("\n", 1)[1]  # without the licence line
        self.assertIn(example, blocks)

    def test_links_lead_somewhere(self):
        for path in ["README.md", "NEWS.md", *[os.path.join("docs", name) for name in
                                               ("LIMITS.md", "SECURITY.md", "HOWTO_ADD_SYSCALL.md",
                                                "HOWTO_ADD_ENGINE.md")]]:
            for link in re.findall(r"\]\(([^)#]+)\)", read(path)):
                if not re.match(r"\w+:", link):
                    where = os.path.join(ROOT, os.path.dirname(path), link)
                    self.assertTrue(os.path.exists(where), f"{path}: {link}")

    def test_environment_variables_are_documented(self):
        page = read("man", "asys.7")
        for name in ("ASYS_ENGINE", "ASYS_FAULT"):
            self.assertIn(name, page)

    def test_engines_are_documented(self):
        engines = re.findall(r"^\tASYS_ENGINE_(\w+)", read("include", "asys", "queue.h"),
                             flags=re.M)
        page = read("man", "asys.7")
        for engine in engines:
            if engine not in ("AUTO", "COUNT"):
                self.assertIn(engine.lower(), page)

    def test_options_are_documented(self):
        header = read("include", "asys", "queue.h")
        page = read("man", "asys_queue_open.3")
        flags = set(re.findall(r"#define (ASYS_QUEUE_\w+) \(1u", header))
        fields = re.search(r"struct asys_queue_options \{(.*?)^\};", header, flags=re.S | re.M)
        names = set(re.findall(r"^\t(?:uint32_t|int32_t|const char \*)\s*(\w+);", fields.group(1),
                               flags=re.M))
        self.assertGreater(len(flags), 3)
        self.assertGreater(len(names), 6)
        for name in flags | names:
            self.assertIn(name, page)

    def test_chains_are_documented(self):
        header = read("include", "asys", "chain.h")
        page = read("man", "asys_chain.3")
        conditions = re.search(r"enum asys_condition \{(.*?)^\};", header, flags=re.S | re.M)
        names = set(re.findall(r"^\t(ASYS_\w+),", conditions.group(1), flags=re.M))
        names |= set(re.findall(r"^#define (ASYS_CHAIN_[A-Z]+[A-Z_]*[A-Z])\b", header, flags=re.M))
        fields = re.search(r"struct asys_chain_options \{(.*?)^\};", header, flags=re.S | re.M)
        names |= set(re.findall(r"^\tuint32_t (\w+);", fields.group(1), flags=re.M))
        self.assertGreater(len(names), 11)
        for name in names:
            self.assertIn(name, page)

    def test_notation_is_documented(self):
        page = read("man", "asys.1")
        words = set(re.findall(r'\{ "(\w+)", (?:VERB|MODIFIER)_', read("tools", "chain_parse.c")))
        words |= set(re.findall(r'strcmp\(name, "(\w+)"\)', read("tools", "chain_value.c")))
        self.assertGreater(len(words), 20)
        for word in words:
            self.assertRegex(page, rf"(?m)^\.(?:BR?|BI|IB|RB|RI) .*(?:\\fB|\b){word}\b", word)

    def test_statistics_are_documented(self):
        header = read("include", "asys", "queue.h")
        fields = re.search(r"struct asys_stats \{(.*?)^\};", header, flags=re.S | re.M)
        names = re.findall(r"^\tuint(?:64|32)_t\s+(\w+)", fields.group(1), flags=re.M)
        self.assertGreater(len(names), 10)
        for name in names:
            self.assertIn(name, read("man", "asys_stats.3"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
