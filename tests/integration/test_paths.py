"""Paths as weapons: names that lead elsewhere (M9), and things that stand in
the mailbox's place (M10, FAULTS c). Nothing outside the mailbox is touched."""
import os
import socket
import stat
import subprocess

import pytest

from harness import GID, UID, until

LETTER = b"Subject: x\n\nhello\n"

NAMES = {
    "dot dot": "..", "dot": ".", "up": "../fred", "up and up": "../../spool/d1.test/fred",
    "slash": "a/b", "absolute": "/etc/passwd", "slash at the end": "fred/",
    "slash at the start": "/fred", "empty": "", "leading dot": ".fred",
    "leading dash": "-fred", "lock": "fred.lock", "LOCK": "FRED.LOCK",
    "line feed": "fr\ned", "carriage return": "fr\red", "tab": "fr\ted",
    "escape": "fr\x1b[2Jed", "delete": "fr\x7fed", "control": "fr\x01ed",
    "long": "f" * 256, "very long": "f" * 5000,
    "not UTF-8": b"fr\xff\xfeed", "overlong UTF-8": b"fr\xc0\xafed",
    "surrogate": b"fr\xed\xa0\x80ed",
}
DOMAINS = {
    "dot dot": "..", "dot": ".", "up": "../d1.test", "slash": "d1.test/fred",
    "absolute": "/d1.test", "empty": "", "leading dot": ".d1.test",
    "two dots": "d1..test", "leading dash": "-d1.test", "line feed": "d1\n.test",
    "NUL-like escape": "d1\x1b.test", "space": "d1 .test", "long": "d" * 256,
    "long label": "d" * 64 + ".test", "very long": ("d" * 60 + ".") * 80 + "test",
    "not UTF-8": b"d1\xff.test", "percent": "d1%2f.test",
}


def refused(site, *args):
    before, outside = site.everything(), sorted(os.listdir(site.dir))
    r = site.deliver("-f", "a@b.test", "--", *args, data=LETTER)
    assert site.everything() == before
    assert sorted(os.listdir(site.dir)) == outside
    assert r.stdout.count(b"\n") == 1
    assert not any(c < 32 and c != 10 or c == 127 for c in r.stdout), r.stdout
    return r


@pytest.mark.parametrize("autocreate", [True, False])
@pytest.mark.parametrize("domain", ["d1.test", "d2.test"])
@pytest.mark.parametrize("name", NAMES)
def test_user_names(site, name, domain, autocreate):
    site.configure(autocreate=autocreate)
    r = refused(site, domain, NAMES[name])
    assert r.returncode == 65 and r.stdout.startswith(b"5.1.3 ") or \
        r.returncode == 64 and name == "empty", r


@pytest.mark.parametrize("name", DOMAINS)
def test_domain_names(site, name):
    r = refused(site, DOMAINS[name], "fred")
    assert r.returncode == 65 and r.stdout.startswith(b"5.1.") or \
        r.returncode == 64 and name == "empty", r


LOOKALIKES = ["%2e%2e", "~fred", "fred%00", "fred\\", "fred;id", "$(id)", "`id`",
              "fred|id", "fred*", "fr?d", "[f]red", "fre\u0301d", "fr\u0451d",
              "fred\u202e", "..fred", "f..d", "tmp", "new", "cur"]


@pytest.mark.parametrize("user", LOOKALIKES)
def test_names_that_look_like_something(site, user):
    """No such mailbox, whatever it looks like, and nothing is made of it."""
    for domain in ("d1.test", "d2.test"):
        r = refused(site, domain, user)
        assert r.returncode in (65, 67), r


# --- what stands in the mailbox's place ---------------------------------------------

def link_to(target):
    def make(site, path):
        path.symlink_to(target(site))
    return make


def hard_link(site, path):
    os.link(victim(site), path)


def fifo(_site, path):
    os.mkfifo(path, 0o600)
    os.chown(path, UID, GID)


def device(_site, path):
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    os.chown(path, UID, GID)


