# SPDX-License-Identifier: MIT
"""Tables for people."""

from bench.figures import BY_NAME, METRICS


def number(value, digits):
    return "–" if value is None else f"{value:,.{digits}f}"


def _cell(series, metric):
    low, high = series.spread(metric)
    digits = METRICS[metric].digits
    return f"{number(series.median(metric), digits)} ({number(low, digits)}-{number(high, digits)})"


def figure_table(results, name, systems, ours):
    """One figure: a row for each system, median (min-max), and ours as a ratio to it by its first metric."""
    measured = [s for s in systems if (name, s) in results.series]
    metrics = list(dict.fromkeys(m for s in measured for m in results.series[name, s].rounds))
    rows = [["", *(METRICS[m].unit for m in metrics), f"{ours} / it"]]
    for s in measured:
        ratio = results.ratio(name, ours, s, metrics[0])
        rows.append([s, *(_cell(results.series[name, s], m) if m in results.series[name, s].rounds else "–"
                          for m in metrics), number(ratio, 2)])
    for s in systems:
        if (name, s) in results.failed:
            rows.append([s, "failed: " + results.failed[name, s], *[""] * len(metrics)])
    return rows


def as_text(rows):
    widths = [max(len(str(r[i])) for r in rows if len(str(r[i])) < 60) for i in range(len(rows[0]))]
    lines = []
    for r in rows:
        cells = [str(c).ljust(w) if i == 0 else str(c).rjust(w) for i, (c, w) in enumerate(zip(r, widths))]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def title(name):
    return f"{BY_NAME[name].title} [{name}]"
