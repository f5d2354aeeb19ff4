# SPDX-License-Identifier: MIT
"""Tunnels over a long link: 100 ms for a round trip."""

import hashlib
import time

import pytest

from lib import services
from lib.link import DelayedLink
from lib.procs import SANITIZED
from lib.services import connect, pattern, read_exactly

RTT = 0.1
START_WINDOW = 262144  # what a stream has for each round trip before windows grow
BULK = (12 << 20) if SANITIZED else (40 << 20)
OURS_RECEIVES_DOWNLOADS = ["c-c", "c-go16", "c-go57"]  # of the pairings: ours is the server
OURS_RECEIVES_UPLOADS = ["c-c", "go16-c", "go57-c"]


def tunnel_over(lab, target, pairing):
    """The tunnel's public port, with the link between client and server."""
    first, second = pairing.split("-")
    server = lab.server(impl=first)
    link = DelayedLink(server.port, RTT / 2)
    return lab.client(link.port, target, impl=second, ca=server.ca).port


def faster_than_a_fixed_window(n, seconds):
    """Not by how much, since machines are slow; a fixed window cannot be beaten by any machine."""
    return seconds < 0.7 * n / START_WINDOW * RTT


@pytest.mark.serial
@pytest.mark.parametrize("pairing", OURS_RECEIVES_DOWNLOADS)
def test_a_download_is_not_held_to_the_first_window(lab, pairing):
    data = pattern("far", BULK)
    with services.Service(services.pour(data)) as service:
        with connect(tunnel_over(lab, service.port, pairing)) as s:
            s.sendall(b"x")
            start = time.monotonic()
            assert read_exactly(s, BULK) == data
            assert faster_than_a_fixed_window(BULK, time.monotonic() - start)


@pytest.mark.serial
@pytest.mark.parametrize("pairing", OURS_RECEIVES_UPLOADS)
def test_an_upload_is_not_held_to_the_first_window(lab, pairing):
    data = pattern("far", BULK)

    def digest(s):
        s.sendall(hashlib.sha256(read_exactly(s, BULK)).digest())
        services.discard(s)

    with services.Service(digest) as service:
        with connect(tunnel_over(lab, service.port, pairing)) as s:
            start = time.monotonic()
            s.sendall(data)
            assert read_exactly(s, 32) == hashlib.sha256(data).digest()
            assert faster_than_a_fixed_window(BULK, time.monotonic() - start)


@pytest.mark.serial
def test_a_reader_that_slows_down_gets_all(lab):
    """With a large window megabytes wait for the user, and go on arriving while they drain."""
    data = pattern("slow down", 2 * BULK)
    with services.Service(services.pour(data)) as service:
        with connect(tunnel_over(lab, service.port, "c-c")) as s:
            s.sendall(b"x")
            got = 0
            while got < len(data):
                n = min(300000, len(data) - got)
                assert read_exactly(s, n) == data[got : got + n]
                got += n
                if got > BULK // 2:
                    time.sleep(n / 40e6)
            assert s.recv(1) == b""
