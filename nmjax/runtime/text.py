"""Text for terminals."""

from __future__ import annotations

import os
from pathlib import Path


def to_printable(path: str | Path) -> str:
    """A path as text for any terminal, with control characters and undecodable bytes replaced."""
    text = os.fsencode(path).decode(errors="replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
