# SPDX-License-Identifier: MIT
"""Names with several addresses, of which some are dead; servers that move; addresses with a scope.
Needs root and network namespaces; skipped, with the reason, elsewhere."""

import contextlib
import re
import threading
import time

import pytest

from lib import cuts, netns
from lib.keyed import Keyed, summary
from lib.procs import PATIENCE

pytestmark = pytest.mark.patient

SERVER4, OTHER4, SERVER6 = "10.77.0.1", "10.77.0.9", "fd77::1"
RETURN_SECONDS = 15  # the goal is 5
REMOTE = 7070


@pytest.fixture
def hosts():
    with netns.Hosts() as hosts:
        for host, address in ((hosts.server, SERVER6), (hosts.client, "fd77::2")):
            host.run("sysctl", "-qw", f"net.ipv6.conf.{host.device}.accept_dad=0")
            host.ip("addr", "add", f"{address}/64", "dev", host.device, "nodad")
        # or else the other address of the same network would go with the first one
        hosts.server.run("sysctl", "-qw", f"net.ipv4.conf.{hosts.server.device}.promote_secondaries=1")
        hosts.server.ip("addr", "add", f"{OTHER4}/24", "dev", hosts.server.device)
        yield hosts


def dead(host, rule, verdict="drop"):
    host.nft(f"add table inet dead; add chain inet dead i {{ type filter hook input priority 0; }}; "
             f"add rule inet dead i {rule} counter {verdict}")


def packets_to_the_dead(host):
    return int(re.search(r"packets (\d+)", host.nft("list table inet dead")).group(1))


def start(lab, hosts, load, name="srv.test", listen="[::]:0", target=None, flags=()):
    server = lab.server(listen=listen, flags=flags, wrapper=hosts.server.wrapper)
    before = time.monotonic()
    client = lab.client(server.port, target or load.port, remote_port=REMOTE, host=name, ca=server.ca,
                        wrapper=hosts.client.wrapper, flags=("-id", cuts.fresh_id(), *flags))
    return server, client, time.monotonic() - before


@contextlib.contextmanager
def keyed(hosts, n):
    load = Keyed(n, 20000, lambda end: (hosts.server if end == "user" else hosts.client).socket())
    try:
        yield load
    finally:
        load.close()


def break_connections(hosts, port):
    """All connections of the tunnel, once, by a reset."""
    hosts.server.run("ss", "-K", "sport", "=", str(port), check=False)


# ---- several addresses ----


def test_a_dead_ipv6_address_before_a_live_ipv4_one(lab, hosts):
    """The tunnel is up and users are served without waiting for it; remembered, it costs nothing."""
    hosts.client.names(f"{SERVER6} srv.test", f"{SERVER4} srv.test", "2001:db8::9 tgt.test", "127.0.0.1 tgt.test")
    dead(hosts.server, f"ip6 daddr {SERVER6}")
    hosts.client.ip("addr", "add", "2001:db8::9/128", "dev", "lo", "nodad")
    dead(hosts.client, "ip6 daddr 2001:db8::9")
    with keyed(hosts, 1) as load:
        _, _, took = start(lab, hosts, load, target=f"tgt.test:{load.port}")
        summary("the tunnel is up", [took])
        assert took < 3  # 0.3 is the goal, 5 it was
        seconds = []
        for _ in range(10):
            before = time.monotonic()
            load.start(REMOTE, 1)
            if not seconds:
                tried = packets_to_the_dead(hosts.client)
                assert tried > 0
            seconds.append(time.monotonic() - before)
        assert packets_to_the_dead(hosts.client) - tried < 9  # not by each of them
        summary("users are served", seconds)
        assert max(seconds) < 2  # 0.3 is the goal, 2.5 it was
        load.finish()


def test_many_dead_addresses_do_not_hide_the_live_one(lab, hosts):
    """Eight of IPv6 come first, as many as a search tries; the ninth is the only one of IPv4."""
    gone = [f"fd77::{i}" for i in range(101, 109)]
    hosts.client.names(*(f"{a} srv.test" for a in gone), f"{SERVER4} srv.test")
    dead(hosts.client, "ip6 daddr fd77::/64")
    with keyed(hosts, 1) as load:
        start(lab, hosts, load)
        load.start(REMOTE, 1)
        load.finish()


