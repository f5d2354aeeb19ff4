# SPDX-License-Identifier: MIT
"""How hostile traffic is measured: what it does to others, beside what they have without it, in the same run. Measures
as in measures.py; bench/hostile.c makes the traffic."""

import contextlib
import json
import os
import re
import subprocess
import time

from bench.lab import Failed, Load, memory_of, wait_for
from bench.measures import METRICS, Metric, run_load
from bench.peers.gotunnel import SECRET

MB = 1e6
KNOWN, STRANGER = "127.0.0.1", "127.99.0.1"  # the first one is where the tunnel's own client comes from
LONG = 3600  # seconds: until it is ended
DRIP_SECONDS = 5
SHAKERS = "-c", 64, "-n", 1000

METRICS.update({
    "p99_ratio": Metric("p99, of the quiet one", True, 2),
    "p99_quiet_us": Metric("p99 µs quiet", True, 0),
    "p99_hostile_us": Metric("p99 µs beside them", True, 0),
    "p99_alone_us": Metric("p99 µs with nothing beside", True, 0),
    "awake_ratio": Metric("p99, of the quiet one, processors awake", True, 2),
    "hostile_per_s": Metric("of theirs/s", False, 0),
    "known_s": Metric("s until a known client is in", True, 2),
    "stranger_s": Metric("s until a good stranger is in", True, 2),
    "rate_ratio": Metric("rate, of the quiet one", False, 2),
    "bare_p99_ratio": Metric("p99, of that beside bare accepting and closing", True, 2),
    "bare_ratio": Metric("of what bare accepting and closing leaves", False, 2),
    "rate_quiet_mb_per_s": Metric("MB/s quiet", False, 1),
    "back_s": Metric("s until descriptors are back", True, 2),
    "fds_more": Metric("descriptors more after", True, 0),
    "there": Metric("users", False, 0),
    "short": Metric("times TCP was short of memory", True, 0),
    "short_ms": Metric("ms that it was", True, 0),
    "held_fds": Metric("descriptors for them", True, 0),
    **{f"{end}_rss_{when}_mb": Metric(f"MB RSS, {end}, {when}", True, 1)
       for when in ("before", "during", "after") for end in ("server", "client")},
    **{f"kernel_{when}_mb": Metric(f"MB of TCP, {when}", True, 1) for when in ("before", "during", "after")},
    **{f"{kind}_kb_a_user": Metric(f"KB a {kind} user, both ends", True, 2) for kind in ("quiet", "half", "drip")},
    **{f"{kind}_fds": Metric(f"descriptors a {kind} user", True, 2) for kind in ("quiet", "half", "drip")},
    **{f"{kind}_fds_more": Metric(f"more after {kind} ones", True, 0) for kind in ("quiet", "half", "drip")},
    **{f"verdicts_{how}": Metric(f"verdicts/min, {how}", True, 0) for how in ("patient", "impatient", "lines", "proofs")},
    "lines_a_minute": Metric("lines of the log/min, at most", True, 0),
})


