"""The command line of `analyze`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from nmjax.cli.parser import non_empty_string, uint32
from nmjax.runtime.errors import BadInputError


def add_analyze_command(commands) -> None:
    """The command `analyze`, to argparse's subcommands."""
    parser = commands.add_parser(
        "analyze", help="what a network does over a collection", description="What a network does over a collection."
    )
    parser.add_argument("data", nargs="+", metavar="FOLDER", help="music, or a CSV (target[,input][,genre])")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where page, tables and pictures go")
    parser.add_argument(
        "--ckpt", type=non_empty_string, metavar="DIR", help="a network of your own: a run's folder (train.py --out)"
    )
    parser.add_argument(
        "--model",
        type=non_empty_string,
        metavar="NAME",
        help="a network that comes with the program; default: the best",
    )
    parser.add_argument(
        "--groups", type=Path, metavar="CSV", help="track,group; default: the CSV's genre, or the folder"
    )
    parser.add_argument("--only", action="append", default=[], metavar="GROUP", help="leave out all others; repeatable")
    parser.add_argument("--tracks", type=int, metavar="N", help="so many at most, spread evenly")
    parser.add_argument(
        "--windows", nargs="?", type=float, const=6.0, metavar="SECONDS", help="settings of every window too; default 6"
    )
    parser.add_argument(
        "--parts", metavar="A,B", help="usage, groups, curves, stages, stability, latent, sensitivity; default: all"
    )
    parser.add_argument(
        "--threshold", type=float, default=0.5, metavar="X", help="above it a gate is open; default 0.5"
    )
    parser.add_argument("--seed", type=uint32, default=0, help="of intervals, tests, clusters and probes")
    ablation_options = parser.add_argument_group("fixed against adaptive bands, in place of all this")
    ablation_options.add_argument(
        "--ablate",
        action="store_true",
        help="teach 1b and 1c at equal cost (or load them from --out); key=value: settings",
    )
    ablation_options.add_argument(
        "--validation", type=Path, metavar="PATH", help="music to judge by; else a share of the songs"
    )
    ablation_options.add_argument(
        "--sweep", action="append", metavar="KEY=A,B", help="1c with these values of a setting; repeatable"
    )
    ablation_options.add_argument(
        "--beside", action="append", default=[], metavar="[NAME=]DIR", help="judge this network too; repeatable"
    )
    parser.set_defaults(run=_analyze, overrides=[])


def _reject_options(args: argparse.Namespace, options: Sequence[str], reason: str) -> None:
    """Options that would be ignored."""
    for option in options:
        if getattr(args, option):
            raise BadInputError(f"--{option} {reason}")


def _ablate(args: argparse.Namespace) -> None:
    from nmjax.analysis.band_ablation import DEFAULT_SWEEP, AblationRequest, run_ablation
    from nmjax.data import DataSource
    from nmjax.runtime.compilation_cache import enable_compilation_cache

    if args.ckpt or args.model:
        raise BadInputError("--ablate teaches its own networks; judge another one with --beside DIR.")
    _reject_options(args, ("groups", "only", "windows", "parts"), "has no part in --ablate; leave it out.")
    enable_compilation_cache()
    sources = tuple(DataSource(Path(token)) for token in args.data)
    run_ablation(
        AblationRequest(
            sources, args.out, args.validation, args.tracks, args.sweep or DEFAULT_SWEEP, args.beside,
            args.overrides, args.threshold, args.seed,
        )
    )  # fmt: skip


def _analyze(args: argparse.Namespace) -> None:
    if args.tracks is not None and args.tracks < 2:
        raise BadInputError(f"--tracks must be 2 or more; it is {args.tracks}.")
    if args.windows is not None and not 1.0 <= args.windows <= 60.0:
        raise BadInputError(f"--windows must be 1 to 60 seconds; it is {args.windows:g}.")
    if not 0.0 < args.threshold < 1.0:
        raise BadInputError(f"--threshold must lie between 0 and 1; it is {args.threshold:g}.")
    tokens = [*args.data, *args.overrides]  # argparse takes those behind an option for the latter
    args.overrides = [token for token in tokens if "=" in token and not Path(token).exists()]
    args.data = [token for token in tokens if token not in args.overrides]
    if args.ablate:
        return _ablate(args)
    _reject_options(args, ("validation", "sweep", "beside"), "goes with --ablate.")
    if args.overrides:
        raise BadInputError(f"'{args.overrides[0]}' is a setting for teaching; it goes with --ablate.")
    from nmjax.analysis.collection_analysis import AnalysisRequest, analyze_collection
    from nmjax.mastering.request import MasteringRequest
    from nmjax.runtime.compilation_cache import enable_compilation_cache

    enable_compilation_cache()
    sections = args.parts.split(",") if args.parts else None
    request = AnalysisRequest(
        tuple(map(Path, args.data)), args.out, args.groups, args.only, args.tracks, args.windows, sections,
        args.threshold, args.seed,
    )  # fmt: skip
    analyze_collection(request, MasteringRequest(args.ckpt, args.model).load_network())
