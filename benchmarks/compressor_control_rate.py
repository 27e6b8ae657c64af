"""How far is the compressor's gain at the control rate from the same compressor with a step a sample? On songs, in dB.

    python benchmarks/control_rate.py music/validation.csv

Twenty seconds from the middle of ten songs, spread over a CSV's column `target`, at 44.1 kHz and −20 dBFS RMS; the
threshold lies 5 dB below that level on the compressor's scale, ratio 4. Songs of another rate or mono are left out.
"""

import csv
import itertools
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import soundfile

from nmjax.dsp import Compressor, compress
from nmjax.dsp.compressor import compress_per_sample

RATE, SECONDS, SONGS = 44_100, 20, 10
RENDER = jax.jit(compress, static_argnums=2)
BY_SAMPLE = jax.jit(compress_per_sample, static_argnums=2)


def middle_excerpt(path):
    """Twenty seconds of a song at −20 dBFS, `[1, time, 2]`; None if it is too short or of another kind."""
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    start = len(audio) // 2 - RATE * SECONDS // 2
    if rate != RATE or audio.shape[1] != 2 or start < 0:
        return None
    cut = audio[start : start + RATE * SECONDS]
    return (0.1 * cut / np.sqrt(np.mean(cut**2)))[None]


def load_songs(table):
    with open(table, newline="") as file:
        paths = [Path(table).parent / row["target"] for row in csv.DictReader(file)]
    spread = sorted(range(len(paths)), key=lambda i: (i * 7919) % len(paths))  # neighbours are of one album
    return list(itertools.islice(filter(lambda x: x is not None, (middle_excerpt(paths[i]) for i in spread)), SONGS))


def difference_db(audio, settings):
    """The gains' difference where the signal is no rounding error."""
    y, (expected, _) = RENDER(audio, settings, RATE)[0], BY_SAMPLE(audio, settings, RATE)
    loud = np.abs(audio) > 1e-3
    return 20 * np.log10(np.abs(np.asarray(y)[loud] / np.asarray(expected)[loud]))


def main():
    music = load_songs(sys.argv[1])
    print(f"{len(music)} songs\n\n| attack, ms | release, ms | knee, dB | RMS, worst song | RMS, mean | largest |")
    print("|---:|---:|---:|---:|---:|---:|")
    for attack_ms, release_ms, knee_db in itertools.product((0.1, 1.0, 10.0, 50.0), (5.0, 50.0, 500.0), (0.0, 6.0)):
        values = (-22.0, 4.0, attack_ms, release_ms, knee_db, 0.0)
        settings = Compressor(*(jnp.full((1,), value) for value in values))
        result = [difference_db(audio, settings) for audio in music]
        rms = [float(np.sqrt(np.mean(x**2))) for x in result]
        largest = max(float(np.max(np.abs(x))) for x in result)
        line = f"| {attack_ms:g} | {release_ms:g} | {knee_db:g} | {max(rms):.3f} | {np.mean(rms):.3f} | {largest:.2f} |"
        print(line, flush=True)


if __name__ == "__main__":
    main()
