"""The notebooks of the documentation run, and print and draw what they store."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
MAX_BYTES = 200_000
CELL_TIMEOUT_S = 300
NUMBER = re.compile(r"[-+−]?\d+(?:,\d{3})*(?:\.\d+)?")
RELATIVE, ABSOLUTE = 0.05, 0.2  # of numbers that another machine prints


def read(name):
    return nbformat.read(FOLDER / name, as_version=4)


def printed(book):
    """What all cells print."""
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    assert {output.output_type for output in outputs} <= {"stream", "display_data"}  # no error, no result of a line
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


def count_figures(book):
    return sum("image/png" in output.get("data", ()) for cell in book.cells for output in cell.get("outputs", ()))


def numbers(text):
    return [float(number.replace(",", "").replace("−", "-")) for number in NUMBER.findall(text)]


def words(text):
    return NUMBER.sub("", text).split()


def test_there_are_the_four_notebooks():
    assert set(NOTEBOOKS) == {
        "a-loss-on-your-audio.ipynb",
        "analysis.ipynb",
        "fit-an-equalizer.ipynb",
        "settings-of-an-album.ipynb",
    }


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_small_and_stores_text_and_figures(name):
    book = read(name)
    assert (FOLDER / name).stat().st_size <= MAX_BYTES
    assert printed(book) and count_figures(book) >= 1
    assert book.cells[0].source.startswith("# ")
    streams = {o.name for cell in book.cells for o in cell.get("outputs", ()) if o.output_type == "stream"}
    assert streams == {"stdout"}


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_and_prints_what_it_stores(name):
    stored, book = read(name), read(name)
    resources = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(book, timeout=CELL_TIMEOUT_S, kernel_name="python3", resources=resources).execute()
    assert count_figures(book) == count_figures(stored)
    assert words(printed(book)) == words(printed(stored))
    assert numbers(printed(book)) == pytest.approx(numbers(printed(stored)), rel=RELATIVE, abs=ABSOLUTE)
