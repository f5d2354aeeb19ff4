# SPDX-License-Identifier: MIT
"""Programs that people run through tunnels: SSH, Redis, nginx, iperf3."""

import json
import re

import pytest

from lib import programs
from lib.programs import run, tool
from lib.services import pattern

WRK_SECONDS = 2
IPERF_SECONDS = 2


def test_ssh(lab, pairing):
    sshd = programs.Sshd(lab)
    t = lab.tunnel(sshd.port, pairing)
    ssh = [tool("ssh", "openssh-client"), *sshd.options(t.port), sshd.login]
    assert run(*ssh, "echo through; exit 0") == b"through\n"
    # The command's standard input ends, and it still answers: SSH has ends of stream of its own.
    assert run(*ssh, "wc -c", input=bytes(1000000)).strip() == b"1000000"


def test_scp(lab, pairing):
    sshd = programs.Sshd(lab)
    t = lab.tunnel(sshd.port, pairing)
    scp = [tool("scp", "openssh-client"), "-q", *sshd.options(t.port)]
    data = pattern("scp", 20_000_000)
    (lab.path / "a").write_bytes(data)
    run(*scp, lab.path / "a", f"{sshd.login}:{lab.path}/b")
    assert (lab.path / "b").read_bytes() == data
    run(*scp, f"{sshd.login}:{lab.path}/b", lab.path / "c")
    assert (lab.path / "c").read_bytes() == data


@pytest.mark.parametrize("direction", [(), ("-R",)], ids=["up", "down"])
def test_iperf3(lab, pairing, direction):
    """One direction a server: one that has just finished a test is still busy for a moment."""
    t = lab.tunnel(programs.iperf3(lab), pairing)
    report = json.loads(run(tool("iperf3", "iperf3"), "-c", "127.0.0.1", "-p", t.port, "-J",
                            "-t", IPERF_SECONDS, "-P", 2, *direction))
    assert "error" not in report, report
    assert report["end"]["sum_received"]["bytes"] > 1_000_000


def test_redis(lab, pairing):
    t = lab.tunnel(programs.redis(lab), pairing)
    cli = [tool("redis-cli", "redis-tools"), "-h", "127.0.0.1", "-p", t.port]
    value = pattern("redis", 10_000_000)
    assert run(*cli, "-x", "SET", "big", input=value) == b"OK\n"
    assert run(*cli, "GET", "big") == value + b"\n"


def test_redis_pipelining(lab, pairing):
    t = lab.tunnel(programs.redis(lab), pairing)
    cli = [tool("redis-cli", "redis-tools"), "-h", "127.0.0.1", "-p", t.port]
    commands = b"".join(b"SET key%d %s\r\n" % (i, b"v" * (i % 97 + 1)) for i in range(20000))
    assert b"errors: 0, replies: 20000" in run(*cli, "--pipe", input=commands)
    assert run(*cli, "DBSIZE") == b"20000\n"
    assert run(*cli, "GET", "key19999") == b"v" * (19999 % 97 + 1) + b"\n"


def test_nginx(lab, pairing):
    page = pattern("page", 200000)
    t = lab.tunnel(programs.nginx(lab, {"page": page, "small": b"small\n"}), pairing)
    url = f"http://127.0.0.1:{t.port}"
    got = run(tool("curl", "curl"), "-sSf", "--max-time", 30, f"{url}/page", f"{url}/small", f"{url}/page")
    assert got == page + b"small\n" + page
    report = run(tool("wrk", "wrk"), "-t1", "-c20", f"-d{WRK_SECONDS}s", "--timeout", "20s",
                 f"{url}/small").decode()
    assert "Socket errors" not in report and "Non-2xx" not in report, report
    assert int(re.search(r"(\d+) requests in", report).group(1)) > 20, report
