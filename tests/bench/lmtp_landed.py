"""Did every message land? Reads the mailboxes that bench_lmtp.py filled: as many
messages as were called delivered, each with its whole body."""
import os
import subprocess
from dataclasses import dataclass, field

MARK = b"Message-ID: <load@client.test>\n"


@dataclass
class Landed:
    well: bool = True
    lines: list = field(default_factory=list)


def bodies(base, sizes):
    """What lmtpload sends as the body of a message of each size."""
    for n in sorted(sizes):
        sent = subprocess.run(
            [os.path.join(base, "lmtpload"), "-p", "-s", str(n)],
            stdout=subprocess.PIPE, check=True).stdout.replace(b"\r\n", b"\n")
        yield sent.partition(b"\n\n")[2]


def count(data, want):
    """Messages in a file, and how many of them are whole. Nothing is known of
    the fields around ours and of what separates messages."""
    found = whole = 0
    at = data.find(MARK)
    while at >= 0:
        found += 1
        begin = data.find(b"\n\n", at + len(MARK) - 1) + 2
        whole += any(data.startswith(b, begin) for b in want)
        at = data.find(MARK, begin)
    return found, whole


def mailboxes(top, form):
    for where, _, files in os.walk(top):
        for name in files:
            if name.startswith("dovecot") or name.endswith(".lock"):
                continue
            if form == "mbox" or os.path.basename(where) in ("new", "cur"):
                yield os.path.join(where, name)


def check(base, servers, sizes):
    result, want = Landed(), list(bodies(base, sizes))
    for s in servers:
        for form, said in s.said.items():
            found = whole = 0
            top = s.boxes(form)
            for path in mailboxes(top, form):
                with open(path, "rb") as f:
                    n, w = count(f.read(), want)
                found, whole = found + n, whole + w
            well = found == said == whole
            result.well &= well
            result.lines.append(
                f"landed: {s.name}, {form}: {said} were called delivered, {found} "
                f"found, {whole} of them whole: {'yes' if well else 'NO'}")
    return result
