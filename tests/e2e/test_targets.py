# SPDX-License-Identifier: MIT
"""Targets of a tunnel: unix sockets, and several addresses of which the first that answers is used."""

import http.client
import http.server
import os
import shutil
import signal
import socket
import socketserver
import tempfile
import threading
from pathlib import Path

import pytest

from lib.cutter import Cutter
from lib.keyed import Keyed
from lib.procs import PROGRAM, SANDBOX, SECRET, wait_for
from lib.programs import nginx
from lib.services import Service, connect, free_port, in_threads, pattern, read_all

pytestmark = pytest.mark.patient


@pytest.fixture
def run():
    """A folder with a short path: that of a socket has 107 bytes at most."""
    folder = Path(tempfile.mkdtemp(prefix="gt-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def named(word, **how):
    """A service that says its name, and ends."""
    return Service(lambda s: s.sendall(word.encode()), **how)


def answer(port):
    """What the service behind a public port says: nothing if there is none."""
    try:
        with connect(port) as s:
            return read_all(s).decode()
    except OSError:
        return ""


def get(port, path="/"):
    page = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    page.request("GET", path)
    return page.getresponse().read()


class Pages(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"you asked for {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass


# ---- unix sockets ----


def test_a_web_server_on_a_unix_socket(lab, run):
    """Python's, with a queue of five; the target stands in the log, in status and in check as it was written."""
    target = f"unix:{run}/web.sock"
    server = lab.server()
    with Pages(f"{run}/web.sock", Page) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        client = lab.client(server, target)
        in_threads([lambda i=i: check_page(client.port, f"/{i}") for i in range(40)])
        pages.shutdown()
    client.kill(signal.SIGUSR1)
    client.wait_log(f"-> remote port :0 -> local target {target}\n")
    client.wait_log(f"of 127.0.0.1 -> local target {target}\n")
    assert "cannot connect" not in client.log()


def check_page(port, path):
    assert get(port, path) == f"you asked for {path}".encode()


def test_nginx_on_a_unix_socket(lab, run):
    big = pattern("big", 3_000_000)
    server = lab.server()
    nginx(lab, {"big": big}, path=run / "nginx.sock")
    client = lab.client(server, f"unix:{run}/nginx.sock")
    assert get(client.port, "/big") == big


def test_connections_to_a_unix_socket_survive_a_cut(lab, run):
    server = lab.server()
    with Cutter(server.port) as link, Keyed(10, path=run / "keyed.sock") as load:
        client = lab.client(link.port, f"unix:{run}/keyed.sock", ca=server.ca)
        load.start(client.port)
        for kind in ("reset", "forget"):
            link.cut(kind)
            load.mark()
            link.heal()
            load.wait_moved(60)
        load.check()
        assert load.finish() > 0


def test_a_burst_of_users_at_a_short_queue(lab, run):
    """The kernel refuses at once who finds the queue of a unix socket full, and would let him wait with TCP."""
    server = lab.server()
    with named("red", path=run / "red", backlog=1):
        client = lab.client(server, f"unix:{run}/red")
        said = []
        in_threads([lambda: said.append(answer(client.port)) for _ in range(60)])
    assert said == ["red"] * 60
    assert "cannot connect" not in client.log()


WORDS = {
    "C.UTF-8": ("cannot connect to the local target unix:{0}: ",
                "there is no such socket: does its program run, and is the path right? (No such file or directory)",
                "nothing listens on it: does its program run? (Connection refused)",
                "this program may not use it: its user needs to write to the socket, and to pass through all folders above "
                "(Permission denied)",
                "its queue is full, and nobody was taken from it: is its program busy? (Resource temporarily unavailable)"),
    "zh_CN.UTF-8": ("无法建立到本地目标的连接 unix:{0}: ",
                    "没有这个套接字：请检查它的程序是否在运行，路径是否正确（No such file or directory）",
                    "没有程序在监听它：请检查它的程序是否在运行（Connection refused）",
                    "本程序无权使用它：运行本程序的用户要能写这个套接字，并能进入它上面的每一层目录（Permission denied）",
                    "它的队列已满，一直没有连接被接受：它的程序是否太忙（Resource temporarily unavailable）"),
}


@pytest.mark.parametrize("language", WORDS)
def test_why_a_unix_socket_is_out_of_reach(lab, run, language):
    path = run / "sock"
    prefix, missing, unheard, forbidden, full = WORDS[language]
    prefix = prefix.format(path)
    server = lab.server()
    client = lab.client(server, f"unix:{path}", env={"LC_ALL": language})
    assert answer(client.port) == ""
    client.wait_log(prefix + missing)
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    wait_for_words(client, prefix + unheard)
    dead.listen(0)
    full_up = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for s in full_up:
        s.setblocking(False)
        s.connect_ex(str(path))
    wait_for_words(client, prefix + full)
    path.chmod(0)
    if os.geteuid() or SANDBOX == "require":  # root may write to everything, but not in the cage
        wait_for_words(client, prefix + forbidden)
    for s in (dead, *full_up):
        s.close()


def wait_for_words(client, words):
    """One line a second is written at most: users come until there is the one."""
    wait_for(words, lambda: answer(client.port) == "" and words in client.log(), step=0.3)


@pytest.mark.parametrize("language,words", [
    ("C.UTF-8", "it is the control socket of this client"), ("zh_CN.UTF-8", "它是本客户端自己的控制套接字")])
def test_the_own_control_socket_is_no_target(lab, run, language, words):
    """A public port to it would let everybody stop the client. Neither by another way to it."""
    (run / "other").symlink_to(run)
    (run / "link").symlink_to(run / "ctl")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{run}/ctl")  # as by a process that is gone
    server = lab.server()
    for path in (f"{run}/ctl", f"/{run}//ctl", f"{run}/other/ctl", f"{run}/link"):
        target = f"127.0.0.1:1,unix:{path}"
        done = lab.run("client", "-server", f"127.0.0.1:{server.port}", "-secret", SECRET, "-ca", server.ca, "-control",
                       f"{run}/ctl", "-local-target", target, env={"LC_ALL": language})
        assert done.returncode == 1 and f"-local-target '{target}': {words}" in done.stderr, done.stderr


def test_no_usual_place_of_a_control_socket_is_a_target(lab):
    """Of `gotunnel up`: beside the certificates, also through a link. In another folder it may be anybody's."""
    server = lab.server()
    (lab.path / "link").symlink_to(lab.path / "control")

    def said(path):
        done = lab.run("client", "-once", "-server", f"127.0.0.1:{free_port()}", "-secret", SECRET, "-ca", server.ca, "-local-target",
                       f"unix:{path}")
        return done.stdout + done.stderr

    words = "it is a control socket of gotunnel"
    (lab.path / "control").touch()
    assert words in said(lab.path / "control") and words in said(lab.path / "link")
    (lab.path / "elsewhere").mkdir()
    assert words not in said(lab.path / "elsewhere/control")


# ---- several addresses ----


def test_the_first_that_answers_is_used(lab, run):
    """... and the next connections begin with it."""
    first, other = free_port(), run / "other"
    target = f"127.0.0.1:{first},unix:{other}"
    server = lab.server()
    with named("other", path=other):
        client = lab.client(server, target)
        assert answer(client.port) == "other"
        client.wait_log(f"local target {target}: connections go to unix:{other} now")
        with named("first", port=first):
            assert answer(client.port) == "other"
    with named("first", port=first):
        assert answer(client.port) == "first"
        wait_for("the log to say so", step=0.3, check=lambda: answer(client.port) == "first" and
                 f"local target {target}: connections go to 127.0.0.1:{first} now" in client.log())
    wait_for_words(client, f"cannot connect to the local target {target}: none of its addresses answers; the last one, "
                          f"unix:{other}: nothing listens on it")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_name_with_two_addresses(lab, host):
    """A service of which only one address of `localhost` knows."""
    found = {a[4][0] for a in socket.getaddrinfo("localhost", 1, type=socket.SOCK_STREAM)}
    if host not in found:
        pytest.skip(f"localhost is not {host} here")
    server = lab.server()
    with named("here", host=host) as service:
        client = lab.client(server, f"localhost:{service.port}")
        assert answer(client.port) == "here"


# ---- files ----


def test_a_file_with_lists_and_a_reload(lab, run):
    """In the cage, which was made before anybody spoke of a unix socket."""
    server = lab.server()
    file = lab.path / "client.yaml"

    def put(target):
        file.write_text(f"server: 127.0.0.1:{server.port}\nsecret: {SECRET}\nca: {server.ca}\ntunnels:\n"
                        f"  - name: web\n    port: 0\n    target: {target}\n")
        file.chmod(0o600)

    with named("red") as red, named("blue", path=run / "blue"):
        put(f"127.0.0.1:{red.port}")
        client = lab.start("client", PROGRAM, "client", "-config", file)
        port = lab.port_of(client)
        assert answer(port) == "red"
        put(f"['127.0.0.1:{free_port()}', 'unix:{run}/blue']")
        assert f"unix:{run}/blue (tunnel web)" in lab.run("check", file).stdout
        client.kill(signal.SIGHUP)
        wait_for("the new target", lambda: answer(port) == "blue")
        assert lab.run("check", file).returncode == 0
        put("unix:blue")
        done = lab.run("check", file)
        assert done.returncode == 2
        assert f"{file}:7:13: target: a unix socket needs its whole path, like unix:/run/web.sock" in done.stdout + done.stderr
        client.kill(signal.SIGHUP)
        client.wait_log("the running configuration stays")
        assert answer(port) == "blue"


def test_join_takes_them(lab, run):
    """An @ with digits behind it is the public port's, another one the path's."""
    (lab.path / "clients").mkdir(mode=0o700)
    server = lab.server()
    done = lab.run("clients", "add", "nas", "-state", lab.path, "-public", f"127.0.0.1:{server.port}", "-ports", "0-65535")
    assert done.returncode == 0, done.stderr
    server.kill(signal.SIGHUP)
    server.wait_count("clients with a key in", 2)
    public = free_port()
    with named("red", path=run / "a@b"), named("blue", path=run / "c@80"):
        client = lab.start("client", PROGRAM, "join", (lab.path / "nas.join").read_text().strip(),
                           f"red=unix:{run}/a@b@{public}", f"blue={free_port()},unix:{run}/c@80@0")
        blue = int(client.match(r"tunnel 'blue': tcp://\S*:(\d+) -> 127.0.0.1:\d+,unix:\S+/c@80\n").group(1))
        client.wait_log(f"tunnel 'red': tcp://127.0.0.1:{public} -> unix:{run}/a@b\n")
        assert (answer(public), answer(blue)) == ("red", "blue")