class Hostile:
    """The generator, running, until the block ends."""

    def __init__(self, bench, *args):
        self.popen = subprocess.Popen([str(bench.tools / "hostile"), *map(str, args)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.popen.kill()
        self.popen.communicate()

    def line(self):
        text = self.popen.stdout.readline()
        if not text:
            raise Failed("the generator of hostile traffic ended")
        return json.loads(text)


def _ends(tunnel):
    return {"server": tunnel.server[0].pid, "client": tunnel.client[0].pid}


def _fds(tunnel):
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in _ends(tunnel).values())


def _kernel_mb():
    """What the kernel holds for TCP on this machine, whosever it is."""
    pages = re.search(r"^TCP:.* mem (\d+)$", open("/proc/net/sockstat", encoding="ascii").read(), re.M)
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") / MB


def _short():
    """How often, and for how many ms, the kernel has been short of memory for TCP, in this network namespace. The time counts
    when it is over."""
    names, values = [line.split() for line in open("/proc/net/netstat", encoding="ascii") if line.startswith("TcpExt:")]
    found = dict(zip(names, values))
    return int(found["TCPMemoryPressures"]), int(found["TCPMemoryPressuresChrono"])


def _memory(tunnel, when):
    return {f"{end}_rss_{when}_mb": memory_of(pid).rss / MB for end, pid in _ends(tunnel).items()} | \
        {f"kernel_{when}_mb": _kernel_mb()}


def _seconds(bench, figure):
    return figure.size[bench.profile]


def _p99(bench, tunnel, figure, args):
    """Without any round trip the whole time counts."""
    result, _ = run_load(bench, tunnel, args)
    if not result["n"]:
        bench.note(figure, "not one round trip came back in time")
        return _seconds(bench, figure) * 1e6
    return result["p99_us"]


def _quiet_user(seconds):
    """One user, a message each millisecond."""
    return ["mix", "-c", 0, "-s", 64, "-i", 1000, "-w", 0.2, "-t", seconds]


def _settle(tunnel):
    """Waits until both ends have had as many descriptors for three seconds. How many."""
    seen = [_fds(tunnel)]

    def is_steady():
        seen.append(_fds(tunnel))
        return len(seen) > 6 and len(set(seen[-6:])) == 1

    wait_for("descriptors to settle", is_steady, 120, 0.5)
    return seen[-1]


def _wait_back(tunnel, before, patience):
    """Seconds until both ends have no more descriptors than before, and how many more they have then."""
    start = time.monotonic()
    try:
        wait_for("descriptors", lambda: _fds(tunnel) <= before, patience, 0.01)
    except Failed:
        pass
    return time.monotonic() - start, max(0, _fds(tunnel) - before)


# ---- the tunnel port ----


def _beside_handshakes(bench, tunnel, figure):
    """A live user's p99 beside a process that burns one processor, beside a flood of handshakes, and what that did."""
    seconds = _seconds(bench, figure)
    user = _quiet_user(seconds)
    with Hostile(bench, "burn", "-t", LONG):
        quiet = _p99(bench, tunnel, figure, user)
    with Hostile(bench, "shake", "-p", tunnel.inner_port, *SHAKERS, "-t", seconds + 2) as flood:
        return quiet, _p99(bench, tunnel, figure, user), flood.line()


def handshakes(bench, tunnel, figure):
    """A live user's p99 in a flood of handshakes: of that beside a busy processor; the same while no processor sleeps,
    which they do in a flood that is held to so few a second; with nothing beside; and beside the same flood at a program that
    only accepts and closes."""
    quiet, beside, done = _beside_handshakes(bench, tunnel, figure)
    seconds = _seconds(bench, figure)
    alone = _p99(bench, tunnel, figure, _quiet_user(seconds))
    with Hostile(bench, "bare") as bare, Hostile(bench, "shake", "-p", bare.line()["port"], *SHAKERS, "-t", LONG):
        elsewhere = _p99(bench, tunnel, figure, _quiet_user(seconds))
    with contextlib.ExitStack() as stack:
        for _ in range(os.cpu_count()):
            stack.enter_context(Hostile(bench, "doze", "-t", LONG))
        quiet_awake, beside_awake, _ = _beside_handshakes(bench, tunnel, figure)
    return {"p99_ratio": beside / quiet, "p99_quiet_us": quiet, "p99_hostile_us": beside, "p99_alone_us": alone,
            "awake_ratio": beside_awake / quiet_awake, "bare_p99_ratio": beside / elsewhere,
            "hostile_per_s": done["answered"] / done["seconds"]}


def _way_in(bench, tunnel, figure, source, name):
    """Seconds until a client that comes from there, 100 ms away, has a port; at most the figure's."""
    lab, patience = tunnel.lab, _seconds(bench, figure)
    port = lab.service("delay", "-l", 0, "-t", tunnel.inner_port, "-d", 50, "-s", source)
    start = time.monotonic()
    client = lab.start(name, tunnel.system.program, "client", "-server", f"127.0.0.1:{port}", "-secret", SECRET, "-id", name,
                       "-ca", lab.path / "certs/ca.crt", "-remote-port", 0, "-local-target", f"127.0.0.1:{tunnel.target}")
    try:
        client.match(r"the server listens on", patience)
        return time.monotonic() - start
    except Failed:
        bench.note(figure, f"{name} was not in after {patience} s")
        return patience
    finally:
        client.stop()


def holds(bench, tunnel, figure):
    """1,000 sources connect, say what the figure says, and wait: how a known client comes back, and a good stranger in."""
    how = figure.name.removeprefix("hostile-hold-")
    with Hostile(bench, "hold", "-p", tunnel.inner_port, "-c", 4000, "-n", 1000, "-r", 3100, "-m", how, "-t", LONG):
        time.sleep(1)
        known = _way_in(bench, tunnel, figure, KNOWN, "known")
        stranger = _way_in(bench, tunnel, figure, STRANGER, "stranger")
    return {"known_s": known, "stranger_s": stranger}


def guesses(bench, tunnel, figure):
    """What one address learns in a minute, by four ways to ask, and what is written of it."""
    seconds, numbers, most = _seconds(bench, figure), {}, 0
    nonce, mac = "0" * 32, "0" * 64
    proof = (f'{{"v":2,"op":"open","id":"guesser","port":0,"nc":"{nonce}","window_ms":60000,"caps":[],"take":false,'
             f'"mine":[],"mac":"{mac}"}}')
    ways = {"patient": [], "impatient": ["-w", 0.025], "lines": ["-l", 3], "proofs": ["-a", "gotunnel/2", "-m", proof]}
    for i, (how, args) in enumerate(ways.items()):  # each from an address of its own
        lines = tunnel.server[0].log().count("\n")
        done, told = _guess(bench, tunnel, seconds, ["-f", i, "-m", "a-wrong-secret", *args], how == "impatient")
        if done["right"]:
            raise Failed("a wrong secret was right")
        numbers[f"verdicts_{how}"] = max(done["verdicts"], told * done["handshakes"]) * 60 / seconds
        most = max(most, (tunnel.server[0].log().count("\n") - lines) * 60 / seconds)
    return numbers | {"lines_a_minute": most}


def _guess(bench, tunnel, seconds, args, by_silence):
    """What the guesser counts; and what share of right secrets from its address is told at once, when half of the time is
    over: silence tells him that the others are wrong."""
    place, told = ["-p", tunnel.inner_port, "-n", 1], 0
    with Hostile(bench, "guess", *place, "-c", 16, "-t", seconds, *args) as guesser:
        if by_silence:
            time.sleep(seconds / 2)
            with Hostile(bench, "guess", *place, "-t", 0.5, "-w", 0.1, *args[:2], "-m", SECRET) as right:
                found = right.line()
                told = found["right"] / found["tries"]
        return guesser.line(), told


# ---- public ports ----


def stalled(bench, tunnel, figure):
    """100 users' p99 beside thousands who ask for 300 KB each and read nothing, or fewer for 20 MB, and what that takes."""
    seconds, n = _seconds(bench, figure), figure.steps[bench.profile]
    user = ["pp", "-c", 100, "-s", 64, "-w", 0.2, "-t", seconds]
    quiet, before, fds = _p99(bench, tunnel, figure, user), _memory(tunnel, "before"), _fds(tunnel)
    times, ms = _short()
    size = 20_000_000 if figure.name == "hostile-stalled-large" else 300_000
    with Hostile(bench, "stall", "-p", tunnel.port, "-c", n, "-n", 250, "-b", size) as crowd:
        there = crowd.line()["open"]
        held = _settle(tunnel) - fds
        beside, during = _p99(bench, tunnel, figure, user), _memory(tunnel, "during")
    time.sleep(2)
    times_after, ms_after = _short()
    return {"p99_ratio": beside / quiet, "p99_quiet_us": quiet, "p99_hostile_us": beside, "there": there,
            "short": times_after - times, "short_ms": ms_after - ms, "held_fds": held, **before, **during, **_memory(tunnel, "after")}


def _download(bench, tunnel, seconds, *beside):
    """The rate of a download that was there before the traffic beside it; and what that says at its end."""
    load = Load(bench.tools, ["bulk", "-d", "down", "-c", 1, "-w", 0.5, "-t", seconds, "-p", tunnel.port, "-g"])
    try:
        load.line(30)
        with Hostile(bench, *beside) as other:
            load.go()
            rate = load.line(seconds + 60)["mb_per_s"]
            return rate, other.line()
    finally:
        load.release()


def resets(bench, tunnel, figure):
    """A download beside connections that are reset as soon as they are there, and how long both ends take after. The same
    resets at a program that only accepts and closes say what the generator and the kernel take by themselves."""
    seconds, before = _seconds(bench, figure), _fds(tunnel)
    quiet, _ = _download(bench, tunnel, seconds, "burn", "-t", seconds + 1)
    beside, done = _download(bench, tunnel, seconds, "reset", "-p", tunnel.port, "-n", 250, "-t", seconds + 1)
    back, more = _wait_back(tunnel, before, 30)
    with Hostile(bench, "bare") as bare:
        elsewhere, _ = _download(bench, tunnel, seconds, "reset", "-p", bare.line()["port"], "-n", 250, "-t", seconds + 1)
    return {"rate_ratio": beside / quiet, "bare_ratio": beside / elsewhere, "rate_quiet_mb_per_s": quiet, "hostile_per_s": done["resets"] / done["seconds"],
            "back_s": back, "fds_more": more}


def _own(tunnel):
    return sum(m.own for m in tunnel.memory())


def users(bench, tunnel, figure):
    """Thousands who never write, who close their half at once, who write single bytes: what they hold, and after."""
    n, numbers = figure.steps[bench.profile], {}
    for kind in ("quiet", "half", "drip"):
        fds, own = _fds(tunnel), _own(tunnel)
        with Hostile(bench, kind, "-p", tunnel.port, "-c", n, "-n", 250) as crowd:
            there = crowd.line()["open"]
            time.sleep(DRIP_SECONDS)
            numbers |= {f"{kind}_kb_a_user": (_own(tunnel) - own) / 1e3 / there, f"{kind}_fds": (_fds(tunnel) - fds) / there}
        numbers[f"{kind}_fds_more"] = _wait_back(tunnel, fds, 30)[1]
    return numbers
