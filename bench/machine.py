# SPDX-License-Identifier: MIT
"""What the machine is, so that figures can be read elsewhere."""

import os
import platform
import re
import ssl
import subprocess
import time
from pathlib import Path

from bench.lab import ROOT


def _read(path):
    try:
        return " ".join(Path(path).read_text().split())
    except OSError:
        return "unknown"


def _said(*command):
    """The first line of what a program says, or "unknown"."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=ROOT)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return (done.stdout.splitlines() or ["unknown"])[0] if done.returncode == 0 else "unknown"


def _cpu():
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else platform.machine()


def _memory_gb():
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)


def facts():
    release = Path("/etc/os-release")
    name = re.search(r'PRETTY_NAME="(.*)"', release.read_text()) if release.exists() else None
    net = "/proc/sys/net/ipv4/"
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": _cpu(),
        "processors": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "system": name[1] if name else platform.system(),
        "kernel": platform.release(),
        "openssl": ssl.OPENSSL_VERSION,
        "libuv": _said("pkg-config", "--modversion", "libuv"),
        "compiler": _said("cc", "--version"),
        "congestion_control": _read(net + "tcp_congestion_control"),
        "tcp_rmem": _read(net + "tcp_rmem"),
        "tcp_wmem": _read(net + "tcp_wmem"),
        "commit": _said("git", "describe", "--always", "--dirty"),
    }


def load():
    """What else ran meanwhile: the load average of the last minute."""
    return os.getloadavg()[0]
