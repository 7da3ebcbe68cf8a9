"""One recipient with several mailboxes: all of them have the copy, or none
has when the MTA is told to come again."""
import resource
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


def test_an_alias_of_many(site):
    """More copies than the limit of open files allows, which it may raise."""
    n = 150
    site.configure(directory=[f"file:{site.state}/accounts"])
    users = [f"u{i}@d2.test" for i in range(n)]
    (site.state / "accounts").write_text("@d2.test\n" + "\n".join(users) + "\n")
    Vboxadm(site)("alias", "add", "all@d2.test", *users)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)

    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
    r = site.deliver("d2.test", "all", data=MAIL, preexec_fn=few)
    assert r.returncode == 0, r
    assert all(len(site.messages("d2.test", f"u{i}")) == 1 for i in range(n))
