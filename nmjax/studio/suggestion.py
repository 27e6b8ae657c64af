"""A suggestion for a track, and the settings that a person's edits make of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nmjax.audio.units import json_number
from nmjax.dsp import Bands
from nmjax.dsp.rate_conversion import convert_bands_to_rate
from nmjax.mastering.analysis import with_input_gain
from nmjax.mastering.delivery.spec import DeliverySpec
from nmjax.mastering.intensity import Shares, apply_intensity, scale_processor
from nmjax.mastering.repair.plan import NO_REPAIRS, RepairPlan
from nmjax.mastering.request import MasteringRequest
from nmjax.mastering.resolve import resolve_delivery_specs
from nmjax.mastering.settings.file import StoredSettings, settings_from_json, settings_to_json
from nmjax.mastering.settings.overrides import Overrides, apply_overrides
from nmjax.mastering.settings.schema import BAND_RANGES, MAX_AMOUNT, ModelId
from nmjax.mastering.types import RenderPlan
from nmjax.models import PHASES, Prediction
from nmjax.models.parameters import EqSettings
from nmjax.models.processors import PROCESSORS
from nmjax.studio.state import Deliver, Edits


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """Settings that edits apply to: a network's prediction, its match with a reference, or a settings file.

    Attributes:
        prediction: settings `[1, bands]` and z.
        eq_sample_rate: rate in Hz at which the bands have their intended response.
        residual_amount: 0 to 2.
        model: the network; None for a file written by hand.
        shares: of each band, for an intensity above 1; None where they are not known.
        matched: stages that a reference decides.
        reference: description of the target; None without one.
        notes: about its match, for people.
        difference_db: tone of the target minus that of the track at `reference.bands.CENTERS_HZ`, NaN where it is
            unknown; None where the tone is not matched.
    """

    prediction: Prediction
    eq_sample_rate: int
    residual_amount: float
    model: ModelId | None
    shares: Shares | None = None
    matched: frozenset[str] = frozenset()
    reference: str | None = None
    notes: tuple[str, ...] = ()
    difference_db: Float[np.ndarray, " target_bands"] | None = None

    @property
    def num_bands(self) -> int:
        """Number of bands."""
        return self.prediction.settings.eq.q.shape[1]

    @property
    def has_residual(self) -> bool:
        """Whether its network adds a residual."""
        if self.model is None or self.prediction.z is None:
            return False
        return PHASES[self.model.phase].has_residual and self.residual_amount > 0.0

    def to_dict(self, sample_rate: int) -> dict[str, Any]:
        """The suggestion for JSON: a settings file, and what that does not have."""
        return {
            "settings": settings_text(
                "", self, self.prediction, self.prediction.settings.eq.bands(), self.residual_amount, sample_rate
            ),
            "shares": None if self.shares is None else [float(x) for x in self.shares],
            "matched": sorted(self.matched),
            "reference": self.reference,
            "notes": list(self.notes),
            "difference_db": None if self.difference_db is None else [json_number(x) for x in self.difference_db],
        }

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> Suggestion:
        """The suggestion of a JSON document."""
        stored = settings_from_json(tree["settings"], "suggestion")
        shares = None if tree["shares"] is None else np.asarray(tree["shares"])
        difference_db = None if tree["difference_db"] is None else np.asarray(tree["difference_db"], np.float64)
        return dataclasses.replace(
            cls.from_settings(stored),
            shares=shares,
            matched=frozenset(tree["matched"]),
            reference=tree["reference"],
            notes=tuple(tree["notes"]),
            difference_db=difference_db,
        )

    @classmethod
    def from_settings(cls, stored: StoredSettings) -> Suggestion:
        """The settings of a file."""
        residual_amount = stored.residual_amount if stored.model else 0.0
        return cls(stored.prediction, stored.sample_rate, residual_amount, stored.model)


@dataclasses.dataclass(frozen=True)
class ResolvedSettings:
    """What edits make of a suggestion.

    Attributes:
        shown: after intensity and single values, as a page shows them.
        rendered: after amounts, bypass and solo too.
        residual_amount: 0 to 2.
    """

    shown: Prediction
    rendered: Prediction
    residual_amount: float


def resolve_settings(suggestion: Suggestion, edits: Edits) -> ResolvedSettings:
    """The settings that edits make of a suggestion: intensity, single values, amounts, then bypass and solo.

    Raises:
        BadInputError: an amount brings a band beyond its range.
    """
    at_intensity = apply_intensity(suggestion.prediction, edits.intensity, suggestion.shares, suggestion.matched)
    bands = {index + 1: values for index, values in edits.bands.items() if index < suggestion.num_bands}
    side_bands = {index + 1: values for index, values in edits.side_bands.items()}
    changes = Overrides(bands=bands, side_bands=side_bands, processors=edits.processors)
    shown = apply_overrides(changes, at_intensity, suggestion.eq_sample_rate)
    scaled = {
        name: scale_processor(name, values, edits.amounts[name])
        for name in PROCESSORS
        if (values := getattr(shown.settings, name)) is not None and edits.amounts[name] != 1.0
    }
    rendered = dataclasses.replace(shown, settings=dataclasses.replace(shown.settings, **scaled))
    left_out = Overrides(eq_amount=edits.amounts["eq"], bypass=edits.left_out)
    rendered = apply_overrides(left_out, rendered, suggestion.eq_sample_rate)
    residual_amount = 0.0
    if suggestion.has_residual and "residual" not in edits.left_out:
        residual_amount = min(suggestion.residual_amount * edits.intensity * edits.amounts["residual"], MAX_AMOUNT)
    return ResolvedSettings(shown, rendered, residual_amount)


def render_plan(
    suggestion: Suggestion,
    resolved: ResolvedSettings,
    repairs: RepairPlan,
    *,
    sample_rate: int,
    input_gain_db: float,
    is_exact: bool = True,
) -> RenderPlan:
    """What is rendered.

    Args:
        suggestion: that the settings come from.
        resolved: the settings.
        repairs: of the track.
        sample_rate: of the track, in Hz.
        input_gain_db: from the repaired track to the model's level.
        is_exact: False while a control moves: the bands are then not refitted to the track's rate, which takes longer
            than rendering a piece.
    """
    prediction = with_input_gain(resolved.rendered, input_gain_db)
    eq_side = prediction.settings.eq_side

    def at_rate(bands: Bands) -> Bands:
        if is_exact:
            return convert_bands_to_rate(bands, suggestion.eq_sample_rate, sample_rate)
        limit_hz = jnp.float32(0.49 * sample_rate)
        return dataclasses.replace(bands, freq_hz=jnp.minimum(bands.freq_hz, limit_hz))

    return RenderPlan(
        prediction=prediction,
        eq_sample_rate=suggestion.eq_sample_rate,
        rendered_bands=at_rate(prediction.settings.eq.bands()),
        rendered_side_bands=None if eq_side is None else at_rate(eq_side.bands()),
        residual_amount=resolved.residual_amount,
        repairs=repairs,
    )


def settings_text(
    track_name: str,
    suggestion: Suggestion,
    prediction: Prediction,
    rendered_bands: Bands,
    residual_amount: float,
    sample_rate: int,
    repairs: RepairPlan = NO_REPAIRS,
    rendered_side_bands: Bands | None = None,
) -> str:
    """The text of a settings file, as the command line writes and reads it."""
    return settings_to_json(
        track=track_name,
        model=suggestion.model,
        prediction=prediction,
        rendered_bands=rendered_bands,
        sample_rate=sample_rate,
        delivery={},
        residual_amount=residual_amount,
        eq_sample_rate=suggestion.eq_sample_rate,
        reference=suggestion.reference,
        repairs=repairs,
        rendered_side_bands=rendered_side_bands,
    )


def state_to_dict(suggestion: Suggestion, resolved: ResolvedSettings, edits: Edits) -> dict[str, Any]:
    """The state as a page shows it."""
    tree = edits.model_dump(mode="json", exclude={"base", "bands", "side_bands", "processors", "model_before_target"})
    settings = resolved.shown.settings
    return {
        **tree,
        "has_residual": suggestion.has_residual,
        "repair": "auto" if edits.repair == ["auto"] else edits.repair,
        "bands": _band_values(settings.eq),
        "side_bands": [] if settings.eq_side is None else _band_values(settings.eq_side),
        "processors": {name: _processor_values(getattr(settings, name)) for name in PROCESSORS},
    }


def delivery_spec(deliver: Deliver) -> DeliverySpec:
    """The loudness and ceiling that a page's numbers ask for.

    Raises:
        BadInputError: the numbers contradict each other.
    """
    request = MasteringRequest(
        deliver=(deliver.name,), lufs=deliver.lufs, true_peak=deliver.true_peak, max_limiting=deliver.max_limiting
    )
    return resolve_delivery_specs(request)[0]


def _band_values(eq: EqSettings) -> list[dict[str, float]]:
    columns = {field: np.asarray(getattr(eq, field), np.float64)[0] for field in BAND_RANGES}
    return [{field: float(column[i]) for field, column in columns.items()} for i in range(len(columns["q"]))]


def _processor_values(values: Any) -> dict[str, float] | None:
    if values is None:
        return None
    return {x.name: float(getattr(values, x.name)[0]) for x in dataclasses.fields(values)}
