#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a program, C as well as C++, that sends a call through every wrapper of the table: once
with values, once with ids. support.h has check(), which compares what arrived."""

import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "spec"))

from asysgen import header, model, parse  # noqa: E402  pylint: disable=wrong-import-position


def declare(arg, index):
    """A variable of the argument's type: negative where that is possible, so that the extension to
    64 bits shows, and different for each argument."""
    ctype = arg.ctype
    if ctype.text == model.WORD:
        return "long a%d = -%d;" % (index, index + 1)
    if ctype.pointer:
        return "%sa%d = (%s)(uintptr_t)%d;" % (ctype.text, index, ctype.text, 4096 + index)
    if model.SCALARS[ctype.text]:
        return "%s a%d = -%d;" % (ctype.text, index, index + 1)
    return "%s a%d = (%s)-%d;" % (ctype.text, index, ctype.text, index + 1)


def expected(arg, index):
    """The word that the variable must become."""
    if not arg.ctype:
        return "0"
    if arg.ctype.pointer:
        return "%d" % (4096 + index)
    if arg.ctype.text == model.WORD or model.SCALARS[arg.ctype.text]:
        return "(uint64_t)-%dLL" % (index + 1)
    return "(uint64_t)a%d" % index


def one(call):
    count = len(call.args)
    used = [index for index, arg in enumerate(call.args) if arg.ctype]
    refs = sum(1 << index for index in used)
    words = [expected(arg, index) for index, arg in enumerate(call.args)]
    ids = ["%d" % (index + 1) if arg.ctype else "0" for index, arg in enumerate(call.args)]
    pad = ["0"] * (model.ARGS_MAX - count)
    out = ["static void try_%s(struct asys_queue *q)\n{\n" % call.name]
    out += ["\t%s\n" % declare(call.args[index], index) for index in used]
    out.append("\n" if used else "")
    out.append("\tasys_%s(q%s);\n" % (call.name, "".join(", a%d" % index for index in used)))
    out.append('\tcheck("%s", ASYS_NR_%s, 0, %s);\n' %
               (call.name, call.name, ", ".join(words + pad)))
    out.append("\tasys_%s(q%s);\n" %
               (call.name, "".join(", id(%d)" % (index + 1) for index in used)))
    out.append('\tcheck("%s", ASYS_NR_%s, %du, %s);\n}\n\n' %
               (call.name, call.name, refs, ", ".join(ids + pad)))
    return "".join(out)


def program(calls):
    out = ["/* SPDX-License-Identifier: MIT */\n", '#include "support.h"\n\n']
    for call in calls:
        out.append("#ifdef ASYS_NR_%s\n%s#endif\n\n" % (call.name, one(call)))
    out.append("int main(void)\n{\n")
    for call in calls:
        out.append("#ifdef ASYS_NR_%s\n\ttry_%s(THE_QUEUE);\n#endif\n" % (call.name, call.name))
    out.append("\treturn result();\n}\n")
    return "".join(out)


def main(table, output):
    sections, errors = parse.parse(pathlib.Path(table).read_bytes(), table)
    if errors:
        sys.exit("\n".join(errors))
    calls = [call for call in header.all_calls(sections) if call.has_wrapper]
    pathlib.Path(output).write_text(program(calls), encoding="ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
