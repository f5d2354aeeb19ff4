# SPDX-License-Identifier: MIT
"""-notify: a command for what happens, by a helper outside of the cage (the programs run with -sandbox require)."""

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

from lib import cuts, wire2
from lib.procs import SANDBOX, SECRET, wait_for
from lib.services import works

pytestmark = pytest.mark.patient


def runs(folder):
    """What each command has been told, in their order: its variables."""
    out = []
    for file in sorted(folder.glob("*.env"), key=lambda f: int(f.stem)):
        text = file.read_text().split("\0")[:-1]
        out.append(dict(line.split("=", 1) for line in text))
    return out


@pytest.fixture
def folder(lab):
    """Where commands write: for whoever they run as."""
    folder = lab.path / "told"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def note(folder):
    """A command that keeps its variables, whole, in a file of its own."""
    return f"n=$(ls {folder} | grep -c env$); env -0 > {folder}/$n.new && mv {folder}/$n.new {folder}/$n.env"


def told(folder, what, n=1):
    """The first of that word, once there are n of it."""
    def check():
        of_it = [r for r in runs(folder) if r["GOTUNNEL_NOTIFY"] == what]
        return len(of_it) >= n and of_it[n - 1]

    return wait_for(f"{what} in {[r.get('GOTUNNEL_EVENT') for r in runs(folder)]}", check)


def test_a_server_tells_of_its_clients(lab, echo, folder):
    """Up, lost, resumed, a refused port, the end: each with whose it is."""
    server = lab.server(flags=("-notify", note(folder), "-allow-ports", "20000-32000"))
    peer = wire2.Client(server.port, server.ca, SECRET, id="nas")
    public = cuts.free_port()
    assert peer.open(public)["port"] == public
    up = told(folder, "up")
    assert up["GOTUNNEL_MODE"] == "server" and up["GOTUNNEL_CLIENT"] == "nas" and up["GOTUNNEL_PEER"].startswith("127.0.0.1:")
    assert up["GOTUNNEL_EVENT"] == "client_authenticated" and "passed PSK" in up["GOTUNNEL_MESSAGE"]
    assert not peer.ask(80)["ok"]
    refused = told(folder, "refused")
    assert refused["GOTUNNEL_PORT"] == "80" and refused["GOTUNNEL_TUNNEL"] == "by-hand" and refused["GOTUNNEL_WHY"]
    peer.drop()
    lost = told(folder, "lost")
    assert lost["GOTUNNEL_CLIENT"] == "nas" and lost["GOTUNNEL_SECONDS"] == "60" and lost["GOTUNNEL_WHY"]
    peer.resume()
    assert told(folder, "resumed")["GOTUNNEL_CLIENT"] == "nas"
    server.kill(signal.SIGTERM)
    server.wait()


def test_a_client_tells_of_its_tunnels(lab, echo, folder):
    server = lab.server(flags=("-allow-ports", "20000-32000"))
    public = cuts.free_port()
    client = lab.client(server, echo.port, remote_port=public, flags=("-notify", note(folder)))
    up = told(folder, "up")
    assert up["GOTUNNEL_MODE"] == "client" and up["GOTUNNEL_ADDRESS"].endswith(f":{public}")
    server.kill()
    assert told(folder, "lost")["GOTUNNEL_MODE"] == "client"
    assert works(echo.port)
    client.kill(signal.SIGTERM)
    client.wait()


def test_a_refused_port_at_the_client(lab, echo, folder):
    server = lab.server(flags=("-allow-ports", "20000-32000"))
    lab.client(server, echo.port, remote_port=81, flags=("-notify", note(folder)), ready=False)
    assert "81" in told(folder, "refused")["GOTUNNEL_WHY"]


