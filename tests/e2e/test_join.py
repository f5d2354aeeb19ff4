# SPDX-License-Identifier: MIT
"""Join strings: where they come from, which server is believed, and what is said where none can be."""

import contextlib
import socket
import ssl
import threading

import pytest
from test_words import LANGUAGES, run

from lib import join
from lib.procs import PATIENCE, PROGRAM, SANDBOX
from lib.services import free_port

REJECTED, CONFIG = 77, 78
NOT_TAKEN = "the server does not take the key of client laptop (any more): "
ANOTHER = "the server at 127.0.0.1:{} shows another CA than the join string: wrong host, or somebody in between"
THROWN_IN = ("the server at 127.0.0.1:{} shows the CA of the join string, but its certificate is another CA's: "
             "somebody in between")


def attempt(lab, *flags, status, **how):
    """The log of a client that tries once."""
    done = lab.run("client", "-once", *flags, **how)
    assert done.returncode == status, done.stderr
    assert "gt1_" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("way", ["argument", "stdin", "stdin-file", "file", "environment", "config"])
def test_a_string_from_anywhere(lab, server, way, tmp_path):
    """Far enough to be asked who it is, which that server does not know."""
    text = join.of_server(server)
    file = tmp_path / "join"
    file.write_text(text[:30] + "\n" + text[30:].upper() + "\n")
    file.chmod(0o600)
    (tmp_path / "c.yaml").write_text("join-file: join\n")
    flags, how = {
        "argument": (("-join", text), {}),
        "stdin": (("-join", "-"), {"stdin": text.encode()}),
        "stdin-file": (("-join-file", "-"), {"stdin": f" {text}\n".encode()}),
        "file": (("-join-file", file), {}),
        "environment": ((), {"env": {"GOTUNNEL_JOIN": text}}),
        "config": (("-config", tmp_path / "c.yaml"), {}),
    }[way]
    log = attempt(lab, *flags, status=REJECTED, **how)
    assert f"trusting the CA of the join string, pin {join.pin_of(server.ca).hex()}, as client laptop" in log
    assert NOT_TAKEN in log
    assert ("a join string in the command line: whoever lists processes" in log) == (way == "argument")


@pytest.mark.patient
def test_a_string_leaves_command_line_and_environment(lab):
    """With somebody who accepts and says nothing, so that there is time to look."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        text = join.string("laptop", "127.0.0.1", silent.getsockname()[1], bytes(20))
        client = lab.start("client", PROGRAM, "client", "-join", text, env={"GOTUNNEL_JOIN": text})
        with silent.accept()[0]:
            shown = [open(f"/proc/{client.pid}/{file}", "rb").read() for file in ("cmdline", "environ")]
            assert not any(b"gt1_" in s for s in shown)
            client.kill()


def test_the_flag_says_where_the_server_is_now(lab, server):
    text = join.of_server(server, host="no-such-name.invalid", port=1)
    log = attempt(lab, "-join", text, "-server", f"127.0.0.1:{server.port}", status=REJECTED)
    assert NOT_TAKEN in log


def test_another_server(lab, server, tmp_path):
    (tmp_path / "other").mkdir()
    other = lab.server(cwd=tmp_path / "other")
    log = attempt(lab, "-join", join.of_server(server, port=other.port), status=REJECTED)
    assert ANOTHER.format(other.port) in log
    other.wait_log("does not accept our certificate")  # and was told nothing


@contextlib.contextmanager
def impostor(server, chain, alpn=None):
    """Somebody who shows these certificates, with the server's key. What he hears after a handshake; None: there was none."""
    folder = server.ca.parent
    pem = folder / "shown.pem"
    pem.write_text("".join(c.read_text() for c in chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, folder / "server.key")
    if alpn:
        context.set_alpn_protocols([alpn])
    heard = []

    def serve():
        with contextlib.suppress(OSError), listener.accept()[0] as s:
            s.settimeout(PATIENCE)
            with context.wrap_socket(s, server_side=True) as tls:
                heard.append(tls.recv(4096))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], heard
        thread.join(PATIENCE)


