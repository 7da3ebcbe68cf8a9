"""An /etc of one's own, for MTAs that insist on accounts and configuration
there: the process and its children see it instead of the machine's, in a mount
namespace that ends with them."""
import ctypes
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from . import GID, UID

CLONE_NEWNS, CLONE_NEWUTS = 0x00020000, 0x04000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18

FILES = ("nsswitch.conf", "services", "protocols", "ld.so.cache", "localtime",
         "passwd", "group", "mime.types", "gai.conf", "ld.so.conf")

# The machine's own; only read.
SHARED = ("ssl", "ld.so.conf.d", "alternatives")

# Not on this machine, or on it with another meaning.
ACCOUNTS = {"vmail": (UID, GID), "mta": (61235, 61235), "drop": (61236, 61236),
            "Debian-exim": (61237, 61237)}


# Loaded here: a process that was forked while others ran may not.
libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags):
    """In a preexec_fn: namespaces of one's own, or an end. With CLONE_NEWNS
    what is mounted then is seen by nobody else."""
    if libc.unshare(flags) != 0 or flags & CLONE_NEWNS and \
            libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        os._exit(126)


def bind(what, at):
    """In a preexec_fn: a directory at another place, with what is mounted
    below it."""
    if libc.mount(str(what).encode(), str(at).encode(), None,
                  MS_BIND | MS_REC, None) != 0:
        os._exit(126)


class PrivateEtc:
    def __init__(self, directory):
        self.etc = Path(directory) / "etc"
        self.etc.mkdir()
        for name in FILES:
            if os.path.exists(f"/etc/{name}"):
                shutil.copy(f"/etc/{name}", self.etc / name)
        self.mounts = []
        for name in SHARED:
            if os.path.isdir(f"/etc/{name}"):
                (self.etc / name).mkdir()
                self.mounts.append((f"/etc/{name}", self.etc / name))
        for file, line in (("passwd", "{n}:x:{u}:{g}::/nonexistent:/bin/false\n"),
                           ("group", "{n}:x:{g}:\n")):
            old = [x for x in (self.etc / file).read_text().splitlines(True)
                   if x.split(":")[0] not in ACCOUNTS]
            (self.etc / file).write_text("".join(old) + "".join(
                line.format(n=n, u=u, g=g) for n, (u, g) in ACCOUNTS.items()))
        (self.etc / "hosts").write_text("127.0.0.1 localhost mx.test\n")
        (self.etc / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        (self.etc / "hostname").write_text("mx.test\n")
        if subprocess.run(["/bin/true"], preexec_fn=self.enter, check=False,
                          ).returncode != 0:
            pytest.skip("may not mount")

    def enter(self):
        """preexec_fn."""
        unshare(CLONE_NEWNS | CLONE_NEWUTS)
        for what, at in [*self.mounts, (self.etc, "/etc")]:
            bind(what, at)
        socket.sethostname("mx.test")

    def run(self, *args, **kw):
        return subprocess.run(args, preexec_fn=self.enter, check=False,
                              stdin=kw.pop("stdin", subprocess.DEVNULL),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              cwd="/", **kw)
