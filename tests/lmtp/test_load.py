"""Load while the service is reloaded, restarted and killed: every message is
stored once. VBOX_SOAK=10000 makes it the long test (make soak-lmtp)."""
import os
import random
import signal
import socket
import struct
import threading
import time

import pytest

from harness import SANITIZED, until
from harness.lmtp import Client, Lmtpd
from harness.mbox import body
from harness.proc import alive, descendants

MESSAGES = int(os.environ.get("VBOX_SOAK", 150 if SANITIZED else 800))
LONG = MESSAGES >= 5000
CLIENTS = 8
USERS = 12
RELOADS = 20 if LONG else 5
RESTARTS = 3
CLEAN = 2	# of store/redo_format.h
KILL_EVERY = 1.0 if LONG else 0.25
HUNG = 50


class Load:
    """Messages 0, 1, 2 ... sent by CLIENTS threads until each has its 250;
    whatever goes wrong, the same message is sent again, as an MTA does."""

    def __init__(self, path):
        self.path = str(path)
        self.next = 0
        self.limit = 0		# so that the load does not outrun the chaos
        self.lock = threading.Lock()
        self.done = threading.Event()
        self.trouble = []
        self.again = 0
        self.slowest = 0.0
        self.refused = 0
        self.threads = [threading.Thread(target=self.run) for _ in range(CLIENTS)]
        for t in self.threads:
            t.start()

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(HUNG)
        try:
            s.connect(self.path)
        except OSError:
            # Under socket activation this never happens.
            self.refused += 1
            s.close()
            raise
        c = Client(s)
        c.hello()
        return c

    def run(self):
        c = None
        while True:
            with self.lock:
                n = self.next
                if n >= MESSAGES:
                    break
                if n < self.limit:
                    self.next += 1
            if n >= self.limit:
                time.sleep(0.002)
                continue
            who = f"p{n % USERS}@d{1 + n % 2}.test"
            text = b"Message-ID: <%d@load>\nSubject: load\n\n%d\n" % (n, n)
            while True:
                began = time.monotonic()
                try:
                    if c is None:
                        c = self.connect()
                    rcpt, replies = c.message([who], text)
                    if not replies:
                        self.trouble.append(rcpt)
                        break
                    if replies[0].startswith("250"):
                        self.slowest = max(self.slowest,
                                           time.monotonic() - began)
                        break
                    if replies[0]:
                        assert replies[0].startswith("4"), replies
                    raise ConnectionError
                except (OSError, AssertionError):
                    self.again += 1
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    if c:
                        c.close()
                    c = None
        if c:
            c.close()

    def finished(self):
        return not any(t.is_alive() for t in self.threads)

    def join(self):
        for t in self.threads:
            t.join()


