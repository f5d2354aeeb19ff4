# SPDX-License-Identifier: MIT
"""gotunnel clients: what each word does to the files, what it prints and where, and what is said of wrong ones in both
languages, as it is kept in tests/vectors/clients. After a change: GOTUNNEL_GOLDEN=write pytest tests/cli/test_clients.py, and
read the difference."""

import base64
import hashlib
import hmac
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("GOTUNNEL", ROOT / "build/gotunnel")).resolve()
CERTS = ROOT / "tests/vectors/certs-go"
VECTORS = ROOT / "tests/vectors/clients"
RELOAD = "a server that runs must be reloaded to know it\n"
KEY = "gk1_afufbmxjenjwalje35o7twgl4qwsz3o24h45glugpkuu26fduntpfldrvvoqgitzs7p3d2r26dxtwyjz46r75fplesdonnijqxmbtuvxnbpb7ua"


def run(*words, cwd, language="C", **how):
    how.setdefault("stdout", subprocess.PIPE)
    env = {**os.environ, "LC_ALL": language, "HOME": str(cwd), "XDG_STATE_HOME": ""}
    return subprocess.run([PROGRAM, "clients", *words], cwd=cwd, stderr=subprocess.PIPE, text=True, timeout=120,
                          stdin=subprocess.DEVNULL, env=env, **how)


@pytest.fixture
def state(tmp_path):
    """A server's folder, with certificates."""
    (tmp_path / "certs").mkdir(mode=0o700)
    for file in ("ca.crt", "ca.key", "server.crt", "server.key"):
        shutil.copy(CERTS / file, tmp_path / "certs" / file)
        (tmp_path / "certs" / file).chmod(0o600)
    return tmp_path


def put(state, name, text, mode=0o600):
    (state / "clients").mkdir(mode=0o700, exist_ok=True)
    file = state / "clients" / f"{name}.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return file


def add(state, name, *words):
    done = run("add", name, "-public", "vps.example.com", *words, cwd=state)
    assert (done.returncode, done.stderr.splitlines()[-1] + "\n") == (0, RELOAD), done.stderr
    file = state / f"{name}.join"
    text = file.read_text()
    file.unlink()
    return done, text.strip()


def base32(text):
    return base64.b32decode(text.upper() + "=" * (-len(text) % 8))


def opened(string):
    """What a join string says."""
    data = base32(string.removeprefix("gt1_"))
    body, check = data[:-4], data[-4:]
    assert hashlib.sha256(body).digest()[:4] == check and body[0] == 1 and body[1] == 0
    n = body[2]
    name, rest = body[3:3 + n].decode(), body[3 + n:]
    port, m = int.from_bytes(rest[:2], "little"), rest[2]
    host, rest = rest[3:3 + m].decode(), rest[3 + m:]
    assert len(rest) == 36
    return {"name": name, "port": port, "host": host, "pin": rest[:20], "t": rest[20:]}


def derived(t):
    """The public key and A that come of T, computed without the program."""
    prk = hmac.new(b"gotunnel/2 key", t, "sha256").digest()
    seed, a = (hmac.new(prk, word + b"\1", "sha256").digest() for word in (b"sign", b"mac"))
    der = bytes.fromhex("302e020100300506032b657004220420") + seed
    public = subprocess.run(["openssl", "pkey", "-inform", "DER", "-pubout", "-outform", "DER"], input=der,
                            capture_output=True, check=True).stdout[-32:]
    return public + a


def key_in(file):
    key = re.search(r"^key: gk1_(\S+)$", file.read_text(), re.M).group(1)
    data = base32(key)
    assert data[0] == 1 and hashlib.sha256(data[:-4]).digest()[:4] == data[-4:]
    return data[1:-4]


