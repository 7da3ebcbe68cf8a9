"""A hosting machine: vbox-lmtpd with all its doors, and before it each MTA with
contrib's lines, which asks it who may have mail."""
import smtplib
import socket
import subprocess

from . import PATIENCE, TOP, until
from .exim import Exim
from .postfix import Postfix
from .sendmail import Sendmail
from .site import Lmtpd

LETTER = (b"From: <anna@client.test>\r\nTo: freds:;\r\nSubject: %s\r\n"
          b"Message-Id: <1@client.test>\r\nDate: Mon, 2 Apr 2007 10:00:00 +0000\r\n"
          b"\r\nFrom the start\r\n.dot\r\n>From quoted\r\nlast line\r\n")
BODY = b"From the start\n.dot\n>From quoted\nlast line\n"


def serve_maps(site):
    """Every question goes to the directory: what is cached is another test's.
    A mailbox is waited for: an MTA that was put off comes back in an hour."""
    lmtpd = Lmtpd(site, ["map", "policy"], cache_ttl="0s",
                  cache_negative_ttl="0s", lock_timeout="2m")
    lmtpd.map, lmtpd.policy = lmtpd.doors["map"], lmtpd.doors["policy"]
    return lmtpd


def nobody_listens(path):
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(str(path))
            return False
        except OSError:
            return True


def end(service):
    """Helpers of the service may outlive it by a moment."""
    service.process.terminate()
    service.process.wait(PATIENCE)
    until(lambda: nobody_listens(service.socket), of="the end of vbox-lmtpd")


def restart(site, service, before=()):
    if service.process.poll() is None:
        end(service)
    service.process = subprocess.Popen(
        [*before, site.bin / "vbox-lmtpd", "-F", "-c", site.conf],
        stdin=subprocess.DEVNULL, stdout=service.out, stderr=service.out,
        env=site.environment(), cwd="/")
    until(service.answers, of="vbox-lmtpd")


def places(service):
    return {"/run/vbox/lmtp.sock": str(service.socket),
            "/run/vbox/map.sock": str(service.map),
            "/run/vbox/policy.sock": str(service.policy)}


def adapted(path, service, **more):
    text = (TOP / "contrib" / path).read_text()
    for theirs, ours in {**places(service), **more}.items():
        text = text.replace(theirs, ours)
    return text


def start_sendmail(site, service, mc="vbox-maps.mc", name="sendmail",
                   options=(), text=None, queue=None):
    where = site.dir / name
    where.mkdir()
    mta = Sendmail(where, text or adapted(f"sendmail/{mc}", service), site.dir,
                   queue=queue)
    mta.build()
    mta.table("access", "To:blocked@d1.test\tREJECT\n")
    mta.table("aliases", "list: :include:" + str(mta.etc / "list") + "\n")
    mta.table("list", "fred@d1.test\njane@d2.test\n")
    mta.table("genericstable", "root\tadmin@d1.test\n")
    mta.table("genericsdomains", "mx.test\n")
    return mta.start(*options)


def start_postfix(site, service, way):
    where = site.dir / "postfix"
    where.mkdir(mode=0o755)
    return Postfix(where, adapted(f"postfix/main-{way}.cf", service), "").start()


def start_exim(site, service):
    where = site.dir / "exim"
    where.mkdir(mode=0o755)
    mta = Exim(where, adapted("exim/vbox-maps-router", service),
               adapted("exim/vbox-lmtp", service),
               acl=adapted("exim/vbox-acl", service))
    return mta.start()


MTAS = {
    "sendmail": start_sendmail,
    "postfix-maps": lambda site, service: start_postfix(site, service, "maps"),
    "postfix-policy": lambda site, service: start_postfix(site, service, "policy"),
    "exim": start_exim,
}


def transcript(mta, recipients):
    """One connection, one envelope; the reply to each RCPT. The client is
    nobody's friend: whoever comes from 127.0.0.1 may relay."""
    said = {}
    with smtplib.SMTP("127.0.0.1", mta.port, "client.test", timeout=PATIENCE,
                      source_address=("127.0.0.2", 0)) as smtp:
        smtp.ehlo()
        assert smtp.mail("anna@client.test")[0] == 250
        for address in recipients:
            said[address] = smtp.rcpt(address)
        smtp.rset()
    return said
