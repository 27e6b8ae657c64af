"""The part of the report about the stages behind the equaliser: their settings, and what each did to this track."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from nmjax.dsp.width import CROSSOVER_HZ
from nmjax.models import Settings
from nmjax.models.processors import PROCESSORS, processor_settings
from nmjax.report import processor_figures as figures
from nmjax.report.figures import format_signed, use_true_minus
from nmjax.report.gain_trace import GainTrace
from nmjax.report.track_analysis import SignalAnalysis

_SILENCE_DB = -100.0  # what lies further below the signal than this is none
_LABELS = {"eq": "Equaliser", "compressor": "Compressor", "saturator": "Saturator", "width": "Width"}


@dataclasses.dataclass(frozen=True)
class ChainData:
    """What the stages did. settings: one track's. heard: the input ("input") and what came out of each part ("eq" and
    the stages that change something), in the order of the chain. passed: of each part."""

    settings: Settings
    analyses: Mapping[str, SignalAnalysis]
    gain_traces: Mapping[str, GainTrace]

    @property
    def processors(self) -> list[str]:
        """The stages that were rendered."""
        return [name for name in self.gain_traces if name in PROCESSORS]

    def analysis_before(self, name: str) -> SignalAnalysis:
        """What went into a part."""
        names = list(self.analyses)
        return self.analyses[names[names.index(name) - 1]]


def processors_section(chain: ChainData | None) -> str:
    """The section as HTML; nothing where there are no stages."""
    if chain is None:
        return ""
    parts = [_settings_table(chain)]
    if "compressor" in chain.gain_traces:
        parts.append(_compressor_section(chain))
    if "width" in chain.gain_traces:
        parts.append(_width_section(chain))
    parts.append(_contributions_section(chain))
    return f"<section><h2>Stages behind the equaliser</h2>{''.join(parts)}</section>"


def _settings_table(chain: ChainData) -> str:
    """A row for each setting, in the table's order and units."""
    rows = ""
    for processor in chain.processors:
        values = getattr(chain.settings, processor)
        for i, spec in enumerate(processor_settings(processor)):
            value = use_true_minus(f"{float(np.asarray(getattr(values, spec.name))[0]):.3g}")
            neutral = "" if spec.neutral is None else f"{spec.neutral:g} {spec.unit}".strip()
            rows += (
                f'<tr><th scope="row">{"" if i else _LABELS[processor]}</th><td>{spec.name}</td>'
                f"<td>{f'{value} {spec.unit}'.strip()}</td><td>{neutral}</td></tr>"
            )
    return _html_table(("Stage", "Setting", "Value", "Does nothing at"), rows)


def _html_table(names: tuple[str, ...], rows: str) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _compressor_section(chain: ChainData) -> str:
    settings, trace = chain.settings.compressor, chain.gain_traces["compressor"]
    makeup_db, gain_db = float(np.asarray(settings.makeup_db)[0]), float(np.asarray(chain.settings.input_gain_db)[0])
    reduction_db = trace.gain_db - makeup_db
    finite_reduction_db = reduction_db[np.isfinite(reduction_db)]
    if len(finite_reduction_db):
        extremes_db = (
            min(finite_reduction_db.min(), np.nanmin(trace.min_gain_db - makeup_db)),
            np.nanmax(trace.max_gain_db - makeup_db),
        )
        text = (
            f"Without its make-up it changed the level by {format_signed(trace.level_change_db - makeup_db)} dB in all, and from "
            f"moment to moment (10 ms) by {format_signed(extremes_db[0])} to {format_signed(extremes_db[1])} dB."
        )
    else:
        text = "It heard silence."
    return (
        f"<h3>Compressor</h3><p>{text}</p>{figures.static_curve_figure(settings, gain_db)}"
        f"{figures.gain_trace_figure(trace, makeup_db, float(np.asarray(settings.ratio)[0]) < 1.0)}"
    )


def _width_section(chain: ChainData) -> str:
    before, after = chain.analysis_before("width"), chain.analyses["width"]
    if before.side_db is None:
        return "<h3>Width</h3><p>Only two channels have a width; nothing was done.</p>"
    rows = ""
    for name, low, high in (("Below", 0.0, CROSSOVER_HZ), ("Above", CROSSOVER_HZ, math.inf)):
        values = [_side_to_mid_db(analysis, low, high) for analysis in (before, after)]
        rows += f'<tr><th scope="row">{name} {CROSSOVER_HZ:g} Hz</th>{_change_cells(values)}</tr>'
    mono_sums_db = [_mono_sum_db(before), _mono_sum_db(after)]
    rows += f'<tr><th scope="row">A mono sum loses</th>{_change_cells([-x for x in mono_sums_db])}</tr>'
    table = _html_table(("Side beside mid", "Before", "After", "Change"), rows)
    return f"<h3>Width</h3>{table}{figures.width_figure(before, after)}"


def _change_cells(values: list[float]) -> str:
    texts = [
        f"{format_signed(value)} dB" if math.isfinite(value) else "–" for value in (*values, values[1] - values[0])
    ]
    return "".join(f"<td>{text}</td>" for text in texts)


def _side_to_mid_db(analysis: SignalAnalysis, low_hz: float, high_hz: float) -> float:
    """The side's power beside the mid's in a band of frequencies."""
    in_band = (analysis.freq_hz >= low_hz) & (analysis.freq_hz < high_hz)
    mid_power, side_power = (_total_power(level[in_band]) for level in (analysis.mid_db, analysis.side_db))
    return 10.0 * math.log10(side_power / mid_power) if side_power > 0.0 and mid_power > 0.0 else math.nan


def _mono_sum_db(analysis: SignalAnalysis) -> float:
    """The power of the channels' mean beside the channels' mean power, 0 or below."""
    mid_power, total_power = _total_power(analysis.mid_db), _total_power(analysis.total_db)
    return min(0.0, 10.0 * math.log10(mid_power / total_power)) if mid_power > 0.0 and total_power > 0.0 else math.nan


def _total_power(level_db: np.ndarray) -> float:
    return float(np.sum(np.where(level_db > figures.FLOOR_DB, 10.0 ** (level_db / 10.0), 0.0)))


def _contributions_section(chain: ChainData) -> str:
    rows = ""
    for name, trace in chain.gain_traces.items():
        level_change = f"{format_signed(trace.level_change_db)} dB" if math.isfinite(trace.level_change_db) else "–"
        if not trace.null_level_db > _SILENCE_DB:
            null_level = "nothing"
        else:
            null_level = (
                f"{abs(trace.null_level_db):.1f} dB {'above' if trace.null_level_db > 0.0 else 'below'} its output"
            )
        rows += f'<tr><th scope="row">{_LABELS[name]}</th><td>{level_change}</td><td>{null_level}</td></tr>'
    explanation = (
        "What each part changed is what is left when its input, at the level that leaves least, is taken out of its "
        "output: the smaller the number, the larger its share of the change."
    )
    spectra = {_LABELS[name]: (chain.analysis_before(name), chain.analyses[name]) for name in chain.gain_traces}
    return (
        f"<h3>What each part did</h3>{_html_table(('Part', 'Louder by', 'Changed beside that'), rows)}"
        f'<p class="small">{explanation}</p>{figures.chain_spectra_figure(spectra)}'
    )
