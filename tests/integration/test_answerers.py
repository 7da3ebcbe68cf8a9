"""Many connections to the maps and to the policy server, few processes: an MTA
keeps one open for each of its own, and most of them are quiet."""
import os
import select
import signal
import threading

import pytest

from harness import PATIENCE, until
from harness.hosted import end, nobody_listens, restart, serve_maps
from harness.proc import children, open_files
from test_accounts import SocketMap
from test_smtp_time import Netstrings, ask_policy, populate

MANY = 200
ASK, ANSWER = "vbox_recipient fred@d1.test", "OK OK"


@pytest.fixture
def service(site):
    populate(site)
    site.configure(map_workers=2)
    lmtpd = serve_maps(site)
    yield lmtpd
    lmtpd.stop()


def holders(service):
    """Process -> how many connected sockets it holds besides its own."""
    found = {}
    for pid in children(service.process.pid):
        found[pid] = sum(f.startswith("socket:") for f in open_files(pid))
    return found


def callers_of_two(service, many):
    """Callers that two processes share, about equally: a new one goes to who
    has fewer. When one of them is late, on a busy machine, it takes more."""
    own = max(holders(service).values(), default=0)
    callers = [Netstrings(service.map) for _ in range(many)]

    def shared():
        busy = sorted(n - own for n in holders(service).values()
                      if n - own > many / 4)
        if len(busy) == 2 and busy[0] > 0.5 * busy[1]:
            return True
        callers.append(Netstrings(service.map))
        return False
    until(shared, of=f"two who share {many} connections")
    return callers


def test_many_quiet_connections_and_few_processes(service):
    one = Netstrings(service.map)
    assert one.ask(ASK) == ANSWER
    callers = callers_of_two(service, MANY)
    # All are served, however quiet the others are; asked in any order.
    for c in callers:
        assert c.ask(ASK) == ANSWER
    for c in reversed(callers):
        assert c.ask("vbox_domain no.test") == "NOTFOUND "
    assert len(children(service.process.pid)) < MANY / 10
    # Mail is delivered meanwhile, and the policy server answers.
    assert ask_policy(service.policy, "ghost@d1.test").startswith("550 5.1.1")
    assert service.answers()
    for c in callers:
        c.close()
    assert one.ask(ASK) == ANSWER
    one.close()


def test_who_reads_no_answers_holds_up_nobody(site, service):
    end(service)
    site.configure(map_workers=1)
    restart(site, service)
    deaf = Netstrings(service.map)
    question = b"27:vbox_recipient fred@d1.test,"
    deaf.socket.setblocking(False)
    sent = 0
    # Until it is full in both directions.
    while sent < 64 << 20 and select.select([], [deaf.socket], [], 0.3)[1]:
        try:
            sent += deaf.socket.send(question * 1000)
        except BlockingIOError:
            pass
    assert sent < 64 << 20
    # Others are answered by the same process.
    for _ in range(20):
        other = Netstrings(service.map)
        assert other.ask(ASK) == ANSWER
        other.close()
    # And when it reads, every whole question has its answer.
    deaf.socket.settimeout(PATIENCE)
    whole = sent // len(question)
    for _ in range(whole):
        assert deaf.read() == ANSWER
    deaf.socket.sendall((question * 2)[sent % len(question):len(question)])
    assert deaf.read() == ANSWER
    deaf.close()


class Slow(SocketMap):
    """A directory that needs a while for each answer."""

    def answer(self, client, stream):
        self.clock.wait(0.02)
        return super().answer(client, stream)

    clock = threading.Event()


def test_many_questions_at_once_wait_for_those_of_others(site, service):
    """A thousand of them, each of which takes the directory a while."""
    end(service)
    server = Slow(site.dir / "accounts.sock", {"@d1.test": "OK format=mbox",
                                               "@d2.test": "OK format=mbox"})
    site.configure(map_workers=1,
                   directory=[f"socketmap:unix:{server.path}:accounts"])
    restart(site, service)
    greedy, other = Netstrings(service.map), Netstrings(service.map)
    assert other.ask("vbox_domain d1.test") == "OK d1.test"
    greedy.send(*[f"vbox_recipient n{i}@d1.test" for i in range(1000)])
    assert greedy.read().startswith("OK ERROR:5.1.1")
    before = len(server.asked)
    assert other.ask("vbox_domain d2.test") == "OK d2.test"
    assert server.asked.index("@d2.test") - before < 100
    # And it is not forgotten.
    for _ in range(20):
        assert greedy.read().startswith("OK ERROR:5.1.1")
    greedy.close()
    other.close()
    server.close()


