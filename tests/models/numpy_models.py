"""The networks in plain NumPy and float64; a batch is a list of signals `[time, channel]` of any lengths.

The processors of phase 2 have oracles of their own (tests/dsp); here the tested functions run in float64.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy.signal import sosfilt

from nmjax import dsp
from nmjax.models.processors import PROCESSORS

EPSILON = 1e-5  # of BatchNorm, Flax's default


def to_float64(tree):
    """The same nest of dicts with float64 arrays."""
    if hasattr(tree, "items"):
        return {name: to_float64(part) for name, part in tree.items()}
    return np.asarray(tree, np.float64)


def conv(x, weights, stride=1, dilation=1):
    """Zero-padded convolution that keeps the length at stride 1; kernel `[tap, in, out]`, centered on the frame."""
    kernel = weights["kernel"]
    pad = dilation * (len(kernel) // 2)
    padded = np.pad(x, ((pad, pad), (0, 0)))
    taps = (padded[n * dilation : n * dilation + len(x) : stride] @ kernel[n] for n in range(len(kernel)))
    return sum(taps) + weights["bias"]


def dense(x, weights):
    return x @ weights["kernel"] + weights["bias"]


def conv_norm(xs, params, stats, train, **conv_args):
    """Convolution and BatchNorm: with the running statistics, or in training with those of all signals together."""
    xs = [conv(x, params["conv"], **conv_args) for x in xs]
    frames = np.concatenate(xs)
    mean, var = (frames.mean(0), frames.var(0)) if train else (stats["norm"]["mean"], stats["norm"]["var"])
    scale = params["norm"]["scale"] / np.sqrt(var + EPSILON)
    return [(x - mean) * scale + params["norm"]["bias"] for x in xs]


def relu(xs):
    return [np.maximum(x, 0.0) for x in xs]


def encoder_frames(variables, signals, train=False):
    """Mono signals → features of each frame."""
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
    """Mono signals → z, one row per signal."""
    frames = encoder_frames(variables, signals, train)
    return np.stack([dense(x.mean(0), to_float64(variables["params"]["out"])) for x in frames])


def downsample2x(x):
    return (x[0::2] + x[1::2]) / 2.0


def upsample2x(x):
    """Linear interpolation ×2: output n is at (n + 0.5)/2 − 0.5; beyond the ends np.interp repeats the last value."""
    positions = (np.arange(2 * len(x)) + 0.5) / 2.0 - 0.5
    return np.stack([np.interp(positions, np.arange(len(x)), channel) for channel in x.T], axis=1)


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
    """Signals and their z → residuals; every channel is a separate signal with the same z."""
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
    """z `[batch, 512]` → freq_hz, gain_db, q, gate; gates if the weights have a selector, else 1."""
    params = to_float64(variables["params"])
    x = np.asarray(z, np.float64)
    for name in ("hidden_0", "hidden_1"):
        x = np.maximum(dense(x, params[name]), 0.0)
    fraction = sigmoid(dense(x, params["frequency"]["dense"]))
    freq_hz = 20.0 * 1000.0**fraction if frequency_map == "log" else 20.0 + 19980.0 * fraction
    gain_db = 12.0 * np.tanh(dense(x, params["gain"]["dense"]))
    q = 0.5 + 4.5 * sigmoid(dense(x, params["q"]["dense"]))
    if "selector" not in params:
        return freq_hz, gain_db, q, np.ones_like(q)
    gate = sigmoid(
        dense(np.maximum(dense(np.asarray(z, np.float64), params["selector"]), 0.0), params["gate"]["dense"])
    )
    divisor = to_float64(variables["warm_start"]["gain_divisor"])
    return freq_hz, np.clip(gain_db / divisor, -12.0, 12.0), q, gate


def biquads(freq_hz, gain_db, q, sample_rate=44_100):
    """RBJ's peaking filters as second-order sections, one row per band."""
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


def predict_processors(variables, z, z_side):
    """z of mid and of the side, `[batch, 512]` → settings by (processor, setting)."""
    params, result = to_float64(variables["params"]), {}
    for name, decoder in params.items():
        latent = np.concatenate([z, z_side], axis=1) if name == "width" else z
        raw = dense(np.maximum(dense(latent, decoder["hidden"]), 0.0), decoder["settings"]["dense"])
        for i, setting in enumerate(PROCESSORS[name].settings):
            to_scale, from_scale = SCALES[setting.scale]
            low, initial, high = (to_scale(x) for x in (setting.low, setting.initial, setting.high))
            half_range = np.where(raw[:, i] > 0.0, high - initial, initial - low)
            position = initial + half_range * np.tanh(raw[:, i] * (high - low) / 2.0 / half_range)
            result[name, setting.name] = from_scale(position)
    return result


SCALES = {
    "linear": (lambda x: x, lambda x: x),
    "log": (np.log, np.exp),
    "slope": (lambda x: 1.0 - 1.0 / x, lambda x: 1.0 / (1.0 - x)),
}


def apply_processors(x, settings, row):
    """One signal `[time, channel]` through the processors, with the settings of its row."""
    with jax.enable_x64(True):
        audio = jnp.asarray(x, jnp.float64)[None]
        for name, (settings_type, apply) in PROCESSOR_FUNCTIONS.items():
            fields = {field: jnp.asarray(v[row : row + 1]) for (of, field), v in settings.items() if of == name}
            audio = apply(audio, settings_type(**fields))
        return np.asarray(audio)[0]


PROCESSOR_FUNCTIONS = {
    "compressor": (dsp.Compressor, jax.jit(lambda x, settings: dsp.compress(x, settings, 44_100)[0])),
    "saturator": (dsp.Saturator, jax.jit(lambda x, settings: dsp.saturate(x, settings, 44_100))),
    "width": (dsp.Width, jax.jit(lambda x, settings: dsp.widen(x, settings, 44_100)[0])),
}


def master(variables, signals, frequency_map="log", train=False):
    """Signals through a phase without dropout → output and z: settings from mid (and side, with processors),
    equalizer, processors, residual."""
    modules = {name: {k: v[name] for k, v in variables.items() if name in v} for name in variables["params"]}
    signals = [np.asarray(x, np.float64) for x in signals]
    encoder_inputs = [np.mean(x, axis=1, keepdims=True) for x in signals]
    if "processors" in modules:
        encoder_inputs += [(x[:, :1] - x[:, 1:]) / 2.0 for x in signals]
    z, *z_side = np.split(encoder(modules["encoder"], encoder_inputs, train), len(encoder_inputs) // len(signals))
    freq_hz, gain_db, q, gate = decoder(modules["decoder"], z, frequency_map)
    ys = [equalize(x, *row) for x, *row in zip(signals, freq_hz, gain_db * gate, q, strict=True)]
    if "processors" in modules:
        settings = predict_processors(modules["processors"], z, *z_side)
        ys = [apply_processors(y, settings, row) for row, y in enumerate(ys)]
    if "residual" in modules:
        ys = [y + r for y, r in zip(ys, residual(modules["residual"], signals, z, train), strict=True)]
    return ys, z
