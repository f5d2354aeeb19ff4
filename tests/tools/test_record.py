# SPDX-License-Identifier: MIT
"""The picture of a cut in the README, and tools/record-cut, which draws it."""

import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = "{http://www.w3.org/2000/svg}text"
SIZE_MAX = 24 << 10


def record(tmp_path, script):
    out = tmp_path / "out.svg"
    done = subprocess.run([ROOT / "tools/record-cut", out, "make it", "sh", "-c", script], capture_output=True, text=True, timeout=60)
    return done, out


def test_every_line_is_drawn_at_its_time(tmp_path):
    done, out = record(tmp_path, "echo '1 < 2 & \"3\"'; echo; printf '%0150d\\n' 7; read x; echo the link is cut")
    assert done.returncode == 0, done.stderr
    texts = list(ET.parse(out).getroot().iter(TEXT))
    assert [t.text for t in texts] == ["$ make it", '1 < 2 & "3"', "0" * 100, "0" * 49 + "7", "the link is cut"]
    delays = [float(re.search(r"delay:([\d.]+)s", t.get("style"))[1]) for t in texts]
    assert delays == sorted(delays) and delays[0] == 0
    assert texts[-1].get("class") == "l cut" and "prefers-color-scheme: dark" in out.read_text()


def test_a_command_that_fails_draws_nothing(tmp_path):
    done, out = record(tmp_path, "echo no; exit 3")
    assert done.returncode != 0 and "status 3" in done.stderr and not out.exists()
    done, out = record(tmp_path, "seq 100")
    assert done.returncode != 0 and "lines" in done.stderr and not out.exists()


def test_the_picture_of_the_readme_is_a_run_that_succeeded():
    """Of both downloads the sums are there: gotunnel's is the file's, and that of ssh -R broke in the midst."""
    picture = ROOT / "docs/cut.svg"
    assert picture.stat().st_size < SIZE_MAX and "<script" not in picture.read_text()
    lines = [t.text for t in ET.parse(picture).getroot().iter(TEXT)]
    assert lines[0] == "$ make demo-cut"
    said = "\n".join(lines)
    itself = re.search(r"The file itself: +([0-9a-f]{64})", said)[1]
    assert re.search(r"Through gotunnel: +([0-9a-f]{64})", said)[1] == itself
    assert re.search(r"Through ssh -R: +broken after \d+ of \d+ bytes", said)
    assert "*** the link is cut" in said and "*** the link is back ***" in said and "with a cut of 10 seconds in it" in said
    for readme in ("README.md", "README.zh-CN.md"):
        assert "docs/cut.svg" in (ROOT / readme).read_text()
