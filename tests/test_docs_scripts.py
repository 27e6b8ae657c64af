"""`scripts/wrap_docs.py` and the site's hooks change what they should and nothing else."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LONG = "word " * 30


def test_paragraphs_and_items_are_wrapped():
    wrap = load_script("wrap_docs").wrap_text
    text = f"# Title\n\n{LONG}\n\n- {LONG}\n  more {LONG}\n- short\n\n  {LONG}\n"
    result = wrap(text)
    assert all(len(line) <= 100 for line in result.split("\n"))
    assert result.split() == text.split()
    assert wrap(result) == result
    items = [line for line in result.split("\n") if line and not line.startswith(("#", "word", "- "))]
    assert all(line.startswith("  ") and not line.startswith("   ") for line in items)


@pytest.mark.parametrize(
    "text",
    [
        f"| {LONG} |\n|---|\n",
        f"```\n{LONG}\n```\n",
        f"text:\n\n    {LONG}\n",
        f"`{LONG}`\n",
        "short\nlines stay\nas they are\n",
        f"![{LONG}](a.png)\n",
    ],
)
def test_other_lines_stay(text):
    assert load_script("wrap_docs").wrap_text(text) == text


def test_no_line_begins_like_a_list():
    text = "word " * 19 + "wor - 2. # word\n"
    assert not any(line[0] in "-#2" for line in load_script("wrap_docs").wrap_text(text).splitlines())


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("[a](../reference/options.md#exit-codes)", "[a](../reference/options.md#exit-codes)"),
        ("[a](../../ARCHITECTURE.md)", "[a](../project/ARCHITECTURE.md)"),
        ("[a](../../nmjax/weights/README.md#1b)", "[a](../project/nmjax/weights/README.md#1b)"),
        ("[a](../../nmjax/dsp)", "a"),
        ("[a](../notebooks/analysis.ipynb)", "[a](../notebooks/analysis.md)"),
        ("[a](../results/split.json)", "a"),
        ("[a](https://example.org/b.md)", "[a](https://example.org/b.md)"),
        ("[a](#here)", "[a](#here)"),
    ],
)
def test_links_that_leave_the_pages(link, expected):
    hooks = load_script("docs_hooks")
    match = hooks.LINK.match(link)
    assert hooks.site_link(match, "docs/explanation/design.md", "explanation/design.md") == expected


def test_links_of_project_pages():
    hooks = load_script("docs_hooks")
    match = hooks.LINK.match("[a](docs/how-to/many.md)")
    assert hooks.site_link(match, "ARCHITECTURE.md", "project/ARCHITECTURE.md") == "[a](../how-to/many.md)"


def test_a_page_that_loads_from_elsewhere_is_reported(tmp_path, capsys):
    check = load_script("check_docs")
    (tmp_path / "a.html").write_text('<a href="https://example.org">a link is no problem</a>')
    assert check.main(["site", str(tmp_path)]) == 0
    (tmp_path / "b.html").write_text('<link rel="stylesheet" href="https://example.org/a.css"><p>')
    (tmp_path / "c.html").write_text("<script src=https://example.org/a.js></script>")
    assert check.main(["site", str(tmp_path)]) == 1
    assert "b.html" in (output := capsys.readouterr().out)
    assert "c.html" in output


def test_a_notebook_becomes_a_page_with_its_pictures(tmp_path):
    path = tmp_path / "book.ipynb"
    picture = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "iVBORw0KGgo="}}
    metadata = {"language_info": {"name": "python"}}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "# Title"},
        {"cell_type": "code", "metadata": {}, "source": "1 + 1", "outputs": [picture], "execution_count": None},
    ]
    path.write_text(json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}))
    text, pictures = load_script("docs_hooks").notebook_page(path)
    assert list(pictures.values()) == [b"\x89PNG\r\n\x1a\n"]
    (name,) = pictures
    assert name.startswith("book/") and f"]({name})" in text
    assert text.startswith("# Title") and "```python\n1 + 1\n```" in text


def test_formulas_become_mathml():
    hooks = load_script("docs_hooks")
    page = '<p>a <span class="arithmatex">\\(a &lt; b\\)</span></p><div class="arithmatex">\\[\\frac{1}{2}\\]</div>'
    inline, block = hooks.on_page_content(page, None, None, None).split("</p>")
    assert '<span class="formula"><math' in inline and 'display="inline"' in inline and "&#x0003C;" in inline
    assert 'display="block"' in block and "<mfrac>" in block and "arithmatex" not in inline + block
