"""evaluate.py from music to table, picture and rows; run again it says the same."""

from __future__ import annotations

import matplotlib.image
import pyarrow.parquet as pq
import pytest

from nmjax.cli import main
from nmjax.evaluation import command
from nmjax.inference.network import load
from tests.inference.networks import saved
from tests.music import music, write


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluate")
    for group in ("x", "y"):
        write(root / "songs" / group / "a.wav", music(13.0, seed=ord(group)))
    write(root / "songs" / "y" / "mono.wav", music(12.0, channels=1, seed=3))
    saved("1a", root / "run")
    return root


def evaluate(place, out, *more):
    return main(["evaluate", "--data", str(place / "songs"), "--out", str(place / out), "--seconds", "5", *more])


def of(rows, tier, system):
    return [r for r in rows if r["tier"] == tier and r["system"] == system]


def test_table_rows_and_pictures(place, capsys):
    assert evaluate(place, "out", "--systems", "oracle-eq5", "--ckpt", str(place / "run")) == 0
    rows = pq.read_table(place / "out" / "items.parquet").to_pylist()
    assert len(rows) == 3 * 2 * 3  # songs, tiers, systems
    assert {r["system"] for r in rows} == {"input", "oracle-eq5", "1a"}
    text = (place / "out" / "table.md").read_text()
    said = capsys.readouterr().out
    assert text in said
    assert [f"Judged {done} of 6 items." in said for done in (1, 3, 6)] == [True] * 3
    for tier in ("tone", "mix"):
        errors = [[r["tonal_mid_db"] for r in of(rows, tier, system)] for system in ("oracle-eq5", "input")]
        ratio = sum(errors[0]) / sum(errors[1])
        assert ratio < 0.6
        assert f"{ratio:.2f} (" in text
        assert matplotlib.image.imread(place / "out" / f"ratios-{tier}.png").shape[2] in (3, 4)
    evaluate(place, "again", "--tiers", "mix", "--systems", "")
    again = pq.read_table(place / "again" / "items.parquet").to_pylist()
    assert [r["mr_stft"] for r in again] == [r["mr_stft"] for r in of(rows, "mix", "input")]


def test_what_was_judged_before_ctrl_c_is_kept(place, monkeypatch, capsys):
    judged, calls = command._judged, []

    def counted(*given):
        calls.append(given)
        return judged(*given)

    def stopped(items, count, console):
        yield next(items)
        yield next(items)
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_judged", counted)
    monkeypatch.setattr(command, "_shown", stopped)
    monkeypatch.setattr(command.os, "cpu_count", lambda: 1)
    (place / "before").mkdir()
    (place / "before" / "table.md").write_text("whole")
    assert evaluate(place, "before", "--systems", "") == 130
    assert "Stopped; the 2 items judged" in capsys.readouterr().out
    rows = pq.read_table(place / "before" / "stopped" / "items.parquet").to_pylist()
    assert [row["tier"] for row in rows] == ["tone"] * 2
    assert "Tier: tone (2 items" in (place / "before" / "stopped" / "table.md").read_text()
    assert (place / "before" / "table.md").read_text() == "whole"
    assert len(calls) < 6


def test_whole_songs_have_a_loudness_range(place):
    assert evaluate(place, "full", "--full", "--tiers", "tone", "--systems", "") == 0
    rows = pq.read_table(place / "full" / "items.parquet").to_pylist()
    assert {r["length"] for r in rows} == {"full"}
    assert all(r["loudness_range_lu"] >= 0.0 for r in rows)


def test_a_place_that_cannot_be_written_is_named_before_the_work(place, capsys):
    (place / "a file").write_text("")
    assert evaluate(place, "a file", "--systems", "") == 2
    said = capsys.readouterr()
    assert "cannot be written" in said.err
    assert "items of" not in said.out


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
def test_bad_input_is_a_sentence_and_nothing_is_written(place, capsys, more, said):
    assert evaluate(place, "bad", *more) == 2
    sentence = capsys.readouterr().err
    assert said in sentence
    assert sentence.count("\n") == 1
    assert not (place / "bad").exists()


def test_references_arrive_and_are_styled(place, monkeypatch):
    """The shipped network's place is taken by a small one."""
    monkeypatch.setattr("nmjax.inference.weights.for_references", lambda _: load(place / "run"))
    assert evaluate(place, "towards", "--systems", "reference-same,reference-other", "--tiers", "heavy") == 0
    rows = pq.read_table(place / "towards" / "items.parquet").to_pylist()
    assert {r["system"] for r in rows} == {"input", "reference-same", "reference-other"}
    other = of(rows, "heavy", "reference-other")
    before = {r["item"]: r["to_bark_mid_db"] for r in of(rows, "heavy", "input")}
    assert sum(r["to_bark_mid_db"] for r in other) < 0.7 * sum(before[r["item"]] for r in other)
    assert all(r["delivered_peak_db"] <= -0.99 for r in other)
    assert all(r["style_mr_stft"] > 0.0 for r in of(rows, "heavy", "reference-same"))
    text = (place / "towards" / "table.md").read_text()
    assert "Does it arrive?" in text and "DeepAFx-ST" in text


def test_a_page_to_listen_to(place, capsys):
    assert evaluate(place, "listen", "--systems", "oracle-eq5", "--listen") == 0
    assert "index.html" in capsys.readouterr().out
    assert (place / "listen" / "index.html").read_text().count("<audio") == 3 * 3
    assert len(list((place / "listen" / "audio").iterdir())) == 3 * 3
