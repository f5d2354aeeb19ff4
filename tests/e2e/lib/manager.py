# SPDX-License-Identifier: MIT
"""A service manager as far as a process can see one: the socket for its news, and what it is started with."""

import contextlib
import ctypes
import os
import platform
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from .procs import PATIENCE, PROGRAM, SANITIZED

PTRACE_SEIZE, PTRACE_DETACH, PTRACE_INTERRUPT = 0x4206, 17, 0x4207
WALL = 0x40000000  # waitpid(2): also for threads


class Manager:
    """Listens at NOTIFY_SOCKET. `env` is for the process; `news` has each datagram as a dictionary."""

    def __init__(self, path, watchdog=None):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        Path(path).chmod(0o777)  # as systemd's
        self.env = {"NOTIFY_SOCKET": str(path)}
        if watchdog:
            self.env["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        self.news = []

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.socket.close()

    def get(self, timeout):
        """The next datagram, None without any."""
        self.socket.settimeout(timeout)
        try:
            text = self.socket.recv(4096).decode()
        except (TimeoutError, BlockingIOError):
            return None
        self.news.append(dict(line.split("=", 1) for line in text.splitlines()))
        return self.news[-1]

    def wait(self, key, part="", timeout=PATIENCE):
        """The first datagram from here on whose `key` has `part` in it."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            news = self.get(left)
            if news and key in news and part in news[key]:
                return news
        return pytest.fail(f"waited {timeout} s for {key}={part}; there were {self.news}")

    def forget(self):
        """What has come until now does not count."""
        while self.get(0) is not None:
            pass


@contextlib.contextmanager
def frozen(thread):
    """One thread of a child of ours stands still; its number."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(PTRACE_SEIZE, thread, None, None) < 0:
        pytest.skip(f"may not stop a thread: {os.strerror(ctypes.get_errno())}")
    try:
        libc.ptrace(PTRACE_INTERRUPT, thread, None, None)
        os.waitpid(thread, WALL)
        yield
    finally:
        libc.ptrace(PTRACE_DETACH, thread, None, None)


# ---- units ----

USER = 61234  # of those that systemd gives to a DynamicUser
HEADERS = ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h")


def read_unit(path):
    """{key: [values]} of a unit; an empty value takes back those before it."""
    found = {}
    for key, value in re.findall(r"(?m)^(\w+)=(.*)$", path.read_text()):
        found[key] = found.get(key, []) + [value] if value else []
    return found


def groups_of_calls():
    done = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter"], capture_output=True, text=True, check=True)
    groups, members = {}, None
    for line in done.stdout.splitlines():
        if line.startswith("@"):
            members = groups.setdefault(line.strip(), [])
        elif line.startswith("    ") and not line.strip().startswith("#") and members is not None:
            members.append(line.strip())
    return groups


def allowed_calls(unit):
    """The numbers of the system calls that SystemCallFilter= lets through. None: not to be known here."""
    header = next((Path(h) for h in HEADERS if Path(h).exists()), None)
    if platform.machine() != "x86_64" or not header or not shutil.which("systemd-analyze"):
        return None
    numbers = {name: int(n) for name, n in re.findall(r"#define __NR_(\w+) (\d+)", header.read_text())}
    groups, names = groups_of_calls(), set()

    def members(word):
        return {m for g in groups[word] for m in members(g)} if word.startswith("@") else {word}

    for line in unit["SystemCallFilter"]:
        words = {m for word in line.lstrip("~").split() for m in members(word)}
        names = names - words if line.startswith("~") else names | words
    return sorted(numbers[name] for name in names | members("@default") if name in numbers)


class Host:
    """A machine with a service manager that starts our units as their files say: user, capabilities, system calls,
    umask, credentials, state, environment. What only a manager with namespaces can do is left out."""

    def __init__(self, lab):
        self.lab = lab
        self.root = Path(tempfile.mkdtemp(prefix="gotunnel-host-"))
        self.root.chmod(0o755)
        for folder in ("etc", "state", "credentials"):
            (self.root / folder).mkdir()
        shutil.copy(PROGRAM, self.root / "gotunnel")
        self.as_root = os.geteuid() == 0

    def __enter__(self):
        return self

    def __exit__(self, *why):
        shutil.rmtree(self.root)

    def _own(self, path, mode):
        if self.as_root:
            os.chown(path, USER, USER)
        path.chmod(mode)

    def _folder(self, *parts):
        folder = self.root.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        self._own(folder, 0o700)
        return folder

    def start(self, name, manager, instance=""):
        """The process of the unit `name`, with the news going to manager."""
        unit = read_unit(PROGRAM.parent / "packaging/systemd" / name)
        assert unit["Type"] == ["notify"] and unit["DynamicUser"] == ["yes"]

        given = self._folder("credentials", name.replace("@", f"@{instance}"))

        def value(text):
            return (text.replace("%i", instance).replace("/etc/gotunnel", str(self.root / "etc"))
                    .replace("%t/credentials/%n", str(given)))

        env = {"NOTIFY_SOCKET": manager.env["NOTIFY_SOCKET"], "HOME": None, "XDG_STATE_HOME": None}
        env.update(word.split("=", 1) for text in unit.get("Environment", ()) for word in shlex.split(value(text)))
        env["WATCHDOG_USEC"] = str(int(unit["WatchdogSec"][0].rstrip("s")) * 1000000)
        env["STATE_DIRECTORY"] = str(self._folder("state", value(unit["StateDirectory"][0])))
        env["RUNTIME_DIRECTORY"] = str(self._folder("run", value(unit["RuntimeDirectory"][0])))
        others = dict(text.split(":", 1) for text in unit.get("SetCredential", ()))  # where there is no file
        for credential in unit["LoadCredential"]:
            as_name, file = value(credential).split(":")
            if Path(file).exists() or as_name not in others:
                shutil.copy(file, given / as_name)
            else:
                (given / as_name).write_text(others[as_name].replace("\\n", "\n"))
            self._own(given / as_name, 0o400)
        given.chmod(0o500)
        env["CREDENTIALS_DIRECTORY"] = str(given)
        file = Path(value(unit["EnvironmentFile"][0]).lstrip("-"))
        options = dict(line.split("=", 1) for line in file.read_text().splitlines()) if file.exists() else {}
        env.update(options)

        def expand(line):
            words = []
            for word in shlex.split(value(line)):
                if re.match(r"\$\w", word):
                    words += shlex.split(env.get(word[1:], ""))
                else:
                    words.append(re.sub(r"\$\{(\w+)\}", lambda m: env[m.group(1)], word))
            return words

        for line in unit.get("ExecStartPre", ()):
            subprocess.run([*map(str, self._cage(unit)), *expand(line)], cwd=self.root, check=True, timeout=PATIENCE)
        words = expand(unit["ExecStart"][0])
        words[0] = str(self.root / "gotunnel")
        process = self.lab.start(name.split(".")[0] + instance, *words, env=env, wrapper=self._cage(unit),
                                 cwd=self.root)
        process.unit, process.env = unit, env
        return process

    def reload(self, process):
        """What the unit's ExecReload comes to, as the unit's user and in its cage."""
        words = shlex.split(process.unit["ExecReload"][0])
        words[0] = str(self.root / "gotunnel")
        environ = {k: v for k, v in {**os.environ, "LC_ALL": "C.UTF-8", **process.env}.items() if v is not None}
        return subprocess.run([*map(str, self._cage(process.unit)), *words], env=environ, cwd=self.root,
                              capture_output=True, text=True, timeout=PATIENCE)

    def _cage(self, unit):
        assert unit["CapabilityBoundingSet"] == [] and unit["NoNewPrivileges"] == ["yes"]
        calls = None if SANITIZED else allowed_calls(unit)  # a sanitizer needs more of them
        cage = [sys.executable, Path(__file__).with_name("cage.py"), unit["UMask"][0],
                ",".join(map(str, calls)) if calls else "all"]
        if self.as_root:
            cage = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--bounding-set=-all",
                    "--inh-caps=-all", "--no-new-privs", *cage]
        return cage
