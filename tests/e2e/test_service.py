# SPDX-License-Identifier: MIT
"""gotunnel service install and remove: from `up` and `join -save` to services, and back, in a root of its own."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from lib.machine import Machine
from lib.manager import USER
from lib.procs import PATIENCE, ROOT, wait_for
from lib.services import free_port, works

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a root of its own and users")
SERVER_UNIT, CLIENT_UNIT = "gotunnel-server.service", "gotunnel-client.service"


@pytest.fixture
def machine():
    with Machine() as machine:
        yield machine


@pytest.fixture
def booted(machine):
    machine.boot()
    return machine


def files(machine):
    return {str(p.relative_to(machine.root)) for folder in ("etc/gotunnel", "etc/systemd", "etc/init.d")
            for p in (machine.root / folder).rglob("*") if not p.is_dir() or p.is_symlink()}


def owner(machine, unit):
    return Path(f"/proc/{machine.units[unit].popen.pid}").stat().st_uid


def by_hand(machine, *words, cwd="/root", until):
    """A program in the foreground until it has said something; then it is ended."""
    with (machine.root / "by-hand.log").open("w+") as log:
        process = machine.popen("gotunnel", *words, cwd=cwd, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(until, lambda: until in (machine.root / "by-hand.log").read_text() or process.poll() is not None)
            text = (machine.root / "by-hand.log").read_text()
            assert until in text, text
        finally:
            process.terminate()
            process.wait(PATIENCE)
    return text


def up(machine, *flags, cwd="/root"):
    """What `gotunnel up` leaves behind: the port of the tunnel. The join string lies in cwd/c1.join."""
    port = free_port()
    by_hand(machine, "up", "-listen", f"127.0.0.1:{port}", "-public", f"127.0.0.1:{port}", "-drain", "1s", *flags, cwd=cwd,
            until="gotunnel join - 22")
    return port


def join(machine, target, public):
    shutil.move(machine.root / "root/c1.join", machine.root / "root/string")
    string = (machine.root / "root/string").read_text().strip()
    return by_hand(machine, "join", string, f"{target}@{public}", "-save", "-drain", "1s", until="client.yaml, ")


def install(machine, *words, status=0, **kw):
    done = machine.run("gotunnel", "service", *words, **kw)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def test_what_up_and_join_began_becomes_two_services_and_goes_again(booted, echo):
    public = free_port()
    port = up(booted)
    said = install(booted, "install", cwd="/root")  # which of both: there is a server alone
    assert "systemctl status gotunnel-server" in said and "gotunnel service remove server" in said
    assert f"127.0.0.1:{port}" in (booted.root / "etc/gotunnel/server.yaml").read_text()
    assert owner(booted, SERVER_UNIT) == USER
    join(booted, echo.port, public)
    assert "gotunnel-client" in install(booted, "install", "client", cwd="/root")
    wait_for("the tunnel", lambda: works(public))

    # Commands find the service, and its state, where those of up were.
    added = booted.run("gotunnel", "clients", "add", "second", "-ports", "0", "-public", f"127.0.0.1:{port}", cwd="/")
    assert "the running server knows it" in added.stdout, added.stdout + added.stderr
    reload = booted.run("gotunnel", "ctl", "-control", "/run/gotunnel-client/client/control", "reload")
    assert reload.returncode == 0, reload.stderr
    assert (booted.root / "etc/gotunnel/client.join").stat().st_mode & 0o777 == 0o600
    assert (booted.root / "etc/gotunnel/client.yaml").stat().st_mode & 0o777 == 0o644
    assert "gt1_" not in (booted.root / "etc/gotunnel/client.yaml").read_text()

    # A second time nothing happens, and what runs goes on.
    for mode in ("server", "client"):
        assert f"'gotunnel service remove {mode}'" in install(booted, "install", mode, status=1, cwd="/root")
    assert works(public)

    assert "say which one" in install(booted, "remove", status=1)
    install(booted, "remove", "client")
    install(booted, "remove")
    assert booted.units == {} and files(booted) == set() and not (booted.root / "etc/gotunnel").exists()
    assert "no service" in install(booted, "remove", "server", status=1)
    # The state is what it was, also for `up`.
    state = booted.root / "var/lib/gotunnel"
    assert not state.is_symlink() and {p.stat().st_uid for p in (state, *state.rglob("*"))} == {0}
    by_hand(booted, "up", "-listen", f"127.0.0.1:{port}", cwd="/", until="listening")


def test_a_state_of_a_user_is_served_by_that_user(booted):
    home = booted.root / "home/anna"
    home.mkdir()
    os.chown(home, 4321, 4321)
    with (booted.root / "etc/passwd").open("a") as f:
        f.write("anna:x:4321:4321::/home/anna:/bin/sh\n")
    with (booted.root / "etc/group").open("a") as f:
        f.write("anna:x:4321:\n")
    port = free_port()
    with (booted.root / "home/anna/log").open("w+") as log:
        process = booted.popen("setpriv", "--reuid=4321", "--regid=4321", "--clear-groups", "gotunnel", "up", "-listen",
                               f"127.0.0.1:{port}", cwd="/home/anna", env={"HOME": "/home/anna"}, stdout=log, stderr=log)
        wait_for("the server", lambda: "gotunnel join -" in (home / "log").read_text())
        process.terminate()
        process.wait(PATIENCE)
    sudo = {"SUDO_USER": "anna", "SUDO_UID": "4321", "SUDO_GID": "4321"}
    install(booted, "install", "server", env=sudo)
    unit = (booted.root / "etc/systemd/system" / SERVER_UNIT).read_text()
    assert "\nUser=anna\n" in unit and "\nBindPaths=/home/anna/.local/state/gotunnel\n" in unit
    assert owner(booted, SERVER_UNIT) == 4321
    install(booted, "remove")
    assert (home / ".local/state/gotunnel/certs/ca.key").stat().st_uid == 4321


def test_a_user_s_service_is_given_no_file_of_root_s(booted):
    """What the file of a user names as its secret systemd would read as root, now and after each boot."""
    home = booted.root / "home/anna"
    state = home / ".local/state/gotunnel"
    (state / "certs").mkdir(parents=True)
    with (booted.root / "etc/passwd").open("a") as f:
        f.write("anna:x:4321:4321::/home/anna:/bin/sh\n")
    (booted.root / "etc/private").write_text("a secret of root's, which is long enough\n")
    (booted.root / "etc/private").chmod(0o600)
    (home / "secret").write_text("a secret of anna's, which is long enough\n")
    for secret in "/etc/private", "/home/anna/secret":
        record = state / "up.yaml"
        record.write_text(f"listen: 127.0.0.1:{free_port()}\ncerts: /home/anna/.local/state/gotunnel/certs\n"
                          f"secret-file: {secret}\nlegacy: never\n")
        for p in (home, *home.rglob("*")):
            os.chown(p, 4321, 4321)
        for p in record, home / "secret":
            p.chmod(0o600)
        sudo = {"SUDO_USER": "anna", "SUDO_UID": "4321", "SUDO_GID": "4321"}
        if secret == "/etc/private":
            install(booted, "install", "server", status=1, env=sudo)
            assert files(booted) == set()
        else:
            install(booted, "install", "server", env=sudo)
            assert "server.secret" not in (booted.root / "etc/systemd/system" / SERVER_UNIT).read_text()


@pytest.mark.parametrize("odd", ["a\nExecStartPre=+/bin/touch /owned", "a$(touch owned)", "a `id`", "a b", "a%h", 'a"', "a:b"])
def test_a_path_is_no_word_of_a_unit(booted, odd):
    """A folder, and what is written of it, can be another user's than who installs."""
    folder = booted.root / "home/anna" / odd
    folder.mkdir(parents=True)
    with (booted.root / "etc/passwd").open("a") as f:
        f.write("anna:x:4321:4321::/home/anna:/bin/sh\n")
    os.chown(folder, 4321, 4321)
    config = booted.root / "home/anna/server.yaml"
    config.write_text(f"listen: 127.0.0.1:{free_port()}\ncerts: {json.dumps(f'/home/anna/{odd}/certs')}\n")
    assert "in a path" in install(booted, "install", "server", "/home/anna/server.yaml", status=1)
    assert files(booted) == set() and booted.calls == []


