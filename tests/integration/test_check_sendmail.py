"""vboxadm check sendmail: a real sendmail is asked, and what is wrong with its
configuration is told, with the reason and what to do."""
import json
import os
import subprocess

import pytest

from harness.hosted import adapted, end, serve_maps
from harness.sendmail import BIN, CONTRIB, Sendmail
from test_smtp_time import populate


def agent(site):
    """In the place of /usr/local/lib/vbox/vbox-deliver: not below /tmp, where
    everybody may write."""
    where = site.libexec
    where.mkdir(mode=0o755)
    path = where / "vbox-deliver"
    path.write_text(f'#!/bin/sh\nexec {site.bin}/vbox-deliver -c {site.conf} "$@"\n')
    path.chmod(0o755)
    return path


GOOD_ALIASES = "root: fred@d1.test\n"


@pytest.fixture
def service(site):
    adm = populate(site)
    lmtpd = serve_maps(site)
    lmtpd.adm = adm
    site.libexec = lmtpd.run / "libexec"
    yield lmtpd
    lmtpd.stop()


class Checked:
    """A sendmail that is asked and never started."""

    def __init__(self, site, mc, **tables):
        where = site.dir / "sendmail"
        where.mkdir()
        self.site = site
        self.mta = Sendmail(where, mc, agent(site))
        self.mta.build()
        hashed = tables.pop("hashed", ())
        for name, text in {"access": "", "aliases": GOOD_ALIASES,
                           "genericstable": "", "genericsdomains": "",
                           "virtuserdomains": "", "vboxdomains": "",
                           "virtusertable": "", **tables}.items():
            self.mta.table(name, text, hashed=name in hashed)

    def run(self, *args, sendmail=BIN / "sendmail", **kw):
        r = subprocess.run(
            [self.site.bin / "vboxadm", "-c", self.site.conf, *args, "check",
             "sendmail", "--sendmail", sendmail, "-C", self.mta.cf,
             *kw.pop("addresses", ())],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd="/", timeout=120, check=False,
            **self.mta.named, **kw)
        assert b"Sanitizer" not in r.stderr and b"runtime error" not in r.stderr
        return r

    def findings(self, want, *addresses):
        r = self.run("--json", addresses=addresses)
        found = json.loads(r.stdout)
        assert r.returncode == want, r.stdout
        return found


def of(found, grade):
    return [f for f in found if f["grade"] == grade]


def wrong(found, about):
    """The one finding that is about this; all of them are shown otherwise."""
    one = [f for f in of(found, "wrong") if about in f["about"]]
    assert len(one) == 1, found
    return one[0]


def maps(service, old="", new=""):
    text = adapted("sendmail/vbox-maps.mc", service)
    assert old in text
    return text.replace(old, new)


def test_a_right_configuration(site, service):
    """Every question of docs/NEW-SITE.md, and nothing to complain about."""
    found = Checked(site, maps(service)).findings(0)
    assert not of(found, "wrong") and not of(found, "warning"), found
    said = {f["about"]: f for f in of(found, "ok")}
    assert said["map vbox_domain answers"]["asked"] == "/map vbox_domain d1.test" \
        or "returns" in said["map vbox_domain answers"]["answer"]
    assert "fred@d1.test goes to mailer vbox" in said
    assert "mailer vbox, host d1.test, user fred@d1.test" in \
        said["the whole way of fred@d1.test"]["answer"]
    assert "fred@d1.test may have mail from strangers" in said
    assert "off@d1.test is refused at RCPT, 5.2.1" in said
    assert "lock@d1.test is refused at RCPT, 4.2.1" in said
    assert any("vbox-check-nobody@" in a and a.endswith("at RCPT, 5.1.1")
               for a in said)
    assert "strangers may not relay" in said
    assert "mail for root has somewhere to go" in said
    assert any("with socket maps" in a for a in said)


def test_what_class_r_does(site, service):
    """It is asked, not only said."""
    checked = Checked(site, maps(service), **{"relay-domains": "d1.test\n"})
    found = checked.findings(65, "fred@d1.test")
    hosts = wrong(found, "hosts with names in a hosted domain may relay")
    assert "www.d1.test" in hosts["asked"]


