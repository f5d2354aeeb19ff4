# SPDX-License-Identifier: MIT
"""The Go peer of tests/interop at both ends: stands for the Go original, on the real smux and crypto/tls."""

import shutil
import subprocess

from bench.lab import ROOT, Failed, Unavailable
from bench.peers.gotunnel import FlagTunnel

OUT = ROOT / "build/interop"


class Go(FlagTunnel):
    listen = "0"

    def __init__(self, name, program, what, order, extra=False):
        self.name, self.program, self.what, self.order = name, OUT / program, what, order
        self.extra = extra

    def version(self, lab):
        skip = self.program.with_suffix(".skip")
        build = subprocess.run([ROOT / "tests/interop/build.sh", OUT, self.program.name], capture_output=True, text=True,
                               stdin=subprocess.DEVNULL)
        if build.returncode:
            raise Unavailable(build.stderr.strip() or "does not build")
        if skip.exists():
            raise Unavailable(skip.read_text().strip())
        go = shutil.which("go") or "/usr/bin/go"
        text = lab.run(go, "version", "-m", self.program)
        found = [line.split()[2] for line in text.splitlines() if "xtaci/smux" in line]
        return f"{text.split()[1]}, smux {found[0] if found else self._debians(lab)}"

    @staticmethod
    def _debians(lab):
        """Built without modules, the program does not know what it was built with."""
        try:
            return lab.run("dpkg-query", "-W", "-f", "${Version}", "golang-github-xtaci-smux-dev")
        except (Failed, OSError):
            return "of the system"


SYSTEMS = [
    Go("go", "go16", "Go stand-in for the original: Debian's Go and smux 1.5.16", 2),
    Go("go-new", "go57", "the same on the newest Go and smux", 3, extra=True),
]
