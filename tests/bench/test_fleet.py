# SPDX-License-Identifier: MIT
"""Many clients in one process (bench/fleet.c): each has its tunnels, keeps them, and comes back to a server that was
killed. Counts are asserted, and no times."""

import pytest

from bench import fleet, lab

MEMBERS = 60


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
