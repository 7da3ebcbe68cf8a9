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

# Not on this machine, or on it with another meaning.
ACCOUNTS = {"vmail": (UID, GID), "mta": (61235, 61235), "drop": (61236, 61236),
            "Debian-exim": (61237, 61237)}


class PrivateEtc:
    def __init__(self, directory):
        self.etc = Path(directory) / "etc"
        self.etc.mkdir()
        for name in FILES:
            if os.path.exists(f"/etc/{name}"):
                shutil.copy(f"/etc/{name}", self.etc / name)
        for name in ("ssl", "ld.so.conf.d", "alternatives"):
            if os.path.isdir(f"/etc/{name}"):
                shutil.copytree(f"/etc/{name}", self.etc / name, symlinks=True,
                                ignore=shutil.ignore_patterns("private"))
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
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNS | CLONE_NEWUTS) != 0 or \
                libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0 or \
                libc.mount(str(self.etc).encode(), b"/etc", None, MS_BIND, None) != 0:
            os._exit(126)
        socket.sethostname("mx.test")

    def run(self, *args, **kw):
        return subprocess.run(args, preexec_fn=self.enter, check=False,
                              stdin=kw.pop("stdin", subprocess.DEVNULL),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              cwd="/", **kw)
