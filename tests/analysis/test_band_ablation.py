"""--ablate: errors for known degradations, the report, and reuse of fitted networks."""

from __future__ import annotations

import csv
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.analysis import band_ablation
from nmjax.analysis.band_ablation import AblationExample, AblationRequest, evaluate_network, sweep_configs
from nmjax.cli.main import main
from nmjax.data import DataSource
from nmjax.evaluation.examples import Example
from nmjax.evaluation.metrics import band_levels_db, mid_side
from nmjax.runtime.errors import BadInputError
from tests.random_networks import random_network
from tests.synthetic_audio import music, write_audio


def test_expansion_of_a_sweep():
    configs = sweep_configs(
        AblationRequest(
            (DataSource(Path("x")),), Path("out"), sweep=["loss.gate_l1=0,0.002,0.5"], overrides=["model.width=0.02"]
        )
    )
    assert list(configs) == ["1b", "1c", "1c gate_l1=0", "1c gate_l1=0.5"]  # 0.002 is 1c itself
    assert [c.loss.gate_l1 for c in configs.values()] == [0.002, 0.002, 0.0, 0.5]
    assert {c.model.width for c in configs.values()} == {0.02}
    with pytest.raises(BadInputError, match=r"'loss\.gate_l1' is no sweep"):
        sweep_configs(AblationRequest((DataSource(Path("x")),), Path("out"), sweep=["loss.gate_l1"]))
    with pytest.raises(BadInputError, match=r"did you mean 'loss\.gate_l1'"):
        sweep_configs(AblationRequest((DataSource(Path("x")),), Path("out"), sweep=["loss.gate_ll=1"]))


def make_example(seed: int) -> AblationExample:
    target = music(6.0, seed=seed)
    source = np.stack([np.convolve(target[:, c], [1.0, 0.5])[:-1] for c in range(2)], axis=1)
    after, before = (band_levels_db(mid_side(x)[0], "thirds", 44_100) for x in (source, target))
    return AblationExample(str(seed), Example(-20.0, target, source, None, None), after - before)


def test_errors_of_known_responses(monkeypatch):
    """The negative of the degradation has error 0, no change error 1, and half of the negative error 0.5."""
    examples = [make_example(seed) for seed in range(3)]
    responses = iter(())
    monkeypatch.setattr(band_ablation, "eq_response_db", lambda settings: next(responses))
    for share, error in ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5)):
        responses = iter([3.0 - share * q.degradation_db for q in examples])  # a broadband gain is no error
        row = evaluate_network("x", random_network("1c"), examples, 0.5)
        assert row["relative_error"] == pytest.approx(error, abs=1e-9)
    assert row["bands"] == 10
    assert 0.0 <= row["active_bands"] <= 10.0
    assert 0.0 <= row["gate_entropy_nats"] <= 10.0 * np.log(2.0)


def test_the_response_matches_the_rendered_level_change():
    """The response against the levels of the rendered excerpt."""
    from nmjax.models.mastering_model import render_eq

    net, q = random_network("1c"), make_example(0)
    settings = band_ablation.predict_example(q.example, net)
    source = q.example.source.astype(np.float32)
    rendered = np.asarray(render_eq(jnp.asarray(source)[None], settings.eq)[0], np.float64)
    after, before = (band_levels_db(mid_side(x)[0], "thirds", 44_100) for x in (rendered, q.example.source))
    response_db = band_ablation.eq_response_db(settings)
    assert np.std(after - before - response_db) < 0.1 * np.std(response_db)


def fake_fit(config, variables, songs, report, encoded):
    """Replaces the fit: gates that close with the weight of gate_l1."""
    assert encoded == ("all",)
    if config.phase == "1c":
        bias = variables["params"]["decoder"]["gate"]["dense"]["bias"]
        variables["params"]["decoder"]["gate"]["dense"]["bias"] = bias - 10.0 * config.loss.gate_l1
    return variables


def fake_evaluate(name, network, examples, threshold):
    """Replaces the evaluation: a row whose `gate_sum` identifies the loaded weights."""
    assert len(examples) == 1
    gate = network.variables["params"]["decoder"].get("gate")
    gate_sum = 5.0 if gate is None else float(gate["dense"]["bias"][0])
    row = {
        "bands": 5 if gate is None else 10,
        "active_bands": 3.0,
        "relative_error": 0.9,
        "ci_low": 0.8,
        "ci_high": 1.0,
        "gate_sum": gate_sum,
    }
    return {"network": name, "phase": network.config.phase, **row}


def test_the_command_writes_its_report_and_reuses_runs(tmp_path, monkeypatch, capsys):
    write_audio(tmp_path / "songs" / "a.wav", music(1.0))
    write_audio(tmp_path / "held" / "a.wav", music(11.0, seed=9))
    encoded_songs: list[str] = []
    monkeypatch.setattr(
        band_ablation, "extract_features", lambda songs, *_: encoded_songs.extend(s.name for s in songs) or ("all",)
    )
    monkeypatch.setattr(band_ablation, "fit_spectral_variables", fake_fit)
    monkeypatch.setattr(band_ablation, "evaluate_network", fake_evaluate)
    command = ["analyze", str(tmp_path / "songs"), "--ablate", "--validation", str(tmp_path / "held"), "--out"]
    command += [str(tmp_path / "out"), "--sweep", "loss.gate_l1=1", "model.width=0.02"]
    assert main(command) == 0
    with open(tmp_path / "out" / "ablation.csv", newline="") as file:
        rows = {row["network"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["1b", "1c", "1c gate_l1=1"]
    assert float(rows["1b"]["gate_sum"]) == 5.0
    assert float(rows["1c"]["gate_sum"]) == pytest.approx(2.0 - 0.02)
    assert float(rows["1c gate_l1=1"]["gate_sum"]) == pytest.approx(-8.0)
    assert "Fixed and adaptive" in (tmp_path / "out" / "ablation.html").read_text()
    capsys.readouterr()
    assert main([*command, "--compare", f"mine={tmp_path / 'out' / 'runs' / '1b'}"]) == 0
    assert encoded_songs == ["a"]
    assert "mine " in capsys.readouterr().out
    assert main([*command, "loss.gain=0.5"]) == 2
    assert "was fitted with other settings" in capsys.readouterr().err
    run_dir = str(tmp_path / "out" / "runs" / "1b")
    assert main([*command, "--compare", f"1c={run_dir}"]) == 2
    assert "Two systems are named '1c'" in capsys.readouterr().err
    write_audio(tmp_path / "songs" / "b.wav", music(1.0, seed=1))
    assert main(command) == 2
    assert "to other songs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--ablate", "--ckpt", "x"], "--ckpt has no effect with --ablate"),
        (["--ablate", "--window-seconds", "2"], "--window-seconds has no effect with --ablate"),
        (["loss.gain=1"], "no effect without --ablate"),
    ],
)
def test_invalid_input_is_reported(more, message, capsys):
    assert main(["analyze", "songs", "--out", "out", *more]) == 2
    assert message in capsys.readouterr().err
