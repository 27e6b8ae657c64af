"""What may stand in a settings file: keys, kinds and ranges, each fault one sentence that says where and what instead.

By hand, since a musician edits the file by hand: the sentences name bands by the number that the program prints.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from typing import Any

from nmjax import io
from nmjax.errors import BadInputError
from nmjax.models import PHASES, SAMPLE_RATE
from nmjax.models.encoder import LATENT
from nmjax.models.stages import STAGES, settings_of

FORMAT = "nmjax settings 1"
MOST_BANDS = 64
RANGES = {  # of a band's fields: lowest, highest, unit
    "freq_hz": (10.0, 24_000.0, " Hz"),
    "gain_db": (-24.0, 24.0, " dB"),
    "q": (0.1, 40.0, ""),
    "gate": (0.0, 1.0, ""),
}
MOST_AMOUNT = 2.0
FOR_READING = ("input_gain_db", "eq_as_rendered", "delivery")  # measured or computed again whenever a file is used
_WIDEST = 1e6  # of z and of what is only for reading; float32 and every formula are far from their ends
_MOST_RENDERED = 2 * MOST_BANDS  # the fit at another rate adds a few


def parsed(text: str, source: str) -> dict[str, Any]:
    """The tree of a settings file, checked; what may be left out is filled in.

    Args:
        text: the file's text.
        source: its name, for the sentences.

    Raises:
        BadInputError: no JSON, or something in it that the format does not have or that lies out of its range.
    """
    try:
        return _whole(json.loads(text, object_pairs_hook=_once, parse_constant=_no_number))
    except BadInputError as error:
        raise BadInputError(f"'{source}': {error}") from None
    except json.JSONDecodeError as error:
        raise BadInputError(
            f"'{source}' is not whole JSON ({error.msg}, line {error.lineno}); mend it or take the file as it was."
        ) from None
    except (ValueError, OverflowError, RecursionError):  # integers of many digits, brackets within brackets
        raise BadInputError(f"'{source}' is no settings file; take one that the program wrote.") from None


def check_of(tree: dict[str, Any]) -> str:
    """A digest of what is only for reading, so that a change to it can be told from one to what counts."""
    found = {key: _plain(tree[key]) for key in FOR_READING if tree.get(key) is not None}
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:8]


def _plain(value: Any) -> Any:
    """Every number as a float: some editors write 1 for 1.0."""
    if isinstance(value, dict):
        return {key: _plain(x) for key, x in value.items()}
    if isinstance(value, list):
        return [_plain(x) for x in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def in_range(value: Any, field: str, where: str) -> float:
    """A band's value, if it is a number within the field's range. `where` begins the sentence otherwise."""
    return _number(value, f"{where}: {field}", *RANGES[field])


def stage_value(value: Any, stage: str, field: str) -> float:
    """A stage's value, if there is such a field and it is a number within what the stage accepts."""
    rows = {row.name: row for row in settings_of(stage)}
    if field not in rows:
        raise BadInputError(f"The {stage} has no {field!r}; {known(field, tuple(rows))}")
    unit = f" {rows[field].unit}" if rows[field].unit else ""
    return _number(value, f"{stage}.{field}", *rows[field].limits, unit)


def amount(value: Any, where: str) -> float:
    """An amount of 0 to 2: 0 is none of it, 1 what was predicted."""
    return _number(value, where, 0.0, MOST_AMOUNT)


