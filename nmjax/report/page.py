"""The report of a master: one HTML file that holds everything it shows, without external requests."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nmjax import html
from nmjax.mastering.diagnosis.finding import Finding
from nmjax.mastering.repair.saturation import SaturationRepair
from nmjax.mastering.request_readers import SIDE_PREFIX
from nmjax.mastering.residual_level import SILENCE_DB, describe_residual
from nmjax.mastering.settings.labels import describe_closed_bands, is_closed, is_fully_open
from nmjax.models.parameters import EqSettings
from nmjax.reference.match import ReferenceMatch
from nmjax.reference.response import bands_response_db
from nmjax.report import figures
from nmjax.report.audio_players import Excerpt, encode_players
from nmjax.report.figures import EqFigure, Figure
from nmjax.report.gain_trace import GainTrace
from nmjax.report.limiting import LimitingTradeoff, limiting_figure
from nmjax.report.null_test import NullTest
from nmjax.report.processor_figures import inverse_curve_figure, limiter_figure
from nmjax.report.processors import ChainData, measure_processors
from nmjax.report.spectral_change import ResidualSpectrum, measure_spectral_change
from nmjax.report.track_analysis import SignalAnalysis
from nmjax.runtime import atomic_files

_TEMPLATES = Path(__file__).with_name("templates")
_DYNAMIC_RANGE_DB = 60.0  # bands further below the loudest are not named as the residual's strongest


@dataclasses.dataclass(frozen=True)
class FileMeasurements:
    """Measurements of an audio file, not finite where there is nothing to measure.

    format_name: format and bit depth, as the reader knows them.
    """

    lufs: float
    true_peak_db: float
    loudness_range_lu: float
    crest_db: float
    sample_rate: int
    channels: int
    duration_s: float
    format_name: str


@dataclasses.dataclass(frozen=True)
class ReportData:
    """The data of a report. Texts can hold anything; the page escapes them.

    Attributes:
        track_name: file name of the input.
        model_name: what the network does, with its checkpoint; or where the settings come from.
        summary: what was done, in sentences.
        findings: of the diagnosis, the worst first.
        input_measurements, master_measurements: of both files.
        eq: the rendered bands of one track.
        input_analysis, master_analysis: of both signals.
        chain: what was recorded of the processors after the equalizer; None without any.
        residual: None for a model without a residual network.
        target_lufs: None if no loudness was requested.
        compliance_lines: a line for each delivered file.
        limiting: the loudness that other depths of limiting would give; None without a limiter, or for silence.
        notes: sentences for the user.
        excerpts: for the audio players.
        null_test: None if none was written.
        match: the target of a reference; None without one.
        limiter: the gain of delivery and limiter over time; None without a limiter.
        limiter_input_gain_db: of the delivery, before the limiter.
        eq_side: the rendered bands of the side's equalizer; None without one.
        saturation: the repair of saturated peaks; None without one.
    """

    track_name: str
    model_name: str
    input_measurements: FileMeasurements
    master_measurements: FileMeasurements
    eq: EqSettings
    input_analysis: SignalAnalysis
    master_analysis: SignalAnalysis
    chain: ChainData | None = None
    residual: ResidualSpectrum | None = None
    target_lufs: float | None = None
    summary: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    compliance_lines: Sequence[str] = ()
    limiting: LimitingTradeoff | None = None
    notes: Sequence[str] = ()
    excerpts: Sequence[Excerpt] = ()
    null_test: NullTest | None = None
    match: ReferenceMatch | None = None
    limiter: GainTrace | None = None
    limiter_input_gain_db: float = 0.0
    eq_side: EqSettings | None = None
    saturation: SaturationRepair | None = None


@dataclasses.dataclass(frozen=True)
class _Band:
    """A band of the equalizer, or of the side's ("side.1")."""

    number: str
    freq_hz: float
    gain_db: float
    q: float
    gate: float
    rendered_gain_db: float

    @property
    def is_partly_open(self) -> bool:
        """Whether the gate reduces the gain."""
        return not is_fully_open(self.gate)


