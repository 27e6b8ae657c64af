"""`nmjax analyze` from a folder to the page; a second run reuses the first; bad input is reported."""

from __future__ import annotations

import base64
import csv
import re

import matplotlib.image
import numpy as np
import pyarrow.parquet as pq
import pytest

from nmjax.analysis import sensitivity
from nmjax.analysis.collection_analysis import AnalysisRequest, select_sections
from nmjax.analysis.page import PageSection
from nmjax.analysis.predictions import SHARD_DIR
from nmjax.analysis.sections import SECTIONS
from nmjax.analysis.sections.usage import gate_adaptivity_sentence
from nmjax.cli.main import main
from tests.random_networks import save_network
from tests.synthetic_audio import music, write_audio


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("analyze")
    for group in ("x&y", "z"):
        for number in range(4):
            write_audio(root / "songs" / group / f"{number}.wav", music(0.8, seed=number + len(group) * 10))
    write_audio(root / "songs" / "alone.wav", music(0.8, seed=99))
    for phase in ("1a", "1c"):
        save_network(phase, root / phase)
    return root


def analyze(workspace, out, *more, phase="1c"):
    return main(
        ["analyze", str(workspace / "songs"), "--ckpt", str(workspace / phase), "--out", str(workspace / out), *more]
    )


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def analysis_dir(workspace):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SECTIONS, "stability", lambda context: PageSection("Robustness", ["<b>"]))
        patch.setattr(sensitivity, "MAX_TRACKS", 2)
        patch.setattr(sensitivity, "EXCERPT_SAMPLES", 1 << 13)
        assert analyze(workspace, "out", "--window-seconds", "1") == 0
    return workspace / "out"


def test_a_network_that_sets_no_equalizer_is_refused(workspace, capsys):
    assert main(["analyze", str(workspace / "songs"), "--model", "1b-restore", "--out", str(workspace / "none")]) == 2
    assert "'1b-restore' analyzes the channels for saturation" in capsys.readouterr().err
    assert not (workspace / "none").exists()


def test_page_tables_and_pictures(analysis_dir):
    text = (analysis_dir / "index.html").read_text()
    for title in ("Band usage", "Groups", "Responses", "Linear probes of z", "Input sensitivity"):
        assert f"<h2>{title}</h2>" in text
    assert "2 groups are compared, 8 tracks." in text
    assert "Tracks in no group (excluded): 1." in text
    assert "<p>&lt;b&gt;</p>" in text
    assert "Probes need 20 tracks or more; there are 9." in text
    assert "http://" not in re.sub(r"data:[^\"]*", "", text)
    for link in re.findall(r'href="([^"]+)"', text):
        assert rows_of(analysis_dir / link)
    pictures = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", text)
    assert len(pictures) >= 10
    assert all(b"<svg" in base64.b64decode(picture) for picture in pictures)
    for path in analysis_dir.glob("*.png"):
        assert matplotlib.image.imread(path).std() > 0.05
        assert path.with_suffix(".svg").is_file()


def test_tables_are_consistent(analysis_dir):
    """Statistics computed again from settings.parquet."""
    table = pq.read_table(analysis_dir / "settings.parquet")
    whole = [r for r in table.to_pylist() if r["window"] is None]
    usage = rows_of(analysis_dir / "usage.csv")
    for band in (1, 7):
        gates = np.array([r["gate"] for r in whole if r["band"] == band])
        assert len(gates) == 9
        row = usage[band - 1]
        assert float(row["gate_mean"]) == pytest.approx(gates.mean(), rel=1e-4)
        assert float(row["open_share"]) == pytest.approx(np.mean(gates > 0.5), rel=1e-4)
    groups = [
        r for r in rows_of(analysis_dir / "groups.csv") if (r["quantity"], r["group"], r["band"]) == ("gate", "z", "3")
    ]
    expected_mean = np.mean([r["gate"] for r in whole if r["band"] == 3 and r["group"] == "z"])
    assert float(groups[0]["mean"]) == pytest.approx(expected_mean, rel=1e-4)
    assert len(rows_of(analysis_dir / "responses-tracks.csv")) == 9
    assert pq.read_table(analysis_dir / "tracks.parquet").column_names[:3] == ["track", "group", "seconds"]


def test_a_second_run_reuses_predictions_and_writes_the_same_files(workspace, analysis_dir, monkeypatch):
    before = (analysis_dir / "usage.csv").read_bytes(), (analysis_dir / "groups-tests.csv").read_bytes()
    picture = (analysis_dir / "usage.svg").read_bytes()
    shards = sorted((analysis_dir / SHARD_DIR).iterdir())
    assert analyze(workspace, "out", "--window-seconds", "1", "--sections", "usage,groups") == 0
    assert ((analysis_dir / "usage.csv").read_bytes(), (analysis_dir / "groups-tests.csv").read_bytes()) == before
    assert (analysis_dir / "usage.svg").read_bytes() == picture
    assert sorted((analysis_dir / SHARD_DIR).iterdir()) == shards


def test_a_network_without_gates(workspace, capsys):
    assert analyze(workspace, "gateless", "--sections", "usage,responses", phase="1a") == 2
    output = capsys.readouterr().err
    assert "phase 1a has no gates" in output
    assert "--sections responses" in output
    assert analyze(workspace, "gateless", "--sections", "groups", phase="1a") == 0
    quantities = {row["quantity"] for row in rows_of(workspace / "gateless" / "groups.csv")}
    assert quantities == {"rendered_gain_db"}
    assert select_sections(AnalysisRequest((), workspace), load_phase(workspace, "1a"))[0] == "groups"


def load_phase(workspace, phase):
    from nmjax.mastering.network import load

    return load(workspace / phase)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sections", "usage,karma"], "no section 'karma'; there are: usage, groups"),
        (["--only", "zz"], "no group 'zz'; did you mean 'z'?"),
        (["--groups", "nowhere.csv"], "'nowhere.csv' cannot be read"),
        (["--ckpt", "nowhere"], "'nowhere' is missing"),
        (["--compare", "x"], "--compare has no effect without --ablate"),
        (["train.steps=2"], "no effect without --ablate"),
    ],
)
def test_bad_input(workspace, capsys, arguments, message):
    assert analyze(workspace, "bad", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("nmjax: ")
    assert error.count("\n") == 1
    assert message in error


def test_an_analysis_of_another_network_in_the_output_folder_is_rejected(workspace, analysis_dir, capsys):
    assert analyze(workspace, "out", "--window-seconds", "1", phase="1a") == 2
    assert "analysis of another network" in capsys.readouterr().err


def test_an_unwritable_output_is_reported_before_any_work(workspace, capsys):
    (workspace / "a file").write_text("")
    assert analyze(workspace, "a file") == 2
    assert "a file" in capsys.readouterr().err


def test_summary_of_gates_that_never_change():
    still, moving = [{"open_share": 1.0}, {"open_share": 0.0}], [{"open_share": 1.0}, {"open_share": 0.4}]
    assert "do not depend on the track" in gate_adaptivity_sentence(still)
    assert gate_adaptivity_sentence(moving) == "Open in some tracks and closed in others: 1 of 2 gates."
