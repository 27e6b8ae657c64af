"""The processors after the equalizer on a track: the master matches its settings, in constant memory, at any level.

The oracle is one call over the whole signal in float64 (the processors themselves are tested in tests/models) after
SciPy's equalizer.
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
from nmjax.cli.main import main
from nmjax.mastering.master import master
from nmjax.mastering.output_paths import resolve_output_paths
from nmjax.mastering.render import active_processors, apply_processor
from nmjax.mastering.request import CHAIN_NAMES
from nmjax.mastering.settings.file import read_settings, settings_from_json
from nmjax.mastering.settings.overrides import Overrides, apply_overrides
from nmjax.mastering.types import MasteringOptions
from nmjax.models import processors
from nmjax.models.processors import PROCESSORS
from nmjax.runtime.errors import BadInputError
from tests.dsp.oracles import peaking_sos
from tests.mastering.settings.test_file import prediction, write_settings_file
from tests.mastering.test_master import NO_DELIVERY
from tests.models.helpers import peak_error_db
from tests.random_networks import load_settings_json as tree_of
from tests.random_networks import random_network, save_network
from tests.synthetic_audio import music, write_audio

BANDS = [{"freq_hz": 200.0, "gain_db": 3.0, "q": 0.8}, {"freq_hz": 5000.0, "gain_db": -4.0, "q": 1.2}]
PROCESSOR_VALUES = {
    "compressor": {"threshold_db": -27.0, "ratio": 3.0, "attack_ms": 6.0, "release_ms": 80.0, "knee_db": 6.0,
                   "makeup_db": 2.5},
    "saturator": {"drive_db": 12.0, "mix": 0.5, "asymmetry": 0.5},
    "width": {"low": 0.4, "high": 1.5},
}  # fmt: skip


def settings_json(**more):
    """A settings file as somebody writes it by hand."""
    return {"format": "nmjax settings 2", "eq": {"bands": BANDS}, **PROCESSOR_VALUES, **more}


def master_audio(audio, rate, settings, **more):
    return nmjax.master(audio, rate, settings=settings, lufs="none", true_peak="none", **more)


def render_offline(audio, rate, tree):
    """A settings file rendered in one call: SciPy's peaking filters, processors in float64; `[frames, channel]`."""
    for band in tree["rendered_eq"]["bands"]:
        audio = sosfilt(peaking_sos(band["freq_hz"], band["gain_db"], band["q"], rate)[None], audio, axis=0)
    gain = 10.0 ** (tree["input_gain_db"] / 20.0)
    with jax.enable_x64(True):
        given = {
            name: processor.settings_type(**{k: jnp.full((1,), x, jnp.float64) for k, x in tree[name].items()})
            for name, processor in PROCESSORS.items()
        }
        play = jax.jit(lambda x: processors.apply_chain(x, ProcessorSettings(**given), rate))
        return np.asarray(play(jnp.asarray(gain * audio)[None]))[0] / gain


@dataclasses.dataclass
class ProcessorSettings:
    compressor: object = None
    saturator: object = None
    width: object = None


@pytest.mark.parametrize(("rate", "channels", "seconds"), [(44_100, 2, 7.0), (48_000, 1, 4.0), (96_000, 2, 3.4)])
def test_the_master_matches_the_settings(rate, channels, seconds):
    """Longer than a piece of 3 s, and not a multiple of one."""
    audio = music(seconds, rate, channels).astype(np.float32)
    result = master_audio(audio, rate, settings_json())
    expected = render_offline(audio.astype(np.float64), rate, result.settings)
    assert peak_error_db(result.audio, expected) <= -120.0
    for part in ("eq", *PROCESSORS):
        without = master_audio(audio, rate, settings_json(), bypass=[part]).audio
        is_active = channels == 2 or part != "width"
        assert (peak_error_db(without, expected) > -40.0) == is_active, part


