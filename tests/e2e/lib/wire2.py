# SPDX-License-Identifier: MIT
"""gotunnel/2 by hand, written from docs/protocol.md sections 4 and 5 alone: a client towards a real server, or a
server towards a real client, that says exactly what a test tells it.

    peer = Client(server.port, server.ca, SECRET); peer.open(port)      the session's frames follow
    peer.drop(); peer.resume()                                          a new connection, the same session

TLS goes through libssl itself (ctypes): Python's own module cannot export keying material.
"""

import ctypes
import ctypes.util
import hashlib
import hmac as hmac_module
import json
import os
import socket
import struct
from collections import namedtuple

from lib.procs import PATIENCE
from lib.wire import Closed

ALPN = b"gotunnel/2"
LABEL = b"EXPORTER-gotunnel-2"
SYN, FIN, PSH, NOP, UPD, RST, ACK, PING, PONG, GOAWAY, OPEN = range(11)
WINDOW = 1 << 20
Frame = namedtuple("Frame", "cmd sid data")
_ssl = ctypes.CDLL(ctypes.util.find_library("ssl"))
for _name in ("TLS_client_method", "TLS_server_method", "SSL_CTX_new", "SSL_new"):
    getattr(_ssl, _name).restype = ctypes.c_void_p
_crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
for _name in ("EVP_MD_CTX_new", "EVP_PKEY_new_raw_private_key"):
    getattr(_crypto, _name).restype = ctypes.c_void_p
_ED25519 = 1087  # its number in OpenSSL
_VERIFY_PEER, _FILE_PEM, _ALPN_OK = 1, 1, 0
_SELECT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p),
                           ctypes.POINTER(ctypes.c_ubyte), ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p)
_name_kept = ctypes.create_string_buffer(ALPN)


@_SELECT
def _select(_ssl_, out, out_len, offered, n, _arg):
    """Of a server: takes gotunnel/2 without looking."""
    out[0] = ctypes.addressof(_name_kept)
    out_len[0] = len(ALPN)
    return _ALPN_OK


def client_context(ca):
    ctx = ctypes.c_void_p(_ssl.SSL_CTX_new(ctypes.c_void_p(_ssl.TLS_client_method())))
    assert _ssl.SSL_CTX_load_verify_locations(ctx, str(ca).encode(), None) == 1
    _ssl.SSL_CTX_set_verify(ctx, _VERIFY_PEER, None)
    assert _ssl.SSL_CTX_set_alpn_protos(ctx, bytes([len(ALPN)]) + ALPN, len(ALPN) + 1) == 0
    return ctx


def server_context(cert, key):
    ctx = ctypes.c_void_p(_ssl.SSL_CTX_new(ctypes.c_void_p(_ssl.TLS_server_method())))
    assert _ssl.SSL_CTX_use_certificate_chain_file(ctx, str(cert).encode()) == 1
    assert _ssl.SSL_CTX_use_PrivateKey_file(ctx, str(key).encode(), _FILE_PEM) == 1
    _ssl.SSL_CTX_set_alpn_select_cb(ctx, _select, None)
    return ctx


class Tls:
    """A TLS connection over a blocking socket with a time-out."""

    def __init__(self, sock, ctx, server=False, timeout=PATIENCE):
        sock.setblocking(True)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", timeout, 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.buf = sock, b""
        self.ssl = ctypes.c_void_p(_ssl.SSL_new(ctx))
        _ssl.SSL_set_fd(self.ssl, sock.fileno())
        if (_ssl.SSL_accept if server else _ssl.SSL_connect)(self.ssl) != 1:
            self.close()
            raise Closed("TLS handshake")

    def exporter(self):
        out = ctypes.create_string_buffer(32)
        assert _ssl.SSL_export_keying_material(self.ssl, out, 32, LABEL, len(LABEL), None, 0, 0) == 1
        return out.raw

    def send(self, data):
        if data and _ssl.SSL_write(self.ssl, data, len(data)) != len(data):
            raise Closed("write")

    def _more(self):
        out = ctypes.create_string_buffer(65536)
        n = _ssl.SSL_read(self.ssl, out, 65536)
        if n <= 0:
            raise Closed("read")
        self.buf += out.raw[:n]

    def take(self, n):
        while len(self.buf) < n:
            self._more()
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def line(self):
        """The next line's fields; raw is the line as it came, without its LF."""
        while b"\n" not in self.buf:
            self._more()
        self.raw = self.take(self.buf.index(b"\n") + 1)[:-1]
        return json.loads(self.raw)

    def say(self, fields):
        """A `mac` among them must be the last one."""
        self.raw = text(fields)
        self.send(self.raw + b"\n")

    def close(self, reset=False):
        if self.ssl:
            _ssl.SSL_free(self.ssl)
            self.ssl = None
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


