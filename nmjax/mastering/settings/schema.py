"""What may stand in a settings file: keys, kinds and ranges, each fault one sentence that says where and what instead.

By hand, since a musician edits the file by hand: the sentences name bands by the number that the program prints.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from typing import Any

from nmjax.audio import reader
from nmjax.models import PHASES, SAMPLE_RATE
from nmjax.models.encoder import LATENT_SIZE
from nmjax.models.processors import PROCESSORS
from nmjax.runtime.errors import BadInputError

FORMAT = "nmjax settings 1"
MAX_BANDS = 64
BAND_RANGES = {  # of a band's fields: lowest, highest, unit
    "freq_hz": (10.0, 24_000.0, " Hz"),
    "gain_db": (-24.0, 24.0, " dB"),
    "q": (0.1, 40.0, ""),
    "gate": (0.0, 1.0, ""),
}
MAX_AMOUNT = 2.0
READ_ONLY_KEYS = ("input_gain_db", "eq_as_rendered", "delivery")  # measured or computed again whenever a file is used
_MAX_MAGNITUDE = 1e6  # of z and of what is only for reading; float32 and every formula are far from their ends
_MAX_RENDERED_BANDS = 2 * MAX_BANDS  # the fit at another rate adds a few


def parse_settings(text: str, source: str) -> dict[str, Any]:
    """The tree of a settings file, checked; what may be left out is filled in.

    Args:
        text: the file's text.
        source: its name, for the sentences.

    Raises:
        BadInputError: no JSON, or something in it that the format does not have or that lies out of its range.
    """
    try:
        return _check_settings(json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_reject_constant))
    except BadInputError as error:
        raise BadInputError(f"'{source}': {error}") from None
    except json.JSONDecodeError as error:
        raise BadInputError(
            f"'{source}' is not whole JSON ({error.msg}, line {error.lineno}); mend it or take the file as it was."
        ) from None
    except (ValueError, OverflowError, RecursionError):  # integers of many digits, brackets within brackets
        raise BadInputError(f"'{source}' is no settings file; take one that the program wrote.") from None


def read_only_digest(tree: dict[str, Any]) -> str:
    """A digest of what is only for reading, so that a change to it can be told from one to what counts."""
    read_only = {key: _numbers_to_floats(tree[key]) for key in READ_ONLY_KEYS if tree.get(key) is not None}
    return hashlib.sha256(json.dumps(read_only, sort_keys=True).encode()).hexdigest()[:8]


def _numbers_to_floats(value: Any) -> Any:
    """Every number as a float: some editors write 1 for 1.0."""
    if isinstance(value, dict):
        return {key: _numbers_to_floats(x) for key, x in value.items()}
    if isinstance(value, list):
        return [_numbers_to_floats(x) for x in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def check_band_value(value: Any, field: str, label: str) -> float:
    """A band's value, if it is a number within the field's range. `where` begins the sentence otherwise."""
    return _check_number(value, f"{label}: {field}", *BAND_RANGES[field])


def check_processor_value(value: Any, processor: str, field: str) -> float:
    """A stage's value, if there is such a field and it is a number within what the stage accepts."""
    settings_by_name = {setting.name: setting for setting in PROCESSORS[processor].settings}
    if field not in settings_by_name:
        raise BadInputError(f"The {processor} has no {field!r}; {suggest_key(field, tuple(settings_by_name))}")
    unit = f" {settings_by_name[field].unit}" if settings_by_name[field].unit else ""
    return _check_number(value, f"{processor}.{field}", *PROCESSORS[processor].limits[field], unit)


def check_amount(value: Any, label: str) -> float:
    """An amount of 0 to 2: 0 is none of it, 1 what was predicted."""
    return _check_number(value, label, 0.0, MAX_AMOUNT)


