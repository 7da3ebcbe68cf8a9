"""The delivery log in a service at work: full, confined or not, for long, and
beside everything else that a delivery does. What a power cut leaves of it is
in tests/faults/test_power_log.py."""
import os
import re
import signal
import subprocess
import threading

import pytest

from harness import SANITIZED, until
from harness.lmtp import Lmtpd
from harness.mbox import body
from harness.outbox import Outbox
from harness.proc import open_files, status

LONG = int(os.environ.get("VBOX_SOAK", "0")) >= 5000
LETTER = (b"From: Anna <anna@client.test>\nTo: fred@d1.test\nSubject: hello\n"
          b"Message-ID: <1@client.test>\n\nhello, fred\n")


class Logged:
    """A service with the log; what it did with it, from its last words."""

    def __init__(self, site, users=("fred", "anna"), **settings):
        table = site.dir / "users"
        table.write_text("".join(f"{u}@d{n}.test\n" for u in users
                                 for n in (1, 2)))
        table.chmod(0o644)
        settings.setdefault("delivery_log", "8M")
        settings.setdefault("delivery_log_flush", "1h")
        self.site = site
        self.metrics = site.own_dir(site.dir / "metrics") / "vbox.prom"
        self.service = Lmtpd(site, directory=[f"file:{table}"],
                             metrics_textfile=self.metrics, **settings)

    def said(self):
        log = self.site.log / "vbox.log"    # made with the first word
        return log.read_text() if log.exists() else ""

    def __enter__(self):
        self.service.start()
        said = self.said()
        if "no delivery log" in said:
            self.service.stop()
            assert "must be on ext4 or xfs" in said, said
            pytest.skip("no delivery log on this file system")
        return self

    def __exit__(self, *exc):
        assert self.service.stop() == 0, self.service.output()

    def connect(self):
        c = self.service.connect()
        c.hello()
        return c

    def deliver(self, *rcpts, text=LETTER):
        with self.connect() as c:
            return c.message(list(rcpts), text)[1]

    def ends(self):
        """Stops it: (logged, found no room)."""
        assert self.service.stop() == 0, self.service.output()
        n = re.findall(r"delivery log: (\d+) messages, \d+ syncs, (\d+) found "
                       "no room", self.said())
        return tuple(map(int, n[-1]))

    def counter(self, name):
        text = self.metrics.read_text()
        return int(re.search(rf"^{name}(?:_total)? (\d+)$", text, re.M)[1])

    def is_quiet(self):
        assert "error" not in self.said() and "warning" not in self.said(), \
            self.said()


