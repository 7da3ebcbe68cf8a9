"""The content policy through both doors, by the real programs."""
import json
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import zipfile
from pathlib import Path

import pytest

from harness import PATIENCE, TOP, until
from harness.accounts import Vboxadm
from harness.attachments import (JPEG, attach, example_policy, exe, files,
                                 harmless, hostile, part, png, wrap, zipped)
from harness.lmtp import Client, Lmtpd, stdio
from harness.proc import children, traced
from harness.site import Site, new_directory, remove

RULES = example_policy(TOP / "contrib" / "vbox.conf")
HOSTILE = hostile()
CERTAIN = {"image/png", "image/jpeg", "image/gif", "application/pdf",
           "text/xml"}
EXE = attach("invoice.pdf", "application/pdf", exe())
# Seconds of a processor that libmagic and unpacking may take, under a sanitizer.
LONGEST = 20


@pytest.fixture(scope="module")
def policed(programs):
    """fred in d1.test (mbox) and d2.test (Maildir), under the example policy,
    and the service for them."""
    s = Site(new_directory(), programs)
    s.add("d1.test", "fred")
    s.add("d2.test", "fred")
    s.configure(content_rules=RULES, message_size_limit=0)
    with Lmtpd(s) as service:
        yield s, service
    remove(s.dir)


