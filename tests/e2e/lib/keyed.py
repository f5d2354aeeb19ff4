# SPDX-License-Identifier: MIT
"""User connections whose every byte is known by key and place, both ways at once, verified at both ends.

    with Keyed(200, rate=20000) as load:          # bytes a second, of each connection and direction
        client = lab.client(server, load.port)
        load.start(client.port)
        ... cut, then: load.mark(); heal; load.wait_moved() ...
        load.finish()                             # half-closes everything, and compares the totals

The key comes first in every connection; the service answers with the stream of the same key. `bad` counts
bytes that are not what belongs there, `ended` says how connections ended that should not have.
Runs in a thread of its own.
"""

import asyncio
import errno
import hashlib
import random
import socket
import threading
import time

from lib.procs import PATIENCE, wait_for

BLOCK = 8192
KEY_BYTES = 8
TICK_SECONDS = 0.1


class Stream:
    """The bytes that belong to a key; none repeats. Kept is the place up to where they were taken."""

    def __init__(self, key):
        self.key, self.at = key, 0
        self._block, self._index = b"", -1

    def _part(self, n):
        index, offset = divmod(self.at, BLOCK)
        if index != self._index:
            self._block = hashlib.shake_128(self.key + index.to_bytes(8, "big")).digest(BLOCK)
            self._index = index
        part = self._block[offset : offset + n]
        self.at += len(part)
        return part

    def take(self, n):
        parts = []
        while n > 0:
            parts.append(self._part(n))
            n -= len(parts[-1])
        return b"".join(parts)

    def wrong(self, data):
        """How many of these bytes are not the next ones."""
        expected = self.take(len(data))
        return 0 if data == expected else sum(a != b for a, b in zip(data, expected))


class End:
    """One end of one connection."""

    def __init__(self, load, name, key=None):
        self.load, self.name, self.key = load, name, key
        self.sock = None
        self.outgoing = self.incoming = None
        self.first = None  # when the first byte came after mark()
        self.state = "new"  # open, then eof, reset, or an error's name
        self.sent = 0
        self.done_sending = self.broken = False
        if key:
            self.streams(key)

    def streams(self, key):
        self.key = key
        mine, other = (b"user", b"service") if self.name == "user" else (b"service", b"user")
        self.outgoing, self.incoming = Stream(mine + key), Stream(other + key)
        self.state = "open"

    @property
    def received(self):
        return self.incoming.at if self.incoming else 0

    def took(self, data):
        if self.first is None:
            self.first = time.monotonic()
        wrong = self.incoming.wrong(data)
        if wrong and self in self.load.ends():
            self.load.bad += wrong
            self.load.complaints.append(f"{self.name} {self.key.hex()}: {wrong} of {len(data)} bytes before "
                                        f"{self.incoming.at} are wrong")

    async def receive(self, loop):
        try:
            while data := await loop.sock_recv(self.sock, 1 << 16):
                self.took(data)
            self.state = "reset" if self.broken else "eof"
        except OSError as e:
            self.state = "reset" if e.errno == errno.ECONNRESET else errno.errorcode.get(e.errno, str(e))

    async def send(self, loop):
        rng = random.Random(self.key)
        size = max(1, int(self.load.rate * TICK_SECONDS))
        await asyncio.sleep(rng.random() * TICK_SECONDS)
        try:
            while not self.load.finishing and self.state == "open":
                if not self.load.paused:
                    data = self.outgoing.take(rng.randint(1, 2 * size))
                    await loop.sock_sendall(self.sock, data)
                    self.sent += len(data)
                await asyncio.sleep(TICK_SECONDS)
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.broken = self.state == "open"  # the kernel tells an error once: receive() sees an end of file
        self.done_sending = True

    async def run(self, loop):
        sender = asyncio.ensure_future(self.send(loop))
        await self.receive(loop)
        await asyncio.wait([sender], timeout=PATIENCE)
        sender.cancel()
        self.sock.close()


