"""libsieve as the engine, through the whole programs: what a sender or a
script can do to it ends in a keep, and its configuration is refused where it
would not be in a cage."""
import os
import socket
import subprocess
import sys

import pytest

from harness import BUILD, PATIENCE, SANITIZED, TOP
from harness.lmtp import Lmtpd

sys.path.insert(0, str(TOP / "tests/sieve"))
import random_cases  # noqa: E402

LETTER = b"From: a@b.test\nSubject: project x\n\nhello\n"

# A part of 255 bytes: libsieve writes behind its memory.
LONG_PART = b"From: " + b"a" * 255 + b"@b.test\nSubject: x\n\nhello\n"
ADDRESS = 'require "fileinto"; if address :domain "from" "b.test" ' \
    '{ fileinto "Box"; }\n'
# :matches with so many stars takes it for ever.
STARS = b"Subject: " + b"a" * 200 + b"\n\nhello\n"
MATCHES = f'if header :matches "subject" "{"*a" * 24}*b" {{ discard; }}\n'
# hasflag with two arguments crashes it.
HASFLAG = 'require "imap4flags"; addflag "x"; ' \
    'if hasflag :contains ["a"] ["b"] { discard; }\n'

ATTACKS = {
    "a part of 255 bytes": (ADDRESS, LONG_PART,
                            b"more than libsieve can hold"),
    "stars for ever": (MATCHES, STARS, b"the filter"),
    "hasflag with two arguments": (HASFLAG, LETTER, b'the name of a variable needs'),
}


@pytest.fixture
def libsieve(site):
    site.configure(sieve_engine="libsieve")
    return site


def script(site, text, domain="d1.test", user="fred"):
    return site.own_file(site.home / domain / user / ".dovecot.sieve",
                         text.encode())


def prepare(site, attack):
    text, data, said = ATTACKS[attack]
    script(site, text)
    if text == MATCHES:
        site.configure(filter_timeout="1s")
    return text, data, said


def letters(site, data, domain="d1.test", user="fred"):
    """Those of the user that are this letter."""
    head, _, body = data.partition(b"\n\n")
    subject = [x for x in head.split(b"\n") if x.startswith(b"Subject")][0]
    return [m for m in site.messages(domain, user)
            if subject in m and m.endswith(body)]


def deliver(site, data=LETTER, *args, want=0):
    r = site.deliver("-f", "a@b.test", *args, "--", "d1.test", "fred", data=data)
    assert r.returncode == want, r
    return r


def counter(path, name):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(PATIENCE)
        s.connect(str(path))
        s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = s.makefile("rb").read().decode()
    return sum(float(x.split()[-1]) for x in text.splitlines()
               if x.startswith(name))


def test_it_filters(libsieve):
    script(libsieve, 'require ["fileinto", "envelope", "imap4flags"];\n'
           'if allof(header :contains "subject" "grün", '
           'envelope "from" "a@b.test") { addflag "\\\\Seen"; fileinto "W\\"x"; }\n')
    deliver(libsieve, b"Subject: =?utf-8?q?gr=C3=BCn?= x\n\nhello\n")
    assert libsieve.messages("d1.test", "fred") == []
    box = libsieve.home / "d1.test" / "fred" / "mail" / 'W"x'
    assert b"Status: RO" in box.read_bytes()
    deliver(libsieve)                     # the implicit keep
    assert len(letters(libsieve, LETTER)) == 1


