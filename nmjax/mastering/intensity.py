"""Intensity: one control for how far all stages go, from 0 (nothing) over 1 (as predicted) to 2.

docs/reference/settings.md has the definition. Up to 1, every stage is scaled on its natural scale: decibels of the
EQ and of gain reduction, the logarithm of the width, the amplitude of what is added. Above 1, an estimate whose
shrinkage is known moves further toward the measured target instead of doubling its decibels.

A network that corrects the share k of a measured deviation d trusts it as a Wiener filter does, k = F/(F + C), with F
the variance of degradations and C that of the music. Dividing the standard deviation of the music by the intensity t
gives the correction

    k_t·d = f·k·d,   f = 1 / (k + (1 − k)/t²),

which grows with t, is at most t² times the prediction, and never exceeds the whole deviation d.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

import numpy as np
from jaxtyping import Float

from nmjax.dsp import Bands, Compressor, response_db
from nmjax.mastering.network import Network
from nmjax.models import SAMPLE_RATE, Settings
from nmjax.models.parameters import EqSettings, Prediction, to_numpy
from nmjax.models.processors import PROCESSORS
from nmjax.models.spectral_features import BAND_CENTERS_HZ, latent_change
from nmjax.runtime.lazy_jax import Array

_MAX_GAIN_DB = 6.0  # an intensity above 1 takes no band beyond it
_STEP_DB = 2.0  # of the deviations with which the shares are measured

Shares = Float[np.ndarray, " bands"]


def apply_intensity(
    prediction: Prediction, intensity: float, shares: Shares | None = None, matched: Collection[str] = ()
) -> Prediction:
    """The prediction at an intensity; bit-identical at 1, and the identity at 0.

    Args:
        prediction: of one track.
        intensity: 0 to 2.
        shares: from `correction_shares`; None where they are not known.
        matched: stages that a reference decides; above 1 its match goes further already.
    """
    if intensity == 1.0:
        return prediction
    skipped = matched if intensity > 1.0 else ()
    settings = prediction.settings
    changes: dict[str, Any] = {} if "eq" in skipped else {"eq": _scale_eq(settings.eq, intensity, shares)}
    if settings.eq_side is not None and "eq" not in skipped:
        changes["eq_side"] = _scale_eq(settings.eq_side, intensity, None)
    for name in PROCESSORS:
        values = getattr(settings, name)
        if values is not None and name not in skipped:
            changes[name] = scale_processor(name, values, intensity)
    return prediction.replace(settings=settings.replace(**changes))


def eq_factors(intensity: float, shares: Shares | None = None) -> Shares | float:
    """Factors of the bands' gains in dB: the intensity itself up to 1, and where the shares are not known."""
    if intensity <= 1.0 or shares is None:
        return intensity
    return 1.0 / (shares + (1.0 - shares) / intensity**2)


def _scale_eq(eq: EqSettings, intensity: float, shares: Shares | None) -> EqSettings:
    gain_db = np.asarray(eq.gain_db, np.float32)
    if intensity == 0.0:
        return eq.replace(gain_db=np.zeros_like(gain_db))  # not −0
    scaled = gain_db * np.asarray(eq_factors(intensity, shares), np.float32)
    limit_db = np.maximum(np.abs(gain_db), _MAX_GAIN_DB)
    return eq.replace(gain_db=np.clip(scaled, -limit_db, limit_db) if intensity > 1.0 else scaled)


def scale_processor(name: str, values: Any, factor: float) -> Any:
    """A processor's settings at a share of their effect; 0 is neutral, 1 leaves them as they are.

    Args:
        name: of `PROCESSORS`.
        values: its settings.
        factor: 0 to 2; scales decibels of gain, the logarithm of the width, the amplitude of what is added.
    """
    scales = {"compressor": scale_compressor, "saturator": _scale_saturator, "width": _scale_width}
    return scales[name](values, factor)


def scale_compressor(compressor: Compressor, factor: float) -> Compressor:
    """The compressor with its gain in dB times a factor at every moment, up to the ratios that networks predict.

    The gain is makeup − (1 − 1/ratio)·envelope, and the envelope does not depend on either.
    """
    (row,) = (x for x in PROCESSORS["compressor"].settings if x.name == "ratio")
    slope = 1.0 - 1.0 / np.asarray(compressor.ratio, np.float64)
    low, high = np.minimum(slope, row.to_scale(row.low)), np.maximum(slope, row.to_scale(row.high))
    scaled = np.clip(factor * slope, low, high)
    makeup_factor = np.divide(scaled, slope, out=np.full_like(slope, factor), where=slope != 0.0)
    makeup_db = _within("compressor", "makeup_db", makeup_factor * np.asarray(compressor.makeup_db))
    return dataclasses.replace(compressor, ratio=np.asarray(1.0 / (1.0 - scaled), np.float32), makeup_db=makeup_db)


def _scale_saturator(saturator, factor: float):
    mix = factor * np.asarray(saturator.mix, np.float64)
    return dataclasses.replace(saturator, mix=_within("saturator", "mix", mix))


def _scale_width(width, factor: float):
    values = {name: np.asarray(getattr(width, name), np.float64) ** factor for name in ("low", "high")}
    return dataclasses.replace(width, **{name: _within("width", name, x) for name, x in values.items()})


def _within(processor: str, setting: str, values: np.ndarray) -> Float[Array, " batch"]:
    """Values within the limits of a setting, without −0."""
    return np.asarray(np.clip(values, *PROCESSORS[processor].limits[setting]) + 0.0, np.float32)


def correction_shares(network: Network, prediction: Prediction) -> Shares | None:
    """The share of a deviation of the shape of each band that the network corrects, 0 to 1.

    It is measured at the track: the long-term spectrum is moved up and down by the shape of a band, and the change of
    the predicted response is projected on that shape. None for an encoder that does not work on long-term spectra.
    """
    if network.config.model.encoder != "spectral":
        return None
    shapes = _band_shapes(prediction.settings)
    kernel = network.variables["params"]["encoder"]["out"]["kernel"]
    offsets = latent_change(np.asarray(kernel), np.float32(_STEP_DB) * shapes)
    up, down = (_response(network.decode_eq(prediction.z + sign * offsets).bands()) for sign in (1.0, -1.0))
    change = (up - down) / (2.0 * _STEP_DB)
    shapes = shapes - shapes.mean(axis=1, keepdims=True)  # the level is no part of the tone
    return np.clip(-np.sum(change * shapes, axis=1) / np.sum(shapes**2, axis=1), 0.0, 1.0)


def _band_shapes(settings: Settings) -> Float[np.ndarray, "bands grid"]:
    """The response of each band of one track at a gain of 1 dB."""
    freq_hz, q = (np.asarray(x, np.float64)[0, :, None] for x in (settings.eq.freq_hz, settings.eq.q))
    return _response(Bands(freq_hz, np.ones_like(freq_hz), q))


def _response(bands: Bands) -> Float[np.ndarray, "batch grid"]:
    return response_db(to_numpy(bands, np.float64), BAND_CENTERS_HZ, SAMPLE_RATE)
