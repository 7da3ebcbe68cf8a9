"""Power cuts: what the disk has, when success was said and at every moment.

The mailboxes lie on a file system in an image. What its kernel has not yet
written is not in the image file, so a copy of that file is the disk after a
power cut; after sync(2) it is the other extreme, all of it. The copy is
mounted, which replays its journal, and judged.
"""

import os
import shutil
import time

import pytest

import agents
import mounts
import sweep
from test_real_faults import site_on

pytestmark = pytest.mark.release

FILE_SYSTEMS = {
    "ext4": (24, "mkfs.ext4", "-q", "-b", "1024", "-J", "size=4"),
    "xfs": (320, "mkfs.xfs", "-q"),
}
# nothing is written by the clock while we look
OPTIONS = {"ext4": "loop,commit=300", "xfs": "loop"}
COPY = {"ext4": "loop", "xfs": "loop,nouuid"}


class Mbox(agents.Vbox):
    name = "mbox"
    extra = 'dotlock_stale = "1d"\n'    # the reboot alone must show it


class UndoFile(Mbox):
    name = "mbox, undo record in a file"
    undo = "file"


class NewBox(Mbox):
    name = "mbox that is made"
    listed = True


class NewMaildir(agents.VboxMaildir):
    name = "Maildir that is made"
    listed = True


def rebooted(base):
    """Locks on the disk are older than the boot that follows a power cut."""
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) - 100
    for top, _, files in os.walk(base):
        for name in files:
            if name.endswith(".lock") or name.startswith(".vbox-lock."):
                os.utime(os.path.join(top, name), (boot, boot))


class Machine:
    """One file system, its copies, and a site on each of them."""

    def __init__(self, agent, shm, fs):
        self.agent_class, self.shm, self.fs = agent, shm, fs
        self.image = mounts.image(os.path.join(shm, "image"), *FILE_SYSTEMS[fs])
        self.mounted = mounts.mounted(os.path.join(shm, "m"), "-o",
                                      OPTIONS[fs], self.image)

    def __enter__(self):
        self.base = self.mounted.__enter__()
        self.site = site_on(self.agent_class, self.base,
                            os.path.join(self.shm, "site"))
        return self

    def __exit__(self, *args):
        self.mounted.__exit__(*args)

    def start(self, token="first", size=10000, prefix=()):
        """A delivery whose surroundings are safely on the disk before."""
        self.site.reset(sweep.old_tokens(self.site))
        mounts.sync(self.base)
        return sweep.deliver(self.site, token, size, prefix)

    def after_cut(self, look):
        """look(site) on the disk as it is now."""
        copy = os.path.join(self.shm, "copy")
        mounts.copy_sparse(self.image, copy)
        with mounts.mounted(os.path.join(self.shm, "c"), "-o", COPY[self.fs],
                            copy) as base:
            rebooted(base)
            other = os.path.join(self.shm, "other")
            shutil.rmtree(other, ignore_errors=True)
            result = look(site_on(self.agent_class, base, other))
        os.unlink(copy)
        return result


def tokens_after(site):
    box = site.read()
    return sorted(t or "?" for t in box.tokens), box.broken


KINDS = pytest.mark.parametrize(
    "agent", [Mbox, UndoFile, NewBox, agents.VboxMaildir, NewMaildir],
    ids=lambda a: a.__name__)


@KINDS
@pytest.mark.parametrize("fs", ["ext4", "xfs"])
def test_stored_survives_a_power_cut(agent, fs, shm, own_mounts):
    with Machine(agent, shm, fs) as m:
        assert m.start() == 0
        tokens, broken = m.after_cut(tokens_after)
        had = sweep.old_tokens(m.site) or []
        assert tokens == sorted(had + ["first"]) and not broken
        # and the next delivery works there
        assert m.after_cut(lambda s: sweep.deliver(s, "second", 10000)) == 0


@pytest.mark.parametrize("agent", [Mbox, agents.VboxMaildir],
                         ids=lambda a: a.__name__)
def test_a_lying_sync_is_seen(agent, shm, own_mounts):
    """The same must fail when no sync is done: else the test proves nothing."""
    lib = next((p for p in ("/usr/lib/x86_64-linux-gnu/libeatmydata.so",
                            "/usr/lib/aarch64-linux-gnu/libeatmydata.so")
                if os.path.exists(p)), None)
    if lib is None:
        pytest.skip("no libeatmydata")
    with Machine(agent, shm, "ext4") as m:
        m.site.env["LD_PRELOAD"] = lib
        assert m.start() == 0
        tokens, broken = m.after_cut(tokens_after)
        assert "first" not in tokens or broken


def judge_cut(m, code):
    """What the disk may hold after a cut in the middle; a list of wrongs."""
    had = sorted(sweep.old_tokens(m.site) or [])

    def look(site):
        wrong = []
        second = sweep.deliver(site, "second", 10000)
        if second != 0:
            return [f"next delivery said {second}"]
        tokens, broken = tokens_after(site)
        first = tokens.count("first")
        if broken:
            wrong.append(f"broken: {broken}")
        if [t for t in tokens if t != "first"] != sorted(had + ["second"]):
            wrong.append(f"holds {tokens}")
        if first > 1 or (code == 0 and first != 1):
            wrong.append(f"{first} copies, said {code}")
        return wrong
    return m.after_cut(look)


@KINDS
def test_power_cut_at_any_moment(agent, shm, results, own_mounts):
    """Before each call that changes something, nothing or all of what was
    not synced being on the disk."""
    result = sweep.Result(f"power cut, {agent.name}")
    with Machine(agent, shm, "ext4") as m:
        log = os.path.join(shm, "trace")
        assert m.start(prefix=["strace", "-f", "-qq", "-o", log]) == 0
        calls = [c for c in sweep.parse_trace(log)
                 if not c.loader and (c.creates or c.name in (
                     "write", "writev", "pwrite64", "fsync", "fdatasync",
                     "ftruncate", "linkat", "renameat", "renameat2", "unlinkat",
                     "mkdirat", "fsetxattr", "fchmod", "fallocate"))]
        assert len(calls) > 5
        for call in calls:
            for extreme in ("nothing", "all"):
                case = sweep.Case(call, "KILL", False)
                code = m.start(prefix=[
                    "strace", "-f", "-qq", "-o", "/dev/null", "-e",
                    f"trace={call.name}", f"--inject={case.inject()}"])
                if extreme == "all":
                    mounts.sync(m.base)
                wrong = judge_cut(m, code)
                result.cases += 1
                if wrong:
                    result.failed.append((f"{case}, {extreme} written", wrong))
    results.append(result)
    assert not result.failed, "\n".join(
        f"{case}: {'; '.join(w)}" for case, w in result.failed[:20])
