# SPDX-License-Identifier: MIT
"""A link with a delay, between a client and its server: what TCP's acknowledgements do not see, windows do."""

import collections
import socket
import threading
import time

from lib.services import Service

ROOM = 32 << 20  # bytes on their way in one direction


class DelayedLink(Service):
    """Forwards connections to a port; every byte arrives `one_way` seconds later. `port` is where to connect."""

    def __init__(self, target, one_way):
        self.target, self.one_way = target, one_way
        super().__init__(self._join)

    def _join(self, near):
        with socket.create_connection(("127.0.0.1", self.target)) as far:
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            near.settimeout(None)
            back = threading.Thread(target=self._carry, args=(far, near), daemon=True)
            back.start()
            self._carry(near, far)
            back.join()

    def _carry(self, source, sink):
        waiting, changed = collections.deque(), threading.Condition()
        deliver = threading.Thread(target=self._deliver, args=(sink, waiting, changed), daemon=True)
        deliver.start()
        part = b"first"
        while part:
            try:
                part = source.recv(1 << 18)
            except OSError:
                part = b""
            with changed:
                changed.wait_for(lambda: sum(len(p) for _, p in waiting) < ROOM)
                waiting.append((time.monotonic() + self.one_way, part))
                changed.notify_all()
        deliver.join()

    def _deliver(self, sink, waiting, changed):
        while True:
            with changed:
                changed.wait_for(lambda: waiting)
                at, part = waiting[0]
            time.sleep(max(0, at - time.monotonic()))
            try:
                if part:
                    sink.sendall(part)
                else:
                    sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # that side has gone: the rest is dropped
            with changed:
                waiting.popleft()
                changed.notify_all()
            if not part:
                return
