# SPDX-License-Identifier: MIT
"""A service that stands still, connections that are filled until nothing is taken any more, and what a reset looks like."""

import select
import socket
import time

from lib import services

GONE = 20  # seconds: a relay keeps 0.25 s for last words; without the remedy it is minutes


class Still:
    """A service that accepts and does nothing by itself; `sockets` are its connections."""

    def __init__(self, backlog=64):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.port = self.listener.getsockname()[1]
        self.sockets = []

    def accept(self, n=1):
        self.listener.settimeout(services.TIMEOUT)
        for _ in range(n):
            s, _ = self.listener.accept()
            s.settimeout(services.TIMEOUT)
            self.sockets.append(s)
        return self.sockets[-n:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in [self.listener, *self.sockets]:
            s.close()


def fill(sockets):
    """Sends until nothing has been taken for a while: every relay on the way is out of credit."""
    total, quiet = 0, time.monotonic()
    for s in sockets:
        s.setblocking(False)
    while time.monotonic() - quiet < 0.7:
        for s in select.select([], sockets, [], 0.1)[1]:
            try:
                total += s.send(b"x" * 65536)
                quiet = time.monotonic()
            except BlockingIOError:
                pass
    assert total > 0
    return total


def is_reset(s):
    """The connection has been reset (whatever is still to be read)."""
    poll = select.poll()
    poll.register(s, 0)  # errors are told always
    return bool(poll.poll(GONE * 1000)) and s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
