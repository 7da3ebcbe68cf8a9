"""Postfix and Exim hand over, by command and by LMTP, with contrib's lines."""
import re

import pytest

from harness import TOP, until
from harness.exim import Exim
from harness.mbox import body, fields, split_mbox
from harness.postfix import Postfix
from harness.site import Lmtpd

CONTRIB = TOP / "contrib"
LETTER = (b"From: <anna@client.test>\r\nTo: freds:;\r\nSubject: %s\r\n"
          b"Message-Id: <1@client.test>\r\nDate: Mon, 2 Apr 2007 10:00:00 +0000\r\n"
          b"\r\nFrom the start\r\n..dot\r\n>From quoted\r\nlast line\r\n")
BODY = b"From the start\n..dot\n>From quoted\nlast line\n"
DOMAINS = "d1.test, d2.test"


def agent(site):
    path = site.dir / "agent"
    path.write_text(f'#!/bin/sh\nexec {site.bin}/vbox-deliver -c {site.conf} "$@"\n')
    path.chmod(0o755)
    return str(path)


def adapted(path, **places):
    """A file of contrib, with the places of this test."""
    text = (CONTRIB / path).read_text()
    for theirs, ours in {
            "example.com, example.net": DOMAINS,
            "/usr/local/sbin/vbox-deliver": places["agent"],
            "/run/vbox/lmtp.sock": str(places.get("socket")),
            "/etc/vbox/domains": str(places.get("domains"))}.items():
        text = text.replace(theirs, ours)
    return text


@pytest.fixture(params=["postfix-pipe", "postfix-lmtp", "exim-stdio", "exim-lmtp"])
def mta(request, site):
    site.add("d1.test", "anna")
    program, _, way = request.param.partition("-")
    lmtpd = Lmtpd(site) if way == "lmtp" else None
    domains = site.dir / "domains"
    domains.write_text("d1.test\nd2.test\n")
    places = {"agent": agent(site), "domains": domains,
              "socket": lmtpd.socket if lmtpd else None}
    where = site.dir / program
    where.mkdir(mode=0o755)
    if program == "postfix":
        server = Postfix(where, adapted(f"postfix/main-{way}.cf", **places),
                         adapted("postfix/master.cf", **places))
    else:
        server = Exim(where, adapted("exim/vbox-router", **places),
                      adapted(f"exim/vbox-{way}", **places))
    server.program, server.way = program, way
    server.start()
    yield server
    server.stop()
    if lmtpd:
        lmtpd.stop()


def one(site, mta, domain, user):
    try:
        until(lambda: site.messages(domain, user), of=f"mail for {user}@{domain}")
    except AssertionError:
        print(mta.said())
        raise
    message, = site.messages(domain, user)
    return message


def test_two_freds_in_one_envelope(site, mta):
    mta.send("anna@client.test", ["fred@d1.test", "fred@d2.test"],
             LETTER % b"both")
    for domain in ("d1.test", "d2.test"):
        message = one(site, mta, domain, "fred")
        assert body(message) == BODY
        assert fields(message, "Return-Path") == [b"<anna@client.test>"]
        assert fields(message, "Delivered-To") == [b"fred@" + domain.encode()]
    mta.idle()
    from_ = split_mbox(site.box("d1.test", "fred").read_bytes())[0].sender
    assert from_ == b"anna@client.test"


def test_unknown_user_is_bounced(site, mta):
    mta.send("anna@d1.test", ["ghost@d2.test", "fred@d2.test"],
             LETTER % b"to a ghost")
    assert body(one(site, mta, "d2.test", "fred")) == BODY
    bounce = one(site, mta, "d1.test", "anna")
    mta.idle()
    assert fields(bounce, "Return-Path") == [b"<>"]
    text = body(bounce)
    assert re.search(rb"(?im)^Final-Recipient: rfc822; ?ghost@d2\.test$", text), text
    assert b"5.1.1" in text
    if mta.program == "postfix":
        assert re.findall(rb"(?m)^Status: (.*)$", text) == [b"5.1.1"]
    assert site.messages("d2.test", "ghost") == []


def test_case_detail_and_nobody(site, mta):
    mta.send("<>", ["FRED@D2.Test"], LETTER % b"case")
    mta.send("anna@client.test", ["fred+lists@d1.test"], LETTER % b"detail")
    case = one(site, mta, "d2.test", "fred")
    assert fields(case, "Subject") == [b"case"]
    assert fields(case, "Return-Path") == [b"<>"]
    assert fields(one(site, mta, "d1.test", "fred"), "Subject") == [b"detail"]
    mta.idle()


def test_trouble_waits_in_the_queue(site, mta):
    """A mailbox that is in the way of itself: later, and then delivered."""
    box = site.box("d1.test", "fred")
    aside = box.with_name("aside")
    box.rename(aside)
    site.own_dir(box)
    mta.send("anna@client.test", ["fred@d1.test", "fred@d2.test"],
             LETTER % b"later")
    one(site, mta, "d2.test", "fred")
    until(lambda: b"verdict=box_unsafe" in (site.log / "vbox.log").read_bytes(),
          of="the first attempt")
    until(lambda: len(mta.deferred()) == 1, of="the message in the queue")
    # (Nobody may ask in between: without a box there is no fred.)
    box.rmdir()
    aside.rename(box)
    # (As long as the first attempt holds the message a run passes it over.)
    until(lambda: mta.run_queue() or site.messages("d1.test", "fred"),
          of="the second attempt")
    assert fields(one(site, mta, "d1.test", "fred"), "Subject") == [b"later"]
    mta.idle()
    assert len(site.messages("d2.test", "fred")) == 1