def test_nonsense_ends_one_connection(service):
    good, bad = Netstrings(service.map), Netstrings(service.map)
    bad.socket.sendall(b"hello\n")
    assert bad.read() is None
    assert good.ask(ASK) == ANSWER
    good.close()
    bad.close()


def test_a_death_takes_only_its_own_along(service):
    callers = callers_of_two(service, 20)
    for c in callers:
        assert c.ask(ASK) == ANSWER
    held = holders(service)
    victim = max(held, key=held.get)
    os.kill(victim, signal.SIGKILL)
    until(lambda: victim not in children(service.process.pid), of="the end of it")

    def lives(c):
        try:
            return c.ask(ASK) == ANSWER
        except (OSError, ValueError):
            return False
    lived = [lives(c) for c in callers]
    assert any(lived) and not all(lived)
    # A new one takes its place; who was cut off comes again.
    again = [Netstrings(service.map) for _ in range(20)]
    for c in again:
        assert c.ask(ASK) == ANSWER
    for c in callers + again:
        c.close()


def test_reload_and_end(site, service):
    """Reload: who asks on an old connection is answered, then hung up on when
    quiet; a new one is never refused. The end cuts no answer."""
    old = Netstrings(service.map)
    assert old.ask(ASK) == ANSWER
    pids = set(children(service.process.pid))
    service.process.send_signal(signal.SIGHUP)
    fresh = Netstrings(service.map)
    assert fresh.ask(ASK) == ANSWER
    assert old.read() is None       # within RETIRE_MS
    # Of those before only the submit helper may be left, for a moment.
    until(lambda: len(pids.intersection(children(service.process.pid))) <= 1,
          of="the end of the old")
    fresh2 = Netstrings(service.map)
    assert fresh2.ask(ASK) == ANSWER
    service.process.terminate()
    assert service.process.wait(PATIENCE) == 0
    # Helpers of the service may outlive it by a moment.
    until(lambda: nobody_listens(service.map), of="a closed door")
    for c in (old, fresh, fresh2):
        c.close()


def test_too_many_are_turned_away(site, service):
    end(service)
    site.configure(map_workers=1, max_connections=5)
    restart(site, service)
    callers = [Netstrings(service.map) for _ in range(5)]
    for c in callers:
        assert c.ask(ASK) == ANSWER
    more = Netstrings(service.map)
    try:
        assert more.ask(ASK) is None
    except OSError:
        pass
    callers.pop().close()

    def room():
        c = Netstrings(service.map)
        try:
            return c.ask(ASK) == ANSWER
        except OSError:
            return False
        finally:
            c.close()
    until(room, of="room for one more")
    for c in callers + [more]:
        c.close()


def test_more_than_may_be_open_are_turned_away(site, service):
    """max_connections is more than there are descriptors for: nobody waits
    before a closed door, and those inside go on."""
    end(service)
    site.configure(map_workers=1, max_connections=1000)
    restart(site, service, ["prlimit", "--nofile=256:256"])
    callers = [Netstrings(service.map) for _ in range(300)]
    told = []
    for c in callers:
        try:
            told.append(c.ask(ASK))
        except (BrokenPipeError, ConnectionResetError):
            told.append(None)
    assert set(told) == {ANSWER, None}, set(told)
    assert told.count(ANSWER) > 150
    for c, before in zip(callers, told):
        if before:
            assert c.ask("vbox_domain no.test") == "NOTFOUND "
    for c in callers:
        c.close()


def test_half_a_question_does_not_wait_for_ever(site, service):
    end(service)
    site.configure(command_timeout="1s")
    restart(site, service)
    half, quiet = Netstrings(service.map), Netstrings(service.map)
    assert quiet.ask(ASK) == ANSWER
    half.socket.sendall(b"27:vbox_rec")
    assert half.read() is None
    assert quiet.ask(ASK) == ANSWER
    half.close()
    quiet.close()
