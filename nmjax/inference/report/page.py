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

from nmjax import io
from nmjax.inference.report import figures
from nmjax.inference.report.change import Residual, explained
from nmjax.inference.report.figures import signed
from nmjax.inference.report.insight import Heardings
from nmjax.inference.report.null_test import NullTest
from nmjax.inference.report.players import Excerpt, Player, players
from nmjax.inference.report.stages import ChainFacts, stages_section
from nmjax.inference.report.svg import clock
from nmjax.models.settings import EqSettings
from nmjax.reference.match import Match

_HERE = Path(__file__)
_SOUND_BELOW_DB = -100.0  # what lies further below the signal than this is none
_HEARD_DB = 60.0  # bands that lie further below the loudest are not named


@dataclasses.dataclass(frozen=True)
class Meters:
    """What a file measures: LUFS, dBTP, LU and dB; not finite where there is nothing to measure. kind: format and bit
    depth, as a person says them."""

    lufs: float
    true_peak_db: float
    loudness_range: float
    crest_db: float
    sample_rate: int
    channels: int
    seconds: float
    kind: str


@dataclasses.dataclass(frozen=True)
class ReportFacts:
    """All that a report says.

    track: the file's name. model: phase, step and checkpoint in words. eq: one track's bands as they were rendered.
    heard_before, heard_after: input and master. chain: what the stages behind the equaliser did, None where there are
    none. residual: None for a model that is an equaliser alone. target_lufs:
    None if none was asked for. verdicts: a line for each delivered file. notes: sentences. excerpts: to listen to.
    null_test: if one was written. match: what a reference asked for. Names and sentences may hold anything; they are
    escaped.
    """

    track: str
    model: str
    before: Meters
    after: Meters
    eq: EqSettings
    heard_before: Heardings
    heard_after: Heardings
    chain: ChainFacts | None = None
    residual: Residual | None = None
    target_lufs: float | None = None
    verdicts: Sequence[str] = ()
    notes: Sequence[str] = ()
    excerpts: Sequence[Excerpt] = ()
    null_test: NullTest | None = None
    match: Match | None = None


