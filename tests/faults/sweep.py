#!/usr/bin/python3
"""Fault sweep of one delivery command, by strace --inject.

	sweep.py [--peers] [--size N] [--only error|kill] [--dir DIR] [-v]

One delivery is traced; then it is run again for each of its system calls
with that call failing (once, and from there on), and with SIGKILL before it.
After each run the box is judged, a second message is delivered, and the box
is judged again:

  - success was said if and only if the message is there, once and whole
    (after a kill it may be there or not, but not twice and not in part)
  - "try again" was said with a code that every MTA reads so
  - what lay in the box before is still there, byte for byte
  - the second delivery works at once, and after it the box holds the old
    mails, the first one if it was said to be stored, and the second
"""

import argparse
import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import agents  # noqa: E402
import mounts  # noqa: E402
from harness import proc, until  # noqa: E402

DISK = ("ENOSPC", "EIO", "EDQUOT")
ERRORS = {
    # calls that store
    "write": DISK + ("EINTR",), "pwrite64": DISK + ("EINTR",),
    "writev": DISK + ("EINTR",), "pwritev": DISK, "pwritev2": DISK,
    "sendfile": DISK, "copy_file_range": DISK, "splice": DISK,
    "fsync": DISK, "fdatasync": DISK, "syncfs": DISK, "sync_file_range": DISK,
    "ftruncate": DISK, "truncate": DISK, "fallocate": DISK + ("EOPNOTSUPP",),
    "close": DISK, "link": DISK, "linkat": DISK,
    "rename": DISK, "renameat": DISK, "renameat2": DISK,
    "mkdir": DISK, "mkdirat": DISK, "unlink": DISK, "unlinkat": DISK,
    "open+": DISK + ("EACCES",), "openat+": DISK + ("EACCES",),
    "openat2+": DISK + ("EACCES",), "creat": DISK,
    "fsetxattr": DISK + ("EOPNOTSUPP",), "setxattr": DISK,
    "fremovexattr": DISK, "removexattr": DISK, "fgetxattr": ("EIO",),
    "fchmod": ("EIO",), "fchown": ("EIO",), "fchmodat": ("EIO",),
    "chmod": ("EIO",), "chown": ("EIO",), "fchownat": ("EIO",),
    "utimensat": ("EIO",), "futimesat": ("EIO",),
    # calls that look, wait and read
    "open": ("EIO", "EMFILE", "EINTR"), "openat": ("EIO", "EMFILE", "EINTR"),
    "openat2": ("EIO", "EMFILE", "EINTR"),
    "read": ("EIO", "EINTR"), "pread64": ("EIO", "EINTR"), "readv": ("EIO",),
    "getdents64": ("EIO",), "lseek": ("EIO",), "fcntl": ("ENOLCK", "EINTR"),
    "flock": ("ENOLCK", "EINTR"), "fstat": ("EIO",), "newfstatat": ("EIO",),
    "lstat": ("EIO",), "stat": ("EIO",), "statx": ("EIO",), "mmap": ("ENOMEM",),
    "memfd_create": ("EMFILE",), "pipe2": ("EMFILE",), "fork": ("EAGAIN",),
    "clone": ("EAGAIN",), "clone3": ("EAGAIN",), "vfork": ("EAGAIN",),
    "setresuid": ("EAGAIN",), "setresgid": ("EPERM",), "setgroups": ("EPERM",),
    "poll": ("EINTR",), "clock_nanosleep": ("EINTR",), "statfs": ("EIO",),
    "fstatfs": ("EIO",), "prctl": ("EINVAL",), "umask": (),
}
# An EINTR for ever is nobody's fault.
ONLY_ONCE = ("EINTR",)

CALL = re.compile(r"^(?:\[pid +)?(\d+)\]? +([a-z_0-9]+)\((.*)$")


class Call(collections.namedtuple("Call", "name nth text creates loader")):
    """The nth call of this name in its process."""


class Case(collections.namedtuple("Case", "call error lasting")):
    def inject(self):
        when = f"{self.call.nth}{'+' if self.lasting else ''}"
        what = ("signal=KILL" if self.error == "KILL"
                else f"error={self.error}")
        return f"{self.call.name}:{what}:when={when}"

    def __str__(self):
        return f"{self.inject()} [{self.call.text[:60]}]"


def parse_trace(path):
    """System calls of one run, in order, counted per process and name."""
    calls, counts, loading = [], collections.Counter(), {}
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            m = CALL.match(line)
            if not m:
                continue
            pid, name, rest = m.groups()
            counts[pid, name] += 1
            loading.setdefault(pid, not loading)
            loader = loading[pid]
            # The loader closes by unmapping its cache; a static program
            # has no cache and nothing to skip.
            if name == "munmap" or (loader and name == "read" and
                                    rest.startswith("0,")):
                loading[pid] = False
            if name in ("exit_group", "exit", "rt_sigreturn"):
                continue
            calls.append(Call(name, counts[pid, name], rest.strip(),
                              "O_CREAT" in rest or "O_TMPFILE" in rest, loader))
    seen, out = set(), []
    for c in calls:
        if (c.name, c.nth) not in seen:
            seen.add((c.name, c.nth))
            out.append(c)
    return out


