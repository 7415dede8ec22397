#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Copies a tree of everything that a file system can hold, and compares all that can be seen of it.

copytree.py PROGRAM [FOLDER]: with FOLDER, copies that to a file system in memory instead.
"""
import hashlib
import os
import random
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.geteuid() == 0
SKIPPED = 77
NOBODY = 65534
failures = []


def check(what, held):
    if not held:
        failures.append(what)
        print(f"FAILED: {what}")


def run(program, *args, **more):
    done = subprocess.run([program, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=120, **more)
    # A program that counts its coverage writes that at its end, and says so where a limit of a test forbids it.
    done.stderr = b"".join(line for line in done.stderr.splitlines(keepends=True)
                           if not line.startswith(b"libgcov "))
    return done


def shown(path):
    """As the program prints it in the locale C."""
    return b"".join(b"\\%03o" % byte if byte < 32 or byte > 126 else bytes([byte]) for byte in path)


# A tree of everything

def acl(*entries):
    """The kernel's form of an access control list: version, then tag, permissions, id."""
    none = 0xffffffff
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, perm, none if who is None else who)
                                           for tag, perm, who in entries)


ACL = acl((1, 6, None), (2, 7, 12345), (4, 4, None), (16, 7, None), (32, 0, None))


def write(path, data=b"", mode=0o644):
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, mode)


def sparse(path, size, *pieces):
    with open(path, "wb") as file:
        for offset in pieces:
            file.seek(offset)
            file.write(os.urandom(5000))
        file.truncate(size)


def files(top):
    rng = random.Random(1)
    for size in (0, 1, 4096, 5000, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 3 << 20):
        write(f"{top}/size{size}", rng.randbytes(size))
    for mode in (0o600, 0o444, 0o4755, 0o2755, 0o6711, 0o777) + ((0,) if ROOT else ()):
        write(f"{top}/mode{mode:o}", b"x", mode)
    sparse(f"{top}/hole_only", 5 << 20)
    sparse(f"{top}/hole_first", 3 << 20, 2 << 20)
    sparse(f"{top}/hole_last", 9 << 20, 0)
    sparse(f"{top}/holes", 40 << 20, 0, 1 << 20, (7 << 20) + 4096, 33 << 20)
    sparse(f"{top}/hole_small", 200_000, 100_000)
    for name in (b"-rf", b"new\nline", b" space ", b"\xff\xfe", b"a" * 255, b"'\"\\$(x)", b"...",
                 "ünï".encode()):
        write(os.fsencode(top) + b"/" + name, name)
    os.mkdir(f"{top}/many")
    for n in range(3000):
        write(f"{top}/many/{n:030}", b"%d" % n)


def links(top):
    os.mkdir(f"{top}/links")
    os.link(f"{top}/size5000", f"{top}/links/same")
    os.link(f"{top}/size5000", f"{top}/links/again")
    for n in range(200):
        write(f"{top}/links/f{n}", b"%d" % n)
        os.mkdir(f"{top}/links/d{n}")
        os.link(f"{top}/links/f{n}", f"{top}/links/d{n}/g{n}")
    os.symlink("../size1", f"{top}/links/symlink")
    os.symlink("nowhere/at all", f"{top}/links/dangling")
    os.symlink("x" * 4000, f"{top}/links/long")
    os.link(f"{top}/links/dangling", f"{top}/links/dangling_too", follow_symlinks=False)


def folders(top):
    path = f"{top}/deep"
    for n in range(300):
        os.mkdir(path)
        if n % 3 == 0:
            write(f"{path}/f", b"%d" % n)
            os.mkdir(f"{path}/e")
        path += "/d"
    os.mkdir(f"{top}/empty")
    os.mkdir(f"{top}/full")
    for mode in (0o500, 0o1777, 0o2775, 0o700, 0o755):
        os.mkdir(f"{top}/full/mode{mode:o}")
        write(f"{top}/full/mode{mode:o}/f", b"in it")
        os.chmod(f"{top}/full/mode{mode:o}", mode)
    # Longer than any path may be.
    fd = os.open(top, os.O_RDONLY)
    for n in range(40):
        name = f"{n:0200}"
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    with open(os.open("end", os.O_CREAT | os.O_WRONLY, dir_fd=fd), "wb") as file:
        file.write(b"of the way")
    os.close(fd)


