# SPDX-License-Identifier: MIT
"""Programs whose log nobody reads, and what a log must look like that somebody reads at last."""

import fcntl
import os
import re
import subprocess

from lib.procs import PROGRAM, rest

LINE = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} \S.*")


class Stuck:
    """A process whose stderr (or stdout) is a pipe of one page that nobody reads, for now."""

    def __init__(self, lab, *args, stream="stderr", nonblocking=False, full=False):
        self.read_end, write_end = os.pipe()
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(write_end, False)
        if full:
            os.write(write_end, b"x" * 4096)
        os.set_blocking(write_end, not nonblocking)  # for all who share it
        environ = {**os.environ, "LC_ALL": "C.UTF-8", "XDG_STATE_HOME": str(lab.path / "state")}
        streams = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, stream: write_end}
        self.popen = subprocess.Popen([PROGRAM, *map(str, args)], cwd=lab.path, env=environ, stdin=subprocess.DEVNULL,
                                      start_new_session=True, **streams)
        os.close(write_end)

    def is_stuck(self):
        """The pipe has not taken anything for a while."""
        size = fcntl.ioctl(self.read_end, 0x541B, b"\0\0\0\0")  # FIONREAD
        return int.from_bytes(size, "little") > 3000

    def read_into(self, parts):
        os.set_blocking(self.read_end, True)
        with os.fdopen(self.read_end, "rb", buffering=0) as f:
            self.read_end = None
            while part := f.read(1 << 16):
                parts.append(part)

    def read_all(self):
        self.read_into(parts := [])
        return b"".join(parts).decode()

    def stop(self):
        rest(self.popen)
        self.popen.terminate()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait(10)
        if self.read_end is not None:
            os.close(self.read_end)


def lines_of(log):
    """The lines, each of which must be whole."""
    lines = log.splitlines()
    for line in lines:
        assert LINE.fullmatch(line), line
    return lines
