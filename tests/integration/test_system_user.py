"""vbox-deliver --system-user: mail for accounts of the machine. The accounts
are those of an /etc of the test's own; the mailboxes lie in a directory like
Debian's /var/mail, root:mail 2775."""
import fcntl
import grp
import json
import os
import re
import stat
import subprocess

import pytest

from harness import until
from harness.mbox import body, fields, split_mbox
from harness.private import PrivateEtc
from harness.sendmail import Sendmail
from test_smtp_time import LETTER, adapted, populate, serve_maps

FRED, OTHER = 61240, 61241
MAIL = grp.getgrnam("mail").gr_gid
MESSAGE = b"Subject: for the machine\n\nFrom the start\n"


@pytest.fixture
def machine(site):
    """Accounts fred and other; daemon is Debian's."""
    site.private = PrivateEtc(site.dir)
    for name, uid in (("fred", FRED), ("other", OTHER)):
        home = site.dir / "homes" / name
        home.mkdir(parents=True)
        home.chmod(0o755)
        os.chown(home, uid, uid)
        with open(site.private.etc / "passwd", "a") as f:
            f.write(f"{name}:x:{uid}:{uid}::{home}:/bin/false\n")
        with open(site.private.etc / "group", "a") as f:
            f.write(f"{name}:x:{uid}:\n")
    site.fred = site.dir / "homes/fred"
    site.var_mail = site.dir / "var-mail"
    site.var_mail.mkdir()
    os.chown(site.var_mail, 0, MAIL)
    site.var_mail.chmod(0o2775)
    site.configure(system_mailbox=f"{site.var_mail}/%n", lock_timeout="1s",
                   submit="/bin/false")
    return site


def deliver(site, *args, data=MESSAGE, uid=None, before=()):
    def enter():
        site.private.enter()
        if uid is not None:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
    r = subprocess.run(
        [*before, site.bin / "vbox-deliver", "--system-user", "-c", site.conf,
         *args], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=enter, env=site.environment(), cwd="/", check=False)
    assert b"Sanitizer" not in r.stderr and r.returncode != 99, r.stderr
    return r


def box(site, user="fred"):
    path = site.var_mail / user
    return split_mbox(path.read_bytes()) if path.exists() else []


def test_a_mailbox_as_debian_has_it(machine):
    r = deliver(machine, "-f", "cron@mx.test", "--", "fred")
    assert (r.returncode, r.stdout) == (0, b""), r
    message, = box(machine)
    assert message.sender == b"cron@mx.test"
    assert fields(message.content, "Delivered-To") == [b"fred@mx.test"]
    assert fields(message.content, "Return-Path") == [b"<cron@mx.test>"]
    assert body(message.content) == b"From the start\n"
    st = (machine.var_mail / "fred").stat()
    assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == \
        (FRED, MAIL, 0o660)
    # The locks are gone, the next one is appended.
    assert [p.name for p in machine.var_mail.iterdir()] == ["fred"]
    assert deliver(machine, "fred").returncode == 0
    assert len(box(machine)) == 2


@pytest.mark.parametrize("name", ["FRED", "fred+cron", "fred@mx.test", "<fred>"])
def test_names(machine, name):
    assert deliver(machine, "--", name).returncode == 0
    assert len(box(machine)) == 1


@pytest.mark.parametrize("name,code,status", [
    ("nobody-has-this", b"5.1.1 ", 67), ("nobody-has-this+x", b"5.1.1 ", 67),
    ("../fred", b"5.1.3 ", 65), ("a/b", b"5.1.3 ", 65), ("..", b"5.1.3 ", 65),
    ("fred.lock", b"5.1.3 ", 65), ("-fred", b"5.1.3 ", 65), ("", b"5.1.3 ", 65),
    ("fr ed", b"5.1.3 ", 65), ("+fred", b"5.1.3 ", 65), ("fr\red", b"5.1.3 ", 65),
    ("f" * 300, b"5.1.3 ", 65),
])
def test_names_that_are_none(machine, name, code, status):
    r = deliver(machine, "--", name)
    assert r.returncode == status and r.stdout.startswith(code), r
    assert list(machine.var_mail.iterdir()) == []


