"""Do the gates of an equalizer open where a band is needed? Fits to pairs, judged on songs of other authors.

    python scripts/make_pairs.py music/train.csv pairs --chain adaptive
    python scripts/make_pairs.py music/validation.csv pairs-val --chain adaptive --curve pairs/curve.json
    python benchmarks/gates.py pairs/pairs.csv pairs-val/pairs.csv

The spectral encoder and ten gated bands are fitted in closed form and by gradient descent without audio
(`train.py --fit-spectral`), once for each kind of gate and price. The correction is what mastering did to a song's
long-term spectrum. The table shows, over the judged songs:

- error: RMS distance of the equalizer from the correction, relative to the RMS of the correction
- open: gates of 0.5 or more in the mean song; least and most open in a song
- audible: bands that change the level by 0.25 dB or more in the mean song
- agreement: correlation (phi) of open bands with needed bands. A band is needed if it brings the other open bands
  nearer to the correction, by 0.1 dB² or more in the mean over the frequencies
- at its frequency: the same, where a band is needed if the correction at the frequency of the band exceeds the RMS of
  the correction over all songs and frequencies
- count: correlation over songs of the number of open bands with the size of the correction (RMS in dB)
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from nmjax.config import Config, load_config
from nmjax.data import find_songs
from nmjax.dsp import response_db
from nmjax.models import SAMPLE_RATE, EqSettings, build_model
from nmjax.models.signal_format import LATENT_SIZE
from nmjax.models.spectral_features import BAND_CENTERS_HZ, NUM_BANDS
from nmjax.training.spectral_fit.decoder_fit import fit_decoder
from nmjax.training.spectral_fit.estimator import random_degradation_curves
from nmjax.training.spectral_fit.gate_labels import OPEN_GATE, opening_benefit
from nmjax.training.spectral_fit.pair_estimator import PairFeatures, extract_pair_features, fit_pair_estimator

AUDIBLE_DB, MIN_BENEFIT_DB2 = 0.25, 0.1


def gate_config(gates: str, price: float) -> Config:
    """The settings of phase 1c for pairs with these gates."""
    overrides = [f"model.gates={gates}", f"loss.gate_l1={price}", "loss.gate_entropy=0"]
    return load_config("1c", ["small", "spectral", "pairs"], overrides)


def fitted_settings(config: Config, pairs: PairFeatures, judged: PairFeatures) -> EqSettings:
    """The equalizer of each judged song by a network fitted to other songs."""
    model = build_model(config)
    variables = dict(model.init(jax.random.key(config.seed), jnp.zeros((1, 4096, 2))))
    estimator = fit_pair_estimator(pairs)
    fit = fit_decoder(config, variables, estimator, pairs.features, random_degradation_curves(config.seed))
    z = jnp.asarray(judged.features @ estimator.kernel + estimator.bias, jnp.float32)
    collections = {name: x for name, x in variables.items() if name != "params"}
    eq, _ = model.apply(
        {"params": {"decoder": fit.params}, **collections},
        jnp.pad(z, ((0, 0), (0, LATENT_SIZE - NUM_BANDS))),
        method=lambda m, z: m.decoder(z),
    )
    return eq


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's, of all values; nan where one of them is constant."""
    x, y = (np.asarray(values, np.float64).ravel() for values in (x, y))
    if np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def judge(eq: EqSettings, corrections_db: np.ndarray) -> str:
    """A row of the table."""
    response = np.asarray(response_db(eq.bands(), jnp.asarray(BAND_CENTERS_HZ, jnp.float32), SAMPLE_RATE))
    response = response - response.mean(axis=1, keepdims=True)
    truth = corrections_db - corrections_db.mean(axis=1, keepdims=True)
    error = np.sqrt(np.mean((response - truth) ** 2) / np.mean(truth**2))
    is_open = np.asarray(eq.gate) >= OPEN_GATE
    audible = np.abs(np.asarray(eq.rendered_gain_db)) >= AUDIBLE_DB
    centers_hz = jnp.asarray(BAND_CENTERS_HZ, jnp.float32)
    needed = np.asarray(opening_benefit(eq, jnp.asarray(truth, jnp.float32), centers_hz)) >= MIN_BENEFIT_DB2
    at_band = [
        np.interp(np.log(f), np.log(BAND_CENTERS_HZ), t) for f, t in zip(np.asarray(eq.freq_hz), truth, strict=True)
    ]
    needed_there = np.abs(at_band) > np.sqrt(np.mean(truth**2))
    count = is_open.sum(axis=1)
    size_db = np.sqrt(np.mean(truth**2, axis=1))
    agreements = (correlation(is_open, needed), correlation(is_open, needed_there), correlation(count, size_db))
    return (
        f"{error:.3f} | {count.mean():.1f} ({count.min()}–{count.max()}) | {audible.sum(axis=1).mean():.1f} | "
        + " | ".join(f"{x:.2f}" for x in agreements)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, help="CSV of the pairs to fit to")
    parser.add_argument("judged", type=Path, help="CSV of the pairs to judge on")
    parser.add_argument("--gates", nargs="+", default=("soft", "hard"), choices=("soft", "hard"))
    parser.add_argument("--prices", nargs="+", type=float, default=(0.0, 0.03, 0.1, 0.3))
    args = parser.parse_args()
    pairs, judged = (
        extract_pair_features(find_songs(path, None, None, lambda _: None), print) for path in (args.pairs, args.judged)
    )
    print("\n| gates | price | error | open | audible | agreement | at its frequency | count |")
    print("|---|---:|---:|---|---:|---:|---:|---:|")
    for gates in args.gates:
        for price in args.prices:
            eq = fitted_settings(gate_config(gates, price), pairs, judged)
            print(f"| {gates} | {price:g} | {judge(eq, judged.corrections)} |", flush=True)


if __name__ == "__main__":
    main()
