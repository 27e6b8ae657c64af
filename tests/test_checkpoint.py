"""Checkpoints come back as they were, and what is unfinished or damaged is not believed."""

import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.checkpoint import Checkpoints, find
from nmjax.errors import BadInputError

MODEL = {"params": {"layer": {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": jnp.ones(3)}}}


def saved(folder, *steps):
    checkpoints = Checkpoints(folder)
    for step in steps:
        checkpoints.save(step, MODEL, {"step": jnp.asarray(step)}, {"step": step, "words": ["é"]})
    return checkpoints


def test_what_was_saved_comes_back_and_the_oldest_go(tmp_path):
    checkpoints = saved(tmp_path / "c", 2, 4, 6)
    assert checkpoints.steps() == [4, 6]
    assert checkpoints.latest() == 6
    assert checkpoints.meta(6) == {"step": 6, "words": ["é"]}
    np.testing.assert_array_equal(
        checkpoints.restore_model(6)["params"]["layer"]["kernel"], MODEL["params"]["layer"]["kernel"]
    )
    assert int(checkpoints.restore(4, training={"step": jnp.asarray(0)})["training"]["step"]) == 4


def test_a_flipped_byte_sends_back_to_the_one_before(tmp_path):
    checkpoints = saved(tmp_path / "c", 2, 4)
    largest = max((p for p in (tmp_path / "c/4").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    said = []
    assert checkpoints.latest(said.append) == 2
    assert len(said) == 1
    assert "damaged" in said[0]


def test_a_step_without_digests_is_unfinished(tmp_path):
    checkpoints = saved(tmp_path / "c", 2, 4)
    (tmp_path / "c/4/digests.json").unlink()
    assert checkpoints.latest(lambda _: None) == 2
    (tmp_path / "c/2/digests.json").unlink()
    with pytest.raises(BadInputError, match="unfinished"):
        find(tmp_path / "c", lambda _: None)


def test_find_prefers_the_best_and_says_what_is_missing(tmp_path):
    with pytest.raises(BadInputError, match="missing"):
        find(tmp_path / "nowhere")
    with pytest.raises(BadInputError, match="no checkpoint"):
        find(tmp_path)
    saved(tmp_path / "latest", 9)
    assert find(tmp_path)[1] == 9
    saved(tmp_path / "best", 3)
    assert find(tmp_path)[1] == 3
    assert find(tmp_path / "latest")[1] == 9


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match="cannot be written"):
        saved(tmp_path / "file" / "c", 1)


def test_a_step_that_is_whole_stays_and_one_that_is_not_is_written_again(tmp_path):
    """A run that was killed between two checkpoints comes by steps that it had saved."""
    checkpoints = saved(tmp_path / "c", 2, 4)
    stamp = (tmp_path / "c/4/digests.json").stat().st_mtime_ns
    saved(tmp_path / "c", 4)
    assert (tmp_path / "c/4/digests.json").stat().st_mtime_ns == stamp
    (tmp_path / "c/4/digests.json").unlink()
    saved(tmp_path / "c", 4)
    assert checkpoints.latest() == 4


def test_reading_leaves_what_another_is_writing(tmp_path):
    checkpoints = saved(tmp_path / "c", 2)
    (tmp_path / "c/4.orbax-checkpoint-tmp").mkdir()
    checkpoints.meta(2)
    checkpoints.restore_model(2)
    assert (tmp_path / "c/4.orbax-checkpoint-tmp").is_dir()


def test_a_full_disk_is_a_sentence_and_leaves_what_was_there(tmp_path, monkeypatch):
    checkpoints = saved(tmp_path / "c", 2)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2_000_000))
    with pytest.raises(BadInputError, match="disk is full"):
        checkpoints.save(4, {"kernel": jnp.ones(400_000)}, MODEL, {"step": 4})
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["2"]
    saved(tmp_path / "c", 4)
    assert checkpoints.latest() == 4


def test_an_unfinished_step_that_cannot_be_removed_is_a_sentence(tmp_path, monkeypatch):
    saved(tmp_path / "c", 2)
    (tmp_path / "c/2/digests.json").unlink()

    def refuse(folder, ignore_errors=False):
        if not ignore_errors:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(BadInputError, match="cannot be written"):
        saved(tmp_path / "c", 2)


def test_a_run_that_went_back_saves_below_a_damaged_step(tmp_path):
    checkpoints = saved(tmp_path / "c", 2, 6)
    (tmp_path / "c/6/digests.json").write_text("{}")
    assert checkpoints.latest(lambda _: None) == 2
    saved(tmp_path / "c", 4)
    assert checkpoints.steps() == [2, 4]
    assert checkpoints.meta(checkpoints.latest())["step"] == 4
    checkpoints.clear()
    assert checkpoints.latest() is None
