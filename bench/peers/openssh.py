# SPDX-License-Identifier: MIT
"""OpenSSH: `ssh -N -R`, by its default cipher and by the one that is fastest on most machines."""

import getpass
import os

from bench.lab import free_port, tool
from bench.tunnel import System, Tunnel


class OpenSsh(System):
    def __init__(self, name, what, order, options=()):
        self.name, self.what, self.order, self.options = name, what, order, list(options)

    def version(self, lab):
        tool("sshd", "openssh-server")
        tool("ssh-keygen", "openssh-client")
        return lab.run(tool("ssh", "openssh-client"), "-V").split(",")[0]

    def _keys(self, lab):
        path = lab.path / "ssh"
        path.mkdir(mode=0o700, exist_ok=True)
        for key in ("host", "user"):
            if not (path / key).exists():
                lab.run(tool("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", "", "-f", path / key)
        return path

    def start(self, lab, target):
        path, port, public = self._keys(lab), free_port(), free_port()
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # else it does not start as root
        (path / "config").write_text(
            f"HostKey {path}/host\nAuthorizedKeysFile {path}/user.pub\nPidFile none\n"
            "ListenAddress 127.0.0.1\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            "PermitRootLogin prohibit-password\nUseDNS no\nAllowTcpForwarding remote\n")
        (path / "known").write_text("bench " + (path / "host.pub").read_text())
        server = lab.start("server", tool("sshd", "openssh-server"), "-D", "-e", "-f", path / "config", "-p", port)
        server.wait_listening(port)
        client = lab.start(
            "client", tool("ssh", "openssh-client"), "-F", "none", "-N", "-o", "HostKeyAlias=bench",
            "-o", f"UserKnownHostsFile={path}/known", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes",
            "-o", f"IdentityFile={path}/user", "-o", "IdentitiesOnly=yes", "-o", "ExitOnForwardFailure=yes",
            *self.options, "-p", lab.through(port), "-R", f"127.0.0.1:{public}:127.0.0.1:{target}",
            f"{getpass.getuser()}@127.0.0.1")
        client.wait_listening(public)
        return Tunnel(public, [server], [client])

    def binaries(self):
        return [tool("sshd", "openssh-server"), tool("ssh", "openssh-client")]


SYSTEMS = [
    OpenSsh("ssh", "OpenSSH -R, default cipher", 10),
    OpenSsh("ssh-aes128gcm", "OpenSSH -R, aes128-gcm@openssh.com", 11, ["-c", "aes128-gcm@openssh.com"]),
]
