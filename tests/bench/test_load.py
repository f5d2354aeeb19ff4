# SPDX-License-Identifier: MIT
"""The load generator notices what a tunnel does to the data; the long link is as long as it says."""

import json
import socket
import subprocess
import threading

import pytest

MISMATCH, CLOSED = 3, 5
PATIENCE = 120


class Program:
    """One of the programs that print their port, ended with the test."""

    def __init__(self, *command):
        self.popen = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE)
        self.port = json.loads(self.popen.stdout.readline())["port"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.popen.kill()
        self.popen.wait()
        self.popen.stdout.close()


@pytest.fixture
def sink(tools):
    with Program(tools / "load", "sink", "-p", 0) as p:
        yield p


def end(s):
    """Ends a connection although another thread waits in it; close() alone would wait for that one."""
    try:
        s.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the other side has already gone
    s.close()


class Middle:
    """A tunnel that hurts: hands on what it gets, but calls hurt(data, offset) for one direction."""

    def __init__(self, target, direction, hurt):
        self.target, self.direction, self.hurt = target, direction, hurt
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                user, _ = self.listener.accept()
            except OSError:
                return
            service = socket.create_connection(("127.0.0.1", self.target))
            for pair in ((user, service, "up"), (service, user, "down")):
                threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source, sink, direction):
        offset = 0
        try:
            while data := source.recv(65536):
                length = len(data)
                if direction == self.direction:
                    data = self.hurt(data, offset)
                sink.sendall(data)
                offset += length
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for s in (source, sink):
                end(s)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def flip(at):
    """Changes one bit of the byte at an offset."""

    def hurt(data, offset):
        if offset <= at < offset + len(data):
            i = at - offset
            return data[:i] + bytes([data[i] ^ 1]) + data[i + 1:]
        return data

    return hurt


def cut(at):
    """Ends the connection there."""

    def hurt(data, offset):
        if at < offset + len(data):
            raise OSError("cut")
        return data

    return hurt


def load(tools, port, *args):
    return subprocess.run([tools / "load", args[0], "-p", str(port), *args[1:]], capture_output=True, text=True,
                          timeout=PATIENCE, stdin=subprocess.DEVNULL)


BULK = ("bulk", "-c", "3", "-b", "700000", "-v", "-d")


@pytest.mark.parametrize("direction", ["up", "down", "bi"])
def test_whole_data_is_accepted(tools, sink, direction):
    done = load(tools, sink.port, *BULK, direction)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"] == 3 * 700000 * (2 if direction == "bi" else 1)


@pytest.mark.parametrize("direction, where", [("up", "up"), ("down", "down"), ("bi", "up"), ("bi", "down")])
def test_one_bit_is_noticed(tools, sink, direction, where):
    at = 650000 if where == "down" else 650017  # the order takes the first bytes of what goes up
    with Middle(sink.port, where, flip(at)) as middle:
        assert load(tools, middle.port, *BULK, direction).returncode == MISMATCH


def test_nothing_is_compared_without_asking(tools, sink):
    with Middle(sink.port, "down", flip(1000)) as middle:
        assert load(tools, middle.port, "bulk", "-b", "700000", "-d", "down").returncode == 0


@pytest.mark.parametrize("args", [("pp", "-c", "4", "-t", "20"), ("cps", "-c", "2", "-t", "20"),
                                  ("idle", "-c", "2")], ids=lambda a: a[0])
def test_a_wrong_answer_is_noticed(tools, sink, args):
    with Middle(sink.port, "down", flip(40)) as middle:
        assert load(tools, middle.port, *args).returncode == MISMATCH


@pytest.mark.parametrize("args", [("bulk", "-b", "700000", "-d", "down"), ("bulk", "-b", "700000", "-d", "up"),
                                  ("pp", "-t", "20")], ids=lambda a: f"{a[0]}-{a[-1]}")
def test_an_early_end_is_noticed(tools, sink, args):
    where = "up" if args[-1] == "up" else "down"
    with Middle(sink.port, where, cut(50)) as middle:
        assert load(tools, middle.port, *args).returncode == CLOSED


def test_the_modes_print_their_figures(tools, sink):
    pp = json.loads(load(tools, sink.port, "pp", "-c", "8", "-t", "0.3").stdout)
    assert pp["n"] > 0 and 0 < pp["p50_us"] <= pp["p99_us"] <= pp["max_us"]
    mix = json.loads(load(tools, sink.port, "mix", "-t", "0.3", "-d", "down").stdout)
    assert mix["n"] > 0 and mix["mb_per_s"] > 0
    cps = json.loads(load(tools, sink.port, "cps", "-c", "4", "-t", "0.3").stdout)
    assert cps["done"] > 0 and cps["failed"] == 0
    assert json.loads(load(tools, sink.port, "idle", "-c", "20").stdout)["ready"] == 20


def test_the_link_is_as_long_as_it_says(tools, sink):
    with Program(tools / "delay", "-l", 0, "-t", sink.port, "-d", 40) as link:
        pp = json.loads(load(tools, link.port, "pp", "-t", "1").stdout)
        assert pp["n"] > 0 and pp["p50_us"] >= 80000


def test_connections_share_the_rate_of_the_link(tools, sink):
    with Program(tools / "delay", "-l", 0, "-t", sink.port, "-d", 5, "-r", 4, "-q", 64) as link:
        done = load(tools, link.port, "bulk", "-c", "4", "-b", "500000", "-d", "up", "-v")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["seconds"] >= 0.5 * 0.9  # 2 MB at 4 MB/s, less what its queue holds
