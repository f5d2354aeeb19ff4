# SPDX-License-Identifier: MIT
"""The 130 recorded command lines of the original, given to the real program."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("GOTUNNEL", ROOT / "build/gotunnel")).resolve()
RECORDED = json.loads((ROOT / "tests/vectors/cli/flags.json").read_text())

# What is meant to differ (docs/migrating.md).
HELP_WORKS_AT_TOP_LEVEL = (["-h"], ["--help"], ["help"])
OUR_FLAG = (["server", "-secret", "x", "-version"],)
OUR_ROWS = ("allow-ports", "certs", "client-rate", "clients", "config", "control", "drain", "forward", "handshakes", "id", "join", "join-file", "legacy", "log-format", "log-level", "log-visitors", "memory", "notify", "public-bind",
            "once", "resume-window", "sandbox", "secret-file", "threads", "trusted-proxy", "version", "wait")


def run(argv, path, language="zh_CN.UTF-8"):
    return subprocess.run([PROGRAM, *argv], env={**os.environ, "LC_ALL": language, "GOTUNNEL_SECRET": ""},
                          cwd=path, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def without_our_rows(text):
    """The list of flags without those the original does not have, and what stands around it."""
    text = re.sub(r"(?m)^  gotunnel .*\n|^'gotunnel up' .*\n|^更简单的办法.*\n|^\n", "", text)
    for name in OUR_ROWS:
        text = re.sub(rf"(?m)^  -{name}( string| int| duration| size)?\n    \t.*\n", "", text)
    return re.sub(r"(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} ", "YYYY/MM/DD hh:mm:ss.uuuuuu ", text)


def rows(text):
    """Each flag with its text; the original's are in the order of the alphabet, ours have those first without which nothing works."""
    return sorted(re.split(r"(?m)^(?=  -)", text))


def name(line):
    return " ".join(line["argv"]) or "(nothing)"


ENDS = [r for r in RECORDED if not r["stdout"].startswith("PARSED")
        and r["argv"] not in [*HELP_WORKS_AT_TOP_LEVEL, *OUR_FLAG]]


def test_none_is_left_out():
    accepted = [r for r in RECORDED if r["stdout"].startswith("PARSED")]
    assert len(RECORDED) == 130
    # Lines that start the program are compared value by value in tests/unit/conf/test_vectors.c.
    assert len(ENDS) + len(accepted) + len(HELP_WORKS_AT_TOP_LEVEL) + len(OUR_FLAG) == 130


@pytest.mark.parametrize("line", ENDS, ids=name)
def test_as_recorded(line, tmp_path):
    done = run(line["argv"], tmp_path)
    # A word behind the flags of a line that lacks its secret is our own error, which comes first.
    if line["argv"] in (["server", "-", "-secret", "x"], ["server", "--", "-secret", "x"],
                        ["server", "pos", "-secret", "x"], ["server", "-"]):
        assert done.returncode == 2 and "多余的参数" in done.stderr
        return
    assert done.returncode == line["exit"]
    assert done.stdout == line["stdout"]
    if done.returncode == 0 or not line["stderr"]:
        assert rows(without_our_rows(done.stderr)) == rows(line["stderr"])
    else:
        assert_error(done, line, tmp_path)
    assert not list(tmp_path.iterdir())


def assert_error(done, line, path):
    """The original's words for what is wrong stand in the last line, behind a short usage; ours may follow them. Where it
    names both flags that are required and one of them is there, only the other one is named."""
    words = line["stderr"].splitlines()[0]
    if line["exit"] == 2:  # the original has these in English only
        words = f"error: {words}"
        done = run(line["argv"], path, language="C")
        assert done.returncode == 2
    for flag in ("-secret", "-server"):
        if flag in line["argv"] and line["argv"][0] == "client" and line["exit"] == 1:
            words = words.replace(f"{flag} 和 ", "").replace(f" 和 {flag}", "")
    usage, pointer, last = without_our_rows(done.stderr).splitlines()
    assert line["argv"][0] in usage and f"gotunnel {line['argv'][0]} -h" in pointer
    assert last.startswith(words)


