"""What /proc says of a process. One that ends meanwhile is no error: it has no
status, no files and no children."""
import fcntl
import os
import struct
import termios


def read(pid, what):
    try:
        with open(f"/proc/{pid}/{what}", "rb") as f:
            return f.read()
    except OSError:
        return b""


def status(pid):
    """Its status, by name; {} if it has gone."""
    return dict(line.split(":\t", 1)
                for line in read(pid, "status").decode().splitlines()
                if ":\t" in line)


def confined(pid):
    """Under seccomp, or not; None if it has gone."""
    mode = status(pid).get("Seccomp")
    return None if mode is None else mode == "2"


def traced(pid):
    return status(pid).get("TracerPid", "0") != "0"


def alive(pid):
    """There, and no zombie."""
    return status(pid).get("State", "Z")[0] not in "ZX"


def session(pid):
    """Its leader's pid; None if it has gone."""
    # behind the name, which may hold anything: state, parent, group, session
    fields = read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[3]) if fields else None


def cmdline(pid):
    return read(pid, "cmdline")


def everybody():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def descendants(pid):
    """Itself and all below it, the nearest first."""
    parents = {p: status(p).get("PPid") for p in everybody()}
    found = [pid]
    for top in found:
        found += [p for p, parent in parents.items() if parent == str(top)]
    return found


def children(pid):
    return [p for p in everybody() if status(p).get("PPid") == str(pid)]


def open_files(pid):
    """What its descriptors lead to; those closed meanwhile are left out."""
    found = []
    try:
        fds = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return found
    for fd in fds:
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass
    return found


def unread(pipe):
    """Bytes in a pipe that nobody has read yet."""
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]
