"""Dovecot 2.4, which Debian 12 has not: the packages of Debian 13 with all they
need, below build/roots/dovecot-2.4, and Dovecot in there by chroot."""
import os
import subprocess
from pathlib import Path

from . import GID, ROOTS, TOP, UID, free_port, until
from .accounts import DovecotServer
from .private import CLONE_NEWNS, PrivateEtc, bind, unshare

ROOT = ROOTS / "dovecot-2.4"

# What differs from the site that the file is written for.
OVERRIDES = """
base_dir = {run}
state_dir = {run}
log_path = {run}/log
instance_name = vbox-test
ssl = no
auth_allow_cleartext = yes
listen = 127.0.0.1
mail_uid = {uid}
mail_gid = {gid}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service managesieve-login {{
  chroot =
  inet_listener sieve {{
    port = {sieve_port}
  }}
}}
"""


class Dovecot24(DovecotServer):
    """contrib/dovecot/2.4 with this site's paths."""

    counts_files = False

    def __init__(self, site):
        self.run = site.dir / "dovecot-run"
        self.run.mkdir(mode=0o755)
        self.port, self.sieve_port = free_port(), free_port()
        shipped = TOP / "contrib" / "dovecot" / "2.4" / "dovecot.conf"
        conf = site.dir / "dovecot.conf"
        conf.write_text(self.paths(site, shipped.read_text()) +
                        OVERRIDES.format(run=self.run, uid=UID, gid=GID,
                                         port=self.port,
                                         sieve_port=self.sieve_port))
        self.dir = site.dir
        private = site.dir / "dovecot-etc"
        private.mkdir()
        self.etc = PrivateEtc(private)
        self.inside = Path(f"{ROOT}{site.dir}")
        self.inside.mkdir(parents=True)
        self.child = subprocess.Popen(
            ["/usr/sbin/dovecot", "-F", "-c", str(conf)],
            preexec_fn=self.enter, stdin=subprocess.DEVNULL,
            stdout=open(self.run / "out", "wb"), stderr=subprocess.STDOUT,
            env={"PATH": "/usr/bin:/usr/sbin"})
        until(self.answers, of="Dovecot 2.4")

    def enter(self):
        """preexec_fn."""
        unshare(CLONE_NEWNS)
        for outside, inside in [
                (self.dir, self.inside), *self.etc.mounts,
                (self.etc.etc, ROOT / "etc"), ("/dev", ROOT / "dev"),
                ("/proc", ROOT / "proc")]:
            bind(outside, inside)
        os.chroot(ROOT)
        os.chdir("/")

    def log(self):
        return super().log() + (self.run / "out").read_text()

    def stop(self):
        super().stop()
        self.inside.rmdir()
