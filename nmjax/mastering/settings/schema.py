"""The settings file as pydantic models: keys, types and ranges.

`parse_settings` reports the first error of a file in one sentence. Musicians edit these files by hand, so a message
names bands by the number that the program prints, and suggests the nearest key for one that does not exist.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, NamedTuple, NoReturn

from pydantic import AfterValidator, BaseModel, Field, ValidationError, create_model, model_validator

from nmjax.audio import reader
from nmjax.mastering.repair.plan import NO_REPAIRS, REPAIRS, RepairPlan
from nmjax.mastering.settings.error_messages import describe
from nmjax.mastering.settings.ranges import SENTENCE, Range, StrictModel, format_value, value_error
from nmjax.models import PHASES, SAMPLE_RATE
from nmjax.models.processors import PROCESSORS
from nmjax.models.signal_format import LATENT_SIZE
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.options import suggest

FORMAT = "nmjax settings 2"
MAX_BANDS, MAX_SIDE_BANDS = 64, 6
MAX_AMOUNT = 2.0
READ_ONLY_KEYS = (
    "input_gain_db",
    "rendered_eq",
    "rendered_eq_side",
    "delivery",
)  # measured or computed again for every track
_MAX_RENDERED_BANDS = 2 * MAX_BANDS  # the fit at another rate adds a few

AMOUNT_RANGE = Range(0.0, MAX_AMOUNT)  # 0: nothing of it, 1: as predicted
_FINITE = Range(-1e6, 1e6)  # for z and read-only numbers: far from the limits of float32 and of every formula


def _whole_number(value: float) -> int:
    if value % 1.0:
        raise value_error(f"is {value:g} Hz; give a whole number.")
    return int(value)


def _printable_name(value: str) -> str:
    if not value.isprintable():
        raise value_error(f"is {format_value(value)}; give a printable name, or null.")
    return value


SampleRate = Annotated[int, Range(reader.MIN_SAMPLE_RATE, reader.MAX_SAMPLE_RATE, "Hz"), AfterValidator(_whole_number)]
Name = Annotated[str, AfterValidator(_printable_name)]


class Band(StrictModel):
    """A peaking filter. Its effective gain is gain_db · gate."""

    freq_hz: Annotated[float, Range(10.0, 24_000.0, "Hz")]
    gain_db: Annotated[float, Range(-24.0, 24.0, "dB")]
    q: Annotated[float, Range(0.1, 40.0)]
    gate: Annotated[float, Range(0.0, 1.0)] = 1.0


BAND_RANGES: dict[str, Range] = {
    name: next(x for x in field.metadata if isinstance(x, Range)) for name, field in Band.model_fields.items()
}


class Equalizer(StrictModel):
    """The bands, and the rate in Hz at which they have their intended response."""

    sample_rate: SampleRate = SAMPLE_RATE
    bands: Annotated[list[Band], Field(max_length=MAX_BANDS)]

    @model_validator(mode="after")
    def _check_frequencies(self) -> Equalizer:
        nyquist_hz = self.sample_rate / 2
        for number, band in enumerate(self.bands, 1):
            if band.freq_hz > nyquist_hz:
                sentence = f"band {number} of eq: freq_hz is above half of eq.sample_rate, {nyquist_hz:g} Hz."
                raise value_error(f"{sentence} Choose a lower one.", SENTENCE)
        return self


class SideEqualizer(StrictModel):
    """The bands of the side signal; they have their intended response at the rate of `eq`."""

    bands: Annotated[list[Band], Field(max_length=MAX_SIDE_BANDS)]


class RenderedBand(StrictModel):
    """A peaking filter at the track's rate, with the gate multiplied in; read-only."""

    freq_hz: Annotated[float, _FINITE]
    gain_db: Annotated[float, _FINITE]
    q: Annotated[float, _FINITE]


