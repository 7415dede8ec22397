# SPDX-License-Identifier: MIT
"""Reads the table. Every mistake is reported with its line, what is wrong and what is allowed."""

import re

from . import model

FORM = "NAME X86-64 AARCH64 CLASS BLOCK URING TRAITS (ARGUMENTS) | KEY: TEXT"

_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,5}")
_KINDS_OF_POINTERS = ("path", "str", "in", "out", "inout")


class Report:
    """Collects mistakes, so that all of them are shown at once."""

    def __init__(self, path):
        self.path = path
        self.line = 1
        self.errors = []

    def __call__(self, message, line=None):
        self.errors.append((line or self.line, message))

    def texts(self):
        """The mistakes in the order of their lines."""
        return ["%s:%d: %s" % (self.path, line, message)
                for line, message in sorted(self.errors, key=lambda error: error[0])]


def one_of(words):
    return "allowed: " + ", ".join(words)


def quote(text):
    """`text` as a message shows it: in quotes, on one line, not endless."""
    text = text if len(text) <= 60 else text[:57] + "..."
    return "'%s'" % text.encode("ascii", "backslashreplace").decode("ascii")


def parse_number(word, column, report):
    if word == "-":
        return None
    if not _NUMBER.fullmatch(word) or int(word) > model.NR_MAX:
        report("%s number %s; allowed: 0 to %d, or -" % (column, quote(word), model.NR_MAX))
        return None
    return int(word)


def parse_uring(word, report):
    if word == "-":
        return -1
    if word in model.URING:
        return model.URING[word]
    if _NUMBER.fullmatch(word) and int(word) <= model.URING_MAX:
        return int(word)
    report("io_uring opcode %s; allowed: -, a number 0 to %d, %s" %
           (quote(word), model.URING_MAX, ", ".join(model.URING)))
    return -1


def parse_traits(word, report):
    if word == "-":
        return frozenset()
    traits = word.split(",")
    for trait in traits:
        if trait not in model.TRAITS:
            report("trait %s; allowed: -, or of %s" % (quote(trait), ", ".join(model.TRAITS)))
    if len(set(traits)) != len(traits):
        report("a trait stands twice in %s; allowed: each once" % quote(word))
    return frozenset(traits) & frozenset(model.TRAITS)


def check_kind(ctype, kind, where, report):
    """Whether a word of this kind can have this type."""
    if ctype.text == model.WORD:
        return
    if kind in _KINDS_OF_POINTERS and not ctype.pointer:
        report("%s: kind %s with type '%s'; allowed: a pointer" % (where, kind, ctype.text))
    elif kind in ("path", "str") and ctype.text != "const char *":
        report("%s: kind %s with type '%s'; allowed: 'const char *'" % (where, kind, ctype.text))
    elif kind in ("out", "inout") and ctype.to_const:
        report("%s: kind %s with type '%s'; allowed: a pointer to what is not const" %
               (where, kind, ctype.text))
    elif kind in ("int", "fd", "dirfd", "size", "off") and ctype.pointer:
        report("%s: kind %s with type '%s'; allowed: a number" % (where, kind, ctype.text))


def parse_arg(text, index, report):
    where = "argument %d" % (index + 1)
    if text == "0":
        return model.Arg(None, "", "none")
    before, colon, kind = text.rpartition(":")
    match = re.fullmatch(r"(.*[ *])(\w+)", before) if colon else None
    if not match:
        report("%s is %s; allowed: TYPE NAME:KIND, or 0" % (where, quote(text)))
        return None
    type_text, name = match.group(1).rstrip(), match.group(2)
    ctype = model.parse_type(type_text)
    if not ctype:
        report("%s has type %s; allowed: %s, %s, or a pointer to one of them, to %s, a struct or "
               "a union" % (where, quote(type_text), model.WORD, ", ".join(model.SCALARS),
                            ", ".join(sorted(model.POINTEES - set(model.SCALARS)))))
    if not _NAME.fullmatch(name) or name in model.KEYWORDS or name in model.TYPE_NAMES:
        report("%s is called %s; allowed: small letters, digits, _, no word or type of C or C++, "
               "not q" % (where, quote(name)))
    if kind not in model.KINDS:
        report("%s has kind %s; %s" % (where, quote(kind), one_of(model.KINDS)))
    elif ctype:
        check_kind(ctype, kind, where, report)
    return model.Arg(ctype, name, kind)


