# SPDX-License-Identifier: MIT
"""Which file system it is, and for root one of one's own: on a loop device whose file has no name any
more, in a mount namespace that nobody else sees. The kernel takes it away with the process, however
that ends."""
import ctypes
import os
import shutil
import subprocess

IMAGE_BYTES = 1 << 30  # sparse: what is used is used
FORMATS = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}


class Unavailable(Exception):
    """Why there can be none here."""


def run(*command):
    if not shutil.which(command[0]):
        raise Unavailable(f"{command[0]} is missing")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise Unavailable(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def kind_of(folder):
    """The name of the file system that a folder is on, or "" if it cannot be told."""
    device = os.stat(folder).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        for line in mounts:
            place, _, what = line.partition(" - ")
            if place.split()[2] == wanted:
                return what.split()[0]
    return ""


def hide_mounts():
    """From here on this process's mounts are its own."""
    clone_newns, ms_rec, ms_private = 0x20000, 0x4000, 1 << 18
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0:
        raise Unavailable("only root may mount")
    if (libc.unshare(clone_newns) != 0 or
            libc.mount(b"none", b"/", None, ctypes.c_ulong(ms_rec | ms_private), None) != 0):
        raise Unavailable(f"no namespace for mounts: {os.strerror(ctypes.get_errno())}")


class Mounted:
    """A new file system of this kind (FORMATS, or tmpfs) at folder/kind, which is made. After
    hide_mounts."""

    def __init__(self, folder, kind):
        self.path = os.path.join(folder, kind)
        os.mkdir(self.path)
        try:
            if kind == "tmpfs":
                run("mount", "-t", "tmpfs", "tmpfs", self.path)
            else:
                self.mount_image(os.path.join(folder, kind + ".image"), kind)
        except Unavailable:
            os.rmdir(self.path)
            raise

    def mount_image(self, image, kind):
        with open(image, "wb") as file:
            file.truncate(IMAGE_BYTES)
        try:
            run(*FORMATS[kind], image)
            run("mount", "-o", "loop", image, self.path)
        finally:
            os.unlink(image)  # it lives as long as it is mounted
        try:  # like a disk: without a second cache below
            run("losetup", "--direct-io=on", run("findmnt", "-n", "-o", "SOURCE", self.path))
        except Unavailable:
            pass

    def close(self):
        # Not before the kernel has let go of the rings of programs that have just ended.
        subprocess.run(["umount", "--lazy", self.path], check=False)
        os.rmdir(self.path)
