# SPDX-License-Identifier: MIT
"""What handshakes of strangers cost: memory, and turns that others wait for."""

import pytest

from lib import wire
from lib.hellos import HALF_A_RECORD, answered, fat, hello, hold
from lib.procs import SANITIZED

EACH_KIB = 64
KNOWN_PLACES = 64


@pytest.mark.skipif(SANITIZED, reason="sanitizers have memory of their own")
@pytest.mark.parametrize("is_fat", [False, True], ids=["a hello", "a fat hello"])
@pytest.mark.parametrize("behind", [b"", HALF_A_RECORD], ids=["and nothing", "and half a record"])
def test_a_handshake_that_stands_still_costs_64_kib(lab, is_fat, behind):
    """As many as there are places, of strangers and of a source that is known; 16 MiB for all of them."""
    server = lab.server()
    with wire.dial(server.port, server.ca, source=("127.15.0.1", 0)) as w:
        w.login(server.secret)
    text = hello(server.ca)
    text = (fat(text) if is_fat else text) + behind
    server.wait_log("session ended")
    before = server.status("RssAnon")
    sources = ["127.15.0.1"] * KNOWN_PLACES + [f"127.15.1.{i + 1}" for i in range(250)]
    held = [hold(server, source, text) for source in sources]
    alive = sum(answered(s) for s in held)
    grown = server.status("RssAnon") - before
    assert alive > 150
    assert 16 * alive < grown < min(EACH_KIB * alive, 16 << 10)
    for s in held:
        s.close()
