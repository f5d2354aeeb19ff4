# SPDX-License-Identifier: MIT
"""Every command of the README and of the pages for operators is run as it stands there, in the order of its page: on two machines
(networks and mounts of their own) of which one is vps.example.com and the other has the services of the recipes. A block of
commands that cannot run here has a reason above it. Needs root."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from lib.procs import PATIENCE, PROGRAM, ROOT, SANDBOX, SANITIZED, wait_for

pytestmark = pytest.mark.patient

VPS = "203.0.113.5"
SERVICES = ("127.0.0.1:22", "127.0.0.1:3000", "127.0.0.1:25565", "192.168.1.10:5001", "192.168.1.10:5006")
REASONS = ("systemd", "tests/")  # what a reason for not running names: what is missing, or which test does it

# A service that answers what comes, and says its address. The first argument is a file that says that all listen.
SERVICE = """
import socket, sys, threading
def serve(s):
    while True:
        c, _ = s.accept()
        threading.Thread(target=answer, args=(c,), daemon=True).start()
def answer(c):
    with c:
        if c.getsockname()[1] == 22:
            c.sendall(b"SSH-2.0-here\\r\\n")
        if c.recv(4096):
            c.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nport %d\\n" % c.getsockname()[1])
threads = []
for word in sys.argv[2:]:
    host, port = word.rsplit(":", 1)
    threads.append(threading.Thread(target=serve, args=(socket.create_server((host, int(port))),)))
for t in threads:
    t.start()
