"""Hooks of mkdocs: pages from outside docs/, notebooks as pages, formulas, and the page of all config keys.

The same Markdown is read in the repository and on the site. Pages outside docs/ (`PROJECT_PAGES`) are copied to
`project/` with their paths. A link to any other file of the repository becomes its text, because the
site has no source. A notebook of docs/notebooks/ becomes a page with the outputs that it stores; nothing
is run. A formula, `$…$` or `$$…$$`, becomes MathML, which browsers render without a script or a font from elsewhere.
"""

from __future__ import annotations

import html
import os
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files
from mkdocs.utils import get_relative_url
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[1]
PROJECT_PAGES = (
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    "examples/README.md",
    "nmjax/weights/README.md",
)
NOTEBOOKS = "notebooks/"  # in docs/
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
CONFIG_MARKER = "<!-- configs/base.yaml -->"
WORKER_URL, WORKER_FILE = "https://unpkg.com/iframe-worker/shim", "assets/iframe-worker.js"


def on_files(files: Files, config: Any) -> Files:
    """Add the project's pages, and a page with its pictures for each notebook."""
    for name in PROJECT_PAGES:
        content = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, f"project/{name}", content=content))
    for path in sorted((ROOT / "docs" / NOTEBOOKS).glob("*.ipynb")):
        text, pictures = notebook_page(path)
        files.append(File.generated(config, f"{NOTEBOOKS}{path.stem}.md", content=text))
        for name, data in pictures.items():
            files.append(File.generated(config, f"{NOTEBOOKS}{name}", content=data))
    return files


def notebook_page(path: Path) -> tuple[str, dict[str, bytes]]:
    """The Markdown of a notebook with its stored outputs, and the pictures by their paths beside the page."""
    resources = {"unique_key": path.stem, "output_files_dir": path.stem}
    text, resources = MarkdownExporter().from_filename(str(path), resources)
    text = text.replace("![png](", "![The figure that the code above draws](")
    text += f'\n<a href="{path.name}" download>Download this notebook</a>\n'
    return text, {name.replace(os.sep, "/"): data for name, data in resources["outputs"].items()}


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Insert the config keys, and adapt the links that leave docs/."""
    if CONFIG_MARKER in markdown:
        keys = (ROOT / "configs/base.yaml").read_text(encoding="utf-8")
        markdown = markdown.replace(CONFIG_MARKER, f"```yaml\n{keys}```")
    uri = page.file.src_uri
    return LINK.sub(lambda match: site_link(match, repository_path(uri), uri), markdown)


def on_page_content(content: str, page: Any, config: Any, files: Files) -> str:
    """Formulas as MathML."""

    def to_mathml(match: re.Match[str]) -> str:
        tag, bracket, latex = match.groups()
        formula = convert(html.unescape(latex), display="block" if bracket == "[" else "inline")
        return f'<{tag} class="formula">{formula}</{tag}>'

    return FORMULA.sub(to_mathml, content)


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Load the theme's script for searching without a server from the site itself."""
    return output.replace(WORKER_URL, get_relative_url(WORKER_FILE, page.url))


def on_post_template(output_content: str, template_name: str, config: Any) -> str:
    """The same for 404.html, which has no page."""
    return output_content.replace(WORKER_URL, f"/{WORKER_FILE}")


def repository_path(uri: str) -> str:
    """Where a page of the site is in the repository."""
    if uri.startswith(NOTEBOOKS):
        return f"docs/{uri.removesuffix('.md')}.ipynb"
    return uri.removeprefix("project/") if uri.startswith("project/") else f"docs/{uri}"


def site_link(match: re.Match[str], source: str, uri: str) -> str:
    """A link as the site has it; `source` is the page in the repository, `uri` on the site."""
    text, target = match.groups()
    path, mark, anchor = target.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return match.group()
    file = os.path.normpath(os.path.join(os.path.dirname(source), path))
    if file in PROJECT_PAGES:
        file = f"docs/project/{file}"
    elif file.startswith(f"docs/{NOTEBOOKS}"):
        file = f"{file.removesuffix('.ipynb')}.md"
    elif not file.startswith("docs/") or not file.endswith((".md", ".png")):
        return text
    relative = os.path.relpath(file.removeprefix("docs/"), os.path.dirname(uri))
    return f"[{text}]({relative}{mark}{anchor})"
