"""A machine of one's own: an overlay over the root of this one, in namespaces
that end with the test. Packages unpacked below build/roots are laid into it as
if they were installed, and commands of the guides run in it as they stand:
/etc, /usr/local, users, port 25 are the machine's own."""
import os
import re
import subprocess
from pathlib import Path

import pytest

from . import ROOTS, TOP

SETUP = """
set -e
mount -t tmpfs -o mode=755 none {dir}
cd {dir}
mkdir up work root
mount -t overlay overlay -o lowerdir=/,upperdir={dir}/up,workdir={dir}/work root
mkdir -p root/src
mount --bind {top} root/src
mount --bind /dev root/dev
mount -t proc proc root/proc
# Its load is its own, too: sendmail does not work where it is high.
echo '0.00 0.00 0.00 1/100 100' > loadavg
mount --bind loadavg root/proc/loadavg
mount -t tmpfs -o mode=755 none root/run
mount -t tmpfs -o mode=1777 none root/tmp
chmod 755 root/var/lib root/var/spool root/etc root/home
hostname mx.test
ip link set lo up
printf '127.0.0.1 localhost\\n127.0.1.1 mx.test mx\\n' > root/etc/hosts
printf 'nameserver 127.0.0.1\\n' > root/etc/resolv.conf
echo mx.test > root/etc/mailname
{roots}
cat > root/usr/local/sbin/systemctl <<'END'
{systemctl}
END
chmod 755 root/usr/local/sbin/systemctl
cat > script <<'END'
{script}
END
cp script root/script
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    HOME=/root LC_ALL=C.UTF-8 chroot root sh -c 'cd /src && exec sh -ex /script'
"""

# There is no systemd: what it would start is started.
SYSTEMCTL = """#!/bin/sh
# The last word is the service.
for service; do :; done
case $service in
%s
*)	echo "systemctl $*: no such service" >&2; exit 5 ;;
esac
"""


def blocks(guide, section):
    """The commands of one section of a guide: its blocks marked sh."""
    text = (TOP / "docs" / guide).read_text()
    part = re.split(r"(?m)^## ", text)
    one, = [p for p in part if p.split("\n", 1)[0] == section]
    found = re.findall(r"(?ms)^```sh\n(.*?)^```$", one)
    assert found, f"{guide}: {section}: no commands"
    return "".join(found)


class Machine:
    def __init__(self, directory, roots=(), services=None):
        self.dir = Path(directory)
        self.roots = roots
        self.services = services or {}
        if os.geteuid() != 0:
            pytest.skip("needs root")
        (self.dir / "machine").mkdir()
        may = self.shell("true", ())
        if may.returncode != 0:
            pytest.skip("may not lay one root over another: "
                        + may.stdout.decode(errors="replace")[-200:])

    def shell(self, script, roots=None):
        """Runs commands on a machine as it was in the beginning; everything
        that they started ends with them."""
        where = self.dir / "machine"
        roots = self.roots if roots is None else roots
        cases = "".join(f"{name})\n{text}\n;;\n"
                        for name, text in self.services.items())
        setup = SETUP.format(
            dir=where, top=TOP, systemctl=SYSTEMCTL % cases, script=script,
            roots="\n".join(
                f"tar -C {ROOTS / r} -cf - . | tar -C root -xf - "
                "--keep-directory-symlink" for r in roots))
        return subprocess.run(
            ["unshare", "-m", "-u", "-n", "-p", "-i", "--fork", "--kill-child",
             "sh", "-c", setup], stdin=subprocess.DEVNULL, cwd="/",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900,
            check=False)
