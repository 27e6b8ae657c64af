"""Fixed bands against adaptive ones: networks taught at equal cost, their errors and how many bands they use.

Each is taught from the same listening, with the same number of lessons, or loaded where it was taught before. It is
judged on songs that it has not heard, with known faults of the tone (the benchmark's items): the error that is left is
the standard deviation, over third octaves, of what the fault and the network's curve together do to mid's long-term
levels. The curve is added to the levels and not rendered; the residual, which is not taught, takes no part.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from rich.console import Console
from scipy.special import xlogy

from nmjax import io
from nmjax.analysis.page import Picture, Section, Table, write_page
from nmjax.analysis.tables import save_csv
from nmjax.checkpoint import Checkpoints
from nmjax.config import Config, load_config
from nmjax.data import Song, Source, find_all, find_songs, split_songs
from nmjax.dsp import response_db
from nmjax.errors import BadInputError
from nmjax.evaluation.items import Item, made_items, read_item
from nmjax.evaluation.metrics import band_edges_hz, band_levels_db, mid_side
from nmjax.evaluation.statistics import ratio
from nmjax.evaluation.systems import named, untaken
from nmjax.inference.network import Network, load
from nmjax.inference.track import Heard, listen
from nmjax.models import SAMPLE_RATE, Settings, build_model
from nmjax.plots import collection as plots
from nmjax.training.session import keep_taught, taught_on
from nmjax.training.state import initial_variables
from nmjax.training.teach import check_can_teach, listened, taught

OVERLAYS = ("small", "spectral")
SWEEP = ("loss.sparsity=0,0.002,0.01,0.03,0.1", "loss.decisiveness=0,0.02")
_SECONDS = 30.0
_TIER = "tone"


@dataclasses.dataclass(frozen=True)
class Request:
    """What was asked for.

    data: music to teach with; validation: music to judge by, None takes a share of `data`. count: of the songs to teach
    with, at most, evenly over their list. sweep: `SETTING=A,B,C`, each value is a network of phase 1C. loaded:
    `[NAME=]DIR` of networks that are judged as well. overrides: `key=value` for all that are taught.
    """

    data: tuple[Source, ...]
    out: Path
    validation: Path | None = None
    count: int | None = None
    sweep: Sequence[str] = SWEEP
    loaded: Sequence[str] = ()
    overrides: Sequence[str] = ()
    threshold: float = 0.5
    seed: int = 0


def run(request: Request, console: Console | None = None) -> None:
    """Teach, judge and print; `ablation.csv` and `ablation.html` go to `request.out`. What was taught stays in `runs`,
    and is loaded the next time.

    Raises:
        BadInputError: music, a setting or a checkpoint cannot be used.
    """
    console = console or Console()
    say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    configs = wanted(request)
    songs = find_all(request.data, report=say)
    if request.validation:
        training, held_out = songs, find_songs(request.validation, report=say)
    else:
        first = next(iter(configs.values()))
        training, held_out = split_songs(songs, first.data.validation_share, first.seed)
    if request.count is not None and request.count < len(training):
        training = [training[i] for i in np.linspace(0, len(training) - 1, request.count).astype(int)]
    items = list(_items(held_out, request.seed))
    if not items:
        raise BadInputError("There is no held-out song of 10 s or more to judge by; give some with --validation.")
    networks = _networks(request, configs, training, say)
    rows = [judged(name, network, items, request.threshold) for name, network in networks.items()]
    save_csv(rows, request.out / "ablation.csv")
    _write(request.out, rows, len(items))
    for row in rows:
        say(_line(row))
    say(f"Written: {request.out / 'ablation.html'}")


def wanted(request: Request) -> dict[str, Config]:
    """By name what is to be taught: `1b`, `1c`, and for every value of the sweep `1c SETTING=VALUE`."""
    more = [*request.overrides, f"seed={request.seed}"]
    found = {phase: load_config(phase, list(OVERLAYS), more) for phase in ("1b", "1c")}
    for line in request.sweep:
        setting, sign, values = line.partition("=")
        if not sign or not all(values.split(",")):
            raise BadInputError(f"'{line}' is no sweep; write SETTING=A,B,C, as {SWEEP[0]}.")
        for value in values.split(","):
            config = load_config("1c", list(OVERLAYS), [*more, f"{setting}={value}"])
            if config != found["1c"]:
                found[f"1c {setting.rpartition('.')[2]}={value}"] = config
    for config in found.values():
        check_can_teach(config)
    return found


def _networks(
    request: Request, configs: dict[str, Config], training: Sequence[Song], say: Callable[[str], None]
) -> dict[str, Network]:
    heard, found = None, {}
    for name, config in configs.items():
        folder = request.out / "runs" / name.replace(" ", "-")
        best = Checkpoints(folder / "best")
        if best.latest(lambda _: None) is None:
            heard = heard or listened(training, config, say)
            say(f"Teaching {name} …")
            fresh = initial_variables(build_model(config), config.seed)
            keep_taught(best, config, taught(config, fresh, training, say, heard), training)
        found[name] = load(folder, say)
        if found[name].config != config or not taught_on(best, training):
            raise BadInputError(
                f"'{folder}' was taught with other settings or on other songs; choose another --out, or remove it."
            )
    for text in request.loaded:
        name, path = named(text)
        network = load(path, say)
        found[untaken(name or f"{network.config.phase} ({path.name})", found)] = network
    return found


@dataclasses.dataclass(frozen=True)
class Question:
    """A faulty excerpt. fault_db: what was done to mid's third octaves, `[bands]`."""

    song: str
    item: Item
    fault_db: np.ndarray


