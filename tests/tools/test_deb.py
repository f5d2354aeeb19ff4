# SPDX-License-Identifier: MIT
"""The Debian package: what is in it, what it asks of the system, and that the same sources give the same package."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from test_build import INSTALLED, ROOT, run

NEEDED = ("dpkg-buildpackage", "dh", "lintian", "meson")
DEBIAN = ROOT / "debian"
SCRIPTS = sorted(p for p in DEBIAN.glob("gotunnel.p*") if p.suffix in (".preinst", ".postinst", ".prerm", ".postrm"))


def shell(*command, **kw):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, stdin=subprocess.DEVNULL, **kw)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def make_deb(into, cwd=ROOT):
    """The two packages: (gotunnel, gotunnel-dbgsym). lintian has nothing against them, or tools/deb fails."""
    if missing := [name for name in NEEDED if not shutil.which(name)]:
        pytest.skip(f"there is no {', '.join(missing)} here")
    done = run(cwd / "tools/deb", into, cwd=cwd)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = {p.name.split("_")[0]: p for p in Path(into).glob("*.deb")}
    return found["gotunnel"], found["gotunnel-dbgsym"]


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return make_deb(tmp_path_factory.mktemp("deb"))


def files_of(package):
    """{path: mode} of its files."""
    rows = [line.split(None, 5) for line in shell("dpkg-deb", "-c", package).splitlines()]
    return {row[5].removeprefix("./").split(" -> ")[0]: row[0] for row in rows if row[0][0] != "d"}


@pytest.mark.serial
def test_the_package_has_what_make_install_brings_and_what_debian_adds(packages):
    found = files_of(packages[0])
    plain = {re.sub(r"^lib/systemd", "usr/lib/systemd", name.removesuffix(".gz")) for name in found}
    added = sorted(plain - set(INSTALLED))
    assert set(INSTALLED) <= plain
    docs = [name for name in added if name.startswith("usr/share/doc/gotunnel/")]
    examples = {p.name for p in (ROOT / "packaging/examples").iterdir()} | {"jail.conf"}
    assert {Path(name).name for name in docs if "/examples/" in name} == examples
    assert "usr/share/doc/gotunnel/copyright" in docs
    assert sorted(set(added) - set(docs)) == ["etc/fail2ban/filter.d/gotunnel.conf", "usr/lib/sysusers.d/gotunnel.conf"]
    assert {mode for name, mode in found.items() if name != "usr/bin/gotunnel"} == {"-rw-r--r--"}
    assert shell("dpkg-deb", "-f", packages[1], "Package") == "gotunnel-dbgsym\n"
    assert all(name.startswith("usr/lib/debug/") or "/doc/" in name for name in files_of(packages[1]))


@pytest.mark.serial
def test_the_package_needs_what_the_program_is_linked_with(packages):
    needs = shell("dpkg-deb", "-f", packages[0], "Depends")
    for library in ("libc6", "libjansson4", "libseccomp2", "libssl3", "libuv1", "libyaml-0-2"):
        assert re.search(rf"\b{library}(t64)?\b", needs), needs


@pytest.mark.serial
def test_the_scripts_of_the_package_are_what_a_shell_takes(packages, tmp_path):
    """With what debhelper adds: sh reads them. Without it also shellcheck, and shellcheck our tools."""
    shell("dpkg-deb", "-e", packages[0], tmp_path / "control")
    for name in ("postinst", "prerm", "postrm"):
        shell("sh", "-n", tmp_path / "control" / name)
    # A unit that runs is restarted by our script, which knows of instances, and by no other.
    assert (tmp_path / "control/postinst").read_text().count("deb-systemd-invoke") == 1
    assert not (tmp_path / "control/preinst").exists()


def test_shellcheck_has_nothing_against_the_scripts():
    if not shutil.which("shellcheck"):
        pytest.skip("there is no shellcheck here")
    assert len(SCRIPTS) == 3
    shell("shellcheck", "-s", "sh", *SCRIPTS, ROOT / "tools/deb")


def test_the_versions_and_the_needs_of_a_build_are_the_same_everywhere():
    entry = re.match(r"gotunnel \(([^)]+)\)", (DEBIAN / "changelog").read_text()).group(1)
    version = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text()).group(1)
    assert entry.split("~")[0] == version
    needs = re.search(r"(?ms)^Build-Depends:(.*?)\n\n", (DEBIAN / "control").read_text()).group(1)
    asked = set(re.findall(r"(?m)^build\|(\S+?)[ |]", (ROOT / "tools/deps").read_text()))
    libraries = {name for name in asked if name.startswith("lib") and name != "libc6-dev"}
    assert libraries and libraries <= set(re.findall(r"[\w.+-]+-dev", needs))


@pytest.mark.long
@pytest.mark.serial
def test_the_same_sources_give_the_same_package(packages, tmp_path):
    """Also in another folder, and at another time: every byte of both packages."""
    tree = tmp_path / "elsewhere" / "sources"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns("build*", ".git", "__pycache__"))
    again = make_deb(tmp_path / "second", cwd=tree)
    for one, other in zip(packages, again):
        assert one.name == other.name and one.read_bytes() == other.read_bytes()
