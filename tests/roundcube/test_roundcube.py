"""A user of vboxadm's in a browser: Roundcube with contrib's configuration, on
Dovecot with contrib's; mail by SMTP through sendmail and vbox-lmtpd, in an mbox
and in a Maildir. What he writes into the forms is in force at the next
delivery. `make check-roundcube`; pictures are left in build/roundcube."""
import os
import subprocess

import pytest
from selenium.webdriver.common.keys import Keys

from harness import GID, TOP, UID
from harness.accounts import DovecotServer, Vboxadm
from harness.browser import Browser
from harness.hosted import MTAS, restart, serve_maps
from harness.roundcube import ROOT, Roundcube

LETTER = """From: {0}
To: {1}
Subject: {2}
Date: Mon, 2 Apr 2007 10:00:00 +0000
Message-Id: <{2}@client.test>

hello from SMTP
""".replace("\n", "\r\n")
USERS = [f"{user}@{domain}" for domain in ("d1.test", "d2.test")
         for user in ("fred", "jane")]


@pytest.fixture
def service(site):
    site.configure(directory=[f"sqlite:{site.state}/vbox.db"],
                   quota_warnings=[])
    adm = Vboxadm(site)
    adm("domain", "add", "d1.test")
    adm("domain", "add", "d2.test", "--format", "maildir")
    for user in USERS:
        adm("user", "add", user, "--quota", "100K", "--password-stdin",
            data=b"secret\n")
    lmtpd = serve_maps(site)
    lmtpd.adm = adm
    yield lmtpd
    lmtpd.stop()


@pytest.fixture
def mta(site, service):
    server = MTAS["sendmail"](site, service)
    # What vbox-lda sends goes the same way.
    site.configure(submit=f"smtp:127.0.0.1:{server.port}")
    restart(site, service)
    yield server
    server.stop()


@pytest.fixture
def roundcube(site, mta):
    dovecot = DovecotServer(site)
    where = site.dir / "roundcube"
    where.mkdir(mode=0o755)
    command = [str(site.bin / "vboxadm"), "-c", str(site.conf), "-q", "user",
               "change-password"]
    server = Roundcube(where, dovecot, mta.port, f"""
$config['smtp_user'] = '';
$config['password_vbox_command'] = {command};
""")
    yield server
    server.stop()
    dovecot.stop()


@pytest.fixture
def browser(site, roundcube, request):
    b = Browser(site.dir, TOP / "build/roundcube" / request.node.name)
    yield b
    b.picture("last")
    b.close()


@pytest.fixture(params=["d1.test", "d2.test"], ids=["mbox", "maildir"])
def domain(request):
    return request.param


class Webmail:
    """What a user does."""

    def __init__(self, browser, roundcube):
        self.browser, self.roundcube = browser, roundcube

    def page(self, query):
        self.browser.leave()
        self.browser.go(f"{self.roundcube.url}?{query}")

    def logs_in(self, address, password="secret"):
        self.browser.driver.delete_all_cookies()
        self.page("_task=login")
        self.browser.write("#rcmloginuser", address)
        self.browser.write("#rcmloginpwd", password)
        self.browser.click("#rcmloginsubmit")
        self.browser.find("#taskmenu")

    def sees(self, subject, folder="INBOX"):
        self.page(f"_task=mail&_mbox={folder}")
        self.browser.shows(subject, "#messagelist")

    def subjects(self, folder="INBOX"):
        """All there are, when the page has got what it asked for."""
        self.page(f"_task=mail&_mbox={folder}")
        self.browser.eventually(lambda: self.browser.driver.execute_script(
            "return jQuery.active == 0 && !rcmail.busy"), "the list")
        return [e.text for e in self.browser.all("#messagelist td.subject a")]

    def opens(self, subject):
        self.sees(subject)
        self.browser.click("#messagelist td.subject span.subject")
        self.browser.enter("#messagecontframe")

    def quota(self):
        count = self.browser.find("#rcmquotadisplay")
        return count.get_attribute("title")

    def makes_folder(self, name):
        self.page("_task=settings&_action=folders")
        self.browser.click("a.create")
        self.browser.enter("#preferences-frame")
        self.browser.write("#_name", name)
        self.browser.click("button.submit")
        self.browser.leave()
        self.browser.shows(name, "#subscription-table")

    def filters(self):
        self.page("_task=settings&_action=plugin.managesieve")

    def fills_filter(self, name, subject, folder):
        self.browser.enter("#filter-box")
        self.browser.write("#_name", name)
        self.browser.write("[name='_rule_target[0][]']", subject)
        self.browser.choose("#action_mailbox0", folder)
        self.browser.click("button.submit")
        self.browser.leave()
        self.browser.shows(name, "#filterslist")

    def saved(self):
        self.browser.shows("uccessfully", "#messagestack")


def sends(mta, to, subject, sender="Anna <anna@client.test>"):
    mta.send(sender.split("<")[-1].strip(">"), [to],
             LETTER.format(sender, to, subject).encode())
    mta.idle()


@pytest.fixture
def user(browser, roundcube):
    return Webmail(browser, roundcube)


