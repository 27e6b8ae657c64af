"""--ablate: equal cost, judged by known faults, loaded the second time."""

from __future__ import annotations

import csv
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax import ablation
from nmjax.ablation import Question, Request, judged, wanted
from nmjax.cli import main
from nmjax.data import Source
from nmjax.errors import BadInputError
from nmjax.evaluation.items import Item
from nmjax.evaluation.metrics import band_levels_db, mid_side
from tests.inference.networks import network
from tests.music import music, write


def test_what_is_taught():
    found = wanted(
        Request((Source(Path("x")),), Path("out"), sweep=["loss.sparsity=0,0.002,0.5"], overrides=["model.width=0.02"])
    )
    assert list(found) == ["1b", "1c", "1c sparsity=0", "1c sparsity=0.5"]  # 0.002 is 1c itself
    assert [c.loss.sparsity for c in found.values()] == [0.002, 0.002, 0.0, 0.5]
    assert {c.model.width for c in found.values()} == {0.02}
    with pytest.raises(BadInputError, match=r"'loss\.sparsity' is no sweep"):
        wanted(Request((Source(Path("x")),), Path("out"), sweep=["loss.sparsity"]))
    with pytest.raises(BadInputError, match=r"did you mean 'loss\.sparsity'"):
        wanted(Request((Source(Path("x")),), Path("out"), sweep=["loss.sparsty=1"]))


def question(seed: int) -> Question:
    target = music(6.0, seed=seed)
    source = np.stack([np.convolve(target[:, c], [1.0, 0.5])[:-1] for c in range(2)], axis=1)
    after, before = (band_levels_db(mid_side(x)[0], "thirds", 44_100) for x in (source, target))
    return Question(str(seed), Item(-20.0, target, source, None, None), after - before)


def test_errors_by_hand(monkeypatch):
    """A curve that is the fault's negative leaves nothing; none at all leaves everything; half of it, a half."""
    questions = [question(seed) for seed in range(3)]
    faults = iter(())
    monkeypatch.setattr(ablation, "_curve_db", lambda settings: next(faults))
    for share, error in ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5)):
        faults = iter([3.0 - share * q.fault_db for q in questions])  # a gain alone is no error
        row = judged("x", network("1c"), questions, 0.5)
        assert row["error"] == pytest.approx(error, abs=1e-9)
    assert row["bands"] == 10
    assert 0.0 <= row["active"] <= 10.0
    assert 0.0 <= row["entropy"] <= 10.0 * np.log(2.0)


def test_the_curve_is_what_rendering_does_to_the_levels():
    """The shortcut beside the long way: rendered, then measured."""
    from nmjax.models.phases import render_eq

    net, q = network("1c"), question(0)
    settings = ablation._answer(q.item, net)
    source = q.item.source.astype(np.float32)
    played = np.asarray(render_eq(jnp.asarray(source)[None], settings.eq)[0], np.float64)
    after, before = (band_levels_db(mid_side(x)[0], "thirds", 44_100) for x in (played, q.item.source))
    curve = ablation._curve_db(settings)
    assert np.std(after - before - curve) < 0.1 * np.std(curve)


def teaches_gates(config, variables, songs, report, heard):
    """In place of minutes of teaching: gates that close with the sparsity's weight."""
    assert heard == ("all",)
    if config.phase == "1c":
        bias = variables["params"]["decoder"]["gate"]["dense"]["bias"]
        variables["params"]["decoder"]["gate"]["dense"]["bias"] = bias - 10.0 * config.loss.sparsity
    return variables


def by_the_bias(name, network, questions, threshold):
    """In place of judging (tested above): a row whose `gate_sum` tells which weights were loaded."""
    assert len(questions) == 1
    gate = network.variables["params"]["decoder"].get("gate")
    told = 5.0 if gate is None else float(gate["dense"]["bias"][0])
    row = {"bands": 5 if gate is None else 10, "active": 3.0, "error": 0.9, "low": 0.8, "high": 1.0, "gate_sum": told}
    return {"network": name, "phase": network.config.phase, **row}


def test_from_music_to_page_and_once_more(tmp_path, monkeypatch, capsys):
    write(tmp_path / "songs" / "a.wav", music(1.0))
    write(tmp_path / "held" / "a.wav", music(11.0, seed=9))
    listened: list[str] = []
    monkeypatch.setattr(ablation, "listened", lambda songs, *_: listened.extend(s.name for s in songs) or ("all",))
    monkeypatch.setattr(ablation, "taught", teaches_gates)
    monkeypatch.setattr(ablation, "judged", by_the_bias)
    command = ["analyze", str(tmp_path / "songs"), "--ablate", "--validation", str(tmp_path / "held"), "--out"]
    command += [str(tmp_path / "out"), "--sweep", "loss.sparsity=1", "model.width=0.02"]
    assert main(command) == 0
    with open(tmp_path / "out" / "ablation.csv", newline="") as file:
        rows = {row["network"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["1b", "1c", "1c sparsity=1"]
    assert float(rows["1b"]["gate_sum"]) == 5.0
    assert float(rows["1c"]["gate_sum"]) == pytest.approx(2.0 - 0.02)
    assert float(rows["1c sparsity=1"]["gate_sum"]) == pytest.approx(-8.0)
    assert "Fixed against adaptive" in (tmp_path / "out" / "ablation.html").read_text()
    capsys.readouterr()
    assert main([*command, "--beside", f"mine={tmp_path / 'out' / 'runs' / '1b'}"]) == 0
    assert listened == ["a"]
    assert "mine " in capsys.readouterr().out
    assert main([*command, "loss.gain=0.5"]) == 2
    assert "was taught with other settings" in capsys.readouterr().err
    taken = str(tmp_path / "out" / "runs" / "1b")
    assert main([*command, "--beside", f"1c={taken}"]) == 2
    assert "two systems '1c'" in capsys.readouterr().err
    write(tmp_path / "songs" / "b.wav", music(1.0, seed=1))
    assert main(command) == 2
    assert "on other songs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--ablate", "--ckpt", "x"], "judge another one with --beside"),
        (["--ablate", "--windows", "2"], "--windows has no part in --ablate"),
        (["loss.gain=1"], "it goes with --ablate"),
    ],
)
def test_bad_input(more, said, capsys):
    assert main(["analyze", "songs", "--out", "out", *more]) == 2
    assert said in capsys.readouterr().err
