"""Mounts of our own: in a private mount namespace, gone with the process.

Small file systems that fill up, loop images that are copied as a power cut
would leave them, other files in the place of /etc/passwd. Needs root;
able() says whether it works here.
"""

import contextlib
import ctypes
import os
import subprocess

CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
_libc = ctypes.CDLL(None, use_errno=True)
_state = []


def able():
    """Enters the namespace, once; False where that is not allowed."""
    if not _state:
        ok = os.geteuid() == 0 and _libc.unshare(CLONE_NEWNS) == 0
        ok = ok and _libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE,
                                None) == 0
        _state.append(ok)
    return _state[0]


def run(*argv):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE)


@contextlib.contextmanager
def mounted(where, *args):
    """mount ARGS WHERE, until the block ends."""
    os.makedirs(where, exist_ok=True)
    run("mount", *args, where)
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", where], check=False,
                       stderr=subprocess.DEVNULL)


def tmpfs(where, options):
    return mounted(where, "-t", "tmpfs", "-o", options, "none")


def ramfs(where):
    """A file system without extended attributes."""
    return mounted(where, "-t", "ramfs", "none")


def sync(where):
    """This file system and no other: what is not synced elsewhere has to stay
    so, for tests that run beside us."""
    fd = os.open(where, os.O_RDONLY)
    try:
        if _libc.syncfs(fd) != 0:
            raise OSError(ctypes.get_errno(), f"syncfs {where}")
    finally:
        os.close(fd)


def image(path, megabytes, *mkfs):
    """A sparse file holding a new file system: image(p, 8, "mkfs.ext4")."""
    with open(path, "wb") as f:
        f.truncate(megabytes << 20)
    run(*mkfs, path)
    return path


def copy_sparse(source, target):
    """Copies the data of a sparse file and leaves its holes."""
    with open(source, "rb") as s, open(target, "wb") as t:
        end = os.fstat(s.fileno()).st_size
        t.truncate(end)
        at = 0
        while at < end:
            try:
                at = os.lseek(s.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            hole = os.lseek(s.fileno(), at, os.SEEK_HOLE)
            while at < hole:
                data = os.pread(s.fileno(), min(hole - at, 1 << 20), at)
                os.pwrite(t.fileno(), data, at)
                at += len(data)
