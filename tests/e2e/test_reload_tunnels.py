# SPDX-License-Identifier: MIT
"""A reload of a client's tunnels: each class of change, under connections whose bytes are checked."""

import contextlib
import signal
import socket

import pytest

from lib import services
from lib.cutter import Cutter
from lib.keyed import Keyed
from lib.procs import PROGRAM, wait_for
from lib.services import connect, free_port, read_all, read_exactly
from test_reload import inodes, listens, put, reload, start_server

import shutil

pytestmark = pytest.mark.patient


def says(word):
    """A service that says its name, and then what it is told."""
    def serve(s):
        s.sendall(word)
        while part := s.recv(1 << 16):
            s.sendall(part)
    return services.Service(serve)


@pytest.fixture
def targets():
    with contextlib.ExitStack() as stack:
        yield {word: stack.enter_context(says(word)).port for word in (b"red", b"blue")}


def write(client, tunnels, more=""):
    """tunnels: {name: (public port, target port)}."""
    text = client.head + more + "tunnels:\n" + "".join(
        f"  - {{name: {name}, port: {public}, target: 127.0.0.1:{target}}}\n" for name, (public, target) in tunnels.items())
    return put(client.file, text)


def start(lab, server, tunnels, port=None, more="", flags=()):
    folder = lab.path / "c"
    folder.mkdir()
    shutil.copy(server.ca, folder / "ca.crt")
    put(folder / "secret", server.secret + "\n")

    class Draft:
        file = folder / "client.yaml"
        head = f"server: 127.0.0.1:{port or server.port}\nsecret-file: secret\nca: ca.crt\n"

    write(Draft, tunnels, more)
    client = lab.start("client", PROGRAM, "client", "-config", Draft.file, *flags, cwd=lab.path / "run")
    client.file, client.head = Draft.file, Draft.head
    if len(tunnels) == 1:
        client.port = lab.port_of(client)
        return client
    for name in tunnels:
        opened(client, name)
    return client


def opened(client, name, times=1):
    """The public port of a tunnel that was opened so often."""
    wait_for(f"tunnel '{name}'", lambda: client.log().count(f"tunnel '{name}': tcp://") >= times)
    lines = [line for line in client.log().splitlines() if f"tunnel '{name}': tcp://" in line]
    return int(lines[-1].split("tcp://")[1].split(" ")[0].rsplit(":", 1)[1])


def word(port):
    with connect(port) as s:
        s.shutdown(socket.SHUT_WR)
        return read_all(s)


def talks(s):
    s.sendall(b"on")
    return read_exactly(s, 2) == b"on"


def test_each_class_of_change(lab, targets):
    red, blue = targets[b"red"], targets[b"blue"]
    server = start_server(lab, "")
    old, new, late, taken = (free_port() for _ in range(4))
    file = {"same": (0, red), "target": (0, red), "place": (old, red), "gone": (0, red)}
    client = start(lab, server, file)
    ports = {name: opened(client, name) for name in file}
    before = inodes(ports["same"]) | inodes(ports["target"])
    with contextlib.ExitStack() as stack:
        held = {name: stack.enter_context(connect(port)) for name, port in ports.items()}
        for s in held.values():
            assert read_exactly(s, 3) == b"red"
        file = {"new": (0, blue), "same": (0, red), "target": (0, blue), "place": (new, red)}
        write(client, file)
        reload(client, "reload: 1 tunnel new, 2 changed, 1 closed, 1 as before\n", "reload: changed: tunnels\n")
        assert opened(client, "place", 2) == new and word(new) == b"red"
        assert word(opened(client, "new")) == b"blue"
        assert word(ports["target"]) == b"blue" and word(ports["same"]) == b"red"
        wait_for("the old ports to be closed", lambda: not listens(old) and not listens(ports["gone"]))
        assert inodes(ports["same"]) | inodes(ports["target"]) == before
        assert all(talks(s) for s in held.values())  # also of what closes
        # One that cannot be had: the old one stays, and says so; then it is taken back.
        holder = stack.enter_context(socket.create_server(("", taken)))
        inode = inodes(new)
        write(client, file | {"place": (taken, red)})
        reload(client, "reload: 0 tunnels new, 1 changed, 0 closed, 3 as before\n",
               f"tunnel 'place' is refused: public port {taken}: ", f"tunnel 'place' stays open at 127.0.0.1:{new} until then")
        assert word(new) == b"red" and inodes(new) == inode
        write(client, file | {"place": (new, blue)})
        reload(client, "reload: 0 tunnels new, 1 changed, 0 closed, 3 as before\n")
        assert word(new) == b"blue" and inodes(new) == inode
        holder.close()
        # Two change their ports, and a third one has a port that is given up.
        write(client, file | {"place": (late, red), "new": (new, blue)})
        reload(client, "reload: 0 tunnels new, 2 changed, 0 closed, 2 as before\n")
        wait_for("the ports", lambda: listens(late) and opened(client, "new", 2) == new)
        assert word(late) == b"red" and word(new) == b"blue"
        # Another order is no change.
        write(client, dict(reversed((file | {"place": (late, red), "new": (new, blue)}).items())))
        reload(client, "reload: 0 tunnels new, 0 changed, 0 closed, 4 as before\n")
        reload(client, "reload: nothing to change")
        assert all(talks(s) for s in held.values())
        assert "reconnect" not in client.log() and inodes(ports["same"]) | inodes(ports["target"]) == before