def test_a_client_comes_with_its_string(state):
    done, string = add(state, "laptop", "-ports", "20000-20100,2222", "-rate", "50/s", "-from", "::1,10.0.0.0/8")
    assert done.stdout.splitlines()[0] == 'laptop  ports 2222,20000-20100  rate 50/s  from "::1,10.0.0.0/8"'
    file = state / "clients/laptop.yaml"
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700
    said = opened(string)
    spki = subprocess.run("openssl x509 -in certs/ca.crt -noout -pubkey | openssl pkey -pubin -outform DER", shell=True,
                          cwd=state, capture_output=True, check=True).stdout
    assert (said["name"], said["host"], said["port"]) == ("laptop", "vps.example.com", 7000)
    assert said["pin"] == hashlib.sha256(spki).digest()[:20]
    assert key_in(file) == derived(said["t"])
    # T stays nowhere here.
    t32 = base64.b32encode(said["t"]).decode().lower().rstrip("=")
    for f in state.rglob("*"):
        assert not f.is_file() or (said["t"] not in f.read_bytes() and t32[:20] not in f.read_text(errors="replace"))


def test_not_on_a_terminal_it_goes_to_a_closed_file(state):
    done = run("add", "a", "-public", "[2001:db8::1]:443", cwd=state, preexec_fn=lambda: os.umask(0))
    assert done.returncode == 0 and "gt1_" not in done.stdout + done.stderr and "a.join" in done.stdout
    assert (state / "a.join").stat().st_mode & 0o777 == 0o600
    said = opened((state / "a.join").read_text().strip())
    assert (said["host"], said["port"]) == ("2001:db8::1", 443)
    # One that is there is not written over, and no client is made then.
    (state / "b.join").write_text("mine")
    done = run("add", "b", "-public", "h", cwd=state)
    assert done.returncode == 1 and "b.join is there already: move it away" in done.stderr
    assert (state / "b.join").read_text() == "mine" and not (state / "clients/b.yaml").exists()


def test_it_goes_to_no_folder_of_others(state):
    """They could put another one there; and what root makes in a user's folder is the user's."""
    others = state / "others"
    others.mkdir()
    for make, why in ((lambda: others.chmod(0o777), "can be written by other users (mode 0777)"),
                      (lambda: (others.chmod(0o755), os.chown(others, 1234, 1234)), "belongs to another user (uid 1234)")):
        if "uid" in why and os.geteuid() != 0:
            pytest.skip("only root can give a folder away")
        make()
        done = run("add", "a", "-public", "h", "-state", state, cwd=others)
        assert done.returncode == 1 and why in done.stderr, done.stderr
        assert not list(others.iterdir()) and not (state / "clients/a.yaml").exists()


def test_on_a_terminal_it_is_shown_once(state):
    ours, theirs = pty.openpty()
    done = run("add", "a", "-public", "vps.example.com:7001", "-ports", "20000-20100", cwd=state, stdout=theirs)
    os.close(theirs)
    text = b""
    while True:
        try:
            more = os.read(ours, 4096)
        except OSError:
            break
        if not more:
            break
        text += more
    os.close(ours)
    assert done.returncode == 0 and not (state / "a.join").exists()
    said = opened(re.search(rb"gotunnel join (gt1_[a-z2-7]+) PORT", text).group(1).decode())
    assert said["port"] == 7001 and key_in(state / "clients/a.yaml") == derived(said["t"])
    assert b" PORT@20000\r\n" in text  # it may not leave the choice to the server


def test_without_a_name_one_is_found_or_asked_for(state):
    done = run("add", "a", cwd=state)
    assert done.returncode == 0
    said = opened((state / "a.join").read_text().strip())
    assert said["port"] == 7000 and said["host"]
    # Words come first, else `gotunnel join` does not take it.
    assert ("  gotunnel join - PORT -server YOUR-NAME:7000 < a.join\n" in done.stdout) == (said["host"] == "YOUR-NAME") == ("YOUR-NAME" in done.stderr)


