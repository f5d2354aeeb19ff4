# SPDX-License-Identifier: MIT
"""Somebody who guesses at the secret from one address without pause, on either wire.

    with Guessers(server, ("127.0.0.1", {}), ("127.0.0.1", {"patience": 0.025})) as them: ...
    them.tries(), them.heard()            guesses, and verdicts that they have heard
"""

import itertools
import json
import os
import socket
import struct
import threading
import time

from lib import cuts, wire


class Guesser(threading.Thread):
    """`patience` 0 waits for each verdict, else it resets after so long. `ids`: it speaks gotunnel/2, and its opens
    name these one after the other, "" standing for a new one each time. Counts what it has heard."""

    def __init__(self, server, source, patience=0, ids=()):
        super().__init__(daemon=True)
        self.server, self.source, self.patience = server, source, patience
        self.ids = itertools.cycle(ids) if ids else None
        self.tries = self.heard = 0
        self.stopped = threading.Event()

    def _dial(self):
        where = (self.source, 0)
        if self.ids:
            return cuts.dial(self.server, where, timeout=40)
        return wire.dial(self.server.port, self.server.ca, source=where, timeout=40)

    def _say(self, w):
        if not self.ids:
            w.send(b"guess\n")
        else:
            w.send(cuts.open_line(next(self.ids) or os.urandom(8).hex()))

    def _hear(self, answer):
        error = json.loads(answer)["error"] if self.ids else answer
        self.heard += error in ("auth", b"ERROR: Invalid Secret\n")

    def guess(self):
        with self._dial() as w:
            if self.patience:
                w.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                w.sock.settimeout(self.patience)
            self._say(w)
            self.tries += 1
            self._hear(w.line())

    def run(self):
        while not self.stopped.is_set():
            try:
                self.guess()
            except (OSError, wire.Closed):
                pass  # refused, turned away, or out of patience


class Guessers:
    """Several at once, each by its source and keywords; they are told to stop at the end, and not waited for."""

    def __init__(self, server, *them):
        self.all = [Guesser(server, source, **how) for source, how in them]
        self.began = time.monotonic()

    def tries(self):
        return sum(g.tries for g in self.all)

    def heard(self):
        return sum(g.heard for g in self.all)

    def minutes(self):
        """That have begun since they have."""
        return int((time.monotonic() - self.began) // 60) + 1

    def __enter__(self):
        self.began = time.monotonic()
        for g in self.all:
            g.start()
        return self

    def __exit__(self, *_):
        for g in self.all:
            g.stopped.set()
