# SPDX-License-Identifier: MIT
"""How each kind of figure is measured. A measure takes (bench, tunnel, figure) and gives {metric: number};
start-up takes the system instead of a tunnel, since it starts its own.

Processor time is that of all processes of both ends of the tunnel together, and not of the load.
"""

import os
import re
import shutil
import socket
import subprocess
import time
from collections import namedtuple

from bench.lab import Failed, Load, tool, wait_for

# unit, whether less is better, digits behind the point
Metric = namedtuple("Metric", "unit less digits")
METRICS = {
    "cpu_s_per_gb": Metric("CPU-s/GB", True, 3),
    "user_s_per_gb": Metric("user s/GB", True, 3),
    "system_s_per_gb": Metric("system s/GB", True, 3),
    "switches_per_gb": Metric("switches/GB", True, 0),
    "mb_per_s": Metric("MB/s", False, 1),
    "cpu_us_per_trip": Metric("CPU µs/trip", True, 2),
    "p50_us": Metric("p50 µs", True, 0),
    "p99_us": Metric("p99 µs", True, 0),
    "trips_per_s": Metric("trips/s", False, 0),
    "requests_per_s": Metric("requests/s", False, 0),
    "cpu_us_per_request": Metric("CPU µs/request", True, 1),
    "connections_per_s": Metric("connections/s", False, 0),
    "cpu_us_per_connection": Metric("CPU µs/connection", True, 1),
    "rss_rest_mb": Metric("MB RSS an end at rest", True, 2),
    "pss_rest_mb": Metric("MB PSS an end at rest", True, 2),
    "kb_per_idle_1000": Metric("KB/connection+end, 1,000 idle", True, 2),
    "kb_per_idle_5000": Metric("5,000 idle", True, 2),
    "kb_per_idle_15000": Metric("15,000 idle", True, 2),
    "rss_peak_mb": Metric("MB RSS an end then", True, 2),
    "rss_after_mb": Metric("MB RSS an end after", True, 2),
    "pss_after_mb": Metric("MB PSS an end after", True, 2),
    "startup_ms": Metric("ms to the first byte", True, 1),
    "binary_kb": Metric("KB stripped", True, 0),
    "cpu_us_alone": Metric("CPU µs/trip alone", True, 2),
    "cpu_us_beside": Metric("CPU µs/trip beside them", True, 2),
    "kb_a_client": Metric("KB/client, no tunnel", True, 1),
    "kb_a_client_1": Metric("KB/client with 1", True, 1),
    "kb_a_tunnel": Metric("KB/further tunnel, server", True, 2),
    "kb_a_tunnel_client": Metric("KB/further tunnel, client", True, 2),
    "up_s": Metric("s until all are there", True, 1),
    "not_held": Metric("lost, broken or away", True, 0),
    "wrong": Metric("probes that failed", True, 0),
    "probes": Metric("of", False, 0),
    "rest_cpu_ms_per_s": Metric("CPU ms/s at rest", True, 1),
    "server_rss_mb": Metric("MB RSS of the server", True, 1),
    "all_back_s": Metric("s until all are back", True, 1),
    "back_cpu_s": Metric("CPU s of the server for it", True, 1),
    **{f"growth_{n}": Metric(f"growth beside {n:,}", True, 3) for n in (3, 50, 500, 1000, 15000)},
}

SETTLE_SECONDS = 0.2


def run_load(bench, tunnel, args, gate=True, timeout=180):
    """Runs the generator on a tunnel. (its figures, what the tunnel used for them). With the gate, opening
    the connections is not counted."""
    before = tunnel.usage()
    load = Load(bench.tools, [*args, "-p", tunnel.port, *(["-g"] if gate else [])])
    try:
        if gate:
            load.line(timeout)
            before = tunnel.usage()
            load.go()
        result = load.line(timeout)
        return result, tunnel.usage() - before
    finally:
        load.release()


