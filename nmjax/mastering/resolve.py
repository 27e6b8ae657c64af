"""From a request to checked options, delivery specs and a network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from nmjax.mastering import pretrained
from nmjax.mastering.delivery.spec import PRESETS, DeliverySpec
from nmjax.mastering.network import Network, load
from nmjax.mastering.option_checks import (
    bypassed_elements,
    check_combinations,
    check_network_options,
    check_repair_names,
)
from nmjax.mastering.reference_features import read_reference_features
from nmjax.mastering.references import build_reference_target, reference_audio
from nmjax.mastering.request import CLEAN, KEEP, MasteringRequest
from nmjax.mastering.request_readers import WeightedFile, split_bands
from nmjax.mastering.settings.file import StoredSettings, read_settings
from nmjax.mastering.settings.overrides import Overrides
from nmjax.mastering.types import MasteringOptions
from nmjax.reference.features import TrackFeatures
from nmjax.reference.reference_target import ReferenceTarget
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.number_format import format_general

_CLEAN_LIMITING_DB = 2.0  # deepest gain reduction of `--lufs clean`, seldom audible
CUSTOM = "custom"  # name of a delivery whose loudness or ceiling differs from its preset


def resolve_options(
    request: MasteringRequest,
    reference_target: ReferenceTarget | None = None,
    settings: StoredSettings | None = None,
) -> MasteringOptions:
    """Checked options; reads the references and the settings file of the request.

    Args:
        request: the request.
        reference_target: a target made of references in memory, instead of the request's files.
        settings: settings in memory, instead of the request's file.

    Raises:
        BadInputError: options that contradict each other or have no effect, or a file that cannot be read.
    """
    has_reference = request.has_reference or reference_target is not None
    has_settings = request.settings is not None or settings is not None
    check_combinations(request, has_reference, has_settings)
    if request.has_reference:
        tracks = [read_reference_features(file) for file in request.reference_files()]
        reference_target = combine_references(request, tracks)
    delivery_specs = resolve_delivery_specs(request)
    if request.matches_loudness:
        lufs = _file_lufs(request.lufs_from) if request.lufs_from else _reference_lufs(reference_target)
        delivery_specs = tuple(dataclasses.replace(spec, lufs=lufs) for spec in delivery_specs)
    if reference_target:
        bypassed = bypassed_elements(request)  # what is not rendered must not be relied upon by the rest of the match
        reference_target = dataclasses.replace(
            reference_target,
            tone=0.0 if "eq" in bypassed else reference_target.tone,
            dynamics=0.0 if "compressor" in bypassed else reference_target.dynamics,
            width=0.0 if "width" in bypassed else reference_target.width,
            intensity=request.intensity,
            max_boost_db=request.max_boost,
            allowed=frozenset(request.allow),
        )
    settings = read_settings(Path(request.settings)) if request.settings else settings
    bands, side_bands = _split_bands(request)
    if settings:
        check_repair_names(request, settings)
    return MasteringOptions(
        intensity=request.intensity,
        delivery_specs=delivery_specs,
        overrides=Overrides(
            eq_amount=request.eq_amount,
            residual_amount=request.residual_amount,
            bands=bands,
            side_bands=side_bands,
            bypass=frozenset(bypassed_elements(request)),
            processors=request.processors,
        ),
        settings=settings,
        repair=request.repair,
        analysis_seconds=request.analysis_seconds,
        bits=request.bits,
        reference_target=reference_target,
    )


def _split_bands(request: MasteringRequest) -> tuple[dict, dict]:
    try:
        return split_bands(request.bands)
    except ValueError as error:
        raise BadInputError(str(error)) from None


def resolve_delivery_specs(request: MasteringRequest) -> tuple[DeliverySpec, ...]:
    """The deliveries of a request; with the loudness "reference" still that of the preset.

    Raises:
        BadInputError: a delivery is named twice, or one loudness is given for several deliveries.
    """
    for name in request.deliver:
        if request.deliver.count(name) > 1:
            raise BadInputError(f"--deliver names '{name}' twice.")
    changes_level = request.lufs is not None or request.true_peak is not None or request.lufs_from is not None
    if len(request.deliver) > 1 and changes_level:
        raise BadInputError("--lufs, --lufs-from and --true-peak are for one delivery; name one with --deliver.")
    return tuple(_resolve_spec(request, PRESETS[name]) for name in request.deliver)


def _resolve_spec(request: MasteringRequest, preset: DeliverySpec) -> DeliverySpec:
    lufs = preset.lufs if request.matches_loudness else _level(request.lufs, preset.lufs)
    true_peak_db = _level(request.true_peak, preset.true_peak_db)
    is_preset = (lufs, true_peak_db) == (preset.lufs, preset.true_peak_db) and not request.matches_loudness
    relative = request.lufs if request.lufs in (KEEP, CLEAN) else ""
    limiting_db = _CLEAN_LIMITING_DB if relative == CLEAN else preset.max_limiting_db
    return DeliverySpec(
        lufs=lufs,
        true_peak_db=true_peak_db,
        max_limiting_db=limiting_db if request.max_limiting is None else request.max_limiting,
        name=relative or (preset.name if is_preset else CUSTOM),
        relative=relative,
    )


def custom_delivery_note(request: MasteringRequest, specs: tuple[DeliverySpec, ...]) -> str:
    """A message where the request's loudness or ceiling turns a preset into a custom delivery; otherwise empty."""
    if specs[0].name != CUSTOM or request.matches_loudness:  # measured later; the result says it
        return ""
    spec, preset = specs[0], PRESETS[request.deliver[0]]
    return f"Delivery '{CUSTOM}': {_format_levels(spec)}; the preset '{preset.name}' is {_format_levels(preset)}."