def parse_args(text, report):
    text = text.strip()
    if not text:
        return []
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > model.ARGS_MAX:
        report("%d arguments; allowed: 0 to %d" % (len(parts), model.ARGS_MAX))
    args = [parse_arg(part, index, report) for index, part in enumerate(parts)]
    names = [arg.name for arg in args if arg and arg.ctype]
    for name in sorted({name for name in names if names.count(name) > 1}):
        report("two arguments are called %s; allowed: each name once" % quote(name))
    return args


def parse_texts(text, report):
    """The `| KEY: TEXT` part of a line."""
    texts = {}
    for part in text.split("|")[1:]:
        key, colon, value = (word.strip() for word in part.partition(":"))
        if not colon or key not in model.KEYS:
            report("%s after |; allowed: KEY: TEXT, with KEY of %s" %
                   (quote(part.strip()), ", ".join(model.KEYS)))
            continue
        if key in texts:
            report("%s stands twice; allowed: once" % key)
        if not value:
            report("%s is empty; allowed: a sentence, or leave it out" % key)
        if "/*" in value or "*/" in value:
            report("%s holds a mark of C comments; allowed: any other text" % key)
        texts[key] = value
    return texts


def check_name(name, report):
    if not _NAME.fullmatch(name):
        report("name %s; allowed: small letters, digits and _, no digit first" % quote(name))
    elif name in model.RESERVED or name.startswith(model.RESERVED_PREFIXES):
        report("name %s: the library has asys_%s for itself; allowed: other names" %
               (quote(name), name))


def check_together(call, report):
    """What fields must not say together."""
    if call.klass == "any" and "reason" in call.texts:
        report("a reason for class any; allowed: only with home and never")
    if call.klass != "any" and "reason" not in call.texts:
        report("no reason for class %s; required: | reason: TEXT" % call.klass)
    if call.klass != "any" and call.uring >= 0:
        report("io_uring opcode for class %s; allowed: only with any" % call.klass)
    if "gone" in call.traits and (call.klass != "any" or call.block != "never" or
                                  call.uring >= 0 or call.args or len(call.traits) > 1):
        report("trait gone with more; required: class any, block never, no opcode, no other "
               "trait, no arguments")
    if all(number is None for number in call.numbers):
        report("no architecture has a number; required: one at least")


def parse_call(text, report):
    """One line's call, or None if its form is too wrong to read on."""
    match = re.fullmatch(r"([^(]*)\(([^()]*)\)\s*(\|.*)?", text)
    if not match:
        report("no argument list in parentheses, or something but | after it; expected: " + FORM)
        return None
    words = match.group(1).split()
    if len(words) != 7:
        report("%d words before the argument list; expected 7: %s" % (len(words), FORM))
        return None
    name, first, second, klass, block, uring, traits = words
    check_name(name, report)
    numbers = tuple(parse_number(word, arch, report)
                    for word, (arch, _) in zip((first, second), model.ARCHES))
    if klass not in model.CLASSES:
        report("class %s; %s" % (quote(klass), one_of(model.CLASSES)))
    if block not in model.BLOCKS:
        report("block %s; %s" % (quote(block), one_of(model.BLOCKS)))
    call = model.Call(name, report.line, numbers, klass, block, parse_uring(uring, report), uring,
                      parse_traits(traits, report), parse_args(match.group(2), report),
                      parse_texts(match.group(3) or "", report))
    if klass in model.CLASSES:
        check_together(call, report)
    return call


def check_unique(calls, report):
    """Names, and numbers of each architecture, must not repeat."""
    seen = {}
    for call in calls:
        keys = [("name %s" % quote(call.name), call.name)]
        keys += [("%s number %d" % (arch, number), (arch, number))
                 for number, (arch, _) in zip(call.numbers, model.ARCHES) if number is not None]
        for what, key in keys:
            if key in seen:
                report("%s is that of line %d; allowed: each once" % (what, seen[key]), call.line)
            else:
                seen[key] = call.line


def parse(data, path):
    """Sections and mistakes of a table's bytes."""
    report = Report(path)
    sections = [model.Section("", [])]
    for report.line, raw in enumerate(data.split(b"\n"), 1):
        text = raw.decode("ascii", "replace").rstrip(" \t\r")
        if not text.replace("\t", " ").isprintable() or "\ufffd" in text:
            report("a character that is not printable ASCII; allowed: printable ASCII and tabs")
        elif text.startswith("## "):
            sections.append(model.Section(text[3:].strip(), []))
        elif text and not text.startswith("#"):
            call = parse_call(text.strip(), report)
            if call:
                sections[-1].calls.append(call)
    sections = [section for section in sections if section.calls]
    calls = [call for section in sections for call in section.calls]
    check_unique(calls, report)
    if not calls and not report.errors:
        report("no system call in this file; expected: " + FORM, 1)
    return sections, report.texts()
