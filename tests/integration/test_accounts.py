"""From an empty machine: commands make domains and users, mail flows, Dovecot
with contrib's configuration shows it, states do what they say."""
import imaplib
import os
import socket
import stat
import subprocess
import threading
import time

import pytest

from harness import GID, PATIENCE, TOP, UID, as_vmail, until
from harness.accounts import DovecotServer, Postgres, Vboxadm
from harness.dovecot import Dovecot
from harness.lmtp import Lmtpd
from harness.mbox import fields, split_mbox, unquote
from harness.site import new_directory, remove

MAIL = b"From: a@elsewhere.example\nSubject: one\n\nhello\n"


@pytest.fixture
def adm(site):
    site.configure(directory=[f"sqlite:{site.state}/vbox.db"])
    return Vboxadm(site)


@pytest.fixture
def two_domains(adm):
    adm("domain", "add", "d1.test")
    adm("domain", "add", "d2.test", "--format", "maildir")
    adm("domain", "add", "alias.test", "--alias-of", "d1.test")
    for user in ("fred@d1.test", "fred@d2.test", "jane@d1.test"):
        adm("user", "add", user, "--password-stdin", data=b"secret\n")
    adm("alias", "add", "info@d1.test", "fred", "fred@d2.test")
    return adm


def imap(server, user, password="secret"):
    client = imaplib.IMAP4("127.0.0.1", server.port, PATIENCE)
    client.login(user, password)
    return client


def deliver(site, domain, user, data=MAIL, code=0):
    r = site.deliver("-f", "a@elsewhere.example", "--", domain, user,
                     data=data)
    assert r.returncode == code, r
    return r


@pytest.fixture
def dovecot(site, two_domains):
    server = DovecotServer(site)
    yield server
    server.stop()


def test_mail_flows_to_imap(site, two_domains, dovecot):
    deliver(site, "alias.test", "Fred+x")
    deliver(site, "d2.test", "fred")
    for user in ("fred@d1.test", "Fred@D2.test"):
        client = imap(dovecot, user)
        kind, count = client.select("INBOX")
        assert (kind, count) == ("OK", [b"1"]), dovecot.log()
        _, data = client.fetch("1", "(BODY[TEXT])")
        assert data[0][1] == b"hello\r\n"
        client.store("1", "+FLAGS", "\\Deleted")
        client.expunge()
        client.logout()
    # The boxes go on working after Dovecot has rewritten them.
    deliver(site, "d1.test", "fred")
    assert imap(dovecot, "fred@d1.test").select("INBOX")[1] == [b"1"]


def test_wrong_passwords_and_none(site, two_domains, dovecot):
    two_domains("user", "add", "mute@d1.test")
    for user, password in (("fred@d1.test", "wrong"), ("mute@d1.test", ""),
                           ("mute@d1.test", "x"), ("info@d1.test", "x")):
        with pytest.raises(imaplib.IMAP4.error):
            imap(dovecot, user, password)


