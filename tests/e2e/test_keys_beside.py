# SPDX-License-Identifier: MIT
"""Clients with rights of their own beside each other at one server: whose port it is, who takes over, who is ended; across
cuts; and originals among them."""

import base64
import contextlib
import re

import pytest

from lib import join
from lib.cutter import Cutter
from lib.cuts import accepts
from lib.keyed import Keyed, go_on_over
from lib.procs import PROGRAM, wait_for
from lib.services import Service, connect, free_port, read_all
from lib.site import Site, opened

pytestmark = pytest.mark.patient


def named(word):
    return Service(lambda s: s.sendall(word.encode()))


def answer(port):
    """What the service behind a public port says; None: nobody is there."""
    try:
        with connect(port) as s:
            return read_all(s).decode() or None
    except OSError:
        return None


@pytest.fixture
def two():
    with named("red") as red, named("blue") as blue:
        yield red, blue


def test_the_second_for_a_port_waits_and_has_it_when_the_first_leaves(lab, two):
    """What they share is the first one's; what they do not share is not touched. Both ends say the same."""
    red, blue = two
    site = Site(lab)
    shared, own_a, own_b = free_port(), free_port(), free_port()
    a = site.join(site.add("a", "-ports", f"{shared},{own_a}"), f"s={red.port}@{shared}", f"o={red.port}@{own_a}",
                  "-max-retry-interval", "1s")
    assert opened(a, "s") == shared and opened(a, "o") == own_a
    b = site.join(site.add("b", "-ports", f"{shared},{own_b}"), f"s={blue.port}@{shared}", f"o={blue.port}@{own_b}",
                  f"not={blue.port}@{own_a}", "-max-retry-interval", "1s")
    assert opened(b, "o") == own_b and answer(own_b) == "blue"
    words = f"tunnel 's' is refused: public port {shared}: it is in use by another client"
    right = f"tunnel 'not' is refused: public port {own_a}: this client may not have it"
    for end in b, site.server:
        end.wait_log(words)
        end.wait_log(right)
    assert (answer(shared), answer(own_a)) == ("red", "red")
    assert a.stop() == []
    assert opened(b, "s") == shared and answer(shared) == "blue"
    assert b.log().count(words) == 1
    assert not accepts(own_a)  # it is not b's, though nobody has it


@pytest.mark.parametrize("kind", ["reset", "vanish"])
def test_both_go_on_over_cuts(lab, kind):
    """Two clients, three tunnels each, over one link, and the second waits for a port of the first all the time."""
    with contextlib.ExitStack() as stack:
        site = Site(lab)
        link = stack.enter_context(Cutter(site.server.port))
        loads = [stack.enter_context(Keyed(3)) for _ in range(5)]
        ports = [free_port() for _ in range(5)]
        texts = [site.add("a", "-ports", ",".join(map(str, ports[:3])), port=link.port),
                 site.add("b", "-ports", ",".join(map(str, ports[2:])), port=link.port)]
        a = site.join(texts[0], *(f"t{i}={loads[i].port}@{ports[i]}" for i in range(3)))
        for i in range(3):
            assert opened(a, f"t{i}") == ports[i]
        b = site.join(texts[1], *(f"t{i}={loads[i].port}@{ports[i]}" for i in (3, 4)), f"x={loads[4].port}@{ports[2]}",
                      "-max-retry-interval", "1s")
        for i in (3, 4):
            assert opened(b, f"t{i}") == ports[i]
        b.wait_log("tunnel 'x' is refused")
        for load, port in zip(loads, ports):
            load.start(port)
        go_on_over(link, loads, kind)
        assert a.log().count("tunnel 't0': tcp://") == b.log().count("tunnel 't3': tcp://") == 1
        assert "tunnel 'x': tcp://" not in b.log()  # a cut is no leaving


