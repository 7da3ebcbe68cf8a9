#!/usr/bin/python3
"""make bench-lmtp: deliveries by LMTP, ours and the peers'.

	bench_lmtp.py [--rounds N] [--slice S] [--dir DIR] [--quick] [--out FILE]

One load client (lmtpload.c) speaks to vbox-lmtpd, to a minimal server that
only receives, locks, appends or links, and syncs (minserver.c: what this disk
gives), to Dovecot's LMTP and to sendmail's mail.local -l, all running at the
same time on the same file system; slices take turns, so that what else the
machine does hits all of them. Shown are medians of the rounds; ratios are
medians of the ratios within a round. Each connection and recipient has a
mailbox of its own. Logs of all go to tmpfs. Needs root.
"""
import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import mounts  # noqa: E402

TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(TOP, os.environ.get("VBOX_BUILD", "build/gcc"))
MAIL_LOCAL = os.path.join(TOP, "build/roots/sendmail/usr/libexec/sendmail/mail.local")
UID = 61234
BOXES = 128
CPUACCT = "/sys/fs/cgroup/cpuacct"


class Server:
    """A process, its CPU time, and how the client reaches it."""
    formats = ("mbox", "maildir")
    durable = {"mbox": "file", "maildir": "file, directory"}

    def __init__(self, base):
        self.dir = os.path.join(base, self.name)
        os.makedirs(self.dir)
        os.chmod(self.dir, 0o755)
        self.group = os.path.join(CPUACCT, f"vbox-bench-{os.getpid()}-{self.name}")
        self.process = None

    def spawn(self, *argv, **kw):
        os.makedirs(self.group, exist_ok=True)

        def enter():
            with open(os.path.join(self.group, "tasks"), "w", encoding="ascii") as f:
                f.write(str(os.getpid()))
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, preexec_fn=enter, cwd="/", **kw)

    def cpu(self):
        try:
            with open(os.path.join(self.group, "cpuacct.usage"), encoding="ascii") as f:
                return int(f.read()) / 1e9
        except OSError:
            return 0.0

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


def wait_for(path):
    end = time.monotonic() + 20
    while True:
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(path)
            s.close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


