"""Systems that are given a reference, and whether they arrive at it."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from nmjax.evaluation.examples import Audio, Example
from nmjax.evaluation.metrics import (
    band_levels_db,
    centroid_hz,
    crest_db,
    lufs,
    mel_distance_db,
    mid_side,
    mr_stft,
    normalize_loudness,
    width_db,
)
from nmjax.mastering.analysis import SourceSignal, render_prediction
from nmjax.mastering.delivery.plan import MIN_LUFS, PRESETS, DeliverySpec, apply_delivery_plan, plan_delivery
from nmjax.mastering.delivery.verify import check_compliance
from nmjax.mastering.master import plan_render
from nmjax.mastering.network import Network
from nmjax.mastering.references import MIN_SECONDS, features_from_chunks
from nmjax.mastering.types import MasteringOptions
from nmjax.models import SAMPLE_RATE
from nmjax.reference.match import ReferenceTarget

# What is printed of how near an output comes to another song, in this order: name → unit.
REFERENCE_METRICS = {
    "to_bark_mid_db": "dB",
    "to_bark_side_db": "dB",
    "to_crest_db": "dB",
    "to_range_lu": "LU",
    "to_width_db": "dB",
    "to_loudness_lu": "LU",
}
DELIVERY_METRICS = {"delivered_lufs": "LUFS", "delivered_peak_db": "dBTP"}
_COMPARISON_LUFS = -23.0  # where both are compared
# What DeepAFx-ST's table has (C. Steinmetz, N. Bryan, J. Reiss, "Style transfer of audio effects with differentiable
# signal processing", JAES 70, 2022), the level counting: name → unit.
STYLE_METRICS = {
    "style_mr_stft": "",
    "style_mel_db": "dB",
    "style_centroid_hz": "Hz",
    "style_rms_db": "dB",
    "style_lufs": "LU",
}


def render_with_reference(example: Example, network: Network, reference_kind: str) -> Audio | None:
    """As `infer.py --reference` plays it, before delivery; for another part of the `same` song with `--same-song`, for
    an`other` song without."""
    reference = example.same_song if reference_kind == "same" else example.other_song
    if reference is None or len(reference) < MIN_SECONDS * SAMPLE_RATE:
        return None
    signal = SourceSignal(lambda: [example.source.astype(np.float32)], SAMPLE_RATE, example.lufs, len(example.source))
    reference_target = ReferenceTarget(
        features_from_chunks([reference], SAMPLE_RATE), reference_kind, same_song=reference_kind == "same"
    )
    plan = plan_render(signal, network, MasteringOptions(reference_target=reference_target), [])
    return np.concatenate(list(render_prediction(signal, plan.prediction, plan.rendered_bands, network)))


def deliver_at_loudness_of(audio: Audio, loudness_reference: Float[np.ndarray, "its_time its_channel"]) -> Audio:
    """As `infer.py --lufs reference` delivers it."""
    channels, loudness = audio.shape[1], min(lufs(loudness_reference.astype(np.float64), SAMPLE_RATE), 0.0)
    delivery = PRESETS["streaming"]
    if loudness >= MIN_LUFS:
        delivery = dataclasses.replace(delivery, lufs=loudness)

    def source():
        return iter([audio.astype(np.float32)])

    delivery_plan = plan_delivery(source, SAMPLE_RATE, channels, delivery)
    return np.concatenate(list(apply_delivery_plan(source, SAMPLE_RATE, delivery_plan)))


def reference_distance(output: Audio, reference: Float[np.ndarray, "its_time its_channel"]) -> dict[str, float]:
    """How far an output is from a reference in what lasts, both at one loudness: RMS over the 24 critical bands of mid
    and of side, crest, loudness range, width; how far apart they are in loudness, and how loud and high it was itself.

    NaN for the side and the width where one of them is mono.
    """
    no_delivery = DeliverySpec(lufs=None, true_peak_db=None, name="plain")
    meters = [
        check_compliance([x.astype(np.float32)], SAMPLE_RATE, x.shape[1], no_delivery) for x in (output, reference)
    ]
    result = dict.fromkeys(REFERENCE_METRICS, float("nan"))
    result |= {"delivered_lufs": meters[0].lufs, "delivered_peak_db": meters[0].true_peak_db}
    normalized = [normalize_loudness(x.astype(np.float64), _COMPARISON_LUFS, SAMPLE_RATE) for x in (output, reference)]
    for name, *channels in zip(("mid", "side"), *map(mid_side, normalized), strict=False):
        levels = [band_levels_db(channel, "bark", SAMPLE_RATE) for channel in channels]
        result[f"to_bark_{name}_db"] = float(np.sqrt(np.mean((levels[0] - levels[1]) ** 2)))
    result["to_crest_db"] = abs(crest_db(normalized[0]) - crest_db(normalized[1]))
    result["to_range_lu"] = abs(meters[0].loudness_range_lu - meters[1].loudness_range_lu)
    result["to_loudness_lu"] = abs(meters[0].lufs - meters[1].lufs)
    if output.shape[1] == reference.shape[1] == 2:
        result["to_width_db"] = abs(width_db(normalized[0]) - width_db(normalized[1]))
    return result


def style_transfer_errors(output: Audio, target: Audio) -> dict[str, float]:
    """How far an output is from the target, its level included, in what DeepAFx-ST's table has."""
    rms = [20.0 * np.log10(np.sqrt(np.mean(np.square(x, dtype=np.float64))) + 1e-9) for x in (output, target)]
    centroids = [centroid_hz(x, SAMPLE_RATE) for x in (output, target)]
    return {
        "style_mr_stft": mr_stft(output, target, SAMPLE_RATE),
        "style_mel_db": mel_distance_db(output, target, SAMPLE_RATE),
        "style_centroid_hz": abs(centroids[0] - centroids[1]),
        "style_rms_db": abs(rms[0] - rms[1]),
        "style_lufs": abs(lufs(output, SAMPLE_RATE) - lufs(target, SAMPLE_RATE)),
    }