def test_what_is_missing_or_in_the_way_is_said_and_nothing_is_written(booted):
    assert "'gotunnel up' begins one" in install(booted, "install", "server", status=1)
    assert "-save" in install(booted, "install", "client", status=1)
    both = install(booted, "install", status=1)
    assert "'gotunnel up'" in both and "-save" in both
    done = booted.run("setpriv", "--reuid=4321", "--clear-groups", "gotunnel", "service", "install")
    assert done.returncode == 77 and "sudo gotunnel service install" in done.stderr
    for words in ((), ("instal",), ("install", "both"), ("remove", "server", "x"), ("install", "server", "a", "b")):
        assert "Usage of service" in install(booted, *words, status=2)
    assert files(booted) == set() and booted.calls == []

    port = up(booted)
    (booted.root / "etc/gotunnel").mkdir()
    for name, said in (("server.yaml", "move it away"), ("server.env", "systemctl enable --now gotunnel-server")):
        (booted.root / "etc/gotunnel" / name).write_text("\n")
        assert said in install(booted, "install", "server", status=1)
        (booted.root / "etc/gotunnel" / name).unlink()
    shutil.copy(booted.root / "opt/gotunnel", booted.root / "tmp")
    done = booted.run("/tmp/gotunnel", "service", "install", "server")
    assert done.returncode == 1 and "make install" in done.stderr
    process = booted.popen("gotunnel", "up", "-listen", f"127.0.0.1:{port}", cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("up", lambda: (booted.root / "var/lib/gotunnel/control").exists())
        assert "gotunnel ctl drain" in install(booted, "install", "server", status=1)
    finally:
        process.terminate()
        process.wait(PATIENCE)
    (booted.root / "run/systemd/system").rmdir()
    assert "systemd, OpenRC or procd" in install(booted, "install", "server", status=1)
    assert files(booted) == set() and booted.units == {}


def test_a_service_that_does_not_start_leaves_nothing(booted):
    port = up(booted)
    taken = booted.popen("python3", "-c", f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); "
                         "print('there', flush=True); time.sleep(600)", stdout=subprocess.PIPE)
    try:
        assert taken.stdout.readline() == "there\n"
        said = install(booted, "install", "server", status=1)
    finally:
        taken.send_signal(signal.SIGKILL)
        taken.wait()
    assert "'systemctl start gotunnel-server.service' failed with status 1" in said and "nothing was installed" in said
    assert files(booted) == set() and booted.units == {}
    install(booted, "install", "server")  # now that nothing is in the way
    assert SERVER_UNIT in booted.units


