"""Quota while its users are killed: deliveries by exec and by LMTP into a few
mailboxes with limits, their processes killed at random (-9). Afterwards the
disk, maildirsize, the ledger and `quota recalc` say the same, and no limit
was passed."""
import json
import os
import random
import signal
import subprocess
import threading
import time

import pytest

from harness import PATIENCE
from harness.lmtp import Lmtpd
from harness.quota import on_disk, unchanged, vboxadm

D = {"mbox": "d1.test", "maildir": "d2.test"}
SECONDS = 4
USERS = ["fred", "u1", "u2", "u3"]
# bytes and messages of a user, bytes of the domain
LIMITS = {"tight": (150000, 60, 500000), "roomy": (10**9, 10**6, 10**10)}


def mail(size):
    return (b"From: a@b.test\nSubject: storm\n\n"
            + (b"x" * 69 + b"\n") * (size // 70 + 1))


class Storm:
    """Of SECONDS, or longer where the machine is too slow to show in that time
    all that is to be seen."""

    def __init__(self, site, domain, seed, full):
        self.site, self.domain, self.seed = site, domain, seed
        self.wanted = {0: 1, -9: 21, "cut": 1, **({69: 1} if full else {})}
        self.codes, self.failed = [], []
        self.takes = min(self.measured() for _ in range(3))
        self.began = time.monotonic()

    def start(self, user):
        return subprocess.Popen(
            self.site.command("--", self.domain, user),
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=self.site.environment())

    def measured(self):
        """What a delivery takes when nothing else goes on."""
        p = self.start(USERS[0])
        began = time.monotonic()
        p.communicate(mail(200))
        assert p.returncode == 0
        return time.monotonic() - began

    def going(self):
        lasts = time.monotonic() - self.began
        return lasts < SECONDS or lasts < 4 * PATIENCE and any(
            self.codes.count(c) < n for c, n in self.wanted.items())

    def guard(self, work, number):
        try:
            work(random.Random(self.seed * 100 + number))
        except Exception as e:      # seen by the test, not lost in a thread
            self.failed.append(e)

    def execs(self, dice):
        while self.going():
            p = self.start(dice.choice(USERS))
            timer = threading.Timer(dice.uniform(0, self.takes), p.kill)
            if dice.random() < .5:
                timer.start()
            try:
                p.communicate(mail(dice.randrange(200, 6000)))
            except BrokenPipeError:
                pass
            timer.cancel()
            self.codes.append(p.wait())

    def sessions(self, lmtpd):
        def work(dice):
            while self.going():
                try:
                    with lmtpd.connect() as c:
                        c.hello()
                        _, told = c.message(
                            [f"{u}@{self.domain}" for u in
                             dice.sample(USERS, dice.randrange(1, 4))],
                            mail(dice.randrange(200, 6000)))
                        self.codes += [t[:3] or "cut" for t in told]
                except (OSError, AssertionError, EOFError, ValueError,
                        IndexError):
                    self.codes.append("cut")    # its worker was killed
        return work

    def killer(self, lmtpd):
        def work(dice):
            while self.going():
                pids = lmtpd.pids()
                try:
                    if pids:
                        os.kill(dice.choice(pids), signal.SIGKILL)
                except ProcessLookupError:
                    pass
                time.sleep(dice.uniform(0, .05))    # a time to be killed at
        return work


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS.keys())
@pytest.mark.parametrize("domain", D.values(), ids=D.keys())
def test_killed_at_random(site, domain, limits):
    site.domains.setdefault(domain, {}).update(
        quota_bytes=limits[0], quota_messages=limits[1],
        domain_quota_bytes=limits[2], quota_warnings=[])
    for u in USERS[1:]:
        site.add(domain, u)
    seed = random.randrange(1 << 30)
    with Lmtpd(site, workers=4, sandbox=False) as lmtpd:
        storm = Storm(site, domain, seed, limits == LIMITS["tight"])
        works = [storm.execs] * 5 + [storm.sessions(lmtpd)] * 3 + \
            [storm.killer(lmtpd)]
        threads = [threading.Thread(target=storm.guard, args=(w, i))
                   for i, w in enumerate(works)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    seen = {c: storm.codes.count(c) for c in set(storm.codes)}
    told = f"seed {seed}: {seen}"
    print(told, f"{storm.takes:.4f} s")
    assert not storm.failed, (told, storm.failed)
    assert all(seen.get(c, 0) >= n for c, n in storm.wanted.items()), told
    assert limits == LIMITS["tight"] or 69 not in seen, told

    def size(u):
        box = site.box(domain, u)
        return on_disk(box) if box.is_dir() else \
            (box.stat().st_size, len(site.messages(domain, u)))

    # Whoever was killed is found by the next delivery, taken or refused.
    for u in USERS:
        r = site.deliver("--", domain, u, data=mail(10))
        assert r.returncode in (0, 69), (told, r)
        unchanged(site, f"{u}@{domain}")
        assert size(u)[0] <= limits[0] and size(u)[1] <= limits[1], told
    unchanged(site, domain)
    have = sum(size(u)[0] for u in USERS)
    assert have <= limits[2], told
    r = vboxadm(site, "quota", "show", domain, "--json")
    d = json.loads(r.stdout)[0]
    assert d["bytes"] == have, (told, d)
    # There is no reservation left.
    assert d["reserved"] == 0, (told, d)
