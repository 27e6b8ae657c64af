"""The report of a master: one HTML file that holds everything it shows and asks no network for anything."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import math
import unicodedata
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from nmjax.models.parameters import EqSettings
from nmjax.reference.match import ReferenceMatch
from nmjax.report import figures
from nmjax.report.audio_players import AudioPlayer, Excerpt, encode_players
from nmjax.report.figures import format_signed
from nmjax.report.null_test import NullTest
from nmjax.report.processors import ChainData, processors_section
from nmjax.report.spectral_change import ResidualSpectrum, measure_spectral_change
from nmjax.report.svg import format_time
from nmjax.report.track_analysis import SignalAnalysis
from nmjax.runtime import atomic_files

_MODULE_PATH = Path(__file__)
_SILENCE_DB = -100.0  # what lies further below the signal than this is none
_DYNAMIC_RANGE_DB = 60.0  # bands that lie further below the loudest are not named


@dataclasses.dataclass(frozen=True)
class FileMeasurements:
    """What a file measures: LUFS, dBTP, LU and dB; not finite where there is nothing to measure. kind: format and bit
    depth, as a person says them."""

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
    """All that a report says.

    track: the file's name. model: phase, step and checkpoint in words. eq: one track's bands as they were rendered.
    heard_before, heard_after: input and master. chain: what the stages behind the equaliser did, None where there are
    none. residual: None for a model that is an equaliser alone. target_lufs:
    None if none was asked for. verdicts: a line for each delivered file. notes: sentences. excerpts: to listen to.
    null_test: if one was written. match: what a reference asked for. Names and sentences may hold anything; they are
    escaped.
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
    compliance_lines: Sequence[str] = ()
    notes: Sequence[str] = ()
    excerpts: Sequence[Excerpt] = ()
    null_test: NullTest | None = None
    match: ReferenceMatch | None = None


