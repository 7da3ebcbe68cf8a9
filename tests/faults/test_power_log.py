"""Power cuts with the delivery log: what was acknowledged is in its mailbox
once, whole, after vbox-lmtpd has come up on the disk that was left."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

import agents
import mounts
from harness import GID, UID
from harness import until
from harness.dovecot import Dovecot
from harness.lmtp import Lmtpd
from powered import Machine, read_all
from test_real_faults import fill_up

pytestmark = pytest.mark.release

LONG = int(os.environ.get("VBOX_SOAK", "0")) >= 5000
FS = ["ext4", "xfs"]
MODES = {"log": {}, "classic": {"delivery_log": 0}}


@pytest.fixture
def machine(shm, programs, own_mounts):
    made = []

    def make(**kw):
        made.append(Machine(shm, programs, **kw))
        return made[-1]
    return make


def comes_up(m, cut):
    """The service mends; its answer to mail for everybody; all boxes."""
    with m.after(cut):
        m.start()
        wrong = []
        said = m.said()
        with m.service.connect() as c:
            c.hello()
            for u in m.users:
                for d in ("d1.test", "d2.test"):
                    rcpt, r = c.message([f"{u}@{d}"],
                                        agents.message("next", 100))
                    if r[0][:3] != "250":
                        wrong.append(f"next mail for {u}@{d}: {r}")
        assert m.service.stop() == 0
        m.service = None
        for box, (tokens, _) in m.contents().items():
            if tokens.count("next") != 1:
                wrong.append(f"{box}: next {tokens.count('next')} times")
        wrong += m.wrongs(cut)
        m.log.write_text("")
        m.start()
        if "mending" in m.said():
            wrong.append("mended twice: " + m.said())
        assert m.service.stop() == 0
        m.service = None
    return wrong, said


def mends(m, cut, count=None):
    wrong, said = comes_up(m, cut)
    assert not wrong, "\n".join(wrong[:20]) + "\n" + said
    if count is not None:
        assert "mending mailboxes" in said
        assert f" {count} written again, 0 set aside" in said, said


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fs", FS)
def test_stored_survives_a_power_cut(mode, fs, machine):
    """mbox and Maildir, old and new, one recipient and several."""
    with machine(fs=fs, users=("fred", "late", "ann"), **MODES[mode]) as m:
        m.start()
        for n in range(3):
            m.deliver(f"one{n}", "fred@d1.test", size=500 + 7000 * n)
            m.deliver(f"two{n}", "fred@d2.test", size=500 + 7000 * n)
        m.deliver("late", "late@d1.test")
        m.deliver("later", "late@d2.test")
        m.deliver("many", "fred@d1.test", "fred@d2.test", "ann@d1.test",
                  "ann@d2.test", "late@d1.test", "late@d2.test")
        cut = m.cut()
        m.down()
        mends(m, cut, 14 if mode == "log" else None)


def test_without_a_sync_of_the_log_it_is_lost(machine):
    """The test above can fail."""
    lib = next((p for p in ("/usr/lib/x86_64-linux-gnu/libeatmydata.so",
                            "/usr/lib/aarch64-linux-gnu/libeatmydata.so")
                if os.path.exists(p)), None)
    if lib is None:
        pytest.skip("no libeatmydata")
    with machine() as m:
        m.start()       # with a log that is there
        m.service.stop()
        m.start(env={"LD_PRELOAD": lib})
        m.deliver("one", "fred@d1.test")
        m.deliver("two", "fred@d2.test")
        cut = m.cut()
        m.down()
        wrong, _ = comes_up(m, cut)
        assert "fred@d1.test: one 0 times" in wrong
        assert "fred@d2.test: two 0 times" in wrong


def fill_folders(m):
    """Three messages for both, each in two copies; the cut."""
    for d in ("d1.test", "d2.test"):
        m.site.own_file(m.site.home / d / "fred" / ".dovecot.sieve",
                        b'require ["fileinto","mailbox","imap4flags"];\n'
                        b'fileinto :create :flags "\\\\Flagged" "lists";\n'
                        b'keep;\n')
    mounts.sync(m.base)
    m.start()
    for n in range(3):
        for d in ("d1.test", "d2.test"):
            m.deliver(f"both{n}", f"fred@{d}")
    m.acknowledged *= 2
    cut = m.cut()
    m.down()
    return cut


def test_keep_and_folder_are_one_record(machine):
    """Two copies of a message for one user: both are there again."""
    with machine() as m:
        cut = fill_folders(m)
        with m.after(cut):
            m.start()
            assert not m.wrongs(cut), m.wrongs(cut)
            assert "12 written again" in m.said()
            names = os.listdir(m.site.box("d2.test", "fred") / ".lists" / "cur")
            assert len(names) == 3 and all(n.endswith(":2,F") for n in names)


@pytest.mark.parametrize("synced", [False, True])
def test_a_reader_was_there(synced, machine):
    """Taken to cur with flags, and a field written into an mbox."""
    with machine() as m:
        m.start()
        for n in range(4):
            m.deliver(f"m{n}", "fred@d1.test")
            m.deliver(f"m{n}", "fred@d2.test")
        box = m.site.box("d2.test", "fred")
        for name in os.listdir(box / "new")[:2]:
            os.rename(box / "new" / name, box / "cur" / f"{name}:2,S")
        mbox = m.site.box("d1.test", "fred")
        with open(mbox, "r+b") as f:
            data = f.read().replace(b"X-Token: m1 ", b"Status: RO\nX-Token: m1 ")
            f.seek(0)
            f.write(data)
        if synced:
            mounts.sync(m.base)
        cut = m.cut()
        m.down()
        mends(m, cut, 0 if synced else 8)


@pytest.mark.parametrize("synced", [False, True])
def test_dovecot_was_there(synced, machine):
    """It has given UIDs and flags, which rewrites an mbox and moves files, and
    has expunged one; mail came before and behind. What was expunged may be
    back, once."""
    if not shutil.which("doveadm"):
        pytest.skip("no Dovecot")
    with machine() as m:
        m.start()
        gone = []
        for n in range(12):
            # one length or many
            m.deliver(f"m{n:02}", "fred@d1.test", "fred@d2.test",
                      size=3000 if n < 6 else 500 * n)
            if n % 4 != 3:
                continue
            for d in ("d1.test", "d2.test"):
                imap = Dovecot(m.site, d, "fred").imap()
                assert imap.select("INBOX")[0] == "OK"
                imap.store("1:2", "+FLAGS", "(\\Seen custom)")
                if n == 7:
                    _, data = imap.fetch("3", "(BODY.PEEK[])")
                    gone.append((agents.read_message(data[0][1].replace(
                        b"\r\n", b"\n"))[0], d, "fred"))
                    imap.store("3", "+FLAGS", "(\\Deleted)")
                    imap.expunge()
                imap.logout()
        assert [g[0] for g in gone] == ["m02", "m02"]
        if synced:
            mounts.sync(m.base)
        path, had = m.cut()
        m.down()
        mends(m, (path, [a for a in had if a not in gone]))


@pytest.mark.parametrize("flush", ["1h", "100ms"])
@pytest.mark.parametrize("seed", range(30 if LONG else 1))
def test_dovecot_at_random(seed, flush, machine):
    """Mail, flags, expunges and syncs in any order; the power goes between
    two of them. Dovecot's changes of an mbox are on the disk then: it moves
    mail in place, and what is lost of that is lost without the log, too."""
    if not shutil.which("doveadm"):
        pytest.skip("no Dovecot")
    rng = random.Random(f"{seed}{os.environ.get('VBOX_SEED')}")
    with machine(delivery_log_flush=flush) as m:
        m.start()
        gone, cuts = [], []
        for n in range(40):
            d = rng.choice(["d1.test", "d2.test"])
            what = rng.choice(["mail"] * 6 + ["seen", "expunge", "sync", "cut"])
            if what == "mail":
                m.deliver(f"m{n}", f"fred@{d}",
                          size=rng.choice([700, 700, 3000, 9000, 70000]))
            elif what == "sync":
                mounts.sync(m.base)
            elif what == "cut":
                path, had = m.cut()
                cuts.append((path, had, list(gone)))
            else:
                imap = Dovecot(m.site, d, "fred").imap()
                count = int(imap.select("INBOX")[1][0])
                which = str(rng.randrange(count) + 1) if count else "0"
                if count and what == "seen":
                    imap.store(which, "+FLAGS", "(\\Seen)")
                elif count > 1:     # an empty one gets a message of Dovecot's
                    _, data = imap.fetch(which, "(BODY.PEEK[])")
                    raw = data[0][1].replace(b"\r\n", b"\n")
                    gone.append((agents.read_message(raw)[0], d, "fred"))
                    imap.store(which, "+FLAGS", "(\\Deleted)")
                    imap.expunge()
                imap.logout()
                if d == "d1.test":
                    with open(m.site.box(d, "fred"), "rb") as f:
                        os.fsync(f.fileno())
        path, had = m.cut()
        cuts.append((path, had, list(gone)))
        m.down()
        for path, had, gone in cuts:
            mends(m, (path, [a for a in had if a not in gone]))


def test_the_power_goes_again(machine):
    """While mailboxes are mended, as often as that may be, and right after:
    what was said to be mended is on the disk."""
    rng = random.Random(os.environ.get("VBOX_SEED"))
    with machine(users=tuple("abcd"), fs="xfs") as m:
        m.start()
        with m.service.connect() as c:
            c.hello()
            for n in range(300):
                m.send(c, f"m{n}", [f"{'abcd'[n % 4]}@d1.test",
                                    f"{'abcd'[n // 4 % 4]}@d2.test"])
        cut = m.cut()
        m.down()
        again = []
        for _ in range(5):
            with m.after(cut, keep=True):
                m.service = Lmtpd(m.site)
                process = subprocess.Popen(
                    [m.site.bin / "vbox-lmtpd", "-F", "-c", m.site.conf],
                    stderr=subprocess.DEVNULL)
                m.service.process = process
                said = until(lambda: "delivery log:" in m.said() and m.said())
                if "mending" not in said:
                    break       # the last one fell between mended and begun
                time.sleep(rng.uniform(0, 0.08))    # a moment, not a wait
                again.append(m.cut(cut))
        assert again
        with m.after(cut):
            m.start()
            again.append(m.cut(cut))
            assert not m.wrongs(cut), m.wrongs(cut)
        for next_cut in again:
            with m.after(next_cut):
                m.start()
                assert not m.wrongs(cut), m.wrongs(cut)
                said = m.said()
        # The last one was through: the log was empty.
        assert "log: 0 messages were whole, 0 written again" in said


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_reader_has_deleted(gone, machine):
    """Old mail is deleted, and the others of the box have moved to where it
    was: the box ends where a message of the log once began, and still none is
    there twice."""
    with machine() as m:
        m.start()
        for n in range(3):
            m.deliver(f"m{n}", "fred@d1.test")
        assert m.service.stop() == 0    # these are no longer in the log
        m.start()
        for n in range(3, 6):
            m.deliver(f"m{n}", "fred@d1.test")
        mbox = m.site.box("d1.test", "fred")
        data = mbox.read_bytes()
        # All of one length, unless an id has a digit more.
        begins = [0] + [i.start() + 1 for i in re.finditer(b"\nFrom ", data)]
        assert len(begins) == 6
        with open(mbox, "r+b") as f:
            f.write(data[begins[gone]:])
            f.truncate()
        mounts.sync(m.base)
        path, had = m.cut()
        m.down()
        mends(m, (path, had[gone:]), 0)


def test_a_failed_delivery_does_not_come_back(machine):
    """The log has the message before the Maildir has; when that refuses it,
    the sender is told to come again, and the log forgets it."""
    with machine() as m:
        m.start()
        m.deliver("one", "fred@d2.test")
        new = str(m.site.box("d2.test", "fred") / "new")
        try:
            mounts.run("chattr", "+i", new)
        except subprocess.CalledProcessError:
            pytest.skip("no chattr here")
        with m.service.connect() as c:
            c.hello()
            r = m.send(c, "two", ["fred@d2.test"])
        assert r[1].startswith("4"), r
        mounts.run("chattr", "-i", new)
        m.deliver("two", "fred@d2.test")
        cut = m.cut()
        m.down()
        mends(m, cut, 2)


def test_no_room_to_mend(machine):
    """Then the log keeps what it has, and mail goes on; there is room at the
    next start."""
    with machine(min_free_space=0) as m:
        m.start()
        for n in range(3):
            m.deliver(f"m{n}", "fred@d1.test", "fred@d2.test", size=50000)
        cut = m.cut()
        m.down()
        with m.after(cut):
            stuff = m.base / "stuff"
            fill_up(stuff, 100000)
            m.start()
            assert "what is in it stays" in m.said()
            assert "no delivery log" in m.said()
            stuff.unlink()
            with m.service.connect() as c:
                c.hello()
                assert m.send(c, "next", ["fred@d1.test"])[1][:3] == "250"
            cut[1].append(("next", "d1.test", "fred"))
            assert m.service.stop() == 0
            m.log.write_text("")
            m.start()
            assert " 0 set aside" in m.said()
            assert not m.wrongs(cut), m.wrongs(cut)


def test_a_root_is_gone(machine):
    """Its mail is set aside; that of others is mended."""
    with machine() as m:
        m.start()
        m.deliver("one", "fred@d1.test")
        m.deliver("two", "fred@d2.test")
        cut = m.cut()
        m.down()
        with m.after(cut):
            m.site.spool.rename(m.site.dir / "elsewhere")
            m.start()
            assert "1 written again, 1 set aside" in m.said()
            aside = m.site.state / "log" / "aside"
            [name] = [p.stem for p in aside.glob("*.place")]
            assert f"{aside}/{name}: " in m.said()
            raw = (aside / name).read_bytes()
            assert agents.read_message(raw.partition(b"\n")[2]) == ("one", True)
            assert read_all(m.site, "d2.test", "fred") == (["two"], [])
            assert m.service.stop() == 0
            m.log.write_text("")
            m.start()
            assert "mending" not in m.said()
            # Nobody can put it there yet; then once, while mail comes.
            assert vboxadm(m.site, "log", "restore").returncode == 75
            (m.site.dir / "elsewhere").rename(m.site.spool)
            m.deliver("next", "fred@d1.test")
            listed = vboxadm(m.site, "log", "list")
            assert listed.stdout.startswith(f"{name} "), listed
            assert f"{m.site.spool}" in listed.stdout
            r = vboxadm(m.site, "log", "restore")
            assert r.returncode == 0 and "1 restored" in r.stderr, r
            assert sorted(read_all(m.site, "d1.test", "fred")[0]) == \
                ["next", "one"]
            assert vboxadm(m.site, "log", "list").stdout == ""
            assert os.listdir(aside) == []


def test_a_folder_is_restored_with_its_flags(machine):
    """And what reached its place beside it is not touched."""
    with machine() as m:
        cut = fill_folders(m)
        with m.after(cut):
            ways = [m.site.box("d2.test", "fred") / ".lists",
                    m.site.home / "d1.test" / "fred" / "mail" / "lists"]
            for way in ways:
                if way.exists():
                    way.rename(f"{way}.torn")
            ways[0].write_text("")
            ways[1].mkdir(parents=True)
            m.start()
            assert "6 written again, 6 set aside" in m.said()
            ways[0].unlink()
            ways[1].rmdir()
            os.chown(ways[1].parent, UID, GID)
            listed = json.loads(vboxadm(m.site, "log", "list",
                                        "--json").stdout)
            assert {x["mailbox"] for x in listed} == set(map(str, ways))
            assert all(x["bytes"] > 3000 and "subject" in x for x in listed)
            first, *others = [x["name"] for x in listed]
            for names in [[first], others]:
                r = vboxadm(m.site, "log", "restore", *names)
                assert r.returncode == 0, r
                assert f"{len(names)} restored, 0 already" in r.stderr, r
            assert vboxadm(m.site, "log", "restore", first).returncode != 0
            assert not m.wrongs(cut), m.wrongs(cut)
            names = os.listdir(ways[0] / "cur")
            assert len(names) == 3 and all(n.endswith(":2,F") for n in names)
            assert ways[1].read_bytes().count(b"\nX-Status: F") == 3


def vboxadm(site, *args):
    return subprocess.run([str(site.bin / "vboxadm"), "-c", str(site.conf),
                           *args], capture_output=True, text=True, check=False)


class Load:
    """Clients that deliver until they are told to end. What fails because a
    worker is killed is not sent again."""

    def __init__(self, m, clients, killed=False):
        self.m, self.stop, self.trouble = m, threading.Event(), []
        self.killed = killed
        self.threads = [threading.Thread(target=self.run, args=(n,))
                        for n in range(clients)]
        for t in self.threads:
            t.start()

    def run(self, n):
        rng, k = random.Random(n), 0
        while not self.stop.is_set():
            try:
                with self.m.service.connect() as c:
                    c.hello()
                    while not self.stop.is_set():
                        k += 1
                        self.one(c, rng, f"c{n}k{k}")
            except (OSError, AssertionError, ValueError) as e:
                if not self.killed:
                    self.trouble.append(repr(e))
                    break

    def one(self, c, rng, token):
        boxes = [f"{u}@{d}" for u in self.m.users
                 for d in ("d1.test", "d2.test")]
        r = self.m.send(c, token, rng.sample(boxes, rng.choice([1, 1, 1, 3])),
                        rng.choice([200, 3000, 9000, 70000]))
        if not all(x.startswith("250") for x in r) and not self.killed:
            self.trouble.append(r)

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()
        assert not self.trouble, self.trouble[:3]


@pytest.mark.parametrize("again", range(10 if LONG else 1))
@pytest.mark.parametrize("flush,mode", [
    ("1h", "log"), ("100ms", "log"), ("1h", "classic")])
def test_cut_while_workers_are_killed(flush, mode, again, machine):
    """What a killed worker left was in memory only."""
    rng = random.Random(os.environ.get("VBOX_SEED"))
    with machine(users=tuple("abcd"), delivery_log_flush=flush,
                 options="loop", **MODES[mode]) as m:
        m.start()
        load = Load(m, 8, killed=True)
        cuts = []
        for n in range(30):
            time.sleep(0.03)    # the pace of the chaos, not a wait
            pids = m.service.workers()
            if pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(pids), signal.SIGKILL)
            if n % 8 == 7:
                cuts.append(m.cut())
        load.end()
        m.down()
        judge_all(m, cuts)


def judge_all(m, cuts):
    bad = []
    for n, cut in enumerate(cuts):
        wrong, said = comes_up(m, cut)
        if wrong:
            bad.append(f"cut {n}, {len(cut[1])} acknowledged: " +
                       "; ".join(wrong[:10]) + "\n" + said)
    assert not bad, "\n".join(bad)
    assert cuts[-1][1]


@pytest.mark.parametrize("again", range(10 if LONG else 1))
@pytest.mark.parametrize("fs,flush,mode", [
    ("ext4", "1h", "log"), ("ext4", "100ms", "log"), ("xfs", "100ms", "log"),
    ("ext4", "1h", "classic")])
def test_cut_under_load(fs, flush, mode, again, machine):
    """At any moment, while records, flushes and mailboxes are under way."""
    rng = random.Random(os.environ.get("VBOX_SEED"))
    with machine(fs=fs, users=tuple("abcd"), delivery_log_flush=flush,
                 options={"ext4": "loop", "xfs": "loop,nouuid"}[fs],
                 **MODES[mode]) as m:
        m.start()
        load = Load(m, 8)
        cuts = []
        for _ in range(5):
            time.sleep(rng.uniform(0.02, 0.3))  # a moment, not a wait
            cuts.append(m.cut())
        load.end()
        m.down()
        judge_all(m, cuts)
