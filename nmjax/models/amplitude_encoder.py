"""Amplitude encoder: z from how often a waveform reaches each level, and how steep and how pointed it is there.

A curve without memory, such as a saturator or a clipper, multiplies the slope of the waveform and the curvature of its
peaks by its own slope at that level. Without it, both hardly depend on the level, once they are taken relative to the
20 ms around. So these statistics show the curve itself, in any music, where a convolutional encoder must learn to find
it. They are sums over the samples, so they can be pooled over a track of any length. A frame covers 1024 samples.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int

from nmjax.models.layers import DEFAULT_PRECISION
from nmjax.models.masks import mean_pool
from nmjax.models.signal_format import LATENT_SIZE

STRIDE = 1_024  # samples per frame; chunks of a stream start at multiples of it
MARGIN = 1_024  # samples on each side of a frame that it depends on (385), rounded up to whole frames
ENCODES_CHANNELS = True  # the encoder's rows are the channels, not their mean: each has been saturated by itself

_CELL, _AROUND_CELLS = 128, 7  # 20 ms
_MIN_LEVEL_DB, _STEP_DB, _NUM_LEVELS = -60.0, 0.25, 304  # a signal of the model's level has peaks of −15 to +15 dB
_NUM_SUMS = 4  # samples, their slopes, peaks, their curvatures
_TOP_SHARE = 2e-5  # of the samples is above the top: single overshoots of a lossy codec do not count
# First step below the top of each group of steps: 0.25 dB wide near the top, up to 3 dB wide 34 dB below.
_GROUPS = (0, 1, 2, 3, 4, 6, 8, 10, 13, 16, 20, 24, 28, 33, 38, 44, 50, 57, 65, 74, 84, 96, 108, 120, 136)
_NUM_GROUPS = len(_GROUPS) - 1
_HIGH_GROUPS = 10  # the highest 5 dB
_HIDDEN = (256, 256)
NUM_FRAME_FEATURES = 2 * _NUM_LEVELS * _NUM_SUMS


class AmplitudeEncoder(nn.Module):
    """Channels `[batch, time, 1]` → z `[batch, 512]`, for any length from one sample; same methods as `Encoder`.

    The first entry of z is the natural logarithm of the top: the level that 2 in 100,000 samples exceed. The other
    entries do not depend on the level of the signal, except by the steps of 0.25 dB.

    Attributes:
        precision: Precision of float32 products, see `layers.DEFAULT_PRECISION`.
    """

    precision: str = DEFAULT_PRECISION

    def setup(self):
        self.hidden = [nn.Dense(size, precision=self.precision) for size in _HIDDEN]
        self.out = nn.Dense(LATENT_SIZE - 1, precision=self.precision)

    def frames(
        self, audio: Float[Array, "batch time 1"], lengths: Int[Array, " batch"] | None = None, train: bool = False
    ) -> Float[Array, "batch frames features"]:
        """Sums over each 1024 samples; 0 beyond a signal's length."""
        return jax.lax.stop_gradient(level_sums(audio[..., 0], lengths))

    def latent(self, mean: Float[Array, "batch features"]) -> Float[Array, "batch 512"]:
        """z from the mean over the frames."""
        log_top, x = level_features(mean)
        for dense in self.hidden:
            x = nn.relu(dense(x))
        return jnp.concatenate([log_top, self.out(x)], axis=1)

    def __call__(
        self, audio: Float[Array, "batch time 1"], lengths: Int[Array, " batch"] | None = None, train: bool = False
    ) -> Float[Array, "batch 512"]:
        """z of each signal, up to its length in samples."""
        return self.latent(mean_pool(self.frames(audio, lengths, train), lengths, STRIDE))


