"""The networks in plain words: what each of them does, and what it is for.

This module imports no JAX, so that `--help` is fast; tests compare it with `models.phases.PHASES` and the folders of
the shipped networks.
"""

from __future__ import annotations

PHASE_LABELS = {
    "1a": "EQ only",
    "1b": "EQ and residual",
    "1c": "EQ with gated bands, and residual",
    "2": "EQ, dynamics and width",
}
MODEL_PURPOSES = {
    "1a": "EQ only: a careful first suggestion for the tone of a mix; the default",
    "1a-free": "EQ only, trained on freely licensed music alone; slightly worse than 1a",
    "1b-restore": "inverse curve of a saturator: undoes saturation, and leaves the tone as it is;\n"
    "the repair of saturated tracks uses the same curve",
    "1c": "EQ with gated bands: as good as 1a",
    "2": "EQ, dynamics and width: for a mix whose dynamics and width may need correction;\n"
    "the default with a reference",
    "2-master": "a whole mastering chain, learned from pairs: brings the tone halfway to the mean of its\n"
    "training music, compresses, saturates and widens; bolder than all others",
}


def network_label(phase: str) -> str:
    """What the networks of a phase do, with its short name: "EQ only (1a)"."""
    return f"{PHASE_LABELS[phase]} ({phase})"


def networks_help() -> str:
    """The shipped networks and what each is for, as lines of the help."""
    width = max(map(len, MODEL_PURPOSES))
    lines = [
        f"  {name if i == 0 else '':{width}}  {line}"
        for name, purpose in MODEL_PURPOSES.items()
        for i, line in enumerate(purpose.splitlines())
    ]
    return "\n".join(["networks (--model):", *lines])
