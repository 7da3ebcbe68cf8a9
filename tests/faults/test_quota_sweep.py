"""Quota under faults: each call of a delivery fails or the process is killed
before it; after the next delivery `vboxadm quota recalc` finds nothing to put
right (FAULTS a.8)."""
import json
import os
import shutil
import subprocess

import pytest

import agents
import sweep

pytestmark = pytest.mark.release


class QuotaAgent(agents.Vbox):
    """fred has limits, and so has the domain; there is a maildirsize and a
    ledger already, as on any day but the first."""
    name = "mbox with quota"
    extra = ('quota_bytes = 1000000\nquota_messages = 100\n'
             'domain_quota_bytes = 2000000\n')

    def configure(self):
        super().configure()
        with open(self.conf, encoding="ascii") as f:
            text = f.read()
        text = text.replace(f'state_dir = "{self.root}"',
                            f'state_dir = "{self.root}/state"')
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(text)
        self.vboxadm = os.path.join(os.path.dirname(self.program), "vboxadm")

    def reset(self, old=(), user=agents.USER, size=10000):
        super().reset(old, user, size)
        state = os.path.join(self.root, "state")
        shutil.rmtree(state, ignore_errors=True)
        os.mkdir(state)
        os.chown(state, agents.NOBODY, agents.NOBODY)
        self.recalc()

    def recalc(self):
        r = subprocess.run([self.vboxadm, "-c", self.conf, "quota", "recalc",
                            agents.DOMAIN, "--json"], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, check=False)
        if r.returncode:
            return [f"recalc failed: {r.stderr.decode()}"]
        return [f"recalc had to put right {x}" for x in json.loads(r.stdout)
                if x["changed"]]


class QuotaMaildirAgent(QuotaAgent):
    name = "Maildir with quota"
    format = "maildir"


class FreshMaildirAgent(QuotaMaildirAgent):
    """The first delivery under a limit: all has to be counted."""
    name = "Maildir with quota, nothing counted yet"

    def reset(self, old=(), user=agents.USER, size=10000):
        super().reset(old, user, size)
        shutil.rmtree(os.path.join(self.root, "state", agents.DOMAIN))
        os.unlink(os.path.join(self.box(), "maildirsize"))


def quota_judge(judge):
    def look(agent, case, *args, **kwargs):
        wrong = judge(agent, case, *args, **kwargs)
        return wrong or agent.recalc()
    return look


@pytest.mark.parametrize("agent", [QuotaAgent, QuotaMaildirAgent,
                                   FreshMaildirAgent],
                         ids=lambda a: a.__name__)
@pytest.mark.parametrize("kind", ["kill", "error"])
def test_quota_survives(agent, kind, shm, results, monkeypatch):
    monkeypatch.setattr(sweep, "judge", quota_judge(sweep.judge))

    def select(case):
        # what is the same without a quota is swept elsewhere
        return kind == "kill" or sweep.storing(case)
    result = sweep.sweep(agent, shm, kinds=(kind,), select=select)
    results.append(result)
    assert result.cases > 50
    assert not result.failed, "\n".join(
        f"{case}: {'; '.join(wrong)}" for case, wrong in result.failed[:20])


@pytest.mark.parametrize("agent", [QuotaMaildirAgent], ids=lambda a: a.__name__)
def test_a_kill_is_seen_before_it_is_healed(agent, shm):
    """Killed between the link and the line in maildirsize, the file is wrong:
    so a sweep that finds nothing has something that it could have found."""
    a = agent(os.path.join(shm, "site"))
    calls = sweep.trace(a, 1000)
    seen = []
    for call in [c for c in calls if c.name in ("fsync", "fcntl", "openat2")]:
        a.reset(sweep.OLD)
        sweep.deliver(a, "first", 1000, ["strace", "-f", "-qq", "-o", "/dev/null",
                      "-e", f"trace={call.name}", "-e", "signal=none",
                      f"--inject={sweep.Case(call, 'KILL', False).inject()}"])
        seen += a.recalc()
    assert seen
