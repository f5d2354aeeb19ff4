# SPDX-License-Identifier: MIT
"""Many tunnels in one session: each to its own target, none in the way of another, across cuts and restarts."""

import contextlib
import signal
import socket

import pytest

from lib import services
from lib.cutter import Cutter
from lib.cuts import accepts
from lib.keyed import Keyed, go_on_over
from lib.procs import PROGRAM, RELEASE_ONLY, SECRET, wait_for
from lib.services import answer, free_port
from lib.site import Site, put

pytestmark = pytest.mark.patient


def named(word):
    """A service that says its name, and ends."""
    return services.Service(lambda s: s.sendall(word.encode()))


def start(lab, server, forwards, *flags, port=None, secret=SECRET):
    """A client with a tunnel for each (name, public port, target port)."""
    given = [w for name, public, target in forwards for w in ("-forward", f"{name}={public}=127.0.0.1:{target}")]
    return lab.start("client", PROGRAM, "client", "-server", f"127.0.0.1:{port or server.port}", "-secret", secret,
                     "-ca", server.ca, *given, *flags)


def opened(client, name):
    """The public port of a tunnel that is open."""
    return int(client.match(rf"(?:tunnel|隧道) '{name}'[:：] ?tcp://\S*:(\d+) -> ").group(1))


@pytest.fixture
def three():
    with contextlib.ExitStack() as stack:
        yield {word: stack.enter_context(named(word)) for word in ("red", "green", "blue")}


def test_each_tunnel_has_its_target(lab, three):
    server = lab.server()
    client = start(lab, server, [(word, 0, s.port) for word, s in three.items()])
    ports = {word: opened(client, word) for word in three}
    assert {word: answer(port) for word, port in ports.items()} == {word: word for word in three}
    assert server.log().count("event=connected") == 1  # all of them in one session
    assert client.stop() == []  # in order; and every port is free then
    wait_for("the ports to be free", lambda: not any(accepts(p) for p in ports.values()))


def test_a_file_with_several_entries(lab, three):
    server = lab.server()
    file = lab.path / "client.yaml"
    file.write_text(f"server: 127.0.0.1:{server.port}\nsecret: {SECRET}\nca: {server.ca}\ntunnels:\n" +
                    "".join(f"  - {{name: {word}, port: 0, target: 127.0.0.1:{s.port}}}\n" for word, s in three.items()))
    file.chmod(0o600)
    told = lab.run("check", file)
    assert told.returncode == 0 and told.stdout.count("that the server chooses") == 3
    client = lab.start("client", PROGRAM, "client", "-config", file)
    assert [answer(opened(client, word)) for word in three] == list(three)


def test_one_that_is_refused_is_in_nobody_s_way(lab, three):
    """It says so once, goes on asking, and comes as soon as it can."""
    server = lab.server()
    holder = socket.create_server(("", free_port()))
    wanted = holder.getsockname()[1]
    client = start(lab, server, [("red", 0, three["red"].port), ("green", wanted, three["green"].port),
                                 ("blue", 0, three["blue"].port)], "-max-retry-interval", "1s")
    assert answer(opened(client, "red")) == "red" and answer(opened(client, "blue")) == "blue"
    client.wait_log(f"tunnel 'green' is refused: public port {wanted}: it is in use at the server")
    server.wait_count("tunnel 'green' is refused", 2)  # it has asked again
    holder.close()
    assert opened(client, "green") == wanted and answer(wanted) == "green"
    assert client.log().count("'green' is refused") == 1


def test_a_port_outside_the_rights_has_the_same_words_at_both_ends(lab, three):
    server = lab.server(flags=("-allow-ports", "0"))
    client = start(lab, server, [("red", 80, three["red"].port), ("blue", 0, three["blue"].port)])
    assert answer(opened(client, "blue")) == "blue"
    for end in client, server:
        end.wait_log("tunnel 'red' is refused: public port 80: not in the server's -allow-ports")


def test_a_port_that_another_client_has(lab, three):
    server = lab.server()
    first = start(lab, server, [("red", 0, three["red"].port)], "-id", "first")
    port = opened(first, "red")
    second = start(lab, server, [("green", port, three["green"].port), ("blue", 0, three["blue"].port)], "-id", "second",
                   "-max-retry-interval", "1s")
    second.wait_log(f"tunnel 'green' is refused: public port {port}: it is in use by the client at 127.0.0.1")
    assert answer(port) == "red" and answer(opened(second, "blue")) == "blue"
    assert first.stop() == []
    assert opened(second, "green") == port and answer(port) == "green"


@pytest.mark.parametrize("kind", ["reset", "forget"])
def test_connections_of_all_tunnels_survive_a_cut(lab, kind):
    server = lab.server()
    with Cutter(server.port) as link, contextlib.ExitStack() as stack:
        loads = [stack.enter_context(contextlib.closing(Keyed(4))) for _ in range(5)]
        client = start(lab, server, [(f"t{i}", 0, load.port) for i, load in enumerate(loads)], port=link.port)
        for i, load in enumerate(loads):
            load.start(opened(client, f"t{i}"))
        go_on_over(link, loads, kind)
        assert client.log().count("tunnel 't0': tcp://") == 1  # nothing was asked for again


def test_all_come_back_with_the_server(lab, three):
    listen = f"127.0.0.1:{free_port()}"
    server = lab.server(listen=listen)
    ports = {word: free_port() for word in three}
    client = start(lab, server, [(word, ports[word], s.port) for word, s in three.items()])
    for word in three:
        assert opened(client, word) == ports[word]
    server.kill()
    server = lab.server(listen=listen)
    for word in three:
        client.wait_count(f"tunnel '{word}': tcp://", 2)
        assert answer(ports[word]) == word


