"""Systems that are given a reference, and whether they arrive at it."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from nmjax.evaluation.items import Audio, Item
from nmjax.evaluation.metrics import (
    at_loudness,
    band_levels_db,
    centroid_hz,
    crest_db,
    lufs,
    mel_distance_db,
    mid_side,
    mr_stft,
    width_db,
)
from nmjax.inference.deliver.delivery import LEAST_LUFS, PRESETS, Delivery, delivered, solve
from nmjax.inference.deliver.verify import judged
from nmjax.inference.master import Options, choose
from nmjax.inference.network import Network
from nmjax.inference.reference import LEAST_SECONDS, profile_of_pieces
from nmjax.inference.track import Heard, corrected
from nmjax.models import SAMPLE_RATE
from nmjax.reference.match import Aim

# What is printed of how near an output comes to another song, in this order: name → unit.
ARRIVAL = {
    "to_bark_mid_db": "dB",
    "to_bark_side_db": "dB",
    "to_crest_db": "dB",
    "to_range_lu": "LU",
    "to_width_db": "dB",
    "to_loudness_lu": "LU",
}
DELIVERED = {"delivered_lufs": "LUFS", "delivered_peak_db": "dBTP"}
_AT_LUFS = -23.0  # where both are compared
# What DeepAFx-ST's table has (C. Steinmetz, N. Bryan, J. Reiss, "Style transfer of audio effects with differentiable
# signal processing", JAES 70, 2022), the level counting: name → unit.
STYLE = {"style_mr_stft": "", "style_mel_db": "dB", "style_centroid_hz": "Hz", "style_rms_db": "dB", "style_lufs": "LU"}


def towards(item: Item, network: Network, which: str) -> Audio | None:
    """As `infer.py --reference` plays it, before delivery; for another part of the `same` song with `--same-song`, for
    an`other` song without."""
    given = item.same if which == "same" else item.other
    if given is None or len(given) < LEAST_SECONDS * SAMPLE_RATE:
        return None
    heard = Heard(lambda: [item.source.astype(np.float32)], SAMPLE_RATE, item.lufs, len(item.source))
    aim = Aim(profile_of_pieces([given], SAMPLE_RATE), which, same_song=which == "same")
    chosen = choose(heard, network, Options(aim=aim), [])
    return np.concatenate(list(corrected(heard, chosen.prediction, chosen.rendered, network)))


def finished(audio: Audio, as_loud_as: Float[np.ndarray, "its_time its_channel"]) -> Audio:
    """As `infer.py --lufs reference` delivers it."""
    channels, loudness = audio.shape[1], min(lufs(as_loud_as.astype(np.float64), SAMPLE_RATE), 0.0)
    wanted = PRESETS["streaming"]
    if loudness >= LEAST_LUFS:
        wanted = dataclasses.replace(wanted, lufs=loudness)

    def source():
        return iter([audio.astype(np.float32)])

    plan = solve(source, SAMPLE_RATE, channels, wanted)
    return np.concatenate(list(delivered(source, SAMPLE_RATE, plan)))


def arrived(output: Audio, reference: Float[np.ndarray, "its_time its_channel"]) -> dict[str, float]:
    """How far an output is from a reference in what lasts, both at one loudness: RMS over the 24 critical bands of mid
    and of side, crest, loudness range, width; how far apart they are in loudness, and how loud and high it was itself.

    NaN for the side and the width where one of them is mono.
    """
    plain = Delivery(lufs=None, true_peak_db=None, name="plain")
    meters = [judged([x.astype(np.float32)], SAMPLE_RATE, x.shape[1], plain) for x in (output, reference)]
    found = dict.fromkeys(ARRIVAL, float("nan"))
    found |= {"delivered_lufs": meters[0].lufs, "delivered_peak_db": meters[0].true_peak_db}
    both = [at_loudness(x.astype(np.float64), _AT_LUFS, SAMPLE_RATE) for x in (output, reference)]
    for name, *parts in zip(("mid", "side"), *map(mid_side, both), strict=False):
        levels = [band_levels_db(part, "bark", SAMPLE_RATE) for part in parts]
        found[f"to_bark_{name}_db"] = float(np.sqrt(np.mean((levels[0] - levels[1]) ** 2)))
    found["to_crest_db"] = abs(crest_db(both[0]) - crest_db(both[1]))
    found["to_range_lu"] = abs(meters[0].loudness_range - meters[1].loudness_range)
    found["to_loudness_lu"] = abs(meters[0].lufs - meters[1].lufs)
    if output.shape[1] == reference.shape[1] == 2:
        found["to_width_db"] = abs(width_db(both[0]) - width_db(both[1]))
    return found


def styled(output: Audio, target: Audio) -> dict[str, float]:
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
