# SPDX-License-Identifier: MIT
"""Connections that say a ClientHello and no more, as strangers do."""

import collections
import contextlib
import itertools
import socket
import ssl
import struct
import threading

from lib import wire
from lib.procs import PATIENCE

HALF_A_RECORD = b"\x14\x03\x03\x00\x01\x01" + b"\x17\x03\x03\x40\x00" + bytes(8000)  # behind a hello


def hello(ca):
    """A whole ClientHello, of the shape of our clients'."""
    to, come = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = wire.client_context(ca).wrap_bio(to, come, server_hostname=wire.SERVER_NAME)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return come.read()
    raise AssertionError("a handshake without a server")


def fat(record, size=8 << 10):
    """The same hello in a record of so many bytes, by an extension that nobody knows."""
    body = bytearray(record[9:])
    at = 35 + body[34]  # version, random, session
    at += 2 + int.from_bytes(body[at:at + 2], "big")  # cipher suites
    at += 1 + body[at]  # compression methods
    more = size - 9 - len(body)
    length = int.from_bytes(body[at:at + 2], "big") + more
    body[at:at + 2] = length.to_bytes(2, "big")
    body += struct.pack(">HH", 0xfafa, more - 4) + bytes(more - 4)
    return record[:3] + struct.pack(">HI", 4 + len(body), 1 << 24 | len(body)) + bytes(body)


def hold(server, source, text):
    """A connection from 127.x.y.z that has said this and waits."""
    s = socket.create_connection(("127.0.0.1", server.port), source_address=(source, 0))
    s.sendall(text)
    return s


def answered(s):
    """Whether the server has said its part, and has not closed since. Waits for it."""
    s.settimeout(PATIENCE)
    try:
        if not s.recv(1 << 16):
            return False
        s.setblocking(False)
        while s.recv(1 << 16):
            pass
        return False
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


@contextlib.contextmanager
def flood(server, text, sources):
    """Meanwhile connections that say this come as fast as they can, each of the next source, and stay until a few hundred
    have come after them. Gives a list with their count so far."""
    came, over, kept = [0], threading.Event(), collections.deque()

    def run():
        for source in itertools.cycle(sources):
            if over.is_set():
                return
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            kept.append(s)
            with contextlib.suppress(OSError):
                s.bind((source, 0))
                s.settimeout(5)
                s.connect(("127.0.0.1", server.port))
                s.sendall(text)
            came[0] += 1
            if len(kept) > 400:
                kept.popleft().close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield came
    finally:
        over.set()
        thread.join()
        for s in kept:
            s.close()