def _items(songs: Sequence[Song], seed: int) -> Iterator[Question]:
    for name, place, *_ in made_items(songs, _SECONDS, 1, seed):
        item = read_item(name, _TIER, place, None, None, seed)
        if item is not None:
            after, before = (band_levels_db(mid_side(x)[0], "thirds", SAMPLE_RATE) for x in (item.source, item.target))
            yield Question(place.song.name, item, after - before)


def judged(name: str, network: Network, questions: Sequence[Question], threshold: float) -> dict:
    """A row: `error`, over that of doing nothing, with its 95 % interval by song; means over items of the bands that
    are `active`, of the sum of the gates and of their entropy (nats), and of the curve's size."""
    answers = [_answer(q.item, network) for q in questions]
    curves = np.array([_curve_db(settings) for settings in answers])
    faults = np.array([q.fault_db for q in questions])
    found = ratio(np.std(faults + curves, axis=1), np.std(faults, axis=1), [q.song for q in questions])
    gate = np.stack([np.asarray(settings.eq.gate[0], np.float64) for settings in answers])
    gated = network.config.phase not in ("1a", "1b")
    entropy = -np.sum(xlogy(gate, gate) + xlogy(1.0 - gate, 1.0 - gate), axis=1)
    loss = network.config.loss
    return {
        "network": name, "phase": network.config.phase,
        "sparsity": loss.sparsity if gated else float("nan"),
        "decisiveness": loss.decisiveness if gated else float("nan"),
        "error": found.value, "low": found.low, "high": found.high, "worse": found.worse, "items": found.items,
        "bands": gate.shape[1], "active": float(np.sum(gate > threshold, axis=1).mean()),
        "gate_sum": float(gate.sum(axis=1).mean()), "entropy": float(entropy.mean()),
        "curve_db": float(np.sqrt(np.mean(np.var(curves, axis=1)))),
    }  # fmt: skip


def _answer(item: Item, network: Network) -> Settings:
    audio = item.source.astype(np.float32)
    return listen(Heard(lambda: iter([audio]), SAMPLE_RATE, item.lufs, len(audio)), network).settings


def _curve_db(settings: Settings) -> np.ndarray:
    middle = jnp.asarray(np.sqrt(np.prod(band_edges_hz("thirds"), axis=0)), jnp.float32)
    return np.asarray(response_db(settings.eq.bands(), middle, SAMPLE_RATE)[0], np.float64)


def _line(row: dict) -> str:
    return (
        f"{row['network']:24} error {row['error']:.3f} ({row['low']:.3f}–{row['high']:.3f}), {row['active']:.1f} of "
        f"{row['bands']} bands active, gates sum to {row['gate_sum']:.2f}"
    )


def _write(out: Path, rows: list[dict], items: int) -> None:
    for suffix in (".png", ".svg"):
        path = out / f"ablation{suffix}"
        with io.temporary_beside(path) as temporary:
            plots.trade(temporary, rows)
            io.publish(temporary, path)
    section = Section(
        "Fixed against adaptive bands",
        [
            f"Each network was taught at the same cost and judged on {items} excerpts of songs that it has not heard. "
            "Error: what is left of the faults' tonal error, 1 is doing nothing; in brackets 95 %, by song."
        ],
        [Picture(path, "What is left of the error, and how many bands it takes.")],
        [Table("All networks.", [{k: v for k, v in row.items() if k != "phase"} for row in rows])],
        ["ablation.csv"],
    )
    write_page(out / "ablation.html", "Fixed against adaptive bands", "", [section])
