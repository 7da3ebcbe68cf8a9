"""The external content filter: EICAR through a real clamd and a command, and
what happens when a scanner is gone, frozen or talks nonsense."""
import base64
import os
import re
import socket
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import PATIENCE, until
from harness.accounts import Vboxadm
from harness.clamd import EICAR, NAME, Clamd, Impostor
from harness.lmtp import Lmtpd
from harness.proc import alive

CLEAN = b"From: a@b.test\nSubject: clean\n\nhello\n"
BAD = (b"From: a@b.test\nSubject: bad\nMIME-Version: 1.0\n"
       b"Content-Type: application/octet-stream\n"
       b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(EICAR))


@pytest.fixture
def clamd(site):
    with Clamd(site.dir) as c:
        site.configure(scanners=[c.scanner], scan_timeout="5m")
        yield c


def by_argv(site, data, domain="d1.test"):
    r = site.deliver("-f", "a@b.test", "--", domain, "fred", data=data)
    return r.returncode, r.stdout.decode()


def by_lmtp(site, data, domain="d1.test"):
    with Lmtpd(site) as service, service.connect() as c:
        c.hello()
        _, replies = c.message([f"fred@{domain}"], data)
    return {"250": 0, "550": 77, "451": 75}[replies[0][:3]], replies[0]


DOORS = pytest.mark.parametrize("door", [by_argv, by_lmtp])


def logged(site, **fields):
    """The last delivery in the log has these."""
    line = [x for x in (site.log / "vbox.log").read_text().splitlines()
            if "verdict=" in x][-1]
    for name, want in fields.items():
        m = re.search(rf'\b{name}=(?:"([^"]*)"|(\S+))', line)
        assert m and (m[1] or m[2]) == want, line


def folder(site, name):
    path = site.home / "d1.test" / "fred" / "mail" / name
    return path.read_bytes() if path.exists() else b""


@DOORS
def test_eicar_is_refused_and_clean_passes(site, clamd, door):
    code, said = door(site, BAD)
    assert code == 77
    assert "5.7.1" in said and NAME.decode() in said and "/" not in said, said
    assert site.messages("d1.test", "fred") == []
    logged(site, verdict="policy", scan="found")
    code, said = door(site, CLEAN)
    assert code == 0, said
    assert len(site.messages("d1.test", "fred")) == 1
    logged(site, verdict="delivered", scan="clean")


@DOORS
def test_quarantine(site, clamd, door):
    site.configure(scan_found="quarantine")
    # Not even a script has a say.
    site.own_file(site.home / "d1.test/fred/.dovecot.sieve", b"discard;\n")
    assert door(site, BAD)[0] == 0
    assert site.messages("d1.test", "fred") == []
    box = folder(site, "Quarantine")
    assert b"X-Vbox-Scan: found; what=\"" + NAME in box
    assert b"Subject: bad" in box


@DOORS
def test_quarantine_of_the_administrator(site, clamd, door):
    place = site.own_dir(site.dir / "quarantine")
    site.configure(scan_found="quarantine",
                   content_quarantine=f"maildir:{place}/%d")
    assert door(site, BAD)[0] == 0
    assert site.messages("d1.test", "fred") == []
    (letter,) = (place / "d1.test" / "new").iterdir()
    assert b"X-Vbox-Scan: found" in letter.read_bytes()


def test_both_marks(site, clamd):
    site.configure(scan_found="tag", content_rules=["tag attached"])
    data = BAD.replace(b"Content-Transfer", b"Content-Disposition: attachment; "
                       b"filename=x.txt\nContent-Transfer")
    site.own_file(site.home / "d1.test/fred/.dovecot.sieve",
                  b'require "fileinto";\nif allof(exists "X-Vbox-Scan", '
                  b'exists "X-Vbox-Content") { fileinto "Both"; }\n')
    assert by_argv(site, data)[0] == 0
    box = folder(site, "Both")
    assert box.count(b"X-Vbox-Scan: ") == 1
    assert box.count(b"X-Vbox-Content: ") == 1


