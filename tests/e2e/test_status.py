# SPDX-License-Identifier: MIT
"""`gotunnel status` at both ends against the truth, above all in states that are broken."""

import contextlib
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from lib import services
from lib.cutter import Cutter
from lib.cuts import accepts
from lib.held import held, threads
from lib.procs import PROGRAM, SANITIZED, SECRET, TSAN, wait_for
from lib.services import answer, connect, free_port, read_exactly
from lib.site import Site

pytestmark = pytest.mark.patient

NOT_UP, UNREACHABLE, REJECTED = 75, 69, 77
FAKETIME = sorted(glob.glob("/usr/lib*/*/faketime/libfaketime.so.1") + glob.glob("/usr/lib*/faketime/libfaketime.so.1"))


class End:
    """A program with a control socket."""

    def __init__(self, lab, process, path):
        self.lab, self.process, self.path = lab, process, path

    def run(self, *flags, **how):
        return self.lab.run("status", "-control", self.path, *flags, **how)

    def quiet(self):
        done = self.run("-q")
        assert done.stdout == done.stderr == ""
        return done.returncode

    def json(self):
        done = self.run("-json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def text(self, **how):
        done = self.run(**how)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def client(self):
        """The first of its sessions, {} without any."""
        return next(iter(self.json()["clients"]), {})

    def tunnel(self, name=""):
        return next((t for t in self.client().get("tunnels", ()) if t["name"] == name), {})

    def wait_state(self, state, name=None):
        def look():
            it = self.client() if name is None else self.tunnel(name)
            return it.get("state") == state

        wait_for(f"{state} to be the state of {name or 'the session'}", look)


def place(lab, name):
    folder = lab.path / f"run-{name}"
    folder.mkdir(exist_ok=True, mode=0o755)
    return folder / "control"


def make_server(lab, *flags, **how):
    path = place(lab, "server")
    return End(lab, lab.server(flags=("-control", path, *flags), **how), path)


def make_client(lab, server, forwards, *flags, port=None, secret=SECRET, name="client"):
    path = place(lab, name)
    given = [w for word, public, target in forwards for w in ("-forward", f"{word}={public}=127.0.0.1:{target}")]
    client = lab.start(name, PROGRAM, "client", "-server", f"127.0.0.1:{port or server.process.port}", "-secret", secret,
                       "-ca", server.process.ca, "-control", path, *given, *flags)
    client.wait_log(f"control socket: {path}")
    return End(lab, client, path)


def opened(client, name):
    return int(client.process.match(rf"tunnel '{name}': tcp://\S*:(\d+) -> ").group(1))


def test_both_ends_when_all_is_well(lab, echo):
    server = make_server(lab)
    client = make_client(lab, server, [("red", 0, echo.port), ("blue", 0, echo.port)], "-id", "shop")
    red = opened(client, "red")
    with connect(red) as user:
        user.sendall(b"x" * 1000)
        assert read_exactly(user, 1000) == b"x" * 1000
        there, here = server.json(), client.json()
        assert [d["process"]["mode"] for d in (there, here)] == ["server", "client"]
        for d in there, here:
            assert d["process"]["pid"] in (server.process.pid, client.process.pid)
            session = d["clients"][0]
            assert session["state"] == "up" and session["id"] == "shop" and session["resumes"] == 0
            assert 0 <= session["proof_ms"] <= 15000 and session["broke"] == ""
            of = {t["name"]: t for t in session["tunnels"]}
            assert set(of) == {"red", "blue"} and of["red"]["address"].endswith(f":{red}")
            assert [of["red"][k] for k in ("state", "connections", "connections_total", "bytes_in", "bytes_out")] == \
                ["up", 1, 1, 1000, 1000]
            assert [of["blue"][k] for k in ("state", "connections", "connections_total", "bytes_in")] == ["up", 0, 0, 0]
        assert here["clients"][0]["tunnels"][0]["target"] == f"127.0.0.1:{echo.port}"
    assert server.quiet() == client.quiet() == 0
    for end in server, client:
        text = end.text()
        assert "shop" in text and "red" in text and "1.0 kB" in text and "Traceback" not in text
    wait_for("the connection to be over", lambda: server.tunnel("red")["connections"] == 0)
    assert client.process.stop() == []
    wait_for("the session to be gone", lambda: server.json()["clients"] == [])


def test_a_target_that_is_down(lab, echo):
    """Nothing is said of a target that nobody has tried; one that refuses is told at both ends until one comes through."""
    server = make_server(lab)
    port = free_port()
    client = make_client(lab, server, [("red", 0, port), ("blue", 0, echo.port)])
    red, blue = opened(client, "red"), opened(client, "blue")
    assert client.tunnel("red")["state"] == "up" and client.quiet() == 0
    answer(red)
    assert services.works(blue)
    for end in client, server:
        end.wait_state("target-refuses", "red")
        t = end.tunnel("red")
        assert t["error"] == "refused" and t["error_ms"] >= 0 and t["connections_failed"] == 1
        assert end.tunnel("blue")["state"] == "up"
        assert "target refuses" in end.text() and "the target refused the connection" in end.text()
    assert client.quiet() == NOT_UP and server.quiet() == 0
    with services.Service(lambda s: s.sendall(b"red"), port=port):
        assert answer(red) == "red"
        for end in client, server:
            end.wait_state("up", "red")
            assert end.tunnel("red")["error"] == "refused"  # the last one, with its age
        assert client.quiet() == 0


def test_a_port_that_is_taken(lab, echo):
    server = make_server(lab)
    with socket.create_server(("", free_port())) as holder:
        wanted = holder.getsockname()[1]
        client = make_client(lab, server, [("red", wanted, echo.port), ("blue", 0, echo.port)], "-max-retry-interval", "1s")
        opened(client, "blue")
        client.wait_state("port-refused", "red")
        t = client.tunnel("red")
        assert (t["error"], t["error_detail"], t["port"], t["address"]) == ("port", "EADDRINUSE", wanted, "")
        assert client.tunnel("blue")["state"] == "up"
        assert "port refused" in client.text() and client.quiet() == NOT_UP
    client.wait_state("up", "red")
    assert client.tunnel("red")["error"] == "" and client.quiet() == 0


def test_a_session_that_is_cut_and_waits(lab, echo):
    server = make_server(lab, "-resume-window", "60s")
    with Cutter(server.process.port) as link:
        client = make_client(lab, server, [("red", 0, echo.port)], "-resume-window", "60s", port=link.port)
        port = opened(client, "red")
        with connect(port) as user:
            user.sendall(b"a")
            assert read_exactly(user, 1) == b"a"
            link.cut("reset")
            for end in client, server:
                end.wait_state("waiting")
                c = end.client()
                assert c["window_ms"] == 60000 and 0 <= c["state_ms"] < 60000 and c["broke"] == "reset"
                assert c["gap_ms"] is None and c["broke_ms"] >= 0
                assert c["tunnels"][0]["state"] == "waiting" and c["tunnels"][0]["connections"] == 1
                assert " of 60" in end.text()
            assert client.quiet() == NOT_UP and server.quiet() == 0
            link.heal()
            for end in client, server:
                end.wait_state("up")
                c = end.client()
                assert c["resumes"] == 1 and c["broke"] == "reset" and c["gap_ms"] > 0
                assert sum(end.json()["process"]["gaps"]["counts"]) == 1
                assert "resumed after" in end.text()
            user.sendall(b"b")
            assert read_exactly(user, 1) == b"b"
            assert client.quiet() == 0


def test_a_peer_that_is_frozen(lab, echo):
    """A connection that stands, at which nobody is: nothing is up that was not proved."""
    server = make_server(lab)
    client = make_client(lab, server, [("red", 0, echo.port)])
    opened(client, "red")
    server.process.kill(signal.SIGSTOP)
    try:
        wait_for("the client to doubt it", lambda: client.client()["state"] in ("suspect", "waiting"))
        assert client.quiet() == NOT_UP
        assert client.tunnel("red")["state"] == client.client()["state"]
    finally:
        server.process.kill(signal.SIGCONT)
    client.wait_state("up", "red")


def test_draining(lab, echo):
    server = make_server(lab, "-drain", "60s")
    client = make_client(lab, server, [("red", 0, echo.port)])
    port = opened(client, "red")
    with connect(port) as user:
        user.sendall(b"a")
        assert read_exactly(user, 1) == b"a"
        server.process.kill(signal.SIGTERM)
        server.wait_state("draining")
        assert server.json()["process"]["stopping"] is True and server.quiet() == NOT_UP
        assert "draining" in server.text()
        wait_for("the client to know", lambda: "draining" in [c["state"] for c in client.json()["clients"]])
        assert client.quiet() == NOT_UP
        assert "draining" in client.text()


def test_a_wrong_secret_and_a_server_that_is_gone(lab, echo):
    server = make_server(lab)
    wrong = make_client(lab, server, [("red", 0, echo.port)], secret="another secret, which is long enough: 12345", name="wrong")
    wrong.wait_state("refused")
    assert wrong.client()["error"] == "auth" and wrong.quiet() == NOT_UP
    assert "the server refuses" in wrong.text() and "the secret or key was rejected" in wrong.text()
    wait_for("it to be counted", lambda: server.json()["process"]["auth_failures"]["auth_failed"] > 0)
    assert server.json()["clients"] == []
    client = make_client(lab, server, [("red", 0, echo.port)], "-resume-window", "0s")
    opened(client, "red")
    server.process.kill(signal.SIGKILL)
    client.wait_state("connecting")
    c = client.client()
    assert c["broke"] in ("closed", "reset") and c["proof_ms"] is None and c["tunnels"][0]["state"] == "connecting"
    assert client.quiet() == NOT_UP
    gone = server.run("-q")
    assert gone.returncode == UNREACHABLE and gone.stdout == gone.stderr == ""
    assert server.run().returncode == UNREACHABLE


def test_a_key_that_is_revoked(lab, echo):
    path = place(lab, "server")
    (lab.path / "clients").mkdir(mode=0o700)
    process = lab.server(secret=None, flags=("-control", path))
    server = End(lab, process, path)
    done = lab.run("clients", "add", "shop", "-public", f"127.0.0.1:{process.port}", "-state", lab.path, "-control", path)
    assert done.returncode == 0, done.stderr
    own = place(lab, "client")
    joined = lab.start("client", PROGRAM, "join", f"red={echo.port}", "-control", own, "-join-file",
                       lab.path / "shop.join")
    client = End(lab, joined, own)
    client.process.wait_log(f"control socket: {own}")
    client.wait_state("up")
    assert server.client()["name"] == "shop" and client.client()["name"] == "shop"
    assert lab.run("clients", "revoke", "shop", "-state", lab.path, "-control", path).returncode == 0
    wait_for("it to be gone", lambda: server.json()["clients"] == [])
    client.wait_state("refused")
    assert client.client()["error"] == "auth" and client.quiet() == NOT_UP


def test_who_may_ask(lab, echo):
    if os.geteuid() != 0:
        pytest.skip("needs root, to ask as somebody else")
    server = make_server(lab)
    os.chmod(server.path, 0o666)
    done = subprocess.run([PROGRAM, "status", "-control", server.path], user=65534, group=65534, extra_groups=[],
                          capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "clients" not in done.stdout
    os.chmod(server.path, 0o600)
    done = subprocess.run([PROGRAM, "status", "-q", "-control", server.path], user=65534, group=65534, extra_groups=[],
                          capture_output=True, text=True, check=False)
    assert done.returncode == REJECTED and done.stdout == done.stderr == ""


def test_text_is_in_the_language_of_who_asks(lab, echo):
    """And its columns are where they are to be, though Chinese takes two cells a character."""
    server = make_server(lab)
    client = make_client(lab, server, [("red", 0, echo.port), ("blue", 0, free_port())])
    answer(opened(client, "blue"))
    client.wait_state("target-refuses", "blue")
    text = client.text(env={"LC_ALL": "zh_CN.UTF-8"})
    assert "正常" in text and "目标拒绝连接" in text and "CLIENT" not in text

    def cells(part):
        return sum(2 if ord(c) >= 0x2e80 else 1 for c in part)

    lines = text.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("隧道"))
    rows = lines[head:head + 3]
    wanted = [rows[0].index("公网地址"), rows[1].index("127.0.0.1:"), rows[2].index("127.0.0.1:")]
    assert len({cells(row[:at]) for row, at in zip(rows, wanted, strict=True)}) == 1, rows
    assert "target refuses" in client.text(env={"LC_ALL": "C"})


def test_watching(lab, echo):
    """No terminal: plain text, again and again, with rates, also across an end of the program; an interrupt ends it."""
    server = make_server(lab)
    client = make_client(lab, server, [("red", 0, echo.port)])
    port = opened(client, "red")
    watch = lab.start("watch", PROGRAM, "status", "-watch", "-control", client.path)
    with connect(port) as user:
        def moved():
            user.sendall(b"x" * 5000)
            assert read_exactly(user, 5000) == b"x" * 5000
            return "kB/s" in watch.stdout()

        wait_for("a rate", moved)
    assert "\033" not in watch.stdout()
    client.process.stop()
    wait_for("word that nobody answers", lambda: "no program answers" in watch.stdout())
    watch.kill(signal.SIGINT)
    assert watch.wait() == 0


@pytest.mark.parametrize("words", [("-x",), ("word",), ("-json", "-q"), ("-watch", "-json")])
def test_what_is_wrong_with_the_command_line(lab, words):
    assert lab.run("status", *words).returncode == 2


def test_requests_at_once_share_one_census(lab, echo):
    """However many ask: who asks while one is made gets that one."""
    server = make_server(lab, "-threads", "2")
    make_client(lab, server, [("red", 0, echo.port)])
    server.wait_state("up")
    with contextlib.ExitStack() as stack:
        asking = []
        for _ in range(12):
            s = stack.enter_context(socket.socket(socket.AF_UNIX))
            s.connect(str(server.path))
            asking.append(s)
        for s in asking:
            s.sendall(b'{"command":"status"}\n')
        answers = []
        for s in asking:
            s.settimeout(60)
            with s.makefile() as f:
                answers.append(f.read())
    assert all(json.loads(a.splitlines()[-1]) == {"ok": True} for a in answers)
    assert len(json.loads(answers[0].splitlines()[0])["workers"]) == 2


@pytest.mark.parametrize("form", [(), ("-json",), ("-prometheus",)])
def test_a_disk_that_is_full_is_a_failure(lab, form):
    """Whoever puts the answer into a file would take a part of it for all."""
    server = make_server(lab)
    with open("/dev/full", "w") as full:
        done = subprocess.run([PROGRAM, "status", "-control", server.path, *form], stdout=full, stderr=subprocess.PIPE,
                              text=True, check=False)
    assert done.returncode == 1 and "No space left" in done.stderr


class Liar:
    """Somebody at a control socket who says whatever the test wants."""

    def __init__(self, lab, *lines):
        self.path = place(lab, "liar")
        self.answer = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(8)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                with s:
                    s.recv(4096)
                    s.sendall(self.answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.path.unlink()


EVIL = "\x1b]0;x\x07\x9b2J\x7f\n\u202e\r#"


def lies(mode="client"):
    tunnel = {"name": EVIL, "address": EVIL, "target": EVIL, "state": "up", "error": EVIL, "error_detail": EVIL,
              "error_ms": 2**63 - 1, "port": -(2**63), "bytes_in": 2**63 - 1, "bytes_out": -1}
    client = {"kind": "client", "name": EVIL, "id": EVIL, "address": EVIL, "state": "refused", "next_ms": 2**63 - 1,
              "broke": EVIL, "broke_ms": 2**63 - 1, "gap_ms": 2**63 - 1, "error": EVIL, "error_ms": -(2**63),
              "rtt_us": 2**63 - 1, "tunnels": [tunnel]}
    process = {"kind": "process", "mode": mode, "version": EVIL, "address": EVIL, "trouble": EVIL, "now": 2**63 - 1,
               "begun": -(2**63), "refused": {EVIL: 1}, "workers": [{"silent": False, "lag_us": 2**63 - 1}]}
    return process, client, {**client, "proof_ms": 1, "id": "nas", "error": ""}, {"ok": True}


@pytest.mark.parametrize("mode", ["client", "server"])
def test_a_program_that_lies_moves_no_terminal(lab, mode):
    """Whoever has taken a program over, and is asked by root: nothing but text comes out, whatever is asked for."""
    with Liar(lab, *lies(mode)) as liar:
        end = End(lab, None, liar.path)
        for flags in (), ("-json",), ("-prometheus",), ("-q",):
            done = end.run(*flags)
            said = done.stdout + done.stderr
            assert done.returncode in (0, NOT_UP), said
            assert not [c for c in said if c != "\n" and not c.isprintable() and c != "\u202e"], said
            assert flags == ("-json",) or "\u202e" not in said
        assert end.json()["clients"][0]["id"] == EVIL
        text = end.run("-prometheus").stdout
        assert all(line.startswith(("gotunnel_", "# HELP gotunnel_", "# TYPE gotunnel_")) for line in text.splitlines())
    with Liar(lab, {"error": EVIL, "ok": False}) as liar:
        said = End(lab, None, liar.path).run().stderr.rstrip("\n")
        assert said.isprintable(), said


def test_a_server_that_lies_of_its_clients(lab):
    """Neither escape codes nor times that nobody can show: for whoever asks by ctl or clients."""
    (lab.path / "clients").mkdir(mode=0o700)
    server = make_server(lab)
    assert lab.run("clients", "add", "nas", "-public", "127.0.0.1:1", "-state", lab.path).returncode == 0
    folder = (lab.path / "clients").stat()
    lies_of = [{"client": EVIL, "id": EVIL, "from": EVIL, "since": since} for since in (-(2**63), 2**63 - 1)]
    lies_of += [{"client": "nas", "id": EVIL, "from": EVIL}, {"seen": EVIL, "at": 7}, {"seen": "nas", "at": 2**63 - 1}]
    last = {"sessions": 2, "folder": f"{folder.st_dev:x}:{folder.st_ino:x}", "ok": True}
    assert server.process.stop() == []
    with Liar(lab, *lies_of, last) as liar:
        for words in ("ctl", "-control", liar.path, "clients"), ("clients", "list", "-state", lab.path, "-control", liar.path):
            done = lab.run(*words)
            said = done.stdout + done.stderr
            assert done.returncode == 0 and "since -" in said, said
            assert not [c for c in said if c != "\n" and not c.isprintable()], said
    with Liar(lab, {"error": EVIL, "ok": False}) as liar:
        assert lab.run("ctl", "-control", liar.path, "reload").stderr.rstrip("\n").isprintable()


def test_no_name_is_that_of_the_sum(lab):
    """Two lines for one series are a fault for a monitor, which then has none of all."""
    tunnels = [{"name": "other", "state": "up", "connections": n} for n in (1, 2)]
    client = {"kind": "client", "id": "other", "state": "up", "tunnels": tunnels}
    with Liar(lab, {"kind": "process", "mode": "server", "workers": []}, client, {"ok": True}) as liar:
        lines = End(lab, None, liar.path).run("-prometheus").stdout.splitlines()
        series = [line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")]
        assert len(series) == len(set(series))
        assert 'gotunnel_connections{client="other",tunnel="other"} 3' in lines


@pytest.mark.parametrize("is_first", [True, False])
def test_who_calls_itself_like_a_key_is_not_taken_for_it(lab, is_first):
    """With the shared secret a client may have any id; the one with the key is down, and a monitor has to hear of it."""
    process = {"kind": "process", "mode": "server", "workers": []}
    owner = {"kind": "client", "name": "nas", "id": "nas.1", "state": "waiting", "tunnels": [{"name": "a", "state": "waiting"}]}
    other = {"kind": "client", "name": "", "id": "nas", "state": "up", "tunnels": [{"name": "a", "state": "up"}]}
    both = (other, owner) if is_first else (owner, other)
    with Liar(lab, process, *both, {"ok": True}) as liar:
        lines = End(lab, None, liar.path).run("-prometheus").stdout.splitlines()
        assert 'gotunnel_client_up{client="nas"} 0' in lines and 'gotunnel_client_up{client="nas"} 1' not in lines
        assert 'gotunnel_tunnel_up{client="nas",tunnel="a"} 0' in lines


@pytest.mark.skipif(TSAN, reason="its runtime holds signals back while a thread stands still")
def test_who_asks_while_the_server_ends_has_an_answer(lab):
    """One worker is over, and takes no question any more, while another one still has something to do."""
    server = make_server(lab, "-threads", "2")
    pid = server.process.pid
    with held(pid, "worker 2"):
        server.process.kill(signal.SIGTERM)
        wait_for("it to take nothing new", lambda: not accepts(server.process.port))
        server.process.kill(signal.SIGTERM)
        wait_for("the other worker to be over", lambda: "worker 1" not in threads(pid).values())
        assert server.json()["process"]["stopping"] is True
    assert server.process.wait() == 0


@pytest.mark.skipif(not FAKETIME, reason="faketime is not installed")
@pytest.mark.skipif(SANITIZED, reason="a sanitizer wants to be loaded first")
def test_a_client_whose_clock_is_wrong_says_so(lab):
    server = make_server(lab)
    path = place(lab, "client")
    client = lab.start("client", PROGRAM, "client", "-server", f"127.0.0.1:{server.process.port}", "-secret", SECRET, "-ca",
                       server.process.ca, "-control", path,
                       env={"LD_PRELOAD": FAKETIME[0], "FAKETIME": "+1000d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    client.wait_log(f"control socket: {path}")
    client = End(lab, client, path)
    client.wait_state("refused")
    assert client.client()["error"] == "certificate-time" and client.quiet() == NOT_UP
    assert "the certificate is not valid at this time" in client.text()


def test_a_monitor_can_read_it(lab, echo):
    """What is printed for Prometheus says the same as the document; promtool finds nothing wrong with it."""
    server = make_server(lab)
    client = make_client(lab, server, [("red", 0, echo.port), ("blue", 0, free_port())], "-id", "shop")
    red, blue = opened(client, "red"), opened(client, "blue")
    answer(blue)
    with connect(red) as user:
        user.sendall(b"x" * 1000)
        assert read_exactly(user, 1000) == b"x" * 1000
        client.wait_state("target-refuses", "blue")
        for end in server, client:
            text = end.run("-prometheus")
            assert text.returncode == 0, text.stderr
            values = dict(line.rsplit(" ", 1) for line in text.stdout.splitlines() if not line.startswith("#"))
            label = 'client="shop",tunnel='
            assert values[f'gotunnel_bytes_total{{{label}"red",direction="in"}}'] == "1000"
            assert values[f'gotunnel_connections{{{label}"red"}}'] == "1"
            assert values[f'gotunnel_tunnel_up{{{label}"red"}}'] == "1" and values[f'gotunnel_tunnel_up{{{label}"blue"}}'] == "0"
            assert values[f'gotunnel_connections_total{{{label}"blue",result="failed"}}'] == "1"
            assert values[f'gotunnel_connections_total{{{label}"red",result="ok"}}'] == "0"  # it runs, and may still fail
            assert values['gotunnel_client_up{client="shop"}'] == values['gotunnel_sessions{state="up"}'] == "1"
            tool = shutil.which("promtool")
            if tool:
                done = subprocess.run([tool, "check", "metrics"], input=text.stdout, capture_output=True, text=True, check=False)
                assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    if not shutil.which("promtool"):
        pytest.skip("promtool (Debian's prometheus) is not installed: the values were right, the format is not checked")


def test_who_tries_the_way_is_no_fault_of_the_service(lab):
    """A silent service that nobody has visited but `join` itself: all is up at both ends, and nothing has failed."""
    site = Site(lab)
    text = site.add("c1", "-ports", "0-65535")
    with services.Service(services.discard) as silent:
        client = lab.start("client", PROGRAM, "join", text, silent.port, "-json")
        wait_for("the last step", lambda: '"public"' in client.stdout())
        wait_for("a census after it", lambda: tunnel_of(site)["connections"] == 0 and tunnel_of(site)["connections_total"] == 1)
        assert tunnel_of(site)["state"] == "up" and tunnel_of(site)["connections_failed"] == 0 and tunnel_of(site)["error"] == ""


def tunnel_of(site):
    done = site.lab.run("status", "-control", site.control, "-json")
    return json.loads(done.stdout)["clients"][0]["tunnels"][0]


def test_a_program_that_stands_still(lab):
    """Who asks for its health waits seconds, not a minute, and is told as of one that is not there."""
    site = Site(lab)
    site.server.kill(signal.SIGSTOP)
    try:
        done = lab.run("status", "-control", site.control)
        assert done.returncode == 69 and "no answer" in done.stderr
        assert lab.run("ctl", "-control", site.control, "ping").returncode == 1
    finally:
        site.server.kill(signal.SIGCONT)
