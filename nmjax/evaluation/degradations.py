"""The benchmark's degradations, in NumPy and SciPy (float64), independent of those in training (training/degrade.py).

`tone` is a random smooth EQ curve. `rough` is a tonal degradation of 4 to 8 dB RMS: wide bumps, missing treble, a tilt.
`mix` is an EQ curve, dynamics (downward expansion or mild compression) and a change of the stereo width above 200 Hz.
`heavy` is `mix` with everything doubled. `damage` is clipping or saturation, see `nmjax.evaluation.damage`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.signal import lfilter, oaconvolve, sosfilt

from nmjax.evaluation.damage import apply_damage, random_damage

CONDITIONS = ("tone", "rough", "mix", "heavy", "damage")
DEFAULT_CONDITIONS = ("tone", "mix")
EQ_GRID_HZ = np.geomspace(20.0, 20_000.0, 240)  # at which EQ curves are given
_HEAVY_SCALE = 2.0
_TONE_RMS_DB = (0.8, 3.8)  # RMS of a curve over log frequency
_ROUGH_RMS_DB = (4.0, 8.0)
_SMOOTH_OCTAVES = (0.4, 1.2)  # standard deviation of the smoothing kernel
_TAPS = 8192
_EXPANSION_PROB = 2.0 / 3.0  # compression otherwise
_EXPANSION_SLOPE = (0.1, 0.35)  # dB of attenuation per dB below the 90th percentile of the level
_COMPRESSION_SLOPE = (0.1, 0.35)  # dB of attenuation per dB above the median level
_MAX_DYNAMICS_DB = 9.0
_ENVELOPE_SECONDS = 0.05
_SIDE_GAIN_STD_DB = 3.0
_SIDE_SHELF_HZ = 200.0


def apply_condition(
    target: Float[np.ndarray, "time channel"], condition: str, sample_rate: int, rng: np.random.Generator
) -> Float[np.ndarray, "time channel"]:
    """Degrade a mastered signal; the result (float64) can have any loudness.

    Args:
        target: mono or stereo signal.
        condition: one of CONDITIONS.
        sample_rate: Hz.
        rng: source of all random parameters.
    """
    if condition == "damage":
        return apply_damage(np.asarray(target, np.float64), random_damage(rng))
    scale = _HEAVY_SCALE if condition == "heavy" else 1.0
    curve_db = random_rough_curve_db(rng) if condition == "rough" else scale * random_eq_curve_db(rng)
    source = apply_eq_curve(target, curve_db, sample_rate)
    if condition in ("mix", "heavy"):
        source = apply_dynamics(source, sample_rate, rng, scale)
        if target.shape[1] == 2:
            source = apply_side_shelf(source, scale * _SIDE_GAIN_STD_DB * rng.standard_normal(), sample_rate)
    return source


def random_eq_curve_db(rng: np.random.Generator) -> Float[np.ndarray, " points"]:
    """A random smooth curve at `EQ_GRID_HZ`: smoothed noise of zero mean and of random RMS."""
    octaves = np.log2(EQ_GRID_HZ / EQ_GRID_HZ[0])
    width = rng.uniform(*_SMOOTH_OCTAVES)
    kernel = np.exp(-0.5 * ((octaves[:, None] - octaves[None]) / width) ** 2)
    curve = kernel @ rng.standard_normal(len(octaves))
    curve = curve / np.sqrt(np.sum(kernel**2, axis=1))  # the same variance at the ends as in the middle
    curve -= curve.mean()
    return curve * rng.uniform(*_TONE_RMS_DB) / np.sqrt(np.mean(curve**2))


def random_rough_curve_db(rng: np.random.Generator) -> Float[np.ndarray, " points"]:
    """A curve at `EQ_GRID_HZ` of one or two wide bumps or dips, often missing treble, and a tilt; 4 to 8 dB RMS."""
    octaves = np.log2(EQ_GRID_HZ)
    curve = rng.uniform(-1.0, 1.0) * (octaves - octaves.mean())  # dB per octave
    for _ in range(rng.integers(1, 3)):
        center, width = rng.uniform(*np.log2((80.0, 5000.0))), rng.uniform(0.5, 1.2)
        curve += rng.choice([-1.0, 1.0]) * rng.uniform(4.0, 9.0) * np.exp(-0.5 * ((octaves - center) / width) ** 2)
    if rng.uniform() < 0.6:
        corner = np.log2(rng.uniform(4000.0, 8000.0))
        curve -= rng.uniform(4.0, 9.0) / (1.0 + np.exp(-4.0 * (octaves - corner)))
    curve -= curve.mean()
    return curve * rng.uniform(*_ROUGH_RMS_DB) / np.sqrt(np.mean(curve**2))


def apply_eq_curve(
    audio: Float[np.ndarray, "time channel"], curve_db: Float[np.ndarray, " points"], sample_rate: int
) -> Float[np.ndarray, "time channel"]:
    """Filter a signal by a minimum-phase filter with this curve, given at `EQ_GRID_HZ` and constant beyond its ends.

    The phase is the Hilbert transform of the log magnitude, computed by folding the real cepstrum (Oppenheim and
    Schafer, "Discrete-Time Signal Processing", 13.4).
    """
    freq_hz = np.fft.rfftfreq(_TAPS, 1.0 / sample_rate)
    gain_db = np.interp(np.log(np.maximum(freq_hz, 1.0)), np.log(EQ_GRID_HZ), curve_db)
    cepstrum = np.fft.irfft(gain_db * (np.log(10.0) / 20.0), _TAPS)
    cepstrum[1 : _TAPS // 2] *= 2.0
    cepstrum[_TAPS // 2 + 1 :] = 0.0
    impulse = np.fft.irfft(np.exp(np.fft.rfft(cepstrum)), _TAPS)
    return oaconvolve(np.asarray(audio, np.float64), impulse[:, None], axes=0)[: len(audio)]


def apply_dynamics(
    audio: Float[np.ndarray, "time channel"], sample_rate: int, rng: np.random.Generator, scale: float = 1.0
) -> Float[np.ndarray, "time channel"]:
    """Downward expansion below the 90th percentile of the level, or compression above its median.

    The gain reduction is at most 9 dB before it is multiplied by `scale`.
    """
    decay = np.exp(-1.0 / (_ENVELOPE_SECONDS * sample_rate))
    power = np.asarray(lfilter([1.0 - decay], [1.0, -decay], np.mean(audio**2, axis=1)))
    level_db = 10.0 * np.log10(power + 1e-7)
    active_db = level_db[level_db > level_db.max() - 50.0]
    if rng.uniform() < _EXPANSION_PROB:
        gain_db = rng.uniform(*_EXPANSION_SLOPE) * np.minimum(level_db - np.percentile(active_db, 90), 0.0)
    else:
        gain_db = -rng.uniform(*_COMPRESSION_SLOPE) * np.maximum(level_db - np.percentile(active_db, 50), 0.0)
    return audio * 10.0 ** (scale * np.maximum(gain_db, -_MAX_DYNAMICS_DB)[:, None] / 20.0)


def apply_side_shelf(
    audio: Float[np.ndarray, "time 2"], side_db: float, sample_rate: int
) -> Float[np.ndarray, "time 2"]:
    """Change the side by `side_db` above 200 Hz, with a high shelf (RBJ cookbook, S = 1)."""
    amplitude, w0 = 10.0 ** (side_db / 40.0), 2.0 * np.pi * _SIDE_SHELF_HZ / sample_rate
    cosine, root = np.cos(w0), np.sqrt(2.0 * amplitude) * np.sin(w0)
    plus, minus = amplitude + 1.0, amplitude - 1.0
    up, down = plus + minus * cosine, plus - minus * cosine
    b = amplitude * np.array([up + root, -2.0 * (minus + plus * cosine), up - root])
    a = np.array([down + root, 2.0 * (minus - plus * cosine), down - root])
    mid, side = audio.sum(axis=1) / 2.0, (audio[:, 0] - audio[:, 1]) / 2.0
    side = sosfilt(np.concatenate([b, a])[None] / a[0], side)
    return np.stack([mid + side, mid - side], axis=1)
