"""Names exchanged under our hands (FAULTS c.3), and hostile surroundings of the
process (d.4, d.5)."""

import ctypes
import os
import resource
import signal
import subprocess
import threading

import pytest

import agents
import sweep

pytestmark = pytest.mark.release

RENAME_EXCHANGE = 2
AT_FDCWD = -100
_libc = ctypes.CDLL(None, use_errno=True)


class UndoFile(agents.Vbox):
    undo = "file"


def exchange(a, b):
    return _libc.renameat2(AT_FDCWD, a.encode(), AT_FDCWD, b.encode(),
                           RENAME_EXCHANGE)


def tree(path):
    """Everything below, with its bytes."""
    seen = {}
    for top, dirs, files in os.walk(path):
        for name in dirs + files:
            full = os.path.join(top, name)
            if os.path.islink(full):
                seen[full] = os.readlink(full)
            elif os.path.isfile(full):
                with open(full, "rb") as f:
                    seen[full] = f.read()
            else:
                seen[full] = None
    return seen


@pytest.mark.parametrize("what", ["box", "domain", "maildir new"])
def test_exchanged_for_a_link_all_the_time(what, shm, results):
    """A link to somebody else's file or directory takes the place of the box,
    of its directory, of new, and gives it back, thousands of times."""
    a = (agents.VboxMaildir if what == "maildir new" else agents.Vbox)(
        os.path.join(shm, "site"))
    a.reset(sweep.OLD)
    outside = os.path.join(shm, "outside")
    for path in (outside, os.path.join(outside, "new")):
        os.mkdir(path)
    victim = os.path.join(outside, agents.USER)
    with open(victim, "wb") as f:
        f.write(agents.mbox_bytes("victim"))
    for path in (outside, os.path.join(outside, "new"), victim):
        os.chown(path, agents.NOBODY, agents.NOBODY)
        os.chmod(path, 0o600 if path == victim else 0o700)
    target = {"box": a.box(), "domain": a.directory(),
              "maildir new": os.path.join(a.box(), "new")}[what]
    trap = os.path.join(shm, "site", "trap")
    os.symlink({"box": victim, "domain": outside,
                "maildir new": os.path.join(outside, "new")}[what], trap)
    before, stop, turns = tree(outside), threading.Event(), [0]

    def attack():
        while not stop.is_set():
            assert exchange(target, trap) == 0
            turns[0] += 1
            if turns[0] % 7 == 0:
                stop.wait(0.002)
    t = threading.Thread(target=attack)
    t.start()
    said, codes = [], set()
    try:
        for i in range(400):
            code = sweep.deliver(a, f"m{i}", 2000)
            codes.add(code)
            if code == 0:
                said.append(f"m{i}")
    finally:
        stop.set()
        t.join()
    if os.path.islink(target):
        assert exchange(target, trap) == 0
    assert tree(outside) == before
    assert codes <= {0, 75}, codes
    box = a.read()
    assert not box.broken
    assert sorted(box.tokens) == sorted(sweep.OLD + said)
    assert said and turns[0] > 1000
    results.append(f"{what} exchanged {turns[0]} times: {len(said)} of 400 "
                   "delivered, the others put off, nothing outside touched")


def run(a, token, size=3000, **kwargs):
    r = subprocess.run(a.argv(), env=kwargs.pop("env", a.env), cwd="/",
                       input=agents.message(token, size), timeout=sweep.PATIENCE,
                       stdout=kwargs.pop("stdout", subprocess.DEVNULL),
                       stderr=subprocess.DEVNULL, check=False, **kwargs)
    return r.returncode


def limits(which, value):
    def set_it():
        resource.setrlimit(which, (value, value))
    return set_it


def blocked():
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))


def ignored(*numbers):
    def set_it():
        for n in numbers:
            signal.signal(n, signal.SIG_IGN)
    return set_it


