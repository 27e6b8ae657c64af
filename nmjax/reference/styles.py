"""The styles: target files that come with the program. This module imports no NumPy, so that `--help` is fast.

docs/reference/styles.md says what each was made from; `scripts/make_styles.py` makes them.
"""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "styles"
# Tests compare them with the files.
STYLE_NAMES = (
    *("balanced", "warm", "bright"),
    *("orchestral", "folk", "pop", "rock", "electronic", "industrial", "chiptune"),
)


def style_file(name: str) -> Path:
    """The target file of a style."""
    return _FOLDER / f"{name}.json"
