"""Fixtures for the tests of whole programs. See tests/harness."""
import os
import shutil

import pytest

from harness import BUILD
from harness.site import Site, copy_programs, new_directory, remove

# What the tests make is read by servers that are not root.
os.umask(0o022)


def pytest_collection_modifyitems(items):
    """Faults are injected as root or not at all."""
    if os.geteuid() == 0:
        return
    for item in items:
        if "faults" in item.path.parts:
            item.add_marker(pytest.mark.skip(reason="only root injects faults"))


@pytest.fixture(scope="session")
def programs():
    assert (BUILD / "vbox-deliver").exists(), f"nothing built in {BUILD}"
    top = new_directory("vbox-bin-")
    yield copy_programs(top / "bin")
    shutil.rmtree(top)


@pytest.fixture
def scratch():
    """An empty directory, passable for everybody."""
    path = new_directory()
    yield path
    remove(path)


@pytest.fixture
def site(scratch, programs):
    """A private site, with fred in d1.test (mbox) and d2.test (Maildir)."""
    if os.geteuid() != 0:
        pytest.skip("only root can give mailboxes to a user of their own")
    s = Site(scratch, programs)
    s.add("d1.test", "fred")
    s.add("d2.test", "fred")
    return s