def write_report(path: Path, data: ReportData) -> None:
    """Write the page, whole or not at all.

    Raises:
        CannotWriteError: a full disk, or a place that cannot be written.
    """
    text = render_page(data)
    with atomic_files.temporary_sibling(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        atomic_files.commit_file(temporary, path)


def render_page(data: ReportData) -> str:
    """The report as HTML. Its security policy allows this one script and style, and no request to anywhere."""
    style, script = (_MODULE_PATH.with_suffix(suffix).read_text(encoding="utf-8") for suffix in (".css", ".js"))
    policy = (
        f"default-src 'none'; style-src '{_csp_hash(style)}'; script-src '{_csp_hash(script)}'; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    title = _escape_text(data.track_name)
    parts = [_heading(data), _measurements_section(data), _players_section(data), _equalizer_section(data), processors_section(data.chain),
             _spectrum_section(data), _loudness_section(data), _residual_section(data)]  # fmt: skip
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: mastering report</title><style>{style}</style></head>\n<body>\n"
        + "\n".join(filter(None, parts))
        + f"\n<script>{script}</script>\n</body></html>\n"
    )


def _csp_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _escape_text(text: str) -> str:
    """Escaped for text and attributes; what no page can hold (half a surrogate, control characters) as a mark."""
    return escape("".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") else c for c in text))


def _bullet_list(lines: Sequence[str], css_class: str) -> str:
    items = "".join(f"<li><bdi>{_escape_text(line)}</bdi></li>" for line in lines)
    return f'<ul class="{css_class}">{items}</ul>' if lines else ""


def _heading(data: ReportData) -> str:
    return (
        f'<header><h1><bdi>{_escape_text(data.track_name)}</bdi></h1><p class="model">{_escape_text(data.model_name)}</p></header>'
        + _bullet_list(data.compliance_lines, "verdict")
        + _bullet_list(data.notes, "notes")
    )


def _measurements_section(data: ReportData) -> str:
    """The table of measurements; where a number has a difference, that too."""
    before, after = data.input_measurements, data.master_measurements
    rows = [
        _measurement_row("Loudness, integrated", "LUFS", before.lufs, after.lufs),
        _measurement_row("True peak", "dBTP", before.true_peak_db, after.true_peak_db),
        _measurement_row("Loudness range", "LU", before.loudness_range_lu, after.loudness_range_lu),
        _measurement_row("Crest factor", "dB", before.crest_db, after.crest_db),
    ]
    text_rows = [
        ("Sample rate", *(f"{m.sample_rate:,} Hz" for m in (before, after))),
        ("Channels", *(str(m.channels) for m in (before, after))),
        ("Duration", *(format_time(m.duration_s, tenths=m.duration_s < 60) for m in (before, after))),
        ("Format", *(_escape_text(m.format_name) for m in (before, after))),
    ]
    rows += [
        f'<tr><th scope="row">{name}</th><td>{before_text}</td><td>{after_text}</td><td></td></tr>'
        for name, before_text, after_text in text_rows
    ]
    head = "".join(f'<th scope="col">{name}</th>' for name in ("", "Input", "Master", "Change"))
    return (
        '<section><h2>Measurements</h2><div class="scroll"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _measurement_row(name: str, unit: str, before: float, after: float) -> str:
    change = after - before if math.isfinite(before) and math.isfinite(after) else math.nan
    cells = "".join(
        f"<td>{text}</td>"
        for text in (_format_number(before, unit), _format_number(after, unit), _format_number(change, "", True))
    )
    return f'<tr><th scope="row">{name}</th>{cells}</tr>'


def _format_number(value: float, unit: str, with_sign: bool = False) -> str:
    if not math.isfinite(value):
        return "–"
    text = format_signed(value) if with_sign else f"{value:.1f}".replace("-", "−")
    return f"{text} {unit}".strip()


def _players_section(data: ReportData) -> str:
    if not data.excerpts:
        return ""
    player_html = "".join(map(_player_html, encode_players(list(data.excerpts))))
    key_help = (
        '<p class="keys"><kbd>A</kbd> input, <kbd>B</kbd> master, <kbd>Space</kbd> plays and pauses. '
        "Switching keeps the place.</p>"
    )
    return f'<section class="listen"><h2>Listen, at the same loudness</h2>{key_help}{player_html}</section>'


def _player_html(player: AudioPlayer) -> str:
    start, end = format_time(player.start_s), format_time(player.start_s + player.duration_s)
    audios = "".join(
        f'<div class="plain">{title} <audio class="{css_class}" controls preload="none" src="data:audio/flac;base64,{flac_base64}">'
        "</audio></div>"
        for css_class, title, flac_base64 in (("a", "Input", player.before_flac), ("b", "Master", player.after_flac))
    )
    level = (
        f"Both play at {_format_number(player.lufs, 'LUFS')}" if math.isfinite(player.lufs) else "Loudness not matched"
    )
    gains = f"input {format_signed(player.before_gain_db)} dB, master {format_signed(player.after_gain_db)} dB"
    return (
        f'<div class="player" data-seconds="{player.duration_s:.6f}"><div class="head">'
        f'<h3>{player.name}, {start} to {end}</h3><span class="now" aria-live="polite"></span></div>'
        '<div class="controls" hidden><button type="button" class="play">▶ Play</button>'
        '<button type="button" class="a" aria-pressed="false">A: input</button>'
        '<button type="button" class="b" aria-pressed="true">B: master</button>'
        '<input class="seek" type="range" min="0" max="1000" value="0" aria-label="Place in the excerpt">'
        '<span class="clock"></span></div>'
        f'{audios}<p class="small">{level}: {gains}.</p></div>'
    )


def _equalizer_section(data: ReportData) -> str:
    eq = data.eq
    columns = (eq.freq_hz, eq.gain_db, eq.q, eq.gate, eq.rendered_gain_db)
    bands = list(zip(*(np.asarray(x)[0].tolist() for x in columns), strict=True))
    gated = any(gate != 1.0 for _, _, _, gate, _ in bands)
    names = ("Band", "Frequency", "Gain", "Q", *(("Gate", "Rendered gain") if gated else ()))
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    rows = ""
    for number, (freq_hz, gain_db, q, gate, rendered_db) in enumerate(bands, 1):
        cells = [f"{freq_hz:,.0f} Hz", f"{format_signed(gain_db, 2)} dB", f"{q:.2f}"]
        cells += [f"{gate:.2f}", f"{format_signed(rendered_db, 2)} dB"] if gated else []
        rows += f'<tr><th scope="row">{number}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
    return (
        f'<section><h2>Equaliser</h2>{figures.eq_figure(eq, data.match)}<div class="scroll"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _spectrum_section(data: ReportData) -> str:
    before, after = data.input_analysis, data.master_analysis
    eq_db = figures.band_responses_db(data.eq, before.freq_hz).sum(axis=0)
    change = measure_spectral_change(before, after, eq_db)
    if change.r_squared is None:
        sentence = "The spectrum did not change."
    else:
        sentence = f"The equaliser explains {100.0 * change.r_squared:.0f} % of the change of the spectrum."
    other_causes = "the stages behind it, the second network" if data.chain else "the second network"
    explanation = (
        "The share is that of the squared decibels, over twelfths of an octave and apart from a gain that is the same "
        f"everywhere; the rest is {other_causes}, the limiter, and what music does to an average."
    )
    return (
        f"<section><h2>Spectrum</h2>{figures.spectra_figure(before, after, data.match)}<h2>Change of the spectrum</h2>"
        f'<p>{sentence} <span class="small">{explanation}</span></p>{figures.change_figure(change, eq_db[: len(change.freq_hz)])}'
        "</section>"
    )


def _loudness_section(data: ReportData) -> str:
    figure = figures.loudness_figure(data.input_analysis, data.master_analysis, data.target_lufs)
    return f"<section><h2>Loudness over time</h2>{figure}</section>"


def _residual_section(data: ReportData) -> str:
    residual, null_test = data.residual, data.null_test
    if residual is None:
        causes = "the equaliser's, the stages' behind it" if data.chain else "the equaliser's"
        text = f"<p>This model has none, or it was left out: every change is {causes} and the delivery's.</p>"
    elif residual.level_db < _SILENCE_DB:
        text = "<p>It added nothing to this track.</p>"
    else:
        text = f"<p>{_describe_residual(residual)}</p>{figures.residual_figure(residual)}"
    if null_test is not None:
        text += (
            f"<p>Null test: with the master at {format_signed(null_test.gain_db)} dB and the input taken out of it, what is left "
            f"lies {_format_relative_level(null_test.level_db)} the input.</p>"
        )
    return f"<section><h2>What the second network added</h2>{text}</section>"


def _describe_residual(residual: ResidualSpectrum) -> str:
    in_range = residual.signal_db > residual.signal_db.max() - _DYNAMIC_RANGE_DB
    relative_db = np.where(in_range, residual.residual_db - residual.signal_db, -np.inf)
    strongest = int(np.argmax(relative_db))
    return (
        f"It lies {_format_relative_level(residual.level_db)} the signal to which it is added; it is strongest at "
        f"{residual.freq_hz[strongest]:,.0f} Hz, {_format_relative_level(float(relative_db[strongest]))} the signal there."
    )


def _format_relative_level(level_db: float) -> str:
    """Where a level lies, as in "12.0 dB below"."""
    if level_db < _SILENCE_DB:
        return f"more than {-_SILENCE_DB:.0f} dB below"
    return f"{abs(level_db):.1f} dB {'above' if level_db > 0.0 else 'below'}"
