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

from nmjax.analysis.page import Figure, PageSection, Table, write_page
from nmjax.analysis.tables import save_csv
from nmjax.config import Config, load_config
from nmjax.data import DataSource, Song, find_all_songs, find_songs, split_songs
from nmjax.dsp import response_db
from nmjax.evaluation.examples import Example, plan_examples, read_example
from nmjax.evaluation.metrics import band_edges_hz, band_levels_db, mid_side
from nmjax.evaluation.statistics import error_ratio
from nmjax.evaluation.systems import parse_checkpoint, require_unique
from nmjax.mastering.analysis import SourceSignal, predict_settings
from nmjax.mastering.network import Network, load
from nmjax.models import PHASES, SAMPLE_RATE, Settings, build_model
from nmjax.plots import collection as plots
from nmjax.runtime import atomic_files
from nmjax.runtime.checkpoints import Checkpoints
from nmjax.runtime.errors import BadInputError
from nmjax.training.spectral_fit.checkpoint import is_fit_on, save_spectral_fit
from nmjax.training.spectral_fit.excerpts import extract_features
from nmjax.training.spectral_fit.fit import check_spectral_encoder, fit_spectral_variables
from nmjax.training.state import initial_variables

OVERLAYS = ("small", "spectral")
DEFAULT_SWEEP = ("loss.gate_l1=0,0.002,0.01,0.03,0.1", "loss.gate_entropy=0,0.02")
_EXCERPT_SECONDS = 30.0
_CONDITION = "tone"


@dataclasses.dataclass(frozen=True)
class AblationRequest:
    """What was asked for.

    data: music to teach with; validation: music to judge by, None takes a share of `data`. count: of the songs to teach
    with, at most, evenly over their list. sweep: `SETTING=A,B,C`, each value is a network of phase 1C. loaded:
    `[NAME=]DIR` of networks that are judged as well. overrides: `key=value` for all that are taught.
    """

    data: tuple[DataSource, ...]
    out: Path
    validation: Path | None = None
    max_songs: int | None = None
    sweep: Sequence[str] = DEFAULT_SWEEP
    extra_checkpoints: Sequence[str] = ()
    overrides: Sequence[str] = ()
    gate_threshold: float = 0.5
    seed: int = 0


def run_ablation(request: AblationRequest, console: Console | None = None) -> None:
    """Teach, judge and print; `ablation.csv` and `ablation.html` go to `request.out`. What was taught stays in `runs`,
    and is loaded the next time.

    Raises:
        BadInputError: music, a setting or a checkpoint cannot be used.
    """
    console = console or Console()
    report = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    configs = sweep_configs(request)
    songs = find_all_songs(request.data, report=report)
    if request.validation:
        training_songs, held_out_songs = songs, find_songs(request.validation, report=report)
    else:
        base_config = next(iter(configs.values()))
        training_songs, held_out_songs = split_songs(songs, base_config.data.validation_fraction, base_config.seed)
    if request.max_songs is not None and request.max_songs < len(training_songs):
        training_songs = [
            training_songs[i] for i in np.linspace(0, len(training_songs) - 1, request.max_songs).astype(int)
        ]
    examples = list(_read_examples(held_out_songs, request.seed))
    if not examples:
        raise BadInputError("There is no held-out song of 10 s or more to judge by; give some with --validation.")
    networks = _fit_or_load_networks(request, configs, training_songs, report)
    rows = [evaluate_network(name, network, examples, request.gate_threshold) for name, network in networks.items()]
    save_csv(rows, request.out / "ablation.csv")
    _write_report(request.out, rows, len(examples))
    for row in rows:
        report(_format_row(row))
    report(f"Written: {request.out / 'ablation.html'}")


def sweep_configs(request: AblationRequest) -> dict[str, Config]:
    """By name what is to be taught: `1b`, `1c`, and for every value of the sweep `1c SETTING=VALUE`."""
    overrides = [*request.overrides, f"seed={request.seed}"]
    configs = {phase: load_config(phase, list(OVERLAYS), overrides) for phase in ("1b", "1c")}
    for sweep_entry in request.sweep:
        setting, separator, values = sweep_entry.partition("=")
        if not separator or not all(values.split(",")):
            raise BadInputError(f"'{sweep_entry}' is no sweep; write SETTING=A,B,C, as {DEFAULT_SWEEP[0]}.")
        for value in values.split(","):
            config = load_config("1c", list(OVERLAYS), [*overrides, f"{setting}={value}"])
            if config != configs["1c"]:
                configs[f"1c {setting.rpartition('.')[2]}={value}"] = config
    for config in configs.values():
        check_spectral_encoder(config)
    return configs


