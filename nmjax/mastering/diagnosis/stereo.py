"""Two channels against each other: polarity, delay, correlation by band, bass width, loss in a mono sum, balance."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Complex

from nmjax.audio.units import power_to_db
from nmjax.mastering.diagnosis.finding import Finding, Severity
from nmjax.mastering.diagnosis.percentiles import percentile_of
from nmjax.mastering.diagnosis.spectrum import LongTermSpectrum
from nmjax.runtime.number_format import format_signed

BASS_HZ = (20.0, 120.0)
_FULL_BAND_HZ = (20.0, 16_000.0)
_BANDS_HZ = ((20.0, 120.0), (120.0, 500.0), (500.0, 2_000.0), (2_000.0, 6_000.0), (6_000.0, 16_000.0))
_SILENT_POWER = 1e-9  # −90 dB
_MAX_DELAY_S = 0.02
_DELAY_BAND_HZ = (150.0, 12_000.0)
_MIN_DELAY_S = 3e-5
_MIN_DELAY_PEAK = 0.12  # of the normalized cross-correlation
_DELAY_OVER_CENTER = 3.0  # a mix with anything in the center correlates without delay
_DELAY_OVER_OTHERS = 2.0
_WHOLE_SAMPLE = 0.05  # a delay within this of a whole number of samples is one
_COHERENT_PEAK, _MIN_FRACTION_GAIN = 0.5, 1.03  # the channels' own phases shift a low peak by a part of a sample
_INVERTED_CORRELATION = -0.1
_INVERTED_PEAK = -0.12  # of the cross-correlation with flat spectra, without delay
_BASS_CORRELATION = -0.3
_MIN_BASS_SHARE_DB = -15.0  # bass quieter than this, relative to the track, is not judged
_WIDE_BASS_DB = 1.0  # unrelated channels have 0 dB
_IMBALANCE_DB = 5.0
_MONO_LOSS_DB = 4.0  # uncorrelated channels lose 3 dB
_RANGE_DB = 150.0  # of levels in the table: −∞ becomes −150


@dataclasses.dataclass(frozen=True)
class StereoMeasures:
    """Measures of a stereo signal.

    Attributes:
        correlation: of the channels, −1 to 1.
        band_correlation: the same in each of `_BANDS_HZ`.
        bass_width_db: power of the side over the mid below 120 Hz.
        bass_share_db: power below 120 Hz over all.
        imbalance_db: power of left over right.
        mono_loss_db: power that the mean of the channels loses against the mean power.
        delay_s: by how much the right channel is later, where the correlation is highest.
        delay_peak: the correlation there, of the channels with a flat spectrum; negative with inverted polarity.
        center_peak: the same near no delay.
        other_peak: the largest one elsewhere.
    """

    correlation: float
    band_correlation: tuple[float, ...]
    bass_width_db: float
    bass_share_db: float
    imbalance_db: float
    mono_loss_db: float
    delay_s: float
    delay_peak: float
    center_peak: float
    other_peak: float


def _ratio_db(numerator: float, denominator: float) -> float:
    """10·log10 of a ratio, within ±150 dB."""
    return float(np.clip(power_to_db((numerator + 1e-15) / (denominator + 1e-15)), -_RANGE_DB, _RANGE_DB))


def measure_stereo(spectrum: LongTermSpectrum) -> StereoMeasures | None:
    """Measures of a stereo signal; None where a channel is silent."""
    full = spectrum.bins(*_FULL_BAND_HZ)
    left, right, cross = (float(np.real(x[full]).sum()) for x in (spectrum.left, spectrum.right, spectrum.cross))
    if min(left, right) < _SILENT_POWER:
        return None
    bass = spectrum.bins(*BASS_HZ)
    bass_power = float(spectrum.power[bass].sum())
    bass_cross = float(np.real(spectrum.cross[bass]).sum())
    return StereoMeasures(
        correlation=cross / math.sqrt(left * right),
        band_correlation=tuple(_correlation(spectrum, *band) for band in _BANDS_HZ),
        bass_width_db=_ratio_db(bass_power - bass_cross, bass_power + bass_cross),
        bass_share_db=_ratio_db(bass_power, float(spectrum.power[full].sum())),
        imbalance_db=_ratio_db(left, right),
        mono_loss_db=_ratio_db(left + right, left + right + 2.0 * cross) + 10.0 * math.log10(2.0),
        **_delay(spectrum),
    )


def _correlation(spectrum: LongTermSpectrum, low_hz: float, high_hz: float) -> float:
    band = spectrum.bins(low_hz, high_hz)
    power = float(spectrum.left[band].sum()) * float(spectrum.right[band].sum())
    return float(np.real(spectrum.cross[band]).sum()) / math.sqrt(power) if power > _SILENT_POWER**2 else 1.0


def _coherence(spectrum: LongTermSpectrum, band: slice) -> Complex[np.ndarray, " bins"]:
    """The cross spectrum of both channels with flattened spectra, in a band."""
    return spectrum.cross[band] / np.sqrt(spectrum.left[band] * spectrum.right[band] + 1e-30)


def _delay(spectrum: LongTermSpectrum) -> dict[str, float]:
    """The delay of the strongest peak of the cross-correlation with flattened spectra (SCOT: Carter, Nuttall, Cable,
    "The smoothed coherence transform", 1973), and its neighbors."""
    band = spectrum.bins(*_DELAY_BAND_HZ)
    coherence = np.zeros_like(spectrum.cross)
    coherence[band] = _coherence(spectrum, band)
    correlation = np.fft.irfft(coherence) * (len(coherence) - 1) / max(1, band.stop - band.start)
    lag_seconds = 1.0 / (spectrum.bin_hz * len(correlation))
    reach = round(_MAX_DELAY_S / lag_seconds)
    # right is later by d: left(t) = s(t), right(t) = s(t − d), and the peak is at lag −d
    by_delay = np.roll(correlation, reach)[: 2 * reach + 1][::-1]
    peak = int(np.argmax(np.abs(by_delay)))
    near = max(1, round(_MIN_DELAY_S / lag_seconds))
    magnitude = np.abs(by_delay)
    others = magnitude.copy()
    others[max(0, peak - 12) : peak + 13] = 0.0
    return {
        "delay_s": (peak - reach) * lag_seconds,
        "delay_peak": float(by_delay[peak]),
        "center_peak": float(magnitude[reach - near + 1 : reach + near].max()),
        "other_peak": float(others.max()),
    }


def fine_delay_s(spectrum: LongTermSpectrum, stereo: StereoMeasures) -> float:
    """The delay of the right channel, also between samples where the phases of both channels clearly agree there."""
    band = spectrum.bins(*_DELAY_BAND_HZ)
    omega = 2.0 * np.pi * spectrum.freq_hz[band]
    coherence = _coherence(spectrum, band) * math.copysign(1.0, stereo.delay_peak)

    def aligned(delay_s: float) -> np.ndarray:
        return coherence * np.exp(-1j * omega * delay_s)

    delay_s = stereo.delay_s
    for _ in range(5):  # Newton's steps towards the maximum of the correlation
        products = aligned(delay_s)
        delay_s += float((omega * np.imag(products)).sum() / np.abs((omega**2 * np.real(products)).sum()))
    sample_s = 0.5 / spectrum.freq_hz[-1]
    whole_s = round(delay_s / sample_s) * sample_s
    is_whole = abs(delay_s - whole_s) <= _WHOLE_SAMPLE * sample_s
    gain = np.real(aligned(delay_s)).sum() / np.real(aligned(whole_s)).sum()
    is_unclear = abs(stereo.delay_peak) < _COHERENT_PEAK and gain < _MIN_FRACTION_GAIN
    return whole_s if is_whole or is_unclear or abs(delay_s - stereo.delay_s) > sample_s else delay_s


def find_stereo(spectrum: LongTermSpectrum, channels: int, stereo: StereoMeasures | None) -> list[Finding]:
    """Problems of a stereo image; nothing for other channel counts and before the first window.

    Args:
        spectrum: of the track.
        channels: number of channels.
        stereo: measures of both channels; None where one is silent.
    """
    if channels != 2 or not spectrum.num_windows:
        return []
    if stereo is None:
        return _find_silent_channel(spectrum)
    delay = _find_delay(stereo)
    inverted = [] if delay else _find_inverted_polarity(stereo)
    return [
        *delay,
        *inverted,
        *(() if inverted or delay else _find_bass(stereo)),
        *(() if delay else _find_mono_loss(stereo)),
        *_find_imbalance(stereo),
    ]


def _find_silent_channel(spectrum: LongTermSpectrum) -> list[Finding]:
    full = spectrum.bins(*_FULL_BAND_HZ)  # a constant offset is no sound
    left_db, right_db = (power_to_db(float(power[full].sum())) for power in (spectrum.left, spectrum.right))
    if max(left_db, right_db) < power_to_db(_SILENT_POWER):
        return []
    side = "left" if left_db < right_db else "right"
    return [
        Finding(
            name="silent_channel",
            value=min(left_db, right_db),
            unit="dBFS",
            severity=Severity.PROBLEM,
            sentence=f"The {side} channel is silent.",
            remedy="Export the mix again in stereo, or as a mono file.",
        )
    ]


def _find_delay(stereo: StereoMeasures) -> list[Finding]:
    peak = abs(stereo.delay_peak)
    is_delayed = abs(stereo.delay_s) >= _MIN_DELAY_S and peak >= _MIN_DELAY_PEAK
    if not is_delayed or peak < max(_DELAY_OVER_CENTER * stereo.center_peak, _DELAY_OVER_OTHERS * stereo.other_peak):
        return []
    later, delay_ms = "right" if stereo.delay_s > 0.0 else "left", abs(stereo.delay_s) * 1000.0
    polarity = " and its polarity is inverted" if stereo.delay_peak < 0.0 else ""
    return [
        Finding(
            name="channel_delay",
            value=stereo.delay_s * 1000.0,
            unit="ms",
            severity=Severity.PROBLEM,
            sentence=f"The {later} channel is {delay_ms:.2f} ms late{polarity}; the image shifts, and a mono sum"
            " sounds hollow.",
            remedy="Move the late channel earlier by this time.",
        )
    ]


def _find_inverted_polarity(stereo: StereoMeasures) -> list[Finding]:
    is_centered = abs(stereo.delay_s) < _MIN_DELAY_S
    if not (is_centered and stereo.delay_peak <= _INVERTED_PEAK and stereo.correlation <= _INVERTED_CORRELATION):
        return []
    return [
        Finding(
            name="polarity",
            value=stereo.correlation,
            unit="correlation",
            severity=Severity.PROBLEM,
            sentence=f"The channels are out of phase (correlation {format_signed(stereo.correlation, digits=2)}): in"
            " mono, most of the music cancels.",
            remedy="Invert the polarity of one channel, or reduce the stereo widener.",
            percentile=percentile_of("correlation", stereo.correlation),
        )
    ]


def _find_bass(stereo: StereoMeasures) -> list[Finding]:
    if stereo.bass_share_db < _MIN_BASS_SHARE_DB:
        return []
    percentile = percentile_of("bass_width_db", stereo.bass_width_db)
    if stereo.band_correlation[0] <= _BASS_CORRELATION:
        return [
            Finding(
                name="bass_polarity",
                value=stereo.band_correlation[0],
                unit="correlation",
                severity=Severity.PROBLEM,
                sentence="The bass is out of phase (correlation"
                f" {format_signed(stereo.band_correlation[0], digits=2)} below 120 Hz): on one speaker or a club's"
                " subwoofer most of it cancels.",
                remedy="Invert the polarity of one of the bass tracks, and compare in mono.",
                percentile=percentile_of("bass_correlation", stereo.band_correlation[0]),
            )
        ]
    if stereo.bass_width_db < _WIDE_BASS_DB:
        return []
    return [
        Finding(
            name="wide_bass",
            value=stereo.bass_width_db,
            unit="dB",
            severity=Severity.WARNING,
            sentence="The bass is wide: below 120 Hz the side is"
            f" {format_signed(stereo.bass_width_db, 'dB')} relative to the mid.",
            remedy="Narrow the bass below 120 Hz, so that it stays firm in mono and on vinyl.",
            percentile=percentile,
        )
    ]


def _find_mono_loss(stereo: StereoMeasures) -> list[Finding]:
    if stereo.mono_loss_db < _MONO_LOSS_DB:
        return []
    return [
        Finding(
            name="mono_loss",
            value=stereo.mono_loss_db,
            unit="dB",
            severity=Severity.WARNING,
            sentence=f"Played in mono, the track loses {stereo.mono_loss_db:.1f} dB; unrelated channels lose 3 dB.",
            remedy="Reduce stereo wideners, and check instruments that are panned hard or out of phase.",
            percentile=percentile_of("mono_loss_db", stereo.mono_loss_db),
        )
    ]


def _find_imbalance(stereo: StereoMeasures) -> list[Finding]:
    if abs(stereo.imbalance_db) < _IMBALANCE_DB:
        return []
    louder = "left" if stereo.imbalance_db > 0.0 else "right"
    return [
        Finding(
            name="imbalance",
            value=stereo.imbalance_db,
            unit="dB",
            severity=Severity.WARNING,
            sentence=f"The {louder} channel is {abs(stereo.imbalance_db):.1f} dB louder over the whole track.",
            remedy="Check the panning and the balance of the master bus.",
        )
    ]
