# SPDX-License-Identifier: MIT
"""Join strings, made from docs/protocol.md 7 for servers that run, and certificates taken apart for their pin."""

import base64
import hashlib
import ssl
import struct

PIN_BYTES = 20
T = bytes(range(16))


def parts(der):
    """The values that stand in a DER value, each with its head."""
    def head(at):
        n, size = der[at + 1], 0
        if n & 0x80:
            size = n & 0x7f
            n = int.from_bytes(der[at + 2:at + 2 + size], "big")
        return at + 2 + size, at + 2 + size + n

    at, end = head(0)
    found = []
    while at < end:
        behind = head(at)[1]
        found.append(der[at:behind])
        at = behind
    return found


def pin_of(pem):
    """The pin of the certificate in a PEM file."""
    tbs = parts(parts(ssl.PEM_cert_to_DER_cert(pem.read_text()))[0])
    key = tbs[6]  # version, serial, algorithm, issuer, validity, subject, subjectPublicKeyInfo
    return hashlib.sha256(key).digest()[:PIN_BYTES]


def string(name, host, port, pin, t=T):
    """What a client is given."""
    name, host = name.encode(), host.encode()
    body = (bytes([1, 0, len(name)]) + name + struct.pack("<H", port) + bytes([len(host)]) + host + pin + t)
    return "gt1_" + base64.b32encode(body + hashlib.sha256(body).digest()[:4]).decode().lower().rstrip("=")


def t_of(text):
    """The secret in a string."""
    return base64.b32decode(text[4:].upper() + "=" * (-len(text[4:]) % 8))[-20:-4]


def of_server(server, name="laptop", host="127.0.0.1", port=None, t=T):
    """The string of a running server, or of where it was before."""
    return string(name, host, port or server.port, pin_of(server.ca), t)
