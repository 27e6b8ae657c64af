"""`evaluate.py`: run systems on degraded songs and write a table, its rows and plots, or a listening test."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.progress import track

from nmjax import plots
from nmjax.data import DataSource, Song, find_all_songs
from nmjax.evaluation import listening_test
from nmjax.evaluation.degradations import DEFAULT_CONDITIONS
from nmjax.evaluation.examples import PAIRS, Example, ExamplePlan, plan_examples, read_example, rng_for
from nmjax.evaluation.metrics import Audio, Memo, compute_metrics, lufs, normalize_loudness
from nmjax.evaluation.reference_metrics import reference_distance, style_transfer_errors
from nmjax.evaluation.spectra import example_spectra, plot_example_spectra, select_examples
from nmjax.evaluation.systems import INPUT, System, build_systems, deliver_at_loudness_of
from nmjax.evaluation.table import error_ratios, save, to_markdown
from nmjax.models import SAMPLE_RATE
from nmjax.runtime import atomic_files
from nmjax.runtime.console import print_line
from nmjax.runtime.errors import BadInputError

_INTERRUPTED = "interrupted"  # subfolder for the results before Ctrl-C, next to those of an earlier complete run
_PLOTTED_METRICS = ("mr_stft", "mel_db", "tonal_mid_db", "tonal_side_db", "crest_db", "width_db")


@dataclasses.dataclass(frozen=True)
class EvaluationRequest:
    """Options of `evaluate.py`.

    Attributes:
        data: mastered music.
        out: folder for the results.
        systems: names of systems; the input is always evaluated too.
        checkpoints: `DIR` or `NAME=DIR` of each network.
        matchering: Python interpreter of an environment with Matchering.
        conditions: some of degradations.CONDITIONS; empty: `tone` and `mix`, or PAIRS for pairs.
        excerpt_seconds: duration of an excerpt; None for whole songs.
        excerpts_per_song: number of excerpts per song.
        seed: of excerpts and degradations.
        num_spectra: number of examples per condition and system whose spectra are plotted.
        listening_test: write a listening test (of the last condition) instead of the table.
    """

    data: tuple[DataSource, ...]
    out: Path
    systems: list[str]
    checkpoints: list[str]
    matchering: str | None
    conditions: tuple[str, ...]
    excerpt_seconds: float | None
    excerpts_per_song: int
    seed: int
    num_spectra: int = 0
    listening_test: bool = False


@dataclasses.dataclass(frozen=True)
class Job:
    """An example in a condition."""

    condition: str
    plan: ExamplePlan


def run(request: EvaluationRequest, console: Console | None = None) -> None:
    """Evaluate, and write `examples.parquet`, `table.md` and `ratios-CONDITION.png` to `request.out`.

    Raises:
        BadInputError: music, a system, a checkpoint or the output folder cannot be used.
        KeyboardInterrupt: interrupted; the results so far have been written.
    """
    console = console or Console()
    names = [INPUT, *(name for name in request.systems if name != INPUT)]
    systems = build_systems(names, request.checkpoints, request.matchering)
    if request.listening_test:
        listening_test.check_num_systems(len(systems))
    songs = find_all_songs(request.data, report=lambda sentence: print_line(console, sentence))
    request = dataclasses.replace(request, conditions=_choose_conditions(request.conditions, songs))
    plans = list(plan_examples(songs, request.excerpt_seconds, request.excerpts_per_song, request.seed))
    if request.listening_test:
        return _write_listening_test(request, systems, plans, console)
    jobs = [Job(condition, plan) for condition in request.conditions for plan in plans]
    if not jobs:
        raise BadInputError("All songs are too short; give songs of at least 10 s.")
    with atomic_files.temporary_sibling(request.out / "table.md"):
        pass  # report an output folder that cannot be written before the work starts
    print_line(console, f"{len(jobs)} examples of {len(songs)} songs, {len(systems)} systems.")
    rows = _collect_rows(jobs, systems, request, console)
    if not rows:
        raise BadInputError("All examples are silent; give other music.")
    text = _write_results(rows, request.out)
    if request.num_spectra:
        _plot_spectra(rows, jobs, systems, request)
    console.print(text, highlight=False, markup=False, soft_wrap=True)
    print_line(console, f"Written to '{request.out}': examples.parquet, table.md and plots.")


def _choose_conditions(conditions: tuple[str, ...], songs: Sequence[Song]) -> tuple[str, ...]:
    """The given conditions or the default; PAIRS alone where the songs have an unmastered side."""
    if songs[0].input is None:
        return conditions or DEFAULT_CONDITIONS
    if conditions:
        raise BadInputError("--conditions has no effect on pairs, whose input is given; leave it out.")
    return (PAIRS,)


def _collect_rows(
    jobs: Sequence[Job], systems: dict[str, System], request: EvaluationRequest, console: Console
) -> list[dict]:
    """The rows of all examples; writes those so far if interrupted."""
    rows: list[dict] = []
    results = _evaluate_all(jobs, systems, request)
    try:
        for example_rows in show_progress(results, len(jobs), console):
            rows += example_rows
    except KeyboardInterrupt:
        results.close()
        if rows:
            folder = request.out / _INTERRUPTED
            _write_results(rows, folder)
            count = len({(row["condition"], row["example"]) for row in rows})
            print_line(console, f"Interrupted. The results of {count} examples are in '{folder}'.")
        raise
    return rows


def _evaluate_all(
    jobs: Sequence[Job], systems: dict[str, System], request: EvaluationRequest
) -> Generator[list[dict], None, None]:
    """The rows of each example in turn; when closed, it waits only for the examples that have been started."""
    threads = 1 if request.excerpt_seconds is None else os.cpu_count() or 1  # whole songs need much memory
    with ThreadPoolExecutor(threads) as pool:
        results = pool.map(lambda job: evaluate_example(job, systems, request), jobs)
        with contextlib.closing(cast(Generator, results)):  # closing cancels the examples that have not started
            yield from results


def _write_results(rows: list[dict], folder: Path) -> str:
    """Write rows, table and plots; returns the table."""
    save(rows, folder / "examples.parquet")
    text = to_markdown(rows)
    atomic_files.write_text(folder / "table.md", text)
    for condition in dict.fromkeys(row["condition"] for row in rows):
        _plot_ratios(rows, condition, folder / f"ratios-{condition}.png")
    return text


def show_progress(results: Iterator[list[dict]], count: int, console: Console) -> Iterator[list[dict]]:
    """Pass the results through: with a progress bar in a terminal, a line for each tenth elsewhere."""
    if console.is_terminal:
        yield from track(results, "Evaluating", count, console=console)
        return
    for done, rows in enumerate(results, 1):
        yield rows
        if done * 10 // count > (done - 1) * 10 // count:
            print_line(console, f"Evaluated {done} of {count} examples.")


def _write_listening_test(
    request: EvaluationRequest, systems: dict[str, System], plans: Sequence[ExamplePlan], console: Console
) -> None:
    """Write a listening test with songs in random order, so that they are spread over the collection."""
    songs: list[tuple[str, dict[str, Audio]]] = []
    order = rng_for(request.seed, "songs").permutation(len(plans))
    for index in track(order, "Rendering", console=console):
        plan = plans[index]
        example = read_example(plan, request.conditions[-1], request.seed)
        versions = example and listening_test.render_versions(example, systems)
        if versions:
            songs.append((plan.name, versions))
        if len(songs) == listening_test.NUM_SONGS:
            break
    if not songs:
        raise BadInputError("No song of at least 10 s can be processed by all systems; give other music or systems.")
    print_line(console, f"Open '{listening_test.write_page(request.out, songs, request.seed)}' in a browser.")


def evaluate_example(job: Job, systems: dict[str, System], request: EvaluationRequest) -> list[dict]:
    """One row per system; each output is compared at the original's loudness."""
    example = read_example(job.plan, job.condition, request.seed)
    if example is None:
        return []
    whole_song, excerpt = request.excerpt_seconds is None, job.plan.excerpt
    columns = {
        "condition": job.condition,
        "length": "whole_song" if whole_song else f"{request.excerpt_seconds:g} s",
        "example": job.plan.name,
        "song": excerpt.song.name,
        "group": excerpt.song.group,
        "start_s": excerpt.start,
        "seconds": excerpt.seconds,
    }
    rows, memo = [], Memo()
    for system, process in systems.items():
        output = process(example)
        if output is not None:
            row = {
                **columns,
                "system": system,
                **_reference_metrics(system, output, example),
                **_style_metrics(system, job.condition, output, example),
            }
            output = normalize_loudness(output.astype("float64"), example.lufs, SAMPLE_RATE)
            rows.append(row | compute_metrics(output, example.target, example.source, SAMPLE_RATE, whole_song, memo))
    return rows


