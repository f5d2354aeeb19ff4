# SPDX-License-Identifier: MIT
"""The recorded proofs of gotunnel/2 are what a second implementation computes."""
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "vectors" / "hello"


def test_vectors_are_what_python_computes():
    out = subprocess.run([sys.executable, FOLDER / "vectors.py"], check=True, capture_output=True,
                         text=True).stdout
    assert out == (FOLDER / "vectors.txt").read_text()
