"""vbox-lmtpd as a process, and a client that says what it is told."""
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import as_vmail, free_port, until
from .proc import children, confined
from .site import sane

# Of one step that may take a while on a busy machine, and never so long.
TIMEOUT = 60


class Lmtpd:
    """The service of a site, on a unix socket and on TCP, private to a test."""

    def __init__(self, site, tcp=False, as_root=True, **settings):
        self.site = site
        self.sock = site.dir / "run" / "lmtp.sock"
        site.own_dir(self.sock.parent, 0o755)
        listen = [f"unix:{self.sock}"]
        self.port = None
        if tcp:
            self.port = free_port()
            listen.append(f"inet:127.0.0.1:{self.port}")
        settings.setdefault("lmtp_listen", listen)
        settings.setdefault("map_listen", [])
        settings.setdefault("policy_listen", [])
        site.configure(**settings)
        self.as_root = as_root
        self.process = None
        self.notify = None
        self.err = None

    def start(self, pass_fds=(), names=None, stdin=subprocess.DEVNULL, env=None):
        """Starts it and waits for READY=1. With pass_fds as systemd does: they
        must be 3, 4 ... in the child, which the shell that sets LISTEN_PID
        arranges."""
        where = self.site.dir / "notify.sock"
        where.unlink(missing_ok=True)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(where))
        where.chmod(0o777)
        self.notify.settimeout(TIMEOUT)
        more = {"NOTIFY_SOCKET": str(where), **(env or {})}
        command = [str(self.site.bin / "vbox-lmtpd"), "-F", "-c",
                   str(self.site.conf)]
        if pass_fds:
            more["LISTEN_FDS"] = str(len(pass_fds))
            if names:
                more["LISTEN_FDNAMES"] = names
            moves = " ".join(f"{3 + i}<&{fd}" for i, fd in enumerate(pass_fds))
            command = ["/bin/bash", "-c",
                       f'export LISTEN_PID=$$; exec "$@" {moves}', "sh"] + command
        self.err = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, stdin=stdin, stdout=self.err, stderr=self.err,
            pass_fds=pass_fds, env=self.site.environment(**more),
            preexec_fn=None if self.as_root else as_vmail)
        self.said("READY=1")
        return self

    def said(self, word):
        """Waits until the service has told systemd so."""
        seen = []
        while True:
            try:
                text = self.notify.recv(4096).decode()
            except TimeoutError:
                raise AssertionError(f"no {word}, but {seen}; {self.output()}")
            seen.append(text)
            if word in text:
                return text

    def output(self):
        self.err.seek(0)
        return self.err.read()

    def pids(self):
        """Its workers and helpers."""
        return children(self.process.pid)

    def workers(self):
        """Those that have confined themselves, as they do before they accept."""
        return [p for p in self.pids() if confined(p)]

    def helpers(self):
        """The others."""
        return [p for p in self.pids() if confined(p) is False]

    def settled(self, helpers=1):
        """Waits until the workers it was started with have confined themselves,
        as these helpers never do; the helpers."""
        return until(lambda: len(found := self.helpers()) == helpers and found,
                     of="workers to be confined")

    def reload(self):
        self.process.send_signal(signal.SIGHUP)
        self.said("RELOADING=1")
        self.said("READY=1")

    def stop(self, sig=signal.SIGTERM, timeout=TIMEOUT):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            self.process.wait(timeout)
        r = subprocess.CompletedProcess([], self.process.returncode,
                                        self.output(), b"")
        sane(r)
        return r.returncode

    def connect(self, timeout=TIMEOUT):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(str(self.sock))
        return Client(s)

    def connect_tcp(self, timeout=TIMEOUT):
        return Client(socket.create_connection(("127.0.0.1", self.port), timeout))

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        if self.process:
            assert self.stop() == 0, self.output()


class Client:
    """One connection. Sends bytes, reads reply lines."""

    def __init__(self, sock, process=None):
        self.sock = sock
        self.process = process
        self.file = sock.makefile("rb")

    def send(self, data):
        self.sock.sendall(data)

    def say(self, line):
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def line(self):
        """The next reply line without its CRLF; "" at the end."""
        line = self.file.readline()
        if not line:
            return ""
        assert line.endswith(b"\r\n"), line
        return line[:-2].decode()

    def reply(self):
        """The next reply; several lines are joined."""
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return "\n".join(lines)

    def hello(self):
        assert self.reply().startswith("220 ")
        assert self.say("LHLO client.test").startswith("250-")

    def message(self, recipients, text, sender="a@b.test"):
        """One transaction, pipelined; the replies to RCPT and to the message."""
        out = [f"MAIL FROM:<{sender}>\r\n"]
        out += [f"RCPT TO:<{r}>\r\n" for r in recipients]
        self.send("".join(out).encode())
        assert self.reply().startswith("250 ")
        rcpt = [self.reply() for _ in recipients]
        if not any(r.startswith("250") for r in rcpt):
            self.say("RSET")
            return rcpt, []
        assert self.say("DATA").startswith("354 ")
        self.send(text.replace(b"\n", b"\r\n") + b".\r\n")
        return rcpt, [self.reply() for r in rcpt if r.startswith("250")]

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def rest(self):
        return self.file.read()

    def close(self):
        try:
            self.file.close()
        finally:
            self.sock.close()
        if self.process:
            self.process.wait(TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def stdio(site):
    """vbox-deliver -l on a pair of sockets; what it writes to stderr is
    nobody's business."""
    ours, theirs = socket.socketpair()
    ours.settimeout(TIMEOUT)
    p = subprocess.Popen(site.command("-l"), stdin=theirs, stdout=theirs,
                         stderr=subprocess.DEVNULL, env=site.environment())
    theirs.close()
    return Client(ours, p)
