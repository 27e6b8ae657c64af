"""analyze.py from a folder to the page; the same again costs nothing; what cannot be used is said."""

from __future__ import annotations

import base64
import csv
import re

import matplotlib.image
import numpy as np
import pyarrow.parquet as pq
import pytest

from nmjax.analysis import bands, command, sensitivity
from nmjax.cli import main
from tests.inference.networks import saved
from tests.music import music, write


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("analyze")
    for group in ("x&y", "z"):
        for number in range(4):
            write(root / "songs" / group / f"{number}.wav", music(0.8, seed=number + len(group) * 10))
    write(root / "songs" / "alone.wav", music(0.8, seed=99))
    for phase in ("1a", "1c"):
        saved(phase, root / phase)
    return root


def analyze(place, out, *more, phase="1c"):
    return main(["analyze", str(place / "songs"), "--ckpt", str(place / phase), "--out", str(place / out), *more])


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def done(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(command.PARTS, "stability", lambda study: command.behaviour.Section("Firm", ["<b>"]))
        patch.setattr(sensitivity, "TRACKS", 2)
        patch.setattr(sensitivity, "_SIZE", 1 << 13)
        assert analyze(place, "out", "--windows", "1") == 0
    return place / "out"


def test_page_tables_and_pictures(done):
    text = (done / "index.html").read_text()
    for title in ("Which bands are used", "By group", "The curves", "What z knows", "What the network listens to"):
        assert f"<h2>{title}</h2>" in text
    assert "2 groups are compared, 8 tracks." in text
    assert "In no group, and without part in this: 1 of the tracks." in text
    assert "<p>&lt;b&gt;</p>" in text
    assert "Probes need 20 tracks or more; there are 9." in text
    assert "http://" not in re.sub(r"data:[^\"]*", "", text)
    for link in re.findall(r'href="([^"]+)"', text):
        assert rows_of(done / link)
    pictures = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", text)
    assert len(pictures) >= 10
    assert all(b"<svg" in base64.b64decode(picture) for picture in pictures)
    for path in done.glob("*.png"):
        assert matplotlib.image.imread(path).std() > 0.05
        assert path.with_suffix(".svg").is_file()


def test_the_tables_agree_with_each_other(done):
    """Usage and curves worked out again from settings.parquet."""
    table = pq.read_table(done / "settings.parquet")
    whole = [r for r in table.to_pylist() if r["window"] is None]
    usage = rows_of(done / "usage.csv")
    for band in (1, 7):
        gates = np.array([r["gate"] for r in whole if r["band"] == band])
        assert len(gates) == 9
        row = usage[band - 1]
        assert float(row["gate_mean"]) == pytest.approx(gates.mean(), rel=1e-4)
        assert float(row["open"]) == pytest.approx(np.mean(gates > 0.5), rel=1e-4)
    groups = [r for r in rows_of(done / "groups.csv") if (r["what"], r["group"], r["band"]) == ("gate", "z", "3")]
    mine = np.mean([r["gate"] for r in whole if r["band"] == 3 and r["group"] == "z"])
    assert float(groups[0]["mean"]) == pytest.approx(mine, rel=1e-4)
    assert len(rows_of(done / "curves-tracks.csv")) == 9
    assert pq.read_table(done / "tracks.parquet").column_names[:3] == ["track", "group", "seconds"]


def test_again_it_listens_to_nothing_and_says_the_same(place, done, monkeypatch):
    before = (done / "usage.csv").read_bytes(), (done / "groups-tests.csv").read_bytes()
    picture = (done / "usage.svg").read_bytes()
    parts = sorted((done / "parts").iterdir())
    assert analyze(place, "out", "--windows", "1", "--parts", "usage,groups") == 0
    assert ((done / "usage.csv").read_bytes(), (done / "groups-tests.csv").read_bytes()) == before
    assert (done / "usage.svg").read_bytes() == picture
    assert sorted((done / "parts").iterdir()) == parts


def test_a_network_without_gates(place, capsys):
    assert analyze(place, "gateless", "--parts", "usage,curves", phase="1a") == 2
    said = capsys.readouterr().err
    assert "phase 1a has no gates" in said
    assert "--parts curves" in said
    assert analyze(place, "gateless", "--parts", "groups", phase="1a") == 0
    kinds = {row["what"] for row in rows_of(place / "gateless" / "groups.csv")}
    assert kinds == {"rendered_gain_db"}
    assert command._parts(command.Request((), place), command_network(place, "1a"))[0] == "groups"


def command_network(place, phase):
    from nmjax.inference.network import load

    return load(place / phase)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--parts", "usage,karma"], "no part 'karma'; there are: usage, groups"),
        (["--only", "zz"], "no group 'zz'; did you mean 'z'?"),
        (["--tracks", "1"], "--tracks must be 2 or more"),
        (["--windows", "0.2"], "--windows must be 1 to 60"),
        (["--seed", "-1"], "no whole number from 0"),
        (["--threshold", "1"], "--threshold must lie between 0 and 1"),
        (["--groups", "nowhere.csv"], "'nowhere.csv' cannot be read"),
        (["--ckpt", "nowhere"], "'nowhere' is missing"),
        (["--beside", "x"], "--beside goes with --ablate"),
    ],
)
def test_bad_input(place, capsys, arguments, said):
    assert analyze(place, "bad", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("nmjax: ")
    assert error.count("\n") == 1
    assert said in error


def test_another_analysis_in_the_way(place, done, capsys):
    assert analyze(place, "out", "--windows", "1", phase="1a") == 2
    assert "analysis of another network" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named_before_the_work(place, capsys):
    (place / "a file").write_text("")
    assert analyze(place, "a file") == 2
    assert "a file" in capsys.readouterr().err


def test_what_is_said_of_gates_that_never_move():
    still, moving = [{"open": 1.0}, {"open": 0.0}], [{"open": 1.0}, {"open": 0.4}]
    assert "chosen once" in bands._adaptive(still)
    assert bands._adaptive(moving) == "Open in some tracks and closed in others: 1 of 2 gates."
