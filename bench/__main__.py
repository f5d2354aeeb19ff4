# SPDX-License-Identifier: MIT
"""python3 -m bench: measures tunnels side by side. See docs/benchmarks.md."""

import argparse
import sys
import tempfile
from pathlib import Path

from bench import figures, report, run, systems
from bench.lab import ROOT


def arguments():
    p = argparse.ArgumentParser(prog="python3 -m bench", description=__doc__)
    p.add_argument("--set", default="short", choices=list(figures.SETS), help="which figures, and how long")
    p.add_argument("--figure", action="append", metavar="NAME", help="only this one (repeat for more)")
    p.add_argument("--system", action="append", metavar="NAME[=COMMAND]",
                   help="only this one (repeat for more); NAME=COMMAND is another build of gotunnel, or flags")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--tools", type=Path, default=ROOT / "build-bench/bench", help="where load, limit, delay are")
    p.add_argument("--gotunnel", metavar="PATH", help="the program to measure (default: build-bench/gotunnel)")
    p.add_argument("--list", action="store_true", help="name figures and systems, and stop")
    a = p.parse_args()
    for name in a.figure or ():
        if name not in figures.BY_NAME:
            p.error(f"no figure {name!r}; there are: {', '.join(figures.BY_NAME)}")
    return a


def main():
    a = arguments()
    if a.list:
        print("figures:", *(f"  {f.name:16} {f.title}" for f in figures.FIGURES), sep="\n")
        print("systems:", *(f"  {s.name:16} {s.what}" for s in systems.RECIPES.values()), sep="\n")
        return 0
    chosen = systems.select(a.system, a.gotunnel)
    with tempfile.TemporaryDirectory(prefix="gotunnel-bench-") as path:
        bench = run.Bench(Path(path), a.tools, a.set, a.rounds)
        bench.find(chosen)
        for name in a.figure or figures.SETS[a.set]:
            bench.run(figures.BY_NAME[name])
            rows = report.figure_table(bench.results, name, bench.names, bench.names[0])
            print(f"\n{report.title(name)}\n{report.as_text(rows)}", flush=True)
    return 1 if bench.results.failed else 0


sys.exit(main())
