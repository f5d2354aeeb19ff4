# SPDX-License-Identifier: MIT
"""The programs of the benchmark, and its driver as a package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def program():
    return Path(os.environ.get("GOTUNNEL", ROOT / "build/gotunnel")).resolve()


@pytest.fixture(scope="session")
def tools(tmp_path_factory):
    """The directory of load, limit, delay and hostile. Compiled here: builds for users do not have them."""
    out = tmp_path_factory.mktemp("tools")
    ssl = subprocess.run(["pkg-config", "--cflags", "--libs", "openssl"], check=True, capture_output=True,
                         text=True).stdout.split()
    for name, libraries in (("load", []), ("limit", ssl), ("delay", []), ("hostile", [*ssl, "-pthread"])):
        sources = sorted((ROOT / "bench").glob(f"{name}*.c"))
        subprocess.run(["cc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", f"-I{ROOT}",
                        "-o", out / name, *sources, *libraries], check=True, timeout=300)
    return out


@pytest.fixture(scope="session")
def fleet_tool(program):
    """bench/fleet of the build that the program is of: it is made of the same libraries."""
    tool = program.parent / "bench/fleet"
    if not tool.exists():
        pytest.skip(f"{tool} is not built")
    return tool
