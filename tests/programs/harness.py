# SPDX-License-Identifier: MIT
"""Runs a program under the shims and without, and knows what went through."""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time

AIO, POSIX = "libaio.so.1", "libasys-posix-aio.so"


class Wrong(Exception):
    """What differs, or failed."""


class Skip(Exception):
    """Why this cannot be looked at here."""


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Skip(f"{program} is not installed")


def digest(path):
    whole = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            whole.update(piece)
    return whole.hexdigest()


def expect(what, ours, theirs):
    """The same under the shim as without."""
    if ours != theirs:
        raise Wrong(f"{what}: {ours} under the shim, {theirs} without")


class Context:
    def __init__(self, asys, folder, quick):
        self.asys, self.folder, self.quick = asys, folder, quick
        self.stats = os.path.join(folder, "stats")

    def run(self, command, shim, cwd, limit=120, text=None):
        """Under the shims, or not, if shim is None. The standard output."""
        environment = dict(os.environ)
        if not shim:  # where our libaio must not be found by chance
            environment.pop("LD_LIBRARY_PATH", None)
            environment.pop("LD_PRELOAD", None)
        else:
            command = [self.asys, "run", f"--stats={self.stats}", "--", *command]
        if os.path.exists(self.stats):
            os.unlink(self.stats)
        # pylint: disable=consider-using-with
        child = subprocess.Popen(command, cwd=cwd, env=environment, stdin=subprocess.PIPE if text else
                                 subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                 stderr=subprocess.PIPE, start_new_session=True)
        try:
            out, err = child.communicate(text, timeout=limit)
        except BaseException as why:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            if isinstance(why, subprocess.TimeoutExpired):
                raise Wrong(f"{' '.join(command[-8:])}: still running after {limit} s"
                            f"{' under the shim' if shim else ''}") from why
            raise
        if child.returncode != 0:
            raise Wrong(f"status {child.returncode}{' under the shim' if shim else ''}: "
                        f"{(err or out).strip()[-600:]} ({' '.join(command)})")
        return out

    def calls(self, library):
        """What all programs of the last run sent through a shim."""
        total = {}
        try:
            with open(self.stats, encoding="utf-8") as lines:
                reports = [json.loads(line) for line in lines]
        except FileNotFoundError:
            reports = []
        for report in reports:
            if report["shim"] == library:
                for name, count in report["calls"].items():
                    total[name] = total.get(name, 0) + count
        return total

    def went_through(self, library, *kinds):
        calls = self.calls(library)
        for kind in kinds:
            if not calls.get(kind):
                raise Wrong(f"no {kind} went through {library}: {calls}")
        return sum(calls.values())


class Report:
    """A line for each check, and the sums as continuous integration counts them."""

    def __init__(self, only):
        self.only, self.ok, self.bad, self.skipped = only, 0, 0, 0

    def check(self, name, function, *args):
        if self.only and self.only not in name:
            return
        begin = time.monotonic()
        try:
            said = function(*args)
            self.ok += 1
            word = "ok"
        except Skip as why:
            self.skipped += 1
            word, said = "skipped", why
        except (Wrong, OSError, ValueError, KeyError) as why:
            self.bad += 1
            word, said = "FAILED", f"{type(why).__name__}: {why}"
        print(f"{name:<34} {word:<8} {time.monotonic() - begin:5.1f} s  {said or ''}", flush=True)

    def end(self):
        print(f"\nOk: {self.ok}\nFail: {self.bad}\nSkipped: {self.skipped}")
        if self.bad:
            return 1
        return 0 if self.ok else 77
