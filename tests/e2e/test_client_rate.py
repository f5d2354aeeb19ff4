# SPDX-License-Identifier: MIT
"""-client-rate: users above it are accepted later, and none is refused."""

import contextlib
import selectors
import time

import pytest

from lib.services import connect, read_exactly

RATE, USERS = 5, 31
TOLD = f"] more users come than -client-rate allows ({RATE}/s): its new users wait\n"


@pytest.mark.patient
def test_a_crowd_is_served_at_the_rate_and_others_beside_it(lab, echo):
    server = lab.server(flags=("-client-rate", f"{RATE}/s"))
    crowded, other = (lab.client(server, echo.port, flags=("-id", name)) for name in ("crowded", "other"))
    with contextlib.ExitStack() as users, selectors.DefaultSelector() as answers:
        begin = time.monotonic()
        for _ in range(USERS):
            s = users.enter_context(connect(crowded.port))
            s.sendall(b"x")
            answers.register(s, selectors.EVENT_READ)
        with connect(other.port) as s:  # it is nobody's crowd
            s.sendall(b"y")
            assert read_exactly(s, 1) == b"y"
        served_by_then = len(answers.select(timeout=0))
        assert served_by_then < USERS or time.monotonic() - begin > USERS / RATE
        while answers.get_map():
            ready = answers.select(timeout=60)
            assert ready, f"{len(answers.get_map())} users wait for ever"
            for key, _ in ready:
                assert read_exactly(key.fileobj, 1) == b"x"
                answers.unregister(key.fileobj)
        assert time.monotonic() - begin > (USERS - 1) / RATE - 0.1  # the loop counts in milliseconds
    log = server.log()
    assert log.count(TOLD) == 1 and f" crowded{TOLD}" in log


def test_without_it_nobody_waits_and_a_lone_user_is_no_crowd(lab, echo):
    """30 users of a server without the limit, then one after the other below it: no line of it."""
    free = lab.client(lab.server(), echo.port)
    server = lab.server(flags=("-client-rate", "100000"))
    for client in (free, lab.client(server, echo.port)):
        for _ in range(30):
            with connect(client.port) as s:
                s.sendall(b"x")
                assert read_exactly(s, 1) == b"x"
    assert "-client-rate" not in server.log()