def test_a_burst_of_large_mail_fills_it(site):
    """Whoever finds no room is synced where it lies."""
    clients, each = 16, 4 if SANITIZED else 10
    users = [f"p{i}" for i in range(clients)]
    with Logged(site, users, metrics_interval="1s") as log:
        bad = []
        # Its keeper does nothing, as if the disk were slow.
        helpers = log.service.settled(helpers=2)
        for pid in helpers:
            os.kill(pid, signal.SIGSTOP)

        def run(n):
            with log.connect() as c:
                for k in range(each):
                    text = b"Subject: %d\n\n" % k + b"x" * 70 + b"\n"
                    text += (b"y" * 75 + b"\n") * 5400
                    _, r = c.message([f"p{n}@d{1 + k % 2}.test"], text)
                    if not r or not r[0].startswith("250"):
                        bad.append(r)
        threads = [threading.Thread(target=run, args=(n,))
                   for n in range(clients)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for pid in helpers:
            os.kill(pid, signal.SIGCONT)
        assert not bad, bad[:3]
        # Of a Maildir not more than 64 KB is logged.
        until(lambda: log.metrics.exists() and log.counter("vbox_log_full") > 0
              and log.counter("vbox_log_deliveries") > 0)
        logged, direct = log.ends()
        assert logged > 0 and direct > clients * each // 4
        log.is_quiet()
    for n in range(clients):
        for d in ("d1.test", "d2.test"):
            got = site.messages(d, f"p{n}")
            assert len(got) == each // 2
            assert all(len(body(m)) == 71 + 76 * 5400 for m in got)


@pytest.mark.parametrize("sandbox", [True, False])
def test_with_the_sandbox_and_without(sandbox, site):
    with Logged(site, sandbox=sandbox) as log:
        for _ in range(3):
            r = log.deliver("fred@d1.test", "fred@d2.test")
            assert [x[:3] for x in r] == ["250", "250"]
        log.service.reload()
        assert log.deliver("anna@d1.test")[0].startswith("250")
        assert log.ends() == (7, 0)
        log.is_quiet()
    assert len(site.messages("d1.test", "fred")) == 3
    assert len(site.messages("d2.test", "fred")) == 3


def memory(pid):
    """Of its own, in KB (pages of the program come when it runs there first);
    and its descriptors."""
    return int(status(pid)["RssAnon"].split()[0]), len(open_files(pid))


@pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps what was freed")
def test_nothing_grows(site):
    """Workers, the keeper and the master, over many logged deliveries and
    changes of the segment."""
    with Logged(site, delivery_log_flush="100ms", workers=2) as log:
        with log.connect() as c, log.connect() as d:
            def deliver(n):
                for k in range(n // 4):
                    for client in (c, d):
                        _, r = client.message(["fred@d1.test", "fred@d2.test"],
                                              LETTER)
                        assert [x[:3] for x in r] == ["250", "250"]
            deliver(400)
            pids = [log.service.process.pid, *log.service.pids()]
            before = {p: memory(p) for p in pids}
            deliver(20000 if LONG else 2000)
            # The last one is told before everything of it is closed.
            until(lambda: all(memory(p)[1] <= before[p][1] for p in pids),
                  of="as few descriptors as before")
            after = {p: memory(p) for p in pids}
            assert [log.service.process.pid, *log.service.pids()] == pids
        for p in pids:
            assert after[p][0] <= before[p][0] + 512, (before, after)
        # Who comes while another looks at the file system is not logged.
        assert log.ends()[0] >= (20400 if LONG else 2400) - 4


# --- beside everything else ----------------------------------------------------------

def checked(site):
    r = subprocess.run([site.bin / "vbox-lmtpd", "-t", "-c", site.conf],
                       capture_output=True, text=True, check=True)
    return [x for x in r.stderr.splitlines() if ": delivery_log: " in x]


def test_it_is_told_what_becomes_of_it(site):
    """In use, how large; a reload changes nothing; a keeper that dies; off, and
    its room is given back."""
    log = Logged(site, metrics_interval="1s")
    with log:
        assert checked(site) == []
        assert f"delivery log: 8 MB in {site.state}/log" in log.said()
        assert log.deliver("fred@d1.test")[0].startswith("250")
        until(lambda: log.metrics.exists() and
              log.counter("vbox_log_bytes") == 8 << 20)
        # It and the one that submits.
        for pid in log.service.settled(helpers=2):
            os.kill(pid, signal.SIGKILL)
        until(lambda: "keeper of the delivery log has ended" in log.said())
        site.configure(delivery_log=0)
        log.service.reload()
        until(lambda: "delivery_log: takes effect when the service is started "
              "again" in log.said())
        assert log.deliver("fred@d1.test")[0].startswith("250")
    assert (site.state / "log" / "segment.0").stat().st_size == 4 << 20
    log.service.start()
    assert os.listdir(site.state / "log") == ["lock"]
    assert log.deliver("fred@d1.test")[0].startswith("250")
    assert log.service.stop() == 0
    assert len(site.messages("d1.test", "fred")) == 3


def test_the_check_tells_where_it_cannot_be(site):
    site.configure(delivery_log="8M")
    if checked(site):
        pytest.skip("no delivery log on this file system")
    site.configure(delivery_log="16G")
    fs = os.statvfs(site.state)
    if fs.f_bavail * fs.f_frsize < 15 << 30:
        assert "no room for 16384 MB" in checked(site)[0]
    (site.state / "log").write_text("")
    assert "Not a directory" in checked(site)[0]
    (site.state / "log").unlink()
    (site.state / "log").symlink_to(site.state)
    assert len(checked(site)) == 1


def script(site, text, *domains):
    for d in domains or ("d1.test", "d2.test"):
        site.own_file(site.home / d / "fred" / ".dovecot.sieve", text.encode())


def test_a_redirect_that_fails_leaves_no_copy(site):
    """All or nothing: when the MTA does not take it nothing is stored."""
    outbox = Outbox(site)
    script(site, 'require "copy"; redirect :copy "joe@else.test";')
    with Logged(site) as log:
        outbox.fail(True)
        r = log.deliver("fred@d1.test", "fred@d2.test", "anna@d1.test")
        assert [x[0] for x in r] == ["4", "4", "2"]
        assert site.messages("d1.test", "fred") == []
        assert site.messages("d2.test", "fred") == []
        outbox.fail(False)
        for d in ("d1.test", "d2.test"):
            assert log.deliver(f"fred@{d}")[0].startswith("250")
            assert len(site.messages(d, "fred")) == 1
        assert len(outbox.mails()) == 2
        assert log.ends() == (3, 0)


def test_an_answer_goes_out_once_it_is_stored(site):
    outbox = Outbox(site)
    script(site, 'require "vacation"; vacation :addresses "fred@d1.test" '
           '"I am away.";', "d1.test")
    with Logged(site) as log:
        for _ in range(2):
            assert log.deliver("fred@d1.test")[0].startswith("250")
        until(outbox.mails)
        assert log.ends() == (2, 0)
    assert len(site.messages("d1.test", "fred")) == 2
    [(_, mail)] = outbox.mails()
    assert b"I am away." in mail


@pytest.mark.parametrize("domain", ["d1.test", "d2.test"])
def test_copies_in_folders(domain, site):
    script(site, 'require ["fileinto","mailbox","imap4flags","copy"];\n'
           'fileinto :create :copy :flags "\\\\Flagged" "a";\n'
           'fileinto :create :copy "b"; keep;\n')
    with Logged(site) as log:
        for _ in range(2):
            assert log.deliver(f"fred@{domain}")[0].startswith("250")
        assert log.ends() == (2, 0)     # one record for all of a delivery
        log.is_quiet()
    assert len(site.messages(domain, "fred")) == 2
    if domain == "d2.test":
        box = site.box(domain, "fred")
        flagged = os.listdir(box / ".a" / "cur")
        assert len(flagged) == 2 and all(n.endswith(":2,F") for n in flagged)
        assert len(os.listdir(box / ".b" / "new")) == 2
    else:
        folder = site.home / domain / "fred" / "mail"
        assert (folder / "a").read_bytes().count(b"\nX-Status: F") == 2
        assert (folder / "b").read_bytes().count(b"From ") >= 2


def test_over_quota_beside_others(site):
    """One of the transaction is refused, and counts nothing; the others are
    logged and counted."""
    with Logged(site, quota_messages=2) as log:
        for d in ("d1.test", "d2.test"):
            for _ in range(2):
                assert log.deliver(f"fred@{d}")[0].startswith("250")
        rcpt, r = [], []
        with log.connect() as c:
            rcpt, r = c.message(["fred@d1.test", "anna@d1.test", "fred@d2.test",
                                 "anna@d2.test"], LETTER)
        said = [x[:3] for x in rcpt if not x.startswith("250")] + \
            [x[:3] for x in r]
        assert sorted(said) == ["250", "250", "452", "452"] or \
            sorted(said) == ["250", "250", "552", "552"], (rcpt, r)
        assert log.ends() == (6, 0)
    for d in ("d1.test", "d2.test"):
        assert len(site.messages(d, "fred")) == 2
        assert len(site.messages(d, "anna")) == 1


def test_one_box_fails_beside_others(site):
    """A mailbox that is none, and one whose Maildir refuses the name after the
    log has the message: the sender comes again for these only."""
    box = site.box("d1.test", "fred")
    box.unlink()
    box.mkdir()
    site.add("d2.test", "anna")
    new = site.box("d2.test", "fred") / "new"
    with Logged(site) as log:
        assert log.deliver("anna@d2.test")[0].startswith("250")
        if subprocess.run(["chattr", "+i", new], check=False,
                          stderr=subprocess.DEVNULL).returncode:
            pytest.skip("no chattr here")
        try:
            r = log.deliver("fred@d1.test", "fred@d2.test", "anna@d1.test",
                            "anna@d2.test")
        finally:
            subprocess.run(["chattr", "-i", new], check=True)
        assert [x[0] for x in r] == ["4", "4", "2", "2"], r
        assert log.deliver("fred@d2.test")[0].startswith("250")
    assert len(site.messages("d2.test", "fred")) == 1
    assert len(site.messages("d2.test", "anna")) == 2
    assert len(site.messages("d1.test", "anna")) == 1
