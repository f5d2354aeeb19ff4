# SPDX-License-Identifier: MIT
"""Numbers of several rounds: medians, spreads, ratios."""

from statistics import median


class Series:
    """All rounds of one system in one figure: {metric: [numbers]}."""

    def __init__(self):
        self.rounds = {}

    def add(self, numbers):
        for metric, value in numbers.items():
            self.rounds.setdefault(metric, []).append(value)

    def median(self, metric):
        """None if it was never measured."""
        values = self.rounds.get(metric)
        return median(values) if values else None

    def spread(self, metric):
        values = self.rounds[metric]
        return min(values), max(values)


class Results:
    """results[figure, system] is a Series; `failed` says why others are missing."""

    def __init__(self):
        self.series = {}
        self.failed = {}  # (figure, system): why
        self.absent = {}  # system: why
        self.versions = {}  # system: what was measured
        self.notes = {}  # figure: [sentences]
        self.commands = {}  # figure: what ran

    def add(self, figure, system, numbers):
        self.series.setdefault((figure, system), Series()).add(numbers)

    def keep(self, figures, names):
        """Takes over figures of an earlier run, as its JSON has them, of these systems."""
        for figure, data in figures.items():
            for system, rounds in data["systems"].items():
                if system in names:
                    series = self.series.setdefault((figure, system), Series())
                    series.rounds = rounds
            self.commands[figure] = data["command"]
            self.failed |= {(figure, s): why for s, why in data["failed"].items() if s in names}
            if data["notes"]:
                self.notes[figure] = data["notes"]

    def median(self, figure, system, metric):
        series = self.series.get((figure, system))
        return series.median(metric) if series else None

    def ratio(self, figure, system, other, metric):
        """The median of the ratios of each round, ours to the other's: within a round the machine was
        the same for both. None where one is missing."""
        a, b = (self.series.get((figure, s)) for s in (system, other))
        if not a or not b:
            return None
        pairs = zip(a.rounds.get(metric, ()), b.rounds.get(metric, ()))
        ratios = [x / y for x, y in pairs if y]
        return median(ratios) if ratios else None
