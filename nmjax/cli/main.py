"""The command line. Nothing imports it; it imports the rest late, so that help and errors come at once."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nmjax import __version__
from nmjax.cli import analyze
from nmjax.cli.parser import CommandParser, non_empty_string, parse_intermixed, uint32
from nmjax.runtime import signals
from nmjax.runtime.errors import BadInputError


def main(arguments: list[str] | None = None) -> int:
    """`nmjax train …`, `nmjax infer …`, `nmjax evaluate …`, `nmjax analyze …`.

    Returns the exit code: 0, 1 where some of many tracks failed, 130 after Ctrl-C, 143 after SIGTERM, or 2 with one
    sentence on stderr for bad input.
    """
    parser = CommandParser(prog="nmjax", description="Neural audio mastering with settings you can read.")
    parser.add_argument("--version", action="version", version=f"nmjax {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_infer(commands)
    _add_evaluate(commands)
    analyze.add_analyze_command(commands)
    _add_targets(commands)
    try:
        args = parse_intermixed(parser, sys.argv[1:] if arguments is None else arguments)
        return args.run(args) or 0
    except BadInputError as error:
        _print_error(str(error))
        return 2
    except OSError as error:  # a name too long, a folder that may not be looked into
        subject = f"'{error.filename}'" if error.filename else "A file"
        _print_error(f"{subject} cannot be used ({error.strerror or error}); check the path and its rights.")
        return 2
    except KeyboardInterrupt as interruption:
        _print_error("stopped.")
        return signals.exit_code(interruption)


def _print_error(message: str) -> None:
    """On stderr; of a name, bytes that are no text are replaced."""
    print(f"nmjax: {message.encode(errors='replace').decode()}", file=sys.stderr)


def _add_train(commands) -> None:
    parser = commands.add_parser("train", help="train a phase on a folder of music", description="Train a phase.")
    parser.add_argument(
        "--phase",
        required=True,
        type=str.lower,
        choices=("1a", "1b", "1c", "2"),
        help="1a EQ, 1b + residual, 1c gated, 2 grey box",
    )
    parser.add_argument(
        "--data",
        action="append",
        metavar="PATH[=WEIGHT]",
        help="folder of mastered music, or a CSV (target[,input][,genre]); repeatable, with shares of the excerpts",
    )
    parser.add_argument(
        "--target", type=Path, metavar="DIR", help="mastered side, same file names; --data is then the unmastered"
    )
    parser.add_argument(
        "--validation", type=Path, metavar="PATH", help="music to validate with; else a share of the songs"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run's folder; the same command goes on with it")
    parser.add_argument(
        "--config", action="append", metavar="FILE", help="overlay: small, smoke, or a .yaml file; repeatable"
    )
    parser.add_argument("--seed", type=int, help="of weights, order, degradation and split")
    parser.add_argument("--init-from", type=Path, metavar="DIR", help="start from an earlier phase's run")
    parser.add_argument(
        "--teach",
        action="store_true",
        help="with --config spectral: teach encoder and bands from levels, in minutes, and stop",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print parameters, FLOPs, memory and time per step; train nothing"
    )
    parser.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="address of the first of several; auto on Slurm, MPI, Kubernetes, TPU",
    )
    parser.add_argument("--processes", type=int, metavar="N", help="with --coordinator: how many there are")
    parser.add_argument("--process", type=int, metavar="I", help="with --coordinator: which this one is, from 0")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="any setting of configs/base.yaml")
    parser.set_defaults(run=_train)


def _train(args: argparse.Namespace) -> None:
    from nmjax.config import load_config

    overrides = [*args.overrides, *([] if args.seed is None else [f"seed={args.seed}"])]
    config = load_config(args.phase, args.config, overrides)
    if config.phase != args.phase:
        raise BadInputError(f"--phase {args.phase} and the setting phase={config.phase} differ; give one of them.")
    if args.dry_run:
        from nmjax.training import profile

        return profile.print_profile(config)
    for name in ("data", "out"):
        if getattr(args, name) is None:
            raise BadInputError(
                f"--{name} is missing; write: train.py --phase {args.phase} --data FOLDER --out FOLDER."
            )
    if args.coordinator:
        from nmjax.runtime import distributed

        distributed.initialize(args.coordinator, args.processes, args.process)
    from nmjax.data import parse_sources
    from nmjax.training.trainer import TrainingRequest, fit_spectral, train

    sources = parse_sources(args.data)
    request = TrainingRequest(config, sources, args.out, args.target, args.validation, args.init_from)
    return fit_spectral(request) if args.teach else train(request)


def _add_infer(commands) -> None:
    parser = commands.add_parser("infer", help="master a track, or many", description="Master a track, or many.")
    parser.add_argument(
        "inputs", nargs="+", metavar="TRACK", help="WAV, FLAC, OGG, Opus, MP3, AIFF; or folders and globs"
    )
    parser.add_argument(
        "-o", "--out", type=Path, metavar="PATH", help="the master's file; of many tracks, their folder"
    )
    parser.add_argument("--force", action="store_true", help="overwrite existing outputs")
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON, and nothing else")
    render_options = parser.add_argument_group("what is rendered")
    render_options.add_argument(
        "--model",
        type=non_empty_string,
        metavar="NAME",
        help="a network that comes with the program; default: 1a, with a reference 2",
    )
    render_options.add_argument(
        "--ckpt", type=non_empty_string, metavar="DIR", help="a network of your own: a run's folder (train.py --out)"
    )
    render_options.add_argument(
        "--analyse-seconds", type=float, metavar="N", help="listen to N evenly spread seconds, not all"
    )
    render_options.add_argument(
        "--settings",
        type=non_empty_string,
        metavar="FILE",
        help="render these settings (JSON, .txt, .csv), see docs/settings.md",
    )
    render_options.add_argument(
        "--band", action="append", default=[], metavar="N.FIELD=X", help="as 3.gain_db=-1; repeatable"
    )
    processor_help = "eq, compressor, saturator, width or residual; repeatable"
    render_options.add_argument("--bypass", action="append", default=[], metavar="STAGE", help=processor_help)
    render_options.add_argument(
        "--solo", type=non_empty_string, metavar="STAGE", help="leave out all stages but this one"
    )
    render_options.add_argument(
        "--set", action="append", default=[], metavar="STAGE.FIELD=X", help="as compressor.ratio=2; repeatable"
    )
    render_options.add_argument("--eq-amount", default="1", metavar="X", help="0 to 2, scales the bands' decibels")
    render_options.add_argument("--residual-amount", default="1", metavar="X", help="0 to 2, scales the residual")
    _add_references(parser)
    delivery_options = parser.add_argument_group("delivery")
    delivery_options.add_argument(
        "--deliver",
        default="streaming",
        metavar="A,B",
        help="streaming (-14 LUFS, -1 dBTP), cd (-9, -0.3), club (-7, -0.3)",
    )
    delivery_options.add_argument("--lufs", metavar="N", help="another loudness, none, or reference: as loud as that")
    delivery_options.add_argument("--true-peak", metavar="N", help="another ceiling in dBTP, or none")
    delivery_options.add_argument("--max-limiting", type=float, metavar="DB", help="deepest gain reduction; default 6")
    delivery_options.add_argument("--bits", metavar="N", help="16, 24, 32 or float; default: as the input's")
    extra_files = parser.add_argument_group("further files, of a single track")
    extra_files.add_argument("--plot", type=Path, metavar="FILE", help="the EQ curve as a PNG picture")
    extra_files.add_argument(
        "--export", type=Path, metavar="FILE", help="the EQ for other programs: .txt (Equalizer APO), .csv, .rpl"
    )
    extra_files.add_argument("--report", type=Path, metavar="FILE", help="an HTML page: curves, meters, players")
    extra_files.add_argument("--null-test", type=Path, metavar="FILE", help="what was changed, as a WAV")
    batch_options = parser.add_argument_group("many tracks")
    batch_options.add_argument(
        "--album", action="store_true", help="one set of settings, and the songs' relative loudness"
    )
    batch_options.add_argument("--workers", type=int, metavar="N", help="so many processes (pip install nmjax[dask])")
    batch_options.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler, for several machines")
    parser.set_defaults(run=_infer)


def _add_references(parser) -> None:
    reference_options = parser.add_argument_group("towards a reference, see docs/reference.md")
    reference_options.add_argument(
        "--reference",
        action="append",
        default=[],
        metavar="FILE[=WEIGHT]",
        help="music that the track is to come near to; several make a house curve",
    )
    reference_options.add_argument(
        "--target",
        type=non_empty_string,
        metavar="FILE",
        help="a reference's features from --save-target, in its place",
    )
    reference_options.add_argument(
        "--save-target", type=Path, metavar="FILE", help="keep the references' features (.json)"
    )
    reference_options.add_argument(
        "--reference-strength", default="1", metavar="X", help="0 (the network's answer) to 1 (the default)"
    )
    reference_options.add_argument(
        "--reference-weights", default="", metavar="A=X,B=X", help="0 to 1 for tone, dynamics, width; as width=0.5"
    )
    reference_options.add_argument(
        "--same-song", action="store_true", help="the reference is another part or mix of the track's own song"
    )


def _infer(args: argparse.Namespace) -> int:
    from nmjax.mastering.command import InferArguments, run
    from nmjax.mastering.references import ReferenceOptions
    from nmjax.mastering.request import MasteringRequest
    from nmjax.runtime.compilation_cache import enable_compilation_cache

    enable_compilation_cache()
    references = ReferenceOptions(
        tuple(args.reference), args.target, args.reference_strength, args.reference_weights, args.same_song
    )
    mastering_request = MasteringRequest(
        args.ckpt, args.model, args.settings, tuple(args.deliver.split(",")), args.lufs, args.true_peak,
        args.max_limiting, tuple(args.band), tuple(args.bypass), args.eq_amount, args.residual_amount,
        args.analyse_seconds, args.bits, tuple(args.set), args.solo, references,
    )  # fmt: skip
    return run(
        InferArguments(
            tuple(args.inputs), mastering_request, args.out, args.plot, args.export, args.report, args.null_test, args.force,
            args.album, args.scheduler, args.workers, args.quiet, args.json, args.save_target,
        )
    )  # fmt: skip


def _add_evaluate(commands) -> None:
    parser = commands.add_parser(
        "evaluate", help="compare systems on unseen songs", description="Compare systems on songs with known faults."
    )
    parser.add_argument(
        "--data", action="append", required=True, metavar="PATH", help="mastered music, as for training"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where table, rows and pictures go")
    parser.add_argument(
        "--systems",
        default="oracle-eq5,oracle-eq10",
        metavar="A,B",
        help="oracle-eq5, oracle-eq10, reference-same, reference-other, matchering-same, matchering-other; "
        "the input as it is always takes part",
    )
    parser.add_argument(
        "--ckpt",
        action="append",
        default=[],
        metavar="[NAME=]DIR",
        help="a run of ours; repeatable, its phase is its name",
    )
    parser.add_argument("--matchering", metavar="PYTHON", help="the Python of an environment with Matchering")
    parser.add_argument(
        "--tiers", default="tone,mix", metavar="A,B", help="tone, mix (tone, dynamics and width), heavy (twice the mix)"
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="of an item, at most half of its song; default 30")
    parser.add_argument("--full", action="store_true", help="whole songs in place of excerpts")
    parser.add_argument("--items", type=int, default=1, metavar="N", help="excerpts a song; default 1")
    parser.add_argument("--seed", type=uint32, default=0, help="of places and faults")
    parser.add_argument(
        "--spectra", type=uint32, default=0, metavar="N", help="draw N items' spectra, the two worst with them"
    )
    parser.add_argument("--listen", action="store_true", help="instead, make a page for a blind test, of the last tier")
    parser.set_defaults(run=_evaluate)


def _evaluate(args: argparse.Namespace) -> None:
    from nmjax.evaluation.degradations import CONDITIONS

    conditions = args.tiers.split(",")
    for condition in conditions:
        if condition not in CONDITIONS:
            raise BadInputError(f"There is no tier '{condition}'; there are: {', '.join(CONDITIONS)}.")
    if not 5.0 <= args.seconds <= 600.0:
        raise BadInputError(f"--seconds must be 5 to 600; it is {args.seconds:g}.")
    if not 1 <= args.items <= 1000:
        raise BadInputError(f"--items must be 1 to 1000; it is {args.items}.")
    from nmjax.data import parse_sources
    from nmjax.evaluation.benchmark import EvaluationRequest, run

    seconds = None if args.full else args.seconds
    names = [name for name in args.systems.split(",") if name]
    sources = parse_sources(args.data)
    remaining_arguments = (
        args.ckpt,
        args.matchering,
        conditions,
        seconds,
        args.items,
        args.seed,
        args.spectra,
        args.listen,
    )
    run(EvaluationRequest(sources, args.out, names, *remaining_arguments))


def _add_targets(commands) -> None:
    parser = commands.add_parser("targets", help="list and draw references' features", description="List target files.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="written by infer --save-target")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="their spectra as a PNG picture")
    parser.add_argument("--force", action="store_true", help="overwrite the picture")
    parser.set_defaults(run=_targets)


def _targets(args: argparse.Namespace) -> None:
    from nmjax.mastering.target_listing import show_targets

    show_targets(args.files, args.plot, args.force)


if __name__ == "__main__":
    sys.exit(main())
