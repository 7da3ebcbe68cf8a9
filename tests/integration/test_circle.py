"""Full circle on one machine: rules by ManageSieve, mail by SMTP through each
MTA, vbox-lmtpd, a login by IMAP at Dovecot with contrib's configuration; for an
mbox and for a Maildir. The steps are in harness/circle.py."""
import pytest

from harness.accounts import DovecotServer
from harness.circle import full_circle, serve
from harness.hosted import MTAS


@pytest.fixture
def service(site):
    lmtpd = serve(site)
    yield lmtpd
    lmtpd.stop()


@pytest.fixture(params=list(MTAS))
def mta(request, site, service):
    server = MTAS[request.param](site, service)
    yield server
    server.stop()


@pytest.fixture
def dovecot(site, service):
    server = DovecotServer(site)
    yield server
    server.stop()


def test_full_circle(service, mta, dovecot):
    full_circle(service, mta, dovecot)