def test_mail_is_read_and_filed(domain, mta, browser, user):
    fred = f"fred@{domain}"
    sends(mta, fred, "first")
    user.logs_in(fred.upper())
    user.sees("first")
    assert user.quota() == "Disk usage: 1 KB / 100 KB (1%)"
    browser.picture("inbox")
    user.opens("first")
    browser.shows("hello from SMTP")
    browser.leave()
    browser.picture("letter")
    user.makes_folder("Work")
    user.makes_folder("Büro")
    user.filters()
    browser.click("a.create")
    user.fills_filter("work", "project", "Work")
    browser.picture("filter")
    sends(mta, fred, "the project")
    user.sees("the project", "Work")
    assert user.subjects() == ["first"]
    # The same filter with another folder.
    user.filters()
    browser.click("#filterslist td.name")
    user.fills_filter("at work", "project", "Büro")
    sends(mta, fred, "project two")
    user.sees("project two", "B%26APw-ro")
    browser.picture("filed")
    assert user.subjects("Work") == ["the project"]
    assert user.subjects() == ["first"]


def test_out_of_office(domain, mta, service, browser, user):
    fred, jane = f"fred@{domain}", f"jane@{domain}"
    user.logs_in(fred)
    user.page("_task=settings&_action=plugin.managesieve-vacation")
    browser.write("#vacation_reason", "Back on Monday – Grüße")
    browser.write("#vacation_subject", "Away: für eine Woche")
    # Escape closes the calendar that opens.
    browser.write("#vacation_datefrom", "2020-01-01" + Keys.ESCAPE)
    browser.write("#vacation_dateto", "2099-12-31" + Keys.ESCAPE)
    browser.choose("#vacation_status", "On")
    browser.picture("vacation")
    browser.click("button.submit")
    user.saved()
    script = service.site.home / domain / "fred" / ".dovecot.sieve"
    assert script.read_text().count("currentdate") == 2
    for n in range(2):
        sends(mta, fred, f"question {n}", f"Jane <{jane}>")
    user.sees("question 1")
    user.logs_in(jane)
    user.opens("Away: für eine Woche")
    browser.shows("Back on Monday – Grüße")
    browser.leave()
    # Once in the days that the form says, not for every letter.
    assert len(user.subjects()) == 1
    # Switched off again.
    user.logs_in(fred)
    user.page("_task=settings&_action=plugin.managesieve-vacation")
    browser.choose("#vacation_status", "Off")
    browser.click("button.submit")
    user.saved()
    bob = f"bob@{domain}"
    service.adm("user", "add", bob, "--password-stdin", data=b"secret\n")
    sends(mta, fred, "anyone?", f"Bob <{bob}>")
    user.sees("anyone?")
    user.logs_in(bob)
    assert user.subjects() == []


def test_forwarding(domain, mta, browser, user):
    fred, jane = f"fred@{domain}", f"jane@{domain}"
    user.logs_in(fred)
    user.page("_task=settings&_action=plugin.managesieve-forward")
    browser.choose("#forward_action", "copy")
    browser.write("#action_target", jane)
    browser.choose("#forward_status", "On")
    browser.picture("forward")
    browser.click("button.submit")
    user.saved()
    sends(mta, fred, "for both")
    user.sees("for both")
    user.logs_in(jane)
    user.sees("for both")


def test_written_and_read(domain, mta, browser, user):
    fred, jane = f"fred@{domain}", f"jane@{domain}"
    user.logs_in(fred)
    user.page("_task=mail&_action=compose")
    browser.write(".recipient-input input", jane + ",")
    browser.write("#compose-subject", "Von Hand: Übung")
    browser.write("#composebody", "written in a browser")
    browser.picture("compose")
    browser.click("button.send")
    user.sees("Von Hand: Übung", "Sent")
    mta.idle()
    user.logs_in(jane)
    user.opens("Von Hand: Übung")
    browser.shows("written in a browser")


def test_who_is_suspended_reads_a_notice(domain, mta, service, browser, user):
    fred = f"fred@{domain}"
    sends(mta, fred, "first")
    service.adm("user", "suspend", fred, "--reason", "Not paid")
    user.logs_in(fred)
    user.opens("This mailbox is suspended")
    browser.shows("Not paid")
    browser.leave()
    browser.picture("notice")
    assert len(user.subjects()) == 1
    user.filters()
    browser.shows("Unable to connect to managesieve server", "#messagestack")
    service.adm("user", "resume", fred)
    user.logs_in(fred)
    user.sees("first")


def test_password(site, domain, browser, user):
    fred = f"fred@{domain}"
    # In place of sudo: the web server is vmail here, let the accounts be his.
    for path in site.state.glob("vbox.db*"):
        os.chown(path, UID, GID)
    user.logs_in(fred)

    def changes(present, new):
        user.page("_task=settings&_action=plugin.password")
        browser.write("#curpasswd", present)
        browser.write("#newpasswd", new)
        browser.write("#confpasswd", new)
        browser.click("button.submit")

    changes("wrong", "a new one, längere")
    browser.shows("Current password is incorrect", "#messagestack")
    changes("secret", "a new one, längere")
    user.saved()
    browser.picture("password")
    # The session goes on with it, and so does the next.
    user.makes_folder("Later")
    user.logs_in(fred, "a new one, längere")


def test_what_the_forms_write_is_understood(site, tmp_path):
    r = subprocess.run(
        ["php", TOP / "tests/roundcube/every_form.php",
         ROOT / "roundcube/plugins/managesieve", tmp_path],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert (r.returncode, r.stdout) == (0, b"")
    scripts = sorted(tmp_path.glob("*.sieve"))
    assert len(scripts) > 70
    Vboxadm(site)("sieve", "check", *map(str, scripts))