def known(key: str, keys: tuple[str, ...]) -> str:
    """How a sentence about an unknown `key` ends."""
    near = difflib.get_close_matches(key, keys, 1, 0.5)
    return f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(keys)}."


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON itself would take the last of two equal keys in silence."""
    tree = dict(pairs)
    if len(tree) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise BadInputError(f"the key {_shown(twice)} stands twice in one place; leave one of them.")
    return tree


def _no_number(word: str) -> Any:
    raise BadInputError(f"{word} is no number that can be used; write a finite one.")


def _whole(tree: Any) -> dict[str, Any]:
    if not isinstance(tree, dict) or "format" not in tree:
        raise BadInputError(f'this is no settings file; one begins with "format": "{FORMAT}".')
    if str(tree["format"]).startswith("nmjax target"):
        raise BadInputError("this is a target, which is for --target; settings are what lies beside a master.")
    if tree["format"] != FORMAT:
        raise BadInputError(f"the format is {_shown(tree['format'])}; this version reads '{FORMAT}', update nmjax.")
    optional = ("track", "reference", "model", *FOR_READING, *STAGES, "residual_amount", "check", "z")
    _keys(tree, ("format", "eq"), optional, "the file")
    for key in ("track", "reference"):
        name = tree.get(key)
        if not (name is None or (isinstance(name, str) and name.isprintable())):
            raise BadInputError(f"{key} is {_shown(name)}; it is a name, or null.")
    _rendered(tree.get("eq_as_rendered"))
    return {
        "track": tree.get("track"),
        "model": _model(tree.get("model")),
        "input_gain_db": _number(tree.get("input_gain_db", 0.0), "input_gain_db", -200.0, 200.0, " dB"),
        "residual_amount": amount(tree.get("residual_amount", 1.0), "residual_amount"),
        "eq": _eq(tree["eq"]),
        "stages": {stage: _stage(tree.get(stage), stage) for stage in STAGES},
        "reading_changed": any(key in tree for key in FOR_READING) and tree.get("check") != check_of(tree),
        "z": _z(tree.get("z")),
    }


def _model(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    _keys(value, ("phase", "step", "checkpoint"), (), "model")
    if value["phase"] not in PHASES:
        raise BadInputError(f"model.phase is {_shown(value['phase'])}; the phases are {', '.join(PHASES)}.")
    step, digest = value["step"], value["checkpoint"]
    if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step < 1 << 62:
        raise BadInputError(f"model.step is {_shown(step)}; it is a whole number from 0.")
    if not isinstance(digest, str) or not 1 <= len(digest) <= 64 or set(digest) - set("0123456789abcdef"):
        raise BadInputError(f"model.checkpoint is {_shown(digest)}; it is the digest that the program wrote.")
    return value


def _eq(value: Any) -> dict[str, Any]:
    _keys(value, ("bands",), ("sample_rate",), "eq")
    rate = _rate(value.get("sample_rate", SAMPLE_RATE), "eq.sample_rate")
    bands = _list(value["bands"], "eq.bands", MOST_BANDS)
    rows = []
    for number, band in enumerate(bands, 1):
        where = f"band {number} of eq"
        _keys(band, ("freq_hz", "gain_db", "q"), ("gate",), where)
        rows.append({field: in_range(band.get(field, 1.0), field, where) for field in RANGES})
        if rows[-1]["freq_hz"] > rate / 2:
            raise BadInputError(
                f"{where}: freq_hz is above half of eq.sample_rate, {rate / 2:g} Hz; choose a lower one."
            )
    return {"sample_rate": rate, "bands": rows}


def _stage(value: Any, stage: str) -> dict[str, float] | None:
    """What a file leaves out stands as in an untrained network."""
    if value is None:
        return None
    rows = settings_of(stage)
    _keys(value, (), tuple(row.name for row in rows), stage)
    return {row.name: stage_value(value.get(row.name, row.start), stage, row.name) for row in rows}


def _rendered(value: Any) -> None:
    """For reading only, so that its numbers need no more than be numbers."""
    if value is None:
        return
    _keys(value, ("sample_rate", "bands"), (), "eq_as_rendered")
    _rate(value["sample_rate"], "eq_as_rendered.sample_rate")
    for number, band in enumerate(_list(value["bands"], "eq_as_rendered.bands", _MOST_RENDERED), 1):
        where = f"band {number} of eq_as_rendered"
        _keys(band, ("freq_hz", "gain_db", "q"), (), where)
        for field in band:
            _number(band[field], f"{where}: {field}", -_WIDEST, _WIDEST)


def _z(value: Any) -> list[float] | None:
    if value is None:
        return None
    numbers = _list(value, "z", LATENT)
    if len(numbers) != LATENT:
        raise BadInputError(f"z has {len(numbers)} numbers; it has {LATENT}, or is null.")
    return [_number(x, f"number {i} of z", -_WIDEST, _WIDEST) for i, x in enumerate(numbers, 1)]


def _keys(value: Any, needed: tuple[str, ...], optional: tuple[str, ...], where: str) -> None:
    if not isinstance(value, dict):
        raise BadInputError(f"{where} is {_shown(value)}; it has keys in braces: {', '.join(needed + optional)}.")
    for key in value:
        if key not in needed + optional:
            raise BadInputError(f"{where} has a key {_shown(key)} that does not exist; {known(key, needed + optional)}")
    for key in needed:
        if key not in value:
            raise BadInputError(f"{where} has no '{key}'; add it.")


def _list(value: Any, where: str, most: int) -> list[Any]:
    if not isinstance(value, list):
        raise BadInputError(f"{where} is {_shown(value)}; it is a list in brackets.")
    if len(value) > most:
        raise BadInputError(f"{where} has {len(value)} entries; at most {most} can be used.")
    return value


def _number(value: Any, where: str, low: float, high: float, unit: str = "") -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInputError(f"{where} is {_shown(value)}; it is a number from {low:g} to {high:g}{unit}.")
    try:
        found = float(value)
    except OverflowError:  # an integer of hundreds of digits
        found = math.inf
    if not low <= found <= high:  # NaN is not
        raise BadInputError(f"{where} is {found:g}{unit}; choose {low:g} to {high:g}{unit}.")
    return found


def _rate(value: Any, where: str) -> int:
    rate = _number(value, where, io.LOWEST_RATE, io.HIGHEST_RATE, " Hz")
    if rate % 1.0:
        raise BadInputError(f"{where} is {rate:g} Hz; it is a whole number.")
    return int(rate)


def _shown(value: Any) -> str:
    """A value as its file has it, if that is short; what no terminal should get is escaped."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
