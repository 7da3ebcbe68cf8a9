#!/usr/bin/python3
"""make bench-exec: what one delivery by exec costs, ours and the peers'.

	bench_exec.py [--rounds N] [--slice N] [--dir DIR] [--no-growth] [--out FILE]

All agents do the same work, a message of 10 KB to an existing mailbox, in
one run: slices take turns, so that what else the machine does hits all of
them. Each slot of 1, 4 or 16 at a time has a mailbox of its own. Shown are the
medians of the rounds. Whether a success is durable is read from a trace:
was the mailbox file synced, and for Maildir the directory.
"""

import argparse
import datetime
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import agents  # noqa: E402
import mounts  # noqa: E402

SLOTS = (1, 4, 16)
SIZE = 10000
MAIL_LOCAL = os.path.join(agents.TOP, "build/roots/sendmail/usr/libexec/"
                          "sendmail/mail.local")
SLOT_USER = "u@SLOT@"


class MailLocal(agents.Agent):
    """sendmail's own; it knows the users of /etc/passwd and /var/mail only,
    so both are ours in our mount namespace."""
    name = "mail.local"
    needs = (MAIL_LOCAL,)

    def configure(self):
        spool = os.path.join(self.root, "spool", agents.DOMAIN)
        os.makedirs(spool, exist_ok=True)
        passwd = os.path.join(self.root, "passwd")
        shutil.copy("/etc/passwd", passwd)
        with open(passwd, "a", encoding="ascii") as f:
            for i in range(max(SLOTS)):
                f.write(f"u{i}:x:{6000 + i}:{6000 + i}::/nowhere:/bin/false\n")
        mounts.run("mount", "--bind", passwd, "/etc/passwd")
        self.bound = False

    def reset(self, old=(), user=agents.USER, size=SIZE):
        if self.bound:
            mounts.run("umount", "/var/mail")
        super().reset(old, user, size)
        # it makes its dotlock as the user; elsewhere it is setgid mail
        os.chmod(self.directory(), 0o1777)
        mounts.run("mount", "--bind", self.directory(), "/var/mail")
        self.bound = True

    def fill(self, old, user=agents.USER, size=SIZE):
        super().fill(old, user, size)
        if user.startswith("u"):
            os.chown(self.box(user), 6000 + int(user[1:]), 6000 + int(user[1:]))

    def argv(self, user=agents.USER):
        return [MAIL_LOCAL, "-f", agents.SENDER, user]


class Empty(agents.Agent):
    name = "empty program"
    floor = True

    def argv(self, user=agents.USER):
        return [os.path.join(self.root, "..", "empty")]


class EmptyMaildir(Empty):
    format = "maildir"


AGENTS = {
    "mbox": (agents.Vbox, agents.Procmail, agents.Maildrop, MailLocal,
             agents.DovecotLda, Empty),
    "maildir": (agents.VboxMaildir, agents.ProcmailMaildir,
                agents.MaildropMaildir, agents.DovecotLdaMaildir, EmptyMaildir),
}


def plain(name):
    return name.replace(" Maildir", "")


