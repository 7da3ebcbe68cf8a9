"""What was written, as others read it: Python's mailbox module, Dovecot
(doveadm and IMAP) and mutt. Count, flags, and every byte."""
import mailbox

import pytest

from harness.dovecot import Dovecot, raw_messages
from harness.mutt import read_unread

LETTERS = [
    b"From: a@b.test\nSubject: plain\n\nhello\n",
    b"From: a@b.test\nSubject: From_\n\nFrom the start\n>From quoted\n>>From\n",
    b"From: a@b.test\nSubject: 8 bit\n\ngr\xc3\xbc\xc3\x9fe \xff\xfe\n",
    b"From: a@b.test\nSubject: empty lines\n\n\n\n\n",
    b"From: a@b.test\nSubject: no body\n\n",
    b"From: a@b.test\nSubject: long line\n\n" + b"x" * 20000 + b"\n",
    b"From: a@b.test\nSubject: many\n\n" + b"a line of text\n" * 5000,
]


@pytest.fixture(params=["d1.test", "d2.test"], ids=["mbox", "maildir"])
def domain(request):
    return request.param


@pytest.fixture
def delivered(site, domain):
    for i, letter in enumerate(LETTERS):
        r = site.deliver("-f", f"sender{i}@b.test", domain, "fred", data=letter)
        assert r.returncode == 0, r
    return domain


def header_first(domain, i):
    return (f"Return-Path: <sender{i}@b.test>\n"
            f"Delivered-To: fred@{domain}\n").encode()


def test_python(site, delivered):
    path = site.box(delivered, "fred")
    box = mailbox.Maildir(path, create=False) if path.is_dir() \
        else mailbox.mbox(path, create=False)
    found = {}
    for message in box:
        if path.is_dir():
            assert message.get_subdir() == "new" and message.get_flags() == ""
        else:
            assert message.get_flags() == ""
            assert "Status" not in message
        found[message["Subject"]] = message
    assert len(box) == len(found) == len(LETTERS)
    for i, letter in enumerate(LETTERS):
        subject = letter.split(b"Subject: ")[1].split(b"\n")[0].decode()
        assert found[subject]["Return-Path"] == f"<sender{i}@b.test>"
        if path.is_file():
            # (mboxrd's quoting is not undone by Python.)
            assert found[subject].get_from().startswith(f"sender{i}@b.test ")
    box.close()


def test_dovecot(site, delivered):
    dovecot = Dovecot(site, delivered, "fred")
    assert dovecot.status() == {"messages": len(LETTERS),
                                "unseen": len(LETTERS), "recent": len(LETTERS)}
    imap = dovecot.imap()
    found = raw_messages(imap)
    imap.logout()
    assert len(found) == len(LETTERS)
    for i, letter in enumerate(LETTERS):
        flags, raw = found[i + 1]
        assert flags == {b"\\Recent"}
        want = header_first(delivered, i) + letter
        raw = raw.replace(b"\r\n", b"\n")
        if delivered == "d1.test":
            # Dovecot undoes no quoting.
            want = header_first(delivered, i) + quoted(letter)
        assert raw == want


def quoted(letter):
    head, _, text = letter.partition(b"\n\n")
    lines = text.split(b"\n")
    return head + b"\n\n" + b"\n".join(
        b">" + line if line.lstrip(b">").startswith(b"From ") else line
        for line in lines)


def test_doveadm_fetch(site, delivered):
    dovecot = Dovecot(site, delivered, "fred")
    subjects = dovecot.doveadm("-f", "tab", "fetch", "hdr.subject", "mailbox",
                               "INBOX").decode().splitlines()[1:]
    assert subjects == [x.split(b"Subject: ")[1].split(b"\n")[0].decode()
                        for x in LETTERS]


def test_mutt(site, delivered):
    """All of them are new to mutt, and it pipes out what came in."""
    got = read_unread(site, site.box(delivered, "fred"))
    for i, letter in enumerate(LETTERS):
        text = quoted(letter) if delivered == "d1.test" else letter
        head, _, rest = text.partition(b"\n\n")
        start = got.find(head_line(head))
        assert start >= 0, (i, got[:2000])
        at = got.find(b"\n\n", start) + 2
        # mutt shows no more than one blank line at the end of an mbox entry.
        assert got[at:at + len(rest.rstrip(b"\n"))] == rest.rstrip(b"\n"), i
    assert got.count(b"Return-Path: <sender") == len(LETTERS)


def head_line(head):
    return b"Subject: " + head.split(b"Subject: ")[1].split(b"\n")[0]


