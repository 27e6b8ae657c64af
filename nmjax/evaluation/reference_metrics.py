"""Distance of an output to its reference: of the delivered file to another song, and as in DeepAFx-ST's table."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from nmjax.evaluation.metrics import (
    Audio,
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
from nmjax.mastering.delivery.spec import DeliverySpec
from nmjax.mastering.delivery.verify import check_compliance
from nmjax.models import SAMPLE_RATE

# Distances to another song that is the reference: name → unit, in the order of the table.
REFERENCE_METRICS = {
    "reference_bark_mid_db": "dB",
    "reference_bark_side_db": "dB",
    "reference_crest_db": "dB",
    "reference_loudness_range_lu": "LU",
    "reference_width_db": "dB",
    "reference_loudness_lu": "LU",
}
DELIVERY_METRICS = {"delivered_lufs": "LUFS", "delivered_peak_db": "dBTP"}
_COMPARISON_LUFS = -23.0
# The metrics of C. Steinmetz, N. Bryan, J. Reiss, "Style transfer of audio effects with differentiable signal
# processing", JAES 70, 2022; they include the level.
STYLE_METRICS = {
    "style_mr_stft": "",
    "style_mel_db": "dB",
    "style_centroid_hz": "Hz",
    "style_rms_db": "dB",
    "style_lufs": "LU",
}


def reference_distance(
    output: Audio, reference: Float[np.ndarray, "reference_time reference_channel"]
) -> dict[str, float]:
    """REFERENCE_METRICS and DELIVERY_METRICS of an output.

    Spectra (RMS over the 24 critical bands of mid and of side), crest factor and width are compared at equal loudness.
    Distances of side and width are NaN where either signal is mono.
    """
    no_delivery = DeliverySpec(lufs=None, true_peak_db=None, name="plain")
    measured, measured_reference = (
        check_compliance([x.astype(np.float32)], SAMPLE_RATE, x.shape[1], no_delivery) for x in (output, reference)
    )
    result = dict.fromkeys(REFERENCE_METRICS, float("nan"))
    result |= {"delivered_lufs": measured.lufs, "delivered_peak_db": measured.true_peak_db}
    normalized = [normalize_loudness(x.astype(np.float64), _COMPARISON_LUFS, SAMPLE_RATE) for x in (output, reference)]
    for name, *channels in zip(("mid", "side"), *map(mid_side, normalized), strict=False):
        levels = [band_levels_db(channel, "bark", SAMPLE_RATE) for channel in channels]
        result[f"reference_bark_{name}_db"] = float(np.sqrt(np.mean((levels[0] - levels[1]) ** 2)))
    result["reference_crest_db"] = abs(crest_db(normalized[0]) - crest_db(normalized[1]))
    result["reference_loudness_range_lu"] = abs(measured.loudness_range_lu - measured_reference.loudness_range_lu)
    result["reference_loudness_lu"] = abs(measured.lufs - measured_reference.lufs)
    if output.shape[1] == reference.shape[1] == 2:
        result["reference_width_db"] = abs(width_db(normalized[0]) - width_db(normalized[1]))
    return result


def style_transfer_errors(output: Audio, target: Audio) -> dict[str, float]:
    """STYLE_METRICS of an output, the difference in level included."""
    rms_db = [20.0 * np.log10(np.sqrt(np.mean(np.square(x, dtype=np.float64))) + 1e-9) for x in (output, target)]
    centroids_hz = [centroid_hz(x, SAMPLE_RATE) for x in (output, target)]
    return {
        "style_mr_stft": mr_stft(output, target, SAMPLE_RATE),
        "style_mel_db": mel_distance_db(output, target, SAMPLE_RATE),
        "style_centroid_hz": abs(centroids_hz[0] - centroids_hz[1]),
        "style_rms_db": abs(rms_db[0] - rms_db[1]),
        "style_lufs": abs(lufs(output, SAMPLE_RATE) - lufs(target, SAMPLE_RATE)),
    }
