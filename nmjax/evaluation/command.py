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

from nmjax import io, plots
from nmjax.data import Source, find_all
from nmjax.errors import BadInputError
from nmjax.evaluation import listen
from nmjax.evaluation.items import Audio, Item, draw_of, made_items, read_item
from nmjax.evaluation.metrics import Kept, at_loudness, compared, lufs
from nmjax.evaluation.references import arrived, finished, styled
from nmjax.evaluation.spectra import chosen, draw, spectra_of
from nmjax.evaluation.systems import INPUT, System, build
from nmjax.evaluation.table import markdown, ratios, save
from nmjax.inference.progress import say
from nmjax.models import SAMPLE_RATE

_STOPPED = "stopped"  # folder for what was judged before Ctrl-C
_DRAWN = ("mr_stft", "mel_db", "tonal_mid_db", "tonal_side_db", "crest_db", "width_db")


@dataclasses.dataclass(frozen=True)
class Request:
    """What `evaluate.py` was asked for. seconds: of an item, None for whole songs. spectra: of so many items each
    system's spectra are drawn. listen: a page to listen to in place of the table."""

    data: tuple[Source, ...]
    out: Path
    systems: list[str]
    checkpoints: list[str]
    matchering: str | None
    tiers: list[str]
    seconds: float | None
    per_song: int
    seed: int
    spectra: int = 0
    listen: bool = False


def run(request: Request, console: Console | None = None) -> None:
    """Evaluate; `items.parquet`, `table.md` and `ratios-TIER.png` go to `request.out`.

    Raises:
        BadInputError: music, a system, a checkpoint or the folder cannot be used.
        KeyboardInterrupt: after what was judged until then has been written.
    """
    console = console or Console()
    systems = build([INPUT, *(s for s in request.systems if s != INPUT)], request.checkpoints, request.matchering)
    songs = find_all(request.data, report=lambda sentence: say(console, sentence))
    places = list(made_items(songs, request.seconds, request.per_song, request.seed))
    if request.listen:
        return _listen(request, systems, places, console)
    work = [(tier, *place) for tier in request.tiers for place in places]
    if not work:
        raise BadInputError("No song is long enough to be judged (10 s); give other music.")
    with io.temporary_beside(request.out / "table.md"):
        pass  # a place that cannot be written is named now, and not after the work
    say(console, f"{len(work)} items of {len(songs)} songs, {len(systems)} systems.")
    rows: list[dict] = []
    judged = _all_judged(work, systems, request)
    try:
        for found in _shown(judged, len(work), console):
            rows += found
    except KeyboardInterrupt:
        judged.close()
        if rows:  # beside an earlier run's results, which are whole
            place = request.out / _STOPPED
            _written(rows, place)
            say(console, f"Stopped; the {len({(r['tier'], r['item']) for r in rows})} items judged are in '{place}'.")
        raise
    if not rows:
        raise BadInputError("Every item is silent; give other music.")
    text = _written(rows, request.out)
    if request.spectra:
        _draw_spectra(rows, work, systems, request)
    console.print(text, highlight=False, markup=False, soft_wrap=True)
    say(console, f"Written to '{request.out}': items.parquet, table.md, pictures.")


def _all_judged(work: list[tuple], systems: dict[str, System], request: Request) -> Generator[list[dict], None, None]:
    """The rows of each item in turn; closed, it waits for those alone that have begun."""
    threads = 1 if request.seconds is None else os.cpu_count() or 1  # whole songs take much memory
    with (
        ThreadPoolExecutor(threads) as pool,
        contextlib.closing(pool.map(lambda given: _judged(given, systems, request), work)) as judged,
    ):
        yield from judged


def _written(rows: list[dict], place: Path) -> str:
    """Rows, table and pictures in a folder; the table."""
    save(rows, place / "items.parquet")
    text = markdown(rows)
    io.write_text(place / "table.md", text)
    for tier in dict.fromkeys(row["tier"] for row in rows):
        _draw(rows, tier, place / f"ratios-{tier}.png")
    return text


