"""Scripts by ManageSieve and by vboxadm: the same files, the same link; what
either has activated is in force at the next delivery, and Dovecot sees what
it did."""
import imaplib
import os

import pytest

from harness import PATIENCE, UID
from harness.accounts import DovecotServer, Vboxadm
from harness.managesieve import ManageSieve

MAIL = b"From: a@elsewhere.example\nSubject: work to do\n\nhello\n"
SCRIPT = """require ["fileinto", "imap4flags", "mailbox"];
if header :contains "subject" "work" {
    fileinto :create :flags ["\\\\Flagged", "Todo"] "Jobs";
}
"""


@pytest.fixture
def adm(site):
    site.configure(directory=[f"sqlite:{site.state}/vbox.db"])
    adm = Vboxadm(site)
    adm("domain", "add", "d1.test")
    adm("domain", "add", "d2.test", "--format", "maildir")
    for domain in ("d1.test", "d2.test"):
        adm("user", "add", f"fred@{domain}", "--password-stdin",
            data=b"secret\n")
    return adm


@pytest.fixture
def server(site, adm):
    server = DovecotServer(site)
    yield server
    server.stop()


def deliver(site, domain):
    r = site.deliver("-f", "a@elsewhere.example", "--", domain, "fred",
                     data=MAIL)
    assert r.returncode == 0, r


@pytest.mark.parametrize("domain", ["d1.test", "d2.test"])
def test_uploaded_is_in_force(site, adm, server, domain):
    client = ManageSieve(server.sieve_port, f"fred@{domain}", "secret")
    client.put("rules", SCRIPT)
    deliver(site, domain)
    assert len(site.messages(domain, "fred")) == 1   # not active yet
    client.ask('SETACTIVE "rules"')
    deliver(site, domain)
    assert len(site.messages(domain, "fred")) == 1
    imap = imaplib.IMAP4("127.0.0.1", server.port, PATIENCE)
    imap.login(f"fred@{domain}", "secret")
    assert imap.select("Jobs")[1] == [b"1"]
    flags = imap.fetch("1", "FLAGS")[1][0]
    assert b"\\Flagged" in flags and b"Todo" in flags
    imap.logout()
    assert adm("sieve", "list", f"fred@{domain}") == "rules active\n"
    # And the other way: what vboxadm does, ManageSieve sees.
    home = site.home / domain / "fred"
    adm("sieve", "put", f"fred@{domain}", "none", "-", data=b"discard;\n")
    by_dovecot = os.readlink(home / ".dovecot.sieve")
    adm("sieve", "activate", f"fred@{domain}", "none")
    assert os.readlink(home / ".dovecot.sieve") == "sieve/none.sieve"
    assert by_dovecot == "sieve/rules.sieve"
    assert sorted(client.ask("LISTSCRIPTS")) == ['"none" ACTIVE', '"rules"']
    client.close()
    deliver(site, domain)
    assert len(site.messages(domain, "fred")) == 1


def test_put_checks_and_owns(site, adm):
    who, home = "fred@d1.test", site.home / "d1.test" / "fred"
    assert adm("sieve", "list", who) == ""
    adm("sieve", "activate", who, "a", code=64)
    r = adm.run("sieve", "put", who, "a", "-", data=b"bogus;\n", code=65)
    assert b":1:" in r.stderr
    assert not (home / "sieve").exists()
    adm("sieve", "put", who, "a", "-", data=b"keep;\n")
    st = (home / "sieve" / "a.sieve").stat()
    assert st.st_uid == UID and st.st_mode & 0o777 == 0o600
    assert os.listdir(home / "sieve") == ["a.sieve"]
    assert adm.json("sieve", "list", who) == [{"name": "a", "active": False}]
    for bad in ("../x", ".x", "", "a/b", "x" * 300):
        adm("sieve", "put", who, bad, "-", data=b"keep;\n", code=64)
    assert adm.run("sieve", "put", "nobody@d1.test", "a", "-",
                   data=b"keep;\n", code=67)


def test_put_and_activate_say_what_they_did(site, adm):
    who = "fred@d1.test"
    assert adm("sieve", "put", who, "a", "-", data=b"keep;\n") == \
        f"stored a of {who}; it is not active: " \
        f"vboxadm sieve activate {who} a\n"
    assert adm("sieve", "list", who) == "a\n"
    assert adm("sieve", "activate", who, "a") == f"activated a of {who}\n"
    assert adm("sieve", "put", who, "a", "-", data=b"stop;\n") == \
        f"stored a of {who}, the active script\n"
    assert adm("-q", "sieve", "put", who, "b", "-", data=b"keep;\n") == ""
    assert adm("-q", "sieve", "activate", who, "b") == ""
    assert adm("sieve", "list", who) == "a\nb active\n"
    told = adm.json("sieve", "put", who, "a", "-", data=b"keep;\n")
    assert told == {"file": "-", "errors": 0, "list": []}


def test_a_warning_is_told_and_the_script_stored(site, adm):
    r = adm.run("sieve", "put", "fred@d1.test", "a", "-",
                data=b'if header "From: x" "y" { discard; }\n')
    assert r.stderr.startswith(b'-:1:11: warning: "From: x" is no name')
    assert adm("sieve", "list", "fred@d1.test") == "a\n"


def test_a_script_that_was_no_link_is_kept(site, adm):
    who, home = "fred@d1.test", site.home / "d1.test" / "fred"
    site.own_file(home / ".dovecot.sieve", b"# by hand\n")
    adm("sieve", "put", who, "a", "-", data=b"keep;\n")
    adm("sieve", "activate", who, "a")
    assert (home / "sieve" / "dovecot.orig.sieve").read_bytes() == \
        b"# by hand\n"
    assert adm("sieve", "list", who) == "a active\ndovecot.orig\n"


def test_a_link_in_place_of_the_directory_is_not_followed(site, adm, scratch):
    who, home = "fred@d1.test", site.home / "d1.test" / "fred"
    out = site.own_dir(scratch / "outside")
    (home / "sieve").symlink_to(out)
    adm("sieve", "put", who, "a", "-", data=b"keep;\n", code=None)
    assert os.listdir(out) == []