def write_report(path: Path, facts: ReportFacts) -> None:
    """Write the page, whole or not at all.

    Raises:
        CannotWriteError: a full disk, or a place that cannot be written.
    """
    text = page(facts)
    with io.temporary_beside(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        io.publish(temporary, path)


def page(facts: ReportFacts) -> str:
    """The report as HTML. Its security policy allows this one script and style, and no request to anywhere."""
    style, script = (_HERE.with_suffix(suffix).read_text(encoding="utf-8") for suffix in (".css", ".js"))
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    name = _shown(facts.track)
    parts = [_heading(facts), _meters(facts), _listening(facts), _equaliser(facts), stages_section(facts.chain),
             _spectra(facts), _loudness(facts), _second_network(facts)]  # fmt: skip
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}: mastering report</title><style>{style}</style></head>\n<body>\n"
        + "\n".join(filter(None, parts))
        + f"\n<script>{script}</script>\n</body></html>\n"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _shown(text: str) -> str:
    """Escaped for text and attributes; what no page can hold (half a surrogate, control characters) as a mark."""
    return escape("".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") else c for c in text))


def _list(lines: Sequence[str], kind: str) -> str:
    items = "".join(f"<li><bdi>{_shown(line)}</bdi></li>" for line in lines)
    return f'<ul class="{kind}">{items}</ul>' if lines else ""


def _heading(facts: ReportFacts) -> str:
    return (
        f'<header><h1><bdi>{_shown(facts.track)}</bdi></h1><p class="model">{_shown(facts.model)}</p></header>'
        + _list(facts.verdicts, "verdict")
        + _list(facts.notes, "notes")
    )


def _meters(facts: ReportFacts) -> str:
    """The table of measurements; where a number has a difference, that too."""
    before, after = facts.before, facts.after
    rows = [
        _row("Loudness, integrated", "LUFS", before.lufs, after.lufs),
        _row("True peak", "dBTP", before.true_peak_db, after.true_peak_db),
        _row("Loudness range", "LU", before.loudness_range, after.loudness_range),
        _row("Crest factor", "dB", before.crest_db, after.crest_db),
    ]
    texts = [
        ("Sample rate", *(f"{m.sample_rate:,} Hz" for m in (before, after))),
        ("Channels", *(str(m.channels) for m in (before, after))),
        ("Duration", *(clock(m.seconds, tenths=m.seconds < 60) for m in (before, after))),
        ("Format", *(_shown(m.kind) for m in (before, after))),
    ]
    rows += [f'<tr><th scope="row">{name}</th><td>{one}</td><td>{two}</td><td></td></tr>' for name, one, two in texts]
    head = "".join(f'<th scope="col">{name}</th>' for name in ("", "Input", "Master", "Change"))
    return (
        '<section><h2>Measurements</h2><div class="scroll"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _row(name: str, unit: str, before: float, after: float) -> str:
    change = after - before if math.isfinite(before) and math.isfinite(after) else math.nan
    cells = "".join(
        f"<td>{text}</td>" for text in (_number(before, unit), _number(after, unit), _number(change, "", True))
    )
    return f'<tr><th scope="row">{name}</th>{cells}</tr>'


def _number(value: float, unit: str, sign: bool = False) -> str:
    if not math.isfinite(value):
        return "–"
    text = signed(value) if sign else f"{value:.1f}".replace("-", "−")
    return f"{text} {unit}".strip()


def _listening(facts: ReportFacts) -> str:
    if not facts.excerpts:
        return ""
    boxes = "".join(map(_player, players(list(facts.excerpts))))
    keys = (
        '<p class="keys"><kbd>A</kbd> input, <kbd>B</kbd> master, <kbd>Space</kbd> plays and pauses. '
        "Switching keeps the place.</p>"
    )
    return f'<section class="listen"><h2>Listen, at the same loudness</h2>{keys}{boxes}</section>'


def _player(player: Player) -> str:
    start, end = clock(player.start), clock(player.start + player.seconds)
    audios = "".join(
        f'<div class="plain">{title} <audio class="{side}" controls preload="none" src="data:audio/flac;base64,{data}">'
        "</audio></div>"
        for side, title, data in (("a", "Input", player.before), ("b", "Master", player.after))
    )
    level = f"Both play at {_number(player.lufs, 'LUFS')}" if math.isfinite(player.lufs) else "Loudness not matched"
    gains = f"input {signed(player.before_db)} dB, master {signed(player.after_db)} dB"
    return (
        f'<div class="player" data-seconds="{player.seconds:.6f}"><div class="head">'
        f'<h3>{player.name}, {start} to {end}</h3><span class="now" aria-live="polite"></span></div>'
        '<div class="controls" hidden><button type="button" class="play">▶ Play</button>'
        '<button type="button" class="a" aria-pressed="false">A: input</button>'
        '<button type="button" class="b" aria-pressed="true">B: master</button>'
        '<input class="seek" type="range" min="0" max="1000" value="0" aria-label="Place in the excerpt">'
        '<span class="clock"></span></div>'
        f'{audios}<p class="small">{level}: {gains}.</p></div>'
    )


def _equaliser(facts: ReportFacts) -> str:
    eq = facts.eq
    columns = (eq.freq_hz, eq.gain_db, eq.q, eq.gate, eq.rendered_gain_db)
    bands = list(zip(*(np.asarray(x)[0].tolist() for x in columns), strict=True))
    gated = any(gate != 1.0 for _, _, _, gate, _ in bands)
    names = ("Band", "Frequency", "Gain", "Q", *(("Gate", "Rendered gain") if gated else ()))
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    rows = ""
    for number, (freq_hz, gain_db, q, gate, rendered_db) in enumerate(bands, 1):
        cells = [f"{freq_hz:,.0f} Hz", f"{signed(gain_db, 2)} dB", f"{q:.2f}"]
        cells += [f"{gate:.2f}", f"{signed(rendered_db, 2)} dB"] if gated else []
        rows += f'<tr><th scope="row">{number}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
    return (
        f'<section><h2>Equaliser</h2>{figures.equaliser(eq, facts.match)}<div class="scroll"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _spectra(facts: ReportFacts) -> str:
    before, after = facts.heard_before, facts.heard_after
    curve_db = figures.band_curves(facts.eq, before.freq_hz).sum(axis=0)
    found = explained(before, after, curve_db)
    if found.share is None:
        sentence = "The spectrum did not change."
    else:
        sentence = f"The equaliser explains {100.0 * found.share:.0f} % of the change of the spectrum."
    others = "the stages behind it, the second network" if facts.chain else "the second network"
    how = (
        "The share is that of the squared decibels, over twelfths of an octave and apart from a gain that is the same "
        f"everywhere; the rest is {others}, the limiter, and what music does to an average."
    )
    return (
        f"<section><h2>Spectrum</h2>{figures.spectra(before, after, facts.match)}<h2>Change of the spectrum</h2>"
        f'<p>{sentence} <span class="small">{how}</span></p>{figures.change(found, curve_db[: len(found.freq_hz)])}'
        "</section>"
    )


def _loudness(facts: ReportFacts) -> str:
    figure = figures.loudness(facts.heard_before, facts.heard_after, facts.target_lufs)
    return f"<section><h2>Loudness over time</h2>{figure}</section>"


def _second_network(facts: ReportFacts) -> str:
    found, null = facts.residual, facts.null_test
    if found is None:
        others = "the equaliser's, the stages' behind it" if facts.chain else "the equaliser's"
        text = f"<p>This model has none, or it was left out: every change is {others} and the delivery's.</p>"
    elif found.level_db < _SOUND_BELOW_DB:
        text = "<p>It added nothing to this track.</p>"
    else:
        text = f"<p>{_residual_sentence(found)}</p>{figures.residual(found)}"
    if null is not None:
        text += (
            f"<p>Null test: with the master at {signed(null.gain_db)} dB and the input taken out of it, what is left "
            f"lies {_beside(null.level_db)} the input.</p>"
        )
    return f"<section><h2>What the second network added</h2>{text}</section>"


def _residual_sentence(found: Residual) -> str:
    heard = found.signal_db > found.signal_db.max() - _HEARD_DB
    distance = np.where(heard, found.residual_db - found.signal_db, -np.inf)
    most = int(np.argmax(distance))
    return (
        f"It lies {_beside(found.level_db)} the signal to which it is added; it is strongest at "
        f"{found.freq_hz[most]:,.0f} Hz, {_beside(float(distance[most]))} the signal there."
    )


def _beside(level_db: float) -> str:
    """Where a level lies, as in "12.0 dB below"."""
    if level_db < _SOUND_BELOW_DB:
        return f"more than {-_SOUND_BELOW_DB:.0f} dB below"
    return f"{abs(level_db):.1f} dB {'above' if level_db > 0.0 else 'below'}"
