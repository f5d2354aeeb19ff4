# SPDX-License-Identifier: MIT
"""The chart: horizontal bars, one panel for each of a few figures, as SVG written by hand."""

from html import escape

from bench.measures import METRICS

PANELS = [
    ("bulk-up-1", "cpu_s_per_gb", "Processor time of bulk data, 1 stream up"),
    ("bulk-up-1", "mb_per_s", "Rate of bulk data, 1 stream up"),
    ("ping-64", "cpu_us_per_trip", "Processor time of a 64-byte round trip, 64 connections"),
    ("ping-64", "p99_us", "Latency of the same, 99th percentile"),
    ("connections", "connections_per_s", "New connections"),
    ("memory", "kb_per_idle_1000", "Memory of an idle connection, one end"),
]

WIDTH, LABEL, VALUE, BAR, GAP, HEAD, PAD = 760, 120, 90, 16, 5, 46, 16
OURS, YARDSTICK, OTHER = "#1b7f5c", "#8a8f98", "#b9c4d6"


def _text(x, y, text, size=12, weight="normal", anchor="start", fill="#222"):
    return (f'<text x="{x}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
            f'fill="{fill}">{escape(text)}</text>')


def _bar(y, width, fill):
    return f'<rect x="{LABEL}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{BAR}" rx="2" fill="{fill}"/>'


def _panel(top, title, metric, rows, ours):
    """SVG elements of one panel, and its height."""
    unit = METRICS[metric]
    short = unit.unit.split(",")[0]
    note = "less is better" if unit.less else "more is better"
    parts = [_text(PAD, top + 20, title, 14, "bold"), _text(PAD, top + 36, f"{short}, {note}", 11, fill="#666")]
    most = max(value for _, value in rows)
    y = top + HEAD
    for name, value in rows:
        fill = OURS if name == ours else YARDSTICK if name == "limit" else OTHER
        width = (WIDTH - LABEL - VALUE) * value / most if most > 0 else 0
        parts += [_text(LABEL - 8, y + BAR - 4, name, anchor="end", weight="bold" if name == ours else "normal"),
                  _bar(y, width, fill),
                  _text(LABEL + width + 6, y + BAR - 4, f"{value:,.{min(unit.digits, 2)}f}", 11)]
        y += BAR + GAP
    return parts, y - top + PAD


def svg(results, names, ours, caption):
    """A picture of the figures that were measured; with none of them just the caption."""
    parts, top = [], PAD
    for figure, metric, title in PANELS:
        rows = [(s, v) for s in names if (v := results.median(figure, s, metric)) is not None]
        if rows:
            panel, height = _panel(top, title, metric, rows, ours)
            parts += panel
            top += height
    parts.append(_text(PAD, top + 12, caption, 11, fill="#666"))
    height = top + 12 + PAD
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">\n'
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n")