def suggest_key(key: str, keys: tuple[str, ...]) -> str:
    """How a sentence about an unknown `key` ends."""
    close_matches = difflib.get_close_matches(key, keys, 1, 0.5)
    return f"did you mean '{close_matches[0]}'?" if close_matches else f"there are: {', '.join(keys)}."


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON itself would take the last of two equal keys in silence."""
    tree = dict(pairs)
    if len(tree) < len(pairs):
        keys = [key for key, _ in pairs]
        duplicate = next(key for key in keys if keys.count(key) > 1)
        raise BadInputError(f"the key {_format_value(duplicate)} stands twice in one place; leave one of them.")
    return tree


def _reject_constant(constant: str) -> Any:
    raise BadInputError(f"{constant} is no number that can be used; write a finite one.")


def _check_settings(tree: Any) -> dict[str, Any]:
    if not isinstance(tree, dict) or "format" not in tree:
        raise BadInputError(f'this is no settings file; one begins with "format": "{FORMAT}".')
    if str(tree["format"]).startswith("nmjax target"):
        raise BadInputError("this is a target, which is for --target; settings are what lies beside a master.")
    if tree["format"] != FORMAT:
        raise BadInputError(
            f"the format is {_format_value(tree['format'])}; this version reads '{FORMAT}', update nmjax."
        )
    optional = ("track", "reference", "model", *READ_ONLY_KEYS, *PROCESSORS, "residual_amount", "check", "z")
    _check_keys(tree, ("format", "eq"), optional, "the file")
    for key in ("track", "reference"):
        name = tree.get(key)
        if not (name is None or (isinstance(name, str) and name.isprintable())):
            raise BadInputError(f"{key} is {_format_value(name)}; it is a name, or null.")
    _check_rendered_eq(tree.get("eq_as_rendered"))
    return {
        "track": tree.get("track"),
        "model": _check_model(tree.get("model")),
        "input_gain_db": _check_number(tree.get("input_gain_db", 0.0), "input_gain_db", -200.0, 200.0, " dB"),
        "residual_amount": check_amount(tree.get("residual_amount", 1.0), "residual_amount"),
        "eq": _check_eq(tree["eq"]),
        "stages": {processor: _check_processor(tree.get(processor), processor) for processor in PROCESSORS},
        "reading_changed": any(key in tree for key in READ_ONLY_KEYS) and tree.get("check") != read_only_digest(tree),
        "z": _check_latent(tree.get("z")),
    }


def _check_model(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    _check_keys(value, ("phase", "step", "checkpoint"), (), "model")
    if value["phase"] not in PHASES:
        raise BadInputError(f"model.phase is {_format_value(value['phase'])}; the phases are {', '.join(PHASES)}.")
    step, digest = value["step"], value["checkpoint"]
    if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step < 1 << 62:
        raise BadInputError(f"model.step is {_format_value(step)}; it is a whole number from 0.")
    if not isinstance(digest, str) or not 1 <= len(digest) <= 64 or set(digest) - set("0123456789abcdef"):
        raise BadInputError(f"model.checkpoint is {_format_value(digest)}; it is the digest that the program wrote.")
    return value


def _check_eq(value: Any) -> dict[str, Any]:
    _check_keys(value, ("bands",), ("sample_rate",), "eq")
    sample_rate = _check_sample_rate(value.get("sample_rate", SAMPLE_RATE), "eq.sample_rate")
    bands = _check_list(value["bands"], "eq.bands", MAX_BANDS)
    rows = []
    for number, band in enumerate(bands, 1):
        label = f"band {number} of eq"
        _check_keys(band, ("freq_hz", "gain_db", "q"), ("gate",), label)
        rows.append({field: check_band_value(band.get(field, 1.0), field, label) for field in BAND_RANGES})
        if rows[-1]["freq_hz"] > sample_rate / 2:
            raise BadInputError(
                f"{label}: freq_hz is above half of eq.sample_rate, {sample_rate / 2:g} Hz; choose a lower one."
            )
    return {"sample_rate": sample_rate, "bands": rows}


def _check_processor(value: Any, processor: str) -> dict[str, float] | None:
    """What a file leaves out stands as in an untrained network."""
    if value is None:
        return None
    setting_table = PROCESSORS[processor].settings
    _check_keys(value, (), tuple(setting.name for setting in setting_table), processor)
    return {
        setting.name: check_processor_value(value.get(setting.name, setting.initial), processor, setting.name)
        for setting in setting_table
    }


def _check_rendered_eq(value: Any) -> None:
    """For reading only, so that its numbers need no more than be numbers."""
    if value is None:
        return
    _check_keys(value, ("sample_rate", "bands"), (), "eq_as_rendered")
    _check_sample_rate(value["sample_rate"], "eq_as_rendered.sample_rate")
    for number, band in enumerate(_check_list(value["bands"], "eq_as_rendered.bands", _MAX_RENDERED_BANDS), 1):
        label = f"band {number} of eq_as_rendered"
        _check_keys(band, ("freq_hz", "gain_db", "q"), (), label)
        for field in band:
            _check_number(band[field], f"{label}: {field}", -_MAX_MAGNITUDE, _MAX_MAGNITUDE)


def _check_latent(value: Any) -> list[float] | None:
    if value is None:
        return None
    numbers = _check_list(value, "z", LATENT_SIZE)
    if len(numbers) != LATENT_SIZE:
        raise BadInputError(f"z has {len(numbers)} numbers; it has {LATENT_SIZE}, or is null.")
    return [_check_number(x, f"number {i} of z", -_MAX_MAGNITUDE, _MAX_MAGNITUDE) for i, x in enumerate(numbers, 1)]


def _check_keys(value: Any, required: tuple[str, ...], optional: tuple[str, ...], label: str) -> None:
    if not isinstance(value, dict):
        raise BadInputError(
            f"{label} is {_format_value(value)}; it has keys in braces: {', '.join(required + optional)}."
        )
    for key in value:
        if key not in required + optional:
            raise BadInputError(
                f"{label} has a key {_format_value(key)} that does not exist; {suggest_key(key, required + optional)}"
            )
    for key in required:
        if key not in value:
            raise BadInputError(f"{label} has no '{key}'; add it.")


def _check_list(value: Any, label: str, max_length: int) -> list[Any]:
    if not isinstance(value, list):
        raise BadInputError(f"{label} is {_format_value(value)}; it is a list in brackets.")
    if len(value) > max_length:
        raise BadInputError(f"{label} has {len(value)} entries; at most {max_length} can be used.")
    return value


def _check_number(value: Any, label: str, low: float, high: float, unit: str = "") -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInputError(f"{label} is {_format_value(value)}; it is a number from {low:g} to {high:g}{unit}.")
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        number = math.inf
    if not low <= number <= high:  # NaN is not
        raise BadInputError(f"{label} is {number:g}{unit}; choose {low:g} to {high:g}{unit}.")
    return number


def _check_sample_rate(value: Any, label: str) -> int:
    sample_rate = _check_number(value, label, reader.MIN_SAMPLE_RATE, reader.MAX_SAMPLE_RATE, " Hz")
    if sample_rate % 1.0:
        raise BadInputError(f"{label} is {sample_rate:g} Hz; it is a whole number.")
    return int(sample_rate)


def _format_value(value: Any) -> str:
    """A value as its file has it, if that is short; what no terminal should get is escaped."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
