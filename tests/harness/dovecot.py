"""Dovecot as a reader: its own programs on a mailbox, without a server.

doveadm and imap run as the mail user with a private configuration; imap
speaks IMAP on a socket pair, already authenticated."""
import imaplib
import os
import socket
import subprocess

from . import PATIENCE, as_vmail

CONFIG = """
base_dir = {run}
log_path = /dev/stderr
ssl = no
mail_location = {location}
first_valid_uid = 100
stats_writer_socket_path =
mbox_write_locks = fcntl dotlock
mbox_read_locks = fcntl
mail_fsync = always
mailbox_list_index = no
"""


class Dovecot:
    def __init__(self, site, domain, user):
        self.home = site.home / domain / user
        site.own_dir(self.home)
        run = site.own_dir(site.dir / "dovecot" / domain / user)
        box = site.box(domain, user)
        if box.is_dir():
            location = f"maildir:{box}"
        else:
            location = f"mbox:{site.own_dir(self.home / 'mail')}:INBOX={box}"
        self.conf = run / "dovecot.conf"
        self.conf.write_text(CONFIG.format(run=run, location=location))
        self.conf.chmod(0o644)
        self.env = {"HOME": str(self.home), "USER": user, "PATH": "/usr/bin:/bin"}

    def doveadm(self, *args):
        r = subprocess.run(["doveadm", "-c", str(self.conf), *args],
                           env=self.env, preexec_fn=as_vmail, check=False,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, cwd="/")
        assert r.returncode == 0, r.stderr.decode(errors="replace")
        return r.stdout

    def status(self):
        """{messages, unseen, recent} of the INBOX."""
        out = self.doveadm("-f", "flow", "mailbox", "status",
                           "messages unseen recent", "INBOX").decode()
        return {k: int(v) for k, _, v in
                (w.partition("=") for w in out.split()) if v.isdigit()}

    def imap(self):
        """An imaplib client, authenticated."""
        return Preauth(self)


class Preauth(imaplib.IMAP4):
    """IMAP over the socket pair of one imap process."""

    def __init__(self, dovecot):
        self._dovecot = dovecot
        self._child = None
        super().__init__("")

    def open(self, host="", port=0, timeout=None):
        ours, theirs = socket.socketpair()
        self._child = subprocess.Popen(
            ["doveadm", "-c", str(self._dovecot.conf), "exec", "imap"],
            env=self._dovecot.env, preexec_fn=as_vmail, cwd="/",
            stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
        theirs.close()
        self.sock = ours
        self.file = ours.makefile("rb")

    def shutdown(self):
        self.file.close()
        self.sock.close()
        try:
            self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def raw_messages(imap):
    """Number -> (flags, bytes) of all messages of the INBOX, none of them
    marked as read by looking."""
    kind, count = imap.select("INBOX", readonly=True)
    assert kind == "OK", count
    found = {}
    for n in range(1, int(count[0]) + 1):
        _, data = imap.fetch(str(n), "(FLAGS BODY.PEEK[])")
        head = data[0][0] + b" " + (data[1] if isinstance(data[1], bytes) else b"")
        found[n] = (set(imaplib.ParseFlags(head)), data[0][1])
    return found