def _shown(judged: Iterator[list[dict]], count: int, console: Console) -> Iterator[list[dict]]:
    """The same, with progress: a bar in a terminal, a sentence each tenth elsewhere."""
    if console.is_terminal:
        yield from track(judged, "Judging", count, console=console)
        return
    for done, rows in enumerate(judged, 1):
        yield rows
        if done * 10 // count > (done - 1) * 10 // count:
            say(console, f"Judged {done} of {count} items.")


def _listen(request: Request, systems: dict[str, System], places: list[tuple], console: Console) -> None:
    """A page for a blind test on songs that are spread over all there are."""
    if len(systems) > listen.MOST_SYSTEMS:
        raise BadInputError(f"{len(systems)} systems are too many to listen to; {listen.MOST_SYSTEMS} can be compared.")
    songs: list[tuple[str, dict[str, Audio]]] = []
    order = draw_of(request.seed, "songs").permutation(len(places))
    for index in track(order, "Making", console=console):
        name, *place = places[index]
        item = read_item(name, request.tiers[-1], *place, request.seed)
        made = item and listen.versions(item, systems)
        if made:
            songs.append((name, made))
        if len(songs) == listen.SONGS:
            break
    if not songs:
        raise BadInputError("No song is long enough, or a system suits none (10 s); give other music.")
    say(console, f"Open '{listen.write(request.out, songs, request.seed)}' in a browser.")


def _judged(given: tuple, systems: dict[str, System], request: Request) -> list[dict]:
    """The rows of one item: every system at the original's loudness beside the original."""
    tier, name, place, same, other = given
    item = read_item(name, tier, place, same, other, request.seed)
    if item is None:
        return []
    whole, song = request.seconds is None, place.song
    about = {"tier": tier, "length": "full" if whole else f"{request.seconds:g} s", "item": name, "song": song.name,
             "group": song.group, "start_s": place.start, "seconds": place.seconds}  # fmt: skip
    rows, kept = [], Kept()
    for system, process in systems.items():
        output = process(item)
        if output is not None:
            row = {**about, "system": system, **_arrival(system, output, item), **_style(system, tier, output, item)}
            output = at_loudness(output.astype("float64"), item.lufs, SAMPLE_RATE)
            rows.append(row | compared(output, item.target, item.source, SAMPLE_RATE, whole, kept))
    return rows


def _arrival(system: str, output: Audio, item: Item) -> dict[str, float]:
    """How near those come that are to arrive at another song, and the input; delivered, as far as they deliver."""
    if item.other is None or not (system == INPUT or system.endswith("-other")):
        return {}
    return arrived(finished(output, item.other) if system.startswith("reference-") else output, item.other)


def _style(system: str, tier: str, output: Audio, item: Item) -> dict[str, float]:
    """On the heavy tier, for the input and those that are given another part of the song, whose loudness they take."""
    if tier != "heavy" or item.same is None or not (system == INPUT or system.endswith("-same")):
        return {}
    if system != INPUT:
        output = at_loudness(output.astype("float64"), lufs(item.same.astype("float64"), SAMPLE_RATE), SAMPLE_RATE)
    return styled(output, item.target)


def _draw(rows: list[dict], tier: str, path: Path) -> None:
    found = {metric: ratios(rows, tier, metric) for metric in _DRAWN}
    systems = list(found[_DRAWN[0]])
    if not systems:
        return
    values = [[(r.value, r.low, r.high) for r in (found[m][s] for m in _DRAWN)] for s in systems]
    with io.temporary_beside(path) as temporary:
        plots.ratios(temporary, values, systems, list(_DRAWN), f"Error over the input's, tier {tier}")
        io.publish(temporary, path)


def _draw_spectra(rows: list[dict], work: list[tuple], systems: dict[str, System], request: Request) -> None:
    """A picture a tier and system of some items' spectra, the worst among them."""
    places = {(tier, name): place for tier, name, *place in work}
    for tier in request.tiers:
        for system in [s for s in systems if s != INPUT and any(r["system"] == s for r in rows)]:
            names = chosen(rows, tier, system, INPUT, request.spectra)
            items = ((name, read_item(name, tier, *places[tier, name], request.seed)) for name in names)
            found = [spectra_of(name, item, systems[system]) for name, item in items]
            title = f"{system}, tier {tier}: third octaves beside the original's, from the best item to the worst"
            draw(found, request.out / f"spectra-{tier}-{system}.png", title)
