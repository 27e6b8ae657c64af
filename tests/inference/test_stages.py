"""The stages behind the equaliser on a track: the file is what its settings say, in constant memory, at any level.

The oracle is one call over the whole signal in float64 (`nmjax.models.stages.play`, itself checked in tests/models)
behind SciPy's equaliser.
"""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
from scipy.signal import sosfilt

import nmjax
from nmjax.cli import main
from nmjax.errors import BadInputError
from nmjax.inference.master import Options, master
from nmjax.inference.outputs import outputs_of
from nmjax.inference.render import active_stages, staged
from nmjax.inference.settings.control import Control, apply, parsed
from nmjax.inference.settings.file import read_settings, stored
from nmjax.models import stages
from nmjax.models.stages import STAGES, TABLE, settings_of
from tests.dsp.oracles import peaking_sos
from tests.inference.networks import network, saved
from tests.inference.networks import settings_of as tree_of
from tests.inference.settings.test_file import prediction, written
from tests.inference.test_master import PLAIN
from tests.models.helpers import apart_db
from tests.music import music, write

BANDS = [{"freq_hz": 200.0, "gain_db": 3.0, "q": 0.8}, {"freq_hz": 5000.0, "gain_db": -4.0, "q": 1.2}]
CHANGED = {
    "compressor": {"threshold_db": -27.0, "ratio": 3.0, "attack_ms": 6.0, "release_ms": 80.0, "knee_db": 6.0,
                   "makeup_db": 2.5},
    "saturator": {"drive_db": 12.0, "mix": 0.5, "asymmetry": 0.5},
    "width": {"low": 0.4, "high": 1.5},
}  # fmt: skip


def tree(**more):
    """A settings file as somebody writes it by hand."""
    return {"format": "nmjax settings 1", "eq": {"bands": BANDS}, **CHANGED, **more}


def mastered(audio, rate, given, **more):
    return nmjax.master(audio, rate, settings=given, lufs="none", true_peak="none", **more)


def by_one_call(audio, rate, tree):
    """What a settings file says, rendered at once: SciPy's bells, then each stage in float64; `[frames, channel]`."""
    for band in tree["eq_as_rendered"]["bands"]:
        audio = sosfilt(peaking_sos(band["freq_hz"], band["gain_db"], band["q"], rate)[None], audio, axis=0)
    gain = 10.0 ** (tree["input_gain_db"] / 20.0)
    with jax.enable_x64(True):
        given = {s: STAGES[s](**{k: jnp.full((1,), x, jnp.float64) for k, x in tree[s].items()}) for s in STAGES}
        play = jax.jit(lambda x: stages.play(x, Chain(**given), rate))
        return np.asarray(play(jnp.asarray(gain * audio)[None]))[0] / gain


@dataclasses.dataclass
class Chain:
    compressor: object = None
    saturator: object = None
    width: object = None


