"""What scripts ask of the world, through the whole programs: what the scanner
said, which mailbox has which use, who is in a list."""
import os

import pytest

from harness.lmtp import Lmtpd
from test_sieve import deliver, domain, folder, inbox, script  # noqa: F401

SPAM = """require ["fileinto", "spamtestplus", "virustest", "relational",
    "comparator-i;ascii-numeric"];
if virustest :value "eq" :comparator "i;ascii-numeric" "5" { discard; }
elsif spamtest :value "ge" :comparator "i;ascii-numeric" "6" { fileinto "Spam"; }
elsif spamtest :percent :value "ge" :comparator "i;ascii-numeric" "40" { fileinto "Maybe"; }
elsif not spamtest :count "ge" "1" { fileinto "Untested"; }
"""


def mail(*fields):
    return "".join(f + "\n" for f in fields).encode() + b"Subject: s\n\nx\n"


def where(site, domain, data):
    """The folder that a message goes into."""
    def count():
        found = {f: len(folder(site, domain, "fred", f))
                 for f in ("Spam", "Maybe", "Untested")}
        found["INBOX"] = inbox(site, domain, "fred")
        return found
    before = count()
    deliver(site, domain, data=data)
    return [f for f, n in count().items() if n > before[f]]


def test_nothing_configured_is_not_tested(site, domain):
    script(site, domain, "fred", SPAM)
    assert where(site, domain, mail("X-Spam-Score: 99")) == ["Untested"]


@pytest.mark.parametrize("fields,place", [
    (["X-Spam-Score: 7.5"], "Spam"),
    (["X-Spam-Score: 4.5"], "Maybe"),
    (["X-Spam-Score: -2"], "INBOX"),
    (["X-Spam-Score: none"], "Untested"),
    ([], "Untested"),
    # A sender adds his own, above or below that of the scanner.
    (["X-Spam-Score: 0", "X-Spam-Score: 9"], "Spam"),
    (["X-Spam-Score: 9", "X-Spam-Score: 0"], "Spam"),
])
def test_score(site, domain, fields, place):
    site.configure(sieve_spamtest_status_header="X-Spam-Score",
                   sieve_spamtest_max_value="10")
    script(site, domain, "fred", SPAM)
    assert where(site, domain, mail(*fields)) == [place]


def test_score_and_maximum_by_expressions(site, domain):
    site.configure(
        sieve_spamtest_status_header="X-Spam-Status: score=(-?[0-9.]+)",
        sieve_spamtest_max_header="X-Spam-Status: required=([0-9.]+)")
    script(site, domain, "fred", SPAM)
    status = "X-Spam-Status: Yes, score={} required={} tests=BAYES_99"
    assert where(site, domain, mail(status.format(5.1, 5.0))) == ["Spam"]
    assert where(site, domain, mail(status.format(0.1, 5.0))) == ["INBOX"]
    # A maximum that the sender has made up helps him nothing.
    assert where(site, domain, mail(
        status.format(0, 5000), status.format(5.1, 5.0))) == ["Spam"]


def test_length_and_text(site, domain):
    site.configure(sieve_spamtest_status_type="strlen",
                   sieve_spamtest_status_header="X-Spam-Level",
                   sieve_spamtest_max_value="10",
                   sieve_virustest_status_type="text",
                   sieve_virustest_status_header="X-Virus",
                   sieve_virustest_text_values=["1=clean", "5=Infected"])
    script(site, domain, "fred", SPAM)
    assert where(site, domain, mail("X-Spam-Level: *******")) == ["Spam"]
    assert where(site, domain, mail("X-Spam-Level: *")) == ["INBOX"]
    assert where(site, domain, mail("X-Virus: infected")) == []
    assert where(site, domain, mail("X-Virus: clean")) == ["Untested"]


def test_a_domain_has_its_own_scanner(site):
    site.domains["d2.test"].update(sieve_spamtest_status_header="X-Other",
                                   sieve_spamtest_max_value="1.5")
    site.configure(sieve_spamtest_status_header="X-Spam-Score",
                   sieve_spamtest_max_value="10")
    both = mail("X-Spam-Score: 0", "X-Other: 1.5")
    for domain, place in (("d1.test", "INBOX"), ("d2.test", "Spam")):
        script(site, domain, "fred", SPAM)
        assert where(site, domain, both) == [place]


