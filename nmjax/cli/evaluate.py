"""`nmjax evaluate`: compare systems on songs with known degradations."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nmjax.cli.parser import Command
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.extras import require_extra
from nmjax.runtime.options import UINT32_MAX, Options, option, read_float, read_int, read_list, read_path, read_text


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Options):
    """Options of `nmjax evaluate`."""

    data: tuple[str, ...] = option(
        metavar="PATH",
        parse=read_text,
        repeat=True,
        help="mastered music, or a CSV of pairs, as for training; pairs are not degraded: their input is given",
    )
    out: Path = option(metavar="DIR", parse=read_path, help="folder of the table, the rows and the plots")
    systems: tuple[str, ...] = option(
        ("oracle-eq5", "oracle-eq10"),
        metavar="NAME,...",
        parse=read_list,
        help="default (infer.py without options), oracle-eq5, oracle-eq10, reference-same, reference-other, "
        "reference-clean, matchering-same, matchering-other; the unprocessed input is always included",
    )
    ckpt: tuple[str, ...] = option(
        (), metavar="[NAME=]DIR", parse=read_text, repeat=True, help="a run folder; named by its phase by default"
    )
    matchering: str | None = option(
        None, metavar="PYTHON", parse=read_text, help="the Python of an environment with Matchering"
    )
    conditions: tuple[str, ...] = option(
        ("tone", "mix"),
        metavar="NAME,...",
        parse=read_list,
        choices=("tone", "rough", "mix", "heavy", "damage"),
        help="tone, rough (tone of 4 to 8 dB RMS), mix (tone, dynamics and width), heavy (twice the mix), "
        "damage (clipping or saturation)",
    )
    seconds: float = option(
        30.0, metavar="N", parse=read_float, low=5.0, high=600.0, help="length of an excerpt, at most half of its song"
    )
    whole_songs: bool = option(False, help="whole songs instead of excerpts")
    excerpts_per_song: int = option(1, metavar="N", parse=read_int, low=1, high=1000, help="number of excerpts")
    seed: int = option(
        0,
        metavar="N",
        parse=read_int,
        low=0,
        high=UINT32_MAX,
        help="draw the excerpts and the degradations from this seed",
    )
    spectra: int = option(
        0,
        metavar="N",
        parse=read_int,
        low=0,
        high=UINT32_MAX,
        help="plot the spectra of N examples, the two worst among them",
    )
    listening_test: bool = option(
        False, help="write a page for a blind listening test, of the last condition, instead of the table"
    )


def _run(options: EvaluateOptions) -> None:
    if options.whole_songs and (options.is_given("seconds") or options.is_given("excerpts_per_song")):
        raise BadInputError("--seconds and --excerpts-per-song have no effect with --whole-songs; leave them out.")
    if options.listening_test and options.spectra:
        raise BadInputError("--spectra has no effect with --listening-test, which writes no plots; leave it out.")
    if options.matchering and not any(name.startswith("matchering-") for name in options.systems):
        raise BadInputError("--matchering has no effect without such a system; add --systems matchering-same.")
    require_extra("train", "The benchmark")
    from nmjax.data import parse_sources
    from nmjax.evaluation.benchmark import EvaluationRequest, run

    run(
        EvaluationRequest(
            data=parse_sources(options.data),
            out=options.out,
            systems=[name for name in options.systems if name],
            checkpoints=list(options.ckpt),
            matchering=options.matchering,
            conditions=options.conditions if options.is_given("conditions") else (),
            excerpt_seconds=None if options.whole_songs else options.seconds,
            excerpts_per_song=options.excerpts_per_song,
            seed=options.seed,
            num_spectra=options.spectra,
            listening_test=options.listening_test,
        )
    )


COMMAND = Command(
    name="evaluate",
    summary="Compare systems on songs with known degradations.",
    examples=(
        "evaluate --data validation --out results --ckpt runs/1c",
        "evaluate --data validation --out results --systems reference-same,reference-other --conditions mix",
        "evaluate --data validation --out test --ckpt runs/1c --listening-test",
    ),
    options=EvaluateOptions,
    run=_run,
)
