"""What Dovecot knows of mailboxes and scripts may ask for: annotations, set by
IMAP (RFC 5464, 5490), and identities (RFC 8474, 9042), through a real Dovecot
with the configuration of contrib."""
import imaplib
import subprocess

import pytest

from harness import PATIENCE, accounts
from harness.accounts import DovecotServer
from test_managesieve import adm  # noqa: F401
from test_sieve import folder, script

MAIL = b"From: a@elsewhere.example\nSubject: work to do\n\nhello\n"
METADATA = """
mail_fsync = never
mail_attribute_dict = file:%h/dovecot-attributes
protocol imap {{
  imap_metadata = yes
}}
"""


@pytest.fixture(params=["d1.test", "d2.test"])
def domain(request):
    return request.param


@pytest.fixture
def server(site, adm, monkeypatch):
    monkeypatch.setattr(accounts, "OVERRIDES", accounts.OVERRIDES + METADATA)
    server = DovecotServer(site)
    yield server
    server.stop()


@pytest.fixture
def imap(server, domain):
    imap = imaplib.IMAP4("127.0.0.1", server.port, PATIENCE)
    imap.login(f"fred@{domain}", "secret")
    yield imap
    imap.logout()


def deliver(site, domain):
    """What the script has made of the message, if it is in the INBOX."""
    before = site.messages(domain, "fred")
    r = site.deliver("-f", "a@elsewhere.example", "--", domain, "fred",
                     data=MAIL)
    assert r.returncode == 0, r
    new = site.messages(domain, "fred")
    for message in before:
        new.remove(message)
    # Not the notice about a script.
    return [seen(m) for m in new if b"work to do" in m]


def annotate(imap, mailbox, name, value):
    literal = "{%d+}\r\n" % len(value.encode()) + value
    kind, said = imap.xatom("SETMETADATA", f'"{mailbox}"', f"({name}",
                            literal + ")")
    assert kind == "OK", said


def guid(site, domain, mailbox):
    return subprocess.run(
        ["doveadm", "-c", site.dir / "dovecot.conf", "-f", "flow", "mailbox",
         "status", "-u", f"fred@{domain}", "guid", mailbox], check=True,
        stdout=subprocess.PIPE, text=True).stdout.split("guid=")[1].strip()


ASK = r"""require ["mboxmetadata", "servermetadata", "editheader", "variables"];
if metadata :matches "INBOX" "/private/comment" "*" { addheader "X-A" "1 ${1}"; }
if metadata :matches "INBOX" "/shared/comment" "*" { addheader "X-A" "2 ${1}"; }
if metadata "Dir/B\u00f6se" "/Private/Vendor/Acme/Mode" "on" { addheader "X-A" "3"; }
if metadataexists "Dir/B\u00f6se" ["/private/vendor/acme/mode", "/private/comment"] { addheader "X-A" "4"; }
if servermetadata :contains "/private/comment" "serv" { addheader "X-A" "5"; }
if servermetadataexists ["/private/comment", "/shared/vendor/acme/z"] { addheader "X-A" "6"; }
if metadataexists "INBOX" "/private/nothing" { addheader "X-A" "wrong"; }
if metadataexists "Absent" "/private/comment" { addheader "X-A" "wrong"; }
if metadataexists "INBOX" "/private/vendor/vendor.dovecot/pvt/server/comment" { addheader "X-A" "wrong"; }
if metadataexists "../x" "/private/comment" { addheader "X-A" "wrong"; }
"""


def seen(message):
    head = message.split(b"\n\n")[0]
    return sorted(line[5:] for line in head.decode().split("\n")
                  if line.startswith("X-A: "))


