# SPDX-License-Identifier: MIT
"""What the program says to a mistake that people make: what is wrong, where, and what to do, in the user's language.

Each row is one mistake and, in English and Chinese, the whole line that tells of it; of a line of the log without its time.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

from lib.procs import PATIENCE, PROGRAM, ROOT, SANDBOX, SECRET, Lab
from lib.services import free_port

TIME = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} ")
LANGUAGES = ("en_US.UTF-8", "zh_CN.UTF-8")
SERVER = ("server", "-secret-file", "secret")
CLIENT = ("client", "-secret-file", "secret", "-server", "127.0.0.1:1")


def at(server):
    """A client of the server at this address."""
    return ("client", "-secret-file", "secret", "-server", server)


def environment(path, language):
    names = ("LC_ALL", "LC_MESSAGES", "GOTUNNEL_JOIN", "GOTUNNEL_SECRET", "NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS")
    return {**{k: v for k, v in os.environ.items() if k not in names}, "LANG": language, "XDG_STATE_HOME": str(path)}


@pytest.fixture
def place(tmp_path):
    """A folder with a secret, and with what editors make of one."""
    for name, encoding in (("secret", "utf-8"), ("bom", "utf-8-sig"), ("utf-16", "utf-16")):
        (tmp_path / name).write_text(SECRET + "\n", encoding=encoding)
        (tmp_path / name).chmod(0o600)
    return tmp_path


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    """The CA of a server that has been there."""
    lab = Lab(tmp_path_factory.mktemp("ca"))
    server = lab.server()
    assert not lab.close()
    return server.ca


def run(words, path, language):
    """The lines on stderr of a program that ends by itself, and its exit status."""
    done = subprocess.run([PROGRAM, *words], env=environment(path, language), cwd=path, capture_output=True, text=True,
                          timeout=2 * PATIENCE, stdin=subprocess.DEVNULL)
    return [TIME.sub("", line) for line in done.stderr.splitlines()], done.returncode


USAGE_SERVER = (
    ["usage: gotunnel server -secret-file FILE [-flag value ...]", "       'gotunnel server -h' lists the flags"],
    ["用法: gotunnel server -secret-file FILE [-参数 值 ...]", "      用 'gotunnel server -h' 查看全部参数"])
USAGE_CLIENT = (
    ["usage: gotunnel client -server HOST:PORT -secret-file FILE [-flag value ...]",
     "       'gotunnel client -h' lists the flags"],
    ["用法: gotunnel client -server HOST:PORT -secret-file FILE [-参数 值 ...]",
     "      用 'gotunnel client -h' 查看全部参数"])


# The usage first, the mistake last: it is what a terminal shows right above the prompt.
@pytest.mark.parametrize("status,words,english,chinese", [
    (2, (*SERVER, "-lisen", "7000"),
     "error: flag provided but not defined: -lisen: did you mean -listen?",
     "错误: 没有参数 -lisen：您要写的是 -listen 吗？"),
    (2, ("client", "-sever=x"),
     "error: flag provided but not defined: -sever: did you mean -server?",
     "错误: 没有参数 -sever：您要写的是 -server 吗？"),
    (2, (*SERVER, "-color"),
     "error: flag provided but not defined: -color",
     "错误: 没有参数 -color"),
    (2, (*SERVER, "-listen"),
     "error: flag needs an argument: -listen",
     "错误: 参数 -listen 后面缺少值"),
    (2, (*CLIENT, "-max-retry-interval", "30"),
     'error: invalid value "30" for flag -max-retry-interval: parse error: a duration has a unit: write 30s',
     '错误: 值 "30" 对参数 -max-retry-interval 无效：时长必须带单位，请写成 30s'),
    (2, (*SERVER, "-drain", "30"),
     'error: invalid value "30" for flag -drain: parse error: a duration has a unit: write 30s',
     '错误: 值 "30" 对参数 -drain 无效：时长必须带单位，请写成 30s'),
    (2, (*CLIENT, "-remote-port", "http"),
     'error: invalid value "http" for flag -remote-port: parse error: must be a whole number',
     '错误: 值 "http" 对参数 -remote-port 无效：必须是整数'),
    (2, (*SERVER, "7000"),
     'error: unexpected argument "7000": flags come first, each as -name value',
     '错误: 多余的参数 "7000"：请先写参数，每个写成 -名称 值'),
    (1, ("client", "-secret-file", "secret"),
     "error: [client mode] the flag -server is required: the server's address, like my.server.com:7000",
     "错误: [Client模式] 必须提供 -server 参数: 服务端地址，例如 my.server.com:7000"),
    (1, ("client", "-server", "127.0.0.1:1"),
     "error: [client mode] the flag -secret is required (or -secret-file, or GOTUNNEL_SECRET in the environment)",
     "错误: [Client模式] 必须提供 -secret 参数（也可以用 -secret-file 或环境变量 GOTUNNEL_SECRET）"),
    (1, ("client",),
     "error: [client mode] the flags -secret and -server are required (-secret-file or GOTUNNEL_SECRET may give the secret)",
     "错误: [Client模式] 必须提供 -secret 和 -server 参数（共享密钥也可以用 -secret-file 或环境变量 GOTUNNEL_SECRET 提供）"),
    (1, ("server",),
     "error: [server mode] the flag -secret is required (or -secret-file, or GOTUNNEL_SECRET in the environment)",
     "错误: [Server模式] 必须提供 -secret 参数（也可以用 -secret-file 或环境变量 GOTUNNEL_SECRET）"),
], ids=lambda v: " ".join(v) if isinstance(v, tuple) else "")
def test_a_wrong_command_line(place, status, words, english, chinese):
    for i, line in enumerate((english, chinese)):
        said, ended = run(words, place, LANGUAGES[i])
        assert said == [*(USAGE_SERVER if words[0] == "server" else USAGE_CLIENT)[i], line]
        assert ended == status


# A start that fails: one line, and what is only doubtful before it.
@pytest.mark.parametrize("status,words,english,chinese", [
    (1, ("server", "-listen", "1", "-secret-file", "missing", "-listen", "2"),
     "-listen is given more than once: only the last one counts\ncannot get the secret: missing: No such file or directory",
     "参数 -listen 给出了不止一次：只有最后一个有效\n无法取得共享密钥: missing: 没有该文件或目录（No such file or directory）"),
    (1, ("server", "-secret-file", "bom"),
     "cannot get the secret: bom begins with a byte order mark (EF BB BF): save it as UTF-8 without one",
     "无法取得共享密钥: bom 以字节顺序标记（BOM，EF BB BF）开头：请另存为不带 BOM 的 UTF-8"),
    (1, ("server", "-secret-file", "utf-16"),
     "cannot get the secret: utf-16 is saved as UTF-16: save it as UTF-8 without a byte order mark",
     "无法取得共享密钥: utf-16 的编码是 UTF-16：请另存为不带 BOM 的 UTF-8"),
    # addresses
    (1, at("my server.com:7000"),
     "-server 'my server.com:7000': it has a blank in it: write host:port without one",
     "-server 'my server.com:7000': 其中含有空白：请写成“主机:端口”，不要带空白"),
    (1, at("http://my.server.com:7000"),
     "-server 'http://my.server.com:7000': it is a URL: write only host:port, without 'http://'",
     "-server 'http://my.server.com:7000': 这是一个 URL：请只写“主机:端口”，不要带 'http://'"),
    (1, at("udp://my.server.com:7000"),
     "-server 'udp://my.server.com:7000': it is a URL: write only host:port, without 'udp://'",
     "-server 'udp://my.server.com:7000': 这是一个 URL：请只写“主机:端口”，不要带 'udp://'"),
    (1, at("my.server.com:7000/"),
     "-server 'my.server.com:7000/': it has a slash in it: write only host:port, without a path",
     "-server 'my.server.com:7000/': 其中含有斜杠：请只写“主机:端口”，不要带路径"),
    (1, at("my.server.com"),
     "-server 'my.server.com': it has no port: write host:port, as in 192.0.2.1:7000",
     "-server 'my.server.com': 缺少端口：请写成“主机:端口”，例如 192.0.2.1:7000"),
    (1, at("my.server.com：7000"),
     "-server 'my.server.com：7000': it has a full-width colon in it: write host:port with the plain one",
     "-server 'my.server.com：7000': 其中含有全角冒号：请用半角冒号写成“主机:端口”"),
    (1, at("2001:db8::1:7000"),
     "-server '2001:db8::1:7000': it has more than one colon: write an IPv6 address in brackets, like [::1]:7000",
     "-server '2001:db8::1:7000': 其中有多个冒号：IPv6 地址请写在方括号中，例如 [::1]:7000"),
    (1, at("my.server.com:70000"),
     "-server 'my.server.com:70000': its port 70000 is not between 0 and 65535",
     "-server 'my.server.com:70000': 端口 70000 不在 0 到 65535 之间"),
    (1, at("my.server.com:tunnel"),
     "-server 'my.server.com:tunnel': its port 'tunnel' is neither a number nor a known service",
     "-server 'my.server.com:tunnel': 端口 'tunnel' 既不是数字，也不是已知的服务名"),
    (1, (*CLIENT, "-local-target", "localhost"),
     "-local-target 'localhost': it has no port: write host:port, as in 192.0.2.1:7000",
     "-local-target 'localhost': 缺少端口：请写成“主机:端口”，例如 192.0.2.1:7000"),
], ids=lambda v: " ".join(v) if isinstance(v, tuple) else "")
def test_a_start_that_fails(place, status, words, english, chinese):
    for language, lines in zip(LANGUAGES, (english, chinese)):
        said, ended = run((words[0], "-sandbox", SANDBOX, *words[1:]), place, language)
        assert "\n".join(said) == lines
        assert ended == status


@pytest.fixture
def without_right():
    """The front of a command line that may not listen below 1024."""
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 80:
        pytest.skip("anybody may listen on port 80 here")
    if os.geteuid() != 0:
        return ()
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv")
    return ("setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service")


def test_port_80_without_the_right(lab, without_right):
    for i, line in enumerate((
            "cannot listen on TLS address 127.0.0.1:80: ports below 1024 need CAP_NET_BIND_SERVICE, or root (Permission denied)",
            "无法监听 TLS 地址 127.0.0.1:80: 1024 以下的端口需要 CAP_NET_BIND_SERVICE 或 root 权限（Permission denied）")):
        server = lab.server(listen="127.0.0.1:80", wrapper=without_right, env={"LC_ALL": LANGUAGES[i]}, ready=False)
        server.expect_exit = False
        assert server.popen.wait(PATIENCE) == 1
        assert f" {line}\n" in server.log()


CA_FAULTS = {  # what the file is: its sentences, with OpenSSL's or errno's word
    "missing": ("is missing: copy ca.crt from the server, where it is in the directory of -certs, and say with -ca where it is "
                "(No such file or directory)",
                "不存在：请从服务端的证书目录（-certs）复制 ca.crt，并用 -ca 指定其位置（No such file or directory）"),
    "folder": ("is a directory: give the file in it, ca.crt (Is a directory)",
               "是一个目录：请指定其中的文件 ca.crt（Is a directory）"),
    "empty": ("is empty: copy ca.crt from the server again (no certificate or crl found)",
              "是空文件：请从服务端重新复制 ca.crt（no certificate or crl found）"),
    "key": ("is a private key: give the server's ca.crt, and keep keys at the server (no certificate or crl found)",
            "是私钥：请改用服务端的 ca.crt，私钥应只留在服务端（no certificate or crl found）"),
    "text": ("holds no certificate: give the server's ca.crt (no certificate or crl found)",
             "中没有证书：请改用服务端的 ca.crt（no certificate or crl found）"),
    "indented": ("is indented, or something stands before '-----BEGIN': its lines must begin at the left edge "
                 "(no certificate or crl found)",
                 "的各行有缩进，或者 '-----BEGIN' 之前有其他字符：每行必须从行首开始（no certificate or crl found）"),
    "cut": ("is damaged: copy ca.crt from the server again (bad end line)", "已损坏：请从服务端重新复制 ca.crt（bad end line）"),
    "der": ("is not PEM but DER: copy ca.crt from the server, which is PEM (no certificate or crl found)",
            "是 DER 格式而不是 PEM：请从服务端复制 PEM 格式的 ca.crt（no certificate or crl found）"),
}


@pytest.mark.parametrize("what", CA_FAULTS)
def test_a_file_that_is_not_a_ca(place, ca, what):
    pem = ca.read_text()
    files = {"empty": "", "key": (ca.parent / "server.key").read_text(), "text": "hello\n",
             "indented": "".join(f"  {line}\n" for line in pem.splitlines()), "cut": pem[:-9]}
    file = place / what
    if what == "folder":
        file.mkdir()
    elif what == "der":
        file.write_bytes(ssl.PEM_cert_to_DER_cert(pem))
    elif what != "missing":
        file.write_text(files[what])
    for i, begin in enumerate(("cannot set up the client's TLS: the CA certificate file", "初始化客户端 TLS 配置失败: CA 证书文件")):
        said, ended = run((*CLIENT, "-ca", what), place, LANGUAGES[i])
        assert said == [f"{begin} {what} {CA_FAULTS[what][i]}"]
        assert ended == 1


def test_a_server_s_certificate_is_not_a_ca(place, ca):
    leaf = ca.parent / "server.crt"
    assert run((*CLIENT, "-ca", leaf), place, LANGUAGES[0]) == ([
        f"cannot set up the client's TLS: {leaf} holds a server's certificate and not a CA's: give the server's file ca.crt"], 1)
    assert run((*CLIENT, "-ca", leaf), place, LANGUAGES[1]) == ([
        f"初始化客户端 TLS 配置失败: {leaf} 是服务端证书而不是 CA 证书：请改用服务端的 ca.crt"], 1)


PORT = (  # the same words at both ends: a public port that the server may not open, and one it must not
    ("the server has no permission to open it: ports below 1024 need CAP_NET_BIND_SERVICE there, or root (permission denied)",
     "服务端没有权限监听该端口：1024 以下的端口需要 CAP_NET_BIND_SERVICE 或 root 权限（permission denied）"),
    ("not in the server's -allow-ports: take one that is, or add it there",
     "不在服务端 -allow-ports 的范围内：请换用其中的端口，或在服务端添加该端口"))


@pytest.mark.parametrize("i", range(2), ids=LANGUAGES)
@pytest.mark.parametrize("forbidden", [False, True], ids=["80", "allow-ports"])
def test_a_public_port_that_is_refused(lab, without_right, forbidden, i):
    env = {"LC_ALL": LANGUAGES[i]}
    flags, port = (("-allow-ports", "80"), 81) if forbidden else ((), 80)
    server = lab.server(wrapper=without_right, flags=flags, env=env)
    client = lab.client(server, 1, remote_port=port, ready=False, env=env)
    server.wait_log((f" is refused: public port {port}: ", f"：公网端口 {port}：")[i] + PORT[forbidden][i] + "\n")
    client.wait_log((f"the server refused to forward the port: public port {port}: ",
                     f"请求端口转发失败: 服务端返回错误: 公网端口 {port}: ")[i] + PORT[forbidden][i] + "\n")


# ---- programs that go on ----


def line_of(words, path, language, begin):
    """The first line that begins so, of a program that is ended then."""
    p = subprocess.Popen([PROGRAM, words[0], "-sandbox", SANDBOX, *words[1:]], env=environment(path, language), cwd=path,
                         stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
    timer = threading.Timer(2 * PATIENCE, p.kill)
    timer.start()
    try:
        lines = []
        for line in p.stderr:
            lines.append(TIME.sub("", line.rstrip("\n")))
            if lines[-1].startswith(begin):
                return lines[-1]
        pytest.fail("\n".join(lines))
    finally:
        timer.cancel()
        p.kill()
        p.wait()
        p.stderr.close()


UNREACHABLE = ("cannot connect to the server: ", "无法连接服务端: ")


def unreachable(place, ca, server, i):
    words = ("client", "-secret-file", "secret", "-ca", ca, "-server", server)
    return line_of(words, place, LANGUAGES[i], UNREACHABLE[i]).removeprefix(UNREACHABLE[i])


def test_a_name_that_does_not_resolve(place, ca):
    """The resolver says that there is none, or without a network that it cannot tell, or nothing."""
    name = "no-such-name.invalid"
    for i, said in enumerate((
            {f"the name '{name}' does not resolve: is it spelled right? (EAI_NONAME: Name or service not known)",
             f"the name '{name}' cannot be looked up now: is this machine online, and does its name server answer? "
             "(EAI_AGAIN: Temporary failure in name resolution)",
             f"the name '{name}' was not resolved in time: does this machine's name server answer?"},
            {f"域名 '{name}' 无法解析：请检查拼写（EAI_NONAME: Name or service not known）",
             f"域名 '{name}' 暂时无法查询：请检查本机网络和 DNS 服务器（EAI_AGAIN: Temporary failure in name resolution）",
             f"域名 '{name}' 没有及时得到解析：请检查本机的 DNS 服务器是否响应"})):
        assert unreachable(place, ca, f"{name}:7000", i) in said


def test_a_port_where_nothing_listens(place, ca):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))  # and does not listen
        at = f"127.0.0.1:{s.getsockname()[1]}"
        assert unreachable(place, ca, at, 0) == (
            f"{at}: nothing listens there: does the program run, and is the port right? (Connection refused)")
        assert unreachable(place, ca, at, 1) == (
            f"{at}: 没有程序在监听：请检查程序是否在运行，端口是否正确（Connection refused）")


@pytest.mark.patient
def test_a_firewall_that_drops(place, ca):
    """Said after the first time-out. A listener whose queue is full lets the kernel drop what comes, as a firewall does."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        at = f"127.0.0.1:{full.getsockname()[1]}"
        queue = [socket.socket() for _ in range(4)]
        for s in queue:
            s.setblocking(False)
            s.connect_ex(full.getsockname())
        assert unreachable(place, ca, at, 0) == (
            f"{at}: no answer: is the address right, and does no firewall on the way drop this port? (Connection timed out)")
        assert unreachable(place, ca, at, 1) == (
            f"{at}: 没有响应：请检查地址是否正确，以及途中的防火墙是否丢弃了该端口的数据包（Connection timed out）")
        for s in queue:
            s.close()