@pytest.mark.parametrize("stage", PROCESSORS)
@pytest.mark.parametrize("sizes", [(1000,), (131_072, 7, 300_000)])
def test_chunk_sizes_do_not_matter(stage, sizes):
    audio, result = music(7.0).astype(np.float32), []
    settings = parse_settings().settings
    for cuts in ((len(audio),), sizes):
        ends = np.minimum(np.cumsum(np.resize(cuts, 1 + len(audio) // min(cuts))), len(audio))
        pieces = (audio[a:b] for a, b in zip(np.r_[0, ends], ends, strict=False) if b > a)
        result.append(np.concatenate(list(apply_processor(pieces, stage, settings, 44_100, 0.0))))
    np.testing.assert_array_equal(*result)
    assert result[0].shape == audio.shape and result[0].dtype == np.float32


@pytest.mark.parametrize("frames", [1, 2, 69, 70, 71, 500])
def test_a_few_samples_come_out_as_many(frames):
    audio = music(0.1)[:frames].astype(np.float32)
    for stage in PROCESSORS:
        assert (
            np.concatenate(list(apply_processor([audio], stage, parse_settings().settings, 44_100, 0.0))).shape
            == audio.shape
        )


def parse_settings(**more):
    return settings_from_json(json.dumps(settings_json(**more)), "a.json").prediction


def test_streaming_buffers_only_a_few_chunks():
    """What has been read and not yet given out is bounded: that is all that is held."""
    read, given = 0, 0

    def pieces():
        nonlocal read
        for _ in range(200):
            read += 1 << 14
            yield np.zeros((1 << 14, 2), np.float32)
            assert read - given < 10 * 3 * 8000  # each stage is up to three chunks ahead of the next

    audio, settings = pieces(), parse_settings().settings
    for stage in PROCESSORS:
        audio = apply_processor(audio, stage, settings, 8000, 0.0)
    for piece in audio:
        given += len(piece)
    assert given == 200 << 14


def test_the_same_track_ten_decibels_louder_comes_out_ten_decibels_louder():
    audio = 0.2 * music(4.0).astype(np.float32)
    quiet, loud = (master_audio(np.float32(gain) * audio, 44_100, settings_json()) for gain in (1.0, 10.0**0.5))
    assert peak_error_db(loud.audio, 10.0**0.5 * quiet.audio.astype(np.float64)) <= -90.0
    assert loud.settings["input_gain_db"] == pytest.approx(quiet.settings["input_gain_db"] - 10.0, abs=1e-3)


def test_neutral_processors_are_bit_identical(tmp_path):
    track = write_audio(tmp_path / "a.wav", music(3.2, 48_000), 48_000, "PCM_24")
    starts = {name: {s.name: s.initial for s in processor.settings} for name, processor in PROCESSORS.items()}
    (tmp_path / "s.json").write_text(json.dumps({"format": "nmjax settings 2", "eq": {"bands": []}, **starts}))
    options = MasteringOptions((NO_DELIVERY,), settings=read_settings(tmp_path / "s.json"))
    result = master(track, resolve_output_paths(track, tmp_path / "m.wav", (NO_DELIVERY,)), None, options)
    assert active_processors(result.render_plan.prediction.settings) == []
    before, after = (soundfile.read(str(path), dtype="int32")[0] for path in (track, result.outputs.masters[0]))
    np.testing.assert_array_equal(before, after)


def test_a_settings_file_round_trips_processors_bit_identically(tmp_path):
    original = prediction()
    rng = np.random.default_rng(0)
    values = {
        name: processor.settings_type(
            *(jnp.asarray(rng.uniform(s.low, s.high, 1), jnp.float32) for s in processor.settings)
        )
        for name, processor in PROCESSORS.items()
    }
    original = original.replace(settings=original.settings.replace(**values))
    result = read_settings(write_settings_file(tmp_path / "a.json", original))
    jax.tree.map(np.testing.assert_array_equal, result.prediction.settings, original.settings)
    assert result.notes == ()
    alone = original.replace(settings=original.settings.replace(compressor=None, width=None))
    result = read_settings(write_settings_file(tmp_path / "b.json", alone)).prediction.settings
    assert result.compressor is None and result.width is None
    assert result.saturator == values["saturator"]


def test_missing_processor_settings_get_their_defaults():
    result = settings_from_json(
        json.dumps(settings_json(compressor={"ratio": 2})), "a.json"
    ).prediction.settings.compressor
    for row in PROCESSORS["compressor"].settings:
        assert float(getattr(result, row.name)[0]) == np.float32(2.0 if row.name == "ratio" else row.initial)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"compressor": {"ratio": 0.2}}, "compressor.ratio is 0.2; choose 0.5 to 100."),
        (
            {"compressor": {"treshold_db": -20}},
            "has an unknown key \"treshold_db\"; did you mean 'threshold_db'?",
        ),
        ({"compressor": {"attack_ms": "fast"}}, 'compressor.attack_ms is "fast"; give a number from 0.1 to 200 ms.'),
        ({"compressor": {"attack_ms": 0}}, "compressor.attack_ms is 0 ms; choose 0.1 to 200 ms."),
        ({"saturator": {"mix": True}}, "saturator.mix is true; give a number"),
        ({"saturator": []}, "saturator is []; give keys in braces: drive_db, mix, asymmetry"),
        ({"width": {"low": 3}}, "width.low is 3; choose 0 to 2."),
        ({"compresser": {}}, "has an unknown key \"compresser\"; did you mean 'compressor'?"),
    ],
)
def test_invalid_processor_settings_are_reported(more, says):
    with pytest.raises(BadInputError) as error:
        settings_from_json(json.dumps(settings_json(**more)), "a.json")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_overrides_set_values_and_add_or_remove_processors():
    original = parse_settings(saturator=None)
    control = Overrides(
        processors={"compressor": {"ratio": 2.0, "knee_db": 0.0}, "saturator": {"mix": 0.25}},
        bypass=frozenset({"width"}),
    )
    result = apply_overrides(control, original).settings
    assert [float(result.compressor.ratio[0]), float(result.compressor.knee_db[0])] == [2.0, 0.0]
    assert float(result.compressor.attack_ms[0]) == 6.0
    assert float(result.saturator.mix[0]) == 0.25 and float(result.saturator.drive_db[0]) == 9.0
    assert result.width is None
    assert active_processors(result) == ["compressor", "saturator"]
    np.testing.assert_array_equal(result.eq.gain_db, original.settings.eq.gain_db)


