# SPDX-License-Identifier: MIT
"""What is measured: a row for each figure, and which figures make a set.

"up" is from the user to the service: the server reads a public connection, the client writes the local one.
A profile (tiny, short, full) says how long one measurement takes.
"""

from dataclasses import dataclass, field

from bench import fleet as f
from bench import hostile as h
from bench import measures as m

HTTP_CONNECTIONS = 64


@dataclass
class Figure:
    name: str
    title: str
    measure: object  # of measures.py
    load: list = field(default_factory=list)  # arguments of the load; {size} is replaced
    size: dict = field(default_factory=dict)  # profile: size
    steps: dict = field(default_factory=dict)  # profile: numbers of connections or sessions
    service: str = "sink"  # or nginx
    link: tuple = None  # arguments of bench/delay
    fresh: bool = False  # a new tunnel for each round
    cold: bool = False  # nothing has gone through the tunnel before
    own_load: bool = False  # the measure makes it
    starts: bool = False  # the measure starts its own tunnels
    multiplexed: bool = False  # only systems that have one connection for all users
    kin: bool = False  # only systems with our command line: recipes that can start more clients
    rounds: dict = field(default_factory=dict)  # profile: at most so many; it hardly varies, and takes long
    headline: str = ""  # the metric of the ratios and the chart; the first one without

    def arguments(self, profile):
        return [str(a).format(size=self.size.get(profile, "")) for a in self.load]

    def command(self, profile):
        """What runs, for people: the driver's command, and the load's."""
        return f"python3 -m bench --set {profile} --figure {self.name}: {self._load_command(profile)}"

    def _load_command(self, profile):
        if self.starts:
            return "start both ends, connect, send a byte, receive it"
        if self.own_load:
            n = f"{self.steps[profile]:,}" if self.steps else ""
            if self.name.startswith("fleet-"):
                return f"fleet, {n} clients"
            return f"hostile, {n + ' users, ' if n else ''}{self.size[profile]} s"
        words = ["wrk --latency" if self.service == "nginx" else "load", *self.arguments(profile)]
        if self.steps and self.load:
            words.append(f"beside {self.steps[profile]}")
        elif self.steps:
            words.append(f"idle -c {self.steps[profile]}")
        if self.link:
            words.append(f"through delay {' '.join(map(str, self.link))}")
        return " ".join(words)