def test_a_new_process_of_a_client_has_the_ports_at_once(lab, three):
    """The other one's are released before."""
    server = lab.server()
    ports = {word: free_port() for word in three}
    forwards = [(word, ports[word], s.port) for word, s in three.items()]
    first = start(lab, server, forwards, "-id", "nas")
    for word in three:
        opened(first, word)
    second = start(lab, server, forwards, "-id", "nas")
    for word in three:
        assert opened(second, word) == ports[word] and answer(ports[word]) == word
    assert "is refused" not in second.log()
    first.wait_log("another client")


def test_64_tunnels_and_not_one_more(lab):
    with named("many") as service:
        server = lab.server()
        client = start(lab, server, [(f"t{i}", 0, service.port) for i in range(64)])
        ports = {opened(client, f"t{i}") for i in range(64)}
        assert len(ports) == 64
        assert {answer(port) for port in ports} == {"many"}
        done = lab.run("client", "-server", "127.0.0.1:1", "-secret", SECRET, *(w for i in range(1025) for w in (
            "-forward", f"t{i}=0=127.0.0.1:1")))
        assert done.returncode == 2 and "a client has at most 1024 tunnels" in done.stderr


@RELEASE_ONLY
@pytest.mark.serial
def test_a_tunnel_costs_at_most_2_kib_at_each_end(lab):
    """Of a thousand that one client has: what 936 more of them take, one service behind each."""
    with named("many") as service:
        site = Site(lab)
        put(lab.path / "join", site.add("nas", "-ports", "0-65535", "-tunnels", "1024") + "\n")

        def write(n):
            rows = "".join(f"  - {{name: t{i}, port: 0, target: 127.0.0.1:{service.port}}}\n" for i in range(n))
            return put(lab.path / "client.yaml", f"join-file: join\ntunnels:\n{rows}")

        client = lab.start("client", PROGRAM, "client", "-config", write(64))
        client.wait_count("': tcp://", 64)
        before = [p.status("RssAnon") for p in (site.server, client)]
        write(1000)
        client.kill(signal.SIGHUP)
        client.wait_log("936 tunnels new")
        client.wait_count("': tcp://", 1000)
        assert answer(opened(client, "t999")) == "many"
        for end, a, b in zip(("server", "client"), before, (p.status("RssAnon") for p in (site.server, client))):
            each = (b - a) * 1024 / 936
            print(f"\n{end}: {each:.0f} bytes a tunnel")
            assert each <= 2048


def test_an_old_server_carries_the_first(lab, three):
    """On the original's wire: a secret that is too short for another."""
    server = lab.server(secret="short")
    client = start(lab, server, [("red", free_port(), three["red"].port), ("green", free_port(), three["green"].port)],
                   secret="short")
    port = lab.port_of(client)
    assert answer(port) == "red"
    client.wait_log("tunnel 'green': the server carries one TCP tunnel only")


def test_once_ends_where_no_tunnel_is_had(lab, three):
    server = lab.server(flags=("-allow-ports", "0"))
    target = f"127.0.0.1:{three['red'].port}"
    command = ["client", "-server", f"127.0.0.1:{server.port}", "-secret", SECRET, "-ca", server.ca, "-once"]
    done = lab.run(*command, "-forward", f"80={target}", "-forward", f"81={target}")
    assert done.returncode == 77, done.stderr
    some = start(lab, server, [("red", 80, three["red"].port), ("blue", 0, three["blue"].port)], "-once")
    assert answer(opened(some, "blue")) == "blue"


@pytest.mark.parametrize("flag, words", [
    ("x", "must be PORT=TARGET or NAME=PORT=TARGET"),
    ("65536=a:1", "a public port is 0 to 65535"),
    ("a b=1=a:1", "must be PORT=TARGET"),
    ("80=", "must be PORT=TARGET"),
])
def test_a_wrong_forward_is_one_clear_error(lab, flag, words):
    done = lab.run("client", "-forward", flag)
    assert done.returncode == 2 and words in done.stderr and flag in done.stderr


def test_two_of_a_name(lab):
    done = lab.run("client", "-forward", "a=1=x:1", "-forward", "a=2=x:1")
    assert done.returncode == 2 and "another tunnel has this name already" in done.stderr


def test_two_of_a_public_port(lab):
    """In the same words from flags and from a file, before anything runs."""
    words = "another tunnel has the same public port"
    done = lab.run("client", "-server", "h:1", "-secret", SECRET, "-forward", "a=80=x:1", "-forward", "b=80=x:1")
    assert done.returncode == 2 and words in done.stderr and "b=80=x:1" in done.stderr
    file = lab.path / "client.yaml"
    file.write_text("server: h:1\ntunnels:\n  - {name: a, port: 80, target: x:1}\n  - {name: b, port: 80, target: x:1}\n")
    for command in ("check", file), ("client", "-config", file):
        done = lab.run(*command)
        assert done.returncode == 2 and f"client.yaml:4:5: {words}: 'a', in line 3" in done.stdout + done.stderr


def test_forward_beside_the_flags_of_one_tunnel(lab):
    done = lab.run("client", "-server", "h:1", "-secret", SECRET, "-forward", "1=x:1", "-remote-port", "2")
    assert done.returncode == 2 and "leave out -remote-port and -local-target" in done.stderr