@pytest.mark.parametrize("part", ["eq", *PROCESSORS, "residual"])
def test_solo_leaves_one_part(part):
    control = Overrides(bypass=frozenset(CHAIN_NAMES) - {part})
    result = apply_overrides(control, parse_settings()).settings
    assert active_processors(result) == [part] * (part in PROCESSORS)
    assert bool(np.any(result.eq.gain_db)) == (part == "eq")
    assert control.residual_scale == float(part == "residual")


@pytest.mark.parametrize(
    ("processors", "message"),
    [
        ({"compressor": {"ratio": 0.1}}, "compressor.ratio is 0.1; choose 0.5 to 100."),
        ({"compressor": {"ratio": float("nan")}}, "compressor.ratio is nan; choose 0.5 to 100."),
        ({"compressor": {"rato": 2.0}}, "The compressor has no 'rato'; did you mean 'ratio'?"),
        ({"compresor": {"ratio": 2.0}}, "There is no processor 'compresor'; did you mean 'compressor'?"),
        ({"residual": {"mix": 1.0}}, "There is no processor 'residual'; choose one of: compressor, saturator, width."),
    ],
)
def test_invalid_processor_overrides_are_reported(processors, message):
    with pytest.raises(BadInputError) as error:
        Overrides(processors=processors)
    assert message in str(error.value)


