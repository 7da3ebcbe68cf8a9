"""A real clamd that knows one signature, and servers that speak worse."""
import signal
import socket
import struct
import subprocess
import threading
from pathlib import Path

import pytest

from . import PATIENCE, ROOTS, until
from .site import new_directory, remove

# https://www.eicar.org: harmless, and every scanner finds it. In two pieces, so
# that none finds it here.
EICAR = (b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-" +
         b"TEST-FILE!$H+H*")
NAME = b"Eicar-Test-Signature"


class Clamd:
    """Debian's clamd in the foreground, below a directory of its own."""

    def __init__(self, directory, *conf):
        program = ROOTS / "clamav" / "usr" / "sbin" / "clamd"
        if not program.exists():
            pytest.skip("no clamd below build/roots (make test-deps)")
        self.dir = Path(directory) / "clamd"
        (self.dir / "db").mkdir(parents=True)
        self.dir.chmod(0o755)
        (self.dir / "db" / "test.ndb").write_bytes(
            NAME + b":0:*:" + EICAR.hex().encode() + b"\n")
        self.socket = self.dir / "clamd.sock"
        self.conf = self.dir / "clamd.conf"
        lines = [f"DatabaseDirectory {self.dir}/db", f"LocalSocket {self.socket}",
                 "LocalSocketMode 666", "Foreground yes", "User root",
                 f"TemporaryDirectory {self.dir}", *conf]
        self.conf.write_text("\n".join(lines) + "\n")
        self.program = program
        self.process = None
        self.scanner = f"clamd:unix:{self.socket}"

    def start(self):
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [self.program, f"--config-file={self.conf}"],
            stdout=open(self.dir / "out", "ab"), stderr=subprocess.STDOUT)
        until(self.answers, of="clamd")
        return self

    def answers(self):
        assert self.process.poll() is None, (self.dir / "out").read_text()
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(PATIENCE)
                s.connect(str(self.socket))
                s.sendall(b"zPING\0")
                return s.recv(16) == b"PONG\0"
        except OSError:
            return False

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.thaw()
            self.process.terminate()
            self.process.wait(PATIENCE)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()


class Impostor:
    """A server on clamd's protocol that answers as it is told. `answer` gets
    the connection when the whole message was sent; there may be several at
    a time."""

    def __init__(self, answer, early=False, inet=False):
        self.answer = answer
        self.early = early
        self.asked = 0
        if inet:
            self.dir = None
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.scanner = "clamd:inet:127.0.0.1:%d" % \
                self.listener.getsockname()[1]
        else:
            self.dir = new_directory()
            path = self.dir / "sock"
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
            path.chmod(0o666)
            self.listener.listen()
            self.scanner = f"clamd:unix:{path}"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.asked += 1
            threading.Thread(target=self.talk, args=(s,), daemon=True).start()

    def talk(self, s):
        try:
            with s:
                s.settimeout(PATIENCE)
                if not self.early:
                    self.message(s)
                self.answer(s)
        except OSError:
            pass

    @staticmethod
    def message(s):
        f = s.makefile("rb")
        command = f.read(len(b"zINSTREAM\0"))
        assert command == b"zINSTREAM\0", command
        parts = []
        while len(head := f.read(4)) == 4:
            (n,) = struct.unpack(">I", head)
            if n == 0:
                return b"".join(parts)
            parts.append(f.read(n))
        raise ConnectionError("it hung up in the middle")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(PATIENCE)
        if self.dir:
            remove(self.dir)
