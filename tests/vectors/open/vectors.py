#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The frame OPEN of docs/protocol.md 4.7 once more, from the text alone.

Prints vectors.txt, which lies beside it: `name frame meaning` lines. The frame is that of stream 2, in hexadecimal;
its meaning is service, whether READY is wanted, visitor, the address it came to, the original peer, name and trace
id, with `-` for what it does not say. later_* are of a later version, with what this one passes over or in another
order; no_* are none, and mean `-`. tests/unit/proto/smux/test_open_frame.c holds the C code against it,
tests/cli/test_open_vectors.py that the file is what this prints.
"""
import ipaddress
import struct

LEAST, MOST = 8, 384
VISITOR4, LOCAL4 = ("192.0.2.7", 50122), ("203.0.113.5", 443)
VISITOR6, LOCAL6 = ("2001:db8::7", 50122), ("2001:db8:0:1:ffff:0:1.2.3.4", 65535)
NAME, TRACE = 1, 3
PEER = 2


# ---- writing ----


def place(address):
    host, port = address
    return struct.pack("<H", port) + ipaddress.ip_address(host).packed


def family(address):
    return bytes([ipaddress.ip_address(address[0]).version])


def tlv(kind, value):
    return bytes([kind, len(value)]) + value


def name(text):
    return tlv(NAME, text if isinstance(text, bytes) else text.encode())


def peer(address):
    return tlv(PEER, family(address) + place(address))


def payload(service=7, flags=0, addresses=(VISITOR4, LOCAL4), tlvs=b""):
    head = struct.pack("<IB", service, flags)
    if not addresses:
        return head + b"\0\0\0" + tlvs
    return head + family(addresses[0]) + b"".join(place(a) for a in addresses) + tlvs


def frame(body, stream=2):
    return struct.pack("<BBHI", 3, 10, len(body), stream) + body


# ---- reading ----


class Wrong(Exception):
    pass


def need(condition):
    if not condition:
        raise Wrong


class Bytes:
    def __init__(self, data):
        self.data = data

    def take(self, n):
        need(len(self.data) >= n)
        part, self.data = self.data[:n], self.data[n:]
        return part

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def place(self, version):
        port, host = self.number("<H"), self.take({4: 4, 6: 16}[version])
        need(version == 4 or not ipaddress.ip_address(host).ipv4_mapped)
        return f"{host.hex()}:{port}"


def read_name(b):
    text = b.take(len(b.data))
    need(1 <= len(text) <= 253 and all(0x21 <= c <= 0x7e and not 0x41 <= c <= 0x5a for c in text))
    return text.decode()


def read_peer(b):
    version = b.number("B")
    need(version in (4, 6))
    return b.place(version)


def read_trace(b):
    return b.take(16).hex()


def meaning(body):
    need(LEAST <= len(body) <= MOST)
    b = Bytes(body)
    service, flags, version = b.number("<I"), b.number("B"), b.number("B")
    need(service > 0 and version in (0, 4, 6))
    if version:
        visitor, local = b.place(version), b.place(version)
    else:
        need(b.number("<H") == 0)
        visitor = local = "-"
    known = {}
    while b.data:
        kind, value = b.number("B"), Bytes(b.take(b.number("B")))
        read = {PEER: read_peer, NAME: read_name, TRACE: read_trace}.get(kind)
        if read:
            need(kind not in known)
            known[kind] = read(value)
            need(not value.data)
    more = [known.get(kind, "-") for kind in (PEER, NAME, TRACE)]
    return ",".join([str(service), "ready" if flags & 1 else "-", visitor, local, *more])


# ---- the vectors ----

LONG = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])
SIXTEEN = bytes(range(16))
ALL = name(LONG) + peer(VISITOR6) + tlv(TRACE, SIXTEEN)

GOOD = {
    "example": payload(7, 1, tlvs=name("a.example.com")),
    "least": payload(1, addresses=()),
    "least_ready": payload(2**32 - 1, 1, ()),
    "ipv4": payload(),
    "ipv6": payload(0x01020304, 1, (VISITOR6, LOCAL6)),
    "zeros": payload(1, addresses=(("0.0.0.0", 0), ("0.0.0.0", 0))),
    "name_1": payload(addresses=(), tlvs=name("!")),
    "name_253": payload(tlvs=name(LONG)),
    "name_signs": payload(tlvs=name("[::1]~_-*{}`@")),
    "peer_ipv4": payload(addresses=(VISITOR6, LOCAL6), tlvs=peer(VISITOR4)),
    "peer_ipv6": payload(tlvs=peer(VISITOR6)),
    "peer_alone": payload(addresses=(), tlvs=peer(VISITOR4)),
    "trace": payload(tlvs=tlv(TRACE, SIXTEEN)),
    "all": payload(7, 1, (VISITOR6, LOCAL6), ALL),
    "later_flags": payload(7, 0xfe),
    "later_flags_ready": payload(7, 0xff),
    "later_tlv": payload(tlvs=tlv(4, b"") + name("x") + tlv(0, b"\xff") + tlv(255, bytes(255))),
    "later_tlv_twice": payload(tlvs=2 * tlv(9, b"1")),
    "later_order": payload(tlvs=tlv(TRACE, SIXTEEN) + peer(VISITOR6) + name("x")),
    "later_most": payload(7, 1, (VISITOR6, LOCAL6), ALL + tlv(200, bytes(MOST - 336 - 2))),
}

NONE = {
    "service_0": payload(0),
    "family_5": payload().replace(b"\0\x04", b"\0\x05", 1),
    "family_255": payload().replace(b"\0\x04", b"\0\xff", 1),
    "family_5_of_nobody": payload(addresses=())[:-3] + b"\5\0\0",
    "port_of_nobody": payload(addresses=())[:-1] + b"\1",
    "one_address": payload(addresses=(VISITOR4,)),
    "cut_ipv4": payload()[:-1],
    "cut_ipv6": payload(addresses=(VISITOR6, LOCAL6))[:-1],
    "ipv6_of_ipv4": payload().replace(b"\0\x04", b"\0\x06", 1),
    "half_tlv": payload(tlvs=b"\1"),
    "half_tlv_of_later": payload(tlvs=b"\x09"),
    "tlv_beyond": payload(tlvs=name("abc")[:-1]),
    "tlv_of_later_beyond": payload(tlvs=tlv(9, b"abc")[:-1]),
    "name_0": payload(tlvs=name("")),
    "name_254": payload(tlvs=name("a" * 254)),
    "name_capital": payload(tlvs=name("a.Example.com")),
    "name_blank": payload(tlvs=name("a b")),
    "name_nul": payload(tlvs=name("a\0")),
    "name_del": payload(tlvs=name("a\x7f")),
    "name_high": payload(tlvs=name(b"a\x80")),
    "name_twice": payload(tlvs=2 * name("a")),
    "peer_0": payload(tlvs=tlv(PEER, b"")),
    "peer_none": payload(tlvs=tlv(PEER, b"\0\0\0")),
    "peer_short": payload(tlvs=tlv(PEER, family(VISITOR4) + place(VISITOR4)[:-1])),
    "peer_long": payload(tlvs=tlv(PEER, family(VISITOR4) + place(VISITOR4) + b"\0")),
    "peer_of_other": payload(tlvs=tlv(PEER, b"\x06" + place(VISITOR4))),
    "peer_twice": payload(tlvs=2 * peer(VISITOR4)),
    "peer_mapped": payload(tlvs=peer(("::ffff:192.0.2.7", 1))),
    "trace_0": payload(tlvs=tlv(TRACE, b"")),
    "trace_15": payload(tlvs=tlv(TRACE, SIXTEEN[1:])),
    "trace_17": payload(tlvs=tlv(TRACE, SIXTEEN + b"\0")),
    "trace_twice": payload(tlvs=2 * tlv(TRACE, SIXTEEN)),
    "visitor_mapped": payload(addresses=(("::ffff:192.0.2.7", 1), LOCAL6)),
    "local_mapped": payload(addresses=(VISITOR6, ("::ffff:192.0.2.7", 1))),
    "short": payload(addresses=())[:-1],
    "long": payload(tlvs=name("a" * 253) + tlv(9, bytes(MOST - 18 - 255 - 2 + 1))),
}


def main():
    for title, body in GOOD.items():
        print(title, frame(body).hex(), meaning(body))
    for title, body in NONE.items():
        try:
            meaning(body)
        except Wrong:
            print("no_" + title, frame(body).hex(), "-")
        else:
            raise SystemExit(f"{title} is one")


if __name__ == "__main__":
    assert len(GOOD["all"]) == 336 and len(GOOD["later_most"]) == MOST and len(NONE["long"]) == MOST + 1
    main()
