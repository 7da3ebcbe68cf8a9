"""What an SMTP client is told at RCPT: by sendmail, Postfix and Exim with
contrib's lines, which ask vbox-lmtpd; and the same through LMTP, argv, the
socket map and the policy server. One table, one verdict, whatever the door."""
import shutil
import smtplib
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import PATIENCE, TOP, free_port, until
from harness.accounts import Vboxadm
from harness.exim import Exim
from harness.hosted import (BODY, LETTER, MTAS, adapted, end, restart,
                            serve_maps, start_sendmail, transcript)
from harness.mbox import body, fields
from harness.postfix import ROOT as POSTFIX
from harness.postfix import Postfix
from harness.sendmail import BIN, Sendmail

# The site, by commands alone.
SITE = """
domain add d1.test
domain add d2.test --format maildir
domain add alias.test --alias-of d1.test
domain add catch.test --catch-all fred@d1.test
domain add off.test
user add fred@d1.test
user add jane@d2.test
user add off@d1.test
user add lock@d1.test
user add susp@d1.test
user add full@d1.test --quota 1K
user add fwd@d1.test --forward away@elsewhere.test --keep no
user add gone@off.test
alias add info@d1.test fred@d1.test jane@d2.test
alias add list@d1.test list@mx.test
alias add ring@d1.test ring2@d1.test
alias add ring2@d1.test ring@d1.test
user disable off@d1.test
user lock lock@d1.test
user suspend susp@d1.test
domain disable off.test
"""

OK = (250, "2.")
UNKNOWN, DISABLED, LOCKED = (550, "5.1.1"), (550, "5.2.1"), (450, "4.2.1")
SYNTAX, FULL, LOOP, DOWN = (553, "5.1.3"), (552, "5.2.2"), (554, "5.4.6"), \
    (451, "4.3.0")
STRANGER = (550, "5.1.2")

RCPTS = [
    ("fred@d1.test", OK),
    ("FRED@D1.Test", OK),
    ("fred+lists@d1.test", OK),
    ("jane@d2.test", OK),
    ("fred@alias.test", OK),
    ("anything@catch.test", OK),
    ("info@d1.test", OK),
    ("list@d1.test", OK),
    ("fwd@d1.test", OK),
    ("susp@d1.test", OK),
    ("ghost@d1.test", UNKNOWN),
    ("ghost+x@d1.test", UNKNOWN),
    ("ghost@alias.test", UNKNOWN),
    ("off@d1.test", DISABLED),
    ("off+x@d1.test", DISABLED),
    ("gone@off.test", DISABLED),
    ("lock@d1.test", LOCKED),
    ("full@d1.test", FULL),
    ("ring@d1.test", LOOP),
    ("a/b@d1.test", SYNTAX),
]


# What the commands have made, for the next tests: each takes a process.
populated = tempfile.TemporaryDirectory(prefix="vbox-populated-")


def populate(site):
    """The directory of all tests here."""
    site.configure(directory=[f"sqlite:{site.state}/vbox.db"], quota_grace="10K")
    adm = Vboxadm(site)
    made = Path(populated.name) / "state"
    if not made.exists():
        for line in SITE.split("\n"):
            if line:
                adm(*line.split())
        subprocess.run(["cp", "-a", site.state, made], check=True)
    else:
        subprocess.run(["cp", "-a", f"{made}/.", site.state], check=True)
    return adm


def fill(site):
    """full@d1.test has no room left."""
    r = site.deliver("-f", "a@client.test", "--", "d1.test", "full",
                     data=b"Subject: first\n\n" + b"x" * 2000 + b"\n")
    assert r.returncode == 0, r


@pytest.fixture
def service(site):
    """vbox-lmtpd with all its doors."""
    adm = populate(site)
    fill(site)
    lmtpd = serve_maps(site)
    lmtpd.adm = adm
    yield lmtpd
    lmtpd.stop()


