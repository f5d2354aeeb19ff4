# SPDX-License-Identifier: MIT
"""A server with a file, a control socket and a folder of clients with keys; its clients, with files of their own.

    site = Site(lab, allow_ports="0")                 # server.file, server.port, server.ca as elsewhere
    text = site.add("laptop", "-ports", "0-65535")    # a join string
    client = site.join(text, "web=3000@8080")
    client = site.client({"red": (0, 4711)})          # by the shared secret: {name: (public port, target port)}
    site.rewrite(allow_ports="80"); told = site.reload()
"""

import json
import signal

from lib.procs import PROGRAM, SECRET, wait_for


def put(path, text, mode=0o600):
    """In one step, as who writes such files should."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.chmod(mode)
    new.rename(path)
    return path


def opened(client, name):
    """The public port of a tunnel that is open."""
    return int(client.match(rf"tunnel '{name}': tcp://\S*:(\d+) -> ").group(1))


class Site:
    def __init__(self, lab, *flags, listen="127.0.0.1:0", **keys):
        self.lab, self.folder = lab, lab.path / "s"
        self.folder.mkdir(mode=0o700)
        (self.folder / "clients").mkdir(mode=0o700)
        (lab.path / "run").mkdir()
        put(self.folder / "secret", SECRET + "\n")
        self.keys = {"listen": listen, "certs": "certs", "secret-file": "secret"}
        self.file = self.folder / "server.yaml"
        self.rewrite(**keys)
        self.control = lab.path / "run/control"
        self.server = lab.start("server", PROGRAM, "server", "-config", self.file, "-control", self.control, *flags,
                                cwd=lab.path / "run")
        self.server.port = int(self.server.match(r"listens on \S*:(\d+)\n").group(1))
        self.server.ca, self.server.secret = self.folder / "certs/ca.crt", SECRET
        self.server.wait_log("control socket: ")
        self.n = 0

    def rewrite(self, **keys):
        """Other values of some keys of the server's file; None takes one out."""
        self.keys |= {key.replace("_", "-"): value for key, value in keys.items()}
        put(self.file, "".join(f"{key}: {value}\n" for key, value in self.keys.items() if value is not None))

    def reload(self):
        """By the control socket; what it said, as text."""
        done = self.lab.run("ctl", "-json", "-control", self.control, "reload")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 0 and lines[-1]["ok"], (done.stdout, done.stderr)
        return done.stdout

    def clients(self, command, name, *flags):
        done = self.lab.run("clients", command, name, "-state", self.folder, *flags)
        assert done.returncode == 0, done.stderr

    def add(self, name, *flags, port=None):
        """A client with a key, which the server knows; its join string. port: where it dials, if not the server's."""
        self.clients("add", name, "-public", f"127.0.0.1:{port or self.server.port}", *flags)
        self.reload()
        return (self.lab.path / f"{name}.join").read_text().strip()

    def join(self, text, *words):
        return self.lab.start("client", PROGRAM, "join", text, *words)

    def client_text(self, tunnels, more, port, ca):
        rows = "".join(f"  - {{name: {name}, port: {public}, target: 127.0.0.1:{target}}}\n"
                       for name, (public, target) in tunnels.items())
        return (f"server: 127.0.0.1:{port or self.server.port}\nsecret-file: {self.folder}/secret\nca: {ca}\n"
                f"{more}tunnels:\n{rows}")

    def client(self, tunnels, more="", port=None):
        self.n += 1
        ca = put(self.lab.path / f"client{self.n}.ca", self.server.ca.read_text())  # its own, as on another machine
        file = put(self.lab.path / f"client{self.n}.yaml", self.client_text(tunnels, more, port, ca))
        client = self.lab.start("client", PROGRAM, "client", "-config", file)
        client.file, client.ca, client.given = file, ca, (tunnels, more, port)
        return client

    def reload_client(self, client, tunnels, more=None):
        """Another text of its file, and SIGHUP; what it logs, once it has said what came of it."""
        before = len(client.log())
        put(client.file, self.client_text(tunnels, client.given[1] if more is None else more, client.given[2], client.ca))
        client.kill(signal.SIGHUP)
        wait_for("a reload of the client", lambda: "reload: " in client.log()[before:])
        return client.log()[before:]
