#!/usr/bin/python3
"""What Sieve adds to a durable delivery by LMTP.

	bench_sieve_lmtp.py BENCH_SIEVE [--rounds N] [--slice S] [--dir DIR]

The same server delivers to users without a script (u0, u1, ...) and to users
with one (s0, ...): ten rules and forty, as bench_sieve writes them, that look
at the message and keep it. vbox-lmtpd, and Dovecot's LMTP with Pigeonhole,
run at the same time; slices take turns, so that what else the machine does
hits all of them. What Sieve adds is the median over the rounds of what half of
the messages took with a script, by that without one in the same round. Needs
root.
"""
import argparse
import os
import statistics
import subprocess
import sys

import lmtp_servers
from lmtp_servers import BOXES, UID, Case, Dovecot, Vbox, load

RULES = {"t": 10, "s": 40}	# prefix of the users -> rules
KINDS = {"u": "no script", "t": "10 rules", "s": "40 rules"}


def first_rules(text, n):
    """The script's head and its first n rules."""
    head, *rules = text.split("# rule:")
    return head + "".join("# rule:" + r for r in rules[:n])


def give_scripts(server, script):
    for prefix, n in RULES.items():
        for i in range(BOXES):
            for domain in server.domains:
                home = server.own("home", domain, f"{prefix}{i}")
                os.chown(os.path.dirname(home), UID, UID)
                path = os.path.join(home, ".dovecot.sieve")
                with open(path, "w", encoding="ascii") as f:
                    f.write(first_rules(script, n))
                os.chown(path, UID, UID)


class Ours(Vbox):
    prefixes = tuple(KINDS)
    domains = ("mbox.test", "maildir.test")

    def to(self, form, prefix):
        return ["unix:" + self.sock, f"{prefix}%d@{form}.test"]


class Theirs(Dovecot):
    name = "Dovecot-Pigeonhole"
    domains = ("mbox", "maildir")
    more = """protocol lmtp {
  mail_plugins = sieve
}
plugin {
  sieve = file:~/sieve;active=~/.dovecot.sieve
}
"""

    def to(self, form, prefix):
        return ["unix:" + self.sock, f"{prefix}%d@{form}"]


class Users:
    """One kind of users of a server, for load()."""

    def __init__(self, server, prefix):
        self.server, self.prefix = server, prefix
        self.name, self.group, self.said = server.name, server.group, {}

    def target(self, case):
        return self.server.to(case.format, self.prefix)


def report(results, servers):
    lines = ["| format | conn. | server | script | deliveries/s | CPU ms | p50 ms | "
             "Sieve adds | in CPU |", "|---|---:|---|---|---:|---:|---:|---:|---:|"]
    for form in ("maildir", "mbox"):
        for k in (1, 4):
            for s in servers:
                off = results[form, k, s.name, "u"]
                for prefix, kind in KINDS.items():
                    got = results[form, k, s.name, prefix]
                    rate, cpu, p50 = (statistics.median(g[x] for g in got)
                                      for x in ("rate", "cpu", "p50"))
                    more = "|"
                    if prefix != "u":
                        adds = statistics.median(
                            g["p50"] / o["p50"] for g, o in zip(got, off)) - 1
                        burns = statistics.median(
                            g["cpu"] - o["cpu"] for g, o in zip(got, off))
                        more = f"{100 * adds:.0f} % | {burns:.2f} ms"
                    lines.append(f"| {form} | {k} | {s.name} | {kind} | {rate:.0f} | "
                                 f"{cpu:.2f} | {p50 / 1000:.2f} | {more} |")
    return "\n".join(lines)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("bench_sieve")
    p.add_argument("--rounds", type=int, default=25)
    p.add_argument("--slice", type=float, default=0.12)
    p.add_argument("--dir", default="/var/tmp")
    a = p.parse_args()
    if not lmtp_servers.mounts.able():
        sys.exit("needs root and a mount namespace")
    base = lmtp_servers.new_base(a.dir)
    subprocess.run([a.bench_sieve, "-w", base], check=True)
    with open(os.path.join(base, "bench.sieve"), encoding="ascii") as f:
        script = f.read()
    servers = [Ours(base)]
    if Theirs.there():
        servers.append(Theirs(base))
    results = {}
    try:
        for s in servers:
            give_scripts(s, script)
            s.start()
        users = [Users(s, prefix) for s in servers for prefix in KINDS]
        for form in ("maildir", "mbox"):
            for u in users:	# every mailbox exists, every script is compiled
                load(base, u, Case(form, 4, 1, 2000), 0.2)
            for i in range(a.rounds):
                for k in (1, 4):	# who comes first, takes turns too
                    for u in users if i % 2 else reversed(users):
                        results.setdefault((form, k, u.name, u.prefix), []).append(
                            load(base, u, Case(form, k, 1, 10000), a.slice))
    finally:
        for s in servers:
            s.stop()
            s.release()
        lmtp_servers.remove_base(base)
    print(report(results, servers))
    print("load average", os.getloadavg())


if __name__ == "__main__":
    main()
