"""The index of an analysis: one HTML file with every picture in it, and links to the tables beside it."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from nmjax.report import page as report
from nmjax.runtime import atomic_files

_STYLESHEET = Path(report.__file__).with_suffix(".css")  # of the report of a single master
_EXTRA_CSS = (
    "figure img { width: 100%; height: auto; } .files a { margin-right: 1rem; } "
    "th.text, td.text { text-align: left; } td.text:first-child { padding-left: 0; }"
)


@dataclasses.dataclass(frozen=True)
class Table:
    """rows: with the keys of the first one. caption: what they are."""

    caption: str
    rows: Sequence[dict]


@dataclasses.dataclass(frozen=True)
class Figure:
    """path: of an SVG file; a PNG of the same name lies beside it."""

    path: Path
    caption: str


@dataclasses.dataclass(frozen=True)
class PageSection:
    """A question and its answer. sentences: what was found. files: beside the page."""

    title: str
    sentences: Sequence[str]
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    files: Sequence[str] = ()


def write_page(path: Path, title: str, subtitle: str, sections: Sequence[PageSection]) -> None:
    """Write the page, whole or not at all.

    Raises:
        CannotWriteError: a full disk, or a place that cannot be written.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    style = _STYLESHEET.read_text(encoding="utf-8")
    text = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}{_EXTRA_CSS}</style></head>\n<body>\n"
        f'<header><h1>{escape(title)}</h1><p class="model">{escape(subtitle)}</p></header>\n'
        + "\n".join(map(_section_html, sections))
        + "\n</body></html>\n"
    )
    atomic_files.write_text(path, text)


def _section_html(section: PageSection) -> str:
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in section.sentences)
    pictures = "".join(map(_figure_html, section.figures))
    tables = "".join(_table_html(table) for table in section.tables)
    links = "".join(f'<a href="{escape(name)}">{escape(name)}</a>' for name in section.files)
    files = f'<p class="small files">{links}</p>' if links else ""
    return f"<section><h2>{escape(section.title)}</h2>{sentences}{pictures}{tables}{files}</section>"


def _figure_html(figure: Figure) -> str:
    data, caption = base64.b64encode(figure.path.read_bytes()).decode(), escape(figure.caption)
    image = f'<img alt="{caption}" src="data:image/svg+xml;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _table_html(table: Table) -> str:
    head = "".join(
        f'<th scope="col"{_alignment_attribute(value)}>{escape(name.replace("_", " "))}</th>'
        for name, value in table.rows[0].items()
    )
    rows = "".join(f"<tr>{''.join(map(_cell_html, row.values()))}</tr>" for row in table.rows)
    caption = f'<p class="small">{escape(table.caption)}</p>'
    return f'{caption}<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _alignment_attribute(value: object) -> str:
    return ' class="text"' if isinstance(value, str) else ""


def _cell_html(value: object) -> str:
    text = escape(value) if isinstance(value, str) else format_number(value)
    return f"<td{_alignment_attribute(value)}>{text}</td>"


def format_number(value: float | int) -> str:
    """Three digits that count, with a true minus; a dash for what is no number."""
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if not np.isfinite(value):
        return "–"
    size = abs(value)
    text = f"{value:,.0f}" if size >= 1000 else f"{value:.1f}" if size >= 100 else f"{value:.2f}"
    text = f"{value:.1g}" if 0.0 < size < 0.005 else text
    return text.replace("-", "−")
