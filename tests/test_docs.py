"""Links in the documentation lead somewhere, lines are short, and every page is in the site's navigation."""

from __future__ import annotations

import json
import re
import subprocess
import unicodedata
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md", "docs/notebooks/*.ipynb"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    if (ROOT / name).is_file()
)
LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)", re.MULTILINE)
FENCED = re.compile(r"^(```|~~~).*?^\1$", re.MULTILINE | re.DOTALL)
MAX_LINE = 100


def text_without_code(name):
    return FENCED.sub("", read_markdown(ROOT / name))


def read_markdown(path):
    """The text of a page, or of the text cells of a notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    return "\n\n".join("".join(x["source"]) for x in json.loads(text)["cells"] if x["cell_type"] == "markdown")


def anchors(path):
    """What GitHub and mkdocs make of headings: lower case, words joined by dashes, other characters left out."""
    headings = re.findall(r"^#+ +(.+)$", FENCED.sub("", read_markdown(path)), re.MULTILINE)
    plain = (unicodedata.normalize("NFKD", heading).lower() for heading in headings)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", text).strip()) for text in plain}


@pytest.mark.parametrize("name", PAGES)
def test_relative_links_resolve(name):
    page = ROOT / name
    for target in map("".join, LINK.findall(text_without_code(name))):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{name}: {target}"


@pytest.mark.parametrize("name", [name for name in PAGES if name.endswith(".md")])
def test_lines_are_short(name):
    """Tables have long lines, and so have code and links that cannot be broken."""
    for line in text_without_code(name).splitlines():
        breakable = re.sub(r"\[[^\]]*\]\([^)]*\)|`[^`]*`", "", line).strip()
        assert len(line) <= MAX_LINE or line.lstrip().startswith(("|", "![")) or " " not in breakable, f"{name}: {line}"


def test_every_page_is_in_the_navigation():
    def files(tree):
        if isinstance(tree, str):
            return [tree]
        return [file for item in (tree.values() if isinstance(tree, dict) else tree) for file in files(item)]

    navigation = set(files(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    pages = {name.removeprefix("docs/").replace(".ipynb", ".md") for name in PAGES if name.startswith("docs/")}
    assert pages == {file for file in navigation if not file.startswith("project/")}
