# SPDX-License-Identifier: MIT
"""A machine in a folder: a root of its own, and a service manager that really starts and stops what units say. Needs root.

Each command runs in a mount namespace of its own, so nothing has to be unmounted. What only a manager with namespaces can
do for a service is left out: it is started by its user, with its credentials, folders and environment."""

import contextlib
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from fnmatch import fnmatch
from pathlib import Path

from .manager import USER, read_unit
from .procs import PATIENCE, PROGRAM

ENTER = 'mount --bind /proc "$R/proc" && mount --rbind /dev "$R/dev" && { [ -z "$USR" ] || mount --bind /usr "$R/usr"; } && exec chroot "$R" "$@"'
STUB = """#!/bin/sh
printf '%s\\n' "$*" >/run/stub/ask
read -r status text </run/stub/answer
[ -z "$text" ] || echo "$text"
exit "$status"
"""
UNITS = ("etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
PATH = "/stub:/opt:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Unit:
    """A service that runs: its process, and the socket for its news."""

    def __init__(self, name, popen, news, folders):
        self.name, self.popen, self.news, self.folders = name, popen, news, folders

    def wait_ready(self, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and self.popen.poll() is None:
            if select.select([self.news], [], [], 0.05)[0] and b"READY=1" in self.news.recv(4096):
                return True
        return False


class Machine:
    def __init__(self, tar=None):
        """Of a tar of a whole system; without one the programs are those of this machine."""
        self.root = Path(tempfile.mkdtemp(prefix="gotunnel-machine-"))
        self.root.chmod(0o755)
        self.is_own = tar is not None
        if tar:
            subprocess.run(["tar", "-xf", tar, "-C", self.root, "--exclude=./dev/*"], check=True)
        else:
            for name in ("etc", "run", "var/lib", "var/log", "tmp", "root", "home", "usr", "opt", "sbin", "proc", "dev"):
                (self.root / name).mkdir(parents=True)
            for name in ("bin", "lib", "lib64"):
                (self.root / name).symlink_to(f"usr/{name}")
            for name in ("passwd", "group", "nsswitch.conf"):
                shutil.copy(Path("/etc") / name, self.root / "etc")
            shutil.copy(PROGRAM, self.root / "opt/gotunnel")
        self.units, self.calls, self.number = {}, [], 0
        self._stop = threading.Event()
        self._thread = None

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self._stop.set()
        if self._thread:
            self._thread.join()
        for name in list(self.units):
            self.stop(name)
        shutil.rmtree(self.root)

    # ---- commands ----

    def enter(self, *words):
        return ["unshare", "--mount", "--propagation", "private", "env", f"R={self.root}",
                f"USR={'' if self.is_own else 1}", "sh", "-c", ENTER, "sh", *map(str, words)]

    def popen(self, *words, cwd="/", env=None, **kw):
        environ = {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": "/root", **{k: v for k, v in (env or {}).items() if v}}
        words = ["env", "-i", *(f"{k}={v}" for k, v in environ.items()), "sh", "-c", 'cd "$0" && exec "$@"', cwd, *words]
        return subprocess.Popen(self.enter(*words), stdin=kw.pop("stdin", subprocess.DEVNULL), text=True, **kw)

    def run(self, *words, timeout=600, **kw):
        done = self.popen(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **kw)
        try:
            out, err = done.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(done.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(words, done.returncode, out, err)

    # ---- systemd, as far as a maintainer script or our program can see it ----

    def boot(self):
        """There is a systemd from now on."""
        stub = self.root / "run/stub"
        (self.root / "run/systemd/system").mkdir(parents=True)
        (self.root / "etc/systemd/system").mkdir(parents=True, exist_ok=True)
        (self.root / "stub").mkdir()
        stub.mkdir()
        for name in ("ask", "answer"):
            os.mkfifo(stub / name)
        (self.root / "stub/systemctl").write_text(STUB)
        (self.root / "stub/systemctl").chmod(0o755)
        fds = [os.open(stub / name, os.O_RDWR) for name in ("ask", "answer")]
        self._thread = threading.Thread(target=self._serve, args=fds, daemon=True)
        self._thread.start()

    def _serve(self, ask, answer):
        with os.fdopen(ask, "rb", buffering=0), os.fdopen(answer, "wb", buffering=0) as out:
            while not self._stop.is_set():
                if not select.select([ask], [], [], 0.05)[0]:
                    continue
                line = os.read(ask, 4096).decode().strip()
                self.calls.append(line)
                try:
                    status, text = self._systemctl(shlex.split(line))
                except Exception as e:  # noqa: BLE001 - the asker must not wait for ever
                    status, text = 99, repr(e)
                out.write(f"{status} {text}\n".encode())

    def _systemctl(self, words):
        flags = {w for w in words if w.startswith("-")}
        verb, *names = [w for w in words if not w.startswith("-")]
        if verb == "daemon-reload":
            return 0, ""
        results = [self._do(verb, name, flags) for name in names]
        return max((r[0] for r in results), default=0), " ".join(r[1] for r in results).strip()

    def _do(self, verb, name, flags):
        name = name if "." in name else f"{name}.service"
        wants = self.root / "etc/systemd/system/multi-user.target.wants" / name
        matching = [n for n in self.units if fnmatch(n, name)]
        if verb in ("try-restart", "stop"):
            for unit in matching:
                self.stop(unit)
                if verb == "try-restart":
                    self.start(unit)
            return 0 if matching or "*" in name else 5, ""
        if verb == "enable":
            file = self.file(name)
            if not file:
                return 1, ""
            wants.parent.mkdir(exist_ok=True)
            wants.symlink_to(Path("/") / file.relative_to(self.root))
        elif verb == "disable":
            wants.unlink(missing_ok=True)
            if "--now" in flags:
                self.stop(name)
        elif verb == "start":
            return (0 if self.start(name, waits="--no-block" not in flags) else 1), ""
        elif verb == "is-active":
            return 0 if name in self.units else 3, ""
        elif verb == "is-enabled":
            return (0, "enabled") if wants.is_symlink() else (1, "disabled")
        else:
            return 1, f"no {verb}"
        return 0, ""

    def file(self, name):
        template = re.sub(r"@[^.]*", "@", name)
        for folder in UNITS:
            for each in (name, template):
                if (self.root / folder / each).exists():
                    return self.root / folder / each
        return None

    def log(self, name):
        return (self.root / f"var/log/{name}.log").read_text()

    def start(self, name, waits=True):
        if name in self.units:
            return True
        unit, folders = read_unit(self.file(name)), []
        instance = re.search(r"@([^.]*)|$", name).group(1) or ""

        def value(text):
            return text.replace("%i", instance).replace("%t", "/run").replace("%n", name)

        def last(key, default=""):
            return value(unit[key][-1]) if unit.get(key) else default

        is_dynamic = last("DynamicUser") == "yes"
        uid, gid = self._user(last("User"), is_dynamic)
        env = {}
        self.number += 1
        for key, base, variable in (("StateDirectory", "var/lib", "STATE_DIRECTORY"), ("RuntimeDirectory", "run", "RUNTIME_DIRECTORY")):
            if unit.get(key):
                self._folder(base, last(key), uid, gid, is_dynamic and base == "var/lib")
                env[variable] = f"/{base}/{last(key)}"
                folders += [self.root / base / last(key)] if base == "run" else []
        given = self.root / "run/credentials" / name
        shutil.rmtree(given, ignore_errors=True)
        given.mkdir(parents=True)
        folders.append(given)
        others = dict(text.split(":", 1) for text in unit.get("SetCredential", ()))
        for credential in unit.get("LoadCredential", ()):
            as_name, file = value(credential).split(":")
            source = self.root / file.lstrip("/")
            text = source.read_text() if source.exists() else others[as_name].replace("\\n", "\n")
            (given / as_name).write_text(text)
            os.chown(given / as_name, uid, gid)
            (given / as_name).chmod(0o400)
        os.chown(given, uid, gid)
        given.chmod(0o500)
        env["CREDENTIALS_DIRECTORY"] = f"/run/credentials/{name}"
        for text in unit.get("Environment", ()):
            env.update(word.split("=", 1) for word in shlex.split(value(text)))
        for text in unit.get("EnvironmentFile", ()):
            file = self.root / value(text).lstrip("-/")
            if file.exists():
                env.update(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
        path = self.root / f"run/notify-{self.number}"
        news = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        news.bind(str(path))
        path.chmod(0o777)
        env["NOTIFY_SOCKET"] = f"/run/{path.name}"
        for line in (*unit.get("ExecStartPre", ()), unit["ExecStart"][-1]):
            words = self._words(value(line), env)
            cage = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all",
                    "--no-new-privs", *words]
            with (self.root / f"var/log/{name}.log").open("a") as log:
                popen = self.popen(*cage, env=env, stdout=log, stderr=log, start_new_session=True)
            if line != unit["ExecStart"][-1] and popen.wait(PATIENCE) != 0:
                return False
        started = Unit(name, popen, news, folders)
        self.units[name] = started
        if waits and not started.wait_ready():
            self.stop(name)
            return False
        return True

    def _words(self, line, env):
        words = []
        for word in shlex.split(line):
            if re.match(r"\$\w", word):
                words += shlex.split(env.get(word[1:], ""))
            else:
                words.append(re.sub(r"\$\{(\w+)\}", lambda m: env[m.group(1)], word))
        return words

    def _user(self, name, is_dynamic):
        for line in (self.root / "etc/passwd").read_text().splitlines():
            fields = line.split(":")
            if name and fields[0] == name:
                return int(fields[2]), int(fields[3])
        assert is_dynamic, f"there is no user {name}"
        return USER, USER

    def _folder(self, base, name, uid, gid, is_private):
        folder = self.root / base / name
        if is_private:
            private = self.root / base / "private" / name
            private.parent.mkdir(parents=True, exist_ok=True)
            (self.root / base / "private").chmod(0o755)  # 0700, but for the service, which sees another one
            if folder.is_dir() and not folder.is_symlink():
                folder.rename(private)
            private.mkdir(exist_ok=True)
            if not folder.is_symlink():
                folder.parent.mkdir(parents=True, exist_ok=True)
                folder.symlink_to(os.path.relpath(private, folder.parent))
            folder = private
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700 if base == "var/lib" else 0o750)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, uid, gid, follow_symlinks=False)

    def stop(self, name):
        """A polite stop, as systemd's. Its exit status; None: it did not run."""
        unit = self.units.pop(name, None)
        if not unit:
            return None
        unit.popen.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            unit.popen.wait(90)
        if unit.popen.poll() is None:
            os.killpg(unit.popen.pid, signal.SIGKILL)
            unit.popen.wait()
        unit.news.close()
        for folder in unit.folders:
            shutil.rmtree(folder, ignore_errors=True)
        return unit.popen.returncode
