"""One recipient with several mailboxes: all of them have the copy, or none
has when the MTA is told to come again."""
import subprocess

import pytest

from harness.accounts import Vboxadm

MAIL = b"Subject: one\n\nhello\n"


@pytest.fixture
def alias(site):
    site.configure(directory=[f"file:{site.state}/accounts"])
    adm = Vboxadm(site)
    for domain in ("d1.test", "d2.test"):
        adm("domain", "add", domain)
        adm("user", "add", f"fred@{domain}")
    adm("alias", "add", "all@d1.test", "fred@d1.test", "fred@d2.test")
    return site


@pytest.mark.parametrize("call, of", [("fsync", "d2.test"),
                                      ("fdatasync", "d1.test")])
def test_a_sync_that_fails_for_one(alias, call, of):
    site = alias
    assert site.deliver("d1.test", "all", data=MAIL).returncode == 0
    before = {d: site.messages(d, "fred") for d in ("d1.test", "d2.test")}
    assert [len(m) for m in before.values()] == [1, 1]
    box = site.box(of, "fred")
    path = box / "new" if box.is_dir() else box
    trace = site.dir / "trace"
    r = subprocess.run(
        ["strace", "-f", "-qq", "-o", str(trace), "-P", str(path),
         "-e", f"trace={call}", f"--inject={call}:error=EIO:when=1",
         *site.command("d1.test", "all")],
        input=MAIL, capture_output=True, check=False, timeout=60,
        env=site.environment())
    assert "EIO" in trace.read_text()
    assert r.returncode == 75, r
    for domain, messages in before.items():
        assert site.messages(domain, "fred") == messages, domain
    assert site.deliver("d1.test", "all", data=MAIL).returncode == 0
    assert [len(site.messages(d, "fred")) for d in before] == [2, 2]
