# SPDX-License-Identifier: MIT
"""Real processes of either implementation, started and watched by a test.

    lab.server()                      a server on a free loopback port, ready
    lab.client(server, target)        a client of it that serves 127.0.0.1:target, with its port open
    lab.tunnel(target, "c-go16")      both; the pairing names the server's implementation, then the client's

`c` is the program in the environment variable GOTUNNEL (build/gotunnel if unset); `go16` and `go57` are
the Go peer on smux 1.5.16 and on the newest smux. Every process is ended when the test is: ours by
SIGTERM, and must then exit with 0.
"""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(os.environ.get("GOTUNNEL", ROOT / "build/gotunnel")).resolve()
PEERS = ROOT / "build/interop"
SANITIZED = "asan" in str(PROGRAM) or "tsan" in str(PROGRAM)
RELEASE_ONLY = pytest.mark.skipif(SANITIZED, reason="memory of a sanitizer's build says nothing")
TSAN = "tsan" in str(PROGRAM)
PATIENCE = 60 if SANITIZED else 30  # seconds until something that must happen has happened
THREADS = os.environ.get("GOTUNNEL_TEST_THREADS")  # of servers that are not told; None: their default
LANDLOCK = max(0, ctypes.CDLL(None).syscall(444, None, 0, 1))  # the kernel's ABI, 0: none


def sandbox():
    """What our programs are told of -sandbox: sanitizers look into their own process, which the cage forbids."""
    if SANITIZED or not PROGRAM.exists():
        return "off"
    return "require" if LANDLOCK and b"libseccomp.so" in PROGRAM.read_bytes() else "auto"


SANDBOX = os.environ.get("GOTUNNEL_TEST_SANDBOX", sandbox())  # of programs whose test does not say
SECRET = "s3cr3t-p@ssw0rd-f0r-tunn3l"


def wait_for(what, check, timeout=PATIENCE, step=0.02):
    """The first true result of check(), or a failure that says what was waited for."""
    deadline = time.monotonic() + timeout
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout} s for {what}")
        time.sleep(step)


def with_sandbox(command):
    """The command line, with -sandbox if it is one of ours that does not say."""
    ours = Path(command[0]) == PROGRAM and len(command) > 1 and command[1] in ("server", "client", "up")
    if not ours or "-sandbox" in command:
        return command
    return (*command[:2], "-sandbox", SANDBOX, *command[2:])


def cpu_seconds(task):
    """What a process, or a thread, has worked; its directory in /proc."""
    fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def go_peer(name):
    """The path of a Go peer, built if need be; skips the test where the newest cannot be had."""
    subprocess.run([ROOT / "tests/interop/build.sh", PEERS], check=True, timeout=600)
    why = PEERS / f"{name}.skip"
    if why.exists():
        pytest.skip(why.read_text().strip())
    return PEERS / name