def test_annotations(site, imap, domain):
    script(site, domain, "fred", ASK.encode().decode("unicode_escape"))
    assert deliver(site, domain) == [[]]
    imap.create("Dir.B&APY-se" if domain == "d2.test" else "Dir/B&APY-se")
    name = "Dir.B&APY-se" if domain == "d2.test" else "Dir/B&APY-se"
    annotate(imap, "INBOX", "/private/comment", "mine, with\ttab")
    annotate(imap, "INBOX", "/shared/comment", "ours")
    annotate(imap, name, "/private/vendor/acme/mode", "on")
    annotate(imap, name, "/private/comment", "x")
    annotate(imap, "", "/private/comment", "of the server")
    annotate(imap, "", "/shared/vendor/acme/z", "z")
    assert deliver(site, domain) == [[
        "1 mine, with\ttab", "2 ours", "3", "4", "5", "6"]]
    # Taken away again.
    kind, _ = imap.xatom("SETMETADATA", '"INBOX"', "(/private/comment NIL)")
    assert kind == "OK"
    assert deliver(site, domain) == [[
        "2 ours", "3", "4", "5", "6"]]


def test_annotations_of_others_are_not_read(site, imap, domain):
    script(site, domain, "fred", ASK.encode().decode("unicode_escape"))
    annotate(imap, "INBOX", "/shared/comment", "ours")
    path = site.home / domain / "fred" / "dovecot-attributes"
    path.chmod(0o666)
    assert deliver(site, domain) == [[]]
    assert "could not be asked" in \
        (site.home / domain / "fred" / ".dovecot.sieve.log").read_text()
    site.configure(metadata_file="")
    assert deliver(site, domain) == [[]]


@pytest.mark.parametrize("name,spoken", [
    ("Work", "Work"), ("Dir/B&APY-se &- x", "Dir/B\u00f6se & x"),
    ("&2D3cqCxn-", "\U0001f4a8\u2c67")])
def test_identities(site, imap, domain, name, spoken):
    if domain == "d2.test":
        name, spoken = name.replace("/", "."), spoken.replace("/", ".")
    imap.create(f'"{name}"')
    imap.create("Other")
    imap.select("Other")
    one = guid(site, domain, spoken)
    script(site, domain, "fred", f"""
require ["fileinto", "mailboxid", "editheader"];
if mailboxidexists ["{guid(site, domain, "INBOX")}", "{one}"] {{ addheader "X-A" "both"; }}
if mailboxidexists "{one[:-1]}" {{ addheader "X-A" "wrong"; }}
if mailboxidexists "{"0" * 32}" {{ addheader "X-A" "wrong"; }}
fileinto :mailboxid "{one}" "Fallback";
""")
    deliver(site, domain)
    assert imap.select(f'"{name}"')[1] == [b"1"]
    got = imap.fetch("1", "BODY.PEEK[HEADER]")[1][0][1].replace(b"\r", b"")
    assert seen(got) == ["both"]
    # Gone: what is left of its index is no mailbox.
    imap.close()
    imap.delete(f'"{name}"')
    deliver(site, domain)
    got = folder(site, domain, "fred", "Fallback")
    assert len(got) == 1 and seen(got[0]) == []


def test_identity_after_many_changes(site, imap, domain):
    """The index has been written anew, its log turned."""
    imap.create("Work")
    for _ in range(150):
        imap.append("Work", None, None, b"Subject: " + b"x" * 200 + b"\r\n\r\n")
    for _ in range(4):
        imap.select("Work")
        for flags in ("+FLAGS", "-FLAGS") * 5:
            imap.store("1:*", flags, r"(\Flagged k1 k2 k3)")
        imap.close()
    one = guid(site, domain, "Work")
    script(site, domain, "fred", 'require ["fileinto", "mailboxid"];\n'
           f'fileinto :mailboxid "{one}" "Fallback";\n')
    if domain == "d1.test":
        index = site.home / domain / "fred" / "dovecot" / ".imap" / "Work"
        assert (index / "dovecot.index").exists(), list(index.iterdir())
    deliver(site, domain)
    assert imap.select("Work")[1] == [b"151"]