# ---- keys and proofs (5.3 to 5.5) ----


def hmac(key, data):
    return hmac_module.new(key, data, hashlib.sha256).digest()


def text(fields):
    return json.dumps(fields, separators=(",", ":")).encode()


def covered(fields):
    """What the MAC of a line with these fields covers: all before `,"mac":`."""
    return text(fields)[:-1]


def is_proved(raw, key, before):
    """Does a line, as it came, end in the right MAC, and in nothing else?"""
    body, seal = raw[:-74], raw[-74:]
    return seal == b',"mac":"' + hmac(key, before + body).hex().encode() + b'"}'


class ClientKey:
    """A key of a client's own (5.3): its name, and what comes from its T."""

    def __init__(self, name, t):
        prk = hmac(b"gotunnel/2 key", t)
        self.name, self.seed, self.a = name, hmac(prk, b"sign\1"), hmac(prk, b"mac\1")

    def sign(self, data):
        ctx = ctypes.c_void_p(_crypto.EVP_MD_CTX_new())
        key = ctypes.c_void_p(_crypto.EVP_PKEY_new_raw_private_key(_ED25519, None, self.seed, ctypes.c_size_t(32)))
        out, n = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
        assert _crypto.EVP_DigestSignInit(ctx, None, None, None, key) == 1
        assert _crypto.EVP_DigestSign(ctx, out, ctypes.byref(n), data, ctypes.c_size_t(len(data))) == 1
        _crypto.EVP_MD_CTX_free(ctx)
        _crypto.EVP_PKEY_free(key)
        return out.raw


def signed(fields, key, before):
    return {**fields, "mac": hmac(key, before + covered(fields)).hex()}


class Keys:
    def __init__(self, secret, exporter):
        k = hmac(exporter, secret if isinstance(secret, bytes) else secret.encode())
        self.client = hmac(k, b"gotunnel/2 client\0\1")
        self.server = hmac(k, b"gotunnel/2 server\0\1")
        self._k = k

    def resume(self, sid, nc, ns):
        return hmac(self._k, b"gotunnel/2 resume\0" + sid + nc + ns + b"\1")


# What stands before COVERED in each MAC (5.4, 5.5); `line` is the request's line without its LF.
BEFORE_OPEN = b"open\0"
CONTROL = 1  # the stream of the lines about tunnels (section 6)


def before_answer(line):
    return b"answer\0" + line + b"\0"


def before_resume(exporter):
    return b"resume\0" + exporter


def before_resumed(exporter, line):
    return b"resumed\0" + exporter + line + b"\0"


def frame(cmd, sid, data=b""):
    return struct.pack("<BBHI", 3, cmd, len(data), sid) + data


# ---- a session ----


