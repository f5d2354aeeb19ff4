# SPDX-License-Identifier: MIT
"""Files that are wrong in every way, and what is said of them in both languages, as it is kept in
tests/vectors/config. After a change: GOTUNNEL_GOLDEN=write pytest tests/cli/test_config_texts.py, and read the difference."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("GOTUNNEL", ROOT / "build/gotunnel")).resolve()
VECTORS = ROOT / "tests/vectors/config"

T = "tunnels: [{port: 80, target: a:1}]\n"
FILES = [
    ("client", b""),
    ("client", b"# all of it\n# is a comment\n"),
    ("client", b"-server h:1\n"),
    ("client", b"server = h:1\n"),
    ("client", b"- server: h:1\n"),
    ("client", b"server: h:1\n---\nserver: h:2\n"),
    ("client", b"server: h:1\nserver: h:2\n"),
    ("client", b"servr: h:1\nsecretfile: s\nloglevel: info\n"),
    ("client", b"server: h:1\nfrobnicate: yes\n"),
    ("client", b"listen: 7000\ncerts: c\n"),
    ("server", b"listen: 7000\nca: ca.crt\ntunnels: []\n"),
    ("client", b"server: h:1\nremote-port: 80\nlocal-target: a:1\n"),
    ("client", b"server: h:1\nport: 80\n"),
    ("client", b"server: &a h:1\nid: *a\n<<: {ca: c}\ndrain: !!str 3s\n"),
    ("client", b"tunnels:\n\t- port: 80\n"),
    ("client", b"server: h:1\n id: x\n"),
    ("client", b"tunnels: [{port: 80, target: [::1]:80}]\n"),
    ("client", b"server: h:1\nid: \xff\n"),
    ("client", b"server: h:1\nid: \x1b[31m\n"),
    ("client", b"a: [[[[[[[[1]]]]]]]]\n"),
    ("client", b"server: h\n"),
    ("client", b"server: http://h:1\n"),
    ("client", b"server: h:70000\n"),
    ("client", b"server: h:no-such-service\n"),
    ("client", b"server: ::1\n"),
    ("client", b"server: [h:1, h:2]\nid: {a: b}\nca:\n"),
    ("client", b"tunnels:\n"),
    ("client", b"tunnels: {port: 80}\n"),
    ("client", b"tunnels: []\n"),
    ("client", b"tunnels: [80]\n"),
    ("client", b"tunnels:\n  - name: ssh\n"),
    ("client", b"tunnels:\n  - {name: a b, port: 70000, target: h}\n"),
    ("client", b"tunnels:\n  - {prot: 80, target: a:1, id: x}\n"),
    ("client", b"tunnels:\n  - {port: 1, target: a:1}\n  - {name: a, port: 1, target: a:2}\n  - {name: a, port: 2, target: a:3}\n  - {port: 1, target: a:4}\n"),
    ("client", b"tunnels:\n  - {name: a, port: 1, target: a:1}\n  - {name: a, port: 2, target: a:2}\n"),
    ("client", b"tunnels:\n  - {name: '4', port: 3, target: a:3}\n  - {port: 4, target: a:4}\n"),
    ("client", b"id: a b\nsecret: a\nsecret-file: b\n"),
    ("client", b"join: gt1_aaaa\n"),
    ("client", b"ca: ca.crt\njoin-file: f\nsecret-file: s\n"),
    ("client", b"max-retry-interval: 30\ndrain: 30\nresume-window: 11m\n"),
    ("client", b"legacy: no\nsandbox: on\nlog-level: loud\nthreads: 0\nmemory: 64\n"),
    ("client", b"secret: \"two\\nlines\"\n"),
    ("client", b"id: \"\\0\"\n"),
    ("server", b"public-bind: localhost\nlisten: 1:2:3\nhandshakes: 0\n"),
    ("server", b"allow-ports: 80-x\ntrusted-proxy: 10.0.0.1/8\n"),
    ("server", b"allow-ports: [80, [81], x, {a: 1}, 70000, \"\"]\ntrusted-proxy: []\nlisten: [1]\n"),
    ("server", b"trusted-proxy: [10.0.0.1/8, &a 10.0.0.0/8]\nallow-ports: [&a 80]\npublic-bind: 1\n"),
    ("server", b"secret: " + b"x" * 5000 + b"\n"),
    ("server", b"version: true\nconfig: other.yaml\n"),
    ("server", b"".join(b"q%d: 1\n" % i for i in range(21))),
    ("server", b"k" * 65 + b": 1\n"),
    ("server", b"".join(b"k%d: 1\n" % i for i in range(65))),
    ("server", b"#" * (1 << 20) + b"\n"),
    # What people bring along, and what fingers do.
    ("client", b"serverAddr = \"h\"\nserverPort = 7000\n"),
    ("client", b"[common]\nserver_addr = h\nserver_port = 7000\n"),
    ("client", b"[client]\nremote_addr = \"h:1\"\n"),
    ("client", b"serverAddr: h\nserverPort: 7000\nproxies:\n  - name: ssh\n"),
    ("client", b"client:\n  server: h:1\n"),
    ("client", b"server:h:1\n"),
    ("client", b"server\xef\xbc\x9ah:1\n"),
    ("client", b"server: \xe2\x80\x9ch:1\xe2\x80\x9d\n"),
    ("client", b"server: \"h:1\n"),
    ("client", b"{\"server\": \"h:1\" // the server\n}\n"),
    ("client", b"\xff\xfes\0e\0r\0v\0e\0r\0:\0 \0h\0\n\0"),
    ("client", b"tunnels: [{port: 80, target: a:1}\n"),
    ("client", b"tunnels:\n  ssh: {port: 22, target: a:22}\n"),
    ("client", b"tunnels: [{name: dns, kind: udp, port: 53, target: a:53}]\n"),
    ("client", b"tunnels: [{port: 8000-8010, target: a:1}]\n"),
    ("client", b"tunnels: [{port: 80, target: http://127.0.0.1:3000}]\n"),
    ("client", b"tunnels: [{port: 0x50, target: 3000}]\n"),
    ("client", b"tunnels:\n- port: 80\n  target: a:1\n- port: 81\n target: a:2\n"),
    ("client", b"secret: |\n  one\n  two\n"),
    ("client", b"log-level: WARN\nlegacy: true\nmax-retry-interval: 1d\n"),
    ("server", b"allow-ports: 9000-8000\n"),
    ("server", b"allow-ports: 80;443\nlisten: 7000/tcp\n"),
    ("server", b"listen: http://0.0.0.0:7000/\nclient-rate: 50 per second\n"),
    ("server", b"secret : a\nsecret: b\n"),
    ("client", b"tunnels:\n  - {port: 1, target: unix:web.sock}\n  - {port: 2, target: 'unix:@web'}\n  - {port: 3, target: /run/web.sock}\n"),
    ("client", b"tunnels:\n  - {port: 1, target: unix:/" + b"x" * 107 + b"}\n  - {port: 2, target: \"unix:/a\\tb\"}\n"),
    ("client", b"tunnels:\n  - port: 1\n    target: [h, 'a:1', [b:1], {c: 1}, '', 'http://c:1']\n  - {port: 2, target: []}\n"),
    ("client", b"tunnels:\n  - {port: 1, target: ['a:1', 'a:2', 'a:3', 'a:4', 'a:5', 'a:6', 'a:7', 'a:8', 'a:9']}\n  - {port: 2, target: 'a:1,,a:2'}\n"),
    ("client", b"tunnels:\n  - {port: 1, target: '" + b"a" * 1022 + b":1'}\n"),
]


def told(folder, language, command, content):
    file = folder / "f.yaml"
    file.write_bytes(content)
    file.chmod(0o600)
    done = subprocess.run([PROGRAM, command, "-config", "f.yaml"], cwd=folder, capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": language, "GOTUNNEL_SECRET": ""})
    assert done.returncode == 2 and done.stdout == "", done.stderr
    assert not [f for f in folder.iterdir() if f != file]
    return done.stderr


@pytest.mark.parametrize("language", ["C", "zh_CN.UTF-8"])
def test_wrong_files(language, tmp_path):
    text = "".join(f"== {command} {content[:200]!r}\n{told(tmp_path, language, command, content)}" for command, content in FILES)
    golden = VECTORS / f"{language[:2].strip('.').lower()}.txt"
    if os.environ.get("GOTUNNEL_GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
    assert all(line.startswith(("== ", "f.yaml:")) for line in text.splitlines())


def test_a_secret_is_never_shown(tmp_path):
    for content in (b"secret: [hunter2]\n", b"secret: {hunter2: 1}\n", b"secret: \"hunter2\\n2\"\n", b"secret: hunter2\n bad: x\n",
                    b"secret: \"hunter2\\0\"\n", b"secret: &a hunter2\nid: x\n", b"secret: hunter2" + b"x" * 5000 + b"\n"):
        assert "hunter2" not in told(tmp_path, "C", "client", content)
