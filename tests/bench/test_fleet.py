# SPDX-License-Identifier: MIT
"""Many clients in one process (bench/fleet.c): each has its tunnels, keeps them, and comes back to a server that was
killed. Counts are asserted, and no times. And what a tunnel of theirs costs the server."""

import time

import pytest

from bench import fleet, lab

MEMBERS = 60
CROWD = 32  # of them with many tunnels
A_TUNNEL_MAX = 1400  # bytes; the goal is 2,000, 1,320 were measured where each tunnel with an id of its own had 1,600


@pytest.fixture
def place(tools, tmp_path):
    place = lab.Lab(tmp_path, tools)
    yield place
    place.close()


def start(place, program, port):
    return place.start("server", program, "server", "-secret", fleet.SECRET, "-listen", f"127.0.0.1:{port}",
                       "-handshakes", "1000,1000")


def assert_all_are_there(crew):
    crew.wait_complete()
    ports = crew.ports()
    assert len(ports) == len(set(ports.values())) == MEMBERS * fleet.TUNNELS
    assert fleet.probe_some(crew, 30) == (0, 30)


@pytest.mark.patient
def test_a_fleet_is_held_and_comes_back(place, program, fleet_tool):
    echo, port = place.service("load", "sink", "-p", 0), lab.free_port()
    server = start(place, program, port)
    server.wait_listening(port, lab.PATIENCE)
    crew = fleet.Crew(place, port, echo, MEMBERS, fleet.TUNNELS, tool=fleet_tool)
    try:
        assert_all_are_there(crew)
        state = crew.state()
        assert (state["accepted"], state["lost"], state["refused"]) == (MEMBERS, 0, 0)
        server.popen.kill()
        server.popen.wait()
        start(place, program, port)
        assert_all_are_there(crew)
        assert crew.state()["accepted"] == 2 * MEMBERS
    finally:
        crew.close()


def heap_of(server):
    """Bytes that the server has written itself, once they change no more: what a handshake took is given back later."""
    before, now = -1, lab.memory_of(server.pid).own
    for _ in range(30):
        if now == before:
            break
        time.sleep(1)
        before, now = now, lab.memory_of(server.pid).own
    return now


def heap_with(place, program, fleet_tool, tunnels):
    port = lab.free_port()
    server = start(place, program, port)
    server.wait_listening(port, lab.PATIENCE)
    crew = fleet.Crew(place, port, 9, CROWD, tunnels, tool=fleet_tool)
    try:
        crew.wait_complete()
        return heap_of(server)
    finally:
        crew.close()
        server.stop()


@pytest.mark.patient
def test_a_further_tunnel_costs_the_server_little(place, program, fleet_tool):
    if b"__asan_init" in program.read_bytes() or b"__tsan_init" in program.read_bytes():
        pytest.skip("the heap of a sanitizer's build says nothing")
    one, many = (heap_with(place, program, fleet_tool, n) for n in (1, fleet.MANY))
    assert (many - one) / CROWD / (fleet.MANY - 1) <= A_TUNNEL_MAX