def test_the_pinned_ca_thrown_in(lab, server, tmp_path):
    (tmp_path / "other").mkdir()
    other = lab.server(cwd=tmp_path / "other")
    with impostor(other, [other.ca.parent / "server.crt", server.ca], "gotunnel/2") as (port, heard):
        log = attempt(lab, "-join", join.of_server(server, port=port), status=REJECTED)
    assert THROWN_IN.format(port) in log and not heard


def test_a_server_of_the_old_protocol(lab, server):
    """With the right CA, so that it is the wire alone."""
    with impostor(server, [server.ca.parent / "server.crt", server.ca]) as (port, heard):
        log = attempt(lab, "-join", join.of_server(server, port=port), status=REJECTED)
    assert "this server knows only the old protocol, which a client with a join string never speaks" in log
    assert heard == [b""]


def test_a_file_client_passes_over_the_ca_that_is_shown(lab, server, echo):
    with impostor(server, [server.ca.parent / "server.crt", server.ca], "gotunnel/2") as (port, heard):
        done = lab.run("client", "-once", "-server", f"127.0.0.1:{port}", "-ca", server.ca, "-secret", server.secret)
    assert done.returncode == 69 and heard[0].startswith(b'{"v":2,"op":"open"')


# ---- words ----

GOOD = join.string("laptop", "vps.example.com", 7000, bytes(20))


@pytest.mark.parametrize("words,english,chinese", [
    (("-join", "secret"),
     "cannot join: this is no join string (it begins with gt1_)",
     "无法接入: 这不是接入码（接入码以 gt1_ 开头）"),
    (("-join", GOOD[:-1]),
     "cannot join: a character of the join string is missing or wrong: copy it again, from gt1_ to its end",
     "无法接入: 接入码缺少字符或有错误的字符：请从 gt1_ 到末尾重新复制"),
    (("-join", "gt2_" + GOOD[4:]),
     "cannot join: this join string was made by a newer gotunnel: update the one here",
     "无法接入: 这个接入码由更新版本的 gotunnel 生成：请升级本机的 gotunnel"),
    (("-join", GOOD, "-ca", "ca.crt"),
     "cannot join: a join string says by which CA the server is known: leave out -ca",
     "无法接入: 接入码已指明服务端的 CA：请去掉 -ca"),
    (("-join", GOOD, "-secret-file", "s"),
     "cannot join: a join string has the client's own secret: leave out -secret and -secret-file",
     "无法接入: 接入码自带此客户端的密钥：请去掉 -secret 和 -secret-file"),
    (("-join", GOOD, "-legacy", "allow"),
     "cannot join: a client with a join string never speaks the old protocol: leave out -legacy allow",
     "无法接入: 使用接入码的客户端绝不使用旧协议：请去掉 -legacy allow"),
    (("-join", GOOD, "-id", "bob"),
     '-id "bob": with this join string an id is laptop, or begins with laptop.',
     '-id "bob": 使用此接入码时，标识必须是 laptop，或以 laptop. 开头'),
    (("-join-file", "missing"),
     "cannot join: missing: No such file or directory",
     "无法接入: missing: 没有该文件或目录（No such file or directory）"),
    (("-join-file", "empty"),
     "cannot join: empty is empty",
     "无法接入: empty 为空"),
], ids=lambda v: " ".join(v)[:40] if isinstance(v, tuple) else "")
def test_words(tmp_path, words, english, chinese):
    (tmp_path / "empty").touch(0o600)
    for language, line in zip(LANGUAGES, (english, chinese)):
        assert run(("client", *words), tmp_path, language) == ([line], CONFIG)


