"""Scripts through the whole programs: where they are found, what they do to
the mail, and that a broken one loses nothing."""
import os
import stat

import pytest

from harness.mbox import split_mbox
from harness.site import in_order

LETTER = b"From: a@b.test\nSubject: project x\n\nhello\n"


def script(site, domain, user, text, name=".dovecot.sieve"):
    return site.own_file(site.home / domain / user / name, text.encode())


def inbox(site, domain, user):
    return len(site.messages(domain, user))


def folder(site, domain, user, name):
    """The messages of a folder, in either format."""
    if domain == "d2.test":
        path = site.box(domain, user) / ("." + name.replace("/", "."))
        return [p.read_bytes() for sub in ("new", "cur")
                for p in in_order(path.glob(sub + "/*"))]
    path = site.home / domain / user / "mail" / name
    return [m.content for m in split_mbox(path.read_bytes())] if path.exists() else []


@pytest.fixture(params=["d1.test", "d2.test"])
def domain(request):
    return request.param


def deliver(site, domain, user="fred", data=LETTER, *args, want=0):
    r = site.deliver("-f", "a@b.test", *args, "--", domain, user, data=data)
    assert r.returncode == want, r
    return r


def test_fileinto_makes_the_folder(site, domain):
    script(site, domain, "fred", 'require "fileinto";\n'
           'if header :contains "subject" "project" { fileinto "Work/x"; }\n')
    deliver(site, domain)
    assert inbox(site, domain, "fred") == 0
    assert len(folder(site, domain, "fred", "Work/x")) == 1
    deliver(site, domain, data=b"Subject: other\n\nx\n")
    assert inbox(site, domain, "fred") == 1


@pytest.mark.parametrize("user, extra, box", [
    ("fred+lists", [], "detail-lists"),
    ("fred", ["-e", "lists"], "detail-lists"),
    ("fred+", [], "detail-"),
    ("fred", ["-e", ""], "none"),
    ("fred", [], "none"),
])
def test_an_empty_detail_is_one(site, domain, user, extra, box):
    """RFC 5233 section 4: :detail matches nothing where there is no
    separator, and the empty string where nothing is behind it."""
    script(site, domain, "fred",
           'require ["fileinto", "envelope", "subaddress", "variables"];\n'
           'if envelope :detail :matches "to" "*" { fileinto "detail-${1}"; }\n'
           'else { fileinto "none"; }\n')
    deliver(site, domain, user, LETTER, *extra)
    assert len(folder(site, domain, "fred", box)) == 1


def test_copy_and_keep_are_two_copies(site, domain):
    script(site, domain, "fred", 'require ["fileinto", "copy"];\n'
           'fileinto :copy "One"; fileinto :copy "One"; fileinto :copy "Two";\n')
    deliver(site, domain)
    assert inbox(site, domain, "fred") == 1
    assert len(folder(site, domain, "fred", "One")) == 1
    assert len(folder(site, domain, "fred", "Two")) == 1


def test_discard(site, domain):
    script(site, domain, "fred", "discard;")
    deliver(site, domain)
    assert inbox(site, domain, "fred") == 0


def test_reject_says_why_and_stores_nothing(site, domain):
    script(site, domain, "fred", 'require "reject"; reject "No, thank you.";')
    r = deliver(site, domain, want=77)
    assert r.stdout == f"5.7.1 <fred@{domain}> No, thank you.\n".encode()
    assert inbox(site, domain, "fred") == 0


def test_reason_of_several_lines_is_one_line(site, domain):
    script(site, domain, "fred",
           'require "reject"; reject text:\nNo.\n\nNot at all.\n.\n;')
    r = deliver(site, domain, want=77)
    assert r.stdout == f"5.7.1 <fred@{domain}> No. Not at all.\n".encode()
    script(site, domain, "fred",
           'require "reject"; reject "%s";' % ("word " * 100))
    r = deliver(site, domain, want=77)
    assert r.stdout.count(b"\n") == 1 and b"word word" in r.stdout


@pytest.mark.parametrize("parameter,reason,want", [
    ("", "Grüße, nein", "Gr??e, nein"),
    ("", "Пишите не мне", "Refused by the recipient"),
    (" SMTPUTF8", "Пишите не мне", "Пишите не мне"),
    (" SMTPUTF8", "ä" * 300, "ä" * 100),     # behind a line of 400 bytes
])
def test_a_reply_is_ascii_unless_the_client_said_smtputf8(site, domain,
                                                          parameter, reason, want):
    """RFC 6531 section 3.7.4.2."""
    script(site, domain, "fred", f'require "reject"; reject "{reason}";')
    r = site.deliver("-l", data=(
        "LHLO client.test\r\n"
        f"MAIL FROM:<a@b.test>{parameter}\r\nRCPT TO:<fred@{domain}>\r\n"
        "DATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n").encode())
    assert r.stdout.decode().splitlines()[-2] == "550 5.7.1 " + want


