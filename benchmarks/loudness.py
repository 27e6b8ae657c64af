"""Loudness, range and true peak of real music: nmjax, whole and streamed, against libebur128, ffmpeg and pyloudnorm.

    python benchmarks/loudness.py FOLDER

Reads the first four minutes of every track of a folder, and prints the largest differences and the time of each meter.
Needs ffmpeg on the path, and pyebur128 for libebur128.
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
import pyebur128
import pyloudnorm
import soundfile

from nmjax.dsp import initial_meter_state, integrated_loudness, loudness_range, read_meter, true_peak_db, update_meter

SECONDS = 240
EXTENSIONS = {".flac", ".wav", ".ogg", ".oga", ".opus", ".mp3", ".aiff"}
FFMPEG_PATTERNS = {"integrated": r"I:\s+(\S+) LUFS", "range": r"LRA:\s+(\S+) LU\b", "true peak": r"Peak:\s+(\S+) dBFS"}
UPDATE = jax.jit(update_meter, static_argnums=1)


def by_nmjax(audio, rate):
    measures = jax.jit(lambda a: (integrated_loudness(a, rate), loudness_range(a, rate), true_peak_db(a, rate)))
    return tuple(float(x[0]) for x in measures(jnp.asarray(audio)[None]))


def by_nmjax_stream(audio, rate):
    state, size = initial_meter_state(1, audio.shape[1]), 3 * rate
    for start in range(0, len(audio), size):
        chunk = audio[start : start + size]
        padded = np.zeros((1, size, audio.shape[1]), np.float32)
        padded[0, : len(chunk)] = chunk
        state = UPDATE(jnp.asarray(padded), rate, state, len(chunk))
    result = read_meter(state, rate)
    return tuple(float(x[0]) for x in (result.integrated_lufs, result.loudness_range_lu, result.true_peak_db))


def by_ffmpeg(path):
    command = ["ffmpeg", "-nostats", "-i", str(path), "-af", "ebur128=peak=true", "-f", "null", "-"]
    summary = subprocess.run(command, capture_output=True, text=True, check=True).stderr.split("Summary:")[1]
    return tuple(float(re.search(pattern, summary).group(1)) for pattern in FFMPEG_PATTERNS.values())


def by_libebur128(audio, rate):
    modes = pyebur128.MeasurementMode
    channels = audio.shape[1]
    state = pyebur128.R128State(channels, rate, modes.MODE_I | modes.MODE_LRA | modes.MODE_TRUE_PEAK)
    state.add_frames(audio.ravel(), len(audio))
    peak = max(pyebur128.get_true_peak(state, channel) for channel in range(channels))
    loudness, spread = pyebur128.get_loudness_global(state), pyebur128.get_loudness_range(state)
    return loudness, spread, float(20 * np.log10(peak))


def time_call(spent, name, function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
    return result


def main(folder):
    rows, spent, seconds = [], {}, 0.0
    with tempfile.TemporaryDirectory() as temporary:
        for path in sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in EXTENSIONS):
            info = soundfile.info(path)
            if info.channels > 2 or info.duration < 20:
                continue
            audio, rate = soundfile.read(path, SECONDS * info.samplerate, dtype="float32", always_2d=True)
            wave = Path(temporary) / "track.wav"  # so that all measure the same samples
            soundfile.write(wave, audio, rate, subtype="FLOAT")
            whole = time_call(spent, "nmjax, whole (compiles for every length)", by_nmjax, audio, rate)
            stream = time_call(spent, "nmjax, streamed", by_nmjax_stream, audio, rate)
            ffmpeg = time_call(spent, "ffmpeg ebur128", by_ffmpeg, wave)
            meter = pyloudnorm.Meter(rate, filter_class="DeMan")
            cut = len(audio) - len(audio) % (rate // 10)  # pyloudnorm counts a partial last block
            loud = time_call(
                spent, "pyloudnorm (integrated only)", meter.integrated_loudness, audio[:cut].astype(float)
            )
            library = time_call(spent, "libebur128", by_libebur128, audio, rate)
            differences = [np.subtract(whole, other) for other in (library, ffmpeg, stream)]
            rows.append([*np.concatenate(differences), whole[0] - loud])
            seconds += len(audio) / rate
    table = np.abs(np.array(rows))
    print(f"{len(rows)} tracks, {seconds / 60:.0f} minutes; largest difference (mean), LU and dB")
    others = ("libebur128", "ffmpeg", "nmjax streamed")
    labels = [f"{name}, nmjax − {other}" for other in others for name in FFMPEG_PATTERNS]
    labels.append("integrated, nmjax − pyloudnorm")
    for label, column in zip(labels, table.T, strict=True):
        print(f"{label:40s} {column.max():.3f} ({column.mean():.3f})")
    for name, took in spent.items():
        print(f"{name:44s} {took:6.1f} s, {seconds / took:5.0f} × real time")


if __name__ == "__main__":
    main(sys.argv[1])
