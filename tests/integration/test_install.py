"""make install: everything where administrators look for it, nothing of
theirs overwritten, and what is installed runs."""
import os
import re
import stat
import subprocess

import pytest

from harness import BUILD, SANITIZED, TOP

pytestmark = pytest.mark.release


def install(root, **variables):
    cc, _, _ = BUILD.name.partition("-")
    env = {k: v for k, v in os.environ.items()
           if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    r = subprocess.run(
        ["make", "-s", "install", f"CC={cc}", f"DESTDIR={root}",
         *(["SANITIZE=1"] if SANITIZED else []),
         *(f"{k}={v}" for k, v in variables.items())],
        cwd=TOP, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False)
    assert r.returncode == 0, r.stdout.decode()


def test_where_things_are(scratch):
    install(scratch)
    usr = scratch / "usr/local"
    for program in ("vbox-deliver", "vbox-lmtpd", "vboxadm"):
        path = usr / "sbin" / program
        assert stat.S_IMODE(path.stat().st_mode) == 0o755
    link = usr / "lib/vbox/vbox-deliver"
    assert os.readlink(link) == "/usr/local/sbin/vbox-deliver"
    assert (usr / "lib/vbox/directory_sqlite.so").exists()
    assert (usr / "share/man/man8/vbox-deliver.8").exists()
    assert (usr / "share/man/man5/vbox.conf.5").exists()
    assert (usr / "share/vbox/sendmail/feature/vbox.m4").exists()
    assert (scratch / "etc/vbox/vbox.conf.example").exists()
    assert not (scratch / "etc/vbox/vbox.conf").exists()
    # Nothing that only the tree has, nothing that anybody may write to.
    for path in scratch.rglob("*"):
        if not path.is_symlink():
            assert not path.stat().st_mode & 0o022, path


def test_what_is_the_administrators_stays(scratch):
    conf = scratch / "etc/vbox/vbox.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text("# mine\n")
    install(scratch)
    install(scratch)
    assert conf.read_text() == "# mine\n"


def test_prefix(scratch):
    install(scratch, PREFIX="/opt/vbox", SYSCONFDIR="/opt/vbox/etc")
    assert sorted(p.name for p in scratch.iterdir()) == ["opt"]
    assert sorted(p.name for p in (scratch / "opt").iterdir()) == ["vbox"]


def test_the_example_is_a_configuration(scratch, programs):
    """vbox.conf.example is accepted as it stands, and each file that contrib's
    READMEs name is there."""
    install(scratch)
    example = scratch / "etc/vbox/vbox.conf.example"
    r = subprocess.run([programs / "vbox-lmtpd", "-t", "-c", example],
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, check=False)
    # What is not on this machine is a warning, its mail user is an error; a
    # mistake in the file is neither.
    wrong = [line for line in r.stdout.splitlines()
             if b"vbox.conf.example:" in line and not line.startswith(b"warning: ")
             and not re.search(rb"^error: .*: user: .* does not exist$", line)]
    assert wrong == [], r.stdout
    for readme in (TOP / "contrib").rglob("README.md"):
        for name in re.findall(r"(?m)^\| `([^`]+)` \|", readme.read_text()):
            assert (readme.parent / name).exists(), f"{readme}: {name}"