@pytest.mark.parametrize(("rate", "channels", "seconds"), [(44_100, 2, 7.0), (48_000, 1, 4.0), (96_000, 2, 3.4)])
def test_the_master_is_what_the_settings_say(rate, channels, seconds):
    """Longer than a piece of 3 s, and not a multiple of one."""
    audio = music(seconds, rate, channels).astype(np.float32)
    result = mastered(audio, rate, tree())
    wanted = by_one_call(audio.astype(np.float64), rate, result.settings)
    assert apart_db(result.audio, wanted) <= -120.0
    for part in ("eq", *STAGES):
        without = mastered(audio, rate, tree(), bypass=[part]).audio
        heard = channels == 2 or part != "width"
        assert (apart_db(without, wanted) > -40.0) == heard, part


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("sizes", [(1000,), (131_072, 7, 300_000)])
def test_the_pieces_that_come_in_do_not_matter(stage, sizes):
    audio, found = music(7.0).astype(np.float32), []
    settings = read_by_hand().settings
    for cuts in ((len(audio),), sizes):
        ends = np.minimum(np.cumsum(np.resize(cuts, 1 + len(audio) // min(cuts))), len(audio))
        pieces = (audio[a:b] for a, b in zip(np.r_[0, ends], ends, strict=False) if b > a)
        found.append(np.concatenate(list(staged(pieces, stage, settings, 44_100, 0.0))))
    np.testing.assert_array_equal(*found)
    assert found[0].shape == audio.shape and found[0].dtype == np.float32


@pytest.mark.parametrize("frames", [1, 2, 69, 70, 71, 500])
def test_a_few_samples_come_out_as_many(frames):
    audio = music(0.1)[:frames].astype(np.float32)
    for stage in STAGES:
        assert np.concatenate(list(staged([audio], stage, read_by_hand().settings, 44_100, 0.0))).shape == audio.shape


def read_by_hand(**more):
    return stored(json.dumps(tree(**more)), "a.json").prediction


def test_a_long_track_needs_no_more_than_a_few_pieces_at_a_time():
    """What has been read and not yet given out is bounded: that is all that is held."""
    read, given = 0, 0

    def pieces():
        nonlocal read
        for _ in range(200):
            read += 1 << 14
            yield np.zeros((1 << 14, 2), np.float32)
            assert read - given < 4 * 3 * 8000

    audio, settings = pieces(), read_by_hand().settings
    for stage in STAGES:
        audio = staged(audio, stage, settings, 8000, 0.0)
    for piece in audio:
        given += len(piece)
    assert given == 200 << 14


def test_the_same_track_ten_decibels_louder_comes_out_ten_decibels_louder():
    audio = 0.2 * music(4.0).astype(np.float32)
    quiet, loud = (mastered(np.float32(gain) * audio, 44_100, tree()) for gain in (1.0, 10.0**0.5))
    assert apart_db(loud.audio, 10.0**0.5 * quiet.audio.astype(np.float64)) <= -90.0
    assert loud.settings["input_gain_db"] == pytest.approx(quiet.settings["input_gain_db"] - 10.0, abs=1e-3)


def test_neutral_stages_leave_a_file_untouched_to_the_bit(tmp_path):
    track = write(tmp_path / "a.wav", music(3.2, 48_000), 48_000, "PCM_24")
    starts = {row.stage: {r.name: r.start for r in settings_of(row.stage)} for row in TABLE}
    (tmp_path / "s.json").write_text(json.dumps({"format": "nmjax settings 1", "eq": {"bands": []}, **starts}))
    options = Options((PLAIN,), settings=read_settings(tmp_path / "s.json"))
    result = master(track, outputs_of(track, tmp_path / "m.wav", (PLAIN,)), None, options)
    assert active_stages(result.chosen.prediction.settings) == []
    before, after = (soundfile.read(str(path), dtype="int32")[0] for path in (track, result.outputs.audio[0]))
    np.testing.assert_array_equal(before, after)


def test_a_settings_file_keeps_the_stages_to_the_bit(tmp_path):
    given = prediction()
    rng = np.random.default_rng(0)
    values = {
        stage: kind(*(jnp.asarray(rng.uniform(row.low, row.high, 1), jnp.float32) for row in settings_of(stage)))
        for stage, kind in STAGES.items()
    }
    given = given.replace(settings=given.settings.replace(**values))
    found = read_settings(written(tmp_path / "a.json", given))
    jax.tree.map(np.testing.assert_array_equal, found.prediction.settings, given.settings)
    assert found.notes == ()
    alone = given.replace(settings=given.settings.replace(compressor=None, width=None))
    found = read_settings(written(tmp_path / "b.json", alone)).prediction.settings
    assert found.compressor is None and found.width is None
    assert found.saturator == values["saturator"]


def test_what_a_file_leaves_out_of_a_stage_stands_at_its_start():
    found = stored(json.dumps(tree(compressor={"ratio": 2})), "a.json").prediction.settings.compressor
    for row in settings_of("compressor"):
        assert float(getattr(found, row.name)[0]) == np.float32(2.0 if row.name == "ratio" else row.start)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"compressor": {"ratio": 0.2}}, "compressor.ratio is 0.2; choose 0.5 to 100."),
        (
            {"compressor": {"treshold_db": -20}},
            "has a key \"treshold_db\" that does not exist; did you mean 'threshold_db'?",
        ),
        ({"compressor": {"attack_ms": "fast"}}, 'compressor.attack_ms is "fast"; it is a number from 0.1 to 200 ms.'),
        ({"compressor": {"attack_ms": 0}}, "compressor.attack_ms is 0 ms; choose 0.1 to 200 ms."),
        ({"saturator": {"mix": True}}, "saturator.mix is true; it is a number"),
        ({"saturator": []}, "saturator is []; it has keys in braces: drive_db, mix, asymmetry"),
        ({"width": {"low": 3}}, "width.low is 3; choose 0 to 2."),
        ({"compresser": {}}, "has a key \"compresser\" that does not exist; did you mean 'compressor'?"),
    ],
)
def test_what_a_file_cannot_say_of_a_stage_is_said(more, says):
    with pytest.raises(BadInputError) as error:
        stored(json.dumps(tree(**more)), "a.json")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_values_are_set_and_stages_added_and_left_out():
    given = read_by_hand(saturator=None)
    control = parsed(stages=["compressor.ratio=2", "compressor.knee_db=0", "saturator.mix=0.25"], bypass=["width"])
    found = apply(control, given).settings
    assert [float(found.compressor.ratio[0]), float(found.compressor.knee_db[0])] == [2.0, 0.0]
    assert float(found.compressor.attack_ms[0]) == 6.0
    assert float(found.saturator.mix[0]) == 0.25 and float(found.saturator.drive_db[0]) == 9.0
    assert found.width is None
    assert active_stages(found) == ["compressor", "saturator"]
    np.testing.assert_array_equal(found.eq.gain_db, given.settings.eq.gain_db)