def attributes(top):
    write(f"{top}/attributes", b"has some", 0o444)
    os.mkdir(f"{top}/attributes.d")
    write(f"{top}/attributes.d/inside", b"an entry")
    try:
        for path in (f"{top}/attributes", f"{top}/attributes.d"):
            os.setxattr(path, "user.empty", b"")
            os.setxattr(path, "user.one", b"\0\1\2")
            os.setxattr(path, "user.two", os.urandom(1000))
            os.setxattr(path, "system.posix_acl_access", ACL)
        os.setxattr(f"{top}/attributes.d", "system.posix_acl_default", ACL)
        if ROOT:
            os.symlink("x", f"{top}/attributes.l")
            os.setxattr(f"{top}/attributes.l", "trusted.t", b"t", follow_symlinks=False)
            write(f"{top}/capable", b"", 0o755)
            os.setxattr(f"{top}/capable", "security.capability",
                        struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
    except OSError as err:
        print(f"without attributes: {err}")


def specials(top):
    os.mkdir(f"{top}/special")
    os.mkfifo(f"{top}/special/fifo", 0o640)
    if not ROOT:
        return
    try:
        os.mknod(f"{top}/special/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(f"{top}/special/block", stat.S_IFBLK | 0o600, os.makedev(7, 200))
        os.mknod(f"{top}/special/socket", stat.S_IFSOCK | 0o755)
    except OSError as err:
        print(f"without devices: {err}")


def owners(top):
    if ROOT:
        for name, mode in (("plain", 0o644), ("setuid", 0o4755), ("closed", 0o200)):
            write(f"{top}/owner_{name}", b"other", mode)
            os.chown(f"{top}/owner_{name}", 1234, 5678)
            os.chmod(f"{top}/owner_{name}", mode)
        os.symlink("x", f"{top}/owner_link")
        os.chown(f"{top}/owner_link", 1234, 5678, follow_symlinks=False)
        os.mkdir(f"{top}/owner_folder")
        write(f"{top}/owner_folder/f", b"root's")
        os.chown(f"{top}/owner_folder", 1234, 5678)


def times(top):
    for n, name in enumerate(("size1", "mode444", "empty", "links", "special/fifo", "holes")):
        os.utime(f"{top}/{name}", ns=(4_290_000_000_123_456_789, 4_200_000_000_987_654_321 + n))
    for n, name in enumerate(("size4096", "links/symlink", "full/mode500")):
        os.utime(f"{top}/{name}", ns=(-1, -1_000_000_000_999_999_999 - n), follow_symlinks=False)
    os.utime(top, ns=(1, 1_234_567_890_123_456_789))


def make_tree(top):
    os.mkdir(top)
    for part in (files, links, folders, attributes, specials, owners, times):
        part(top)


# What can be seen of a tree

def data_map(fd, size):
    """Where it has data."""
    found, at = [], 0
    while at < size:
        try:
            begin = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            break
        at = os.lseek(fd, begin, os.SEEK_HOLE)
        found.append((begin, at))
    return found


def see_file(fd, st):
    digest = hashlib.sha256()
    while piece := os.read(fd, 1 << 20):
        digest.update(piece)
    return [digest.hexdigest(), data_map(fd, st.st_size) if st.st_blocks * 512 < st.st_size else ""]


def see_attributes(path):
    try:
        return [(name, os.getxattr(path, name, follow_symlinks=False))
                for name in sorted(os.listxattr(path, follow_symlinks=False))]
    except OSError:
        return []


def see_tree(fd, path=b"", into=None, same=None):
    """path -> all that is to be equal, blocks; and which paths are the same file."""
    into = {} if into is None else into
    same = {} if same is None else same
    for name in sorted(os.listdir(fd)) if path else [""]:
        where = path + b"/" + os.fsencode(name)
        at = {"dir_fd": fd, "follow_symlinks": False} if name else {}
        st = os.stat(name or fd, **at)
        seen = [st.st_mode, st.st_uid, st.st_gid, st.st_rdev, st.st_mtime_ns,
                st.st_atime_ns if st.st_atime > time.time() else 0,
                see_attributes(f"/proc/self/fd/{fd}/{name}")]
        if not stat.S_ISDIR(st.st_mode):
            seen.append(st.st_size)
            if st.st_nlink > 1:
                same.setdefault((st.st_dev, st.st_ino), []).append(where)
        if stat.S_ISLNK(st.st_mode):
            seen.append(os.readlink(name, dir_fd=fd))
        if stat.S_ISREG(st.st_mode) or stat.S_ISDIR(st.st_mode):
            below = os.open(name or ".", os.O_RDONLY, dir_fd=fd)
            if stat.S_ISREG(st.st_mode):
                seen += see_file(below, st)
            else:
                see_tree(below, where, into, same)
            os.close(below)
        into[where] = seen, st.st_blocks
    return into, sorted(map(sorted, same.values()))


def see(top):
    fd = os.open(top, os.O_RDONLY)
    try:
        return see_tree(fd)
    finally:
        os.close(fd)


def compare(source, copy):
    (a, links_a), (b, links_b) = source, copy
    check("the same names", sorted(a) == sorted(b))
    for path in a:
        if path in b:
            check(f"{path[-60:]!r}: {a[path][0]} became {b[path][0]}", a[path][0] == b[path][0])
            check(f"{path[-60:]!r}: {a[path][1]} blocks became {b[path][1]}",
                  b[path][1] <= a[path][1] + 64 or stat.S_ISDIR(a[path][0][0]))
    check("the same hard links", links_a == links_b)


def compare_by_others(top, copy, what=""):
    done = run("diff", "-r", "--no-dereference", top, copy)
    check(f"diff {what}: {done.stdout[:500]} {done.stderr[:500]}", not done.stdout + done.stderr)
    if not shutil.which("rsync"):
        print("without rsync")
        return
    done = run("rsync", "-anHAXi" if ROOT else "-anHi", "--delete", f"{top}/", f"{copy}/")
    check(f"rsync {what}: {done.stdout[:500]} {done.stderr[:500]}",
          not done.stdout + done.stderr and done.returncode == 0)


def check_tree(program, folder):
    top, copy = f"{folder}/tree", f"{folder}/copy"
    make_tree(top)
    source = see(top)
    done = run(program, top, copy)
    check(f"status {done.returncode}: {done.stderr.decode(errors='replace')[:500]}",
          done.returncode == 0 and not done.stderr)
    if not os.path.isdir(copy):
        return
    compare(source, see(copy))
    # What others can read: no paths that are too long, nothing to wait for.
    for where in (top, copy):
        shutil.rmtree(f"{where}/{0:0200}", ignore_errors=True)
        shutil.rmtree(f"{where}/special", ignore_errors=True)
        os.utime(where, ns=(1, 1))
    compare_by_others(top, copy)


# Sizes that are not true

def content(path):
    with open(path, "rb") as file:
        return file.read()


def wrong_sizes(source, copy):
    """What is not as long in the copy as in the source. What they count changes; what they are does not."""
    wrong = []
    for top, _, names in os.walk(copy):
        for name in names:
            here = os.path.join(top, name)
            there = source + here[len(copy):]
            try:
                wanted = content(there)
            except OSError:
                continue
            if abs(len(content(here)) - len(wanted)) > len(wanted) // 100 + 64:
                wrong.append(f"{there}: {len(content(here))} bytes of {len(wanted)}")
    return wrong


def check_claims(program, folder):
    """Files that say less than they have (0, in /proc) or more (a page, in /sys)."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    pairs = []
    try:
        while len(pairs) < 3000:  # /proc/PID/net/unix gets longer than a buffer of any program
            pairs.append(socket.socketpair())
    except OSError as err:
        print(f"{len(pairs)} pairs of sockets: {err}")
    copies = {}
    net = f"/proc/{os.getpid()}/net"
    for source, copy in ((net, "net"), ("/sys/kernel/mm", "mm"), ("/sys/class/net/lo/", "lo")):
        if not os.path.isdir(source):
            print(f"without {source}")
            continue
        for attempt in range(5):
            there = f"{folder}/{copy}{attempt}"
            run(program, source, there)
            wrong = wrong_sizes(source, there)
            # Programs beside this one open and close sockets, which some of these files list, at any moment.
            if not wrong:
                break
        check("; ".join(wrong), not wrong)
        copies[copy] = there
    unix = len(content(f"{copies['net']}/unix"))
    check(f"/proc/PID/net/unix: {unix} bytes", unix > 40 * 2 * len(pairs))
    for pair in pairs:
        for end in pair:
            end.close()


def check_moving(program, folder):
    """Files that grow and shrink while they are copied: some state of each, and always an end."""
    os.makedirs(f"{folder}/moving")
    sparse(f"{folder}/moving/shrinks", 32 << 20, *range(0, 32 << 20, 1 << 20))
    write(f"{folder}/moving/grows", b"g" * 300_000)
    with open(f"{folder}/moving/grows", "ab") as grows:
        for n in range(3):
            worker = subprocess.Popen([program, f"{folder}/moving", f"{folder}/moved{n}"],
                                      stderr=subprocess.PIPE)
            size = 32 << 20
            while worker.poll() is None and grows.tell() < 100 << 20:
                grows.write(b"g" * 100_000)
                grows.flush()
                size = max(size - (3 << 20), 0)
                os.truncate(f"{folder}/moving/shrinks", size)
            errors = worker.communicate(timeout=120)[1]
            check(f"moving: {worker.returncode} {errors}", worker.returncode == 0 and not errors)
            got = content(f"{folder}/moved{n}/grows")
            check(f"moving: {len(got)} bytes", len(got) >= 300_000 and not got.strip(b"g"))
            check("moving: no more than there was",
                  os.path.getsize(f"{folder}/moved{n}/shrinks") <= 32 << 20)
            os.remove(f"{folder}/moving/shrinks")
            sparse(f"{folder}/moving/shrinks", 32 << 20, *range(0, 32 << 20, 1 << 20))
    shutil.rmtree(f"{folder}/moving")


# Inherited rights

def check_inherited(program, folder):
    """Where the destination stands must not show."""
    top, place = f"{folder}/plain", f"{folder}/place"
    os.mkdir(top)
    os.mkdir(f"{top}/d")
    write(f"{top}/f", b"f")
    write(f"{top}/d/g", b"g", 0o640)
    os.mkdir(place)
    if ROOT:
        os.chown(place, 1, 1)
    os.chmod(place, 0o2755)
    try:
        os.setxattr(place, "system.posix_acl_default", ACL)
    except OSError as err:
        print(f"without inherited access control lists: {err}")
    source = see(top)
    done = run(program, top, f"{place}/copy")
    check(f"inherited: {done.stderr}", done.returncode == 0)
    compare(source, see(f"{place}/copy"))


# Errors

def check_usage(program, folder):
    check("--help", run(program, "--help").returncode == 0)
    check("no arguments", run(program).returncode == 2)
    done = run(program, folder, f"{folder}/no_queue", env={**os.environ, "ASYS_ENGINE": "none"})
    check(f"no queue: {done.stderr}", done.returncode == 1 and b"ASYS_ENGINE=none" in done.stderr)
    os.mkdir(f"{folder}/there")
    for source, copy, why in (("none", "x", b"No such file"), ("there", "none/x", b"No such file"),
                              ("there", "there", b"File exists")):
        done = run(program, f"{folder}/{source}", f"{folder}/{copy}")
        check(f"{source} to {copy}: {done.returncode} {done.stderr}",
              done.returncode == 1 and why in done.stderr and source.encode() in done.stderr)


def check_shown(program, folder):
    """Names do not command the terminal: that of the folder, of one in it, of a file."""
    hostile = b"a\x1b[31m\n\xc2\x9b\xff"
    top = folder.encode() + b"/" + hostile
    os.makedirs(top + b"/" + hostile)
    write(top + b"/" + hostile + b"/" + hostile, b"f")
    small = lambda: (signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
                     resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
    for args in ((top + b"none", folder.encode() + b"/copy1"), (top, folder.encode() + b"/copy2/x"),
                 (top, folder.encode() + b"/copy3")):
        done = run(program, *args, preexec_fn=small)
        check(f"{args}: {done.returncode} {done.stderr}",
              done.returncode == 1 and shown(hostile) in done.stderr and done.stderr.count(b"\n") == 1 and
              all(byte >= 32 for byte in done.stderr[:-1]) and b"\xff" not in done.stderr)


def check_itself(program, folder):
    os.makedirs(f"{folder}/self/sub")
    write(f"{folder}/self/sub/f", b"f")
    done = run(program, f"{folder}/self", f"{folder}/self/copy")
    check(f"into itself: {done.stderr}", done.returncode == 1 and b"into itself" in done.stderr)
    check("into itself: the rest is copied", os.path.exists(f"{folder}/self/copy/sub/f"))


def small_files_only():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def check_too_large(program, folder):
    top, copy = f"{folder}/large", f"{folder}/large_copy"
    os.mkdir(top)
    for n in range(5):
        write(f"{top}/small{n}", b"x" * 1000)
    for size in (200_000, 1_000_000):
        write(f"{top}/large{size}", b"x" * size)
    os.link(f"{top}/large200000", f"{top}/link")
    done = run(program, top, copy, preexec_fn=small_files_only)
    check(f"too large: {done.returncode} {done.stderr}",
          done.returncode == 1 and done.stderr.count(b"File too large") == 3)
    check(f"too large: left are {os.listdir(copy)}",
          sorted(os.listdir(copy)) == [f"small{n}" for n in range(5)])


def check_descriptors(program, folder):
    """With few descriptors: a deep tree of folders of which each is listed in several pieces, and links."""
    path = top = f"{folder}/narrow"
    for n in range(40):
        os.mkdir(path)
        for m in range(40 if n else 3000):
            write(f"{path}/{m:030}", b"%d" % m)
        for m in range(5):
            os.mkdir(f"{path}/e{m}")
            os.link(f"{top}/{m:030}", f"{path}/e{m}/link")
        path += "/d"
    source = see(top)
    for limit in (16, 32, 256):
        few = (lambda limit=limit: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
        done = run(program, top, f"{folder}/wide", preexec_fn=few)
        check(f"{limit} descriptors: {done.returncode} {done.stderr[:300]}",
              done.returncode == 0 and not done.stderr)
        if os.path.isdir(f"{folder}/wide"):
            compare(source, see(f"{folder}/wide"))
        shutil.rmtree(f"{folder}/wide", ignore_errors=True)
    shutil.rmtree(top)


def check_full(program, folder):
    """A destination that is full, in a mount namespace that goes away with its process."""
    script = ('mount -t tmpfs -o size=1m none "$1/full" || exit 77; '
              '"$2" "$1/large" "$1/full/copy" 2>"$1/full_errors"; status=$?; '
              'ls -A "$1/full/copy" >"$1/full_left"; exit $status')
    os.mkdir(f"{folder}/full")
    write(f"{folder}/large/huge", b"x" * 3_000_000)
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", folder, program], timeout=60,
                          stderr=subprocess.DEVNULL) if ROOT and shutil.which("unshare") else None
    # unshare itself fails below a changed root, which is no mount.
    if not done or done.returncode == SKIPPED or not os.path.exists(f"{folder}/full_errors"):
        print("without a full file system: needs root, and a root folder that is a mount")
        return
    with open(f"{folder}/full_errors", "rb") as errors, open(f"{folder}/full_left") as left:
        text = errors.read()
        check(f"full: {done.returncode} {text}",
              done.returncode == 1 and b"huge': No space left" in text)
        check("full: no half file", "huge" not in left.read().split())


def check_unreadable(program, folder):
    top, copy = f"{folder}/secret", f"{folder}/open/copy"
    os.makedirs(f"{top}/d")
    os.mkdir(f"{folder}/open")
    os.chmod(f"{folder}/open", 0o777)
    write(f"{top}/d/yes", b"y", 0o4755)
    write(f"{top}/no", b"n", 0)
    os.mkdir(f"{top}/closed", 0)
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if ROOT else {}
    try:
        able = run(program, "--help", **user).returncode == 0
    except OSError:
        able = False
    if not able:
        print("without unreadable files: nobody else can run the program")
        return
    done = run(program, top, copy, **user)
    check(f"unreadable: {done.returncode} {done.stderr}",
          done.returncode == 1 and done.stderr.count(b"Permission denied") == 2 and
          b"/no'" in done.stderr and b"/closed'" in done.stderr)
    st = os.stat(f"{copy}/d/yes")
    check(f"unreadable: the others are copied {oct(st.st_mode)}",
          stat.S_IMODE(st.st_mode) == (0o755 if ROOT else 0o4755))


def check_faults(program, folder):
    """Whatever fails is named, and whatever is not named is right."""
    top = f"{folder}/faulty"
    os.mkdir(top)
    for part in (files, links, attributes):
        part(top)
    shutil.rmtree(f"{top}/many")
    source, _ = see(top)
    failed = 0
    for seed in range(1, 6):
        copy = f"{folder}/faulty_copy{seed}"
        faults = {"ASYS_FAULT": f"seed={seed},rate=20,kinds=eintr+eagain+enospc+eio+short+reorder"}
        done = run(program, top, copy, env={**os.environ, **faults, "LC_ALL": "C"})
        check(f"faults {seed}: {done.returncode} {done.stderr[:300]}",
              done.returncode == (1 if done.stderr else 0))
        failed += done.returncode
        copied = see(copy)[0] if os.path.isdir(copy) else {}
        for path, (seen, _) in source.items():
            parts = path[1:].split(b"/")
            named = any(os.fsencode(top) + shown(b"/".join([b""] + parts[1:n + 1])) + b"':" in done.stderr
                        for n in range(len(parts)))
            check(f"faults {seed}: {path[-60:]!r} is neither right nor named",
                  named or (path in copied and copied[path][0] == seen))
        shutil.rmtree(copy, ignore_errors=True)
    check("faults: some copy failed", failed)


def check_folder(program, source):
    """A large tree as it is."""
    place = "/dev/shm"
    size = int(run("du", "-sxk", source).stdout.split()[0])
    space = os.statvfs(place) if os.path.isdir(place) else None
    if not space or space.f_bavail * space.f_frsize < 3 * size * 1024:
        print(f"{source} does not fit into {place}")
        return SKIPPED
    with tempfile.TemporaryDirectory(dir=place, prefix="asys-copytree-") as folder:
        began = time.time()
        done = run(program, source, f"{folder}/copy")
        print(f"{source}: {size >> 10} MB in {time.time() - began:.1f} s")
        check(f"{source}: {done.returncode} {done.stderr[:500]}", done.returncode == 0)
        compare_by_others(source, f"{folder}/copy", source)
    return 0


def main():
    os.umask(0o022)
    if len(sys.argv) > 2:
        status = check_folder(sys.argv[1], sys.argv[2])
        return 1 if failures else status
    with tempfile.TemporaryDirectory(prefix="asys-copytree-") as folder:
        os.chmod(folder, 0o755)
        for part in (check_tree, check_claims, check_moving, check_inherited, check_usage,
                     check_shown, check_itself, check_descriptors,
                     check_too_large, check_full, check_unreadable, check_faults):
            part(sys.argv[1], folder)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
