"""A delivery as a file: solved, written, decoded again and measured; lossy ones until they pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nmjax import io
from nmjax.formats import Format
from nmjax.inference.deliver.delivery import Delivery, Plan, Source, delivered, solve
from nmjax.inference.deliver.survey import Survey
from nmjax.inference.deliver.verify import Verdict, verify
from nmjax.inference.stream import ahead, resampled
from nmjax.tags import copy_tags

_DITHER_SEED = 0
_TRIES = 5  # of a lossy file
_LOSSY_ROOM_DB = 0.4  # under the wanted ceiling at first: codecs raise the peaks of a limited master by about that
_LOWER_BY_DB = 0.05  # than what was over, as the next encoding is not the same
_LOWEST_CEILING_DB = -30.0


@dataclasses.dataclass(frozen=True)
class Delivered:
    """A delivery that was written. tries: how often it was encoded. notes: sentences for the user."""

    wanted: Delivery
    plan: Plan
    verdict: Verdict
    tries: int
    notes: list[str]


def deliver_file(
    source: Source,
    sample_rate: int,
    channels: int,
    wanted: Delivery,
    out: Path,
    chosen: Format,
    tags_from: Path | None = None,
) -> Delivered:
    """Write the signal as it is wanted; `out` appears whole or not at all.

    source: gives the signal `[frames, channel]` from its start at each call, at `sample_rate` (Hz). tags_from: a file
    whose titles and covers are carried over.

    Raises:
        BadInputError: the disk is full, or the format cannot hold the signal.
    """
    with io.temporary_beside(out) as file:
        result = write_delivery(source, sample_rate, channels, wanted, file, chosen, tags_from)
        io.publish(file, out)
    return dataclasses.replace(result, verdict=dataclasses.replace(result.verdict, path=out))


def write_delivery(
    source: Source,
    sample_rate: int,
    channels: int,
    wanted: Delivery,
    file: Path,
    chosen: Format,
    tags_from: Path | None = None,
    survey: Survey | None = None,
) -> Delivered:
    """The same into a temporary `file`, which the caller publishes.

    survey: of the signal at the format's rate, where several deliveries are made of it.
    """

    def at_its_rate() -> Iterator[np.ndarray]:
        return resampled(source(), sample_rate, chosen.sample_rate)

    rate, aim, tries = chosen.sample_rate, _first_aim(wanted, chosen), 0
    survey = survey or Survey(at_its_rate(), rate, channels, wanted.most_limiting_db)
    while True:
        tries += 1
        plan = solve(at_its_rate, rate, channels, aim, survey)
        pieces = ahead(delivered(at_its_rate, rate, plan))
        io.encode(file, pieces, rate, channels, chosen.container, chosen.subtype, _DITHER_SEED)
        notes = copy_tags(tags_from, file) if tags_from else []
        verdict = verify(file, wanted)
        if verdict.passed or not chosen.lossy or tries == _TRIES:
            break
        aim = _next_aim(aim, wanted, plan, verdict)
    return Delivered(wanted, plan, verdict, tries, [x for x in (chosen.note, plan.reason, *notes) if x])


def _first_aim(wanted: Delivery, chosen: Format) -> Delivery:
    if not chosen.lossy or wanted.true_peak_db is None:
        return wanted
    return dataclasses.replace(wanted, true_peak_db=max(_LOWEST_CEILING_DB, wanted.true_peak_db - _LOSSY_ROOM_DB))


def _next_aim(aim: Delivery, wanted: Delivery, plan: Plan, verdict: Verdict) -> Delivery:
    """What to aim at next, by what the codec made of it: a ceiling lower by what was over, or higher by what was left
    over, which saves limiting; a loudness that makes up for what it took or added."""
    changes = {}
    if wanted.true_peak_db is not None and np.isfinite(verdict.true_peak_db):
        ceiling_db = aim.true_peak_db + wanted.true_peak_db - verdict.true_peak_db - _LOWER_BY_DB
        changes["true_peak_db"] = float(np.clip(ceiling_db, _LOWEST_CEILING_DB, wanted.true_peak_db))
    if wanted.lufs is not None and plan.reached and np.isfinite(verdict.lufs):
        changes["lufs"] = min(0.0, aim.lufs + wanted.lufs - verdict.lufs)
    return dataclasses.replace(aim, **changes)
