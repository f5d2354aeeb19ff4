# SPDX-License-Identifier: MIT
"""The benchmark of docs/benchmarks.md: `python3 -m bench --help`, from the root of the sources.

lab.py        processes, ports, waiting; what the system says of processes (time, switches, memory)
systems.py    which tunnels are compared; each is a recipe in peers/
figures.py    what is measured: one row for each figure
results.py    medians, ratios; goals.py: the goals; report.py, chart.py: what people look at
"""
