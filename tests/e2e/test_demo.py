# SPDX-License-Identifier: MIT
"""`make demo`: three tunnels by `gotunnel up` and `gotunnel join`, each with its own page; it fails when one comes back wrong."""

import os
import re
import shutil
import subprocess

import pytest

from lib.procs import PROGRAM, ROOT

pytestmark = pytest.mark.patient


def demo(lab, language="C.UTF-8", path=""):
    """It leaves nothing behind, whatever becomes of it."""
    places = lab.path / "tmp"
    places.mkdir()
    env = {**os.environ, "LC_ALL": language, "TMPDIR": str(places), "PATH": f"{path}{os.environ['PATH']}"}
    done = subprocess.run([ROOT / "tools/demo", PROGRAM], capture_output=True, text=True, timeout=120, cwd=lab.path, env=env,
                          stdin=subprocess.DEVNULL)
    assert not list(places.iterdir())
    return done


@pytest.mark.parametrize("language,words", [("C.UTF-8", r"'(\w+)' came back: "), ("zh_CN.UTF-8", r"“(\w+)”已取回：")])
def test_it_shows_three_tunnels(lab, language, words):
    done = demo(lab, language)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(words, done.stdout) == ["red", "green", "blue"]
    urls = re.findall(r"curl (http://127\.0\.0\.1:\d+/)", done.stdout)
    assert len(set(urls)) == 3
    for command in ("gotunnel up -listen", "gotunnel join - red="):
        assert f"     {command}" in done.stdout
    assert done.stdout.count("(new)" if language == "C.UTF-8" else "新建") == 3


def test_it_fails_when_one_page_is_wrong(lab):
    """The second one, by a curl that changes a byte."""
    real = shutil.which("curl")
    fake = lab.path / "bin/curl"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nn=$(cat "{lab.path}/n" 2>/dev/null || echo 0)\necho $((n + 1)) >"{lab.path}/n"\n'
                    f'if [ "$n" = 1 ]; then {real} "$@" | sed s/green/greem/; else {real} "$@"; fi\n')
    fake.chmod(0o755)
    done = demo(lab, path=f"{fake.parent}:")
    assert done.returncode == 1 and "'red' came back: " in done.stdout, done.stdout + done.stderr
    assert "The demo failed: the page of 'green' came back different" in done.stdout
    assert "-- the end of client.log:" in done.stdout and "The tunnels work" not in done.stdout
