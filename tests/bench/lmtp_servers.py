"""The servers of the benchmarks by LMTP: each with its own directory, socket
and group for its CPU time. start(), then load() puts load on it, and boxes(form)
says below which directory the mail lies; stop(), and release() when its last
process is gone. target(case) is what lmtpload is told."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from pathlib import Path

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import mounts  # noqa: E402
from harness import ROOTS, UID, free_port  # noqa: E402
from harness.postfix import OWNER, ROOT, Postfix  # noqa: E402

TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(TOP, os.environ.get("VBOX_BUILD", "build/gcc"))
MAIL_LOCAL = str(ROOTS / "sendmail/usr/libexec/sendmail/mail.local")
BOXES = 128
# Groups for CPU time: version 1 where it is mounted, else version 2.
CPUACCT = "/sys/fs/cgroup/cpuacct"
GROUPS = CPUACCT if os.path.isdir(CPUACCT) else "/sys/fs/cgroup"
LOGS = f"/dev/shm/vbox-bench-{os.getpid()}"


# By way of "unix" or "tcp".
Case = namedtuple("Case", "format conn rcpt size way", defaults=("unix",))


def new_base(parent):
    """A directory with the programs of the benchmark, and one for logs."""
    base = tempfile.mkdtemp(prefix="vbox-bench-", dir=parent)
    os.chmod(base, 0o755)
    os.makedirs(LOGS, exist_ok=True)
    os.chown(LOGS, UID, UID)
    for name, *more in (("lmtpload", "qmgrload"), ("minserver",)):
        subprocess.run(["gcc", "-O2", "-pthread", "-o", os.path.join(base, name)] +
                       [os.path.join(HERE, f + ".c") for f in (name, *more)],
                       check=True)
    return base


def remove_base(base):
    shutil.rmtree(base, ignore_errors=True)
    shutil.rmtree(LOGS, ignore_errors=True)


def load(base, server, case, seconds, warm=0):
    """What lmtpload prints: rate, cpu, p50 and so on."""
    out = subprocess.run(
        [os.path.join(base, "lmtpload"), "-k", str(case.conn), "-r", str(case.rcpt),
         "-s", str(case.size), "-t", str(seconds), "-w", str(warm),
         "-g", server.group] + server.target(case),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, text=True)
    if out.returncode != 0:
        raise RuntimeError(f"{server.name} {case}: {out.stderr}")
    got = {k: float(v) for k, v in (w.split("=") for w in out.stdout.split())}
    if got["refused"]:
        raise RuntimeError(f"{server.name} {case}: {got['refused']} refused")
    server.said[case.format] = server.said.get(case.format, 0) + int(got["all"])
    return got


class Server:
    """A process, its CPU time, and how the client reaches it."""
    formats = ("mbox", "maildir")
    ways = ("unix", "tcp")

    def __init__(self, base):
        self.dir = os.path.join(base, self.name)
        os.makedirs(self.dir)
        os.chmod(self.dir, 0o755)
        self.group = os.path.join(GROUPS, f"vbox-bench-{os.getpid()}-{self.name}")
        os.makedirs(self.group)
        self.process = None
        self.said = {}	# by format: deliveries that were promised

    @staticmethod
    def there():
        return True

    def takes(self, case):
        return case.format in self.formats and case.way in self.ways

    def enter(self):
        """preexec_fn: into the group."""
        with open(os.path.join(self.group, "cgroup.procs"), "w", encoding="ascii") as f:
            f.write(str(os.getpid()))

    def spawn(self, *argv):
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, preexec_fn=self.enter, cwd="/")

    def address(self, case):
        return (f"inet:127.0.0.1:{self.port}" if case.way == "tcp" else
                "unix:" + self.sock)

    def release(self):
        """After stop(): the group goes when the last process has."""
        end = time.monotonic() + 10
        while os.path.isdir(self.group):
            try:
                os.rmdir(self.group)
            except OSError:
                if time.monotonic() > end:
                    return
                time.sleep(0.02)

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def own(self, *path):
        p = os.path.join(self.dir, *path)
        os.makedirs(p, exist_ok=True)
        for d in (self.dir, p):
            os.chown(d, UID, UID)
        return p


def wait_for(where):
    """Where a server listens, as lmtpload is told it."""
    kind, _, rest = where.partition(":")
    end = time.monotonic() + 20
    while True:
        try:
            if kind == "unix":
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(rest)
            else:
                host, _, port = rest.rpartition(":")
                socket.create_connection((host, int(port))).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


class Vbox(Server):
    name = "vbox-lmtpd"
    prefixes = ("u",)
    settings = ""

    def start(self):
        spool, home, state = self.own("spool"), self.own("home"), self.own("state")
        users = os.path.join(self.dir, "users")
        with open(users, "w", encoding="ascii") as f:
            for i in range(BOXES):
                for u in self.prefixes:
                    f.write(f"{u}{i}@mbox.test\n{u}{i}@maildir.test\n")
        self.sock, self.port = os.path.join(self.dir, "lmtp.sock"), free_port()
        conf = os.path.join(self.dir, "vbox.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(f'''user = "{UID}"
group = "{UID}"
directory = {{"file:{users}"}}
module_dir = "{BUILD}/modules"
mbox_path = "{spool}/%d/%n"
home = "{home}/%d/%n"
state_dir = "{state}"
lmtp_listen = {{"unix:{self.sock}", "inet:127.0.0.1:{self.port}"}}
map_listen = {{}}
policy_listen = {{}}
log_target = "file:{LOGS}/vbox.log"
{self.settings}
domain "maildir.test" {{ format = "maildir" }}
''')
        self.spawn(os.path.join(BUILD, "vbox-lmtpd"), "-F", "-c", conf)
        wait_for("unix:" + self.sock)

    def target(self, case):
        return [self.address(case), f"u%d@{case.format}.test"]

    def boxes(self, form):
        return os.path.join(self.dir, "spool" if form == "mbox" else "home")


class VboxLog(Vbox):
    """With the delivery log: one sync of one file for all who wait."""
    name = "vbox-lmtpd-log"
    settings = 'delivery_log = "128M"'


class Minimal(Server):
    """A process for each format and way."""
    name = "minimal"
    dotlock = "slot"

    def start(self):
        self.where, self.processes = {}, []
        for form in self.formats:
            top = self.boxes(form)
            os.makedirs(top)
            if form == "maildir":
                for i in range(BOXES):
                    for sub in ("tmp", "new", "cur"):
                        os.makedirs(os.path.join(top, f"u{i}", sub))
            for way in self.ways:
                self.sock, self.port = os.path.join(self.dir, form + ".sock"), free_port()
                self.spawn(os.path.join(self.dir, "..", "minserver"),
                           f"inet:{self.port}" if way == "tcp" else self.sock, top, form,
                           self.dotlock, *self.log(form, way))
                self.processes.append(self.process)
                self.where[form, way] = (
                    f"inet:127.0.0.1:{self.port}" if way == "tcp" else "unix:" + self.sock)
                wait_for(self.where[form, way])

    def log(self, form, way):
        return ()

    def target(self, case):
        return [self.where[case.format, case.way], "u%d@x.test"]

    def boxes(self, form):
        return os.path.join(self.dir, form)

    def stop(self):
        for p in self.processes:
            p.kill()
            p.wait()


class MinimalNewLocks(Minimal):
    """Its dotlocks are new files, as everybody's but ours."""
    name = "minimal-newlocks"
    formats = ("mbox",)
    ways = ("unix",)
    dotlock = "file"


