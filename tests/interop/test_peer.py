# SPDX-License-Identifier: MIT
"""The Go peer stands for the original, so its command line must be the recorded one."""

import json
import re
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OUT = ROOT / "build/interop"
STAMP = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} ", re.M)
RECORDED = json.loads((ROOT / "tests/vectors/cli/flags.json").read_text())
# "PARSED" lines come from a recorder that stopped where the program would have begun to run.
ENDS_BY_ITSELF = [r for r in RECORDED if not r["stdout"].startswith("PARSED")]


@pytest.mark.parametrize("name", ["go16", "go57"])
def test_the_recorded_command_lines(name, tmp_path):
    subprocess.run([HERE / "build.sh", OUT], check=True, timeout=600)
    why = OUT / f"{name}.skip"
    if why.exists():
        pytest.skip(why.read_text().strip())
    assert len(ENDS_BY_ITSELF) > 50
    for r in ENDS_BY_ITSELF:
        done = subprocess.run([OUT / name, *r["argv"]], cwd=tmp_path, capture_output=True, timeout=20,
                              stdin=subprocess.DEVNULL)
        err = STAMP.sub("YYYY/MM/DD hh:mm:ss.uuuuuu ", done.stderr.decode())
        assert (done.returncode, done.stdout.decode(), err) == (r["exit"], r["stdout"], r["stderr"]), r["argv"]