def test_the_warm_filter_knows_it_too(site):
    site.configure(sieve_spamtest_status_header="X-Spam-Score",
                   sieve_spamtest_max_value="10")
    script(site, "d2.test", "fred", SPAM)
    with Lmtpd(site) as server:
        with server.connect() as client:
            client.hello()
            for _ in range(2):
                client.message(["fred@d2.test"], mail("X-Spam-Score: 8"))
    assert len(folder(site, "d2.test", "fred", "Spam")) == 2


def test_a_worker_forgets_no_change(site):
    """Compiled scripts are kept in memory, more users than it keeps."""
    users = [f"u{i}" for i in range(10)]
    text = 'require "fileinto"; # ' + "x" * 300 + '\nfileinto "{}";\n'
    for u in users:
        site.add("d2.test", u)
        script(site, "d2.test", u, text.format("A" + u))
    with Lmtpd(site) as server, server.connect() as client:
        client.hello()
        for _ in range(2):
            for u in users:
                client.message([f"{u}@d2.test"], mail())
        path = site.home / "d2.test" / "u9" / ".dovecot.sieve"
        before = path.stat()
        path.write_text(text.format("Bu9"))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        for _ in range(2):
            client.message(["u9@d2.test"], mail())

    def count(u, name):
        return len(list((site.box("d2.test", u) / name).glob("new/*")))
    assert [count(u, ".A" + u) for u in users] == [2] * 10
    assert count("u9", ".Bu9") == 2


def test_what_the_mta_told(site):
    """RFC 5183 remote-host and remote-ip, RFC 6009 envelope parts."""
    script(site, "d2.test", "fred", """
require ["environment", "envelope", "envelope-dsn", "editheader", "variables"];
if environment :matches "remote-host" "*" { addheader "X-E" "host ${1}"; }
if environment :matches "remote-ip" "*" { addheader "X-E" "ip ${1}"; }
if envelope :is "notify" "DELAY" { addheader "X-E" "notify"; }
if envelope :is "notify" "FAILURE" { addheader "X-E" "wrong"; }
if envelope :is "orcpt" "rfc822;x@y.test" { addheader "X-E" "orcpt"; }
if envelope :is "ret" "HDRS" { addheader "X-E" "ret"; }
if envelope :is "envid" "Q+1" { addheader "X-E" "envid"; }
""")

    def got():
        (path,) = (site.box("d2.test", "fred") / "new").iterdir()
        m = path.read_bytes()
        path.unlink()
        return sorted(line[5:].decode() for line in m.split(b"\n")
                      if line.startswith(b"X-E: "))
    with Lmtpd(site) as server, server.connect() as client:
        client.hello()
        client.message(["fred@d2.test"], mail())
        assert got() == []
        assert client.say("XFORWARD NAME=spike.test ADDR=192.0.2.7")[:3] == "250"
        assert client.say("MAIL FROM:<a@b.test> RET=HDRS ENVID=Q+2B1")[:3] == "250"
        assert client.say("RCPT TO:<fred@d2.test> NOTIFY=SUCCESS,DELAY "
                          "ORCPT=rfc822;x@y.test")[:3] == "250"
        assert client.say("DATA")[:3] == "354"
        assert client.say("Subject: x\r\n\r\nx\r\n.")[:3] == "250"
        assert got() == ["envid", "host spike.test", "ip 192.0.2.7", "notify",
                         "orcpt", "ret"]


# --- special use ---

USE = """require ["fileinto", "special-use", "mailbox", "editheader"];
if specialuse_exists "\\\\Junk" { addheader "X-Use" "junk"; }
if specialuse_exists "Spam" "\\\\Junk" { addheader "X-Use" "spam"; }
if specialuse_exists ["\\\\Junk", "\\\\Nonsense"] { addheader "X-Use" "no"; }
fileinto :specialuse "\\\\Junk" %s"Fallback";
"""