def kill_a_worker(service, worker=True):
    """SIGKILL for one that serves, if there is one."""
    pids = service.workers() if worker else service.helpers()
    if pids:
        try:
            os.kill(random.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            pass


@pytest.mark.parametrize("log", [0, "8M"], ids=["synced", "log"])
def test_none_lost_none_doubled(log, site):
    """O6: with the retry journal a worker that is killed between storing and
    answering makes no second copy."""
    users = site.dir / "users"
    users.write_text("".join(f"p{i}@d{d}.test\n" for i in range(USERS) for d in (1, 2)))
    users.chmod(0o644)
    listening = socket.socket(socket.AF_UNIX)
    path = site.dir / "passed.sock"
    listening.bind(str(path))
    listening.listen(1000)
    service = Lmtpd(site, directory=[f"file:{users}"], lmtp_listen=[],
                    retry_journal="1h", delivery_log=log,
                    delivery_log_flush="200ms")
    service.start(pass_fds=(listening.fileno(),))
    load = Load(path)
    try:
        began = time.monotonic()
        reloads = restarts = 0
        while not load.finished():
            # Each event has its place among the messages, and the load goes
            # on until a little behind the next one.
            due = [(reloads + 0.5) / RELOADS if reloads < RELOADS else 2,
                   (restarts + 0.5) / RESTARTS if restarts < RESTARTS else 2]
            share = load.next / MESSAGES
            ahead = int(MESSAGES * min(due)) + 4 * CLIENTS
            # The load does not end before its last event has come.
            load.limit = ahead if min(due) > 1 else min(ahead, MESSAGES - 1)
            if share >= due[0]:
                service.reload()
                reloads += 1
            if share >= due[1]:
                assert service.stop() == 0, service.output()
                service.start(pass_fds=(listening.fileno(),))
                restarts += 1
            if time.monotonic() - began > KILL_EVERY:
                kill_a_worker(service)
                began = time.monotonic()
            time.sleep(0.01)	# the pace of the chaos, not a wait
        load.join()
        assert (reloads, restarts) == (RELOADS, RESTARTS)
    finally:
        service.stop()
        listening.close()
    assert load.refused == 0
    if log:
        log_was_used(site)
    judge(load, site)


def log_was_used(site):
    said = (site.log / "vbox.log").read_text()
    if "must be on ext4 or xfs" in said:
        pytest.skip("no delivery log on this file system")
    assert "no delivery log" not in said
    # Of this boot: there is nothing to mend, ever.
    assert "mending" not in said
    # And nothing is left in it by a service that was stopped.
    for n in range(2):
        head = (site.state / "log" / f"segment.{n}").read_bytes()[:16]
        if any(head):
            assert struct.unpack("8sII", head) == (b"vboxredo", 1, CLEAN)


def judge(load, site):
    assert load.trouble == []
    got = []
    for i in range(USERS):
        for d in ("d1.test", "d2.test"):
            if site.box(d, f"p{i}").exists():
                got += [int(body(m)) for m in site.messages(d, f"p{i}")]
    lost = sorted(set(range(MESSAGES)) - set(got))
    doubled = sorted(n for n in set(got) if got.count(n) > 1) if len(got) != len(set(got)) else []
    assert (lost, doubled) == ([], []), f"{load.again} were sent again"
    print(f"{MESSAGES} messages, {load.again} sent again")


def test_everybody_is_killed(site):
    """The delivery log when workers, its keeper and the master are killed all
    the time, and the service is stopped and reloaded in between."""
    users = site.dir / "users"
    users.write_text("".join(f"p{i}@d{d}.test\n" for i in range(USERS) for d in (1, 2)))
    users.chmod(0o644)
    listening = socket.socket(socket.AF_UNIX)
    path = site.dir / "passed.sock"
    listening.bind(str(path))
    listening.listen(1000)
    fds = (listening.fileno(),)
    service = Lmtpd(site, directory=[f"file:{users}"], lmtp_listen=[],
                    retry_journal="1h", delivery_log="8M",
                    delivery_log_flush="100ms")
    service.start(pass_fds=fds)

    def master():
        """Those it leaves end what they have begun; until then the log is
        theirs, and whoever comes waits for it, but not for long."""
        left = descendants(service.process.pid)
        service.process.kill()
        service.process.wait()
        until(lambda: not any(map(alive, left)), of="the others to end")
        service.start(pass_fds=fds)

    def stop():
        assert service.stop() == 0, service.output()
        service.start(pass_fds=fds)

    events = [service.reload, stop, service.reload, master, service.reload]
    events *= 4 if LONG else 1
    load = Load(path)
    count = kills = 0
    try:
        while not load.finished():
            due = (count + 0.5) / len(events) if count < len(events) else 2
            ahead = int(MESSAGES * due) + 4 * CLIENTS
            load.limit = ahead if due > 1 else min(ahead, MESSAGES - 1)
            if load.next / MESSAGES >= due:
                events[count]()
                count += 1
            kill_a_worker(service, worker=kills % 5 != 0)
            kills += 1
            time.sleep(0.05)	# the pace of the chaos, not a wait
        load.join()
    finally:
        service.stop()
        listening.close()
    assert count == len(events)
    log_was_used(site)
    judge(load, site)
    assert load.slowest < HUNG, "somebody hung"
    print(f"{kills} killed, slowest {load.slowest:.1f} s")


@pytest.mark.parametrize("log", [0, "8M"], ids=["synced", "log"])
def test_a_lost_reply_makes_no_second_copy(log, site):
    users = site.dir / "users"
    users.write_text("fred@d1.test\nfred@d2.test\n")
    users.chmod(0o644)
    text = (b"LHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<fred@%s>\r\nDATA\r\n"
            b"Message-ID: <1@x>\r\n\r\nonce\r\n.\r\n")
    with Lmtpd(site, directory=[f"file:{users}"], retry_journal="1h",
               delivery_log=log) as service:
        for domain in ("d1.test", "d2.test"):
            with service.connect() as c:
                c.send(text % domain.encode())
                # The message is there, and its 250 is never read.
                until(lambda d=domain: len(site.messages(d, "fred")) == 1
                      if site.box(d, "fred").exists() else False)
            with service.connect() as c:
                c.send(text % domain.encode() + b"QUIT\r\n")
                assert b"\r\n250 2.0.0 OK" in c.rest()
            assert len(site.messages(domain, "fred")) == 1
            # Twice in one transaction is meant.
            with service.connect() as c:
                c.hello()
                _, r = c.message([f"fred@{domain}"] * 2, b"\ntwice\n")
                assert [x[:3] for x in r] == ["250", "250"]
            assert len(site.messages(domain, "fred")) == 3


def test_without_the_journal_there_is_a_second_copy(site):
    """The test above would notice."""
    with Lmtpd(site) as service:
        for n in (1, 2):
            with service.connect() as c:
                c.hello()
                c.message(["fred@d1.test"], b"Message-ID: <1@x>\n\nonce\n")
            assert len(site.messages("d1.test", "fred")) == n
