# SPDX-License-Identifier: MIT
"""Processes, ports and waiting for the benchmark, and what the system says of processes.

Processor time is that of whole process trees. A process' own time comes from its CPU clock, which counts
nanoseconds and includes threads that have ended; that of children that have ended comes with their
parent's. So nothing is lost but what a child left behind that nobody waited for.
"""

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, fields
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 20  # seconds until something that must happen has happened
SBIN = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin"
DESCRIPTORS = 65536  # two for each of 15,000 connections, in one process


class Unavailable(Exception):
    """This system cannot be measured here; the text says why."""


class Failed(Exception):
    """A measurement did not work; the text says why."""


def tool(name, package):
    """The path of a program."""
    path = shutil.which(name, path=SBIN)
    if not path:
        raise Unavailable(f"{name} is not here (Debian: {package})")
    return path


def wait_for(what, check, timeout=PATIENCE, step=0.0005):
    """The first true result of check(). The step is short: start-up is measured with it."""
    deadline = time.monotonic() + timeout
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > deadline:
            raise Failed(f"waited {timeout} s for {what() if callable(what) else what}")
        time.sleep(step)


def free_port():
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


# ---- what the system says ----


@dataclass
class Usage:
    """What processes have used. `cpu` is exact; the clock of `user_ticks` and `system_ticks` is coarse, so they
    only say how it divides. Switches of threads that have ended are not in it."""

    cpu: float = 0.0  # seconds
    user_ticks: int = 0
    system_ticks: int = 0
    switches: int = 0

    def _with(self, other, sign):
        return Usage(*(getattr(self, f.name) + sign * getattr(other, f.name) for f in fields(self)))

    def __add__(self, other):
        return self._with(other, 1)

    def __sub__(self, other):
        return self._with(other, -1)

    @property
    def user(self):
        """Seconds of it spent in the programs themselves."""
        ticks = self.user_ticks + self.system_ticks
        return self.cpu * self.user_ticks / ticks if ticks else 0.0

    @property
    def system(self):
        """Seconds of it spent in the kernel for them."""
        return self.cpu - self.user


@dataclass
class Memory:
    """Bytes. `own` is what the processes have written themselves (heap, stacks): other than with RSS and PSS,
    neither files nor who else maps them play a part."""

    rss: int = 0
    pss: int = 0
    own: int = 0

    def __add__(self, other):
        return Memory(self.rss + other.rss, self.pss + other.pss, self.own + other.own)