def load_network(
    request: MasteringRequest, options: MasteringOptions | None = None, log: Callable[[str], None] = print
) -> Network | None:
    """The network of a request; None where settings are rendered without one.

    Args:
        request: the request.
        options: what was resolved from it; None for a request without a reference and without settings.
        log: called with messages.

    Raises:
        BadInputError: two networks are named, the network cannot be loaded, or an option has no effect on it.
    """
    options = options or MasteringOptions()
    is_named = request.ckpt or request.model
    if options.settings and not is_named:
        network = None
    elif options.reference_target and not is_named:
        network = pretrained.load_for_references(log)
    else:
        network = load_named_network(request.ckpt, request.model, log)
    check_network_options(request, options, network)
    if network and options.settings and not options.settings.has_residual:
        log("The network has no effect: only a residual needs one, and the settings have none.")
    return network


def load_named_network(ckpt: str | None, model: str | None, log: Callable[[str], None] = print) -> Network:
    """The network of a run folder, or one that comes with the program; without a name the default one.

    Raises:
        BadInputError: both are named, or the network cannot be loaded.
    """
    if ckpt and model:
        raise BadInputError("--ckpt and --model name two networks; give one of them.")
    return load(Path(ckpt), log) if ckpt else pretrained.load_shipped(model, log)


def combine_references(request: MasteringRequest, tracks: Sequence[tuple[TrackFeatures, str]]) -> ReferenceTarget:
    """The target that the reference files of a request make together.

    Args:
        request: the request.
        tracks: features and name of each of `request.reference_files()`.

    Raises:
        BadInputError: a weight is out of its range.
    """
    files = request.reference_files()
    target = build_reference_target(
        features=[features for features, _ in tracks],
        weights=[file.weight for file in files],
        name=", ".join(name for _, name in tracks),
        strength=request.reference_strength,
        aspect_weights=request.reference_weights,
        same_song=request.same_song,
        audios=[reference_audio(file) for file in files],
    )
    return dataclasses.replace(target, is_style=request.style is not None)


def _file_lufs(file: WeightedFile) -> float:
    features, name = read_reference_features(file)
    if not math.isfinite(features.lufs):
        raise BadInputError(f"The loudness of {name} is not known (too quiet, or an older target file); use --lufs.")
    return round(features.lufs, 2)


def _reference_lufs(reference_target: ReferenceTarget | None) -> float:
    if reference_target is None:
        raise BadInputError("--lufs reference needs a reference; add --reference FILE or --target FILE.")
    if not math.isfinite(reference_target.features.lufs):
        raise BadInputError(
            f"The loudness of {reference_target.name} is not known (too quiet, or an older target file); give a number."
        )
    return round(reference_target.features.lufs, 2)


def _level(requested: float | str | None, preset: float | None) -> float | None:
    if requested is None:
        return preset
    return None if isinstance(requested, str) else requested


def _format_levels(spec: DeliverySpec) -> str:
    loudness = "no gain" if spec.lufs is None else format_general(spec.lufs, "LUFS")
    ceiling = "no limiter" if spec.true_peak_db is None else format_general(spec.true_peak_db, "dBTP")
    return f"{loudness}, {ceiling}"
