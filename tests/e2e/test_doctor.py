# SPDX-License-Identifier: MIT
"""`gotunnel doctor`: each thing that can be in the way is set up for real, and the doctor names it, says what to do,
and ends with 1; and what is well it calls well. In hosts of their own where a network must be broken: skipped, with the
reason, where those cannot be had."""

import glob
import json
import signal
import socket

import pytest

from lib import netns, services
from lib.procs import PATIENCE, PROGRAM, SANDBOX, SANITIZED, SECRET, wait_for
from lib.services import free_port
from lib.site import Site, put

pytestmark = pytest.mark.patient

OK, FAILED, USAGE, CONFIG = 0, 1, 2, 78
FAKETIME = sorted(glob.glob("/usr/lib*/*/faketime/libfaketime.so.1") + glob.glob("/usr/lib*/faketime/libfaketime.so.1"))
REMOTE = 7070


def doctor(lab, *words, status=OK, wrapper=(), env=None):
    """Its steps, in their order."""
    p = lab.start("doctor", PROGRAM, "doctor", *words, "-json", wrapper=wrapper, env=env)
    p.expect_exit = False
    found = p.wait(2 * PATIENCE)
    steps = [json.loads(line) for line in p.stdout().splitlines()]
    assert found == status, (found, steps, p.log())
    assert (status == FAILED) == any(s["state"] == "fail" for s in steps), steps
    return steps


def one(steps, word, name=None):
    matching = [s for s in steps if s["step"] == word and s.get("name") == name]
    assert len(matching) == 1, steps
    return matching[0]


def states(steps):
    return {s["step"]: s["state"] for s in steps}


@pytest.fixture
def site(lab):
    return Site(lab)


@pytest.fixture
def key(site):
    """The flags of a client with a key, but for its tunnel."""
    site.add("c1", "-ports", "0-65535")
    return ("client", "-sandbox", SANDBOX, "-join-file", site.lab.path / "c1.join")


# ---- all is well ----


def test_nothing_is_wrong(lab, key, echo):
    steps = doctor(lab, *key, "-local-target", f"127.0.0.1:{echo.port}", "-remote-port", "0")
    assert states(steps) == dict.fromkeys(("config", "limits", "tcp", "tls", "auth", "port", "target", "reach"), "ok")


def test_a_client_that_runs_is_not_disturbed(lab, site, key, echo):
    """The same key, the same file, the same public port: the doctor comes and goes, and its connections go on."""
    port = free_port()
    text = (lab.path / "c1.join").read_text().strip()
    client = site.join(text, f"{echo.port}@{port}")
    client.wait_log("the tunnel is up")
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as user:
        steps = doctor(lab, *key, "-local-target", f"127.0.0.1:{echo.port}", "-remote-port", port)
        assert "has it open already" in one(steps, "port")["detail"] and one(steps, "port")["state"] == "ok"
        assert one(steps, "reach")["state"] == "unknown" and "answers" in one(steps, "reach")["detail"]
        user.sendall(b"x")
        assert user.recv(1) == b"x"
    assert client.log().count("the tunnel is up") == 1 and "taken" not in client.log()


def test_the_client_that_runs_says_what_came_in(lab, site, key, echo):
    """At a port that it has, its word on the doctor's connection; and where another one of its key has the port, that none came."""
    first, second, control = free_port(), free_port(), lab.path / "client.control"
    text = (lab.path / "c1.join").read_text().strip()
    lab.start("client", PROGRAM, "join", text, f"{echo.port}@{first}", "-control", control).wait_log("the tunnel is up")
    lab.start("client", PROGRAM, "join", text, f"{echo.port}@{second}").wait_log("the tunnel is up")
    common = ("-control", control, "-local-target", f"127.0.0.1:{echo.port}")
    assert one(doctor(lab, *key, *common, "-remote-port", first), "arrived")["state"] == "ok"
    steps = doctor(lab, *key, *common, "-remote-port", second, status=FAILED)
    assert one(steps, "arrived")["state"] == "fail" and one(steps, "port")["state"] == "ok"


