"""Several programs at one mailbox at the same time; locks that nobody gives
back; mailboxes replaced under our hands."""

import fcntl
import mailbox
import os
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import agents
import mounts
import sweep
from harness import until
from harness.proc import cmdline, everybody, open_files

pytestmark = pytest.mark.release


class FcntlDotlock(agents.Vbox):
    lock_timeout = "60s"


class DotlockFcntl(FcntlDotlock):
    locks = ("dotlock", "fcntl")


class Short(agents.Vbox):
    lock_timeout = "1s"


class Impatient(agents.Vbox):
    lock_timeout = "0s"


# All write as one user here, as they would with vmail.
class Procmail(agents.Procmail):
    uid = agents.NOBODY
    sleep = 1


class Dovecot(agents.DovecotLda):
    """doveadm on the same mbox, in either lock order."""
    order = "fcntl dotlock"

    def configure(self):
        super().configure()
        with open(self.conf, "a", encoding="ascii") as f:
            f.write("mbox_lock_timeout = 60 secs\n"
                    "mbox_dotlock_change_timeout = 60 secs\n"
                    f"mail_location = mbox:{self.control}:"
                    f"INBOX={self.box()}:INDEX=MEMORY\n")
        with open(self.conf, encoding="ascii") as f:
            text = f.read()
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(text.replace("mbox_write_locks = fcntl dotlock",
                                 f"mbox_write_locks = {self.order}"))

    def expunge(self, *query):
        return subprocess.run(
            ["doveadm", "-c", self.conf, "expunge", "mailbox", "INBOX", *query],
            env=self.env, cwd="/", stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False, timeout=120, **sweep.credentials(self))


class DovecotDotlockFirst(Dovecot):
    order = "dotlock fcntl"


def read_locked(path, seen):
    """One look at the mbox under both locks: is all that is there whole?"""
    box = mailbox.mbox(path, create=False)
    try:
        box.lock()
    except (mailbox.ExternalClashError, FileExistsError):
        box.close()
        return None
    try:
        now = agents.read_mbox(path)
    finally:
        box.unlock()
        box.close()
    seen.update(now.tokens)
    return now


@pytest.mark.parametrize("ours,theirs,per", [
    (FcntlDotlock, DovecotDotlockFirst, (460, 20, 80, 60)),
    (DotlockFcntl, DovecotDotlockFirst, (120, 10, 20, 20)),
    (FcntlDotlock, Dovecot, (120, 0, 20, 20)),
    (DotlockFcntl, Dovecot, (120, 0, 20, 20))],
    ids=["2000", "dotlock-first", "dovecot-fcntl-first", "opposite"])
def test_one_mbox_many_writers(ours, theirs, per, shm, results, own_mounts):
    """Four procmails, four of us, dovecot-lda, doveadm expunging, a reader.

    procmail waits for fcntl while it holds its dotlock, so beside a Dovecot
    that does the opposite those two block each other for a minute, whoever
    else is there: then it stays at home. noatime, for procmail waits a second
    when it sees that somebody has just read."""
    with mounts.tmpfs(os.path.join(shm, "m"), "noatime,mode=755") as base:
        many_writers(ours, theirs, per, base, results)


def many_writers(ours, theirs, per, base, results):
    per = dict(zip(("vbox", "procmail", "lda", "expunged"), per))
    us = ours(os.path.join(base, "site"))
    pm = Procmail(us.root)
    dc = theirs(us.root)
    doomed = [f"doomed{i}" for i in range(per["expunged"])]
    us.reset(doomed, size=2000)
    stop, wrong, seen, looks = threading.Event(), [], set(), [0]

    def write(agent, who, count):
        for i in range(count):
            for _ in range(8):
                code = sweep.deliver(agent, f"{who}-{i}", 2000, timeout=90)
                if code != 75:
                    break
            if code != 0:
                wrong.append(f"{who}-{i}: {code}")

    def expunge():
        for token in doomed:
            r = dc.expunge("header", "X-Token", f"{token} ")
            if r.returncode:
                wrong.append(f"expunge {token}: {r.stdout}")

    def look():
        while not stop.is_set() or looks[0] <= 3:
            now = read_locked(us.box(), seen)
            if now:
                looks[0] += 1
                if now.broken or len(now.tokens) != len(set(now.tokens)):
                    wrong.append(f"the reader saw {now.broken[:3]}")
            stop.wait(0.1)

    writers = [threading.Thread(target=write, args=(us, f"vbox{n}", per["vbox"]))
               for n in range(4)]
    writers += [threading.Thread(target=write,
                                 args=(pm, f"procmail{n}", per["procmail"]))
                for n in range(4)]
    writers.append(threading.Thread(target=write, args=(dc, "lda", per["lda"])))
    writers.append(threading.Thread(target=expunge))
    reader = threading.Thread(target=look)
    reader.start()
    for t in writers:
        t.start()
    for t in writers:
        t.join()
    stop.set()
    reader.join()
    assert not wrong, wrong[:10]
    box = us.read()
    want = {f"vbox{n}-{i}" for n in range(4) for i in range(per["vbox"])}
    want |= {f"procmail{n}-{i}" for n in range(4) for i in range(per["procmail"])}
    want |= {f"lda-{i}" for i in range(per["lda"])}
    assert not box.broken
    assert len(box.tokens) == len(set(box.tokens))
    assert set(box.tokens) - set(doomed) == want
    assert not set(doomed) & set(box.tokens)
    assert looks[0] > 3
    programs = 6 + (4 if per["procmail"] else 0)
    results.append(f"race {ours.__name__}/{theirs.__name__}: {len(want)} "
                   f"messages of {programs} programs whole, {len(doomed)} expunged "
                   f"meanwhile, {looks[0]} looks")


