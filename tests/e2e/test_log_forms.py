# SPDX-License-Identifier: MIT
"""The log for programs (-log-format): JSON that jq reads, whatever a peer says, and the journal's own datagrams."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess

import pytest

from lib import wire, wire2
from lib.procs import PATIENCE, PROGRAM, SECRET, wait_for
from lib.services import works

EVIL = b"\x1b[2J\x1b]0;owned\x07\r\n{\"event\":\"forged\"} \\ \xff\xfe \xe2\x80\xae \xe2\x80\xa8" + b"A" * 3000 + b"\n"
LEVELS = {"error": "3", "warn": "4", "notice": "5", "info": "6", "debug": "7"}


def objects(process):
    """The lines, each of which must be an object."""
    return [json.loads(line) for line in process.log().split("\n")[:-1]]


def said(process, event, timeout=PATIENCE):
    """The first object of that event."""
    return wait_for(f"the event {event} in:\n{process.log()[-2000:]}",
                    lambda: next((o for o in objects(process) if o["event"] == event), None), timeout)


def test_every_line_of_both_ends_is_an_object_with_fields(lab, echo):
    server = lab.server(flags=("-log-format", "json", "-log-level", "debug"), ready=False)
    port = int(said(server, "server_ready")["address"].rsplit(":", 1)[1])
    server.port, server.ca, server.secret = port, server.cwd / "certs/ca.crt", SECRET
    client = lab.client(server, echo.port, flags=("-log-format", "json", "-id", "nas"), ready=False)
    public = int(said(client, "tunnel_route")["port"])
    assert works(public)
    one = said(server, "client_authenticated")
    assert one["client"] == "nas" and re.fullmatch(r"127\.0\.0\.1:\d+", one["peer"]) and one["level"] == "info"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", one["ts"])
    assert one["message"] == f"client {one['peer']} nas passed PSK authentication"
    opened = said(server, "service_open")
    assert opened["client"] == "nas" and opened["peer"] == one["peer"] and opened["tunnel"]
    assert said(server, "user_connected")["level"] == "debug"
    assert said(server, "debug")["level"] == "debug"  # a line that is no event
    server.kill(signal.SIGUSR1)
    status = said(server, "session_status")
    assert status["level"] == "notice" and status["connections"] in (0, 1) and status["received"] == 4
    for p in client, server:
        p.kill(signal.SIGTERM)
        p.wait()
        assert objects(p)[-1]["event"] and "message" in objects(p)[-1]


def test_what_others_say_breaks_no_line(lab, echo):
    """Strangers, a client with the secret, and a server that lies."""
    server = lab.server(flags=("-log-format", "json"), ready=False)
    port = int(said(server, "server_ready")["address"].rsplit(":", 1)[1])
    ca = server.cwd / "certs/ca.crt"
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(EVIL)
        with contextlib.suppress(ConnectionResetError):
            s.recv(1)
    with wire.dial(port, ca) as w:
        w.send(EVIL)
        w.wait_closed()
    with wire.dial(port, ca, source=("127.0.0.3", 0)) as w:
        w.login(SECRET)
        w.send(wire.frame(0, 3) + wire.frame(2, 3, EVIL))
        said(server, "open_malformed")
    assert {o["src"] for o in objects(server) if o["event"].startswith("stranger_")} >= {"127.0.0.1", "127.0.0.3"}
    assert not any(o["event"] == "forged" for o in objects(server))
    with wire2.Server(lab.path / "certs/server.crt", lab.path / "certs/server.key", SECRET) as liar:
        client = lab.client(liar.port, echo.port, ca=ca, ready=False, flags=("-log-format", "json", "-id", "by-hand"))
        liar.open(port=4711)
        liar.tell(op="notice", message=EVIL.decode(errors="replace")[:400])
        notice = said(client, "server_notice")
        assert len(json.dumps(notice)) < 2000 and "\x1b" not in notice["text"]
    for p in server, client:
        raw = p.err.read_bytes()
        raw.decode()  # UTF-8
        assert not any(b < 32 and b != 10 for b in raw) and b"\xe2\x80\xae" not in raw
        if shutil.which("jq"):
            done = subprocess.run(["jq", "-c", "[.ts, .event, .message]"], input=raw, capture_output=True, timeout=PATIENCE)
            assert done.returncode == 0 and done.stdout.count(b"\n") == raw.count(b"\n"), done.stderr


def test_what_is_wrong_with_a_file_is_an_object_too(lab):
    (lab.path / "f.yaml").write_text("serverr: x\n")
    done = lab.run("client", "-config", "f.yaml", "-log-format", "json")
    assert done.returncode != 0
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["text"]


def test_lines_that_were_lost_are_an_object(lab, echo):
    """A pipe that nobody reads."""
    read_end, write_end = os.pipe()
    popen = subprocess.Popen([PROGRAM, "server", "-sandbox", "off", "-secret", SECRET, "-listen", "127.0.0.1:0", "-log-format", "json",
                              "-log-level", "debug"], cwd=lab.path, stderr=write_end, start_new_session=True)
    os.close(write_end)
    try:
        with os.fdopen(read_end, "rb", buffering=0) as f:
            text = b""
            while b"server_ready" not in text:
                text += f.read(1 << 16)
            port = int(re.search(rb'listens on \S*:(\d+)"', text).group(1))
            with wire.dial(port, lab.path / "certs/ca.crt") as w:
                w.login(SECRET)
                w.ask(0)
                for _ in range(4):  # 600 KB: more than the pipe and the queue hold
                    for _ in range(1000):
                        popen.send_signal(signal.SIGUSR1)
                popen.send_signal(signal.SIGTERM)
                while part := f.read(1 << 16):
                    text += part
        lines = [json.loads(line) for line in text.decode().splitlines()]
        assert all("event" in line for line in lines)
    finally:
        popen.kill()
        popen.wait(10)


class Journal:
    """journald's socket, in a mount namespace of the program's own; stderr is what JOURNAL_STREAM says."""

    def __init__(self, lab):
        if not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
            pytest.skip("needs a mount namespace (root)")
        self.folder = lab.path / "journal"
        self.folder.mkdir()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.folder / "socket"))
        (self.folder / "socket").chmod(0o666)
        self.socket.settimeout(PATIENCE)
        self.entries = []
        # The stream is stderr's, whatever that is: the shell of the wrapper asks.
        self.wrapper = ("unshare", "-m", "sh", "-c",
                        'mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind "$0" /run/systemd/journal && '
                        'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$@"', self.folder)

    def entry(self):
        """The next one, by journald's own rules."""
        data, fields = self.socket.recv(1 << 20), {}
        while data:
            line, _, data = data.partition(b"\n")
            name, equals, value = line.partition(b"=")
            if not equals:
                n = struct.unpack("<Q", data[:8])[0]
                value, data = data[8 : 8 + n], data[9 + n :]
            fields[name.decode()] = value.decode()
        self.entries.append(fields)
        return fields

    def until(self, event):
        while True:
            try:
                e = self.entry()
            except TimeoutError:
                pytest.fail(f"no {event} among {[e['MESSAGE'] for e in self.entries]}")
            if e["GOTUNNEL_EVENT"] == event:
                return e

    def close(self):
        self.socket.close()


