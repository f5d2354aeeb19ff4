# SPDX-License-Identifier: MIT
"""The build itself: what an installation takes, and what a cross build does not."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 600


def run(*command, cwd=ROOT, **env):
    return subprocess.run([str(c) for c in command], cwd=cwd, env={**os.environ, **env}, capture_output=True,
                          text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL)


def without_cmocka(tmp_path):
    """A pkg-config that knows no cmocka, as on a machine that only installs."""
    real = shutil.which("pkg-config")
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "pkg-config").write_text(f'#!/bin/sh\ncase " $* " in *" cmocka "*) exit 1 ;; esac\nexec {real} "$@"\n')
    (fake / "pkg-config").chmod(0o755)
    return f"{fake}:{os.environ['PATH']}"


def files_below(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


UNITS = [f"usr/lib/systemd/system/gotunnel-{name}.service" for name in ("client@", "join@", "server")]
INSTALLED = ["usr/bin/gotunnel", *UNITS, "usr/share/bash-completion/completions/gotunnel",
             "usr/share/doc/gotunnel/gotunnel.cdx.json", "usr/share/fish/vendor_completions.d/gotunnel.fish", "usr/share/man/man1/gotunnel.1",
             "usr/share/zsh/site-functions/_gotunnel"]


def install(build, into, *options, cwd=ROOT, **env):
    done = run("make", "install", f"BUILD={build}", f"DESTDIR={into}", "PREFIX=/usr", *options, cwd=cwd, **env)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return files_below(into)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A first build, and what it installs: (folder of the build, folder of the installation, its files)."""
    here = tmp_path_factory.mktemp("first")
    files = install(here / "build", here / "files", PATH=without_cmocka(here))
    return here / "build", here / "files", files


@pytest.mark.serial
def test_an_installation_takes_the_program_alone(first, tmp_path):
    build, into, files = first
    assert files == INSTALLED
    unit = (into / UNITS[2]).read_text()
    assert "\nExecStart=/usr/bin/gotunnel server " in unit and not re.search(r"@\w+@", unit)
    # The same in a tree where the tests are to be built: they are not, for this.
    done = run("meson", "configure", build, "-Dtests=true", "-Dbench=true")
    assert done.returncode == 0, done.stderr
    assert install(build, tmp_path / "second", "UNITDIR=/etc/units") == sorted(
        [*(set(INSTALLED) - set(UNITS)), *(unit.replace("usr/lib/systemd/system", "etc/units") for unit in UNITS)])
    assert install(build, tmp_path / "third", "UNITDIR=none") == sorted(set(INSTALLED) - set(UNITS))
    assert install(build, tmp_path / "fourth") == INSTALLED  # what was asked for once is not kept
    assert not list(build.rglob("test_base_*.c.o")) and not list(build.rglob("fuzz_*.c.o"))


@pytest.mark.serial
def test_builds_in_different_folders_are_equal(first, tmp_path):
    """Also of sources in another folder, and at another time: every byte of every file."""
    _, into, files = first
    tree = tmp_path / "elsewhere" / "sources"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns("build*", "tests", ".git", "__pycache__"))
    for file in tree.rglob("*"):
        os.utime(file, (1700000000, 1700000000))
    assert install(tmp_path / "b", tmp_path / "second", cwd=tree) == files
    differing = [name for name in files if (into / name).read_bytes() != (tmp_path / "second" / name).read_bytes()]
    assert differing == []


def test_a_cross_build_runs_nothing_of_the_other_machine(tmp_path):
    """With needs_exe_wrapper and no wrapper Meson refuses to run what it has built for the other machine."""
    other = tmp_path / "other.ini"
    other.write_text("[binaries]\nc = 'cc'\nar = 'ar'\nstrip = 'strip'\n"
                     "pkgconfig = 'pkg-config'\npkg-config = 'pkg-config'\n"
                     "[properties]\nneeds_exe_wrapper = true\n"
                     "[host_machine]\nsystem = 'linux'\ncpu_family = 'aarch64'\ncpu = 'aarch64'\nendian = 'little'\n")
    build = tmp_path / "build"
    done = run("meson", "setup", build, "--cross-file", other)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    graph = run("ninja", "-C", build, "-t", "commands", "program").stdout
    assert "gendocs" in graph and "src/main.c" in graph
    # ... and what renders the documents is not linked with anything built for the other one.
    (built_by,) = [line for line in graph.splitlines() if "-o packaging/gendocs " in line and " -c " not in line]
    assert ".a" not in built_by