@pytest.mark.parametrize("part", ["eq", *STAGES, "residual"])
def test_solo_leaves_one_part(part):
    control = parsed(solo=part)
    found = apply(control, read_by_hand()).settings
    assert active_stages(found) == [part] * (part in STAGES)
    assert bool(np.any(found.eq.gain_db)) == (part == "eq")
    assert control.residual_scale == float(part == "residual")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"stages": ["compressor.ratio"]}, "'compressor.ratio' cannot be read; write --set compressor.ratio=2."),
        ({"stages": ["ratio=2"]}, "write --set compressor.ratio=2."),
        ({"stages": ["compressor.ratio=two"]}, "--set compressor.ratio is 'two'; give a number"),
        ({"stages": ["compressor.ratio=0.1"]}, "compressor.ratio is 0.1; choose 0.5 to 100."),
        ({"stages": ["compressor.ratio=nan"]}, "compressor.ratio is nan; choose 0.5 to 100."),
        ({"stages": ["compressor.rato=2"]}, "The compressor has no 'rato'; did you mean 'ratio'?"),
        ({"stages": ["compresor.ratio=2"]}, "There is no stage 'compresor'; did you mean 'compressor'?"),
        ({"stages": ["residual.mix=1"]}, "There is no stage 'residual'; there are: compressor, saturator, width."),
        ({"stages": ["width.low=1", "width.low=2"]}, "The width is given two values of low; leave one of them."),
        ({"solo": "compresor"}, "There is no stage 'compresor' to solo; did you mean 'compressor'?"),
        ({"solo": "eq", "bypass": ["width"]}, "--solo leaves out all other stages; do not give --bypass with it."),
        ({"bypass": ["compresor"]}, "There is no stage 'compresor' to bypass; did you mean 'compressor'?"),
    ],
)
def test_words_that_cannot_be_used_are_answered_with_what_can(words, says):
    with pytest.raises(BadInputError) as error:
        parsed(**words)
    assert says in str(error.value)


