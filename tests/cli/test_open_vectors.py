# SPDX-License-Identifier: MIT
"""The recorded frames OPEN are what a second implementation makes of the document."""
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "vectors" / "open"


def test_vectors_are_what_python_computes():
    out = subprocess.run([sys.executable, FOLDER / "vectors.py"], check=True, capture_output=True,
                         text=True).stdout
    assert out == (FOLDER / "vectors.txt").read_text()


def test_the_specification_shows_the_example():
    name, frame, _ = (FOLDER / "vectors.txt").read_text().splitlines()[0].split()
    text = (ROOT / "docs" / "protocol.md").read_text()
    assert name == "example"
    assert frame in "".join(text.split()), frame
