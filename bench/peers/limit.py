# SPDX-License-Identifier: MIT
"""The yardstick, bench/limit.c: a bare data path."""

from bench.lab import ROOT, Unavailable, free_port
from bench.tunnel import System, Tunnel


class Limit(System):
    name = "limit"
    what = "yardstick: the bare data path, no authentication, no limits"
    order = 1
    program = ROOT / "build-bench/bench/limit"

    def version(self, lab):
        if not self.program.exists():
            raise Unavailable(f"{self.program} is not built")
        return "bench/limit.c"

    def start(self, lab, target):
        cert, key = lab.certificate()
        tunnel, public = free_port(), free_port()
        server = lab.start("server", self.program, "server", "-T", tunnel, "-P", public, "-C", cert, "-K", key)
        server.wait_listening(tunnel)
        client = lab.start("client", self.program, "client", "-T", lab.through(tunnel), "-L", target)
        server.wait_listening(public)
        return Tunnel(public, [server], [client])

    def binaries(self):
        return [self.program]


SYSTEMS = [Limit()]
