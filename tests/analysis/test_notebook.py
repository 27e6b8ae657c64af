"""The notebook in docs/results/ runs, draws two figures and has the stored output."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import matplotlib

DOCS = Path(__file__).parents[2] / "docs" / "results"


def test_the_notebook_runs(monkeypatch):
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    book = json.loads((DOCS / "analysis.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    monkeypatch.chdir(DOCS)
    monkeypatch.setattr(plt, "show", lambda: None)
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        for cell in code:
            exec("".join(cell["source"]), names)
    try:
        assert len(plt.get_fignums()) == 2
    finally:
        plt.close("all")
    stored_output = ["".join(o["text"]) for cell in code for o in cell["outputs"] if o["output_type"] == "stream"]
    assert stored_output == [stdout.getvalue()]
    assert names["bands"] == 10
