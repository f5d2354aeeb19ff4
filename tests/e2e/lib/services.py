# SPDX-License-Identifier: MIT
"""Local services for the far end of a tunnel, and users for the near end. All of them bounded."""

import contextlib
import hashlib
import random
import socket
import struct
import threading

TIMEOUT = 60


def pattern(key, n):
    """n bytes that depend on key and place, so that nothing lost, doubled or moved goes unseen."""
    out, i = [], 0
    size = 0
    while size < n:
        block = hashlib.sha256(f"{key}:{i}".encode()).digest() * 64
        out.append(block)
        size += len(block)
        i += 1
    return b"".join(out)[:n]


_given = set()


def free_port():
    """One below those that the system gives to others (net.ipv4.ip_local_port_range) between now and its use, and never the
    same twice: a test that asks for two must have two."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000)  # tests seed the other one
        if port in _given:
            continue
        _given.add(port)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue


def connect(port, timeout=TIMEOUT):
    s = socket.create_connection(("127.0.0.1", port), timeout=timeout)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def works(port, timeout=TIMEOUT):
    """True when an echo comes back through a public port. Where it is asked again and again: a short timeout."""
    try:
        with connect(port, timeout) as s:
            s.sendall(b"ping")
            return read_exactly(s, 4) == b"ping"
    except (OSError, EOFError):
        return False


def read_all(s):
    """Everything until the end of the stream."""
    parts = []
    while part := s.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def answer(port):
    """What the service behind a public port says; None: nobody is there."""
    try:
        with connect(port) as s:
            return read_all(s).decode()
    except OSError:
        return None


def read_exactly(s, n):
    parts = []
    while n > 0:
        part = s.recv(min(n, 1 << 16))
        if not part:
            raise EOFError(f"{n} bytes are missing")
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def reset(s):
    """Closes with RST."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


# ---- what a service does with a connection ----


def echo(s):
    while part := s.recv(1 << 16):
        s.sendall(part)


def discard(s):
    while s.recv(1 << 16):
        pass


def pour(data):
    """A service that sends the data when it is spoken to."""
    def handler(s):
        s.recv(1)
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        discard(s)

    return handler


def count(s):
    """Like `wc -c`: says how many bytes came, once they have all come."""
    s.sendall(b"%d\n" % len(read_all(s)))


class Service:
    """Runs handler(socket) in a thread for each connection; the socket is closed behind it.
    Exceptions of handlers are kept in `errors`, results in `results`. path: of a unix socket, in place of host."""

    def __init__(self, handler, rcvbuf=None, host="127.0.0.1", port=0, path=None, backlog=4096):
        self.handler = handler
        self.is_unix = path is not None
        self.sock = socket.socket(socket.AF_UNIX if self.is_unix else socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.bind(str(path) if self.is_unix else (host, port))
        self.sock.listen(backlog)
        self.port = None if self.is_unix else self.sock.getsockname()[1]
        self.errors, self.results = [], []
        self.open = 0
        self._lock = threading.Lock()
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    def _accept(self):
        while True:
            try:
                s, _ = self.sock.accept()
            except OSError:
                return
            s.settimeout(TIMEOUT)
            if not self.is_unix:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        with self._lock:
            self.open += 1
        try:
            result = self.handler(s)
            if result is not None:
                self.results.append(result)
        except Exception as e:  # noqa: BLE001: whatever it was, the test looks at it
            self.errors.append(e)
        finally:
            s.close()
            with self._lock:
                self.open -= 1

    def close(self):
        """Nobody is let in any more, from here on: a thread in accept() would keep the port, and take one more."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def in_threads(calls, timeout=300):
    """Runs functions at once; raises the first exception of any."""
    errors = []

    def guard(call):
        try:
            call()
        except BaseException as e:  # noqa: BLE001: raised again below
            errors.append(e)

    threads = [threading.Thread(target=guard, args=(c,), daemon=True) for c in calls]
    for t in threads:
        t.start()
    for t in threads:
        t.join(timeout)
    if errors:
        raise errors[0]
    if any(t.is_alive() for t in threads):
        raise TimeoutError(f"not done after {timeout} s")
