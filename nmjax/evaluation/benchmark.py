"""`evaluate.py`: systems on unseen songs with known faults; a table, its rows and a picture."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import track

from nmjax import plots
from nmjax.data import DataSource, find_all_songs
from nmjax.evaluation import listening_test
from nmjax.evaluation.examples import Audio, Example, plan_examples, read_example, rng_for
from nmjax.evaluation.metrics import Memo, compute_metrics, lufs, normalize_loudness
from nmjax.evaluation.references import deliver_at_loudness_of, reference_distance, style_transfer_errors
from nmjax.evaluation.spectra import example_spectra, plot_example_spectra, select_examples
from nmjax.evaluation.systems import INPUT, System, build_systems
from nmjax.evaluation.table import error_ratios, save, to_markdown
from nmjax.models import SAMPLE_RATE
from nmjax.runtime import atomic_files
from nmjax.runtime.console import print_line
from nmjax.runtime.errors import BadInputError

_INTERRUPTED = "stopped"  # folder for what was judged before Ctrl-C
_PLOTTED_METRICS = ("mr_stft", "mel_db", "tonal_mid_db", "tonal_side_db", "crest_db", "width_db")


@dataclasses.dataclass(frozen=True)
class EvaluationRequest:
    """What `evaluate.py` was asked for. seconds: of an item, None for whole songs. spectra: of so many items each
    system's spectra are drawn. listen: a page to listen to in place of the table."""

    data: tuple[DataSource, ...]
    out: Path
    systems: list[str]
    checkpoints: list[str]
    matchering: str | None
    conditions: list[str]
    excerpt_seconds: float | None
    excerpts_per_song: int
    seed: int
    num_spectra: int = 0
    listening_test: bool = False


def run(request: EvaluationRequest, console: Console | None = None) -> None:
    """Evaluate; `items.parquet`, `table.md` and `ratios-TIER.png` go to `request.out`.

    Raises:
        BadInputError: music, a system, a checkpoint or the folder cannot be used.
        KeyboardInterrupt: after what was judged until then has been written.
    """
    console = console or Console()
    systems = build_systems(
        [INPUT, *(s for s in request.systems if s != INPUT)], request.checkpoints, request.matchering
    )
    songs = find_all_songs(request.data, report=lambda sentence: print_line(console, sentence))
    plans = list(plan_examples(songs, request.excerpt_seconds, request.excerpts_per_song, request.seed))
    if request.listening_test:
        return _write_listening_test(request, systems, plans, console)
    jobs = [(condition, *folder) for condition in request.conditions for folder in plans]
    if not jobs:
        raise BadInputError("No song is long enough to be judged (10 s); give other music.")
    with atomic_files.temporary_sibling(request.out / "table.md"):
        pass  # a place that cannot be written is named now, and not after the work
    print_line(console, f"{len(jobs)} items of {len(songs)} songs, {len(systems)} systems.")
    rows: list[dict] = []
    results = _evaluate_all(jobs, systems, request)
    try:
        for example_rows in _with_progress(results, len(jobs), console):
            rows += example_rows
    except KeyboardInterrupt:
        results.close()
        if rows:  # beside an earlier run's results, which are whole
            folder = request.out / _INTERRUPTED
            _write_results(rows, folder)
            print_line(
                console, f"Stopped; the {len({(r['tier'], r['item']) for r in rows})} items judged are in '{folder}'."
            )
        raise
    if not rows:
        raise BadInputError("Every item is silent; give other music.")
    text = _write_results(rows, request.out)
    if request.num_spectra:
        _plot_spectra(rows, jobs, systems, request)
    console.print(text, highlight=False, markup=False, soft_wrap=True)
    print_line(console, f"Written to '{request.out}': items.parquet, table.md, pictures.")


def _evaluate_all(
    jobs: list[tuple], systems: dict[str, System], request: EvaluationRequest
) -> Generator[list[dict], None, None]:
    """The rows of each item in turn; closed, it waits for those alone that have begun."""
    threads = 1 if request.excerpt_seconds is None else os.cpu_count() or 1  # whole songs take much memory
    with (
        ThreadPoolExecutor(threads) as pool,
        contextlib.closing(pool.map(lambda job: _evaluate_example(job, systems, request), jobs)) as results,
    ):
        yield from results


def _write_results(rows: list[dict], folder: Path) -> str:
    """Rows, table and pictures in a folder; the table."""
    save(rows, folder / "items.parquet")
    text = to_markdown(rows)
    atomic_files.write_text(folder / "table.md", text)
    for condition in dict.fromkeys(row["tier"] for row in rows):
        _plot_ratios(rows, condition, folder / f"ratios-{condition}.png")
    return text


