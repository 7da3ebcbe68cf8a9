"""Quota: limits, warnings, exactness beside Dovecot and maildrop (MISSION Q1
to Q3)."""
import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.dovecot import Dovecot
from harness.lmtp import Lmtpd
from harness.mbox import fields
from harness.quota import (QuotaDovecot, deliverquota, exactly, maildirsize,
                           on_disk, recalc, unchanged, vboxadm)

D = {"mbox": "d1.test", "maildir": "d2.test"}
FORMATS = pytest.mark.parametrize("domain", D.values(), ids=D.keys())


def mail(size, subject="mail"):
    head = f"From: a@b.test\nSubject: {subject}\n\n".encode()
    line = b"x" * 69 + b"\n"
    body = line * (size // len(line) + 1)
    return head + body[:max(size - len(head) - 1, 0)] + b"\n"


def used(site, domain, user="fred"):
    box = site.box(domain, user)
    return on_disk(box)[0] if box.is_dir() else box.stat().st_size


def deliver(site, domain, size, user="fred", subject="mail"):
    return site.deliver("-f", "a@b.test", "--", domain, user,
                        data=mail(size, subject)).returncode


def subjects(site, domain, user="fred"):
    return [fields(m, "Subject")[0] for m in site.messages(domain, user)]


def warnings(site, domain, user="fred"):
    return [s for s in subjects(site, domain, user) if b"full" in s]


# --- Q1 --------------------------------------------------------------------------

@FORMATS
def test_bytes_and_grace(site, domain):
    site.configure(quota_bytes=10000, quota_warnings=[])
    assert [deliver(site, domain, 3000) for _ in range(4)] == [0, 0, 0, 69]
    assert used(site, domain) <= 10000
    # The last one may pass by the grace, and is the last.
    site.configure(quota_grace=3000)
    assert deliver(site, domain, 3000) == 0
    assert 10000 < used(site, domain) <= 13000
    assert deliver(site, domain, 100) == 69
    site.configure(quota_full="defer")
    r = site.deliver("--", domain, "fred", data=mail(100))
    assert r.returncode == 75 and r.stdout.startswith(b"4.2.2 "), r
    site.configure(quota_bytes=0)
    assert deliver(site, domain, 30000) == 0


@FORMATS
def test_messages(site, domain):
    site.configure(quota_messages=3, quota_warnings=[])
    assert [deliver(site, domain, 500) for _ in range(5)] == [0, 0, 0, 69, 69]
    assert len(site.messages(domain, "fred")) == 3
    unchanged(site, f"fred@{domain}")


@FORMATS
def test_one_warning_for_one_crossing(site, domain):
    """89 % -> 91 %: one; below and above again: one more."""
    site.configure(quota_bytes=100000, quota_warnings=[90])
    assert deliver(site, domain, 88500) == 0
    assert warnings(site, domain) == []
    assert deliver(site, domain, 2500) == 0
    assert len(warnings(site, domain)) == 1
    assert deliver(site, domain, 1000) == 0
    assert len(warnings(site, domain)) == 1
    log = (site.log / "vbox.log").read_text()
    assert log.count(" % of 100000 bytes") == 1
    if domain == D["mbox"]:
        site.own_file(site.box(domain, "fred"))
    else:
        shutil.rmtree(site.box(domain, "fred"))
        site.add(domain, "fred")
    assert deliver(site, domain, 50000) == 0
    assert deliver(site, domain, 41500) == 0
    assert len(warnings(site, domain)) == 1
    unchanged(site, f"fred@{domain}")


@FORMATS
def test_full_box_is_told_once_and_never_overfilled(site, domain):
    site.configure(quota_bytes=10000, quota_warnings=[80])
    assert deliver(site, domain, 8500) == 0
    before = len(site.messages(domain, "fred"))
    for _ in range(3):
        assert deliver(site, domain, 5000) == 69
    assert len(site.messages(domain, "fred")) <= before + 1
    assert used(site, domain) <= 10000
    assert (site.log / "vbox.log").read_text().count("mail was refused") == 1


@FORMATS
def test_warning_from_a_template(site, domain):
    template = site.dir / "template"
    template.write_text("Subject: nearly full: %p%% of %l\nFrom: Boss <b@d.test>\n"
                        "\nDear %u, %s are used.\n")
    template.chmod(0o644)
    site.configure(quota_bytes=20480, quota_warnings=[80],
                   quota_template=template)
    assert deliver(site, domain, 17000) == 0
    told = site.messages(domain, "fred")[-1] if domain == D["mbox"] else \
        [m for m in site.messages(domain, "fred") if b"nearly" in m][0]
    assert b"20 KB" in told and f"Dear fred@{domain},".encode() in told


@FORMATS
def test_domain_limit_stops_the_second_user(site, domain):
    site.configure(domain_quota_bytes=10000)
    site.add(domain, "anna")
    site.configure()
    assert deliver(site, domain, 6000) == 0
    assert deliver(site, domain, 6000, "anna") == 69
    assert deliver(site, domain, 3000, "anna") == 0
    unchanged(site, domain)
    # what others have removed is known before anything is refused
    if domain == D["mbox"]:
        site.own_file(site.box(domain, "fred"))
    else:
        shutil.rmtree(site.box(domain, "fred"))
        site.add(domain, "fred")
    assert deliver(site, domain, 6000, "anna") == 0


@FORMATS
def test_domain_counts_what_the_dead_have_stored(site, domain):
    """Killed when the message lay in the mailbox, and before it was counted."""
    site.configure(domain_quota_bytes=10000)
    site.add(domain, "anna")
    assert deliver(site, domain, 3500) == 0
    call = {D["mbox"]: "fdatasync:signal=KILL",
            D["maildir"]: "fsync:signal=KILL:when=2"}
    r = subprocess.run(["strace", "-f", "-o", "/dev/null", "-e",
                        f"inject={call[domain]}"] +
                       site.command("-f", "a@b.test", "--", domain, "fred"),
                       input=mail(3500), env=site.environment(), check=False)
    assert r.returncode == -9
    assert used(site, domain) > 7000
    assert deliver(site, domain, 3500, "anna") == 69
    assert deliver(site, domain, 1000, "anna") == 0
    assert deliver(site, domain, 200) == 0      # and finds what is missing
    unchanged(site, domain)


@FORMATS
def test_exempt_folders(site, domain):
    site.configure(quota_bytes=10000, quota_exempt=["Trash"],
                   folder_path="%h/mail", autocreate=True)
    for _ in range(3):
        r = site.deliver("-m", "Trash", "--", domain, "fred", data=mail(6000))
        assert r.returncode == 0, r
    assert deliver(site, domain, 6000) == 0
    r = site.deliver("-m", "Work", "--", domain, "fred", data=mail(6000))
    assert r.returncode == 69


@FORMATS
def test_folders_with_a_rule(site, domain):
    """Into some a full mailbox takes more; Dovecot with the rules of contrib
    says the same at each step, and both count the same."""
    site.configure(quota_bytes=LIMIT, quota_warnings=[], autocreate=True,
                   folder_path="%h/mail",
                   quota_folders=["Junk=ignore", "Trash=+10%", "Archive=+500M"])

    def file(folder, size):
        r = site.deliver("-m", folder, "--", domain, "fred", data=mail(size))
        return r.returncode

    def append(folder, size):
        return imap.append(folder, None, None, mail(size))[0]
    assert [deliver(site, domain, 9000) for _ in range(4)] == [0, 0, 0, 0]
    dovecot = QuotaDovecot(site, domain, "fred", LIMIT, folders=True)
    imap = dovecot.imap()
    for folder, size, ours in (("INBOX", 6000, 69), ("Trash", 6000, 0),
                               ("INBOX", 400, 69), ("Trash", 400, 0),
                               ("Trash", 5000, 69), ("Archive", 5000, 0),
                               ("Trash", 100, 69), ("Archive", 5000, 0)):
        if ours:    # neither takes it
            assert append(folder, size) == "NO", (folder, size)
        assert file(folder, size) == ours, (folder, size)
        if folder == "Archive":
            assert append(folder, size) == "OK"
    if domain == D["maildir"]:
        assert file("Junk", 30000) == 0 and append("Junk", 30000) == "OK"
    unchanged(site, f"fred@{domain}")
    have = recalc(site, f"fred@{domain}")["bytes"]
    assert have > LIMIT + 20000
    assert dovecot.quota()[0] in (have // 1024, (have + 1023) // 1024)
    imap.logout()


def test_rules_of_folders_hold_for_sieve(site):
    """What goes to several may pass by the least of what they allow."""
    site.configure(quota_bytes=LIMIT, quota_warnings=[], autocreate=True,
                   quota_folders=["Trash=+50%"])
    site.own_file(site.home / "d2.test/fred/.dovecot.sieve",
                  b'require ["fileinto", "copy"];\n'
                  b'if header :contains "Subject" "trash" '
                  b'{ fileinto "Trash"; }\n'
                  b'if header :contains "Subject" "both" { keep; }\n')
    assert deliver(site, "d2.test", 39000) == 0
    assert deliver(site, "d2.test", 4000, subject="trash, both") == 69
    assert deliver(site, "d2.test", 4000, subject="trash") == 0
    unchanged(site, "fred@d2.test")
    assert used(site, "d2.test") > LIMIT


def test_no_limit_no_cost(site):
    """No file of ours, no system call."""
    log = site.dir / "trace"
    for domain in D.values():
        r = subprocess.run(["strace", "-f", "-o", str(log)] +
                           site.command("--", domain, "fred"), input=mail(100),
                           env=site.environment(), check=False)
        assert r.returncode == 0
        text = log.read_text()
        assert "quota" not in text and "maildirsize" not in text
    assert not list(site.state.rglob("quota.ledger"))


def test_limits_of_the_directory(site):
    """Global, domain, user: the nearest holds; 0 is none."""
    users = site.own_file(site.dir / "users",
                          b"@d2.test user_quota=8000\n"
                          b"fred@d2.test\nanna@d2.test quota=3000\n"
                          b"bert@d2.test quota=0\n", 0o644)
    site.configure(directory=[f"file:{users}"], quota_bytes=1000,
                   quota_warnings=[])
    assert deliver(site, "d2.test", 7000) == 0
    assert deliver(site, "d2.test", 7000, "anna") == 69
    assert deliver(site, "d2.test", 2000, "anna") == 0
    assert deliver(site, "d2.test", 90000, "bert") == 0
    r = vboxadm(site, "quota", "set", "anna@d2.test", "--quota=9000")
    assert r.returncode == 0, r.stderr
    assert deliver(site, "d2.test", 5000, "anna") == 0
    r = vboxadm(site, "quota", "top", "d2.test", "--json", "--count=2")
    assert [x["user"] for x in json.loads(r.stdout)] == [
        "bert@d2.test", "anna@d2.test" if used(site, "d2.test", "anna") >
        used(site, "d2.test") else "fred@d2.test"]
    r = vboxadm(site, "quota", "show", "--json")
    assert len(json.loads(r.stdout)) == 4
    users.write_text("@d2.test quota=7000\nfred@d2.test quota=0\n")
    assert deliver(site, "d2.test", 100) == 69


def test_alias_with_one_full_target(site):
    users = site.own_file(site.dir / "users",
                          b"@d2.test\nfred@d2.test quota=3000\nanna@d2.test\n"
                          b"all@d2.test alias=fred,anna\n", 0o644)
    site.configure(directory=[f"file:{users}"], quota_warnings=[])
    r = site.deliver("--", "d2.test", "all", data=mail(5000))
    assert r.returncode == 0, r
    assert len(site.messages("d2.test", "anna")) == 1
    assert site.messages("d2.test", "fred") == []


# --- the doors ----------------------------------------------------------------------

@FORMATS
@pytest.mark.parametrize("full,code", [("refuse", "552 5.2.2 "),
                                       ("defer", "452 4.2.2 ")])
def test_lmtp_refuses_at_rcpt(site, domain, full, code):
    with Lmtpd(site, quota_bytes=10000, quota_full=full,
               quota_warnings=[]) as lmtpd:
        with lmtpd.connect() as c:
            c.hello()
            _, told = c.message([f"fred@{domain}"], mail(6000))
            assert told[0].startswith("250 ")
            # by SIZE, before the message
            assert c.say("MAIL FROM:<a@b.test> SIZE=5000").startswith("250 ")
            assert c.say(f"RCPT TO:<fred@{domain}>").startswith(code)
            assert c.say("RSET").startswith("250 ")
            # without SIZE when the message is there
            _, told = c.message([f"fred@{domain}"], mail(6000))
            assert told[0].startswith(code)
            _, told = c.message([f"fred@{domain}"], mail(2000))
            assert told[0].startswith("250 ")
            # It tidies up behind its reply, and hears this afterwards.
            assert c.say("NOOP").startswith("250 ")
        unchanged(site, f"fred@{domain}")


# --- Q2, Q3: with Dovecot and maildrop ------------------------------------------------

LIMIT = 40960


@pytest.mark.parametrize("plugin", [True, False], ids=["quota", "plain"])
@FORMATS
def test_deletion_by_imap_is_known_at_the_next_delivery(site, domain, plugin):
    site.configure(quota_bytes=LIMIT, quota_warnings=[])
    assert [deliver(site, domain, 12000, subject=f"m{i}")
            for i in range(4)] == [0, 0, 0, 69]
    dovecot = QuotaDovecot(site, domain, "fred", LIMIT) if plugin else \
        Dovecot(site, domain, "fred")
    imap = dovecot.imap()
    imap.select("INBOX")
    imap.store("1:2", "+FLAGS", "\\Deleted")
    imap.expunge()
    imap.logout()
    assert [deliver(site, domain, 12000) for _ in range(3)] == [0, 0, 69]
    assert used(site, domain) <= LIMIT
    unchanged(site, f"fred@{domain}")


@FORMATS
def test_dovecot_shows_and_enforces_the_same(site, domain):
    site.configure(quota_bytes=LIMIT, quota_warnings=[])
    assert deliver(site, domain, 12000) == 0
    dovecot = QuotaDovecot(site, domain, "fred", LIMIT)
    kilobytes, limit, messages = dovecot.quota()
    assert kilobytes in (used(site, domain) // 1024,
                         (used(site, domain) + 1023) // 1024)
    assert limit == LIMIT // 1024
    if domain == D["maildir"]:
        assert messages == 1
    imap = dovecot.imap()
    # Dovecot stores, we know; we store, Dovecot knows.
    assert imap.append("INBOX", None, None, mail(15000))[0] == "OK"
    assert deliver(site, domain, 14500) == 69
    assert deliver(site, domain, 9000) == 0
    kind, told = imap.append("INBOX", None, None, mail(6000))
    assert kind == "NO" and b"OVERQUOTA" in told[0], told
    imap.logout()
    unchanged(site, f"fred@{domain}")
    if domain == D["maildir"]:
        exactly(site.box(domain, "fred"))
        kilobytes, _, messages = dovecot.quota()
        assert messages == 3


def test_maildrop_dovecot_and_we_write_one_maildir(site):
    """Each of them adds and sees what the others have added."""
    domain, limit = "d2.test", 200000
    site.configure(quota_bytes=limit, quota_warnings=[])
    box = site.box(domain, "fred")
    dovecot = QuotaDovecot(site, domain, "fred", limit)
    imap = dovecot.imap()
    for i in range(6):
        assert deliver(site, domain, 3000 + i) == 0
        assert deliverquota(box, f"{limit}S", mail(4000 + i)) == 0
        assert imap.append("INBOX", None, None, mail(5000 + i))[0] == "OK"
    line, _, count = maildirsize(box)
    assert line == f"{limit}S" and count == 18
    size, _ = exactly(box)
    assert recalc(site, f"fred@{domain}")["bytes"] == size
    assert dovecot.quota()[0] in (size // 1024, (size + 1023) // 1024)
    imap.select("INBOX")
    imap.store("1:9", "+FLAGS", "\\Deleted")
    imap.expunge()
    exactly(box)
    assert deliver(site, domain, 3000) == 0
    assert deliverquota(box, f"{limit}S", mail(3000)) == 0
    exactly(box)
    # all three refuse what does not fit
    big = limit - on_disk(box)[0] + 1
    assert deliver(site, domain, big) == 69
    assert deliverquota(box, f"{limit}S", mail(big)) != 0
    assert imap.append("INBOX", None, None, mail(big))[0] == "NO"
    imap.logout()
    unchanged(site, f"fred@{domain}")


def test_three_writers_at_once(site):
    """While all three write, nothing is lost or counted twice."""
    domain, limit = "d2.test", 10000000
    site.configure(quota_bytes=limit, quota_warnings=[], lock_timeout="5m")
    assert deliver(site, domain, 1000) == 0
    box = site.box(domain, "fred")
    dovecot = QuotaDovecot(site, domain, "fred", limit)

    def append(_):
        imap = dovecot.imap()
        for i in range(8):
            assert imap.append("INBOX", None, None, mail(2000 + i))[0] == "OK"
        imap.logout()
        return 0
    with ThreadPoolExecutor(6) as pool:
        a = [pool.submit(append, i) for i in range(2)]
        b = [pool.submit(deliverquota, box, f"{limit}S", mail(1500 + i))
             for i in range(16)]
        c = [pool.submit(deliver, site, domain, 1000 + i) for i in range(32)]
        assert not any(f.result() for f in a + b + c)
    assert on_disk(box)[1] == 65
    exactly(box)
    unchanged(site, f"fred@{domain}")


def test_what_cannot_be_trusted_is_counted(site):
    domain = "d2.test"
    site.configure(quota_bytes=50000, quota_warnings=[])
    box = site.box(domain, "fred")
    for _ in range(3):
        assert deliver(site, domain, 5000) == 0
    good = on_disk(box)[0]
    for wrong in (b"", b"50000S\n-90000 -3\n", b"50000S\nhello\n",
                  b"50000S\n 100 1", b"10S\n 100 1\n",
                  b"50000S\n" + b"           0 0\n" * 400, b"\0" * 100):
        site.own_file(box / "maildirsize", wrong)
        assert deliver(site, domain, 500) == 0
        assert exactly(box)[0] > good
        unchanged(site, f"fred@{domain}")
    (box / "maildirsize").unlink()
    assert deliver(site, domain, 500) == 0
    exactly(box)


@pytest.mark.parametrize("wrong", [b"", b"rubbish", b"\0" * 70000, b"VQL1" * 20000])
@FORMATS
def test_a_broken_ledger_stops_no_mail(site, domain, wrong):
    site.configure(quota_bytes=20000, domain_quota_bytes=30000,
                   quota_warnings=[])
    assert deliver(site, domain, 9000) == 0
    site.own_file(site.state / domain / "quota.ledger", wrong)
    assert deliver(site, domain, 9000) == 0
    assert deliver(site, domain, 9000) == 69
    unchanged(site, domain)


# --- many at once -------------------------------------------------------------------------

def storm(site, targets, size):
    # Whoever comes last has waited for all the others.
    site.configure(lock_timeout="5m")
    with ThreadPoolExecutor(16) as pool:
        jobs = [pool.submit(deliver, site, d, size, u) for d, u in targets]
        return [j.result() for j in jobs]


@pytest.mark.parametrize("grace", [0, 4000])
@FORMATS
def test_sixteen_into_a_nearly_full_mailbox(site, domain, grace):
    """Never more than limit and grace, and none refused that would fit."""
    limit, size = 60000, 9000
    site.configure(quota_bytes=limit, quota_grace=grace, quota_warnings=[])
    assert deliver(site, domain, 12000) == 0
    codes = storm(site, [(domain, "fred")] * 16, size)
    assert set(codes) == {0, 69}
    have = used(site, domain)
    each = (have - 12000) // codes.count(0)
    assert have <= limit + grace
    # refused: it does not fit even now that all the others are through
    assert have + each > limit + (grace if have < limit else 0)
    unchanged(site, f"fred@{domain}")


@pytest.mark.parametrize("grace", [0, 4000])
@FORMATS
def test_sixteen_into_a_nearly_full_domain(site, domain, grace):
    limit, size = 60000, 9000
    users = [f"u{i}" for i in range(16)]
    site.configure(domain_quota_bytes=limit, quota_grace=grace)
    for u in users:
        site.add(domain, u)
    assert deliver(site, domain, 12000) == 0
    codes = storm(site, [(domain, u) for u in users], size)
    assert set(codes) == {0, 69}
    have = sum(used(site, domain, u) for u in [*users, "fred"])
    each = (have - 12000) // codes.count(0)
    assert have <= limit + grace
    assert have + each > limit + (grace if have < limit else 0)
    unchanged(site, domain)
    r = vboxadm(site, "quota", "show", domain, "--json")
    assert json.loads(r.stdout)[0]["bytes"] == have
