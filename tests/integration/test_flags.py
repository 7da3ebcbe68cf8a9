"""Flags and keywords that a script gives, as Dovecot sees them (M8)."""
import pytest

from harness.dovecot import Dovecot

LETTER = b"From: a@b.test\nSubject: %s\n\nhello\n"


@pytest.fixture(params=["d1.test", "d2.test"], ids=["mbox", "maildir"])
def domain(request):
    return request.param


def deliver(site, domain, script, subject):
    site.own_file(site.home / domain / "fred" / ".dovecot.sieve",
                  script.encode())
    r = site.deliver("-f", "a@b.test", "--", domain, "fred",
                     data=LETTER % subject)
    assert r.returncode == 0, r


def flags(dovecot, mailbox="INBOX"):
    """Subject -> flags, without \\Recent."""
    out = dovecot.doveadm("-f", "tab", "fetch", "hdr.subject flags",
                          "mailbox", mailbox).decode().splitlines()[1:]
    return {subject: set(f.split()) - {"\\Recent"}
            for subject, _, f in (line.partition("\t") for line in out)}


def test_inbox(site, domain):
    keep = 'require "imap4flags"; keep :flags %s;'
    deliver(site, domain, keep % r'["\\Flagged", "$Label1", "work"]', b"one")
    deliver(site, domain, keep % r'["\\Seen", "work"]', b"two")
    deliver(site, domain, "keep;", b"three")
    deliver(site, domain, keep % r'["\\Answered", "\\Draft", "\\Deleted"]',
            b"four")
    dovecot = Dovecot(site, domain, "fred")
    want = {"one": {"\\Flagged", "$Label1", "work"},
            "two": {"\\Seen", "work"}, "three": set(),
            "four": {"\\Answered", "\\Draft", "\\Deleted"}}
    assert flags(dovecot) == want
    # A keyword of Dovecot's own gets a letter of its own, ours stay.
    dovecot.doveadm("flags", "add", "theirs", "header", "subject", "three")
    deliver(site, domain, keep % '["theirs", "$Label1"]', b"five")
    want["three"] = {"theirs"}
    want["five"] = {"theirs", "$Label1"}
    assert flags(dovecot) == want


def test_a_keyword_nobody_used_before(site, domain):
    """Maildir takes it; in an old mbox Dovecot forgets it (BUGS)."""
    deliver(site, domain, "keep;", b"one")
    dovecot = Dovecot(site, domain, "fred")
    assert flags(dovecot) == {"one": set()}
    deliver(site, domain, r'require "imap4flags"; keep :flags ["\\Seen", "new"];',
            b"two")
    want = {"\\Seen", "new"} if domain == "d2.test" else {"\\Seen"}
    assert flags(dovecot) == {"one": set(), "two": want}


def test_folder(site, domain):
    deliver(site, domain, 'require ["fileinto", "mailbox", "imap4flags"];\n'
            'setflag ["\\\\Flagged", "urgent"];\n'
            'fileinto :create "Work/x";', b"one")
    name = "Work/x" if domain == "d1.test" else "Work.x"
    assert flags(Dovecot(site, domain, "fred"), name) == \
        {"one": {"\\Flagged", "urgent"}}


def test_flags_of_a_script_before(site, domain):
    """They are where the next script begins; an error takes back what its
    own script has set."""
    g = site.own_dir(site.dir / "global")
    (g / "before.sieve").write_text(
        'require "imap4flags"; addflag ["\\\\Answered", "\\\\Flagged"];')
    site.configure(sieve_before=[g / "before.sieve"])
    deliver(site, domain, 'require ["imap4flags", "fileinto"];\n'
            'if header "subject" "one" { fileinto "Box"; }\n'
            'if header "subject" "two" { removeflag "\\\\Answered"; }\n'
            'if header "subject" "three" { fileinto :flags "\\\\Draft" "Box"; }\n',
            b"one")
    for subject in (b"two", b"three"):
        r = site.deliver("-f", "a@b.test", "--", domain, "fred",
                         data=LETTER % subject)
        assert r.returncode == 0, r
    deliver(site, domain, 'require ["imap4flags", "include"];\n'
            'setflag "\\\\Deleted"; include "absent";\n', b"four")
    (g / "before.sieve").write_text(
        'require "imap4flags"; keep :flags "\\\\Seen";')
    deliver(site, domain, "keep;", b"five")
    dovecot = Dovecot(site, domain, "fred")
    assert flags(dovecot) == {"two": {"\\Flagged"},
                              "four": {"\\Answered", "\\Flagged"},
                              "five": {"\\Seen"}}
    assert flags(dovecot, "Box") == {"one": {"\\Answered", "\\Flagged"},
                                     "three": {"\\Draft"}}
