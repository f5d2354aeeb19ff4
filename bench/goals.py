# SPDX-License-Identifier: MIT
"""The goals, as ratios measured side by side in one run, and whether they are reached."""

from dataclasses import dataclass

ORIGINAL = "go"
BULK_1 = ("bulk-up-1", "bulk-down-1")
BULK_8 = ("bulk-up-8", "bulk-down-8")


@dataclass
class Goal:
    """Our number by `metric` in each of the figures; against a system the ratio to its number. Of several
    figures or systems the one farthest from the goal counts."""

    text: str
    figures: tuple
    metric: str
    limit: float
    against: tuple = ()
    at_least: bool = False  # else at most
    unit: str = ""

    def against_text(self):
        return ", ".join(self.against) or "–"

    def goal_text(self):
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.limit:g}" + (f" {self.unit}" if self.unit else "×" if self.at_least else "")

    def values(self, results, ours):
        """[(number, where it comes from)] of all that was measured."""
        found = []
        for f in self.figures:
            if not self.against:
                found.append((results.median(f, ours, self.metric), f))
            for other in self.against:
                found.append((results.ratio(f, ours, other, self.metric), f"{f} / {other}"))
        return [(v, where) for v, where in found if v is not None]

    def outcome(self, results, ours):
        """(the number that counts, where it comes from, whether the goal is reached), or None: not measured."""
        values = self.values(results, ours)
        if not values:
            return None
        value, where = (min if self.at_least else max)(values)
        return value, where, value >= self.limit if self.at_least else value <= self.limit


def _cpu(text, figures, limit, *against):
    return Goal(text, figures, "cpu_s_per_gb", limit, against)


GOALS = [
    _cpu("bulk CPU-s/GB, 1 and 8 streams, each direction", BULK_1 + BULK_8, 1.08, "limit"),
    _cpu("bulk CPU-s/GB, 1 stream", BULK_1, 0.30, ORIGINAL),
    _cpu("bulk CPU-s/GB, 8 streams", BULK_8, 0.42, ORIGINAL),
    _cpu("bulk CPU-s/GB", BULK_1 + BULK_8, 0.75, "stunnel", "haproxy", "nginx"),
    _cpu("bulk CPU-s/GB", BULK_1 + BULK_8, 1.0, "ssh-aes128gcm"),
    _cpu("bulk CPU-s/GB", BULK_1 + BULK_8, 0.60, "ssh"),
    Goal("bulk MB/s, 1 stream", BULK_1, "mb_per_s", 3.5, (ORIGINAL,), True),
    Goal("bulk MB/s, 8 streams", BULK_8, "mb_per_s", 2.5, (ORIGINAL,), True),
    Goal("CPU per 64-byte round trip, 64 connections", ("ping-64",), "cpu_us_per_trip", 0.20, (ORIGINAL,)),
    Goal("p99 of the same", ("ping-64",), "p99_us", 0.25, (ORIGINAL,)),
    Goal("p99 of the same", ("ping-64",), "p99_us", 0.5, ("haproxy",)),
    Goal("HTTP keep-alive requests/s", ("http-keepalive",), "requests_per_s", 2.5, (ORIGINAL,), True),
    Goal("new connections/s", ("connections",), "connections_per_s", 2.4, (ORIGINAL,), True),
    Goal("user memory per idle connection and end, 1,000 of them", ("memory",), "kb_per_idle_1000", 0.5, unit="KB"),
    Goal("the same, 15,000 of them", ("memory",), "kb_per_idle_15000", 0.5, unit="KB"),
    Goal("one stream at 100 ms round trip, defaults", ("far-100-1",), "mb_per_s", 80, (), True, "MB/s"),
    Goal("p99 of a small stream beside bulk, loopback", ("mix-loopback",), "p99_us", 2000, unit="µs"),
    Goal("bulk rate meanwhile", ("mix-loopback",), "mb_per_s", 3, (ORIGINAL,), True),
    Goal("CPU per message beside 15,000 idle connections", ("growth-connections",), "growth_15000", 1.1),
    Goal("CPU per message beside 500 sessions", ("growth-sessions",), "growth_500", 1.1),
    Goal("start-up to the first byte", ("startup",), "startup_ms", 20, unit="ms"),
    Goal("RSS at rest, an end", ("memory",), "rss_rest_mb", 7, unit="MB"),
]

