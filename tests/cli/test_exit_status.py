# SPDX-License-Identifier: MIT
"""Exit statuses: 2 for what the command line alone shows to be wrong, 1 for what cannot be begun.

Values of the original's own flags that it would take stay errors of the start, as they are with it.
"""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("GOTUNNEL", ROOT / "build/gotunnel")).resolve()
LONG, SHORT = "a-secret-of-more-than-16-bytes", "short"
SERVER = ("server", "-secret", LONG)
CLIENT = ("client", "-server", "127.0.0.1:1", "-ca", "missing.crt")


@pytest.mark.parametrize("status,words,text", [
    # ours
    (2, (*CLIENT, "-secret", LONG, "-id", "a b"), "-id"),
    (2, (*CLIENT, "-secret", LONG, "-id", "x" * 65), "-id"),
    (2, (*CLIENT, "-secret", SHORT, "-id", "a b"), "-id"),
    (2, (*SERVER, "-listen", "127.0.0.1:0", "-public-bind", "localhost"), "-public-bind"),
    (2, (*SERVER, "-threads", "0"), "-threads"),
    (2, (*SERVER, "-allow-ports", "x"), "-allow-ports"),
    (2, (*SERVER, "-trusted-proxy", "localhost"), "-trusted-proxy"),
    (2, (*CLIENT, "-secret", SHORT, "-legacy", "never"), "secret"),
    (1, (*CLIENT, "-secret-file", "missing"), "missing"),
    # the original's: its grammar, and what it takes and cannot use
    (2, (*CLIENT, "-secret", LONG, "-remote-port", "80.0"), "-remote-port"),
    (1, (*CLIENT, "-secret", LONG, "-remote-port", "70000"), "-remote-port 70000"),
    (1, (*CLIENT, "-secret", LONG, "-local-target", "a:b:c"), "-local-target"),
    (1, (*CLIENT, "-secret", LONG), "missing.crt"),
    (1, (*SERVER, "-listen", "1:2:3"), "1:2:3"),
], ids=lambda v: " ".join(v) if isinstance(v, tuple) else None)
def test_a_wrong_command_line_and_a_start_that_fails_differ(tmp_path, status, words, text):
    done = subprocess.run([PROGRAM, *words], env={**os.environ, "LC_ALL": "C", "GOTUNNEL_SECRET": "",
                                                  "XDG_STATE_HOME": str(tmp_path)},
                          cwd=tmp_path, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert text in done.stderr
    assert done.returncode == status, done.stderr