def test_null_sender_and_alias_vacation(libsieve):
    libsieve.configure(submit="/bin/false")
    script(libsieve, 'require ["envelope", "fileinto"];\n'
           'if envelope "from" "" { fileinto "Bounces"; }\n')
    r = libsieve.deliver("-f", "<>", "--", "d1.test", "fred", data=LETTER)
    assert r.returncode == 0
    assert (libsieve.home / "d1.test/fred/mail/Bounces").exists()


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_end_in_a_keep_by_argv(libsieve, attack):
    text, data, said = prepare(libsieve, attack)
    deliver(libsieve, data)
    assert len(letters(libsieve, data)) == 1
    assert said in (libsieve.log / "vbox.log").read_bytes()
    log = libsieve.home / "d1.test" / "fred" / ".dovecot.sieve.log"
    assert said in log.read_bytes()


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_end_in_a_keep_by_lmtp(libsieve, attack):
    text, data, said = prepare(libsieve, attack)
    metrics = libsieve.dir / "run" / "metrics.sock"
    with Lmtpd(libsieve, metrics_listen=[f"unix:{metrics}"]) as service:
        with service.connect() as c:
            c.hello()
            # The next message is none the worse for it.
            for n in (1, 2):
                _, replies = c.message(["fred@d1.test"], data)
                assert replies[0].startswith("250"), replies
                assert len(letters(libsieve, data)) == n
            _, replies = c.message(["fred@d2.test"], LETTER)
            assert replies[0].startswith("250"), replies
        assert counter(metrics, "vbox_sieve_errors_total") >= 2
        assert counter(metrics, "vbox_worker_crashes_total") == 0
        if text == MATCHES:
            assert counter(metrics, "vbox_filter_crashes_total") + \
                counter(metrics, "vbox_filter_timeouts_total") == 2
    assert said in (libsieve.log / "vbox.log").read_bytes()


def test_many_broken_messages_and_then_a_good_one(libsieve):
    """One message cannot spoil the process for the next."""
    script(libsieve, ADDRESS)
    with Lmtpd(libsieve) as service, service.connect() as c:
        c.hello()
        for n in range(250, 262):
            data = b"From: " + b"a" * n + b"@b.test\nSubject: x\n\nhello\n"
            _, replies = c.message(["fred@d1.test"], data)
            assert replies[0].startswith("250"), replies
        _, replies = c.message(["fred@d1.test"], LETTER)
        assert replies[0].startswith("250"), replies
    box = (libsieve.home / "d1.test/fred/mail/Box").read_bytes()
    assert b"project x" in box


def test_refused_without_the_cage(libsieve):
    libsieve.configure(sandbox=False)
    script(libsieve, "discard;\n")
    r = subprocess.run([libsieve.bin / "vbox-lmtpd", "-t", "-c", libsieve.conf],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       env=libsieve.environment(), check=False)
    assert r.returncode != 0
    assert b'"libsieve" is only possible with sandbox = true' in r.stdout
    # The MTA keeps it: 75, and nothing of the mail is lost.
    deliver(libsieve, want=75)
    assert libsieve.messages("d1.test", "fred") == []


@pytest.mark.parametrize("text, said", [
    ('require "variables";\nkeep;\n',
     b':1:9: extension "variables" is not known to sieve_engine "libsieve"'),
    ('if header :is "subject" "a\\"b" { keep; }\n',
     b':1:4: sieve_engine "libsieve": a string to match with cannot hold a '
     b'quotation mark'),
    ('if header :matches "subject" "a\\\\*b" { keep; }\n',
     b':1:4: sieve_engine "libsieve": :matches knows no backslash'),
    ('require "regex";\nif header :regex "subject" "\\\\d" { keep; }\n',
     b":2:4: sieve_engine"),
    ('if size :over 2G { keep; }\n', b":1:4: sieve_engine"),
    ('if header "x" {discard;} this is not; sieve }\nkeep\n', b":1:"),
])
def test_what_it_cannot_do_is_said_by_the_check(libsieve, text, said):
    path = libsieve.dir / "x.sieve"
    path.write_text(text)
    r = subprocess.run([libsieve.bin / "vboxadm", "-c", libsieve.conf, "sieve",
                        "check", path], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, env=libsieve.environment(),
                       check=False)
    assert r.returncode == 65, r
    assert said in r.stderr, r.stderr
    # And at delivery nothing of it is run.
    script(libsieve, text)
    deliver(libsieve)
    assert len(letters(libsieve, LETTER)) == 1


