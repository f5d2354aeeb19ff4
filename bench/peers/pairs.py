# SPDX-License-Identifier: MIT
"""Pairs of TLS proxies: plain in, TLS between them, plain out. Each connection of a user is one TLS
connection between the two, so nothing is multiplexed, and they dial from the users' side: not reverse
tunnels, but what the same data costs in programs that are known to be fast. One worker each, as ours."""

import resource
from pathlib import Path

from bench.lab import Unavailable, free_port, tool
from bench.tunnel import System, Tunnel

HOURS = 3  # an idle connection must survive any figure


def connections():
    """How many users the descriptors are enough for; HAProxy does not start when asked for more."""
    return (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500) // 2


class Pair(System):
    """A recipe says how one end is started: front (users) or back (service)."""

    multiplexed = False

    def front(self, lab, public, back_port, cert):
        raise NotImplementedError

    def back(self, lab, port, target, cert, key):
        raise NotImplementedError

    def start(self, lab, target):
        cert, key = lab.certificate()
        port, public = free_port(), free_port()
        back = self.back(lab, port, target, cert, key)
        back.wait_listening(port)
        front = self.front(lab, public, lab.through(port), cert)
        front.wait_listening(public)
        return Tunnel(public, [front], [back])


class Stunnel(Pair):
    name = "stunnel"
    what = "stunnel pair, a TLS connection for each user, a thread for each"
    order = 20

    def version(self, lab):
        words = lab.run(self._program(), "-version").split()
        return f"stunnel {words[words.index('stunnel') + 1]}"

    @staticmethod
    def _program():
        return tool("stunnel", "stunnel4")

    def binaries(self):
        return [self._program()]

    def _end(self, lab, name, service):
        config = lab.path / f"{name}.conf"
        config.write_text("foreground = yes\nsyslog = no\npid =\ndebug = err\nsslVersionMin = TLSv1.3\n"
                          "socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n"
                          f"TIMEOUTidle = {HOURS * 3600}\n[tunnel]\n{service}")
        return lab.start(name, self._program(), config)

    def front(self, lab, public, back_port, cert):
        return self._end(lab, "front", f"client = yes\naccept = 127.0.0.1:{public}\n"
                         f"connect = 127.0.0.1:{back_port}\nCAfile = {cert}\nverifyPeer = yes\n")

    def back(self, lab, port, target, cert, key):
        return self._end(lab, "back", f"accept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{target}\n"
                         f"cert = {cert}\nkey = {key}\n")


class Haproxy(Pair):
    name = "haproxy"
    what = "HAProxy pair, a TLS connection for each user"
    order = 21

    def version(self, lab):
        return " ".join(lab.run(self._program(), "-v").split()[:3]).replace(" version", "")

    @staticmethod
    def _program():
        return tool("haproxy", "haproxy")

    def binaries(self):
        return [self._program()]

    def _end(self, lab, name, listen):
        config = lab.path / f"{name}.cfg"
        config.write_text(f"global\n  maxconn {connections()}\n  nbthread 1\n  ssl-server-verify required\n"
                          f"defaults\n  mode tcp\n  maxconn {connections()}\n  timeout connect 10s\n"
                          f"  timeout client {HOURS}h\n  timeout server {HOURS}h\n"
                          f"listen tunnel\n{listen}")
        return lab.start(name, self._program(), "-db", "-f", config)

    def front(self, lab, public, back_port, cert):
        return self._end(lab, "front", f"  bind 127.0.0.1:{public}\n  server back 127.0.0.1:{back_port} ssl "
                         f"ca-file {cert} verify required verifyhost localhost ssl-min-ver TLSv1.3\n")

    def back(self, lab, port, target, cert, key):
        both = lab.path / "both.pem"
        both.write_text(Path(cert).read_text() + Path(key).read_text())
        return self._end(lab, "back", f"  bind 127.0.0.1:{port} ssl crt {both} ssl-min-ver TLSv1.3\n"
                         f"  server target 127.0.0.1:{target}\n")


class Nginx(Pair):
    name = "nginx"
    what = "nginx stream pair, a TLS connection for each user"
    order = 22
    module = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

    def version(self, lab):
        text = lab.run(self._program(), "-v")
        if not self.module.exists():
            raise Unavailable("nginx's stream module is not here (Debian: libnginx-mod-stream)")
        return text.split(":")[1].strip().replace("/", " ")

    @staticmethod
    def _program():
        return tool("nginx", "nginx-light")

    def binaries(self):
        return [self._program()]

    def _end(self, lab, name, server):
        config = lab.path / f"{name}.conf"
        config.write_text(
            f"load_module {self.module};\ndaemon off;\nworker_processes 1;\n"
            f"pid {lab.path}/{name}.pid;\nerror_log stderr;\nevents {{ worker_connections {2 * connections() + 100}; }}\n"
            f"stream {{ proxy_timeout {HOURS}h; server {{ {server} }} }}\n")
        return lab.start(name, self._program(), "-p", lab.path, "-e", "stderr", "-c", config)

    def front(self, lab, public, back_port, cert):
        return self._end(lab, "front", f"listen 127.0.0.1:{public}; proxy_pass 127.0.0.1:{back_port}; proxy_ssl on;"
                         f" proxy_ssl_verify on; proxy_ssl_trusted_certificate {cert}; proxy_ssl_name localhost;"
                         " proxy_ssl_protocols TLSv1.3;")

    def back(self, lab, port, target, cert, key):
        return self._end(lab, "back", f"listen 127.0.0.1:{port} ssl; proxy_pass 127.0.0.1:{target};"
                         f" ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;")


SYSTEMS = [Stunnel(), Haproxy(), Nginx()]
