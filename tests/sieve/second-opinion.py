#!/usr/bin/python3
"""What does Pigeonhole say of our cases?

    tests/sieve/second-opinion.py [-v] [FILE...]

Runs every case of tests/sieve/cases through `sieve-test` of dovecot-sieve and
compares what it would do with what the case wants. Each disagreement must
stand in disagreements.txt with the reason who is right; one that does not,
and a line there that is no longer needed, make this fail. Cases that use
what Debian's Pigeonhole lacks are counted and passed over.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
LACKS = {"fcc", "ereject", "extlists", "mailboxid", "comparator-i;unicode-casemap",
         "envelope-dsn", "envelope-deliverby", "redirect-dsn",
         "redirect-deliverby", "replace", "enclose"}
STANDARD = open(os.path.join(HERE, "run_cases.c")).read()
STANDARD = "".join(
    eval(line) for line in re.findall(
        r'^    ("(?:[^"\\]|\\.)*");?$',
        STANDARD.split("standard_message[] =")[1].split(";\n\n")[0] + ";",
        re.M))


class Setup:
    def __init__(self):
        self.require = None
        self.message = STANDARD
        self.sender = "coyote@desert.example.org"
        self.to = "roadrunner@acme.example.com"
        self.orig = None
        self.mailboxes, self.includes = [], []
        self.odd = False        # set up in a way that sieve-test cannot be


def unescape(line):
    return re.sub(r"\\([0rt\\])",
                  lambda m: {"0": "\0", "r": "\r", "t": "\t",
                             "\\": "\\"}[m.group(1)], line)


def parse(path):
    """Yields (name, line, script, wanted, setup)."""
    s = Setup()
    lines = open(path, encoding="utf-8", errors="surrogateescape",
                 newline="").read().split("\n")
    i = 0

    def until(end):
        nonlocal i
        out = []
        while i < len(lines) and lines[i] != end:
            out.append(lines[i])
            i += 1
        i += 1
        return out

    while i < len(lines):
        line = lines[i]
        i += 1
        if not line or line[0] == "#":
            continue
        if line[0] == "@":
            word, _, rest = line[1:].partition(" ")
            s = copy(s)
            if word == "reset":
                s = Setup()
            elif word == "require":
                s.require = rest or None
            elif word == "message":
                s.message = "".join(unescape(x) + "\n" for x in until("."))
            elif word == "from":
                s.sender = rest
            elif word == "to":
                s.to = rest
            elif word == "orig_to":
                s.orig = rest
            elif word == "mailbox":
                s.mailboxes.append(rest)
            elif word in ("personal", "global"):
                text = "".join(unescape(x) + "\n" for x in until("."))
                s.includes.append((word, rest, text))
            else:
                s.odd = True
        elif line.startswith("== "):
            at = i
            script = "".join(x + "\n" for x in until("--"))
            yield line[3:], at, script, until("."), s
        else:
            script = "if %s { discard; } else { keep; }\n" % line[2:]
            if s.require:
                script = "require [%s]; " % ", ".join(
                    '"%s"' % w for w in s.require.split(" ")) + script
            want = {"T": ["discard"], "F": ["keep"], "X": ["error "]}[line[0]]
            yield line, i, script, want, s


def copy(s):
    t = Setup()
    t.__dict__.update(s.__dict__)
    t.mailboxes, t.includes = list(s.mailboxes), list(s.includes)
    return t


CONF = """
mail_location = maildir:{d}/mail
mail_home = {d}/home
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 0
first_valid_gid = 0
namespace inbox {{
  inbox = yes
  separator = /
}}
plugin {{
  sieve = file:{d}/home/sieve;active={d}/home/.dovecot.sieve
  sieve_global = {d}/global
  recipient_delimiter = +
  sieve_extensions = +editheader +mboxmetadata +servermetadata +spamtest \
+spamtestplus +virustest +special-use +vacation-seconds +vnd.dovecot.debug \
+vnd.dovecot.environment
}}
"""


def outcome(script, s):
    """A set of words: what Pigeonhole would do."""
    d = tempfile.mkdtemp(prefix="opinion")
    try:
        for sub in ("home/sieve", "global", "mail/cur", "mail/new",
                    "mail/tmp"):
            os.makedirs(os.path.join(d, sub))
        for m in s.mailboxes:
            for sub in ("cur", "new", "tmp"):
                os.makedirs(os.path.join(
                    d, "mail", "." + m.replace("/", "."), sub))
        for where, name, text in s.includes:
            p = os.path.join(d, "home/sieve" if where == "personal" else
                             "global", name + ".sieve")
            put(p, text)
        put(d + "/d.conf", CONF.format(d=d))
        put(d + "/case.sieve", script)
        put(d + "/msg", s.message)
        subprocess.run(["chown", "-R", "nobody:nogroup", d], check=True)
        argv = ["sieve-test", "-c", d + "/d.conf", "-f", s.sender,
                "-r", s.to, "-a", s.orig or s.to, d + "/case.sieve",
                d + "/msg"]
        try:
            p = subprocess.run(argv, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, timeout=60,
                               env={"PATH": os.environ["PATH"],
                                    "TZ": "Europe/Berlin"})
        except subprocess.TimeoutExpired:
            return {"no answer in 60 s"}, ""
        return read_outcome(p.stdout.decode("utf-8", "surrogateescape"))
    finally:
        shutil.rmtree(d)


def put(path, text):
    with open(path, "wb") as f:
        f.write(text.encode("utf-8", "surrogateescape"))


def flagset(text):
    return " ".join(sorted(text.lower().split()))


def read_outcome(text):
    if "failed to compile" in text or "parse failed" in text:
        return {"error"}, text
    out, last = [], None
    if "failed; resolved" in text:
        return {"runtime", "keep"}, text
    for line in text.split("\n"):
        line = line.rstrip("\r")
        if m := re.match(r" \* store message in folder: (.*)", line):
            box = m.group(1).removesuffix(" (create if not exist)")
            last = "keep" if box.upper() == "INBOX" else "fileinto " + box
            out.append(last)
        elif m := re.match(r"\s+\+ add IMAP flags: ?(.*)", line):
            if out and flagset(m.group(1)):
                out[-1] += " flags=" + flagset(m.group(1))
        elif m := re.match(r" \* redirect message to: <?(.*?)>?$", line):
            out.append("redirect " + m.group(1))
        elif re.match(r" \* discard", line):
            out.append("discard")
        elif re.match(r" \* reject", line):
            out.append("reject")
        elif re.match(r" \* send vacation", line):
            out.append("vacation")
        elif re.match(r" \* send notification", line):
            out.append("notify")
    return set(out), text


def simplify(want):
    """Our wanted lines in the same words; None: not to be compared."""
    out = set()
    for w in want:
        if w.startswith("error keep"):
            out |= {"runtime", "keep"}
            continue
        if w.startswith("error"):
            return {"error"}
        if w.split(" ")[0] in ("warning", "has", "hasnot", "first", "mark",
                               "runtime"):
            continue
        w = w.removeprefix("implicit ").removesuffix("...").rstrip()
        word = w.split(" ")[0]
        if word in ("reject", "ereject"):
            out.add("reject")
        elif word in ("vacation", "notify"):
            out.add(word)
        else:
            flags = re.search(r" flags=(.*?)(?: (?:create|copy)|$)", w)
            plain = re.split(
                r" (?:flags=|create\b|copy\b|list$|specialuse=|notify=|by=)", w)[0]
            f = flagset(flags.group(1)) if flags else ""
            out.add(plain + (" flags=" + f if f else ""))
    return out


def main():
    verbose = "-v" in sys.argv
    files = [a for a in sys.argv[1:] if a != "-v"] or \
        sorted(glob.glob(os.path.join(HERE, "cases", "*.txt")))
    known, used = {}, set()
    for line in open(os.path.join(HERE, "disagreements.txt"),
                     encoding="utf-8"):
        line = line.rstrip("\n")
        if line and line[0] != "#":
            name, _, reason = line.partition(" => ")
            known[name.strip()] = reason
    jobs, skipped = [], 0
    for path in files:
        for name, at, script, want, s in parse(path):
            words = set(re.findall(r'"([a-z0-9;.-]+)"', script))
            # sieve-test takes no null sender
            if s.odd or not s.sender or words & LACKS or "currentdate" in script or \
                    "mailboxid" in script or "vnd.vbox." in script:
                skipped += 1
                continue
            jobs.append((os.path.basename(path), name, at, script, want, s))
    agree, bad = 0, 0
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda j: outcome(j[3], j[5]), jobs)
        for (path, name, at, script, want, s), (got, text) in \
                zip(jobs, results):
            wanted = simplify(want)
            if "vacation" in script:
                # whether it answers, it decides when it executes
                got, wanted = got - {"vacation"}, wanted - {"vacation"}
            key = path + ": " + name
            if got == wanted:
                agree += 1
                continue
            used.add(key)
            if key in known and not verbose:
                continue
            bad += key not in known
            print("%s:%d: %s\n    wanted %s\n    Pigeonhole %s" %
                  (path, at, name, sorted(wanted), sorted(got)))
            for line in text.split("\n"):
                if "error" in line or "warning" in line:
                    print("        " + line)
    stale = [k for k in known if k not in used and
             any(k.startswith(os.path.basename(f)) for f in files)]
    for k in stale:
        print("no disagreement any more: " + k)
    print("second opinion: %d agree, %d disagree with reason, %d without, "
          "%d not comparable" % (agree, len(used) - bad, bad, skipped))
    return 1 if bad or stale else 0


sys.exit(main())
