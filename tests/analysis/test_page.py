"""The index page of an analysis: escaped texts, embedded figures, numbers as text."""

import base64
import re

import numpy as np
import pytest

from nmjax.analysis.page import Figure, PageSection, Table, format_number, write_page
from tests.report.test_page import HOSTILE_NAME, PageParser


def test_the_page_holds_its_figures_and_escapes_names(tmp_path):
    (tmp_path / "figure.svg").write_text("<svg/>")
    section = PageSection(
        title="Bands",
        sentences=["One & two."],
        figures=[Figure(tmp_path / "figure.svg", HOSTILE_NAME)],
        tables=[Table("All tracks.", [{"track_name": HOSTILE_NAME, "count": 3}, {"track_name": "b", "count": 4}])],
        files=["bands.csv"],
    )
    write_page(tmp_path / "index.html", HOSTILE_NAME, "subtitle", [section])
    text = (tmp_path / "index.html").read_text()
    parser = PageParser(re.sub(r"(<img [^>]*)>", r"\1/>", text))
    (image,) = parser.all("img")
    assert base64.b64decode(image["src"].removeprefix("data:image/svg+xml;base64,")) == b"<svg/>"
    assert image["alt"] == HOSTILE_NAME
    assert "<script" not in text
    assert "script-src 'none'" in parser.all("meta")[1]["content"]
    assert "One & two." in parser.body and f"track name count {HOSTILE_NAME} 3 b 4 bands.csv" in parser.body
    assert [a["class"] for a in parser.all("td", "text")] == ["text", "text"]
    assert [a["href"] for a in parser.all("a")] == ["bands.csv"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12_345, "12,345"),
        (np.int64(-3), "−3"),
        (1234.5, "1,234"),
        (123.45, "123.5"),
        (-1.234, "−1.23"),
        (0.0012, "0.001"),
        (0.0, "0.00"),
        (float("nan"), "–"),
    ],
)
def test_numbers_have_about_three_significant_digits(value, text):
    assert format_number(value) == text
