# SPDX-License-Identifier: MIT
"""The public wrappers: asys/syscalls.h."""

import textwrap

from . import model

TOP = """\
/* SPDX-License-Identifier: MIT */
/*
 * One wrapper for every system call of Linux %s, made from spec/syscalls.tbl; do not edit.
 *
 * asys_read(q, fd, buf, count) queues read(fd, buf, count) on q and returns its id; asys_error()
 * of that id tells if it could not be queued. If q is a chain, it adds a step to it. Each argument is a value of the C type of the
 * manual page, or the id of an earlier call of q: then it is that call's result. Arguments of type
 * "word" take any integer or pointer. Every argument is evaluated once. The calls are the kernel's
 * own, which now and then differ from those of the C library: see asys_calls(3).
 *
 * In C the wrappers are macros, so a compound literal with a comma needs parentheses around it.
 * In C++ they are functions, and a null pointer for a "word" is nullptr.
 */
#ifndef ASYS_SYSCALLS_H
#define ASYS_SYSCALLS_H

#include <asys/call.h>
#include <asys/types.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>

"""

# Both languages. An argument is a word and whether it is an id; always_inline, so that even a
# build without optimization has no call for each argument and an optimized one has constant flags.
COMMON = """\
/* What follows, up to the wrappers, serves them and nobody else. */
#define ASYS_INLINE_ static inline __attribute__((always_inline, unused))

struct asys_arg_ {
	uint64_t word;
	uint32_t ref;
};

ASYS_INLINE_ struct asys_arg_ asys_arg_ref_(asys_id id)
{
	struct asys_arg_ arg = { (uint64_t)id.value, 1 };

	return arg;
}

"""

TO_C = """\
/* By what `q` is: a queue or a chain. */
#define ASYS_TO_(q, n) \\
	_Generic((q), struct asys_chain *: asys_chain_wrap##n##_, default: asys_wrap##n##_)

"""

WORD_C = """\
ASYS_INLINE_ struct asys_arg_ asys_arg_signed_(long long value)
{
	struct asys_arg_ arg = { (uint64_t)value, 0 };

	return arg;
}

ASYS_INLINE_ struct asys_arg_ asys_arg_unsigned_(unsigned long long value)
{
	struct asys_arg_ arg = { value, 0 };

	return arg;
}

ASYS_INLINE_ struct asys_arg_ asys_arg_pointer_(const volatile void *value)
{
	struct asys_arg_ arg = { (uint64_t)(uintptr_t)value, 0 };

	return arg;
}

/* A value of type `type` (its name as an identifier), or an id. _Generic chooses a function before
 * the argument is converted, so that a wrong type is reported as it is for a plain call. */
#define ASYS_ARG_(type, x) \\
	_Generic((x), asys_id: asys_arg_ref_, default: asys_arg_##type##_)(x)

#define ASYS_WORD_(x) \\
	_Generic((x), \\
		asys_id: asys_arg_ref_, \\
		_Bool: asys_arg_unsigned_, \\
		char: asys_arg_signed_, \\
		signed char: asys_arg_signed_, \\
		unsigned char: asys_arg_unsigned_, \\
		short: asys_arg_signed_, \\
		unsigned short: asys_arg_unsigned_, \\
		int: asys_arg_signed_, \\
		unsigned int: asys_arg_unsigned_, \\
		long: asys_arg_signed_, \\
		unsigned long: asys_arg_unsigned_, \\
		long long: asys_arg_signed_, \\
		unsigned long long: asys_arg_unsigned_, \\
		default: asys_arg_pointer_)(x)

"""

CXX = """\
template <typename T> struct asys_value_ : asys_arg_ {
	asys_value_(T value) : asys_arg_() { word = static_cast<uint64_t>(value); }
	asys_value_(asys_id id) : asys_arg_(asys_arg_ref_(id)) {}
};

template <typename T> struct asys_value_<T *> : asys_arg_ {
	asys_value_(T *value) : asys_arg_() { word = reinterpret_cast<uintptr_t>(value); }
	asys_value_(asys_id id) : asys_arg_(asys_arg_ref_(id)) {}
};

/* Any integer or pointer. */
struct asys_word_ : asys_arg_ {
	asys_word_(bool value) : asys_arg_() { word = value; }
	asys_word_(int value) : asys_arg_() { word = static_cast<uint64_t>(value); }
	asys_word_(unsigned int value) : asys_arg_() { word = value; }
	asys_word_(long value) : asys_arg_() { word = static_cast<uint64_t>(value); }
	asys_word_(unsigned long value) : asys_arg_() { word = value; }
	asys_word_(long long value) : asys_arg_() { word = static_cast<uint64_t>(value); }
	asys_word_(unsigned long long value) : asys_arg_() { word = value; }
	asys_word_(const volatile void *value) : asys_arg_()
	{
		word = reinterpret_cast<uintptr_t>(value);
	}
	asys_word_(asys_id id) : asys_arg_(asys_arg_ref_(id)) {}
};

"""

CLASS_TEXT = {"any": "any thread", "home": "the calling thread, at flush"}
BLOCK_TEXT = {"never": "does not wait", "brief": "does not wait long",
              "disk": "may wait for a device", "forever": "may wait for ever"}


def all_calls(sections):
    return [call for section in sections for call in section.calls]


