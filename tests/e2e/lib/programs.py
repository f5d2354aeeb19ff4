# SPDX-License-Identifier: MIT
"""Programs of Debian as services, each with a configuration and a directory of its own."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib.procs import wait_for

LISTEN = "0A"  # the state in /proc/net/tcp


def tool(name, package):
    """The path of a program. A missing one is a failure: `make test` installs the package."""
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        pytest.fail(f"{name} is missing: install the package {package}")
    return path


def run(*command, timeout=120, **how):
    """Runs a program to its end; its output if it succeeded, else the test fails with it."""
    how.setdefault("stdin", None if "input" in how else subprocess.DEVNULL)
    if "input" in how:
        del how["stdin"]
    done = subprocess.run([str(c) for c in command], capture_output=True, timeout=timeout, **how)
    if done.returncode:
        pytest.fail(f"{command[0]}: exit {done.returncode}\n{(done.stdout + done.stderr)[-3000:].decode()}")
    return done.stdout


def _listens(process, port):
    """Whether the process itself listens on the port, so that nobody else's socket misleads us."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        path = Path("/proc/net", table)
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == LISTEN and int(fields[1].rsplit(":", 1)[1], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    try:
        return any(os.readlink(fd) in inodes for fd in Path(f"/proc/{process.pid}/fd").iterdir())
    except OSError:
        return False  # a descriptor or the process has just gone


def start(lab, name, command_for, **how):
    """Starts command_for(port) on a port that was free a moment ago; another port if somebody else
    was faster. The port."""
    for _ in range(5):
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
        process = lab.start(name, *command_for(port), **how)
        wait_for(f"{name} to listen or to end", lambda: _listens(process, port) or not process.alive())
        if process.alive():
            return port
    pytest.fail(f"{name} does not start:\n{process.log()[-2000:]}{process.stdout()[-2000:]}")


# ---- the services; each gives its port ----


class Sshd:
    """An SSH server with keys of its own, for the user who runs the tests."""

    def __init__(self, lab):
        self.path = lab.path / "ssh"
        self.path.mkdir(mode=0o700)
        sshd = tool("sshd", "openssh-server")
        for key in ("host", "user"):
            run(tool("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", "", "-f", self.path / key)
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # else it does not start as root
        (self.path / "config").write_text(
            f"HostKey {self.path}/host\nAuthorizedKeysFile {self.path}/user.pub\nPidFile none\n"
            "ListenAddress 127.0.0.1\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            "PermitRootLogin prohibit-password\nMaxStartups 100\nUseDNS no\nPrintMotd no\n"
            "Subsystem sftp internal-sftp\n")
        self.port = start(lab, "sshd", lambda port: (sshd, "-D", "-e", "-f", self.path / "config", "-p", port))

    def options(self, port):
        """Options of ssh and scp for this server behind a port; they differ in how they name it."""
        known = self.path / "known_hosts"
        kind, key = (self.path / "host.pub").read_text().split()[:2]
        known.write_text(f"tunnel {kind} {key}\n")
        values = {"Port": port, "HostKeyAlias": "tunnel", "UserKnownHostsFile": known,
                  "StrictHostKeyChecking": "yes", "IdentityFile": self.path / "user",
                  "IdentitiesOnly": "yes", "BatchMode": "yes", "ConnectTimeout": 30}
        return ["-F", "none", *(f"-o{k}={v}" for k, v in values.items())]

    @property
    def login(self):
        return pwd.getpwuid(os.geteuid()).pw_name + "@127.0.0.1"


def iperf3(lab):
    program = tool("iperf3", "iperf3")
    return start(lab, "iperf3", lambda port: (program, "-s", "-B", "127.0.0.1", "-p", port))


def redis(lab):
    program = tool("redis-server", "redis-server")
    return start(lab, "redis", lambda port: (program, "--bind", "127.0.0.1", "--port", port,
                                             "--save", "", "--appendonly", "no", "--dir", lab.path))


def nginx(lab, files, name="nginx", certificate=None, path=None):
    """Serves the files, {name: bytes}; by TLS with a certificate (file, file of its key); also on a unix socket with this
    path."""
    program = tool("nginx", "nginx-light")
    root = lab.path / f"{name}-www"
    root.mkdir()
    for file, body in files.items():
        (root / file).write_bytes(body)
    config = lab.path / f"{name}.conf"
    tls = "" if not certificate else "  ssl_certificate {};\n  ssl_certificate_key {};\n".format(*certificate)
    also = f" listen unix:{path};" if path else ""

    def command(port):
        temp = "".join(f"  {kind}_temp_path {lab.path}/{name}-{kind};\n"
                       for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;\n" if os.geteuid() == 0 else ""  # the directory of a test is private
        config.write_text(
            f"{user}daemon off;\nworker_processes 1;\npid {lab.path}/{name}.pid;\nerror_log stderr;\n"
            "events { worker_connections 512; }\n"
            f"http {{\n  access_log off;\n{temp}{tls}  keepalive_requests 1000000;\n"
            f"  server {{ listen 127.0.0.1:{port}{' ssl' if tls else ''};{also} root {root}; }}\n}}\n")
        return program, "-p", lab.path, "-e", "stderr", "-c", config

    return start(lab, name, command)


def haproxy(lab, target, says, source):
    """A balancer in front of a port, connecting from an address of its own; says: send-proxy or send-proxy-v2."""
    program = tool("haproxy", "haproxy")
    config = lab.path / "haproxy.cfg"

    def command(port):
        config.write_text(
            "global\n  maxconn 100\ndefaults\n  mode tcp\n  timeout connect 60s\n  timeout client 1h\n"
            f"  timeout server 1h\nlisten front\n  bind 127.0.0.1:{port}\n"
            f"  server s 127.0.0.1:{target} source {source} {says} check inter 200ms\n")
        return program, "-db", "-f", config

    return start(lab, "haproxy", command)


def stream_module():
    module = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
    if not module.exists():
        pytest.fail("nginx's stream module is missing: install the package libnginx-mod-stream")
    return module


def nginx_stream(lab, target, source):
    """The same by nginx, which says version 1."""
    program, module = tool("nginx", "nginx-light"), stream_module()
    config = lab.path / "nginx.conf"

    def command(port):
        user = "user root;\n" if os.geteuid() == 0 else ""
        config.write_text(
            f"load_module {module};\n{user}daemon off;\nworker_processes 1;\npid {lab.path}/nginx.pid;\n"
            "error_log stderr;\nevents { worker_connections 64; }\n"
            f"stream {{ server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{target}; proxy_bind {source};\n"
            "  proxy_protocol on; proxy_timeout 1h; } }\n")
        return program, "-p", lab.path, "-e", "stderr", "-c", config

    return start(lab, "nginx", command)


class Postgres:
    """A PostgreSQL server with an empty database; as `postgres` where the tests run as root, which it refuses."""

    def __init__(self, lab):
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not programs:
            pytest.fail("initdb is missing: install the package postgresql")
        bin = programs[-1].parent
        self.path = Path(tempfile.mkdtemp(prefix="gotunnel-pg-"))
        self.as_user = ()
        if os.geteuid() == 0:
            shutil.chown(self.path, "postgres", "postgres")
            self.as_user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
        run(*self.as_user, bin / "initdb", "-D", self.path / "data", "-A", "trust", "-U", "postgres", "-N", cwd="/")
        self.port = start(lab, "postgres", lambda port: (
            *self.as_user, bin / "postgres", "-D", self.path / "data", "-h", "127.0.0.1", "-p", port, "-F",
            "-k", self.path), cwd="/")

    def psql(self, port):
        return [tool("psql", "postgresql-client"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-qAt",
                "-v", "ON_ERROR_STOP=1"]

    def close(self):
        shutil.rmtree(self.path, ignore_errors=True)
