"""What a person has set for a track: a document of small changes to a suggestion, and its history."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field

from nmjax.mastering.references import MATCH_ASPECTS
from nmjax.mastering.request import AUTO, CHAIN_NAMES, CLEAN, NONE, REPAIR_NAMES
from nmjax.mastering.settings.ranges import Range, StrictModel
from nmjax.mastering.settings.schema import BAND_RANGES, MAX_BANDS, MAX_SIDE_BANDS, check_processor_value
from nmjax.models.processors import PROCESSORS
from nmjax.reference.styles import STYLE_NAMES
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.options import suggest
from nmjax.studio.documents import one_of, read_model

FROM_NETWORK = "network"  # value of `Edits.base`: the suggestion of the network that is named
MAX_STEPS = 500  # of undo
MAX_REFERENCES = 20  # of a track at once
_Amount = Annotated[float, Range(0.0, 2.0)]
_Fraction = Annotated[float, Range(0.0, 1.0)]
ChainName = Annotated[str, one_of(CHAIN_NAMES)]
RepairName = Annotated[str, one_of((AUTO, NONE, *REPAIR_NAMES))]
AspectName = Annotated[str, one_of(MATCH_ASPECTS)]
StyleName = Annotated[str, one_of(STYLE_NAMES)]


class Deliver(StrictModel):
    """Loudness and ceiling that the master is played and delivered with; None for the preset's number."""

    name: Literal["streaming", "cd", "club"] = "streaming"
    lufs: Annotated[float, Range(-60.0, 0.0, "LUFS")] | Literal["keep", "clean", "none"] | None = None
    true_peak: Annotated[float, Range(-30.0, 0.0, "dBTP")] | Literal["none"] | None = None
    max_limiting: Annotated[float, Range(0.0, 30.0, "dB")] | None = None


class ReferenceSection(StrictModel):
    """A section of a reference, in seconds."""

    start: Annotated[float, Range(0.0, 86_400.0, "s")]
    end: Annotated[float, Range(0.0, 86_400.0, "s")]


class ReferenceChoice(StrictModel):
    """A reference that a track follows: its id, its weight in the average of all, and the section to use.

    section: None for the whole file.
    """

    id: str
    weight: Annotated[float, Range(0.001, 1000.0)] = 1.0
    section: ReferenceSection | None = None

    @property
    def key(self) -> str:
        """Identifies what is measured: the file, or a section of it."""
        return self.id if self.section is None else f"{self.id}-{self.section.start:g}-{self.section.end:g}"


class Edits(StrictModel):
    """Everything that a person can set.

    Attributes:
        model: name of the network.
        base: key of the suggestion that the changes apply to.
        intensity: 0 to 2, of the suggestion.
        amounts: 0 to 2 of each stage of the chain, after single values.
        bands: single values by index from 0.
        side_bands: the same for the bands of the side; one that the suggestion does not have is added.
        processors: single values by processor and setting.
        bypass, solo: stages that are left out, or the only one.
        repair: names, or "auto".
        deliver: loudness and ceiling.
        style: that the track moves toward; None for references, or for no target.
        references: music and target files that the track is matched to.
        reference_strength, reference_weights, same_song: how a target is matched.
        max_boost: largest boost of the equalizer toward a target, in dB; None for the default.
        model_before_target: the network to go back to without a target; None where a person chose the present one.
    """

    model: str
    base: str
    intensity: _Amount = 1.0
    amounts: dict[ChainName, _Amount] = Field(default_factory=lambda: dict.fromkeys(CHAIN_NAMES, 1.0))
    bands: dict[int, dict[str, float]] = Field(default_factory=dict)
    side_bands: dict[int, dict[str, float]] = Field(default_factory=dict)
    processors: dict[str, dict[str, float]] = Field(default_factory=dict)
    bypass: list[ChainName] = Field(default_factory=list)
    solo: ChainName | None = None
    repair: list[RepairName] = Field(default_factory=lambda: [AUTO])
    deliver: Deliver = Field(default_factory=Deliver)
    style: StyleName | None = None
    references: Annotated[list[ReferenceChoice], Field(max_length=MAX_REFERENCES)] = Field(default_factory=list)
    reference_strength: _Fraction = 1.0
    reference_weights: dict[AspectName, _Fraction] = Field(default_factory=lambda: dict.fromkeys(MATCH_ASPECTS, 1.0))
    same_song: bool = False
    max_boost: Annotated[float, Range(0.0, 18.0, "dB")] | None = None
    model_before_target: str | None = None

    @property
    def has_target(self) -> bool:
        """Whether there is a style or a reference."""
        return bool(self.style or self.references)

    @property
    def left_out(self) -> frozenset[str]:
        """The stages that are not rendered."""
        return frozenset(name for name in CHAIN_NAMES if name != self.solo) if self.solo else frozenset(self.bypass)


_PATCHABLE = tuple(name for name in Edits.model_fields if name not in ("base", "model_before_target"))


