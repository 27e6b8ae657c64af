"""A page for a blind listening test: each song's versions at one loudness, in an order that the page tells when it is
asked."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import soundfile

from nmjax.evaluation.examples import Audio, Example, rng_for
from nmjax.evaluation.metrics import normalize_loudness
from nmjax.evaluation.systems import INPUT, System
from nmjax.models import SAMPLE_RATE
from nmjax.runtime import atomic_files

NUM_SONGS = 10
MAX_SYSTEMS = 12  # more at once nobody can compare
ORIGINAL = "original"
_EXCERPT_SECONDS = 15.0  # of an item, its middle
_MAX_PEAK = 0.99


def render_versions(example: Example, systems: dict[str, System]) -> dict[str, Audio] | None:
    """What is compared, at one loudness and below full scale; None where a system does not suit the item."""
    outputs = {INPUT: example.source, ORIGINAL: example.target}
    for name, system in systems.items():
        if name != INPUT:
            outputs[name] = system(example)
    if any(output is None for output in outputs.values()):
        return None
    start = max(0, len(example.target) - int(_EXCERPT_SECONDS * SAMPLE_RATE)) // 2
    excerpts = {
        name: np.asarray(x, np.float64)[start : start + int(_EXCERPT_SECONDS * SAMPLE_RATE)]
        for name, x in outputs.items()
    }
    normalized = {name: normalize_loudness(x, example.lufs, SAMPLE_RATE) for name, x in excerpts.items()}
    peak = max(float(np.abs(x).max()) for x in normalized.values())
    return {name: x * min(1.0, _MAX_PEAK / max(peak, 1e-9)) for name, x in normalized.items()}


def write_page(folder: Path, songs: Sequence[tuple[str, dict[str, np.ndarray]]], seed: int) -> Path:
    """The page `index.html` and its sounds (FLAC, 24 bits) in `audio/`; returns the page.

    Args:
        songs: names and versions (time, channel), the same versions for each; lengths and channels differ by song.
        seed: of the orders.
    """
    sections, answer_key = [], []
    for index, (name, versions) in enumerate(songs):
        order = [list(versions)[i] for i in rng_for(seed, "listen", name).permutation(len(versions))]
        files = [f"audio/{index + 1:02d}-{ascii_lowercase[i]}.flac" for i in range(len(order))]
        for file, version in zip(files, order, strict=True):
            with atomic_files.temporary_sibling(folder / file) as temporary:
                soundfile.write(str(temporary), versions[version], SAMPLE_RATE, "PCM_24", format="FLAC")
                atomic_files.commit_file(temporary, folder / file)
        sections.append(_section_html(f"Song {index + 1}", files))
        answer_key.append(order)
    names = ", ".join(sorted(answer_key[0]))
    text = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    introduction = f"{len(songs)} songs, each in {len(answer_key[0])} versions: {names}."
    replacements = {
        "$INTRODUCTION": escape(introduction),
        "$LAST": "ABCDEFGH"[len(answer_key[0]) - 1],
        "$SONGS": "\n".join(sections),
        "$ANSWERS": base64.b64encode(json.dumps(answer_key).encode()).decode(),
    }
    for placeholder, value in replacements.items():
        text = text.replace(placeholder, value)
    atomic_files.write_text(folder / "index.html", text)
    return folder / "index.html"


def _section_html(title: str, files: Sequence[str]) -> str:
    letters = "ABCDEFGH"[: len(files)]
    audios = "".join(f'<audio preload="auto" src="{file}"></audio>' for file in files)
    version_buttons = "".join(f'<button type="button" class="letter">{letter}</button>' for letter in letters)
    best_buttons = "".join(f'<button type="button" class="best">{letter}</button>' for letter in letters)
    return (
        f'<section class="song"><h2>{title}</h2>{audios}<div class="row"><button type="button" class="play"></button>'
        f'{version_buttons}<input type="range" min="0" max="1000" value="0" aria-label="Place in the song"></div>'
        f'<div class="row"><span>Best:</span>{best_buttons}</div><p class="answer" aria-live="polite"></p></section>'
    )
