"""What are the residual's skip connections worth? A small U-Net with and without them learns to invert a saturator.

    python benchmarks/residual_skips.py music/train.csv music/validation.csv

The original design claims +2 to 3 dB for them. A U-Net of this receptive field can invert a known waveshaper; an
equalizer cannot. Both networks train on the same excerpts in the same order. The script prints the signal-to-distortion
ratio (dB) of held-out songs before and after.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nmjax.audio import reader
from nmjax.data import find_songs
from nmjax.dsp import Saturator, saturate
from nmjax.dsp.gain import apply_gain_db, loudness_gain_db
from nmjax.models import MODEL_LUFS, SAMPLE_RATE
from nmjax.models.residual import Residual

WIDTH, STEPS, BATCH, SECONDS, RATE = 0.25, 400, 8, 0.75, 2e-3
HELD_OUT = 48
DRIVE_DB, ASYMMETRY = 18.0, 0.25


def excerpts(csv: Path, count: int, seed: int) -> jax.Array:
    """Random excerpts of random songs at the model's level, `[count, time, 1]`."""
    songs = find_songs(csv, None, None, lambda _: None)
    rng, size, result = np.random.default_rng(seed), int(SECONDS * SAMPLE_RATE), []
    while len(result) < count:
        track = songs[rng.integers(len(songs))].target
        frames = int(2.0 * SECONDS * track.sample_rate)
        start = int(rng.integers(max(1, track.frames - frames)))
        audio = reader.resample(
            reader.to_mono(reader.read_frames(track.path, start, frames))[:, None], track.sample_rate, SAMPLE_RATE, "HQ"
        )
        if len(audio) >= size and np.abs(audio[:size]).max() > 1e-2 * track.scale:
            result.append(audio[:size] / track.scale)
    audio = jnp.asarray(np.stack(result), jnp.float32)
    return apply_gain_db(audio, loudness_gain_db(audio, SAMPLE_RATE, MODEL_LUFS))


@jax.jit
def saturate_batch(audio: jax.Array) -> jax.Array:
    full = jnp.ones(len(audio))
    return saturate(audio, Saturator(DRIVE_DB * full, full, ASYMMETRY * full), SAMPLE_RATE)


def sdr_db(output: jax.Array, target: jax.Array) -> jax.Array:
    """Signal-to-distortion ratio of each signal after its best gain."""
    gain = jnp.sum(output * target, axis=(1, 2)) / jnp.sum(output**2, axis=(1, 2))
    error = jnp.sum((gain[:, None, None] * output - target) ** 2, axis=(1, 2))
    return 10.0 * jnp.log10(jnp.sum(target**2, axis=(1, 2)) / error)


def train_model(skips: bool, targets: jax.Array) -> tuple[Residual, dict]:
    """A U-Net trained on STEPS batches, and its variables."""
    model, z = Residual(WIDTH, bn_momentum=0.95, skips=skips), jnp.zeros((BATCH, 512))
    variables = model.init(jax.random.key(0), targets[:1, :64], z[:1])
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(RATE, STEPS)))

    @jax.jit
    def step(variables, state, target):
        source = saturate_batch(target)

        def loss(params):
            residual, changed = model.apply(
                {**variables, "params": params}, source, z, train=True, mutable="batch_stats"
            )
            return -jnp.mean(sdr_db(source + residual, target)), changed

        grads, changed = jax.grad(loss, has_aux=True)(variables["params"])
        updates, state = optimizer.update(grads, state)
        return {"params": optax.apply_updates(variables["params"], updates), **changed}, state

    state = optimizer.init(variables["params"])
    for number in range(STEPS):
        start = number * BATCH % len(targets)
        variables, state = step(variables, state, targets[start : start + BATCH])
    return model, variables


def main() -> None:
    train, held_out = (Path(argument) for argument in sys.argv[1:3])
    targets, unseen = excerpts(train, 100 * BATCH, 0), excerpts(held_out, HELD_OUT, 1)
    source = saturate_batch(unseen)
    before = np.asarray(sdr_db(source, unseen))
    print(f"{HELD_OUT} excerpts of unseen songs, {STEPS} steps of {BATCH} × {SECONDS:g} s, width {WIDTH:g}")
    print(f"distorted      {before.mean():6.2f} dB")
    gains = []
    for skips in (True, False):
        model, variables = train_model(skips, targets)
        residual = jax.jit(model.apply)(variables, source, jnp.zeros((HELD_OUT, 512)))
        after = np.asarray(sdr_db(source + residual, unseen))
        gains.append(after - before)
        print(f"{'with' if skips else 'without':7} skips  {after.mean():6.2f} dB, {gains[-1].mean():+.2f}")
    difference = gains[0] - gains[1]
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    print(f"skips are worth {difference.mean():+.2f} dB (standard error {error:.2f})")


if __name__ == "__main__":
    main()