def test_what_is_closed_may_finish_for_the_time_of_drain(lab, targets):
    server = start_server(lab, "")
    file = {"a": (0, targets[b"red"]), "b": (0, targets[b"red"]), "c": (0, targets[b"red"])}
    client = start(lab, server, file, more="drain: 0s\n")
    with connect(opened(client, "a")) as a, connect(opened(client, "b")) as b:
        for s in (a, b):
            assert read_exactly(s, 3) == b"red"
        del file["a"]
        write(client, file, "drain: 0s\n")
        reload(client, "reload: 0 tunnels new, 0 changed, 1 closed, 2 as before\n")
        with pytest.raises(OSError):
            while a.recv(1):
                pass
            raise ConnectionResetError  # an end in order is one, too
        assert talks(b)


def test_a_wrong_file_changes_no_tunnel(lab, targets):
    red = targets[b"red"]
    server = start_server(lab, "")
    file = {"a": (0, red), "b": (free_port(), red)}
    client = start(lab, server, file)
    ports = [opened(client, name) for name in file]
    before = inodes(ports[0]) | inodes(ports[1])
    good = client.file.read_text()
    other = good.replace("name: a", "name: c")
    for text, mode, why in (
            (None, 0, "No such file or directory"),
            (other.replace(f":{red}", "", 1), 0o600, "client.yaml:5:"),
            (other.replace("port: 0", f"port: {ports[1]}"), 0o600, "client.yaml:6:5: another tunnel has the same public port: 'c', in line 5"),
            (other.replace("name: c", "name: b"), 0o600, "tunnel 'b' is there already, in line 5"),
            (other.replace("secret-file: secret", f"secret: {server.secret}"), 0o644, "chmod 600"),
            (other[:-3], 0o600, "client.yaml:")):
        if text is None:
            client.file.unlink()
        else:
            put(client.file, text, mode)
        reload(client, why, ": the running configuration stays")
        assert [word(port) for port in ports] == [b"red", b"red"]
    assert inodes(ports[0]) | inodes(ports[1]) == before
    assert "tunnel new" not in client.log() and "tunnels new" not in client.log()
    put(client.file, good)
    reload(client, "reload: nothing to change")


def test_changes_while_the_connection_is_cut(lab):
    """What was decided meanwhile is done once it is back, and no connection loses a byte."""
    server = start_server(lab, "")
    with Cutter(server.port) as link, contextlib.ExitStack() as stack:
        stays, moves, goes = (stack.enter_context(contextlib.closing(Keyed(8))) for _ in range(3))
        target = stack.enter_context(says(b"new")).port
        old, new = free_port(), free_port()
        file = {"stays": (0, stays.port), "moves": (old, moves.port), "goes": (0, goes.port)}
        client = start(lab, server, file, port=link.port, more="drain: 5m\n")
        loads = {"stays": stays, "moves": moves, "goes": goes}
        ports = {name: opened(client, name) for name in file}
        for name, load in loads.items():
            load.start(ports[name])
        before = inodes(ports["stays"])
        for kind in ("reset", "forget"):
            link.cut(kind)
            write(client, {"stays": file["stays"], "moves": (new, moves.port), "fresh": (0, target)}, "drain: 5m\n")
            reload(client, "reload: 1 tunnel new, 1 changed, 1 closed, 1 as before\n")
            write(client, file, "drain: 5m\n")
            reload(client, "reload: 1 tunnel new, 1 changed, 1 closed, 1 as before\n")
            write(client, {"stays": file["stays"], "moves": (new, moves.port), "fresh": (0, target)}, "drain: 5m\n")
            reload(client, "reload: 1 tunnel new, 1 changed, 1 closed, 1 as before\n")
            for load in loads.values():
                load.mark()
            link.heal()
            for load in loads.values():
                load.wait_moved(60)
            wait_for("the new ports, and none of the old", lambda: listens(new) and not listens(old))
            assert word(opened(client, "fresh", 1 if kind == "reset" else 2)) == b"new"
            if kind == "reset":
                write(client, file, "drain: 5m\n")
                reload(client, "reload: 1 tunnel new, 1 changed, 1 closed, 1 as before\n")
                wait_for("the old port", lambda: listens(old) and not listens(new))
        assert inodes(ports["stays"]) == before
        for load in loads.values():
            load.check()
            assert load.finish() > 0 and load.bad == 0


