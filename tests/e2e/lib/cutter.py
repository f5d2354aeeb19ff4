# SPDX-License-Identifier: MIT
"""A link between a client and its server that can be cut, on loopback and without any rights.

The client dials `port`; every connection is carried on to the server, until the test says otherwise:

    cutter.stall()                    silence both ways, or `up` / `down` only (towards the server / the client)
    cutter.forget()                   the connections there are go silent for ever (a NAT lost them)
    cutter.recall()                   ... but for what was on its way, which arrives now, late
    cutter.reset(), cutter.finish()   both ends get RST, or FIN; bytes on their way are lost
    cutter.refuse(), cutter.hold()    new connections are refused, or get no answer
    cutter.heal()                     all of this ends; what was stalled goes on, what was forgotten does not
    cutter.cut("reset")               one of KINDS, as the tests use them
    cutter.cut_after(n, "up", "reset")    the same once n more bytes have passed in a direction, to the byte

A byte that the link has taken and not delivered is lost with a cut, though its sender's kernel has seen it
acknowledged: TCP's word is not the receiver's.
"""

import array
import collections
import fcntl
import queue
import selectors
import socket
import struct
import termios
import threading
import time

CHUNK = 1 << 16
ROOM = 1 << 20  # bytes of one direction that a connection may have waiting in the link
SIDES = ("up", "down")  # towards the server, towards the client

# What a cut does. Behind each of them new connections do not get through until heal().
KINDS = {
    "reset": lambda link: (link._each("reset"), link._listen("refuse")),
    "finish": lambda link: (link._each("finish"), link._listen("refuse")),
    "stall": lambda link: (link._flow(*SIDES), link._listen("hold")),
    "stall-up": lambda link: link._flow("up"),
    "stall-down": lambda link: link._flow("down"),
    "forget": lambda link: (link._each("forget"), link._listen("hold")),
    "vanish": lambda link: (link._each("forget"), link._listen("refuse")),
}


class Connection:
    """One connection, from the client (near) to the server (far)."""

    def __init__(self, near, far, record):
        self.source = {"up": near, "down": far}
        self.sink = {"up": far, "down": near}
        self.buf = {side: bytearray() for side in SIDES}
        self.eof = dict.fromkeys(SIDES, False)  # the source has ended
        self.passed = dict.fromkeys(SIDES, 0)
        self.recorded = {side: bytearray() for side in SIDES} if record else None
        self.forgotten = False
        self.open = True

    @property
    def sockets(self):
        return self.source["up"], self.source["down"]