def test_root_gets_nothing(machine):
    """It waits, and mailq says for what."""
    r = deliver(machine, "root")
    assert r.returncode == 75
    assert r.stdout == b"4.3.5 <root@mx.test> root has no mailbox: it needs " \
        b"an alias, or system_root\n"
    machine.configure(system_root="fred")
    assert deliver(machine, "root").returncode == 0
    assert len(box(machine)) == 1
    for wrong in ("root", "nobody-has-this", "0"):
        machine.configure(system_root=wrong)
        assert deliver(machine, "root").returncode == 75
    assert [p.name for p in machine.var_mail.iterdir()] == ["fred"]


def test_accounts_of_programs(machine):
    """They get their mail, unless the site sends it where root's goes."""
    assert deliver(machine, "daemon").returncode == 0
    assert (machine.var_mail / "daemon").stat().st_uid == 1
    machine.configure(system_min_uid=1000)
    assert deliver(machine, "daemon").returncode == 75
    machine.configure(system_root="fred")
    assert deliver(machine, "daemon").returncode == 0
    assert len(box(machine)) == 1 and len(box(machine, "daemon")) == 1


def test_who_it_is_before_the_first_byte(machine):
    log = machine.dir / "trace"
    r = deliver(machine, "fred", before=[
        "strace", "-f", "-o", log, "-e", "trace=setgroups,setresgid,setresuid,"
        "read,openat,openat2"])
    assert r.returncode == 0, r.stderr
    lines = [" ".join(line.split()) for line in log.read_text().splitlines()]
    at = [next(i for i, line in enumerate(lines) if x in line) for x in (
        f"setgroups(1, [{MAIL}]) = 0",
        f"setresgid({MAIL}, {MAIL}, {MAIL}) = 0",
        f"setresuid({FRED}, {FRED}, {FRED}) = 0",
        "setresuid(0, 0, 0)", "read(0, ")]
    assert at == sorted(at)
    assert "= -1 EPERM" in lines[at[3]]
    # Nothing of the user's was touched before.
    assert not any("var-mail/" in line or "homes" in line
                   for line in lines[:at[2]])


def test_started_by_the_user(machine):
    """No root, no group mail: a Maildir at home works, /var/mail waits."""
    assert deliver(machine, "fred", uid=FRED).returncode == 75
    assert deliver(machine, "other", uid=FRED).returncode == 75
    machine.configure(system_mailbox="%h/Maildir", system_format="maildir")
    assert deliver(machine, "fred", uid=FRED).returncode == 0
    new, = (machine.fred / "Maildir/new").iterdir()
    assert new.stat().st_uid == FRED
    assert deliver(machine, "other", uid=FRED).returncode == 75
    assert not (machine.dir / "homes/other/Maildir").exists()


def test_a_maildir_at_home(machine):
    machine.configure(system_mailbox="%h/Maildir", system_format="maildir")
    assert deliver(machine, "fred").returncode == 0
    new, = (machine.fred / "Maildir/new").iterdir()
    st = new.stat()
    assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == \
        (FRED, FRED, 0o600)
    # A home that is not mounted yet is not made.
    machine.fred.rename(machine.dir / "elsewhere")
    assert deliver(machine, "fred").returncode == 75
    assert not machine.fred.exists()


def as_link(machine):
    (machine.var_mail / "fred").symlink_to("other")


def as_hard_link(machine):
    os.link(machine.var_mail / "other", machine.var_mail / "fred")


def as_foreign(machine):
    path = machine.var_mail / "fred"
    path.write_bytes(b"")
    os.chown(path, OTHER, MAIL)
    path.chmod(0o666)


def as_open(machine):
    path = machine.var_mail / "fred"
    path.write_bytes(b"")
    os.chown(path, FRED, MAIL)
    path.chmod(0o666)


