"""The command line. Nothing imports it; it imports the rest late, so that help and errors come at once."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nmjax import __version__, cli_analyze, interrupt
from nmjax.cli_parser import Parser, filled, natural, parsed
from nmjax.errors import BadInputError


def main(arguments: list[str] | None = None) -> int:
    """`nmjax train …`, `nmjax infer …`, `nmjax evaluate …`, `nmjax analyze …`.

    Returns the exit code: 0, 1 where some of many tracks failed, 130 after Ctrl-C, 143 after SIGTERM, or 2 with one
    sentence on stderr for bad input.
    """
    parser = Parser(prog="nmjax", description="Neural audio mastering with settings you can read.")
    parser.add_argument("--version", action="version", version=f"nmjax {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_infer(commands)
    _add_evaluate(commands)
    cli_analyze.add(commands)
    _add_targets(commands)
    try:
        given = parsed(parser, sys.argv[1:] if arguments is None else arguments)
        return given.run(given) or 0
    except BadInputError as error:
        _complain(str(error))
        return 2
    except OSError as error:  # a name too long, a folder that may not be looked into
        what = f"'{error.filename}'" if error.filename else "A file"
        _complain(f"{what} cannot be used ({error.strerror or error}); check the path and its rights.")
        return 2
    except KeyboardInterrupt as stop:
        _complain("stopped.")
        return interrupt.code_of(stop)


def _complain(sentence: str) -> None:
    """On stderr; of a name, bytes that are no text are replaced."""
    print(f"nmjax: {sentence.encode(errors='replace').decode()}", file=sys.stderr)


def _add_train(commands) -> None:
    p = commands.add_parser("train", help="train a phase on a folder of music", description="Train a phase.")
    p.add_argument(
        "--phase",
        required=True,
        type=str.lower,
        choices=("1a", "1b", "1c", "2"),
        help="1a EQ, 1b + residual, 1c gated, 2 grey box",
    )
    p.add_argument(
        "--data",
        action="append",
        metavar="PATH[=WEIGHT]",
        help="folder of mastered music, or a CSV (target[,input][,genre]); repeatable, with shares of the excerpts",
    )
    p.add_argument(
        "--target", type=Path, metavar="DIR", help="mastered side, same file names; --data is then the unmastered"
    )
    p.add_argument("--validation", type=Path, metavar="PATH", help="music to validate with; else a share of the songs")
    p.add_argument("--out", type=Path, metavar="DIR", help="the run's folder; the same command goes on with it")
    p.add_argument(
        "--config", action="append", metavar="FILE", help="overlay: small, smoke, or a .yaml file; repeatable"
    )
    p.add_argument("--seed", type=int, help="of weights, order, degradation and split")
    p.add_argument("--init-from", type=Path, metavar="DIR", help="start from an earlier phase's run")
    p.add_argument(
        "--teach",
        action="store_true",
        help="with --config spectral: teach encoder and bands from levels, in minutes, and stop",
    )
    p.add_argument(
        "--dry-run", action="store_true", help="print parameters, FLOPs, memory and time per step; train nothing"
    )
    p.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="address of the first of several; auto on Slurm, MPI, Kubernetes, TPU",
    )
    p.add_argument("--processes", type=int, metavar="N", help="with --coordinator: how many there are")
    p.add_argument("--process", type=int, metavar="I", help="with --coordinator: which this one is, from 0")
    p.add_argument("overrides", nargs="*", metavar="key=value", help="any setting of configs/base.yaml")
    p.set_defaults(run=_train)


def _train(given: argparse.Namespace) -> None:
    from nmjax.config import load_config

    overrides = [*given.overrides, *([] if given.seed is None else [f"seed={given.seed}"])]
    config = load_config(given.phase, given.config, overrides)
    if config.phase != given.phase:
        raise BadInputError(f"--phase {given.phase} and the setting phase={config.phase} differ; give one of them.")
    if given.dry_run:
        from nmjax.training import cost

        return cost.report(config)
    for name in ("data", "out"):
        if getattr(given, name) is None:
            raise BadInputError(
                f"--{name} is missing; write: train.py --phase {given.phase} --data FOLDER --out FOLDER."
            )
    if given.coordinator:
        from nmjax import hosts

        hosts.join(given.coordinator, given.processes, given.process)
    from nmjax.data import parse_sources
    from nmjax.training.session import Request, run, teach

    sources = parse_sources(given.data)
    request = Request(config, sources, given.out, given.target, given.validation, given.init_from)
    return teach(request) if given.teach else run(request)


def _add_infer(commands) -> None:
    p = commands.add_parser("infer", help="master a track, or many", description="Master a track, or many.")
    p.add_argument("inputs", nargs="+", metavar="TRACK", help="WAV, FLAC, OGG, Opus, MP3, AIFF; or folders and globs")
    p.add_argument("-o", "--out", type=Path, metavar="PATH", help="the master's file; of many tracks, their folder")
    p.add_argument("--force", action="store_true", help="overwrite existing outputs")
    p.add_argument("--quiet", action="store_true", help="say nothing but errors")
    p.add_argument("--json", action="store_true", help="print what was done as JSON, and nothing else")
    network = p.add_argument_group("what is rendered")
    network.add_argument(
        "--model",
        type=filled,
        metavar="NAME",
        help="a network that comes with the program; default: 1a, with a reference 2",
    )
    network.add_argument(
        "--ckpt", type=filled, metavar="DIR", help="a network of your own: a run's folder (train.py --out)"
    )
    network.add_argument(
        "--analyse-seconds", type=float, metavar="N", help="listen to N evenly spread seconds, not all"
    )
    network.add_argument(
        "--settings", type=filled, metavar="FILE", help="render these settings (JSON, .txt, .csv), see docs/settings.md"
    )
    network.add_argument("--band", action="append", default=[], metavar="N.FIELD=X", help="as 3.gain_db=-1; repeatable")
    stages = "eq, compressor, saturator, width or residual; repeatable"
    network.add_argument("--bypass", action="append", default=[], metavar="STAGE", help=stages)
    network.add_argument("--solo", type=filled, metavar="STAGE", help="leave out all stages but this one")
    network.add_argument(
        "--set", action="append", default=[], metavar="STAGE.FIELD=X", help="as compressor.ratio=2; repeatable"
    )
    network.add_argument("--eq-amount", default="1", metavar="X", help="0 to 2, scales the bands' decibels")
    network.add_argument("--residual-amount", default="1", metavar="X", help="0 to 2, scales the residual")
    _add_references(p)
    delivery = p.add_argument_group("delivery")
    delivery.add_argument(
        "--deliver",
        default="streaming",
        metavar="A,B",
        help="streaming (-14 LUFS, -1 dBTP), cd (-9, -0.3), club (-7, -0.3)",
    )
    delivery.add_argument("--lufs", metavar="N", help="another loudness, none, or reference: as loud as that")
    delivery.add_argument("--true-peak", metavar="N", help="another ceiling in dBTP, or none")
    delivery.add_argument("--max-limiting", type=float, metavar="DB", help="deepest gain reduction; default 6")
    delivery.add_argument("--bits", metavar="N", help="16, 24, 32 or float; default: as the input's")
    more = p.add_argument_group("further files, of a single track")
    more.add_argument("--plot", type=Path, metavar="FILE", help="the EQ curve as a PNG picture")
    more.add_argument(
        "--export", type=Path, metavar="FILE", help="the EQ for other programs: .txt (Equalizer APO), .csv, .rpl"
    )
    more.add_argument("--report", type=Path, metavar="FILE", help="an HTML page: curves, meters, players")
    more.add_argument("--null-test", type=Path, metavar="FILE", help="what was changed, as a WAV")
    many = p.add_argument_group("many tracks")
    many.add_argument("--album", action="store_true", help="one set of settings, and the songs' relative loudness")
    many.add_argument("--workers", type=int, metavar="N", help="so many processes (pip install nmjax[dask])")
    many.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler, for several machines")
    p.set_defaults(run=_infer)


def _add_references(p) -> None:
    group = p.add_argument_group("towards a reference, see docs/reference.md")
    group.add_argument(
        "--reference",
        action="append",
        default=[],
        metavar="FILE[=WEIGHT]",
        help="music that the track is to come near to; several make a house curve",
    )
    group.add_argument(
        "--target", type=filled, metavar="FILE", help="a reference's features from --save-target, in its place"
    )
    group.add_argument("--save-target", type=Path, metavar="FILE", help="keep the references' features (.json)")
    group.add_argument(
        "--reference-strength", default="1", metavar="X", help="0 (the network's answer) to 1 (the default)"
    )
    group.add_argument(
        "--reference-weights", default="", metavar="A=X,B=X", help="0 to 1 for tone, dynamics, width; as width=0.5"
    )
    group.add_argument(
        "--same-song", action="store_true", help="the reference is another part or mix of the track's own song"
    )


def _infer(given: argparse.Namespace) -> int:
    from nmjax.inference.command import Request, run
    from nmjax.inference.programs import keep_programs
    from nmjax.inference.reference import References
    from nmjax.inference.wish import Wish

    keep_programs()
    references = References(
        tuple(given.reference), given.target, given.reference_strength, given.reference_weights, given.same_song
    )
    wish = Wish(
        given.ckpt, given.model, given.settings, tuple(given.deliver.split(",")), given.lufs, given.true_peak,
        given.max_limiting, tuple(given.band), tuple(given.bypass), given.eq_amount, given.residual_amount,
        given.analyse_seconds, given.bits, tuple(given.set), given.solo, references,
    )  # fmt: skip
    return run(
        Request(
            tuple(given.inputs), wish, given.out, given.plot, given.export, given.report, given.null_test, given.force,
            given.album, given.scheduler, given.workers, given.quiet, given.json, given.save_target,
        )
    )  # fmt: skip


def _add_evaluate(commands) -> None:
    p = commands.add_parser(
        "evaluate", help="compare systems on unseen songs", description="Compare systems on songs with known faults."
    )
    p.add_argument("--data", action="append", required=True, metavar="PATH", help="mastered music, as for training")
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="where table, rows and pictures go")
    p.add_argument(
        "--systems",
        default="oracle-eq5,oracle-eq10",
        metavar="A,B",
        help="oracle-eq5, oracle-eq10, reference-same, reference-other, matchering-same, matchering-other; "
        "the input as it is always takes part",
    )
    p.add_argument(
        "--ckpt",
        action="append",
        default=[],
        metavar="[NAME=]DIR",
        help="a run of ours; repeatable, its phase is its name",
    )
    p.add_argument("--matchering", metavar="PYTHON", help="the Python of an environment with Matchering")
    p.add_argument(
        "--tiers", default="tone,mix", metavar="A,B", help="tone, mix (tone, dynamics and width), heavy (twice the mix)"
    )
    p.add_argument("--seconds", type=float, default=30.0, help="of an item, at most half of its song; default 30")
    p.add_argument("--full", action="store_true", help="whole songs in place of excerpts")
    p.add_argument("--items", type=int, default=1, metavar="N", help="excerpts a song; default 1")
    p.add_argument("--seed", type=natural, default=0, help="of places and faults")
    p.add_argument(
        "--spectra", type=natural, default=0, metavar="N", help="draw N items' spectra, the two worst with them"
    )
    p.add_argument("--listen", action="store_true", help="instead, make a page for a blind test, of the last tier")
    p.set_defaults(run=_evaluate)


def _evaluate(given: argparse.Namespace) -> None:
    from nmjax.evaluation.faults import TIERS

    tiers = given.tiers.split(",")
    for tier in tiers:
        if tier not in TIERS:
            raise BadInputError(f"There is no tier '{tier}'; there are: {', '.join(TIERS)}.")
    if not 5.0 <= given.seconds <= 600.0:
        raise BadInputError(f"--seconds must be 5 to 600; it is {given.seconds:g}.")
    if not 1 <= given.items <= 1000:
        raise BadInputError(f"--items must be 1 to 1000; it is {given.items}.")
    from nmjax.data import parse_sources
    from nmjax.evaluation.command import Request, run

    seconds = None if given.full else given.seconds
    names = [name for name in given.systems.split(",") if name]
    sources = parse_sources(given.data)
    asked = (given.ckpt, given.matchering, tiers, seconds, given.items, given.seed, given.spectra, given.listen)
    run(Request(sources, given.out, names, *asked))


def _add_targets(commands) -> None:
    p = commands.add_parser("targets", help="list and draw references' features", description="List target files.")
    p.add_argument("files", nargs="+", type=Path, metavar="FILE", help="written by infer --save-target")
    p.add_argument("--plot", type=Path, metavar="FILE", help="their spectra as a PNG picture")
    p.add_argument("--force", action="store_true", help="overwrite the picture")
    p.set_defaults(run=_targets)


def _targets(given: argparse.Namespace) -> None:
    from nmjax.inference.targets import show

    show(given.files, given.plot, given.force)


if __name__ == "__main__":
    sys.exit(main())
