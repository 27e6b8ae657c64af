"""A page for a blind listening test: versions of each song at equal loudness, in random order."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase

import numpy as np
import soundfile
from jaxtyping import Float

from nmjax import html
from nmjax.evaluation.examples import Example, rng_for
from nmjax.evaluation.metrics import Audio, normalize_loudness
from nmjax.evaluation.systems import INPUT, System
from nmjax.models import SAMPLE_RATE
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError

NUM_SONGS = 10
MAX_SYSTEMS = 12  # with the original one version more; more are too many to compare
ORIGINAL = "original"
_EXCERPT_SECONDS = 15.0  # from the middle of an example
_MAX_PEAK = 0.99
_TEMPLATES = Path(__file__).with_name("templates")
SongAudio = Float[np.ndarray, "_ _"]  # time and channels, which differ between the songs


@dataclasses.dataclass(frozen=True)
class VersionFile:
    """A version of a song in the page: the letter that it is called by, and its file relative to the page."""

    letter: str
    path: str


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


def write_page(folder: Path, songs: Sequence[tuple[str, Mapping[str, SongAudio]]], seed: int) -> Path:
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
    song_files, answers = [], []
    for index, (name, versions) in enumerate(songs):
        order = [list(versions)[i] for i in rng_for(seed, "listen", name).permutation(len(versions))]
        letters = ascii_uppercase[: len(order)]
        files = [VersionFile(letter, f"audio/{index + 1:02d}-{letter.lower()}.flac") for letter in letters]
        for file, version in zip(files, order, strict=True):
            with atomic_files.atomic_write(folder / file.path) as temporary:
                soundfile.write(str(temporary), versions[version], SAMPLE_RATE, "PCM_24", format="FLAC")
        song_files.append(files)
        answers.append(order)
    text = html.render_page(
        _TEMPLATES / "listening_test.html.j2",
        styles=[_TEMPLATES / "listening_test.css"],
        script=_TEMPLATES / "listening_test.js",
        versions=sorted(answers[0]),
        songs=song_files,
        answers=base64.b64encode(json.dumps(answers).encode()).decode(),
    )
    atomic_files.write_text(folder / "index.html", text)
    return folder / "index.html"