def test_maildir_names_never_collide(shm, results):
    """M7: processes that deliver to one Maildir as fast as they can."""
    count, processes = int(os.environ.get("VBOX_MAILDIR_RACE", "200")), 8
    a = agents.VboxMaildir(os.path.join(shm, "site"))
    a.reset([])

    def write(n):
        return [sweep.deliver(a, f"p{n}-{i}", 300) for i in range(count)]
    with ThreadPoolExecutor(processes) as pool:
        codes = list(pool.map(write, range(processes)))
    assert all(c == 0 for one in codes for c in one)
    box = a.read()
    assert not box.broken
    assert sorted(box.tokens) == sorted(
        f"p{n}-{i}" for n in range(processes) for i in range(count))
    results.append(f"Maildir: {processes} x {count} deliveries, no collision")


# --- stale and living dotlocks -----------------------------------------------

# After a lock_timeout of 1 s, not after the usual one of 30 s.
SOON = 20


def dead_pid():
    p = subprocess.Popen(["/bin/true"])
    p.wait()
    return p.pid


def lock_of(a):
    return a.box() + ".lock"


def put_lock(a, text, age=0):
    with open(lock_of(a), "w", encoding="ascii") as f:
        f.write(text)
    os.chown(lock_of(a), agents.NOBODY, agents.NOBODY)
    t = time.time() - age
    os.utime(lock_of(a), (t, t))


@pytest.fixture
def a(shm):
    agent = Short(os.path.join(shm, "site"))
    agent.reset(sweep.OLD)
    return agent


@pytest.mark.parametrize("text", ["{pid}\n", "{pid}", "{pid}\n{host}\n"])
def test_dotlock_of_the_dead_is_broken_at_once(shm, text):
    a = Impatient(os.path.join(shm, "site"))
    a.reset(sweep.OLD)
    put_lock(a, text.format(pid=dead_pid(), host=socket.gethostname()))
    assert sweep.deliver(a, "new", 2000) == 0
    assert a.read().tokens == sweep.OLD + ["new"]
    assert not os.path.exists(lock_of(a))


def test_dotlock_of_the_living_is_respected(a):
    put_lock(a, f"{os.getpid()}\n")
    began = time.monotonic()
    assert sweep.deliver(a, "new", 2000) == 75
    assert 0.8 < time.monotonic() - began < SOON
    assert a.read().tokens == sweep.OLD
    assert os.path.exists(lock_of(a))


@pytest.mark.parametrize("text,age,code", [
    ("", 0, 75),                        # somebody is just making it
    ("", 3600, 0),
    ("0", 0, 75), ("0", 3600, 0),       # procmail's
    ("x" * 4000, 0, 75), ("x" * 4000, 3600, 0),
    ("99999999999999999999\n", 0, 75),
    ("1\n", 0, 75),
], ids=["empty", "old-empty", "zero", "old-zero", "long", "old-long", "huge",
        "init"])
def test_dotlock_of_nobody_knows_whom(a, text, age, code):
    put_lock(a, text, age)
    assert sweep.deliver(a, "new", 2000) == code
    assert a.read().tokens == sweep.OLD + (["new"] if code == 0 else [])