def _stat(pid):
    """The fields of /proc/PID/stat behind the name, or None if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None


def descendants(roots):
    """The roots that live, and all that descends from them."""
    parent = {int(p): int(s[1]) for p in os.listdir("/proc") if p.isdigit() and (s := _stat(p))}
    found, new = set(), {pid for pid in roots if pid in parent}
    while new:
        found |= new
        new = {pid for pid, up in parent.items() if up in new} - found
    return sorted(found)


def _cpu_clock(pid):
    """The processor time of a process in seconds, with threads that have ended. (The number of the
    clock is what clock_getcpuclockid() gives.)"""
    return time.clock_gettime((~pid << 3) | 2)


def _switches(pid):
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            text = (task / "status").read_text()
        except OSError:
            continue  # it has just ended
        total += sum(int(line.split()[1]) for line in text.splitlines() if "_ctxt_switches:" in line)
    return total


def usage_of(pid):
    """Of one process and its children that have ended."""
    stat = _stat(pid)
    if not stat:
        return Usage()
    try:
        own, switches = _cpu_clock(pid), _switches(pid)
    except OSError:
        return Usage()
    user, system, child_user, child_system = (int(n) for n in stat[11:15])
    return Usage(own + (child_user + child_system) / TICKS, user + child_user, system + child_system, switches)


def tree_usage(roots):
    return sum((usage_of(pid) for pid in descendants(roots)), Usage())


def memory_of(pid):
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return Memory()
    size = {m[1]: int(m[2]) * 1024 for m in re.finditer(r"^(\w+): +(\d+) kB", text, re.M)}
    return Memory(size.get("Rss", 0), size.get("Pss", 0), size.get("Anonymous", 0))


def tree_memory(roots):
    return sum((memory_of(pid) for pid in descendants(roots)), Memory())


# ---- processes ----


def raise_descriptor_limit():
    """As many descriptors as may be had, for us and the processes we start. How many that is."""
    for limit in (DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[1]):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            break
        except (OSError, ValueError):
            pass  # more than the system allows us
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Process:
    """A running program; what it says goes to one file."""

    def __init__(self, path, name, command, env=None, cwd=None):
        self.name = name
        self.command = [str(c) for c in command]
        self.file = path
        with open(path, "wb") as out:
            self.popen = subprocess.Popen(
                self.command, cwd=cwd, env={**os.environ, "LC_ALL": "C.UTF-8", "XDG_STATE_HOME": str(path.parent), **(env or {})},
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)

    @property
    def pid(self):
        return self.popen.pid

    def log(self):
        return self.file.read_text(errors="replace")

    def alive(self):
        return self.popen.poll() is None

    def _check_alive(self):
        if not self.alive():
            raise Failed(f"{self.name} ended with {self.popen.returncode}: {self.log()[-500:].strip()}")

    def match(self, pattern, timeout=PATIENCE):
        """The first match of a regular expression in what it said."""

        def check():
            found = re.search(pattern, self.log())
            if not found:
                self._check_alive()
            return found

        return wait_for(lambda: f"/{pattern}/ from {self.name}: {self.log()[-500:].strip()}", check, timeout)

    def wait_listening(self, port, timeout=PATIENCE):
        """Until something of this process' tree listens on the port. Nothing is connected for it: a tunnel
        would pass that on."""

        def check():
            self._check_alive()
            return _listens(port)

        wait_for(lambda: f"{self.name} to listen on {port}: {self.log()[-500:].strip()}", check, timeout)

    def stop(self):
        for how, patience in ((signal.SIGTERM, 1), (signal.SIGTERM, 2), (signal.SIGKILL, 10)):
            if not self.alive():
                break
            for pid in reversed(descendants([self.pid])):
                try:
                    os.kill(pid, how)
                except OSError:
                    pass  # it has just ended
            try:
                self.popen.wait(patience)
            except subprocess.TimeoutExpired:
                pass


def _listens(port):
    """Whether somebody does. The tables begin with those who listen; what follows may be long."""
    for table in ("tcp", "tcp6"):
        try:
            with open(f"/proc/net/{table}", encoding="ascii") as lines:
                next(lines)
                for line in lines:
                    f = line.split()
                    if f[3] != "0A":
                        break
                    if int(f[1].rsplit(":", 1)[1], 16) == port:
                        return True
        except OSError:
            pass
    return False


class Lab:
    """A directory, and the processes of one tunnel or service. `link` lies between its two ends: None, or
    the arguments of bench/delay."""

    def __init__(self, path, tools, link=None):
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.tools = tools  # the directory of load, limit, delay
        self.link = link
        self.processes = []

    def start(self, name, *command, env=None, cwd=None):
        n = sum(p.name.startswith(name) for p in self.processes)
        p = Process(self.path / f"{name}{n or ''}.log", f"{name}{n or ''}", command, env, cwd or self.path)
        self.processes.append(p)
        return p

    def run(self, *command, timeout=60, **how):
        """Runs a program to its end. What it said."""
        done = subprocess.run([str(c) for c in command], cwd=self.path, capture_output=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, **how)
        text = (done.stdout + done.stderr).decode(errors="replace")
        if done.returncode:
            raise Failed(f"{command[0]}: exit {done.returncode}: {text[-500:].strip()}")
        return text

    def through(self, port):
        """The port by which the far end reaches `port`: itself, or a long link to it."""
        if not self.link:
            return port
        return self.service("delay", "-l", "0", "-t", port, *self.link)

    def service(self, program, *args):
        """One of our own programs that prints its port."""
        return int(self.start(program, self.tools / program, *args).match(r'"port":(\d+)')[1])

    def certificate(self):
        """A certificate and its key, made once for each directory; PEM files."""
        cert, key = self.path / "cert.pem", self.path / "key.pem"
        if not cert.exists():
            self.run(tool("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                     "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert)
        return cert, key

    def close(self):
        for p in reversed(self.processes):
            p.stop()
        self.processes.clear()


# ---- the load ----


class Load:
    """The generator, running. Its connections stay open until release()."""

    def __init__(self, tools, args):
        self.popen = subprocess.Popen([str(tools / "load"), *map(str, args), "-k"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def line(self, timeout):
        """The next line that it prints."""
        timer = threading.Timer(timeout, self.popen.kill)
        timer.daemon = True
        timer.start()
        try:
            line = self.popen.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise Failed(self.release() or f"load gave up after {timeout} s")
        return json.loads(line)

    def go(self):
        """Begins, with -g."""
        self.popen.stdin.write(b"g")
        self.popen.stdin.flush()

    def release(self):
        """Ends it. What it complained of."""
        if self.popen.stdin.closed:
            return ""
        _, err = self.popen.communicate()
        return err.decode(errors="replace").strip()