@pytest.mark.parametrize("hashed", [None, "{SHA512-CRYPT}", "{BLF-CRYPT}"])
def test_users_change_their_own_password(site, two_domains, dovecot, hashed):
    """Who knows the present one, and nobody else."""
    adm, fred = two_domains, "fred@d1.test"
    if hashed:
        theirs = subprocess.run(
            ["doveadm", "pw", "-s", hashed.strip("{}"), "-p", "secret"],
            stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        assert theirs.startswith(hashed)
        adm("user", "set", fred, "--password-hash", theirs)

    def change(who, present, new, code):
        r = adm.run("user", "change-password", code=code,
                    data=f"{who}\n{present}\n{new}\n".encode())
        return r.stderr.decode()

    no = {change(fred, "wrong", "new", 77), change(fred, "", "new", 77),
          change("nobody@d1.test", "x", "new", 77),
          change("nobody@d7.test", "x", "new", 77),
          change("info@d1.test", "x", "new", 77),
          change("", "x", "new", 77), change("a/../b@d1.test", "x", "n", 77)}
    assert len(no) == 1, no
    change(fred, "secret", "", 64)
    imap(dovecot, fred).logout()
    change("Fred@D1.test", "secret", "new one", 0)
    imap(dovecot, fred, "new one").logout()
    with pytest.raises(imaplib.IMAP4.error):
        imap(dovecot, fred)
    change(fred, "secret", "again", 77)
    # A scheme that is none of crypt(3)'s.
    adm("user", "set", fred, "--password-hash", "{PLAIN}secret")
    assert "crypt(3)" in change(fred, "secret", "again", 77)


def select_notice(client):
    """INBOX is read-only and holds one message; imaplib insists on it."""
    with pytest.raises(imaplib.IMAP4.readonly):
        client.select("INBOX")
    assert client.untagged_responses["EXISTS"] == [b"1"]
    client.is_readonly = True


def look_but_not_touch(dovecot, user):
    """Nothing but the notice, and nothing can be changed."""
    client = imap(dovecot, user)
    select_notice(client)
    _, data = client.fetch("1", "(BODY.PEEK[])")
    assert b"Subject: This mailbox is suspended" in data[0][1]
    assert b"Not paid" in data[0][1]
    client.store("1", "+FLAGS", "\\Deleted")
    client.expunge()
    client.close()
    kind, text = client.append("INBOX", None, None, MAIL)
    assert kind == "NO", text
    kind, text = client.create("Mine")
    assert kind == "NO", text
    select_notice(client)
    _, boxes = client.list()
    assert len(boxes) == 1, boxes
    client.logout()


@pytest.mark.parametrize("domain", ["d1.test", "d2.test"])
def test_suspension_shows_a_notice(site, two_domains, dovecot, domain):
    user = f"fred@{domain}"
    deliver(site, domain, "fred")
    two_domains("user", "suspend", user, "--reason", "Not paid", "--until",
                "2099-01-01")
    deliver(site, domain, "fred")
    look_but_not_touch(dovecot, user)
    deliver(site, domain, "fred")
    two_domains("user", "resume", user)
    assert not list(site.state.rglob("mbox"))
    client = imap(dovecot, user)
    assert client.select("INBOX")[1] == [b"3"], dovecot.log()
    client.logout()


def test_a_whole_domain_is_suspended(site, two_domains, dovecot):
    two_domains("domain", "suspend", "d1.test", "--reason", "Not paid")
    deliver(site, "d1.test", "fred")
    for user in ("fred@d1.test", "jane@d1.test"):
        look_but_not_touch(dovecot, user)
    client = imap(dovecot, "fred@d2.test")
    assert client.select("INBOX")[1] == [b"0"]
    two_domains("domain", "resume", "d1.test")
    client = imap(dovecot, "fred@d1.test")
    assert client.select("INBOX")[1] == [b"1"]


def test_a_suspension_ends_by_itself(site, two_domains, dovecot):
    deliver(site, "d1.test", "fred")
    end = int(time.time()) + 3600
    two_domains("user", "suspend", "fred@d1.test", "--until", str(end),
                "--reason", "Not paid")
    look_but_not_touch(dovecot, "fred@d1.test")
    # Its end is in the past after this, without a clock being waited for.
    two_domains("user", "set", "fred@d1.test", "--until", str(end - 7200))
    client = imap(dovecot, "fred@d1.test")
    _, data = client.select("INBOX"), client.fetch("1", "(BODY[TEXT])")[1]
    assert data[0][1] == b"hello\r\n"


STATES = [
    ("disable", ["--reason", "Fred has left"], 69, b"5.2.1", "enable"),
    ("lock", [], 75, b"4.2.1", "unlock"),
    ("disable", ["--until", "2099-01-01"], 69, b"5.2.1", "enable"),
]


@pytest.mark.parametrize("noun,name", [("user", "fred@d1.test"),
                                       ("domain", "d1.test")])
@pytest.mark.parametrize("verb,options,code,says,undo", STATES)
def test_states_stop_mail(site, two_domains, noun, name, verb, options, code,
                          says, undo):
    two_domains(noun, verb, name, *options)
    r = deliver(site, "d1.test", "fred", code=code)
    assert r.stdout.startswith(says), r.stdout
    if "Fred has left" in options:
        assert b"Fred has left" in r.stdout
    two_domains(noun, "set", name, "--until", "2020-01-01")
    deliver(site, "d1.test", "fred")
    two_domains(noun, "set", name, "--until", "never")
    deliver(site, "d1.test", "fred", code=code)
    two_domains(noun, "set", name, "--state", "active")
    two_domains(noun, verb, name)
    two_domains(noun, undo, name)
    two_domains(noun, undo, name)
    deliver(site, "d1.test", "fred")


def test_everything_can_be_done_twice(two_domains):
    adm = two_domains
    for _ in range(2):
        assert "unchanged" in adm("domain", "add", "d1.test")
        assert "unchanged" in adm("user", "add", "jane@d1.test")
        assert "unchanged" in adm("alias", "add", "info@d1.test", "fred",
                                  "fred@d2.test")
    assert "changed" in adm("user", "add", "jane@d1.test", "--quota", "1G")
    assert adm.json("user", "show", "jane@d1.test")["quota_bytes"] == 1 << 30
    assert "deleted" in adm("user", "delete", "jane@d1.test")
    assert "not there" in adm("user", "delete", "jane@d1.test")
    assert adm("user", "list", "d1.test") == "fred@d1.test\n"
    assert [u["user"] for u in adm.json("user", "list")] == \
        ["fred@d1.test", "fred@d2.test"]


def test_exit_codes(two_domains):
    adm = two_domains
    for args, code in (
            (("frob",), 64), (("user", "frob", "x@d1.test"), 64),
            (("user", "add"), 64), (("user", "add", "a@d1.test", "b"), 64),
            (("user", "add", "a@d1.test", "--quota", "lots"), 64),
            (("user", "add", "a@d1.test", "--colour", "red"), 64),
            (("user", "add", "../a@d1.test"), 65),
            (("user", "add", "a"), 65),
            (("user", "add", "a@nowhere.test"), 67),
            (("user", "show", "nobody@d1.test"), 67),
            (("user", "add", "info@d1.test"), 65),
            (("alias", "add", "fred@d1.test", "jane"), 65),
            (("domain", "delete", "d1.test"), 64),
            (("resolve", "fred@d1.test"), 0),
            (("resolve", "nobody@d1.test"), 67),
            (("check",), 0),
            (("--directory", "file:/nonexistent/x", "user", "list"), 75)):
        adm.run(*args, code=code)


def test_a_target_that_is_none_is_named(two_domains):
    adm = two_domains
    both = "fred@d1.test,fred@d2.test"
    hint = "give each target as a word of its own"
    for verb in "add", "set":
        said = adm.run("alias", verb, "info@d1.test", "jane@d1.test", both,
                       code=65).stderr.decode()
        assert said.startswith(f"vboxadm: {both}: local part") and \
            said.endswith(f"; {hint}\n"), said
    said = adm.run("alias", "add", "all@d1.test", "fred@d1.test, jane",
                   code=65).stderr.decode()
    assert "fred@d1.test, jane: " in said and hint in said
    said = adm.run("alias", "add", "all@d1.test", "fr(ed@d1.test",
                   code=65).stderr.decode()
    assert "fr(ed@d1.test: " in said and hint not in said
    # Nothing of a list with a mistake in it is kept.
    assert adm("alias", "list", "d1.test") == "info@d1.test\n"


def test_deleting_keeps_mail_unless_told(site, two_domains):
    adm = two_domains
    deliver(site, "d1.test", "fred")
    deliver(site, "d2.test", "fred")
    adm("user", "delete", "fred@d1.test")
    assert site.box("d1.test", "fred").exists()
    deliver(site, "d1.test", "fred", code=67)
    adm("user", "delete", "fred@d2.test", "--purge")
    assert not (site.home / "d2.test" / "fred").exists()
    # What a user put there leads nowhere.
    adm("user", "add", "evil@d1.test")
    home = site.own_dir(site.home / "d1.test" / "evil")
    os.symlink(site.home / "d2.test", home / "link")
    site.own_file(site.home / "d2.test" / "precious", b"x")
    adm("user", "delete", "evil@d1.test", "--purge")
    assert not home.exists()
    assert (site.home / "d2.test" / "precious").exists()


def test_rename_moves_the_mail(site, two_domains):
    adm = two_domains
    deliver(site, "d1.test", "jane")
    adm("user", "rename", "jane@d1.test", "joan@d1.test")
    assert len(site.messages("d1.test", "joan")) == 1
    deliver(site, "d1.test", "joan")
    deliver(site, "d1.test", "jane", code=67)
    adm("domain", "rename", "d1.test", "d3.test")
    deliver(site, "d3.test", "joan")
    assert len(site.messages("d3.test", "joan")) == 3
    deliver(site, "alias.test", "joan")
    assert len(site.messages("d3.test", "joan")) == 4


def test_delivery_needs_only_to_read(site, two_domains):
    """The database is root's, the mail user's group may read it."""
    db = site.state / "vbox.db"
    st = db.stat()
    assert (st.st_uid, st.st_gid, st.st_mode & 0o777) == (0, GID, 0o640)
    site.state.chmod(0o755)
    os.chown(site.state, 0, 0)
    r = two_domains.run("resolve", "fred@d1.test", user=as_vmail)
    assert b": ok" in r.stdout
    r = two_domains.run("user", "add", "x@d1.test", user=as_vmail, code=None)
    assert r.returncode != 0


def test_check_finds_what_is_wrong(two_domains):
    adm = two_domains
    adm("alias", "add", "lost@d1.test", "nobody")
    adm("alias", "add", "ping@d1.test", "pong")
    adm("alias", "add", "pong@d1.test", "ping")
    out = adm.json("check", code=65)
    assert {p["about"] for p in out} == \
        {"lost@d1.test", "ping@d1.test", "pong@d1.test"}


def test_check_reads_the_file(site):
    users = site.dir / "users"
    users.write_text("fred@d1.test\nfred@d1.test quota=1\njane qouta=1\n")
    site.configure(directory=[f"file:{users}"])
    out = Vboxadm(site)("check", code=65)
    assert "users:3: " in out
    r = site.deliver("--", "d1.test", "fred", data=MAIL)
    assert r.returncode == 75 and b"4.3.0" in r.stdout


@pytest.mark.parametrize("kind", ["sqlite", "file"])
def test_import(site, tmp_path, kind):
    site.configure(directory=[f"{kind}:{site.state}/accounts"])
    adm = Vboxadm(site)
    table = tmp_path / "virtusertable"
    table.write_text(
        "# the paper's\n"
        "user1@domain1.test\tuser1@domain1.test.virtuser.\n"
        "user2@domain1.test\tuser2@domain1.test.virtuser.\n"
        "gone@domain1.test\terror:nouser 550 No such user\n"
        "away@domain1.test\tanother@elsewhere.example\n"
        "anotheralias@domain2.test\tuser2@domain1.test.virtuser.\n"
        "@domain3.test\t%1@domain1.test\n"
        "@domain4.test\tuser1@domain1.test\n")
    for _ in range(2):
        r = adm.run("import", "virtusertable", str(table))
        assert b"2 users, 2 aliases" in r.stdout
        assert b":4: left out" in r.stderr
    assert adm.json("resolve", "any@domain4.test")["targets"][0]["address"] \
        == "user1@domain1.test"
    assert adm.json("resolve", "user2@domain3.test")["targets"][0]["address"] \
        == "user2@domain1.test"
    aliases = tmp_path / "aliases"
    aliases.write_text(
        "postmaster: root\nroot: user1,\n  user2\n"
        'list: "|/usr/bin/mailman post", user1\nfile: /var/mail/x\n')
    r = adm.run("import", "aliases", str(aliases), "--domain", "domain1.test")
    assert b"3 aliases" in r.stdout
    got = adm.json("resolve", "postmaster@domain1.test")
    assert [t["address"] for t in got["targets"]] == \
        ["user1@domain1.test", "user2@domain1.test"]
    passwd = tmp_path / "passwd"
    passwd.write_text(
        "root:x:0:0:root:/root:/bin/sh\n"
        "anna:$6$abc$def:1000:1000::/home/anna:/bin/sh\n"
        "bert@domain5.test:{PLAIN}pw:::::\n")
    r = adm.run("import", "passwd", str(passwd), "--domain", "domain1.test")
    assert b"2 users" in r.stdout
    assert adm.json("user", "show", "anna@domain1.test")["login"]
    users = tmp_path / "users"
    users.write_text(
        "username|password|userpart|domain|forward|alias_for\n"
        "carl@domain6.test|geheim|carl|domain6.test||\n"
        "dora@domain6.test|geheim|dora|domain6.test|dora@elsewhere.example|\n"
        "info@domain6.test||info|domain6.test||carl@domain6.test\n")
    r = adm.run("import", "users-table", str(users))
    assert b"2 users, 1 aliases" in r.stdout
    got = adm.json("resolve", "dora@domain6.test")
    assert [t["kind"] for t in got["targets"]] == ["remote"]
    adm("check")
    # No plain text is kept.
    db = b"".join(p.read_bytes() for p in site.state.glob("accounts*"))
    assert b"geheim" not in db and b"{CRYPT}$y$" in db


def test_export(site, two_domains, tmp_path):
    adm = two_domains
    adm("user", "disable", "jane@d1.test")
    adm("domain", "set", "d2.test", "--catch-all", "fred")
    table = adm("export", "virtusertable").splitlines()
    assert "fred@d1.test\tfred@d1.test.virtuser." in table
    assert "fred@alias.test\tfred@d1.test.virtuser." in table
    assert "@d2.test\t%1@d2.test.virtuser." in table
    # Who is in no line exists nowhere.
    assert "@d1.test\terror:5.1.1:550 User unknown" in table
    assert "@alias.test\terror:5.1.1:550 User unknown" in table
    assert any(line.startswith("jane@d1.test\terror:5.2.1") for line in table)
    assert adm("export", "virtuserdomains").splitlines()[:3] == \
        ["alias.test", "alias.test.virtuser", "alias.test.virtuser."]
    assert "To:d1.test\tRELAY" in adm("export", "access").splitlines()
    assert adm("export", "local-host-names").splitlines() == \
        ["alias.test", "d1.test", "d2.test"]
    out = tmp_path / "table"
    assert adm("export", "virtusertable", "--output", str(out)) == \
        f"{out} changed\n"
    before = out.stat()
    assert adm("export", "virtusertable", "--output", str(out)) == \
        f"{out} unchanged\n"
    after = out.stat()
    assert (before.st_ino, before.st_mtime_ns) == \
        (after.st_ino, after.st_mtime_ns)
    # A link stays and its file is replaced; a device stays what it is.
    link = tmp_path / "link"
    link.symlink_to("table")
    out.write_text("old")
    adm("export", "virtusertable", "--output", str(link))
    assert link.is_symlink() and out.read_text().splitlines() == table
    null = tmp_path / "null"
    os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    adm("export", "virtusertable", "--output", str(null))
    assert stat.S_ISCHR(null.lstat().st_mode)
    assert adm("export", "virtusertable", "-q", "--output",
               "/dev/stdout").splitlines() == table
    adm("import", "virtusertable", str(out))


def test_a_directory_file_that_is_a_link(site, tmp_path):
    real = tmp_path / "real"
    real.write_text("")
    link = tmp_path / "link"
    link.symlink_to("real")
    null = tmp_path / "null"
    os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    adm = Vboxadm(site)
    adm("--directory", f"file:{link}", "domain", "add", "x.test")
    assert link.is_symlink() and "x.test" in real.read_text()
    adm.run("--directory", f"file:{null}", "domain", "add", "x.test",
            code=None)
    assert stat.S_ISCHR(null.lstat().st_mode)


def test_the_papers_queries_work(site, two_domains):
    import sqlite3
    two_domains("user", "set", "jane@d1.test", "--forward", "j@elsewhere.example")
    db = sqlite3.connect(site.state / "vbox.db")
    assert db.execute("SELECT password FROM users WHERE username = ?",
                      ("fred@d1.test",)).fetchone()[0].startswith("{CRYPT}$y$")
    assert db.execute("SELECT userpart, domain, forward, alias_for FROM users "
                      "ORDER BY username").fetchall() == [
        ("fred", "d1.test", None, None), ("fred", "d2.test", None, None),
        ("info", "d1.test", None, "fred,fred@d2.test"),
        ("jane", "d1.test", "j@elsewhere.example", None)]


def test_a_sites_own_queries(site, scratch):
    import sqlite3
    path = site.state / "own.db"
    db = sqlite3.connect(path)
    db.executescript(
        "CREATE TABLE mailbox (login TEXT, megabytes INT, off INT);"
        "INSERT INTO mailbox VALUES ('fred@d1.test', 5, 0), "
        "('jane@d1.test', NULL, 1);"
        "CREATE TABLE alias (address TEXT, goto TEXT);"
        "INSERT INTO alias VALUES ('info@d1.test', 'fred'), "
        "('info@d1.test', 'x@elsewhere.example');")
    db.commit()
    os.chown(path, UID, GID)
    queries = site.dir / "queries"
    queries.write_text(
        "# ours\n"
        "query_domain = SELECT 1 WHERE :domain IN ('d1.test', 'd2.test')\n"
        "query_user = SELECT megabytes * 1048576 AS quota_bytes,\n"
        "    CASE off WHEN 1 THEN 'disabled' END AS state\n"
        "    FROM mailbox WHERE login = :address\n"
        "query_alias = SELECT goto AS target FROM alias\n"
        "    WHERE address = :address\n")
    queries.chmod(0o644)
    site.configure(directory=[f"sqlite:{path}?queries={queries}"])
    adm = Vboxadm(site)
    assert adm.json("resolve", "fred+x@d1.test")["targets"][0]["quota_bytes"] \
        == 5 << 20
    assert adm.json("resolve", "jane@d1.test", code=69)["code"] == "5.2.1"
    assert [t["address"] for t in
            adm.json("resolve", "info@d1.test")["targets"]] == \
        ["fred@d1.test", "x@elsewhere.example"]
    adm.json("resolve", "nobody@d1.test", code=67)
    adm.run("user", "add", "x@d1.test", code=78)


NAMES = ["müller", "MÜLLER", "mu\u0308ller", "Müller"]
DOMAINS = ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example",
           "bu\u0308cher.example", "XN--Bcher-KVA.Example."]


