# SPDX-License-Identifier: MIT
"""gotunnel genkey: a new secret, and nothing else, on standard output."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("GOTUNNEL", ROOT / "build/gotunnel")).resolve()


def genkey(*argv, lang="C", **how):
    return subprocess.run([PROGRAM, "genkey", *argv], env={**os.environ, "LC_ALL": lang}, stderr=subprocess.PIPE,
                          text=True, timeout=60, **how)


def test_64_hex_digits_and_a_line_feed():
    done = genkey(stdout=subprocess.PIPE)
    assert re.fullmatch(r"[0-9a-f]{64}\n", done.stdout)
    assert done.stderr == "" and done.returncode == 0


def test_no_two_are_alike():
    keys = [genkey(stdout=subprocess.PIPE).stdout for _ in range(20)]
    assert len(set(keys)) == 20
    # No digit of it stands still.
    assert all(len({k[i] for k in keys}) > 1 for i in range(64))


def test_a_file_made_with_it_is_a_secret_file(tmp_path):
    secret = tmp_path / "secret"
    done = subprocess.run(["sh", "-c", 'umask 077; "$0" genkey > secret', PROGRAM], cwd=tmp_path, timeout=60)
    assert done.returncode == 0
    assert len(secret.read_bytes()) == 65 and secret.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("redirect", [">&-", "> /dev/full"])
def test_what_can_not_be_written_is_an_error(redirect):
    done = subprocess.run(["sh", "-c", f'"$0" genkey {redirect}', PROGRAM], env={**os.environ, "LC_ALL": "C"},
                          stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and "cannot write the new secret: " in done.stderr


@pytest.mark.parametrize("lang,words", [("C", "takes none"), ("zh_CN.UTF-8", "不接受参数")])
def test_it_takes_no_arguments(lang, words):
    done = genkey("-n", "3", lang=lang, stdout=subprocess.PIPE)
    assert done.returncode == 2 and done.stdout == "" and words in done.stderr.splitlines()[0]


@pytest.mark.parametrize("word", ["-h", "-help", "--help"])
def test_help_goes_nowhere_near_the_secret(word):
    done = genkey(word, stdout=subprocess.PIPE)
    assert done.returncode == 0 and done.stdout == "" and "gotunnel genkey > secret" in done.stderr


def test_the_list_of_commands_has_it():
    done = subprocess.run([PROGRAM, "help"], capture_output=True, text=True, timeout=60)
    assert "gotunnel genkey " in done.stdout