@pytest.mark.parametrize("i", range(2), ids=LANGUAGES)
def test_a_local_target_where_nothing_listens(lab, server, i):
    """Its address stands in the line once."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        client = lab.client(server, port, env={"LC_ALL": LANGUAGES[i]}, ready=False)
        public = int(server.match(r"listening on \S*:(\d+), ready").group(1))
        with socket.create_connection(("127.0.0.1", public)):
            client.wait_log((
                f"cannot connect to the local target 127.0.0.1:{port}: "
                "nothing listens there: does the program run, and is the port right? (Connection refused)\n",
                f"无法建立到本地目标的连接 127.0.0.1:{port}: 没有程序在监听：请检查程序是否在运行，端口是否正确（Connection refused）\n")[i])


@pytest.mark.parametrize("i", range(2), ids=LANGUAGES)
def test_none_one_and_two(lab, echo, i):
    """English has a word for one connection and one for all other numbers; Chinese has the same for all."""
    server = lab.server(env={"LC_ALL": LANGUAGES[i]})
    client = lab.client(server, echo.port)
    with contextlib.ExitStack() as users:
        for n, english in enumerate(("0 connections", "1 connection", "2 connections")):
            if n:
                s = users.enter_context(socket.create_connection(("127.0.0.1", client.port)))
                s.sendall(b"x")
                assert s.recv(1) == b"x"
            server.kill(signal.SIGUSR1)
            server.wait_log((f": up, {english}, ", f": 正常，{n} 个连接，")[i])


# ---- one language in a line ----

def english_in(log):
    """The lines of a Chinese log that have English outside of brackets, but for names (tools/check-po)."""
    loader = SourceFileLoader("check_po", str(ROOT / "tools/check-po"))
    check_po = module_from_spec(spec_from_loader("check_po", loader))
    loader.exec_module(check_po)
    found = []
    for line in log.splitlines():
        text = re.sub(r"event=\w+ src=\S+|\[[^]]*\]|\S*/\S*", " ", TIME.sub("", line))
        words = check_po.english(text)
        if words:
            found.append((words, line))
    return found


def test_a_chinese_log_has_no_english(lab, echo, ca):
    """Both ends, through whatever a day may bring: what goes well, what fails, what is asked for by a signal."""
    how = {"env": {"LC_ALL": LANGUAGES[1]}}
    port = free_port()
    server = lab.server(listen=f"127.0.0.1:{port}", flags=("-client-rate", "1"), **how)
    old = lab.server("go16")
    client = lab.client(server, echo.port, flags=("-id", "c1"), **how)
    dead = lab.client(server, free_port(), flags=("-id", "c2"), **how)
    with socket.create_server(("", 0)) as other:
        taken = other.getsockname()[1]
        ends = [lab.client(to, 1, ready=False, flags=("-once", *flags), **more, **how) for to, flags, more in (
            (server, (), {"secret": "not the secret of that server"}), (server, (), {"ca": ca}),
            (server, ("-remote-port", taken), {}), (server, ("-remote-port", client.port), {}), (server, ("-legacy", "allow"), {"secret": "short"}),
            (old, (), {"secret": "not the secret of that server"}), (old, ("-remote-port", taken), {}),
            (old, ("-legacy", "never"), {}), (free_port(), (), {"ca": server.ca}), (echo.port, (), {"ca": server.ca}))]
        for end in ends:
            end.expect_exit = False
            end.wait()
    for words in (b"GET / HTTP/1.0\r\n\r\n", b"", b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03" + bytes(34) + b"\x00\x02\x00\x00\x01\x00"):
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.sendall(words)
    with socket.create_connection(("127.0.0.1", client.port)) as s, socket.create_connection(("127.0.0.1", dead.port)):
        s.sendall(b"x")
        assert s.recv(1) == b"x"
        dead.wait_log("无法建立到本地目标的连接")
        for p in (server, client):
            p.kill(signal.SIGUSR1)
            p.wait_log("状态：共")
        server.kill()
        client.wait_log("与服务端的连接中断")
        again = lab.server(listen=f"127.0.0.1:{port}", **how)
        client.wait_log("服务端成功响应", after="与服务端的连接中断")
        again.kill(signal.SIGTERM)
        client.kill(signal.SIGTERM)
        client.wait_log("正在停止")
        client.kill(signal.SIGTERM)
    logs = "".join(p.log() for p in (server, again, client, dead, *ends))
    assert len(logs.splitlines()) > 150 and english_in("2026/01/01 00:00:00.000000 连接 was cut（raw words）")
    assert not english_in(logs)


@pytest.mark.parametrize("i", range(2), ids=LANGUAGES)
def test_an_old_server_s_words_stand_in_brackets(lab, echo, i):
    old = lab.server("go16")
    how = {"env": {"LC_ALL": LANGUAGES[i]}, "ready": False}
    lab.client(old, 1, secret="not the secret of that server", **how).wait_log((
        "authentication failed, the server answered: wrong secret (ERROR: Invalid Secret)\n",
        "认证失败，服务端响应: 共享密钥错误（ERROR: Invalid Secret）\n")[i])
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        words = f"监听公网端口 :{port} 失败: listen tcp :{port}: bind: address already in use"
        lab.client(old, 1, remote_port=port, **how).wait_log((
            f"the server refused to forward the port: public port {port}: it is in use at the server "
            f"(address already in use) ({words})\n",
            f"请求端口转发失败: 服务端返回错误: 公网端口 {port}: 在服务端已被占用（address already in use）（{words}）\n")[i])
    lab.client(old, echo.port, **how).wait_log((
        "the server listens on [::]:", "服务端成功响应: 成功在 [::]:")[i])
