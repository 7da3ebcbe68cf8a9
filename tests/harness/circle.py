"""A user who reads by IMAP what was sent to him by SMTP, in an mbox and in a
Maildir: what has to work from one end to the other, whatever stands there."""
import imaplib
import re

from . import PATIENCE, until
from .accounts import Vboxadm
from .hosted import BODY, LETTER, serve_maps, transcript
from .managesieve import ManageSieve

DOMAINS = ["d1.test", "d2.test"]    # mbox, Maildir
SENDER = "anna@client.test"
RULES = """require ["fileinto", "imap4flags"];
if header :contains "Subject" "lists" {
    setflag "\\\\Flagged";
    fileinto "%s";
}
"""


def serve(site):
    """vbox-lmtpd for fred, jane and susp in both domains."""
    site.configure(directory=[f"sqlite:{site.state}/vbox.db"],
                   quota_grace="10K", quota_warnings=[])
    adm = Vboxadm(site)
    adm("domain", "add", "d1.test")
    adm("domain", "add", "d2.test", "--format", "maildir")
    for domain in DOMAINS:
        for user in ("fred", "jane", "susp"):
            adm("user", "add", f"{user}@{domain}", "--quota", "20K",
                "--password-stdin", data=b"secret\n")
    lmtpd = serve_maps(site)
    lmtpd.adm = adm
    return lmtpd


class Reader:
    """A user who reads by IMAP what is sent to him by SMTP."""

    def __init__(self, address, mta, dovecot):
        self.address, self.mta, self.dovecot = address, mta, dovecot
        self.is_mbox = address.endswith("@d1.test")

    def gets(self, subject, body=b""):
        self.mta.send(SENDER, [self.address], LETTER % subject + body)
        self.mta.idle()

    def login(self):
        client = imaplib.IMAP4("127.0.0.1", self.dovecot.port, PATIENCE)
        client.login(self.address, "secret")
        return client

    def sieve(self):
        return ManageSieve(self.dovecot.sieve_port, self.address, "secret")

    def reads(self, folder):
        """[(flags, header, text)] of a folder. An mbox is shown as it is
        quoted."""
        client = self.login()
        kind, count = client.select(folder, readonly=True)
        assert kind == "OK", (folder, count, self.dovecot.log())
        found = []
        for n in range(int(count[0])):
            data = client.fetch(str(n + 1), "(FLAGS BODY.PEEK[])")[1]
            if isinstance(data[1], bytes):
                data[0] = (data[0][0] + data[1], data[0][1])
            head, _, text = data[0][1].partition(b"\r\n\r\n")
            text = text.replace(b"\r\n", b"\n")
            if self.is_mbox:
                text = re.sub(rb"(?m)^>(>*From )", rb"\1", text)
            found.append((imaplib.ParseFlags(data[0][0]), head, text))
        client.logout()
        return found

    def subjects(self, folder="INBOX"):
        return [re.search(rb"(?m)^Subject: (.*?)\r?$", head)[1]
                for _, head, _ in self.reads(folder)]


def rules_hold_at_the_next_letter(fred):
    editor = fred.sieve()
    editor.put("rules", RULES % "Lists")
    fred.gets(b"lists, before the rules are active")
    editor.ask('SETACTIVE "rules"')
    fred.gets(b"plain")
    fred.gets(b"for lists")
    assert fred.subjects() == [b"lists, before the rules are active", b"plain"]
    (flags, head, text), = fred.reads("Lists")
    assert b"\\Flagged" in flags and b"\\Seen" not in flags
    assert b"\r\nSubject: for lists" in head
    assert f"\r\nDelivered-To: {fred.address}" in "\r\n" + head.decode()
    assert text == BODY
    flags, head, text = fred.reads("INBOX")[1]
    assert b"\\Flagged" not in flags and text == BODY
    # Another script, another folder, from the next letter on.
    editor.put("rules", RULES % "Elsewhere")
    fred.gets(b"lists again")
    assert fred.subjects("Elsewhere") == [b"lists again"]
    assert fred.subjects("Lists") == [b"for lists"]
    editor.close()


def shown_quota(client):
    """(kilobytes, limit) as GETQUOTAROOT answers."""
    kind, (_, told) = client.getquotaroot("INBOX")
    assert kind == "OK"
    found = re.search(rb"STORAGE (\d+) (\d+)", told[0])
    assert found, told
    return tuple(map(int, found.groups()))


def a_full_mailbox_is_seen_and_emptied(service, jane):
    def at_rcpt():
        return transcript(jane.mta, [jane.address])[jane.address]

    jane.gets(b"small")
    client = jane.login()
    assert shown_quota(client) == (1, 20)
    jane.gets(b"big", b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 340)
    used, limit = shown_quota(client)
    assert used > limit == 20
    ours = service.adm.json("quota", "show", jane.address)
    if jane.dovecot.counts_files or not jane.is_mbox:
        assert used in (ours["bytes"] // 1024, -(-ours["bytes"] // 1024))
    code, text = at_rcpt()
    assert (code, text.split()[0]) == (552, b"5.2.2")
    client.select("INBOX")
    client.store("2", "+FLAGS", "\\Deleted")
    client.expunge()
    assert shown_quota(client) == (1, 20)
    client.logout()
    until(lambda: at_rcpt()[0] == 250, of="room for mail")
    jane.gets(b"another")
    assert jane.subjects() == [b"small", b"another"]


def who_is_suspended_sees_a_notice(service, susp):
    susp.gets(b"before")
    service.adm("user", "suspend", susp.address, "--reason", "Not paid")
    susp.gets(b"meanwhile")
    (_, head, text), = susp.reads("INBOX")
    assert b"Subject: This mailbox is suspended" in head
    assert b"Not paid" in text
    client = susp.login()
    assert client.list()[1] == [b'(\\HasNoChildren) "/" INBOX']
    client.logout()
    try:
        susp.sieve()
        raise RuntimeError("ManageSieve lets a suspended user in")
    except AssertionError as refused:
        assert "This mailbox is suspended" in str(refused)
    service.adm("user", "resume", susp.address)
    assert susp.subjects() == [b"before", b"meanwhile"]


def full_circle(service, mta, dovecot):
    for domain in DOMAINS:
        fred, jane, susp = (Reader(f"{user}@{domain}", mta, dovecot)
                            for user in ("fred", "jane", "susp"))
        rules_hold_at_the_next_letter(fred)
        a_full_mailbox_is_seen_and_emptied(service, jane)
        who_is_suspended_sees_a_notice(service, susp)