class RenderedEqualizer(StrictModel):
    """The bands as rendered at the track's rate; read-only."""

    sample_rate: SampleRate
    bands: Annotated[list[RenderedBand], Field(max_length=_MAX_RENDERED_BANDS)]


class ModelId(StrictModel):
    """The network that predicted the settings: its phase, training step and checkpoint digest."""

    phase: Literal[tuple(PHASES)]  # pyright: ignore[reportInvalidTypeForm]  (the table of phases is the source)
    step: Annotated[int, Field(ge=0, lt=1 << 62)]
    checkpoint: Annotated[str, Field(pattern="^[0-9a-f]{1,64}$")]


def _processor_model(processor: str) -> type[BaseModel]:
    """A model with the processor's parameters; those that a file leaves out get their initial values."""
    row = PROCESSORS[processor]
    fields: dict[str, Any] = {
        setting.name: (Annotated[float, Range(*row.limits[setting.name], setting.unit)], setting.initial)
        for setting in row.settings
    }
    return create_model(processor, __base__=StrictModel, **fields)


class _SettingsFile(StrictModel):
    format: Literal["nmjax settings 2"]
    track: Name | None = None
    reference: Name | None = None
    model: ModelId | None = None
    input_gain_db: Annotated[float, Range(-200.0, 200.0, "dB")] = 0.0
    residual_amount: Annotated[float, AMOUNT_RANGE] = 1.0
    repair: RepairPlan = NO_REPAIRS
    eq: Equalizer
    eq_side: SideEqualizer | None = None
    rendered_eq: RenderedEqualizer | None = None
    rendered_eq_side: RenderedEqualizer | None = None
    delivery: Any = None
    checksum: Any = None
    z: Annotated[list[Annotated[float, _FINITE]], Field(min_length=LATENT_SIZE, max_length=LATENT_SIZE)] | None = None

    @model_validator(mode="after")
    def _check_side_frequencies(self) -> _SettingsFile:
        nyquist_hz = self.eq.sample_rate / 2
        for number, band in enumerate(self.eq_side.bands if self.eq_side else (), 1):
            if band.freq_hz > nyquist_hz:
                sentence = f"band {number} of eq_side: freq_hz is above half of eq.sample_rate, {nyquist_hz:g} Hz."
                raise value_error(f"{sentence} Choose a lower one.", SENTENCE)
        return self


_PROCESSOR_MODELS = {processor: _processor_model(processor) for processor in PROCESSORS}
_PROCESSOR_FIELDS: dict[str, Any] = {name: (model | None, None) for name, model in _PROCESSOR_MODELS.items()}
SettingsFile = create_model("SettingsFile", __base__=_SettingsFile, **_PROCESSOR_FIELDS)
"""A settings file: `_SettingsFile`, and an optional field for each processor."""


class ParsedSettings(NamedTuple):
    """A checked settings file. read_only_edited: whether a read-only part differs from what the checksum says."""

    file: _SettingsFile
    processors: dict[str, dict[str, float] | None]
    read_only_edited: bool


def parse_settings(text: str, source: str) -> ParsedSettings:
    """Parses and checks the text of a settings file; what may be left out gets its default.

    Args:
        text: the file's text.
        source: its name, with which messages begin.

    Raises:
        BadInputError: not JSON, or the first key or value that the format does not allow.
    """
    if not text.strip():
        raise BadInputError(f"'{source}' is empty; use a settings file that nmjax wrote beside a master.")
    try:
        tree = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_reject_constant)
        _check_format(tree)
        file = SettingsFile.model_validate(tree)
        has_read_only = any(key in tree for key in READ_ONLY_KEYS)
        read_only_edited = has_read_only and file.checksum != read_only_checksum(tree)
    except ValidationError as error:
        raise BadInputError(f"'{source}': {describe(error.errors(include_url=False)[0], _keys_at)}") from None
    except BadInputError as error:
        raise BadInputError(f"'{source}': {error}") from None
    except json.JSONDecodeError as error:
        raise BadInputError(
            f"'{source}' is not valid JSON ({error.msg}, line {error.lineno}). Correct it or use an unedited copy."
        ) from None
    except (ValueError, OverflowError, RecursionError):  # integers of many digits, deeply nested brackets
        raise BadInputError(f"'{source}' is not a settings file; use one that nmjax wrote beside a master.") from None
    processors = {name: values and values.model_dump() for name in PROCESSORS for values in [getattr(file, name)]}
    return ParsedSettings(file, processors, read_only_edited)