class Netstrings:
    """A client of the socket map."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def send(self, *questions):
        self.socket.sendall(b"".join(
            b"%d:%s," % (len(q.encode()), q.encode()) for q in questions))

    def read(self):
        length = b""
        while (c := self.file.read(1)) not in (b":", b""):
            length += c
        if not c:
            return None
        text = self.file.read(int(length)).decode()
        assert self.file.read(1) == b","
        return text

    def ask(self, question):
        self.send(question)
        return self.read()

    def close(self):
        self.file.close()
        self.socket.close()


def ask_policy(path, recipient, **more):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(PATIENCE)
        s.connect(str(path))
        asked = {"request": "smtpd_access_policy", "protocol_state": "RCPT",
                 "sender": "anna@client.test", "recipient": recipient, **more}
        s.sendall("".join(f"{k}={v}\n" for k, v in asked.items()).encode() + b"\n")
        s.shutdown(socket.SHUT_WR)
        said = b""
        while piece := s.recv(4096):
            said += piece
    assert said.startswith(b"action=") and said.endswith(b"\n\n")
    return said[7:-2].decode()


def verdict(code, text):
    """What an SMTP reply says: 250 and "2.", or the code and the enhanced one."""
    text = text.decode() if isinstance(text, bytes) else text
    return OK if code == 250 else (code, text.split()[0])


# --- the doors of our own -----------------------------------------------------


@pytest.mark.parametrize("door", ["lmtp", "argv", "socketmap", "virtuser",
                                  "access", "postfix-map", "policy"])
def test_one_verdict_behind_every_door(site, service, door):
    maps = Netstrings(service.map)
    exits = {OK: 0, UNKNOWN: 67, DISABLED: 69, LOCKED: 75, FULL: 69, LOOP: 69,
             SYNTAX: 65, STRANGER: 67}

    def tables(answer):
        """error:5.1.1:550 text"""
        assert answer.startswith("OK ")
        kind, _, rest = answer[3:].partition(":")
        if kind.lower() != "error":
            return OK
        enhanced, _, reply = rest.partition(":")
        return (int(reply.split()[0]), enhanced)

    def reply(text):
        words = text.split()
        return (int(words[0]), words[1])

    def ask(address):
        local, _, domain = address.rpartition("@")
        if door == "lmtp":
            with smtplib.LMTP(str(service.socket)) as lmtp:
                lmtp.ehlo("client.test")
                assert lmtp.mail("anna@client.test")[0] == 250
                return verdict(*lmtp.rcpt(address))
        if door == "argv":
            r = site.deliver("-n", "-f", "anna@client.test", "--", domain, local,
                             data=b"Subject: x\n\nx\n")
            return r.returncode
        if door == "socketmap":
            return tables(maps.ask(f"vbox_recipient {address}"))
        if door == "virtuser":
            answer = maps.ask(f"virtuser {address}")
            if answer == "NOTFOUND ":
                answer = maps.ask(f"virtuser @{domain}")
            return tables(answer)
        if door == "access":
            return tables(maps.ask(f"access To:{address}"))
        if door == "postfix-map":
            answer = maps.ask(f"recipient_access {address}")
            return OK if answer == "NOTFOUND " else reply(answer[3:])
        action = ask_policy(service.policy, address)
        return OK if action == "DUNNO" else reply(action)

    for address, want in RCPTS:
        got = ask(address)
        assert got == (exits[want] if door == "argv" else want), address
    # Who is not ours is refused where mail is handed to us; where we are only
    # asked, the MTA has its own rules for relaying.
    if door == "lmtp":
        assert ask("fred@elsewhere.test") == STRANGER
    elif door == "argv":
        assert ask("fred@elsewhere.test") == exits[STRANGER]
    else:
        assert maps.ask("vbox_recipient fred@elsewhere.test") == "NOTFOUND "
        assert maps.ask("vbox_domain elsewhere.test") == "NOTFOUND "
        assert ask_policy(service.policy, "fred@elsewhere.test") == "DUNNO"
    maps.close()


def test_size_is_judged_before_the_message(site, service):
    service.adm("user", "add", "some@d1.test", "--quota", "100K")
    assert ask_policy(service.policy, "some@d1.test", size=1000) == "DUNNO"
    assert ask_policy(service.policy, "some@d1.test", size=200000) \
        .startswith("552 5.2.2 ")


def test_connections_persist_and_pipeline(service):
    one, two = Netstrings(service.map), Netstrings(service.map)
    one.send(*["vbox_domain d1.test", "vbox_domain no.test"] * 500)
    two.send("virtuser fred@d1.test")
    assert two.read() == "OK fred@d1.test.virtuser."
    for _ in range(500):
        assert one.read() == "OK d1.test"
        assert one.read() == "NOTFOUND "
    # Half a question, and the rest of it.
    one.socket.sendall(b"19:vbox_dom")
    one.socket.sendall(b"ain d1.test,")
    assert one.read() == "OK d1.test"
    one.socket.sendall(b"hello")
    assert one.read() is None
    assert two.ask("vbox_domain d2.test") == "OK d2.test"
    for c in (one, two):
        c.close()


def test_a_new_user_is_known_at_once(service):
    maps = Netstrings(service.map)
    ask = "vbox_recipient nora@d1.test"
    assert maps.ask(ask) == "OK ERROR:5.1.1:550 User unknown"
    service.adm("user", "add", "nora@d1.test")
    assert maps.ask(ask) == "OK OK"
    maps.close()


def break_directory(site):
    """The accounts cannot be asked."""
    db = site.state / "vbox.db"
    for path in site.state.glob("vbox.db-*"):
        path.unlink()
    db.write_bytes(b"this is no database" * 1000)


def test_directory_down_is_never_not_found(site, service):
    break_directory(site)
    restart(site, service)
    maps = Netstrings(service.map)
    for question in ("vbox_recipient fred@d1.test", "vbox_domain d1.test",
                     "virtuser fred@d1.test", "virtuser @d1.test",
                     "access To:fred@d1.test",
                     "virtual_mailbox_maps fred@d1.test",
                     "recipient_access ghost@d1.test"):
        assert maps.ask(question).startswith("TEMP "), question
    assert ask_policy(service.policy, "fred@d1.test").startswith("451 4.3.0 ")
    maps.close()


# --- MTAs ----------------------------------------------------------------------


@pytest.fixture(params=list(MTAS))
def mta(request, site, service):
    server = MTAS[request.param](site, service)
    server.name = request.param
    yield server
    server.stop()


def test_the_code_at_rcpt(site, service, mta):
    said = transcript(mta, [address for address, _ in RCPTS])
    wrong = {a: (said[a], want) for a, want in RCPTS
             if verdict(*said[a]) != want}
    assert not wrong
    # A stranger is no business of ours, and of nobody's here.
    code, text = transcript(mta, ["x@elsewhere.test"])["x@elsewhere.test"]
    if mta.name == "sendmail":
        assert code == 550 and text.startswith(b"5.7.1"), text


def test_no_restart_after_user_add(site, service, mta):
    address = "later@d1.test"
    assert verdict(*transcript(mta, [address])[address]) == UNKNOWN
    service.adm("user", "add", address)

    def taken():
        return transcript(mta, [address])[address][0] == 250
    # Postfix keeps an answer of its own for a while; the others do not.
    until(taken, of="the new user at RCPT")
    mta.send("anna@client.test", [address], LETTER % b"welcome")
    until(lambda: site.messages("d1.test", "later"), of="the mail")
    mta.idle()
    message, = site.messages("d1.test", "later")
    assert body(message) == BODY
    assert not list(mta.dir.rglob("*.db"))


def test_one_envelope_to_all_who_may(site, service, mta):
    good = [a for a, want in RCPTS if want == OK
            and a not in ("fwd@d1.test", "list@d1.test", "FRED@D1.Test",
                          "info@d1.test")]
    refused = mta.send("anna@client.test", good + ["ghost@d1.test"],
                       LETTER % b"all")
    assert list(refused) == ["ghost@d1.test"]
    mta.idle()
    assert len(site.messages("d2.test", "jane")) == 1
    assert len(site.messages("d1.test", "susp")) == 1
    for message in site.messages("d1.test", "fred"):
        assert body(message) == BODY


def test_aliases_forwards_and_lists_arrive(site, service, mta):
    """What RCPT promised: a list of two, a forward, a catch-all, a domain
    alias, a detail; each to whom the directory says, once."""
    passed_on = site.own_dir(site.dir / "passed-on") / "args"
    submit = site.dir / "submit"
    submit.write_text(f'#!/bin/sh\ncat >/dev/null\nprintf "%s\\n" "$*" '
                      f'>> {passed_on}\n')
    submit.chmod(0o755)
    site.configure(submit=submit)
    restart(site, service)
    for n, (address, mailboxes) in enumerate([
            ("info@d1.test", ["fred@d1.test", "jane@d2.test"]),
            ("anything@catch.test", ["fred@d1.test"]),
            ("fred@alias.test", ["fred@d1.test"]),
            ("fred+lists@d1.test", ["fred@d1.test"])]):
        subject = b"number %d" % n
        assert mta.send("anna@client.test", [address], LETTER % subject) == {}
        for mailbox in mailboxes:
            user, _, domain = mailbox.partition("@")

            def arrived():
                return [m for m in site.messages(domain, user)
                        if fields(m, "Subject") == [subject]]
            until(arrived, of=f"mail for {address}")
            assert len(arrived()) == 1
    mta.idle()
    assert mta.send("anna@client.test", ["fwd@d1.test"], LETTER % b"fwd") == {}
    until(lambda: passed_on.exists() and passed_on.read_text().endswith("\n"),
          of="the forward")
    mta.idle()
    line, = passed_on.read_text().splitlines()
    assert line.endswith("-- away@elsewhere.test")
    assert len(site.messages("d2.test", "jane")) == 1


def test_directory_down_at_rcpt(site, service, mta):
    break_directory(site)
    restart(site, service)
    for address in ("fred@d1.test", "ghost@d1.test", "off@d1.test"):
        code, text = transcript(mta, [address])[address]
        assert code // 10 == 45 and text.split()[0] == b"4.3.0", (address, text)


def test_service_down_at_rcpt(service, mta):
    """Nobody answers at all: later, never unknown."""
    end(service)
    for address in ("fred@d1.test", "ghost@d1.test"):
        code, text = transcript(mta, [address])[address]
        assert code // 100 == 4, (address, text)


# --- sendmail alone ------------------------------------------------------------


@pytest.fixture
def sendmail(site, service):
    server = start_sendmail(site, service)
    yield server
    server.stop()


def test_sendmail_keeps_its_other_checks(service, sendmail):
    """To: entries of the access table hold for hosted users, too; others are
    not relayed for strangers."""
    service.adm("user", "add", "blocked@d1.test")
    code, text = transcript(sendmail, ["blocked@d1.test"])["blocked@d1.test"]
    assert (code, text.split()[0]) == (550, b"5.2.1")


@pytest.mark.parametrize("early", [False, True])
def test_sendmail_asks_dns_lists_for_hosted_domains(site, service, early):
    """Whatever is done to let mail for hosted domains in, they stay asked."""
    table = site.dir / "dnsbl"
    table.write_text("1.0.0.127.bl.test\t127.0.0.2\n"
                     "1.0.0.127.bl.test.\t127.0.0.2\n")
    mc = adapted("sendmail/vbox-maps.mc", service).replace(
        "FEATURE(`blocklist_recipients')dnl",
        f"define(`DNSBL_MAP', `text -k0 -v1 {table}')dnl\n"
        + ("" if early else "FEATURE(`delay_checks')dnl\n")
        + "FEATURE(`dnsbl', `bl.test', `\"550 5.7.1 listed\"')dnl\n"
        "FEATURE(`blocklist_recipients')dnl")
    mta = start_sendmail(site, service, text=mc)
    try:
        with smtplib.SMTP("127.0.0.1", mta.port, "client.test",
                          timeout=PATIENCE) as smtp:
            smtp.ehlo()
            said = smtp.mail("anna@client.test")
            if said[0] == 250:
                said = smtp.rcpt("fred@d1.test")
            assert said[0] == 550 and b"listed" in said[1], said
    finally:
        mta.stop()


def test_sendmail_lists_and_local_users(site, sendmail):
    """aliases and :include: are as they were, and lead to hosted users."""
    assert sendmail.send("anna@client.test", ["list@mx.test"],
                         LETTER % b"to the list") == {}
    sendmail.idle()
    for domain, user in (("d1.test", "fred"), ("d2.test", "jane")):
        message, = site.messages(domain, user)
        assert fields(message, "Subject") == [b"to the list"]


def test_the_pair_with_a_scanner(site, service):
    """One envelope, 20 recipients in 5 domains: one queue file for each; a
    stand-in for MailScanner moves them; 20 mailboxes have the mail."""
    domains = [f"s{i}.test" for i in range(5)]
    people = [f"u{n}@{d}" for d in domains for n in range(4)]
    for d in domains:
        service.adm("domain", "add", d)
    for p in people:
        service.adm("user", "add", p)
    queue_in, queue = site.dir / "mqueue.in", site.dir / "mqueue"
    queue_in.mkdir(mode=0o700)
    incoming = start_sendmail(site, service, "vbox-in.mc", "in", ["-odq"],
                              queue=queue)
    outgoing = start_sendmail(site, service, "vbox-out.mc", "out", [],
                              queue=queue)
    try:
        refused = incoming.send("anna@client.test", people + ["ghost@s0.test"],
                                LETTER % b"scanned")
        assert {k: v[0] for k, v in refused.items()} == {"ghost@s0.test": 550}
        controls = sorted(queue_in.glob("qf*"))
        assert len(controls) == 20
        assert not outgoing.queued()
        for path in controls:
            text = path.read_bytes()
            assert text.count(b"\nR") == 1
        # Body before envelope, as MailScanner does it: what has a qf is whole.
        for path in sorted(queue_in.glob("df*")) + controls:
            shutil.move(path, queue / path.name)
        outgoing.run_queue()
        outgoing.idle()
        for p in people:
            user, _, domain = p.partition("@")
            message, = site.messages(domain, user)
            assert body(message) == BODY
            assert fields(message, "Delivered-To") == [p.encode()]
    finally:
        incoming.stop()
        outgoing.stop()


def test_sendmail_with_exported_tables(site, service):
    """A site that keeps files: vbox-single.mc and what vboxadm writes for it,
    makemap included, say the same at RCPT."""
    where = site.dir / "tables"
    where.mkdir()
    agent = where / "vbox-deliver"
    agent.write_text(f'#!/bin/sh\nexec {site.bin}/vbox-deliver -c {site.conf} "$@"\n')
    agent.chmod(0o755)
    mta = Sendmail(where, TOP / "contrib/sendmail/vbox-single.mc", agent)
    mta.build()
    mta.table("vboxdomains", "")
    path = where / "bin"
    path.mkdir()
    (path / "makemap").write_text(
        f'#!/bin/sh\nexec {BIN}/makemap -C {mta.cf} "$@"\n')
    (path / "makemap").chmod(0o755)

    def export(table, *more):
        r = subprocess.run(
            [site.bin / "vboxadm", "-c", site.conf, "export", table,
             f"--output={mta.etc}/{table}", *more],
            env={**site.environment(), "PATH": f"{path}:/usr/bin:/bin"},
            check=True, stdout=subprocess.PIPE)
        return r.stdout.decode().split()[-1]

    assert export("virtuserdomains") == "changed"
    assert export("virtusertable", "--makemap=hash") == "changed"
    assert export("access", "--makemap=hash") == "changed"
    assert export("genericstable", "--makemap=hash") == "changed"
    mta.start()
    try:
        # A table knows no quota, no loop and no syntax; states it knows.
        asked = [(a, want) for a, want in RCPTS if want in
                 (OK, UNKNOWN, DISABLED, LOCKED)]
        said = transcript(mta, [a for a, _ in asked])
        wrong = {a: (said[a], want) for a, want in asked
                 if verdict(*said[a]) != want}
        assert not wrong
        assert verdict(*transcript(mta, ["fred@d1.test.virtuser"])
                       ["fred@d1.test.virtuser"]) == UNKNOWN
        # Nothing is rebuilt without a reason; a new user is one, and so is a
        # map that is not there.
        db = mta.etc / "virtusertable.db"
        before = db.stat().st_mtime_ns
        assert export("virtusertable", "--makemap=hash") == "unchanged"
        assert db.stat().st_mtime_ns == before
        db.unlink()
        assert export("virtusertable", "--makemap=hash") == "unchanged"
        assert db.exists()
        service.adm("user", "add", "later@d1.test")
        assert export("virtusertable", "--makemap=hash") == "changed"
        assert mta.send("anna@client.test", ["later@d1.test"],
                        LETTER % b"tables") == {}
        mta.idle()
        message, = site.messages("d1.test", "later")
        assert body(message) == BODY
    finally:
        mta.stop()


@pytest.mark.parametrize("question,answer", [
    ("/map vbox_recipient fred@d1.test", "returns OK"),
    ("/map vbox_recipient off@d1.test",
     "returns ERROR:5.2.1:550 Mailbox not available"),
    ("Local_check_rcpt <ghost@d1.test>", "$# error $@ 5 . 1 . 1 $: 550 User unknown"),
    ("Local_check_rcpt <fred@elsewhere.test>", "< NONE >"),
    ("3,0 fred@d1.test", "$# vbox $@ d1 . test $: fred < @ d1 . test . >"),
    ("3,0 list@mx.test", "$# local $: list"),
])
def test_what_an_administrator_asks_sendmail(sendmail, question, answer):
    """The questions of docs/NEW-SITE.md, in sendmail's test mode."""
    r = subprocess.run([BIN / "sendmail", "-C", sendmail.cf, "-bt"],
                       input=question.encode() + b"\n", check=False, cwd="/",
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       **sendmail.named)
    said = r.stdout.decode()
    assert answer in " ".join(said.split()), said


