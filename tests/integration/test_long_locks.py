"""A dotlock that is held for long, here while a redirect is handed over: other
programs, and other hosts, take what looks old for a dead process's."""
import pytest

from harness import PATIENCE
from harness.lmtp import Lmtpd

LETTER = b"Subject: one\n\ntext\n"
SIEVE = b'require "copy"; redirect :copy "x@far.test";\n'

# What the submit program does to fred's lock; it ends in 0 when that went well.
KEPT = """
touch -d '1 hour ago' "$lock"
while [ -z "$(find "$lock" -mmin -1)" ]; do
	[ $(date +%s) -lt $end ] || exit 75
done
cp "$lock" "$seen"
"""
TAKEN = """
rm "$lock" && echo 1:elsewhere.test >"$lock" || exit 75
now=$(date +%s%3N)
while [ $(date +%s%3N) -lt $((now + 1500)) ]; do :; done
"""


def program(site, text):
    seen = site.own_dir(site.dir / "seen") / "file"
    submit = site.dir / "submit"
    submit.write_text("#!/bin/sh\n"
                      f'lock={site.box("d1.test", "fred")}.lock seen={seen}\n'
                      f"end=$(($(date +%s) + {PATIENCE}))\n"
                      f"cat >/dev/null\n{text}")
    submit.chmod(0o755)
    site.own_file(site.home / "d1.test/fred/.dovecot.sieve", SIEVE)
    site.configure(submit=submit)
    return seen


def by_command(site):
    return site.deliver("-f", "a@b", "d1.test", "fred", data=LETTER).returncode


def by_lmtp(site):
    with Lmtpd(site) as service, service.connect(timeout=3 * PATIENCE) as c:
        c.hello()
        answer = c.message(["fred@d1.test"], LETTER)[1][0]
    return {"250": 0, "451": 75}.get(answer[:3], answer)


WAYS = pytest.mark.parametrize("deliver", [by_command, by_lmtp])


@WAYS
def test_it_stays_young(site, deliver):
    seen = program(site, KEPT)
    assert deliver(site) == 0
    assert int(seen.read_text()) > 0
    assert len(site.messages("d1.test", "fred")) == 1
    assert not site.box("d1.test", "fred").with_name("fred.lock").exists()


@WAYS
def test_nothing_is_written_under_another_s(site, deliver):
    """Put off, and the other one's lock stays. The redirect is noted: when the
    MTA comes again it is not done twice."""
    program(site, TAKEN)
    lock = site.box("d1.test", "fred").with_name("fred.lock")
    assert deliver(site) == 75
    assert site.messages("d1.test", "fred") == []
    assert lock.read_text() == "1:elsewhere.test\n"
    assert "our dotlock of d1.test/fred was taken away" in \
        (site.log / "vbox.log").read_text()
    lock.unlink()
    site.configure(submit="/bin/false")
    assert deliver(site) == 0
    assert len(site.messages("d1.test", "fred")) == 1
