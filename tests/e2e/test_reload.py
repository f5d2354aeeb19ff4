# SPDX-License-Identifier: MIT
"""A reload: what counts at once, what waits for the next start, and what changes nothing."""

import shutil
import signal
import socket
import threading
from pathlib import Path

import pytest

from lib.procs import PROGRAM, SECRET, wait_for
from lib.services import Service, connect, echo as echo_back, free_port, pattern, read_all, read_exactly, works

STAYS = ": the running configuration stays"


def put(path, text, mode=0o600):
    """In one step, as who writes such files should."""
    path.parent.mkdir(exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.chmod(mode)
    new.rename(path)
    return path


def start_server(lab, text, *flags, **how):
    """Its file, and all that it names, lie in a folder of their own, away from where it runs."""
    put(lab.path / "s/secret", SECRET + "\n")
    (lab.path / "run").mkdir(exist_ok=True)
    file = put(lab.path / "s/server.yaml", "listen: 127.0.0.1:0\ncerts: certs\nsecret-file: secret\n" + text)
    server = lab.start("server", PROGRAM, "server", "-config", file, *flags, cwd=lab.path / "run", **how)
    server.file = file
    server.port = int(server.match(r"(?:listens on|监听于) \S*:(\d+)\n").group(1))
    server.ca, server.secret = lab.path / "s/certs/ca.crt", SECRET
    return server


def client_text(server, target, more=""):
    return (f"server: 127.0.0.1:{server.port}\nsecret-file: secret\nca: ca.crt\n{more}\n"
            f"tunnels:\n  - {{name: t, port: 0, target: 127.0.0.1:{target}}}\n")


def start_client(lab, server, target, more="", name="c"):
    folder = lab.path / name
    folder.mkdir()
    shutil.copy(server.ca, folder / "ca.crt")
    put(folder / "secret", SECRET + "\n")
    file = put(folder / "client.yaml", client_text(server, target, more))
    client = lab.start("client", PROGRAM, "client", "-config", file, cwd=lab.path / "run")
    client.file = file
    client.port = lab.port_of(client)
    return client


def reload(process, *texts):
    """Sends SIGHUP. What the program then logs, once it has each of these texts in it."""
    before = len(process.log())
    process.kill(signal.SIGHUP)
    wait_for(f"{texts} after a reload:\n{process.log()[-2000:]}",
             lambda: all(t in process.log()[before:] for t in texts))
    return process.log()[before:]


def rewrite(process, text):
    put(process.file, text)


def inodes(port):
    """Of what listens at a port."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                found.add(fields[9])
    return found


def listens(port):
    return bool(inodes(port))


# ---- the server ----


def test_a_port_that_is_not_allowed_any_more_is_lost_and_another_one_is_not(lab, echo):
    kept, lost, new = free_port(), free_port(), free_port()
    server = start_server(lab, f"allow-ports: {kept},{lost}\n")
    clients = {port: lab.client(server, echo.port, remote_port=port, flags=("-id", f"p{port}")) for port in (kept, lost)}
    with connect(kept) as a, connect(lost) as b:
        for s in (a, b):
            s.sendall(b"x")
            assert read_exactly(s, 1) == b"x"
        before = inodes(kept)
        rewrite(server, server.file.read_text().replace(f"{kept},{lost}", f"{kept},{new}"))
        reload(server, "reload: changed: allow-ports\n", f"tunnel '{lost}' is ended: public port {lost}: not in the server's -allow-ports")
        wait_for("the port to be closed", lambda: not listens(lost))
        for s in (a, b):  # who is there may finish
            s.sendall(b"y")
            assert read_exactly(s, 1) == b"y"
    assert inodes(kept) == before and works(kept)
    clients[lost].wait_log("-allow-ports")  # the server's word to who asks again
    assert works(lab.client(server, echo.port, remote_port=new, flags=("-id", "new")).port)


def test_the_file_s_other_live_keys_count_for_who_comes_next(lab, echo):
    server = start_server(lab, "")
    before = lab.client(server, echo.port, flags=("-id", "before"))
    with connect(before.port) as s:
        rewrite(server, server.file.read_text() + "legacy: never\nlog-level: debug\ndrain: 7s\nhandshakes: 100,5\n"
                "trusted-proxy: 127.0.0.1\n")
        reload(server, "reload: changed: drain, handshakes, legacy, log-level, trusted-proxy\n")
        with connect(server.port) as stranger:  # 127.0.0.1 is a balancer now, and says nothing of itself
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            server.wait_log("does not begin with a PROXY header")
        rewrite(server, server.file.read_text().replace("trusted-proxy: 127.0.0.1\n", ""))
        reload(server, "reload: changed: trusted-proxy\n")
        assert works(lab.client(server, echo.port, flags=("-id", "after")).port)
        s.sendall(b"x")
        assert read_exactly(s, 1) == b"x"
        server.kill(signal.SIGTERM)
        server.wait_log("may finish, for up to 7 s")
    assert server.wait() == 0


def test_what_waits_for_the_next_start_is_named_and_the_rest_is_taken(lab, echo):
    server = start_server(lab, "")
    client = start_client(lab, server, echo.port, "id: one")
    rewrite(server, "listen: 127.0.0.1:1\ncerts: other\nsecret-file: elsewhere/secret\ndrain: 5s\n")
    log = reload(server, "reload: changed: drain\n")
    for key in ("certs", "listen", "secret-file"):
        assert f"reload: '{key}' takes effect at the next start\n" in log, log
    assert log.count("takes effect") == 3
    assert reload(server, "reload: nothing to change").count("takes effect") == 3  # they still wait
    rewrite(client, client_text(server, echo.port, "id: two\nmax-retry-interval: 9s"))
    log = reload(client, "reload: changed: max-retry-interval\n")
    assert "'id' takes effect" in log and log.count("takes effect") == 1, log
    assert works(client.port) and works(lab.client(server, echo.port, flags=("-id", "later")).port)


@pytest.mark.parametrize("command", ["server", "client"])
def test_a_wrong_file_changes_nothing_and_says_why(lab, echo, command):
    server = start_server(lab, "allow-ports: 0\n")
    p = server if command == "server" else start_client(lab, server, echo.port)
    good = p.file.read_text()
    with_secret = good.replace("secret-file: secret", f"secret: {SECRET}")
    for text, mode, why in (
            (None, 0, f"{p.file}: No such file or directory"),
            ("", 0o600, f"{p.file}:1:1: the file is empty"),
            ("# all of it is a remark\n", 0o600, ": the file is empty"),
            (good.rstrip()[:-2], 0o600, "may not be written to its end"),
            (good + "drain: 5\n", 0o600, "server.yaml:5:8: drain" if p is server else "client.yaml:"),
            (good + "dran: 5s\n", 0o600, "'dran' is no key here; 'drain'?"),
            (with_secret, 0o644, "chmod 600"),
            (good.replace("secret-file: secret", "log-level: info"), 0o600, "the secret is missing"),
            (good, 0o666, "can be written by other users")):
        if text is None:
            p.file.unlink()
        else:
            put(p.file, text, mode)
        log = reload(p, why, STAYS)
        assert SECRET not in log and "changed" not in log
    (lab.path / p.file.parent / "secret").chmod(0o644)
    put(p.file, good)
    reload(p, "secret is open to other users", STAYS)
    (lab.path / p.file.parent / "secret").chmod(0o600)
    reload(p, "reload: nothing to change")
    put(p.file, with_secret)  # it says the same, from another place
    assert "'secret-file' takes effect" in reload(p, "reload: nothing to change")
    if p is not server:
        assert works(p.port)
    assert works(lab.client(server, echo.port, flags=("-id", "later")).port)


def test_what_a_flag_says_no_file_changes(lab, echo):
    server = start_server(lab, "allow-ports: 0\n", "-allow-ports", "0", "-log-level", "info")
    client = lab.client(server, echo.port)
    rewrite(server, server.file.read_text().replace("allow-ports: 0", "allow-ports: 1\nlog-level: error"))
    reload(server, "reload: nothing to change")
    assert works(client.port)


# ---- the client ----


def test_another_target_for_the_next_connection(lab):
    def says(word):
        def serve(s):
            while part := s.recv(1 << 16):
                s.sendall(word + part)
        return serve

    with Service(says(b"old ")) as old, Service(says(b"new ")) as new:
        server = start_server(lab, "")
        client = start_client(lab, server, old.port)
        with connect(client.port) as s:
            s.sendall(b"a")
            assert read_exactly(s, 5) == b"old a"
            before = inodes(client.port)
            rewrite(client, client_text(server, new.port))
            reload(client, "reload: changed: tunnels\n")
            s.sendall(b"b")
            assert read_exactly(s, 5) == b"old b"
            with connect(client.port) as t:
                t.sendall(b"c")
                assert read_exactly(t, 5) == b"new c"
            assert inodes(client.port) == before
        # A name, and a port that was not known when the cage was closed.
        rewrite(client, client_text(server, old.port).replace(f"127.0.0.1:{old.port}", f"localhost:{old.port}"))
        reload(client, "reload: changed: tunnels\n")
        with connect(client.port) as t:
            t.sendall(b"d")
            assert read_exactly(t, 5) == b"old d"


# ---- certificates ----


def test_the_server_s_certificate_is_read_again_also_without_a_file(lab, echo):
    t = lab.tunnel(echo.port)
    for p in (t.server, t.client):
        reload(p, "reload: there is no configuration file, and nothing else to change\n")
    with connect(t.port) as s:
        s.sendall(b"x")
        assert read_exactly(s, 1) == b"x"
        before = (lab.path / "certs/server.crt").read_bytes()
        for name in ("server.crt", "server.key"):
            (lab.path / "certs" / name).unlink()
        reload(t.server, "reload: changed: certificates\n")
        assert (lab.path / "certs/server.crt").read_bytes() != before
        assert works(lab.client(t.server, echo.port, flags=("-id", "later")).port)
        (lab.path / "certs/ca.crt").write_text("no certificate")
        reload(t.server, "ca.crt", STAYS)
        s.sendall(b"y")
        assert read_exactly(s, 1) == b"y"
    assert works(t.port)


def test_the_client_s_ca_is_read_again_with_a_file(lab, echo):
    """Another CA in its place is trusted from the next session on; this one goes on."""
    server, other = start_server(lab, ""), lab.server(cwd=put(lab.path / "o/x", "").parent)
    client = start_client(lab, server, echo.port)
    ca = client.file.parent / "ca.crt"
    put(ca, "no certificate\n")
    reload(client, "ca.crt", STAYS)
    put(ca, other.ca.read_text())
    reload(client, "reload: changed: certificates\n")
    assert works(client.port)
    put(ca, server.ca.read_text())
    reload(client, "reload: changed: certificates\n")
    reload(client, "reload: nothing to change")


# ---- under load ----


def test_connections_under_many_reloads_lose_no_byte(lab):
    """200 at once, through a hundred reloads at each end that change something each time."""
    users, reloads = 200, 100
    served = pattern("under reloads", 1 << 16)
    stop = threading.Event()
    problems = []

    def talk(port, n):
        try:
            with connect(port) as s:
                at = 0
                while not stop.is_set():
                    part = served[at:at + 100 + n]
                    s.sendall(part)
                    if read_exactly(s, len(part)) != part:
                        problems.append(f"{n}: other bytes at {at}")
                        return
                    at = (at + len(part)) % (1 << 15)
                    stop.wait(0.2)
                s.shutdown(socket.SHUT_WR)
                assert read_all(s) == b""
        except (OSError, EOFError, AssertionError) as e:
            problems.append(f"{n}: {e!r}")

    with Service(echo_back) as one, Service(echo_back) as other:
        server = start_server(lab, "drain: 10s\n")
        client = start_client(lab, server, one.port, "max-retry-interval: 10s")
        before = inodes(client.port) | inodes(server.port)
        threads = [threading.Thread(target=talk, args=(client.port, n)) for n in range(users)]
        for t in threads:
            t.start()
        text = server.file.read_text()
        for i in range(1, reloads + 1):
            rewrite(server, text.replace("10s", f"{10 + i}s"))
            rewrite(client, client_text(server, (one, other)[i % 2].port, f"max-retry-interval: {10 + i}s"))
            for p in (server, client):
                p.kill(signal.SIGHUP)
            for p in (server, client):
                wait_for(f"reload {i}", lambda p=p: p.log().count("reload: changed: ") >= i)
        stop.set()
        for t in threads:
            t.join(60)
        assert problems == [] and not any(t.is_alive() for t in threads)
        assert server.log().count("reload: changed: drain\n") == reloads
        assert client.log().count("reload: changed: tunnels, max-retry-interval\n") == reloads
        assert inodes(client.port) | inodes(server.port) == before
        assert works(client.port) and "reconnect" not in client.log()
