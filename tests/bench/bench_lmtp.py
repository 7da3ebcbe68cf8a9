#!/usr/bin/python3
"""make bench-lmtp: deliveries by LMTP, ours and the peers'.

	bench_lmtp.py [--rounds N] [--slice S] [--warm S] [--dir DIR] [--quick]
	    [--format mbox|maildir] [--only FORMAT:CONN:RCPT:BYTES[:tcp]]...
	    [--server NAME]... [--out FILE]

One load client (lmtpload.c) speaks to vbox-lmtpd, without and with its delivery log, to a minimal server that
only receives, locks, appends or links, and syncs (minserver.c: what this disk
gives; once more with dotlocks that are new files, as everybody's but ours, and once with such a log), to Dovecot's LMTP and to sendmail's mail.local -l, and plays the queue
manager to Postfix's delivery agent virtual(8) (lmtp_servers.py), all running
at the same time on the same file system; slices take turns, so that what else
the machine does hits all of them. Before a slice counts, its connections are
open and have delivered for --warm seconds: an MTA keeps its connections, and
the servers have their processes by then. Shown are medians of the rounds;
ratios are medians of the ratios within a round. Each connection and recipient
has a mailbox of its own. Logs of all go to tmpfs. At the end every mailbox is
read: each message that was called delivered has to be there, whole. Needs
root.
"""
import argparse
import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.path.insert(0, HERE)
import lmtp_landed  # noqa: E402
import lmtp_servers  # noqa: E402
import lmtp_table  # noqa: E402
import mounts  # noqa: E402
from lmtp_servers import Case, load  # noqa: E402

FORMATS = ("maildir", "mbox")
STEPS = (1, 4, 16, 64)


def all_cases(quick):
    for form in FORMATS:
        for k in STEPS:
            yield Case(form, k, 1, 10000)
        yield Case(form, 1, 10, 10000)
        yield Case(form, 4, 1, 10000, "tcp")
        if not quick:
            yield Case(form, 4, 10, 10000)
            yield Case(form, 4, 1, 2000)
            yield Case(form, 4, 1, 1000000)
            yield Case(form, 1, 1, 10000000)


def one_case(text):
    """FORMAT:CONN:RCPT:BYTES[:tcp]"""
    form, conn, rcpt, size, *way = text.split(":")
    case = Case(form, int(conn), int(rcpt), int(size), *way)
    if form not in FORMATS or case.way not in ("unix", "tcp") or \
            case.conn * case.rcpt > lmtp_servers.BOXES:
        raise ValueError(text)
    return case


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--slice", type=float, default=1.0)
    p.add_argument("--warm", type=float, default=0.5)
    p.add_argument("--dir", default="/var/tmp")
    p.add_argument("--quick", action="store_true")
    p.add_argument("--format", choices=FORMATS)
    p.add_argument("--only", action="append", type=one_case)
    p.add_argument("--server", action="append",
                   choices=[s.name for s in lmtp_servers.ALL])
    p.add_argument("--out")
    return p.parse_args()


def measure(a, base, servers, todo):
    """{(case, server's name): what lmtpload printed, round by round}"""
    results = {}
    # Maildir first: dotlocks leave deleted inodes behind, and ext4 without a
    # journal looks at each of them before it makes a new one.
    for form in FORMATS:
        cases = [c for c in todo if c.format == form]
        now = [s for s in servers if form in s.formats]
        for s in now if cases else ():	# every mailbox exists
            load(base, s, Case(form, 64, 1, 2000), 0.5)
        for _ in range(a.rounds):
            for case in cases:
                for s in now:
                    if s.takes(case):
                        results.setdefault((case, s.name), []).append(
                            load(base, s, case, a.slice, a.warm))
    return results


def main():
    a = arguments()
    if not mounts.able():
        sys.exit("needs root and a mount namespace")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    todo = [c for c in a.only or all_cases(a.quick) if a.format in (None, c.format)]
    base = lmtp_servers.new_base(a.dir)
    servers = [kind(base) for kind in lmtp_servers.ALL if kind.there() and
               (not a.server or kind.name in a.server)]
    started = []
    try:
        for s in servers:
            started.append(s)
            s.start()
        results = measure(a, base, servers, todo)
        average = os.getloadavg()
        landed = lmtp_landed.check(base, servers, {c.size for c in todo} | {2000})
    finally:
        for s in started:
            s.stop()
        for s in servers:
            s.release()
        lmtp_servers.remove_base(base)
    text = "\n".join(
        lmtp_table.rows(todo, [s.name for s in servers], results) + [""] +
        lmtp_table.wanted(STEPS, Case, results) + [""] + landed.lines +
        ["", f"load average {average[0]:.1f} {average[1]:.1f} {average[2]:.1f}"]) + "\n"
    print(text)
    if a.out:
        with open(a.out, "w", encoding="ascii") as f:
            f.write(text)
    if not landed.well:
        sys.exit("messages are missing, doubled or torn")


if __name__ == "__main__":
    main()
