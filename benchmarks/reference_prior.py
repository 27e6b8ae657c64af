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

from nmjax.data import find_all_songs, parse_sources
from nmjax.dsp import Bands, response_db
from nmjax.evaluation.examples import plan_examples, read_excerpt
from nmjax.mastering.references import features_from_chunks
from nmjax.models import SAMPLE_RATE
from nmjax.models.spectral_encoder import BAND_EDGES_HZ
from nmjax.reference import eq_fit
from nmjax.reference.features import BANDS, CENTERS_HZ
from nmjax.reference.target_eq import SAME_SONG_PRIOR, eq_correction_db
from nmjax.training.spectral_fit.estimator import random_degradation_curves

_FLAT = Bands(*(jnp.full((1, 1), x, jnp.float32) for x in (1000.0, 0.0, 1.0)))
_LONG_TERM = dataclasses.replace(SAME_SONG_PRIOR, match_frames=False)
_PRIORS = {
    "size known": dataclasses.replace(_LONG_TERM, noise_log_std=0.0),
    "size found": _LONG_TERM,
    "alike": SAME_SONG_PRIOR,
}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, metavar="PATH", help="mastered music, as for training")
    args = parser.parse_args()
    examples = [
        example for example in plan_examples(find_all_songs(parse_sources([args.data])), 30.0, 1, 1) if example[2]
    ]
    fit_hz = np.sqrt(BAND_EDGES_HZ[1:] * BAND_EDGES_HZ[:-1])
    before, remaining, count = [], {name: [] for name in (*_PRIORS, "drawn")}, []
    section_differences: dict[str, list[float]] = {"crest": [], "loudness range": [], "width": []}
    for (_, one, other, _), degradation_bands_db in zip(examples, random_degradation_curves(0), strict=False):
        degradation_db = np.interp(np.log(CENTERS_HZ), np.log(fit_hz), degradation_bands_db)
        clean, reference = (features_from_chunks([read_excerpt(example)], SAMPLE_RATE) for example in (one, other))
        section_differences["crest"].append(clean.crest_db - reference.crest_db)
        section_differences["loudness range"].append(clean.loudness_range - reference.loudness_range)
        if clean.stereo and reference.stereo:
            section_differences["width"].append(clean.width_db - reference.width_db)
        track = clean.add_curve(degradation_db)
        before.append(np.std(degradation_db))
        for name, prior in _PRIORS.items():
            curve_db, weight = eq_correction_db(track, reference, np.zeros(BANDS), prior)
            remaining[name].append(np.std(degradation_db + curve_db))
        fitted = eq_fit.fit_bands(_FLAT, CENTERS_HZ, curve_db, weight, 0.02)
        fitted_db = np.asarray(response_db(fitted, jnp.asarray(CENTERS_HZ, jnp.float32), SAMPLE_RATE))[0]
        remaining["drawn"].append(np.std(degradation_db + fitted_db))
        count.append(fitted.q.shape[1])
    print(f"{len(before)} songs, faults of {np.mean(before):.2f} dB RMS, {np.mean(count):.1f} bells in the mean")
    for name, errors in remaining.items():
        print(f"{name:11} {np.sum(errors) / np.sum(before):.2f} left, {np.mean(np.array(errors) > before):.0%} worse")
    for name, differences in section_differences.items():
        size = np.abs(differences)
        print(f"{name} of the two: {np.sqrt(np.nanmean(size**2)):.1f} RMS, {np.nanmedian(size):.1f} in the median")


if __name__ == "__main__":
    main()
