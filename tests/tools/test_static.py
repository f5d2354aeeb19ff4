# SPDX-License-Identifier: MIT
"""The static program, its sources, and the container image (docs/static.md).

What is tried with the program itself is `long`: `make test-static` builds it. It takes its sources, which only
tools/static-sources fetches, in build-static/sources.
"""

import contextlib
import functools
import hashlib
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "build-static"
ROWS = [line.split("|") for line in (ROOT / "packaging/static/sources").read_text().splitlines() if not line.startswith("#")]
MIB = 1 << 20
SECRET = "s3cr3t-p@ssw0rd-f0r-tunn3l"

sys.path.insert(0, str(ROOT / "tests/e2e"))
from lib.procs import wait_for  # noqa: E402


def run(*command, **env):
    return subprocess.run([str(c) for c in command], cwd=ROOT, env={**os.environ, "LC_ALL": "C", **env}, capture_output=True,
                          text=True, timeout=3600, stdin=subprocess.DEVNULL)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# ---- the sources ----


def test_each_library_is_pinned():
    libraries = re.search(r'(?m)^libraries="(.*)"$', (ROOT / "tools/static").read_text()).group(1).split()
    assert {row[0] for row in ROWS} == set(libraries)
    for library in libraries:
        files = [row for row in ROWS if row[0] == library]
        assert len(files) == 2 and len({row[1] for row in files}) == 1, f"{library}: the original, and what Debian changes"
        assert files[1][3].endswith(f"_{files[1][1]}.debian.tar.xz")
    for _, _, folder, file, digest in ROWS:
        assert folder.startswith("pool/") and "/" not in file and re.fullmatch("[0-9a-f]{64}", digest)


