"""vbox-deliver as it is called: every form, what it answers, whom it becomes."""
import calendar
import json
import os
import resource
import signal
import stat
import subprocess
import time

import pytest

from harness import GID, PATIENCE, SANITIZED, UID, until
from harness.mbox import body, fields, split_mbox
from harness.proc import open_files, status, unread
from harness.site import sane

LETTER = b"Subject: hello\n\nhello, fred\n"


# --- I1, I2: the forms --------------------------------------------------------

FORMS = [
    # name, arguments, user, domain, sender that is expected
    ("own", ["-f", "a@b.test", "--", "{d}", "fred"], "a@b.test"),
    ("own without --", ["-f", "a@b.test", "{d}", "fred"], "a@b.test"),
    ("user with a hub", ["-f", "a@b.test", "--", "{d}", "fred@mx.test"], "a@b.test"),
    ("-a address", ["-f", "a@b.test", "-a", "fred@{d}"], "a@b.test"),
    ("brackets", ["-f", "<a@b.test>", "-a", "<fred@{d}>"], "a@b.test"),
    ("case", ["-f", "a@B.test", "--", "{D}", "FRED"], "a@B.test"),
    ("detail", ["-f", "a@b.test", "-e", "lists", "--", "{d}", "fred"], "a@b.test"),
    ("detail in the address", ["-f", "a@b.test", "--", "{d}", "fred+lists"], "a@b.test"),
    ("null sender", ["-f", "", "--", "{d}", "fred"], ""),
    ("null sender in brackets", ["-f", "<>", "--", "{d}", "fred"], ""),
    ("no sender", ["--", "{d}", "fred"], ""),
    ("procmail", ["-t", "-Y", "-a", "{d}", "-a", "fred@mx.test"], ""),
    ("procmail, user alone", ["-t", "-Y", "-a", "{d}", "-a", "fred"], ""),
    ("procmail, together", ["-tY", "-a", "{d}", "-a", "fred"], ""),
    ("dovecot-lda", ["-d", "fred@{d}", "-f", "a@b.test", "-a", "orig@{d}", "-m", "INBOX"], "a@b.test"),
    ("dovecot-lda -r", ["-d", "fred@{d}", "-r", "fred@{d}", "-f", "a@b.test", "-e"], "a@b.test"),
]


@pytest.mark.parametrize("domain", ["d1.test", "d2.test"])
@pytest.mark.parametrize("name,args,sender", FORMS, ids=[f[0] for f in FORMS])
def test_each_form_reaches_the_same_box(site, domain, name, args, sender):
    args = [a.format(d=domain, D=domain.upper()) for a in args]
    r = site.deliver(*args, data=LETTER)
    assert (r.returncode, r.stdout, r.stderr) == (0, b"", b"")
    messages = site.messages(domain, "fred")
    assert len(messages) == 1
    assert messages[0].endswith(LETTER)
    assert fields(messages[0], "Return-Path") == [f"<{sender}>".encode()]
    assert fields(messages[0], "Delivered-To") == [f"fred@{domain}".encode()]
    box = site.box(domain, "fred")
    if box.is_file():
        from_ = split_mbox(box.read_bytes())[0].sender
        assert from_ == (sender or "MAILER-DAEMON").encode()
        kept = [box]
    else:
        kept = list((box / "new").iterdir())
    for path in kept:
        st = path.stat()
        assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (UID, GID, 0o600)


SENDERS = [
    # From_ line, $SENDER, -f, wanted
    (b"From x@from.test Sat Nov 21 03:00:00 2026\n", None, None, b"x@from.test"),
    (b"From x@from.test Sat Nov 21 03:00:00 2026\n", "y@env.test", None, b"x@from.test"),
    (b"From x@from.test Sat Nov 21 03:00:00 2026\n", "y@env.test", "z@arg.test", b"z@arg.test"),
    (b"From MAILER-DAEMON Sat Nov 21 03:00:00 2026\n", "y@env.test", None, b""),
    (b"From  Sat Nov 21 03:00:00 2026\n", None, None, b""),
    (b"", "y@env.test", None, b"y@env.test"),
    (b"", None, None, b""),
]


@pytest.mark.parametrize("line,env,arg,want", SENDERS)
def test_sender(site, line, env, arg, want):
    """-f, else the From_ line, else $SENDER, else nobody; and the From_ line
    is envelope, not message."""
    args = ["-f", arg] if arg else []
    r = site.deliver(*args, "d2.test", "fred", data=line + LETTER,
                     env={"SENDER": env})
    assert r.returncode == 0, r
    message, = site.messages("d2.test", "fred")
    assert fields(message, "Return-Path") == [b"<" + want + b">"]
    assert b"From " not in message
    assert message.endswith(LETTER)


