# SPDX-License-Identifier: MIT
"""The tunnel's wire by hand: a peer that says exactly what a test tells it, right or wrong.

`dial()` plays a client towards a real server, `Listener` a server towards a real client. Everything
blocks with a time-out; nothing happens behind the test's back (no keepalive, no window updates).
"""

import json
import socket
import ssl
import struct
from collections import namedtuple

from lib.procs import PATIENCE

SYN, FIN, PSH, NOP, UPD = range(5)
NAMES = {SYN: "SYN", FIN: "FIN", PSH: "PSH", NOP: "NOP", UPD: "UPD"}
SERVER_NAME = "gotunnel.internal"
START_WINDOW = 262144
RESET_WINDOW = struct.pack("<i", -65535)  # says "reset" (docs/protocol.md 2.3)

Frame = namedtuple("Frame", "cmd sid data")


def header(cmd, length, sid, version=2):
    return struct.pack("<BBHI", version, cmd, length, sid)


def frame(cmd, sid, data=b""):
    return header(cmd, len(data), sid) + data


def upd(sid, consumed, window=START_WINDOW):
    return frame(UPD, sid, struct.pack("<II", consumed, window))


def request(port):
    """The control message as a Go client sends it."""
    return b'{"remote_port":%d}\n' % port


class Closed(Exception):
    """The other side ended the connection."""


class Wire:
    """One TLS connection, with lines and frames on it."""

    def __init__(self, sock, timeout=PATIENCE):
        self.sock = sock
        self.sock.settimeout(timeout)
        self.buf = b""

    def send(self, data):
        self.sock.sendall(data)

    def _more(self):
        try:
            part = self.sock.recv(65536)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, BrokenPipeError):
            part = b""
        if not part:
            raise Closed()
        self.buf += part

    def take(self, n):
        while len(self.buf) < n:
            self._more()
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def line(self):
        while b"\n" not in self.buf:
            self._more()
        at = self.buf.index(b"\n") + 1
        return self.take(at)

    def frame(self):
        version, cmd, length, sid = struct.unpack("<BBHI", self.take(8))
        assert version == 2, f"frame of version {version}"
        return Frame(cmd, sid, self.take(length))

    def until(self, cmd, sid=None):
        """The next frame of this kind; others (keepalives, window updates) are passed over."""
        while True:
            f = self.frame()
            if f.cmd == cmd and sid in (None, f.sid):
                return f

    def data(self, sid, n):
        """At least n bytes of a stream."""
        got = b""
        while len(got) < n:
            got += self.until(PSH, sid).data
        return got

    def wait_closed(self, timeout=None):
        """Reads until the other side has closed. Returns what came before."""
        if timeout is not None:
            self.sock.settimeout(timeout)
        try:
            while True:
                self._more()
        except Closed:
            return self.buf

    def close(self):
        self.sock.close()

    def abort(self):
        """Closes with RST, as a host that vanished and came back does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- as a client ----

    def login(self, secret):
        self.send(secret.encode() + b"\n")
        answer = self.line()
        assert answer == b"OK\n", answer
        return self

    def ask(self, message, sid=3):
        """Opens the control stream, says message, and returns the decoded answer."""
        if isinstance(message, int):
            message = request(message)
        self.send(frame(SYN, sid) + frame(PSH, sid, message))
        text = b""
        while b"\n" not in text:
            text += self.until(PSH, sid).data
        return json.loads(text)


def client_context(ca, version=None):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.load_verify_locations(ca)
    if version:
        ctx.minimum_version = ctx.maximum_version = version
    return ctx


def dial(port, ca, timeout=PATIENCE, context=None, source=None, host="127.0.0.1"):
    """TLS to a server, on loopback if nothing else is said."""
    raw = socket.create_connection((host, port), timeout=timeout, source_address=source)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ctx = context or client_context(ca)
    try:
        return Wire(ctx.wrap_socket(raw, server_hostname=SERVER_NAME), timeout)
    except BaseException:
        raw.close()
        raise


class Listener:
    """A server of the test's own, on a free port of loopback."""

    def __init__(self, cert, key, timeout=PATIENCE):
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ctx.load_cert_chain(cert, key)
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.sock.settimeout(timeout)
        self.port = self.sock.getsockname()[1]
        self.timeout = timeout

    def accept_raw(self):
        s, _ = self.sock.accept()
        s.settimeout(self.timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def accept(self):
        return Wire(self.ctx.wrap_socket(self.accept_raw(), server_side=True), self.timeout)

    def serve(self, secret, message="成功在 [::]:1 上监听, 准备转发流量"):
        """A client up to the point where streams can be opened. Returns (wire, its request)."""
        w = self.accept()
        assert w.line() == secret.encode() + b"\n"
        w.send(b"OK\n")
        syn = w.until(SYN)
        asked = json.loads(w.until(PSH, syn.sid).data)
        answer = json.dumps({"status": "success", "message": message}, ensure_ascii=False)
        w.send(frame(PSH, syn.sid, answer.encode() + b"\n") + frame(FIN, syn.sid))
        return w, asked

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
