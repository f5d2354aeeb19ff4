# SPDX-License-Identifier: MIT
"""The certificates as people meet them: which ones are used, the wrong file, a lost one."""

import hashlib
import re
import ssl

from lib.procs import SECRET
from lib.services import connect, read_exactly


def fingerprint(path):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(path.read_text())).hexdigest()


def test_both_ends_say_which_certificates_they_use(lab, server, echo):
    client = lab.client(server, echo.port, ca="certs/ca.crt")
    of_server = server.match(r"certificates in (\S+), SHA-256 of the CA: (\w+)\n")
    of_client = client.match(r"trusting the CA in (\S+), SHA-256: (\w+)\n")
    assert of_server.groups() == (str(lab.path / "certs"), fingerprint(server.ca))
    assert of_client.groups() == (str(server.ca), fingerprint(server.ca))
    assert "the tunnel listens" not in server.log()[: of_server.start()]  # among the first lines


def test_the_servers_own_certificate_is_not_taken_for_the_ca(lab, server):
    leaf = lab.path / "certs/server.crt"
    done = lab.run("client", "-server", f"127.0.0.1:{server.port}", "-secret", SECRET, "-ca", leaf)
    assert done.returncode == 1
    assert f"{leaf} holds a server's certificate and not a CA's: give the server's file ca.crt" in done.stderr


def test_a_lost_certificate_costs_no_client_its_trust(lab, echo):
    first = lab.server()
    copy = lab.path / "ca.crt"
    copy.write_bytes(first.ca.read_bytes())
    first.stop()
    (lab.path / "certs/server.crt").unlink()
    second = lab.server()
    second.wait_log("certs/server.crt was missing: it has been signed anew by certs/ca.key")
    client = lab.client(second, echo.port, ca=copy)
    with connect(client.port) as s:
        s.sendall(b"ping")
        assert read_exactly(s, 4) == b"ping"
    second.stop()
    for name in ("server.crt", "server.key"):
        (lab.path / "certs" / name).unlink()
    third = lab.server()
    third.wait_log(
        "certs/server.crt and certs/server.key were missing: they have been made anew by certs/ca.key"
    )
    client = lab.client(third, echo.port, ca=copy)
    with connect(client.port) as s:
        s.sendall(b"pong")
        assert read_exactly(s, 4) == b"pong"
    third.stop()
    for name in ("server.crt", "server.key", "ca.key"):
        (lab.path / "certs" / name).unlink()
    done = lab.run("server", "-secret", SECRET, "-listen", "127.0.0.1:0")
    assert done.returncode == 1 and re.search("certs/server.crt is missing beside certs/ca.crt", done.stderr)
    assert copy.read_bytes() == (lab.path / "certs/ca.crt").read_bytes()
