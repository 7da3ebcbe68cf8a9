"""What happens is counted: each counter that an administrator watches is seen
to move, by as much as it should."""
import os
import re
import socket

from harness import until
from harness.lmtp import TIMEOUT

from .test_service import LETTER, Held, serve


def counters(where):
    """{family with its labels: value}"""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(TIMEOUT)
        s.connect(str(where))
        s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = s.makefile("rb").read().decode()
    return {m[1]: float(m[2]) for m in
            re.finditer(r"^(vbox_[a-z_]+(?:\{[^}]*\})?) ([0-9.e+]+)$", text, re.M)}


def ask(path, question):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(TIMEOUT)
        s.connect(str(path))
        s.sendall(question)
        s.shutdown(socket.SHUT_WR)
        return s.makefile("rb").read()


def netstring(text):
    return b"%d:%s," % (len(text), text)


def test_what_happens_is_counted(site):
    run, submit = site.dir / "run", site.dir / "submit"
    submit.write_text("#!/bin/sh\ncat >/dev/null\n")
    submit.chmod(0o755)
    site.own_file(site.home / "d2.test" / "fred" / ".dovecot.sieve",
                  b'require "vacation"; vacation "I am away.";')
    metrics, maps, policy = (run / f"{n}.sock" for n in ("metrics", "map", "policy"))
    service = serve(
        site, users=["forwarded@d1.test forward=x@far.test"], submit=submit,
        metrics_listen=[f"unix:{metrics}"], map_listen=[f"unix:{maps}"],
        policy_listen=[f"unix:{policy}"], lock_timeout="1s", workers=1,
        cache_ttl="1m")
    letter = b"From: s@b.test\r\nTo: fred@d2.test\r\n" + LETTER
    dead = site.add("d1.test", "anna").parent / "anna.lock"
    with service:
        with service.connect() as c:
            c.hello()
            c.message(["fred@d1.test", "nobody@d1.test"], LETTER)
            c.message(["fred@d1.test"], LETTER)
            c.message(["forwarded@d1.test"], LETTER)
            c.message(["fred@d2.test"], letter, sender="s@b.test")
            assert c.say("NONSENSE").startswith("500 ")
            with Held(site, "d1.test", "fred"):
                _, replies = c.message(["fred@d1.test"], LETTER)
                assert replies[0].startswith("451 4.2.1")
            c.message(["anna@d1.test"], LETTER)
            until(lambda: not dead.exists())	# given back behind the reply
            dead.write_text("%-10d\n" % 2 ** 22)	# no such process
            os.utime(dead, (1000000000, 1000000000))
            _, replies = c.message(["anna@d1.test"], LETTER)
            assert replies[0].startswith("250 ")
        assert b"OK" in ask(maps, netstring(b"recipient fred@d1.test"))
        assert b"NOTFOUND" in ask(maps, netstring(b"virtuser x@far.test"))
        assert b"action=" in ask(policy, b"request=smtpd_access_policy\n"
                                 b"recipient=nobody@d1.test\n\n")
        until(lambda: counters(metrics).get("vbox_replies_total"))
        site.configure(idle_timeout="1s", message_size_limit=7777)
        service.reload()

        def timed_out():
            """A worker that was about to accept has the patience of before."""
            with service.connect() as c:
                c.send(b"LHLO x\r\n")	# and nothing for a second
                c.reply()
                said = c.reply()
                return said.startswith("421 4.4.2") or (
                    "SIZE 7777" in said and c.reply().startswith("421 4.4.2"))
        until(timed_out)
        n = counters(metrics)
    said = {k.replace("_total", ""): v for k, v in n.items()}

    def value(name):
        return said[name]
    assert value("vbox_messages") == 7
    assert value('vbox_recipients{answer="ok"}') == 7
    assert value('vbox_recipients{answer="refused"}') == 1
    assert value('vbox_recipients{answer="later"}') == 0
    assert value("vbox_protocol_errors") == 1
    assert value("vbox_timeouts") == 1
    assert value("vbox_lock_timeouts") == 1
    assert value("vbox_dotlocks_removed") == 1
    assert value("vbox_redirects") == 1
    assert value("vbox_replies") == 1
    assert value('vbox_map_lookups{answer="found"}') == 1
    assert value('vbox_map_lookups{answer="absent"}') == 1
    assert value("vbox_policy_answers") == 1
    assert value('vbox_directory_lookups{answer="found"}') >= 4
    assert value('vbox_directory_lookups{answer="absent"}') >= 1
    assert value('vbox_cache_lookups{answer="hit"}') >= 2
    assert value('vbox_cache_lookups{answer="miss"}') >= 4


def test_a_directory_that_is_down_is_counted(site):
    where = site.dir / "run" / "metrics.sock"
    with serve(site, directory=[f"socketmap:unix:{site.dir}/none:users"],
               metrics_listen=[f"unix:{where}"]) as service:
        with service.connect() as c:
            c.hello()
            c.say("MAIL FROM:<a@b>")
            assert c.say("RCPT TO:<fred@d1.test>").startswith("451 ")
        n = {k.replace("_total", ""): v for k, v in counters(where).items()}
    assert n['vbox_directory_lookups{answer="broken"}'] >= 1
    assert n['vbox_recipients{answer="later"}'] == 1