class Session:
    """Counts what is sent and received; the connection under it may be another one at any time."""

    def __init__(self):
        self.tls = None
        self.log = b""  # everything that was sent in this session
        self.rx = 0  # bytes received
        self.partial = b""
        self.lines = b""  # of the control stream, not read yet

    def send_bytes(self, data, now=True):
        """now=False: they belong to the session, and are lost on their way."""
        self.log += data
        if now:
            self.tls.send(data)

    def send(self, cmd, sid=0, data=b""):
        self.send_bytes(frame(cmd, sid, data))

    def bytes(self, n):
        """The next n bytes of the session, whatever they are."""
        got = self.tls.take(n)
        self.rx += n
        return got

    def _need(self, n):
        if len(self.partial) < n:
            self.partial += self.bytes(n - len(self.partial))

    def frame(self):
        self._need(8)
        version, cmd, length, sid = struct.unpack("<BBHI", self.partial[:8])
        assert version == 3
        self._need(8 + length)
        data, self.partial = self.partial[8 : 8 + length], self.partial[8 + length :]
        return Frame(cmd, sid, data)

    def until(self, cmd, sid=None):
        """The next frame of this kind; PINGs on the way are answered, others passed over."""
        while True:
            f = self.frame()
            if f.cmd == PING:
                self.send(PONG, 0, f.data)
            if f.cmd == cmd and sid in (None, f.sid):
                return f

    def data(self, sid, n):
        got = b""
        while len(got) < n:
            got += self.until(PSH, sid).data
        return got

    def told(self):
        """The peer's next line on the control stream."""
        while b"\n" not in self.lines:
            self.lines += self.until(PSH, CONTROL).data
        line, _, self.lines = self.lines.partition(b"\n")
        return json.loads(line)

    def tell(self, **fields):
        self.send(PSH, CONTROL, text(fields) + b"\n")

    def drop(self):
        self.tls.close(reset=True)


class Client(Session):
    def __init__(self, port, ca, secret, id="by-hand", own=None):
        """own: a ClientKey; secret is then its A."""
        super().__init__()
        self.own = own
        self.port, self.ctx, self.secret, self.id = port, client_context(ca), secret, id
        self.epoch, self.sid, self.key, self.svc = 0, None, None, 0

    def connect(self, source=None):
        return Tls(socket.create_connection(("127.0.0.1", self.port), PATIENCE, source), self.ctx)

    def open(self, port=0, window_ms=60000, take=True, mine=(), caps=("services",), extra=None, distort=None):
        """Opens a session, and checks the server's proof, also of a refusal that has one; then a tunnel in it (port None: none).
        The answer, with that of ask(). extra: more fields; distort: what becomes of the signed line on its way."""
        self.tls = self.connect()
        keys, self.nc = Keys(self.secret, self.tls.exporter()), os.urandom(16)
        fields = {"v": 2, "op": "open", "id": self.id, "nc": self.nc.hex(), "window_ms": window_ms,
                  "caps": list(caps), "take": take, "mine": [nc.hex() for nc in mine], **(extra or {})}
        if self.own:
            fields["key"] = self.own.name
            fields["sig"] = self.own.sign(b"gotunnel/2 client\0" + self.tls.exporter() + covered(fields)).hex()
        line = text(signed(fields, keys.client, BEFORE_OPEN))
        if distort:
            line = distort(line)
        self.tls.send(line + b"\n")
        answer = self.tls.line()
        assert "mac" not in answer or is_proved(self.tls.raw, keys.server, before_answer(line))
        if answer["ok"]:
            self.sid = bytes.fromhex(answer["sid"])
            self.key = keys.resume(self.sid, self.nc, bytes.fromhex(answer["ns"]))
            if port is not None:
                answer.update(self.ask(port))
        return answer

    def ask(self, port):
        """Opens a tunnel in the session. Its address and port, or ok False and what the refusal has."""
        self.svc += 1
        self.tell(op="open", svc=self.svc, name="by-hand", kind="tcp", port=port, bind="", ready=True)
        line = self.told()
        assert line.pop("svc") == self.svc
        op = line.pop("op")
        return {**line, "ok": op == "opened"}

    def request(self, tls, epoch=None, rx=None, key=None):
        """The line of a resume over this connection."""
        if epoch is None:
            self.epoch += 1
            epoch = self.epoch
        rx = self.rx if rx is None else rx
        return signed({"v": 2, "op": "resume", "sid": self.sid.hex(), "epoch": f"{epoch:016x}", "rx": f"{rx:016x}"},
                      key or self.key, before_resume(tls.exporter()))

    def attempt(self, source=None, **what):
        """A resume on a connection of its own: (connection, answer)."""
        tls = self.connect(source)
        tls.say(self.request(tls, **what))
        line = tls.raw
        answer = tls.line()
        assert "mac" not in answer or is_proved(tls.raw, self.key, before_resumed(tls.exporter(), line))
        return tls, answer

    def resume(self, **what):
        """Resumes, checks the proof, and sends what the server has not. Its count."""
        tls, answer = self.attempt(**what)
        assert answer["ok"] and "mac" in answer, answer
        rx = int(answer["rx"], 16)
        self.tls.close()
        self.tls = tls
        assert rx <= len(self.log)
        tls.send(self.log[rx:])
        return rx


