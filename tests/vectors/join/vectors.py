#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Join strings once more, from docs/protocol.md 7 alone, with Python's base64 and hashlib.

Prints vectors.txt, which lies beside it. `good STRING NAME HOST PORT PIN T` is what a string says, and the string that says
it; `taken`, the same of one that was bent by being copied, its first column in hex as all that follow: `inval`, `range` and
`proto` are none: no string at all or one that nobody makes, a wrong character, a later version. tests/unit/conf/test_join.c holds the C
code against it, tests/cli/test_join_vectors.py that the file is what this prints.
"""
import base64
import hashlib
import struct

PIN, T = bytes(range(20)), bytes(range(160, 176))


def word(body, prefix="gt1_"):
    whole = body + hashlib.sha256(body).digest()[:4]
    return prefix + base64.b32encode(whole).decode().lower().rstrip("=")


def body(name, host, port, version=1, flags=0, pin=PIN, t=T, behind=b""):
    name, host = name.encode(), host.encode()
    return (bytes([version, flags, len(name)]) + name + struct.pack("<H", port) + bytes([len(host)]) + host + pin + t
            + behind)


USUAL = ("laptop", "vps.example.com", 7000)
GOOD = [
    USUAL,
    ("a", "h", 1),
    ("c1", "192.0.2.1", 7000),
    ("c1", "2001:db8::1", 7000),
    ("c1", "fe80::1%eth0", 65535),
    ("A-Z.a-z_0-9", "under_score.example", 443),
    ("n" * 64, "h" * 253, 65535),
]


def good():
    for name, host, port in GOOD:
        yield word(body(name, host, port)), name, host, port, PIN, T
    yield word(body(*USUAL, pin=b"\xff" * 20, t=bytes(16))), *USUAL, b"\xff" * 20, bytes(16)


def taken():
    usual = word(body(*USUAL))
    yield usual.upper()
    yield usual.replace("_", "_ ") + "\n"
    yield "  " + " \t\r\n".join(usual) + "\v\f"
    yield "\r\n".join(usual[i:i + 40] for i in range(0, len(usual), 40))


def wrong():
    usual = word(body(*USUAL))
    for text in ("", "gt1", "g", "22", "gt_" + usual[4:], "gt1-" + usual[4:], "xt1_" + usual[4:], usual[4:],
                 "gt1x_" + usual[4:], "'" + usual + "'", "\ufeff" + usual, "gt1\0_", "gt1111111111_" + usual[4:]):
        yield "inval", text
    for odd in (body("", "h", 1), body("n" * 65, "h", 1), body("n n", "h", 1), body("n\0", "h", 1), body("n", "", 1),
                body("n", "h" * 254, 1), body("n", "h/", 1), body("n", "[::1]", 1), body("n", "h\0", 1), body("n", "h", 0),
                body("n", "h", 1, behind=b"x"), body("n", "h", 1)[:-1], bytes([1, 0]), bytes([1, 0, 1])):
        yield "inval", word(odd)
    for text in ("gt1_", "gt1_a", "gt1_aaaaaaa", usual[:-1], usual + "a", usual[:-8], usual + usual, usual[:40] + "1" + usual[41:],
                 usual[:40] + usual[41:], usual[:41] + usual[40] + usual[42:], usual + "\0", usual + "=", usual[:50] + "_" + usual[50:],
                 usual[:9] + usual[10] + usual[9] + usual[11:], "gt1_" + "a" * 582):
        yield "range", text
    for text in (word(body(*USUAL), "gt2_"), word(body(*USUAL), "gt10_"), word(body(*USUAL), "GT2_"), "gt2_", "gt01_" + usual[4:],
                 word(body(*USUAL, version=2)), word(body(*USUAL, version=0)), word(body(*USUAL, flags=1)),
                 word(b"\x02"+ b"any" * 50), word(b"\x02\x00")):
        yield "proto", text


for row in good():
    print("good", *(v.hex() if isinstance(v, bytes) else v for v in row))
for line in taken():
    print("taken", line.encode().hex(), *USUAL, PIN.hex(), T.hex())
for kind, line in wrong():
    print(kind, line.encode().hex() or "-")
