"""What a settings file holds of a result: the rendered settings, and what each delivery measured."""

from __future__ import annotations

from nmjax.audio.units import json_number
from nmjax.mastering.delivery.level_words import describe_level
from nmjax.mastering.delivery.plan import DeliveryPlan
from nmjax.mastering.delivery.spec import DeliverySpec
from nmjax.mastering.delivery.verify import ComplianceResult
from nmjax.mastering.network import Network
from nmjax.mastering.settings.file import settings_to_json
from nmjax.mastering.types import MasteringOptions, RenderPlan


def settings_json(
    *,
    track_name: str,
    render_plan: RenderPlan,
    sample_rate: int,
    network: Network | None,
    options: MasteringOptions,
    delivery_by_name: dict,
) -> str:
    """The text of the settings file of a track rendered at `sample_rate` (Hz)."""
    model = network.model_id if network else None
    return settings_to_json(
        track=track_name,
        model=options.settings.model if options.settings else model,
        prediction=render_plan.prediction,
        rendered_bands=render_plan.rendered_bands,
        sample_rate=sample_rate,
        delivery=delivery_by_name,
        residual_amount=render_plan.residual_amount,
        eq_sample_rate=render_plan.eq_sample_rate,
        reference=render_plan.match.reference_target.description if render_plan.match else None,
        repairs=render_plan.repairs,
        rendered_side_bands=render_plan.rendered_side_bands,
    )


def delivery_to_dict(
    spec: DeliverySpec, delivery_plan: DeliveryPlan, compliance: ComplianceResult, input_lufs: float
) -> dict[str, str | float | None]:
    """A delivery of an input with this loudness, for JSON; None for a number that is not finite."""
    return {
        "status": str(compliance.status),
        "summary": describe_level(spec, delivery_plan, input_lufs, compliance.lufs),
        "gain_db": json_number(delivery_plan.gain_db),
        "lufs": json_number(compliance.lufs),
        "true_peak_db": json_number(compliance.true_peak_db),
        "loudness_range_lu": json_number(compliance.loudness_range_lu),
        "max_gain_reduction_db": json_number(delivery_plan.gain_reduction.max_db),
    }
