#!/usr/bin/python3
"""What quota adds to a durable delivery by LMTP, or by exec.

	bench_quota.py [--rounds N] [--users N] [--sizes N,N] [--dir DIR]
	    [--exec] [--most PERCENT]

One vbox-lmtpd, one connection. In turn a message goes to a mailbox with
limits on bytes, messages and domain, and to one just alike without; the
times are compared pair by pair, so that a disk that has its moods has them
for both, and so is the processor time of the service, which other programs
on the machine disturb less. The mailboxes hold 10, 10,000 and 100,000
messages, each domain has 10,000 users.
"""
import argparse
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import GID, UID  # noqa: E402
from harness.lmtp import Lmtpd  # noqa: E402
from harness.site import Site, copy_programs, new_directory  # noqa: E402

LIMIT = 1 << 40


def mail(size=4000):
    head = b"From: a@b.test\r\nSubject: bench\r\n\r\n"
    line = b"x" * 70 + b"\r\n"
    return (head + line * (size // len(line)))


def fill_maildir(site, domain, user, count):
    box = site.add(domain, user)
    cur = os.open(box / "cur", os.O_RDONLY)
    for i in range(count):
        fd = os.open(f"1600000000.M{i}P1.old,S=100:2,S",
                     os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=cur)
        os.write(fd, b"Subject: old\n\n" + b"y" * 85 + b"\n")
        os.fchown(fd, UID, GID)
        os.close(fd)
    os.close(cur)


def fill_mbox(site, domain, user, count):
    box = site.add(domain, user)
    one = (b"From a@b.test Sat Nov 21 03:00:00 2026\nSubject: old\n\n"
           + b"y" * 85 + b"\n\n")
    box.write_bytes(one * count)


def users(site, domain, count):
    for i in range(count):
        site.add(domain, f"u{i}")


class Client:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.file = self.sock.makefile("rb")
        self.reply()
        self.sock.sendall(b"LHLO bench\r\n")
        self.knows_size = b"SIZE" in self.reply()

    def reply(self):
        lines = []
        while True:
            lines.append(self.file.readline())
            if lines[-1][3:4] != b"-":
                return b"".join(lines)

    def deliver(self, address, text):
        """Seconds from MAIL to the answer."""
        size = b" SIZE=%d" % len(text) if self.knows_size else b""
        began = time.perf_counter()
        self.sock.sendall(b"MAIL FROM:<a@b.test>%s\r\nRCPT TO:<%s>\r\n"
                          b"DATA\r\n" % (size, address.encode()))
        for want in (b"250", b"250", b"354"):
            got = self.reply()
            assert got.startswith(want), got
        self.sock.sendall(text + b".\r\n")
        got = self.reply()
        assert got.startswith(b"250"), got
        return time.perf_counter() - began


class Exec:
    """vbox-deliver, once for each message."""

    def __init__(self, site):
        self.site = site

    def deliver(self, address, text):
        user, _, domain = address.partition("@")
        command = self.site.command("-f", "a@b.test", "--", domain, user)
        began = time.perf_counter()
        r = subprocess.run(command, input=text, check=True,
                           env=self.site.environment())
        assert r.returncode == 0
        return time.perf_counter() - began


def processor(pids):
    """Seconds that they have run."""
    if not pids:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime
    sum_ = 0
    for p in pids:
        with open(f"/proc/{p}/schedstat", encoding="ascii") as f:
            sum_ += int(f.read().split()[0])
    return sum_ / 1e9


def compare(client, with_, without, rounds, pids):
    """Medians: without, with, the difference; the same of processor time."""
    text = mail()
    a, b = [], []
    for address in (with_, without):
        for _ in range(20):
            client.deliver(address, text)
    for i in range(rounds):
        # who comes first changes each time
        for address, pairs in ((with_, a), (without, b))[::1 if i % 2 else -1]:
            before = processor(pids)
            took = client.deliver(address, text)
            pairs.append((took, processor(pids) - before))
    out = []
    for k in range(2):
        out += [statistics.median(y[k] for y in b),
                statistics.median(x[k] for x in a),
                statistics.median(x[k] - y[k] for x, y in zip(a, b))]
    return out


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=1500)
    p.add_argument("--users", type=int, default=10000)
    p.add_argument("--sizes", default="10,10000,100000")
    p.add_argument("--dir", help="where the mail lies; a disk, not memory")
    p.add_argument("--exec", action="store_true", help="by vbox-deliver")
    p.add_argument("--most", type=float, help="fail beyond this many percent")
    a = p.parse_args()
    if a.dir:
        os.environ["VBOX_TMP"] = a.dir
    top = new_directory("vbox-bench-")
    bad = False
    try:
        site = Site(top, copy_programs(top / "bin"))
        limits = {"quota_bytes": LIMIT, "quota_messages": 10**9,
                  "domain_quota_bytes": LIMIT}
        site.domains = {
            "m-with.test": {"format": "maildir", **limits},
            "m-without.test": {"format": "maildir"},
            "b-with.test": {"format": "mbox", **limits},
            "b-without.test": {"format": "mbox"},
        }
        site.configure()
        sizes = [int(x) for x in a.sizes.split(",")]
        for kind, fill in (("m", fill_maildir), ("b", fill_mbox)):
            for n in sizes:
                for half in ("with", "without"):
                    fill(site, f"{kind}-{half}.test", f"n{n}", n)
            # dotlocks come and go in a directory that is as large
            for half in ("with", "without"):
                users(site, f"{kind}-{half}.test", a.users)
        os.sync()
        print(f"{'':10}{'messages':>10}{'without ms':>12}{'with ms':>10}"
              f"{'more us':>9}{'more %':>8}{'CPU us':>9}{'more us':>9}"
              f"{'more %':>8}")
        with Lmtpd(site, workers=1, log_target="file:/dev/null") as lmtpd:
            client = Exec(site) if a.exec else Client(str(lmtpd.sock))
            pids = [] if a.exec else lmtpd.pids()
            for kind, name in (("m", "Maildir"), ("b", "mbox")):
                for n in sizes:
                    without, with_, more, cpu, _, cpu_more = compare(
                        client, f"n{n}@{kind}-with.test",
                        f"n{n}@{kind}-without.test", a.rounds, pids)
                    share = 100 * more / without
                    bad |= a.most is not None and share > a.most
                    print(f"{name:10}{n:10}{1e3 * without:12.3f}"
                          f"{1e3 * with_:10.3f}{1e6 * more:9.1f}{share:8.1f}"
                          f"{1e6 * cpu:9.1f}{1e6 * cpu_more:9.1f}"
                          f"{100 * cpu_more / cpu:8.1f}", flush=True)
            if not a.exec:
                client.sock.close()
    finally:
        shutil.rmtree(top, ignore_errors=True)
    return bad


if __name__ == "__main__":
    sys.exit(main())
