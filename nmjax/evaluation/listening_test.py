"""A page for a blind listening test: versions of each song at equal loudness, in random order."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import ascii_uppercase

import numpy as np
import soundfile

from nmjax.evaluation.examples import Example, rng_for
from nmjax.evaluation.metrics import Audio, normalize_loudness
from nmjax.evaluation.systems import INPUT, System
from nmjax.models import SAMPLE_RATE
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError

NUM_SONGS = 10
MAX_SYSTEMS = 12  # with the original one version more; more cannot be compared by ear
ORIGINAL = "original"
_EXCERPT_SECONDS = 15.0  # from the middle of an example
_MAX_PEAK = 0.99


def check_num_systems(count: int) -> None:
    """Raise BadInputError for more systems than can be compared."""
    if count > MAX_SYSTEMS:
        raise BadInputError(f"A listening test takes at most {MAX_SYSTEMS} systems, the input included, not {count}.")


def render_versions(example: Example, systems: Mapping[str, System]) -> dict[str, Audio] | None:
    """Input, original and every system's output, at equal loudness below full scale.

    Returns None if a system cannot process the example.
    """
    outputs: dict[str, Audio | None] = {INPUT: example.source, ORIGINAL: example.target}
    outputs |= {name: system(example) for name, system in systems.items() if name != INPUT}
    length = int(_EXCERPT_SECONDS * SAMPLE_RATE)
    start = max(0, len(example.target) - length) // 2
    versions = {}
    for name, output in outputs.items():
        if output is None:
            return None
        excerpt = np.asarray(output, np.float64)[start : start + length]
        versions[name] = normalize_loudness(excerpt, example.lufs, SAMPLE_RATE)
    peak = max(float(np.abs(x).max()) for x in versions.values())
    return {name: x * min(1.0, _MAX_PEAK / max(peak, 1e-9)) for name, x in versions.items()}


def write_page(folder: Path, songs: Sequence[tuple[str, Mapping[str, Audio]]], seed: int) -> Path:
    """Write `index.html` and its sounds in `audio/` (FLAC, 24 bits).

    Args:
        folder: output folder.
        songs: name and versions (time, channel) of each song, at least one; all songs have the same versions.
        seed: of the order of the versions.

    Returns:
        Path of the page.

    Raises:
        BadInputError: there are too many versions; nothing has been written.
    """
    check_num_systems(len(songs[0][1]) - 1)
    sections, answer_key = [], []
    for index, (name, versions) in enumerate(songs):
        order = [list(versions)[i] for i in rng_for(seed, "listen", name).permutation(len(versions))]
        files = [f"audio/{index + 1:02d}-{letter.lower()}.flac" for letter in ascii_uppercase[: len(order)]]
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
        "$LAST": ascii_uppercase[len(answer_key[0]) - 1],
        "$SONGS": "\n".join(sections),
        "$ANSWERS": base64.b64encode(json.dumps(answer_key).encode()).decode(),
    }
    for placeholder, value in replacements.items():
        text = text.replace(placeholder, value)
    atomic_files.write_text(folder / "index.html", text)
    return folder / "index.html"


def _section_html(title: str, files: Sequence[str]) -> str:
    letters = ascii_uppercase[: len(files)]
    audios = "".join(f'<audio preload="auto" src="{file}"></audio>' for file in files)
    version_buttons = "".join(f'<button type="button" class="letter">{letter}</button>' for letter in letters)
    best_buttons = "".join(f'<button type="button" class="best">{letter}</button>' for letter in letters)
    return (
        f'<section class="song"><h2>{title}</h2>{audios}<div class="row"><button type="button" class="play"></button>'
        f'{version_buttons}<input type="range" min="0" max="1000" value="0" aria-label="Position in the song"></div>'
        f'<div class="row"><span>Best:</span>{best_buttons}</div><p class="answer" aria-live="polite"></p></section>'
    )