def test_an_address_to_ask_about(site, service):
    found = Checked(site, maps(service)).findings(0, "info@d1.test",
                                                  "ghost@d2.test")
    said = [f["about"] for f in of(found, "ok")]
    assert "info@d1.test goes to mailer vbox" in said
    assert "ghost@d2.test is refused at RCPT, 5.1.1" in said
    assert not any("fred@d1.test" in a for a in said)


def test_text_for_people(site, service):
    checked = Checked(site, maps(service))
    r = checked.run()
    assert r.returncode == 0
    text = r.stdout.decode()
    assert "ok      fred@d1.test goes to mailer vbox\n" \
        "        asked   3,0 fred@d1.test\n        answer  $# vbox " in text
    assert r.stderr.startswith(b"0 wrong, 0 warnings, ")
    # -q: no news is good news.
    r = checked.run("-q")
    assert (r.returncode, r.stdout, r.stderr) == (0, b"", b"")


def test_no_mailer(site, service):
    mc = maps(service, "MAILER(`vbox')dnl\n")
    found = Checked(site, mc).findings(65)
    assert "MAILER(`vbox')" in wrong(found, "no mailer of vbox-lda")["means"]
    # Rule set 0 names a mailer that is not there.
    assert wrong(found, "fred@d1.test does not go to vbox-lda")


def test_no_feature(site, service):
    mc = maps(service, "FEATURE(`vbox', `vbox', `', "
              f"`socket -T<TMPF> unix:{service.map}')dnl\n")
    found = Checked(site, mc).findings(65)
    assert "FEATURE(`vbox'" in wrong(found, "hosts nothing")["do"]
    gone = wrong(found, "fred@d1.test is refused, and should not be")
    assert "Relaying denied" in gone["answer"] and "hosted" in gone["means"]
    assert "esmtp" in wrong(found, "fred@d1.test does not go")["means"]


def test_a_map_without_its_mark(site, service):
    mc = maps(service, "socket -T<TMPF> unix", "socket unix")
    found = Checked(site, mc).findings(65)
    marks = [f for f in of(found, "wrong") if "-T<TMPF>" in f["about"]]
    assert len(marks) == 2 and "not there" in marks[0]["means"]


def test_domains_in_the_wrong_classes(site, service):
    checked = Checked(site, maps(service), **{"local-host-names": "d1.test\n",
                                              "relay-domains": "d2.test\n"})
    found = checked.findings(65)
    r = wrong(found, "d2.test is in class R")
    assert "relay" in r["means"] and "/relay-domains" in r["do"]
    w, = [f for f in of(found, "warning") if "class w" in f["about"]]
    assert w["about"] == "d1.test is in class w"
    assert "/local-host-names" in w["do"] and "restart" in w["do"]


def test_a_hosted_domain_that_is_the_machine(site, service):
    service.adm("domain", "add", "mx.test")
    found = Checked(site, maps(service)).findings(65)
    assert "another name" in wrong(found, "mx.test is this machine's own")["do"]


def test_the_service_is_down(site, service):
    end(service)
    found = Checked(site, maps(service)).findings(65)
    dead = wrong(found, "does not answer")
    # Killed hard it leaves its socket behind, ended it takes it along.
    assert "there is no" in dead["means"] or "nobody listens" in dead["means"]
    assert dead["do"].startswith("start vbox-lmtpd")
    assert "queue" in wrong(found, "mailer vbox: LMTP on")["means"]
    # What follows from it is not told once for each address.
    assert len(of(found, "wrong")) == 2, found


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_directory_that_others_can_write(site, service, mode):
    """sendmail itself judges; the directory as the service wants it is right,
    whoever of root and the mail user owns it."""
    checked = Checked(site, maps(service))
    os.chmod(service.run, mode)
    found = checked.findings(65)
    dead = wrong(found, "map vbox_domain does not answer")
    assert f"chmod go-w {service.run}" in dead["do"]
    assert "ritable directory" in dead["answer"]
    for uid in (0, 61234):
        os.chmod(service.run, 0o755)
        os.chown(service.run, uid, uid)
        assert not of(checked.findings(0), "wrong")


