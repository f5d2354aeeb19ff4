# SPDX-License-Identifier: MIT
"""A service manager as far as a process can see one: the socket for its news, and what it is started with."""

import contextlib
import ctypes
import os
import socket
import time

import pytest

from .procs import PATIENCE

PTRACE_SEIZE, PTRACE_DETACH, PTRACE_INTERRUPT = 0x4206, 17, 0x4207
WALL = 0x40000000  # waitpid(2): also for threads


class Manager:
    """Listens at NOTIFY_SOCKET. `env` is for the process; `news` has each datagram as a dictionary."""

    def __init__(self, path, watchdog=None):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.env = {"NOTIFY_SOCKET": str(path)}
        if watchdog:
            self.env["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        self.news = []

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.socket.close()

    def get(self, timeout):
        """The next datagram, None without any."""
        self.socket.settimeout(timeout)
        try:
            text = self.socket.recv(4096).decode()
        except (TimeoutError, BlockingIOError):
            return None
        self.news.append(dict(line.split("=", 1) for line in text.splitlines()))
        return self.news[-1]

    def wait(self, key, part="", timeout=PATIENCE):
        """The first datagram from here on whose `key` has `part` in it."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            news = self.get(left)
            if news and part in news.get(key, part + "-"):
                if key in news:
                    return news
        return pytest.fail(f"waited {timeout} s for {key}={part}; there were {self.news}")

    def forget(self):
        """What has come until now does not count."""
        while self.get(0) is not None:
            pass


@contextlib.contextmanager
def frozen(thread):
    """One thread of a child of ours stands still; its number."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(PTRACE_SEIZE, thread, None, None) < 0:
        pytest.skip(f"may not stop a thread: {os.strerror(ctypes.get_errno())}")
    try:
        libc.ptrace(PTRACE_INTERRUPT, thread, None, None)
        os.waitpid(thread, WALL)
        yield
    finally:
        libc.ptrace(PTRACE_DETACH, thread, None, None)
