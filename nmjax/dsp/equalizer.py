"""The parametric equalizer: bands in physical units in, filtered audio or a frequency response out."""

from __future__ import annotations

import dataclasses
import difflib
import typing

import numpy as np
from jaxtyping import Float

from nmjax.dsp.cascade import cascade, initial_state
from nmjax.dsp.namespace import namespace
from nmjax.dsp.numerics import log10_or_neg_inf
from nmjax.dsp.svf import FILTER_DESIGNS, GAIN_LIMITS_DB, Q_LIMITS, Svf, design_filters, frequency_response
from nmjax.dsp.validation import check_audio, check_range, check_sample_rate, check_state, require
from nmjax.runtime.lazy_jax import Array, register_dataclass

_SMALLEST_FREQ_HZ = 1e-45  # the smallest float32 above 0


@typing.no_type_check
@register_dataclass
@dataclasses.dataclass(frozen=True)
class Bands:
    """Filters in series, each array `[batch, bands]`.

    Attributes:
        freq_hz: center or corner frequency in Hz, above 0 and not above half the sample rate.
        gain_db: gain at the center or of the shelf, −200 to 200 dB; ignored by the kinds that have no gain.
        q: quality factor, 0.001 to 1e6.
        kind: peaking, low_shelf, high_shelf, low_pass, high_pass, band_pass, notch or all_pass: one for all bands, or a
            tuple with one per band. Static: it is part of the compiled program.

    Raises:
        ValueError: an unknown kind.
    """

    freq_hz: Array
    gain_db: Array
    q: Array
    kind: str | tuple[str, ...] = dataclasses.field(default="peaking", metadata={"static": True})

    def __post_init__(self):
        for kind in (self.kind,) if isinstance(self.kind, str) else self.kind:
            if kind not in FILTER_DESIGNS:
                closest = difflib.get_close_matches(kind, FILTER_DESIGNS, 1, 0.5)
                kinds = f"the kinds are {', '.join(FILTER_DESIGNS)}"
                suggestion = f"did you mean '{closest[0]}'?" if closest else kinds
                raise ValueError(f"unknown kind of filter '{kind}'; {suggestion}")

    def svf(self, sample_rate: float) -> Svf:
        """The filters' coefficients at a sample rate in Hz.

        Traced values cannot be rejected: frequencies are then clipped from 1e-6 to 0.49 of the sample rate, gains to
        ±200 dB and Qs to 0.001 to 1e6. Peaking and shelving filters above 0.49 of the rate fade out until 0.5.

        Raises:
            ValueError: a frequency, a gain, a Q or the sample rate out of its range, or arrays of different shapes.
        """
        check_sample_rate(sample_rate)
        shapes = [list(np.shape(x)) for x in (self.freq_hz, self.gain_db, self.q)]
        is_consistent = len(shapes[0]) == 2 and shapes[0][1] > 0 and shapes[0] == shapes[1] == shapes[2]
        require(is_consistent, "freq_hz, gain_db and q", "of one shape [batch, bands], with at least one band", shapes)
        if not isinstance(self.kind, str):
            require(len(self.kind) == shapes[0][1], "kind", "one a band", f"{len(self.kind)} for {shapes[0][1]} bands")
        nyquist_hz = sample_rate / 2
        freq_range = f"above 0 and not above half the sample rate ({nyquist_hz:g} Hz)"
        check_range("freq_hz", self.freq_hz, _SMALLEST_FREQ_HZ, nyquist_hz, freq_range)
        check_range("gain_db", self.gain_db, *GAIN_LIMITS_DB, "from -200 to 200 dB")
        check_range("q", self.q, *Q_LIMITS, "from 0.001 to 1e6")
        return design_filters(self.kind, self.freq_hz, self.gain_db, self.q, sample_rate)


def equalize(
    audio: Float[Array, "batch time channel"],
    bands: Bands,
    sample_rate: float,
    state: Float[Array, "batch channel bands 2"] | None = None,
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch channel bands 2"]]:
    """Filter audio with a cascade of bands. Every channel gets the same settings, so the stereo image does not change.

    Args:
        audio: any length above 0; float32, or float64 where x64 is enabled.
        bands: settings, one row for each signal of the batch.
        sample_rate: Hz, above 0.
        state: the state returned for the previous chunk; at rest if not given.

    Returns:
        the equalized signal, and the state after its last sample: consecutive chunks give the same as one call.

    Raises:
        ValueError: as `Bands.svf`; audio of another rank or batch; a state of another shape.
    """
    check_audio(audio)
    svf = bands.svf(sample_rate)
    require(svf.g.shape[0] == audio.shape[0], "bands", f"one row a signal ({audio.shape[0]})", svf.g.shape[0])
    if state is None:
        state = initial_state(svf, audio.shape[0], audio.shape[2], audio.dtype)
    check_state(state, (audio.shape[0], audio.shape[2], svf.g.shape[1], 2))
    return cascade(audio, svf, state)


def response_db(bands: Bands, freq_hz: Float[Array, " points"], sample_rate: float) -> Float[Array, "batch points"]:
    """The magnitude response of all bands in series in dB at `freq_hz` (0 to half the sample rate).

    −inf, with gradient 0, where a notch or a pass filter has gain 0.

    Raises:
        ValueError: as `Bands.svf`; a frequency grid of another rank or range.
    """
    responses = _band_responses(bands, freq_hz, sample_rate)
    power = responses.real**2 + responses.imag**2
    return (10.0 * log10_or_neg_inf(power)).sum(axis=1)


def response_phase(bands: Bands, freq_hz: Float[Array, " points"], sample_rate: float) -> Float[Array, "batch points"]:
    """The phase response of all bands in radians at `freq_hz`: the sum of the bands' angles, each within ±π.

    Errors as in `response_db`.
    """
    responses = _band_responses(bands, freq_hz, sample_rate)
    return namespace(responses).angle(responses).sum(axis=1)


def _band_responses(bands: Bands, freq_hz: Array, sample_rate: float) -> Array:
    """Each band's complex response at `freq_hz`, `[batch, bands, points]`, after validation of the grid."""
    svf = bands.svf(sample_rate)
    require(np.ndim(freq_hz) == 1, "freq_hz", "a grid of rank 1", f"of shape {list(np.shape(freq_hz))}")
    nyquist_hz = sample_rate / 2
    freq_range = f"between 0 and half the sample rate ({nyquist_hz:g} Hz)"
    check_range("freq_hz", freq_hz, 0.0, nyquist_hz * (1 + 1e-6), freq_range)
    return frequency_response(svf, freq_hz, sample_rate)
