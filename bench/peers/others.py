# SPDX-License-Identifier: MIT
"""Reverse tunnels that Debian does not have: measured where their programs are on the PATH."""

from bench.lab import Unavailable, free_port, tool
from bench.tunnel import System, Tunnel

TOKEN = "a-token-for-the-loopback-only"


def _write(path, text):
    path.write_text(text)
    return path


class Frp(System):
    """TLS and one multiplexed connection, as it is by default; the certificate is checked."""

    name = "frp"
    what = "frp, TLS, one multiplexed connection"
    order = 30

    def version(self, lab):
        tool("frpc", "none; from its releases")
        return "frp " + lab.run(tool("frps", "none; from its releases"), "--version").strip()

    def start(self, lab, target):
        cert, key = lab.certificate()
        port, public = free_port(), free_port()
        common = f'auth.token = "{TOKEN}"\nlog.to = "console"\nlog.level = "warn"\n'
        frps = _write(lab.path / "frps.toml", common +
                      f'bindAddr = "127.0.0.1"\nbindPort = {port}\nproxyBindAddr = "127.0.0.1"\n'
                      f'transport.tls.force = true\ntransport.tls.certFile = "{cert}"\n'
                      f'transport.tls.keyFile = "{key}"\n')
        server = lab.start("server", tool("frps", ""), "-c", frps)
        server.wait_listening(port)
        frpc = _write(lab.path / "frpc.toml", common +
                      f'serverAddr = "127.0.0.1"\nserverPort = {lab.through(port)}\n'
                      f'transport.tls.enable = true\ntransport.tls.trustedCaFile = "{cert}"\n'
                      'transport.tls.serverName = "localhost"\n[[proxies]]\nname = "bench"\ntype = "tcp"\n'
                      f'localIP = "127.0.0.1"\nlocalPort = {target}\nremotePort = {public}\n')
        client = lab.start("client", tool("frpc", ""), "-c", frpc)
        client.wait_listening(public)
        return Tunnel(public, [server], [client])

    def binaries(self):
        return [tool("frps", ""), tool("frpc", "")]


class Rathole(System):
    """TLS; a connection of its own for each user."""

    name = "rathole"
    what = "rathole, TLS, a connection for each user"
    multiplexed = False
    order = 31

    def version(self, lab):
        text = lab.run(tool("rathole", "none; cargo install rathole"), "--version")
        return "rathole " + text.split("Build Version:")[-1].split()[0]

    def start(self, lab, target):
        cert, key = lab.certificate()
        port, public, p12 = free_port(), free_port(), lab.path / "identity.p12"
        if not p12.exists():
            lab.run(tool("openssl", "openssl"), "pkcs12", "-export", "-inkey", key, "-in", cert, "-out", p12,
                    "-passout", "pass:bench")
        config = _write(lab.path / "server.toml",
                        f'[server]\nbind_addr = "127.0.0.1:{port}"\ndefault_token = "{TOKEN}"\n'
                        '[server.transport]\ntype = "tls"\n'
                        f'[server.transport.tls]\npkcs12 = "{p12}"\npkcs12_password = "bench"\n'
                        f'[server.services.bench]\nbind_addr = "127.0.0.1:{public}"\n')
        server = lab.start("server", tool("rathole", ""), "--server", config, env={"RUST_LOG": "warn"})
        server.wait_listening(port)
        config = _write(lab.path / "client.toml",
                        f'[client]\nremote_addr = "127.0.0.1:{lab.through(port)}"\ndefault_token = "{TOKEN}"\n'
                        '[client.transport]\ntype = "tls"\n'
                        f'[client.transport.tls]\ntrusted_root = "{cert}"\nhostname = "localhost"\n'
                        f'[client.services.bench]\nlocal_addr = "127.0.0.1:{target}"\n')
        client = lab.start("client", tool("rathole", ""), "--client", config, env={"RUST_LOG": "warn"})
        client.wait_listening(public)
        return Tunnel(public, [server], [client])

    def binaries(self):
        return [tool("rathole", "")]


class Chisel(System):
    """SSH within a WebSocket within TLS."""

    name = "chisel"
    what = "chisel, SSH in a WebSocket in TLS, one multiplexed connection"
    order = 32

    def version(self, lab):
        return "chisel " + lab.run(tool("chisel", "none; from its releases"), "--version").split()[0]

    def start(self, lab, target):
        cert, key = lab.certificate()
        port, public = free_port(), free_port()
        server = lab.start("server", tool("chisel", ""), "server", "--reverse", "--host", "127.0.0.1", "--port",
                           port, "--tls-cert", cert, "--tls-key", key, "--auth", f"bench:{TOKEN}")
        server.wait_listening(port)
        client = lab.start("client", tool("chisel", ""), "client", "--auth", f"bench:{TOKEN}", "--tls-ca", cert,
                           f"https://127.0.0.1:{lab.through(port)}", f"R:127.0.0.1:{public}:127.0.0.1:{target}")
        client.wait_listening(public)
        return Tunnel(public, [server], [client])

    def binaries(self):
        return [tool("chisel", "")]


class Bore(System):
    """No encryption at all; a connection for each user. Its control port cannot be chosen, so no link can be
    put in between."""

    name = "bore"
    what = "bore, not encrypted, a connection for each user"
    tls = False
    multiplexed = False
    order = 33
    control_port = 7835

    def version(self, lab):
        return lab.run(tool("bore", "none; cargo install bore-cli"), "--version").strip().replace("-cli", "")

    def start(self, lab, target):
        if lab.link:
            raise Unavailable("its control port is fixed, so there is no link to put in between")
        public = free_port()
        server = lab.start("server", tool("bore", ""), "server", "--secret", TOKEN, "--min-port", "1024",
                           "--bind-addr", "127.0.0.1")
        server.wait_listening(self.control_port)
        client = lab.start("client", tool("bore", ""), "local", target, "--to", "127.0.0.1", "--port", public,
                           "--secret", TOKEN)
        client.wait_listening(public)
        return Tunnel(public, [server], [client])

    def binaries(self):
        return [tool("bore", "")]


SYSTEMS = [Frp(), Rathole(), Chisel(), Bore()]
