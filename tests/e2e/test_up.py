# SPDX-License-Identifier: MIT
"""gotunnel up: from nothing to a server and the line for the other side; again; and where something is in the way."""

import contextlib
import fcntl
import json
import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import termios
import threading

import pytest

from lib import services
from lib.procs import PATIENCE, PROGRAM, wait_for, with_sandbox
from lib.services import connect, free_port, read_all

pytestmark = pytest.mark.patient
HERE = ("-listen", "127.0.0.1:0", "-public", "127.0.0.1")
ROTATE = "gotunnel clients rotate c1"


class Terminal:
    """`gotunnel up` on a terminal of its own."""

    def __init__(self, lab, *flags):
        ours, theirs = pty.openpty()
        self.fd, self.seen = ours, b""
        env = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm", "NO_COLOR": "", "HOME": str(lab.path)}
        self.popen = subprocess.Popen(
            with_sandbox((PROGRAM, "up", *flags)), cwd=lab.path, env=env, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(theirs)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        with contextlib.suppress(OSError):  # EIO: nobody has the terminal any more
            while more := os.read(self.fd, 4096):
                self.seen += more

    def text(self):
        return self.seen.decode().replace("\r\n", "\n")

    def plain(self):
        return re.sub(r"\x1b\[\d*m", "", self.text())

    def command(self):
        """Once it is there. Lines of the log may follow where a client is about."""
        wait_for("the command", lambda: re.search(r"\n\n  \x1b\[1m\S.*\x1b\[0m\n\n", self.text()) or self.popen.poll() is not None)
        return re.search(r"\n\n  (gotunnel .*)\n\n", self.plain()).group(1)

    def close(self):
        """Ctrl-C. The exit status."""
        os.write(self.fd, b"\x03")
        status = self.popen.wait(PATIENCE)
        self.reader.join(PATIENCE)
        os.close(self.fd)
        return status


@pytest.fixture
def terminal(lab):
    """Starts it with flags; what still runs is ended."""
    all_of_them = []

    def start(*flags):
        all_of_them.append(Terminal(lab, *flags))
        return all_of_them[-1]

    yield start
    for t in all_of_them:
        if t.popen.poll() is None:
            t.popen.kill()
            t.popen.wait(10)


def up(lab, *flags, state="state", **how):
    """Not on a terminal."""
    env = {"HOME": str(lab.path), "XDG_STATE_HOME": None, **how.pop("env", {})}
    return lab.start("up", PROGRAM, "up", *HERE, "-state", lab.path / state, *flags, env=env, **how)


def ready(server):
    """What it has shown, once that is all."""
    wait_for(f"the command of {server.name}:\n{server.log()}", lambda: "\n\n  gotunnel " in server.stdout() or not server.alive())
    assert server.alive(), server.log()
    return server.stdout()


def ended(server):
    server.kill(signal.SIGTERM)
    assert server.wait() == 0, server.log()


def join(lab, words, target):
    """Runs the command with the target's port; the public one. `< FILE` is what a shell does."""
    words = [str(target) if w == "22" else w for w in words]
    stdin = None
    if "<" in words:
        stdin = open(lab.path / words[-1], "rb")
        words = words[:words.index("<")]
    client = lab.start("client", PROGRAM, *words[1:], stdin=stdin)
    if stdin:
        stdin.close()
    return int(client.match(rf"tcp://127.0.0.1:(\d+) -> 127.0.0.1:{target}\n").group(1))


def answer(port):
    with connect(port) as s:
        return read_all(s)


def test_two_commands_on_terminals(lab, terminal):
    """The second start makes nothing twice, and its command gives another string."""
    at = f"127.0.0.1:{free_port()}"
    flags = ("-listen", at, "-public", "127.0.0.1", "-state", lab.path / "a state")
    server = terminal(*flags)
    command = shlex.split(server.command())
    assert command[:2] == ["gotunnel", "join"] and command[2].startswith("gt1_") and command[3:] == ["22"]
    assert server.plain().endswith(" 22\n\n")  # nothing comes behind it
    assert not list(lab.path.glob("*.join")) and (lab.path / "a state/clients/c1.yaml").stat().st_mode & 0o777 == 0o600
    assert "\x1b[32mok  \x1b[0m  state: " in server.text() and "SERVER IS RUNNING" not in server.text()
    port = int(at.split(":")[1])
    assert f"client: c1, which may open the ports 0,1024-{port - 1},{port + 1}-65535 (new)\n" in server.plain()
    assert "warn  address: 127.0.0.1:" in server.plain() and "?     from outside: " in server.plain()
    with services.Service(lambda s: s.sendall(b"red")) as red:
        assert answer(join(lab, command, red.port)) == b"red"
        wrong = lab.run("join", command[2], f"{red.port}@{port}", "-once", "-id", "c1.b")
        assert wrong.returncode == 77 and f"public port {port}: this client may not have it" in wrong.stderr, wrong.stderr
        assert server.close() == 0
        ca = (lab.path / "a state/certs/ca.crt").read_bytes()
        again = terminal(*flags)
        shown = again.command()
        assert shlex.split(shown)[4:] == ["-public", at, "-state", str(lab.path / "a state")] and shown.startswith(ROTATE)
        assert "gt1_" not in again.text()
        assert again.plain().count("(there already)\n") == 3 and (lab.path / "a state/certs/ca.crt").read_bytes() == ca
        assert again.close() == 0
        rotated = lab.run(*shlex.split(shown)[1:])
        assert rotated.returncode == 0, rotated.stderr
        ready(up(lab, "-listen", at, state="a state"))
        assert answer(join(lab, ["gotunnel", "join", "-", "22", "<", "c1.join"], red.port)) == b"red"


def test_elsewhere_the_string_goes_to_a_file(lab):
    server = up(lab)
    text = ready(server)
    file = lab.path / "c1.join"
    assert file.stat().st_mode & 0o777 == 0o600 and "\x1b" not in text and "gt1_" not in text + server.log()
    assert [line[:6] for line in text.splitlines()[:5]] == ["ok    "] * 4 + ["warn  "]
    assert f"The join string is in {file.name}: take that to" in text
    with services.Service(lambda s: s.sendall(b"red")) as red:
        assert answer(join(lab, text.split("\n\n  ")[1].split(), red.port)) == b"red"
    control = lab.run("ctl", "-control", lab.path / "state/control", "ping")
    assert control.returncode == 0, control.stderr
    ended(server)
    first = file.read_bytes()
    again = up(lab, "-json")
    wait_for("the steps", lambda: '"next"' in again.stdout())
    steps = {step["step"]: step for step in map(json.loads, again.stdout().splitlines())}
    assert list(steps) == ["state", "ca", "listening", "client", "address", "reachable", "next"]
    assert {word: steps[word]["state"] for word in steps} == dict.fromkeys(steps, "ok") | {"address": "warn", "reachable": "unknown"}
    assert steps["next"]["value"].startswith(ROTATE) and file.read_bytes() == first


def test_the_port_is_in_the_command_of_a_server_without_a_name(lab):
    """Of a machine without a public address: what the other commands cannot find."""
    listen = "-listen", f"127.0.0.1:{free_port()}"
    first = lab.start("first", PROGRAM, "up", *listen, "-state", "state")
    text = ready(first)
    ended(first)
    if "YOUR-NAME" not in text:
        pytest.skip("this machine has a public address")
    again = ready(lab.start("again", PROGRAM, "up", *listen, "-state", "state"))
    assert f"{ROTATE} -public YOUR-NAME:{listen[1].split(':')[1]} " in again


@pytest.mark.parametrize("flags,status,words", [
    (("-public", "a b"), 2, "-public a b: "), (("-public", "h:0x"), 2, "-public h:0x: "), (("-public", ":1"), 2, "-public :1: "),
    (("-pulbic", "h"), 2, "did you mean -public"), (("word",), 2, "word"), (("-legacy", "perhaps"), 2, "legacy"),
])
def test_a_wrong_command_line_makes_nothing(lab, flags, status, words):
    done = lab.run("up", "-listen", "127.0.0.1:0", "-state", lab.path / "state", *flags)
    assert done.returncode == status and words in done.stderr and done.stdout == "", done.stderr
    assert not list(lab.path.iterdir())


def test_what_is_in_the_way_leaves_no_client_behind(lab):
    """Nobody would have seen its string. A later start makes it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        done = lab.run("up", *HERE, "-listen", at, "-state", lab.path / "state")
        assert done.returncode == 1 and at in done.stderr and "Address already in use" in done.stderr, done.stderr
        last = json.loads(lab.run("up", *HERE, "-listen", at, "-state", lab.path / "state", "-json").stdout.splitlines()[-1])
        assert (last["step"], last["state"]) == ("start", "fail")
    assert not (lab.path / "state/clients").exists() and not (lab.path / "c1.join").exists()
    (lab.path / "c1.join").write_text("mine\n")
    done = lab.run("up", *HERE, "-state", lab.path / "state")
    assert done.returncode == 1 and "c1.join is there already: move it away" in done.stderr, done.stderr
    assert not list((lab.path / "state/clients").iterdir()) and (lab.path / "c1.join").read_text() == "mine\n"
    (lab.path / "c1.join").unlink()
    assert "(new)\n" in ready(up(lab)) and (lab.path / "c1.join").exists()


@pytest.mark.parametrize("seen", ["certs", "clients", "c1.join", "clients/c1.yaml"])
def test_killed_in_between(lab, seen):
    """As soon as something is there. What the next start finds is either nothing of a client, or all of it."""
    server = up(lab)
    place = lab.path / seen if seen == "c1.join" else lab.path / "state" / seen
    wait_for(seen, place.exists, step=0.0002)
    server.kill()
    was_made = (lab.path / "state/clients/c1.yaml").exists()
    again = ready(up(lab))
    assert (ROTATE in again) == was_made and ("c1, which may open" in again) != was_made
    assert (lab.path / "c1.join").exists()


def test_a_string_without_a_client_is_replaced(lab):
    """A start was ended between the two: it lets nobody in, and is in nobody's way."""
    ended_one = up(lab)
    ready(ended_one)
    ended(ended_one)
    first = (lab.path / "c1.join").read_text()
    (lab.path / "state/clients/c1.yaml").unlink()
    text = ready(up(lab))
    assert "(new)\n" in text and (lab.path / "c1.join").read_text() != first
    with services.Service(lambda s: s.sendall(b"red")) as red:
        assert answer(join(lab, text.split("\n\n  ")[1].split(), red.port)) == b"red"


def test_clients_that_are_there_are_enough(lab):
    """Also one that was revoked: it does not come back by itself."""
    first = up(lab)
    ready(first)
    ended(first)
    revoked = lab.run("clients", "revoke", "c1", "-state", lab.path / "state")
    assert revoked.returncode == 0, revoked.stderr
    second = up(lab)
    assert "warn  client: c1 was revoked" in ready(second)
    ended(second)
    added = lab.run("clients", "add", "nas", "-public", "h", "-state", lab.path / "state")
    assert added.returncode == 0, added.stderr
    text = ready(up(lab))
    assert "client: 1 is there already\n" in text and "gotunnel clients add NAME " in text
    assert sorted(p.name for p in (lab.path / "state/clients").iterdir()) == ["c1.revoked", "nas.yaml"]


def clients(lab, *words, **how):
    done = lab.run("clients", *words, "-state", lab.path / "state", **how)
    assert done.returncode == 0 and "must be reloaded" not in done.stderr, done.stderr
    return done.stdout


def running(lab):
    """Connections of users, as the server counts them."""
    told = json.loads(lab.run("status", "-control", lab.path / "state/control", "-json").stdout)
    return sum(tunnel["connections"] for client in told["clients"] for tunnel in client["tunnels"])


def test_from_another_shell_a_change_counts_at_once(lab):
    """`clients` finds the socket in the folder that it works on, though another server of the machine has one, too."""
    (lab.path / "other/clients").mkdir(parents=True, mode=0o700)
    (lab.path / "other/run").mkdir()
    other = lab.server(secret=None, flags=("-certs", lab.path / "other/certs", "-control", lab.path / "other/run/control"))
    beside = {"env": {"RUNTIME_DIRECTORY": str(lab.path / "other/run")}}
    server = up(lab)
    at = "127.0.0.1:" + re.search(r"listening: .*:(\d+)", ready(server)).group(1)
    with services.Service(services.echo) as echo:
        port = join(lab, ["gotunnel", "join", "-", "22", "<", "c1.join"], echo.port)
        user = connect(port)
        user.sendall(b"x")
        assert user.recv(1) == b"x"
        assert "connected: c1 as c1." in clients(lab, "list", **beside)
        assert "the running server knows it\n" in clients(lab, "add", "nas", "-ports", "0", "-public", at, **beside)
        nas = join(lab, ["gotunnel", "join", "-", "22", "<", "nas.join"], echo.port)
        (lab.path / "c1.join").rename(lab.path / "old.join")
        assert "the running server knows it\n" in clients(lab, "rotate", "c1", "-public", at)
        assert services.works(join(lab, ["gotunnel", "join", "-", "22", "-id", "c1.new", "<", "c1.join"], echo.port))
        wait_for("the user alone", lambda: running(lab) == 1)  # what join and works() have tried is over
        assert clients(lab, "revoke", "c1", **beside) == "revoked 'c1': 2 sessions and 1 connection ended\n"
        with pytest.raises(ConnectionResetError):
            user.recv(1)
        user.close()
        assert services.works(nas)
    assert server.log().count("clients with a key in") == other.log().count("clients with a key in") == 1


def test_ctl_finds_it_and_what_a_dead_one_left_is_none(lab):
    env = {"HOME": str(lab.path), "XDG_STATE_HOME": str(lab.path / "own")}
    (lab.path / "certs").mkdir()  # the working directory is the server's folder by that
    server = up(lab, state=".", env=env)
    ready(server)
    done = lab.run("ctl", "ping", env=env)
    assert (done.returncode, done.stdout) == (0, f"it answers, as process {server.pid}\n"), done.stderr
    server.kill()
    assert (lab.path / "control").exists()
    done = lab.run("ctl", "ping", env=env)
    assert done.returncode == 69 and "no running program was found" in done.stderr
    done = lab.run("clients", "list", env=env)
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith("c1  ports "), done
    (lab.path / "run").mkdir()
    lab.server(secret=None, flags=("-control", lab.path / "run/control")).wait_log("control socket: ")
    done = lab.run("clients", "set", "c1", "-tunnels", "3", env={**env, "RUNTIME_DIRECTORY": str(lab.path / "run")})
    assert "the running server knows it\n" in done.stdout, done.stderr


def test_a_file_of_the_server_s(lab):
    """Its keys count, `certs` too; a flag wins; `state` and `public` are none."""
    allowed = free_port()
    (lab.path / "server.yaml").write_text(f"allow-ports: '{allowed}'\ncerts: own/certs\nlisten: 127.0.0.1:0\n")
    env = {"HOME": str(lab.path), "XDG_STATE_HOME": None}
    server = lab.start("up", PROGRAM, "up", "-public", "127.0.0.1", "-config", lab.path / "server.yaml", "-control",
                       lab.path / "control", env=env)
    text = ready(server)
    assert (lab.path / "own/clients/c1.yaml").exists() and (lab.path / "own/certs/ca.crt").exists()
    with services.Service(lambda s: s.sendall(b"red")) as red:
        words = ["gotunnel", "join", "-", f"{red.port}@{allowed}", "<", "c1.join"]
        assert join(lab, words, red.port) == allowed and answer(allowed) == b"red"
    assert "127.0.0.1" in text
    (lab.path / "server.yaml").write_text("state: x\npublic: y\n")
    done = lab.run("up", "-config", lab.path / "server.yaml", env={"HOME": str(lab.path)})
    assert done.returncode == 2 and "server.yaml:1:1: 'state'" in done.stderr and "server.yaml:2:1: 'public'" in done.stderr


def test_the_folder_is_that_of_clients(lab):
    """`up -h` shows where it would be: by flag, by the working directory, by who one is; and its other defaults."""
    def folder(*flags, **env):
        done = lab.run("up", *flags, "-h", env={"HOME": "/home/ann", "XDG_STATE_HOME": "", **env})
        assert done.returncode == 0
        assert re.search(r'(?m)^  -legacy.*\n.*\(default "never"\)$', done.stderr)
        return re.search(r'(?m)^  -certs.*\n.*\(default "(.*)/certs"\)$', done.stderr).group(1)

    is_root = os.geteuid() == 0
    assert folder() == ("/var/lib/gotunnel" if is_root else "/home/ann/.local/state/gotunnel")
    if not is_root:
        assert folder(XDG_STATE_HOME="/s") == "/s/gotunnel"
    assert folder("-state", "/x/y") == folder("--state=/x/y") == "/x/y"
    (lab.path / "certs").mkdir()
    assert folder() != "."
    (lab.path / "certs/ca.crt").touch()
    assert folder() == "."


def test_in_chinese(lab):
    server = up(lab, env={"LC_ALL": "zh_CN.UTF-8"})
    text = ready(server)
    for words in ("状态目录：" if "状态目录：" in text else "状态目录: ", "监听", "c1，可以开放端口 0,1024-", "接入码在文件 c1.join 中"):
        assert words in text
    assert not re.search(r"[a-z]{4,}", re.sub(r"gotunnel join.*|/\S*|c1\.join|-public|SHA-256 \S*|\bNAME\b|\bwarn\b", "", text)), text
