"""Parts of contrib that no server runs: completion and dashboard agree with
the programs that they are about."""
import json
import re
import subprocess
from pathlib import Path

import pytest

from harness import BUILD

TOP = Path(__file__).resolve().parents[2]
COMPLETION = TOP / "contrib/completion/vbox.bash"
DASHBOARD = TOP / "contrib/grafana/vbox.json"

# What the shell does when a person presses TAB behind these words.
PRESS_TAB = r"""
source "$1"; shift
vboxadm() {
	case $* in
	help*) "$VBOXADM" "$@" ;;
	"-q domain list") printf '%s\n' a.test b.test ;;
	"-q user list") echo fred@a.test ;;
	"-q log list") echo "7-1-0-0a0b0c0d 2026-11-30T03:10:00Z 900 /home/fred x" ;;
	esac
}
COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
name=$(complete -p "$1"); name=${name#*-F }; name=${name%% *}
$name
printf '%s\n' "${COMPREPLY[@]}"
"""


def tab(*words):
    r = subprocess.run(["bash", "-uc", PRESS_TAB, "tab", COMPLETION, *words],
                       capture_output=True, text=True, check=True, cwd=TOP,
                       env={"PATH": "/usr/bin:/bin", "VBOXADM": TOP / BUILD / "vboxadm"})
    assert r.stderr == ""
    return r.stdout.split()


@pytest.mark.parametrize("words,want", [
    (["vbox-deliver", ""], ["a.test", "b.test"]),
    (["vbox-deliver", "-f", "x@y", "--", "b"], ["b.test"]),
    (["vbox-deliver", "-f", ""], []),
    (["vbox-deliver", "a.test", ""], []),
    (["vbox-deliver", "-a", "fr"], ["fred@a.test"]),
    (["vbox-deliver", "-c", "contrib/vbox.c"], ["contrib/vbox.conf"]),
    (["vbox-lmtpd", "-"], ["-c", "-F", "-t", "-v"]),
    (["vboxadm", "dom"], ["domain"]),
    (["vboxadm", "--json", "user", "sus"], ["suspend"]),
    (["vboxadm", "user", "show", ""], ["fred@a.test"]),
    (["vboxadm", "domain", "delete", "a"], ["a.test"]),
    (["vboxadm", "domain", "add", ""], []),
    (["vboxadm", "user", "list", "b"], ["b.test"]),
    (["vboxadm", "import", "vir"], ["virtusertable"]),
    (["vboxadm", "-c", "x", "domain", "delete", "--p"], ["--purge"]),
    (["vboxadm", "user", "suspend", "--r"], ["--reason="]),
    (["vboxadm", "resolve", "f"], ["fred@a.test"]),
    (["vboxadm", "sieve", "check", "contrib/vbox.c"], ["contrib/vbox.conf"]),
    (["vboxadm", "check", "s"], ["sendmail"]),
    (["vboxadm", "log", ""], ["list", "restore"]),
    (["vboxadm", "log", "list", ""], []),
    (["vboxadm", "log", "restore", ""], ["7-1-0-0a0b0c0d"]),
    (["vboxadm", "check", "sendmail", "--c"], ["--config="]),
])
def test_completion(words, want):
    assert tab(*words) == want


def test_completion_knows_the_options_of_vbox_deliver(programs):
    usage = subprocess.run([programs / "vbox-deliver", "-h"],
                           capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"(?<![\w-])-[A-Za-z](?![\w-])", usage))
    offered = set(tab("vbox-deliver", "-"))
    assert options <= offered


def test_dashboard_asks_for_what_there_is():
    dashboard = json.loads(DASHBOARD.read_text())
    source = (TOP / "lda/metrics.c").read_text()
    counters = {f + "_total" for f in re.findall(r'"(vbox_\w+)", COUNTER', source)}
    gauges = set(re.findall(r'"(vbox_\w+)", GAUGE', source))
    known = counters | gauges | {
        "vbox_deliveries_total", "vbox_delivery_seconds_bucket",
        "vbox_start_time_seconds"}
    asked = set()
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            asked |= set(re.findall(r"vbox_\w+", target["expr"]))
    assert asked <= known
    # Whatever is counted can be seen.
    assert known - asked <= {"vbox_start_time_seconds", "vbox_reloads_total"}
    words = set(re.findall(r'"\d\.\d\.\d", "(\w+)"',
                           (TOP / "store/base/verdict.c").read_text()))
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            for alternatives in re.findall(r'verdict=~?"([^"]+)"', target["expr"]):
                assert set(alternatives.split("|")) <= words
    ids = [p["id"] for p in dashboard["panels"]]
    assert len(ids) == len(set(ids))
