# SPDX-License-Identifier: MIT
"""One thread of a process that stands still while the others run: what a slow disk, or a burst of work, does to a loop."""

import contextlib
import ctypes
import os

import pytest

SEIZE, INTERRUPT, DETACH, ALL_THREADS = 0x4206, 0x4207, 17, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def trace(request, thread):
    if libc.ptrace(ctypes.c_long(request), ctypes.c_long(thread), ctypes.c_void_p(0), ctypes.c_void_p(0)) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")


def threads(pid):
    """Their names, by number."""
    out = {}
    for number in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{number}/comm") as f:
            out[int(number)] = f.read().strip()
    return out


@contextlib.contextmanager
def held(pid, name):
    """The thread of that name stands still until the end of the block."""
    thread = next(n for n, called in threads(pid).items() if called == name)
    try:
        trace(SEIZE, thread)
    except PermissionError:
        pytest.skip("one thread of another process may not be stopped here (ptrace)")
    trace(INTERRUPT, thread)
    os.waitpid(thread, ALL_THREADS)
    try:
        yield
    finally:
        try:
            trace(DETACH, thread)
        except ProcessLookupError:  # it has ended: without this the process stays a zombie
            os.waitpid(thread, ALL_THREADS)
