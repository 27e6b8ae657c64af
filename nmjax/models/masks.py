"""Signals of different lengths in one batch: what is beyond the end of each counts for nothing."""

from __future__ import annotations

from jaxtyping import Bool, Float, Int

from nmjax.runtime.lazy_jax import Array, jnp


def length_mask(lengths: Int[Array, " batch"] | None, size: int) -> Bool[Array, "batch size 1"] | None:
    """True for the frames within each signal's length; None (nothing to mask) without lengths."""
    if lengths is None:
        return None
    return jnp.arange(size)[None, :, None] < lengths[:, None, None]


def apply_mask(
    x: Float[Array, "batch size channel"], mask: Bool[Array, "batch size 1"] | None
) -> Float[Array, "batch size channel"]:
    """Zeros beyond each signal's end, as the zero padding of a convolution would be there."""
    return x if mask is None else jnp.where(mask, x, 0.0)


def mean_pool(
    frames: Float[Array, "batch frames features"], lengths: Int[Array, " batch"] | None, stride: int
) -> Float[Array, "batch features"]:
    """The mean over each signal's frames.

    Args:
        frames: One frame per `stride` samples; 0 beyond `lengths`.
        lengths: Valid samples of each signal; None if all are.
        stride: Samples per frame.
    """
    num_frames = frames.shape[1] if lengths is None else (-(-lengths // stride))[:, None]
    return jnp.sum(frames, axis=1) / num_frames
