"""Ablation of fixed and adaptive bands: networks fitted at equal cost, their errors and numbers of active bands.

Each network is fitted to the same encoder features with the same number of examples, or loaded if it was fitted before.
It is evaluated on held-out songs with known tonal degradations (the examples of the benchmark). The error is the
standard deviation over third octaves of the degradation's and the equalizer's effects together on the long-term levels
of mid. The response is added to the levels and not rendered; the residual, which is not fitted, is not used.
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

from nmjax.analysis.context import save_png_and_svg
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
    """What to compare.

    Attributes:
        data: music to fit to.
        out: folder of the results and of the runs.
        validation: music to evaluate on; None takes a share of `data`.
        max_songs: songs to fit to at most, evenly spaced.
        sweep: `SETTING=A,B,C`; each value is a network of phase 1c.
        extra_checkpoints: `[NAME=]DIR` of networks to evaluate too.
        overrides: `key=value` of the config of all fitted networks.
        gate_threshold: a band is active if its gate is above it.
        seed: of the config and of the examples.
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
    """Fit and evaluate the networks; writes `ablation.csv` and `ablation.html` to `request.out`.

    Fitted networks are stored in `runs` and loaded the next time.

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
        raise BadInputError("There is no held-out song of 10 s or more to evaluate on; give some with --validation.")
    networks = _fit_or_load_networks(request, configs, training_songs, report)
    rows = [evaluate_network(name, network, examples, request.gate_threshold) for name, network in networks.items()]
    save_csv(rows, request.out / "ablation.csv")
    _write_report(request.out, rows, len(examples))
    for row in rows:
        report(_format_row(row))
    report(f"Written: {request.out / 'ablation.html'}")


def sweep_configs(request: AblationRequest) -> dict[str, Config]:
    """The configs to fit by name: `1b`, `1c`, and `1c SETTING=VALUE` for every other value of the sweep."""
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
            report(f"Fitting {name} …")
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
                f"'{folder}' was fitted with other settings or to other songs; choose another --out, or remove it."
            )
    for text in request.extra_checkpoints:
        name, path = parse_checkpoint(text)
        network = load(path, report)
        networks[require_unique(name or f"{network.config.phase} ({path.name})", networks)] = network
    return networks


@dataclasses.dataclass(frozen=True)
class AblationExample:
    """A degraded excerpt. degradation_db: level changes of the third octaves of mid, `[bands]`."""

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
    """A row of the results.

    `relative_error` is the error relative to that of the unprocessed input, with its 95 % interval by song. The number
    of active bands, the sum of the gates, their entropy and the RMS of the response are means over the examples.
    """
    predicted_settings = [predict_example(x.example, network) for x in examples]
    responses_db = np.array([eq_response_db(settings) for settings in predicted_settings])
    degradations_db = np.array([x.degradation_db for x in examples])
    statistic = error_ratio(
        np.std(degradations_db + responses_db, axis=1), np.std(degradations_db, axis=1), [x.song for x in examples]
    )
    gate = np.stack([np.asarray(settings.eq.gate[0], np.float64) for settings in predicted_settings])
    has_gates = PHASES[network.config.phase].has_gates
    entropy = -np.sum(xlogy(gate, gate) + xlogy(1.0 - gate, 1.0 - gate), axis=1)
    loss = network.config.loss
    return {
        "network": name,
        "phase": network.config.phase,
        "gate_l1": loss.gate_l1 if has_gates else float("nan"),
        "gate_entropy": loss.gate_entropy if has_gates else float("nan"),
        "relative_error": statistic.value,
        "ci_low": statistic.ci_low,
        "ci_high": statistic.ci_high,
        "worse_share": statistic.worse_share,
        "excerpts": statistic.num_examples,
        "bands": gate.shape[1],
        "active_bands": float(np.sum(gate > gate_threshold, axis=1).mean()),
        "gate_sum": float(gate.sum(axis=1).mean()),
        "gate_entropy_nats": float(entropy.mean()),
        "eq_response_db": float(np.sqrt(np.mean(np.var(responses_db, axis=1)))),
    }


def predict_example(example: Example, network: Network) -> Settings:
    """The network's settings for a degraded excerpt."""
    audio = example.source.astype(np.float32)
    signal = SourceSignal(lambda: iter([audio]), SAMPLE_RATE, example.lufs, len(audio))
    return predict_settings(signal, network).settings


def eq_response_db(settings: Settings) -> np.ndarray:
    """The rendered response in dB at the centers of the third octaves of the evaluation, `[bands]`."""
    centers_hz = jnp.asarray(np.sqrt(np.prod(band_edges_hz("thirds"), axis=0)), jnp.float32)
    return np.asarray(response_db(settings.eq.bands(), centers_hz, SAMPLE_RATE)[0], np.float64)


def _format_row(row: dict) -> str:
    return (
        f"{row['network']:24} error {row['relative_error']:.3f} ({row['ci_low']:.3f}–{row['ci_high']:.3f}), "
        f"{row['active_bands']:.1f} of {row['bands']} bands active, sum of gates {row['gate_sum']:.2f}"
    )


def _write_report(out: Path, rows: list[dict], num_examples: int) -> None:
    results = [
        plots.AblationResult(
            network=row["network"],
            num_bands=row["bands"],
            active_bands=row["active_bands"],
            relative_error=row["relative_error"],
            ci_low=row["ci_low"],
            ci_high=row["ci_high"],
        )
        for row in rows
    ]
    path = save_png_and_svg(out / "ablation", plots.plot_ablation, results)
    sentence = (
        f"Each network was fitted at the same cost and evaluated on {num_examples} excerpts of held-out songs. Error: "
        "the remaining tonal error relative to that of the unprocessed input, with 95 % intervals by song."
    )
    section = PageSection(
        "Fixed and adaptive bands",
        [sentence],
        [Figure(path, "Relative error, and number of active bands.")],
        [Table("All networks.", [{k: v for k, v in row.items() if k != "phase"} for row in rows])],
        ["ablation.csv"],
    )
    write_page(out / "ablation.html", title="Fixed and adaptive bands", subtitle="", sections=[section])