def directory(site, path):
    site.own_dir(path)


def unix_socket(_site, path):
    s = socket.socket(socket.AF_UNIX)
    here = os.open(path.parent, os.O_PATH)
    try:
        s.bind(f"/proc/self/fd/{here}/{path.name}")
    finally:
        os.close(here)
        s.close()
    os.chown(path, UID, GID)


def foreign(_site, path):
    path.write_bytes(b"")
    path.chmod(0o666)
    os.chown(path, 65533, 65533)


def victim(site):
    """A file of the mail user's, elsewhere: he may write to it, and must not."""
    path = site.dir / "victim"
    if not path.exists():
        site.own_file(site.state / "victim", b"precious\n")
        os.link(site.state / "victim", path)
    return site.state / "victim"


def victim_box(site):
    return site.add("d1.test", "other")


IN_PLACE = {
    "symlink to a file of ours": link_to(victim),
    "symlink to another mailbox": link_to(victim_box),
    "symlink relative": link_to(lambda s: (victim_box(s), "other")[1]),
    "symlink dangling": link_to(lambda s: s.dir / "nothing-there"),
    "symlink to shadow": link_to(lambda s: "/etc/shadow"),
    "symlink to itself": link_to(lambda s: "fred"),
    "hard link": hard_link, "FIFO": fifo, "device": device,
    "directory": directory, "socket": unix_socket, "foreign owner": foreign,
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_of_the_mbox(site, name):
    box = site.box("d1.test", "fred")
    box.unlink()
    IN_PLACE[name](site, box)
    precious = victim(site).read_bytes()
    shadow = os.stat("/etc/shadow")
    before = box.lstat()
    everything = site.everything()
    # A configured user, so that the file back-end does not look at the box.
    users = site.dir / "users"
    users.write_text("fred@d1.test\n")
    for kind in ("fs", f"file:{users}"):
        site.configure(directory=[kind], lock_timeout="1s")
        r = site.deliver("-f", "a@b.test", "d1.test", "fred", data=LETTER)
        assert r.returncode == 75, r
        assert r.stdout.startswith(b"4.2.0 "), r
        assert str(site.dir).encode() not in r.stdout
        assert site.everything() == everything
        after = box.lstat()
        assert (after.st_ino, after.st_mode, after.st_size, after.st_uid,
                after.st_nlink) == (before.st_ino, before.st_mode,
                                    before.st_size, before.st_uid, before.st_nlink)
        assert victim(site).read_bytes() == precious
        assert os.stat("/etc/shadow").st_mtime == shadow.st_mtime
        assert not (site.dir / "nothing-there").exists()


@pytest.mark.parametrize("sub", ["new", "tmp"])
@pytest.mark.parametrize("name", ["symlink to a directory", "file", "FIFO",
                                  "dangling symlink", "foreign owner"])
def test_in_place_of_a_maildir_part(site, name, sub):
    """A Maildir whose tmp or new leads elsewhere gets nothing."""
    part = site.box("d2.test", "fred") / sub
    part.rmdir()
    elsewhere = site.own_dir(site.dir / "elsewhere")
    if name == "symlink to a directory":
        part.symlink_to(elsewhere)
    elif name == "dangling symlink":
        part.symlink_to(site.dir / "nothing-there")
    elif name == "file":
        site.own_file(part, b"precious")
    elif name == "FIFO":
        fifo(site, part)
    else:
        part.mkdir(mode=0o755)
        os.chown(part, 65533, 65533)
    before = site.everything()
    r = site.deliver("-f", "a@b.test", "d2.test", "fred", data=LETTER)
    assert r.returncode == 75, r
    assert r.stdout.startswith(b"4.2.0 ") or name == "foreign owner" and \
        r.stdout.startswith(b"4."), r
    assert os.listdir(elsewhere) == []
    assert site.everything() == before
    assert not (site.dir / "nothing-there").exists()


@pytest.mark.parametrize("domain,part", [
    ("d1.test", "spool/d1.test"), ("d2.test", "home/d2.test"),
    ("d2.test", "home/d2.test/fred"), ("d2.test", "home/d2.test/fred/Maildir")])
def test_a_directory_on_the_way_is_a_symlink(site, domain, part):
    """Below the mail root no step follows a link, even to where it was."""
    real = site.dir / "real"
    (site.dir / part).rename(real)
    (site.dir / part).symlink_to(real)
    users = site.dir / "users"
    users.write_text("fred@d1.test\nfred@d2.test\n")
    site.configure(directory=[f"file:{users}"])
    before = sorted((p, p.lstat().st_mtime_ns) for p in real.rglob("*"))
    r = site.deliver("-f", "a@b.test", domain, "fred", data=LETTER)
    assert r.returncode == 75, r
    assert sorted((p, p.lstat().st_mtime_ns) for p in real.rglob("*")) == before


@pytest.mark.parametrize("name", ["symlink to a file of ours", "symlink dangling",
                                  "hard link", "FIFO", "device", "directory"])
def test_in_place_of_the_dotlock(site, name):
    """A lock that cannot be taken is no lock: later, and nothing written."""
    site.configure(lock_timeout="1s")
    box = site.box("d1.test", "fred")
    IN_PLACE[name](site, box.with_name("fred.lock"))
    precious = victim(site).read_bytes()
    r = site.deliver("-f", "a@b.test", "d1.test", "fred", data=LETTER)
    assert victim(site).read_bytes() == precious
    assert not (site.dir / "nothing-there").exists()
    if r.returncode == 0:   # a stale one was cleared away
        assert len(site.messages("d1.test", "fred")) == 1
    else:
        assert r.returncode == 75, r
        assert box.read_bytes() == b""


def test_modes_of_what_is_created(site):
    """autocreate: closed to others, and owned by the mail user."""
    users = site.dir / "users"
    users.write_text("ann@d1.test\nann@d2.test\nann@d3.test\n")
    site.configure(directory=[f"file:{users}"])
    for domain in ("d1.test", "d2.test", "d3.test"):
        r = site.deliver("-f", "a@b.test", domain, "ann", data=LETTER,
                         preexec_fn=lambda: os.umask(0))
        assert r.returncode == 0, r
        assert len(site.messages(domain, "ann")) == 1
    for mode, uid, gid, _ in site.everything().values():
        assert (uid, gid) == (UID, GID)
        assert int(mode, 8) & 0o077 == 0


def test_autocreate_off(site):
    users = site.dir / "users"
    users.write_text("ann@d1.test\nann@d2.test\n")
    site.configure(directory=[f"file:{users}"], autocreate=False)
    before = site.everything()
    for domain in ("d1.test", "d2.test"):
        r = site.deliver("-f", "a@b.test", domain, "ann", data=LETTER)
        assert r.returncode == 75, r
    assert site.everything() == before


def test_exchanged_while_delivering(site):
    """The box and a symlink change places all the time (FAULTS c.3, the short
    form): what it points to is never written, and nothing is lost."""
    box = site.box("d1.test", "fred")
    link = box.with_name("decoy")
    link.symlink_to(victim(site))
    precious = victim(site).read_bytes()
    swapper = subprocess.Popen(
        ["/usr/bin/python3", "-c", SWAPPER, str(box), str(link)],
        stdin=subprocess.DEVNULL)
    answers = []
    try:
        until(box.is_symlink, of="the first exchange")
        for _ in range(60):
            r = site.deliver("-f", "a@b.test", "d1.test", "fred", data=LETTER)
            answers.append(r.returncode)
            assert r.returncode in (0, 75, 67), r
    finally:
        swapper.terminate()
        swapper.wait()
    assert victim(site).read_bytes() == precious
    real = link if box.is_symlink() else box
    assert real.read_bytes().count(b"Subject: x\n") == answers.count(0)


SWAPPER = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
a, b = (p.encode() for p in sys.argv[1:])
while True:
    libc.renameat2(-100, a, -100, b, 2)
"""