class Tree:
    """A tree with the tools, a list of one library, and an archive on loopback that has its files."""

    def __init__(self, path):
        self.root, self.archive, self.into = path / "tree", path / "archive", path / "sources"
        (self.root / "packaging/static").mkdir(parents=True)
        shutil.copytree(ROOT / "tools", self.root / "tools")
        self.put("musl_1.orig.tar.gz", b"the original")
        self.put("musl_1-1~x.debian.tar.xz", b"what Debian changes")
        files = sorted((self.archive / "pool").iterdir())
        rows = [f"musl|1-1~x|pool|{file.name.replace('%7e', '~')}|{sha256(file.read_bytes())}\n" for file in files]
        (self.root / "packaging/static/sources").write_text("# a list\n" + "".join(rows))

    def put(self, name, data):
        (self.archive / "pool").mkdir(parents=True, exist_ok=True)
        (self.archive / "pool" / name).write_bytes(data)

    def fetch(self, url):
        return run(self.root / "tools/static-sources", self.into, ARCHIVE=url)

    def fetched(self):
        return sorted(p.name for p in self.into.iterdir())


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.fixture
def archive(tree):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tree.archive)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.asked = []
        handler.func.log_message = lambda self, *args: server.asked.append(self.path)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_what_is_missing_is_fetched_once(tree, archive):
    url = f"http://127.0.0.1:{archive.server_port}"
    done = tree.fetch(url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert tree.fetched() == ["musl_1-1~x.debian.tar.xz", "musl_1.orig.tar.gz"]
    assert len(archive.asked) == 2
    assert tree.fetch(url).returncode == 0 and len(archive.asked) == 2
    (tree.into / "musl_1.orig.tar.gz").write_bytes(b"damaged")
    assert tree.fetch(url).returncode == 0 and len(archive.asked) == 3
    assert (tree.into / "musl_1.orig.tar.gz").read_bytes() == b"the original"


def test_another_file_than_the_pinned_one_is_refused(tree, archive):
    tree.put("musl_1.orig.tar.gz", b"the oriGinal")
    done = tree.fetch(f"http://127.0.0.1:{archive.server_port}")
    assert done.returncode == 1 and "another file than packaging/static/sources says" in done.stderr
    assert "musl_1.orig.tar.gz" not in tree.fetched() and not list(tree.into.glob("*.part"))


def test_a_build_without_its_sources_says_how_to_get_them(tree):
    if not shutil.which("x86_64-linux-gnu-gcc"):
        pytest.skip("x86_64-linux-gnu-gcc is not here")
    done = run(tree.root / "tools/static", "amd64", STATIC=str(tree.into))
    assert done.returncode == 1 and "tools/static-sources fetches it" in done.stderr
    tree.into.joinpath("sources").mkdir()
    for file in (tree.archive / "pool").iterdir():
        tree.into.joinpath("sources", file.name).write_bytes(b"another one")
    done = run(tree.root / "tools/static", "amd64", STATIC=str(tree.into))
    assert done.returncode == 1 and "another hash" in done.stderr


def test_the_scripts_are_clean():
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not here")
    done = run("shellcheck", "--severity=style", "tools/static", "tools/static-sources", "packaging/openwrt/gotunnel/files/gotunnel.init")
    assert done.returncode == 0, done.stdout


# ---- the image ----


@pytest.fixture
def image(tmp_path):
    """An image of two programs that are none."""
    for arch in ("amd64", "arm64"):
        (tmp_path / arch).write_bytes(arch.encode() * 1000)
    done = run("tools/image", tmp_path / "image", "1.2.3", f"amd64={tmp_path}/amd64", f"arm64={tmp_path}/arm64")
    assert done.returncode == 0, done.stdout + done.stderr
    return tmp_path / "image"


def blob(image, named):
    return (image / "blobs/sha256" / named["digest"].removeprefix("sha256:")).read_bytes()


def test_an_image_is_for_each_processor_and_not_for_root(image):
    (top,) = json.loads((image / "index.json").read_text())["manifests"]
    images = json.loads(blob(image, top))["manifests"]
    assert [i["platform"]["architecture"] for i in images] == ["amd64", "arm64"]
    for named in images:
        manifest = json.loads(blob(image, named))
        config = json.loads(blob(image, manifest["config"]))
        assert config["config"]["User"] == "65532:65532"
        assert config["config"]["Entrypoint"] == ["/usr/bin/gotunnel"]


def test_the_same_programs_give_the_same_image(image, tmp_path):
    again = tmp_path / "again"
    again.mkdir()
    done = run("tools/image", again / "image", "1.2.3", f"amd64={tmp_path}/amd64", f"arm64={tmp_path}/arm64")
    assert done.returncode == 0, done.stderr
    assert image.with_name("image.tar").read_bytes() == (again / "image.tar").read_bytes()


def damage_one_bit(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("damage", [damage_one_bit, Path.unlink, lambda file: file.write_bytes(file.read_bytes()[:-1])])
def test_a_damaged_image_is_found(image, damage):
    for file in sorted((image / "blobs/sha256").iterdir()):
        whole = file.read_bytes()
        damage(file)
        done = run("tools/image", "--check", image)
        assert done.returncode == 1 and file.name in done.stderr, file
        file.write_bytes(whole)
    assert run("tools/image", "--check", image).returncode == 0


def test_skopeo_reads_the_image(image, tmp_path):
    if not shutil.which("skopeo"):
        pytest.skip("skopeo is not here")
    for source in (f"oci:{image}:1.2.3", f"oci-archive:{image}.tar:1.2.3"):
        done = run("skopeo", "inspect", "--override-arch", "arm64", "--override-os", "linux", source)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["Architecture"] == "arm64"
        copy = tmp_path / source.split(":", 1)[0]
        done = run("skopeo", "--insecure-policy", "copy", "--all", source, f"dir:{copy}")
        assert done.returncode == 0, done.stderr


# ---- OpenWrt ----

RC_COMMON = r"""
logger() { echo "log: $*"; }
chown() { :; }
config_load() { :; }
config_foreach() { for s in $SECTIONS; do case $s in $2-*) "$1" "$s" "$2" ;; esac; done; }
config_get_bool() { eval "$1=1"; }
config_get() { eval "$1=\"\${CONFIG:-\$4}\""; }
procd_open_instance() { echo "instance $1"; }
procd_set_param() { echo "$*"; }
procd_append_param() { shift; echo "and $*"; }
procd_close_instance() { echo end; }
procd_add_reload_trigger() { echo "trigger $1"; }
"""


def procd(tmp_path, sections, config):
    script = (ROOT / "packaging/openwrt/gotunnel/files/gotunnel.init").read_text()
    for variable in ("RUN", "STATE"):
        script = re.sub(rf"(?m)^{variable}=.*", f"{variable}={tmp_path}/{variable}", script)
    return run("sh", "-c", RC_COMMON + script + "\nstart_service\nservice_triggers", SECTIONS=sections, CONFIG=str(config))


def test_procd_starts_what_is_configured(tmp_path):
    program = Path(os.environ.get("GOTUNNEL", ROOT / "build/gotunnel"))
    config = tmp_path / "file.yaml"
    config.write_text("server: 127.0.0.1:7000\nsecret: abcdefgh-abcdefgh\nca: ca.crt\ntunnels: [{name: a, port: 1, target: 127.0.0.1:1}]\n")
    config.chmod(0o600)
    done = procd(tmp_path, "client-a server-b", config)
    assert done.returncode == 0 and not done.stderr, done.stderr
    blocks = re.findall(r"(?ms)^instance (\S+)\n(.*?)^end$", done.stdout)
    assert [name for name, _ in blocks] == ["client-a", "server-b"]
    for name, text in blocks:
        (command,) = re.findall(r"(?m)^command (.*)$", text)
        command += "".join(re.findall(r"(?m)^and (.*)$", text)).join((" ", ""))
        assert f"STATE_DIRECTORY={tmp_path}/STATE/{name}" in text and "reload_signal HUP" in text
        # The program knows each of these words.
        words = command.split()
        assert words[0] == "/usr/bin/gotunnel" and words[1] == name.split("-")[0]
        assert run(program, *words[1:], "-h").returncode == 0
        assert (tmp_path / "STATE" / name).stat().st_mode & 0o777 == 0o700


def test_procd_says_what_file_is_missing(tmp_path):
    done = procd(tmp_path, "client-a", tmp_path / "none.yaml")
    assert done.returncode == 0 and "instance" not in done.stdout and "none.yaml is not there" in done.stdout


# ---- the program itself ----

EMULATORS = {"amd64": ("x86_64", "qemu-x86_64-static"), "arm64": ("aarch64", "qemu-aarch64-static")}


class Program:
    """The static program of one processor, in a root that has nothing else, and what runs it there."""

    def __init__(self, arch, path):
        machine, emulator = EMULATORS[arch]
        self.file, self.root, self.running = STATIC / arch / "gotunnel", path / "root", []
        self.root.mkdir()
        shutil.copy(self.file, self.root / "gotunnel")
        self.is_emulated = os.uname().machine != machine
        self.inside = ["/gotunnel"]
        if self.is_emulated:
            if not shutil.which(emulator):
                pytest.skip(f"{emulator} is not here")
            shutil.copy(shutil.which(emulator), self.root / "emulator")
            self.inside = ["/emulator", "/gotunnel"]
        is_root = os.geteuid() == 0
        places = os.environ["PATH"] + ":/usr/sbin:/sbin"
        self.enter = [shutil.which("chroot" if is_root else "unshare", path=places), *([] if is_root else ["--map-root-user", "--root"])]

    def command(self, *words):
        return [*self.enter, str(self.root), *self.inside, *map(str, words)]

    def ask(self, *words, **env):
        return subprocess.run(self.command(*words), env=env, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)

    def start(self, name, *words, **env):
        log = self.root.with_name(f"{name}.log")
        with log.open("wb") as out:
            self.running.append(subprocess.Popen(self.command(*words), env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out))
        return log

    def close(self):
        for process in reversed(self.running):
            process.terminate()
        return [process.wait(timeout=60) for process in self.running]


def arch_of_this_machine():
    return {machine: arch for arch, (machine, _) in EMULATORS.items()}.get(os.uname().machine)


@functools.lru_cache
def built(arch):
    """Builds it. Returns why it cannot be, or None."""
    missing = [row[3] for row in ROWS if not (STATIC / "sources" / row[3]).is_file()]
    triple = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[arch]
    if missing:
        return f"{missing[0]} is not in build-static/sources: 'make static' fetches it"
    if not shutil.which(f"{triple}-gcc"):
        return f"{triple}-gcc is not here"
    done = run("tools/static", arch)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return None


@pytest.fixture(params=["amd64", "arm64"])
def program(request, tmp_path):
    if why := built(request.param):
        pytest.skip(why)
    p = Program(request.param, tmp_path)
    yield p
    statuses = p.close()
    assert statuses == [0] * len(statuses), [log.read_text() for log in tmp_path.glob("*.log")]


@pytest.fixture
def native(tmp_path):
    """That of this machine."""
    arch = arch_of_this_machine()
    if not arch:
        pytest.skip(f"no static program for {os.uname().machine}")
    if why := built(arch):
        pytest.skip(why)
    p = Program(arch, tmp_path)
    yield p
    p.close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


@pytest.fixture
def echo():
    def serve(listener):
        with contextlib.suppress(OSError):
            while True:
                user, _ = listener.accept()
                with user:
                    while data := user.recv(65536):
                        user.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def passes(port, data=b"through an empty root"):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
            s.sendall(data)
            got = b""
            while len(got) < len(data) and (more := s.recv(65536)):
                got += more
            return got == data
    except OSError:
        return False


@pytest.mark.long
def test_it_needs_nothing_of_the_system(program):
    def readelf(option):
        return run("readelf", "-W", option, program.file).stdout

    assert program.file.stat().st_size <= 6 * MIB
    assert "NEEDED" not in readelf("-d") and "INTERP" not in readelf("-l") and "DYN" in readelf("-h")
    text = readelf("-d") + readelf("-l")
    assert "TEXTREL" not in text and "GNU_RELRO" in text and not re.search(r"GNU_STACK.* RWE ", text)
    assert str(ROOT).encode() not in program.file.read_bytes(), "a path of this machine"


@pytest.mark.long
def test_its_bill_of_materials_names_each_library(program):
    bill = json.loads(program.file.with_name("gotunnel.cdx.json").read_text())
    assert {(c["name"], c["version"]) for c in bill["components"]} == {(row[0], row[1].rsplit("-", 1)[0]) for row in ROWS}
    assert all(c["purl"].startswith("pkg:deb/debian/") and len(c["properties"]) == 2 for c in bill["components"])


@pytest.mark.long
def test_both_ends_run_in_an_empty_root(program, echo):
    """genkey, server and client; certificates are made and checked; the cage is there where the kernel has one."""
    secret = program.ask("genkey").stdout.strip()
    assert len(secret) >= 32
    port, public = free_port(), free_port()
    server = program.start("server", "server", "-listen", f"127.0.0.1:{port}", "-certs", "/certs", "-secret", secret)
    wait_for("the certificates", (program.root / "certs/ca.crt").exists, timeout=120)
    client = program.start("client", "client", "-server", f"127.0.0.1:{port}", "-ca", "/certs/ca.crt", "-secret", secret,
                           "-remote-port", public, "-local-target", f"127.0.0.1:{echo}")
    wait_for("a byte through the tunnel", lambda: passes(public), timeout=120)
    assert passes(public, os.urandom(3 * MIB))
    for log in (server, client):
        (line,) = re.findall(r"sandbox: .*", log.read_text())
        assert program.is_emulated or re.search(r"no_new_privs, landlock .*seccomp", line), line


@pytest.mark.long
def test_up_and_join_in_an_empty_root(program, echo):
    port = free_port()
    up = program.start("up", "up", "-listen", f"127.0.0.1:{port}", "-public", "127.0.0.1", HOME="/home")
    wait_for("the certificates", lambda: list(program.root.rglob("ca.crt")), timeout=120)

    def join_string():
        texts = [up.read_text(), *(p.read_text(errors="replace") for p in program.root.rglob("*") if p.is_file() and p.stat().st_size < 4096)]
        return next(iter(re.findall(r"gt1_[a-z2-7]+", "\n".join(texts))), None)

    string = wait_for("the join string", join_string, timeout=120)
    public = free_port()
    program.start("join", "join", string, f"127.0.0.1:{echo}@{public}", HOME="/home")
    wait_for("a byte through the tunnel", lambda: passes(public), timeout=120)


@pytest.mark.long
def test_its_catalogue_and_its_words_for_errors(program):
    chinese = program.ask("help", LANG="zh_CN.UTF-8")
    assert chinese.returncode == 0 and "服务端" in chinese.stdout
    assert "on the public host" in program.ask("help", LANG="C").stdout
    wrong = program.ask("client", "-server", "127.0.0.1:1", "-ca", "/none.crt", "-secret", SECRET, "-remote-port", "1",
                        "-local-target", "127.0.0.1:1")
    assert wrong.returncode != 0 and "No such file or directory" in wrong.stdout + wrong.stderr


@pytest.mark.long
def test_names_are_resolved_in_the_cage(native, echo):
    """By the file hosts, which is read anew for each look-up; name servers: test_cage.py runs with the static program too."""
    (native.root / "etc").mkdir()
    (native.root / "etc/hosts").write_text("127.0.0.1 tunnel.test\n")
    port, public = free_port(), free_port()
    native.start("server", "server", "-listen", f"127.0.0.1:{port}", "-certs", "/certs", "-secret", SECRET)
    wait_for("the certificates", (native.root / "certs/ca.crt").exists)
    client = native.start("client", "client", "-sandbox", "require", "-server", f"tunnel.test:{port}", "-ca", "/certs/ca.crt",
                          "-secret", SECRET, "-remote-port", public, "-local-target", f"127.0.0.1:{echo}")
    wait_for("a byte through the tunnel", lambda: passes(public))
    assert "sandbox: " in client.read_text()


@pytest.mark.long
def test_the_cage_and_the_names_of_the_suite(native):
    """The tests of the cage, with the static program in place of the other."""
    done = run("/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "-m", "not long",
               "tests/e2e/test_cage.py", "tests/e2e/test_once.py",
               "--deselect=tests/e2e/test_cage.py::test_root_becomes_the_owner_of_the_state",  # its clock is a library to be loaded
               GOTUNNEL=str(native.file), GOTUNNEL_TEST_SANDBOX="require")
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.mark.long
def test_the_image_has_the_program(native, tmp_path):
    arch = arch_of_this_machine()
    assert run("tools/image", tmp_path / "image", "1", f"{arch}={native.file}").returncode == 0
    (top,) = json.loads((tmp_path / "image/index.json").read_text())["manifests"]
    (layer,) = json.loads(blob(tmp_path / "image", top))["layers"]
    layer_file = tmp_path / "layer.tar.gz"
    layer_file.write_bytes(blob(tmp_path / "image", layer))
    native.root = tmp_path / "container"
    native.root.mkdir()
    assert run("tar", "-xzf", layer_file, "-C", native.root).returncode == 0
    native.inside = ["/usr/bin/gotunnel"]
    assert native.ask("version").stdout.startswith("gotunnel ")
    if os.geteuid() == 0:  # the owner of the folder for the state is 65532
        assert (native.root / "var/lib/gotunnel").stat().st_uid == 65532
