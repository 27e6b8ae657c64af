"""The part of the report about the stages behind the equaliser: their settings, and what each did to this track."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from nmjax.dsp.width import CROSSOVER_HZ
from nmjax.inference.report import stage_figures as figures
from nmjax.inference.report.figures import minus, signed
from nmjax.inference.report.insight import Heardings
from nmjax.inference.report.passage import Passed
from nmjax.models import Settings
from nmjax.models.stages import STAGES, settings_of

_NOTHING_DB = -100.0  # what lies further below the signal than this is none
_NAMES = {"eq": "Equaliser", "compressor": "Compressor", "saturator": "Saturator", "width": "Width"}


@dataclasses.dataclass(frozen=True)
class ChainFacts:
    """What the stages did. settings: one track's. heard: the input ("input") and what came out of each part ("eq" and
    the stages that change something), in the order of the chain. passed: of each part."""

    settings: Settings
    heard: Mapping[str, Heardings]
    passed: Mapping[str, Passed]

    @property
    def stages(self) -> list[str]:
        """The stages that were rendered."""
        return [name for name in self.passed if name in STAGES]

    def before(self, name: str) -> Heardings:
        """What went into a part."""
        names = list(self.heard)
        return self.heard[names[names.index(name) - 1]]


def stages_section(chain: ChainFacts | None) -> str:
    """The section as HTML; nothing where there are no stages."""
    if chain is None:
        return ""
    parts = [_settings(chain)]
    if "compressor" in chain.passed:
        parts.append(_compressor(chain))
    if "width" in chain.passed:
        parts.append(_width(chain))
    parts.append(_shares(chain))
    return f"<section><h2>Stages behind the equaliser</h2>{''.join(parts)}</section>"


def _settings(chain: ChainFacts) -> str:
    """A row for each setting, in the table's order and units."""
    rows = ""
    for stage in chain.stages:
        given = getattr(chain.settings, stage)
        for i, row in enumerate(settings_of(stage)):
            value = minus(f"{float(np.asarray(getattr(given, row.name))[0]):.3g}")
            neutral = "" if row.neutral is None else f"{row.neutral:g} {row.unit}".strip()
            rows += (
                f'<tr><th scope="row">{"" if i else _NAMES[stage]}</th><td>{row.name}</td>'
                f"<td>{f'{value} {row.unit}'.strip()}</td><td>{neutral}</td></tr>"
            )
    return _table(("Stage", "Setting", "Value", "Does nothing at"), rows)


def _table(names: tuple[str, ...], rows: str) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _compressor(chain: ChainFacts) -> str:
    settings, passed = chain.settings.compressor, chain.passed["compressor"]
    makeup_db, gain_db = float(np.asarray(settings.makeup_db)[0]), float(np.asarray(chain.settings.input_gain_db)[0])
    moved = passed.gain_db - makeup_db
    heard = moved[np.isfinite(moved)]
    if len(heard):
        extreme = min(heard.min(), np.nanmin(passed.least_db - makeup_db)), np.nanmax(passed.most_db - makeup_db)
        text = (
            f"Without its make-up it changed the level by {signed(passed.level_db - makeup_db)} dB in all, and from "
            f"moment to moment (10 ms) by {signed(extreme[0])} to {signed(extreme[1])} dB."
        )
    else:
        text = "It heard silence."
    return (
        f"<h3>Compressor</h3><p>{text}</p>{figures.static_curve(settings, gain_db)}"
        f"{figures.gain_over_time(passed, makeup_db, float(np.asarray(settings.ratio)[0]) < 1.0)}"
    )


def _width(chain: ChainFacts) -> str:
    before, after = chain.before("width"), chain.heard["width"]
    if before.side_db is None:
        return "<h3>Width</h3><p>Only two channels have a width; nothing was done.</p>"
    rows = ""
    for name, low, high in (("Below", 0.0, CROSSOVER_HZ), ("Above", CROSSOVER_HZ, math.inf)):
        values = [_side_db(heard, low, high) for heard in (before, after)]
        rows += f'<tr><th scope="row">{name} {CROSSOVER_HZ:g} Hz</th>{_cells(values)}</tr>'
    sums = [_mono_db(before), _mono_db(after)]
    rows += f'<tr><th scope="row">A mono sum loses</th>{_cells([-x for x in sums])}</tr>'
    table = _table(("Side beside mid", "Before", "After", "Change"), rows)
    return f"<h3>Width</h3>{table}{figures.widths(before, after)}"


def _cells(values: list[float]) -> str:
    texts = [f"{signed(value)} dB" if math.isfinite(value) else "–" for value in (*values, values[1] - values[0])]
    return "".join(f"<td>{text}</td>" for text in texts)


def _side_db(heard: Heardings, low: float, high: float) -> float:
    """The side's power beside the mid's in a band of frequencies."""
    inside = (heard.freq_hz >= low) & (heard.freq_hz < high)
    mid, side = (_power(level[inside]) for level in (heard.mid_db, heard.side_db))
    return 10.0 * math.log10(side / mid) if side > 0.0 and mid > 0.0 else math.nan


def _mono_db(heard: Heardings) -> float:
    """The power of the channels' mean beside the channels' mean power, 0 or below."""
    mid, total = _power(heard.mid_db), _power(heard.total_db)
    return min(0.0, 10.0 * math.log10(mid / total)) if mid > 0.0 and total > 0.0 else math.nan


def _power(level_db: np.ndarray) -> float:
    return float(np.sum(np.where(level_db > figures.FLOOR_DB, 10.0 ** (level_db / 10.0), 0.0)))


def _shares(chain: ChainFacts) -> str:
    rows = ""
    for name, passed in chain.passed.items():
        louder = f"{signed(passed.level_db)} dB" if math.isfinite(passed.level_db) else "–"
        if not passed.rest_db > _NOTHING_DB:
            rest = "nothing"
        else:
            rest = f"{abs(passed.rest_db):.1f} dB {'above' if passed.rest_db > 0.0 else 'below'} its output"
        rows += f'<tr><th scope="row">{_NAMES[name]}</th><td>{louder}</td><td>{rest}</td></tr>'
    how = (
        "What each part changed is what is left when its input, at the level that leaves least, is taken out of its "
        "output: the smaller the number, the larger its share of the change."
    )
    spectra = {_NAMES[name]: (chain.before(name), chain.heard[name]) for name in chain.passed}
    return (
        f"<h3>What each part did</h3>{_table(('Part', 'Louder by', 'Changed beside that'), rows)}"
        f'<p class="small">{how}</p>{figures.steps(spectra)}'
    )