def test_nothing_of_ours_is_in_a_command(lab, echo, folder):
    """No secret, no descriptor, no word for the service manager's own, and no more than its three streams."""
    look = f"ls -l /proc/self/fd > {folder}/fds; {note(folder)}"
    env = {"GOTUNNEL_SECRET": SECRET, "JOURNAL_STREAM": "1:2", "WATCHDOG_USEC": "9000000", "KEPT": "yes"}
    server = lab.server(secret=None, flags=("-notify", look), env=env)
    server.secret = SECRET
    lab.client(server, echo.port)
    one = told(folder, "up")
    assert SECRET not in str(one) and one["KEPT"] == "yes"
    assert not {"GOTUNNEL_SECRET", "JOURNAL_STREAM", "WATCHDOG_USEC", "NOTIFY_SOCKET"} & set(one)
    links = [line.split(" -> ")[1] for line in (folder / "fds").read_text().splitlines() if " -> " in line]
    assert [link for link in links if "/proc/" not in link and not link.startswith(str(folder))] == ["/dev/null"] * 2, links


ODD = """
import ctypes, os, sys
os.dup2(os.open("/dev/null", os.O_RDONLY), 4000, inheritable=True)
words = [w.encode() for w in sys.argv[1:]]
given = [b"=".join(p) for p in os.environb.items()] + [b"GOTUNNEL_X", b"GOTUNNEL_SECRET_" + 200 * b"x" + b"=y"]
ctypes.CDLL(None).execve(words[0], (ctypes.c_char_p * (len(words) + 1))(*words, None),
                         (ctypes.c_char_p * (len(given) + 1))(*given, None))
"""


def test_an_odd_environment_is_none_of_a_command_s(lab, echo, folder):
    """A word that is no variable, a long name and a high descriptor, as whoever started the program has left them."""
    look = f"ls -l /proc/self/fd > {folder}/fds; {note(folder)}"
    server = lab.server(flags=("-notify", look), wrapper=(sys.executable, "-c", ODD))
    lab.client(server, echo.port)
    one = told(folder, "up")
    assert not [k for k in one if k.startswith("GOTUNNEL_SECRET_")] and "GOTUNNEL_X" not in one
    assert "4000" not in (folder / "fds").read_text()


def test_a_peer_s_words_are_a_value_and_no_command(lab, echo, folder):
    """Names that a shell would like."""
    server = lab.server(flags=("-notify", note(folder), "-allow-ports", "20000-32000"))
    peer = wire2.Client(server.port, server.ca, SECRET, id="nas")
    assert peer.open(port=None)["ok"]
    told(folder, "up")
    evil = "$(touch$IFS" + str(folder) + "/owned)`id`;LD_PRELOAD=x"
    peer.tell(op="open", svc=1, name=evil, kind="tcp", port=80, bind="", ready=True)
    try:
        op = peer.told()["op"]
    except (OSError, wire2.Closed):
        op = "over"  # no name of a tunnel
    assert op in ("refused", "over")
    assert "LD_PRELOAD" not in [k for r in runs(folder) for k in r]
    assert not (folder / "owned").exists()


