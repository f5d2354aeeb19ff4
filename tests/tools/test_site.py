# SPDX-License-Identifier: MIT
"""`make site`: every link of its pages leads somewhere, and they need nothing from elsewhere. And the links of the Markdown itself."""

import html.parser
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
MARKDOWN = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))]


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loads, self.scripts = set(), [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.add(attrs.get("id"))
        self.scripts += tag == "script"
        if tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])
        if tag in ("img", "link"):
            self.loads.append(attrs.get("src") or attrs.get("href"))


def slug(heading):
    """The anchor that forges make of a heading."""
    heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", heading).replace(" ", "-")


def test_links_of_the_markdown_lead_to_headings():
    anchors = {}
    for file in MARKDOWN:
        text = re.sub(r"(?ms)^ *```.*?^ *```$", "", file.read_text(encoding="utf-8"))
        anchors[file] = {slug(h) for h in re.findall(r"(?m)^#+ (.*)$", text)}
    count = 0
    for file in MARKDOWN:
        for path, anchor in re.findall(r"\]\((?![a-z]+:)([^)#\s]*)#([^)\s]+)\)", file.read_text(encoding="utf-8")):
            target = (file.parent / path).resolve() if path else file
            assert target in anchors, f"{file.name}: {path}"
            assert anchor in anchors[target], f"{file.name}: {path}#{anchor}"
            count += 1
    assert count > 40


def test_the_site_is_whole(tmp_path):
    if not shutil.which("pandoc"):
        pytest.skip("pandoc is not installed (tools/deps site)")
    done = subprocess.run([ROOT / "tools/site", tmp_path], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    pages = {p.name: Page(p.read_text(encoding="utf-8")) for p in tmp_path.glob("*.html")}
    assert len(pages) == len(MARKDOWN) and {"index.html", "index.zh-CN.html", "security.html", "promises.html"} <= set(pages)
    inside = 0
    for name, page in pages.items():
        assert page.scripts == 0
        for load in page.loads:
            assert (tmp_path / unquote(load)).is_file(), f"{name} loads {load}"
        for link in map(unquote, page.links):
            if re.match(r"(?:https?|mailto):", link):
                continue
            file, _, anchor = link.partition("#")
            assert (file or name) in pages, f"{name}: {link}"
            assert not anchor or anchor in pages[file or name].ids, f"{name}: {link}"
            inside += 1
    assert inside > 300
    assert "benchmarks.svg" in pages["benchmarks.html"].loads and "cut.svg" in pages["index.zh-CN.html"].loads