FORGED = b"X-Vbox-Scan: found; what=\"forged\"\nx-vbox-scan:\n folded\n"


@DOORS
def test_tag_is_seen_by_scripts_and_cannot_be_forged(site, clamd, door):
    site.configure(scan_found="tag")
    site.own_file(site.home / "d1.test/fred/.dovecot.sieve",
                  b'require ["fileinto", "editheader"];\n'
                  b'if header :contains "X-Vbox-Scan" ["Eicar", "forged"] {\n'
                  b'  addheader "X-Seen" "yes"; fileinto "Virus"; }\n')
    assert door(site, FORGED + BAD)[0] == 0
    box = folder(site, "Virus")
    assert box.count(b"X-Vbox-Scan:") == 1 and NAME in box and b"forged" not in box
    assert b"X-Seen: yes" in box
    assert door(site, FORGED + CLEAN)[0] == 0
    (stored,) = site.messages("d1.test", "fred")
    assert b"Subject: clean" in stored
    assert b"X-Vbox-Scan" not in stored and b"folded" not in stored


@DOORS
def test_stopped_clamd_defers_or_not(site, clamd, door):
    clamd.stop()
    code, said = door(site, CLEAN)
    assert code == 75 and "/" not in said, said
    assert site.messages("d1.test", "fred") == []
    site.configure(scan_failure="accept")
    assert door(site, CLEAN)[0] == 0
    assert len(site.messages("d1.test", "fred")) == 1
    logged(site, scan="failed")


@DOORS
def test_frozen_clamd_ends_with_the_time_out(site, clamd, door):
    site.configure(scan_timeout="1s")
    clamd.freeze()
    code, _ = door(site, CLEAN)     # while it is frozen
    assert code == 75
    assert b"no answer in time" in (site.log / "vbox.log").read_bytes()
    clamd.thaw()
    site.configure(scan_timeout="5m")
    assert door(site, CLEAN)[0] == 0


def test_frozen_clamd_delays_no_other_connection(site, clamd):
    """d1.test has the scanner, d2.test has none."""
    site.configure(scanners=None, scan_timeout=None)
    site.domains["d1.test"] = {"scanners": [clamd.scanner], "scan_timeout": "10m",
                               "format": "mbox"}
    with Lmtpd(site, workers=2) as service:
        clamd.freeze()
        with service.connect(timeout=600) as slow, ThreadPoolExecutor() as pool:
            slow.hello()
            late = pool.submit(slow.message, ["fred@d1.test"], CLEAN)
            for _ in range(20):
                with service.connect() as c:
                    c.hello()
                    _, replies = c.message(["fred@d2.test"], CLEAN)
                    assert replies[0].startswith("250"), replies
            assert not late.done()
            clamd.thaw()
            _, replies = late.result()
            assert replies[0].startswith("250"), replies
    assert len(site.messages("d2.test", "fred")) == 20


def test_asked_once_for_many_recipients(site):
    for name in ("anna", "berta", "clara"):
        site.add("d1.test", name)

    with Impostor(lambda s: s.sendall(b"stream: OK\0")) as server:
        site.configure(scanners=[server.scanner])
        with Lmtpd(site) as service, service.connect() as c:
            c.hello()
            _, replies = c.message(["anna@d1.test", "berta@d1.test",
                                    "clara@d1.test", "fred@d2.test"], CLEAN)
            assert all(r.startswith("250") for r in replies), replies
            assert server.asked == 1
            c.message(["anna@d1.test"], CLEAN)
            assert server.asked == 2


def closes(s):
    s.shutdown(socket.SHUT_RDWR)


def endless(s):
    while True:
        s.sendall(b"stream: " * 1000)


