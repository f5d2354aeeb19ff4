#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The proofs of docs/protocol.md, "gotunnel/2", once more, from the text alone and with Python's hmac.

Prints vectors.txt, which lies beside it: `name hex` lines of what goes in and what must come out.
tests/unit/proto/test_hello_proof.c holds the C code against it, tests/cli/test_hello_vectors.py
that the file is what this prints.
"""
import hashlib
import hmac
import json
import struct


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def expand(key, info):
    return mac(key, info + b"\x01")  # HKDF-Expand (RFC 5869), one block


def string(text):
    data = text.encode()
    return bytes([len(data)]) + data


def keys(secret, exporter):
    base = mac(exporter, secret)  # HKDF-Extract: the exporter is the salt
    return base, expand(base, b"gotunnel/2 client\0"), expand(base, b"gotunnel/2 server\0")


def open_(nonce, port, window_ms, ident):
    return b"open\0" + nonce + struct.pack("<qI", port, window_ms) + string(ident)


def opened(request, sid, nonce, window_ms, port, address):
    return request + b"opened\0" + sid + nonce + struct.pack("<Ii", window_ms, port) + string(address)


def refused(request, error, message):
    return request + b"refused\0" + string(error) + string(message)


def resume(exporter, sid, epoch, rx):
    return b"resume\0" + exporter + sid + struct.pack("<QQ", epoch, rx)


def resumed(request, epoch, rx):
    return request + b"resumed\0" + struct.pack("<QQ", epoch, rx)


def line(**fields):
    return json.dumps({"v": 2, **fields}, separators=(",", ":")).encode() + b"\n"


def main():
    secret = b"correct horse battery staple"
    exporter, exporter2 = bytes(range(32)), bytes(range(32, 64))
    nc, ns, sid = bytes(range(64, 80)), bytes(range(80, 96)), bytes(range(96, 112))
    base, client, server = keys(secret, exporter)
    o = open_(nc, 8080, 60000, "laptop.local-1")
    key = expand(base, b"gotunnel/2 resume\0" + sid + nc + ns)
    r = resume(exporter2, sid, 3, 0x123456789)
    open_mac, resume_mac = mac(client, o), mac(key, r)
    opened_mac = mac(server, opened(o, sid, ns, 45000, 8080, "0.0.0.0:8080"))
    resumed_mac = mac(key, resumed(r, 3, 0xfedcba9876543210))
    for name, value in [
            ("secret", secret), ("exporter", exporter), ("exporter2", exporter2),
            ("nc", nc), ("ns", ns), ("sid", sid),
            ("base", base), ("client", client), ("server", server),
            ("open", open_mac),
            ("opened", opened_mac),
            ("refused", mac(server, refused(o, "port", "cannot listen on port 8080: \u7aef\u53e3"))),
            ("resume_key", key),
            ("resume", resume_mac),
            ("resumed", resumed_mac),
            ("resume_refused", mac(key, refused(r, "range", ""))),
            ("open_line", line(op="open", id="laptop.local-1", port=8080, nc=nc.hex(), window_ms=60000,
                               mac=open_mac.hex())),
            ("opened_line", line(ok=True, op="open", sid=sid.hex(), ns=ns.hex(), window_ms=45000,
                                 address="0.0.0.0:8080", port=8080, mac=opened_mac.hex())),
            ("resume_line", line(op="resume", sid=sid.hex(), epoch=f"{3:016x}", rx=f"{0x123456789:016x}",
                                 mac=resume_mac.hex())),
            ("resumed_line", line(ok=True, op="resume", epoch=f"{3:016x}", rx="fedcba9876543210",
                                  mac=resumed_mac.hex()))]:
        print(name, value.hex())


if __name__ == "__main__":
    main()
