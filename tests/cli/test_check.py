# SPDX-License-Identifier: MIT
"""gotunnel check: what a file would do, in both languages, and what is wrong with what it names."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("GOTUNNEL", ROOT / "build/gotunnel")).resolve()
CA = ROOT / "tests/vectors/certs-go/ca.crt"
EXAMPLES = sorted(p for p in (ROOT / "packaging/examples").iterdir() if p.stem in ("client", "server"))
LONG = "a-secret-of-more-than-16-bytes"


def check(*words, cwd, **env):
    return subprocess.run([PROGRAM, "check", *words], cwd=cwd, capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C", "GOTUNNEL_SECRET": "", **env})


def files_of(folder):
    return {f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.fixture
def place(tmp_path):
    """A folder with a secret and a CA."""
    (tmp_path / "secret").write_text(LONG + "\n")
    (tmp_path / "secret").chmod(0o600)
    shutil.copy(CA, tmp_path / "ca.crt")
    return tmp_path


def write(folder, text, mode=0o644):
    (folder / "f.yaml").write_text(text)
    (folder / "f.yaml").chmod(mode)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.name)
@pytest.mark.parametrize("language", ["C", "zh_CN.UTF-8"])
def test_the_examples(place, example, language):
    shutil.copy(example, place)
    before = files_of(place)
    done = check(example.name, cwd=place, LC_ALL=language)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.startswith(f"{example.name}: ") and f"'gotunnel {example.stem}'" in done.stdout
    assert (" ".join(done.stdout.split()).isascii()) == (language == "C")
    assert files_of(place) == before and LONG not in done.stdout


def test_what_a_client_would_do(place):
    write(place, "server: h:7000\nsecret-file: secret\nca: ca.crt\ntunnels: [{name: web, port: 8080, target: 127.0.0.1:3000}]\n")
    (place / "elsewhere").mkdir()
    fingerprint = subprocess.run(["openssl", "x509", "-in", CA, "-noout", "-fingerprint", "-sha256"], check=True,
                                 capture_output=True, text=True).stdout.split("=")[1].replace(":", "").strip().lower()
    done = check("../f.yaml", cwd=place / "elsewhere")
    assert done.stdout == f"""\
../f.yaml: for 'gotunnel client', which
  connects to h:7000
  takes the secret from ../secret
  trusts the CA in ../ca.crt, SHA-256 {fingerprint}
  forwards the public port 8080 to 127.0.0.1:3000 (tunnel web)
"""
    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_server_would_do(place):
    write(place, f"secret: {LONG}\nallow-ports: 80,8000-8999\ncerts: made\n", 0o600)
    done = check("f.yaml", cwd=place)
    assert done.stdout == """\
f.yaml: for 'gotunnel server', which
  waits for clients at 7000
  has the secret in the file itself
  makes its certificates in made at the first start
  opens the public ports 80,8000-8999 for clients
"""
    assert (done.returncode, done.stderr) == (0, "") and not (place / "made").exists()
    shutil.copytree(CA.parent, place / "made")
    (place / "clients").mkdir(mode=0o700)
    write(place, "certs: certs\n")
    done = check("f.yaml", cwd=place)
    assert done.returncode == 0 and done.stdout.splitlines()[2] == "  lets in only clients with a key of their own, from clients", done.stderr
    write(place, f"secret: {LONG}\ncerts: certs\n", 0o600)
    assert "\n  lets in clients with a key of their own, from clients\n" in check("f.yaml", cwd=place).stdout
    (place / "clients").rmdir()
    write(place, "secret-file: '-'\ncerts: made\n")
    done = check("f.yaml", cwd=place)
    assert done.returncode == 0 and done.stdout.splitlines()[2:] == [
        "  takes the secret from the standard input", "  has its certificates in made",
        "  opens whatever public port a client asks for"], done.stderr


CLIENT = "server: h:1\nsecret-file: secret\nca: ca.crt\n"


@pytest.mark.parametrize("text,told", [
    (CLIENT.replace("ca: ca.crt", "ca: none.crt"), ["none.crt"]),
    (CLIENT.replace("ca: ca.crt", "ca: secret"), ["secret"]),
    (CLIENT.replace("secret-file: secret", "secret-file: none"), ["none: No such file"]),
    (CLIENT.replace("secret-file: secret", "secret-file: open"), ["chmod 600"]),
    (CLIENT.replace("secret-file: secret\n", ""), ["the secret is missing"]),
    ("ca: none.crt\n", ["the secret is missing", "'server' is missing", "none.crt"]),
    (CLIENT.replace("secret-file: secret", "secret-file: short\nlegacy: never"), ["less than 16 bytes"]),
    (CLIENT + "servr: x\nid: a b\n", ["f.yaml:4:1: 'servr' is no key here; 'server'?", "f.yaml:5:5: id: "]),
    ("listen: 1\n", ["the secret is missing"]),
    ("", ["f.yaml:1:1: the file is empty"]),
])
def test_what_is_wrong(place, text, told):
    (place / "open").write_text(LONG)
    (place / "open").chmod(0o644)
    (place / "short").write_text("short")
    (place / "short").chmod(0o600)
    write(place, text)
    for env in ({}, {"NOTIFY_SOCKET": "/nowhere"}):
        done = check("f.yaml", cwd=place, **env)
        lines = done.stderr.splitlines()
        assert done.returncode == 2 and len(lines) == len(told), done.stderr
        assert all(line.startswith("f.yaml:") and t in line for t, line in zip(told, lines)), done.stderr


def test_the_environment_s_secret_counts(place):
    write(place, "server: h:1\nca: ca.crt\n")
    done = check("f.yaml", cwd=place, GOTUNNEL_SECRET=LONG)
    assert done.returncode == 0 and "takes the secret from GOTUNNEL_SECRET\n" in done.stdout
    # A short one is one that the start would warn of.
    done = check("f.yaml", cwd=place, GOTUNNEL_SECRET="short")
    assert done.returncode == 0 and done.stderr.startswith("f.yaml: the secret has less than 16 bytes")


@pytest.mark.parametrize("words,status", [((), 2), (("a", "b"), 2), (("-x",), 2), (("-h",), 0), (("--help",), 0)])
def test_its_command_line(tmp_path, words, status):
    done = check(*words, cwd=tmp_path)
    assert done.returncode == status and done.stderr.startswith("Usage of check: ") and done.stdout == ""


def test_a_file_that_is_not_there(tmp_path):
    done = check("none.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "none.yaml: No such file or directory\n")
