"""Torn tails: repaired when they are ours, and no byte of another program is
ever removed, whatever it did between the crash and our next delivery."""

import mailbox
import os
import random

import pytest

import agents
import sweep

pytestmark = pytest.mark.release


class UndoXattr(agents.Vbox):
    name = "xattr"
    undo = "xattr"


class UndoFile(agents.Vbox):
    name = "file"
    undo = "file"


class Procmail(agents.Procmail):
    uid = agents.NOBODY
    sleep = 1


PLACES = pytest.mark.parametrize("place", [UndoXattr, UndoFile],
                                 ids=lambda c: c.name)


class Torn:
    """An mbox whose append was killed just before it was called done."""

    def __init__(self, place, shm, size):
        self.a = place(os.path.join(shm, "site"))
        self.a.reset(sweep.OLD, size=1500)
        self.old = sweep.snapshot(self.a)
        code = sweep.deliver(self.a, "torn", size, [
            "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync",
            "--inject=fdatasync:signal=KILL:when="
            + ("1" if place is UndoXattr else "2")])
        assert code == -9
        self.full = sweep.snapshot(self.a)
        assert self.full.startswith(self.old)
        assert len(self.full) > len(self.old) + size
        self.length = len(self.full) - len(self.old)
        # what the record is kept in, to put back for the next cut
        self.files = {n: self.read(n) for n in os.listdir(self.a.directory())
                      if n.endswith(".vbox-undo")}
        self.xattr = (os.getxattr(self.a.box(), "user.vbox")
                      if place is UndoXattr else None)
        assert self.xattr or self.files
        # the message, as the killed process left it in its slot
        locks = os.path.join(self.a.root, "state", "locks")
        self.copies = {}
        for n in os.listdir(locks):
            with open(os.path.join(locks, n), "rb") as f:
                if n.endswith(".copy"):
                    self.copies[os.path.join(locks, n)] = f.read()
        assert self.copies
        if os.path.exists(self.a.box() + ".lock"):
            os.unlink(self.a.box() + ".lock")

    def read(self, name):
        with open(os.path.join(self.a.directory(), name), "rb") as f:
            return f.read()

    def tear(self, keep):
        """The same inode, `keep` bytes of the message in it, the record set."""
        with open(self.a.box(), "r+b") as f:
            f.truncate(0)
            f.write(self.full[:len(self.old) + keep])
        if self.xattr:
            os.setxattr(self.a.box(), "user.vbox", self.xattr)
        for name, data in self.files.items():
            with open(os.path.join(self.a.directory(), name), "r+b") as f:
                f.truncate(0)
                f.write(data)

        for name, data in self.copies.items():
            with open(name, "r+b") as f:
                f.truncate(0)
                f.write(data)

    def append(self, data):
        with open(self.a.box(), "ab") as f:
            f.write(data)