def test_a_revoked_client_does_not_come_back_out_of_a_cut(lab, two):
    """Its session waits for it with users; with the revocation they go, and the port is the next one's."""
    red, blue = two
    site = Site(lab)
    with Cutter(site.server.port) as link, Keyed(2) as load:
        port = free_port()
        text = site.add("lost", "-ports", str(port), port=link.port)
        lost = site.join(text, f"t={load.port}@{port}", f"u={red.port}@{port + 1}", "-max-retry-interval", "1s")
        assert opened(lost, "t") == port
        load.start(port)
        link.cut("reset")
        site.server.wait_log("its users wait for up to")
        site.clients("revoke", "lost")
        site.reload()
        wait_for("its users to be cut", lambda: all(u.state not in ("open", "new") for u in load.users))
        heir = site.join(site.add("heir", "-ports", str(port)), f"h={blue.port}@{port}", f"i={blue.port}@{free_port()}",
                         "-max-retry-interval", "1s")
        assert opened(heir, "h") == port and answer(port) == "blue"
        link.heal()
        lost.wait_log("the server does not take the key of client lost (any more)")
        assert answer(port) == "blue" and "goes on" not in lost.log()


def test_a_stolen_folder_of_clients_lets_nobody_in(lab, two):
    """Whoever has the server's files of clients, its CA's certificate, and this source, has no secret of theirs."""
    red, _ = two
    site = Site(lab)
    port = free_port()
    text = site.add("laptop", "-ports", str(port))
    kept = re.search(r"gk1_([a-z2-7]+)", (site.folder / "clients/laptop.yaml").read_text()).group(1)
    kept = base64.b32decode(kept.upper() + "=" * (-len(kept) % 8))
    pin = join.pin_of(site.server.ca)
    true = base64.b32decode(text[4:].upper() + "=" * (-len(text[4:]) % 8))[-20:-4]
    assert true not in kept  # T, which is all that the string has more than everybody may know
    for i in range(0, len(kept) - 15, 16):
        forged = join.string("laptop", "127.0.0.1", site.server.port, pin, kept[i:i + 16])
        done = lab.run("join", forged, f"{red.port}@{port}", "-once")
        assert done.returncode == 77 and "does not take the key" in done.stderr, done.stderr
    same = join.string("laptop", "127.0.0.1", site.server.port, pin, true)
    assert same == text  # and with it the string is whole
    site.join(same, f"t={red.port}@{port}", f"u={red.port}@{port + 1}")
    wait_for("the honest one", lambda: answer(port) == "red")


@pytest.mark.parametrize("go", ["go16", "go57"])
def test_an_original_among_them(lab, two, go):
    """A Go client with the shared secret beside a client with a key and one with three tunnels; each its port."""
    red, blue = two
    site = Site(lab)
    key_port, go_port = free_port(), free_port()
    key = site.join(site.add("k", "-ports", f"{key_port},0"), f"a={red.port}@{key_port}", f"b={red.port}@0")
    many = site.client({f"t{i}": (0, blue.port) for i in range(3)}, "id: many\n")
    original = lab.client(site.server, red.port, impl=go, remote_port=go_port)
    assert (opened(key, "a"), original.port) == (key_port, go_port)
    assert {answer(opened(many, f"t{i}")) for i in range(3)} == {"blue"}
    assert answer(key_port) == answer(go_port) == answer(opened(key, "b")) == "red"
    second = site.join(site.add("l", "-ports", f"{go_port},0"), f"x={blue.port}@{go_port}", f"y={blue.port}@0",
                       "-max-retry-interval", "1s")
    second.wait_log(f"tunnel 'x' is refused: public port {go_port}: it is in use by another client")
    assert answer(opened(second, "y")) == "blue" and answer(go_port) == "red"
    original.kill()
    assert opened(second, "x") == go_port and answer(go_port) == "blue"


@pytest.mark.parametrize("go", ["go16", "go57"])
def test_three_tunnels_at_an_original(lab, two, go):
    """The first is served; each of the others is named once."""
    red, blue = two
    server = lab.server(impl=go)
    first = free_port()
    words = [w for name, port, s in (("one", first, red), ("two", free_port(), blue), ("three", free_port(), blue))
             for w in ("-forward", f"{name}={port}=127.0.0.1:{s.port}")]
    client = lab.start("client", PROGRAM, "client", "-server", f"127.0.0.1:{server.port}", "-secret", server.secret,
                       "-ca", server.ca, *words)
    wait_for("the first", lambda: answer(first) == "red")
    for name in ("two", "three"):
        client.wait_count(f"tunnel '{name}': the server carries one TCP tunnel only", 1)
    assert answer(first) == "red"