@dataclasses.dataclass(frozen=True)
class _ResidualPeak:
    """The band in which the residual is strongest relative to the signal."""

    freq_hz: float
    level_db: float


@dataclasses.dataclass(frozen=True)
class _MasterFigures:
    """The charts of equalizer, spectra and loudness; `limiter` is None without one."""

    eq: EqFigure
    spectra: Figure
    change: Figure
    loudness: Figure
    limiter: Figure | None


def write_report(path: Path, data: ReportData) -> None:
    """Write the page atomically.

    Raises:
        CannotWriteError: a full disk or a path that cannot be written.
    """
    atomic_files.write_text(path, render_page(data))


def render_page(data: ReportData) -> str:
    """Render the report as HTML. Its content security policy allows its own script and style, and no request."""
    before, after = data.input_analysis, data.master_analysis
    residual = data.residual if data.residual and data.residual.level_db >= SILENCE_DB else None
    eq_db = bands_response_db(data.eq.bands(), before.freq_hz)
    change = measure_spectral_change(before, after, eq_db)
    return html.render_page(
        _TEMPLATES / "report.html.j2",
        styles=[html.COMPONENTS / "colors.css", html.COMPONENTS / "components.css", _TEMPLATES / "report.css"],
        script=_TEMPLATES / "report.js",
        policy=["default-src 'none'", "media-src data:"],
        report=data,
        players=encode_players(data.excerpts),
        bands=[
            *_list_bands(data.eq),
            *(_list_bands(data.eq_side, prefix=SIDE_PREFIX) if data.eq_side is not None else []),
        ],
        closed_bands=_describe_closed_bands(data.eq),
        processors=measure_processors(data.chain) if data.chain else None,
        change=change,
        figures=_MasterFigures(
            eq=figures.eq_figure(data.eq, before, after, data.match, data.eq_side),
            spectra=figures.spectra_figure(before, after, data.match),
            change=figures.change_figure(change, eq_db[: len(change.freq_hz)]),
            loudness=figures.loudness_figure(before, after, data.target_lufs),
            limiter=limiter_figure(data.limiter, data.limiter_input_gain_db) if data.limiter else None,
        ),
        saturation_figure=inverse_curve_figure(data.saturation) if data.saturation else None,
        limiting_figure=limiting_figure(data.limiting) if data.limiting else None,
        residual_summary=describe_residual(data.residual.level_db) if data.residual else None,
        residual_peak=_find_residual_peak(residual) if residual else None,
        residual_figure=figures.residual_figure(residual) if residual else None,
        silence_db=SILENCE_DB,
    )


def _list_bands(eq: EqSettings, prefix: str = "") -> list[_Band]:
    """The bands with an effect, numbered as on the command line."""
    columns = (eq.freq_hz, eq.gain_db, eq.q, eq.gate, eq.rendered_gain_db)
    rows = zip(*(np.asarray(column)[0].tolist() for column in columns), strict=True)
    bands = [_Band(f"{prefix}{number}", *row) for number, row in enumerate(rows, 1)]
    return [band for band in bands if band.gain_db != 0.0 and not is_closed(band.gate)]


def _describe_closed_bands(eq: EqSettings) -> str:
    gates = np.asarray(eq.gate)[0].tolist()
    return describe_closed_bands(sum(map(is_closed, gates)), len(gates))


def _find_residual_peak(residual: ResidualSpectrum) -> _ResidualPeak:
    in_range = residual.signal_db > residual.signal_db.max() - _DYNAMIC_RANGE_DB
    relative_db = np.where(in_range, residual.residual_db - residual.signal_db, -np.inf)
    strongest = int(np.argmax(relative_db))
    return _ResidualPeak(freq_hz=float(residual.freq_hz[strongest]), level_db=float(relative_db[strongest]))
