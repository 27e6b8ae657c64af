"""Target files and averages of several references."""

import dataclasses
import json

import numpy as np
import pytest

from nmjax.reference import target_file
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.features import TrackFeatures, track_features
from nmjax.runtime.errors import BadInputError
from tests.synthetic_audio import music


def random_features(seed, channels=2) -> TrackFeatures:
    return track_features([music(6.0, channels=channels, seed=seed).astype(np.float32)])


def test_a_target_file_round_trips(tmp_path):
    original = random_features(1)
    target_file.save(tmp_path / "t.json", original, "a\nb.wav")
    result, name = target_file.read(tmp_path / "t.json")
    assert name == "a b.wav"
    for field in set(TrackFeatures.__dataclass_fields__) - {"frames", "outline"}:
        np.testing.assert_allclose(getattr(result, field), getattr(original, field), atol=2e-3)
    assert result.frames is None and result.outline is None
    mono = dataclasses.replace(random_features(2, 1), loudness_range=float("nan"))
    target_file.save(tmp_path / "t.json", mono, "mono")
    assert np.isnan(target_file.read(tmp_path / "t.json")[0].loudness_range)


def test_several_references_are_averaged_by_weight():
    one, other = random_features(1), random_features(2)
    result = target_file.average_features([one, other], [3.0, 1.0])
    shapes = [x.mid_db - np.median(x.mid_db) for x in (one, other)]
    expected = 0.75 * shapes[0] + 0.25 * shapes[1]
    np.testing.assert_allclose(result.mid_db - np.median(result.mid_db), expected - np.median(expected), atol=1e-9)
    assert result.crest_db == pytest.approx(0.75 * one.crest_db + 0.25 * other.crest_db)
    assert result.seconds == pytest.approx(12.0)
    differences = np.abs(shapes[0] - shapes[1])
    far, near = np.argmax(differences), np.argmin(differences)
    assert result.std_error_db[far] > result.std_error_db[near]  # where they differ, the mean is less certain
    assert len(result.frames.levels_db) == sum(len(x.frames.levels_db) for x in (one, other))
    same = target_file.average_features([one, one], [1.0, 1.0])
    np.testing.assert_allclose(same.std_error_db, one.std_error_db / np.sqrt(2.0))


def test_mono_references_do_not_affect_the_side():
    stereo, mono = random_features(1), random_features(2, 1)
    result = target_file.average_features([stereo, mono], [1.0, 5.0])
    assert result.stereo
    side = stereo.side_db - np.median(stereo.mid_db)
    np.testing.assert_allclose(result.side_db - result.side_db[0], side - side[0], atol=1e-9)
    assert not target_file.average_features([mono, mono], [1.0, 1.0]).stereo


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.update(format="nmjax target 9"), "nmjax target 2"),
        (lambda t: t.update(seconds="long"), "seconds"),
        (lambda t: t.update(more=1), "more"),
        (lambda t: t["bands"].pop(), "sixths of an octave"),
        (lambda t: t["bands"][3].update(freq_hz=777.0), "sixths of an octave"),
        (lambda t: t["bands"][3].update(freq_hz=-1.0), r"bands\.3\.freq_hz"),
        (lambda t: t["bands"][3].update(freq_hz=0.0), r"bands\.3\.freq_hz"),
        (lambda t: t.update(seconds=1e300), "seconds"),
        (lambda t: t.update(format="nmjax target 9", more=1), "this version reads"),
        (lambda t: t["bands"][3].update(mid_db=1e9), r"bands\.3\.mid_db"),
        (lambda t: t["bands"][3].pop("std_error_db"), r"bands\.3\.std_error_db"),
        (lambda t: t.pop("crest_db"), "crest_db"),
    ],
)
def test_invalid_targets_are_reported(tmp_path, change, message):
    target_file.save(tmp_path / "t.json", random_features(1), "a")
    tree = json.loads((tmp_path / "t.json").read_text())
    change(tree)
    (tmp_path / "t.json").write_text(json.dumps(tree))
    with pytest.raises(BadInputError, match=message):
        target_file.read(tmp_path / "t.json")


def test_a_file_of_the_previous_format_is_reported_in_one_sentence(tmp_path):
    target_file.save(tmp_path / "t.json", random_features(1), "a")
    text = (tmp_path / "t.json").read_text()
    (tmp_path / "t.json").write_text(text.replace("nmjax target 2", "nmjax target 1").replace("max_hz", "old_name"))
    with pytest.raises(BadInputError) as error:
        target_file.read(tmp_path / "t.json")
    assert "'nmjax target 1'" in str(error.value) and "--save-target" in str(error.value)
    assert "max_hz" not in str(error.value) and "old_name" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"format": NaN}', "\x00" * 200_000])
def test_invalid_json_is_reported(tmp_path, text):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(BadInputError, match="target"):
        target_file.read(tmp_path / "t.json")


def test_a_missing_file_is_reported(tmp_path):
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(BadInputError, match="target file"):
            target_file.read(path)
    assert len(CENTERS_HZ) == 56