def test_list_and_show(state):
    add(state, "a", "-ports", "80")
    put(state, "bb", f"key: {KEY}\ndisabled: true\ntunnels: 3\nexpires: 2001-01-01T00:00:00Z\n")
    put(state, "c", f"key: {KEY}\nprots: 80\nrate: 3/m\n")
    put(state, "not a name", "")
    done = run("list", cwd=state)
    assert done.returncode == 0 and [" ".join(line.split()) for line in done.stdout.splitlines()] == [
        "a ports 80", "bb tunnels 3 expires 2001-01-01T00:00:00Z may open no port expired disabled", "c broken",
        '"not a name" broken']
    assert done.stderr.splitlines()[:2] == [
        "clients/c.yaml:2:1: 'prots' is no key here; 'ports'?",
        'clients/c.yaml:3:7: rate: invalid value "3/m": must be so many a second, 1 to 100000, like 50/s']
    assert KEY not in done.stdout + done.stderr
    done = run("show", "bb", cwd=state)
    assert done.returncode == 0 and done.stdout == """\
clients/bb.yaml
  tunnels: 3
  expires: 2001-01-01T00:00:00Z
  disabled: true
  may open no port
  expired
"""
    done = run("show", "c", cwd=state)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 2


def test_set_leaves_a_person_s_lines_as_they_are(state):
    file = put(state, "a", f"# Ann's\nkey: {KEY} # of May\nports: 80   # web\nfrom: [10.0.0.1]\n\n# end\n")
    done = run("set", "a", "-ports", "443,80", "-unset", "from,rate", "-sessions", "2", cwd=state)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a  ports 80,443  sessions 2\n", RELOAD)
    assert file.read_text() == f"# Ann's\nkey: {KEY} # of May\nports: 80,443   # web\n\n# end\nsessions: 2\n"
    assert file.stat().st_mode & 0o777 == 0o600
    before = f'{{"key": "{KEY}", "ports": "80"}}\n'
    file.write_text(before)
    done = run("set", "-ports", "443", "a", cwd=state)
    assert done.returncode == 1 and "clients/a.yaml:1: 'ports' is not on a line of its own: change it by hand" in done.stderr
    assert file.read_text() == before


def test_rotate_keeps_the_old_key_for_a_while(state):
    _, first = add(state, "a", "-ports", "80")
    file = state / "clients/a.yaml"
    for number in range(1, 6):
        old = re.search(r"^key: (\S+)$", file.read_text(), re.M).group(1)
        begin = int(time.time())
        done = run("rotate", "a", "-public", "h", "-grace", "90m", cwd=state)
        assert done.returncode == 0 and done.stderr == RELOAD, done.stderr
        said = opened((state / "a.join").read_text().strip())
        (state / "a.join").unlink()
        assert said["t"] != opened(first)["t"] and key_in(file) == derived(said["t"])
        olds = re.findall(r"\{key: (\S+), until: (\S+)\}", file.read_text())
        assert len(olds) == min(number, 4) and olds[-1][0] == old
        until = int(subprocess.run(["date", "-d", olds[-1][1], "+%s"], capture_output=True, text=True, check=True).stdout)
        assert 5400 <= until - begin <= 5400 + 120
    assert "former keys: 4" in run("list", cwd=state).stdout
    assert run("rotate", "a", "-public", "h", "-grace", "0", cwd=state).returncode == 0
    assert len(re.findall("until", file.read_text())) == 0 and "ports: 80\n" in file.read_text()


def test_rotate_forgets_what_is_over_and_leaves_no_string_behind(state):
    file = put(state, "a", f"key: {KEY}\nkeys-old: [{{key: {KEY}, until: 2001-01-01T00:00:00Z}}]\n")
    assert run("rotate", "a", "-public", "h", "-grace", "0", cwd=state).returncode == 0
    assert "keys-old" not in file.read_text() and KEY not in file.read_text()
    (state / "a.join").unlink()
    before = f'{{"key": "{KEY}"}}\n'
    file.write_text(before)
    done = run("rotate", "a", "-public", "h", cwd=state)
    assert done.returncode == 1 and "clients/a.yaml:1: 'key' is not on a line of its own" in done.stderr
    assert file.read_text() == before and not (state / "a.join").exists()


def test_revoke_keeps_the_file_under_another_name(state):
    add(state, "a", "-ports", "80")
    before = (state / "clients/a.yaml").read_text()
    done = run("revoke", "a", cwd=state)
    assert (done.returncode, done.stdout, done.stderr) == (
        0, "revoked 'a': the file is clients/a.revoked now\n", RELOAD)
    assert [f.name for f in (state / "clients").iterdir()] == ["a.revoked"]
    assert (state / "clients/a.revoked").read_text() == before
    assert run("list", cwd=state).stderr == "there are no clients\n"
    for word in ("revoke", "show", "rotate"):
        done = run(word, "a", cwd=state)
        assert done.returncode == 1 and done.stderr == "error: there is no client called a\n"
    add(state, "a")


