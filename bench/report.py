# SPDX-License-Identifier: MIT
"""What a run leaves: tables on the terminal, JSON, Markdown for docs/benchmarks.md."""

import json

from bench import goals
from bench.figures import BY_NAME
from bench.measures import METRICS
from bench.systems import RECIPES


def number(value, digits):
    return "–" if value is None else f"{value:,.{digits}f}"


def _cell(series, metric):
    if metric not in series.rounds:
        return "–"
    low, high = series.spread(metric)
    digits = METRICS[metric].digits
    return f"{number(series.median(metric), digits)} ({number(low, digits)}-{number(high, digits)})"


def headline(results, name, system):
    """The metric that stands for a figure."""
    return BY_NAME[name].headline or next(iter(results.series[name, system].rounds))


def _ratio(results, name, ours, other):
    if (name, ours) not in results.series:
        return "–"
    return number(results.ratio(name, ours, other, headline(results, name, other)), 2)


def figure_table(results, name, systems, ours):
    """One figure: a row for each system, median (min-max), and ours as a ratio to it by the headline."""
    measured = [s for s in systems if (name, s) in results.series]
    metrics = list(dict.fromkeys(m for s in measured for m in results.series[name, s].rounds))
    if not metrics:
        return []
    unit = METRICS[headline(results, name, measured[0])].unit.split(",")[0]
    rows = [["", *(METRICS[m].unit for m in metrics), f"{ours} / it, {unit}"]]
    for s in measured:
        rows.append([s, *(_cell(results.series[name, s], m) for m in metrics), _ratio(results, name, ours, s)])
    return rows


def remarks(results, name):
    """Sentences about a figure: who failed, and notes."""
    failed = [f"{s} failed: {why}" for (f, s), why in results.failed.items() if f == name]
    return failed + results.notes.get(name, [])


# ---- terminal ----


def as_text(rows):
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))] if rows else []
    return "\n".join("  " + "  ".join(
        c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))) for r in rows)


def figure_text(results, name, systems, ours):
    lines = [f"\n{BY_NAME[name].title} [{name}]", as_text(figure_table(results, name, systems, ours))]
    return "\n".join(lines + ["  " + r for r in remarks(results, name)])


def _left(rows):
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return "\n".join("  " + "  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip() for r in rows)


def goals_text(results, ours):
    return f"\nGoals of {ours}\n" + _left(goals.table(results, ours))


def absent_text(results):
    return "\n".join(f"absent: {s}: {why}" for s, why in results.absent.items())


# ---- JSON ----


def as_json(results, names, order, facts, settings):
    figures = {}
    for name in order:
        figures[name] = {
            "title": BY_NAME[name].title,
            "command": results.commands[name],
            "systems": {s: results.series[name, s].rounds for s in names if (name, s) in results.series},
            "failed": {s: why for (f, s), why in results.failed.items() if f == name},
            "notes": results.notes.get(name, []),
        }
    ours = names[0]
    return json.dumps({
        "machine": facts, "settings": settings, "systems": results.versions, "absent": results.absent,
        "figures": figures,
        "goals": [dict(zip(("figure", "against", "goal", "measured", "where", "outcome"), row))
                  for row in goals.table(results, ours)[1:]],
    }, indent=1, ensure_ascii=False) + "\n"


# ---- Markdown ----


def _markdown_table(rows, left=1):
    if not rows:
        return "Nothing was measured."
    line = [":--" if i < left else "--:" for i in range(len(rows[0]))]
    return "\n".join("| " + " | ".join(r) + " |" for r in [rows[0], line, *rows[1:]])


def _facts(facts, settings):
    names = {"memory_gb": "memory, GB", "tcp_rmem": "tcp_rmem", "tcp_wmem": "tcp_wmem"}
    rows = [["machine", ""]] + [[names.get(k, k.replace("_", " ")), str(v)] for k, v in facts.items()]
    rows += [["set", settings["set"]], ["rounds", str(settings["rounds"])],
             ["load average before and after", settings["load"]]]
    return _markdown_table(rows, 2)


def _systems(results, names):
    rows = [["system", "version", "what"]]
    for s in names:
        rows.append([s, results.versions[s], RECIPES[s].what if s in RECIPES else "another build or other flags"])
    rows += [[s, "absent", why] for s, why in results.absent.items()]
    return _markdown_table(rows, 3)


def as_markdown(results, names, order, facts, settings):
    """The tables of a run."""
    ours = names[0]
    parts = ["### Goals", _markdown_table(goals.table(results, ours), 6),
             "### Machine", _facts(facts, settings), "### Systems", _systems(results, names), "### Figures",
             f"Medians of {settings['rounds']} interleaved rounds (fewer of what hardly varies: memory, long "
             f"round trips), in brackets the least and the most. The last column is {ours} divided by the system "
             "of the row, the median of the ratios of each round."]
    for name in order:
        f = BY_NAME[name]
        parts += [f"#### {f.title}", f"`{results.commands[name]}`",
                  _markdown_table(figure_table(results, name, names, ours))]
        parts += [f"- {r}" for r in remarks(results, name)]
    return "\n\n".join(parts) + "\n"