def _reference_metrics(system: str, output: Audio, example: Example) -> dict[str, float]:
    """Distance to the other song, for the input and the systems that match to it; our systems are delivered first."""
    if example.other_song is None or not (system == INPUT or system.endswith("-other")):
        return {}
    delivered = deliver_at_loudness_of(output, example.other_song) if system.startswith("reference-") else output
    return reference_distance(delivered, example.other_song)


def _style_metrics(system: str, condition: str, output: Audio, example: Example) -> dict[str, float]:
    """Style metrics in the heavy condition, for the input and the systems that match to a section of the same song;
    their outputs get the loudness of that section."""
    if condition != "heavy" or example.same_song is None or not (system == INPUT or system.endswith("-same")):
        return {}
    if system != INPUT:
        reference_lufs = lufs(example.same_song.astype("float64"), SAMPLE_RATE)
        output = normalize_loudness(output.astype("float64"), reference_lufs, SAMPLE_RATE)
    return style_transfer_errors(output, example.target)


def _plot_ratios(rows: list[dict], condition: str, path: Path) -> None:
    by_metric = {metric: error_ratios(rows, condition, metric) for metric in _PLOTTED_METRICS}
    systems = list(by_metric[_PLOTTED_METRICS[0]])
    if not systems:
        return
    values = [[(r.value, r.ci_low, r.ci_high) for r in (by_metric[m][s] for m in _PLOTTED_METRICS)] for s in systems]
    title = f"Error relative to the input's, condition {condition}"
    with atomic_files.temporary_sibling(path) as temporary:
        plots.plot_error_ratios(temporary, values, systems, list(_PLOTTED_METRICS), title)
        atomic_files.commit_file(temporary, path)


def _plot_spectra(
    rows: list[dict], jobs: Sequence[Job], systems: dict[str, System], request: EvaluationRequest
) -> None:
    """Plot spectra of some examples, the worst included: one image per condition and system."""
    plans = {job.plan.name: job.plan for job in jobs}
    for condition in request.conditions:
        for system in [s for s in systems if s != INPUT and any(r["system"] == s for r in rows)]:
            spectra = []
            for name in select_examples(rows, condition, system, INPUT, request.num_spectra):
                example = read_example(plans[name], condition, request.seed)
                output = example and systems[system](example)
                if example is not None and output is not None:
                    spectra.append(example_spectra(name, example, output))
            title = f"{system}, condition {condition}: third octaves minus the original's, best example to worst"
            plot_example_spectra(spectra, request.out / f"spectra-{condition}-{system}.png", title)