def test_nobody_is_told_of_a_visit(lab, key, echo):
    """The file of a client may have -notify: its command is for that client's own life, as is what a service manager hears."""
    told = lab.path / "told"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(lab.path / "manager"))
        manager.setblocking(False)
        doctor(lab, *key, "-local-target", f"127.0.0.1:{echo.port}", "-remote-port", "0", "-notify", f"echo >> {told}",
               env={"NOTIFY_SOCKET": str(lab.path / "manager")})
        with pytest.raises(BlockingIOError):
            manager.recv(4096)
    assert not told.exists()


def test_the_file_of_a_client_and_the_secret(lab, site, echo):
    file = put(lab.path / "c.yaml", site.client_text({"a": (0, echo.port), "b": (0, free_port())}, "", None, site.server.ca))
    steps = doctor(lab, file, "-sandbox", SANDBOX, status=FAILED)
    assert one(steps, "config")["detail"] == str(file)
    assert one(steps, "tls")["detail"].endswith(f"the server's CA is that in {site.server.ca}")
    assert one(steps, "auth")["detail"] == "the server takes the secret"
    assert (one(steps, "target", "a")["state"], one(steps, "target", "b")["state"]) == ("ok", "fail")


@pytest.mark.parametrize("words,status", [
    ((), USAGE), (("-h",), OK), (("client", "-nope"), USAGE), (("client",), FAILED), (("no-such-file.yaml",), USAGE),
])
def test_command_lines(lab, words, status):
    done = lab.run("doctor", *words)
    assert done.returncode == status and done.stderr


# ---- what is in the way ----


def test_the_target_is_down(lab, key):
    target = one(doctor(lab, *key, "-local-target", f"127.0.0.1:{free_port()}", "-remote-port", "0", status=FAILED), "target")
    assert target["state"] == "fail" and "Connection refused" in target["detail"] and "start the service" in target["hint"]


def test_the_port_is_another_program_s(lab, key, echo):
    with socket.create_server(("", 0)) as taken:
        steps = doctor(lab, *key, "-local-target", f"127.0.0.1:{echo.port}", "-remote-port", taken.getsockname()[1], status=FAILED)
    port = one(steps, "port")
    assert port["state"] == "fail" and "ask for another port" in port["hint"] and "reach" not in states(steps)


def test_the_port_is_another_client_s(lab, site, key, echo):
    """With another key: neither who it is nor where is told."""
    site.add("c2", "-ports", "0-65535")
    port = free_port()
    site.join((lab.path / "c2.join").read_text().strip(), f"{echo.port}@{port}").wait_log("the tunnel is up")
    found = one(doctor(lab, *key, "-local-target", f"127.0.0.1:{echo.port}", "-remote-port", port, status=FAILED), "port")
    assert found["state"] == "fail" and "by another client" in found["detail"]


def test_a_port_that_is_no_right(lab, site, key, echo):
    site.clients("set", "c1", "-ports", "20000-20010")
    site.reload()
    found = one(doctor(lab, *key, "-local-target", f"127.0.0.1:{echo.port}", "-remote-port", "80", status=FAILED), "port")
    assert found["state"] == "fail" and "clients show c1" in found["hint"]


def test_the_key_was_revoked(lab, site, key, echo):
    site.clients("revoke", "c1")
    site.reload()
    auth = one(doctor(lab, *key, "-local-target", f"127.0.0.1:{echo.port}", "-remote-port", "0", status=FAILED), "auth")
    assert auth["state"] == "fail" and "does not take the key of client c1" in auth["detail"] and "rotate c1" in auth["hint"]


def test_the_ca_is_another_one(lab, key, echo):
    """The same address, and a server that was set up anew."""
    other = lab.server()
    steps = doctor(lab, *key, "-local-target", f"127.0.0.1:{echo.port}", "-remote-port", "0",
                   "-server", f"127.0.0.1:{other.port}", status=FAILED)
    tls = one(steps, "tls")
    assert tls["state"] == "fail" and "shows another CA than the join string" in tls["detail"] and "rotate c1" in tls["hint"]