# --- I10: what it answers -------------------------------------------------------

ANSWERS = [
    # arguments, sysexits, exim, qmail, first line of standard output
    (["d1.test", "fred"], 0, 0, 0, None),
    (["d1.test", "nobody"], 67, 67, 100, b"5.1.1 <nobody@d1.test> "),
    (["nowhere.test", "fred"], 67, 67, 100, b"5.1.2 <fred@nowhere.test> "),
    (["d1.test", "../fred"], 65, 65, 100, b"5.1.3 "),
    (["d1.test", "a/b"], 65, 65, 100, b"5.1.3 "),
    (["../spool", "fred"], 65, 65, 100, b"5.1.3 "),
    (["d1.test", "fred.lock"], 65, 65, 100, b"5.1.3 "),
    ([], 64, 64, 100, b"5."),
    (["d1.test"], 64, 64, 100, b"5."),
    (["-x", "d1.test", "fred"], 64, 64, 100, b"5."),
    (["-a", "fred"], 64, 64, 100, b"5."),
]


@pytest.mark.parametrize("profile", ["sysexits", "exim", "qmail"])
@pytest.mark.parametrize("args,sysexits,exim,qmail,first", ANSWERS,
                         ids=[" ".join(a[0]) or "nothing" for a in ANSWERS])
def test_exit_codes(site, profile, args, sysexits, exim, qmail, first):
    site.configure(exit_profile=profile)
    r = site.deliver(*args, data=LETTER)
    want = {"sysexits": sysexits, "exim": exim, "qmail": qmail}[profile]
    if want == 64 or (want == 100 and sysexits == 64):
        # A command line that is not understood names no configuration.
        assert r.returncode == 64
    else:
        assert r.returncode == want, r
    line = r.stdout.split(b"\n")[0]
    if first is None:
        assert r.stdout == b""
    else:
        assert line.startswith(first), r.stdout
        assert r.stdout.count(b"\n") == 1
        assert str(site.dir).encode() not in r.stdout, "a path for strangers"


TROUBLES = {
    "configuration missing": lambda s: s.conf.unlink(),
    "configuration wrong": lambda s: s.conf.write_text("format = mbux\n"),
    "configuration writable by all": lambda s: s.conf.chmod(0o666),
    "directory down": lambda s: s.configure(directory=["file:/nonexistent/users"]),
    "mail root gone": lambda s: s.configure(
        directory=[f"file:{users_file(s)}"], mbox_path="/nonexistent/%d/%n"),
    "mail root not ours": lambda s: os.chown(s.spool / "d1.test", 0, 0),
    "user unknown to the machine": lambda s: s.configure(user="no-such-user"),
    "user root": lambda s: s.configure(user="root"),
    "user 0": lambda s: s.configure(user="0"),
    "uid below min_uid": lambda s: s.configure(min_uid=UID + 1),
}


def users_file(site):
    path = site.dir / "users"
    path.write_text("fred@d1.test\n")
    return path


@pytest.mark.parametrize("name", TROUBLES)
def test_what_is_not_certainly_permanent_is_75(site, name):
    TROUBLES[name](site)
    before = site.everything()
    r = site.deliver("-f", "a@b", "d1.test", "fred", data=LETTER)
    assert r.returncode == 75, r
    assert r.stdout.startswith(b"4."), r.stdout
    assert site.everything() == before


def test_json(site):
    r = site.deliver("-j", "-f", "a@b", "d1.test", "nobody", data=LETTER)
    assert r.returncode == 67
    said = json.loads(r.stdout.splitlines()[0])
    assert "5.1.1" in json.dumps(said)


def test_rehearsal_writes_nothing(site):
    before = site.everything()
    r = site.deliver("-n", "-f", "a@b", "d1.test", "fred", data=LETTER)
    assert r.returncode == 0
    assert str(site.box("d1.test", "fred")).encode() in r.stdout
    assert site.everything() == before
    r = site.deliver("-n", "-f", "a@b", "d1.test", "nobody", data=LETTER)
    assert r.returncode == 67
    assert site.everything() == before


# --- signals ----------------------------------------------------------------------

SIGNALS = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM,
           signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGVTALRM,
           signal.SIGPROF, signal.SIGXCPU]


def waiting_delivery(site, domain="d1.test", **popen):
    """A delivery that has read a part of its message and waits for more."""
    p = subprocess.Popen(
        site.command("-f", "a@b", domain, "fred"), env=site.environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        **popen)
    p.stdin.write(LETTER + b"first part\n" * 1000)
    p.stdin.flush()
    until(lambda: status(p.pid).get("Uid", "").split() == [str(UID)] * 4,
          of="a change of identity")
    until(lambda: unread(p.stdin) == 0, of="what was written to be read")
    return p