def make(site, domain, name):
    """A folder as Dovecot makes one."""
    if domain == "d2.test":
        for sub in ("tmp", "new", "cur"):
            site.own_dir(site.box(domain, "fred") / ("." + name) / sub)
    else:
        site.own_file(site.home / domain / "fred" / "mail" / name)


def test_special_use_by_default(site, domain):
    script(site, domain, "fred", USE % "")
    deliver(site, domain)
    first = folder(site, domain, "fred", "Fallback")
    assert len(first) == 1 and b"X-Use" not in first[0]
    make(site, domain, "Junk")
    deliver(site, domain)
    got = folder(site, domain, "fred", "Junk")
    assert len(got) == 1 and b"X-Use: junk\n" in got[0]
    assert b"X-Use: spam\n" not in got[0] and b"X-Use: no\n" not in got[0]
    assert len(folder(site, domain, "fred", "Fallback")) == 1


def test_special_use_as_configured(site, domain):
    site.configure(special_use=["INBOX.x=\\Sent", "Absent=\\Junk",
                                "Spam=\\Trash \\junk"])
    make(site, domain, "Junk")
    make(site, domain, "Spam")
    script(site, domain, "fred", USE % ":create ")
    deliver(site, domain)
    got = folder(site, domain, "fred", "Spam")
    assert len(got) == 1
    assert b"X-Use: junk\n" in got[0] and b"X-Use: spam\n" in got[0]
    assert folder(site, domain, "fred", "Junk") == []
    assert folder(site, domain, "fred", "Fallback") == []


def test_special_use_of_two_mailboxes(site, domain):
    """RFC 8579 section 4: the one that the script names, else always the
    same."""
    make(site, domain, "Sent")
    make(site, domain, "Sent Messages")
    for name, where in (("Sent Messages", "Sent Messages"), ("Other", "Sent")):
        script(site, domain, "fred", 'require ["fileinto", "special-use"]; '
               f'fileinto :specialuse "\\\\Sent" "{name}";')
        deliver(site, domain)
        assert len(folder(site, domain, "fred", where)) == 1


def test_special_use_and_creation(site, domain):
    """RFC 8579 section 4.1: with :create the named mailbox is made when none
    has the use; without, and where nothing is made, the mail is kept."""
    site.configure(autocreate=False, special_use=["Fallback=\\Junk"])
    script(site, domain, "fred", USE % "")
    deliver(site, domain)
    assert folder(site, domain, "fred", "Fallback") == []
    assert inbox(site, domain, "fred") == 1
    script(site, domain, "fred", USE % ":create ")
    deliver(site, domain)
    deliver(site, domain)
    # Now it is there, and has its use by its name.
    got = folder(site, domain, "fred", "Fallback")
    assert [b"X-Use: junk\n" in m for m in got] == [False, True]


def test_a_rehearsal_knows_the_mailbox(site, domain):
    make(site, domain, "Junk")
    script(site, domain, "fred", USE % "")
    r = deliver(site, domain, "fred", mail(), "-n")
    assert b"Fallback\n" not in r.stdout.split(b"fileinto")[0]
    assert (b".Junk" if domain == "d2.test" else b"mail/Junk") in r.stdout


