"""How much of a fault a long-term spectrum tells: what a linear predictor reaches on unseen songs.

    python scripts/blind_limit.py TRAIN VALIDATION [key=value …]

TRAIN and VALIDATION are music as for train.py --data. Each excerpt is degraded as in training (`small`). From its
levels in 56 log-spaced bands, 30 Hz to 16 kHz, ridge regression predicts what brings them back to the target's.
Printed: how far songs differ from their mean, how large the faults are, and the mean absolute error after the
correction over that before it; also for half the correction, and weighted by the magnitude of the target's bands.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from nmjax.config import Config, load_config
from nmjax.data import find_songs, training_batches, validation_batches
from nmjax.dsp.spectral import magnitudes
from nmjax.models import SAMPLE_RATE
from nmjax.training.degrade import at_level, chances_needed, draw_chances, level_offset_db, make_pair

BANDS, WINDOW, EXCERPTS, PASSES, RIDGE = 56, 8192, 2400, 2, 1e6
VALIDATION_PASSES = 4  # other faults for the same excerpts


def band_matrix() -> np.ndarray:
    """`[bins, bands]`: triangles around each band's centre, as wide as the band and at least three bins."""
    edges = np.geomspace(30.0, 16_000.0, BANDS + 1)
    bins = np.arange(WINDOW // 2 + 1) * SAMPLE_RATE / WINDOW
    centres, widths = np.sqrt(edges[:-1] * edges[1:]), np.maximum(np.diff(edges), 1.5 * SAMPLE_RATE / WINDOW)
    weights = np.maximum(0.0, 1.0 - np.abs(bins[:, None] - centres) / widths)
    return (weights / weights.sum(axis=0)).astype(np.float32)


def levels(config: Config, batches, passes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Band levels in dB of the degraded excerpts and of their targets, `[excerpts, bands]` each."""
    matrix = jnp.asarray(band_matrix())

    def level_db(audio):
        power = jnp.mean(magnitudes(audio, WINDOW)[:, 0] ** 2, axis=1)
        return 10.0 * jnp.log10(jnp.matmul(power, matrix, precision="highest") + 1e-9)

    @jax.jit
    def pair(audio, key):
        chance = draw_chances(key, 0, audio.shape[0], chances_needed(config.degrade))
        source, target = make_pair(audio, chance, config.degrade, SAMPLE_RATE)
        offset_db = level_offset_db(chance, config.degrade)
        return tuple(level_db(x) for x in at_level(source, target, offset_db, SAMPLE_RATE))

    keys = jax.random.split(jax.random.key(seed), passes)
    found = [
        pair(batch["target"], jax.random.fold_in(key, number)) for number, batch in enumerate(batches) for key in keys
    ]
    return np.concatenate([s for s, _ in found]), np.concatenate([t for _, t in found])


def with_one(x: np.ndarray) -> np.ndarray:
    """A column of ones beside it."""
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)


def main(train: Path, validation: Path, overrides: list[str]) -> None:
    """Fit on one, measure on both."""
    config = load_config("1a", ["small"], overrides)
    plain = load_config("1a", ["small"], [*overrides, "degrade.style_db=0"])
    cache_dir = Path(config.data.cache_dir) if config.data.cache_dir else None
    stream = training_batches(find_songs(train, None, cache_dir), config.data, SAMPLE_RATE, config.seed)
    batches = (next(stream) for _ in range(EXCERPTS // config.data.batch_size))
    source, target = levels(config, batches, PASSES, 1)
    unseen = validation_batches(find_songs(validation, None, cache_dir), plain.data, SAMPLE_RATE)
    source_v, target_v = levels(plain, unseen, VALIDATION_PASSES, 2)

    inputs, fault, mean = with_one(source - source.mean(axis=0)), target - source, source.mean(axis=0)
    penalty = RIDGE * np.diag([*np.ones(BANDS), 0.0])
    weights = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ fault)
    fault_v, correction = target_v - source_v, with_one(source_v - mean) @ weights
    loud = 10.0 ** (target_v / 20.0)

    def ratio(left: np.ndarray, before: np.ndarray, weight: np.ndarray | float = 1.0) -> float:
        return float(np.sum(weight * np.abs(left)) / np.sum(weight * np.abs(before)))

    print(f"Excerpts of unseen songs differ from their mean by {target_v.std(axis=0).mean():.1f} dB (RMS over bands).")
    print(f"Their faults are {np.sqrt(np.mean(fault_v**2)):.1f} dB RMS.")
    print("Error after a linear correction over that before it:")
    print(f"  songs that it was fitted on  {ratio(fault - inputs @ weights, fault):.3f}")
    print(f"  unseen songs                 {ratio(fault_v - correction, fault_v):.3f}")
    print(f"  at half its size             {ratio(fault_v - 0.5 * correction, fault_v):.3f}")
    print(f"  loud bands counting more     {ratio(fault_v - correction, fault_v, loud):.3f}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
