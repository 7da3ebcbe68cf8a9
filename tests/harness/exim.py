"""A real Exim from build/roots/exim, with everything of it private.

Its daemon gives root away and comes back by executing itself, so the copy that
runs has the setuid bit; the one below build/roots has not."""
import os
import shutil
import smtplib
import socket
import subprocess
from pathlib import Path

from . import PATIENCE, ROOTS, free_port, until
from .private import ACCOUNTS, PrivateEtc
from .site import SANITIZER_ENV

ROOT = ROOTS / "exim"

CONFIG = """
primary_hostname = mx.test
exim_user = Debian-exim
exim_group = Debian-exim
exim_path = {dir}/exim
spool_directory = {dir}/queue
log_file_path = {dir}/log/%slog
pid_file_path = {dir}/exim.pid
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
never_users = root
trusted_users = root
host_lookup =
rfc1413_query_timeout = 0s
dns_ipv4_lookup = *
disable_ipv6
chunking_advertise_hosts =
smtp_accept_max = 0
check_spool_space = 0
check_log_space = 0
acl_smtp_rcpt = acl_rcpt
keep_environment =
{env}
domainlist local_domains =
begin acl
acl_rcpt:
{acl}
  accept
begin routers
{routers}
begin transports
{transports}
begin retry
* * F,1d,1h
"""


class Exim:
    def __init__(self, directory, routers, transports, acl=""):
        self.dir = Path(directory)
        self.private = PrivateEtc(self.dir)
        self.port = free_port()
        self.exim = self.dir / "exim"
        shutil.copy(ROOT / "usr/sbin/exim4", self.exim)
        self.exim.chmod(0o4755)
        self.queue = self.dir / "queue"
        mta = ACCOUNTS["Debian-exim"]
        for path in (self.queue, self.dir / "log"):
            path.mkdir(mode=0o755)
            os.chown(path, *mta)
        # Where Debian's Exim looks, and the only place that it trusts.
        conf = self.private.etc / "exim4"
        conf.mkdir()
        env = "add_environment = <; " + " ; ".join(
            f"{k}={v}" for k, v in SANITIZER_ENV.items()) if SANITIZER_ENV else ""
        (conf / "exim4.conf").write_text(CONFIG.format(
            dir=self.dir, port=self.port, env=env, routers=routers, acl=acl,
            transports=transports))
        (conf / "exim4.conf").chmod(0o644)
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [self.exim, "-bdf", "-q1h"], preexec_fn=self.private.enter, cwd="/",
            env={"PATH": "/usr/bin:/bin"}, stdin=subprocess.DEVNULL,
            stdout=open(self.dir / "out", "wb"), stderr=subprocess.STDOUT)
        until(self.answers, of="Exim's port")
        return self

    def said(self):
        return "".join(p.read_text(errors="replace") for p in
                       [self.dir / "out", *sorted((self.dir / "log").glob("*"))]
                       if p.exists())

    def answers(self):
        assert self.process.poll() is None, self.said()
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
        with smtplib.SMTP("127.0.0.1", self.port, "client.test",
                          timeout=PATIENCE) as smtp:
            return smtp.sendmail(sender, recipients, data)

    def queued(self):
        return sorted(p.name for p in (self.queue / "input").rglob("*-H"))

    deferred = queued

    def idle(self):
        until(lambda: not self.queued(), of="an empty queue")

    def run_queue(self):
        r = self.private.run(self.exim, "-qff", timeout=2 * PATIENCE)
        assert r.returncode == 0, r.stdout.decode()
