#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Three lists of functions must be one: declared ASYS_API, in the symbol map, exported.

Macros and inline functions of the headers are no symbols, so only ASYS_API counts.
"""
import argparse
import pathlib
import re
import subprocess
import sys


def declared(folder):
    """Functions declared ASYS_API: the name before the first parenthesis after the marker."""
    names = []
    for path in sorted(pathlib.Path(folder).glob("*.h")):
        text = re.sub(r"/\*.*?\*/", " ", path.read_text(), flags=re.S)
        text = re.sub(r"^\s*#(?:\\\n|.)*$", " ", text, flags=re.M)
        for match in re.finditer(r"\bASYS_API\b([^;{]*)[;{]", text):
            name = re.match(r"[^(]*?(\w+)\s*\(", match.group(1))
            if not name:
                raise SystemExit(f"{path}: ASYS_API without a function: {match.group(0)!r}")
            names.append(name.group(1))
    return names


def mapped(path):
    """Functions of the map, with the version node each one is in."""
    text = re.sub(r"/\*.*?\*/|#.*?$", " ", pathlib.Path(path).read_text(), flags=re.S | re.M)
    nodes = re.findall(r"(\w+(?:\.\w+)*)\s*\{(.*?)\}\s*(\w+(?:\.\w+)*)?\s*;", text, flags=re.S)
    if not nodes:
        raise SystemExit(f"{path}: no version node")
    names = {}
    for version, body, _ in nodes:
        section = "global"
        for word in re.findall(r"[\w*?]+\s*:|[\w*?]+", body):
            if word.endswith(":"):
                section = word.rstrip(": ")
            elif section == "global":
                if re.search(r"[*?]", word):
                    raise SystemExit(f"{path}: pattern {word}: list each symbol by its name")
                if word in names:
                    raise SystemExit(f"{path}: {word} twice")
                names[word] = version
    return names


def exported(nm, library):
    """Defined dynamic symbols and their versions; the version nodes themselves left out."""
    out = subprocess.run([nm, "-D", "--defined-only", "--with-symbol-versions", library],
                         check=True, capture_output=True, text=True).stdout
    names = {}
    for line in out.splitlines():
        _, kind, symbol = line.split(maxsplit=2)
        name, _, version = symbol.partition("@")
        if kind != "A":
            names[name] = version.lstrip("@")
    return names


def archived(nm, archive):
    """Global symbols that a program linked with the archive gets."""
    out = subprocess.run([nm, "--defined-only", "--extern-only", "--format=posix", archive],
                         check=True, capture_output=True, text=True).stdout
    return {line.split()[0] for line in out.splitlines() if len(line.split()) >= 2}


def main():
    parser = argparse.ArgumentParser()
    for option in ("nm", "headers", "map", "library"):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--archive")
    args = parser.parse_args()

    api = declared(args.headers)
    table = mapped(args.map)
    symbols = exported(args.nm, args.library)
    problems = []
    for name in sorted({n for n in api if api.count(n) > 1}):
        problems.append(f"{name}: declared twice")
    lists = {"declared in a header": set(api), f"in {args.map}": set(table),
             "exported": set(symbols)}
    for name in sorted(set().union(*lists.values())):
        missing = [where for where, names in lists.items() if name not in names]
        if missing:
            problems.append(f"{name}: not {' and not '.join(missing)}")
        elif symbols[name] != table[name]:
            problems.append(f"{name}: exported as {symbols[name]}, the map says {table[name]}")
        if not name.startswith("asys_"):
            problems.append(f"{name}: does not begin with asys_")
        if name in table and not re.fullmatch(r"ASYS_\d+\.\d+", table[name]):
            problems.append(f"{name}: version {table[name]} is not ASYS_<major>.<minor>")
    for name in sorted(archived(args.nm, args.archive) ^ set(api)) if args.archive else []:
        problems.append(f"{name}: global in {args.archive}, or declared, but not both")
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(api)} functions declared, {len(table)} in the map, {len(symbols)} exported, "
          f"{len(problems)} problems")
    return 1 if problems or not api else 0


if __name__ == "__main__":
    sys.exit(main())
