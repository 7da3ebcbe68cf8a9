"""Full circle with Dovecot 2.4: `make check-dovecot24`."""
from harness.circle import full_circle, serve
from harness.dovecot24 import Dovecot24
from harness.hosted import MTAS


def test_full_circle(site):
    service = serve(site)
    mta = MTAS["sendmail"](site, service)
    dovecot = Dovecot24(site)
    try:
        full_circle(service, mta, dovecot)
    except Exception:
        print(dovecot.log())
        raise
    finally:
        dovecot.stop()
        mta.stop()
        service.stop()
