# SPDX-License-Identifier: MIT
"""The recorded join strings are what a second implementation makes, and the specification shows the usual one."""
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "vectors" / "join"


def test_vectors_are_what_python_makes():
    out = subprocess.run([sys.executable, FOLDER / "vectors.py"], check=True, capture_output=True, text=True).stdout
    assert out == (FOLDER / "vectors.txt").read_text()


def test_the_specification_shows_one():
    kind, text, *says = (FOLDER / "vectors.txt").read_text().splitlines()[0].split()
    shown = (ROOT / "docs" / "protocol.md").read_text()
    assert kind == "good" and all(value in shown for value in (text, *says))
