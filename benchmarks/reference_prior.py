"""How much of a smooth degradation remains after EQ matching to another section of the same song (`--same-song`).

    python benchmarks/reference_prior.py --data music/train.csv

Computed from levels alone: the mid levels of a section of 30 s are changed by a random smooth curve and matched to
another section of 30 s. The table has the RMS that remains relative to that of the curve, and the share of songs made
worse: for long-term levels with noise of fixed and of estimated scale, for matched frames, and for the filters fitted
to the last estimate. Then follow the differences of the two sections in crest factor, loudness range and width.
"""

from __future__ import annotations

import argparse
import dataclasses

import jax.numpy as jnp
import numpy as np

from nmjax.data import find_all_songs, parse_sources
from nmjax.dsp import Bands, response_db
from nmjax.evaluation.examples import plan_examples, read_excerpt
from nmjax.mastering.reference_features import features_from_chunks
from nmjax.models import SAMPLE_RATE
from nmjax.models.spectral_features import BAND_EDGES_HZ
from nmjax.reference import eq_fit
from nmjax.reference.bands import CENTERS_HZ, NUM_BANDS
from nmjax.reference.features import TrackFeatures
from nmjax.reference.posterior import SAME_SONG_PRIOR
from nmjax.reference.target_eq import eq_correction_db
from nmjax.training.spectral_fit.estimator import random_degradation_curves

_SECTION_SECONDS = 30.0
_FLAT = Bands(freq_hz=jnp.full((1, 1), 1000.0), gain_db=jnp.zeros((1, 1)), q=jnp.ones((1, 1)))
_LONG_TERM = dataclasses.replace(SAME_SONG_PRIOR, match_frames=False)
_PRIORS = {
    "fixed noise scale": dataclasses.replace(_LONG_TERM, noise_log_std=0.0),
    "estimated noise scale": _LONG_TERM,
    "matched frames": SAME_SONG_PRIOR,
}
_FILTERS = "fitted filters"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="PATH", help="mastered music, as for training")
    args = parser.parse_args()
    songs = find_all_songs(parse_sources([args.data]))
    plans = [plan for plan in plan_examples(songs, _SECTION_SECONDS, 1, seed=1) if plan.same_song]
    fit_hz = np.sqrt(BAND_EDGES_HZ[1:] * BAND_EDGES_HZ[:-1])
    degradation_rms_db: list[float] = []
    num_filters: list[int] = []
    remaining_db: dict[str, list[float]] = {name: [] for name in (*_PRIORS, _FILTERS)}
    section_differences: dict[str, list[float]] = {"crest factor, dB": [], "loudness range, LU": [], "width, dB": []}
    for plan, degradation_bands_db in zip(plans, random_degradation_curves(0), strict=False):
        clean, reference = (
            features_from_chunks([read_excerpt(excerpt)], SAMPLE_RATE)
            for excerpt in (plan.excerpt, plan.same_song)
            if excerpt
        )
        section_differences["crest factor, dB"].append(clean.crest_db - reference.crest_db)
        section_differences["loudness range, LU"].append(clean.loudness_range - reference.loudness_range)
        if clean.stereo and reference.stereo:
            section_differences["width, dB"].append(clean.width_db - reference.width_db)
        degradation_db = np.interp(np.log(CENTERS_HZ), np.log(fit_hz), degradation_bands_db)
        degradation_rms_db.append(float(np.std(degradation_db)))
        estimates_db, fitted = match_tone(clean.add_curve(degradation_db), reference)
        num_filters.append(fitted.q.shape[1])
        for name, curve_db in estimates_db.items():
            remaining_db[name].append(float(np.std(degradation_db + curve_db)))
    print(
        f"{len(degradation_rms_db)} songs, degradations of {np.mean(degradation_rms_db):.2f} dB RMS, "
        f"{np.mean(num_filters):.1f} filters on average"
    )
    for name, errors in remaining_db.items():
        share = np.sum(errors) / np.sum(degradation_rms_db)
        worse = np.mean(np.array(errors) > degradation_rms_db)
        print(f"{name:21} {share:.2f} remains, {worse:.0%} of the songs worse")
    for name, differences in section_differences.items():
        size = np.abs(differences)
        print(f"difference of {name}: RMS {np.sqrt(np.nanmean(size**2)):.1f}, median {np.nanmedian(size):.1f}")


def match_tone(track: TrackFeatures, reference: TrackFeatures) -> tuple[dict[str, np.ndarray], Bands]:
    """EQ corrections by name, and the filters fitted to the last one."""
    corrections = {
        name: eq_correction_db(track, reference, np.zeros(NUM_BANDS), prior) for name, prior in _PRIORS.items()
    }
    curves_db = {name: correction.curve_db for name, correction in corrections.items()}
    best = corrections["matched frames"]
    fitted = eq_fit.fit_bands(_FLAT, CENTERS_HZ, best.curve_db, best.weight, gain_penalty=0.02)
    fitted_db = np.asarray(response_db(fitted, jnp.asarray(CENTERS_HZ, jnp.float32), SAMPLE_RATE))[0]
    return {**curves_db, _FILTERS: fitted_db}, fitted


if __name__ == "__main__":
    main()
