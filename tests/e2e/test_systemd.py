# SPDX-License-Identifier: MIT
"""What a service manager sees of both programs, as systemd speaks with them, without one."""

import re
import shutil
import signal
import socket
from pathlib import Path

import pytest

from lib import services
from lib.manager import USER, Host, Manager, frozen
from lib.procs import PROGRAM, SECRET, wait_for
from lib.services import connect, free_port

EX_CONFIG = 78


@pytest.fixture
def manager(lab):
    with Manager(lab.path / "notify") as manager:
        yield manager


# ---- READY, STATUS, STOPPING ----


def test_a_server_is_ready_when_its_port_listens(lab, manager):
    port = free_port()
    server = lab.server(listen=f"127.0.0.1:{port}", env=manager.env, ready=False)
    assert manager.wait("READY")["STATUS"] == f"listening on 127.0.0.1:{port}, sessions: 0, connections: 0"
    connect(port).close()  # at once: nothing has to be waited for
    assert all("STOPPING" not in news for news in manager.news)
    server.stop()
    news = manager.wait("STOPPING")
    assert news["READY"] == "1" and int(news["EXTEND_TIMEOUT_USEC"]) >= 30_000_000  # -drain


def test_a_client_is_ready_with_its_first_session(lab, manager, echo):
    port = free_port()
    first = lab.server(listen=f"127.0.0.1:{port}")  # makes the certificates
    first.stop()
    client = lab.client(port, echo.port, ca=first.ca, env=manager.env, ready=False)
    manager.wait("STATUS", "no tunnel: ")
    lab.server(listen=f"127.0.0.1:{port}")
    news = manager.wait("READY")
    public = lab.port_of(client)
    assert news["STATUS"] == f"server 127.0.0.1:{port}, public port {public}: up, 0 connections"
    assert all("READY" not in earlier for earlier in manager.news[:-1])
    with connect(public) as s:
        s.sendall(b"ping")
        assert services.read_exactly(s, 4) == b"ping"
    client.stop()
    manager.wait("STOPPING")


@pytest.mark.parametrize("what", ["secret", "port"])
def test_a_refusal_is_a_status_and_no_end(lab, manager, echo, what):
    server = lab.server(flags=("-allow-ports", "0"))
    wrong = {"secret": "another-secret-of-16-bytes"} if what == "secret" else {"remote_port": free_port()}
    client = lab.client(server, echo.port, env=manager.env, flags=("-max-retry-interval", "1s"), ready=False,
                        **wrong)
    manager.wait("STATUS", "the server refuses (1 time so far): ")
    manager.wait("STATUS", "the server refuses (2 times so far): ")
    assert client.alive() and all("READY" not in news for news in manager.news)


# ---- WATCHDOG ----


@pytest.mark.parametrize("which", ["worker 1", "worker 2", "gotunnel"])
def test_one_loop_that_stands_still_is_found(lab, which):
    with Manager(lab.path / "notify", watchdog=0.9) as manager:
        server = lab.server(env=manager.env, threads=2)
        manager.wait("WATCHDOG")
        with frozen(int(server.threads()[which].name)):
            manager.forget()
            fed = 0  # once: what was on its way
            while (news := manager.get(1.5)) is not None:
                fed += "WATCHDOG" in news
                assert fed <= 1
        manager.wait("WATCHDOG")


def test_a_client_feeds_the_watchdog_also_without_a_server(lab):
    with Manager(lab.path / "notify", watchdog=0.9) as manager:
        server = lab.server()
        server.stop()
        lab.client(server, 1, ca=server.ca, env=manager.env, ready=False)
        for _ in range(3):
            manager.wait("WATCHDOG")


# ---- a start that can never succeed ----

CLIENT = ("client", "-server", "127.0.0.1:1", "-secret", SECRET, "-ca", "ca.crt")
HOPELESS = {
    "no mode": ((), 1),
    "unknown mode": (("both",), 1),
    "unknown option": (("server", "-lisen", "1"), 2),
    "no secret": (("server",), 1),
    "no secret file": (("server", "-secret-file", "none"), 1),
    "short secret": (("server", "-secret", "short", "-legacy", "never"), 2),
    "listen": (("server", "-secret", SECRET, "-listen", "127.0.0.1:none"), 1),
    "public bind": (("server", "-secret", SECRET, "-public-bind", "here"), 2),
    "certificates": (("server", "-secret", SECRET, "-certs", "damaged"), 1),
    "no server": (CLIENT[:1] + CLIENT[3:], 1),
    "server": (("client", "-server", "127.0.0.1", *CLIENT[3:]), 1),
    "target": ((*CLIENT, "-local-target", "here"), 1),
    "port": ((*CLIENT, "-remote-port", "65536"), 1),
    "id": ((*CLIENT, "-id", "a b"), 2),
    "no ca": (CLIENT, 1),
}


