"""How much of a smooth fault is left when a reference from the same song is believed as `--same-song` believes it.

    python benchmarks/belief.py --data music/train.csv

Levels alone: each song's profile of one stretch of 30 s, its mid moved by a random smooth curve, is brought towards the
profile of another stretch. Prints RMS of what is left over that of the curve, and the share of songs made worse; by
long-term levels, with the size of what two parts of a song differ by taken as known, then with it found for each pair;
by the moments at which both play alike; and that curve as bells draw it. Then by how much the two stretches themselves
differ in crest, loudness range and width.
"""

from __future__ import annotations

import argparse
import dataclasses

import jax.numpy as jnp
import numpy as np

from nmjax.data import find_all, parse_sources
from nmjax.dsp import Bands, response_db
from nmjax.evaluation.items import made_items, read
from nmjax.inference.reference import profile_of_pieces
from nmjax.models import SAMPLE_RATE
from nmjax.models.spectral_encoder import EDGES_HZ
from nmjax.reference import bells
from nmjax.reference.profile import BANDS, CENTRES_HZ
from nmjax.reference.wanted import SAME_SONG, wanted_db
from nmjax.training.teach import random_faults

_FLAT = Bands(*(jnp.full((1, 1), x, jnp.float32) for x in (1000.0, 0.0, 1.0)))
_LONG_TERM = dataclasses.replace(SAME_SONG, alike=False)
_BELIEFS = {
    "size known": dataclasses.replace(_LONG_TERM, scale_spread=0.0),
    "size found": _LONG_TERM,
    "alike": SAME_SONG,
}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, metavar="PATH", help="mastered music, as for training")
    given = parser.parse_args()
    places = [place for place in made_items(find_all(parse_sources([given.data])), 30.0, 1, 1) if place[2]]
    taught_hz = np.sqrt(EDGES_HZ[1:] * EDGES_HZ[:-1])
    before, left, count = [], {name: [] for name in (*_BELIEFS, "drawn")}, []
    apart: dict[str, list[float]] = {"crest": [], "loudness range": [], "width": []}
    for (_, one, other, _), taught_db in zip(places, random_faults(0), strict=False):
        fault_db = np.interp(np.log(CENTRES_HZ), np.log(taught_hz), taught_db)
        clean, reference = (profile_of_pieces([read(place)], SAMPLE_RATE) for place in (one, other))
        apart["crest"].append(clean.crest_db - reference.crest_db)
        apart["loudness range"].append(clean.loudness_range - reference.loudness_range)
        if clean.stereo and reference.stereo:
            apart["width"].append(clean.width_db - reference.width_db)
        track = clean.moved(fault_db)
        before.append(np.std(fault_db))
        for name, belief in _BELIEFS.items():
            curve_db, weight = wanted_db(track, reference, np.zeros(BANDS), belief)
            left[name].append(np.std(fault_db + curve_db))
        found = bells.drawn(_FLAT, CENTRES_HZ, curve_db, weight, 0.02)
        drawn_db = np.asarray(response_db(found, jnp.asarray(CENTRES_HZ, jnp.float32), SAMPLE_RATE))[0]
        left["drawn"].append(np.std(fault_db + drawn_db))
        count.append(found.q.shape[1])
    print(f"{len(before)} songs, faults of {np.mean(before):.2f} dB RMS, {np.mean(count):.1f} bells in the mean")
    for name, errors in left.items():
        print(f"{name:11} {np.sum(errors) / np.sum(before):.2f} left, {np.mean(np.array(errors) > before):.0%} worse")
    for name, differences in apart.items():
        size = np.abs(differences)
        print(f"{name} of the two: {np.sqrt(np.nanmean(size**2)):.1f} RMS, {np.nanmedian(size):.1f} in the median")


if __name__ == "__main__":
    main()
