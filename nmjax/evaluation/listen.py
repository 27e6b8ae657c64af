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

from nmjax import io
from nmjax.evaluation.items import Audio, Item, draw_of
from nmjax.evaluation.metrics import at_loudness
from nmjax.evaluation.systems import INPUT, System
from nmjax.models import SAMPLE_RATE

SONGS = 10
MOST_SYSTEMS = 12  # more at once nobody can compare
ORIGINAL = "original"
_SECONDS = 15.0  # of an item, its middle
_HIGHEST = 0.99


def versions(item: Item, systems: dict[str, System]) -> dict[str, Audio] | None:
    """What is compared, at one loudness and below full scale; None where a system does not suit the item."""
    outputs = {INPUT: item.source, ORIGINAL: item.target}
    for name, system in systems.items():
        if name != INPUT:
            outputs[name] = system(item)
    if any(output is None for output in outputs.values()):
        return None
    start = max(0, len(item.target) - int(_SECONDS * SAMPLE_RATE)) // 2
    cut = {name: np.asarray(x, np.float64)[start : start + int(_SECONDS * SAMPLE_RATE)] for name, x in outputs.items()}
    level = {name: at_loudness(x, item.lufs, SAMPLE_RATE) for name, x in cut.items()}
    peak = max(float(np.abs(x).max()) for x in level.values())
    return {name: x * min(1.0, _HIGHEST / max(peak, 1e-9)) for name, x in level.items()}


def write(folder: Path, songs: Sequence[tuple[str, dict[str, np.ndarray]]], seed: int) -> Path:
    """The page `index.html` and its sounds (FLAC, 24 bits) in `audio/`; returns the page.

    Args:
        songs: names and versions (time, channel), the same versions for each; lengths and channels differ by song.
        seed: of the orders.
    """
    sections, answers = [], []
    for number, (name, sounds) in enumerate(songs):
        order = [list(sounds)[i] for i in draw_of(seed, "listen", name).permutation(len(sounds))]
        files = [f"audio/{number + 1:02d}-{ascii_lowercase[i]}.flac" for i in range(len(order))]
        for file, version in zip(files, order, strict=True):
            with io.temporary_beside(folder / file) as temporary:
                soundfile.write(str(temporary), sounds[version], SAMPLE_RATE, "PCM_24", format="FLAC")
                io.publish(temporary, folder / file)
        sections.append(_section(f"Song {number + 1}", files))
        answers.append(order)
    names = ", ".join(sorted(answers[0]))
    text = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    introduction = f"{len(songs)} songs, each in {len(answers[0])} versions: {names}."
    filled = {
        "$INTRODUCTION": escape(introduction),
        "$LAST": "ABCDEFGH"[len(answers[0]) - 1],
        "$SONGS": "\n".join(sections),
        "$ANSWERS": base64.b64encode(json.dumps(answers).encode()).decode(),
    }
    for mark, value in filled.items():
        text = text.replace(mark, value)
    io.write_text(folder / "index.html", text)
    return folder / "index.html"


def _section(title: str, files: Sequence[str]) -> str:
    letters = "ABCDEFGH"[: len(files)]
    audios = "".join(f'<audio preload="auto" src="{file}"></audio>' for file in files)
    plays = "".join(f'<button type="button" class="letter">{letter}</button>' for letter in letters)
    best = "".join(f'<button type="button" class="best">{letter}</button>' for letter in letters)
    return (
        f'<section class="song"><h2>{title}</h2>{audios}<div class="row"><button type="button" class="play"></button>'
        f'{plays}<input type="range" min="0" max="1000" value="0" aria-label="Place in the song"></div>'
        f'<div class="row"><span>Best:</span>{best}</div><p class="answer" aria-live="polite"></p></section>'
    )
