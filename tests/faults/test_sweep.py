"""Each call of a delivery fails once and for good, and is killed before."""

import os
import subprocess

import pytest

import agents
import mounts
import sweep

pytestmark = pytest.mark.release


class FcntlDotlock(agents.Vbox):
    name = "mbox, fcntl dotlock"


class DotlockFcntl(agents.Vbox):
    name = "mbox, dotlock fcntl"
    locks = ("dotlock", "fcntl")


class AllLocks(agents.Vbox):
    name = "mbox, flock dotlock fcntl"
    locks = ("flock", "dotlock", "fcntl")


class UndoFile(agents.Vbox):
    name = "mbox, undo record in a file"
    undo = "file"


class NewBox(agents.Vbox):
    name = "mbox that is made"
    listed = True


class NewMaildir(agents.VboxMaildir):
    name = "Maildir that is made"
    listed = True


def passes(results, *args, least=100, **kwargs):
    result = sweep.sweep(*args, **kwargs)
    results.append(result)
    assert result.cases > least
    assert not result.failed, "\n".join(
        f"{case}: {'; '.join(wrong)}" for case, wrong in result.failed[:20])


def behind_start(case):
    """Not again what is the same in all: the calls before the box."""
    return case.call.name in sweep.ERRORS and case.call.name not in (
        "mmap", "prctl", "read", "rt_sigaction", "umask")


@pytest.mark.parametrize("agent", [FcntlDotlock, agents.VboxMaildir],
                         ids=lambda a: a.__name__)
def test_every_call_fails_and_is_killed(agent, shm, results):
    passes(results, agent, shm)


@pytest.mark.parametrize("agent", [
    DotlockFcntl, AllLocks, UndoFile, NewBox, NewMaildir],
    ids=lambda a: a.__name__)
def test_each_call_fails_and_is_killed(agent, shm, results):
    passes(results, agent, shm, select=behind_start)


def test_long_message(shm, results):
    """More than one piece, so written in several calls. What comes before and
    behind these is the same as with short ones."""
    class Long(agents.Vbox):
        name = "mbox, 900 kB"
    passes(results, Long, shm, size=900000, least=50,
           select=lambda c: sweep.storing(c) and c.call.name in (
               "write", "pwrite64", "ftruncate", "fsync", "fdatasync",
               "fsetxattr", "linkat", "unlinkat"))


def test_no_extended_attributes(shm, results, own_mounts):
    class NoXattr(agents.Vbox):
        name = "mbox where there are no extended attributes"
    with mounts.ramfs(os.path.join(shm, "ramfs")) as base:
        os.chmod(base, 0o755)
        passes(results, NoXattr, base,
               select=lambda c: sweep.storing(c) and behind_start(c))


@pytest.mark.parametrize("agent", [agents.Vbox, UndoFile, agents.VboxMaildir],
                         ids=lambda a: a.__name__)
def test_short_and_interrupted_writes(agent, shm):
    library = os.path.join(shm, "shortwrite.so")
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library,
                    os.path.join(os.path.dirname(__file__), "shortwrite.c")],
                   check=True)
    a = agent(os.path.join(shm, "site"))
    a.reset(sweep.OLD)
    a.env["LD_PRELOAD"] = library
    log = os.path.join(shm, "trace")
    assert sweep.deliver(a, "first", 900000, ["strace", "-f", "-o", log]) == 0
    with open(log, encoding="utf-8", errors="replace") as f:
        assert f.read().count("= 700\n") > 1000     # it was really there
    assert sweep.deliver(a, "second", 10000) == 0
    box = a.read()
    assert sorted(box.tokens) == sorted(sweep.OLD + ["first", "second"])
    assert not box.broken


def test_the_sweep_sees_faults(shm, results, own_mounts):
    """procmail is known to lose mail when the disk does not take it, and to
    leave its lock behind when it is killed: a sweep that finds nothing there
    finds nothing anywhere."""
    with mounts.tmpfs("/var/mail", "size=4m"):
        r = sweep.sweep(agents.Procmail, shm, next_timeout=4,
                        select=lambda c: c.call.name == "fsync" and
                        c.error == "EIO" or
                        c.call.name in ("unlink", "fsync") and
                        c.error == "KILL")
    seen = {wrong for _, wrongs in r.failed for wrong in wrongs}
    assert {"success said, message there 0 times",
            "next delivery blocked"} <= seen, r.failed
