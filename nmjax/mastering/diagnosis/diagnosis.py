"""All detectors over the statistics of a track."""

from __future__ import annotations

import dataclasses
import math

from nmjax.audio.units import amplitude_to_db
from nmjax.mastering.diagnosis.ceiling import find_ceiling
from nmjax.mastering.diagnosis.clipping import find_clipping, find_true_peak_overs
from nmjax.mastering.diagnosis.dynamics import find_dynamics
from nmjax.mastering.diagnosis.file_quality import find_bandwidth, find_dc_offset, find_padding, find_subsonic
from nmjax.mastering.diagnosis.finding import SEVERITY_ORDER, Finding, Severity
from nmjax.mastering.diagnosis.resonance import find_resonances
from nmjax.mastering.diagnosis.saturation import find_saturation, is_cut_off, rounding_db
from nmjax.mastering.diagnosis.scan import TrackStatistics
from nmjax.mastering.diagnosis.spectrum import MIN_WINDOWS
from nmjax.mastering.diagnosis.stereo import find_stereo
from nmjax.mastering.diagnosis.tonal_balance import balance_db, find_tonal_balance
from nmjax.mastering.diagnosis.tones import find_tones

_EXACT_SHARE = 0.3  # of the samples in flat tops, at the highest level: at most 0.2 where a filter follows a clipper
_MIN_CLIPPED_DB = 1.5  # by how much clipped peaks would have continued; the flat tops of round peaks less


@dataclasses.dataclass(frozen=True)
class LoudnessMeasures:
    """Loudness and peak of a whole signal.

    Attributes:
        lufs: integrated; −inf for silence.
        loudness_range_lu: NaN below 3 s.
        true_peak: highest amplitude, including between samples.
    """

    lufs: float
    loudness_range_lu: float
    true_peak: float


def diagnose(
    statistics: TrackStatistics, loudness: LoudnessMeasures, container_bits: int | None = None
) -> list[Finding]:
    """All findings, the worst first.

    Args:
        statistics: from a `TrackScan` of the signal.
        loudness: of the same signal.
        container_bits: of the file's samples; None where unknown.
    """
    spectrum = statistics.spectrum
    findings = [
        *_find_distortion(statistics),
        *find_true_peak_overs(loudness.true_peak),
        *statistics.cell_findings,
        *find_dc_offset(statistics.samples.mean),
        *find_subsonic(spectrum),
        *find_tones(spectrum),
        *find_resonances(spectrum),
        *find_stereo(spectrum, statistics.channels, statistics.stereo),
        *find_tonal_balance(spectrum),
        *find_dynamics(
            loudness.lufs, loudness.loudness_range_lu, amplitude_to_db(loudness.true_peak), statistics.seconds
        ),
        *find_bandwidth(spectrum, statistics.sample_rate),
        *find_padding(statistics.samples, container_bits),
    ]
    return sorted(findings, key=lambda finding: SEVERITY_ORDER[finding.severity])


def _find_distortion(statistics: TrackStatistics) -> list[Finding]:
    """Clipping or saturation: flat tops are round, too, and the top of a wide round peak is flat."""
    clipping = find_clipping(statistics.clipping)
    if clipping and statistics.clipping.constant_share >= _EXACT_SHARE:
        return clipping
    ceiling = find_ceiling(statistics.ceiling)
    saturation = find_saturation(statistics.saturation, ceiling)
    is_clear = any(finding.severity is Severity.WARNING for finding in saturation)
    is_better = is_clear and (is_cut_off(ceiling) or statistics.clipping.overshoot_db < _MIN_CLIPPED_DB)
    return saturation if is_better or not clipping else clipping


def track_measures(statistics: TrackStatistics, loudness: LoudnessMeasures) -> dict[str, float]:
    """The measures that findings rank among the training songs; those that do not exist are left out."""
    measures = {
        "plr_db": amplitude_to_db(loudness.true_peak) - loudness.lufs,
        "loudness_range_lu": loudness.loudness_range_lu,
        "rounding_db": rounding_db(statistics.saturation),
        "dc_offset_db": amplitude_to_db(float(abs(statistics.samples.mean).max())),
    }
    if statistics.spectrum.num_windows >= MIN_WINDOWS and math.isfinite(loudness.lufs):
        measures |= {f"balance_{name}_db": level_db for name, level_db in balance_db(statistics.spectrum).items()}
    if stereo := statistics.stereo:
        measures |= {
            "correlation": stereo.correlation,
            "bass_correlation": stereo.band_correlation[0],
            "bass_width_db": stereo.bass_width_db,
            "imbalance_db": stereo.imbalance_db,
            "mono_loss_db": stereo.mono_loss_db,
        }
    return {name: value for name, value in measures.items() if math.isfinite(value)}
