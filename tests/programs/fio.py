# SPDX-License-Identifier: MIT
"""fio writes, reads back and compares: 4 jobs, reads and writes mixed, fsync in between."""
import json
import os

from harness import AIO, POSIX, Wrong, expect, need

ENGINES = {"libaio": AIO, "posixaio": POSIX}


def arguments(engine, direct, quick, name):
    size = "2m" if quick else "16m"
    # The same numbers in every run, so that all runs do the same.
    return ["fio", "--output-format=json", f"--name={name}", f"--ioengine={engine}",
            f"--direct={int(direct)}", "--bs=4k", f"--size={size}", "--numjobs=4", "--iodepth=16",
            "--randrepeat=1", "--randseed=4711", "--verify=crc32c", "--verify_fatal=1",
            "--group_reporting=0", "--fallocate=none"]


def totals(answer):
    jobs = json.loads(answer[answer.index("{"):])["jobs"]
    if any(job["error"] for job in jobs):
        raise Wrong(f"fio says error {[job['error'] for job in jobs]}")
    return [(job["jobname"], job["read"]["io_bytes"], job["write"]["io_bytes"],
             job["read"]["total_ios"], job["write"]["total_ios"])
            for job in jobs]


def clean(place, name):
    for number in range(4):
        path = os.path.join(place, f"{name}.{number}.0")
        if os.path.exists(path):
            os.unlink(path)


def mixed(context, place, engine, direct):
    """Reads, writes and fsyncs; every block that was written is read back and compared."""
    need("fio")
    name = "mixed"
    command = arguments(engine, direct, context.quick, name) + ["--rw=randrw", "--fsync=16"]
    clean(place, name)
    theirs = totals(context.run(command, None, place))
    clean(place, name)
    ours = totals(context.run(command, ENGINES[engine], place))
    count = context.went_through(ENGINES[engine], "read", "write")
    clean(place, name)
    expect("bytes and calls of the jobs", ours, theirs)
    return f"{count} calls, {len(ours)} jobs"


def crossed(context, place, engine, direct):
    """What was written under the shim is verified without it, and the other way round."""
    need("fio")
    name = "crossed"
    write = arguments(engine, direct, context.quick, name) + ["--rw=randwrite", "--do_verify=0",
                                                              "--end_fsync=1"]
    verify = arguments(engine, direct, context.quick, name) + ["--rw=randwrite", "--verify_only=1"]
    for writer, reader in ((ENGINES[engine], None), (None, ENGINES[engine])):
        clean(place, name)
        totals(context.run(write, writer, place))
        if writer:
            context.went_through(writer, "write")
        read = sum(job[1] for job in totals(context.run(verify, reader, place)))
        if reader:
            context.went_through(reader, "read")
        clean(place, name)
        if read == 0:
            raise Wrong("fio verified nothing")
    return f"{read >> 20} MiB each way"
