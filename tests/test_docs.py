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


RESULTS = [name for name in PAGES if name.startswith("docs/results/")]
PRINTED = re.compile(r"Printed by [^\n]+(?:\n[^\n]+)?;\s+recorded\s+at\s+commit\s+`[0-9a-f]{7}`")
FIGURE = re.compile(r"\**[−+-]?\d")


def sections(text):
    """(level, its text without that of its subsections) for each heading of a page, in order."""
    parts = re.split(r"^(#+) .*$", text, flags=re.MULTILINE)
    return [(len(marks), body) for marks, body in zip(parts[1::2], parts[2::2], strict=True)]


def has_figures(text):
    """Whether a table has a row with a number in another column than the first."""
    rows = (line.strip("|").split("|")[1:] for line in text.splitlines() if line.startswith("|"))
    return any(FIGURE.match(cell.strip()) for row in rows for cell in row)


@pytest.mark.parametrize("name", RESULTS)
def test_figures_name_the_script_and_the_commit_that_printed_them(name):
    """In the section of a table, or in one that contains it."""
    above: dict[int, bool] = {}
    for level, text in sections(text_without_code(name)):
        above = {x: named for x, named in above.items() if x < level}
        above[level] = bool(PRINTED.search(text))
        assert not has_figures(text) or any(above.values()), f"{name}: {text[:200]}"


def test_commits_that_printed_figures_are_in_the_history():
    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)

    if git("rev-parse", "--is-shallow-repository").stdout.strip() != "false":
        pytest.skip("the history is not here")
    commits = {commit for name in RESULTS for commit in re.findall(r"at\s+commit\s+`(\w+)`", text_without_code(name))}
    assert len(commits) >= 10
    assert not [commit for commit in commits if git("cat-file", "-e", f"{commit}^{{commit}}").returncode]


def test_every_page_is_in_the_navigation():
    def files(tree):
        if isinstance(tree, str):
            return [tree]
        return [file for item in (tree.values() if isinstance(tree, dict) else tree) for file in files(item)]

    navigation = set(files(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    pages = {name.removeprefix("docs/").replace(".ipynb", ".md") for name in PAGES if name.startswith("docs/")}
    assert pages == {file for file in navigation if not file.startswith("project/")}
