# SPDX-License-Identifier: MIT
"""Starting, stopping, dying, coming back, and what it costs to wait."""

import os
import pty
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from lib import services
from lib.procs import PROGRAM, RELEASE_ONLY, SECRET, rest, wait_for
from lib.services import connect, free_port, pattern, read_all, read_exactly, works



def listens(port):
    try:
        connect(port, 5).close()
        return True
    except OSError:
        return False


# ---- dying and coming back ----


def test_kill_9_of_the_client_and_its_restart_d6_d7(lab, echo):
    """A FIN without a word may be a proxy's: the session waits for its window. The next start of the client, which
    has its id, takes its place and its port at once; its user is reset then."""
    port = free_port()
    server = lab.server()
    client = lab.client(server, echo.port, remote_port=port)
    with connect(port) as s:
        s.sendall(b"x")
        assert read_exactly(s, 1) == b"x"
        client.kill()
        server.wait_log("the connection broke")
        lab.client(server, echo.port, remote_port=port)
        assert works(port)
        with pytest.raises(ConnectionResetError):
            s.recv(1)


@pytest.mark.patient
def test_kill_9_of_a_client_gives_its_port_to_another_id(lab, echo):
    """Without running connections from 10 s after the break."""
    port = free_port()
    server = lab.server()
    client = lab.client(server, echo.port, remote_port=port)
    began = time.monotonic()
    client.kill()
    server.wait_log("the connection broke")
    lab.client(server, echo.port, remote_port=port, ready=False, flags=("-id", "another"))
    wait_for("the port", lambda: works(port, 5), timeout=60)
    assert time.monotonic() - began > 9


def test_kill_9_of_the_server_and_its_restart(lab, echo):
    tunnel_port, port = free_port(), free_port()
    server = lab.server(listen=f"127.0.0.1:{tunnel_port}")
    client = lab.client(server, echo.port, remote_port=port)
    for _ in range(3):
        assert works(port)
        server.kill()
        server = lab.server(listen=f"127.0.0.1:{tunnel_port}")
        wait_for("the tunnel to be back", lambda: works(port, 5))


def test_a_client_waits_for_its_server(lab, echo):
    tunnel_port, port = free_port(), free_port()
    maker = lab.server()
    client = lab.client(tunnel_port, echo.port, ca=maker.ca, remote_port=port, ready=False)
    assert "connection refused" in client.wait_log("retrying in").lower()
    lab.server(listen=f"127.0.0.1:{tunnel_port}")
    wait_for("the tunnel", lambda: works(port, 5))


def test_restart_of_the_client(lab, echo):
    port = free_port()
    server = lab.server()
    for _ in range(3):
        client = lab.client(server, echo.port, remote_port=port)
        assert works(port)
        client.kill(signal.SIGTERM)
        assert client.wait() == 0
    server.kill(signal.SIGTERM)
    assert server.wait() == 0
    assert "Address already in use" not in server.log()


def test_a_port_that_is_taken_is_had_when_it_is_free(lab, echo):
    port = free_port()
    server = lab.server()
    first = lab.client(server, echo.port, remote_port=port)
    second = lab.client(server, echo.port, remote_port=port, ready=False, flags=("-id", "other"))
    second.wait_log(f"public port {port} is in use by a client with another id")
    assert works(port)
    first.kill(signal.SIGTERM)
    second.wait_log("the server listens on")
    wait_for("the second client's tunnel", lambda: works(port, 5))


def test_many_clients_each_with_its_port(lab, echo):
    server = lab.server()
    clients = [lab.client(server, echo.port) for _ in range(8)]
    assert len({c.port for c in clients}) == 8
    clients[3].kill()
    for c in clients:
        if c is not clients[3]:
            assert works(c.port)


def test_a_frozen_client_does_not_hold_up_others(lab, echo):
    server = lab.server()
    frozen, other = lab.client(server, echo.port), lab.client(server, echo.port)
    frozen.kill(signal.SIGSTOP)
    users = [connect(frozen.port) for _ in range(50)]
    for s in users:
        s.sendall(b"x" * 10000)
    assert works(other.port)
    frozen.kill(signal.SIGCONT)
    for s in users:
        assert read_exactly(s, 10000) == b"x" * 10000
        s.close()


