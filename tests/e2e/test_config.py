# SPDX-License-Identifier: MIT
"""-config: a tunnel from two files, and what a file may not be."""

import os
import shutil

import pytest

from lib.procs import PROGRAM, SECRET
from lib.services import connect, read_exactly


def works(port):
    with connect(port) as s:
        s.sendall(b"ping")
        return read_exactly(s, 4) == b"ping"


def write(path, text, mode=0o600):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def start_server(lab, *flags, **how):
    """One whose file lies in a folder of its own, and so does all that it names."""
    write(lab.path / "s/secret", SECRET + "\n")
    file = write(lab.path / "s/server.yaml", "listen: 127.0.0.1:0\ncerts: certs\nsecret-file: secret\nallow-ports: 0\n")
    server = lab.start("server", PROGRAM, "server", "-config", file, *flags, **how)
    server.port = int(server.match(r"(?:listens on|监听于) \S*:(\d+)\n").group(1))
    return server


def client_file(lab, server, target, more="", mode=0o600, name="client.yaml"):
    shutil.copy(lab.path / "s/certs/ca.crt", write(lab.path / "c/ca.crt", ""))
    return write(lab.path / "c" / name, f"""\
# beside the service
server: 127.0.0.1:{server.port}
secret: {SECRET}
ca: ca.crt
{more}
tunnels:
  - name: echo
    port: 0
    target: 127.0.0.1:{target}
""", mode)


def test_a_tunnel_from_two_files(lab, echo):
    server = start_server(lab)
    client = lab.start("client", PROGRAM, "client", "-config", client_file(lab, server, echo.port, "id: of-the-file"))
    assert works(lab.port_of(client))
    assert (lab.path / "s/certs/server.key").exists() and not (lab.path / "certs").exists()
    server.wait_log("of-the-file")
    # In no log, no command line; and it is not the secret of a flag that is warned of.
    assert SECRET not in server.log() + client.log() and "-secret: " not in client.log()


def test_the_same_files_checked(lab, echo):
    """Nothing is touched: no folder of state, no certificate; and nobody is connected to."""
    write(lab.path / "s/secret", SECRET + "\n")
    file = write(lab.path / "s/server.yaml", "listen: 127.0.0.1:0\ncerts: certs\nsecret-file: secret\nallow-ports: 0\n")
    done = lab.run("check", file)
    assert done.returncode == 0 and "at the first start" in done.stdout and sorted(os.listdir(lab.path / "s")) == [
        "secret", "server.yaml"], done.stderr
    server = start_server(lab)
    file = client_file(lab, server, echo.port)
    before, state = server.log(), sorted(str(p) for p in lab.path.rglob("*"))
    done = lab.run("check", file)
    assert done.returncode == 0 and f"connects to 127.0.0.1:{server.port}\n" in done.stdout, done.stderr
    assert sorted(str(p) for p in lab.path.rglob("*")) == state
    client = lab.start("client", PROGRAM, "client", "-config", file)
    assert works(lab.port_of(client))
    assert len([line for line in server.log()[len(before):].splitlines() if "event=connected" in line]) == 1


def test_json_and_the_folder_that_one_is_in(lab, echo):
    """A name without a folder: what it names is beside it."""
    server = start_server(lab)
    client_file(lab, server, echo.port)
    write(lab.path / "c/client.json", f'{{"server":"127.0.0.1:{server.port}","ca":"./ca.crt",\n\t"tunnels":[{{"port":0,'
          f'"target":"127.0.0.1:{echo.port}"}}]}}\n', 0o644)
    client = lab.start("client", PROGRAM, "client", "-config", "client.json", cwd=lab.path / "c",
                       env={"GOTUNNEL_SECRET": SECRET})
    assert works(lab.port_of(client))


def test_a_flag_wins_over_the_file_and_the_file_over_the_environment(lab, echo):
    server = start_server(lab, "-log-level", "debug", env={"GOTUNNEL_SECRET": "of-the-environment"})
    file = client_file(lab, server, 1, "id: of-the-file\nlog-level: error")
    client = lab.start("client", PROGRAM, "client", "-id", "of-the-flag", "-config", file,
                       "-local-target", f"127.0.0.1:{echo.port}", "-log-level", "info",
                       env={"GOTUNNEL_SECRET": "of-the-environment"})
    assert works(lab.port_of(client))
    server.wait_log("of-the-flag")
    assert "of-the-file" not in server.log()
    # A secret in a flag, of whatever kind, is the one: here the wrong one.
    other = write(lab.path / "other", "another-secret-of-some-length")
    wrong = lab.start("wrong", PROGRAM, "client", "-config", file, "-log-level", "info", "-secret-file", other)
    server.wait_log("event=auth_failed")
    assert wrong.alive()


@pytest.mark.parametrize("mode,text", [(0o644, "chmod 600"), (0o666, "chmod go-w")])
def test_a_file_with_a_secret_that_others_can_read_or_any_that_they_can_write(lab, mode, text):
    file = write(lab.path / "c.yaml", "server: h:1\nsecret: hunter2hunter2hunter2\n", mode)
    done = lab.run("client", "-config", file)
    assert done.returncode == 2 and text in done.stderr and "hunter2" not in done.stderr, done.stderr
    if mode == 0o644:  # without a secret that mode is right
        assert f"{file}:2:1: the file has a secret in it" in done.stderr
        write(file, "server: h:1\n", mode)
        done = lab.run("client", "-config", file, "-secret", SECRET)
        assert done.returncode == 1 and "ca.crt" in done.stderr, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="files of other users need root")
def test_a_file_of_another_user(lab):
    file = write(lab.path / "c.yaml", "server: h:1\n", 0o644)
    os.chown(file, 12345, 12345)
    done = lab.run("client", "-config", file, "-secret", SECRET)
    assert done.returncode == 2 and "belongs to another user (uid 12345)" in done.stderr, done.stderr


@pytest.mark.parametrize("command,file,told", [
    ("client", "id: x\n", ["'server' is missing", "the secret is missing"]),
    ("client", "server: h:1\n", ["the secret is missing"]),
    ("server", "listen: 1\n", ["the secret is missing"])])
def test_what_neither_has(lab, command, file, told):
    path = write(lab.path / "f.yaml", file)
    done = lab.run(command, "-config", path, env={"GOTUNNEL_SECRET": ""})
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == len(told) and all(t in line for t, line in zip(told, lines)), done.stderr


def test_exit_statuses(lab):
    wrong = write(lab.path / "wrong.yaml", "serve: h:1\n")
    for file, text in ((wrong, f"{wrong}:1:1: 'serve' is no key here; 'server'?\n"),
                       (lab.path / "none.yaml", "No such file"), (lab.path, "Is a directory")):
        for env, status in (({}, 2), ({"NOTIFY_SOCKET": str(lab.path / "none.sock")}, 78)):
            done = lab.run("client", "-config", file, env=env)
            assert done.returncode == status and text in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert lab.run("client", "-config", wrong, "-version").returncode == 0
