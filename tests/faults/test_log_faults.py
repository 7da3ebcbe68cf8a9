"""The delivery log in trouble: whatever fails, it is said, mail is delivered
without it, and what was acknowledged is there."""

import contextlib
import errno
import fcntl
import mmap
import os
import struct
import subprocess

import pytest

import mounts
from harness import until
from harness.lmtp import Lmtpd
from powered import LOG, Machine, another_boot, kill_all

pytestmark = pytest.mark.release

SEGMENT = 6 << 20       # half of LOG
FAULTS = ["segment_size", "pwritev", "fdatasync", "syncfs", "pwrite",
          "shorter", "madvise"]
# _IOR('X', 125, __u32), of ext4 and of XFS; 2: do not even write the journal
SHUTDOWN, NOLOGFLUSH = 0x8004587d, 2


@pytest.fixture
def machine(shm, programs, own_mounts):
    def make(**kw):
        return Machine(shm, programs, **kw)
    return make


class Faults:
    """faults.syncfs = errno.EIO: from now on, in all processes."""

    def __init__(self, scratch):
        library = os.path.join(scratch, "logfault.so")
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library,
                        os.path.join(os.path.dirname(__file__), "logfault.c")],
                       check=True)
        path = os.path.join(scratch, "faults")
        with open(path, "w+b") as f:
            f.truncate(4096)
            self.__dict__["map"] = mmap.mmap(f.fileno(), 4096)
        self.__dict__["env"] = {"LD_PRELOAD": library, "VBOX_FAULTS": path}
        self.segment_size = SEGMENT

    def __setattr__(self, name, value):
        struct.pack_into("i", self.map, 4 * FAULTS.index(name), value)


@pytest.fixture
def faults(shm):
    return Faults(shm)


def both(m, token):
    m.deliver(token, "fred@d1.test", "fred@d2.test")


def is_whole(m):
    wrong = m.wrongs((None, m.acknowledged))
    assert not wrong, wrong


def ends(m):
    assert m.service.stop() == 0, m.service.output()
    m.service = None


def starts_anew(m, says=None, says_not=None, **kw):
    m.log.write_text("")
    m.start(**kw)
    if says:
        assert says in m.said()
    if says_not:
        assert says_not not in m.said()


@pytest.mark.parametrize("call,error", [
    ("pwritev", errno.EIO), ("pwritev", errno.ENOSPC),
    ("fdatasync", errno.EIO)])
def test_the_log_cannot_be_written(call, error, machine, faults):
    """It is given up; what it held is synced, and so is what comes."""
    with machine() as m:
        m.start(env=faults.env)
        both(m, "before")
        setattr(faults, call, error)
        both(m, "with")
        until(lambda: "it is not used any more" in m.said())
        both(m, "after")
        setattr(faults, call, 0)
        cut = m.cut()
        is_whole(m)
        ends(m)
        starts_anew(m, says_not="mending")
        both(m, "again")
        assert "no delivery log" not in m.said()
        m.down()
        with m.after(cut):
            m.start()
            assert not m.wrongs(cut), m.wrongs(cut)


def test_filters_would_have_it_too(machine, faults):
    """A kernel that takes no advice: no log, rather than one that a filter
    may write to."""
    with machine() as m:
        faults.madvise = errno.ENOSYS
        m.start(env=faults.env)
        both(m, "x")
        assert "no delivery log: keep its memory apart" in m.said()
        is_whole(m)
        ends(m)
        assert "delivery log: 0 messages" in m.said()


def test_short_writes_of_the_log(machine, faults):
    with machine() as m:
        faults.shorter = 700
        m.start(env=faults.env)
        for n in range(3):
            both(m, f"m{n}")
        assert "not used" not in m.said()
        cut = m.cut()
        m.down()
        with m.after(cut):
            m.start()
            assert "6 written again" in m.said()
            assert not m.wrongs(cut), m.wrongs(cut)


def test_the_mailboxes_cannot_be_synced(machine, faults):
    """What the disk did not take stays in the log for another boot."""
    with machine(delivery_log_flush="100ms") as m:
        m.start(env=faults.env)
        faults.syncfs = errno.EIO
        both(m, "lost")
        until(lambda: "it is not used any more" in m.said())
        both(m, "after")
        ends(m)
        faults.syncfs = 0
        starts_anew(m, says="no delivery log: mail is in it that the disk did "
                    "not take")
        both(m, "without")
        is_whole(m)
        kill_all(m.service)
        # What memory had is gone.
        os.truncate(m.site.box("d1.test", "fred"), 0)
        with another_boot(m.scratch):
            starts_anew(m, says="1 message was whole, 1 written again")
            m.acknowledged = [a for a in m.acknowledged if
                              a[1] == "d2.test" or a[0] == "lost"]
            is_whole(m)
            ends(m)
            starts_anew(m, says_not="mending")
            assert "no delivery log" not in m.said()


