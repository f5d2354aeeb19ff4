# SPDX-License-Identifier: MIT
"""Sessions of clients with keys of their own, by a peer that was written from docs/protocol.md alone (lib/wire2.py)."""

import os

import pytest

from lib import cuts, join, wire2
from lib.services import connect, read_exactly
from lib.site import Site
from lib.wire2 import OPEN, PSH

pytestmark = pytest.mark.patient
UNKNOWN = {"v": 2, "ok": False, "error": "unknown"}


@pytest.fixture
def site(lab):
    return Site(lab)


def open_one(site, name):
    """A session by hand of a client with this name, which is made; `public` is its port."""
    own = wire2.ClientKey(name, join.t_of(site.add(name, "-ports", "0-65535")))
    peer = wire2.Client(site.server.port, site.server.ca, own.a, id=f"{name}.by-hand", own=own)
    peer.public = cuts.free_port()
    assert peer.open(peer.public)["port"] == peer.public
    return peer


def attempt(peer, **what):
    """Of a resume that is refused: the answer."""
    tls, answer = peer.attempt(**what)
    tls.close()
    return answer


def still_works(peer):
    with connect(peer.public) as s:
        sid = peer.until(OPEN).sid
        s.sendall(b"up")
        assert peer.data(sid, 2) == b"up"
        peer.send(PSH, sid, b"down")
        assert read_exactly(s, 4) == b"down"


def test_a_resume_by_the_key_of_another_credential(site):
    """Who has a key of his own, a session, and the number of a session of somebody else's touches that in no way."""
    laptop, phone = open_one(site, "laptop"), open_one(site, "phone")
    own = laptop.sid
    for forged in (phone.key, wire2.hmac(phone.own.a, own), laptop.own.a):
        assert attempt(laptop, key=forged, epoch=100) == UNKNOWN
    laptop.sid = os.urandom(16)
    assert attempt(laptop) == UNKNOWN  # as of a session that nobody has
    laptop.sid = own
    for peer in laptop, phone:
        still_works(peer)
        peer.drop()
        peer.resume()
        still_works(peer)


def test_a_session_that_was_revoked_is_unknown(site):
    """While its client is away: the answer does not say that there was one."""
    laptop, phone = open_one(site, "laptop"), open_one(site, "phone")
    user = connect(laptop.public)
    laptop.until(OPEN)
    for peer in laptop, phone:
        peer.drop()
    site.server.wait_count("its users wait for up to", 2)
    site.clients("revoke", "laptop", "-control", site.control)
    with pytest.raises(ConnectionResetError):
        user.recv(1)
    user.close()
    assert attempt(laptop) == UNKNOWN
    assert attempt(laptop, key=os.urandom(32)) == UNKNOWN
    phone.resume()
    still_works(phone)
