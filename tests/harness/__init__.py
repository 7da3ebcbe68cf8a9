"""What the tests of whole programs share: a private site, servers, readers.

Everything lives in one directory of its own and ends with the test: servers
are stopped by their pid, nobody sleeps for a guessed time (see until())."""
import os
import random
import socket
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
BUILD = TOP / os.environ.get("VBOX_BUILD", "build/gcc")
ROOTS = TOP / "build" / "roots"
SANITIZED = BUILD.name.endswith("-san")

# Nobody's uid and gid: no account has them, and nobody needs one.
UID = GID = 61234

# What is waited for comes; only what hangs does not. A sanitized program is some
# ten times slower, and others are at work on the machine.
PATIENCE = 120 if SANITIZED else 60


def until(what, seconds=None, of="what was waited for"):
    """Asks what() again and again until it is true; its answer. An assertion
    in it that fails is not true yet: an mbox may be read while it is written."""
    end = time.monotonic() + (seconds or PATIENCE)
    pause = 0.001
    while True:
        failed = None
        try:
            answer = what()
        except AssertionError as e:
            answer, failed = None, e
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{of}: not within {seconds or PATIENCE} s") \
                from failed
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


# Below these the kernel takes the ports of clients; see ip_local_port_range(7).
PORTS = range(20000, 32000)
taken = []


def free_port():
    """A TCP port of 127.0.0.1 for a server that starts later. No other test
    gets it before this process ends, and no client has it by chance."""
    for port in random.sample(PORTS, 1000):
        claim = socket.socket(socket.AF_UNIX)
        with socket.socket() as s:
            try:
                claim.bind(f"\0vbox-test-port-{port}")
                s.bind(("127.0.0.1", port))
            except OSError:
                claim.close()
                continue
        taken.append(claim)
        return port
    raise AssertionError("no port is free")


def as_vmail():
    """preexec_fn: becomes the user who owns the mail."""
    os.setgroups([])
    os.setresgid(GID, GID, GID)
    os.setresuid(UID, UID, UID)
