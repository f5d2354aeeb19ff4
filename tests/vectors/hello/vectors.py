#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The lines and proofs of docs/protocol.md 5 once more, from the text alone, with Python's json and hmac.

Prints vectors.txt, which lies beside it: `name hex` lines of what goes in and what must come out. Lines are without
their LF. open_*, resume_* are lines of a client, opened_*, resumed_* the answers; no_* are lines that are none, of
the kind that follows. tests/unit/proto/test_hello_proof.c holds the C code against it,
tests/cli/test_hello_vectors.py that the file is what this prints.
"""
import hashlib
import hmac
import json
import re

SECRET = b"correct horse battery staple"
EXPORTER, EXPORTER2 = bytes(range(32)), bytes(range(32, 64))
NC, NS, SID = bytes(range(64, 80)), bytes(range(80, 96)), bytes(range(96, 112))


# ---- 5.3 to 5.5: keys and proofs ----


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def expand(key, info):
    return mac(key, info + b"\x01")  # HKDF-Expand (RFC 5869), one block


BASE = mac(EXPORTER, SECRET)  # HKDF-Extract: the exporter is the salt
CLIENT, SERVER = expand(BASE, b"gotunnel/2 client\0"), expand(BASE, b"gotunnel/2 server\0")
RESUME = expand(BASE, b"gotunnel/2 resume\0" + SID + NC + NS)


def before_answer(line):
    return b"answer\0" + line + b"\0"


def before_resumed(line):
    return b"resumed\0" + EXPORTER2 + line + b"\0"


def signed(covered, key, before):
    return covered + b',"mac":"' + mac(key, before + covered).hex().encode() + b'"}'


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


I64 = whole(-2**63, 2**63 - 1)
WORD = text(r'[!#-\[\]-~]{0,63}')
CAPS = list_of(8, text("[a-z0-9-]{1,16}"))
FIELDS = {
    "open": {"v": equals(2), "op": equals("open"), "id": text(r"[A-Za-z0-9._-]{1,64}"), "port": I64, "nc": hex_of(16),
             "window_ms": whole(0, 2**32 - 1), "caps": CAPS, "take": lambda v: type(v) is bool,
             "mine": list_of(8, hex_of(16)), "mac": hex_of(32)},
    "opened": {"v": equals(2), "ok": equals(True), "op": equals("open"), "sid": hex_of(16), "ns": hex_of(16),
               "window_ms": whole(0, 2**32 - 1), "address": WORD, "port": whole(0, 65535), "caps": CAPS,
               "mac": hex_of(32)},
    "resume": {"v": equals(2), "op": equals("resume"), "sid": hex_of(16), "epoch": hex_of(8), "rx": hex_of(8),
               "mac": hex_of(32)},
    "resumed": {"v": equals(2), "ok": equals(True), "op": equals("resume"), "epoch": hex_of(8), "rx": hex_of(8),
                "mac": hex_of(32)},
}
REFUSAL = {"v": equals(2), "ok": equals(False), "error": WORD}
MAY_BE_THERE = {"port": I64, "errno": WORD, "by": WORD}
THERE_WITH_A_PORT = {"open": {"port"}, "opened": {"address", "port"}}  # all of them, or none
NEVER_A_MAC, ALWAYS_A_MAC = ("auth", "unknown", "message"), ("port", "taken", "stale", "range")


def once(pairs):
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("repeated")
    return dict(pairs)


def depth(v):
    inside = v.values() if isinstance(v, dict) else v if isinstance(v, list) else None
    return 0 if inside is None else 1 + max(map(depth, inside), default=0)


def fits(fields, line, left_out=frozenset()):
    return all(name in line and good(line[name]) for name, good in fields.items() if name not in left_out)


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
    if kind in ("opened", "resumed") and line.get("ok") is False:
        known = {name: good for name, good in MAY_BE_THERE.items() if name in line}
        return bool(fits({**REFUSAL, **known}, line) and not (line["error"] in NEVER_A_MAC and "mac" in line) and
                    not (line["error"] in ALWAYS_A_MAC and "mac" not in line))
    with_port = THERE_WITH_A_PORT.get(kind, frozenset())
    return bool(fits(FIELDS[kind], line, frozenset() if with_port & line.keys() else with_port))


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


def main():
    rows = [("secret", SECRET), ("exporter", EXPORTER), ("exporter2", EXPORTER2), ("nc", NC), ("ns", NS), ("sid", SID),
            ("base", BASE), ("client", CLIENT), ("server", SERVER), ("resume_key", RESUME)]

    def is_one(name, raw):
        assert is_line(raw, name.split("_")[0]), name
        rows.append((name, raw))

    def is_none(name, raw):
        assert not is_line(raw, name.split("_")[1]), name
        rows.append((name, raw))

    fields = {"op": "open", "id": "laptop.local-1", "port": 8080, "nc": NC.hex(), "window_ms": 60000, "caps": [],
              "take": True, "mine": []}
    open_ = covered(**fields)
    o = signed(open_, CLIENT, b"open\0")
    full = covered(**{**fields, "caps": ["services", "a-16-character-n"], "take": False, "mine": [NC.hex(), NS.hex()]})
    accept = {"ok": True, "op": "open", "sid": SID.hex(), "ns": NS.hex(), "window_ms": 45000,
              "address": "0.0.0.0:8080", "port": 8080, "caps": []}
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
    is_one("opened_refused_line", answer(refusal("port", port=8080, errno="EADDRINUSE", by="192.0.2.7:50122")))
    is_one("resumed_refused_line", signed(refusal("range"), RESUME, before_resumed(r)))
    is_one("opened_auth_line", refusal("auth") + b"}")
    is_one("open_full", signed(full, CLIENT, b"open\0"))
    is_one("open_no_port", signed(covered(**{k: v for k, v in fields.items() if k != "port"}), CLIENT, b"open\0"))
    is_one("opened_no_port", answer(covered(**{k: v for k, v in accept.items() if k not in ("address", "port")})))
    is_none("no_opened_address_alone", answer(covered(**{k: v for k, v in accept.items() if k != "port"})))
    # Of a later version, or another writer: all that is there is covered, whoever knows it.
    is_one("open_later", signed(b'{ "key" : {"mac":"x","y":["\\"]]]"]},' + open_[1:] + b' , "z":"\xe7\xab\xaf\\u7aef"',
                                CLIENT, b"open\0"))
    is_one("opened_later", answer(opened + b',"slot":[[0]]'))
    is_one("resume_later", signed(resume + b',"\\u006dac ":1', RESUME, b"resume\0" + EXPORTER2))
    is_one("resumed_later", signed(resumed + b',"move":"[2001:db8::1]:7000"', RESUME, before_resumed(r)))
    for error in ("busy", "draining", "of-a-later-version", ""):
        is_one(f"opened_{error or 'empty'}_bare", refusal(error) + b"}")
        is_one(f"opened_{error or 'empty'}_signed", answer(refusal(error)))
    is_one("opened_taken", answer(refusal("taken", by="x" * 63, errno="")))
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
    for name, data in [("errno_blank", {"errno": "E X"}), ("errno_64", {"errno": "E" * 64}), ("by_quote", {"by": '"'}),
                       ("by_backslash", {"by": "\\"}), ("by_beyond", {"by": "\u7aef"}), ("by_del", {"by": "\x7f"}),
                       ("by_number", {"by": 1}), ("port_word", {"port": "80"}), ("errno_null", {"errno": None})]:
        is_none(f"no_opened_{name}", answer(refusal("port", **data)))
    is_none("no_opened_error_blank", answer(refusal("no room")))
    is_none("no_opened_error_64", answer(refusal("e" * 64)))
    is_none("no_opened_error_number", answer(refusal(1)))
    for name, value in rows:
        print(name, value.hex())


if __name__ == "__main__":
    main()
