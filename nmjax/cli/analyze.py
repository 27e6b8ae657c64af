"""`nmjax analyze`: what a network predicts over a collection, and the ablation of fixed and adaptive bands."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nmjax.cli.parser import Command, option_label
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.extras import require_extra
from nmjax.runtime.options import (
    UINT32_MAX,
    Options,
    option,
    option_specs,
    read_float,
    read_int,
    read_list,
    read_path,
    read_text,
)

_ABLATION = "ablation of fixed and adaptive bands, instead of the analysis"
_ANALYSIS_ONLY = ("groups", "only", "window_seconds", "sections", "ckpt", "model")
_ABLATION_ONLY = ("validation", "sweep", "compare")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnalyzeOptions(Options):
    """Options of `nmjax analyze`."""

    data: tuple[str, ...] = option(
        positional=True,
        metavar="FOLDER",
        help="folders of music, or CSV files (target[,input][,genre]); with --ablate also settings, KEY=VALUE",
    )
    out: Path = option(metavar="DIR", parse=read_path, help="folder of the page, the tables and the plots")
    ckpt: str | None = option(
        None, metavar="DIR", parse=read_text, help="your own network: a run folder (train.py --out)"
    )
    model: str | None = option(
        None, metavar="NAME", parse=read_text, help="a network that comes with the program; default: 1a"
    )
    groups: Path | None = option(
        None, metavar="CSV", parse=read_path, help="columns track,group; default: the genre of the CSV, or the folder"
    )
    only: tuple[str, ...] = option(
        (), metavar="GROUP", parse=read_text, repeat=True, help="analyze only the tracks of this group"
    )
    max_tracks: int | None = option(
        None, metavar="N", parse=read_int, low=2, help="this many tracks at most, evenly spaced"
    )
    window_seconds: float | None = option(
        None,
        metavar="SECONDS",
        parse=read_float,
        low=1.0,
        high=60.0,
        bare="6",
        help="also predict the settings of every window of this length; without a value: 6",
    )
    sections: tuple[str, ...] = option(
        (),
        metavar="NAME,...",
        parse=read_list,
        help="usage, groups, responses, processors, stability, latent, sensitivity; default: all",
    )
    gate_threshold: float = option(
        0.5, metavar="X", parse=read_float, low=0.0, high=1.0, exclusive=True, help="a gate is open above this value"
    )
    seed: int = option(
        0,
        metavar="N",
        parse=read_int,
        low=0,
        high=UINT32_MAX,
        help="draw confidence intervals, tests, clusters and probes from this seed",
    )
    ablate: bool = option(
        False, group=_ABLATION, help="train 1b and 1c at equal cost, or load them from --out, and compare them"
    )
    validation: Path | None = option(
        None,
        group=_ABLATION,
        metavar="PATH",
        parse=read_path,
        help="music to compare with; default: a share of the songs",
    )
    sweep: tuple[str, ...] = option(
        (),
        group=_ABLATION,
        metavar="KEY=A,B",
        parse=read_text,
        repeat=True,
        help="train 1c with each of these values of a setting",
    )
    compare: tuple[str, ...] = option(
        (), group=_ABLATION, metavar="[NAME=]DIR", parse=read_text, repeat=True, help="also evaluate this run"
    )


def _run(options: AnalyzeOptions) -> None:
    overrides = [word for word in options.data if "=" in word and not Path(word).exists()]
    folders = [word for word in options.data if word not in overrides]
    if not folders:
        raise BadInputError("Give a folder: nmjax analyze FOLDER. See 'nmjax analyze --help'.")
    unused, condition = (_ANALYSIS_ONLY, "with --ablate") if options.ablate else (_ABLATION_ONLY, "without --ablate")
    for name in unused:
        if options.is_given(name):
            flag = option_label(name, option_specs(AnalyzeOptions)[name])
            raise BadInputError(f"{flag} has no effect {condition}; leave it out.")
    if overrides and not options.ablate:
        raise BadInputError(f"'{overrides[0]}' is a setting for training, which has no effect without --ablate.")
    require_extra("train", "The analysis")
    from nmjax.runtime.compilation_cache import enable_compilation_cache

    enable_compilation_cache()
    if options.ablate:
        _ablate(options, folders, overrides)
    else:
        _analyze(options, folders)


def _analyze(options: AnalyzeOptions, folders: list[str]) -> None:
    from nmjax.analysis.collection_analysis import AnalysisRequest, analyze_collection
    from nmjax.mastering.resolve import load_named_network

    request = AnalysisRequest(
        data=tuple(map(Path, folders)),
        out=options.out,
        groups_csv=options.groups,
        only_groups=options.only,
        max_tracks=options.max_tracks,
        window_seconds=options.window_seconds,
        sections=options.sections or None,
        gate_threshold=options.gate_threshold,
        seed=options.seed,
    )
    network = load_named_network(options.ckpt, options.model)
    if network.encodes_channels:
        raise BadInputError(
            f"'{options.model or options.ckpt}' analyzes the channels for saturation, and leaves the equalizer flat; "
            "name a network that sets one with --model."
        )
    analyze_collection(request, network)


def _ablate(options: AnalyzeOptions, folders: list[str], overrides: list[str]) -> None:
    from nmjax.analysis.band_ablation import DEFAULT_SWEEP, AblationRequest, run_ablation
    from nmjax.data import DataSource

    run_ablation(
        AblationRequest(
            data=tuple(DataSource(Path(folder)) for folder in folders),
            out=options.out,
            validation=options.validation,
            max_songs=options.max_tracks,
            sweep=options.sweep or DEFAULT_SWEEP,
            extra_checkpoints=options.compare,
            overrides=overrides,
            gate_threshold=options.gate_threshold,
            seed=options.seed,
        )
    )


COMMAND = Command(
    name="analyze",
    summary="Analyze the settings that a network predicts over a collection.",
    examples=(
        "analyze music --ckpt runs/1c --out analysis",
        "analyze music --out analysis --groups genres.csv --sections groups,responses",
        "analyze music --out ablation --ablate train.steps=2000  # fixed against adaptive bands",
    ),
    options=AnalyzeOptions,
    run=_run,
)
