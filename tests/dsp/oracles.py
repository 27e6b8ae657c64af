"""Independent float64 references (SciPy and NumPy): RBJ's biquads, the table of BS.1770, an STFT."""

import numpy as np
from scipy.signal import sosfilt

# ITU-R BS.1770-4, annex 1, tables 1 and 2: the shelf and the RLB high-pass at 48 kHz.
BS1770_SOS = np.array(
    [
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
        [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
    ]
)


def _cookbook(freq_hz, gain_db, q, sample_rate):
    """A, cos w0, alpha of the cookbook in float64."""
    freq_hz, gain_db, q = (np.asarray(x, np.float64) for x in (freq_hz, gain_db, q))
    w0 = 2.0 * np.pi * freq_hz / sample_rate
    return 10.0 ** (gain_db / 40.0), np.cos(w0), np.sin(w0) / (2.0 * q)


def _stack_sections(b0, b1, b2, a0, a1, a2):
    return np.stack(np.broadcast_arrays(b0, b1, b2, a0, a1, a2), axis=-1) / np.asarray(a0)[..., None]


def peaking_sos(freq_hz, gain_db, q, sample_rate):
    """`[..., 6]`: the cookbook's peakingEQ."""
    a, cos, alpha = _cookbook(freq_hz, gain_db, q, sample_rate)
    return _stack_sections(1 + alpha * a, -2 * cos, 1 - alpha * a, 1 + alpha / a, -2 * cos, 1 - alpha / a)


def low_shelf_sos(freq_hz, gain_db, q, sample_rate):
    """`[..., 6]`: the cookbook's lowShelf."""
    a, cos, alpha = _cookbook(freq_hz, gain_db, q, sample_rate)
    root = 2 * np.sqrt(a) * alpha
    return _stack_sections(
        a * ((a + 1) - (a - 1) * cos + root),
        2 * a * ((a - 1) - (a + 1) * cos),
        a * ((a + 1) - (a - 1) * cos - root),
        (a + 1) + (a - 1) * cos + root,
        -2 * ((a - 1) + (a + 1) * cos),
        (a + 1) + (a - 1) * cos - root,
    )


def high_shelf_sos(freq_hz, gain_db, q, sample_rate):
    """`[..., 6]`: the cookbook's highShelf."""
    a, cos, alpha = _cookbook(freq_hz, gain_db, q, sample_rate)
    root = 2 * np.sqrt(a) * alpha
    return _stack_sections(
        a * ((a + 1) + (a - 1) * cos + root),
        -2 * a * ((a - 1) + (a + 1) * cos),
        a * ((a + 1) + (a - 1) * cos - root),
        (a + 1) - (a - 1) * cos + root,
        2 * ((a - 1) - (a + 1) * cos),
        (a + 1) - (a - 1) * cos - root,
    )


def cookbook_sos(kind, freq_hz, q, sample_rate):
    """`[..., 6]`: the cookbook's LPF, HPF, BPF (0 dB peak), notch and APF."""
    _, cos, alpha = _cookbook(freq_hz, 0.0, q, sample_rate)
    one = np.ones_like(cos)
    top = {
        "low_pass": ((1 - cos) / 2, 1 - cos, (1 - cos) / 2),
        "high_pass": ((1 + cos) / 2, -(1 + cos), (1 + cos) / 2),
        "band_pass": (alpha, 0 * one, -alpha),
        "notch": (one, -2 * cos, one),
        "all_pass": (1 - alpha, -2 * cos, 1 + alpha),
    }[kind]
    return _stack_sections(*top, 1 + alpha, -2 * cos, 1 - alpha)


def design_sos(kind, freq_hz, gain_db, q, sample_rate):
    """`[..., 6]` of any kind of the cookbook."""
    with_gain = {"peaking": peaking_sos, "low_shelf": low_shelf_sos, "high_shelf": high_shelf_sos}
    if kind in with_gain:
        return with_gain[kind](freq_hz, gain_db, q, sample_rate)
    return cookbook_sos(kind, freq_hz, q, sample_rate)


def sosfilt_batch(audio, sos):
    """`audio [batch, time, channel]` through `sos [batch, bands, 6]`, in float64."""
    return np.stack([sosfilt(s, np.asarray(x, np.float64), axis=0) for x, s in zip(audio, sos, strict=True)])


def error_db(result, reference):
    """Peak error over peak output, the worst of the batch, in dB."""
    result, reference = np.asarray(result, np.float64), np.asarray(reference, np.float64)
    axes = tuple(range(1, reference.ndim))
    ratio = np.max(np.abs(result - reference), axis=axes) / np.max(np.abs(reference), axis=axes)
    return 20.0 * np.log10(max(np.max(ratio), 1e-30))


def noise(seed, *shape, level=0.1):
    """White noise that float32 holds exactly."""
    return (level * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def random_bands(seed, batch, bands):
    """freq_hz, gain_db and q `[batch, bands]` over the model's range, in values that float32 holds exactly."""
    rng = np.random.default_rng(seed)
    freq_hz = 20.0 * 1000.0 ** rng.uniform(size=(batch, bands))
    settings = freq_hz, rng.uniform(-12.0, 12.0, (batch, bands)), rng.uniform(0.5, 5.0, (batch, bands))
    return tuple(x.astype(np.float32) for x in settings)


def stft_magnitudes(audio, window, hop):
    """|STFT| `[batch, channel, frames, bins]` of `[batch, time, channel]`: a loop over frames and a DFT matrix."""
    audio = np.moveaxis(np.asarray(audio, np.float64), 2, 1)
    padded = np.pad(audio, [(0, 0), (0, 0), (window // 2, window // 2)], mode="reflect")
    hann = np.sin(np.pi * np.arange(window) / window) ** 2
    dft = np.exp(-2j * np.pi * np.outer(np.arange(window), np.arange(window // 2 + 1)) / window)
    starts = range(0, audio.shape[2] + 1, hop)
    return np.abs(np.stack([(padded[..., s : s + window] * hann) @ dft for s in starts], axis=2))