@pytest.mark.parametrize("reason,want", [
    ("No.\r\n\r\n  Not at all.  \r\n", ["550-5.7.1 No.", "550 5.7.1 Not at all."]),
    ("Nein, danke.\r\nGrüße", ["550-5.7.1 Nein, danke.", "550 5.7.1 Gr??e"]),
    ("\r\n".join(map(str, range(50))),
     [f"550-5.7.1 {n}" for n in range(39)] + ["550 5.7.1 39"]),
    ("a" * 1100 + "\r\nb", ["550-5.7.1 " + "a" * 400] * 2 +
     ["550 5.7.1 " + "a" * 221]),
    ("word " * 120 + "\r\n.\r\nend",
     ["550-5.7.1 " + "word " * 79 + "word",
      "550-5.7.1 " + "word " * 39 + "word",
      "550-5.7.1 .", "550 5.7.1 end"]),
])
def test_lines_of_a_reason_are_lines_of_the_reply(site, domain, reason, want):
    """RFC 5429 section 2.5."""
    script(site, domain, "fred", f'require "reject"; reject "{reason}";')
    r = site.deliver("-l", data=(
        "LHLO client.test\r\nMAIL FROM:<a@b.test>\r\n"
        f"RCPT TO:<fred@{domain}>\r\nRCPT TO:<fred@{domain}>\r\n"
        "DATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n").encode())
    assert r.stdout.decode().splitlines()[-1 - 2 * len(want):-1] == 2 * want


def test_every_recipient_of_many_has_the_whole_reason(site, domain):
    """More than a session keeps of replies: none is lost."""
    lines = ["x" * 18] * 11 + ["y" * 30]
    script(site, domain, "fred", 'require "reject"; reject "%s";' %
           "\r\n".join(lines))
    r = site.deliver("-l", data=(
        "LHLO client.test\r\nMAIL FROM:<a@b.test>\r\n" +
        f"RCPT TO:<fred@{domain}>\r\n" * 1000 +
        "DATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n").encode())
    want = [f"550-5.7.1 {x}" for x in lines[:-1]] + [f"550 5.7.1 {lines[-1]}"]
    got = r.stdout.decode().splitlines()
    assert got[-1 - 1000 * len(want):-1] == 1000 * want
    assert got[-1].startswith("221 ")


def test_edited_header_is_stored(site, domain):
    script(site, domain, "fred", 'require "editheader";\n'
           'addheader "X-New" "yes"; deleteheader "Subject";')
    deliver(site, domain)
    m = site.messages(domain, "fred")[0]
    assert b"\nX-New: yes\n" in m or m.startswith(b"X-New: yes\n")
    assert b"Subject" not in m
    assert m.endswith(b"\n\nhello\n")


@pytest.mark.parametrize("text,place", [
    ("keep;\nbogus :x;\n", b":2:"),
    ('require "nosuchthing";\n', b":1:"),
    ('fileinto "x";\n', b":1:"),
    ("if true {", b""),
])
def test_broken_script_keeps_the_mail_and_is_seen(site, domain, text, place):
    script(site, domain, "fred", text)
    deliver(site, domain)
    assert inbox(site, domain, "fred") >= 1
    log = (site.home / domain / "fred" / ".dovecot.sieve.log").read_bytes()
    assert b".dovecot.sieve" in log and place in log
    assert b"sieve" in (site.log / "vbox.log").read_bytes()


def test_run_time_error_keeps_the_mail(site, domain):
    script(site, domain, "fred", 'require ["fileinto", "variables"];\n'
           'set "x" "a/../../b"; fileinto "${x}";\n')
    deliver(site, domain)
    assert inbox(site, domain, "fred") >= 1


def test_script_may_be_a_link_inside_the_home(site, domain):
    script(site, domain, "fred", "discard;", "sieve/main.sieve")
    link = site.home / domain / "fred" / ".dovecot.sieve"
    link.symlink_to("sieve/main.sieve")
    deliver(site, domain)
    assert inbox(site, domain, "fred") == 0


@pytest.mark.parametrize("how", ["link out", "foreign", "writable", "fifo",
                                 "directory", "too long"])
def test_script_of_others_is_not_run(site, domain, how):
    if os.getuid() != 0 and how == "foreign":
        pytest.skip("only root can give a file away")
    path = site.home / domain / "fred" / ".dovecot.sieve"
    site.own_dir(path.parent)
    if how == "link out":
        outside = site.own_file(site.dir / "outside.sieve", b"discard;")
        path.symlink_to(outside)
    elif how == "fifo":
        os.mkfifo(path)
    elif how == "directory":
        site.own_dir(path)
    else:
        script(site, domain, "fred", "discard;")
        if how == "foreign":
            os.chown(path, 4242, 4242)
        elif how == "writable":
            path.chmod(0o666)
        else:
            site.configure(sieve_max_script_size="1K")
            script(site, domain, "fred", "discard;" + " " * 2000)
    deliver(site, domain)
    assert inbox(site, domain, "fred") >= 1
    log = (site.log / "vbox.log").read_text()
    assert "not run" in log
    assert "discard;" not in log


