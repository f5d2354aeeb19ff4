# SPDX-License-Identifier: MIT
"""The driver of the benchmark: what it measures is there, and to the kind it says. No times are asserted."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench import figures, goals, lab, measures, results

PATIENCE = 600
ROOT = Path(__file__).resolve().parents[2]


def run(tools, out, *args):
    return subprocess.run(
        [sys.executable, "-m", "bench", "--set", "tiny", "--rounds", "1", "--tools", tools, "--out", out, *args],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)


@pytest.mark.serial
def test_a_small_run_has_all_figures(tools, program, tmp_path):
    done = run(tools, tmp_path, "--gotunnel", program, "--system", "gotunnel", "--system", f"other={program}",
               "--system", "limit")
    assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads((tmp_path / "results.json").read_text())
    assert list(data["figures"]) == figures.SETS["tiny"]
    for name, figure in data["figures"].items():
        assert list(figure["systems"]) == ["gotunnel", "other", "limit"], (name, figure["failed"])
        for numbers in figure["systems"].values():
            assert numbers
            for metric, values in numbers.items():
                assert len(values) == 1 and metric in measures.METRICS
                assert values[0] >= 0 or metric.startswith("kb_per_idle")
    assert len(data["goals"]) == len(goals.GOALS)
    assert data["machine"]["processors"] >= 1
    assert ET.parse(tmp_path / "chart.svg").getroot().tag.endswith("svg")
    assert "| gotunnel |" in (tmp_path / "results.md").read_text()


@pytest.mark.serial
def test_hostile_traffic_is_measured(tools, program, tmp_path):
    names = ["hostile-handshakes", "hostile-hold-byte", "hostile-guesses"]
    done = run(tools, tmp_path, "--system", f"gotunnel={program}", *(f"--figure={name}" for name in names))
    assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads((tmp_path / "results.json").read_text())
    numbers = {name: figure["systems"]["gotunnel"] for name, figure in data["figures"].items()}
    assert list(numbers) == names
    assert numbers["hostile-handshakes"]["hostile_per_s"][0] > 0
    assert numbers["hostile-hold-byte"]["known_s"][0] > 0
    assert numbers["hostile-guesses"]["verdicts_patient"][0] > 0
    assert len(data["goals"]) == len(goals.HOSTILE)


def test_what_is_not_here_is_named(tools, program, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\n[ $1 = -version ] && echo broken 1 && exit\necho no luck >&2; exit 1\n")
    broken.chmod(0o755)
    done = run(tools, tmp_path, "--system", f"gotunnel={program}", "--system", f"broken={broken}", "--system",
               "missing=/bin/false", "--figure", "bulk-up-1")
    assert done.returncode == 0, done.stdout + done.stderr  # ours was measured
    data = json.loads((tmp_path / "results.json").read_text())
    figure = data["figures"]["bulk-up-1"]
    assert list(figure["systems"]) == ["gotunnel"]
    assert "no luck" in figure["failed"]["broken"]
    assert "missing" in data["absent"]
    for text in (done.stdout, (tmp_path / "results.md").read_text()):
        assert "no luck" in text and "missing" in text


def test_a_failure_of_ours_fails_the_run(tools, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\n[ $1 = -version ] && echo broken 1 && exit\nexit 1\n")
    broken.chmod(0o755)
    assert run(tools, tmp_path, "--system", f"gotunnel={broken}", "--figure", "bulk-up-1").returncode == 1


# ---- what the system says of processes ----

BURN = "import time\nwhile time.process_time() < 0.4: sum(range(50000))\nprint('done', flush=True)\n"


@pytest.fixture
def processes(tmp_path):
    place = lab.Lab(tmp_path, None)
    yield place
    place.close()


def test_a_burning_process_shows_its_time(processes):
    p = processes.start("burn", sys.executable, "-c", BURN + "time.sleep(1000)\n")
    p.match("done")
    used = lab.tree_usage([p.pid])
    assert 0.4 <= used.cpu < 10
    assert used.user > used.system
    assert used.user + used.system == pytest.approx(used.cpu)


def test_threads_and_children_count_also_when_they_have_ended(processes):
    script = ("import subprocess, sys, threading, time\n"
              "def burn():\n    end = time.thread_time() + 0.3\n    while time.thread_time() < end: pass\n"
              "t = threading.Thread(target=burn); t.start(); t.join()\n"
              f"subprocess.run([sys.executable, '-c', {BURN!r}])\n"
              "print('ended', flush=True)\ntime.sleep(1000)\n")
    p = processes.start("family", sys.executable, "-c", script)
    p.match("ended")
    assert lab.tree_usage([p.pid]).cpu >= 0.69  # a child's time comes in ticks


def test_a_living_child_counts(processes):
    child = f"{BURN}time.sleep(1000)\n"
    p = processes.start("parent", "/bin/sh", "-c", f"{sys.executable} -c \"{child}\" & wait")
    p.match("done")
    assert lab.tree_usage([p.pid]).cpu >= 0.4


def test_a_sleeping_process_shows_none(processes):
    p = processes.start("sleep", "/bin/sleep", "1000")
    before = lab.tree_usage([p.pid])
    lab.wait_for("it to sleep", lambda: lab._stat(p.pid)[0] == "S")
    assert (lab.tree_usage([p.pid]) - before).cpu < 0.3


def test_switches_and_memory_are_of_the_tree(processes):
    script = "import time\nx = bytearray(64 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\n" \
             "for _ in range(50): time.sleep(0.001)\nprint('ready', flush=True)\ntime.sleep(1000)\n"
    p = processes.start("big", sys.executable, "-c", script)
    p.match("ready")
    assert lab.tree_usage([p.pid]).switches >= 50
    memory = lab.tree_memory([p.pid])
    assert memory.rss >= 64 << 20 and memory.pss >= 64 << 20
    assert memory.own >= 64 << 20 and memory.own <= memory.rss and memory.pss <= memory.rss


def test_a_process_that_has_gone_is_nothing(processes):
    p = processes.start("gone", "/bin/true")
    p.popen.wait()
    assert lab.tree_usage([p.pid]) == lab.Usage()


# ---- numbers ----


def numbers(**series):
    """Results with one figure's metric: {system: rounds}."""
    r = results.Results()
    for key, values in series.items():
        figure, system, metric = key.split("__")
        for v in values:
            r.add(figure.replace("_", "-"), system, {metric: v})
    return r


