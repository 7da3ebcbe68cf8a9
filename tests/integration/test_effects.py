"""What scripts and the directory send out: redirects, answers, notices; all or
nothing with the mailbox, and nothing twice when the MTA tries again."""
import resource
import stat

import pytest

from harness.mbox import fields
from harness.outbox import Outbox

LETTER = (b"From: Anna <anna@client.test>\nTo: fred@d1.test\nSubject: hello\n"
          b"Message-ID: <1@client.test>\nReceived: by mx.test; today\n\nhi\n")


@pytest.fixture
def outbox(site):
    return Outbox(site)


def script(site, text, domain="d1.test"):
    site.own_file(site.home / domain / "fred" / ".dovecot.sieve",
                  text.encode())


def deliver(site, *args, data=LETTER, sender="anna@client.test", domain="d1.test",
            want=0, **more):
    r = site.deliver("-f", sender, *args, "--", domain, "fred", data=data, **more)
    assert r.returncode == want, r
    return r


def test_redirect_goes_out_as_it_came(site, outbox):
    script(site, 'redirect "joe@else.test";')
    deliver(site)
    [(args, mail)] = outbox.mails()
    assert args == b"-oi -f anna@client.test -- joe@else.test"
    assert mail == b"Delivered-To: fred@d1.test\n" + LETTER
    assert site.messages("d1.test", "fred") == []


@pytest.mark.parametrize("sender,want", [("anna@client.test", b"fred@d1.test"),
                                         ("", b"<>")])
@pytest.mark.parametrize("tags", [
    ':notify "NEVER"', ':ret "HDRS"', ":bytimerelative 600"])
def test_who_asks_for_notifications_gets_them(site, outbox, tags, sender, want):
    """RFC 6009 sections 6.1 and 7.1; nobody is told of the null sender's."""
    script(site, 'require ["redirect-dsn", "redirect-deliverby"];'
           f'redirect {tags} "joe@else.test";')
    deliver(site, sender=sender)
    [(args, _)] = outbox.mails()
    assert args.split(b" -f ")[1].split()[0] == want


def test_what_was_redirected_does_not_come_back(site, outbox):
    script(site, 'redirect "joe@else.test";')
    deliver(site)
    back = outbox.mails()[0][1]
    r = deliver(site, data=back, want=69)
    assert r.stdout.startswith(b"5.4.6 ")
    assert len(outbox.mails()) == 1


@pytest.mark.parametrize("to", ["fred@d1.test", "FRED+x@D1.test"])
@pytest.mark.parametrize("copy", ["", ":copy "], ids=["alone", "copy"])
def test_redirect_to_oneself_is_a_keep(site, outbox, to, copy):
    """It would come back, be a loop and be bounced."""
    script(site, f'require "copy"; redirect {copy}"{to}";')
    deliver(site)
    assert outbox.mails() == []
    assert len(site.messages("d1.test", "fred")) == 1


def test_redirect_that_fails_leaves_nothing(site, outbox):
    script(site, 'require "copy"; redirect :copy "joe@else.test";')
    outbox.fail(True)
    deliver(site, want=75)
    assert site.messages("d1.test", "fred") == []
    outbox.fail(False)
    deliver(site)
    assert len(site.messages("d1.test", "fred")) == 1
    assert len(outbox.mails()) == 1


