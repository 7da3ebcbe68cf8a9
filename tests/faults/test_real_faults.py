"""Disks that are really full, over quota, limited or lying."""

import os
import resource
import shutil
import subprocess

import pytest

import agents
import mounts
import sweep

pytestmark = pytest.mark.release


class UndoFile(agents.Vbox):
    name = "undo record in a file"
    undo = "file"


# The room that the administrator keeps free is for others to test.
class Plain(agents.Vbox):
    extra = "min_free_space = 0\n"


class PlainUndoFile(UndoFile):
    extra = "min_free_space = 0\n"


class PlainMaildir(agents.VboxMaildir):
    extra = "min_free_space = 0\n"


KINDS = pytest.mark.parametrize(
    "agent", [Plain, PlainUndoFile, PlainMaildir], ids=lambda a: a.__name__)


def site_on(agent, base, scratch):
    """A site whose boxes lie on the file system `base`, the rest elsewhere."""
    a = agent(scratch)
    for sub in ("spool", "home"):
        os.makedirs(os.path.join(base, sub), exist_ok=True)
        link = os.path.join(scratch, sub)
        if not os.path.islink(link):
            os.symlink(os.path.join(base, sub), link)

    def reset(old=(), user=agents.USER, size=10000):
        for sub in ("spool", "home"):
            top = os.path.join(base, sub)
            shutil.rmtree(top, ignore_errors=True)
            os.makedirs(os.path.join(top, agents.DOMAIN))
            for d in (top, os.path.join(top, agents.DOMAIN)):
                os.chown(d, agents.NOBODY, agents.NOBODY)
        if old is not None:
            a.fill(old, user, size)
    a.reset = reset
    return a


def fill_up(path, keep):
    """Uses up the file system but for about `keep` bytes."""
    with open(path, "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"\0" * 4096)
        except OSError:
            pass
        f.truncate(max(f.tell() - keep, 0))


def refuses_then_delivers(a, make_room, size=100000, rolls_back=True):
    """Tries again later, changes nothing, and works as soon as it can."""
    a.reset(sweep.OLD)
    old = sweep.snapshot(a)
    yield
    before = sorted(os.listdir(a.directory()))
    code = sweep.deliver(a, "first", size)
    assert code == 75
    if rolls_back:
        assert sweep.snapshot(a) == old
    else:
        assert sweep.kept(a, old)
        assert a.format == "mbox" or sweep.snapshot(a) == old
    if a.format == "mbox":
        assert before == [agents.USER]
        assert sweep.unexpected_files(a) == []
    else:
        assert os.listdir(os.path.join(a.box(), "tmp")) == []
    make_room()
    assert sweep.deliver(a, "second", size) == 0
    box = a.read()
    assert sorted(box.tokens) == sorted(sweep.OLD + ["second"])
    assert not box.broken


@KINDS
@pytest.mark.parametrize("room", [0, 4096, 40960, 98304])
def test_full_disk(agent, room, shm, own_mounts):
    with mounts.tmpfs(os.path.join(shm, "t"), "size=1m,mode=755") as base:
        a = site_on(agent, base, os.path.join(shm, "site"))
        stuff = os.path.join(base, "stuff")
        steps = refuses_then_delivers(a, lambda: os.unlink(stuff))
        next(steps)
        fill_up(stuff, room)
        list(steps)


@KINDS
def test_no_inodes(agent, shm, own_mounts):
    with mounts.tmpfs(os.path.join(shm, "t"),
                      "size=4m,nr_inodes=60,mode=755") as base:
        a = site_on(agent, base, os.path.join(shm, "site"))
        made = []

        def room():
            for path in made:
                os.unlink(path)
        steps = refuses_then_delivers(a, room)
        next(steps)
        try:
            while True:
                path = os.path.join(base, f"stuff{len(made)}")
                with open(path, "wb"):
                    made.append(path)
        except OSError:
            pass
        list(steps)


@KINDS
@pytest.mark.parametrize("limit", [0, 1, 21000, 65536, 100000])
def test_file_size_limit(agent, limit, shm):
    """RLIMIT_FSIZE kills by SIGXFSZ unless somebody thought of it."""
    a = agent(os.path.join(shm, "site"))
    a.reset(sweep.OLD)
    old = sweep.snapshot(a)
    r = subprocess.run(
        a.argv(), env=a.env, input=agents.message("first", 120000),
        capture_output=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                              (limit, limit)))
    assert r.returncode == 75
    assert sweep.snapshot(a) == old
    assert sweep.deliver(a, "second", 10000) == 0
    assert sorted(a.read().tokens) == sorted(sweep.OLD + ["second"])


@pytest.mark.parametrize("agent", [
    pytest.param(Plain, marks=pytest.mark.xfail(
        strict=True, reason="the refused ftruncate(2) leaves zeros behind "
        "the old end, and such a tail is not known again as ours")),
    pytest.param(PlainUndoFile, marks=pytest.mark.xfail(strict=True,
                                                        reason="the same")),
    PlainMaildir], ids=lambda a: a.__name__)
def test_over_quota(agent, shm, own_mounts):
    """EDQUOT of a real file system, at the write or only at the sync."""
    if not shutil.which("mkfs.btrfs"):
        pytest.skip("no mkfs.btrfs")
    image = mounts.image(os.path.join(shm, "image"), 200, "mkfs.btrfs", "-q")
    with mounts.mounted(os.path.join(shm, "m"), "-o", "loop", image) as base:
        mounts.run("btrfs", "quota", "enable", base)
        # It counts what is there already, in the background.
        mounts.run("btrfs", "quota", "rescan", "-w", base)
        sub = os.path.join(base, "sub")
        mounts.run("btrfs", "subvolume", "create", sub)
        a = site_on(agent, sub, os.path.join(shm, "site"))

        def room():
            mounts.run("btrfs", "qgroup", "limit", "none", sub)
        # Over its quota btrfs says EDQUOT to ftruncate(2) as well, so the
        # torn tail stays until the next delivery that can.
        steps = refuses_then_delivers(a, room, 400000, rolls_back=False)
        next(steps)
        mounts.sync(base)
        mounts.run("btrfs", "qgroup", "limit", "200k", sub)
        list(steps)


@KINDS
def test_disk_below_is_full(agent, shm, own_mounts):
    """ext4 on a full tmpfs: fsync fails once and then says 0. What is not on
    the disk is not called stored.

    Full to the last page: the loop driver of Linux 6.18 calls a write that it
    could do in part a success, and nobody above can know."""
    with mounts.tmpfs(os.path.join(shm, "t"), "size=6m,mode=755") as below:
        image = mounts.image(os.path.join(below, "image"), 64, "mkfs.ext4",
                             "-q", "-O", "^has_journal", "-b", "4096")
        with mounts.mounted(os.path.join(shm, "m"), "-o",
                            "loop,errors=continue", image) as base:
            a = site_on(agent, base, os.path.join(shm, "site"))
            a.reset(sweep.OLD)
            old = sweep.snapshot(a)
            mounts.sync(base)
            fill_up(os.path.join(below, "stuff"), 0)
            assert sweep.deliver(a, "first", 400000) == 75
            assert sweep.deliver(a, "first", 400000) == 75
            assert sweep.kept(a, old)
            assert "first" not in a.read().tokens or a.read().broken
            os.unlink(os.path.join(below, "stuff"))
            assert sweep.deliver(a, "second", 400000) == 0
            box = a.read()
            assert sorted(box.tokens) == sorted(sweep.OLD + ["second"])
            assert not box.broken
