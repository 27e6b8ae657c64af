"""Spectra of single examples relative to the original, before and after a system."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nmjax import plots
from nmjax.evaluation.examples import Example
from nmjax.evaluation.metrics import Audio, band_edges_hz, band_levels_db, mid_side
from nmjax.models import SAMPLE_RATE
from nmjax.runtime import atomic_files

NUM_WORST = 2  # examples that are always selected: those with the largest increase of the error


@dataclasses.dataclass(frozen=True)
class ExampleSpectra:
    """Third-octave levels of mid minus the original's, without their means.

    Attributes:
        name: name of the example.
        centers_hz: centers of the bands.
        before_db: of the input.
        after_db: of the system's output.
    """

    name: str
    centers_hz: Float[np.ndarray, " bands"]
    before_db: Float[np.ndarray, " bands"]
    after_db: Float[np.ndarray, " bands"]


def select_examples(rows: list[dict], condition: str, system: str, baseline: str, count: int) -> list[str]:
    """Names of `count` examples, from the largest improvement of the tonal error to the largest deterioration.

    The two worst are always among them; the others are spread evenly over the ranking, from different songs if
    possible.

    Args:
        rows: rows of the result table.
        condition: condition to select from.
        system: system whose change of the error is ranked.
        baseline: system that the change is relative to.
        count: number of examples, fewer if there are not enough.
    """
    errors: dict[str, dict[str, float]] = {name: {} for name in (system, baseline)}
    for row in rows:
        if row["condition"] == condition and row["system"] in errors:
            errors[row["system"]][row["example"]] = row["tonal_mid_db"]
    song = {row["example"]: row["song"] for row in rows}
    change = {example: value - errors[baseline][example] for example, value in errors[system].items()}
    ranked = sorted(change, key=lambda example: change[example])
    count = min(count, len(ranked))
    worst = ranked[-min(NUM_WORST, count) :]
    candidates, selected = ranked[: len(ranked) - len(worst)], list(worst)
    for position in np.linspace(0, len(candidates) - 1, count - len(worst)):
        songs = {song[example] for example in selected}
        remaining = [i for i, example in enumerate(candidates) if example not in selected]
        nearest = min((song[candidates[i]] in songs, abs(i - position), i) for i in remaining)[-1]
        selected.append(candidates[nearest])
    return [example for example in ranked if example in selected]


def example_spectra(name: str, example: Example, output: Audio) -> ExampleSpectra:
    """Spectra of an example's input and of a system's output, relative to the original."""
    low, high = band_edges_hz("thirds")
    target_db, source_db, output_db = (
        band_levels_db(mid_side(np.asarray(x, np.float64))[0], "thirds", SAMPLE_RATE)
        for x in (example.target, example.source, output)
    )
    before_db, after_db = (x - target_db - np.mean(x - target_db) for x in (source_db, output_db))
    return ExampleSpectra(name, np.sqrt(low * high), before_db, after_db)


def plot_example_spectra(examples: Sequence[ExampleSpectra], path: Path, title: str) -> None:
    """Draw one panel per example and write the image atomically."""
    panels = [
        plots.SpectrumPanel(
            name=f"{x.name.rpartition('/')[2]}: {np.std(x.before_db):.2f} → {np.std(x.after_db):.2f} dB RMS",
            freq_hz=x.centers_hz,
            before_db=x.before_db,
            after_db=x.after_db,
        )
        for x in examples
    ]
    with atomic_files.temporary_sibling(path) as temporary:
        plots.plot_before_after(temporary, panels, title)
        atomic_files.commit_file(temporary, path)
