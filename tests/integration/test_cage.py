"""A worker of vbox-lmtpd is confined, and what the configuration names is in
reach all the same, wherever it lies. vbox-deliver is not, and does the same."""
import contextlib
import os
import signal

import pytest

from harness import SANITIZED
from harness.accounts import Vboxadm
from harness.lmtp import Lmtpd
from harness.proc import children, read

SECRET = b"a secret of more than enough letters\n"


def letter(subject):
    return b"From: friend@x.test\nSubject: %s\n\ntext\n" % subject


def send(site, service, subject, user="fred"):
    with service.connect() as c:
        c.hello()
        _, replies = c.message([f"{user}@d1.test"], letter(subject))
    assert replies[0].startswith("250"), (replies, log(site))


def log(site):
    return (site.log / "vbox.log").read_text()


def folder(site, name):
    path = site.home / "d1.test/fred/mail" / name
    return path.read_bytes().count(b"\nSubject: ") if path.exists() else 0


@pytest.fixture
def etc(site):
    """Beside the mail, as /etc/vbox is."""
    path = site.dir / "etc"
    path.mkdir(mode=0o755)
    return path


def script(path, text):
    path.parent.mkdir(exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)    # as editors do
    return path


def test_scripts_of_the_site(site, etc):
    script(etc / "before/a.sieve",
           'require ["fileinto", "include"];\n'
           'if header "Subject" "before" { fileinto "Before"; stop; }\n'
           'include :global "shared";\n')
    script(etc / "global/shared.sieve",
           'require "fileinto";\n'
           'if header "Subject" "global" { fileinto "Global"; stop; }\n')
    after = script(etc / "after.sieve",
                   'require "fileinto";\n'
                   'if header "Subject" "after" { fileinto "After"; }\n')
    script(etc / "d1.test.sieve",
           'require "fileinto";\n'
           'if header "Subject" "domain" { fileinto "Domain"; stop; }\n')
    (etc / "friends").write_text("friend@x.test\n")
    default = script(etc / "default.sieve",
                     'require ["fileinto", "extlists"];\n'
                     'if allof(header "Subject" "list", '
                     'header :list "From" "tag:a,2026:friends")\n'
                     '{ fileinto "Friends"; }\n')
    site.configure(sieve_before=[etc / "before"], sieve_after=[after],
                   sieve_domain=[f"{etc}/%d.sieve"], sieve_global=etc / "global",
                   sieve_default=default,
                   sieve_lists=[f"tag:a,2026:friends={etc}/friends"])
    with Lmtpd(site) as service:
        for subject in ("before", "global", "domain", "list", "after"):
            send(site, service, subject.encode())
        # A new file of the same name is within reach as well.
        script(after, 'require "fileinto";\n'
               'if header "Subject" "anew" { fileinto "Anew"; }\n')
        send(site, service, b"anew")
    for name in ("Before", "Global", "Domain", "Friends", "After", "Anew"):
        assert folder(site, name) == 1, (name, log(site))


def test_the_secret_of_srs(site, etc):
    secret = etc / "srs.secret"
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    os.chown(secret, 61234, 61234)
    said = site.own_dir(site.dir / "said")
    submit = etc / "submit"
    submit.write_text(f'#!/bin/sh\necho "$@" >{said}/words; cat >{said}/letter\n')
    submit.chmod(0o755)
    site.configure(srs_domain="mx.test", srs_secret_file=secret, submit=submit)
    site.own_file(site.home / "d1.test/fred/.dovecot.sieve",
                  b'redirect "x@example.com";\n')
    with Lmtpd(site) as service:
        send(site, service, b"redirected")
    assert "SRS0=" in (said / "words").read_text()


def test_a_home_of_the_directory(site):
    """One user's, on another disk than all others."""
    admin = Vboxadm(site)
    other = site.own_dir(site.dir / "disk")
    (site.dir / "users").touch()
    site.configure(directory=[f"file:{site.dir}/users"],
                   sandbox_paths=[other])
    admin.run("domain", "add", "d1.test", "--format", "maildir")
    admin.run("user", "add", "fred@d1.test", "--no-password", "--home",
              str(site.own_dir(other / "fred")), code=None)
    with Lmtpd(site) as service:
        send(site, service, b"at home")
    assert len(list((other / "fred/Maildir/new").iterdir())) == 1


def test_a_filter_shares_memory_with_its_worker_alone(site):
    """One map that it may write, for its plan, and one that it may read, for its
    job; nothing of the service, of mailboxes or of other people's mail."""
    site.own_file(site.home / "d1.test/fred/.dovecot.sieve",
                  b'require "fileinto"; fileinto "Filtered";\n')
    site.configure(metrics_listen=[f"unix:{site.dir}/run/metrics.sock"],
                   retry_journal="1h", delivery_log="8M", quota_bytes="1G")
    with Lmtpd(site) as service:
        send(site, service, b"one")     # an append to guard, a ledger, a log
        send(site, service, b"two")
        filters = [f for worker in service.pids() for f in children(worker)]
        maps = [[line.split()[1] for line in read(f, "maps").decode().splitlines()
                 if line.split()[1][3] == "s" and " /usr/" not in line]
                for f in filters]
    assert maps and all(sorted(m) == ["r--s", "rw-s"] for m in maps), maps
    assert folder(site, "Filtered") == 2, log(site)


def test_a_filter_that_stands_still(site):
    """The next message does not fit into its socket. Another filter is made."""
    site.own_file(site.home / "d1.test/fred/.dovecot.sieve",
                  b'require "fileinto"; fileinto "Filtered";\n')
    # Long enough for a filter that does not stand still.
    site.configure(filter_timeout="6s" if SANITIZED else "2s",
                   spool_memory="8M")
    with Lmtpd(site) as service, service.connect() as c:
        c.hello()
        _, replies = c.message(["fred@d1.test"], letter(b"one"))
        assert replies[0].startswith("250"), replies
        filters = [f for worker in service.pids() for f in children(worker)]
        assert filters
        for pid in filters:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        _, replies = c.message(["fred@d1.test"],
                               letter(b"two") + b"x" * 70 + b"\n" * 1000000)
        assert replies[0].startswith("250"), replies
    assert folder(site, "Filtered") == 2, log(site)


def test_the_text_of_a_warning(site, etc):
    text = etc / "full.txt"
    text.write_text("From: postmaster@mx.test\nSubject: nearly full\n\n"
                    "Take something away.\n")
    site.configure(quota_bytes="1K", quota_warnings=[10], quota_template=text,
                   submit="/bin/true")
    with Lmtpd(site) as service:
        send(site, service, b"x" * 200)
    assert any(b"Take something away." in m
               for m in site.messages("d1.test", "fred")), log(site)