class Cutter:
    def __init__(self, target, record=False, address="127.0.0.1", to="127.0.0.1"):
        """The port of the server at the address `to`; the link is at `address`."""
        self.to, self.target, self.record = to, target, record
        self.connections, self.all = [], []  # that are open; that ever were
        self.bytes = dict.fromkeys(SIDES, 0)
        self.cuts = 0
        self.cut_at = self.healed_at = None  # monotonic seconds
        self._armed = collections.deque()  # (bytes still to pass, side, kind, event)
        self._stalled = set()
        self._mode = "serve"
        self._calls = queue.SimpleQueue()
        self._wake_r, self._wake_w = socket.socketpair()
        self._select = selectors.DefaultSelector()
        self._select.register(self._wake_r, selectors.EVENT_READ)
        self._listener = _listener(address)
        self.port = self._listener.getsockname()[1]
        self._select.register(self._listener, selectors.EVENT_READ)
        self._ending = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # ---- for tests; every call has taken effect when it returns ----

    def stall(self, *sides):
        self._do(self._flow, *(sides or SIDES))

    def forget(self):
        self._do(self._each, "forget")

    def recall(self):
        self._do(self._recall)

    def reset(self):
        self._do(self._each, "reset")

    def finish(self):
        self._do(self._each, "finish")

    def refuse(self):
        self._do(self._listen, "refuse")

    def hold(self):
        self._do(self._listen, "hold")

    def heal(self):
        self._do(self._heal)

    def cut(self, kind):
        self._do(self._cut, kind)

    def cut_after(self, n, side, kind):
        """Arms a cut, behind those that are armed already. An event that is set once it has happened."""
        happened = threading.Event()
        self._do(lambda: (self._armed.append([n, side, kind, happened]), self._fire()))
        return happened

    def disarm(self):
        self._do(self._armed.clear)

    def count(self):
        return self._do(lambda: len([c for c in self.connections if not c.forgotten]))

    def close(self):
        if self._thread.is_alive():
            self._do(lambda: setattr(self, "_ending", True))
            self._thread.join(10)
            for s in (self._wake_r, self._wake_w):  # not by the thread: it may have its last call before it is woken
                s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- the thread of the link ----

    def _do(self, function, *args):
        answer = queue.SimpleQueue()
        self._calls.put((function, args, answer))
        self._wake_w.send(b"x")
        result = answer.get(timeout=30)
        if isinstance(result, BaseException):
            raise result
        return result

    def _run(self):
        while not self._ending:
            for key, mask in self._select.select():
                if key.fileobj is self._wake_r:
                    self._wake_r.recv(4096)
                elif key.fileobj is self._listener:
                    self._accept()
                else:
                    self._move(key.data)
            while not self._calls.empty():
                function, args, answer = self._calls.get()
                try:
                    answer.put(function(*args))
                except Exception as e:  # noqa: BLE001: raised in the caller
                    answer.put(e)
        self._each("reset")
        self._listener.close()
        self._select.close()

    def _accept(self):
        if self._mode != "serve":
            return
        try:
            near, _ = self._listener.accept()
        except OSError:
            return
        far = socket.socket(_family(self.to))
        try:
            far.connect((self.to, self.target))
        except OSError:
            far.close()
            _reset(near)
            return
        c = Connection(near, far, self.record)
        for s in c.sockets:
            s.setblocking(False)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections.append(c)
        self.all.append(c)
        self._watch(c)

    def _watch(self, c):
        """Brings what the selector watches in line with what the connection can do."""
        wanted = dict.fromkeys(c.sockets, 0)
        for side in SIDES:
            if not c.open or c.forgotten or side in self._stalled:
                continue
            if not c.eof[side] and len(c.buf[side]) < CHUNK:
                wanted[c.source[side]] |= selectors.EVENT_READ
            if c.buf[side]:
                wanted[c.sink[side]] |= selectors.EVENT_WRITE
        for s, mask in wanted.items():
            known = self._select.get_map().get(s) if s.fileno() >= 0 else None
            if mask and not known:
                self._select.register(s, mask, c)
            elif mask and known.events != mask:
                self._select.modify(s, mask, c)
            elif not mask and known:
                self._select.unregister(s)

    def _move(self, c):
        for side in SIDES:
            if not c.open or c.forgotten or side in self._stalled:
                continue
            try:
                self._take(c, side)
                self._give(c, side)
            except BlockingIOError:
                pass
            except OSError:  # one end is gone without an order: so is the other
                self._end(c, _reset)
                return
            self._fire()
        if c.open and all(c.eof.values()) and not any(c.buf.values()):
            self._end(c, socket.socket.close)
        elif c.open:
            self._watch(c)

    def _take(self, c, side):
        if c.eof[side] or len(c.buf[side]) >= CHUNK:
            return
        try:
            part = c.source[side].recv(CHUNK)
        except BlockingIOError:
            return
        c.buf[side] += part
        if not part:
            c.eof[side] = True
            if not c.buf[side]:
                c.sink[side].shutdown(socket.SHUT_WR)

    def _give(self, c, side):
        buf = c.buf[side]
        if not buf:
            return
        limit = self._armed[0][0] if self._armed and self._armed[0][1] == side else len(buf)
        n = c.sink[side].send(memoryview(bytes(buf[:limit])))
        if c.recorded is not None:
            c.recorded[side] += buf[:n]
        del buf[:n]
        c.passed[side] += n
        self.bytes[side] += n
        if self._armed and self._armed[0][1] == side:
            self._armed[0][0] -= n
            if self._armed[0][0] == 0:
                _delivered(c.sink[side])
        if c.eof[side] and not buf:
            c.sink[side].shutdown(socket.SHUT_WR)

    def _fire(self):
        while self._armed and self._armed[0][0] <= 0:
            _, _, kind, happened = self._armed.popleft()
            self._cut(kind)
            happened.set()

    # ---- orders, in the thread of the link ----

    def _cut(self, kind):
        self.cuts += 1
        self.cut_at = time.monotonic()
        KINDS[kind](self)

    def _heal(self):
        self.healed_at = time.monotonic()
        self._stalled.clear()
        self._listen("serve")
        for c in list(self.connections):
            self._move(c)

    def _flow(self, *sides):
        self._stalled.update(sides)
        for c in self.connections:
            self._watch(c)

    def _each(self, what):
        for c in list(self.connections):
            if what == "forget":
                c.forgotten = True
                self._watch(c)
            else:
                self._end(c, _reset if what == "reset" else socket.socket.close)

    def _recall(self):
        for c in list(self.connections):
            c.forgotten = False
            self._move(c)

    def _listen(self, mode):
        """A listening socket that is shut down refuses, and keeps its port."""
        if mode == self._mode:
            return
        if mode == "refuse":
            self._unlisten()
            self._listener.shutdown(socket.SHUT_RDWR)
        elif self._mode == "refuse":
            self._listener.listen(128)
        self._mode = mode
        if mode == "serve" and self._listener not in self._select.get_map():
            self._select.register(self._listener, selectors.EVENT_READ)
        elif mode != "serve":
            self._unlisten()

    def _unlisten(self):
        if self._listener in self._select.get_map():
            self._select.unregister(self._listener)

    def _end(self, c, how):
        c.open = False
        self._watch(c)
        for s in c.sockets:
            _drop_input(s)
            how(s)
        if c in self.connections:
            self.connections.remove(c)


class Balancer(Cutter):
    """A link whose connections go to each of several servers in turn."""

    def __init__(self, targets):
        self.targets, self.turn = targets, 0
        super().__init__(targets[0])

    @property
    def target(self):
        self.turn += 1
        return self.targets[(self.turn - 1) % len(self.targets)]

    @target.setter
    def target(self, _):
        pass


def _family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _listener(address):
    """On a free port, which is bound by its number: else it would be lost when the socket is shut down."""
    with socket.socket(_family(address)) as finder:
        finder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        finder.bind((address, 0))
        s = socket.socket(_family(address))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(finder.getsockname()[:2])
    s.listen(128)
    s.setblocking(False)
    return s


def _reset(s):
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    finally:
        s.close()


def _drop_input(s):
    """Unread input would make a close() send RST where a FIN is meant."""
    try:
        while s.recv(CHUNK):
            pass
    except OSError:
        pass


def _delivered(s):
    """Waits until the other end's kernel has all that was sent, so that a reset takes nothing of it back."""
    left, end = array.array("i", [1]), time.monotonic() + 1
    while left[0] and time.monotonic() < end:
        fcntl.ioctl(s, termios.TIOCOUTQ, left)
