"""The index page of an analysis: one HTML file that holds its figures and links to the tables beside it."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nmjax import html
from nmjax.runtime import atomic_files

_TEMPLATES = Path(__file__).with_name("templates")
Value = str | float | int | np.number  # of a cell


@dataclasses.dataclass(frozen=True)
class Table:
    """A table. caption: what the rows are. rows: values by column; every row has the columns of the first one."""

    caption: str
    rows: Sequence[Mapping[str, Value]]


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure. path: of an SVG file; a PNG file of the same name is beside it."""

    path: Path
    caption: str

    @property
    def svg_base64(self) -> str:
        """The SVG file in base64."""
        return base64.b64encode(self.path.read_bytes()).decode()


@dataclasses.dataclass(frozen=True)
class PageSection:
    """A section of the page.

    Attributes:
        title: heading.
        sentences: the results, each a paragraph.
        figures, tables: below the sentences.
        files: names of files beside the page to link to.
    """

    title: str
    sentences: Sequence[str]
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    files: Sequence[str] = ()


def write_page(path: Path, title: str, subtitle: str, sections: Sequence[PageSection]) -> None:
    """Write the page atomically.

    Raises:
        CannotWriteError: a full disk or a path that cannot be written.
    """
    text = html.render_page(
        _TEMPLATES / "analysis.html.j2",
        styles=[_TEMPLATES / "analysis.css"],
        policy=["default-src 'none'", "img-src data:"],
        title=title,
        subtitle=subtitle,
        sections=sections,
        format_number=format_number,
    )
    atomic_files.write_text(path, text)


def format_number(value: float | int | np.number) -> str:
    """A number with about three significant digits and a true minus sign, "–" where it is not finite."""
    if isinstance(value, int | np.integer):
        return f"{value:,}".replace("-", "−")
    if not np.isfinite(value):
        return "–"
    size = abs(value)
    text = f"{value:,.0f}" if size >= 1000 else f"{value:.1f}" if size >= 100 else f"{value:.2f}"
    text = f"{value:.1g}" if 0.0 < size < 0.005 else text
    return text.replace("-", "−")
