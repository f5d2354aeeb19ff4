# SPDX-License-Identifier: MIT
"""Cuts of a real network: two hosts, a cable, and everything that happens to cables, addresses and routers.
Needs root and network namespaces; skipped, with the reason, elsewhere. Names as in test_cut.py."""

import random
import time

import pytest

from lib import cuts, netns
from lib.cuts import LONG_CUTS
from lib.keyed import Keyed, summary
from lib.procs import PATIENCE, wait_for

RETURN_SECONDS = 15  # the goal is 1.5, which is reported; machines are slow
USERS = 20
long = pytest.mark.long
pytestmark = pytest.mark.patient


class Site:
    """Server and client on their hosts, and a load through them."""

    def __init__(self, lab, hosts, n, rate=20000, window=None):
        self.hosts = hosts
        self.load = Keyed(n, rate, lambda end: (hosts.server if end == "user" else hosts.client).socket())
        flags = cuts.window_flags(window)
        self.server = lab.server(listen=f"{hosts.server.address}:0", flags=flags, wrapper=hosts.server.wrapper)
        self.client = lab.client(self.server.port, self.load.port, remote_port=7070, host=hosts.server.address,
                                 ca=self.server.ca, wrapper=hosts.client.wrapper,
                                 flags=("-id", cuts.fresh_id(), *flags))
        self.load.start(7070)

    def cut(self, kind, seconds):
        """Cuts, waits, heals; how long until each end has had a byte, sorted."""
        self.hosts.cut(kind, self.server.port)
        time.sleep(seconds)
        self.load.mark()
        self.hosts.heal()
        got = self.load.wait_moved(60)
        self.load.check()
        return got

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.load.close()


@pytest.fixture
def hosts():
    with netns.Hosts() as hosts:
        yield hosts


@pytest.mark.parametrize("kind", netns.KINDS)
def test_p4_p5_r2_users_survive_every_cut_of_a_network(lab, hosts, kind):
    with Site(lab, hosts, USERS) as site:
        seconds = site.cut(kind, 0.3) + site.cut(kind, 3.5)
        summary(f"heal to first byte, {kind}", seconds)
        assert max(seconds) < RETURN_SECONDS
        print(f"{site.load.finish()} bytes checked")


@long
@pytest.mark.serial
@pytest.mark.parametrize("kind", netns.KINDS)
def test_p4_p5_r2_a_thousand_cuts_of_a_network(lab, hosts, kind):
    rng = random.Random(kind)
    with Site(lab, hosts, 200, rate=5000) as site:
        seconds = []
        for _ in range(LONG_CUTS):
            seconds += site.cut(kind, rng.choice([0, 0.1, 0.5, 3.5]))
            time.sleep(rng.random() * 0.2)
        summary(f"heal to first byte, {kind}", seconds)
        print(f"{LONG_CUTS} cuts, {site.load.finish()} bytes checked")


@long
@pytest.mark.parametrize("kind", ["drop", "link-down", "drop-down", "drop-up"])
@pytest.mark.parametrize("gap", [10, 30, 50])
def test_p5_after_a_very_long_silence_of_a_network(lab, hosts, kind, gap):
    """Where TCP's own retransmission would be half a minute behind."""
    with Site(lab, hosts, USERS) as site:
        summary(f"heal to first byte after {gap} s, {kind}", site.cut(kind, gap))
        site.load.finish()


def test_p5_the_client_moves_to_another_address_while_the_link_is_down(lab, hosts):
    with Site(lab, hosts, USERS) as site:
        hosts.cut("link-down", site.server.port)
        hosts.roam()
        time.sleep(1)
        site.load.mark()
        hosts.heal()
        summary("heal to first byte, roamed while down", site.load.wait_moved(60))
        site.load.finish()


def test_p4_r4_the_server_hears_nothing_while_another_connection_resumes(lab, hosts):
    """The old connection is half open: no error at the server, whose users wait at a dead socket."""
    with Site(lab, hosts, USERS) as site:
        old = site.server.port
        hosts.roam()  # the old address is nobody's: what the server sends there is lost without a word
        site.load.mark()
        summary("first byte after the address changed", site.load.wait_moved(60))
        hosts.kill_connections(old)
        site.load.mark()
        site.load.wait_moved(60)
        site.load.finish()


def test_p7_p8_the_client_s_machine_loses_power(lab, hosts):
    """No word of it comes: cable pulled, process gone. The same identity from a new address has the port at once."""
    with Site(lab, hosts, 3, window=4) as site:
        hosts.cut("link-down", site.server.port)
        site.client.kill()
        hosts.roam()
        hosts.heal()
        flags = site.client.command[site.client.command.index("-id"):]
        lab.client(site.server.port, site.load.port, remote_port=7070, host=hosts.server.address,
                   ca=site.server.ca, wrapper=hosts.client.wrapper, flags=flags)
        wait_for("users of the dead client to be reset",
                 lambda: all(u.state == "reset" for u in site.load.users), PATIENCE)


def test_p8_r3_a_network_that_does_not_come_back(lab, hosts):
    with Site(lab, hosts, 5, window=4) as site:
        hosts.cut("drop", site.server.port)
        site.load.wait_ended("reset", timeout=4 + 20 + PATIENCE)
        assert site.server.alive() and site.client.alive()
