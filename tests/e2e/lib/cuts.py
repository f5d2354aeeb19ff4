# SPDX-License-Identifier: MIT
"""A tunnel on the new wire with a link in it that can be cut, and loads through it.

    with Rig(lab, n=20) as rig:                    # server, link, client, n keyed user connections
        rig.link.cut("reset"); time.sleep(1)
        seconds = rig.heal()                       # each end has had a byte: how long that took
        rig.finish()                               # every byte both ways was right, every end exact
"""

import itertools
import os
import socket
import struct
import time

from lib import wire
from lib.cutter import Cutter
from lib.keyed import Keyed
from lib.procs import wait_for
from lib.services import connect, free_port  # noqa: F401: tests of cuts find it here

ALPN = "gotunnel/2"
LONG_CUTS = int(os.environ.get("GOTUNNEL_CUTS", 1000))  # of tests marked `long`
_ids = itertools.count()


def fresh_id():
    """An identity that no other client of this machine has."""
    return f"lab-{os.getpid()}-{next(_ids)}"


def accepts(port):
    """Whether the port takes a connection; it is reset, so that no end of a stream is left to wait for."""
    try:
        with connect(port, 5) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return True
    except OSError:
        return False


def window_flags(seconds):
    return () if seconds is None else ("-resume-window", f"{seconds}s")


class Rig:
    def __init__(self, lab, n=10, window=None, rate=20000, record=False, server_flags=(), client_flags=(), **how):
        self.lab = lab
        how.setdefault("listen", f"127.0.0.1:{free_port()}")  # tests start it again at its port
        self.server = lab.server(flags=(*window_flags(window), *server_flags), **how)
        self.link = Cutter(self.server.port, record=record)
        self.load = Keyed(n, rate)
        self.id = fresh_id()
        self.port = free_port()
        self.client_flags = (*window_flags(window), *client_flags)
        self.client = self.another_client(self.id)
        if n:
            self.load.start(self.port)

    def another_client(self, id, remote_port=None, **how):
        how.setdefault("ca", self.server.ca)
        how.setdefault("secret", self.server.secret)
        return self.lab.client(self.link.port, self.load.port, remote_port=remote_port or self.port,
                               flags=("-id", id, *self.client_flags), **how)

    def heal(self, timeout=60):
        """Heals, and waits until a byte has come to each end. The seconds that took, sorted."""
        self.load.mark()
        self.link.heal()
        return self.load.wait_moved(timeout)

    def cut(self, kind, seconds):
        """A whole cut. What heal() says."""
        self.link.cut(kind)
        time.sleep(seconds)
        return self.heal()

    def finish(self):
        self.load.check()
        checked = self.load.finish()
        print(f"\n{self.link.cuts} cuts, {checked} bytes checked, {self.load.bad} bad")
        return checked

    def port_is_free(self):
        """Nobody listens on the public port; waits for it."""
        wait_for("the public port to be free", lambda: not accepts(self.port))

    def close(self):
        self.load.close()
        self.link.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- the new wire by hand, as far as that goes without its proof ----


def dial(server, source=None, alpn=True, port=None, **how):
    """TLS to a server, with or without the new wire's name."""
    context = wire.client_context(server.ca)
    if alpn:
        context.set_alpn_protocols([ALPN])
    return wire.dial(port or server.port, server.ca, context=context, source=source, **how)


def agreed(w):
    return w.sock.selected_alpn_protocol()


def resume_line(sid=None, epoch=1, rx=0, mac=None):
    """A resume with a proof that cannot be right."""
    sid, mac = sid or os.urandom(16).hex(), mac or os.urandom(32).hex()
    return f'{{"v":2,"op":"resume","sid":"{sid}","epoch":"{epoch:016x}","rx":"{rx:016x}","mac":"{mac}"}}\n'.encode()


def open_line(id="stranger", port=0):
    return (f'{{"v":2,"op":"open","id":"{id}","port":{port},"nc":"{os.urandom(16).hex()}","window_ms":60000,'
            f'"mac":"{os.urandom(32).hex()}"}}\n').encode()