def test_from_python_values_are_set_as_well():
    audio = music(3.2).astype(np.float32)
    by_file = master_audio(audio, 44_100, settings_json(saturator=None, width=None))
    plain = {"format": "nmjax settings 2", "eq": {"bands": BANDS}}
    by_hand = master_audio(audio, 44_100, plain, processors={"compressor": PROCESSOR_VALUES["compressor"]})
    np.testing.assert_array_equal(by_file.audio, by_hand.audio)
    assert by_hand.settings["compressor"] == PROCESSOR_VALUES["compressor"] and by_hand.settings["width"] is None
    with pytest.raises(BadInputError, match="no processor 'limiter'"):
        master_audio(audio, 44_100, plain, processors={"limiter": {}})
    assert Overrides(processors={"width": {"low": 0.0}}).processors == {"width": {"low": 0.0}}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A run of phase 2 with random weights, and an album of two songs, one of them mono."""
    root = tmp_path_factory.mktemp("stages")
    save_network("2", root / "2")
    write_audio(root / "album" / "a.wav", music(4.0, seed=1), subtype="FLOAT")
    write_audio(root / "album" / "b.wav", 0.4 * music(3.5, channels=1, seed=2), subtype="FLOAT")
    return root


def infer(capsys, *arguments):
    assert main(["infer", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_a_network_of_phase_2_masters_a_file_and_its_settings_render_it_again(workspace, tmp_path, capsys):
    track, plain = workspace / "album" / "a.wav", ["--lufs", "none", "--true-peak", "none"]
    output = infer(
        capsys, track, "--ckpt", workspace / "2", "-o", tmp_path / "m.wav", "--report", tmp_path / "r.html", *plain
    )
    page = (tmp_path / "r.html").read_text()
    assert "Processors after the equalizer" in page
    assert "The residual adds " in page and "The residual adds " in output
    result = tree_of(tmp_path / "m.wav.json")
    for stage in PROCESSORS:
        assert stage in output.lower()
        assert list(result[stage]) == [row.name for row in PROCESSORS[stage].settings]
        for name, (low, high) in PROCESSORS[stage].limits.items():
            assert low <= result[stage][name] <= high
    again = ["--ckpt", workspace / "2", "--settings", tmp_path / "m.wav.json", *plain]
    infer(capsys, track, *again, "-o", tmp_path / "n.wav")
    one, other = (soundfile.read(str(tmp_path / name))[0] for name in ("m.wav", "n.wav"))
    np.testing.assert_array_equal(one, other)
    infer(capsys, track, *again, "--bypass", "residual", "-o", tmp_path / "w.wav")
    expected = render_offline(soundfile.read(str(track))[0], 44_100, result)
    assert peak_error_db(soundfile.read(str(tmp_path / "w.wav"))[0], expected) <= -110.0
    output = infer(capsys, track, *again, "--solo", "width", "--set", "width.high=0", "-o", tmp_path / "s.wav")
    assert "× 0" in output and "compressor" not in output.lower()
    left, right = soundfile.read(str(tmp_path / "s.wav"))[0].T
    assert np.abs(left - right).max() < 1.5 * np.abs(np.subtract(*soundfile.read(str(track))[0].T)).max()


def test_processor_settings_do_not_depend_on_the_input_level():
    audio = 0.2 * music(3.2, seed=4).astype(np.float32)
    quiet, loud = (
        nmjax.master(np.float32(gain) * audio, 44_100, ckpt=random_network("2"), lufs="none", true_peak="none")
        for gain in (1.0, 10.0**0.5)
    )
    for stage in PROCESSORS:
        assert loud.settings[stage] == pytest.approx(quiet.settings[stage], rel=1e-3, abs=1e-4)
    assert peak_error_db(loud.audio, 10.0**0.5 * quiet.audio.astype(np.float64)) <= -60.0


def test_a_bad_argument_is_one_sentence_and_exit_code_2(workspace, tmp_path, capsys):
    for arguments in (["--set", "compressor.ratio=0"], ["--solo", "limiter"], ["--bypass", "limiter"]):
        track = str(workspace / "album" / "a.wav")
        assert main(["infer", track, "--ckpt", str(workspace / "2"), "-o", str(tmp_path / "m.wav"), *arguments]) == 2
        captured = capsys.readouterr()
        assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert not list(tmp_path.iterdir())


def test_an_album_shares_its_processors_and_a_folder_does_not(workspace, tmp_path, capsys):
    plain = ["--lufs", "none", "--true-peak", "none"]  # random settings may leave peaks that no delivery reaches
    for arguments, name in ((["--album"], "album"), ([], "each")):
        infer(capsys, workspace / "album", "--ckpt", workspace / "2", "-o", tmp_path / name, *arguments, *plain)
    files = [f"{song}-mastered.wav.json" for song in "ab"]
    shared, own = ([tree_of(tmp_path / name / file) for file in files] for name in ("album", "each"))
    for stage in PROCESSORS:
        assert shared[0][stage] == shared[1][stage]
        assert own[0][stage] != own[1][stage]
    assert soundfile.info(str(tmp_path / "album" / "b-mastered.wav")).channels == 1
