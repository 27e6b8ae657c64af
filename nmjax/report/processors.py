"""What the processors after the equalizer did to a track: the numbers and charts of their section in the report."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from nmjax.dsp import Compressor
from nmjax.dsp.width import CROSSOVER_HZ
from nmjax.mastering.settings.labels import setting_label, setting_value
from nmjax.models import Settings
from nmjax.models.processors import PROCESSORS
from nmjax.report import processor_figures
from nmjax.report.figures import Figure
from nmjax.report.gain_trace import GainTrace
from nmjax.report.track_analysis import FLOOR_DB, SignalAnalysis

_LABELS = {"eq": "Equalizer", "compressor": "Compressor", "saturator": "Saturator", "width": "Width"}


@dataclasses.dataclass(frozen=True)
class ChainData:
    """What was recorded of the chain of processors.

    Attributes:
        settings: of one track.
        analyses: in the order of the chain, of the signal before it ("input") and after the equalizer ("eq") and each
            processor that was rendered, by its name.
        gain_traces: in the order of the chain, of the equalizer and each processor that was rendered, by its name.
    """

    settings: Settings
    analyses: Mapping[str, SignalAnalysis]
    gain_traces: Mapping[str, GainTrace]

    def analysis_before(self, name: str) -> SignalAnalysis:
        """The analysis of the input of a processor."""
        names = list(self.analyses)
        return self.analyses[names[names.index(name) - 1]]


@dataclasses.dataclass(frozen=True)
class SettingRow:
    """One setting of a processor as text, and its neutral value, empty if it has none."""

    processor: str
    name: str
    value: str
    neutral: str


@dataclasses.dataclass(frozen=True)
class CompressorReport:
    """What the compressor did, without make-up gain, in dB.

    level_change_db: over the whole track. min_gain_db, max_gain_db: over 10 ms blocks, NaN for silence.
    """

    level_change_db: float
    min_gain_db: float
    max_gain_db: float
    static_curve: Figure
    gain_trace: Figure


@dataclasses.dataclass(frozen=True)
class LevelChange:
    """A level before and after a processor, in dB; NaN for silence."""

    label: str
    before_db: float
    after_db: float


@dataclasses.dataclass(frozen=True)
class WidthReport:
    """The level of the side relative to mid, and the level that a mono sum loses."""

    side_to_mid: list[LevelChange]
    mono_loss: LevelChange
    figure: Figure


@dataclasses.dataclass(frozen=True)
class Contribution:
    """How much a processor changed; see `GainTrace`."""

    processor: str
    level_change_db: float
    null_level_db: float


@dataclasses.dataclass(frozen=True)
class ProcessorsReport:
    """The section about the processors.

    compressor, width: None where they were not rendered; width also where the track is not stereo.
    has_width: whether the width processor was rendered.
    """

    settings: list[SettingRow]
    compressor: CompressorReport | None
    has_width: bool
    width: WidthReport | None
    contributions: list[Contribution]
    spectra: Figure


def measure_processors(chain: ChainData) -> ProcessorsReport:
    """Measure what each processor of the chain did."""
    compressor, has_width = chain.settings.compressor, "width" in chain.gain_traces
    spectra = {_LABELS[name]: (chain.analysis_before(name), chain.analyses[name]) for name in chain.gain_traces}
    return ProcessorsReport(
        settings=_setting_rows(chain),
        compressor=_measure_compressor(chain, compressor) if compressor and "compressor" in chain.gain_traces else None,
        has_width=has_width,
        width=_measure_width(chain.analysis_before("width"), chain.analyses["width"]) if has_width else None,
        contributions=[
            Contribution(_LABELS[name], trace.level_change_db, trace.null_level_db)
            for name, trace in chain.gain_traces.items()
        ],
        spectra=processor_figures.chain_spectra_figure(spectra),
    )


def _setting_rows(chain: ChainData) -> list[SettingRow]:
    return [
        SettingRow(
            processor=_LABELS[processor],
            name=setting_label(spec),
            value=setting_value(spec, _first(getattr(getattr(chain.settings, processor), spec.name))),
            neutral="" if spec.neutral is None else setting_value(spec, spec.neutral),
        )
        for processor in chain.gain_traces
        if processor in PROCESSORS
        for spec in PROCESSORS[processor].settings
    ]


def _measure_compressor(chain: ChainData, settings: Compressor) -> CompressorReport:
    trace, makeup_db = chain.gain_traces["compressor"], _first(settings.makeup_db)
    gain_db = trace.gain_db - makeup_db
    gain_db = gain_db[np.isfinite(gain_db)]
    min_gain_db = max_gain_db = math.nan
    if len(gain_db):
        min_gain_db = float(min(gain_db.min(), np.nanmin(trace.min_gain_db - makeup_db)))
        max_gain_db = float(np.nanmax(trace.max_gain_db - makeup_db))
    return CompressorReport(
        level_change_db=trace.level_change_db - makeup_db,
        min_gain_db=min_gain_db,
        max_gain_db=max_gain_db,
        static_curve=processor_figures.static_curve_figure(settings, _first(chain.settings.input_gain_db)),
        gain_trace=processor_figures.compressor_figure(trace, makeup_db, is_expander=_first(settings.ratio) < 1.0),
    )


def _measure_width(before: SignalAnalysis, after: SignalAnalysis) -> WidthReport | None:
    """The change of the width; None unless stereo."""
    if before.side_db is None:
        return None
    ranges = (("Below", 0.0, CROSSOVER_HZ), ("Above", CROSSOVER_HZ, math.inf))
    return WidthReport(
        side_to_mid=[
            LevelChange(
                label=f"{name} {CROSSOVER_HZ:g} Hz",
                before_db=_side_to_mid_db(before, low_hz, high_hz),
                after_db=_side_to_mid_db(after, low_hz, high_hz),
            )
            for name, low_hz, high_hz in ranges
        ],
        mono_loss=LevelChange("Loss in mono", before_db=-_mono_sum_db(before), after_db=-_mono_sum_db(after)),
        figure=processor_figures.width_figure(before, after),
    )


def _side_to_mid_db(analysis: SignalAnalysis, low_hz: float, high_hz: float) -> float:
    """The side's power relative to mid's between two frequencies; NaN where either is silent."""
    if analysis.side_db is None:
        return math.nan
    in_band = (analysis.freq_hz >= low_hz) & (analysis.freq_hz < high_hz)
    mid_power, side_power = _total_power(analysis.mid_db[in_band]), _total_power(analysis.side_db[in_band])
    return 10.0 * math.log10(side_power / mid_power) if side_power > 0.0 and mid_power > 0.0 else math.nan


def _mono_sum_db(analysis: SignalAnalysis) -> float:
    """The power of the mean of the channels relative to their mean power, at most 0; NaN for silence."""
    mid_power, total_power = _total_power(analysis.mid_db), _total_power(analysis.total_db)
    return min(0.0, 10.0 * math.log10(mid_power / total_power)) if mid_power > 0.0 and total_power > 0.0 else math.nan


def _total_power(level_db: np.ndarray) -> float:
    return float(np.sum(np.where(level_db > FLOOR_DB, 10.0 ** (level_db / 10.0), 0.0)))


def _first(values: object) -> float:
    """The value of the only track of a batch."""
    return float(np.asarray(values)[0])