@pytest.mark.parametrize("domain", ["d1.test", "d2.test"])
@pytest.mark.parametrize("number", SIGNALS, ids=[s.name for s in SIGNALS])
def test_a_signal_ends_in_75_without_a_trace(site, domain, number):
    before = site.everything()
    p = waiting_delivery(site, domain)
    p.send_signal(number)
    p.communicate(timeout=PATIENCE)
    assert p.returncode == 75
    assert site.everything() == before


def test_sigkill_leaves_nothing(site):
    before = site.everything()
    p = waiting_delivery(site)
    p.kill()
    p.communicate(timeout=PATIENCE)
    assert site.everything() == before
    assert site.deliver("d1.test", "fred", data=LETTER).returncode == 0


def test_no_reader_for_what_it_says(site):
    """Standard output a pipe whose reader has gone: the answer is the same."""
    r, w = os.pipe()
    os.close(r)
    p = subprocess.run(site.command("d1.test", "nobody"), input=LETTER,
                       env=site.environment(), stdout=w, check=False,
                       stderr=subprocess.PIPE, timeout=PATIENCE)
    os.close(w)
    assert p.returncode == 67


# --- I3: whom it becomes ------------------------------------------------------------

def test_privileges_before_the_message_is_read(site):
    p = waiting_delivery(site)
    s = status(p.pid)
    assert s["Uid"].split() == [str(UID)] * 4
    assert s["Gid"].split() == [str(GID)] * 4
    assert s["Groups"].split() in ([], [str(GID)])
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(s[name], 16) == 0, name
    # Nobody of the mail user's may read mail of others out of its memory.
    assert os.stat(f"/proc/{p.pid}/mem").st_uid == 0
    p.communicate(b"the rest\n", timeout=PATIENCE)
    assert p.returncode == 0
    assert body(site.messages("d1.test", "fred")[0]).endswith(b"the rest\n")


def test_started_as_the_mail_user(site):
    r = site.deliver("d1.test", "fred", data=LETTER, user=UID)
    assert r.returncode == 0, r
    assert len(site.messages("d1.test", "fred")) == 1


def test_started_by_a_third_user_is_refused(site):
    before = site.everything()

    def third():
        os.setgroups([])
        os.setresgid(65533, 65533, 65533)
        os.setresuid(65533, 65533, 65533)

    r = site.deliver("d1.test", "fred", data=LETTER, preexec_fn=third)
    assert r.returncode == 75, r
    assert site.everything() == before


@pytest.mark.release
def test_setuid_copy_is_refused(site):
    """Whoever can set the bit can also choose -c: not with us."""
    copy = site.bin.parent / f"setuid-{os.getpid()}"
    copy.write_bytes((site.bin / "vbox-deliver").read_bytes())
    os.chown(copy, UID, GID)
    copy.chmod(0o4755)

    def third():
        os.setgroups([])
        os.setresgid(65533, 65533, 65533)
        os.setresuid(65533, 65533, 65533)

    try:
        before = site.everything()
        r = subprocess.run([copy, "-c", site.conf, "d1.test", "fred"],
                           input=LETTER, preexec_fn=third, check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           env=site.environment())
        assert r.returncode == 75, r
        assert site.everything() == before
    finally:
        copy.unlink()


# --- FAULTS d: a hostile environment ---------------------------------------------------

HOSTILE = {
    "LD_LIBRARY_PATH": "/nonexistent", "LD_BIND_NOW": "1",
    "GCONV_PATH": "/nonexistent", "LOCPATH": "/nonexistent",
    "NLSPATH": "/nonexistent/%s%n", "RES_OPTIONS": "debug",
    "MALLOC_TRACE": "/tmp/vbox-malloc-trace", "TZ": ":/etc/shadow",
    "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR", "HOME": "/root",
    "TMPDIR": "/nonexistent", "MAGIC": "/etc/shadow", "IFS": "x",
    "PATH": "/nonexistent", "USER": "root", "LOGNAME": "root",
    "MAIL": "/etc/passwd", "SENDER": "a@b\nFrom evil",
}


def test_environment_has_no_say(site):
    r = site.deliver("-f", "a@b", "d1.test", "fred", data=LETTER, env=HOSTILE)
    assert r.returncode == 0, r
    r = site.deliver("-f", "a@b", "d1.test", "FRED", data=LETTER, env=HOSTILE)
    assert r.returncode == 0, r
    messages = split_mbox(site.box("d1.test", "fred").read_bytes())
    assert len(messages) == 2
    now = time.time()
    for m in messages:
        when = calendar.timegm(
            time.strptime(m.date.decode(), "%a %b %d %H:%M:%S %Y"))
        assert abs(when - now) < 300, "UTC, whatever TZ says"
    assert not os.path.exists("/tmp/vbox-malloc-trace")


