"""A real Postfix from build/roots/postfix, with everything of it private."""
import os
import signal
import smtplib
import socket
import subprocess
from pathlib import Path

from . import GID, PATIENCE, ROOTS, UID, free_port, until
from .private import ACCOUNTS, PrivateEtc
from .site import SANITIZER_ENV

ROOT = ROOTS / "postfix"
OWNER, DROP = ACCOUNTS["mta"][0], ACCOUNTS["drop"][1]

MAIN = """
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
daemon_directory = {root}/usr/lib/postfix/sbin
command_directory = {root}/usr/sbin
shlib_directory = {root}/usr/lib/postfix
mail_owner = mta
setgid_group = drop
default_privs = vmail
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.test
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_dns_support_level = disabled
recipient_delimiter = +
maillog_file = {dir}/maillog
maillog_file_prefixes = {dir}
import_environment = MAIL_CONFIG LD_LIBRARY_PATH {env}
export_environment = LD_LIBRARY_PATH {env}
minimal_backoff_time = 1h
queue_run_delay = 1h
message_size_limit = 0
mailbox_size_limit = 0
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
lmtp      unix  - - n - - lmtp
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    def __init__(self, directory, main="", master=""):
        self.dir = Path(directory)
        self.private = PrivateEtc(self.dir)
        self.port = free_port()
        self.conf = self.dir / "postfix"
        self.conf.mkdir()
        self.queue = self.dir / "queue"
        self.queue.mkdir(mode=0o755)
        for name, mode, group in (
                ("active", 0o700, 0), ("bounce", 0o700, 0), ("corrupt", 0o700, 0),
                ("defer", 0o700, 0), ("deferred", 0o700, 0), ("flush", 0o700, 0),
                ("hold", 0o700, 0), ("incoming", 0o700, 0), ("saved", 0o700, 0),
                ("trace", 0o700, 0), ("private", 0o700, 0),
                ("maildrop", 0o730, DROP), ("public", 0o710, DROP)):
            path = self.queue / name
            path.mkdir()
            os.chown(path, OWNER, group)
            path.chmod(mode)
        (self.queue / "pid").mkdir(mode=0o755)
        (self.dir / "data").mkdir(mode=0o700)
        os.chown(self.dir / "data", OWNER, OWNER)
        env = " ".join(f"{k}={v}" for k, v in SANITIZER_ENV.items())
        (self.conf / "main.cf").write_text(
            MAIN.format(dir=self.dir, root=ROOT, env=env) + main)
        (self.conf / "master.cf").write_text(
            MASTER.format(port=self.port) + master)
        # Each of its programs waits until a file that it reads is old enough
        # to be whole.
        for path in self.conf.iterdir():
            os.utime(path, (0, 0))
        self.env = {"PATH": "/usr/bin:/bin", "MAIL_CONFIG": str(self.conf),
                    "LD_LIBRARY_PATH": f"{ROOT}/usr/lib/postfix"}
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [ROOT / "usr/lib/postfix/sbin/master", "-d", "-c", self.conf],
            env=self.env, preexec_fn=self.private.enter, cwd="/",
            stdin=subprocess.DEVNULL, stdout=open(self.dir / "out", "wb"),
            stderr=subprocess.STDOUT, start_new_session=True)
        until(self.answers, of="Postfix's port")
        return self

    def said(self):
        return "".join(p.read_text(errors="replace") for p in
                       (self.dir / "out", self.dir / "maillog") if p.exists())

    def answers(self):
        assert self.process.poll() is None, self.said()
        try:
            socket.create_connection(("127.0.0.1", self.port),
                                     PATIENCE).close()
            return True
        except OSError:
            return False

    def stop(self):
        """All of it at once: asked to end, the master waits for a second."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def send(self, sender, recipients, data):
        with smtplib.SMTP("127.0.0.1", self.port, "client.test",
                          timeout=PATIENCE) as smtp:
            return smtp.sendmail(sender, recipients, data)

    def queued(self):
        return sorted(p.name for sub in ("incoming", "active", "deferred",
                                         "maildrop", "hold")
                      for p in (self.queue / sub).rglob("*") if p.is_file())

    def deferred(self):
        return sorted(p.name for p in (self.queue / "deferred").rglob("*")
                      if p.is_file())

    def idle(self):
        # What moves on to a directory that was looked at already is seen by the
        # second look.
        until(lambda: not self.queued() and not self.queued(),
              of="an empty queue")

    def run_queue(self):
        r = subprocess.run([ROOT / "usr/sbin/postqueue", "-c", self.conf, "-f"],
                           env=self.env, preexec_fn=self.private.enter, cwd="/",
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, check=False)
        assert r.returncode == 0, r.stdout.decode()