# ---- stopping ----


def download(n, gate):
    """A service whose answer is long enough to be stopped in."""

    def serve(s):
        s.recv(100)
        s.sendall(pattern("slow", n // 2))
        gate.wait(60)
        s.sendall(pattern("slow", n)[n // 2 :])

    return serve


@pytest.mark.parametrize("who", ["server", "client"])
def test_running_connections_finish_d29(lab, who):
    gate = threading.Event()
    with services.Service(download(200000, gate)) as service:
        t = lab.tunnel(service.port)
        with connect(t.port) as s:
            s.sendall(b"go")
            got = read_exactly(s, 50000)
            process = getattr(t, who)
            process.kill(signal.SIGTERM)
            process.wait_log("stopping")
            if who == "server":
                wait_for("no new users", lambda: not listens(t.port))
            assert process.alive()
            gate.set()
            assert got + read_all(s) == pattern("slow", 200000)
        assert process.wait() == 0


@pytest.mark.parametrize("who", ["server", "client"])
def test_a_second_signal_ends_at_once_d29(lab, who):
    gate = threading.Event()
    with services.Service(download(200000, gate)) as service:
        t = lab.tunnel(service.port)
        with connect(t.port) as s:
            s.sendall(b"go")
            read_exactly(s, 50000)
            process = getattr(t, who)
            process.kill(signal.SIGINT)
            process.wait_log("stopping")
            process.kill(signal.SIGINT)
            assert process.wait() == 0
            with pytest.raises(ConnectionResetError):  # cut, and it shows
                read_all(s)
        gate.set()


def test_stopping_with_nothing_to_do_is_immediate(lab):
    server = lab.server()
    client = lab.client(free_port(), 1, ca=server.ca, ready=False)
    client.wait_log("retrying in")
    for p in (client, server):
        p.kill(signal.SIGTERM)
        assert p.wait(20) == 0  # not after the 30 s of -drain


# ---- users and targets that vanish ----


def keepalive_timers(lines):
    return ["timer:(keepalive" in line for line in lines.splitlines()]


def sockets(*filter):
    """Established connections as ss shows them, with their timers."""
    return subprocess.run(["ss", "-tnoH", "state", "established", *filter], check=True, capture_output=True,
                          text=True).stdout


@pytest.mark.parametrize("host, watched", [("127.0.0.1", False), ("127.1", True)])
def test_who_can_vanish_without_a_word_is_asked_now_and_then(lab, echo, host, watched):
    """Users always; a target unless it is known to be on this machine (127.1 is, but does not look it)."""
    server = lab.server()
    client = lab.client(server, f"{host}:{echo.port}")
    with connect(client.port) as s:
        s.sendall(b"a")
        assert read_exactly(s, 1) == b"a"
        wait_for("nothing but keepalive timers",
                 lambda: keepalive_timers(sockets("sport", "=", f":{client.port}")) == [True])
        wait_for("the target's timer", lambda: keepalive_timers(sockets("dport", "=", f":{echo.port}")) == [watched])


@pytest.mark.parametrize("who", ["server", "client"])
def test_what_a_killed_program_cut_does_not_look_complete(lab, who):
    """Neither the user nor the service may take the death of a tunnel end for an end of file."""
    service = socket.create_server(("127.0.0.1", 0))
    server = lab.server()
    client = lab.client(server, service.getsockname()[1])
    with connect(client.port) as user, service:
        target, _ = service.accept()
        target.sendall(b"the first half")
        assert read_exactly(user, 14) == b"the first half"
        {"server": server, "client": client}[who].kill()
        end = user if who == "server" else target
        end.settimeout(20)
        with pytest.raises(ConnectionResetError):
            end.recv(1)
        target.close()


# ---- descriptors and memory ----


def test_at_the_descriptor_limit_d22(lab, echo):
    server = lab.server(threads=1, flags=("-log-level", "debug"), wrapper=("prlimit", "--nofile=64:64"))
    client = lab.client(server, echo.port)
    most = int(server.match(r"up to (\d+) connections").group(1))
    assert 16 <= most < 64
    with connect(client.port) as first:
        first.sendall(b"a")
        assert read_exactly(first, 1) == b"a"
        crowd = [connect(client.port) for _ in range(100)]
        server.wait_log("some are left to others")
        before = server.cpu_seconds()
        time.sleep(2)
        assert server.cpu_seconds() - before < 1  # it waits, it does not spin
        first.sendall(b"b")
        assert read_exactly(first, 1) == b"b"
        for s in crowd:
            s.close()
    wait_for("new users to be served", lambda: works(client.port, 5))
    server.kill(signal.SIGTERM)
    assert server.wait(20) == 0
    assert server.log().count("some are left to others") == 1  # not for each who leaves


@pytest.mark.parametrize("limit", [32, 256, 1024])
def test_any_limit_is_started_with(lab, echo, limit):
    server = lab.server(wrapper=("prlimit", f"--nofile={limit}:{limit}"), threads=None, flags=("-log-level", "debug"))
    client = lab.client(server, echo.port, wrapper=("prlimit", f"--nofile={limit}:{limit}"))
    server.wait_log(f"descriptor limit {limit}")
    assert "descriptor limit" not in client.log()  # only for who looks for it
    assert works(client.port)


def test_a_limit_that_allows_nothing_is_one_clear_error(lab):
    server = lab.server()
    done = lab.run("client", "-server", f"127.0.0.1:{server.port}", "-secret", "x", "-ca", server.ca,
                   wrapper=("prlimit", "--nofile=6:6"), env={"ASAN_OPTIONS": "detect_leaks=0"})
    assert done.returncode == 1
    assert "descriptor limit is too low" in done.stderr and done.stderr.count("\n") == 1


@RELEASE_ONLY
@pytest.mark.serial
def test_idle_connections_cost_less_than_a_kilobyte(lab, echo):
    n = 4000
    t = lab.tunnel(echo.port)
    assert t.server.status("VmRSS") < 8192 * 1.5 and t.client.status("VmRSS") < 8192 * 1.5
    warm = [connect(t.port) for _ in range(200)]
    for s in warm:
        s.sendall(b"x")
        read_exactly(s, 1)
    before = [p.status("RssAnon") for p in (t.server, t.client)]
    users = []
    for _ in range(n):
        s = connect(t.port)
        s.sendall(b"x")
        assert read_exactly(s, 1) == b"x"
        users.append(s)
    after = [p.status("RssAnon") for p in (t.server, t.client)]
    for a, b in zip(after, before):
        assert (a - b) * 1024 / n < 1024
    for s in users + warm:
        s.close()


# ---- files that cannot be written ----


def in_small_disk(size, script):
    """A wrapper that runs the program with a tmpfs at ./disk, in a mount namespace of its own."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("no user namespaces here (forbidden, or a chroot)")
    return ("unshare", "-rm", "sh", "-c",
            f'mkdir -p disk && mount -t tmpfs -o size={size} none disk && {script} "$@"; r=$?; '
            'ls -A disk disk/certs 2>/dev/null; exit $r', "sh")


def test_a_full_disk_leaves_no_certificates(lab):
    done = lab.run("server", "-secret", "x", "-listen", "127.0.0.1:0", "-certs", "disk/certs",
                   wrapper=in_small_disk("12k", ""))
    assert done.returncode == 1
    assert "No space left on device" in done.stderr or "disk" in done.stderr
    for name in ("ca.crt", "ca.key", "server.crt", "server.key"):
        assert name not in done.stdout


def test_a_read_only_directory_is_said(lab):
    done = lab.run("server", "-secret", "x", "-listen", "127.0.0.1:0", "-certs", "disk/certs",
                   wrapper=in_small_disk("1m", "mount -o remount,ro disk;"))
    assert done.returncode == 1
    assert "disk/certs" in done.stderr and "Read-only file system" in done.stderr
    assert done.stderr.count("\n") == 1


def spoil(path, how):
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_text("")
    elif how == "garbage":
        path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    elif how == "open":
        path.chmod(0o644)


@pytest.mark.parametrize("name,how", [
    ("ca.crt", "missing"), ("ca.crt", "empty"), ("ca.crt", "garbage"), ("server.crt", "garbage"),
    ("server.key", "missing"), ("server.key", "empty"),
    ("server.key", "open"), ("ca.key", "open"), ("ca.key", "garbage")])
def test_spoiled_certificates_are_refused_in_one_line_d26(lab, name, how):
    server = lab.server()
    server.kill(signal.SIGTERM)
    assert server.wait() == 0
    path = lab.path / "certs" / name
    others = {p.name: p.read_bytes() for p in (lab.path / "certs").iterdir() if p.name != name}
    spoil(path, how)
    done = lab.run("server", "-secret", "x", "-listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and f"certs/{name}" in done.stderr, done.stderr
    for p in (lab.path / "certs").iterdir():  # nothing was overwritten (D26)
        if p.name in others:
            assert p.read_bytes() == others[p.name]


def test_certificates_are_private_and_kept(lab):
    server = lab.server()
    certs = lab.path / "certs"
    assert certs.stat().st_mode & 0o777 == 0o700
    for key in ("ca.key", "server.key"):
        assert (certs / key).stat().st_mode & 0o777 == 0o600
    before = {p.name: p.read_bytes() for p in certs.iterdir()}
    assert set(before) >= {"ca.crt", "ca.key", "server.crt", "server.key"}
    server.kill(signal.SIGTERM)
    server.wait()
    lab.server()
    assert {p.name: p.read_bytes() for p in certs.iterdir()} == before


def test_a_directory_of_the_original_loads(lab, echo):
    old = lab.server(impl="go16")
    old.kill()
    server = lab.server()
    client = lab.client(server, echo.port, impl="go16")
    assert works(client.port)


def test_the_original_loads_a_directory_of_ours(lab, echo):
    lab.server().kill()
    server = lab.server(impl="go16")
    client = lab.client(server, echo.port)
    assert works(client.port)


def test_certs_in_another_directory(lab, echo):
    (lab.path / "some").mkdir()
    server = lab.server(flags=("-certs", "some/where"))
    server.ca = lab.path / "some/where/ca.crt"
    assert works(lab.client(server, echo.port).port)


# ---- the secret ----


def hidden(process, secret):
    """The secret stands neither in the command line nor in the environment of a process."""
    for name in ("cmdline", "environ"):
        with open(f"/proc/{process.pid}/{name}", "rb") as f:
            if secret.encode() in f.read():
                return False
    return True


def test_a_secret_in_argv_is_overwritten_d13(lab, echo):
    t = lab.tunnel(echo.port)
    assert hidden(t.server, SECRET) and hidden(t.client, SECRET)
    assert works(t.port)


def test_secrets_from_file_and_environment_d13(lab, echo):
    secret = "from-somewhere-else-0123456789"
    path = lab.path / "secret"
    path.write_text(secret + "\n")
    path.chmod(0o600)
    server = lab.server(secret=None, flags=("-secret-file", path))
    server.secret = secret
    client = lab.start("client", PROGRAM, "client", "-server", f"127.0.0.1:{server.port}", "-ca", server.ca,
                       "-remote-port", "0", "-local-target", f"127.0.0.1:{echo.port}",
                       env={"GOTUNNEL_SECRET": secret})
    assert works(lab.port_of(client))
    assert hidden(client, secret) and hidden(server, secret)
    assert secret not in server.log() + server.stdout() + client.log()


def test_secret_on_standard_input(lab):
    with subprocess.Popen(["printf", "piped-secret"], stdout=subprocess.PIPE) as source:
        server = lab.server(secret=None, flags=("-secret-file", "-"), stdin=source.stdout)
    server.secret = "piped-secret"
    from lib import wire
    with wire.dial(server.port, server.ca) as w:
        w.login("piped-secret")


def test_a_flag_wins_over_the_file_and_the_file_over_the_environment(lab):
    from lib import wire
    path = lab.path / "secret"
    path.write_text("of-the-file")
    path.chmod(0o600)
    env = {"GOTUNNEL_SECRET": "of-the-environment"}
    for i, (secret, flags, wins) in enumerate([
            ("of-the-flag", ("-secret-file", path), "of-the-flag"),
            (None, ("-secret-file", path), "of-the-file"), (None, (), "of-the-environment")]):
        server = lab.server(secret=secret, flags=flags, env=env)
        with wire.dial(server.port, server.ca) as w:
            w.login(wins)


@pytest.mark.parametrize("content,mode,word", [
    (b"s", 0o644, "chmod 600"), (b"", 0o600, "empty"), (b"\n", 0o600, "empty"),
    (b"a\0b", 0o600, "zero byte"), (b"a\nb", 0o600, "secret has a line feed in it: a secret is one line"), (b"x" * 5000, 0o600, "4095"),
    (None, 0, "No such file")])
def test_secret_files_that_are_not_taken(lab, content, mode, word):
    path = lab.path / "secret"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    done = lab.run("server", "-secret-file", path, "-listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert word in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (lab.path / "certs").exists()


def test_the_banner_shows_the_secret_on_a_terminal_only_d9(lab):
    server = lab.server()
    wait_for("the banner", lambda: "-ca ./ca.crt" in server.stdout())
    wait_for("the certificate", lambda: "BEGIN CERTIFICATE" in server.stdout())
    server.wait_log("-secret: ")  # the line about it, which does not show it either
    assert SECRET not in server.stdout() + server.log()
    master, slave = pty.openpty()
    p = subprocess.Popen([PROGRAM, "server", "-secret", SECRET, "-listen", "127.0.0.1:0"], cwd=lab.path,
                         stdout=slave, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    os.close(slave)
    shown = b""
    try:
        while b"\n====" not in shown[100:]:
            shown += os.read(master, 65536)
    finally:
        rest(p)
        p.terminate()
        assert p.wait(30) == 0
        os.close(master)
    assert SECRET.encode() in shown


def test_a_wrong_secret_is_told_on_both_sides_d15(lab, echo):
    server = lab.server()
    client = lab.client(server, echo.port, secret="wrong", ready=False)
    client.wait_log("ERROR: Invalid Secret")
    server.wait_log("event=auth_failed src=127.0.0.1 ")
    wait = float(client.match(r"retrying in ([\d.]+)").group(1))
    assert wait >= 2  # a rejection is not an outage
    assert "wrong" not in client.log() or SECRET not in client.log()


# ---- addresses ----


def test_ipv6_and_names(lab, echo):
    server = lab.server(listen="[::1]:0")
    with services.Service(services.echo, host="::1") as six:
        for target in (f"[::1]:{six.port}", f"localhost:{echo.port}"):
            client = lab.start("client", PROGRAM, "client", "-server", f"[::1]:{server.port}", "-secret", SECRET,
                               "-ca", server.ca, "-remote-port", "0", "-local-target", target)
            public = lab.port_of(client)
            assert works(public)
            with socket.create_connection(("::1", public), 60) as s:  # dual-stack
                s.sendall(b"six")
                assert read_exactly(s, 3) == b"six"


def test_allowed_ports_d27(lab, echo):
    port = free_port()
    server = lab.server(flags=("-allow-ports", f"{port},1-2"))
    assert works(lab.client(server, echo.port, remote_port=port).port)
    for port, says in ((free_port(), "not in the server's -allow-ports"),
                       (0, "the server allows no free choice of a port")):
        other = lab.client(server, echo.port, remote_port=port, ready=False)
        other.wait_log(f"public port {port}: {says}")
        server.wait_log(f"is refused: public port {port}: {says}")
        old = lab.client(server, echo.port, remote_port=port, ready=False, impl="go16")
        old.wait_log("bind: permission denied")


@pytest.mark.parametrize("value", ["1.2.3.4", "x:y:z", "host:99999", "[::1]"])
def test_addresses_that_are_none(lab, value):
    server = lab.server()
    done = lab.run("client", "-server", value, "-secret", "x", "-ca", server.ca)
    assert done.returncode == 1 and f"-server '{value}': " in done.stderr
    done = lab.run("client", "-server", "127.0.0.1:1", "-secret", "x", "-ca", server.ca, "-local-target", value)
    assert done.returncode == 1 and f"-local-target '{value}': " in done.stderr


def test_a_listen_address_that_is_taken(lab):
    server = lab.server()
    done = lab.run("server", "-secret", "x", "-listen", f"127.0.0.1:{server.port}")
    assert done.returncode == 1
    assert "Address already in use" in done.stderr and str(server.port) in done.stderr


def test_an_unreadable_ca_fails_at_once(lab):
    done = lab.run("client", "-server", "127.0.0.1:1", "-secret", "x", "-ca", "nothing.crt")
    assert done.returncode == 1 and "nothing.crt" in done.stderr
    (lab.path / "bad.crt").write_text("hello\n")
    done = lab.run("client", "-server", "127.0.0.1:1", "-secret", "x", "-ca", "bad.crt")
    assert done.returncode == 1 and "bad.crt" in done.stderr


# ---- languages ----


def test_the_original_s_chinese_in_daily_life(lab, echo):
    env = {"LC_ALL": "zh_CN.UTF-8"}
    server = lab.server(env=env)
    client = lab.client(server, echo.port, env=env)
    for line in ("未找到 CA 证书，将生成新的 CA 和服务器证书...", "新证书生成成功！",
                 f"服务端模式：隧道监听于 127.0.0.1:{server.port}", "正在进行应用层 PSK 认证...",
                 "已通过 PSK 认证", "上监听，准备转发流量"):
        server.wait_log(line)
    for line in (f"客户端模式启动：目标服务端 127.0.0.1:{server.port} (安全)",
                 f"-> 远程端口 :0 -> 本地目标 127.0.0.1:{echo.port}", "正在尝试建立到服务端",
                 "TLS 连接成功，正在进行应用层 PSK 认证...", "PSK 认证成功！隧道已建立。",
                 "正在打开控制流以发送端口转发请求...", "服务端成功响应: 成功在",
                 "控制指令发送成功，开始监听并转发流量..."):
        client.wait_log(line)
    wait_for("the banner", lambda: "监听地址 (Listening on)" in server.stdout())
    server.kill(signal.SIGTERM)
    server.wait()
    client.wait_log("秒后重试...")
    client.kill(signal.SIGTERM)
    client.wait()


@pytest.mark.parametrize("env,word", [
    ({"LC_ALL": None, "LC_MESSAGES": None, "LANG": "zh_CN.UTF-8"}, "共享密钥"),
    ({"LC_ALL": None, "LC_MESSAGES": "zh_CN", "LANG": "C"}, "共享密钥"),
    ({"LC_ALL": "C", "LC_MESSAGES": "zh_CN", "LANG": "zh_CN"}, "shared secret"),
    ({"LC_ALL": None, "LC_MESSAGES": None, "LANG": "en_US.UTF-8"}, "shared secret"),
    ({"LC_ALL": None, "LC_MESSAGES": None, "LANG": None}, "shared secret")])
def test_how_the_language_is_chosen(lab, env, word):
    environ = {k: v for k, v in {**os.environ, **env}.items() if v is not None}
    done = subprocess.run([PROGRAM, "server", "-h"], env=environ, capture_output=True, timeout=60)
    assert done.returncode == 0 and word in done.stderr.decode()


def test_log_lines_have_the_original_s_form(lab):
    server = lab.server()
    for line in server.log().splitlines():
        assert re.match(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} \S", line), line


def test_log_levels(lab):
    quiet = lab.run("client", "-server", "127.0.0.1:1", "-secret", "x", "-ca", "no", "-log-level", "error")
    assert quiet.stderr.count("\n") == 1
    server = lab.server(flags=("-log-level", "debug"))
    from lib import wire
    with wire.dial(server.port, server.ca) as w:
        w.login(server.secret)
        server.wait_log("TLSv1.3")