def test_the_sites_scripts_are_checked(site):
    """Sound for our engine, not for the one of d2.test."""
    before = site.dir / "before"
    before.mkdir()
    (before / "a.sieve").write_text('require "variables";\nset "a" "b";\n')
    (before / "b.sieve").write_text("keep;\n")
    site.configure(sieve_before=[str(before)], submit="/bin/true")

    def check():
        return subprocess.run([site.bin / "vbox-lmtpd", "-t", "-c", site.conf],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=site.environment(), check=False).stdout
    assert check() == b""
    site.domains["d2.test"]["sieve_engine"] = "libsieve"
    site.configure()
    assert (f'sieve_before: {before}/a.sieve:1:9: extension "variables" is not '
            'known to sieve_engine "libsieve"').encode() in check()
    (before / "b.sieve").write_text("keeep;\n")
    said = check()
    assert b"b.sieve:1:1: unknown command 'keeep'" in said, said


def test_per_domain(site):
    site.domains["d2.test"]["sieve_engine"] = "libsieve"
    site.configure()
    text = 'require ["variables", "fileinto"]; set "x" "Box"; fileinto "${x}";\n'
    for user, want in (("fred@d1.test", 0), ("fred@d2.test", 65)):
        r = subprocess.run([site.bin / "vboxadm", "-c", site.conf, "sieve", "put",
                            user, "x", "-"], input=text.encode(),
                           stderr=subprocess.PIPE, env=site.environment(),
                           check=False)
        assert r.returncode == want, r
    script(site, text)
    script(site, text, "d2.test")
    with Lmtpd(site) as service, service.connect() as c:
        c.hello()
        _, replies = c.message(["fred@d1.test", "fred@d2.test"], LETTER)
    assert all(r.startswith("250") for r in replies), replies
    assert (site.home / "d1.test/fred/mail/Box").exists()
    assert len(letters(site, LETTER, "d2.test")) == 1


def test_only_who_uses_it_loads_it(site):
    """Its pages are in nobody else's start."""
    for engine, loaded in (("native", False), ("libsieve", True)):
        site.configure(sieve_engine=engine)
        script(site, "keep;\n")
        trace = site.dir / f"trace.{engine}"
        subprocess.run(["strace", "-f", "-o", trace, "-e", "trace=openat",
                        *site.command("-f", "a@b.test", "--", "d1.test",
                                      "fred")],
                       input=LETTER, check=True, env=site.environment())
        assert ("libsieve.so.1" in trace.read_text()) == loaded


@pytest.mark.parametrize("odd", [False, True])
def test_random_scripts(odd, tmp_path):
    """Both engines say the same; of addresses that libsieve is not shown they may
    differ, but nothing crashes or hangs."""
    program = BUILD / "tests/sieve/run_cases"
    if not program.exists():
        pytest.skip("run_cases is not built (make unit)")
    path = tmp_path / "random.txt"
    path.write_text(random_cases.cases(20261129, 1500, odd), encoding="utf-8")
    r = subprocess.run([program, "-2", path], stdout=subprocess.PIPE, cwd=TOP,
                       timeout=500, check=False)
    said = r.stdout.decode(errors="replace")
    assert "signal" not in said and "no answer" not in said, said
    if not odd:
        assert r.returncode == 0 and "1500 passed" in said, said


def test_explain(libsieve):
    script(libsieve, 'require "fileinto";\nif true { fileinto "x"; }\n')
    r = subprocess.run([libsieve.bin / "vboxadm", "-c", libsieve.conf, "explain",
                        "fred@d1.test", "-f", "a@b.test"], input=LETTER,
                       stdout=subprocess.PIPE, env=libsieve.environment(),
                       check=True)
    assert b'fileinto "x"' in r.stdout
    assert os.listdir(libsieve.home / "d1.test/fred") == [".dovecot.sieve"]


if SANITIZED:
    # Its CPU limit and its cage are those of the plain build.
    del test_only_who_uses_it_loads_it