def test_ratios_are_of_rounds():
    r = numbers(bulk_up_1__gotunnel__cpu_s_per_gb=[1, 4, 3], bulk_up_1__limit__cpu_s_per_gb=[2, 4, 2])
    assert r.median("bulk-up-1", "gotunnel", "cpu_s_per_gb") == 3
    assert r.ratio("bulk-up-1", "gotunnel", "limit", "cpu_s_per_gb") == 1
    assert r.ratio("bulk-up-1", "gotunnel", "go", "cpu_s_per_gb") is None


def test_the_worst_figure_decides_a_goal():
    goal = goals.Goal("x", ("bulk-up-1", "bulk-up-8"), "cpu_s_per_gb", 1.08, ("limit",))
    r = numbers(bulk_up_1__gotunnel__cpu_s_per_gb=[1], bulk_up_1__limit__cpu_s_per_gb=[1],
                bulk_up_8__gotunnel__cpu_s_per_gb=[3], bulk_up_8__limit__cpu_s_per_gb=[2])
    assert goal.outcome(r, "gotunnel") == (1.5, "bulk-up-8 / limit", False)
    least = goals.Goal("x", ("bulk-up-1", "bulk-up-8"), "cpu_s_per_gb", 1.0, ("limit",), at_least=True)
    assert least.outcome(r, "gotunnel") == (1.0, "bulk-up-1 / limit", True)
    assert goals.Goal("x", ("ping-1",), "p99_us", 1.0).outcome(r, "gotunnel") is None


def test_goals_name_figures_and_metrics_that_exist():
    for goal in goals.GOALS:
        assert all(f in figures.BY_NAME for f in goal.figures), goal.text
        assert goal.metric in measures.METRICS, goal.text


def test_wrk_times():
    times = ("730.00us", "1.25ms", "2.00s", "1.50m")
    assert [measures._microseconds(t) for t in times] == [730, 1250, 2000000, 90000000]
    with pytest.raises(lab.Failed):
        measures._microseconds("-nan")