def processes_with(mark):
    found = []
    for p in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (p / "environ").read_bytes() and (p / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                found.append(int(p.name))
        except OSError:
            continue
    return found


def test_a_command_that_hangs_is_killed_and_nobody_waits_for_it(lab, echo, folder):
    """With all that it has begun; the tunnel works meanwhile, and what came meanwhile is told afterwards."""
    mark = os.urandom(8).hex()
    command = f"{note(folder)}; sleep 1000 & sleep 1000"
    server = lab.server(flags=("-notify", command), env={"MARK": mark})
    first = wire2.Client(server.port, server.ca, SECRET, id="one")
    assert first.open()["ok"]
    told(folder, "up")
    second = wire2.Client(server.port, server.ca, SECRET, id="two")  # not held up
    assert second.open()["ok"]
    assert [r["GOTUNNEL_CLIENT"] for r in runs(folder)] == ["one"]
    wait_for("the second command", lambda: len(runs(folder)) == 2, timeout=60)  # the first is killed
    assert runs(folder)[1]["GOTUNNEL_CLIENT"] == "two"
    server.kill(signal.SIGTERM)
    server.wait()
    wait_for("the end of the helper and all that it began", lambda: not processes_with(mark), timeout=60)


def test_a_flood_of_events_is_a_bounded_number_of_commands(lab, folder):
    """Ten at once, sixteen that wait, one a second: what is beyond is counted for the next."""
    server = lab.server(flags=("-notify", note(folder)))
    began = time.monotonic()
    for _ in range(60):
        c = wire2.Client(server.port, server.ca, SECRET, id="looper")
        assert c.open(port=None, window_ms=0)["ok"]
        c.tls.close()
    left_out = wait_for("a command that hears of those left out",
                        lambda: next((r for r in runs(folder) if "GOTUNNEL_LEFT_OUT" in r), None))
    assert int(left_out["GOTUNNEL_LEFT_OUT"]) > 0
    assert len(runs(folder)) <= 11 + time.monotonic() - began


def test_the_helper_goes_with_a_program_that_is_killed(lab, folder):
    mark = os.urandom(8).hex()
    server = lab.server(flags=("-notify", note(folder)), env={"MARK": mark})
    assert len(processes_with(mark)) == 2
    server.kill()
    wait_for("the end of the helper", lambda: not processes_with(mark))


def test_a_helper_that_is_killed_is_missed(lab, folder):
    """Once, and nothing else comes of it."""
    mark = os.urandom(8).hex()
    server = lab.server(flags=("-notify", note(folder)), env={"MARK": mark})
    for pid in processes_with(mark):
        if pid != server.pid:
            os.kill(pid, signal.SIGKILL)
    wait_for("its end", lambda: processes_with(mark) == [server.pid])
    for name in "one", "two":
        c = wire2.Client(server.port, server.ca, SECRET, id=name)
        assert c.open(port=None, window_ms=0)["ok"]
        c.tls.close()
    server.wait_log("its helper has ended")
    server.kill(signal.SIGTERM)
    assert server.wait() == 0
    assert server.log().count("its helper has ended") == 1 and runs(folder) == []


def test_no_zombie_and_no_helper_without_a_command(lab, echo):
    mark = os.urandom(8).hex()
    server = lab.server(env={"MARK": mark})
    lab.client(server, echo.port)
    assert len(processes_with(mark)) == 1


@pytest.mark.skipif(os.geteuid() != 0 or SANDBOX != "require", reason="needs root and the cage")
def test_the_command_runs_as_the_user_whom_the_program_becomes(lab, echo):
    certs = lab.path / "certs"
    certs.mkdir(mode=0o700)
    os.chown(certs, 65534, 65534)
    os.chmod(lab.path, 0o755)
    folder = Path(tempfile.mkdtemp(prefix="told"))  # where others come to; the test's own they do not
    folder.chmod(0o777)
    server = lab.server(flags=("-notify", f"id -u > {folder}/uid.new; mv {folder}/uid.new {folder}/uid"))
    ca = lab.path / "ca.crt"
    ca.write_bytes(server.ca.read_bytes())
    lab.client(server, echo.port, ca=ca)
    assert wait_for("the command", lambda: (folder / "uid").exists() and (folder / "uid").read_text()) == "65534\n"
    shutil.rmtree(folder)


def test_a_command_is_bound_by_nothing_of_the_cage(lab, echo, folder):
    """Else a program with rights of its own, as sendmail or sudo, would not have them."""
    words = r"grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status"
    command = f"{words} > {folder}/$GOTUNNEL_MODE.new; mv {folder}/$GOTUNNEL_MODE.new {folder}/$GOTUNNEL_MODE"
    server = lab.server(flags=("-notify", command))
    lab.client(server, echo.port, flags=("-notify", command))
    ours = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(("NoNewPrivs:", "Seccomp:"))]
    for end in "server", "client":
        file = folder / end
        assert wait_for(f"the command of the {end}", lambda file=file: file.exists() and file.read_text().splitlines()) == ours


def test_a_command_that_cannot_be_is_said_at_the_start(lab):
    done = lab.run("server", "-secret", SECRET, "-listen", "127.0.0.1:0", "-notify", "x" * 5000)
    assert done.returncode != 0 and "cannot run -notify: the command is too long" in done.stderr