def cuts(length, base, count=40):
    """The ends, the pages, and some between."""
    rng = random.Random(length)
    some = {1, 2, 4, 5, 6, 30, 63, 64, 65, length - 1, length - 2, length // 2}
    some |= {p - base for p in range(base - base % 4096 + 4096, base + length,
                                     max(4096, length // 8 // 4096 * 4096))}
    some |= {rng.randrange(1, length) for _ in range(count)}
    return sorted(c for c in some if 0 < c < length)


@PLACES
@pytest.mark.parametrize("size", [700, 10000, 300000])
def test_torn_tail_goes(place, size, shm, results):
    """By the next delivery, wherever the kill came."""
    t = Torn(place, shm, size)
    points = cuts(t.length, len(t.old))
    for keep in points:
        t.tear(keep)
        assert sweep.deliver(t.a, "second", 2000) == 0
        box = t.a.read()
        assert sweep.kept(t.a, t.old)
        assert box.tokens[:2] == sweep.OLD and box.tokens[-1] == "second"
        assert "second" not in box.broken and not set(box.broken) & set(sweep.OLD)
        assert box.tokens == sweep.OLD + ["second"], keep
    results.append(f"torn tails, {place.name}, {size} bytes: {len(points)} cuts")


@PLACES
@pytest.mark.parametrize("slot", [True, False], ids=["killed", "power cut"])
@pytest.mark.parametrize("size", [700, 300000])
def test_zeros_go_with_it(place, slot, size, shm):
    """The disk had the new size, or some of it, before the last blocks."""
    t = Torn(place, shm, size)
    if not slot:
        t.copies = {}
        for name in os.listdir(os.path.join(t.a.root, "state", "locks")):
            if name.endswith(".copy"):
                os.unlink(os.path.join(t.a.root, "state", "locks", name))
    for keep in [0] + cuts(t.length, len(t.old), 4):
        for zeros in sorted({1, t.length - keep, (t.length - keep) // 2 or 1}):
            t.tear(keep)
            t.append(b"\0" * zeros)
            assert sweep.deliver(t.a, "second", 2000) == 0
            assert t.a.read().tokens == sweep.OLD + ["second"], (keep, zeros)
            assert b"\0" not in sweep.snapshot(t.a)
            # Longer than the message: somebody else has written, too.
            t.tear(keep)
            t.append(b"\0" * (t.length - keep + 1))
            before = sweep.snapshot(t.a)
            assert sweep.deliver(t.a, "second", 2000) == 0
            assert sweep.snapshot(t.a).startswith(before)


FOREIGN = {
    "mail": agents.mbox_bytes("foreign", 900),
    "short mail": b"From a@b Sat Nov 21 03:00:00 2026\n\nx\n\n",
    "shortest mail": b"From a Sat Nov 21 03:00:00 2026\n\n",
    "same sender": (f"From {agents.SENDER}  Sat Nov 21 03:00:00 2026\n"
                    "X: y\n\nfrom the same\n\n").encode(),
    "long mail": agents.mbox_bytes("foreign", 500000),
    "mail behind a blank line": b"\n" + agents.mbox_bytes("foreign", 900),
    "no From_": b"some bytes of a program that knows nothing of mbox\n",
    "no From_, no line end": b"bytes",
    "one byte": b"\n",
}


@PLACES
@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_bytes_stay(place, kind, shm):
    """Appended behind the torn tail, or where nothing of ours was written."""
    foreign = FOREIGN[kind]
    for size in (700, 10000, 100000):
        t = Torn(place, shm, size)
        for keep in [0] + cuts(t.length, len(t.old), 12):
            t.tear(keep)
            t.append(foreign)
            before = sweep.snapshot(t.a)
            assert sweep.deliver(t.a, "second", 2000) == 0
            after = sweep.snapshot(t.a)
            assert after.startswith(before) or foreign in after[len(t.old):], (
                f"{kind}, {len(foreign)} bytes behind {keep} of {t.length} "
                "are gone")
            assert sweep.kept(t.a, t.old)
            box = t.a.read()
            assert box.tokens[-1] == "second" and "second" not in box.broken


@PLACES
@pytest.mark.parametrize("who", ["procmail", "python"])
def test_mail_of_other_programs_stays(place, who, shm):
    t = Torn(place, shm, 10000)
    pm = Procmail(t.a.root)
    for keep in cuts(t.length, len(t.old), 4):
        t.tear(keep)
        if who == "procmail":
            # unread, or it waits for a second
            os.utime(t.a.box(), (1600000000, 1600000100))
            assert sweep.deliver(pm, "foreign", 2000) == 0
        else:
            m = mailbox.mbox(t.a.box(), create=False)
            m.add(agents.message("foreign", 2000))
            m.flush()
            m.close()
            os.chown(t.a.box(), agents.NOBODY, agents.NOBODY)
        text = agents.body_of("foreign", 2000)
        assert text in sweep.snapshot(t.a)
        assert sweep.deliver(t.a, "second", 2000) == 0
        after = sweep.snapshot(t.a)
        assert text in after and sweep.kept(t.a, t.old)
        assert t.a.read().tokens[-1] == "second"


@PLACES
def test_rewritten_box_stays(place, shm):
    """A reader expunged and rewrote: another file, or the same one with other
    bytes where ours were."""
    t = Torn(place, shm, 10000)
    for how in ("in place", "by rename"):
        for extra in (1, 100, 3000, 9000):
            t.tear(0)
            other = t.old + b"".join(
                agents.mbox_bytes(f"kept{i}", 300) for i in range(20))
            other = other[:len(t.old) + extra]
            if how == "in place":
                with open(t.a.box(), "r+b") as f:
                    f.write(other)
            else:
                with open(t.a.box() + ".new", "wb") as f:
                    f.write(other)
                os.chown(t.a.box() + ".new", agents.NOBODY, agents.NOBODY)
                os.chmod(t.a.box() + ".new", 0o600)
                os.rename(t.a.box() + ".new", t.a.box())
            assert sweep.deliver(t.a, "second", 2000) == 0
            assert sweep.snapshot(t.a).startswith(other), (how, extra)