open(sys.argv[1], "w").close()
"""


def blocks(page):
    """(reason why it is not run or None, [commands]) of each ```sh block."""
    text = (ROOT / page).read_text()
    for reason, body in re.findall(r"(?ms)(?:^<!-- not run: ([^\n]*?) -->\n\n)?^```sh\n(.*?)^```$", text):
        yield reason or None, [re.sub(r" +# .*$", "", line) for line in body.splitlines() if line.strip()]


class Machine:
    """A network, with /etc/hosts and /var/lib of its own; a folder of the test is the working directory."""

    def __init__(self, path, setup):
        self.path = path
        path.mkdir(mode=0o700)
        script = "mount --make-rprivate / && mount --bind ../hosts /etc/hosts && mount -t tmpfs tmpfs /var/lib && ip link set lo up && " + \
            f"{setup} && touch ../{path.name}.up && exec sleep 100000"
        self.holder = subprocess.Popen(["unshare", "-n", "-m", "sh", "-c", script], cwd=path, stdin=subprocess.DEVNULL)
        wait_for("the network", lambda: Path(f"{path}.up").exists() or self.holder.poll() is not None)
        assert self.holder.poll() is None

    def inside(self, command):
        return ["nsenter", f"--target={self.holder.pid}", "--net", "--mount", f"--wd={self.path}", *map(str, command)]

    def close(self):
        self.holder.kill()
        self.holder.wait()


class World:
    """The two machines, and the processes of one page."""

    def __init__(self, path):
        self.path, self.running, self.string = path, {}, None
        tools = path / "bin"
        tools.mkdir()
        (path / "hosts").write_text(f"127.0.0.1 localhost\n{VPS} vps.example.com www.example.com\n")
        # `gotunnel` as one types it; the cage is that of the tests where a page does not say.
        (tools / "gotunnel").write_text(
            f'#!/bin/sh\ncase "$*" in\n*-sandbox*) ;;\n"up "*|"server "*|"client "*) set -- "$@" -sandbox {SANDBOX} ;;\nesac\n'
            f'exec {PROGRAM} "$@"\n')
        (tools / "gotunnel").chmod(0o755)
        self.env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}:/usr/sbin", "HOME": str(path), "LC_ALL": "C.UTF-8",
                    "XDG_STATE_HOME": str(path / "state")}
        for name in ("GOTUNNEL_SECRET", "GOTUNNEL_JOIN", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET"):
            self.env.pop(name, None)
        self.server = Machine(path / "server", "true")
        self.client = Machine(path / "client", "ip addr add 192.168.1.10/32 dev lo && "
                              f"ip link add wire type veth peer name wire netns {self.server.holder.pid} && "
                              "ip addr add 203.0.113.77/24 dev wire && ip link set wire up")
        self.ends(f"ip addr add {VPS}/24 dev wire && ip link set wire up", self.server)
        self.start("services", ["/usr/bin/python3", "-c", SERVICE, path / "listening", *SERVICES], self.client)
        wait_for("the services", (path / "listening").exists)

    def start(self, role, command, machine):
        """What stays; the former one in the role is ended first."""
        self.end(role)
        out = self.path / f"{role}.log"
        with open(out, "wb") as f:
            self.running[role] = subprocess.Popen(machine.inside(command), env=self.env, stdin=subprocess.DEVNULL, stdout=f, stderr=f,
                                                  start_new_session=True)
        return out

    def end(self, role):
        p = self.running.pop(role, None)
        if p and p.poll() is None:
            os.killpg(p.pid, signal.SIGTERM)
            try:
                p.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()
                raise
            log = (self.path / f"{role}.log").read_text(errors="replace") if role in ("server", "client") else ""
            assert "Sanitizer" not in log and (not log or p.returncode == 0), log

    def stays(self, role, line, machine, ready):
        out = self.start(role, ["sh", "-c", f"exec {line}"], machine)
        found = wait_for(f"{ready!r} of {line}", lambda: re.search(ready, out.read_text()) or self.running[role].poll() is not None)
        assert found is not True, out.read_text()
        return found

    def ends(self, line, machine, status=0):
        done = subprocess.run(machine.inside(["bash", "-c", line]), env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE * 2)
        assert done.returncode == status, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    # ---- what pages do ----

    def up(self, line):
        """The server. Its string, the first time, goes to where its client is."""
        self.end("client")
        if SANITIZED:  # they look into their own process, which the cage forbids
            line = line.replace("-sandbox require", "-sandbox off")
        self.stays("server", line, self.server, r"\n\n  gotunnel ")
        made = self.server.path / "c1.join"
        if made.exists():
            made.rename(self.client.path / "c1.join")

    def there(self):
        if "server" not in self.running:
            self.up("gotunnel up -public vps.example.com")

    def join(self, line):
        """A client; each of its public addresses leads to the service that it names."""
        self.there()
        string = (self.client.path / "c1.join").read_text().strip()
        words = len(re.findall(r" (?:\w+=)?[\d.:]*\d+(?:@\d+)?(?= |$)", line))
        self.stays("client", line.replace("gt1_...", string), self.client, rf"(?ms)(?:^tcp://\S+ -> \S+\n.*){{{words}}}")
        found = re.findall(r"(?m)^tcp://vps\.example\.com:(\d+) -> ([\d.:]+)$", (self.path / "client.log").read_text())
        assert found
        for public, target in found:
            self.answers(public, target.split(":")[1])

    def answers(self, public, port):
        """Of the visitor's machine, or where only the server's own may: of that."""
        private = "-public-bind 127.0.0.1" in " ".join(self.running["server"].args)
        curl = f"curl -sS --http0.9 --max-time {PATIENCE} http://{'127.0.0.1' if private else 'vps.example.com'}:{public}/"
        assert f"port {port}\n" in self.ends(curl, self.server if private else self.client)

    def close(self):
        try:
            for role in [*self.running]:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.end(role)
        finally:  # also where one of them has not ended as it should
            self.client.close()
            self.server.close()


@pytest.fixture
def world(tmp_path):
    if os.geteuid() != 0 or subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True).returncode:
        pytest.skip("needs root: a network and mounts of its own")
    made = World(tmp_path)
    yield made
    made.close()


def at_server(w, line):
    w.there()
    w.ends(line, w.server)


def ssh(w, line):
    """The banner of the service has come through; a login would take an account called me."""
    assert shlex.split(line)[:3] == ["ssh", "-p", "2222"]
    assert "SSH-2.0-here" in w.ends("nc -w 5 vps.example.com 2222 </dev/null || true", w.client)


def from_file(w, line):
    """After -save: what join wrote, with a public port that stays."""
    before = (w.client.path / "client.yaml").read_text()
    w.stays("client", line, w.client, "the tunnel is up")
    assert "5001" in before and "client.join" in before
    w.answers(5001, 5001)


def fleet(w, line):
    w.there()
    w.ends(line, w.server)
    for n in ("001", "002", "003"):
        assert (w.server.path / f"device-{n}.join").stat().st_mode & 0o777 == 0o600
        shutil.copy(w.server.path / f"device-{n}.join", w.client.path)


CLIENT_YAML = "server: vps.example.com:7000\njoin-file: c1.join\ntunnels:\n- {port: 8080, target: ':3000'}\n"
SERVER_YAML = "listen: ':7000'\nallow-ports: 8000-8999\n"


def check(w, line):
    """Of a file as the page's reader has one."""
    w.there()
    if "client.yaml" in line:
        (w.client.path / "client.yaml").write_text(CLIENT_YAML)
        w.ends(line, w.client)
    else:
        w.ends(f"cd /var/lib/gotunnel && printf '%s' {shlex.quote(SERVER_YAML)} > server.yaml && {line}", w.server)


def nft(w, line):
    """On Debian's example, which drops what comes in."""
    w.there()
    if not w.ends("nft list tables", w.server):
        w.ends("nft 'add table inet filter'; nft 'add chain inet filter input { type filter hook input priority filter; policy drop; }'; "
               "nft add rule inet filter input ct state established,related accept", w.server)
        w.ends("nc -z -w 1 vps.example.com 7000", w.client, status=1)
    w.ends(line, w.server)


def nc(w, line):
    """7000 is open by the page's rules; at 8080 there is a tunnel."""
    if "client" not in w.running:
        w.join("gotunnel join gt1_... 3000@8080")
    w.ends(line, w.client)


def drain(w, line):
    at_server(w, line)
    w.running["old"] = w.running.pop("server")


def signals(w, line):
    w.there()
    w.ends(line, w.server)
    wait_for("the line of the totals", lambda: "status: " in (w.path / "server.log").read_text())


# The first that fits a command says how it is run.
HOW = (
    (r"gotunnel up ", lambda w, line: w.up(line)),
    (r"gotunnel join ", lambda w, line: w.join(line)),
    (r"gotunnel client -config ", from_file),
    (r"for n in .* gotunnel clients add ", fleet),
    (r"gotunnel clients ", at_server),
    (r"gotunnel status$", at_server),
    (r"gotunnel ctl drain", drain),
    (r"gotunnel ctl ", at_server),
    (r"gotunnel (?:check|doctor) \S+\.yaml$", check),
    (r"gotunnel doctor client ", lambda w, line: (w.there(), w.ends(line, w.client))),
    (r"gotunnel doctor server ", at_server),
    (r"gotunnel version$", lambda w, line: w.ends(line, w.client)),
    (r"ssh ", ssh),
    (r"nft ", nft),
    (r"nc ", nc),
    (r"ss |ulimit ", lambda w, line: w.ends(line, w.server)),
    (r"kill -USR1 ", signals),
    (r"tar ", lambda w, line: at_server(w, f"cd /var/lib/gotunnel && {line}")),
)


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{name}.md" for name in
                                                 ("troubleshooting", "firewall", "security", "upgrade", "performance"))])
def test_every_command_runs(world, page):
    count = 0
    for reason, commands in blocks(page):
        assert reason is None or any(r in reason for r in REASONS), f"{page}: why is it not run: {reason}?"
        for line in commands if reason is None else ():
            how = next((run for words, run in HOW if re.match(words, line)), None)
            assert how, f"{page}: nothing runs '{line}'"
            how(world, line)
            count += 1
    assert count >= 3


@pytest.mark.parametrize("page,field,least", [("troubleshooting.md", r"msgid(?:_plural)?", 12),
                                              ("troubleshooting.zh-CN.md", r"msgstr(?:\[0\])?", 5)])
def test_words_of_the_program_are_its_words(page, field, least):
    """What the page has in the first column, in code, is a text of the program, with values in it."""
    catalogue = (ROOT / "po/zh_CN.po").read_text()
    texts = ["".join(re.findall(r'"(.*)"', m)).replace("\\n", "").replace('\\"', '"')
             for m in re.findall(rf'(?m)^{field} ((?:".*"\n)+)', catalogue)]
    patterns = [".+".join(map(re.escape, re.split(r"%[-.*0-9]*(?:l|ll|z)?[a-zA-Z]", t.strip()))) for t in texts if len(t) >= least]
    page = (ROOT / "docs" / page).read_text()
    shown = re.findall(r"(?m)^\| `([^`]+)` \|", page)
    assert len(shown) > 20
    for words in shown:
        assert any(re.search(p, words) for p in patterns), words


def web_server(readme, name):
    """What the README has for a web server's file."""
    return re.search(rf"(?ms)^```\n# {re.escape(name)}\n(.*?)^```$", (ROOT / readme).read_text())[1]


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_nginx_in_front_of_a_tunnel(world, readme):
    """As the README has it, but for the place of the certificate."""
    block = web_server(readme, "/etc/nginx/conf.d/www.conf")
    world.up("gotunnel up -public vps.example.com -public-bind 127.0.0.1")
    world.join("gotunnel join gt1_... web=3000@8080")
    world.ends("openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=www.example.com -keyout privkey.pem -out fullchain.pem", world.server)
    folder = world.server.path
    (folder / "nginx.conf").write_text(
        f"user root;\ndaemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\nevents {{ }}\nhttp {{\naccess_log off;\n"
        + "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        + block.replace("/etc/letsencrypt/live/www.example.com", str(folder)) + "}\n")
    world.start("nginx", ["nginx", "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf"], world.server)
    wait_for("nginx", lambda: (folder / "nginx.pid").exists() and (folder / "nginx.pid").read_text())
    assert "port 3000\n" in world.ends(f"curl -sS --insecure --max-time {PATIENCE} https://www.example.com/", world.client)


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_caddy_in_front_of_a_tunnel(world, readme):
    """Without HTTPS, for which it would ask the Internet for a certificate."""
    if not shutil.which("caddy"):
        pytest.skip("caddy is not installed (Debian: caddy)")
    block = web_server(readme, "Caddyfile")
    world.up("gotunnel up -public vps.example.com -public-bind 127.0.0.1")
    world.join("gotunnel join gt1_... web=3000@8080")
    (world.server.path / "Caddyfile").write_text(block.replace("www.example.com", "http://www.example.com"))
    world.start("caddy", ["caddy", "run", "--config", "Caddyfile"], world.server)
    wait_for("caddy", lambda: "serving initial configuration" in (world.path / "caddy.log").read_text())
    assert "port 3000\n" in world.ends(f"curl -sS --max-time {PATIENCE} http://www.example.com/", world.client)