@pytest.mark.parametrize("trap", [as_link, as_hard_link, as_foreign, as_open])
def test_traps(machine, trap):
    deliver(machine, "other")
    before = (machine.var_mail / "other").read_bytes()
    trap(machine)
    r = deliver(machine, "fred")
    assert r.returncode == 75 and r.stdout.startswith(b"4.2.0 "), r
    assert str(machine.dir).encode() not in r.stdout
    assert (machine.var_mail / "other").read_bytes() == before


def test_a_link_at_home_gives_no_group(machine):
    """Else fred could have his mail written wherever that group may."""
    machine.configure(system_mailbox="%h/mail/inbox")
    link = machine.fred / "mail"
    link.symlink_to(machine.var_mail)
    os.chown(link, FRED, FRED, follow_symlinks=False)
    assert deliver(machine, "fred").returncode == 75
    assert list(machine.var_mail.iterdir()) == []
    link.unlink()
    machine.own_dir(link)
    os.chown(link, FRED, FRED)
    assert deliver(machine, "fred").returncode == 0
    assert len(split_mbox((link / "inbox").read_bytes())) == 1


def test_locks_of_others_are_kept(machine):
    deliver(machine, "fred")
    lock = machine.var_mail / "fred.lock"
    lock.write_text(f"{os.getpid()}\n")
    assert deliver(machine, "fred").returncode == 75
    lock.unlink()
    with open(machine.var_mail / "fred", "rb+") as f:
        fcntl.lockf(f, fcntl.LOCK_EX)
        r = deliver(machine, "fred")
        assert r.returncode == 75 and r.stdout.startswith(b"4.2.1 "), r
    assert deliver(machine, "fred").returncode == 0
    assert len(box(machine)) == 2


def own(machine, name, data, uid=FRED):
    path = machine.fred / name
    path.write_bytes(data)
    os.chown(path, uid, uid)
    return path


def test_sieve_of_the_user(machine):
    own(machine, ".dovecot.sieve",
        b'require ["fileinto", "vacation"];\n'
        b'if header :contains "Subject" "machine" { fileinto "Lists"; }\n')
    assert deliver(machine, "fred").returncode == 0
    lists = machine.fred / "mail/Lists"
    message, = split_mbox(lists.read_bytes())
    assert fields(message.content, "Subject") == [b"for the machine"]
    st = lists.stat()
    assert (st.st_uid, stat.S_IMODE(st.st_mode)) == (FRED, 0o600)
    assert box(machine) == []
    state = (machine.fred / ".vbox").stat()
    assert (state.st_uid, stat.S_IMODE(state.st_mode)) == (FRED, 0o700)


def test_a_script_that_somebody_else_wrote(machine):
    own(machine, ".dovecot.sieve", b"discard;\n", OTHER)
    assert deliver(machine, "fred").returncode == 0
    assert len(box(machine)) == 1


def test_no_program_of_the_user(machine):
    """~/.forward is the MTA's business, ~/.procmailrc nobody's."""
    mark = machine.fred / "mark"
    own(machine, ".forward", f'"|touch {mark}"\n'.encode())
    own(machine, ".procmailrc", f":0\n|touch {mark}\n".encode())
    assert deliver(machine, "fred").returncode == 0
    assert len(box(machine)) == 1 and not mark.exists()
    # Nothing was made at home: there is no script that could want it.
    assert sorted(p.name for p in machine.fred.iterdir()) == \
        [".forward", ".procmailrc"]


def test_settings_of_hosted_domains_are_theirs(machine):
    """Quota, SRS and the content policy are not for users of the machine."""
    machine.configure(quota_bytes="1K", srs_domain="mx.test",
                      srs_secret_file="/nowhere")
    big = MESSAGE + b"x" * 5000 + b"\n"
    assert deliver(machine, "fred", data=big).returncode == 0
    assert deliver(machine, "fred", data=big).returncode == 0
    assert len(box(machine)) == 2