def test_sockets_of_another_instance(site, service):
    """vbox.conf and the .cf name different places."""
    mc = maps(service, str(service.map), str(service.map) + "2")
    found = Checked(site, mc).findings(65)
    assert f"there is no {service.map}2" in wrong(found, "map vbox_domain")["means"]
    assert "map_listen" in wrong(found, "map vbox_domain")["do"]


def test_an_older_cf_is_running(site, service):
    checked = Checked(site, maps(service))
    pid = checked.mta.dir / "sendmail.pid"
    pid.write_text("1\nsendmail -bd\n")
    os.utime(pid, (1e9, 1e9))
    found = checked.findings(0)
    old = [f for f in of(found, "warning") if "restart sendmail" in f["do"]]
    assert any("older configuration" in f["about"] for f in old)
    assert any("local-host-names" in f["about"] for f in old)


def test_queue_open_to_others(site, service):
    checked = Checked(site, maps(service))
    checked.mta.queue.chmod(0o777)
    assert "chmod 700" in wrong(checked.findings(65), "open to others")["do"]
    checked.mta.queue.rmdir()
    assert "install -d" in wrong(checked.findings(65), "is not there")["do"]


def test_root_without_an_alias(site, service):
    found = Checked(site, maps(service), aliases="").findings(0)
    root, = of(found, "warning")
    assert root["about"] == "root has no alias" and "aliases" in root["do"]


def test_access_entries_and_dns_lists(site, service):
    mc = maps(service, "FEATURE(`blocklist_recipients')dnl",
              "FEATURE(`dnsbl', `bl.test')dnl\nFEATURE(`blocklist_recipients')dnl")
    checked = Checked(site, mc, access="Connect:d1.test\tRELAY\n"
                      "To:fred@d1.test\tREJECT\n")
    found = checked.findings(65, "fred@d1.test")
    excused, = [f for f in of(found, "warning") if "excuses" in f["about"]]
    assert excused["asked"] == "/map access Connect:d1.test"
    assert any("1 DNS list is asked" in f["about"] for f in of(found, "ok"))
    assert "access table" in wrong(found, "fred@d1.test is refused")["means"]


def test_checks_that_wait_for_the_recipient(site, service):
    """Debian's sendmail.mc has them: check_rcpt asks for the sender, too."""
    mc = maps(service, "FEATURE(`blocklist_recipients')dnl",
              "FEATURE(`delay_checks', `friend', `n')dnl\n"
              "FEATURE(`blocklist_recipients')dnl")
    # As Debian's access table has it.
    access = "To:jane@d2.test\tREJECT\nConnect:192.0.2\tREJECT\n"
    found = Checked(site, mc, access=access).findings(
        65, "fred@d1.test", "jane@d2.test")
    assert "jane@d2.test" in wrong(found, "refused")["about"]


def test_open_relay(site, service):
    mc = maps(service, "FEATURE(`use_cw_file')dnl", "FEATURE(`use_cw_file')dnl\n"
              "FEATURE(`promiscuous_relay')dnl")
    found = Checked(site, mc).findings(65)
    assert "promiscuous_relay" in wrong(found, "strangers may relay")["do"]


def test_tables(site, service):
    """The sites that keep files: exports of the directory are what is right,
    and what is missing in them is told."""
    mc = (CONTRIB / "vbox-single.mc").read_text()
    adm = site.bin / "vboxadm"

    def export(name):
        r = subprocess.run([adm, "-c", site.conf, "export", name],
                           stdout=subprocess.PIPE, check=True)
        return r.stdout.decode()

    site.domains = {}
    checked = Checked(
        site, mc, virtuserdomains=export("virtuserdomains"),
        virtusertable=export("virtusertable"), access=export("access"),
        hashed=("virtusertable", "access"))
    # The mail user of the .mc is the one of vbox.conf; nobody is refused but
    # who should be.
    found = checked.findings(0, "fred@d1.test", "jane@d2.test", "ghost@d1.test")
    said = [f["about"] for f in of(found, "ok")]
    assert "fred@d1.test goes to mailer vboxcmd" in said
    assert "ghost@d1.test is refused at RCPT, 5.1.1" in said
    # A user who came later, and a domain that nobody wrote down.
    service.adm("user", "add", "later@d1.test")
    found = checked.findings(65, "later@d1.test")
    assert "export virtusertable" in wrong(found, "later@d1.test does not")["do"]
    checked.mta.table("virtuserdomains", "d1.test\n")
    found = checked.findings(65, "jane@d2.test")
    assert "/virtuserdomains" in wrong(found, "d2.test is not known")["do"]


