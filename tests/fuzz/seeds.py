#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""seeds.py ROOT   writes the seeds that have a name, of the targets that read a script, into ROOT/corpus/<target>/.

What each byte of a script means is in the target's step(). The other files there, named by a hash, were found by
a run from these seeds and made few: docs/recipes.md, A test.
"""

import hmac
import sys
from pathlib import Path

BREAK, CLOSE, FULL = 0, 1, 2  # peer_acts(), and 4 * what


def b(*numbers):
    return bytes(numbers)


def frame(cmd, sid, *rest, conn=0):
    """A step: frame cmd of stream sid; DATA has two bytes of length behind it, others as many as they have."""
    return b(5 + 16 * conn, cmd + 10 * (sid - 1), *rest)


SYN, FIN, PSH, NOP, UPD, RST, ACK, PING, PONG, GOAWAY = range(10)
DUE, LONG, SHORT = 8, 9, 10  # time passes: to what is due, 100 ms x n, n ms


def wait(how, n=0):
    return b(how, n)


def user(i, what, n=0):
    return b(13, i, what + 4 * n)


SAY, HEAR, END, LEAVE = range(4)


def server_seeds():
    v2, legacy = b(0, 1), b(0, 0)
    opened = v2 + b(1, 1 + 4, 0, 80, 1)  # a right open, accepted at once
    secret, control = b(3, 0), b(4, 3)
    served = legacy + secret + control + b(1)
    come = b(12)
    yield "open", opened + frame(ACK, 1, 0, 0, 0, 0) + wait(DUE)
    yield "open-key", v2 + b(1, 1 + 4 + 16 * 9, 0, 80, 1) + frame(ACK, 1, 0, 0, 0, 0)
    yield "open-key-wrong", v2 + b(1, 4 + 16 * 10, 0, 80, 0) + b(11, 1) + wait(LONG, 30)
    yield "open-later", v2 + b(1, 1, 0, 80, 0) + wait(SHORT, 200) + b(11, 0)
    yield "open-refused", v2 + b(1, 1, 0, 80, 1 + 2 * 6)
    yield "open-wrong", v2 + b(1, 0, 0, 80, 0) + b(11, 1) + wait(LONG, 30)
    yield "open-unanswered", v2 + b(1, 1, 0, 80, 0)
    yield "open-and-more", v2 + b(16, 3) + b'{"v' + b(1, 1, 0, 80, 0)
    yield "open-closed", v2 + b(1, 1, 0, 80, 0, 14, 3)
    yield "said-nothing", v2 + legacy + b(0, 31)
    yield "too-long", v2 + b(16, 255) + b"{" * 255 + (b(16, 255) + b" " * 255) * 17
    yield "no-export", b(0, 63, 1, 1, 0, 80)
    yield "legacy", served
    yield "legacy-wrong", legacy + b(3, 2, 0) + b(3, 0) + b(11, 4) + wait(LONG, 50)
    yield "legacy-http", legacy + b(3, 3)
    yield "legacy-never", b(0, 14 + 0) + b(0, 15) + b(0, 30)
    yield "legacy-half", legacy + secret + b(4, 7)
    yield "legacy-refused", legacy + secret + control + b(1 + 2 * 7)
    yield "legacy-unanswered", legacy + secret + control + b(0)
    yield "legacy-streams", served + b"".join(frame(SYN, n) for n in (5, 7, 9)) + frame(PSH, 5, 0, 9)
    yield "legacy-user", (served + come + frame(UPD, 2, 0, 0, 0, 1) + user(0, SAY, 40) + frame(PSH, 2, 4, 0)
                          + user(0, HEAR, 60) + frame(FIN, 2) + user(0, END) + wait(DUE))
    yield "legacy-silent", served + come + user(0, SAY, 60) + b(6, FULL + 4 * 20)
    yield "user", (opened + come + user(0, SAY, 20) + frame(PSH, 2, 0, 200) + user(0, HEAR, 9) + frame(FIN, 2)
                   + user(0, END) + wait(SHORT, 9) + frame(ACK, 1, 40, 1, 0, 0))
    yield "user-slow", opened + come * 3 + b"".join(frame(PSH, n, 255, 0) for n in (2, 4, 6) * 8) + user(1, HEAR, 60)
    yield "user-leaves", opened + come + come + frame(PSH, 2, 1, 0) + user(0, LEAVE) + wait(DUE) + wait(LONG, 4)
    yield "user-reset", opened + come + user(0, SAY, 9) + frame(RST, 2, 2, 0, 0, 0)
    yield "user-half", opened + come + frame(PSH, 2, 1, 0) + frame(FIN, 2)
    yield "full", opened + come + b(6, FULL + 4 * 40) + user(0, SAY, 60) * 4 + b(6, FULL) + wait(DUE)
    resume = b(0, 1, 2 + 16, 1 + 2 + 4 * 0, 1, 0)
    yield "resume", opened + come + user(0, SAY, 9) + b(6, BREAK + 4) + resume + b(11 + 16, 0) + frame(PSH, 2, 0, 9, conn=1)
    yield "resume-beside", opened + come + resume + b(11 + 16, 0) + user(0, SAY, 9) + wait(DUE)
    yield "resume-wrong", opened + b(0, 1, 2 + 16, 2, 1, 0, 11 + 16, 0)
    yield "resume-stale", opened + resume + b(11 + 16, 0) + b(0, 1, 2 + 32, 3, 1, 0, 11 + 32, 0)
    yield "resume-range", opened + come + user(0, SAY, 9) + b(0, 1, 2 + 16, 1 + 2, 1, 200, 11 + 16, 0)
    yield "resume-nobody", v2 + b(2, 0, 1, 0, 11, 0)
    yield "detached", opened + come + user(0, SAY, 9) + b(6, CLOSE + 4)
    yield "window-0", b(0, 17, 1, 1, 0, 80, 1) + b(12) + b(6, BREAK)
    yield "goaway", opened + come + frame(GOAWAY, 1, 0, 0, 0, 0) + wait(DUE)
    yield "stopped", opened + come + b(14, 1 + 4 * 30) + user(0, END) + frame(FIN, 2)
    yield "evicted", opened + come + b(14, 4)
    yield "port-wanted", opened + b(6, BREAK) + b(14, 2) + resume + b(11 + 16, 0)
    yield "pings", opened + frame(PING, 1, 1, 2, 3, 4) + frame(NOP, 1) + frame(PONG, 1, 0, 0, 0, 0)
    yield "bad-frame", opened + b(16, 8) + b(3, 11, 0, 0, 0, 0, 0, 0)


def client_seeds():
    v2, legacy, window_0 = 2, 0, 4
    opened = b(1, 0, 31, 144, 5)  # an answer with a right proof: port 8080
    served = b(3, 0, 4, 1)  # OK, and success
    yield "open", b(v2) + opened
    yield "open-port", b(v2) + b(1, 4, 0, 0, 0)
    yield "open-taken", b(v2) + b(1, 5, 0, 0, 0)
    yield "open-busy", b(v2) + b(1, 6, 0, 0, 0)
    yield "open-auth", b(v2) + b(1, 6 + 8, 0, 0, 0)
    yield "open-unproven", b(v2) + b(1, 7, 0, 80, 0)
    yield "open-long", b(v2 + window_0) + b(1, 24, 0, 80, 0)
    yield "open-junk", b(v2) + b(16, 2) + b"{}" + b(16, 1) + b"\n"
    yield "unwelcome", b(60) + b(3, 0)
    yield "unwelcome-v2", b(62) + b(1, 0, 0, 0, 0)
    yield "no-tls", b(56) + b(6, 1)
    yield "legacy", b(legacy) + served
    yield "legacy-never", b(128) + served
    yield "legacy-wrong", b(legacy) + b(3, 2)
    yield "legacy-refused", b(legacy) + b(3, 0, 4, 0)
    yield "legacy-half", b(legacy) + b(3, 0, 4, 7)
    yield "legacy-user", b(legacy) + served + frame(SYN, 2) + b(0) + frame(PSH, 2, 1, 0) + user(0, SAY, 9) + frame(FIN, 2)
    user_comes = frame(SYN, 2) + b(0)
    yield "user", (b(v2) + opened + user_comes + frame(PSH, 2, 1, 0) + user(0, HEAR, 60) + user(0, SAY, 40)
                   + frame(FIN, 2) + user(0, END) + frame(ACK, 1, 40, 1, 0, 0))
    yield "user-later", b(v2) + opened + frame(SYN, 2) + b(1) + frame(PSH, 2, 1, 0) + frame(FIN, 2) + b(15 + 16 * 11)
    yield "user-not", b(v2) + opened + frame(SYN, 2) + b(1) + frame(PSH, 2, 1, 0) + b(15 + 16 * 10)
    yield "user-reset", b(v2) + opened + frame(SYN, 2) + b(1) + frame(RST, 2, 1, 0, 0, 0) + frame(SYN, 4) + b(3)
    yield "users", b(v2) + opened + b"".join(frame(SYN, n) + b(n % 3) for n in range(2, 20, 2))
    cut = b(6, BREAK + 4) + wait(DUE)
    again = cut + b(11, 1 + 8)
    yield "resume", b(v2) + opened + user_comes + user(0, SAY, 9) + again + b(2, 0, 0) + frame(PSH, 2, 0, 9)
    yield "resume-part", b(v2) + opened + user_comes + user(0, SAY, 9) + again + b(2, 16, 99)
    yield "resume-wrong", b(v2) + opened + again + b(2, 7, 0) + wait(DUE) + b(11, 9, 2, 0, 0)
    yield "resume-epoch", b(v2) + opened + again + b(2, 15, 0)
    yield "resume-draining", b(v2) + opened + again + b(2, 5 + 8, 0)
    yield "resume-stale", b(v2) + opened + again + b(2, 5, 0)
    yield "resume-unknown", b(v2) + opened + (again + b(2, 6 + 8, 0)) * 2
    yield "resume-unproven", b(v2) + opened + again + b(2, 6, 0)
    yield "resume-legacy", b(v2) + opened + cut + b(11, 13)
    yield "resume-silent", b(v2) + opened + user_comes + again
    yield "beside", b(v2) + opened + user_comes + user(0, SAY, 40) + wait(LONG, 31) + wait(DUE) + b(11, 9, 2, 0, 0) + wait(DUE)
    yield "window-0", b(v2 + window_0) + opened + user_comes + user(0, SAY, 9) + wait(LONG, 60) + b(11, 9)
    yield "network", b(v2) + opened + b(6, 3 + 4) + b(14, 1) + wait(DUE) + b(11, 9)
    yield "goaway", b(v2) + opened + user_comes + frame(GOAWAY, 1, 5, 0, 0, 0) + wait(LONG, 99)
    yield "stopped", b(v2) + opened + user_comes + b(14, 4 + 8 * 20) + user(0, END) + frame(FIN, 2)
    yield "dials-fail", b(v2 + 8) + opened + user_comes + user(0, SAY, 9) + cut + b(11, 0)


def gate_seeds():
    def come(source, kind, *rest):
        return b(0, 0, kind + 8 * source, *rest)

    def more(i, n):
        return b(4, i, n)

    whole, parts, spoiled, junk = 0, 4, 2, 3
    passes = b(6, 0, 201)  # so long that all who wait are late
    yield "whole", b(0) + come(1, whole, 60, 255)
    yield "two-segments", b(0) + come(1, whole, 60, 1) + more(0, 20) + more(0, 20)
    yield "byte-by-byte", b(0) + come(1, whole, 1, 0) + b(3, 0, 1) * 90
    yield "last-byte", b(0) + come(1, whole, 1, 1) + b(3, 0, 1) * 50
    yield "records", b(0) + come(1, parts, 60, 30, 2) + more(0, 9) + more(0, 30)
    yield "tiny-records", b(0) + come(1, parts, 0, 60, 0) + more(0, 1) * 3
    yield "spoiled", b(0) + come(1, spoiled, 30, 5, 1, 20)
    yield "junk", b(0) + come(1, junk, 4) + b"GET " + b(1)
    yield "late", b(0) + come(1, whole, 60, 1) + passes
    yield "leaves", b(0) + come(1, whole, 60, 1) + b(5, 0, 1) + come(2, whole, 60, 1) + b(5, 1, 0)
    yield "left-at-once", b(0, 0, 0, 240, 60, 0)
    yield "one-source", b(0) + come(1, whole, 60, 1) * 9 + more(8, 90)
    yield "crowd", b(0) + b"".join(come(i % 7, whole, 60, 1) for i in range(40)) + more(39, 90) + passes
    yield "edges", b(0) + come(1, whole, 60, 1) + b(7, 0, 0) * 5 + more(0, 60)


def state_seeds():
    digits = b"0123456789abcdef"
    pin = digits * 4 + b"\n"
    for kind, name in enumerate(("id", "servers", "servers-full", "secret")):
        yield name + "-empty", b(kind)
        yield name + "-blank", b(kind) + b" \n"
    yield "id", b(0) + digits * 2 + b"\n"
    yield "id-upper", b(0) + digits.upper() * 2 + b"\n"
    yield "id-short", b(0) + digits + b"\n"
    yield "id-long", b(0) + digits * 2 + b"0\n"
    yield "id-no-end", b(0) + digits * 2
    yield "id-two", b(0) + (digits * 2 + b"\n") * 2
    yield "servers", b(1) + pin * 2
    yield "servers-torn", b(1) + b"junk\n" + pin[:20]
    yield "servers-known", b(1) + b"abcd" + b"0" * 60 + b"\n"
    yield "servers-zero", b(1) + pin + b"\0" + pin
    yield "servers-inside", b(1) + b"x" + pin
    yield "servers-full", b(2, 66) + b"\n"
    yield "servers-over", b(2, 10) + b"\n" + pin
    yield "secret", b(3) + b"a secret"
    yield "secret-line", b(3) + b"a secret\r\n"
    yield "secret-lines", b(3) + b"a secret\nand more\n"
    yield "secret-blanks", b(3) + b"a secret  \r\n"
    yield "secret-zero", b(3) + b"a\0secret"
    yield "secret-longest", b(3) + b"s" * 4095 + b"\n"
    yield "secret-too-long", b(3) + b"s" * 4096


def known_seeds():
    def le(bytes_, *numbers):
        return b"".join(n.to_bytes(bytes_, "little") for n in numbers)

    def table(sources, ids, lasts=86400, written=1700000000):
        head = b"GTKNOWN1" + bytes(range(16)) + le(8, written) + le(4, len(sources), len(ids))
        return (head + b"".join(le(8, n, n, written + lasts) for n in sources)
                + b"".join(le(8, n + 1000, n, written + lasts) for n in ids))

    def signed(text, raw=0):
        return b(raw) + text + hmac.digest(text[8:24], text, "sha256")

    few, full = table([1, 2, 3], [1, 1, 2]), table(range(1, 1025), range(1, 1025))
    room = bytes(32)
    for clock in range(8):
        yield f"few-clock-{clock}", signed(few, 3 * clock)
    yield "empty", signed(table([], []))
    yield "full", signed(full)
    yield "full-and-more", b(2) + full + bytes(24) + room
    yield "cut", signed(few)[:-1]
    yield "no-mark", b(0) + few + room
    yield "another-version", signed(few.replace(b"GTKNOWN1", b"GTKNOWN2"))
    yield "to-be-signed", b(1) + few + room
    yield "too-long-a-day", b(1) + table([1], [1], lasts=86401) + room
    yield "ends-before", b(1) + table([1], [1], lasts=-1) + room
    yield "one-that-is-none", b(1) + table([0], []) + room
    yield "wrapping-numbers", b(1) + few[:32] + le(4, 0xFFFFFFFF, 7) + few[40:] + room
    yield "end-of-time", b(1) + table([1], [], lasts=0, written=2**64 - 1) + room
    yield "to-be-fitted", b(2) + few + room


def main():
    root = Path(sys.argv[1]) / "corpus"
    for target, seeds in (("gate", gate_seeds()), ("known", known_seeds()), ("state", state_seeds())):
        for name, text in seeds:
            (root / target / name).write_bytes(text)
    for target, seeds in (("server_link", server_seeds()), ("client_link", client_seeds())):
        for name, script in seeds:
            # The last byte of the beginning says how it ends: all is closed, or nobody says anything any more.
            first, rest = (b"", script) if target == "server_link" else (script[:1], script[1:])
            for end in (0, 1):
                head = b(end) if target == "server_link" else b(first[0] | end)
                (root / target / (name + ("-silence" if end else ""))).write_bytes(head + rest)


main()
