"""A service whose mail and state lie on a file system in an image, and what
the disk holds of it after a power cut.

The image is a file of an XFS, so that one call clones it while everything is
running: what its kernel had not written at that moment is not in the clone.
The clone is mounted in the place of the image, since the delivery log says
where mail was by whole paths, and gets another boot id.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import threading
import uuid
from pathlib import Path

import pytest

import agents
import mounts
from harness import until
from harness.lmtp import Lmtpd
from harness.proc import alive, descendants, status
from harness.site import Site

FILE_SYSTEMS = {
    "ext4": (400, "mkfs.ext4", "-q", "-b", "4096", "-J", "size=8"),
    "xfs": (600, "mkfs.xfs", "-q"),
}
# Nothing is written by the clock while we look.
OPTIONS = {"ext4": "loop,commit=300", "xfs": "loop,nouuid"}
BOOT_ID = "/proc/sys/kernel/random/boot_id"
FICLONE = 0x40049409
LOG = "12M"


def clone(source, target):
    with open(source, "rb") as s, open(target, "wb") as t:
        fcntl.ioctl(t, FICLONE, s.fileno())


@contextlib.contextmanager
def another_boot(scratch):
    path = os.path.join(scratch, "boot_id")
    with open(path, "w", encoding="ascii") as f:
        f.write(f"{uuid.uuid4()}\n")
    os.chmod(path, 0o644)
    mounts.run("mount", "--bind", path, BOOT_ID)
    try:
        yield
    finally:
        mounts.run("umount", "-l", BOOT_ID)


def kill_all(service):
    """As the kernel does at the end: nobody says anything any more. The master
    is stopped first, or it might make another one while we look."""
    master = service.process.pid
    service.process.send_signal(signal.SIGSTOP)
    until(lambda: status(master).get("State", "Z")[0] in "TZX",
          of="the master to stop")
    pids = descendants(master)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    service.process.wait()
    until(lambda: not any(map(alive, pids)), of="all to be dead")


class Machine:
    """with Machine(...) as m: m.start(), m.send(); m.cut() is a moment of the
    disk, m.after(cut) the site that comes up on it."""

    def __init__(self, scratch, programs, fs="ext4", users=("fred",),
                 options=None, **settings):
        self.scratch, self.programs, self.fs = Path(scratch), programs, fs
        self.users, self.settings = users, settings
        self.options = options or OPTIONS[fs]
        self.base = self.scratch / "m"
        self.log = self.scratch / "vbox.log"
        self.service = None
        self.acknowledged = []      # (token, domain, user)
        self.lock = threading.Lock()
        self.cuts = 0
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        try:
            store = mounts.image(str(self.scratch / "store"), 4096, "mkfs.xfs",
                                 "-q", "-m", "reflink=1")
            self.stack.enter_context(mounts.mounted(
                str(self.scratch / "images"), "-o", "loop", store))
        except subprocess.CalledProcessError as e:
            self.stack.close()
            pytest.skip(f"no XFS that clones files: {e.stderr}")
        with self.stack.pop_all() as stack:
            self.image = str(self.scratch / "images" / "image")
            mounts.image(self.image, *FILE_SYSTEMS[self.fs])
            self.base.mkdir()
            mounts.run("mount", "-o", self.options, self.image, self.base)
            stack.callback(self.unmount)
            self.log.touch()
            os.chmod(self.log, 0o666)
            self.make_site()
            mounts.sync(self.base)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exc):
        if self.service:
            kill_all(self.service)
        self.stack.close()

    def unmount(self):
        subprocess.run(["umount", "-l", str(self.base)], check=False,
                       stderr=subprocess.DEVNULL)

    def make_site(self):
        top = self.base / "site"
        top.mkdir(exist_ok=True)
        top.chmod(0o755)
        self.site = Site(top, self.programs)
        users = top / "users"
        users.write_text("".join(f"{u}@d{n}.test\n" for u in self.users
                                 for n in (1, 2)))
        users.chmod(0o644)
        self.site.configure(directory=[f"file:{users}"],
                            log_target=f"file:{self.log}", delivery_log=LOG,
                            delivery_log_flush="1h")
        self.site.configure(**self.settings)
        # Somebody was here before: not all is new.
        for u in self.users:
            for d in ("d1.test", "d2.test"):
                if not self.site.box(d, u).exists() and u != "late":
                    self.site.add(d, u)

    def start(self, **kw):
        self.service = Lmtpd(self.site)
        return self.service.start(**kw)

    def said(self):
        return self.log.read_text(errors="replace")

    def send(self, client, token, rcpts, size=3000, text=None):
        """One transaction; what was acknowledged is noted at once."""
        rcpt, replies = client.message(rcpts, text or
                                       agents.message(token, size))
        accepted = [r for r, a in zip(rcpts, rcpt) if a.startswith("250")]
        with self.lock:
            for who, reply in zip(accepted, replies):
                if reply.startswith("250"):
                    user, domain = who.split("@")
                    self.acknowledged.append((token, domain, user))
        return rcpt + replies

    def deliver(self, token, *rcpts, **kw):
        with self.service.connect() as c:
            c.hello()
            replies = self.send(c, token, list(rcpts), **kw)
        assert all(r.startswith("250") for r in replies), replies

    def cut(self, of=None):
        """The disk of this moment, and what was acknowledged before; or that
        on which a cut is mended just now."""
        with self.lock:
            had = list(self.acknowledged)
        self.cuts += 1
        path = f"{self.image}.{self.cuts}"
        clone(of[0] if of else self.image, path)
        return path, of[1] if of else had

    def down(self):
        """The machine is off."""
        if self.service:
            kill_all(self.service)
            self.service = None
        self.unmount()

    @contextlib.contextmanager
    def after(self, cut, keep=False):
        """The machine is on again, with the disk of the cut; nothing of ours
        runs yet. keep: there is more to come with this disk."""
        path, _ = cut
        mounts.run("mount", "-o", self.options, path, str(self.base))
        try:
            rebooted(self.base)
            with another_boot(self.scratch):
                self.log.write_text("")
                try:
                    yield self.site
                finally:
                    if self.service:
                        kill_all(self.service)
                        self.service = None
        finally:
            self.unmount()
            if not keep:
                os.unlink(path)

    def contents(self):
        """(domain, user) -> tokens, broken, of all boxes."""
        found = {}
        for domain in ("d1.test", "d2.test"):
            for user in self.users:
                found[domain, user] = read_all(self.site, domain, user)
        return found

    def wrongs(self, cut):
        """After the service has come up: what is not as it was promised."""
        wrong = []
        acknowledged = cut[1]
        for (domain, user), (tokens, broken) in self.contents().items():
            want = [t for t, d, u in acknowledged if (d, u) == (domain, user)]
            where = f"{user}@{domain}"
            for t in want:
                if tokens.count(t) != want.count(t):
                    wrong.append(f"{where}: {t} {tokens.count(t)} times")
            for t in set(tokens) - set(want):
                if tokens.count(t) > 1:
                    wrong.append(f"{where}: {t} twice, was not acknowledged")
            if broken:
                wrong.append(f"{where}: broken {broken}")
        return wrong


def rebooted(base):
    """Locks on the disk are older than the boot that follows a power cut."""
    import test_power
    test_power.rebooted(base)


def read_all(site, domain, user):
    """Tokens and broken ones of a box and its folders."""
    box = site.box(domain, user)
    tokens, broken = [], []
    if domain == "d1.test":
        places = [agents.read_mbox(str(box))]
        folders = site.home / domain / user / "mail"
        if folders.is_dir():
            places += [agents.read_mbox(str(p)) for p in folders.iterdir()
                       if p.is_file() and not p.name.startswith(".")]
    else:
        places = [agents.read_maildir(str(box))]
        if box.is_dir():
            places += [agents.read_maildir(str(p)) for p in box.iterdir()
                       if p.name.startswith(".") and p.is_dir()]
    for p in places:
        tokens += [t or "?" for t in p.tokens]
        broken += p.broken
    return tokens, broken

