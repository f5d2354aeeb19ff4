#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The lines and proofs of docs/protocol.md 5 once more, from the text alone, with Python's json and hmac.

Prints vectors.txt, which lies beside it: `name hex` lines of what goes in and what must come out. Lines are without
their LF. open_*, resume_* are lines of a client, opened_*, resumed_* the answers; no_* are lines that are none, of
the kind that follows. Those with key_ in their names are of a client with a key of its own. tests/unit/proto/test_hello_proof.c holds the C code against it,
tests/cli/test_hello_vectors.py that the file is what this prints.
"""
import base64
import hashlib
import hmac
import json
import re

import ed25519

SECRET = b"correct horse battery staple"
EXPORTER, EXPORTER2 = bytes(range(32)), bytes(range(32, 64))
NC, NS, SID = bytes(range(64, 80)), bytes(range(80, 96)), bytes(range(96, 112))
T = bytes(range(112, 128))


# ---- 5.3 to 5.5: keys and proofs ----


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def expand(key, info):
    return mac(key, info + b"\x01")  # HKDF-Expand (RFC 5869), one block


class Keys:
    def __init__(self, secret):
        self.base = mac(EXPORTER, secret)  # HKDF-Extract: the exporter is the salt
        self.client = expand(self.base, b"gotunnel/2 client\0")
        self.server = expand(self.base, b"gotunnel/2 server\0")
        self.resume = expand(self.base, b"gotunnel/2 resume\0" + SID + NC + NS)


SHARED = Keys(SECRET)
CLIENT, SERVER, RESUME = SHARED.client, SHARED.server, SHARED.resume

# A client's own key, 5.3.
SEED, A = (expand(mac(b"gotunnel/2 key", T), info) for info in (b"sign", b"mac"))
PUBLIC = ed25519.public(SEED)
OWN = Keys(A)
KEY_BYTES = b"\1" + PUBLIC + A
KEY_TEXT = b"gk1_" + base64.b32encode(KEY_BYTES + hashlib.sha256(KEY_BYTES).digest()[:4]).lower().rstrip(b"=")


def before_answer(line):
    return b"answer\0" + line + b"\0"


def before_resumed(line):
    return b"resumed\0" + EXPORTER2 + line + b"\0"


def signed(covered, key, before):
    return covered + b',"mac":"' + mac(key, before + covered).hex().encode() + b'"}'


def sig_of(body):
    return ed25519.sign(SEED, b"gotunnel/2 client\0" + EXPORTER + body).hex().encode()


def signed_by_key(body, sig=b',"sig":"%s"'):
    """Both proofs of an open; sig: how the first one stands there."""
    return signed(body + sig.replace(b"%s", sig_of(body)), OWN.client, b"open\0")


def covered(**fields):
    return json.dumps({"v": 2, **fields}, separators=(",", ":")).encode()[:-1]


# ---- 5.2: is it a line? ----


def hex_of(n):
    return lambda v: isinstance(v, str) and re.fullmatch("[0-9a-f]{%d}" % (2 * n), v)


def whole(least, most):
    return lambda v: type(v) is int and least <= v <= most


def list_of(most, each):
    return lambda v: isinstance(v, list) and len(v) <= most and all(map(each, v))


def text(pattern):
    return lambda v: isinstance(v, str) and re.fullmatch(pattern, v)


def equals(value):
    return lambda v: type(v) is type(value) and v == value


WORD = text(r'[!#-\[\]-~]{0,63}')
CAPS = list_of(8, text("[a-z0-9-]{1,16}"))
FIELDS = {
    "open": {"v": equals(2), "op": equals("open"), "id": text(r"[A-Za-z0-9._-]{1,64}"), "nc": hex_of(16),
             "window_ms": whole(0, 2**32 - 1), "caps": CAPS, "take": lambda v: type(v) is bool,
             "mine": list_of(8, hex_of(16)), "mac": hex_of(32)},
    "opened": {"v": equals(2), "ok": equals(True), "op": equals("open"), "sid": hex_of(16), "ns": hex_of(16),
               "window_ms": whole(0, 2**32 - 1), "caps": CAPS, "mac": hex_of(32)},
    "resume": {"v": equals(2), "op": equals("resume"), "sid": hex_of(16), "epoch": hex_of(8), "rx": hex_of(8),
               "mac": hex_of(32)},
    "resumed": {"v": equals(2), "ok": equals(True), "op": equals("resume"), "epoch": hex_of(8), "rx": hex_of(8),
                "mac": hex_of(32)},
}
OF_A_KEY = {"key": FIELDS["open"]["id"], "sig": hex_of(64)}
REFUSAL = {"v": equals(2), "ok": equals(False), "error": WORD}
MAY_BE_THERE = {"by": WORD}
NEVER_A_MAC, ALWAYS_A_MAC = ("auth", "unknown", "message"), ("taken", "stale", "range")


def once(pairs):
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("repeated")
    return dict(pairs)


def depth(v):
    inside = v.values() if isinstance(v, dict) else v if isinstance(v, list) else None
    return 0 if inside is None else 1 + max(map(depth, inside), default=0)


def fits(fields, line):
    return all(name in line and good(line[name]) for name, good in fields.items())


def is_line(raw, kind):
    """kind: open, resume; opened, resumed: those, or a refusal."""
    try:
        assert len(raw) < 4096 and raw[:1] == b"{" and min(raw) >= 0x20 and b"\\u0000" not in raw
        line = json.loads(raw.decode(), object_pairs_hook=once)
        assert isinstance(line, dict) and depth(line) <= 3
    except (AssertionError, ValueError):
        return False
    if "mac" in line and not re.search(rb',"mac":"[0-9a-f]{64}"}\Z', raw):
        return False
    if kind == "open" and ("key" in line or "sig" in line):
        if not (fits({**FIELDS["open"], **OF_A_KEY}, line) and
                re.search(rb',"sig":"[0-9a-f]{128}","mac":"[0-9a-f]{64}"}\Z', raw)):
            return False
        return line["id"] == line["key"] or line["id"].startswith(line["key"] + ".")
    if kind in ("opened", "resumed") and line.get("ok") is False:
        known = {name: good for name, good in MAY_BE_THERE.items() if name in line}
        return bool(fits({**REFUSAL, **known}, line) and not (line["error"] in NEVER_A_MAC and "mac" in line) and
                    not (line["error"] in ALWAYS_A_MAC and "mac" not in line))
    return bool(fits(FIELDS[kind], line))


# ---- what goes in ----


def variants(kind, body, key, before, answer=False):
    """Of each kind: lines that are none, though they are signed as well as they can be."""
    digits = mac(key, before + body).hex().encode()
    seal = b',"mac":"' + digits + b'"}'
    yield "mac_first", b'{"mac":"' + digits + b'",' + body[1:] + b"}"
    yield "mac_then_more", body + seal[:-1] + b',"x":1}'
    yield "mac_after_blank", body + b", " + seal[1:]
    yield "mac_before_blank", body + seal + b" "
    yield "mac_escaped", body + b',"m\\u0061c":"' + digits + b'"}'
    yield "mac_twice", signed(b'{"mac":"' + digits + b'",' + body[1:], key, before)
    yield "mac_twice_escaped", signed(b'{"\\u006dac":1,' + body[1:], key, before)
    yield "mac_null_and_nested", b'{"mac":null,' + body[1:] + b',"x":{"y":1' + seal + b"}"
    yield "mac_upper", body + b',"mac":"' + b"A" + digits[1:] + b'"}'
    yield "mac_short", body + b',"mac":"' + digits[1:] + b'"}'
    yield "mac_long", body + b',"mac":"' + digits + b'0"}'
    yield "mac_nested_only", body + b',"x":{"y":1' + seal + b"}"
    yield "mac_missing", body + b"}"
    yield "nested_repeated", signed(body + b',"x":{"a":1,"\\u0061":2}', key, before)
    yield "deep", signed(body + b',"x":[[[1]]]', key, before)
    yield "deep_behind_escape", signed(body + b',"x":"\\"","y":[[[1]]]', key, before)
    yield "nul", signed(body + b',"x":"\\u0000"', key, before)
    yield "not_utf8", signed(body + b',"x":"\xff"', key, before)


def key_variants(fields):
    """Opens with a key that are none, though both proofs are as right as they can be."""
    body = covered(**fields, key="laptop")
    sig = sig_of(body)
    yield "without_sig", signed_by_key(body, b"")
    yield "without_key", signed_by_key(covered(**fields))
    yield "sig_first", signed_by_key(b'{"sig":"' + sig + b'",' + body[1:], b"")
    yield "sig_then_more", signed_by_key(body + b',"sig":"' + sig + b'","x":1', b"")
    yield "sig_after_blank", signed_by_key(body, b', "sig":"%s"')
    yield "sig_before_blank", signed_by_key(body, b',"sig":"%s" ')
    yield "sig_escaped", signed_by_key(body, b',"s\\u0069g":"%s"')
    yield "sig_twice", signed_by_key(b'{"sig":"' + sig + b'",' + body[1:])
    yield "sig_twice_escaped", signed_by_key(b'{"\\u0073ig":1,' + body[1:])
    yield "sig_null", signed_by_key(body, b',"sig":null')
    yield "sig_null_and_nested", signed_by_key(b'{"sig":null,' + body[1:], b',"x":{"y":1,"sig":"%s"}')
    yield "sig_nested_only", signed_by_key(body, b',"x":{"y":1,"sig":"%s"}')
    yield "sig_upper", signed_by_key(body, b',"sig":"A' + sig[1:] + b'"')
    yield "sig_short", signed_by_key(body, b',"sig":"' + sig[1:] + b'"')
    yield "sig_long", signed_by_key(body, b',"sig":"%s0"')
    yield "sig_after_mac", signed(body, OWN.client, b"open\0")[:-1] + b',"sig":"' + sig + b'"}'
    yield "mac_missing", body + b',"sig":"' + sig + b'"}'
    for name, key in [("empty", ""), ("number", 1), ("null", None), ("list", ["laptop"]), ("blank", "lap top"),
                      ("65", "l" * 65), ("upper", "Laptop"), ("part", "laptop.loc"), ("longer", "laptop.local-1.x"),
                      ("dot", "laptop.")]:
        yield name, signed_by_key(covered(**fields, key=key))


def main():
    rows = [("secret", SECRET), ("exporter", EXPORTER), ("exporter2", EXPORTER2), ("nc", NC), ("ns", NS), ("sid", SID),
            ("base", SHARED.base), ("client", CLIENT), ("server", SERVER), ("resume_key", RESUME),
            ("t", T), ("seed", SEED), ("a", A), ("public_key", PUBLIC), ("key_text", KEY_TEXT),
            ("key_base", OWN.base), ("key_client", OWN.client), ("key_server", OWN.server),
            ("key_resume_key", OWN.resume)]

    def is_one(name, raw):
        assert is_line(raw, name.split("_")[0]), name
        rows.append((name, raw))

    def is_none(name, raw):
        assert not is_line(raw, name.split("_")[1]), name
        rows.append((name, raw))

    fields = {"op": "open", "id": "laptop.local-1", "nc": NC.hex(), "window_ms": 60000, "caps": ["services"],
              "take": True, "mine": []}
    open_ = covered(**fields)
    o = signed(open_, CLIENT, b"open\0")
    full = covered(**{**fields, "caps": ["services", "a-16-character-n"], "take": False, "mine": [NC.hex(), NS.hex()]})
    accept = {"ok": True, "op": "open", "sid": SID.hex(), "ns": NS.hex(), "window_ms": 45000,
              "caps": ["services"]}
    opened = covered(**accept)
    resume = covered(op="resume", sid=SID.hex(), epoch=f"{3:016x}", rx=f"{0x123456789:016x}")
    r = signed(resume, RESUME, b"resume\0" + EXPORTER2)
    resumed = covered(ok=True, op="resume", epoch=f"{3:016x}", rx="fedcba9876543210")

    def refusal(error, **data):
        return covered(ok=False, error=error, **data)

    def answer(body):
        return signed(body, SERVER, before_answer(o))

    is_one("open_line", o)
    is_one("opened_line", answer(opened))
    is_one("resume_line", r)
    is_one("resumed_line", signed(resumed, RESUME, before_resumed(r)))
    is_one("opened_refused_line", answer(refusal("taken", by="192.0.2.7:50122")))
    is_one("resumed_refused_line", signed(refusal("range"), RESUME, before_resumed(r)))
    is_one("opened_auth_line", refusal("auth") + b"}")
    is_one("open_full", signed(full, CLIENT, b"open\0"))
    is_one("open_no_caps", signed(covered(**{**fields, "caps": []}), CLIENT, b"open\0"))
    is_one("opened_no_caps", answer(covered(**{**accept, "caps": []})))
    # Of a later version, or another writer: all that is there is covered, whoever knows it.
    is_one("open_later", signed(b'{ "slot" : {"mac":"x","y":["\\"]]]"]},' + open_[1:] + b' , "z":"\xe7\xab\xaf\\u7aef"',
                                CLIENT, b"open\0"))
    is_one("opened_later", answer(opened + b',"slot":[[0]]'))
    is_one("resume_later", signed(resume + b',"\\u006dac ":1', RESUME, b"resume\0" + EXPORTER2))
    is_one("resumed_later", signed(resumed + b',"move":"[2001:db8::1]:7000"', RESUME, before_resumed(r)))
    for error in ("busy", "draining", "of-a-later-version", ""):
        is_one(f"opened_{error or 'empty'}_bare", refusal(error) + b"}")
        is_one(f"opened_{error or 'empty'}_signed", answer(refusal(error)))
    is_one("opened_taken", answer(refusal("taken", by="x" * 63)))
    is_one("opened_taken_by_nobody", answer(refusal("taken")))
    keyed = covered(**fields, key="laptop")
    k = signed_by_key(keyed)
    is_one("open_key_line", k)
    is_one("opened_key_line", signed(opened, OWN.server, b"answer\0" + k + b"\0"))
    is_one("open_key_is_id", signed_by_key(covered(**fields, key="laptop.local-1")))
    is_one("open_key_first", signed_by_key(b'{"key":"laptop",' + open_[1:]))
    is_one("open_key_later", signed_by_key(keyed + b' , "x":{"sig":1,"key":"\xe7\xab\xaf"}'))
    is_one("resume_with_sig", signed(resume + b',"sig":1,"key":[]', RESUME, b"resume\0" + EXPORTER2))
    for name, raw in key_variants(fields):
        is_none(f"no_open_key_{name}", raw)
    for kind, body, key, before in [("open", open_, CLIENT, b"open\0"), ("opened", opened, SERVER, before_answer(o)),
                                    ("resume", resume, RESUME, b"resume\0" + EXPORTER2),
                                    ("resumed", resumed, RESUME, before_resumed(r))]:
        for name, raw in variants(kind, body, key, before):
            is_none(f"no_{kind}_{name}", raw)
    for name in ("id", "nc", "window_ms", "caps", "take", "mine"):
        without = {k: v for k, v in fields.items() if k != name}
        is_none(f"no_open_without_{name}", signed(covered(**without), CLIENT, b"open\0"))
    for name, change in [("caps_9", {"caps": ["a"] * 9}), ("caps_17", {"caps": ["a" * 17]}),
                         ("caps_empty", {"caps": [""]}), ("caps_upper", {"caps": ["A"]}), ("caps_number", {"caps": [1]}), ("caps_word", {"caps": "a"}),
                         ("take_1", {"take": 1}), ("take_null", {"take": None}), ("mine_9", {"mine": [NC.hex()] * 9}),
                         ("mine_short", {"mine": [NC.hex()[1:]]}), ("mine_upper", {"mine": [NC.hex().upper()]}),
                         ("mine_object", {"mine": {}})]:
        is_none(f"no_open_{name}", signed(covered(**{**fields, **change}), CLIENT, b"open\0"))
    is_none("no_opened_without_caps", answer(covered(**{k: v for k, v in accept.items() if k != "caps"})))
    is_none("no_opened_of_a_resume", answer(resumed))
    for error in ALWAYS_A_MAC:
        is_none(f"no_opened_{error}_bare", refusal(error) + b"}")
    for error in NEVER_A_MAC:
        is_none(f"no_opened_{error}_signed", answer(refusal(error)))
    for name, by in [("by_blank", "a b"), ("by_64", "x" * 64), ("by_quote", '"'), ("by_backslash", "\\"), ("by_beyond", "\u7aef"),
                     ("by_del", "\x7f"), ("by_number", 1), ("by_null", None)]:
        is_none(f"no_opened_{name}", answer(refusal("taken", by=by)))
    is_none("no_opened_error_blank", answer(refusal("no room")))
    is_none("no_opened_error_64", answer(refusal("e" * 64)))
    is_none("no_opened_error_number", answer(refusal(1)))
    for name, value in rows:
        print(name, value.hex())


if __name__ == "__main__":
    main()
