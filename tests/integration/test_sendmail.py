"""A real sendmail hands over: by contrib's mailer and by that of the 2007
recipe, whose only change is the path of the agent."""
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from harness import GID, UID, until
from harness.mbox import body, fields, split_mbox
from harness.sendmail import BIN, CONTRIB, Sendmail
from harness.site import Lmtpd

LETTER = (b"From: <anna@client.test>\r\nTo: freds:;\r\nSubject: %s\r\n"
          b"Message-Id: <1@client.test>\r\nDate: Mon, 2 Apr 2007 10:00:00 +0000\r\n"
          b"\r\nFrom the start\r\n.dot\r\n>From quoted\r\nlast line\r\n")
BODY = b"From the start\n.dot\n>From quoted\nlast line\n"

DOMAINS = "d1.test\nd2.test\n"
# What the recipe puts into virtuserdomains for each domain.
RECIPE_DOMAINS = "".join(f"{d}\n{d}.virtuser\n{d}.virtuser.\n"
                         for d in ("d1.test", "d2.test"))


def users(*addresses):
    return "".join(f"{a}\t{a}.virtuser.\n" for a in addresses)


def agent(site):
    """What the mailer executes. sendmail passes no -c, so the configuration
    is named by a script, as a site with two configurations would do it."""
    path = site.dir / "agent"
    path.write_text(f'#!/bin/sh\nexec {site.bin}/vbox-deliver -c {site.conf} "$@"\n')
    path.chmod(0o755)
    return path


def serve(site, mc, virtuserdomains, virtusertable, vboxdomains=""):
    where = site.dir / "sendmail"
    where.mkdir()
    mta = Sendmail(where, mc, agent(site))
    mta.build()
    mta.table("virtuserdomains", virtuserdomains)
    mta.table("vboxdomains", vboxdomains)
    mta.table("virtusertable", virtusertable, hashed=True)
    mta.table("access", "", hashed=True)
    mta.table("access_out", "", hashed=True)
    return mta.start()


@pytest.fixture(params=["contrib-table", "contrib-whole", "contrib-lmtp", "paper"])
def mta(request, site):
    """The ways of sending mail of d1.test and d2.test to the agent."""
    lmtpd = None
    site.add("d1.test", "anna")
    freds = users("fred@d1.test", "fred@d2.test", "anna@d1.test",
                  "ghost@d1.test", "ghost@d2.test")
    if request.param == "contrib-table":
        server = serve(site, CONTRIB / "vbox-single.mc", DOMAINS, freds)
    elif request.param == "contrib-whole":
        server = serve(site, CONTRIB / "vbox-single.mc", "", "", DOMAINS)
    elif request.param == "contrib-lmtp":
        lmtpd = Lmtpd(site)
        mc = (CONTRIB / "vbox-single.mc").read_text()
        mc = mc.replace("`vboxcmd'", "`vbox'").replace(
            "MAILER(`local')", "define(`VBOX_LMTP_SOCKET', "
            f"`{lmtpd.socket}')dnl\nMAILER(`local')")
        server = serve(site, mc, "", "", DOMAINS)
    else:
        server = serve(site, CONTRIB / "paper/sendmail_out.mc",
                       RECIPE_DOMAINS, freds)
    server.way = request.param
    yield server
    server.stop()
    if lmtpd:
        lmtpd.stop()


def test_the_dual_queue_of_2007(site):
    """The recipe as a whole: sendmail_in accepts and splits (r=1), what is in
    its queue then is delivered by sendmail_out."""
    freds = users("fred@d1.test", "fred@d2.test")
    out = serve(site, CONTRIB / "paper/sendmail_out.mc", RECIPE_DOMAINS, freds)
    where = site.dir / "sendmail_in"
    where.mkdir()
    mta_in = Sendmail(where, CONTRIB / "paper/sendmail_in.mc", agent(site),
                      queue=out.queue)
    mta_in.build()
    mta_in.table("access.in", "d1.test\tRELAY\nd2.test\tRELAY\n", hashed=True)
    mta_in.start("-odq")
    try:
        mta_in.send("anna@client.test", ["fred@d1.test", "fred@d2.test"],
                    LETTER % b"dual")
        assert len([q for q in out.queued() if q.startswith("qf")]) == 2
        assert site.messages("d1.test", "fred") == []
        out.run_queue()
        for domain in ("d1.test", "d2.test"):
            assert body(one(site, domain, "fred")) == BODY
        out.idle()
    finally:
        mta_in.stop()
        out.stop()