@pytest.mark.parametrize("kind", ["directory", "symlink", "dangling", "fifo"])
def test_dotlock_that_is_no_file(a, shm, kind):
    lock, victim = lock_of(a), os.path.join(shm, "victim")
    with open(victim, "w", encoding="ascii") as f:
        f.write("1\n")
    if kind == "directory":
        os.mkdir(lock)
    elif kind == "fifo":
        os.mkfifo(lock)
    else:
        os.symlink(victim if kind == "symlink" else "/nowhere", lock)
    began = time.monotonic()
    code = sweep.deliver(a, "new", 2000)
    assert time.monotonic() - began < SOON
    assert code in (0, 75)
    assert a.read().tokens == sweep.OLD + (["new"] if code == 0 else [])
    with open(victim, encoding="ascii") as f:
        assert f.read() == "1\n"


@pytest.mark.parametrize("how", ["fcntl", "dotlock"])
def test_lock_held_for_long(a, how):
    """Try again, in time, and nothing of it is left."""
    if how == "dotlock":
        put_lock(a, f"{os.getpid()}\n")
    with open(a.box(), "rb+") as f:
        if how == "fcntl":
            fcntl.lockf(f, fcntl.LOCK_EX)
        began = time.monotonic()
        assert sweep.deliver(a, "new", 2000) == 75
        assert 0.8 < time.monotonic() - began < SOON
        if how == "fcntl":
            assert not os.path.exists(lock_of(a))
            f.seek(0)
            fcntl.lockf(f, fcntl.LOCK_UN)
    if how == "dotlock":
        os.unlink(lock_of(a))
    assert sweep.deliver(a, "new", 2000) == 0
    assert a.read().tokens == sweep.OLD + ["new"]


def holds(agent, path):
    """A delivery to this site has it open."""
    return any(path in open_files(p) for p in everybody()
               if agent.conf.encode() in cmdline(p))


@pytest.mark.parametrize("how", ["replaced", "unlinked"])
def test_mailbox_replaced_while_we_wait(shm, how):
    """The lock that we got may be that of a file nobody sees any more."""
    a = FcntlDotlock(os.path.join(shm, "site"))
    a.reset(sweep.OLD)
    with open(a.box(), "rb+") as f:
        fcntl.lockf(f, fcntl.LOCK_EX)
        with ThreadPoolExecutor(1) as pool:
            code = pool.submit(sweep.deliver, a, "new", 2000)
            until(lambda: holds(a, a.box()), of="a delivery at the box")
            if how == "replaced":
                other = a.box() + ".new"
                with open(other, "wb") as g:
                    g.write(agents.mbox_bytes("other"))
                os.chown(other, agents.NOBODY, agents.NOBODY)
                os.chmod(other, 0o600)
                os.rename(other, a.box())
            else:
                os.unlink(a.box())
            fcntl.lockf(f, fcntl.LOCK_UN)
            code = code.result()
    if how == "replaced":
        assert code == 0
        assert a.read().tokens == ["other", "new"]
    else:
        assert (code, a.read().tokens) in ((75, []), (0, ["new"]))


def test_breakers_of_one_stale_lock(shm):
    """Breaking by check and unlink lets two holders in."""
    a = FcntlDotlock(os.path.join(shm, "site"))
    a.locks = ("dotlock",)
    a.configure()
    a.reset([])
    want = []
    with ThreadPoolExecutor(6) as pool:
        for r in range(40):
            put_lock(a, f"{dead_pid()}\n")
            names = [f"r{r}-{i}" for i in range(6)]
            want += names
            assert list(pool.map(lambda t: sweep.deliver(a, t, 2000),
                                 names)) == [0] * 6
    box = a.read()
    assert not box.broken
    assert sorted(box.tokens) == sorted(want)


def test_killed_holders_block_nobody(shm):
    """SIGKILL at any moment; the others go on, nothing is lost or torn."""
    a = FcntlDotlock(os.path.join(shm, "site"))
    a.reset(sweep.OLD)
    said, stop = [], threading.Event()

    def killer():
        while not stop.is_set():
            p = subprocess.Popen(a.argv(), stdin=subprocess.PIPE, env=a.env,
                                 stdout=subprocess.DEVNULL)
            try:
                p.stdin.write(agents.message("killed", 60000))
                p.stdin.close()
            except BrokenPipeError:
                pass
            time.sleep(0.0005 * (len(said) % 5))
            p.send_signal(signal.SIGKILL)
            p.wait()

    t = threading.Thread(target=killer)
    t.start()
    for i in range(150):
        if sweep.deliver(a, f"m{i}", 2000) == 0:
            said.append(f"m{i}")
    stop.set()
    t.join()
    assert len(said) == 150
    assert sweep.deliver(a, "last", 2000) == 0
    box = a.read()
    assert not box.broken
    assert [t for t in box.tokens if t != "killed"] == sweep.OLD + said + ["last"]