def plan(calls, kinds=("error", "kill")):
    cases = []
    for c in calls:
        if "error" in kinds and not c.loader:
            errors = ERRORS.get(c.name + "+" if c.creates else c.name,
                                ERRORS.get(c.name, ()))
            for e in errors:
                cases.append(Case(c, e, False))
                if e not in ONLY_ONCE:
                    cases.append(Case(c, e, True))
        if "kill" in kinds and c.name not in ("execve",):
            cases.append(Case(c, "KILL", False))
    return cases


def credentials(agent):
    if agent.uid is None:
        return {}
    return {"user": agent.uid, "group": agents.NOBODY, "extra_groups": []}


# No delivery takes that long, whatever else the machine does. A lock that is
# waited for in vain is told much sooner; see the agents' lock_timeout.
PATIENCE = 60


def of_session(leader):
    """Who of it still runs."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return []
    return [p for p in proc.everybody()
            if proc.alive(p) and proc.session(p) == leader]


def deliver(agent, token, size, prefix=(), timeout=PATIENCE, user=agents.USER,
            all_end=False):
    """The exit status, -signal, or None when it did not end in time. all_end:
    and those have ended whom it has left behind, being killed."""
    p = subprocess.Popen(
        list(prefix) + agent.argv(user), env=agent.env, cwd="/",
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
        **credentials(agent))
    try:
        p.communicate(agents.message(token, size), timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, 9)
        p.wait()
        return None
    except BrokenPipeError:
        p.wait()
    if all_end:
        until(lambda: not of_session(p.pid), of="the children's end")
    return p.returncode


def read_unseen(path):
    """A file's bytes, without a trace of the reading."""
    fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
    with open(fd, "rb") as f:
        return f.read()


def snapshot(agent):
    """What must survive: the mbox's bytes, or the Maildir's files."""
    if agent.format == "mbox":
        if not os.path.exists(agent.box()):
            return b""
        return read_unseen(agent.box())
    files = {}
    for sub in ("new", "cur"):
        directory = os.path.join(agent.box(), sub)
        if not os.path.isdir(directory):
            continue
        for name in os.listdir(directory):
            files[name] = read_unseen(os.path.join(directory, name))
    return files


def kept(agent, old):
    now = snapshot(agent)
    if agent.format == "mbox" and agent.rewrites:
        box = agent.read()
        return (not old or box.tokens[:len(OLD)] == OLD) and not (
            set(OLD) & set(box.broken))
    if agent.format == "mbox":
        return now.startswith(old)
    return all(now.get(name) == data for name, data in old.items())


def unexpected_files(agent):
    """Names beside an mbox that a finished delivery must not leave."""
    if agent.format != "mbox":
        return []
    return [n for n in os.listdir(agent.directory())
            if n != agents.USER and not n.endswith(".vbox-undo")
            and not n.startswith(".vbox-lock.")]


OLD = ["old1", "old2"]


def old_tokens(agent):
    """A site that makes its boxes is swept without one."""
    return None if getattr(agent, "listed", False) else OLD


def judge(agent, case, size, next_timeout, timeout=PATIENCE):
    """Runs one case on the agent's site; a list of what went wrong."""
    wrong = []
    had = old_tokens(agent) or []
    agent.reset(old_tokens(agent))
    old = snapshot(agent)
    log = os.path.join(agent.root, "trace")
    prefix = ["strace", "-f", "-qq", "-o", log, "-e", f"trace={case.call.name}",
              "-e", "signal=none", f"--inject={case.inject()}"]
    code = deliver(agent, "first", size, prefix, timeout)
    killed = case.error == "KILL"
    if code is None:
        wrong.append("did not end")
    if not kept(agent, old):
        wrong.append("old mail changed")
        return wrong
    box = agent.read()
    count = box.tokens.count("first")
    if code == 0:
        if count != 1:
            wrong.append(f"success said, message there {count} times")
        if box.broken:
            wrong.append("success said, message not whole")
    elif not killed:
        if code is not None and agent.temporary and code not in agent.temporary:
            wrong.append(f"exit {code} is not a temporary failure")
        if count and not box.broken:
            wrong.append("failure said, message stored")
        if not case.lasting and box.tokens != had:
            wrong.append("failure said, box not rolled back")
    elif count > 1:
        wrong.append("twice after a kill")
    if agent.format == "maildir" and box.broken:
        wrong.append("part of a message in new")
    code2 = deliver(agent, "second", size, timeout=next_timeout)
    if code2 != 0:
        wrong.append("next delivery blocked" if code2 is None
                     else f"next delivery failed with {code2}")
    if not kept(agent, old):
        wrong.append("old mail changed by the next delivery")
        return wrong
    box = agent.read()
    first = box.tokens.count("first")
    tokens = [t for t in box.tokens if t != "first"]
    if agent.format == "maildir":
        tokens = sorted(tokens, key=lambda t: (t != "old1", t != "old2"))
    if code2 == 0 and tokens != had + ["second"]:
        wrong.append(f"after the next delivery the box holds {box.tokens}")
    if box.broken:
        wrong.append(f"not whole after the next delivery: {box.broken}")
    if code == 0 and first != 1:
        wrong.append(f"success said, {first} copies in the end")
    if code not in (0, None) and not killed and first:
        wrong.append("failure said, message there in the end")
    if first > 1:
        wrong.append("two copies")
    if not killed and not case.lasting or code2 == 0:
        left = unexpected_files(agent)
        if left and code2 == 0:
            wrong.append(f"left behind: {left}")
    return wrong


