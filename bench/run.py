# SPDX-License-Identifier: MIT
"""Runs figures: all systems are started, measured in turn in each round, and ended."""

import subprocess
import sys

from bench.lab import Failed, Lab, Unavailable
from bench.results import Results


def say(text):
    print(text, file=sys.stderr, flush=True)


class Bench:
    def __init__(self, path, tools, profile, rounds):
        self.path, self.tools, self.profile, self.rounds = path, tools, profile, rounds
        self.systems = []
        self.results = Results()

    @property
    def names(self):
        return [s.name for s in self.systems]

    def find(self, systems):
        """Keeps the systems that are here; says why others are not."""
        lab = Lab(self.path / "find", self.tools)
        for s in systems:
            try:
                self.results.versions[s.name] = s.version(lab)
                self.systems.append(s)
            except (Unavailable, Failed, OSError, subprocess.SubprocessError) as e:
                self.results.absent[s.name] = str(e)
                say(f"absent: {s.name}: {e}")
        if not self.systems:
            raise SystemExit("bench: none of the systems is here")

    def start(self, system, figure, target):
        lab = Lab(self.path / system.name / ("link" if figure.link else "local"), self.tools, figure.link)
        try:
            tunnel = system.start(lab, target)
            tunnel.lab = lab
            return tunnel
        except BaseException:
            lab.close()
            raise

    def _try(self, figure, system, action):
        """The result of action(); None when it failed, which is noted."""
        try:
            return action()
        except (Failed, Unavailable, OSError) as e:
            why = " ".join(str(e).split())[:300]
            self.results.failed[figure.name, system.name] = why
            say(f"failed: {figure.name}: {system.name}: {why}")
            return None

    def run(self, figure):
        """All rounds of a figure. The order of the systems moves on by one in each round."""
        say(f"{figure.name}: {figure.title}")
        services = Lab(self.path / "services", self.tools)
        tunnels = {}
        try:
            target = services.service("load", "sink", "-p", "0")
            for s in self.systems:
                tunnel = self._try(figure, s, lambda s=s: self.start(s, figure, target))
                if tunnel:
                    tunnels[s.name] = tunnel
            self._rounds(figure, tunnels)
        finally:
            for tunnel in tunnels.values():
                tunnel.close()
            services.close()

    def _rounds(self, figure, tunnels):
        alive = [s for s in self.systems if s.name in tunnels]
        for n in range(-1, self.rounds):  # the first one warms up, and does not count
            at = n % len(alive) if alive else 0
            for s in alive[at:] + alive[:at]:
                if (figure.name, s.name) in self.results.failed:
                    continue
                numbers = self._try(figure, s, lambda s=s: figure.measure(self, tunnels[s.name], figure))
                if numbers and n >= 0:
                    self.results.add(figure.name, s.name, numbers)