@pytest.mark.parametrize("what", HOPELESS)
def test_a_start_that_can_never_succeed_has_its_own_status(lab, manager, what):
    command, status = HOPELESS[what]
    damaged = lab.path / "damaged"
    damaged.mkdir(mode=0o700)
    (damaged / "ca.crt").write_text("no certificate")
    alone = lab.run(*command)
    managed = lab.run(*command, env=manager.env)
    assert (alone.returncode, managed.returncode) == (status, EX_CONFIG)
    said = [re.sub(r"^\S+ \S+ ", "", (done.stderr or done.stdout).splitlines()[-1]) for done in (alone, managed)]
    assert said[0] == said[1]


def test_what_may_pass_is_tried_again(lab, manager, echo):
    busy = lab.run("server", "-secret", SECRET, "-listen", f"127.0.0.1:{echo.port}", env=manager.env)
    assert busy.returncode == 1 and "in use" in busy.stderr
    unknown = lab.run("server", "-secret", SECRET, "-listen", "no-such-host.invalid:0", env=manager.env)
    assert unknown.returncode == 1
    asked = lab.run("server", "-h", env=manager.env)
    assert asked.returncode == 0


# ---- a socket that is handed over ----

# What a manager does between fork() and exec(): the pid is the program's.
HAND_OVER = ("sh", "-c", 'exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh")


def test_the_tunnel_port_is_handed_over_from_one_server_to_the_next(lab, manager, echo):
    """Who connects between the two waits in the socket and is refused by nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        given = {"listen": "none:none", "env": manager.env, "stdin": listening, "wrapper": HAND_OVER}
        first = lab.server(**given)
        assert first.port == port
        manager.wait("READY", "1")
        client = lab.client(first, echo.port, remote_port=free_port())
        first.stop()
        connect(port).close()
        lab.server(**given)
        wait_for("the port again", lambda: client.log().count("the server listens on") == 2)
        with connect(client.port) as s:
            s.sendall(b"ping")
            assert services.read_exactly(s, 4) == b"ping"


@pytest.mark.parametrize("kind", ["connected", "datagrams", "file"])
def test_what_is_no_listening_socket_is_refused(lab, manager, kind):
    with socket.create_server(("127.0.0.1", 0)) as listening, open("/dev/null", "rb") as null, \
            socket.create_connection(listening.getsockname()) as connected, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        given = {"connected": connected, "datagrams": datagrams, "file": null}[kind]
        server = lab.server(env=manager.env, stdin=given, wrapper=HAND_OVER, ready=False)
        server.expect_exit = False
        assert server.wait() == EX_CONFIG
    errors = [line for line in server.log().splitlines() if "cannot" in line]
    assert [line[27:] for line in errors] == ["cannot use the socket of the service manager: "
                                              "descriptor 3 is not a listening TCP socket"]


def test_a_socket_for_another_process_is_not_taken(lab):
    server = lab.server(env={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    connect(server.port).close()


# ---- the units ----


@pytest.fixture
def host(lab):
    with Host(lab) as host:
        yield host


def write(path, text, mode=0o644):
    path.write_text(text + "\n")
    path.chmod(mode)


def test_the_units_make_a_tunnel(lab, host, echo):
    """Server and client as their units start them: by a user without rights, with few system calls."""
    etc, port, public = host.root / "etc", free_port(), free_port()
    write(etc / "server.secret", SECRET, 0o600)
    write(etc / "server.env", f"OPTIONS=-listen 127.0.0.1:{port} -threads 2 -allow-ports {public}")
    write(etc / "home.secret", SECRET, 0o600)
    write(etc / "home.env", f"OPTIONS=-server 127.0.0.1:{port} -remote-port {public} -local-target 127.0.0.1:{echo.port}")
    with Manager(host.root / "server.notify") as of_server, Manager(host.root / "client.notify") as of_client:
        server = host.start("gotunnel-server.service", of_server)
        of_server.wait("READY", "1")
        certs = host.root / "state/gotunnel-server/certs"
        write(etc / "home.crt", (certs / "ca.crt").read_text())
        client = host.start("gotunnel-client@.service", of_client, "home")
        of_client.wait("READY", "1")
        of_server.wait("WATCHDOG")
        assert any("WATCHDOG" in news for news in of_client.news)  # also before it was ready
        with connect(public) as s:
            s.sendall(b"ping")
            assert services.read_exactly(s, 4) == b"ping"
        assert (host.root / "state/gotunnel-client/home/client-id").stat().st_mode & 0o777 == 0o600
        if host.as_root:
            assert {(certs / name).stat().st_uid for name in ("ca.key", "server.key")} == {USER}
            assert Path(f"/proc/{server.pid}/status").read_text().count("CapEff:\t0000000000000000") == 1
        assert (client.popen.poll(), server.popen.poll()) == (None, None)
        for process in (client, server):
            process.kill(signal.SIGTERM)
            assert process.wait() == 0


def test_the_units_make_a_tunnel_with_a_key(lab, host, echo):
    """There is no shared secret: a folder for clients is made by the unit, and a string of it is a credential of the other."""
    etc, port, public = host.root / "etc", free_port(), free_port()
    write(etc / "server.env", f"SECRET_OPTION=\nOPTIONS=-listen 127.0.0.1:{port}")
    write(etc / "home.yaml", f"tunnels: [{{name: t, port: {public}, target: '127.0.0.1:{echo.port}'}}]")
    write(etc / "home.env", f"OPTIONS=-config {etc}/home.yaml")
    state = host.root / "state/gotunnel-server"
    with Manager(host.root / "server.notify") as of_server, Manager(host.root / "client.notify") as of_client:
        server = host.start("gotunnel-server.service", of_server)
        of_server.wait("READY", "1")
        server.wait_log("there is no shared secret: only clients with a key of their own are let in")
        made = lab.run("clients", "add", "home", "-state", state, "-ports", public, "-public", f"127.0.0.1:{port}",
                       "-control", host.root / "run/gotunnel-server/control", cwd=host.root)
        assert made.returncode == 0 and "the running server knows it" in made.stdout, made.stderr
        write(etc / "home.join", (host.root / "home.join").read_text().strip(), 0o600)
        client = host.start("gotunnel-join@.service", of_client, "home")
        of_client.wait("READY", "1")
        assert services.works(public)
        assert (state / "clients").stat().st_mode & 0o777 == 0o700
        for process in (client, server):
            process.kill(signal.SIGTERM)
            assert process.wait() == 0


def test_without_a_secret_file_the_server_does_not_start(lab, host):
    """Unless it is said that there is to be none: an empty file is not the same."""
    with Manager(host.root / "notify") as manager:
        server = host.start("gotunnel-server.service", manager)
        server.expect_exit = False
        assert server.wait() == EX_CONFIG
        assert "server.secret is empty" in server.log()


def test_systemctl_reload_succeeds_or_fails_with_the_file(lab, host, echo):
    """ExecReload, as the unit's user: it finds the socket in the folder that the manager made."""
    etc = host.root / "etc"
    write(etc / "server.secret", SECRET, 0o600)
    write(etc / "server.yaml", "listen: 127.0.0.1:0\ndrain: 5s")
    write(etc / "server.env", f"OPTIONS=-config {etc}/server.yaml")
    with Manager(host.root / "notify") as manager:
        server = host.start("gotunnel-server.service", manager)
        manager.wait("READY", "1")
        server.wait_log(f"control socket: {host.root}/run/gotunnel-server/control")
        for text, status, said in (("listen: 127.0.0.1:0\nresume-window: 5s", 0, "changed: resume-window"),
                                   ("resume-window: 5", 1, "server.yaml:1:16: resume-window")):
            write(etc / "server.yaml", text)
            done = host.reload(server)
            assert done.returncode == status and said in done.stdout + done.stderr, done
        assert server.log().count("the running configuration stays") == 1


def test_a_unit_that_cannot_work_is_not_started_again(lab, host):
    write(host.root / "etc/home.secret", SECRET, 0o600)
    with Manager(host.root / "notify") as manager:
        client = host.start("gotunnel-client@.service", manager, "home")  # there is no home.env
        client.expect_exit = False
        assert client.wait() == EX_CONFIG
    unit = (PROGRAM.parent / "packaging/systemd/gotunnel-client@.service").read_text()
    assert re.search(rf"(?m)^RestartPreventExitStatus=.*\b{EX_CONFIG}\b", unit)