@pytest.mark.parametrize("dies", ["silent", "rst"])
def test_a_family_dies_and_users_go_on_over_the_other(lab, hosts, dies):
    hosts.client.names(f"{SERVER6} srv.test", f"{SERVER4} srv.test")
    with keyed(hosts, 5) as load:
        server, _, _ = start(lab, hosts, load)
        load.start(REMOTE)
        dead(hosts.server, f"ip6 daddr {SERVER6} tcp dport {server.port}",
             {"silent": "drop", "rst": "reject with tcp reset"}[dies])
        load.mark()
        seconds = load.wait_moved(60)
        summary(f"IPv6 dead to first byte, {dies}", seconds)
        assert max(seconds) < RETURN_SECONDS
        load.finish()


# ---- the server moves ----


def old_is_gone(hosts, port):
    hosts.server.ip("addr", "del", f"{SERVER4}/24", "dev", hosts.server.device)


def old_is_silent(hosts, port):
    dead(hosts.server, f"ip daddr {SERVER4}")


def old_refuses(hosts, port):
    dead(hosts.server, f"ip daddr {SERVER4} tcp dport {port}", "reject with tcp reset")


def somebody_else(hosts, port, handler):
    """Connections to the old address reach another program there."""
    other = hosts.server.socket()
    other.bind((SERVER4, 0))
    other.listen(50)
    threading.Thread(target=accept_all, args=(other, handler), daemon=True).start()
    hosts.server.nft(f"add table ip nat; add chain ip nat p {{ type nat hook prerouting priority -100; }}; "
                     f"add rule ip nat p ip daddr {SERVER4} tcp dport {port} redirect to :{other.getsockname()[1]}")
    break_connections(hosts, port)


def accept_all(listener, handler):
    kept = []
    while True:
        s, _ = listener.accept()
        handler(s)
        kept.append(s)


def old_is_somebody_silent(hosts, port):
    somebody_else(hosts, port, lambda s: None)


def old_is_somebody_who_speaks(hosts, port):
    def speak(s):
        s.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        s.close()

    somebody_else(hosts, port, speak)


WAYS = [old_is_gone, old_is_silent, old_refuses, old_is_somebody_silent, old_is_somebody_who_speaks]


@pytest.mark.parametrize("users", [0, 5])
@pytest.mark.parametrize("way", WAYS)
def test_the_server_moves_to_another_address(lab, hosts, way, users):
    """Dynamic DNS, the same process: its users go on, and new ones are served, long before the window is over."""
    hosts.client.names(f"{SERVER4} srv.test")
    with keyed(hosts, max(users, 1)) as load:
        server, client, _ = start(lab, hosts, load, listen="0.0.0.0:0", flags=("-resume-window", "3m"))
        if users:
            load.start(REMOTE)
        hosts.client.names(f"{OTHER4} srv.test")
        way(hosts, server.port)
        if not users:
            break_connections(hosts, server.port)
        load.mark()
        before = time.monotonic()
        client.wait_log("the session goes on", timeout=60)
        summary(f"until it goes on, {way.__name__}", [time.monotonic() - before])
        assert time.monotonic() - before < RETURN_SECONDS
        if users:
            load.wait_moved(PATIENCE)
        else:
            load.start(REMOTE, 1)
        load.finish()


def test_the_name_moves_and_the_session_is_where_it_was(lab, hosts):
    """Another server is set up, and the name leads there; users of the old one go on."""
    hosts.client.names(f"{SERVER4} srv.test")
    with keyed(hosts, 5) as load:
        server, client, _ = start(lab, hosts, load)
        load.start(REMOTE)
        hosts.client.names(f"{OTHER4} srv.test")
        dead(hosts.server, f"ip daddr {OTHER4}")
        load.mark()
        break_connections(hosts, server.port)
        summary("until it goes on", load.wait_moved(60))
        client.wait_log("the session goes on", timeout=PATIENCE)
        load.finish()


# ---- a scope ----


def test_a_link_local_address_keeps_its_scope(lab, hosts):
    shown = hosts.server.ip("-6", "addr", "show", "dev", hosts.server.device, "scope", "link")
    address = shown.split("inet6 ")[1].split("/")[0]
    with keyed(hosts, 5) as load:
        server, client, _ = start(lab, hosts, load, name=f"[{address}%{hosts.client.device}]")
        load.start(REMOTE)
        for _ in range(3):
            load.mark()
            break_connections(hosts, server.port)
            load.wait_moved(60)
        client.wait_log("the session goes on", timeout=PATIENCE)
        load.finish()