def test_reading_and_delivering_in_turns(site, domain):
    """Flags and deletions made through IMAP are kept by the next delivery, and
    what the reader wrote into the mbox is not ours to change."""
    dovecot = Dovecot(site, domain, "fred")
    for i in range(3):
        assert site.deliver("-f", "a@b", domain, "fred",
                            data=b"Subject: %d\n\nbody %d\n" % (i, i)).returncode == 0
    imap = dovecot.imap()
    imap.select("INBOX")
    imap.store("1", "+FLAGS", r"(\Seen \Flagged)")
    imap.store("2", "+FLAGS", r"(\Deleted)")
    imap.expunge()
    imap.logout()
    assert site.deliver("-f", "a@b", domain, "fred",
                        data=b"Subject: 3\n\nbody 3\n").returncode == 0
    imap = dovecot.imap()
    found = raw_messages(imap)
    imap.logout()
    assert [b"Subject: %d" % n in raw for n, (_, raw) in
            zip((0, 2, 3), found.values())] == [True] * 3
    assert [flags - {b"\\Recent"} for flags, _ in found.values()] == \
        [{b"\\Seen", b"\\Flagged"}, set(), set()]


# --- M2: nothing forged ---------------------------------------------------------------

FORGED = {
    "From_ line in the body":
        b"Subject: x\n\ntext\n\nFrom evil@b.test Sat Nov 21 03:00:00 2026\n"
        b"Subject: forged\n\nforged\n",
    "From_ line at the start of the body":
        b"Subject: x\n\nFrom evil@b.test Sat Nov 21 03:00:00 2026\nSubject: y\n\nz\n",
    "From_ line instead of a header":
        b">From evil@b.test Sat Nov 21 03:00:00 2026\nSubject: x\n\nz\n",
    "second From_ line in front":
        b"From a@b.test Sat Nov 21 03:00:00 2026\n"
        b"From evil@b.test Sat Nov 21 03:00:00 2026\nSubject: x\n\nz\n",
    "From_ line in the header":
        b"Subject: x\nFrom evil@b.test Sat Nov 21 03:00:00 2026\nX-A: b\n\nz\n",
    "no final newline, From at the end":
        b"Subject: x\n\ntext\n\nFrom evil@b.test Sat Nov 21 03:00:00 2026",
    "ends inside the header": b"Subject: x",
    "Status": b"Status: RO\nX-Status: DFA\nSubject: x\n\nz\n",
    "status in other letters": b"sTaTuS: RO\nx-STATUS : DFA\nSubject: x\n\nz\n",
    "X-UID": b"X-UID: 4294967295\nSubject: x\n\nz\n",
    "X-IMAPbase": b"X-IMAPbase: 1 4294967294 Junk\nX-IMAP: 1 5\nSubject: x\n\nz\n",
    "X-Keywords": b"X-Keywords: $Forwarded Junk\nSubject: x\n\nz\n",
    "folded": b"Status:\n RO\nX-Keywords:\n\tJunk\nSubject: x\n\nz\n",
    "Content-Length, short": b"Content-Length: 1\nSubject: x\n\nabc\n\n"
        b"From evil@b.test Sat Nov 21 03:00:00 2026\nSubject: y\n\nz\n",
    "Content-Length, long": b"Content-Length: 99999\nLines: 7\nSubject: x\n\nabc\n",
    "Content-Length twice": b"Content-Length: 3\nContent-Length: 99\nSubject: x\n\nabc\n",
    "behind CR": b"Subject: x\n\ntext\n\n\rFrom evil@b.test Sat Nov 21 03:00:00 2026\n\nz\n",
    "CRLF": b"Subject: x\r\nStatus: RO\r\n\r\ntext\r\n\r\n"
        b"From evil@b.test Sat Nov 21 03:00:00 2026\r\nSubject: y\r\n\r\nz\r\n",
    "behind NUL": b"Subject: x\n\ntext\0\n\0\n\nFrom evil@b.test Sat Nov 21 03:00:00 2026\n\nz\n",
    "no header at all": b"\nFrom evil@b.test Sat Nov 21 03:00:00 2026\nStatus: RO\n\nz\n",
    "empty message": b"",
}


@pytest.mark.parametrize("variant", ["mboxrd", "mboxo", "mboxcl2", "maildir"])
@pytest.mark.parametrize("name", FORGED)
def test_one_new_unread_mail(site, name, variant):
    """Between two honest letters, exactly one new unread mail: nothing that a
    sender writes is a boundary or a flag."""
    domain = "d1.test"
    if variant == "maildir":
        domain = "d2.test"
    else:
        site.configure(mbox_variant=variant)
    for data in (b"Subject: before\n\nb\n", FORGED[name], b"Subject: after\n\na\n"):
        r = site.deliver("-f", "a@b.test", domain, "fred", data=data)
        assert r.returncode == 0, r
    path = site.box(domain, "fred")
    if variant != "mboxcl2":    # which Python cannot read
        box = mailbox.Maildir(path, create=False) if path.is_dir() \
            else mailbox.mbox(path, create=False)
        messages = list(box)
        assert len(messages) == 3
        assert [m.get_flags() for m in messages] == ["", "", ""]
        box.close()
    dovecot = Dovecot(site, domain, "fred")
    imap = dovecot.imap()
    found = raw_messages(imap)
    _, uid = imap.response("UIDNEXT")
    imap.logout()
    assert len(found) == 3
    assert [flags for flags, _ in found.values()] == [{b"\\Recent"}] * 3
    assert int(uid[0]) == 4
    assert b"Subject: before" in found[1][1] and b"Subject: after" in found[3][1]
    assert dovecot.status()["unseen"] == 3
