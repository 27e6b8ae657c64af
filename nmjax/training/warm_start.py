"""Starting a phase from an earlier one: what both have is carried over, what is new starts neutral."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from nmjax.config import Config, restore_config
from nmjax.models.decoder import FIVE_BANDS_HZ, INITIAL_GATE, TEN_BANDS_HZ
from nmjax.runtime.checkpoints import find_checkpoint, merge_variables
from nmjax.runtime.errors import BadInputError

_HEADS = ("frequency", "gain", "q")


def nearest_bands() -> list[int]:
    """For each of the five bands, which of the ten starts nearest to it on a logarithmic axis."""
    distance = np.abs(np.log(np.array(FIVE_BANDS_HZ))[:, None] - np.log(np.array(TEN_BANDS_HZ))[None])
    return [int(i) for i in np.argmin(distance, axis=1)]


def transfer_params(fresh: dict, previous: dict) -> tuple[dict, dict[str, list[str]]]:
    """Fresh variables of a phase with an earlier phase's laid in by name; five bands become five of the ten.

    A copied band's gain is divided by the gate that it starts behind (held to ±12 dB), so that it sounds as before; the
    other bands stand at 0 dB.

    Returns:
        the variables, and the names of what was `carried`, is `new`, did not fit (`unfit`), or was `left`.
    """
    merged, names = merge_variables(fresh, previous)
    if "warm_start" not in fresh or "warm_start" in previous:
        return merged, names
    bands = jnp.array(nearest_bands())
    decoder = dict(merged["params"]["decoder"])
    for head in _HEADS:
        target, source = decoder[head]["dense"], previous["params"]["decoder"][head]["dense"]
        decoder[head] = {"dense": {key: target[key].at[..., bands].set(source[key]) for key in target}}
        transferred = {f"params/decoder/{head}/dense/{key}" for key in target}
        names["mismatched"] = [n for n in names["mismatched"] if n not in transferred]
        names["transferred"] += sorted(transferred)
    divisor = merged["warm_start"]["decoder"]["gain_divisor"].at[bands].set(INITIAL_GATE)
    warm_start = {"decoder": {"gain_divisor": divisor}}
    return {**merged, "params": {**merged["params"], "decoder": decoder}, "warm_start": warm_start}, names


def init_from_checkpoint(fresh: dict, config: Config, folder: Path, report: Callable[[str], None]) -> dict:
    """`fresh` with the checkpoint in `folder` carried over; says what was carried, what is new, what did not fit.

    Raises:
        BadInputError: no checkpoint there, or one of a later phase or of another width.
    """
    checkpoints, step = find_checkpoint(folder, report)
    previous = restore_config(checkpoints.meta(step)["config"])
    if previous.phase > config.phase:
        raise BadInputError(
            f"'{folder}' is a checkpoint of phase {previous.phase}, which phase {config.phase} cannot start from; "
            f"give one of phase {config.phase} or earlier."
        )
    for name in ("encoder", "width", "frequency_map"):
        current, other = getattr(config.model, name), getattr(previous.model, name)
        if current != other:
            raise BadInputError(f"'{folder}' has model.{name}={other}, this run {current}; set model.{name}={other}.")
    variables, names = transfer_params(fresh, checkpoints.restore_model(step))
    report(
        f"From {checkpoints.folder / str(step)}: {len(names['transferred'])} arrays carried over, {len(names['new'])} new."
    )
    for outcome, label in (("new", "New"), ("mismatched", "Did not fit"), ("unused", "Left behind")):
        if names[outcome]:
            report(f"{label}: {', '.join(_module_names(names[outcome]))}.")
    return variables


def _module_names(names: list[str]) -> list[str]:
    return sorted({"/".join(name.split("/")[1:3]) for name in names})
