"""One service for each transport, for all dialogues."""
import os
import shutil
import socket

import pytest

from harness.lmtp import TIMEOUT, Client, Lmtpd, stdio
from harness.site import Site, new_directory

TRANSPORTS = ["unix", "tcp", "stdio", "systemd"]
USERS = 200


class Door:
    """A way in: connect() gives a client."""

    def __init__(self, name, site, connect):
        self.name = name
        self.site = site
        self.connect = connect


def build_site(scratch, programs):
    s = Site(scratch, programs)
    lines = [f"{who}{i}@d1.test" for i in range(USERS) for who in "uv"]
    lines += [f"m{i}@d2.test" for i in range(USERS)]
    lines += ["postmaster@d1.test", "locked@d1.test state=locked",
              "off@d1.test state=disabled"]
    users = s.dir / "users"
    users.write_text("\n".join(lines) + "\n")
    users.chmod(0o644)
    s.configure(directory=[f"file:{users}"], message_size_limit=100000,
                postmaster="postmaster@d1.test", recipient_delimiter="+")
    return s


@pytest.fixture(scope="session", params=TRANSPORTS)
def door(request, programs):
    if os.geteuid() != 0:
        pytest.skip("only root can give mailboxes to a user of their own")
    scratch = new_directory()
    site = build_site(scratch, programs)
    name = request.param
    service = None
    if name == "stdio":
        site.configure(log_target=f"file:{site.log}/vbox.log")
        yield Door(name, site, lambda: stdio(site))
    elif name == "systemd":
        path = str(scratch / "passed.sock")
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(path)
        listening.listen(100)
        service = Lmtpd(site, lmtp_listen=[]).start(
            pass_fds=(listening.fileno(),), names="lmtp")

        def connect():
            c = socket.socket(socket.AF_UNIX)
            c.settimeout(TIMEOUT)
            c.connect(path)
            return Client(c)
        yield Door(name, site, connect)
        listening.close()
    else:
        # One of them has the delivery log, where the disk lets it.
        service = Lmtpd(site, tcp=name == "tcp",
                        delivery_log="8M" if name == "tcp" else 0).start()
        yield Door(name, site,
                   service.connect_tcp if name == "tcp" else service.connect)
    if service:
        assert service.stop() == 0, service.output()
    shutil.rmtree(scratch)
