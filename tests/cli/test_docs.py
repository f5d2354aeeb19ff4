# SPDX-License-Identifier: MIT
"""What is generated from the table of options, and what the papers say of it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("GOTUNNEL", ROOT / "build/gotunnel")).resolve()
MADE = PROGRAM.parent / "packaging"
READMES = ("README.md", "README.zh-CN.md")
REFERENCE = ("docs/reference.md", "docs/reference.zh-CN.md")
MIGRATING = ("docs/migrating.md", "docs/migrating.zh-CN.md")


def flags(mode):
    done = subprocess.run([PROGRAM, mode, "-h"], env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True,
                          timeout=60)
    return re.findall(r"(?m)^  -([a-z-]+)", done.stderr)


@pytest.mark.parametrize("mode", ["server", "client"])
def test_the_man_page_has_every_option(mode):
    text = (MADE / "gotunnel.1").read_text().replace("\\-", "-")
    section = text.split(f".SH {mode.upper()} OPTIONS")[1].split(".SH ")[0]
    assert re.findall(r"(?m)^\\fB-([a-z-]+)\\fR", section) == flags(mode)


def test_the_papers_have_what_up_has_beside_the_server():
    own = sorted(set(flags("up")) - set(flags("server")))
    assert own == ["json", "public", "state"] and set(flags("server")) < set(flags("up"))
    section = (MADE / "gotunnel.1").read_text().replace("\\-", "-").split(".SH UP OPTIONS")[1].split(".SH ")[0]
    assert re.findall(r"(?m)^\\fB-([a-z-]+)\\fR", section) == own
    for name in ("gotunnel", "_gotunnel", "gotunnel.fish"):
        assert all(flag in (MADE / name).read_text() for flag in own)
    for page in REFERENCE:
        table = (ROOT / page).read_text().split("### gotunnel up\n")[1].split("\n#")[0]
        assert re.findall(r"(?m)^\| `-([a-z-]+)", table) == own


def test_the_page_of_clients_says_the_same_in_both_languages():
    """Its commands, up to what programs say in the user's language; and the words and keys of its tables."""
    pages = [(ROOT / f"docs/clients{language}.md").read_text() for language in ("", ".zh-CN")]
    lines = [re.findall(r"(?m)^(?:server|client)\$ .*$", page) for page in pages]
    cells = [[re.findall("`([^`]*)`", cell) for cell in re.findall(r"(?m)^\| (.*?) \|", page)] for page in pages]
    assert lines[0] == lines[1] and len(lines[0]) > 6
    assert cells[0] == cells[1] and len(cells[0]) > 25


def keys(mode):
    """Of a configuration file: what stands at the top, and what in a tunnel."""
    tunnel = {"remote-port": "port", "local-target": "target"}
    names = [flag for flag in flags(mode) if flag not in ("config", "forward", "join", "once", "version", "wait")]
    return [n for n in names if n not in tunnel], [tunnel[n] for n in names if n in tunnel]


@pytest.mark.parametrize("mode", ["server", "client"])
def test_the_man_page_has_every_key(mode):
    section = (MADE / "gotunnel.1").read_text().replace("\\-", "-").split(".SH CONFIGURATION FILE")[1].split(".SH ")[0]
    top, tunnel = keys(mode)
    shown = section.split(f"Keys of the {mode}:\n")[1].split("\n.PP")[0]
    assert re.findall(r"(?m)^\.BR ([a-z-]+) [,.]$", shown) == sorted(top) + ["tunnels"] * (mode == "client")
    for key in tunnel:
        assert f".TP\n\\fB{key}\\fR\n" in section


def configuration(page):
    """{heading's program: {key: (default, at a reload)}} of the tables that tools/genpages makes (the suite `check` compares them)."""
    found = {}
    for of, table in re.findall(r"(?s)<!-- keys of (?:the |a )(\w+), .*? -->\n(.*?)<!-- end of keys -->", page):
        found[of] = {k: (d.strip("`"), r) for k, d, r in re.findall(r"(?m)^\| `([a-z-]+)` \| ([^|]*?) ?\| ([^|]*?) ?\|", table)}
    return found


@pytest.mark.parametrize("mode", ["server", "client"])
@pytest.mark.parametrize("page,required,live,later", [("docs/configuration.md", "required", "live", "next start"),
                                                      ("docs/configuration.zh-CN.md", "必需", "立即生效", "下次启动生效")])