@pytest.mark.parametrize("argv", HELP_WORKS_AT_TOP_LEVEL + (["-help"],), ids=" ".join)
def test_help(argv, tmp_path):
    done = run(argv, tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    assert "gotunnel server" in done.stdout and "gotunnel client -h" in done.stdout
    assert done.stdout.index("gotunnel up -public") < done.stdout.index("gotunnel join gt1_...") < done.stdout.index("gotunnel server")
    assert done.stdout.splitlines()[-1].count("gotunnel up -h") == done.stdout.splitlines()[-1].count("gotunnel join -h") == 1


@pytest.mark.parametrize("mode,first", [("server", ["secret", "secret-file"]), ("client", ["server", "secret", "secret-file"]),
                                        ("join", ["json", "save", "join-file"]), ("up", ["public", "state"])])
def test_help_begins_with_what_one_types(mode, first, tmp_path):
    """Then the flags that are needed; and the long way points to the short one."""
    done = run([mode, "-h"], tmp_path, language="C")
    head, example = done.stderr.splitlines()[:2]
    assert head == f"Usage of {mode}:" and example.startswith(f"  gotunnel {mode} ")
    shown = re.findall(r"(?m)^  -([a-z-]+)", done.stderr)
    assert shown[:len(first)] == first
    rest = shown[len(first):]
    assert rest == sorted(rest)
    if mode in ("server", "client"):
        last = done.stderr.splitlines()[-1]
        assert "gotunnel up" in last and "gotunnel join" in last
    assert max(map(len, done.stderr.splitlines())) < 230


@pytest.mark.parametrize("typed,meant", [("jion", "join"), ("check-", "check"), ("gen-key", "genkey")])
def test_a_slip_in_the_first_word(typed, meant, tmp_path):
    done = run([typed], tmp_path, language="C")
    assert done.returncode == 1 and done.stderr == ""
    assert done.stdout.splitlines()[0] == f"error: '{typed}' is no subcommand: did you mean '{meant}'?"


@pytest.mark.parametrize("argv", [["version"], ["-version"], ["--version"], ["-V"], ["server", "-version"],
                                  ["client", "-version"]], ids=" ".join)
def test_version(argv, tmp_path):
    done = run(argv, tmp_path)
    assert done.returncode == 0 and re.fullmatch(r"gotunnel \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("argv", [
    ["server", "-secret", "x", "extra"], ["server", "-secret", "x", "--", "-listen", "9"],
    ["client", "-secret", "s", "-server", "h:1", "extra"], ["server", "-secret", "x", "-version=false", "y"]],
    ids=" ".join)
def test_an_argument_left_over_is_an_error(argv, tmp_path):
    done = run(argv, tmp_path)
    assert done.returncode == 2
    assert "多余的参数" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("argv,words", [
    (["server", "-log-level", "loud"], "error warn info debug"),
    (["server", "-allow-ports", "80-x"], "8000-8999,80"),
    (["server", "-trusted-proxy", "10.0.0.1/8"], "write 10.0.0.0/8"),
    (["server", "-trusted-proxy", ",".join(["10.0.0.1"] * 33)], "up to 32 networks"),
    (["server", "-trusted-proxy="], "up to 32 networks"),
    (["server", "-threads", "0"], "must be a number from 1 to 64"),
    (["server", "-threads", "-1"], "must be a number from 1 to 64"),
    (["server", "-threads", "1000"], "must be a number from 1 to 64"),
    (["client", "-threads", "two"], "must be a number from 1 to 64"),
    (["client", "-threads="], "must be a number from 1 to 64"),
    (["server", "-secret", "x" * 5000], "4095 bytes"),
    (["server", "-legacy", "no"], "must be one of: allow never"),
    (["client", "-legacy="], "must be one of: allow never"),
    (["client", "-sandbox", "on"], "must be one of: auto require off"),
    (["server", "-resume-window", "10m1s"], "must be a duration from 0 to 10m"),
    (["client", "-resume-window", "-1s"], "must be a duration from 0 to 10m"),
    (["client", "-resume-window", "60"], "a duration has a unit: write 60s"),
    (["client", "-version=maybe"], "parse error")])
def test_values_that_are_not_taken(argv, words, tmp_path):
    done = run(argv, tmp_path, language="C")
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1] and len(done.stderr.splitlines()[-1]) < 1100
    assert "x" * 100 not in done.stderr  # a secret is not repeated
