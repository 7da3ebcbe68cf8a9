"""replace and enclose (RFC 5703): what is stored and handed on, byte by byte
and as another program takes it apart."""
import email
import email.policy
import re
from pathlib import Path

import pytest

from harness import SANITIZED
from harness.lmtp import Lmtpd
from harness.mbox import body, fields
from harness.outbox import Outbox
from harness.proc import status
from test_sieve import folder

LETTER = (b"From: Anna <anna@client.test>\nTo: fred@d1.test\n"
          b"Subject: hello\nMessage-ID: <1@client.test>\nMIME-Version: 1.0\n"
          b"Content-Type: multipart/mixed; boundary=b\n\npre\n--b\n"
          b"Content-Type: text/plain\n\nFrom here on\n\n--b\n"
          b"Content-Type: application/x-msdownload; name=x.exe\n\nMZ\n--b--\n"
          b"From the end\n")

STRIP = """require ["foreverypart", "mime", "replace", "fileinto", "copy"];
fileinto :copy "Whole";
foreverypart {
    if header :mime :param "name" :matches "content-type" "*.exe" {
        replace text:
A program was taken out.
Grüße
.
;
    }
}
"""


@pytest.fixture(params=["d1.test", "d2.test"], ids=["mbox", "maildir"])
def domain(request):
    return request.param


def deliver(site, domain, script, data=LETTER, *args, want=0):
    site.own_file(site.home / domain / "fred" / ".dovecot.sieve",
                  script.encode())
    r = site.deliver("-f", "anna@client.test", *args, "--", domain, "fred",
                     data=data)
    assert r.returncode == want, r
    return r


def parts(message):
    return [p.get_content_type() for p in
            email.message_from_bytes(message).walk()]


def test_a_part_is_replaced(site, domain):
    deliver(site, domain, STRIP)
    [m] = site.messages(domain, "fred")
    assert body(m) == body(LETTER).replace(
        b"Content-Type: application/x-msdownload; name=x.exe\n\nMZ\n",
        "Content-Type: text/plain; charset=utf-8\n"
        "Content-Transfer-Encoding: 8bit\n\n"
        "A program was taken out.\nGrüße\n".encode())
    assert fields(m, "Subject") == [b"hello"]
    if domain == "d2.test":
        box = site.box(domain, "fred")
        [path] = (box / "new").iterdir()
        assert f",S={path.stat().st_size}" in path.name
        [whole] = (box / ".Whole" / "new").iterdir()
        assert body(whole.read_bytes()) == body(LETTER)


def test_a_large_message_is_read_from_the_file(site, domain):
    """Beyond what is kept in memory; what is around the part stays."""
    data = LETTER.replace(b"From here on\n", b"0123456789abcde\n" * 200_000)
    deliver(site, domain, STRIP, data)
    [m] = site.messages(domain, "fred")
    assert m.count(b"0123456789abcde\n") == 200_000
    assert b"MZ" not in m and m.endswith(b"--b--\nFrom the end\n")


def test_more_than_the_limit_keeps_the_mail(site, domain):
    data = LETTER.replace(b"From here on\n", b"0123456789abcde\n" * 1_100_000)
    deliver(site, domain, 'require "enclose"; enclose "x";', data)
    [m] = site.messages(domain, "fred")
    assert body(m) == body(data)
    log = (site.home / domain / "fred" / ".dovecot.sieve.log").read_text()
    assert "16777216 bytes" in log


def test_enclosed(site, domain):
    outbox = Outbox(site)
    deliver(site, domain, 'require ["enclose", "copy"];\n'
            'enclose :subject "Beware" :headers "From" "Do not open it.";\n'
            'redirect :copy "joe@else.test";')
    [m] = site.messages(domain, "fred")
    assert parts(m) == ["multipart/mixed", "text/plain", "message/rfc822",
                        "multipart/mixed", "text/plain",
                        "application/x-msdownload"]
    top = email.message_from_bytes(m, policy=email.policy.default)
    assert top["Subject"] == "Beware" and top["Date"]
    assert top["From"] == "Anna <anna@client.test>"
    assert LETTER in m
    # A redirect hands on what came (RFC 5703 section 6).
    [(_, sent)] = outbox.mails()
    assert sent.endswith(LETTER)