def test_the_page_of_configuration_has_every_key(page, required, live, later, mode):
    """With its default, and what a reload does; the man page's list is made of the table of options."""
    done = subprocess.run([PROGRAM, mode, "-h"], env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True,
                          timeout=60)
    defaults = dict(re.findall(r'(?m)^  -([a-z-]+).*\n    \t.*\(default "?([^")]+)"?\)$', done.stderr))
    made = (MADE / "gotunnel.1").read_text().replace("\\-", "-").split(".SH RELOAD AND CONTROL")[1].split(".SH ")[0]
    at_once = re.findall(r"(?m)^\.BR ([a-z-]+) [,;]$", made.split(f"at the {mode}\n")[1].split(" ;\n")[0] + " ;")
    top, tunnel = keys(mode)
    tables = configuration((ROOT / page).read_text())
    shown = {**tables[mode], **(tables["tunnel"] if mode == "client" else {})}
    assert set(tables[mode]) - {"tunnels"} == set(top) and set(tables["tunnel"]) - {"name"} == set(keys("client")[1])
    assert {k: shown[k][0] for k in top if k in defaults} == {k: defaults[k] for k in top if k in defaults}
    assert all(shown[k][0] == required for k in tunnel)
    assert {k for k in shown if shown[k][1] == live} == set(at_once) and at_once
    assert {k for k in shown if shown[k][1] == later} == set(top + tunnel) - set(at_once)


@pytest.mark.parametrize("page,locale", [("docs/configuration.md", "C"), ("docs/configuration.zh-CN.md", "zh_CN.UTF-8")])
def test_the_page_of_configuration_has_the_words_of_the_program(tmp_path, page, locale):
    """Its example, what `check` says of it, and what it says of one with three mistakes."""
    text = (ROOT / page).read_text()
    blocks = re.findall(r"(?ms)^```\n(.*?)^```$", text)
    (tmp_path / "ca.crt").write_text((ROOT / "tests/vectors/certs-go/ca.crt").read_text())
    (tmp_path / "secret").write_text("s" * 32 + "\n")
    (tmp_path / "secret").chmod(0o600)
    env = {**os.environ, "LC_ALL": locale}

    def check(example):
        (tmp_path / "client.yaml").write_text(example)
        return subprocess.run([PROGRAM, "check", "client.yaml"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)

    said = next(b for b in blocks if b.startswith("$ gotunnel check client.yaml\n")).split("\n", 1)[1]
    assert re.sub(r"[0-9a-f]{64}", "4b1e...", check(blocks[0]).stdout) == said
    wrong = next(b for b in blocks if b.startswith("client.yaml:2:1: "))
    broken = blocks[0].replace("server:", "servr:").replace("ca: ca.crt", "drain: 30").replace("8080", "70000")
    done = check(broken)
    assert done.returncode == 2 and done.stderr == wrong


def test_the_man_page_is_clean():
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", MADE / "gotunnel.1"], capture_output=True, text=True,
                          timeout=60)
    assert done.stdout == "" and done.returncode == 0


@pytest.mark.parametrize("name", ["gotunnel", "_gotunnel", "gotunnel.fish"])
def test_completions_have_every_option(name):
    text = (MADE / name).read_text()
    for flag in flags("server") + flags("client"):
        assert flag in text
    assert "'" not in "".join(re.findall(r"-d '(.*)'\n", text))


@pytest.mark.parametrize("name", ["gotunnel", "_gotunnel", "gotunnel.fish", "gotunnel.1"])
def test_every_word_of_ctl_is_named(name):
    done = subprocess.run([PROGRAM, "ctl", "-h"], env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True,
                          timeout=60)
    words = re.findall(r"(?m)^  ([a-z][a-z-]+)(?: level)?$", done.stderr)
    assert len(words) > 4 and "log-level" in words
    text = (MADE / name).read_text().replace("\\-", "-")
    for word in words:
        assert re.search(rf"\b{word}\b", text), word
    for page in REFERENCE:
        assert all(f"`{word}" in (ROOT / page).read_text() for word in words)


