"""The networks in plain NumPy and float64, from SPEC 2 to 5; a batch is a list of `[time, channel]` of any lengths.

The stages of phase 2 have oracles of their own (tests/dsp); here they run as they are, in float64.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy.signal import sosfilt

from nmjax import dsp
from nmjax.models.processors import processor_settings

EPSILON = 1e-5  # BatchNorm's, Flax's default; SPEC names none


def to_float64(tree):
    """The same nest of dicts with float64 arrays."""
    if hasattr(tree, "items"):
        return {name: to_float64(part) for name, part in tree.items()}
    return np.asarray(tree, np.float64)


def conv(x, weights, stride=1, dilation=1):
    """Zero-padded so that stride 1 keeps the length; kernel `[tap, in, out]`, the middle tap on the frame itself."""
    kernel = weights["kernel"]
    reach = dilation * (len(kernel) // 2)
    padded = np.pad(x, ((reach, reach), (0, 0)))
    taps = (padded[n * dilation : n * dilation + len(x) : stride] @ kernel[n] for n in range(len(kernel)))
    return sum(taps) + weights["bias"]


def dense(x, weights):
    return x @ weights["kernel"] + weights["bias"]


def conv_norm(xs, params, stats, train, **how):
    """Convolution and BatchNorm: by the running statistics, or in training by those of all signals together."""
    xs = [conv(x, params["conv"], **how) for x in xs]
    everything = np.concatenate(xs)
    mean, var = (everything.mean(0), everything.var(0)) if train else (stats["norm"]["mean"], stats["norm"]["var"])
    scale = params["norm"]["scale"] / np.sqrt(var + EPSILON)
    return [(x - mean) * scale + params["norm"]["bias"] for x in xs]


def relu(xs):
    return [np.maximum(x, 0.0) for x in xs]


def encoder_frames(variables, signals, train=False):
    """Mono signals → the features of each frame."""
    params, stats = to_float64(variables["params"]), to_float64(variables["batch_stats"])
    xs = [np.asarray(x, np.float64) for x in signals]
    for name in ("stem_0", "stem_1"):
        xs = relu(conv_norm(xs, params[name], stats[name], train, stride=4))
    for n, dilation in enumerate((1, 2, 4, 8)):
        p, s = params[f"blocks_{n}"], stats[f"blocks_{n}"]
        ys = relu(conv_norm(xs, p["first"], s["first"], train, dilation=dilation))
        ys = conv_norm(ys, p["second"], s["second"], train, dilation=dilation)
        same = p["second"]["conv"]["kernel"].shape[2] == xs[0].shape[1]
        xs = relu([y + (x if same else conv(x, p["projection"])) for x, y in zip(xs, ys, strict=True)])
    return xs


def encoder(variables, signals, train=False):
    """Mono signals → z, one row a signal."""
    frames = encoder_frames(variables, signals, train)
    return np.stack([dense(x.mean(0), to_float64(variables["params"]["out"])) for x in frames])


def downsample2x(x):
    return (x[0::2] + x[1::2]) / 2.0


def upsample2x(x):
    """Linear interpolation ×2: output n lies at (n + 0.5)/2 − 0.5; beyond the ends np.interp repeats the last value."""
    at = (np.arange(2 * len(x)) + 0.5) / 2.0 - 0.5
    return np.stack([np.interp(at, np.arange(len(x)), channel) for channel in x.T], axis=1)


def _wave_u_net(params, stats, xs, z, train):
    def block(name, xs):
        p = params[name]
        ys = relu(conv_norm(xs, p["layer"], stats[name]["layer"], train))
        return [dense(row, p["gamma"]) * y + dense(row, p["beta"]) for y, row in zip(ys, z, strict=True)]

    skips = []
    for level in range(3):
        xs = block(f"down_{level}", xs)
        skips.append(xs)
        xs = [downsample2x(x) for x in xs]
    xs = block("bottleneck", xs)
    for level in (2, 1, 0):
        joined = [np.concatenate([upsample2x(x), skip], axis=1) for x, skip in zip(xs, skips[level], strict=True)]
        xs = block(f"up_{level}", joined)
    return [conv(x, params["out"]) for x in xs]


def residual(variables, signals, z, train=False):
    """Signals of any channel count and their z → residuals; every channel is a signal of its own with the same z."""
    params, stats = to_float64(variables["params"]), to_float64(variables["batch_stats"])
    channels = [
        (np.asarray(x, np.float64)[:, [c]], row) for x, row in zip(signals, z, strict=True) for c in range(x.shape[1])
    ]
    padded = [np.pad(x, ((0, -len(x) % 8), (0, 0))) for x, _ in channels]
    out = iter(_wave_u_net(params, stats, padded, [np.asarray(row, np.float64) for _, row in channels], train))
    return [np.concatenate([next(out)[: len(x)] for _ in range(x.shape[1])], axis=1) for x in signals]


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def decoder(variables, z, frequency_map="log"):
    """z `[batch, 512]` → freq_hz, gain_db, q, gate; gates where the weights have a selector."""
    params = to_float64(variables["params"])
    x = np.asarray(z, np.float64)
    for name in ("hidden_0", "hidden_1"):
        x = np.maximum(dense(x, params[name]), 0.0)
    share = sigmoid(dense(x, params["frequency"]["dense"]))
    freq_hz = 20.0 * 1000.0**share if frequency_map == "log" else 20.0 + 19980.0 * share
    gain_db = 12.0 * np.tanh(dense(x, params["gain"]["dense"]))
    q = 0.5 + 4.5 * sigmoid(dense(x, params["q"]["dense"]))
    if "selector" not in params:
        return freq_hz, gain_db, q, np.ones_like(q)
    gate = sigmoid(
        dense(np.maximum(dense(np.asarray(z, np.float64), params["selector"]), 0.0), params["gate"]["dense"])
    )
    divisor = to_float64(variables["carried"]["gain_divisor"])
    return freq_hz, np.clip(gain_db / divisor, -12.0, 12.0), q, gate


def biquads(freq_hz, gain_db, q, sample_rate=44_100):
    """RBJ's peaking bells as second-order sections, one row a band."""
    a, w0 = 10.0 ** (gain_db / 40.0), 2.0 * np.pi * freq_hz / sample_rate
    alpha, cos = np.sin(w0) / (2.0 * q), np.cos(w0)
    rows = np.stack([1 + alpha * a, -2 * cos, 1 - alpha * a, 1 + alpha / a, -2 * cos, 1 - alpha / a], axis=1)
    return rows / rows[:, 3:4]