@pytest.mark.parametrize("kind", ["sqlite", "file", "fs"])
def test_one_mailbox_however_it_is_written(site, kind):
    box = site.spool / "xn--bcher-kva.example" / "müller"
    if kind == "fs":
        site.own_file(box)
    else:
        site.configure(directory=[f"{kind}:{site.state}/accounts"])
        adm = Vboxadm(site)
        adm("domain", "add", "Bücher.example")
        assert "müller@xn--bcher-kva.example" in \
            adm("user", "add", "MÜLLER@bücher.example")
    forms = [(n, DOMAINS[0]) for n in NAMES] + [(NAMES[0], d) for d in DOMAINS]
    for name, domain in forms:
        deliver(site, domain, name)
    assert box.read_bytes().count(b"Subject: one") == len(forms)
    assert {p.name for p in site.spool.iterdir()} == \
        {"d1.test", "xn--bcher-kva.example"}


# --- PostgreSQL ------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    if os.geteuid() != 0:
        pytest.skip("only root can run a server as somebody else")
    directory = new_directory()
    yield Postgres(directory)
    remove(directory)


@pytest.fixture
def postgres(scratch, cluster, programs):
    server = Postgres(scratch, cluster).start()
    yield server
    if (server.data / "postmaster.pid").exists():
        server.thaw()
        server.stop()


