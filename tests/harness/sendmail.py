"""A real sendmail 8.17 with a configuration, queue and port of its own.

The program and the m4 sources come from build/roots/sendmail (Debian's
packages, unpacked and not installed). contrib/sendmail is copied into the m4
tree exactly as its README tells an administrator to do it."""
import functools
import os
import re
import shutil
import smtplib
import socket
import subprocess
import tempfile
from pathlib import Path

from . import GID, PATIENCE, ROOTS, TOP, UID, free_port, until
from .private import CLONE_NEWNS, CLONE_NEWUTS, bind, unshare
from .site import SANITIZER_ENV

ROOT = ROOTS / "sendmail"
BIN = ROOT / "usr/libexec/sendmail"
CF = ROOT / "usr/share/sendmail/cf"
CONTRIB = TOP / "contrib/sendmail"


# Made once for all tests of a run.
made = tempfile.TemporaryDirectory(prefix="vbox-sendmail-")

# It asks for its own name when it starts, and for whoever connects: a name server
# that does not answer would cost half a minute each time.
NAMES = {"hosts": "127.0.0.1 localhost mx.test\n127.0.0.2 client.test\n",
         "resolv.conf": "nameserver 127.0.0.1\n"}


def as_mx():
    """preexec_fn: a host name of its own, which is known, and no others."""
    unshare(CLONE_NEWUTS | CLONE_NEWNS)
    socket.sethostname("mx.test")
    for name in NAMES:
        if os.path.exists(f"/etc/{name}"):
            bind(f"{made.name}/{name}", f"/etc/{name}")


SHIM = """
#include <string.h>
#include <unistd.h>
int gethostname(char *name, size_t n)
{
	strncpy(name, "mx.test", n);
	return 0;
}
"""


@functools.cache
def m4_tree():
    """sendmail's m4 sources with contrib's."""
    tree = Path(made.name) / "cf"
    shutil.copytree(CF, tree)
    for kind in ("mailer", "feature"):
        for m4 in (CONTRIB / kind).glob("*.m4"):
            shutil.copy(m4, tree / kind)
    return tree


@functools.cache
def named():
    """What makes subprocess give a sendmail a host name with a dot. It looks
    for one before it reads its configuration, and sleeps for a minute when
    there is none. A container that may not have a name of its own gets a
    library that tells one."""
    for name, text in NAMES.items():
        (Path(made.name) / name).write_text(text)
    may = subprocess.run(["/bin/true"], preexec_fn=as_mx, check=False)
    if may.returncode == 0:
        return {"preexec_fn": as_mx}
    Path(made.name).chmod(0o755)
    shim = Path(made.name) / "hostname.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, "-xc", "-"],
                   input=SHIM.encode(), check=True)
    return {"env": {**os.environ, "LD_PRELOAD": str(shim)}}


