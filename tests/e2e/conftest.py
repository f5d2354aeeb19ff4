# SPDX-License-Identifier: MIT
"""Fixtures; what they give is explained in lib/procs.py and lib/services.py."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lib import procs, services  # noqa: E402

PAIRINGS = ["c-c", "c-go16", "go16-c", "go16-go16", "c-go57", "go57-c", "go57-go57"]


def pytest_configure(config):
    config.addinivalue_line("markers", "serial: heavy, or minds the clock: runs alone")
    config.addinivalue_line("markers", "patient: waits more than it works: many run at once")
    config.addinivalue_line("markers", "long: minutes or hours: only with -m long (make test-long)")


@pytest.fixture
def lab(tmp_path):
    lab = procs.Lab(tmp_path)
    yield lab
    problems = lab.close()
    if problems:
        pytest.fail("\n".join(problems))


@pytest.fixture
def server(lab):
    """A running server of ours."""
    return lab.server()


@pytest.fixture(params=PAIRINGS)
def pairing(request):
    """Which implementation is the server and which the client."""
    return request.param


@pytest.fixture
def echo():
    """A service that sends back what it gets, and ends when its peer does."""
    with services.Service(services.echo) as s:
        yield s