def curve_db(freq_hz, gain_db, q, points, sample_rate=44_100):
    """The gain in dB of all bands together at the frequencies `points`."""
    delay = np.exp(-2j * np.pi * points / sample_rate)[:, None] ** np.arange(3)
    sections = biquads(freq_hz, gain_db, q, sample_rate)
    return 20.0 * np.log10(np.abs(delay @ sections[:, :3].T) / np.abs(delay @ sections[:, 3:].T)).sum(axis=1)


def equalize(x, freq_hz, gain_db, q):
    """One signal `[time, channel]` through its bands at 44.1 kHz."""
    return sosfilt(biquads(freq_hz, gain_db, q), np.asarray(x, np.float64), axis=0)


def predict_processors(variables, z, side):
    """z and the side's `[batch, 512]` → settings by (stage, name), by the table's ranges."""
    params, result = to_float64(variables["params"]), {}
    for stage, decoder in params.items():
        heard = np.concatenate([z, side], axis=1) if stage == "width" else z
        raw = dense(np.maximum(dense(heard, decoder["hidden"]), 0.0), decoder["settings"]["dense"])
        for i, row in enumerate(processor_settings(stage)):
            to, back = AXES[row.scale]
            low, start, high = (to(x) for x in (row.low, row.initial, row.high))
            reach = np.where(raw[:, i] > 0.0, high - start, start - low)
            result[stage, row.name] = back(start + reach * np.tanh(raw[:, i] * (high - low) / 2.0 / reach))
    return result


AXES = {
    "linear": (lambda x: x, lambda x: x),
    "log": (np.log, np.exp),
    "slope": (lambda x: 1.0 - 1.0 / x, lambda x: 1.0 / (1.0 - x)),
}


def apply_processors(x, settings, row):
    """One signal `[time, channel]` through the stages, with the settings of its row."""
    with jax.enable_x64(True):
        audio = jnp.asarray(x, jnp.float64)[None]
        for stage, (kind, run) in PROCESSORS.items():
            fields = {name: jnp.asarray(v[row : row + 1]) for (of, name), v in settings.items() if of == stage}
            audio = run(audio, kind(**fields))
        return np.asarray(audio)[0]


PROCESSORS = {
    "compressor": (dsp.Compressor, jax.jit(lambda x, settings: dsp.compress(x, settings, 44_100)[0])),
    "saturator": (dsp.Saturator, jax.jit(lambda x, settings: dsp.saturate(x, settings, 44_100))),
    "width": (dsp.Width, jax.jit(lambda x, settings: dsp.widen(x, settings, 44_100)[0])),
}


def master(variables, signals, frequency_map="log", train=False):
    """Signals through a phase without dropout: settings from the mean of the channels (and the side, where there are
    stages), EQ, stages, residual; y and z."""
    parts = {name: {k: v[name] for k, v in variables.items() if name in v} for name in variables["params"]}
    signals = [np.asarray(x, np.float64) for x in signals]
    ears = [np.mean(x, axis=1, keepdims=True) for x in signals]
    if "stages" in parts:
        ears += [(x[:, :1] - x[:, 1:]) / 2.0 for x in signals]
    z, *side = np.split(encoder(parts["encoder"], ears, train), len(ears) // len(signals))
    freq_hz, gain_db, q, gate = decoder(parts["decoder"], z, frequency_map)
    ys = [equalize(x, *row) for x, *row in zip(signals, freq_hz, gain_db * gate, q, strict=True)]
    if "stages" in parts:
        settings = predict_processors(parts["stages"], z, *side)
        ys = [apply_processors(y, settings, row) for row, y in enumerate(ys)]
    if "residual" in parts:
        ys = [y + r for y, r in zip(ys, residual(parts["residual"], signals, z, train), strict=True)]
    return ys, z
