"""Loudness, range and true peak of real music: nmjax, whole and streamed, beside ffmpeg and pyloudnorm.

    python benchmarks/loudness.py FOLDER

Reads every track of a folder (the first four minutes), prints the largest differences and the seconds that each took;
needs ffmpeg on the path.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pyloudnorm
import soundfile

from nmjax.dsp import (
    integrated_loudness,
    loudness_range,
    meter_state,
    metered,
    reading,
    short_term_loudness,
    true_peak_db,
)

SECONDS = 240
ENDINGS = {".flac", ".wav", ".ogg", ".oga", ".opus", ".mp3", ".aiff"}
NAMED = {"integrated": r"I:\s+(\S+) LUFS", "range": r"LRA:\s+(\S+) LU\b", "true peak": r"Peak:\s+(\S+) dBFS"}
HEAR = jax.jit(metered, static_argnums=1)


def by_nmjax(audio, rate):
    measures = jax.jit(lambda a: (integrated_loudness(a, rate), loudness_range(a, rate), true_peak_db(a, rate)))
    return tuple(float(x[0]) for x in measures(jnp.asarray(audio)[None]))


def streamed(audio, rate):
    state, size = meter_state(1, audio.shape[1]), 3 * rate
    for start in range(0, len(audio), size):
        piece = audio[start : start + size]
        padded = np.zeros((1, size, audio.shape[1]), np.float32)
        padded[0, : len(piece)] = piece
        state = HEAR(jnp.asarray(padded), rate, state, len(piece))
    found = reading(state, rate)
    return tuple(float(x[0]) for x in (found.integrated, found.loudness_range, found.true_peak_db))


def range_by_ffmpegs_ranks(audio, rate):
    """The loudness range from the same blocks, at the ranks which ffmpeg takes: one below EBU's, whole counts only."""
    blocks = np.asarray(short_term_loudness(jnp.asarray(audio)[None], rate)[0], np.float64)
    blocks = blocks[blocks > -70.0]
    gate = 10 * np.log10(np.mean(10 ** (blocks / 10))) - 20.0
    ordered = np.sort(blocks[blocks > gate])
    low, high = (max(int(share * len(ordered)) - 1, 0) for share in (0.10, 0.95))
    return ordered[high] - ordered[low]


def by_ffmpeg(path):
    command = ["ffmpeg", "-nostats", "-i", str(path), "-af", "ebur128=peak=true", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr.split("Summary:")[1]
    return tuple(float(re.search(pattern, said).group(1)) for pattern in NAMED.values())


def timed(spent, name, function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
    return result


def main(folder):
    rows, spent, seconds = [], {}, 0.0
    with tempfile.TemporaryDirectory() as temporary:
        for path in sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in ENDINGS):
            info = soundfile.info(path)
            if info.channels > 2 or info.duration < 20:
                continue
            audio, rate = soundfile.read(path, SECONDS * info.samplerate, dtype="float32", always_2d=True)
            wave = Path(temporary) / "track.wav"  # so that all measure the same samples
            soundfile.write(wave, audio, rate, subtype="FLOAT")
            ours = timed(spent, "nmjax, whole (compiles for every length)", by_nmjax, audio, rate)
            stream = timed(spent, "nmjax, streamed", streamed, audio, rate)
            ffmpeg = timed(spent, "ffmpeg ebur128", by_ffmpeg, wave)
            meter = pyloudnorm.Meter(rate, filter_class="DeMan")
            cut = len(audio) - len(audio) % (rate // 10)  # pyloudnorm counts a partial last block
            loud = timed(spent, "pyloudnorm (integrated only)", meter.integrated_loudness, audio[:cut].astype(float))
            ranked = range_by_ffmpegs_ranks(audio, rate) - ffmpeg[1]
            rows.append([*np.subtract(ours, ffmpeg), ranked, *np.subtract(stream, ours), ours[0] - loud])
            seconds += len(audio) / rate
    table = np.abs(np.array(rows))
    print(f"{len(rows)} tracks, {seconds / 60:.0f} minutes; largest difference (mean), LU and dB")
    labels = [f"{name}, nmjax − ffmpeg" for name in NAMED] + ["range at ffmpeg's ranks, nmjax − ffmpeg"]
    labels += [f"{name}, streamed − whole" for name in NAMED] + ["integrated, nmjax − pyloudnorm"]
    for label, column in zip(labels, table.T, strict=True):
        print(f"{label:40s} {column.max():.3f} ({column.mean():.3f})")
    for name, took in spent.items():
        print(f"{name:44s} {took:6.1f} s, {seconds / took:5.0f} × real time")


if __name__ == "__main__":
    main(sys.argv[1])