def test_replaced_is_what_is_redirected(site, domain):
    outbox = Outbox(site)
    deliver(site, domain, 'require "replace"; replace :subject "Gone" "Nothing.";\n'
            'redirect "joe@else.test";')
    [(_, sent)] = outbox.mails()
    assert body(sent) == b"Nothing.\n"
    assert fields(sent, "Subject") == [b"Gone"]
    assert fields(sent, "Original-Subject") == [b"hello"]
    assert parts(sent) == ["text/plain"]


def test_a_rehearsal_writes_nothing(site, domain):
    before = site.everything()
    r = deliver(site, domain, STRIP, LETTER, "-n")
    assert b"replace part 2" in r.stdout
    after = site.everything()
    after = {k: v for k, v in after.items() if "dovecot.sieve" not in k}
    assert {k: v for k, v in before.items() if k in after} == after


def test_a_message_of_a_header_only(site, domain):
    deliver(site, domain, 'require "enclose"; enclose "x";', b"Subject: s\n")
    [m] = site.messages(domain, "fred")
    assert parts(m) == ["multipart/mixed", "text/plain", "message/rfc822",
                        "text/plain"]
    inner = email.message_from_bytes(m).get_payload()[1].get_payload()[0]
    assert inner["Subject"] == "s" and not inner.get_payload().strip()


def most_memory(service):
    """What the largest of its processes ever had, in bytes."""
    return max(int(status(p).get("VmHWM", "0 kB").split()[0]) * 1024
               for p in service.pids())


def test_many_recipients_of_a_large_message(site):
    """All recipients are planned before the first is stored."""
    site.own_file(site.home / "d1.test" / "fred" / ".dovecot.sieve",
                  b'require "enclose"; enclose "x";')
    text = LETTER.replace(b"From here on\n", b"0123456789abcde\n" * 600_000)
    with Lmtpd(site) as service, service.connect(timeout=600) as c:
        c.hello()
        rcpt, replies = c.message(["fred@d1.test"] * 8, text)
        assert [r[:3] for r in rcpt + replies] == ["250"] * 16
        # A sanitizer keeps what was freed.
        assert SANITIZED or most_memory(service) < 4 * len(text)
    found = site.messages("d1.test", "fred")
    assert len(found) == 8
    # All but its From_ line, which an mbox quotes.
    assert all(text[text.index(b"\n--b\n"):-14] in m for m in found)


def example(word):
    """The script in the section of vbox-sieve(7) that has the word."""
    page = (Path(__file__).parents[2] / "docs/man/vbox-sieve.7").read_text()
    section = page.split(".Sh REPLACE AND ENCLOSE\n")[1].split("\n.Sh ")[0]
    [script] = [s for s in re.findall(
        r"(?s)^\.Bd -literal -offset indent\n(require .*?)^\.Ed$", section, re.M)
        if word in s]
    return script.replace("\\&.", ".")


def test_the_manuals_example_of_replace(site, domain):
    script = example("foreverypart")
    deliver(site, domain, script)
    [whole] = folder(site, domain, "fred", "Whole")
    [m] = site.messages(domain, "fred")
    assert b"\nMZ\n" in whole and b"\nMZ\n" not in m
    assert b"A program was taken out; the mail is in Whole." in m
    assert b"From here on" in m
    deliver(site, domain, script, LETTER.replace(b"x.exe", b"x.txt"))
    assert len(folder(site, domain, "fred", "Whole")) == 1
    assert len(site.messages(domain, "fred")) == 2


def test_the_manuals_example_of_enclose(site, domain):
    deliver(site, domain, example("enclose"), b"X-Spam-Status: Yes\n" + LETTER)
    [m] = site.messages(domain, "fred")
    assert fields(m, "Subject") == [b"[suspicious] hello"]
    assert fields(m, "From") == [b"Anna <anna@client.test>"]
    assert fields(m, "X-Spam-Status") == []
    text, enclosed = email.message_from_bytes(m).get_payload()
    assert text.get_payload() == "This may be fraud. The mail is attached."
    assert enclosed.get_payload(0)["Subject"] == "hello"