class SocketMap(threading.Thread):
    """A socket map as sendmail asks it; a stand-in for the real one of
    vbox-lmtpd, that knows one answer for each key."""

    def __init__(self, path, answers):
        super().__init__(daemon=True)
        self.answers = answers
        self.asked = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,),
                             daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rwb") as f:
            while True:
                length = b""
                while (c := f.read(1)) not in (b":", b""):
                    length += c
                if not c:
                    return
                name, _, key = f.read(int(length)).partition(b" ")
                assert f.read(1) == b","
                self.asked.append((name, key))
                answer = self.answers.get(key, b"NOTFOUND ")
                f.write(b"%d:%s," % (len(answer), answer))
                f.flush()


def test_virtusertable_as_a_socket_map(site):
    """No .db files: each answer at RCPT time, with its own code."""
    run = Path(tempfile.mkdtemp(prefix="vbox-", dir="/run"))
    known = SocketMap(run / "map", {
        b"fred@d1.test": b"OK fred@d1.test.virtuser.",
        b"fred@d2.test": b"OK fred@d2.test.virtuser.",
        b"off@d1.test": b"OK error:5.2.1:550 5.2.1 Mailbox not available",
        b"down@d1.test": b"TEMP directory down",
        b"@d1.test": b"OK error:5.1.1:550 5.1.1 User unknown"})
    known.start()
    mc = (CONTRIB / "vbox-single.mc").read_text()
    mc, n = re.subn(r"`hash -o /etc/mail/virtusertable'",
                    f"`socket -T<TMPF> unix:{run}/map'", mc)
    assert n == 1
    mta = serve(site, mc, DOMAINS, "")
    try:
        refused = mta.send("anna@client.test",
                           ["fred@d1.test", "fred@d2.test", "ghost@d1.test",
                            "off@d1.test", "down@d1.test"], LETTER % b"socket")
        assert {k: v[0] for k, v in refused.items()} == {
            "ghost@d1.test": 550, "off@d1.test": 550, "down@d1.test": 451}
        assert refused["ghost@d1.test"][1].startswith(b"5.1.1")
        assert refused["off@d1.test"][1].startswith(b"5.2.1")
        mta.idle()
        for domain in ("d1.test", "d2.test"):
            assert body(one(site, domain, "fred")) == BODY
        assert (b"virtuser", b"fred@d1.test") in known.asked
    finally:
        mta.stop()
        known.listener.close()
        shutil.rmtree(run)


def one(site, domain, user):
    """The only message of a mailbox, waited for."""
    until(lambda: site.messages(domain, user), of=f"mail for {user}@{domain}")
    messages = site.messages(domain, user)
    assert len(messages) == 1
    return messages[0]


def test_name_folding(site, mta):
    """fred in two domains, one envelope: sendmail of itself would send one."""
    refused = mta.send("anna@client.test", ["fred@d1.test", "fred@d2.test"],
                       LETTER % b"folding")
    assert refused == {}
    mta.idle()
    for domain in ("d1.test", "d2.test"):
        message = one(site, domain, "fred")
        assert body(message) == BODY
        assert fields(message, "Subject") == [b"folding"]
        assert fields(message, "Return-Path") == [b"<anna@client.test>"]
        assert fields(message, "Delivered-To") == [b"fred@" + domain.encode()]
    box = site.box("d1.test", "fred")
    assert split_mbox(box.read_bytes())[0].sender == b"anna@client.test"
    for path in (box, *(site.box("d2.test", "fred") / "new").iterdir()):
        st = path.stat()
        assert (st.st_uid, st.st_gid) == (UID, GID)
        assert stat.S_IMODE(st.st_mode) == 0o600


def test_unknown_user_is_bounced(site, mta):
    """The bounce says 5.1.1 and the address that the sender has written, and
    comes from nobody. anna is one of ours, so that we can read it."""
    mta.send("anna@d1.test", ["ghost@d2.test", "fred@d2.test"],
             LETTER % b"to a ghost")
    mta.idle()
    assert body(one(site, "d2.test", "fred")) == BODY
    bounce = one(site, "d1.test", "anna")
    from_ = split_mbox(site.box("d1.test", "anna").read_bytes())[0].sender
    if mta.way == "paper":
        # Stock rules give an argv mailer this name for the null sender.
        assert fields(bounce, "Return-Path") == [b"<MAILER-DAEMON@mx.test>"]
        assert from_ == b"MAILER-DAEMON@mx.test"
    else:
        assert fields(bounce, "Return-Path") == [b"<>"]
        assert from_ == b"MAILER-DAEMON"
    text = body(bounce)
    recipients = re.findall(rb"(?m)^Final-Recipient: RFC822; (.*)$", text)
    status = re.findall(rb"(?m)^Status: (.*)$", text)
    assert status == [b"5.1.1"]
    if mta.way == "paper":
        # The recipe's "$: $1" loses the domain; sendmail then adds its own.
        # What the sender wrote is left in Original-Recipient and the text.
        assert recipients == [b"ghost@mx.test"]
        assert b"ghost@d2.test" in text
    else:
        assert recipients == [b"ghost@d2.test"]
    assert site.messages("d2.test", "ghost") == []


