# SPDX-License-Identifier: MIT
"""What the time of a verdict tells whoever asks over the wire: nothing. As tests/unit/proto/test_timing.c, with the whole
program, 2,000 of each kind, interleaved at random, each from a source of its own."""

import os
import random
import statistics
import time

import pytest

from lib import cuts, wire, wire2
from lib.procs import SECRET

TRIES = 2000
T_LIMIT = 4.5
RUNS = 3
CROPS = (0.5, 0.75, 0.9, 0.99, 1)


def welch(samples):
    """|t| of two kinds, of (time, kind)."""
    kinds = [[t for t, kind in samples if kind == k] for k in (0, 1)]
    if min(map(len, kinds)) < 2:
        return 1e9
    noise = sum(statistics.variance(k) / len(k) for k in kinds)
    return abs(statistics.fmean(kinds[0]) - statistics.fmean(kinds[1])) / noise ** 0.5


def worst(samples):
    samples = sorted(samples)
    return max(welch(samples[:int(len(samples) * share)]) for share in CROPS)


def sources(run):
    """An address for each try."""
    for i in range(2 * TRIES):
        yield f"127.{100 + run}.{i // 200}.{i % 200 + 1}", 0


def leaks(ask):
    """Whether the times of ask(kind, source) tell its kinds apart, in each of three runs."""
    for run in range(RUNS):
        kinds = [0, 1] * TRIES
        random.Random(run).shuffle(kinds)
        t = worst([(ask(kind, source), kind) for kind, source in zip(kinds, sources(run))])
        print(f"|t| {t:.2f}, less than {T_LIMIT} is nothing")
        if t < T_LIMIT:
            return False
    return True


def test_a_difference_is_seen():
    """The measure itself: three microseconds in noise of ten."""
    noise = random.Random(1)
    assert leaks(lambda kind, _: noise.gauss(100 + 3 * kind, 10))


@pytest.mark.long
@pytest.mark.serial
def test_a_wrong_secret_takes_as_long_as_another(server):
    almost, far = SECRET[:-1] + "~", "~" * len(SECRET)
    context = wire.client_context(server.ca)

    def ask(kind, source):
        with wire.dial(server.port, server.ca, context=context, source=source) as w:
            began = time.perf_counter()
            w.send((almost if kind else far).encode() + b"\n")
            assert w.line() == b"ERROR: Invalid Secret\n"
            return time.perf_counter() - began

    assert not leaks(ask)


@pytest.mark.long
@pytest.mark.serial
def test_a_session_that_is_there_takes_as_long_as_none(server):
    peer = wire2.Client(server.port, server.ca, SECRET, cuts.fresh_id())
    assert peer.open(0)["ok"]

    def ask(kind, source):
        tls = peer.connect(source)
        line = peer.request(tls, epoch=100, key=os.urandom(32))
        if not kind:
            line["sid"] = os.urandom(16).hex()
        began = time.perf_counter()
        tls.say(line)
        assert tls.line()["error"] == "unknown"
        took = time.perf_counter() - began
        tls.close()
        return took

    assert not leaks(ask)
    peer.tls.close()