def test_before_user_after_and_default(site, domain):
    g = site.own_dir(site.dir / "global")
    (g / "before.d").mkdir()
    (g / "before.d" / "10.sieve").write_text(
        'require "editheader"; addheader "X-Before" "1";')
    (g / "before.d" / "20.sieve").write_text(
        'require "editheader"; addheader "X-Before" "2";')
    (g / "after.sieve").write_text(
        'require "fileinto"; fileinto "After";')
    (g / "default.sieve").write_text(
        'require "fileinto"; fileinto "Default";')
    site.configure(sieve_before=[g / "before.d"],
                   sieve_after=[g / "after.sieve"],
                   sieve_default=g / "default.sieve")
    deliver(site, domain)
    got = folder(site, domain, "fred", "Default")
    assert len(got) == 1
    assert b"X-Before: 1\n" in got[0] and b"X-Before: 2\n" in got[0]
    # A keep hands on to the next script, which decides where (as Pigeonhole).
    script(site, domain, "fred", "keep;")
    deliver(site, domain)
    assert len(folder(site, domain, "fred", "After")) == 1
    assert len(folder(site, domain, "fred", "Default")) == 1


def test_include_personal_and_global(site, domain):
    g = site.own_dir(site.dir / "global")
    (g / "common.sieve").write_text('require "fileinto"; fileinto "Common";')
    site.configure(sieve_global=g)
    script(site, domain, "fred", 'require "fileinto"; fileinto "Mine";',
           "sieve/mine.sieve")
    script(site, domain, "fred", 'require "include";\n'
           'include :personal "mine"; include :global "common";\n'
           'include :optional "absent";')
    deliver(site, domain)
    assert len(folder(site, domain, "fred", "Mine")) == 1
    assert len(folder(site, domain, "fred", "Common")) == 1
    script(site, domain, "fred", 'require "include";\n'
           'include :personal "../../../outside";')
    deliver(site, domain)
    assert inbox(site, domain, "fred") >= 1


LONG = 'require ["fileinto"];\n' + "".join(
    f'if header :is "subject" "no {i}" {{ discard; }}\n' for i in range(20)
) + 'fileinto "Here";\n'


@pytest.mark.parametrize("harm", ["none", "cut", "flipped", "foreign form",
                                  "other script", "directory", "read only"])
def test_cache_is_believed_only_when_it_is_right(site, domain, harm):
    path = script(site, domain, "fred", LONG)
    deliver(site, domain)
    cache = [p for p in (site.state / "sieve-cache").rglob("*") if p.is_file()]
    assert len(cache) == 1 and stat.S_IMODE(cache[0].stat().st_mode) == 0o600
    data = cache[0].read_bytes()
    where = "Here"
    if harm == "cut":
        cache[0].write_bytes(data[:len(data) // 2])
    elif harm == "flipped":
        cache[0].write_bytes(data[:-50] + bytes([data[-50] ^ 1]) + data[-49:])
    elif harm == "foreign form":
        cache[0].write_bytes(b"#!/bin/sh\n" * 100)
    elif harm == "other script":
        # The same length, the same time: only the content tells.
        st = path.stat()
        path.write_bytes(LONG.replace("Here", "Away").encode())
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
        where = "Away"
    elif harm == "directory":
        cache[0].unlink()
        cache[0].mkdir()
    elif harm == "read only":
        cache[0].unlink()
        cache[0].parent.chmod(0o500)
    before = len(folder(site, domain, "fred", where))
    deliver(site, domain)
    assert len(folder(site, domain, "fred", where)) == before + 1
    assert inbox(site, domain, "fred") == 0


def test_rehearsal_tells_and_writes_nothing(site, domain):
    script(site, domain, "fred", LONG)
    before = site.everything()
    r = deliver(site, domain, "fred", LETTER, "-n")
    assert b'fileinto "Here"' in r.stdout
    assert b".dovecot.sieve:2: " in r.stdout
    assert site.everything() == before


def test_big_message_is_filtered_where_it_lies(site, domain):
    script(site, domain, "fred", 'require "fileinto";\n'
           'if size :over 3M { fileinto "Big"; }\n')
    deliver(site, domain, data=LETTER + b"x" * 70 + b"\n" * 4_000_000)
    assert len(folder(site, domain, "fred", "Big")) == 1


def test_a_rehearsal_tells_what_is_wrong_with_a_script(site, domain):
    script(site, domain, "fred", "keep;\nkeeep;\n")
    r = deliver(site, domain, "fred", LETTER, "-n")
    assert b"  error: .dovecot.sieve:2:1: " in r.stdout, r
    assert not (site.home / domain / "fred" / ".dovecot.sieve.log").exists()
