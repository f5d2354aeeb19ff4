# SPDX-License-Identifier: MIT
"""Behind the address of somebody who guesses: who knows the secret resumes at once and comes in, who does not learns
little, on either wire."""

import signal
import time
from contextlib import ExitStack

import pytest

from lib import cuts, netns, services, wire
from lib.cutter import Cutter
from lib.guess import Guessers
from lib.procs import PATIENCE, wait_for
from lib.services import connect, read_exactly

pytestmark = pytest.mark.patient

HERE = "127.0.0.1"  # all of them come from there
# Without a place of their own, or if resumes were rationed, the last of many would wait for minutes.
RESUMED_SECONDS = 15  # the promise is 3, which the long test holds; machines are slow


def says(user, byte):
    user.sendall(byte)
    assert read_exactly(user, 1) == byte


class Office:
    """Clients behind one address, each with a user, and a link to the server that can be cut."""

    def __init__(self, lab, echo, n):
        self.lab, self.echo = lab, echo
        self.server = lab.server()
        self.link = Cutter(self.server.port)
        self.ids = [cuts.fresh_id() for _ in range(n)]
        self.clients = [self.start(id, ready=False) for id in self.ids]
        for c in self.clients:
            c.port = lab.port_of(c)
        self.users = [connect(c.port) for c in self.clients]
        for user in self.users:
            says(user, b"a")

    def start(self, id, **how):
        return self.lab.client(self.link.port, self.echo.port, flags=("-id", id), ca=self.server.ca, **how)

    def wrong(self, id):
        """Past the link: a dial that is refused while it is cut would make it forget the rejection, and say all again."""
        return self.lab.client(self.server.port, self.echo.port, flags=("-id", id), ca=self.server.ca,
                               secret="an-0ld-s3cret-fr0m-l4st-y34r", ready=False)

    def cut(self):
        """Cuts, and heals. The seconds until all users have their byte."""
        self.link.cut("reset")
        for c in self.clients:
            c.wait_log("the connection to the server broke")
        for user in self.users:
            user.sendall(b"b")
        self.link.heal()
        healed = time.monotonic()
        for user in self.users:
            assert read_exactly(user, 1) == b"b"
        return time.monotonic() - healed

    def close(self):
        for user in self.users:
            user.close()
        self.link.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.mark.parametrize("n, seconds", [(8, RESUMED_SECONDS),
                                        pytest.param(50, 3, marks=[pytest.mark.long, pytest.mark.serial])])
def test_behind_a_guesser_s_address_sessions_resume_and_come_anew(lab, echo, n, seconds):
    """One program guesses without pause, on either wire, patient or not, and names ids that are there; 3 clients are
    wrong. The others' sessions resume at once, and one that starts anew is in within 30 s."""
    with Office(lab, echo, n) as office:
        server, named = office.server, office.ids[:2]
        anew, impatient = {"ids": [""]}, {"patience": 0.025}
        strange = [(HERE, how) for how in ({}, anew) * 5 + (impatient, {**anew, **impatient})]  # for 8 places
        with Guessers(server, *strange, (HERE, {"ids": named}), (HERE, {"ids": named, **impatient})) as them:
            wrong = [office.wrong(cuts.fresh_id()) for _ in range(3)]
            server.wait_log(f"event=penalty src={HERE} ")
            for c in wrong:
                c.wait_log("TLS connection established")
            took = office.cut()
            print(f"\n{n} sessions resumed within {took:.2f} s")
            assert took < seconds
            office.users.pop().close()
            office.clients[-1].kill(signal.SIGTERM)
            assert office.clients[-1].wait() == 0
            began = time.monotonic()
            again = office.start(office.ids[-1])
            print(f"one that starts anew is in after {time.monotonic() - began:.2f} s")
            assert "asks to come later" not in again.log()  # a place of its own
            with connect(again.port) as user:
                says(user, b"c")
            for user in office.users:
                says(user, b"d")
            wait_for("so many guesses", lambda: all(g.tries for g in them.all) and them.tries() >= 200, 2 * PATIENCE)
            strangers = sum(g.heard for g in them.all[: len(strange)])
            heard, minutes = them.heard(), them.minutes()
        assert 0 < heard <= (20 + 5 * len(named)) * minutes
        assert strangers <= 20 * minutes
        assert not any("the server listens on" in c.log() for c in wrong)