def test_what_up_cannot_write_down_is_said(booted):
    (booted.root / "root/server.yaml").write_text("legacy: never\ncerts: /var/lib/gotunnel/certs\n")
    (booted.root / "root/secret").write_text("a-secret-of-many-bytes\n")
    (booted.root / "root/secret").chmod(0o600)
    up(booted, "-secret", "a-secret-of-many-bytes")
    assert "secret" not in (booted.root / "var/lib/gotunnel/up.yaml").read_text().replace("# with a shared secret", "")
    assert "-secret-file FILE" in install(booted, "install", "server", status=1)
    record = (booted.root / "var/lib/gotunnel/up.yaml").read_text()
    port = free_port()
    by_hand(booted, "up", "-listen", f"127.0.0.1:{port}", "-config", "server.yaml", until="listening")
    assert "'gotunnel service install server /root/server.yaml'" in install(booted, "install", "server", status=1)
    by_hand(booted, "up", "-listen", f"127.0.0.1:{port}", "-secret-file", "secret", until="listening")
    assert record != (booted.root / "var/lib/gotunnel/up.yaml").read_text()
    install(booted, "install", "server")
    assert "LoadCredential=server.secret:/root/secret\n" in (booted.root / "etc/systemd/system" / SERVER_UNIT).read_text()
    assert "PSK" in booted.log(SERVER_UNIT) or "secret" in booted.log(SERVER_UNIT)


def test_a_file_whose_copy_would_mean_something_else_is_refused(booted):
    up(booted)
    (booted.root / "root/s.yaml").write_text("listen: 127.0.0.1:0\ncerts: /var/lib/gotunnel/certs\nclients: mine\n")
    assert "'clients'" in install(booted, "install", "server", "s.yaml", status=1, cwd="/root")
    (booted.root / "root/s.yaml").write_text("listen: 127.0.0.1:0\ncerts: /var/lib/gotunnel/certs\nsecret: 1234567890123456\n")
    (booted.root / "root/s.yaml").chmod(0o600)
    assert "'secret-file'" in install(booted, "install", "server", "s.yaml", status=1, cwd="/root")
    assert files(booted) == set()