def test_a_disk_without_room_changes_nothing(state):
    file = put(state, "a", f"key: {KEY}\nports: 80\n")
    before = file.read_text()

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    for words in (("set", "a", "-ports", "443"), ("rotate", "a", "-public", "h"), ("add", "b", "-public", "h")):
        done = run(*words, cwd=state, preexec_fn=full)
        assert done.returncode == 1 and "cannot write " in done.stderr, done.stderr
        assert file.read_text() == before
        assert sorted(f.name for f in state.rglob("*") if f.is_file() and f.parent.name != "certs") == ["a.yaml"]


def test_the_server_s_folder(state):
    add(state, "a", "-ports", "80")
    elsewhere = state / "elsewhere"
    elsewhere.mkdir()
    assert run("list", "-state", "..", cwd=elsewhere).stdout == "a  ports 80\n"
    done = run("list", "-state", "none", cwd=elsewhere)
    assert done.returncode == 1 and done.stderr == "error: none: No such file or directory: -state DIR names the server's folder\n"
    shutil.rmtree(state / "certs")
    done = run("add", "b", "-public", "h", cwd=state)
    assert done.returncode == 1 and "certs/ca.crt: No such file" in done.stderr and not (state / "clients/b.yaml").exists()
    (state / "clients").chmod(0o777)
    done = run("list", cwd=state)
    assert done.returncode == 1 and "chmod go-w" in done.stderr


def serve(state, *words):
    """A server in the folder, until it says that it listens, or its end. Its status (None: it listened) and its lines."""
    (state / "secret").write_text("a-secret-of-more-than-16-bytes\n")
    (state / "secret").chmod(0o600)
    server = subprocess.Popen([PROGRAM, "server", "-secret-file", "secret", "-listen", "127.0.0.1:0", "-threads", "1", *words],
                              cwd=state, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              env={**os.environ, "LC_ALL": "C", "NOTIFY_SOCKET": ""})
    late = threading.Timer(100, server.kill)
    late.start()
    lines, listened = [], False
    for line in server.stderr:
        lines.append(line)
        if "the tunnel listens on" in line:
            listened = True
            server.kill()
    late.cancel()
    server.stderr.close()
    status = server.wait(timeout=60)
    return None if listened else status, "".join(lines)


def test_a_server_reads_them_at_its_start(state):
    status, lines = serve(state)
    assert status is None and "clients" not in lines, lines
    add(state, "a")
    put(state, "b", "prots: 80\n")
    status, lines = serve(state)
    assert status is None and "clients with a key in clients: 1; broken files: 1\n" in lines, lines
    assert "the file of a client is broken: clients/b.yaml:1:1: 'prots' is no key here; 'ports'?\n" in lines
    (state / "clients").rename(state / "others")
    status, lines = serve(state, "-clients", "others")
    assert status is None and "clients with a key in others: 1; broken files: 1\n" in lines, lines
    status, lines = serve(state, "-clients", "clients")
    assert status == 1 and "cannot load the clients: cannot open folder clients: No such file" in lines, lines