class Bench:
    def __init__(self, base):
        self.base = base
        self.message = os.path.join(base, "message")
        with open(self.message, "wb") as f:
            f.write(agents.message("bench", SIZE))
        for name in ("spawn", "empty"):
            subprocess.run(["gcc", "-O2", "-o", os.path.join(base, name),
                            os.path.join(HERE, name + ".c")], check=True)

    def spawn(self, agent, n, parallel, user=SLOT_USER):
        out = subprocess.run(
            [os.path.join(self.base, "spawn"), str(n), str(parallel),
             str(agent.uid or 0), self.message] + agent.argv(user),
            env=agent.env, cwd="/", check=True, capture_output=True, text=True)
        wall, cpu_user, cpu_sys, failed = out.stdout.split()
        if int(failed):
            raise RuntimeError(f"{agent.name}: {failed} of {n} failed")
        return n / float(wall), 1000 * (float(cpu_user) + float(cpu_sys)) / n

    def prepare(self, cls, number):
        """The agent with a mailbox for each slot, or None."""
        if not cls.available():
            return None
        agent = cls(os.path.join(self.base, f"s{number}"))
        agent.reset([])
        for slot in range(max(SLOTS)):
            agent.fill(["old"], f"u{slot}")
        self.spawn(agent, 4 * max(SLOTS), max(SLOTS))
        return agent

    def check(self, agent):
        """Everything that was called delivered is there."""
        if getattr(agent, "floor", False):
            return 0
        count = 0
        for slot in range(max(SLOTS)):
            box = agent.read(f"u{slot}")
            if box.broken:
                raise RuntimeError(f"{agent.name}: broken mail {box.broken}")
            count += len(box.tokens) - 1
        return count

    def durable(self, agent):
        """What one delivery syncs: (file, directory)."""
        if getattr(agent, "floor", False):
            return None
        agent.fill(["old"], "u99") if agent.name != "mail.local" else None
        user = "u0" if agent.name == "mail.local" else "u99"
        box = os.path.realpath(agent.box(user))
        if agent.name == "mail.local":
            box = f"/var/mail/{user}"
        log = os.path.join(agent.root, "trace")
        with open(self.message, "rb") as f:
            subprocess.run(
                ["strace", "-f", "-y", "-qq", "-o", log, "-e",
                 "trace=fsync,fdatasync,sync_file_range,syncfs,openat"]
                + agent.argv(user), env=agent.env, stdin=f, check=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                **({"user": agent.uid, "group": agents.NOBODY,
                    "extra_groups": []} if agent.uid else {}))
        file = directory = False
        with open(log, encoding="utf-8", errors="replace") as f:
            for line in f:
                m = re.search(r"\b(?:fsync|fdatasync|syncfs)\(\d+<([^>]*)>", line)
                if not m:
                    continue
                path = m.group(1).replace(" (deleted)", "")
                if path == box or path.startswith(os.path.join(box, "tmp/")) \
                        or path.startswith(os.path.join(box, "new/")) \
                        or path.startswith(os.path.join(box, "tmp")) \
                        and path != os.path.join(box, "tmp"):
                    file = True
                if path in (os.path.join(box, "new"), os.path.dirname(box)):
                    directory = True
        return file, directory


def durable_text(fmt, seen):
    if seen is None:
        return "-"
    file, directory = seen
    if fmt == "mbox":
        return "yes" if file else "no"
    if file and directory:
        return "yes"
    return "file only" if file else "no"