def patch_edits(edits: Edits, patch: dict[str, Any], num_bands: int, model_names: list[str]) -> Edits:
    """The edits after a partial change, as a page sends it.

    Args:
        edits: before.
        patch: names of the state and their new values; bands by index, processors by name.
        num_bands: of the suggestion.
        model_names: of the networks.

    Raises:
        BadInputError: an unknown name, or a value that is not allowed.
    """
    tree = edits.model_dump()
    for name, value in patch.items():
        if name not in _PATCHABLE:
            raise BadInputError(f"The settings have no {name!r}; {suggest(name, _PATCHABLE)}")
        tree[name] = _merge_value(name, tree[name], value, num_bands)
    if tree["model"] not in model_names:
        raise BadInputError(f"There is no network {tree['model']!r}; {suggest(str(tree['model']), model_names)}")
    checked = read_model(Edits, tree)
    if NONE in checked.repair and len(checked.repair) > 1:
        raise BadInputError("repair takes auto, or none, or names of repairs; give 'none' alone.")
    if checked.deliver.true_peak == NONE and checked.deliver.lufs == CLEAN:
        raise BadInputError("The loudest that stays clean depends on the ceiling; choose a ceiling, or a loudness.")
    if checked.style and checked.references:
        raise BadInputError("A style and references both name a target; choose one of them.")
    return checked


def _merge_value(name: str, current: Any, value: Any, num_bands: int) -> Any:
    """The new value of one name of the state."""
    if name == "bands":
        return _merge_bands(current, value, num_bands)
    if name == "side_bands":
        return _merge_bands(current, value, MAX_SIDE_BANDS, "side band")
    if name == "processors":
        return _merge_processors(current, value)
    if name in ("amounts", "reference_weights"):
        return {**current, **_mapping(value, name)}
    if name == "deliver":
        return _merge_deliver(current, _mapping(value, name))
    return [value] if name == "repair" and isinstance(value, str) else value


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInputError(f"{name} is {json.dumps(value)[:40]}; give names and numbers in braces.")
    return value


def _merge_bands(
    bands: dict[int, dict[str, float]], changes: Any, num_bands: int, label: str = "band"
) -> dict[int, dict[str, float]]:
    merged = {index: dict(values) for index, values in bands.items()}
    for text, values in _mapping(changes, f"{label}s").items():
        if not text.isdecimal() or len(text) > len(str(MAX_BANDS)) or int(text) >= num_bands:
            raise BadInputError(f"There is no {label} {text[:20]!r}; they are 0 to {num_bands - 1}.")
        index = int(text)
        for field, value in _mapping(values, f"{label} {index}").items():
            if field not in BAND_RANGES:
                raise BadInputError(f"A band has no {field!r}; {suggest(field, tuple(BAND_RANGES))}")
            number = BAND_RANGES[field].check(value, f"{label.capitalize()} {index + 1}: {field}")
            merged.setdefault(index, {})[field] = number
    return merged


def _merge_processors(processors: dict[str, dict[str, float]], changes: Any) -> dict[str, dict[str, float]]:
    merged = {name: dict(values) for name, values in processors.items()}
    for name, values in _mapping(changes, "processors").items():
        if name not in PROCESSORS:
            raise BadInputError(f"There is no processor {name!r}; {suggest(name, tuple(PROCESSORS))}")
        for field, value in _mapping(values, name).items():
            merged.setdefault(name, {})[field] = check_processor_value(value, name, field)
    return merged


def _merge_deliver(deliver: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A new preset without numbers has its own ones."""
    if changes.get("name") is not None and changes["name"] != deliver["name"]:
        deliver = {}
    return {**deliver, **{name: value for name, value in changes.items() if (name, value) != ("name", None)}}


class History:
    """The steps of a track's edits, for undo and redo, and its named snapshots.

    Args:
        first: the first step.
    """

    def __init__(self, first: Edits):
        self._steps, self._index, self._is_open = [first], 0, False
        self.snapshots: dict[str, Edits] = {}

    @property
    def current(self) -> Edits:
        """The edits in force."""
        return self._steps[self._index]

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier step."""
        return self._index > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is a later step."""
        return self._index + 1 < len(self._steps)

    def reference_ids(self) -> set[str]:
        """The references that any step or snapshot names."""
        return {chosen.id for edits in (*self._steps, *self.snapshots.values()) for chosen in edits.references}

    def change(self, edits: Edits, transient: bool = False) -> None:
        """A new step. Transient changes and the next final one are a single step."""
        if self._is_open:
            self._steps[self._index] = edits
        else:
            self._steps = [*self._steps[: self._index + 1], edits][-MAX_STEPS:]
            self._index = len(self._steps) - 1
        self._is_open = transient

    def undo(self) -> bool:
        """To the step before; whether there was one."""
        self._is_open = False
        if not self.can_undo:
            return False
        self._index -= 1
        return True

    def redo(self) -> bool:
        """To the step after; whether there was one."""
        self._is_open = False
        if not self.can_redo:
            return False
        self._index += 1
        return True

    def to_dict(self) -> dict[str, Any]:
        """The history for JSON."""
        return {
            "index": self._index,
            "steps": [step.model_dump(mode="json") for step in self._steps],
            "snapshots": {name: edits.model_dump(mode="json") for name, edits in self.snapshots.items()},
        }

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> History:
        """The history of a JSON document.

        Raises:
            BadInputError: the document is damaged.
        """
        try:
            steps = [_stored_edits(step) for step in tree["steps"]]
            history = cls(steps[0])
            history._steps, history._index = steps, int(tree["index"])
            history.snapshots = {str(name): _stored_edits(edits) for name, edits in tree["snapshots"].items()}
            history.current  # noqa: B018  (raises where the index is wrong)
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            raise BadInputError(f"The history of this track is damaged ({error}).") from None
        return history


def _stored_edits(tree: dict[str, Any]) -> Edits:
    """JSON has texts as keys."""
    bands = {name: {int(index): x for index, x in tree.get(name, {}).items()} for name in ("bands", "side_bands")}
    return read_model(Edits, {**tree, **bands})