SURROUNDINGS = {
    "umask 0": lambda: os.umask(0),
    "umask 0777": lambda: os.umask(0o777),
    "signals blocked": blocked,
    "SIGCHLD ignored": ignored(signal.SIGCHLD),
    "SIGPIPE and SIGALRM ignored": ignored(signal.SIGPIPE, signal.SIGALRM),
    "SIGTERM ignored": ignored(signal.SIGTERM, signal.SIGINT, signal.SIGHUP),
    "few descriptors": limits(resource.RLIMIT_NOFILE, 12),
    "hardly any descriptors": limits(resource.RLIMIT_NOFILE, 4),
    "no processes": limits(resource.RLIMIT_NPROC, 0),
    "small stack": limits(resource.RLIMIT_STACK, 256 * 1024),
    "little memory": limits(resource.RLIMIT_AS, 24 << 20),
    "no locked memory": limits(resource.RLIMIT_MEMLOCK, 0),
    "other directory": lambda: os.chdir("/proc/self/fd"),
}


@pytest.mark.parametrize("agent", [agents.Vbox, UndoFile, agents.VboxMaildir],
                         ids=["mbox", "undo file", "maildir"])
@pytest.mark.parametrize("how", SURROUNDINGS)
def test_surroundings(agent, how, shm):
    """Delivered as ever, or put off; the mode of what is made is ours."""
    a = agent(os.path.join(shm, "site"))
    a.reset(sweep.OLD)
    code = run(a, "new", preexec_fn=SURROUNDINGS[how])
    assert code == 0 or code == 75 and how == "hardly any descriptors"
    box = a.read()
    assert sorted(box.tokens) == sorted(
        sweep.OLD + (["new"] if code == 0 else []))
    assert not box.broken
    for top, _, files in os.walk(os.path.join(shm, "site", "spool")):
        for name in files:
            st = os.stat(os.path.join(top, name))
            assert st.st_uid == agents.NOBODY and not st.st_mode & 0o022, name
    assert sweep.deliver(a, "second", 3000) == 0


@pytest.mark.parametrize("agent", [agents.Vbox, agents.VboxMaildir],
                         ids=["mbox", "maildir"])
@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2), (0,), (0, 1, 2)])
def test_standard_descriptors_closed(agent, closed, shm):
    """Descriptor 1 or 2 must never become the mailbox's: what is printed
    would go there."""
    a = agent(os.path.join(shm, "site"))
    a.reset(sweep.OLD)

    def close():
        for fd in closed:
            os.close(fd)
    code = run(a, "new", preexec_fn=close)
    if 0 in closed:
        assert code == 75
    else:
        assert code == 0
    box = a.read()
    assert sorted(box.tokens) == sorted(
        sweep.OLD + (["new"] if code == 0 else []))
    assert not box.broken


def test_leaked_descriptors(shm):
    a = agents.Vbox(os.path.join(shm, "site"))
    a.reset(sweep.OLD)
    fds = [os.open(a.box(), os.O_RDWR) for _ in range(100)]
    try:
        assert run(a, "new", pass_fds=fds) == 0
    finally:
        for fd in fds:
            os.close(fd)
    assert a.read().tokens == sweep.OLD + ["new"]


@pytest.mark.parametrize("agent", [agents.Vbox, agents.VboxMaildir],
                         ids=["mbox", "maildir"])
def test_hostile_environment(agent, shm):
    a = agent(os.path.join(shm, "site"))
    trap = os.path.join(shm, "trap")
    os.mkdir(trap)
    os.chmod(trap, 0o777)
    for env in ({"TZ": "/etc/shadow", "TZDIR": trap},
                {"TZ": ":" + "A" * 100000},
                {"LC_ALL": "tr_TR.UTF-8", "LANG": "../../" + trap,
                 "LOCPATH": trap, "NLSPATH": trap},
                {"HOME": trap, "TMPDIR": trap, "MAGIC": trap + "/magic",
                 "USER": "root", "LOGNAME": "root", "MAIL": trap + "/mail"},
                {"IFS": "/", "ENV": trap, "BASH_ENV": trap, "PATH": trap},
                {"HOSTALIASES": trap, "RES_OPTIONS": "x" * 5000,
                 "POSIXLY_CORRECT": "1",
                 "OPENSSL_CONF": trap, "GCONV_PATH": trap},
                {"SENDER": "a\nFrom b@c Sat Nov 21 03:00:00 2026\n"},
                {}):
        a.reset(sweep.OLD)
        assert run(a, "new", env=env) == 0, env
        box = a.read()
        assert sorted(box.tokens) == sorted(sweep.OLD + ["new"])
        assert not box.broken
        assert os.listdir(trap) == []