USAGE_JOIN = (
    ["usage: gotunnel join STRING [NAME=][HOST:]PORT[@PUBLIC] ... [-flag value ...]",
     "       'gotunnel join -h' lists the flags"],
    ["用法: gotunnel join STRING [NAME=][HOST:]PORT[@PUBLIC] ... [-参数 值 ...]", "      用 'gotunnel join -h' 查看全部参数"])


@pytest.mark.parametrize("words,english,chinese", [
    ((), "the join string is missing: it stands first, as the server has printed it",
     "缺少接入码：它写在最前面，即服务端所显示的内容"),
    ((GOOD,), "what to forward is missing: write the port of a service here, like 22",
     "缺少要转发的目标：请写本机服务的端口，例如 22"),
    ((GOOD, "22@x"), '"22@x": the public port behind @ is 0 to 65535', '"22@x": @ 之后的公网端口必须在 0 到 65535 之间'),
    ((GOOD, "22", "-prot", "tcp"), "flag provided but not defined: -prot", "没有参数 -prot"),
    ((GOOD, "22", "-drain", "3s", "23"), 'unexpected argument "23": what to forward stands before the flags',
     '多余的参数 "23"：要转发的目标应写在参数之前'),
    (("-once", GOOD, "22"), "the join string comes first, and the flags last", "接入码写在最前面，参数写在最后"),
], ids=lambda v: " ".join(v)[-20:] if isinstance(v, tuple) else "")
def test_words_of_the_command(tmp_path, words, english, chinese):
    for i, line in enumerate((f"error: {english}", f"错误: {chinese}")):
        assert run(("join", *words), tmp_path, LANGUAGES[i]) == ([*USAGE_JOIN[i], line], CONFIG)


def test_the_help_explains_the_words(tmp_path):
    for language, start in zip(LANGUAGES, ("  STRING is what the server has printed", "  STRING 是服务端显示的接入码")):
        lines, status = run(("join", "-h"), tmp_path, language)
        words = [line for line in lines if line.startswith(start)]
        assert status == 0 and len(words) == 1 and words[0].endswith("22 web=3000@20001")
        assert lines[1] == "  gotunnel join gt1_... 3000"


@pytest.mark.parametrize("way", ["argument", "stdin", "environment", "file"])
def test_the_command(lab, server, way, tmp_path):
    text = join.of_server(server)
    (tmp_path / "join").write_text(text)
    (tmp_path / "join").chmod(0o600)
    words, how = {
        "argument": ((text, "ssh=22@2222"), {}),
        "stdin": (("-", "22@2222"), {"stdin": text.encode()}),
        "environment": (("22",), {"env": {"GOTUNNEL_JOIN": text}}),
        "file": (("22@2222", "-join-file", tmp_path / "join"), {}),
    }[way]
    done = lab.run("join", *words, "-once", "-sandbox", SANDBOX, *(("-remote-port=2222",) if way == "environment" else ()),
                   **how)
    assert done.returncode == REJECTED and NOT_TAKEN in done.stderr
    assert "-> remote port :2222 -> local target 127.0.0.1:22\n" in done.stderr and "more than once" not in done.stderr


def test_check_says_what_a_string_in_a_file_does(lab, tmp_path):
    (tmp_path / "join").write_text(GOOD + "\n")
    (tmp_path / "join").chmod(0o600)
    (tmp_path / "c.yaml").write_text(f"join-file: join\ntunnels: [{{port: 80, target: '127.0.0.1:{free_port()}'}}]\n")
    done = lab.run("check", tmp_path / "c.yaml")
    assert done.returncode == 0 and done.stderr == "" and "gt1_" not in done.stdout
    assert "  connects to vps.example.com:7000\n" in done.stdout
    assert f"  trusts the CA with the pin {'00' * 20}, as client laptop, by the join string\n" in done.stdout
    (tmp_path / "join").write_text(GOOD[:-1])
    done = lab.run("check", tmp_path / "c.yaml")
    assert done.returncode == 2 and "c.yaml: a character of the join string is missing or wrong" in done.stderr
