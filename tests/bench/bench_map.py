"""make bench-map: questions per second to the socket map of vbox-lmtpd, beside
Postfix's own SQLite map on the same accounts (postmap -q -).

Arguments: seconds per measurement (default 2). The server runs on one
processor and whoever asks on another. Closes with what was wanted: 50,000/s
on one core, cached."""
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests"))
from harness import BUILD, ROOTS  # noqa: E402
from harness.accounts import Vboxadm  # noqa: E402
from harness.site import Lmtpd, Site, copy_programs, new_directory  # noqa: E402

USERS, DOMAINS = 10_000, 100
ROOT = ROOTS / "postfix-sqlite"
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of(master):
    """Seconds of a process and its children that live."""
    pids = [master] + [int(x) for x in subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(master)], check=False,
        stdout=subprocess.PIPE).stdout.split()]
    ticks = 0
    for pid in pids:
        try:
            f = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(f[11]) + int(f[12])
        except OSError:
            pass
    return ticks / TICKS


def pin(master, cpu):
    pids = [master] + [int(x) for x in subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(master)], check=False,
        stdout=subprocess.PIPE).stdout.split()]
    for pid in pids:
        os.sched_setaffinity(pid, {cpu})


def ask(lmtpd, keys, connections, window, seconds):
    load = TOP / BUILD / "bench" / "mapload"
    before = cpu_of(lmtpd.process.pid)
    out = subprocess.run(
        [load, lmtpd.doors["map"], "virtuser", str(connections), str(window),
         str(seconds)], input=keys, check=True, stdout=subprocess.PIPE).stdout
    used = cpu_of(lmtpd.process.pid) - before
    rate, bad = (float(x) for x in out.split())
    assert bad == 0, bad
    return rate, rate * seconds / used if used else 0


def postfix(site, keys, repeat):
    """postmap asks the same database by the query that a site would write."""
    conf = site.dir / "postmap"
    conf.mkdir()
    lib = ROOT / "usr/lib/postfix"
    (conf / "main.cf").write_text(
        f"compatibility_level = 3.6\nshlib_directory = {lib}\n"
        f"meta_directory = {conf}\ndaemon_directory = {lib}/sbin\n"
        f"queue_directory = {conf}\nmail_owner = games\n"
        "default_privs = nobody\nsetgid_group = staff\n")
    (conf / "dynamicmaps.cf").write_text(
        f"sqlite {lib}/postfix-sqlite.so dict_sqlite_open\n")
    (conf / "users.cf").write_text(
        f"dbpath = {site.state}/vbox.db\n"
        "query = SELECT local || '@' || domain FROM accounts "
        "WHERE local = '%u' AND domain = '%d'\n")
    began = time.monotonic()
    r = subprocess.run(
        [ROOT / "usr/sbin/postmap", "-c", conf, "-q", "-",
         f"sqlite:{conf}/users.cf"], input=keys * repeat, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "MAIL_CONFIG": str(conf),
             "LD_LIBRARY_PATH": str(lib)})
    took = time.monotonic() - began
    found = r.stdout.count(b"\n")
    assert found == keys.count(b"\n") * repeat, (found, r.stderr[:500])
    return found / took


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    cpus = sorted(os.sched_getaffinity(0))
    work = new_directory("vbox-bench-")
    lmtpd = None
    rates = {}
    try:
        site = Site(work, copy_programs(work / "bin"))
        site.configure(directory=[f"sqlite:{site.state}/vbox.db"])
        adm = Vboxadm(site)
        people = [f"user{i}@d{i % DOMAINS}.test" for i in range(USERS)]
        (work / "table").write_text("".join(
            f"{p}\t{p}.virtuser.\n" for p in people))
        adm("import", "virtusertable", str(work / "table"))
        keys = "".join(f"{p}\n" for p in people).encode()
        lmtpd = Lmtpd(site, ["map"], cache_ttl="1h")
        print(f"{USERS} users, {DOMAINS} domains, map virtuser, server on "
              "one processor")
        for connections, window in ((1, 1), (16, 1), (1, 32), (16, 32)):
            # Workers fork on demand; a first round fills their caches.
            ask(lmtpd, keys, connections, 32, 1)
            if len(cpus) > 1:
                pin(lmtpd.process.pid, cpus[0])
                os.sched_setaffinity(0, {cpus[-1]})
            rate, per_core = ask(lmtpd, keys, connections, window, seconds)
            rates[connections, window] = rate
            print(f"{connections:3} connections, {window:3} questions on "
                  f"their way each: {rate:9.0f}/s, {per_core:9.0f} for each "
                  "second of the server's processor", flush=True)
        theirs = postfix(site, keys, 10)
        print(f"postmap -q - sqlite: {theirs:9.0f}/s (in its own process, "
              "no socket)")
    finally:
        if lmtpd:
            lmtpd.stop()
        shutil.rmtree(work)
    print(f"bench-map: {rates[1, 1]:.0f}/s one after another, "
          f"{max(rates.values()):.0f}/s at best on one core, cached "
          "(wanted 50000)")


if __name__ == "__main__":
    main()
