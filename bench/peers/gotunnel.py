# SPDX-License-Identifier: MIT
"""Our own program; one tunnel, defaults, a fresh secret file."""

from bench.lab import ROOT, Unavailable
from bench.tunnel import System, Tunnel

SECRET = "a-secret-for-the-loopback-only"


def flag_tunnel(lab, program, target, listen, flags=()):
    """A tunnel of a program with the command line of the original: ours, or the Go peer."""
    secret = ("-secret", SECRET)
    server = lab.start("server", program, "server", *secret, "-listen", listen, *flags)
    port = int(server.match(r"(?:listens on|监听于) \S*:(\d+)\n")[1])
    client = flag_client(lab, program, target, lab.through(port), flags)
    return Tunnel(int(client.match(r"成功在 \S*:(\d+) 上监听")[1]), [server], [client])


def flag_client(lab, program, target, server_port, flags=()):
    return lab.start("client", program, "client", "-server", f"127.0.0.1:{server_port}", "-secret", SECRET,
                     "-ca", lab.path / "certs/ca.crt", "-remote-port", 0,
                     "-local-target", f"127.0.0.1:{target}", *flags)


class Gotunnel(System):
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

    def start(self, lab, target):
        return flag_tunnel(lab, self.program, target, "127.0.0.1:0", self.flags)

    def binaries(self):
        return [self.program]


SYSTEMS = [Gotunnel()]
