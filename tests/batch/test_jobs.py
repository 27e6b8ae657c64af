"""Which tracks are found, in which order, and how their masters are named."""

import os
from pathlib import Path

import pytest

from nmjax.batch.jobs import find_jobs
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.text import to_printable
from tests.batch.fake_mastering import output_names


def touch(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(file.encode())
    return folder


def relative_jobs(folder, *inputs, out_dir=None):
    """Tracks → masters, relative to `folder`, and what was reported."""
    messages = []
    jobs = find_jobs(inputs, output_names, out_dir, messages.append)
    pairs = [(os.path.relpath(job.track, folder), os.path.relpath(job.out, folder)) for job in jobs]
    return pairs, messages


def test_a_folder_is_searched_in_natural_order_without_hidden_files_and_masters(tmp_path):
    names = ["10 b.wav", "9 a.FLAC", "cd2/1.mp3", "cd10/1.wav", ".cache/x.wav", "._9 a.flac", "cover.jpg"]
    touch(tmp_path, *names, "9 a-mastered.flac", "9 a-mastered-club.flac")
    pairs, messages = relative_jobs(tmp_path, tmp_path)
    assert pairs == [
        ("9 a.FLAC", "9 a-mastered.FLAC"),
        ("10 b.wav", "10 b-mastered.wav"),
        ("cd2/1.mp3", "cd2/1-mastered.wav"),
        ("cd10/1.wav", "cd10/1-mastered.wav"),
    ]
    assert len(messages) == 1 and "-mastered" in messages[0] and "(and 1 more)" in messages[0]


def test_out_mirrors_the_folders_and_is_not_searched_itself(tmp_path):
    touch(tmp_path / "in", "a.wav", "cd/b.wav", "out/cd/old.wav")
    out = tmp_path / "in" / "out"
    assert relative_jobs(tmp_path, tmp_path / "in", out_dir=out)[0] == [
        ("in/a.wav", "in/out/a-mastered.wav"),
        ("in/cd/b.wav", "in/out/cd/b-mastered.wav"),
    ]
    jobs = find_jobs([tmp_path / "in"], output_names, out)
    assert jobs[1].files == (out / "cd/b-mastered.wav", out / "cd/b-mastered.wav.json")


def test_several_folders_keep_their_names(tmp_path):
    touch(tmp_path, "one/1.wav", "two/1.wav")
    pairs, _ = relative_jobs(tmp_path, tmp_path / "one", tmp_path / "two", out_dir=tmp_path / "o")
    assert [out for _, out in pairs] == ["o/one/1-mastered.wav", "o/two/1-mastered.wav"]


def test_a_glob_is_expanded_and_mirrored_from_its_fixed_part(tmp_path):
    touch(tmp_path, "m/x/1.wav", "m/y/z/2.wav", "m/y/cover.png", "[1].wav")
    pairs, _ = relative_jobs(tmp_path, f"{tmp_path}/m/**/*.wav", out_dir=tmp_path / "o")
    assert [out for _, out in pairs] == ["o/x/1-mastered.wav", "o/y/z/2-mastered.wav"]
    assert relative_jobs(tmp_path, f"{tmp_path}/[1].wav")[0] == [("[1].wav", "[1]-mastered.wav")], (
        "a name that is there"
    )
    pairs, _ = relative_jobs(tmp_path, f"{tmp_path}/m/*", out_dir=tmp_path / "o")
    assert [track for track, _ in pairs] == ["m/x/1.wav", "m/y/z/2.wav"], "folders that a glob finds are searched"


def test_each_track_is_used_once(tmp_path):
    touch(tmp_path, "m/a.wav")
    (tmp_path / "m" / "again.wav").symlink_to(tmp_path / "m" / "a.wav")
    inputs = (tmp_path / "m", tmp_path / "m" / "a.wav", f"{tmp_path}/m/*.wav", tmp_path / "m" / ".." / "m")
    assert len(relative_jobs(tmp_path, *inputs)[0]) == 1


def test_links_to_folders_are_followed_and_loops_end(tmp_path):
    touch(tmp_path, "m/cd/a.wav", "elsewhere/b.wav")
    (tmp_path / "m" / "aa").symlink_to(tmp_path / "m" / "cd")
    (tmp_path / "m" / "cd" / "loop").symlink_to(tmp_path / "m")
    (tmp_path / "m" / "itself").symlink_to("itself")
    (tmp_path / "m" / "far").symlink_to(tmp_path / "elsewhere")
    assert [t for t, _ in relative_jobs(tmp_path, tmp_path / "m")[0]] == ["m/cd/a.wav", "m/far/b.wav"]


def test_colliding_outputs_get_unique_names_and_are_reported(tmp_path):
    touch(tmp_path, "s.wav", "s.flac", "s.mp3", "t.wav")
    pairs, messages = relative_jobs(tmp_path, tmp_path)
    assert dict(pairs) == {
        "s.wav": "s-wav-mastered.wav",
        "s.flac": "s-mastered.flac",
        "s.mp3": "s-mp3-mastered.wav",
        "t.wav": "t-mastered.wav",
    }
    assert len(messages) == 2 and "s-mp3-mastered.wav" in "".join(messages)


def test_ambiguous_outputs_are_rejected(tmp_path):
    touch(tmp_path, "x/1.wav", "y/1.wav")
    with pytest.raises(BadInputError, match=r"x/1\.wav' and '.*y/1\.wav' would both become"):
        find_jobs([tmp_path / "x/1.wav", tmp_path / "y/1.wav"], output_names, tmp_path / "o")


def test_the_same_names_given_again_leave_out_their_masters(tmp_path):
    touch(tmp_path, "a.wav", "a-mastered.wav", "b-mastered.wav", "a.txt")
    pairs, messages = relative_jobs(tmp_path, *sorted(tmp_path.iterdir()))
    assert dict(pairs) == {"a.wav": "a-mastered.wav", "b-mastered.wav": "b-mastered-mastered.wav"}
    assert any("a.txt" in sentence for sentence in messages)


def test_a_master_is_never_written_over_a_track(tmp_path):
    touch(tmp_path, "in/a.wav", "out/a-mastered.wav")
    with pytest.raises(BadInputError, match=r"overwrite the track '.*out/a-mastered\.wav'"):
        find_jobs([tmp_path / "in/a.wav", tmp_path / "out/a-mastered.wav"], output_names, tmp_path / "out")


@pytest.mark.parametrize("what", ["missing.wav", "*.flac", "empty", "\0.wav"])
def test_no_tracks_is_reported(tmp_path, what):
    touch(tmp_path, "empty/.hidden.wav", "empty/a.txt")
    with pytest.raises(BadInputError, match=r"\.$"):
        find_jobs([f"{tmp_path}/{what}"], output_names)


def test_undecodable_names_can_be_printed(tmp_path):
    raw = os.fsdecode(b"a\xff\x1b[2J\n.wav")
    (tmp_path / raw).write_bytes(b"")
    [job] = find_jobs([tmp_path], output_names)
    assert to_printable(job.track.name) == "a��[2J�.wav"