def _bulk(direction, words, conns):
    # The same number of bytes in all, whatever the number of connections; both ways counts both.
    share = conns * (2 if direction == "bi" else 1)
    return Figure(
        f"bulk-{direction}-{conns}", f"Bulk {words}, {conns} stream{'s' if conns > 1 else ''}", m.bulk,
        ["bulk", "-d", direction, "-c", conns, "-b", "{size}"],
        {"tiny": 4_000_000 // share, "short": 120_000_000 // share, "full": 400_000_000 // share})


def _ping(conns):
    return Figure(
        f"ping-{conns}", f"64-byte ping-pong, {conns} connection{'s' if conns > 1 else ''}", m.pingpong,
        ["pp", "-c", conns, "-s", 64, "-t", "{size}"], {"tiny": 0.5, "short": 0.4, "full": 1.5})


def _http(name, words, header):
    return Figure(
        f"http-{name}", f"HTTP, wrk against nginx, {words}", m.http,
        ["-t", 1, "-c", HTTP_CONNECTIONS, "-d", "{size}s", *header], {"tiny": 1, "short": 1, "full": 2},
        service="nginx", headline="requests_per_s")


def _mix(name, words, link=None, sizes=("0.5", "0.5", "2")):
    return Figure(
        f"mix-{name}", f"A 64-byte ping-pong beside a download, {words}", m.beside_bulk,
        ["mix", "-d", "down", "-c", 1, "-s", 64, "-w", 0.2, "-t", "{size}"],
        dict(zip(("tiny", "short", "full"), sizes)), link=link, headline="p99_us")


def _far(ms, conns):
    words = f"{conns} stream{'s' if conns > 1 else ''}"
    return Figure(
        f"far-{ms}-{conns}", f"Download over a {ms} ms round trip, {words}", m.rate,
        ["bulk", "-d", "down", "-c", conns, "-w", "1.5", "-t", "{size}"],
        {"tiny": 0.5, "short": 0.7, "full": 2}, link=("-d", ms // 2), multiplexed=True, rounds={"short": 3, "full": 3})


_WAN = ("-d", 10, "-r", 12.5, "-q", 256)

FIGURES = [
    Figure("startup", "Start-up to the first forwarded byte", m.startup, starts=True),
    *(_bulk(d, words, n) for n in (1, 8) for d, words in (("up", "up"), ("down", "down"), ("bi", "both ways"))),
    *(_ping(n) for n in (1, 64)),
    _http("keepalive", "keep-alive", []),
    _http("close", "Connection: close", ["-H", "Connection: close"]),
    Figure("connections", "New connections, 16 at a time", m.connections,
           ["cps", "-c", 16, "-t", "{size}"], {"tiny": 0.5, "short": 0.5, "full": 1.5},
           headline="connections_per_s"),
    _mix("loopback", "loopback"),
    _mix("wan", "100 Mbit/s, 20 ms round trip", _WAN, ("0.5", "1.5", "3")),
    *(_far(ms, n) for ms in (50, 100) for n in (1, 8)),
    Figure("memory", "Memory of idle connections", m.memory,
           steps={"tiny": [1000], "short": [1000], "full": [1000, 5000, 15000]}, fresh=True, cold=True, rounds={"short": 1, "full": 3},
           headline="kb_per_idle_1000"),
    Figure("growth-connections", "Cost of a round trip beside idle connections", m.beside_idle,
           ["pp", "-c", 64, "-s", 64, "-t", "{size}"], {"tiny": 0.5, "short": 0.6, "full": 1.5},
           steps={"tiny": 50, "short": 1000, "full": 15000}, fresh=True, kin=True),
    Figure("growth-sessions", "Cost of a round trip beside other sessions", m.beside_sessions,
           ["pp", "-c", 64, "-s", 64, "-t", "{size}"], {"tiny": 0.5, "short": 0.6, "full": 1.5},
           steps={"tiny": 3, "short": 50, "full": 500}, fresh=True, kin=True),
]



def _hostile(name, title, measure, headline, size, steps=None):
    tiny, whole = size
    return Figure(f"hostile-{name}", title, measure, size={"tiny": tiny, "hostile": whole},
                  steps={"tiny": 20, "hostile": steps} if steps else {}, fresh=True, kin=True, headline=headline,
                  own_load=True)


HOSTILE = [
    _hostile("handshakes", "A flood of handshakes", h.handshakes, "p99_ratio", (0.5, 5)),
    *(_hostile(f"hold-{how}", f"1,000 sources hold connections after {words}", h.holds, "known_s", (10, 30))
      for how, words in (("byte", "one byte"), ("half", "half a hello"), ("hello", "a hello"))),
    _hostile("guesses", "Guesses from one address", h.guesses, "verdicts_patient", (1, 60)),
    _hostile("stalled", "Users who read nothing", h.stalled, "p99_ratio", (0.5, 5), 5000),
    _hostile("stalled-large", "Users who ask for much and read nothing", h.stalled, "p99_ratio", (0.5, 5), 1000),
    _hostile("resets", "Users who reset at once", h.resets, "rate_ratio", (0.5, 20)),
    _hostile("users", "Users who say next to nothing", h.users, "quiet_kb_a_user", (1, 1), 5000),
]
FIGURES += HOSTILE



def _fleet(name, title, measure, headline, tiny, whole):
    return Figure(f"fleet-{name}", title, measure, size={"tiny": 0, "fleet": 0}, steps={"tiny": tiny, "fleet": whole},
                  fresh=True, kin=True, headline=headline, own_load=True)


FLEET = [
    _fleet("memory", "What a client and a tunnel cost", f.costs, "kb_a_tunnel", 20, 1000),
    _fleet("held", "Clients with 3 tunnels each, held; then the server is killed and comes again", f.held, "not_held", 20, 4000),
]
FIGURES += FLEET

BY_NAME = {f.name: f for f in FIGURES}
SETS = {
    "tiny": ["startup", "bulk-up-1", "bulk-down-8", "ping-64", "connections", "mix-loopback", "memory"],
    "short": ["startup", "bulk-up-1", "bulk-down-1", "bulk-up-8", "bulk-down-8", "ping-64", "http-keepalive",
              "connections", "mix-loopback", "far-100-1", "memory"],
    "full": [f.name for f in FIGURES if f not in HOSTILE + FLEET],
    "hostile": [f.name for f in HOSTILE],
    "fleet": [f.name for f in FLEET],
}
