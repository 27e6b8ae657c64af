"""Writes tests/published_values.json: reference values from ffmpeg, auraloss and torchaudio for the tests.

Needs ffmpeg on the path, and a Python environment with torch, torchaudio, auraloss and soundfile:

    python scripts/references.py
"""

import json
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import auraloss
import numpy as np
import torch
import torchaudio

ROOT = Path(__file__).parents[1]
EXAMPLE_TRACK = "examples/settlers-routine.flac"
EXCERPT_SECONDS = 20


def signal_pair(channels):
    """Two correlated signals `[1, channels, 20000]`, from a generator with a frozen stream."""
    rng = np.random.RandomState(channels)
    base = 0.1 * rng.standard_normal((1, channels, 20_000))
    return base.astype(np.float32), (0.8 * base + 0.03 * rng.standard_normal(base.shape)).astype(np.float32)


def auraloss_mr_stft():
    """auraloss: spectral convergence plus L1 of the log magnitudes.

    Windows of 512, 1024 and 2048 with hops of a quarter, and nmjax's floor, 100 dB below a full-scale sine.
    """
    output, target = (torch.tensor(x) for x in signal_pair(1))
    losses = [auraloss.freq.STFTLoss(w, w // 4, w, w_log_mag=1.0, eps=(1e-5 * w / 4) ** 2) for w in (512, 1024, 2048)]
    return sum(float(loss(output, target)) for loss in losses) / len(losses)


def mel_filterbank_statistics():
    """torchaudio's triangles for 20 mels over 257 bins at 44.1 kHz: each one's sum, and its weighted mean bin."""
    banks = torchaudio.functional.melscale_fbanks(257, 50.0, 16_000.0, 20, 44_100, "slaney", "slaney").double()
    bins = torch.arange(257, dtype=torch.float64)
    return {"sum": banks.sum(0).tolist(), "mean_bin": ((banks * bins[:, None]).sum(0) / banks.sum(0)).tolist()}


def ebur128_measurements():
    """ffmpeg's meter, which is based on libebur128, on the first 20 s of the example track.

    On all 22 s the loudness range differs by 0.13 LU: ffmpeg's lower percentile is one rank below EBU's, and the two
    blocks differ by that much.
    """
    source = ["-t", str(EXCERPT_SECONDS), "-i", str(ROOT / EXAMPLE_TRACK)]
    command = ["ffmpeg", "-nostats", *source, "-af", "ebur128=peak=true", "-f", "null", "-"]
    completed = subprocess.run(command, capture_output=True, text=True, check=True)
    summary = completed.stderr.split("Summary:")[1]
    patterns = {"integrated": r"I:\s+(\S+) LUFS", "range": r"LRA:\s+(\S+) LU\b", "true_peak_db": r"Peak:\s+(\S+) dBFS"}
    return {name: float(re.search(pattern, summary).group(1)) for name, pattern in patterns.items()}


def main():
    ffmpeg = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout.split()[2]
    values = {
        "generated_by": "scripts/references.py",
        "versions": {"auraloss": version("auraloss"), "torchaudio": version("torchaudio"), "ffmpeg": ffmpeg},
        "mr_stft": auraloss_mr_stft(),
        "mel": mel_filterbank_statistics(),
        "ebur128": {"file": EXAMPLE_TRACK, "seconds": EXCERPT_SECONDS} | ebur128_measurements(),
    }
    (ROOT / "tests" / "published_values.json").write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main()
