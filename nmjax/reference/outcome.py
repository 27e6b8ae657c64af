"""How near a match came to its reference, and at what cost: one sentence and its numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from nmjax.reference.limits import EXPANSION, NARROW_BASS, MatchLimits
from nmjax.reference.target_eq import WithinLimits
from nmjax.runtime.messages import Message, OptionName
from nmjax.runtime.number_format import format_signed

BOOST, CUT = "boost", "cut"
_LIMIT_WORDS = {BOOST: "more boost", CUT: "deeper cuts", EXPANSION: "an expander", NARROW_BASS: "narrower bass"}
_MIN_EXCESS_DB = 2.0  # of the gain that a reference asks for, before another strength is proposed
_MIN_SIDE_GAIN_DB = 4.0  # of the side, before another weight of the width is proposed
_LARGEST_NAMED_CUT_DB = 40.0
_STRENGTH_STEP = 0.05
_MIN_PROPOSED_STRENGTH = 0.3  # a smaller one would leave little of the reference


@dataclasses.dataclass(frozen=True)
class MatchOutcome:
    """The result of a match.

    Attributes:
        name: of the reference.
        before_db: RMS of the tonal difference before the EQ, over sixths of an octave.
        after_db: the same after the EQ.
        boost_db: largest gain of the EQ's summed response at equal loudness, at least 0.
        cut_db: its smallest gain, at most 0.
        limits_reached: some of BOOST, CUT, EXPANSION and NARROW_BASS.
    """

    name: str
    before_db: float
    after_db: float
    boost_db: float
    cut_db: float
    limits_reached: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        text = f"The tone is {self.after_db:.1f} dB RMS from {self.name} (before: {self.before_db:.1f} dB)"
        text += f", with {format_signed(self.boost_db)} to {format_signed(self.cut_db)} dB of EQ at equal loudness"
        if self.limits_reached:
            text += f"; held back by the limits: {', '.join(_LIMIT_WORDS[name] for name in self.limits_reached)}"
        return f"{text}."

    def to_dict(self) -> dict[str, Any]:
        """The numbers for JSON, rounded to 0.01 dB."""
        values = dataclasses.asdict(self)
        return {name: round(x, 2) if isinstance(x, float) else x for name, x in values.items()}


def match_outcome(
    name: str,
    difference_db: Float[np.ndarray, " bands"],
    eq_db: Float[np.ndarray, " bands"],
    limits_reached: tuple[str, ...],
) -> MatchOutcome | None:
    """The result of a match with an EQ; None where track and reference have no band in common.

    Args:
        name: of the reference.
        difference_db: reference minus track at `CENTERS_HZ` before the EQ; NaN where it is unknown.
        eq_db: response of the EQ at `CENTERS_HZ`, at equal loudness.
        limits_reached: some of BOOST, CUT, EXPANSION and NARROW_BASS.
    """
    if not np.isfinite(difference_db).any():
        return None
    return MatchOutcome(
        name=name,
        before_db=float(np.nanstd(difference_db)),
        after_db=float(np.nanstd(difference_db - eq_db)),
        boost_db=float(max(eq_db.max(), 0.0)),
        cut_db=float(min(eq_db.min(), 0.0)),
        limits_reached=limits_reached,
    )


def limit_note(name: str, within: WithinLimits, strength: float, limits: MatchLimits, same_song: bool) -> str:
    """A message where a reference asks for far more boost or cut than it may, with the remedy; otherwise empty.

    Args:
        name: of the reference.
        within: how much of the correction is within the limits.
        strength: the strength in use.
        limits: the limits in use.
        same_song: whether the reference is the track's own song, which a smaller strength would not make better.
    """
    if within.deepest_cut_db >= limits.max_cut_db + _MIN_EXCESS_DB:
        deepest = f"{within.deepest_cut_db:.0f} dB"
        if within.deepest_cut_db > _LARGEST_NAMED_CUT_DB:  # the reference holds nothing there
            deepest = f"more than {_LARGEST_NAMED_CUT_DB:.0f} dB"
        return Message(
            f"{name} holds far less around {within.deepest_hz:.0f} Hz than this track: it asks for a cut of "
            f"{deepest}, and {limits.max_cut_db:g} dB is the limit; ",
            *_remedy(min(within.boost, within.cut), same_song),
        )
    needed_db = strength * limits.max_boost_db / max(within.boost, 1e-3)
    if needed_db < limits.max_boost_db + _MIN_EXCESS_DB:
        return ""
    return Message(
        f"{name} is far from this track: it asks for more boost than {limits.max_boost_db:g} dB, the limit; ",
        *_remedy(within.boost, same_song),
    )


def width_note(name: str, side_gain_db: float, same_song: bool) -> str:
    """A message where a reference changes the stereo width a lot, with the remedy; otherwise empty.

    Args:
        name: of the reference.
        side_gain_db: what the width does to the side above its crossover.
        same_song: whether the reference is the track's own song, whose width is what the track has lost.
    """
    if same_song or abs(side_gain_db) < _MIN_SIDE_GAIN_DB:
        return ""
    width, action = ("wider", "raised") if side_gain_db > 0.0 else ("narrower", "lowered")
    return Message(
        f"{name} is far {width} than this track: the side is {action} by {abs(side_gain_db):.1f} dB. "
        "If that is too much, try ",
        OptionName("reference_weights", "width=0.5"),
        ".",
    )


def _remedy(share: float, same_song: bool) -> tuple[str | OptionName, ...]:
    """What to do where only a share of a correction is within the limits, as parts of a message."""
    more_boost = OptionName("max_boost")
    if same_song:
        return "allow more with ", more_boost, "."
    proposed = _round_strength(share)
    if proposed < _MIN_PROPOSED_STRENGTH:
        return "choose music closer to the track, or allow more with ", more_boost, "."
    return "try ", OptionName("reference_strength", f"{proposed:.2g}"), "."


def _round_strength(strength: float) -> float:
    """The next lower step of the strengths that are proposed."""
    return max(_STRENGTH_STEP, float(np.floor(strength / _STRENGTH_STEP + 1e-9)) * _STRENGTH_STEP)
