"""vboxadm explain: the whole way of a letter, and not one byte written."""
import re
import subprocess

import pytest

from harness.accounts import Vboxadm

LETTER = b"From: a@b.test\nSubject: project x\n\nhello\n"
WRITING = ("openat,openat2,open,creat,mkdir,mkdirat,rename,renameat,renameat2,"
           "link,linkat,unlink,unlinkat,symlink,symlinkat,truncate,ftruncate,"
           "fallocate,chmod,fchmod,fchmodat,chown,fchown,fchownat,utimensat,"
           "mknod,mknodat,memfd_create,setxattr,fsetxattr,pwrite64,write,"
           "writev,pwritev")
SCRIPT = """require ["fileinto", "vacation"];
if header :contains "subject" "project" {
    fileinto "Work";
    vacation "gone";
}
"""


@pytest.fixture
def adm(site):
    site.configure(directory=[f"sqlite:{site.state}/vbox.db"])
    adm = Vboxadm(site)
    adm("domain", "add", "d1.test")
    adm("domain", "add", "d2.test", "--format", "maildir")
    adm("domain", "add", "alias.test", "--alias-of", "d1.test")
    for user in ("fred@d1.test", "fred@d2.test", "jane@d1.test"):
        adm("user", "add", user)
    adm("user", "disable", "jane@d1.test")
    for domain in ("d1.test", "d2.test"):
        site.own_file(site.home / domain / "fred" / ".dovecot.sieve",
                      SCRIPT.encode())
    return adm


def test_the_whole_way(site, adm):
    said = adm("explain", "Fred+x@alias.test", "-f", "a@b.test", data=LETTER)
    assert "domain_alias alias.test" in said
    assert re.search(r"^  gate: 250 ", said, re.M)
    assert re.search(r"^  reply: 250 ", said, re.M)
    assert re.search(r"^  .*:2:.*header", said, re.M), said
    assert "fileinto" in said
    assert re.search(r"^  to mbox:.*Work", said, re.M)


def test_json(adm):
    told = adm.json("explain", "-f", "a@b.test", "fred@d2.test", data=LETTER)
    assert told["reply"] == 250 and told["gate"]["reply"] == 250
    assert told["sender"] == "a@b.test" and told["rehearsal"] is True
    assert len(told["boxes"]) == 1 and "Work" in told["boxes"][0]
    assert "header" in told["trace"]
    assert told["steps"]


@pytest.mark.parametrize("who,reply,status", [
    ("jane@d1.test", "550 5.2.1", 69),
    ("nobody@d1.test", "550 5.1.1", 67),
    ("fred@elsewhere.test", "550 5.1.2", 68),
])
def test_the_gate_refuses(adm, who, reply, status):
    said = adm("explain", who, data=LETTER, code=None)
    assert f"  gate: {reply}" in said
    assert f"  reply: {reply}" in said
    assert "  to " not in said
    told = adm.json("explain", who, data=LETTER, code=None)
    assert f"{told['gate']['reply']} {told['gate']['code']}" == reply


def test_it_says_what_vbox_deliver_says(site, adm):
    """One walk, two programs: without gate and reply the same words."""
    said = adm("explain", "fred@d1.test", "-f", "a@b.test", data=LETTER)
    other = site.deliver("-n", "-f", "a@b.test", "--", "d1.test", "fred",
                         data=LETTER).stdout.decode()
    assert [line for line in said.splitlines()
            if not re.match(r"  (gate|reply): ", line)] == other.splitlines()


@pytest.mark.parametrize("domain", ["d1.test", "d2.test"])
def test_nothing_is_written(site, adm, domain):
    """Also by a letter that would be spooled on disk."""
    site.configure(spool_dir=site.state, spool_memory="64k")
    before = site.everything()
    state = sorted((str(p), p.stat().st_mtime_ns)
                   for p in [site.state, *site.state.rglob("*")])
    log = site.dir / "strace"
    big = LETTER + b"x" * 70 + b"\n" + b"y\n" * 100000
    r = subprocess.run(
        ["strace", "-f", "-y", "-o", log, "-e", f"trace={WRITING}",
         site.bin / "vboxadm", "-c", site.conf, "explain",
         f"fred@{domain}", "-f", "a@b.test"], input=big,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=site.environment(), check=False)
    assert r.returncode == 0, r.stderr
    assert b"  to m" in r.stdout
    calls = [line.split(None, 1)[1] for line in
             log.read_text(errors="replace").splitlines() if "(" in line]
    assert any("vbox.db" in c for c in calls), "the directory was not seen"
    for call in calls:
        name = call.split("(")[0]
        # SQLite asks for its journals so, and reads when it may not: they
        # are root's (sqlite3 wal.html, "Read-Only Databases").
        if re.search(r"vbox[.]db-(wal|shm)\".*= -1 EACCES", call):
            continue
        if name.startswith("open"):
            assert not re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE|O_TRUNC",
                                 call) or "/dev/null" in call, call
        else:
            assert str(site.dir) not in call, call
    assert site.everything() == before
    assert state == sorted((str(p), p.stat().st_mtime_ns)
                           for p in [site.state, *site.state.rglob("*")])