def warm_up(bench, tunnel):
    """What only the first connections bring about is in no figure."""
    run_load(bench, tunnel, ["pp", "-c", 8, "-t", 0.1])


def bulk(bench, tunnel, figure):
    """Processor time and rate of many bytes."""
    result, used = run_load(bench, tunnel, figure.arguments(bench.profile))
    gb = result["bytes"] / 1e9
    if not gb:
        raise Failed("not a byte in time")
    return {"cpu_s_per_gb": used.cpu / gb, "user_s_per_gb": used.user / gb,
            "system_s_per_gb": used.system / gb, "switches_per_gb": used.switches / gb,
            "mb_per_s": result["mb_per_s"]}


def rate(bench, tunnel, figure):
    """MB/s for a time, once it has found its pace; processor time means nothing at this rate."""
    result, _ = run_load(bench, tunnel, figure.arguments(bench.profile))
    return {"mb_per_s": result["mb_per_s"]}


def pingpong(bench, tunnel, figure):
    """Latency and processor time of small messages."""
    result, used = run_load(bench, tunnel, figure.arguments(bench.profile))
    if not result["n"]:
        raise Failed("no round trip in time")
    return {"cpu_us_per_trip": used.cpu / result["n"] * 1e6, "p50_us": result["p50_us"],
            "p99_us": result["p99_us"], "trips_per_s": result["per_s"]}


def beside_bulk(bench, tunnel, figure):
    """A small stream beside a bulk stream: the latency of one, the rate of the other."""
    result, _ = run_load(bench, tunnel, figure.arguments(bench.profile))
    if not result["n"]:
        raise Failed("no round trip in time beside the bulk stream")
    return {"p50_us": result["p50_us"], "p99_us": result["p99_us"], "mb_per_s": result["mb_per_s"]}


# ---- HTTP, new connections ----


def _microseconds(text):
    """A time as wrk prints it; it says -nan when too few requests were answered."""
    found = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    if not found:
        raise Failed(f"wrk gave {text} as a latency")
    return float(found[1]) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}[found[2]]


