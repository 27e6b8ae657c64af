"""`nmjax weights`: a network as a safetensors file, and back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nmjax.cli.parser import Command
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.options import Options, option, read_path, read_text

ACTIONS = ("export", "import")


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightsOptions(Options):
    """Options of `nmjax weights`."""

    action: tuple[str, ...] = option(positional=True, metavar="ACTION", choices=ACTIONS, help="export or import")
    safetensors: Path = option(
        metavar="FILE",
        parse=read_path,
        help="the weights file (.safetensors), written or read, see docs/reference/weights.md",
    )
    ckpt: str | None = option(None, metavar="DIR", parse=read_text, help="export your own network: a run folder")
    model: str | None = option(
        None, metavar="NAME", parse=read_text, help="export a network that comes with the program; default: 1a"
    )
    out: Path | None = option(
        None, metavar="DIR", parse=read_path, help="import: the run folder to make, for --ckpt and --init-from"
    )
    force: bool = option(False, help="overwrite the weights file")


def _run(options: WeightsOptions) -> None:
    if len(options.action) != 1:
        raise BadInputError("Give one of: nmjax weights export, nmjax weights import.")
    exporting = options.action[0] == "export"
    unused = ("out",) if exporting else ("ckpt", "model", "force")
    for name in unused:
        if options.is_given(name):
            raise BadInputError(f"--{name} has no effect on {options.action[0]}; leave it out.")
    if not exporting and options.out is None:
        raise BadInputError("--out is missing; name the run folder to make: nmjax weights import --out runs/imported.")
    from nmjax.cli import weights_run

    (weights_run.export_weights if exporting else weights_run.import_weights)(options)


COMMAND = Command(
    name="weights",
    summary="Write a network as a safetensors file, or read one.",
    examples=(
        "weights export --model 1a --safetensors 1a.safetensors",
        "weights export --ckpt runs/1b --safetensors 1b.safetensors",
        "weights import --safetensors 1b.safetensors --out runs/imported",
    ),
    options=WeightsOptions,
    run=_run,
)