def read_only_checksum(tree: dict[str, Any]) -> str:
    """A digest of the read-only parts, to tell an edit of them from an edit that has an effect."""
    read_only = {key: _numbers_to_floats(tree[key]) for key in READ_ONLY_KEYS if tree.get(key) is not None}
    return hashlib.sha256(json.dumps(read_only, sort_keys=True).encode()).hexdigest()[:8]


def check_processor_value(value: Any, processor: str, field: str) -> float:
    """Returns a processor's parameter as a float, if it exists and the value is within its limits.

    Raises:
        BadInputError: an unknown parameter, or a value that is not allowed.
    """
    fields = _PROCESSOR_MODELS[processor].model_fields
    if field not in fields:
        raise BadInputError(f"The {processor} has no {field!r}; {suggest(field, tuple(fields))}")
    (limits,) = (x for x in fields[field].metadata if isinstance(x, Range))
    return limits.check(value, f"{processor}.{field}")


def _check_format(tree: Any) -> None:
    """Checks that the file is a settings file of this version before anything in it is checked."""
    if not isinstance(tree, dict) or "format" not in tree:
        raise BadInputError(f'this is not a settings file; one begins with "format": "{FORMAT}".')
    file_format = str(tree["format"])
    if file_format.startswith("nmjax target"):
        raise BadInputError("this is a reference target; give it as --target, and a master's JSON file as --settings.")
    if file_format == "nmjax settings 1":
        raise BadInputError(f"this file has an older format; master the track again to get one of '{FORMAT}'.")
    if file_format != FORMAT:
        raise BadInputError(
            f"the format is {format_value(tree['format'])}; this version reads '{FORMAT}', update nmjax."
        )


def _keys_at(location: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys of the model at a place in the file."""
    match location:
        case ():
            model: type[BaseModel] = SettingsFile
        case ("eq" | "eq_side", "bands", _):
            model = Band
        case ("rendered_eq" | "rendered_eq_side", "bands", _):
            model = RenderedBand
        case ("repair", str(name)):
            return tuple(REPAIRS[name].model_fields) if name in REPAIRS else ()
        case (section,):
            sections = {
                "repair": RepairPlan,
                "eq": Equalizer,
                "eq_side": SideEqualizer,
                "rendered_eq": RenderedEqualizer,
                "rendered_eq_side": RenderedEqualizer,
                "model": ModelId,
                **_PROCESSOR_MODELS,
            }
            if section not in sections:
                return ()
            model = sections[str(section)]
        case _:
            return ()
    return tuple(model.model_fields)


def _numbers_to_floats(value: Any) -> Any:
    """Every number as a float: some editors write 1 for 1.0."""
    if isinstance(value, dict):
        return {key: _numbers_to_floats(x) for key, x in value.items()}
    if isinstance(value, list):
        return [_numbers_to_floats(x) for x in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ; `json` itself would silently keep the last of two."""
    tree = dict(pairs)
    if len(tree) < len(pairs):
        keys = [key for key, _ in pairs]
        duplicate = next(key for key in keys if keys.count(key) > 1)
        raise BadInputError(f"the key {format_value(duplicate)} appears twice in the same object; keep one of them.")
    return tree


def _reject_constant(constant: str) -> NoReturn:
    raise BadInputError(f"{constant} is not allowed; write a finite number.")