def http(bench, tunnel, figure):
    """wrk against nginx through the tunnel."""
    before = tunnel.usage()
    done = subprocess.run(
        [tool("wrk", "wrk"), "--latency", *figure.arguments(bench.profile), f"http://127.0.0.1:{tunnel.port}/"],
        capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    used = tunnel.usage() - before
    text = done.stdout
    requests = re.search(r"(\d+) requests in", text)
    if done.returncode or not requests or not int(requests[1]):
        raise Failed(f"wrk: {(done.stderr or text).strip()[-300:]}")
    errors = re.search(r"Socket errors: (.*)|Non-2xx.*", text)
    if errors and sum(int(n) for n in re.findall(r"\d+", errors[0])) > int(requests[1]) / 100:
        raise Failed(f"wrk: {errors[0]}")
    return {"requests_per_s": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
            "p99_us": _microseconds(re.search(r"^\s+99%\s+(\S+)$", text, re.M)[1]),
            "cpu_us_per_request": used.cpu / int(requests[1]) * 1e6}


def connections(bench, tunnel, figure):
    """Connect, 64 bytes there and back, close."""
    result, used = run_load(bench, tunnel, figure.arguments(bench.profile), gate=False)
    if not result["done"]:
        raise Failed("no connection in time")
    if result["failed"] > result["done"] / 100:
        raise Failed(f"{result['failed']} connections failed, {result['done']} did not")
    return {"connections_per_s": result["per_s"], "p99_us": result["p99_us"],
            "cpu_us_per_connection": used.cpu / result["done"] * 1e6}


# ---- memory ----


def _mb(memory, what):
    """The mean of both ends."""
    return sum(getattr(m, what) for m in memory) / len(memory) / 1e6


def _open_idle(bench, tunnel, n):
    load = Load(bench.tools, ["idle", "-c", n, "-p", tunnel.port])
    ready = load.line(180)["ready"]
    if ready < n:
        raise Failed(f"only {ready} of {n} connections came about {load.release()}".strip())
    return load


def memory(bench, tunnel, figure):
    """At rest before the first user, with more and more idle connections, and after they have closed. An idle
    connection is what comes on top of a tunnel that has been used. What the kernel keeps for the sockets is not
    in it, and the same for everybody."""
    time.sleep(SETTLE_SECONDS)
    rest = tunnel.memory()
    numbers = {"rss_rest_mb": _mb(rest, "rss"), "pss_rest_mb": _mb(rest, "pss")}
    warm_up(bench, tunnel)
    time.sleep(SETTLE_SECONDS)
    base = now = tunnel.memory()
    idle, n = [], 0
    try:
        for more in figure.steps[bench.profile]:
            idle.append(_open_idle(bench, tunnel, more - n))
            n = more
            time.sleep(SETTLE_SECONDS)
            now = tunnel.memory()
            grown = sum(m.own for m in now) - sum(m.own for m in base)
            numbers[f"kb_per_idle_{n}"] = grown / 2 / n / 1e3
    except Failed as e:
        bench.note(figure, f"{tunnel.lab.path.parent.name}: {e}, after {n:,} idle ones")
    finally:
        for load in idle:
            load.release()
    numbers["rss_peak_mb"] = _mb(now, "rss")
    time.sleep(2 * SETTLE_SECONDS)
    numbers |= {"rss_after_mb": _mb(tunnel.memory(), "rss"), "pss_after_mb": _mb(tunnel.memory(), "pss")}
    return numbers


# ---- start-up ----


def first_byte(port):
    """Sends one byte through the tunnel and waits for it to come back."""

    def check():
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
                s.sendall(b"Ex")
                return s.recv(1) == b"x"
        except OSError:
            return False

    wait_for("the first byte", check)


def startup(bench, system, figure, target):
    """From nothing to the first byte forwarded, keys and certificates being there. The driver is in it: it
    starts both processes and waits until the one it needs is ready."""
    start = time.monotonic()
    tunnel = bench.start(system, figure, target)
    try:
        first_byte(tunnel.port)
        return {"startup_ms": (time.monotonic() - start) * 1e3, "binary_kb": bench.stripped_kb(system)}
    finally:
        tunnel.close()


def stripped_kb(binary, path):
    """The size of a program without symbols."""
    shutil.copy(binary, path)
    try:
        os.chmod(path, 0o755)
        subprocess.run([tool("strip", "binutils"), path], check=True, capture_output=True)
        return path.stat().st_size / 1e3
    finally:
        path.unlink()


# ---- how cost grows ----


def _trip_cost(bench, tunnel, figure):
    result, used = run_load(bench, tunnel, figure.arguments(bench.profile))
    if not result["n"]:
        raise Failed("no round trip in time")
    return used.cpu / result["n"] * 1e6


def _growth(n, alone, beside):
    return {f"growth_{n}": beside / alone, "cpu_us_alone": alone, "cpu_us_beside": beside}


def beside_idle(bench, tunnel, figure):
    """Processor time of a round trip alone, and while thousands of connections are silent."""
    n, alone = figure.steps[bench.profile], _trip_cost(bench, tunnel, figure)
    idle = _open_idle(bench, tunnel, n)
    try:
        time.sleep(SETTLE_SECONDS)
        return _growth(n, alone, _trip_cost(bench, tunnel, figure))
    finally:
        idle.release()
        time.sleep(SETTLE_SECONDS)


def beside_sessions(bench, tunnel, figure):
    """The same while hundreds of other clients are connected to the same server, each with a port."""
    system, n = tunnel.system, figure.steps[bench.profile]
    alone = _trip_cost(bench, tunnel, figure)
    others = system.more_clients(tunnel, n - 1)
    try:
        time.sleep(SETTLE_SECONDS)
        return _growth(n, alone, _trip_cost(bench, tunnel, figure))
    finally:
        for p in others:
            p.stop()