NONSENSE = {
    "half an answer": lambda s: s.sendall(b"stream: O"),
    "no answer": closes,
    "an answer that does not end": endless,
    "an empty answer": lambda s: s.sendall(b"\0"),
    "another protocol": lambda s: s.sendall(b"220 hello\r\n\0"),
    "an error": lambda s: s.sendall(b"stream: Can't allocate memory ERROR\0"),
    "no name": lambda s: s.sendall(b"stream:  FOUND\0"),
    "a reset": lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                      b"\1\0\0\0\0\0\0\0"),
}


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_defers(site, kind, early):
    with Impostor(NONSENSE[kind], early, inet=early) as server:
        site.configure(scanners=[server.scanner], scan_timeout="5m")
        big = CLEAN + b"x" * 70 + b"\n" * 2000000
        code, said = by_argv(site, big if early else CLEAN)
        assert code == 75, said
        assert site.messages("d1.test", "fred") == []


def test_names_of_strangers_forge_nothing(site):
    evil = b"stream: a\nX-Evil: 1\x1b[2J\"; what=\"b\xff" + b"z" * 500 + b" FOUND\0"
    with Impostor(lambda s: s.sendall(evil)) as server:
        site.configure(scanners=[server.scanner], scan_found="tag")
        code, _ = by_argv(site, CLEAN)
        assert code == 0
        (stored,) = site.messages("d1.test", "fred")
        head = stored.split(b"\n\n")[0]
        assert b"\nX-Evil" not in head and b"\x1b" not in head
        assert len([x for x in head.split(b"\n") if b"X-Vbox-Scan" in x][0]) < 200
        site.configure(scan_found="reject")
        code, said = by_argv(site, CLEAN)
        assert code == 77 and said.count("\n") == 1


def test_over_tcp_from_a_worker(site):
    with Impostor(lambda s: s.sendall(b"stream: x.y FOUND\0"), inet=True) as server:
        site.configure(scanners=None)
        site.domains["d1.test"] = {"scanners": [server.scanner]}
        code, said = by_lmtp(site, CLEAN)
    assert code == 77 and "x.y" in said


def test_size_ceilings(site, clamd):
    """Ours and clamd's: nobody has looked, and the log says so."""
    big = BAD + b"\n" + (b"y" * 70 + b"\n") * 30000
    site.configure(scan_size_limit="1M")
    assert by_argv(site, big)[0] == 0
    logged(site, scan="unasked")
    clamd.stop()
    with clamd.conf.open("a") as f:
        f.write("StreamMaxLength 1M\n")
    clamd.start()
    site.configure(scan_size_limit=0)
    assert by_argv(site, big)[0] == 0
    logged(site, scan="unasked")


def test_a_ceiling_is_its_domains(site, clamd):
    """One that is too large for the first recipient's is looked at for the
    second's."""
    site.domains["d1.test"] = {"scan_size_limit": "1K"}
    site.configure()
    with Lmtpd(site) as service, service.connect() as c:
        c.hello()
        _, replies = c.message(["fred@d1.test", "fred@d2.test"],
                               BAD + b"y" * 2000 + b"\n")
    assert replies[0].startswith("250") and replies[1].startswith("550"), replies


COMMAND = """#!/bin/sh
echo "$@" >>{dir}/called
id -u >{dir}/uid
env >{dir}/env
if grep -q "Subject: bad"; then echo "Test.Virus in it"; exit 1; fi
[ "$1" != broken ] || exit 3
[ "$1" != slow ] || {{ echo $$ >>{dir}/pids; exec sleep 1000; }}
exit 0
"""


@pytest.fixture
def command(site):
    path = site.dir / "scan"
    path.write_text(COMMAND.format(dir=site.own_dir(site.dir / "out")))
    path.chmod(0o755)
    return path