def separate_state(m, stack, megabytes=48, kind="ext4"):
    """STATE_DIR on a file system of its own."""
    where = str(m.scratch / "state")
    if kind == "tmpfs":
        stack.enter_context(mounts.tmpfs(where, "size=64m"))
    else:
        image = mounts.image(str(m.scratch / "state.image"), megabytes,
                             "mkfs.ext4", "-q", "-b", "4096")
        stack.enter_context(mounts.mounted(where, "-o", "loop", image))
    m.site.own_dir(where)
    m.site.configure(state_dir=where)
    return where


@pytest.mark.parametrize("how", ["shutdown", "error"])
def test_the_file_system_stops(how, machine):
    """Of ext4 itself, not of a call that we made fail: mail that was
    acknowledged is lost with its memory, and comes back from the log."""
    with contextlib.ExitStack() as stack:
        m = stack.enter_context(machine(
            options="loop,commit=300,errors=remount-ro"))
        separate_state(m, stack)
        # the sockets do not lie where nothing can be made any more
        m.site.dir = m.scratch
        m.site.conf = m.scratch / "vbox.conf"
        m.site.configure()
        m.start()
        both(m, "acknowledged")
        if how == "shutdown":
            fd = os.open(m.base, os.O_RDONLY)
            try:
                fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NOLOGFLUSH))
            except OSError as e:
                pytest.skip(f"no shutdown of ext4 here: {e}")
            finally:
                os.close(fd)
        else:
            device = os.path.basename(subprocess.run(
                ["findmnt", "-no", "SOURCE", m.base], check=True, text=True,
                stdout=subprocess.PIPE).stdout.strip())
            with open(f"/sys/fs/ext4/{device}/trigger_fs_error", "w",
                      encoding="ascii") as f:
                f.write("test")
        with m.service.connect() as c:
            c.hello()
            r = m.send(c, "refused", ["fred@d1.test"])
            assert r[-1].startswith("4"), r
        assert m.service.stop() == 0
        m.service = None
        assert "delivery log: sync" in m.said()
        m.unmount()
        mounts.run("mount", "-o", "loop", m.image, m.base)
        starts_anew(m, says="no delivery log: mail is in it that the disk did "
                    "not take")
        both(m, "without")
        ends(m)
        with another_boot(m.scratch):
            starts_anew(m, says="mending")
            is_whole(m)


def test_no_room_for_the_log(machine):
    with contextlib.ExitStack() as stack:
        m = stack.enter_context(machine())
        state = separate_state(m, stack, megabytes=11)
        m.start()
        assert "no delivery log: allocate 12 MB: " in m.said()
        assert f"({state}/log)" in m.said()
        assert os.listdir(os.path.join(state, "log")) == ["lock"]
        both(m, "one")
        is_whole(m)
        fs = os.statvfs(state)
        assert fs.f_bavail * fs.f_frsize > 4 << 20   # given back
        cut = m.cut()
        m.down()
        with m.after(cut):
            assert not m.wrongs(cut)


def test_a_file_system_of_another_kind(machine):
    with contextlib.ExitStack() as stack:
        m = stack.enter_context(machine())
        separate_state(m, stack, kind="tmpfs")
        m.start()
        assert "no delivery log: the delivery log must be on ext4 or xfs" in \
            m.said()
        both(m, "one")
        cut = m.cut()
        m.down()
        with m.after(cut):
            assert not m.wrongs(cut)


@pytest.mark.parametrize("what", ["directory", "segment"])
def test_it_belongs_to_another(what, machine):
    with machine() as m:
        m.start()
        ends(m)
        path = m.site.state / "log"
        if what == "segment":
            path = path / "segment.1"
        os.chown(path, 0, 0)
        path.chmod(0o700 if what == "directory" else 0o600)
        starts_anew(m, says="no delivery log: open")
        both(m, "one")
        cut = m.cut()
        m.down()
        with m.after(cut):
            assert not m.wrongs(cut)


@pytest.mark.parametrize("boot", ["same", "another"])
def test_turned_off_after_an_unclean_end(boot, machine):
    """What is left in it is not forgotten."""
    with machine() as m:
        m.start()
        both(m, "one")
        kill_all(m.service)
        m.site.configure(delivery_log=0)
        if boot == "same":
            starts_anew(m, says_not="mending")
            both(m, "two")
        else:
            mounts.sync(m.site.conf)
            cut = m.cut()
        # Nothing is left in it now.
        if boot == "same":
            cut = m.cut()
        m.down()
        with m.after(cut):
            m.start()
            assert ("mending" in m.said()) == (boot == "another")
            assert not m.wrongs(cut), m.wrongs(cut)


def test_two_services_with_one_log(machine):
    with machine() as m:
        m.start()
        both(m, "one")
        m.log.write_text("")
        first, m.service = m.service, None
        m.site.dir = m.scratch      # a socket of its own
        second = Lmtpd(m.site)
        try:
            second.start()
            assert "no delivery log: another service uses" in m.said()
            m.service = second
            both(m, "two")
            m.service = first
            both(m, "three")
            is_whole(m)
        finally:
            m.service = first
            kill_all(second)
        ends(m)
