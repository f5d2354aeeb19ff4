# SPDX-License-Identifier: MIT
"""The package in clean roots of Debian 12 and 13: built, installed, upgraded with traffic, purged.

Takes the archive of Debian, root, and a quarter of an hour for each release. GOTUNNEL_ROOTS names a folder where the roots are
kept for the next run."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from test_build import ROOT
from test_deb import shell

sys.path.insert(0, str(ROOT / "tests/e2e"))
from lib import services  # noqa: E402
from lib.machine import Machine  # noqa: E402
from lib.procs import wait_for  # noqa: E402
from lib.services import connect, free_port, works  # noqa: E402

pytestmark = [pytest.mark.long, pytest.mark.serial]
BUILD = ("build-essential", "debhelper", "gettext", "libjansson-dev", "libseccomp-dev", "libssl-dev", "libuv1-dev", "libyaml-dev",
         "lintian", "meson", "pkgconf", "python3")
WAIT_SECONDS = 5  # for a new visitor
SERVER, CLIENT = "gotunnel-server.service", "gotunnel-join@home.service"
# What packages' managers keep for themselves.
NOT_OURS = ("var/lib/dpkg", "var/lib/apt", "var/cache", "var/log", "run", "tmp", "stub", "proc", "dev", "usr/share/man",
            "var/lib/private", "etc/systemd/system/multi-user.target.wants",  # of systemd; nothing of ours in them:
            "etc/passwd", "etc/shadow", "etc/group", "etc/gshadow", "etc/.pwd.lock", "etc/subuid", "etc/subgid", "root")


def make_root(tar, suite, packages):
    if tar.exists():
        return tar
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        pytest.skip("clean roots need root and mmdebstrap")
    part = tar.with_suffix(".part.tar")
    include = [f"--include={','.join(packages)}"] if packages else []
    done = subprocess.run(["mmdebstrap", "--variant=apt", "--mode=root", "--dpkgopt=force-unsafe-io", *include, suite, part],
                          capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"there is no archive of {suite} here: {done.stderr.strip().splitlines()[-1]}")
    part.rename(tar)
    return tar


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def suite(request, tmp_path_factory):
    """(tar of a clean root, the package, a later version of it)"""
    name = request.param
    kept = os.environ.get("GOTUNNEL_ROOTS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp(name)
    out = tmp_path_factory.mktemp(f"{name}-packages")
    with Machine(make_root(folder / f"{name}-build.tar", name, BUILD)) as builder:
        shutil.copytree(ROOT, builder.root / "src", symlinks=True, ignore=shutil.ignore_patterns("build*", ".git", "__pycache__"))
        done = builder.run("/src/tools/deb", "/out", cwd="/src", timeout=3000)  # and lintian of that release
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
        for package in (builder.root / "out").glob("*.deb"):
            shutil.copy(package, out)
    (package,) = out.glob("gotunnel_*.deb")
    tree = out / "tree"
    shell("dpkg-deb", "-R", package, tree)
    control = (tree / "DEBIAN/control").read_text()
    (tree / "DEBIAN/control").write_text(control.replace("\nVersion: 1.0.0~dev", "\nVersion: 1.0.0~dev+later"))
    later = out / "later.deb"
    shell("dpkg-deb", "--root-owner-group", "-b", tree, later)
    yield make_root(folder / f"{name}-clean.tar", name, ()), package, later


def begin(tar, package):
    """A machine with what the package needs, but not the package."""
    machine = Machine(tar)
    for name in ("resolv.conf", "hosts"):
        (machine.root / "etc" / name).unlink(missing_ok=True)
        shutil.copy(Path("/etc") / name, machine.root / "etc")
    shutil.copy(package, machine.root / "gotunnel.deb")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    needs = shell("dpkg-deb", "-f", package, "Depends").replace("systemd | ", "", 1)
    wanted = [need.split("|")[0].split("(")[0].strip() for need in needs.split(",")]
    for words in (("update",), ("install", "-y", "--no-install-recommends", *wanted)):
        done = machine.run("apt-get", "-q", *words, env=quiet)
        assert done.returncode == 0, done.stderr[-2000:]
    machine.boot()
    return machine


def dpkg(machine, *words):
    done = machine.run("dpkg", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def paths(machine):
    found = set()
    for path in machine.root.rglob("*"):
        name = str(path.relative_to(machine.root))
        if not name.startswith(NOT_OURS) or "gotunnel" in name and not name.startswith(("var/lib/dpkg", "var/log", "proc", "tmp", "run")):
            found.add(name)
    return found


def install_server(machine, port, public):
    dpkg(machine, "-i", "/gotunnel.deb")
    assert machine.units == {}  # nothing is started by itself
    etc = machine.root / "etc/gotunnel"
    (etc / "server.env").write_text(f"SECRET_OPTION=\nOPTIONS=-listen 127.0.0.1:{port} -public-bind 127.0.0.1\n")
    assert machine.run("systemctl", "enable", SERVER).returncode == 0
    assert machine.run("systemctl", "start", SERVER).returncode == 0, machine.log(SERVER)
    made = machine.run("gotunnel", "clients", "add", "home", "-ports", public, "-public", f"127.0.0.1:{port}", cwd="/root")
    assert "the running server knows it" in made.stdout, made.stdout + made.stderr
    return (machine.root / "root/home.join").read_text()


def install_client(machine, join, public, target):
    dpkg(machine, "-i", "/gotunnel.deb")
    etc = machine.root / "etc/gotunnel"
    (etc / "home.join").write_text(join)
    (etc / "home.join").chmod(0o600)
    (etc / "home.env").write_text(f"OPTIONS=-remote-port {public} -local-target 127.0.0.1:{target}\n")
    assert machine.run("systemctl", "enable", CLIENT).returncode == 0
    assert machine.run("systemctl", "start", CLIENT).returncode == 0, machine.log(CLIENT)
    wait_for("the tunnel", lambda: works(public))


class Visitors:
    """Somebody new every moment; how long the worst one has tried until he was served."""

    def __init__(self, public):
        self.public, self.worst, self.served = public, 0.0, 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        since = time.monotonic()
        while not self.stop.wait(0.02):
            try:
                good = works(self.public, timeout=2)
            except OSError:
                good = False
            now = time.monotonic()
            if good:
                self.worst, self.served, since = max(self.worst, now - since), self.served + 1, now

    def end(self):
        before = self.served
        wait_for("visitors to be served", lambda: self.served > before + 2)
        self.stop.set()
        self.thread.join()


def upgrade(machine, later, unit, public):
    """With visitors, a connection that says its last words while the program stops, and one that never would."""
    old = machine.units[unit].popen
    shutil.copy(later, machine.root / "later.deb")
    with connect(public) as polite, connect(public) as idle:
        for s in (polite, idle):
            s.sendall(b"before")
            assert services.read_exactly(s, 6) == b"before"
        visitors = Visitors(public)
        thread = threading.Thread(target=dpkg, args=(machine, "-i", "/later.deb"))
        thread.start()
        wait_for("the stop", lambda: any("try-restart" in call for call in machine.calls))
        polite.sendall(b"and the last words")
        assert services.read_exactly(polite, 18) == b"and the last words"
        polite.close()
        idle.settimeout(60)
        try:
            assert idle.recv(1) == b""
        except ConnectionResetError:
            pass
        thread.join()
    visitors.end()
    assert old.poll() == 0  # it ended as asked
    assert machine.units[unit].popen.pid != old.pid
    assert "+later" in machine.run("dpkg-query", "-W", "gotunnel").stdout
    print(f"{unit}: the worst visitor waited {visitors.worst:.1f} s, {visitors.served} were served")
    assert visitors.worst <= WAIT_SECONDS


def test_install_upgrade_and_purge(suite):
    tar, package, later = suite
    port, public = free_port(), free_port()
    with services.Service(services.echo) as echo, begin(tar, package) as server, begin(tar, package) as client:
        clean = {machine: paths(machine) for machine in (server, client)}
        join = install_server(server, port, public)
        install_client(client, join, public, echo.port)
        upgrade(server, later, SERVER, public)
        upgrade(client, later, CLIENT, public)
        # What `gotunnel service install` makes goes, too.
        started = client.run("sh", "-c", f"cd /root && timeout 20 gotunnel up -listen 127.0.0.1:{free_port()}; gotunnel service install server")
        assert "gotunnel-server runs now" in started.stdout, started.stdout + started.stderr
        for machine in (client, server):
            dpkg(machine, "--remove", "gotunnel")
            assert machine.units == {}
            assert any(name.startswith("etc/gotunnel/") for name in paths(machine))  # until a purge
            dpkg(machine, "--purge", "gotunnel")
            left = {name for name in paths(machine) - clean[machine] if not name.startswith("root/")}
            assert left == {"later.deb"}  # what a user has made in his home stays
            assert "gotunnel" not in (machine.root / "etc/passwd").read_text() + (machine.root / "etc/group").read_text()
