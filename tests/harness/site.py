"""A private site: programs, configuration, mailboxes, below one directory."""
import os
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from . import BUILD, GID, PATIENCE, SANITIZED, UID, as_vmail, until
from .mbox import split_mbox

# No leak check: LeakSanitizer looks through ptrace, which the programs forbid
# for themselves (mail of others is in their memory).
SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=0:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
} if SANITIZED else {}


# Of where the tests work: a unix socket has a name of 107 bytes, and servers put
# theirs some directories further down.
TMP_MOST = 30


def temporary():
    """Where directories are made: $VBOX_TMP, or the usual place, if others may
    pass it and its name is short."""
    asked = os.environ.get("VBOX_TMP")
    usual = Path(tempfile.gettempdir())
    if asked or len(str(usual)) <= TMP_MOST and all(
            p.stat().st_mode & 1 for p in (usual, *usual.parents)):
        return asked or usual
    return "/tmp"


def new_directory(prefix="vbox-"):
    """A directory that the mail user can pass through, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=temporary()))
    path.chmod(0o755)
    return path


def remove(path):
    """A directory with all that is in it: a process that a server has left may
    still be writing there."""
    def gone():
        shutil.rmtree(path, ignore_errors=True)
        return not path.exists()
    until(gone, of=f"{path} to go away")


def copy_programs(to):
    """The programs of the build, where the mail user can execute them: the
    tree itself may lie in a home directory that is closed to others."""
    to.mkdir(mode=0o755)
    for program in BUILD.iterdir():
        if program.name in ("vbox-deliver", "vbox-lmtpd", "vboxadm"):
            shutil.copy2(program, to / program.name)
            (to / program.name).chmod(0o755)
    modules = to / "modules"
    modules.mkdir(mode=0o755)
    for module in BUILD.glob("modules/*.so"):
        shutil.copy2(module, modules / module.name)
        (modules / module.name).chmod(0o644)
    return to


def value(v):
    """A Python value as vbox.conf writes it."""
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, (list, tuple)):
        return "{" + ", ".join(value(x) for x in v) + "}"
    if isinstance(v, int):
        return str(v)
    return '"' + str(v).replace("\\", "\\\\").replace('"', '\\"') + '"'


def in_order(paths):
    """Files of a Maildir as they were delivered: the numbers in their names
    tell, which have no leading zeros."""
    return sorted(paths, key=lambda p: [
        int(x) if x.isdigit() else x for x in re.split(r"(\d+)", p.name)])


class Site:
    """d1.test keeps mbox, d2.test Maildir, whoever has a mailbox is a user."""

    def __init__(self, directory, programs):
        self.dir = Path(directory)
        self.bin = programs
        self.conf = self.dir / "vbox.conf"
        self.spool = self.dir / "spool"
        self.home = self.dir / "home"
        self.state = self.dir / "state"
        self.log = self.dir / "log"
        for d in (self.spool, self.home, self.state, self.log):
            self.own_dir(d)
        self.settings = {
            "user": str(UID),
            "group": str(GID),
            "directory": ["fs"],
            "module_dir": self.bin / "modules",
            "format": "mbox",
            "mbox_path": f"{self.spool}/%d/%n",
            "home": f"{self.home}/%d/%n",
            "maildir_path": "%h/Maildir",
            "state_dir": self.state,
            "hostname": "mx.test",
            "log_target": f"file:{self.log}/vbox.log",
            "lock_timeout": "10s",
        }
        self.domains = {"d2.test": {"format": "maildir"}}
        self.configure()

    def configure(self, **settings):
        """Changes settings (None takes one away) and writes vbox.conf."""
        self.settings.update(settings)
        lines = [f"{k} = {value(v)}" for k, v in self.settings.items()
                 if v is not None]
        for domain, own in self.domains.items():
            lines.append(f'domain "{domain}" {{')
            lines += [f"    {k} = {value(v)}" for k, v in own.items()]
            lines.append("}")
        self.conf.write_text("\n".join(lines) + "\n")
        self.conf.chmod(0o644)

    def own_dir(self, path, mode=0o700):
        """A directory of the mail user, with those above it."""
        path = Path(path)
        if not path.parent.is_dir():
            self.own_dir(path.parent, mode)
        path.mkdir(exist_ok=True)
        path.chmod(mode)
        os.chown(path, UID, GID)
        return path

    def own_file(self, path, data=b"", mode=0o600):
        path = Path(path)
        self.own_dir(path.parent)
        path.write_bytes(data)
        path.chmod(mode)
        os.chown(path, UID, GID)
        return path

    def box(self, domain, user):
        """Where the mail of a user is."""
        own = self.domains.get(domain, {})
        if own.get("format", self.settings["format"]) == "maildir":
            return self.home / domain / user / "Maildir"
        return self.spool / domain / user

    def add(self, domain, user):
        """A new user as the 2007 recipe makes one: touch and mkdir."""
        box = self.box(domain, user)
        self.own_dir(self.home / domain / user)
        if box.parent == self.spool / domain:
            self.own_file(box)
        else:
            for sub in ("tmp", "new", "cur"):
                self.own_dir(box / sub)
        return box

    def environment(self, **env):
        base = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **SANITIZER_ENV}
        base.update(env)
        return {k: v for k, v in base.items() if v is not None}

    def command(self, *args, conf=True):
        first = [str(self.bin / "vbox-deliver")]
        if conf:
            first += ["-c", str(self.conf)]
        return first + [os.fspath(a) if not isinstance(a, bytes) else a
                        for a in args]

    def deliver(self, *args, data=b"", env=None, timeout=300, conf=True,
                user=None, **popen):
        """Runs vbox-deliver; as root, or as the mail user with user=UID."""
        if user is not None and "preexec_fn" not in popen:
            popen["preexec_fn"] = as_vmail
        r = subprocess.run(
            self.command(*args, conf=conf), input=data, timeout=timeout,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.environment(**(env or {})), check=False, **popen)
        sane(r)
        return r

    def messages(self, domain, user):
        """What is in the box, byte by byte, without From_ lines and quoting."""
        box = self.box(domain, user)
        if box.is_dir():
            files = [p for sub in ("new", "cur") if (box / sub).is_dir()
                     for p in in_order((box / sub).iterdir())]
            return [p.read_bytes() for p in files]
        if not box.exists():
            return []
        return [m.content for m in split_mbox(box.read_bytes())]

    def everything(self):
        """Path -> (kind, mode, owner, bytes) of all that is kept: to prove
        that nothing was touched."""
        found = {}
        for top in (self.spool, self.home):
            for path in sorted(top.rglob("*")):
                st = path.lstat()
                data = b""
                if path.is_symlink():
                    data = os.readlink(path).encode()
                elif path.is_file():
                    data = path.read_bytes()
                found[str(path.relative_to(self.dir))] = (
                    oct(st.st_mode), st.st_uid, st.st_gid, data)
        return found


def sane(result):
    """No sanitizer has spoken."""
    for out in (result.stdout or b"", result.stderr or b""):
        assert b"Sanitizer" not in out and b"runtime error:" not in out, \
            out.decode(errors="replace")
    assert result.returncode != 99, result.stderr


class Lmtpd:
    """vbox-lmtpd in the foreground. Its socket lies below /run: sendmail uses
    none below a directory like /tmp, which everybody can write to. Of `doors`
    ("map", "policy") each has a socket beside it."""

    def __init__(self, site, doors=(), **settings):
        self.site = site
        self.run = Path(tempfile.mkdtemp(prefix="vbox-", dir="/run"))
        self.run.chmod(0o755)
        self.socket = self.run / "lmtp.sock"
        self.doors = {door: self.run / f"{door}.sock" for door in doors}
        settings.update({f"{door}_listen": [f"unix:{path}"]
                         for door, path in self.doors.items()})
        site.configure(lmtp_listen=[f"unix:{self.socket}"], socket_mode="0666",
                       workers=2, **settings)
        self.out = open(site.dir / "lmtpd.out", "ab")
        self.process = subprocess.Popen(
            [site.bin / "vbox-lmtpd", "-F", "-c", site.conf],
            stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out,
            env=site.environment(), cwd="/")
        until(self.answers, of="vbox-lmtpd")

    def answers(self):
        assert self.process.poll() is None, \
            (self.site.dir / "lmtpd.out").read_text()
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(PATIENCE)
                s.connect(str(self.socket))
                return s.recv(4) == b"220 "
        except OSError:
            return False

    def stop(self):
        hangs = False
        if self.process.poll() is None:
            self.process.terminate()
            try:
                # Clients who stay are hung up on after 20 s.
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                hangs = True
                self.process.kill()
                self.process.wait()
        self.out.close()
        remove(self.run)
        said = (self.site.dir / "lmtpd.out").read_bytes()
        assert not hangs, said
        assert b"Sanitizer" not in said and b"runtime error:" not in said, said
