"""Target files and house curves."""

import dataclasses
import json

import numpy as np
import pytest

from nmjax.errors import BadInputError
from nmjax.reference import target
from nmjax.reference.profile import CENTRES_HZ, Profile, profile_of
from tests.music import music


def heard(seed, channels=2) -> Profile:
    return profile_of([music(6.0, channels=channels, seed=seed).astype(np.float32)])


def test_a_file_gives_back_what_was_kept(tmp_path):
    kept = heard(1)
    target.save(tmp_path / "t.json", kept, "a\nb.wav")
    found, name = target.read(tmp_path / "t.json")
    assert name == "a b.wav"
    for field in set(Profile.__dataclass_fields__) - {"moments"}:
        np.testing.assert_allclose(getattr(found, field), getattr(kept, field), atol=2e-3)
    assert found.moments is None
    mono = dataclasses.replace(heard(2, 1), loudness_range=float("nan"))
    target.save(tmp_path / "t.json", mono, "mono")
    assert np.isnan(target.read(tmp_path / "t.json")[0].loudness_range)


def test_a_house_curve_is_the_weighted_mean():
    one, other = heard(1), heard(2)
    found = target.together([one, other], [3.0, 1.0])
    shapes = [x.mid_db - np.median(x.mid_db) for x in (one, other)]
    wanted = 0.75 * shapes[0] + 0.25 * shapes[1]
    np.testing.assert_allclose(found.mid_db - np.median(found.mid_db), wanted - np.median(wanted), atol=1e-9)
    assert found.crest_db == pytest.approx(0.75 * one.crest_db + 0.25 * other.crest_db)
    assert found.seconds == pytest.approx(12.0)
    apart = np.abs(shapes[0] - shapes[1])
    far, near = np.argmax(apart), np.argmin(apart)
    assert found.doubt_db[far] > found.doubt_db[near]  # what they differ in is doubted
    assert len(found.moments.levels_db) == sum(len(x.moments.levels_db) for x in (one, other))
    same = target.together([one, one], [1.0, 1.0])
    np.testing.assert_allclose(same.doubt_db, one.doubt_db / np.sqrt(2.0))


def test_mono_has_no_say_in_the_side_of_a_house_curve():
    stereo, mono = heard(1), heard(2, 1)
    found = target.together([stereo, mono], [1.0, 5.0])
    assert found.stereo
    side = stereo.side_db - np.median(stereo.mid_db)
    np.testing.assert_allclose(found.side_db - found.side_db[0], side - side[0], atol=1e-9)
    assert not target.together([mono, mono], [1.0, 1.0]).stereo


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.update(format="nmjax target 9"), "nmjax target 1"),
        (lambda t: t.update(seconds="long"), "seconds"),
        (lambda t: t.update(more=1), "more"),
        (lambda t: t["bands"].pop(), "sixths of an octave"),
        (lambda t: t["bands"][3].update(freq_hz=777.0), "sixths of an octave"),
        (lambda t: t["bands"][3].update(freq_hz=-1.0), r"bands\.3\.freq_hz"),
        (lambda t: t["bands"][3].update(freq_hz=0.0), r"bands\.3\.freq_hz"),
        (lambda t: t.update(seconds=1e300), "seconds"),
        (lambda t: t.update(format="nmjax target 9", more=1), "this version reads"),
        (lambda t: t["bands"][3].update(mid_db=1e9), r"bands\.3\.mid_db"),
        (lambda t: t["bands"][3].pop("doubt_db"), r"bands\.3\.doubt_db"),
        (lambda t: t.pop("crest_db"), "crest_db"),
    ],
)
def test_what_is_no_target_gets_a_sentence(tmp_path, change, said):
    target.save(tmp_path / "t.json", heard(1), "a")
    tree = json.loads((tmp_path / "t.json").read_text())
    change(tree)
    (tmp_path / "t.json").write_text(json.dumps(tree))
    with pytest.raises(BadInputError, match=said):
        target.read(tmp_path / "t.json")


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"format": NaN}', "\x00" * 200_000])
def test_what_is_no_json_gets_a_sentence(tmp_path, text):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(BadInputError, match="target"):
        target.read(tmp_path / "t.json")


def test_a_missing_file_gets_a_sentence(tmp_path):
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(BadInputError, match="target file"):
            target.read(path)
    assert len(CENTRES_HZ) == 56