def cpu():
    """Seconds of our children and of theirs, those that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def lines(site):
    return (site.log / "vbox.log").read_text().splitlines()


def by_argv(site, service, data, domain="d2.test"):
    r = site.deliver("-f", "a@b.test", "--", domain, "fred", data=data)
    return r.returncode, r.stdout.decode()


def by_lmtp(site, service, data, domain="d2.test"):
    with service.connect() as c:
        c.hello()
        replies = c.message([f"fred@{domain}"], data.replace(b"\n.", b"\n.."))[1]
        return {"2": 0, "4": 75, "5": 77}[replies[0][0]], replies[0]


DOORS = {"argv": by_argv, "lmtp": by_lmtp}


def quarantined(site):
    box = site.box("d2.test", "fred") / ".Quarantine" / "new"
    return [p.read_bytes() for p in box.iterdir()] if box.is_dir() else []


def empty(site):
    for p in site.box("d2.test", "fred").rglob("*"):
        if p.is_file() and p.parent.name in ("new", "cur"):
            p.unlink()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name,data,want", HOSTILE,
                         ids=[h[0].replace(" ", "-") for h in HOSTILE])
def test_hostile(policed, door, name, data, want):
    site, service = policed
    empty(site)
    began = cpu()
    code, said = DOORS[door](site, service, data)
    assert cpu() - began < LONGEST
    boxed, away = site.messages("d2.test", "fred"), quarantined(site)
    if want == "reject":
        assert code == 77 and "5.7.1" in said, said
        assert re.search(r"[Aa]ttachment .*refused: ", said), said
        assert str(site.dir) not in said and "/" not in said.split("> ")[-1]
        assert not boxed and not away
    elif want == "quarantine":
        assert code == 0 and not boxed and len(away) == 1, (code, said)
        assert b"\nX-Vbox-Content: quarantine;" in away[0]
    else:
        assert code == 0 and len(boxed) == 1 and not away
        assert b"\nX-Vbox-Content: tag;" in boxed[0]
    log = lines(site)[-1]
    assert f"content={want}" in log.replace('"', ""), log


@pytest.fixture(scope="module")
def kinds():
    directory = new_directory()
    yield list(harmless(directory))
    remove(directory)


@pytest.mark.parametrize("door", DOORS)
def test_a_hundred_harmless_kinds_pass_untouched(policed, kinds, door):
    """Byte by byte, and without a mark."""
    site, service = policed
    assert len(kinds) >= 100
    wrong = []
    for name, data in kinds:
        empty(site)
        code, said = DOORS[door](site, service, data)
        got = site.messages("d2.test", "fred")
        if code or len(got) != 1 or not got[0].endswith(data) or \
                b"X-Vbox-Content" in got[0]:
            wrong.append((name, code, said, lines(site)[-1]))
    assert not wrong, "\n".join(map(str, wrong))


def test_what_is_certain_is_what_libmagic_says(site, tmp_path):
    """Types that are known from the first bytes, and those of all texts, of
    which libmagic sees less, beside file(1)."""
    seen = set()
    for name, kind, data in files():
        if not data:
            continue
        said = site.deliver("-n", "--", "d2.test", "fred",
                            data=attach(name, kind, data)).stdout.decode()
        ours = re.search(r"  attachment " + re.escape(name) +
                         r": ([^\s,]+)", said)[1]
        (tmp_path / "x").write_bytes(data)
        theirs = subprocess.run(
            ["file", "-b", "--mime-type", tmp_path / "x"], check=True,
            stdout=subprocess.PIPE).stdout.decode().strip()
        if CERTAIN & {ours, theirs} or theirs.startswith("text/"):
            assert ours == theirs, name
            seen.add(ours)
    assert seen >= CERTAIN


def test_nobody_can_forge_the_mark(policed):
    """Neither where a policy applies, nor where only a script looks."""
    site, service = policed
    forged = (b"From: a@b.test\nX-VBOX-Content : accept\n\tfolded\nSubject: x\n"
              b"X-Vbox-Content: tag\n\nX-Vbox-Content: body\n")
    script = site.own_file(
        site.home / "d2.test" / "fred" / ".dovecot.sieve",
        b'require "fileinto"; if exists "x-vbox-content" { fileinto "Fooled"; }')
    try:
        for rules in (RULES, []):
            site.configure(content_rules=rules)
            empty(site)
            assert by_argv(site, service, forged)[0] == 0
            got = site.messages("d2.test", "fred")
            assert len(got) == 1
            head, body = got[0].split(b"\n\n", 1)
            assert b"vbox-content" not in head.lower()
            assert b"folded" not in head and b"Subject: x" in head
            assert body == b"X-Vbox-Content: body\n"
    finally:
        script.unlink()
        site.configure(content_rules=RULES)


def test_a_script_sees_the_mark(policed):
    site, service = policed
    script = site.own_file(
        site.home / "d2.test" / "fred" / ".dovecot.sieve",
        b'require ["fileinto", "editheader"];\n'
        b'if header :contains "x-vbox-content" "mismatch" {\n'
        b'  addheader "X-Seen" "yes"; fileinto "Liars"; }')
    try:
        empty(site)
        lie = attach("picture.png", "image/png", b"just text\n" * 20)
        assert by_lmtp(site, service, lie)[0] == 0
        box = site.box("d2.test", "fred") / ".Liars" / "new"
        got = [p.read_bytes() for p in box.iterdir()]
        assert len(got) == 1 and not site.messages("d2.test", "fred")
        assert got[0].count(b"X-Vbox-Content:") == 1
        assert b"\nX-Seen: yes\n" in got[0]
    finally:
        script.unlink()


def test_the_administrators_maildir(policed):
    """Not the user's mail: neither his folder nor his quota."""
    site, service = policed
    away = site.own_dir(site.dir / "away")
    site.configure(content_quarantine=f"maildir:{away}/%d/%n",
                   content_rules=["quarantine executable"], quota_bytes="2K")
    service.reload()
    try:
        for door in DOORS.values():
            empty(site)
            assert door(site, service, attach("x.exe", "text/plain",
                                              exe() + bytes(9000)))[0] == 0
        got = list((away / "d2.test" / "fred" / "new").iterdir())
        assert len(got) == 2
        assert not site.messages("d2.test", "fred") and not quarantined(site)
        assert "X-Vbox-Content: quarantine;" in got[0].read_text()
    finally:
        site.configure(content_quarantine=None, content_rules=RULES,
                       quota_bytes=None)
        service.reload()