def test_a_rehearsal_shows_what_was_found(site):
    """Each test with the values that it saw (MISSION V7)."""
    site.configure(sieve_spamtest_status_header="X-Spam-Score",
                   sieve_spamtest_max_value="10")
    script(site, "d1.test", "fred", "a@b.test\n", "addressbook")
    script(site, "d1.test", "fred", """
require ["spamtest", "relational", "special-use", "mailbox", "extlists",
    "mboxmetadata", "environment"];
if spamtest :value "ge" "9" { stop; }
if specialuse_exists "\\\\Junk" { keep; }
if mailboxexists "Absent" { stop; }
if valid_ext_list "tag:x,2026:y" { stop; }
if header :list "From" ":addrbook:default" { keep; }
if metadataexists "INBOX" "/private/comment" { stop; }
if environment "nothing" "x" { stop; }
if header "List-Id" "x" { stop; }
if header :is "Subject" ["one", "two"] { stop; }
""")
    make(site, "d1.test", "Junk")
    r = deliver(site, "d1.test", "fred",
                b"From: a@b.test\nX-Spam-Score: 7\nSubject: s\n\nx\n", "-n")
    # "  .dovecot.sieve:4:   value ..." is "4 value ..."
    shown = [" ".join(line.split(":", 1)[1].replace(":", " ", 1).split())
             for line in r.stdout.decode().splitlines() if ".dovecot.sieve:" in line]
    for wanted in ('4 value "7": no match', "4 spamtest: false",
                   '5 use "\\Junk": Junk', "5 specialuse_exists: true",
                   '6 mailbox "Absent": not there', "6 mailboxexists: false",
                   '7 list "tag:x,2026:y": not known', "7 valid_ext_list: false",
                   '8 value "a@b.test" :list ":addrbook:default"', "8 header: true",
                   '9 annotation "/private/comment": not there',
                   '10 no item "nothing"', "11 nothing to compare",
                   '12 value "s": no match', "12 header: false"):
        assert wanted in shown, (wanted, shown)


# --- lists ---

LISTS = """require ["extlists", "fileinto", "envelope"];
if header :list "subject" "tag:example.com,2026:words" { fileinto "Words"; }
elsif address :list "from" ":addrbook:default" { fileinto "Friends"; }
elsif envelope :list "from" "urn:ietf:params:sieve:addrbook:default" { fileinto "Known"; }
"""


def test_lists(site, domain):
    words = site.dir / "words"
    words.write_text("# of the site\nBuy  Now\nproject x\n")
    site.configure(sieve_lists=[
        "urn:ietf:params:sieve:addrbook:default=%h/addressbook",
        f"tag:example.com,2026:words={words}"])
    script(site, domain, "fred", LISTS)
    deliver(site, domain, data=b"From: Ann@X.test\nSubject: hello\n\n")
    assert inbox(site, domain, "fred") == 1
    script(site, domain, "fred", "\n# mine\n  Ann <ann@x.TEST>  \r\n"
           "@b.test\n", "addressbook")
    deliver(site, domain, data=b"From: Ann@X.test\nSubject: hello\n\n")
    assert len(folder(site, domain, "fred", "Friends")) == 1
    deliver(site, domain, data=b"From: nobody@else\nSubject: hello\n\n")
    assert len(folder(site, domain, "fred", "Known")) == 1
    deliver(site, domain, data=b"From: a@x\nSubject: Project X\n\n")
    assert len(folder(site, domain, "fred", "Words")) == 1
    assert inbox(site, domain, "fred") == 1


def test_which_lists_there_are(site, domain):
    site.configure(sieve_lists=["tag:a,2026:here=%h/here",
                                "tag:a,2026:away=%h/away"])
    script(site, domain, "fred", "x\n", "here")
    script(site, domain, "fred", """require ["extlists", "editheader"];
if valid_ext_list "tag:a,2026:here" { addheader "X-List" "here"; }
if valid_ext_list "tag:A,2026:here" { addheader "X-List" "case"; }
if valid_ext_list "tag:a,2026:away" { addheader "X-List" "away"; }
if valid_ext_list ":addrbook:default" { addheader "X-List" "book"; }
if valid_ext_list ["tag:a,2026:here", "tag:a,2026:other"] { addheader "X-List" "other"; }
""")
    deliver(site, domain)
    m = site.messages(domain, "fred")[0]
    assert sorted(line for line in m.split(b"\n") if b"X-List" in line) == \
        [b"X-List: book", b"X-List: here"]


def test_mailboxexists_tells_folders_apart(site, domain):
    make(site, domain, "There")
    script(site, domain, "fred", """require ["mailbox", "editheader"];
if mailboxexists "There" { addheader "X-There" "yes"; }
if mailboxexists "Absent" { addheader "X-There" "absent"; }
if mailboxexists ["INBOX", "There"] { addheader "X-There" "both"; }
if mailboxexists ["There", "There/Below"] { addheader "X-There" "below"; }
""")
    deliver(site, domain)
    m = site.messages(domain, "fred")[0]
    assert sorted(line for line in m.split(b"\n") if b"X-There" in line) == \
        [b"X-There: both", b"X-There: yes"]


