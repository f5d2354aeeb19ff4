# SPDX-License-Identifier: MIT
"""An interrupted `make test` leaves no process behind.

The real tools/test, in a tree whose Meson, Ninja and fuzz targets are stand-ins that start what tests start: children,
daemons in sessions of their own, some that take no hint.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120

STUBBORN = """#!/usr/bin/python3
import os, signal, subprocess, sys, time
mark = os.environ["MARK"]
sleep = [sys.executable, "-c", "import time; time.sleep(120)", mark]
deaf = [sys.executable, "-c", "import signal, time\\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\\ntime.sleep(120)", mark]
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
subprocess.Popen(sleep, **quiet)                           # a child
subprocess.Popen(sleep, start_new_session=True, **quiet)   # as every process of the e2e tests
subprocess.Popen(deaf, start_new_session=True, **quiet)
if os.fork() == 0:                                       # a daemon: its parent is gone
    os.setsid()
    if os.fork() == 0:
        os.execv(deaf[0], deaf)
    os._exit(0)
open(os.environ["READY"], "w").close()
time.sleep(120)
"""
FINE = "#!/bin/sh\nexit 0\n"


def marked(mark):
    """Command lines of processes that have the mark among their arguments."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if state != "Z" and mark.encode() in words:
            found.append((int(entry.name), words))
    return found


def wait_until(check, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not check() and time.monotonic() < deadline:
        time.sleep(0.02)
    return check()


def tree(tmp_path, **programs):
    """A project whose every stage passes, but for the programs given."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools/test", tmp_path / "tools/test")
    (tmp_path / "Makefile").write_text("test:\n\t@tools/test\n")
    for build in ("build", "build-asan", "build-tsan", "build-fuzz", "tests"):
        (tmp_path / build).mkdir()
    place = tmp_path / "bin"
    place.mkdir()
    for name in ("meson", "ninja", "setarch", "build-fuzz/fuzz_one"):
        path = tmp_path / name if "/" in name else place / name
        path.write_text(programs.get(name.split("/")[-1], FINE))
        path.chmod(0o755)
    return place


CASES = [("ninja", command, how) for command in ("tools/test", "make test")
         for how in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] + [("fuzz_one", "tools/test", signal.SIGTERM)]


@pytest.mark.parametrize("stage,command,how", CASES)
def test_nothing_stays_behind(tmp_path, stage, command, how):
    place = tree(tmp_path, **{stage: STUBBORN})
    mark, ready = f"gotunnel-test-mark-{os.getpid()}-{time.monotonic_ns()}", tmp_path / "ready"
    env = {**os.environ, "PATH": f"{place}:{os.environ['PATH']}", "MARK": mark, "READY": str(ready)}
    env.pop("CI", None)
    if stage == "fuzz_one":
        env["FUZZ"] = "1"  # after nine times pytest, which finds nothing in tests/
    command = command.replace("tools/test", str(tmp_path / "tools/test")).split()
    with open(tmp_path / "output", "wb") as output:
        p = subprocess.Popen(command, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stdout=output,
                             stderr=output, start_new_session=True)
    try:
        assert wait_until(ready.exists), (tmp_path / "output").read_text()
        assert wait_until(lambda: len(marked(mark)) == 4)
        if how == signal.SIGTERM:
            p.send_signal(how)  # make passes this one on, and no other
        else:
            os.killpg(p.pid, how)  # as a terminal does
        assert p.wait(PATIENCE) != 0
        assert wait_until(lambda: not marked(mark), 5), [w for _, w in marked(mark)]
    finally:
        for pid, _ in marked(mark):
            os.kill(pid, signal.SIGKILL)
        if p.poll() is None:
            p.kill()
            p.wait()
