"""Checkpoints are restored unchanged; unfinished or damaged ones are not used."""

import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.runtime.checkpoints import Checkpoints, find_checkpoint
from nmjax.runtime.errors import BadInputError

MODEL = {"params": {"layer": {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": jnp.ones(3)}}}


def save_steps(folder, *steps):
    checkpoints = Checkpoints(folder)
    for step in steps:
        checkpoints.save(step, MODEL, {"step": jnp.asarray(step)}, {"step": step, "words": ["é"]})
    return checkpoints


def test_checkpoints_round_trip_and_the_oldest_are_removed(tmp_path):
    checkpoints = save_steps(tmp_path / "c", 2, 4, 6)
    assert checkpoints.steps() == [4, 6]
    assert checkpoints.latest() == 6
    assert checkpoints.meta(6) == {"step": 6, "words": ["é"]}
    np.testing.assert_array_equal(
        checkpoints.restore_model(6)["params"]["layer"]["kernel"], MODEL["params"]["layer"]["kernel"]
    )
    assert int(checkpoints.restore(4, training={"step": jnp.asarray(0)})["training"]["step"]) == 4


def test_a_damaged_checkpoint_falls_back_to_the_previous(tmp_path):
    checkpoints = save_steps(tmp_path / "c", 2, 4)
    largest = max((p for p in (tmp_path / "c/4").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    messages = []
    assert checkpoints.latest(messages.append) == 2
    assert len(messages) == 1
    assert "damaged" in messages[0]


def test_a_step_without_digests_is_unfinished(tmp_path):
    checkpoints = save_steps(tmp_path / "c", 2, 4)
    (tmp_path / "c/4/digests.json").unlink()
    assert checkpoints.latest(lambda _: None) == 2
    (tmp_path / "c/2/digests.json").unlink()
    with pytest.raises(BadInputError, match="unfinished"):
        find_checkpoint(tmp_path / "c", lambda _: None)


def test_find_prefers_the_best_and_reports_missing_ones(tmp_path):
    with pytest.raises(BadInputError, match="missing"):
        find_checkpoint(tmp_path / "nowhere")
    with pytest.raises(BadInputError, match="no checkpoint"):
        find_checkpoint(tmp_path)
    save_steps(tmp_path / "latest", 9)
    assert find_checkpoint(tmp_path)[1] == 9
    save_steps(tmp_path / "best", 3)
    assert find_checkpoint(tmp_path)[1] == 3
    assert find_checkpoint(tmp_path / "latest")[1] == 9


def test_an_unwritable_folder_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match="cannot be written"):
        save_steps(tmp_path / "file" / "c", 1)


def test_a_step_that_is_whole_stays_and_one_that_is_not_is_written_again(tmp_path):
    """A run that was killed between two checkpoints comes by steps that it had saved."""
    checkpoints = save_steps(tmp_path / "c", 2, 4)
    stamp = (tmp_path / "c/4/digests.json").stat().st_mtime_ns
    save_steps(tmp_path / "c", 4)
    assert (tmp_path / "c/4/digests.json").stat().st_mtime_ns == stamp
    (tmp_path / "c/4/digests.json").unlink()
    save_steps(tmp_path / "c", 4)
    assert checkpoints.latest() == 4


def test_reading_leaves_what_another_is_writing(tmp_path):
    checkpoints = save_steps(tmp_path / "c", 2)
    (tmp_path / "c/4.orbax-checkpoint-tmp").mkdir()
    checkpoints.meta(2)
    checkpoints.restore_model(2)
    assert (tmp_path / "c/4.orbax-checkpoint-tmp").is_dir()


def test_a_full_disk_is_reported_and_keeps_older_checkpoints(tmp_path, monkeypatch):
    checkpoints = save_steps(tmp_path / "c", 2)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2_000_000))
    with pytest.raises(BadInputError, match="disk is full"):
        checkpoints.save(4, {"kernel": jnp.ones(400_000)}, MODEL, {"step": 4})
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["2"]
    save_steps(tmp_path / "c", 4)
    assert checkpoints.latest() == 4


def test_an_undeletable_unfinished_step_is_reported(tmp_path, monkeypatch):
    save_steps(tmp_path / "c", 2)
    (tmp_path / "c/2/digests.json").unlink()

    def refuse(folder, ignore_errors=False):
        if not ignore_errors:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(BadInputError, match="cannot be written"):
        save_steps(tmp_path / "c", 2)


def test_a_run_that_went_back_saves_below_a_damaged_step(tmp_path):
    checkpoints = save_steps(tmp_path / "c", 2, 6)
    (tmp_path / "c/6/digests.json").write_text("{}")
    assert checkpoints.latest(lambda _: None) == 2
    save_steps(tmp_path / "c", 4)
    assert checkpoints.steps() == [2, 4]
    assert checkpoints.meta(checkpoints.latest())["step"] == 4
    checkpoints.clear()
    assert checkpoints.latest() is None