def _with_progress(results: Iterator[list[dict]], count: int, console: Console) -> Iterator[list[dict]]:
    """The same, with progress: a bar in a terminal, a sentence each tenth elsewhere."""
    if console.is_terminal:
        yield from track(results, "Judging", count, console=console)
        return
    for done, rows in enumerate(results, 1):
        yield rows
        if done * 10 // count > (done - 1) * 10 // count:
            print_line(console, f"Judged {done} of {count} items.")


def _write_listening_test(
    request: EvaluationRequest, systems: dict[str, System], plans: list[tuple], console: Console
) -> None:
    """A page for a blind test on songs that are spread over all there are."""
    if len(systems) > listening_test.MAX_SYSTEMS:
        raise BadInputError(
            f"{len(systems)} systems are too many to listen to; {listening_test.MAX_SYSTEMS} can be compared."
        )
    songs: list[tuple[str, dict[str, Audio]]] = []
    order = rng_for(request.seed, "songs").permutation(len(plans))
    for index in track(order, "Making", console=console):
        name, *excerpts = plans[index]
        example = read_example(name, request.conditions[-1], *excerpts, request.seed)
        versions = example and listening_test.render_versions(example, systems)
        if versions:
            songs.append((name, versions))
        if len(songs) == listening_test.NUM_SONGS:
            break
    if not songs:
        raise BadInputError("No song is long enough, or a system suits none (10 s); give other music.")
    print_line(console, f"Open '{listening_test.write_page(request.out, songs, request.seed)}' in a browser.")


def _evaluate_example(job: tuple, systems: dict[str, System], request: EvaluationRequest) -> list[dict]:
    """The rows of one item: every system at the original's loudness beside the original."""
    condition, name, excerpt, same_song, other_song = job
    example = read_example(name, condition, excerpt, same_song, other_song, request.seed)
    if example is None:
        return []
    whole_song, song = request.excerpt_seconds is None, excerpt.song
    columns = {"tier": condition, "length": "full" if whole_song else f"{request.excerpt_seconds:g} s", "item": name, "song": song.name,
             "group": song.group, "start_s": excerpt.start, "seconds": excerpt.seconds}  # fmt: skip
    rows, memo = [], Memo()
    for system, process in systems.items():
        output = process(example)
        if output is not None:
            row = {
                **columns,
                "system": system,
                **_reference_metrics(system, output, example),
                **_style_metrics(system, condition, output, example),
            }
            output = normalize_loudness(output.astype("float64"), example.lufs, SAMPLE_RATE)
            rows.append(row | compute_metrics(output, example.target, example.source, SAMPLE_RATE, whole_song, memo))
    return rows


def _reference_metrics(system: str, output: Audio, example: Example) -> dict[str, float]:
    """How near those come that are to arrive at another song, and the input; delivered, as far as they deliver."""
    if example.other_song is None or not (system == INPUT or system.endswith("-other")):
        return {}
    return reference_distance(
        deliver_at_loudness_of(output, example.other_song) if system.startswith("reference-") else output,
        example.other_song,
    )


def _style_metrics(system: str, condition: str, output: Audio, example: Example) -> dict[str, float]:
    """On the heavy tier, for the input and those that are given another part of the song, whose loudness they take."""
    if condition != "heavy" or example.same_song is None or not (system == INPUT or system.endswith("-same")):
        return {}
    if system != INPUT:
        output = normalize_loudness(
            output.astype("float64"), lufs(example.same_song.astype("float64"), SAMPLE_RATE), SAMPLE_RATE
        )
    return style_transfer_errors(output, example.target)


def _plot_ratios(rows: list[dict], condition: str, path: Path) -> None:
    by_metric = {metric: error_ratios(rows, condition, metric) for metric in _PLOTTED_METRICS}
    systems = list(by_metric[_PLOTTED_METRICS[0]])
    if not systems:
        return
    values = [[(r.value, r.ci_low, r.ci_high) for r in (by_metric[m][s] for m in _PLOTTED_METRICS)] for s in systems]
    with atomic_files.temporary_sibling(path) as temporary:
        plots.plot_error_ratios(
            temporary, values, systems, list(_PLOTTED_METRICS), f"Error over the input's, tier {condition}"
        )
        atomic_files.commit_file(temporary, path)


def _plot_spectra(rows: list[dict], jobs: list[tuple], systems: dict[str, System], request: EvaluationRequest) -> None:
    """A picture a tier and system of some items' spectra, the worst among them."""
    excerpts = {(condition, name): song_excerpts for condition, name, *song_excerpts in jobs}
    for condition in request.conditions:
        for system in [s for s in systems if s != INPUT and any(r["system"] == s for r in rows)]:
            names = select_examples(rows, condition, system, INPUT, request.num_spectra)
            examples = (
                (name, read_example(name, condition, *excerpts[condition, name], request.seed)) for name in names
            )
            spectra = [example_spectra(name, example, systems[system]) for name, example in examples]
            title = f"{system}, tier {condition}: third octaves beside the original's, from the best item to the worst"
            plot_example_spectra(spectra, request.out / f"spectra-{condition}-{system}.png", title)
