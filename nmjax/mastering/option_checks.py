"""Options that contradict each other or have no effect are refused; each check raises BadInputError."""

from __future__ import annotations

from nmjax.mastering.network import Network
from nmjax.mastering.request import AUTO, CHAIN_NAMES, CLEAN, MATCH_REFERENCE, NONE, MasteringRequest
from nmjax.mastering.settings.file import StoredSettings
from nmjax.mastering.types import MasteringOptions
from nmjax.models import PHASES
from nmjax.models.processors import PROCESSORS
from nmjax.runtime.errors import BadInputError


def bypassed_elements(request: MasteringRequest) -> set[str]:
    """Elements of the chain that `bypass` or `solo` leaves out."""
    return {name for name in CHAIN_NAMES if name != request.solo} if request.solo else set(request.bypass)


def check_combinations(request: MasteringRequest, has_reference: bool, has_settings: bool) -> None:
    """Refuses options that exclude each other, or that have no effect together.

    Raises:
        BadInputError: the first such option.
    """
    check_target(request, has_references=bool(request.references))
    if has_settings and has_reference:
        raise BadInputError("--settings is rendered as it is, so a reference has no effect; give one of them.")
    if request.solo and request.bypass:
        raise BadInputError("--solo leaves out all other processors; do not give --bypass with it.")
    if not request.repair or (NONE in request.repair and len(request.repair) > 1):
        raise BadInputError("--repair takes auto, or none, or names of repairs; give 'none' alone.")
    no_reference = "without --reference, --target or --style"
    for name in ("reference_strength", "reference_weights", "same_song", "max_boost", "allow"):
        _refuse_if(request.is_given(name) and not has_reference, f"--{name.replace('_', '-')}", no_reference)
    for name in ("reference_weights", "same_song", "max_boost", "allow"):
        is_unused = request.is_given(name) and request.reference_strength == 0.0
        _refuse_if(is_unused, f"--{name.replace('_', '-')}", "with --reference-strength 0")
    _refuse_if(has_settings and request.analysis_seconds is not None, "--analysis-seconds", "with --settings")
    _refuse_if(has_settings and request.is_given("intensity"), "--intensity", "with --settings")
    for name in ("eq_amount", "residual_amount", "reference_strength"):
        is_unused = request.is_given(name) and request.intensity == 0.0
        _refuse_if(is_unused, f"--{name.replace('_', '-')}", "with --intensity 0")
    _check_loudness(request, has_settings)
    _check_bypassed(request)


def check_target(request: MasteringRequest, has_references: bool) -> None:
    """Refuses two targets, and options that have no meaning for a style.

    Args:
        request: the request.
        has_references: whether there are reference files or references in memory.

    Raises:
        BadInputError: the first such option.
    """
    named = {"--reference": has_references, "--target": request.target, "--style": request.style}
    names = [name for name, value in named.items() if value]
    if len(names) > 1:
        raise BadInputError(f"{names[0]} and {names[1]} both name a target; give one of them.")
    if request.style:
        _refuse_if(request.same_song, "--same-song", "with --style, which is no song")
        if request.lufs == MATCH_REFERENCE:
            raise BadInputError("--lufs reference needs music; a style has no loudness. Give a number.")


def _check_loudness(request: MasteringRequest, has_settings: bool) -> None:
    """Refuses loudness, ceiling and limiting that exclude each other."""
    if has_settings and request.lufs == MATCH_REFERENCE:
        raise BadInputError("--lufs reference has no effect with --settings, which uses no reference; give a number.")
    if request.lufs is not None and request.lufs_from:
        raise BadInputError("--lufs and --lufs-from both name a loudness; give one of them.")
    _refuse_if(
        request.true_peak == NONE and request.max_limiting is not None, "--max-limiting", "with --true-peak none"
    )
    if request.true_peak == NONE and request.lufs == CLEAN:
        raise BadInputError("--lufs clean depends on the ceiling; leave --true-peak none out, or give a loudness.")


def _check_bypassed(request: MasteringRequest) -> None:
    """Refuses changes of what is left out, or scaled to nothing."""
    bypassed = bypassed_elements(request)
    if "eq" in bypassed:
        _refuse_if(request.is_given("eq_amount"), "--eq-amount", "where the EQ is bypassed")
        _refuse_if(bool(request.bands), "--band", "where the EQ is bypassed")
    if "residual" in bypassed:
        _refuse_if(request.is_given("residual_amount"), "--residual-amount", "where the residual is bypassed")
    _refuse_if(bool(request.bands) and request.eq_amount == 0.0, "--band", "with --eq-amount 0")
    for name in request.processors:
        _refuse_if(name in bypassed, f"--set {name}", f"where the {name} is bypassed")


def check_repair_names(request: MasteringRequest, settings: StoredSettings) -> None:
    """Refuses names of repairs that the settings do not have.

    Raises:
        BadInputError: the first such name.
    """
    for name in request.repair:
        if name not in (AUTO, NONE) and name not in settings.repairs.active():
            raise BadInputError(f"--repair {name} has no effect: the settings have no {name} repair; leave it out.")


def check_network_options(request: MasteringRequest, options: MasteringOptions, network: Network | None) -> None:
    """Refuses options that scale or isolate what neither the network nor the settings have.

    Args:
        request: the request.
        options: what was resolved from it.
        network: None where settings are rendered without one.

    Raises:
        BadInputError: the first such option.
    """
    settings = options.settings
    if obstacle := _residual_obstacle(network, settings):
        for flag, is_given in (
            ("--residual-amount", request.is_given("residual_amount")),
            ("--solo residual", request.solo == "residual"),
        ):
            if is_given:
                raise BadInputError(f"{flag} has no effect: {obstacle}.")
    solo = request.solo
    if solo in PROCESSORS and solo not in request.processors and not options.reference_target:
        if settings and getattr(settings.prediction.settings, solo) is None:
            raise BadInputError(f"--solo {solo} has no effect: the settings have no {solo}; add one with --set.")
        if not settings and network and not PHASES[network.config.phase].has_processors:
            raise BadInputError(
                f"--solo {solo} has no effect: a network of phase {network.config.phase} has no {solo}; "
                "add one with --set, or name another network with --model."
            )


def _residual_obstacle(network: Network | None, settings: StoredSettings | None) -> str:
    """Why there is no residual, and the remedy, as the end of a sentence; empty where there is one."""
    if settings:
        return settings.residual_obstacle(network.checkpoint_digest if network else None)
    if network is None or network.has_residual:
        return ""
    return f"this network of phase {network.config.phase} has no residual; name another one with --model"


def _refuse_if(is_without_effect: bool, flag: str, condition: str) -> None:
    if is_without_effect:
        raise BadInputError(f"{flag} has no effect {condition}; leave it out.")