@pytest.mark.parametrize("reloads, users", [(100, 40), pytest.param(1000, 200, marks=pytest.mark.long)])
def test_many_reloads_under_checked_connections(lab, targets, reloads, users):
    """Tunnels come, move and go each time; one stays, with its listener and its connections."""
    red, blue = targets[b"red"], targets[b"blue"]
    server = start_server(lab, "")
    with contextlib.closing(Keyed(users)) as load:
        file = {"stays": (0, load.port), "moves": (0, red)}
        client = start(lab, server, file)
        port = opened(client, "stays")
        load.start(port)
        before = inodes(port)
        places = [free_port() for _ in range(3)]
        for i in range(reloads):
            write(client, {f"t{i}": (0, red), "moves": (places[i % 3], (red, blue)[i % 2]), "stays": file["stays"]})
            reload(client, "reload: 1 tunnel new, 1 changed, ")
        wait_for("the last one", lambda: f"tunnel 't{reloads - 1}': tcp://" in client.log())
        assert word(opened(client, f"t{reloads - 1}")) == (b"red")
        wait_for("its last place", lambda: listens(places[(reloads - 1) % 3]))
        wait_for("no other place", lambda: sum(map(listens, places)) == 1)
        assert word(places[(reloads - 1) % 3]) == (b"red", b"blue")[(reloads - 1) % 2]
        assert inodes(port) == before
        load.check()
        assert load.finish() > 0 and load.bad == 0
        assert server.log().count("event=connected") == 1


def test_gotunnel_ctl_says_how_many(lab, targets):
    server = start_server(lab, "")
    control = f"control: {lab.path}/c/control\n"
    file = {"a": (0, targets[b"red"]), "b": (0, targets[b"red"])}
    client = start(lab, server, file, more=control)
    write(client, file | {"c": (0, targets[b"blue"])}, control)
    done = lab.run("ctl", "-control", lab.path / "c/control", "reload")
    assert done.stdout == "changed: tunnels\n1 tunnel new, 0 changed, 0 closed, 2 as before\n", done
    assert word(opened(client, "c")) == b"blue"
    write(client, file, control)
    done = lab.run("ctl", "-control", lab.path / "c/control", "-json", "reload")
    assert '"tunnels_closed": 1' in done.stdout or '"tunnels_closed":1' in done.stdout, done


def test_a_client_with_a_right_to_more_tunnels_has_them_and_may_change_ports(lab, targets):
    """More than a server gives to others, and exactly so many: the port that moves has no place beside the old one, whose
    connection runs on."""
    many = 70
    (lab.path / "clients").mkdir(mode=0o700)
    server = lab.server()
    done = lab.run("clients", "add", "nas", "-state", lab.path, "-public", f"127.0.0.1:{server.port}", "-ports", "0-65535",
                   "-tunnels", str(many))
    assert done.returncode == 0, done.stderr
    server.kill(signal.SIGHUP)
    server.wait_count("clients with a key in", 2)
    old, new = free_port(), free_port()
    file = {f"t{i}": (0, targets[b"red"]) for i in range(many - 1)}

    class Draft:
        file = lab.path / "client.yaml"
        head = f"join-file: {lab.path}/nas.join\n"

    write(Draft, file | {"moves": (old, targets[b"red"])})
    client = lab.start("client", PROGRAM, "client", "-config", Draft.file)
    client.file, client.head = Draft.file, Draft.head
    client.wait_count("': tcp://", many)
    with connect(old) as s:
        assert read_exactly(s, 3) == b"red" and talks(s)
        write(client, file | {"moves": (new, targets[b"red"])})
        reload(client, f"reload: 0 tunnels new, 1 changed, 0 closed, {many - 1} as before\n")
        wait_for("the new port, and not the old one", lambda: listens(new) and not listens(old))
        assert talks(s) and word(new) == b"red"
    assert client.log().count("': tcp://") == many + 1


