# SPDX-License-Identifier: MIT
"""The filter for fail2ban, by fail2ban itself: on a recorded log of every kind, and on what the program writes now."""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from lib import wire

ROOT = Path(__file__).resolve().parents[2]
FILTER = ROOT / "packaging/fail2ban/gotunnel.conf"
RECORDED = ROOT / "tests/vectors/strangers/log.txt"
NORMAL = {"auth_failed", "penalty"}
AGGRESSIVE = NORMAL | {"secret_not", "tls_not", "tls_failed", "timeout"}

pytestmark = pytest.mark.skipif(not shutil.which("fail2ban-regex"), reason="fail2ban-regex is not installed")


def found(log, mode):
    """How often each address is found in a log file."""
    done = subprocess.run(["fail2ban-regex", "--out", "ip", str(log), f"{FILTER}[mode={mode}]"],
                          capture_output=True, text=True, timeout=120, check=True)
    return Counter(done.stdout.split())


def wanted(text, words):
    """The same by our own reading."""
    return Counter(m[2] for m in re.finditer(r"^\S+ \S+ event=(\w+) src=([^-\s]\S*) ", text, re.M) if m[1] in words)


@pytest.mark.parametrize("mode, words", [("normal", NORMAL), ("aggressive", AGGRESSIVE)])
def test_every_kind_as_recorded(mode, words):
    text = RECORDED.read_text()
    kinds = set(re.findall(r" event=(\w+) src=(?!192)", text))
    rows = re.findall(r"EVENT_STRANGER\d\((\w+)", (ROOT / "src/base/events.def").read_text())
    assert kinds == set(rows)  # none is missing in the record
    expected = wanted(text, words)
    assert expected["198.51.100.9"] == len(words) and not expected.keys() & {"192.0.2.66", "10.0.0.2", "-"}
    assert " src=- " in text and "10.0.0.2" in text
    assert found(RECORDED, mode) == expected


def test_as_syslog_and_the_journal_write_it(tmp_path):
    lines = [line for line in RECORDED.read_text().splitlines() if " event=" in line]
    log = tmp_path / "syslog"
    log.write_text("".join(f"Nov 27 23:10:00 host gotunnel[321]: {line}\n" for line in lines))
    assert found(log, "normal") == wanted(RECORDED.read_text(), NORMAL)


@pytest.mark.parametrize("language", ["C.UTF-8", "zh_CN.UTF-8"])
def test_as_the_program_writes_it_now(lab, tmp_path, language):
    server = lab.server(env={"LC_ALL": language})
    for i in range(4):
        with wire.dial(server.port, server.ca, source=(f"127.13.0.{i % 2 + 1}", 0)) as w:
            w.send(b"event=auth_failed src=192.0.2.66 \n")
            w.wait_closed()
    with wire.dial(server.port, server.ca, source=("127.13.0.3", 0)) as w:
        w.login(server.secret)
    log = tmp_path / "log"
    log.write_text(server.wait_count("event=auth_failed src=127.13.", 4))
    assert found(log, "normal") == {"127.13.0.1": 2, "127.13.0.2": 2}
