"""Mastering from Python: `nmjax.master`, the same as `infer.py` without files.

import nmjax

result = nmjax.master(audio, 44_100, ckpt="runs/1b", deliver="cd")
result.audio                # [time, channel] float32
result.measurements.lufs    # of the master
result.settings["eq"]["bands"][2]["gain_db"] = -1.0
again = nmjax.master(audio, 44_100, ckpt="runs/1b", settings=result.settings)
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from nmjax.audio import reader
from nmjax.mastering import pretrained
from nmjax.mastering.delivery.plan import DeliveryPlan, apply_delivery_plan, plan_delivery
from nmjax.mastering.delivery.verify import ComplianceResult, check_compliance
from nmjax.mastering.master import (
    CHUNK_FRAMES,
    analyze_track,
    delivery_to_dict,
    render_track,
    settings_json,
)
from nmjax.mastering.network import Network, load
from nmjax.mastering.references import (
    build_reference_target,
    check_reference,
    features_from_chunks,
    read_reference_features,
)
from nmjax.mastering.request import MasteringRequest
from nmjax.mastering.settings.file import StoredSettings, read_settings, settings_from_json
from nmjax.mastering.settings.overrides import Overrides
from nmjax.mastering.types import AnalyzedTrack, InputSignal, MasteringOptions
from nmjax.reference.features import TrackFeatures
from nmjax.reference.match import ReferenceTarget
from nmjax.runtime.errors import BadInputError

__all__ = ["Result", "load", "master"]
Reference = str | Path | tuple[np.ndarray, int]


@dataclasses.dataclass(frozen=True)
class Result:
    """A master. audio: as it was given, `[time, channel]` or `[time]`, float32. settings: what a settings file holds
    (docs/settings.md), as a dict; `json.dump` makes one of it. measurements: of the master, by code that shares nothing
    with what made it; `.passed` says whether it is what was asked for, `.line` all in one line. notes: sentences."""

    audio: Float[np.ndarray, " time *channel"]
    settings: dict[str, Any]
    measurements: ComplianceResult
    notes: list[str]


def master(
    audio: np.ndarray,
    sample_rate: int,
    *,
    ckpt: str | Path | Network | None = None,
    model: str | None = None,
    settings: str | Path | Mapping[str, Any] | None = None,
    deliver: str = "streaming",
    lufs: float | str | None = None,
    true_peak: float | str | None = None,
    max_limiting: float | None = None,
    eq_amount: float = 1.0,
    residual_amount: float = 1.0,
    bands: Mapping[int, Mapping[str, float]] | None = None,
    bypass: Iterable[str] = (),
    processors: Mapping[str, Mapping[str, float]] | None = None,
    analysis_seconds: float | None = None,
    reference: Reference | Sequence[Reference] | None = None,
    reference_strength: float = 1.0,
    reference_weights: Mapping[str, float] | None = None,
    same_song: bool = False,
) -> Result:
    """Master a signal as `infer.py` masters a file of floats: the same samples.

    Args:
        audio: `[time, channel]` or `[time]`, 1 to 8 channels, full scale ±1; integers are scaled to it.
        sample_rate: 8,000 to 192,000 Hz.
        ckpt: a run's folder, or what `nmjax.load` made of it (for many signals). model: the name of a network that
            comes with the program. Neither: the best of those, another one with a `reference`, none with `settings`.
        settings: these in place of the network's: a file (JSON, .txt, .csv) or a dict as `Result.settings`.
        deliver: "streaming" (−14 LUFS, −1 dBTP), "cd" (−9, −0.3) or "club" (−7, −0.3). lufs, true_peak: another number
            in its place, or "none"; lufs also "reference", as loud as that.
            max_limiting: dB, the deepest gain reduction; 6 by default.
        eq_amount: 0 to 2, scales the bands' decibels. residual_amount: 0 to 2, scales the residual.
        bands: values in place of the network's, by number from 1: `{3: {"gain_db": -1.0}}`.
        bypass: of "eq", "compressor", "saturator", "width" and "residual".
        stages: values in place of the network's, by stage: `{"compressor": {"ratio": 2.0}}`.
        analyse_seconds: so much is listened to, evenly spread; None: all.
        reference: music to come near to: a file, a target file (.json), or `(audio, sample_rate)`; or a list of those,
            which count alike. reference_strength: 0 (the network's answer) to 1. reference_weights: the same for
            "tone", "dynamics" and "width". same_song: whether it is another part or mix of this very song.

    Raises:
        BadInputError: anything that cannot be used; a sentence says what and what instead.
    """
    request = _build_request(ckpt, model, settings, deliver, lufs, true_peak, max_limiting, analysis_seconds)
    if settings is not None and reference is not None:
        raise BadInputError("Settings say what is rendered, so that no reference can change it; give one of them.")
    if isinstance(ckpt, Network) and model:
        raise BadInputError("ckpt and model name two networks; give one of them.")
    reference_target = _reference_target(reference, reference_strength, reference_weights or {}, same_song)
    options = dataclasses.replace(
        dataclasses.replace(request, settings=None).resolve_options(reference_target),
        overrides=Overrides(eq_amount, residual_amount, dict(bands or {}), frozenset(bypass), dict(processors or {})),
        settings=None if settings is None else _read_settings(settings),
    )
    input_signal = _input_signal(audio, sample_rate)
    if reference_target and not (ckpt or model):
        network = pretrained.load_for_references(lambda _: None)
    else:
        network = ckpt if isinstance(ckpt, Network) else request.load_network(lambda _: None)
    analyzed_track = analyze_track(input_signal, network, options)
    with render_track(analyzed_track, network) as open_stream:
        plan = plan_delivery(open_stream, sample_rate, input_signal.channels, options.delivery_specs[0])
        mastered = np.concatenate(
            [chunk.astype(np.float32) for chunk in apply_delivery_plan(open_stream, sample_rate, plan)]
        )
    return _build_result(mastered.reshape(np.shape(audio)), analyzed_track, plan, network, options)


def _build_request(ckpt, model, settings, deliver, lufs, true_peak, max_limiting, analysis_seconds) -> MasteringRequest:
    """The command's words for the same."""
    return MasteringRequest(
        ckpt=None if ckpt is None or isinstance(ckpt, Network) else str(ckpt),
        model=model,
        settings=None if settings is None else "given",  # no network is needed then
        deliver=(deliver,),
        lufs=None if lufs is None else str(lufs),
        true_peak=None if true_peak is None else str(true_peak),
        max_limiting=max_limiting,
        analysis_seconds=analysis_seconds,
    )


def _build_result(
    mastered: np.ndarray,
    analyzed_track: AnalyzedTrack,
    plan: DeliveryPlan,
    network: Network | None,
    options: MasteringOptions,
) -> Result:
    input_signal, spec = analyzed_track.input_signal, options.delivery_specs[0]
    compliance = check_compliance(_to_chunks(mastered), input_signal.sample_rate, input_signal.channels, spec)
    delivery_by_name = {spec.name: delivery_to_dict(compliance, plan)}
    json_text = settings_json(
        "audio", analyzed_track.render_plan, input_signal.sample_rate, network, options, delivery_by_name
    )
    notes = [*analyzed_track.notes, *([plan.note] if plan.note else [])]
    return Result(mastered, json.loads(json_text), compliance, notes)


def _read_settings(settings: str | Path | Mapping[str, Any]) -> StoredSettings:
    if isinstance(settings, str | Path):
        return read_settings(Path(settings))
    try:
        return settings_from_json(json.dumps(settings), "settings")
    except TypeError:
        raise BadInputError("The settings hold something that JSON cannot; give numbers, texts and lists.") from None


def _reference_target(
    reference, strength: float, weights: Mapping[str, float], same_song: bool
) -> ReferenceTarget | None:
    """Everything that is given as a reference, heard."""
    if reference is None:
        if strength != 1.0 or weights or same_song:
            raise BadInputError("Nothing is given to master towards; give a reference.")
        return None
    references = [reference] if isinstance(reference, str | Path | tuple) else list(reference)
    named_features = [_reference_features(item) for item in references]
    if not named_features:
        raise BadInputError("The list of references is empty; give one, or None.")
    features, names = zip(*named_features, strict=True)
    return build_reference_target(features, [1.0] * len(features), ", ".join(names), strength, weights, same_song)


def _reference_features(reference: Reference) -> tuple[TrackFeatures, str]:
    """A reference's profile and what it is called."""
    if not isinstance(reference, tuple):
        return read_reference_features(Path(reference))
    input_signal = _input_signal(*reference)
    return check_reference(
        features_from_chunks(input_signal.read_chunks(), input_signal.sample_rate), "The reference"
    ), "the reference"


def _input_signal(audio: np.ndarray, sample_rate: int) -> InputSignal:
    """Checked as a file would be."""
    audio = np.asarray(audio)
    if audio.ndim not in (1, 2) or not audio.size or audio.dtype.kind not in "if":
        raise BadInputError(
            f"The audio is {audio.dtype} of shape {audio.shape}; give numbers, [time, channel] or [time]."
        )
    channels = 1 if audio.ndim == 1 else audio.shape[1]
    if channels > reader.MAX_CHANNELS:
        raise BadInputError(f"The audio has {channels} channels; give [time, channel] with 1 to {reader.MAX_CHANNELS}.")
    if int(sample_rate) != sample_rate or not reader.MIN_SAMPLE_RATE <= sample_rate <= reader.MAX_SAMPLE_RATE:
        raise BadInputError(
            f"The sample rate is {sample_rate}; {reader.MIN_SAMPLE_RATE} to {reader.MAX_SAMPLE_RATE} Hz can be used."
        )
    for chunk in _to_chunks(audio):
        reader.check_samples(chunk, "The audio")
    return InputSignal(lambda: _to_chunks(audio), int(sample_rate), channels, "The audio")


def _to_chunks(audio: np.ndarray) -> Iterator[Float[np.ndarray, "frames channel"]]:
    """`[time, channel]` or `[time]` in pieces of float32."""
    full_scale = -float(np.iinfo(audio.dtype).min) if audio.dtype.kind == "i" else 1.0
    for start in range(0, len(audio), CHUNK_FRAMES):
        chunk = audio[start : start + CHUNK_FRAMES]
        chunk = chunk.astype(np.float32) if full_scale == 1.0 else (chunk / full_scale).astype(np.float32)
        yield chunk.reshape(len(chunk), -1)