def limited():
    """No file may grow beyond 200 KB: the mbox, not the state."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))


@pytest.mark.parametrize("redirects", [1, 3])
def test_redirect_done_and_save_failed_is_not_done_again(site, outbox, redirects):
    """MISSION V4; Pigeonhole 0.5.21 said success here and lost the mail."""
    script(site, 'require "copy";\n' + "".join(
        f'redirect :copy "joe{i}@else.test";\n' for i in range(redirects)))
    box = site.add("d1.test", "fred")
    old = b"From x  Sat Nov 21 01:54:49 2026\n\n" + b"y\n" * 99_950 + b"\n"
    site.own_file(box, old)
    deliver(site, want=75, preexec_fn=limited)
    assert box.read_bytes() == old
    assert len(outbox.mails()) == redirects
    deliver(site, want=75, preexec_fn=limited)
    assert len(outbox.mails()) == redirects
    deliver(site)
    assert len(outbox.mails()) == redirects
    assert len(site.messages("d1.test", "fred")) == 2
    # The same letter posted anew is another message.
    deliver(site)
    assert len(outbox.mails()) == 2 * redirects
    assert len(site.messages("d1.test", "fred")) == 3


def test_second_of_two_redirects_fails(site, outbox):
    """The first is not repeated when the second is tried again."""
    script(site, 'redirect "a@else.test"; redirect "b@else.test";')
    outbox.program.write_text(outbox.program.read_text().replace(
        "out=$", 'case "$*" in *b@else*) [ -e '
        f'{outbox.dir}/ok ] || exit 75;; esac\nout=$', 1))
    deliver(site, want=75)
    assert len(outbox.mails()) == 1
    (outbox.dir / "ok").touch()
    deliver(site)
    assert sorted(a.split()[-1] for a, _ in outbox.mails()) == [
        b"a@else.test", b"b@else.test"]


def test_srs_sender(site, outbox):
    secret = site.own_file(site.dir / "srs", b"a-secret-of-some-length\n")
    site.configure(srs_domain="d1.test", srs_secret_file=secret)
    script(site, 'redirect "joe@else.test";')
    deliver(site)
    deliver(site, sender="")
    (first, _), (second, _) = outbox.mails()
    sender = first.split(b" -f ")[1].split()[0]
    assert sender.startswith(b"SRS0=")
    assert sender.endswith(b"=client.test=anna@d1.test")
    assert second.split(b" -f ")[1].split()[0] == b"<>"


VACATION = ('require "vacation"; vacation :days 3 :subject "Away" "I am away.";')


def test_vacation_answers_once(site, outbox):
    script(site, VACATION)
    deliver(site)
    deliver(site)
    assert len(site.messages("d1.test", "fred")) == 2
    [(args, mail)] = outbox.mails()
    assert args == b"-oi -f <> -- anna@client.test"
    assert fields(mail, "Auto-Submitted") == [b"auto-replied"]
    assert fields(mail, "In-Reply-To") == [b"<1@client.test>"]
    assert fields(mail, "To") == [b"anna@client.test"]
    assert b"I am away." in mail
    deliver(site, sender="bob@client.test")
    assert len(outbox.mails()) == 2


@pytest.mark.parametrize("answer,times", [
    (':subject "Re: ${1}" "I am away."', 1), ('"You wrote of ${1}."', 1),
    (':handle "${1}" "I am away."', 2)])
def test_vacation_remembers_what_the_script_says(site, outbox, answer, times):
    """Section 4.2: not what variables make of it, or each mail would get an
    answer of its own."""
    script(site, 'require ["vacation", "variables"]; if header :matches '
           '"subject" "*" { vacation %s; }' % answer)
    deliver(site)
    deliver(site, data=LETTER.replace(b"hello", b"again"))
    assert len(outbox.mails()) == times


def test_vacation_answers_as_often_as_the_script_wants(site, outbox):
    """RFC 6131: :seconds 0 answers each message; :days 0 is a day."""
    script(site, 'require "vacation-seconds"; vacation :seconds 0 "x";')
    deliver(site)
    deliver(site)
    assert len(outbox.mails()) == 2
    script(site, 'require "vacation"; vacation :days 0 "x";')
    deliver(site)
    deliver(site)
    assert len(outbox.mails()) == 3


def test_what_the_site_does_first_is_no_conflict(site, outbox):
    """A copy kept of everything, and a user who rejects; two who answer."""
    g = site.own_dir(site.dir / "global")
    before = g / "before.sieve"
    site.configure(sieve_before=[before])
    before.write_text('require ["fileinto", "copy"]; fileinto :copy "All";')
    script(site, 'require "reject"; reject "Not you.";')
    deliver(site)
    assert site.messages("d1.test", "fred") == []
    folder = site.home / "d1.test" / "fred" / "mail" / "All"
    assert folder.read_bytes().count(LETTER) == 1
    [(args, mail)] = outbox.mails()
    assert args == b"-oi -f <> -- anna@client.test"
    assert b"Not you." in mail
    before.write_text('require "vacation"; vacation "The house is closed.";')
    script(site, 'require "vacation"; vacation "I am away.";')
    deliver(site)
    assert len(site.messages("d1.test", "fred")) == 1
    assert len(outbox.mails()) == 2
    assert b"closed" in outbox.mails()[1][1]


@pytest.mark.parametrize("tag,sender,want", [
    ("", "anna@client.test", b"fred@d1.test"),
    (':from "Fred <me@else.test>"', "anna@client.test", b"me@else.test"),
    (':from "me@else.test"', "", b"<>"),
], ids=["user", "from", "null"])
def test_notification(site, outbox, tag, sender, want):
    """RFC 5436 section 2.7: who sends it, to whom, and what it says of itself."""
    script(site, f'require "enotify"; notify {tag} :message "new" '
           '"mailto:a@x.test%2Cb@x.test?cc=c@x.test,a@x.test";')
    deliver(site, sender=sender)
    [(args, mail)] = outbox.mails()
    assert args == b"-oi -f " + want + b" -- a@x.test b@x.test c@x.test"
    assert fields(mail, "To") == [b"a@x.test, b@x.test"]
    assert fields(mail, "Cc") == [b"c@x.test"]
    assert fields(mail, "Subject") == [b"new"]
    assert fields(mail, "Auto-Submitted")[0].startswith(b"auto-notified")


@pytest.mark.parametrize("sender,change", [
    ("", (b"", b"")),
    ("mailer-daemon@x.test", (b"", b"")),
    ("owner-list@x.test", (b"", b"")),
    ("list-request@x.test", (b"", b"")),
    ("fred@d1.test", (b"", b"")),
    ("a@b.test", (b"\n\n", b"\nAuto-Submitted: auto-replied\n\n")),
    ("a@b.test", (b"\n\n", b"\nPrecedence: bulk\n\n")),
    ("a@b.test", (b"\n\n", b"\nList-Id: <l.x.test>\n\n")),
    ("a@b.test", (b"\n\n", b"\nList-Unsubscribe: <x>\n\n")),
    ("a@b.test", (b"fred@d1.test", b"somebody@d1.test")),
], ids=str)
def test_vacation_keeps_silent(site, outbox, sender, change):
    script(site, VACATION)
    deliver(site, sender=sender, data=LETTER.replace(*change, 1))
    assert outbox.mails() == []
    assert len(site.messages("d1.test", "fred")) == 1


@pytest.mark.parametrize("act", ["reject", "ereject"])
def test_a_notification_of_what_is_refused(site, outbox, act):
    """RFC 5435: notify goes with every other action, wherever it stands."""
    script(site, f'require ["enotify", "{act}"];\n'
           'notify :message "one" "mailto:joe@else.test";\n'
           f'{act} "no"; notify :message "two" "mailto:joe@else.test";')
    r = deliver(site, "-n", want=77)
    assert outbox.mails() == []
    r = deliver(site, want=77)
    assert r.stdout == b"5.7.1 <fred@d1.test> no\n"
    assert [fields(m, "Subject") for _, m in outbox.mails()] == \
        [[b"one"], [b"two"]]
    assert site.messages("d1.test", "fred") == []


def test_an_answer_that_cannot_be_sent_loses_no_mail(site, outbox):
    script(site, VACATION)
    outbox.fail(True)
    deliver(site)
    assert len(site.messages("d1.test", "fred")) == 1
    assert "vacation answer not sent" in (site.log / "vbox.log").read_text()
    outbox.fail(False)
    deliver(site)
    assert len(outbox.mails()) == 1


def test_a_broken_script_is_told_once_a_day(site, outbox):
    script(site, "nonsense;\n")
    deliver(site)
    deliver(site)
    messages = site.messages("d1.test", "fred")
    assert len(messages) == 3
    told = [m for m in messages if b"Auto-Submitted" in m.split(b"\n\n")[0]]
    assert len(told) == 1 and b".dovecot.sieve:1:1" in told[0]
    log = (site.home / "d1.test/fred/.dovecot.sieve.log").read_text()
    assert len(log.splitlines()) == 2


def test_duplicate_is_known_again(site, outbox):
    script(site, 'require ["duplicate", "fileinto"];\n'
           'if duplicate { fileinto "Again"; }')
    deliver(site, domain="d1.test")
    deliver(site, domain="d1.test")
    assert len(site.messages("d1.test", "fred")) == 1
    assert (site.home / "d1.test/fred/mail/Again").exists()


def test_flags_and_keywords_in_both_formats(site, outbox):
    text = ('require "imap4flags"; setflag ["\\\\Seen", "\\\\Flagged", "$Work"];'
            ' keep;')
    for domain in ("d1.test", "d2.test"):
        script(site, text, domain)
        deliver(site, domain=domain)
    raw = site.box("d1.test", "fred").read_bytes()
    assert b"\nStatus: R" in raw and b"\nX-Status: F" in raw
    assert b"\nX-Keywords: $Work" in raw
    box = site.box("d2.test", "fred")
    [name] = [p.name for p in (box / "cur").iterdir()]
    assert name.endswith(":2,FSa")
    assert (box / "dovecot-keywords").read_bytes() == b"0 $Work\n"


def test_state_is_private(site, outbox):
    script(site, VACATION)
    deliver(site)
    files = [p for p in (site.state / "d1.test").rglob("*") if p.is_file()]
    assert files
    for p in files + [site.state / "d1.test"]:
        assert stat.S_IMODE(p.stat().st_mode) & 0o077 == 0, p


@pytest.mark.parametrize("folder", ["Work/2026", "Dir", "x" * 255])
def test_a_folder_that_cannot_be(site, outbox, folder):
    """An mbox cannot hold another, nor stand where a directory is; mail for
    it would be put off until it bounces."""
    site.own_file(site.home / "d1.test" / "fred" / "mail" / "Work")
    site.own_dir(site.home / "d1.test" / "fred" / "mail" / "Dir")
    script(site, f'require "fileinto"; fileinto "{folder}";')
    deliver(site)
    # The letters, and one notice about the script when it happens again.
    assert len(site.messages("d1.test", "fred")) == 1
    for _ in range(3):
        deliver(site)
    inbox = site.messages("d1.test", "fred")
    assert len([m for m in inbox if m.endswith(b"\n\nhi\n")]) == 4
    assert len([m for m in inbox if b"\nSubject: Your mail filter" in m]) == 1
    assert len(inbox) == 5
    # The log does not name a box that has no copy.
    assert "/mail/" not in (site.log / "vbox.log").read_text()
