# SPDX-License-Identifier: MIT
"""python3 -m bench: measures tunnels side by side. See docs/benchmarks.md."""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench import chart, figures, machine, report, run, systems
from bench.lab import ROOT, raise_descriptor_limit


def arguments():
    p = argparse.ArgumentParser(prog="python3 -m bench", description=__doc__)
    p.add_argument("--set", default="short", choices=list(figures.SETS), help="which figures, and how long")
    p.add_argument("--figure", action="append", metavar="NAME", help="only this one (repeat for more)")
    p.add_argument("--system", action="append", metavar="NAME[=COMMAND]",
                   help="only this one (repeat for more); the first one is ours, which the others are compared "
                        "with; NAME=COMMAND is another build of gotunnel, or one with flags")
    p.add_argument("--rounds", type=int, default=5, help="default: 5")
    p.add_argument("--out", type=Path, metavar="DIRECTORY", help="leave results.json, results.md, chart.svg there")
    p.add_argument("--keep", action="store_true",
                   help="with --out: keep what an earlier run left there of figures that this one does not measure")
    p.add_argument("--doc", action="store_true", help="put the results into docs/benchmarks.md, .json and .svg")
    p.add_argument("--tools", type=Path, default=ROOT / "build-bench/bench", help="where load, limit, delay are")
    p.add_argument("--gotunnel", metavar="PATH", default=os.environ.get("GOTUNNEL"),
                   help="the program to measure (default: $GOTUNNEL, or build-bench/gotunnel)")
    p.add_argument("--list", action="store_true", help="name figures and systems, and stop")
    a = p.parse_args()
    for name in a.figure or ():
        if name not in figures.BY_NAME:
            p.error(f"no figure {name!r}; there are: {', '.join(figures.BY_NAME)}")
    if (a.keep or a.doc) and not a.out:
        p.error("--keep and --doc need --out")
    if a.rounds < 1:
        p.error("--rounds: at least 1")
    return a


def show_list():
    print("figures:", *(f"  {f.name:20} {f.title}" for f in figures.FIGURES), sep="\n")
    print("systems:", *(f"  {s.name:20} {s.what}" for s in systems.RECIPES.values()), sep="\n")
    return 0


def earlier(out, bench, order):
    """Takes over figures that an earlier run left and this one does not measure. Their names."""
    path = out / "results.json"
    kept = json.loads(path.read_text(encoding="utf-8"))["figures"] if path.exists() else {}
    kept = {name: data for name, data in kept.items() if name in figures.BY_NAME and name not in order}
    bench.results.keep(kept, bench.names)
    return set(kept)


def write(out, bench, done, facts, settings):
    """Leaves the three files about the figures that are done. Their texts by name."""
    out.mkdir(parents=True, exist_ok=True)
    given = (bench.results, bench.names, [name for name in figures.BY_NAME if name in done], facts, settings)
    caption = f"{facts['cpu']}, {facts['processors']} processors, {facts['system']}, medians of {bench.rounds} rounds"
    texts = {"results.json": report.as_json(*given), "results.md": report.as_markdown(*given),
             "chart.svg": chart.svg(bench.results, bench.names, bench.names[0], caption)}
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    return texts


def publish(texts):
    """Puts a run into the documentation, between the two marks of docs/benchmarks.md."""
    docs = ROOT / "docs"
    page = (docs / "benchmarks.md").read_text(encoding="utf-8")
    head, rest = page.split("<!-- results -->\n")
    _, tail = rest.split("<!-- end of results -->\n")
    (docs / "benchmarks.md").write_text(
        f"{head}<!-- results -->\n{texts['results.md']}<!-- end of results -->\n{tail}", encoding="utf-8")
    (docs / "benchmarks.json").write_text(texts["results.json"], encoding="utf-8")
    (docs / "benchmarks.svg").write_text(texts["chart.svg"], encoding="utf-8")


def measure(a, bench):
    """Runs the figures one by one; what is done is written after each, so that a long run that is ended early
    was not for nothing. The texts of the files, None without --out."""
    order, texts, before = a.figure or figures.SETS[a.set], None, machine.load()
    done = earlier(a.out, bench, order) if a.keep else set()
    facts = machine.facts()  # before: the commit may be another one when this has run for an hour
    for name in order:
        bench.run(figures.BY_NAME[name])
        print(report.figure_text(bench.results, name, bench.names, bench.names[0]), flush=True)
        done.add(name)
        if a.out:
            settings = {"set": a.set, "rounds": a.rounds, "load": f"{before:.2f}, {machine.load():.2f}"}
            texts = write(a.out, bench, done, facts, settings)
    return texts


def main():
    a = arguments()
    if a.list:
        return show_list()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as after Ctrl-C: what was started is ended
    raise_descriptor_limit()
    systems.RECIPES["limit"].program = a.tools.resolve() / "limit"
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gotunnel-bench-") as path:
        bench = run.Bench(Path(path), a.tools.resolve(), a.set, a.rounds)
        bench.find(systems.select(a.system, a.set == "full", a.gotunnel))
        texts = measure(a, bench)
    print(report.goals_text(bench.results, bench.names[0]))
    if bench.results.absent:
        print("\n" + report.absent_text(bench.results))
    print(f"\n{time.monotonic() - start:.0f} s")
    if a.out:
        print(f"\nresults.json, results.md, chart.svg are in {a.out}")
    if a.doc:
        publish(texts)
    return 1 if bench.names[0] in {s for _, s in bench.results.failed} else 0


if __name__ == "__main__":
    sys.exit(main())