def test_from_python_values_are_set_as_well():
    audio = music(3.2).astype(np.float32)
    by_file = mastered(audio, 44_100, tree(saturator=None, width=None))
    plain = {"format": "nmjax settings 1", "eq": {"bands": BANDS}}
    by_hand = mastered(audio, 44_100, plain, stages={"compressor": CHANGED["compressor"]})
    np.testing.assert_array_equal(by_file.audio, by_hand.audio)
    assert by_hand.settings["compressor"] == CHANGED["compressor"] and by_hand.settings["width"] is None
    with pytest.raises(BadInputError, match="There is no stage 'limiter'"):
        mastered(audio, 44_100, plain, stages={"limiter": {}})
    assert Control(stages={"width": {"low": 0.0}}).stages == {"width": {"low": 0.0}}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run of phase 2 with random weights, and an album of two songs, one of them mono."""
    root = tmp_path_factory.mktemp("stages")
    saved("2", root / "2")
    write(root / "album" / "a.wav", music(4.0, seed=1), subtype="FLOAT")
    write(root / "album" / "b.wav", 0.4 * music(3.5, channels=1, seed=2), subtype="FLOAT")
    return root


def infer(capsys, *words):
    assert main(["infer", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_a_network_of_phase_2_masters_a_file_and_its_settings_render_it_again(place, tmp_path, capsys):
    track, plain = place / "album" / "a.wav", ["--lufs", "none", "--true-peak", "none"]
    said = infer(
        capsys, track, "--ckpt", place / "2", "-o", tmp_path / "m.wav", "--report", tmp_path / "r.html", *plain
    )
    page = (tmp_path / "r.html").read_text()
    assert "Stages behind the equaliser" in page and "the signal to which it is added" in page
    found = tree_of(tmp_path / "m.json")
    for stage in STAGES:
        assert stage in said
        assert list(found[stage]) == [row.name for row in settings_of(stage)]
        for row in settings_of(stage):
            assert row.limits[0] <= found[stage][row.name] <= row.limits[1]
    again = ["--ckpt", place / "2", "--settings", tmp_path / "m.json", *plain]
    infer(capsys, track, *again, "-o", tmp_path / "n.wav")
    one, other = (soundfile.read(str(tmp_path / name))[0] for name in ("m.wav", "n.wav"))
    np.testing.assert_array_equal(one, other)
    infer(capsys, track, *again, "--bypass", "residual", "-o", tmp_path / "w.wav")
    wanted = by_one_call(soundfile.read(str(track))[0], 44_100, found)
    assert apart_db(soundfile.read(str(tmp_path / "w.wav"))[0], wanted) <= -110.0
    said = infer(capsys, track, *again, "--solo", "width", "--set", "width.high=0", "-o", tmp_path / "s.wav")
    assert "high 0" in said and "compressor" not in said
    left, right = soundfile.read(str(tmp_path / "s.wav"))[0].T
    assert np.abs(left - right).max() < 1.5 * np.abs(np.subtract(*soundfile.read(str(track))[0].T)).max()


def test_a_network_sets_the_same_stages_at_any_level():
    audio = 0.2 * music(3.2, seed=4).astype(np.float32)
    quiet, loud = (
        nmjax.master(np.float32(gain) * audio, 44_100, ckpt=network("2"), lufs="none", true_peak="none")
        for gain in (1.0, 10.0**0.5)
    )
    for stage in STAGES:
        assert loud.settings[stage] == pytest.approx(quiet.settings[stage], rel=1e-3, abs=1e-4)
    assert apart_db(loud.audio, 10.0**0.5 * quiet.audio.astype(np.float64)) <= -60.0


def test_a_bad_word_on_the_command_line_is_one_sentence_and_exit_code_2(place, tmp_path, capsys):
    for words in (["--set", "compressor.ratio=0"], ["--solo", "limiter"], ["--bypass", "limiter"]):
        track = str(place / "album" / "a.wav")
        assert main(["infer", track, "--ckpt", str(place / "2"), "-o", str(tmp_path / "m.wav"), *words]) == 2
        captured = capsys.readouterr()
        assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert not list(tmp_path.iterdir())


def test_an_album_shares_its_stages_and_a_folder_does_not(place, tmp_path, capsys):
    for words, name in ((["--album"], "album"), ([], "each")):
        infer(capsys, place / "album", "--ckpt", place / "2", "-o", tmp_path / name, *words)
    shared, own = ([tree_of(tmp_path / name / f"{song}-mastered.json") for song in "ab"] for name in ("album", "each"))
    for stage in STAGES:
        assert shared[0][stage] == shared[1][stage]
        assert own[0][stage] != own[1][stage]
    assert soundfile.info(str(tmp_path / "album" / "b-mastered.wav")).channels == 1
