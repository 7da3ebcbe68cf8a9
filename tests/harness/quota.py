"""Quota as others see it: Dovecot's plug-ins, maildrop's deliverquota, and the
files themselves, counted on our own."""
import json
import os
import re
import subprocess

from . import GID, TOP, UID, as_vmail
from .dovecot import Dovecot

CONTRIB = TOP / "contrib/dovecot/2.3"
RULE = """
plugin {{
  quota = {kind}:User quota
  quota_rule = *:bytes={limit}{more}
}}
"""


class QuotaDovecot(Dovecot):
    """Dovecot that enforces the same limit by the files of contrib."""

    def __init__(self, site, domain, user, limit, messages=0, folders=False):
        super().__init__(site, domain, user)
        maildir = site.box(domain, user).is_dir()
        text = self.conf.read_text()
        if not maildir:
            # its own files must not lie among the folders: dirsize counts all
            index = site.own_dir(site.dir / "index" / domain / user)
            text = re.sub(r"(mail_location = .*)",
                          rf"\1:INDEX={index}:CONTROL={index}", text)
        more = f":messages={messages}" if messages else ""
        kind = "maildir" if maildir else "dirsize"
        ours = (CONTRIB / "quota.conf").read_text()
        if folders:     # the examples hold
            ours = re.sub(r"#(quota_rule\d)", r"\1", ours)
        self.conf.write_text(text + ours +
                             RULE.format(kind=kind, limit=limit, more=more))

    def quota(self):
        """(kilobytes, limit in kilobytes, messages)"""
        out = self.doveadm("-f", "tab", "quota", "get").decode()
        rows = {line.split("\t")[1]: line.split("\t")
                for line in out.strip().split("\n")[1:]}
        number = lambda s: int(s) if s.isdigit() else None
        return (number(rows["STORAGE"][2]), number(rows["STORAGE"][3]),
                number(rows["MESSAGE"][2]) if "MESSAGE" in rows else None)


def deliverquota(box, limit, data):
    """maildrop's program delivers to a Maildir; its exit status."""
    return subprocess.run(["deliverquota", str(box), limit], input=data,
                          preexec_fn=as_vmail, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False,
                          cwd="/").returncode


def maildirsize(box):
    """(first line, bytes, messages) as the file adds up."""
    lines = (box / "maildirsize").read_text().split("\n")
    assert lines[-1] == "", "a last line without an end"
    rows = [line.split() for line in lines[1:-1]]
    return (lines[0], sum(int(r[0]) for r in rows), sum(int(r[1]) for r in rows))


def on_disk(box):
    """(bytes, messages) of a Maildir, file by file."""
    files = [p for d in [box, *box.glob(".*")] if d.is_dir()
             for sub in ("new", "cur") if (d / sub).is_dir()
             for p in (d / sub).iterdir()]
    return sum(p.stat().st_size for p in files), len(files)


def exactly(box):
    """The file says what the disk says."""
    _, size, count = maildirsize(box)
    assert (size, count) == on_disk(box)
    return size, count


def vboxadm(site, *args):
    r = subprocess.run([str(site.bin / "vboxadm"), "-c", str(site.conf), *args],
                       env=site.environment(), stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                       check=False, cwd="/")
    assert b"Sanitizer" not in r.stderr and b"runtime error" not in r.stderr
    return r


def recalc(site, whom):
    r = vboxadm(site, "quota", "recalc", whom, "--json")
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def unchanged(site, whom):
    """recalc finds nothing to put right."""
    got = recalc(site, whom)
    for item in got if isinstance(got, list) else [got]:
        assert not item["changed"], got


def own(path):
    os.chown(path, UID, GID)