class Vbox(Server):
    name = "vbox-lmtpd"
    prefixes = ("u",)

    def start(self):
        spool, home, state = self.own("spool"), self.own("home"), self.own("state")
        users = os.path.join(self.dir, "users")
        with open(users, "w", encoding="ascii") as f:
            for i in range(BOXES):
                for u in self.prefixes:
                    f.write(f"{u}{i}@mbox.test\n{u}{i}@maildir.test\n")
        self.sock = os.path.join(self.dir, "lmtp.sock")
        conf = os.path.join(self.dir, "vbox.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(f'''user = "{UID}"
group = "{UID}"
directory = {{"file:{users}"}}
module_dir = "{BUILD}/modules"
mbox_path = "{spool}/%d/%n"
home = "{home}/%d/%n"
state_dir = "{state}"
lmtp_listen = {{"unix:{self.sock}"}}
map_listen = {{}}
policy_listen = {{}}
log_target = "file:/dev/shm/vbox-bench/vbox.log"
domain "maildir.test" {{ format = "maildir" }}
''')
        self.spawn(os.path.join(BUILD, "vbox-lmtpd"), "-F", "-c", conf)
        wait_for(self.sock)

    def target(self, form):
        return ["unix:" + self.sock, f"u%d@{form}.test"]


class Minimal(Server):
    """Two processes, one for each format."""
    name = "minimal"

    def start(self):
        self.more = []
        for form in ("mbox", "maildir"):
            top = self.own(form)
            if form == "maildir":
                for i in range(BOXES):
                    for sub in ("tmp", "new", "cur"):
                        os.makedirs(os.path.join(top, f"u{i}", sub))
            self.spawn(os.path.join(self.dir, "..", "minserver"),
                       os.path.join(self.dir, form + ".sock"), top, form)
            self.more.append(self.process)
            wait_for(os.path.join(self.dir, form + ".sock"))

    def target(self, form):
        return ["unix:" + os.path.join(self.dir, form + ".sock"), "u%d@x.test"]

    def stop(self):
        for p in self.more:
            p.kill()
            p.wait()


class Dovecot(Server):
    name = "Dovecot"
    more = ""	# of its configuration

    def start(self):
        for form in ("mbox", "maildir"):
            self.own(form)
            self.own("home")
        self.sock = os.path.join(self.dir, "run", "lmtp-bench")
        conf = os.path.join(self.dir, "dovecot.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(f'''base_dir = {self.dir}/run
log_path = /dev/shm/vbox-bench/dovecot.log
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
}}
service stats {{
  chroot =
}}
{self.more}''')
        self.spawn("/usr/sbin/dovecot", "-F", "-c", conf)
        wait_for(self.sock)

    def target(self, form):
        return ["unix:" + self.sock, f"u%d@{form}"]


class MailLocal(Server):
    """It knows the users of /etc/passwd and /var/mail only: both are ours in
    our mount namespace. One process for each connection, on a socket pair."""
    name = "mail.local"
    formats = ("mbox",)

    def start(self):
        spool = os.path.join(self.dir, "mail")
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

    def target(self, form):
        return ["exec:" + MAIL_LOCAL, "u%d", "mail.local", "-l"]


def parse(out):
    return {k: float(v) for k, v in (w.split("=") for w in out.split())}


def load(base, server, form, k, r, size, seconds):
    enter = None
    if server.process is None:	# it is a child of the client: count both

        def enter():
            os.makedirs(server.group, exist_ok=True)
            with open(os.path.join(server.group, "tasks"), "w", encoding="ascii") as f:
                f.write(str(os.getpid()))
    before = server.cpu()
    out = subprocess.run(
        [os.path.join(base, "lmtpload"), "-k", str(k), "-r", str(r), "-s", str(size),
         "-t", str(seconds)] + server.target(form),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, text=True,
        preexec_fn=enter)
    if out.returncode != 0:
        raise RuntimeError(f"{server.name} {form} {k}x{r}: {out.stderr}")
    got = parse(out.stdout)
    if got["refused"]:
        raise RuntimeError(f"{server.name} {form} {k}x{r}: {got['refused']} refused")
    got["cpu"] = 1000 * (server.cpu() - before) / max(got["ok"], 1)
    return got


def cases(quick):
    steps = (1, 4, 16, 64)
    # Maildir first: dotlocks leave deleted inodes behind, and ext4 without a
    # journal looks at each of them before it makes a new one.
    for form in ("maildir", "mbox"):
        for k in steps:
            yield form, k, 1, 10000
        yield form, 1, 10, 10000
        if not quick:
            yield form, 4, 10, 10000
            yield form, 4, 1, 2000
            yield form, 4, 1, 1000000
            yield form, 1, 1, 10000000


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--slice", type=float, default=1.0)
    p.add_argument("--dir", default="/var/tmp")
    p.add_argument("--quick", action="store_true")
    p.add_argument("--out")
    a = p.parse_args()
    if not mounts.able():
        sys.exit("needs root and a mount namespace")
    base = tempfile.mkdtemp(prefix="vbox-bench-", dir=a.dir)
    os.chmod(base, 0o755)
    os.makedirs("/dev/shm/vbox-bench", exist_ok=True)
    os.chown("/dev/shm/vbox-bench", UID, UID)
    for name in ("lmtpload", "minserver"):
        subprocess.run(["gcc", "-O2", "-pthread", "-o", os.path.join(base, name),
                        os.path.join(HERE, name + ".c")], check=True)
    servers = [Vbox(base), Minimal(base)]
    if os.path.exists("/usr/sbin/dovecot"):
        servers.append(Dovecot(base))
    if os.path.exists(MAIL_LOCAL):
        servers.append(MailLocal(base))
    results = {}
    try:
        for s in servers:
            s.start()
        todo = list(cases(a.quick))
        for form in ("maildir", "mbox"):
            now = [s for s in servers if form in s.formats]
            for s in now:	# every mailbox exists
                load(base, s, form, 64, 1, 2000, 0.5)
            for _ in range(a.rounds):
                for case in todo:
                    for s in now if case[0] == form else ():
                        results.setdefault((case, s.name), []).append(
                            load(base, s, *case, a.slice))
    finally:
        for s in servers:
            s.stop()
            if os.path.isdir(s.group):
                try:
                    os.rmdir(s.group)
                except OSError:
                    pass	# somebody is still in it
        subprocess.run(["umount", "-l", "/var/mail"], check=False,
                       stderr=subprocess.DEVNULL)
        shutil.rmtree(base, ignore_errors=True)
        shutil.rmtree("/dev/shm/vbox-bench", ignore_errors=True)
    lines = ["| format | conn. | rcpt | bytes | server | deliveries/s | of minimal | "
             "CPU ms | p50 ms | p99 ms |", "|---|---|---|---|---|---|---|---|---|---|"]
    for case in todo:
        ref = [g["rate"] for g in results[(case, "minimal")]]
        for s in servers:
            got = results.get((case, s.name))
            if not got:
                continue
            ratio = statistics.median(g["rate"] / m for g, m in zip(got, ref))
            med = {k: statistics.median(g[k] for g in got)
                   for k in ("rate", "cpu", "p50", "p99")}
            lines.append(
                f"| {case[0]} | {case[1]} | {case[2]} | {case[3]} | {s.name} | "
                f"{med['rate']:.0f} | {100 * ratio:.0f} % | {med['cpu']:.2f} | "
                f"{med['p50'] / 1000:.2f} | {med['p99'] / 1000:.2f} |")
    text = "\n".join(lines) + "\n"
    print(text)
    print("load average", os.getloadavg())
    if a.out:
        with open(a.out, "w", encoding="ascii") as f:
            f.write(text)


if __name__ == "__main__":
    main()
