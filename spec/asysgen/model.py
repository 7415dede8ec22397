# SPDX-License-Identifier: MIT
"""What a line of the table may say, and what is kept of it."""

import re
from dataclasses import dataclass, field

# The kernel that the table describes, and the day of its release, for the manual page.
KERNEL = "6.18"
KERNEL_DAY = "November 30, 2025"

ARGS_MAX = 6
NR_MAX = 1023  # the table is indexed by number, so a slip must not make it huge
URING_MAX = 127

# Architectures in the order of the table's columns: name, condition of the C preprocessor. Both
# have 32-bit ABIs (x32, ILP32) with other numbers, hence __LP64__.
ARCHES = (
    ("x86-64", "defined(__x86_64__) && defined(__LP64__)"),
    ("aarch64", "defined(__aarch64__) && defined(__LP64__)"),
)

CLASSES = ("any", "home", "never")
BLOCKS = ("never", "brief", "disk", "forever")
TRAITS = ("retry", "context", "gone")
KINDS = ("int", "fd", "dirfd", "size", "off", "path", "str", "in", "out", "inout", "addr", "word")
KEYS = ("reason", "note", "untested")

# io_uring's opcodes are part of the kernel's ABI, so the numbers are given here: a system's own
# header may be older than its kernel. Those that no system call can mean are left out.
URING = {
    "READV": 1, "WRITEV": 2, "FSYNC": 3, "POLL_ADD": 6, "SYNC_FILE_RANGE": 8, "SENDMSG": 9,
    "RECVMSG": 10, "TIMEOUT": 11, "ACCEPT": 13, "CONNECT": 16, "FALLOCATE": 17, "OPENAT": 18,
    "CLOSE": 19, "STATX": 21, "READ": 22, "WRITE": 23, "FADVISE": 24, "MADVISE": 25, "SEND": 26,
    "RECV": 27, "OPENAT2": 28, "EPOLL_CTL": 29, "SPLICE": 30, "TEE": 33, "SHUTDOWN": 34,
    "RENAMEAT": 35, "UNLINKAT": 36, "MKDIRAT": 37, "SYMLINKAT": 38, "LINKAT": 39,
    "FSETXATTR": 41, "SETXATTR": 42, "FGETXATTR": 43, "GETXATTR": 44, "SOCKET": 45,
    "URING_CMD": 46, "WAITID": 50, "FUTEX_WAIT": 51, "FUTEX_WAKE": 52, "FUTEX_WAITV": 53,
    "FTRUNCATE": 55, "BIND": 56, "LISTEN": 57, "EPOLL_WAIT": 59, "PIPE": 62,
}

# Functions of the library that a wrapper asys_<name> would hide. tests/gen compares this with the
# public headers. Prefixes are those of whole families of functions.
RESERVED = frozenset(
    "after after_error after_ok call compute_fn deadline engine_for engine_name error fault full "
    "high label load load_ load_int low may_fail message now op_ended param plus probe quiet "
    "report send send_ store store_ syscall_by_name syscall_count syscall_info user version when".split())
RESERVED_PREFIXES = (
    "queue_", "chain_", "task_", "tasks_", "txn_", "module_", "channel_", "arg_", "NR_")

# Scalar types: is it signed? All are narrower than or as wide as a register.
SCALARS = {
    "int": True, "long": True, "pid_t": True, "off_t": True, "ssize_t": True, "clockid_t": True,
    "time_t": True, "int32_t": True, "int64_t": True,
    "unsigned int": False, "unsigned long": False, "size_t": False, "mode_t": False,
    "uid_t": False, "gid_t": False, "dev_t": False, "socklen_t": False, "uint32_t": False,
    "uint64_t": False,
}
POINTEES = frozenset(SCALARS) | {"void", "char", "unsigned char", "fd_set", "sigset_t"}
WORD = "word"

_POINTER = re.compile(
    r"(const )?(?:(struct|union) (\w+)|([a-z_0-9]+(?: [a-z]+)?)) (\*\*?|\*const \*)")

# Words that cannot name a parameter in C or C++, or that the wrappers need for themselves.
KEYWORDS = frozenset(
    "alignas alignof and asm auto bool break case catch char class const constexpr continue "
    "default delete do double else enum explicit export extern false float for friend goto if "
    "inline int long mutable namespace new noexcept not nullptr operator or private protected "
    "public register restrict return short signed sizeof static struct switch template this "
    "throw true try typedef typeid typename union unsigned using virtual void volatile while "
    "xor linux unix q".split())
TYPE_NAMES = POINTEES | {WORD}


@dataclass
class CType:
    """A C type that an argument may have. `tag` is ("struct", name) when it names one."""
    text: str
    pointer: bool
    to_const: bool = False
    tag: tuple = None

    @property
    def slug(self):
        """The type as part of an identifier: `const char *` is const_char_p."""
        return "_".join(self.text.replace("*", " p ").split())


def parse_type(text):
    """The type that `text` names, or None if arguments cannot have it."""
    if text == WORD or text in SCALARS:
        return CType(text, False)
    match = _POINTER.fullmatch(text)
    if not match:
        return None
    const, tag, tag_name, base, stars = match.groups()
    if base and base not in POINTEES:
        return None
    # What the call itself may write is behind the first star from the right.
    to_const = stars == "*const *" or (bool(const) and stars == "*")
    return CType(text, True, to_const, (tag, tag_name) if tag else None)


@dataclass
class Arg:
    """An argument; `ctype` is None for a word that is always 0 and has no parameter."""
    ctype: CType
    name: str
    kind: str


@dataclass
class Call:
    name: str
    line: int
    numbers: tuple  # one per architecture, None where there is no such call
    klass: str
    block: str
    uring: int  # or -1
    uring_name: str
    traits: frozenset
    args: list
    texts: dict = field(default_factory=dict)

    @property
    def params(self):
        return [arg for arg in self.args if arg.ctype]

    @property
    def has_wrapper(self):
        return self.klass != "never" and "gone" not in self.traits


@dataclass
class Section:
    """Calls that stand under one heading of the table."""
    title: str
    calls: list
