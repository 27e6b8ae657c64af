"""evaluate.py from music to table, picture and rows; run again it says the same."""

from __future__ import annotations

import matplotlib.image
import pyarrow.parquet as pq
import pytest

from nmjax.cli.main import main
from nmjax.evaluation import benchmark
from nmjax.mastering.network import load
from tests.random_networks import save_network
from tests.synthetic_audio import music, write_audio


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluate")
    for group in ("x", "y"):
        write_audio(root / "songs" / group / "a.wav", music(13.0, seed=ord(group)))
    write_audio(root / "songs" / "y" / "mono.wav", music(12.0, channels=1, seed=3))
    save_network("1a", root / "run")
    return root


def evaluate(workspace, out, *more):
    return main(
        ["evaluate", "--data", str(workspace / "songs"), "--out", str(workspace / out), "--seconds", "5", *more]
    )


def select_rows(rows, tier, system):
    return [r for r in rows if r["tier"] == tier and r["system"] == system]


def test_table_rows_and_pictures(workspace, capsys):
    assert evaluate(workspace, "out", "--systems", "oracle-eq5", "--ckpt", str(workspace / "run")) == 0
    rows = pq.read_table(workspace / "out" / "items.parquet").to_pylist()
    assert len(rows) == 3 * 2 * 3  # songs, tiers, systems
    assert {r["system"] for r in rows} == {"input", "oracle-eq5", "1a"}
    text = (workspace / "out" / "table.md").read_text()
    output = capsys.readouterr().out
    assert text in output
    assert [f"Judged {done} of 6 items." in output for done in (1, 3, 6)] == [True] * 3
    for tier in ("tone", "mix"):
        errors = [[r["tonal_mid_db"] for r in select_rows(rows, tier, system)] for system in ("oracle-eq5", "input")]
        ratio = sum(errors[0]) / sum(errors[1])
        assert ratio < 0.6
        assert f"{ratio:.2f} (" in text
        assert matplotlib.image.imread(workspace / "out" / f"ratios-{tier}.png").shape[2] in (3, 4)
    evaluate(workspace, "again", "--tiers", "mix", "--systems", "")
    again = pq.read_table(workspace / "again" / "items.parquet").to_pylist()
    assert [r["mr_stft"] for r in again] == [r["mr_stft"] for r in select_rows(rows, "mix", "input")]


def test_results_before_an_interrupt_are_saved(workspace, monkeypatch, capsys):
    original_evaluate, calls = benchmark._evaluate_example, []

    def counted(*given):
        calls.append(given)
        return original_evaluate(*given)

    def stopped(items, count, console):
        yield next(items)
        yield next(items)
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "_evaluate_example", counted)
    monkeypatch.setattr(benchmark, "_with_progress", stopped)
    monkeypatch.setattr(benchmark.os, "cpu_count", lambda: 1)
    (workspace / "before").mkdir()
    (workspace / "before" / "table.md").write_text("whole")
    assert evaluate(workspace, "before", "--systems", "") == 130
    assert "Stopped; the 2 items judged" in capsys.readouterr().out
    rows = pq.read_table(workspace / "before" / "stopped" / "items.parquet").to_pylist()
    assert [row["tier"] for row in rows] == ["tone"] * 2
    assert "Tier: tone (2 items" in (workspace / "before" / "stopped" / "table.md").read_text()
    assert (workspace / "before" / "table.md").read_text() == "whole"
    assert len(calls) < 6


def test_whole_songs_have_a_loudness_range(workspace):
    assert evaluate(workspace, "full", "--full", "--tiers", "tone", "--systems", "") == 0
    rows = pq.read_table(workspace / "full" / "items.parquet").to_pylist()
    assert {r["length"] for r in rows} == {"full"}
    assert all(r["loudness_range_lu"] >= 0.0 for r in rows)


def test_an_unwritable_output_is_reported_before_any_work(workspace, capsys):
    (workspace / "a file").write_text("")
    assert evaluate(workspace, "a file", "--systems", "") == 2
    captured = capsys.readouterr()
    assert "cannot be written" in captured.err
    assert "items of" not in captured.out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--tiers", "tone,loud"], "'loud'"),
        (["--seconds", "3"], "--seconds"),
        (["--items", "0"], "--items"),
        (["--systems", "best"], "'best'"),
        (["--seed", "-1"], "no whole number from 0"),
        (["--spectra", "-1"], "no whole number from 0"),
        (["--ckpt", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_reported_and_nothing_is_written(workspace, capsys, more, said):
    assert evaluate(workspace, "bad", *more) == 2
    sentence = capsys.readouterr().err
    assert said in sentence
    assert sentence.count("\n") == 1
    assert not (workspace / "bad").exists()


def test_reference_systems_move_towards_the_reference(workspace, monkeypatch):
    """The shipped network's place is taken by a small one."""
    monkeypatch.setattr("nmjax.mastering.pretrained.load_for_references", lambda _: load(workspace / "run"))
    assert evaluate(workspace, "towards", "--systems", "reference-same,reference-other", "--tiers", "heavy") == 0
    rows = pq.read_table(workspace / "towards" / "items.parquet").to_pylist()
    assert {r["system"] for r in rows} == {"input", "reference-same", "reference-other"}
    other = select_rows(rows, "heavy", "reference-other")
    before = {r["item"]: r["to_bark_mid_db"] for r in select_rows(rows, "heavy", "input")}
    assert sum(r["to_bark_mid_db"] for r in other) < 0.7 * sum(before[r["item"]] for r in other)
    assert all(r["delivered_peak_db"] <= -0.99 for r in other)
    assert all(r["style_mr_stft"] > 0.0 for r in select_rows(rows, "heavy", "reference-same"))
    text = (workspace / "towards" / "table.md").read_text()
    assert "Does it arrive?" in text and "DeepAFx-ST" in text


def test_listening_test_page(workspace, capsys):
    assert evaluate(workspace, "listen", "--systems", "oracle-eq5", "--listen") == 0
    assert "index.html" in capsys.readouterr().out
    assert (workspace / "listen" / "index.html").read_text().count("<audio") == 3 * 3
    assert len(list((workspace / "listen" / "audio").iterdir())) == 3 * 3