def test_case_and_detail(site, mta):
    """Fred and fred+lists are fred."""
    mta.send("anna@client.test", ["FRED@D2.Test"], LETTER % b"case")
    mta.send("anna@client.test", ["fred+lists@d1.test"], LETTER % b"detail")
    mta.idle()
    assert fields(one(site, "d2.test", "fred"), "Subject") == [b"case"]
    detail = one(site, "d1.test", "fred")
    assert fields(detail, "Subject") == [b"detail"]


def test_message_from_nobody(site, mta):
    mta.send("<>", ["fred@d1.test"], LETTER % b"a bounce")
    mta.idle()
    assert fields(one(site, "d1.test", "fred"), "Return-Path") == [b"<>"]
    assert split_mbox(site.box("d1.test", "fred").read_bytes())[0].sender \
        == b"MAILER-DAEMON"


def test_full_disk_waits_in_the_queue(site, full_disk, mta):
    """What does not fit is tried again and arrives when there is room."""
    box = full_disk()
    before = box.read_bytes()
    mta.send("anna@client.test", ["fred@d1.test", "fred@d2.test"],
             LETTER % b"no room" + (b"x" * 900 + b"\r\n") * 6)
    one(site, "d2.test", "fred")
    # (As long as the first attempt holds the queue file a run passes it over.)
    until(lambda: mta.tried() == 1, of="the first attempt")
    until(lambda: mta.run_queue() or mta.tried() > 1, of="the second attempt")
    assert box.read_bytes() == before
    assert len(mta.queued()) == 1
    (box.parent / "ballast").unlink()
    until(lambda: mta.run_queue() or not mta.queued(), of="an empty queue")
    messages = site.messages("d1.test", "fred")
    assert [fields(m, "Subject") for m in messages[1:]] == [[b"no room"]]
    assert len(site.messages("d2.test", "fred")) == 1


@pytest.fixture
def full_disk(site):
    """Puts the mail of d1.test on a disk of its own, before an MTA is started
    that has mounts of its own, and fills it when called."""
    directory = site.spool / "d1.test"
    shutil.rmtree(directory)
    site.own_dir(directory)
    m = subprocess.run(["mount", "-t", "tmpfs", "-o",
                        f"size=256k,mode=700,uid={UID},gid={GID}",
                        "vbox-test", directory], check=False,
                       stderr=subprocess.PIPE)
    if m.returncode != 0:
        pytest.skip("may not mount: " + m.stderr.decode())
    site.add("d1.test", "fred")

    def fill():
        r = site.deliver("-f", "first@client.test", "--", "d1.test", "fred",
                         data=b"Subject: first\n\nthere before\n")
        assert r.returncode == 0, r
        with open(directory / "ballast", "wb") as ballast:
            try:
                while True:
                    ballast.write(b"b" * 512)
                    ballast.flush()
            except OSError:
                pass
            try:
                ballast.close()
            except OSError:
                pass
        # The first page of the mailbox file has room left: the letter of this
        # test is longer than a page.
        return directory / "fred"

    yield fill
    # Workers that live still keep the directory open (store/base/kept.h).
    subprocess.run(["umount", "-l", directory], check=True)


def test_nothing_is_said_about_operators(site):
    """A rule before OperatorChars would make "+" an ordinary letter, and every
    sendmail command would warn of it."""
    where = site.dir / "sendmail"
    where.mkdir()
    mta = Sendmail(where, CONTRIB / "vbox-maps.mc", agent(site))
    mta.build()
    r = subprocess.run([BIN / "sendmail", "-C", mta.cf, "-bt"], cwd="/",
                       input=b"3 fred+lists@d1.test\n", check=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       **mta.named)
    assert b"OperatorChars" not in r.stdout
    assert b"fred + lists < @ d1 . test >" in r.stdout
