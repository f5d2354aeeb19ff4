# SPDX-License-Identifier: MIT
"""Hosts (network namespaces) with a router between them that is a thread of the test: it sees every packet.

    with routed.Net("server", "client") as net:     # skips the test where that needs rights that are missing
        net["server"].gets("10.78.0.1")             # an address moves to a host, from wherever it was
        net.silent.add("10.78.0.1")                 # packets from and to it are lost without a word
        net.delay = 1.5                             # seconds, each way
        net.largest = 1300                          # larger packets are lost without a word: an MTU black hole
        net.names(tun_test=["10.78.0.1"])           # what names mean at every host, from now on

Unlike lib/netns.py there is no ARP and no carrier, and packets have their real size (no segmentation offload).
"""

import collections
import fcntl
import heapq
import ipaddress
import itertools
import os
import select
import shutil
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from lib import netns

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
MTU = 1500
_numbers = itertools.count()


class Host(netns.Host):
    def __init__(self, net, name):
        super().__init__(name, "tun0", None)
        self.net = net
        self.etc = Path("/etc/netns") / name
        self.etc.mkdir(parents=True)
        (self.etc / "hosts").write_text("127.0.0.1 localhost\n")
        (self.etc / "nsswitch.conf").write_text("hosts: files\n")
        netns.sh("ip", "netns", "add", name)
        with self.inside():
            self.tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(self.tun, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
        self.ip("link", "set", "lo", "up")
        self.ip("link", "set", "tun0", "mtu", str(MTU), "up")
        self.ip("route", "add", "default", "dev", "tun0")
        self.ip("-6", "route", "add", "default", "dev", "tun0")

    def gets(self, address):
        """The address is this host's from now on. The others may keep connections from it: they find nobody."""
        bits = "128" if ":" in address else "32"
        old = self.net.routes.get(address)
        if old and old is not self:
            old.ip("addr", "del", f"{address}/{bits}", "dev", "tun0")
        self.ip("addr", "add", f"{address}/{bits}", "dev", "tun0", *(["nodad"] if bits == "128" else []))
        self.net.routes[address] = self
        self.address = self.address or address

    def socket(self, family=socket.AF_INET):
        with self.inside():
            return socket.socket(family)


class Net:
    def __init__(self, *names):
        if reason := netns.why_not():
            pytest.skip(reason)
        if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
            pytest.skip("/dev/net/tun is missing")
        self.delay, self.largest, self.silent, self.routes = 0, 65536, set(), {}
        self.idle_limit = None  # seconds after which a flow is forgotten, and its packets lost
        self._flows = collections.defaultdict(lambda: None)
        self._waiting, self._order, self._ending = [], itertools.count(), False
        self._tag = f"gr{os.getpid() % 100000}x{next(_numbers)}"
        self.hosts = {}
        self._thread = None
        try:
            for name in names:
                self.hosts[name] = Host(self, f"{self._tag}{name[:4]}")
        except BaseException:
            self.close()
            raise
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __getitem__(self, name):
        return self.hosts[name]

    def names(self, **names):
        """{name: addresses}, `_` stands for a dot."""
        lines = "".join(f"{a} {n.replace('_', '.')}\n" for n, addresses in names.items() for a in addresses)
        for host in self.hosts.values():
            (host.etc / "hosts").write_text("127.0.0.1 localhost\n" + lines)  # in place: it is bind-mounted

    # ---- the router ----

    def _run(self):
        tuns = {h.tun: h for h in self.hosts.values()}
        while not self._ending:
            wait = max(0, self._waiting[0][0] - time.monotonic()) if self._waiting else 0.1
            for tun in select.select(list(tuns), [], [], min(wait, 0.1))[0]:
                for _ in range(64):
                    try:
                        packet = os.read(tun, 65536)
                    except OSError:
                        break
                    self._forward(packet)
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                _, _, host, packet = heapq.heappop(self._waiting)
                self._deliver(host, packet)

    def _forward(self, packet):
        if packet[0] >> 4 == 4:
            ends, head = (packet[12:16], packet[16:20]), (packet[0] & 15) * 4
        else:
            ends, head = (packet[8:24], packet[24:40]), 40
        source, to = (str(ipaddress.ip_address(a)) for a in ends)
        host = self.routes.get(to)
        if host is None or len(packet) > self.largest or self.silent & {source, to} or self._forgotten(packet, head):
            return
        if self.delay:
            heapq.heappush(self._waiting, (time.monotonic() + self.delay, next(self._order), host, packet))
        else:
            self._deliver(host, packet)

    def _forgotten(self, packet, head):
        """A NAT's table: whether the flow of this packet was idle for too long. A SYN makes a new one."""
        if self.idle_limit is None:
            return False
        ports = struct.unpack("!HH", packet[head : head + 4])
        flow, now = frozenset(ports), time.monotonic()
        if packet[head + 13] & 2:
            self._flows[flow] = now
        last = self._flows[flow]
        if last is None or now - last > self.idle_limit:
            return True
        self._flows[flow] = now
        return False

    @staticmethod
    def _deliver(host, packet):
        try:
            os.write(host.tun, packet)
        except OSError:
            pass

    def close(self):
        self._ending = True
        if self._thread:
            self._thread.join(10)
        for host in self.hosts.values():
            os.close(host.tun)
            netns.sh("ip", "netns", "del", host.name, check=False)
            shutil.rmtree(host.etc, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
