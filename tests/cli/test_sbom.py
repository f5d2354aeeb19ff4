# SPDX-License-Identifier: MIT
"""The bill of materials that the build makes, against the program that it is about."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("GOTUNNEL", ROOT / "build/gotunnel")).resolve()
BILL = PROGRAM.parent / "packaging/gotunnel.cdx.json"
LIBRARIES = ("libuv.so=libuv=1=MIT", "libssl.so=openssl=3=Apache-2.0", "libcrypto.so=openssl=3=Apache-2.0",
             "libc.so=glibc=2=LGPL-2.1-or-later", "libseccomp.so=libseccomp=2=LGPL-2.1-only", "libyaml-0.so=libyaml=0=MIT", "libjansson.so=jansson=2=MIT")

pytestmark = pytest.mark.skipif(not BILL.exists(), reason="a build with sanitizers has no bill of materials")


def sbom(*libraries, **env):
    return subprocess.run([ROOT / "tools/sbom", PROGRAM, "1.0.0", *libraries], capture_output=True, text=True, timeout=60,
                          env={**{k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"}, **env})


def test_every_library_of_the_program_is_in_it():
    dynamic = subprocess.run(["readelf", "-dW", PROGRAM], check=True, capture_output=True, text=True,
                             env={**os.environ, "LC_ALL": "C"}).stdout
    bill = json.loads(BILL.read_text())
    sonames = [p["value"] for row in bill["components"] for p in row["properties"]]
    assert sorted(sonames) == sorted(re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic)) != []
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    refs = [row["bom-ref"] for row in bill["components"]]
    assert bill["dependencies"] == [{"ref": "gotunnel", "dependsOn": refs}] and len(refs) == len(set(refs))
    for row in bill["components"]:
        assert re.fullmatch(r"\d+[\d.]*", row["version"]) and row["licenses"] and row["purl"].startswith("pkg:")


def test_a_library_that_nobody_has_named_is_an_error():
    done = sbom(*LIBRARIES[:-1])
    assert done.returncode == 1 and done.stdout == ""
    assert "is linked with libjansson.so.4, which meson.build does not name" in done.stderr


def test_the_time_in_it_is_the_one_that_is_given():
    first, second = sbom(*LIBRARIES), sbom(*LIBRARIES)
    assert first.returncode == 0 and first.stdout == second.stdout and "timestamp" not in first.stdout
    dated = json.loads(sbom(*LIBRARIES, SOURCE_DATE_EPOCH="1700000000").stdout)
    assert dated["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
