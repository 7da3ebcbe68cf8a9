"""Postfix's own LMTP client: SMTPUTF8, XFORWARD, verdicts of each kind in one
transaction. contrib's lines are tested in tests/integration."""
import smtplib

import pytest

from harness import until
from harness.mbox import body, fields
from harness.postfix import Postfix
from harness.site import Lmtpd

LETTER = ("From: <änna@client.test>\r\nTo: <müller@d1.test>\r\nSubject: grüße\r\n"
          "Message-Id: <1@client.test>\r\nDate: Mon, 2 Apr 2007 10:00:00 +0000\r\n"
          "\r\nüber alles\r\n").encode()


@pytest.fixture
def postfix(site):
    users = site.dir / "users"
    users.write_text("müller@d1.test\nfred@d1.test\nfred@d2.test\nanna@d2.test\n"
                     "locked@d1.test state=locked\noff@d1.test state=disabled\n")
    users.chmod(0o644)
    lmtpd = Lmtpd(site, directory=[f"file:{users}"])
    where = site.dir / "postfix"
    where.mkdir(mode=0o755)
    server = Postfix(where, f"""
virtual_mailbox_domains = d1.test, d2.test
virtual_transport = lmtp:unix:{lmtpd.socket}
virtual_mailbox_maps =
lmtp_send_xforward_command = yes
smtputf8_enable = yes
""")
    server.start()
    yield server
    server.stop()
    lmtpd.stop()


def stored(site, domain, user):
    until(lambda: site.box(domain, user).exists() and
          site.messages(domain, user), of=f"mail for {user}@{domain}")
    message, = site.messages(domain, user)
    return message


def test_smtputf8(site, postfix):
    with smtplib.SMTP("127.0.0.1", postfix.port, "client.test", timeout=60) as s:
        s.ehlo()
        assert s.has_extn("smtputf8")
        s.command_encoding = "utf-8"
        code, text = s.docmd("MAIL FROM:<änna@client.test> SMTPUTF8 BODY=8BITMIME")
        assert code == 250, text
        code, text = s.docmd("RCPT TO:<müller@d1.test>")
        assert code == 250, text
        code, text = s.data(LETTER)
        assert code == 250, text
    message = stored(site, "d1.test", "müller")
    assert fields(message, "Return-Path") == ["<änna@client.test>".encode()]
    assert fields(message, "Delivered-To") == ["müller@d1.test".encode()]
    received = fields(message, "Received")[0]
    assert b"with UTF8LMTP" in received
    # XFORWARD told who the client was.
    assert b"127.0.0.1" in received
    assert body(message) == "über alles\n".encode()


def test_verdicts_of_each_kind_in_one_transaction(site, postfix):
    """Refused at RCPT for good and for now, stored, put off behind the message:
    Postfix does with each what it should."""
    box = site.add("d2.test", "anna")
    aside = box.with_name("aside")
    box.rename(aside)
    box.symlink_to("/nowhere")
    postfix.send("fred@d2.test", ["off@d1.test", "locked@d1.test", "fred@d1.test",
                                  "anna@d2.test"], LETTER.replace(b"\xc3", b"A"))
    stored(site, "d1.test", "fred")
    bounce = body(stored(site, "d2.test", "fred"))
    assert b"5.2.1" in bounce and b"off@d1.test" in bounce
    for other in (b"locked@d1.test", b"anna@d2.test", b"fred@d1.test"):
        assert b"Final-Recipient: rfc822; " + other not in bounce
    until(lambda: len(postfix.deferred()) == 1, of="the message in the queue")
    box.unlink()
    aside.rename(box)
    postfix.run_queue()
    stored(site, "d2.test", "anna")
    assert len(site.messages("d1.test", "fred")) == 1