class Sendmail:
    """Of a .mc that is written for /etc/mail and /var/spool, everything that
    names a place of the machine is moved below one directory; nothing else
    of it changes."""

    def __init__(self, directory, mc, agent, queue=None):
        self.dir = Path(directory)
        self.etc = self.dir / "etc-mail"
        self.queue = queue or self.dir / "mqueue"
        self.etc.mkdir()
        self.queue.mkdir(mode=0o700, exist_ok=True)
        self.agent = Path(agent)
        self.cf = self.dir / "sendmail.cf"
        self.port = None
        self.process = None
        self.named = named()
        self.mc = mc.read_text() if isinstance(mc, Path) else mc
        self.table("local-host-names", "")
        self.table("aliases", "")
        (self.dir / "hosts").write_text("127.0.0.1 localhost mx.test\n")
        (self.dir / "service.switch").write_text(
            "hosts files\naliases files\npasswd files\n")

    def table(self, name, text, hashed=False):
        path = self.etc / name
        path.write_text(text)
        path.chmod(0o644)
        if hashed:
            subprocess.run([BIN / "makemap", "-C", self.cf, "hash", path],
                           input=text.encode(), check=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def local_mc(self):
        """What a test needs and a site does not: a port of its own, no DNS,
        and leave to lie below /tmp, which is writable by everybody."""
        quoted = [
            ("confDOMAIN_NAME", "mx.test"),
            ("STATUS_FILE", ""),
            ("ALIAS_FILE", f"{self.etc}/aliases"),
            ("confPID_FILE", f"{self.dir}/sendmail.pid"),
            ("confSERVICE_SWITCH_FILE", f"{self.dir}/service.switch"),
            ("confHOSTS_FILE", f"{self.dir}/hosts"),
            ("confDEF_USER_ID", f"{UID}:{GID}"),
            ("confDONT_BLAME_SENDMAIL",
             "AssumeSafeChown,ClassFileInUnsafeDirPath,MapInUnsafeDirPath,"
             "LinkedClassFileInWritableDir,RunProgramInUnsafeDirPath,"
             "IncludeFileInUnsafeDirPath"),
            ("confTO_IDENT", "0"),
            ("confMIN_FREE_BLOCKS", "0"),
            ("confLOG_LEVEL", "0"),
            # A busy machine is no reason to refuse or to queue.
            ("confREFUSE_LA", "100000"),
            ("confQUEUE_LA", "100000"),
        ]
        return "".join(f"define(`{k}', `{v}')dnl\n" for k, v in quoted) + \
            "FEATURE(`accept_unresolvable_domains')dnl\n" \
            "FEATURE(`no_default_msa')dnl\n" \
            f"DAEMON_OPTIONS(`Port={self.port}, Addr=127.0.0.1, Name=MTA')dnl\n"

    def build(self):
        self.port = free_port()
        # Behind OSTYPE come the definitions of the site.
        mc, n = re.subn(r"(?m)^(OSTYPE\(.*)$",
                        lambda m: m[1] + "\n" + self.local_mc().rstrip("\n"),
                        self.mc, count=1)
        assert n == 1, "the .mc has no OSTYPE"
        (self.dir / "sendmail.mc").write_text(mc)
        made = subprocess.run(
            ["m4", f"-D_CF_DIR_={m4_tree()}/", m4_tree() / "m4/cf.m4",
             self.dir / "sendmail.mc"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        # (feature/local_procmail.m4 of sendmail itself earns an m4 warning.)
        assert made.returncode == 0 and b"ERROR" not in made.stderr, made.stderr
        # E: what the agent finds in its environment.
        env = "".join(f"E{k}={v}\n" for k, v in SANITIZER_ENV.items())
        cf = made.stdout.decode() + env
        # Places, and the account that this machine need not have.
        for theirs, ours in (("/etc/mail/", f"{self.etc}/"),
                             ("/var/spool/mqueue", self.queue),
                             ("vmail:vmail", f"{UID}:{GID}"),
                             ("/usr/local/lib/vbox/vbox-deliver", self.agent)):
            cf = cf.replace(theirs, str(ours))
        self.cf.write_text(cf)

    def start(self, *options):
        if not self.cf.exists():
            self.build()
        self.process = subprocess.Popen(
            [BIN / "sendmail", "-C", self.cf, "-bD", *options], cwd="/",
            stdin=subprocess.DEVNULL, stdout=open(self.dir / "out", "wb"),
            stderr=subprocess.STDOUT, **self.named)
        until(self.answers, of="sendmail's port")
        return self

    def answers(self):
        assert self.process.poll() is None, (self.dir / "out").read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port),
                                     PATIENCE).close()
            return True
        except OSError:
            return False

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def send(self, sender, recipients, data):
        """One envelope over SMTP; refused recipients as smtplib tells them."""
        with smtplib.SMTP("127.0.0.1", self.port, "client.test",
                          timeout=PATIENCE) as smtp:
            return smtp.sendmail(sender, recipients, data)

    def queued(self):
        return sorted(p.name for p in self.queue.rglob("[qQh]f*"))

    def tried(self):
        """How often what is in the queue was tried, all in all."""
        tries = 0
        for path in self.queue.glob("qf*"):
            try:
                n = re.search(rb"(?m)^N(\d+)", path.read_bytes())
            except FileNotFoundError:   # delivered
                continue
            tries += int(n[1]) if n else 0
        return tries

    def idle(self):
        until(lambda: not self.queued(), of="an empty queue")

    def run_queue(self):
        """One pass over the queue; returns when it is through."""
        done = subprocess.run([BIN / "sendmail", "-C", self.cf, "-q", "-odi"],
                              stdin=subprocess.DEVNULL, check=False, cwd="/",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=2 * PATIENCE, **self.named)
        assert done.returncode == 0, done.stdout.decode()
