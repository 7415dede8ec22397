# SPDX-License-Identifier: MIT
"""For the fidelity test: the calls it leaves out, a line each: name, tab, reason."""


def listing(sections):
    calls = [call for section in sections for call in section.calls if "untested" in call.texts]
    return "".join("%s\t%s\n" % (call.name, call.texts["untested"])
                   for call in sorted(calls, key=lambda call: call.name))
