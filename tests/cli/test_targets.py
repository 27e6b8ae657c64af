"""`nmjax targets`: the table in a narrow terminal, and names that no terminal and no font can show."""

import io
import json

import numpy as np
import pytest
import soundfile
from rich.console import Console

from nmjax.cli.main import main
from nmjax.cli.targets import TargetsOptions
from nmjax.cli.targets_run import show_targets
from nmjax.mastering.reference_features import features_from_chunks
from nmjax.mastering.request_readers import read_weighted_file
from nmjax.reference import target_file
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.styles import STYLE_NAMES, style_file
from nmjax.runtime.errors import BadInputError
from tests.synthetic_audio import music


def print_table(*files, **options):
    console = Console(file=io.StringIO(), width=80)
    show_targets(TargetsOptions(files=tuple(read_weighted_file(str(file)) for file in files), **options), console)
    return console.file.getvalue()


def test_a_target_is_one_line_of_a_narrow_terminal(tmp_path):
    features = features_from_chunks(iter([music(4.0)]), 44_100)
    target_file.save(tmp_path / "house.json", features, "liked.wav")
    (row,) = [line for line in print_table(tmp_path / "house.json").splitlines() if "house.json" in line]
    assert "liked.wav" in row
    assert f"{features.crest_db:.1f}" in row
    assert "…" not in row


def test_only_a_name_that_differs_from_its_file_has_a_column(tmp_path):
    soundfile.write(tmp_path / "a.wav", music(4.0), 44_100)
    assert "references" not in print_table(tmp_path / "a.wav", "warm")
    assert "width: side relative to mid" in print_table("warm")


def test_unprintable_names_are_harmless(tmp_path):
    file = tmp_path / "日本.json"
    target_file.save(file, features_from_chunks(iter([music(4.0)]), 44_100), "a")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"name": "\x1b[31ma\nb" + "c" * 9000}))
    text = print_table(file, plot=tmp_path / "t.png")  # a warning would be an error here
    assert "\x1b" not in text
    assert text.count("\n") < 15
    assert (tmp_path / "t.png").exists()
    assert target_file.read(file)[1].startswith(" [31ma bccc")


def test_without_targets_the_styles_are_listed_and_compared():
    text = print_table()
    assert all(name in text for name in STYLE_NAMES)
    balanced, warm = (target_file.read(style_file(name))[0].mid_db for name in ("balanced", "warm"))
    assert f"{np.std(warm - balanced):.1f}" in next(line for line in text.splitlines() if line.startswith("2 warm"))


def test_an_average_of_music_targets_and_styles_is_saved_with_weights_and_a_tilt(tmp_path):
    soundfile.write(tmp_path / "a.wav", music(4.0, seed=3), 44_100)
    print_table(tmp_path / "a.wav", save=tmp_path / "a.json")
    print_table(f"{tmp_path / 'a.json'}=3", "warm", save=tmp_path / "house.json", name="house", tilt=-0.5)
    house, name = target_file.read(tmp_path / "house.json")
    assert name == "house"
    shapes_db = [target_file.read(x)[0].mid_db for x in (tmp_path / "a.json", style_file("warm"))]
    shapes_db = [x - np.median(x) for x in shapes_db]
    expected_db = 0.75 * shapes_db[0] + 0.25 * shapes_db[1] - 0.5 * np.log2(CENTERS_HZ)
    both_active = house.mid_db > house.mid_db.max() - 50.0
    difference_db = (house.mid_db - expected_db)[both_active]
    np.testing.assert_allclose(difference_db, difference_db.mean(), atol=0.01)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["warm@1-3"], "'warm' is a style, which has no sections; leave the times out."),
        (["warmm"], "no file and no style 'warmm'; did you mean 'warm'"),
        (["warm", "--save", "a.txt"], "must end in .json"),
        (["--save", "a.json"], "--save needs targets or music"),
        (["warm", "--tilt", "1"], "--tilt has no effect without --save"),
        (["warm", "--name", "x"], "--name has no effect without --save"),
        (["warm", "--tilt", "9", "--save", "a.json"], "--tilt must be -3 to 3"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(words, problem, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["targets", *words]) == 2
    assert problem in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_existing_target_is_not_overwritten(tmp_path):
    (tmp_path / "a.json").write_text("mine")
    with pytest.raises(BadInputError, match="exists already"):
        print_table("warm", save=tmp_path / "a.json")
    assert (tmp_path / "a.json").read_text() == "mine"