class Keyed:
    def __init__(self, n, rate=20000, socket_of=None, host="127.0.0.1", service_host="127.0.0.1", path=None):
        """socket_of("user") and socket_of("service") make sockets, for ends in other namespaces. path: the service's, of a
        unix socket."""
        self.n, self.rate, self.host = n, rate, host
        self.socket_of = socket_of or (lambda _: socket.socket())
        self.users, self.services = [], []
        self.bad, self.complaints = 0, []
        self.paused = self.finishing = False
        self.marked = None
        self.loop = asyncio.new_event_loop()
        listener = socket.socket(socket.AF_UNIX) if path else self.socket_of("service")
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(str(path) if path else (service_host, 0))
        listener.listen(4096)
        listener.setblocking(False)
        self.listener, self.port = listener, None if path else listener.getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self._submit(self._serve())

    def _submit(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    async def _serve(self):
        while True:
            s, _ = await self.loop.sock_accept(self.listener)
            if self.port:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            asyncio.ensure_future(self._service(s))

    async def _service(self, s):
        end = End(self, "service")
        end.sock = s
        key = b""
        try:
            while len(key) < KEY_BYTES:
                part = await self.loop.sock_recv(s, KEY_BYTES - len(key))
                if not part:
                    break
                key += part
        except OSError:
            pass
        if len(key) < KEY_BYTES:  # a probe of the port, or a user that was refused
            s.close()
            return
        end.streams(key)
        if any(u.key == key for u in self.users):  # others get their bytes as well, but do not count
            self.services.append(end)
        await end.run(self.loop)

    async def _user(self, port, end):
        end.sock = self.socket_of("user")
        end.sock.setblocking(False)
        end.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self.loop.sock_connect(end.sock, (self.host, port))
            await self.loop.sock_sendall(end.sock, end.key)
        except OSError as e:
            end.state = errno.errorcode.get(e.errno, str(e))
            return
        await end.run(self.loop)

    # ---- for tests ----

    def start(self, port, n=None):
        """Opens n connections (all of them), and waits until each has carried something both ways."""
        for _ in range(self.n if n is None else n):
            end = End(self, "user", len(self.users).to_bytes(4, "big") + random.randbytes(KEY_BYTES - 4))
            self.users.append(end)
            self._submit(self._user(port, end))
        wait_for("all connections to carry bytes both ways", lambda: self.alive() and self._moved() is not None)
        return self

    def pause(self):
        self.paused = True

    def resume(self):
        self.paused = False

    def ends(self):
        return self.users + self.services

    def ended(self):
        """How connections ended, of those that did: {(end, how): number}."""
        count = {}
        for end in self.ends():
            if end.state not in ("open", "new"):
                count[end.name, end.state] = count.get((end.name, end.state), 0) + 1
        return count

    def alive(self):
        return not self.ended()

    def mark(self):
        """From now on the first byte of each end counts. The time, in monotonic seconds."""
        self.marked = time.monotonic()
        for end in self.ends():
            end.first = None
        return self.marked

    def _moved(self):
        if len(self.services) < len(self.users) or any(e.first is None for e in self.ends()):
            return None
        return {"up": [e.first for e in self.services], "down": [e.first for e in self.users]}

    def wait_moved(self, timeout=PATIENCE):
        """Waits until each end has had a byte since mark(). The seconds that took, of all ends, sorted."""
        end = time.monotonic() + timeout
        while self.alive() and time.monotonic() < end:
            if moved := self._moved():
                return sorted(at - self.marked for at in moved["up"] + moved["down"])
            time.sleep(0.01)
        silent = sum(e.first is None for e in self.ends())
        raise AssertionError(f"{silent} of {len(self.ends())} ends silent after {timeout} s; ended: {self.ended()}")

    def bytes(self):
        return sum(e.received for e in self.ends())

    def check(self):
        """Nothing wrong so far."""
        assert self.bad == 0, self.complaints[:5]
        assert self.alive(), self.ended()

    def finish(self, timeout=PATIENCE):
        """Every end half-closes; all that was sent must have come. The bytes that were checked."""
        self.finishing = True
        wait_for("all connections to end",
                 lambda: all(e.state not in ("open", "new") and e.done_sending for e in self.ends()), timeout)
        assert self.bad == 0, self.complaints[:5]
        assert {how for _, how in self.ended()} == {"eof"}, self.ended()
        services = {e.key: e for e in self.services}
        for user in self.users:
            service = services[user.key]
            assert (user.sent, service.sent) == (service.received, user.received), user.key.hex()
        return self.bytes()

    def wait_ended(self, how, timeout=PATIENCE):
        """Waits until all ends are over; each must have ended so."""
        wait_for(f"all connections to end; so far {self.ended()}",
                 lambda: all(e.state not in ("open", "new") for e in self.ends()), timeout)
        assert {state for _, state in self.ended()} == {how}, self.ended()
        assert self.bad == 0, self.complaints[:5]

    def close(self):
        def stop():
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.call_later(0.1, self.loop.stop)

        self.loop.call_soon_threadsafe(stop)
        self.thread.join(10)
        for end in self.ends():
            if end.sock:
                end.sock.close()
        self.listener.close()
        if not self.thread.is_alive():
            self.loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def go_on_over(link, loads, kind, times=3):
    """The link is cut so many times, and each time every connection of the loads goes on; then all end well."""
    for _ in range(times):
        link.cut(kind)
        for load in loads:
            load.mark()
        link.heal()
        for load in loads:
            load.wait_moved(60)
    for load in loads:
        load.check()
        assert load.finish() > 0


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p / 100))]


def summary(what, seconds):
    """A line with what was measured; pytest -s shows it."""
    print(f"\n{what}: n={len(seconds)} p50={percentile(seconds, 50):.3f} p99={percentile(seconds, 99):.3f} "
          f"max={max(seconds):.3f} s")
