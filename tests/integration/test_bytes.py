"""Mail is bytes: H1, H2, H3 and M1."""
import os
import random
import subprocess
import tempfile
import time

import pytest

from harness import SANITIZED
from harness.mbox import fields, split_mbox, unquote

HEAD = b"Subject: x\n"

BYTES = {
    "LF": HEAD + b"\na\nb\n",
    "CRLF": b"Subject: x\r\n\r\na\r\nb\r\n",
    "mixed": b"Subject: x\r\nX: y\n\r\na\nb\r\n\nc\n",
    "bare CR": HEAD + b"\na\rb\r\rc\n",
    "CR at the end": HEAD + b"\na\r\n\r",
    "NUL": HEAD + b"\n\0a\0\nFrom\0 b\n\0",
    "NUL in the header": b"Sub\0ject: x\0\n\nbody\n",
    "8 bit": HEAD + b"\n" + bytes(range(256)) * 4 + b"\n",
    "8 bit in the header": b"Subject: \xff\xfe\x80\n\nbody\n",
    "no final newline": HEAD + b"\nabc",
    "no body": HEAD,
    "no body, no newline": b"Subject: x",
    "no header": b"\nbody\n",
    "no header, no blank line": b"this is no header\nat all\n",
    "one newline": b"\n",
    "one byte": b"x",
    "only newlines": b"\n" * 1000,
    "From in every way": HEAD + b"\nFrom \n>From \n>>From a\n From b\nFrom\nfrom c\n"
        b"From: d\n>>>>>>>>>>From e\n>\n> From f\nFrom g",
    "long line": HEAD + b"\n" + b"x" * (1 << 20) + b"\ny\n",
    "long header": b"X-Long: " + b"y" * (1 << 20) + b"\n" + HEAD + b"\nbody\n",
    "many headers": b"X-A: b\n" * 20000 + HEAD + b"\nbody\n",
    "boundaries of pieces": HEAD + b"\n" + b"".join(
        b"z" * n + b"\nFrom x\n" for n in (4080, 8175, 16300, 32600, 65520, 131050)),
}
HEADLESS = ("NUL in the header", "no header, no blank line", "one byte")


def pieces(data):
    """Header lines that delivery adds, and what is below them."""
    rest = data
    for name in (b"Return-Path: ", b"Delivered-To: "):
        assert rest.startswith(name), rest[:200]
        rest = rest.partition(b"\n")[2]
    return rest


@pytest.mark.parametrize("name", BYTES)
def test_bytes_are_kept(site, name):
    """Of a Maildir every byte, of an mbox every byte once mboxrd's quoting is
    undone; where the final newline was missing, the mbox has one."""
    data = BYTES[name]
    for domain in ("d1.test", "d2.test"):
        for _ in range(2):
            r = site.deliver("-f", "a@b", domain, "fred", data=data)
            assert r.returncode == 0, r
    # What does not begin with a field has no header: ours ends before it.
    want = b"\n" + data if name in HEADLESS else data
    maildir = site.messages("d2.test", "fred")
    assert [pieces(m) == want for m in maildir] == [True, True]
    stored = [m.raw for m in split_mbox(site.box("d1.test", "fred").read_bytes())]
    assert len(stored) == 2
    for raw in stored:
        text = unquote(pieces(raw))
        if not want.endswith(b"\n"):
            want += b"\n"
        assert text in (want, want + b"\n" if b"\n\n" not in want else want), \
            text[-200:]


# --- M1 ------------------------------------------------------------------------------

# What random letters are made of: the more often it nearly is a boundary, the
# better.
PARTS = [b"From ", b">", b">From ", b"\n", b"\n\n", b"\r", b"\r\n", b"\0", b"a",
         b"From", b" ", b"f", b"\xff", b"From x@y Sat Nov 21 03:00:00 2026\n",
         b"Status: RO\n", b"Content-Length: 3\n", b"some text\n", b"x" * 70]


def random_letters(count, seed):
    source = random.Random(seed)
    for _ in range(count):
        yield b"Subject: x\n\n" + b"".join(
            source.choice(PARTS) for _ in range(source.randrange(30))) + b"\n"


@pytest.mark.parametrize("variant", ["mboxrd", "mboxcl2"])
def test_random_bodies_come_back(site, variant):
    """What is read back is what was sent. (The 10,000 of M1 run in
    tests/unit/store/test_content.c; these go through the program, and the
    boundaries of one letter meet the next.) mboxo cannot promise it."""
    site.configure(mbox_variant=variant)
    letters = list(random_letters(100 if SANITIZED else 300, 2007))
    for letter in letters:
        r = site.deliver("-f", "a@b", "d1.test", "fred", data=letter)
        assert r.returncode == 0, r
    data = site.box("d1.test", "fred").read_bytes()
    if variant == "mboxrd":
        found = [pieces(m.content) for m in split_mbox(data)]
    else:
        found = [pieces(m) for m in split_by_length(data)]
    assert len(found) == len(letters)
    for got, sent in zip(found, letters):
        assert got == sent