def rest(popen):
    """Under ThreadSanitizer: waits a little for the main thread to sleep. Its runtimes (gcc 12, clang 14) hold a
    signal back that comes while the program computes, and now and then lose it: strace shows it come and no
    handler run, also with one thread. One that wakes it from a system call is never lost."""
    deadline = time.monotonic() + 2
    while TSAN and popen.poll() is None and time.monotonic() < deadline:
        if Path(f"/proc/{popen.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "S":
            return
        time.sleep(0.005)


class Process:
    """A running program; its stderr and stdout are files."""

    def __init__(self, lab, name, command, env=None, cwd=None, wrapper=(), stdin=None):
        self.name = name
        self.cwd = Path(cwd or lab.path)
        self.err = lab.path / f"{name}.err"
        self.out = lab.path / f"{name}.out"
        self.ours = Path(command[0]) == PROGRAM
        command = with_sandbox(command)
        self.command = [*map(str, wrapper), *map(str, command)]
        environ = {**os.environ, "LC_ALL": "C.UTF-8", "XDG_STATE_HOME": str(lab.path / "state"), **(env or {})}
        environ = {k: v for k, v in environ.items() if v is not None}
        with open(self.err, "wb") as err, open(self.out, "wb") as out:
            self.popen = subprocess.Popen(
                self.command, cwd=self.cwd, env=environ, stderr=err, stdout=out,
                stdin=stdin or subprocess.DEVNULL, start_new_session=True)
        self.expect_exit = True
        lab.processes.append(self)

    @property
    def pid(self):
        return self.popen.pid

    def log(self):
        """The lines that have reached the file, no part of one while the program runs. They come later than what they tell
        of: a test that has seen that elsewhere waits for its line."""
        running = self.alive()
        log = self.err.read_text(errors="replace")
        return log[:log.rfind("\n") + 1] if running else log

    def stdout(self):
        return self.out.read_text(errors="replace")

    def alive(self):
        return self.popen.poll() is None

    def wait_log(self, text, after=None, timeout=PATIENCE):
        """The log once `text` stands in it, behind the first `after` if that is given."""

        def check():
            log = self.log()
            at = log.find(after) if after else 0
            return log if at >= 0 and text in log[at:] else None

        return wait_for(f"{text!r} in the log of {self.name}:\n{self.log()[-2000:]}", check, timeout)

    def wait_count(self, text, n, timeout=PATIENCE):
        """The log once `text` stands in it n times (1 or more). It must not stand there more often; what could add one more is
        for the test to wait for before."""
        wait_for(f"{n} times {text!r} in the log of {self.name}:\n{self.log()[-2000:]}",
                 lambda: self.log().count(text) >= n, timeout)
        log = self.log()
        assert log.count(text) == n, log
        return log

    def match(self, pattern, timeout=PATIENCE):
        """The first match of a regular expression in the log."""

        def check():
            found = re.search(pattern, self.log())
            if not found and not self.alive():
                pytest.fail(f"{self.name} ended with {self.popen.returncode}:\n{self.log()[-2000:]}")
            return found

        return wait_for(f"/{pattern}/ in the log of {self.name}:\n{self.log()[-2000:]}", check, timeout)

    def kill(self, how=signal.SIGKILL):
        """Sends a signal; after SIGKILL the process is gone when this returns."""
        if TSAN and self.ours and how != signal.SIGKILL:
            rest(self.popen)
        self.popen.send_signal(how)
        if how == signal.SIGKILL:
            self.popen.wait(10)
            self.expect_exit = False

    def wait(self, timeout=PATIENCE):
        """The exit status."""
        return self.popen.wait(timeout)

    def stop(self):
        """Ends it in order. Problems as a list of sentences."""
        problems = []
        if self.alive():
            self.popen.send_signal(signal.SIGCONT)
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(2)
            except subprocess.TimeoutExpired:
                self.popen.send_signal(signal.SIGTERM)  # the second one: now
            try:
                self.popen.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                problems.append(f"{self.name} did not end")
                self.popen.kill()
                self.popen.wait(10)
        if self.ours and self.expect_exit and self.popen.returncode != 0:
            problems.append(f"{self.name} ended with {self.popen.returncode}")
        if "Sanitizer" in self.log() or "runtime error:" in self.log():
            problems.append(f"{self.name}: a sanitizer's report")
        if problems:
            problems.append(self.log()[-4000:])
        return problems

    # ---- what the system says of it ----

    def fds(self):
        try:
            return len(os.listdir(f"/proc/{self.pid}/fd"))
        except PermissionError:
            pytest.skip("the program hides its descriptors from all but root")

    def sockets(self):
        """Of its descriptors; files come and go, as when it keeps who is known. For root."""
        folder, n = Path(f"/proc/{self.pid}/fd"), 0
        for fd in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                n += os.readlink(folder / fd).startswith("socket:")
        return n

    def status(self, field):
        """A number of /proc/PID/status, in KiB for sizes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        raise KeyError(field)

    def cpu_seconds(self):
        return cpu_seconds(Path(f"/proc/{self.pid}"))

    def tasks(self, file):
        """What stands in this file of each thread's directory in /proc, by directory. Some threads come and go."""
        texts = {}
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                texts[task] = (task / file).read_text()
        return texts

    def threads(self):
        """The directories of its threads in /proc, by name."""
        return {name.strip(): task for task, name in self.tasks("comm").items()}


class Tunnel:
    def __init__(self, server, client, port):
        self.server, self.client, self.port = server, client, port


class Lab:
    """One test's processes and its directory."""

    def __init__(self, path):
        self.path = path
        self.processes = []

    def program(self, impl):
        return PROGRAM if impl == "c" else go_peer(impl)

    def _name(self, name):
        n = sum(p.name.startswith(name) for p in self.processes)
        return f"{name}{n or ''}"

    def run(self, *args, impl="c", env=None, cwd=None, timeout=PATIENCE, stdin=b"", wrapper=()):
        """Runs the program to its end. A CompletedProcess with text."""
        environ = {**os.environ, "LC_ALL": "C.UTF-8", "XDG_STATE_HOME": str(self.path / "state"), **(env or {})}
        command = with_sandbox((self.program(impl), *map(str, args)))
        done = subprocess.run([*map(str, wrapper), *command], cwd=cwd or self.path,
                              env=environ, input=stdin, capture_output=True, timeout=timeout)
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        return done

    def start(self, name, *command, **how):
        """Any program, ended with the test."""
        return Process(self, self._name(name), command, **how)

    def server(self, impl="c", listen=None, secret=SECRET, flags=(), ready=True, threads=THREADS,
               **how):
        """A server; port, ca and secret say how to reach it. One that is started again at its port has it from free_port():
        of those that the system gives, its client could have it meanwhile, as the port it dials from."""
        at = listen if listen is not None else "127.0.0.1:0" if impl == "c" else "0"
        given = ("-secret", secret) if secret else ()
        if impl == "c" and threads:
            given += ("-threads", threads)
        p = Process(self, self._name("server"),
                    (self.program(impl), "server", *given, "-listen", at, *flags), **how)
        p.secret = secret
        p.ca = p.cwd / "certs/ca.crt"
        p.port = None
        if ready:
            p.port = int(p.match(r"(?:listens on|监听于) \S*:(\d+)\n").group(1))
        return p

    def client(self, server, target, impl="c", remote_port=0, flags=(), ready=True, ca=None, secret=None,
               host="127.0.0.1", **how):
        """A client of server (or of a port); port is the public one."""
        port = server if isinstance(server, int) else server.port
        target = target if ":" in str(target) else f"127.0.0.1:{target}"
        p = Process(self, self._name("client"),
                    (self.program(impl), "client", "-server", f"{host}:{port}",
                     "-secret", secret or getattr(server, "secret", SECRET),
                     "-ca", ca or server.ca, "-remote-port", remote_port,
                     "-local-target", target, *flags), **how)
        p.port = None
        if ready:
            p.port = self.port_of(p)
        return p

    @staticmethod
    def port_of(client):
        """The public port of a client that is up."""
        return int(client.match(r"(?:成功在|the server listens on) \S*:(\d+)").group(1))

    def tunnel(self, target, pairing="c-c", **how):
        """Server and client of a pairing, e.g. "c-go16": our server, the Go client."""
        a, b = pairing.split("-")
        server = self.server(impl=a, **how)
        client = self.client(server, target, impl=b, **how)
        return Tunnel(server, client, client.port)

    def close(self):
        """Ends what still runs, clients first. Problems as a list of sentences."""
        problems = []
        for p in reversed(self.processes):
            problems += p.stop()
        return problems
