"""Where files go and which may be written."""

import os
from pathlib import Path

import pytest

from nmjax.mastering.delivery.spec import PRESETS
from nmjax.mastering.output_paths import check_outputs, resolve_output_paths
from nmjax.runtime.errors import BadInputError

ONE, TWO = (PRESETS["cd"],), (PRESETS["streaming"], PRESETS["cd"])


@pytest.mark.parametrize(
    ("track", "out", "deliveries", "audio", "settings"),
    [
        ("in/a.flac", None, ONE, ["in/a-mastered.flac"], "in/a-mastered.flac.json"),
        ("in/a.MP3", None, ONE, ["in/a-mastered.MP3"], "in/a-mastered.MP3.json"),
        ("in/a.w64", None, ONE, ["in/a-mastered.wav"], "in/a-mastered.wav.json"),
        ("in/b.wav", None, TWO, ["in/b-mastered-streaming.wav", "in/b-mastered-cd.wav"], "in/b-mastered.wav.json"),
        ("a.wav", "out/m.opus", ONE, ["out/m.opus"], "out/m.opus.json"),
        ("a.wav", "out/m.x.aif", TWO, ["out/m.x-streaming.aif", "out/m.x-cd.aif"], "out/m.x.aif.json"),
    ],
)
def test_names(track, out, deliveries, audio, settings):
    result = resolve_output_paths(Path(track), out and Path(out), deliveries)
    assert [str(path) for path in result.masters] == audio
    assert str(result.settings) == settings
    assert result.files() == [*result.masters, result.settings]


def test_masters_of_different_formats_have_different_settings_files():
    paths = [resolve_output_paths(Path("a.wav"), Path(f"o{suffix}"), ONE).settings for suffix in (".opus", ".mp3")]
    assert paths == [Path("o.opus.json"), Path("o.mp3.json")]


def test_the_endings_of_further_files():
    more = {"plot": Path("p.png"), "export": Path("e.CSV"), "report": Path("r.html"), "null_test": Path("n.wav")}
    result = resolve_output_paths(Path("a.wav"), None, ONE, **more)
    assert result.files()[2:] == list(more.values())
    with pytest.raises(BadInputError, match=r"'e.xml' must end in .txt, .+ or .ffmpeg; that is what --export writes"):
        resolve_output_paths(Path("a.wav"), None, ONE, export=Path("e.xml"))


def error_message(track, outputs, *inputs, force=True):
    with pytest.raises(BadInputError) as caught:
        check_outputs(track, outputs, force, *inputs)
    return str(caught.value)


def test_a_folder_that_exists_takes_the_master(tmp_path):
    result = resolve_output_paths(Path("in/b.flac"), tmp_path, TWO)
    assert [path.name for path in result.masters] == ["b-mastered-streaming.flac", "b-mastered-cd.flac"]
    assert {path.parent for path in result.files()} == {tmp_path}
    with pytest.raises(BadInputError, match=r"missing' must end in .*; or name a folder that exists\."):
        resolve_output_paths(Path("b.flac"), tmp_path / "missing", ONE)


def test_no_input_is_overwritten_by_whatever_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    track, settings = Path("a.wav"), Path("b.wav.json")
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
    (tmp_path / "m.wav.json").write_text("mine")
    assert "--force" in error_message(track, resolve_output_paths(track, out, ONE), force=False)
    check_outputs(track, resolve_output_paths(track, out, ONE), True)
    out.mkdir()
    assert "is a folder" in error_message(track, resolve_output_paths(track, out, ONE))
    assert "cannot be written" in error_message(track, resolve_output_paths(track, tmp_path / f"{'x' * 300}.wav", ONE))
