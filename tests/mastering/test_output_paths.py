"""Where files go and which may be written."""

import os
from pathlib import Path

import pytest

from nmjax.mastering.command import default_output_files, output_paths_from_master
from nmjax.mastering.delivery.plan import PRESETS
from nmjax.mastering.output_paths import check_outputs, resolve_output_paths
from nmjax.mastering.request import MasteringRequest
from nmjax.runtime.errors import BadInputError

ONE, TWO = (PRESETS["cd"],), (PRESETS["streaming"], PRESETS["cd"])


@pytest.mark.parametrize(
    ("track", "out", "deliveries", "audio", "settings"),
    [
        ("in/a.flac", None, ONE, ["in/a-mastered.flac"], "in/a-mastered.json"),
        ("in/a.MP3", None, ONE, ["in/a-mastered.MP3"], "in/a-mastered.json"),
        ("in/a.w64", None, ONE, ["in/a-mastered.wav"], "in/a-mastered.json"),
        ("in/a.b.wav", None, TWO, ["in/a.b-mastered-streaming.wav", "in/a.b-mastered-cd.wav"], "in/a.b-mastered.json"),
        ("a.wav", "out/m.opus", ONE, ["out/m.opus"], "out/m.json"),
        ("a.wav", "out/m.x.aif", TWO, ["out/m.x-streaming.aif", "out/m.x-cd.aif"], "out/m.x.json"),
    ],
)
def test_names(track, out, deliveries, audio, settings):
    result = resolve_output_paths(Path(track), out and Path(out), deliveries)
    assert [str(path) for path in result.masters] == audio
    assert str(result.settings) == settings
    assert result.files() == [*result.masters, result.settings]


@pytest.mark.parametrize("deliver", [("cd",), ("streaming", "cd")])
def test_all_outputs_follow_from_the_first(deliver):
    """What a worker is told is a track and its first output."""
    wish = MasteringRequest(deliver=deliver)
    for track in (Path("in/a-streaming.wav"), Path("in/b.flac")):
        names = default_output_files(track, wish.delivery_specs())
        assert output_paths_from_master(track, names[0], wish).files() == names


def test_the_endings_of_further_files():
    more = {"picture": Path("p.png"), "export": Path("e.CSV"), "report": Path("r.html"), "null_test": Path("n.wav")}
    result = resolve_output_paths(Path("a.wav"), None, ONE, **more)
    assert result.files()[2:] == list(more.values())
    with pytest.raises(BadInputError, match=r"'e.xml' must end in .txt or .csv or .rpl; that is what --export writes"):
        resolve_output_paths(Path("a.wav"), None, ONE, export=Path("e.xml"))


def error_message(track, outputs, *inputs, force=True):
    with pytest.raises(BadInputError) as caught:
        check_outputs(track, outputs, force, *inputs)
    return str(caught.value)


def test_no_input_is_overwritten_by_whatever_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    track, settings = Path("a.wav"), Path("b.json")
    for path in (track, settings):
        path.write_text(path.name)
    os.link(track, "hard.wav")
    os.symlink("a.wav", "soft.wav")
    (tmp_path / "folder").mkdir()
    for out in ("a.wav", "hard.wav", "soft.wav", "folder/../a.wav", str(tmp_path / "a.wav"), "b.wav"):
        assert "choose another name" in error_message(track, resolve_output_paths(track, Path(out), ONE), settings)
    check_outputs(track, resolve_output_paths(track, Path("c.wav"), ONE), False, settings)
    same = resolve_output_paths(track, Path("c.wav"), ONE, null_test=Path("folder/../c.wav"))
    assert "another file of this run" in error_message(track, same)


def test_what_exists_needs_force_and_a_folder_is_no_file(tmp_path):
    track, out = tmp_path / "a.wav", tmp_path / "m.wav"
    (tmp_path / "m.json").write_text("mine")
    assert "--force" in error_message(track, resolve_output_paths(track, out, ONE), force=False)
    check_outputs(track, resolve_output_paths(track, out, ONE), True)
    out.mkdir()
    assert "is a folder" in error_message(track, resolve_output_paths(track, out, ONE))
    assert "cannot be written" in error_message(track, resolve_output_paths(track, tmp_path / f"{'x' * 300}.wav", ONE))
