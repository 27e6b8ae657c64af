"""Mastering from Python: `nmjax.master` gives the same samples as `nmjax infer` with a float file;
`nmjax.inspect` reports what is wrong with a track.

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
from collections.abc import Iterator, Mapping
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from nmjax.audio import reader
from nmjax.audio.streams import CHUNK_FRAMES
from nmjax.mastering.delivery.plan import deliver_array
from nmjax.mastering.delivery.verify import ComplianceResult, check_compliance
from nmjax.mastering.diagnosis.diagnosis import diagnose
from nmjax.mastering.diagnosis.finding import Finding
from nmjax.mastering.diagnosis.inspection import inspect_file, scan_track
from nmjax.mastering.network import Network, load
from nmjax.mastering.option_checks import check_network_options, check_target
from nmjax.mastering.reference_features import check_reference, features_from_chunks, read_reference_features
from nmjax.mastering.references import build_reference_target, reference_audio
from nmjax.mastering.rendered_track import render_track
from nmjax.mastering.request import MasteringRequest
from nmjax.mastering.request_readers import WeightedFile
from nmjax.mastering.resolve import load_network, resolve_options
from nmjax.mastering.result_settings import delivery_to_dict, settings_json
from nmjax.mastering.settings.file import StoredSettings, read_settings, settings_from_json
from nmjax.mastering.track_analysis import analyze_track
from nmjax.mastering.types import InputSignal
from nmjax.reference.features import TrackFeatures
from nmjax.reference.reference_target import ReferenceAudio, ReferenceTarget
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.options import default_of, from_keywords, option_specs

__all__ = ["Finding", "Result", "inspect", "load", "master"]
Reference = str | Path | tuple[np.ndarray, int]
_EXPLICIT = ("ckpt", "settings", "references", "bits")  # options with a parameter of their own, or for files only


@dataclasses.dataclass(frozen=True)
class Result:
    """A master.

    Attributes:
        audio: float32, of the input's shape.
        settings: the contents of a settings file (docs/reference/settings.md); write it with `json.dump`.
        measurements: of the master, by an independent meter; `passed` tells whether it meets the delivery, `summary`
            is one line.
        notes: messages, and how near the master came to its reference.
        findings: what was wrong with the input, the worst first, and what was `repaired`; empty with `repair="none"` or
            `settings`, for which nothing is diagnosed.
    """

    audio: Float[np.ndarray, " time *channel"]
    settings: dict[str, Any]
    measurements: ComplianceResult
    notes: list[str]
    findings: list[Finding]


def master(
    audio: np.ndarray,
    sample_rate: int,
    *,
    ckpt: str | Path | Network | None = None,
    settings: str | Path | Mapping[str, Any] | None = None,
    reference: Reference | list[Reference] | None = None,
    **options: Any,
) -> Result:
    """Master a signal as `nmjax infer` masters a file of floats, with the same samples.

    Args:
        audio: `[time, channel]` or `[time]`, 1 to 8 channels, full scale ±1; integers are scaled to it.
        sample_rate: 8,000 to 192,000 Hz.
        ckpt: a run folder, or a network from `nmjax.load` (for many signals). By default a network that comes with
            the program: see `model`.
        settings: rendered instead of a network's prediction: a file (.json, .txt, .csv) or a dict like
            `Result.settings`.
        reference: music to match: a file, a target file (.json), `(audio, sample_rate)`, or a list of these with equal
            weights.
        **options: the fields of `nmjax.mastering.request.MasteringRequest`, with the names, ranges and defaults of
            docs/reference/options.md: `model`, `deliver`, `lufs`, `true_peak`, `max_limiting`, `intensity`,
            `eq_amount`, `residual_amount`, `bands` (`{3: {"gain_db": -1.0}}`), `processors`
            (`{"compressor": {"ratio": 2.0}}`), `bypass`, `solo`, `analysis_seconds`, `repair` ("auto", "none" or
            names), `target`, `style`, `reference_strength`, `reference_weights` (`{"width": 0.5}`), `same_song`,
            `max_boost`, `allow`.

    Raises:
        BadInputError: an argument cannot be used; the message says why.
        TypeError: there is no such option.
    """
    for name in _EXPLICIT:
        if name in options:
            raise TypeError(f"nmjax.master has no option '{name}'; its audio has no file format and no file names.")
    request = from_keywords(MasteringRequest, "nmjax.master", **options)
    if isinstance(ckpt, str | Path):
        request = dataclasses.replace(request, ckpt=str(ckpt))
    elif ckpt is not None and request.model:
        raise BadInputError("ckpt and model name two networks; give one of them.")
    input_signal = _input_signal(audio, sample_rate)
    mastering_options = resolve_options(request, _reference_target(request, reference), _read_settings(settings))
    if isinstance(ckpt, Network):
        network = ckpt
        check_network_options(request, mastering_options, network)
    else:
        network = load_network(request, mastering_options, lambda _: None)
    analyzed_track = analyze_track(input_signal, network, mastering_options)
    (spec, *others) = mastering_options.delivery_specs
    if others:
        raise BadInputError("nmjax.master makes one delivery; name one with deliver.")
    input_lufs = analyzed_track.original.lufs
    spec = spec.for_input(input_lufs)
    with render_track(analyzed_track, network) as rendered:
        plan, delivered = deliver_array(rendered.open_stream, sample_rate, input_signal.channels, spec)
    mastered = delivered.reshape(np.shape(audio))
    compliance = check_compliance(_to_chunks(mastered), sample_rate, input_signal.channels, spec)
    json_text = settings_json(
        track_name="audio",
        render_plan=analyzed_track.render_plan,
        sample_rate=sample_rate,
        network=network,
        options=mastering_options,
        delivery_by_name={spec.name: delivery_to_dict(spec, plan, compliance, input_lufs)},
    )
    outcome = analyzed_track.render_plan.match_outcome
    notes = [*([outcome.sentence] if outcome else []), *analyzed_track.notes, *([plan.note] if plan.note else [])]
    return Result(mastered, json.loads(json_text), compliance, notes, analyzed_track.findings)


def inspect(track: str | Path | np.ndarray, sample_rate: int | None = None) -> list[Finding]:
    """What `nmjax inspect` finds in a track, the worst first; empty where nothing is wrong.

    Args:
        track: a file, or audio `[time, channel]` or `[time]`, 1 to 8 channels, full scale ±1; integers are scaled.
        sample_rate: of audio in memory, 8,000 to 192,000 Hz; a file has its own.

    Raises:
        BadInputError: the track cannot be used; the message says why.
    """
    if isinstance(track, str | Path):
        if sample_rate is not None:
            raise BadInputError(f"'{track}' has its own sample rate; leave sample_rate out.")
        return inspect_file(track).findings
    if sample_rate is None:
        raise BadInputError("Audio in memory needs its sample rate; give nmjax.inspect(audio, sample_rate).")
    signal = _input_signal(track, sample_rate)
    return diagnose(*scan_track(signal.read_chunks(), signal.sample_rate, signal.channels))


def _documented_signature() -> Signature:
    """The signature of `master` with its options by name, for `help(nmjax.master)` and editors."""
    *parameters, _ = signature(master).parameters.values()
    parameters += [
        Parameter(name, Parameter.KEYWORD_ONLY, default=default_of(MasteringRequest, name))
        for name in option_specs(MasteringRequest)
        if name not in _EXPLICIT
    ]
    return Signature(parameters, return_annotation=Result)


master.__signature__ = _documented_signature()  # pyright: ignore[reportFunctionMemberAccess]


def _read_settings(settings: str | Path | Mapping[str, Any] | None) -> StoredSettings | None:
    if settings is None:
        return None
    if isinstance(settings, str | Path):
        return read_settings(Path(settings))
    try:
        return settings_from_json(json.dumps(settings), "settings")
    except TypeError:
        raise BadInputError("The settings hold a value that JSON cannot; give numbers, texts and lists.") from None


def _reference_target(
    request: MasteringRequest, reference: Reference | list[Reference] | None
) -> ReferenceTarget | None:
    """The target that references in memory or in files make together; None without `reference`."""
    if reference is None:
        return None
    check_target(request, has_references=True)
    references = reference if isinstance(reference, list) else [reference]
    if not references:
        raise BadInputError("The list of references is empty; give one, or None.")
    features, names = zip(*map(_reference_features, references), strict=True)
    return build_reference_target(
        features=features,
        weights=[1.0] * len(features),
        name=", ".join(names),
        strength=request.reference_strength,
        aspect_weights=request.reference_weights,
        same_song=request.same_song,
        audios=[_reference_audio(reference) for reference in references],
    )


def _reference_audio(reference: Reference) -> ReferenceAudio | None:
    """The audio of a reference; None for a target file."""
    if not isinstance(reference, tuple):
        return reference_audio(WeightedFile(str(reference)))
    signal = _input_signal(*reference)
    return ReferenceAudio(signal.read_chunks, signal.sample_rate)


def _reference_features(reference: Reference) -> tuple[TrackFeatures, str]:
    """The features of a reference, and its name."""
    if not isinstance(reference, tuple):
        return read_reference_features(WeightedFile(str(reference)))
    signal = _input_signal(*reference)
    features = features_from_chunks(signal.read_chunks(), signal.sample_rate)
    return check_reference(features, "The reference"), "the reference"


def _input_signal(audio: np.ndarray, sample_rate: int) -> InputSignal:
    """A signal in memory, checked like a file."""
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
    """Chunks `[frames, channel]` of float32 from `[time, channel]` or `[time]`."""
    full_scale = -float(np.iinfo(audio.dtype).min) if audio.dtype.kind == "i" else 1.0
    for start in range(0, len(audio), CHUNK_FRAMES):
        chunk = audio[start : start + CHUNK_FRAMES]
        chunk = chunk.astype(np.float32) if full_scale == 1.0 else (chunk / full_scale).astype(np.float32)
        yield chunk.reshape(len(chunk), -1)
