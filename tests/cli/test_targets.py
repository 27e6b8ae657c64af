"""`nmjax targets`: the table in a narrow terminal, and names that no terminal and no font can show."""

import io
import json

from rich.console import Console

from nmjax.cli.targets import TargetsOptions
from nmjax.cli.targets_run import show_targets
from nmjax.mastering.references import features_from_chunks
from nmjax.reference import target_file
from tests.synthetic_audio import music


def print_table(*files, plot=None):
    console = Console(file=io.StringIO(), width=80)
    show_targets(TargetsOptions(files=files, plot=plot), console)
    return console.file.getvalue()


def test_a_target_is_one_line_of_a_narrow_terminal(tmp_path):
    features = features_from_chunks(iter([music(4.0)]), 44_100)
    target_file.save(tmp_path / "house.json", features, "liked.wav")
    (row,) = [line for line in print_table(tmp_path / "house.json").splitlines() if "house.json" in line]
    assert "liked.wav" in row
    assert f"{features.crest_db:.1f}" in row
    assert "…" not in row


def test_unprintable_names_are_harmless(tmp_path):
    file = tmp_path / "日本.json"
    target_file.save(file, features_from_chunks(iter([music(4.0)]), 44_100), "a")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"name": "\x1b[31ma\nb" + "c" * 9000}))
    text = print_table(file, plot=tmp_path / "t.png")  # a warning would be an error here
    assert "\x1b" not in text
    assert text.count("\n") < 15
    assert (tmp_path / "t.png").exists()
    assert target_file.read(file)[1].startswith(" [31ma bccc")