def test_rehearsal(machine):
    r = deliver(machine, "-n", "fred+x")
    assert r.returncode == 0
    assert f"to mbox:{machine.var_mail}/fred" in r.stdout.decode(), r.stdout
    assert list(machine.var_mail.iterdir()) == []
    r = deliver(machine, "-j", "fred")
    told = json.loads(r.stdout)
    assert (told["recipient"], told["verdict"]) == ("fred@mx.test", "delivered")


def test_arguments(machine):
    for wrong in ([], ["fred", "other"], ["-a", "x", "fred"], ["-l"]):
        assert deliver(machine, *wrong).returncode == 64


def test_the_null_sender(machine):
    for sender in ("MAILER-DAEMON", "MAILER-DAEMON@mx.test", "<>"):
        assert deliver(machine, "-f", sender, "fred").returncode == 0
    for message in box(machine):
        assert fields(message.content, "Return-Path") == [b"<>"]
    deliver(machine, "-f", "MAILER-DAEMON@client.test", "other")
    assert box(machine, "other")[0].sender == b"MAILER-DAEMON@client.test"


# --- sendmail ------------------------------------------------------------------


@pytest.fixture
def sendmail(machine):
    """contrib/sendmail/vbox-maps.mc: hosted users and those of the machine."""
    populate(machine)
    machine.service = serve_maps(machine)
    where = machine.dir / "sendmail"
    where.mkdir()
    agent = where / "vbox-deliver"
    agent.write_text(f'#!/bin/sh\nshift\nexec {machine.bin}/vbox-deliver '
                     f'--system-user -c {machine.conf} "$@"\n')
    agent.chmod(0o755)
    mta = Sendmail(where, adapted("sendmail/vbox-maps.mc", machine.service),
                   agent)
    mta.named = {"preexec_fn": machine.private.enter}
    mta.build()
    for name in ("access", "genericstable", "genericsdomains"):
        mta.table(name, "")
    mta.start()
    yield mta
    mta.stop()
    machine.service.stop()


def test_sendmail_delivers_to_the_machine_and_to_the_hosted(machine, sendmail):
    refused = sendmail.send("anna@client.test", [
        "fred@mx.test", "fred@d1.test", "ghost@mx.test"], LETTER % b"both")
    # Refused at RCPT: sendmail sees that there is no account.
    assert {k: v[0] for k, v in refused.items()} == {"ghost@mx.test": 550}
    sendmail.idle()
    message, = box(machine)
    assert fields(message.content, "Subject") == [b"both"]
    assert fields(message.content, "Return-Path") == [b"<anna@client.test>"]
    assert message.sender == b"anna@client.test"
    assert len(machine.messages("d1.test", "fred")) == 1


def test_roots_mail(machine, sendmail):
    """Without an alias it waits; with one it goes where the alias says, also
    what was waiting."""
    sendmail.send("anna@client.test", ["root@mx.test"], LETTER % b"waiting")

    def waits():
        return any(re.search(rb"(?m)^M.*(4\.3\.5|Deferred|temp)", p.read_bytes())
                   for p in sendmail.queue.glob("qf*"))
    until(waits, of="root's mail in the queue")
    sendmail.table("aliases", "root: fred\n")
    until(lambda: sendmail.run_queue() or not sendmail.queued(),
          of="an empty queue")
    message, = box(machine)
    assert fields(message.content, "Subject") == [b"waiting"]
    sendmail.table("aliases", "root: fred@d1.test\n")
    sendmail.send("anna@client.test", ["root@mx.test"], LETTER % b"hosted")
    sendmail.idle()
    hosted, = machine.messages("d1.test", "fred")
    assert fields(hosted, "Subject") == [b"hosted"]
    assert not (machine.var_mail / "root").exists()


def test_bounces_to_the_machine_are_from_nobody(machine, sendmail):
    sendmail.send("<>", ["fred@mx.test"], LETTER % b"a bounce")
    sendmail.idle()
    message, = box(machine)
    assert fields(message.content, "Return-Path") == [b"<>"]
    assert message.sender == b"MAILER-DAEMON"