class Server(Session):
    """One session of a real client that dials `port`."""

    def __init__(self, cert, key, secret, timeout=PATIENCE):
        super().__init__()
        self.ctx, self.secret = server_context(cert, key), secret
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(timeout)
        self.port = self.listener.getsockname()[1]

    def accept(self):
        """A connection and the client's line on it."""
        tls = Tls(self.listener.accept()[0], self.ctx, server=True)
        return tls, tls.line()

    def open(self, window_ms=60000, address=None, port=None, secret=None, error=None, **data):
        """Takes the client's next open, whose proof must be right, and its only tunnel, which is `wanted` then. The
        line of the open. error: the tunnel is refused, with data. A secret that is not the client's: nothing follows."""
        self.tls, line = self.accept()
        assert line["op"] == "open", line
        keys, self.nc = Keys(secret or self.secret, self.tls.exporter()), bytes.fromhex(line["nc"])
        assert secret or is_proved(self.tls.raw, keys.client, BEFORE_OPEN)
        self.sid, ns = os.urandom(16), os.urandom(16)
        self.log, self.rx, self.partial, self.lines = b"", 0, b"", b""
        self.key = keys.resume(self.sid, self.nc, ns)
        self.tls.say(signed({"v": 2, "ok": True, "op": "open", "sid": self.sid.hex(), "ns": ns.hex(),
                             "window_ms": window_ms, "caps": ["services"]},
                            keys.server, before_answer(self.tls.raw)))
        if not secret:
            self.wanted = self.told()
            assert self.wanted["op"] == "open", self.wanted
            port = self.wanted["port"] or 4711 if port is None else port
            if error:
                self.tell(op="refused", svc=self.wanted["svc"], error=error, **data)
                return line
            self.tell(op="opened", svc=self.wanted["svc"], address=address or f"127.0.0.1:{port}", port=port)
        return line

    def user_frame(self, sid):
        """A user has come to the tunnel: this stream is his."""
        at = socket.inet_aton("127.0.0.1")
        return frame(OPEN, sid, struct.pack("<IBBH4sH4s", self.wanted["svc"], 0, 4, 9, at, 4711, at))

    def user(self, sid):
        self.send_bytes(self.user_frame(sid))

    def send(self, cmd, sid=0, data=b""):
        """A stream begins with the frame that names its tunnel: who asks for SYN means a user."""
        self.send_bytes(self.user_frame(sid) if cmd == SYN else frame(cmd, sid, data))

    def refuse_open(self, error, mac=True, secret=None, **data):
        """Takes the client's next open and refuses it. Its line."""
        tls, line = self.accept()
        assert line["op"] == "open", line
        fields = {"v": 2, "ok": False, "error": error, **data}
        if mac:
            fields = signed(fields, Keys(secret or self.secret, tls.exporter()).server, before_answer(tls.raw))
        tls.say(fields)
        tls.close()
        return line

    def answer(self, tls, line, rx=None, key=None):
        """Takes a resume, whose proof must be right, and sends what the client has not."""
        assert line["op"] == "resume" and line["sid"] == self.sid.hex(), line
        exporter = tls.exporter()
        assert is_proved(tls.raw, self.key, before_resume(exporter))
        rx = self.rx if rx is None else rx
        tls.say(signed({"v": 2, "ok": True, "op": "resume", "epoch": line["epoch"], "rx": f"{rx:016x}"},
                       key or self.key, before_resumed(exporter, tls.raw)))
        return int(line["rx"], 16)

    def resume(self):
        """The whole of it."""
        tls, line = self.accept()
        theirs = self.answer(tls, line)
        self.tls.close()
        self.tls = tls
        tls.send(self.log[theirs:])
        return theirs

    def refuse(self, error):
        tls, line = self.accept()
        assert line["op"] == "resume", line
        fields = {"v": 2, "ok": False, "error": error}
        if error in ("stale", "range"):
            fields = signed(fields, self.key, before_resumed(tls.exporter(), tls.raw))
        tls.say(fields)
        tls.close()

    def close(self):
        if self.tls:
            self.tls.close()
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
