# SPDX-License-Identifier: MIT
"""What every test begins with: the usual signals, and loopback addresses that no other process of the run has."""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What the tests start begins with the usual signals, also where `nohup make test &` has told us to ignore some.
for ignorable, usual in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(ignorable) is signal.SIG_IGN:
        signal.signal(ignorable, usual)

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def have_ports_of_our_own():
    """A network of this process, with nothing but loopback in it. A port that a test has closed, or has at one
    address only, is then not given to another test that runs beside it. Needs root; without, tests share ports."""
    if os.geteuid() != 0 or ctypes.CDLL(None).unshare(CLONE_NEWNET) != 0:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = fcntl.ioctl(s, SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh14x", request)[1]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def pytest_configure(config):
    if hasattr(config, "workerinput"):  # pytest-xdist: others run beside us
        have_ports_of_our_own()
    elif config.getoption("numprocesses", None):
        # The newest Go peer comes from the network, which the workers do not have. Whether that worked is for the tests to say.
        subprocess.run([ROOT / "tests/interop/build.sh", ROOT / "build/interop"], check=False, timeout=600)