def test_bash_completes():
    script = f"""source {MADE / "gotunnel"}
        COMP_WORDS=(gotunnel client -local); COMP_CWORD=2; _gotunnel; echo "${{COMPREPLY[@]}}"
        COMP_WORDS=(gotunnel server -log-level w); COMP_CWORD=3; _gotunnel; echo "${{COMPREPLY[@]}}"
        COMP_WORDS=(gotunnel se); COMP_CWORD=1; _gotunnel; echo "${{COMPREPLY[@]}}"
        COMP_WORDS=(gotunnel g); COMP_CWORD=1; _gotunnel; echo "${{COMPREPLY[@]}}"
        COMP_WORDS=(gotunnel ctl re); COMP_CWORD=2; _gotunnel; echo "${{COMPREPLY[@]}}"
        COMP_WORDS=(gotunnel ch); COMP_CWORD=1; _gotunnel; echo "${{COMPREPLY[@]}}"
        COMP_WORDS=(gotunnel do); COMP_CWORD=1; _gotunnel; echo "${{COMPREPLY[@]}}"
        COMP_WORDS=(gotunnel status -w); COMP_CWORD=2; _gotunnel; echo "${{COMPREPLY[@]}}"
        COMP_WORDS=(gotunnel status -p); COMP_CWORD=2; _gotunnel; echo "${{COMPREPLY[@]}}"
        COMP_WORDS=(gotunnel service in); COMP_CWORD=2; _gotunnel; echo "${{COMPREPLY[@]}}"
        COMP_WORDS=(gotunnel service install cl); COMP_CWORD=3; _gotunnel; echo "${{COMPREPLY[@]}}"
        COMP_WORDS=(gotunnel up -publ); COMP_CWORD=2; _gotunnel; echo "${{COMPREPLY[@]}}"
        COMP_WORDS=(gotunnel server -stat); COMP_CWORD=2; _gotunnel; echo "${{COMPREPLY[@]}}"
        """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "-local-target\nwarn\nserver service\ngenkey\nreload\ncheck\ndoctor\n-watch\n-prometheus\ninstall\nclient\n-public-bind -public\n\n", done.stderr


def test_files_and_directories_are_told_apart(tmp_path):
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs.txt").touch()
    script = f"""source {MADE / "gotunnel"}
        COMP_WORDS=(gotunnel server -certs c); COMP_CWORD=3; _gotunnel; echo "${{COMPREPLY[@]}}"
        COMP_WORDS=(gotunnel client -ca c); COMP_CWORD=3; _gotunnel; echo "${{COMPREPLY[@]}}"
        """
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert [sorted(line.split()) for line in done.stdout.splitlines()] == [["certs"], ["certs", "certs.txt"]]
    page = (MADE / "gotunnel.1").read_text().replace("\\-", "-")
    for option in ("certs\\fR \\fIDIR", "secret-file\\fR \\fIFILE", "server\\fR \\fIADDRESS"):
        assert f"\\fB-{option}\\fR" in page


@pytest.mark.parametrize("name", ["gotunnel", "_gotunnel", "gotunnel.fish", "gotunnel.1"])
def test_every_command_is_named(name):
    text = (MADE / name).read_text()
    for command in ("up", "server", "client", "join", "status", "doctor", "ctl", "check", "clients", "genkey", "help", "version"):
        assert command in text


@pytest.mark.parametrize("shell,name", [("bash", "gotunnel"), ("zsh", "_gotunnel"), ("fish", "gotunnel.fish")])
def test_completions_are_in_the_grammar_of_their_shell(shell, name):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n", MADE / name], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.parametrize("readme", READMES)
def test_the_readme_names_what_make_shows(readme):
    for command in ("make demo", "make demo-cut", "make test"):
        assert command in (ROOT / readme).read_text()


@pytest.mark.parametrize("page", REFERENCE)
@pytest.mark.parametrize("mode", ["server", "client"])
def test_the_reference_has_the_options_and_defaults_of_the_help(mode, page):
    done = subprocess.run([PROGRAM, mode, "-h"], env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True,
                          timeout=60)
    helped = {flag: re.search(r'\(default "?([^")]+)"?\)$', text)
              for flag, text in re.findall(r"(?m)^  -([a-z-]+).*\n    \t(.*)$", done.stderr)}
    table = (ROOT / page).read_text().split(f"### gotunnel {mode}\n")[1].split("\n#")[0].replace("\\|", "/")
    shown = {flag: default for flag, default in re.findall(r"(?m)^\| `-([a-z-]+)[^|]*\| ([^|]*?) ?\|", table)}
    assert set(shown) - {"h"} == set(helped)
    for flag, default in helped.items():
        if default:
            assert shown[flag].strip("`") == default[1], flag


@pytest.mark.parametrize("pages,least", [(READMES, 3), (REFERENCE, 14), (MIGRATING, 8),
                                         (("docs/troubleshooting.md", "docs/troubleshooting.zh-CN.md"), 4)])
def test_both_languages_have_the_same_commands(pages, least):
    """Every block of code, but for its comments and for pictures that have words in them."""
    def blocks(page):
        text = (ROOT / page).read_text()
        found = [re.sub(r"(?m) *# .*$", "", block) for block in re.findall(r"(?ms)^ *```(?:sh)?\n(.*?)^ *```$", text)]
        return [block for block in found if not re.search("[→►]|^(?:ok|正常) ", block)]

    english = blocks(pages[0])
    assert len(english) >= least and english == blocks(pages[1])