def inetd(site):
    """vbox-lmtpd for one connection, confined as a worker is."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    p = subprocess.Popen([site.bin / "vbox-lmtpd", "-c", site.conf],
                         stdin=theirs, stdout=theirs,
                         stderr=subprocess.DEVNULL, env=site.environment())
    theirs.close()
    return Client(ours, p)


@pytest.mark.parametrize("connect", [stdio, inetd])
def test_the_other_doors(site, connect):
    site.configure(content_rules=RULES)
    with connect(site) as c:
        c.hello()
        for want, data in (("550 5.7.1 ", EXE), ("250 ", attach(
                "a.png", "image/png", png())), ("550 5.7.1 ", EXE)):
            assert c.message(["fred@d2.test"], data)[1][0].startswith(want)
    assert len(site.messages("d2.test", "fred")) == 1


def test_section_user_and_none(site):
    """The directory's word for a user goes before the section's, that before
    the global one."""
    site.configure(directory=[f"sqlite:{site.state}/vbox.db"],
                   content_rules=["tag executable"])
    site.domains["d2.test"]["content_rules"] = ["reject executable"]
    site.configure()
    adm = Vboxadm(site)
    for d in ("d1.test", "d2.test"):
        adm("domain", "add", d)
    adm("user", "add", "fred@d1.test")
    adm("user", "add", "fred@d2.test")
    adm("user", "add", "free@d2.test", "--content", "none")
    adm("user", "add", "own@d2.test", "--content",
        "accept name invoice.*; default")
    want = {("d1.test", "fred"): "tag", ("d2.test", "fred"): "reject",
            ("d2.test", "free"): "", ("d2.test", "own"): "accept"}
    for (domain, user), verdict in want.items():
        r = site.deliver("--", domain, user, data=EXE)
        log = lines(site)[-1].replace('"', "")
        assert (f"content={verdict}" in log) if verdict else \
            "content=" not in log, log
        assert (r.returncode == 77) == (verdict == "reject")
    assert adm.json("user", "show", "own@d2.test")["content"] == \
        "accept name invoice.*; default"
    adm("user", "set", "own@d2.test", "--content", "default")
    assert site.deliver("--", "d2.test", "own", data=EXE).returncode == 77
    r = adm.run("user", "set", "own@d2.test", "--content", "reject everything",
                code=64)
    assert b"`everything' is no condition" in r.stderr
    assert "content" not in adm.json("user", "show", "own@d2.test")


def test_a_database_of_before(site):
    """Without the column it is read as before; vboxadm adds it."""
    db = site.state / "vbox.db"
    site.configure(directory=[f"sqlite:{db}"], content_rules=["reject executable"])
    adm = Vboxadm(site)
    adm("domain", "add", "d2.test")
    adm("user", "add", "fred@d2.test")

    def sql(text):
        return subprocess.run(["sqlite3", db, text], check=True,
                              stdout=subprocess.PIPE).stdout.decode()
    sql("ALTER TABLE accounts DROP COLUMN content")
    assert site.deliver("--", "d2.test", "fred", data=b"Subject: x\n\nhi\n"
                        ).returncode == 0
    assert site.deliver("--", "d2.test", "fred", data=EXE).returncode == 77
    assert "content" not in sql(".schema accounts")
    with Lmtpd(site) as service:
        assert by_lmtp(site, service, EXE)[0] == 77
    adm("user", "set", "fred@d2.test", "--content", "none")
    assert "content" in sql(".schema accounts")
    assert site.deliver("--", "d2.test", "fred", data=EXE).returncode == 0


def test_a_file_directory_holds_rules(site):
    users = site.dir / "users"
    users.write_text("fred@d2.test content=reject%20executable;tag%20mismatch\n"
                     "jane@d2.test content=reject%20nonsense\n"
                     "joe@d2.test\n")
    users.chmod(0o644)
    site.configure(directory=[f"file:{users}"], content_rules=["tag executable"])
    assert site.deliver("--", "d2.test", "fred", data=EXE).returncode == 77
    # A mistake there: the configuration's rules, and a line in the log.
    assert site.deliver("--", "d2.test", "jane", data=EXE).returncode == 0
    assert any("nonsense" in line and "jane@d2.test" in line
               for line in lines(site))
    said = Vboxadm(site)("check", code=65)
    assert "nonsense" in said and "jane" in said and "fred" not in said
    assert "content=" in lines(site)[-1] and "tag" in lines(site)[-1]
    assert site.deliver("--", "d2.test", "joe", data=EXE).returncode == 0


def test_an_alias_of_several(site):
    """All refuse: 550. One refuses: the other gets it, the first one's is put
    away."""
    users = site.dir / "users"
    users.write_text("fred@d2.test content=reject%20executable\n"
                     "jane@d2.test content=none\n"
                     "joe@d2.test content=reject%20attached\n"
                     "all@d2.test alias=fred,joe\n"
                     "some@d2.test alias=fred,jane\n")
    users.chmod(0o644)
    site.configure(directory=[f"file:{users}"])
    r = site.deliver("--", "d2.test", "all", data=EXE)
    assert r.returncode == 77 and b"5.7.1" in r.stdout
    assert not quarantined(site)
    assert site.deliver("--", "d2.test", "some", data=EXE).returncode == 0
    assert len(site.messages("d2.test", "jane")) == 1
    assert len(quarantined(site)) == 1 and not site.messages("d2.test", "fred")


def test_a_forward_is_judged(site):
    """What goes elsewhere by the directory gets the user's policy, or the domain's,
    and the mark."""
    sent = site.dir / "sent"
    sendmail = site.dir / "sendmail"
    sendmail.write_text(f"#!/bin/sh\ncat >>{sent}\n")
    sendmail.chmod(0o755)
    site.own_file(sent)
    users = site.dir / "users"
    users.write_text("fred@d2.test forward=fred@elsewhere.test keep=no\n")
    users.chmod(0o644)
    site.configure(directory=[f"file:{users}"], submit=sendmail,
                   content_rules=["reject executable", "tag mismatch"])
    assert site.deliver("--", "d2.test", "fred", data=EXE).returncode == 77
    assert sent.read_bytes() == b""
    lie = attach("picture.png", "image/png", b"just text\n" * 20)
    assert site.deliver("--", "d2.test", "fred", data=lie).returncode == 0
    assert sent.read_bytes().count(b"X-Vbox-Content: tag;") == 1
    # The user's own rules, with a copy kept and without; and an alias's target.
    away = site.own_dir(site.dir / "away")
    users.write_text(
        "fred@d2.test forward=fred@elsewhere.test keep=yes "
        "content=reject%20executable\n"
        "jane@d2.test forward=jane@elsewhere.test keep=no content=none\n"
        "list@d2.test alias=joe@elsewhere.test\n")
    site.configure(content_rules=["quarantine executable"],
                   content_quarantine=f"maildir:{away}/%d/%n")
    site.own_file(sent)
    assert site.deliver("--", "d2.test", "fred", data=EXE).returncode == 77
    assert sent.read_bytes() == b""
    assert site.deliver("--", "d2.test", "jane", data=EXE).returncode == 0
    assert sent.read_bytes().count(b"Subject: attached") == 1
    assert site.deliver("--", "d2.test", "list", data=EXE).returncode == 0
    assert sent.read_bytes().count(b"Subject: attached") == 1
    kept = list((away / "d2.test" / "list" / "new").iterdir())
    assert len(kept) == 1
    assert b"Delivered-To: joe@elsewhere.test" in kept[0].read_bytes()


def test_explain_and_rehearsal_show_what_was_found(site):
    site.configure(content_rules=RULES)
    data = wrap(part("holiday.png", "image/png", png()),
                part("x.zip", "application/zip", zipped(("d/run.bin", exe()))))
    said = site.deliver("-n", "--", "d2.test", "fred", data=data).stdout.decode()
    assert re.search(r"attachment holiday.png: image/png, ", said), said
    assert re.search(r"member d/run.bin: application/\S+, \d+ bytes, executable "
                     r'-> reject by "reject executable"', said), said
    assert "content policy: reject" in said
    assert re.search(r"^5.7.1 <fred@d2.test> Attachment \"run.bin\" refused: a "
                     r"program or script", said, re.M), said
    assert not site.messages("d2.test", "fred")
    told = json.loads(site.deliver("-n", "-j", "--", "d2.test", "fred",
                                   data=data).stdout)
    assert told["content"]["verdict"] == "reject"
    assert told["content"]["rule"] == "reject executable"
    assert told["content"]["attachment"] == "run.bin"
    # And without any policy what is there is shown, too.
    site.configure(content_rules=[])
    said = site.deliver("-n", "--", "d2.test", "fred", data=data).stdout.decode()
    assert "attachment x.zip: application/zip" in said
    assert "content policy" not in said


@pytest.mark.parametrize("rule,what", [
    ("refuse executable", "refuse"), ("reject", "condition"),
    ("reject programs", "programs"), ("reject over big", "big"),
    ("reject not", "not"), ("reject name 'x", "quote"),
    ("reject type", "value"), ("tag a; tag b", "tag"),
])
def test_a_wrong_rule_is_told_with_its_line(site, rule, what):
    site.configure(content_rules=["reject executable", rule])
    r = subprocess.run([site.bin / "vbox-lmtpd", "-t", "-c", site.conf],
                       stderr=subprocess.PIPE, env=site.environment(),
                       check=False)
    line = 1 + next(i for i, text in enumerate(
        site.conf.read_text().splitlines()) if "content_rules" in text)
    assert r.returncode == 78
    assert f"{site.conf}:{line}: content_rules" in r.stderr.decode(), r.stderr
    assert what in r.stderr.decode()


def test_what_a_policy_needs_is_looked_for(site):
    site.configure(content_rules=RULES, magic_database="/nonexistent.mgc",
                   content_quarantine="maildir:/nonexistent/%d/%n")
    r = subprocess.run([site.bin / "vbox-lmtpd", "-t", "-c", site.conf],
                       stderr=subprocess.PIPE, env=site.environment(),
                       check=False)
    assert r.returncode == 0
    for name in ("magic_database", "content_quarantine"):
        line = 1 + next(i for i, text in enumerate(
            site.conf.read_text().splitlines()) if name in text)
        assert f"{site.conf}:{line}: {name}: /nonexistent" in \
            r.stderr.decode(), r.stderr


@pytest.mark.parametrize("failure,code,where", [
    ("keep", 0, "inbox"), ("quarantine", 0, "away"), ("defer", 75, "nowhere")])
def test_it_cannot_be_asked(site, failure, code, where):
    """No database of types: as configured, and it is said."""
    site.configure(content_rules=RULES, content_failure=failure,
                   magic_database="/nonexistent.mgc")
    r = site.deliver("--", "d2.test", "fred",
                     data=b"Message-ID: <m7@b.test>\n" + EXE)
    assert r.returncode == code
    assert b"nonexistent" not in r.stdout
    assert len(site.messages("d2.test", "fred")) == (where == "inbox")
    assert len(quarantined(site)) == (where == "away")
    assert any("content policy not asked" in line and "m7@b.test" in line
               for line in lines(site))


def test_metrics(policed):
    """What was judged is counted (and what is counted was judged)."""
    site, service = policed
    sock = site.dir / "run" / "metrics.sock"
    site.configure(metrics_listen=[f"unix:{sock}"])
    service.reload()

    def ask():
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(str(sock))
            s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            s.shutdown(socket.SHUT_WR)
            text = s.makefile("rb").read().decode()
        return {m[1]: int(m[2]) for m in re.finditer(
            r'vbox_content_total\{verdict="(\w+)"\} (\d+)', text)}
    before = ask()
    by_lmtp(site, service, EXE)
    by_lmtp(site, service, b"Subject: x\n\nhi\n")
    after = ask()
    assert set(after) == {"accept", "tag", "quarantine", "reject", "failed"}
    assert after["reject"] - before["reject"] == 1
    assert after["accept"] - before["accept"] == 1


def test_large_messages(policed):
    """Within memory, in the spool, beyond what is sent through the socket: each
    is judged within the filter's memory."""
    site, service = policed
    for size in (300_000, 3_000_000, 60_000_000):
        data = attach("data.bin", "application/octet-stream",
                      bytes(range(256)) * (size // 256))
        for door in DOORS.values():
            empty(site)
            code, said = door(site, service, data)
            assert code == 0, (size, said)
            log = lines(site)[-1].replace('"', "")
            assert "content=accept" in log, log
            assert site.messages("d2.test", "fred")[0].endswith(data)
        for door in DOORS.values():
            empty(site)
            bad = wrap(part("data.bin", "application/octet-stream",
                            bytes(range(256)) * (size // 256)),
                       part("a.pdf", "application/pdf", exe()))
            assert door(site, service, bad)[0] == 77, size
    # An archive that is larger than is looked at: the policy says what then.
    # And one behind something else.
    big = zipped(("a.bin", os.urandom(20 << 20)), how=zipfile.ZIP_STORED)
    for door in DOORS.values():
        assert door(site, service, attach("a.zip", "application/zip", big))[0] \
            == 0
        assert "content=quarantine" in lines(site)[-1].replace('"', "")
        assert door(site, service, attach(
            "a.jpg", "image/jpeg", JPEG + bytes(3_000_001) +
            zipped(("b.bin", exe()))))[0] == 77


def test_who_has_no_policy_pays_nothing(site):
    """Neither a filter process nor the database of types."""
    trace = site.dir / "trace"

    def calls():
        subprocess.run(["strace", "-f", "-qq", "-o", trace, *site.command(
            "--", "d2.test", "fred")], input=EXE, check=True,
            env=site.environment())
        return trace.read_text()
    said = calls()
    assert "clone" not in said and "fork" not in said
    assert "magic" not in said
    site.configure(content_rules=RULES[3:])
    said = calls()
    assert "clone" in said and "libmagic" in said and "magic.mgc" in said
    # A script that does not ask for types does not load them either.
    site.configure(content_rules=[])
    site.own_file(site.home / "d2.test" / "fred" / ".dovecot.sieve",
                  b'if header :is "subject" "x" { discard; }')
    said = calls()
    assert "clone" in said and "magic" not in said


def test_who_has_no_policy_pays_nothing_in_the_service(site):
    users = site.dir / "users"
    users.write_text("fred@d2.test\njane@d2.test content=reject%20executable\n")
    users.chmod(0o644)
    trace = site.dir / "trace"
    with Lmtpd(site, directory=[f"file:{users}"]) as service:
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", trace, "-p", ",".join(
                map(str, service.pids()))], stderr=subprocess.DEVNULL)
        until(lambda: all(
            traced(p) for p in service.pids()))
        with service.connect() as c:
            c.hello()
            assert c.message(["fred@d2.test"], EXE)[1][0].startswith("250")
            said = trace.read_text()
            assert "LHLO" in said and "clone" not in said
            assert "magic" not in said
            assert c.message(["jane@d2.test"], EXE)[1][0].startswith("550")
            said = trace.read_text()
            assert "clone" in said
        tracer.terminate()
        tracer.wait()


def test_many_recipients_are_one_look(site):
    """What is attached is looked at once for a message, for all whose rules are
    the same; a script of one of them sees the mark all the same."""
    users = site.dir / "users"
    names = [f"u{i}" for i in range(20)]
    users.write_text("".join(f"{n}@d2.test\n" for n in names) +
                     "free@d2.test content=none\n"
                     "own@d2.test content=tag%20name%20*.png\n")
    users.chmod(0o644)
    trace = site.dir / "trace"
    site.own_file(site.home / "d2.test" / "u7" / ".dovecot.sieve",
                  b'require "fileinto"; if header :contains "x-vbox-content" '
                  b'"mismatch" { fileinto "Liars"; }')
    # Beyond the memory of the spool: each look is a process of its own.
    data = attach("a.png", "image/png", b"just text\n" * 300_000)
    with Lmtpd(site, directory=[f"file:{users}"],
               content_rules=["tag mismatch"]) as service:
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-e", "trace=clone,fork,vfork,clone3", "-o",
             trace, "-p", ",".join(map(str, service.pids()))],
            stderr=subprocess.DEVNULL)
        until(lambda: all(
            traced(p) for p in service.pids()))
        with service.connect() as c:
            c.hello()
            answers = c.message([f"{n}@d2.test" for n in [*names, "free", "own"]],
                                data)[1]
            assert all(a.startswith("250") for a in answers)
        tracer.terminate()
        tracer.wait()
    forks = [line for line in trace.read_text().splitlines()
             if "clone(" in line and "CLONE_VM" not in line]
    assert len(forks) == 3, forks   # one look for all, one script, one's own
    told = [line for line in lines(site) if "verdict=delivered" in line]
    assert sum('rule="tag mismatch" attachment="a.png" type="text/plain"' in line
               for line in told) == 20
    assert sum('rule="tag name *.png" attachment="a.png"' in line
               for line in told) == 1
    for n in names:
        box = site.box("d2.test", n)
        boxes = [(box / ".Liars" if n == "u7" else box) / "new"]
        got = [p.read_bytes() for p in boxes[0].iterdir()]
        assert len(got) == 1 and got[0].count(b"X-Vbox-Content: tag;") == 1, n
    assert b"X-Vbox-Content" not in site.messages("d2.test", "free")[0]


