"""`evaluate`: from music to table, rows and plots, reproducibly."""

from __future__ import annotations

import matplotlib.image
import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.signal import butter, lfilter

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
    seconds = [] if "--whole-songs" in more else ["--seconds", "5"]
    return main(["evaluate", "--data", str(workspace / "songs"), "--out", str(workspace / out), *seconds, *more])


def test_matchering_without_its_systems_is_rejected(workspace, capsys):
    assert evaluate(workspace, "none", "--matchering", "python") == 2
    assert "--matchering has no effect without such a system; add --systems" in capsys.readouterr().err


def select_rows(rows, condition, system):
    return [r for r in rows if r["condition"] == condition and r["system"] == system]


def test_table_rows_and_pictures(workspace, capsys):
    assert evaluate(workspace, "out", "--systems", "oracle-eq5", "--ckpt", str(workspace / "run")) == 0
    rows = pq.read_table(workspace / "out" / "examples.parquet").to_pylist()
    assert len(rows) == 3 * 2 * 3  # songs, conditions, systems
    assert {r["system"] for r in rows} == {"input", "oracle-eq5", "1a"}
    text = (workspace / "out" / "table.md").read_text()
    output = capsys.readouterr().out
    assert text in output
    assert [f"Evaluated {done} of 6 examples." in output for done in (1, 3, 6)] == [True] * 3
    for condition in ("tone", "mix"):
        errors = [
            [r["tonal_mid_db"] for r in select_rows(rows, condition, system)] for system in ("oracle-eq5", "input")
        ]
        ratio = sum(errors[0]) / sum(errors[1])
        assert ratio < 0.6
        assert f"{ratio:.2f} (" in text
        assert matplotlib.image.imread(workspace / "out" / f"ratios-{condition}.png").shape[2] in (3, 4)
    evaluate(workspace, "again", "--conditions", "mix", "--systems", "")
    again = pq.read_table(workspace / "again" / "examples.parquet").to_pylist()
    assert [r["mr_stft"] for r in again] == [r["mr_stft"] for r in select_rows(rows, "mix", "input")]


def test_results_before_an_interrupt_are_saved(workspace, monkeypatch, capsys):
    original_evaluate, calls = benchmark.evaluate_example, []

    def count_calls(*args):
        calls.append(args)
        return original_evaluate(*args)

    def interrupt_after_two(results, count, console):
        yield next(results)
        yield next(results)
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "evaluate_example", count_calls)
    monkeypatch.setattr(benchmark, "show_progress", interrupt_after_two)
    monkeypatch.setattr(benchmark.os, "cpu_count", lambda: 1)
    (workspace / "before").mkdir()
    (workspace / "before" / "table.md").write_text("whole")
    assert evaluate(workspace, "before", "--systems", "") == 130
    assert "Interrupted. The results of 2 examples" in capsys.readouterr().out
    rows = pq.read_table(workspace / "before" / "interrupted" / "examples.parquet").to_pylist()
    assert [row["condition"] for row in rows] == ["tone"] * 2
    assert "Condition: tone (2 examples" in (workspace / "before" / "interrupted" / "table.md").read_text()
    assert (workspace / "before" / "table.md").read_text() == "whole"
    assert len(calls) < 6


def test_pairs_are_aligned_and_compared_with_their_own_master(workspace, capsys):
    mix = music(12.0, seed=8)
    master = lfilter(*butter(1, 300.0, fs=44_100), mix, axis=0) + 0.5 * mix  # a gentle low shelf
    write_audio(workspace / "pairs" / "mix.wav", mix, subtype="FLOAT")
    late = np.concatenate([np.zeros((100, 2)), master[:-100]])
    write_audio(workspace / "pairs" / "master.wav", 0.3 * late, subtype="FLOAT")
    catalog = workspace / "pairs" / "pairs.csv"
    catalog.write_text("input,target\nmix.wav,master.wav\n")
    arguments = ["evaluate", "--data", str(catalog), "--out", str(workspace / "paired"), "--whole-songs"]
    assert main([*arguments, "--systems", "oracle-eq5"]) == 0
    rows = pq.read_table(workspace / "paired" / "examples.parquet").to_pylist()
    source, oracle = (select_rows(rows, "pairs", system)[0] for system in ("input", "oracle-eq5"))
    assert len(rows) == 2
    assert source["crest_db"] == pytest.approx(abs(crest_db(mix) - crest_db(master)), abs=0.02)
    assert oracle["tonal_mid_db"] < 0.3 * source["tonal_mid_db"]
    assert oracle["si_error"] < 0.5 * source["si_error"]
    capsys.readouterr()
    assert main([*arguments, "--conditions", "mix"]) == 2
    assert "--conditions has no effect on pairs" in capsys.readouterr().err


def crest_db(audio):
    return 20.0 * np.log10(np.abs(audio).max() / np.sqrt(np.mean(audio**2)))


def test_whole_songs_have_a_loudness_range(workspace):
    assert evaluate(workspace, "full", "--whole-songs", "--conditions", "tone", "--systems", "") == 0
    rows = pq.read_table(workspace / "full" / "examples.parquet").to_pylist()
    assert {r["length"] for r in rows} == {"whole_song"}
    assert all(r["loudness_range_lu"] >= 0.0 for r in rows)


def test_an_unwritable_output_is_reported_before_any_work(workspace, capsys):
    (workspace / "a file").write_text("")
    assert evaluate(workspace, "a file", "--systems", "") == 2
    captured = capsys.readouterr()
    assert "cannot be written" in captured.err
    assert "examples of" not in captured.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--systems", "best"], "'best'"),
        (["--ckpt", "nowhere"], "nowhere"),
        (["--whole-songs", "--excerpts-per-song", "2"], "no effect with --whole-songs"),
        (["--listening-test", "--spectra", "1"], "--spectra has no effect"),
    ],
)
def test_bad_input_is_reported_and_nothing_is_written(workspace, capsys, arguments, message):
    assert evaluate(workspace, "bad", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (workspace / "bad").exists()


def test_reference_systems_move_towards_the_reference(workspace, monkeypatch):
    """A small network replaces the shipped one."""
    monkeypatch.setattr("nmjax.mastering.pretrained.load_for_references", lambda _: load(workspace / "run"))
    assert evaluate(workspace, "towards", "--systems", "reference-same,reference-other", "--conditions", "heavy") == 0
    rows = pq.read_table(workspace / "towards" / "examples.parquet").to_pylist()
    assert {r["system"] for r in rows} == {"input", "reference-same", "reference-other"}
    other = select_rows(rows, "heavy", "reference-other")
    before = {r["example"]: r["reference_bark_mid_db"] for r in select_rows(rows, "heavy", "input")}
    # The limits of a match hold back what a very different song asks for.
    assert sum(r["reference_bark_mid_db"] for r in other) < 0.75 * sum(before[r["example"]] for r in other)
    assert all(r["delivered_peak_db"] <= -0.99 for r in other)
    assert all(r["style_mr_stft"] > 0.0 for r in select_rows(rows, "heavy", "reference-same"))
    text = (workspace / "towards" / "table.md").read_text()
    assert "Distance to the reference" in text and "DeepAFx-ST" in text


def test_listening_test_page(workspace, capsys):
    assert evaluate(workspace, "listen", "--systems", "oracle-eq5", "--listening-test") == 0
    assert "index.html" in capsys.readouterr().out
    assert (workspace / "listen" / "index.html").read_text().count("<audio") == 3 * 3
    assert len(list((workspace / "listen" / "audio").iterdir())) == 3 * 3