def test_the_resolver_over_postgresql(postgres):
    """The table of tests/unit/lda/test_resolve.c, with a real server."""
    from harness import BUILD
    from harness.site import SANITIZER_ENV
    program = TOP / BUILD / "tests" / "unit" / "lda" / "test_resolve"
    if not program.exists():
        subprocess.run(["make", "-s", str(program.relative_to(TOP))], cwd=TOP,
                       check=True)
    r = subprocess.run([str(program)], env={
        **os.environ, **SANITIZER_ENV,
        "VBOX_TEST_PGSQL": str(postgres.conninfo)}, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert r.returncode == 0, r.stdout.decode(errors="replace")


def test_rights_to_read_suffice(site, postgres):
    """What vbox-directory(5) says that delivery needs."""
    site.configure(directory=[f"pgsql:{postgres.conninfo}"])
    adm = Vboxadm(site)
    adm("domain", "add", "d1.test")
    adm("user", "add", "fred@d1.test", "--password-stdin", data=b"secret\n")
    postgres.sql(
        "CREATE ROLE reader LOGIN;"
        "GRANT SELECT ON vbox_schema, domains, aliases TO reader;"
        "GRANT SELECT (local, domain, home, format, host, state, reason, "
        "until, quota_bytes, quota_messages, forward, keep) ON accounts "
        "TO reader")
    postgres.conninfo.write_text(
        postgres.conninfo.read_text().replace("user=vbox", "user=reader"))
    deliver(site, "d1.test", "fred")
    deliver(site, "d1.test", "nobody", code=67)
    adm.run("user", "show", "fred@d1.test", code=75)


def test_a_policy_for_attachments_over_postgresql(site, postgres):
    """A user's rules in the database; in one that was made before there was a
    place for them, and for a role that may not see them, the configuration's."""
    from harness.attachments import attach, exe
    program = attach("a.pdf", "application/pdf", exe())
    site.configure(directory=[f"pgsql:{postgres.conninfo}"],
                   content_rules=["reject executable"])
    adm = Vboxadm(site)
    adm("domain", "add", "d1.test")
    adm("user", "add", "fred@d1.test", "--content", "none")

    def passes():
        return site.deliver("--", "d1.test", "fred", data=program).returncode
    assert passes() == 0
    assert "content=none" in adm("user", "show", "fred@d1.test")
    owner = postgres.conninfo.read_text()
    postgres.sql(
        "CREATE ROLE reader LOGIN;"
        "GRANT SELECT ON vbox_schema, domains, aliases TO reader;"
        "GRANT SELECT (local, domain, home, format, host, state, reason, "
        "until, quota_bytes, quota_messages, forward, keep) ON accounts "
        "TO reader")
    postgres.conninfo.write_text(owner.replace("user=vbox", "user=reader"))
    assert passes() == 77
    postgres.sql("GRANT SELECT (content) ON accounts TO reader")
    assert passes() == 0
    postgres.conninfo.write_text(owner)
    postgres.sql("ALTER TABLE accounts DROP COLUMN content")
    assert passes() == 77
    deliver(site, "d1.test", "fred")
    adm("user", "set", "fred@d1.test", "--content", "tag executable")
    assert passes() == 0
    assert site.messages("d1.test", "fred")[-1].count(b"X-Vbox-Content: tag") == 1


def test_another_version_of_the_schema_is_left_alone(site, postgres):
    for spec, sql in (
            (f"pgsql:{postgres.conninfo}", postgres.sql),
            (f"sqlite:{site.state}/vbox.db", lambda text: subprocess.run(
                ["sqlite3", str(site.state / "vbox.db"), text], check=True))):
        site.configure(directory=[spec])
        adm = Vboxadm(site)
        adm("domain", "add", "d1.test")
        adm("user", "add", "fred@d1.test")
        sql("UPDATE vbox_schema SET version = 99")
        r = deliver(site, "d1.test", "fred", code=75)
        assert r.stdout.startswith(b"4.3"), r.stdout
        adm.run("user", "add", "jane@d1.test", code=78)
        sql("UPDATE vbox_schema SET version = 1")
        deliver(site, "d1.test", "fred")


def test_dovecot_over_postgresql(site, postgres):
    site.configure(directory=[f"pgsql:{postgres.conninfo}"])
    adm = Vboxadm(site)
    adm("domain", "add", "d1.test")
    adm("user", "add", "fred@d1.test", "--password-stdin", data=b"secret\n")
    deliver(site, "d1.test", "fred")
    server = DovecotServer(site, "pgsql",
                           f"host={postgres.dir} dbname=postgres user=vbox")
    try:
        client = imap(server, "fred@d1.test")
        assert client.select("INBOX")[1] == [b"1"], server.log()
        adm("user", "suspend", "fred@d1.test", "--reason", "Not paid")
        look_but_not_touch(server, "fred@d1.test")
    finally:
        server.stop()


def test_postgresql_fails_under_load(site, postgres):
    """Stopped, frozen and started again: known users go on, others wait,
    nobody is refused."""
    site.configure(directory=[f"pgsql:{postgres.conninfo}"], cache_ttl="1ms",
                   cache_negative_ttl="1ms", cache_stale="1h")
    adm = Vboxadm(site)
    adm("domain", "add", "d1.test")
    for n in range(5):
        adm("user", "add", f"u{n}@d1.test")
    adm("alias", "add", "all@d1.test", "u1", "u2")
    lines = adm.lines()
    known = ["u0@d1.test", "u1@d1.test", "u2@d1.test", "all@d1.test"]
    asked = []

    def ask(address):
        answer = lines.ask(address)
        asked.append(answer)
        assert answer["reply"] < 500, answer
        return answer["reply"]

    def load(rounds=20):
        for _ in range(rounds):
            for address in known:
                assert ask(address) == 250, asked[-1]

    load()
    postgres.stop()
    load()
    assert ask("u4@d1.test") == 451
    assert ask("stranger@d1.test") == 451
    assert ask("x@other.test") == 451
    postgres.start()
    load()
    # A question that failed slowly is not asked again at once.
    until(lambda: ask("u4@d1.test") == 250, of="an answer")
    # One connection is lost and nobody notices.
    for _ in range(3):
        postgres.stop()
        postgres.start()
        assert ask("u4@d1.test") == 250
    postgres.freeze()
    assert ask("u3@d1.test") == 451
    began = time.monotonic()
    load()
    assert ask("stranger@d1.test") == 451
    # A frozen server is not asked for each of them: that takes 5 s a time.
    assert time.monotonic() - began < PATIENCE
    postgres.thaw()
    assert lines.close() == 75
    # A fresh process asks at once.
    assert adm.json("resolve", "u3@d1.test")["reply"] == 250


# --- socket maps ------------------------------------------------------------------


class SocketMap:
    """A server of socket maps with a table; it can do everything wrong."""

    def __init__(self, path, table):
        self.table, self.path, self.mode = table, path, "well"
        self.asked = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        os.chmod(path, 0o666)
        self.socket.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        """Many at a time: each worker keeps a connection of its own."""
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(client,),
                             daemon=True).start()

    def talk(self, client):
        try:
            with client, client.makefile("rb") as stream:
                while self.answer(client, stream):
                    pass
        except ConnectionError:
            pass

    def answer(self, client, stream):
        length = b""
        while (c := stream.read(1)) not in (b":", b""):
            length += c
        if not length:
            return False
        name, _, key = stream.read(int(length)).decode().partition(" ")
        assert stream.read(1) == b"," and name == "accounts"
        self.asked.append(key)
        if self.mode == "hangs up":
            return False
        reply = {"well": self.table.get(key, "NOTFOUND "),
                 "temp": "TEMP resting", "perm": "PERM never",
                 "nonsense": "OK qouta=1"}.get(self.mode, self.mode).encode()
        if self.mode == "endless":
            client.sendall(b"999999999:")
        elif self.mode == "no netstring":
            client.sendall(b"OK,")
        elif self.mode != "silent":
            client.sendall(b"%d:%s," % (len(reply), reply))
        return True

    def close(self):
        self.socket.close()
        os.unlink(self.path)