def test_clients_with_an_old_secret_are_quiet_and_in_nobody_s_way(lab, echo):
    """Three that try for ever: each says so once. Those behind the same address go on, and new ones come in."""
    with Office(lab, echo, 2) as office:
        wrong = [office.wrong(cuts.fresh_id()) for _ in range(3)]
        office.server.wait_log(f"event=penalty src={HERE} ")  # at the second try of two of them
        new = office.start(cuts.fresh_id(), ready=False)
        new.wait_log("the server listens on", timeout=2 * PATIENCE)  # 15 s, and 3 for each that is drawn before it
        new.port = lab.port_of(new)
        with connect(new.port) as user:
            says(user, b"c")
        assert office.cut() < RESUMED_SECONDS
        wait_for("six failures", lambda: office.server.log().count("event=auth_failed") >= 6, 2 * PATIENCE)
        for c in wrong:
            assert c.log().count("the secret is not the server's") == 1
            assert c.log().count("connecting to server") == 1
            assert c.log().count("retrying in") == 1


# ---- networks of IPv6 ----

SERVER6, CLIENT6 = "fd77::1", "fd77::2"
NET48, OTHER48 = "2001:db8:5", "2001:db8:6"


def in_net(net56, net64, net48=NET48):
    """An address of the /48, in this /56 and /64 of it."""
    return f"{net48}:{net56 << 8 | net64:x}::1"


AT_HOME = in_net(0, 1)  # where a real client is


class Provider:
    """A server, and a host that has each address of two /48."""

    def __init__(self, lab, hosts):
        self.hosts = hosts
        for host, address in ((hosts.server, SERVER6), (hosts.client, CLIENT6)):
            host.ip("-6", "addr", "add", f"{address}/64", "dev", host.device, "nodad")
        hosts.client.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind")
        for net in (NET48, OTHER48):
            hosts.client.ip("-6", "route", "add", "local", f"{net}::/48", "dev", "lo")
            hosts.server.ip("-6", "route", "add", f"{net}::/48", "via", CLIENT6)
        hosts.client.ip("-6", "addr", "add", f"{AT_HOME}/128", "dev", hosts.client.device, "nodad")
        hosts.client.ip("-6", "route", "add", f"{SERVER6}/128", "dev", hosts.client.device, "src", AT_HOME)
        self.server = lab.server(listen=f"[{SERVER6}]:0", wrapper=hosts.server.wrapper)

    def dial(self, address):
        with self.hosts.client.inside():
            return wire.dial(self.server.port, self.server.ca, source=(address, 0), host=SERVER6, timeout=40)

    def fail(self, *addresses):
        """Five failures from each: they are penalised."""
        with ExitStack() as stack:
            failing = []
            for address in (a for a in addresses for _ in range(5)):
                failing.append(stack.enter_context(self.dial(address)))
                failing[-1].send(b"guess\n")  # at once: after TLS there are 5 s for it
            for w in failing:
                assert w.line() == b"ERROR: Invalid Secret\n"

    def comes_in(self, address):
        with self.dial(address) as w:
            w.login(self.server.secret)

    def is_rationed(self, address):
        """Whether some connections from there are refused before TLS: at most two a second pass."""
        for _ in range(30):
            try:
                self.dial(address).close()
            except OSError:
                return True
        return False


@pytest.fixture
def provider(lab):
    with netns.Hosts() as hosts:
        yield Provider(lab, hosts)


def test_guesses_from_many_networks_penalise_what_they_are_in(provider):
    """Four /64 their /56 and sixteen their /48, no more; one of them alone nobody but itself."""
    provider.fail(in_net(1, 0), in_net(1, 1), in_net(1, 2))
    assert provider.is_rationed(in_net(1, 0))
    for _ in range(3):
        provider.comes_in(in_net(1, 100))
    provider.fail(in_net(1, 3))
    assert provider.is_rationed(in_net(1, 101))
    for _ in range(3):
        provider.comes_in(in_net(2, 100))
    for net56 in range(2, 6):
        provider.fail(*(in_net(net56, net64) for net64 in range(3)))
    assert provider.is_rationed(in_net(99, 0))
    provider.comes_in(in_net(1, 0, OTHER48))


def test_who_is_known_in_a_penalised_network_is_never_refused(lab, provider):
    """Nor does the session of a real client notice, or its return."""
    hosts, server = provider.hosts, provider.server
    with ExitStack() as stack:
        with hosts.client.inside():
            echo = stack.enter_context(services.Service(services.echo))
        client = lab.client(server, echo.port, host=f"[{SERVER6}]", wrapper=hosts.client.wrapper,
                            flags=("-id", cuts.fresh_id()))
        server.wait_log(f"[{AT_HOME}]")
        with hosts.server.inside():
            user = stack.enter_context(connect(client.port))
        says(user, b"a")
        provider.comes_in(in_net(0, 2))
        provider.fail(*(in_net(0, net64) for net64 in range(3, 7)))
        assert provider.is_rationed(in_net(0, 100))
        for _ in range(12):
            provider.comes_in(in_net(0, 2))
            provider.comes_in(AT_HOME)
        hosts.client.run("ss", "-K", "dst", f"[{SERVER6}]", "dport", "=", str(server.port))
        client.wait_log("the session goes on after")
        says(user, b"b")
