"""Systems under test: functions from an example to audio of the same sample rate and length, at any loudness.

To add a system, write such a function and name it in `build_systems`. A system returns None for examples that it cannot
process, such as those without the reference it needs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nmjax.evaluation.examples import Example
from nmjax.evaluation.matchering_system import Matchering
from nmjax.evaluation.metrics import Audio, band_edges_hz, band_levels_db, lufs, mid_side
from nmjax.mastering import pretrained
from nmjax.mastering.analysis import SourceSignal, predict_settings, render_prediction
from nmjax.mastering.delivery.plan import deliver_array
from nmjax.mastering.delivery.spec import MIN_LUFS, PRESETS
from nmjax.mastering.network import Network, load
from nmjax.mastering.reference_features import MIN_SECONDS, features_from_chunks
from nmjax.mastering.render import equalize_stream
from nmjax.mastering.request import AUTO
from nmjax.mastering.source import measure_source
from nmjax.mastering.track_analysis import plan_render
from nmjax.mastering.types import InputSignal, MasteringOptions
from nmjax.models import SAMPLE_RATE
from nmjax.reference import eq_fit
from nmjax.reference.reference_target import ReferenceAudio, ReferenceTarget
from nmjax.runtime.errors import BadInputError

System = Callable[[Example], Audio | None]
INPUT, DEFAULT = "input", "default"
SYSTEM_NAMES = (
    INPUT,
    DEFAULT,
    "oracle-eq5",
    "oracle-eq10",
    "reference-same",
    "reference-other",
    "reference-clean",
    "matchering-same",
    "matchering-other",
)


def build_systems(names: Sequence[str], checkpoints: Sequence[str], matchering: str | None) -> dict[str, System]:
    """Build systems by name.

    Args:
        names: some of SYSTEM_NAMES.
        checkpoints: `DIR` or `NAME=DIR` of each network to evaluate; its name is that of its phase by default.
        matchering: Python interpreter of an environment with Matchering, which is GPL and runs in its own process.

    Raises:
        BadInputError: a name is unknown or used twice, a checkpoint cannot be loaded, or Matchering is missing.
    """
    systems: dict[str, System] = {}
    matchering_process: Matchering | None = None
    reference_network: Network | None = None
    for name in names:
        kind, _, reference = name.partition("-")
        if name not in SYSTEM_NAMES:
            raise BadInputError(f"Unknown system '{name}'; choose from {', '.join(SYSTEM_NAMES)}, or use --ckpt.")
        if name == INPUT:
            systems[name] = lambda example: example.source
        elif name == DEFAULT:
            systems[name] = partial(render_default, network=pretrained.load_shipped(None, lambda _: None))
        elif kind == "oracle":
            systems[name] = partial(oracle_eq, num_bands=int(reference.removeprefix("eq")))
        elif kind == "reference":
            reference_network = reference_network or pretrained.load_for_references(lambda _: None)
            systems[name] = partial(render_with_reference, network=reference_network, kind=reference)
        else:
            if not matchering:
                raise BadInputError(
                    f"'{name}' needs --matchering PYTHON, of an environment with `pip install matchering`."
                )
            matchering_process = matchering_process or Matchering(matchering)
            systems[name] = partial(matchering_process, same_song=reference == "same")
    for text in checkpoints:
        name, folder = parse_checkpoint(text)
        network = load(folder)
        systems[require_unique(name or network.config.phase, systems)] = partial(render_blind, network=network)
    return systems


def parse_checkpoint(text: str) -> tuple[str, Path]:
    """Name and folder of `NAME=DIR`; the name is empty for `DIR`, and for a folder whose own name has this form."""
    name, separator, folder = text.partition("=")
    return ("", Path(text)) if not separator or Path(text).exists() else (name, Path(folder))


def require_unique(name: str, used_names: Container[str]) -> str:
    """The name; raises BadInputError if another system has it."""
    if name in used_names:
        raise BadInputError(f"Two systems are named '{name}'; rename one: NAME=DIR.")
    return name


def render_blind(example: Example, network: Network) -> Audio:
    """Output of `infer.py` without a reference, before delivery."""
    signal = SourceSignal(lambda: [example.source.astype(np.float32)], SAMPLE_RATE, example.lufs)
    prediction = predict_settings(signal, network)
    bands = prediction.settings.eq.bands()
    return np.concatenate(list(render_prediction(signal, prediction, bands, network)))


def render_default(example: Example, network: Network) -> Audio:
    """Output of `infer.py` without options, before delivery: the repairs that are certain, then the network."""
    audio = example.source.astype(np.float32)
    signal = InputSignal(lambda: [audio], SAMPLE_RATE, audio.shape[1], "the example")
    repaired = measure_source(signal, MasteringOptions(repair=(AUTO,)))
    source = SourceSignal(repaired.read_chunks, SAMPLE_RATE, repaired.scan.lufs)
    prediction = predict_settings(source, network)
    return np.concatenate(list(render_prediction(source, prediction, prediction.settings.eq.bands(), network)))


def render_with_reference(example: Example, network: Network, kind: str) -> Audio | None:
    """Output of `infer.py --reference` before delivery.

    Args:
        example: the example, with its references.
        network: predicts the settings to start from.
        kind: match to "same", the section of the same song, with `--same-song`; to "other", the other song; or to
            "clean", the original itself.
    """
    reference = {"same": example.same_song, "other": example.other_song, "clean": example.target}[kind]
    if reference is None or len(reference) < MIN_SECONDS * SAMPLE_RATE:
        return None
    reference = reference.astype(np.float32)
    signal = SourceSignal(lambda: [example.source.astype(np.float32)], SAMPLE_RATE, example.lufs, len(example.source))
    reference_target = ReferenceTarget(
        features=features_from_chunks([reference], SAMPLE_RATE),
        name="the reference",
        same_song=kind == "same",
        audio=ReferenceAudio(lambda: [reference], SAMPLE_RATE),
    )
    plan = plan_render(signal, network, MasteringOptions(reference_target=reference_target), [])
    rendered = render_prediction(
        signal, plan.prediction, plan.rendered_bands, network, side_bands=plan.rendered_side_bands
    )
    return np.concatenate(list(rendered))


def deliver_at_loudness_of(audio: Audio, reference: Float[np.ndarray, "reference_time reference_channel"]) -> Audio:
    """The audio as `infer.py --lufs reference` delivers it."""
    delivery, loudness = PRESETS["streaming"], min(lufs(reference.astype(np.float64), SAMPLE_RATE), 0.0)
    if loudness >= MIN_LUFS:
        delivery = dataclasses.replace(delivery, lufs=loudness)

    return deliver_array(lambda: iter([audio.astype(np.float32)]), SAMPLE_RATE, audio.shape[1], delivery)[1]


def oracle_eq(example: Example, num_bands: int) -> Audio:
    """Upper bound for an EQ: peaking filters fitted to the difference of the original's and the input's third octaves.

    It uses the original, which no other system has.
    """
    target_db, source_db = (
        band_levels_db(mid_side(x)[0], "thirds", SAMPLE_RATE) for x in (example.target, example.source)
    )
    centers_hz = np.sqrt(np.prod(band_edges_hz("thirds"), axis=0))
    bands = eq_fit.fit_fixed_count(centers_hz, target_db - source_db, num_bands)
    return np.concatenate(list(equalize_stream([example.source.astype(np.float32)], bands, SAMPLE_RATE)))
