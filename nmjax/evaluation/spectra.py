"""What became of single items: their spectra beside the original's, the worst among them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nmjax import io, plots
from nmjax.evaluation.items import Item
from nmjax.evaluation.metrics import band_edges_hz, band_levels_db, mid_side
from nmjax.evaluation.systems import System
from nmjax.models import SAMPLE_RATE

FAILURES = 2  # the worst items, which are always shown


@dataclasses.dataclass(frozen=True)
class Spectra:
    """An item's third octaves of mid in dB above the original's, each about its mean: before and after a system."""

    name: str
    centres_hz: Float[np.ndarray, "bands"]
    before_db: Float[np.ndarray, "bands"]
    after_db: Float[np.ndarray, "bands"]


def chosen(rows: list[dict], tier: str, system: str, baseline: str, count: int) -> list[str]:
    """Names of `count` items of a tier: the two that a system made worst (tonal error of mid), and others evenly from
    the best to the worst, one a song as far as possible; the best first."""
    error = {name: {} for name in (system, baseline)}
    for row in rows:
        if row["tier"] == tier and row["system"] in error:
            error[row["system"]][row["item"]] = row["tonal_mid_db"]
    song = {row["item"]: row["song"] for row in rows}
    change = {item: value - error[baseline][item] for item, value in error[system].items()}
    ranked = sorted(change, key=change.get)
    count = min(count, len(ranked))
    worst = ranked[-min(FAILURES, count) :]
    rest, taken = ranked[: len(ranked) - len(worst)], list(worst)
    for place in np.linspace(0, len(rest) - 1, count - len(worst)):
        songs = {song[item] for item in taken}
        left = [i for i, item in enumerate(rest) if item not in taken]
        taken.append(rest[min(left, key=lambda i: (song[rest[i]] in songs, abs(i - place)))])
    return [item for item in ranked if item in taken]


def spectra_of(name: str, item: Item, system: System) -> Spectra:
    """The item as it was given and as the system made it, beside the original."""
    low, high = band_edges_hz("thirds")
    levels = [
        band_levels_db(mid_side(np.asarray(x, np.float64))[0], "thirds", SAMPLE_RATE)
        for x in (item.target, item.source, system(item))
    ]
    before, after = (x - levels[0] - np.mean(x - levels[0]) for x in levels[1:])
    return Spectra(name, np.sqrt(low * high), before, after)


def draw(found: list[Spectra], path: Path, title: str) -> None:
    """A panel an item, whole or not at all."""
    panels = [
        (
            f"{x.name.rpartition('/')[2]}: {np.std(x.before_db):.2f} → {np.std(x.after_db):.2f} dB RMS",
            x.centres_hz,
            x.before_db,
            x.after_db,
        )
        for x in found
    ]
    with io.temporary_beside(path) as temporary:
        plots.before_after(temporary, panels, title)
        io.publish(temporary, path)