def split_by_length(data):
    """mboxcl2: Content-Length says where the body ends. The field itself is
    taken out of what is returned."""
    messages = []
    while data:
        assert data.startswith(b"From "), data[:80]
        line, _, data = data.partition(b"\n")
        head, _, rest = data.partition(b"\n\n")
        lines = head.split(b"\n")
        length = [x for x in lines if x.startswith(b"Content-Length: ")]
        assert len(length) == 1, head
        n = int(length[0].split(b": ")[1])
        own = b"\n".join(x for x in lines if not x.startswith(
            (b"Content-Length: ", b"Lines: ")))
        messages.append(own + b"\n\n" + rest[:n])
        data = rest[n:]
        assert data.startswith(b"\n"), data[:80]
        data = data[1:]
    return messages


# --- H1, H2 ---------------------------------------------------------------------------

def test_trace_fields(site):
    """One Return-Path and one Delivered-To, ours; those of others go or stay
    as the standards say."""
    r = site.deliver("-f", "a@b.test", "-o", "Fred.Flint@d2.test", "d2.test",
                     "fred",
                     data=b"Return-Path: <forged@b>\nReturn-Path: <x@y>\n"
                     b"Received: from a by b\nDelivered-To: list@other.test\n"
                     b"Subject: x\n\nReturn-Path: in the body\n")
    assert r.returncode == 0, r
    message, = site.messages("d2.test", "fred")
    assert fields(message, "Return-Path") == [b"<a@b.test>"]
    assert fields(message, "Delivered-To")[0] == b"fred@d2.test"
    assert b"list@other.test" in fields(message, "Delivered-To")
    assert fields(message, "X-Original-To") == [b"Fred.Flint@d2.test"]
    assert b"from a by b" in fields(message, "Received")[-1]
    assert message.endswith(b"\n\nReturn-Path: in the body\n")


@pytest.mark.parametrize("domain", ["d1.test", "d2.test"])
def test_loops(site, domain):
    """What was here before, or has come too far, goes back."""
    before = site.everything()
    r = site.deliver("-f", "a@b", domain, "fred", data=b"Delivered-To: "
                     b"fred@" + domain.encode() + b"\nSubject: x\n\ny\n")
    assert r.stdout.startswith(b"5.4.6 "), r
    assert r.returncode in (65, 67, 69, 77), r
    site.configure(hop_limit=30)
    r = site.deliver("-f", "a@b", domain, "fred",
                     data=b"Received: from a by b\n" * 31 + b"Subject: x\n\ny\n")
    assert r.stdout.startswith(b"5.4.6 "), r
    assert site.everything() == before
    r = site.deliver("-f", "a@b", domain, "fred",
                     data=b"Received: from a by b\n" * 30 + b"Subject: x\n\ny\n")
    assert r.returncode == 0, r


def test_too_big(site):
    site.configure(message_size_limit=10000)
    before = site.everything()
    r = site.deliver("-f", "a@b", "d1.test", "fred", data=b"\n" + b"x" * 10001)
    assert r.stdout.startswith(b"5.3.4 "), r
    assert r.returncode in (65, 69, 77)
    assert site.everything() == before


# --- a gigabyte -------------------------------------------------------------------------

def high_water(pid):
    try:
        exe = os.readlink(f"/proc/{pid}/exe")
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            for line in f:
                if line.startswith("VmHWM:") and exe.endswith("/vbox-deliver"):
                    return int(line.split()[1])
    except OSError:
        pass    # it has just ended
    return 0


@pytest.mark.release
@pytest.mark.quiet
@pytest.mark.parametrize("domain", ["d1.test", "d2.test"])
def test_a_gigabyte_in_little_memory(site, domain):
    """Spooled to disk, not to memory: the peak stays below 16 MB."""
    size = 1 << 30
    free = os.statvfs(site.dir)
    if free.f_bavail * free.f_frsize < 4 * size:
        pytest.skip("less than 4 GB of disk free")
    with tempfile.TemporaryFile(dir=site.dir) as letter:
        letter.write(b"Subject: big\n\n")
        block = (b"From a line of text that is sixty-four bytes long, more or "
                 b"less.\n") * 16000
        while letter.tell() < size:
            letter.write(block)
        size = letter.tell()
        letter.seek(0)
        p = subprocess.Popen(site.command("-f", "a@b", domain, "fred"),
                             stdin=letter, env=site.environment(),
                             stdout=subprocess.DEVNULL)
        # (Its rusage would tell the peak of the Python that it was forked from.)
        peak = 0
        while p.poll() is None:
            peak = max(peak, high_water(p.pid))
            time.sleep(0.005)
    assert p.returncode == 0
    assert 0 < peak < 16 * 1024, f"{peak} kB"
    box = site.box(domain, "fred")
    stored = box if box.is_file() else next((box / "new").iterdir())
    assert stored.stat().st_size >= size
