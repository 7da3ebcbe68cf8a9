"""A forward with a local copy: each call fails, or the process is killed
before it; then the MTA tries again. Neither is lost, and no failure doubles
either. After a kill the retry may double: the forward, killed between the
MTA's success and our note; the copy, killed between its sync and our exit.
The MTA never gets a part of the letter.

Only vbox-deliver itself is struck, not the filter process nor the MTA's; an
injected failure of close(2) is left out."""
import os
import shutil

import pytest

import agents
import sweep

# A leak check cannot run beside strace.
pytestmark = pytest.mark.release

SIZE = 3000
STORING = ("openat2", "write", "writev", "pwrite64", "fsync", "fdatasync",
           "ftruncate", "linkat", "link", "renameat", "unlinkat", "close",
           "clone", "clone3", "vfork", "execve", "wait4", "waitid")


class ForwardAgent(agents.Vbox):
    """fred has his mail sent on and keeps a copy; what is sent on is kept by
    a program in the place of sendmail, one file a call."""
    name = "mbox and forward"

    def configure(self):
        self.outbox = os.path.join(self.root, "outbox")
        program = os.path.join(self.root, "submit")
        with open(program, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\n"
                    f"out=$(mktemp {self.outbox}/.new.XXXXXX) || exit 75\n"
                    'cat >"$out" || exit 75\n'
                    f'mv "$out" {self.outbox}/mail.$$ || exit 75\n')
        os.chmod(program, 0o755)
        self.extra = f'submit = "{program}"\n'
        super().configure()

    def reset(self, old=(), user=agents.USER, size=SIZE):
        super().reset(old, user, size)
        for path in (self.outbox, os.path.join(self.root, "state")):
            shutil.rmtree(path, ignore_errors=True)
            os.mkdir(path, 0o700)
            os.chown(path, agents.NOBODY, agents.NOBODY)
        home = os.path.join(self.root, "home", agents.DOMAIN, agents.USER)
        os.makedirs(home, exist_ok=True)
        script = os.path.join(home, ".dovecot.sieve")
        with open(script, "w", encoding="ascii") as f:
            f.write('require "copy"; redirect :copy "jane@else.test";\n')
        for path in (home, script):
            os.chown(path, agents.NOBODY, agents.NOBODY)

    def forwards(self):
        """Whole letters that the MTA has taken."""
        found = []
        for name in os.listdir(self.outbox):
            if name.startswith("mail."):
                with open(os.path.join(self.outbox, name), "rb") as f:
                    found.append(agents.read_message(f.read()))
        return found


class ForwardMaildir(ForwardAgent):
    name = "Maildir and forward"
    format = "maildir"


def judge(agent, case):
    agent.reset()
    log = os.path.join(agent.root, "trace")
    # Without -f: the filter and the MTA's program are not what is struck.
    prefix = ["strace", "-qq", "-o", log, "-e", f"trace={case.call.name}", "-e",
              "signal=none", f"--inject={case.inject()}"]
    # The MTA's program may outlive who is killed: it is this case's.
    code = sweep.deliver(agent, "first", SIZE, prefix, all_end=True)
    wrong = []
    if code != 0:
        again = sweep.deliver(agent, "first", SIZE)
        if again != 0:
            wrong.append(f"the retry says {again}")
    box, sent = agent.read(), agent.forwards()
    copies = box.tokens.count("first")
    killed = case.error == "KILL"
    if copies < 1 or box.broken:
        wrong.append(f"box holds {box.tokens}, broken {box.broken}")
    # Killed between the last sync and the exit status, the copy is there and
    # the MTA does not know; that is every agent's window.
    if copies > (2 if killed else 1):
        wrong.append(f"{copies} copies")
    part = [s for s in sent if not s[1]]
    sent = [s for s in sent if s[1]]
    # A program that reads a pipe would take our death for the letter's end.
    if part:
        wrong.append(f"{len(part)} forwards are not whole")
    if not sent:
        wrong.append("no forward")
    if len(sent) > (2 if killed else 1):
        wrong.append(f"{len(sent)} forwards")
    return wrong


def own_calls(log):
    """What vbox-deliver itself does; the sh of the MTA is not ours."""
    with open(log, encoding="utf-8", errors="replace") as f:
        first = f.readline().split()[0]
    own = log + ".own"
    with open(log, encoding="utf-8", errors="replace") as f, \
            open(own, "w", encoding="utf-8") as out:
        out.writelines(line for line in f if line.split()[0] == first)
    return sweep.parse_trace(own)


@pytest.mark.parametrize("make", [ForwardAgent, ForwardMaildir],
                         ids=lambda a: a.format)
@pytest.mark.parametrize("kind", ["kill", "error"])
def test_neither_lost_nor_doubled(make, kind, shm, results):
    agent = make(os.path.join(shm, "site"))
    agent.reset()
    log = os.path.join(agent.root, "trace")
    assert sweep.deliver(agent, "first", SIZE,
                         ["strace", "-f", "-qq", "-o", log]) == 0
    assert len(agent.forwards()) == 1 and agent.read().tokens == ["first"]
    cases = [c for c in sweep.plan(own_calls(log), (kind,))
             if c.call.name in STORING and not c.call.loader and not c.lasting
             # An injected failure leaves the pipe open, unlike a real one.
             and (c.call.name != "close" or c.error == "KILL")
             and c.error in ("KILL", "EIO", "ENOSPC", "EAGAIN")]
    assert len(cases) > 10
    result = sweep.Result(f"{agent.name}, {kind}")
    for case in cases:
        wrong = judge(agent, case)
        result.cases += 1
        if wrong:
            result.failed.append((str(case), wrong))
    results.append(result)
    assert not result.failed, "\n".join(map(str, result.failed))


def test_the_retry_after_a_failed_save_forwards_no_second_time(shm):
    """The copy cannot be saved after the forward is out: 4xx, and again."""
    agent = ForwardMaildir(os.path.join(shm, "site"))
    agent.reset()
    prefix = ["strace", "-f", "-qq", "-o", "/dev/null", "-e",
              "trace=link,linkat,rename,renameat,renameat2",
              "--inject=link,linkat,rename,renameat,renameat2:error=EIO"]
    # The submission program renames, too: it is given cp's ways.
    program = os.path.join(agent.root, "submit")
    with open(program, "w", encoding="ascii") as f:
        f.write(f"#!/bin/sh\ncat >{agent.outbox}/mail.$$ || exit 75\n")
    for _ in range(3):
        assert sweep.deliver(agent, "first", SIZE, prefix) == 75
        assert len(agent.forwards()) == 1 and agent.read().tokens == []
    assert sweep.deliver(agent, "first", SIZE) == 0
    assert len(agent.forwards()) == 1 and agent.read().tokens == ["first"]