def test_a_socketmap_knows_the_accounts(site):
    server = SocketMap(site.dir / "map.sock", {
        "@d1.test": "OK format=mbox", "@d2.test": "OK RELAY",
        "fred@d1.test": "OK quota=5M", "fred@d2.test": "OK ",
        "info@d1.test": "OK fred@d1.test, fred@d2.test",
        "off@d1.test": "OK state=disabled"})
    site.configure(directory=[f"socketmap:unix:{server.path}:accounts"])
    adm = Vboxadm(site)
    target = adm.json("resolve", "Fred+x@D1.test")["targets"][0]
    assert (target["quota_bytes"], target["detail"]) == (5 << 20, "x")
    assert [t["address"] for t in
            adm.json("resolve", "info@d1.test")["targets"]] == \
        ["fred@d1.test", "fred@d2.test"]
    assert adm.json("resolve", "off@d1.test", code=69)["code"] == "5.2.1"
    assert adm.json("resolve", "x@d1.test", code=67)["code"] == "5.1.1"
    assert adm.json("resolve", "x@d3.test", code=67)["code"] == "5.1.2"
    assert "fred+x@d1.test" in server.asked
    deliver(site, "d1.test", "fred")
    for mode in ("temp", "perm", "nonsense", "hangs up", "endless",
                 "no netstring", "silent"):
        server.mode = mode
        answer = adm.json("resolve", "fred@d1.test", code=75)
        assert answer["reply"] == 451
        # Only who is silent is waited for.
        assert ("no answer in time" in answer["detail"]) == (mode == "silent")
    # A connection that the server drops while it is idle is not noticed.
    server.mode = "well"
    lines = adm.lines()
    assert lines.ask("fred@d1.test")["reply"] == 250
    server.mode = "hangs up"
    assert lines.ask("nobody@d1.test")["reply"] == 451
    server.mode = "well"
    # (If that took it long, it waits before it asks again.)
    until(lambda: lines.ask("nobody@d1.test")["reply"] == 550, of="an answer")
    lines.close()
    server.close()
    assert adm.json("resolve", "fred@d1.test", code=75)["reply"] == 451