@pytest.fixture
def journal(lab):
    j = Journal(lab)
    yield j
    j.close()


def test_the_journal_has_fields_and_priorities_from_inside_the_cage(lab, echo, journal):
    server = lab.server(flags=("-log-format", "journal"), ready=False, wrapper=journal.wrapper)
    ready = journal.until("server_ready")
    assert ready["PRIORITY"] == "6" and ready["SYSLOG_IDENTIFIER"] == "gotunnel"
    assert re.fullmatch("[0-9a-f]{32}", ready["MESSAGE_ID"])
    assert ready["MESSAGE"] == f"server mode: the tunnel listens on {ready['GOTUNNEL_ADDRESS']}"
    port = int(ready["GOTUNNEL_ADDRESS"].rsplit(":", 1)[1])
    client = lab.client(port, echo.port, flags=("-id", "nas"), ca=server.cwd / "certs/ca.crt")
    one = journal.until("service_open")
    assert one["GOTUNNEL_CLIENT"] == "nas" and one["GOTUNNEL_TUNNEL"] and one["MESSAGE_ID"] != ready["MESSAGE_ID"]
    with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.9", 0)) as s:
        s.sendall(EVIL)
        with contextlib.suppress(ConnectionResetError):
            s.recv(1)
    bad = journal.until("stranger_tls_not")
    assert bad["PRIORITY"] == "4" and bad["MESSAGE"].startswith("event=tls_not src=127.0.0.9 ")  # for fail2ban, as in text
    assert works(client.port)
    server.kill(signal.SIGUSR1)
    assert journal.until("session_status")["PRIORITY"] == "5"
    assert server.log() == ""  # not twice


def test_a_log_that_goes_elsewhere_is_text(lab):
    """JOURNAL_STREAM stays when a shell redirects stderr."""
    done = lab.run("server", "-secret", SECRET, "-listen", "256.0.0.1:1", "-log-format", "journal",
                   env={"JOURNAL_STREAM": "1:2"})
    assert done.returncode != 0
    assert re.match(r"\d{4}/\d\d/\d\d \S+ -log-format journal: the standard error is not the journal: lines are text\n",
                    done.stderr), done.stderr


def test_text_is_what_it_was(lab, echo):
    """With the flag and without, but for times, ports and fingerprints."""
    logs = []
    for i, flags in enumerate([(), ("-log-format", "text")]):
        folder = lab.path / f"run{i}"
        folder.mkdir()
        server = lab.server(flags=flags, cwd=folder)
        client = lab.client(server, echo.port, flags=(*flags, "-id", "nas"))
        client.wait_log("accepting streams and forwarding...")
        server.wait_log("ready to forward")
        logs.append([re.sub(r"[0-9a-f]{64}|[0-9]+", "#", p.log()) for p in (server, client)])
    assert logs[0] == logs[1]