def frame_count(samples):
    """Frames of a signal of `samples` samples (int or array)."""
    return -(-samples // STRIDE)


def level_sums(
    audio: Float[Array, "batch time"], lengths: Int[Array, " batch"] | None = None
) -> Float[Array, "batch frames features"]:
    """For each frame, half and level: samples; sum of log |slope|; peaks; sum of their log curvature.

    Slope and curvature are first and second differences, relative to their RMS in the 20 ms around. The first and the
    last sample of a signal, and samples below −60 dB, are left out.
    """
    batch, time = audio.shape
    num_frames = frame_count(time)
    size = num_frames * STRIDE
    x = jnp.pad(audio, ((0, 0), (1, size - time + 1)))
    before, x, after = x[:, :-2], x[:, 1:-1], x[:, 2:]
    lengths = jnp.full(batch, time) if lengths is None else lengths
    position = jnp.arange(size)[None]
    is_inside = (position > 0) & (position < lengths[:, None] - 1)
    slope, bend = (jnp.where(is_inside, v, 0.0) for v in (0.5 * (after - before), 2.0 * x - before - after))
    sign = jnp.where(x < 0.0, -1.0, 1.0)
    is_peak = (sign * (x - before) > 0.0) & (sign * (x - after) >= 0.0)
    log_slope, log_bend = (jnp.log(jnp.abs(v) / _around(v, is_inside) + 1e-3) for v in (slope, bend))
    step = jnp.floor((20.0 * jnp.log10(jnp.maximum(jnp.abs(x), 1e-9)) - _MIN_LEVEL_DB) / _STEP_DB).astype(jnp.int32)
    counts = is_inside & (step >= 0)
    columns = jnp.stack([jnp.ones_like(x), log_slope, is_peak.astype(x.dtype), jnp.where(is_peak, log_bend, 0.0)], -1)
    row = (jnp.arange(batch)[:, None] * num_frames + position // STRIDE) * 2 + (x < 0.0)
    index = row * _NUM_LEVELS + jnp.clip(step, 0, _NUM_LEVELS - 1)
    num_sums = batch * num_frames * 2 * _NUM_LEVELS
    sums = jax.ops.segment_sum(
        jnp.where(counts[..., None], columns, 0.0).reshape(-1, _NUM_SUMS), index.reshape(-1), num_sums
    )
    return sums.reshape(batch, num_frames, NUM_FRAME_FEATURES)


def _around(x: Float[Array, "batch time"], is_inside: Array) -> Float[Array, "batch time"]:
    """RMS of x in the 20 ms around each cell of 3 ms, of those samples that are inside the signal."""
    reach = _AROUND_CELLS // 2

    def cell_sums(values):
        cells = jnp.sum(values.reshape(len(x), -1, _CELL), axis=2)
        padded = jnp.pad(cells, ((0, 0), (reach, reach)))
        return sum(padded[:, i : i + cells.shape[1]] for i in range(_AROUND_CELLS))

    power = cell_sums(x**2) / jnp.maximum(cell_sums(is_inside.astype(x.dtype)), 1.0)
    return jnp.repeat(jnp.sqrt(power) + 2e-6, _CELL, axis=1)


def level_features(
    mean: Float[Array, "batch sums"],
) -> tuple[Float[Array, "batch 1"], Float[Array, "batch features"]]:
    """The logarithm of the top, and the statistics by level below it, from the mean of `level_sums` over the frames.

    For each half and each of 24 groups of levels: logarithms of the shares of samples and peaks, mean log slope and
    mean log curvature of peaks, the latter two toward 0 where there are few.
    """
    sums = mean.reshape(-1, 2, _NUM_LEVELS, _NUM_SUMS)
    sums = sums / jnp.maximum(jnp.sum(sums[..., 0], axis=(1, 2)), 1e-9)[:, None, None, None]
    from_top = jnp.cumsum(jnp.sum(sums[..., 0], axis=1)[:, ::-1], axis=1)[:, ::-1]
    top = jnp.maximum(jnp.sum(from_top >= _TOP_SHARE, axis=1) - 1, 0)
    log_top = (_MIN_LEVEL_DB + _STEP_DB * (top + 1.0)) * (np.log(10.0) / 20.0)
    group = np.repeat(np.arange(_NUM_GROUPS), np.diff(_GROUPS))
    below_top = jnp.clip(top[:, None] - jnp.arange(_NUM_LEVELS)[None], 0, len(group))
    membership = jax.nn.one_hot(jnp.append(group, _NUM_GROUPS)[below_top], _NUM_GROUPS)
    grouped = jnp.einsum("bhls,blg->bhgs", sums, membership, precision="highest")
    samples, slopes, peaks, bends = jnp.moveaxis(grouped, -1, 0)
    features = [
        (jnp.log(samples + 1e-5) + 4.0) / 3.0,
        slopes / (samples + 6e-5),
        (jnp.log(peaks + 1e-6) + 6.0) / 3.0,
        bends / (peaks + 2e-5),
    ]
    return log_top[:, None], jnp.concatenate(features, axis=1).reshape(len(mean), -1)


def half_reaches(mean: Float[Array, "batch sums"]) -> Float[Array, "batch 2"]:
    """How far the positive and the negative half reach toward the top, from the mean of `level_sums` over the frames.

    It is the mean of the logarithms of the shares of samples in the groups of the highest 5 dB, times ⅓, plus 4/3.
    """
    _, features = level_features(mean)
    samples = features.reshape(len(mean), -1, 2, _NUM_GROUPS)[:, 0]
    return jnp.mean(samples[..., :_HIGH_GROUPS], axis=2)


def swap_halves(sums: Float[np.ndarray, "batch sums"]) -> Float[np.ndarray, "batch sums"]:
    """Sums or means of `level_sums` as those of the inverted signal."""
    return sums.reshape(len(sums), 2, -1)[:, ::-1].reshape(len(sums), -1)