HOSTILE = [
    Goal("a live user's p99 in a flood of handshakes, of that beside a busy processor", ("hostile-handshakes",),
         "p99_ratio", 2, unit="×"),
    Goal("of that beside the same flood at a program that only accepts and closes", ("hostile-handshakes",), "bare_p99_ratio", 2,
         unit="×"),
    *(Goal(f"a known client is back beside 3,100 that hold after {words}, a second", figures, "known_s", 3, unit="s")
      for words, figures in (("a byte or half a hello", ("hostile-hold-byte", "hostile-hold-half")),
                             ("a hello", ("hostile-hold-hello",)))),
    Goal("a good stranger 100 ms away is in beside the first", ("hostile-hold-byte", "hostile-hold-half"), "stranger_s", 3,
         unit="s"),
    *(Goal(f"verdicts that one address learns in a minute, {words}", ("hostile-guesses",), f"verdicts_{how}", 20 + 5)
      for how, words in (("patient", "patient"), ("impatient", "25 ms each"), ("lines", "3 lines each"), ("proofs", "proofs"))),
    Goal("lines of the log that they write", ("hostile-guesses",), "lines_a_minute", 60 + 5),
    Goal("100 users' p99 beside 5,000 who read nothing, of that without", ("hostile-stalled",), "p99_ratio", 2, unit="×"),
    Goal("times TCP is short of memory beside them", ("hostile-stalled",), "short", 0),
    Goal("100 users' p99 beside 1,000 who ask for 20 MB and read nothing", ("hostile-stalled-large",), "p99_ratio", 2, unit="×"),
    Goal("ms that TCP is short of memory then", ("hostile-stalled-large",), "short_ms", 1000),
    Goal("rate of a download beside resets, of that beside a busy processor", ("hostile-resets",), "rate_ratio", 0.9, (),
         True, "×"),
    Goal("of the rate beside the same resets at a program that only accepts and closes", ("hostile-resets",), "bare_ratio", 0.9, (),
         True, "×"),
    Goal("descriptors are back after them", ("hostile-resets",), "back_s", 2, unit="s"),
    *(Goal(f"descriptors that {words} leave behind", ("hostile-users",), f"{kind}_fds_more", 0) for kind, words in
      (("quiet", "users who never write"), ("half", "half-closed ones"), ("drip", "writers of single bytes"))),
]

FLEET = [
    Goal("a further tunnel at the server", ("fleet-memory",), "kb_a_tunnel", 2, unit="KB"),
    Goal("a further tunnel at the client", ("fleet-memory",), "kb_a_tunnel_client", 2, unit="KB"),
    Goal("of 4,000 clients with 3 tunnels, not held", ("fleet-held",), "not_held", 0),
    Goal("visitors who do not reach the tunnel of their port", ("fleet-held",), "wrong", 0),
]


def asked(results):
    """The goals of this run: those of hostile traffic and of fleets only where they were made."""
    return GOALS * any(not f.startswith(("hostile-", "fleet-")) for f in results.commands) + \
        HOSTILE * any(f.startswith("hostile-") for f in results.commands) + \
        FLEET * any(f.startswith("fleet-") for f in results.commands)


def table(results, ours):
    """Rows for people, with a heading."""
    rows = [["figure", "against", "goal", "measured", "where", ""]]
    for g in asked(results):
        outcome = g.outcome(results, ours)
        if not outcome:
            rows.append([g.text, g.against_text(), g.goal_text(), "–", "", "not measured"])
            continue
        value, where, reached = outcome
        rows.append([g.text, g.against_text(), g.goal_text(), f"{value:,.2f}", where,
                     "reached" if reached else "not reached"])
    return rows