@pytest.mark.parametrize("how", ["writable", "link out", "too long"])
def test_a_list_of_others_is_not_believed(site, domain, how):
    path = site.home / domain / "fred" / "addressbook"
    if how == "link out":
        path.symlink_to(site.own_file(site.dir / "book", b"a@b.test\n"))
    else:
        site.own_file(path, b"a@b.test\n" * (40000 if how == "too long" else 1))
        path.chmod(0o600 if how == "too long" else 0o666)
    script(site, domain, "fred", LISTS)
    deliver(site, domain)
    assert folder(site, domain, "fred", "Friends") == []
    assert inbox(site, domain, "fred") == 1
    log = (site.home / domain / "fred" / ".dovecot.sieve.log").read_text()
    assert "list" in log and ".dovecot.sieve:" in log


@pytest.fixture
def sendmail(site):
    """A submitter that keeps what it is given: (recipient, ...) in calls()."""
    kept = site.own_dir(site.dir / "sent", 0o777)
    program = site.dir / "sendmail"
    program.write_text("#!/bin/sh\nn=$(mktemp %s/XXXXXX)\n"
                       "echo \"$@\" >$n; cat >/dev/null\n" % kept)
    program.chmod(0o755)
    site.configure(submit=program)
    return lambda: sorted(p.read_text().split()[-1] for p in kept.iterdir())


def test_redirect_to_a_list(site, domain, sendmail):
    script(site, domain, "fred", "b@x.test\n@y.test\nC <Carl@x.test>\nword\n"
           "B@X.test\n", "addressbook")
    script(site, domain, "fred",
           'require "extlists"; redirect :list ":addrbook:default";')
    deliver(site, domain)
    one, other = sendmail()
    assert one == "Carl@x.test" and other.lower() == "b@x.test"
    assert inbox(site, domain, "fred") == 0


@pytest.mark.parametrize("name", [
    ":ADDRBOOK:Default", ":AddrBook:%44%65%66ault",
    "urn:ietf:params:sieve:addrbook:%64efault"])
def test_ways_to_write_the_address_book(site, domain, name):
    """RFC 6134 section 2.5."""
    script(site, domain, "fred", "a@b.test\n", "addressbook")
    script(site, domain, "fred", 'require ["extlists", "envelope"]; '
           f'if allof (valid_ext_list "{name}", '
           f'envelope :list "from" "{name}") {{ discard; }}')
    deliver(site, domain)
    assert inbox(site, domain, "fred") == 0


@pytest.mark.parametrize("members,most", [(0, 50), (3, 2), (1, 0)])
def test_redirect_to_a_list_that_cannot_be(site, domain, sendmail, members,
                                           most):
    site.configure(sieve_max_list_redirects=most)
    script(site, domain, "fred",
           "".join(f"u{i}@x.test\n" for i in range(members)), "addressbook")
    script(site, domain, "fred",
           'require "extlists"; redirect :list ":addrbook:default";')
    deliver(site, domain)
    assert sendmail() == []
    assert inbox(site, domain, "fred") == 1
    log = (site.home / domain / "fred" / ".dovecot.sieve.log").read_text()
    assert "redirect to a list" in log


def test_fcc_goes_where_the_use_is(site, domain, sendmail):
    make(site, domain, "Sent")
    script(site, domain, "fred", """
require ["vacation", "fcc", "special-use", "imap4flags", "mailbox"];
vacation :fcc "Fallback" :specialuse "\\\\Sent" :flags ["\\\\Seen"] "I am away.";
""")
    deliver(site, domain,
            data=f"From: a@b.test\nTo: fred@{domain}\n\nx\n".encode())
    assert sendmail() == ["a@b.test"]
    assert len(folder(site, domain, "fred", "Sent")) == 1
    if domain == "d2.test":
        (path,) = (site.box(domain, "fred") / ".Sent" / "cur").iterdir()
        assert path.name.endswith(":2,S")
    assert os.path.exists(site.box(domain, "fred"))
