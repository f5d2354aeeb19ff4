# SPDX-License-Identifier: MIT
"""Thousands of clients with their tunnels at one server (bench/fleet.c): what they cost, whether they are held, and
how they come back when the server is restarted."""

import json
import random
import socket
import subprocess
import threading
import time

from bench.lab import Failed, free_port, memory_of, usage_of
from bench.peers.gotunnel import SECRET

PROCESSES = 4
TUNNELS = 3
RATE = 150  # first opens a second: a server begins 200 handshakes
HOLD_SECONDS = {"tiny": 1, "fleet": 60}
PROBES = 300
STEP_SECONDS = 600  # until all have what they ask for
ONE_SECONDS = 30
MANY = 64  # tunnels of a client: as many as a session has without a right to more


class Crew:
    """Members in several processes, each of a source of its own."""

    def __init__(self, lab, server_port, echo, members, tunnels, tool=None):
        self.members, self.tunnels = members, tunnels
        shares = [members * (i + 1) // PROCESSES - members * i // PROCESSES for i in range(PROCESSES)]
        self.processes = [
            subprocess.Popen([str(a) for a in (
                tool or lab.tools / "fleet", "-p", server_port, "-a", lab.path / "certs/ca.crt", "-s", SECRET, "-t", echo, "-n", n,
                "-k", tunnels, "-i", f"m{i}", "-o", i + 1, "-r", RATE / PROCESSES)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for i, n in enumerate(shares) if n]

    def ask(self, what):
        """The answers of all."""
        timer = threading.Timer(ONE_SECONDS, self._kill)
        timer.daemon = True
        timer.start()
        try:
            for p in self.processes:
                p.stdin.write(what + "\n")
                p.stdin.flush()
            return [json.loads(p.stdout.readline() or "{}") for p in self.processes]
        except OSError as e:
            raise Failed(f"a fleet has ended: {e}") from e
        finally:
            timer.cancel()

    def state(self):
        """The sum of what they count."""
        total = {}
        for one in self.ask("state"):
            for name, value in one.items():
                if isinstance(value, int):
                    total[name] = total.get(name, 0) + value
        return total

    def ports(self):
        return {name: port for one in self.ask("ports") for name, port in one.items()}

    def wait_complete(self):
        """Until each has its session and its tunnels. Seconds."""
        start = time.monotonic()
        while True:
            state = self.state()
            if state.get("up") == self.members and state.get("tunnels") == self.members * self.tunnels:
                return time.monotonic() - start
            if time.monotonic() - start > STEP_SECONDS:
                raise Failed(f"after {STEP_SECONDS} s: {state}")
            time.sleep(0.1)

    def _kill(self):
        for p in self.processes:
            p.kill()

    def close(self):
        for p in self.processes:
            p.stdin.close()
        for p in self.processes:
            p.wait(ONE_SECONDS)
            p.stdout.close()


def probe(name, port):
    """Whether a visitor of the port finds that tunnel behind it, and his own bytes come back."""
    want = f"{name}\nhello".encode()
    got = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ONE_SECONDS) as s:
            s.sendall(b"hello")
            while len(got) < len(want) and (more := s.recv(1024)):
                got += more
    except OSError:
        return False
    return got == want


def probe_some(crew, most):
    """How many of a sample do not answer as they should; how many there are in it."""
    ports = crew.ports()
    sample = random.Random(1).sample(sorted(ports), min(most, len(ports)))
    return sum(not probe(name, ports[name]) for name in sample), len(sample)


def _server(system, lab, port=0):
    server = lab.start("server", system.program, "server", "-secret", SECRET, "-listen", f"127.0.0.1:{port}",
                       *system.flags)
    return server, int(server.match(r"(?:listens on|监听于) \S*:(\d+)\n")[1])


def _cost(tunnel, members, tunnels):
    """Bytes of heap that so many members with so many tunnels each are for a server of their own."""
    lab = tunnel.lab
    server, port = _server(tunnel.system, lab)
    try:
        crew = Crew(lab, port, tunnel.target, members, tunnels)
        try:
            before = memory_of(server.pid).own
            crew.wait_complete()
            time.sleep(1)
            return memory_of(server.pid).own - before
        finally:
            crew.close()
    finally:
        server.stop()


def _client_kb(tunnel):
    """KB of heap for each further tunnel of one real client: with 64 of them, and with one."""
    lab, own = tunnel.lab, []
    for n in (1, MANY):
        flags = [a for i in range(n) for a in ("-forward", f"t{i}=0=127.0.0.1:{tunnel.target}")]
        client = lab.start("client", tunnel.system.program, "client", "-server", f"127.0.0.1:{tunnel.inner_port}",
                           "-secret", SECRET, "-ca", lab.path / "certs/ca.crt", "-id", f"one-{n}", *flags)
        try:
            client.match(rf"(?s)(?:tunnel 't{n - 1}').*", ONE_SECONDS)
            time.sleep(1)
            own.append(memory_of(client.pid).own)
        finally:
            client.stop()
    return (own[1] - own[0]) / (MANY - 1) / 1e3


def costs(bench, tunnel, figure):
    """Memory of a client and of a tunnel, at the server; and of a tunnel at a client. What a tunnel costs is told by few
    clients with many: what is left over of a handshake would be counted with it."""
    n = figure.steps[bench.profile]
    few = max(n // 20, PROCESSES)
    none, some = (_cost(tunnel, n, tunnels) for tunnels in (0, 1))
    one, many = (_cost(tunnel, few, tunnels) for tunnels in (1, MANY))
    return {"kb_a_client": none / n / 1e3, "kb_a_client_1": some / n / 1e3,
            "kb_a_tunnel": (many - one) / few / (MANY - 1) / 1e3, "kb_a_tunnel_client": _client_kb(tunnel)}


def held(bench, tunnel, figure):
    """All are held for a time, a sample of their ports answers; then the server is killed and comes again at the same
    port, and all come back."""
    lab, n, hold = tunnel.lab, figure.steps[bench.profile], HOLD_SECONDS[bench.profile]
    port = free_port()
    server, _ = _server(tunnel.system, lab, port)
    crew = Crew(lab, port, tunnel.target, n, TUNNELS)
    try:
        up = crew.wait_complete()
        wrong, of = probe_some(crew, PROBES)
        before = usage_of(server.pid).cpu
        time.sleep(hold)
        cpu, rss, state = usage_of(server.pid).cpu - before, memory_of(server.pid).rss, crew.state()
        lost = state["lost"] + state["detached"] + n - state["up"]
        server.popen.kill()
        server.popen.wait()
        server, _ = _server(tunnel.system, lab, port)
        numbers = {"up_s": up, "not_held": lost, "wrong": wrong, "probes": of, "rest_cpu_ms_per_s": cpu / hold * 1e3,
                   "server_rss_mb": rss / 1e6}
        try:
            numbers["all_back_s"] = crew.wait_complete()
            numbers["back_cpu_s"] = usage_of(server.pid).cpu
        except Failed as e:
            bench.note(figure, f"not all came back: {e}")
        return numbers
    finally:
        crew.close()
        server.stop()
