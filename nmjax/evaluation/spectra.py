"""What became of single items: their spectra beside the original's, the worst among them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nmjax import plots
from nmjax.evaluation.examples import Example
from nmjax.evaluation.metrics import band_edges_hz, band_levels_db, mid_side
from nmjax.evaluation.systems import System
from nmjax.models import SAMPLE_RATE
from nmjax.runtime import atomic_files

NUM_WORST = 2  # the worst items, which are always shown


@dataclasses.dataclass(frozen=True)
class ExampleSpectra:
    """An item's third octaves of mid in dB above the original's, each about its mean: before and after a system."""

    name: str
    centers_hz: Float[np.ndarray, " bands"]
    before_db: Float[np.ndarray, " bands"]
    after_db: Float[np.ndarray, " bands"]


def select_examples(rows: list[dict], condition: str, system: str, baseline: str, count: int) -> list[str]:
    """Names of `count` items of a tier: the two that a system made worst (tonal error of mid), and others evenly from
    the best to the worst, one a song as far as possible; the best first."""
    error = {name: {} for name in (system, baseline)}
    for row in rows:
        if row["tier"] == condition and row["system"] in error:
            error[row["system"]][row["item"]] = row["tonal_mid_db"]
    song = {row["item"]: row["song"] for row in rows}
    change = {example: value - error[baseline][example] for example, value in error[system].items()}
    ranked = sorted(change, key=change.get)
    count = min(count, len(ranked))
    worst = ranked[-min(NUM_WORST, count) :]
    candidates, selected = ranked[: len(ranked) - len(worst)], list(worst)
    for position in np.linspace(0, len(candidates) - 1, count - len(worst)):
        songs = {song[example] for example in selected}
        remaining = [i for i, example in enumerate(candidates) if example not in selected]
        selected.append(candidates[min(remaining, key=lambda i: (song[candidates[i]] in songs, abs(i - position)))])
    return [example for example in ranked if example in selected]


def example_spectra(name: str, example: Example, system: System) -> ExampleSpectra:
    """The item as it was given and as the system made it, beside the original."""
    low, high = band_edges_hz("thirds")
    levels = [
        band_levels_db(mid_side(np.asarray(x, np.float64))[0], "thirds", SAMPLE_RATE)
        for x in (example.target, example.source, system(example))
    ]
    before, after = (x - levels[0] - np.mean(x - levels[0]) for x in levels[1:])
    return ExampleSpectra(name, np.sqrt(low * high), before, after)


def plot_example_spectra(examples: list[ExampleSpectra], path: Path, title: str) -> None:
    """A panel an item, whole or not at all."""
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
