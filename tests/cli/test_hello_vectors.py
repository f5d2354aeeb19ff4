# SPDX-License-Identifier: MIT
"""The recorded proofs of gotunnel/2 are what a second implementation computes."""
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "vectors" / "hello"


def test_vectors_are_what_python_computes():
    out = subprocess.run([sys.executable, FOLDER / "vectors.py"], check=True, capture_output=True,
                         text=True).stdout
    assert out == (FOLDER / "vectors.txt").read_text()


def test_the_specification_shows_them():
    text = (ROOT / "docs" / "protocol.md").read_text()
    for line in (FOLDER / "vectors.txt").read_text().splitlines():
        name, value = line.split()
        if name.endswith("_line"):
            value = bytes.fromhex(value).decode()
        elif value.startswith("7b"):  # more lines, which the document only mentions
            continue
        elif name in ("secret", "key_text"):
            value = bytes.fromhex(value).decode()
        assert value in text, name
