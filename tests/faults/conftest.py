"""What the fault tests share; their totals close the report of pytest."""

import os
import shutil
import sys
import tempfile

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
for path in (os.path.dirname(HERE), HERE):
    if path not in sys.path:
        sys.path.insert(0, path)

import mounts  # noqa: E402

_results = []


@pytest.fixture(scope="session")
def results():
    """Append a line, or a sweep's Result, to see it in the totals."""
    return _results


@pytest.fixture
def shm():
    """A directory in memory: thousands of syncs cost nothing there."""
    path = tempfile.mkdtemp(prefix="vbox-faults-", dir="/dev/shm")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def disk():
    """A directory on the machine's disk."""
    path = tempfile.mkdtemp(prefix="vbox-faults-",
                            dir=os.environ.get("VBOX_TMP"))
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def own_mounts():
    if not mounts.able():
        pytest.skip("mount namespaces need root")


def pytest_terminal_summary(terminalreporter):
    cases = survived = 0
    for r in _results:
        terminalreporter.write_line(f"faults: {r}")
        if hasattr(r, "cases"):
            cases += r.cases
            survived += r.survived()
    if cases:
        terminalreporter.write_line(
            f"faults: {cases} in all, {survived} survived")