def _fit_or_load_networks(
    request: AblationRequest, configs: dict[str, Config], training_songs: Sequence[Song], report: Callable[[str], None]
) -> dict[str, Network]:
    features, networks = None, {}
    for name, config in configs.items():
        folder = request.out / "runs" / name.replace(" ", "-")
        best = Checkpoints(folder / "best")
        if best.latest(lambda _: None) is None:
            features = features or extract_features(training_songs, config, report)
            report(f"Teaching {name} …")
            variables = initial_variables(build_model(config), config.seed)
            save_spectral_fit(
                best,
                config,
                fit_spectral_variables(config, variables, training_songs, report, features),
                training_songs,
            )
        networks[name] = load(folder, report)
        if networks[name].config != config or not is_fit_on(best, training_songs):
            raise BadInputError(
                f"'{folder}' was taught with other settings or on other songs; choose another --out, or remove it."
            )
    for text in request.extra_checkpoints:
        name, path = parse_checkpoint(text)
        network = load(path, report)
        networks[require_unique(name or f"{network.config.phase} ({path.name})", networks)] = network
    return networks


@dataclasses.dataclass(frozen=True)
class AblationExample:
    """A faulty excerpt. fault_db: what was done to mid's third octaves, `[bands]`."""

    song: str
    example: Example
    degradation_db: np.ndarray


def _read_examples(songs: Sequence[Song], seed: int) -> Iterator[AblationExample]:
    for plan in plan_examples(songs, _EXCERPT_SECONDS, 1, seed):
        example = read_example(plan, _CONDITION, seed, with_references=False)
        if example is not None:
            after, before = (
                band_levels_db(mid_side(x)[0], "thirds", SAMPLE_RATE) for x in (example.source, example.target)
            )
            yield AblationExample(plan.excerpt.song.name, example, after - before)


def evaluate_network(name: str, network: Network, examples: Sequence[AblationExample], gate_threshold: float) -> dict:
    """A row: `error`, over that of doing nothing, with its 95 % interval by song; means over items of the bands that
    are `active`, of the sum of the gates and of their entropy (nats), and of the curve's size."""
    predicted_settings = [_predict_settings(q.example, network) for q in examples]
    responses_db = np.array([_eq_response_db(settings) for settings in predicted_settings])
    degradations_db = np.array([q.degradation_db for q in examples])
    statistic = error_ratio(
        np.std(degradations_db + responses_db, axis=1), np.std(degradations_db, axis=1), [q.song for q in examples]
    )
    gate = np.stack([np.asarray(settings.eq.gate[0], np.float64) for settings in predicted_settings])
    has_gates = PHASES[network.config.phase].has_gates
    entropy = -np.sum(xlogy(gate, gate) + xlogy(1.0 - gate, 1.0 - gate), axis=1)
    loss = network.config.loss
    return {
        "network": name, "phase": network.config.phase,
        "sparsity": loss.gate_l1 if has_gates else float("nan"),
        "decisiveness": loss.gate_entropy if has_gates else float("nan"),
        "error": statistic.value, "low": statistic.ci_low, "high": statistic.ci_high, "worse": statistic.worse_share, "items": statistic.num_examples,
        "bands": gate.shape[1], "active": float(np.sum(gate > gate_threshold, axis=1).mean()),
        "gate_sum": float(gate.sum(axis=1).mean()), "entropy": float(entropy.mean()),
        "curve_db": float(np.sqrt(np.mean(np.var(responses_db, axis=1)))),
    }  # fmt: skip


def _predict_settings(example: Example, network: Network) -> Settings:
    audio = example.source.astype(np.float32)
    return predict_settings(
        SourceSignal(lambda: iter([audio]), SAMPLE_RATE, example.lufs, len(audio)), network
    ).settings


def _eq_response_db(settings: Settings) -> np.ndarray:
    centers_hz = jnp.asarray(np.sqrt(np.prod(band_edges_hz("thirds"), axis=0)), jnp.float32)
    return np.asarray(response_db(settings.eq.bands(), centers_hz, SAMPLE_RATE)[0], np.float64)


def _format_row(row: dict) -> str:
    return (
        f"{row['network']:24} error {row['error']:.3f} ({row['low']:.3f}–{row['high']:.3f}), {row['active']:.1f} of "
        f"{row['bands']} bands active, gates sum to {row['gate_sum']:.2f}"
    )


def _write_report(out: Path, rows: list[dict], num_examples: int) -> None:
    results = [
        plots.AblationResult(
            network=row["network"],
            num_bands=row["bands"],
            active_bands=row["active"],
            relative_error=row["error"],
            ci_low=row["low"],
            ci_high=row["high"],
        )
        for row in rows
    ]
    for suffix in (".png", ".svg"):
        path = out / f"ablation{suffix}"
        with atomic_files.temporary_sibling(path) as temporary:
            plots.plot_ablation(temporary, results)
            atomic_files.commit_file(temporary, path)
    section = PageSection(
        "Fixed against adaptive bands",
        [
            f"Each network was taught at the same cost and judged on {num_examples} excerpts of songs that it has not heard. "
            "Error: what is left of the faults' tonal error, 1 is doing nothing; in brackets 95 %, by song."
        ],
        [Figure(path, "What is left of the error, and how many bands it takes.")],
        [Table("All networks.", [{k: v for k, v in row.items() if k != "phase"} for row in rows])],
        ["ablation.csv"],
    )
    write_page(out / "ablation.html", "Fixed against adaptive bands", "", [section])
