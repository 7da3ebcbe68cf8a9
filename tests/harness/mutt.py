"""mutt as a reader: on a terminal of its own, driven by pushed keys. It runs as
root, since it will not for a uid that passwd(5) does not know, and read-only."""
import os
import pty
import select
import subprocess
import time

from . import PATIENCE


def read_unread(site, box):
    """The raw messages that mutt shows as new, in one string: mutt tags them
    and pipes each, undecoded, through cat."""
    work = site.own_dir(site.dir / "mutt")
    out = work / "unread"
    rc = work / "muttrc"
    rc.write_text(
        "set pipe_decode=no pipe_split=yes pipe_sep='' wait_key=no\n"
        "set mail_check=0 mark_old=no sort=mailbox-order confirmappend=no\n"
        "set quit=yes move=no delete=no header_cache='' auto_tag=no beep=no\n"
        f"set folder={work} mbox={work}/mbox record='' postponed={work}/p\n"
        "push '<tag-pattern>~N<enter><tag-prefix><pipe-message>"
        f"cat >>{out}<enter><exit>'\n")
    if out.exists():
        out.unlink()
    ours, theirs = pty.openpty()
    env = {"TERM": "xterm", "HOME": str(work), "PATH": "/usr/bin:/bin",
           "LC_ALL": "C.UTF-8", "LINES": "40", "COLUMNS": "120"}
    child = subprocess.Popen(
        ["mutt", "-n", "-R", "-F", str(rc), "-f", str(box)], env=env,
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=work,
        start_new_session=True)
    os.close(theirs)
    screen = b""
    end = time.monotonic() + PATIENCE
    try:
        while child.poll() is None:
            assert time.monotonic() < end, screen[-2000:]
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    screen += os.read(ours, 65536)
                except OSError:
                    break
        child.wait(PATIENCE)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(ours)
    return out.read_bytes() if out.exists() else b""
