#!/usr/bin/python3
"""What a script adds to one durable delivery by LMTP, pair by pair.

	bench_sieve_pairs.py BENCH_SIEVE [--rounds N] [--dir DIR] [--most PERCENT]
	    [--builds DIR,DIR] [--alone]

One connection. In turn the same message of 10 KB goes to a mailbox without a
script, to one with ten rules and to one with forty, which look at it and keep
it; the times are compared pair by pair, so that a disk that has its moods has
them for all, and so is the processor time of the worker and of its filter
process, by the scheduler's clock. Dovecot's LMTP with Pigeonhole takes turns,
too, where it is installed (its processor time is that of its control group), and
with --builds more than one build of ours. --most fails when ten rules of ours
add more than that.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness.site  # noqa: E402
import lmtp_servers  # noqa: E402
from bench_quota import Client, processor  # noqa: E402
from bench_sieve_lmtp import Theirs, first_rules, give_scripts  # noqa: E402
from harness import BUILD, until  # noqa: E402
from harness.lmtp import Lmtpd  # noqa: E402
from harness.site import Site, copy_programs, new_directory  # noqa: E402

RULES = {"none": 0, "ten": 10, "forty": 40}
DOMAINS = {"maildir.test": "maildir", "mbox.test": "mbox"}


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(p) for p in f.read().split()]


def ran(pids):
    """Seconds of processor time of each kind: the service's own processes, and
    theirs, which are the filters."""
    filters = [c for p in pids for c in children(p)]
    return processor(pids), processor(filters) if filters else 0


class Service:
    """One build's, with its site and a client."""

    def __init__(self, top, build, script):
        harness.site.BUILD = build
        self.name = build.name
        top.mkdir(mode=0o755)
        self.site = Site(top, copy_programs(top / "bin"))
        self.site.domains = {d: {"format": f} for d, f in DOMAINS.items()}
        for d in DOMAINS:
            for user, n in RULES.items():
                self.site.add(d, user)
                if n:
                    self.site.own_file(
                        self.site.home / d / user / ".dovecot.sieve",
                        first_rules(script, n).encode())
        self.lmtpd = Lmtpd(self.site, workers=1, log_target="file:/dev/null",
                           sieve_script="%h/.dovecot.sieve").start()
        self.client = Client(str(self.lmtpd.sock))
        self.client.deliver("none@mbox.test", b"Subject: x\r\n\r\n")
        self.pids = self.lmtpd.pids()	# by now no more are made

    def deliver(self, domain, user, text):
        """Seconds, and those of worker and filter."""
        before = ran(self.pids)
        took = self.client.deliver(f"{user}@{domain}", text)
        after = ran(self.pids)
        # less than before: a filter that was replaced
        return took, after[0] - before[0], max(after[1] - before[1], 0)

    def stop(self):
        self.client.sock.close()
        self.lmtpd.stop()


class Beside:
    """Dovecot, with the users that bench_sieve_lmtp gives it."""
    name = "Pigeonhole"
    users = {"none": "u0", "ten": "t0", "forty": "s0"}

    def __init__(self, base, script):
        self.base, self.server = base, Theirs(base)
        give_scripts(self.server, script)
        self.server.start()
        self.client = Client(self.server.sock)

    def used(self):
        """Seconds of processor time, of all its processes."""
        v1 = Path(self.server.group, "cpuacct.usage")
        if v1.exists():
            return int(v1.read_text()) / 1e9
        return int(Path(self.server.group, "cpu.stat").read_text().split()[1]) / 1e6

    def deliver(self, domain, user, text):
        before = self.used()
        took = self.client.deliver(f"{self.users[user]}@{DOMAINS[domain]}", text)
        return took, self.used() - before, 0

    def stop(self):
        self.client.sock.close()
        self.server.stop()
        self.server.release()
        lmtp_servers.remove_base(self.base)


def median(rows, k):
    return 1e6 * statistics.median(r[k] for r in rows)


def differences(rows, base, k):
    return 1e6 * statistics.median(r[k] - b[k] for r, b in zip(rows, base))


def report(domain, name, got):
    """What ten rules add, in percent."""
    base = got["none"]
    for user in RULES:
        rows = got[user]
        line = (f"{DOMAINS[domain]:8}{name:12}{RULES[user]:6}"
                f"{median(rows, 0):9.1f}{median(rows, 1):9.1f}{median(rows, 2):9.1f}")
        if user != "none":
            more = differences(rows, base, 0)
            share = 100 * more / median(base, 0)
            line += (f"{more:9.1f}{share:8.1f}{differences(rows, base, 1):9.1f}"
                     f"{differences(rows, base, 2):9.1f}")
            if user == "ten":
                ten = share
        print(line, flush=True)
    return ten


def run(services, domain, text, rounds):
    got = {s: {u: [] for u in RULES} for s in services}
    for s in services:
        for u in RULES:
            for _ in range(20):
                s.deliver(domain, u, text)
    turns = [(s, u) for u in RULES for s in services]
    for i in range(rounds):
        # who comes first changes each time
        at = i % len(turns)
        for s, u in turns[at:] + turns[:at]:
            got[s][u].append(s.deliver(domain, u, text))
    return got


def main():
    p = argparse.ArgumentParser()
    p.add_argument("bench_sieve")
    p.add_argument("--rounds", type=int, default=1500)
    p.add_argument("--dir", help="where the mail lies; a disk, not memory")
    p.add_argument("--most", type=float, help="fail beyond this many percent")
    p.add_argument("--builds", default=str(BUILD))
    p.add_argument("--alone", action="store_true", help="without Dovecot")
    a = p.parse_args()
    os.environ["VBOX_TMP"] = a.dir or "/var/tmp"
    top = new_directory("vbox-bench-")
    services, bad = [], False
    try:
        subprocess.run([a.bench_sieve, "-w", str(top)], check=True)
        script = (top / "bench.sieve").read_text(encoding="ascii")
        text = (top / "bench.eml").read_bytes().replace(b"\n", b"\r\n")
        for i, build in enumerate(a.builds.split(",")):
            services.append(Service(top / str(i), Path(build).resolve(), script))
        if Theirs.there() and lmtp_servers.mounts.able() and not a.alone:
            services.append(Beside(lmtp_servers.new_base(str(top)), script))
        # What was written less than two seconds before it is read is not kept
        # in memory (lda/user_file_kept).
        youngest = max(p.stat().st_ctime for p in top.rglob(".dovecot.sieve"))
        until(lambda: time.time() - youngest > 2.1, of="scripts old enough")
        print(f"{'':8}{'':12}{'rules':>6}{'us':>9}{'worker':>9}{'filter':>9}"
              f"{'more us':>9}{'more %':>8}{'worker':>9}{'filter':>9}")
        for domain in DOMAINS:
            got = run(services, domain, text, a.rounds)
            for s in services:
                ten = report(domain, s.name, got[s])
                bad |= (a.most is not None and ten > a.most and
                        isinstance(s, Service))
    finally:
        for s in services:
            s.stop()
        shutil.rmtree(top, ignore_errors=True)
    return bad


if __name__ == "__main__":
    sys.exit(main())
