"""The command line of `analyze`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from nmjax.cli_parser import filled, natural
from nmjax.errors import BadInputError


def add(commands) -> None:
    """The command `analyze`, to argparse's subcommands."""
    p = commands.add_parser(
        "analyze", help="what a network does over a collection", description="What a network does over a collection."
    )
    p.add_argument("data", nargs="+", metavar="FOLDER", help="music, or a CSV (target[,input][,genre])")
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="where page, tables and pictures go")
    p.add_argument("--ckpt", type=filled, metavar="DIR", help="a network of your own: a run's folder (train.py --out)")
    p.add_argument(
        "--model", type=filled, metavar="NAME", help="a network that comes with the program; default: the best"
    )
    p.add_argument("--groups", type=Path, metavar="CSV", help="track,group; default: the CSV's genre, or the folder")
    p.add_argument("--only", action="append", default=[], metavar="GROUP", help="leave out all others; repeatable")
    p.add_argument("--tracks", type=int, metavar="N", help="so many at most, spread evenly")
    p.add_argument(
        "--windows", nargs="?", type=float, const=6.0, metavar="SECONDS", help="settings of every window too; default 6"
    )
    p.add_argument(
        "--parts", metavar="A,B", help="usage, groups, curves, stages, stability, latent, sensitivity; default: all"
    )
    p.add_argument("--threshold", type=float, default=0.5, metavar="X", help="above it a gate is open; default 0.5")
    p.add_argument("--seed", type=natural, default=0, help="of intervals, tests, clusters and probes")
    ablation = p.add_argument_group("fixed against adaptive bands, in place of all this")
    ablation.add_argument(
        "--ablate",
        action="store_true",
        help="teach 1b and 1c at equal cost (or load them from --out); key=value: settings",
    )
    ablation.add_argument(
        "--validation", type=Path, metavar="PATH", help="music to judge by; else a share of the songs"
    )
    ablation.add_argument(
        "--sweep", action="append", metavar="KEY=A,B", help="1c with these values of a setting; repeatable"
    )
    ablation.add_argument(
        "--beside", action="append", default=[], metavar="[NAME=]DIR", help="judge this network too; repeatable"
    )
    p.set_defaults(run=_analyze, overrides=[])


def _refuse(given: argparse.Namespace, options: Sequence[str], why: str) -> None:
    """Options that would be ignored."""
    for option in options:
        if getattr(given, option):
            raise BadInputError(f"--{option} {why}")


def _ablate(given: argparse.Namespace) -> None:
    from nmjax.ablation import SWEEP, Request, run
    from nmjax.data import Source
    from nmjax.inference.programs import keep_programs

    if given.ckpt or given.model:
        raise BadInputError("--ablate teaches its own networks; judge another one with --beside DIR.")
    _refuse(given, ("groups", "only", "windows", "parts"), "has no part in --ablate; leave it out.")
    keep_programs()
    sources = tuple(Source(Path(word)) for word in given.data)
    run(
        Request(
            sources, given.out, given.validation, given.tracks, given.sweep or SWEEP, given.beside,
            given.overrides, given.threshold, given.seed,
        )
    )  # fmt: skip


def _analyze(given: argparse.Namespace) -> None:
    if given.tracks is not None and given.tracks < 2:
        raise BadInputError(f"--tracks must be 2 or more; it is {given.tracks}.")
    if given.windows is not None and not 1.0 <= given.windows <= 60.0:
        raise BadInputError(f"--windows must be 1 to 60 seconds; it is {given.windows:g}.")
    if not 0.0 < given.threshold < 1.0:
        raise BadInputError(f"--threshold must lie between 0 and 1; it is {given.threshold:g}.")
    words = [*given.data, *given.overrides]  # argparse takes those behind an option for the latter
    given.overrides = [word for word in words if "=" in word and not Path(word).exists()]
    given.data = [word for word in words if word not in given.overrides]
    if given.ablate:
        return _ablate(given)
    _refuse(given, ("validation", "sweep", "beside"), "goes with --ablate.")
    if given.overrides:
        raise BadInputError(f"'{given.overrides[0]}' is a setting for teaching; it goes with --ablate.")
    from nmjax.analysis.command import Request, run
    from nmjax.inference.programs import keep_programs
    from nmjax.inference.wish import Wish

    keep_programs()
    parts = given.parts.split(",") if given.parts else None
    request = Request(
        tuple(map(Path, given.data)), given.out, given.groups, given.only, given.tracks, given.windows, parts,
        given.threshold, given.seed,
    )  # fmt: skip
    run(request, Wish(given.ckpt, given.model).network())