def numbers(calls):
    """ASYS_NR_<name> for each architecture."""
    out = []
    for column, (_, condition) in enumerate(model.ARCHES):
        out.append("#%s %s\n" % ("elif" if column else "if", condition))
        here = sorted((call.numbers[column], call.name) for call in calls
                      if call.numbers[column] is not None)
        out += ["#define ASYS_NR_%s %d\n" % (name, number) for number, name in here]
    out.append('#else\n#error "asys knows the system calls of x86-64 and aarch64 only"\n#endif\n\n')
    return "".join(out)


def types(calls):
    """The distinct types of all parameters, in alphabetical order."""
    found = {arg.ctype.text: arg.ctype for call in calls if call.has_wrapper for arg in call.params}
    return [found[text] for text in sorted(found)]


def declarations(calls):
    tags = {ctype.tag for ctype in types(calls) if ctype.tag}
    return "".join("%s %s;\n" % tag for tag in sorted(tags)) + ("\n" if tags else "")


def senders(chain_name):
    """asys_wrap<n>_: a call of n words, sent; in C, asys_chain_wrap<n>_: added to a chain. In C++ both
    have one name."""
    out = []
    for count in range(model.ARGS_MAX + 1):
        params = "".join(", struct asys_arg_ a%d" % i for i in range(count))
        flags = "".join(" | (uint64_t)(a%d.ref << %d) << 32" % (i, i) for i in range(count))
        words = "".join(", a%d.word" % i for i in range(count))
        rest = ", 0" * (model.ARGS_MAX - count)
        for name, target, function in (("wrap", "queue", "send_"),
                                       (chain_name, "chain", "chain_add_")):
            out.append("ASYS_INLINE_ asys_id asys_%s%d_(struct asys_%s *q, uint32_t nr%s)\n{\n"
                       "\treturn asys_%s(q, nr%s%s%s);\n}\n\n" %
                       (name, count, target, params, function, flags, words, rest))
    return "".join(out)


def converters(calls):
    """C: one function a type."""
    out = []
    for ctype in types(calls):
        if ctype.text == model.WORD:
            continue
        cast = "(uint64_t)" + ("(uintptr_t)" if ctype.pointer else "")
        space = "" if ctype.pointer else " "
        out.append("ASYS_INLINE_ struct asys_arg_ asys_arg_%s_(%s%svalue)\n{\n"
                   "\tstruct asys_arg_ arg = { %svalue, 0 };\n\n\treturn arg;\n}\n\n" %
                   (ctype.slug, ctype.text, space, cast))
    return "".join(out)


def declare(arg):
    return arg.ctype.text + ("" if arg.ctype.pointer else " ") + arg.name


def remark(call):
    """The comment above a wrapper."""
    texts = [CLASS_TEXT[call.klass], BLOCK_TEXT[call.block]]
    if call.uring >= 0:
        texts.append("io_uring " + call.uring_name)
    args = ", ".join(declare(arg) for arg in call.params) or "void"
    text = "/* %s(%s): %s */" % (call.name, args, ", ".join(texts))
    return textwrap.fill(text, 100, subsequent_indent=" * ") + "\n"


def zero(arg, cxx):
    return "asys_value_<int>(0)" if cxx else "asys_arg_signed_(0)"


def wrapper_c(call):
    names = "".join(", " + arg.name for arg in call.params)
    words = []
    for arg in call.args:
        if not arg.ctype:
            words.append(zero(arg, False))
        elif arg.ctype.text == model.WORD:
            words.append("ASYS_WORD_(%s)" % arg.name)
        else:
            words.append("ASYS_ARG_(%s, %s)" % (arg.ctype.slug, arg.name))
    head = "#define asys_%s(q%s)" % (call.name, names)
    return "%s \\\n\tASYS_TO_(q, %d)((q), ASYS_NR_%s%s)\n" % (
        head, len(words), call.name, "".join(", \\\n\t\t" + word for word in words))


def wrapper_cxx(call):
    params = []
    for arg in call.params:
        ctype = "asys_word_" if arg.ctype.text == model.WORD else "asys_value_<%s>" % arg.ctype.text
        params.append(", %s %s" % (ctype, arg.name))
    words = [arg.name if arg.ctype else zero(arg, True) for arg in call.args]
    return "template <typename To> ASYS_INLINE_ asys_id asys_%s(To *q%s)\n{\n" \
        "\treturn asys_wrap%d_(q, ASYS_NR_%s%s);\n}\n" % (call.name, "".join(params), len(words), call.name,
                               "".join(", " + word for word in words))


def wrappers(calls, write):
    """All wrappers, those of one architecture only behind its condition."""
    out = []
    everywhere = tuple(range(len(model.ARCHES)))
    groups = {}
    for call in calls:
        if call.has_wrapper:
            where = tuple(i for i in everywhere if call.numbers[i] is not None)
            groups.setdefault(where, []).append(remark(call) + write(call))
    for where in sorted(groups, key=lambda where: -len(where)):
        condition = " || ".join(model.ARCHES[i][1] for i in where)
        body = "\n".join(groups[where]) + "\n"
        out.append(body if where == everywhere else "#if %s\n\n%s#endif\n\n" % (condition, body))
    return "".join(out)


def header(sections):
    calls = all_calls(sections)
    return "".join([
        TOP % model.KERNEL, numbers(calls), declarations(calls), COMMON,
        "#ifdef __cplusplus\n\n", senders("wrap"), CXX, wrappers(calls, wrapper_cxx),
        "#else /* C */\n\n", senders("chain_wrap"), TO_C, WORD_C, converters(calls),
        wrappers(calls, wrapper_c),
        "#endif\n#endif\n"])
