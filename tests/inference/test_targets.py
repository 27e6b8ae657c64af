"""`nmjax targets`: the table in a narrow terminal, and names that no terminal and no font can show."""

import io
import json

from rich.console import Console

from nmjax.inference.reference import profile_of_pieces
from nmjax.inference.targets import show
from nmjax.reference import target
from tests.music import music


def printed(*files, **more):
    console = Console(file=io.StringIO(), width=80)
    show(files, console=console, **more)
    return console.file.getvalue()


def test_a_target_is_one_line_of_a_narrow_terminal(tmp_path):
    profile = profile_of_pieces(iter([music(4.0)]), 44_100)
    target.save(tmp_path / "house.json", profile, "liked.wav")
    (row,) = [line for line in printed(tmp_path / "house.json").splitlines() if "house.json" in line]
    assert "liked.wav" in row
    assert f"{profile.crest_db:.1f}" in row
    assert "…" not in row


def test_what_neither_terminal_nor_font_can_show_does_no_harm(tmp_path):
    file = tmp_path / "日本.json"
    target.save(file, profile_of_pieces(iter([music(4.0)]), 44_100), "a")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"name": "\x1b[31ma\nb" + "c" * 9000}))
    text = printed(file, picture=tmp_path / "t.png")  # a warning would be an error here
    assert "\x1b" not in text
    assert text.count("\n") < 15
    assert (tmp_path / "t.png").exists()
    assert target.read(file)[1].startswith(" [31ma bccc")