class MinimalLog(Minimal):
    """With a delivery log as ours."""
    name = "minimal-log"
    ways = ("unix",)

    def log(self, form, way):
        return (os.path.join(self.dir, f"log-{form}-{way}"),)


class Dovecot(Server):
    name = "Dovecot"
    more = ""	# of its configuration

    @staticmethod
    def there():
        return os.path.exists("/usr/sbin/dovecot")

    def start(self):
        for form in ("mbox", "maildir"):
            self.own(form)
            self.own("home")
        self.sock, self.port = os.path.join(self.dir, "run", "lmtp-bench"), free_port()
        conf = os.path.join(self.dir, "dovecot.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(f'''base_dir = {self.dir}/run
log_path = {LOGS}/dovecot.log
ssl = no
protocols = lmtp
first_valid_uid = 100
mail_fsync = always
mbox_write_locks = fcntl dotlock
mbox_read_locks = fcntl
stats_writer_socket_path =
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid={UID} gid={UID} home={self.dir}/home/%d/%n mail=%d:{self.dir}/%d/%n allow_all_users=yes
}}
mail_location = maildir:{self.dir}/maildir/%n
service lmtp {{
  process_min_avail = 4
  process_limit = 200
  unix_listener lmtp-bench {{
    mode = 0666
  }}
  inet_listener lmtp-bench {{
    address = 127.0.0.1
    port = {self.port}
  }}
}}
service stats {{
  chroot =
}}
{self.more}''')
        self.spawn("/usr/sbin/dovecot", "-F", "-c", conf)
        wait_for("unix:" + self.sock)

    def target(self, case):
        return [self.address(case), f"u%d@{case.format}"]

    def boxes(self, form):
        return os.path.join(self.dir, form)


class MailLocal(Server):
    """It knows the users of /etc/passwd and /var/mail only: both are ours in
    our mount namespace. One process for each connection, on a socket pair."""
    name = "mail.local"
    formats = ("mbox",)
    ways = ("unix",)

    @staticmethod
    def there():
        return os.path.exists(MAIL_LOCAL)

    def start(self):
        spool = self.boxes("mbox")
        os.makedirs(spool)
        os.chmod(spool, 0o1777)
        passwd = os.path.join(self.dir, "passwd")
        shutil.copy("/etc/passwd", passwd)
        with open(passwd, "a", encoding="ascii") as f:
            for i in range(BOXES):
                f.write(f"u{i}:x:{7000 + i}:{7000 + i}::/nowhere:/bin/false\n")
                box = os.path.join(spool, f"u{i}")
                open(box, "wb").close()
                os.chown(box, 7000 + i, 7000 + i)
                os.chmod(box, 0o600)
        mounts.run("mount", "--bind", passwd, "/etc/passwd")
        mounts.run("mount", "--bind", spool, "/var/mail")

    def target(self, case):
        return ["exec:" + MAIL_LOCAL, "u%d", "mail.local", "-l"]

    def boxes(self, form):
        return os.path.join(self.dir, "mail")

    def stop(self):
        for where in ("/var/mail", "/etc/passwd"):
            subprocess.run(["umount", "-l", where], check=False,
                           stderr=subprocess.DEVNULL)


class Virtual(Server):
    """Postfix's delivery agent for virtual mailboxes, alone: a private Postfix
    whose queue manager has nothing to do, since lmtpload plays it. A message of
    each size is sent by SMTP once and held; each connection has a copy of that
    queue file, and the agent delivers it again and again. It is not told the
    message's bytes as the others are: it reads them from the queue file."""
    name = "Postfix-virtual"
    ways = ("unix",)
    postfix = None
    RECIPIENTS = 50	# what the queue manager puts into one request, at most

    def takes(self, case):
        return super().takes(case) and case.rcpt <= self.RECIPIENTS

    @staticmethod
    def there():
        return (ROOT / "usr/lib/postfix/sbin/virtual").exists()

    def start(self):
        top = self.own("boxes")
        users = Path(self.dir, "users")
        lines = []
        for form, end in (("mbox", ""), ("maildir", "/")):
            self.own("boxes", form)
            lines += [f"u{i}@{form}.test {form}/u{i}{end}\n" for i in range(BOXES)]
        users.write_text("".join(lines))
        # What makes it faster: the log goes to syslog, as mail.local's does, not
        # through a process of Postfix's, and agents live for more than the 100
        # requests that are the default.
        self.postfix = Postfix(self.dir, main=f"""
virtual_mailbox_domains = mbox.test maildir.test
virtual_mailbox_base = {top}
virtual_mailbox_maps = texthash:{users}
virtual_uid_maps = static:{UID}
virtual_gid_maps = static:{UID}
virtual_mailbox_lock = fcntl, dotlock
virtual_mailbox_limit = 0
header_checks = static:HOLD
maillog_file =
max_use = 100000
""", master="virtual unix - n n - 200 virtual\n")
        private = self.postfix.private.enter

        def enter():
            self.enter()
            private()
        self.postfix.private.enter = enter
        self.postfix.start()
        self.held = {}

    def stop(self):
        if self.postfix:
            self.postfix.stop()

    def hold(self, size):
        """Sends a message of that size: its name, its file, what lies where."""
        message = subprocess.run(
            [os.path.join(self.dir, "..", "lmtpload"), "-p", "-s", str(size)],
            stdout=subprocess.PIPE, check=True).stdout
        self.postfix.send("sender@client.test",
                          [f"u{i}@mbox.test" for i in range(self.RECIPIENTS)], message)
        (path,) = (self.postfix.queue / "hold").iterdir()
        record = path.read_bytes()
        path.unlink()
        return path.name, record, [str(n) for n in queue_places(record)]

    def target(self, case):
        if case.size not in self.held:
            self.held[case.size] = self.hold(case.size)
        name, record, places = self.held[case.size]
        for i in range(case.conn):
            copy = self.postfix.queue / "active" / f"{name}{i:02X}"
            if not copy.exists():
                copy.write_bytes(record)
                os.chown(copy, OWNER, OWNER)
                copy.chmod(0o700)
        return [f"postfix:{self.postfix.queue}/private/virtual",
                f"u%d@{case.format}.test", name] + places

    def boxes(self, form):
        return os.path.join(self.dir, "boxes", form)


def queue_places(record):
    """In a queue file of Postfix: where the message begins, its size, and where
    each recipient's record lies. A record is a letter, a length of seven bits a
    byte, the lowest first, and so many bytes; the first one, C, has the numbers
    of the message."""
    at, places, message = 0, [], None
    while message is None:
        kind, begin, n, shift = record[at:at + 1], at, 0, 0
        at += 1
        while True:
            n |= (record[at] & 127) << shift
            shift += 7
            at += 1
            if record[at - 1] < 128:
                break
        if kind == b"C":
            size, offset = record[at:at + n].split()[:2]
        elif kind == b"R":
            places.append(begin)
        elif kind == b"M":
            message = (int(offset), int(size))
        at += n
    return [*message, *places]


ALL = (Vbox, VboxLog, Minimal, MinimalNewLocks, MinimalLog, Dovecot, MailLocal, Virtual)