# ---- one, several, one ----


def test_from_one_to_three_and_back_under_checked_connections(lab, targets):
    """In the cage, as all clients here; nothing happens to the one that stays."""
    red, blue = targets[b"red"], targets[b"blue"]
    server = start_server(lab, "")
    with contextlib.closing(Keyed(8)) as load:
        client = start(lab, server, {"stays": (0, load.port)})
        load.start(client.port)
        before = inodes(client.port)
        for i in (1, 2):
            write(client, {"red": (0, red), "stays": (0, load.port), "blue": (0, blue)})
            reload(client, "reload: 2 tunnels new, 0 changed, 0 closed, 1 as before\n", "reload: changed: tunnels\n")
            ports = {name: opened(client, name, i) for name in ("red", "blue")}
            assert {name: word(port) for name, port in ports.items()} == {"red": b"red", "blue": b"blue"}
            write(client, {"stays": (0, load.port)})
            reload(client, "reload: 0 tunnels new, 0 changed, 2 closed, 1 as before\n")
            wait_for("the others to be closed", lambda: not any(map(listens, ports.values())))
            load.mark()
            load.wait_moved()
        reload(client, "reload: nothing to change")
        assert inodes(client.port) == before and "takes effect" not in client.log()
        load.check()
        assert load.finish() > 0 and load.bad == 0
        assert "reconnect" not in client.log() and server.log().count("event=connected") == 1


def test_another_port_of_the_only_tunnel(lab, targets):
    """The new one first; what runs through the old one goes on. One that cannot be had leaves the old one."""
    red, blue = targets[b"red"], targets[b"blue"]
    server = start_server(lab, "")
    old, new, taken = free_port(), free_port(), free_port()
    client = start(lab, server, {"only": (old, red)})
    assert client.port == old
    with connect(old) as s, socket.create_server(("", taken)):
        assert read_exactly(s, 3) == b"red"
        before = inodes(old)
        write(client, {"only": (taken, blue)})
        reload(client, "reload: 0 tunnels new, 1 changed, 0 closed, 0 as before\n",
               f"tunnel 'only' is refused: public port {taken}: ", f"tunnel 'only' stays open at 127.0.0.1:{old} until then")
        assert word(old) == b"blue" and inodes(old) == before
        write(client, {"other": (new, red)})  # the only one: whatever it is called
        reload(client, "reload: 0 tunnels new, 1 changed, 0 closed, 0 as before\n", f"the server listens on [::]:{new}")
        wait_for("the old one to be closed", lambda: not listens(old))
        assert word(new) == b"red" and talks(s)
        # Without a name it is the same one.
        put(client.file, client.head + f"tunnels: [{{port: {new}, target: '127.0.0.1:{blue}'}}]\n")
        reload(client, "reload: 0 tunnels new, 1 changed, 0 closed, 0 as before\n")
        assert word(new) == b"blue" and talks(s)
    assert "takes effect" not in client.log()


def test_a_flag_for_the_only_tunnel_does_not_keep_others_out(lab, targets):
    """Its target stays the flag's. Those of the others are not known when the cage is closed."""
    red, blue = targets[b"red"], targets[b"blue"]
    server = start_server(lab, "")
    client = start(lab, server, {"a": (0, blue)}, flags=("-local-target", f"127.0.0.1:{red}"))
    assert word(client.port) == b"red"
    write(client, {"a": (0, blue), "b": (0, blue)})
    reload(client, "reload: 1 tunnel new, 1 changed, 0 closed, 0 as before\n")
    assert word(opened(client, "b")) == b"blue" and word(client.port) == b"blue"
    write(client, {"a": (0, blue)})
    reload(client, "reload: 0 tunnels new, 1 changed, 1 closed, 0 as before\n")
    assert word(client.port) == b"red"
