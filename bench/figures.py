# SPDX-License-Identifier: MIT
"""What is measured. A figure is a row of FIGURES; one measurement of one system gives numbers by name.

"up" is from the user to the service: the server reads a public connection, the client writes the local one.
Processor time is that of all processes of both ends of the tunnel together, and not of the load.
"""

from collections import namedtuple
from dataclasses import dataclass, field

from bench.lab import Failed, hold_load, release_load

# unit, whether less is better, digits behind the point
Metric = namedtuple("Metric", "unit less digits")
METRICS = {
    "cpu_s_per_gb": Metric("CPU-s/GB", True, 3),
    "user_s_per_gb": Metric("user s/GB", True, 3),
    "system_s_per_gb": Metric("system s/GB", True, 3),
    "switches_per_gb": Metric("switches/GB", True, 0),
    "mb_per_s": Metric("MB/s", False, 1),
    "p50_us": Metric("p50 µs", True, 1),
    "p99_us": Metric("p99 µs", True, 1),
    "cpu_us_per_trip": Metric("CPU µs/trip", True, 2),
    "trips_per_s": Metric("trips/s", False, 0),
}


@dataclass
class Figure:
    """`measure(bench, tunnel, figure)` gives {metric: number}. `size` scales the work of one measurement."""

    name: str
    title: str
    measure: object
    load: list = field(default_factory=list)  # arguments of bench/load; {size} is replaced
    size: dict = field(default_factory=dict)  # profile name: size
    target: str = "sink"
    link: tuple = None  # arguments of bench/delay

    def arguments(self, profile):
        return [str(a).format(size=self.size.get(profile, 0)) for a in self.load]


def with_load(bench, tunnel, args, timeout=120):
    """Runs the generator on a tunnel. (its figures, what the tunnel used for them)"""
    before = tunnel.usage()
    p, result = hold_load(bench.tools, [*args, "-p", tunnel.port], timeout)
    try:
        used = tunnel.usage() - before
    finally:
        why = release_load(p)
    if p.returncode:
        raise Failed(why)
    return result, used


def bulk(bench, tunnel, figure):
    """Processor time and rate of a number of bytes."""
    result, used = with_load(bench, tunnel, figure.arguments(bench.profile))
    gb = result["bytes"] / 1e9
    return {"cpu_s_per_gb": used.cpu / gb, "user_s_per_gb": used.user / gb,
            "system_s_per_gb": used.system / gb, "switches_per_gb": used.switches / gb,
            "mb_per_s": result["mb_per_s"]}


def pingpong(bench, tunnel, figure):
    """Latency and processor time of small messages."""
    result, used = with_load(bench, tunnel, figure.arguments(bench.profile))
    if not result["n"]:
        raise Failed("no round trip in time")
    return {"cpu_us_per_trip": used.cpu / result["n"] * 1e6, "p50_us": result["p50_us"],
            "p99_us": result["p99_us"], "trips_per_s": result["per_s"]}


def _bulk_row(direction, words, conns):
    # The same number of bytes in all, whatever the number of connections; both ways counts both.
    share = conns * (2 if direction == "bi" else 1)
    return Figure(
        f"bulk-{direction}-{conns}", f"Bulk {words}, {conns} stream{'s' if conns > 1 else ''}", bulk,
        ["bulk", "-d", direction, "-c", conns, "-b", "{size}"],
        {"tiny": 4_000_000 // share, "short": 200_000_000 // share, "full": 800_000_000 // share})


def _ping_row(conns):
    return Figure(
        f"ping-{conns}", f"64-byte ping-pong, {conns} connection{'s' if conns > 1 else ''}", pingpong,
        ["pp", "-c", conns, "-s", 64, "-t", "{size}"], {"tiny": 0.1, "short": 0.6, "full": 2})


FIGURES = [_bulk_row(d, words, n) for n in (1, 8)
           for d, words in (("up", "up"), ("down", "down"), ("bi", "both ways"))]
FIGURES += [_ping_row(n) for n in (1, 64)]

BY_NAME = {f.name: f for f in FIGURES}
SETS = {
    "tiny": ["bulk-up-1", "ping-64"],
    "short": ["bulk-up-1", "bulk-down-1", "bulk-up-8", "bulk-down-8", "ping-1", "ping-64"],
    "full": [f.name for f in FIGURES],
}