@pytest.mark.parametrize("words,text", [
    ((), "Usage of clients"),
    (("ad",), '"ad" is no word of clients: did you mean add?'),
    (("frobnicate",), '"frobnicate" is no word of clients'),
    (("add",), "the name of the client is missing"),
    (("show", "a", "b"), 'unexpected argument "b"'),
    (("list", "a"), 'unexpected argument "a"'),
    (("add", "a b"), "the name of a client is 1 to 64"),
    (("show", "../a"), "the name of a client is 1 to 64"),
    (("add", "node.1"), "names that begin with node. are reserved"),
    (("add", "a", "-port", "80"), "did you mean -ports?"),
    (("add", "a", "-ports", "80-x"), "must be ports and ranges"),
    (("add", "a", "-tunnels", "0"), "must be a number from 1 to 1000000"),
    (("add", "a", "-expires", "tomorrow"), "must be a moment in UTC"),
    (("add", "a", "-public", "a:b"), "-public a:b: "),
    (("add", "a", "-public", "a b"), "-public a b: "),
    (("add", "a", "-public", ":7000"), "-public :7000: "),
    (("add", "a", "-public", "x" * 254), "-public xxx"),
    (("rotate", "k", "-public", "h", "-grace", "-1s"), "-grace is from 0 to 8760h"),
    (("set", "k"), "nothing to change"),
    (("set", "k", "-unset", "key"), "-unset: 'key' is no key that can be taken out"),
], ids=lambda v: " ".join(v)[:30] if isinstance(v, tuple) else "")
def test_wrong_use(state, words, text):
    file = put(state, "k", f"key: {KEY}\n")
    done = run(*words, cwd=state)
    assert done.returncode == 2 and done.stdout == "" and text in done.stderr, done.stderr
    assert not words or text in done.stderr.splitlines()[-1]
    assert file.read_text() == f"key: {KEY}\n" and [f.name for f in file.parent.iterdir()] == ["k.yaml"]
    assert not list(state.glob("*.join"))


@pytest.mark.parametrize("words", [("-h",), ("--help",), ("add", "-h"), ("list", "-h"), ("set", "-help")])
@pytest.mark.parametrize("language", ["C", "zh_CN.UTF-8"])
def test_help(state, words, language):
    done = run(*words, cwd=state, language=language)
    assert done.returncode == 0 and done.stdout == "" and ("clients" in done.stderr)
    assert not (state / "clients").exists() and done.stderr.isascii() == (language == "C")


# ---- what is said of wrong files ----

FILES = [
    b"", b"ports: 80\n", b"key: abc\n", b"key:\n", b"key: [a]\n", f"key: {KEY[:-1]}\n".encode(), f"key: {KEY[:40]}zz{KEY[42:]}\n".encode(),
    f"key: {KEY.upper()}\n".encode(), b"K\nports: x\ntunnels: 0\nconnections: 1000001\nrate: 50/m\nsessions: one\n",
    b"K\nfrom: 10.0.0.1/8\n", b"K\nfrom: [10.0.0.0/8, localhost, [::1]]\n", b"K\nfrom: []\n",
    b"K\nexpires: 2027-01-31\n", b"K\nexpires: 2027-02-29T00:00:00Z\ndisabled: no\n", b"K\nkeys-old: []\n",
    b"K\nkeys-old: gk1_a\n", b"K\nkeys-old: [gk1_a, {key: x}, {until: never}, {kye: 1}, {}]\n",
    b"K\nkeys-old: [{}, {}, {}, {}, {}]\n", b"K\nport: 80\nform: 10.0.0.1\nhosts: [a]\n", b"K\nports: 80\nports: 81\n",
    b"K\nports: &a 80\n", b"- key: a\n", b"K\n---\nkey: a\n", b"K\nports: \xff\n", b"K\n\tports: 80\n", b"K\nports: 80: 81\n",
    b"".join(b"q%d: 1\n" % i for i in range(21)), b"#" * 65537,
]


@pytest.mark.parametrize("language", ["C", "zh_CN.UTF-8"])
def test_wrong_files(language, state):
    text = ""
    for content in FILES:
        put(state, "f", content.replace(b"K\n", f"key: {KEY}\n".encode()))
        done = run("show", "f", cwd=state, language=language)
        assert done.returncode == 2 and done.stdout == "", done.stderr
        text += f"== {content[:100]!r}\n{done.stderr}"
    put(state, "f", f"key: {KEY}\n", 0o644)
    done = run("show", "f", cwd=state, language=language)
    assert done.returncode == 2
    text += f"== mode 0644\n{done.stderr}"
    golden = VECTORS / f"{language[:2].strip('.').lower()}.txt"
    if os.environ.get("GOTUNNEL_GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
    assert all(line.startswith(("== ", "clients/f.yaml")) for line in text.splitlines())