def test_a_thousand_messages_while_filters_are_killed(site):
    """Every 50 ms the filter processes are killed, wherever they are: each
    message is there once, answered once."""
    site.configure(content_rules=["tag mismatch", "quarantine executable"])
    site.own_file(site.home / "d2.test" / "fred" / ".dovecot.sieve",
                  b'require ["fileinto", "vnd.vbox.attachment"];\n'
                  b'if attachment :name "even.txt" { fileinto "Even"; }')
    killed, stop = [], threading.Event()
    answers = []

    with Lmtpd(site) as service:
        def kill():
            while not stop.wait(0.05):
                for worker in service.pids():
                    for pid in children(worker):
                        try:
                            os.kill(pid, signal.SIGKILL)
                            killed.append(pid)
                        except ProcessLookupError:
                            pass

        def send(first):
            with service.connect(timeout=120) as c:
                c.hello()
                for i in range(first, 1000, 4):
                    name = "even.txt" if i % 2 == 0 else "odd.txt"
                    data = attach(name, "text/plain", b"some text\n" * 500,
                                  subject=f"number {i}.")
                    answers.append((i, c.message(["fred@d2.test"], data)[1]))
        killer = threading.Thread(target=kill)
        senders = [threading.Thread(target=send, args=(i,)) for i in range(4)]
        for t in [killer, *senders]:
            t.start()
        for t in senders:
            t.join()
        stop.set()
        killer.join()
    assert len(killed) >= 10, killed
    assert len(answers) == 1000
    assert all(len(a) == 1 and a[0].startswith("250 ") for _, a in answers)
    box = site.box("d2.test", "fred")
    there, notices = [], 0
    for p in box.rglob("new/*"):
        m = re.search(rb"Subject: number (\d+)\.", p.read_bytes())
        if m:
            there.append(int(m[1]))
        else:
            # One a day, when a message's second filter was killed, too.
            assert b"the filter process died" in p.read_bytes()
            notices += 1
    assert notices <= 1
    assert sorted(there) == list(range(1000))