@DOORS
def test_a_command(site, command, door):
    site.configure(scanners=[f"{command} one two"], scan_timeout="5m",
                   spool_memory="4K")
    code, said = door(site, BAD)
    assert code == 77 and "Test.Virus in it" in said, said
    assert door(site, CLEAN + b"x\n" * 100000)[0] == 0
    assert (site.dir / "out/called").read_text() == "one two\n" * 2
    assert (site.dir / "out/uid").read_text() == "61234\n"
    assert "VBOX" not in (site.dir / "out/env").read_text()
    site.configure(scanners=[f"{command} broken"])
    assert door(site, CLEAN)[0] == 75
    site.configure(scanners=[f"{command} slow"], scan_timeout="1s")
    assert door(site, CLEAN)[0] == 75
    site.configure(scanners=[str(site.dir / "not-there")])
    assert door(site, CLEAN)[0] == 75


def test_a_path_is_not_shown_to_senders(site, command):
    command.write_text("#!/bin/sh\ncat >/dev/null\n"
                       "echo '/var/tmp/scan.17: Test.Virus FOUND'\nexit 1\n")
    site.configure(scanners=[str(command)])
    code, said = by_argv(site, CLEAN)
    assert code == 77 and "content filter" in said and "/" not in said, said
    assert "/var/tmp/scan.17" in (site.log / "vbox.log").read_text()


@DOORS
def test_what_a_late_command_started_ends_with_it(site, command, door):
    """The scanner is a child of the script that the configuration names."""
    command.write_text(f"#!/bin/sh\nsleep 1000 &\necho $! >>{site.dir}/out/pids\n"
                       "wait\n")
    # In time for it to start one: a busy machine is slow at that, too.
    started = site.dir / "out/pids"
    for seconds in 1, 5, 25:
        site.configure(scanners=[str(command)], scan_timeout=f"{seconds}s")
        assert door(site, CLEAN)[0] == 75
        if started.exists() and started.read_text():
            break
    pids = [int(p) for p in started.read_text().split()]
    assert pids
    until(lambda: not any(alive(p) for p in pids), of="their end")


def test_a_worker_can_run_nothing_else(site, command):
    """The helper knows the commands of the configuration."""
    other = site.dir / "other"
    os.symlink(command, other)
    site.configure(scanners=[str(command)])
    with Lmtpd(site) as service, service.connect() as c:
        c.hello()
        _, replies = c.message(["fred@d1.test"], CLEAN)
        assert replies[0].startswith("250")
    assert stat.S_ISLNK(other.lstat().st_mode)
    assert (site.dir / "out/called").read_text() == "\n"


def test_two_scanners(site, command, clamd):
    site.configure(scanners=[str(command), clamd.scanner])
    assert by_argv(site, CLEAN)[0] == 0
    # The second finds what the first does not.
    code, said = by_argv(site, BAD.replace(b"Subject: bad", b"Subject: x"))
    assert code == 77 and NAME.decode() in said
    # A broken one does not hide what the other finds, in either order.
    for order in ([f"{command} broken", clamd.scanner],
                  [clamd.scanner, f"{command} broken"]):
        site.configure(scanners=order)
        code, said = by_argv(site, BAD.replace(b"Subject: bad", b"Subject: x"))
        assert code == 77, said
        assert by_argv(site, CLEAN)[0] == 75


def test_a_hung_command_keeps_no_letter(site, command):
    """More of them than the helper runs programs of the MTA at a time."""
    script = site.dir / "submit"
    letters = site.own_dir(site.dir / "letters")
    script.write_text(f"#!/bin/sh\ncat >{letters}/$$\n")
    script.chmod(0o755)
    site.configure(scanners=None, submit=str(script))
    site.domains["d1.test"] = {"scanners": [f"{command} slow"],
                               "scan_timeout": "10m"}
    site.own_file(site.home / "d2.test/fred/.dovecot.sieve",
                  b'redirect "x@example.com";\n')
    with Lmtpd(site) as service, ThreadPoolExecutor(30) as pool:
        hung = [service.connect(timeout=600) for _ in range(25)]
        for c in hung:
            c.hello()
        late = [pool.submit(c.message, ["fred@d1.test"], CLEAN) for c in hung]
        started = site.dir / "out/pids"
        until(lambda: started.exists() and
              started.read_text().count("\n") == len(hung), of="25 scanners")
        with service.connect() as c:
            c.hello()
            _, replies = c.message(["fred@d2.test"], CLEAN)
            assert replies[0].startswith("250"), replies
        assert len(list(letters.iterdir())) == 1
        # Told to stop, the workers do not wait for their scanners.
        assert service.stop(timeout=PATIENCE) == 0
        assert all(x.result()[1][0][:3] in ("451", "421", "") for x in late)
        for c in hung:
            c.close()
    # And nobody waits for them.
    pids = [int(p) for p in started.read_text().split()]
    until(lambda: not any(alive(p) for p in pids), of="the end of all")


