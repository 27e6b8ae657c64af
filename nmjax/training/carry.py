"""Starting a phase from an earlier one: what both have is carried over, what is new starts neutral."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from nmjax import checkpoint
from nmjax.config import Config, restored
from nmjax.errors import BadInputError
from nmjax.models.decoder import FIVE_BANDS_HZ, GATE_START, TEN_BANDS_HZ

_HEADS = ("frequency", "gain", "q")


def band_places() -> list[int]:
    """For each of the five bands, which of the ten starts nearest to it on a logarithmic axis."""
    distance = np.abs(np.log(np.array(FIVE_BANDS_HZ))[:, None] - np.log(np.array(TEN_BANDS_HZ))[None])
    return [int(i) for i in np.argmin(distance, axis=1)]


def carry_over(fresh: dict, earlier: dict) -> tuple[dict, dict[str, list[str]]]:
    """Fresh variables of a phase with an earlier phase's laid in by name; five bands become five of the ten.

    A copied band's gain is divided by the gate that it starts behind (held to ±12 dB), so that it sounds as before; the
    other bands stand at 0 dB.

    Returns:
        the variables, and the names of what was `carried`, is `new`, did not fit (`unfit`), or was `left`.
    """
    merged, names = checkpoint.merge(fresh, earlier)
    if "carried" not in fresh or "carried" in earlier:
        return merged, names
    places = jnp.array(band_places())
    decoder = dict(merged["params"]["decoder"])
    for head in _HEADS:
        ours, theirs = decoder[head]["dense"], earlier["params"]["decoder"][head]["dense"]
        decoder[head] = {"dense": {key: ours[key].at[..., places].set(theirs[key]) for key in ours}}
        moved = {f"params/decoder/{head}/dense/{key}" for key in ours}
        names["unfit"] = [n for n in names["unfit"] if n not in moved]
        names["carried"] += sorted(moved)
    divisor = merged["carried"]["decoder"]["gain_divisor"].at[places].set(GATE_START)
    carried = {"decoder": {"gain_divisor": divisor}}
    return {**merged, "params": {**merged["params"], "decoder": decoder}, "carried": carried}, names


def start_from(fresh: dict, config: Config, folder: Path, report: Callable[[str], None]) -> dict:
    """`fresh` with the checkpoint in `folder` carried over; says what was carried, what is new, what did not fit.

    Raises:
        BadInputError: no checkpoint there, or one of a later phase or of another width.
    """
    checkpoints, step = checkpoint.find(folder, report)
    earlier = restored(checkpoints.meta(step)["config"])
    if earlier.phase > config.phase:
        raise BadInputError(
            f"'{folder}' is a checkpoint of phase {earlier.phase}, which phase {config.phase} cannot start from; "
            f"give one of phase {config.phase} or earlier."
        )
    for name in ("encoder", "width", "frequency_map"):
        ours, theirs = getattr(config.model, name), getattr(earlier.model, name)
        if ours != theirs:
            raise BadInputError(f"'{folder}' has model.{name}={theirs}, this run {ours}; set model.{name}={theirs}.")
    variables, names = carry_over(fresh, checkpoints.restore_model(step))
    report(
        f"From {checkpoints.folder / str(step)}: {len(names['carried'])} arrays carried over, {len(names['new'])} new."
    )
    for fate, said in (("new", "New"), ("unfit", "Did not fit"), ("left", "Left behind")):
        if names[fate]:
            report(f"{said}: {', '.join(_modules(names[fate]))}.")
    return variables


def _modules(names: list[str]) -> list[str]:
    return sorted({"/".join(name.split("/")[1:3]) for name in names})
