# SPDX-License-Identifier: MIT
"""Our own program, with its defaults."""

from bench.lab import ROOT, Unavailable
from bench.tunnel import System, Tunnel

SECRET = "a-secret-for-the-loopback-only"


class FlagTunnel(System):
    """A system with the command line of the original: both ends are `program`."""

    program = None
    listen = "127.0.0.1:0"
    flags = ()

    def start(self, lab, target):
        secret = ("-secret", SECRET)
        server = lab.start("server", self.program, "server", *secret, "-listen", self.listen, *self.flags)
        port = int(server.match(r"(?:listens on|监听于) \S*:(\d+)\n")[1])
        client = self._client(lab, target, lab.through(port))
        tunnel = Tunnel(self._public_port(client), [server], [client])
        tunnel.inner_port, tunnel.target = port, target
        return tunnel

    def more_clients(self, tunnel, n):
        """So many more clients of the tunnel's server, each with a public port of its own; not part of what is
        measured."""
        clients = [self._client(tunnel.lab, tunnel.target, tunnel.inner_port) for _ in range(n)]
        for client in clients:
            self._public_port(client)
        return clients

    def _client(self, lab, target, port):
        return lab.start("client", self.program, "client", "-server", f"127.0.0.1:{port}", "-secret", SECRET,
                         "-ca", lab.path / "certs/ca.crt", "-remote-port", 0,
                         "-local-target", f"127.0.0.1:{target}", *self.flags)

    @staticmethod
    def _public_port(client):
        return int(client.match(r"(?:成功在|the server listens on) \S*:(\d+)")[1])

    def binaries(self):
        return [self.program]


class Gotunnel(FlagTunnel):
    what = "this program"
    order = 0

    def __init__(self, name="gotunnel", program=None, flags=()):
        self.name = name
        self.program = program or ROOT / "build-bench/gotunnel"
        self.flags = list(flags)

    def version(self, lab):
        if not self.program.exists():
            raise Unavailable(f"{self.program} is not built")
        return " ".join(lab.run(self.program, "-version").split()[:2] + self.flags)


SYSTEMS = [Gotunnel()]
