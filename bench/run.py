# SPDX-License-Identifier: MIT
"""Runs figures: all systems are started, measured in turn in each round, and ended."""

import subprocess
import sys
import time
import traceback

from bench.lab import Failed, Lab, Unavailable, free_port, tool
from bench.measures import stripped_kb, warm_up
from bench.results import Results


def say(text):
    print(text, file=sys.stderr, flush=True)


class Bench:
    def __init__(self, path, tools, profile, rounds):
        self.path, self.tools, self.profile, self.rounds = path, tools, profile, rounds
        self.systems = []
        self.results = Results()
        self._sizes = {}

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
        """A tunnel of a system for a figure. Its directory stays, so keys and certificates are made once."""
        lab = Lab(self.path / system.name / ("link" if figure.link else "local"), self.tools, figure.link)
        try:
            tunnel = system.start(lab, target)
            tunnel.lab, tunnel.system = lab, system
            return tunnel
        except BaseException:
            lab.close()
            raise

    def stripped_kb(self, system):
        """Of all programs of a system; they do not change while we run."""
        if system.name not in self._sizes:
            self._sizes[system.name] = sum(stripped_kb(b, self.path / "stripped") for b in system.binaries())
        return self._sizes[system.name]

    def note(self, figure, text):
        """Something about a figure that numbers do not say; each thing is kept once."""
        notes = self.results.notes.setdefault(figure.name, [])
        if text not in notes:
            notes.append(text)
            say(f"note: {figure.name}: {text}")

    def _try(self, figure, system, action):
        """The result of action(); None when it failed, which is noted."""
        try:
            return action()
        except (Failed, Unavailable, OSError, subprocess.SubprocessError) as e:
            why = " ".join(str(e).split())[:300]
        except Exception as e:  # noqa: BLE001: a bug in one figure must not cost the others
            traceback.print_exc()
            why = f"the driver failed: {type(e).__name__}: {e}"
        self.results.failed[figure.name, system.name] = why
        say(f"failed: {figure.name}: {system.name}: {why}")
        return None

    def _service(self, services, figure):
        """The port of the service at the far end."""
        if figure.service == "nginx":
            return start_nginx(services)
        return services.service("load", "sink", "-p", "0")

    def run(self, figure):
        """All rounds of a figure. The order of the systems moves on by one in each round."""
        start = time.monotonic()
        self.results.commands[figure.name] = figure.command(self.profile)
        services = Lab(self.path / "services", self.tools)
        tunnels = {}
        try:
            try:
                target = self._service(services, figure)
            except (Failed, Unavailable) as e:
                self.note(figure, f"not measured: {e}")
                return
            systems = [s for s in self.systems if self._takes_part(s, figure)]
            first = -1 if figure.starts else 0  # the first start makes keys and certificates
            for n in range(first, min(self.rounds, figure.rounds.get(self.profile, self.rounds))):
                at = n % len(systems) if systems else 0
                for s in systems[at:] + systems[:at]:
                    if (figure.name, s.name) not in self.results.failed:
                        self._round(figure, s, target, tunnels, n >= 0)
        finally:
            for tunnel in tunnels.values():
                tunnel.close()
            services.close()
            say(f"{figure.name}: {time.monotonic() - start:.0f} s")

    @staticmethod
    def _takes_part(system, figure):
        return (system.multiplexed or not figure.multiplexed) and \
            (hasattr(system, "more_clients") or not figure.kin)

    def _round(self, figure, system, target, tunnels, counts):
        numbers = self._try(figure, system, lambda: self._measure(figure, system, target, tunnels))
        if figure.fresh and system.name in tunnels:
            tunnels.pop(system.name).close()
        if numbers and counts:
            self.results.add(figure.name, system.name, numbers)

    def _measure(self, figure, system, target, tunnels):
        if figure.starts:
            return figure.measure(self, system, figure, target)
        if system.name not in tunnels:
            tunnels[system.name] = self.start(system, figure, target)
            if figure.service == "sink" and not figure.cold:
                warm_up(self, tunnels[system.name])
        return figure.measure(self, tunnels[system.name], figure)


def start_nginx(lab):
    """The web server behind the tunnel: answers 128 bytes from memory."""
    config, port = lab.path / "nginx.conf", free_port()
    temp = "".join(f"{kind}_temp_path {lab.path}/nginx-{kind};\n"
                   for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config.write_text(
        f"daemon off;\nworker_processes 1;\npid {lab.path}/nginx.pid;\nerror_log stderr;\n"
        f"events {{ worker_connections 4096; }}\nhttp {{\naccess_log off;\n{temp}keepalive_requests 1000000000;\n"
        f"server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 '{'x' * 128}'; }} }}\n}}\n")
    lab.start("nginx", tool("nginx", "nginx-light"), "-p", lab.path, "-e", "stderr", "-c", config) \
        .wait_listening(port)
    return port
