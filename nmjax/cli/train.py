"""`nmjax train`: train a phase, or fit the closed-form spectral model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nmjax.cli.parser import Command
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.extras import require_extra
from nmjax.runtime.options import UINT32_MAX, Options, option, read_int, read_path, read_text

_SEVERAL = "several processes, see docs/how-to/training.md"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions(Options):
    """Options of `nmjax train`."""

    phase: str = option(
        metavar="PHASE",
        parse=str.lower,
        choices=("1a", "1b", "1c", "2"),
        help="1a EQ; 1b EQ + residual; 1c gated EQ + residual; 2 gated EQ + compressor, saturator and width + residual",
    )
    data: tuple[str, ...] = option(
        (),
        metavar="PATH[=WEIGHT]",
        parse=read_text,
        repeat=True,
        help="folder of mastered music, or a CSV (target[,input][,genre]); WEIGHT: its share of the excerpts",
    )
    target: Path | None = option(
        None, metavar="DIR", parse=read_path, help="mastered files of the same names; --data is then unmastered"
    )
    validation: Path | None = option(
        None, metavar="PATH", parse=read_path, help="music to validate with; default: a share of the songs"
    )
    out: Path | None = option(None, metavar="DIR", parse=read_path, help="run folder; a run that exists is resumed")
    config: tuple[str, ...] = option(
        (), metavar="FILE", parse=read_text, repeat=True, help="overlay: small, smoke, spectral, or a .yaml file"
    )
    seed: int | None = option(
        None,
        metavar="N",
        parse=read_int,
        low=0,
        high=UINT32_MAX,
        help="draw initial weights, data order, degradations and split from this seed; default: that of the config",
    )
    init_from: Path | None = option(
        None, metavar="DIR", parse=read_path, help="warm start from the run folder of an earlier phase"
    )
    fit_spectral: bool = option(
        False, help="with --config spectral: fit encoder and bands to spectra in closed form, in minutes, and stop"
    )
    dry_run: bool = option(False, help="print parameters, FLOPs, memory and time of a step, and stop")
    coordinator: str | None = option(
        None,
        group=_SEVERAL,
        metavar="HOST:PORT",
        parse=read_text,
        help="address of the first process, or 'auto' on Slurm, MPI, Kubernetes and TPU",
    )
    num_processes: int | None = option(
        None, group=_SEVERAL, metavar="N", parse=read_int, low=1, help="number of processes"
    )
    process_id: int | None = option(
        None, group=_SEVERAL, metavar="I", parse=read_int, low=0, help="number of this process, from 0"
    )
    overrides: tuple[str, ...] = option(
        (), positional=True, metavar="KEY=VALUE", help="any setting of configs/base.yaml, such as train.steps=2000"
    )


def _run(options: TrainOptions) -> None:
    require_extra("train", "Training")
    from nmjax.config import load_config

    if options.seed is not None and any(word.startswith("seed=") for word in options.overrides):
        raise BadInputError("--seed and the setting seed=N name two seeds; give one of them.")
    if options.dry_run and options.fit_spectral:
        raise BadInputError("--dry-run prints the cost of a train step, and --fit-spectral makes none; leave one out.")
    seed = [] if options.seed is None else [f"seed={options.seed}"]
    config = load_config(options.phase, list(options.config), [*options.overrides, *seed])
    if config.phase != options.phase:
        raise BadInputError(f"--phase {options.phase} and the setting phase={config.phase} differ; give one of them.")
    if not options.coordinator and (options.num_processes is not None or options.process_id is not None):
        raise BadInputError("--num-processes and --process-id have no effect without --coordinator; add it.")
    from nmjax.runtime.compilation_cache import enable_compilation_cache

    enable_compilation_cache()
    if options.dry_run:
        from nmjax.training import profile

        return profile.print_profile(config)
    if not options.data or options.out is None:
        raise BadInputError(
            f"--{'out' if options.data else 'data'} is missing; write: "
            f"nmjax train --phase {options.phase} --data FOLDER --out FOLDER."
        )
    if options.coordinator:
        from nmjax.runtime import distributed

        distributed.initialize(options.coordinator, options.num_processes, options.process_id)
    from nmjax.data import parse_sources
    from nmjax.training.request import TrainingRequest
    from nmjax.training.trainer import fit_spectral, train

    request = TrainingRequest(
        config=config,
        data=parse_sources(options.data),
        out=options.out,
        target=options.target,
        validation=options.validation,
        init_from=options.init_from,
    )
    return fit_spectral(request) if options.fit_spectral else train(request)


COMMAND = Command(
    name="train",
    summary="Train a phase on music.",
    examples=(
        "train --phase 1a --config small --data music --out runs/1a",
        "train --phase 1b --config small --data music --out runs/1b --init-from runs/1a",
        "train --phase 1c --config small --dry-run  # parameters, memory and time of a step",
    ),
    options=TrainOptions,
    run=_run,
)
