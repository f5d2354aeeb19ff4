# SPDX-License-Identifier: MIT
"""What the program says to a mistake that people make: what is wrong, where, and what to do, in the user's language.

Each row is one mistake and, in English and Chinese, the whole line that tells of it; of a line of the log without its time.
"""

import os
import re
import subprocess

import pytest

from lib.procs import PATIENCE, PROGRAM, SANDBOX, SECRET

TIME = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} ")
LANGUAGES = ("en_US.UTF-8", "zh_CN.UTF-8")
SERVER = ("server", "-secret-file", "secret")
CLIENT = ("client", "-secret-file", "secret", "-server", "127.0.0.1:1")


def environment(path, language):
    names = ("LC_ALL", "LC_MESSAGES", "GOTUNNEL_SECRET", "NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS")
    return {**{k: v for k, v in os.environ.items() if k not in names}, "LANG": language, "XDG_STATE_HOME": str(path)}


@pytest.fixture
def place(tmp_path):
    """A folder with a secret."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "secret").chmod(0o600)
    return tmp_path


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
     "错误: [Client模式] 必须提供 -secret 和 -server 参数（密钥也可以用 -secret-file 或环境变量 GOTUNNEL_SECRET 提供）"),
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
], ids=lambda v: " ".join(v) if isinstance(v, tuple) else "")
def test_a_start_that_fails(place, status, words, english, chinese):
    for language, lines in zip(LANGUAGES, (english, chinese)):
        said, ended = run((words[0], "-sandbox", SANDBOX, *words[1:]), place, language)
        assert "\n".join(said) == lines
        assert ended == status