def test_nobody_is_at_the_tunnel_port(lab, key, echo):
    steps = doctor(lab, *key, "-local-target", f"127.0.0.1:{echo.port}", "-remote-port", "0",
                   "-server", f"127.0.0.1:{free_port()}", status=FAILED)
    tcp = one(steps, "tcp")
    assert tcp["state"] == "fail" and "Connection refused" in tcp["detail"] and "firewall" in tcp["hint"]


def test_somebody_else_is_at_the_tunnel_port(lab, key, echo):
    steps = doctor(lab, *key, "-local-target", f"127.0.0.1:{echo.port}", "-remote-port", "0",
                   "-server", f"127.0.0.1:{echo.port}", status=FAILED)
    tls = one(steps, "tls")
    assert tls["state"] == "fail" and "a gotunnel server?" in tls["hint"]


@pytest.mark.skipif(not FAKETIME, reason="faketime is not installed")
@pytest.mark.skipif(SANITIZED, reason="a sanitizer wants to be loaded first")
@pytest.mark.parametrize("days", ["-1000d", "+1000d"])
def test_the_clock_is_wrong(lab, key, echo, days):
    steps = doctor(lab, *key, "-local-target", f"127.0.0.1:{echo.port}", "-remote-port", "0", status=FAILED,
                   env={"LD_PRELOAD": FAKETIME[0], "FAKETIME": days, "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    tls = one(steps, "tls")
    assert tls["state"] == "fail" and "clock of this machine" in tls["detail"] and "NTP" in tls["hint"]


def test_few_descriptors(lab, key, echo):
    flags = ("-local-target", f"127.0.0.1:{echo.port}", "-remote-port", "0")
    steps = doctor(lab, *key, *flags, wrapper=("prlimit", "--nofile=64:64"))
    assert one(steps, "limits")["state"] == "warn" and "LimitNOFILE" in one(steps, "limits")["hint"]
    if not SANITIZED:  # theirs are many
        steps = doctor(lab, *key, *flags, status=FAILED, wrapper=("prlimit", "--nofile=24:24"))
        assert one(steps, "limits")["state"] == "fail" and "32 is the least" in one(steps, "limits")["detail"]
        assert "tcp" not in states(steps)


# ---- networks ----


@pytest.fixture
def hosts():
    with netns.Hosts() as hosts:
        for host, address in ((hosts.server, "fd77::1"), (hosts.client, "fd77::2")):
            host.run("sysctl", "-qw", f"net.ipv6.conf.{host.device}.accept_dad=0")
            host.ip("addr", "add", f"{address}/64", "dev", host.device, "nodad")
        yield hosts


class Net:
    """A server in its host, and what its client is told, in the other one."""

    def __init__(self, lab, hosts, service):
        self.lab, self.hosts = lab, hosts
        (lab.path / "clients").mkdir(mode=0o700)
        self.server = lab.server(listen="[::]:0", wrapper=hosts.server.wrapper)
        done = lab.run("clients", "add", "c1", "-state", lab.path, "-public", f"srv.test:{self.server.port}", "-ports", "0-65535")
        assert done.returncode == 0, done.stderr
        self.server.kill(signal.SIGHUP)
        self.server.wait_log("clients: 1; broken files")
        hosts.client.names("10.77.0.1 srv.test", "fd77::1 srv.test")
        self.service = service

    def doctor(self, *words, status=OK):
        return doctor(self.lab, "client", "-sandbox", SANDBOX, "-join-file", self.lab.path / "c1.join", "-remote-port", REMOTE,
                      "-local-target", f"127.0.0.1:{self.service.port}", *words, status=status, wrapper=self.hosts.client.wrapper)


@pytest.fixture
def net(lab, hosts):
    with hosts.client.inside():
        service = services.Service(services.echo)
    with service:
        yield Net(lab, hosts, service)


def block(host, rule, verdict="drop"):
    host.nft(f"add table inet dead; add chain inet dead i {{ type filter hook input priority 0; }}; "
             f"add chain inet dead o {{ type filter hook output priority 0; }}; add rule inet dead {rule} {verdict}")


def test_all_is_well_over_two_addresses(net):
    steps = net.doctor()
    assert states(steps) == dict.fromkeys(
        ("config", "limits", "dns", "tcp", "address", "tls", "auth", "port", "target", "reach"), "ok")
    assert "a connection from here to srv.test:7070 came in" in one(steps, "reach")["detail"]


@pytest.mark.parametrize("verdict,words", [("drop", "no answer"), ("reject with tcp reset", "Connection refused")])
def test_the_public_port_is_blocked(net, verdict, words):
    block(net.hosts.server, f"i tcp dport {REMOTE}", verdict)
    steps = net.doctor(status=FAILED)
    reach = one(steps, "reach")
    assert reach["state"] == "fail" and words in reach["detail"] and f"must let TCP port {REMOTE} in" in reach["hint"]
    assert one(steps, "target")["state"] == "ok"


def test_the_tunnel_port_is_blocked(net):
    block(net.hosts.server, f"i tcp dport {net.server.port}")
    steps = net.doctor(status=FAILED)
    tcp = one(steps, "tcp")
    assert tcp["state"] == "fail" and f"must let TCP port {net.server.port} in" in tcp["hint"] and "tls" not in states(steps)


def test_ipv6_is_broken(net):
    block(net.hosts.server, "i ip6 daddr fd77::1")
    steps = net.doctor()
    address = one(steps, "address")
    assert address["state"] == "warn" and "[fd77::1]" in address["detail"] and "out of the DNS" in address["hint"]
    assert one(steps, "tcp")["detail"].startswith("10.77.0.1:")


def test_the_name_is_wrong(net):
    net.hosts.client.names("10.77.0.1 other.test")
    steps = net.doctor(status=FAILED)
    dns = one(steps, "dns")
    assert dns["state"] == "fail" and "srv.test" in dns["detail"] and "-server NAME:PORT" in dns["hint"]


def test_a_small_mtu_black_hole(net):
    """What is larger than a tunnel on the way takes is lost, and nobody says so. The client comes through it all the same."""
    block(net.hosts.server, f"o meta length > 1240 tcp sport {net.server.port}")
    steps = net.doctor(status=FAILED)
    tls = [s["state"] for s in steps if s["step"] == "tls"]
    assert tls == ["fail", "ok"] and one(steps, "mtu")["state"] == "warn" and "1280" in one(steps, "mtu")["hint"]
    assert one(steps, "reach")["state"] == "ok"


@pytest.mark.parametrize("way", ["o meta length > 1400 tcp sport", "i meta length > 1400 tcp dport"])
def test_an_mtu_black_hole_for_full_packets(net, way):
    """All is well until somebody says much."""
    block(net.hosts.server, f"{way} {net.server.port}")
    steps = net.doctor(status=FAILED)
    reach = one(steps, "reach")
    assert reach["state"] == "fail" and "MTU black hole" in reach["detail"] and "1280" in reach["hint"]
    assert one(steps, "port")["state"] == one(steps, "target")["state"] == "ok"


# ---- the server's ----


def server_words(site):
    return ("-sandbox", SANDBOX, "-certs", site.folder / "certs", "-secret-file", site.folder / "secret")


def test_a_server_that_is_well(lab, site):
    steps = doctor(lab, site.file, "-control", site.control, "-listen", f"127.0.0.1:{site.server.port}")
    found = states(steps)
    found.pop("public")  # as this machine is
    assert found == dict.fromkeys(("config", "limits", "ca", "certificate", "clients", "listen", "ports", "sessions"), "ok")
    assert "the server that runs has it" in one(steps, "listen")["detail"]


def test_many_clients_of_one_address(lab, site):
    """A balancer, perhaps, that is not trusted to say whose connections they are."""
    def steps_of(n):
        steps = doctor(lab, site.file, "-control", site.control, "-listen", f"127.0.0.1:{site.server.port}")
        return steps if one(steps, "sessions")["detail"].startswith(f"sessions: {n};") else None

    for i in range(10):
        if i == 9:
            assert "sources" not in states(wait_for("nine sessions", lambda: steps_of(9)))
        site.client({"a": (0, free_port())}, more=f"id: box{i}\n").wait_log("the tunnel is up")
    steps = wait_for("ten sessions", lambda: steps_of(10))  # a census is shared for a moment
    assert one(steps, "sources")["state"] == "warn" and one(steps, "sources")["detail"] == "10 clients come from 127.0.0.1"
    assert "-trusted-proxy" in one(steps, "sources")["hint"]


def test_the_tunnel_port_of_a_server_is_taken(lab, site):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        steps = doctor(lab, "server", *server_words(site), "-listen", f"127.0.0.1:{port}", status=FAILED)
    listen = one(steps, "listen")
    assert listen["state"] == "fail" and f"sport = :{port}" in listen["hint"]
    with socket.create_server(("127.0.0.1", port)):  # it has let go of nothing that it had not, and changed nothing
        pass


def test_a_broken_file_of_a_client(lab, site):
    site.add("good")
    put(site.folder / "clients/bad.yaml", "ports: x\n")
    steps = doctor(lab, "server", *server_words(site), "-listen", "127.0.0.1:0")
    assert "bad.yaml:1:1" in one(steps, "client")["detail"] and one(steps, "client")["state"] == "warn"
    assert one(steps, "clients")["detail"].startswith("1 client with a key in")


@pytest.mark.skipif(not FAKETIME, reason="faketime is not installed")
@pytest.mark.skipif(SANITIZED, reason="a sanitizer wants to be loaded first")
@pytest.mark.parametrize("days,step,words", [("-1000d", "ca", "not valid before"), ("+3600d", "certificate", "valid until"),
                                             ("+3700d", "ca", "valid until")])
def test_certificates_and_the_clock_of_a_server(lab, site, days, step, words):
    before = {p: p.read_bytes() for p in (site.folder / "certs").glob("*.crt")}
    steps = doctor(lab, "server", *server_words(site), "-listen", "127.0.0.1:0", status=FAILED,
                   env={"LD_PRELOAD": FAKETIME[0], "FAKETIME": days, "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    assert one(steps, step)["state"] == "fail" and words in one(steps, step)["detail"] and one(steps, step)["hint"]
    assert {p: p.read_bytes() for p in before} == before


@pytest.mark.parametrize("name,mode,text,step", [("ca.key", 0o644, None, "key"), ("server.key", 0o666, None, "key"),
                                                 ("server.crt", 0o644, "junk", "certificate")])
def test_files_that_stop_a_server(lab, site, name, mode, text, step):
    site.server.stop()
    file = site.folder / "certs" / name
    file.chmod(mode)
    if text:
        file.write_text(text)
    steps = doctor(lab, "server", *server_words(site), "-listen", "127.0.0.1:0", status=FAILED)
    assert one(steps, step)["state"] == "fail" and name in one(steps, step)["detail"] and one(steps, step)["hint"]
    done = lab.run("server", *server_words(site), "-listen", "127.0.0.1:0")
    assert done.returncode != 0 and name in done.stderr


def test_a_server_without_certificates_makes_none(lab):
    steps = doctor(lab, "server", "-sandbox", SANDBOX, "-secret", SECRET, "-listen", "127.0.0.1:0")
    assert one(steps, "ca")["state"] == "warn" and "the first start makes it" in one(steps, "ca")["hint"]
    assert not (lab.path / "certs").exists()


def test_in_chinese(lab, key):
    done = lab.run("doctor", *key, "-local-target", f"127.0.0.1:{free_port()}", "-remote-port", "0", env={"LC_ALL": "zh_CN.UTF-8"})
    assert done.returncode == FAILED and "本地服务" in done.stdout and "config" not in done.stdout
    assert not any(line.isascii() for line in done.stdout.splitlines()), done.stdout
