# SPDX-License-Identifier: MIT
"""The programs of the benchmark, and its driver as a package."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def program():
    return Path(os.environ.get("GOTUNNEL", ROOT / "build/gotunnel")).resolve()


@pytest.fixture(scope="session")
def tools(program):
    """The directory of load, limit, delay, hostile and fleet, of the build that the program is of: with -Dtests=true."""
    place = program.parent / "bench"
    if not (place / "fleet").exists():
        pytest.skip(f"{place}/fleet is not built")
    return place


@pytest.fixture(scope="session")
def fleet_tool(tools):
    return tools / "fleet"