class Result:
    def __init__(self, name):
        self.name, self.cases, self.failed = name, 0, []

    def survived(self):
        return self.cases - len(self.failed)

    def __str__(self):
        share = 100.0 * self.survived() / max(self.cases, 1)
        return (f"{self.name}: {self.cases} faults, "
                f"{self.survived()} survived ({share:.1f} %)")


def trace(agent, size):
    """The calls of one good delivery."""
    agent.reset(old_tokens(agent))
    log = os.path.join(agent.root, "trace")
    code = deliver(agent, "first", size, ["strace", "-f", "-qq", "-o", log])
    box = agent.read()
    if code != 0 or box.tokens.count("first") != 1 or box.broken:
        raise RuntimeError(f"{agent.name}: a delivery without faults said "
                           f"{code}, box holds {box.tokens}, {box.broken}")
    return parse_trace(log)


def sweep(make, base, size=10000, kinds=("error", "kill"),
          next_timeout=PATIENCE, jobs=2, select=None, timeout=PATIENCE):
    """Every case for the agents that make(root) gives; a Result."""
    first = make(os.path.join(base, "w0"))
    cases = plan(trace(first, size), kinds)
    if select:
        cases = [c for c in cases if select(c)]
    result = Result(first.name)
    local, lock, made = threading.local(), threading.Lock(), [0]

    def one(case):
        if not hasattr(local, "agent"):
            with lock:
                made[0] += 1
                n = made[0]
            local.agent = make(os.path.join(base, f"w{n}"))
        wrong = judge(local.agent, case, size, next_timeout, timeout)
        with lock:
            result.cases += 1
            if wrong:
                result.failed.append((str(case), wrong))

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, cases))
    return result


def storing(case):
    """The catalogue's faults: kills, and a full or broken disk on a write."""
    return case.error == "KILL" or case.error in DISK and case.call.name not in (
        "read", "pread64", "lseek", "fstat", "newfstatat", "stat", "lstat",
        "getdents64", "statx", "statfs", "fstatfs", "mmap") and (
        not case.call.name.startswith("open") or case.call.creates)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--peers", action="store_true")
    p.add_argument("--agent", help="only agents with this in their name")
    p.add_argument("--size", type=int, default=10000)
    p.add_argument("--only", choices=("error", "kill"))
    p.add_argument("--dir", default="/dev/shm")
    p.add_argument("--wait", type=float, default=3.0,
                   help="seconds that the next delivery may take")
    p.add_argument("--limit", type=float, default=20.0,
                   help="seconds that a faulty delivery may take")
    p.add_argument("--storing", action="store_true",
                   help="errors only on calls that store")
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("-v", action="store_true")
    a = p.parse_args()
    kinds = (a.only,) if a.only else ("error", "kill")
    classes = agents.PEERS if a.peers else (agents.Vbox, agents.VboxMaildir)
    if a.peers and mounts.able():
        # where a peer turns to when all else fails
        mounts.run("mount", "-t", "tmpfs", "none", "/var/mail")
    bad = 0
    for cls in classes:
        if a.agent and a.agent not in cls.name:
            continue
        if not cls.available():
            print(f"{cls.name}: not installed")
            continue
        base = tempfile.mkdtemp(prefix="sweep.", dir=a.dir)
        os.chmod(base, 0o755)
        try:
            result = sweep(cls, base, a.size, kinds, a.wait,
                           jobs=a.jobs, select=storing if a.storing else None,
                           timeout=a.limit)
        finally:
            shutil.rmtree(base, ignore_errors=True)
        print(result, flush=True)
        bad += len(result.failed)
        if a.v:
            for case, wrong in sorted(result.failed):
                print(f"\t{case}: {'; '.join(wrong)}")
    return bad != 0 and not a.peers


if __name__ == "__main__":
    sys.exit(main())
