"""Difference in dB between the compressor's gain at the control rate and with one step per sample, on songs.

    python benchmarks/compressor_control_rate.py music/validation.csv

Twenty seconds from the middle of ten songs of a CSV's column `target`, at 44.1 kHz and −20 dBFS RMS. The threshold is
5 dB below that level on the compressor's scale, the ratio 4. Mono songs and other sample rates are omitted.
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
from nmjax.dsp.compressor_per_sample import compress_per_sample

RATE, SECONDS, SONGS = 44_100, 20, 10
RENDER = jax.jit(compress, static_argnums=2)
PER_SAMPLE = jax.jit(compress_per_sample, static_argnums=2)


def middle_excerpt(path):
    """Twenty seconds of a song at −20 dBFS, `[1, time, 2]`; None if it is too short or has another format."""
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    start = len(audio) // 2 - RATE * SECONDS // 2
    if rate != RATE or audio.shape[1] != 2 or start < 0:
        return None
    cut = audio[start : start + RATE * SECONDS]
    return (0.1 * cut / np.sqrt(np.mean(cut**2)))[None]


def load_songs(table):
    with open(table, newline="") as file:
        paths = [Path(table).parent / row["target"] for row in csv.DictReader(file)]
    spread = sorted(range(len(paths)), key=lambda i: (i * 7919) % len(paths))  # adjacent songs are of one album
    return list(itertools.islice(filter(lambda x: x is not None, (middle_excerpt(paths[i]) for i in spread)), SONGS))


def difference_db(audio, settings):
    """The difference of the gains where the signal is above −60 dBFS."""
    y, (expected, _) = RENDER(audio, settings, RATE)[0], PER_SAMPLE(audio, settings, RATE)
    loud = np.abs(audio) > 1e-3
    return 20 * np.log10(np.abs(np.asarray(y)[loud] / np.asarray(expected)[loud]))


def main():
    music = load_songs(sys.argv[1])
    print(f"{len(music)} songs\n\n| attack, ms | release, ms | knee, dB | RMS, worst song | RMS, mean | largest |")
    print("|---:|---:|---:|---:|---:|---:|")
    for attack_ms, release_ms, knee_db in itertools.product((0.1, 1.0, 10.0, 50.0), (5.0, 50.0, 500.0), (0.0, 6.0)):
        values = {"threshold_db": -22.0, "ratio": 4.0, "attack_ms": attack_ms, "release_ms": release_ms}
        values |= {"knee_db": knee_db, "makeup_db": 0.0}
        settings = Compressor(**{name: jnp.full((1,), value) for name, value in values.items()})
        result = [difference_db(audio, settings) for audio in music]
        rms = [float(np.sqrt(np.mean(x**2))) for x in result]
        largest = max(float(np.max(np.abs(x))) for x in result)
        line = f"| {attack_ms:g} | {release_ms:g} | {knee_db:g} | {max(rms):.3f} | {np.mean(rms):.3f} | {largest:.2f} |"
        print(line, flush=True)


if __name__ == "__main__":
    main()