def test_an_alias_of_two(site, clamd):
    """Where both refuse the letter is refused; where one may have it, the other
    gets it aside: a refusal would come to them again and again."""
    admin = Vboxadm(site)
    site.configure(directory=[f"file:{site.dir}/users"], submit="/bin/false")
    (site.dir / "users").touch()
    admin.run("domain", "add", "d1.test")
    admin.run("domain", "add", "d2.test")
    admin.run("user", "add", "fred@d1.test", "--no-password", code=None)
    admin.run("user", "add", "fred@d2.test", "--no-password", code=None)
    admin.run("alias", "add", "both@d1.test", "fred@d1.test", "fred@d2.test")

    def send(data):
        return site.deliver("-f", "a@b.test", "--", "d1.test", "both", data=data)
    assert send(BAD).returncode == 77
    assert site.messages("d1.test", "fred") == site.messages("d2.test", "fred") == []
    site.domains["d2.test"]["scan_found"] = "tag"
    site.configure()
    assert send(BAD).returncode == 0
    assert b"X-Vbox-Scan: found" in folder(site, "Quarantine")
    (stored,) = site.messages("d2.test", "fred")
    assert b"X-Vbox-Scan: found" in stored
    # What leaves this host is looked at, too.
    admin.run("alias", "add", "out@d1.test", "x@elsewhere.test")
    r = site.deliver("-f", "a@b.test", "--", "d1.test", "out", data=BAD)
    assert r.returncode == 77 and NAME in r.stdout
    site.configure(submit="/bin/true")
    r = site.deliver("-f", "a@b.test", "--", "d1.test", "out", data=CLEAN)
    assert r.returncode == 0


def test_rehearsal_and_explain(site, clamd):
    before = site.everything()
    r = site.deliver("-n", "-f", "a@b.test", "--", "d1.test", "fred", data=BAD)
    assert b"scanner clamd:unix:" in r.stdout and b"found, Eicar" in r.stdout
    assert b"5.7.1" in r.stdout
    r = subprocess.run([site.bin / "vboxadm", "-c", site.conf, "explain",
                        "fred@d1.test", "-f", "a@b.test"], input=CLEAN,
                       stdout=subprocess.PIPE, env=site.environment(),
                       check=True)
    assert b": clean\n" in r.stdout
    assert site.everything() == before


def test_counted(site, clamd):
    metrics = site.dir / "run" / "metrics.sock"
    with Lmtpd(site, metrics_listen=[f"unix:{metrics}"]) as service:
        with service.connect() as c:
            c.hello()
            for data in (CLEAN, BAD, CLEAN):
                c.message(["fred@d1.test", "fred@d2.test"], data)
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(str(metrics))
            s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            text = s.makefile("rb").read().decode()
    assert 'vbox_scans_total{answer="clean"} 2' in text
    assert 'vbox_scans_total{answer="found"} 1' in text


@pytest.mark.parametrize("scanner", ["clamd:/run/x", "clamd:inet:localhost:3310",
                                     "clamd:inet:127.0.0.1", "scan", "clamd:unix:x",
                                     "clamd:inet:127.0.0.1:99999"])
def test_wrong_scanners_are_refused(site, scanner):
    site.configure(scanners=[scanner])
    r = subprocess.run([site.bin / "vbox-lmtpd", "-t", "-c", site.conf],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       env=site.environment(), check=False)
    assert r.returncode != 0 and b"scanners" in r.stdout