@pytest.mark.parametrize("question,answer", [
    ("virtual_mailbox_domains d1.test", "d1.test\n"),
    ("recipient_access off@d1.test", "550 5.2.1 Mailbox not available\n"),
    ("recipient_access fred@d1.test", ""),
    ("virtual_alias_maps info@d1.test", "fred@d1.test, jane@d2.test\n"),
])
def test_what_an_administrator_asks_postfix(site, service, question, answer):
    """postmap -q, as in docs/NEW-SITE.md."""
    name, _, key = question.partition(" ")
    where = site.dir / "postfix"
    where.mkdir(mode=0o755)
    mta = Postfix(where)
    r = subprocess.run(
        [POSTFIX / "usr/sbin/postmap", "-q", key,
         f"socketmap:unix:{service.map}:{name}"], env=mta.env, check=False,
        preexec_fn=mta.private.enter, cwd="/", stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert r.stdout.decode() == answer, r.stderr


def hosts_sendmail(site, service, port):
    mc = adapted("sendmail/vbox-maps.mc", service).replace(
        "define(`VBOX_LMTP_SOCKET'", "define(`VBOX_HOSTS')dnl\n"
        f"define(`VBOX_LMTP_PORT', `{port}')dnl\ndefine(`VBOX_LMTP_SOCKET'")
    return start_sendmail(site, service, text=mc)


def hosts_postfix(site, service, port):
    where = site.dir / "postfix"
    where.mkdir(mode=0o755)
    return Postfix(where, adapted("postfix/main-maps.cf", service)
                   + f"lmtp_tcp_port = {port}\n").start()


def hosts_exim(site, service, port):
    where = site.dir / "exim"
    where.mkdir(mode=0o755)
    lmtp = adapted("exim/vbox-hosts-lmtp", service).replace(
        "port = 24\n", f"port = {port}\n  allow_localhost\n")
    # The other machine is this one here, which Exim would notice.
    router = adapted("exim/vbox-hosts-router", service) + "  self = send\n"
    return Exim(where, router + adapted("exim/vbox-maps-router", service),
                adapted("exim/vbox-lmtp", service) + lmtp,
                acl=adapted("exim/vbox-acl", service)).start()


@pytest.mark.parametrize("start", [hosts_sendmail, hosts_postfix, hosts_exim])
def test_a_mailbox_on_another_host(site, service, start):
    """The directory names the host, the MTA hands over there by LMTP."""
    service.adm("domain", "add", "far.test", "--host", "127.0.0.1")
    service.adm("user", "add", "bob@far.test")
    maps = Netstrings(service.map)
    assert maps.ask("transport bob@far.test") == "OK lmtp:[127.0.0.1]"
    assert maps.ask("transport fred@d1.test") == "NOTFOUND "
    maps.close()
    port = free_port()
    end(service)
    site.configure(lmtp_listen=[f"unix:{service.socket}",
                                f"inet:127.0.0.1:{port}"])
    restart(site, service)
    mta = start(site, service, port)
    try:
        assert mta.send("anna@client.test", ["bob@far.test", "fred@d1.test"],
                        LETTER % b"far") == {}
        until(lambda: site.messages("far.test", "bob") and
              site.messages("d1.test", "fred"), of="both mails")
        mta.idle()
        far, = site.messages("far.test", "bob")
        near, = site.messages("d1.test", "fred")
        assert body(far) == body(near) == BODY
        # By TCP, so Received names the client.
        assert b"(127.0.0.1)" in fields(far, "Received")[0]
    finally:
        mta.stop()
