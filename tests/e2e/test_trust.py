# SPDX-License-Identifier: MIT
"""Files that decide about trust: whose they are, and who could change them. What needs other users is for root."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from lib.procs import PROGRAM, SECRET, Process
from lib.services import free_port

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs files of other users: run as root")
STRANGER = 12345
DOUBT = f"{STRANGER}), who can change it"


def give(path, uid):
    for p in [path, *path.rglob("*")]:
        os.chown(p, uid, uid)


def start(lab, cwd, *flags, env=None, wrapper=()):
    return lab.server(secret=None, flags=flags, cwd=cwd, wrapper=wrapper, env={"GOTUNNEL_SECRET": SECRET, **(env or {})})


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_root_refuses_planted_certificates(lab, server, mode):
    """In a folder that everybody can write; the one that planted them could pose as the server."""
    shared = lab.path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    shutil.copytree(lab.path / "certs", shared / "certs")
    give(shared / "certs", STRANGER)
    for env, words in (({}, ("certs belongs to another user", "chown 0")), ({"LC_ALL": "zh_CN.UTF-8"}, ("属于另一个用户", "chown 0"))):
        done = lab.run("server", "-secret", SECRET, "-listen", "127.0.0.1:0", cwd=shared, env=env)
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        assert all(w in done.stderr for w in words), done.stderr
    (lab.path / "certs/ca.crt").chmod(0o646)
    done = lab.run("client", "-server", "127.0.0.1:1", "-secret", SECRET, "-ca", lab.path / "certs/ca.crt")
    assert done.returncode == 1 and "certs/ca.crt can be written by other users (mode 0646)" in done.stderr


def test_sudo_in_ones_home(lab, echo):
    """Root's commands in a user's folder: it starts, says so once, and what it makes is the user's."""
    home = lab.path / "home"
    home.mkdir()
    os.chown(home, STRANGER, STRANGER)
    env = {"SUDO_UID": str(STRANGER), "XDG_STATE_HOME": str(home / ".local/state")}
    s = start(lab, home, env=env)
    lab.client(s, echo.port, ca=home / "certs/ca.crt", env=env, remote_port=free_port(), secret=SECRET)
    made = [*home.rglob("*")]
    assert {p.name for p in made} >= {"certs", "server.key", "client-id", "gotunnel"}
    assert {p.stat().st_uid for p in made} == {STRANGER}
    assert s.stop() == []
    if "chmod +t" not in s.log():  # a machine whose /tmp everybody can write has another warning
        assert s.log().count(DOUBT) == 1


def test_a_user_is_warned_where_the_original_would_start():
    """A home whose owner is somebody else: with the original's flags a warning, with ours a refusal."""
    place = Path(tempfile.mkdtemp(prefix="gotunnel-e2e-", dir=os.environ.get("TMPDIR", "/tmp")))
    program = shutil.copy(PROGRAM, place / "gotunnel")
    home = place / "home"
    home.mkdir()
    os.chown(place, STRANGER, STRANGER)
    os.chown(home, STRANGER + 1, STRANGER + 1)
    place.chmod(0o755)

    class Lab:
        path, processes = place, []
    as_user = ("setpriv", f"--reuid={STRANGER + 1}", f"--regid={STRANGER + 1}", "--clear-groups", program)
    try:
        p = Process(Lab, "server", (*as_user, "server", "-secret", SECRET, "-listen", "127.0.0.1:0"), cwd=home)
        p.match("the tunnel listens on")
        p.match(r"belongs to another user|chmod \+t")
        assert not p.stop()
        p = Process(Lab, "again", (*as_user, "server", "-secret", SECRET, "-listen", "127.0.0.1:0", "-certs", "./certs"),
                    cwd=home)
        assert p.wait() == 1
        assert f"belongs to another user (uid {STRANGER})" in p.log()
    finally:
        for p in Lab.processes:
            p.stop()
        shutil.rmtree(place)


def test_a_secret_of_a_container(lab):
    """0444, root's, on a read-only mount: taken, with a warning; the same where it can be written is refused."""
    run = lab.path / "secrets"
    run.mkdir()
    (run / "s").write_text(SECRET)
    (run / "s").chmod(0o444)
    done = lab.run("server", "-secret-file", run / "s", "-listen", "127.0.0.1:0")
    assert done.returncode == 1 and "chmod 600" in done.stderr
    mounted = ("unshare", "-m", "sh", "-c", f'mount --bind {run} {run} && mount -o remount,ro,bind {run} && exec "$@"', "sh")
    s = start(lab, lab.path, "-secret-file", run / "s", wrapper=mounted, env={"GOTUNNEL_SECRET": None})
    s.match(r"on a read-only mount|chmod \+t")