def run_format(bench, fmt, rounds, slice_, first):
    present = []
    for i, cls in enumerate(AGENTS[fmt]):
        agent = bench.prepare(cls, first + i)
        if agent:
            present.append(agent)
        else:
            print(f"({cls.name}: not installed)", file=sys.stderr)
    seen = {a.name: bench.durable(a) for a in present}
    before = {a.name: bench.check(a) for a in present}
    took = {a.name: {p: [] for p in SLOTS} for a in present}
    done = {a.name: 0 for a in present}
    for r in range(rounds):
        for parallel in SLOTS:
            for agent in present[r % len(present):] + present[:r % len(present)]:
                n = max(slice_ // 3, 16) if "dovecot" in agent.name else slice_
                took[agent.name][parallel].append(
                    bench.spawn(agent, n, parallel))
                done[agent.name] += n
    for agent in present:
        if not getattr(agent, "floor", False):
            got = bench.check(agent) - before[agent.name]
            if got != done[agent.name]:
                raise RuntimeError(f"{agent.name}: {done[agent.name]} said to "
                                   f"be delivered, {got} there")
    return present, seen, took


def table(fmt, present, seen, took):
    """Lines of markdown, and the ratios to procmail per step."""
    def rate(name, p):
        return statistics.median(x[0] for x in took[name][p])

    def cpu(name):
        return statistics.median(x[1] for p in SLOTS for x in took[name][p])

    base = next((a.name for a in present if "procmail" in a.name), None)
    lines = [f"| {fmt} | durable | " + " | ".join(f"{p} at a time" for p in SLOTS)
             + " | CPU ms | " + " | ".join(f"x procmail, {p}" for p in SLOTS) + " |",
             "|---|---|" + "---:|" * (2 * len(SLOTS) + 1)]
    ratios = {}
    for a in present:
        ratios[a.name] = [
            statistics.median(x[0] / y[0] for x, y in
                              zip(took[a.name][p], took[base][p]))
            if base else float("nan") for p in SLOTS]
        lines.append(
            f"| {plain(a.name)} | {durable_text(fmt, seen[a.name])} | "
            + " | ".join(f"{rate(a.name, p):.0f}" for p in SLOTS)
            + f" | {cpu(a.name):.2f} | "
            + " | ".join(f"{r:.2f}" for r in ratios[a.name]) + " |")
    ours = present[0].name
    return lines, min(ratios[ours]), cpu(ours)


# --- growth ----------------------------------------------------------------------

def big_mbox(path, size):
    one = agents.mbox_bytes("old", SIZE)
    block = one * (4 * 1024 * 1024 // len(one))
    with open(path, "wb") as f:
        while f.tell() < size:
            f.write(block)
    os.chown(path, agents.NOBODY, agents.NOBODY)
    os.chmod(path, 0o600)


def growth(bench, number, rounds, slice_):
    lines = ["| cost that must not grow | small | large | large / small |",
             "|---|---:|---:|---:|"]
    worst = 0
    mbox = agents.Vbox(os.path.join(bench.base, f"s{number}"))
    mbox.reset([])
    big_mbox(mbox.box("small"), 10 << 20)
    big_mbox(mbox.box("large"), 1 << 30)
    maildir = agents.VboxMaildir(os.path.join(bench.base, f"s{number + 1}"))
    maildir.reset([])
    for user, count in (("small", 100), ("large", 100000)):
        maildir.fill([], user)
        new = os.path.join(maildir.box(user), "new")
        for i in range(count):
            os.close(os.open(os.path.join(new, f"1600000000.M{i}P1.old"),
                             os.O_CREAT | os.O_WRONLY, 0o600))
    os.sync()
    for agent, what in ((mbox, "mbox of 10 MB and of 1 GB"),
                        (maildir, "Maildir of 100 and of 100,000 messages")):
        got = {"small": [], "large": []}
        bench.spawn(agent, 50, 1, "small")
        bench.spawn(agent, 50, 1, "large")
        for _ in range(rounds):
            for user, rates in got.items():
                rates.append(bench.spawn(agent, slice_, 1, user)[0])
        ratio = statistics.median(a / b for a, b in
                                  zip(got["small"], got["large"]))
        worst = max(worst, ratio)
        lines.append(f"| {what} | {1000 / statistics.median(got['small']):.2f} ms"
                     f" | {1000 / statistics.median(got['large']):.2f} ms"
                     f" | {ratio:.2f} |")
    return lines, worst


def machine():
    model = "?"
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--slice", type=int, default=96)
    p.add_argument("--dir", default=os.environ.get("VBOX_TMP", "/tmp"))
    p.add_argument("--no-growth", action="store_true")
    p.add_argument("--out", help="write the tables to this file, too")
    a = p.parse_args()
    if not mounts.able():
        sys.exit("bench_exec: needs root")
    base = tempfile.mkdtemp(prefix="vbox-bench-", dir=a.dir)
    os.chmod(base, 0o755)
    text, verdict = [], []
    try:
        bench = Bench(base)
        with open("/proc/mounts", encoding="ascii", errors="replace") as f:
            fs = max((line.split()[1:3] for line in f
                      if os.path.realpath(base).startswith(line.split()[1])),
                     key=lambda m: len(m[0]))[1]
        text.append(f"{datetime.date.today()}, {machine()}, {fs}, {SIZE // 1000}"
                    f" KB, {a.rounds} rounds of {a.slice}, deliveries per second")
        for i, fmt in enumerate(AGENTS):
            lines, ratio, cpu = table(fmt, *run_format(
                bench, fmt, a.rounds, a.slice, 10 * i))
            text += [""] + lines
            verdict.append(f"{fmt}: {ratio:.2f} x procmail at the least (wanted "
                           f"1.20), {cpu:.2f} ms CPU (wanted 1.00)")
        if not a.no_growth:
            lines, worst = growth(bench, 90, a.rounds, a.slice)
            text += [""] + lines
            verdict.append(f"growth: {100 * (worst - 1):.0f} % at the most "
                           "(wanted 10 %)")
    finally:
        shutil.rmtree(base, ignore_errors=True)
    text += [""] + verdict
    print("\n".join(text))
    if a.out:
        with open(a.out, "w", encoding="utf-8") as f:
            f.write("\n".join(text) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