def test_sieve_check(site, tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text('require "fileinto";\nfileinto "x";\n')
    bad.write_text('require "fileinto";\n  fileinto 1;\n')
    adm = Vboxadm(site)
    adm("sieve", "check", str(good))
    r = adm.run("sieve", "check", str(good), str(bad), code=65)
    assert r.stderr.decode().startswith(f"{bad}:2:")
    assert adm.json("sieve", "check", str(bad), code=65)["errors"] == 1
    adm.run("sieve", "check", str(tmp_path / "none"), code=64)
    assert "vacation" in adm("sieve", "extensions")


# --- another format ----------------------------------------------------------------


def view(message):
    flags, _, rest = message.partition(b"\n")
    return sorted(set(flags.split()) - {b"\\Recent"}), rest


def snapshot(site, domain, user):
    """What a reader sees: of each folder the flags, date and bytes of each
    message, in order. Readers of an mbox show its quoting."""
    plain = unquote if site.box(domain, user).is_file() else bytes
    reader = Dovecot(site, domain, user)
    folders = {}
    for name in reader.doveadm("mailbox", "list").decode().split():
        out = reader.doveadm("-f", "pager", "fetch",
                             "flags date.received text", "mailbox", name,
                             "all")
        folders[name.replace(".", "/")] = [
            view(plain(m.replace(b"\r\n", b"\n")))
            for m in out.split(b"\f\n") if m]
    return {k: v for k, v in folders.items() if v}


def same_mail(is_now, was):
    assert set(is_now) == set(was)
    for name, messages in was.items():
        assert len(is_now[name]) == len(messages), name
        for n, (old, new) in enumerate(zip(messages, is_now[name])):
            assert (n, new) == (n, old), name


def prepare_mail(site):
    """INBOX and two folders with all that a mailbox can say of a message."""
    for n in range(6):
        deliver(site, "d1.test", "fred", data=(
            b"From: a@elsewhere.example\nSubject: number %d\n\n"
            b"From here\n>From there\n\nFrom Monday on\n\n" % n))
    client = Dovecot(site, "d1.test", "fred").imap()
    client.select("INBOX")
    client.store("1", "FLAGS", "(\\Seen)")
    client.store("2", "FLAGS", "(\\Answered \\Flagged)")
    client.store("3", "FLAGS", "(\\Seen \\Draft $Label1 Important)")
    client.store("4", "FLAGS", "(\\Deleted)")
    for name in ("Work", "Private/2026"):
        client.create(name)
        for n in range(3):
            client.append(name, "(\\Seen)" if n == 1 else None,
                          f'" {n + 1}-Feb-2020 10:11:12 +0000"',
                          b"Subject: old\r\nX-Long: a\r\n b\r\n\r\n"
                          b"From x\r\nbody %d\r\n" % n)
    client.logout()
    deliver(site, "d1.test", "fred", data=b"Subject: last\n\n")


def test_conversion_keeps_what_a_reader_sees(site, two_domains):
    adm = two_domains
    prepare_mail(site)
    before = snapshot(site, "d1.test", "fred")
    assert sum(len(m) for m in before.values()) >= 13
    done = adm.json("user", "convert", "fred@d1.test", "maildir")
    assert done["messages"] == 13
    site.domains["d1.test"] = {"format": "maildir"}
    assert not (site.spool / "d1.test" / "fred").exists()
    assert (site.spool / "d1.test" / "fred.before-convert").exists()
    same_mail(snapshot(site, "d1.test", "fred"), before)
    assert "unchanged" in adm("user", "convert", "fred@d1.test", "maildir")
    deliver(site, "d1.test", "fred")
    assert len(site.messages("d1.test", "fred")) == 8
    assert adm.json("user", "show", "fred@d1.test")["state"] == "active"
    # And back.
    middle = snapshot(site, "d1.test", "fred")
    for old in (site.spool / "d1.test" / "fred.before-convert",
                site.home / "d1.test" / "fred" / "mail.before-convert"):
        old.rename(old.with_suffix(".kept"))
    adm("user", "convert", "fred@d1.test", "mbox")
    site.domains["d1.test"] = {"format": "mbox"}
    same_mail(snapshot(site, "d1.test", "fred"), middle)
    for path in list(site.spool.rglob("*")) + list(site.home.rglob("*")):
        assert (path.stat().st_uid, path.stat().st_gid) == (UID, GID), path


def test_conversion_keeps_an_order_that_is_not_that_of_time(site, two_domains):
    """Many of one second, and an old one behind a new one. Back from a Maildir
    that no reader has numbered."""
    dates = [b"Sat Nov 21 03:00:00 2026"] * 12 + \
        [b"Mon Jan  1 00:00:00 2007"] * 3 + [b"Sun Nov 22 03:00:00 2026"] * 3
    subjects = [b"number %d" % n for n in range(len(dates))]
    old = b"".join(b"From a@b.test %s\nSubject: %s\n\nhi\n\n" % m
                   for m in zip(dates, subjects))
    box = site.own_file(site.spool / "d1.test" / "fred", old)
    two_domains("user", "convert", "fred@d1.test", "maildir")
    site.domains["d1.test"] = {"format": "maildir"}
    reader = Dovecot(site, "d1.test", "fred")
    told = reader.doveadm("-f", "tab", "fetch", "hdr.subject date.received",
                          "mailbox", "INBOX", "all").splitlines()[1:]
    assert [t.split(b"\t")[0] for t in told] == subjects
    assert [t.split(b"\t")[1][:4] for t in told] == [d[-4:] for d in dates]
    for path in site.box("d1.test", "fred").glob("dovecot*"):
        path.unlink()
    box.with_suffix(".before-convert").unlink()
    two_domains("user", "convert", "fred@d1.test", "mbox")
    messages = split_mbox(box.read_bytes())
    assert [fields(m.content, "Subject")[0] for m in messages] == subjects
    assert [m.date for m in messages] == dates


def test_a_failed_conversion_changes_nothing(site, two_domains):
    adm = two_domains
    prepare_mail(site)
    maildir = site.home / "d1.test" / "fred" / "Maildir"
    for sub in ("tmp", "new", "cur"):
        site.own_dir(maildir / sub)
    site.own_file(maildir / "new" / "1.x.y", MAIL)
    before = snapshot(site, "d1.test", "fred")
    adm.run("user", "convert", "fred@d1.test", "maildir", code=75)
    same_mail(snapshot(site, "d1.test", "fred"), before)
    assert adm.json("user", "show", "fred@d1.test")["state"] == "active"
    deliver(site, "d1.test", "fred")


# --- through LMTP -------------------------------------------------------------------


def test_one_table_through_lmtp_and_argv(site, two_domains):
    """The accounts that vboxadm made, asked by a confined worker."""
    adm = two_domains
    adm("user", "add", "off@d1.test", "--state", "disabled")
    adm("user", "add", "lock@d1.test", "--state", "locked")
    adm("user", "add", "müller@d1.test")
    table = [("Fred+x@Alias.test", "250 2.1.5", 0),
             ("fred@d2.test", "250 2.1.5", 0),
             ("info@d1.test", "250 2.1.5", 0),
             ("nobody@d1.test", "550 5.1.1", 67),
             ("fred@d9.test", "550 5.1.2", 67),
             ("off@d1.test", "550 5.2.1", 69),
             ("lock@d1.test", "450 4.2.1", 75),
             ("new@d1.test", "553 5.1.3", 65),
             ("fr%ed@d1.test", "553 5.1.3", 65)]
    with Lmtpd(site) as service, service.connect() as client:
        client.hello()
        rcpt, done = client.message([a for a, _, _ in table], MAIL)
        for (address, want, _), got in zip(table, rcpt):
            assert got.startswith(want), (address, got)
        assert [d[:3] for d in done] == ["250"] * 3
        # What is new is known at once, what is gone is not for long.
        adm("user", "add", "late@d1.test")
        rcpt, done = client.message(["late@d1.test"], MAIL)
        assert rcpt[0].startswith("250") and done[0].startswith("250")
    for address, want, code in table:
        local, _, domain = address.rpartition("@")
        r = deliver(site, domain, local, code=code)
        if code:
            assert r.stdout.startswith(want.split()[1].encode()), r.stdout
    # Once each through LMTP (by name and by alias), once each by argv.
    assert len(site.messages("d1.test", "fred")) == 4
    assert len(site.messages("d2.test", "fred")) == 4


def test_lmtp_while_postgresql_fails(site, postgres):
    site.configure(directory=[f"pgsql:{postgres.conninfo}"], cache_ttl="1ms",
                   cache_negative_ttl="1ms", cache_stale="1h")
    adm = Vboxadm(site)
    adm("domain", "add", "d1.test")
    for user in ("fred", "jane", "new1"):
        adm("user", "add", f"{user}@d1.test")
    # One connection: each worker has a cache of its own.
    with Lmtpd(site) as service, service.connect(PATIENCE) as client:
        client.hello()

        def says(*users):
            rcpt, done = client.message([f"{u}@d1.test" for u in users], MAIL)
            return [r[:3] for r in rcpt], [d[:3] for d in done]

        def known(user):
            said = [client.say(line)[:3] for line in (
                "MAIL FROM:<a@b.test>", f"RCPT TO:<{user}@d1.test>", "RSET")]
            return said == ["250"] * 3

        assert says("fred", "jane") == (["250"] * 2, ["250"] * 2)
        postgres.stop()
        assert says("fred", "new1", "x") == (["250", "451", "451"], ["250"])
        postgres.start()
        # A question that failed slowly is not asked again at once.
        until(lambda: known("new1"), of="an answer")
        assert says("fred", "new1", "x") == (["250", "250", "550"],
                                             ["250", "250"])
        postgres.freeze()
        assert says("jane", "stranger") == (["250", "451"], ["250"])
        assert says("fred", "y") == (["250", "451"], ["250"])
        postgres.thaw()
    assert len(site.messages("d1.test", "fred")) == 4


def test_every_verb_is_in_the_man_page(site):
    page = (TOP / "docs" / "man" / "vboxadm.8").read_text()
    usage = [line.split() for line in Vboxadm(site)("help").splitlines()
             if line.startswith("  ") and line[2] != " "]
    assert len(usage) > 30
    for noun, *rest in usage:
        verb = rest[0] if rest and rest[0].isalpha() and rest[0].islower() \
            and "|" not in rest[0] else ""
        if verb in ("suspend", "resume", "disable", "enable", "lock",
                    "unlock"):
            assert verb in page
        else:
            assert f"Cm {noun} {verb}".strip() in page, (noun, verb)


@pytest.mark.parametrize("args,code,want", [
    (["--help"], 0, "domain add"),
    (["user", "--help"], 64, "try: vboxadm help user"),
    (["user"], 64, "try: vboxadm help user"),
    (["user", "ad"], 64, "no such command: user ad"),
    (["usr", "add"], 64, "no such command: usr"),
    (["--version"], 0, "vboxadm "),
    (["domain", "add", "a..test"], 65, "a..test: domain has"),
    (["user", "add", "new@a.test"], 65, "new@a.test: local part is reserved"),
])
def test_help_is_near(adm, args, code, want):
    r = adm.run(*args, code=code)
    assert want in (r.stderr if code else r.stdout).decode()


def test_every_script_that_cannot_be_checked_is_named(adm, tmp_path):
    bad = tmp_path / "bad.sieve"
    bad.write_text("keeep;\n")
    r = adm.run("sieve", "check", str(bad), f"{tmp_path}/none", code=64)
    assert f"{bad}:1:" in r.stderr.decode()
    assert f"{tmp_path}/none: No such file" in r.stderr.decode()
