"""vbox-lmtpd -t: what an administrator is told about a configuration."""
import re
import subprocess
from pathlib import Path

import pytest

from harness.site import SANITIZER_ENV

TOP = Path(__file__).resolve().parents[2]


def check(programs, conf, *args):
    return subprocess.run([programs / "vbox-lmtpd", "-c", conf, "-t", *args],
                          capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin", **SANITIZER_ENV})


def test_a_sound_site(site, programs):
    site.configure(submit="/bin/true")
    r = check(programs, site.conf)
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")


@pytest.mark.parametrize("text,want", [
    ("format = mbux\n", ":1: format: `mbux' is not one of mbox, maildir"),
    ("# x\n\nmbox_pth = \"/x\"\n",
     ":3: unknown setting `mbox_pth'; did you mean `mbox_path'?"),
    ("domain \"a.test\" {\n", ":1: the section that begins here is not closed"),
    ("workers = 1\nworkers = 2\n", ":2: `workers' is set twice; line 1"),
])
def test_a_wrong_file(site, programs, text, want):
    site.conf.write_text(text)
    r = check(programs, site.conf)
    assert r.returncode == 78
    assert r.stderr.startswith(f"{site.conf}{want}")
    # The same text, and "try again", for the MTA.
    r = site.deliver("d1.test", "fred", data=b"Subject: x\n\nx\n")
    assert r.returncode == 75
    assert r.stdout.startswith(b"4.3.5 <fred@d1.test> ")
    assert r.stderr.startswith(f"{site.conf}{want}".encode())


def test_what_is_not_there_is_a_warning(site, programs):
    site.configure(submit="/bin/true", spool_dir=site.dir / "none")
    r = check(programs, site.conf)
    line = 1 + [x.split(" = ")[0] for x in
                site.conf.read_text().splitlines()].index("spool_dir")
    assert r.returncode == 0
    assert r.stderr == (f"warning: {site.conf}:{line}: spool_dir: "
                        f"{site.dir}/none: No such file or directory\n")


@pytest.mark.parametrize("user,why", [
    ("vbox-nobody-has-this", "user vbox-nobody-has-this does not exist"),
    ("root", "user root is root: mail is never delivered as root"),
    ("5", "user 5 has uid 5, below min_uid 100"),
])
def test_a_user_that_cannot_be_is_an_error(site, programs, user, why):
    """Nothing would start; a script that asks first has to see it."""
    site.configure(submit="/bin/true", user=user, group=None)
    r = check(programs, site.conf)
    assert r.returncode == 78
    assert r.stderr == f"error: {site.conf}:1: user: {why}\n"


def test_what_is_in_force_can_be_read_again(site, programs):
    site.configure(submit="/bin/true")
    first = check(programs, site.conf, "-v")
    assert first.returncode == 0
    assert 'mbox_variant = "mboxrd"\t# default\n' in first.stdout
    assert 'domain "d2.test" {\n\tformat = "maildir"\n}\n' in first.stdout
    site.conf.write_text(first.stdout)
    second = check(programs, site.conf, "-v")
    assert second.stdout.splitlines()[1:] == first.stdout.splitlines()[1:]


def test_settings_without_effect_are_called_so():
    """vbox.conf(5) names, under BUGS, the settings that nothing reads yet."""
    rows = set(re.findall(r"\tROW\((\w+), ", (TOP / "lda/settings.c").read_text()))
    source = "".join(p.read_text() for p in (TOP / "lda").rglob("*.c")
                     if not p.name.startswith(("settings", "config")))
    unread = rows - set(re.findall(
        r"(?=\b(?:(?:s|set|settings)->|global\.)(\w+))", source))
    page = (TOP / "docs/man/vbox.conf.5").read_text()
    bugs = page[page.index(".Sh BUGS"):]
    said = set(re.findall(r"^\.It\n\.Cm (\w+)$", bugs, re.M))
    assert said == unread
