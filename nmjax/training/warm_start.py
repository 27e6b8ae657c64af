"""Warm start: a phase initialized from a checkpoint of the same or an earlier phase."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from nmjax.config import Config, restore_config
from nmjax.models import PHASES
from nmjax.models.decoder import FIVE_BANDS_HZ, TEN_BANDS_HZ, initial_gate
from nmjax.runtime.checkpoints import MergeReport, merge_variables
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.saved_network import SavedNetwork, find_network

_HEADS = ("frequency", "gain", "q")


def nearest_bands() -> list[int]:
    """For each of the five bands, the index of the nearest of the ten, by initial frequency on a log scale."""
    distance = np.abs(np.log(np.array(FIVE_BANDS_HZ))[:, None] - np.log(np.array(TEN_BANDS_HZ))[None])
    return [int(i) for i in np.argmin(distance, axis=1)]


def transfer_params(fresh: dict, previous: dict, gates: str = "soft") -> tuple[dict, MergeReport]:
    """A phase's fresh variables with those of an earlier phase, by name.

    For a phase with gates from one without, each of the five bands is copied to the nearest of the ten. Its gain is
    divided by the initial gate (and limited to ±12 dB), so that the rendered gain does not change. The other bands keep
    a gain of 0 dB.

    Args:
        fresh, previous: Variables of the new and of the earlier phase.
        gates: Kind of the new phase's gates, `soft` or `hard`.

    Returns:
        The variables, and a report of what was transferred.
    """
    merged, report = merge_variables(fresh, previous)
    if "warm_start" not in fresh or "warm_start" in previous:
        return merged, report
    bands = jnp.array(nearest_bands())
    decoder = dict(merged["params"]["decoder"])
    for head in _HEADS:
        target, source = decoder[head]["dense"], previous["params"]["decoder"][head]["dense"]
        decoder[head] = {"dense": {key: target[key].at[..., bands].set(source[key]) for key in target}}
    copied = {f"params/decoder/{head}/dense/{key}" for head in _HEADS for key in ("kernel", "bias")}
    report = report._replace(
        transferred=report.transferred + sorted(copied),
        mismatched=[name for name in report.mismatched if name not in copied],
    )
    divisor = merged["warm_start"]["decoder"]["gain_divisor"].at[bands].set(initial_gate(gates))
    merged = {
        **merged,
        "params": {**merged["params"], "decoder": decoder},
        "warm_start": {"decoder": {"gain_divisor": divisor}},
    }
    return merged, report


def as_spectral_branch(variables: dict) -> dict:
    """Variables of a network with the spectral encoder, which becomes the spectral branch of an encoder with two."""
    return {
        collection: {**tree, "encoder": {"spectral": tree["encoder"]}} if "encoder" in tree else tree
        for collection, tree in variables.items()
    }


def init_from_checkpoint(fresh: dict, config: Config, folder: Path, report: Callable[[str], None]) -> dict:
    """Fresh variables with everything that a checkpoint has for them.

    Args:
        fresh: Untrained variables of the phase.
        config: Settings of the new run.
        folder: Run folder or checkpoint folder to start from.
        report: Called with messages about what was transferred, what is new and what did not fit.

    Raises:
        BadInputError: See `find_warm_start`.
    """
    saved = find_warm_start(config, folder, report)
    previous = jax.device_put(saved.read_variables(), jax.devices()[0])
    if config.model.encoder == "two_branch" and restore_config(saved.config).model.encoder == "spectral":
        previous = as_spectral_branch(previous)
    variables, merge_report = transfer_params(fresh, previous, config.model.gates)
    report(
        f"Warm start from {saved.path}: "
        f"{len(merge_report.transferred)} arrays transferred, {len(merge_report.new)} new."
    )
    for label, names in (
        ("New", merge_report.new),
        ("Not transferred because of another shape", merge_report.mismatched),
        ("Not used", merge_report.unused),
    ):
        if names:
            report(f"{label}: {', '.join(_module_names(names))}.")
    return variables


def find_warm_start(config: Config, folder: Path, report: Callable[[str], None]) -> SavedNetwork:
    """The network of a folder from which a run with this config can start; arguments as `init_from_checkpoint`.

    Raises:
        BadInputError: No usable checkpoint, or one of a later phase or with another encoder, width or frequency map.
            The encoder with two branches can start from the spectral one, which becomes its spectral branch.
    """
    saved = find_network(folder, report)
    previous = restore_config(saved.config)
    if not PHASES[config.phase].can_start_from(PHASES[previous.phase]):
        raise BadInputError(
            f"'{folder}' is a checkpoint of phase {previous.phase}, from which phase {config.phase} cannot start. "
            f"Give one of phase {config.phase} or earlier."
        )
    for name in ("encoder", "width", "frequency_map"):
        current, other = getattr(config.model, name), getattr(previous.model, name)
        if current != other and (current, other) != ("two_branch", "spectral"):
            raise BadInputError(
                f"'{folder}' was trained with model.{name}={other}, but this run has {current}. "
                f"Set model.{name}={other}."
            )
    return saved


def _module_names(names: list[str]) -> list[str]:
    return sorted({"/".join(name.split("/")[1:3]) for name in names})