def test_control_characters_in_the_sender(site):
    before = site.everything()
    for sender in ("a@b\nFrom evil", "a\r@b", "a\x01@b"):
        r = site.deliver("-f", sender, "d1.test", "fred", data=LETTER)
        assert r.returncode == 65, r
        assert r.stdout.startswith(b"5.1."), r.stdout
        assert r.stdout.count(b"\n") == 1
    assert site.everything() == before


@pytest.mark.parametrize("closed", [[0], [1], [2], [1, 2], [0, 1, 2]],
                         ids=lambda c: "".join(map(str, c)))
def test_closed_descriptors(site, closed):
    """A mailbox must never become standard output."""
    data = site.dir / "letter"
    data.write_bytes(LETTER)
    shell = " ".join(f"{n}<&-" if n == 0 else f"{n}>&-" for n in closed)
    redirect = "" if 0 in closed else f"<{data}"
    before = site.everything()
    r = subprocess.run(["/bin/sh", "-c", f'exec "$0" "$@" {redirect} {shell}',
                        *site.command("-f", "a@b", "d1.test", "fred")],
                       env=site.environment(), check=False,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=PATIENCE)
    sane(r)
    if 0 in closed:
        assert r.returncode == 75, r
        assert site.everything() == before
    else:
        assert r.returncode == 0, r
        message, = site.messages("d1.test", "fred")
        assert message.endswith(LETTER)


def test_leaked_descriptors_are_closed(site):
    leak = [os.open("/etc/passwd", os.O_RDONLY) for _ in range(100)]
    try:
        p = waiting_delivery(site, pass_fds=leak)
        files = open_files(p.pid)
        assert files and "/etc/passwd" not in files
        p.communicate(timeout=PATIENCE)
        assert p.returncode == 0
    finally:
        for fd in leak:
            os.close(fd)


def limited(what, value):
    def limit():
        resource.setrlimit(what, (value, value))
    return limit


AROUND = {
    "umask 0": lambda: os.umask(0),
    "umask 777": lambda: os.umask(0o777),
    "SIGCHLD ignored": lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    "SIGPIPE ignored": lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN),
    "all signals ignored": lambda: [
        signal.signal(n, signal.SIG_IGN) for n in range(1, 32)
        if n not in (signal.SIGKILL, signal.SIGSTOP)],
    "all signals blocked": lambda: signal.pthread_sigmask(
        signal.SIG_BLOCK, range(1, 32)),
    "no core": limited(resource.RLIMIT_CORE, 0),
    "16 descriptors": limited(resource.RLIMIT_NOFILE, 16),
    "nice 19": lambda: os.nice(19),
    "working directory closed": lambda: os.chdir("/root"),
}


@pytest.mark.parametrize("name", AROUND)
def test_what_the_caller_leaves_behind(site, name):
    for domain in ("d1.test", "d2.test"):
        r = site.deliver("-f", "a@b", domain, "fred", data=LETTER,
                         preexec_fn=AROUND[name])
        assert r.returncode == 0, r
        assert len(site.messages(domain, "fred")) == 1
    mode = stat.S_IMODE(site.box("d1.test", "fred").stat().st_mode)
    assert mode == 0o600
    new, = (site.box("d2.test", "fred") / "new").iterdir()
    assert stat.S_IMODE(new.stat().st_mode) == 0o600


@pytest.mark.skipif(SANITIZED, reason="a sanitizer needs more memory than that")
def test_file_size_limit_is_no_death(site):
    """SIGXFSZ kills by default; root may lift the limit, else it is 75."""
    before = site.everything()

    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        os.setgroups([])
        os.setresgid(GID, GID, GID)
        os.setresuid(UID, UID, UID)

    for domain in ("d1.test", "d2.test"):
        r = site.deliver("-f", "a@b", domain, "fred", data=LETTER,
                         preexec_fn=small)
        assert r.returncode == 75, r
    assert site.everything() == before


@pytest.mark.parametrize("conf,args", [
    ("mbox_pth = 1\n", ["d1.test", "fred"]), (None, ["d1.test"]),
])
def test_the_code_comes_first_where_both_outputs_are_one(site, conf, args):
    """Postfix's pipe(8) reads both, and the code from the first line."""
    if conf:
        site.conf.write_text(conf)
    r = subprocess.run(site.command(*args), input=LETTER, check=False,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       env=site.environment())
    first, rest = r.stdout.split(b"\n", 1)
    assert first.startswith(b"4.3.5 <fred@d1.test> " if conf else b"5.5.4 ")
    assert b"/" not in first
    assert rest        # and the administrator's part behind it
