# SPDX-License-Identifier: MIT
"""Programs with asynchronous I/O that are no test programs of it: QEMU, sysbench, stress-ng, MariaDB."""
import os
import re
import shutil
import subprocess

from harness import AIO, POSIX, Skip, Wrong, digest, expect, need

SIZE = 16 << 20


def make_file(path, data=None):
    with open(path, "wb") as file:
        for _ in range(SIZE >> 20):
            file.write(data or os.urandom(1 << 20))


def qemu_bench(context, place):
    """qemu-img bench with native AIO: O_DIRECT, eventfd and its own look at the ring. Writes a pattern over a
    part of the file, with flushes; the file must be the same afterwards."""
    need("qemu-img")
    path = os.path.join(place, "disk")
    found = []
    count = "1000" if context.quick else "3000"
    for shim in (None, AIO):
        make_file(path, bytes(range(256)) * 4096)
        for args in (["-w", "--pattern=165", "-s", "4096", "-S", "8192", "--flush-interval=64"],
                     ["-s", "65536"], ["-w", "--pattern=3", "-s", "512", "-o", "512"]):
            context.run(["qemu-img", "bench", "-c", count, "-d", "32", "-f", "raw", "-n",
                         "-t", "none", *args, path], shim, place)
            if shim:
                context.went_through(AIO, "write" if "-w" in args else "read")
        found.append(digest(path))
    os.unlink(path)
    expect("digest of the disk", found[1], found[0])
    return "3 runs"


def qemu_convert(context, place):
    """qemu-img convert reads its source through native AIO."""
    need("qemu-img")
    path, copy = os.path.join(place, "disk"), os.path.join(place, "copy")
    make_file(path)
    source = ("driver=raw,file.driver=file,file.aio=native,file.cache.direct=on,"
              f"file.filename={path}")
    context.run(["qemu-img", "convert", "--image-opts", "-m", "16", "-O", "raw", source, copy], AIO,
                place)
    count = context.went_through(AIO, "read")
    same = digest(path) == digest(copy)
    os.unlink(path)
    os.unlink(copy)
    if not same:
        raise Wrong("the copy differs")
    return f"{count} calls"


def sysbench(context, place):
    """sysbench fileio --file-io-mode=async, 4 threads. Without --validate: it has one buffer for all that
    a thread has in flight, and fails without the shim too where a submission does not wait (O_DIRECT)."""
    need("sysbench")
    common = ["sysbench", "fileio", "--file-total-size=32M", "--file-num=8",
              "--file-io-mode=async", "--file-test-mode=rndrw", "--threads=4", "--time=0",
              f"--events={2000 if context.quick else 20000}", "--rand-seed=7",
              "--file-fsync-freq=50"]
    found = []
    for shim in (None, AIO):
        context.run([*common, "prepare"], None, place)
        answer = context.run([*common, "run"], shim, place)
        events = re.search(r"total number of events:\s*(\d+)", answer)
        found.append(events and events.group(1))
        if shim:
            count = context.went_through(AIO, "read", "write")
        context.run([*common, "cleanup"], None, place)
    expect("events", found[1], found[0])
    return f"{found[1]} events, {count} calls"


def stress_aio(context, place):
    """stress-ng --aio: POSIX AIO with a signal for each end."""
    need("stress-ng")
    for shim in (None, POSIX):
        answer = context.run(["stress-ng", "--aio", "2", "--aio-requests", "32", "--aio-ops",
                              "20000" if context.quick else "200000", "--verify", "--timeout", "20",
                              "--temp-path", place], shim, place)
        if "fail" in answer:
            raise Wrong(answer[-600:])
    return f"{context.went_through(POSIX, 'read', 'write')} calls"


def stress_aiol(context, place):
    """stress-ng --aiol sets its contexts up by number: they stay the kernel's, and nothing may be in the
    way."""
    need("stress-ng")
    for shim in (None, AIO):
        context.run(["stress-ng", "--aiol", "2", "--aiol-ops", "500", "--verify", "--timeout", "20",
                     "--temp-path", place], shim, place)
    calls = sum(context.calls(AIO).values())
    return f"{calls} calls went through" if calls else "contexts of the kernel, as before"


def mariadb_sql(answer):
    digits = " UNION ".join(f"SELECT {n} d" if n == 0 else f"SELECT {n}" for n in range(10))
    rows = ("SELECT a.d * 1000 + b.d * 100 + c.d * 10 + e.d + f.d * 10000 AS seq "
            "FROM t.d a, t.d b, t.d c, t.d e, t.d f WHERE f.d < 3")
    return "\n".join([
        "CREATE DATABASE t;",
        f"CREATE TABLE t.d ENGINE=InnoDB AS {digits};",
        "CREATE TABLE t.a (id INT PRIMARY KEY, n INT, s VARCHAR(200), KEY (n)) ENGINE=InnoDB;",
        "INSERT INTO t.a SELECT seq, seq * 7919 % 100003, REPEAT(CHAR(97 + seq % 26), 180) "
        f"FROM ({rows}) x;",
        "UPDATE t.a SET s = REVERSE(CONCAT(s, id)) WHERE n % 3 = 0;",
        "DELETE FROM t.a WHERE n % 11 = 5;",
        f"SELECT COUNT(*), SUM(CRC32(s)), SUM(n) FROM t.a INTO OUTFILE '{answer}';", ""])


def mariadb(context, place):
    """MariaDB with libaio: tables are filled and changed; a second server, without the shim, recovers
    and reads what the first wrote."""
    server = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
    if not os.path.exists(server):
        raise Skip("mariadbd is not installed")
    known = subprocess.run([server, "--no-defaults", "--verbose", "--help"], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True, timeout=60, check=False).stdout
    if "innodb-linux-aio" not in known:
        raise Skip("this MariaDB has no choice of libaio (innodb-linux-aio)")
    found = []
    for shim in (None, AIO):
        data = os.path.join(place, "mariadb")
        os.mkdir(data)
        common = [server, "--no-defaults", "--bootstrap", f"--datadir={data}", "--user=root",
                  "--innodb-use-native-aio=1", "--innodb-linux-aio=aio",
                  "--innodb-buffer-pool-size=8M", "--innodb-flush-method=O_DIRECT",
                  "--innodb-log-file-size=8M", "--secure-file-priv="]
        answers = [os.path.join(data, "first"), os.path.join(data, "second")]
        context.run(common, shim, place, text=mariadb_sql(answers[0]))
        if shim:
            count = context.went_through(AIO, "write")
        context.run(common, None, place, text="CHECK TABLE t.a EXTENDED;\nSELECT COUNT(*), "
                    f"SUM(CRC32(s)), SUM(n) FROM t.a INTO OUTFILE '{answers[1]}';\n")
        for path in answers:
            with open(path, encoding="utf-8") as file:
                found.append(file.read())
        shutil.rmtree(data)
    if len(set(found)) != 1 or not found[0].strip():
        raise Wrong(f"sums differ: {found}")
    return f"{count} calls, {found[0].split()[0]} rows"