@pytest.mark.parametrize("setting,about,means", [
    ("define(`VBOX_DELIVER_FLAGS', `lDFMnPuhm')", "has the flag m", "one vbox"),
    ("define(`VBOX_DELIVER_FLAGS', `lDFMnPuhw')", "has the flag w", "passwd"),
    ("define(`VBOX_DELIVER_USER', `61230:61230')", "runs as uid 61230", "put off"),
    ("define(`VBOX_DELIVER_PATH', `/nowhere/vbox-deliver')", "cannot be run",
     "not there"),
])
def test_a_mailer_that_cannot_work(site, service, setting, about, means):
    mc = (CONTRIB / "vbox-single.mc").read_text()
    mc = mc.replace("MAILER(`vboxcmd')", setting + "dnl\nMAILER(`vboxcmd')")
    checked = Checked(site, mc, vboxdomains="d1.test\n",
                      hashed=("virtusertable", "access"))
    found = checked.findings(65, "fred@d1.test")
    assert means in wrong(found, about)["means"]


def test_whole_domains_are_not_asked_at_rcpt(site, service):
    checked = Checked(site, (CONTRIB / "vbox-single.mc").read_text(),
                      vboxdomains="d1.test\n",
                      hashed=("virtusertable", "access"))
    found = checked.findings(0, "fred@d1.test", "ghost@d1.test")
    ghost, = [f for f in of(found, "warning") if "ghost" in f["about"]]
    assert "bounce" in ghost["means"] and "vbox-maps.mc" in ghost["do"]


def test_the_recipe_of_2007(site, service):
    """procmail's mailer with one path changed. VIRTUSER_DOMAIN_FILE, which it
    uses, puts the domains into class R."""
    checked = Checked(
        site, (CONTRIB / "paper/sendmail_out.mc").read_text(),
        virtuserdomains="d1.test\nd1.test.virtuser\nd1.test.virtuser.\n",
        virtusertable="fred@d1.test\tfred@d1.test.virtuser.\n",
        access_out="", hashed=("virtusertable", "access_out"))
    found = checked.findings(65, "fred@d1.test")
    assert "fred@d1.test goes to mailer procmail" in \
        [f["about"] for f in of(found, "ok")]
    assert "VIRTUSER_DOMAIN_FILE" in wrong(found, "in class R")["do"]
    assert len(of(found, "wrong")) == 2


def test_what_is_no_sendmail(site, service):
    checked = Checked(site, maps(service))
    r = checked.run(sendmail="/nowhere/sendmail")
    assert r.returncode == 75 and b"/nowhere/sendmail" in r.stderr
    other = site.dir / "other"
    other.write_text("#!/bin/sh\necho 'sendmail: fatal: unsupported: -bt'\nexit 64\n")
    other.chmod(0o755)
    r = checked.run(sendmail=other)
    assert r.returncode == 78
    assert b"no test mode" in r.stderr and b"unsupported: -bt" in r.stderr
    checked.mta.cf.write_text(checked.mta.cf.read_text() + "Kx nosuchkind /y\n")
    found = checked.findings(65)
    assert "nosuchkind" in wrong(found, "does not understand")["answer"]


def test_nothing_is_written(site, service):
    checked = Checked(site, maps(service))
    checked.run()
    before = site.everything()
    queue = sorted(checked.mta.queue.iterdir())
    checked.run()
    assert site.everything() == before
    assert sorted(checked.mta.queue.iterdir()) == queue