def test_a_port_below_1024_brings_the_right_to_it(booted):
    up(booted)
    (booted.root / "root/s.yaml").write_text("listen: 127.0.0.1:443\ncerts: /var/lib/gotunnel/certs\n")
    install(booted, "install", "server", "s.yaml", status=1, cwd="/root")  # the stub gives no rights
    assert "Permission denied" in booted.log(SERVER_UNIT)


def test_the_units_are_good_and_have_the_cage_of_ours(booted):
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze here")
    up(booted)
    install(booted, "install", "server")
    unit = booted.root / "etc/systemd/system" / SERVER_UNIT
    assert (ROOT / "packaging/systemd/common").read_text() in unit.read_text()
    copy = booted.root / SERVER_UNIT
    copy.write_text(unit.read_text().replace("/opt/gotunnel", "/bin/true").replace("User=gotunnel\n", ""))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True)
    assert SERVER_UNIT not in done.stderr, done.stderr
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=15", copy], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-400:] + done.stderr


# ---- other managers ----

RC_COMMON = """#!/bin/sh
script=$1; action=$2
. "$script"
procd_open_instance() { :; }
procd_close_instance() { :; }
procd_set_param() { echo "$*" >>/stub/calls; }
case $action in
start) start_service ;;
*) echo "$(basename "$script") $action" >>/stub/calls ;;
esac
"""
OPENRC = """#!/bin/sh
echo "$(basename "$0") $*" >>/stub/calls
[ "$(basename "$0") $2" = "rc-service start" ] || exit 0
checkpath() { mkdir -p "$4"; }
. "/etc/init.d/$1"
start_pre
echo "run $command $command_args" >>/stub/calls
env | grep _DIRECTORY >>/stub/calls
"""


def prepare(machine, what):
    (machine.root / "stub").mkdir()
    (machine.root / "etc/init.d").mkdir()
    scripts = {"stub/rc-update": OPENRC, "stub/rc-service": OPENRC} if what == "OpenRC" else {"etc/rc.common": RC_COMMON}
    (machine.root / ("run/openrc" if what == "OpenRC" else "sbin/procd")).mkdir()
    for name, text in scripts.items():
        (machine.root / name).write_text(text)
        (machine.root / name).chmod(0o755)


@pytest.mark.parametrize("what", ["OpenRC", "procd"])
def test_other_managers_are_told_the_same(machine, what, echo):
    prepare(machine, what)
    port, public = up(machine), free_port()
    install(machine, "install", "server")
    calls = (machine.root / "stub/calls").read_text()
    line = "/opt/gotunnel server -config /etc/gotunnel/server.yaml"
    wanted = ["rc-update add gotunnel-server default", "rc-service gotunnel-server start", f"run {line}",
              "RUNTIME_DIRECTORY=/run/gotunnel-server"]
    if what == "procd":
        wanted = ["gotunnel-server enable", f"command {line}", "STATE_DIRECTORY=/var/lib/gotunnel RUNTIME_DIRECTORY=/run/gotunnel-server"]
    assert all(text in calls for text in wanted), calls
    script = machine.root / "etc/init.d/gotunnel-server"
    assert script.stat().st_mode & 0o777 == 0o755
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", script], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout

    # The very command line runs: server and client, started as the scripts say.
    env = {"STATE_DIRECTORY": "/var/lib/gotunnel", "RUNTIME_DIRECTORY": "/run/gotunnel-server"}
    server = machine.popen(*line.split(), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("the server", lambda: (machine.root / "run/gotunnel-server/control").exists())
        join(machine, echo.port, public)
        install(machine, "install", "client", cwd="/root")
        calls = (machine.root / "stub/calls").read_text()
        line = "/opt/gotunnel client -config /etc/gotunnel/client.yaml -join-file /etc/gotunnel/client.join"
        assert line in calls and port
        env = {"STATE_DIRECTORY": "/var/lib/gotunnel-client/client", "RUNTIME_DIRECTORY": "/run/gotunnel-client/client"}
        client = machine.popen(*line.split(), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for("the tunnel", lambda: works(public))
        finally:
            client.terminate()
            client.wait(PATIENCE)
    finally:
        server.terminate()
        server.wait(PATIENCE)
    for mode in ("client", "server"):
        install(machine, "remove", mode)
    assert files(machine) == set()
